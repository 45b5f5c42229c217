// Promises: answers as HTTP carries them: JSON and text with the headers that clients look at, and a failure as its Status.
import { httpDate } from '../http.ts';
import type { ServerEnvironment, ServerResponse } from '../http.ts';
import { StatusError } from './status.ts';

export class Answers {
  readonly #env: ServerEnvironment;

  constructor(env: ServerEnvironment) {
    this.#env = env;
  }

  json(body: object, status = 200, contentType = 'application/json'): ServerResponse {
    return this.raw(JSON.stringify(body), status, contentType);
  }

  text(status: number, body: string): ServerResponse {
    return { status, headers: { 'content-type': 'text/plain; charset=utf-8', date: httpDate(this.#env.clock) }, body };
  }

  raw(body: string, status: number, contentType: string): ServerResponse {
    const headers = {
      'content-type': contentType,
      'cache-control': 'no-cache, private',
      date: httpDate(this.#env.clock),
    };
    return { status, headers, body };
  }

  failure({ status }: StatusError): ServerResponse {
    const response = this.json(status, status.code);
    const seconds = status.details?.retryAfterSeconds;
    return seconds === undefined
      ? response
      : { ...response, headers: { ...response.headers, 'retry-after': `${seconds}` } };
  }
}

/** What nobody foresaw is a 500, as in the real server, so that a client sees a Status and not a cut connection. */
export function asStatusError(error: unknown): StatusError {
  if (error instanceof StatusError) return error;
  return new StatusError(
    500,
    'InternalError',
    `Internal error occurred: ${error instanceof Error ? error.name : 'unknown'}`,
  );
}
