// Promises: no endpoint gets more calls than its quota, and one that throttles or is down gets few, however many
// credentials wait for it; and that tenants share what it gets. Answers at once, always: a caller that is refused puts its key
// back into the queue and never holds a worker. May not know what an endpoint is: it is given a string (cloud, account and host).
import type { Clock } from './clock.ts';
import type { Random } from './random.ts';
import { type Rate, TokenBucket } from './token-bucket.ts';
import { type Caller, type TurnRequest, Turns } from './turns.ts';

/** How a call ended, as far as the endpoint is concerned. */
export type CallOutcome =
  /** The call did what it should. */
  | 'success'
  /** The endpoint said: too many. */
  | 'throttled'
  /** No answer, or a 5xx. */
  | 'outage'
  /** The endpoint answered and said no: it is well. */
  | 'refused'
  /** We gave up for reasons of our own: nothing is known about the endpoint. */
  | 'aborted';

/** The limiter's answer. */
export type Admission =
  | {
      readonly granted: true;
      /** Has to be called once, when the call is over; further calls of it do nothing. */
      release(outcome: CallOutcome): void;
    }
  | { readonly granted: false; readonly retryAfterMs: number };

/** The numbers of a limiter. */
export interface EndpointLimiterOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** The rate while all is well; default 10 a second, 20 at once. */
  readonly rate?: Rate;
  /** How many endpoints are remembered; default 1,000. */
  readonly maxKeys?: number;
}

/** What metrics may tell about an endpoint. */
export interface EndpointDemand {
  readonly key: string;
  /** What is allowed at the moment. */
  readonly ratePerSecond: number;
  readonly inFlight: number;
  /** Calls since the endpoint is known. */
  readonly granted: number;
  /** Refusals since the endpoint is known; one waiting caller is refused again and again. */
  readonly refused: number;
}

/** A tenth of the smallest documented quota (Alibaba Cloud: 100 a second per account and region): others use it too. */
const DEFAULT_RATE: Rate = { perSecond: 10, burst: 20 };
const DEFAULT_MAX_KEYS = 1_000;
/** An endpoint that is out gets one call in this time. */
const PROBE_INTERVAL_MS = 5_000;
/** The rate doubles at most once in this time: one lucky answer among many throttled ones is not recovery. */
const RAISE_INTERVAL_MS = 1_000;
/** Nobody is told to come back later than this, so that recovery is noticed by all soon. */
const MAX_RETRY_AFTER_MS = 30_000;
/** Calls in flight: while all is well, while the rate is lowered, and while the endpoint is out. */
const IN_FLIGHT = { well: 8, failing: 4, out: 1 } as const;

/** One limit for each endpoint. */
export class EndpointLimiter {
  readonly #options: EndpointLimiterOptions;
  readonly #maxKeys: number;
  /** In the order of use: the first is the one that was not used for longest. */
  readonly #endpoints = new Map<string, Endpoint>();

  constructor(options: EndpointLimiterOptions) {
    this.#options = options;
    this.#maxKeys = options.maxKeys ?? DEFAULT_MAX_KEYS;
  }

  /**
   * Asks for a piece of work at the endpoint `key`. Never waits.
   * @param calls how many calls the work makes, one after another: each takes its share of the rate.
   * @param caller who asks; one that is refused and named has a call kept for it at the time that it is told.
   */
  tryAcquire(key: string, calls = 1, caller?: Caller): Admission {
    let endpoint = this.#endpoints.get(key);
    if (endpoint === undefined) {
      if (this.#endpoints.size >= this.#maxKeys) this.#dropOne();
      const { clock, random, rate = DEFAULT_RATE } = this.#options;
      endpoint = new Endpoint(clock, random, rate);
    }
    this.#endpoints.delete(key);
    this.#endpoints.set(key, endpoint);
    return endpoint.tryAcquire(calls, caller);
  }

  /**
   * Whether tryAcquire would refuse now, without taking anything when it would not: for who has to look first whether the
   * work is wanted. A refusal counts as one.
   * @returns how long to wait, in milliseconds; undefined: ask.
   */
  refusedForMs(key: string, calls = 1, caller?: Caller): number | undefined {
    return this.#endpoints.get(key)?.refusedForMs(calls, caller);
  }

  /** What is asked of each endpoint, for metrics. */
  demand(): EndpointDemand[] {
    return [...this.#endpoints].map(([key, endpoint]) => ({ key, ...endpoint.demand() }));
  }

  /** Forgets an endpoint of which there is nothing to remember, else the one that was not used for longest. */
  #dropOne(): void {
    let dropped: string | undefined;
    for (const [key, endpoint] of this.#endpoints) {
      dropped ??= key;
      if (!endpoint.isIdle()) continue;
      dropped = key;
      break;
    }
    if (dropped !== undefined) this.#endpoints.delete(dropped);
  }
}

class Endpoint {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #fullRate: Rate;
  readonly #bucket: TokenBucket;
  #inFlight = 0;
  #granted = 0;
  #refused = 0;
  /** Calls that were granted before the rate last fell say nothing about the lower rate. */
  #loweredAtGrant = 0;
  #raisedAtMs = -Infinity;
  readonly #turns = new Turns();

  constructor(clock: Clock, random: Random, rate: Rate) {
    this.#clock = clock;
    this.#random = random;
    this.#fullRate = rate;
    this.#bucket = new TokenBucket(clock, rate);
  }

  tryAcquire(calls: number, caller?: Caller): Admission {
    const retryAfterMs = this.refusedForMs(calls, caller);
    if (retryAfterMs !== undefined) return { granted: false, retryAfterMs };
    this.#bucket.tryTake(calls);
    if (caller !== undefined) this.#turns.end(caller.key);
    this.#granted += calls;
    this.#inFlight += 1;
    const grant = this.#granted;
    let isReleased = false;
    const release = (outcome: CallOutcome): void => {
      if (isReleased) return;
      isReleased = true;
      this.#inFlight -= 1;
      this.#learn(outcome, grant);
    };
    return { granted: true, release };
  }

  refusedForMs(calls: number, caller?: Caller): number | undefined {
    if (this.#inFlight < this.#inFlightLimit() && this.#mayTake(calls, caller)) return undefined;
    this.#refused += 1;
    return this.#retryAfterMs(calls, caller);
  }

  isIdle(): boolean {
    return this.#inFlight === 0 && this.#perSecond() === this.#fullRate.perSecond && this.#bucket.isFull();
  }

  demand(): Omit<EndpointDemand, 'key'> {
    return {
      ratePerSecond: this.#perSecond(),
      inFlight: this.#inFlight,
      granted: this.#granted,
      refused: this.#refused,
    };
  }

  #perSecond(): number {
    return this.#bucket.rate.perSecond;
  }

  /** The rate of an endpoint that is out; never above the full one, which may be configured lower still. */
  #probeRate(): number {
    return Math.min(this.#fullRate.perSecond, 1_000 / PROBE_INTERVAL_MS);
  }

  #inFlightLimit(): number {
    if (this.#perSecond() === this.#fullRate.perSecond) return IN_FLIGHT.well;
    return this.#perSecond() > this.#probeRate() ? IN_FLIGHT.failing : IN_FLIGHT.out;
  }

  #learn(outcome: CallOutcome, grant: number): void {
    if (outcome === 'aborted') return;
    if (outcome === 'success' || outcome === 'refused') this.#raise();
    else if (grant > this.#loweredAtGrant) this.#lower();
  }

  #lower(): void {
    this.#loweredAtGrant = this.#granted;
    this.#raisedAtMs = this.#clock.monotonicMs();
    this.#setRate(Math.max(this.#probeRate(), this.#perSecond() / 2));
  }

  #raise(): void {
    const nowMs = this.#clock.monotonicMs();
    if (this.#perSecond() === this.#fullRate.perSecond || nowMs - this.#raisedAtMs < RAISE_INTERVAL_MS) return;
    this.#raisedAtMs = nowMs;
    this.#setRate(Math.min(this.#fullRate.perSecond, this.#perSecond() * 2));
  }

  #setRate(perSecond: number): void {
    const burst = Math.max(1, (this.#fullRate.burst * perSecond) / this.#fullRate.perSecond);
    this.#bucket.setRate({ perSecond, burst });
    this.#turns.clear();
  }

  /** The tokens are there, and nobody who has come to his turn would miss them; whose own turn it is takes first. */
  #mayTake(calls: number, caller: Caller | undefined): boolean {
    const nowMs = this.#clock.monotonicMs();
    const kept = this.#turns.keptForOthers(caller?.key, nowMs);
    const turnMs = caller === undefined ? undefined : this.#turns.timeMs(caller.key);
    const isTurn = turnMs !== undefined && turnMs <= nowMs;
    if (kept > 0 && !isTurn && this.#bucket.untilTokensMs(calls + kept) > 0) return false;
    return this.#bucket.untilTokensMs(calls) === 0;
  }

  /** Who is refused gets a turn, or else a time to ask again. Where both are far away, chance spreads the rest. */
  #retryAfterMs(calls: number, caller: Caller | undefined): number {
    const nowMs = this.#clock.monotonicMs();
    const intervalMs = (1_000 / this.#perSecond()) * calls;
    const waitMs = this.#bucket.untilTokensMs(calls) || intervalMs;
    const turnMs = caller === undefined ? undefined : this.#turns.timeMs(caller.key);
    if (turnMs !== undefined) return Math.max(turnMs - nowMs, waitMs);
    const request: TurnRequest = {
      nowMs,
      earliestMs: nowMs + waitMs,
      intervalMs,
      horizonMs: MAX_RETRY_AFTER_MS,
      calls,
    };
    const booked = caller === undefined ? undefined : this.#turns.book(caller, request);
    const atMs = booked ?? this.#turns.askAgainMs(caller?.tenant ?? '', request);
    return atMs === undefined ? MAX_RETRY_AFTER_MS * (1 - this.#random.next() / 2) : atMs - nowMs;
  }
}
