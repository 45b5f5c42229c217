// The process's edge, as a child process: exit codes, and one sentence on standard error for whatever goes wrong.
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { transform } from 'esbuild';
import { type Sandbox, startSandbox } from '../../sandbox/sandbox.ts';
import { FLAGS } from '../../src/options.ts';
import { VERSION } from '../../src/version.ts';
import { waitFor } from '../beds/wait.ts';
import { compileCache } from '../support/compile-cache.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const BUNDLE = fileURLToPath(new URL('../../tools/bundle.ts', import.meta.url));
const PACKAGE = new URL('../../package.json', import.meta.url);
const LIMIT_MS = 20_000;

/** A module for --import that makes Node say that it is of another version. */
const pretend = (version: string): string =>
  `--import=data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'${version}'}})`;

/** A module for --import that sends SIGTERM as soon as anybody listens for it, and says whether that is before the program. */
const SIGNALLED =
  "--import=data:text/javascript,let seen=false;process.on('newListener',(name)=>{if(name!=='SIGTERM'||seen)return;seen=true;process.stderr.write(new Error().stack.includes('pro'+'gram.ts')?'late':'early');queueMicrotask(()=>process.kill(process.pid,'SIGTERM'))})";

/** A module for --import that lets a signal make an error that nobody catches, with a made-up token in its message. */
const TOKEN = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl and more of it';
const failBy = (statement: string): string =>
  `--import=data:text/javascript,process.on('SIGUSR2',function made(){const error=Object.assign(new TypeError('${encodeURIComponent(TOKEN)}'),{code:'E_MADE_UP'});${statement}})`;

/** A Node of this machine that is too old for the program, if there is one. */
const OLD_NODE = ['/usr/bin/node', '/usr/local/bin/node'].find((path) => {
  const version = spawnSync(path, ['--version'], { encoding: 'utf8', timeout: LIMIT_MS }).stdout;
  const [major = 0, minor = 0] = (version ?? '').replace('v', '').split('.').map(Number);
  return major >= 18 && (major < 22 || (major === 22 && minor < 20));
});

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

interface StartOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly stdout?: number;
  /** Arguments of Node itself. */
  readonly node?: readonly string[];
}

/** Starts main with an environment of its own. */
function start(args: readonly string[], options: StartOptions = {}): Running {
  const { env = {}, stdout = 'pipe', node = [] } = options;
  const child = spawn(process.execPath, [...node, MAIN, ...args], {
    env: { ...compileCache(), ...env },
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
    assertSentence(stderr, /cannot read .*serviceaccount.*mount the ServiceAccount's token/);
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
    const broken = join(directory, 'broken.pem');
    const nonsense = '-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n-----END CERTIFICATE-----\n';
    await writeFile(broken, `${sandbox.caPEM}\n${nonsense}`);
    for (const [flag, file, says] of [
      ['--sts-ca-file', path, /--sts-ca-file .* holds no PEM certificate/],
      ['--sts-extra-ca-file', path, /--sts-extra-ca-file .* holds no PEM certificate/],
      ['--sts-ca-file', join(directory, 'missing.pem'), /--sts-ca-file .* cannot be read \(ENOENT\)/],
      ['--sts-extra-ca-file', broken, /--sts-extra-ca-file .*: certificate 2 of 2 cannot be read/],
    ] as const) {
      const { code, stderr } = await run(...operatorArgs(), `${flag}=${file}`);
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

  test('listens for signals before it is read: the first process of a container gets no others', async () => {
    const args = [`--kubeconfig=${kubeconfig}`, '--leader-elect=false', '--listen-address=127.0.0.1:0'];
    const { code, stdout, stderr } = await start(args, { node: [SIGNALLED] }).end;
    assert.deepEqual([code, stderr], [0, 'early']);
    assert.ok(!stdout.includes('this replica works'), stdout);
  });

  test('on a Node that is too old it says which one it needs, with the status of a wrong command line', async () => {
    const { engines } = JSON.parse(await readFile(PACKAGE, 'utf8')) as { engines: { node: string } };
    const least = engines.node.replace('>=', '');
    for (const version of ['20.20.2', '22.19.9', '18.0.0']) {
      const { code, stdout, stderr } = await start(['--version'], { node: [pretend(version)] }).end;
      assert.deepEqual([code, stdout], [2, ''], version);
      assertSentence(stderr, /node_modules\/\.bin\/node/);
      assert.ok(stderr.includes(`Node ${version}, and ${least} or newer`), stderr);
    }
    for (const version of [`${least}.0`, '23.0.0', '24.21.0']) {
      assert.equal((await start(['--version'], { node: [pretend(version)] }).end).code, 0, version);
    }
  });

  test('a real Node that is too old reads it, as a file and as the bundle, and gets the sentence', {
    skip: OLD_NODE === undefined ? 'this machine has no older Node' : false,
  }, async () => {
    const [file, bundle] = [join(directory, 'main.mjs'), join(directory, 'bundle.mjs')];
    await writeFile(file, (await transform(await readFile(MAIN, 'utf8'), { loader: 'ts' })).code);
    await promisify(execFile)(process.execPath, [BUNDLE, bundle], { timeout: 60_000 });
    for (const path of [file, bundle]) {
      const { status, stdout, stderr } = spawnSync(OLD_NODE ?? '', [path], { encoding: 'utf8', timeout: LIMIT_MS });
      assert.deepEqual([status, stdout], [2, ''], path);
      assertSentence(stderr, /^workload-credentials: this is Node [0-9.]+, and 22\.20 or newer is needed/);
    }
    const { stdout } = spawnSync(process.execPath, [bundle, '--version'], { encoding: 'utf8', timeout: LIMIT_MS });
    assert.equal(stdout, `${VERSION}\n`);
  });

  for (const [what, statement] of [
    ['an error that nobody catches', 'throw error'],
    ['a rejection that nobody catches', 'Promise.reject(error)'],
  ] as const) {
    test(`${what} ends it with one line of the log, which quotes nothing, and status 1`, async () => {
      const running = start(operatorArgs(), { node: [failBy(statement)] });
      await waitFor('the start', () => running.stdout().includes('operator started'), { timeoutMs: LIMIT_MS });
      running.child.kill('SIGUSR2');
      const { code, stdout, stderr } = await running.end;
      assert.deepEqual([code, stderr], [1, '']);
      const last = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Record<string, unknown>;
      assert.equal(last['level'], 'error');
      assert.equal(last['message'], 'an unforeseen error ended the process');
      assert.deepEqual([last['errorName'], last['errorCode']], ['TypeError', 'E_MADE_UP']);
      assert.match(String((last['at'] as string[])[0]), /^at .*made/);
      for (const part of ['eyJ', 'and more of it']) assert.ok(!stdout.includes(part), part);
    });
  }
});
