// Promises: the program of a former release, from the sources that its fixture keeps and the dependencies that its own lock
// file names, in the cache outside the checkout, made once, as one file: it starts as fast as the built program does. Nothing
// of this checkout's src or dependencies is in it: an upgrade from the present program to itself would show nothing.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { PROGRAM_FILE, releaseDirectory } from '../../tools/release-fixture.ts';
import { cacheDirectory, MissingToolError } from './binaries.ts';
import { type CommandResult, runCommand } from './command.ts';
import { withLock } from './lock.ts';

/** npm asks the registry for some fifty packages. */
const INSTALL_MS = 240_000;
/** In the release's directory of the cache. */
const MAIN = 'main.mjs';

async function run(file: string, args: readonly string[], cwd: string): Promise<CommandResult> {
  const env = Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) => (value ? [[name, value]] : [])),
  );
  try {
    return await runCommand(file, args, { cwd, env, timeoutMs: INSTALL_MS });
  } catch (error) {
    throw new MissingToolError(`The program of a former release needs ${file}: ${(error as Error).message}`);
  }
}

/** As tools/bundle.ts does for the image. */
async function bundle(directory: string): Promise<void> {
  await build({
    absWorkingDir: directory,
    entryPoints: ['src/main.ts'],
    outfile: join(directory, MAIN),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node22',
    keepNames: true,
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    logLevel: 'error',
  });
}

/**
 * The main file of a release's program: what `node` is given.
 * @param version one that has a fixture in test/fixtures/releases.
 * @throws MissingToolError when npm or tar is missing or npm could not install, with its last words.
 */
export async function ensureReleaseProgram(version: string): Promise<string> {
  const archive = fileURLToPath(new URL(PROGRAM_FILE, releaseDirectory(version)));
  const key = createHash('sha256').update(readFileSync(archive)).update(MAIN).digest('hex').slice(0, 12);
  const parent = join(cacheDirectory(), 'releases');
  const directory = join(parent, `${version}-${key}`);
  const main = join(directory, MAIN);
  await mkdir(parent, { recursive: true });
  await withLock(join(parent, '.lock'), async () => {
    if (existsSync(main)) return;
    const partial = await mkdtemp(join(parent, '.partial-'));
    const steps: readonly (readonly [string, readonly string[]])[] = [
      ['tar', ['-xzf', archive]],
      // No package's own scripts: what they would bring is for development.
      ['npm', ['ci', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']],
    ];
    for (const [file, args] of steps) {
      const { code, stdout, stderr } = await run(file, args, partial);
      if (code === 0) continue;
      await rm(partial, { recursive: true, force: true });
      throw new MissingToolError(
        `${file} ${args.join(' ')} for release ${version} ended with ${code}: ${stdout}${stderr}`,
      );
    }
    await bundle(partial);
    await rename(partial, directory);
  });
  return main;
}
