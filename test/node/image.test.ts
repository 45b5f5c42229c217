// Shows that the Dockerfile makes an image that needs nothing but Node, its libraries and certificates, that nothing of the
// machine that built it is in there, and how large it is. Run by run.ts, which has it built.
import assert from 'node:assert/strict';
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { CommandResult } from '../beds/command.ts';
import { runInNamespaces } from '../beds/namespaces.ts';
import { suppliesFromEnvironment } from '../beds/node.ts';
import { removeScratchDirectory, scratchDirectory } from '../beds/processes.ts';
import { openImage } from './archive.ts';
import type { OpenedImage } from './archive.ts';

const { images } = suppliesFromEnvironment();
const packages = process.env['WC_NODE_PACKAGES'] ?? '';
const MEBIBYTE = 1 << 20;
/** A bundle that grows past this has taken something in that it should not. */
const LARGEST_OWN_BYTES = 8 * MEBIBYTE;

const directories: string[] = [];
let onBare: OpenedImage;
let onDebian: OpenedImage;

async function open(archive: string, layers: boolean): Promise<OpenedImage> {
  const directory = scratchDirectory('image');
  directories.push(directory);
  return await openImage(archive, directory, { layers });
}

/** The entry point as the image has it, as its user, with its environment and nothing else, and with a proc. */
async function runEntrypoint(image: OpenedImage, args: readonly string[]): Promise<CommandResult> {
  const { User = '', Env, Entrypoint } = image.configuration;
  const script = 'root=$1; user=$2; shift 2; mkdir -p "$root/proc"; mount -t proc proc "$root/proc"; exec "$@"';
  const inside = [`--userspec=${User}`, image.root, ...Entrypoint, ...args];
  // PATH is the image's when chroot looks for the program, and it looks inside.
  const command = [
    'bash',
    '--norc',
    '-c',
    script,
    'run',
    image.root,
    User,
    'env',
    '-i',
    ...Env,
    '/usr/sbin/chroot',
    ...inside,
  ];
  return await runInNamespaces(command, { packages, env: {}, cwd: image.root, timeoutMs: 60_000 });
}

/** Every file that the kernel would start, by its path in the image. */
function programs(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .map(({ parentPath, name }) => join(parentPath, name))
    .filter((path) => {
      const found = lstatSync(path);
      return found.isSymbolicLink() || (found.isFile() && (found.mode & 0o111) !== 0);
    })
    .map((path) => path.slice(root.length));
}

before(async () => {
  [onBare, onDebian] = await Promise.all([
    open(images.operator.archive, true),
    open(images.operatorOnDebian.archive, false),
  ]);
});

after(async () => {
  for (const directory of directories) await removeScratchDirectory(directory);
});

describe('the image', () => {
  test('starts as a user without rights, by an entry point that needs no shell', () => {
    const { User, Entrypoint, WorkingDir } = onBare.configuration;
    assert.match(User ?? '', /^[1-9]\d*:[1-9]\d*$/);
    assert.equal(Entrypoint[0], 'node');
    assert.equal(Entrypoint.at(-1), '/app/main.mjs');
    assert.equal(WorkingDir, '/app');
  });

  test('adds the bundle and its licences to the base, and nothing else', (context) => {
    const { baseLayers } = images;
    const own = onBare.layers.slice(baseLayers);
    const files = own.flatMap(({ files: all }) => all).filter((file) => !file.endsWith('/'));
    assert.deepEqual(files.toSorted(), ['app/main.mjs', 'app/main.mjs.LEGAL.txt']);
    const sum = (layers: OpenedImage['layers'], part: 'bytes' | 'compressedBytes'): number =>
      layers.reduce((total, layer) => total + layer[part], 0);
    assert.ok(sum(own, 'bytes') < LARGEST_OWN_BYTES, `its own layers have ${sum(own, 'bytes')} bytes`);
    const told = (bytes: number): string => `${(bytes / MEBIBYTE).toFixed(1)} MiB`;
    context.diagnostic(
      `image: ${told(sum(onBare.layers, 'bytes'))}, compressed ${told(sum(onBare.layers, 'compressedBytes'))}; ` +
        `of that our own layer ${told(sum(own, 'bytes'))}, compressed ${told(sum(own, 'compressedBytes'))}; ` +
        'the base is Node 24, its libraries and CA certificates',
    );
  });

  test('runs where nothing is but Node, its libraries and CA certificates: no shell, no other program', async () => {
    const runnable = programs(onBare.root).filter((path) => !/^\/(usr\/)?lib/.test(path));
    assert.deepEqual(runnable, ['/nodejs/bin/node']);
    const { code, stdout, stderr } = await runEntrypoint(onBare, ['--version']);
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(`\\b${images.operator.tag.replaceAll('.', '\\.')}\\b`));
  });

  test('runs on a whole Debian as well, whose node is elsewhere', async () => {
    assert.ok(existsSync(join(onDebian.root, 'usr/local/bin/node')));
    const { code, stderr } = await runEntrypoint(onDebian, ['--help']);
    assert.equal(code, 0, stderr);
  });

  test('says in one sentence what it lacks when it is started outside of a cluster', async () => {
    const { code, stderr, stdout } = await runEntrypoint(onBare, []);
    assert.equal(code, 1, stderr);
    assert.match(stderr.trim(), /^workload-credentials: .*pass --kubeconfig=FILE\.$/);
    assert.equal(stdout, '');
  });

  test('nothing of the machine that built it is in its layers, its environment or its history', () => {
    const bundle = readFileSync(join(onBare.root, 'app/main.mjs'), 'utf8');
    const own = JSON.stringify([onBare.configuration, onBare.history]);
    const home = process.env['HOME'] ?? '/root';
    for (const trace of ['_authToken', `${home}/`, process.cwd()]) {
      assert.equal(own.includes(trace), false, `${trace} in the configuration`);
      assert.equal(bundle.includes(trace), false, `${trace} in the bundle`);
    }
    assert.equal(own.includes('registry'), false, 'a registry in the configuration');
    for (const name of ['run/secrets', 'root/.npmrc', 'build'])
      assert.equal(existsSync(join(onBare.root, name)), false, name);
  });
});
