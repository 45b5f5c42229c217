// Promises: one JSON line per call, nothing secret in it whatever was passed, and a stream that fails ends in one report.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import type { LogFields } from '../../../src/runtime/log.ts';
import { jsonLog, type LogLevel, redact } from '../../../src/telemetry/logger.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';

class Sink extends Writable {
  readonly lines: string[] = [];
  failure: Error | undefined;
  attempts = 0;

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.attempts += 1;
    if (this.failure !== undefined) return done(this.failure);
    this.lines.push(chunk.toString());
    done();
  }
}

function setUp(level: LogLevel = 'debug') {
  const stream = new Sink();
  const clock = new FakeClock();
  const failures: string[] = [];
  const log = jsonLog({ stream, level, clock, onWriteFailure: (sentence) => failures.push(sentence) });
  return { stream, clock, failures, log, parsed: () => stream.lines.map((line) => JSON.parse(line) as LogFields) };
}

const JWT = `${Buffer.from('{"alg":"RS256"}').toString('base64url')}.${Buffer.from('{"iss":"x","sub":"y"}').toString('base64url')}.c2lnbmF0dXJl-_abc`;
const SECRET_KEY = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKE1';
const SESSION_TOKEN = `IQoJb3JpZ2luX2VjEJr//////////wEaCWV1LXdlc3QtMSJ${'Aa0+/'.repeat(60)}==`;

test('a line has the time of the clock, the level, the message and the fields', () => {
  const { log, parsed, stream } = setUp();
  log.info('the exchange succeeded', { namespace: 'shop', durationSeconds: 3600, forced: false, list: ['a', 'b'] });
  assert.deepEqual(parsed(), [
    {
      time: '2026-01-01T00:00:00.000Z',
      level: 'info',
      message: 'the exchange succeeded',
      namespace: 'shop',
      durationSeconds: 3600,
      forced: false,
      list: ['a', 'b'],
    },
  ]);
  assert.ok(stream.lines[0]?.startsWith('{"time":"2026-01-01T00:00:00.000Z","level":"info","message":"the exchange'));
  assert.ok(stream.lines[0]?.endsWith('}\n'));
});

for (const [level, written] of [
  ['error', ['error']],
  ['warn', ['warn', 'error']],
  ['info', ['info', 'warn', 'error']],
  ['debug', ['debug', 'info', 'warn', 'error']],
] as const) {
  test(`at level ${level} the lines ${written.join(', ')} are written`, () => {
    const { log, parsed } = setUp(level);
    log.debug('m');
    log.info('m');
    log.warn('m');
    log.error('m');
    assert.deepEqual(
      parsed().map((line) => line['level']),
      written,
    );
  });
}

test('a field cannot take the place of time, level or message, nor reach what winston does with such fields', () => {
  const { log, parsed } = setUp();
  log.info('the message', { message: 'x', level: 'error', time: 'never', stack: 'kept', splat: 'kept', ms: 1 });
  assert.deepEqual(parsed(), [
    { time: '2026-01-01T00:00:00.000Z', level: 'info', message: 'the message', stack: 'kept', splat: 'kept', ms: 1 },
  ]);
});

for (const [what, text] of [
  ['a JWT', JWT],
  ['a JWT in a sentence', `the token ${JWT} was refused`],
  ['a JWT in a URL', `https://sts.example/?WebIdentityToken=${JWT}&x=1`],
  ['the beginning of a JWT', JWT.slice(0, 40)],
  ['a Bearer header', 'Authorization: Bearer 0123456789-opaque'],
  ['a Bearer header in lower case', 'authorization: bearer 0123456789-opaque'],
  ['a Basic header', 'Basic dXNlcjpodW50ZXIy'],
  ['a secret access key', SECRET_KEY],
  ['a secret access key in JSON', `{"SecretAccessKey":"${SECRET_KEY}"}`],
  ['a secret access key after a line end', `keys:\n${SECRET_KEY}\n`],
  ['a session token', SESSION_TOKEN],
  ['a session token in an ini file', `aws_session_token=${SESSION_TOKEN}\nregion=x`],
] as const) {
  test(`${what} is removed from a field, from a list and from the message`, () => {
    const { log, stream } = setUp();
    log.info(text, { field: text, list: [text] });
    const line = stream.lines.join('');
    for (const secret of [
      JWT,
      JWT.slice(0, 40),
      SECRET_KEY,
      SESSION_TOKEN.slice(60, 120),
      '0123456789-opaque',
      'dXNlcjpodW50ZXIy',
    ]) {
      assert.ok(!line.includes(secret), line);
    }
    assert.equal(line.split('[removed]').length, 4, line);
  });
}

for (const text of [
  'arn:aws:iam::123456789012:role/platform/orders-production-Eu-West-1-writer-of-everything',
  '3f786850e387550fdab836ed7e6dc881de23001b',
  'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  'e7c1f5d0-8f0e-4b5e-9c55-0c9f3c8b2a11',
  'system:serviceaccount:shop:orders',
  'The Bearer of bad news',
]) {
  test(`"${text}" is no secret and stays`, () => {
    assert.equal(redact(text), text);
  });
}

test('property: no JWT survives, whatever stands around it and however long the text is', () => {
  fc.assert(
    fc.property(
      fc.string({ maxLength: 50 }),
      fc.string({ maxLength: 50 }),
      fc.nat(20_000),
      (before, after, padding) => {
        const told = redact(`${'x '.repeat(padding / 2)}${before} ${JWT}${after}`);
        assert.ok(!told.includes(JWT.slice(0, 30)));
        assert.ok(told.length <= 2_048 + 3);
      },
    ),
    { numRuns: 200 },
  );
});

test('a value is cut to 2,048 characters, a list to 64 values, a line to 64 fields', () => {
  const { log, parsed } = setUp();
  const many = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`field${index}`, index]));
  log.info('m', { long: 'a b '.repeat(10_000), list: Array.from({ length: 100 }, () => 'x') });
  log.info('m', many);
  const [first, second] = parsed();
  assert.equal(String(first?.['long']).length, 2_051);
  assert.equal((first?.['list'] as string[] | undefined)?.length, 64);
  assert.equal(Object.keys(second ?? {}).length, 67);
});

test('an object that got past the types is not printed', () => {
  const { log, stream } = setUp();
  log.info('m', { secret: { data: { key: 'plain' } }, nothing: null, absent: undefined } as unknown as LogFields);
  assert.ok(stream.lines[0]?.includes('"secret":"[object]"'));
  assert.ok(!stream.lines[0]?.includes('plain'));
});

test('a stream that fails is reported once, and nothing more is written to it', async () => {
  const { log, stream, failures } = setUp();
  log.info('good');
  stream.failure = Object.assign(new Error('write EPIPE'), { code: 'EPIPE' });
  log.info('lost');
  await settle();
  const { attempts } = stream;
  for (let index = 0; index < 100; index += 1) log.error('lost too');
  await settle();
  assert.deepEqual(failures, [
    'the log cannot be written to standard output (EPIPE): check what reads it and the space that it has',
  ]);
  assert.equal(stream.lines.length, 1);
  assert.equal(stream.attempts, attempts);
});

test('a stream that throws is reported once and its error reaches no caller', () => {
  const { log, stream, failures } = setUp();
  stream.write = () => {
    throw new Error('ENOSPC');
  };
  log.info('lost');
  log.info('lost');
  stream.emit('error', new Error('late'));
  assert.equal(failures.length, 1);
  assert.match(failures[0] ?? '', /\(unknown\)/);
});

const SCRIPT = `
  import { jsonLog } from ${JSON.stringify(new URL('../../../src/telemetry/logger.ts', import.meta.url).href)};
  const clock = { now: () => 0, monotonicMs: () => 0, setTimer: () => ({ cancel() {} }) };
  let reports = 0;
  const log = jsonLog({ stream: process.stdout, level: 'info', clock, onWriteFailure: (sentence) => {
    reports += 1;
    process.stderr.write(sentence + '\\n');
    process.exitCode = 3;
    clearInterval(timer);
  } });
  let turns = 0;
  const timer = setInterval(() => {
    for (let index = 0; index < 100; index += 1) log.info('a line', { index });
    turns += 1;
    if (turns > 2000) clearInterval(timer);
  }, 1);
`;

test('standard output on a full disk ends in one sentence and an exit code of our choice', {
  skip: !existsSync('/dev/full') && 'there is no /dev/full here',
}, async () => {
  const ended = Promise.withResolvers<{ code: unknown; stderr: string }>();
  const child = execFile(
    '/bin/sh',
    ['-c', 'exec "$0" --input-type=module -e "$1" > /dev/full', process.execPath, SCRIPT],
    { timeout: 20_000 },
    (error, _stdout, stderr) => ended.resolve({ code: error?.code ?? 0, stderr }),
  );
  const { code, stderr } = await ended.promise;
  assert.equal(code, 3, `${child.signalCode} ${stderr}`);
  assert.equal(
    stderr,
    'the log cannot be written to standard output (ENOSPC): check what reads it and the space that it has\n',
  );
});

test('standard output whose reader is gone ends in one sentence and an exit code of our choice', async () => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', SCRIPT], { timeout: 20_000 });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  child.stdout.once('data', () => child.stdout.destroy());
  const code = await new Promise((resolve) => child.once('close', resolve));
  assert.equal(code, 3, stderr);
  assert.equal(
    stderr,
    'the log cannot be written to standard output (EPIPE): check what reads it and the space that it has\n',
  );
});
