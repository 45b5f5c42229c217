// Promises: runs the tests with coverage and fails below the bar: 95 % of the lines of src, by the tests that start no whole
// operator, every file of git's list counted (one that no test loads counts as missing); 100 % of the pure rooms, by their own
// unit tests alone. Prints only what is not whole. Run by `npm run test:coverage`. What an `npm test` has left in
// COVERAGE_DIRECTORY is not run again.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { COVERAGE_DIRECTORY, COVERAGE_REPORT } from './coverage-directory.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const LEAST_PERCENT = 95;
const PURE_ROOMS = ['api', 'credential', 'render', 'runtime'] as const;
const SUITE = ['unit', 'contract', 'sandbox'].map((folder) => `test/${folder}/**/*.test.ts`);
/** Generated, and types only: there is nothing to run in it. */
const GENERATED = 'src/api/types.gen.ts';
const MOST_LINES_NAMED = 12;

/** What stands in the way of a good end, a sentence each. */
const problems: string[] = [];

/** The lines of one file: total, covered, and the numbers of the rest. */
interface FileCoverage {
  readonly path: string;
  readonly lines: number;
  readonly covered: number;
  readonly missed: readonly number[];
}

/** Reads lcov's SF, DA and end_of_record; https://manpages.debian.org/unstable/lcov/geninfo.1.en.html#FILES */
function readLCOV(text: string): FileCoverage[] {
  return text
    .split('end_of_record')
    .filter((record) => record.includes('SF:'))
    .map((record) => {
      const path = /^SF:(.*)$/m.exec(record)?.[1] ?? '';
      const counts = [...record.matchAll(/^DA:(\d+),(\d+)/gm)].map(([, line, count]) => [Number(line), Number(count)]);
      const missed = counts.filter(([, count]) => count === 0).map(([line]) => line ?? 0);
      const name = path.startsWith('/') ? relative(ROOT, path) : path;
      return { path: name, lines: counts.length, covered: counts.length - missed.length, missed };
    });
}

function run(patterns: readonly string[], include: readonly string[]): FileCoverage[] {
  const directory = mkdtempSync(join(tmpdir(), 'coverage-'));
  const report = join(directory, 'lcov.info');
  const args = [
    '--test',
    '--test-isolation=none',
    '--experimental-test-coverage',
    ...include.map((pattern) => `--test-coverage-include=${pattern}`),
    '--test-timeout=90000',
    // As in tools/test.ts: what a test left behind does not keep the finished run waiting.
    '--test-force-exit',
    '--test-reporter=./tools/brief-reporter.ts',
    '--test-reporter-destination=stdout',
    '--test-reporter=lcov',
    `--test-reporter-destination=${report}`,
    ...patterns,
  ];
  try {
    const { status } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: 'inherit' });
    if (status !== 0) problems.push(`Tests failed: ${patterns.join(' ')}`);
    return readLCOV(readFileSync(report, 'utf8'));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** The suite's: that of a run before this one, or of one that is made now. */
function ofSuite(): FileCoverage[] {
  const directory = process.env[COVERAGE_DIRECTORY] ?? '';
  const report = join(directory, COVERAGE_REPORT);
  if (directory === '' || !existsSync(report)) return run(SUITE, ['src/**/*.ts']);
  console.log('Lines are those that "npm test" has run.');
  return readLCOV(readFileSync(report, 'utf8'));
}

/** Files that belong to the commit or will: git's list, not the folder's. */
function sourceFiles(): string[] {
  const list = ['ls-files', '--cached', '--others', '--exclude-standard', '--deduplicate', '--', 'src/*.ts'];
  const paths = execFileSync('git', list, { cwd: ROOT, encoding: 'utf8' }).trimEnd().split('\n');
  return paths.filter((path) => path !== GENERATED).sort();
}

function shown(percent: number): string {
  return `${(Math.floor(percent * 100) / 100).toFixed(2).padStart(6)} %`;
}

/** Prints what is not whole; the result is the share of all lines in percent. */
function summarize(title: string, coverage: readonly FileCoverage[]): number {
  console.log(`\n${title}`);
  for (const { path, lines, covered, missed } of coverage.filter((file) => file.missed.length > 0)) {
    const named = missed.slice(0, MOST_LINES_NAMED).join(', ');
    const more = missed.length > MOST_LINES_NAMED ? ', ...' : '';
    console.log(`  ${shown((100 * covered) / lines)}  ${path}: ${named}${more}`);
  }
  const total = coverage.reduce((sum, { lines }) => sum + lines, 0);
  const percent = (100 * coverage.reduce((sum, { covered }) => sum + covered, 0)) / Math.max(1, total);
  console.log(`  ${shown(percent)}  of ${total} lines in ${coverage.length} files`);
  return percent;
}

function judge(): void {
  const files = sourceFiles();
  const pureFiles = files.filter((path) => PURE_ROOMS.some((room) => path.startsWith(`src/${room}/`)));
  const known = (coverage: readonly FileCoverage[], wanted: readonly string[], what: string): FileCoverage[] => {
    for (const path of wanted.filter((each) => coverage.every((file) => file.path !== each))) {
      problems.push(`${path} is loaded by none of ${what}: it was not counted.`);
    }
    return coverage.filter(({ path }) => wanted.includes(path));
  };
  const all = known(ofSuite(), files, 'the tests');
  const percent = summarize('Lines of src, by the tests that start no whole operator:', all);
  if (percent < LEAST_PERCENT)
    problems.push(`${shown(percent).trim()} of src is covered, ${LEAST_PERCENT} % is the least.`);
  const pureTests = PURE_ROOMS.map((room) => `test/unit/${room}/**/*.test.ts`);
  const pureIncludes = PURE_ROOMS.map((room) => `src/${room}/**/*.ts`);
  const loaded = run([...pureTests, 'test/unit/every-file.test.ts'], pureIncludes);
  const purePercent = summarize(
    'Lines of the pure rooms, by their unit tests:',
    known(loaded, pureFiles, 'the unit tests'),
  );
  if (purePercent < 100) problems.push('The pure rooms are not covered wholly.');
}

judge();
for (const problem of problems) console.error(problem);
process.exitCode = problems.length === 0 ? 0 : 1;
