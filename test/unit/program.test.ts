// The last handler of errors, in itself: what it logs, what it leaves out, and that it ends the process in any case.
// The command line, signals and the rest are tested as a process, in main.test.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crashHandler, lagSeconds } from '../../src/program.ts';
import type { Log, LogFields } from '../../src/runtime/log.ts';

const ignore = (): void => undefined;

function crash(error: unknown, write?: () => void): { lines: [string, LogFields | undefined][]; status: number[] } {
  const lines: [string, LogFields | undefined][] = [];
  const status: number[] = [];
  const log: Log = {
    debug: ignore,
    info: ignore,
    warn: ignore,
    error: (message, fields) => {
      write?.();
      lines.push([message, fields]);
    },
  };
  crashHandler(log, (code) => status.push(code))(error);
  return { lines, status };
}

test('an error is told by its name, code and place, never by its message', () => {
  const error = Object.assign(new RangeError('Unexpected token in "the-secret"\n    at the-secret:1:1'), {
    code: 'E_X',
  });
  const { lines, status } = crash(error);
  assert.deepEqual(status, [1]);
  assert.equal(lines.length, 1);
  const [message, fields = {}] = lines[0] ?? [''];
  assert.equal(message, 'an unforeseen error ended the process');
  assert.deepEqual([fields['errorName'], fields['errorCode']], ['RangeError', 'E_X']);
  const at = fields['at'] as string[];
  assert.match(at[0] ?? '', /^at .*program\.test\.ts:\d+:\d+\)?$/);
  assert.ok(at.length <= 10);
  assert.ok(!JSON.stringify(lines).includes('the-secret'));
});

test('a message that was changed after the stack was made is left out too', () => {
  const error = new Error('the-secret\nof two lines');
  error.message = 'another';
  const { lines } = crash(error);
  assert.ok(!JSON.stringify(lines).includes('the-secret'));
  assert.ok(!JSON.stringify(lines).includes('of two lines'));
});

test('what is thrown and no error is told by its type', () => {
  for (const [thrown, name] of [
    ['the-secret', 'string'],
    [undefined, 'undefined'],
    [{ token: 'the-secret' }, 'object'],
  ] as const) {
    const { lines, status } = crash(thrown);
    assert.deepEqual(status, [1]);
    assert.equal(lines[0]?.[1]?.['errorName'], name);
    assert.ok(!JSON.stringify(lines).includes('the-secret'));
  }
});

test('a log that fails does not keep the process alive', () => {
  const status: number[] = [];
  const log: Log = {
    debug: ignore,
    info: ignore,
    warn: ignore,
    error: () => {
      throw new Error('full');
    },
  };
  assert.throws(() => crashHandler(log, (code) => status.push(code))(new Error('x')), /full/);
  assert.deepEqual(status, [1]);
});

test("the event loop's lag is what comes on top of the sampler's own 100 ms, and nothing before the first sample", () => {
  assert.equal(lagSeconds(Number.NaN), 0);
  assert.equal(lagSeconds(99_000_000), 0);
  assert.ok(Math.abs(lagSeconds(350_000_000) - 0.25) < 1e-9);
});
