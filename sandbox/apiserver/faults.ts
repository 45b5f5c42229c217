// Promises: faults that a test or the demo orders: the first that matches a request and has turns left is acted on.
import { wait, waitForAbort } from '../http.ts';
import type { ServerEnvironment, ServerOutcome, ServerRequest } from '../http.ts';
import { StatusError } from './status.ts';

/** What goes wrong. */
export type FaultAction =
  /** Answers with this status instead of working. */
  | { readonly kind: 'status'; readonly status: number; readonly retryAfterSeconds?: number }
  /** Cuts the connection before the work. */
  | { readonly kind: 'reset' }
  /** Does the work, then cuts the connection: the answer is lost. */
  | { readonly kind: 'loseAnswer' }
  /** Waits, then works. */
  | { readonly kind: 'delay'; readonly ms: number }
  /** Never answers. */
  | { readonly kind: 'hang' }
  /** Works, and lets the answer out drop by drop. */
  | { readonly kind: 'drip'; readonly bytes: number; readonly intervalMs: number }
  /** Works, and cuts the connection after so much of the body: half a JSON line, a watch that ends. */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  /** Answers a read with what was there so many revisions ago, as a replica behind does. */
  | { readonly kind: 'stale'; readonly revisions: number }
  /** Answers a watch with one ERROR event of this status, then its end. */
  | { readonly kind: 'errorEvent'; readonly status: number };

/** How a fault wants the work done. */
export interface WorkOptions {
  readonly staleRevisions?: number;
}

/** A fault, and when it happens. */
export interface Fault {
  readonly match: { readonly method?: string /** Is searched in path and query. */; readonly pathPattern?: RegExp };
  /** How often; without it, until it is removed. */
  readonly times?: number;
  readonly action: FaultAction;
}

/** Reasons that clients look at; the rest gets the code's own words. */
const REASONS: Readonly<Record<number, readonly [reason: string, message: string]>> = {
  403: ['Forbidden', 'forbidden by a fault'],
  404: ['NotFound', 'the server could not find the requested resource'],
  409: ['Conflict', 'the object has been modified; please apply your changes to the latest version and try again'],
  410: ['Expired', 'The resourceVersion for the provided watch is too old.'],
  429: ['TooManyRequests', 'too many requests, please try again later'],
  500: ['InternalError', 'Internal error occurred: etcdserver: request timed out'],
  503: ['ServiceUnavailable', 'the server is currently unable to handle the request'],
  504: ['Timeout', 'the server was unable to return a response in the time allotted'],
};

function statusError({ status, retryAfterSeconds }: { status: number; retryAfterSeconds?: number }): StatusError {
  const [reason, message] = REASONS[status] ?? [undefined, `status ${status}`];
  return new StatusError(status, reason, message, retryAfterSeconds === undefined ? {} : { retryAfterSeconds });
}

type Body = string | AsyncIterable<string>;

function streamed(outcome: ServerOutcome, change: (body: Body) => AsyncIterable<string>): ServerOutcome {
  return 'reset' in outcome ? outcome : { ...outcome, body: change(outcome.body) };
}

async function* chunks(body: Body): AsyncGenerator<string> {
  if (typeof body === 'string') yield body;
  else yield* body;
}

async function* drip(
  body: Body,
  { bytes, intervalMs }: { readonly bytes: number; readonly intervalMs: number },
  env: ServerEnvironment,
  signal: AbortSignal,
): AsyncGenerator<string> {
  for await (const chunk of chunks(body)) {
    for (let at = 0; at < chunk.length && !signal.aborted; at += bytes) {
      await wait(env.clock, intervalMs, signal);
      yield chunk.slice(at, at + bytes);
    }
  }
}

/** Throws where it cuts: whoever carries the body then ends the connection without its end. */
async function* cut(body: Body, afterBytes: number): AsyncGenerator<string> {
  let left = afterBytes;
  for await (const chunk of chunks(body)) {
    if (chunk.length >= left) {
      yield chunk.slice(0, left);
      throw new Error('the connection is cut, as ordered');
    }
    left -= chunk.length;
    yield chunk;
  }
  throw new Error('the connection is cut, as ordered');
}

async function* errorEvent(status: number): AsyncGenerator<string> {
  yield await Promise.resolve(`${JSON.stringify({ type: 'ERROR', object: statusError({ status }).status })}\n`);
}

export class Faults {
  #faults: { readonly fault: Fault; left: number }[] = [];

  /** Orders a fault; the result takes it back. */
  add(fault: Fault): () => void {
    const entry = { fault, left: fault.times ?? Number.POSITIVE_INFINITY };
    this.#faults.push(entry);
    return () => {
      this.#faults = this.#faults.filter((each) => each !== entry);
    };
  }

  clear(): void {
    this.#faults = [];
  }

  /** Runs `work` as the ordered fault wants it; @throws StatusError of a `status` fault */
  async apply(
    request: ServerRequest,
    env: ServerEnvironment,
    work: (options?: WorkOptions) => Promise<ServerOutcome>,
  ): Promise<ServerOutcome> {
    const action = this.#next(request);
    switch (action?.kind) {
      case undefined:
        return await work();
      case 'reset':
        return { reset: true };
      case 'loseAnswer':
        await work();
        return { reset: true };
      case 'delay':
        await wait(env.clock, action.ms, request.signal);
        return await work();
      case 'hang':
        await waitForAbort(request.signal);
        return { reset: true };
      case 'drip':
        return streamed(await work(), (body) => drip(body, action, env, request.signal));
      case 'cut':
        return streamed(await work(), (body) => cut(body, action.afterBytes));
      case 'stale':
        return await work({ staleRevisions: action.revisions });
      case 'errorEvent':
        return streamed(await work(), () => errorEvent(action.status));
      case 'status':
        throw statusError(action);
    }
  }

  #next(request: ServerRequest): FaultAction | undefined {
    const entry = this.#faults.find(({ fault: { match }, left }) => {
      if (left <= 0 || (match.method !== undefined && match.method !== request.method)) return false;
      return match.pathPattern === undefined || match.pathPattern.test(request.target);
    });
    if (entry !== undefined) entry.left -= 1;
    return entry?.fault.action;
  }
}
