// Authorities that change under a running transport: when they are read again, what happens when they cannot be, and over
// real TLS, that a server whose certificate comes from another authority is reached without a restart.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type FollowingOptions, followAuthorities } from '../../../src/transport/authorities.ts';
import { readBody, type Transport, TransportError, type TransportRequest } from '../../../src/transport/transport.ts';
import { type TLSMaterial, undiciTransport } from '../../../src/transport/undici.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { captureLog, makeCertificates, startScriptedServer } from '../../support/scripted-server.ts';

const MINUTE_MS = 60_000;
const REQUEST: TransportRequest = {
  method: 'POST',
  url: new URL('https://sts.example.com/'),
  headers: {},
  signal: new AbortController().signal,
};

/** A transport over connections that only say which authorities they were opened with. */
async function bench(more: Partial<FollowingOptions> = {}) {
  const clock = new FakeClock();
  const log = captureLog();
  const seen = { reads: 0, sent: [] as (string | undefined)[], closed: [] as (string | undefined)[] };
  const file: { tls: TLSMaterial; problem: Error | undefined; handshakeFails: boolean } = {
    tls: { ca: 'A' },
    problem: undefined,
    handshakeFails: false,
  };
  const open = (tls: TLSMaterial): Transport => ({
    async send() {
      await Promise.resolve();
      seen.sent.push(tls.ca ?? tls.extraCA);
      if (file.handshakeFails) throw new TransportError('tls', 'SELF_SIGNED_CERT_IN_CHAIN', 'sts.example.com');
      return { status: 200, headers: {}, body: (async function* none(): AsyncGenerator<Uint8Array> {})() };
    },
    async close() {
      await Promise.resolve();
      seen.closed.push(tls.ca ?? tls.extraCA);
    },
  });
  const read = async (): Promise<TLSMaterial> => {
    seen.reads += 1;
    await Promise.resolve();
    if (file.problem !== undefined) throw file.problem;
    return file.tls;
  };
  const transport = await followAuthorities({ read, open, clock, log, ...more });
  /** Sends, and lets a read that it began come to its end. */
  const send = async (): Promise<void> => {
    await transport.send(REQUEST).catch(() => undefined);
    await settle();
  };
  return { clock, log, seen, file, transport, send };
}

describe('authorities', () => {
  test('are read at the start, and again at the first request after a minute, once for all that ask', async () => {
    const { clock, seen, send } = await bench();
    await send();
    await clock.advance(MINUTE_MS - 1);
    await send();
    assert.equal(seen.reads, 1);
    await clock.advance(1);
    await Promise.all([send(), send(), send()]);
    assert.equal(seen.reads, 2);
    assert.deepEqual(seen.closed, [], 'nothing has changed');
  });

  for (const [title, tls] of [
    ['in place of the public ones', { ca: 'B' }],
    ['beside the public ones', { extraCA: 'B' }],
  ] as const) {
    test(`that changed, ${title}, are used from then on, and the old connections end after what is in flight`, async () => {
      const { clock, log, seen, file, send } = await bench();
      await send();
      file.tls = tls;
      await clock.advance(MINUTE_MS);
      await send();
      assert.deepEqual(seen.sent, ['A', 'A'], 'a request waits for no file');
      await send();
      assert.deepEqual(seen.sent, ['A', 'A', 'B']);
      assert.deepEqual(seen.closed, ['A']);
      assert.deepEqual(
        log.lines.map(({ level, fields }) => [level, fields]),
        [['info', {}]],
      );
    });
  }

  test('that cannot be read stay in use, with one warning, and are tried again every 5 seconds', async () => {
    const { clock, log, seen, file, send } = await bench();
    file.problem = new Error('--sts-ca-file /ca.crt holds no PEM certificate: give a file of PEM certificates.');
    await clock.advance(MINUTE_MS);
    await send();
    await clock.advance(5_000);
    await send();
    assert.equal(seen.reads, 3);
    assert.deepEqual(seen.sent, ['A', 'A']);
    assert.deepEqual(
      log.lines.map(({ level, fields }) => [level, fields?.['problem']]),
      [['warn', file.problem.message]],
    );
    file.problem = undefined;
    file.tls = { ca: 'B' };
    await clock.advance(5_000);
    await send();
    await send();
    assert.equal(seen.sent.at(-1), 'B');
  });

  test('that a disk does not give hold up no request', async () => {
    let reads = 0;
    const read = async (): Promise<TLSMaterial> => {
      reads += 1;
      return reads === 1 ? Promise.resolve({ ca: 'A' }) : new Promise(() => {});
    };
    const { clock, seen, send } = await bench({ read });
    await clock.advance(MINUTE_MS);
    await Promise.all([send(), send()]);
    assert.deepEqual([seen.sent, reads], [['A', 'A'], 2]);
  });

  test('that come while it closes open nothing any more', async () => {
    const { clock, seen, file, transport, send } = await bench();
    file.tls = { ca: 'B' };
    await clock.advance(MINUTE_MS);
    const sending = send();
    await transport.close();
    await sending;
    assert.deepEqual(seen.closed, ['A']);
  });

  test('are read again soon after a handshake failed, and not at every failure', async () => {
    const { clock, seen, file, send } = await bench();
    file.handshakeFails = true;
    await send();
    file.tls = { ca: 'B' };
    await send();
    assert.equal(seen.reads, 1);
    await clock.advance(5_000);
    await send();
    file.handshakeFails = false;
    await send();
    assert.deepEqual(seen.sent, ['A', 'A', 'A', 'B']);
  });

  test('that cannot be read at the start are told to whoever starts', async () => {
    const problem = new Error('no such file');
    await assert.rejects(bench({ read: async () => Promise.reject(problem) }), problem);
  });

  test('are those of the connections that close() ends', async () => {
    const { clock, seen, file, transport, send } = await bench();
    file.tls = { ca: 'B' };
    await clock.advance(MINUTE_MS);
    await send();
    await transport.close();
    assert.deepEqual(seen.closed, ['A', 'B']);
  });
});

test('over real TLS, a server of another authority is reached as soon as the file says so', async () => {
  const [first, second] = await Promise.all([makeCertificates(), makeCertificates()]);
  const clock = new FakeClock();
  const servers = await Promise.all(
    [first, second].map(async (certificates) =>
      startScriptedServer((_request, reply) => reply.json(200, {}), certificates),
    ),
  );
  let ca = first.ca;
  const transport = await followAuthorities({
    read: async () => Promise.resolve({ ca }),
    open: (tls) => undiciTransport({ connections: 1, tls, connectTimeoutMs: 5_000 }),
    clock,
    log: captureLog(),
  });
  const status = async (index: number): Promise<number> => {
    const response = await transport.send({ ...REQUEST, url: servers[index]?.url ?? REQUEST.url });
    await readBody(response, 1_000);
    return response.status;
  };
  try {
    assert.equal(await status(0), 200);
    await assert.rejects(status(1), (error: unknown) => error instanceof TransportError && error.kind === 'tls');
    ca = second.ca;
    await clock.advance(5_000);
    await assert.rejects(status(1));
    await settle();
    assert.equal(await status(1), 200);
    await assert.rejects(status(0), (error: unknown) => error instanceof TransportError && error.kind === 'tls');
  } finally {
    await transport.close();
    await Promise.all(servers.map(async (server) => server.close()));
  }
});
