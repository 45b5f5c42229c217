// Promises: what becomes of a failed attempt while status cannot be written: its back-off holds, from memory, and it is told
// once as soon as status can be, with its own time. Pure. A restart forgets it, at the cost of one attempt.
import type { Assessment } from '../credential/assessment.ts';
import type { CredentialError } from '../credential/errors.ts';
import { failuresLike } from '../credential/failure-account.ts';
import type { KeyMemory, Observed } from '../credential/observed.ts';
import { refreshRequested } from '../credential/plan.ts';
import { retryTimeMs } from '../credential/schedule.ts';
import type { Outcome } from '../credential/status.ts';

/** While status cannot be told, no wait of ours is longer: neither for the next status, nor for the next token. */
export const MOST_UNTOLD_WAIT_MS = 60_000;

/** A failed attempt that status could not be told. */
export interface Untold {
  readonly error: CredentialError;
  readonly assessment: Assessment;
  /** How often the API server had refused a token or a status since one was last written. */
  readonly refusals: number;
  /** The time at which status would have said that it failed. */
  readonly failedAtMs: number;
  readonly nowMs: number;
}

/** metadata.generation, which an API server always sets. */
export function generationOf({ credential }: Observed): number {
  return credential.metadata.generation ?? 0;
}

/**
 * What is to be remembered of it.
 * @param memory what is remembered now.
 */
export function memoryOfUntold(observed: Observed, memory: KeyMemory, untold: Untold): KeyMemory {
  const { error, assessment, refusals, failedAtMs, nowMs } = untold;
  // One that is out is asked again soon; one that refuses is asked more and more slowly, though no status counts that.
  const isRefused = error.disposition === 'forbidden';
  const retryMs = retryTimeMs({
    uid: observed.uid,
    code: error.code,
    failures: failuresLike(error.code, observed.credential.status) + 1 + (isRefused ? refusals : 0),
    failureTimeMs: nowMs,
    expirationTimeMs: assessment.record?.expirationTimeMs,
    retryAfterSeconds: error.retryAfterSeconds,
  });
  if (retryMs === undefined) {
    // A refusal of ours is found again at the next look. Once it is put right nothing of our own is waited for.
    const { retryNotBefore } = memory;
    return {
      untoldFailure: undefined,
      retryNotBefore: retryNotBefore?.isAskedFor === true ? retryNotBefore : undefined,
    };
  }
  return {
    retryNotBefore: {
      // Nothing would end this wait, neither news nor a status that can be written again.
      timeMs: isRefused ? Math.min(retryMs, nowMs + MOST_UNTOLD_WAIT_MS) : retryMs,
      isAskedFor: error.retryAfterSeconds !== undefined,
    },
    untoldFailure: {
      error,
      timeMs: failedAtMs,
      generation: generationOf(observed),
      refreshRequested: refreshRequested(observed),
    },
  };
}

/** What status is to be told: this reconcile's outcome, or the failure before it, while what failed is still waited for. */
export function withUntold(
  observed: Observed,
  outcome: Outcome,
): { readonly outcome: Outcome; readonly requested: string | undefined } {
  const untold = observed.memory.untoldFailure;
  if (outcome.kind !== 'waiting' || untold?.generation !== generationOf(observed)) {
    return { outcome, requested: refreshRequested(observed) };
  }
  const { error, timeMs, refreshRequested: requested } = untold;
  return { outcome: { kind: 'failed', error, timeMs }, requested };
}
