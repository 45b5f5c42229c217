// Promises: `npm run test:e2e`: the end-to-end tests, three files at a time, since each mostly waits, then one look at all of
// them together: what the chart grants the operator is what it used, per scope. `--scope=namespaces` or `--scope=clusterWide`
// makes every file take that scope of the chart, and not its usual one. With names of files it runs those and says what it
// could not judge for it. Ends with 1 if a test failed or the rights do not fit, with 2 if it was asked for what there is not.
import { spawn } from 'node:child_process';
import { globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { judge, type Verdict } from '../test/support/rights-judge.ts';
import { recordsIn, RUN_DIRECTORY } from '../test/support/rights.ts';
import { isRunScope, RUN_SCOPES, SCOPE_VARIABLE } from '../test/support/scope.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FOLDER = 'test/e2e';
const SCOPE_OPTION = '--scope=';

const OPTIONS = [
  '--test',
  '--test-concurrency=3',
  '--test-force-exit',
  '--test-reporter=spec',
  '--test-reporter-destination=stdout',
  '--test-reporter=./tools/fault-table.ts',
  '--test-reporter-destination=stdout',
];

/** Resolves with the status of the tests. Ctrl-C reaches them by themselves: they are of this process's group. */
async function runTests(files: readonly string[], directory: string, asked: string): Promise<number> {
  const env = { ...process.env, [RUN_DIRECTORY]: directory, [SCOPE_VARIABLE]: asked };
  const child = spawn(process.execPath, [...OPTIONS, ...files], { cwd: ROOT, stdio: 'inherit', env });
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  return await new Promise((done) => child.once('exit', (code) => done(code ?? 1)));
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
  const status = await runTests(files, directory, asked ?? '');
  const verdict = judge(recordsIn(directory), {
    files: files.map((file) => basename(file)),
    all: all.map((file) => basename(file)),
    asked,
  });
  tell(verdict);
  const isShort = given.length === 0 && verdict.missing.length > 0;
  process.exitCode = status === 0 && verdict.problems.length === 0 && !isShort ? 0 : 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}
