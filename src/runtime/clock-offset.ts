// Promises: the time as the API server sees it, so that a replica whose own clock is wrong still refreshes in time. The
// offset comes from the Date headers of answers that arrive anyway; it is 0 unless those prove that it cannot be 0.
// May not decide anything by it: leases and durations use monotonicMs, which no offset touches.
import type { Clock, Timer } from './clock.ts';

/** An HTTP Date says whole seconds, cut off. https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7 */
const DATE_RESOLUTION_MS = 1_000;
/** How fast two clocks drift apart at most: 100 ppm. RFC 5905 (NTP) assumes 15 ppm; two cheap crystals may differ by 100. */
const DRIFT = 100e-6;
/** Beyond this the clock is worth a warning: tokens and signatures are refused at a few minutes. */
export const LARGE_OFFSET_MS = 30_000;

/** Bounds of (server time - local time), as known at one moment. */
interface Bounds {
  readonly lowMs: number;
  readonly highMs: number;
  readonly atMonotonicMs: number;
}

function mayBeZero({ lowMs, highMs }: Bounds): boolean {
  return lowMs <= 0 && highMs >= 0;
}

/** A Clock that follows the API server's. */
export class ServerClock implements Clock {
  readonly #base: Clock;
  readonly #onLargeOffset: (offsetMs: number) => void;
  #bounds: Bounds | undefined;
  #isLarge = false;

  /** @param onLargeOffset called once each time that the offset passes LARGE_OFFSET_MS, either way. */
  constructor(base: Clock, onLargeOffset: (offsetMs: number) => void) {
    this.#base = base;
    this.#onLargeOffset = onLargeOffset;
  }

  /** Wall-clock time of the API server, as well as it is known. */
  now(): number {
    return this.#base.now() + this.offsetMs();
  }

  /** Wall-clock time of this machine, uncorrected: what `observe` wants to be told. */
  localNow(): number {
    return this.#base.now();
  }

  monotonicMs(): number {
    return this.#base.monotonicMs();
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    return this.#base.setTimer(delayMs, callback);
  }

  /** What is added to the local clock: 0 while that may be right, else the smallest correction that may be right. */
  offsetMs(): number {
    // Asked some thirty times for each refresh; and what may be right does not become wrong by drift.
    if (this.#bounds === undefined || mayBeZero(this.#bounds)) return 0;
    const bounds = this.#widened();
    if (bounds === undefined || mayBeZero(bounds)) return 0;
    return bounds.lowMs > 0 ? bounds.lowMs : bounds.highMs;
  }

  /**
   * Learns from one answer. Answers without a readable Date (NaN), and those during which the local clock was set back,
   * teach nothing.
   * @param serverDateMs the Date header of the answer.
   * @param sentAtMs localNow() when the request was sent.
   * @param receivedAtMs localNow() when the answer's head was there.
   */
  observe(serverDateMs: number, sentAtMs: number, receivedAtMs: number): void {
    if (!Number.isFinite(serverDateMs) || receivedAtMs < sentAtMs) return;
    const seen = { lowMs: serverDateMs - receivedAtMs, highMs: serverDateMs + DATE_RESOLUTION_MS - sentAtMs };
    const known = this.#widened();
    const lowMs = Math.max(seen.lowMs, known?.lowMs ?? -Infinity);
    const highMs = Math.min(seen.highMs, known?.highMs ?? Infinity);
    // Disjoint: one of the clocks was set. What was known before is about another clock.
    const bounds = lowMs <= highMs ? { lowMs, highMs } : seen;
    this.#bounds = { ...bounds, atMonotonicMs: this.#base.monotonicMs() };
    this.#tellLargeOffset();
  }

  #widened(): Bounds | undefined {
    if (this.#bounds === undefined) return undefined;
    const { lowMs, highMs, atMonotonicMs } = this.#bounds;
    const driftMs = (this.#base.monotonicMs() - atMonotonicMs) * DRIFT;
    return { lowMs: lowMs - driftMs, highMs: highMs + driftMs, atMonotonicMs };
  }

  #tellLargeOffset(): void {
    const offsetMs = this.offsetMs();
    const isLarge = Math.abs(offsetMs) > LARGE_OFFSET_MS;
    if (isLarge && !this.#isLarge) this.#onLargeOffset(offsetMs);
    this.#isLarge = isLarge;
  }
}
