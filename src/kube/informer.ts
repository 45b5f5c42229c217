// Promises: a cache of one resource that follows the API server, over one stream per namespace or one for all, each on a
// connection of its own. Secrets are cached as metadata only. The shape is client-go's shared informer, without resync.
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Random } from '../runtime/random.ts';
import type { ApiServer } from './connection.ts';
import { type InformerHandler, ObjectStore, type WireObject } from './object-store.ts';
import { type InformerMetrics, Reflector } from './reflector.ts';

export type { InformerHandler, WireObject } from './object-store.ts';
export type { InformerMetrics } from './reflector.ts';

/** Which collection; `group` is empty for core/v1. */
export interface InformerResource {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
}

/** What an Informer needs. */
export interface InformerOptions<T> {
  readonly server: ApiServer;
  readonly resource: InformerResource;
  /** Empty: all namespaces, in one stream. */
  readonly namespaces: readonly string[];
  readonly labelSelector?: string;
  /** Ask for PartialObjectMetadata; no data is received, and none would be kept. */
  readonly metadataOnly: boolean;
  /** What is kept of an object. The less, the better: this is the operator's memory. */
  project(object: WireObject): T;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics?: InformerMetrics;
  /** A namespace (empty: all) can be followed from now on: at its first list, and when it is back. */
  onReached?(namespace: string): void;
}

interface Stream<T> {
  readonly store: ObjectStore<T>;
  readonly reflector: Reflector<T>;
}

/** The key of the one stream that is for all namespaces. */
const ALL_NAMESPACES = '';

export class Informer<T> {
  /** Resolves when hasSynced() does; stays pending when run() is aborted before. */
  readonly synced: Promise<void>;
  readonly #streams = new Map<string, Stream<T>>();
  #running = false;

  constructor(options: InformerOptions<T>) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.synced = promise;
    const onSettled = (): void => {
      if (this.hasSynced()) resolve();
    };
    const namespaces = options.namespaces.length === 0 ? [ALL_NAMESPACES] : new Set(options.namespaces);
    for (const namespace of namespaces) this.#streams.set(namespace, openStream(options, namespace, onSettled));
  }

  /** Follows the API server until aborted. Never rejects for what the network or the server does. */
  async run(signal: AbortSignal): Promise<void> {
    if (this.#running) throw new Error('an informer runs once');
    this.#running = true;
    await Promise.all([...this.#streams.values()].map(({ reflector }) => reflector.run(signal)));
  }

  /**
   * Whether each first list is in the cache, but for namespaces that are out of reach: one that was deleted must not hold up
   * the others. Where all are, nothing is synced.
   */
  hasSynced(): boolean {
    const reflectors = [...this.#streams.values()].map(({ reflector }) => reflector);
    return reflectors.every(({ hasSynced, isOutOfReach }) => hasSynced || isOutOfReach) && this.reachesAny;
  }

  get reachesAny(): boolean {
    return [...this.#streams.keys()].some((namespace) => this.reaches(namespace));
  }

  /** How many objects of a namespace were seen last; undefined where none was ever listed. */
  lastSeen(namespace: string): number | undefined {
    const stream = this.#stream(namespace);
    return stream?.reflector.hasSynced === true ? stream.store.size : undefined;
  }

  /** Whether the cache of a namespace follows the API server: what is not in it is not there. */
  reaches(namespace: string): boolean {
    const reflector = this.#stream(namespace)?.reflector;
    return reflector !== undefined && reflector.hasSynced && !reflector.isOutOfReach;
  }

  /** The namespaces that are out of reach. */
  get outOfReach(): readonly string[] {
    return [...this.#streams].filter(([, { reflector }]) => reflector.isOutOfReach).map(([namespace]) => namespace);
  }

  /** @param key "namespace/name" */
  get(key: string): T | undefined {
    return this.#stream(key.slice(0, key.indexOf('/')))?.store.get(key);
  }

  list(): T[] {
    return [...this.#streams.values()].flatMap(({ store }) => [...store.objects()]);
  }

  /** How many objects are cached. */
  get size(): number {
    let size = 0;
    for (const { store } of this.#streams.values()) size += store.size;
    return size;
  }

  /** The newest resourceVersion that the stream for this namespace has shown; what WriteMarks compares with. */
  resourceVersion(namespace: string): string | undefined {
    return this.#stream(namespace)?.reflector.resourceVersion;
  }

  /** A handler that comes late gets onAdd for what is there. */
  addHandler(handler: InformerHandler<T>): void {
    for (const { store } of this.#streams.values()) store.addHandler(handler);
  }

  /**
   * Resolves when lists that began after this call are in the cache, without those of namespaces that are out of reach;
   * rejects with the reason of `signal` or of run's.
   */
  async relist(signal: AbortSignal): Promise<void> {
    await Promise.all([...this.#streams.values()].map(({ reflector }) => reflector.relist(signal)));
  }

  #stream(namespace: string): Stream<T> | undefined {
    return this.#streams.get(namespace) ?? this.#streams.get(ALL_NAMESPACES);
  }
}

function openStream<T>(options: InformerOptions<T>, namespace: string, onSettled: () => void): Stream<T> {
  const { server, resource, metadataOnly, clock, random, log } = options;
  const store = new ObjectStore<T>({
    resource: resource.plural,
    metadataOnly,
    log,
    project: (object) => options.project(object),
  });
  const reflector = new Reflector<T>(
    {
      server,
      url: collectionURL(server.server, resource, namespace),
      resource: resource.plural,
      namespace,
      labelSelector: options.labelSelector,
      metadataOnly,
      store,
      clock,
      random,
      log,
      metrics: options.metrics,
      onReached: (reached) => options.onReached?.(reached),
    },
    onSettled,
  );
  return { store, reflector };
}

/** https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris */
function collectionURL(server: URL, resource: InformerResource, namespace: string): URL {
  const base = server.href.replace(/\/$/, '');
  const root = resource.group === '' ? `api/${resource.version}` : `apis/${resource.group}/${resource.version}`;
  const scope = namespace === ALL_NAMESPACES ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  return new URL(`${base}/${root}${scope}/${resource.plural}`);
}
