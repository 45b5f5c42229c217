// Promises: runs a command in mount and PID namespaces of its own, on demand in a network of its own too, with the packages
// of debian.ts laid over /usr as if they were installed. Its first process is a shell that reaps orphans; when the command
// ends, or this process does (SIGKILL included), the kernel ends all that runs in there, and mounts and network go with it.
// What the kernel keeps, directories and cgroups, the reaper removes. Linux, and root.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MissingToolError } from './binaries.ts';
import { runCommand } from './command.ts';
import type { CommandResult } from './command.ts';
import { forgetProcess, reapCgroups, reapProcess } from './processes.ts';

/** What the command finds in its namespaces. */
export interface NamespaceOptions {
  /** The directory of unpacked packages that are laid over /usr. */
  readonly packages: string;
  /** A network with nothing but loopback in it, and empty /run, /var/lib and /var/log in memory; default the machine's. */
  readonly ownNetwork?: boolean;
  /** The whole environment; PATH is that of Debian's root. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
}

const ROOTS_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** What makes the namespaces, before any package is laid over anything. */
const NEEDED = ['bash', 'ip', 'mount', 'unshare'];
/** Not exec: bash stays the first process, and waits for orphans too. */
const INIT = `set -eu
mount -t overlay overlay -o "lowerdir=$1/usr:/usr" /usr
if [ "$2" = true ]; then
  ip link set lo up
  for directory in /run /var/lib /var/log; do mount -t tmpfs tmpfs "$directory"; done
fi
shift 2
set +e
"$@"
exit $?`;
const CGROUPS = '/sys/fs/cgroup';
const CGROUP_PREFIX = 'wc-node-';

/** @throws MissingToolError with the one sentence when this machine or user cannot make namespaces, or lacks what makes them. */
export function requireRoot(): void {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    throw new MissingToolError(
      'A real node needs Linux and root (it mounts, makes networks and runs containers): run "npm run test:node" as root, ' +
        'on a machine or in a virtual machine of your own.',
    );
  }
  const directories = ROOTS_PATH.split(':');
  const missing = NEEDED.filter((name) => !directories.some((directory) => existsSync(join(directory, name))));
  if (missing.length > 0) {
    throw new MissingToolError(
      `A real node needs ${missing.join(', ')}: run "apt-get install bash iproute2 mount util-linux" as root.`,
    );
  }
}

function unshareArguments(command: readonly string[], { packages, ownNetwork = false }: NamespaceOptions): string[] {
  return [
    '--mount',
    '--propagation=private',
    '--pid',
    '--fork',
    '--kill-child=SIGKILL',
    '--mount-proc',
    ...(ownNetwork ? ['--net', '--ipc', '--uts'] : []),
    // A shell whose standard input is a socket reads its start-up file unless it is told not to.
    'bash',
    '--norc',
    '-c',
    INIT,
    'init',
    packages,
    String(ownNetwork),
    ...command,
  ];
}

function environmentOf({ env }: NamespaceOptions): Record<string, string> {
  return { ...env, PATH: ROOTS_PATH };
}

/** Runs a command to its end and keeps what it prints. */
export async function runInNamespaces(
  command: readonly string[],
  options: NamespaceOptions & { readonly timeoutMs: number },
): Promise<CommandResult> {
  const { cwd, timeoutMs } = options;
  return await runCommand('unshare', unshareArguments(command, options), {
    env: environmentOf(options),
    cwd,
    timeoutMs,
  });
}

/** Runs a command to its end; it prints where this process prints. Returns its status. */
export async function showInNamespaces(command: readonly string[], options: NamespaceOptions): Promise<number> {
  const child = spawn('unshare', unshareArguments(command, options), {
    env: environmentOf(options),
    cwd: options.cwd,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const { pid } = child;
  if (pid !== undefined) reapProcess(pid);
  const end = (): void => {
    child.kill('SIGKILL');
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, end);
  return await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      if (pid !== undefined) forgetProcess(pid);
      resolve(code ?? 1);
    });
  });
}

/** Where cgroups are made: each controller's hierarchy of cgroup v1, or the one of v2. */
function hierarchies(): string[] {
  if (existsSync(join(CGROUPS, 'cgroup.controllers'))) return [CGROUPS];
  return readdirSync(CGROUPS)
    .map((name) => join(CGROUPS, name))
    .filter((directory) => existsSync(join(directory, 'cgroup.procs')));
}

function removeTree(directory: string): void {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) removeTree(join(directory, entry.name));
  }
  rmdirSync(directory);
}

/** Removes a bed's cgroups. Those with a process in them stay. */
export function removeCgroups(name: string): void {
  for (const hierarchy of hierarchies()) {
    const directory = join(hierarchy, name);
    try {
      if (existsSync(directory)) removeTree(directory);
    } catch {
      // A process is in there.
    }
  }
}

/** The cgroups of beds whose processes have all ended, whoever failed to remove them. */
export function removeStaleCgroups(): void {
  const names = new Set(hierarchies().flatMap((directory) => readdirSync(directory)));
  for (const name of names) {
    const pid = new RegExp(`^${CGROUP_PREFIX}(\\d+)$`).exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) removeCgroups(name);
  }
}

/** A cgroup of its own for one bed; the reaper removes it. Returns its path below each hierarchy, as kubelet takes it. */
export function makeCgroups(): string {
  removeStaleCgroups();
  const name = `${CGROUP_PREFIX}${process.pid}`;
  for (const hierarchy of hierarchies()) {
    const directory = join(hierarchy, name);
    mkdirSync(directory, { recursive: true });
    inheritProcessors(hierarchy, directory);
    reapCgroups(directory);
  }
  return name;
}

/** A new cpuset of cgroup v1 has neither processors nor memory, and takes no process. */
function inheritProcessors(parent: string, child: string): void {
  for (const name of ['cpuset.cpus', 'cpuset.mems']) {
    const file = join(parent, name);
    if (existsSync(file)) writeFileSync(join(child, name), readFileSync(file));
  }
}
