// The Observer after etcd was restored from an older copy, while a cache still holds the resource from what was lost.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolve } from '../../../src/api/resolve.ts';
import { CredentialIndex } from '../../../src/controller/mappers.ts';
import { Observer } from '../../../src/controller/observe.ts';
import { requestHash } from '../../../src/credential/hashes.ts';
import { requestInputs } from '../../../src/credential/inputs.ts';
import type { Secret } from '../../../src/api/meta.ts';
import type { WorkloadCredential } from '../../../src/api/types.gen.ts';
import { FakeKubeApi } from '../../support/fake-kube-api.ts';

const NONE = { get: () => undefined, resourceVersion: () => undefined };

const AWS = { roleARN: 'arn:aws:iam::123456789012:role/orders', region: 'eu-west-1' };

function credential(request: string, aws: object = AWS): WorkloadCredential {
  return {
    metadata: {
      namespace: 'shop',
      name: 'orders',
      uid: 'a-credential',
      annotations: { 'workloadcredentials.io/refresh-requested': request },
    },
    spec: { serviceAccountName: 'orders', durationSeconds: 3_600, aws },
  } as unknown as WorkloadCredential;
}

/** The Secret of the first handled request and of AWS above; what is said of the resource, and the calls for it. */
async function look(cached: WorkloadCredential): Promise<[string | undefined, string[]]> {
  const api = new FakeKubeApi();
  api.credential = credential('handled');
  const { resolved } = resolve(api.credential, []);
  assert.ok(resolved !== undefined);
  const metadata = {
    namespace: 'shop',
    name: 'orders',
    uid: 'a-secret',
    resourceVersion: '40',
    annotations: {
      'workloadcredentials.io/owner-uid': 'a-credential',
      'workloadcredentials.io/refresh-handled': 'handled',
      'workloadcredentials.io/request-hash': requestHash(requestInputs(resolved)),
    },
  };
  api.secret = { metadata, type: 'Opaque' } as Secret;
  const observer = new Observer({
    caches: { credentials: NONE, serviceAccounts: NONE, secrets: { ...NONE, get: () => ({ metadata }) } },
    index: new CredentialIndex(),
    api,
    allowedMetadataDomains: [],
    checkEndpoint: () => undefined,
  });
  const sight = { credential: cached, secret: { kind: 'cached', metadata } } as const;
  const seen = await observer.look(sight, 'content', { signal: new AbortController().signal });
  return [seen?.credential.metadata.annotations?.['workloadcredentials.io/refresh-requested'], api.log];
}

test('a cached request that the Secret knows nothing of makes the resource be read, so that no lost one is honoured', async () => {
  for (const cached of [credential('lost'), credential('handled', { ...AWS, region: 'eu-west-3' })]) {
    const [request, log] = await look(cached);
    assert.equal(request, 'handled');
    assert.ok(
      log.some((operation) => /WorkloadCredential/i.test(operation)),
      log.join(', '),
    );
  }
});

test('a Secret that the cached resource agrees with costs one GET', async () => {
  const [, log] = await look(credential('handled'));
  assert.equal(log.length, 1, log.join(', '));
});
