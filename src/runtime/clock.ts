// Promises: the one place of src that reads the time or sets a timer. Everything else takes a Clock, so that tests and
// the simulation own the time. May not import anything.

/** A pending timer. */
export interface Timer {
  /** Stops the timer; does nothing when it has fired or was cancelled. */
  cancel(): void;
}

/** Time as the process sees it. */
export interface Clock {
  /** Wall-clock time: milliseconds since the Unix epoch. It may jump when the machine's clock is set. */
  now(): number;
  /** Milliseconds from an arbitrary origin, on a clock that never jumps: for durations, leases and deadlines. */
  monotonicMs(): number;
  /** Calls `callback` once after `delayMs` milliseconds (never earlier); a delay below 0 counts as 0. */
  setTimer(delayMs: number, callback: () => void): Timer;
}

/** The longest delay that Node's setTimeout takes; a longer one fires after 1 ms. https://nodejs.org/api/timers.html */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** The machine's clock. Timers of any length, never early: Node's own may fire up to a millisecond too soon. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(delayMs, callback) {
    const dueMs = performance.now() + (delayMs > 0 ? delayMs : 0);
    let handle: NodeJS.Timeout;
    const arm = (): void => {
      const leftMs = Math.max(0, Math.ceil(dueMs - performance.now()));
      handle = setTimeout(() => (performance.now() < dueMs ? arm() : callback()), Math.min(leftMs, MAX_TIMEOUT_MS));
    };
    arm();
    return { cancel: () => clearTimeout(handle) };
  },
};

/**
 * Waits.
 * @throws the signal's reason, at once, when the signal is or becomes aborted.
 */
export async function sleep(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const waiting = Promise.withResolvers<void>();
  const onAbort = (): void => waiting.reject(signal.reason);
  const timer = clock.setTimer(delayMs, waiting.resolve);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await waiting.promise;
  } finally {
    timer.cancel();
    signal.removeEventListener('abort', onAbort);
  }
}

/** A signal with an end; see deadline(). */
export interface Deadline {
  readonly signal: AbortSignal;
  /** Stops the timer and lets go of the parent. Whoever made the deadline calls it when the work is over. */
  dispose(): void;
}

/**
 * A signal that aborts with its parent (and the parent's reason), or with `reason()` after `delayMs` milliseconds.
 * @param reason asked only when the time is up.
 */
export function deadline(clock: Clock, delayMs: number, parent: AbortSignal, reason: () => Error): Deadline {
  const controller = new AbortController();
  if (parent.aborted) {
    controller.abort(parent.reason);
    return { signal: controller.signal, dispose: () => undefined };
  }
  const dispose = (): void => {
    timer.cancel();
    parent.removeEventListener('abort', onParentAbort);
  };
  const onParentAbort = (): void => {
    dispose();
    controller.abort(parent.reason);
  };
  const timer = clock.setTimer(delayMs, () => {
    dispose();
    controller.abort(reason());
  });
  parent.addEventListener('abort', onParentAbort, { once: true });
  return { signal: controller.signal, dispose };
}

/** Resolves when the signal aborts. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => resolve(), { once: true });
  await promise;
}
