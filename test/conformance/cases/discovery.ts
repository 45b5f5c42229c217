// Promises: what clients ask first: discovery in both forms, OpenAPI, and CustomResourceDefinitions themselves. The real
// server serves more groups and resources: those that the sandbox has are compared.
import assert from 'node:assert/strict';
import type { JSONValue } from '../client.ts';
import type { ConformanceCase, Scene } from '../scene.ts';
import { credential } from './samples.ts';

const AGGREGATED = { accept: 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList' };
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const OURS = 'workloadcredentials.io';
/** Of the core group, what the operator and these cases use. */
const CORE = ['configmaps', 'events', 'namespaces', 'secrets', 'serviceaccounts', 'serviceaccounts/token'];

/** A hash that is each server's own. */
const withoutHashes = (resources: JSONValue): JSONValue =>
  resources.map(({ storageVersionHash: _hash, ...rest }: JSONValue) => rest);

const named = (names: readonly string[], key: string) => (list: JSONValue) =>
  list.filter((each: JSONValue) => names.includes(each[key]));

function definition(group: string, more: object = {}, version: object = {}): Record<string, unknown> {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `things.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { plural: 'things', singular: 'thing', kind: 'Thing', listKind: 'ThingList' },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: {
            openAPIV3Schema: {
              type: 'object',
              properties: { spec: { type: 'object', properties: { size: { type: 'integer' } } } },
            },
          },
          ...version,
        },
      ],
      ...more,
    },
  };
}

async function install(s: Scene, group: string, crd: object): Promise<void> {
  await s.post(CRDS, crd, 201, { record: false });
  await s.eventually(`/apis/${group}/v1/things`, ({ status }) => status === 200, { record: false });
}

export const discoveryCases: readonly ConformanceCase[] = [
  {
    name: 'legacy discovery: the versions of the core group',
    run: async (s) => {
      await s.get('/api', 200, { pick: ({ kind, versions }) => ({ kind, versions }) });
    },
  },
  {
    name: 'legacy discovery: the resources of the core group',
    run: async (s) => {
      await s.get('/api/v1', 200, {
        pick: ({ resources, ...rest }) => ({ ...rest, resources: named(CORE, 'name')(withoutHashes(resources)) }),
      });
    },
  },
  {
    name: 'legacy discovery: our group in the list of groups',
    run: async (s) => {
      await s.get('/apis', 200, {
        pick: ({ groups, ...rest }) => ({ ...rest, groups: named([OURS], 'name')(groups) }),
      });
    },
  },
  {
    name: 'legacy discovery: our group',
    run: async (s) => {
      await s.get(`/apis/${OURS}`);
      await s.get('/apis/nothing.example.com', 404);
    },
  },
  {
    name: 'legacy discovery: our resources',
    run: async (s) => {
      const seen = await s.get(`/apis/${OURS}/v1alpha1`, 200, {
        pick: ({ resources, ...rest }) => ({ ...rest, resources: withoutHashes(resources) }),
      });
      assert.deepEqual(seen.resources[0].shortNames, ['wcred']);
      await s.get(`/apis/${OURS}/v9`, 404);
    },
  },
  {
    name: 'legacy discovery: Leases and Events',
    run: async (s) => {
      const pick = ({ resources, ...rest }: JSONValue): JSONValue => ({
        ...rest,
        resources: named(['leases', 'events'], 'name')(withoutHashes(resources)),
      });
      await s.get('/apis/coordination.k8s.io/v1', 200, { pick });
      await s.get('/apis/events.k8s.io/v1', 200, { pick });
    },
  },
  {
    name: 'aggregated discovery: our group',
    run: async (s) => {
      await s.get('/apis', 200, {
        headers: AGGREGATED,
        pick: ({ items, ...rest }) => ({
          ...rest,
          items: items
            .filter(({ metadata }: JSONValue) => metadata.name === OURS)
            .map(({ metadata, ...item }: JSONValue) => ({ ...item, name: metadata.name })),
        }),
      });
    },
  },
  {
    name: 'aggregated discovery: the core group',
    run: async (s) => {
      await s.get('/api', 200, {
        headers: AGGREGATED,
        // A namespace's own path "finalize" is for the namespace controller only: the sandbox has none.
        pick: ({ items }) =>
          named(
            CORE,
            'resource',
          )(items[0].versions[0].resources).map(({ subresources, ...rest }: JSONValue) => ({
            ...rest,
            subresources: (subresources ?? []).filter(({ subresource }: JSONValue) => subresource !== 'finalize'),
          })),
      });
    },
  },
  {
    name: 'OpenAPI lists our group version',
    run: async (s) => {
      // The real server calls this JSON text/plain.
      const read = (body: JSONValue): JSONValue => (typeof body === 'string' ? JSON.parse(body) : body);
      const seen = await s.get('/openapi/v3', 200, {
        pick: (body) =>
          Object.keys(read(body).paths)
            .filter((path) => path.includes(OURS))
            .toSorted(),
      });
      assert.ok(read(seen).paths[`apis/${OURS}/v1alpha1`].serverRelativeURL.startsWith('/openapi/v3/apis/'));
    },
  },
  {
    name: 'OpenAPI knows our kind and that the server validates fields',
    run: async (s) => {
      // The schemas are shown in each server's own form; what clients look for in them is asserted here.
      const body = await s.get(`/openapi/v3/apis/${OURS}/v1alpha1`, 200, { pick: () => 'a document' });
      const seen = typeof body === 'string' ? JSON.parse(body) : body;
      const gvk = 'x-kubernetes-group-version-kind';
      const kinds = Object.values<JSONValue>(seen.components.schemas).flatMap((schema) => schema[gvk] ?? []);
      assert.ok(kinds.some(({ kind, group }: JSONValue) => kind === 'WorkloadCredential' && group === OURS));
      const path = `/apis/${OURS}/v1alpha1/namespaces/{namespace}/workloadcredentials/{name}`;
      const { patch } = seen.paths[path];
      assert.ok(patch.parameters.some(({ name }: JSONValue) => name === 'fieldValidation'));
      assert.equal(patch[gvk].kind, 'WorkloadCredential');
    },
  },
  {
    name: 'a definition is installed, served and removed with its objects',
    run: async (s) => {
      const group = 'installed.example.com';
      const made = await s.post(CRDS, definition(group));
      assert.equal(made.metadata.generation, 1);
      const established = await s.eventually(
        `${CRDS}/things.${group}`,
        ({ body }) =>
          body.status?.conditions?.some((each: JSONValue) => each.type === 'Established' && each.status === 'True'),
        {
          pick: ({ status }) => ({
            types: status.conditions.map((each: JSONValue) => `${each.type} ${each.status}`).toSorted(),
          }),
        },
      );
      assert.deepEqual(established.status.storedVersions, ['v1']);
      const things = s.in(`${group}/v1`, 'things');
      await s.eventually(things, ({ status }) => status === 200);
      const thing = { apiVersion: `${group}/v1`, kind: 'Thing', metadata: { name: 'a' }, spec: { size: 1, odd: 2 } };
      const stored = await s.post(things, thing);
      assert.deepEqual(stored.spec, { size: 1 });
      await s.delete(`${CRDS}/things.${group}`, undefined, 200, { record: false });
      await s.gone(`${CRDS}/things.${group}`);
      await s.eventually(things, ({ status }) => status === 404);
    },
  },
  {
    name: 'a definition as it is stored and shown',
    run: async (s) => {
      const group = 'shown.example.com';
      await install(s, group, definition(group));
      await s.eventually(`${CRDS}/things.${group}`, ({ body }) => body.status?.conditions?.length === 2);
    },
  },
  {
    name: 'a resource without a status path takes status with the rest',
    run: async (s) => {
      const group = 'stateless.example.com';
      const schema = {
        openAPIV3Schema: {
          type: 'object',
          properties: { status: { type: 'object', properties: { x: { type: 'string' } } } },
        },
      };
      await install(s, group, definition(group, {}, { schema }));
      const things = s.in(`${group}/v1`, 'things');
      const thing = { apiVersion: `${group}/v1`, kind: 'Thing', metadata: { name: 'a' }, status: { x: 'y' } };
      const made = await s.post(things, thing);
      assert.deepEqual(made.status, { x: 'y' });
      await s.get(`${things}/a/status`, 404);
    },
  },
  {
    name: 'a resource of the whole cluster',
    run: async (s) => {
      const group = 'wide.example.com';
      await install(s, group, definition(group, { scope: 'Cluster' }));
      const thing = { apiVersion: `${group}/v1`, kind: 'Thing', metadata: { name: 'a' } };
      const made = await s.post(`/apis/${group}/v1/things`, thing);
      assert.equal(made.metadata.namespace, undefined);
      await s.get(s.in(`${group}/v1`, 'things'), 404);
      await s.delete(`/apis/${group}/v1/things/a`);
    },
  },
  {
    name: 'a definition gets a second version and its objects both',
    run: async (s) => {
      const group = 'versioned.example.com';
      const crd = definition(group);
      await install(s, group, crd);
      const things = s.in(`${group}/v1`, 'things');
      await s.post(things, { apiVersion: `${group}/v1`, kind: 'Thing', metadata: { name: 'a' }, spec: { size: 1 } });
      await s.jsonPatchSilently(`${CRDS}/things.${group}`, [
        {
          op: 'add',
          path: '/spec/versions/-',
          value: {
            name: 'v2',
            served: true,
            storage: false,
            schema: {
              openAPIV3Schema: {
                type: 'object',
                properties: { spec: { type: 'object', properties: { size: { type: 'integer', default: 3 } } } },
              },
            },
          },
        },
      ]);
      const seen = await s.eventually(s.in(`${group}/v2`, 'things', 'a'), ({ status }) => status === 200);
      assert.equal(seen.apiVersion, `${group}/v2`);
    },
  },
  {
    name: 'definitions are checked: the name',
    run: async (s) => {
      const crd = definition('checked.example.com');
      await s.post(CRDS, { ...crd, metadata: { name: 'other.checked.example.com' } }, 422);
    },
  },
  {
    name: 'definitions are checked: one version is stored',
    run: async (s) => {
      await s.post(CRDS, definition('checked.example.com', {}, { storage: false }), 422);
    },
  },
  {
    name: 'definitions are checked: a schema there must be',
    run: async (s) => {
      await s.post(CRDS, definition('checked.example.com', {}, { schema: {} }), 422);
    },
  },
  {
    name: 'our definition installed again is a conflict of names',
    run: async (s) => {
      const made = await s.client.send({ method: 'GET', path: `${CRDS}/workloadcredentials.${OURS}` });
      const { spec } = made.body;
      const metadata = { name: `workloadcredentials.${OURS}` };
      await s.post(
        CRDS,
        { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata, spec },
        409,
      );
      await s.post(s.credentials(), credential('orders'), 201, { record: false });
    },
  },
];
