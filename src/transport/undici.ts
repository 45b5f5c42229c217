// Promises: the Transport port over real sockets, with undici. Short calls share one HTTP/1.1 pool per origin; a stream
// has a connection of its own, because a watch and short calls on one pool stall after the server's first GOAWAY.
// May not retry, follow redirects, read the environment, or put a header, body or query into an error.
import type { IncomingHttpHeaders } from 'node:http';
import { Client, type Dispatcher, Pool } from 'undici';
import {
  type Transport,
  TransportError,
  type TransportErrorKind,
  type TransportRequest,
  type TransportResponse,
} from './transport.ts';

/** What TLS needs; PEM texts. Without `ca` the certificate authorities that Node ships are trusted. */
export interface TLSMaterial {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** The name that the server's certificate must carry, where it is not the host of the URL. */
  readonly servername?: string;
}

/** Options of undiciTransport. */
export interface UndiciTransportOptions {
  /** The most connections per origin for short calls; streams come on top, one each. */
  readonly connections: number;
  readonly tls: TLSMaterial;
  /** The longest time for TCP and TLS together. */
  readonly connectTimeoutMs: number;
  /** How many origins keep connections; default 64. Regions come from tenants, so there is no end of origins. */
  readonly maxOrigins?: number;
}

const DEFAULT_MAX_ORIGINS = 64;

/**
 * How long an idle connection is kept. Shorter than the idle time-outs of kube-apiserver (90 s, its http.Server) and of
 * the usual load balancers (60 s), so that we close first and no request meets a closing connection.
 */
const KEEP_ALIVE_MS = 45_000;

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

function kindOf(code: string): TransportErrorKind {
  if (CONNECT_CODES.has(code)) return 'connect';
  if (TIMEOUT_CODES.has(code)) return 'timeout';
  if (RESET_CODES.has(code)) return 'reset';
  return TLS_CODE.test(code) ? 'tls' : 'protocol';
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && /^[A-Z0-9_]{1,64}$/.test(code) ? code : 'UNKNOWN';
}

/** undici's error in our words; its own message may quote what was received, so it is left behind. */
function toTransportError(error: unknown, url: URL): TransportError {
  const code = codeOf(error);
  const kind = kindOf(code);
  const port = url.port === '' ? (url.protocol === 'http:' ? '80' : '443') : url.port;
  return new TransportError(kind, code, `${url.hostname}:${port}: ${SENTENCES[kind]} (${code})`);
}

function flatten(headers: IncomingHttpHeaders): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined) flat[name] = typeof value === 'string' ? value : value.join(', ');
  }
  return flat;
}

/** The body with errors in our words. Leaving the loop early ends the exchange, because the body is then destroyed. */
async function* readChunks(
  body: AsyncIterable<Uint8Array>,
  request: TransportRequest,
  onEnd: () => void,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of body) yield chunk;
  } catch (error) {
    request.signal.throwIfAborted();
    throw toTransportError(error, request.url);
  } finally {
    onEnd();
  }
}

/** A whole connection failure inside undici that comes too late to be told to anybody. */
function ignoreLateFailure(): void {}

class UndiciTransport implements Transport {
  readonly #connections: number;
  readonly #clientOptions: Client.Options;
  readonly #maxOrigins: number;
  /** In the order of use: the first is the one that was not used for longest. */
  readonly #pools = new Map<string, Pool>();
  readonly #streams = new Set<Client>();
  #closed = false;

  constructor(options: UndiciTransportOptions) {
    this.#connections = options.connections;
    this.#maxOrigins = options.maxOrigins ?? DEFAULT_MAX_ORIGINS;
    this.#clientOptions = {
      allowH2: false,
      pipelining: 1,
      // The caller owns the deadline; 0 switches undici's own timers off.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
      // rejectUnauthorized is said aloud: left out, NODE_TLS_REJECT_UNAUTHORIZED=0 would switch verification off.
      connect: { ...options.tls, rejectUnauthorized: true, timeout: options.connectTimeoutMs },
    };
  }

  async send(request: TransportRequest): Promise<TransportResponse> {
    request.signal.throwIfAborted();
    if (this.#closed) {
      throw new TransportError('reset', 'UND_ERR_CLOSED', `${request.url.host}: the transport is closed`);
    }
    const stream = request.stream === undefined ? undefined : this.#openStream(request.url.origin);
    const dispatcher = stream ?? this.#pool(request.url.origin);
    const end = (): void => {
      if (stream === undefined) return;
      this.#streams.delete(stream);
      stream.destroy().catch(ignoreLateFailure);
    };
    try {
      const answer = await dispatcher.request({
        method: request.method as Dispatcher.HttpMethod,
        path: request.url.pathname + request.url.search,
        headers: request.headers,
        body: request.body ?? null,
        signal: request.signal,
        ...(request.stream === undefined ? {} : { bodyTimeout: request.stream.idleTimeoutMs }),
      });
      // An abort between head and first read makes the body fail with nobody listening.
      answer.body.on('error', ignoreLateFailure);
      // A stream that is aborted before it is read must not keep its connection either.
      if (stream !== undefined) answer.body.once('close', end);
      return {
        status: answer.statusCode,
        headers: flatten(answer.headers),
        body: readChunks(answer.body, request, end),
      };
    } catch (error) {
      end();
      request.signal.throwIfAborted();
      throw toTransportError(error, request.url);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const closing = [...this.#pools.values(), ...this.#streams].map((dispatcher) => dispatcher.close());
    this.#pools.clear();
    await Promise.allSettled(closing);
  }

  #pool(origin: string): Pool {
    const pool = this.#pools.get(origin) ?? this.#openPool(origin);
    this.#pools.delete(origin);
    this.#pools.set(origin, pool);
    return pool;
  }

  #openPool(origin: string): Pool {
    const [oldest] = this.#pools;
    if (oldest !== undefined && this.#pools.size >= this.#maxOrigins) {
      const [dropped, pool] = oldest;
      this.#pools.delete(dropped);
      // Graceful: what is in flight ends by itself.
      pool.close().catch(ignoreLateFailure);
    }
    return new Pool(origin, { ...this.#clientOptions, connections: this.#connections });
  }

  #openStream(origin: string): Client {
    const client = new Client(origin, this.#clientOptions);
    this.#streams.add(client);
    return client;
  }
}

/**
 * A Transport over real sockets. HTTP/1.1 only: undici's HTTP/2 loses calls after GOAWAY, which managed clusters send.
 * close() lets what is in flight end first, streams too: abort those before, or do not wait for it.
 */
export function undiciTransport(options: UndiciTransportOptions): Transport {
  return new UndiciTransport(options);
}
