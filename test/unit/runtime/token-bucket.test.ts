import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TokenBucket } from '../../../src/runtime/token-bucket.ts';
import { FakeClock } from '../../support/fake-clock.ts';

function takeAll(bucket: TokenBucket): number {
  let taken = 0;
  while (bucket.tryTake()) taken += 1;
  return taken;
}

test('a bucket is full at the start and fills at its rate, up to its burst', async () => {
  const clock = new FakeClock();
  const bucket = new TokenBucket(clock, { perSecond: 10, burst: 20 });
  assert.equal(takeAll(bucket), 20);
  await clock.advance(500);
  assert.equal(takeAll(bucket), 5);
  await clock.advance(3_600_000);
  assert.ok(bucket.isFull());
  assert.equal(takeAll(bucket), 20);
  assert.equal(bucket.isFull(), false);
});

test('it tells how long the next token takes', async () => {
  const clock = new FakeClock();
  const bucket = new TokenBucket(clock, { perSecond: 4, burst: 1 });
  assert.equal(bucket.untilTokensMs(), 0);
  bucket.tryTake();
  assert.equal(bucket.untilTokensMs(), 250);
  await clock.advance(150);
  assert.ok(Math.abs(bucket.untilTokensMs() - 100) < 1e-9);
});

test('several tokens are taken together or not at all', async () => {
  const clock = new FakeClock();
  const bucket = new TokenBucket(clock, { perSecond: 10, burst: 20 });
  assert.ok(bucket.tryTake(18));
  assert.equal(bucket.tryTake(3), false);
  assert.equal(bucket.untilTokensMs(3), 100);
  assert.equal(takeAll(bucket), 2);
  await clock.advance(300);
  assert.ok(bucket.tryTake(3));
});

test('more than a full bucket are taken from a full one, and paid for afterwards', async () => {
  const clock = new FakeClock();
  const bucket = new TokenBucket(clock, { perSecond: 2, burst: 1 });
  assert.ok(bucket.tryTake(5));
  assert.equal(bucket.untilTokensMs(), 2_500);
  await clock.advance(2_499);
  assert.equal(bucket.tryTake(), false);
  await clock.advance(1);
  assert.ok(bucket.tryTake());
});

test('at another rate what was filled stays, but not above the new burst', async () => {
  const clock = new FakeClock();
  const bucket = new TokenBucket(clock, { perSecond: 10, burst: 20 });
  bucket.setRate({ perSecond: 1, burst: 3 });
  assert.deepEqual(bucket.rate, { perSecond: 1, burst: 3 });
  assert.equal(takeAll(bucket), 3);
  await clock.advance(2_000);
  bucket.setRate({ perSecond: 10, burst: 20 });
  assert.equal(takeAll(bucket), 2);
});

test('numbers that make no sense are refused by name', () => {
  const clock = new FakeClock();
  assert.throws(() => new TokenBucket(clock, { perSecond: 0, burst: 1 }), /perSecond is 0/);
  assert.throws(() => new TokenBucket(clock, { perSecond: 1, burst: 0.5 }), /burst is 0.5/);
});
