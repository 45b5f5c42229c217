// Promises: one call to an STS, the same for all clouds: the host of the very request is judged, one deadline, one
// attempt, no redirect, a bounded answer, one report of how it went. May not know a cloud's protocol, or retry.
import type { Cloud } from '../api/names.ts';
import { FIELD_MANAGER } from '../api/names.ts';
import { CredentialError, type ErrorCode } from '../credential/errors.ts';
import { type Clock, deadline } from '../runtime/clock.ts';
import { readBody, type Transport, TransportError, type TransportResponse } from '../transport/transport.ts';
import { cloudRequestID } from './cloud-message.ts';
import { assertAllowed, type EndpointPolicy } from './endpoints.ts';
import { type AnswerHead, internalFailure, noAnswer, readRetryAfter, redirect, type STSCall } from './sts-failures.ts';
import { unreachable, unusable } from './sts-failures.ts';

/** One call to STS, told when it is over. */
export interface STSCallOutcome {
  readonly cloud: Cloud;
  /** `host` or `host:port`. */
  readonly host: string;
  /** `OK`, a code of the register, or `Aborted` when the caller gave up. */
  readonly code: ErrorCode | 'OK' | 'Aborted';
  readonly durationSeconds: number;
}

/** What a cloud's provider is made of. */
export interface ProviderOptions {
  readonly transport: Transport;
  readonly policy: EndpointPolicy;
  readonly clock: Clock;
  /** What the process's clock is off by, in milliseconds: what is signed carries the corrected time. Default 0. */
  readonly clockOffsetMs?: () => number;
  readonly onCall?: (outcome: STSCallOutcome) => void;
}

/** One HTTP request to STS. */
export interface STSRequest {
  readonly method: 'GET' | 'POST';
  /** Absolute path, with its query where there is one; nothing secret in it. Default `/`. */
  readonly path?: string;
  /** Lower-case names; the user agent is added. */
  readonly headers: Readonly<Record<string, string>>;
  /** Absent with GET. */
  readonly body?: string;
  /** Response headers that may hold the request id, the best first. */
  readonly requestIDHeaders: readonly string[];
  /** The wait in seconds that the cloud asks for in a header of its own; where it says nothing, Retry-After counts. */
  readonly retryAfterSeconds?: (headers: Readonly<Record<string, string>>) => number | undefined;
}

/** What STS answered, whatever its status but a redirect. */
export interface STSAnswer extends AnswerHead {
  readonly body: Uint8Array;
  /** The Date header, milliseconds since the epoch; undefined if absent or unreadable. */
  readonly dateMs: number | undefined;
}

/** One attempt per call, and the queue retries: longer than this a worker does not wait. */
const DEADLINE_MS = 10_000;
/** Answers of STS have 1 to 20 KB; an answer that is longer is none of STS's. */
const MAX_BODY_BYTES = 64 * 1024;

/**
 * Runs one call with its deadline and reports it.
 * @throws CredentialError; the signal's reason when aborted.
 */
export async function runCall<T>(
  options: ProviderOptions,
  call: STSCall,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { clock } = options;
  signal.throwIfAborted();
  const limit = deadline(clock, DEADLINE_MS, signal, () =>
    unreachable(call, `it took longer than ${DEADLINE_MS / 1_000} s`),
  );
  const startMs = clock.monotonicMs();
  const report = (code: STSCallOutcome['code']): void => {
    const durationSeconds = (clock.monotonicMs() - startMs) / 1_000;
    options.onCall?.({ cloud: call.cloud, host: call.url.host, code, durationSeconds });
  };
  try {
    const result = await work(limit.signal);
    report('OK');
    return result;
  } catch (error) {
    const failure: unknown = limit.signal.aborted ? limit.signal.reason : asFailure(call, error);
    report(signal.aborted || !(failure instanceof CredentialError) ? 'Aborted' : failure.code);
    throw failure;
  } finally {
    limit.dispose();
  }
}

/** Whatever was thrown during a call, as an error of ours. */
function asFailure(call: STSCall, error: unknown): CredentialError {
  if (error instanceof CredentialError) {
    return error;
  }
  return error instanceof TransportError ? noAnswer(call, error) : internalFailure(call, error);
}

/**
 * Sends one request to `call.url` and reads the whole answer.
 * @throws CredentialError EndpointNotAllowed before a byte leaves, RedirectRefused, InvalidResponse for an answer of
 * more than 64 KiB; TransportError; the signal's reason.
 */
export async function sendRequest(
  options: ProviderOptions,
  call: STSCall,
  request: STSRequest,
  signal: AbortSignal,
): Promise<STSAnswer> {
  assertAllowed(call.url, call.cloud, options.policy);
  const response = await options.transport.send({
    method: request.method,
    url: request.path === undefined ? call.url : samePlace(call.url, request.path),
    headers: { ...request.headers, 'user-agent': FIELD_MANAGER },
    ...(request.body === undefined ? {} : { body: request.body }),
    signal,
  });
  const head = readHead(response, call, options.clock.now(), request);
  if (head.status >= 300 && head.status < 400) {
    await discard(response);
    throw redirect(call, head, response.headers['location']);
  }
  return { ...head, body: await bodyOf(call, response, head) };
}

/** A path on the same origin, and nothing that a parser could take for another place. */
function samePlace(url: URL, path: string): URL {
  const target = new URL(path, url);
  if (!path.startsWith('/') || target.origin !== url.origin) {
    throw new Error('the path leaves the origin');
  }
  return target;
}

function readHead(
  response: TransportResponse,
  call: STSCall,
  nowMs: number,
  { requestIDHeaders, retryAfterSeconds }: STSRequest,
): Omit<STSAnswer, 'body'> {
  const parsedMs = Date.parse(response.headers['date'] ?? '');
  const dateMs = Number.isFinite(parsedMs) ? parsedMs : undefined;
  const header = requestIDHeaders.find((name) => response.headers[name] !== undefined);
  return {
    status: response.status,
    dateMs,
    requestID: header === undefined ? undefined : cloudRequestID(response.headers[header], call.secret),
    retryAfterSeconds:
      retryAfterSeconds?.(response.headers) ?? readRetryAfter(response.headers['retry-after'], dateMs ?? nowMs),
  };
}

/** The body, at most 64 KiB of it. An error page that is longer is not read: its status says enough. */
async function bodyOf(call: STSCall, response: TransportResponse, head: AnswerHead): Promise<Uint8Array> {
  try {
    return await readBody(response, MAX_BODY_BYTES);
  } catch (error) {
    if (!(error instanceof TransportError) || error.kind !== 'too-large') {
      throw error;
    }
    if (response.status >= 300) {
      return new Uint8Array();
    }
    throw unusable(call, head, `the answer is longer than ${MAX_BODY_BYTES / 1024} KiB`);
  }
}

/** Reads a body that nobody wants, so that its connection can be used again; a long or broken one is cut off. */
async function discard(response: TransportResponse): Promise<void> {
  try {
    await readBody(response, MAX_BODY_BYTES);
  } catch {
    // The status has already decided; what the body would have said does not matter.
  }
}
