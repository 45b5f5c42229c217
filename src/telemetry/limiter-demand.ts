// Promises: which part of its rate each STS endpoint was granted of late, from counts that only grow. The average fades with
// time and not with the number of looks: how often somebody scrapes does not change it. Remembers only endpoints that the
// last look had.
import type { Clock } from '../runtime/clock.ts';

/** Work that takes longer than this at the full rate is no passing rush: the time constant of the average. */
const FADE_MS = 5 * 60_000;

interface Seen {
  readonly granted: number;
  readonly atMs: number;
  readonly perSecond: number;
}

/** What endpoints were granted. */
export class LimiterDemand {
  readonly #clock: Clock;
  readonly #ratePerSecond: number;
  #endpoints: ReadonlyMap<string, Seen> = new Map();

  /** @param ratePerSecond what an endpoint may have in the long run while all is well; above 0. */
  constructor(clock: Clock, ratePerSecond: number) {
    this.#clock = clock;
    this.#ratePerSecond = ratePerSecond;
  }

  /** Takes the counts of now, and gives the part of the rate (0 and up) of each endpoint by key. */
  look(counts: Iterable<{ readonly key: string; readonly granted: number }>): ReadonlyMap<string, number> {
    const nowMs = this.#clock.monotonicMs();
    const next = new Map<string, Seen>();
    for (const { key, granted } of counts) {
      next.set(key, this.#averaged(this.#endpoints.get(key), granted, nowMs));
    }
    this.#endpoints = next;
    return new Map([...next].map(([key, { perSecond }]) => [key, perSecond / this.#ratePerSecond]));
  }

  #averaged(before: Seen | undefined, granted: number, nowMs: number): Seen {
    // An endpoint that is new, or was forgotten by the limiter meanwhile, counts from here.
    if (before === undefined || granted < before.granted) {
      return { granted, atMs: nowMs, perSecond: 0 };
    }
    const elapsedMs = nowMs - before.atMs;
    if (elapsedMs <= 0) {
      return before;
    }
    const weight = 1 - Math.exp(-elapsedMs / FADE_MS);
    const latest = ((granted - before.granted) * 1_000) / elapsedMs;
    return { granted, atMs: nowMs, perSecond: before.perSecond + weight * (latest - before.perSecond) };
  }
}
