// Promises: a TokenRequest read and judged as the real server does (pkg/registry/core/serviceaccount/storage/token.go), up
// to the object that the token is to be bound to. Signs nothing.
import { checkTypes } from './built-in-schemas.ts';
import type { DecodeOptions } from './custom-resource.ts';
import type { ResourceType } from './resources.ts';
import { badRequest, conflict, fieldError, invalid, notFound } from './status.ts';
import type { StatusError } from './status.ts';
import { isFields, prune } from './structural-schema.ts';
import type { Fields, Schema } from './structural-schema.ts';
import type { KubeObject, Store } from './store.ts';

/** authentication.k8s.io/v1 BoundObjectReference */
export interface BoundObjectReference {
  readonly kind?: string;
  readonly apiVersion?: string;
  readonly name?: string;
  readonly uid?: string;
}

/** spec of a TokenRequest. */
export interface TokenRequestSpec {
  readonly audiences?: readonly string[];
  readonly expirationSeconds?: number;
  readonly boundObjectRef?: BoundObjectReference | null;
}

/** What a token is bound to beside its ServiceAccount. */
export interface BoundObject {
  readonly claim: 'pod' | 'secret';
  readonly object: KubeObject;
}

const TEXT: Schema = { type: 'string' };
const SCHEMA: Schema = {
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      properties: {
        audiences: { type: 'array', items: TEXT },
        expirationSeconds: { type: 'integer', format: 'int64' },
        boundObjectRef: { type: 'object', properties: { kind: TEXT, apiVersion: TEXT, name: TEXT, uid: TEXT } },
      },
    },
    status: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
  },
};

const GROUP_VERSION = 'authentication.k8s.io/v1';
const KIND = 'TokenRequest';
const NAMES = { group: 'authentication.k8s.io', version: 'v1', kind: KIND, plural: 'tokenrequests' };

function wrongKind(body: Fields, served: readonly ResourceType[]): StatusError | undefined {
  const { apiVersion = GROUP_VERSION, kind = KIND } = body as { readonly apiVersion?: string; readonly kind?: string };
  if (apiVersion === GROUP_VERSION && kind === KIND) return undefined;
  const [version = '', group = ''] = apiVersion.split('/').toReversed();
  const isKnown = served.some((type) => type.kind === kind && type.version === version && type.group === group);
  const why = isKnown
    ? `converting (${version}.${kind}) to (authentication.TokenRequest): unknown conversion`
    : `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)} in scheme "pkg/runtime/scheme.go:111"`;
  return badRequest(`${kind} in version ${JSON.stringify(version)} cannot be handled as a TokenRequest: ${why}`);
}

/**
 * Reads the body of a request for a token of `account`, and adds to its warnings.
 * @throws StatusError 400 or 422
 */
export function parseTokenRequest(
  body: Fields,
  account: DecodeOptions & { readonly namespace: string | undefined; readonly name: string },
  served: readonly ResourceType[],
): TokenRequestSpec {
  const wrong = wrongKind(body, served);
  if (wrong !== undefined) throw wrong;
  checkTypes(NAMES, body, SCHEMA, account.floats);
  const { object, unknown } = prune(body, SCHEMA);
  const complaints = unknown.map((path) => `unknown field ${JSON.stringify(path)}`).toReversed();
  if (complaints.length > 0 && account.fieldValidation === 'Strict') {
    const list = complaints.join(', ');
    throw badRequest(`${KIND} in version "v1" cannot be handled as a ${KIND}: strict decoding error: ${list}`);
  }
  if (account.fieldValidation !== 'Ignore') account.warnings?.push(...complaints);
  const metadata = (object['metadata'] ?? {}) as { readonly name?: string; readonly namespace?: string };
  if ((metadata.namespace ?? account.namespace) !== account.namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
  if ((metadata.name ?? account.name) !== account.name) {
    const why = `Invalid value: ${JSON.stringify(metadata.name)}: must match the service account name if specified`;
    throw invalid(NAMES, account.name, [fieldError('metadata.name', 'FieldValueInvalid', why)]);
  }
  const { spec } = object;
  return (isFields(spec) ? spec : {}) as TokenRequestSpec;
}

/**
 * The object that the token is to be bound to, if any.
 * @throws StatusError 400, 404 or 409
 */
export function boundObject(
  store: Store,
  account: KubeObject,
  reference: BoundObjectReference | null | undefined,
): BoundObject | undefined {
  if (reference === null || reference === undefined) return undefined;
  const { kind = '', apiVersion = '', name = '', uid = '' } = reference;
  const [version = '', group = ''] = apiVersion.split('/').toReversed();
  const claim = group === '' && kind === 'Pod' ? 'pod' : group === '' && kind === 'Secret' ? 'secret' : undefined;
  if (claim === undefined) {
    if (group === '' && kind === 'Node') throw notFound({ group: '', plural: 'nodes', kind }, name);
    throw badRequest(`cannot bind token to object of type ${group}/${version}, Kind=${kind}`);
  }
  if (name === '') throw badRequest('Name parameter required.');
  const names = { group: '', plural: `${claim}s`, kind };
  const object = store.get(`/${claim}s`, account.metadata.namespace, name);
  if (object === undefined) throw notFound(names, name);
  const { serviceAccountName = 'default' } = (object['spec'] ?? {}) as { readonly serviceAccountName?: string };
  if (claim === 'pod' && serviceAccountName !== account.metadata.name) {
    const who = JSON.stringify(account.metadata.name);
    throw badRequest(`cannot bind token for serviceaccount ${who} to pod running with different serviceaccount name.`);
  }
  if (uid !== '' && uid !== object.metadata.uid) {
    const mismatch = `the UID in the bound object reference (${uid}) does not match the UID in record`;
    const why = `${mismatch}. The object might have been deleted and then recreated`;
    throw conflict({ ...names, plural: kind }, name, why);
  }
  return { claim, object };
}
