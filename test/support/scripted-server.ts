// Promises: a loopback HTTP(S) server whose every answer a test writes itself: streams that stop in the middle of a line,
// sockets that break, TLS that does not fit. No behaviour of its own; what the API server does is sandbox/'s business.
import { webcrypto } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import '../../sandbox/reflect-metadata.ts';
import * as x509 from '@peculiar/x509';
import type { Log, LogFields } from '../../src/runtime/log.ts';

/** A certificate authority with one server and one client certificate; PEM. */
export interface TestCertificates {
  readonly ca: string;
  readonly server: { readonly cert: string; readonly key: string };
  readonly client: { readonly cert: string; readonly key: string };
}

const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const SIGNING = { name: 'ECDSA', hash: 'SHA-256' };
const notBefore = new Date('2020-01-01T00:00:00Z');
const notAfter = new Date('2100-01-01T00:00:00Z');

async function keyPair(): Promise<{ keys: webcrypto.CryptoKeyPair; pem: string }> {
  const keys = (await webcrypto.subtle.generateKey(EC, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
  const der = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return { keys, pem: x509.PemConverter.encode(der, 'PRIVATE KEY') };
}

/** Makes certificates; the server's is for `names` (IP addresses or DNS names, default 127.0.0.1). */
export async function makeCertificates(...names: string[]): Promise<TestCertificates> {
  x509.cryptoProvider.set(webcrypto);
  const authority = await keyPair();
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: 'CN=test authority',
    notBefore,
    notAfter,
    keys: authority.keys,
    signingAlgorithm: SIGNING,
    extensions: [new x509.BasicConstraintsExtension(true, 1, true)],
  });
  const issue = async (serialNumber: string, subject: string, extensions: x509.Extension[]) => {
    const own = await keyPair();
    const publicKey = own.keys.publicKey;
    const signingKey = authority.keys.privateKey;
    const common = { serialNumber, subject, issuer: ca.subject, notBefore, notAfter, publicKey, signingKey };
    const made = await x509.X509CertificateGenerator.create({ ...common, signingAlgorithm: SIGNING, extensions });
    return { cert: made.toString('pem'), key: own.pem };
  };
  const alternatives = (names.length === 0 ? ['127.0.0.1'] : names).map((value) => ({
    type: /^[\d.]+$/.test(value) ? ('ip' as const) : ('dns' as const),
    value,
  }));
  return {
    ca: ca.toString('pem'),
    server: await issue('02', 'CN=test server', [new x509.SubjectAlternativeNameExtension(alternatives)]),
    client: await issue('03', 'CN=test client', []),
  };
}

/** One request as it came. */
export interface ScriptedRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  /** Which connection it came on, counted from 1. */
  readonly connection: number;
  /** Common name of the client certificate. */
  readonly clientName: string | undefined;
}

/** How a test answers. */
export interface ScriptedAnswer {
  json(status: number, body: unknown, headers?: Readonly<Record<string, string>>): void;
  /** Sends the head of a 200 that goes on. */
  stream(): ScriptedStream;
  /** Breaks the connection. */
  reset(): void;
  readonly raw: ServerResponse;
}

/** A body in the making. */
export interface ScriptedStream {
  write(bytes: string | Uint8Array): void;
  /** One JSON line. */
  event(type: string, object: unknown): void;
  end(): void;
  reset(): void;
  /** Whether the connection is gone. */
  readonly closed: boolean;
}

export type ScriptedHandler = (request: ScriptedRequest, answer: ScriptedAnswer) => void | Promise<void>;

/** A running server. */
export interface ScriptedServer {
  readonly url: URL;
  readonly requests: ScriptedRequest[];
  readonly openConnections: number;
  readonly connections: number;
  close(): Promise<void>;
}

function answerFor(raw: ServerResponse): ScriptedAnswer {
  return {
    raw,
    json(status, body, headers = {}) {
      raw.writeHead(status, { 'content-type': 'application/json', ...headers });
      raw.end(JSON.stringify(body));
    },
    reset: () => void raw.socket?.resetAndDestroy(),
    stream() {
      raw.writeHead(200, { 'content-type': 'application/json' });
      raw.flushHeaders();
      let closed = false;
      raw.on('close', () => {
        closed = true;
      });
      return {
        write: (bytes) => void raw.write(bytes),
        event: (type, object) => void raw.write(`${JSON.stringify({ type, object })}\n`),
        end: () => void raw.end(),
        reset: () => void raw.socket?.resetAndDestroy(),
        get closed() {
          return closed;
        },
      };
    },
  };
}

async function readText(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

/** Starts a server on 127.0.0.1 and a free port; with `certificates` it speaks TLS. */
export async function startScriptedServer(
  handler: ScriptedHandler,
  certificates?: TestCertificates,
): Promise<ScriptedServer> {
  const requests: ScriptedRequest[] = [];
  const numbers = new Map<Socket, number>();
  let connections = 0;
  const onRequest = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await readText(message);
    const url = new URL(message.url ?? '/', 'http://server');
    const peer = 'getPeerCertificate' in message.socket ? (message.socket as never as PeerSocket) : undefined;
    const request = {
      method: message.method ?? '',
      path: url.pathname,
      query: url.searchParams,
      headers: message.headers,
      body,
      connection: numbers.get(message.socket) ?? 0,
      clientName: peer?.getPeerCertificate().subject?.CN,
    };
    requests.push(request);
    await handler(request, answerFor(response));
  };
  const listener = (message: IncomingMessage, response: ServerResponse): void => {
    onRequest(message, response).catch(() => response.destroy());
  };
  const secure = certificates && { ...certificates.server, ca: certificates.ca, requestCert: true };
  const server = secure
    ? createSecureServer({ ...secure, rejectUnauthorized: false }, listener)
    : createServer(listener);
  server.on(secure ? 'secureConnection' : 'connection', (socket: Socket) => {
    connections += 1;
    numbers.set(socket, connections);
    socket.on('error', () => {});
    socket.on('close', () => numbers.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: new URL(`${secure ? 'https' : 'http'}://127.0.0.1:${port}`),
    requests,
    get openConnections() {
      return numbers.size;
    },
    get connections() {
      return connections;
    },
    async close() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

interface PeerSocket {
  getPeerCertificate(): { subject?: { CN?: string } };
}

/** Waits, turn by turn of the event loop, until `done()` holds; for what sockets do, which no fake clock moves. */
export async function until(done: () => boolean, what = 'the condition'): Promise<void> {
  const limit = performance.now() + 10_000;
  while (!done()) {
    if (performance.now() > limit) throw new Error(`${what} did not come true`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** A Log that keeps its lines. */
export interface CapturedLog extends Log {
  readonly lines: { readonly level: string; readonly message: string; readonly fields: LogFields }[];
}

export function captureLog(): CapturedLog {
  const lines: CapturedLog['lines'] = [];
  const at =
    (level: string) =>
    (message: string, fields: LogFields = {}): void =>
      void lines.push({ level, message, fields });
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
