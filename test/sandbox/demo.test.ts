// Promises: `npm run demo` does what it tells: run as a process, judged by its exit status, its lines and what it leaves
// behind. All runs go at once, since each of them mostly waits.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { renderTable } from '../../sandbox/demo-api.ts';
import { wrap } from '../../sandbox/demo-narrator.ts';
import { forgetProcess, reapProcess } from '../beds/processes.ts';
import { waitFor } from '../beds/wait.ts';

const DEMO = fileURLToPath(new URL('../../sandbox/demo.ts', import.meta.url));
const TIMEOUT_MS = 120_000;

interface Run {
  readonly pid: number;
  output(): string;
  readonly ended: Promise<{ status: number | null; output: string }>;
}

let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'demo-test-'));
});
after(() => rm(directory, { recursive: true, force: true }));

function run(args: readonly string[], path: string): Run {
  const env = { PATH: path, TMPDIR: directory };
  const child = spawn(process.execPath, [DEMO, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env });
  const pid = child.pid ?? 0;
  reapProcess(pid);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const ended = Promise.withResolvers<{ status: number | null; output: string }>();
  child.once('close', (status) => {
    forgetProcess(pid);
    ended.resolve({ status, output });
  });
  return { pid, output: () => output, ended: ended.promise };
}

function operatorPID(output: string): number {
  return Number(/process (\d+) works/.exec(output)?.[1]);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('the demo', { concurrency: true, timeout: TIMEOUT_MS }, () => {
  test('tells the whole life of a credential and ends with status 0', async () => {
    const { status, output } = await run([], process.env['PATH'] ?? '').ended;
    assert.equal(status, 0, output);
    assert.match(output, /API server v\S+ at https:\/\/127\.0\.0\.1:\d+/);
    assert.match(
      output,
      /NAME +READY +CLOUD +ROLE +EXPIRES +REFRESH +AGE\n +orders +True +AWS +arn:aws:iam::123456789012:role\/orders/,
    );
    const keys = [...output.matchAll(/a new key\s+(ASIA\w{16})/g)].map(([, key]) => key);
    assert.equal(new Set(keys).size, 4, 'two refreshes, one after the outage, one after the policy was repaired');
    assert.match(output, /Ready True RefreshFailing; Refreshed False STSUnavailable:/);
    assert.match(output, /Refreshed False AccessDenied:\n(?: +\| .*\n)* +\| .*system:serviceaccount:shop:orders/);
    const [, uses, accepted] = /the application: (\d+) uses, (\d+) accepted/.exec(output) ?? [];
    assert.equal(uses, accepted);
    assert.ok(Number(uses) > 20, `${uses} uses`);
    assert.match(output, /none of the 6 issued secrets/);
    assert.match(output, /npm run demo -- --keep/);
    assert.ok(!output.includes('\u001b['), 'no colour where there is no terminal');
    assert.equal(isRunning(operatorPID(output)), false);
  });

  test('ends with status 1 and the reason when STS refuses the first exchange, and needs no kubectl', async () => {
    const { status, output } = await run(['--refuse'], '').ended;
    assert.equal(status, 1, output);
    assert.match(output, /no kubectl here: the API server's own table\n +NAME +READY .*\n +orders +False +AWS/);
    assert.match(output, /The demo failed\.\norders was not issued: AccessDenied\./);
    assert.doesNotMatch(output, /5\. A pod/);
    assert.equal(isRunning(operatorPID(output)), false);
  });

  test('ends with status 1 when STS refuses a refresh', async () => {
    const { status, output } = await run(['--refuse-refreshes'], '').ended;
    assert.equal(status, 1, output);
    assert.match(output, /5\. A pod/);
    assert.match(output, /The demo failed\.\nThe refresh failed: /);
  });

  test('ends with status 130 after Ctrl-C, and the operator with it', async () => {
    const demo = run(['--keep'], '');
    await waitFor('the operator', () => /\/readyz says 200/.test(demo.output()), { timeoutMs: 30_000 });
    assert.equal(isRunning(operatorPID(demo.output())), true);
    process.kill(demo.pid, 'SIGINT');
    const { status, output } = await demo.ended;
    assert.equal(status, 130, output);
    assert.equal(isRunning(operatorPID(output)), false);
  });

  test('says which flag it does not know', async () => {
    const { status, output } = await run(['--kept'], '').ended;
    assert.equal(status, 2);
    assert.match(output, /^--kept is no flag of the demo\.\nUsage: /);
  });
});

test('no run of the demo leaves a file behind', async () => {
  assert.deepEqual(await readdir(directory), []);
});

test('the table has the columns that kubectl shows, and an empty cell for what is not known', () => {
  const columnDefinitions = [
    { name: 'Name', priority: 0 },
    { name: 'Reason', priority: 1 },
    { name: 'Age', priority: 0 },
  ];
  const rows = [{ cells: ['orders', 'Issued', '3s'] }, { cells: ['a', 'Issued', null] }];
  assert.equal(renderTable({ columnDefinitions, rows }), 'NAME     AGE\norders   3s\na');
});

test('text is wrapped between words, and a long word stays whole', () => {
  assert.deepEqual(wrap('one two three-and-more four', 8), ['one two', 'three-and-more', 'four']);
});
