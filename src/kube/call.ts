// Promises: one unary call to the API server: sends, reads the whole answer, all within one deadline on our Clock, and
// gives JSON or a KubeError. May not retry or sleep.
import type { Clock } from '../runtime/clock.ts';
import { readBody } from '../transport/transport.ts';
import type { ApiServer } from './connection.ts';
import { deadlineError, fromTransport, malformedError, toStatusError } from './failures.ts';

/** The longest a call may take, from sending to the last byte. Our Lease's renew deadline is as long. */
export const CALL_DEADLINE_MS = 10_000;

/** No object is larger: etcd's default request limit is 1.5 MiB (--max-request-bytes); lists say their own bound. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;

/** One call. */
export interface Call {
  /** Such as "patch secrets". */
  readonly operation: string;
  readonly method: string;
  /** Absolute. */
  readonly url: string | URL;
  readonly accept: string;
  readonly body?: string;
  readonly contentType?: string;
  readonly signal: AbortSignal;
  /** What the server's message may not repeat; asked only when a call failed. */
  secrets(): readonly string[];
  /** Default CALL_DEADLINE_MS. */
  readonly deadlineMs?: number;
  /** Default 4 MiB. */
  readonly maxAnswerBytes?: number;
}

/**
 * Runs `work` with a signal that ends with the caller's or at the deadline.
 * AbortSignal.any would do the first half, at ten times the cost for something that each call needs.
 */
export async function withDeadline<T>(
  clock: Clock,
  limit: { readonly operation: string; readonly deadlineMs: number; readonly signal: AbortSignal },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  limit.signal.throwIfAborted();
  const controller = new AbortController();
  const onAbort = (): void => controller.abort(limit.signal.reason);
  const timer = clock.setTimer(limit.deadlineMs, () =>
    controller.abort(deadlineError(limit.operation, limit.deadlineMs)),
  );
  limit.signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await work(controller.signal);
  } finally {
    timer.cancel();
    limit.signal.removeEventListener('abort', onAbort);
  }
}

/**
 * Makes the call.
 * @returns the parsed answer.
 * @throws KubeError; the signal's reason when the caller aborted.
 */
export function call(server: ApiServer, clock: Clock, what: Call): Promise<unknown> {
  const limit = { operation: what.operation, deadlineMs: what.deadlineMs ?? CALL_DEADLINE_MS, signal: what.signal };
  return withDeadline(clock, limit, (signal) => exchange(server, what, signal));
}

async function exchange(server: ApiServer, what: Call, signal: AbortSignal): Promise<unknown> {
  const headers: Record<string, string> = { accept: what.accept };
  if (what.contentType !== undefined) headers['content-type'] = what.contentType;
  let bytes: Uint8Array;
  try {
    const response = await server.send({
      method: what.method,
      url: typeof what.url === 'string' ? new URL(what.url) : what.url,
      headers,
      signal,
      ...(what.body === undefined ? {} : { body: what.body }),
    });
    if (response.status < 200 || response.status > 299) {
      throw await toStatusError(response, what.operation, what.secrets());
    }
    bytes = await readBody(response, what.maxAnswerBytes ?? MAX_ANSWER_BYTES);
  } catch (error) {
    throw fromTransport(error, what.operation);
  }
  return parse(bytes, what.operation);
}

function parse(bytes: Uint8Array, operation: string): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  } catch {
    throw malformedError(operation, 'the answer is not JSON');
  }
}
