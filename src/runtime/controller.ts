// Promises: N workers take keys from the queue, give each to the reconciler under a deadline, and turn what comes back
// into the key's next wake-up. A reconcile that throws costs nobody but its own key, which comes back with a back-off.
// On a drain nothing new is begun and what is in flight may finish. May not know what a key stands for.
import { Backoff } from './backoff.ts';
import { type Clock, deadline, sleep } from './clock.ts';
import type { Log } from './log.ts';
import type { Random } from './random.ts';
import type { WorkQueue } from './workqueue.ts';

/** What a reconcile asks for. */
export interface ReconcileResult {
  /** When the key wants to be looked at again at the latest; left out: only when something changes. */
  readonly requeueAfterMs?: number;
}

/** How a reconcile ended; the label values of controller-runtime's `controller_runtime_reconcile_total`. */
export type ReconcileEnd = 'success' | 'requeue_after' | 'error';

/** What the controller reports as it happens. */
export interface ControllerMetrics {
  reconciled(end: ReconcileEnd, durationSeconds: number): void;
  /** How many workers are at work. */
  activeWorkers(count: number): void;
}

/** What a controller is made of. */
export interface ControllerOptions {
  readonly queue: WorkQueue;
  /** How many keys are worked on at once. */
  readonly workers: number;
  /** The work. `signal` aborts at the reconcile's deadline, on a hard stop, and when a drain's time is up. */
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<ReconcileResult>;
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics?: ControllerMetrics;
  /** The longest that one reconcile may take; default 60 s, above the sum of its calls' own deadlines. */
  readonly reconcileTimeoutMs?: number;
}

const DEFAULT_RECONCILE_TIMEOUT_MS = 60_000;
const ERROR_BACKOFF = new Backoff({ initialMs: 5_000, factor: 2, maxMs: 60_000 });
/** How long a drain waits for reconciles that it has aborted. */
const ABORT_GRACE_MS = 1_000;
/** Lines of a stack that are worth logging. */
const MAX_STACK_LINES = 8;

/** A pool of workers. It runs once. */
export class Controller {
  readonly #options: ControllerOptions;
  readonly #abort = new AbortController();
  readonly #failures = new Map<string, number>();
  #workers: Promise<unknown> = Promise.resolve();
  #activeWorkers = 0;
  #isStopping = false;

  constructor(options: ControllerOptions) {
    this.#options = options;
  }

  /**
   * Works until drain() or until the signal aborts, which aborts what is in flight.
   * Resolves when the last worker has ended.
   */
  async run(signal: AbortSignal): Promise<void> {
    const onAbort = (): void => {
      this.#stopTaking();
      this.#abort.abort(signal.reason);
    };
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    this.#workers = Promise.all(Array.from({ length: this.#options.workers }, () => this.#work()));
    try {
      await this.#workers;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /**
   * Begins nothing new, lets what is in flight finish, and aborts what is left after `deadlineMs` milliseconds.
   * @returns whether everything finished by itself.
   */
  async drain(deadlineMs: number): Promise<boolean> {
    this.#stopTaking();
    if (await this.#endsWithin(deadlineMs)) return true;
    this.#options.log.warn('work was aborted because the drain took too long', { inFlight: this.#activeWorkers });
    this.#abort.abort(new Error(`stopped: the work did not end within ${deadlineMs} ms`));
    await this.#endsWithin(ABORT_GRACE_MS);
    return false;
  }

  #stopTaking(): void {
    this.#isStopping = true;
    this.#options.queue.shutDown();
  }

  async #endsWithin(limitMs: number): Promise<boolean> {
    const timer = new AbortController();
    const timeUp = sleep(this.#options.clock, limitMs, timer.signal).then(
      () => false,
      () => false,
    );
    const ended = this.#workers.then(() => true);
    try {
      return await Promise.race([ended, timeUp]);
    } finally {
      timer.abort();
    }
  }

  async #work(): Promise<void> {
    for (;;) {
      const key = await this.#options.queue.get();
      if (key === undefined) return;
      if (!this.#isStopping) await this.#process(key);
      this.#options.queue.done(key);
    }
  }

  async #process(key: string): Promise<void> {
    const { clock, reconcile, metrics, reconcileTimeoutMs = DEFAULT_RECONCILE_TIMEOUT_MS } = this.#options;
    const startedMs = clock.monotonicMs();
    const limited = deadline(
      clock,
      reconcileTimeoutMs,
      this.#abort.signal,
      () => new Error(`the reconcile took longer than ${reconcileTimeoutMs} ms`),
    );
    this.#countActive(1);
    let end: ReconcileEnd;
    try {
      end = this.#onResult(key, await reconcile(key, limited.signal));
    } catch (error) {
      end = this.#onError(key, error, limited.signal.aborted);
    } finally {
      limited.dispose();
      this.#countActive(-1);
    }
    metrics?.reconciled(end, (clock.monotonicMs() - startedMs) / 1_000);
  }

  #countActive(change: number): void {
    this.#activeWorkers += change;
    this.#options.metrics?.activeWorkers(this.#activeWorkers);
  }

  #onResult(key: string, { requeueAfterMs }: ReconcileResult): ReconcileEnd {
    this.#failures.delete(key);
    if (requeueAfterMs === undefined) return 'success';
    this.#options.queue.addAfter(key, requeueAfterMs);
    return 'requeue_after';
  }

  #onError(key: string, error: unknown, timedOut: boolean): ReconcileEnd {
    // Aborted by us: the key's state is in the API server, and whoever starts next sees it there.
    if (this.#abort.signal.aborted) return 'error';
    const failures = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    const retryAfterMs = ERROR_BACKOFF.jitteredMs(failures, this.#options.random);
    const fields = { key, failures, retryAfterMs, timedOut, ...describe(error) };
    this.#options.log.error('a reconcile failed unexpectedly', fields);
    this.#options.queue.addAfter(key, retryAfterMs);
    return 'error';
  }
}

/**
 * What may be logged of an error that nobody foresaw: its class and where it came from. Not its message: that of
 * JSON.parse, for one, quotes what it read.
 */
function describe(error: unknown): { errorName: string; stack: readonly string[] } {
  if (!(error instanceof Error)) return { errorName: typeof error, stack: [] };
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at .+:\d+:\d+\)?$/.test(line));
  return { errorName: error.name, stack: frames.slice(0, MAX_STACK_LINES).map((line) => line.trim()) };
}
