// Promises: proxies that stand between the operator and its two servers, count what passes and can answer, lose or stop
// it, so that tests need no hook in src. They change nothing that they pass on. Loopback only; what they keep of bodies
// stays in this process's memory and is there for the secret scan alone.
import { once } from 'node:events';
import { Agent as HTTPAgent, createServer as createHTTPServer, request as requestHTTP } from 'node:http';
import type { IncomingMessage, OutgoingHttpHeaders, Server, ServerResponse } from 'node:http';
import { Agent as HTTPSAgent, createServer as createHTTPSServer, request as requestHTTPS } from 'node:https';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createAuthority } from '../../sandbox/certificates.ts';

/** A request that has arrived whole. */
export interface Seen {
  readonly method: string;
  /** Path with query. */
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

/** An answer that the proxy gives itself. */
export interface OwnAnswer {
  readonly status: number;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string;
}

/**
 * What becomes of a request: passed on; lost before the server sees it; seen by the server but its answer lost; never
 * answered; answered here; answered here piece by piece; passed on after a while; passed on with the answer's body rewritten.
 */
export type Action =
  | 'forward'
  | 'loseRequest'
  | 'loseAnswer'
  | 'hang'
  | { readonly answer: OwnAnswer }
  | { readonly drip: { readonly totalBytes: number; readonly chunkBytes: number } }
  | { readonly delayMs: number }
  | { readonly rewrite: (body: string) => string };

/** One call, as the proxy saw it. Times are wall-clock milliseconds. */
export interface Call {
  readonly method: string;
  readonly path: string;
  readonly receivedAtMs: number;
  /** Undefined as long as there is none; 0 when the connection was dropped instead. */
  status: number | undefined;
  endedAtMs: number | undefined;
  /** Whether the server behind has seen it. */
  forwarded: boolean;
}

interface Handlers {
  decide(seen: Seen, call: Call): Action | Promise<Action>;
  /** Told the whole body of an answer that was passed on; without it bodies are not kept. */
  onAnswer?(seen: Seen, body: Buffer): void;
}

interface Target {
  readonly url: URL;
  /** For https: the authority to trust. */
  readonly caPEM?: string;
}

/** A request that is larger is a mistake of the test: the largest real one is a Secret of 1 MiB. */
const LARGEST_REQUEST_BYTES = 16 << 20;
/** Headers that belong to one connection. RFC 9110, section 7.6.1. */
const CONNECTION_HEADERS = ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'te'];

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > LARGEST_REQUEST_BYTES) throw new Error(`a request of more than ${LARGEST_REQUEST_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function withoutConnectionHeaders(headers: IncomingMessage['headers']): OutgoingHttpHeaders {
  const kept = Object.entries(headers).filter(([name]) => !CONNECTION_HEADERS.includes(name));
  return Object.fromEntries(kept);
}

/** Passes a request on and answers with what comes back, as it comes: a watch is a body that does not end. */
class Forwarder {
  readonly #target: Target;
  readonly #agent: HTTPAgent;

  constructor(target: Target) {
    this.#target = target;
    this.#agent =
      target.url.protocol === 'https:' ? new HTTPSAgent({ keepAlive: true }) : new HTTPAgent({ keepAlive: true });
  }

  /** Resolves with the answer's head. The request is abandoned when `client` goes away. */
  async send(seen: Seen, client: ServerResponse): Promise<IncomingMessage> {
    const { url, caPEM } = this.#target;
    const headers = { ...withoutConnectionHeaders(seen.headers), 'content-length': seen.body.length };
    const options = {
      agent: this.#agent,
      host: url.hostname,
      port: url.port,
      method: seen.method,
      path: seen.path,
      headers: seen.body.length === 0 && seen.method === 'GET' ? withoutConnectionHeaders(seen.headers) : headers,
    };
    const secure = url.protocol === 'https:';
    const outgoing = secure
      ? requestHTTPS({ ...options, ...(caPEM === undefined ? {} : { ca: caPEM }) })
      : requestHTTP(options);
    client.once('close', () => outgoing.destroy());
    return await new Promise((resolve, reject) => {
      outgoing.once('error', reject);
      outgoing.once('response', resolve);
      outgoing.end(seen.body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** Waits until the reader has taken it or has gone, and leaves no listener behind. */
async function writeChunk(response: ServerResponse, chunk: Buffer): Promise<void> {
  if (response.write(chunk) || response.destroyed) return;
  await new Promise<void>((resolve) => {
    const go = (): void => {
      response.off('drain', go).off('close', go);
      resolve();
    };
    response.on('drain', go).on('close', go);
  });
}

/** Returns the body, except that of a watch, which may never end and grows. */
async function pipeAnswer(seen: Seen, answer: IncomingMessage, response: ServerResponse): Promise<Buffer> {
  const chunks: Buffer[] = [];
  response.writeHead(answer.statusCode ?? 502, answer.statusMessage, withoutConnectionHeaders(answer.headers));
  response.flushHeaders();
  const watching = /[?&]watch=(true|1)/.test(seen.path);
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    if (!watching) chunks.push(chunk);
    await writeChunk(response, chunk);
  }
  response.end();
  return Buffer.concat(chunks);
}

async function rewriteAnswer(
  answer: IncomingMessage,
  response: ServerResponse,
  rewrite: (body: string) => string,
): Promise<void> {
  const body = rewrite((await readBody(answer)).toString());
  const { 'content-length': _length, ...headers } = withoutConnectionHeaders(answer.headers);
  response.writeHead(answer.statusCode ?? 502, headers).end(body);
}

async function drip(
  response: ServerResponse,
  { totalBytes, chunkBytes }: { totalBytes: number; chunkBytes: number },
): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/xml' });
  const chunk = Buffer.alloc(chunkBytes, 'x');
  for (let sent = 0; sent < totalBytes && !response.destroyed; sent += chunkBytes) {
    await writeChunk(response, chunk);
  }
  response.end();
}

/** Decides about each request, carries it out, keeps the record. */
class Proxy {
  readonly calls: Call[] = [];
  readonly #handlers: Handlers;
  readonly #forwarder: Forwarder;

  constructor(target: Target, handlers: Handlers) {
    this.#forwarder = new Forwarder(target);
    this.#handlers = handlers;
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    const call: Call = {
      method: request.method ?? '',
      path: request.url ?? '',
      receivedAtMs: Date.now(),
      status: undefined,
      endedAtMs: undefined,
      forwarded: false,
    };
    this.calls.push(call);
    response.once('close', () => {
      call.endedAtMs = Date.now();
      call.status ??= response.headersSent ? response.statusCode : 0;
    });
    this.#carryOut(request, response, call).catch(() => {
      // The server behind is gone or the client is: both look like a broken connection from here.
      response.destroy();
    });
  }

  async #carryOut(request: IncomingMessage, response: ServerResponse, call: Call): Promise<void> {
    const seen: Seen = {
      method: call.method,
      path: call.path,
      headers: request.headers,
      body: await readBody(request),
    };
    const action = await this.#handlers.decide(seen, call);
    if (action === 'hang') return;
    if (action === 'loseRequest') {
      response.destroy();
      return;
    }
    if (typeof action === 'object' && 'answer' in action) {
      const { status, headers, body } = action.answer;
      response.writeHead(status, headers).end(body);
      return;
    }
    if (typeof action === 'object' && 'drip' in action) {
      await drip(response, action.drip);
      return;
    }
    if (typeof action === 'object' && 'delayMs' in action) {
      await sleep(action.delayMs, undefined, { ref: false });
      // Who has given up waiting gets nothing, and the server behind does not hear of it.
      if (!response.destroyed) await this.#forward(seen, response, { call, action: 'forward' });
      return;
    }
    await this.#forward(seen, response, { call, action });
  }

  async #forward(
    seen: Seen,
    response: ServerResponse,
    { call, action }: { call: Call; action: 'forward' | 'loseAnswer' | { rewrite: (body: string) => string } },
  ): Promise<void> {
    call.forwarded = true;
    const answer = await this.#forwarder.send(seen, response);
    if (typeof action === 'object') {
      call.status = answer.statusCode;
      await rewriteAnswer(answer, response, action.rewrite);
      return;
    }
    if (action === 'forward') call.status = answer.statusCode;
    const body = action === 'forward' ? await pipeAnswer(seen, answer, response) : await readBody(answer);
    this.#handlers.onAnswer?.(seen, body);
    if (action === 'loseAnswer') response.destroy();
  }

  close(): void {
    this.#forwarder.close();
  }
}

async function listen(server: Server, address = '127.0.0.1', wanted = 0): Promise<number> {
  server.listen(wanted, address);
  await once(server, 'listening');
  server.unref();
  return (server.address() as AddressInfo).port;
}

async function close(server: Server, proxy: Proxy): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  proxy.close();
  await closed;
}

/** A token that was brought, and what was given for it. */
export interface Exchange {
  readonly token: string;
  readonly receivedAtMs: number;
  /** Undefined as long as nothing was given, and where the answer was a refusal. */
  accessKeyID: string | undefined;
}

/** The proxy in front of STS. */
export interface STSProxy {
  /** `http://127.0.0.1:PORT`, or what its front says. */
  readonly url: string;
  readonly calls: readonly Call[];
  /** From now on every call (or the next `times` calls) meets this. */
  fail(action: Action, times?: number): void;
  /** Passes everything on again. */
  heal(): void;
  /** Every token that was sent and every secret key and session token that STS answered with: for the secret scan. */
  secrets(): string[];
  /** Each call that brought a token, in the order in which they came. */
  readonly exchanges: readonly Exchange[];
  stop(): Promise<void>;
}

/** Ways in which an STS fails or lies, by name. */
export const STS_FAULTS = {
  emptyAnswer: { answer: { status: 200 } },
  html: {
    answer: { status: 200, headers: { 'content-type': 'text/html' }, body: '<html><body>Sign in</body></html>' },
  },
  unavailable: { answer: { status: 503, body: 'Service Unavailable' } },
  throttled: {
    answer: {
      status: 400,
      headers: { 'content-type': 'text/xml' },
      body: '<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message></Error><RequestId>bed</RequestId></ErrorResponse>',
    },
  },
  redirect: { answer: { status: 307, headers: { location: 'http://127.0.0.1:9/stolen' } } },
  fiftyMegabytes: { drip: { totalBytes: 50_000_000, chunkBytes: 65_536 } },
  pastExpiration: {
    rewrite: (body) => body.replace(/<Expiration>[^<]*</, '<Expiration>2020-01-01T00:00:00Z<'),
  },
  expiredToken: {
    answer: {
      status: 400,
      headers: { 'content-type': 'text/xml' },
      body: '<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredTokenException</Code><Message>Token expired</Message></Error><RequestId>bed</RequestId></ErrorResponse>',
    },
  },
  slow: { delayMs: 8_000 },
  hang: 'hang',
  reset: 'loseRequest',
  lostAnswer: 'loseAnswer',
} as const satisfies Record<string, Action>;

const SECRET_ELEMENTS = /<(?:SecretAccessKey|SessionToken)>([^<]+)</g;

/** Where a proxy listens, when pods are to reach it. */
export interface TLSFront {
  readonly address: string;
  /** Default one that the system chooses; another is for a network of the test's own. */
  readonly port?: number;
  readonly certificatePEM: string;
  readonly privateKeyPEM: string;
}

/**
 * Starts a proxy in front of an STS: plain HTTP on loopback unless it is given a front. The Host header is passed on as it came:
 * signatures cover it.
 */
export async function startSTSProxy(targetURL: string, front?: TLSFront): Promise<STSProxy> {
  let fault: Action = 'forward';
  let remaining = 0;
  const secrets = new Set<string>();
  const exchanges: Exchange[] = [];
  const exchangeOf = new WeakMap<Seen, Exchange>();
  const proxy = new Proxy(
    { url: new URL(targetURL) },
    {
      decide: (seen, { receivedAtMs }) => {
        const token = new URLSearchParams(seen.body.toString()).get('WebIdentityToken');
        if (token !== null) {
          secrets.add(token);
          const exchange = { token, receivedAtMs, accessKeyID: undefined };
          exchanges.push(exchange);
          exchangeOf.set(seen, exchange);
        }
        if (remaining <= 0) return 'forward';
        remaining--;
        return fault;
      },
      onAnswer: (seen, body) => {
        const answer = body.toString();
        for (const [, secret = ''] of answer.matchAll(SECRET_ELEMENTS)) secrets.add(secret);
        const exchange = exchangeOf.get(seen);
        if (exchange !== undefined) exchange.accessKeyID = /<AccessKeyId>([^<]+)</.exec(answer)?.[1];
      },
    },
  );
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    proxy.handle(request, response);
  };
  const server =
    front === undefined
      ? createHTTPServer(handle)
      : createHTTPSServer({ cert: front.certificatePEM, key: front.privateKeyPEM }, handle);
  const port = await listen(server, front?.address, front?.port);
  return {
    url: front === undefined ? `http://127.0.0.1:${port}` : `https://${front.address}:${port}`,
    calls: proxy.calls,
    fail: (action, times = Number.POSITIVE_INFINITY) => {
      fault = action;
      remaining = times;
    },
    heal: () => {
      remaining = 0;
    },
    secrets: () => [...secrets],
    exchanges,
    stop: async () => {
      await close(server, proxy);
    },
  };
}

/** Which requests a hook is for. */
export interface Match {
  readonly method?: string;
  /** Tested on path with query. */
  readonly path: RegExp;
}

/** The proxy in front of the API server. */
export interface APIProxy {
  /** `https://127.0.0.1:PORT`. */
  readonly url: string;
  /** The authority that a kubeconfig must trust. */
  readonly caPEM: string;
  readonly calls: readonly Call[];
  /**
   * From now on `decide` is asked about matching requests, the latest hook first; it may do something else before it
   * answers, such as ending the operator. Returns a function that takes the hook away.
   */
  onRequest(match: Match, decide: (seen: Seen) => Action | Promise<Action>): () => void;
  stop(): Promise<void>;
}

/** Starts a TLS-terminating proxy in front of an API server. Bearer tokens are passed on; client certificates cannot be. */
export async function startAPIProxy(target: { server: string; caPEM: string }): Promise<APIProxy> {
  const authority = await createAuthority('intercepting-proxy-ca');
  const names = { ips: ['127.0.0.1'], dns: ['localhost'] };
  const serving = await authority.issueServer({ commonName: 'intercepting-proxy' }, names);
  const hooks: { match: Match; decide: (seen: Seen) => Action | Promise<Action> }[] = [];
  const proxy = new Proxy(
    { url: new URL(target.server), caPEM: target.caPEM },
    {
      decide: async (seen) => {
        const hook = hooks.findLast(
          ({ match }) => (match.method === undefined || match.method === seen.method) && match.path.test(seen.path),
        );
        return hook === undefined ? 'forward' : await hook.decide(seen);
      },
    },
  );
  const server = createHTTPSServer(
    { cert: serving.certificatePEM, key: serving.privateKeyPEM },
    (request, response) => {
      proxy.handle(request, response);
    },
  );
  const port = await listen(server);
  return {
    url: `https://127.0.0.1:${port}`,
    caPEM: authority.certificatePEM,
    calls: proxy.calls,
    onRequest: (match, decide) => {
      const hook = { match, decide };
      hooks.push(hook);
      return () => {
        const index = hooks.indexOf(hook);
        if (index >= 0) hooks.splice(index, 1);
      };
    },
    stop: async () => {
      await close(server, proxy);
    },
  };
}
