// Promises: turns what came instead of an answer into a KubeError: a Status of the API server, a broken connection, a
// deadline. The error holds the server's own sentence and nothing that we sent. May not keep bodies or headers.
import { readBody, TransportError, type TransportResponse } from '../transport/transport.ts';
import { KubeError, type KubeErrorCause } from './errors.ts';

/** Status objects are small; what is longer is no Status, but some proxy's page. */
const MAX_STATUS_BYTES = 65_536;
/** The longest detail of an error; see KubeError. */
const MAX_DETAIL_CHARS = 512;
/** A shared piece of this length is no accident: base64 of nine bytes. */
const LEAK_WINDOW_CHARS = 12;
const MAX_CAUSES = 16;
/** An admission policy's refusal has two names of up to 253 characters before its sentence. */
const MAX_CAUSE_CHARS = 1024;

interface StatusBody {
  readonly message: string;
  readonly reason: string;
  readonly causes: readonly KubeErrorCause[];
  readonly retryAfterSeconds: number | undefined;
}

/** Whether `value` is a JSON object. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** Retry-After in whole seconds (RFC 9110, 10.2.3); the API server never sends the date form. */
export function retryAfterSeconds(headers: Readonly<Record<string, string>>): number | undefined {
  const value = headers['retry-after'];
  return value !== undefined && /^\d{1,6}$/.test(value.trim()) ? Number(value) : undefined;
}

function readCauses(value: unknown): KubeErrorCause[] {
  if (!Array.isArray(value)) return [];
  return value
    .slice(0, MAX_CAUSES)
    .filter(isRecord)
    .map((cause) => ({
      reason: text(cause['reason']).slice(0, 128),
      field: text(cause['field']).slice(0, 256),
      message: text(cause['message']).slice(0, MAX_CAUSE_CHARS),
    }));
}

/** Reads a v1 Status as the API server sends it, in an answer or in a watch event of type ERROR. */
function readStatus(value: unknown): StatusBody {
  const status = isRecord(value) ? value : {};
  const details = isRecord(status['details']) ? status['details'] : {};
  const seconds = details['retryAfterSeconds'];
  return {
    message: text(status['message']),
    reason: text(status['reason']).slice(0, 128),
    causes: readCauses(details['causes']),
    retryAfterSeconds: typeof seconds === 'number' && seconds > 0 ? seconds : undefined,
  };
}

function parseJSON(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  } catch {
    return undefined;
  }
}

/** Whether a piece of one of the secrets is in the message: admission webhooks and decoders quote what they got. */
function repeatsSecret(message: string, secrets: readonly string[]): boolean {
  const long = secrets.filter((secret) => secret.length >= LEAK_WINDOW_CHARS);
  for (let start = 0; start + LEAK_WINDOW_CHARS <= message.length; start += 1) {
    const piece = message.slice(start, start + LEAK_WINDOW_CHARS);
    if (long.some((secret) => secret.includes(piece))) return true;
  }
  return secrets.some((secret) => secret.length >= 4 && secret.length < LEAK_WINDOW_CHARS && message.includes(secret));
}

/** The server's sentence, safe to log. */
function safeDetail(message: string, secrets: readonly string[]): string {
  const cut = message.slice(0, MAX_DETAIL_CHARS);
  return repeatsSecret(cut, secrets) ? 'the message of the API server repeats what was sent and is left out' : cut;
}

/**
 * The KubeError for an answer that is not 2xx; reads its body.
 * @param secrets what the detail may not repeat: data that we sent with the call, encoded and plain.
 */
export async function toStatusError(
  response: TransportResponse,
  operation: string,
  secrets: readonly string[],
): Promise<KubeError> {
  const bytes = await readBody(response, MAX_STATUS_BYTES).catch(keepStatusOnly);
  const status = readStatus(parseJSON(bytes));
  return new KubeError({
    kind: 'status',
    status: response.status,
    reason: status.reason,
    causes: status.causes,
    retryAfterSeconds: retryAfterSeconds(response.headers) ?? status.retryAfterSeconds,
    operation,
    detail: safeDetail(status.message, secrets),
  });
}

/** The HTTP status already says what matters; a body that broke off or is too long is done without. */
function keepStatusOnly(error: unknown): Uint8Array {
  if (error instanceof TransportError) return new Uint8Array();
  throw error;
}

/** The KubeError for a Status inside a watch event of type ERROR. */
export function fromWatchStatus(object: unknown, operation: string): KubeError {
  const status = readStatus(object);
  const code = isRecord(object) && typeof object['code'] === 'number' ? object['code'] : 500;
  return new KubeError({
    kind: 'status',
    status: code,
    reason: status.reason,
    causes: status.causes,
    retryAfterSeconds: status.retryAfterSeconds,
    operation,
    detail: safeDetail(status.message, []),
  });
}

/** The KubeError for a call without a whole answer. Other errors, a caller's abort among them, pass unchanged. */
export function fromTransport(error: unknown, operation: string): unknown {
  if (!(error instanceof TransportError)) return error;
  const kind = error.kind === 'too-large' ? 'malformed' : error.kind === 'timeout' ? 'timeout' : 'network';
  return new KubeError({ kind, status: 0, reason: error.code, operation, detail: error.message });
}

/** The KubeError for a deadline that passed. */
export function deadlineError(operation: string, deadlineMs: number): KubeError {
  const detail = `no whole answer within ${deadlineMs} ms`;
  return new KubeError({ kind: 'timeout', status: 0, reason: 'DeadlineExceeded', operation, detail });
}

/** The KubeError for an answer that does not have the shape that the API promises. */
export function malformedError(operation: string, detail: string): KubeError {
  return new KubeError({ kind: 'malformed', status: 0, reason: 'MalformedAnswer', operation, detail });
}
