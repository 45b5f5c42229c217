// Promises: `npm run test:node`: everything that real pods need is made ready (programs, packages, images), then the tests of
// this folder run, those of the cluster in namespaces of their own. Status 1, with one sentence on the last line, where the
// machine cannot do it: nothing is skipped. What it made for the kernel is gone afterwards, however it ends.
import { spawn } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ensureBinaries, MissingToolError, REAL_NODE_BINARIES } from '../beds/binaries.ts';
import { ensureImages } from '../beds/image.ts';
import { makeCgroups, removeCgroups, requireRoot, showInNamespaces } from '../beds/namespaces.ts';
import type { NodeSupplies } from '../beds/node.ts';
import { ensureNodePackages } from '../beds/node-packages.ts';
import { removeScratchDirectory, scratchDirectory } from '../beds/processes.ts';

const HERE = fileURLToPath(new URL('./', import.meta.url));
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

function testCommand(file: string): string[] {
  return [
    process.execPath,
    '--test',
    '--test-force-exit',
    '--test-reporter=spec',
    '--test-timeout=600000',
    `${HERE}${file}`,
  ];
}

function environment(further: Readonly<Record<string, string>>): Record<string, string> {
  const { HOME = '/root', XDG_CACHE_HOME = '', CI = '' } = process.env;
  return { HOME, ...(XDG_CACHE_HOME === '' ? {} : { XDG_CACHE_HOME }), ...(CI === '' ? {} : { CI }), ...further };
}

async function show(
  [command = '', ...args]: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<number> {
  const child = spawn(command, args, { cwd: ROOT, env, stdio: ['ignore', 'inherit', 'inherit'] });
  return await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      resolve(code ?? 1);
    });
  });
}

async function runTests(): Promise<number> {
  requireRoot();
  const packages = await ensureNodePackages();
  await ensureBinaries(REAL_NODE_BINARIES);
  const images = await ensureImages(packages);
  const cgroup = makeCgroups();
  const scratch = scratchDirectory('node');
  // SeaweedFS runs as nobody, in a directory below.
  chmodSync(scratch, 0o711);
  try {
    const supplies: NodeSupplies = { images, cgroup };
    const told = { WC_NODE_SUPPLIES: JSON.stringify(supplies), WC_NODE_PACKAGES: packages };
    const onImages = await show(
      testCommand('image.test.ts'),
      environment({ PATH: process.env['PATH'] ?? '', ...told }),
    );
    if (onImages !== 0) return onImages;
    return await showInNamespaces(testCommand('cluster.test.ts'), {
      packages,
      ownNetwork: true,
      env: environment({ ...told, TMPDIR: scratch }),
      cwd: ROOT,
    });
  } finally {
    removeCgroups(cgroup);
    await removeScratchDirectory(scratch);
  }
}

try {
  process.exitCode = await runTests();
} catch (error) {
  const told = error instanceof MissingToolError ? error.message : String(error instanceof Error ? error.stack : error);
  process.stderr.write(`The tests with real pods cannot run. ${told}\n`);
  process.exitCode = 1;
}
