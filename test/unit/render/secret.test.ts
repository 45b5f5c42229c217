// Promises: the Secret is what it was at the last release, and a patch makes any Secret so without touching what others
// wrote. The patch is applied by another implementation of RFC 6902.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import fastJSONPatch, { type Operation } from 'fast-json-patch';
import type { JSONPatchOperation, Secret } from '../../../src/api/meta.ts';
import type { SecretSpec } from '../../../src/api/types.gen.ts';
import { sharedInLive } from '../../../src/credential/adoption.ts';
import { verifyRecord } from '../../../src/credential/record.ts';
import { renderData } from '../../../src/render/formats.ts';
import {
  newSecret,
  patchOperations,
  type SecretInput,
  wantSecret,
  type WantedSecret,
} from '../../../src/render/secret.ts';
import { aResolved, NAME, NAMESPACE, PARTS, T0, UID } from '../../support/builders.ts';

const input = (secret: SecretSpec = {}, change: Partial<SecretInput> = {}): SecretInput => {
  const resolved = aResolved({ secret });
  const issueTime = '2026-11-22T12:00:00Z';
  const expirationTime = '2026-11-22T13:00:00Z';
  const parts = { ...PARTS, issueTime, expiration: expirationTime };
  return {
    namespace: NAMESPACE,
    name: NAME,
    uid: UID,
    resolved,
    shares: false,
    data: { plain: renderData(resolved.exchange, resolved.secret, parts) },
    issueTime,
    expirationTime,
    requestHash: 'v1.request',
    renderHash: 'v1.render',
    refreshHandled: undefined,
    ...change,
  };
};
const want = (secret: SecretSpec = {}, change: Partial<SecretInput> = {}): WantedSecret =>
  wantSecret(input(secret, change));
/** As the API server would hold it. */
const stored = (wanted: WantedSecret, change: Partial<Secret['metadata']> = {}): Secret => {
  const secret = newSecret(wanted);
  return JSON.parse(
    JSON.stringify({ ...secret, metadata: { ...secret.metadata, uid: 'u', resourceVersion: '7', ...change } }),
  ) as Secret;
};
const apply = (secret: Secret, operations: readonly JSONPatchOperation[]): Secret =>
  fastJSONPatch.applyPatch(structuredClone(secret), operations as Operation[], true, false).newDocument;
const patched = (secret: Secret, wanted: WantedSecret): Secret =>
  apply(secret, patchOperations(secret.metadata, wanted, 'replace'));

// Golden: what is in the clusters. A change here changes every Secret at an upgrade.
const METADATA = {
  name: 'orders',
  namespace: 'shop',
  labels: { 'workloadcredentials.io/name': 'orders', 'velero.io/exclude-from-backup': 'true' },
  annotations: {
    'reloader.stakater.com/ignore': 'true',
    'workloadcredentials.io/owner-uid': UID,
    'workloadcredentials.io/issue-time': '2026-11-22T12:00:00Z',
    'workloadcredentials.io/expiration-time': '2026-11-22T13:00:00Z',
    'workloadcredentials.io/request-hash': 'v1.request',
    'workloadcredentials.io/render-hash': 'v1.render',
  },
  ownerReferences: [
    {
      apiVersion: 'workloadcredentials.io/v1alpha1',
      kind: 'WorkloadCredential',
      name: 'orders',
      uid: UID,
      controller: true,
      blockOwnerDeletion: false,
    },
  ],
};
const { 'reloader.stakater.com/ignore': _ignore, ...RESTARTING } = METADATA.annotations;
const golden: readonly (readonly [string, SecretSpec, Readonly<Record<string, string>>, readonly string[]])[] = [
  ['Files', {}, METADATA.annotations, ['config', 'credentials.json']],
  ['StaticFile', { formats: ['StaticFile'] }, METADATA.annotations, ['credentials']],
  [
    'Environment',
    { formats: ['Environment'] },
    RESTARTING,
    ['AWS_ACCESS_KEY_ID', 'AWS_REGION', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'],
  ],
];
for (const [format, spec, annotations, keys] of golden) {
  test(`the Secret of ${format} is the released one, and its own record holds together`, () => {
    const secret = newSecret(want(spec));
    const { [`workloadcredentials.io/content-hash`]: contentHash, ...others } = secret.metadata.annotations ?? {};
    assert.match(contentHash ?? '', /^v1\.[0-9a-f]{64}$/);
    assert.deepEqual(
      { ...secret, data: undefined, metadata: { ...secret.metadata, annotations: others } },
      {
        apiVersion: 'v1',
        kind: 'Secret',
        type: 'Opaque',
        data: undefined,
        metadata: { ...METADATA, annotations },
      },
    );
    assert.deepEqual(Object.keys(secret.data ?? {}).sort(), keys);
    assert.notEqual(verifyRecord(secret, { uid: UID, shares: false }, T0), undefined);
  });
}

test('the values are base64 of UTF-8', () => {
  const { data } = newSecret(want({ data: { greeting: 'Grüße {{ region }}' } }));
  assert.equal(Buffer.from(data?.['greeting'] ?? '', 'base64').toString(), 'Grüße eu-west-1');
});

test('labels and annotations of spec.secret are there, and noted so that they can go again', () => {
  const { metadata } = newSecret(want({ labels: { team: 'a' }, annotations: { note: 'b' } }));
  assert.equal(metadata.labels?.['team'], 'a');
  assert.equal(metadata.annotations?.['note'], 'b');
  assert.equal(metadata.annotations?.['workloadcredentials.io/metadata-keys'], 'annotation:note,label:team');
});

test('Retain has no owner reference, and a request that was answered is noted', () => {
  const { metadata } = newSecret(want({ deletionPolicy: 'Retain' }, { refreshHandled: 'one' }));
  assert.ok(!Object.hasOwn(metadata, 'ownerReferences'));
  assert.equal(metadata.annotations?.['workloadcredentials.io/refresh-handled'], 'one');
});

test('data that the Secret has already are taken as they are', () => {
  assert.deepEqual(want({}, { data: { base64: { a: 'eA==' } } }).data, { a: 'eA==' });
});

test('a Secret that is as wanted needs no operation', () => {
  assert.deepEqual(patchOperations(stored(want()).metadata, want(), 'keep'), []);
});

test('every patch carries the resourceVersion that it was computed from, first', () => {
  assert.deepEqual(patchOperations(stored(want()).metadata, want(), 'replace')[0], {
    op: 'replace',
    path: '/metadata/resourceVersion',
    value: '7',
  });
});

test('keep does not touch the data', () => {
  const drifted = stored(want(), { labels: {} });
  const operations = patchOperations(drifted.metadata, want(), 'keep');
  assert.ok(operations.length > 0 && operations.every(({ path }) => path !== '/data'));
  assert.deepEqual(apply(drifted, operations), { ...stored(want()), metadata: apply(drifted, operations).metadata });
});

const OTHER = { apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: 'x' };
const ANY_KEY = fc.stringMatching(/^([a-z]{1,5}\.io\/)?[A-Za-z0-9~]([A-Za-z0-9._~-]{0,8}[A-Za-z0-9])?$/);
const foreign = fc.dictionary(
  fc.oneof(fc.constantFrom('constructor', 'toString', 'a/b', 'x~y', 'kubectl.kubernetes.io/last-applied'), ANY_KEY),
  fc.string(),
  { maxKeys: 4 },
);
const ownKey = fc.constantFrom('team', 'note', 'constructor', 'app.kubernetes.io/part-of');
const specs = fc.record({
  formats: fc.subarray(['Files', 'Environment', 'StaticFile'] as const, { minLength: 1 }),
  labels: fc.dictionary(ownKey, fc.constantFrom('', 'a', 'b'), { maxKeys: 3, noNullPrototype: true }),
  annotations: fc.dictionary(ownKey, fc.string(), { maxKeys: 3, noNullPrototype: true }),
  deletionPolicy: fc.constantFrom('Delete' as const, 'Retain' as const),
});

test('the patch makes of any former Secret of ours the wanted one, keeps what is foreign and removes what was dropped', () => {
  const extras = fc.record({ labels: foreign, annotations: foreign, owned: fc.boolean() });
  fc.assert(
    fc.property(
      specs,
      specs,
      extras,
      fc.option(fc.string(), { nil: undefined }),
      (before, after, extra, refreshHandled) => {
        const former = stored(want(before, { requestHash: 'v1.old' }));
        const wanted = want(after, { refreshHandled });
        // Foreign keys are those that neither the former nor the new spec names.
        const isForeign = ([key]: [string, string]): boolean =>
          !Object.hasOwn({ ...before.labels, ...after.labels, ...before.annotations, ...after.annotations }, key);
        const labels = Object.fromEntries(Object.entries(extra.labels).filter(isForeign));
        const annotations = Object.fromEntries(Object.entries(extra.annotations).filter(isForeign));
        const existing = stored(want(before, { requestHash: 'v1.old' }), {
          labels: { ...former.metadata.labels, ...labels },
          annotations: { ...former.metadata.annotations, ...annotations },
          ownerReferences: [...(extra.owned ? [OTHER] : []), ...(former.metadata.ownerReferences ?? [])],
        });
        const result = patched(existing, wanted);
        const goal = stored(wanted);
        const references = [...(extra.owned ? [OTHER] : []), ...(goal.metadata.ownerReferences ?? [])];
        assert.deepEqual(result.metadata.labels, { ...labels, ...goal.metadata.labels });
        assert.deepEqual(result.metadata.annotations, { ...annotations, ...goal.metadata.annotations });
        assert.deepEqual(result.metadata.ownerReferences ?? [], references);
        assert.deepEqual(result.data, goal.data);
        assert.deepEqual(patchOperations(result.metadata, wanted, 'keep'), [], 'and then there is nothing left to do');
      },
    ),
  );
});

test('a bare Secret gets maps where it has none', () => {
  const bare: Secret = { metadata: { name: NAME, namespace: NAMESPACE, uid: 'u', resourceVersion: '7' } };
  assert.deepEqual(patched(bare, want()), {
    metadata: stored(want()).metadata,
    data: stored(want()).data,
  });
});

test('a key that was dropped and is gone already is not removed again', () => {
  const existing = stored(want({ labels: { constructor: 'a' } }), { labels: { ...METADATA.labels } });
  assert.deepEqual(patched(existing, want()).metadata.labels, METADATA.labels);
  const paths = patchOperations(existing.metadata, want(), 'keep').map(({ path }) => path);
  assert.ok(!paths.includes('/metadata/labels/constructor'), paths.join(' '));
});

test('a key is a JSON Pointer in a patch, whatever characters it has', () => {
  const annotations = {
    ...METADATA.annotations,
    'a~1b/c': 'x',
    'workloadcredentials.io/metadata-keys': 'annotation:a~1b/c',
  };
  const paths = patchOperations(stored(want(), { annotations }).metadata, want(), 'keep').map(({ path }) => path);
  assert.ok(paths.includes('/metadata/annotations/a~01b~1c'), paths.join(' '));
});

for (const [what, references] of Object.entries({
  'was taken away': [],
  'is no controller any more': [{ ...METADATA.ownerReferences[0], controller: false }],
  'blocks the deletion of its owner': [{ ...METADATA.ownerReferences[0], blockOwnerDeletion: true }],
  'stands there twice': [METADATA.ownerReferences[0], METADATA.ownerReferences[0]],
})) {
  test(`our owner reference that ${what} is put back`, () => {
    const existing = stored(want(), { ownerReferences: [OTHER, ...references] as never });
    assert.deepEqual(patched(existing, want()).metadata.ownerReferences, [OTHER, ...METADATA.ownerReferences]);
  });
}

test('Retain takes our reference away, and the list with it when it was the last', () => {
  const retained = want({ deletionPolicy: 'Retain' });
  assert.ok(!Object.hasOwn(patched(stored(want()), retained).metadata, 'ownerReferences'));
  const shared = stored(want(), { ownerReferences: [OTHER, ...METADATA.ownerReferences] });
  assert.deepEqual(patched(shared, retained).metadata.ownerReferences, [OTHER]);
});

describe('in a Secret that was handed over', () => {
  const shared = (spec: SecretSpec = {}, change: Partial<SecretInput> = {}): WantedSecret =>
    want(spec, { shares: true, ...change });
  const OWNERS: Secret = {
    type: 'Opaque',
    metadata: {
      name: NAME,
      namespace: NAMESPACE,
      uid: 'u',
      resourceVersion: '7',
      labels: { 'workloadcredentials.io/name': NAME, team: 'theirs' },
      annotations: { 'workloadcredentials.io/adopt': NAME, note: 'theirs' },
    },
    data: { theirs: 'eA==', config: 'b2xk' },
  };
  const adopt = (secret: Secret, wanted: WantedSecret): Secret =>
    apply(secret, patchOperations(secret.metadata, wanted, 'replace', sharedInLive(secret)));

  test('only keys are written, each by itself, and the notes say which', () => {
    const wanted = shared();
    const paths = patchOperations(OWNERS.metadata, wanted, 'replace', sharedInLive(OWNERS)).map(({ path }) => path);
    assert.equal(paths[0], '/metadata/resourceVersion');
    assert.ok(!paths.includes('/data') && paths.includes('/data/config'), paths.join(' '));
    const { metadata, data } = adopt(OWNERS, wanted);
    assert.deepEqual(data, { theirs: 'eA==', ...wanted.data });
    const { [`workloadcredentials.io/content-hash`]: contentHash, ...annotations } = metadata.annotations ?? {};
    assert.match(contentHash ?? '', /^v1\./);
    const { 'workloadcredentials.io/owner-uid': _owner, ...others } = RESTARTING;
    assert.deepEqual(annotations, {
      ...OWNERS.metadata.annotations,
      ...others,
      'workloadcredentials.io/adopter-uid': UID,
      'workloadcredentials.io/data-keys': 'config,credentials.json',
    });
    assert.deepEqual(metadata.labels, OWNERS.metadata.labels);
    assert.equal(metadata.ownerReferences, undefined);
  });

  test('whose data are none, they are made first', () => {
    const { data: _none, ...empty } = OWNERS;
    assert.deepEqual(adopt(empty, shared()).data, shared().data);
  });

  test('of which nothing is known but its resourceVersion is patched all the same', () => {
    const spec = { labels: { team: 'ours' }, annotations: { note: 'ours' } };
    const bare: Secret = { metadata: { name: NAME, namespace: NAMESPACE, uid: 'u', resourceVersion: '7' }, data: {} };
    const { data, metadata } = apply(bare, patchOperations(bare.metadata, shared(spec), 'replace'));
    assert.deepEqual(data, shared(spec).data);
    assert.deepEqual([metadata.labels?.['team'], metadata.annotations?.['note']], ['ours', 'ours']);
  });

  test('the owner UID of a former resource and our own reference go, so that nothing makes it ours whole', () => {
    const retained = {
      ...OWNERS,
      metadata: {
        ...OWNERS.metadata,
        annotations: { ...OWNERS.metadata.annotations, 'workloadcredentials.io/owner-uid': 'x' },
        ownerReferences: [{ ...OTHER }, { ...OTHER, name: NAME, uid: UID }],
      },
    };
    const { metadata } = adopt(retained, shared({ deletionPolicy: 'Delete' }));
    assert.equal(metadata.annotations?.['workloadcredentials.io/owner-uid'], undefined);
    assert.deepEqual(metadata.ownerReferences, [OTHER]);
  });

  test("backups and restarts stay their owner's to decide", () => {
    const decided = {
      ...OWNERS,
      metadata: {
        ...OWNERS.metadata,
        labels: { ...OWNERS.metadata.labels, 'velero.io/exclude-from-backup': 'false' },
        annotations: { ...OWNERS.metadata.annotations, 'reloader.stakater.com/ignore': 'false' },
      },
    };
    const { metadata } = adopt(decided, shared());
    assert.equal(metadata.labels?.['velero.io/exclude-from-backup'], 'false');
    assert.equal(metadata.annotations?.['reloader.stakater.com/ignore'], 'false');
  });

  test('a label or annotation that its owner has set is not overwritten, and does not go with the spec', () => {
    const spec = { labels: { team: 'ours', tier: 'ours' }, annotations: { note: 'ours', more: 'ours' } };
    const taken = adopt(OWNERS, shared(spec));
    assert.deepEqual(taken.metadata.labels, { ...OWNERS.metadata.labels, tier: 'ours' });
    assert.equal(taken.metadata.annotations?.['note'], 'theirs');
    assert.equal(taken.metadata.annotations['more'], 'ours');
    assert.equal(taken.metadata.annotations['workloadcredentials.io/metadata-keys'], 'annotation:more,label:tier');
    assert.deepEqual(patchOperations(taken.metadata, shared(spec), 'keep'), [], 'and that is no drift');
    const dropped = adopt(taken, shared());
    assert.deepEqual(dropped.metadata.labels, OWNERS.metadata.labels);
    assert.equal(dropped.metadata.annotations?.['note'], 'theirs');
    assert.equal(dropped.metadata.annotations['more'], undefined);
  });

  test('keys that we wrote and write no more go; a forged note removes nothing of others', () => {
    const files = adopt(OWNERS, shared());
    const variables = shared({ formats: ['Environment'] });
    assert.deepEqual(adopt(files, variables).data, { theirs: 'eA==', ...variables.data });
    const note = { 'workloadcredentials.io/data-keys': 'config,credentials.json,theirs' };
    const forged = {
      ...files,
      metadata: { ...files.metadata, annotations: { ...files.metadata.annotations, ...note } },
    };
    assert.deepEqual(adopt(forged, variables).data, { ...files.data, ...variables.data });
  });

  test('any change of spec.secret, by any way, leaves what is not ours as it was', () => {
    const theirData = fc.dictionary(fc.stringMatching(/^t[-._a-zA-Z0-9]{0,8}$/), fc.base64String({ minLength: 4 }), {
      maxKeys: 4,
      noNullPrototype: true,
    });
    const templates = fc.dictionary(
      fc.constantFrom('one', 'two', 'constructor'),
      fc.string().map((text) => text.replaceAll('{', '')),
      {
        maxKeys: 3,
        noNullPrototype: true,
      },
    );
    fc.assert(
      fc.property(theirData, fc.array(fc.tuple(specs, templates), { minLength: 1, maxLength: 3 }), (theirs, steps) => {
        let secret: Secret = { ...OWNERS, data: theirs };
        for (const [spec, data] of steps) {
          const wanted = shared({ ...spec, data });
          secret = adopt(secret, wanted);
          assert.deepEqual(secret.data, { ...theirs, ...wanted.data });
          assert.equal(secret.metadata.labels?.['team'], 'theirs');
          assert.equal(secret.metadata.annotations?.['note'], 'theirs');
          assert.equal(secret.metadata.annotations['workloadcredentials.io/adopt'], NAME);
          assert.notEqual(verifyRecord(secret, { uid: UID, shares: true }, T0), undefined);
          assert.deepEqual(patchOperations(secret.metadata, wanted, 'keep'), []);
        }
      }),
    );
  });
});
