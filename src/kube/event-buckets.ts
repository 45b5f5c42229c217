// Promises: a token bucket per object, so that one object cannot flood the API server with Events. Bounded memory.
import type { Clock } from '../runtime/clock.ts';
import { TokenBucket } from '../runtime/token-bucket.ts';

/** client-go tools/record/events_cache.go: defaultSpamQPS = 1/300, defaultSpamBurst = 25. */
const RATE = { perSecond: 1 / 300, burst: 25 };
/** events_cache.go: maxLruCacheEntries. */
const MAX_OBJECTS = 4_096;

export class EventBuckets {
  readonly #clock: Clock;
  readonly #maxObjects: number;
  /** In the order of use: the first is the one that has been quiet for longest. */
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(clock: Clock, maxObjects: number = MAX_OBJECTS) {
    this.#clock = clock;
    this.#maxObjects = maxObjects;
  }

  /** How many objects are remembered. */
  get size(): number {
    return this.#buckets.size;
  }

  /** Takes a token of `object`'s bucket. @returns false when there is none. */
  take(object: string): boolean {
    const bucket = this.#buckets.get(object) ?? new TokenBucket(this.#clock, RATE);
    this.#buckets.delete(object);
    this.#buckets.set(object, bucket);
    const oldest = this.#buckets.keys().next();
    if (this.#buckets.size > this.#maxObjects && oldest.done !== true) this.#buckets.delete(oldest.value);
    return bucket.tryTake();
  }
}
