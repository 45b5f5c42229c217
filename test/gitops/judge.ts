// Promises: what Argo CD, Flux and kpt make of objects: told by a program in Go with their own libraries (test/tools/gitops),
// built from pinned versions into a cache outside the checkout, once a version. A missing tool is told in one sentence with
// the cure.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { arch, platform } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheDirectory, MissingToolError } from '../beds/binaries.ts';
import { withLock } from '../beds/lock.ts';

const PROGRAM = fileURLToPath(new URL('../tools/gitops/', import.meta.url));
const SOURCES = ['go.mod', 'go.sum', 'main.go', 'argo.go'];
/** A cold build on two cores takes two minutes. */
const BUILD_MS = 15 * 60_000;
const ANSWER_MS = 60_000;

/** What a tool says of an object. */
export interface Verdict {
  readonly status?: string;
  readonly message?: string;
  readonly error?: string;
}

/** What all of them say of one object. */
export interface Verdicts {
  /** Argo CD's, with the script in argocd-cm. */
  readonly pasted: Verdict;
  /** Argo CD's, with the script among those that it brings along. */
  readonly shipped: Verdict;
  /** That of kstatus: `wait: true` and `healthChecks` of Flux, and kpt. */
  readonly kstatus: Verdict;
  /** Flux's, by healthCheckExprs. */
  readonly flux?: Verdict;
}

/** Flux's expressions. */
export interface Expressions {
  readonly current: string;
  readonly failed?: string;
  readonly inProgress?: string;
}

/** What is asked of the program. */
export interface Question {
  readonly script: string;
  readonly objects: readonly object[];
  /** What the script is told of the time; default: what it is. */
  readonly nowMs?: number;
  readonly expressions?: Expressions;
}

async function run(file: string, args: readonly string[], stdin: string, timeout: number): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const options = { cwd: PROGRAM, env: { ...process.env, CGO_ENABLED: '0' }, maxBuffer: 64 << 20, timeout };
  const child = execFile(file, args, options, (error, stdout, stderr) => {
    if (error === null) {
      resolve(stdout);
    } else if (error.code === 'ENOENT') {
      reject(new MissingToolError(`"${file}" is not on PATH: install Go 1.26 or newer (https://go.dev/dl).`));
    } else {
      reject(new Error(`${file} ${args.join(' ')} failed:\n${stderr.trimEnd().split('\n').slice(-30).join('\n')}`));
    }
  });
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(stdin);
  return promise;
}

/** The program's path. */
async function program(): Promise<string> {
  const hash = createHash('sha256').update(`${platform()} ${arch()}\n`);
  for (const source of SOURCES) hash.update(readFileSync(join(PROGRAM, source)));
  const name = `gitops-${hash.digest('hex').slice(0, 12)}`;
  const directory = join(cacheDirectory(), 'bin', name);
  const file = join(directory, 'gitops');
  if (existsSync(file)) return file;
  await mkdir(directory, { recursive: true });
  await withLock(join(directory, '.lock'), async () => {
    if (existsSync(file)) return;
    process.stderr.write(`gitops: ${name}: getting ready (about 2 min the first time)\n`);
    await rm(`${file}.partial`, { force: true });
    await run('go', ['build', '-trimpath', '-ldflags=-s -w', '-o', `${file}.partial`, '.'], '', BUILD_MS);
    await rename(`${file}.partial`, file);
  });
  return file;
}

/** Asks for verdicts, in the order of the objects. */
export async function judge({ script, objects, nowMs, expressions }: Question): Promise<readonly Verdicts[]> {
  const now = nowMs === undefined ? 0 : Math.floor(nowMs / 1000);
  const question = JSON.stringify({ script, now, objects, expressions });
  const answer = JSON.parse(await run(await program(), [], question, ANSWER_MS)) as readonly Verdicts[];
  if (answer.length !== objects.length) throw new Error(`${objects.length} objects, ${answer.length} verdicts`);
  return answer;
}
