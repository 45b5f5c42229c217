// Shows that an upgrade is no event: the chart of a former release (test/fixtures/releases) is installed by Helm, its own program
// issues 1,000 credentials, and neither the upgrade to this checkout's chart, CRD and program, nor a restart, nor Secrets that
// carry hashes of an older version cost an exchange, a write or a GET of one object. Counted in the API server's audit log and
// at STS.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ANNOTATION_REQUEST_HASH } from '../../src/api/names.ts';
import { formerRelease, releaseDirectory } from '../../tools/release-fixture.ts';
import type { OperatorProcess } from '../beds/operator.ts';
import { ensureReleaseProgram } from '../beds/release-program.ts';
import { type SeaweedFSBed, startSeaweedFS } from '../beds/seaweedfs.ts';
import { waitFor } from '../beds/wait.ts';
import { describeCall } from '../support/audit.ts';
import { conditionOf, credentialsPath, type CredentialSeen } from '../support/cluster-client.ts';
import { countOf, type FaultName, tellFault } from '../support/fault-report.ts';
import { formerAnnotations, type SecretOnWire } from '../support/former-release.ts';
import { type Installation, manifest, startCluster } from '../support/installation.ts';
import { scopeFor } from '../support/scope.ts';

const AUDIENCE = 'sts.seaweedfs.test';
const NAMESPACE = 'shop';
const ACCOUNT = 'app';
const WORKS = 'this replica works';
const NAMES = Array.from({ length: 1_000 }, (_, index) => `orders-${index}`);
/** At once: more would only wait in the client. */
const PARALLEL = 4;
const FAST_STS = ['--sts-requests-per-second=500', '--sts-burst=1000'];
const SLOW_LIMITS = /^--sts-(requests-per-second|burst)=/;
const PATCH = 'application/merge-patch+json';

const former = formerRelease();
let formerMain = '';
let bed: Installation;
let seaweedFS: SeaweedFSBed;

interface List<T> {
  readonly items: readonly T[];
}

const secretsPath = `/api/v1/namespaces/${NAMESPACE}/secrets`;

function wanted(name: string): object {
  const aws = { roleARN: seaweedFS.roleARN('app'), region: 'us-east-1', audience: AUDIENCE };
  const object = { namespace: NAMESPACE, name, serviceAccountName: ACCOUNT };
  return manifest({ ...object, aws: { ...aws, endpoint: bed.proxies[0]?.url } });
}

/** Does something for each name, a few at a time. */
async function forEach(names: readonly string[], work: (name: string) => Promise<void>): Promise<void> {
  const queue = names[Symbol.iterator]();
  const worker = async (): Promise<void> => {
    for (const name of queue) await work(name);
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
}

async function send(method: string, path: string, body: object, contentType?: string): Promise<object> {
  const answer = await bed.client.send(method, path, body, contentType);
  assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body as object;
}

async function credentials(): Promise<readonly CredentialSeen[]> {
  return (await bed.client.get<List<CredentialSeen>>(credentialsPath(NAMESPACE)))?.items ?? [];
}

function stsCalls(): number {
  return bed.exchangeTotals().calls;
}

/** @param main another program than this checkout's. */
async function start(main?: string): Promise<OperatorProcess> {
  const program = main === undefined ? {} : { main };
  const operator = await bed.start({ without: SLOW_LIMITS, args: FAST_STS, ...program });
  await operator.waitForLog(WORKS, 40_000);
  return operator;
}

async function stop(): Promise<void> {
  bed.operator.signal('SIGTERM');
  assert.equal((await bed.operator.exited).code, 0);
}

before(async () => {
  const chart = new URL('chart/', releaseDirectory(former));
  formerMain = await ensureReleaseProgram(former);
  bed = await startCluster();
  seaweedFS = await startSeaweedFS({
    issuer: bed.kubernetes.issuer,
    caPEM: bed.kubernetes.caPEM,
    audience: AUDIENCE,
    roles: [{ name: 'app', subjects: [`system:serviceaccount:${NAMESPACE}:${ACCOUNT}`], bucket: 'app' }],
  });
  const { url } = await bed.addProxy(seaweedFS.url);
  await bed.createWorkloads([{ namespace: NAMESPACE, name: ACCOUNT }]);
  const endpoints = [{ url, audiences: [AUDIENCE] }];
  await bed.install({ scope: scopeFor('clusterWide', [NAMESPACE]), endpoints, chart: fileURLToPath(chart) });
  await stop();
});

after(async () => {
  await bed?.stop();
  await seaweedFS?.stop();
});

afterEach((context) => {
  if ('error' in context && context.error !== null) process.stderr.write(`${bed.lastLogs().slice(-20_000)}\n`);
});

describe('1,000 credentials that are not due', { timeout: 240_000 }, () => {
  /** Starts the program anew and tells what it asked of both servers until it was done looking. */
  async function startAnew(context: Parameters<typeof tellFault>[0], fault: FaultName): Promise<void> {
    const reader = bed.reader({ namespace: NAMESPACE, name: NAMES[0] ?? '' });
    const calls = (await bed.calls()).length;
    const sts = stsCalls();
    const operator = await start();
    const looked = async (): Promise<boolean> => {
      const counts = [...(await operator.metrics()).matchAll(/^controller_runtime_reconcile_total\{.*\} (\d+)$/gm)];
      return counts.reduce((sum, [, count]) => sum + Number(count), 0) >= NAMES.length;
    };
    await waitFor('a look at each', looked, { timeoutMs: 30_000, everyMs: 200 });
    await sleep(2_000);
    assert.equal(stsCalls(), sts, 'no call to STS');
    const made = (await bed.calls()).slice(calls).filter(({ objectRef }) => objectRef?.resource !== 'leases');
    const others = made.filter(({ verb }) => verb !== 'list' && verb !== 'watch');
    assert.deepEqual(others.map(describeCall), [], 'no write, and no GET of an object');
    const lists = made.filter(({ verb }) => verb === 'list').length;
    // Two thousand objects in pages of 500, once at the start and once with the Lease.
    assert.ok(lists <= 20, `${lists} lists`);
    await reader.assertNeverExpired();
    const did = `0 exchanges, 0 writes, 0 GETs of an object: ${countOf(lists, 'list')} of at most 500 each`;
    tellFault(context, { fault, bed: 'real', did, seen: reader.describe() });
  }

  test(`are issued by the chart and the program of ${former}`, async (context) => {
    const sinceMs = performance.now();
    await start(formerMain);
    await forEach(NAMES, async (name) => {
      await send('POST', credentialsPath(NAMESPACE), wanted(name));
    });
    const isIssued = (seen: CredentialSeen): boolean => conditionOf(seen, 'Ready')?.reason === 'Issued';
    const all = async (): Promise<boolean> => (await credentials()).filter(isIssued).length === NAMES.length;
    await waitFor('all to be issued', all, { timeoutMs: 120_000, everyMs: 1_000 });
    assert.equal(stsCalls(), NAMES.length);
    context.diagnostic(`${NAMES.length} issued in ${Math.round(performance.now() - sinceMs)} ms`);
    await stop();
  });

  test(`cost the upgrade from ${former} no exchange, no write and no GET`, async (context) => {
    const generations = (await credentials()).map(({ metadata }) => metadata.generation);
    await bed.upgrade();
    await startAnew(context, 'upgrade from the last release, 1,000 not due');
    assert.deepEqual(
      (await credentials()).map(({ metadata }) => metadata.generation),
      generations,
      'the new CRD changes no stored spec',
    );
    await stop();
  });

  test('cost a restart no exchange, no write and no GET', async (context) => {
    await startAnew(context, 'restart with 1,000 credentials not due');
    await stop();
  });

  test('cost no exchange, no write and no GET either where the former release hashed otherwise', async (context) => {
    const secrets = await bed.client.get<List<SecretOnWire & { metadata: { name: string } }>>(secretsPath);
    const byName = new Map((secrets?.items ?? []).map((secret) => [secret.metadata.name, secret]));
    await forEach(NAMES, async (name) => {
      const secret = byName.get(name);
      assert.ok(secret !== undefined, name);
      const annotations = { metadata: { annotations: formerAnnotations(secret) } };
      const { metadata } = (await send('PATCH', `${secretsPath}/${name}`, annotations, PATCH)) as {
        metadata: { resourceVersion: string };
      };
      const status = { status: { secret: { resourceVersion: metadata.resourceVersion } } };
      await send('PATCH', `${credentialsPath(NAMESPACE, name)}/status`, status, PATCH);
    });
    await startAnew(context, 'upgrade from Secrets of an older hash version, 1,000 not due');
  });

  test('are refreshed by the new release as they fall due, which writes the present hash', async () => {
    const [name = ''] = NAMES;
    const sts = stsCalls();
    await bed.kubectl('annotate', 'wcred', name, '-n', NAMESPACE, 'workloadcredentials.io/refresh-requested=now');
    const isDone = ({ status }: CredentialSeen): boolean => status.lastHandledRefreshRequest === 'now';
    await bed.until({ namespace: NAMESPACE, name }, 'the refresh', isDone, 90_000);
    assert.equal(stsCalls(), sts + 1);
    const written = (await bed.client.secret(NAMESPACE, name))?.metadata.annotations?.[ANNOTATION_REQUEST_HASH] ?? '';
    assert.match(written, /^v[1-9]\d*\./);
  });

  test('are still applied unchanged by the manifests that made them', async () => {
    const [name = ''] = NAMES;
    const before = (await bed.client.credential(NAMESPACE, name))?.metadata.generation;
    await bed.apply(wanted(name));
    assert.equal((await bed.client.credential(NAMESPACE, name))?.metadata.generation, before);
  });

  test('have logged no error', () => {
    assert.deepEqual(
      bed.logged('error').map(({ text }) => text),
      [],
    );
  });
});
