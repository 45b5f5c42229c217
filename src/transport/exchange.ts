// Promises: one HTTP exchange as undici's dispatch() tells it, turned into a TransportResponse: the head as a promise, the
// body as chunks with back-pressure. It stands where undici's request() would put a Node stream and its iterator, which
// cost more than all else of a short call. May not retry, or give an error that is not in our words.
import type { Dispatcher } from 'undici';
import type { IncomingHttpHeaders } from 'node:http';
import type { TransportError, TransportRequest, TransportResponse } from './transport.ts';

/** What an exchange is made of. */
export interface ExchangeOptions {
  readonly request: TransportRequest;
  /** undici's error in our words. */
  readonly toError: (error: unknown) => TransportError;
  /** Called once, when nothing more will come. */
  readonly onEnd: () => void;
}

/** As much is kept for a reader who is not there yet before the connection is paused: a stream's usual high-water mark. */
const HIGH_WATER_BYTES = 64 * 1024;

/** Why a connection ends whose reader has left; nobody sees it. */
const READER_LEFT = new Error('the reader left');

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

type Next = PromiseWithResolvers<IteratorResult<Uint8Array, undefined>>;

/** One exchange. Handed to dispatch(), which calls the `on...` methods; the caller awaits `head`. */
export class Exchange implements Dispatcher.DispatchHandler, AsyncIterableIterator<Uint8Array, undefined> {
  readonly #options: ExchangeOptions;
  readonly #head = Promise.withResolvers<TransportResponse>();
  readonly #chunks: Uint8Array[] = [];
  readonly #onAbort = (): void => this.#fail(this.#options.request.signal.reason);
  #bufferedBytes = 0;
  #controller: Dispatcher.DispatchController | undefined;
  #reader: Next | undefined;
  #ended = false;
  #failure: { readonly reason: unknown } | undefined;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    options.request.signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** The head of the answer; rejects with a TransportError or the signal's reason. */
  get head(): Promise<TransportResponse> {
    return this.#head.promise;
  }

  /** undici could not even begin. */
  refuse(error: unknown): void {
    this.#fail(this.#options.toError(error));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#failure !== undefined) {
      controller.abort(READER_LEFT);
    }
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status >= 200) {
      this.#head.resolve({ status, headers: flatten(headers), body: this });
    }
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    const reader = this.#takeReader();
    if (reader !== undefined) {
      reader.resolve({ done: false, value: chunk });
      return;
    }
    this.#chunks.push(chunk);
    this.#bufferedBytes += chunk.byteLength;
    if (this.#bufferedBytes > HIGH_WATER_BYTES) {
      controller.pause();
    }
  }

  onResponseEnd(): void {
    this.#end();
    this.#takeReader()?.resolve(DONE);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#fail(this.#options.toError(error));
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined && this.#failure === undefined) {
      this.#bufferedBytes -= chunk.byteLength;
      if (this.#controller?.paused === true && this.#bufferedBytes === 0) {
        this.#controller.resume();
      }
      return Promise.resolve({ done: false, value: chunk });
    }
    if (this.#failure !== undefined) {
      return Promise.reject(this.#failure.reason as Error);
    }
    if (this.#ended) {
      return Promise.resolve(DONE);
    }
    this.#reader = Promise.withResolvers();
    return this.#reader.promise;
  }

  /** The reader leaves early: the rest is not wanted, so the connection cannot be used again. */
  return(): Promise<IteratorReturnResult<undefined>> {
    if (!this.#ended) {
      this.#end();
      this.#chunks.length = 0;
      this.#controller?.abort(READER_LEFT);
    }
    return Promise.resolve(DONE);
  }

  #fail(reason: unknown): void {
    if (this.#ended) {
      return;
    }
    this.#failure = { reason };
    this.#end();
    this.#head.reject(reason);
    // Where the head was there already, the reader learns it, now or when he comes.
    this.#takeReader()?.reject(reason);
    this.#controller?.abort(READER_LEFT);
  }

  #end(): void {
    this.#ended = true;
    this.#options.request.signal.removeEventListener('abort', this.#onAbort);
    this.#options.onEnd();
  }

  #takeReader(): Next | undefined {
    const reader = this.#reader;
    this.#reader = undefined;
    return reader;
  }
}

function flatten(headers: IncomingHttpHeaders): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined) flat[name] = typeof value === 'string' ? value : value.join(', ');
  }
  return flat;
}
