// Promises: how long to wait after so many failures, as a value that never changes. Who counts the failures is not its
// business: the controller counts in memory, the credential's own failures are counted in status and survive a restart.
import type { Random } from './random.ts';

/** The numbers of a back-off. */
export interface BackoffOptions {
  /** The wait after the first failure. */
  readonly initialMs: number;
  /** What each further failure multiplies it by; at least 1. */
  readonly factor: number;
  /** The longest wait. */
  readonly maxMs: number;
}

/** How much of a wait is left to chance: between 80 % and 100 %, so that the longest wait stays the longest. */
const JITTER = 0.2;

/** An exponential back-off. */
export class Backoff {
  readonly initialMs: number;
  readonly factor: number;
  readonly maxMs: number;

  /** @throws RangeError when a number makes no sense; the message names it. */
  constructor({ initialMs, factor, maxMs }: BackoffOptions) {
    if (!(initialMs > 0)) throw new RangeError(`initialMs is ${initialMs}: it must be above 0`);
    if (!(factor >= 1)) throw new RangeError(`factor is ${factor}: it must be at least 1`);
    if (!(maxMs >= initialMs)) throw new RangeError(`maxMs is ${maxMs}: it must be at least initialMs (${initialMs})`);
    this.initialMs = initialMs;
    this.factor = factor;
    this.maxMs = maxMs;
  }

  /** The wait after `failures` failures in a row, in milliseconds; 0 after none. */
  delayMs(failures: number): number {
    if (!(failures >= 1)) return 0;
    return Math.min(this.maxMs, this.initialMs * this.factor ** (failures - 1));
  }

  /** The same, shortened by up to a fifth, so that many who failed together do not come back together. */
  jitteredMs(failures: number, random: Random): number {
    return this.delayMs(failures) * (1 - JITTER * random.next());
  }
}
