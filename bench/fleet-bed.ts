// Promises: a fleet on the sandbox: so many WorkloadCredentials in 20 namespaces, each with a ServiceAccount of its own; what the
// operator asked of the servers since a moment, by their own logs; and how it stands with the fleet. Starts no operator.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { load } from 'js-yaml';
import { startSandbox } from '../sandbox/sandbox.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { API_ROOT, AUDIENCE, ROLE_ARN } from './constants.ts';
import { isBackground, isWrite, kindOfRequest } from './request-kinds.ts';

const CRD = new URL('../crds/workloadcredentials.io_workloadcredentials.yaml', import.meta.url);
export const SYSTEM_NAMESPACE = 'system';
const SERVICE_ACCOUNT = 'operator';
const NAMESPACES = 20;
/** Histories this long hold what happens between two reads of a watch. */
const HISTORY_LIMIT = 5_000;
/** As the real API server. */
const BOOKMARK_MS = 60_000;
/** Longer than the benchmark. */
const DAY_SECONDS = 86_400;

/** What was asked of the servers in a span of time. */
export interface Asked {
  /** Calls to STS that gave a credential, and all others. */
  readonly issued: number;
  readonly refused: number;
  /** The operator's calls to the API server by kind, without Leases and watches. */
  readonly calls: ReadonlyMap<string, number>;
  /** All of these, and those of them that ask for a change. */
  readonly total: number;
  readonly writes: number;
  /** When the last of them was answered, in milliseconds since the epoch. */
  readonly lastMs: number;
}

/** A sandbox with a fleet. */
export interface FleetBed {
  readonly kubeconfig: string;
  readonly endpointOption: string;
  /** What is asked from now on: each call of the function it returns looks again. */
  watchCalls(): () => Asked;
  /** How many are Ready. */
  ready(): number;
  stop(): Promise<void>;
}

interface Condition {
  readonly type: string;
  readonly status: string;
}

async function populate(sandbox: Sandbox, count: number): Promise<void> {
  await sandbox.apply(load(await readFile(CRD, 'utf8')) as object);
  const namespaces = Array.from({ length: NAMESPACES }, (_, index) => `tenant-${index}`);
  for (const name of [SYSTEM_NAMESPACE, ...namespaces]) {
    await sandbox.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  }
  const operator = { namespace: SYSTEM_NAMESPACE, name: SERVICE_ACCOUNT };
  await sandbox.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: operator });
  sandbox.aws.addRole({ arn: ROLE_ARN });
  const aws = { roleARN: ROLE_ARN, region: 'eu-west-1', endpoint: sandbox.aws.url.origin, audience: AUDIENCE };
  for (let index = 0; index < count; index += 1) {
    const metadata = { name: `orders-${index}`, namespace: namespaces[index % NAMESPACES] };
    const annotations = { 'workloadcredentials.io/allow': metadata.name };
    await sandbox.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { ...metadata, annotations } });
    const spec = { serviceAccountName: metadata.name, aws };
    await sandbox.apply({ apiVersion: 'workloadcredentials.io/v1alpha1', kind: 'WorkloadCredential', metadata, spec });
  }
}

function askedSince({ aws, apiServer }: Sandbox, from: { readonly calls: number; readonly requests: number }): Asked {
  const exchanges = aws.calls.slice(from.calls);
  const issued = exchanges.filter(({ outcome }) => outcome === 'Issued').length;
  const user = `system:serviceaccount:${SYSTEM_NAMESPACE}:${SERVICE_ACCOUNT}`;
  const calls = new Map<string, number>();
  let [total, writes, lastMs] = [0, 0, 0];
  for (const entry of apiServer.requestLog.slice(from.requests)) {
    const kind = kindOfRequest(entry.method, entry.target, entry.status);
    if (entry.user !== user || isBackground(kind)) continue;
    calls.set(kind, (calls.get(kind) ?? 0) + 1);
    total += 1;
    if (isWrite(kind)) writes += 1;
    lastMs = entry.timeMs;
  }
  return { issued, refused: exchanges.length - issued, calls, total, writes, lastMs };
}

function readyIn({ apiServer }: Sandbox): number {
  const [, , group] = API_ROOT.split('/');
  const isReady = ({ type, status }: Condition): boolean => type === 'Ready' && status === 'True';
  return apiServer.registry.store.list(`${group}/workloadcredentials`).filter(({ status }) => {
    const { conditions = [] } = (status ?? {}) as { readonly conditions?: readonly Condition[] };
    return conditions.some(isReady);
  }).length;
}

/** Starts the servers and makes the fleet. Nobody has looked at it yet. */
export async function startFleet(count: number, directory: string): Promise<FleetBed> {
  const options = { clientIDs: [AUDIENCE], bookmarkIntervalMs: BOOKMARK_MS, historyLimit: HISTORY_LIMIT };
  const sandbox = await startSandbox(options);
  await populate(sandbox, count);
  const kubeconfig = join(directory, `kubeconfig-${count}`);
  const token = await sandbox.mintToken(SYSTEM_NAMESPACE, SERVICE_ACCOUNT, { expirationSeconds: DAY_SECONDS });
  await sandbox.writeKubeconfig(kubeconfig, token);
  return {
    kubeconfig,
    endpointOption: sandbox.aws.endpointOption,
    watchCalls: () => {
      const from = { calls: sandbox.aws.calls.length, requests: sandbox.apiServer.requestLog.length };
      return () => askedSince(sandbox, from);
    },
    ready: () => readyIn(sandbox),
    stop: () => sandbox.stop(),
  };
}
