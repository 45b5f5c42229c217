// Promises: `npm run test:node`: everything that real pods need is made ready (programs, packages, images), then the tests of
// this folder run, those with a node each in namespaces of their own: the documentation's while the images are looked into, and
// the cluster's alone, because it measures. Status 1, with one sentence on the last line, where the machine cannot do it:
// nothing is skipped. What it made for the kernel is gone afterwards, however it ends.
import { spawn } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { MissingToolError } from '../beds/binaries.ts';
import { makeCgroups, removeCgroups, showInNamespaces } from '../beds/namespaces.ts';
import type { NodeSupplies } from '../beds/node.ts';
import { ensureNodeSupplies } from '../beds/node-supplies.ts';
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

interface Ready {
  readonly packages: string;
  readonly images: NodeSupplies['images'];
  readonly scratch: string;
}

/** Runs a file of tests on a node of its own. */
async function runOnNode(file: string, { packages, images, scratch }: Ready): Promise<number> {
  const cgroup = makeCgroups();
  const supplies: NodeSupplies = { images, cgroup };
  try {
    return await showInNamespaces(testCommand(file), {
      packages,
      ownNetwork: true,
      env: environment({ WC_NODE_SUPPLIES: JSON.stringify(supplies), TMPDIR: scratch }),
      cwd: ROOT,
    });
  } finally {
    removeCgroups(cgroup);
  }
}

async function runOnImages({ packages, images }: Ready): Promise<number> {
  const supplies: NodeSupplies = { images, cgroup: '' };
  const told = { WC_NODE_SUPPLIES: JSON.stringify(supplies), WC_NODE_PACKAGES: packages };
  return await show(testCommand('image.test.ts'), environment({ PATH: process.env['PATH'] ?? '', ...told }));
}

async function runTests(): Promise<number> {
  const { packages, images } = await ensureNodeSupplies();
  const scratch = scratchDirectory('node');
  // SeaweedFS runs as nobody, in a directory below.
  chmodSync(scratch, 0o711);
  try {
    const ready = { packages, images, scratch };
    const first = await Promise.all([runOnImages(ready), runOnNode('docs.test.ts', ready)]);
    return Math.max(...first) === 0 ? await runOnNode('cluster.test.ts', ready) : Math.max(...first);
  } finally {
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
