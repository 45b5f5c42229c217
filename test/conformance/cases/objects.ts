// Promises: create, read, replace and delete of built-in objects, and how each mistake is answered.
import assert from 'node:assert/strict';
import type { ConformanceCase } from '../scene.ts';
import { configMap, lease, ONE, secret, TWO } from './samples.ts';

export const objectCases: readonly ConformanceCase[] = [
  {
    name: 'a Secret is created, read and deleted',
    run: async (s) => {
      const made = await s.post(s.secrets(), secret('a'));
      assert.equal(made.type, 'Opaque');
      assert.deepEqual(await s.get(s.secrets('a')), made);
      const gone = await s.delete(s.secrets('a'));
      assert.equal(gone.status, 'Success');
      assert.equal(gone.details.uid, made.metadata.uid);
      await s.get(s.secrets('a'), 404);
      await s.delete(s.secrets('a'), undefined, 404);
    },
  },
  {
    name: 'stringData becomes data and wins over it',
    run: async (s) => {
      const made = await s.post(s.secrets(), secret('a', { stringData: { key: 'two', more: 'one' } }));
      assert.deepEqual(made.data, { key: TWO, more: ONE });
      assert.equal(made.stringData, undefined);
    },
  },
  {
    name: 'a Secret without data',
    run: async (s) => {
      await s.post(s.secrets(), { metadata: { name: 'a' } });
      await s.post(s.secrets(), { metadata: { name: 'b' }, data: {} });
      await s.post(s.secrets(), { metadata: { name: 'c' }, data: { empty: '' } });
    },
  },
  {
    name: 'a second create is a conflict of names',
    run: async (s) => {
      await s.post(s.secrets(), secret('a'));
      const refused = await s.post(s.secrets(), secret('a', { data: { key: TWO } }), 409);
      assert.equal(refused.reason, 'AlreadyExists');
    },
  },
  {
    name: 'generateName makes a name',
    run: async (s) => {
      const made = await s.post(s.secrets(), { metadata: { generateName: 'a-' } });
      assert.match(made.metadata.name, /^a-[a-z0-9]{5}$/);
      const both = await s.post(s.secrets(), { metadata: { name: 'b', generateName: 'a-' } });
      assert.equal(both.metadata.name, 'b');
    },
  },
  {
    name: 'an object needs a name',
    run: async (s) => {
      const refused = await s.post(s.secrets(), { metadata: {} }, 422);
      assert.match(refused.message, /name or generateName is required/);
      await s.post(s.secrets(), {}, 422);
    },
  },
  {
    name: 'names must be DNS subdomains',
    run: async (s) => {
      for (const name of ['Upper', 'under_score', '-dash', 'dot.', 'a..b', 'a'.repeat(254), 'white space']) {
        await s.post(s.secrets(), secret(name), 422);
      }
      await s.post(s.secrets(), secret('a.b-c.0'), 201);
    },
  },
  {
    name: 'names of namespaces must be DNS labels',
    run: async (s) => {
      await s.post('/api/v1/namespaces', { metadata: { name: 'with.dot' } }, 422);
      await s.post('/api/v1/namespaces', { metadata: { name: 'a'.repeat(64) } }, 422);
    },
  },
  {
    name: 'a name may not be a path segment',
    run: async (s) => {
      await s.post(s.secrets(), secret('a/b'), 422);
      await s.post(s.secrets(), secret('a%b'), 422);
      await s.post(s.secrets(), secret('..'), 422);
    },
  },
  {
    name: 'resourceVersion may not be set on create',
    run: async (s) => {
      await s.post(s.secrets(), secret('a', { metadata: { name: 'a', resourceVersion: '5' } }), 500);
    },
  },
  {
    name: 'a body of another namespace is refused',
    run: async (s) => {
      await s.post(s.secrets(), secret('a', { metadata: { name: 'a', namespace: 'elsewhere' } }), 400);
    },
  },
  {
    name: 'a body of another kind or version is refused',
    run: async (s) => {
      await s.post(s.secrets(), configMap('a'), 400);
      await s.post(s.secrets(), secret('a', { apiVersion: 'v2' }), 400);
      await s.post(s.secrets(), secret('a', { apiVersion: 'apps/v1', kind: 'Deployment' }), 400);
    },
  },
  {
    name: 'kind and apiVersion may be left out',
    run: async (s) => {
      const made = await s.post(s.secrets(), { metadata: { name: 'a' }, data: { key: ONE } });
      assert.equal(made.kind, 'Secret');
    },
  },
  {
    name: 'a body that is not JSON',
    run: async (s) => {
      await s.post(s.secrets(), '{"metadata":', 400);
      await s.post(s.secrets(), 'hello', 400);
      await s.post(s.secrets(), '[]', 400);
      await s.post(s.secrets(), '"text"', 400);
      await s.post(s.secrets(), '', 400);
    },
  },
  {
    name: 'a field of the wrong type',
    run: async (s) => {
      await s.post(s.secrets(), secret('a', { data: { key: 5 } }), 400);
      await s.post(s.secrets(), secret('a', { metadata: { name: 5 } }), 400);
      await s.post(s.secrets(), secret('a', { metadata: { name: 'a', labels: { key: true } } }), 400);
      await s.post(s.secrets(), secret('a', { immutable: 'yes' }), 400);
    },
  },
  {
    name: 'data that is not base64',
    run: async (s) => {
      await s.post(s.secrets(), secret('a', { data: { key: '!' } }), 400);
      await s.post(s.secrets(), secret('a', { data: { key: 'YQ' } }), 400);
    },
  },
  {
    name: 'data keys are checked',
    run: async (s) => {
      for (const key of ['a b', '..', '.', 'a/b', '..a'])
        await s.post(s.secrets(), secret('a', { data: { [key]: ONE } }), 422);
      await s.post(s.secrets(), secret('a', { data: { '.a_B-9': ONE } }));
    },
  },
  {
    name: 'a Secret of more than a mebibyte',
    run: async (s) => {
      const data = { key: Buffer.alloc(1_048_577, 'x').toString('base64') };
      await s.post(s.secrets(), secret('a', { data }), 422);
    },
  },
  {
    name: 'labels and annotations are checked',
    run: async (s) => {
      for (const labels of [
        { 'a b': 'x' },
        { a: 'x y' },
        { a: 'x'.repeat(64) },
        { 'a/b/c': 'x' },
        { '/a': 'x' },
        { 'Up_/a': 'x' },
      ]) {
        await s.post(s.secrets(), secret('a', { metadata: { name: 'a', labels } }), 422);
      }
      await s.post(s.secrets(), secret('a', { metadata: { name: 'a', annotations: { 'a b': 'x' } } }), 422);
    },
  },
  {
    name: 'annotations of more than 256 KiB',
    run: async (s) => {
      await s.post(
        s.secrets(),
        secret('a', { metadata: { name: 'a', annotations: { key: 'x'.repeat(262_145) } } }),
        422,
      );
    },
  },
  {
    name: 'finalizers are checked',
    run: async (s) => {
      await s.post(s.configMaps(), configMap('a', { finalizers: ['plain'] }), 422);
      await s.post(s.configMaps(), configMap('a', { finalizers: ['not ok/a'] }), 422);
    },
  },
  {
    name: 'owner references are checked',
    run: async (s) => {
      const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'o', uid: '11111111-2222-4333-8444-555555555555' };
      const make = async (ownerReferences: object[]): Promise<void> => {
        await s.post(s.secrets(), secret('a', { metadata: { name: 'a', ownerReferences } }), 422);
      };
      await make([{ ...owner, uid: '' }]);
      await make([{ ...owner, name: '', kind: '' }]);
      await make([{ ...owner, apiVersion: '' }]);
      await make([
        { ...owner, controller: true },
        { ...owner, name: 'p', uid: 'x', controller: true },
      ]);
    },
  },
  {
    name: 'what the system sets cannot be sent',
    run: async (s) => {
      const metadata = {
        name: 'a',
        uid: '11111111-2222-4333-8444-555555555555',
        creationTimestamp: '2020-01-01T00:00:00Z',
        deletionTimestamp: '2020-01-01T00:00:00Z',
        deletionGracePeriodSeconds: 30,
        generation: 7,
        selfLink: '/x',
      };
      const made = await s.post(s.secrets(), secret('a', { metadata }));
      assert.notEqual(made.metadata.uid, metadata.uid);
      assert.notEqual(made.metadata.creationTimestamp, metadata.creationTimestamp);
      assert.equal(made.metadata.deletionTimestamp, undefined);
    },
  },
  {
    name: 'a namespace must exist',
    run: async (s) => {
      const refused = await s.post('/api/v1/namespaces/nowhere/secrets', secret('a'), 404);
      assert.match(refused.message, /namespaces "nowhere" not found/);
      await s.get('/api/v1/namespaces/nowhere/secrets/a', 404);
      const list = await s.get('/api/v1/namespaces/nowhere/secrets');
      assert.deepEqual(list.items, []);
    },
  },
  {
    name: 'a Secret is replaced by PUT',
    run: async (s) => {
      const made = await s.post(s.secrets(), secret('a', { metadata: { name: 'a', labels: { keep: 'x' } } }));
      const put = await s.put(s.secrets('a'), { ...made, data: { key: TWO } });
      assert.equal(put.data.key, TWO);
      assert.equal(put.metadata.uid, made.metadata.uid);
      const bare = await s.put(s.secrets('a'), secret('a'));
      assert.equal(bare.metadata.labels, undefined);
      await s.put(s.secrets('a'), { ...made, data: { key: ONE } }, 409);
    },
  },
  {
    name: 'a PUT without effect writes nothing',
    run: async (s) => {
      const made = await s.post(s.secrets(), secret('a'));
      const put = await s.put(s.secrets('a'), made);
      assert.equal(put.metadata.resourceVersion, made.metadata.resourceVersion);
    },
  },
  {
    name: 'a PUT must name its object',
    run: async (s) => {
      await s.put(s.secrets('a'), secret('a'), 404);
      const made = await s.post(s.secrets(), secret('a'));
      await s.put(s.secrets('a'), secret('b'), 400);
      await s.put(s.secrets('a'), { ...made, metadata: {} }, 400);
      const uid = '11111111-2222-4333-8444-555555555555';
      await s.put(s.secrets('a'), secret('a', { metadata: { name: 'a', uid } }), 409);
    },
  },
  {
    name: 'a PUT with an unreadable resourceVersion',
    run: async (s) => {
      await s.post(s.secrets(), secret('a'));
      await s.put(s.secrets('a'), secret('a', { metadata: { name: 'a', resourceVersion: 'x' } }), 500);
    },
  },
  {
    name: 'the type of a Secret does not change',
    run: async (s) => {
      await s.post(s.secrets(), secret('a', { type: 'example.com/own' }));
      await s.put(s.secrets('a'), secret('a', { type: 'Opaque' }), 422);
      await s.put(s.secrets('a'), secret('a'), 422);
    },
  },
  {
    name: 'types of Secrets that Kubernetes knows are checked',
    run: async (s) => {
      await s.post(s.secrets(), secret('a', { type: 'kubernetes.io/tls' }), 422);
      await s.post(s.secrets(), secret('a', { type: 'kubernetes.io/basic-auth' }), 422);
      await s.post(s.secrets(), secret('a', { type: 'kubernetes.io/dockerconfigjson' }), 422);
      await s.post(s.secrets(), secret('a', { type: 'kubernetes.io/service-account-token' }), 422);
    },
  },
  {
    name: 'an immutable Secret',
    run: async (s) => {
      const made = await s.post(s.secrets(), secret('a', { immutable: true }));
      await s.put(s.secrets('a'), { ...made, data: { key: TWO } }, 422);
      await s.put(s.secrets('a'), { ...made, immutable: false }, 422);
      await s.put(s.secrets('a'), { ...made, immutable: undefined, data: { key: TWO } }, 422);
      const labelled = await s.merge(s.secrets('a'), { metadata: { labels: { a: 'b' } } });
      assert.deepEqual(labelled.metadata.labels, { a: 'b' });
      await s.delete(s.secrets('a'));
    },
  },
  {
    name: 'an immutable Secret without data takes not even empty data',
    run: async (s) => {
      await s.post(s.secrets(), { metadata: { name: 'a' }, immutable: true });
      await s.merge(s.secrets('a'), { data: null });
      await s.merge(s.secrets('a'), { data: { none: null } }, 422);
    },
  },
  {
    name: 'a Secret becomes immutable and stays so',
    run: async (s) => {
      await s.post(s.secrets(), secret('a'));
      await s.merge(s.secrets('a'), { immutable: true, data: { key: TWO } });
      await s.merge(s.secrets('a'), { data: { key: ONE } }, 422);
    },
  },
  {
    name: 'ConfigMaps',
    run: async (s) => {
      await s.post(s.configMaps(), configMap('a'));
      await s.post(s.configMaps(), { metadata: { name: 'b' }, binaryData: { key: ONE }, data: { key: 'x' } }, 422);
      await s.post(s.configMaps(), { metadata: { name: 'b' }, data: { 'a b': 'x' } }, 422);
      await s.merge(s.configMaps('a'), { data: { more: 'x' } });
    },
  },
  {
    name: 'ServiceAccounts',
    run: async (s) => {
      const metadata = { name: 'a', annotations: { 'workloadcredentials.io/allow': '*' } };
      await s.post(s.accounts(), { apiVersion: 'v1', kind: 'ServiceAccount', metadata });
      await s.merge(s.accounts('a'), { metadata: { annotations: { 'workloadcredentials.io/allow': 'orders' } } });
      await s.merge(s.accounts('a'), { automountServiceAccountToken: false });
      await s.delete(s.accounts('a'));
      await s.get(s.accounts('a'), 404);
    },
  },
  {
    name: 'each namespace has a default ServiceAccount',
    run: async (s) => {
      await s.eventually(s.accounts('default'), ({ status }) => status === 200);
      await s.delete(s.accounts('default'));
      await s.eventually(s.accounts('default'), ({ status }) => status === 200);
    },
  },
  {
    name: 'a namespace as it is made',
    run: async (s) => {
      const seen = await s.get(`/api/v1/namespaces/${s.namespace}`);
      assert.equal(seen.status.phase, 'Active');
      assert.deepEqual(seen.metadata.labels, { 'kubernetes.io/metadata.name': s.namespace });
      await s.post('/api/v1/namespaces', { metadata: { name: s.namespace } }, 409);
    },
  },
  {
    name: 'a Lease is taken, renewed and released',
    run: async (s) => {
      const made = await s.post(s.leases(), lease('a'));
      const renewed = await s.put(s.leases('a'), {
        ...made,
        spec: { ...made.spec, renewTime: '2020-01-01T00:00:02.123456Z' },
      });
      assert.equal(renewed.spec.renewTime, '2020-01-01T00:00:02.123456Z');
      await s.put(s.leases('a'), made, 409);
      await s.put(s.leases('a'), {
        ...renewed,
        spec: { ...renewed.spec, holderIdentity: '', leaseDurationSeconds: 1 },
      });
    },
  },
  {
    name: 'a Lease is not replaced blindly',
    run: async (s) => {
      await s.post(s.leases(), lease('a'));
      const refused = await s.put(s.leases('a'), lease('a', { holderIdentity: 'other' }), 422);
      assert.match(refused.message, /must be specified for an update/);
    },
  },
  {
    name: 'PUT creates a Lease',
    run: async (s) => {
      await s.put(s.leases('a'), lease('a'), 201);
      await s.put(s.leases('b'), lease('b', {}), 201);
    },
  },
  {
    name: 'a Lease counts in positive numbers',
    run: async (s) => {
      await s.post(s.leases(), lease('a', { leaseDurationSeconds: 0 }), 422);
      await s.post(s.leases(), lease('a', { leaseTransitions: -1 }), 422);
      await s.post(s.leases(), lease('a', { leaseDurationSeconds: 1.5 }), 400);
      await s.post(s.leases(), lease('a', { leaseDurationSeconds: '15' }), 400);
    },
  },
  {
    name: 'a Lease takes times with six digits',
    run: async (s) => {
      for (const renewTime of ['2020-01-01T00:00:00Z', '2020-01-01T00:00:00.123Z', 'yesterday', 5]) {
        await s.post(s.leases(), lease('a', { renewTime }), 400);
      }
      await s.post(s.leases(), lease('a', { renewTime: '2020-01-01T02:00:00.000000+02:00' }));
      await s.post(s.leases(), lease('b', { renewTime: null }));
    },
  },
  {
    name: 'a method that is not allowed',
    run: async (s) => {
      await s.put(s.secrets(), secret('a'), 405);
      await s.post(s.secrets('a'), secret('a'), 405);
      await s.post('/api/v1/secrets', secret('a'), 405);
      await s.send('PATCH', s.secrets(), 405, {
        body: {},
        headers: { 'content-type': 'application/merge-patch+json' },
      });
    },
  },
  {
    name: 'a path that is not served',
    run: async (s) => {
      await s.get(s.in('v1', 'nothings'), 404);
      await s.get(s.in('v1', 'nothings', 'a'), 404);
      await s.get('/apis/nothing.example.com/v1/things', 404);
      await s.get(`${s.secrets('a')}/status`, 404);
      await s.get(`${s.secrets('a')}/nothing`, 404);
      await s.get('/nothing', 404);
      await s.get('/api/v1/namespaces/x/secrets/a/b/c', 404);
    },
  },
  {
    name: 'a dry run stores nothing',
    run: async (s) => {
      const made = await s.post(`${s.secrets()}?dryRun=All`, secret('a'));
      assert.equal(made.metadata.name, 'a');
      await s.get(s.secrets('a'), 404);
      await s.post(s.secrets(), secret('a'));
      await s.put(`${s.secrets('a')}?dryRun=All`, secret('a', { data: { key: TWO } }));
      await s.delete(`${s.secrets('a')}?dryRun=All`);
      const kept = await s.get(s.secrets('a'));
      assert.equal(kept.data.key, ONE);
      await s.post(`${s.secrets()}?dryRun=All`, secret('a'), 409);
      await s.post(`${s.secrets()}?dryRun=Some`, secret('b'), 422);
    },
  },
  {
    name: 'unknown fields are warned of, refused or ignored',
    run: async (s) => {
      const odd = secret('a', { odd: 1, metadata: { name: 'a', odd: 2 } });
      await s.post(`${s.secrets()}?fieldValidation=Strict`, odd, 400);
      const { headers } = await s.send('POST', `${s.secrets()}?fieldValidation=Warn`, 201, { body: odd });
      assert.match(headers['warning'] ?? '', /unknown field/);
      await s.send('POST', s.secrets(), 201, { body: { ...odd, metadata: { name: 'b' } } });
      await s.send('POST', `${s.secrets()}?fieldValidation=Ignore`, 201, { body: { ...odd, metadata: { name: 'c' } } });
      await s.post(`${s.secrets()}?fieldValidation=Other`, secret('d'), 422);
    },
  },
  {
    name: 'a field that comes twice',
    run: async (s) => {
      const body = '{"metadata":{"name":"a"},"data":{"key":"b25l"},"data":{"key":"dHdv"}}';
      await s.post(`${s.secrets()}?fieldValidation=Strict`, body, 400);
      await s.post(s.secrets(), body, 201);
    },
  },
  {
    name: 'content types that are not served',
    run: async (s) => {
      const send = async (method: string, type: string, path: string, body: string): Promise<void> => {
        await s.send(method, path, 415, { body, headers: { 'content-type': type } });
      };
      await send('POST', 'text/plain', s.secrets(), '{}');
      await s.post(s.secrets(), secret('a'));
      await send('PUT', 'text/plain', s.secrets('a'), '{}');
      await send('PATCH', 'application/json', s.secrets('a'), '{}');
      await send('PATCH', 'text/plain', s.secrets('a'), '{}');
    },
  },
  {
    name: 'answers that are not served',
    run: async (s) => {
      await s.send('GET', s.secrets(), 406, { headers: { accept: 'text/plain' } });
      await s.send('GET', s.secrets(), 406, { headers: { accept: 'application/json;as=Other;v=v1;g=meta.k8s.io' } });
    },
  },
];
