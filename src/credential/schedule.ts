// Promises: when a credential is refreshed and when a failed attempt is repeated. Pure: the same input has the same
// answer, so a restart or a second replica comes to the same time, and no herd forms. Never later than the expiration.
// And the end of a credential that files say.
import { type Disposition, ERRORS, type ErrorCode } from './errors.ts';
import { hashedFraction } from './hashes.ts';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;

/** Below this life the refresh comes at half of it, else at two thirds (cert-manager's default). */
const LONG_LIFE_MS = 45 * MINUTE_MS;
/** Refreshes are spread over this part of the life, earlier only. */
const SPREAD = 0.1;
/** The floor between refreshes is never more than this part of the life. */
const FLOOR_PART = 1 / 3;

/** What the refresh time depends on. */
export interface ScheduleInput {
  /** The resource's UID: spreads credentials that were issued together. */
  readonly uid: string;
  readonly issueTimeMs: number;
  readonly expirationTimeMs: number;
  /** spec.refreshBeforeSeconds; counts within half the life. */
  readonly refreshBeforeSeconds?: number | undefined;
  /** --min-refresh-interval-seconds */
  readonly minRefreshIntervalSeconds: number;
}

/** When the credential is to be replaced, in milliseconds since the epoch: after its issue and before its end. */
export function refreshTimeMs(input: ScheduleInput): number {
  const lifeMs = input.expirationTimeMs - input.issueTimeMs;
  const usualLeadMs = lifeMs >= LONG_LIFE_MS ? lifeMs / 3 : lifeMs / 2;
  const leadMs =
    input.refreshBeforeSeconds === undefined
      ? usualLeadMs
      : Math.min(input.refreshBeforeSeconds * SECOND_MS, lifeMs / 2);
  const spreadMs = lifeMs * SPREAD * hashedFraction('refresh', input.uid, String(input.issueTimeMs));
  const floorMs = intervalMs(input.minRefreshIntervalSeconds, lifeMs);
  return Math.floor(Math.max(input.expirationTimeMs - leadMs - spreadMs, input.issueTimeMs + floorMs));
}

function intervalMs(minRefreshIntervalSeconds: number, lifeMs: number): number {
  return Math.min(minRefreshIntervalSeconds * SECOND_MS, lifeMs * FLOOR_PART);
}

/** What the pace of exchanges depends on that somebody asks for. */
export interface ForcedInput {
  /** When the last one was made; undefined: none is remembered. */
  readonly lastTimeMs: number | undefined;
  /** The credential in the Secret, if there is one. */
  readonly record: { readonly issueTimeMs: number; readonly expirationTimeMs: number } | undefined;
  /** --min-refresh-interval-seconds */
  readonly minRefreshIntervalSeconds: number;
}

/**
 * Until when an exchange has to wait that is not due by time: the first is made at once, further ones not more often than
 * refreshes, or a tenant could use up the STS rate that an account's credentials share. Undefined: it need not wait.
 */
export function forcedUntilMs(input: ForcedInput, nowMs: number): number | undefined {
  const { lastTimeMs, record, minRefreshIntervalSeconds } = input;
  // A time that is still to come was noted by a clock that has been set back since.
  if (lastTimeMs === undefined || lastTimeMs > nowMs) {
    return undefined;
  }
  const lifeMs = record === undefined ? Number.POSITIVE_INFINITY : record.expirationTimeMs - record.issueTimeMs;
  const untilMs = Math.ceil(lastTimeMs + intervalMs(minRefreshIntervalSeconds, lifeMs));
  return untilMs > nowMs ? untilMs : undefined;
}

/** How much earlier than the true end files may say that the credential ends. */
const FILE_MARGIN_MS = 120 * SECOND_MS;
/** kubelet brings a new Secret into a running pod within its sync period and its cache's delay (measured: 29 to 83 s). */
const PROPAGATION_MS = 90 * SECOND_MS;
/** spec.refreshBeforeSeconds is at least this. */
const LEAST_LEAD_MS = 300 * SECOND_MS;

/**
 * The end of a credential as it is written into files, in milliseconds since the epoch: two minutes before the true one.
 * The processes of the SDKs for Go and Java look for a new credential only when the old one has ended: they then still
 * hold one that works, whatever a request under way and the clocks of node and cloud take. Never after the true end, and
 * never before the next refresh has reached the pods: the margin shrinks with lives under 7 minutes, and is none under 3.
 * It depends on the life alone, so that no change of what only schedules changes a file.
 */
export function fileExpirationMs({
  issueTimeMs,
  expirationTimeMs,
}: Pick<ScheduleInput, 'issueTimeMs' | 'expirationTimeMs'>): number {
  const leastLeadMs = Math.min(LEAST_LEAD_MS, (expirationTimeMs - issueTimeMs) / 2);
  const marginMs = Math.min(FILE_MARGIN_MS, Math.max(0, leastLeadMs - PROPAGATION_MS));
  // Whole seconds, as files have them; rounded up, so that it is not before the refresh either.
  return Math.min(expirationTimeMs, Math.ceil((expirationTimeMs - marginMs) / SECOND_MS) * SECOND_MS);
}

/** Under this remaining life transient failures are retried more often. */
const URGENT_MS = 10 * MINUTE_MS;

/** Doubling delays, in milliseconds, by disposition (DESIGN: 5 s to 60 s; 1 min to 10 min; ADR 0005: 5 s to 10 min). */
const TRANSIENT = { firstMs: 5 * SECOND_MS, mostMs: 60 * SECOND_MS, mostUrgentMs: 20 * SECOND_MS };
const DENIED = { firstMs: MINUTE_MS, mostMs: 10 * MINUTE_MS };
const FORBIDDEN = { firstMs: 5 * SECOND_MS, mostMs: 10 * MINUTE_MS };
/** While a credential lives, nothing but its own end makes a wait longer than this part of what is left of it ... */
const PART_OF_LIFE = 1 / 5;
/** ... or than this, whichever is longer. */
const LEAST_CAP_MS = MINUTE_MS;
/** A rejected token is tried once more, with a fresh one, after this. */
const FRESH_TOKEN_MS = SECOND_MS;
/** No Retry-After is followed for longer than this, and for less while a credential lives. */
const MOST_RETRY_AFTER_MS = 10 * MINUTE_MS;

/**
 * No wait of ours is longer (Retry-After and its spread: 11 min). A time beyond was noted by a clock that has been set back
 * since, and is not waited for: a credential would expire meanwhile.
 */
export const LONGEST_WAIT_MS = 15 * MINUTE_MS;

/** Failures that are retried by one rule are counted together. */
export type Pace = Exclude<Disposition, 'invalid' | 'throttled' | 'token'>;

/** The pace of each disposition; undefined: it is not retried by time. */
export const PACES: Readonly<Record<Disposition, Pace | undefined>> = {
  invalid: undefined,
  denied: 'denied',
  token: 'denied',
  forbidden: 'forbidden',
  throttled: 'transient',
  transient: 'transient',
};

/** The pace at which a failure is retried; undefined: it is not retried by time. */
export function paceOf(code: ErrorCode): Pace | undefined {
  return PACES[ERRORS[code].disposition];
}

/** What the time of the next attempt depends on; all of it is in status, so a restart changes nothing. */
export interface RetryInput {
  readonly uid: string;
  readonly code: ErrorCode;
  /** Failures of this pace since the last success, this one included: 1 or more. */
  readonly failures: number;
  readonly failureTimeMs: number;
  /** End of the live credential; undefined if there is none. */
  readonly expirationTimeMs?: number | undefined;
  readonly retryAfterSeconds?: number | undefined;
}

/** When to try again, in milliseconds since the epoch; undefined: only a change of an object makes it worth trying. */
export function retryTimeMs(input: RetryInput): number | undefined {
  const delayMs = retryDelayMs(input);
  return delayMs === undefined ? undefined : Math.ceil(input.failureTimeMs + delayMs);
}

function retryDelayMs(input: RetryInput): number | undefined {
  const remainingMs =
    input.expirationTimeMs === undefined ? undefined : Math.max(0, input.expirationTimeMs - input.failureTimeMs);
  switch (ERRORS[input.code].disposition) {
    case 'invalid':
      return undefined;
    case 'token':
      return input.failures === 1 ? FRESH_TOKEN_MS : deniedDelayMs(input, input.failures - 1, remainingMs);
    case 'denied':
      return deniedDelayMs(input, input.failures, remainingMs);
    case 'forbidden':
      return forbiddenDelayMs(input, remainingMs);
    case 'throttled':
      return Math.max(throttledDelayMs(input, remainingMs), transientDelayMs(input, remainingMs));
    case 'transient':
      return transientDelayMs(input, remainingMs);
  }
}

/** 1 min doubling to 10 min; while a credential lives at most a fifth of what is left of it, but not under 60 s. */
function deniedDelayMs(input: RetryInput, failures: number, remainingMs: number | undefined): number {
  const delayMs = doubled(DENIED.firstMs, failures, Math.min(DENIED.mostMs, longestMs(remainingMs)));
  // Spread earlier, so that the cap holds; never under the floor.
  return Math.max(DENIED.firstMs, delayMs * (1 - SPREAD * chance(input)));
}

/** 5 s doubling to 10 min, capped as what is denied; while short, up to half of it earlier: after a start all come at once. */
function forbiddenDelayMs(input: RetryInput, remainingMs: number | undefined): number {
  const delayMs = doubled(FORBIDDEN.firstMs, input.failures, Math.min(FORBIDDEN.mostMs, longestMs(remainingMs)));
  return delayMs * (1 - (delayMs > MINUTE_MS ? SPREAD : 0.5) * chance(input));
}

/**
 * Retry-After, up to a tenth later, so that no herd forms; 10 min at most. Two such waits would outlast the 20 minutes that
 * an hour's credential has left: while one lives, at most a fifth of what is left of it, but not under 60 s, spread earlier.
 */
function throttledDelayMs(input: RetryInput, remainingMs: number | undefined): number {
  const askedMs = Math.min((input.retryAfterSeconds ?? 0) * SECOND_MS, MOST_RETRY_AFTER_MS);
  const mostMs = longestMs(remainingMs);
  return askedMs * (1 + SPREAD * chance(input)) <= mostMs
    ? askedMs * (1 + SPREAD * chance(input))
    : Math.max(Math.min(askedMs, LEAST_CAP_MS), mostMs * (1 - SPREAD * chance(input)));
}

/** The longest wait for the sake of a credential that has so much left; without one there is no limit. */
function longestMs(remainingMs: number | undefined): number {
  return remainingMs === undefined || remainingMs === 0
    ? Number.POSITIVE_INFINITY
    : Math.max(LEAST_CAP_MS, remainingMs * PART_OF_LIFE);
}

/** 5 s doubling to 60 s, or to 20 s when less than 10 minutes are left; up to half of it earlier, so that no herd forms. */
function transientDelayMs(input: RetryInput, remainingMs: number | undefined): number {
  const urgent = remainingMs !== undefined && remainingMs < URGENT_MS;
  const mostMs = urgent ? TRANSIENT.mostUrgentMs : TRANSIENT.mostMs;
  return doubled(TRANSIENT.firstMs, input.failures, mostMs) * (1 - 0.5 * chance(input));
}

function doubled(firstMs: number, failures: number, mostMs: number): number {
  return Math.min(mostMs, firstMs * 2 ** Math.min(failures - 1, 30));
}

function chance(input: RetryInput): number {
  return hashedFraction('retry', input.uid, String(input.failures), String(input.failureTimeMs));
}

/** How long a Secret that somebody else keeps changing waits for its next exchange: one a minute, doubling to ten. */
export function contestedDelayMs(repairs: number): number {
  return doubled(MINUTE_MS, Math.max(1, repairs), 10 * MINUTE_MS);
}

/** The urgency of a key in the work queue, most urgent first (DESIGN section 5). */
export const URGENCY = { endangered: 0, first: 1, expired: 2, due: 3, retry: 4 } as const;
export type Urgency = (typeof URGENCY)[keyof typeof URGENCY];

/**
 * Sorts a key into its class.
 * @param record times of the credential in the Secret as status tells them; undefined before the first issue.
 */
export function urgency(
  record: { readonly issueTimeMs: number; readonly expirationTimeMs: number } | undefined,
  failures: number,
  nowMs: number,
): Urgency {
  if (record === undefined) {
    return failures === 0 ? URGENCY.first : URGENCY.retry;
  }
  const leftMs = record.expirationTimeMs - nowMs;
  if (leftMs <= 0) {
    return failures === 0 ? URGENCY.expired : URGENCY.retry;
  }
  const endangeredMs = Math.max(URGENT_MS, (record.expirationTimeMs - record.issueTimeMs) / 6);
  if (leftMs < endangeredMs) {
    return URGENCY.endangered;
  }
  return failures === 0 ? URGENCY.due : URGENCY.retry;
}
