// Shows that the proxies count every call, pass on what they should unchanged, and fail in each way they promise.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { createServer as createHTTPSServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { createAuthority } from '../../../sandbox/certificates.ts';
import { STS_FAULTS, startAPIProxy, startSTSProxy } from '../../beds/intercepting-proxy.ts';
import type { APIProxy, STSProxy } from '../../beds/intercepting-proxy.ts';

const ANSWER =
  '<Credentials><AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>secret-of-the-answer</SecretAccessKey><SessionToken>session-of-the-answer</SessionToken>' +
  '<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>';

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function closed(server: Server): Promise<void> {
  const end = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await end;
}

describe('the proxy in front of STS', () => {
  let server: Server;
  let proxy: STSProxy;
  let arrived: { host: string | undefined; body: string }[] = [];

  before(async () => {
    const listener = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
      let body = '';
      for await (const chunk of incoming as AsyncIterable<Buffer>) body += chunk.toString();
      arrived.push({ host: incoming.headers.host, body });
      response.writeHead(200, { 'content-type': 'text/xml' }).end(ANSWER);
    };
    server = createServer((incoming, response) => void listener(incoming, response));
    proxy = await startSTSProxy(`http://127.0.0.1:${await listening(server)}`);
  });

  after(async () => {
    await proxy.stop();
    await closed(server);
  });

  async function call(signal?: AbortSignal): Promise<Response> {
    const body = new URLSearchParams({ Action: 'AssumeRoleWithWebIdentity', WebIdentityToken: 'token-of-the-request' });
    return await fetch(proxy.url, {
      method: 'POST',
      body,
      redirect: 'manual',
      ...(signal === undefined ? {} : { signal }),
    });
  }

  async function through(fault: keyof typeof STS_FAULTS): Promise<Response> {
    arrived = [];
    proxy.fail(STS_FAULTS[fault], 1);
    return await call();
  }

  test('passes calls on unchanged, Host header included, and keeps what the secret scan needs', async () => {
    arrived = [];
    const answer = await call();
    assert.equal(await answer.text(), ANSWER);
    assert.equal(arrived[0]?.host, new URL(proxy.url).host);
    assert.match(arrived[0]?.body ?? '', /WebIdentityToken=token-of-the-request/);
    assert.deepEqual(proxy.secrets(), ['token-of-the-request', 'secret-of-the-answer', 'session-of-the-answer']);
    const last = proxy.calls.at(-1);
    assert.deepEqual([last?.method, last?.path, last?.status, last?.forwarded], ['POST', '/', 200, true]);
  });

  test('tells what was given for which token, and nothing where STS refused', async () => {
    const before = proxy.exchanges.length;
    await (await call()).text();
    await (await through('unavailable')).text();
    assert.deepEqual(
      proxy.exchanges.slice(before).map(({ token, accessKeyID }) => [token, accessKeyID]),
      [
        ['token-of-the-request', 'ASIAEXAMPLE'],
        ['token-of-the-request', undefined],
      ],
    );
    assert.equal(proxy.exchanges.at(-1)?.receivedAtMs, proxy.calls.at(-1)?.receivedAtMs);
  });

  test('answers in place of STS without a byte reaching it, and only as often as it was told', async () => {
    assert.equal((await through('unavailable')).status, 503);
    assert.equal(await (await through('emptyAnswer')).text(), '');
    assert.match(await (await through('html')).text(), /<html>/);
    assert.equal((await through('redirect')).headers.get('location'), 'http://127.0.0.1:9/stolen');
    assert.equal(arrived.length, 0);
    assert.equal((await call()).status, 200);
  });

  test('rewrites the expiry into the past', async () => {
    assert.match(await (await through('pastExpiration')).text(), /<Expiration>2020-01-01T00:00:00Z</);
    assert.equal(arrived.length, 1);
  });

  test('sends fifty megabytes, and stops when the reader leaves', async () => {
    const answer = await through('fiftyMegabytes');
    let received = 0;
    for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) {
      received += chunk.length;
      if (received > 1_000_000) break;
    }
    assert.ok(received < 50_000_000);
    assert.equal((await call()).status, 200);
  });

  test('loses a request before STS sees it, and an answer after it has', async () => {
    await assert.rejects(through('reset'));
    assert.equal(arrived.length, 0);
    assert.equal(proxy.calls.at(-1)?.forwarded, false);
    await assert.rejects(through('lostAnswer'));
    assert.equal(arrived.length, 1);
    assert.equal(proxy.calls.at(-1)?.forwarded, true);
  });

  test('never answers when it hangs', async () => {
    proxy.fail(STS_FAULTS.hang, 1);
    const before = proxy.calls.length;
    const abort = new AbortController();
    const pending = call(abort.signal);
    while (proxy.calls.length === before) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(proxy.calls.at(-1)?.status, undefined);
    abort.abort();
    await assert.rejects(pending, { name: 'AbortError' });
  });

  test('fails until it is healed when no number is given', async () => {
    proxy.fail(STS_FAULTS.unavailable);
    assert.equal((await call()).status, 503);
    assert.equal((await call()).status, 503);
    proxy.heal();
    assert.equal((await call()).status, 200);
  });
});

describe('the proxy in front of the API server', () => {
  let server: Server;
  let proxy: APIProxy;
  const arrived: string[] = [];
  let watcher: ServerResponse | undefined;

  before(async () => {
    const authority = await createAuthority('test-ca');
    const serving = await authority.issueServer({ commonName: 'test' }, { ips: ['127.0.0.1'], dns: [] });
    const listener: RequestListener = (incoming, response) => {
      arrived.push(`${incoming.method} ${incoming.url} ${incoming.headers.authorization}`);
      incoming.resume();
      if (incoming.url?.includes('watch=true') === true) {
        watcher = response;
        response.write('{"type":"ADDED"}\n');
      } else response.end('{}');
    };
    server = createHTTPSServer({ cert: serving.certificatePEM, key: serving.privateKeyPEM }, listener);
    const target = `https://127.0.0.1:${await listening(server)}`;
    proxy = await startAPIProxy({ server: target, caPEM: authority.certificatePEM });
  });

  after(async () => {
    await proxy.stop();
    await closed(server);
  });

  async function open(method: string, path: string): Promise<IncomingMessage> {
    return await new Promise((resolve, reject) => {
      const headers = { authorization: 'Bearer of-the-client' };
      const outgoing = request(`${proxy.url}${path}`, { method, headers, ca: proxy.caPEM, agent: false });
      outgoing
        .once('response', resolve)
        .once('error', reject)
        .end(method === 'GET' ? undefined : '{}');
    });
  }

  test('passes the bearer token on and records method, path and status', async () => {
    const answer = await open('PATCH', '/api/v1/namespaces/shop/secrets/orders');
    answer.resume();
    assert.equal(answer.statusCode, 200);
    assert.equal(arrived.at(-1), 'PATCH /api/v1/namespaces/shop/secrets/orders Bearer of-the-client');
    const last = proxy.calls.at(-1);
    assert.deepEqual(
      [last?.method, last?.path, last?.status],
      ['PATCH', '/api/v1/namespaces/shop/secrets/orders', 200],
    );
  });

  test('streams a watch: each event arrives while the watch is open', async () => {
    const answer = await open('GET', '/api/v1/secrets?watch=true');
    const events = answer[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    assert.equal(String((await events.next()).value), '{"type":"ADDED"}\n');
    watcher?.write('{"type":"MODIFIED"}\n');
    assert.equal(String((await events.next()).value), '{"type":"MODIFIED"}\n');
    answer.destroy();
  });

  test('a hook sees the matching request, can act first and then keep it from the server', async () => {
    const bodies: string[] = [];
    const remove = proxy.onRequest({ method: 'PATCH', path: /\/status$/ }, async ({ body }) => {
      bodies.push(body.toString());
      return await Promise.resolve('loseRequest');
    });
    const reached = arrived.length;
    await assert.rejects(open('PATCH', '/apis/workloadcredentials/orders/status'));
    assert.deepEqual(bodies, ['{}']);
    assert.equal(arrived.length, reached);
    (await open('GET', '/apis/workloadcredentials/orders/status')).resume();
    remove();
    const answer = await open('PATCH', '/apis/workloadcredentials/orders/status');
    answer.resume();
    assert.equal(answer.statusCode, 200);
  });

  test('a hook can answer in place of the server', async () => {
    const remove = proxy.onRequest({ path: /secrets/ }, () => ({ answer: { status: 409, body: '{"kind":"Status"}' } }));
    const answer = await open('PATCH', '/api/v1/namespaces/shop/secrets/orders');
    remove();
    assert.equal(answer.statusCode, 409);
    answer.resume();
  });
});
