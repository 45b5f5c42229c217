// Shows that the AWS provider is judged the same by an STS that we did not write: the cases by outcome of the provider suite,
// against SeaweedFS with tokens of a real kube-apiserver. SeaweedFS's codes are its own; what it gives and refuses is not.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import type { ResolvedAWS } from '../../src/api/resolved.ts';
import { acceptAnswer, type Credential } from '../../src/credential/credentials.ts';
import { awsProvider } from '../../src/providers/aws.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { undiciTransport } from '../../src/transport/undici.ts';
import { startKubernetes } from '../beds/kubernetes.ts';
import type { KubernetesBed } from '../beds/kubernetes.ts';
import { startSeaweedFS } from '../beds/seaweedfs.ts';
import type { SeaweedFSBed } from '../beds/seaweedfs.ts';
import { failureOf, RELAXED } from '../support/sts-contract.ts';
import { outcomeCases, type OutcomeMistake, type Presented } from '../support/sts-outcomes.ts';
import { withOtherSignature } from '../sandbox/sts-scene.ts';

const NAMESPACE = 'shop';
/** Not AWS's own: that one goes to AWS's own hosts only. */
const AUDIENCE = 'sts.seaweedfs.example';

let kubernetes: KubernetesBed;
let seaweedFS: SeaweedFSBed;
const transport = undiciTransport({ connections: 4, tls: {}, connectTimeoutMs: 5_000 });
const given: string[] = [];

before(async () => {
  kubernetes = await startKubernetes({ controllerManager: false });
  for (const args of [
    ['create', 'namespace', NAMESPACE],
    ['create', 'serviceaccount', 'orders', `--namespace=${NAMESPACE}`],
    ['create', 'serviceaccount', 'stranger', `--namespace=${NAMESPACE}`],
  ]) {
    const { code, stderr } = await kubernetes.kubectl(args);
    assert.equal(code, 0, stderr);
  }
  seaweedFS = await startSeaweedFS({
    issuer: kubernetes.issuer,
    caPEM: kubernetes.caPEM,
    audience: AUDIENCE,
    maxSessionLength: '1h',
    roles: [{ name: 'orders', subjects: [`system:serviceaccount:${NAMESPACE}:orders`], bucket: 'orders' }],
  });
});

after(async () => {
  await transport.close();
  await seaweedFS?.stop();
  await kubernetes?.stop();
});

afterEach((context) => {
  if ('error' in context && context.error !== null) process.stderr.write(`${kubernetes.logs()}\n${seaweedFS.logs()}\n`);
});

async function exchange({ token, role }: Presented, durationSeconds = 3600): Promise<Credential> {
  const { host, origin } = new URL(seaweedFS.url);
  const entry = { cloud: 'AWS', host, scheme: 'http', audiences: [AUDIENCE] } as const;
  const resolved: ResolvedAWS = {
    cloud: 'AWS',
    roleARN: role,
    region: 'us-east-1',
    audience: AUDIENCE,
    endpoint: origin,
    endpointType: 'Regional',
    policyARNs: [],
    roleChain: [],
  };
  const policy = { entries: [entry], apiServerAudiences: [kubernetes.issuer] };
  const provider = awsProvider({ transport, policy, clock: systemClock });
  const request = { exchange: resolved, durationSeconds, sessionName: 'shop.orders.orders', token };
  const sentAtMs = systemClock.now();
  const credential = acceptAnswer(await provider.exchange(request, RELAXED), durationSeconds, sentAtMs);
  given.push(credential.secretAccessKey.reveal(), credential.sessionToken.reveal());
  return credential;
}

const tokenOf = (name: string, audience = AUDIENCE): Promise<string> =>
  kubernetes.token(NAMESPACE, name, { audience, lifetimeSeconds: 600 });

const nowSeconds = (): number => Math.floor(systemClock.now() / 1000);

/** Every token is a real one. What no API server would issue is one that its own key signed anew. */
const TOKENS: Readonly<Record<OutcomeMistake, () => Promise<string>>> = {
  'wrong subject': () => tokenOf('stranger'),
  'wrong audience': () => tokenOf('orders', 'somebody.else'),
  'wrong issuer': async () => kubernetes.resignedToken(await tokenOf('orders'), { iss: 'https://other.example' }),
  'wrong signature': async () => withOtherSignature(await tokenOf('orders')),
  expired: async () => {
    const end = nowSeconds() - 60;
    return kubernetes.resignedToken(await tokenOf('orders'), { iat: end - 600, nbf: end - 600, exp: end });
  },
  'unknown role': () => tokenOf('orders'),
};

describe('AWS against SeaweedFS', () => {
  outcomeCases({
    present: async (mistake) => ({
      token: await (mistake === undefined ? tokenOf('orders') : TOKENS[mistake]()),
      role: seaweedFS.roleARN(mistake === 'unknown role' ? 'nobody' : 'orders'),
    }),
    exchange,
    issuedSecrets: () => given,
    codes: {
      'wrong subject': 'AccessDenied',
      'wrong audience': 'RequestRejected',
      'wrong issuer': 'AccessDenied',
      'wrong signature': 'RequestRejected',
      expired: 'TokenRejected',
      'unknown role': 'AccessDenied',
    },
  });

  test("a token that the API server's key signed anew is as good as its own, so the claims were what was refused", async () => {
    const end = nowSeconds() + 600;
    const token = kubernetes.resignedToken(await tokenOf('orders'), { iat: end - 600, nbf: end - 600, exp: end });
    await exchange({ token, role: seaweedFS.roleARN('orders') });
  });

  test('a token that is not valid yet gets nothing', async () => {
    const begin = nowSeconds() + 1_800;
    const token = kubernetes.resignedToken(await tokenOf('orders'), { nbf: begin, exp: begin + 600 });
    const error = await failureOf(exchange({ token, role: seaweedFS.roleARN('orders') }));
    assert.notEqual(error.disposition, 'transient', error.message);
  });

  test('S3 takes the credential', async () => {
    const credential = await exchange({ token: await tokenOf('orders'), role: seaweedFS.roleARN('orders') });
    const client = seaweedFS.s3({
      accessKeyId: credential.accessKeyID,
      secretAccessKey: credential.secretAccessKey.reveal(),
      sessionToken: credential.sessionToken.reveal(),
    });
    try {
      const object = { Bucket: 'orders', Key: 'provider' };
      await client.send(new PutObjectCommand({ ...object, Body: 'from the provider' }));
      const got = await client.send(new GetObjectCommand(object));
      assert.equal(await got.Body?.transformToString(), 'from the provider');
    } finally {
      client.destroy();
    }
  });
});
