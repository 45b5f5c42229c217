// Shows that no pair is left out, and that there are far fewer rows than combinations.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allPairs, pairsIn, pairwise } from '../../support/pairwise.ts';

const choices = Object.fromEntries(
  Array.from({ length: 12 }, (_, index) => [
    `question${index}`,
    Array.from({ length: 2 + (index % 3) }, (_, at) => at),
  ]),
);

test('every pair of answers occurs in some row', () => {
  const rows = pairwise(choices);
  assert.deepEqual(new Set(rows.flatMap(pairsIn)), allPairs(choices));
  assert.ok(rows.length < 40, `${rows.length} rows`);
});

test('there is one row for one answer each, and none without a pair', () => {
  assert.deepEqual(pairwise({ a: [1], b: [1], c: [1] }).length, 1);
  assert.deepEqual(pairwise({ a: [1, 2] }), []);
});
