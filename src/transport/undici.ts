// Promises: the Transport port over real sockets, with undici. Short calls share one HTTP/1.1 pool per origin; a stream
// has a connection of its own, because a watch and short calls on one pool stall after the server's first GOAWAY.
// May not retry, follow redirects, read the environment, or put a header, body or query into an error.
// As a whole: by name, a Node that is too old would end in an error of its own before it can say which one is needed.
import * as tls from 'node:tls';
import { buildConnector, Client, type Dispatcher, Pool } from 'undici';
import { Exchange } from './exchange.ts';
import { toTransportError } from './failures.ts';
import type { Route } from './proxy.ts';
import { type Transport, TransportError, type TransportRequest, type TransportResponse } from './transport.ts';
import { tunnelConnector } from './tunnel.ts';

/** What TLS needs; PEM texts. Without `ca` the certificate authorities that Node ships are trusted. */
export interface TLSMaterial {
  readonly ca?: string;
  /** Authorities that are trusted beside those that Node ships; not together with the others of these fields. */
  readonly extraCA?: string;
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
  /** The longest time for TCP and TLS together; with a proxy, for each step on the way. */
  readonly connectTimeoutMs: number;
  /** Which proxy an https origin is reached through; asked once for each pool. Default: none. */
  readonly route?: Route;
  /** How many origins keep connections; default 64. Regions come from tenants, so there is no end of origins. */
  readonly maxOrigins?: number;
}

const DEFAULT_MAX_ORIGINS = 64;

/**
 * How long an idle connection is kept. Shorter than the idle time-outs of kube-apiserver (90 s, its http.Server) and of
 * the usual load balancers (60 s), so that we close first and no request meets a closing connection.
 */
const KEEP_ALIVE_MS = 45_000;

/** A whole connection failure inside undici that comes too late to be told to anybody. */
function ignoreLateFailure(): void {}

type ConnectOptions = buildConnector.BuildOptions & { readonly timeout: number };

/** rejectUnauthorized is said aloud: left out, NODE_TLS_REJECT_UNAUTHORIZED=0 would switch verification off. */
function connectOptions(options: UndiciTransportOptions): ConnectOptions {
  const { connectTimeoutMs } = options;
  const { extraCA, ...material } = options.tls;
  if (extraCA === undefined) {
    return { ...material, rejectUnauthorized: true, timeout: connectTimeoutMs };
  }
  // Made once: to read more than a hundred authorities for each connection takes 10 ms of CPU.
  const secureContext = tls.createSecureContext({ ca: [...tls.getCACertificates('default'), extraCA] });
  return { secureContext, rejectUnauthorized: true, timeout: connectTimeoutMs };
}

class UndiciTransport implements Transport {
  readonly #connections: number;
  readonly #clientOptions: Client.Options;
  readonly #connect: ConnectOptions;
  readonly #route: Route | undefined;
  /** TLS inside tunnels, with one cache of sessions. */
  readonly #secure: buildConnector.connector;
  readonly #maxOrigins: number;
  /** In the order of use: the first is the one that was not used for longest. */
  readonly #pools = new Map<string, Pool>();
  readonly #streams = new Set<Client>();
  #closed = false;

  constructor(options: UndiciTransportOptions) {
    this.#connections = options.connections;
    this.#maxOrigins = options.maxOrigins ?? DEFAULT_MAX_ORIGINS;
    this.#connect = connectOptions(options);
    this.#route = options.route;
    this.#secure = buildConnector({ ...this.#connect, allowH2: false });
    this.#clientOptions = {
      allowH2: false,
      pipelining: 1,
      // The caller owns the deadline; 0 switches undici's own timers off.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
      connect: this.#connect,
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
    const exchange = new Exchange({ request, toError: (error) => toTransportError(error, request.url), onEnd: end });
    try {
      dispatcher.dispatch(
        {
          method: request.method as Dispatcher.HttpMethod,
          path: request.url.pathname + request.url.search,
          headers: request.headers,
          body: request.body ?? null,
          ...(request.stream === undefined ? {} : { bodyTimeout: request.stream.idleTimeoutMs }),
        },
        exchange,
      );
    } catch (error) {
      exchange.refuse(error);
    }
    return await exchange.head;
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
    return new Pool(origin, { ...this.#optionsFor(origin), connections: this.#connections });
  }

  /** Plain http is for this machine only and never goes through a proxy, which would read it. */
  #optionsFor(origin: string): Client.Options {
    if (this.#route === undefined || !origin.startsWith('https:')) return this.#clientOptions;
    const target = new URL(origin);
    const proxy = this.#route(target);
    if (proxy === undefined) return this.#clientOptions;
    const { timeout: stepTimeoutMs } = this.#connect;
    return { ...this.#clientOptions, connect: tunnelConnector({ proxy, target, secure: this.#secure, stepTimeoutMs }) };
  }

  #openStream(origin: string): Client {
    const client = new Client(origin, this.#optionsFor(origin));
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
