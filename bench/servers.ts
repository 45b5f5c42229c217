// Promises: the sandbox's API server and STS as a process of their own, so that their CPU is nobody else's, with the same
// objects once for the operator and once for the raw script. Its logs say what was called.
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { load } from 'js-yaml';
import { startSandbox } from '../sandbox/sandbox.ts';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { AUDIENCE, OPERATOR_NAMESPACE, ROLE_ARN, SCRIPT_NAMESPACE, SERVICE_ACCOUNT } from './constants.ts';
import type { Counts, RefreshTarget, ServersCommand, ServersReady } from './messages.ts';
import { kindOfRequest } from './request-kinds.ts';

const CRD = new URL('../crds/workloadcredentials.io_workloadcredentials.yaml', import.meta.url);
const CALLER_NAMESPACE = 'callers';
/** Longer than the benchmark. */
const LONG_SESSION_SECONDS = 3600;
/** Histories this long hold what happens between two reads of a watch. */
const HISTORY_LIMIT = 5_000;

const sandbox = await startSandbox({ clientIDs: [AUDIENCE], bookmarkIntervalMs: 60_000, historyLimit: HISTORY_LIMIT });
let names: string[] = [];
let refreshRequests = 0;

function credential(namespace: string, name: string): object {
  return {
    apiVersion: 'workloadcredentials.io/v1alpha1',
    kind: 'WorkloadCredential',
    metadata: { name, namespace },
    spec: {
      serviceAccountName: SERVICE_ACCOUNT,
      aws: { roleARN: ROLE_ARN, region: 'eu-west-1', endpoint: sandbox.aws.url.origin, audience: AUDIENCE },
    },
  };
}

async function addNamespace(name: string, accounts: readonly string[]): Promise<void> {
  await sandbox.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  for (const account of accounts) {
    const metadata = { name: account, namespace: name, annotations: { 'workloadcredentials.io/allow': '*' } };
    await sandbox.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata });
  }
}

/** A Secret as the operator writes it, for the script to replace. */
function secret(name: string): object {
  const annotations = Object.fromEntries(
    ['owner-uid', 'issue-time', 'expiration-time', 'request-hash', 'render-hash', 'content-hash'].map((key) => [
      `workloadcredentials.io/${key}`,
      'not yet',
    ]),
  );
  const labels = { 'workloadcredentials.io/name': name, 'velero.io/exclude-from-backup': 'true' };
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: SCRIPT_NAMESPACE, labels, annotations } };
}

async function start(count: number): Promise<ServersReady> {
  await sandbox.apply(load(await readFile(CRD, 'utf8')) as object);
  await addNamespace(CALLER_NAMESPACE, ['operator', 'script']);
  for (const namespace of [OPERATOR_NAMESPACE, SCRIPT_NAMESPACE]) await addNamespace(namespace, [SERVICE_ACCOUNT]);
  sandbox.aws.addRole({ arn: ROLE_ARN });
  sandbox.aws.switches.maxSessionSeconds = LONG_SESSION_SECONDS;
  names = Array.from({ length: count }, (_, index) => `orders-${index}`);
  const targets: RefreshTarget[] = [];
  for (const name of names) {
    await sandbox.apply(credential(OPERATOR_NAMESPACE, name));
    const { metadata } = await sandbox.apply(credential(SCRIPT_NAMESPACE, name));
    const written = await sandbox.apply(secret(name));
    targets.push({
      name,
      secretVersion: written.metadata.resourceVersion,
      credentialVersion: metadata.resourceVersion,
    });
  }
  const day = { expirationSeconds: 86_400 };
  return {
    server: sandbox.server.origin,
    caPEM: sandbox.caPEM,
    operatorToken: await sandbox.mintToken(CALLER_NAMESPACE, 'operator', day),
    scriptToken: await sandbox.mintToken(CALLER_NAMESPACE, 'script', day),
    stsURL: sandbox.aws.url.origin,
    targets,
  };
}

/** One after the other over the time, as the credentials of a real fleet were issued: not all in one second. */
async function requestRefresh(overMs: number): Promise<void> {
  refreshRequests += 1;
  const startMs = performance.now();
  const annotations = { 'workloadcredentials.io/refresh-requested': String(refreshRequests) };
  for (const [index, name] of names.entries()) {
    const delayMs = startMs + (overMs * index) / names.length - performance.now();
    if (delayMs > 0) await sleep(delayMs);
    const metadata = { name, namespace: OPERATOR_NAMESPACE, annotations };
    await sandbox.apply({ apiVersion: 'workloadcredentials.io/v1alpha1', kind: 'WorkloadCredential', metadata });
  }
}

function counts({ aws, apiServer }: Sandbox): Counts {
  const issued: Record<string, number> = {};
  for (const { outcome, sessionName } of aws.calls) {
    const namespace = outcome === 'Issued' ? (sessionName.split('.')[0] ?? '') : outcome;
    issued[namespace] = (issued[namespace] ?? 0) + 1;
  }
  const requests: Record<string, Record<string, number>> = {};
  for (const { user, method, target, status } of apiServer.requestLog) {
    const mine = (requests[user.split(':').at(-1) ?? ''] ??= {});
    const kind = kindOfRequest(method, target, status);
    mine[kind] = (mine[kind] ?? 0) + 1;
  }
  return { issued, requests };
}

async function answer(command: ServersCommand): Promise<object> {
  switch (command.ask) {
    case 'start':
      return await start(command.credentials);
    case 'sessionSeconds':
      sandbox.aws.switches.maxSessionSeconds = command.seconds;
      return {};
    case 'requestRefresh':
      await requestRefresh(command.overMs);
      return {};
    case 'counts':
      return counts(sandbox);
  }
}

process.on('message', (command: ServersCommand) => void answer(command).then((result) => process.send?.(result)));
process.on('disconnect', () => process.exit(0));
