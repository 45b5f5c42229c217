// Promises: `npm run test:matrix`: the end-to-end tests against other versions of Kubernetes than the beds' own; the conformance
// suite against those of which it is written down what they answer otherwise (test/conformance/differences.ts); and what
// installs, upgrades and renders the chart by other versions of Helm. Each is built from test/tools/NAME-VERSION, one after the
// other; at the end comes a table. The end-to-end tests take one scope of the chart for each version of Kubernetes, in turn.
// Names of versions (`-- 1.37`, `-- helm-3.22`), of suites (`-- conformance`) and of a scope (`-- clusterWide`) choose. Ends with
// 1 if anything failed. It takes long: CI leaves it out.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type BinaryName, ensureBinaries, otherVersions } from '../test/beds/binaries.ts';
import { OTHER_VERSIONS } from '../test/conformance/differences.ts';
import { isRunScope, RUN_SCOPES, type RunScope } from '../test/support/scope.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

interface Suite {
  readonly what: string;
  readonly args: readonly string[];
}
/** One version of something, and what it is tried with. */
interface Subject {
  /** By which it is chosen. */
  readonly word: string;
  readonly title: string;
  readonly env: Readonly<Record<string, string>>;
  /** What the beds need of it; the rest is the same for all. */
  readonly binaries: readonly BinaryName[];
  /** By name. */
  readonly suites: Readonly<Record<string, Suite>>;
}

const CONFORMANCE: Suite = {
  what: 'conformance',
  args: ['--test', '--test-timeout=600000', 'test/conformance/conformance.test.ts'],
};

/** The sandbox imitates another version: where what is different is not written down, there is nothing to compare. */
function kubernetes(version: string, scope: RunScope): Subject {
  return {
    word: version,
    title: `Kubernetes ${version}`,
    env: { BED_KUBERNETES: version },
    binaries: ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kubectl'],
    suites: {
      ...(Object.hasOwn(OTHER_VERSIONS, version) ? { conformance: CONFORMANCE } : {}),
      e2e: { what: `e2e, ${scope}`, args: ['tools/e2e.ts', `--scope=${scope}`] },
    },
  };
}

function helm(version: string): Subject {
  return {
    word: `helm-${version}`,
    title: `Helm ${version}`,
    env: { BED_HELM: version },
    binaries: ['helm'],
    suites: {
      chart: {
        what: 'e2e of the chart',
        args: ['tools/e2e.ts', 'test/e2e/chart.test.ts', 'test/e2e/rollout.test.ts'],
      },
    },
  };
}

interface Row {
  readonly title: string;
  readonly what: string;
  readonly passed: boolean;
  readonly seconds: number;
}

async function run({ args }: Suite, { env: asked }: Subject): Promise<boolean> {
  const { KUBEBUILDER_ASSETS: _other, ...rest } = process.env;
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: 'inherit', env: { ...rest, ...asked } });
  return await new Promise((done) => child.once('exit', (code) => done(code === 0)));
}

async function measured({ title }: Subject, what: string, act: () => Promise<boolean>): Promise<Row> {
  process.stdout.write(`==> ${title}: ${what}\n`);
  const startedMs = performance.now();
  const passed = await act();
  const seconds = Math.round((performance.now() - startedMs) / 1_000);
  process.stdout.write(`==> ${title}: ${what}: ${passed ? 'passed' : 'FAILED'} after ${seconds} s\n`);
  return { title, what, passed, seconds };
}

/** Builds what is missing, in this process: no other version's bed runs in it. */
async function build({ env, binaries }: Subject): Promise<boolean> {
  Object.assign(process.env, env);
  try {
    await ensureBinaries(binaries);
    return true;
  } catch (error) {
    process.stdout.write(`${(error as Error).message}\n`);
    return false;
  } finally {
    for (const name of Object.keys(env)) delete process.env[name];
  }
}

const words = process.argv.slice(2);
const asked = words.find(isRunScope);
const subjects = [
  ...otherVersions('kubernetes').map((version, index) =>
    kubernetes(version, asked ?? RUN_SCOPES[index % RUN_SCOPES.length] ?? 'clusterWide'),
  ),
  ...otherVersions('helm').map(helm),
];
const names = subjects.map(({ word }) => word);
const suiteNames = [...new Set(subjects.flatMap(({ suites }) => Object.keys(suites)))];
const unknown = words.filter((word) => !names.includes(word) && !suiteNames.includes(word) && !isRunScope(word));
if (unknown.length > 0) {
  const choices = [...names, ...suiteNames, ...RUN_SCOPES].join(', ');
  process.stderr.write(
    `test:matrix knows no ${unknown.join(' and no ')}: choose from ${choices}, or give nothing for all.\n`,
  );
  process.exit(2);
}
/** Nothing named is all of them. */
const isChosen = (name: string, all: readonly string[]): boolean =>
  words.includes(name) || !words.some((word) => all.includes(word));
const rows: Row[] = [];
for (const subject of subjects.filter(({ word }) => isChosen(word, names))) {
  const suites = Object.entries(subject.suites).filter(([name]) => isChosen(name, suiteNames));
  if (suites.length === 0) continue;
  const built = await measured(subject, 'build', async () => await build(subject));
  rows.push(built);
  if (!built.passed) continue;
  for (const [, suite] of suites) {
    rows.push(await measured(subject, suite.what, async () => await run(suite, subject)));
  }
}
const cells = rows.map(
  ({ title, what, passed, seconds }) => `| ${title} | ${what} | ${passed ? 'passed' : 'failed'} | ${seconds} s |`,
);
process.stdout.write(`\n| version | what | result | time |\n| --- | --- | --- | --- |\n${cells.join('\n')}\n`);
process.exitCode = rows.every(({ passed }) => passed) ? 0 : 1;
