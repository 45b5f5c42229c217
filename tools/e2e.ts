// Promises: `npm run test:e2e`: the end-to-end tests, three files at a time, since each mostly waits, then one look at all of
// them together: what the chart grants the operator is what it used, per scope. `--scope=namespaces` or `--scope=clusterWide`
// makes every file take that scope of the chart, and not its usual one. With names of files it runs those and says what it
// could not judge for it. Ends with 1 if a test failed or the rights do not fit, with 2 if it was asked for what there is not.
import { globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';
import { judge, type Verdict } from '../test/support/rights-judge.ts';
import { recordsIn, RUN_DIRECTORY } from '../test/support/rights.ts';
import { isRunScope, RUN_SCOPES, SCOPE_VARIABLE } from '../test/support/scope.ts';
import faultTable from './fault-table.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FOLDER = 'test/e2e';
const SCOPE_OPTION = '--scope=';

/** So many files at a time fill two cores: each mostly waits. */
const AT_A_TIME = 3;
/** Those that take longest, begun first: at the end nothing long is left to wait for. */
const LONGEST =
  'docs rollout outages upgrade secrets replicas fences gitops chart rights faults docs-issuer issue clock'.split(' ');

function longestFirst(files: readonly string[]): string[] {
  const rank = (file: string): number => {
    const index = LONGEST.indexOf(basename(file, '.test.ts'));
    return index < 0 ? LONGEST.length : index;
  };
  return files.toSorted((a, b) => rank(a) - rank(b));
}

/** Resolves with whether all passed. Ctrl-C reaches the processes of the files by itself: they are of this process's group. */
async function runTests(files: readonly string[]): Promise<boolean> {
  const stop = new AbortController();
  process.once('SIGTERM', () => stop.abort());
  const execArgv = ['--test-force-exit'];
  const tests = run({ files: longestFirst(files), concurrency: AT_A_TIME, cwd: ROOT, execArgv, signal: stop.signal });
  let isPassed = true;
  tests.on('test:fail', ({ skip, todo }) => {
    if (skip === undefined && todo === undefined) isPassed = false;
  });
  const printed = [tests.compose(new spec()), tests.compose(faultTable)].map(async (report) => {
    for await (const chunk of report) process.stdout.write(chunk as string | Buffer);
  });
  await Promise.all(printed);
  return isPassed;
}

function tell({ problems, missing, summary }: Verdict): void {
  const lines = ['', 'Rights of the operator, granted by the chart and used:', ...summary.map((line) => `  ${line}`)];
  if (missing.length > 0) {
    lines.push('The run was not whole, so what is granted and never used was not judged:');
    lines.push(...missing.map((line) => `  ${line}`));
  }
  lines.push(...problems.map((problem) => `✖ ${problem}`));
  if (problems.length === 0)
    lines.push(missing.length === 0 ? '✔ they are the same' : '✔ nothing was used that is not granted');
  process.stdout.write(`${lines.join('\n')}\n`);
}

const all = globSync(`${FOLDER}/**/*.test.ts`, { cwd: ROOT }).toSorted();
const words = process.argv.slice(2);
const given = words.filter((word) => !word.startsWith('--'));
const asked = words.find((word) => word.startsWith(SCOPE_OPTION))?.slice(SCOPE_OPTION.length);
const unknown = words.filter((word) => word.startsWith('--') && !word.startsWith(SCOPE_OPTION));
if (unknown.length > 0 || (asked !== undefined && !isRunScope(asked))) {
  const choices = RUN_SCOPES.map((scope) => `${SCOPE_OPTION}${scope}`).join(' or ');
  process.stderr.write(`test:e2e knows no ${unknown[0] ?? `${SCOPE_OPTION}${asked}`}: give ${choices}, or nothing.\n`);
  process.exit(2);
}
const directory = mkdtempSync(join(tmpdir(), 'e2e-run-'));
process.on('SIGINT', () => {});
try {
  const files = given.length === 0 ? all : given.map((file) => resolve(file));
  // The files' processes inherit it.
  Object.assign(process.env, {
    [RUN_DIRECTORY]: directory,
    [SCOPE_VARIABLE]: asked ?? '',
    NODE_COMPILE_CACHE: join(directory, 'compiled'),
  });
  const isPassed = await runTests(files);
  const verdict = judge(recordsIn(directory), {
    files: files.map((file) => basename(file)),
    all: all.map((file) => basename(file)),
    asked,
  });
  tell(verdict);
  const isShort = given.length === 0 && verdict.missing.length > 0;
  process.exitCode = isPassed && verdict.problems.length === 0 && !isShort ? 0 : 1;
} finally {
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
}
