// Promises: of all replicas one leads, by a Lease, with the rules of client-go's tools/leaderelection. Another replica's
// times are never believed: a Lease counts as held for its duration after this replica SAW it change, on the monotonic
// clock. Clocks may be off by any amount; they may not run at very different speeds.
// Limits, as there: this is no fencing. A leader that was frozen may finish a request that it has begun, so isValid() is
// to be asked before each exchange and each write, and writes carry resourceVersions.
import type { Lease } from '../api/meta.ts';
import { type Clock, deadline, sleep } from './clock.ts';
import type { Log } from './log.ts';
import type { Random } from './random.ts';

/** The calls on the one Lease. Each rejects when it did not work, whatever the cause. */
export interface LeaseClient {
  /** Undefined: there is none (404). Every other failure rejects. */
  get(signal: AbortSignal): Promise<Lease | undefined>;
  create(lease: Lease, signal: AbortSignal): Promise<Lease>;
  /** PUT with the resourceVersion in `lease.metadata`; rejects when another replica was first (409). */
  replace(lease: Lease, signal: AbortSignal): Promise<Lease>;
}

/** What an elector is made of. */
export interface ElectorOptions {
  readonly leases: LeaseClient;
  /** Of the Lease. */
  readonly name: string;
  readonly namespace: string;
  /** The pod's name; a UUID is added, so that a pod that comes back with its old name is another candidate. */
  readonly identityPrefix: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /**
   * The work of the leader; the signal aborts when leading ends. A promise tells when the work has ended: the Lease is
   * given up only then. If it rejects, the Lease is given up and run() rejects with the same.
   */
  readonly onStartedLeading: (signal: AbortSignal) => void | Promise<void>;
  /** Called when another identity is seen to lead, this replica's own included. */
  readonly onNewLeader?: (identity: string) => void;
  readonly timing?: ElectorTiming;
}

/** The three times; client-go's names and conditions. */
export interface ElectorTiming {
  /** How long the others wait before they take a Lease that does not change. */
  readonly leaseDurationMs: number;
  /** How long a leader tries to renew before it gives up; the rest of leaseDurationMs is the margin. */
  readonly renewDeadlineMs: number;
  /** Between two tries. */
  readonly retryPeriodMs: number;
}

/** The defaults of Kubernetes' own controllers: k8s.io/component-base/config, LeaderElectionConfiguration. */
const DEFAULT_TIMING: ElectorTiming = { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 };
/** client-go's JitterFactor, in the check that the three times fit together. */
const JITTER_FACTOR = 1.2;
/**
 * A candidate waits between 1 and 1.2 retry periods. client-go's 1 to 2.2 would let a Lease that was given up lie for
 * 4.4 s, and one whose leader died for 24 s; here they are 2.4 s and 17.4 s.
 */
const CANDIDATE_SPREAD = 0.2;
/** Giving the Lease up is a courtesy to the next leader; a stop must not hang on it. */
const RELEASE_TIMEOUT_MS = 2_000;

/** How run() ended without an error. */
export type ElectionEnd = 'stopped' | 'lost';

type Attempt = 'leading' | 'standby' | 'failed';

/** One candidate. */
export class Elector {
  readonly identity: string;
  readonly #options: ElectorOptions;
  readonly #timing: ElectorTiming;
  #observed: { readonly lease: Lease; readonly atMs: number } | undefined;
  #renewedAtMs: number | undefined;
  #reportedLeader = '';

  /** @throws RangeError when the three times do not fit together. */
  constructor(options: ElectorOptions) {
    this.#options = options;
    this.#timing = checked(options.timing ?? DEFAULT_TIMING);
    this.identity = `${options.identityPrefix}_${options.random.uuid()}`;
  }

  /**
   * Whether this replica may act as the leader at this moment: true until renewDeadlineMs after the START of the last
   * renewal that succeeded. No other replica takes the Lease before leaseDurationMs are over.
   */
  isValid(): boolean {
    return this.#validForMs() > 0;
  }

  /** The identity that was last seen to hold the Lease; empty when nobody did. */
  get leader(): string {
    return this.#observed?.lease.spec?.holderIdentity ?? '';
  }

  /**
   * Waits for the Lease, then leads until the signal aborts (`stopped`: the Lease is given up) or until the Lease is
   * lost (it is left to expire, because work may still be on its way out).
   * @throws what onStartedLeading rejected with.
   */
  async run(signal: AbortSignal): Promise<ElectionEnd> {
    if (!(await this.#acquire(signal))) return 'stopped';
    this.#options.log.info('this replica leads', { identity: this.identity });
    const term = new AbortController();
    const failed = new AbortController();
    let failure: { readonly error: unknown } | undefined;
    const work = this.#lead(term.signal).catch((error: unknown) => {
      failure = { error };
      failed.abort(error);
    });
    const end = await this.#renew(AbortSignal.any([signal, failed.signal]));
    term.abort(new Error(end === 'lost' ? 'the Lease was lost' : 'the elector was stopped'));
    if (end === 'lost') this.#options.log.error('this replica lost the Lease', { leader: this.leader });
    else if (await this.#endsWhileValid(work)) await this.#release();
    this.#renewedAtMs = undefined;
    if (failure !== undefined) throw failure.error;
    return end;
  }

  async #lead(signal: AbortSignal): Promise<void> {
    await this.#options.onStartedLeading(signal);
  }

  /** Tries until it works; false when it was stopped first. */
  async #acquire(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      if ((await this.#attempt(signal)) === 'leading') return true;
      const spreadMs = this.#timing.retryPeriodMs * CANDIDATE_SPREAD * this.#options.random.next();
      // Not past the moment at which another's Lease ends.
      await this.#pause(Math.min(this.#timing.retryPeriodMs + spreadMs, this.#heldByOtherForMs() || Infinity), signal);
    }
    return false;
  }

  /** Renews until it is stopped, another replica holds the Lease, or the time to renew is over. */
  async #renew(signal: AbortSignal): Promise<ElectionEnd> {
    for (;;) {
      await this.#pause(Math.min(this.#timing.retryPeriodMs, this.#validForMs()), signal);
      if (signal.aborted) return 'stopped';
      if (!this.isValid()) return 'lost';
      const attempt = await this.#attempt(signal);
      if (attempt === 'standby') return 'lost';
    }
  }

  async #pause(delayMs: number, signal: AbortSignal): Promise<void> {
    try {
      await sleep(this.#options.clock, delayMs, signal);
    } catch {
      // Aborted: the caller looks at the signal.
    }
  }

  #nowMs(): number {
    return this.#options.clock.monotonicMs();
  }

  #validForMs(): number {
    return this.#renewedAtMs === undefined ? 0 : this.#renewedAtMs + this.#timing.renewDeadlineMs - this.#nowMs();
  }

  /** One try to take or to renew the Lease, with a limited time; never rejects. */
  async #attempt(signal: AbortSignal): Promise<Attempt> {
    const startedMs = this.#nowMs();
    const limitMs = Math.min(this.#timing.renewDeadlineMs / 2, this.#validForMs() || Infinity);
    const limited = deadline(this.#options.clock, limitMs, signal, () => new Error(`no answer in ${limitMs} ms`));
    try {
      const lease = await settled(this.#takeOrRenew(limited.signal), limited.signal);
      if (lease === undefined) return 'standby';
      this.#observe(lease);
      this.#renewedAtMs = startedMs;
      return 'leading';
    } catch (error) {
      if (!signal.aborted)
        this.#options.log.warn('the Lease could not be taken or renewed', { error: messageOf(error) });
      return 'failed';
    } finally {
      limited.dispose();
      this.#reportLeader();
    }
  }

  /** The Lease as we hold it now; undefined when somebody else holds it. */
  async #takeOrRenew(signal: AbortSignal): Promise<Lease | undefined> {
    const { leases } = this.#options;
    const own = this.#observed?.lease;
    if (own !== undefined && this.isValid()) {
      // The short way of a leader: no GET. Whatever goes wrong, the long way finds out.
      const renewed = await leases.replace(this.#claim(own), signal).catch(() => undefined);
      if (renewed !== undefined) return renewed;
      signal.throwIfAborted();
    }
    const current = await leases.get(signal);
    signal.throwIfAborted();
    if (current === undefined) return await leases.create(this.#claim(undefined), signal);
    this.#observe(current);
    if (this.#heldByOtherForMs() > 0) return undefined;
    return await leases.replace(this.#claim(current), signal);
  }

  #observe(lease: Lease): void {
    const isSame = JSON.stringify(lease.spec) === JSON.stringify(this.#observed?.lease.spec);
    const atMs = isSame && this.#observed !== undefined ? this.#observed.atMs : this.#nowMs();
    this.#observed = { lease, atMs };
  }

  /**
   * For how much longer another holds the Lease; 0 when nobody does. By the holder's own duration, counted from when we
   * saw the Lease change. An empty holder has given it up.
   */
  #heldByOtherForMs(): number {
    const { lease, atMs = this.#nowMs() } = this.#observed ?? {};
    const holder = lease?.spec?.holderIdentity ?? '';
    if (holder === '' || holder === this.identity) return 0;
    const durationMs = (lease?.spec?.leaseDurationSeconds ?? this.#timing.leaseDurationMs / 1_000) * 1_000;
    return Math.max(0, atMs + durationMs - this.#nowMs());
  }

  /** The Lease as it is written to hold it. */
  #claim(current: Lease | undefined): Lease {
    const { name, namespace, clock } = this.#options;
    const time = microTime(clock.now());
    const held = current?.spec?.holderIdentity === this.identity ? current.spec : undefined;
    return {
      metadata: current?.metadata ?? { name, namespace },
      spec: {
        holderIdentity: this.identity,
        leaseDurationSeconds: Math.ceil(this.#timing.leaseDurationMs / 1_000),
        acquireTime: held?.acquireTime ?? time,
        renewTime: time,
        leaseTransitions: held?.leaseTransitions ?? transitionsAfter(current),
      },
    };
  }

  #reportLeader(): void {
    if (this.leader === this.#reportedLeader) return;
    this.#reportedLeader = this.leader;
    if (this.leader !== '') this.#options.onNewLeader?.(this.leader);
  }

  /** Whether the work ended while nobody else could have begun it. */
  async #endsWhileValid(work: Promise<void>): Promise<boolean> {
    const timer = new AbortController();
    const timeUp = this.#pause(this.#validForMs(), timer.signal);
    await Promise.race([work, timeUp]);
    timer.abort();
    return this.isValid();
  }

  /** Gives the Lease up, so that the next leader need not wait for it to expire. */
  async #release(): Promise<void> {
    const { clock, leases, log } = this.#options;
    const never = new AbortController().signal;
    const limited = deadline(
      clock,
      RELEASE_TIMEOUT_MS,
      never,
      () => new Error(`no answer in ${RELEASE_TIMEOUT_MS} ms`),
    );
    try {
      const current = await settled(leases.get(limited.signal), limited.signal);
      if (current?.spec?.holderIdentity !== this.identity) return;
      await settled(leases.replace(released(current, clock.now()), limited.signal), limited.signal);
      log.info('this replica gave up the Lease', { identity: this.identity });
    } catch (error) {
      log.warn('the Lease could not be given up; it expires by itself', { error: messageOf(error) });
    } finally {
      limited.dispose();
    }
  }
}

/** How often the Lease has changed hands once it is taken: the first holder is not a change. */
function transitionsAfter(current: Lease | undefined): number {
  return current === undefined ? 0 : (current.spec?.leaseTransitions ?? 0) + 1;
}

/** What client-go's release() writes: no holder, and the shortest duration that the API server accepts. */
function released(current: Lease, nowMs: number): Lease {
  const time = microTime(nowMs);
  const leaseTransitions = current.spec?.leaseTransitions ?? 0;
  const spec = { holderIdentity: '', leaseDurationSeconds: 1, acquireTime: time, renewTime: time, leaseTransitions };
  return { metadata: current.metadata, spec };
}

/** metav1.MicroTime: RFC 3339 with exactly six fraction digits; the API server refuses three. */
function microTime(nowMs: number): string {
  return new Date(nowMs).toISOString().replace('Z', '000Z');
}

/** The promise, or the signal's reason once that aborts: a client that ignores its signal must not delay the end. */
async function settled<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : typeof error;
}

function checked(timing: ElectorTiming): ElectorTiming {
  const { leaseDurationMs, renewDeadlineMs, retryPeriodMs } = timing;
  if (!(leaseDurationMs > renewDeadlineMs)) {
    throw new RangeError(`leaseDurationMs (${leaseDurationMs}) must be above renewDeadlineMs (${renewDeadlineMs})`);
  }
  if (!(retryPeriodMs > 0 && renewDeadlineMs > JITTER_FACTOR * retryPeriodMs)) {
    throw new RangeError(
      `renewDeadlineMs (${renewDeadlineMs}) must be above ${JITTER_FACTOR} times retryPeriodMs (${retryPeriodMs}), which must be above 0`,
    );
  }
  return timing;
}
