// Shows what 2,000 credentials that STS refuses cost the ten good ones of another tenant, who share the cloud account and
// with it the STS limit; and that neither a restart nor an upgrade with 1,000 credentials that are not due costs anything.
// For test:chaos: it takes most of a minute.
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { ANNOTATION_REQUEST_HASH } from '../../src/api/names.ts';
import type { RequestLogEntry } from '../../sandbox/apiserver/handler.ts';
import { type FaultOperator, useFaultBed } from '../support/fault-operator.ts';
import { countOf, type FaultName, tellFault } from '../support/fault-report.ts';
import { formerAnnotations, OTHER_REQUEST } from '../support/former-release.ts';
import type { Scene } from '../support/operator-bed.ts';
import { lateness, type SecretReader } from '../support/secret-reader.ts';

const BROKEN = 2_000;
const GOOD = 10;
const IDLE = 1_000;
/** The stated figure: so late is a good credential at most, first issued or refreshed, beside 2,000 that are refused. */
const MOST_DELAY_MS = 30_000;
/** Who finds no turn within half a minute comes back after 15 s at the earliest. */
const LEAST_WAIT_SECONDS = 15;
/** STS answers 10 calls a second, 20 at once: the defaults. */
const PER_SECOND = 10;
/** The default of --min-refresh-interval-seconds. */
const MIN_REFRESH_INTERVAL_MS = 60_000;
const BURST = 20;
const FAST_STS = ['--sts-requests-per-second=1000', '--sts-burst=10000'];
const inSeconds = (ms: number): string => (ms / 1_000).toFixed(1);
const names = (count: number): string[] => Array.from({ length: count }, (_, index) => `orders-${index}`);

describe('many credentials', { timeout: 180_000 }, () => {
  const suite = useFaultBed({ maxSessionSeconds: 3_600, historyLimit: 20_000 });

  function isIssued(scene: Scene, name: string): boolean {
    return scene.condition('Ready', name)?.reason === 'Issued';
  }

  function issueTimeMs(scene: Scene, name: string): number {
    return Date.parse(scene.credential(name)?.status?.issueTime ?? '');
  }

  test('of one tenant that STS refuses delay those of another by no more than the stated time', async (context) => {
    const { bed } = suite;
    const [broken, good] = [await bed.scene(), await bed.scene()];
    const account = good.roleARN.split(':')[4] ?? '';
    const roleARN = broken.roleARN.replace(/:\d{12}:/, `:${account}:`).replace('role/orders', 'role/nobody');
    bed.trust(roleARN, 'system:serviceaccount:elsewhere:nobody');
    for (const name of names(BROKEN)) await broken.apply({ aws: { ...broken.aws(), roleARN } }, name);
    const operator = await suite.start({ flags: [] });
    context.after(async () => {
      await operator.stop();
      await broken.deleteNamespace();
      await good.deleteNamespace();
    });
    const callsOf = (scene: Scene): number => scene.seen().sts.length;
    const startedAtMs = bed.clock.now();
    await bed.until('the first refusals', () => callsOf(broken) >= 20);
    const before = callsOf(broken);
    const appliedAtMs = bed.clock.now();
    for (const name of names(GOOD)) await good.apply({}, name);
    const readers: readonly SecretReader[] = names(GOOD).map((name) => good.reader(name));
    const lastReplacedMs = (fromMs: number): number =>
      Math.max(...readers.map((reader) => lateness(reader.replacedAtMs, fromMs)));
    /** Has all good ones refreshed: due a minute after they were issued. How late the last of them was. */
    async function refreshLateMs(request: string): Promise<number> {
      const dueMs = Math.max(
        bed.clock.now(),
        ...names(GOOD).map((name) => issueTimeMs(good, name) + MIN_REFRESH_INTERVAL_MS),
      );
      for (const name of names(GOOD)) {
        await good.annotate({ 'workloadcredentials.io/refresh-requested': request }, name);
      }
      const isDone = (name: string): boolean =>
        good.credential(name)?.status?.lastHandledRefreshRequest === request && isIssued(good, name);
      while (!names(GOOD).every(isDone)) {
        assert.ok(bed.clock.now() - dueMs < 300_000, 'the good ones are refreshed');
        await bed.clock.skip(1_000, 500);
      }
      await Promise.all(readers.map(async (reader) => await reader.look()));
      return lastReplacedMs(dueMs);
    }
    while (!names(GOOD).every((name) => isIssued(good, name))) {
      assert.ok(bed.clock.now() - appliedAtMs < 120_000, 'the good ones are issued');
      await bed.clock.skip(1_000, 500);
    }
    await Promise.all(readers.map(async (reader) => await reader.look()));
    const firstMs = lastReplacedMs(appliedAtMs);
    const meanwhile = callsOf(broken) - before;
    assert.equal(callsOf(good), GOOD);
    assert.ok(firstMs <= MOST_DELAY_MS, `${firstMs} ms until all good ones were issued`);
    // Refreshes fall due while the broken ones have their first attempts, and again when all of them have had one.
    const amidMs = await refreshLateMs('amid');
    while (callsOf(broken) < BROKEN) await bed.clock.skip(2_000, 1_000);
    const refreshMs = Math.max(amidMs, await refreshLateMs('after'));
    assert.ok(refreshMs <= MOST_DELAY_MS, `${refreshMs} ms until all good ones were refreshed`);
    for (const reader of readers) await reader.assertNeverExpired();
    // Bounded: by the limit of 10 a second, and by the back-off of each.
    const seconds = (bed.clock.now() - startedAtMs) / 1_000;
    assert.ok(
      callsOf(broken) + 3 * GOOD <= BURST + PER_SECOND * seconds + 1,
      `${callsOf(broken)} calls in ${seconds} s`,
    );
    const perName = new Map<string, number>();
    for (const { sessionName } of broken.seen().sts) perName.set(sessionName, (perName.get(sessionName) ?? 0) + 1);
    // 1, 2, 4 minutes: the back-off of what is refused.
    assert.ok(Math.max(...perName.values()) <= 4, 'each is tried a few times in these minutes');
    const kube = broken.seen().calls;
    // A token and a status for each call; one that waits for the limit looks, by two GETs, whenever it comes back for a turn.
    const looks = 2 * BROKEN * (seconds / LEAST_WAIT_SECONDS + 2);
    assert.ok(kube.length <= 4 * callsOf(broken) + looks, `${kube.length}`);
    tellFault(context, {
      fault: '2,000 refused credentials of another tenant',
      bed: 'sandbox',
      did: `${GOOD} new ones, applied while the broken ones had their first attempts, were all issued ${inSeconds(firstMs)} s later, behind ${countOf(meanwhile, 'call')} for broken ones; ${callsOf(broken)} calls to STS and ${kube.length} to the API server for the broken ones in ${Math.round(seconds)} s`,
      lateMs: refreshMs,
      seen: readers[0]?.describe() ?? '',
    });
  });

  describe('that are not due', () => {
    const all = names(IDLE);
    let scene: Scene;
    let running: FaultOperator;

    /** Calls but for watches. */
    const since = (from: number): RequestLogEntry[] =>
      suite.bed.operatorCalls(from).filter(({ target }) => !target.includes('watch=true'));

    // A test that fails leaves no operator that works on in the next one.
    afterEach(async () => {
      await running.stop();
    });

    /** Starts another operator, waits until it has looked at each, and tells what that cost. */
    async function startAnew(context: Parameters<typeof tellFault>[0], fault: FaultName): Promise<void> {
      const { bed } = suite;
      scene.forget();
      const reader = scene.reader('orders-0');
      const from = bed.sandbox.apiServer.requestLog.length;
      running = await suite.start({ flags: FAST_STS });
      const looked = async (): Promise<boolean> => {
        const counts = [...(await running.metrics()).matchAll(/^controller_runtime_reconcile_total\{.*\} (\d+)$/gm)];
        return counts.reduce((sum, [, count]) => sum + Number(count), 0) >= IDLE;
      };
      await bed.until('a look at each', looked);
      await scene.quiet();
      assert.deepEqual(scene.seen(), { calls: [], sts: [] });
      const calls = since(from);
      assert.ok(calls.every(({ method, target }) => method === 'GET' && /limit=500/.test(target)));
      assert.ok(calls.length <= 20, `${calls.length}`);
      await reader.assertNeverExpired();
      const did = `0 exchanges, 0 writes, 0 GETs of an object: ${countOf(calls.length, 'list')} of at most 500 each`;
      tellFault(context, { fault, bed: 'sandbox', did, seen: reader.describe() });
    }

    test('are issued', async () => {
      const { bed } = suite;
      scene = await bed.scene();
      running = await suite.start({ flags: FAST_STS });
      for (const name of all) await scene.apply({}, name);
      for (let tries = 0; !all.every((name) => isIssued(scene, name)); tries += 1) {
        assert.ok(tries < 600, 'all are issued');
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      await scene.quiet();
    });

    test('cost a restart no exchange, no write and no GET', async (context) => {
      await startAnew(context, 'restart with 1,000 credentials not due');
    });

    /** Makes the Secret one of another release, and status one that knows it, as that release would have left both. */
    async function leaveAsFormer(name: string, requestHash?: string): Promise<void> {
      const secret = scene.secret(name);
      assert.ok(secret !== undefined);
      await scene.patchSecret({ metadata: { annotations: formerAnnotations(secret, requestHash) } }, name);
      const resourceVersion = scene.secret(name)?.metadata.resourceVersion;
      const path = `/apis/workloadcredentials.io/v1alpha1/namespaces/${scene.namespace}/workloadcredentials/${name}`;
      await scene.request('PATCH', `${path}/status`, { status: { secret: { resourceVersion } } });
    }

    test('cost an upgrade no exchange, no write and no GET, though the former release hashed otherwise', async (context) => {
      for (const name of all) await leaveAsFormer(name);
      await startAnew(context, 'upgrade from Secrets of an older hash version, 1,000 not due');
      // The older hash is equal until the next refresh, which writes the present one.
      await scene.annotate({ 'workloadcredentials.io/refresh-requested': 'now' }, 'orders-0');
      await suite.bed.until('the refresh', () => scene.seen().sts.length === 1);
      await scene.quiet();
      const written = scene.secret('orders-0')?.metadata.annotations?.[ANNOTATION_REQUEST_HASH] ?? '';
      assert.ok(!written.startsWith('v0.'), written);
    });

    test('are not why a request that has changed would be missed', async () => {
      await leaveAsFormer('orders-1', OTHER_REQUEST);
      scene.forget();
      running = await suite.start({ flags: FAST_STS });
      await suite.bed.until('the exchange', () => scene.seen().sts.length === 1);
      await scene.quiet();
      assert.deepEqual(
        scene.seen().sts.map(({ sessionName }) => sessionName.split('.').at(-1)),
        ['orders-1'],
      );
    });
  });
});
