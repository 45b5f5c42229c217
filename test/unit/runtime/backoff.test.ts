import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Backoff } from '../../../src/runtime/backoff.ts';
import { FixedRandom } from '../../support/fake-random.ts';

const backoff = new Backoff({ initialMs: 5_000, factor: 2, maxMs: 60_000 });

test('the wait grows by the factor up to the longest', () => {
  const waits = [1, 2, 3, 4, 5, 50, 5_000].map((failures) => backoff.delayMs(failures));
  assert.deepEqual(waits, [5_000, 10_000, 20_000, 40_000, 60_000, 60_000, 60_000]);
});

test('without a failure there is no wait', () => {
  assert.deepEqual(
    [0, -1, Number.NaN].map((failures) => backoff.delayMs(failures)),
    [0, 0, 0],
  );
});

test('chance shortens a wait by up to a fifth and never lengthens it', () => {
  assert.equal(backoff.jitteredMs(9, new FixedRandom(0)), 60_000);
  assert.equal(backoff.jitteredMs(9, new FixedRandom(0.5)), 54_000);
  assert.ok(backoff.jitteredMs(9, new FixedRandom(0.999)) >= 48_000);
});

test('numbers that make no sense are refused by name', () => {
  assert.throws(() => new Backoff({ initialMs: 0, factor: 2, maxMs: 1 }), /initialMs is 0/);
  assert.throws(() => new Backoff({ initialMs: 1, factor: 0.5, maxMs: 1 }), /factor is 0.5/);
  assert.throws(() => new Backoff({ initialMs: 2, factor: 2, maxMs: 1 }), /maxMs is 1/);
  assert.throws(() => new Backoff({ initialMs: Number.NaN, factor: 2, maxMs: 1 }), RangeError);
});
