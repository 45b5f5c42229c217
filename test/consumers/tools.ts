// Promises: what consumers run on: the SDKs of PyPI, the programs in Go and those in Java, installed or built from pinned
// versions into a cache outside the checkout, once a version. Nothing goes into the system. What is missing is told in one
// sentence with the cure.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { arch, platform } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheDirectory, MissingToolError } from '../beds/binaries.ts';
import { withLock } from '../beds/lock.ts';

/** Where the programs are. */
export const PROGRAMS = fileURLToPath(new URL('../tools/consumers/', import.meta.url));
const PYTHON_REQUIREMENTS = join(PROGRAMS, 'python', 'requirements.txt');
const GO = join(PROGRAMS, 'go');
const JAVA = join(PROGRAMS, 'java');

/** Names a cache by what it is made from. */
function keyOf(files: readonly string[]): string {
  const hash = createHash('sha256').update(`${platform()} ${arch()}\n`);
  for (const file of files) hash.update(readFileSync(file));
  return hash.digest('hex').slice(0, 12);
}

const CURES: Readonly<Record<string, string>> = {
  go: 'Go 1.26 or newer (https://go.dev/dl)',
  python3: 'Python 3.11 or newer with pip',
  mvn: 'Maven 3.8 or newer (https://maven.apache.org)',
  javac: 'a JDK, 17 or newer (https://adoptium.net)',
};

async function run(command: string, args: readonly string[], cwd: string): Promise<void> {
  const env = { ...process.env, CGO_ENABLED: '0', PIP_DISABLE_PIP_VERSION_CHECK: '1', PIP_NO_INPUT: '1' };
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  execFile(command, args, { cwd, env, maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
    if (error === null) {
      resolve();
    } else if (error.code === 'ENOENT') {
      reject(new MissingToolError(`consumers need "${command}", which is not on PATH: install ${CURES[command]}.`));
    } else {
      const last = `${stdout}${stderr}`.trimEnd().split('\n').slice(-30).join('\n');
      reject(new Error(`${command} ${args.join(' ')} failed:\n${last}`));
    }
  });
  return promise;
}

/** Makes a directory of the cache unless it is there; a half-made one has another name. */
async function once(name: string, make: (partial: string) => Promise<void>): Promise<string> {
  const parent = join(cacheDirectory(), 'consumers');
  const directory = join(parent, name);
  if (existsSync(directory)) return directory;
  await mkdir(parent, { recursive: true });
  await withLock(join(parent, `.${name}.lock`), async () => {
    if (existsSync(directory)) return;
    process.stderr.write(`consumers: ${name}: getting ready (about a minute the first time)\n`);
    const partial = `${directory}.partial`;
    await rm(partial, { recursive: true, force: true });
    await make(partial);
    await rename(partial, directory);
  });
  return directory;
}

/** The directory with the SDKs of PyPI, for PYTHONPATH; its `bin` has the AWS CLI. */
export async function pythonPackages(): Promise<string> {
  const pip = [
    '-m',
    'pip',
    'install',
    '--quiet',
    '--no-deps',
    '--require-hashes',
    '--requirement',
    PYTHON_REQUIREMENTS,
  ];
  return once(`python-${keyOf([PYTHON_REQUIREMENTS])}`, async (partial) => {
    await mkdir(partial, { recursive: true });
    await run('python3', [...pip, '--target', partial], PROGRAMS);
  });
}

/** The directory with the programs in Go. */
export async function goPrograms(): Promise<string> {
  const files = readdirSync(GO, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(go|mod|sum)$/.test(name))
    .sort();
  return once(`go-${keyOf(files.map((name) => join(GO, name)))}`, async (partial) => {
    await mkdir(partial, { recursive: true });
    await run('go', ['build', '-trimpath', '-o', `${partial}/`, './...'], GO);
  });
}

/** The class path with the program in Java for a cloud and its libraries: each vendor's own, which do not go together. */
export async function javaClassPath(cloud: string): Promise<string> {
  const program = readdirSync(join(JAVA, cloud)).filter((name) => name.endsWith('.java'));
  const sources = [join(JAVA, 'Lines.java'), ...program.map((name) => join(JAVA, cloud, name))];
  const pom = join(JAVA, cloud, 'pom.xml');
  const directory = await once(`java-${cloud}-${keyOf([...sources, pom])}`, async (partial) => {
    const libraries = join(partial, 'lib');
    await mkdir(libraries, { recursive: true });
    const copy = ['-q', '-B', '-f', pom, 'dependency:copy-dependencies', `-DoutputDirectory=${libraries}`];
    await run('mvn', copy, partial);
    await run('javac', ['-cp', join(libraries, '*'), '-d', join(partial, 'classes'), ...sources], partial);
  });
  return [join(directory, 'classes'), join(directory, 'lib', '*')].join(':');
}

/** The version of a package that the requirements, the Go module or Maven's properties pin. */
export function pinnedVersion(name: string): string {
  const texts = [readFileSync(PYTHON_REQUIREMENTS, 'utf8'), readFileSync(join(GO, 'go.mod'), 'utf8')];
  const poms = readdirSync(JAVA, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const properties = poms.map((entry) => readFileSync(join(JAVA, entry.name, 'pom.xml'), 'utf8')).join('\n');
  const property = new RegExp(`<${name}>(.+)</${name}>`).exec(properties);
  if (property?.[1] !== undefined) return property[1];
  const escaped = name.replaceAll('.', '\\.');
  const found = texts
    .map((text) => new RegExp(`^\\t?${escaped}(?:==| v)(\\S+)`, 'm').exec(text)?.[1])
    .find((version) => version !== undefined);
  if (found === undefined) throw new Error(`${name} is not pinned`);
  return found;
}
