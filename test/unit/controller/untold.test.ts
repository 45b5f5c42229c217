// Shows which time a failure has that status could not be told: by it a status is known whose answer alone was lost.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { memoryOfUntold } from '../../../src/controller/untold.ts';
import { NOTHING } from '../../../src/credential/assessment.ts';
import { CredentialError } from '../../../src/credential/errors.ts';
import { anObserved, MINUTE, SECOND, T0 } from '../../support/builders.ts';

test('it failed when status would have said so, and its wait counts from when that was given up', () => {
  const error = new CredentialError('AccessDenied', 'STS refuses the role.');
  const times = { failedAtMs: T0, nowMs: T0 + 15 * SECOND };
  const change = memoryOfUntold(anObserved(), {}, { error, assessment: NOTHING, refusals: 0, ...times });
  assert.equal(change.untoldFailure?.timeMs, T0);
  assert.deepEqual(change.retryNotBefore, { timeMs: T0 + 15 * SECOND + MINUTE, isAskedFor: false });
});
