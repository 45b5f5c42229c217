// Promises: child processes and scratch directories that never outlive this process: stop() is the polite way, reaper.ts
// the certain one. A child gets the environment that it is given and nothing else. Children do not keep this process alive.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** https://github.com/kubernetes/klog: severity, month and day, time. */
const KLOG_INFORMATION = /^I\d{4} \d\d:/;

let reaper: ChildProcess | undefined;

function tellReaper(line: string): void {
  if (reaper === undefined) {
    // In its own process group, so that Ctrl-C at a terminal does not end it before it has cleaned up.
    reaper = spawn(process.execPath, [fileURLToPath(new URL('./reaper.ts', import.meta.url))], {
      stdio: ['pipe', 'ignore', 'ignore'],
      env: {},
      detached: true,
    });
    reaper.unref();
    const { stdin } = reaper;
    if (stdin !== null && 'unref' in stdin && typeof stdin.unref === 'function') stdin.unref();
    stdin?.on('error', () => {
      // The reaper is gone: what is left is what stop() does.
    });
  }
  reaper.stdin?.write(`${line}\n`);
}

/** Registers a process that this one started by other means than startChild. */
export function reapProcess(pid: number): void {
  tellReaper(`+pid ${pid}`);
}

/** To be called when a registered process has ended: its number may be somebody else's soon. */
export function forgetProcess(pid: number): void {
  tellReaper(`-pid ${pid}`);
}

/** Registers a directory of a cgroup hierarchy, to be removed with all below it when this process ends. */
export function reapCgroups(directory: string): void {
  tellReaper(`+cgr ${directory}`);
}

/** A directory of its own under the system's temporary one, removed when this process ends. */
export function scratchDirectory(name: string): string {
  const directory = mkdtempSync(join(tmpdir(), `wc-${name}-`));
  tellReaper(`+dir ${directory}`);
  return directory;
}

/** Removes what scratchDirectory made. */
export async function removeScratchDirectory(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  tellReaper(`-dir ${directory}`);
}

/** What to start. */
export interface ChildOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Where stdout and stderr go; appended to. */
  readonly logFile: string;
  readonly cwd: string;
  /** Only root can start a process as somebody else. */
  readonly uid?: number;
  readonly gid?: number;
}

/** How a process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A process that writes to a log file. */
export interface Child {
  readonly name: string;
  readonly pid: number;
  /** Set once it has ended. */
  exit(): Exit | undefined;
  /** SIGKILL, and waits until it has ended. */
  kill(): Promise<void>;
  /** The last lines of its log, without those that klog marks as information. */
  logTail(lines?: number): string;
}

/**
 * Starts a process.
 * @throws Error when it cannot be started (the file is missing, say).
 */
export async function startChild(options: ChildOptions): Promise<Child> {
  const log = openSync(options.logFile, 'a');
  const child = spawn(options.command, options.args, {
    stdio: ['ignore', log, log],
    env: options.env,
    cwd: options.cwd,
    ...(options.uid === undefined ? {} : { uid: options.uid }),
    ...(options.gid === undefined ? {} : { gid: options.gid }),
  });
  closeSync(log);
  let exit: Exit | undefined;
  const exited = new Promise<void>((resolve) => {
    child.once('exit', (code, signal) => {
      exit = { code, signal };
      if (child.pid !== undefined) forgetProcess(child.pid);
      resolve();
    });
  });
  await once(child, 'spawn');
  const { pid } = child;
  if (pid === undefined) throw new Error(`${options.name} has no process id`);
  reapProcess(pid);
  child.unref();
  return {
    name: options.name,
    pid,
    exit: () => exit,
    kill: async () => {
      if (exit !== undefined) return;
      child.ref();
      child.kill('SIGKILL');
      await exited;
    },
    logTail: (lines = 20) => {
      const all = readFileSync(options.logFile, 'utf8').trimEnd().split('\n');
      const worth = all.filter((line) => !KLOG_INFORMATION.test(line));
      return worth.slice(-lines).join('\n');
    },
  };
}

/**
 * Where ports are looked for: below those that Linux gives to connections by itself (32768 and up,
 * https://docs.kernel.org/networking/ip-sysctl.html, ip_local_port_range), of which a bed opens thousands.
 */
const PORTS = { first: 15_000, last: 31_999 };

/** Whether nobody listens there now. */
async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const { promise, resolve } = Promise.withResolvers<boolean>();
  server.once('error', () => resolve(false));
  server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  return await promise;
}

/**
 * Ports of 127.0.0.1 that are free now, all different, by chance. Another bed may take one before it is used, which is
 * unlikely among so many: whoever starts a server that matters tries again with others when it fails.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = randomInt(PORTS.first, PORTS.last + 1);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}
