// Promises: client-go's work queue (tools of k8s.io/client-go/util/workqueue, its four words: fair, stingy, many
// producers, shutdown): a key is never with two workers at once, a change that comes while a worker has the key is never
// lost, many changes before the worker comes are one. Added to that: classes of urgency, and turns between tenants.
// Holds keys, never objects. May not retry, limit or log: that is the controller's.
import type { Clock, Timer } from './clock.ts';
import { DelayHeap } from './delay-heap.ts';
import { ReadyKeys } from './ready-keys.ts';

/** What the queue reports as it happens; named after client-go's `workqueue_*` metrics. */
export interface WorkQueueMetrics {
  /** workqueue_depth: how many keys of a class are ready. */
  depth(urgency: number, keys: number): void;
  /** workqueue_adds_total */
  add(): void;
  /** workqueue_queue_duration_seconds: from the add to the hand-out. */
  queueDuration(seconds: number): void;
  /** workqueue_work_duration_seconds: from the hand-out to done. */
  workDuration(seconds: number): void;
  /** workqueue_retries_total: as in client-go, every delayed add. */
  retry(): void;
}

/** What a queue is made of. The two functions must be quick and must not throw. */
export interface WorkQueueOptions {
  readonly clock: Clock;
  /** The class of a key, 0 the most urgent; asked when the key becomes ready, and again when it is added once more. */
  readonly classOf: (key: string) => number;
  /** Between whose keys turns are taken: the namespace. */
  readonly tenantOf: (key: string) => string;
  readonly metrics?: WorkQueueMetrics;
}

type Waiter = (key: string | undefined) => void;

/** A queue of keys. */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #ready = new ReadyKeys();
  readonly #delayed = new DelayHeap();
  /** Keys that have to be worked on: ready, or to become so when their worker is done; with the time of their add. */
  readonly #dirty = new Map<string, number>();
  /** Keys that a worker has; with the time of their hand-out. */
  readonly #processing = new Map<string, number>();
  /** Workers that wait for a key, first come first served. */
  readonly #waiters: Waiter[] = [];
  #timer: { readonly dueMs: number; readonly handle: Timer } | undefined;
  #shuttingDown = false;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  /** How many keys are ready to be handed out: neither those that a worker has nor the delayed ones. */
  get length(): number {
    return this.#ready.size;
  }

  /** How many keys wait for their time. */
  get delayedLength(): number {
    return this.#delayed.size;
  }

  /** workqueue_unfinished_work_seconds: for how long workers have had their keys, in sum. To be read at scrape. */
  unfinishedWorkSeconds(): number {
    const nowMs = this.#nowMs();
    let sumMs = 0;
    for (const startedMs of this.#processing.values()) sumMs += nowMs - startedMs;
    return sumMs / 1_000;
  }

  /** workqueue_longest_running_processor_seconds: how long the slowest worker has had its key. To be read at scrape. */
  longestRunningProcessorSeconds(): number {
    // A Map keeps the order of hand-outs: its first value is the oldest.
    const oldest = this.#processing.values().next();
    return oldest.done === true ? 0 : (this.#nowMs() - oldest.value) / 1_000;
  }

  /** Makes a key ready. If a worker has it, it becomes ready when the worker is done. A delay of it is forgotten. */
  add(key: string): void {
    if (this.#shuttingDown) return;
    this.#delayed.delete(key);
    this.#armTimer();
    this.#addDirty(key);
  }

  /**
   * Makes a key ready after `delayMs` milliseconds; at once when that is not above 0.
   * A key that already waits keeps the earlier time: a wake-up too many is cheap, one too late is not.
   */
  addAfter(key: string, delayMs: number): void {
    if (this.#shuttingDown) return;
    this.#options.metrics?.retry();
    if (!(delayMs > 0)) {
      this.add(key);
      return;
    }
    this.#delayed.add(key, this.#nowMs() + delayMs);
    this.#armTimer();
  }

  /** Waits for a key, which is the caller's until it calls done(key). Undefined: shut down, and nothing is ready. */
  async get(): Promise<string | undefined> {
    const key = this.#handOut();
    if (key !== undefined || this.#shuttingDown) return key;
    const waiting = Promise.withResolvers<string | undefined>();
    this.#waiters.push(waiting.resolve);
    return await waiting.promise;
  }

  /** Gives a key back. If it was added in the meantime it becomes ready now. */
  done(key: string): void {
    const startedMs = this.#processing.get(key);
    if (startedMs === undefined) return;
    this.#processing.delete(key);
    this.#options.metrics?.workDuration((this.#nowMs() - startedMs) / 1_000);
    if (this.#dirty.has(key)) this.#pushReady(key);
  }

  /** Takes no more keys and forgets the delayed ones. What is ready is still handed out; then get() gives undefined. */
  shutDown(): void {
    this.#shuttingDown = true;
    this.#delayed.clear();
    this.#armTimer();
    // Workers wait only while nothing is ready.
    for (const waiter of this.#waiters.splice(0)) waiter(undefined);
  }

  #nowMs(): number {
    return this.#options.clock.monotonicMs();
  }

  #addDirty(key: string): void {
    if (this.#dirty.has(key)) {
      this.#raise(key);
      return;
    }
    this.#options.metrics?.add();
    this.#dirty.set(key, this.#nowMs());
    if (!this.#processing.has(key)) this.#pushReady(key);
  }

  /** A key that is added again may have become more urgent; it never becomes less so while it waits. */
  #raise(key: string): void {
    const before = this.#ready.urgencyOf(key);
    if (before === undefined || this.#options.classOf(key) >= before) return;
    this.#ready.delete(key);
    this.#reportDepth(before);
    this.#pushReady(key);
  }

  #pushReady(key: string): void {
    const urgency = this.#options.classOf(key);
    this.#ready.push(key, urgency, this.#options.tenantOf(key));
    this.#reportDepth(urgency);
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) waiter(this.#handOut());
  }

  #handOut(): string | undefined {
    const next = this.#ready.shift();
    if (next === undefined) return undefined;
    const nowMs = this.#nowMs();
    this.#reportDepth(next.urgency);
    this.#options.metrics?.queueDuration((nowMs - (this.#dirty.get(next.key) ?? nowMs)) / 1_000);
    this.#dirty.delete(next.key);
    this.#processing.set(next.key, nowMs);
    return next.key;
  }

  #reportDepth(urgency: number): void {
    this.#options.metrics?.depth(urgency, this.#ready.sizeOf(urgency));
  }

  /** Keeps the one timer at the earliest delayed key. A timer that is early is left alone: it arms itself anew. */
  #armTimer(): void {
    const dueMs = this.#delayed.nextDueMs;
    if (dueMs !== undefined && this.#timer !== undefined && this.#timer.dueMs <= dueMs) return;
    this.#timer?.handle.cancel();
    this.#timer = undefined;
    if (dueMs === undefined) return;
    const handle = this.#options.clock.setTimer(dueMs - this.#nowMs(), () => this.#onTimer());
    this.#timer = { dueMs, handle };
  }

  #onTimer(): void {
    this.#timer = undefined;
    const nowMs = this.#nowMs();
    for (;;) {
      const key = this.#delayed.takeDue(nowMs);
      if (key === undefined) break;
      this.#addDirty(key);
    }
    this.#armTimer();
  }
}
