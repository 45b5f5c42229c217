// Promises: our own resource: defaults, pruning, validation, status, generation; every bad, good and changed spec of
// test/fixtures is a case.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { load } from 'js-yaml';
import type { JSONValue } from '../client.ts';
import type { ConformanceCase } from '../scene.ts';
import { credential } from './samples.ts';

interface Fixture {
  readonly name: string;
  readonly object?: JSONValue;
  readonly before?: object;
  readonly after?: object;
  readonly wantMessage?: string;
}

function fixtures(file: string): Fixture[] {
  return load(readFileSync(new URL(`../../fixtures/${file}.yaml`, import.meta.url), 'utf8')) as Fixture[];
}

const condition = (more: object = {}): object => ({
  type: 'Ready',
  status: 'True',
  reason: 'Issued',
  message: '',
  lastTransitionTime: '2020-01-01T00:00:00Z',
  ...more,
});

const badSpecs: ConformanceCase[] = fixtures('bad-specs').map(({ name, object, wantMessage = '' }) => ({
  name: `bad spec: ${name}`,
  run: async (s) => {
    const refused = await s.post(s.credentials(), object, 422);
    assert.ok(refused.message.includes(wantMessage), refused.message);
  },
}));

const goodSpecs: ConformanceCase[] = fixtures('good-specs').map(({ name, object }) => ({
  name: `good spec: ${name}`,
  run: async (s) => {
    await s.post(s.credentials(), object);
  },
}));

const updates: ConformanceCase[] = fixtures('updates').map(({ name, before, after, wantMessage }) => ({
  name: `update: ${name}`,
  run: async (s) => {
    const made = await s.post(s.credentials(), credential('orders', before === undefined ? {} : { secret: before }));
    const { secret: _before, ...rest } = made.spec;
    const spec = after === undefined ? rest : { ...rest, secret: after };
    const answer = await s.put(s.credentials('orders'), { ...made, spec }, wantMessage === undefined ? 200 : 422);
    if (wantMessage !== undefined) assert.ok(answer.message.includes(wantMessage), answer.message);
  },
}));

export const resourceCases: readonly ConformanceCase[] = [
  ...badSpecs,
  ...goodSpecs,
  ...updates,
  {
    name: 'a new resource has its defaults and no more',
    run: async (s) => {
      const made = await s.post(s.credentials(), credential('orders'));
      assert.equal(made.spec.durationSeconds, 3600);
      assert.deepEqual(made.status, { observedGeneration: -1 });
      assert.equal(made.metadata.generation, 1);
      assert.deepEqual(Object.keys(made.spec).toSorted(), ['aws', 'durationSeconds', 'serviceAccountName']);
    },
  },
  {
    name: 'null takes the default where there is one and goes where there is none',
    run: async (s) => {
      const made = await s.post(s.credentials(), credential('orders', { durationSeconds: null, secret: null }));
      assert.equal(made.spec.durationSeconds, 3600);
      assert.equal(made.spec.secret, undefined);
    },
  },
  {
    name: 'unknown fields of our resource are pruned',
    run: async (s) => {
      const object = credential('orders', { odd: 1, secret: { odd: { deep: 1 }, name: 'orders' } });
      const { body, headers } = await s.send('POST', s.credentials(), 201, { body: { ...object, odd: true } });
      assert.equal(body.spec.odd, undefined);
      assert.equal(body.spec.secret.odd, undefined);
      assert.equal(body.odd, undefined);
      assert.match(headers['warning'] ?? '', /unknown field \\"spec\.odd/);
    },
  },
  {
    name: 'unknown fields of our resource are refused on wish',
    run: async (s) => {
      const object = credential('orders', { odd: 1, secret: { odd: 2 } });
      await s.post(`${s.credentials()}?fieldValidation=Strict`, object, 400);
      await s.post(`${s.credentials()}?fieldValidation=Ignore`, object, 201);
      await s.send('PATCH', `${s.credentials('orders')}?fieldValidation=Strict`, 422, {
        body: { spec: { odd: 1 } },
        headers: { 'content-type': 'application/merge-patch+json' },
      });
    },
  },
  {
    name: 'status is not taken with the spec',
    run: async (s) => {
      const made = await s.post(s.credentials(), { ...credential('orders'), status: { cloud: 'AWS' } });
      assert.deepEqual(made.status, { observedGeneration: -1 });
      const merged = await s.merge(s.credentials('orders'), { status: { cloud: 'AWS' } });
      assert.deepEqual(merged.status, { observedGeneration: -1 });
    },
  },
  {
    name: 'a PUT of our resource without effect',
    run: async (s) => {
      const made = await s.post(s.credentials(), credential('orders'));
      const put = await s.put(s.credentials('orders'), made);
      assert.equal(put.metadata.generation, 1);
    },
  },
  {
    name: 'a PUT of our resource with another status',
    run: async (s) => {
      const made = await s.post(s.credentials(), credential('orders'));
      const put = await s.put(s.credentials('orders'), { ...made, status: { cloud: 'AWS' } });
      assert.deepEqual(put.status, { observedGeneration: -1 });
    },
  },
  {
    name: 'a merge patch of status changes status only',
    run: async (s) => {
      const made = await s.post(s.credentials(), credential('orders'));
      const patched = await s.merge(`${s.credentials('orders')}/status`, {
        metadata: { resourceVersion: made.metadata.resourceVersion, labels: { not: 'taken' } },
        spec: { durationSeconds: 900 },
        status: { observedGeneration: 1, cloud: 'AWS', conditions: [condition()] },
      });
      assert.equal(patched.spec.durationSeconds, 3600);
      assert.equal(patched.metadata.labels, undefined);
      assert.equal(patched.status.observedGeneration, 1);
      assert.equal(patched.metadata.generation, 1);
      await s.merge(
        `${s.credentials('orders')}/status`,
        { metadata: { resourceVersion: made.metadata.resourceVersion }, status: { cloud: 'Volcengine' } },
        409,
      );
    },
  },
  {
    name: 'status is read and replaced through its own path',
    run: async (s) => {
      const made = await s.post(s.credentials(), credential('orders'));
      await s.get(`${s.credentials('orders')}/status`);
      const put = await s.put(`${s.credentials('orders')}/status`, {
        ...made,
        spec: { ...made.spec, durationSeconds: 900 },
        status: { cloud: 'AWS' },
      });
      assert.equal(put.spec.durationSeconds, 3600);
      assert.deepEqual(put.status, { cloud: 'AWS', observedGeneration: -1 });
      await s.put(`${s.credentials('orders')}/status`, { ...made, status: { cloud: 'AWS' } }, 409);
      await s.delete(`${s.credentials('orders')}/status`, undefined, 405);
      await s.post(`${s.credentials('orders')}/status`, made, 405);
    },
  },
  {
    name: 'status taken away comes back with its default',
    run: async (s) => {
      await s.post(s.credentials(), credential('orders'));
      await s.merge(`${s.credentials('orders')}/status`, { status: { cloud: 'AWS', observedGeneration: 3 } });
      const bare = await s.merge(`${s.credentials('orders')}/status`, { status: null });
      assert.deepEqual(bare.status, { observedGeneration: -1 });
    },
  },
  {
    name: 'a JSON patch of status',
    run: async (s) => {
      await s.post(s.credentials(), credential('orders'));
      await s.jsonPatch(`${s.credentials('orders')}/status`, [{ op: 'add', path: '/status/cloud', value: 'AWS' }]);
      await s.jsonPatch(`${s.credentials('orders')}/status`, [{ op: 'test', path: '/status/cloud', value: 'x' }], 422);
    },
  },
  {
    name: 'status of what is not there',
    run: async (s) => {
      await s.get(`${s.credentials('orders')}/status`, 404);
      await s.merge(`${s.credentials('orders')}/status`, { status: {} }, 404);
      await s.put(`${s.credentials('orders')}/status`, credential('orders'), 404);
    },
  },
  {
    name: 'status is validated: a type',
    run: async (s) => {
      await s.post(s.credentials(), credential('orders'));
      const path = `${s.credentials('orders')}/status`;
      await s.merge(path, { status: { observedGeneration: 'one' } }, 422);
      await s.merge(path, { status: { consecutiveFailures: -1 } }, 422);
      await s.merge(path, { status: { cloud: 'Other' } }, 422);
    },
  },
  {
    name: 'status is validated: a time',
    run: async (s) => {
      await s.post(s.credentials(), credential('orders'));
      await s.merge(`${s.credentials('orders')}/status`, { status: { issueTime: 'today' } }, 422);
      await s.merge(`${s.credentials('orders')}/status`, { status: { issueTime: '2020-01-01T00:00:00.123Z' } });
    },
  },
  {
    name: 'status is validated: a condition that is not whole',
    run: async (s) => {
      await s.post(s.credentials(), credential('orders'));
      await s.merge(`${s.credentials('orders')}/status`, { status: { conditions: [{ type: 'Ready' }] } }, 422);
      await s.merge(`${s.credentials('orders')}/status`, { status: { conditions: [condition({ reason: '' })] } }, 422);
      await s.merge(
        `${s.credentials('orders')}/status`,
        { status: { conditions: [condition({ status: 'Yes' })] } },
        422,
      );
    },
  },
  {
    name: 'status is validated: a condition that comes twice',
    run: async (s) => {
      await s.post(s.credentials(), credential('orders'));
      await s.merge(`${s.credentials('orders')}/status`, { status: { conditions: [condition(), condition()] } }, 422);
    },
  },
  {
    name: 'status is validated: a text that is too long',
    run: async (s) => {
      await s.post(s.credentials(), credential('orders'));
      const lastFailure = { time: '2020-01-01T00:00:00Z', reason: 'x', message: 'x'.repeat(1025) };
      await s.merge(`${s.credentials('orders')}/status`, { status: { lastFailure } }, 422);
    },
  },
  {
    name: 'generation counts changes of the spec only',
    run: async (s) => {
      await s.post(s.credentials(), credential('orders'));
      const labelled = await s.merge(s.credentials('orders'), {
        metadata: { labels: { a: 'b' }, annotations: { c: 'd' } },
      });
      assert.equal(labelled.metadata.generation, 1);
      const changed = await s.merge(s.credentials('orders'), { spec: { durationSeconds: 1800 } });
      assert.equal(changed.metadata.generation, 2);
      const same = await s.merge(s.credentials('orders'), { spec: { durationSeconds: 1800 } });
      assert.equal(same.metadata.resourceVersion, changed.metadata.resourceVersion);
      const put = await s.put(s.credentials('orders'), { ...same, spec: { ...same.spec, suspend: true } });
      assert.equal(put.metadata.generation, 3);
    },
  },
  {
    name: 'our resource is not replaced blindly',
    run: async (s) => {
      await s.post(s.credentials(), credential('orders'));
      await s.put(s.credentials('orders'), credential('orders'), 422);
      await s.put(s.credentials('billing'), credential('billing'), 404);
    },
  },
  {
    name: 'a default comes back when its field is taken away',
    run: async (s) => {
      await s.post(s.credentials(), credential('orders', { durationSeconds: 1800 }));
      const patched = await s.merge(s.credentials('orders'), { spec: { durationSeconds: null } });
      assert.equal(patched.spec.durationSeconds, 3600);
    },
  },
  {
    name: 'a spec that is missing, null or no object',
    run: async (s) => {
      const { spec: _spec, ...bare } = credential('orders');
      await s.post(s.credentials(), bare, 422);
      await s.post(s.credentials(), { ...bare, spec: null }, 422);
      await s.post(s.credentials(), { ...bare, spec: 'text' }, 422);
      await s.post(s.credentials(), { ...bare, spec: {} }, 422);
    },
  },
  {
    name: 'fields of the wrong type',
    run: async (s) => {
      await s.post(s.credentials(), credential('orders', { durationSeconds: '3600' }), 422);
      await s.post(s.credentials(), credential('orders', { durationSeconds: 900.5 }), 422);
      await s.post(s.credentials(), credential('orders', { suspend: 'no' }), 422);
      await s.post(s.credentials(), credential('orders', { secret: [] }), 422);
    },
  },
  {
    name: 'a number with an empty fraction is no integer to a rule',
    run: async (s) => {
      const body = JSON.stringify(credential('orders', { durationSeconds: 1800 })).replace('1800', '1800.0');
      await s.post(s.credentials(), body, 422);
    },
  },
  {
    name: 'a list that is a set takes each value once',
    run: async (s) => {
      await s.post(s.credentials(), credential('orders', { secret: { formats: ['Files', 'Files'] } }), 422);
    },
  },
  {
    name: 'a custom resource needs its kind and version in the body',
    run: async (s) => {
      const { kind: _kind, apiVersion: _version, ...bare } = credential('orders');
      await s.post(s.credentials(), bare, 400);
      await s.post(s.credentials(), { ...bare, kind: 'WorkloadCredential', apiVersion: 'v1' }, 400);
      await s.post(s.credentials(), { ...bare, kind: 'Other', apiVersion: 'workloadcredentials.io/v1alpha1' }, 422);
    },
  },
  {
    name: 'a custom resource without a name',
    run: async (s) => {
      await s.post(s.credentials(), { ...credential('x'), metadata: {} }, 422);
      const made = await s.post(s.credentials(), { ...credential('x'), metadata: { generateName: 'orders-' } });
      assert.match(made.metadata.name, /^orders-.{5}$/);
    },
  },
  {
    name: 'metadata of a custom resource has its types',
    run: async (s) => {
      await s.post(s.credentials(), credential('orders', {}, { labels: { a: 5 } }), 400);
      await s.post(s.credentials(), credential('orders', {}, { odd: 5 }));
    },
  },
  {
    name: 'a custom resource that is tried dry',
    run: async (s) => {
      const made = await s.post(`${s.credentials()}?dryRun=All`, credential('orders'));
      assert.equal(made.spec.durationSeconds, 3600);
      await s.get(s.credentials('orders'), 404);
      await s.post(s.credentials(), credential('orders'));
      const patched = await s.send('PATCH', `${s.credentials('orders')}?dryRun=All`, 200, {
        body: { spec: { durationSeconds: 900 } },
        headers: { 'content-type': 'application/merge-patch+json' },
      });
      assert.equal(patched.body.metadata.generation, 2);
      assert.equal((await s.get(s.credentials('orders'))).spec.durationSeconds, 3600);
    },
  },
];
