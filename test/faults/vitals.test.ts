// Shows that nothing is left of a fault: the operator, as a process of its own, holds no more memory, sockets, descriptors and
// timers after several rounds of every kind of fault than after the first. What each round left is printed. Needs dist/.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { load } from 'js-yaml';
import type { FaultAction } from '../../sandbox/apiserver/faults.ts';
import { type Sandbox, startSandbox } from '../../sandbox/sandbox.ts';
import type { WorkloadCredential } from '../../src/api/types.gen.ts';
import { type Action, startSTSProxy, STS_FAULTS, type STSProxy } from '../beds/intercepting-proxy.ts';
import { type OperatorProcess, startOperator } from '../beds/operator.ts';
import { waitFor } from '../beds/wait.ts';
import { assertBackTo, describeVitals, INSPECTED, type Vitals, vitalsOf } from '../support/vitals.ts';

const CRD = new URL('../../crds/workloadcredentials.io_workloadcredentials.yaml', import.meta.url);
const AUDIENCE = 'sts.sandbox.example';
const ROLE = 'arn:aws:iam::123456789012:role/orders';
/** The first round fills pools, caches and the compiler's tables; the rest must leave nothing. */
const WARM_UP_ROUNDS = 1;
const ROUNDS = 3;

/** One credential meets each in each round, through a proxy of its own. A refusal would wait for a minute. */
const STS: Readonly<Record<string, Action>> = {
  unavailable: STS_FAULTS.unavailable,
  throttled: STS_FAULTS.throttled,
  'empty-answer': STS_FAULTS.emptyAnswer,
  html: STS_FAULTS.html,
  huge: STS_FAULTS.fiftyMegabytes,
  'past-expiration': STS_FAULTS.pastExpiration,
  reset: STS_FAULTS.reset,
  'lost-answer': STS_FAULTS.lostAnswer,
};
const NAMES = Object.keys(STS);
/** Each hits the API server for half a second, while every watch is cut. */
const API: readonly FaultAction[] = [
  { kind: 'status', status: 500 },
  { kind: 'status', status: 429, retryAfterSeconds: 1 },
  { kind: 'reset' },
  { kind: 'loseAnswer' },
  { kind: 'hang' },
  { kind: 'errorEvent', status: 410 },
];
const API_FAULT_MS = 500;
/** Longer than the operator keeps an idle connection (KEEP_ALIVE_MS of src/transport/undici.ts); the sandbox keeps it for ever. */
const IDLE_MS = 50_000;

let sandbox: Sandbox;
let directory: string;
let operator: OperatorProcess;
const proxies = new Map<string, STSProxy>();

function credential(name: string): WorkloadCredential | undefined {
  return sandbox.apiServer.registry.store.get('workloadcredentials.io/workloadcredentials', 'shop', name) as
    | WorkloadCredential
    | undefined;
}

async function refresh(request: string): Promise<void> {
  for (const name of NAMES) {
    await sandbox.apply({
      apiVersion: 'workloadcredentials.io/v1alpha1',
      kind: 'WorkloadCredential',
      metadata: { name, namespace: 'shop', annotations: { 'workloadcredentials.io/refresh-requested': request } },
    });
  }
}

async function untilRefreshed(request: string): Promise<void> {
  const isDone = (name: string): boolean => {
    const { status } = credential(name) ?? {};
    return status?.lastHandledRefreshRequest === request && (status.consecutiveFailures ?? 0) === 0;
  };
  await waitFor(`refresh ${request}`, () => NAMES.every(isDone), { timeoutMs: 60_000 });
}

/** Every fault once, and everything well again. */
async function round(index: number): Promise<void> {
  for (const [name, proxy] of proxies) proxy.fail(STS[name] ?? 'forward', 1);
  await refresh(`sts-${index}`);
  await untilRefreshed(`sts-${index}`);
  for (const action of API) {
    const heal = sandbox.apiServer.faults.add({ match: { pathPattern: /^\/apis?\// }, action });
    cutWatches();
    await sleep(API_FAULT_MS);
    heal();
  }
  await refresh(`api-${index}`);
  await untilRefreshed(`api-${index}`);
}

let cutWatches = (): void => undefined;

/** Ends every watch of the operator; what is under way ends with its fault. */
function followWatches(): void {
  const { handle } = sandbox.apiServer;
  const open = new Set<() => void>();
  sandbox.apiServer.handle = async (request) => {
    if (!/[?&]watch=/.test(request.target)) return await handle(request);
    const stop = new AbortController();
    const end = (): void => stop.abort();
    open.add(end);
    request.signal.addEventListener('abort', () => open.delete(end), { once: true });
    return await handle({ ...request, signal: AbortSignal.any([request.signal, stop.signal]) });
  };
  cutWatches = () => {
    for (const end of open) end();
    open.clear();
  };
}

/** At rest: Events are written, and so long ago that connections which pools keep are gone: only watches are left. */
async function atRest(): Promise<Vitals> {
  let last = -1;
  await waitFor(
    'rest',
    async () => {
      const { length } = sandbox.apiServer.requestLog.filter(({ target }) => !target.includes('/leases'));
      const isQuiet = length === last;
      last = length;
      await sleep(500);
      return isQuiet;
    },
    { timeoutMs: 30_000 },
  );
  await sleep(IDLE_MS);
  return await vitalsOf(operator);
}

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'wc-vitals-'));
  sandbox = await startSandbox({ clientIDs: [AUDIENCE], bookmarkIntervalMs: 1_000 });
  followWatches();
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
  await sandbox.apply({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: 'operator', namespace: 'wc-system' },
  });
  sandbox.aws.addRole({ arn: ROLE });
  for (const name of NAMES) proxies.set(name, await startSTSProxy(sandbox.aws.url.origin));
  const kubeconfig = join(directory, 'kubeconfig');
  await sandbox.writeKubeconfig(kubeconfig, await sandbox.mintToken('wc-system', 'operator'));
  operator = await startOperator({
    kubeconfig,
    nodeArgs: INSPECTED,
    args: [
      '--leader-elect=false',
      ...[...proxies.values()].map(({ url }) => `--sts-endpoint=AWS=${url}=${AUDIENCE}`),
      '--sts-requests-per-second=500',
      '--sts-burst=500',
      '--min-refresh-interval-seconds=1',
    ],
  });
  await operator.waitForLog('this replica works');
  for (const [name, { url }] of proxies) {
    await sandbox.apply({
      apiVersion: 'workloadcredentials.io/v1alpha1',
      kind: 'WorkloadCredential',
      metadata: { name, namespace: 'shop' },
      spec: {
        serviceAccountName: 'orders',
        aws: { roleARN: ROLE, region: 'eu-west-1', endpoint: url, audience: AUDIENCE },
      },
    });
  }
  await refresh('first');
  await untilRefreshed('first');
});

after(async () => {
  await operator?.kill();
  await Promise.all([...proxies.values()].map(async (proxy) => await proxy.stop()));
  await sandbox?.stop();
  await rm(directory, { recursive: true, force: true });
});

describe('an operator that has met every fault', { timeout: 230_000 }, () => {
  test('holds what it held before: memory, sockets, descriptors, timers', async (context) => {
    for (let index = 0; index < WARM_UP_ROUNDS; index += 1) await round(index);
    const before = await atRest();
    context.diagnostic(`before ${ROUNDS} rounds of ${NAMES.length + API.length} faults: ${describeVitals(before)}`);
    for (let index = 0; index < ROUNDS; index += 1) await round(WARM_UP_ROUNDS + index);
    const later = await atRest();
    context.diagnostic(`after: ${describeVitals(later)}`);
    const proxied = [...proxies.values()].reduce((sum, { calls }) => sum + calls.length, 0);
    assert.ok(proxied >= 2 * NAMES.length * (ROUNDS + WARM_UP_ROUNDS), 'the faults were met');
    // A leak of one for each fault of a round would be ROUNDS or more.
    assertBackTo(before, later, { heapBytes: 2 << 20, sockets: ROUNDS - 1, timers: ROUNDS - 1 });
    const errors = operator.lines.filter(({ fields }) => fields?.['level'] === 'error');
    assert.deepEqual(
      errors.map(({ text }) => text),
      [],
    );
  });
});
