// Promises: everything that the demo runs: the sandbox in this process, the operator and a pod's application as processes
// of their own, a directory under the system's temporary one; and that none of it is left when stop() has returned.
// The children get the environment that is written here and nothing of the machine's.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { DemoAPI } from './demo-api.ts';
import type { Reading } from './demo-reader.ts';
import { SecretVolume } from './demo-volume.ts';
import { startSandbox } from './sandbox.ts';
import type { Sandbox } from './sandbox.ts';

/** Life of the credentials: AWS gives at least 15 minutes, which nobody wants to watch. */
export const SESSION_SECONDS = 18;
/** A private endpoint has an audience of its own: the operator gives a cloud's own audience to that cloud only. */
export const AUDIENCE = 'sts.sandbox.example';

const PATH = '/usr/local/bin:/usr/bin:/bin';
const LOOK_EVERY_MS = 100;
/** The operator promises to stop within 10 s. */
const STOP_MS = 11_000;

/** Something that the demo shows did not happen. */
export class DemoFailure extends Error {}
/** Ctrl-C. */
export class DemoInterrupted extends Error {}

/** How a child ended. */
interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

interface Child {
  readonly process: ChildProcess;
  readonly lines: string[];
  readonly exited: Promise<Exit>;
  exit: Exit | undefined;
}

/** One line of the operator's log. */
export interface OperatorLine {
  readonly message?: string;
  readonly listenAddress?: string;
}

/** All of it. */
export class DemoStage {
  readonly sandbox: Sandbox;
  readonly api: DemoAPI;
  readonly directory: string;
  readonly kubeconfig: string;
  /** Where the pod has the Secret's files. */
  readonly mountPath: string;
  readonly readings: Reading[] = [];
  readonly #interrupt: AbortSignal;
  #operator: Child | undefined;
  #reader: Child | undefined;
  #volume: SecretVolume | undefined;

  private constructor(sandbox: Sandbox, directory: string, interrupt: AbortSignal) {
    this.sandbox = sandbox;
    this.directory = directory;
    this.#interrupt = interrupt;
    this.kubeconfig = join(directory, 'kubeconfig');
    this.mountPath = join(directory, 'pod', 'orders');
    const { server, caPEM, adminToken } = sandbox;
    this.api = new DemoAPI({ server, caPEM, token: adminToken, kubeconfig: this.kubeconfig, home: directory });
  }

  /** Starts the servers. */
  static async open(interrupt: AbortSignal): Promise<DemoStage> {
    const sandbox = await startSandbox({ maxSessionSeconds: SESSION_SECONDS, clientIDs: [AUDIENCE] });
    const directory = await mkdtemp(join(tmpdir(), 'workload-credentials-demo-'));
    const stage = new DemoStage(sandbox, directory, interrupt);
    await sandbox.writeKubeconfig(stage.kubeconfig);
    return stage;
  }

  /** Starts the operator from source, as a process of its own. @returns its process id and where it listens */
  async startOperator(): Promise<{ readonly pid: number; readonly url: string }> {
    const operator = start([
      fileURLToPath(new URL('../src/main.ts', import.meta.url)),
      `--kubeconfig=${this.kubeconfig}`,
      '--leader-elect=false',
      '--listen-address=127.0.0.1:0',
      `--sts-endpoint=AWS=${this.sandbox.aws.url.origin}=${AUDIENCE}`,
    ]);
    this.#operator = operator;
    const started = await this.until('the operator to start', 20_000, () => {
      const lines = operator.lines.map(parseLine);
      return lines.some(({ message }) => message === 'this replica works')
        ? lines.find(({ message }) => message === 'operator started')
        : undefined;
    });
    return { pid: operator.process.pid ?? 0, url: `http://${started.listenAddress}` };
  }

  /** Everything that the operator has printed. */
  operatorLines(): readonly string[] {
    return this.#operator?.lines ?? [];
  }

  /** Mounts the Secret and starts the application that uses it. */
  async startPod(namespace: string, secretName: string): Promise<void> {
    this.#volume = new SecretVolume(this.api, { namespace, name: secretName }, this.mountPath);
    await this.#volume.mount();
    const reader = start([fileURLToPath(new URL('./demo-reader.ts', import.meta.url))], {
      AWS_CONFIG_FILE: join(this.mountPath, 'config'),
      AWS_ENDPOINT_URL_STS: this.sandbox.aws.url.origin,
      AWS_EC2_METADATA_DISABLED: 'true',
      HOME: this.directory,
    });
    this.#reader = reader;
    createInterface({ input: reader.process.stdout as Readable }).on('line', (line) => {
      this.readings.push(JSON.parse(line) as Reading);
    });
  }

  /**
   * Looks until `look` gives something, and returns that.
   * @throws DemoFailure when time is up, a child has ended, or the application was refused; DemoInterrupted.
   */
  async until<T>(
    what: string,
    timeoutMs: number,
    look: () => Promise<T | undefined | false> | T | undefined | false,
  ): Promise<T> {
    const endMs = performance.now() + timeoutMs;
    for (;;) {
      this.check();
      const seen = await look();
      if (seen !== undefined && seen !== false) return seen;
      if (performance.now() > endMs) {
        const last = this.operatorLines().at(-1);
        const said = last === undefined ? '' : ` The operator's last line: ${last}`;
        throw new DemoFailure(`Waited ${timeoutMs / 1000} s in vain for ${what}.${said}`);
      }
      await sleep(LOOK_EVERY_MS);
    }
  }

  /** @throws what is wrong right now, if anything */
  check(): void {
    if (this.#interrupt.aborted) throw new DemoInterrupted('interrupted');
    for (const [name, child] of [
      ['operator', this.#operator],
      ["pod's application", this.#reader],
    ] as const) {
      if (child?.exit === undefined) continue;
      const { code, signal } = child.exit;
      throw new DemoFailure(`The ${name} ended (${code ?? signal}): ${child.lines.slice(-3).join(' / ')}`);
    }
    const bad = this.readings.find(({ error, leftMs }) => error !== undefined || (leftMs ?? 0) <= 0);
    if (bad === undefined) return;
    const why = bad.error ?? `what it read had ended ${-(bad.leftMs ?? 0)} ms before`;
    throw new DemoFailure(`The pod's application could not use ${bad.accessKeyID ?? 'its credential'}: ${why}`);
  }

  /** SIGTERM, as Kubernetes does. @returns the exit code */
  async stopOperator(): Promise<number | null> {
    return this.#operator === undefined ? null : (await end(this.#operator)).code;
  }

  async stopPod(): Promise<void> {
    this.#volume?.unmount();
    if (this.#reader !== undefined) await end(this.#reader);
  }

  /** Ends everything and removes the directory. */
  async stop(): Promise<void> {
    await Promise.all([this.stopPod(), this.stopOperator()]);
    await this.api.close();
    await this.sandbox.stop();
    await rm(this.directory, { recursive: true, force: true });
  }
}

function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): Child {
  // In a process group of its own, so that Ctrl-C at a terminal comes to us alone and we end it in order.
  const child = spawn(process.execPath, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH, ...env },
    detached: true,
  });
  const exited = Promise.withResolvers<Exit>();
  const started: Child = { process: child, lines: [], exited: exited.promise, exit: undefined };
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => started.lines.push(line));
  }
  child.once('close', (code, signal) => {
    started.exit = { code, signal };
    exited.resolve(started.exit);
  });
  return started;
}

async function end(child: Child): Promise<Exit> {
  if (child.exit === undefined) {
    child.process.kill('SIGTERM');
    const hard = setTimeout(() => child.process.kill('SIGKILL'), STOP_MS);
    await child.exited;
    clearTimeout(hard);
  }
  return child.exit ?? { code: null, signal: null };
}

function parseLine(line: string): OperatorLine {
  try {
    return JSON.parse(line) as OperatorLine;
  } catch {
    return {};
  }
}
