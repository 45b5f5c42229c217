import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aborted, deadline, sleep, systemClock } from '../../../src/runtime/clock.ts';
import { FakeClock } from '../../support/fake-clock.ts';

test('a timer of the system clock is never early', async () => {
  const startedMs = systemClock.monotonicMs();
  await new Promise<void>((resolve) => systemClock.setTimer(15, resolve));
  assert.ok(systemClock.monotonicMs() - startedMs >= 15);
});

test('a delay below zero counts as zero', async () => {
  await new Promise<void>((resolve) => systemClock.setTimer(-5, resolve));
});

test('the system clock tells wall time as Date does', () => {
  const before = Date.now();
  const now = systemClock.now();
  assert.ok(before <= now && now <= Date.now());
});

test('a timer longer than setTimeout takes waits in parts', (t) => {
  // Node's mock timers do not move performance.now; the stub below moves it together with them.
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let nowMs = 0;
  t.mock.method(performance, 'now', () => nowMs);
  const limitMs = 2 ** 31 - 1;
  const tick = (ms: number): void => {
    nowMs += ms;
    t.mock.timers.tick(ms);
  };
  let fired = 0;
  systemClock.setTimer(limitMs + 1_000, () => {
    fired += 1;
  });
  tick(1);
  assert.equal(fired, 0, 'a longer delay would have fired after 1 ms');
  tick(limitMs - 1);
  assert.equal(fired, 0);
  tick(999);
  assert.equal(fired, 0);
  tick(1);
  assert.equal(fired, 1);
});

test('a cancelled timer does not fire, neither before nor after it was re-armed', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let nowMs = 0;
  t.mock.method(performance, 'now', () => nowMs);
  const timer = systemClock.setTimer(2 ** 31 + 10, () => assert.fail('fired'));
  nowMs += 2 ** 31 - 1;
  t.mock.timers.tick(2 ** 31 - 1);
  timer.cancel();
  nowMs += 1_000;
  t.mock.timers.tick(1_000);
});

test('sleep resolves when its time has come and leaves no timer', async () => {
  const clock = new FakeClock();
  let awake = false;
  const sleeping = sleep(clock, 100, new AbortController().signal).then(() => {
    awake = true;
  });
  await clock.advance(99);
  assert.equal(awake, false);
  await clock.advance(1);
  assert.equal(awake, true);
  assert.equal(clock.waiters(), 0);
  await sleeping;
});

test('sleep rejects with the reason of its signal, before and while it waits, and leaves no timer', async () => {
  const clock = new FakeClock();
  const reason = new Error('stopped');
  const controller = new AbortController();
  const sleeping = sleep(clock, 100, controller.signal);
  await clock.waitForTimers(1);
  controller.abort(reason);
  await assert.rejects(sleeping, (error) => error === reason);
  await assert.rejects(sleep(clock, 100, controller.signal), (error) => error === reason);
  assert.equal(clock.waiters(), 0);
});

test('a deadline aborts with its own reason after its time', async () => {
  const clock = new FakeClock();
  const limited = deadline(clock, 50, new AbortController().signal, () => new Error('too slow'));
  await clock.advance(49);
  assert.equal(limited.signal.aborted, false);
  await clock.advance(1);
  assert.match(String(limited.signal.reason), /too slow/);
});

test('a deadline aborts with its parent, with the reason of the parent, and stops its timer', () => {
  const clock = new FakeClock();
  const parent = new AbortController();
  const reason = new Error('lost the Lease');
  const limited = deadline(clock, 50, parent.signal, () => new Error('too slow'));
  parent.abort(reason);
  assert.equal(limited.signal.reason, reason);
  assert.equal(clock.waiters(), 0);
});

test('a deadline under an aborted parent is aborted from the start', () => {
  const clock = new FakeClock();
  const reason = new Error('over');
  const limited = deadline(clock, 50, AbortSignal.abort(reason), () => new Error('too slow'));
  assert.equal(limited.signal.reason, reason);
  assert.equal(clock.waiters(), 0);
  limited.dispose();
});

test('a disposed deadline neither fires nor follows its parent', async () => {
  const clock = new FakeClock();
  const parent = new AbortController();
  const limited = deadline(clock, 50, parent.signal, () => new Error('too slow'));
  limited.dispose();
  await clock.advance(100);
  parent.abort(new Error('late'));
  assert.equal(limited.signal.aborted, false);
});

test('an abort is waited for, and one that was before is not', async () => {
  const controller = new AbortController();
  let over = false;
  const waiting = aborted(controller.signal).then(() => {
    over = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(over, false);
  controller.abort(new Error('stop'));
  await waiting;
  await aborted(controller.signal);
});
