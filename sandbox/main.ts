// Promises: `npm run sandbox`: its servers on loopback with the WorkloadCredential CRD installed, a kubeconfig in a new directory
// that goes with them, a ServiceAccount and a role on each cloud to try, until Ctrl-C. Prints what to paste. Options:
// --rbac (roles decide what ServiceAccounts may do), --port=N, --kubeconfig=FILE (kept in that file instead).
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { load } from 'js-yaml';
import { AUDIENCE, CLOUDS, endpointFlags } from './demo-clouds.ts';
import { interruption } from './interruption.ts';
import { startSandbox } from './sandbox.ts';
import type { Sandbox } from './sandbox.ts';
import { NOT_SERVED, pasteable } from './try-it.ts';

const CRDS = new URL('../crds/', import.meta.url);
const ROLE_NAME = 'orders';
const NAMESPACE = 'shop';
const SERVICE_ACCOUNT = 'orders';

async function installCRDs(sandbox: Sandbox): Promise<void> {
  for (const name of await readdir(CRDS)) {
    if (name.endsWith('.yaml')) await sandbox.apply(load(await readFile(new URL(name, CRDS), 'utf8')) as object);
  }
}

/** What the printed lines name. */
async function setScene(sandbox: Sandbox): Promise<void> {
  await installCRDs(sandbox);
  await sandbox.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  const metadata = { name: SERVICE_ACCOUNT, namespace: NAMESPACE };
  await sandbox.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata });
  for (const { service, role } of CLOUDS) service(sandbox).addRole({ arn: role(ROLE_NAME) });
}

function instructions(sandbox: Sandbox, kubeconfig: string): string {
  const terminal = { sandbox, kubeconfig, namespace: NAMESPACE, serviceAccountName: SERVICE_ACCOUNT };
  const services = CLOUDS.map(({ title, service, role }) => [
    `  ${`STS of ${title}`.padEnd(22)} ${service(sandbox).url.origin}`,
    `  ${'  and its role'.padEnd(22)} ${role(ROLE_NAME)}`,
  ]);
  return `A Kubernetes API server and the STS of three clouds, in memory, for as long as this runs. No operator runs yet.

  ${'API server'.padEnd(22)} ${sandbox.server.origin}
${services.flat().join('\n')}

Every STS accepts tokens for the audience ${AUDIENCE}; every ServiceAccount may assume the roles.

# In another terminal, in this directory: the operator, until Ctrl-C.
node_modules/.bin/node src/main.ts --kubeconfig=${kubeconfig} \\
  --leader-elect=false --listen-address=127.0.0.1:0 \\
  ${endpointFlags(sandbox).join(' \\\n  ')}

# In a third one: a WorkloadCredential on each cloud. Paste it as it stands.
${pasteable({ ...terminal, allowed: [], roleName: ROLE_NAME })}

# And then:
kubectl explain workloadcredential.spec
kubectl get workloadcredentials --all-namespaces --watch

${NOT_SERVED}
Ctrl-C ends it.
`;
}

async function untilInterrupted(interrupt: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    if (interrupt.aborted) resolve();
    interrupt.addEventListener('abort', () => resolve(), { once: true });
  });
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { rbac: { type: 'boolean' }, port: { type: 'string' }, kubeconfig: { type: 'string' } },
  });
  const interrupt = interruption();
  const port = values.port === undefined ? {} : { port: Number(values.port) };
  const sandbox = await startSandbox({
    rbac: values.rbac ?? false,
    clientIDs: [AUDIENCE],
    namespace: NAMESPACE,
    ...port,
  });
  const directory = await mkdtemp(join(tmpdir(), 'workload-credentials-sandbox-'));
  try {
    await setScene(sandbox);
    const kubeconfig = values.kubeconfig ?? join(directory, 'kubeconfig');
    await sandbox.writeKubeconfig(kubeconfig);
    process.stdout.write(instructions(sandbox, kubeconfig));
    await untilInterrupted(interrupt);
  } finally {
    await sandbox.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
