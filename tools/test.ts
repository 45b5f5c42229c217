// Promises: `npm test`: the unit, contract and sandbox tests in one process (a process per file would import the same
// libraries a hundred times), and beside them, on the second core, those that mostly wait: the whole operator and the demo.
// Ends with 1 if a test failed. May not need anything but Node.
import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

interface Run {
  readonly name: string;
  readonly options: readonly string[];
  readonly files: readonly string[];
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
  { name: 'unit, contract and sandbox', options: ['--test-isolation=none'], files: quick },
  { name: 'operator and demo', options: ['--test-concurrency=3'], files: waiting },
];

/** Runs the tests and resolves with everything they printed, and whether they passed. */
async function run({ name, options, files }: Run): Promise<boolean> {
  // A test that hangs is named and fails; the slowest takes half of this.
  const limit = '--test-timeout=90000';
  const child = spawn(
    process.execPath,
    ['--test', ...options, limit, '--test-reporter=./tools/brief-reporter.ts', ...files],
    {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
  const { promise, resolve } = Promise.withResolvers<number | null>();
  child.on('close', resolve);
  const startedMs = performance.now();
  const code = await promise;
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  process.stdout.write(`==> ${name}: ${files.length} files, ${seconds} s\n${Buffer.concat(chunks).toString('utf8')}\n`);
  return code === 0;
}

const passed = await Promise.all(RUNS.map(run));
process.exitCode = passed.every(Boolean) ? 0 : 1;
