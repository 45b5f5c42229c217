// Promises: the in-process transport keeps the port's contract: answers, resets, unknown hosts and aborts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { waitForAbort } from '../../sandbox/http.ts';
import type { Handler } from '../../sandbox/http.ts';
import { inProcessTransport } from '../../sandbox/in-process-transport.ts';
import { readBody } from '../../src/transport/transport.ts';

const handler: Handler = async (request) => {
  if (request.target === '/reset') return { reset: true };
  if (request.target === '/hang') {
    await waitForAbort(request.signal);
    return { reset: true };
  }
  const body = `${request.method} ${request.target} ${Buffer.from(request.body).toString()}`;
  return { status: 201, headers: { a: 'b' }, body };
};
const transport = inProcessTransport(new Map([['https://host:1', handler]]));
const send = (url: string, signal = new AbortController().signal) =>
  transport.send({ method: 'POST', url: new URL(url), headers: {}, body: 'x', signal });

test('a request reaches the handler of its origin, and the answer comes back', async () => {
  const response = await send('https://host:1/p?q=1');
  assert.deepEqual([response.status, response.headers['a']], [201, 'b']);
  assert.equal(Buffer.from(await readBody(response, 100)).toString(), 'POST /p?q=1 x');
});

test('a reset and an unknown origin are TransportErrors of their kind', async () => {
  await assert.rejects(send('https://host:1/reset'), { name: 'TransportError', kind: 'reset' });
  await assert.rejects(send('https://host:2/'), { name: 'TransportError', kind: 'connect' });
});

test('an abort rejects with its reason', async () => {
  const controller = new AbortController();
  const pending = send('https://host:1/hang', controller.signal);
  controller.abort(new Error('enough'));
  await assert.rejects(pending, { message: 'enough' });
});
