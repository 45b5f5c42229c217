import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemRandom } from '../../../src/runtime/random.ts';
import { FixedRandom, SeededRandom } from '../../support/fake-random.ts';

const UUID_V4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test('the system gives numbers from 0 up to but not including 1', () => {
  for (let i = 0; i < 100; i += 1) {
    const value = systemRandom.next();
    assert.ok(value >= 0 && value < 1);
  }
});

test('the system gives a new version 4 UUID each time', () => {
  const one = systemRandom.uuid();
  assert.match(one, UUID_V4);
  assert.notEqual(one, systemRandom.uuid());
});

test('a seed repeats itself, another seed differs', () => {
  const draw = (seed: number): string => {
    const random = new SeededRandom(seed);
    assert.match(random.uuid(), UUID_V4);
    return [random.next(), random.next(), random.uuid()].join();
  };
  assert.equal(draw(7), draw(7));
  assert.notEqual(draw(7), draw(8));
});

test('fixed chance stays where it is, and its UUIDs count up', () => {
  const random = new FixedRandom(0.25);
  assert.deepEqual([random.next(), random.next()], [0.25, 0.25]);
  assert.deepEqual(
    [random.uuid(), random.uuid()].map((uuid) => uuid.slice(-2)),
    ['01', '02'],
  );
});

test('seeded numbers fill the range', () => {
  const random = new SeededRandom(0);
  const values = Array.from({ length: 2_000 }, () => random.next());
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  assert.ok(Math.min(...values) < 0.01 && Math.max(...values) > 0.99 && Math.max(...values) < 1);
  assert.ok(Math.abs(mean - 0.5) < 0.03);
});
