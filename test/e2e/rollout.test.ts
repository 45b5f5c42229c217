// Shows what docs/upgrading.md says, by its own commands, on a real API server with real Helm: the last release's chart and CRD
// are upgraded to this checkout's, rolled back, upgraded again, uninstalled and installed anew with live objects, and a rolling
// update goes through replicas under load. Nothing that is not due costs an exchange or a write. Of the former release there are
// the chart, the CRD and the program (test/fixtures/releases): each step runs the program that belongs to its chart, and under
// load replicas of both work side by side.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { load } from 'js-yaml';
import { formerRelease, releaseDirectory } from '../../tools/release-fixture.ts';
import { askedVersion, ensureBinaries } from '../beds/binaries.ts';
import { runCommand } from '../beds/command.ts';
import type { STSProxy } from '../beds/intercepting-proxy.ts';
import type { OperatorProcess } from '../beds/operator.ts';
import { ensureReleaseProgram } from '../beds/release-program.ts';
import { type SeaweedFSBed, startSeaweedFS } from '../beds/seaweedfs.ts';
import { waitFor } from '../beds/wait.ts';
import { type AuditEvent, describeCall, isWrite } from '../support/audit.ts';
import { conditionOf, credentialsPath, type CredentialSeen } from '../support/cluster-client.ts';
import { formerAnnotations, type SecretOnWire } from '../support/former-release.ts';
import {
  type EndpointChoice,
  type Installation,
  manifest,
  startCluster,
  SYSTEM_NAMESPACE,
} from '../support/installation.ts';
import { subjectOf, watchFleet } from '../support/fleet-watch.ts';
import { scopeFor } from '../support/scope.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const DOCUMENT = 'docs/upgrading.md';
const AUDIENCE = 'sts.seaweedfs.test';
const GROUP = 'workloadcredentials.io';
const WORKS = 'this replica works';
const MERGE = 'application/merge-patch+json';
const SOON = { timeoutMs: 30_000, everyMs: 100 };
/** A CRD that was changed is served as such a moment later, and fences are in force about two seconds later. */
const IN_FORCE_MS = 3_000;

/** Credentials of an hour: none is due. */
const LIVE = Array.from({ length: 12 }, (_, index) => ({ namespace: 'shop', name: `orders-${index}` }));
/** Credentials that live for seconds: there is always one due. */
const BUSY = Array.from({ length: 50 }, (_, index) => ({ namespace: 'busy', name: `app-${index}` }));
const BUSY_LIFE_MS = 20_000;
const ROUNDS = 4;
/** Objects that use every field; nobody exchanges for them: their ServiceAccounts do not consent. */
const SPECS = 'specs';
type Key = (typeof LIVE)[number];

let bed: Installation;
let seaweedFS: SeaweedFSBed;
let shortLived: SeaweedFSBed;
let sts: STSProxy;
let busySTS: STSProxy;
/** Those that run, the older first: what a Deployment of two replicas has. */
let replicas: OperatorProcess[] = [];
/** Which program a new replica runs; the chart that is installed decides, but where a test wants the other. */
type Program = 'former' | 'present';
let program: Program = 'former';
let formerMain = '';
/** Arguments of this checkout's chart that the former program does not know. */
const NEW_ARGUMENTS = /^--expect-fences/;

/** The shell blocks under a heading of the document, with the bed's namespace in the place of the document's. */
function commandsUnder(heading: string): string {
  const text = readFileSync(join(ROOT, DOCUMENT), 'utf8');
  const [, section] = text.split(`\n## ${heading}\n`);
  assert.ok(section !== undefined, `${DOCUMENT} has the heading "${heading}"`);
  const [own = ''] = section.split('\n## ');
  const blocks = own.matchAll(/<!-- tested by: test\/e2e\/rollout\.test\.ts -->\n```sh\n([\s\S]*?)^```$/gm);
  const commands = [...blocks].map(([, block = '']) => block).join('');
  assert.notEqual(commands, '', `there is a block under "${heading}" that is tested here`);
  return commands.replaceAll(/(-n|--namespace) workload-credentials\b/g, `$1 ${SYSTEM_NAMESPACE}`);
}

/** Runs what the document says under a heading, in a directory that looks like the checkout; gives what it printed. */
async function follow(heading: string): Promise<string> {
  const directory = join(bed.kubernetes.directory, 'reader');
  const bin = join(directory, 'bin');
  if (mkdirSync(bin, { recursive: true }) !== undefined) {
    const binaries = await ensureBinaries(['helm', 'kubectl']);
    for (const name of ['helm', 'kubectl'] as const) symlinkSync(binaries.path(name), join(bin, name));
    for (const name of ['helm', 'crds', 'deploy']) symlinkSync(join(ROOT, name), join(directory, name));
  }
  const env = { PATH: `${bin}:/usr/bin:/bin`, HOME: directory, KUBECONFIG: bed.kubernetes.admin.file };
  const script = ['-euo', 'pipefail', '-c', commandsUnder(heading)];
  const { code, stdout, stderr } = await runCommand('/bin/bash', script, { cwd: directory, env, timeoutMs: 60_000 });
  assert.equal(code, 0, `${heading}: ${stdout}${stderr}`);
  return stdout;
}

function wanted(key: Key, roleARN: string, { url }: STSProxy): object {
  return manifest({ ...key, aws: { roleARN, region: 'us-east-1', audience: AUDIENCE, endpoint: url } });
}

async function send(method: string, path: string, body: object, type?: string): Promise<object> {
  const answer = await bed.client.send(method, path, body, type);
  assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body as object;
}

type Stored = CredentialSeen & { readonly spec: object };

async function storedIn(namespace: string): Promise<readonly Stored[]> {
  return (await bed.client.get<{ items: Stored[] }>(credentialsPath(namespace)))?.items ?? [];
}

/** What an upgrade may change of no object: spec and generation, and what the operator has told of it. */
async function allStored(): Promise<Map<string, unknown>> {
  const all = [...(await storedIn(SPECS)), ...(await storedIn('shop'))];
  return new Map(
    all.map(({ metadata: { namespace, name, uid, generation }, spec, status }) => [
      `${namespace}/${name}`,
      { uid, generation, spec, status },
    ]),
  );
}

async function secretVersions(): Promise<Record<string, string | undefined>> {
  const versions: Record<string, string | undefined> = {};
  for (const { namespace, name } of LIVE) {
    versions[name] = (await bed.client.secret(namespace, name))?.metadata.resourceVersion;
  }
  return versions;
}

/** Writes each object without changing it, but for a label: what the CRD of the day does not know is gone then. */
async function storeAnew(value: string): Promise<void> {
  for (const namespace of [SPECS, 'shop']) {
    await bed.kubectl('label', 'wcred', '--all', '-n', namespace, '--overwrite', `stored-anew=${value}`);
  }
}

async function startReplica(): Promise<OperatorProcess> {
  const replica = await bed.start(program === 'former' ? { main: formerMain, without: NEW_ARGUMENTS } : {});
  replicas.push(replica);
  return replica;
}

async function stopReplica(replica: OperatorProcess): Promise<void> {
  replica.signal('SIGTERM');
  assert.deepEqual(await replica.exited, { code: 0, signal: null });
  replicas = replicas.filter((each) => each !== replica);
}

function leader(): OperatorProcess | undefined {
  return replicas.find(({ lines }) => lines.some(({ fields }) => fields?.['message'] === WORKS));
}

async function untilOneWorks(): Promise<OperatorProcess> {
  return await waitFor('a replica to work', leader, { timeoutMs: 40_000 });
}

/**
 * Replaces both replicas as a Deployment does with its defaults: one more is started, and when it is ready an old one is
 * ended; then the same for the other.
 */
async function roll(first: 'leader' | 'standby' = 'leader'): Promise<void> {
  const old = [...replicas];
  const leading = leader();
  const order = old.toSorted((a, b) => Number(b === leading) - Number(a === leading));
  if (first === 'standby') order.reverse();
  for (const replica of order) {
    await startReplica();
    await stopReplica(replica);
  }
}

/** Waits until the one that works has looked at every object at least once since it works. */
async function untilLookedAt(count: number): Promise<void> {
  const works = await untilOneWorks();
  const looked = async (): Promise<boolean> => {
    const counts = [...(await works.metrics()).matchAll(/^controller_runtime_reconcile_total\{.*\} (\d+)$/gm)];
    return counts.reduce((sum, [, each]) => sum + Number(each), 0) >= count;
  };
  await waitFor('a look at each', looked, SOON);
}

async function requestRefresh({ namespace, name }: Key, value: string): Promise<void> {
  await bed.kubectl('annotate', 'wcred', name, '-n', namespace, '--overwrite', `${GROUP}/refresh-requested=${value}`);
  await bed.until(
    { namespace, name },
    'the refresh',
    ({ status }) => status.lastHandledRefreshRequest === value,
    30_000,
  );
}

/** What somebody with the operator's token is refused, by a fence and by RBAC. */
async function assertFencedIn(): Promise<void> {
  const thief = bed.thief();
  const path = '/api/v1/namespaces/shop/serviceaccounts/orders-0/token';
  const request = (spec: object): object => ({ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec });
  const fenced = await thief.send(
    'POST',
    path,
    request({ audiences: [bed.kubernetes.issuer], expirationSeconds: 600 }),
  );
  assert.equal(fenced.status, 403);
  assert.match(JSON.stringify(fenced.body), /ValidatingAdmissionPolicy.*one audience only/);
  assert.equal(
    (await thief.send('POST', path, request({ audiences: [AUDIENCE], expirationSeconds: 600 }))).status,
    201,
  );
  const foreign = await thief.send(
    'PATCH',
    '/api/v1/namespaces/shop/secrets/foreign',
    { data: { theirs: 'eA==' } },
    MERGE,
  );
  assert.match(JSON.stringify(foreign.body), /ValidatingAdmissionPolicy/);
  for (const [method, other] of [
    ['GET', '/api/v1/namespaces/shop/configmaps'],
    ['PUT', '/api/v1/namespaces/shop/secrets/foreign'],
    ['DELETE', `${credentialsPath('shop', 'orders-0')}`],
  ] as const) {
    const { status, body } = await thief.send(method, other, method === 'PUT' ? {} : undefined);
    assert.equal(status, 403, `${method} ${other}`);
    assert.doesNotMatch(JSON.stringify(body), /ValidatingAdmissionPolicy/);
  }
  thief.close();
}

/** Calls that are neither part of keeping the caches nor of holding the Lease. */
function isWork({ verb, objectRef }: AuditEvent): boolean {
  return verb !== 'list' && verb !== 'watch' && objectRef?.resource !== 'leases';
}

let step = 0;

/**
 * A change of what is installed, and all that has to hold after it: the replicas are replaced, nothing that is not due costs
 * an exchange, a write or a GET, no object is changed by its CRD, the operator works, fences and RBAC are in force.
 */
async function change(act: () => Promise<void>): Promise<string> {
  const stored = await allStored();
  const versions = await secretVersions();
  const exchanges = bed.exchangeTotals().calls;
  const calls = (await bed.calls()).length;
  await act();
  while (replicas.length < 2) await startReplica();
  await roll();
  await untilLookedAt(stored.size);
  await sleep(IN_FORCE_MS);
  const made = (await bed.calls()).slice(calls);
  assert.deepEqual(made.filter(isWork).map(describeCall), [], 'no write, no GET of an object, no token');
  assert.equal(bed.exchangeTotals().calls, exchanges, 'no exchange');
  assert.deepEqual(await secretVersions(), versions, 'no Secret was written');
  assert.deepEqual(await allStored(), stored, 'no object was changed');
  step += 1;
  await storeAnew(String(step));
  assert.deepEqual(await allStored(), stored, 'nothing was pruned by a write');
  await sleep(1_000);
  assert.equal(bed.exchangeTotals().calls, exchanges, 'nor was a label anything to exchange for');
  const forced = LIVE[step % LIVE.length] ?? assert.fail('a key');
  await requestRefresh(forced, `step-${step}`);
  assert.equal(bed.exchangeTotals().calls, exchanges + 1, 'the operator works');
  await assertFencedIn();
  const refused = (await bed.calls()).slice(calls).filter(({ responseStatus, userAgent = '' }) => {
    return responseStatus?.code === 403 && userAgent.startsWith('workload-credentials/');
  });
  assert.deepEqual(refused.map(describeCall), []);
  return `${stored.size} objects, ${LIVE.length} credentials not due: 0 exchanges, 0 writes; ${made.length} lists, watches and calls for the Lease`;
}

interface SpecCase {
  readonly name: string;
  readonly object: { readonly metadata: object; readonly spec: { readonly serviceAccountName: string } };
}

/** Objects of every kind that the former CRD takes; names of those that only this one does. */
async function storeSpecs(): Promise<string[]> {
  const cases = load(readFileSync(join(ROOT, 'test/fixtures/good-specs.yaml'), 'utf8')) as SpecCase[];
  const accounts = new Set(cases.map(({ object }) => object.spec.serviceAccountName));
  await bed.createWorkloads([...accounts].map((name) => ({ namespace: SPECS, name, consents: false })));
  const onlyNow: string[] = [];
  for (const [index, { name, object }] of cases.entries()) {
    const renamed = { ...object, metadata: { ...object.metadata, name: `spec-${index}` } };
    const { status } = await bed.client.send('POST', `${credentialsPath(SPECS)}?fieldValidation=Strict`, renamed);
    if (status !== 201) onlyNow.push(`${name} (${status})`);
  }
  assert.ok(cases.length - onlyNow.length >= 5, onlyNow.join());
  return onlyNow;
}

const former = formerRelease();
const formerChart = fileURLToPath(new URL('chart', releaseDirectory(former)));
const endpointsOf = (...proxies: readonly STSProxy[]): EndpointChoice[] =>
  proxies.map(({ url }) => ({ url, audiences: [AUDIENCE] }));

before(async () => {
  formerMain = await ensureReleaseProgram(former);
  bed = await startCluster();
  const subjects = [...LIVE, ...BUSY].map(({ namespace, name }) => `system:serviceaccount:${namespace}:${name}`);
  const usual = {
    issuer: bed.kubernetes.issuer,
    caPEM: bed.kubernetes.caPEM,
    audience: AUDIENCE,
    roles: [{ name: 'app', subjects, bucket: 'app' }],
  };
  seaweedFS = await startSeaweedFS(usual);
  shortLived = await startSeaweedFS({ ...usual, maxSessionLength: `${BUSY_LIFE_MS / 1_000}s` });
  sts = await bed.addProxy(seaweedFS.url);
  busySTS = await bed.addProxy(shortLived.url);
  await bed.createWorkloads([...LIVE, ...BUSY]);
  await bed.kubectl('create', 'secret', 'generic', 'foreign', '-n', 'shop', '--from-literal=theirs=kept');
  await bed.kubectl('create', 'namespace', SPECS);
  const scope = scopeFor('clusterWide', ['shop', 'busy', SPECS]);
  const first = await bed.install({ scope, endpoints: endpointsOf(sts, busySTS), chart: formerChart });
  // That was this checkout's program.
  first.signal('SIGTERM');
  assert.deepEqual(await first.exited, { code: 0, signal: null });
  await startReplica();
  await startReplica();
});

after(async () => {
  await bed?.stop();
  await seaweedFS?.stop();
  await shortLived?.stop();
});

afterEach((context) => {
  if ('error' in context && context.error !== null) process.stderr.write(`${bed.lastLogs().slice(-20_000)}\n`);
});

describe(`the chart and the CRD of ${former}, with live objects,`, { timeout: 240_000 }, () => {
  before(async () => {
    const only = await storeSpecs();
    if (only.length > 0) process.stderr.write(`taken by this CRD and not by that of ${former}: ${only.join(', ')}\n`);
    await bed.apply(...LIVE.map((key) => wanted(key, seaweedFS.roleARN('app'), sts)));
    for (const key of LIVE) await bed.untilIssued(key, 40_000);
    assert.equal(bed.exchangeTotals().calls, LIVE.length);
    const isTold = ({ status }: Stored): boolean => (status.conditions ?? []).length > 0;
    const areTold = async (): Promise<boolean> => (await storedIn(SPECS)).every(isTold);
    await waitFor('every object to be told about', areTold, SOON);
    // The first failures are told twice as Events, soon after another; then all is quiet.
    await sleep(2_000);
  });

  test('are installed by Helm with the CRD before the Deployment, so that no replica meets an older CRD', async () => {
    // Helm 4 applies on the server, so that what is made is a patch in the audit log; Helm 3 creates.
    const made = (await bed.kubernetes.audit()).filter((call) => isWrite(call) && /helm/i.test(call.userAgent ?? ''));
    const at = (resource: string): number => made.findIndex(({ objectRef }) => objectRef?.resource === resource);
    const order = ['customresourcedefinitions', 'clusterroles', 'deployments'].map(at);
    assert.ok(
      order.every((index) => index >= 0),
      `${order.join()} of ${made.map(describeCall).join('\n')}`,
    );
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
    );
  });

  test('are looked at before they are upgraded, by a dry run that changes nothing', async () => {
    const stored = await allStored();
    const before = await bed.kubectl(
      'get',
      'deployments,clusterroles,crd',
      '-A',
      '-o',
      'name',
      '--show-managed-fields',
    );
    const printed = await follow('Look first');
    assert.match(printed, /orders-0\s/);
    assert.match(printed, /kind: Deployment/);
    assert.deepEqual(await allStored(), stored);
    assert.equal(
      await bed.kubectl('get', 'deployments,clusterroles,crd', '-A', '-o', 'name', '--show-managed-fields'),
      before,
    );
  });

  test('are upgraded to this checkout at no cost', async (context) => {
    program = 'present';
    const upgrade = async (): Promise<void> => void (await follow('Upgrade'));
    context.diagnostic(await change(async () => await bed.changeBy(upgrade)));
  });

  test('show in the commands of the document who leads and what is not well', async () => {
    const printed = await follow('Watch');
    const lease = await bed.kubectl('get', 'lease', 'workload-credentials', '-n', SYSTEM_NAMESPACE, '-o', 'json');
    const { holderIdentity } = (JSON.parse(lease) as { spec: { holderIdentity: string } }).spec;
    assert.ok(printed.includes(holderIdentity), printed);
    const notWell = printed.split('\n').filter((line) => /^(shop|specs)\//.test(line));
    const expected = (await storedIn(SPECS)).filter((seen) => conditionOf(seen, 'Ready')?.status !== 'True');
    assert.deepEqual(
      notWell.map((line) => line.split(' ')[0] ?? '').toSorted(),
      expected.map(({ metadata }) => `${SPECS}/${metadata.name}`).toSorted(),
    );
  });

  test('are rolled back at no cost, with Secrets whose hashes a newer release has made', async (context) => {
    for (const replica of replicas) await stopReplica(replica);
    for (const { namespace, name } of LIVE.slice(0, LIVE.length / 2)) {
      const path = `/api/v1/namespaces/${namespace}/secrets/${name}`;
      const secret = await bed.client.get<SecretOnWire>(path);
      assert.ok(secret !== undefined);
      const annotations = formerAnnotations(secret, 'v9.0123456789abcdef0123456789abcdef');
      const { metadata } = (await send('PATCH', path, { metadata: { annotations } }, MERGE)) as {
        metadata: { resourceVersion: string };
      };
      const status = { status: { secret: { resourceVersion: metadata.resourceVersion } } };
      await send('PATCH', `${credentialsPath(namespace, name)}/status`, status, MERGE);
    }
    program = 'former';
    const rollBack = async (): Promise<void> => void (await follow('Roll back'));
    context.diagnostic(await change(async () => await bed.changeBy(rollBack, formerChart)));
  });

  test('are upgraded once more at no cost', async (context) => {
    program = 'present';
    const upgrade = async (): Promise<void> => void (await follow('Upgrade'));
    context.diagnostic(await change(async () => await bed.changeBy(upgrade)));
  });

  test('would not pass with a CRD that forgets a field', async () => {
    const path = join(ROOT, 'crds/workloadcredentials.io_workloadcredentials.yaml');
    const whole = readFileSync(path, 'utf8');
    const crd = load(whole) as { spec: { versions: { schema: { openAPIV3Schema: unknown } }[] } };
    const schema = crd.spec.versions[0]?.schema.openAPIV3Schema as {
      properties: { status: { properties: { secret: { properties: Record<string, unknown> } } } };
    };
    delete schema.properties.status.properties.secret.properties['resourceVersion'];
    const replace = async (text: string): Promise<void> => {
      const done = await bed.kubernetes.kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], {
        stdin: text,
      });
      assert.equal(done.code, 0, done.stderr);
    };
    for (const replica of replicas) await stopReplica(replica);
    const key = LIVE.at(-1) ?? assert.fail('a key');
    const told = async (): Promise<string | undefined> =>
      (await bed.client.credential(key.namespace, key.name))?.status.secret?.resourceVersion;
    const before = await told();
    assert.ok(before !== undefined);
    await replace(JSON.stringify(crd));
    const isPruned = async (): Promise<boolean> => {
      await bed.kubectl('label', 'wcred', key.name, '-n', key.namespace, '--overwrite', `at=${Date.now()}`);
      return (await told()) === undefined;
    };
    await waitFor('the field to be pruned', isPruned, SOON);
    await replace(whole);
    const isKept = async (): Promise<boolean> => {
      const status = { status: { secret: { resourceVersion: before } } };
      await send('PATCH', `${credentialsPath(key.namespace, key.name)}/status`, status, MERGE);
      return (await told()) === before;
    };
    await waitFor('the field to be kept again', isKept, SOON);
    await startReplica();
    await startReplica();
  });
});

describe(`a rolling update under load, ${ROUNDS} rounds of both replicas, from one release to the other and back, with ${BUSY.length} credentials of ${BUSY_LIFE_MS / 1_000} s,`, {
  timeout: 240_000,
}, () => {
  test('exchanges nothing twice, expires nothing and loses no write', async (context) => {
    const { strategy } = JSON.parse(
      await bed.kubectl('get', 'deployment', 'wc', '-n', SYSTEM_NAMESPACE, '-o', 'jsonpath={.spec}'),
    ) as { strategy: { type: string; rollingUpdate: object } };
    assert.deepEqual(strategy, { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } });

    await bed.apply(...BUSY.map((key) => wanted(key, shortLived.roleARN('app'), busySTS)));
    for (const key of BUSY) await bed.untilIssued(key, 60_000);
    const fleet = watchFleet(bed.client, 'busy');
    const exchanges = busySTS.exchanges.length;
    const startedMs = Date.now();
    for (let round = 0; round < ROUNDS; round += 1) {
      // A newer release comes, is taken back, and so on: each hand-over is from one program to the other.
      program = round % 2 === 0 ? 'former' : 'present';
      await roll(round < ROUNDS / 2 ? 'leader' : 'standby');
      await untilOneWorks();
      await sleep(2_000);
    }
    // The longest pause that a refresh has by itself, so that each key has had one more after the last hand-over.
    await sleep(BUSY_LIFE_MS / 2);
    const tookMs = Date.now() - startedMs;
    for (const replica of replicas) await stopReplica(replica);
    await sleep(500);
    const seen = await fleet.stop();

    const made = busySTS.exchanges.slice(exchanges);
    assert.ok(made.length >= BUSY.length * 3, `${made.length} exchanges are a load`);
    assert.deepEqual(made.filter(({ accessKeyID }) => accessKeyID === undefined).length, 0, 'each was answered');
    const gapsMs = BUSY.flatMap((key) => {
      const subject = `system:serviceaccount:${key.namespace}:${key.name}`;
      const times = busySTS.exchanges
        .filter(({ token }) => subjectOf(token) === subject)
        .map((each) => each.receivedAtMs);
      return times.slice(1).map((time, index) => time - (times[index] ?? 0));
    });
    // Due at half of the life, up to a tenth of it earlier (src/credential/schedule.ts), less what both ends are rounded by. A
    // second exchange for the same due refresh would come with the hand-over, within three seconds.
    const leastMs = BUSY_LIFE_MS * 0.4 - 2_000;
    const shortest = Math.min(...gapsMs);
    assert.ok(shortest >= leastMs, `a key was exchanged again after ${shortest} ms`);
    assert.ok(seen.leastLeftMs > 0, `a Secret had ended ${-seen.leastLeftMs} ms ago`);
    assert.equal(seen.absences, 0, 'no Secret was ever away');
    const lost = made.filter(({ accessKeyID = '' }) => !seen.accessKeyIDs.has(accessKeyID));
    assert.equal(lost.length, 0, 'what STS gave was in a Secret');
    const writes = (await bed.calls()).filter((call) => isWrite(call) && call.objectRef?.namespace === 'busy');
    const written = writes.filter(({ objectRef }) => objectRef?.resource === 'secrets').map(describeCall);
    // From the very first on: between two servers' records there is no moment at which both could be cut.
    assert.equal(written.length, busySTS.exchanges.length, 'one write for each exchange');
    assert.deepEqual(
      written.filter((call) => !/^(patch .* 200|create .* 201)$/.test(call)),
      [],
    );
    for (const { metadata, status } of await storedIn('busy')) {
      assert.equal(
        status.accessKeyID,
        seen.last.get(metadata.name),
        `${metadata.name}: the status tells what is in the Secret`,
      );
    }
    context.diagnostic(
      `${2 * ROUNDS} replicas replaced in ${Math.round(tookMs / 1_000)} s: ${made.length} exchanges, as many writes; ` +
        `shortest pause of a key ${shortest} ms of at least ${leastMs}; ${seen.looks} looks at ${BUSY.length} Secrets, ` +
        `${Math.floor(seen.leastLeftMs / 1_000)} s left at least`,
    );
  });

  after(async () => {
    program = 'present';
    await bed.kubectl('delete', 'wcred', '--all', '-n', 'busy');
    while (replicas.length < 2) await startReplica();
    await untilOneWorks();
  });
});

describe('helm uninstall', { timeout: 240_000 }, () => {
  test('leaves the CRD, the WorkloadCredentials and their Secrets, which a fresh install takes over at no cost', async (context) => {
    const uninstallAndInstall = async (): Promise<void> => {
      const before = { stored: await allStored(), versions: await secretVersions() };
      await bed.uninstallBy(async () => void (await follow('Take it away')));
      replicas = [];
      assert.deepEqual(await allStored(), before.stored);
      assert.deepEqual(await secretVersions(), before.versions);
      assert.equal(
        await bed.kubectl(
          'get',
          'deployments,clusterroles,validatingadmissionpolicies',
          '-A',
          '-l',
          'app.kubernetes.io/instance=wc',
          '-o',
          'name',
        ),
        '',
      );
      const other = [
        'install',
        'other',
        join(ROOT, 'helm'),
        '--namespace',
        SYSTEM_NAMESPACE,
        '--set',
        'clusterWide=true',
        '--dry-run=server',
      ];
      const refused = await bed.kubernetes.helm(other);
      assert.match(
        refused.stderr,
        /CustomResourceDefinition.*invalid ownership metadata/s,
        'another name is refused the CRD',
      );
      // Helm knows it from 3.17 on, as the document says.
      if (askedVersion('helm') !== '3.14') {
        const taking = await bed.kubernetes.helm([...other, '--take-ownership']);
        assert.equal(taking.code, 0, taking.stderr);
      }
      const without = await bed.kubernetes.helm([...other, '--set', 'crd.install=false']);
      assert.equal(without.code, 0, without.stderr);
      await bed.changeBy(async () => void (await follow('Put it back')));
    };
    context.diagnostic(await change(uninstallAndInstall));
  });

  test('and all before it logged no error', () => {
    assert.deepEqual(
      bed.logged('error').map(({ text }) => text),
      [],
    );
  });
});
