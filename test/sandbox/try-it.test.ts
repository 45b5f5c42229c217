// What `npm run sandbox` and `npm run demo -- --keep` print to be pasted works as it stands, with a real kubectl, and what
// they say is not served is not. Without kubectl there is nothing to paste into, and the test says so.
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { forgetProcess, reapProcess } from '../beds/processes.ts';
import { waitFor } from '../beds/wait.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** kubectl's directory, from where the real bed's build keeps it. */
function kubectlDirectory(): string | undefined {
  const builds = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'workload-credentials', 'bin');
  const names = existsSync(builds) ? readdirSync(builds) : [];
  return names.map((name) => join(builds, name)).find((path) => existsSync(join(path, 'kubectl')));
}

const KUBECTL_DIRECTORY = kubectlDirectory();
const skip = KUBECTL_DIRECTORY === undefined ? 'kubectl is not installed' : false;

interface Program {
  readonly child: ChildProcess;
  output(): string;
  readonly ended: Promise<void>;
}

test('npm run sandbox ends when only npm is told to, and leaves nothing behind', { timeout: 90_000 }, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'try-it-'));
  const env = { PATH: process.env['PATH'], HOME: directory, TMPDIR: directory, npm_config_update_notifier: 'false' };
  const npm = spawn('npm', ['run', 'sandbox'], { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
  reapProcess(npm.pid ?? 0);
  try {
    let output = '';
    npm.stdout.on('data', (data: Buffer) => (output += data.toString()));
    await waitFor('the sandbox', () => output.includes('Ctrl-C ends it'), { timeoutMs: 45_000 });
    npm.kill('SIGTERM');
    const left = (): boolean => readdirSync(directory).some((name) => name.startsWith('workload-credentials-'));
    assert.ok(left());
    await waitFor('the end of the sandbox', () => !left(), { timeoutMs: 15_000 });
  } finally {
    forgetProcess(npm.pid ?? 0);
    npm.kill('SIGKILL');
    await rm(directory, { recursive: true, force: true });
  }
});

describe('what is printed to be pasted', { skip, timeout: 240_000, concurrency: true }, () => {
  let directory: string;
  const programs: Program[] = [];
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'try-it-'));
  });
  after(async () => {
    for (const { child, ended } of programs.toReversed()) {
      child.kill('SIGINT');
      await ended;
    }
    await rm(directory, { recursive: true });
  });

  function env(): NodeJS.ProcessEnv {
    return { PATH: `${KUBECTL_DIRECTORY}:${process.env['PATH'] ?? ''}`, HOME: directory, TMPDIR: directory };
  }

  function start(command: string, args: readonly string[]): Program {
    const child = spawn(command, args, { cwd: ROOT, env: env(), stdio: ['ignore', 'pipe', 'pipe'] });
    const pid = child.pid ?? 0;
    reapProcess(pid);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (output += data.toString()));
    const ended = Promise.withResolvers<void>();
    child.once('close', () => {
      forgetProcess(pid);
      ended.resolve();
    });
    const program = { child, output: () => output, ended: ended.promise };
    programs.push(program);
    return program;
  }

  /** What stands between a line with a comment and the next empty line. */
  function paragraph(output: string, comment: RegExp): string {
    const lines = output.split('\n');
    const from = lines.findIndex((line) => comment.test(line));
    assert.ok(from >= 0, output);
    return lines.slice(from + 1, lines.indexOf('', from)).join('\n');
  }

  async function paste(text: string): Promise<string> {
    const { stdout } = await promisify(execFile)('bash', ['-e', '-c', text], { env: env(), timeout: 90_000 });
    return stdout;
  }

  /** What every kubectl that is served nothing else ends with. */
  async function assertNotServed(line: string, commands: string): Promise<void> {
    for (const [command, says] of [
      ['apply --server-side -f object.json', /erver-side apply/],
      ['create namespace x', /reads no protobuf, only application\/json and application\/yaml/],
      ['create serviceaccount x', /reads no protobuf/],
      ['create secret generic x', /reads no protobuf/],
      ['create token orders', /reads no protobuf/],
      ['auth whoami', /reads no protobuf/],
      ['auth can-i get pods', /reads no protobuf/],
      ['get nodes', /doesn't have a resource type/],
      ['logs x', /NotFound/],
      ['exec x -- true', /NotFound/],
      ['top pods', /Metrics API not available/],
    ] as const) {
      await assert.rejects(paste(`cd ${directory}; ${line}\nkubectl ${command}`), says, command);
    }
    assert.match(commands, /Not served here: server-side apply/);
  }

  /** One on each cloud, Ready, in kubectl's words and in its table. */
  function assertReadyOnEachCloud(answer: string): void {
    for (const [name, cloud, role] of [
      ['mine', 'AWS', 'arn:aws:iam::123456789012:role/orders'],
      ['mine-alibaba', 'AlibabaCloud', 'acs:ram::1234567890123456:role/orders'],
      ['mine-volcengine', 'Volcengine', 'trn:iam::2100000001:role/orders'],
    ]) {
      assert.match(answer, new RegExp(`workloadcredential\\.workloadcredentials\\.io/${name} condition met`));
      assert.match(answer, new RegExp(`\\n${name} +True +${cloud} +${role} `));
    }
  }

  test('npm run sandbox: the operator starts, the credentials are Ready, kubectl sorts, and the rest is not served', async () => {
    const sandbox = start(process.execPath, ['sandbox/main.ts']);
    await waitFor('the sandbox', () => sandbox.output().includes('Ctrl-C ends it'), { timeoutMs: 60_000 });
    const output = sandbox.output();
    const operator = start('bash', ['-c', `exec ${paragraph(output, /^# .*the operator/)}`]);
    await waitFor('the operator', () => operator.output().includes('this replica works'), { timeoutMs: 60_000 });
    const pasted = paragraph(output, /^# .*a WorkloadCredential/);
    const answer = await paste(pasted);
    assertReadyOnEachCloud(answer);
    const [exportLine = ''] = pasted.split('\n');
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'made' }, data: { a: 'b' } };
    await writeFile(join(directory, 'object.json'), JSON.stringify(object));
    assert.match(await paste(`${exportLine}\nkubectl create -f ${directory}/object.json`), /created/);
    const sorted = await paste(`${exportLine}\nkubectl get wcred --sort-by=.status.expirationTime`);
    assert.match(sorted, /^NAME .*\nmine\S* +True/);
    await assertNotServed(exportLine, output);
  });

  test('npm run demo -- --keep: a credential beside those of the demo', async () => {
    const demo = start(process.execPath, ['sandbox/demo.ts', '--keep']);
    await waitFor('the end of the story', () => demo.output().includes('no nodes.'), { timeoutMs: 180_000 });
    const output = demo.output();
    assert.match(
      output,
      /\nSTS of Volcengine +http:\/\/127\.0\.0\.1:\d+\nEach accepts tokens for the audience sts\.sandbox\.example\./,
    );
    const pasted = paragraph(output, /^# A WorkloadCredential of your own/);
    const answer = await paste(pasted);
    assertReadyOnEachCloud(answer);
    assert.match(
      answer,
      /\norders +True +AWS .*\norders-alibaba +True .*\norders-volcengine +True .*\nreports +True +AWS/,
    );
    const [exportLine = ''] = pasted.split('\n');
    const more = paragraph(output, /^# And then/).replace(/ --watch$/m, '');
    assert.match(await paste(`${exportLine}\n${more}`), /orders annotated\nsecret "orders-cloud" deleted/);
  });
});
