// The clock that other tests rely on is itself tested.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sleep } from '../../../src/runtime/clock.ts';
import { FAKE_EPOCH_MS, FakeClock } from '../../support/fake-clock.ts';

test('timers fire in the order of their due times, and each sees its own due time', async () => {
  const clock = new FakeClock();
  const startMs = clock.monotonicMs();
  const seen: [string, number, number][] = [];
  const note = (name: string) => () => seen.push([name, clock.now() - FAKE_EPOCH_MS, clock.monotonicMs() - startMs]);
  clock.setTimer(50, note('c'));
  clock.setTimer(20, note('a'));
  clock.setTimer(20, note('b'));
  await clock.advance(60);
  assert.deepEqual(seen, [
    ['a', 20, 20],
    ['b', 20, 20],
    ['c', 50, 50],
  ]);
  assert.equal(clock.now(), FAKE_EPOCH_MS + 60);
});

test('promises settle between two timers, and a timer set on the way fires in its place', async () => {
  const clock = new FakeClock();
  const signal = new AbortController().signal;
  const seen: string[] = [];
  const walk = async (): Promise<void> => {
    await sleep(clock, 10, signal);
    seen.push('first');
    await sleep(clock, 10, signal);
    seen.push('second');
  };
  const walking = walk();
  clock.setTimer(15, () => seen.push('between'));
  await clock.advance(25);
  assert.deepEqual(seen, ['first', 'between', 'second']);
  await walking;
});

test('a jump moves wall time only and fires nothing', async () => {
  const clock = new FakeClock();
  const startMs = clock.monotonicMs();
  clock.setTimer(10, () => assert.fail('fired'));
  clock.jump(3_600_000);
  await clock.advance(0);
  assert.equal(clock.now(), FAKE_EPOCH_MS + 3_600_000);
  assert.equal(clock.monotonicMs(), startMs);
  assert.equal(clock.waiters(), 1);
  assert.equal(clock.nextTimerMs(), 10);
});

test('one can wait until somebody waits', async () => {
  const clock = new FakeClock();
  const waiting = clock.waitForTimers(2);
  clock.setTimer(1, () => undefined);
  clock.setTimer(1, () => undefined).cancel();
  clock.setTimer(1, () => undefined);
  await waiting;
  assert.equal(clock.waiters(), 2);
  await clock.waitForTimers(1);
});

test('advanceUntil stops at the timer that made it true, and says so when none does', async () => {
  const clock = new FakeClock();
  const startMs = clock.monotonicMs();
  let done = false;
  clock.setTimer(30, () => {
    done = true;
  });
  await clock.advanceUntil(() => done, 100);
  assert.equal(clock.monotonicMs() - startMs, 30);
  await assert.rejects(
    clock.advanceUntil(() => false, 100),
    /not done after 100 ms/,
  );
});

test('two moves at once are refused', async () => {
  const clock = new FakeClock();
  const first = clock.advance(1);
  await assert.rejects(clock.advance(1), /already under way/);
  await first;
});
