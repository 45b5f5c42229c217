// Promises: the status that a WorkloadCredential is to have, from what was established, what was done and the time; and
// the merge patch and the events that follow. A status that would not change makes no patch. Pure.
//
//   C: a live credential of the current request is in the Secret     Ready            Reconciling  Stalled  Refreshed
//   C, last attempt good                                             True Issued      -            -        True
//   C, refresh failing                                               True             -            -        False
//                                                                      RefreshFailing
//   no C, this spec not tried yet                                    False Pending    True         -        -
//   no C, transient or throttled                                     False            True         -        False
//   no C, the other classes                                          False            -            True     False
//   expired                                                          False Expired    if transient if not   False
//   suspended                                                        as C, Suspended  -            -        -
import { setConditions, type WantedCondition } from '../api/conditions.ts';
import type { Condition } from '../api/meta.ts';
import type { Cloud, ConditionType } from '../api/names.ts';
import type { WorkloadCredentialStatus } from '../api/types.gen.ts';
import type { Assessment } from './assessment.ts';
import { type CredentialError, type ErrorCode, ERRORS, isErrorCode } from './errors.ts';
import {
  type FailureAccount,
  hasFailedAttempts,
  isAttempt,
  isLeftBehind,
  isRepetition,
  withFailure,
} from './failure-account.ts';
import type { WaitCause } from './plan.ts';
import { failureTimeMs, formatTime, parseTime } from './record.ts';

/** What a reconcile came to. */
export type Outcome =
  /** A credential was issued and written. */
  | { readonly kind: 'issued' }
  /** Nothing is wanted: the credential is live and not due. */
  | { readonly kind: 'settled' }
  /** Something is wanted and has to wait: the last failure stands, unless it was a refusal of ours that holds no more. */
  | { readonly kind: 'waiting'; readonly waitsFor: WaitCause }
  /** Refused or failed; timeMs: when, if it was before this reconcile. */
  | { readonly kind: 'failed'; readonly error: CredentialError; readonly timeMs?: number };

/** Who is in the Secret; undefined members are not known. */
export interface Identity {
  readonly role: string | undefined;
  readonly identity: string | undefined;
  readonly accessKeyID: string | undefined;
  readonly requestID: string | undefined;
}

/** What the status is made from. */
export interface StatusInput {
  readonly previous: WorkloadCredentialStatus | undefined;
  readonly generation: number;
  readonly cloud: Cloud | undefined;
  readonly secretName: string;
  readonly suspended: boolean;
  readonly nowMs: number;
  readonly assessment: Assessment;
  readonly outcome: Outcome;
  /** The Secret as it was last written or verified by this reconcile. */
  readonly secretRef?: { readonly uid: string; readonly resourceVersion: string } | undefined;
  /** Set when this reconcile learned who is in the Secret. */
  readonly identity?: Identity | undefined;
  readonly refreshRequested: string | undefined;
  /** Whether the Secret has the format Environment. */
  readonly isForEnvironment: boolean;
}

/** An event to record on the resource. */
export interface StatusEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly note: string;
}

/** The new status and what to say about it. */
export interface NextStatus {
  readonly status: WorkloadCredentialStatus;
  /** Whether a failure was added to the account. */
  readonly isCounted: boolean;
  readonly events: readonly StatusEvent[];
}

interface Failure {
  /** A Reason, or what another version wrote. */
  readonly code: string;
  readonly message: string;
  readonly stalls: boolean;
}

/** Makes the new status. */
export function nextStatus(wished: StatusInput): NextStatus {
  const input: StatusInput = isToldAlready(wished)
    ? { ...wished, outcome: { kind: 'waiting', waitsFor: 'Failure' } }
    : wished;
  const failed = failureFields(input);
  const failure = standingFailure(input, failed);
  const wanted = input.suspended ? suspendedConditions(input) : conditions(input, failure);
  const nowTime = formatTime(input.nowMs);
  const status: WorkloadCredentialStatus = {
    observedGeneration: input.generation,
    conditions: setConditions(input.previous?.conditions ?? [], wanted, {
      nowTime,
      observedGeneration: input.generation,
    }),
    ...credentialFields(input),
    ...failed,
  };
  const isCounted =
    input.outcome.kind === 'failed' && failed.consecutiveFailures !== input.previous?.consecutiveFailures;
  return { status, isCounted, events: events(input, status, wanted) };
}

/** A failure of before whose status was written all the same: only the answer was lost. */
function isToldAlready({ outcome, previous }: StatusInput): boolean {
  return (
    outcome.kind === 'failed' &&
    outcome.timeMs !== undefined &&
    previous?.lastFailure?.reason === outcome.error.code &&
    previous.lastFailure.time === formatTime(failureTimeMs(outcome.timeMs))
  );
}

type FailureFields = FailureAccount & Pick<WorkloadCredentialStatus, 'lastHandledRefreshRequest'>;

/** The account of failures, and lastHandledRefreshRequest. */
function failureFields(input: StatusInput): FailureFields {
  const { previous, outcome, refreshRequested } = input;
  const kept = pick(previous, ['lastFailure', 'lastHandledRefreshRequest']);
  const consecutiveFailures = previous?.consecutiveFailures ?? 0;
  const standing = { ...kept, ...pick(previous, ['failuresByClass']), consecutiveFailures };
  switch (outcome.kind) {
    case 'issued':
      return { ...kept, ...handled(refreshRequested), consecutiveFailures: 0 };
    case 'settled':
      // The Secret knows better: it was written first.
      return { ...kept, ...handled(input.assessment.record?.refreshHandled), consecutiveFailures: 0 };
    case 'waiting':
      return standing;
    case 'failed':
      return isRepetition(outcome.error, previous)
        ? standing
        : {
            ...kept,
            ...handled(isAttempt(outcome.error.code) ? refreshRequested : undefined),
            ...withFailure(outcome.error, previous, outcome.timeMs ?? input.nowMs),
          };
  }
}

function handled(request: string | undefined): FailureFields {
  return request === undefined ? {} : { lastHandledRefreshRequest: request };
}

/** The members that are set. */
function pick<K extends keyof WorkloadCredentialStatus>(
  status: WorkloadCredentialStatus | undefined,
  keys: readonly K[],
): Pick<WorkloadCredentialStatus, K> {
  const found: Partial<Pick<WorkloadCredentialStatus, K>> = {};
  for (const key of keys) {
    if (status?.[key] !== undefined) {
      found[key] = status[key];
    }
  }
  return found as Pick<WorkloadCredentialStatus, K>;
}

/** The failure that conditions speak of: this reconcile's, or the last one's while what failed is still wanted. */
function standingFailure(input: StatusInput, failed: FailureAccount): Failure | undefined {
  const { outcome } = input;
  if (outcome.kind === 'failed') {
    return { code: outcome.error.code, message: outcome.error.message, stalls: isStalling(outcome.error.code) };
  }
  const last = failed.lastFailure;
  if (outcome.kind !== 'waiting' || (failed.consecutiveFailures ?? 0) === 0 || last === undefined) {
    return undefined;
  }
  if (isOver(last.reason, outcome.waitsFor, input)) {
    return undefined;
  }
  return { code: last.reason, message: last.message, stalls: isStalling(last.reason) };
}

/** Failures that only a look at the Secret ends, which none of the waits comes after. */
const OF_THE_SECRET: readonly string[] = [
  'SecretConflict',
  'SecretTerminating',
  'SecretContested',
] satisfies readonly ErrorCode[];

/**
 * Whether the last failure tells nothing of the exchange that waits: a refusal of ours that holds no more, or one of STS to
 * another spec. While a credential of the present request lives, attempts to replace it that failed are told until one succeeds.
 */
function isOver(reason: string, waitsFor: WaitCause, input: StatusInput): boolean {
  const { previous, generation } = input;
  const isLive = liveEndMs(input) !== undefined;
  if (isLeftBehind(previous) && !isLive) {
    return true;
  }
  if (waitsFor === 'Failure' || waitsFor === 'Suspended') {
    return false;
  }
  if (isErrorCode(reason) && ERRORS[reason].disposition === 'invalid') {
    return !isLive || !hasFailedAttempts(previous);
  }
  return !isLive && previous?.observedGeneration !== generation && !OF_THE_SECRET.includes(reason);
}

/** Transient and throttled wait for time; the others for somebody. A code of another version stalls nothing. */
function isStalling(code: string): boolean {
  return isErrorCode(code) && !['transient', 'throttled'].includes(ERRORS[code].disposition);
}

type Wanted = Partial<Record<ConditionType, WantedCondition>>;

function conditions(input: StatusInput, failure: Failure | undefined): Wanted {
  const refreshed: Wanted =
    failure === undefined ? {} : { Refreshed: { status: 'False', reason: failure.code, message: failure.message } };
  const endMs = liveEndMs(input);
  return endMs === undefined
    ? { ...unreadyConditions(input, failure), ...refreshed }
    : { ...LAST_SUCCEEDED, ...refreshed, Ready: readyCondition(input, endMs, failure) };
}

const LAST_SUCCEEDED: Wanted = {
  Refreshed: { status: 'True', reason: 'Issued', message: 'The last attempt succeeded.' },
};

function readyCondition(input: StatusInput, endMs: number, failure: Failure | undefined): WantedCondition {
  const until = `Secret "${input.secretName}" holds a live credential until ${formatTime(endMs)}${forEnvironment(input)}`;
  return failure === undefined
    ? { status: 'True', reason: 'Issued', message: `${until}.` }
    : { status: 'True', reason: 'RefreshFailing', message: `${until}, but replacing it fails: ${failure.message}` };
}

/** The variables of a running container never change: this tells which of them cannot have what the Secret has (DESIGN section 4). */
function forEnvironment({ isForEnvironment, assessment, previous }: StatusInput): string {
  const issueMs = assessment.record?.issueTimeMs ?? parseTime(previous?.issueTime);
  return isForEnvironment && issueMs !== undefined
    ? ` (as environment variables, no container that was started before ${formatTime(issueMs)} has it)`
    : '';
}

/** Not ready: somebody has to act, or time has to pass; never both. */
function unreadyConditions(input: StatusInput, failure: Failure | undefined): Wanted {
  const { code, message, stalls } = failure ?? pending(input);
  const ready = hasExpired(input)
    ? { reason: 'Expired', message: `The credential in Secret "${input.secretName}" has ended. ${message}` }
    : { reason: code, message };
  return {
    Ready: { status: 'False', ...ready },
    [stalls ? 'Stalled' : 'Reconciling']: { status: 'True', reason: code, message },
  };
}

/** Why an exchange waits where no failure stands. Without times: a status is not written for each wait. */
const WAITS: Readonly<Record<WaitCause, string>> = {
  Failure: 'it waits, since an attempt has failed',
  Suspended: 'it waits until spec.suspend is false',
  RetryAfter: 'it waits for as long as STS, or the API server, has asked for',
  Turn: 'it waits for its turn, since requests to its STS are limited (--sts-requests-per-second of the operator), the more while it fails',
  Distance:
    'it waits, since an exchange was asked for a moment ago, by an edit, a consent or a forced refresh (--min-refresh-interval-seconds of the operator)',
};

function pending({ outcome }: StatusInput): Failure {
  const why = outcome.kind === 'waiting' ? `: ${WAITS[outcome.waitsFor]}` : '';
  const message = `A credential is being obtained${why}.`;
  return { code: 'Pending', message, stalls: false };
}

/** Whether this reconcile saw the Secret, be it only its annotations in the cache; if not, status counts as it was. */
function wasSeen({ established, record }: Assessment): boolean {
  return established || record !== undefined;
}

/**
 * When the credential in the Secret ends, as far as anything is known of it. A Secret that was not seen counts as status
 * told of it last, unless the spec itself cannot work.
 */
function knownEndMs({ assessment, previous, outcome }: StatusInput): number | undefined {
  if (wasSeen(assessment)) {
    return assessment.record?.expirationTimeMs;
  }
  const isInvalid = outcome.kind === 'failed' && outcome.error.disposition === 'invalid';
  return isInvalid ? undefined : parseTime(previous?.expirationTime);
}

/** The end of a live credential of the current request; undefined if there is none. */
function liveEndMs(input: StatusInput): number | undefined {
  const { assessment, previous, generation, nowMs } = input;
  const endMs = knownEndMs(input);
  const wasReady =
    previous?.observedGeneration === generation &&
    previous.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;
  const isOfRequest = wasSeen(assessment) ? assessment.live : wasReady;
  return endMs !== undefined && endMs > nowMs && isOfRequest ? endMs : undefined;
}

/** A credential, of whatever request, that has ended. */
function hasExpired(input: StatusInput): boolean {
  const endMs = knownEndMs(input);
  return endMs !== undefined && endMs <= input.nowMs;
}

function suspendedConditions(input: StatusInput): Wanted {
  const endMs = liveEndMs(input);
  return endMs === undefined
    ? { Ready: { status: 'False', reason: 'Suspended', message: 'spec.suspend is true: no credential is obtained.' } }
    : {
        Ready: {
          status: 'True',
          reason: 'Suspended',
          message: `spec.suspend is true: Secret "${input.secretName}" keeps its credential until ${formatTime(endMs)}${forEnvironment(input)}, and no other follows.`,
        },
      };
}

/** What is in the Secret; fields that are not known any more are left out. */
function credentialFields(input: StatusInput): WorkloadCredentialStatus {
  const { assessment, previous, identity, secretRef } = input;
  const secret = secretRef === undefined ? previous?.secret : { name: input.secretName, ...secretRef };
  const base: WorkloadCredentialStatus = {
    ...(secret === undefined ? {} : { secret }),
    ...(input.cloud === undefined ? {} : { cloud: input.cloud }),
  };
  if (!assessment.established) {
    return { ...pick(previous, CREDENTIAL_FIELDS), ...base };
  }
  const { record, refreshTimeMs } = assessment;
  if (record === undefined || refreshTimeMs === undefined) {
    return base;
  }
  const same = parseTime(previous?.issueTime) === record.issueTimeMs;
  const known = identity === undefined ? (same ? pick(previous, IDENTITY_FIELDS) : {}) : setMembers(identity);
  return {
    ...base,
    ...known,
    issueTime: formatTime(record.issueTimeMs),
    expirationTime: formatTime(record.expirationTimeMs),
    refreshTime: formatTime(refreshTimeMs),
  };
}

const IDENTITY_FIELDS = ['role', 'identity', 'accessKeyID', 'requestID'] as const;
const CREDENTIAL_FIELDS = [...IDENTITY_FIELDS, 'issueTime', 'expirationTime', 'refreshTime'] as const;

function setMembers(identity: Identity): WorkloadCredentialStatus {
  return Object.fromEntries(Object.entries(identity).filter(([, value]) => value !== undefined));
}

/** First issue, recovery, expiry, and failures: the first, each new kind, and then at 2, 4, 8 ... in a row. */
function events(input: StatusInput, status: WorkloadCredentialStatus, wanted: Wanted): StatusEvent[] {
  const found = [issueEvent(input), failureEvent(input, status), expiryEvent(input, wanted)];
  return found.filter((event) => event !== undefined);
}

function issueEvent({ previous, outcome, secretName, assessment }: StatusInput): StatusEvent | undefined {
  if (outcome.kind !== 'issued' || assessment.record === undefined) {
    return undefined;
  }
  const until = formatTime(assessment.record.expirationTimeMs);
  if ((previous?.consecutiveFailures ?? 0) > 0) {
    return {
      type: 'Normal',
      reason: 'Recovered',
      note: `Secret "${secretName}" holds a new credential until ${until}.`,
    };
  }
  return previous?.issueTime === undefined
    ? { type: 'Normal', reason: 'Issued', note: `Secret "${secretName}" holds a credential until ${until}.` }
    : undefined;
}

function failureEvent({ previous, outcome }: StatusInput, status: WorkloadCredentialStatus): StatusEvent | undefined {
  const failures = status.consecutiveFailures ?? 0;
  if (outcome.kind !== 'failed' || failures === previous?.consecutiveFailures) {
    return undefined;
  }
  const isNewKind = previous?.lastFailure?.reason !== outcome.error.code;
  return isNewKind || Number.isInteger(Math.log2(failures))
    ? { type: 'Warning', reason: outcome.error.code, note: outcome.error.message }
    : undefined;
}

function expiryEvent({ previous }: StatusInput, wanted: Wanted): StatusEvent | undefined {
  const wasExpired = previous?.conditions?.some((condition: Condition) => condition.reason === 'Expired') ?? false;
  return wanted.Ready?.reason === 'Expired' && !wasExpired
    ? { type: 'Warning', reason: 'Expired', note: wanted.Ready.message }
    : undefined;
}

/**
 * The members of status that a merge patch has to change; undefined when nothing would.
 * A member that is gone is set to null (RFC 7396).
 */
export function statusDifference(
  previous: WorkloadCredentialStatus | undefined,
  next: WorkloadCredentialStatus,
): Readonly<Record<string, unknown>> | undefined {
  const before: Readonly<Record<string, unknown>> = { ...previous };
  const after: Readonly<Record<string, unknown>> = { ...next };
  const difference: Record<string, unknown> = {};
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    if (!sameJSON(before[key], after[key])) {
      difference[key] = after[key] === undefined ? null : replaced(before[key], after[key]);
    }
  }
  return Object.keys(difference).length === 0 ? undefined : difference;
}

/** The API server sorts members in its own way, and leaves out those that are undefined: only the meaning counts. */
function sameJSON(a: unknown, b: unknown): boolean {
  if (a === b) {
    return true;
  }
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) {
    return false;
  }
  if (Array.isArray(a) || Array.isArray(b)) {
    return (
      Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, at) => sameJSON(item, b[at]))
    );
  }
  const [one, other] = [a as Readonly<Record<string, unknown>>, b as Readonly<Record<string, unknown>>];
  return (
    Object.keys(one).every((key) => sameJSON(one[key], other[key])) &&
    Object.keys(other).every((key) => one[key] !== undefined || other[key] === undefined)
  );
}

/** Inside an object, a merge patch keeps members that it does not name: those that are gone are named. */
function replaced(before: unknown, after: unknown): unknown {
  if (typeof before !== 'object' || before === null || Array.isArray(before) || typeof after !== 'object') {
    return after;
  }
  const gone = Object.keys(before).filter((key) => !Object.hasOwn(after as object, key));
  return { ...Object.fromEntries(gone.map((key) => [key, null])), ...after };
}
