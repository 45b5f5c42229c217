// Shows on a real API server that of two replicas one works, that a leader which is stopped, killed or frozen hands over in
// time and costs at most one exchange more for a key in flight, and what kubectl and kstatus make of a resource. Each replica has a proxy of its own, which tells their calls apart.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type APIProxy, startAPIProxy, STS_FAULTS } from '../beds/intercepting-proxy.ts';
import { type OperatorProcess, startOperator } from '../beds/operator.ts';
import { type SeaweedFSBed, startSeaweedFS } from '../beds/seaweedfs.ts';
import { waitFor } from '../beds/wait.ts';
import { conditionOf, credentialsPath, type CredentialSeen } from '../support/cluster-client.ts';
import { tellFault } from '../support/fault-report.ts';
import { type Installation, manifest, startCluster, SYSTEM_NAMESPACE } from '../support/installation.ts';
import { scopeArguments, scopeFor } from '../support/scope.ts';
import { latenessOf } from '../support/secret-reader.ts';

const AUDIENCE = 'sts.seaweedfs.test';
const WORKS = 'this replica works';
const KEYS = ['app-0', 'app-1', 'app-2', 'app-3'].map((name) => ({ namespace: 'shop', name }));
const OTHER = { namespace: 'elsewhere', name: 'app' };
/** A namespace without a workload. */
const EMPTY = 'empty';
const TOLD = { namespace: 'shop', name: 'told' };
const inSeconds = (ms: number): string => (ms / 1_000).toFixed(1);

interface Replica {
  readonly process: OperatorProcess;
  readonly proxy: APIProxy;
}

let bed: Installation;
let seaweedFS: SeaweedFSBed;
let args: readonly string[];
const replicas: Replica[] = [];

/** @param further arguments; one that the others have already takes its place. */
async function startReplica(further: readonly string[] = []): Promise<Replica> {
  const proxy = await startAPIProxy(bed.kubernetes);
  const through = { server: proxy.url, caPEM: proxy.caPEM };
  const { file } = await bed.kubernetes.serviceAccountKubeconfig(SYSTEM_NAMESPACE, 'wc', through);
  const isKept = (argument: string): boolean =>
    !further.some((other) => other.split('=')[0] === argument.split('=')[0]);
  const process = await startOperator({ kubeconfig: file, args: [...args.filter(isKept), ...further] });
  const replica = { process, proxy };
  replicas.push(replica);
  await process.waitUntilReady();
  return replica;
}

/** What a replica changed or had minted since an index of its proxy's record; the Lease apart. */
function workOf({ proxy }: Replica, from = 0): string[] {
  const calls = proxy.calls.slice(from).filter(({ method, path }) => method !== 'GET' && !path.includes('/leases'));
  return calls.map(({ method, path, status }) => `${method} ${path} ${status}`);
}

function wanted(key: { namespace: string; name: string }, serviceAccountName = key.name): object {
  const aws = { roleARN: seaweedFS.roleARN('app'), region: 'us-east-1', audience: AUDIENCE };
  return manifest({ ...key, serviceAccountName, aws: { ...aws, endpoint: bed.proxies[0]?.url } });
}

async function requestRefresh(value: string): Promise<void> {
  const names = KEYS.map(({ name }) => name);
  await bed.kubectl(
    'annotate',
    'wcred',
    ...names,
    '-n',
    'shop',
    '--overwrite',
    `workloadcredentials.io/refresh-requested=${value}`,
  );
}

async function untilRefreshed(value: string): Promise<void> {
  for (const key of KEYS) {
    const isDone = ({ status }: CredentialSeen): boolean => status.lastHandledRefreshRequest === value;
    await bed.until(key, `refresh ${value}`, isDone, 40_000);
  }
}

function stsCalls(): number {
  return bed.proxies[0]?.calls.length ?? 0;
}

async function takeover({ process }: Replica, sinceMs: number): Promise<number> {
  await process.waitForLog(WORKS, 40_000);
  return Math.round(performance.now() - sinceMs);
}

/** The rules of kstatus for kinds that it does not know: sigs.k8s.io/cli-utils, pkg/kstatus/README.md. */
function kstatus({ metadata, status }: CredentialSeen): 'Current' | 'InProgress' | 'Failed' | 'Terminating' {
  if (metadata.deletionTimestamp !== undefined) return 'Terminating';
  if (status.observedGeneration !== undefined && status.observedGeneration !== metadata.generation) return 'InProgress';
  const is = (type: string): string | undefined => status.conditions?.find((each) => each.type === type)?.status;
  if (is('Reconciling') === 'True') return 'InProgress';
  if (is('Stalled') === 'True') return 'Failed';
  return is('Ready') === 'False' || is('Ready') === 'Unknown' ? 'InProgress' : 'Current';
}

before(async () => {
  bed = await startCluster();
  const subjects = [...KEYS, OTHER, TOLD].map(({ namespace, name }) => `system:serviceaccount:${namespace}:${name}`);
  seaweedFS = await startSeaweedFS({
    issuer: bed.kubernetes.issuer,
    caPEM: bed.kubernetes.caPEM,
    audience: AUDIENCE,
    roles: [{ name: 'app', subjects, bucket: 'app' }],
  });
  const { url } = await bed.addProxy(seaweedFS.url);
  await bed.createWorkloads([...KEYS, OTHER, TOLD]);
  await bed.kubectl('create', 'namespace', EMPTY);
  const scope = scopeFor('clusterWide', [TOLD.namespace, OTHER.namespace, EMPTY]);
  await bed.install({ scope, endpoints: [{ url, audiences: [AUDIENCE] }] });
  bed.operator.signal('SIGTERM');
  await bed.operator.exited;
  args = [
    ...scopeArguments(scope),
    `--lease-namespace=${SYSTEM_NAMESPACE}`,
    `--sts-endpoint=AWS=${url}=${AUDIENCE}`,
    '--log-level=debug',
    '--sts-requests-per-second=200',
    '--sts-burst=400',
    '--min-refresh-interval-seconds=1',
  ];
});

after(async () => {
  await Promise.all(replicas.map(async ({ process }) => await process.kill()));
  await Promise.all(replicas.map(async ({ proxy }) => await proxy.stop()));
  await bed?.stop();
  await seaweedFS?.stop();
});

afterEach((context) => {
  if (!('error' in context) || context.error === null) return;
  const lines = replicas.flatMap(({ process }) => process.lines.slice(-20).map(({ text }) => text));
  process.stderr.write(`${lines.join('\n')}\n`);
});

describe('two replicas', { timeout: 300_000 }, () => {
  let first: Replica;
  let second: Replica;

  test('of which one works', async () => {
    first = await startReplica();
    await first.process.waitForLog(WORKS);
    second = await startReplica();
    await bed.apply(...KEYS.map((key) => wanted(key)), wanted(OTHER));
    for (const key of [...KEYS, OTHER]) await bed.untilIssued(key, 30_000);
    assert.equal(stsCalls(), KEYS.length + 1);
    assert.deepEqual(workOf(second), []);
    await sleep(1_000);
  });

  test('hand over within three seconds at SIGTERM', async (context) => {
    const sts = stsCalls();
    const readers = KEYS.map((key) => bed.reader(key));
    const sinceMs = performance.now();
    first.process.signal('SIGTERM');
    const tookMs = await takeover(second, sinceMs);
    assert.ok(tookMs <= 3_000, `${tookMs} ms`);
    assert.equal((await first.process.exited).code, 0);
    assert.equal(stsCalls(), sts);
    assert.deepEqual(workOf(second), []);
    await latenessOf(readers, Date.now());
    tellFault(context, {
      fault: 'leader ended by SIGTERM',
      bed: 'real',
      did: `the other replica worked after ${inSeconds(tookMs)} s; 0 exchanges, 0 writes for ${KEYS.length + 1} credentials`,
      seen: readers[0]?.describe() ?? '',
    });
    [first, second] = [second, await startReplica()];
  });

  for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
    test(`hand over within 20 s at ${signal}, with one exchange more for each key in flight`, async (context) => {
      const sts = stsCalls();
      bed.proxies[0]?.fail(STS_FAULTS.hang);
      await requestRefresh(signal);
      await waitFor('the calls to STS', () => stsCalls() === sts + KEYS.length, { timeoutMs: 10_000, everyMs: 20 });
      const readers = KEYS.map((key) => bed.reader(key));
      await Promise.all(readers.map(async (reader) => await reader.look()));
      const signalledAtMs = Date.now();
      const sinceMs = performance.now();
      first.process.signal(signal);
      const stopped = first.proxy.calls.length;
      bed.proxies[0]?.heal();
      const tookMs = await takeover(second, sinceMs);
      assert.ok(tookMs <= 20_000, `${tookMs} ms`);
      await untilRefreshed(signal);
      assert.equal(stsCalls(), sts + 2 * KEYS.length);
      const lateMs = await latenessOf(readers, signalledAtMs);
      if (signal === 'SIGSTOP') {
        first.process.signal('SIGCONT');
        assert.deepEqual(await first.process.exited, { code: 1, signal: null });
        assert.deepEqual(workOf(first, stopped), []);
        assert.equal(stsCalls(), sts + 2 * KEYS.length);
      }
      const continued = 'the first, continued, wrote and exchanged nothing and ended; ';
      tellFault(context, {
        fault: signal === 'SIGKILL' ? 'leader ended by SIGKILL' : 'leader stopped by SIGSTOP beyond its Lease',
        bed: 'real',
        did: `the other replica worked after ${inSeconds(tookMs)} s; ${signal === 'SIGSTOP' ? continued : ''}exchanges for each of ${KEYS.length} keys in flight: 2, for another: 0`,
        lateMs,
        seen: readers[0]?.describe() ?? '',
      });
      [first, second] = [second, await startReplica()];
    });
  }

  test('show a resource to kubectl and kstatus as they expect it', async () => {
    const started = await bed.client.send('POST', `${credentialsPath('shop')}?dryRun=All`, wanted(TOLD));
    assert.equal(kstatus({ status: {}, ...(started.body as object) } as CredentialSeen), 'InProgress');
    bed.proxies[0]?.fail(STS_FAULTS.unavailable);
    await bed.apply(wanted(TOLD));
    const waiting = await bed.until(TOLD, 'a failure', ({ status }) => (status.consecutiveFailures ?? 0) >= 2, 40_000);
    assert.equal(kstatus(waiting), 'InProgress');
    const seriesOf = async (): Promise<boolean> =>
      (await bed.events(TOLD)).some(({ reason, series }) => reason === 'STSUnavailable' && (series?.count ?? 0) >= 2);
    await waitFor('an Event with a series', seriesOf, { timeoutMs: 40_000 });
    // Reason, age with the series' count, reporter, note: as kubectl prints an Event that was told more than once.
    const described = await bed.kubectl('describe', 'wcred', TOLD.name, '-n', 'shop');
    assert.match(described, /Warning\s+STSUnavailable\s+\S+ \(x\d+ over \S+\)\s+\S+\s+STS at /);
    bed.proxies[0]?.heal();
    await bed.kubectl('wait', '--for=condition=Ready', 'wcred/told', '-n', 'shop', '--timeout=90s');
    const issued = await bed.untilIssued(TOLD, 30_000);
    assert.equal(kstatus(issued), 'Current');
    await bed.kubectl('annotate', 'serviceaccount', TOLD.name, '-n', 'shop', 'workloadcredentials.io/allow-');
    await bed.kubectl('delete', 'secret', TOLD.name, '-n', 'shop');
    const stalled = await bed.until(TOLD, 'Stalled', (seen) => conditionOf(seen, 'Stalled')?.status === 'True');
    assert.equal(kstatus(stalled), 'Failed');
  });

  test('follow two namespaces in two streams each, and leave the others alone', async () => {
    for (const { process } of [second, first]) {
      process.signal('SIGTERM');
      await process.exited;
    }
    const replica = await startReplica([`--namespaces=shop,${EMPTY}`]);
    await replica.process.waitForLog(WORKS, 30_000);
    const streams = (): string[] =>
      replica.proxy.calls.filter(({ path }) => path.includes('watch=true')).map(({ path }) => path.split('?')[0] ?? '');
    await waitFor('the streams', () => new Set(streams()).size === 6, { timeoutMs: 10_000 });
    const isOfThem = (path: string): boolean =>
      path.includes('/namespaces/shop/') || path.includes(`/namespaces/${EMPTY}/`);
    assert.ok(streams().every(isOfThem), streams().join('\n'));
    await bed.kubectl(
      'annotate',
      'wcred',
      OTHER.name,
      '-n',
      OTHER.namespace,
      'workloadcredentials.io/refresh-requested=never',
    );
    await requestRefresh('named');
    await untilRefreshed('named');
    assert.deepEqual(
      workOf(replica).filter((call) => call.includes('elsewhere')),
      [],
    );
  });
});
