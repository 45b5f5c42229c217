// Promises: a real control plane on 127.0.0.1 in a directory of its own: etcd, kube-apiserver and (unless it is declined)
// kube-controller-manager, with an audit log, RBAC and the discovery of token keys open to anybody, as on the clouds.
// Nothing of it outlives stop() or this process. No nodes: pods stay Pending.
import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAuditLog } from '../support/audit.ts';
import type { AuditEvent } from '../support/audit.ts';
import { ensureBinaries } from './binaries.ts';
import type { Binaries } from './binaries.ts';
import { createAuthority } from '../../sandbox/certificates.ts';
import type { Authority, Subject } from '../../sandbox/certificates.ts';
import { runCommand } from './command.ts';
import type { CommandResult } from './command.ts';
import { getOverTLS } from './https.ts';
import { kubeconfigText } from './kubeconfig.ts';
import { freePorts, removeScratchDirectory, scratchDirectory, startChild } from './processes.ts';
import type { Child } from './processes.ts';
import { AbortedWait, waitFor } from './wait.ts';

/** What to start. */
export interface KubernetesOptions {
  /** The garbage collector, namespace deletion and default ServiceAccounts need it. Default true. */
  readonly controllerManager?: boolean;
  /** The API server's port; by default a free one. */
  readonly port?: number;
  /** Further arguments of kube-apiserver. Read at each start: who keeps the list can change it between two. */
  readonly apiServerArguments?: readonly string[];
  /**
   * Issuers of its tokens, where that is not the API server itself: the first signs, all are accepted. Their documents are
   * published by the test. Read at each start.
   */
  readonly issuers?: readonly string[];
}

/** How kubectl is called. */
export interface KubectlOptions {
  readonly stdin?: string;
  /** Impersonated user. */
  readonly as?: string;
  /** Another kubeconfig file than the administrator's. */
  readonly kubeconfig?: string;
  readonly timeoutMs?: number;
}

/** What a ServiceAccount's kubeconfig may say otherwise than the bed. */
export interface ServiceAccountKubeconfigOptions {
  /** Where the client is to connect, for example an intercepting proxy. */
  readonly server?: string;
  readonly caPEM?: string;
  /** Life of its token in seconds, at least 600; default 3600. */
  readonly lifetimeSeconds?: number;
}

/** A running control plane. */
export interface KubernetesBed {
  /** `https://127.0.0.1:PORT`. */
  readonly server: string;
  readonly caPEM: string;
  /** The issuer of its ServiceAccount tokens when it was started; the same as `server` unless the test has its own. */
  readonly issuer: string;
  /** `http://127.0.0.1:PORT` of its etcd, for who looks into it. */
  readonly etcd: string;
  /** The administrator's kubeconfig: a client certificate in system:masters. */
  readonly admin: { readonly text: string; readonly file: string };
  /** For a kubectl that runs beside the test, as a watch does. */
  readonly kubectlFile: string;
  /** A directory for a test's own files; removed with the bed. */
  readonly directory: string;
  /** Runs kubectl as the administrator; a status other than 0 is an answer. */
  kubectl(args: readonly string[], options?: KubectlOptions): Promise<CommandResult>;
  /** Runs helm as the administrator; a status other than 0 is an answer. */
  helm(args: readonly string[], options?: { stdin?: string; timeoutMs?: number }): Promise<CommandResult>;
  /** The calls that the server has answered so far, in order. */
  audit(): Promise<AuditEvent[]>;
  /** A token of a ServiceAccount, minted by the administrator. */
  token(namespace: string, name: string, options?: { audience?: string; lifetimeSeconds?: number }): Promise<string>;
  /** Such a token with other claims, signed anew with the API server's own key: what no TokenRequest would give. */
  resignedToken(token: string, claims: object): string;
  /** Writes a kubeconfig with a token of this ServiceAccount. */
  serviceAccountKubeconfig(
    namespace: string,
    name: string,
    options?: ServiceAccountKubeconfigOptions,
  ): Promise<{ text: string; file: string; token: string }>;
  /** Writes a kubeconfig with a client certificate of this subject, as the cluster's own components have one. */
  userKubeconfig(subject: Subject): Promise<string>;
  /** SIGKILL to kube-apiserver: an outage. */
  killAPIServer(): Promise<void>;
  /** Starts it again, same port, same data. */
  restartAPIServer(): Promise<void>;
  /** SIGSTOP to kube-apiserver: it takes connections and answers nothing, until `resumeAPIServer`. */
  pauseAPIServer(): void;
  resumeAPIServer(): void;
  /** Copies etcd's data as they are now; kube-apiserver loses etcd for about a second. Returns the copy's directory. */
  saveEtcd(): Promise<string>;
  /** Starts everything again from such a copy: resourceVersions go backwards. */
  restoreEtcd(copy: string): Promise<void>;
  /** The last warnings and errors of every server's log, for a failed test. */
  logs(): string;
  /** SIGKILL to all, then the directory goes. */
  stop(): Promise<void>;
}

/** Everybody is told everything, except bodies: those hold tokens and Secrets. */
const AUDIT_POLICY = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [{ level: 'Metadata' }],
};

/** Cold disks are slow; warm it takes 3 to 5 s. */
const START_TIMEOUT_MS = 120_000;
/**
 * The beds' processors are scarcer than their memory, and collecting garbage takes a tenth of the servers' time:
 * https://pkg.go.dev/runtime#hdr-Environment_Variables. A command that is over at once need not collect any.
 */
const SPACIOUS = { GOGC: '400' };
const SHORT_LIVED = { GOGC: 'off' };
const MARKER = '/api/v1/namespaces/audit-marker/configmaps/';
const SERVER_NAMES = {
  ips: ['127.0.0.1', '10.96.0.1'],
  dns: ['localhost', 'kubernetes', 'kubernetes.default', 'kubernetes.default.svc'],
};
const USERS: Readonly<Record<'admin' | 'kube-controller-manager', Subject>> = {
  admin: { commonName: 'admin', organizations: ['system:masters'] },
  'kube-controller-manager': { commonName: 'system:kube-controller-manager' },
};

interface Layout {
  readonly directory: string;
  readonly port: number;
  readonly etcdPort: number;
  readonly managerPort: number;
  readonly server: string;
  readonly authority: Authority;
  readonly file: (name: string) => string;
}

async function writeKeys({ authority, file, server }: Layout): Promise<void> {
  const write = (name: string, text: string): void => {
    writeFileSync(file(name), text, { mode: 0o600 });
  };
  write('ca.crt', authority.certificatePEM);
  write('ca.key', authority.privateKeyPEM);
  const serving = await authority.issueServer({ commonName: 'kube-apiserver' }, SERVER_NAMES);
  write('apiserver.crt', serving.certificatePEM);
  write('apiserver.key', serving.privateKeyPEM);
  // RSA, so that tokens are signed with RS256 as on the clouds.
  const tokens = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  write('sa.pub', tokens.publicKey);
  write('sa.key', tokens.privateKey);
  for (const [name, subject] of Object.entries(USERS)) {
    const user = await authority.issueClient(subject);
    write(`${name}.kubeconfig`, kubeconfigText({ server, caPEM: authority.certificatePEM, user }));
  }
  write('audit-policy.json', JSON.stringify(AUDIT_POLICY));
}

function etcdArguments({ file, etcdPort }: Layout): string[] {
  const url = `http://127.0.0.1:${etcdPort}`;
  return [
    `--data-dir=${file('etcd')}`,
    '--unsafe-no-fsync',
    `--listen-client-urls=${url}`,
    `--advertise-client-urls=${url}`,
    '--listen-peer-urls=http://127.0.0.1:0',
    '--log-level=warn',
  ];
}

function apiServerArguments({ file, server, port, etcdPort }: Layout, options: KubernetesOptions): string[] {
  const { issuers = [server] } = options;
  return [
    `--etcd-servers=http://127.0.0.1:${etcdPort}`,
    '--bind-address=127.0.0.1',
    '--advertise-address=127.0.0.1',
    `--secure-port=${port}`,
    `--tls-cert-file=${file('apiserver.crt')}`,
    `--tls-private-key-file=${file('apiserver.key')}`,
    `--client-ca-file=${file('ca.crt')}`,
    `--cert-dir=${file('apiserver')}`,
    ...issuers.map((issuer) => `--service-account-issuer=${issuer}`),
    `--service-account-jwks-uri=${issuers[0] ?? server}/openid/v1/jwks`,
    `--service-account-key-file=${file('sa.pub')}`,
    `--service-account-signing-key-file=${file('sa.key')}`,
    `--api-audiences=${server}`,
    '--authorization-mode=Node,RBAC',
    '--anonymous-auth=true',
    '--service-cluster-ip-range=10.96.0.0/16',
    '--endpoint-reconciler-type=none',
    '--shutdown-delay-duration=0s',
    `--audit-policy-file=${file('audit-policy.json')}`,
    `--audit-log-path=${file('audit.log')}`,
    '--audit-log-mode=blocking',
    ...(options.apiServerArguments ?? []),
  ];
}

function managerArguments({ file, managerPort }: Layout): string[] {
  const kubeconfig = file('kube-controller-manager.kubeconfig');
  return [
    `--kubeconfig=${kubeconfig}`,
    `--authentication-kubeconfig=${kubeconfig}`,
    `--authorization-kubeconfig=${kubeconfig}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${managerPort}`,
    `--cert-dir=${file('kube-controller-manager')}`,
    '--leader-elect=false',
    '--use-service-account-credentials=true',
    `--root-ca-file=${file('ca.crt')}`,
    `--service-account-private-key-file=${file('sa.key')}`,
    `--cluster-signing-cert-file=${file('ca.crt')}`,
    `--cluster-signing-key-file=${file('ca.key')}`,
  ];
}

async function layOut(port: number | undefined): Promise<Layout> {
  const directory = scratchDirectory('kubernetes');
  const [apiPort = 0, etcdPort = 0, managerPort = 0] = await freePorts(3);
  const layout: Layout = {
    directory,
    port: port ?? apiPort,
    etcdPort,
    managerPort,
    server: `https://127.0.0.1:${port ?? apiPort}`,
    authority: await createAuthority('bed-ca'),
    file: (name) => join(directory, name),
  };
  mkdirSync(layout.file('test'));
  await writeKeys(layout);
  return layout;
}

/** The three servers, started and stopped together. */
class Servers {
  readonly #layout: Layout;
  readonly #binaries: Binaries;
  readonly #children = new Map<string, Child>();

  constructor(layout: Layout, binaries: Binaries) {
    this.#layout = layout;
    this.#binaries = binaries;
  }

  async start(name: 'etcd' | 'kube-apiserver' | 'kube-controller-manager', args: readonly string[]): Promise<Child> {
    const { directory, file } = this.#layout;
    const child = await startChild({
      name,
      command: this.#binaries.path(name),
      args,
      env: { HOME: directory, PATH: '/usr/bin:/bin', ...SPACIOUS },
      cwd: directory,
      logFile: file(`${name}.log`),
    });
    this.#children.set(name, child);
    return child;
  }

  /** Waits until `look` is true; gives up at once when one of the servers has ended. */
  async wait(what: string, look: () => Promise<boolean>): Promise<void> {
    const lookWhileRunning = async (): Promise<boolean> => {
      for (const child of this.#children.values()) {
        if (child.exit() !== undefined) throw new AbortedWait(`${child.name} has ended:\n${child.logTail()}`);
      }
      return await look();
    };
    await waitFor(what, lookWhileRunning, { timeoutMs: START_TIMEOUT_MS });
  }

  logs(): string {
    return [...this.#children.values()].map((child) => `--- ${child.name}\n${child.logTail(40)}`).join('\n');
  }

  signal(name: string, signal: NodeJS.Signals): void {
    const child = this.#children.get(name);
    if (child === undefined || child.exit() !== undefined) throw new Error(`${name} does not run`);
    process.kill(child.pid, signal);
  }

  async kill(name?: string): Promise<void> {
    const ending = [...this.#children.values()].filter((child) => name === undefined || child.name === name);
    await Promise.all(ending.map(async (child) => await child.kill()));
    for (const child of ending) this.#children.delete(child.name);
  }
}

async function startAPIServer(servers: Servers, layout: Layout, options: KubernetesOptions): Promise<void> {
  await servers.start('kube-apiserver', apiServerArguments(layout, options));
  await servers.wait('kube-apiserver to be ready', async () => {
    return (await getOverTLS(`${layout.server}/readyz`, layout.authority.certificatePEM)).status === 200;
  });
}

/** With nobody writing, the files are whole: what was written survives the process, though not the machine. */
async function saveEtcd(servers: Servers, layout: Layout, copy: string): Promise<void> {
  await servers.kill('etcd');
  await cp(layout.file('etcd'), copy, { recursive: true });
  await servers.start('etcd', etcdArguments(layout));
}

async function restoreEtcd(servers: Servers, layout: Layout, copy: string): Promise<void> {
  await servers.kill('kube-apiserver');
  await servers.kill('etcd');
  await rm(layout.file('etcd'), { recursive: true });
  await cp(copy, layout.file('etcd'), { recursive: true });
  await servers.start('etcd', etcdArguments(layout));
}

function kubectlOf(layout: Layout, binaries: Binaries): KubernetesBed['kubectl'] {
  return async (args, { stdin, as, kubeconfig, timeoutMs } = {}) => {
    const file = kubeconfig ?? layout.file('admin.kubeconfig');
    const impersonation = as === undefined ? [] : [`--as=${as}`];
    return await runCommand(binaries.path('kubectl'), [`--kubeconfig=${file}`, ...impersonation, ...args], {
      env: { HOME: layout.directory, PATH: '/usr/bin:/bin', ...SHORT_LIVED },
      cwd: layout.file('test'),
      ...(stdin === undefined ? {} : { stdin }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    });
  };
}

function helmOf(layout: Layout): KubernetesBed['helm'] {
  return async (args, options = {}) => {
    const helm = (await ensureBinaries(['helm'])).path('helm');
    const kubeconfig = { KUBECONFIG: layout.file('admin.kubeconfig') };
    const env = { HOME: layout.directory, PATH: '/usr/bin:/bin', ...kubeconfig, ...SHORT_LIVED };
    return await runCommand(helm, args, { env, cwd: layout.file('test'), ...options });
  };
}

async function successful(result: Promise<CommandResult>, what: string): Promise<string> {
  const { code, stdout, stderr } = await result;
  if (code !== 0) throw new Error(`${what}: kubectl ended with ${code}: ${stderr.trim()}`);
  return stdout;
}

/** As the clouds do it: whoever verifies tokens has no account in the cluster. */
async function openIssuerDiscovery(kubectl: KubernetesBed['kubectl']): Promise<void> {
  const binding = ['create', 'clusterrolebinding', 'issuer-discovery-for-anybody'];
  const args = [...binding, '--clusterrole=system:service-account-issuer-discovery', '--group=system:unauthenticated'];
  await successful(kubectl(args), 'opening issuer discovery');
}

async function startManager(servers: Servers, layout: Layout, kubectl: KubernetesBed['kubectl']): Promise<void> {
  await servers.start('kube-controller-manager', managerArguments(layout));
  await servers.wait('kube-controller-manager to make a default ServiceAccount', async () => {
    return (await kubectl(['get', 'serviceaccount', 'default', '--namespace=default'])).code === 0;
  });
}

async function up(layout: Layout, binaries: Binaries, options: KubernetesOptions): Promise<Servers> {
  const servers = new Servers(layout, binaries);
  const kubectl = kubectlOf(layout, binaries);
  try {
    await servers.start('etcd', etcdArguments(layout));
    await startAPIServer(servers, layout, options);
    const manager = options.controllerManager === false ? Promise.resolve() : startManager(servers, layout, kubectl);
    await Promise.all([openIssuerDiscovery(kubectl), manager]);
    return servers;
  } catch (error) {
    await servers.kill();
    await removeScratchDirectory(layout.directory);
    throw error;
  }
}

/** A marker call that comes after all others; when it is in the log, those are too. */
async function readAudit(layout: Layout, marker: string): Promise<AuditEvent[]> {
  await getOverTLS(`${layout.server}${MARKER}${marker}`, layout.authority.certificatePEM);
  return await waitFor(
    'the audit log to hold a marker call',
    () => {
      const events = parseAuditLog(readFileSync(layout.file('audit.log'), 'utf8'));
      if (!events.some(({ requestURI }) => requestURI === `${MARKER}${marker}`)) return undefined;
      return events.filter(({ requestURI }) => !requestURI.startsWith(MARKER));
    },
    { timeoutMs: 5_000 },
  );
}

function mintToken(kubectl: KubernetesBed['kubectl']): KubernetesBed['token'] {
  return async (namespace, name, { audience, lifetimeSeconds = 3_600 } = {}) => {
    const args = ['create', 'token', name, `--namespace=${namespace}`, `--duration=${lifetimeSeconds}s`];
    const audiences = audience === undefined ? [] : [`--audience=${audience}`];
    return (await successful(kubectl([...args, ...audiences]), `a token of ${namespace}/${name}`)).trim();
  };
}

function resignToken({ file }: Layout): KubernetesBed['resignedToken'] {
  return (token, claims) => {
    const [head = '', payload = ''] = token.split('.');
    const old = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as object;
    const signed = `${head}.${Buffer.from(JSON.stringify({ ...old, ...claims })).toString('base64url')}`;
    const signature = sign('RSA-SHA256', Buffer.from(signed), readFileSync(file('sa.key'), 'utf8'));
    return `${signed}.${signature.toString('base64url')}`;
  };
}

function bedOf(layout: Layout, binaries: Binaries, servers: Servers, options: KubernetesOptions): KubernetesBed {
  const kubectl = kubectlOf(layout, binaries);
  const token = mintToken(kubectl);
  const caPEM = layout.authority.certificatePEM;
  const admin = layout.file('admin.kubeconfig');
  let serial = 0;
  return {
    server: layout.server,
    caPEM,
    issuer: options.issuers?.[0] ?? layout.server,
    etcd: `http://127.0.0.1:${layout.etcdPort}`,
    admin: { text: readFileSync(admin, 'utf8'), file: admin },
    kubectlFile: binaries.path('kubectl'),
    directory: layout.file('test'),
    kubectl,
    helm: helmOf(layout),
    audit: async () => await readAudit(layout, `marker-${++serial}`),
    token,
    resignedToken: resignToken(layout),
    serviceAccountKubeconfig: async (namespace, name, other = {}) => {
      const { lifetimeSeconds = 3_600 } = other;
      const bearer = await token(namespace, name, { lifetimeSeconds });
      const user = { token: bearer };
      const server = other.server ?? layout.server;
      const text = kubeconfigText({ server, caPEM: other.caPEM ?? caPEM, user, namespace });
      const file = layout.file(`test/${namespace}.${name}.${++serial}.kubeconfig`);
      writeFileSync(file, text, { mode: 0o600 });
      return { text, file, token: bearer };
    },
    userKubeconfig: async (subject) => {
      const user = await layout.authority.issueClient(subject);
      const file = layout.file(`${subject.commonName.replaceAll(':', '-')}.kubeconfig`);
      writeFileSync(file, kubeconfigText({ server: layout.server, caPEM, user }), { mode: 0o600 });
      return file;
    },
    killAPIServer: async () => {
      await servers.kill('kube-apiserver');
    },
    restartAPIServer: async () => {
      await startAPIServer(servers, layout, options);
    },
    pauseAPIServer: () => servers.signal('kube-apiserver', 'SIGSTOP'),
    resumeAPIServer: () => servers.signal('kube-apiserver', 'SIGCONT'),
    saveEtcd: async () => {
      const copy = layout.file(`etcd-copy-${++serial}`);
      await saveEtcd(servers, layout, copy);
      return copy;
    },
    restoreEtcd: async (copy) => {
      await restoreEtcd(servers, layout, copy);
      await startAPIServer(servers, layout, options);
      if (options.controllerManager === false) return;
      // Its caches are from the other history.
      await servers.kill('kube-controller-manager');
      await startManager(servers, layout, kubectl);
    },
    logs: () => servers.logs(),
    stop: async () => {
      await servers.kill();
      await removeScratchDirectory(layout.directory);
    },
  };
}

/**
 * Starts the control plane; ready when the API server is and, with a controller manager, when its controllers work.
 * @throws Error with the last log lines of the server that ended; MissingToolError (binaries.ts).
 */
export async function startKubernetes(options: KubernetesOptions = {}): Promise<KubernetesBed> {
  const binaries = await ensureBinaries([
    'etcd',
    'kube-apiserver',
    'kubectl',
    ...(options.controllerManager === false ? [] : (['kube-controller-manager'] as const)),
  ]);
  for (let attempt = 1; ; attempt++) {
    const layout = await layOut(options.port);
    try {
      return bedOf(layout, binaries, await up(layout, binaries, options), options);
    } catch (error) {
      // Somebody else may have taken a port between looking and using it.
      const portTaken = error instanceof AbortedWait && error.message.includes('address already in use');
      if (!portTaken || attempt === 3 || options.port !== undefined) throw error;
    }
  }
}
