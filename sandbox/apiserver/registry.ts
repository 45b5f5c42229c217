// Promises: create, update and delete with the real server's rules: who sets which field, what is a conflict, when a
// generation grows, what a write without effect does (nothing), what finalizers hold. Knows no HTTP.
import { isDeepStrictEqual } from 'node:util';
import type { ServerEnvironment } from '../http.ts';
import { checkMicroTimes, eventErrors, eventToStored } from './events.ts';
import { decodeBody, isObjectBody, validateCustomResource } from './custom-resource.ts';
import type { DecodeOptions } from './custom-resource.ts';
import { checkMetaTypes, checkSystemMeta, metadataErrors, metadataUpdateErrors } from './object-meta.ts';
import { CRD_COLLECTION, EVENTS, groupVersion, NAMESPACES, servedTypes } from './resources.ts';
import type { ResourceType } from './resources.ts';
import * as errors from './status.ts';
import type { StatusCause } from './status.ts';
import { withDefaults } from './structural-schema.ts';
import { Store } from './store.ts';
import type { KubeObject, StoredMeta } from './store.ts';

/** DELETE's body. */
export interface DeleteOptions {
  readonly propagationPolicy?: string;
  readonly dryRun?: readonly string[];
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
}

/** Which object, and through which door. */
export interface Target extends DecodeOptions {
  readonly type: ResourceType;
  readonly namespace: string | undefined;
  readonly name: string;
  readonly status?: boolean;
  /** Everything is checked, nothing is stored. */
  readonly dryRun?: boolean;
}

const POLICY_FINALIZERS: Readonly<Record<string, string | undefined>> = {
  Foreground: 'foregroundDeletion',
  Orphan: 'orphan',
  Background: undefined,
};
const DELETE_OPTIONS = { group: 'meta.k8s.io', plural: 'deleteoptions', kind: 'DeleteOptions' };
const NAMESPACE_TYPE = { group: '', plural: 'namespaces', kind: 'Namespace' };

/** Without vowels and look-alikes (k8s.io/apimachinery/pkg/util/rand). */
const SUFFIX_LETTERS = 'bcdfghjklmnpqrstvwxz2456789';

export class Registry {
  readonly store: Store;
  readonly #env: ServerEnvironment;
  #types: readonly ResourceType[] | undefined;
  /**
   * Resources that are shown with a default status which the real server has not stored yet: the first write, even one
   * without effect, is a change.
   */
  readonly #unwritten = new Set<string>();

  constructor(env: ServerEnvironment, historyLimit: number) {
    this.#env = env;
    this.store = new Store(historyLimit);
    this.store.subscribe((change) => {
      if (change.collection === CRD_COLLECTION) this.#types = undefined;
    });
  }

  /** Everything that is served now. */
  types(): readonly ResourceType[] {
    this.#types ??= servedTypes(this.store.list(CRD_COLLECTION));
    return this.#types;
  }

  /** RFC 3339 in whole seconds, as metav1.Time is written. */
  timestamp(): string {
    return `${new Date(this.#env.clock.now()).toISOString().slice(0, 19)}Z`;
  }

  /** @param staleRevisions how far behind to look; as far as the history goes */
  get({ type, namespace, name }: Target, staleRevisions = 0): KubeObject {
    const found =
      staleRevisions === 0
        ? this.store.get(type.collection, namespace, name)
        : this.store
            .listBehind(type.collection, staleRevisions, namespace)
            .objects.find((object) => object.metadata.name === name);
    if (found === undefined) throw errors.notFound(type, name);
    return found;
  }

  create(target: Target, input: unknown): KubeObject {
    const { type, namespace } = target;
    const sent = this.#decode(target, input);
    if (sent.metadata.resourceVersion) {
      throw new errors.StatusError(500, undefined, 'resourceVersion should not be set on objects to be created');
    }
    const name = sent.metadata.name || this.#generatedName(sent.metadata.generateName);
    this.#checkNamespace(type, namespace, sent.metadata.name || (sent.metadata.generateName ?? ''));
    const present = this.store.get(type.collection, namespace, name);
    if (present !== undefined) throw errors.alreadyExists(type, name, present.metadata.deletionTimestamp !== undefined);
    const metadata: StoredMeta = {
      ...userMeta(sent.metadata),
      name,
      uid: this.#env.random.uuid(),
      resourceVersion: '',
      creationTimestamp: this.timestamp(),
      ...(namespace === undefined ? {} : { namespace }),
      ...(type.generation ? { generation: 1 } : defined({ generation: sent.metadata.generation })),
    };
    const { status: _status, ...withoutStatus } = sent;
    const object = this.#complete(target, { ...(type.statusSubresource ? withoutStatus : sent), metadata }, undefined);
    if (target.dryRun !== true) {
      if (type.custom && object['status'] !== undefined) this.#unwritten.add(metadata.uid);
      return this.store.put(type.collection, object);
    }
    const { resourceVersion: _none, ...shown } = object.metadata;
    return { ...object, metadata: shown as StoredMeta };
  }

  /** PUT. */
  replace(target: Target, input: unknown): { readonly object: KubeObject; readonly created: boolean } {
    const { type, namespace, name } = target;
    const sent = this.#decode(target, input);
    if (!sent.metadata.name) {
      const why = `the name of the object (${name} based on URL) was undeterminable: name must be provided`;
      throw errors.badRequest(why);
    }
    if (sent.metadata.name !== name) throw nameMismatch(sent.metadata.name, name);
    const existing = this.store.get(type.collection, namespace, name);
    if (existing === undefined) {
      if (!type.createOnUpdate) throw errors.notFound(type, name);
      // A version of what is no longer there does not count.
      const { resourceVersion: _none, ...metadata } = sent.metadata;
      const object = this.create(target, { ...(input as object), metadata });
      // A dry run shows it as it was sent.
      const isEcho = target.dryRun === true && sent.metadata.resourceVersion !== undefined;
      return { object: isEcho ? withVersion(object, sent.metadata.resourceVersion) : object, created: true };
    }
    const { uid, resourceVersion } = sent.metadata;
    if (uid && uid !== existing.metadata.uid) {
      const failed = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${existing.metadata.uid}`;
      const key = ['/registry', type.group, type.plural, namespace, name].filter(Boolean).join('/');
      const why = `StorageError: invalid object, Code: 4, Key: ${key}, ResourceVersion: 0, AdditionalErrorMsg: ${failed}`;
      throw errors.conflict(type, name, why);
    }
    if (!resourceVersion && !type.unconditionalUpdate) {
      const cause = errors.fieldError(
        ...([
          'metadata.resourceVersion',
          'FieldValueInvalid',
          'Invalid value: 0: must be specified for an update',
        ] as const),
      );
      // The one place where the real server names the resource instead of the kind in an Invalid answer.
      throw errors.invalid({ ...type, kind: type.plural }, name, [cause]);
    }
    return { object: this.#write(target, existing, sent), created: false };
  }

  /** PATCH: `patched` is what the patch made of what the client sees. */
  patch(target: Target, existing: KubeObject, patched: unknown): KubeObject {
    const { type, name } = target;
    const sent = this.#decodePatched(target, patched);
    if (sent.metadata.name !== name) throw nameMismatch(sent.metadata.name, name);
    if (sent.metadata.uid !== undefined && sent.metadata.uid !== existing.metadata.uid) {
      const message = `Invalid value: ${JSON.stringify(sent.metadata.uid)}: field is immutable`;
      const cause = errors.fieldError('metadata.uid', 'FieldValueInvalid', message);
      // Two validators say it.
      throw errors.invalid(type, name, type.custom ? [cause, cause] : [cause]);
    }
    checkSystemMeta(type, sent, existing);
    return this.#write(target, existing, sent);
  }

  /** The object as it was last, and whether it is gone now or waits for its finalizers. */
  delete(target: Target, options: DeleteOptions = {}): { readonly object: KubeObject; readonly gone: boolean } {
    const { type } = target;
    const policy = options.propagationPolicy ?? 'Background';
    if (!(policy in POLICY_FINALIZERS)) {
      const supported = '"Foreground", "Background", "Orphan", "nil"';
      const message = `Unsupported value: ${JSON.stringify(policy)}: supported values: ${supported}`;
      throw errors.invalid(DELETE_OPTIONS, '', [
        errors.fieldError('propagationPolicy', 'FieldValueNotSupported', message),
      ]);
    }
    const existing = this.get(target);
    checkPreconditions(type, existing, options);
    const added = POLICY_FINALIZERS[policy];
    const held = existing.metadata.finalizers ?? [];
    const finalizers = added === undefined || held.includes(added) ? held : [...held, added];
    // A namespace is held by spec.finalizers; the namespace controller lets it go.
    const waits = finalizers.length > 0 || type.collection === NAMESPACES;
    if (!waits) {
      if (target.dryRun !== true) this.store.remove(type.collection, existing);
      return { object: existing, gone: true };
    }
    if (existing.metadata.deletionTimestamp !== undefined && finalizers === held)
      return { object: existing, gone: false };
    const { generation } = existing.metadata;
    const metadata: StoredMeta = {
      ...existing.metadata,
      deletionTimestamp: existing.metadata.deletionTimestamp ?? this.timestamp(),
      ...(type.collection === NAMESPACES ? {} : { deletionGracePeriodSeconds: 0 }),
      ...(generation === undefined ? {} : { generation: generation + 1 }),
      ...(finalizers.length === 0 ? {} : { finalizers }),
    };
    const terminating = type.collection === NAMESPACES ? { status: { phase: 'Terminating' } } : {};
    const next = { ...existing, ...terminating, metadata };
    return { object: target.dryRun === true ? next : this.store.put(type.collection, next), gone: false };
  }

  #write(target: Target, existing: KubeObject, sent: KubeObject): KubeObject {
    const { type, name } = target;
    const wanted = sent.metadata.resourceVersion;
    if (wanted && !/^\d+$/.test(wanted)) {
      const message = `strconv.ParseUint: parsing ${JSON.stringify(wanted)}: invalid syntax`;
      throw new errors.StatusError(500, undefined, message);
    }
    if (wanted && wanted !== existing.metadata.resourceVersion) throw errors.conflict(type, name);
    const merged = this.#merge(target, existing, sent);
    const next = this.#complete(target, merged, existing);
    if (isDeepStrictEqual(next, existing) && !this.#unwritten.has(existing.metadata.uid)) return existing;
    if (target.dryRun === true) return next;
    this.#unwritten.delete(existing.metadata.uid);
    if (next.metadata.deletionTimestamp !== undefined && (next.metadata.finalizers ?? []).length === 0) {
      if (type.collection !== NAMESPACES) {
        // Watches are told the last state that was stored, with its finalizers.
        this.store.remove(type.collection, existing);
        return next;
      }
    }
    return this.store.put(type.collection, next);
  }

  /** What a client may change through this door, over what it may not. */
  #merge({ type, status }: Target, existing: KubeObject, sent: KubeObject): KubeObject {
    if (status === true) return withField(existing, 'status', sent['status']);
    const { name, namespace, uid, resourceVersion, creationTimestamp } = existing.metadata;
    const { generateName, generation, deletionTimestamp, deletionGracePeriodSeconds } = existing.metadata;
    const system = { name, namespace, uid, resourceVersion, creationTimestamp, generateName, generation };
    const metadata = defined({ ...userMeta(sent.metadata), ...system, deletionTimestamp, deletionGracePeriodSeconds });
    const object = { ...sent, metadata: metadata as unknown as StoredMeta };
    const merged = type.statusSubresource ? withField(object, 'status', existing['status']) : object;
    const spec = ({ metadata: _m, status: _s, ...rest }: KubeObject): object => rest;
    if (generation === undefined || isDeepStrictEqual(spec(merged), spec(existing))) return merged;
    return { ...merged, metadata: { ...merged.metadata, generation: generation + 1 } };
  }

  /** What a patch has made undecodable is the patch's fault. */
  #decodePatched(target: Target, patched: unknown): KubeObject {
    try {
      return this.#decode(target, patched);
    } catch (error) {
      const why =
        error instanceof errors.StatusError ? / cannot be handled as a \w+: (.*)$/s.exec(error.status.message) : null;
      if (why === null) throw error;
      const message = `Invalid value: ${JSON.stringify(JSON.stringify(patched))}: ${why[1]}`;
      throw errors.invalidPatch(message);
    }
  }

  #decode(target: Target, input: unknown): KubeObject {
    const { type, namespace } = target;
    if (!isObjectBody(input))
      throw errors.badRequest(`the object provided is unrecognized (must be of type ${type.kind})`);
    const sent = input;
    if (!type.custom) this.#checkBuiltInKind(type, sent);
    const apiVersion = sent.apiVersion ?? (type.custom ? '' : groupVersion(type));
    const kind = sent.kind ?? (type.custom ? '' : type.kind);
    if (kind === '') throw kindMissing(type, input);
    if (apiVersion !== groupVersion(type)) {
      const expected = `does not match the expected API version (${groupVersion(type)})`;
      throw errors.badRequest(`the API version in the data (${apiVersion}) ${expected}`);
    }
    if (kind !== type.kind) throw wrongKind(type, kind, sent);
    checkMetaTypes(type, sent.metadata);
    const metadata = (sent.metadata ?? {}) as StoredMeta;
    if (namespace !== undefined && (metadata.namespace ?? namespace) !== namespace) {
      throw errors.badRequest('the namespace of the provided object does not match the namespace sent on the request');
    }
    checkMicroTimes(type, sent);
    const object = { ...sent, apiVersion, kind, metadata };
    const decoded = decodeBody(type, object, target);
    // Illegal base64 is the decoder's to tell, so that a patch gets its 422.
    if (type.collection === '/secrets') normaliseSecret(decoded);
    return type.collection === EVENTS ? eventToStored(type, decoded) : decoded;
  }

  /** Defaults, then validation. */
  #complete(target: Target, object: KubeObject, before: KubeObject | undefined): KubeObject {
    const { type } = target;
    const next = normalise(type, object, this.timestamp());
    const changed = before === undefined ? [] : metadataUpdateErrors(next, before);
    const earlier = [...metadataErrors(type, next), ...changed, ...kindErrors(type, next, before)];
    if (!type.custom) {
      if (earlier.length > 0)
        throw errors.invalid(type.collection === EVENTS ? EVENT_NAMES : type, next.metadata.name, earlier);
      return next;
    }
    const statusOnly = target.status === true;
    const { causes, warnings } = validateCustomResource(type, next, before, { earlier, statusOnly });
    if (causes.length > 0) throw errors.invalid(type, next.metadata.name, causes);
    target.warnings?.push(...warnings);
    return next;
  }

  /** Go's decoder knows every built-in kind, and says of the wrong one what it cannot do. @throws StatusError 400 */
  #checkBuiltInKind(type: ResourceType, sent: Partial<KubeObject>): void {
    const { kind = type.kind, apiVersion = groupVersion(type) } = sent;
    if (kind === type.kind && apiVersion === groupVersion(type)) return;
    const [version = ''] = apiVersion.split('/').toReversed();
    const isKnown = this.types().some((each) => each.kind === kind && groupVersion(each) === apiVersion);
    const internal = `${type.group === '' ? 'core' : type.group.split('.')[0]}.${type.kind}`;
    const why = isKnown
      ? `converting (${version}.${kind}) to (${internal}): unknown conversion`
      : `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)} in scheme "pkg/runtime/scheme.go:111"`;
    throw errors.badRequest(
      `${kind} in version ${JSON.stringify(version)} cannot be handled as a ${type.kind}: ${why}`,
    );
  }

  #generatedName(prefix: string | undefined): string {
    if (!prefix) return '';
    const letter = (): string => SUFFIX_LETTERS.charAt(Math.floor(this.#env.random.next() * SUFFIX_LETTERS.length));
    return `${prefix}${Array.from({ length: 5 }, letter).join('')}`;
  }

  /** @throws StatusError 404 */
  checkNamespaceExists(namespace: string | undefined): void {
    if (namespace === undefined || this.store.get(NAMESPACES, undefined, namespace) !== undefined) return;
    throw errors.notFound(NAMESPACE_TYPE, namespace);
  }

  #checkNamespace(type: ResourceType, namespace: string | undefined, name: string): void {
    if (namespace === undefined) return;
    const found = this.store.get(NAMESPACES, undefined, namespace);
    if (found === undefined) throw errors.notFound(NAMESPACE_TYPE, namespace);
    if (found.metadata.deletionTimestamp !== undefined) throw errors.namespaceTerminating(type, name, namespace);
  }
}

/** Invalid answers name Events of both groups without a group. */
const EVENT_NAMES = { group: '', plural: 'events', kind: 'Event' };

function kindMissing(type: ResourceType, input: unknown): errors.StatusError {
  const text = JSON.stringify(input);
  const start = text.length > 30 ? `${text.slice(0, 30)} ...` : text;
  const missing = `Object 'Kind' is missing in '${text}' (${start})`;
  return errors.badRequest(`the object provided is unrecognized (must be of type ${type.kind}): ${missing}`);
}

function wrongKind(type: ResourceType, kind: string, sent: Partial<KubeObject>): errors.StatusError {
  if (type.custom) {
    const message = `Invalid value: ${JSON.stringify(kind)}: must be ${type.kind}`;
    return errors.invalid({ ...type, kind }, sent.metadata?.name ?? '', [
      errors.fieldError('kind', 'FieldValueInvalid', message),
    ]);
  }
  const reason = `no kind "${kind}" is registered for version "${groupVersion(type)}" in scheme "pkg/runtime/scheme.go:111"`;
  return errors.badRequest(`${kind} in version "${type.version}" cannot be handled as a ${type.kind}: ${reason}`);
}

function nameMismatch(sent: string | undefined, name: string): errors.StatusError {
  return errors.badRequest(`the name of the object (${sent ?? ''}) does not match the name on the URL (${name})`);
}

function defined(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null));
}

function withVersion(object: KubeObject, resourceVersion: string): KubeObject {
  return { ...object, metadata: { ...object.metadata, resourceVersion } };
}

function withField(object: KubeObject, field: string, value: unknown): KubeObject {
  const { [field]: _old, ...rest } = object;
  return (value === undefined ? rest : { ...rest, [field]: value }) as KubeObject;
}

/** The parts of metadata that belong to clients; empty lists and maps are not stored. */
function userMeta(metadata: StoredMeta): Partial<StoredMeta> {
  const { generateName, labels, annotations, ownerReferences, finalizers } = metadata;
  const present = Object.entries({ generateName, labels, annotations, ownerReferences, finalizers }).filter(
    ([, value]) => value !== undefined && value !== null && Object.keys(value).length > 0,
  );
  return Object.fromEntries(present) as Partial<StoredMeta>;
}

function checkPreconditions(type: ResourceType, { metadata }: KubeObject, options: DeleteOptions): void {
  const { uid, resourceVersion } = options.preconditions ?? {};
  if (uid !== undefined && uid !== metadata.uid) {
    const mismatch = `the UID in the precondition (${uid}) does not match the UID in record (${metadata.uid})`;
    throw errors.preconditionFailed(
      type,
      metadata.name,
      `${mismatch}. The object might have been deleted and then recreated`,
    );
  }
  if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion) {
    throw errors.preconditionFailed(
      ...([type, metadata.name] as const),
      `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record ` +
        `(${metadata.resourceVersion}). The object might have been modified`,
    );
  }
}

/** Kind by kind, the defaults that the real server's strategies set. */
function normalise(type: ResourceType, object: KubeObject, now: string): KubeObject {
  switch (type.collection) {
    case '/secrets':
      return normaliseSecret(object);
    case NAMESPACES: {
      const labels = { ...object.metadata.labels, 'kubernetes.io/metadata.name': object.metadata.name };
      const status = object['status'] ?? { phase: 'Active' };
      return { ...object, metadata: { ...object.metadata, labels }, spec: { finalizers: ['kubernetes'] }, status };
    }
    case CRD_COLLECTION: {
      const spec = object['spec'] as {
        readonly names: object;
        readonly versions: readonly { readonly name: string }[];
      };
      const condition = (name: string, reason: string, message: string): object => ({
        type: name,
        status: 'True',
        lastTransitionTime: now,
        reason,
        message,
      });
      const conditions = [
        condition('NamesAccepted', 'NoConflicts', 'no conflicts found'),
        condition('Established', 'InitialNamesAccepted', 'the initial names have been accepted'),
      ];
      const storedVersions = spec.versions.map(({ name }) => name);
      return { ...object, status: object['status'] ?? { conditions, acceptedNames: spec.names, storedVersions } };
    }
    default:
      return type.schema === undefined ? object : (withDefaults(object, type.schema) as KubeObject);
  }
}

function normaliseSecret(object: KubeObject): KubeObject {
  const { stringData, data, ...rest } = object as KubeObject &
    Record<'stringData' | 'data', Record<string, string> | undefined>;
  const encoded = Object.entries(stringData ?? {}).map(([key, text]) => [key, Buffer.from(text).toString('base64')]);
  const all: Record<string, string> = { ...data, ...(Object.fromEntries(encoded) as Record<string, string>) };
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
const LEASES = 'coordination.k8s.io/leases';

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
  const data = (object['data'] ?? {}) as Readonly<Record<string, string>>;
  const missing = (REQUIRED_DATA[secretType] ?? []).filter((field) => data[field.slice(5, -1)] === undefined);
  // One of the two is enough for basic authentication.
  if (secretType === 'kubernetes.io/basic-auth' && missing.length < 2) return [];
  return missing.map(required);
}

function dataErrors(type: ResourceType, object: KubeObject): StatusCause[] {
  const causes = dataKeyErrors(object);
  const isSecret = type.collection === '/secrets';
  const data = (object['data'] ?? {}) as Readonly<Record<string, string>>;
  const binary = (object['binaryData'] ?? {}) as Readonly<Record<string, string>>;
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

/** A definition is named after what it defines, and every version has a schema. */
function definitionErrors(object: KubeObject): StatusCause[] {
  const { group, names, versions } = object['spec'] as {
    readonly group: string;
    readonly names: { readonly plural: string };
    readonly versions: readonly { readonly schema?: { readonly openAPIV3Schema?: object } }[];
  };
  const causes: StatusCause[] = [];
  const { name } = object.metadata;
  if (name !== `${names.plural}.${group}`) {
    const why = `Invalid value: ${JSON.stringify(name)}: must be spec.names.plural+"."+spec.group`;
    causes.push(errors.fieldError('metadata.name', 'FieldValueInvalid', why));
  }
  for (const [index, { schema }] of versions.entries()) {
    if (schema?.openAPIV3Schema !== undefined) continue;
    const field = `spec.versions[${index}].schema.openAPIV3Schema`;
    causes.push(errors.fieldError(field, 'FieldValueRequired', 'Required value'));
  }
  return causes;
}

function leaseErrors(object: KubeObject): StatusCause[] {
  const spec = (object['spec'] ?? {}) as Readonly<Record<string, number | undefined>>;
  const check = (field: string, isWrong: boolean, why: string): StatusCause[] =>
    isWrong ? [errors.fieldError(`spec.${field}`, 'FieldValueInvalid', `Invalid value: ${spec[field]}: ${why}`)] : [];
  return [
    ...check('leaseDurationSeconds', (spec['leaseDurationSeconds'] ?? 1) <= 0, 'must be greater than 0'),
    ...check('leaseTransitions', (spec['leaseTransitions'] ?? 0) < 0, 'must be greater than or equal to 0'),
  ];
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

function kindErrors(type: ResourceType, object: KubeObject, before: KubeObject | undefined): StatusCause[] {
  if (type.collection === EVENTS) return eventErrors(type, object, before);
  if (type.collection === CRD_COLLECTION) return definitionErrors(object);
  if (type.collection === LEASES) return leaseErrors(object);
  const causes = ['/secrets', '/configmaps'].includes(type.collection) ? dataErrors(type, object) : [];
  if (!['/secrets', '/configmaps'].includes(type.collection) || before === undefined) return causes;
  if (type.collection === '/secrets' && object['type'] !== before['type']) {
    const message = `Invalid value: ${JSON.stringify(object['type'])}: field is immutable`;
    causes.push(errors.fieldError('type', 'FieldValueInvalid', message));
  }
  if (before['immutable'] !== true) return causes;
  const message = 'Forbidden: field is immutable when `immutable` is set';
  if (object['immutable'] !== true) causes.push(errors.fieldError('immutable', 'FieldValueForbidden', message));
  if (!isDeepStrictEqual(object['data'], before['data'])) {
    causes.push(errors.fieldError('data', 'FieldValueForbidden', message));
  }
  return causes;
}
