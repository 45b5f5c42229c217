// Shows that somebody who types the documentation word by word on a real node comes to a Ready credential and to a pod that uses
// it: docs/quickstart.md, "In a cluster", from the operator to its removal, on AWS; and every command of docs/runbook.md,
// docs/troubleshooting.md, docs/leak-response.md and docs/upgrading.md that needs pods which run. The reader's registry and AWS
// are of the bed: images are on the node by the names of the page, AWS is the sandbox's STS behind the name and the port of
// AWS's own, with a certificate of a private authority. Its ConfigMap is the one value that the page does not have. Run by run.ts.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { createAuthority } from '../../sandbox/certificates.ts';
import { listen } from '../../sandbox/listener.ts';
import type { Listener } from '../../sandbox/listener.ts';
import { AWSSecurityTokenService } from '../../sandbox/sts/aws.ts';
import type { TrustPolicy } from '../../sandbox/sts/trust-policy.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { systemRandom } from '../../src/runtime/random.ts';
import { getOverTLS } from '../beds/https.ts';
import { startSTSProxy } from '../beds/intercepting-proxy.ts';
import type { STSProxy } from '../beds/intercepting-proxy.ts';
import { NODE_ADDRESS, NODE_NAME, startNode, startNodeRuntime, suppliesFromEnvironment } from '../beds/node.ts';
import type { NodeBed } from '../beds/node.ts';
import { waitFor } from '../beds/wait.ts';
import { ClusterClient } from '../support/cluster-client.ts';
import { blockID, DocumentReader } from '../support/document-reader.ts';
import { startCluster } from '../support/installation.ts';
import type { Installation } from '../support/installation.ts';
import { isRunBy, shellBlocks } from '../unit/docs/markdown.ts';
import { podsOf, processIn, untilReady } from './pods.ts';
import type { PodSeen } from './pods.ts';
import { sampleAsShipped } from './workload-pod.ts';

const THIS_FILE = 'test/node/docs.test.ts';
const OPERATOR_NAMESPACE = 'workload-credentials';
const OPERATOR_LABEL = 'app.kubernetes.io/name=workload-credentials';
/** What the page's commands and the sample name. */
const OPERATOR_IMAGE = 'registry.example.com/workload-credentials:0.1.0';
const CLI_IMAGE = 'public.ecr.aws/aws-cli/aws-cli:latest';
const AWS_HOST = 'sts.eu-west-1.amazonaws.com';
const HTTPS_PORT = 443;
const AWS_ROLE = 'arn:aws:iam::123456789012:role/orders';
const AUTHORITY = 'aws-ca';
const SOON = { timeoutMs: 30_000, everyMs: 200 };
const orders = { namespace: 'shop', name: 'orders' };

let bed: Installation;
let node: NodeBed;
let aws: AWSSecurityTokenService;
let behind: Listener;
let front: STSProxy;
let reader: DocumentReader;
let authorityPEM = '';

/** AWS as pods meet it: under its own name, with TLS. */
async function startAWS(): Promise<void> {
  const { issuer, caPEM } = bed.kubernetes;
  const fetchJSON = async (url: string): Promise<unknown> => JSON.parse((await getOverTLS(url, caPEM)).body) as unknown;
  aws = new AWSSecurityTokenService({ issuer, fetchJSON }, { clock: systemClock, random: systemRandom });
  behind = await listen({ handler: aws.handle });
  const authority = await createAuthority(AUTHORITY);
  authorityPEM = authority.certificatePEM;
  const certificate = await authority.issueServer({ commonName: AWS_HOST }, { ips: [], dns: [AWS_HOST] });
  front = await startSTSProxy(behind.url.href, { address: NODE_ADDRESS, port: HTTPS_PORT, ...certificate });
}

/** The authority, where pods of a namespace can have it. */
function authorityIn(namespace: string): object {
  const metadata = { namespace, name: AUTHORITY };
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { 'ca.crt': authorityPEM } };
}

before(async () => {
  const supplies = suppliesFromEnvironment();
  const { operator, workload } = supplies.images;
  const runtime = await startNodeRuntime(supplies, {
    images: { [OPERATOR_IMAGE]: operator, [CLI_IMAGE]: workload },
    hosts: [AWS_HOST],
  });
  bed = await startCluster({ apiServerArguments: runtime.apiServerArguments });
  [node] = await Promise.all([startNode(bed.kubernetes, runtime), startAWS()]);
  const { directory, admin } = bed.kubernetes;
  reader = await DocumentReader.at(join(directory, 'reader'), THIS_FILE, { KUBECONFIG: admin.file });
  writeFileSync(join(reader.directory, 'deploy/samples/aws.yaml'), sampleAsShipped(AUTHORITY));
});

after(async () => {
  await front?.stop();
  await behind?.close();
  await node?.stop();
  await bed?.stop();
});

/** Of the first failure all logs are shown; those of the next ones would say the same. */
let told = false;
afterEach(async (context) => {
  if (!('error' in context) || context.error === null || told) return;
  told = true;
  const pods = await bed.kubernetes.kubectl(['get', 'pods', '--all-namespaces', '-o', 'wide']);
  const events = await bed.kubernetes.kubectl(['get', 'events', '-A', '--field-selector=type!=Normal']);
  const printed = node.podLogs().map(({ name, text }) => `--- ${name}\n${text.split('\n').slice(-8).join('\n')}`);
  process.stderr.write(`${pods.stdout}\n${events.stdout}\n${printed.join('\n')}\n${node.logs()}\n`);
});

async function replicas(): Promise<readonly PodSeen[]> {
  return await podsOf(bed.client, OPERATOR_NAMESPACE, OPERATOR_LABEL);
}

async function keyID(): Promise<string> {
  const credential = await bed.client.credential(orders.namespace, orders.name);
  return String((credential?.status as { accessKeyID?: string } | undefined)?.accessKeyID);
}

/** A client with the token that a pod has. The caller closes it. */
async function thiefOf(pod: PodSeen): Promise<ClusterClient> {
  const file = `/proc/${await processIn(node, pod)}/root/var/run/secrets/kubernetes.io/serviceaccount/token`;
  const { server, caPEM } = bed.kubernetes;
  return new ClusterClient(server, { caPEM, token: readFileSync(file, 'utf8').trim() });
}

describe('docs/quickstart.md, in a cluster, word by word', () => {
  const page = 'docs/quickstart.md';

  test('2. the operator: two replicas are Ready, and helm test passes', async () => {
    // Before the page's `--create-namespace`, so that the pods do not wait for it.
    await bed.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: OPERATOR_NAMESPACE } });
    await bed.apply(authorityIn(OPERATOR_NAMESPACE));
    const section = '2. The operator';
    await reader.run({ page, section, begins: 'kubectl create', values: [`sts.caConfigMap.name=${AUTHORITY}`] });
    await node.publishServices();
    const [ready] = await reader.run({ page, section, begins: 'kubectl -n' });
    assert.match(ready?.stdout ?? '', /successfully rolled out[\s\S]*Phase: +Succeeded/);
    const pods = await replicas();
    assert.equal(pods.length, 2);
  });

  test('3. the role: its trust policy, from the issuer that the cluster tells', async () => {
    const [told] = await reader.run({ page, section: '3. The role' });
    const { issuer } = JSON.parse(told?.stdout ?? '{}') as { issuer: string };
    await reader.run({ page, section: 'EKS', words: { ISSUER: issuer.replace('https://', '') } });
    const trustPolicy = JSON.parse(readFileSync(join(reader.directory, 'trust.json'), 'utf8')) as TrustPolicy;
    aws.addRole({ arn: AWS_ROLE, trustPolicy });
  });

  test('4. the credential is Ready, and the pod of the sample says that it is the role', async () => {
    await bed.apply(authorityIn('shop'));
    const section = '4. The credential';
    const [applied] = await reader.run({ page, section, begins: 'kubectl apply' });
    assert.match(applied?.stdout ?? '', /orders +True +AWS +arn:aws:iam::123456789012:role\/orders/);
    const look = async (): Promise<boolean> => {
      const [logs] = await reader.run({ page, section, begins: 'kubectl rollout status' });
      return (
        logs?.stdout.includes('"Arn": "arn:aws:sts::123456789012:assumed-role/orders/shop.orders.orders"') === true
      );
    };
    await waitFor('the sample to say who it is', look, SOON);
    const [conditions] = await reader.run({ page, section, begins: 'kubectl get wcred orders' });
    assert.match(conditions?.stdout ?? '', /Ready=True Issued/);
    assert.equal(aws.issued.length, 1);
  });

  test('5. look around: a refresh by request', async () => {
    const before = await keyID();
    await reader.run({ page, section: '5. Look around' });
    await waitFor('another access key', async () => (await keyID()) !== before, { ...SOON, timeoutMs: 90_000 });
  });
});

describe('pages for who runs it', () => {
  test('troubleshooting has the last words of a process that is gone', async () => {
    // Not the leader: its present log has the line that leak response looks for below.
    const path = `/apis/coordination.k8s.io/v1/namespaces/${OPERATOR_NAMESPACE}/leases/workload-credentials`;
    const lease = await bed.client.get<{ spec: { holderIdentity?: string } }>(path);
    const leader = lease?.spec.holderIdentity?.split('_')[0];
    const ended = (await replicas()).find(({ metadata }) => metadata.name !== leader);
    assert.ok(leader !== undefined && ended !== undefined);
    process.kill(await processIn(node, ended), 'SIGKILL');
    const restarted = async (): Promise<boolean> =>
      (await replicas()).some(({ status }) => status.containerStatuses?.[0]?.restartCount === 1);
    await waitFor('the container to be started again', restarted, SOON);
    const [logs] = await reader.run({ page: 'docs/troubleshooting.md', section: 'It does not start' });
    assert.match(logs?.stdout ?? '', new RegExp(`^\\[pod/${ended.metadata.name}/operator\\] \\{`, 'm'));
  });

  test('the runbook reads the logs of both replicas, and names their node', async () => {
    const page = 'docs/runbook.md';
    // The one that was killed has to have said something again.
    await untilReady(bed.client, { namespace: OPERATOR_NAMESPACE, label: OPERATOR_LABEL, count: 2 });
    for (const section of ['OperatorDown', 'NoLeader']) {
      const [logs] = await reader.run({ page, section });
      for (const { metadata } of await replicas())
        assert.ok(logs?.stdout.includes(`[pod/${metadata.name}/operator] {`));
    }
    const [unclear] = await reader.run({ page, section: 'The answer is never clear' });
    assert.equal(unclear?.stdout, '', 'here it is clear');
    const [wide] = await reader.run({ page, section: 'ClockSkew' });
    assert.equal(wide?.stdout.split('\n').filter((line) => line.split(/ +/).includes(NODE_NAME)).length, 2);
  });

  test('leak response finds the exchange by the key, in the log of the one that made it', async () => {
    const words = { ACCESS_KEY_ID: await keyID() };
    const [line] = await reader.run({ page: 'docs/leak-response.md', section: '1. Whose is it?', words });
    assert.match(line?.stdout ?? '', /^\[pod\/\S+\] \{.*"name":"orders"/);
    assert.equal(line?.stdout.trim().split('\n').length, 1);
  });

  test('leak response makes the tokens of all pods worthless', async () => {
    // Whole again: the first process of a container that is not up yet does not hear a SIGTERM, and gets 30 s.
    const pods = await untilReady(bed.client, { namespace: OPERATOR_NAMESPACE, label: OPERATOR_LABEL, count: 2 });
    const thieves = await Promise.all(pods.map(thiefOf));
    const path = '/api/v1/namespaces/shop/secrets';
    const answers = async (): Promise<number[]> =>
      await Promise.all(thieves.map(async (thief) => (await thief.send('GET', path)).status));
    assert.deepEqual(await answers(), [200, 200]);
    await reader.run({ page: 'docs/leak-response.md', section: "The operator's own token" });
    await waitFor('both tokens to be refused', async () => (await answers()).every((status) => status === 401), SOON);
    for (const thief of thieves) thief.close();
  });

  test('upgrading waits until all replicas are Ready, and tests them', async () => {
    const [ready] = await reader.run({ page: 'docs/upgrading.md', section: 'Upgrade' });
    assert.match(ready?.stdout ?? '', /successfully rolled out[\s\S]*Phase: +Succeeded/);
    assert.equal(await bed.untilIssued(orders).then(({ metadata }) => metadata.name), 'orders');
  });
});

describe('docs/quickstart.md, at the end', () => {
  test('6. take it away: nothing is left but the CRD', async () => {
    await reader.run({ page: 'docs/quickstart.md', section: '6. Take it away' });
    assert.deepEqual(await replicas(), []);
    const named = await bed.kubectl('get', 'namespaces', '-o', 'name');
    assert.doesNotMatch(named, /shop|workload-credentials/);
    assert.match(await bed.kubectl('get', 'crd', '-o', 'name'), /workloadcredentials/);
  });

  test('every block that is marked with this file was run', () => {
    const marked = shellBlocks()
      .filter(({ block }) => isRunBy(THIS_FILE, block.mark))
      .map(({ page, block }) => blockID(page.path, block));
    assert.ok(marked.length >= 15);
    assert.deepEqual(
      marked.filter((id) => !reader.done.has(id)),
      [],
    );
  });
});
