// Shows that docs/self-managed-clusters.md is right: a kube-apiserver whose issuer is published elsewhere, by the page's own
// commands, and an STS that fetches the two documents there and nowhere else. The signing key is rotated in the page's order
// without a failure and in the wrong one with the failure that the page names; then the issuer itself is changed.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, normalize } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { createAuthority } from '../../sandbox/certificates.ts';
import { listen } from '../../sandbox/listener.ts';
import type { Listener } from '../../sandbox/listener.ts';
import { trustPolicy } from '../../sandbox/sts/servers.ts';
import type { Lease } from '../../src/api/meta.ts';
import { waitFor } from '../beds/wait.ts';
import { conditionOf } from '../support/cluster-client.ts';
import { DeploymentRunner } from '../support/deployment-runner.ts';
import { blockID, DocumentReader } from '../support/document-reader.ts';
import { manifest, startCluster } from '../support/installation.ts';
import type { Installation } from '../support/installation.ts';
import { startReaderClouds } from '../support/reader-clouds.ts';
import type { ReaderClouds } from '../support/reader-clouds.ts';
import { isRunBy, shellBlocks } from '../unit/docs/markdown.ts';

const THIS_FILE = 'test/e2e/docs-issuer.test.ts';
const PAGE = 'docs/self-managed-clusters.md';
const OPERATOR_NAMESPACE = 'workload-credentials';
const ROLE = 'arn:aws:iam::123456789012:role/orders';
const LEASE = `/apis/coordination.k8s.io/v1/namespaces/${OPERATOR_NAMESPACE}/leases/workload-credentials`;
const SOON = { timeoutMs: 30_000, everyMs: 100 };
const orders = { namespace: 'shop', name: 'orders' };

const scratch = mkdtempSync(join(tmpdir(), 'docs-issuer-'));
/** kube-apiserver reads them at each start. */
const issuers: string[] = [];
const apiServerArguments: string[] = [];
/** What was fetched from the site that publishes the documents. */
const fetched: string[] = [];

let site: Listener;
let siteCAPEM = '';
let bed: Installation;
let reader: DocumentReader;
let clouds: ReaderClouds;
let others: ReaderClouds | undefined;
let node: DeploymentRunner;

/** A bucket: `/one` is what the commands write to `issuer`, `/two` is `issuer-2`. */
async function publish(): Promise<void> {
  const authority = await createAuthority('a public authority');
  siteCAPEM = authority.certificatePEM;
  const tls = await authority.issueServer({ commonName: 'localhost' }, { ips: [], dns: ['localhost'] });
  const folders: Readonly<Record<string, string>> = { one: 'issuer', two: 'issuer-2' };
  site = await listen({
    tls,
    handler: ({ target }) => {
      fetched.push(target);
      const [, name = '', ...path] = normalize(target).split('/');
      const file = join(reader.directory, folders[name] ?? 'none', ...path);
      if (!existsSync(file)) return Promise.resolve({ status: 404, headers: {}, body: '' });
      const headers = { 'content-type': 'application/json' };
      return Promise.resolve({ status: 200, headers, body: readFileSync(file, 'utf8') });
    },
  });
}

const urlOf = (name: 'one' | 'two'): string => `https://localhost:${site.url.port}/${name}`;

function runner(of: ReaderClouds): DeploymentRunner {
  const { kubernetes, client } = bed;
  const furtherArguments = [...of.operatorArguments, '--min-refresh-interval-seconds=1'];
  return new DeploymentRunner({ kubernetes, client, namespace: OPERATOR_NAMESPACE, furtherArguments });
}

async function cloudsOf(issuer: string, name: string): Promise<ReaderClouds> {
  const directory = join(scratch, name);
  mkdirSync(directory);
  const started = await startReaderClouds({ issuer, issuerCAPEM: siteCAPEM, directory });
  const policy = trustPolicy(issuer, ROLE, 'system:serviceaccount:shop:orders');
  started.aws.addRole({ arn: ROLE, trustPolicy: policy });
  return started;
}

before(async () => {
  const authorityFile = join(scratch, 'site.crt');
  await publish();
  writeFileSync(authorityFile, siteCAPEM);
  issuers.push(urlOf('one'));
  bed = await startCluster({ issuers, apiServerArguments, controllerManager: false });
  const env = { KUBECONFIG: bed.kubernetes.admin.file, CURL_CA_BUNDLE: authorityFile };
  reader = await DocumentReader.at(join(scratch, 'reader'), THIS_FILE, env);
  clouds = await cloudsOf(urlOf('one'), 'clouds');
  node = runner(clouds);
});

after(async () => {
  await node?.stop();
  await others?.stop();
  await clouds?.stop();
  await bed?.stop();
  await site?.close();
  rmSync(scratch, { recursive: true, force: true });
});

afterEach((context) => {
  if (!('error' in context) || context.error === null) return;
  process.stderr.write(`${node?.operators.at(-1)?.output().slice(-4_000) ?? 'no operator was started'}\n`);
});

/** Asks for a refresh by a new value. */
async function force(): Promise<void> {
  const value = `workloadcredentials.io/refresh-requested=${Math.random()}`;
  await bed.kubectl('annotate', 'wcred', 'orders', '-n', 'shop', '--overwrite', value);
}

const statusOf = async (): Promise<{ accessKeyID?: string; consecutiveFailures?: number }> =>
  ((await bed.client.credential('shop', 'orders'))?.status ?? {}) as { accessKeyID?: string };

/** A refresh that is asked for comes by one exchange, by the account of the STS. */
async function assertRefreshes(): Promise<void> {
  const { accessKeyID } = await statusOf();
  const from = clouds.aws.calls.length;
  await force();
  await waitFor('another access key', async () => (await statusOf()).accessKeyID !== accessKeyID, SOON);
  assert.deepEqual(
    clouds.aws.calls.slice(from).map(({ outcome }) => outcome),
    ['Issued'],
  );
}

/** The head and claims of a token that the API server signs now. */
async function tokenParts(): Promise<{ kid: string; iss: string }> {
  const token = await bed.kubernetes.token('shop', 'orders', { audience: 'sts.amazonaws.com', lifetimeSeconds: 600 });
  const [head = '', claims = ''] = token.split('.').map((part) => Buffer.from(part, 'base64url').toString());
  return { ...(JSON.parse(head) as { kid: string }), ...(JSON.parse(claims) as { iss: string }) };
}

/** A pair of files, as --service-account-key-file and --service-account-signing-key-file take them. */
function newKey(name: string): { accept: string; sign: string } {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const file = (suffix: string): string => join(scratch, `${name}.${suffix}`);
  writeFileSync(file('pub'), publicKey);
  writeFileSync(file('key'), privateKey, { mode: 0o600 });
  return {
    accept: `--service-account-key-file=${file('pub')}`,
    sign: `--service-account-signing-key-file=${file('key')}`,
  };
}

/**
 * Starts kube-apiserver with the arguments of now, and waits until the operator has renewed its Lease with it. On a slow
 * machine the start takes longer than the operator goes without its Lease: then it has ended and is started again.
 */
async function restart(): Promise<void> {
  await bed.kubernetes.killAPIServer();
  await bed.kubernetes.restartAPIServer();
  const backAtMs = Date.now();
  const isRenewed = async (): Promise<boolean> => {
    const lease = await bed.client.get<Lease>(LEASE);
    return Date.parse(lease?.spec?.renewTime ?? '') > backAtMs;
  };
  await waitFor('the operator to renew its Lease', isRenewed, { timeoutMs: 60_000, everyMs: 100 });
  await node.settled();
}

const publishedKeys = (): number =>
  (JSON.parse(readFileSync(join(reader.directory, 'issuer/openid/v1/jwks'), 'utf8')) as { keys: object[] }).keys.length;

describe('a cluster with an issuer of its own', () => {
  test('the two documents are published by the commands of the page, and read back', async () => {
    const words = { ISSUER: urlOf('one').replace('https://', '') };
    const [, read] = await reader.run({ page: PAGE, section: 'Publish the issuer', words });
    assert.ok(read?.stdout.includes(`"issuer":"${urlOf('one')}"`), read?.stdout);
    assert.ok(read?.stdout.includes(`"jwks_uri":"${urlOf('one')}/openid/v1/jwks"`));
    assert.ok(read?.stdout.includes('"kid"'));
  });

  test('an STS that fetches them there takes the tokens', async () => {
    await bed.createWorkloads([orders]);
    const chart = join(reader.directory, 'helm');
    const command = ['install', 'wc', chart, '--namespace', OPERATOR_NAMESPACE, '--create-namespace'];
    const { code, stderr } = await bed.kubernetes.helm([...command, '--set', 'namespaces={shop}']);
    assert.equal(code, 0, stderr);
    await node.settled();
    fetched.length = 0;
    await bed.apply(manifest({ ...orders, aws: { roleARN: ROLE, region: 'eu-west-1' } }));
    await bed.untilIssued(orders);
    assert.deepEqual(new Set(fetched), new Set(['/one/.well-known/openid-configuration', '/one/openid/v1/jwks']));
  });
});

describe('the signing key', () => {
  const rotate = { page: PAGE, section: 'Rotate the signing key' };

  test('is rotated in the order of the page, and no exchange fails', async () => {
    const { kid } = await tokenParts();
    const key = newKey('second');
    // 1. accept
    apiServerArguments.push(key.accept);
    await restart();
    await assertRefreshes();
    // 2. publish
    await reader.run(rotate);
    assert.equal(publishedKeys(), 2);
    // 3. sign
    apiServerArguments.push(key.sign);
    await restart();
    assert.notEqual((await tokenParts()).kid, kid);
    await assertRefreshes();
    // Tokens of the old key, such as the operator's own, are still accepted: it has written status.
  });

  test('in the wrong order: AWS finds no key, the credential stays, and publishing mends it', async () => {
    const key = newKey('third');
    apiServerArguments.push(key.accept, key.sign);
    await restart();
    await force();
    const refused = await bed.untilReason(orders, ['Refreshed', 'STSUnavailable'], SOON.timeoutMs);
    assert.match(refused.message, /Couldn't retrieve verification key/);
    const ready = conditionOf(await bed.client.credential('shop', 'orders'), 'Ready');
    assert.deepEqual([ready?.status, ready?.reason], ['True', 'RefreshFailing']);
    await reader.run(rotate);
    assert.equal(publishedKeys(), 3);
    await force();
    await bed.untilIssued(orders, SOON.timeoutMs);
  });
});

describe('the issuer', () => {
  test('is changed: refused where it is not registered, taken where it is, and old tokens are accepted', async () => {
    const words = { NEW_ISSUER: urlOf('two').replace('https://', '') };
    const [written] = await reader.run({ page: PAGE, section: 'Change the issuer', words });
    const folder = join(reader.directory, 'issuer-2');
    mkdirSync(join(folder, '.well-known'), { recursive: true });
    mkdirSync(join(folder, 'openid/v1'), { recursive: true });
    writeFileSync(join(folder, '.well-known/openid-configuration'), written?.stdout ?? '');
    const keys = readFileSync(join(reader.directory, 'issuer/openid/v1/jwks'));
    writeFileSync(join(folder, 'openid/v1/jwks'), keys);
    const old = await bed.kubernetes.token('kube-system', 'tester');

    issuers.unshift(urlOf('two'));
    await restart();
    assert.equal((await tokenParts()).iss, urlOf('two'));
    const served = await bed.kubectl('get', '--raw', '/.well-known/openid-configuration');
    assert.deepEqual(JSON.parse(served), JSON.parse(written?.stdout ?? '{}'), 'what was written is what is served');
    const whoami = ['auth', 'whoami', '--token', old, '--server', bed.kubernetes.server];
    assert.equal((await bed.kubernetes.kubectl(whoami)).code, 0, 'a token of the old issuer');

    await force();
    const refused = await waitFor(
      'the exchange to be refused',
      async () => {
        const refreshed = conditionOf(await bed.client.credential('shop', 'orders'), 'Refreshed');
        return refreshed?.status === 'False' ? refreshed : undefined;
      },
      SOON,
    );
    assert.equal(refused.reason, 'TokenRejected');
    // Its own retry with a fresh token comes after a second, the next one after a minute: between the two only what is asked for.
    await waitFor('the retry to be refused', async () => ((await statusOf()).consecutiveFailures ?? 0) >= 2, SOON);

    await node.stop();
    others = await cloudsOf(urlOf('two'), 'other-clouds');
    node = runner(others);
    await node.settled();
    await force();
    await bed.untilIssued(orders, SOON.timeoutMs);
    assert.equal(others.aws.issued.length, 1);
  });
});

test('every block that is marked with this file was run', () => {
  const marked = shellBlocks()
    .filter(({ block }) => isRunBy(THIS_FILE, block.mark))
    .map(({ page, block }) => blockID(page.path, block));
  assert.ok(marked.length >= 4);
  assert.deepEqual(
    marked.filter((id) => !reader.done.has(id)),
    [],
  );
});
