import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Admission, type CallOutcome, EndpointLimiter } from '../../../src/runtime/limiter.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FixedRandom, SeededRandom } from '../../support/fake-random.ts';

const KEY = 'AWS/123456789012/eu-west-1';
type Granted = Extract<Admission, { granted: true }>;

function setUp(options: { maxKeys?: number; rate?: { perSecond: number; burst: number }; seed?: number } = {}) {
  const clock = new FakeClock();
  const { seed, ...rest } = options;
  const random = seed === undefined ? new FixedRandom(0.5) : new SeededRandom(seed);
  const limiter = new EndpointLimiter({ clock, random, ...rest });
  const acquire = (key = KEY): Granted => {
    const admission = limiter.tryAcquire(key);
    assert.ok(admission.granted);
    return admission;
  };
  const refused = (key = KEY): number => {
    const admission = limiter.tryAcquire(key);
    assert.ok(!admission.granted);
    return admission.retryAfterMs;
  };
  /** One call after the other, each at the first moment that the limiter allows. */
  const call = async (outcome: CallOutcome): Promise<void> => {
    let admission = limiter.tryAcquire(KEY);
    while (!admission.granted) {
      await clock.advance(admission.retryAfterMs);
      admission = limiter.tryAcquire(KEY);
    }
    admission.release(outcome);
  };
  const rate = (): number => limiter.demand().find(({ key }) => key === KEY)?.ratePerSecond ?? Number.NaN;
  /** How many calls the limiter lets through at this moment; all stay in flight. */
  const grants = (): Granted[] => {
    const granted: Granted[] = [];
    for (let next = limiter.tryAcquire(KEY); next.granted; next = limiter.tryAcquire(KEY)) granted.push(next);
    return granted;
  };
  return { clock, limiter, acquire, refused, call, rate, grants };
}

test('a burst of twenty may start at once, then ten a second', async () => {
  const { clock, acquire, refused } = setUp();
  for (let i = 0; i < 20; i += 1) acquire().release('success');
  assert.equal(refused(), 100);
  await clock.advance(100);
  acquire();
});

test('a chain of three calls takes three shares of the rate, and one place in flight', async () => {
  const { clock, limiter, acquire, refused } = setUp();
  let chains = 0;
  for (let next = limiter.tryAcquire(KEY, 3); next.granted; next = limiter.tryAcquire(KEY, 3)) {
    next.release('success');
    chains += 1;
  }
  assert.equal(chains, 6);
  assert.equal(limiter.demand()[0]?.granted, 18);
  acquire().release('success');
  acquire().release('success');
  // The chain that was refused has the next 300 ms.
  assert.equal(refused(), 400);
  await clock.advance(299);
  assert.ok(!limiter.tryAcquire(KEY, 3).granted);
  await clock.advance(2);
  assert.ok(limiter.tryAcquire(KEY, 3).granted);
});

test('a chain longer than the burst still gets its turn', async () => {
  const { clock, limiter } = setUp({ rate: { perSecond: 1, burst: 1 } });
  const first = limiter.tryAcquire(KEY, 5);
  assert.ok(first.granted);
  first.release('success');
  const second = limiter.tryAcquire(KEY, 5);
  assert.ok(!second.granted);
  await clock.advance(second.retryAfterMs);
  assert.ok(limiter.tryAcquire(KEY, 5).granted);
});

test('eight calls are in flight while all is well, four while it is failing, one while it is out', async () => {
  const { clock, acquire, call, grants } = setUp();
  const well = grants();
  assert.equal(well.length, 8);
  for (const granted of well) granted.release('throttled');
  await clock.advance(5_000);
  const failing = grants();
  assert.equal(failing.length, 4);
  for (const granted of failing) granted.release('aborted');
  for (let i = 0; i < 8; i += 1) await call('outage');
  await clock.advance(60_000);
  const out = acquire();
  assert.equal(grants().length, 0);
  out.release('success');
});

test('releasing twice counts once', () => {
  const { acquire, grants } = setUp();
  const first = acquire();
  first.release('success');
  first.release('success');
  assert.equal(grants().length, 8);
});

test('throttling and outage halve the rate down to one probe in five seconds', async () => {
  const { call, rate } = setUp();
  const seen: number[] = [];
  for (const outcome of ['throttled', 'outage', 'throttled', 'outage', 'throttled', 'outage', 'outage'] as const) {
    await call(outcome);
    seen.push(rate());
  }
  assert.deepEqual(seen, [5, 2.5, 1.25, 0.625, 0.3125, 0.2, 0.2]);
});

test('calls that began before the rate fell do not lower it again', () => {
  const { rate, grants } = setUp();
  for (const granted of grants()) granted.release('throttled');
  assert.equal(rate(), 5);
});

test('each answer doubles the rate again, up to where it was', async () => {
  const { clock, acquire, call, rate } = setUp();
  for (let i = 0; i < 6; i += 1) await call('outage');
  assert.equal(rate(), 0.2);
  await call('refused');
  assert.equal(rate(), 0.4, 'an endpoint that says no is well');
  for (let i = 0; i < 5; i += 1) {
    await clock.advance(10_000);
    acquire().release('success');
  }
  assert.equal(rate(), 10);
});

test('many answers at once double the rate once, and never within a second of a fall', async () => {
  const { clock, acquire, call, rate } = setUp();
  await call('throttled');
  await call('throttled');
  await clock.advance(999);
  acquire().release('success');
  assert.equal(rate(), 2.5);
  await clock.advance(1);
  acquire().release('success');
  acquire().release('success');
  assert.equal(rate(), 5);
  await clock.advance(1_000);
  acquire().release('success');
  assert.equal(rate(), 10);
});

test('a call that we gave up ourselves changes nothing', async () => {
  const { call, rate } = setUp();
  await call('aborted');
  assert.equal(rate(), 10);
  await call('throttled');
  await call('aborted');
  assert.equal(rate(), 5);
});

test('endpoints do not disturb each other', async () => {
  const { acquire, call } = setUp();
  for (let i = 0; i < 6; i += 1) await call('outage');
  const other = Array.from({ length: 8 }, () => acquire('Volcengine/2100000001/cn-beijing'));
  assert.equal(other.length, 8);
});

test('those who are refused are asked back one by one, and beyond half a minute spread by chance', () => {
  const { grants, refused } = setUp();
  grants(); // The refusal that ends it took the first slot.
  const slots = Array.from({ length: 290 }, () => Math.round(refused()));
  assert.deepEqual(
    slots,
    slots.map((_, index) => (index + 2) * 100),
  );
  for (let i = 0; i < 10; i += 1) refused();
  assert.equal(refused(), 22_500);
  const spread = setUp({ seed: 3 });
  spread.grants();
  for (let i = 0; i < 300; i += 1) spread.refused();
  const late = Array.from({ length: 100 }, () => spread.refused());
  assert.ok(new Set(late).size > 90);
  assert.ok(late.every((ms) => ms > 15_000 && ms <= 30_000));
});

test('an outage costs the endpoint tens of calls a minute, however many wait', async () => {
  const { clock, limiter } = setUp({ seed: 11 });
  const calls: number[] = [];
  const startMs = clock.monotonicMs();
  const wake = (): void => {
    const admission = limiter.tryAcquire(KEY);
    if (admission.granted) {
      calls.push(clock.monotonicMs() - startMs);
      admission.release('outage');
    }
    clock.setTimer(admission.granted ? 5_000 : admission.retryAfterMs, wake);
  };
  for (let i = 0; i < 300; i += 1) wake();
  await clock.advance(120_000);
  const firstMinute = calls.filter((ms) => ms < 60_000).length;
  const secondMinute = calls.length - firstMinute;
  assert.ok(firstMinute <= 25, `${firstMinute} calls in the first minute`);
  assert.ok(secondMinute >= 6 && secondMinute <= 13, `${secondMinute} calls in the second minute`);
});

test('an idle endpoint is forgotten first, then the one that was not used for longest', async () => {
  const { clock, limiter, acquire, call } = setUp({ maxKeys: 3 });
  const keys = (): string[] => limiter.demand().map(({ key }) => key);
  await call('throttled');
  acquire('busy');
  acquire('idle').release('success');
  await clock.advance(10_000);
  acquire('new');
  assert.deepEqual(keys(), [KEY, 'busy', 'new']);
  acquire('newer');
  assert.deepEqual(keys(), ['busy', 'new', 'newer']);
});

test('a call to an endpoint that was forgotten in the meantime can end', () => {
  const { limiter, acquire } = setUp({ maxKeys: 1 });
  const first = acquire('first');
  acquire('second');
  first.release('throttled');
  assert.deepEqual(
    limiter.demand().map(({ key, ratePerSecond, inFlight }) => [key, ratePerSecond, inFlight]),
    [['second', 10, 1]],
  );
});

test('demand tells what was asked and what was granted', () => {
  const { limiter, acquire, refused } = setUp({ rate: { perSecond: 1, burst: 2 } });
  acquire();
  acquire().release('success');
  refused();
  assert.deepEqual(limiter.demand(), [{ key: KEY, ratePerSecond: 1, inFlight: 1, granted: 2, refused: 1 }]);
});

test('a rate that is configured below the probe rate is never exceeded', async () => {
  const { call, rate } = setUp({ rate: { perSecond: 0.1, burst: 1 } });
  await call('outage');
  assert.equal(rate(), 0.1);
});

test('whatever the outcomes, calls in flight and calls in any time stay below the bounds', async () => {
  const outcome = fc.constantFrom<CallOutcome>('success', 'throttled', 'outage', 'refused', 'aborted');
  const step = fc.oneof(
    fc.record({ kind: fc.constant('acquire' as const) }),
    fc.record({ kind: fc.constant('release' as const), outcome }),
    fc.record({ kind: fc.constant('advance' as const), ms: fc.nat(400) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 100 }), async (steps) => {
      const { clock, limiter, rate } = setUp();
      const startMs = clock.monotonicMs();
      const inFlight: Granted[] = [];
      let granted = 0;
      for (const next of steps) {
        if (next.kind === 'advance') await clock.advance(next.ms);
        if (next.kind === 'release') inFlight.shift()?.release(next.outcome);
        if (next.kind !== 'acquire') continue;
        const admission = limiter.tryAcquire(KEY);
        if (admission.granted) {
          granted += 1;
          inFlight.push(admission);
        } else {
          assert.ok(admission.retryAfterMs > 0 && admission.retryAfterMs <= 30_000);
        }
        assert.ok(inFlight.length <= 8);
        assert.ok(rate() >= 0.2 && rate() <= 10);
        assert.ok(granted <= 20 + ((clock.monotonicMs() - startMs) / 1_000) * 10 + 1e-6);
      }
    }),
    { numRuns: 60 },
  );
});

test('a tenant that is new among thousands of callers of another is served after a few calls', () => {
  let nowMs = 0;
  const unused = (): never => assert.fail('the limiter sets no timer');
  const clock = { now: () => nowMs, monotonicMs: () => nowMs, setTimer: unused };
  const limiter = new EndpointLimiter({ clock, random: new SeededRandom(1) });
  const waiting: { atMs: number; tenant: string; key: string }[] = [];
  const served: string[] = [];
  const ask = (tenant: string, key: string): void => {
    const admission = limiter.tryAcquire(KEY, 1, { tenant, key });
    if (admission.granted) {
      admission.release('refused');
      served.push(tenant);
    } else {
      waiting.push({ atMs: nowMs + admission.retryAfterMs, tenant, key });
    }
  };
  const run = (untilMs: number): void => {
    for (;;) {
      waiting.sort((a, b) => a.atMs - b.atMs);
      const [next] = waiting;
      if (next === undefined || next.atMs > untilMs) return;
      waiting.shift();
      nowMs = Math.max(nowMs, next.atMs);
      ask(next.tenant, next.key);
    }
  };
  for (let index = 0; index < 2_000; index += 1) ask('broken', `broken/${index}`);
  run(60_000);
  assert.ok(served.length >= 580 && served.length <= 620, `the rate is used, and kept: ${served.length} in a minute`);
  const before = served.length;
  for (let index = 0; index < 10; index += 1) ask('good', `good/${index}`);
  run(nowMs + 10_000);
  assert.equal(served.filter((tenant) => tenant === 'good').length, 10);
  assert.ok(served.indexOf('good') - before <= 8, `after ${served.indexOf('good') - before} calls`);
});

test('asking whether there is room takes none, and says and books the same as asking for it', () => {
  const [asked, taken] = [1, 2].map(() => {
    const unused = (): never => assert.fail('the limiter sets no timer');
    const clock = { now: () => 0, monotonicMs: () => 0, setTimer: unused };
    return new EndpointLimiter({ clock, random: new SeededRandom(1), rate: { perSecond: 1, burst: 1 } });
  });
  assert.ok(asked !== undefined && taken !== undefined);
  const caller = { tenant: 'shop', key: 'shop/orders' };
  assert.equal(asked.refusedForMs(KEY, 1, caller), undefined, 'an endpoint that nobody knows has room');
  for (const limiter of [asked, taken]) {
    assert.ok(limiter.tryAcquire(KEY, 1, { tenant: 'other', key: 'other/x' }).granted);
  }
  const admission = taken.tryAcquire(KEY, 1, caller);
  assert.ok(!admission.granted && admission.retryAfterMs > 0);
  assert.equal(asked.refusedForMs(KEY, 1, caller), admission.retryAfterMs);
  assert.deepEqual(asked.demand(), taken.demand());
});

test('who is told that there is room gets it', () => {
  const unused = (): never => assert.fail('the limiter sets no timer');
  const clock = { now: () => 0, monotonicMs: () => 0, setTimer: unused };
  const limiter = new EndpointLimiter({ clock, random: new SeededRandom(1), rate: { perSecond: 1, burst: 2 } });
  const caller = { tenant: 'shop', key: 'shop/orders' };
  assert.ok(limiter.tryAcquire(KEY, 1, caller).granted);
  assert.equal(limiter.refusedForMs(KEY, 1, caller), undefined);
  assert.equal(limiter.refusedForMs(KEY, 1, caller), undefined);
  assert.ok(limiter.tryAcquire(KEY, 1, caller).granted);
});
