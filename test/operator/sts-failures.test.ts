// Promises: whatever STS does, the last good Secret stays as it is, the condition says what happened, and the operator
// recovers by itself; an outage does not become a storm of calls.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { SwitchMode } from '../../sandbox/sts/aws.ts';
import { type OperatorBed, type Scene, startOperatorBed } from '../support/operator-bed.ts';

interface Failure {
  readonly mode: SwitchMode;
  readonly reason: string;
  /** A part of the condition's message. */
  readonly says: RegExp;
}

const FAILURES: readonly Failure[] = [
  { mode: 'outage', reason: 'STSUnavailable', says: /503|ServiceUnavailable/ },
  { mode: 'throttle', reason: 'STSThrottled', says: /Throttling|Rate exceeded/ },
  { mode: 'hang', reason: 'STSUnavailable', says: /longer than 10 s/ },
  { mode: 'reset', reason: 'STSUnavailable', says: /127\.0\.0\.1/ },
  { mode: 'html', reason: 'STSUnavailable', says: /502/ },
  { mode: 'empty200', reason: 'InvalidResponse', says: /credential|cannot be read/ },
  { mode: 'pastExpiry', reason: 'InvalidResponse', says: /past|ended|expire|Expiration/i },
  { mode: 'hugeBody', reason: 'InvalidResponse', says: /longer than 64 KiB/ },
];

describe('failures of STS', { timeout: 60_000 }, () => {
  let bed: OperatorBed;
  before(async () => {
    bed = await startOperatorBed({ maxSessionSeconds: 300 });
    await bed.start();
  });
  after(async () => {
    await bed.stop();
  });

  /** One credential at a time, so that only its calls are hit. */
  async function withScene(work: (scene: Scene) => Promise<void>): Promise<void> {
    const scene = await bed.scene();
    try {
      await work(scene);
    } finally {
      bed.sandbox.aws.switches.mode = 'none';
      await scene.delete();
      await bed.until('the end', () => scene.credential() === undefined);
    }
  }

  for (const { mode, reason, says } of FAILURES) {
    test(`${mode}: the Secret stays, the condition says ${reason}, and the next try recovers`, async () => {
      await withScene(async (scene) => {
        await scene.issued();
        const before = scene.secret();
        const dueMs = scene.refreshTimeMs();
        await bed.skipTo(dueMs - 100);
        bed.sandbox.aws.switches.mode = mode;
        await bed.until('a call', () => scene.seen().sts.length > 0 || mode === 'hang');
        if (mode === 'hang') {
          await scene.quiet();
          await bed.clock.skip(11_000);
        }
        await scene.until('Refreshed', reason);
        const ready = scene.condition('Ready');
        assert.equal(`${ready?.status} ${ready?.reason}`, 'True RefreshFailing');
        assert.match(scene.condition('Refreshed')?.message ?? '', says);
        assert.equal(scene.condition('Stalled'), undefined);
        assert.equal(scene.condition('Reconciling'), undefined);
        assert.deepEqual(scene.secret(), before);
        await scene.quiet();
        assert.deepEqual(
          scene.seen().calls.filter((call) => call.includes('secrets')),
          [],
        );
        bed.sandbox.aws.switches.mode = 'none';
        await bed.clock.skip(65_000);
        await scene.until('Refreshed', 'Issued');
        assert.equal(scene.condition('Ready')?.reason, 'Issued');
        assert.notEqual(scene.accessKeyID(), undefined);
        assert.notDeepEqual(scene.secret()?.data, before?.data);
        assert.equal(scene.credential()?.status?.consecutiveFailures, 0);
        await bed.until('the events', () => scene.events().includes('Normal Recovered'));
        assert.ok(scene.events().includes(`Warning ${reason}`), scene.events().join(', '));
      });
    });
  }

  test('an outage that outlasts the credential turns Ready False at its end, and its end is recovered from', async () => {
    await withScene(async (scene) => {
      await scene.issued();
      const before = scene.secret();
      const endMs = Date.parse(scene.credential()?.status?.expirationTime ?? '');
      await bed.skipTo(scene.refreshTimeMs() - 100);
      bed.sandbox.aws.switches.mode = 'outage';
      await scene.until('Refreshed', 'STSUnavailable');
      scene.forget();
      await bed.clock.skip(endMs - bed.clock.now() - 2_000);
      assert.equal(scene.condition('Ready')?.status, 'True');
      const minutes = (endMs - scene.refreshTimeMs()) / 60_000;
      const { length } = scene.seen().sts;
      assert.ok(length >= minutes && length <= minutes * 12, `${length} calls in ${minutes} minutes`);
      await bed.clock.skip(3_000);
      await scene.until('Ready', 'Expired');
      assert.equal(scene.condition('Reconciling')?.reason, 'STSUnavailable');
      assert.deepEqual(scene.secret(), before);
      bed.sandbox.aws.switches.mode = 'none';
      await bed.clock.skip(65_000);
      await scene.ready();
    });
  });

  test('without any credential yet, a failing STS leaves it Reconciling and without a Secret', async () => {
    await withScene(async (scene) => {
      bed.sandbox.aws.switches.mode = 'outage';
      await scene.apply();
      await scene.until('Reconciling', 'STSUnavailable');
      assert.equal(scene.condition('Ready')?.status, 'False');
      assert.equal(scene.condition('Stalled'), undefined);
      assert.equal(scene.secret(), undefined);
      bed.sandbox.aws.switches.mode = 'none';
      await bed.clock.skip(20_000);
      await scene.ready();
    });
  });

  test('twenty credentials that wait for an STS that is out cost it tens of calls a minute, not hundreds', async () => {
    bed.sandbox.aws.switches.mode = 'outage';
    const scene = await bed.scene();
    const names = Array.from({ length: 20 }, (_, index) => `orders-${index}`);
    for (const name of names) await scene.apply({}, name);
    for (const name of names) await scene.until('Reconciling', 'STSUnavailable', name).catch(() => undefined);
    await bed.clock.skip(60_000);
    scene.forget();
    await bed.clock.skip(60_000, 500);
    const { length } = scene.seen().sts;
    assert.ok(length >= 5 && length <= 60, `${length} calls in a minute`);
    bed.sandbox.aws.switches.mode = 'none';
    await bed.clock.skip(120_000);
    for (const name of names) await scene.until('Ready', 'Issued', name);
  });
});
