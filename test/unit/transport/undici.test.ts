// The Transport port over real sockets: connections, time-outs, TLS, and what errors may say.
import assert from 'node:assert/strict';
import { createServer, type AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { readBody, type Transport, TransportError, type TransportRequest } from '../../../src/transport/transport.ts';
import { type TLSMaterial, undiciTransport } from '../../../src/transport/undici.ts';
import {
  makeCertificates,
  type ScriptedHandler,
  type ScriptedServer,
  type ScriptedStream,
  startScriptedServer,
  type TestCertificates,
  until,
} from '../../support/scripted-server.ts';

const open: { close(): Promise<void> }[] = [];

function transportTo(tls: TLSMaterial = {}, connections = 4): Transport {
  return undiciTransport({ connections, tls, connectTimeoutMs: 5_000 });
}

async function serve(handler: ScriptedHandler, certificates?: TestCertificates): Promise<ScriptedServer> {
  const server = await startScriptedServer(handler, certificates);
  open.push(server);
  return server;
}

function get(url: URL, more: Partial<TransportRequest> = {}): TransportRequest {
  return { method: 'GET', url, headers: {}, signal: new AbortController().signal, ...more };
}

async function text(transport: Transport, request: TransportRequest): Promise<string> {
  return Buffer.from(await readBody(await transport.send(request), 1_000_000)).toString('utf8');
}

function fails(kind: string, code?: string) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof TransportError, String(error));
    assert.equal(error.kind, kind, `${error.code}: ${error.message}`);
    if (code !== undefined) assert.equal(error.code, code);
    return true;
  };
}

/** A port that accepts connections and writes `answer`, or nothing. */
async function servePlain(answer: string): Promise<URL> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    if (answer !== '') socket.once('data', () => socket.end(answer));
  });
  const sockets = new Set<{ destroy(): void }>();
  server.on('connection', (socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  open.push({
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  });
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
}

describe('undiciTransport', () => {
  let certificates: TestCertificates;

  before(async () => {
    certificates = await makeCertificates();
  });
  after(async () => {
    await Promise.all(open.map((one) => one.close()));
  });

  it('sends method, path, query, headers and body, and gives status, headers and body', async () => {
    const server = await serve((request, answer) => {
      answer.raw.setHeader('warning', ['299 - "one"', '299 - "two"']);
      answer.json(201, { method: request.method, path: request.path, q: request.query.get('q'), body: request.body });
    });
    const transport = transportTo();
    const request = get(new URL('/a/b?q=1', server.url), {
      method: 'POST',
      headers: { 'x-one': 'two' },
      body: 'hello',
    });
    const response = await transport.send(request);
    assert.equal(response.status, 201);
    assert.equal(response.headers['warning'], '299 - "one", 299 - "two"');
    const body = Buffer.from(await readBody(response, 1_000)).toString('utf8');
    assert.deepEqual(JSON.parse(body), { method: 'POST', path: '/a/b', q: '1', body: 'hello' });
    assert.equal(server.requests[0]?.headers['x-one'], 'two');
    await transport.close();
  });

  it('keeps TLS connections for the short calls that follow', async () => {
    const server = await serve((_request, answer) => answer.json(200, {}), certificates);
    const transport = transportTo({ ca: certificates.ca });
    for (let call = 0; call < 20; call += 1) await text(transport, get(server.url));
    // A second one is opened when a call begins before the last one has let go of its connection.
    assert.ok(server.connections <= 2, `${server.connections} connections for 20 calls`);
    await transport.close();
  });

  it('opens no more connections for short calls than it may', async () => {
    const server = await serve((_request, answer) => answer.json(200, {}));
    const transport = transportTo({}, 2);
    await Promise.all(Array.from({ length: 10 }, () => text(transport, get(server.url))));
    assert.equal(server.connections, 2);
    assert.equal(server.requests.length, 10);
    await transport.close();
  });

  it('keeps connections to so many origins only, and lets what is in flight to a dropped one end', async () => {
    const held = Promise.withResolvers<void>();
    const slow = await serve((_request, answer) => void held.promise.then(() => answer.json(200, { slow: true })));
    const others = await Promise.all([1, 2, 3].map(() => serve((_request, answer) => answer.json(200, {}))));
    const transport = undiciTransport({ connections: 2, tls: {}, connectTimeoutMs: 5_000, maxOrigins: 2 });
    const waiting = text(transport, get(slow.url));
    await until(() => slow.requests.length === 1, 'the slow call');
    for (const { url } of others) await text(transport, get(url));
    await until(() => others[0]?.openConnections === 0, 'the first connection closing');
    assert.deepEqual(
      others.map(({ openConnections }) => openConnections),
      [0, 1, 1],
    );
    held.resolve();
    assert.equal(await waiting, '{"slow":true}');
    assert.ok(others[0] !== undefined);
    assert.equal(await text(transport, get(others[0].url)), '{}');
    await transport.close();
  });

  it('gives a stream a connection of its own and closes it with the stream', async () => {
    const server = await serve((request, answer) => {
      if (request.path !== '/watch') return answer.json(200, {});
      const stream = answer.stream();
      stream.write('one');
      stream.end();
    });
    const transport = transportTo({}, 1);
    await text(transport, get(server.url));
    const watch = get(new URL('/watch', server.url), { stream: { idleTimeoutMs: 5_000 } });
    assert.equal(await text(transport, watch), 'one');
    await text(transport, get(server.url));
    assert.deepEqual(
      server.requests.map(({ connection }) => connection),
      [1, 2, 1],
    );
    await until(() => server.openConnections === 1, 'the stream connection closing');
    await transport.close();
  });

  it('ends a stream that is silent for too long with kind timeout', async () => {
    const server = await serve((_request, answer) => answer.stream().write('one'));
    const transport = transportTo();
    const request = get(server.url, { stream: { idleTimeoutMs: 20 } });
    await assert.rejects(text(transport, request), fails('timeout', 'UND_ERR_BODY_TIMEOUT'));
    await until(() => server.openConnections === 0, 'the stream connection closing');
  });

  it('rejects with the reason of the signal before, while waiting and while reading', async () => {
    let stream: ScriptedStream | undefined;
    const server = await serve((request, answer) => {
      if (request.path === '/body') stream = answer.stream();
    });
    const transport = transportTo();
    const reason = new Error('enough');
    await assert.rejects(transport.send(get(server.url, { signal: AbortSignal.abort(reason) })), reason);

    const waiting = new AbortController();
    const sent = transport.send(get(server.url, { signal: waiting.signal }));
    await until(() => server.requests.length === 1);
    waiting.abort(reason);
    await assert.rejects(sent, reason);

    for (const more of [{}, { stream: { idleTimeoutMs: 60_000 } }]) {
      const reading = new AbortController();
      const body = text(transport, get(new URL('/body', server.url), { signal: reading.signal, ...more }));
      const seen = server.requests.length + 1;
      await until(() => server.requests.length === seen);
      stream?.write('half');
      reading.abort(reason);
      await assert.rejects(body, reason);
      await until(() => stream?.closed === true, 'the connection closing');
    }
  });

  it('closes a stream that is aborted before anybody reads it', async () => {
    const server = await serve((_request, answer) => answer.stream().write('one'));
    const transport = transportTo();
    const controller = new AbortController();
    await transport.send(get(server.url, { signal: controller.signal, stream: { idleTimeoutMs: 60_000 } }));
    controller.abort(new Error('nobody reads'));
    await until(() => server.openConnections === 0, 'the connection closing');
  });

  it('ends the exchange when the reader leaves the loop', async () => {
    let stream: ScriptedStream | undefined;
    const server = await serve((_request, answer) => {
      stream = answer.stream();
      stream.write('one');
    });
    const response = await transportTo().send(get(server.url, { stream: { idleTimeoutMs: 60_000 } }));
    for await (const chunk of response.body) {
      assert.equal(Buffer.from(chunk).toString(), 'one');
      break;
    }
    await until(() => stream?.closed === true, 'the connection closing');
  });

  it('does not follow a redirect', async () => {
    const server = await serve((_request, answer) => answer.json(307, {}, { location: 'http://127.0.0.1:1/other' }));
    const response = await transportTo().send(get(server.url));
    assert.equal(response.status, 307);
    assert.equal(server.requests.length, 1);
  });

  it('tells a refused connection by host and port, and no more of the URL', async () => {
    const server = await startScriptedServer(() => {});
    const url = new URL('/path?secret=hunter2', server.url);
    await server.close();
    await assert.rejects(transportTo().send(get(url, { headers: { authorization: 'hunter3' } })), (error) => {
      fails('connect', 'ECONNREFUSED')(error);
      assert.match((error as Error).message, new RegExp(`^127\\.0\\.0\\.1:${url.port}: no connection could be made`));
      assert.doesNotMatch((error as Error).message, /hunter|path/);
      return true;
    });
  });

  it('tells a name that does not resolve, with the default port', async () => {
    await assert.rejects(transportTo().send(get(new URL('https://no-such-host.invalid/'))), (error) => {
      fails('connect')(error);
      assert.match((error as Error).message, /^no-such-host\.invalid:443: /);
      return true;
    });
  });

  it('gives up on a server that accepts and never finishes TLS', async () => {
    const url = await servePlain('');
    url.protocol = 'https:';
    const transport = undiciTransport({ connections: 1, tls: {}, connectTimeoutMs: 50 });
    await assert.rejects(transport.send(get(url)), fails('connect', 'UND_ERR_CONNECT_TIMEOUT'));
  });

  it('tells a reset before and within the answer', async () => {
    const server = await serve((request, answer) => {
      if (request.path === '/before') return answer.reset();
      answer.raw.writeHead(200, { 'content-length': '100' });
      answer.raw.write('half', () => answer.reset());
    });
    await assert.rejects(transportTo().send(get(new URL('/before', server.url))), fails('reset'));
    await assert.rejects(text(transportTo(), get(new URL('/within', server.url))), fails('reset'));
  });

  it('tells an answer that is not HTTP', async () => {
    await assert.rejects(transportTo().send(get(await servePlain('SSH-2.0-hello\r\n'))), fails('protocol'));
  });

  it('trusts only the given certificate authority, whatever the environment says', async ({ mock }) => {
    // Node warns of the variable where it reads it; the test's output is no place for that.
    const warnings = mock.method(process, 'emitWarning', () => undefined);
    const server = await serve((_request, answer) => answer.json(200, {}), certificates);
    const stranger = await makeCertificates();
    process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
    try {
      await assert.rejects(transportTo({ ca: stranger.ca }).send(get(server.url)), fails('tls'));
      await assert.rejects(transportTo().send(get(server.url)), fails('tls'));
    } finally {
      delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
    }
    assert.equal(server.requests.length, 0);
    for (const { arguments: said } of warnings.mock.calls) {
      assert.match(String(said[0]), /NODE_TLS_REJECT_UNAUTHORIZED/);
    }
  });

  it('checks the name in the certificate, or the one that it is told to expect', async () => {
    const named = await makeCertificates('kubernetes.default');
    const server = await serve((_request, answer) => answer.json(200, {}), named);
    const wrong = fails('tls', 'ERR_TLS_CERT_ALTNAME_INVALID');
    await assert.rejects(transportTo({ ca: named.ca }).send(get(server.url)), wrong);
    const right = transportTo({ ca: named.ca, servername: 'kubernetes.default' });
    assert.equal((await right.send(get(server.url))).status, 200);
  });

  it('shows its client certificate', async () => {
    const server = await serve((_request, answer) => answer.json(200, {}), certificates);
    await text(transportTo({ ca: certificates.ca, ...certificates.client }), get(server.url));
    assert.equal(server.requests[0]?.clientName, 'test client');
  });

  it('takes no proxy from the environment', async () => {
    const proxy = await serve((_request, answer) => answer.json(500, {}));
    const server = await serve((_request, answer) => answer.json(200, {}));
    process.env['HTTP_PROXY'] = proxy.url.href;
    process.env['http_proxy'] = proxy.url.href;
    try {
      assert.equal((await transportTo().send(get(server.url))).status, 200);
    } finally {
      delete process.env['HTTP_PROXY'];
      delete process.env['http_proxy'];
    }
    assert.equal(proxy.connections, 0);
  });

  it('lets what is in flight end when it is closed, and then sends nothing more', async () => {
    let answerLater = (): void => {};
    const server = await serve((_request, answer) => {
      answerLater = () => answer.json(200, { late: true });
    });
    const transport = transportTo();
    const body = text(transport, get(server.url));
    await until(() => server.requests.length === 1);
    const closed = transport.close();
    answerLater();
    assert.equal(await body, '{"late":true}');
    await closed;
    await assert.rejects(transport.send(get(server.url)), fails('reset', 'UND_ERR_CLOSED'));
  });
});
