// Promises: what the sandbox's servers and their listeners agree on: one request in, one outcome out, no socket in sight.
// A server is a function of a request and of its own clock and chance, so it also runs inside a simulation.
import type { Clock } from '../src/runtime/clock.ts';
import type { Random } from '../src/runtime/random.ts';

/** What a server may ask the world for. */
export interface ServerEnvironment {
  readonly clock: Clock;
  readonly random: Random;
}

/** One HTTP request. */
export interface ServerRequest {
  readonly method: string;
  /** Path and query, as sent. */
  readonly target: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** Aborts when the client has gone; whoever streams or waits must stop then. */
  readonly signal: AbortSignal;
}

/** One HTTP answer; a body that is not text is a stream. */
export interface ServerResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | AsyncIterable<string>;
}

/** An answer, or a connection that ends without one. */
export type ServerOutcome = ServerResponse | { readonly reset: true };

/** A server. */
export type Handler = (request: ServerRequest) => Promise<ServerOutcome>;

/** Waits on the clock; ends early when the client has gone. */
export function wait(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = clock.setTimer(delayMs, resolve);
    signal.addEventListener(
      'abort',
      () => {
        timer.cancel();
        resolve();
      },
      { once: true },
    );
  });
}

/** Waits until the client has gone. */
export function waitForAbort(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** An HTTP date. */
export function httpDate(clock: Clock): string {
  return new Date(clock.now()).toUTCString();
}
