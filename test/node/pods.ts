// Promises: what tests want to know of pods of the bed's node: what the API server says of them, and what the kernel says of
// their processes. It changes nothing.
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeBed } from '../beds/node.ts';
import { waitFor } from '../beds/wait.ts';
import type { ClusterClient } from '../support/cluster-client.ts';

/** A container's state, as far as tests look at it. */
export interface ContainerSeen {
  readonly name: string;
  readonly ready: boolean;
  readonly restartCount: number;
  readonly containerID?: string;
  readonly lastState?: { readonly terminated?: { readonly exitCode: number; readonly reason?: string } };
}

/** A pod, as far as tests look at it. */
export interface PodSeen {
  readonly metadata: { readonly name: string; readonly uid: string; readonly deletionTimestamp?: string };
  readonly spec: {
    readonly hostNetwork?: boolean;
    readonly containers: readonly { readonly resources: { readonly requests?: Readonly<Record<string, string>> } }[];
  };
  readonly status: {
    readonly phase: string;
    readonly podIP?: string;
    readonly containerStatuses?: readonly ContainerSeen[];
  };
}

/** What the kernel says of a process. */
export interface ProcessSeen {
  readonly uid: string;
  readonly effectiveCapabilities: string;
  readonly noNewPrivileges: string;
  /** 2: a filter. */
  readonly seccomp: string;
  readonly residentMiB: number;
  /** The part that comes from files, the program's and its libraries': the kernel may drop it. */
  readonly residentFilesMiB: number;
}

/** Memory that is charged to a container: what its limit is about. */
export interface Charged {
  readonly usageMiB: number;
  readonly peakMiB: number;
  readonly limitMiB: number;
}

const MEBIBYTE = 1 << 20;

/** The pods with this label, those that are ending included. */
export async function podsOf(client: ClusterClient, namespace: string, label: string): Promise<readonly PodSeen[]> {
  const path = `/api/v1/namespaces/${namespace}/pods?labelSelector=${encodeURIComponent(label)}`;
  return (await client.get<{ items: readonly PodSeen[] }>(path))?.items ?? [];
}

/** Whether all containers are Ready and nobody ends it. */
export function isReady({ metadata, status }: PodSeen): boolean {
  const containers = status.containerStatuses ?? [];
  return metadata.deletionTimestamp === undefined && containers.length > 0 && containers.every(({ ready }) => ready);
}

/** Waits until exactly `count` pods are there and all of them Ready. */
export async function untilReady(
  client: ClusterClient,
  { namespace, label, count }: { readonly namespace: string; readonly label: string; readonly count: number },
  timeoutMs = 60_000,
): Promise<readonly PodSeen[]> {
  return await waitFor(
    `${count} Ready pods of ${label} in ${namespace}`,
    async () => {
      const pods = await podsOf(client, namespace, label);
      return pods.length === count && pods.every(isReady) ? pods : undefined;
    },
    { timeoutMs, everyMs: 200 },
  );
}

/** The id of a pod's only container, as containerd knows it. */
export function containerOf(pod: PodSeen): string {
  const id = pod.status.containerStatuses?.[0]?.containerID?.replace('containerd://', '');
  if (id === undefined) throw new Error(`${pod.metadata.name} has no container yet`);
  return id;
}

/** The memory that a pod's only container asks for. */
export function requestedMiB({ spec }: PodSeen): number {
  const request = spec.containers[0]?.resources.requests?.['memory'] ?? '';
  if (!request.endsWith('Mi')) throw new Error(`the request for memory is ${request}, not so many Mi`);
  return Number.parseInt(request, 10);
}

function field(text: string, name: string): string {
  return new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(text)?.[1] ?? '';
}

const kibibytes = (text: string): number => Math.round(Number.parseInt(text, 10) / 1_024);

/** /proc/PID/status. */
export function processSeen(pid: number): ProcessSeen {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  return {
    uid: field(text, 'Uid').split('\t')[0] ?? '',
    effectiveCapabilities: field(text, 'CapEff'),
    noNewPrivileges: field(text, 'NoNewPrivs'),
    seccomp: field(text, 'Seccomp'),
    residentMiB: kibibytes(field(text, 'VmRSS')),
    // Files of a file system in memory, as the bed's is, count as shared memory.
    residentFilesMiB: kibibytes(field(text, 'RssFile')) + kibibytes(field(text, 'RssShmem')),
  };
}

/** Its environment as it was started. */
export function environmentSeen(pid: number): Readonly<Record<string, string>> {
  const lines = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}

/** How its root is mounted: `ro,relatime`, say. */
export function rootMount(pid: number): string {
  const lines = readFileSync(`/proc/${pid}/mountinfo`, 'utf8').split('\n');
  return lines.map((line) => line.split(' ')).find((parts) => parts[4] === '/')?.[5] ?? '';
}

/** When it was started, wall-clock milliseconds, to a hundredth of a second. */
export function startedAtMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const ticks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
  const uptimeMs = Number.parseFloat(readFileSync('/proc/uptime', 'utf8')) * 1_000;
  return Date.now() - (uptimeMs - ticks * 10);
}

function fromFile(file: string): number {
  return Math.round(Number(readFileSync(file, 'utf8').trim()) / MEBIBYTE);
}

/** The container's memory cgroup, page cache and kernel memory included. */
export function charged(pid: number): Charged {
  const lines = readFileSync(`/proc/${pid}/cgroup`, 'utf8').trim().split('\n');
  const version1 = lines.find((line) => line.split(':')[1] === 'memory')?.split(':')[2];
  if (version1 !== undefined) {
    const directory = `/sys/fs/cgroup/memory${version1}`;
    return {
      usageMiB: fromFile(`${directory}/memory.usage_in_bytes`),
      peakMiB: fromFile(`${directory}/memory.max_usage_in_bytes`),
      limitMiB: fromFile(`${directory}/memory.limit_in_bytes`),
    };
  }
  const directory = `/sys/fs/cgroup${lines[0]?.split(':')[2] ?? ''}`;
  return {
    usageMiB: fromFile(`${directory}/memory.current`),
    peakMiB: fromFile(`${directory}/memory.peak`),
    limitMiB: fromFile(`${directory}/memory.max`),
  };
}

/** Status and body of a plain GET that gives up soon; undefined when nobody answers. */
export async function getQuickly(url: string): Promise<{ status: number; body: string } | undefined> {
  return await new Promise((resolve) => {
    const call = request(url, { agent: false, timeout: 1_000 }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('error', () => {
        resolve(undefined);
      });
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, body });
      });
    });
    call.on('timeout', () => call.destroy());
    call.on('error', () => {
      resolve(undefined);
    });
    call.end();
  });
}

/** Looks at /readyz of every pod of a label from its first moment on, and notes when it first answered 200. */
export class ReadinessWatch {
  readonly #client: ClusterClient;
  readonly #namespace: string;
  readonly #label: string;
  readonly #addresses = new Set<string>();
  readonly #readyAtMs = new Map<string, number>();
  #stopped = false;
  readonly #done: Promise<unknown>;

  constructor(client: ClusterClient, namespace: string, label: string) {
    this.#client = client;
    this.#namespace = namespace;
    this.#label = label;
    this.#done = Promise.all([this.#findPods(), this.#ask()]);
  }

  /** Wall-clock milliseconds. */
  readyAtMs(address: string): number | undefined {
    return this.#readyAtMs.get(address);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #findPods(): Promise<void> {
    while (!this.#stopped) {
      for (const { status } of await podsOf(this.#client, this.#namespace, this.#label)) {
        if (status.podIP !== undefined) this.#addresses.add(status.podIP);
      }
      await sleep(100);
    }
  }

  async #ask(): Promise<void> {
    while (!this.#stopped) {
      for (const address of this.#addresses) {
        if (this.#readyAtMs.has(address)) continue;
        if ((await getQuickly(`http://${address}:8080/readyz`))?.status === 200)
          this.#readyAtMs.set(address, Date.now());
      }
      await sleep(20);
    }
  }
}

/** The main process of a pod's only container. */
export async function processIn(node: NodeBed, pod: PodSeen): Promise<number> {
  return await node.processOf(containerOf(pod));
}
