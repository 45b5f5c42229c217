// Promises: waiting for something that another process does, bounded in time, with an error that says what did not happen.
import { setTimeout as sleep } from 'node:timers/promises';

/** Bounds of a wait. */
export interface WaitOptions {
  readonly timeoutMs: number;
  /** Pause between two looks; default 50 ms. */
  readonly everyMs?: number;
}

/**
 * Calls `look` until it gives something other than undefined or false, and returns that.
 * @throws Error naming `what` and the last error of `look` when timeoutMs have passed; an AbortedWait at once.
 */
export async function waitFor<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  { timeoutMs, everyMs = 50 }: WaitOptions,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  let last: unknown;
  do {
    try {
      const seen = await look();
      if (seen !== undefined && seen !== false) return seen;
      last = undefined;
    } catch (error) {
      if (error instanceof AbortedWait) throw error;
      last = error;
    }
    await sleep(everyMs);
  } while (performance.now() < deadline);
  throw new Error(`waited ${timeoutMs / 1000} s in vain for ${what}`, { cause: last });
}

/** Thrown by `look` when waiting longer cannot help. */
export class AbortedWait extends Error {}
