// Shows that the documentation works as it is written: every block of commands that is marked with this file is read from its
// page and run, in the order in which somebody would, against a real control plane that has the audit policy and the
// encryption at rest of docs/audit-evidence.md, with STS behind the clouds' own names. What the pages promise of the outcome is
// looked up at the servers. Pages: README.md, docs/quickstart.md, docs/security-model.md, docs/runbook.md,
// docs/troubleshooting.md, docs/how-it-works.md, docs/leak-response.md, docs/audit-evidence.md, docs/migrating.md,
// docs/many-clusters.md, docs/sizing.md, docs/uninstalling.md, docs/providers/aws.md, docs/providers/alibaba-cloud.md,
// docs/providers/volcengine.md; docs/self-managed-clusters.md is test/e2e/docs-issuer.test.ts.
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { load, loadAll } from 'js-yaml';
import type { TrustPolicy } from '../../sandbox/sts/trust-policy.ts';
import { ensureBinaries } from '../beds/binaries.ts';
import { ensureJQ } from '../beds/jq.ts';
import { waitFor } from '../beds/wait.ts';
import type { AuditEvent } from '../support/audit.ts';
import { ClusterClient } from '../support/cluster-client.ts';
import { DeploymentRunner } from '../support/deployment-runner.ts';
import { blockID, DocumentReader, replaceWords } from '../support/document-reader.ts';
import { startCluster } from '../support/installation.ts';
import type { Installation } from '../support/installation.ts';
import { monitoringCRDs } from '../support/monitoring-crds.ts';
import { startReaderClouds } from '../support/reader-clouds.ts';
import type { ReaderClouds } from '../support/reader-clouds.ts';
import { pairIn } from '../support/secret-reader.ts';
import { commandLines } from '../unit/docs/commands.ts';
import { codeBlocks, codeSpans, isRunBy, pages, shellBlocks, textOf } from '../unit/docs/markdown.ts';

const THIS_FILE = 'test/e2e/docs.test.ts';
const OPERATOR_NAMESPACE = 'workload-credentials';
const OPERATOR = `system:serviceaccount:${OPERATOR_NAMESPACE}:wc`;
const SOON = { timeoutMs: 30_000, everyMs: 100 };

const orders = { namespace: 'shop', name: 'orders' };
const ORDERS_WORDS = { NAME: 'orders', NAMESPACE: 'shop' };
const AWS_ROLE = 'arn:aws:iam::123456789012:role/orders';
const ALIBABA_CLOUD_ROLE = 'acs:ram::1234567890123456:role/orders';
const VOLCENGINE_ROLE = 'trn:iam::2100000001:role/orders';
const subjectOf = (name: string): string => `system:serviceaccount:shop:${name}`;

/** The reader's own files, which have to be there before the control plane is. */
const scratch = mkdtempSync(join(tmpdir(), 'docs-test-'));
let bed: Installation;
let clouds: ReaderClouds;
let node: DeploymentRunner;
let reader: DocumentReader;
/** Every secret key and session token that was seen in Secrets, and the operator's tokens. */
const secretsSeen = new Set<string>();

/** The YAML of a page whose `kind` it is. */
function yamlOf(page: string, kind: string): string {
  const found = codeBlocks({ path: page, text: textOf(page) }).find(
    ({ language, text }) => language === 'yaml' && text.includes(`\nkind: ${kind}\n`),
  );
  assert.ok(found !== undefined, `${page} shows a ${kind}`);
  return found.text;
}

/** What kube-apiserver is started with: the two files of docs/audit-evidence.md, as they stand there. */
async function writeClusterFiles(): Promise<string[]> {
  const typist = await DocumentReader.at(join(scratch, 'before'), THIS_FILE, {});
  const [made] = await typist.run({ page: 'docs/audit-evidence.md', section: 'Encryption at rest', begins: 'head' });
  const audit = join(scratch, 'audit-policy.yaml');
  const encryption = join(scratch, 'encryption.yaml');
  writeFileSync(audit, yamlOf('docs/audit-evidence.md', 'Policy'));
  const words = { BASE64_OF_32_BYTES: made?.stdout.trim() ?? '' };
  writeFileSync(encryption, replaceWords(yamlOf('docs/audit-evidence.md', 'EncryptionConfiguration'), words), {
    mode: 0o600,
  });
  return [`--audit-policy-file=${audit}`, `--encryption-provider-config=${encryption}`];
}

before(async () => {
  bed = await startCluster({ apiServerArguments: await writeClusterFiles() });
  const { kubernetes, client } = bed;
  clouds = await startReaderClouds({
    issuer: kubernetes.issuer,
    issuerCAPEM: kubernetes.caPEM,
    directory: scratch,
    awsRoles: ['orders', 'billing'].map((name) => ({ name, subjects: [subjectOf(name)], bucket: name })),
  });
  node = new DeploymentRunner({
    kubernetes,
    client,
    namespace: OPERATOR_NAMESPACE,
    // The pages force refreshes in a row; nobody waits a minute here.
    furtherArguments: [...clouds.operatorArguments, '--min-refresh-interval-seconds=1'],
  });
  const jq = await ensureJQ();
  const etcdctl = (await ensureBinaries(['etcdctl'])).path('etcdctl');
  const env = { KUBECONFIG: kubernetes.admin.file, ETCDCTL_ENDPOINTS: kubernetes.etcd, ...jq.env };
  reader = await DocumentReader.at(join(scratch, 'reader'), THIS_FILE, env, [jq.directory, dirname(etcdctl)]);
  reader.done.add(blockID('docs/audit-evidence.md', keyBlock()));
});

/** The block that was run before there was a cluster. */
function keyBlock() {
  const [block] = reader.blocks({ page: 'docs/audit-evidence.md', section: 'Encryption at rest', begins: 'head' });
  assert.ok(block !== undefined);
  return block;
}

after(async () => {
  await node?.stop();
  await clouds?.stop();
  await bed?.stop();
  rmSync(scratch, { recursive: true, force: true });
});

afterEach((context) => {
  if (!('error' in context) || context.error === null) return;
  process.stderr.write(`${node?.operators.at(-1)?.output().slice(-4_000) ?? 'no operator was started'}\n`);
});

/** What is in the Secret of a WorkloadCredential for AWS. */
async function pairOf(name: string) {
  const secret = await bed.client.secret('shop', name);
  const pair = pairIn(secret?.data['credentials.json'] ?? '');
  assert.ok(pair !== undefined, `${name} has a pair`);
  const file = JSON.parse(secret?.data['credentials.json'] ?? '{}') as Record<string, string>;
  const secretAccessKey = file['SecretAccessKey'] ?? '';
  const sessionToken = file['SessionToken'] ?? '';
  secretsSeen.add(secretAccessKey).add(sessionToken);
  return { accessKeyId: file['AccessKeyId'] ?? '', secretAccessKey, sessionToken };
}

/** S3 takes the pair that is in a Secret. */
async function assertS3Takes(secret: string, bucket: string): Promise<void> {
  const client = clouds.seaweedFS?.s3(await pairOf(secret));
  assert.ok(client !== undefined);
  try {
    const object = { Bucket: bucket, Key: secret, Body: 'by the documentation' };
    // SeaweedFS answers InternalError to a bucket's first object while it makes a volume for it.
    const put = async (): Promise<boolean> => (await client.send(new PutObjectCommand(object))).ETag !== undefined;
    await waitFor(`S3 to take what is in ${secret}`, put, SOON);
  } finally {
    client.destroy();
  }
}

async function keyIDOf(key: { namespace: string; name: string }): Promise<string> {
  const credential = await bed.client.credential(key.namespace, key.name);
  return String((credential?.status as { accessKeyID?: string } | undefined)?.accessKeyID);
}

/** Waits until another access key is in status. */
async function untilAnotherKey(key: { namespace: string; name: string }, before: string): Promise<void> {
  await waitFor('another access key', async () => (await keyIDOf(key)) !== before, SOON);
}

describe('README.md and the quickstart', () => {
  test('the commands of the README, from nothing to Ready', async () => {
    await reader.run({ page: 'README.md', section: 'In a cluster' });
    await node.settled();
    await assertS3Takes('orders-cloud', 'orders');
  });

  test('the look at the demo, and the way out', async () => {
    const [look] = await reader.run({ page: 'docs/quickstart.md', section: 'On one machine' });
    assert.match(look?.stdout ?? '', /orders-cloud/);
    await reader.run({ page: 'docs/quickstart.md', section: '6. Take it away' });
    assert.equal(await node.settled(), undefined);
    const left = await bed.kubectl('get', 'crd', 'workloadcredentials.workloadcredentials.io', '-o', 'name');
    assert.match(left, /workloadcredentials/);
  });

  test('the operator again, by the quickstart', async () => {
    await reader.run({ page: 'docs/quickstart.md', section: '2. The operator' });
    await node.settled();
  });

  test('every Kubernetes object of every page is one that this API server takes', async () => {
    for (const name of ['orders', 'billing']) {
      await bed.kubectl('create', 'serviceaccount', name, '-n', 'shop');
    }
    for (const page of pages()) {
      for (const block of codeBlocks(page).filter(({ language }) => language === 'yaml')) {
        for (const object of loadAll(block.text) as { apiVersion?: string; kind?: string }[]) {
          if (object.kind === undefined || isFileOfAProgram(object.apiVersion)) continue;
          const args = ['apply', '--dry-run=server', '--validate=strict', '-f', '-'];
          const { code, stderr } = await bed.kubernetes.kubectl(args, { stdin: JSON.stringify(object) });
          assert.equal(code, 0, `${blockID(page.path, block)}: ${stderr}`);
        }
      }
    }
    for (const name of ['orders', 'billing']) {
      await bed.kubectl('delete', 'serviceaccount', name, '-n', 'shop');
    }
  });

  test('the credential, and the look around', async () => {
    const [applied, conditions] = await reader.run({ page: 'docs/quickstart.md', section: '4. The credential' });
    assert.match(applied?.stdout ?? '', /orders +True +AWS +arn:aws:iam::123456789012:role\/orders/);
    assert.match(conditions?.stdout ?? '', /Ready=True Issued/);
    const before = await keyIDOf(orders);
    await reader.run({ page: 'docs/quickstart.md', section: '5. Look around' });
    await untilAnotherKey(orders, before);
    await assertS3Takes('orders-cloud', 'orders');
    assert.ok(clouds.targets().includes('sts.eu-west-1.amazonaws.com:443'));
  });
});

/** Files of kube-apiserver, kind and their like, and Flux's own kinds: nothing that this API server keeps. */
function isFileOfAProgram(apiVersion = ''): boolean {
  return /^(audit\.k8s\.io|apiserver\.config\.k8s\.io|kind\.x-k8s\.io|kustomize\.(config\.k8s|toolkit\.fluxcd)\.io)\//.test(
    apiVersion,
  );
}

describe('the trust policies of the quickstart', () => {
  const issuer = (): string => bed.kubernetes.issuer.replace('https://', '');

  /** Types the block, and gives the policy that it wrote. */
  async function policyOf(section: string): Promise<TrustPolicy> {
    await reader.run({ page: 'docs/quickstart.md', section, words: { ISSUER: issuer() } });
    return JSON.parse(readFileSync(join(reader.directory, 'trust.json'), 'utf8')) as TrustPolicy;
  }

  /** Whether AWS as the sandbox speaks it takes a token of this ServiceAccount for the role. */
  async function isTakenByAWS(name: string): Promise<boolean> {
    const token = await bed.kubernetes.token('shop', name, { audience: 'sts.amazonaws.com', lifetimeSeconds: 600 });
    const body = new URLSearchParams({
      Action: 'AssumeRoleWithWebIdentity',
      Version: '2011-06-15',
      RoleArn: AWS_ROLE,
      RoleSessionName: 'docs',
      WebIdentityToken: token,
    });
    const answer = await clouds.aws.handle({
      method: 'POST',
      target: '/',
      headers: { host: 'sts.eu-west-1.amazonaws.com', 'content-type': 'application/x-www-form-urlencoded' },
      body: Buffer.from(body.toString()),
      signal: new AbortController().signal,
    });
    return 'status' in answer && answer.status === 200;
  }

  test("AWS: lets the ServiceAccount in, and the namespace's others not", async () => {
    const policy = await policyOf('EKS');
    clouds.aws.addRole({ arn: AWS_ROLE, trustPolicy: policy });
    assert.ok(await isTakenByAWS('orders'));
    assert.ok(!(await isTakenByAWS('default')));
  });

  const others = [
    { section: 'ACK', cloud: 'alibabaCloud', sample: 'alibaba-cloud.yaml', role: ALIBABA_CLOUD_ROLE },
    { section: 'VKE', cloud: 'volcengine', sample: 'volcengine.yaml', role: VOLCENGINE_ROLE },
  ] as const;
  for (const { section, cloud, sample, role } of others) {
    test(`${section}: the sample of that cloud becomes Ready by it, and moves to another role as after a leak`, async () => {
      const trustPolicy = await policyOf(section);
      for (const arn of [role, `${role}-2`]) clouds[cloud].addRole({ arn, trustPolicy });
      await bed.kubectl('delete', 'wcred,deployment', 'orders', '-n', 'shop', '--ignore-not-found');
      await bed.kubectl('apply', '-f', join(reader.directory, 'deploy/samples', sample));
      await bed.untilIssued(orders, 60_000);
      const issued = clouds[cloud].issued.length;
      const begins = `kubectl patch wcred NAME -n NAMESPACE --type=merge -p '{"spec":{"${cloud}"`;
      const where = { page: 'docs/leak-response.md', section: 'On Alibaba Cloud and Volcengine', begins };
      await reader.run({ ...where, words: ORDERS_WORDS });
      assert.equal(clouds[cloud].issued.length, issued + 1, 'one exchange, at once');
    });
  }

  test('Alibaba Cloud: the last hop of a chain moves, too', async () => {
    const hop = 'acs:ram::6543210987654321:role/orders-reader';
    const statement = { Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { RAM: [ALIBABA_CLOUD_ROLE] } };
    const trustPolicy: TrustPolicy = { Version: '1', Statement: [statement] };
    for (const arn of [hop, `${hop}-2`]) clouds.alibabaCloud.addRole({ arn, trustPolicy });
    const sample = join(reader.directory, 'deploy/samples/alibaba-cloud-cross-account.yaml');
    await bed.kubectl('apply', '-f', sample);
    await bed.untilIssued({ namespace: 'shop', name: 'orders-reader' }, 60_000);
    const begins = 'kubectl patch wcred NAME -n NAMESPACE --type=json';
    const where = { page: 'docs/leak-response.md', section: 'On Alibaba Cloud and Volcengine', begins };
    await reader.run({ ...where, words: { NAME: 'orders-reader', NAMESPACE: 'shop', ROLE: `${hop}-2` } });
    assert.equal(clouds.alibabaCloud.issued.at(-1)?.roleARN, `${hop}-2`);
    await bed.kubectl('delete', 'wcred,deployment', 'orders-reader', '-n', 'shop');
  });

  test('AWS again, for the pages that follow', async () => {
    await bed.kubectl('delete', 'wcred,deployment', 'orders', '-n', 'shop');
    await bed.kubectl('apply', '-f', join(reader.directory, 'deploy/samples/aws.yaml'));
    await bed.untilIssued(orders, 60_000);
  });

  test('the look at the issuer, on each page that has one', async () => {
    const passages = [
      { page: 'docs/quickstart.md', section: '3. The role' },
      ...['aws', 'alibaba-cloud', 'volcengine'].map((name) => ({
        page: `docs/providers/${name}.md`,
        section: "The cluster's issuer",
      })),
    ];
    for (const passage of passages) {
      const [outcome] = await reader.run(passage);
      assert.equal((JSON.parse(outcome?.stdout ?? '{}') as { issuer?: string }).issuer, bed.kubernetes.issuer);
    }
  });
});

describe('pages for who runs it', () => {
  test('the runbook', async () => {
    await bed.apply(...(await monitoringCRDs()));
    await waitFor(
      'the CRDs of the Prometheus operator',
      async () => {
        return (await bed.kubernetes.kubectl(['get', 'prometheusrules', '-A'])).code === 0;
      },
      SOON,
    );
    await reader.run({ page: 'docs/runbook.md', section: 'Runbook' });
    assert.match(await bed.kubectl('get', 'prometheusrules', '-n', OPERATOR_NAMESPACE, '-o', 'name'), /wc/);
    await node.settled();
    const [listed] = await reader.run({ page: 'docs/runbook.md', section: 'Which credentials' });
    assert.match(listed?.stdout ?? '', /^shop +orders +\S+Z +\S+Z/m);
    await reader.run({ page: 'docs/runbook.md', section: 'OperatorDown' });
    const [lease] = await reader.run({ page: 'docs/runbook.md', section: 'NoLeader' });
    assert.match(lease?.stdout ?? '', /holderIdentity: \S+/);
    const before = await keyIDOf(orders);
    await reader.run({ page: 'docs/runbook.md', section: 'Force a refresh', words: ORDERS_WORDS });
    await untilAnotherKey(orders, before);
  });

  test('the runbook: a pause, who is paused, and the end of it', async () => {
    const where = { page: 'docs/runbook.md', section: 'Pause one credential', words: ORDERS_WORDS };
    const patch = (suspend: boolean): string =>
      `kubectl patch wcred NAME -n NAMESPACE --type=merge -p '{"spec":{"suspend":${suspend}`;
    await reader.run({ ...where, begins: patch(true) });
    await bed.untilReason(orders, ['Ready', 'Suspended']);
    const [paused] = await reader.run({ page: 'docs/runbook.md', section: 'SuspendedNearExpiry' });
    assert.match(paused?.stdout ?? '', /^shop +orders +true +\S+Z$/m);
    await reader.run({ ...where, begins: patch(false) });
    await bed.untilIssued(orders);
  });

  test('the runbook: a fence that somebody has softened by kubectl is taken back', async () => {
    const where = { page: 'docs/runbook.md', section: 'FencesMissing' };
    const [fences] = await reader.run({ ...where, begins: 'kubectl get validatingadmissionpolicies' });
    assert.match(fences?.stdout ?? '', /wc-tokens\.workload-credentials[\s\S]*^wc$/m);
    const upgrade = 'helm upgrade wc ./helm --namespace workload-credentials --reset-then-reuse-values';
    await reader.run({ ...where, begins: `${upgrade}\n` });
    const [name = ''] = /wc-tokens\.workload-credentials/.exec(fences?.stdout ?? '') ?? [];
    const of = async (kind: string, path: string): Promise<string> =>
      await bed.kubectl('get', kind, name, '-o', `jsonpath={.spec.${path}}`);
    const soften = async (kind: string, spec: object): Promise<string> =>
      await bed.kubectl('patch', kind, name, '--type=merge', '-p', JSON.stringify({ spec }));
    await soften('validatingadmissionpolicy', { failurePolicy: 'Ignore' });
    const refused = await reader.type(upgrade);
    assert.notEqual(refused.code, 0);
    assert.match(refused.stderr, /conflict/);
    await reader.run({ ...where, begins: `${upgrade} --force-conflicts` });
    assert.equal(await of('validatingadmissionpolicy', 'failurePolicy'), 'Fail');
    await soften('validatingadmissionpolicybinding', { validationActions: ['Warn'] });
    const merged = await reader.type(`${upgrade} --force-conflicts`);
    assert.match(merged.stderr, /must not contain both Deny and Warn/);
    await reader.run({ ...where, begins: 'kubectl delete', words: { NAME: name } });
    await reader.run({ ...where, begins: `${upgrade}\n` });
    assert.deepEqual(JSON.parse(await of('validatingadmissionpolicybinding', 'validationActions')), ['Deny', 'Audit']);
    await node.settled();
  });

  test('a proxy with a password: in a Secret, and in no argument', async () => {
    const words = { USER: 'reader', PASSWORD: 'p%40ss' };
    await reader.run({ page: 'docs/runbook.md', section: 'Behind a proxy', words });
    const text = await bed.kubectl('get', 'deployment', 'wc', '-n', OPERATOR_NAMESPACE, '-o', 'json');
    assert.match(text, /"secretKeyRef":\s*{\s*"key": "url",\s*"name": "egress-proxy"/);
    assert.ok(!text.includes('p%40ss'));
    await node.settled();
    assert.ok(node.operators.at(-1)?.commandLine.includes('--no-proxy=.internal,10.0.0.0/8'));
  });

  test('troubleshooting', async () => {
    const where = { page: 'docs/troubleshooting.md', words: { ...ORDERS_WORDS, SERVICEACCOUNT: 'orders' } };
    const [conditions] = await reader.run({ ...where, section: 'Troubleshooting' });
    assert.match(conditions?.stdout ?? '', /Ready=True Issued: /);
    const [may] = await reader.run({ ...where, section: 'TokenRequestDenied' });
    assert.equal(may?.stdout.trim(), 'yes');
    const words = { NAME: 'orders-cloud', NAMESPACE: 'shop' };
    const [managers] = await reader.run({ ...where, section: 'SecretConflict', words });
    assert.match(managers?.stdout ?? '', /manager: workload-credentials/);
  });

  test('handing a Secret over', async () => {
    await bed.kubectl('create', 'secret', 'generic', 'orders', '-n', 'shop', '--from-literal=mine=kept');
    await reader.run({ page: 'docs/how-it-works.md', section: 'A Secret that is there already' });
    const secret = await bed.client.secret('shop', 'orders');
    assert.equal(secret?.data['mine'], 'kept');
    await bed.kubectl('delete', 'secret', 'orders', '-n', 'shop');
  });

  test('the security model: consent, a narrower scope, and the answers that the page names', async () => {
    await reader.run({ page: 'docs/security-model.md', section: 'Consent' });
    const [, asked] = await reader.run({
      page: 'docs/security-model.md',
      section: 'What to set, in order of what it is worth',
    });
    const answers = (asked?.stdout ?? '').split('\n');
    assert.deepEqual(answers.slice(0, 3), ['yes', 'no', 'no']);
    assert.equal(answers.filter((line) => line.startsWith('wc')).length, 4, asked?.stdout);
    assert.match(await bed.kubectl('get', 'networkpolicies', '-n', OPERATOR_NAMESPACE, '-o', 'name'), /wc/);
    await node.settled();
  });

  test('the values that sizing, many clusters and the AWS page set', async () => {
    await reader.run({ page: 'docs/sizing.md', section: 'When to raise the limiter' });
    await reader.run({ page: 'docs/sizing.md', section: 'The operator' });
    await reader.run({ page: 'docs/many-clusters.md', section: 'In the audit log' });
    await reader.run({ page: 'docs/providers/aws.md', section: 'A private endpoint' });
    await node.settled();
    const line = node.operators.at(-1)?.commandLine ?? '';
    for (const flag of ['--sts-requests-per-second=20', '--sts-burst=40', '--cluster-name=eu1', '=shop-vpce']) {
      assert.ok(line.includes(flag), `${flag} in ${line}`);
    }
  });

  test('a quota on our resource, as sizing has it', async () => {
    await bed.apply(load(yamlOf('docs/sizing.md', 'ResourceQuota')) as object);
    await waitFor(
      'the quota to count',
      async () => {
        const used = await bed.kubectl('get', 'quota', 'credentials', '-n', 'shop', '-o', 'jsonpath={.status.used}');
        return used.includes('"count/workloadcredentials.workloadcredentials.io":"1"');
      },
      SOON,
    );
    const where = { page: 'docs/troubleshooting.md', section: 'SecretWriteDenied', words: { NAMESPACE: 'shop' } };
    const [described] = await reader.run(where);
    assert.match(described?.stdout ?? '', /^count\/workloadcredentials\.workloadcredentials\.io +1 /m);
  });
});

describe('migrating', () => {
  /** A pod's spec with a key in a variable of its init container, and one in a mounted file. */
  const podWithKeys = {
    serviceAccountName: 'with-keys',
    restartPolicy: 'Never',
    initContainers: [
      {
        name: 'init',
        image: 'registry.example.com/app:1',
        env: [{ name: 'AWS_ACCESS_KEY_ID', value: 'AKIAEXAMPLE' }],
      },
    ],
    containers: [{ name: 'app', image: 'registry.example.com/app:1' }],
    volumes: [{ name: 'keys', secret: { secretName: 'old-keys' } }],
  };
  const inShop = (name: string) => ({ namespace: 'shop', name });

  /** What has keys: a Secret with a credentials file, a suspended CronJob, a Deployment of no replicas, a pod. */
  function withKeys(): object[] {
    const labels = { app: 'with-keys' };
    const { initContainers: _, ...mounts } = podWithKeys;
    const file = '[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = only-an-example\n';
    const env = [
      {
        name: 'KEY',
        valueFrom: { secretKeyRef: { name: 'old-keys', key: 'credentials' } },
      },
      { name: 'HARMLESS', value: 'AKIA' },
    ];
    return [
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: inShop('old-keys'),
        stringData: { credentials: file },
      },
      {
        apiVersion: 'batch/v1',
        kind: 'CronJob',
        metadata: inShop('with-keys'),
        spec: {
          schedule: '0 0 1 1 *',
          suspend: true,
          jobTemplate: { spec: { template: { spec: podWithKeys } } },
        },
      },
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: inShop('with-keys'),
        spec: {
          replicas: 0,
          selector: { matchLabels: labels },
          template: {
            metadata: { labels },
            spec: { ...mounts, restartPolicy: 'Always' },
          },
        },
      },
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: inShop('with-keys'),
        spec: {
          automountServiceAccountToken: false,
          containers: [{ ...podWithKeys.containers[0], env }],
        },
      },
    ];
  }

  /** Switches the Deployment, and then types the way back: the former revision has the old image. */
  async function rollBack(): Promise<void> {
    const deployment = ['deployment/with-keys', '-n', 'shop'];
    const look = async (path: string): Promise<string> =>
      await bed.kubectl('get', ...deployment, '-o', `jsonpath=${path}`);
    const observed = async (): Promise<boolean> => {
      const [wanted, seen] = (await look('{.metadata.generation} {.status.observedGeneration}')).split(' ');
      return wanted === seen;
    };
    await waitFor('the first revision', observed, SOON);
    await bed.kubectl('set', 'image', ...deployment, 'app=registry.example.com/app:2');
    await waitFor('the second revision', observed, SOON);
    const words = { NAME: 'with-keys', NAMESPACE: 'shop' };
    await reader.run({ page: 'docs/migrating.md', section: '4. Switch one Deployment', words });
    assert.equal(await look('{.spec.template.spec.containers[0].image}'), 'registry.example.com/app:1');
  }

  test('finds static keys in Secrets, and who uses them, in whatever state', async () => {
    await bed.apply(...withKeys());
    const where = { page: 'docs/migrating.md', section: '1. Where are they?' };
    const [held, users] = await reader.run(where);
    assert.equal(held?.stdout, 'shop/old-keys/credentials AKIAIOSFODNN7EXAMPLE\n', 'and none of ours');
    assert.deepEqual(users?.stdout.trim().split('\n').toSorted(), [
      'shop/CronJob/with-keys AWS_ACCESS_KEY_ID old-keys',
      'shop/Deployment/with-keys old-keys',
      'shop/Pod/with-keys old-keys',
    ]);
    const section = "From IRSA, RRSA and VKE's IRSA";
    const words = { SERVICEACCOUNT: 'with-keys', NAMESPACE: 'shop' };
    const [accounts] = await reader.run({
      page: 'docs/migrating.md',
      section,
      words,
    });
    assert.deepEqual(accounts?.stdout.trim().split('\n').toSorted(), ['CronJob/with-keys', 'Deployment/with-keys']);
    await rollBack();
    await bed.kubectl('delete', 'secret', 'old-keys', '-n', 'shop');
    await bed.kubectl('delete', 'cronjob,deployment', 'with-keys', '-n', 'shop');
    await bed.kubectl('delete', 'pod', 'with-keys', '-n', 'shop', '--grace-period=0', '--force');
    const [none, nobody] = await reader.run(where);
    assert.deepEqual([none?.stdout, nobody?.stdout], ['', ''], 'what is left is ours');
  });

  test('its manifests get credentials, in the keys that the page names', async () => {
    const manifests = codeBlocks({ path: 'docs/migrating.md', text: textOf('docs/migrating.md') })
      .filter(({ language }) => language === 'yaml')
      .map(({ text }) => load(text) as { metadata: { name: string }; spec: { secret: { name: string } } });
    assert.deepEqual(
      manifests.map(({ metadata }) => metadata.name),
      ['billing', 'orders-like-before', 'orders-by-key'],
    );
    const allow = { 'workloadcredentials.io/allow': '*' };
    for (const name of ['orders', 'billing']) {
      const metadata = { name, namespace: 'shop', annotations: allow };
      await bed.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata });
    }
    await bed.apply(...manifests);
    for (const { metadata } of manifests) await bed.untilIssued({ namespace: 'shop', name: metadata.name });
    await assertS3Takes('billing-cloud', 'billing');
    const asBefore = await bed.client.secret('shop', 'orders-cloud-like-before');
    const line = 'credential_process = cat /meta/aws-iam/credentials.json';
    assert.ok(asBefore?.data['credentials.process']?.includes(line));
    assert.ok(asBefore?.data['config']?.includes(line));
    const byKey = await bed.client.secret('shop', 'orders-by-key-cloud');
    const pair = await pairOf('orders-by-key-cloud');
    assert.deepEqual(
      [byKey?.data['access_key_id'], byKey?.data['secret_access_key'], byKey?.data['session_token']],
      [pair.accessKeyId, pair.secretAccessKey, pair.sessionToken],
    );
  });
});

describe('leak response', () => {
  const page = 'docs/leak-response.md';

  test('finds whose it is, refreshes all of the role and nobody else, and shows it', async () => {
    const orderKey = await keyIDOf(orders);
    const [whose] = await reader.run({ page, section: '1. Whose is it?' });
    assert.match(whose?.stdout ?? '', new RegExp(`^shop +orders +${orderKey} +${AWS_ROLE} `, 'm'));
    await reader.run({ page, section: '2. Deny the sessions' });
    const policy = JSON.parse(readFileSync(join(reader.directory, 'deny-older-sessions.json'), 'utf8')) as {
      Statement: { Condition: { DateLessThan: Record<string, string> } }[];
    };
    const denied = Date.parse(policy.Statement[0]?.Condition.DateLessThan['aws:TokenIssueTime'] ?? '');
    assert.ok(Math.abs(Date.now() - denied) < 60_000);
    const names = ['orders', 'orders-like-before', 'orders-by-key'];
    const before = await Promise.all(names.map((name) => keyIDOf({ namespace: 'shop', name })));
    const billing = await keyIDOf({ namespace: 'shop', name: 'billing' });
    await reader.run({ page, section: '3. Force a refresh of all of the role', words: { ROLE: AWS_ROLE } });
    for (const [index, name] of names.entries()) {
      await untilAnotherKey({ namespace: 'shop', name }, before[index] ?? '');
    }
    assert.equal(await keyIDOf({ namespace: 'shop', name: 'billing' }), billing, 'another role is left alone');
    const [verified] = await reader.run({ page, section: '4. Verify' });
    const rows = (verified?.stdout ?? '').split('\n').filter((row) => /^shop +orders/.test(row));
    assert.equal(rows.length, 3);
    for (const row of rows) {
      const [, , , issued = '', asked, done] = row.split(/ +/);
      assert.ok(Date.parse(issued) >= denied, row);
      assert.equal(asked, done, row);
    }
    const may = { page, section: '5. Afterwards', words: { NAMESPACE: 'shop', USER: OPERATOR } };
    const [answer] = await reader.run(may);
    assert.equal(answer?.stdout.trim(), 'yes');
  });

  test('lists every role after a copy of etcd is lost', async () => {
    const [roles] = await reader.run({ page, section: 'A copy of etcd' });
    assert.deepEqual(roles?.stdout.trim().split('\n'), [
      'AWS arn:aws:iam::123456789012:role/billing',
      `AWS ${AWS_ROLE}`,
    ]);
  });

  test("makes the operator's token worthless, and the operator works on with another", async () => {
    const stolen = node.token;
    assert.ok(stolen !== undefined);
    const { server, caPEM } = bed.kubernetes;
    const thief = new ClusterClient(server, { caPEM, token: stolen });
    const path = '/api/v1/namespaces/shop/secrets';
    assert.equal((await thief.send('GET', path)).status, 200);
    await reader.run({ page, section: "The operator's own token" });
    await waitFor('the old token to be refused', async () => (await thief.send('GET', path)).status === 401, SOON);
    thief.close();
    await node.settled();
    const before = await keyIDOf(orders);
    await reader.run({ page: 'docs/runbook.md', section: 'Force a refresh', words: ORDERS_WORDS });
    await untilAnotherKey(orders, before);
  });
});

describe('audit evidence', () => {
  const page = 'docs/audit-evidence.md';
  const serverFile = (name: string): Buffer => readFileSync(join(bed.kubernetes.directory, '..', name));

  test("the fields of the operator's line are those of the table, and the token's id joins it with the audit log", async () => {
    const [, table = ''] = textOf(page).split("## The operator's line");
    const told = table
      .split('\n## ')[0]
      ?.split('\n')
      .filter((line) => line.startsWith('| `'))
      .flatMap((line) => [...(line.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(([, name = '']) => name));
    const lines = node.operators
      .flatMap(({ lines: all }) => all)
      .flatMap(({ fields }) => (fields?.['message'] === 'credential issued' ? [fields] : []));
    const ours = lines.filter((fields) => fields['name'] === 'orders' && fields['cloud'] === 'AWS').at(-1);
    assert.ok(ours !== undefined);
    const all = new Set(lines.flatMap((fields) => Object.keys(fields)));
    assert.deepEqual([...all].toSorted(), told?.toSorted());
    assert.equal(ours['accessKeyID'], await keyIDOf(orders));
    const mint = (await bed.kubernetes.audit()).find(
      (event) =>
        (event as AuditEvent & { annotations?: Record<string, string> }).annotations?.[
          'authentication.kubernetes.io/issued-credential-id'
        ] === `JTI=${String(ours['tokenID'])}`,
    );
    assert.equal(mint?.objectRef?.name, 'orders');
    assert.equal(mint?.user.username, OPERATOR);
  });

  test("the page's jq lists the exchanges, each with the id of its token", async () => {
    copyFileSync(join(bed.kubernetes.directory, '..', 'audit.log'), join(reader.directory, 'audit.log'));
    const where = { page, section: "The API server's audit policy" };
    const [listed] = await reader.run(where);
    const lines = (listed?.stdout ?? '').trim().split('\n');
    const ours = new Set(
      node.operators
        .flatMap(({ lines: all }) => all)
        .flatMap(({ fields }) => (fields?.['message'] === 'credential issued' ? [String(fields['tokenID'])] : [])),
    );
    assert.ok(ours.size > 0);
    for (const line of lines) assert.match(line, /^\d{4}-\d\d-\d\dT\S+Z\tshop\t\S+\t(?!JTI=)\S+$/);
    const ids = new Set(lines.map((line) => line.split('\t')[3] ?? ''));
    assert.deepEqual(
      [...ours].filter((id) => !ids.has(id)),
      [],
      'every exchange is there',
    );
  });

  test('the audit log has who asked for which role, and no token and no key', async () => {
    await pairOf('orders-cloud');
    const events = (await bed.kubernetes.audit()) as (AuditEvent & { level: string; requestObject?: object })[];
    const text = serverFile('audit.log').toString();
    const applied = events.filter(({ objectRef, requestObject }) => {
      return objectRef?.resource === 'workloadcredentials' && JSON.stringify(requestObject ?? {}).includes(AWS_ROLE);
    });
    assert.ok(applied.length > 0, 'a spec is there, with its role');
    const levelsOf = (resource: string, subresource?: string): Set<string> =>
      new Set(
        events
          .filter(({ objectRef }) => objectRef?.resource === resource && objectRef.subresource === subresource)
          .map(({ level }) => level),
      );
    assert.deepEqual([...levelsOf('serviceaccounts', 'token')], ['Metadata']);
    assert.deepEqual([...levelsOf('secrets')], ['Metadata']);
    assert.ok(levelsOf('serviceaccounts').has('Request'));
    const leases = events.filter(
      ({ objectRef, user }) => objectRef?.resource === 'leases' && user.username === OPERATOR,
    );
    assert.deepEqual(leases, []);
    assert.ok(secretsSeen.size >= 4);
    for (const secret of secretsSeen) assert.ok(!text.includes(secret), 'a secret is in the audit log');
    assert.ok(!/eyJ[A-Za-z0-9_-]{20,}\.eyJ/.test(text), 'a token is in the audit log');
    for (const { lines } of node.operators) {
      for (const { text: line } of lines) for (const secret of secretsSeen) assert.ok(!line.includes(secret));
    }
  });

  test('etcd has the access key id in the clear and no secret key, and all Secrets can be written anew', async () => {
    await reader.run({ page, section: 'Encryption at rest', begins: 'kubectl' });
    const [looked] = await reader.run({ page, section: 'Encryption at rest', begins: 'etcdctl' });
    assert.equal(looked?.stdout, 'k8s:enc:secretbox:v1:key1');
    const files = readdirSync(join(bed.kubernetes.directory, '..', 'etcd'), { recursive: true, encoding: 'utf8' });
    const stored = files
      .filter((name) => /\.(wal|snap)$|\/db$/.test(name))
      .map((name) => serverFile(join('etcd', name)));
    const has = (text: string): boolean => stored.some((file) => file.includes(text));
    assert.ok(has(await keyIDOf(orders)), 'what is not encrypted is found: the search works');
    for (const secret of secretsSeen) assert.ok(!has(secret), 'a secret is in etcd as it is');
    const marks = stored.map((file) => file.toString('latin1'));
    const prefix = /\/registry\/secrets\/shop\/orders-cloud[\s\S]{1,40}?k8s:enc:secretbox:v1:key1:/;
    assert.ok(marks.some((file) => prefix.test(file)));
  });
});

describe('recovery and the way out', () => {
  test('many clusters: wait for all, and whose Secrets these are', async () => {
    const page = 'docs/many-clusters.md';
    await reader.run({ page, section: 'The cluster is lost, and built anew' });
    const [lists] = await reader.run({ page, section: 'Secrets came back from a backup after all' });
    const uid = (await bed.client.credential('shop', 'orders'))?.metadata.uid;
    assert.equal(lists?.stdout.split(String(uid)).length, 3, 'the UID is in both lists');
  });

  test('a pause, and everything goes on', async () => {
    const [block] = reader.blocks({ page: 'docs/uninstalling.md', section: 'For a while' });
    assert.ok(block !== undefined);
    await reader.run({ page: 'docs/uninstalling.md', section: 'For a while' });
    assert.ok((await node.settled()) !== undefined);
  });

  test('uninstalling: what was retained stays and lives, the rest goes', async () => {
    const page = 'docs/uninstalling.md';
    const words = { ...ORDERS_WORDS, SECRET: 'orders-cloud' };
    await reader.run({ page, section: 'For good', begins: 'kubectl get wcred -A -o', words });
    await reader.run({ page, section: 'For good', begins: 'kubectl patch', words });
    await reader.run({ page, section: 'For good', begins: 'kubectl delete wcred', words });
    await waitFor(
      'the other Secrets to be collected',
      async () => {
        const names = await bed.kubectl(
          'get',
          'secrets',
          '-n',
          'shop',
          '-l',
          'workloadcredentials.io/name',
          '-o',
          'name',
        );
        return names.trim() === 'secret/orders-cloud';
      },
      SOON,
    );
    await assertS3Takes('orders-cloud', 'orders');
    await reader.run({ page, section: 'For good', begins: 'helm uninstall', words });
    assert.equal(await node.settled(), undefined);
    await reader.run({ page, section: 'For good', begins: 'kubectl delete lease', words });
    const namespaces = await bed.kubectl('get', 'namespaces', '-o', 'name');
    assert.ok(!namespaces.split('\n').includes(`namespace/${OPERATOR_NAMESPACE}`));
  });

  test('coming back under another name takes the CRD that was kept, and the Secret that was retained', async () => {
    const words = { RELEASE: 'again', RELEASE_NAMESPACE: OPERATOR_NAMESPACE };
    await reader.run({ page: 'docs/uninstalling.md', section: 'Coming back', words });
    const values = ['--namespace', OPERATOR_NAMESPACE, '--create-namespace', '--set', 'namespaces={shop}'];
    const { code, stderr } = await bed.kubernetes.helm(['install', 'again', join(reader.directory, 'helm'), ...values]);
    assert.equal(code, 0, stderr);
    await node.settled();
    await bed.kubectl('apply', '-f', join(reader.directory, 'deploy/samples/aws.yaml'));
    await bed.untilIssued(orders, 60_000);
    await bed.kubectl('delete', '-f', join(reader.directory, 'deploy/samples/aws.yaml'));
    assert.equal((await bed.kubernetes.helm(['uninstall', 'again', '--namespace', OPERATOR_NAMESPACE])).code, 0);
    const last = { page: 'docs/uninstalling.md', section: 'For good', begins: 'kubectl get wcred -A\n' };
    await reader.run(last);
    await reader.run({ ...last, begins: 'kubectl delete crd' });
    assert.equal(await node.settled(), undefined);
  });

  test('without Helm', async () => {
    await reader.run({ page: 'docs/quickstart.md', section: 'Without Helm' });
    await node.settled();
    await bed.kubectl('apply', '-f', join(reader.directory, 'deploy/samples/aws.yaml'));
    await bed.untilIssued(orders, 60_000);
  });
});

describe('all of it', () => {
  test('every block that is marked with this file was run', () => {
    const marked = shellBlocks()
      .filter(({ block }) => isRunBy(THIS_FILE, block.mark))
      .map(({ page, block }) => blockID(page.path, block));
    assert.deepEqual(
      marked.filter((id) => !reader.done.has(id)),
      [],
    );
  });

  test("kubectl's and helm's flags in the blocks that were not run, and within sentences, exist", async () => {
    const help = new Map<string, string>();
    const helpOf = async (program: 'kubectl' | 'helm', command: string): Promise<string> => {
      const key = `${program} ${command}`;
      const known = help.get(key);
      if (known !== undefined) return known;
      const ask = async (args: string[]): Promise<string> => (await bed.kubernetes[program](args)).stdout;
      const general = program === 'kubectl' ? await ask(['options']) : '';
      const told = `${await ask([...command.split(' '), '--help'])}\n${general}`;
      help.set(key, told);
      return told;
    };
    const unknown: string[] = [];
    const notRun = shellBlocks().filter(({ block: { mark } }) => mark?.kind !== 'run');
    const lines = [
      ...notRun.flatMap(({ page, block }) =>
        commandLines(block.text).map((line) => ({ at: blockID(page.path, block), line })),
      ),
      ...pages().flatMap((page) => codeSpans(page).map((line) => ({ at: page.path, line }))),
    ];
    for (const { at, line } of lines) {
      const [, program, command = '', next] = /^(kubectl|helm)(?: -n \S+)? ([a-z]+)(?: ([a-z]+)\b)?/.exec(line) ?? [];
      if (program === undefined) continue;
      const whose = program as 'kubectl' | 'helm';
      // What follows is a command of its own (rollout status) or a name, whose help is the same again.
      const told = `${await helpOf(whose, command)}${next === undefined ? '' : await helpOf(whose, `${command} ${next}`)}`;
      const flags = [...(line.split(' | ')[0] ?? '').matchAll(/ (--[a-z-]+)/g)].map(([, flag = '']) => flag);
      unknown.push(...flags.filter((flag) => !told.includes(flag)).map((flag) => `${at}: ${flag}`));
    }
    assert.deepEqual(unknown, []);
  });
});
