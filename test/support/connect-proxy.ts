// Promises: an HTTP proxy on loopback that knows CONNECT and nothing else, does what a test tells it, and remembers who asked
// for what and what the client sent. Names lead to loopback ports that the test lists, so that a server behind them can
// be reached through the proxy only. What it keeps stays in this process's memory.
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

/** One CONNECT. */
export interface Connect {
  /** `host:port`, as the client asked. */
  readonly target: string;
  /** The request's header lines, lower-case names. */
  readonly headers: IncomingMessage['headers'];
}

/** What becomes of a CONNECT: a tunnel; a status; no answer ever; a connection that is closed; these bytes. */
export type Decision = 'tunnel' | 'hang' | 'close' | { readonly status: number } | { readonly bytes: string };

/** A running proxy. */
export interface ConnectProxy {
  readonly url: URL;
  readonly host: string;
  readonly connects: readonly Connect[];
  /** `METHOD target` of requests that are no CONNECT: there should be none. */
  readonly strays: readonly string[];
  /** Connections that clients hold open. */
  readonly open: number;
  /** What clients sent after CONNECT. */
  sent(): Buffer;
  close(): Promise<void>;
}

/** How to start. */
export interface ConnectProxyOptions {
  /** `host:port` of a target -> the loopback port behind it; others are answered with 502. */
  readonly ports: Readonly<Record<string, number>>;
  readonly decide?: (connect: Connect) => Decision;
  /** The only credentials that are let through, as `user:password`; others are answered with 407. */
  readonly credentials?: string;
}

const ESTABLISHED = 'HTTP/1.1 200 Connection established\r\n\r\n';

function answer(socket: Socket, status: number): void {
  socket.end(`HTTP/1.1 ${status} No\r\nproxy-authenticate: Basic realm="bed"\r\ncontent-length: 4\r\n\r\nno\r\n`);
}

class Relay {
  readonly sent: Buffer[] = [];
  readonly sockets = new Set<Socket>();
  readonly #options: ConnectProxyOptions;

  constructor(options: ConnectProxyOptions) {
    this.#options = options;
  }

  serve(asked: Connect, client: Socket): void {
    const decision = this.#decide(asked);
    if (decision === 'hang') return;
    if (decision === 'close') client.destroy();
    else if (decision === 'tunnel') this.#tunnel(asked.target, client);
    else if ('status' in decision) answer(client, decision.status);
    else client.write(decision.bytes);
  }

  #decide(asked: Connect): Decision {
    const { credentials, decide } = this.#options;
    const expected = credentials === undefined ? undefined : `Basic ${Buffer.from(credentials).toString('base64')}`;
    if (expected !== undefined && asked.headers['proxy-authorization'] !== expected) return { status: 407 };
    return decide?.(asked) ?? 'tunnel';
  }

  #tunnel(target: string, client: Socket): void {
    const port = this.#options.ports[target];
    if (port === undefined) return answer(client, 502);
    const upstream = connect(port, '127.0.0.1', () => {
      client.write(ESTABLISHED);
      client.on('data', (chunk: Buffer) => this.sent.push(chunk));
      client.pipe(upstream).pipe(client);
    });
    this.sockets.add(upstream);
    upstream.on('error', () => client.destroy());
    upstream.once('close', () => {
      this.sockets.delete(upstream);
      client.destroy();
    });
    client.once('close', () => upstream.destroy());
  }
}

/** Starts one on a port that the system chooses. */
export async function startConnectProxy(options: ConnectProxyOptions): Promise<ConnectProxy> {
  const connects: Connect[] = [];
  const strays: string[] = [];
  const clients = new Set<Socket>();
  const relay = new Relay(options);
  const server = createServer((request, response) => {
    strays.push(`${request.method ?? ''} ${request.url ?? ''}`);
    response.writeHead(400).end();
  });
  server.on('connection', (socket) => {
    clients.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('close', () => clients.delete(socket));
  });
  server.on('connect', (request: IncomingMessage, socket: Socket) => {
    const asked = { target: request.url ?? '', headers: request.headers };
    connects.push(asked);
    // Read, so that it is seen when the client goes away.
    socket.resume().once('end', () => socket.destroy());
    relay.serve(asked, socket);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: new URL(`http://${host}/`),
    host,
    connects,
    strays,
    get open() {
      return clients.size;
    },
    sent: () => Buffer.concat(relay.sent),
    close: async () => {
      for (const socket of [...clients, ...relay.sockets]) socket.destroy();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}
