// Promises: deletion: preconditions, propagation, finalizers, the garbage collector and namespaces.
import assert from 'node:assert/strict';
import type { JSONValue } from '../client.ts';
import type { ConformanceCase, Scene } from '../scene.ts';
import { configMap, credential, lease, secret } from './samples.ts';

function ownedBy(owner: JSONValue, more: object = {}): object {
  const { apiVersion, kind, metadata } = owner;
  return { ownerReferences: [{ apiVersion, kind, name: metadata.name, uid: metadata.uid, ...more }] };
}

async function makeOwned(s: Scene, more: object = {}): Promise<JSONValue> {
  const owner = await s.post(s.configMaps(), configMap('owner'));
  await s.post(s.secrets(), secret('owned', { metadata: { name: 'owned', ...ownedBy(owner, more) } }));
  return owner;
}

export const deletionCases: readonly ConformanceCase[] = [
  {
    name: 'a deletion with the right preconditions',
    run: async (s) => {
      const { metadata } = await s.post(s.secrets(), secret('a'));
      const { uid, resourceVersion } = metadata;
      const options = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid, resourceVersion } };
      await s.delete(s.secrets('a'), options);
      await s.get(s.secrets('a'), 404);
    },
  },
  {
    name: 'a deletion with another uid',
    run: async (s) => {
      await s.post(s.secrets(), secret('a'));
      const uid = '11111111-2222-4333-8444-555555555555';
      await s.delete(s.secrets('a'), { preconditions: { uid } }, 409);
      await s.get(s.secrets('a'));
    },
  },
  {
    name: 'a deletion with a stale resourceVersion',
    run: async (s) => {
      const { metadata } = await s.post(s.secrets(), secret('a'));
      await s.merge(s.secrets('a'), { metadata: { labels: { a: 'b' } } });
      const { resourceVersion } = metadata;
      await s.delete(s.secrets('a'), { preconditions: { resourceVersion } }, 409);
    },
  },
  {
    name: 'a deletion whose options are wrong',
    run: async (s) => {
      await s.post(s.secrets(), secret('a'));
      await s.delete(s.secrets('a'), { propagationPolicy: 'Sideways' }, 422);
      await s.delete(s.secrets('a'), { kind: 'Secret', apiVersion: 'v1' }, 400);
      await s.delete(s.secrets('a'), '{', 400);
      await s.delete(`${s.secrets('a')}?propagationPolicy=Sideways`, undefined, 422);
    },
  },
  {
    name: 'a Lease and a ServiceAccount are deleted',
    run: async (s) => {
      await s.post(s.leases(), lease('a'));
      await s.post(s.accounts(), { metadata: { name: 'a' } });
      await s.delete(s.leases('a'));
      await s.delete(s.accounts('a'));
    },
  },
  {
    name: 'a deletion that is tried dry',
    run: async (s) => {
      await s.post(s.secrets(), secret('a'));
      await s.delete(s.secrets('a'), { dryRun: ['All'] });
      await s.get(s.secrets('a'));
    },
  },
  {
    name: 'a deletion whose body replaces its query',
    run: async (s) => {
      await s.post(s.secrets(), secret('a'));
      // A surprise worth knowing: the wish for a dry run in the query is not read when there is a body.
      await s.delete(`${s.secrets('a')}?dryRun=All`, { preconditions: {} });
      await s.get(s.secrets('a'), 404);
    },
  },
  {
    name: 'a finalizer holds an object until it is taken off',
    run: async (s) => {
      await s.post(s.configMaps(), configMap('a', { finalizers: ['example.com/hold'] }));
      const held = await s.delete(s.configMaps('a'));
      assert.ok(held.metadata.deletionTimestamp !== undefined);
      await s.delete(s.configMaps('a'));
      await s.post(s.configMaps(), configMap('a'), 409);
      await s.merge(s.configMaps('a'), { metadata: { labels: { still: 'here' } } });
      await s.jsonPatch(s.configMaps('a'), [{ op: 'remove', path: '/metadata/finalizers' }]);
      await s.get(s.configMaps('a'), 404);
    },
  },
  {
    name: 'an object that is being deleted takes no new finalizer',
    run: async (s) => {
      await s.post(s.configMaps(), configMap('a', { finalizers: ['example.com/hold', 'example.com/more'] }));
      await s.delete(s.configMaps('a'));
      await s.merge(s.configMaps('a'), { metadata: { finalizers: ['example.com/hold'] } });
      await s.merge(s.configMaps('a'), { metadata: { finalizers: ['example.com/hold', 'example.com/new'] } }, 422);
      await s.merge(s.configMaps('a'), { metadata: { finalizers: null } });
    },
  },
  {
    name: 'a custom resource with a finalizer',
    run: async (s) => {
      await s.post(s.credentials(), credential('orders', {}, { finalizers: ['example.com/hold'] }));
      const held = await s.delete(s.credentials('orders'));
      assert.equal(held.metadata.generation, 2);
      await s.merge(s.credentials('orders'), { metadata: { finalizers: [] } });
      await s.get(s.credentials('orders'), 404);
    },
  },
  {
    name: 'a custom resource is deleted',
    run: async (s) => {
      const made = await s.post(s.credentials(), credential('orders'));
      const { uid } = made.metadata;
      await s.delete(s.credentials('orders'), { preconditions: { uid: '11111111-2222-4333-8444-555555555555' } }, 409);
      await s.delete(s.credentials('orders'), { preconditions: { uid } });
      await s.delete(s.credentials('orders'), undefined, 404);
    },
  },
  {
    name: 'what is owned goes with its owner',
    run: async (s) => {
      await makeOwned(s);
      await s.delete(s.configMaps('owner'));
      await s.gone(s.secrets('owned'));
    },
  },
  {
    name: 'what a custom resource owns goes with it',
    slow: true,
    run: async (s) => {
      const owner = await s.post(s.credentials(), credential('orders'));
      const reference = ownedBy(owner, { controller: true, blockOwnerDeletion: false });
      await s.post(s.secrets(), secret('orders', { metadata: { name: 'orders', ...reference } }));
      await s.delete(s.credentials('orders'));
      await s.gone(s.secrets('orders'));
    },
  },
  {
    name: 'what is made for an owner that is gone goes too',
    run: async (s) => {
      const owner = await s.post(s.configMaps(), configMap('owner'));
      await s.delete(s.configMaps('owner'));
      await s.post(s.secrets(), secret('owned', { metadata: { name: 'owned', ...ownedBy(owner) } }));
      await s.gone(s.secrets('owned'));
    },
  },
  {
    name: 'what is orphaned stays without its owner',
    run: async (s) => {
      await makeOwned(s);
      await s.delete(s.configMaps('owner'), { propagationPolicy: 'Orphan' });
      await s.gone(s.configMaps('owner'));
      const left = await s.get(s.secrets('owned'));
      assert.equal(left.metadata.ownerReferences, undefined);
    },
  },
  {
    name: 'an owner that is deleted in the foreground goes last',
    run: async (s) => {
      const owner = await s.post(s.configMaps(), configMap('owner'));
      const metadata = {
        name: 'owned',
        finalizers: ['example.com/hold'],
        ...ownedBy(owner, { blockOwnerDeletion: true }),
      };
      await s.post(s.secrets(), secret('owned', { metadata }));
      const held = await s.delete(s.configMaps('owner'), { propagationPolicy: 'Foreground' });
      assert.deepEqual(held.metadata.finalizers, ['foregroundDeletion']);
      await s.eventually(s.secrets('owned'), ({ body }) => body.metadata.deletionTimestamp !== undefined);
      await s.get(s.configMaps('owner'));
      await s.merge(s.secrets('owned'), { metadata: { finalizers: null } });
      await s.gone(s.configMaps('owner'));
    },
  },
  {
    name: 'foreground deletion of what owns nothing',
    run: async (s) => {
      await s.post(s.configMaps(), configMap('a'));
      await s.delete(`${s.configMaps('a')}?propagationPolicy=Foreground`);
      await s.gone(s.configMaps('a'));
    },
  },
  {
    name: 'one of two owners goes',
    run: async (s) => {
      const [one, two] = [
        await s.post(s.configMaps(), configMap('one')),
        await s.post(s.configMaps(), configMap('two')),
      ];
      const ownerReferences = [one, two].map(({ metadata }) => ({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        name: metadata.name,
        uid: metadata.uid,
      }));
      await s.post(s.secrets(), secret('owned', { metadata: { name: 'owned', ownerReferences } }));
      await s.delete(s.configMaps('one'));
      const left = await s.eventually(
        s.secrets('owned'),
        ({ status, body }) => status === 200 && body.metadata.ownerReferences.length === 1,
      );
      assert.equal(left.metadata.ownerReferences[0].name, 'two');
    },
  },
  {
    name: 'a collection is deleted by label',
    run: async (s) => {
      for (const name of ['a', 'b', 'c']) {
        const labels = { keep: name === 'b' ? 'yes' : 'no' };
        await s.post(s.secrets(), secret(name, { metadata: { name, labels } }));
      }
      await s.delete(`${s.secrets()}?labelSelector=keep%3Dno`);
      const left = await s.get(s.secrets());
      assert.deepEqual(
        left.items.map(({ metadata }: JSONValue) => metadata.name),
        ['b'],
      );
    },
  },
  {
    name: 'a namespace goes with everything in it',
    slow: true,
    run: async (s) => {
      const path = `/api/v1/namespaces/${s.namespace}`;
      await s.post(s.configMaps(), configMap('held', { finalizers: ['example.com/hold'] }));
      await s.post(s.secrets(), secret('a'));
      await s.post(s.credentials(), credential('orders'));
      const deleted = await s.delete(path);
      assert.equal(deleted.status.phase, 'Terminating');
      await s.gone(s.secrets('a'));
      await s.gone(s.credentials('orders'));
      await s.eventually(s.configMaps('held'), ({ body }) => body.metadata.deletionTimestamp !== undefined);
      await s.eventually(path, ({ status }) => status === 200, {
        pick: ({ spec, status }) => ({ spec, phase: status.phase }),
      });
      await s.merge(s.configMaps('held'), { metadata: { finalizers: null } });
      await s.gone(path);
    },
  },
  {
    name: 'nothing is made in a namespace that is going',
    run: async (s) => {
      await s.post(s.configMaps(), configMap('held', { finalizers: ['example.com/hold'] }));
      await s.delete(`/api/v1/namespaces/${s.namespace}`);
      const refused = await s.post(s.secrets(), secret('a'), 403);
      assert.equal(refused.details.causes[0].reason, 'NamespaceTerminating');
      await s.post(s.credentials(), credential('orders'), 403);
      await s.put(s.leases('a'), lease('a'), 403);
      await s.post(s.secrets(), { metadata: { generateName: 'a-' } }, 403);
      // Not recorded: the namespace controller may have come before or not.
      await s.send('PATCH', s.configMaps('held'), 200, {
        body: { metadata: { finalizers: null } },
        headers: { 'content-type': 'application/merge-patch+json' },
        record: false,
      });
    },
  },
  {
    name: 'a namespace that is not there',
    run: async (s) => {
      await s.delete('/api/v1/namespaces/nowhere', undefined, 404);
      await s.get('/api/v1/namespaces/nowhere', 404);
    },
  },
];
