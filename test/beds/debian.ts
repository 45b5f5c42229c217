// Promises: programs of Debian's packages, unpacked into the cache outside of the checkout: nothing is installed into the
// system, no service is started, and what is installed already is left alone. The packages come from the machine's own
// sources, whose signatures apt checks. What is missing is told in one sentence with the cure.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheDirectory, MissingToolError } from './binaries.ts';
import { type CommandResult, runCommand } from './command.ts';
import { withLock } from './lock.ts';

/** What packages are for, and what else would do. */
export interface DebianPackages {
  /** Names the directory in the cache. */
  readonly name: string;
  /** Each one that is needed: dependencies are not looked for. */
  readonly packages: readonly string[];
  /** What they are there for, to be put behind "There is no". */
  readonly purpose: string;
  /** One clause. */
  readonly cure: string;
}

/** PATH and the ways to the outside, and nothing else of this process's environment. */
export function downloadEnvironment(): Record<string, string> {
  const env: Record<string, string> = { PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
  for (const name of ['http_proxy', 'https_proxy', 'no_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY']) {
    const value = process.env[name];
    if (value !== undefined && value !== '') env[name] = value;
  }
  return env;
}

async function run(command: string, args: readonly string[], cwd: string): Promise<CommandResult | undefined> {
  return await runCommand(command, args, { env: downloadEnvironment(), cwd, timeoutMs: 300_000 }).catch(
    () => undefined,
  );
}

/** Stale lists are read anew, once. */
async function download(directory: string, { packages, purpose, cure }: DebianPackages): Promise<readonly string[]> {
  const args = ['download', ...packages];
  const first = await run('apt-get', args, directory);
  if (first === undefined) throw new MissingToolError(`There is no ${purpose}: ${cure}.`);
  let last: CommandResult | undefined = first;
  if (first.code !== 0) {
    await run('apt-get', ['update'], directory);
    last = await run('apt-get', args, directory);
  }
  const files = (await readdir(directory)).filter((name) => name.endsWith('.deb'));
  if (last?.code !== 0 || files.length < packages.length) {
    const told = (last?.stderr ?? '').trim().split('\n').at(-1) ?? '';
    throw new MissingToolError(`apt-get download ${packages.join(' ')} ended with ${last?.code} (${told}): ${cure}.`);
  }
  return files;
}

/** Downloads and unpacks into `target`. @throws MissingToolError */
export async function unpackDebianPackages(target: string, wanted: DebianPackages): Promise<void> {
  const partial = await mkdtemp(join(target, '..', `.${wanted.name}-`));
  try {
    for (const file of await download(partial, wanted)) {
      const unpacked = await run('dpkg', ['-x', file, 'package'], partial);
      if (unpacked?.code !== 0) {
        throw new MissingToolError(`dpkg -x ${file} failed (${unpacked?.stderr}): ${wanted.cure}.`);
      }
    }
    await rm(target, { recursive: true, force: true });
    await rename(join(partial, 'package'), target);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

/** The release of this Debian (bookworm, say): programs of one do not run on another. @throws MissingToolError */
export function debianRelease(): string {
  const file = '/etc/os-release';
  const release = existsSync(file) ? /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync(file, 'utf8'))?.[1] : undefined;
  if (release === undefined) throw new MissingToolError('A bed with real pods needs Debian or one of its children.');
  return release;
}

/** Makes sure that the packages are unpacked; returns the directory that stands for `/`. @throws MissingToolError */
export async function ensureDebianPackages(wanted: DebianPackages): Promise<string> {
  const release = debianRelease();
  const key = createHash('sha256').update(wanted.packages.join('\n')).digest('hex').slice(0, 12);
  const parent = join(cacheDirectory(), 'bin');
  const directory = join(parent, `${wanted.name}-${release}-${key}`);
  if (existsSync(directory)) return directory;
  await mkdir(parent, { recursive: true });
  await withLock(join(parent, `.${wanted.name}.lock`), async () => {
    if (!existsSync(directory)) await unpackDebianPackages(directory, wanted);
  });
  return directory;
}
