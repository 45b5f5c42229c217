// Promises: what an Exchange does with the order in which undici may call it: data before a reader, a reader before data,
// an abort at every moment, a reader who leaves. The sockets themselves are in undici.test.ts.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Dispatcher } from 'undici';
import { Exchange } from '../../../src/transport/exchange.ts';
import { TransportError } from '../../../src/transport/transport.ts';

class Controller implements Dispatcher.DispatchController {
  paused = false;
  aborted = false;
  reason: Error | null = null;
  readonly calls: string[] = [];

  abort(reason: Error): void {
    this.aborted = true;
    this.reason = reason;
    this.calls.push('abort');
  }

  pause(): void {
    this.paused = true;
    this.calls.push('pause');
  }

  resume(): void {
    this.paused = false;
    this.calls.push('resume');
  }
}

const KIB = 1024;

function scene() {
  const abort = new AbortController();
  const ends: string[] = [];
  const exchange = new Exchange({
    request: { method: 'GET', url: new URL('https://sts.example/'), headers: {}, signal: abort.signal },
    toError: () => new TransportError('reset', 'ECONNRESET', 'cut'),
    onEnd: () => ends.push('end'),
  });
  const controller = new Controller();
  const begin = (): void => {
    exchange.onRequestStart(controller);
    exchange.onResponseStart(controller, 200, { 'x-one': '1', 'set-cookie': ['a', 'b'] });
  };
  return { exchange, controller, abort, ends, begin };
}

async function readAll(chunks: AsyncIterable<Uint8Array>): Promise<number[]> {
  const lengths: number[] = [];
  for await (const chunk of chunks) {
    lengths.push(chunk.byteLength);
  }
  return lengths;
}

describe('an exchange', () => {
  it('gives the head once it is there, with joined headers, and not for a 1xx', async () => {
    const { exchange, controller } = scene();
    exchange.onRequestStart(controller);
    exchange.onResponseStart(controller, 103, { link: 'early' });
    exchange.onResponseStart(controller, 200, { 'x-one': '1', 'set-cookie': ['a', 'b'] });
    const head = await exchange.head;
    assert.equal(head.status, 200);
    assert.deepEqual(head.headers, { 'x-one': '1', 'set-cookie': 'a, b' });
  });

  it('keeps what comes before the reader, in order, and ends once', async () => {
    const { exchange, controller, begin, ends } = scene();
    begin();
    exchange.onResponseData(controller, new Uint8Array(3));
    exchange.onResponseData(controller, new Uint8Array(5));
    exchange.onResponseEnd();
    assert.deepEqual(await readAll((await exchange.head).body), [3, 5]);
    assert.deepEqual(ends, ['end']);
    assert.deepEqual(controller.calls, []);
  });

  it('hands data to a reader who waits', async () => {
    const { exchange, controller, begin } = scene();
    begin();
    const reading = readAll((await exchange.head).body);
    await Promise.resolve();
    exchange.onResponseData(controller, new Uint8Array(7));
    await Promise.resolve();
    exchange.onResponseEnd();
    assert.deepEqual(await reading, [7]);
  });

  it('pauses a connection that nobody reads from after 64 KiB, and goes on when all of it was read', async () => {
    const { exchange, controller, begin } = scene();
    begin();
    exchange.onResponseData(controller, new Uint8Array(64 * KIB));
    assert.deepEqual(controller.calls, []);
    exchange.onResponseData(controller, new Uint8Array(1));
    assert.deepEqual(controller.calls, ['pause']);
    await exchange.next();
    assert.deepEqual(controller.calls, ['pause']);
    await exchange.next();
    assert.deepEqual(controller.calls, ['pause', 'resume']);
  });

  it('rejects at once with the reason of the signal, also while it still waits for a connection', async () => {
    const { exchange, controller, abort, ends } = scene();
    const reason = new Error('enough');
    abort.abort(reason);
    await assert.rejects(exchange.head, reason);
    assert.deepEqual(ends, ['end']);
    // undici takes it up later: nothing is sent then.
    exchange.onRequestStart(controller);
    assert.deepEqual(controller.calls, ['abort']);
  });

  it('fails the reader with the reason of the signal, now or when he comes', async () => {
    for (const isWaiting of [true, false]) {
      const { exchange, controller, abort, begin } = scene();
      begin();
      exchange.onResponseData(controller, new Uint8Array(1));
      if (isWaiting) await exchange.next();
      const waiting = isWaiting ? exchange.next() : undefined;
      const reason = new Error('enough');
      abort.abort(reason);
      await assert.rejects(waiting ?? exchange.next(), reason);
      assert.deepEqual(controller.calls, ['abort']);
    }
  });

  it('tells a broken connection in our words, before the head and after it', async () => {
    const before = scene();
    before.exchange.onRequestStart(before.controller);
    before.exchange.onResponseError(before.controller, new Error('token=secret'));
    await assert.rejects(before.exchange.head, { message: 'cut', kind: 'reset' });
    const after = scene();
    after.begin();
    after.exchange.onResponseError(after.controller, new Error('token=secret'));
    await assert.rejects(readAll((await after.exchange.head).body), { message: 'cut', kind: 'reset' });
  });

  it('gives up the connection when the reader leaves early, once, and drops what comes after', async () => {
    const { exchange, controller, begin, ends } = scene();
    begin();
    exchange.onResponseData(controller, new Uint8Array(1));
    for await (const chunk of (await exchange.head).body) {
      assert.equal(chunk.byteLength, 1);
      break;
    }
    exchange.onResponseError(controller, new Error('aborted'));
    assert.deepEqual(controller.calls, ['abort']);
    assert.deepEqual(ends, ['end']);
    assert.deepEqual(await exchange.next(), { done: true, value: undefined });
  });

  it('lets go of the signal at its end', async () => {
    const { exchange, controller, abort, begin } = scene();
    begin();
    exchange.onResponseEnd();
    await exchange.head;
    abort.abort(new Error('later'));
    assert.deepEqual(controller.calls, []);
    assert.deepEqual(await exchange.next(), { done: true, value: undefined });
  });
});
