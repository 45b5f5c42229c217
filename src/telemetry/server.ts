// Promises: the operator's inbound HTTP: /livez, /readyz and /metrics, nothing else. The one socket outside the Transport
// port. May not decide what is live or ready, keep connections open, or answer anything that was not asked of it.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

/** Undefined: good. A sentence: what is not. */
export type HealthCheck = () => string | undefined;

/** What the server is made of. */
export interface TelemetryServerOptions {
  /** `host:port` or `:port`; IPv6 in brackets; port 0 is chosen by the system. */
  readonly address: string;
  /** Whether the process works. A failing check restarts it. */
  readonly livez: HealthCheck;
  /** Whether the caches are synced. */
  readonly readyz: HealthCheck;
  /** The metrics in the Prometheus text format. */
  readonly metrics: () => Promise<string>;
}

/** A request's head and body must arrive within this; kubelet's probes and Prometheus take milliseconds. */
const REQUEST_TIMEOUT_MS = 5_000;
const MAX_CONNECTIONS = 64;
const PLAIN_TEXT = 'text/plain; charset=utf-8';
/** https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format */
const METRICS_TEXT = 'text/plain; version=0.0.4; charset=utf-8';

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** The server: once listen() and once close(). */
export class TelemetryServer {
  readonly #options: TelemetryServerOptions;
  readonly #server: Server;

  constructor(options: TelemetryServerOptions) {
    this.#options = options;
    this.#server = createServer({ keepAlive: false, requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
      void this.#serve(request, response);
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  /**
   * Starts listening.
   * @returns where: host and the real port.
   * @throws Error with one sentence that names --listen-address.
   */
  async listen(): Promise<{ readonly host: string; readonly port: number }> {
    const { address } = this.#options;
    const wanted = parseAddress(address);
    const listening = Promise.withResolvers<void>();
    this.#server.once('error', listening.reject);
    this.#server.listen(wanted, listening.resolve);
    try {
      await listening.promise;
    } catch (error) {
      throw new Error(`--listen-address ${address}: ${whyNot(error)}.`);
    }
    this.#server.removeListener('error', listening.reject);
    // Such as no file descriptor left for one more connection: that connection is lost, the server is not.
    this.#server.on('error', () => undefined);
    const bound = this.#server.address();
    return typeof bound === 'object' && bound !== null
      ? { host: bound.address, port: bound.port }
      : { host: '', port: 0 };
  }

  /** Stops listening and ends every connection. */
  async close(): Promise<void> {
    if (!this.#server.listening) {
      return;
    }
    const closed = Promise.withResolvers<void>();
    this.#server.close(() => closed.resolve());
    this.#server.closeAllConnections();
    await closed.promise;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // What a client sends with its GET is of no interest, and a broken one is no event of ours.
    request.resume();
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    const answer = await this.#answer(request);
    response.writeHead(answer.status, {
      'content-type': answer.type,
      'content-length': Buffer.byteLength(answer.body),
      connection: 'close',
      'x-content-type-options': 'nosniff',
      ...(answer.status === 405 ? { allow: 'GET, HEAD' } : {}),
    });
    response.end(request.method === 'HEAD' ? '' : answer.body);
  }

  async #answer(request: IncomingMessage): Promise<Answer> {
    const path = (request.url ?? '').split('?', 1)[0];
    if (path !== '/livez' && path !== '/readyz' && path !== '/metrics') {
      return { status: 404, type: PLAIN_TEXT, body: 'not found: there are /livez, /readyz and /metrics\n' };
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return { status: 405, type: PLAIN_TEXT, body: 'only GET\n' };
    }
    try {
      return path === '/metrics'
        ? { status: 200, type: METRICS_TEXT, body: await this.#options.metrics() }
        : health(this.#options[path === '/livez' ? 'livez' : 'readyz']());
    } catch {
      // The error may quote anything; who looks at a probe gets none of it.
      return { status: 500, type: PLAIN_TEXT, body: 'failed\n' };
    }
  }
}

function health(problem: string | undefined): Answer {
  return problem === undefined
    ? { status: 200, type: PLAIN_TEXT, body: 'ok\n' }
    : { status: 503, type: PLAIN_TEXT, body: `${problem}\n` };
}

/** `host:port`, `:port` (all addresses) or `[IPv6]:port`. */
const ADDRESS = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]*):([0-9]{1,5})$/;

/**
 * Reads --listen-address. Without a host: all addresses, of IPv6 and IPv4 as far as the machine has them.
 * @throws Error with one sentence that names the flag.
 */
export function parseAddress(address: string): { readonly host?: string; readonly port: number } {
  const [, host = '', digits = ''] = ADDRESS.exec(address) ?? [];
  const port = Number(digits);
  if (digits === '' || port > 65_535) {
    throw new Error(
      `--listen-address ${JSON.stringify(address.slice(0, 100))} is no address: write host:port or :port, such as :8080.`,
    );
  }
  return host === '' ? { port } : { host: host.replace(/^\[|\]$/g, ''), port };
}

function whyNot(error: unknown): string {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown';
  switch (code) {
    case 'EADDRINUSE':
      return 'something else listens there (EADDRINUSE); stop it or choose another port';
    case 'EACCES':
      return 'this user may not listen there (EACCES); choose a port above 1023';
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `this machine has no such address (${code}); choose one that it has, or leave the host out`;
    default:
      return `it cannot be listened on (${code})`;
  }
}
