// Promises: the objects, one growing revision, and a bounded history that watches replay. Objects are never changed in
// place: a write stores a new one, so that a page, a watch and a test may keep what they were given. Knows no HTTP.
import type { OwnerReference } from '../../src/api/meta.ts';

/** metadata as the sandbox keeps it. */
export interface StoredMeta {
  readonly name: string;
  readonly generateName?: string;
  readonly namespace?: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly generation?: number;
  readonly creationTimestamp: string;
  readonly deletionTimestamp?: string;
  readonly deletionGracePeriodSeconds?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReference[];
  readonly finalizers?: readonly string[];
}

/** Any object. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: StoredMeta;
  readonly [field: string]: unknown;
}

/** One write; of a deletion, `object` is the last state with the deletion's revision. */
export interface Change {
  readonly revision: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  /** `group/plural`, such as `/secrets`. */
  readonly collection: string;
  readonly object: KubeObject;
  readonly previous?: KubeObject;
}

interface Collection {
  readonly objects: Map<string, KubeObject>;
  history: Change[];
  /** Watches may start at this revision or later. */
  oldest: number;
}

/** `namespace/name`, or `/name` for what has no namespace. */
export function objectKey(namespace: string | undefined, name: string): string {
  return `${namespace ?? ''}/${name}`;
}

export class Store {
  #revision = 1;
  readonly #collections = new Map<string, Collection>();
  readonly #subscribers = new Set<(change: Change) => void>();
  readonly #uids = new Map<string, KubeObject>();
  readonly #historyLimit: number;

  /** @param historyLimit changes kept for each collection; a watch from before them is answered 410. */
  constructor(historyLimit: number) {
    this.#historyLimit = historyLimit;
  }

  get revision(): number {
    return this.#revision;
  }

  get(collection: string, namespace: string | undefined, name: string): KubeObject | undefined {
    return this.#collections.get(collection)?.objects.get(objectKey(namespace, name));
  }

  /** The object with this UID, whatever it is. */
  findByUID(uid: string): KubeObject | undefined {
    return this.#uids.get(uid);
  }

  /** All objects of a collection, in etcd's order: by namespace, then name. */
  list(collection: string, namespace?: string): KubeObject[] {
    const objects = this.#collections.get(collection)?.objects ?? new Map<string, KubeObject>();
    const keys = [...objects.keys()].filter((key) => namespace === undefined || key.startsWith(`${namespace}/`));
    return keys.toSorted().flatMap((key) => objects.get(key) ?? []);
  }

  /** All objects as they were at a revision, or undefined when the history no longer tells. */
  listAt(collection: string, revision: number, namespace?: string): KubeObject[] | undefined {
    const newer = this.since(collection, revision);
    if (newer === undefined) return undefined;
    if (newer.length === 0) return this.list(collection, namespace);
    const objects = new Map(this.#collections.get(collection)?.objects);
    for (const { object, previous } of newer.toReversed()) {
      const key = objectKey(object.metadata.namespace, object.metadata.name);
      if (previous === undefined) objects.delete(key);
      else objects.set(key, previous);
    }
    const keys = [...objects.keys()].filter((key) => namespace === undefined || key.startsWith(`${namespace}/`));
    return keys.toSorted().flatMap((key) => objects.get(key) ?? []);
  }

  /** What was there so many revisions ago, or as long ago as the history tells. */
  listBehind(
    collection: string,
    revisions: number,
    namespace?: string,
  ): { readonly revision: number; readonly objects: readonly KubeObject[] } {
    const revision = Math.max(this.oldest(collection), this.#revision - revisions, 1);
    return { revision, objects: this.listAt(collection, revision, namespace) ?? [] };
  }

  collections(): string[] {
    return [...this.#collections.keys()];
  }

  /** Stores a new or changed object under the next revision and tells the subscribers. */
  put(collection: string, object: KubeObject): KubeObject {
    const revision = this.#next();
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } };
    const key = objectKey(object.metadata.namespace, object.metadata.name);
    const target = this.#collection(collection);
    const previous = target.objects.get(key);
    target.objects.set(key, stored);
    this.#uids.set(stored.metadata.uid, stored);
    const type = previous === undefined ? 'ADDED' : 'MODIFIED';
    this.#record(target, {
      revision,
      type,
      collection,
      object: stored,
      ...(previous === undefined ? {} : { previous }),
    });
    return stored;
  }

  /** Removes an object; does nothing when it has gone. The result is its last state, with the deletion's revision. */
  remove(collection: string, object: KubeObject): KubeObject | undefined {
    const target = this.#collection(collection);
    const key = objectKey(object.metadata.namespace, object.metadata.name);
    const previous = target.objects.get(key);
    if (previous === undefined) return undefined;
    const revision = this.#next();
    target.objects.delete(key);
    this.#uids.delete(previous.metadata.uid);
    const last = { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } };
    this.#record(target, { revision, type: 'DELETED', collection, object: last, previous });
    return last;
  }

  /** The changes after `revision`, or undefined when they are no longer known. */
  since(collection: string, revision: number): readonly Change[] | undefined {
    const target = this.#collection(collection);
    if (revision < target.oldest) return undefined;
    return target.history.filter((change) => change.revision > revision);
  }

  /** The oldest revision from which a watch of this collection may start. */
  oldest(collection: string): number {
    return this.#collection(collection).oldest;
  }

  /** A collection comes to be: nothing before now is known of it. */
  begin(collection: string): void {
    const target = this.#collection(collection);
    if (target.history.length === 0) target.oldest = this.#revision;
  }

  /** Forgets all history, as etcd's compaction does: every watch that starts in the past is answered 410. */
  compact(): void {
    for (const target of this.#collections.values()) {
      target.history = [];
      target.oldest = this.#revision;
    }
  }

  /** Calls back at each write, in order, within it. The result ends the subscription. */
  subscribe(callback: (change: Change) => void): () => void {
    this.#subscribers.add(callback);
    return () => this.#subscribers.delete(callback);
  }

  #next(): number {
    this.#revision += 1;
    return this.#revision;
  }

  #collection(name: string): Collection {
    let found = this.#collections.get(name);
    if (found === undefined) {
      found = { objects: new Map(), history: [], oldest: 0 };
      this.#collections.set(name, found);
    }
    return found;
  }

  #record(target: Collection, change: Change): void {
    target.history.push(change);
    // Cut in blocks: a shift at each write would copy the whole history each time.
    if (target.history.length > this.#historyLimit * 2) {
      const dropped = target.history.splice(0, target.history.length - this.#historyLimit);
      target.oldest = dropped.at(-1)?.revision ?? target.oldest;
    }
    for (const subscriber of this.#subscribers) subscriber(change);
  }
}
