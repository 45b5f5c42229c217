// Shows that the beds themselves are real: a token of a real API server, exchanged at an STS that verifies it, credentials
// that S3 takes while they live and refuses afterwards. Nothing of the product runs here.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { AssumeRoleWithWebIdentityCommand } from '@aws-sdk/client-sts';
import type { Credentials } from '@aws-sdk/client-sts';
import { STS_FAULTS, startAPIProxy, startSTSProxy } from '../beds/intercepting-proxy.ts';
import { startKubernetes } from '../beds/kubernetes.ts';
import type { KubernetesBed } from '../beds/kubernetes.ts';
import { startSeaweedFS } from '../beds/seaweedfs.ts';
import type { AccessKey, SeaweedFSBed } from '../beds/seaweedfs.ts';
import { waitFor } from '../beds/wait.ts';
import { calls, describeCall } from '../support/audit.ts';

const NAMESPACE = 'shop';
const AUDIENCE = 'sts.amazonaws.com';
const LIFETIME_SECONDS = 15;

let kubernetes: KubernetesBed;
let seaweedFS: SeaweedFSBed;

async function kubectl(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await kubernetes.kubectl(args);
  assert.equal(code, 0, stderr);
  return stdout;
}

async function exchange(token: string, role = 'orders', url?: string): Promise<Credentials> {
  const client = seaweedFS.sts(url);
  try {
    const answer = await client.send(
      new AssumeRoleWithWebIdentityCommand({
        RoleArn: seaweedFS.roleARN(role),
        RoleSessionName: 'shop.orders.smoke',
        WebIdentityToken: token,
        DurationSeconds: 900,
      }),
    );
    assert.ok(answer.Credentials !== undefined);
    return answer.Credentials;
  } finally {
    client.destroy();
  }
}

function accessKey({ AccessKeyId = '', SecretAccessKey = '', SessionToken = '' }: Credentials): AccessKey {
  return { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken };
}

async function refusal(call: Promise<unknown>): Promise<{ name: string; status: number | undefined }> {
  try {
    await call;
  } catch (error) {
    const { name, $metadata } = error as { name: string; $metadata?: { httpStatusCode?: number } };
    return { name, status: $metadata?.httpStatusCode };
  }
  return assert.fail('it was not refused');
}

before(async () => {
  kubernetes = await startKubernetes();
  await kubectl('create', 'namespace', NAMESPACE);
  for (const name of ['orders', 'stranger'])
    await kubectl('create', 'serviceaccount', name, `--namespace=${NAMESPACE}`);
  seaweedFS = await startSeaweedFS({
    issuer: kubernetes.issuer,
    caPEM: kubernetes.caPEM,
    maxSessionLength: `${LIFETIME_SECONDS}s`,
    roles: [{ name: 'orders', subjects: [`system:serviceaccount:${NAMESPACE}:orders`], bucket: 'orders' }],
  });
});

after(async () => {
  await seaweedFS?.stop();
  await kubernetes?.stop();
});

afterEach((context) => {
  if ('error' in context && context.error !== null) process.stderr.write(`${kubernetes.logs()}\n${seaweedFS.logs()}\n`);
});

describe('the beds', () => {
  test('helm answers with the pinned version', async () => {
    const { stdout, code } = await kubernetes.helm(['version', '--template={{.Version}}']);
    assert.equal(code, 0);
    assert.equal(stdout, 'v4.3.1');
  });

  test('helm installs a chart', async () => {
    const chart = join(kubernetes.directory, 'chart');
    mkdirSync(join(chart, 'templates'), { recursive: true });
    writeFileSync(join(chart, 'Chart.yaml'), 'apiVersion: v2\nname: smoke\nversion: 0.0.0\n');
    const configMap =
      'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\ndata: {greeting: hello}\n';
    writeFileSync(join(chart, 'templates', 'configmap.yaml'), configMap);
    const { code, stderr } = await kubernetes.helm(['install', 'smoke', chart, `--namespace=${NAMESPACE}`]);
    assert.equal(code, 0, stderr);
    await kubectl('get', 'configmap', 'smoke', `--namespace=${NAMESPACE}`);
  });

  test('anybody may read the keys of the issuer, and nothing else', async () => {
    const anonymous = { as: 'system:anonymous' };
    const discovery = await kubernetes.kubectl(['get', '--raw=/.well-known/openid-configuration'], anonymous);
    const keys = JSON.parse(discovery.stdout) as { issuer: string; jwks_uri: string };
    assert.equal(keys.issuer, kubernetes.issuer);
    assert.equal(keys.jwks_uri, `${kubernetes.server}/openid/v1/jwks`);
    const secrets = await kubernetes.kubectl(['get', 'secrets', '--all-namespaces'], { as: 'system:anonymous' });
    assert.equal(secrets.code, 1);
  });

  test('a token buys credentials that S3 takes while they live and refuses after their end', async () => {
    const token = await kubernetes.token(NAMESPACE, 'orders', { audience: AUDIENCE, lifetimeSeconds: 600 });
    const credentials = await exchange(token);
    const endsAtMs = credentials.Expiration?.getTime() ?? 0;
    const lifeMs = endsAtMs - Date.now();
    assert.ok(lifeMs > 5_000 && lifeMs <= LIFETIME_SECONDS * 1_000, `it lives ${lifeMs} ms`);

    const client = seaweedFS.s3(accessKey(credentials));
    try {
      const object = { Bucket: 'orders', Key: 'smoke' };
      await client.send(new PutObjectCommand({ ...object, Body: 'written with short-lived credentials' }));
      const got = await client.send(new GetObjectCommand(object));
      assert.equal(await got.Body?.transformToString(), 'written with short-lived credentials');
      const refused = await waitFor(
        'S3 to refuse credentials that have ended',
        async () => {
          try {
            const again = await client.send(new GetObjectCommand(object));
            await again.Body?.transformToString();
            return undefined;
          } catch (error) {
            return { name: (error as Error).name, atMs: Date.now() };
          }
        },
        { timeoutMs: lifeMs + 15_000, everyMs: 250 },
      );
      assert.ok(refused.atMs >= endsAtMs - 1_000, 'S3 refused them while they were alive');
      assert.match(refused.name, /InvalidAccessKeyId|ExpiredToken|AccessDenied/);
    } finally {
      client.destroy();
    }
  });

  test('a subject that the role does not trust, a foreign audience and an unknown role are refused', async () => {
    const stranger = await kubernetes.token(NAMESPACE, 'stranger', { audience: AUDIENCE, lifetimeSeconds: 600 });
    assert.deepEqual(await refusal(exchange(stranger)), { name: 'AccessDenied', status: 403 });
    const elsewhere = await kubernetes.token(NAMESPACE, 'orders', { audience: 'elsewhere', lifetimeSeconds: 600 });
    assert.deepEqual(await refusal(exchange(elsewhere)), { name: 'InvalidParameterValue', status: 400 });
    const orders = await kubernetes.token(NAMESPACE, 'orders', { audience: AUDIENCE, lifetimeSeconds: 600 });
    assert.deepEqual(await refusal(exchange(orders, 'unknown')), { name: 'AccessDenied', status: 403 });
  });

  test('the audit log has every call that was answered', async () => {
    const token = await kubernetes.token(NAMESPACE, 'orders', { lifetimeSeconds: 600 });
    assert.notEqual(token, '');
    const mine = calls(await kubernetes.audit()).filter(({ user }) => user.username === 'admin');
    const last = mine.at(-1);
    assert.ok(last !== undefined);
    assert.equal(describeCall(last), `create serviceaccounts/token ${NAMESPACE}/orders 201`);
  });

  test("a ServiceAccount's kubeconfig is that ServiceAccount, without rights", async () => {
    const { file } = await kubernetes.serviceAccountKubeconfig(NAMESPACE, 'stranger');
    const whoami = await kubernetes.kubectl(['auth', 'whoami', '-o=jsonpath={.status.userInfo.username}'], {
      kubeconfig: file,
    });
    assert.equal(whoami.stdout, `system:serviceaccount:${NAMESPACE}:stranger`);
    const denied = await kubernetes.kubectl(['get', 'secrets', `--namespace=${NAMESPACE}`], { kubeconfig: file });
    assert.match(denied.stderr, /Forbidden/);
  });

  test('the proxy in front of STS counts, knows what was issued, and lies when it is told to', async () => {
    const proxy = await startSTSProxy(seaweedFS.url);
    try {
      const token = await kubernetes.token(NAMESPACE, 'orders', { audience: AUDIENCE, lifetimeSeconds: 600 });
      const { SecretAccessKey, SessionToken } = await exchange(token, 'orders', proxy.url);
      assert.deepEqual(new Set(proxy.secrets()), new Set([token, SecretAccessKey, SessionToken]));
      proxy.fail(STS_FAULTS.pastExpiration, 1);
      assert.equal((await exchange(token, 'orders', proxy.url)).Expiration?.getUTCFullYear(), 2020);
      proxy.fail(STS_FAULTS.unavailable, 1);
      assert.equal((await refusal(exchange(token, 'orders', proxy.url))).status, 503);
      assert.deepEqual(
        proxy.calls.map(({ status, forwarded }) => [status, forwarded]),
        [
          [200, true],
          [200, true],
          [503, false],
        ],
      );
    } finally {
      await proxy.stop();
    }
  });

  test('kubectl works through the proxy in front of the API server, and a hook stops a request', async () => {
    const proxy = await startAPIProxy(kubernetes);
    try {
      const through = { server: proxy.url, caPEM: proxy.caPEM };
      const { file } = await kubernetes.serviceAccountKubeconfig(NAMESPACE, 'orders', through);
      const role = [
        'create',
        'rolebinding',
        'orders-edit',
        '--clusterrole=edit',
        `--serviceaccount=${NAMESPACE}:orders`,
      ];
      await kubectl(...role, `--namespace=${NAMESPACE}`);
      const create = ['create', 'configmap', 'passed', `--namespace=${NAMESPACE}`];
      const made = await kubernetes.kubectl(create, { kubeconfig: file });
      assert.equal(made.code, 0, made.stderr);
      proxy.onRequest({ method: 'DELETE', path: /configmaps\/passed/ }, () => 'loseRequest');
      const lost = await kubernetes.kubectl(['delete', 'configmap', 'passed', `--namespace=${NAMESPACE}`], {
        kubeconfig: file,
      });
      assert.equal(lost.code, 1);
      await kubectl('get', 'configmap', 'passed', `--namespace=${NAMESPACE}`);
      const methods = proxy.calls.filter(({ path }) => path.includes('configmaps')).map(({ method }) => method);
      assert.deepEqual([...new Set(methods)], ['POST', 'DELETE']);
    } finally {
      await proxy.stop();
    }
  });
});
