// The Transport port through a real CONNECT proxy on loopback: who is asked for what, TLS from end to end, streams, and every
// way in which a proxy fails.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import { inspect } from 'node:util';
import { createAuthority } from '../../../sandbox/certificates.ts';
import { type HTTPProxy, NoProxy, parseProxy, routeThrough } from '../../../src/transport/proxy.ts';
import { readBody, type Transport, TransportError, type TransportRequest } from '../../../src/transport/transport.ts';
import { type TLSMaterial, undiciTransport } from '../../../src/transport/undici.ts';
import { type ConnectProxy, type ConnectProxyOptions, startConnectProxy } from '../../support/connect-proxy.ts';
import {
  makeCertificates,
  type ScriptedHandler,
  type ScriptedServer,
  startScriptedServer,
  type TestCertificates,
  until,
} from '../../support/scripted-server.ts';

/** A name that no resolver knows: who reaches it went through the proxy. */
const NAME = 'sts.tunnel.invalid';
const ORIGIN = new URL(`https://${NAME}/`);
const PASSWORD = 'hunter2';

const open: { close(): Promise<void> }[] = [];

function proxyOf(url: URL, credentials?: string): HTTPProxy {
  const parsed = parseProxy(credentials === undefined ? url.href : `http://${credentials}@${url.host}`);
  assert.ok('proxy' in parsed);
  return parsed.proxy;
}

interface Through {
  readonly tls?: TLSMaterial;
  readonly credentials?: string;
  readonly connections?: number;
  readonly timeoutMs?: number;
  readonly noProxy?: string;
}

function through(proxy: { readonly url: URL }, options: Through = {}): Transport {
  const { credentials, connections = 4, timeoutMs = 5_000, noProxy = '' } = options;
  const route = routeThrough(proxyOf(proxy.url, credentials), new NoProxy(noProxy));
  const transport = undiciTransport({ connections, tls: options.tls ?? {}, connectTimeoutMs: timeoutMs, route });
  open.push(transport);
  return transport;
}

function get(url: URL, more: Partial<TransportRequest> = {}): TransportRequest {
  return { method: 'GET', url, headers: {}, signal: new AbortController().signal, ...more };
}

async function text(transport: Transport, request: TransportRequest): Promise<string> {
  return Buffer.from(await readBody(await transport.send(request), 1_000_000)).toString('utf8');
}

/** A TransportError that names target and proxy and holds nothing secret, wherever one looks. */
function fails(kind: string, code: string, says: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof TransportError, String(error));
    assert.deepEqual([error.kind, error.code], [kind, code], error.message);
    assert.match(error.message, says);
    assert.match(error.message, /^sts\.tunnel\.invalid:443: .*proxy 127\.0\.0\.1:\d+/);
    const whole = inspect(error, { depth: 9, showHidden: true });
    for (const secret of [PASSWORD, Buffer.from(`user:${PASSWORD}`).toString('base64'), 'a-token']) {
      assert.ok(!whole.includes(secret), secret);
    }
    return true;
  };
}

describe('a transport through a proxy', { timeout: 60_000 }, () => {
  let certificates: TestCertificates;

  before(async () => {
    certificates = await makeCertificates(NAME);
  });
  after(async () => {
    await Promise.allSettled(open.map((one) => one.close()));
  });

  async function serve(handler: ScriptedHandler): Promise<ScriptedServer> {
    const server = await startScriptedServer(handler, certificates);
    open.push(server);
    return server;
  }

  async function proxyTo(
    server: ScriptedServer | undefined,
    more: Partial<ConnectProxyOptions> = {},
  ): Promise<ConnectProxy> {
    const ports = server === undefined ? {} : { [`${NAME}:443`]: Number(server.url.port) };
    const proxy = await startConnectProxy({ ports, ...more });
    open.push(proxy);
    return proxy;
  }

  const ok: ScriptedHandler = (request, answer) => answer.json(200, { path: request.path, body: request.body });

  it('asks the proxy for the host and port of the URL, and speaks TLS with that host', async () => {
    const server = await serve(ok);
    const proxy = await proxyTo(server);
    const transport = through(proxy, { tls: { ca: certificates.ca } });
    const secret = { method: 'POST', headers: { 'x-token': 'a-token' }, body: 'token=a-token' };
    assert.equal(
      await text(transport, get(new URL('/sts?q=1', ORIGIN), secret)),
      '{"path":"/sts","body":"token=a-token"}',
    );
    assert.equal(server.requests[0]?.headers['host'], NAME);
    assert.deepEqual(
      proxy.connects.map(({ target, headers }) => [target, headers['host'], headers['proxy-authorization']]),
      [[`${NAME}:443`, `${NAME}:443`, undefined]],
    );
    assert.deepEqual(proxy.strays, []);
    // 0x16: a TLS handshake record. The proxy carries it and can read nothing.
    assert.equal(proxy.sent()[0], 0x16);
    assert.ok(!proxy.sent().includes('a-token'));
  });

  it('names the port of the URL, and brackets an IPv6 address', async () => {
    const proxy = await proxyTo(undefined, { decide: () => ({ status: 502 }) });
    const transport = through(proxy);
    for (const url of ['https://a.tunnel.invalid:8443/', 'https://[fd00::1]/', 'https://192.0.2.1:6443/x']) {
      await assert.rejects(transport.send(get(new URL(url))), /status 502/);
    }
    assert.deepEqual(
      proxy.connects.map(({ target }) => target),
      ['a.tunnel.invalid:8443', '[fd00::1]:443', '192.0.2.1:6443'],
    );
  });

  it('keeps tunnels for the calls that follow, and opens no more than it may', async () => {
    const server = await serve(ok);
    const proxy = await proxyTo(server);
    const transport = through(proxy, { tls: { ca: certificates.ca }, connections: 2 });
    for (let call = 0; call < 10; call += 1) await text(transport, get(ORIGIN));
    await Promise.all(Array.from({ length: 10 }, () => text(transport, get(ORIGIN))));
    assert.equal(server.requests.length, 20);
    assert.ok(proxy.connects.length <= 2, `${proxy.connects.length} tunnels for 20 calls`);
    await transport.close();
    await until(() => proxy.open === 0, 'the tunnels closing');
  });

  it('gives a stream a tunnel of its own and closes it with the stream', async () => {
    const server = await serve((request, answer) => {
      if (request.path !== '/watch') return answer.json(200, {});
      answer.stream().write('one');
    });
    const proxy = await proxyTo(server);
    const transport = through(proxy, { tls: { ca: certificates.ca }, connections: 1 });
    await text(transport, get(ORIGIN));
    const controller = new AbortController();
    const watch = get(new URL('/watch', ORIGIN), { signal: controller.signal, stream: { idleTimeoutMs: 5_000 } });
    const response = await transport.send(watch);
    const chunks = response.body[Symbol.asyncIterator]();
    assert.equal(Buffer.from((await chunks.next()).value as Uint8Array).toString(), 'one');
    await text(transport, get(ORIGIN));
    assert.deepEqual([proxy.connects.length, proxy.open], [2, 2]);
    const reason = new Error('enough');
    controller.abort(reason);
    await assert.rejects(chunks.next(), reason);
    await until(() => proxy.open === 1, 'the stream closing');
  });

  it('gives user and password to the proxy, and to nobody else', async () => {
    const server = await serve(ok);
    const proxy = await proxyTo(server, { credentials: `us er:${PASSWORD}` });
    const transport = through(proxy, { tls: { ca: certificates.ca }, credentials: `us%20er:${PASSWORD}` });
    await text(transport, get(ORIGIN));
    assert.equal(proxy.connects.length, 1);
    assert.equal(server.requests[0]?.headers['proxy-authorization'], undefined);
    assert.ok(!JSON.stringify(server.requests).includes(PASSWORD));
  });

  it('goes directly where the list says so, over plain http, and to this machine', async () => {
    const direct = await makeCertificates('127.0.0.1');
    const secure = await startScriptedServer(ok, direct);
    const plain = await startScriptedServer(ok);
    open.push(secure, plain);
    const proxy = await proxyTo(undefined);
    const transport = through(proxy, { tls: { ca: direct.ca }, noProxy: '.invalid' });
    await text(transport, get(secure.url));
    await text(transport, get(plain.url));
    await assert.rejects(transport.send(get(ORIGIN)), /^TransportError: sts\.tunnel\.invalid:443: no connection/);
    assert.deepEqual(proxy.connects, []);
  });

  it('never sends plain http to a proxy, whatever the route says', async () => {
    const plain = await startScriptedServer(ok);
    open.push(plain);
    const proxy = await proxyTo(undefined);
    const always = proxyOf(proxy.url);
    const transport = undiciTransport({ connections: 1, tls: {}, connectTimeoutMs: 5_000, route: () => always });
    assert.equal((await transport.send(get(plain.url))).status, 200);
    assert.deepEqual([proxy.connects, proxy.strays], [[], []]);
  });

  it('does not trust a proxy that answers in the place of the server, but for one whose authority is given', async () => {
    const intercepting = await makeCertificates(NAME);
    const impostor = await startScriptedServer(ok, intercepting);
    open.push(impostor);
    const proxy = await proxyTo(impostor);
    const says = /TLS handshake through the proxy .* its certificate authority has to be trusted/;
    const refused = (error: unknown): boolean => {
      assert.equal((error as TransportError).kind, 'tls');
      return fails('tls', (error as TransportError).code, says)(error);
    };
    for (const trusting of [{}, { ca: certificates.ca }, { extraCA: certificates.ca }]) {
      await assert.rejects(
        through(proxy, { tls: trusting }).send(get(ORIGIN, { body: 'a-token', method: 'POST' })),
        refused,
      );
    }
    assert.equal(impostor.requests.length, 0);
    assert.equal((await through(proxy, { tls: { extraCA: intercepting.ca } }).send(get(ORIGIN))).status, 200);
    const another = await createAuthority('another-authority');
    const bundle = `${another.certificatePEM}\n${intercepting.ca}`;
    assert.equal((await through(proxy, { tls: { ca: bundle } }).send(get(ORIGIN))).status, 200);
  });

  it('trusts extra authorities beside the default ones, and other authorities in their place', async () => {
    const proxy = await proxyTo(await serve(ok));
    const { certificatePEM: another } = await createAuthority('another-authority');
    const defaults = tls.getCACertificates('default');
    tls.setDefaultCACertificates([certificates.ca]);
    try {
      for (const trusting of [{}, { extraCA: another }]) {
        assert.equal((await through(proxy, { tls: trusting }).send(get(ORIGIN))).status, 200);
      }
      await assert.rejects(through(proxy, { tls: { ca: another } }).send(get(ORIGIN)), /TLS handshake/);
    } finally {
      tls.setDefaultCACertificates(defaults);
    }
  });

  it('does not take a certificate of another name', async () => {
    const other = await makeCertificates('other.invalid');
    const impostor = await startScriptedServer(ok, other);
    open.push(impostor);
    const proxy = await proxyTo(impostor);
    const wrong = fails('tls', 'ERR_TLS_CERT_ALTNAME_INVALID', /host name/);
    await assert.rejects(through(proxy, { tls: { ca: other.ca } }).send(get(ORIGIN)), wrong);
    assert.equal(impostor.requests.length, 0);
  });

  it('shows its client certificate to the server', async () => {
    const server = await serve(ok);
    const proxy = await proxyTo(server);
    await text(through(proxy, { tls: { ca: certificates.ca, ...certificates.client } }), get(ORIGIN));
    assert.equal(server.requests[0]?.clientName, 'test client');
  });

  it('tells a client certificate that cannot be read, and leaves no connection', async () => {
    const proxy = await proxyTo(await serve(ok));
    const transport = through(proxy, { tls: { ca: certificates.ca, cert: 'nonsense', key: 'nonsense' } });
    await assert.rejects(transport.send(get(ORIGIN)), (error) => (error as TransportError).kind === 'tls');
    await until(() => proxy.connects.length === 1 && proxy.open === 0, 'the connection closing');
  });

  const REFUSALS: readonly (readonly [status: number, says: RegExp])[] = [
    [301, /refused the tunnel with status 301/],
    [403, /status 403; allow this destination there, or except it by NO_PROXY/],
    [407, /status 407; it wants other credentials: .*HTTPS_PROXY from a Secret/],
    [502, /status 502/],
  ];
  for (const [status, says] of REFUSALS) {
    it(`tells that the proxy answers ${status}, once, and tries again with the next call only`, async () => {
      const proxy = await proxyTo(undefined, { decide: () => ({ status }) });
      const transport = through(proxy, { credentials: `user:${PASSWORD}` });
      const refused = fails('connect', `PROXY_STATUS_${status}`, says);
      await assert.rejects(transport.send(get(ORIGIN, { headers: { authorization: 'a-token' } })), refused);
      assert.equal(proxy.connects.length, 1);
      await assert.rejects(transport.send(get(ORIGIN, { stream: { idleTimeoutMs: 1_000 } })), refused);
      assert.equal(proxy.connects.length, 2);
      await until(() => proxy.open === 0, 'the connections closing');
    });
  }

  it('works again when the proxy does', async () => {
    const server = await serve(ok);
    let isDown = true;
    const proxy = await proxyTo(server, { decide: () => (isDown ? { status: 503 } : 'tunnel') });
    const transport = through(proxy, { tls: { ca: certificates.ca } });
    await assert.rejects(transport.send(get(ORIGIN)), fails('connect', 'PROXY_STATUS_503', /503/));
    isDown = false;
    assert.equal((await transport.send(get(ORIGIN))).status, 200);
  });

  const FAILURES: readonly (readonly [
    what: string,
    decide: NonNullable<ConnectProxyOptions['decide']>,
    kind: string,
    code: string,
    says: RegExp,
  ])[] = [
    ['never answers', () => 'hang', 'connect', 'UND_ERR_HEADERS_TIMEOUT', /did not answer in time/],
    ['closes the connection', () => 'close', 'connect', 'ECONNRESET', /closed the connection before it answered/],
    [
      'answers something that is not HTTP',
      () => ({ bytes: 'SSH-2.0-hello\r\n' }),
      'connect',
      'UNKNOWN',
      /no answer that is valid HTTP/,
    ],
    [
      'answers without an end',
      () => ({ bytes: `HTTP/1.1 200 OK\r\nx-long: ${'x'.repeat(40_000)}` }),
      'connect',
      'UND_ERR_HEADERS_OVERFLOW',
      /no answer that is valid HTTP/,
    ],
    [
      'answers 200 and then garbage',
      () => ({ bytes: 'HTTP/1.1 200 OK\r\n\r\nthis is no handshake, but a page of a portal' }),
      'tls',
      'ERR_SSL_WRONG_VERSION_NUMBER',
      /TLS handshake through the proxy/,
    ],
    [
      'answers 200 and a body',
      () => ({ bytes: 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello' }),
      'tls',
      'ERR_SSL_WRONG_VERSION_NUMBER',
      /TLS handshake through the proxy/,
    ],
    [
      'answers 200 and then nothing',
      () => ({ bytes: 'HTTP/1.1 200 OK\r\n\r\n' }),
      'connect',
      'UND_ERR_CONNECT_TIMEOUT',
      /ended before TLS was complete/,
    ],
  ];
  for (const [what, decide, kind, code, says] of FAILURES) {
    it(`tells a proxy that ${what}, and leaves no connection`, async () => {
      const proxy = await proxyTo(undefined, { decide });
      const timeoutMs = code.endsWith('TIMEOUT') ? 100 : 5_000;
      const transport = through(proxy, { timeoutMs, credentials: `user:${PASSWORD}` });
      const request = get(ORIGIN, { method: 'POST', body: 'a-token', headers: { authorization: 'a-token' } });
      await assert.rejects(transport.send(request), fails(kind, code, says));
      assert.equal(proxy.connects.length, 1);
      assert.ok(!proxy.sent().includes('a-token'));
      await until(() => proxy.open === 0, 'the connection closing');
    });
  }

  it('tells a proxy that is not there', async () => {
    const proxy = await startConnectProxy({ ports: {} });
    await proxy.close();
    const gone = fails('connect', 'ECONNREFUSED', /the proxy .* could not be reached/);
    await assert.rejects(through(proxy).send(get(ORIGIN)), gone);
  });

  it('tells a proxy whose name no host has by a code of its own, so that nobody takes it for the region', async () => {
    // A label that is too long for the DNS: nobody has to be asked.
    const url = new URL(`http://${'p'.repeat(64)}.invalid:3128`);
    await assert.rejects(through({ url }).send(get(ORIGIN)), {
      kind: 'connect',
      code: 'PROXY_ENOTFOUND',
      message: /the proxy p+\.invalid:3128 has a name that no host has/,
    });
  });

  it('ends with the signal while the proxy hangs, and leaves no connection when it is closed', async () => {
    const proxy = await proxyTo(undefined, { decide: () => 'hang' });
    const transport = through(proxy, { timeoutMs: 300 });
    const controller = new AbortController();
    const sent = transport.send(get(ORIGIN, { signal: controller.signal }));
    await until(() => proxy.connects.length === 1, 'the CONNECT');
    const reason = new Error('enough');
    controller.abort(reason);
    await assert.rejects(sent, reason);
    await transport.close();
    await until(() => proxy.open === 0, 'the connection closing');
  });

  it('tells a tunnel that breaks in the middle of an answer as a reset, like any connection', async () => {
    const server = await serve((_request, answer) => {
      answer.raw.writeHead(200, { 'content-length': '100' });
      answer.raw.write('half');
    });
    const proxy = await proxyTo(server);
    const response = await through(proxy, { tls: { ca: certificates.ca } }).send(get(ORIGIN));
    await proxy.close();
    await assert.rejects(readBody(response, 1_000), (error) => (error as TransportError).kind === 'reset');
  });
});
