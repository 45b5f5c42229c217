// Promises: one way to the API server for client, informers, elector and recorder: authenticates, follows rotated tokens
// and certificate authorities, counts, and watches the server's clock. May not sleep or retry, except once after a 401
// with credentials that were read anew.
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import {
  type Transport,
  TransportError,
  type TransportRequest,
  type TransportResponse,
} from '../transport/transport.ts';
import type { HTTPProxy } from '../transport/proxy.ts';
import type { TLSMaterial } from '../transport/undici.ts';

/** What proves to the API server who we are, and to us who the API server is. */
export interface ServerCredentials {
  /** Value of the Authorization header; absent with client certificates. */
  readonly authorization?: string;
  readonly tls: TLSMaterial;
}

/** Where the API server is and where the credentials come from: in-cluster.ts, kubeconfig.ts, or a test. */
export interface ServerIdentity {
  /** May carry a path, as behind Rancher's proxy. */
  readonly server: URL;
  /** The proxy that the kubeconfig names for it. Like `server`, it is read at the start. */
  readonly proxy?: HTTPProxy;
  /**
   * Reads the credentials.
   * @param fresh nothing remembered may be used: the API server refused the last ones.
   * @throws ServerConfigError with one sentence that names the file or flag, and the fix.
   */
  read(fresh: boolean): Promise<ServerCredentials>;
}

/** The configuration does not lead to an API server. The message is one sentence that says what to change. */
export class ServerConfigError extends Error {
  override readonly name = 'ServerConfigError';
}

/** The API server as the rest of src/kube sees it. */
export interface ApiServer {
  readonly server: URL;
  /**
   * Like Transport.send, authenticated. Answers of every status come back as they are, with their Retry-After header.
   * @throws TransportError when no answer came; the signal's reason when it was aborted.
   */
  send(request: TransportRequest): Promise<TransportResponse>;
  /** Ends the connections, after what is in flight. */
  close(): Promise<void>;
}

/** What rest_client_requests_total and rest_client_request_duration_seconds are made of. */
export interface ApiServerMetrics {
  /**
   * One HTTP exchange, until the answer's head.
   * @param code the HTTP status, or `<error>` as client-go says when no answer came.
   */
  observeRequest(method: string, code: string, durationSeconds: number): void;
}

/** Told the server's clock with each answer; all in milliseconds since the epoch, the last two by the local clock. */
export type ServerDateObserver = (dateMs: number, sentAtMs: number, receivedAtMs: number) => void;

/** What connectApiServer needs. */
export interface ConnectionOptions {
  readonly identity: ServerIdentity;
  /** Opens connections with this TLS material; called again when it changes. */
  openTransport(tls: TLSMaterial): Transport;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics?: ApiServerMetrics;
  readonly onServerDate?: ServerDateObserver;
  /** User-Agent header, such as `workload-credentials/1.2.3`. */
  readonly userAgent: string;
}

/** client-go re-reads a token file at most this often (client-go/transport/token_source.go: 1 minute period). */
const REREAD_AFTER_MS = 60_000;
/** After a failed re-read, with older credentials still in hand. */
const REREAD_RETRY_MS = 10_000;
/** How much of a refused answer is read so that its connection can be used again. */
const MAX_DISCARD_BYTES = 65_536;

interface Current {
  readonly credentials: ServerCredentials;
  readonly transport: Transport;
}

class Connection implements ApiServer {
  readonly server: URL;
  readonly #options: ConnectionOptions;
  #current: Current;
  #rereadAtMs: number;
  #reading: { readonly done: Promise<void>; readonly fresh: boolean } | undefined;

  constructor(options: ConnectionOptions, first: ServerCredentials) {
    this.server = options.identity.server;
    this.#options = options;
    this.#current = { credentials: first, transport: options.openTransport(first.tls) };
    this.#rereadAtMs = options.clock.monotonicMs() + REREAD_AFTER_MS;
  }

  async send(request: TransportRequest): Promise<TransportResponse> {
    if (this.#options.clock.monotonicMs() >= this.#rereadAtMs) await this.#reread(false);
    const used = this.#current;
    const response = await this.#exchange(request, used);
    if (response.status !== 401) return response;
    // Another call may have read newer credentials while this one was on its way.
    if (this.#current === used) await this.#reread(true);
    request.signal.throwIfAborted();
    await discard(response);
    return this.#exchange(request, this.#current);
  }

  close(): Promise<void> {
    return this.#current.transport.close();
  }

  async #exchange(request: TransportRequest, current: Current): Promise<TransportResponse> {
    const { clock, metrics, userAgent } = this.#options;
    const { authorization } = current.credentials;
    const headers = {
      ...request.headers,
      'user-agent': userAgent,
      ...(authorization === undefined ? {} : { authorization }),
    };
    const startMs = clock.monotonicMs();
    const sentAtMs = clock.now();
    try {
      const response = await current.transport.send({ ...request, headers });
      metrics?.observeRequest(request.method, String(response.status), (clock.monotonicMs() - startMs) / 1000);
      this.#observeDate(response, sentAtMs);
      return response;
    } catch (error) {
      metrics?.observeRequest(request.method, '<error>', (clock.monotonicMs() - startMs) / 1000);
      // Perhaps the certificate authority was rotated: the next call reads it anew.
      if (error instanceof TransportError && error.kind === 'tls') this.#rereadAtMs = 0;
      throw error;
    }
  }

  #observeDate(response: TransportResponse, sentAtMs: number): void {
    const { date } = response.headers;
    // A gateway that fails in the server's place has a clock of its own.
    if (date === undefined || response.status >= 500 || this.#options.onServerDate === undefined) return;
    const dateMs = Date.parse(date);
    if (Number.isFinite(dateMs)) this.#options.onServerDate(dateMs, sentAtMs, this.#options.clock.now());
  }

  /** However many calls ask, one read is under way; who needs a fresh one does not make do with another. */
  async #reread(fresh: boolean): Promise<void> {
    while (this.#reading !== undefined) {
      const { done, fresh: enough } = this.#reading;
      await done;
      if (enough || !fresh) return;
    }
    const done = this.#readOnce(fresh).finally(() => {
      this.#reading = undefined;
    });
    this.#reading = { done, fresh };
    await done;
  }

  async #readOnce(fresh: boolean): Promise<void> {
    const { clock, identity, log } = this.#options;
    try {
      this.#use(await identity.read(fresh));
      this.#rereadAtMs = clock.monotonicMs() + REREAD_AFTER_MS;
    } catch (error) {
      // The credentials in hand may well be good for longer; when they are not, the API server says so.
      this.#rereadAtMs = clock.monotonicMs() + REREAD_RETRY_MS;
      const problem = error instanceof ServerConfigError ? error.message : 'unexpected failure';
      log.warn('the credentials for the API server could not be read again; the last ones stay in use', { problem });
    }
  }

  #use(credentials: ServerCredentials): void {
    const { transport, credentials: old } = this.#current;
    if (sameTLS(old.tls, credentials.tls)) {
      this.#current = { credentials, transport };
      return;
    }
    this.#current = { credentials, transport: this.#options.openTransport(credentials.tls) };
    this.#options.log.info('the TLS material for the API server changed; new connections use it');
    // Graceful: what is in flight ends by itself, watches within their time-out. Nobody waits for that.
    transport.close().catch(() => this.#options.log.debug('old connections to the API server did not close cleanly'));
  }
}

function sameTLS(left: TLSMaterial, right: TLSMaterial): boolean {
  return (
    left.ca === right.ca && left.cert === right.cert && left.key === right.key && left.servername === right.servername
  );
}

/** Reads what is left of an answer that nobody wants, so that its connection is free; a long one is given up. */
export async function discard(response: TransportResponse): Promise<void> {
  let length = 0;
  try {
    for await (const chunk of response.body) {
      length += chunk.byteLength;
      if (length > MAX_DISCARD_BYTES) return;
    }
  } catch {
    // Its status has been acted on already; how its body ended changes nothing.
  }
}

/** The host as an address bar shows it, IPv6 in brackets; plain http only where it cannot leave the machine. */
export function parseServer(text: string, where: string): URL {
  if (!URL.canParse(text)) {
    throw new ServerConfigError(`${where} is not a URL; write it as https://host:port`);
  }
  const url = new URL(text);
  const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(url.hostname);
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && loopback)) {
    throw new ServerConfigError(`${where} uses ${url.protocol}//, which would send tokens in the clear; use https://`);
  }
  if (url.username !== '' || url.password !== '') {
    throw new ServerConfigError(`${where} contains a user or password; move them to the user entry`);
  }
  url.pathname = url.pathname.replace(/\/+$/, '');
  url.search = '';
  url.hash = '';
  return url;
}

/**
 * Reads the credentials once and gives the API server.
 * @throws ServerConfigError when they cannot be read.
 */
export async function connectApiServer(options: ConnectionOptions): Promise<ApiServer> {
  return new Connection(options, await options.identity.read(false));
}
