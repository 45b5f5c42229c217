// Promises: kind by kind, what the real server's strategies make of a built-in object and what they refuse
// (pkg/apis/*/validation): Secrets, ConfigMaps, Leases; Events and CustomResourceDefinitions have rooms of their own.
import { isDeepStrictEqual } from 'node:util';
import { definitionErrors, definitionUpdateErrors, withDefinitionDefaults } from './definitions.ts';
import { eventErrors, eventUpdateErrors } from './events.ts';
import { commonUpdateErrors, labelValueErrors, metadataErrors } from './object-meta.ts';
import { CRD_COLLECTION, EVENTS, LEASES, NAMESPACES } from './resources.ts';
import type { ResourceType } from './resources.ts';
import * as errors from './status.ts';
import type { StatusCause } from './status.ts';
import { isFields, withDefaults } from './structural-schema.ts';
import type { Fields } from './structural-schema.ts';
import type { KubeObject } from './store.ts';

type Texts = Readonly<Record<string, string>>;

/** The defaults that the real server's strategies set. */
export function normalise(type: ResourceType, object: KubeObject): KubeObject {
  switch (type.collection) {
    case '/secrets':
      return normaliseSecret(object);
    case '/configmaps':
      return withoutEmptyData(object);
    case LEASES:
      return withoutNulls(object, 'spec');
    case `${RBAC}/roles`:
    case `${RBAC}/clusterroles`:
      return { ...object, rules: isEmpty(object['rules']) ? null : object['rules'] };
    case NAMESPACES: {
      const { name, generateName } = object.metadata;
      // A name that is generated is labelled after it was judged: a wrong one is told once.
      const isTold = generateName === undefined || labelValueErrors(name).length === 0;
      const own = isTold ? { 'kubernetes.io/metadata.name': name } : {};
      const labels = { ...object.metadata.labels, ...own };
      const status = object['status'] ?? { phase: 'Active' };
      return { ...object, metadata: { ...object.metadata, labels }, spec: { finalizers: ['kubernetes'] }, status };
    }
    case CRD_COLLECTION:
      return withDefinitionDefaults(object);
    default:
      if (type.schema !== undefined) return withDefaults(object, type.schema) as KubeObject;
      return type.custom ? object : { ...object, ...withoutEmptyLists({ spec: object['spec'] }) };
  }
}

/** Go writes no list that is empty. */
function withoutEmptyLists(fields: Fields): Fields {
  const kept = Object.entries(fields).flatMap(([name, value]): [string, unknown][] => {
    if (Array.isArray(value)) {
      const items = value.map((item: unknown) => (isFields(item) ? withoutEmptyLists(item) : item));
      return items.length === 0 ? [] : [[name, items]];
    }
    if (value === undefined) return [];
    return [[name, isFields(value) ? withoutEmptyLists(value) : value]];
  });
  return Object.fromEntries(kept);
}

const RBAC = 'rbac.authorization.k8s.io';

function isEmpty(list: unknown): boolean {
  return !Array.isArray(list) || list.length === 0;
}

/** A pointer that is null is not written. */
function withoutNulls(object: KubeObject, field: string): KubeObject {
  const value = object[field];
  if (!isFields(value)) return object;
  return { ...object, [field]: Object.fromEntries(Object.entries(value).filter(([, each]) => each !== null)) };
}

function withoutEmptyData(object: KubeObject): KubeObject {
  const empty = ['data', 'binaryData'].filter((field) => {
    const value = object[field];
    return value === null || (isFields(value) && Object.keys(value).length === 0);
  });
  return Object.fromEntries(Object.entries(object).filter(([name]) => !empty.includes(name))) as KubeObject;
}

/** @throws StatusError 400 for what is not base64 */
export function normaliseSecret(object: KubeObject): KubeObject {
  const { stringData, data, ...rest } = object as KubeObject & Record<'stringData' | 'data', Texts | undefined>;
  const encoded = Object.entries(stringData ?? {}).map(([key, text]) => [key, Buffer.from(text).toString('base64')]);
  const all: Record<string, string> = { ...data, ...(Object.fromEntries(encoded) as Texts) };
  const wrong = Object.values(all).some((text) => Buffer.from(text, 'base64').toString('base64') !== text);
  if (wrong)
    throw errors.badRequest(
      'Secret in version "v1" cannot be handled as a Secret: illegal base64 data at input byte 0',
    );
  return { ...rest, ...(Object.keys(all).length > 0 ? { data: all } : {}), type: rest['type'] ?? 'Opaque' };
}

const DATA_KEY = /^[-._a-zA-Z0-9]+$/;
const DATA_KEY_RULE =
  "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or " +
  "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

/** Of all values together (pkg/apis/core/validation, MaxSecretSize). */
const MAX_DATA_BYTES = 1 << 20;

/** What the types of Secrets that Kubernetes knows must hold. */
const REQUIRED_DATA: Readonly<Record<string, readonly string[]>> = {
  'kubernetes.io/tls': ['data[tls.crt]', 'data[tls.key]'],
  'kubernetes.io/basic-auth': ['data[username]', 'data[password]'],
  'kubernetes.io/ssh-auth': ['data[ssh-privatekey]'],
  'kubernetes.io/dockerconfigjson': ['data[.dockerconfigjson]'],
  'kubernetes.io/dockercfg': ['data[.dockercfg]'],
};
const TOKEN_ACCOUNT = 'kubernetes.io/service-account.name';

function requiredData(object: KubeObject): StatusCause[] {
  const required = (field: string): StatusCause => errors.fieldError(field, 'FieldValueRequired', 'Required value');
  const secretType = String(object['type']);
  if (secretType === 'kubernetes.io/service-account-token') {
    const isNamed = object.metadata.annotations?.[TOKEN_ACCOUNT] !== undefined;
    return isNamed ? [] : [required(`metadata.annotations[${TOKEN_ACCOUNT}]`)];
  }
  const data = (object['data'] ?? {}) as Texts;
  const missing = (REQUIRED_DATA[secretType] ?? []).filter((field) => data[field.slice(5, -1)] === undefined);
  // One of the two is enough for basic authentication.
  if (secretType === 'kubernetes.io/basic-auth' && missing.length < 2) return [];
  return missing.map(required);
}

function dataErrors(type: ResourceType, object: KubeObject): StatusCause[] {
  const causes = dataKeyErrors(object);
  const isSecret = type.collection === '/secrets';
  const data = (object['data'] ?? {}) as Texts;
  const binary = (object['binaryData'] ?? {}) as Texts;
  for (const key of Object.keys(data)) {
    if (binary[key] === undefined) continue;
    const why = `Invalid value: ${JSON.stringify(key)}: duplicate of key present in binaryData`;
    causes.push(errors.fieldError(`data[${key}]`, 'FieldValueInvalid', why));
  }
  const decoded = [...(isSecret ? Object.values(data) : []), ...Object.values(binary)];
  const plain = isSecret ? [] : Object.values(data);
  const size =
    decoded.reduce((sum, text) => sum + Buffer.byteLength(text, 'base64'), 0) +
    plain.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (size > MAX_DATA_BYTES) {
    const field = isSecret ? 'data' : '';
    causes.push(
      errors.fieldError(field, 'FieldValueTooLong', `Too long: may not be more than ${MAX_DATA_BYTES} bytes`),
    );
  }
  return isSecret ? [...causes, ...requiredData(object)] : causes;
}

function dataKeyErrors(object: KubeObject): StatusCause[] {
  return Object.keys((object['data'] ?? {}) as object).flatMap((key) => {
    const isDots = key === '.' || key.startsWith('..');
    if (DATA_KEY.test(key) && !isDots && key.length <= 253) return [];
    const why = !DATA_KEY.test(key)
      ? DATA_KEY_RULE
      : isDots
        ? `must not ${key === '.' || key === '..' ? 'be' : 'start with'} '${key === '.' ? '.' : '..'}'`
        : 'must be no more than 253 bytes';
    return [errors.fieldError(`data[${key}]`, 'FieldValueInvalid', `Invalid value: ${JSON.stringify(key)}: ${why}`)];
  });
}

const IMMUTABLE = 'Forbidden: field is immutable when `immutable` is set';

/** `sent` is what the client wrote: Go tells data that is empty from data that is absent, and what is stored does not. */
function dataUpdateErrors(type: ResourceType, object: KubeObject, before: KubeObject, sent: KubeObject): StatusCause[] {
  const causes: StatusCause[] = [];
  if (type.collection === '/secrets' && object['type'] !== before['type']) {
    const message = `Invalid value: ${JSON.stringify(object['type'])}: field is immutable`;
    causes.push(errors.fieldError('type', 'FieldValueInvalid', message));
  }
  if (before['immutable'] !== true) return causes;
  if (object['immutable'] !== true) causes.push(errors.fieldError('immutable', 'FieldValueForbidden', IMMUTABLE));
  for (const field of ['data', 'binaryData']) {
    const isEmptied = isFields(sent[field]) && object[field] === undefined;
    if (!isEmptied && isDeepStrictEqual(object[field], before[field])) continue;
    causes.push(errors.fieldError(field, 'FieldValueForbidden', IMMUTABLE));
  }
  return causes;
}

function leaseErrors(object: KubeObject): StatusCause[] {
  const spec = (object['spec'] ?? {}) as Readonly<Record<string, unknown>>;
  const check = (field: string, isWrong: boolean, why: string): StatusCause[] =>
    isWrong
      ? [errors.fieldError(`spec.${field}`, 'FieldValueInvalid', `Invalid value: ${String(spec[field])}: ${why}`)]
      : [];
  return [
    ...check('leaseDurationSeconds', Number(spec['leaseDurationSeconds'] ?? 1) <= 0, 'must be greater than 0'),
    ...check('leaseTransitions', Number(spec['leaseTransitions'] ?? 0) < 0, 'must be greater than or equal to 0'),
  ];
}

function ownErrors(type: ResourceType, object: KubeObject, isUpdate: boolean): StatusCause[] {
  switch (type.collection) {
    case EVENTS:
      return eventErrors(type, object);
    case CRD_COLLECTION:
      return definitionErrors(object, isUpdate);
    case LEASES:
      return leaseErrors(object);
    case '/secrets':
    case '/configmaps':
      return dataErrors(type, object);
    default:
      return [];
  }
}

function ownUpdateErrors(type: ResourceType, object: KubeObject, before: KubeObject, sent: KubeObject): StatusCause[] {
  switch (type.collection) {
    case EVENTS:
      return eventUpdateErrors(type, object, before);
    case CRD_COLLECTION:
      return definitionUpdateErrors(object, before);
    case '/secrets':
    case '/configmaps':
      return dataUpdateErrors(type, object, before, sent);
    default:
      return [];
  }
}

/** Kinds whose update runs the whole validation of metadata once; the other built-in ones do so twice. */
const ONCE: ReadonlySet<string> = new Set([LEASES, EVENTS, CRD_COLLECTION, '/services', 'apps/deployments']);

/**
 * What is wrong with the object and, on an update, with the change. Validators of the real server overlap, so a cause can
 * come up to four times: clients see all of them, once in the message and each in the details.
 */
export function objectErrors(
  type: ResourceType,
  object: KubeObject,
  update?: { readonly before: KubeObject; readonly sent: KubeObject; readonly status?: boolean | undefined },
): StatusCause[] {
  const own = ownErrors(type, object, update !== undefined);
  if (update === undefined) return [...metadataErrors(type, object), ...own];
  const { before, sent, status } = update;
  const common = commonUpdateErrors(object, before);
  // A status endpoint keeps the metadata that is there.
  if (type.custom && status === true) return [...common, ...common];
  const metadata = metadataErrors(type, object);
  const changed = ownUpdateErrors(type, object, before, sent);
  if (type.custom || ONCE.has(type.collection)) return [...common, ...common, ...metadata, ...own, ...changed];
  return [...common, ...common, ...metadata, ...changed, ...metadata, ...own];
}
