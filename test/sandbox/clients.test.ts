// Promises: clients that nobody here wrote work on the sandbox over TLS: @kubernetes/client-node as it is shipped, and
// kubectl where it is installed.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { globSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { ApiException, CoordinationV1Api, CoreV1Api, KubeConfig, V1MicroTime, Watch } from '@kubernetes/client-node';
import { startSandbox } from '../../sandbox/sandbox.ts';
import type { Sandbox } from '../../sandbox/sandbox.ts';
import { widgetCRD } from './widget-crd.ts';

let sandbox: Sandbox;
let directory: string;
const config = new KubeConfig();

before(async () => {
  sandbox = await startSandbox();
  directory = await mkdtemp(join(tmpdir(), 'sandbox-'));
  await sandbox.writeKubeconfig(join(directory, 'kubeconfig'));
  config.loadFromString(sandbox.kubeconfig());
  await sandbox.apply(widgetCRD);
});
after(async () => {
  await sandbox.stop();
  await rm(directory, { recursive: true });
});

test('client-node creates, reads, lists, watches and deletes', { timeout: 20_000 }, async () => {
  const core = config.makeApiClient(CoreV1Api);
  const namespace = 'default';
  const watched: string[] = [];
  const seen = Promise.withResolvers<void>();
  const request = await new Watch(config).watch(
    '/api/v1/namespaces/default/secrets',
    {},
    (phase, object: { metadata: { name: string } }) => {
      watched.push(`${phase} ${object.metadata.name}`);
      if (phase === 'DELETED') seen.resolve();
    },
    () => undefined,
  );
  await core.createNamespacedSecret({ namespace, body: { metadata: { name: 's' }, stringData: { a: 'x' } } });
  assert.deepEqual((await core.readNamespacedSecret({ namespace, name: 's' })).data, { a: 'eA==' });
  assert.equal((await core.listNamespacedSecret({ namespace })).items.length, 1);
  await core.deleteNamespacedSecret({ namespace, name: 's' });
  await seen.promise;
  request.abort();
  assert.deepEqual(watched, ['ADDED s', 'DELETED s']);
  await assert.rejects(core.readNamespacedSecret({ namespace, name: 's' }), (error) => {
    assert.ok(error instanceof ApiException);
    return error.code === 404;
  });
});

test('client-node takes a Lease and asks for a token', { timeout: 20_000 }, async () => {
  const namespace = 'default';
  const renewTime = new V1MicroTime(1_767_225_600_000);
  const body = { metadata: { name: 'l' }, spec: { holderIdentity: 'a', renewTime } };
  const lease = await config.makeApiClient(CoordinationV1Api).createNamespacedLease({ namespace, body });
  assert.equal(lease.spec?.holderIdentity, 'a');
  await sandbox.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'app', namespace } });
  const token = await config
    .makeApiClient(CoreV1Api)
    .createNamespacedServiceAccountToken({ namespace, name: 'app', body: { spec: { audiences: ['x'] } } });
  assert.equal(token.status?.token?.split('.').length, 3);
});

/** kubectl, from where the real bed's build keeps it. The suite on both servers (test/conformance) always has it. */
const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'workload-credentials');
const KUBECTL = globSync(join(cache, 'bin', 'k*-v1.36.4*', 'kubectl')).toSorted()[0] ?? '';
const skip = KUBECTL === '' ? 'kubectl is not installed' : false;

async function kubectl(...args: string[]): Promise<string> {
  const env = { KUBECONFIG: join(directory, 'kubeconfig'), HOME: directory, PATH: process.env['PATH'] };
  return (await promisify(execFile)(KUBECTL, args, { env, timeout: 20_000 })).stdout;
}

test('kubectl applies, gets, patches, waits, describes, explains and deletes', { skip, timeout: 60_000 }, async () => {
  const file = join(directory, 'widget.json');
  const widget = { apiVersion: 'probe.io/v1alpha1', kind: 'Widget', metadata: { name: 'w' }, spec: { role: 'r' } };
  await writeFile(file, JSON.stringify(widget));
  assert.equal(await kubectl('apply', '-f', file), 'widget.probe.io/w created\n');
  assert.equal(await kubectl('apply', '-f', file), 'widget.probe.io/w unchanged\n');
  await writeFile(file, JSON.stringify({ ...widget, spec: { role: 'q' } }));
  assert.equal(await kubectl('apply', '-f', file), 'widget.probe.io/w configured\n');
  assert.match(await kubectl('get', 'wd', '-o', 'wide'), /^NAME +READY +ROLE +REFRESH +AGE\nw +q +\d+s\n$/);
  assert.match(await kubectl('annotate', 'wd', 'w', 'a=b'), /annotated/);
  const status = { status: { observedGeneration: 2, conditions: [{ type: 'Ready', status: 'True' }] } };
  await kubectl('patch', 'wd', 'w', '--subresource=status', '--type=merge', '-p', JSON.stringify(status));
  assert.match(await kubectl('wait', '--for=condition=Ready', '--timeout=10s', 'wd/w'), /condition met/);
  assert.match(await kubectl('describe', 'wd', 'w'), /Role: +q[\s\S]*Events: +<none>/);
  assert.match(await kubectl('explain', 'widget.spec'), /dur\s+<integer>/);
  assert.match(await kubectl('delete', 'wd', 'w'), /deleted/);
  await assert.rejects(kubectl('get', 'wd', 'w'), /NotFound/);
});
