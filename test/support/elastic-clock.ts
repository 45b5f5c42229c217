// Promises: the machine's clock, which a test can also push forward: timers fire in order, each at its own due time, with
// real pauses in between in which sockets are served. For programs that talk over real sockets and wait for minutes.
import type { Clock, Timer } from '../../src/runtime/clock.ts';
import { systemClock } from '../../src/runtime/clock.ts';

interface PendingTimer {
  readonly dueMs: number;
  readonly callback: () => void;
  /** Where it was set; read only when it was left behind. */
  readonly origin: Error;
}

/** The longest step of skip(): deadlines of what is in flight must not pass before its answer is read. */
const STEP_MS = 1_000;
/** The real pause after each step: long enough for a call over loopback. */
const PAUSE_MS = 4;
/** How many pauses more for a call that is under way: one that is never answered must not hold time up for ever. */
const MORE_PAUSES = 15;

export class ElasticClock implements Clock {
  readonly #pending = new Set<PendingTimer>();
  readonly #isBusy: () => boolean;
  #aheadMs = 0;
  #alarm: Timer | undefined;

  /** @param isBusy whether calls are under way that time should not run away from. */
  constructor(isBusy: () => boolean = () => false) {
    this.#isBusy = isBusy;
  }

  now(): number {
    return systemClock.now() + this.#aheadMs;
  }

  monotonicMs(): number {
    return systemClock.monotonicMs() + this.#aheadMs;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const timer = { dueMs: this.monotonicMs() + Math.max(0, delayMs), callback, origin: new Error('set') };
    this.#pending.add(timer);
    this.#arm();
    return {
      cancel: () => {
        if (this.#pending.delete(timer) && this.#pending.size === 0) this.#arm();
      },
    };
  }

  /** Timers that wait: none is left when everything that took this clock has ended. */
  get pendingCount(): number {
    return this.#pending.size;
  }

  /** Where the timers that wait were set: a program that has ended holds none, since each would keep its process alive. */
  get pendingOrigins(): string[] {
    return [...this.#pending].map(
      ({ dueMs, origin }) => `in ${Math.round(dueMs - this.monotonicMs())} ms, ${origin.stack ?? ''}`,
    );
  }

  /** Moves both clocks forward by `ms` milliseconds, in steps; real time that passes meanwhile counts. */
  async skip(ms: number, stepMs = STEP_MS): Promise<void> {
    const untilMs = this.monotonicMs() + ms;
    for (let leftMs = ms; leftMs > 0; leftMs = untilMs - this.monotonicMs()) {
      this.#aheadMs += Math.min(stepMs, leftMs);
      this.#fire();
      await pause();
      for (let more = MORE_PAUSES; more > 0 && this.#isBusy(); more -= 1) await pause();
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

function pause(): Promise<void> {
  return new Promise((resolve) => {
    systemClock.setTimer(PAUSE_MS, resolve);
  });
}
