// Promises: a clock that moves only when a test says so. Timers fire one by one, in the order of their due times, and
// each sees its own due time as now() and monotonicMs(): node:test's mock timers do not promise that.
import type { Clock, Timer } from '../../src/runtime/clock.ts';

/** 2026-01-01T00:00:00.000Z */
export const FAKE_EPOCH_MS = Date.UTC(2026, 0, 1);

interface PendingTimer {
  readonly dueMs: number;
  readonly sequence: number;
  readonly callback: () => void;
}

/** Lets every promise that can go on go on. A turn of the event loop ends only when no microtask is left. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export class FakeClock implements Clock {
  readonly #pending = new Set<PendingTimer>();
  readonly #watchers = new Set<() => void>();
  #wallMs: number;
  #monotonicMs = 1_000;
  #sequence = 0;
  #advancing = false;

  constructor(startMs: number = FAKE_EPOCH_MS) {
    this.#wallMs = startMs;
  }

  now(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const dueMs = this.#monotonicMs + (delayMs > 0 ? delayMs : 0);
    this.#sequence += 1;
    const timer = { dueMs, sequence: this.#sequence, callback };
    this.#pending.add(timer);
    for (const check of this.#watchers) check();
    return { cancel: () => void this.#pending.delete(timer) };
  }

  /**
   * Moves time forward by `ms` milliseconds, both clocks. Promises settle before the first timer, between two timers and
   * after the last. Timers that are set on the way and fall due on the way fire too.
   */
  async advance(ms: number): Promise<void> {
    await this.#advanceTo(this.#monotonicMs + ms, () => false);
  }

  /**
   * Moves time from timer to timer until `done()` holds.
   * @throws when it does not hold after `limitMs` milliseconds of this clock, or when no timer is left.
   */
  async advanceUntil(done: () => boolean, limitMs: number): Promise<void> {
    await this.#advanceTo(this.#monotonicMs + limitMs, done);
    if (!done())
      throw new Error(`FakeClock.advanceUntil: not done after ${limitMs} ms, ${this.waiters()} timers pending`);
  }

  /** Moves the wall clock only, as an administrator or NTP does. Fires nothing. */
  jump(ms: number): void {
    this.#wallMs += ms;
  }

  /** How many timers are pending. */
  waiters(): number {
    return this.#pending.size;
  }

  /** Milliseconds until the next timer; undefined when none is pending. */
  nextTimerMs(): number | undefined {
    const next = this.#next();
    return next === undefined ? undefined : next.dueMs - this.#monotonicMs;
  }

  /** Resolves as soon as at least `count` timers are pending. */
  async waitForTimers(count: number): Promise<void> {
    if (this.#pending.size >= count) return;
    await new Promise<void>((resolve) => {
      const check = (): void => {
        if (this.#pending.size < count) return;
        this.#watchers.delete(check);
        resolve();
      };
      this.#watchers.add(check);
    });
  }

  async #advanceTo(targetMs: number, done: () => boolean): Promise<void> {
    if (this.#advancing) throw new Error('FakeClock: advance is already under way; await it first');
    this.#advancing = true;
    try {
      await settle();
      while (!done()) {
        const next = this.#next();
        if (next === undefined || next.dueMs > targetMs) break;
        this.#pending.delete(next);
        this.#moveTo(next.dueMs);
        next.callback();
        await settle();
      }
      if (!done()) this.#moveTo(targetMs);
    } finally {
      this.#advancing = false;
    }
  }

  #moveTo(monotonicMs: number): void {
    this.#wallMs += monotonicMs - this.#monotonicMs;
    this.#monotonicMs = monotonicMs;
  }

  #next(): PendingTimer | undefined {
    let first: PendingTimer | undefined;
    for (const timer of this.#pending) {
      if (first === undefined || timer.dueMs < first.dueMs) first = timer;
      else if (timer.dueMs === first.dueMs && timer.sequence < first.sequence) first = timer;
    }
    return first;
  }
}
