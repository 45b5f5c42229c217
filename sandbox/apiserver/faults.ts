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
  | { readonly kind: 'hang' };

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
    work: () => Promise<ServerOutcome>,
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
      case 'status': {
        const [reason, message] = REASONS[action.status] ?? [undefined, `status ${action.status}`];
        const { retryAfterSeconds } = action;
        const details = retryAfterSeconds === undefined ? {} : { retryAfterSeconds };
        throw new StatusError(action.status, reason, message, details);
      }
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
