// Promises: everything that the demo runs: the sandbox in this process, the operator and the pods' applications as
// processes of their own, a directory under the system's temporary one; and that none of it is left when stop() has returned.
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
import { AUDIENCE, endpointFlags } from './demo-clouds.ts';
import type { DemoCloud } from './demo-clouds.ts';
import type { Reading } from './demo-reader.ts';
import { SecretVolume } from './demo-volume.ts';
import { startSandbox } from './sandbox.ts';
import type { Sandbox } from './sandbox.ts';

/**
 * Life of the credentials: the clouds give at least 15 minutes, which nobody wants to watch. The outage takes the longest: the
 * refresh that it hits comes at half of the life or a little before, and the retry 5 s later; what is left then is for a machine
 * that is busy with other things.
 */
export const SESSION_SECONDS = 24;
/** Where the demo's objects are. */
export const NAMESPACE = 'shop';

const PATH = '/usr/local/bin:/usr/bin:/bin';
const LOOK_EVERY_MS = 100;
/** The operator promises to stop within 10 s. */
const STOP_MS = 11_000;
/** For a process to start from source. Long, because it does not touch what is shown: other things may keep the machine busy. */
const START_MS = 60_000;

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

/** What runs for one cloud: the Secret's volume, and the application that reads from it. */
interface Pod {
  readonly cloud: DemoCloud;
  readonly volume: SecretVolume;
  readonly application: Child;
  readonly readings: Reading[];
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
  readonly #interrupt: AbortSignal;
  #operator: Child | undefined;
  readonly #pods: Pod[] = [];

  private constructor(sandbox: Sandbox, directory: string, interrupt: AbortSignal) {
    this.sandbox = sandbox;
    this.directory = directory;
    this.#interrupt = interrupt;
    this.kubeconfig = join(directory, 'kubeconfig');
    const { server, caPEM, adminToken } = sandbox;
    this.api = new DemoAPI({ server, caPEM, token: adminToken, kubeconfig: this.kubeconfig, home: directory });
  }

  /** Starts the servers. */
  static async open(interrupt: AbortSignal): Promise<DemoStage> {
    const sandbox = await startSandbox({
      maxSessionSeconds: SESSION_SECONDS,
      clientIDs: [AUDIENCE],
      namespace: NAMESPACE,
    });
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
      ...endpointFlags(this.sandbox),
    ]);
    this.#operator = operator;
    const started = await this.until('the operator to start', START_MS, () => {
      const lines = operator.lines.map((line) => parseLine<OperatorLine>(line));
      return lines.some((line) => line?.message === 'this replica works')
        ? lines.find((line) => line?.message === 'operator started')
        : undefined;
    });
    return { pid: operator.process.pid ?? 0, url: `http://${started.listenAddress}` };
  }

  /** Everything that the operator has printed. */
  operatorLines(): readonly string[] {
    return this.#operator?.lines ?? [];
  }

  /** Where the pod of a cloud has the Secret's files. */
  mountPath({ name, mountPath }: DemoCloud): string {
    return mountPath(join(this.directory, 'pods', name));
  }

  /** Mounts the Secret and starts the application that uses it. */
  async startPod(cloud: DemoCloud, secret: { readonly namespace: string; readonly name: string }): Promise<void> {
    const mountPath = this.mountPath(cloud);
    const volume = new SecretVolume(this.api, secret, mountPath);
    await volume.mount();
    const application = start([fileURLToPath(new URL('./demo-reader.ts', import.meta.url)), cloud.name], {
      HOME: this.directory,
      STS_URL: cloud.service(this.sandbox).url.origin,
      ...cloud.environment(mountPath),
    });
    const pod: Pod = { cloud, volume, application, readings: [] };
    this.#pods.push(pod);
    createInterface({ input: application.process.stdout as Readable }).on('line', (line) => {
      const reading = parseLine<Reading>(line);
      if (reading !== undefined) pod.readings.push(reading);
    });
  }

  /** What the application of a cloud has read so far. */
  readings({ name }: Pick<DemoCloud, 'name'>): readonly Reading[] {
    return this.#pods.find(({ cloud }) => cloud.name === name)?.readings ?? [];
  }

  /** Waits until the first use of a cloud's credential was accepted. */
  async firstReading(cloud: DemoCloud): Promise<Reading> {
    return await this.until(`the ${cloud.title} application to be accepted`, START_MS, () =>
      this.readings(cloud).at(0),
    );
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
    if (this.#operator !== undefined) mustRun('operator', this.#operator);
    for (const { cloud, application, readings } of this.#pods) {
      mustRun(`${cloud.title} application`, application);
      const bad = readings.find(({ error, leftMs }) => error !== undefined || !((leftMs ?? 0) > 0));
      if (bad === undefined) continue;
      const why = bad.error ?? `what it read had ended ${-(bad.leftMs ?? 0)} ms before`;
      throw new DemoFailure(
        `The ${cloud.title} application could not use ${bad.accessKeyID ?? 'its credential'}: ${why}`,
      );
    }
  }

  /** SIGTERM, as Kubernetes does. @returns the exit code */
  async stopOperator(): Promise<number | null> {
    return this.#operator === undefined ? null : (await end(this.#operator)).code;
  }

  async stopPods(): Promise<void> {
    for (const { volume } of this.#pods) volume.unmount();
    await Promise.all(this.#pods.map(({ application }) => end(application)));
  }

  /** Ends everything and removes the directory. */
  async stop(): Promise<void> {
    await Promise.all([this.stopPods(), this.stopOperator()]);
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

/** @throws DemoFailure when it does not */
function mustRun(name: string, { exit, lines }: Child): void {
  if (exit === undefined) return;
  throw new DemoFailure(`The ${name} ended (${exit.code ?? exit.signal}): ${lines.slice(-3).join(' / ')}`);
}

/** A line of JSON; undefined for another line, which a library may print. */
function parseLine<T>(line: string): T | undefined {
  try {
    return JSON.parse(line) as T;
  } catch {
    return undefined;
  }
}
