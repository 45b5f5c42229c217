// Promises: when a credential is refreshed and when a failed attempt is repeated. Pure: the same input has the same
// answer, so a restart or a second replica comes to the same time, and no herd forms. Never later than the expiration.
import { ERRORS, type ErrorCode } from './errors.ts';
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
  const floorMs = Math.min(input.minRefreshIntervalSeconds * SECOND_MS, lifeMs * FLOOR_PART);
  return Math.floor(Math.max(input.expirationTimeMs - leadMs - spreadMs, input.issueTimeMs + floorMs));
}

/** Under this remaining life transient failures are retried more often. */
const URGENT_MS = 10 * MINUTE_MS;

/** Doubling delays, in milliseconds, by disposition (DESIGN: 5 s to 60 s; 1 min to 10 min). */
const TRANSIENT = { firstMs: 5 * SECOND_MS, mostMs: 60 * SECOND_MS, mostUrgentMs: 20 * SECOND_MS };
const DENIED = { firstMs: MINUTE_MS, mostMs: 10 * MINUTE_MS, partOfLife: 1 / 5 };
/** A rejected token is tried once more, with a fresh one, after this. */
const FRESH_TOKEN_MS = SECOND_MS;
/** No Retry-After is followed for longer than this. */
const MOST_RETRY_AFTER_MS = 10 * MINUTE_MS;

/**
 * No wait of ours is longer (Retry-After and its spread: 11 min). A time beyond was noted by a clock that has been set back
 * since, and is not waited for: a credential would expire meanwhile.
 */
export const LONGEST_WAIT_MS = 15 * MINUTE_MS;

/** What the time of the next attempt depends on; all of it is in status, so a restart changes nothing. */
export interface RetryInput {
  readonly uid: string;
  readonly code: ErrorCode;
  /** Failures in a row, this one included: 1 or more. */
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
    case 'throttled':
      return input.retryAfterSeconds === undefined
        ? transientDelayMs(input, remainingMs)
        : Math.max(
            Math.min(input.retryAfterSeconds * SECOND_MS, MOST_RETRY_AFTER_MS) * (1 + SPREAD * chance(input)),
            transientDelayMs(input, remainingMs),
          );
    case 'transient':
      return transientDelayMs(input, remainingMs);
  }
}

/** 1 min doubling to 10 min; while a credential lives at most a fifth of what is left of it, but not under 60 s. */
function deniedDelayMs(input: RetryInput, failures: number, remainingMs: number | undefined): number {
  const mostMs =
    remainingMs === undefined || remainingMs === 0
      ? DENIED.mostMs
      : Math.max(DENIED.firstMs, Math.min(DENIED.mostMs, remainingMs * DENIED.partOfLife));
  const delayMs = doubled(DENIED.firstMs, failures, mostMs);
  // Spread earlier, so that the cap holds; never under the floor.
  return Math.max(DENIED.firstMs, delayMs * (1 - SPREAD * chance(input)));
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
