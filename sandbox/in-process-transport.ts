// Promises: the Transport port straight onto handlers, by origin, without a socket: for the simulation, which owns time. An
// origin that is not listed is a failed connection. The idle timeout of streams is not watched here.
import { TransportError } from '../src/transport/transport.ts';
import type { Transport, TransportRequest, TransportResponse } from '../src/transport/transport.ts';
import type { Handler } from './http.ts';

function bytes(body: TransportRequest['body']): Uint8Array {
  if (body === undefined) return new Uint8Array();
  return typeof body === 'string' ? Buffer.from(body) : body;
}

async function* encoded(body: string | AsyncIterable<string>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for await (const chunk of typeof body === 'string' ? [body] : body) {
    signal.throwIfAborted();
    if (chunk !== '') yield Buffer.from(chunk);
  }
  signal.throwIfAborted();
}

/** @param handlers by origin, such as `https://127.0.0.1:6443` */
export function inProcessTransport(handlers: ReadonlyMap<string, Handler>): Transport {
  return {
    async send(request): Promise<TransportResponse> {
      const { method, url, headers, signal } = request;
      signal.throwIfAborted();
      const handler = handlers.get(url.origin);
      if (handler === undefined) throw new TransportError('connect', 'ECONNREFUSED', `cannot connect to ${url.host}`);
      const target = `${url.pathname}${url.search}`;
      const outcome = await handler({ method, target, headers, body: bytes(request.body), signal });
      signal.throwIfAborted();
      if ('reset' in outcome) throw new TransportError('reset', 'ECONNRESET', `${url.host} cut the connection`);
      return { status: outcome.status, headers: outcome.headers, body: encoded(outcome.body, signal) };
    },
    close: () => Promise.resolve(),
  };
}
