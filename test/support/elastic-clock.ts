// Promises: the machine's clock, which a test can also push forward: timers fire in order, each at its own due time, with
// real pauses in between in which sockets are served. For programs that talk over real sockets and wait for minutes.
import type { Clock, Timer } from '../../src/runtime/clock.ts';
import { systemClock } from '../../src/runtime/clock.ts';

interface PendingTimer {
  readonly dueMs: number;
  readonly callback: () => void;
}

/** The longest step of skip(): deadlines of what is in flight must not pass before its answer is read. */
const STEP_MS = 1_000;
/** The real pause after each step: long enough for a call over loopback. */
const PAUSE_MS = 4;

export class ElasticClock implements Clock {
  readonly #pending = new Set<PendingTimer>();
  #aheadMs = 0;
  #alarm: Timer | undefined;

  now(): number {
    return systemClock.now() + this.#aheadMs;
  }

  monotonicMs(): number {
    return systemClock.monotonicMs() + this.#aheadMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const timer = { dueMs: this.monotonicMs() + Math.max(0, delayMs), callback };
    this.#pending.add(timer);
    this.#arm();
    return {
      cancel: () => {
        if (this.#pending.delete(timer) && this.#pending.size === 0) this.#arm();
      },
    };
  }

  /** Moves both clocks forward by `ms` milliseconds, in steps. */
  async skip(ms: number, stepMs = STEP_MS): Promise<void> {
    for (let leftMs = ms; leftMs > 0; leftMs -= stepMs) {
      this.#aheadMs += Math.min(stepMs, leftMs);
      this.#fire();
      await new Promise<void>((resolve) => {
        systemClock.setTimer(PAUSE_MS, resolve);
      });
    }
  }

  #first(): PendingTimer | undefined {
    let first: PendingTimer | undefined;
    for (const timer of this.#pending) if (first === undefined || timer.dueMs < first.dueMs) first = timer;
    return first;
  }

  #fire(): void {
    for (let next = this.#first(); next !== undefined && next.dueMs <= this.monotonicMs(); next = this.#first()) {
      this.#pending.delete(next);
      next.callback();
    }
    this.#arm();
  }

  /** One real timer, for the first of all. */
  #arm(): void {
    this.#alarm?.cancel();
    const next = this.#first();
    this.#alarm = next && systemClock.setTimer(next.dueMs - this.monotonicMs(), () => this.#fire());
  }
}
