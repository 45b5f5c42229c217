// Promises: the operator as a user has it: the chart installed by Helm, and the built program as its own process with the
// chart's own ServiceAccount, RBAC and arguments. Counts come from the API server's audit log and from the proxies in front
// of STS. Everything that was emitted is kept for the secret scan. Stops what it started.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Condition } from '../../src/api/meta.ts';
import { scanForSecrets } from '../beds/canary.ts';
import type { Corpus, Finding } from '../beds/canary.ts';
import { startSTSProxy } from '../beds/intercepting-proxy.ts';
import type { APIProxy, STSProxy, TLSFront } from '../beds/intercepting-proxy.ts';
import { startKubernetes } from '../beds/kubernetes.ts';
import type { KubernetesBed, KubernetesOptions } from '../beds/kubernetes.ts';
import { startOperator } from '../beds/operator.ts';
import type { LogLine, OperatorProcess } from '../beds/operator.ts';
import { waitFor } from '../beds/wait.ts';
import { callsOf, describeCall, isFenceProbe } from './audit.ts';
import type { AuditEvent } from './audit.ts';
import { ClusterClient, conditionOf } from './cluster-client.ts';
import type { CredentialSeen } from './cluster-client.ts';
import { grants, type Place, resourceOf, RightsKeeper, type ScopeName } from './rights.ts';
import type { Scope } from './scope.ts';
import { pairIn, SecretReader } from './secret-reader.ts';
import type { Pair } from './secret-reader.ts';

const CHART = fileURLToPath(new URL('../../helm', import.meta.url));
/** The operator's own namespace. */
export const SYSTEM_NAMESPACE = 'wc-system';
const RELEASE = 'wc';
const LISTEN_FLAG = '--listen-address=';
/** The tests force refreshes in a row, and the scan for secrets wants all lines. */
const FOR_TESTS = ['--set', 'logLevel=debug', '--set', 'minRefreshIntervalSeconds=1'];
/** What a test waits for something that the operator does at once; a loaded machine needs some of it. */
const SOON_MS = 20_000;

/** How Events are named after what they are about. */
const EVENT_SUFFIX = /\.[0-9a-f]{16}\b/;

/** An STS that the operator is configured with. */
export interface EndpointChoice {
  readonly url: string;
  readonly audiences: readonly string[];
}

/** What to install. */
export interface InstallOptions {
  /** A file whose story is the same in both takes it from scopeFor(). */
  readonly scope: Scope;
  readonly endpoints: readonly EndpointChoice[];
  /** Further variables of the operator's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** The operator talks to the API server through it. */
  readonly apiProxy?: APIProxy;
  /** The directory of a chart; default that of this checkout. */
  readonly chart?: string;
  /** Further values of the chart. */
  readonly values?: Readonly<Record<string, unknown>>;
}

/** An Event, as far as tests look at it. */
export interface EventSeen {
  readonly reason: string;
  readonly note: string;
  readonly series?: { readonly count: number };
}

/** A WorkloadCredential for AWS, to be applied. */
export interface Wanted {
  readonly namespace: string;
  readonly name: string;
  readonly serviceAccountName?: string;
  readonly aws: Readonly<Record<string, unknown>>;
  /** Further fields of spec. */
  readonly spec?: Readonly<Record<string, unknown>>;
}

/** The manifest, as `kubectl apply` takes it. */
export function manifest({ namespace, name, serviceAccountName = name, aws, spec = {} }: Wanted): object {
  return {
    apiVersion: 'workloadcredentials.io/v1alpha1',
    kind: 'WorkloadCredential',
    metadata: { namespace, name },
    spec: { serviceAccountName, aws, ...spec },
  };
}

function scopeOf({ scope, values = {} }: InstallOptions): ScopeName {
  if (scope === 'clusterWide') return 'clusterWide';
  return values['serviceAccounts'] === undefined ? 'namespaces' : 'serviceAccounts';
}

function isPresent({ chart = CHART }: InstallOptions): boolean {
  return chart === CHART;
}

interface TokenClaims {
  readonly iss?: string;
  readonly sub?: string;
}

/** The claims of a JWT, without a look at its signature; none for other texts. Session tokens may be JWTs too. */
function claimsOf(text: string): TokenClaims {
  const [, payload] = text.split('.');
  if (!text.startsWith('eyJ') || payload === undefined) return {};
  return JSON.parse(Buffer.from(payload, 'base64url').toString()) as TokenClaims;
}

/** A control plane that an operator is installed into. */
export class Installation {
  readonly kubernetes: KubernetesBed;
  readonly client: ClusterClient;
  readonly proxies: STSProxy[] = [];
  /** All that ever ran, the present one last. */
  readonly operators: OperatorProcess[] = [];
  #install: InstallOptions = { scope: 'clusterWide', endpoints: [] };
  #kubeconfig = '';
  #args: readonly string[] = [];
  #username = '';
  /** The operator's own bearer tokens: as secret as what it hands out. */
  readonly #bearers: string[] = [];
  readonly #rights: RightsKeeper;

  constructor(kubernetes: KubernetesBed, client: ClusterClient) {
    this.kubernetes = kubernetes;
    this.client = client;
    this.#rights = new RightsKeeper(client, async () => await kubernetes.audit());
  }

  /** kubectl, as the administrator. @throws AssertionError with what it says when it fails. */
  async kubectl(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.kubernetes.kubectl(args);
    assert.equal(code, 0, `kubectl ${args.join(' ')}: ${stderr}`);
    return stdout;
  }

  /** `kubectl apply`. */
  async apply(...objects: readonly object[]): Promise<void> {
    const list = { apiVersion: 'v1', kind: 'List', items: objects };
    const { code, stderr } = await this.kubernetes.kubectl(['apply', '-f', '-'], { stdin: JSON.stringify(list) });
    assert.equal(code, 0, stderr);
  }

  /** Namespaces with ServiceAccounts, which consent to everything unless told otherwise. */
  async createWorkloads(workloads: readonly { namespace: string; name: string; consents?: boolean }[]): Promise<void> {
    const namespaces = new Set(workloads.map(({ namespace }) => namespace));
    const accounts = workloads.map(({ namespace, name, consents = true }) => ({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { namespace, name, ...(consents ? { annotations: { 'workloadcredentials.io/allow': '*' } } : {}) },
    }));
    const spaces = [...namespaces].map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }));
    await this.apply(...spaces, ...accounts);
  }

  /** Puts a counting proxy in front of an STS; stopped with the rest. */
  async addProxy(url: string, front?: TLSFront): Promise<STSProxy> {
    const proxy = await startSTSProxy(url, front);
    this.proxies.push(proxy);
    return proxy;
  }

  /** As the API server knows the operator. */
  get username(): string {
    return this.#username;
  }

  /** A client with the operator's own token: what a thief of it could do. The caller closes it. */
  thief(): ClusterClient {
    const token = this.#bearers.at(-1);
    assert.ok(token !== undefined, 'the chart was installed');
    return new ClusterClient(this.kubernetes.server, { caPEM: this.kubernetes.caPEM, token });
  }

  /** Installs the chart, and starts the program with the arguments of the chart's Deployment. */
  async install(options: InstallOptions): Promise<OperatorProcess> {
    await this.createSystemNamespace();
    await this.#helm('install', options, FOR_TESTS);
    return await this.start();
  }

  /** Restricted, so that the API server judges the Deployment's pods, too: it makes them, where no node runs them as well. */
  async createSystemNamespace(): Promise<void> {
    const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
    await this.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: SYSTEM_NAMESPACE, labels } });
  }

  /** Installs the chart and starts nothing: the bed's node runs its pods. The namespace is there. */
  async installForNode(options: InstallOptions): Promise<void> {
    await this.#helm('install', options, []);
  }

  /** Puts this checkout's chart, or another, in the place of the one that was installed; the same values but for what is given. Starts nothing. */
  async upgrade(changes: Partial<InstallOptions> = {}): Promise<void> {
    await this.#helm('upgrade', { ...this.#install, chart: CHART, ...changes }, FOR_TESTS);
  }

  /** Lets somebody else put a chart in the place of the one that is there, by a command of the documentation, say. Starts nothing. */
  async changeBy(change: () => Promise<void>, chart = CHART): Promise<void> {
    await this.#rights.end();
    await change();
    await this.#adopt({ ...this.#install, chart });
  }

  /** `helm uninstall`, after a SIGTERM to what runs, as the pods would get it. */
  async uninstall(): Promise<void> {
    await this.uninstallBy(async () => {
      const gone = await this.kubernetes.helm(['uninstall', RELEASE, '--namespace', SYSTEM_NAMESPACE]);
      assert.equal(gone.code, 0, gone.stderr);
    });
  }

  /** Lets somebody else uninstall it. */
  async uninstallBy(act: () => Promise<void>): Promise<void> {
    for (const operator of this.operators) {
      operator.signal('SIGTERM');
      await operator.exited;
    }
    await this.#rights.end();
    await act();
  }

  #place(): Place {
    return { namespace: SYSTEM_NAMESPACE, account: this.#username.split(':').at(-1) ?? '', release: RELEASE };
  }

  async #helm(verb: 'install' | 'upgrade', options: InstallOptions, further: readonly string[]): Promise<void> {
    const scope = options.scope === 'clusterWide' ? 'clusterWide=true' : `namespaces=${JSON.stringify(options.scope)}`;
    const endpoints = options.endpoints.map((endpoint) => ({ cloud: 'AWS', ...endpoint }));
    const values = ['--set-json', scope, '--set-json', `sts.endpoints=${JSON.stringify(endpoints)}`];
    const command = [verb, RELEASE, options.chart ?? CHART, '--namespace', SYSTEM_NAMESPACE, ...further];
    for (const [path, value] of Object.entries(options.values ?? {})) {
      command.push('--set-json', `${path}=${JSON.stringify(value)}`);
    }
    await this.#rights.end();
    const installed = await this.kubernetes.helm([...command, ...values]);
    assert.equal(installed.code, 0, installed.stderr);
    await this.#adopt(options);
  }

  /** Takes arguments, account and a fresh token from what is installed now. */
  async #adopt(options: InstallOptions): Promise<void> {
    const template = await this.#podTemplate();
    const account = template.spec.serviceAccountName;
    this.#install = options;
    this.#args = (template.spec.containers[0]?.args ?? []).filter((argument) => !argument.startsWith(LISTEN_FLAG));
    this.#username = `system:serviceaccount:${SYSTEM_NAMESPACE}:${account}`;
    const { apiProxy } = options;
    const through = apiProxy === undefined ? {} : { server: apiProxy.url, caPEM: apiProxy.caPEM };
    const { file, token } = await this.kubernetes.serviceAccountKubeconfig(SYSTEM_NAMESPACE, account, through);
    this.#kubeconfig = file;
    this.#bearers.push(token);
    await this.#rights.begin({ scope: scopeOf(options), isPresentChart: isPresent(options), place: this.#place() });
  }

  async #podTemplate(): Promise<{
    spec: { serviceAccountName: string; containers: readonly { args: readonly string[] }[] };
  }> {
    const text = await this.kubectl('get', 'deployments', '-n', SYSTEM_NAMESPACE, '-o', 'json');
    const [deployment] = (JSON.parse(text) as { items: { spec: { template: never } }[] }).items;
    assert.ok(deployment !== undefined, 'the chart has a Deployment');
    return deployment.spec.template;
  }

  /**
   * Starts the program.
   * @param further what differs from the chart: arguments that are added, those that are left out, another main.js; what
   * differs from install(): variables.
   */
  async start(
    further: { args?: readonly string[]; without?: RegExp; main?: string; env?: Readonly<Record<string, string>> } = {},
  ): Promise<OperatorProcess> {
    const env = { ...this.#install.env, ...further.env };
    const kept = this.#args.filter((argument) => further.without?.test(argument) !== true);
    const operator = await startOperator({
      kubeconfig: this.#kubeconfig,
      args: [...kept, ...(further.args ?? [])],
      env,
      ...(further.main === undefined ? {} : { main: further.main }),
    });
    this.operators.push(operator);
    await operator.waitUntilReady();
    return operator;
  }

  /** The one that was started last. */
  get operator(): OperatorProcess {
    const operator = this.operators.at(-1);
    assert.ok(operator !== undefined, 'an operator was started');
    return operator;
  }

  /** Waits until a resource is as `look` wants it; what it was instead is told. */
  async until(
    { namespace, name }: { readonly namespace: string; readonly name: string },
    what: string,
    look: (credential: CredentialSeen) => boolean,
    timeoutMs = SOON_MS,
  ): Promise<CredentialSeen> {
    let last: CredentialSeen | undefined;
    try {
      return await waitFor(
        what,
        async () => {
          last = await this.client.credential(namespace, name);
          return last !== undefined && look(last) ? last : undefined;
        },
        { timeoutMs, everyMs: 100 },
      );
    } catch (error) {
      const told = JSON.stringify(last?.status ?? 'no such resource', undefined, 1);
      throw new Error(`${namespace}/${name}: ${(error as Error).message}; its status: ${told}`, { cause: error });
    }
  }

  /** Waits until a condition has this reason, and gives it. */
  async untilReason(
    key: { readonly namespace: string; readonly name: string },
    [type, reason]: readonly [type: string, reason: string],
    timeoutMs = SOON_MS,
  ): Promise<Condition> {
    const isSo = (credential: CredentialSeen): boolean => conditionOf(credential, type)?.reason === reason;
    const condition = conditionOf(await this.until(key, `${type} to be ${reason}`, isSo, timeoutMs), type);
    assert.ok(condition !== undefined);
    return condition;
  }

  /** Waits until the credential is in the Secret and the last attempt was good. */
  async untilIssued(
    key: { readonly namespace: string; readonly name: string },
    timeoutMs = SOON_MS,
  ): Promise<CredentialSeen> {
    const isIssued = (credential: CredentialSeen): boolean => {
      const ready = conditionOf(credential, 'Ready');
      return (
        ready?.status === 'True' &&
        ready.reason === 'Issued' &&
        credential.status.observedGeneration === credential.metadata.generation
      );
    };
    return await this.until(key, 'Ready=True Issued', isIssued, timeoutMs);
  }

  /** A pod's view of the Secret, from now on until it is stopped. */
  reader({ namespace, name }: { readonly namespace: string; readonly name: string }): SecretReader {
    const read = async (): Promise<Pair | undefined> => {
      const secret = await this.client.secret(namespace, name);
      return secret === undefined ? undefined : pairIn(secret.data['credentials.json'] ?? '');
    };
    return new SecretReader({ read, now: Date.now, everyMs: 100 });
  }

  /** Everything that the operator called, in the API server's own record, but for its probes of the fences. */
  async calls(): Promise<AuditEvent[]> {
    return callsOf(await this.kubernetes.audit(), this.#username).filter((call) => !isFenceProbe(call));
  }

  /** What it called only to see whether the fences refuse it: once in minutes, whatever else a test makes it do. */
  async fenceProbes(): Promise<AuditEvent[]> {
    return callsOf(await this.kubernetes.audit(), this.#username).filter(isFenceProbe);
  }

  /** What the operator called, as `verb group/resource`; without the first `from` calls. */
  async usedRights(from = 0): Promise<Set<string>> {
    const uses = (await this.calls()).slice(from).flatMap((call) => {
      const resource = resourceOf(call);
      return resource === undefined ? [] : [`${call.verb} ${resource}`];
    });
    return new Set(uses);
  }

  /** What every role that is bound to the operator's ServiceAccount allows, in the same words. */
  async grantedRights(): Promise<Set<string>> {
    const all = await grants(this.client, this.#place());
    return new Set(all.map(({ verb, resource }) => `${verb} ${resource}`));
  }

  /** Rights that were used and not granted, and those that were granted and never used: both empty when they fit. */
  async rightsThatDiffer(from = 0): Promise<{ readonly onlyUsed: string[]; readonly onlyGranted: string[] }> {
    const [used, granted] = [await this.usedRights(from), await this.grantedRights()];
    assert.ok(granted.size > 0, 'some role is bound to the operator');
    return {
      onlyUsed: [...used].filter((right) => !granted.has(right)).toSorted(),
      onlyGranted: [...granted].filter((right) => !used.has(right)).toSorted(),
    };
  }

  /** The operator's calls on a resource, its Secret, its ServiceAccount (all of one name) and its Events, in words. */
  async callsOn({ namespace, name }: { readonly namespace: string; readonly name: string }): Promise<string[]> {
    const isOn = ({ objectRef }: AuditEvent): boolean =>
      objectRef?.namespace === namespace && objectRef.name?.replace(EVENT_SUFFIX, '') === name;
    return (await this.calls()).filter(isOn).map((call) => describeCall(call).replace(EVENT_SUFFIX, '.*'));
  }

  /** The Events about a resource. */
  async events({ namespace, name }: { readonly namespace: string; readonly name: string }): Promise<EventSeen[]> {
    const path = `/apis/events.k8s.io/v1/namespaces/${namespace}/events`;
    const list = await this.client.get<{ items: { reason: string; note: string; regarding: { name: string } }[] }>(
      path,
    );
    return (list?.items ?? []).filter(({ regarding }) => regarding.name === name);
  }

  /** How many exchanges the proxies have seen for a workload: each carries a token of its own. */
  exchanges({ namespace, name }: { readonly namespace: string; readonly name: string }): number {
    const subject = `system:serviceaccount:${namespace}:${name}`;
    return this.#seenTokens().filter((token) => claimsOf(token).sub === subject).length;
  }

  /** Calls that the proxies have seen, and how many tokens were in them: equal, or counting by token is wrong. */
  exchangeTotals(): { readonly calls: number; readonly tokens: number } {
    const calls = this.proxies.reduce((sum, proxy) => sum + proxy.calls.length, 0);
    return { calls, tokens: this.#seenTokens().length };
  }

  #seenTokens(): string[] {
    const { issuer } = this.kubernetes;
    return this.proxies.flatMap((proxy) => proxy.secrets()).filter((secret) => claimsOf(secret).iss === issuer);
  }

  /** Every secret that this bed has seen: tokens, secret keys and session tokens as issued, the operator's own tokens. */
  secrets(): string[] {
    return [...this.#bearers, ...this.proxies.flatMap((proxy) => proxy.secrets())];
  }

  /** Lines of a level, of every operator that ran. */
  logged(...levels: string[]): LogLine[] {
    const all = this.operators.flatMap(({ lines }) => lines);
    return all.filter(({ fields, stream }) => stream === 'stderr' || levels.includes(String(fields?.['level'])));
  }

  /** Everything that was emitted, but for the Secrets' own data. */
  async emitted(): Promise<Corpus[]> {
    const perOperator = this.operators.flatMap((operator, index): Corpus[] => [
      { name: `log of operator ${index}`, text: operator.output() },
      { name: `command line of operator ${index}`, text: operator.commandLine },
    ]);
    const metrics = this.operators.length === 0 ? [] : [{ name: 'metrics', text: await this.operator.metrics() }];
    const kinds = 'workloadcredentials,events,events.events.k8s.io,serviceaccounts,leases,configmaps,deployments';
    const objects = await this.kubectl('get', kinds, '--all-namespaces', '-o', 'yaml', '--show-managed-fields');
    const template = '{range .items[*]}{.metadata}{"\\n"}{end}';
    const secrets = await this.kubectl(
      'get',
      'secrets',
      '-l',
      'workloadcredentials.io/name',
      '-A',
      '-o',
      `jsonpath=${template}`,
    );
    const paths = [...this.proxies, ...(this.#install.apiProxy === undefined ? [] : [this.#install.apiProxy])];
    return [
      ...perOperator,
      ...metrics,
      { name: 'objects', text: objects },
      { name: "Secrets' metadata", text: secrets },
      {
        name: 'URLs that the proxies saw',
        text: paths.flatMap(({ calls }) => calls.map(({ path }) => path)).join('\n'),
      },
      ...this.#serverLogs(),
    ];
  }

  /** The audit log and the servers' own logs, whole. */
  #serverLogs(): Corpus[] {
    const directory = join(this.kubernetes.directory, '..');
    return readdirSync(directory)
      .filter((file) => file.endsWith('.log'))
      .map((file) => ({ name: file, text: readFileSync(join(directory, file), 'utf8') }));
  }

  /** Looks for every secret in everything, and for further ones in further texts. */
  async scan(furtherTexts: readonly Corpus[] = [], furtherSecrets: readonly string[] = []): Promise<Finding[]> {
    const texts = [...(await this.emitted()), ...furtherTexts];
    const isSilent = ({ name, text }: Corpus): boolean => text === '' && !name.endsWith('.log');
    assert.deepEqual(texts.filter(isSilent), [], 'a scan of nothing proves nothing');
    return scanForSecrets(texts, [...this.secrets(), ...furtherSecrets]);
  }

  /** For a failed test. */
  lastLogs(): string {
    const lines = this.operators.at(-1)?.lines.slice(-60) ?? [];
    return `${lines.map(({ text }) => text).join('\n')}\n${this.kubernetes.logs()}\n`;
  }

  async stop(): Promise<void> {
    await Promise.all(this.operators.map(async (operator) => await operator.kill()));
    await this.#rights.leave();
    await Promise.all(this.proxies.map(async (proxy) => await proxy.stop()));
    this.client.close();
    await this.kubernetes.stop();
  }
}

/** A control plane with an administrator's client, and nothing installed. */
export async function startCluster(options: KubernetesOptions = {}): Promise<Installation> {
  const kubernetes = await startKubernetes(options);
  try {
    const account = { namespace: 'kube-system', name: 'tester' };
    const admin = `--serviceaccount=${account.namespace}:${account.name}`;
    for (const args of [
      ['create', 'serviceaccount', account.name, '-n', account.namespace],
      ['create', 'clusterrolebinding', 'tester', '--clusterrole=cluster-admin', admin],
    ]) {
      const { code, stderr } = await kubernetes.kubectl(args);
      assert.equal(code, 0, stderr);
    }
    const token = await kubernetes.token(account.namespace, account.name);
    return new Installation(kubernetes, new ClusterClient(kubernetes.server, { caPEM: kubernetes.caPEM, token }));
  } catch (error) {
    await kubernetes.stop();
    throw error;
  }
}
