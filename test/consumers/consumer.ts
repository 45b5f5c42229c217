// Promises: a running client with a home directory of its own, in which the Secret is mounted where the vendor looks by
// default: a process that answers a line for each call. Nothing of this machine's environment reaches it but PATH.
import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Interface } from 'node:readline';
import { renderData } from '../../src/render/formats.ts';
import { formatTime } from '../../src/credential/record.ts';
import type { Client } from './clients.ts';
import type { IssuedSession, Judge } from './judges.ts';
import { MountedSecret } from './mounted-secret.ts';

/** What a call came to, as the client tells it. */
export interface CallResult {
  readonly ok: boolean;
  readonly error?: string;
}

/** The times that a rendering is told: they may differ from the session's own, which the STS alone knows. */
export interface ToldTimes {
  readonly issueTimeMs: number;
  readonly expirationTimeMs: number;
}

/** No answer takes longer: the AWS CLI needs a second, two cores may be shared by many. */
const ANSWER_MS = 30_000;

/** A client in its own process. */
export class Consumer {
  readonly #client: Client;
  readonly #judge: Judge;
  readonly #home: string;
  readonly #mount: MountedSecret;
  #process: ChildProcessWithoutNullStreams | undefined;
  #lines: Interface | undefined;
  #waiting: ((result: CallResult) => void) | undefined;
  #stderr = '';

  private constructor(client: Client, judge: Judge, home: string) {
    this.#client = client;
    this.#judge = judge;
    this.#home = home;
    this.#mount = new MountedSecret(join(home, client.directory));
  }

  /** A client whose Secret is still to be shown. */
  static async create(client: Client, judge: Judge): Promise<Consumer> {
    return new Consumer(client, judge, await mkdtemp(join(tmpdir(), 'consumer-')));
  }

  /** Renders a session as the operator does, and brings it into the volume. */
  async show({ accessKeyID, secretAccessKey, sessionToken }: IssuedSession, told: ToldTimes): Promise<void> {
    const { format, own } = this.#client;
    const secret = {
      name: 'orders',
      formats: [format === 'spec.secret.data' ? 'Files' : format],
      mountPath: this.#mount.path,
      data: own === undefined ? {} : { [own.key]: own.template },
      labels: {},
      annotations: {},
      deletionPolicy: 'Delete',
    } as const;
    const times = { issueTime: formatTime(told.issueTimeMs), expiration: formatTime(told.expirationTimeMs) };
    const data = renderData(this.#judge.exchange, secret, { accessKeyID, secretAccessKey, sessionToken, ...times });
    await this.#mount.show(own === undefined ? data : { [own.path]: data[own.key] ?? '' });
  }

  async start(): Promise<void> {
    const { file, args, environment } = await this.#client.command();
    this.#process = spawn(file, args, {
      cwd: this.#home,
      env: {
        PATH: process.env['PATH'],
        HOME: this.#home,
        CONSUMER_ENDPOINT: this.#judge.url,
        AWS_EC2_METADATA_DISABLED: 'true',
        ALIBABA_CLOUD_ECS_METADATA_DISABLED: 'true',
        VOLCENGINE_ECS_METADATA_DISABLED: 'true',
        ...environment,
        ...this.#client.environment?.(this.#mount.path),
      },
    });
    this.#process.stderr.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString('utf8')).slice(-4000);
    });
    this.#lines = createInterface({ input: this.#process.stdout });
    this.#lines.on('line', (line) => this.#waiting?.(JSON.parse(line) as CallResult));
    this.#process.on('exit', (code) => this.#waiting?.({ ok: false, error: `ended with ${code}: ${this.#stderr}` }));
    this.#process.stdin.on('error', () => this.#waiting?.({ ok: false, error: `ended: ${this.#stderr}` }));
  }

  /** A new client in the same process. */
  async renew(): Promise<CallResult> {
    return this.#ask('new');
  }

  /** One GetCallerIdentity, and the access key that the STS was shown for it. */
  async call(): Promise<CallResult & { readonly signedBy: string | undefined }> {
    const before = this.#judge.calls().length;
    const result = await this.#ask('call');
    return { ...result, signedBy: this.#judge.calls()[before]?.signedBy };
  }

  async #ask(line: string): Promise<CallResult> {
    const { promise, resolve } = Promise.withResolvers<CallResult>();
    const timer = setTimeout(() => resolve({ ok: false, error: `no answer: ${this.#stderr}` }), ANSWER_MS);
    this.#waiting = resolve;
    this.#process?.stdin.write(`${line}\n`);
    const result = await promise;
    clearTimeout(timer);
    return result;
  }

  async close(): Promise<void> {
    const child = this.#process;
    if (child !== undefined && child.exitCode === null) {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.stdin.end();
      const timer = setTimeout(() => child.kill('SIGKILL'), 2000);
      await gone;
      clearTimeout(timer);
    }
    this.#lines?.close();
    await rm(this.#home, { recursive: true, force: true });
  }
}
