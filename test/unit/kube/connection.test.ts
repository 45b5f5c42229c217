// Authentication, rotation, counting, and the server's clock.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  connectApiServer,
  discard,
  parseServer,
  type ServerCredentials,
  ServerConfigError,
} from '../../../src/kube/connection.ts';
import { readBody, TransportError, type TransportRequest } from '../../../src/transport/transport.ts';
import type { TLSMaterial } from '../../../src/transport/undici.ts';
import { FAKE_EPOCH_MS, FakeClock } from '../../support/fake-clock.ts';
import { captureLog } from '../../support/scripted-server.ts';

interface Answer {
  readonly status: number;
  readonly headers?: Record<string, string>;
}

function setup(answers: (Answer | Error)[] = []) {
  const clock = new FakeClock();
  const log = captureLog();
  const sent: { request: TransportRequest; tls: TLSMaterial }[] = [];
  const opened: { tls: TLSMaterial; closed: boolean }[] = [];
  const reads: boolean[] = [];
  const counted: unknown[][] = [];
  const dates: number[][] = [];
  let bodiesRead = 0;
  const state: { credentials: ServerCredentials | Error } = {
    credentials: { authorization: 'Bearer one', tls: { ca: 'CA1' } },
  };
  const identity = {
    server: new URL('https://api:6443'),
    read: (fresh: boolean) => {
      reads.push(fresh);
      return state.credentials instanceof Error
        ? Promise.reject(state.credentials)
        : Promise.resolve(state.credentials);
    },
  };
  const connect = () =>
    connectApiServer({
      identity,
      clock,
      log,
      userAgent: 'test/1',
      metrics: { observeRequest: (...all) => void counted.push(all) },
      onServerDate: (...all) => void dates.push(all),
      openTransport(tls) {
        const mine = { tls, closed: false };
        opened.push(mine);
        return {
          send(request) {
            sent.push({ request, tls });
            const answer = answers.shift() ?? { status: 200 };
            if (answer instanceof Error) return Promise.reject(answer);
            async function* body() {
              bodiesRead += 1;
              yield Buffer.from('{}');
            }
            return Promise.resolve({ status: answer.status, headers: answer.headers ?? {}, body: body() });
          },
          close() {
            mine.closed = true;
            return Promise.resolve();
          },
        };
      },
    });
  const request = (): TransportRequest => ({
    method: 'GET',
    url: new URL('https://api:6443/x'),
    headers: { accept: 'a' },
    signal: new AbortController().signal,
  });
  return { clock, log, sent, opened, reads, counted, dates, state, connect, request, bodiesRead: () => bodiesRead };
}

const authorizations = (sent: { request: TransportRequest }[]) =>
  sent.map(({ request }) => request.headers['authorization']);

describe('connectApiServer', () => {
  it('fails at the start when the credentials cannot be read', async () => {
    const { connect, state } = setup();
    state.credentials = new ServerConfigError('cannot read /x: fix it');
    await assert.rejects(connect(), { name: 'ServerConfigError', message: 'cannot read /x: fix it' });
  });

  it('adds authorization and user agent and leaves the rest as it is', async () => {
    const { connect, sent, request } = setup();
    await (await connect()).send(request());
    assert.deepEqual(sent[0]?.request.headers, { accept: 'a', authorization: 'Bearer one', 'user-agent': 'test/1' });
  });

  it('sends no authorization where there is none', async () => {
    const { connect, sent, request, state } = setup();
    state.credentials = { tls: { cert: 'C', key: 'K' } };
    await (await connect()).send(request());
    assert.equal('authorization' in (sent[0]?.request.headers ?? {}), false);
  });

  it('reads a token again after 60 seconds and not before', async () => {
    const { connect, sent, request, state, clock, reads } = setup();
    const server = await connect();
    state.credentials = { authorization: 'Bearer two', tls: { ca: 'CA1' } };
    await clock.advance(59_999);
    await server.send(request());
    await clock.advance(1);
    await Promise.all([server.send(request()), server.send(request())]);
    assert.deepEqual(authorizations(sent), ['Bearer one', 'Bearer two', 'Bearer two']);
    assert.deepEqual(reads, [false, false]);
  });

  it('stays with the last credentials when they cannot be read again, and says so', async () => {
    const { connect, sent, request, state, clock, log, reads } = setup();
    const server = await connect();
    state.credentials = new ServerConfigError('cannot read /token');
    await clock.advance(60_000);
    await server.send(request());
    await server.send(request());
    assert.deepEqual(authorizations(sent), ['Bearer one', 'Bearer one']);
    assert.deepEqual(
      log.lines.map(({ level, fields }) => [level, fields['problem']]),
      [['warn', 'cannot read /token']],
    );
    await clock.advance(10_000);
    await server.send(request());
    assert.equal(reads.length, 3);
  });

  it('reads the token at once after a 401 and tries exactly once more', async () => {
    const { connect, sent, request, state, reads, bodiesRead } = setup([{ status: 401 }, { status: 401 }]);
    const server = await connect();
    state.credentials = { authorization: 'Bearer two', tls: { ca: 'CA1' } };
    const response = await server.send(request());
    assert.equal(response.status, 401);
    assert.deepEqual(authorizations(sent), ['Bearer one', 'Bearer two']);
    assert.deepEqual(reads, [false, true]);
    assert.equal(bodiesRead(), 1, 'the first answer is read to its end, so that its connection is free');
  });

  it('reads once for several calls that were refused together', async () => {
    const { connect, request, reads, sent } = setup([{ status: 401 }, { status: 401 }, { status: 401 }]);
    const server = await connect();
    const responses = await Promise.all([1, 2, 3].map(() => server.send(request())));
    assert.deepEqual(
      responses.map(({ status }) => status),
      [200, 200, 200],
    );
    assert.equal(sent.length, 6);
    assert.deepEqual(reads, [false, true]);
  });

  it('gives back 429 with its Retry-After and does not wait or retry', async () => {
    const { connect, request, sent, clock } = setup([{ status: 429, headers: { 'retry-after': '7' } }]);
    const response = await (await connect()).send(request());
    assert.equal(response.status, 429);
    assert.equal(response.headers['retry-after'], '7');
    assert.equal(sent.length, 1);
    assert.equal(clock.waiters(), 0);
  });

  it('opens new connections for a new certificate authority and closes the old ones', async () => {
    const { connect, request, sent, state, clock, opened } = setup();
    const server = await connect();
    state.credentials = { authorization: 'Bearer one', tls: { ca: 'CA2' } };
    await clock.advance(60_000);
    await server.send(request());
    assert.equal(sent[0]?.tls.ca, 'CA2');
    assert.deepEqual(
      opened.map(({ tls, closed }) => [tls.ca, closed]),
      [
        ['CA1', true],
        ['CA2', false],
      ],
    );
    await server.close();
    assert.equal(opened[1]?.closed, true);
  });

  it('keeps its connections when only the token changed', async () => {
    const { connect, request, state, clock, opened } = setup();
    const server = await connect();
    state.credentials = { authorization: 'Bearer two', tls: { ca: 'CA1' } };
    await clock.advance(60_000);
    await server.send(request());
    assert.equal(opened.length, 1);
  });

  it('reads the certificate authority again after a TLS failure', async () => {
    const { connect, request, state, sent } = setup([new TransportError('tls', 'CERT_X', 'no')]);
    const server = await connect();
    state.credentials = { authorization: 'Bearer one', tls: { ca: 'CA2' } };
    await assert.rejects(server.send(request()), { kind: 'tls' });
    await server.send(request());
    assert.equal(sent[1]?.tls.ca, 'CA2');
  });

  it('counts each exchange by method and code, failures as <error>', async () => {
    const { connect, request, counted } = setup([{ status: 404 }, new TransportError('reset', 'ECONNRESET', 'gone')]);
    const server = await connect();
    await server.send(request());
    await assert.rejects(server.send(request()));
    assert.deepEqual(counted, [
      ['GET', '404', 0],
      ['GET', '<error>', 0],
    ]);
  });

  it('tells the Date of the server with our times, and nothing when it is missing or wrong', async () => {
    const { connect, request, dates } = setup([
      { status: 200, headers: { date: 'Thu, 01 Jan 2026 00:00:07 GMT' } },
      { status: 200, headers: { date: 'yesterday' } },
      { status: 200 },
    ]);
    const server = await connect();
    for (let call = 0; call < 3; call += 1) await server.send(request());
    assert.deepEqual(dates, [[FAKE_EPOCH_MS + 7_000, FAKE_EPOCH_MS, FAKE_EPOCH_MS]]);
  });

  it('does not believe the Date of a failing gateway, which may stand between us and the server', async () => {
    const { connect, request, dates } = setup([
      { status: 502, headers: { date: 'Thu, 01 Jan 1970 00:00:00 GMT' } },
      { status: 404, headers: { date: 'Thu, 01 Jan 2026 00:00:07 GMT' } },
    ]);
    const server = await connect();
    for (let call = 0; call < 2; call += 1) await server.send(request());
    assert.deepEqual(dates, [[FAKE_EPOCH_MS + 7_000, FAKE_EPOCH_MS, FAKE_EPOCH_MS]]);
  });
});

describe('discard', () => {
  it('gives up a long body and takes a broken one as it is', async () => {
    let chunks = 0;
    async function* long() {
      for (;;) {
        chunks += 1;
        yield Buffer.alloc(16_384);
      }
    }
    await discard({ status: 401, headers: {}, body: long() });
    assert.equal(chunks, 5);
    async function* broken() {
      yield Buffer.alloc(1);
      throw new TransportError('reset', 'ECONNRESET', 'gone');
    }
    await discard({ status: 401, headers: {}, body: broken() });
    await assert.rejects(readBody({ status: 401, headers: {}, body: broken() }, 10), { kind: 'reset' });
  });
});

describe('parseServer', () => {
  it('takes https anywhere and http on the loopback only, and drops what is not an address', () => {
    assert.equal(parseServer('https://api.example:6443/k8s/c1//?a=1#b', 'x').href, 'https://api.example:6443/k8s/c1');
    assert.equal(parseServer('http://127.0.0.1:8080', 'x').href, 'http://127.0.0.1:8080/');
    assert.equal(parseServer('http://[::1]:8080', 'x').href, 'http://[::1]:8080/');
    assert.throws(() => parseServer('http://api.example', 'server'), /server uses http:.*use https/);
    assert.throws(() => parseServer('http://127.0.0.1.example', 'server'), /use https/);
    assert.throws(() => parseServer('nonsense', 'server'), /server is not a URL; write it as https:\/\/host:port/);
    assert.throws(
      () => parseServer('https://u:p@host', 'server'),
      (error: Error) => {
        assert.match(error.message, /contains a user or password/);
        assert.doesNotMatch(error.message, /u:p/);
        return true;
      },
    );
  });
});
