// Promises: the operator as the image has it, as its own process, with the environment and arguments that the test names and
// nothing of this machine's, everything that it prints kept, and no way for it to outlive this process.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, openSync, readFileSync, closeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { forgetProcess, freePorts, reapProcess } from './processes.ts';
import type { Exit } from './processes.ts';
import { AbortedWait, waitFor } from './wait.ts';

/** What to start. */
export interface OperatorOptions {
  /** File for --kubeconfig. */
  readonly kubeconfig?: string;
  /** Further arguments. Without a --listen-address among them it listens on a free port of 127.0.0.1. */
  readonly args?: readonly string[];
  /** Further variables; PATH is set. */
  readonly env?: Readonly<Record<string, string>>;
  /** Standard output goes to this file (`/dev/full`, say) instead of into `lines`. */
  readonly stdoutFile?: string;
  /** Default: the bundle of this checkout: what the image runs, and started in half the time of dist/main.js. */
  readonly main?: string;
  /** Node's own arguments, before main.js. */
  readonly nodeArgs?: readonly string[];
}

/** One line that it has printed. */
export interface LogLine {
  readonly stream: 'stdout' | 'stderr';
  readonly text: string;
  /** The line's fields when it is a JSON object. */
  readonly fields: Readonly<Record<string, unknown>> | undefined;
}

/** A running operator. */
export interface OperatorProcess {
  readonly pid: number;
  readonly lines: readonly LogLine[];
  /** Everything it has printed, for the secret scan. */
  output(): string;
  /** Its command line as the kernel shows it to others, for the secret scan; empty where there is no /proc. */
  readonly commandLine: string;
  /** The first line, printed or to be printed, whose `message` this is or that the predicate takes. */
  waitForLog(message: string | ((line: LogLine) => boolean), timeoutMs?: number): Promise<LogLine>;
  /** Where it serves /metrics, /livez and /readyz. */
  readonly url: string;
  /** Status and body of GET `path`. */
  get(path: string): Promise<{ status: number; body: string }>;
  /** The metrics page. */
  metrics(): Promise<string>;
  /** Waits until /readyz answers 200. */
  waitUntilReady(timeoutMs?: number): Promise<void>;
  signal(signal: NodeJS.Signals): void;
  /** Resolves when it has ended. */
  readonly exited: Promise<Exit>;
  /** SIGKILL, and waits; nothing when it has ended. */
  kill(): Promise<void>;
}

const LISTEN_FLAG = '--listen-address=';
const MAIN = fileURLToPath(new URL('../../dist/bundle/main.mjs', import.meta.url));

function parseLine(stream: LogLine['stream'], text: string): LogLine {
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return { stream, text, fields: isObject ? (value as Record<string, unknown>) : undefined };
  } catch {
    return { stream, text, fields: undefined };
  }
}

function keepLines(stream: LogLine['stream'], input: Readable | null, lines: LogLine[]): void {
  if (input === null) return;
  createInterface({ input }).on('line', (text) => lines.push(parseLine(stream, text)));
}

function commandLineOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}

async function completeArguments({ kubeconfig, args = [] }: OperatorOptions): Promise<{ args: string[]; url: string }> {
  const given = args.findLast((argument) => argument.startsWith(LISTEN_FLAG))?.slice(LISTEN_FLAG.length);
  const address = given ?? `127.0.0.1:${(await freePorts(1))[0] ?? 0}`;
  const all = [
    ...(kubeconfig === undefined ? [] : [`--kubeconfig=${kubeconfig}`]),
    ...(given === undefined ? [`${LISTEN_FLAG}${address}`] : []),
    ...args,
  ];
  return { args: all, url: `http://${address}` };
}

function spawnOperator({ env = {}, stdoutFile }: OperatorOptions, args: readonly string[]): ChildProcess {
  const stdout = stdoutFile === undefined ? 'pipe' : openSync(stdoutFile, 'w');
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', stdout, 'pipe'],
    env: { PATH: '/usr/bin:/bin', ...env },
  });
  if (typeof stdout === 'number') closeSync(stdout);
  return child;
}

async function getFrom(url: string, path: string): Promise<{ status: number; body: string }> {
  const answer = await fetch(`${url}${path}`, { signal: AbortSignal.timeout(5_000) });
  return { status: answer.status, body: await answer.text() };
}

/** How it has ended, and the last that it printed. */
export function describeEnd({ code, signal }: Exit, lines: readonly LogLine[]): string {
  const last = lines.slice(-20).map(({ text }) => text);
  return `the operator has ended (${code ?? signal}):\n${last.join('\n')}`;
}

/** Starts the operator. It runs at once: wait for a log line or for readiness. @throws Error when it was not built. */
export async function startOperator(options: OperatorOptions): Promise<OperatorProcess> {
  const main = options.main ?? MAIN;
  if (!existsSync(main)) throw new Error(`${main} does not exist: run "npm run bundle" first`);
  const { args, url } = await completeArguments(options);
  const child = spawnOperator(options, [...(options.nodeArgs ?? []), main, ...args]);
  const { pid } = child;
  if (pid === undefined) throw new Error('the operator could not be started');
  reapProcess(pid);
  const lines: LogLine[] = [];
  keepLines('stdout', child.stdout, lines);
  keepLines('stderr', child.stderr, lines);
  let exit: Exit | undefined;
  const exited = new Promise<Exit>((resolve) => {
    child.once('exit', () => {
      forgetProcess(pid);
    });
    // Unlike exit, close comes after the last line.
    child.once('close', (code, signal) => {
      exit = { code, signal };
      resolve(exit);
    });
  });
  const whileRunning = (what: string): void => {
    if (exit !== undefined) {
      throw new AbortedWait(`${what}: ${describeEnd(exit, lines)}`);
    }
  };
  return {
    pid,
    lines,
    output: () => lines.map(({ text }) => `${text}\n`).join(''),
    commandLine: commandLineOf(pid),
    url,
    waitForLog: async (message, timeoutMs = 30_000) => {
      const takes = typeof message === 'string' ? ({ fields }: LogLine) => fields?.['message'] === message : message;
      const what = typeof message === 'string' ? `the log line "${message}"` : 'a log line';
      return await waitFor(
        what,
        () => {
          const line = lines.find(takes);
          if (line === undefined) whileRunning(what);
          return line;
        },
        { timeoutMs, everyMs: 20 },
      );
    },
    get: async (path) => await getFrom(url, path),
    metrics: async () => (await getFrom(url, '/metrics')).body,
    waitUntilReady: async (timeoutMs = 30_000) => {
      await waitFor(
        '/readyz of the operator',
        async () => {
          whileRunning('/readyz');
          return (await getFrom(url, '/readyz')).status === 200;
        },
        { timeoutMs },
      );
    },
    signal: (signal) => {
      child.kill(signal);
    },
    exited,
    kill: async () => {
      if (exit !== undefined) return;
      child.kill('SIGKILL');
      await exited;
    },
  };
}
