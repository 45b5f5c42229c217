// Promises: the whole operator in this process, over real sockets, against the sandbox, and what a test asks of both: set a
// scene, wait for a state, count the calls that the servers saw. Each scene is a namespace, a ServiceAccount and a role of
// their own. Time is an ElasticClock that all of it shares.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { PassThrough } from 'node:stream';
import { load } from 'js-yaml';
import type { RequestLogEntry } from '../../sandbox/apiserver/handler.ts';
import type { KubeObject } from '../../sandbox/apiserver/store.ts';
import { type Sandbox, type SandboxOptions, startSandbox } from '../../sandbox/sandbox.ts';
import type { CallLogEntry } from '../../sandbox/sts/aws.ts';
import type { Secret } from '../../src/api/meta.ts';
import type { WorkloadCredential, WorkloadCredentialSpec } from '../../src/api/types.gen.ts';
import type { ServerIdentity } from '../../src/kube/connection.ts';
import { Operator, type OperatorEnd } from '../../src/operator.ts';
import { parseOptions } from '../../src/options.ts';
import { systemRandom } from '../../src/runtime/random.ts';
import { jsonLog } from '../../src/telemetry/logger.ts';
import type { Transport } from '../../src/transport/transport.ts';
import { type TLSMaterial, undiciTransport } from '../../src/transport/undici.ts';
import type { Corpus } from '../beds/canary.ts';
import { waitFor } from '../beds/wait.ts';
import { ElasticClock } from './elastic-clock.ts';
import { pairIn, SecretReader } from './secret-reader.ts';

const CRD = new URL('../../crds/workloadcredentials.io_workloadcredentials.yaml', import.meta.url);
const SYSTEM_NAMESPACE = 'wc-system';
/** How the API server names the operator. */
const USER = `system:serviceaccount:${SYSTEM_NAMESPACE}:operator`;
const CREDENTIALS = 'workloadcredentials.io/workloadcredentials';
const API_ROOT = '/apis/workloadcredentials.io/v1alpha1';
const WAIT_MS = 30_000;
/** A private endpoint has an audience of its own. */
const AUDIENCE = 'sts.sandbox.example';

/** One line of the operator's log. */
export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

/** A running operator. */
export interface RunningOperator {
  readonly operator: Operator;
  readonly lines: readonly LogLine[];
  readonly ended: Promise<OperatorEnd>;
  /** As SIGTERM does. */
  stop(): Promise<OperatorEnd>;
  /** Waits for a line of the log. */
  said(message: string): Promise<LogLine>;
  get(path: string): Promise<{ status: number; body: string }>;
}

/** How to start an operator. */
export interface OperatorStart {
  /** Replaces the usual --leader-elect=false. */
  readonly election?: readonly string[];
  readonly hostName?: string;
  readonly flags?: readonly string[];
  /** The line of the log that is waited for. */
  readonly waitFor?: string;
}

/** What the servers saw. */
export interface Seen {
  /** Calls of the operator, without watches, lists, leases and events: `METHOD path-below-the-namespace status`. */
  readonly calls: string[];
  readonly sts: CallLogEntry[];
}

/** Starts a sandbox with our CRD. */
export async function startOperatorBed(options: SandboxOptions = {}): Promise<OperatorBed> {
  const calls = { underWay: 0 };
  const clock = new ElasticClock(() => calls.underWay > 0);
  const sandbox = await startSandbox({ clock, bookmarkIntervalMs: 1_000, clientIDs: [AUDIENCE], ...options });
  await sandbox.apply(load(await readFile(CRD, 'utf8')) as object);
  await sandbox.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: SYSTEM_NAMESPACE } });
  await sandbox.apply(serviceAccount(SYSTEM_NAMESPACE, 'operator'));
  const token = await sandbox.mintToken(SYSTEM_NAMESPACE, 'operator', { expirationSeconds: 90_000 });
  return new OperatorBed({ sandbox, clock, calls }, token);
}

function serviceAccount(namespace: string, name: string, allow?: string): object {
  const annotations = allow === undefined ? {} : { 'workloadcredentials.io/allow': allow };
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace, annotations } };
}

export class OperatorBed {
  readonly sandbox: Sandbox;
  readonly clock: ElasticClock;
  /** Everything that operators have logged, for the canary. */
  readonly logs: string[] = [];
  readonly #token: string;
  readonly #calls: { underWay: number };
  /** Every operator that was started, whether it still runs or not. */
  readonly running: RunningOperator[] = [];
  #scenes = 0;

  constructor(parts: { sandbox: Sandbox; clock: ElasticClock; calls: { underWay: number } }, token: string) {
    this.sandbox = parts.sandbox;
    this.clock = parts.clock;
    this.#calls = parts.calls;
    this.#token = token;
  }

  /** What operators have told the log and the API server so far, and where they have called: for the canary. Each has a text. */
  emitted(): Corpus[] {
    const { registry, requestLog } = this.sandbox.apiServer;
    const objects = (collection: string): string => JSON.stringify(registry.store.list(collection));
    const texts = [
      { name: 'logs', text: this.logs.join('\n') },
      { name: 'events', text: objects('/events') },
      { name: 'resources', text: objects('workloadcredentials.io/workloadcredentials') },
      { name: 'requests', text: requestLog.map(({ target }) => target).join('\n') },
    ];
    for (const { name, text } of texts) assert.ok(text.length > 100, `${name} is not empty`);
    return texts;
  }

  /** Starts an operator, and waits until it works (or, with an election, has synced). */
  async start(options: OperatorStart = {}): Promise<RunningOperator> {
    const { election = ['--leader-elect=false'], hostName = 'replica' } = options;
    const parsed = parseOptions([
      ...election,
      '--listen-address=127.0.0.1:0',
      '--kubeconfig=unused',
      `--sts-endpoint=AWS=${this.sandbox.aws.url.origin}=${AUDIENCE}`,
      '--sts-requests-per-second=1000',
      '--sts-burst=1000',
      ...(options.flags ?? []),
    ]);
    if (parsed.kind !== 'run') throw new Error(JSON.stringify(parsed));
    const { stream, lines } = this.#logStream();
    const stop = new AbortController();
    const operator = new Operator({
      options: parsed.options,
      identity: this.#identity(),
      leaseNamespace: SYSTEM_NAMESPACE,
      hostName,
      version: '0.0.0-test',
      apiServerAudiences: [this.sandbox.issuer],
      openTransport: (tls) => this.transport(tls),
      stsTransport: this.transport({}),
      clock: this.clock,
      random: systemRandom,
      log: jsonLog({ stream, level: 'debug', clock: this.clock, onWriteFailure: () => undefined }),
      processStats: () => ({
        userCPUSeconds: 0,
        systemCPUSeconds: 0,
        startTimeSeconds: 0,
        residentMemoryBytes: 0,
        heapTotalBytes: 0,
        heapUsedBytes: 0,
        externalBytes: 0,
        eventLoopLagSeconds: 0,
      }),
    });
    const ended = operator.run(stop.signal);
    const running: RunningOperator = {
      operator,
      lines,
      ended,
      stop: async () => {
        stop.abort(new Error('SIGTERM'));
        return await ended;
      },
      said: (message) => this.until(`"${message}" in the log`, () => lines.find((line) => line.message === message)),
      get: async (path) => {
        const { host = '', port = 0 } = operator.listening ?? {};
        const answer = await fetch(`http://${host}:${port}${path}`);
        return { status: answer.status, body: await answer.text() };
      },
    };
    this.running.push(running);
    const works = election[0] === '--leader-elect=false' ? 'this replica works' : 'caches synced';
    await running.said(options.waitFor ?? works);
    return running;
  }

  /** Real sockets; counts calls that are under way, without watches: the clock waits for them when it skips. */
  transport(tls: TLSMaterial): Transport {
    const transport = undiciTransport({ connections: 16, tls, connectTimeoutMs: 5_000 });
    return {
      send: async (request) => {
        const change = request.stream === undefined ? 1 : 0;
        this.#calls.underWay += change;
        try {
          return await transport.send(request);
        } finally {
          this.#calls.underWay -= change;
        }
      },
      close: () => transport.close(),
    };
  }

  #identity(): ServerIdentity {
    return {
      server: this.sandbox.server,
      read: () => Promise.resolve({ authorization: `Bearer ${this.#token}`, tls: { ca: this.sandbox.caPEM } }),
    };
  }

  #logStream(): { stream: PassThrough; lines: LogLine[] } {
    const stream = new PassThrough();
    const lines: LogLine[] = [];
    let rest = '';
    stream.on('data', (chunk: Buffer) => {
      const parts = (rest + chunk.toString()).split('\n');
      rest = parts.pop() ?? '';
      this.logs.push(...parts);
      lines.push(...parts.map((line) => JSON.parse(line) as LogLine));
    });
    return { stream, lines };
  }

  /** Skips to a moment. */
  async skipTo(timeMs: number): Promise<void> {
    await this.clock.skip(timeMs - this.clock.now(), 5_000);
  }

  /** Ends every operator that still runs, then the sandbox. */
  async stop(): Promise<void> {
    this.sandbox.apiServer.faults.clear();
    await Promise.all(this.running.map((running) => running.stop().catch(() => undefined)));
    await this.sandbox.stop();
    await waitFor('no timer is left', () => this.clock.pendingCount === 0, { timeoutMs: WAIT_MS, everyMs: 10 }).catch(
      () => {
        throw new Error(`timers were left behind: ${this.clock.pendingOrigins.join('\n')}`);
      },
    );
  }

  /** A namespace of its own, with a ServiceAccount that consents and a role that trusts it. */
  async scene(options: { readonly consents?: boolean; readonly hasServiceAccount?: boolean } = {}): Promise<Scene> {
    this.#scenes += 1;
    const namespace = `scene-${this.#scenes}`;
    await this.sandbox.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    const scene = new Scene(this, namespace, `${100_000_000_000 + this.#scenes}`);
    if (options.hasServiceAccount !== false) {
      await scene.serviceAccount(options.consents === false ? undefined : '*');
    }
    this.trust(scene.roleARN, `system:serviceaccount:${namespace}:orders`);
    return scene;
  }

  /** Makes a role that this ServiceAccount may assume. */
  trust(arn: string, subject: string): void {
    const provider = this.sandbox.issuer.replace(/^https:\/\//, '');
    const trustPolicy = {
      Version: '2012-10-17' as const,
      Statement: {
        Effect: 'Allow' as const,
        Principal: { Federated: `arn:aws:iam::${arn.split(':')[4]}:oidc-provider/${provider}` },
        Action: 'sts:AssumeRoleWithWebIdentity',
        Condition: { StringEquals: { [`${provider}:sub`]: subject, [`${provider}:aud`]: AUDIENCE } },
      },
    };
    this.sandbox.aws.addRole({ arn, trustPolicy, maxSessionDurationSeconds: 43_200 });
  }

  async until<T>(what: string, look: () => Promise<T | undefined | false> | T | undefined | false): Promise<T> {
    return await waitFor(what, look, { timeoutMs: WAIT_MS, everyMs: 10 });
  }

  /** Calls of operators since `from`, an index in the request log. */
  operatorCalls(from: number): RequestLogEntry[] {
    return this.sandbox.apiServer.requestLog.slice(from).filter(({ user }) => user === USER);
  }
}

/** So many looks in a row, 10 ms apart, at what does not change. */
const QUIET_LOOKS = 10;

/** A namespace with one WorkloadCredential `orders`. */
export class Scene {
  readonly bed: OperatorBed;
  readonly namespace: string;
  readonly roleARN: string;
  #calls = 0;
  #sts = 0;

  constructor(bed: OperatorBed, namespace: string, account: string) {
    this.bed = bed;
    this.namespace = namespace;
    this.roleARN = `arn:aws:iam::${account}:role/orders`;
  }

  async serviceAccount(allow: string | undefined): Promise<void> {
    await this.bed.sandbox.apply(serviceAccount(this.namespace, 'orders', allow));
  }

  /** Creates or merge-patches the WorkloadCredential. */
  async apply(spec: Partial<WorkloadCredentialSpec> = {}, name = 'orders'): Promise<void> {
    await this.bed.sandbox.apply({
      apiVersion: 'workloadcredentials.io/v1alpha1',
      kind: 'WorkloadCredential',
      metadata: { name, namespace: this.namespace },
      spec: {
        serviceAccountName: 'orders',
        ...(spec.alibabaCloud === undefined && spec.volcengine === undefined ? { aws: this.aws() } : {}),
        ...spec,
      },
    });
  }

  /** spec.aws of the scene's role. */
  aws(): NonNullable<WorkloadCredentialSpec['aws']> {
    const endpoint = this.bed.sandbox.aws.url.origin;
    return { roleARN: this.roleARN, region: 'eu-west-1', endpoint, audience: AUDIENCE };
  }

  async annotate(annotations: Readonly<Record<string, string>>, name = 'orders'): Promise<void> {
    await this.request('PATCH', `${API_ROOT}/namespaces/${this.namespace}/workloadcredentials/${name}`, {
      metadata: { annotations },
    });
  }

  /** Changes the Secret as a person with kubectl would. */
  async patchSecret(patch: object, name = 'orders'): Promise<void> {
    await this.request('PATCH', `/api/v1/namespaces/${this.namespace}/secrets/${name}`, patch);
  }

  async createSecret(secret: object, name = 'orders'): Promise<void> {
    const body = { apiVersion: 'v1', kind: 'Secret', type: 'Opaque', metadata: { name }, ...secret };
    await this.request('POST', `/api/v1/namespaces/${this.namespace}/secrets`, body);
  }

  async deleteSecret(name = 'orders'): Promise<void> {
    await this.request('DELETE', `/api/v1/namespaces/${this.namespace}/secrets/${name}`);
  }

  async delete(name = 'orders', propagationPolicy = 'Background'): Promise<void> {
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy };
    await this.request('DELETE', `${API_ROOT}/namespaces/${this.namespace}/workloadcredentials/${name}`, body);
  }

  async deleteNamespace(): Promise<void> {
    await this.request('DELETE', `/api/v1/namespaces/${this.namespace}`);
  }

  /** As the administrator. */
  async request(method: string, target: string, body?: object): Promise<void> {
    const outcome = await this.bed.sandbox.apiServer.handle({
      method,
      target,
      headers: {
        authorization: `Bearer ${this.bed.sandbox.adminToken}`,
        'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
        accept: 'application/json',
      },
      body: body === undefined ? new Uint8Array() : Buffer.from(JSON.stringify(body)),
      signal: new AbortController().signal,
    });
    if ('reset' in outcome || outcome.status >= 400) throw new Error(`${method} ${target}: ${JSON.stringify(outcome)}`);
  }

  #get(collection: string, name: string): KubeObject | undefined {
    return this.bed.sandbox.apiServer.registry.store.get(collection, this.namespace, name);
  }

  credential(name = 'orders'): WorkloadCredential | undefined {
    return this.#get(CREDENTIALS, name) as WorkloadCredential | undefined;
  }

  secret(name = 'orders'): Secret | undefined {
    return this.#get('/secrets', name) as Secret | undefined;
  }

  /** A value in the Secret, decoded. */
  value(key: string, name = 'orders'): string {
    return Buffer.from(this.secret(name)?.data?.[key] ?? '', 'base64').toString();
  }

  /** The access key in the Secret's credentials.json. */
  accessKeyID(name = 'orders'): string | undefined {
    const text = this.value('credentials.json', name);
    return text === '' ? undefined : (JSON.parse(text) as { AccessKeyId: string }).AccessKeyId;
  }

  /** A reader of the Secret, who looks until it is stopped: in the API server's store, so its outages hide nothing. */
  reader(name = 'orders'): SecretReader {
    const read = (): ReturnType<typeof pairIn> => pairIn(this.value('credentials.json', name));
    return new SecretReader({ read, now: () => this.bed.clock.now(), everyMs: 2 });
  }

  condition(type: string, name = 'orders'): { status: string; reason: string; message: string } | undefined {
    return this.credential(name)?.status?.conditions?.find((condition) => condition.type === type);
  }

  /** Waits for a condition. */
  async until(type: string, reason: string, name = 'orders'): Promise<{ status: string; message: string }> {
    const what = `${type} with reason ${reason} on ${name}`;
    try {
      return await this.bed.until(what, () => {
        const condition = this.condition(type, name);
        return condition?.reason === reason && condition;
      });
    } catch (error) {
      throw new Error(`no ${what}: ${JSON.stringify(this.credential(name)?.status)} ${this.#recent()}`, {
        cause: error,
      });
    }
  }

  #recent(): string {
    return this.bed.logs
      .filter((line) => line.includes(this.namespace))
      .slice(-5)
      .join('\n');
  }

  async ready(name = 'orders'): Promise<void> {
    await this.until('Ready', 'Issued', name);
    await this.quiet();
  }

  /** Creates the WorkloadCredential and waits until it is Ready. */
  async issued(spec: Partial<WorkloadCredentialSpec> = {}, name = 'orders'): Promise<void> {
    await this.apply(spec, name);
    await this.ready(name);
    this.forget();
  }

  /** Starts to count anew. */
  forget(): void {
    this.#calls = this.bed.sandbox.apiServer.requestLog.length;
    this.#sts = this.bed.sandbox.aws.calls.length;
  }

  /** What the servers saw of this scene since forget(). */
  seen(): Seen {
    const inside = `/namespaces/${this.namespace}/`;
    const calls = this.bed
      .operatorCalls(this.#calls)
      .filter(({ target }) => target.includes(inside) && !/[?&]watch=|\/events/.test(target))
      .map(({ method, target, status }) => {
        const path = target.slice(target.indexOf(inside) + inside.length).split('?')[0];
        return `${method} ${path} ${status}`;
      });
    const sts = this.bed.sandbox.aws.calls
      .slice(this.#sts)
      .filter(({ roleARN, sessionName }) => roleARN === this.roleARN || sessionName.startsWith(`${this.namespace}.`));
    return { calls, sts };
  }

  /** Waits until the servers have seen nothing new of this scene for a tenth of a second. */
  async quiet(): Promise<void> {
    let last = -1;
    let unchanged = 0;
    // Looks and not time alone: on a loaded machine the operator, which is in this process, has its turns between them.
    await this.bed.until('quiet', () => {
      const { calls, sts } = this.seen();
      const count = calls.length + sts.length;
      unchanged = count === last ? unchanged + 1 : 0;
      last = count;
      return unchanged >= QUIET_LOOKS;
    });
  }

  /** When status says that the credential is refreshed, in milliseconds since the epoch. */
  refreshTimeMs(name = 'orders'): number {
    return Date.parse(this.credential(name)?.status?.refreshTime ?? '');
  }

  /** Skips to shortly before the refresh, so that no deadline is skipped during it, and waits for another credential. */
  async refreshed(name = 'orders'): Promise<void> {
    const before = this.accessKeyID(name);
    await this.bed.skipTo(this.refreshTimeMs(name) - 200);
    await this.bed.until(`a refresh of ${this.namespace}/${name}`, () => this.accessKeyID(name) !== before);
    await this.quiet();
  }

  /** Events on the WorkloadCredential, as `type reason`. */
  events(): string[] {
    return this.bed.sandbox.apiServer.registry.store
      .list('/events', this.namespace)
      .map((event) => `${String(event['type'])} ${String(event['reason'])}`);
  }
}
