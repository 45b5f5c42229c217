// Promises: the list of conditions keeps Kubernetes' conventions: one of a type, and a transition time that tells when
// the status changed and nothing else.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setConditions, type WantedCondition } from '../../../src/api/conditions.ts';
import type { Condition } from '../../../src/api/meta.ts';

const BEFORE = '2026-11-22T11:00:00Z';
const NOW = { nowTime: '2026-11-22T12:00:00Z', observedGeneration: 3 };
const ready = (status: 'True' | 'False', reason = 'Issued'): Condition => ({
  type: 'Ready',
  status,
  reason,
  message: 'm',
  lastTransitionTime: BEFORE,
  observedGeneration: 2,
});
const want = (status: 'True' | 'False', reason = 'Issued'): WantedCondition => ({ status, reason, message: 'm' });

test('a new condition begins now', () => {
  assert.deepEqual(setConditions([], { Ready: want('True') }, NOW), [
    {
      type: 'Ready',
      status: 'True',
      reason: 'Issued',
      message: 'm',
      lastTransitionTime: NOW.nowTime,
      observedGeneration: 3,
    },
  ]);
});

test('a new reason or message of the same status is no transition', () => {
  const [condition] = setConditions([ready('True')], { Ready: want('True', 'RefreshFailing') }, NOW);
  assert.equal(condition?.lastTransitionTime, BEFORE);
  assert.equal(condition.reason, 'RefreshFailing');
  assert.equal(condition.observedGeneration, 3);
});

test('a new status is a transition', () => {
  const [condition] = setConditions([ready('True')], { Ready: want('False', 'Expired') }, NOW);
  assert.equal(condition?.lastTransitionTime, NOW.nowTime);
});

test('a type that is not wanted any more goes', () => {
  const stalled: Condition = { ...ready('True'), type: 'Stalled' };
  assert.deepEqual(setConditions([stalled], {}, NOW), []);
});

test('conditions of other programs stay, behind ours, untouched', () => {
  const other: Condition = { ...ready('True'), type: 'example.com/Other' };
  const types = setConditions([other, ready('True')], { Ready: want('True') }, NOW);
  assert.deepEqual(
    types.map(({ type }) => type),
    ['Ready', 'example.com/Other'],
  );
  assert.equal(types[1], other);
});

test('the order is fixed, whatever order they come in', () => {
  const wanted = { Refreshed: want('False'), Stalled: want('True'), Reconciling: want('True'), Ready: want('False') };
  const types = setConditions([], wanted, NOW).map(({ type }) => type);
  assert.deepEqual(types, ['Ready', 'Reconciling', 'Stalled', 'Refreshed']);
});

test('a message that is cut within a character is told as the API server will hold it', () => {
  const message = `x${'\u{1f600}'.repeat(20_000)}`;
  const [condition] = setConditions([], { Ready: { ...want('False'), message } }, NOW);
  assert.ok(condition?.message.isWellFormed());
});

test('a message is cut to what the schema takes', () => {
  const [condition] = setConditions([], { Ready: { ...want('False'), message: 'x'.repeat(40_000) } }, NOW);
  assert.equal(condition?.message.length, 32_768);
});
