// Promises: `npm run sandbox`: both servers on loopback with the WorkloadCredential CRD installed, a kubeconfig in a new
// directory that goes with them, a ServiceAccount and a role to try, until Ctrl-C. Prints what to type. Options:
// --rbac (roles decide what ServiceAccounts may do), --port=N, --kubeconfig=FILE (kept in that file instead).
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { load } from 'js-yaml';
import { startSandbox } from './sandbox.ts';
import type { Sandbox } from './sandbox.ts';

const CRDS = new URL('../crds/', import.meta.url);
const ROLE_ARN = 'arn:aws:iam::123456789012:role/orders';

async function installCRDs(sandbox: Sandbox): Promise<void> {
  for (const name of await readdir(CRDS)) {
    if (name.endsWith('.yaml')) await sandbox.apply(load(await readFile(new URL(name, CRDS), 'utf8')) as object);
  }
}

function instructions(sandbox: Sandbox, kubeconfig: string): string {
  return `A Kubernetes API server and an AWS STS, in memory, for as long as this runs.

  API server   ${sandbox.server.origin}
  STS          ${sandbox.aws.url.origin}
  role         ${ROLE_ARN}, which every ServiceAccount may assume

In another terminal:

  export KUBECONFIG=${kubeconfig}
  kubectl api-resources
  kubectl explain workloadcredential.spec
  kubectl get workloadcredentials --all-namespaces --watch

Not served: server-side apply, and what kubectl sends as protobuf only (kubectl auth can-i, create token, create secret).
Ctrl-C ends it.
`;
}

async function untilInterrupted(): Promise<void> {
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { rbac: { type: 'boolean' }, port: { type: 'string' }, kubeconfig: { type: 'string' } },
  });
  const port = values.port === undefined ? {} : { port: Number(values.port) };
  const sandbox = await startSandbox({ rbac: values.rbac ?? false, ...port });
  const directory = await mkdtemp(join(tmpdir(), 'workload-credentials-sandbox-'));
  try {
    await installCRDs(sandbox);
    sandbox.aws.addRole({ arn: ROLE_ARN });
    const kubeconfig = values.kubeconfig ?? join(directory, 'kubeconfig');
    await sandbox.writeKubeconfig(kubeconfig);
    process.stdout.write(instructions(sandbox, kubeconfig));
    await untilInterrupted();
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
