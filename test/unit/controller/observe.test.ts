// Promises: the data of a Secret are read only where they are ours or handed over, whatever the cache says by then.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Secret } from '../../../src/api/meta.ts';
import { CredentialIndex } from '../../../src/controller/mappers.ts';
import { Observer } from '../../../src/controller/observe.ts';
import { aCredential, anAdopted, anOffered, aSecret, DOMAINS, withAnnotations } from '../../support/builders.ts';
import { FakeKubeApi } from '../../support/fake-kube-api.ts';

const ADOPT = 'workloadcredentials.io/adopt';
const taken = withAnnotations(anOffered(), { [ADOPT]: undefined });
const withdrawn = withAnnotations(anAdopted(), { [ADOPT]: undefined });
const NONE = { get: () => undefined, resourceVersion: () => undefined };

/** Looks at a Secret that the cache holds as one and the API server as another. */
async function look(cached: Secret, live: Secret): Promise<{ data: boolean; calls: string[] }> {
  const api = new FakeKubeApi();
  api.secret = live;
  const observer = new Observer({
    caches: { credentials: NONE, serviceAccounts: NONE, secrets: { ...NONE, get: () => cached } },
    index: new CredentialIndex(),
    api,
    allowedMetadataDomains: DOMAINS,
    checkEndpoint: () => undefined,
  });
  api.credential = aCredential();
  const sight = { credential: aCredential(), secret: { kind: 'cached', metadata: cached.metadata } } as const;
  const seen = await observer.look(sight, 'content', { signal: new AbortController().signal });
  assert.ok(seen?.secret.kind === 'live');
  return { data: seen.secret.secret.data !== undefined, calls: api.log };
}

const GET = 'get secrets';
const GET_METADATA = 'get secrets metadata';

for (const [what, cached, live, wanted] of [
  ['of ours is read', aSecret(), aSecret(), { data: true, calls: [GET] }],
  ['that was taken is read', anAdopted(), anAdopted(), { data: true, calls: [GET] }],
  ['of somebody else is not read', taken, taken, { data: false }],
  ['that was taken back since the cache saw it is forgotten', anAdopted(), withdrawn, { data: false, calls: [GET] }],
  ['that was handed over since the cache saw it is read', taken, anOffered(), { data: true }],
] as const) {
  test(`a Secret ${what}`, async () => {
    const { data, calls } = await look(cached, live);
    assert.equal(data, wanted.data);
    if ('calls' in wanted) assert.deepEqual(calls, wanted.calls);
    if (cached === taken && live === taken) assert.ok(!calls.includes(GET) && calls.includes(GET_METADATA));
  });
}
