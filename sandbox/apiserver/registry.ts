// Promises: create, update and delete with the real server's rules: who sets which field, what is a conflict, when a
// generation grows, what a write without effect does (nothing), what finalizers hold. Knows no HTTP.
import { isDeepStrictEqual } from 'node:util';
import type { ServerEnvironment } from '../http.ts';
import { checkMicroTimes, eventErrors, eventToStored } from './events.ts';
import { CRD_COLLECTION, EVENTS, groupVersion, NAMESPACES, servedTypes, withDefaults } from './resources.ts';
import type { ResourceType } from './resources.ts';
import * as errors from './status.ts';
import type { StatusCause } from './status.ts';
import { Store } from './store.ts';
import type { KubeObject, StoredMeta } from './store.ts';

/** DELETE's body. */
export interface DeleteOptions {
  readonly propagationPolicy?: string;
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
}

/** Which object, and through which door. */
export interface Target {
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

const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const SUBDOMAIN_RULE =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end " +
  "with an alphanumeric character (e.g. 'example.com', regex used for validation is " +
  "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
/** Without vowels and look-alikes (k8s.io/apimachinery/pkg/util/rand). */
const SUFFIX_LETTERS = 'bcdfghjklmnpqrstvwxz2456789';

export class Registry {
  readonly store: Store;
  readonly #env: ServerEnvironment;
  #types: readonly ResourceType[] | undefined;

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

  get({ type, namespace, name }: Target): KubeObject {
    const found = this.store.get(type.collection, namespace, name);
    if (found === undefined) throw errors.notFound(type, name);
    return found;
  }

  create(target: Target, input: unknown): KubeObject {
    const { type, namespace } = target;
    const sent = this.#decode(type, namespace, input);
    if (sent.metadata.resourceVersion) {
      throw new errors.StatusError(500, undefined, 'resourceVersion should not be set on objects to be created');
    }
    const name = sent.metadata.name || this.#generatedName(sent.metadata.generateName);
    this.#checkNamespace(type, namespace, name);
    if (this.store.get(type.collection, namespace, name) !== undefined) throw errors.alreadyExists(type, name);
    const metadata: StoredMeta = {
      ...userMeta(sent.metadata),
      name,
      uid: this.#env.random.uuid(),
      resourceVersion: '',
      creationTimestamp: this.timestamp(),
      ...(namespace === undefined ? {} : { namespace }),
      ...(type.generation ? { generation: 1 } : {}),
    };
    const { status: _status, ...withoutStatus } = sent;
    const object = this.#complete(type, { ...(type.statusSubresource ? withoutStatus : sent), metadata }, undefined);
    return target.dryRun === true ? { ...object, metadata } : this.store.put(type.collection, object);
  }

  /** PUT. */
  replace(target: Target, input: unknown): { readonly object: KubeObject; readonly created: boolean } {
    const { type, namespace, name } = target;
    const sent = this.#decode(type, namespace, input);
    if (sent.metadata.name !== name) throw nameMismatch(sent.metadata.name, name);
    const existing = this.store.get(type.collection, namespace, name);
    if (existing === undefined) {
      if (!type.createOnUpdate) throw errors.notFound(type, name);
      return { object: this.create(target, input), created: true };
    }
    const { uid, resourceVersion } = sent.metadata;
    if (uid && uid !== existing.metadata.uid) {
      const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${existing.metadata.uid}`;
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
    const { type, namespace, name } = target;
    const sent = this.#decode(type, namespace, patched);
    if (sent.metadata.name !== name) throw nameMismatch(sent.metadata.name, name);
    if (sent.metadata.uid !== undefined && sent.metadata.uid !== existing.metadata.uid) {
      const message = `Invalid value: ${JSON.stringify(sent.metadata.uid)}: field is immutable`;
      throw errors.invalid(type, name, [errors.fieldError('metadata.uid', 'FieldValueInvalid', message)]);
    }
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
    if (wanted && wanted !== existing.metadata.resourceVersion) throw errors.conflict(type, name);
    const merged = this.#merge(target, existing, sent);
    const next = this.#complete(type, merged, existing);
    if (isDeepStrictEqual(next, existing)) return existing;
    if (target.dryRun === true) return next;
    if (next.metadata.deletionTimestamp !== undefined && (next.metadata.finalizers ?? []).length === 0) {
      if (type.collection !== NAMESPACES) {
        this.store.remove(type.collection, next);
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

  #decode(type: ResourceType, namespace: string | undefined, input: unknown): KubeObject {
    if (typeof input !== 'object' || input === null || Array.isArray(input)) {
      throw errors.badRequest(`the object provided is unrecognized (must be of type ${type.kind})`);
    }
    const sent = input as Partial<KubeObject>;
    const apiVersion = sent.apiVersion ?? groupVersion(type);
    if (apiVersion !== groupVersion(type)) {
      const expected = `does not match the expected API version (${groupVersion(type)})`;
      throw errors.badRequest(`the API version in the data (${apiVersion}) ${expected}`);
    }
    if ((sent.kind ?? type.kind) !== type.kind) {
      const reason = `no kind "${sent.kind}" is registered for version "${apiVersion}"`;
      throw errors.badRequest(
        `${sent.kind} in version "${type.version}" cannot be handled as a ${type.kind}: ${reason}`,
      );
    }
    const metadata = (sent.metadata ?? {}) as StoredMeta;
    if (namespace !== undefined && (metadata.namespace ?? namespace) !== namespace) {
      throw errors.badRequest('the namespace of the provided object does not match the namespace sent on the request');
    }
    checkMicroTimes(type, sent);
    const object = { ...sent, apiVersion, kind: type.kind, metadata };
    return type.collection === EVENTS ? eventToStored(type, object) : object;
  }

  /** Defaults, then validation. */
  #complete(type: ResourceType, object: KubeObject, before: KubeObject | undefined): KubeObject {
    const next = normalise(type, object, this.timestamp());
    const causes = [...metadataErrors(next), ...kindErrors(type, next, before)];
    if (causes.length > 0)
      throw errors.invalid(type.collection === EVENTS ? EVENT_NAMES : type, next.metadata.name, causes);
    return next;
  }

  #generatedName(prefix: string | undefined): string {
    if (!prefix) return '';
    const letter = (): string => SUFFIX_LETTERS.charAt(Math.floor(this.#env.random.next() * SUFFIX_LETTERS.length));
    return `${prefix}${Array.from({ length: 5 }, letter).join('')}`;
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

function nameMismatch(sent: string | undefined, name: string): errors.StatusError {
  return errors.badRequest(`the name of the object (${sent ?? ''}) does not match the name on the URL (${name})`);
}

function defined(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null));
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

function metadataErrors({ metadata }: KubeObject): StatusCause[] {
  const causes: StatusCause[] = [];
  if (metadata.name === '') {
    causes.push(
      errors.fieldError('metadata.name', 'FieldValueRequired', 'Required value: name or generateName is required'),
    );
  } else if (metadata.name.length > 253 || !SUBDOMAIN.test(metadata.name)) {
    const message = `Invalid value: ${JSON.stringify(metadata.name)}: ${SUBDOMAIN_RULE}`;
    causes.push(errors.fieldError('metadata.name', 'FieldValueInvalid', message));
  }
  for (const reference of metadata.ownerReferences ?? []) {
    for (const field of ['apiVersion', 'kind', 'name', 'uid'] as const) {
      if (reference[field]) continue;
      const message = 'Invalid value: "": must not be empty';
      causes.push(errors.fieldError(`metadata.ownerReferences.${field}`, 'FieldValueInvalid', message));
    }
  }
  return causes;
}

function kindErrors(type: ResourceType, object: KubeObject, before: KubeObject | undefined): StatusCause[] {
  if (type.collection === EVENTS) return eventErrors(type, object, before);
  if (type.collection !== '/secrets' || before === undefined) return [];
  const causes: StatusCause[] = [];
  if (object['type'] !== before['type']) {
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
