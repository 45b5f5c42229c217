// Promises: `npm test`: the unit, contract and sandbox tests in one process (a process per file would import the same
// libraries a hundred times), and beside them, on the second core, those that mostly wait: the whole operator and the demo.
// Ends with 1 if a test failed. With COVERAGE_DIRECTORY it leaves there which lines the first of them has run. May not need
// anything but Node.
import { spawn } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { COMPILE_CACHE_DIRECTORY } from '../test/support/compile-cache.ts';
import { COVERAGE_DIRECTORY, COVERAGE_REPORT } from './coverage-directory.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

interface Run {
  readonly name: string;
  readonly options: readonly string[];
  readonly files: readonly string[];
  /** It is this one's lines that count: without the other, whose tests start whole operators, the bar is reached as well. */
  readonly isMeasured: boolean;
}

/** Tests that start whole operators and wait for them; the rest is quick. */
const WAITING = [
  'test/operator/*.test.ts',
  'test/consumers/node.test.ts',
  'test/sandbox/demo.test.ts',
  'test/sandbox/try-it.test.ts',
];
const QUICK = ['test/unit/**/*.test.ts', 'test/contract/**/*.test.ts', 'test/sandbox/**/*.test.ts'];

const waiting = globSync(WAITING, { cwd: root }).sort();
const quick = globSync(QUICK, { cwd: root })
  .filter((file) => !waiting.includes(file))
  .sort();

const RUNS: readonly Run[] = [
  { name: 'unit, contract and sandbox', options: ['--test-isolation=none'], files: quick, isMeasured: true },
  { name: 'operator and demo', options: ['--test-concurrency=3'], files: waiting, isMeasured: false },
];

/** A run that takes longer hangs: what it printed so far, and what is still alive of it, is told, and it fails. */
const HANG_MS = 8 * 60_000;
/** A process that a test left behind holds the output open; it is told and ended this long after the tests. */
const LEFT_BEHIND_MS = 5_000;

/** The processes of a group, as `ps` would show them; Linux only, and empty elsewhere. */
function processesOf(group: number): string[] {
  return globSync('/proc/[0-9]*/stat').flatMap((file) => {
    try {
      const stat = readFileSync(file, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(') ') + 2).split(' ');
      const commandLine = readFileSync(file.replace(/stat$/, 'cmdline'), 'utf8').replaceAll('\0', ' ');
      return fields[0] !== 'Z' && Number(fields[2]) === group ? [`${stat.split(' ')[0]} ${commandLine}`] : [];
    } catch {
      return []; // It has ended meanwhile.
    }
  });
}

function endGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL');
  } catch {
    // Nothing of it is left.
  }
}

/** What makes a run leave its report of lines. */
function coverageOptions(isMeasured: boolean): string[] {
  const directory = process.env[COVERAGE_DIRECTORY] ?? '';
  if (directory === '' || !isMeasured) return [];
  const reporter = ['--test-reporter=lcov', `--test-reporter-destination=${join(directory, COVERAGE_REPORT)}`];
  return ['--experimental-test-coverage', '--test-coverage-include=src/**/*.ts', ...reporter];
}

/** What Node has compiled is kept for the next process. Coverage of that is not exact: what is measured goes without. */
function environment(isMeasured: boolean, compiled: string): NodeJS.ProcessEnv {
  const shared = { ...process.env, [COMPILE_CACHE_DIRECTORY]: compiled };
  return isMeasured ? shared : { ...shared, NODE_COMPILE_CACHE: compiled };
}

/** Runs the tests and resolves with whether they passed, when all that they printed has been printed. */
async function run({ name, options, files, isMeasured }: Run): Promise<boolean> {
  // A test that hangs is named and fails; the slowest takes half of this.
  const limit = '--test-timeout=90000';
  const child = spawn(
    process.execPath,
    // Forced: a timer or a socket that some test left behind would keep the finished run waiting. Leaks of the operator
    // are asserted where they are looked for (test/faults/vitals, test/support/operator-bed).
    [
      '--test',
      '--test-force-exit',
      ...options,
      limit,
      '--test-reporter=./tools/brief-reporter.ts',
      '--test-reporter-destination=stdout',
      ...coverageOptions(isMeasured),
      ...files,
    ],
    // A group of its own: what a test leaves behind can be found by it.
    { cwd: root, env: environment(isMeasured, compiled), stdio: ['ignore', 'pipe', 'pipe'], detached: true },
  );
  const group = child.pid ?? 0;
  groups.add(group);
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
  const { promise, resolve } = Promise.withResolvers<number | string | null>();
  const endsWith = (problem: string): void => {
    const left = processesOf(group);
    endGroup(group);
    resolve(`${problem}:\n${left.join('\n')}`);
  };
  const hang = setTimeout(() => endsWith(`it did not end within ${HANG_MS / 60_000} minutes; still alive`), HANG_MS);
  child.on('exit', () =>
    setTimeout(() => endsWith('the tests left processes behind that hold their output'), LEFT_BEHIND_MS).unref(),
  );
  child.on('close', resolve);
  const startedMs = performance.now();
  const end = await promise;
  clearTimeout(hang);
  groups.delete(group);
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  process.stdout.write(`==> ${name}: ${files.length} files, ${seconds} s\n${Buffer.concat(chunks).toString('utf8')}\n`);
  if (typeof end === 'string') process.stdout.write(`✖ ${name}: ${end}\n`);
  return end === 0;
}

const groups = new Set<number>();
const compiled = mkdtempSync(join(tmpdir(), 'compiled-'));
process.once('exit', () => rmSync(compiled, { recursive: true, force: true, maxRetries: 3 }));
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    for (const group of groups) endGroup(group);
    process.exit(1);
  });
}

const passed = await Promise.all(RUNS.map(run));
process.exitCode = passed.every(Boolean) ? 0 : 1;
