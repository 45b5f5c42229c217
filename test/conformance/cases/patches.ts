// Promises: JSON patches and merge patches, as the operator and kubectl send them.
import assert from 'node:assert/strict';
import type { ConformanceCase } from '../scene.ts';
import { configMap, credential, lease, ONE, secret, TWO } from './samples.ts';

export const patchCases: readonly ConformanceCase[] = [
  {
    name: 'a JSON patch replaces data whole and a label',
    run: async (s) => {
      const metadata = { name: 'a', labels: { foreign: 'x', own: 'old' } };
      const made = await s.post(s.secrets(), secret('a', { metadata, data: { key: ONE, old: ONE } }));
      const patched = await s.jsonPatch(
        s.secrets('a'),
        [
          { op: 'replace', path: '/metadata/resourceVersion', value: made.metadata.resourceVersion },
          { op: 'replace', path: '/data', value: { key: TWO } },
          { op: 'add', path: '/metadata/labels/own', value: 'new' },
          { op: 'add', path: '/metadata/annotations', value: { 'example.com~1no': 'x' } },
        ],
        422,
      );
      assert.equal(patched.reason, 'Invalid');
      const good = await s.jsonPatch(s.secrets('a'), [
        { op: 'replace', path: '/metadata/resourceVersion', value: made.metadata.resourceVersion },
        { op: 'replace', path: '/data', value: { key: TWO } },
        { op: 'add', path: '/metadata/labels/example.com~1own', value: 'new' },
      ]);
      assert.deepEqual(good.data, { key: TWO });
      assert.deepEqual(good.metadata.labels, { foreign: 'x', own: 'old', 'example.com/own': 'new' });
    },
  },
  {
    name: 'a JSON patch with a stale resourceVersion is a conflict',
    run: async (s) => {
      const made = await s.post(s.secrets(), secret('a'));
      await s.merge(s.secrets('a'), { data: { key: TWO } });
      const refused = await s.jsonPatch(
        s.secrets('a'),
        [
          { op: 'replace', path: '/metadata/resourceVersion', value: made.metadata.resourceVersion },
          { op: 'replace', path: '/data', value: {} },
        ],
        409,
      );
      assert.equal(refused.reason, 'Conflict');
      assert.deepEqual((await s.get(s.secrets('a'))).data, { key: TWO });
    },
  },
  {
    name: 'a JSON patch of what is gone',
    run: async (s) => {
      await s.jsonPatch(s.secrets('a'), [{ op: 'replace', path: '/data', value: {} }], 404);
      await s.merge(s.secrets('a'), {}, 404);
    },
  },
  {
    name: 'a JSON patch tests',
    run: async (s) => {
      await s.post(s.secrets(), secret('a'));
      await s.jsonPatch(s.secrets('a'), [
        { op: 'test', path: '/data/key', value: ONE },
        { op: 'replace', path: '/data/key', value: TWO },
      ]);
      await s.jsonPatch(
        s.secrets('a'),
        [
          { op: 'test', path: '/data/key', value: ONE },
          { op: 'remove', path: '/data/key' },
        ],
        422,
      );
      await s.jsonPatch(s.secrets('a'), [{ op: 'test', path: '/data/none', value: ONE }], 422);
      await s.jsonPatch(s.secrets('a'), [{ op: 'test', path: '/metadata/finalizers', value: null }]);
    },
  },
  {
    name: 'a JSON patch to a missing path',
    run: async (s) => {
      await s.post(s.configMaps(), configMap('a'));
      await s.jsonPatch(s.configMaps('a'), [{ op: 'replace', path: '/data/none', value: 'x' }]);
      await s.jsonPatch(s.configMaps('a'), [{ op: 'remove', path: '/data/absent' }], 422);
      await s.jsonPatch(s.configMaps('a'), [{ op: 'add', path: '/metadata/labels/a', value: 'x' }], 422);
      await s.jsonPatch(s.configMaps('a'), [{ op: 'remove', path: '/data' }]);
      await s.jsonPatch(s.configMaps('a'), [{ op: 'replace', path: '/data', value: { key: 'x' } }]);
    },
  },
  {
    name: 'JSON patches that copy, move and remove',
    run: async (s) => {
      await s.post(s.configMaps(), configMap('a'));
      await s.jsonPatch(s.configMaps('a'), [{ op: 'copy', from: '/data/key', path: '/data/copied' }]);
      await s.jsonPatch(s.configMaps('a'), [{ op: 'move', from: '/data/key', path: '/data/moved' }]);
      const removed = await s.jsonPatch(s.configMaps('a'), [{ op: 'remove', path: '/data/moved' }]);
      assert.deepEqual(removed.data, { copied: 'one' });
      await s.jsonPatch(s.configMaps('a'), [{ op: 'copy', from: '/data/none', path: '/data/x' }]);
    },
  },
  {
    name: 'a JSON patch of lists',
    run: async (s) => {
      await s.post(s.configMaps(), configMap('a', { finalizers: ['example.com/a', 'example.com/b'] }));
      await s.jsonPatch(s.configMaps('a'), [{ op: 'add', path: '/metadata/finalizers/-', value: 'example.com/c' }]);
      await s.jsonPatch(s.configMaps('a'), [{ op: 'add', path: '/metadata/finalizers/0', value: 'example.com/d' }]);
      await s.jsonPatch(s.configMaps('a'), [{ op: 'remove', path: '/metadata/finalizers/9' }], 422);
      const left = await s.jsonPatch(s.configMaps('a'), [{ op: 'remove', path: '/metadata/finalizers/1' }]);
      assert.deepEqual(left.metadata.finalizers, ['example.com/d', 'example.com/b', 'example.com/c']);
    },
  },
  {
    name: 'a JSON patch with an unknown operation',
    run: async (s) => {
      await s.post(s.configMaps(), configMap('a'));
      await s.jsonPatch(s.configMaps('a'), [{ op: 'frob', path: '/data' }], 422);
      await s.jsonPatch(s.configMaps('a'), [{ path: '/data' }], 422);
    },
  },
  {
    name: 'a JSON patch that is no list of operations',
    run: async (s) => {
      await s.post(s.configMaps(), configMap('a'));
      await s.jsonPatch(s.configMaps('a'), {}, 400);
      await s.jsonPatch(s.configMaps('a'), '[', 400);
      await s.jsonPatch(s.configMaps('a'), 'x', 400);
    },
  },
  {
    name: 'a JSON patch without operations writes nothing',
    run: async (s) => {
      const made = await s.post(s.configMaps(), configMap('a'));
      const same = await s.jsonPatch(s.configMaps('a'), []);
      assert.equal(same.metadata.resourceVersion, made.metadata.resourceVersion);
    },
  },
  {
    name: 'a patch that makes the object invalid',
    run: async (s) => {
      await s.post(s.secrets(), secret('a'));
      await s.jsonPatch(s.secrets('a'), [{ op: 'add', path: '/data/a b', value: ONE }], 422);
      await s.jsonPatch(s.secrets('a'), [{ op: 'replace', path: '/data', value: 'x' }], 422);
      await s.merge(s.secrets('a'), { data: { key: '!' } }, 422);
      await s.merge(s.secrets('a'), { metadata: { labels: { a: 'x y' } } }, 422);
      await s.merge(s.secrets('a'), { metadata: { labels: { a: 5 } } }, 422);
    },
  },
  {
    name: 'a patch may not change who an object is',
    run: async (s) => {
      await s.post(s.configMaps(), configMap('a'));
      await s.merge(s.configMaps('a'), { metadata: { name: 'b' } }, 400);
      await s.merge(s.configMaps('a'), { metadata: { namespace: 'elsewhere' } }, 400);
    },
  },
  {
    name: 'a patch with another uid',
    run: async (s) => {
      await s.post(s.configMaps(), configMap('a'));
      await s.merge(s.configMaps('a'), { metadata: { uid: '11111111-2222-4333-8444-555555555555' } }, 422);
    },
  },
  {
    name: 'a merge patch adds, changes and removes by null',
    run: async (s) => {
      await s.post(s.configMaps(), configMap('a', { labels: { one: 'x', two: 'y' } }));
      const patched = await s.merge(s.configMaps('a'), {
        metadata: { labels: { one: null, three: 'z' } },
        data: { key: null, more: 'm' },
      });
      assert.deepEqual(patched.metadata.labels, { two: 'y', three: 'z' });
      assert.deepEqual(patched.data, { more: 'm' });
      await s.merge(s.configMaps('a'), { data: null });
    },
  },
  {
    name: 'a merge patch replaces lists',
    run: async (s) => {
      await s.post(s.configMaps(), configMap('a', { finalizers: ['example.com/a', 'example.com/b'] }));
      const patched = await s.merge(s.configMaps('a'), { metadata: { finalizers: ['example.com/c'] } });
      assert.deepEqual(patched.metadata.finalizers, ['example.com/c']);
      await s.merge(s.configMaps('a'), { metadata: { finalizers: null } });
    },
  },
  {
    name: 'a merge patch with a resourceVersion is a precondition',
    run: async (s) => {
      const made = await s.post(s.configMaps(), configMap('a'));
      const { resourceVersion } = made.metadata;
      await s.merge(s.configMaps('a'), { metadata: { resourceVersion }, data: { key: 'two' } });
      await s.merge(s.configMaps('a'), { metadata: { resourceVersion }, data: { key: 'three' } }, 409);
    },
  },
  {
    name: 'a merge patch without effect writes nothing',
    run: async (s) => {
      const made = await s.post(s.configMaps(), configMap('a'));
      const same = await s.merge(s.configMaps('a'), { data: { key: 'one' } });
      assert.equal(same.metadata.resourceVersion, made.metadata.resourceVersion);
    },
  },
  {
    name: 'a merge patch that is no object',
    run: async (s) => {
      await s.post(s.configMaps(), configMap('a'));
      await s.merge(s.configMaps('a'), '[]', 400);
      await s.merge(s.configMaps('a'), '{', 400);
    },
  },
  {
    name: 'a merge patch of a Lease',
    run: async (s) => {
      await s.post(s.leases(), lease('a'));
      await s.merge(s.leases('a'), { spec: { renewTime: '2020-01-01T00:00:05.000000Z' } });
      await s.merge(s.leases('a'), { spec: { renewTime: '2020-01-01T00:00:05Z' } }, 422);
    },
  },
  {
    name: 'a strategic merge patch of maps',
    run: async (s) => {
      await s.post(s.configMaps(), configMap('a', { labels: { one: 'x' } }));
      const type = 'application/strategic-merge-patch+json';
      await s.patch(s.configMaps('a'), type, { metadata: { labels: { one: null, two: 'y' } }, data: { more: 'm' } });
    },
  },
  {
    name: 'a strategic merge patch merges owner references by uid and finalizers as a set',
    run: async (s) => {
      const owner = (uid: string): object => ({ apiVersion: 'v1', kind: 'Namespace', name: s.namespace, uid });
      const { metadata } = await s.get(`/api/v1/namespaces/${s.namespace}`);
      await s.post(s.configMaps(), configMap('a', { finalizers: ['example.com/a'] }));
      const type = 'application/strategic-merge-patch+json';
      await s.patch(s.configMaps('a'), type, { metadata: { ownerReferences: [owner(metadata.uid)] } });
      const patched = await s.patch(s.configMaps('a'), type, { metadata: { finalizers: ['example.com/b'] } });
      assert.equal(patched.metadata.finalizers.length, 2);
    },
  },
  {
    name: 'a strategic merge patch of a custom resource is not served',
    run: async (s) => {
      await s.post(s.credentials(), credential('orders'));
      await s.patch(s.credentials('orders'), 'application/strategic-merge-patch+json', {}, 415);
    },
  },
];
