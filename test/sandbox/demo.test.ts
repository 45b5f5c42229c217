// Promises: `npm run demo` does what it tells: run as a process, judged by its exit status, its lines and what it leaves
// behind. All runs go at once, since each of them mostly waits. README.md and docs/quickstart.md tell the reader to run it.
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
/** A run takes 40 s; how much more when other tests keep the machine busy is not what is tested. */
const TIMEOUT_MS = 240_000;

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
  test('tells the whole life of a credential on three clouds and ends with status 0', async () => {
    const { status, output } = await run([], process.env['PATH'] ?? '').ended;
    assert.equal(status, 0, output);
    assert.match(output, /API server v\S+ at https:\/\/127\.0\.0\.1:\d+/);
    assert.match(output, /\n +NAME +READY +CLOUD +ROLE +EXPIRES +REFRESH +AGE\n/);
    for (const [name, cloud, role] of [
      ['orders', 'AWS', 'arn:aws:iam::123456789012:role/orders'],
      ['orders-alibaba', 'AlibabaCloud', 'acs:ram::1234567890123456:role/orders'],
      ['orders-volcengine', 'Volcengine', 'trn:iam::2100000001:role/orders'],
    ]) {
      assert.match(output, new RegExp(`\\n +${name} +True +${cloud} +${role} `));
    }
    for (const [title, key, identity] of [
      ['AWS', 'ASIA', 'arn:aws:sts::123456789012:assumed-role/orders/shop.orders.orders'],
      ['Alibaba Cloud', 'STS\\.', 'acs:ram::1234567890123456:assumed-role/orders/shop.orders.orders-alibaba'],
      ['Volcengine', 'AKTP', 'trn:sts::2100000001:assumed-role/orders/shop.orders.orders-volcengine'],
    ]) {
      assert.match(output, new RegExp(`STS says that it is\\s+${identity}\\s+.*with key\\s+(${key}\\w+);`));
      assert.match(output, new RegExp(`${title}: a new key\\s+${key}\\w+,\\s+\\d+\\.\\d s\\s+before`));
      assert.match(output, new RegExp(`${title}: the application uses it,\\s+without a\\s+restart`));
      assert.match(output, new RegExp(`STS of ${title}: \\d+ exchanges, [2-9]\\d* issued`));
      const uses = new RegExp(`the ${title} application: (\\d+) uses,\\s+(\\d+)\\s+accepted`).exec(output) ?? [];
      assert.equal(uses[1], uses[2], title);
      assert.ok(Number(uses[1]) > 20, `${title}: ${uses[1]} uses`);
    }
    const keys = [...output.matchAll(/a new key\s+(ASIA\w{16})/g)].map(([, key]) => key);
    assert.equal(new Set(keys).size, 3, 'a refresh, one after the outage, one after the policy was repaired');
    assert.match(output, /Ready True RefreshFailing; Refreshed False STSUnavailable:/);
    assert.match(output, /Volcengine meanwhile: Ready True Issued/);
    assert.match(output, /Refreshed False AccessDenied:\n(?: +\| .*\n)* +\| .*system:serviceaccount:shop:orders/);
    assert.match(output, /none of the \d+ issued secrets/);
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

  for (const [flag, name] of [
    ['--refuse-refreshes', 'orders'],
    ['--refuse-refreshes=AlibabaCloud', 'orders-alibaba'],
  ] as const) {
    test(`ends with status 1 when STS refuses a refresh: ${flag}`, async () => {
      const { status, output } = await run([flag], '').ended;
      assert.equal(status, 1, output);
      assert.match(output, /5\. A pod/);
      assert.match(output, new RegExp(`The demo failed\\.\\nThe refresh of ${name} failed: `));
      assert.doesNotMatch(output, /7\. The STS/);
    });
  }

  test('ends with status 1 when another STS refuses the first exchange', async () => {
    const { status, output } = await run(['--refuse=Volcengine'], '').ended;
    assert.equal(status, 1, output);
    assert.match(output, /\n +orders +True +AWS .*\n(.*\n)* +orders-volcengine +False +Volcengine/);
    assert.match(output, /The demo failed\.\norders-volcengine was not issued: AccessDenied\./);
    assert.equal(isRunning(operatorPID(output)), false);
  });

  test('ends with status 130 after Ctrl-C, and the operator with it', async () => {
    const demo = run(['--keep'], '');
    await waitFor('the operator', () => /\/readyz says 200/.test(demo.output()), { timeoutMs: 90_000 });
    assert.equal(isRunning(operatorPID(demo.output())), true);
    process.kill(demo.pid, 'SIGINT');
    const { status, output } = await demo.ended;
    assert.equal(status, 130, output);
    assert.equal(isRunning(operatorPID(output)), false);
  });

  test('says which flag it does not know', async () => {
    for (const flag of ['--kept', '--refuse=Azure']) {
      const { status, output } = await run([flag], '').ended;
      assert.equal(status, 2);
      assert.ok(output.startsWith(`${flag} is no flag of the demo.\nUsage: `), output);
    }
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
