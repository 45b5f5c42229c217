// Promises: three paths, plain answers, no connection left behind, and a sentence when it cannot listen.
import assert from 'node:assert/strict';
import { type IncomingHttpHeaders, request } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { parseAddress, TelemetryServer, type TelemetryServerOptions } from '../../../src/telemetry/server.ts';

interface Seen {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

function ask(port: number, path: string, method = 'GET', body = ''): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, method, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: text }));
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

async function withServer(
  over: Partial<TelemetryServerOptions>,
  run: (port: number, server: TelemetryServer) => Promise<void>,
): Promise<void> {
  const server = new TelemetryServer({
    address: '127.0.0.1:0',
    livez: () => undefined,
    readyz: () => undefined,
    metrics: () => Promise.resolve('a_metric 1\n'),
    ...over,
  });
  const { host, port } = await server.listen();
  assert.equal(host, '127.0.0.1');
  try {
    await run(port, server);
  } finally {
    await server.close();
  }
}

test('a good process answers 200 ok', async () => {
  await withServer({}, async (port) => {
    for (const path of ['/livez', '/readyz', '/livez?verbose']) {
      const seen = await ask(port, path);
      assert.deepEqual([seen.status, seen.body, seen.headers.connection], [200, 'ok\n', 'close']);
    }
  });
});

test('a check that fails answers 503 with its sentence, each path its own', async () => {
  await withServer({ readyz: () => 'the caches are not synced: secrets' }, async (port) => {
    assert.equal((await ask(port, '/livez')).status, 200);
    const seen = await ask(port, '/readyz');
    assert.deepEqual([seen.status, seen.body], [503, 'the caches are not synced: secrets\n']);
  });
});

test('metrics are Prometheus text', async () => {
  await withServer({}, async (port) => {
    const seen = await ask(port, '/metrics');
    assert.deepEqual(
      [seen.status, seen.body, seen.headers['content-type']],
      [200, 'a_metric 1\n', 'text/plain; version=0.0.4; charset=utf-8'],
    );
  });
});

test('HEAD has the headers and no body', async () => {
  await withServer({}, async (port) => {
    const seen = await ask(port, '/metrics', 'HEAD');
    assert.deepEqual([seen.status, seen.body, seen.headers['content-length']], [200, '', '11']);
  });
});

test('other paths are 404, other methods 405', async () => {
  await withServer({}, async (port) => {
    for (const path of ['/', '/healthz', '/livez/', '/metrics/x', '/..', '/debug/pprof']) {
      assert.equal((await ask(port, path)).status, 404, path);
    }
    const seen = await ask(port, '/livez', 'POST', 'a body');
    assert.deepEqual([seen.status, seen.headers.allow], [405, 'GET, HEAD']);
  });
});

test('a check or scrape that throws is 500 and tells nothing of the error', async () => {
  const broken = {
    livez: () => {
      throw new Error('the secret');
    },
    metrics: () => Promise.reject(new Error('the secret')),
  };
  await withServer(broken, async (port) => {
    for (const path of ['/livez', '/metrics']) {
      const seen = await ask(port, path);
      assert.deepEqual([seen.status, seen.body], [500, 'failed\n']);
    }
  });
});

test('close ends connections that are idle or half way, and can be called again', async () => {
  await withServer({}, async (port, server) => {
    const ends: Promise<void>[] = [];
    for (const text of ['', 'GET /livez HTTP/1.1\r\nHost:']) {
      const socket = connect(port, '127.0.0.1');
      await new Promise<void>((resolve) => socket.once('connect', resolve));
      socket.on('error', () => undefined);
      socket.write(text);
      ends.push(new Promise((resolve) => socket.once('close', () => resolve())));
    }
    assert.equal((await ask(port, '/livez')).status, 200);
    await server.close();
    await Promise.all(ends);
    await assert.rejects(ask(port, '/livez'));
  });
});

test('a client that goes away in the middle of an answer does no harm', async () => {
  await withServer({ metrics: () => Promise.resolve('x'.repeat(5_000_000)) }, async (port) => {
    const socket = connect(port, '127.0.0.1');
    socket.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n');
    await new Promise<void>((resolve) => socket.once('data', () => resolve()));
    socket.destroy();
    assert.equal((await ask(port, '/livez')).status, 200);
  });
});

test('a port in use is one sentence that names the flag', async () => {
  await withServer({}, async (port) => {
    const second = new TelemetryServer({
      address: `127.0.0.1:${port}`,
      livez: () => undefined,
      readyz: () => undefined,
      metrics: () => Promise.resolve(''),
    });
    await assert.rejects(second.listen(), {
      message: `--listen-address 127.0.0.1:${port}: something else listens there (EADDRINUSE); stop it or choose another port.`,
    });
    await second.close();
  });
});

test('an address that this machine does not have is one sentence that names the flag', async () => {
  const server = new TelemetryServer({
    address: '192.0.2.1:0',
    livez: () => undefined,
    readyz: () => undefined,
    metrics: () => Promise.resolve(''),
  });
  await assert.rejects(server.listen(), { message: /^--listen-address 192\.0\.2\.1:0: .*EADDRNOTAVAIL/ });
});

for (const [text, parsed] of [
  [':8080', { port: 8080 }],
  ['0.0.0.0:8080', { host: '0.0.0.0', port: 8080 }],
  ['[::1]:0', { host: '::1', port: 0 }],
  ['localhost:65535', { host: 'localhost', port: 65_535 }],
] as const) {
  test(`--listen-address ${text} is understood`, () => {
    assert.deepEqual(parseAddress(text), parsed);
  });
}

for (const text of ['', '8080', ':', ':65536', ':http', '::1:8080', 'http://localhost:8080', 'a b:80', ':80\n']) {
  test(`--listen-address ${JSON.stringify(text)} is refused with one sentence that names the flag`, () => {
    assert.throws(() => parseAddress(text), /^Error: --listen-address ".*" is no address: write host:port/);
  });
}
