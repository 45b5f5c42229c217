// Promises: so many events a second and so many at once, and never more. Only counts: nothing in here waits.
import type { Clock } from './clock.ts';

/** A rate and a size. */
export interface Rate {
  readonly perSecond: number;
  /** How many may come at once after a pause; at least 1. */
  readonly burst: number;
}

/** A token bucket: full at the start, filled at a constant rate up to its burst. */
export class TokenBucket {
  readonly #clock: Clock;
  #rate: Rate;
  #tokens: number;
  #filledAtMs: number;

  /** @throws RangeError when the rate is not above 0 or the burst is below 1. */
  constructor(clock: Clock, rate: Rate) {
    this.#clock = clock;
    this.#rate = checked(rate);
    this.#tokens = rate.burst;
    this.#filledAtMs = clock.monotonicMs();
  }

  get rate(): Rate {
    return this.#rate;
  }

  /**
   * Takes `count` tokens if they are there. More than a full bucket holds are taken from a full one, and what is missing is
   * filled up first: the rate holds in the long run, and nobody waits for ever.
   */
  tryTake(count = 1): boolean {
    if (this.untilTokensMs(count) > 0) return false;
    this.#tokens -= count;
    return true;
  }

  /** Milliseconds until tryTake(count) can succeed, if nobody else takes a token; 0 when it can. */
  untilTokensMs(count = 1): number {
    this.#fill();
    const wanted = Math.min(count, this.#rate.burst);
    return this.#tokens >= wanted ? 0 : ((wanted - this.#tokens) / this.#rate.perSecond) * 1_000;
  }

  /** Whether nothing would change if the bucket were thrown away and made anew. */
  isFull(): boolean {
    this.#fill();
    return this.#tokens === this.#rate.burst;
  }

  /** Goes on at another rate; tokens above the new burst are lost. */
  setRate(rate: Rate): void {
    this.#fill();
    this.#rate = checked(rate);
    this.#tokens = Math.min(this.#tokens, rate.burst);
  }

  #fill(): void {
    const nowMs = this.#clock.monotonicMs();
    const gained = ((nowMs - this.#filledAtMs) / 1_000) * this.#rate.perSecond;
    this.#tokens = Math.min(this.#rate.burst, this.#tokens + gained);
    this.#filledAtMs = nowMs;
  }
}

function checked(rate: Rate): Rate {
  if (!(rate.perSecond > 0)) throw new RangeError(`perSecond is ${rate.perSecond}: it must be above 0`);
  if (!(rate.burst >= 1)) throw new RangeError(`burst is ${rate.burst}: it must be at least 1`);
  return rate;
}
