// Promises: lists: order, selectors, pages, versions, and the three shapes.
import assert from 'node:assert/strict';
import type { JSONValue } from '../client.ts';
import type { ConformanceCase, Scene } from '../scene.ts';
import { configMap, coreEvent, credential, lease, newEvent, secret } from './samples.ts';

const TABLE = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json' };
const PARTIAL = { accept: 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io' };
const PARTIAL_LIST = { accept: 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io' };

const names = (list: JSONValue): string[] => list.items.map(({ metadata }: JSONValue) => metadata.name);

async function makeSecrets(s: Scene, count = 5): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    const labels = { parity: i % 2 === 0 ? 'even' : 'odd', ...(i === 0 ? { first: '' } : {}) };
    await s.post(s.secrets(), secret(`s${i}`, { metadata: { name: `s${i}`, labels } }), 201, { record: false });
  }
}

async function select(s: Scene, selector: string, status = 200): Promise<JSONValue> {
  return await s.get(`${s.secrets()}?labelSelector=${encodeURIComponent(selector)}`, status);
}

async function fields(s: Scene, path: string, selector: string, status = 200): Promise<JSONValue> {
  return await s.get(`${path}?fieldSelector=${encodeURIComponent(selector)}`, status);
}

/** Descriptions of columns come from Go comments. */
function columns(table: JSONValue): JSONValue {
  const columnDefinitions = table.columnDefinitions.map(({ description: _text, ...rest }: JSONValue) => rest);
  return { ...table, columnDefinitions };
}

export const listCases: readonly ConformanceCase[] = [
  {
    name: 'a list is in the order of names',
    run: async (s) => {
      for (const name of ['b', 'a.b', 'a', 'a-b', 'a0']) await s.post(s.secrets(), secret(name));
      const list = await s.get(s.secrets());
      assert.deepEqual(names(list), ['a', 'a-b', 'a.b', 'a0', 'b']);
    },
  },
  {
    name: 'an empty list',
    run: async (s) => {
      const list = await s.get(s.credentials());
      assert.deepEqual(list.items, []);
      await s.get(s.leases());
    },
  },
  {
    name: 'lists of custom resources name the kind of their items',
    run: async (s) => {
      await s.post(s.credentials(), credential('orders'));
      const list = await s.get(s.credentials());
      assert.equal(list.items[0].kind, 'WorkloadCredential');
    },
  },
  {
    name: 'label selectors',
    run: async (s) => {
      await makeSecrets(s);
      assert.deepEqual(names(await select(s, 'parity=even')), ['s0', 's2', 's4']);
      assert.deepEqual(names(await select(s, 'parity==odd')), ['s1', 's3']);
      assert.deepEqual(names(await select(s, 'parity!=even')), ['s1', 's3']);
      assert.deepEqual(names(await select(s, 'parity in (even, other)')), ['s0', 's2', 's4']);
      assert.deepEqual(names(await select(s, 'parity notin (even)')), ['s1', 's3']);
      assert.deepEqual(names(await select(s, 'first')), ['s0']);
      assert.deepEqual(names(await select(s, '!first')), ['s1', 's2', 's3', 's4']);
      assert.deepEqual(names(await select(s, 'first=')), ['s0']);
      assert.deepEqual(names(await select(s, 'parity=even,!first')), ['s2', 's4']);
      assert.deepEqual(names(await select(s, 'none!=x')), ['s0', 's1', 's2', 's3', 's4']);
    },
  },
  {
    name: 'a label selector with a key that has a domain',
    run: async (s) => {
      const labels = { 'workloadcredentials.io/name': 'orders' };
      await s.post(s.secrets(), secret('a', { metadata: { name: 'a', labels } }));
      await makeSecrets(s, 1);
      assert.deepEqual(names(await select(s, 'workloadcredentials.io/name')), ['a']);
      assert.deepEqual(names(await select(s, 'workloadcredentials.io/name=orders')), ['a']);
    },
  },
  {
    name: 'a label selector that cannot be read',
    run: async (s) => {
      for (const selector of ['a b', 'a in b', '=x', 'a=b=c', 'a=x y']) await select(s, selector, 400);
    },
  },
  {
    name: 'a label selector whose words are not labels',
    run: async (s) => {
      for (const selector of ['a=-', 'a_/b=c', `a=${'x'.repeat(64)}`]) await select(s, selector, 400);
    },
  },
  {
    name: 'field selectors',
    run: async (s) => {
      await makeSecrets(s, 3);
      assert.deepEqual(names(await fields(s, s.secrets(), 'metadata.name=s1')), ['s1']);
      assert.deepEqual(names(await fields(s, s.secrets(), 'metadata.name!=s1')), ['s0', 's2']);
      assert.deepEqual(names(await fields(s, s.secrets(), 'type=Opaque,metadata.name==s2')), ['s2']);
      assert.deepEqual(names(await fields(s, s.secrets(), 'type=none')), []);
    },
  },
  {
    name: 'a field selector on a field that is not offered',
    run: async (s) => {
      await fields(s, s.secrets(), 'data.key=x', 400);
      await fields(s, s.credentials(), 'spec.durationSeconds=3600', 400);
      await fields(s, s.leases(), 'spec.holderIdentity=x', 400);
    },
  },
  {
    name: 'a field selector that cannot be read',
    run: async (s) => {
      await fields(s, s.secrets(), 'metadata.name', 400);
      await fields(s, s.secrets(), 'metadata.name in (a)', 400);
    },
  },
  {
    name: 'selectable fields of our resource',
    run: async (s) => {
      await s.post(s.credentials(), credential('orders'));
      await s.post(s.credentials(), credential('billing', { serviceAccountName: 'billing' }));
      await s.merge(`${s.credentials('billing')}/status`, { status: { cloud: 'AWS' } });
      assert.deepEqual(names(await fields(s, s.credentials(), 'spec.serviceAccountName=billing')), ['billing']);
      assert.deepEqual(names(await fields(s, s.credentials(), 'status.cloud=AWS')), ['billing']);
      assert.deepEqual(names(await fields(s, s.credentials(), 'metadata.name=orders')), ['orders']);
    },
  },
  {
    name: 'fields of Events',
    run: async (s) => {
      await s.post(s.coreEvents(), coreEvent(s.namespace, 'core'));
      await s.post(s.newEvents(), newEvent(s.namespace, 'new'));
      const uid = '11111111-2222-4333-8444-555555555555';
      assert.deepEqual(names(await fields(s, s.coreEvents(), `involvedObject.uid=${uid},involvedObject.kind=Secret`)), [
        'core',
      ]);
      assert.deepEqual(names(await fields(s, s.coreEvents(), 'reason=Issued')), ['new']);
      assert.deepEqual(names(await fields(s, s.newEvents(), 'regarding.name=orders,type=Normal')), ['core', 'new']);
      assert.deepEqual(names(await fields(s, s.newEvents(), 'reportingController=workloadcredentials.io/operator')), [
        'new',
      ]);
    },
  },
  {
    name: 'pages of a list',
    run: async (s) => {
      await makeSecrets(s);
      const first = await s.get(`${s.secrets()}?limit=2`);
      assert.deepEqual(names(first), ['s0', 's1']);
      assert.equal(first.metadata.remainingItemCount, 3);
      const next = encodeURIComponent(first.metadata.continue);
      await s.post(s.secrets(), secret('s11'), 201, { record: false });
      await s.delete(s.secrets('s3'), undefined, 200, { record: false });
      const page = (await s.client.send({ method: 'GET', path: `${s.secrets()}?limit=2&continue=${next}` })).body;
      assert.deepEqual(names(page), ['s2', 's3'], 'a page shows the state of the first one');
      assert.equal(page.metadata.resourceVersion, first.metadata.resourceVersion);
      const last = await s.client.send({
        method: 'GET',
        path: `${s.secrets()}?limit=2&continue=${encodeURIComponent(page.metadata.continue)}`,
      });
      assert.deepEqual(names(last.body), ['s4']);
      assert.ok(!last.body.metadata.continue);
    },
  },
  {
    name: 'pages of our resource',
    run: async (s) => {
      await s.post(s.credentials(), credential('billing'));
      await s.get(`${s.credentials()}?limit=1`);
      await s.post(s.credentials(), credential('orders'));
      await s.get(`${s.credentials()}?limit=1`);
      await s.get(`${s.credentials()}?limit=2`);
      await s.get(`${s.credentials()}?limit=5&labelSelector=none`);
    },
  },
  {
    name: 'pages of a selected list do not say how many are left',
    run: async (s) => {
      await makeSecrets(s);
      const page = await s.get(`${s.secrets()}?limit=1&labelSelector=parity%3Deven`);
      assert.deepEqual(names(page), ['s0']);
      assert.equal(page.metadata.remainingItemCount, undefined);
    },
  },
  {
    name: 'a limit as large as the list',
    run: async (s) => {
      await makeSecrets(s, 2);
      const page = await s.get(`${s.secrets()}?limit=2`);
      assert.ok(!page.metadata.continue);
    },
  },
  {
    name: 'a limit or a continue token that cannot be read',
    run: async (s) => {
      await s.get(`${s.secrets()}?limit=x`, 400);
      await s.get(`${s.secrets()}?limit=2&continue=x`, 400);
    },
  },
  {
    name: 'a list at any version, and at least at one',
    run: async (s) => {
      const made = await s.post(s.secrets(), secret('a'));
      const any = await s.get(`${s.secrets()}?resourceVersion=0`, 200, { record: false });
      assert.ok(Array.isArray(any.items));
      const list = await s.get(`${s.secrets()}?resourceVersion=${made.metadata.resourceVersion}`);
      assert.deepEqual(names(list), ['a']);
    },
  },
  {
    name: 'a list at exactly one version',
    run: async (s) => {
      const made = await s.post(s.secrets(), secret('a'));
      await s.post(s.secrets(), secret('b'));
      const at = `resourceVersion=${made.metadata.resourceVersion}`;
      const list = await s.get(`${s.secrets()}?${at}&resourceVersionMatch=Exact`);
      assert.deepEqual(names(list), ['a']);
      await s.get(`${s.secrets()}?${at}&resourceVersionMatch=NotOlderThan`);
      await s.get(`${s.secrets()}?resourceVersionMatch=Exact`, 422);
      await s.get(`${s.secrets()}?resourceVersion=0&resourceVersionMatch=Exact`, 422);
      await s.get(`${s.secrets()}?${at}&resourceVersionMatch=Other`, 422);
    },
  },
  {
    name: 'a list at a version that cannot be read',
    run: async (s) => {
      await s.get(`${s.secrets()}?resourceVersion=x`, 400);
    },
  },
  {
    name: 'a list at a version that is not yet',
    run: async (s) => {
      const answer = await s.send('GET', `${s.secrets()}?resourceVersion=99999999`, 504);
      assert.equal(answer.body.details.causes[0].reason, 'ResourceVersionTooLarge');
    },
  },
  {
    name: 'one object as metadata only',
    run: async (s) => {
      await s.post(s.secrets(), secret('a', { metadata: { name: 'a', labels: { x: 'y' } } }));
      const seen = await s.get(s.secrets('a'), 200, { headers: PARTIAL });
      assert.equal(seen.kind, 'PartialObjectMetadata');
      assert.equal(seen.data, undefined);
      await s.get(s.secrets('b'), 404, { headers: PARTIAL });
    },
  },
  {
    name: 'a list as metadata only',
    run: async (s) => {
      await makeSecrets(s, 3);
      const list = await s.get(`${s.secrets()}?limit=2`, 200, { headers: PARTIAL_LIST });
      assert.equal(list.kind, 'PartialObjectMetadataList');
      assert.equal(list.items[0].data, undefined);
      await s.post(s.credentials(), credential('orders'));
      await s.get(s.credentials(), 200, { headers: PARTIAL_LIST });
    },
  },
  {
    name: 'a table of our resource has its printer columns',
    run: async (s) => {
      await s.post(s.credentials(), credential('billing'));
      await s.post(s.credentials(), credential('orders'));
      await s.merge(`${s.credentials('orders')}/status`, {
        status: {
          cloud: 'AWS',
          role: 'arn:aws:iam::123456789012:role/orders',
          expirationTime: '2020-01-01T00:00:00Z',
          conditions: [
            {
              type: 'Ready',
              status: 'True',
              reason: 'Issued',
              message: '',
              lastTransitionTime: '2020-01-01T00:00:00Z',
            },
          ],
        },
      });
      const table = await s.get(s.credentials(), 200, { headers: TABLE });
      assert.equal(table.kind, 'Table');
      assert.deepEqual(table.rows[1].cells.slice(0, 4), ['orders', 'True', 'Issued', 'AWS']);
      await s.get(s.credentials('orders'), 200, { headers: TABLE });
    },
  },
  {
    name: 'a table of Secrets',
    run: async (s) => {
      await makeSecrets(s, 2);
      await s.get(s.secrets(), 200, { headers: TABLE, pick: columns });
    },
  },
  {
    name: 'a table of ConfigMaps',
    run: async (s) => {
      await s.post(s.configMaps(), configMap('a'));
      await s.get(s.configMaps('a'), 200, { headers: TABLE, pick: columns });
    },
  },
  {
    name: 'a table of Leases',
    run: async (s) => {
      await s.post(s.leases(), lease('a'));
      await s.get(s.leases(), 200, { headers: TABLE, pick: columns });
    },
  },
  {
    name: 'a table of ServiceAccounts',
    run: async (s) => {
      await s.post(s.accounts(), { metadata: { name: 'a' } });
      await s.get(s.accounts('a'), 200, { headers: TABLE, pick: columns });
    },
  },
  {
    name: 'a table of namespaces',
    run: async (s) => {
      await s.get(`/api/v1/namespaces/${s.namespace}`, 200, { headers: TABLE, pick: columns });
    },
  },
  {
    name: 'a table of Events',
    run: async (s) => {
      await s.post(s.coreEvents(), coreEvent(s.namespace, 'core'));
      await s.post(s.newEvents(), newEvent(s.namespace, 'new'));
      const pick = (table: JSONValue): JSONValue => {
        const { rows, ...rest } = columns(table);
        // The ages of 2020's events grow: first and last seen are left out.
        const cells = rows.map((row: JSONValue) =>
          row.cells.filter((_cell: JSONValue, i: number) => i !== 0 && i !== 7),
        );
        return { ...rest, cells };
      };
      await s.get(s.coreEvents(), 200, { headers: TABLE, pick });
    },
  },
  {
    name: 'a table with whole objects, and with none',
    run: async (s) => {
      await s.post(s.credentials(), credential('orders'));
      const whole = await s.get(`${s.credentials()}?includeObject=Object`, 200, { headers: TABLE });
      assert.equal(whole.rows[0].object.spec.serviceAccountName, 'orders');
      await s.get(`${s.credentials()}?includeObject=None`, 200, { headers: TABLE });
    },
  },
];
