// Shows the main job on real servers: apply to Ready, credentials that S3 takes, refreshes that no reader notices, refusals
// that explain themselves, and that nothing secret and no byte for another host leaves the operator.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { startSeaweedFS } from '../beds/seaweedfs.ts';
import type { AccessKey, SeaweedFSBed } from '../beds/seaweedfs.ts';
import type { STSProxy } from '../beds/intercepting-proxy.ts';
import { waitFor } from '../beds/wait.ts';
import { ClusterClient } from '../support/cluster-client.ts';
import type { SecretSeen } from '../support/cluster-client.ts';
import { manifest, startCluster } from '../support/installation.ts';
import type { Installation, Wanted } from '../support/installation.ts';
import { scopeFor } from '../support/scope.ts';

const BUNDLE = fileURLToPath(new URL('../../dist/bundle/main.mjs', import.meta.url));
const AUDIENCE = 'sts.seaweedfs.test';
/** The operator may use it, but the STS does not take it. */
const WRONG_AUDIENCE = 'elsewhere.test';
const LIFETIME_SECONDS = 15;
const REFRESHES = 4;
const LEAST_LEFT_MS = 3_000;

/** The exchange's line in the operator's log, in the bundle's spelling, and how a careless change would break it past the logger's own net. */
const AUDIT_FIELD = 'accessKeyID:credential.accessKeyID,requestID:';
const MUTANT_FIELD = "accessKeyID:Buffer.from(credential.secretAccessKey.reveal()).toString('hex'),requestID:";

const orders = { namespace: 'shop', name: 'orders' };
const consent = { namespace: 'consent', name: 'app' };
const missing = { namespace: 'missing', name: 'app' };
const wrongRole = { namespace: 'wrong-role', name: 'app' };
const wrongSubject = { namespace: 'wrong-subject', name: 'stranger' };
const wrongAudience = { namespace: 'wrong-audience', name: 'app' };
const otherAudience = { namespace: 'other-audience', name: 'app' };
const otherHost = { namespace: 'other-host', name: 'app' };
const trusted = [orders, consent, missing, wrongRole, wrongAudience, otherAudience, otherHost];

let bed: Installation;
let seaweedFS: SeaweedFSBed;
let sts: STSProxy;
let trap: Server;
let trapConnections = 0;

/** A server that nobody is to call. */
async function startTrap(): Promise<string> {
  trap = createServer((socket) => {
    trapConnections++;
    socket.destroy();
  });
  await new Promise<void>((resolve) => trap.listen(0, '127.0.0.1', resolve));
  trap.unref();
  return `http://127.0.0.1:${(trap.address() as AddressInfo).port}`;
}

/** What an unlucky pod's environment says: every way in which the SDK can be told to go elsewhere. */
function hostileEnvironment(url: string): Record<string, string> {
  const config = join(bed.kubernetes.directory, 'hostile-aws-config');
  const credentials = join(bed.kubernetes.directory, 'hostile-aws-credentials');
  writeFileSync(
    config,
    `[profile hostile]\nregion = eu-west-3\nendpoint_url = ${url}\nservices = s\n[services s]\nsts =\n  endpoint_url = ${url}\n`,
  );
  writeFileSync(credentials, '[hostile]\naws_access_key_id = AKIAHOSTILE\naws_secret_access_key = hostile\n');
  return {
    AWS_ENDPOINT_URL: url,
    AWS_ENDPOINT_URL_STS: url,
    AWS_PROFILE: 'hostile',
    AWS_CONFIG_FILE: config,
    AWS_SHARED_CREDENTIALS_FILE: credentials,
    AWS_REGION: 'eu-west-3',
    AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/hostile',
    AWS_WEB_IDENTITY_TOKEN_FILE: config,
    AWS_ACCESS_KEY_ID: 'AKIAHOSTILE',
    AWS_SECRET_ACCESS_KEY: 'hostile',
    AWS_CONTAINER_CREDENTIALS_FULL_URI: url,
    AWS_EC2_METADATA_SERVICE_ENDPOINT: url,
    AWS_USE_FIPS_ENDPOINT: 'true',
    AWS_USE_DUALSTACK_ENDPOINT: 'true',
    AWS_MAX_ATTEMPTS: '10',
    HTTP_PROXY: url,
    HTTPS_PROXY: url,
  };
}

function wanted(key: { namespace: string; name: string }, aws: Record<string, unknown> = {}): Wanted {
  const usual = { roleARN: seaweedFS.roleARN('orders'), region: 'us-east-1', audience: AUDIENCE, endpoint: sts.url };
  return { ...key, aws: { ...usual, ...aws } };
}

interface Pair extends AccessKey {
  readonly expirationMs: number;
}

/** The pair in the Secret's file, as `credential_process` hands it to an SDK. */
function pairOf(data: Readonly<Record<string, string>>): Pair {
  const file = JSON.parse(data['credentials.json'] ?? '{}') as Record<string, string>;
  return {
    accessKeyId: file['AccessKeyId'] ?? '',
    secretAccessKey: file['SecretAccessKey'] ?? '',
    sessionToken: file['SessionToken'] ?? '',
    expirationMs: Date.parse(file['Expiration'] ?? ''),
  };
}

/** undefined when S3 takes the pair, else the name of its refusal. */
async function refusalByS3(pair: AccessKey, key: string): Promise<string | undefined> {
  const client = seaweedFS.s3(pair);
  try {
    const got = await client.send(new GetObjectCommand({ Bucket: 'orders', Key: key }));
    await got.Body?.transformToString();
    return undefined;
  } catch (error) {
    return (error as Error).name;
  } finally {
    client.destroy();
  }
}

/** A pod's rights: to read this one Secret. */
async function readerOf({ namespace, name }: { namespace: string; name: string }): Promise<ClusterClient> {
  const account = `--serviceaccount=${namespace}:reader`;
  await bed.kubectl('create', 'serviceaccount', 'reader', '-n', namespace);
  await bed.kubectl(
    'create',
    'role',
    'reader',
    '-n',
    namespace,
    '--verb=get',
    '--resource=secrets',
    `--resource-name=${name}`,
  );
  await bed.kubectl('create', 'rolebinding', 'reader', '-n', namespace, '--role=reader', account);
  const token = await bed.kubernetes.token(namespace, 'reader');
  return new ClusterClient(bed.kubernetes.server, { caPEM: bed.kubernetes.caPEM, token });
}

/**
 * A Secret volume as kubelet makes it: each content in a directory of its own, and a link that is moved in one step.
 * https://pkg.go.dev/k8s.io/kubernetes/pkg/volume/util#AtomicWriter
 */
class Volume {
  readonly path: string;
  #version = '';

  constructor(path: string) {
    this.path = path;
    mkdirSync(path);
  }

  update({ metadata, data }: SecretSeen): void {
    const version = `..${metadata.resourceVersion ?? ''}`;
    if (version === this.#version) return;
    mkdirSync(join(this.path, version));
    for (const [key, value] of Object.entries(data)) {
      writeFileSync(join(this.path, version, key), value);
      if (this.#version === '') symlinkSync(join('..data', key), join(this.path, key));
    }
    symlinkSync(version, join(this.path, '..data_tmp'));
    renameSync(join(this.path, '..data_tmp'), join(this.path, '..data'));
    if (this.#version !== '') rmSync(join(this.path, this.#version), { recursive: true });
    this.#version = version;
  }
}

/** The stock SDK as a pod has it: nothing but the name of the mounted config file, read anew when it wants to. */
function podClient(volume: Volume): S3Client {
  process.env['AWS_CONFIG_FILE'] = join(volume.path, 'config');
  process.env['AWS_EC2_METADATA_DISABLED'] = 'true';
  return new S3Client({ endpoint: seaweedFS.url, forcePathStyle: true, maxAttempts: 1 });
}

before(async () => {
  bed = await startCluster();
  const subjects = trusted.map(({ namespace, name }) => `system:serviceaccount:${namespace}:${name}`);
  seaweedFS = await startSeaweedFS({
    issuer: bed.kubernetes.issuer,
    caPEM: bed.kubernetes.caPEM,
    audience: AUDIENCE,
    maxSessionLength: `${LIFETIME_SECONDS}s`,
    roles: [{ name: 'orders', subjects, bucket: 'orders' }],
  });
  sts = await bed.addProxy(seaweedFS.url);
  const url = await startTrap();
  const workloads = [...trusted, wrongSubject].filter((key) => key !== missing && key !== consent);
  await bed.createWorkloads([...workloads, { ...consent, consents: false }]);
  await bed.kubectl('create', 'namespace', missing.namespace);
  const namespaces = [...trusted, wrongSubject].map(({ namespace }) => namespace);
  await bed.install({
    scope: scopeFor('clusterWide', namespaces),
    endpoints: [{ url: sts.url, audiences: [AUDIENCE, WRONG_AUDIENCE] }],
    env: hostileEnvironment(url),
  });
});

after(async () => {
  trap?.close();
  await bed?.stop();
  await seaweedFS?.stop();
});

afterEach((context) => {
  if ('error' in context && context.error !== null) process.stderr.write(`${bed.lastLogs()}${seaweedFS.logs()}\n`);
});

describe('a WorkloadCredential', { concurrency: 16 }, () => {
  test('becomes a Secret that S3 takes and that is replaced before any reader gets an expired pair', async (context) => {
    const volume = new Volume(join(bed.kubernetes.directory, 'volume'));
    const appliedAtMs = Date.now();
    await bed.apply(manifest({ ...wanted(orders), spec: { secret: { mountPath: volume.path } } }));
    const issued = await bed.untilIssued(orders);
    context.diagnostic(`apply to Ready seen by a client: ${Date.now() - appliedAtMs} ms`);
    assert.equal(issued.status.cloud, 'AWS');
    assert.equal(issued.status.role, seaweedFS.roleARN('orders'));

    const reader = await readerOf(orders);
    const read = async (): Promise<Pair> => {
      const secret = await reader.secret(orders.namespace, orders.name);
      assert.ok(secret !== undefined, 'the Secret is never away');
      volume.update(secret);
      return pairOf(secret.data);
    };
    const first = await read();
    const client = seaweedFS.s3(first);
    await client.send(new PutObjectCommand({ Bucket: 'orders', Key: 'reader', Body: 'hello' }));
    client.destroy();

    const pod = podClient(volume);
    const seen = new Set<string>();
    let reads = 0;
    let leastLeftMs = Number.POSITIVE_INFINITY;
    let firstRefusedAtMs: number | undefined;
    const deadlineMs = Date.now() + 90_000;
    while (seen.size <= REFRESHES || firstRefusedAtMs === undefined) {
      assert.ok(Date.now() < deadlineMs, `${seen.size - 1} refreshes, the first pair refused: ${firstRefusedAtMs}`);
      const pair = await read();
      seen.add(pair.accessKeyId);
      leastLeftMs = Math.min(leastLeftMs, pair.expirationMs - Date.now());
      assert.equal(await refusalByS3(pair, 'reader'), undefined, `read ${reads}: S3 takes what was just read`);
      const got = await pod.send(new GetObjectCommand({ Bucket: 'orders', Key: 'reader' }));
      assert.equal(await got.Body?.transformToString(), 'hello', `read ${reads}: the SDK in the pod has read it too`);
      reads++;
      if (firstRefusedAtMs === undefined && (await refusalByS3(first, 'reader')) !== undefined) {
        firstRefusedAtMs = Date.now();
      }
      await sleep(100);
    }
    reader.close();
    pod.destroy();
    context.diagnostic(`${reads} reads, ${seen.size - 1} refreshes; the oldest pair read had ${leastLeftMs} ms left`);
    assert.ok(leastLeftMs > 0, `a reader got a pair that ended ${-leastLeftMs} ms ago`);
    // The schedule leaves half of the life; what is asked here leaves a loaded machine its time.
    assert.ok(leastLeftMs > LEAST_LEFT_MS, `a reader got a pair with only ${leastLeftMs} ms left`);
    assert.ok(firstRefusedAtMs >= first.expirationMs - 1_000, 'the Secret said no later end than S3 knows');
    context.diagnostic(`S3 refused the first pair ${firstRefusedAtMs - first.expirationMs} ms after its end`);

    // What is under way while we look has made its token only: this is the complete list of kinds, the next test counts.
    const kinds = new Set(await bed.callsOn(orders));
    assert.equal((await bed.events(orders)).length, 1, 'one Event for the first issue, none for a routine refresh');
    assert.deepEqual([...kinds].toSorted(), [
      'create events shop/orders.* 201',
      'create secrets shop/orders 201',
      'create serviceaccounts/token shop/orders 201',
      'get secrets shop/orders 404',
      'get workloadcredentials shop/orders 200',
      'patch secrets shop/orders 200',
      'patch workloadcredentials/status shop/orders 200',
    ]);
  });

  test('of a ServiceAccount that has not consented is told the kubectl line that consents, and works after it', async () => {
    await bed.apply(manifest(wanted(consent)));
    const { message } = await bed.untilReason(consent, ['Stalled', 'ServiceAccountNotAllowed']);
    assert.equal(
      message,
      'ServiceAccount "app" does not allow this WorkloadCredential to use its identity; if it should, run: kubectl annotate serviceaccount app -n consent --overwrite workloadcredentials.io/allow=app',
    );
    assert.equal(bed.exchanges(consent), 0);
    assert.ok(!(await bed.callsOn(consent)).some((call) => call.includes('token')), 'no token is made without consent');
    const [, command = ''] = /run: kubectl (.*)$/.exec(message) ?? [];
    await bed.kubectl(...command.split(' '));
    await bed.untilIssued(consent);
  });

  test('of a ServiceAccount that does not exist is told so, and works once there is one', async () => {
    await bed.apply(manifest(wanted(missing)));
    const { message } = await bed.untilReason(missing, ['Stalled', 'ServiceAccountNotFound']);
    assert.equal(
      message,
      'spec.serviceAccountName "app" names no ServiceAccount in namespace "missing"; create it (kubectl create serviceaccount app -n missing) or change the field.',
    );
    assert.equal(bed.exchanges(missing), 0);
    await bed.createWorkloads([missing]);
    await bed.untilIssued(missing);
  });

  test('with a role that does not exist is told which role, what STS said and what the token said', async () => {
    await bed.apply(manifest(wanted(wrongRole, { roleARN: seaweedFS.roleARN('unknown') })));
    const { message } = await bed.untilReason(wrongRole, ['Stalled', 'AccessDenied']);
    const host = new URL(sts.url).host;
    assert.ok(
      message.startsWith(`STS at ${host} refused arn:aws:iam::123456789012:role/unknown: AccessDenied`),
      message,
    );
    const said = `The token said issuer "${bed.kubernetes.issuer}", subject "system:serviceaccount:wrong-role:app", audience "${AUDIENCE}".`;
    assert.ok(message.endsWith(said), message);
    assert.equal(await bed.client.secret(wrongRole.namespace, wrongRole.name), undefined);
    await bed.apply(manifest(wanted(wrongRole)));
    await bed.untilIssued(wrongRole);
  });

  test('whose subject the role does not trust is told the subject to trust', async () => {
    await bed.apply(manifest(wanted(wrongSubject)));
    const { message } = await bed.untilReason(wrongSubject, ['Stalled', 'AccessDenied']);
    assert.match(message, /compare the role's trust policy with the token's issuer, subject and audience/);
    assert.match(message, /subject "system:serviceaccount:wrong-subject:stranger"/);
    assert.equal(bed.exchanges(wrongSubject), 1, 'a refusal is not tried again at once');
  });

  test('with an audience that STS does not take is told the audience that the token had', async () => {
    await bed.apply(manifest(wanted(wrongAudience, { audience: WRONG_AUDIENCE })));
    const { message, reason } = await bed.untilReason(wrongAudience, ['Stalled', 'RequestRejected']);
    assert.match(message, new RegExp(`audience "${WRONG_AUDIENCE}"`), reason);
    assert.equal(bed.exchanges(wrongAudience), 1);
    await bed.apply(manifest(wanted(wrongAudience)));
    await bed.untilIssued(wrongAudience);
  });

  test('with an audience that the operator may not use costs no token and no call', async () => {
    await bed.apply(manifest(wanted(otherAudience, { audience: 'https://kubernetes.default.svc' })));
    const { message } = await bed.untilReason(otherAudience, ['Stalled', 'AudienceNotAllowed']);
    assert.match(message, /"https:\/\/kubernetes\.default\.svc"/);
    assert.equal(bed.exchanges(otherAudience), 0);
    assert.ok(!(await bed.callsOn(otherAudience)).some((call) => call.includes('token')));
  });

  test('with an endpoint that the operator may not use costs no token and no byte', async () => {
    const { port } = trap.address() as AddressInfo;
    await bed.apply(manifest(wanted(otherHost, { endpoint: `http://127.0.0.1:${port}` })));
    const { message } = await bed.untilReason(otherHost, ['Stalled', 'EndpointNotAllowed']);
    assert.match(message, new RegExp(`127\\.0\\.0\\.1:${port}`));
    assert.ok(!(await bed.callsOn(otherHost)).some((call) => call.includes('token')));
    await bed.apply(manifest(wanted(otherHost)));
    await bed.untilIssued(otherHost);
  });
});

describe('all of it', () => {
  test('a routine refresh is three Kubernetes calls and one STS call', async () => {
    const stepMs = 200;
    const before = await waitFor(
      'a refresh to be over',
      async () => {
        const calls = await bed.callsOn(orders);
        const tokens = calls.filter((call) => call.startsWith('create serviceaccounts/token')).length;
        const statuses = calls.filter((call) => call.startsWith('patch workloadcredentials/status')).length;
        return tokens === statuses ? { calls: calls.length, exchanges: bed.exchanges(orders) } : undefined;
      },
      { timeoutMs: 5_000, everyMs: stepMs },
    );
    const next = await waitFor(
      'the next refresh',
      async () => {
        const calls = (await bed.callsOn(orders)).slice(before.calls);
        return calls.some((call) => call.startsWith('patch workloadcredentials/status')) ? calls : undefined;
      },
      { timeoutMs: LIFETIME_SECONDS * 1_000, everyMs: stepMs },
    );
    assert.deepEqual(next, [
      'create serviceaccounts/token shop/orders 201',
      'patch secrets shop/orders 200',
      'patch workloadcredentials/status shop/orders 200',
    ]);
    assert.equal(bed.exchanges(orders) - before.exchanges, 1);
    const totals = bed.exchangeTotals();
    assert.equal(totals.calls, totals.tokens, 'each exchange has a fresh token, and nothing else was asked of STS');
  });

  test('the environment sends no byte anywhere else', () => {
    assert.equal(trapConnections, 0);
  });

  test('no error is logged, and no call to the API server was forbidden', async () => {
    assert.deepEqual(
      bed.logged('error').map(({ text }) => text),
      [],
    );
    const forbidden = (await bed.calls()).filter(({ responseStatus }) => responseStatus?.code === 403);
    assert.deepEqual(forbidden, []);
  });

  test('nothing that was emitted holds a secret that was really issued', async (context) => {
    const secrets = bed.secrets();
    context.diagnostic(`${secrets.length} secrets looked for`);
    assert.ok(secrets.length > 3 * REFRESHES);
    const secret = await bed.client.secret(orders.namespace, orders.name);
    const { secretAccessKey, sessionToken = '' } = pairOf(secret?.data ?? {});
    assert.ok(
      secrets.includes(secretAccessKey) && secrets.includes(sessionToken),
      'what is in the Secret is looked for',
    );
    assert.deepEqual(await bed.scan(), []);
  });

  test('the scan fires on an operator that logs a key in hexadecimal', async () => {
    const [before = '', after, ...others] = readFileSync(BUNDLE, 'utf8').split(AUDIT_FIELD);
    assert.ok(after !== undefined && others.length === 0, 'the audit line is there once');
    const main = join(bed.kubernetes.directory, 'mutant.mjs');
    writeFileSync(main, `${before}${MUTANT_FIELD}${after}`);
    bed.operator.signal('SIGTERM');
    assert.deepEqual(await bed.operator.exited, { code: 0, signal: null });
    const mutant = await bed.start({ main });
    await mutant.waitForLog('credential issued');
    const findings = await bed.scan();
    assert.notDeepEqual(findings, []);
    const index = bed.operators.length - 1;
    assert.deepEqual(
      new Set(findings.map(({ corpus, form }) => `${corpus}: ${form}`)),
      new Set([`log of operator ${index}: hexadecimal`]),
    );
  });
});
