// Shows what 2,000 credentials that STS refuses cost the ten good ones of another tenant, who share the cloud account and
// with it the STS limit; and that a restart with 1,000 credentials that are not due costs nothing. For test:chaos: it takes
// most of a minute.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type FaultOperator, startFaultOperator } from '../support/fault-operator.ts';
import { type OperatorBed, type Scene, startOperatorBed } from '../support/operator-bed.ts';

const BROKEN = 2_000;
const GOOD = 10;
const IDLE = 1_000;
const names = (count: number): string[] => Array.from({ length: count }, (_, index) => `orders-${index}`);

describe('many credentials', { timeout: 180_000 }, () => {
  let bed: OperatorBed;
  const operators: FaultOperator[] = [];
  before(async () => {
    bed = await startOperatorBed({ maxSessionSeconds: 3_600, historyLimit: 20_000 });
  });
  after(async () => {
    await Promise.all(operators.map(async (operator) => await operator.stop()));
    await bed.stop();
  });

  async function start(flags: readonly string[]): Promise<FaultOperator> {
    const operator = await startFaultOperator(bed, { flags });
    operators.push(operator);
    return operator;
  }

  function isIssued(scene: Scene, name: string): boolean {
    return scene.condition('Ready', name)?.reason === 'Issued';
  }

  test('of one tenant that STS refuses delay those of another by a few calls', async (context) => {
    const [broken, good] = [await bed.scene(), await bed.scene()];
    const account = good.roleARN.split(':')[4] ?? '';
    const roleARN = broken.roleARN.replace(/:\d{12}:/, `:${account}:`).replace('role/orders', 'role/nobody');
    bed.trust(roleARN, 'system:serviceaccount:elsewhere:nobody');
    for (const name of names(BROKEN)) await broken.apply({ aws: { ...broken.aws(), roleARN } }, name);
    const operator = await start([]);
    const callsOf = (scene: Scene): number => scene.seen().sts.length;
    const appliedAtMs = bed.clock.now();
    await bed.until('the first refusals', () => callsOf(broken) >= 20);
    const before = callsOf(broken);
    for (const name of names(GOOD)) await good.apply({}, name);
    while (!names(GOOD).every((name) => isIssued(good, name))) {
      assert.ok(callsOf(broken) - before < 200, 'the good ones wait for no more than 200 calls of the broken ones');
      await bed.clock.skip(200, 100);
    }
    const meanwhile = callsOf(broken) - before;
    context.diagnostic(`${meanwhile} calls for broken ones were made before ${GOOD} good ones were issued`);
    assert.ok(meanwhile < 200, `${meanwhile}`);
    assert.equal(callsOf(good), GOOD);
    // Bounded: by the limit of 10 a second, and by the back-off of each.
    await bed.clock.skip(60_000, 500);
    const seconds = (bed.clock.now() - appliedAtMs) / 1_000;
    assert.ok(callsOf(broken) + GOOD <= 20 + 10 * seconds + 1, `${callsOf(broken)} calls in ${seconds} s`);
    const perName = new Map<string, number>();
    for (const { sessionName } of broken.seen().sts) perName.set(sessionName, (perName.get(sessionName) ?? 0) + 1);
    assert.ok(Math.max(...perName.values()) <= 2, 'a minute holds one attempt and its first repetition');
    const kube = broken.seen().calls;
    context.diagnostic(
      `${callsOf(broken)} calls to STS and ${kube.length} to the API server for ${BROKEN} broken ones`,
    );
    // One token for each call, a look before the first, a status after it.
    assert.ok(kube.length <= 2 * BROKEN + 4 * callsOf(broken), `${kube.length}`);
    await operator.stop();
    await broken.deleteNamespace();
    await good.deleteNamespace();
  });

  test('that are not due cost a restart no exchange, no write and no GET', async (context) => {
    const scene = await bed.scene();
    const flags = ['--sts-requests-per-second=1000', '--sts-burst=10000'];
    const first = await start(flags);
    for (const name of names(IDLE)) await scene.apply({}, name);
    const all = names(IDLE);
    for (let tries = 0; !all.every((name) => isIssued(scene, name)); tries += 1) {
      assert.ok(tries < 600, 'all are issued');
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await scene.quiet();
    await first.stop();
    scene.forget();
    const from = bed.sandbox.apiServer.requestLog.length;
    const second = await start(flags);
    const looked = async (): Promise<boolean> => {
      const counts = [...(await second.metrics()).matchAll(/^controller_runtime_reconcile_total\{.*\} (\d+)$/gm)];
      return counts.reduce((sum, [, count]) => sum + Number(count), 0) >= IDLE;
    };
    await bed.until('a look at each', looked);
    await scene.quiet();
    assert.deepEqual(scene.seen(), { calls: [], sts: [] });
    const calls = bed.operatorCalls(from).filter(({ target }) => !target.includes('watch=true'));
    context.diagnostic(
      `${calls.length} lists for ${IDLE} credentials: ${new Set(calls.map(({ method }) => method)).size} verb`,
    );
    assert.ok(calls.every(({ method, target }) => method === 'GET' && /limit=500/.test(target)));
    assert.ok(calls.length <= 20, `${calls.length}`);
  });
});
