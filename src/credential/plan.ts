// Promises: decides what to do for one WorkloadCredential, from what was observed and the time, and nothing else: the same
// input has the same plan. Asks for a closer look where a decision would cost a call or a write. Makes no call itself.
//
//   observe -> plan -> look (GET) -> plan -> issue | write | repair | wait | refuse -> status
//
// Nothing due: `wait`, without any call. A routine refresh: `issue` at once, from the cache.
import { ANNOTATION_REFRESH_REQUESTED, ANNOTATION_RENDER_HASH } from '../api/names.ts';
import type { ObjectMeta, Secret } from '../api/meta.ts';
import { BEFORE_EXCHANGE, BEFORE_SECRET, firstFinding } from './checks.ts';
import { type Assessment, assess, claimant, NOTHING, UNKNOWN } from './assessment.ts';
import { contested, secretRefusal } from './conflicts.ts';
import { type CredentialError, ERRORS, type ErrorCode } from './errors.ts';
import { failuresLike, failureToRetry, isLeftBehind } from './failure-account.ts';
import { sameInput } from './hashes.ts';
import type { Observed, Settings } from './observed.ts';
import { mayBeTaken, ownership } from './ownership.ts';
import { failureTimeMs, parseTime } from './record.ts';
import { contestedDelayMs, forcedUntilMs, LONGEST_WAIT_MS, paceOf, retryTimeMs } from './schedule.ts';

/** Why an exchange is made. */
export type IssueCause = 'Absent' | 'Damaged' | 'Changed' | 'Expired' | 'Requested' | 'Due';

/**
 * What keeps an exchange waiting that is wanted:
 * - Failure: the back-off of the last one, which stands; or of one that status could not be told.
 * - RetryAfter: what STS or the API server asked for, where the failure that it came with was left behind by a change.
 * - Turn: the limiter of its STS.
 * - Distance: somebody asks for it, and did so a moment ago.
 * - Suspended: spec.suspend; what else may stand in the way was not looked at.
 * The middle three come after all checks of resource and ServiceAccount, but a Secret in the way need not have been looked at.
 */
export type WaitCause = 'Failure' | 'RetryAfter' | 'Turn' | 'Distance' | 'Suspended';

/** What to do next. `wakeAtMs` undefined: only an event is worth waking for. */
export type Plan =
  /** GET the Secret's metadata (whole, if it may be read) and the resource: `absence`; or the Secret whole: `content`. */
  | {
      readonly kind: 'look';
      readonly at: 'absence' | 'content';
      /** Present where an exchange follows if there is nothing to see: what is known until then. */
      readonly beforeExchange?: Assessment;
    }
  | {
      readonly kind: 'issue';
      readonly cause: IssueCause;
      readonly assessment: Assessment;
      /** Before its time, because somebody asked for it: the next such one keeps a distance. */
      readonly forced?: boolean;
    }
  /** Write the credential that is held in memory. */
  | { readonly kind: 'write'; readonly assessment: Assessment }
  /** Put back our metadata, or render the Secret anew from the credential in it; then what the plan was beside that. */
  | {
      readonly kind: 'repair';
      readonly secret: Secret;
      readonly assessment: Assessment;
      readonly wakeAtMs: number | undefined;
      /** As in `wait`: a repair is no attempt, so the last failure and its back-off stand. */
      readonly waitsFor: WaitCause | undefined;
      /** As in `refuse`: it is told although the Secret was repaired. */
      readonly refusal?: CredentialError;
    }
  | {
      readonly kind: 'wait';
      readonly assessment: Assessment;
      readonly wakeAtMs: number | undefined;
      /** An exchange is wanted, and waits for this; undefined: none is wanted. */
      readonly waitsFor: WaitCause | undefined;
    }
  | {
      readonly kind: 'refuse';
      readonly error: CredentialError;
      readonly assessment: Assessment;
      readonly wakeAtMs: number | undefined;
    };

/** The value of the refresh-requested annotation. */
export function refreshRequested(observed: Observed): string | undefined {
  return observed.credential.metadata.annotations?.[ANNOTATION_REFRESH_REQUESTED];
}

/** Decides. */
export function plan(observed: Observed, settings: Settings, nowMs: number): Plan {
  const finding = firstFinding(BEFORE_SECRET, observed, settings);
  if (finding !== undefined) {
    return { kind: 'refuse', error: finding, assessment: UNKNOWN, wakeAtMs: undefined };
  }
  const { secret } = observed;
  if (secret.kind === 'cached' && needsContent(observed, secret.metadata)) {
    return standsAside(observed, secret.metadata, settings, nowMs) ?? { kind: 'look', at: 'content' };
  }
  const refusal = planRefusal(observed, settings, nowMs);
  if (refusal !== undefined) {
    return refusal;
  }
  const assessment = assess(observed, settings, nowMs);
  const cause = issueCause(observed, assessment, nowMs);
  return cause === undefined
    ? planSettled(observed, settings, assessment)
    : planWanting(observed, settings, { assessment, cause, nowMs });
}

/** A cached Secret is known by its resourceVersion: the one that we last wrote or verified needs no look. */
function needsContent({ credential, renderHash }: Observed, metadata: ObjectMeta): boolean {
  const known = credential.status?.secret;
  const isKnown =
    known !== undefined && known.uid === metadata.uid && known.resourceVersion === metadata.resourceVersion;
  const recorded = metadata.annotations?.[ANNOTATION_RENDER_HASH];
  return !isKnown || !sameInput(recorded, renderHash);
}

/** A Secret in the cache that could not be taken was looked at; it is looked at again when it changes, or in its time. */
function standsAside(
  observed: Observed,
  metadata: ObjectMeta,
  settings: Settings,
  nowMs: number,
): Extract<Plan, { kind: 'wait' }> | undefined {
  const isTaken = mayBeTaken(ownership(metadata, claimant(observed)));
  if (isTaken && observed.memory.conflictVersion !== metadata.resourceVersion) {
    return undefined;
  }
  const assessment = isTaken ? assess(observed, settings, nowMs) : NOTHING;
  const wait = backOff(observed, assessment, nowMs);
  // Whether the ServiceAccount consents was not looked at: what status tells stands.
  return wait === undefined ? undefined : { ...wait, waitsFor: 'Failure' };
}

/** A Secret that was read and may not be written; what is in one that was handed over still counts. */
function planRefusal(observed: Observed, settings: Settings, nowMs: number): Plan | undefined {
  const { secret, namespace } = observed;
  if (secret.kind !== 'live') {
    return undefined;
  }
  const place = { namespace, name: secret.secret.metadata.name };
  const error = secretRefusal(secret.secret, claimant(observed), place);
  if (error === undefined) {
    return undefined;
  }
  const isAdopted = ownership(secret.secret.metadata, claimant(observed)) === 'adopted';
  return refuse(observed, error, isAdopted ? assess(observed, settings, nowMs) : NOTHING, nowMs);
}

function issueCause(
  observed: Observed,
  { record, refreshTimeMs: dueMs }: Assessment,
  nowMs: number,
): IssueCause | undefined {
  if (record === undefined) {
    return observed.secret.kind === 'absent' ? 'Absent' : 'Damaged';
  }
  if (!sameInput(record.requestHash, observed.requestHash)) {
    return 'Changed';
  }
  if (record.expirationTimeMs <= nowMs) {
    return 'Expired';
  }
  const requested = refreshRequested(observed);
  if (requested !== undefined && requested !== record.refreshHandled) {
    return 'Requested';
  }
  return dueMs !== undefined && dueMs <= nowMs ? 'Due' : undefined;
}

/** A live credential that is not due: at most a repair. */
function planSettled(observed: Observed, settings: Settings, assessment: Assessment): Plan {
  const endMs = assessment.record?.expirationTimeMs;
  const blocked = observed.resolved?.suspend === true ? undefined : firstFinding(BEFORE_EXCHANGE, observed, settings);
  return orRepair(
    observed,
    blocked === undefined
      ? { kind: 'wait', assessment, wakeAtMs: earliest(assessment.refreshTimeMs, endMs), waitsFor: undefined }
      : { kind: 'refuse', error: blocked, assessment, wakeAtMs: endMs },
  );
}

/** A Secret that was looked at and has a live credential may have drifted, or is to be rendered otherwise. */
function orRepair(observed: Observed, otherwise: Extract<Plan, { kind: 'wait' | 'refuse' }>): Plan {
  const { assessment, wakeAtMs } = otherwise;
  if (observed.secret.kind !== 'live' || !assessment.live) {
    return otherwise;
  }
  const repair = { kind: 'repair', secret: observed.secret.secret, assessment, wakeAtMs } as const;
  return otherwise.kind === 'refuse'
    ? { ...repair, waitsFor: undefined, refusal: otherwise.error }
    : { ...repair, waitsFor: otherwise.waitsFor };
}

interface Want {
  readonly assessment: Assessment;
  readonly cause: IssueCause;
  readonly nowMs: number;
}

/** An exchange is wanted: may it be made, and now? */
function planWanting(observed: Observed, settings: Settings, want: Want): Plan {
  const { assessment, nowMs } = want;
  const endMs = endOf(assessment, nowMs);
  const isUnconfirmed = observed.secret.kind === 'absent' && !observed.secret.confirmed;
  if (isUnconfirmed && isLiveByStatus(observed, nowMs)) {
    return { kind: 'look', at: 'absence' };
  }
  if (observed.resolved?.suspend === true) {
    return orRepair(observed, { kind: 'wait', assessment, wakeAtMs: endMs, waitsFor: 'Suspended' });
  }
  const blocked = firstFinding(BEFORE_EXCHANGE, observed, settings);
  if (blocked !== undefined) {
    return orRepair(observed, { kind: 'refuse', error: blocked, assessment, wakeAtMs: endMs });
  }
  const wait = backOff(observed, assessment, nowMs);
  if (wait !== undefined) {
    return orRepair(observed, wait);
  }
  if (!isUnconfirmed) {
    return planExchange(observed, settings, want);
  }
  return heldIsUsable(observed, want)
    ? { kind: 'look', at: 'absence' }
    : { kind: 'look', at: 'absence', beforeExchange: assessment };
}

/** Nothing stands in the way of an exchange, unless a credential is in hand, or somebody else undoes what we write. */
function planExchange(observed: Observed, settings: Settings, want: Want): Plan {
  const { assessment, cause, nowMs } = want;
  if (heldIsUsable(observed, want)) {
    return { kind: 'write', assessment };
  }
  const contestedUntilMs = believed(contestedUntil(observed, cause), nowMs);
  if (contestedUntilMs !== undefined && contestedUntilMs > nowMs) {
    return {
      kind: 'refuse',
      error: contested(observed.namespace, observed.resolved?.secret.name ?? ''),
      assessment,
      wakeAtMs: contestedUntilMs,
    };
  }
  if (!isForced(observed, cause)) {
    return { kind: 'issue', cause, assessment };
  }
  const untilMs = forcedUntil(observed, settings, want);
  return untilMs === undefined || untilMs <= nowMs
    ? { kind: 'issue', cause, assessment, forced: true }
    : { kind: 'wait', assessment, wakeAtMs: earliest(untilMs, endOf(assessment, nowMs)), waitsFor: 'Distance' };
}

/** Whether no time calls for the exchange, but somebody: a forced refresh, another spec, or what ended a refusal of ours. */
function isForced(observed: Observed, cause: IssueCause): boolean {
  const failure = recordedFailure(observed);
  if (failure === undefined) {
    return cause === 'Requested' || cause === 'Changed';
  }
  const wasNews = isLeftBehind(observed.credential.status);
  return isNews(observed) || wasNews || ERRORS[failure.code].disposition === 'invalid';
}

/** Until when a forced exchange waits: for its distance from the last one, but not beyond the time that calls for it. */
function forcedUntil(observed: Observed, settings: Settings, { assessment, nowMs }: Want): number | undefined {
  const { record, refreshTimeMs: dueMs } = assessment;
  const lastTimeMs = observed.memory.forced?.lastTimeMs;
  const { minRefreshIntervalSeconds } = settings;
  const untilMs = forcedUntilMs({ lastTimeMs, record, minRefreshIntervalSeconds }, nowMs);
  const failure = recordedFailure(observed);
  const againMs = failure && retryTimeMs({ uid: observed.uid, ...failure, expirationTimeMs: record?.expirationTimeMs });
  const isTimed = failure === undefined || againMs !== undefined;
  return untilMs === undefined ? undefined : earliest(untilMs, isTimed ? latest(dueMs, againMs) : undefined);
}

/**
 * Status tells of a live credential, but the Secret has left the cache: it may only have lost its label. That is looked
 * into at once, whatever stands in the way of an exchange; if the Secret is gone, status will not say so any more.
 */
function isLiveByStatus({ credential }: Observed, nowMs: number): boolean {
  const endMs = parseTime(credential.status?.expirationTime);
  return endMs !== undefined && endMs > nowMs;
}

/**
 * The wait that follows from a failure; undefined: there is none, or it is over. A changed spec or a new request does not
 * wait for our own back-off, but for what the other side asked for.
 */
function backOff(
  observed: Observed,
  assessment: Assessment,
  nowMs: number,
): Extract<Plan, { kind: 'wait' }> | undefined {
  const ownMs = believed(ownRetryAt(observed, assessment), nowMs);
  const { retryNotBefore } = observed.memory;
  const untilMs = latest(ownMs, believed(retryNotBefore?.timeMs, nowMs));
  if (untilMs === undefined || untilMs <= nowMs) {
    return undefined;
  }
  const waitsFor = untilMs !== ownMs && retryNotBefore?.isAskedFor === true ? 'RetryAfter' : 'Failure';
  return { kind: 'wait', assessment, wakeAtMs: earliest(untilMs, endOf(assessment, nowMs)), waitsFor };
}

/** Our own back-off; undefined: none holds. */
function ownRetryAt(observed: Observed, { record }: Assessment): number | undefined {
  const failure = recordedFailure(observed);
  if (failure === undefined || isNews(observed) || isOfFormerSpec(observed, failure.code)) {
    return undefined;
  }
  return retryTimeMs({ uid: observed.uid, ...failure, expirationTimeMs: record?.expirationTimeMs });
}

/** What was refused to a spec says nothing of the next one; that an endpoint is out, or throttles, does. */
function isOfFormerSpec({ credential }: Observed, code: ErrorCode): boolean {
  return isLeftBehind(credential.status) && paceOf(code) !== 'transient';
}

/** A time to wait for, unless it is further than any wait. */
function believed(untilMs: number | undefined, nowMs: number): number | undefined {
  return untilMs !== undefined && untilMs > nowMs + LONGEST_WAIT_MS ? undefined : untilMs;
}

/** Failures of which the Secret that stands there is the cause. */
const IN_THE_WAY: readonly string[] = ['SecretConflict', 'SecretTerminating'] satisfies readonly ErrorCode[];

/** The failure that status tells of, if a back-off follows from it. */
function recordedFailure({ credential, memory, secret }: Observed): ReturnType<typeof failureToRetry> {
  const failure = failureToRetry(credential.status);
  if (failure === undefined) {
    return undefined;
  }
  // The Secret that was in the way has been read, and may be written now.
  const isCleared = IN_THE_WAY.includes(failure.code) && secret.kind === 'live';
  // While a contest is remembered, its own pace counts (contestedUntil).
  const isContest = failure.code === 'SecretContested' && memory.contest !== undefined;
  return isContest || isCleared ? undefined : failure;
}

/** Whether the spec changed, a refresh was requested, or the Secret in the way went, since the last attempt. */
function isNews(observed: Observed): boolean {
  const { status, metadata } = observed.credential;
  if (observed.memory.conflictVersion !== undefined && observed.secret.kind === 'absent') {
    return true;
  }
  if (observed.memory.forced?.waits === true) {
    return true;
  }
  const requested = refreshRequested(observed);
  const isNewRequest = requested !== undefined && requested !== status?.lastHandledRefreshRequest;
  return isNewRequest || status?.observedGeneration !== metadata.generation;
}

/**
 * A credential in memory serves while it is of the current request, answers what is asked, is not itself due, and does not
 * end before the one in the Secret (unless a refresh was asked for).
 */
function heldIsUsable(observed: Observed, { assessment, cause, nowMs }: Want): boolean {
  const held = observed.memory.held;
  if (held === undefined || held.requestHash !== observed.requestHash) {
    return false;
  }
  const requested = refreshRequested(observed);
  const halfLifeMs = (held.credential.issueTimeMs + held.credential.expirationTimeMs) / 2;
  const isLonger =
    !assessment.live ||
    cause === 'Requested' ||
    held.credential.expirationTimeMs >= (assessment.record?.expirationTimeMs ?? 0);
  return (requested === undefined || held.refreshHandled === requested) && nowMs < halfLifeMs && isLonger;
}

/** Until when a Secret that others change or remove has to wait; undefined: it is not contested. */
function contestedUntil(observed: Observed, cause: IssueCause): number | undefined {
  const { contest } = observed.memory;
  const wasWritten = observed.credential.status?.secret?.uid !== undefined;
  if (contest === undefined || !(cause === 'Damaged' || (cause === 'Absent' && wasWritten))) {
    return undefined;
  }
  return contest.lastTimeMs + contestedDelayMs(contest.repairs);
}

/** The name is taken: looked at again at the time that backOff() will find in status. */
function refuse(observed: Observed, error: CredentialError, assessment: Assessment, nowMs: number): Plan {
  const retryMs = retryTimeMs({
    uid: observed.uid,
    code: error.code,
    failures: failuresLike(error.code, observed.credential.status) + 1,
    failureTimeMs: failureTimeMs(nowMs),
    expirationTimeMs: assessment.record?.expirationTimeMs,
  });
  return { kind: 'refuse', error, assessment, wakeAtMs: earliest(retryMs, endOf(assessment, nowMs)) };
}

/** The end of a credential that is still to come, when the condition has to turn. */
function endOf({ record }: Assessment, nowMs: number): number | undefined {
  return record !== undefined && record.expirationTimeMs > nowMs ? record.expirationTimeMs : undefined;
}

function earliest(...timesMs: readonly (number | undefined)[]): number | undefined {
  const known = timesMs.filter((timeMs) => timeMs !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}

function latest(...timesMs: readonly (number | undefined)[]): number | undefined {
  const known = timesMs.filter((timeMs) => timeMs !== undefined);
  return known.length === 0 ? undefined : Math.max(...known);
}
