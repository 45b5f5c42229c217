// Promises: the account of failed attempts that status keeps: what a failed one adds to it, and what the back-off reads from
// it, so that a restart and a second replica come to the same next try. Pure.
import type { WorkloadCredentialStatus } from '../api/types.gen.ts';
import { type CredentialError, ERRORS, type ErrorCode, isErrorCode } from './errors.ts';
import { failureTimeMs, formatTime, parseTime } from './record.ts';
import { type Pace, paceOf, type RetryInput } from './schedule.ts';

/** The members of status that make up the account. */
export type FailureAccount = Pick<WorkloadCredentialStatus, 'consecutiveFailures' | 'failuresByClass' | 'lastFailure'>;

type Counts = Partial<Record<Pace, number>>;

const MAX_MESSAGE = 1024;

/** Invalid and contested are judged anew at each reconcile, without a call; the others are attempts that failed. */
export function isAttempt(code: ErrorCode): boolean {
  return ERRORS[code].disposition !== 'invalid' && code !== 'SecretContested';
}

/**
 * How many attempts have failed since the last success that are retried at the pace of this code. Others beside them neither
 * add to it, so that what STS refuses after an outage is a first refusal, nor take from it, so that failures of two kinds in
 * turn are not retried for ever as first ones.
 */
export function failuresLike(code: ErrorCode, account: FailureAccount | undefined): number {
  const pace = paceOf(code);
  return pace === undefined ? 0 : (countsOf(account)[pace] ?? 0);
}

function countsOf(account: FailureAccount | undefined): Counts {
  const { consecutiveFailures = 0, failuresByClass, lastFailure } = account ?? {};
  if (consecutiveFailures === 0) {
    return {};
  }
  if (failuresByClass !== undefined) {
    return failuresByClass;
  }
  // An earlier version counted all of them as one.
  const code = lastFailure?.reason ?? '';
  const pace = isErrorCode(code) ? paceOf(code) : undefined;
  return pace === undefined ? {} : { [pace]: consecutiveFailures };
}

/** Whether an attempt has failed since the last success: a refusal of ours alone is none. */
export function hasFailedAttempts(account: FailureAccount | undefined): boolean {
  return Object.keys(countsOf(account)).length > 0;
}

/** The account after one more failure, at that time. */
export function withFailure(
  error: CredentialError,
  before: FailureAccount | undefined,
  timeMs: number,
): FailureAccount {
  const pace = paceOf(error.code);
  const counts = countsOf(before);
  const next = pace === undefined ? counts : { ...counts, [pace]: (counts[pace] ?? 0) + 1 };
  return {
    consecutiveFailures: (before?.consecutiveFailures ?? 0) + 1,
    ...(Object.keys(next).length === 0 ? {} : { failuresByClass: next }),
    lastFailure: {
      time: formatTime(failureTimeMs(timeMs)),
      reason: error.code,
      message: messageOf(error),
      ...(error.requestID === undefined ? {} : { requestID: error.requestID }),
    },
  };
}

/** The failure that status tells of, as the back-off takes it; undefined: there is none, or another version wrote it. */
export function failureToRetry(
  account: FailureAccount | undefined,
): Pick<RetryInput, 'code' | 'failures' | 'failureTimeMs'> | undefined {
  const { consecutiveFailures = 0, lastFailure: last } = account ?? {};
  const timeMs = parseTime(last?.time);
  return consecutiveFailures === 0 || last === undefined || !isErrorCode(last.reason) || timeMs === undefined
    ? undefined
    : { code: last.reason, failures: Math.max(1, failuresLike(last.reason, account)), failureTimeMs: timeMs };
}

/**
 * Whether status has left its last failure behind: it was of another spec, or a refusal of ours that holds no more, and what
 * is wanted now has not been tried. Status says so itself, so that neither a next look nor a restart takes it up again.
 */
export function isLeftBehind(status: WorkloadCredentialStatus | undefined): boolean {
  return status?.conditions?.some(({ type, reason }) => type === 'Reconciling' && reason === 'Pending') ?? false;
}

/** A refusal that was not an attempt and says what status says already: nothing happened, so nothing is written. */
export function isRepetition(error: CredentialError, before: FailureAccount | undefined): boolean {
  return (
    !isAttempt(error.code) &&
    (before?.consecutiveFailures ?? 0) > 0 &&
    before?.lastFailure?.reason === error.code &&
    before.lastFailure.message === messageOf(error)
  );
}

/** Cut within a character, it would come back from the API server as another text. */
function messageOf({ message }: CredentialError): string {
  return message.slice(0, MAX_MESSAGE).toWellFormed();
}
