// Promises: OpenAPI v3 with the schemas of custom resources as their definitions say them: enough for kubectl's explain,
// diff and client-side validation. Built-in kinds are open objects without descriptions. OpenAPI v2 is there and empty.
import { VERSION } from './discovery.ts';
import { groupVersion } from './resources.ts';
import type { ResourceType } from './resources.ts';

const TEXT = { type: 'string' };
const OPEN = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
const CONVENTIONS = 'https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md';

/** The texts of Kubernetes' own documentation of the API. */
const TYPE_META = {
  apiVersion: {
    ...TEXT,
    description:
      'APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized ' +
      `schemas to the latest internal value, and may reject unrecognized values. More info: ${CONVENTIONS}#resources`,
  },
  kind: {
    ...TEXT,
    description:
      'Kind is a string value representing the REST resource this object represents. Servers may infer this from the ' +
      `endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: ${CONVENTIONS}#types-kinds`,
  },
};
const OBJECT_META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta';
const METADATA = {
  description: `Standard object's metadata. More info: ${CONVENTIONS}#metadata`,
  allOf: [{ $ref: `#/components/schemas/${OBJECT_META}` }],
};

function objectMeta(): object {
  const texts = [
    'name',
    'generateName',
    'namespace',
    'uid',
    'resourceVersion',
    'creationTimestamp',
    'deletionTimestamp',
  ];
  const map = { type: 'object', additionalProperties: TEXT };
  return {
    type: 'object',
    properties: {
      ...Object.fromEntries(texts.map((name) => [name, TEXT])),
      generation: { type: 'integer', format: 'int64' },
      deletionGracePeriodSeconds: { type: 'integer', format: 'int64' },
      labels: map,
      annotations: map,
      finalizers: { type: 'array', items: TEXT },
      ownerReferences: { type: 'array', items: OPEN },
      managedFields: { type: 'array', items: OPEN },
    },
  };
}

function openAPIOf(types: readonly ResourceType[]): object {
  const schemas: Record<string, object> = { [OBJECT_META]: objectMeta() };
  const paths: Record<string, object> = {};
  for (const type of types) {
    const gvk = { group: type.group, version: type.version, kind: type.kind };
    const schema = type.schema ?? OPEN;
    schemas[`${type.group || 'core'}.${type.version}.${type.kind}`] = {
      ...schema,
      properties: { ...type.schema?.properties, ...TYPE_META, metadata: METADATA },
      'x-kubernetes-group-version-kind': [gvk],
    };
    const root = `/${type.group === '' ? 'api' : 'apis'}/${groupVersion(type)}`;
    const base = `${root}/${type.namespaced ? 'namespaces/{namespace}/' : ''}${type.plural}`;
    // kubectl asks here whether the server itself validates fields, and then does not.
    const parameters = ['fieldValidation', 'dryRun'].map((name) => ({ name, in: 'query', schema: TEXT }));
    const operation = { 'x-kubernetes-group-version-kind': gvk, parameters, responses: {} };
    paths[base] = { post: operation };
    paths[`${base}/{name}`] = { patch: operation, put: operation };
  }
  return {
    openapi: '3.0.0',
    info: { title: 'Kubernetes', version: VERSION.gitVersion },
    paths,
    components: { schemas },
  };
}

/** /openapi/v3 and the documents that it lists; undefined for any other path. */
export function openAPI(types: readonly ResourceType[], path: string): object | undefined {
  const documents = new Map<string, ResourceType[]>();
  for (const type of types) {
    const name = `${type.group === '' ? 'api' : 'apis'}/${groupVersion(type)}`;
    documents.set(name, [...(documents.get(name) ?? []), type]);
  }
  if (path === '/openapi/v3') {
    const entries = [...documents.keys()].map((name) => [name, { serverRelativeURL: `/openapi/v3/${name}` }]);
    return { paths: Object.fromEntries(entries) as object };
  }
  const members = documents.get(path.replace(/^\/openapi\/v3\//, ''));
  return members === undefined ? undefined : openAPIOf(members);
}

const PROTOBUF_V2 = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';

/** OpenAPI v2 without content, in either form: kubectl falls back to it for kinds that v3 does not know. */
export function emptyOpenAPIV2(accept: string): { readonly mediaType: string; readonly text: string } {
  // An empty text is the empty message in protobuf.
  if (accept.includes('proto-openapi.spec.v2')) return { mediaType: PROTOBUF_V2, text: '' };
  const info = { title: 'Kubernetes', version: VERSION.gitVersion };
  return { mediaType: 'application/json', text: JSON.stringify({ swagger: '2.0', info, paths: {}, definitions: {} }) };
}
