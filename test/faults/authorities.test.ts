// Shows that the built program follows the authorities of STS: the certificate of a private endpoint comes from another
// authority, refreshes fail while the file has the old one, and go on when it has the new one, without a restart. Needs dist/.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type Server } from 'node:tls';
import { after, before, describe, test } from 'node:test';
import { load } from 'js-yaml';
import { createAuthority } from '../../sandbox/certificates.ts';
import { type Sandbox, startSandbox } from '../../sandbox/sandbox.ts';
import type { WorkloadCredential } from '../../src/api/types.gen.ts';
import { type OperatorProcess, startOperator } from '../beds/operator.ts';
import { waitFor } from '../beds/wait.ts';

const CRD = new URL('../../crds/workloadcredentials.io_workloadcredentials.yaml', import.meta.url);
const AUDIENCE = 'sts.sandbox.example';
const ROLE = 'arn:aws:iam::123456789012:role/orders';

let sandbox: Sandbox;
let directory: string;
let operator: OperatorProcess;
let server: Server;
let origin = '';
const sockets = new Set<Socket>();

const caFile = (): string => join(directory, 'ca.crt');

/** From now on the endpoint shows a certificate of a new authority; who is connected is cut off. Gives the authority. */
async function renew(): Promise<string> {
  const authority = await createAuthority(`sts-ca-${Math.random()}`);
  const names = { ips: ['127.0.0.1'], dns: [] };
  const { certificatePEM, privateKeyPEM } = await authority.issueServer({ commonName: 'sts' }, names);
  server.setSecureContext({ cert: certificatePEM, key: privateKeyPEM });
  for (const socket of sockets) socket.destroy();
  return authority.certificatePEM;
}

async function apply(annotations: Readonly<Record<string, string>> = {}): Promise<void> {
  await sandbox.apply({
    apiVersion: 'workloadcredentials.io/v1alpha1',
    kind: 'WorkloadCredential',
    metadata: { name: 'orders', namespace: 'shop', annotations },
    spec: {
      serviceAccountName: 'orders',
      aws: { roleARN: ROLE, region: 'eu-west-1', endpoint: origin, audience: AUDIENCE },
    },
  });
}

function status(): WorkloadCredential['status'] {
  const { store } = sandbox.apiServer.registry;
  const kind = 'workloadcredentials.io/workloadcredentials';
  return (store.get(kind, 'shop', 'orders') as WorkloadCredential | undefined)?.status;
}

async function untilStatus(
  what: string,
  isSo: (seen: NonNullable<WorkloadCredential['status']>) => boolean,
): Promise<void> {
  const look = (): boolean => {
    const seen = status();
    return seen !== undefined && isSo(seen);
  };
  await waitFor(what, look, { timeoutMs: 90_000, everyMs: 100 }).catch((error: unknown) => {
    throw new Error(`${what}: ${JSON.stringify(status())}\n${operator.output().slice(-3_000)}`, { cause: error });
  });
}

describe('the authorities of STS', { timeout: 180_000 }, () => {
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'wc-authorities-'));
    sandbox = await startSandbox({ clientIDs: [AUDIENCE] });
    await sandbox.apply(load(await readFile(CRD, 'utf8')) as object);
    for (const name of ['wc-system', 'shop']) {
      await sandbox.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    }
    const annotations = { 'workloadcredentials.io/allow': '*' };
    const metadata = { name: 'orders', namespace: 'shop', annotations };
    await sandbox.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata });
    sandbox.aws.addRole({ arn: ROLE });
    await sandbox.writeKubeconfig(join(directory, 'kubeconfig'));
    const target = sandbox.aws.url;
    server = createServer((socket) => {
      const inner = connect(Number(target.port), target.hostname);
      sockets.add(socket).add(inner);
      for (const side of [socket, inner]) side.on('error', () => side.destroy());
      socket.pipe(inner).pipe(socket);
    });
    // A client that does not trust it ends the handshake.
    server.on('tlsClientError', () => {});
    await writeFile(caFile(), await renew());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    operator = await startOperator({
      kubeconfig: join(directory, 'kubeconfig'),
      args: [
        '--lease-namespace=wc-system',
        `--sts-endpoint=AWS=${origin}=${AUDIENCE}`,
        `--sts-ca-file=${caFile()}`,
        '--min-refresh-interval-seconds=1',
      ],
    });
    await operator.waitUntilReady();
  });

  after(async () => {
    await operator?.kill();
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
    await sandbox?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  test('are read anew by the running program, which exchanges nothing with whom they do not vouch for', async () => {
    await apply();
    await untilStatus('the credential', ({ accessKeyID }) => accessKeyID !== undefined);
    const first = status()?.accessKeyID;
    const issued = sandbox.aws.issued.length;
    const authority = await renew();
    await apply({ 'workloadcredentials.io/refresh-requested': 'after the change' });
    await untilStatus('the refresh to fail', ({ lastFailure }) => lastFailure?.reason === 'STSUnavailable');
    assert.match(status()?.lastFailure?.message ?? '', /TLS|certificate/);
    assert.equal(sandbox.aws.issued.length, issued, 'no token went to a server that is not trusted');
    await writeFile(caFile(), authority);
    await untilStatus('the refresh', ({ accessKeyID }) => accessKeyID !== undefined && accessKeyID !== first);
    assert.equal(sandbox.aws.issued.length, issued + 1);
    await operator.waitForLog('the authorities for STS changed; new connections are verified with them', 1_000);
  });
});
