// Shows that of two replicas, each the built program as its own process, one works, and that a leader that ends, dies or is
// frozen costs no more than the one exchange of a key that was in flight. Counts come from the sandbox's servers; each
// replica has a ServiceAccount of its own, so that the API server tells them apart. Needs dist/.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { load } from 'js-yaml';
import type { RequestLogEntry } from '../../sandbox/apiserver/handler.ts';
import { type Sandbox, startSandbox } from '../../sandbox/sandbox.ts';
import type { WorkloadCredential } from '../../src/api/types.gen.ts';
import { type OperatorProcess, startOperator } from '../beds/operator.ts';
import { waitFor } from '../beds/wait.ts';
import { tellFault } from '../support/fault-report.ts';
import { latenessOf, pairIn, SecretReader } from '../support/secret-reader.ts';

const CRD = new URL('../../crds/workloadcredentials.io_workloadcredentials.yaml', import.meta.url);
const AUDIENCE = 'sts.sandbox.example';
const ROLE = 'arn:aws:iam::123456789012:role/orders';
const NAMES = Array.from({ length: 24 }, (_, index) => `orders-${String(index).padStart(2, '0')}`);
/** Those that are refreshed while the leader is frozen or killed. */
const IN_FLIGHT = NAMES.slice(0, 5);
const WORKS = 'this replica works';
/** A Lease of 15 s, seen up to 2.4 s after its last renewal, and the lists of the next leader. */
const KILLED_MS = 20_000;
const STOPPED_MS = 3_000;

const inSeconds = (ms: number): string => (ms / 1_000).toFixed(1);

interface Replica {
  readonly process: OperatorProcess;
  readonly user: string;
}

let sandbox: Sandbox;
let directory: string;
const replicas: Replica[] = [];

async function startReplica(): Promise<Replica> {
  const name = `replica-${replicas.length}`;
  await sandbox.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace: 'wc-system' } });
  const kubeconfig = join(directory, name);
  await sandbox.writeKubeconfig(kubeconfig, await sandbox.mintToken('wc-system', name));
  const process = await startOperator({
    kubeconfig,
    args: [
      '--lease-namespace=wc-system',
      `--sts-endpoint=AWS=${sandbox.aws.url.origin}=${AUDIENCE}`,
      '--sts-requests-per-second=500',
      '--sts-burst=500',
      '--min-refresh-interval-seconds=1',
      '--log-level=debug',
    ],
  });
  const replica = { process, user: `system:serviceaccount:wc-system:${name}` };
  replicas.push(replica);
  await process.waitUntilReady();
  return replica;
}

/** What a replica asked of the API server from an index of its log on. */
function callsOf({ user }: Replica, from = 0): RequestLogEntry[] {
  return sandbox.apiServer.requestLog.slice(from).filter((call) => call.user === user);
}

const isLease = ({ target }: RequestLogEntry): boolean => target.includes('/leases');
const isToken = ({ target }: RequestLogEntry): boolean => /\/serviceaccounts\/[^/]+\/token/.test(target);

/** Everything that changes something or leads to an exchange; the Lease apart. */
function workOf(replica: Replica, from = 0): string[] {
  const work = callsOf(replica, from).filter((call) => call.method !== 'GET' && !isLease(call));
  return work.map(({ method, target, status }) => `${method} ${target} ${status}`);
}

function marks(): { calls: number; sts: number } {
  return { calls: sandbox.apiServer.requestLog.length, sts: sandbox.aws.calls.length };
}

function credential(name: string): WorkloadCredential | undefined {
  return sandbox.apiServer.registry.store.get('workloadcredentials.io/workloadcredentials', 'shop', name) as
    | WorkloadCredential
    | undefined;
}

function pairOf(name: string): ReturnType<typeof pairIn> {
  const secret = sandbox.apiServer.registry.store.get('/secrets', 'shop', name) as
    | { readonly data: Readonly<Record<string, string>> }
    | undefined;
  return pairIn(Buffer.from(secret?.data['credentials.json'] ?? '', 'base64').toString());
}

function accessKeyID(name: string): string | undefined {
  return pairOf(name)?.accessKeyID;
}

/** A reader of the Secret of each key in flight. */
function startReaders(): SecretReader[] {
  return IN_FLIGHT.map((name) => new SecretReader({ read: () => pairOf(name), now: Date.now, everyMs: 20 }));
}

function isIssued(name: string): boolean {
  const { status } = credential(name) ?? {};
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  return ready?.reason === 'Issued' && status?.accessKeyID !== undefined && status.accessKeyID === accessKeyID(name);
}

async function untilIssued(names: readonly string[]): Promise<void> {
  await waitFor('all to be issued', () => names.every(isIssued), { timeoutMs: 30_000 });
}

async function requestRefresh(names: readonly string[], value: string): Promise<void> {
  for (const name of names) {
    await sandbox.apply({
      apiVersion: 'workloadcredentials.io/v1alpha1',
      kind: 'WorkloadCredential',
      metadata: { name, namespace: 'shop', annotations: { 'workloadcredentials.io/refresh-requested': value } },
    });
  }
}

async function untilHandled(names: readonly string[], value: string, timeoutMs: number): Promise<void> {
  const handled = (name: string): boolean =>
    credential(name)?.status?.lastHandledRefreshRequest === value && isIssued(name);
  await waitFor(`refresh ${value}`, () => names.every(handled), { timeoutMs });
}

/** Waits until the leader has its tokens, and leaves it the time to send them to STS, which is slow. */
async function untilInFlight(leader: Replica, from: number): Promise<void> {
  await waitFor('the tokens', () => callsOf(leader, from).filter(isToken).length === IN_FLIGHT.length, {
    timeoutMs: 10_000,
    everyMs: 10,
  });
  await sleep(300);
}

/** Waits until it works, and gives the milliseconds that this took. */
async function takeover(replica: Replica, sinceMs: number): Promise<number> {
  await replica.process.waitForLog(WORKS, 40_000);
  return Math.round(performance.now() - sinceMs);
}

/** How often STS was called for each of these names. */
function exchanges(names: readonly string[], from: number): number[] {
  const calls = sandbox.aws.calls.slice(from);
  return names.map((name) => calls.filter(({ sessionName }) => sessionName.endsWith(`.${name}`)).length);
}

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'wc-replicas-'));
  sandbox = await startSandbox({ clientIDs: [AUDIENCE], bookmarkIntervalMs: 1_000 });
  await sandbox.apply(load(await readFile(CRD, 'utf8')) as object);
  for (const name of ['wc-system', 'shop']) {
    await sandbox.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  }
  const annotations = { 'workloadcredentials.io/allow': '*' };
  await sandbox.apply({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'orders', namespace: 'shop', annotations },
  });
  sandbox.aws.addRole({ arn: ROLE });
});

after(async () => {
  await Promise.all(replicas.map(async ({ process }) => await process.kill()));
  await sandbox?.stop();
  await rm(directory, { recursive: true, force: true });
});

describe('two replicas', { timeout: 180_000 }, () => {
  let first: Replica;
  let second: Replica;

  test('of which one works, and the other only watches', async () => {
    first = await startReplica();
    await first.process.waitForLog(WORKS);
    second = await startReplica();
    for (const name of NAMES) {
      await sandbox.apply({
        apiVersion: 'workloadcredentials.io/v1alpha1',
        kind: 'WorkloadCredential',
        metadata: { name, namespace: 'shop' },
        spec: {
          serviceAccountName: 'orders',
          aws: { roleARN: ROLE, region: 'eu-west-1', endpoint: sandbox.aws.url.origin, audience: AUDIENCE },
        },
      });
    }
    await untilIssued(NAMES);
    await waitFor(
      'the Events',
      () => sandbox.apiServer.registry.store.list('/events', 'shop').length === NAMES.length,
      {
        timeoutMs: 10_000,
      },
    );
    assert.deepEqual(exchanges(NAMES, 0), Array(NAMES.length).fill(1));
    assert.deepEqual(workOf(second), []);
    const lists = callsOf(second).filter((call) => !isLease(call));
    assert.ok(lists.every(({ method, target }) => method === 'GET' && !/\/orders-/.test(target)));
    assert.deepEqual(
      new Set(
        callsOf(second)
          .filter(isLease)
          .map(({ method }) => method),
      ),
      new Set(['GET']),
    );
  });

  test('hand over within three seconds when the leader is told to stop, and exchange nothing for it', async (context) => {
    const from = marks();
    const readers = startReaders();
    const sinceMs = performance.now();
    first.process.signal('SIGTERM');
    const tookMs = await takeover(second, sinceMs);
    assert.deepEqual(await first.process.exited, { code: 0, signal: null });
    assert.ok(tookMs <= STOPPED_MS, `${tookMs} ms`);
    const others = await startReplica();
    assert.equal(sandbox.aws.calls.length, from.sts);
    assert.deepEqual([...workOf(first, from.calls), ...workOf(second, from.calls), ...workOf(others)], []);
    await latenessOf(readers, Date.now());
    tellFault(context, {
      fault: 'leader ended by SIGTERM',
      bed: 'sandbox',
      did: `the other replica worked after ${inSeconds(tookMs)} s; 0 exchanges, 0 writes for ${NAMES.length} credentials`,
      seen: readers[0]?.describe() ?? '',
    });
    [first, second] = [second, others];
  });

  test('hand over within 20 s when the leader is killed, with one exchange more at most for each key in flight', async (context) => {
    const from = marks();
    sandbox.aws.switches.slowMs = 2_000;
    sandbox.aws.switches.mode = 'slow';
    await requestRefresh(IN_FLIGHT, 'killed');
    await untilInFlight(first, from.calls);
    const readers = startReaders();
    const killedAtMs = Date.now();
    const sinceMs = performance.now();
    await first.process.kill();
    const tookMs = await takeover(second, sinceMs);
    assert.ok(tookMs <= KILLED_MS, `${tookMs} ms`);
    await untilHandled(IN_FLIGHT, 'killed', 20_000);
    const rest = NAMES.slice(IN_FLIGHT.length);
    const counts = exchanges(IN_FLIGHT, from.sts);
    assert.ok(counts.every((count) => count >= 1 && count <= 2));
    assert.deepEqual(exchanges(rest, from.sts), Array(rest.length).fill(0));
    assert.ok(
      workOf(second, from.calls).every((call) =>
        IN_FLIGHT.some((name) => call.includes(name) || /orders\/token/.test(call)),
      ),
    );
    sandbox.aws.switches.mode = 'none';
    tellFault(context, {
      fault: 'leader ended by SIGKILL',
      bed: 'sandbox',
      did: `the other replica worked after ${inSeconds(tookMs)} s; exchanges for the ${IN_FLIGHT.length} keys in flight: ${counts.join(', ')}, for ${rest.length} others: 0`,
      lateMs: await latenessOf(readers, killedAtMs),
      seen: readers[0]?.describe() ?? '',
    });
    [first, second] = [second, await startReplica()];
  });

  test('of which the leader was frozen beyond its Lease: it writes and exchanges nothing more, and ends', async (context) => {
    const from = marks();
    sandbox.aws.switches.slowMs = 3_000;
    sandbox.aws.switches.mode = 'slow';
    await requestRefresh(IN_FLIGHT, 'frozen');
    await untilInFlight(first, from.calls);
    const readers = startReaders();
    const stoppedAtMs = Date.now();
    first.process.signal('SIGSTOP');
    const frozenAtMs = performance.now();
    const stopped = marks();
    const tookMs = await takeover(second, frozenAtMs);
    await untilHandled(IN_FLIGHT, 'frozen', 20_000);
    const lateMs = await latenessOf(readers, stoppedAtMs);
    const keys = IN_FLIGHT.map(accessKeyID);
    // More that it would gladly do: these are due for the new leader, which is quicker.
    await requestRefresh(NAMES.slice(5, 10), 'meanwhile');
    await untilHandled(NAMES.slice(5, 10), 'meanwhile', 20_000);
    sandbox.aws.switches.mode = 'none';
    const continued = marks();
    first.process.signal('SIGCONT');
    assert.deepEqual(await first.process.exited, { code: 1, signal: null });
    await first.process.waitForLog((line) => /Lease was lost/.test(line.text));
    assert.deepEqual(workOf(first, stopped.calls), []);
    assert.equal(sandbox.aws.calls.length, continued.sts);
    const tokens = callsOf(second, stopped.calls).filter(isToken).length;
    assert.equal(tokens, 10);
    assert.deepEqual(exchanges(IN_FLIGHT, from.sts), Array(5).fill(2), 'one more for each key in flight');
    assert.deepEqual(exchanges(NAMES.slice(5, 10), from.sts), Array(5).fill(1));
    assert.deepEqual(exchanges(NAMES.slice(10), from.sts), Array(NAMES.length - 10).fill(0));
    assert.deepEqual(IN_FLIGHT.map(accessKeyID), keys);
    tellFault(context, {
      fault: 'leader stopped by SIGSTOP beyond its Lease',
      bed: 'sandbox',
      did: `the other replica worked after ${inSeconds(tookMs)} s; the first, continued, wrote and exchanged nothing and ended; exchanges for each of ${IN_FLIGHT.length} keys in flight: 2`,
      lateMs,
      seen: readers[0]?.describe() ?? '',
    });
  });

  test('log no error but the loss of the Lease', () => {
    const lines = replicas.flatMap(({ process }) => process.lines);
    const errors = lines.filter(({ fields, stream }) => stream === 'stderr' || fields?.['level'] === 'error');
    assert.deepEqual(
      errors.map(({ fields, text }) => fields?.['message'] ?? text),
      ['this replica lost the Lease', 'the Lease was lost, another replica may work: this one ends'],
    );
  });
});
