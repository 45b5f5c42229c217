// Promises: the two servers that are compared, each with our CustomResourceDefinition installed: the sandbox in this
// process, and a real kube-apiserver with etcd and kube-controller-manager. Both end with stop().
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { load } from 'js-yaml';
import { GROUP, PLURAL, VERSION } from '../../src/api/names.ts';
import { startSandbox } from '../../sandbox/sandbox.ts';
import { startKubernetes } from '../beds/kubernetes.ts';
import { RawClient } from './client.ts';
import type { JSONValue } from './client.ts';

const CRD_FILE = new URL('../../crds/workloadcredentials.io_workloadcredentials.yaml', import.meta.url);
/** Ours come every second, so that no case waits long; how many come is not compared. */
const BOOKMARK_INTERVAL_MS = 1000;

/** A server under comparison. */
export interface ConformanceBed {
  readonly client: RawClient;
  /** The administrator's, for kubectl. */
  readonly kubeconfig: string;
  stop(): Promise<void>;
}

async function installCRD(client: RawClient): Promise<void> {
  const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
  const body = JSON.stringify(load(readFileSync(CRD_FILE, 'utf8')));
  const made = await client.send({ method: 'POST', path, body });
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const deadline = Date.now() + 20_000;
  for (;;) {
    const { status } = await client.send({ method: 'GET', path: `/apis/${GROUP}/${VERSION}/${PLURAL}` });
    if (status === 200) return;
    assert.ok(Date.now() < deadline, `our resource is not served 20 s after its definition: ${status}`);
    await sleep(100);
  }
}

/** The sandbox, on loopback over TLS. */
export async function startSandboxBed(): Promise<ConformanceBed> {
  const sandbox = await startSandbox({ bookmarkIntervalMs: BOOKMARK_INTERVAL_MS, rbac: true });
  const { caPEM, adminToken: token } = sandbox;
  const client = new RawClient({ origin: sandbox.server.origin, caPEM, administrator: { token } });
  await installCRD(client);
  return {
    client,
    kubeconfig: sandbox.kubeconfig(),
    stop: async () => {
      client.close();
      await sandbox.stop();
    },
  };
}

/** kube-apiserver itself. */
export async function startRealBed(): Promise<ConformanceBed> {
  const bed = await startKubernetes({ controllerManager: true });
  const { user } = (JSON.parse(bed.admin.text) as JSONValue).users[0];
  const decode = (text: string): string => Buffer.from(text, 'base64').toString();
  const client = new RawClient({
    origin: bed.server,
    caPEM: bed.caPEM,
    administrator: {
      certificatePEM: decode(user['client-certificate-data']),
      privateKeyPEM: decode(user['client-key-data']),
    },
  });
  try {
    await installCRD(client);
  } catch (error) {
    await bed.stop();
    throw error;
  }
  return {
    client,
    kubeconfig: bed.admin.text,
    stop: async () => {
      client.close();
      await bed.stop();
    },
  };
}
