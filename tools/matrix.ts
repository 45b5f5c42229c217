// Promises: `npm run test:matrix`: the conformance suite and the end-to-end tests against other versions of Kubernetes than the
// beds' own, each built from test/tools/kubernetes-VERSION, one after the other, and a table of what came of it. The end-to-end
// tests take one scope of the chart for each version, in turn. Names of versions (`-- 1.37`), of suites (`-- conformance`) and
// of a scope (`-- clusterWide`) choose. Ends with 1 if anything failed. It takes long: CI leaves it out.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type BinaryName, ensureBinaries, otherKubernetesVersions } from '../test/beds/binaries.ts';
import { isRunScope, RUN_SCOPES, type RunScope } from '../test/support/scope.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** What the beds need of a version; Helm and the rest are the same for all. */
const BINARIES: readonly BinaryName[] = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kubectl'];
const SUITES: Readonly<
  Record<string, (scope: RunScope) => { readonly what: string; readonly args: readonly string[] }>
> = {
  conformance: () => ({
    what: 'conformance',
    args: ['--test', '--test-timeout=600000', 'test/conformance/conformance.test.ts'],
  }),
  e2e: (scope) => ({ what: `e2e, ${scope}`, args: ['tools/e2e.ts', `--scope=${scope}`] }),
};

interface Row {
  readonly version: string;
  readonly what: string;
  readonly passed: boolean;
  readonly seconds: number;
}

async function run(args: readonly string[], version: string): Promise<boolean> {
  const { KUBEBUILDER_ASSETS: _other, ...rest } = process.env;
  const env = { ...rest, BED_KUBERNETES: version };
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: 'inherit', env });
  return await new Promise((done) => child.once('exit', (code) => done(code === 0)));
}

async function measured(version: string, what: string, act: () => Promise<boolean>): Promise<Row> {
  process.stdout.write(`==> Kubernetes ${version}: ${what}\n`);
  const startedMs = performance.now();
  const passed = await act();
  const seconds = Math.round((performance.now() - startedMs) / 1_000);
  process.stdout.write(`==> Kubernetes ${version}: ${what}: ${passed ? 'passed' : 'FAILED'} after ${seconds} s\n`);
  return { version, what, passed, seconds };
}

/** Builds what is missing, in this process: no other version's bed runs in it. */
async function build(version: string): Promise<boolean> {
  process.env['BED_KUBERNETES'] = version;
  try {
    await ensureBinaries(BINARIES);
    return true;
  } catch (error) {
    process.stdout.write(`${(error as Error).message}\n`);
    return false;
  } finally {
    delete process.env['BED_KUBERNETES'];
  }
}

const known = otherKubernetesVersions();
const words = process.argv.slice(2);
const unknown = words.filter((word) => !known.includes(word) && SUITES[word] === undefined && !isRunScope(word));
if (unknown.length > 0) {
  const choices = [...known, ...Object.keys(SUITES), ...RUN_SCOPES].join(', ');
  process.stderr.write(
    `test:matrix knows no ${unknown.join(' and no ')}: choose from ${choices}, or give nothing for all.\n`,
  );
  process.exit(2);
}
const versions = known.filter((version) => words.includes(version));
const suites = Object.keys(SUITES).filter((suite) => words.includes(suite));
const rows: Row[] = [];
for (const version of versions.length > 0 ? versions : known) {
  const built = await measured(version, 'build', async () => await build(version));
  rows.push(built);
  if (!built.passed) continue;
  const scope = words.find(isRunScope) ?? RUN_SCOPES[known.indexOf(version) % RUN_SCOPES.length] ?? 'clusterWide';
  for (const suite of suites.length > 0 ? suites : Object.keys(SUITES)) {
    const { what, args } = SUITES[suite]?.(scope) ?? { what: suite, args: [] };
    rows.push(await measured(version, what, async () => await run(args, version)));
  }
}
const cells = rows.map(
  ({ version, what, passed, seconds }) => `| ${version} | ${what} | ${passed ? 'passed' : 'failed'} | ${seconds} s |`,
);
process.stdout.write(`\n| Kubernetes | what | result | time |\n| --- | --- | --- | --- |\n${cells.join('\n')}\n`);
process.exitCode = rows.every(({ passed }) => passed) ? 0 : 1;
