// Promises: what one list+watch stream has cached, and whom it tells. Level-based: an event that is older than what is
// cached changes nothing. A handler that throws is logged and kills nothing. May not make calls.
import type { ObjectMeta } from '../api/meta.ts';
import type { Log } from '../runtime/log.ts';
import { isRecord } from './failures.ts';
import { compareResourceVersions } from './resource-version.ts';

/** An object as it is on the wire. */
export interface WireObject {
  readonly metadata: ObjectMeta;
  readonly [field: string]: unknown;
}

/** Who is told about changes. Calls are synchronous, in the order of the changes; the cache is already up to date. */
export interface InformerHandler<T> {
  onAdd(object: T): void;
  /** Also when an object was deleted and created anew unseen: compare UIDs. */
  onUpdate(old: T, object: T): void;
  /** With the last state that is known. */
  onDelete(object: T): void;
}

/** One cached object. */
export interface Entry<T> {
  readonly key: string;
  readonly resourceVersion: string;
  readonly object: T;
}

/** How objects become entries. */
export interface StoreOptions<T> {
  readonly resource: string;
  /** Nothing but apiVersion, kind and metadata is shown to `project`. */
  readonly metadataOnly: boolean;
  project(object: WireObject): T;
  readonly log: Log;
}

/** "namespace/name" */
export function objectKey(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}

function isWireObject(value: unknown): value is WireObject {
  const metadata = isRecord(value) ? value['metadata'] : undefined;
  return isRecord(metadata) && typeof metadata['name'] === 'string' && typeof metadata['resourceVersion'] === 'string';
}

/** Metadata alone, also when a server sent more than it was asked for. */
function onlyMetadata(object: WireObject): WireObject {
  return { apiVersion: object['apiVersion'], kind: object['kind'], metadata: object.metadata };
}

export class ObjectStore<T> {
  readonly #options: StoreOptions<T>;
  readonly #handlers: InformerHandler<T>[] = [];
  #entries = new Map<string, Entry<T>>();

  constructor(options: StoreOptions<T>) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): T | undefined {
    return this.#entries.get(key)?.object;
  }

  *objects(): Generator<T> {
    for (const entry of this.#entries.values()) yield entry.object;
  }

  /** A handler that comes late is told what is there. */
  addHandler(handler: InformerHandler<T>): void {
    this.#handlers.push(handler);
    for (const object of this.objects()) this.#guard(() => handler.onAdd(object));
  }

  /**
   * The entry of an object.
   * @returns undefined when `project` cannot read it: it is logged and left out, and the stream goes on.
   */
  toEntry(value: unknown): Entry<T> | undefined {
    const { log, resource, metadataOnly } = this.#options;
    if (!isWireObject(value)) {
      log.error('an object without metadata.name and metadata.resourceVersion is left out', { resource });
      return undefined;
    }
    const { name, namespace = '', resourceVersion = '' } = value.metadata;
    try {
      const object = this.#options.project(metadataOnly ? onlyMetadata(value) : value);
      return { key: objectKey(namespace, name), resourceVersion, object };
    } catch (error) {
      const errorName = error instanceof Error ? error.name : 'unknown';
      log.error('an object that cannot be read is left out', { resource, namespace, name, errorName });
      return undefined;
    }
  }

  /** Takes a whole list: what is not in it is gone. Newer or older does not matter here: the list is the truth. */
  replace(entries: readonly Entry<T>[]): void {
    const old = this.#entries;
    this.#entries = new Map(entries.map((entry) => [entry.key, entry]));
    for (const entry of this.#entries.values()) this.#notify(old.get(entry.key), entry);
    for (const [key, entry] of old) {
      if (!this.#entries.has(key)) this.#tell((handler) => handler.onDelete(entry.object));
    }
  }

  /** Takes an event of type ADDED or MODIFIED; which of the two it says does not matter. */
  upsert(entry: Entry<T>): void {
    const old = this.#entries.get(entry.key);
    if (old !== undefined && isOlder(entry, old)) return;
    this.#entries.set(entry.key, entry);
    this.#notify(old, entry);
  }

  /** Takes an event of type DELETED: deleted, or no longer selected by the label selector. */
  remove(entry: Entry<T>): void {
    const old = this.#entries.get(entry.key);
    if (old === undefined || isOlder(entry, old)) return;
    this.#entries.delete(entry.key);
    this.#tell((handler) => handler.onDelete(entry.object));
  }

  #notify(old: Entry<T> | undefined, entry: Entry<T>): void {
    if (old === undefined) this.#tell((handler) => handler.onAdd(entry.object));
    else if (old.resourceVersion !== entry.resourceVersion) {
      this.#tell((handler) => handler.onUpdate(old.object, entry.object));
    }
  }

  #tell(what: (handler: InformerHandler<T>) => void): void {
    for (const handler of this.#handlers) this.#guard(() => what(handler));
  }

  #guard(what: () => void): void {
    try {
      what();
    } catch (error) {
      const errorName = error instanceof Error ? error.name : 'unknown';
      this.#options.log.error('an informer handler failed', { resource: this.#options.resource, errorName });
    }
  }
}

function isOlder<T>(entry: Entry<T>, than: Entry<T>): boolean {
  const order = compareResourceVersions(entry.resourceVersion, than.resourceVersion);
  return order !== undefined && order < 0;
}
