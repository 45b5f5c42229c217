// The process's edge, as a child process: exit codes, and one sentence on standard error for whatever goes wrong.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Sandbox, startSandbox } from '../../sandbox/sandbox.ts';
import { FLAGS } from '../../src/options.ts';
import { VERSION } from '../../src/version.ts';
import { waitFor } from '../beds/wait.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const LIMIT_MS = 20_000;

interface End {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Running {
  readonly child: ChildProcess;
  readonly stdout: () => string;
  readonly end: Promise<End>;
}

/** Starts main with an environment of its own. */
function start(args: readonly string[], options: { env?: NodeJS.ProcessEnv; stdout?: number } = {}): Running {
  const { env = {}, stdout = 'pipe' } = options;
  const child = spawn(process.execPath, [MAIN, ...args], {
    env,
    stdio: ['ignore', stdout, 'pipe'],
    timeout: LIMIT_MS,
  });
  const text = { stdout: '', stderr: '' };
  child.stdout?.on('data', (chunk: Buffer) => (text.stdout += chunk.toString()));
  child.stderr?.on('data', (chunk: Buffer) => (text.stderr += chunk.toString()));
  const end = new Promise<End>((resolve) => {
    child.once('close', (code) => resolve({ code, ...text }));
  });
  return { child, stdout: () => text.stdout, end };
}

async function run(...args: string[]): Promise<End> {
  return await start(args).end;
}

/** One line, and no stack. */
function assertSentence(stderr: string, pattern: RegExp): void {
  assert.match(stderr, pattern);
  assert.match(stderr, /^workload-credentials: [^\n]+\n$/);
}

describe('main', { timeout: 120_000, concurrency: 2 }, () => {
  let directory: string;
  let sandbox: Sandbox;
  let kubeconfig: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'main-'));
    sandbox = await startSandbox();
    kubeconfig = join(directory, 'kubeconfig');
    await sandbox.writeKubeconfig(kubeconfig);
  });
  after(async () => {
    await sandbox.stop();
    await rm(directory, { recursive: true });
  });

  const operatorArgs = (): string[] => [
    `--kubeconfig=${kubeconfig}`,
    '--leader-elect=false',
    '--listen-address=127.0.0.1:0',
  ];

  test('--version prints the version', async () => {
    assert.deepEqual(await run('--version'), { code: 0, stdout: `${VERSION}\n`, stderr: '' });
  });

  test('--help lists the flags', async () => {
    const { code, stdout } = await run('--help');
    assert.equal(code, 0);
    for (const name of Object.keys(FLAGS)) assert.ok(stdout.includes(`--${name}=`), name);
  });

  test('a wrong command line ends with status 2 and all its mistakes', async () => {
    const { code, stdout, stderr } = await run('--workers=0', '--colour=red');
    assert.equal(code, 2);
    assert.equal(stdout, '');
    assert.match(stderr, /the command line is wrong\.\n {2}.*--colour.*\n {2}--workers is "0"/s);
  });

  test('outside a pod and without --kubeconfig it says what to pass', async () => {
    const { code, stderr } = await run();
    assert.equal(code, 1);
    assertSentence(stderr, /KUBERNETES_SERVICE_HOST.*--kubeconfig=FILE/);
  });

  test('in a pod without a mounted token it says how to mount it', async () => {
    const env = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: '1' };
    const { code, stderr } = await start([], { env }).end;
    assert.equal(code, 1);
    assertSentence(stderr, /serviceaccount\/.*cannot read|cannot read .*serviceaccount.*automountServiceAccountToken/);
  });

  test('a kubeconfig that cannot be read is named', async () => {
    const path = join(directory, 'missing');
    const { code, stderr } = await run(`--kubeconfig=${path}`, '--leader-elect=false');
    assert.equal(code, 1);
    assert.ok(stderr.includes(path));
    assertSentence(stderr, /ENOENT.*--kubeconfig/);
  });

  test('a kubeconfig that is none is not repeated', async () => {
    const path = join(directory, 'broken');
    await writeFile(path, 'users: [{name: x, user: {token: a-token-of-somebody');
    const { code, stderr } = await run(`--kubeconfig=${path}`, '--leader-elect=false');
    assert.equal(code, 1);
    assertSentence(stderr, /is not a valid kubeconfig/);
    assert.ok(!stderr.includes('a-token-of-somebody'));
  });

  test('a file of authorities that holds none is told', async () => {
    const path = join(directory, 'empty.pem');
    await writeFile(path, 'nothing\n');
    for (const [file, says] of [
      [path, /--sts-ca-file .* holds no PEM certificate/],
      [join(directory, 'missing.pem'), /--sts-ca-file .* cannot be read \(ENOENT\)/],
    ] as const) {
      const { code, stderr } = await run(...operatorArgs(), `--sts-ca-file=${file}`);
      assert.equal(code, 1);
      assertSentence(stderr, says);
    }
  });

  test('a port that is in use is told with the flag', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => {
      other.listen(0, '127.0.0.1', resolve);
    });
    const { port } = other.address() as AddressInfo;
    const { code, stderr } = await run(...operatorArgs().slice(0, 2), `--listen-address=127.0.0.1:${port}`);
    other.close();
    assert.equal(code, 1);
    assertSentence(stderr, new RegExp(`--listen-address 127\\.0\\.0\\.1:${port}`));
  });

  test('a standard output that takes nothing ends it, since there would be no audit log', {
    skip: existsSync('/dev/full') ? false : 'there is no /dev/full',
  }, async () => {
    const stdout = openSync('/dev/full', 'w');
    const { code, stderr } = await start(operatorArgs(), { stdout }).end;
    closeSync(stdout);
    assert.equal(code, 1);
    assertSentence(stderr, /cannot be written to standard output \(ENOSPC\)/);
  });

  test('SIGTERM ends it in order, with status 0', async () => {
    const running = start(operatorArgs());
    await waitFor('the start', () => running.stdout().includes('operator started'), { timeoutMs: LIMIT_MS });
    running.child.kill('SIGTERM');
    const { code, stdout, stderr } = await running.end;
    assert.equal(stderr, '');
    assert.equal(code, 0);
    assert.match(stdout, /"message":"operator stopped"/);
    for (const line of stdout.trimEnd().split('\n')) JSON.parse(line);
  });
});
