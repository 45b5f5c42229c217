// Promises: the images that a bed's node runs, built with buildah from this checkout's Dockerfile and from bases that are made
// here, for no registry of images is asked: a Debian with npm (by debootstrap) to build in and to try, and a base with
// nothing but Node, its libraries and CA certificates to run on. Each is kept in the cache by what went into it, and taken
// from there while nothing of it changes. npm inside the build has this machine's own configuration, by build secrets.
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheDirectory, MissingToolError } from './binaries.ts';
import { runCommand } from './command.ts';
import { debianRelease, downloadEnvironment } from './debian.ts';
import { withLock } from './lock.ts';
import { runInNamespaces } from './namespaces.ts';
import { removeScratchDirectory, scratchDirectory } from './processes.ts';

/** An image in the cache, as an OCI archive with compressed layers: what a registry would hold. */
export interface Image {
  /** Without the tag: `localhost/workload-credentials`. */
  readonly repository: string;
  readonly tag: string;
  readonly archive: string;
}

/** What the bed runs. */
export interface Images {
  /** The operator on the bare base. */
  readonly operator: Image;
  /** The operator on the Debian base: another one that the Dockerfile may be given. */
  readonly operatorOnDebian: Image;
  /**
   * A program that uses S3 through the SDK's own chain; a shell and cat, which the SDK's credential_process needs; and what
   * stands for the AWS CLI (aws-cli.ts), with the sleep that the samples have beside it.
   */
  readonly workload: Image;
  /** What holds a pod's namespaces. */
  readonly pause: Image;
  /** How many layers of `operator` are the base's. */
  readonly baseLayers: number;
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const TAG = (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }).version;
/** What the build stage reads before the sources; a change of it asks for all packages anew. */
const DEPENDENCY_FILES = ['Dockerfile', '.dockerignore', 'package.json', 'package-lock.json', '.npmrc'];
const WORKLOAD = fileURLToPath(new URL('./workload.ts', import.meta.url));
const AWS_CLI = fileURLToPath(new URL('./aws-cli.ts', import.meta.url));
const NO_NPM = 'There is no npm on PATH, which the image is built with: install Node with npm.';
/** An archive is small; a store is a gigabyte. */
const KEPT_DAYS = { archive: 14, store: 1 };
const MINUTE_MS = 60_000;

/** A base with npm, as node:24-slim is one. */
const DEBIAN_BASE = `FROM scratch
ADD base.tar /
COPY node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
`;
/** Laid out as the distroless base is: node where it is there, no shell, no package manager. */
const BARE_BASE = `FROM scratch
COPY root /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532
`;
const WORKLOAD_FILE = `FROM localhost/bare
COPY --chmod=755 busybox /bin/sh
COPY --chmod=755 busybox /bin/cat
COPY --chmod=755 busybox /bin/sleep
COPY --chmod=755 aws /bin/aws
COPY workload.mjs aws-cli.mjs /app/
USER 1000
ENTRYPOINT ["/nodejs/bin/node", "/app/workload.mjs"]
`;
const AWS_SCRIPT = '#!/bin/sh\nexec /nodejs/bin/node /app/aws-cli.mjs "$@"\n';
const PAUSE_FILE = `FROM scratch
COPY --chmod=755 busybox /busybox
USER 65535
ENTRYPOINT ["/busybox", "sleep", "infinity"]
`;

function say(line: string): void {
  process.stderr.write(`beds: ${line}\n`);
}

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
    .toSorted();
}

function keyOf(parts: readonly string[], files: readonly string[]): string {
  const hash = createHash('sha256').update(parts.join('\n'));
  for (const file of files) hash.update(`\n${file.replace(ROOT, '')}\n`).update(readFileSync(file));
  return hash.digest('hex').slice(0, 12);
}

/** The Node of package.json, whatever Node runs this. */
function nodeFile(): string {
  return join(dirname(createRequire(import.meta.url).resolve('node/package.json')), 'bin/node');
}

/** The npm that runs this, or the one on PATH. @throws MissingToolError */
function npmDirectory(): string {
  const onPath = (process.env['PATH'] ?? '').split(delimiter).map((directory) => join(directory, 'npm'));
  const found = [process.env['npm_execpath'] ?? '', ...onPath].filter((file) => file !== '' && existsSync(file));
  const script = found.map((file) => realpathSync(file)).find((file) => basename(file) === 'npm-cli.js');
  if (script === undefined) throw new MissingToolError(NO_NPM);
  return dirname(dirname(script));
}

async function npm(args: readonly string[]): Promise<{ stdout: string; code: number | null }> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([, value]) => value !== undefined));
  try {
    return await runCommand('npm', args, { env: env as Record<string, string>, cwd: ROOT });
  } catch (error) {
    throw new MissingToolError(NO_NPM, { cause: error });
  }
}

async function npmSetting(name: string): Promise<string | undefined> {
  const value = (await npm(['config', 'get', name])).stdout.trim();
  return value === '' || value === 'null' || value === 'undefined' ? undefined : value;
}

/** An npmrc with its variables filled in, as npm does where it reads the file: in the build they are not there. */
export function filledConfiguration(text: string, env: Readonly<Record<string, string | undefined>>): string {
  return text.replaceAll(/\$\{(\w+)\}/g, (whole, name: string) => env[name] ?? whole);
}

/** This machine's npm configuration as the two secrets of the Dockerfile; what is in it stays out of every layer. */
async function npmSecrets(directory: string): Promise<string[]> {
  const [userconfig, registry, cafile] = [
    await npmSetting('userconfig'),
    await npmSetting('registry'),
    await npmSetting('cafile'),
  ];
  const own = userconfig !== undefined && existsSync(userconfig) ? readFileSync(userconfig, 'utf8') : '';
  const filled = filledConfiguration(own, process.env);
  const file = join(directory, 'npmrc');
  writeFileSync(file, `${filled}\n${registry === undefined ? '' : `registry=${registry}\n`}`, { mode: 0o600 });
  const authority = cafile ?? process.env['NODE_EXTRA_CA_CERTS'];
  const secrets = [`--secret=id=npmrc,src=${file}`];
  return authority === undefined || !existsSync(authority)
    ? secrets
    : [...secrets, `--secret=id=npm-ca,src=${authority}`];
}

/** Runs buildah with a store of its own. */
class Builder {
  readonly #packages: string;
  readonly #store: string;
  readonly #driver: string;
  readonly directory: string;

  constructor(options: { packages: string; store: string; driver: string; directory: string }) {
    this.#packages = options.packages;
    this.#store = options.store;
    this.#driver = options.driver;
    this.directory = options.directory;
  }

  async run(args: readonly string[], timeoutMs = 10 * MINUTE_MS): Promise<string> {
    const [verb = '', ...rest] = args;
    const storage = ['--root', this.#store, '--runroot', join(this.directory, 'run'), '--storage-driver', this.#driver];
    const { code, stdout, stderr } = await runInNamespaces(['buildah', ...storage, verb, ...rest], {
      packages: this.#packages,
      env: {
        ...downloadEnvironment(),
        HOME: this.directory,
        TMPDIR: this.directory,
        BUILDAH_ISOLATION: 'chroot',
        CONTAINERS_CONF: '/dev/null',
        CONTAINERS_REGISTRIES_CONF: '/dev/null',
      },
      cwd: this.directory,
      timeoutMs,
    });
    if (code === 0) return stdout;
    const told = `${stdout}${stderr}`.trimEnd().split('\n').slice(-30).join('\n');
    throw new Error(`buildah ${verb} ended with ${code}:\n${told}`);
  }

  async build(name: string, context: string, further: readonly string[] = []): Promise<void> {
    const policy = join(this.#packages, 'etc/containers/policy.json');
    const args = ['--signature-policy', policy, '--pull-never', '--network=host', '--timestamp=0', ...further];
    await this.run(['bud', ...args, '--tag', `localhost/${name}`, context]);
  }

  async has(name: string): Promise<boolean> {
    const names = await this.run(['images', '--format', '{{.Name}}:{{.Tag}}']);
    return names.split('\n').includes(`localhost/${name}`);
  }

  /** Writes the archive whole or not at all. */
  async save(name: string, archive: string): Promise<void> {
    const partial = `${archive}.${process.pid}.partial`;
    const policy = join(this.#packages, 'etc/containers/policy.json');
    const args = ['--signature-policy', policy, '--quiet', '--format=oci', '--disable-compression=false'];
    await this.run(['push', ...args, `localhost/${name}`, `oci-archive:${partial}:${TAG}`]);
    await rename(partial, archive);
  }
}

async function timed(what: string, work: () => Promise<void>): Promise<void> {
  const startedAtMs = performance.now();
  say(`${what}: being made`);
  await work();
  say(`${what}: made in ${((performance.now() - startedAtMs) / 1000).toFixed(1)} s`);
}

/** The mirror that this machine's apt uses. */
async function debianMirror(directory: string): Promise<readonly string[]> {
  const args = ['download', '--print-uris', 'base-files'];
  const { stdout } = await runCommand('apt-get', args, { env: downloadEnvironment(), cwd: directory });
  const mirror = /^'([^']+)\/pool\//.exec(stdout)?.[1];
  return mirror === undefined ? [] : [mirror];
}

/** Debian's smallest system with CA certificates, as a tar file. */
async function ensureDebianBase(packages: string, directory: string): Promise<string> {
  const release = debianRelease();
  const file = join(directory, `debian-${release}.tar`);
  if (existsSync(file)) return file;
  await timed(`the base image's Debian ${release}`, async () => {
    const scratch = scratchDirectory('debootstrap');
    try {
      const target = join(scratch, 'root');
      const script = `debootstrap --variant=minbase --include=ca-certificates "$@" >"$0/log" 2>&1 || { tail -5 "$0/log" >&2; exit 1; }
        tar -C "$0/root" --sort=name --exclude=./var/cache/apt --exclude=./var/lib/apt/lists --exclude=./usr/share/doc --exclude=./usr/share/man \\
        --exclude=./usr/share/locale --exclude=./dev --exclude=./proc --exclude=./sys -cf "$0/base.tar" .`;
      const command = ['bash', '--norc', '-c', script, scratch, release, target, ...(await debianMirror(scratch))];
      const { code, stderr } = await runInNamespaces(command, {
        packages,
        env: downloadEnvironment(),
        cwd: scratch,
        timeoutMs: 10 * MINUTE_MS,
      });
      if (code !== 0) throw new Error(`debootstrap ended with ${code}: ${stderr.trim()}`);
      cpSync(join(scratch, 'base.tar'), `${file}.partial`);
      await rename(`${file}.partial`, file);
    } finally {
      await removeScratchDirectory(scratch);
    }
  });
  return file;
}

function context(builder: Builder, name: string, dockerfile: string): string {
  const directory = join(builder.directory, name);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'Dockerfile'), dockerfile);
  return directory;
}

async function makeDebianBase(builder: Builder, base: string): Promise<void> {
  const directory = context(builder, 'debian', DEBIAN_BASE);
  cpSync(base, join(directory, 'base.tar'));
  cpSync(nodeFile(), join(directory, 'node'), { dereference: true });
  cpSync(npmDirectory(), join(directory, 'npm'), { recursive: true, dereference: true });
  await builder.build('debian', directory);
}

/** Takes Node's libraries and the certificates out of the Debian base: everything else is left out. */
async function makeBareBase(builder: Builder, base: string): Promise<void> {
  const directory = context(builder, 'bare', BARE_BASE);
  const root = join(directory, 'root');
  for (const part of ['nodejs/bin', 'etc', 'tmp', 'home/nonroot', 'whole'])
    mkdirSync(join(root, part), { recursive: true });
  cpSync(nodeFile(), join(root, 'nodejs/bin/node'), { dereference: true });
  const passwd = 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n';
  writeFileSync(join(root, 'etc/passwd'), passwd);
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\nnonroot:x:65532:\n');
  const script = `set -eu
    mkdir whole; tar -C whole -xf "$1"
    for file in $(ldd "$2/nodejs/bin/node" | grep -o '/[^ ]*'); do
      mkdir -p "$2$(dirname "$file")"; cp -L "whole$file" "$2$file"
    done
    mkdir -p "$2/etc/ssl/certs"; cp -L whole/etc/ssl/certs/ca-certificates.crt "$2/etc/ssl/certs/"
    chmod 1777 "$2/tmp"; rmdir "$2/whole"`;
  const { code, stderr } = await runCommand('bash', ['--norc', '-c', script, 'bare', base, root], {
    env: { PATH: '/usr/bin:/bin' },
    cwd: directory,
  });
  if (code !== 0) throw new Error(`the bare base could not be made: ${stderr.trim()}`);
  await builder.build('bare', directory);
}

async function bundle(program: string): Promise<string> {
  const { build } = await import('esbuild');
  const { outputFiles } = await build({
    entryPoints: [program],
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    write: false,
    logLevel: 'error',
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  });
  return outputFiles[0]?.text ?? '';
}

/** Files of the cache that no run has used for some time go; the present ones are marked as used. */
async function keepOnlyUsed(directory: string, used: readonly string[]): Promise<void> {
  const now = new Date();
  for (const path of used) utimesSync(path, now, now);
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    if (name.startsWith('.') || used.includes(path)) continue;
    const ageDays = (now.getTime() - (await stat(path)).mtimeMs) / (24 * 60 * MINUTE_MS);
    if (ageDays > KEPT_DAYS[name.startsWith('store-') ? 'store' : 'archive'])
      await rm(path, { recursive: true, force: true });
  }
}

interface Plan {
  readonly directory: string;
  readonly store: string;
  readonly images: Omit<Images, 'baseLayers'>;
  /** What the workload's image has beside busybox. */
  readonly workloadFiles: Readonly<Record<string, string>>;
}

async function plan(): Promise<Plan> {
  const directory = join(cacheDirectory(), 'images');
  const version = readFileSync(join(npmDirectory(), 'package.json'), 'utf8');
  const dependencies = DEPENDENCY_FILES.map((name) => join(ROOT, name));
  const bases = [debianRelease(), version, DEBIAN_BASE, BARE_BASE];
  const storeKey = keyOf(bases, dependencies);
  const sources = [join(ROOT, 'tools/bundle.ts'), ...filesBelow(join(ROOT, 'src'))];
  const operatorKey = keyOf([storeKey], sources);
  const workloadFiles = {
    'workload.mjs': await bundle(WORKLOAD),
    'aws-cli.mjs': await bundle(AWS_CLI),
    aws: AWS_SCRIPT,
  };
  const image = (name: string, key: string): Image => ({
    repository: `localhost/${name}`,
    tag: TAG,
    archive: join(directory, `${name}-${key}.oci.tar`),
  });
  return {
    directory,
    store: join(directory, `store-${storeKey}`),
    workloadFiles,
    images: {
      operator: image('workload-credentials', operatorKey),
      operatorOnDebian: image('workload-credentials-on-debian', operatorKey),
      workload: image('workload', keyOf([...bases, WORKLOAD_FILE, ...Object.values(workloadFiles)], [])),
      pause: image('pause', keyOf([PAUSE_FILE], [])),
    },
  };
}

async function buildOperator(builder: Builder, image: Image, base: 'bare' | 'debian'): Promise<void> {
  const name = basename(image.repository);
  await timed(`the image ${name}`, async () => {
    const secrets = await npmSecrets(builder.directory);
    const bases = ['--build-arg=BUILD_IMAGE=localhost/debian', `--build-arg=BASE_IMAGE=localhost/${base}`];
    await builder.build(`${name}:${TAG}`, ROOT, [
      '--layers',
      ...secrets,
      ...bases,
      `--file=${join(ROOT, 'Dockerfile')}`,
    ]);
    await builder.save(`${name}:${TAG}`, image.archive);
  });
}

async function buildSmall(builder: Builder, image: Image, dockerfile: string, files: Files): Promise<void> {
  const name = basename(image.repository);
  const directory = context(builder, name, dockerfile);
  for (const [file, content] of Object.entries(files)) writeFileSync(join(directory, file), content);
  await builder.build(`${name}:${TAG}`, directory);
  await builder.save(`${name}:${TAG}`, image.archive);
}

type Files = Readonly<Record<string, string | Buffer>>;

async function make({ directory, store, images, workloadFiles }: Plan, packages: string): Promise<void> {
  const scratch = scratchDirectory('buildah');
  try {
    const base = await ensureDebianBase(packages, directory);
    const driver = await storageDriver(directory, packages);
    const builder = new Builder({ packages, store, driver, directory: scratch });
    if (!(await builder.has('debian:latest')))
      await timed('the base image Debian', async () => await makeDebianBase(builder, base));
    if (!(await builder.has('bare:latest')))
      await timed('the bare base image', async () => await makeBareBase(builder, base));
    const busybox = readFileSync(join(packages, 'bin/busybox'));
    const missing = ({ archive }: Image): boolean => !existsSync(archive);
    if (missing(images.operator)) await buildOperator(builder, images.operator, 'bare');
    if (missing(images.operatorOnDebian)) await buildOperator(builder, images.operatorOnDebian, 'debian');
    if (missing(images.workload)) {
      await buildSmall(builder, images.workload, WORKLOAD_FILE, { busybox, ...workloadFiles });
    }
    if (missing(images.pause)) await buildSmall(builder, images.pause, PAUSE_FILE, { busybox });
  } finally {
    await removeScratchDirectory(scratch);
  }
}

/** overlay shares layers; where the cache is on an overlay itself (in a container), only vfs works. */
async function storageDriver(directory: string, packages: string): Promise<'overlay' | 'vfs'> {
  const scratch = join(directory, `.probe-${process.pid}`);
  const script =
    'mkdir -p "$0/l" "$0/u" "$0/w" "$0/m" && mount -t overlay o -o "lowerdir=$0/l,upperdir=$0/u,workdir=$0/w" "$0/m"';
  try {
    const { code } = await runInNamespaces(['bash', '--norc', '-c', script, scratch], {
      packages,
      env: {},
      cwd: directory,
      timeoutMs: MINUTE_MS,
    });
    return code === 0 ? 'overlay' : 'vfs';
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/**
 * Makes sure that the images are in the cache.
 * @param packages the directory of unpacked packages (node-packages.ts).
 * @throws MissingToolError; Error with the last lines of buildah or debootstrap.
 */
export async function ensureImages(packages: string): Promise<Images> {
  const planned = await plan();
  const { directory, images, store } = planned;
  await mkdir(directory, { recursive: true });
  const all = Object.values(images);
  await withLock(
    join(directory, '.lock'),
    async () => {
      if (!all.every(({ archive }) => existsSync(archive))) await make(planned, packages);
      // Still alone: what another checkout's run is building looks old too.
      const kept = [join(directory, `debian-${debianRelease()}.tar`), store].filter(existsSync);
      await keepOnlyUsed(directory, [...all.map(({ archive }) => archive), ...kept]);
    },
    () => {
      say('images: another run is at it, waiting for it');
    },
  );
  // Each base is made in one piece, and so is one layer.
  return { ...images, baseLayers: 1 };
}
