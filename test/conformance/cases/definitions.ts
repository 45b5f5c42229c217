// Promises: CustomResourceDefinitions judged field by field, tried dry; and what changes once their resources are served.
import { setTimeout as sleep } from 'node:timers/promises';
import type { JSONValue } from '../client.ts';
import type { ConformanceCase, Scene } from '../scene.ts';

const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

const size = (schema: object): object => ({
  type: 'object',
  properties: { spec: { type: 'object', properties: { size: schema } } },
});

const version = (more: object = {}): object => ({
  name: 'v1',
  served: true,
  storage: true,
  schema: { openAPIV3Schema: size({ type: 'integer' }) },
  ...more,
});

const withSchema = (openAPIV3Schema: object): object => ({ versions: [version({ schema: { openAPIV3Schema } })] });
const withRule = (rule: object): object => {
  const properties = { size: { type: 'integer' } };
  const spec = { type: 'object', properties, 'x-kubernetes-validations': [rule] };
  return withSchema({ type: 'object', properties: { spec } });
};
const NAMES = { plural: 'things', singular: 'thing', kind: 'Thing', listKind: 'ThingList' };

function definition(more: object = {}, group = 'judged.example.com', plural = 'things'): object {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: { group, scope: 'Namespaced', names: { ...NAMES, plural }, versions: [version()], ...more },
  };
}

/** Tries each dry. What Go's compiler of rules says is its own: of it only the field is compared. */
async function tryEach(s: Scene, specs: readonly object[], show?: (body: JSONValue) => JSONValue): Promise<void> {
  for (const spec of specs) {
    const options = { body: definition(spec), ...(show === undefined ? {} : { show }) };
    await s.any('POST', `${CRDS}?dryRun=All`, options);
  }
}

const fieldsOnly = ({ details, ...rest }: JSONValue): JSONValue => ({
  reason: rest.reason,
  causes: details?.causes.map(({ field, reason }: JSONValue) => [field, reason]),
});

export const definitionCases: readonly ConformanceCase[] = [
  {
    name: 'definitions are judged: scope, group and names',
    run: async (s) => {
      await tryEach(s, [
        { scope: 'Odd' },
        { scope: undefined },
        { group: undefined },
        { names: { ...NAMES, kind: undefined } },
        { names: { ...NAMES, plural: undefined } },
        { names: { ...NAMES, listKind: undefined, singular: undefined } },
        { names: { ...NAMES, plural: 'A_b' } },
        { names: { ...NAMES, singular: 'A_b' } },
        { names: { ...NAMES, listKind: 'Thing' } },
        { names: { ...NAMES, shortNames: ['ok', 'A_b'] } },
        { preserveUnknownFields: true },
      ]);
    },
  },
  {
    name: 'definitions are judged: versions and conversion',
    run: async (s) => {
      await tryEach(s, [
        { versions: [] },
        { versions: undefined },
        { versions: [version({ name: 'V_1' })] },
        { versions: [version({ storage: false })] },
        { versions: [version(), version()] },
        { versions: [version(), version({ name: 'v2' })] },
        { versions: [version(), version({ name: 'v2', storage: false })] },
        { versions: [version({ served: false })] },
        { versions: [version({ schema: undefined })] },
        { conversion: { strategy: 'Odd' } },
        { conversion: { strategy: 'Webhook' } },
      ]);
    },
  },
  {
    name: 'definitions are judged: structural schemas',
    run: async (s) => {
      await tryEach(s, [
        withSchema({ type: 'string' }),
        withSchema({ properties: {} }),
        withSchema(size({})),
        withSchema(size({ type: 'odd' })),
        withSchema({ type: 'object', properties: { spec: { properties: { a: { type: 'string' } } } } }),
        withSchema(size({ type: 'array' })),
        withSchema(size({ type: 'array', items: {} })),
        withSchema(size({ type: 'integer', default: 'x' })),
        withSchema(size({ type: 'string', pattern: '(' })),
        withSchema(size({ type: 'array', items: { type: 'string' }, 'x-kubernetes-list-type': 'map' })),
        withSchema(size({ 'x-kubernetes-int-or-string': true })),
        withSchema(size({ type: 'object', additionalProperties: {} })),
        withSchema({
          type: 'object',
          properties: { metadata: { type: 'object', properties: { labels: { type: 'object' } } } },
        }),
      ]);
    },
  },
  {
    name: 'definitions are judged: rules',
    run: async (s) => {
      await tryEach(s, [
        withRule({ rule: '' }),
        withRule({ rule: 'self.size > 1', message: 'a\nb' }),
        withRule({ rule: 'self.size > 1', reason: 'Odd' }),
        withRule({ rule: 'self.size > 1', message: 'ok' }),
      ]);
      await tryEach(s, [withRule({ rule: 'self.size >' })], fieldsOnly);
    },
  },
  {
    name: 'definitions are judged: columns and selectable fields',
    run: async (s) => {
      await tryEach(s, [
        { versions: [version({ additionalPrinterColumns: [{ name: 'A', type: 'odd', jsonPath: '.a' }] })] },
        { versions: [version({ additionalPrinterColumns: [{ name: 'A', type: 'string' }] })] },
        { versions: [version({ additionalPrinterColumns: [{ name: 'A', type: 'string', jsonPath: '{.a' }] })] },
        { versions: [version({ selectableFields: [{ jsonPath: '.spec.nothing' }] })] },
        { versions: [version({ selectableFields: [{ jsonPath: '.spec.size' }] })] },
      ]);
    },
  },
  {
    name: 'a definition that is served keeps its scope, group and kind',
    run: async (s) => {
      const group = 'kept.example.com';
      await s.post(CRDS, definition({}, group), 201, { record: false });
      await s.eventually(`/apis/${group}/v1/things`, ({ status }) => status === 200, { record: false });
      const path = `${CRDS}/things.${group}`;
      for (const spec of [{ scope: 'Cluster' }, { group: 'x.example.com' }, { names: { kind: 'Other' } }]) {
        await s.merge(path, { spec }, 422);
      }
      await s.merge(path, { metadata: { labels: { a: 'b' } } });
      await s.merge(path, { metadata: { labels: { a: 'x y' }, finalizers: ['plain'] } }, 422);
    },
  },
  {
    name: 'two definitions cannot share a kind',
    run: async (s) => {
      const group = 'shared.example.com';
      await s.post(CRDS, definition({}, group), 201, { record: false });
      await s.eventually(`/apis/${group}/v1/things`, ({ status }) => status === 200, { record: false });
      await s.post(CRDS, definition({}, group, 'others'), 201, { record: false });
      await s.eventually(`${CRDS}/others.${group}`, ({ body }) => body.status?.conditions?.length === 2);
      // Nothing says that it never will be served; a real server takes about a second to serve what it will.
      await sleep(1500);
      await s.get(s.in(`${group}/v1`, 'others'), 404);
    },
  },
];
