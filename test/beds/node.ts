// Promises: one real node for a control plane of kubernetes.ts: containerd, kubelet, kube-scheduler, kube-proxy and a name
// server, with pods that have a network, cgroups and probes as on any other. It runs only in the namespaces that
// namespaces.ts makes (test/node/run.ts enters them): all that it mounts, routes and starts ends with them. It pulls nothing
// and reaches nothing outside: images are there as if they had been pulled, and hosts of the outside are names of its own
// name server, on demand. Not as elsewhere: that is dnsmasq in CoreDNS's place, and NetworkPolicies are not enforced.
import { linkSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAuthority } from '../../sandbox/certificates.ts';
import { ensureBinaries } from './binaries.ts';
import type { Corpus } from './canary.ts';
import { runCommand } from './command.ts';
import type { Image, Images } from './image.ts';
import type { KubernetesBed } from './kubernetes.ts';
import { startChild } from './processes.ts';
import type { Child } from './processes.ts';
import { AbortedWait, waitFor } from './wait.ts';

/** The node's own address, of a network that documentation has to itself (RFC 5737): pods reach what listens here. */
export const NODE_ADDRESS = '192.0.2.1';
export const NODE_NAME = 'node';
/** How often kubelet looks at each pod without being told to. Its default, a minute, would make a test wait for one and a half. */
const SYNC_SECONDS = 10;
const POD_NETWORK = '10.244.0.0/24';
/** In memory, see namespaces.ts. */
const HOME = '/run/bed';
const POD_LOGS = join(HOME, 'pod-logs');
const KEPT_LOGS = join(HOME, 'kept-logs');
const SOCKET = join(HOME, 'containerd.sock');
const ENV = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME };
/** What kubelet would set for the whole machine, and finds set already when these files lie over the kernel's. */
const TUNABLES = {
  'vm/overcommit_memory': '1',
  'vm/panic_on_oom': '0',
  'kernel/panic': '10',
  'kernel/panic_on_oops': '1',
  'kernel/keys/root_maxkeys': '1000000',
  'kernel/keys/root_maxbytes': '25000000',
};

/** What test/node/run.ts made ready outside of the namespaces. */
export interface NodeSupplies {
  readonly images: Images;
  /** The bed's cgroup, below each hierarchy. */
  readonly cgroup: string;
}

/** What pods find under names of the outside; nothing of it is outside. */
export interface Outside {
  /** By repository with tag: images that are there under this name, too. */
  readonly images?: Readonly<Record<string, Image>>;
  /** Hosts that lead to the node's own address. */
  readonly hosts?: readonly string[];
}

/** containerd with the images, and what the API server has to be told so that it finds the node. */
export interface NodeRuntime {
  readonly apiServerArguments: readonly string[];
  readonly supplies: NodeSupplies;
  readonly hosts: readonly string[];
  readonly files: { readonly kubeletAuthority: string };
  readonly containerd: Child;
}

/** A running node. */
export interface NodeBed {
  readonly images: Images;
  /** Tells the name server the Services that there are now. */
  publishServices(): Promise<void>;
  /** Everything that every container has ever printed, those that are gone included, a text for each. */
  podLogs(): Corpus[];
  /** What the node's own programs have printed. */
  programLogs(): Corpus[];
  /** The main process of each container of a pod, by container id. */
  processOf(containerID: string): Promise<number>;
  /** Ends kubelet by SIGKILL and starts it again: pods run on, and it asks for new tokens for all of them. */
  restartKubelet(): Promise<void>;
  /** When containerd made the container, wall-clock milliseconds. */
  createdAtMs(containerID: string): Promise<number>;
  /** The last warnings and errors of all of the node's programs. */
  logs(): string;
  stop(): Promise<void>;
}

/** The supplies, as test/node/run.ts hands them over. @throws Error where this is not run by it. */
export function suppliesFromEnvironment(): NodeSupplies {
  const text = process.env['WC_NODE_SUPPLIES'];
  if (text === undefined) {
    throw new Error('Real pods need namespaces of their own: run "npm run test:node", not the test file itself.');
  }
  return JSON.parse(text) as NodeSupplies;
}

/** An image by the name that pods give it. */
export function imageName({ repository, tag }: Image): string {
  return `${repository}:${tag}`;
}

async function must(command: string, args: readonly string[], timeoutMs = 60_000): Promise<string> {
  const { code, stdout, stderr } = await runCommand(command, args, { env: ENV, cwd: HOME, timeoutMs });
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}: ${stderr.trim() || stdout.trim()}`);
  return stdout;
}

const inHome = (name: string): string => join(HOME, name);
const write = (name: string, text: string): string => {
  writeFileSync(inHome(name), text, { mode: 0o600 });
  return inHome(name);
};

function containerdConfiguration({ images }: NodeSupplies): string {
  return `version = 2
root = "${inHome('containerd/root')}"
state = "${inHome('containerd/state')}"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt"]
[grpc]
  address = "${SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${imageName(images.pause)}"
  stream_server_address = "127.0.0.1"
  disable_apparmor = true
  # Without CAP_SYS_RESOURCE, as in many sandboxes, runc fails: "can't get final child's PID from pipe: EOF".
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${inHome('cni')}"
`;
}

/** One point-to-point link a pod, and the route that the host-local plugin leaves out unless it is told. */
const NETWORK = {
  cniVersion: '0.4.0',
  name: 'pods',
  plugins: [
    {
      type: 'ptp',
      ipMasq: false,
      mtu: 1500,
      ipam: {
        type: 'host-local',
        dataDir: inHome('cni-addresses'),
        ranges: [[{ subnet: POD_NETWORK }]],
        routes: [{ dst: '0.0.0.0/0' }],
      },
    },
  ],
};

function kubeletConfiguration({ cgroup }: NodeSupplies, authorityFile: string): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: NODE_ADDRESS,
    port: 10_250,
    readOnlyPort: 0,
    healthzPort: 0,
    // Since 1.35 the default is true.
    failCgroupV1: false,
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${cgroup}`,
    failSwapOn: false,
    containerRuntimeEndpoint: `unix://${SOCKET}`,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: authorityFile },
    },
    authorization: { mode: 'Webhook' },
    // The machine may be short of disk and the bed lives in memory: nothing is evicted from it.
    evictionHard: {
      'nodefs.available': '0%',
      'nodefs.inodesFree': '0%',
      'imagefs.available': '0%',
      'memory.available': '100Mi',
    },
    imageGCHighThresholdPercent: 100,
    resolvConf: '',
    clusterDNS: [NODE_ADDRESS],
    clusterDomain: 'cluster.local',
    syncFrequency: `${SYNC_SECONDS}s`,
    podLogsDir: POD_LOGS,
    volumePluginDir: inHome('volume-plugins'),
    shutdownGracePeriod: '0s',
  };
}

/** Files that say what kubelet wants lie over those by which it would change the whole machine. */
async function shieldTunables(): Promise<void> {
  for (const [name, value] of Object.entries(TUNABLES)) {
    const file = write(`tunable-${name.replaceAll('/', '-')}`, `${value}\n`);
    await must('mount', ['--bind', file, `/proc/sys/${name}`]);
  }
}

async function start(name: string, command: string, args: readonly string[]): Promise<Child> {
  return await startChild({ name, command, args, env: ENV, cwd: HOME, logFile: inHome(`${name}.log`) });
}

async function untilRunning(child: Child, what: string, look: () => Promise<boolean>): Promise<void> {
  const lookWhileRunning = async (): Promise<boolean> => {
    if (child.exit() !== undefined) throw new AbortedWait(`${child.name} has ended:\n${child.logTail()}`);
    return await look();
  };
  try {
    await waitFor(what, lookWhileRunning, { timeoutMs: 120_000, everyMs: 100 });
  } catch (error) {
    throw new Error(`${String(error)}\n${child.logTail(30)}`, { cause: error });
  }
}

async function ctr(...args: readonly string[]): Promise<string> {
  return await must('ctr', ['--address', SOCKET, '--namespace', 'k8s.io', ...args], 120_000);
}

/** Starts containerd and gives it the images. To be called before the control plane is started. */
export async function startNodeRuntime(supplies: NodeSupplies, outside: Outside = {}): Promise<NodeRuntime> {
  for (const name of ['cni', 'pod-logs', 'kept-logs', 'volume-plugins']) mkdirSync(inHome(name), { recursive: true });
  mkdirSync('/run/netns', { recursive: true });
  await must('mount', ['-t', 'tmpfs', 'tmpfs', '/run/netns']);
  await must('mount', ['--make-shared', '/run/netns']);
  await must('ip', ['address', 'add', `${NODE_ADDRESS}/32`, 'dev', 'lo']);
  await shieldTunables();
  write('cni/10-pods.conflist', JSON.stringify(NETWORK));
  const configuration = write('containerd.toml', containerdConfiguration(supplies));
  const containerd = await start('containerd', '/usr/bin/containerd', ['--config', configuration]);
  await untilRunning(containerd, 'containerd to answer', async () => {
    return (await runCommand('ctr', ['--address', SOCKET, 'version'], { env: ENV, cwd: HOME })).code === 0;
  });
  const { operator, workload, pause } = supplies.images;
  for (const { archive, repository } of [operator, workload, pause]) {
    await ctr('images', 'import', '--base-name', repository, archive);
  }
  for (const [name, image] of Object.entries(outside.images ?? {})) await ctr('images', 'tag', imageName(image), name);
  const authority = await createAuthority('kubelet-clients');
  const client = await authority.issueClient({ commonName: 'kube-apiserver', organizations: ['system:masters'] });
  return {
    supplies,
    hosts: outside.hosts ?? [],
    containerd,
    files: { kubeletAuthority: write('kubelet-clients.crt', authority.certificatePEM) },
    apiServerArguments: [
      '--bind-address=0.0.0.0',
      `--advertise-address=${NODE_ADDRESS}`,
      // So that the Service "kubernetes" leads to it, as in a cluster.
      '--endpoint-reconciler-type=lease',
      // For kubectl logs: the node's name is known to no name server of the API server's.
      '--kubelet-preferred-address-types=InternalIP',
      `--kubelet-client-certificate=${write('kubelet-client.crt', client.certificatePEM)}`,
      `--kubelet-client-key=${write('kubelet-client.key', client.privateKeyPEM)}`,
    ],
  };
}

async function startKubelet(kubernetes: KubernetesBed, runtime: NodeRuntime, command: string): Promise<Child> {
  const subject = { commonName: `system:node:${NODE_NAME}`, organizations: ['system:nodes'] };
  const configuration = kubeletConfiguration(runtime.supplies, runtime.files.kubeletAuthority);
  return await start('kubelet', command, [
    `--config=${write('kubelet.json', JSON.stringify(configuration))}`,
    `--kubeconfig=${await kubernetes.userKubeconfig(subject)}`,
    `--hostname-override=${NODE_NAME}`,
    `--node-ip=${NODE_ADDRESS}`,
    `--root-dir=${inHome('kubelet')}`,
    `--cert-dir=${inHome('kubelet-certificates')}`,
  ]);
}

async function startScheduler(kubernetes: KubernetesBed, command: string): Promise<Child> {
  const kubeconfig = await kubernetes.userKubeconfig({ commonName: 'system:kube-scheduler' });
  const clients = ['kubeconfig', 'authentication-kubeconfig', 'authorization-kubeconfig'].map(
    (flag) => `--${flag}=${kubeconfig}`,
  );
  const serving = ['--bind-address=127.0.0.1', `--cert-dir=${inHome('scheduler-certificates')}`];
  return await start('kube-scheduler', command, [...clients, ...serving, '--leader-elect=false']);
}

async function startProxy(kubernetes: KubernetesBed, command: string): Promise<Child> {
  return await start('kube-proxy', command, [
    `--kubeconfig=${await kubernetes.userKubeconfig({ commonName: 'system:kube-proxy' })}`,
    '--proxy-mode=nftables',
    `--cluster-cidr=${POD_NETWORK}`,
    `--hostname-override=${NODE_NAME}`,
    // The sizes of the machine's table of connections are not the bed's to set.
    '--conntrack-max-per-core=0',
    '--conntrack-tcp-timeout-established=0',
    '--conntrack-tcp-timeout-close-wait=0',
  ]);
}

async function startNameServer(hosts: readonly string[]): Promise<Child> {
  return await start('dnsmasq', '/usr/sbin/dnsmasq', [
    '--keep-in-foreground',
    '--conf-file=/dev/null',
    '--log-facility=-',
    '--pid-file',
    '--user=root',
    '--no-resolv',
    '--no-hosts',
    '--local=/cluster.local/',
    ...hosts.map((host) => `--local=/${host}/`),
    ...hosts.map((host) => `--host-record=${host},${NODE_ADDRESS}`),
    '--bind-interfaces',
    `--listen-address=${NODE_ADDRESS}`,
    `--addn-hosts=${write('services.hosts', '')}`,
  ]);
}

interface ServiceList {
  readonly items: readonly {
    readonly metadata: { readonly namespace: string; readonly name: string };
    readonly spec: { readonly clusterIP?: string };
  }[];
}

async function publishServices(kubernetes: KubernetesBed, nameServer: Child): Promise<void> {
  const { code, stdout, stderr } = await kubernetes.kubectl(['get', 'services', '--all-namespaces', '-o', 'json']);
  if (code !== 0) throw new Error(`the Services cannot be listed: ${stderr}`);
  const lines = (JSON.parse(stdout) as ServiceList).items
    .filter(({ spec }) => spec.clusterIP !== undefined && spec.clusterIP !== 'None')
    .map(({ metadata, spec }) => `${spec.clusterIP} ${metadata.name}.${metadata.namespace}.svc.cluster.local\n`);
  write('services.hosts', lines.join(''));
  process.kill(nameServer.pid, 'SIGHUP');
}

/** Second names for every log file: kubelet removes the first ones with the pod, and what was printed stays. */
function keepLogs(): void {
  const kept = new Set(readdirSync(KEPT_LOGS));
  for (const entry of readdirSync(POD_LOGS, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const name = path.slice(POD_LOGS.length + 1).replaceAll('/', '_');
    if (!entry.isFile() || kept.has(name)) continue;
    try {
      linkSync(path, join(KEPT_LOGS, name));
    } catch {
      // The pod went between the two looks.
    }
  }
}

function readLogs(directory: string): Corpus[] {
  const names = readdirSync(directory).filter((name) => name.endsWith('.log'));
  return names.map((name) => ({ name, text: readFileSync(join(directory, name), 'utf8') }));
}

async function isReady(kubernetes: KubernetesBed): Promise<boolean> {
  const path = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}';
  return (await kubernetes.kubectl(['get', 'node', NODE_NAME, '-o', path])).stdout === 'True';
}

/**
 * Makes the machine a node of this control plane; resolves when it is Ready.
 * @throws Error with the last log lines of what ended or did not become ready.
 */
export async function startNode(kubernetes: KubernetesBed, runtime: NodeRuntime): Promise<NodeBed> {
  const binaries = await ensureBinaries(['kubelet', 'kube-scheduler', 'kube-proxy']);
  let kubelet = await startKubelet(kubernetes, runtime, binaries.path('kubelet'));
  const scheduler = await startScheduler(kubernetes, binaries.path('kube-scheduler'));
  const proxy = await startProxy(kubernetes, binaries.path('kube-proxy'));
  const nameServer = await startNameServer(runtime.hosts);
  const others = [scheduler, proxy, nameServer, runtime.containerd];
  await untilRunning(kubelet, 'the node to be Ready', async () => await isReady(kubernetes));
  const keeper = setInterval(keepLogs, 200);
  keeper.unref();
  await publishServices(kubernetes, nameServer);
  const info = async (containerID: string): Promise<{ CreatedAt: string }> =>
    JSON.parse(await ctr('containers', 'info', containerID)) as { CreatedAt: string };
  return {
    images: runtime.supplies.images,
    publishServices: async () => await publishServices(kubernetes, nameServer),
    podLogs: () => {
      keepLogs();
      return readLogs(KEPT_LOGS);
    },
    programLogs: () => readLogs(HOME),
    processOf: async (containerID) => {
      const tasks = await ctr('tasks', 'list');
      const pid = new RegExp(`^${containerID}\\s+(\\d+)`, 'm').exec(tasks)?.[1];
      if (pid === undefined) throw new Error(`container ${containerID} does not run`);
      return Number(pid);
    },
    restartKubelet: async () => {
      await kubelet.kill();
      kubelet = await startKubelet(kubernetes, runtime, binaries.path('kubelet'));
    },
    createdAtMs: async (containerID) => Date.parse((await info(containerID)).CreatedAt),
    logs: () => [kubelet, ...others].map((child) => `--- ${child.name}\n${child.logTail(30)}`).join('\n'),
    stop: async () => {
      clearInterval(keeper);
      await Promise.all([kubelet, ...others].map(async (child) => await child.kill()));
    },
  };
}
