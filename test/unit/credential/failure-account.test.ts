// Promises: the wait after a failure says how often its own kind has failed: what an outage counted does not slow down the
// first retry of what comes after it, and of two kinds in turn neither is retried for ever as a first one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { WorkloadCredentialStatus } from '../../../src/api/types.gen.ts';
import { CredentialError, ERRORS, type ErrorCode } from '../../../src/credential/errors.ts';
import { failuresLike, failureToRetry, isRepetition, withFailure } from '../../../src/credential/failure-account.ts';
import { paceOf } from '../../../src/credential/schedule.ts';
import { aFailedStatus, SECOND, T0 } from '../../support/builders.ts';

const CODES = Object.keys(ERRORS) as ErrorCode[];

function after(codes: readonly ErrorCode[], before?: WorkloadCredentialStatus): WorkloadCredentialStatus | undefined {
  let status = before;
  for (const code of codes) status = withFailure(new CredentialError(code, 'm'), status, T0);
  return status;
}

const times = (count: number, code: ErrorCode): ErrorCode[] => Array.from({ length: count }, () => code);

for (const [what, before, code, wanted] of [
  ['the first failure', [], 'STSUnavailable', 1],
  ['a second one', ['STSUnavailable'], 'STSUnavailable', 2],
  ['another outage', times(7, 'STSUnavailable'), 'KubernetesUnavailable', 8],
  ['throttling, which backs off as an outage does', times(7, 'STSUnavailable'), 'STSThrottled', 8],
  ['another refusal', times(3, 'AccessDenied'), 'PolicyRejected', 4],
  ['a refused token, which is a refusal', times(3, 'AccessDenied'), 'TokenRejected', 4],
  ['a refusal after an outage', times(7, 'STSUnavailable'), 'AccessDenied', 1],
  ['a refused token after an outage', times(7, 'STSUnavailable'), 'TokenRejected', 1],
  ['the API server after an outage', times(7, 'KubernetesUnavailable'), 'TokenRequestDenied', 1],
  ['STS after the API server', times(7, 'TokenRequestDenied'), 'AccessDenied', 1],
  ['an outage after refusals', times(7, 'AccessDenied'), 'STSUnavailable', 1],
  ['a refusal that an outage interrupted', [...times(7, 'AccessDenied'), 'STSUnavailable'], 'AccessDenied', 8],
  ['a refusal after one of ours', [...times(2, 'AccessDenied'), 'ServiceAccountNotAllowed'], 'AccessDenied', 3],
] as const satisfies readonly (readonly [string, readonly ErrorCode[], ErrorCode, number])[]) {
  test(`${what} is number ${wanted} of its kind`, () => {
    const status = after([...before, code]);
    assert.equal(failuresLike(code, status), wanted);
    assert.equal(status?.consecutiveFailures, before.length + 1);
    assert.deepEqual(failureToRetry(status), { code, failures: wanted, failureTimeMs: T0 });
  });
}

test('of any failures each is counted with its kind, and what is retried is the last one', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...CODES), { minLength: 1, maxLength: 12 }), (codes) => {
      const status = after(codes);
      const last = codes.at(-1) ?? 'InternalError';
      const like = codes.filter((code) => paceOf(code) !== undefined && paceOf(code) === paceOf(last)).length;
      assert.equal(failuresLike(last, status), like);
      assert.deepEqual(failureToRetry(status), { code: last, failures: Math.max(1, like), failureTimeMs: T0 });
      const counted = Object.values(status?.failuresByClass ?? {}).reduce((sum, count) => sum + count, 0);
      assert.equal(counted, codes.filter((code) => paceOf(code) !== undefined).length);
    }),
  );
});

test('two kinds in turn are retried more and more slowly, each of them', () => {
  const status = after(['TokenRejected', 'STSUnavailable', 'TokenRejected', 'STSUnavailable', 'TokenRejected']);
  assert.deepEqual(status?.failuresByClass, { denied: 3, transient: 2 });
});

test('a success ends all counts', () => {
  const status = { ...after(times(3, 'STSUnavailable')), consecutiveFailures: 0 };
  assert.equal(failuresLike('STSUnavailable', status), 0);
  assert.deepEqual(after(['STSUnavailable'], status)?.failuresByClass, { transient: 1 });
});

test('a status of an earlier version, which did not count by class, is read as failures of its last one', () => {
  const { failuresByClass: _none, ...old } = aFailedStatus('STSUnavailable', { count: 6, timeMs: T0 + SECOND });
  assert.deepEqual(failureToRetry(old), { code: 'STSUnavailable', failures: 6, failureTimeMs: T0 + SECOND });
  assert.deepEqual(after(['TokenRequestDenied'], old)?.failuresByClass, { transient: 6, forbidden: 1 });
  const unknown = aFailedStatus('NotOfThisVersion', { count: 6 });
  assert.deepEqual(after(['TokenRequestDenied'], unknown)?.failuresByClass, { forbidden: 1 });
});

for (const [what, status] of [
  ['no status', undefined],
  ['no failure', {}],
  ['a success since', { ...aFailedStatus('AccessDenied', { count: 3 }), consecutiveFailures: 0 }],
  ['a reason of another version', aFailedStatus('NotOfThisVersion')],
  ['a time that is none', { consecutiveFailures: 1, lastFailure: { time: 'x', reason: 'AccessDenied', message: '' } }],
  ['failures of which nothing is told', { consecutiveFailures: 1 }],
] as const satisfies readonly (readonly [string, WorkloadCredentialStatus | undefined])[]) {
  test(`with ${what} there is nothing to wait for`, () => {
    assert.equal(failureToRetry(status), undefined);
  });
}

test('a refusal of ours that says what status says is no news; in other words, after a success, or as an attempt it is', () => {
  const error = new CredentialError('InvalidSpec', 'm');
  const told = after(['InvalidSpec']);
  assert.ok(isRepetition(error, told));
  assert.ok(!isRepetition(new CredentialError('InvalidSpec', 'n'), told));
  assert.ok(!isRepetition(error, { ...told, consecutiveFailures: 0 }));
  assert.ok(!isRepetition(error, undefined));
  assert.ok(!isRepetition(new CredentialError('AccessDenied', 'm'), after(['AccessDenied'])));
});
