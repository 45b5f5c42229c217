// Promises: a thin shell that puts a handler on a loopback socket, with TLS when a key pair is given. It decides nothing:
// what is answered, cut or kept silent is the handler's. Never listens on anything but 127.0.0.1.
import { createServer as createHTTPServer } from 'node:http';
import { createServer as createHTTPSServer } from 'node:https';
import type { IncomingMessage, ServerResponse as NodeResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Handler, ServerRequest } from './http.ts';

/** A body longer than this is refused by cutting the connection; the real API server's limit is 3 MiB. */
const MAX_BODY_BYTES = 4 << 20;

/** A running listener. */
export interface Listener {
  readonly url: URL;
  /** Ends every connection, also those in the middle of an answer. */
  close(): Promise<void>;
}

/** Where and how to listen. */
export interface ListenOptions {
  readonly handler: Handler;
  readonly tls?: { readonly certificatePEM: string; readonly privateKeyPEM: string };
  /** 0, the default, lets the system choose. */
  readonly port?: number;
}

/** Starts a listener on 127.0.0.1. */
export async function listen({ handler, tls, port = 0 }: ListenOptions): Promise<Listener> {
  const onRequest = (message: IncomingMessage, response: NodeResponse): void => {
    answer(handler, message, response).catch(() => response.destroy());
  };
  const server =
    tls === undefined
      ? createHTTPServer(onRequest)
      : createHTTPSServer({ cert: tls.certificatePEM, key: tls.privateKeyPEM, minVersion: 'TLSv1.2' }, onRequest);
  // A node:http server would close a kept-alive connection after 5 s and cut a watch after 5 minutes.
  server.keepAliveTimeout = 0;
  server.requestTimeout = 0;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const address = server.address() as AddressInfo;
  return {
    url: new URL(`${tls === undefined ? 'http' : 'https'}://127.0.0.1:${address.port}`),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function readRequest(message: IncomingMessage, signal: AbortSignal): Promise<ServerRequest> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of message as AsyncIterable<Uint8Array>) {
    length += chunk.byteLength;
    if (length > MAX_BODY_BYTES) throw new Error('the body is too long');
    chunks.push(chunk);
  }
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(message.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return { method: message.method ?? 'GET', target: message.url ?? '/', headers, body: Buffer.concat(chunks), signal };
}

async function answer(handler: Handler, message: IncomingMessage, response: NodeResponse): Promise<void> {
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  const outcome = await handler(await readRequest(message, gone.signal));
  if (gone.signal.aborted) return;
  if ('reset' in outcome) {
    reset(message.socket);
    return;
  }
  response.writeHead(outcome.status, outcome.headers);
  if (typeof outcome.body === 'string') {
    response.end(outcome.body);
    return;
  }
  response.flushHeaders();
  for await (const chunk of outcome.body) {
    if (gone.signal.aborted) return;
    if (!response.write(chunk)) await drained(response);
  }
  response.end();
}

function drained(response: NodeResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.once('drain', done);
    response.once('close', done);
  });
}

/** Ends a connection with RST where the system allows it: under TLS the socket below is not ours to reset. */
function reset(socket: Socket): void {
  socket.destroy();
}
