// Promises: watches: where they start, what they tell, how they end.
import assert from 'node:assert/strict';
import type { JSONValue } from '../client.ts';
import type { ConformanceCase, Scene } from '../scene.ts';
import { configMap, credential, lease, newEvent, secret, TWO } from './samples.ts';

const PARTIAL = { accept: 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io' };
const TABLE = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' };

/** An ERROR event's revisions are each server's own. */
const types = (events: readonly JSONValue[]): string[] => events.map(({ type }) => type);

/** The list's version: a watch from it sees what comes after. */
async function now(s: Scene, path: string): Promise<string> {
  return (await s.get(path, 200, { record: false })).metadata.resourceVersion as string;
}

const labelled = (name: string, labels: object): object => secret(name, { metadata: { name, labels } });

export const watchCases: readonly ConformanceCase[] = [
  {
    name: 'a watch from a list sees what comes after',
    run: async (s) => {
      await s.post(s.secrets(), secret('before'));
      const watch = await s.watch(`${s.secrets()}?watch=true&resourceVersion=${await now(s, s.secrets())}`);
      await s.post(s.secrets(), secret('a'));
      await s.merge(s.secrets('a'), { data: { key: TWO } });
      await s.delete(s.secrets('a'));
      const events = await watch.take(3);
      assert.deepEqual(types(events), ['ADDED', 'MODIFIED', 'DELETED']);
      assert.equal(events[2].object.data.key, TWO, 'DELETED carries the last state');
      assert.ok(Number(events[2].object.metadata.resourceVersion) > Number(events[1].object.metadata.resourceVersion));
    },
  },
  {
    name: 'a watch from the past replays it',
    run: async (s) => {
      const version = await now(s, s.secrets());
      await s.post(s.secrets(), secret('a'));
      await s.put(s.secrets('a'), secret('a', { data: { key: TWO } }));
      await s.post(s.secrets(), secret('b'));
      await s.delete(s.secrets('a'));
      const watch = await s.watch(`${s.secrets()}?watch=1&resourceVersion=${version}`);
      assert.deepEqual(types(await watch.take(4)), ['ADDED', 'MODIFIED', 'ADDED', 'DELETED']);
    },
  },
  {
    name: 'a watch from nothing shows what is there first',
    run: async (s) => {
      await s.post(s.secrets(), secret('b'));
      await s.post(s.secrets(), secret('a'));
      const watch = await s.watch(`${s.secrets()}?watch=true`);
      const events = await watch.take(2);
      assert.deepEqual(types(events), ['ADDED', 'ADDED']);
      await s.post(s.secrets(), secret('c'));
      await watch.take(1);
    },
  },
  {
    name: 'a watch that is selected by label sees objects come and go',
    run: async (s) => {
      const version = await now(s, s.secrets());
      const watch = await s.watch(`${s.secrets()}?watch=true&resourceVersion=${version}&labelSelector=in%3Dyes`);
      await s.post(s.secrets(), labelled('a', { in: 'no' }));
      await s.merge(s.secrets('a'), { metadata: { labels: { in: 'yes' } } });
      await s.merge(s.secrets('a'), { data: { key: TWO } });
      await s.merge(s.secrets('a'), { metadata: { labels: { in: null } } });
      await s.delete(s.secrets('a'));
      await s.post(s.secrets(), labelled('last', { in: 'yes' }));
      const events = await watch.take(4);
      assert.deepEqual(types(events), ['ADDED', 'MODIFIED', 'DELETED', 'ADDED']);
      assert.deepEqual(events[2].object.metadata.labels, { in: 'yes' }, 'DELETED carries the last state that matched');
    },
  },
  {
    name: 'a replay that is selected by label sees objects come and go',
    run: async (s) => {
      const version = await now(s, s.secrets());
      await s.post(s.secrets(), labelled('a', { in: 'yes' }));
      await s.merge(s.secrets('a'), { metadata: { labels: { in: 'no' } } });
      await s.post(s.secrets(), labelled('last', { in: 'yes' }));
      const watch = await s.watch(`${s.secrets()}?watch=true&resourceVersion=${version}&labelSelector=in%3Dyes`);
      assert.deepEqual(types(await watch.take(3)), ['ADDED', 'DELETED', 'ADDED']);
    },
  },
  {
    name: 'a watch of one object by field',
    run: async (s) => {
      const version = await now(s, s.credentials());
      const query = `watch=true&resourceVersion=${version}&fieldSelector=metadata.name%3Dorders`;
      const watch = await s.watch(`${s.credentials()}?${query}`);
      await s.post(s.credentials(), credential('billing'));
      await s.post(s.credentials(), credential('orders'));
      await s.merge(`${s.credentials('orders')}/status`, { status: { cloud: 'AWS' } });
      const events = await watch.take(2);
      assert.deepEqual(
        events.map(({ object }) => object.metadata.name),
        ['orders', 'orders'],
      );
    },
  },
  {
    name: 'a watch of metadata only',
    run: async (s) => {
      const version = await now(s, s.secrets());
      const watch = await s.watch(`${s.secrets()}?watch=true&resourceVersion=${version}`, { headers: PARTIAL });
      await s.post(s.secrets(), secret('a'));
      await s.merge(s.secrets('a'), { data: { key: TWO } });
      await s.delete(s.secrets('a'));
      const events = await watch.take(3);
      assert.equal(events[0].object.kind, 'PartialObjectMetadata');
      assert.ok(events.every(({ object }) => object.data === undefined));
    },
  },
  {
    name: 'a watch of tables',
    run: async (s) => {
      const version = await now(s, s.credentials());
      const watch = await s.watch(`${s.credentials()}?watch=true&resourceVersion=${version}`, { headers: TABLE });
      await s.post(s.credentials(), credential('orders'));
      await s.merge(s.credentials('orders'), { metadata: { labels: { a: 'b' } } });
      await watch.take(2);
    },
  },
  {
    name: 'what changes nothing tells nothing',
    run: async (s) => {
      const version = await now(s, s.configMaps());
      const watch = await s.watch(`${s.configMaps()}?watch=true&resourceVersion=${version}&labelSelector=in`);
      await s.post(s.configMaps(), configMap('a', { labels: { in: '' } }));
      await s.merge(s.configMaps('a'), { data: { key: 'one' } });
      await s.merge(`${s.configMaps('a')}?dryRun=All`, { data: { key: 'dry' } });
      await s.post(s.configMaps(), configMap('b', { labels: { in: '' } }));
      const events = await watch.take(2);
      assert.deepEqual(
        events.map(({ object }) => object.metadata.name),
        ['a', 'b'],
      );
    },
  },
  {
    name: 'a deletion that waits for a finalizer is a change',
    run: async (s) => {
      const version = await now(s, s.configMaps());
      const watch = await s.watch(`${s.configMaps()}?watch=true&resourceVersion=${version}&labelSelector=in`);
      await s.post(s.configMaps(), configMap('a', { labels: { in: '' }, finalizers: ['example.com/hold'] }));
      await s.delete(s.configMaps('a'));
      await s.merge(s.configMaps('a'), { metadata: { finalizers: null } });
      assert.deepEqual(types(await watch.take(3)), ['ADDED', 'MODIFIED', 'DELETED']);
    },
  },
  {
    name: 'a watch of Leases and of Events in both groups',
    run: async (s) => {
      const leases = await s.watch(`${s.leases()}?watch=true&resourceVersion=${await now(s, s.leases())}`);
      const core = await s.watch(`${s.coreEvents()}?watch=true&resourceVersion=${await now(s, s.coreEvents())}`);
      const events = await s.watch(`${s.newEvents()}?watch=true&resourceVersion=${await now(s, s.newEvents())}`);
      await s.post(s.leases(), lease('a'));
      await s.post(s.newEvents(), newEvent(s.namespace, 'a'));
      await leases.take(1);
      await core.take(1);
      await events.take(1);
    },
  },
  {
    name: 'a watch of one name by its path is not the way',
    run: async (s) => {
      await s.post(s.secrets(), secret('a'));
      const seen = await s.get(`${s.secrets('a')}?watch=false`);
      assert.equal(seen.metadata.name, 'a');
    },
  },
  {
    name: 'a watch ends after timeoutSeconds',
    run: async (s) => {
      await s.post(s.secrets(), secret('a'));
      const started = Date.now();
      const watch = await s.watch(`${s.secrets()}?watch=true&timeoutSeconds=1`);
      assert.deepEqual(types(await watch.rest()), ['ADDED']);
      assert.ok(Date.now() - started >= 900, 'it must not end before its time');
    },
  },
  {
    name: 'a bookmark carries a version and nothing else',
    run: async (s) => {
      await s.post(s.secrets(), secret('a'));
      const version = await now(s, s.secrets());
      const query = `watch=true&resourceVersion=${version}&allowWatchBookmarks=true&timeoutSeconds=6`;
      const watch = await s.watch(`${s.secrets()}?${query}`);
      const [bookmark] = await watch.until(({ type }) => type === 'BOOKMARK');
      assert.equal(bookmark.type, 'BOOKMARK');
      assert.ok(Number(bookmark.object.metadata.resourceVersion) >= Number(version));
    },
  },
  {
    name: 'a bookmark of metadata only, and of our resource',
    run: async (s) => {
      const query = async (path: string): Promise<string> =>
        `${path}?watch=true&resourceVersion=${await now(s, path)}&allowWatchBookmarks=true&timeoutSeconds=6`;
      const partial = await s.watch(await query(s.secrets()), { headers: PARTIAL });
      const ours = await s.watch(await query(s.credentials()));
      await partial.until(({ type }) => type === 'BOOKMARK');
      await ours.until(({ type }) => type === 'BOOKMARK');
    },
  },
  {
    name: 'no bookmark comes unasked',
    run: async (s) => {
      const watch = await s.watch(
        `${s.secrets()}?watch=true&resourceVersion=${await now(s, s.secrets())}&timeoutSeconds=3`,
      );
      assert.deepEqual(await watch.rest(), []);
    },
  },
  {
    name: 'a watch from before history ends with 410',
    run: async (s) => {
      // Before the definition of our resource was made.
      const watch = await s.watch(`${s.credentials()}?watch=true&resourceVersion=1`);
      const [error] = await watch.rest(4_000);
      assert.equal(error.type, 'ERROR');
      assert.equal(error.object.code, 410);
      assert.equal(error.object.reason, 'Expired');
    },
  },
  {
    name: 'a watch at a version that cannot be read',
    run: async (s) => {
      await s.get(`${s.secrets()}?watch=true&resourceVersion=x`, 500);
      await s.get(`${s.credentials()}?watch=true&resourceVersion=x`, 500);
    },
  },
  {
    name: 'initial events end with a marked bookmark',
    run: async (s) => {
      await s.post(s.secrets(), secret('b'));
      await s.post(s.secrets(), secret('a'));
      const query = 'watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
      const watch = await s.watch(`${s.secrets()}?${query}`);
      const events = await watch.take(3);
      assert.deepEqual(types(events), ['ADDED', 'ADDED', 'BOOKMARK']);
      assert.deepEqual(events[2].object.metadata.annotations, { 'k8s.io/initial-events-end': 'true' });
      await s.post(s.secrets(), secret('c'));
      await watch.until(({ type }) => type === 'ADDED');
    },
  },
  {
    name: 'initial events of metadata, selected',
    run: async (s) => {
      await s.post(s.secrets(), labelled('a', { in: 'yes' }));
      await s.post(s.secrets(), labelled('b', { in: 'no' }));
      const query = 'watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
      const watch = await s.watch(`${s.secrets()}?${query}&labelSelector=in%3Dyes`, { headers: PARTIAL });
      assert.deepEqual(types(await watch.take(2)), ['ADDED', 'BOOKMARK']);
    },
  },
  {
    name: 'initial events of our resource, of which there are none',
    run: async (s) => {
      const query = 'watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
      const watch = await s.watch(`${s.credentials()}?${query}`);
      assert.deepEqual(types(await watch.take(1)), ['BOOKMARK']);
    },
  },
  {
    name: 'a bookmark of a built-in kind shows an empty object of it',
    run: async (s) => {
      const query = 'watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
      const bindings = s.in('rbac.authorization.k8s.io/v1', 'rolebindings');
      const paths = [s.configMaps(), s.accounts(), s.leases(), s.roles(), bindings, s.coreEvents(), s.newEvents()];
      for (const path of [...paths, s.in('v1', 'pods'), s.in('apps/v1', 'deployments'), '/api/v1/namespaces']) {
        const watch = await s.watch(`${path}?${query}&labelSelector=nothing%3Dhere`);
        await watch.take(1);
        watch.close();
      }
    },
  },
  {
    name: 'initial events must be asked for in full',
    run: async (s) => {
      await s.get(`${s.secrets()}?watch=true&sendInitialEvents=true`, 422);
      await s.get(`${s.secrets()}?watch=true&sendInitialEvents=true&resourceVersionMatch=Exact`, 422);
      await s.get(`${s.secrets()}?sendInitialEvents=true&resourceVersionMatch=NotOlderThan`, 422);
      await s.get(`${s.secrets()}?watch=true&resourceVersionMatch=NotOlderThan`, 422);
    },
  },
  {
    name: 'no initial events by wish',
    run: async (s) => {
      await s.post(s.secrets(), secret('a'));
      const query = 'watch=true&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
      const watch = await s.watch(`${s.secrets()}?${query}`);
      await s.post(s.secrets(), secret('b'));
      const events = await watch.until(({ type }) => type === 'ADDED');
      assert.equal(events.at(-1).object.metadata.name, 'b');
    },
  },
];
