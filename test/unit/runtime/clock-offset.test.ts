import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ServerClock } from '../../../src/runtime/clock-offset.ts';
import { FAKE_EPOCH_MS, FakeClock } from '../../support/fake-clock.ts';

function setUp() {
  const base = new FakeClock();
  const told: number[] = [];
  const clock = new ServerClock(base, (offsetMs) => told.push(offsetMs));
  /** One call to a server whose clock is `aheadMs` ahead; both ways take `wayMs`. */
  const call = async (aheadMs: number, wayMs = 10): Promise<void> => {
    const sentAtMs = clock.localNow();
    await base.advance(wayMs);
    const dateMs = Math.floor((base.now() + aheadMs) / 1_000) * 1_000;
    await base.advance(wayMs);
    clock.observe(dateMs, sentAtMs, clock.localNow());
  };
  return { base, clock, told, call };
}

test('without an answer the local clock is right', () => {
  const { clock } = setUp();
  assert.equal(clock.offsetMs(), 0);
  assert.equal(clock.now(), FAKE_EPOCH_MS);
});

test('a Date that the local clock may have caused changes nothing', async () => {
  const { base, clock, call } = setUp();
  for (let i = 0; i < 5; i += 1) {
    await call(0);
    await base.advance(317);
    assert.equal(clock.offsetMs(), 0);
  }
});

test('a server that is ahead moves the time forward, by the least that explains its answers', async () => {
  const { clock, call } = setUp();
  await call(60_000);
  assert.ok(clock.offsetMs() > 58_900 && clock.offsetMs() <= 60_020, String(clock.offsetMs()));
});

test('a server that is behind moves the time back', async () => {
  const { clock, call } = setUp();
  await call(-60_000);
  assert.ok(clock.offsetMs() >= -60_020 && clock.offsetMs() < -58_900, String(clock.offsetMs()));
});

test('further answers narrow the offset', async () => {
  const { base, clock, call } = setUp();
  for (let i = 0; i < 20; i += 1) {
    await call(10_500);
    await base.advance(137);
  }
  assert.ok(Math.abs(clock.offsetMs() - 10_500) < 150, String(clock.offsetMs()));
});

test('answers that contradict what was known start over', async () => {
  const { base, clock, call } = setUp();
  await call(0);
  base.jump(-7_200_000);
  await call(7_200_000);
  assert.ok(Math.abs(clock.now() - (base.now() + 7_200_000)) < 1_100);
});

test('what is known of long ago counts for less: bounds widen by 100 ppm', async () => {
  const { base, clock, call } = setUp();
  await call(10_000, 0);
  const offsetMs = clock.offsetMs();
  await base.advance(3_600_000);
  assert.ok(Math.abs(offsetMs - clock.offsetMs() - 360) < 0.001);
});

test('an answer without a Date, or with one from a call during which the clock went back, teaches nothing', () => {
  const { clock } = setUp();
  clock.observe(Number.NaN, FAKE_EPOCH_MS, FAKE_EPOCH_MS);
  clock.observe(FAKE_EPOCH_MS + 90_000, FAKE_EPOCH_MS, FAKE_EPOCH_MS - 1);
  assert.equal(clock.offsetMs(), 0);
});

test('an offset beyond 30 seconds is told once, until it has been smaller again', async () => {
  const { base, told, call } = setUp();
  const callLater = async (aheadMs: number): Promise<void> => {
    await base.advance(1_000);
    await call(aheadMs);
  };
  await callLater(20_000);
  assert.equal(told.length, 0);
  await callLater(40_000);
  await callLater(40_000);
  await callLater(90_000);
  assert.equal(told.length, 1);
  await callLater(0);
  await callLater(-40_000);
  assert.equal(told.length, 2);
  assert.ok((told[0] ?? 0) > 38_000 && (told[1] ?? 0) < -38_000);
});

test('timers and the monotonic clock are those of the machine', async () => {
  const { base, clock, call } = setUp();
  await call(600_000);
  assert.equal(clock.monotonicMs(), base.monotonicMs());
  let fired = false;
  clock.setTimer(100, () => {
    fired = true;
  });
  await base.advance(100);
  assert.ok(fired);
});

test('whatever the true offset and the latencies, the correction lies between nothing and the truth', () => {
  const calls = fc.array(
    fc.record({ idleMs: fc.integer({ min: 0, max: 5_000 }), toMs: fc.nat(3_000), backMs: fc.nat(3_000) }),
    { minLength: 1, maxLength: 20 },
  );
  fc.assert(
    fc.property(fc.integer({ min: -100_000, max: 100_000 }), calls, (aheadMs, observations) => {
      let localMs = FAKE_EPOCH_MS;
      const base = {
        now: () => localMs,
        monotonicMs: () => localMs,
        setTimer: () => assert.fail('no timer is needed'),
      };
      const clock = new ServerClock(base, () => undefined);
      for (const { idleMs, toMs, backMs } of observations) {
        localMs += idleMs;
        const sentAtMs = localMs;
        localMs += toMs;
        const dateMs = Math.floor((localMs + aheadMs) / 1_000) * 1_000;
        localMs += backMs;
        clock.observe(dateMs, sentAtMs, localMs);
        assert.ok(clock.offsetMs() >= Math.min(0, aheadMs) && clock.offsetMs() <= Math.max(0, aheadMs));
      }
    }),
    { numRuns: 200 },
  );
});
