// Promises: create, update and delete with the real server's rules: who sets which field, what is a conflict, when a
// generation grows, what a write without effect does (nothing), what finalizers hold. Knows no HTTP.
import { isDeepStrictEqual } from 'node:util';
import type { ServerEnvironment } from '../http.ts';
import { normalise, normaliseSecret, objectErrors } from './built-in-rules.ts';
import { accepted } from './definitions.ts';
import { checkPreconditions, finalizerOf } from './delete-options.ts';
import type { DeleteOptions } from './delete-options.ts';
import { checkMicroTimes, eventToStored, inUTC } from './events.ts';
import { checkKind, nameMismatch } from './identity.ts';
import { decodeBody, isObjectBody, validateCustomResource } from './custom-resource.ts';
import type { DecodeOptions } from './custom-resource.ts';
import { checkMetaTypes, checkSystemMeta } from './object-meta.ts';
import { CRD_COLLECTION, EVENTS, isEstablished, NAMESPACES, servedTypes } from './resources.ts';
import type { ResourceType } from './resources.ts';
import * as errors from './status.ts';
import { Store } from './store.ts';
import type { KubeObject, StoredMeta } from './store.ts';

/** Which object, and through which door. */
export interface Target extends DecodeOptions {
  readonly type: ResourceType;
  readonly namespace: string | undefined;
  readonly name: string;
  readonly status?: boolean;
  /** Everything is checked, nothing is stored. */
  readonly dryRun?: boolean;
}

const NAMESPACE_TYPE = { group: '', plural: 'namespaces', kind: 'Namespace' };

/** Without vowels and look-alikes (k8s.io/apimachinery/pkg/util/rand). */
const SUFFIX_LETTERS = 'bcdfghjklmnpqrstvwxz2456789';
/** Of a name before its suffix (apiserver/pkg/storage/names). */
const MAX_PREFIX_LENGTH = 58;

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
    const object = this.#complete(target, {
      ...(type.statusSubresource ? withoutStatus : sent),
      metadata,
    });
    if (target.dryRun !== true) {
      if (type.custom && object['status'] !== undefined) this.#unwritten.add(metadata.uid);
      return this.#put(type, object);
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
    checkSystemMeta(namesIn(type), sent, existing);
    return { object: this.#write(target, existing, sent), created: false };
  }

  /** PATCH: `patched` is what the patch made of what the client sees. */
  patch(target: Target, existing: KubeObject, patched: unknown): KubeObject {
    const { type, name } = target;
    const sent = this.#decodePatched(target, patched);
    if (sent.metadata.name !== name) throw nameMismatch(sent.metadata.name, name);
    checkSystemMeta(namesIn(type), sent, existing);
    return this.#write(target, existing, sent);
  }

  /** The object as it was last, and whether it is gone now or waits for its finalizers. */
  delete(target: Target, options: DeleteOptions = {}): { readonly object: KubeObject; readonly gone: boolean } {
    const { type } = target;
    const added = finalizerOf(options);
    const existing = this.get(target);
    checkPreconditions(type, existing, options);
    const held = existing.metadata.finalizers ?? [];
    const finalizers = added === undefined || held.includes(added) ? held : [...held, added];
    // A namespace is held by spec.finalizers; the namespace controller lets it go.
    const waits = finalizers.length > 0 || type.collection === NAMESPACES;
    if (!waits) {
      const last = target.dryRun === true ? undefined : this.store.remove(type.collection, existing);
      return { object: last ?? existing, gone: true };
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
    const next = this.#complete(target, merged, existing, sent);
    if (isDeepStrictEqual(next, existing) && !this.#unwritten.has(existing.metadata.uid)) return existing;
    if (target.dryRun === true) return next;
    this.#unwritten.delete(existing.metadata.uid);
    if (next.metadata.deletionTimestamp !== undefined && (next.metadata.finalizers ?? []).length === 0) {
      if (type.collection !== NAMESPACES) {
        // Watches are told the last state that was stored, with its finalizers.
        this.store.remove(type.collection, existing);
        return asLastSent(next, sent);
      }
    }
    return this.#put(type, next);
  }

  /** The naming controller of definitions works at once: its write follows the client's. */
  #put(type: ResourceType, object: KubeObject): KubeObject {
    const stored = this.store.put(type.collection, object);
    if (type.collection !== CRD_COLLECTION || isEstablished(stored)) return stored;
    const others = this.store.list(CRD_COLLECTION).filter(isEstablished);
    const established = accepted(stored, others, this.timestamp());
    this.store.put(type.collection, established);
    if (isEstablished(established)) {
      const { group, names } = stored['spec'] as {
        readonly group: string;
        readonly names: { readonly plural: string };
      };
      this.store.begin(`${group}/${names.plural}`);
    }
    return stored;
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
    const { apiVersion, kind } = checkKind(type, sent, this.types());
    checkMetaTypes(type, sent.metadata);
    const metadata = (sent.metadata ?? {}) as StoredMeta;
    if (namespace !== undefined && (metadata.namespace ?? namespace) !== namespace) {
      throw errors.badRequest('the namespace of the provided object does not match the namespace sent on the request');
    }
    checkMicroTimes(type, sent);
    const object = { ...sent, apiVersion, kind, metadata };
    const decoded = inUTC(type, decodeBody(type, object, target));
    // Illegal base64 is the decoder's to tell, so that a patch gets its 422.
    if (type.collection === '/secrets') normaliseSecret(decoded);
    return type.collection === EVENTS ? eventToStored(type, decoded) : decoded;
  }

  /** Defaults, then validation. `sent` is the object as the client wrote it. */
  #complete(target: Target, object: KubeObject, before?: KubeObject, sent: KubeObject = object): KubeObject {
    const { type, status } = target;
    const next = normalise(type, object);
    const earlier = objectErrors(type, next, before === undefined ? undefined : { before, sent, status });
    if (!type.custom) {
      if (earlier.length > 0) throw errors.invalid(namesIn(type), next.metadata.name, earlier);
      return next;
    }
    const statusOnly = status === true;
    const { causes, warnings } = validateCustomResource(type, next, before, {
      earlier,
      statusOnly,
      floats: target.floats,
    });
    if (causes.length > 0) throw errors.invalid(type, next.metadata.name, causes);
    target.warnings?.push(...warnings);
    return next;
  }

  #generatedName(prefix: string | undefined): string {
    if (!prefix) return '';
    const letter = (): string => SUFFIX_LETTERS.charAt(Math.floor(this.#env.random.next() * SUFFIX_LETTERS.length));
    return `${prefix.slice(0, MAX_PREFIX_LENGTH)}${Array.from({ length: 5 }, letter).join('')}`;
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

const EVENT_NAMES = { group: '', plural: 'events', kind: 'Event' };

/** Invalid answers name Events of both groups without a group. */
function namesIn(type: ResourceType): errors.ResourceNames {
  return type.collection === EVENTS ? EVENT_NAMES : type;
}

/** What goes with this write was never stored: a Role's list that was sent empty is shown empty, not null. */
function asLastSent(object: KubeObject, sent: KubeObject): KubeObject {
  const { rules } = sent as { readonly rules?: unknown };
  return object['rules'] === null && Array.isArray(rules) ? { ...object, rules } : object;
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
