// Promises: what went wrong below HTTP in our words: undici's, the system's and OpenSSL's codes sorted into the kinds of a
// TransportError, with a sentence that names host and port. Pure. May not repeat an error's own message: it may quote
// what was received or sent.
import { TransportError, type TransportErrorKind } from './transport.ts';

/** Codes that mean: there was no connection, so nothing was sent. */
const CONNECT_CODES = new Set([
  'EADDRNOTAVAIL',
  'EAI_AGAIN',
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'UND_ERR_CONNECT_TIMEOUT',
]);
const TIMEOUT_CODES = new Set(['ETIMEDOUT', 'UND_ERR_BODY_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT']);
const RESET_CODES = new Set([
  'ECONNABORTED',
  'ECONNRESET',
  'EPIPE',
  'UND_ERR_ABORTED',
  'UND_ERR_CLOSED',
  'UND_ERR_DESTROYED',
  'UND_ERR_SOCKET',
]);
/** OpenSSL's verification errors, as Node names them (`X509 certificate error codes` in Node's TLS page), and its own. */
const TLS_CODE =
  /^(ERR_TLS|ERR_SSL|ERR_OSSL|CERT_|CRL_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|INVALID_CA$|INVALID_PURPOSE$|HOSTNAME_MISMATCH$|PATH_LENGTH_|EPROTO$)/;

const SENTENCES: Readonly<Record<TransportErrorKind, string>> = {
  connect: 'no connection could be made',
  reset: 'the connection was closed before the answer was complete',
  timeout: 'nothing arrived for too long',
  tls: 'the TLS handshake failed; compare the certificate authority and the host name with the server certificate',
  protocol: 'the answer is not valid HTTP/1.1',
  'too-large': 'the answer is too large',
};

/** The kind that a code means; what nobody knows is `protocol`. */
export function kindOf(code: string): TransportErrorKind {
  if (CONNECT_CODES.has(code)) return 'connect';
  if (TIMEOUT_CODES.has(code)) return 'timeout';
  if (RESET_CODES.has(code)) return 'reset';
  return TLS_CODE.test(code) ? 'tls' : 'protocol';
}

/** The error's code, or UNKNOWN where it has none that is a code. */
export function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && /^[A-Z0-9_]{1,64}$/.test(code) ? code : 'UNKNOWN';
}

/** `host:port`, the port also where the URL leaves it out. */
export function hostAndPort(url: URL): string {
  return `${url.hostname}:${url.port === '' ? (url.protocol === 'http:' ? '80' : '443') : url.port}`;
}

/** undici's error in our words; one of ours stays what it is. Its own message is left behind. */
export function toTransportError(error: unknown, url: URL): TransportError {
  if (error instanceof TransportError) return error;
  const code = codeOf(error);
  const kind = kindOf(code);
  return new TransportError(kind, code, `${hostAndPort(url)}: ${SENTENCES[kind]} (${code})`);
}
