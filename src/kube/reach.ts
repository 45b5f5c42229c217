// Promises: when a namespace counts as out of reach, so that one that was deleted holds up nobody and a refusal of a moment
// costs nothing; and what that means for caches that belong together. Takes the time; makes no calls and logs nothing.
import { KubeError } from './errors.ts';

/**
 * A namespace whose collection is forbidden for so long is out of reach: it was deleted, and its Roles with it, or the Roles
 * alone were; who may not read namespaces cannot tell. An API server that has just started forbids for a moment what it
 * grants, before it has read its Roles.
 */
const OUT_OF_REACH_AFTER_MS = 10_000;

/** How soon a key is looked at again whose namespace is out of reach; what comes back is woken sooner. */
export const OUT_OF_REACH_LOOK_MS = 60_000;

/** Whether one collection can be followed. */
export class Reach {
  readonly #namespace: string;
  /** Monotonic; since when every answer was 403. */
  #forbiddenSinceMs: number | undefined;
  #isLost = false;

  /** @param namespace empty for all: these are never taken for gone. Nobody deletes them, so a right is missing. */
  constructor(namespace: string) {
    this.#namespace = namespace;
  }

  get isLost(): boolean {
    return this.#isLost;
  }

  /** Whether a failure is of a kind that may mean this. */
  concerns(failure: unknown): failure is KubeError {
    return this.#namespace !== '' && failure instanceof KubeError && failure.status === 403;
  }

  /** A failure that concerns it. @returns whether it is lost by this one. */
  noteForbidden(monotonicMs: number): boolean {
    this.#forbiddenSinceMs ??= monotonicMs;
    const wasLost = this.#isLost;
    this.#isLost = monotonicMs - this.#forbiddenSinceMs >= OUT_OF_REACH_AFTER_MS;
    return this.#isLost && !wasLost;
  }

  /** A failure that does not concern it: two refusals with an outage between them are none that lasts. */
  noteOther(): void {
    if (!this.#isLost) this.#forbiddenSinceMs = undefined;
  }

  /** How long it is until one that is forbidden counts as lost: to look then is to know soonest. Infinity where that is no matter. */
  leftMs(monotonicMs: number): number {
    const leftMs = (this.#forbiddenSinceMs ?? Number.NEGATIVE_INFINITY) + OUT_OF_REACH_AFTER_MS - monotonicMs;
    return leftMs > 0 ? leftMs : Number.POSITIVE_INFINITY;
  }

  /** A list has come. @returns whether it was lost before. */
  noteAnswer(): boolean {
    const wasLost = this.#isLost;
    this.#forbiddenSinceMs = undefined;
    this.#isLost = false;
    return wasLost;
  }
}

/** What a cache tells of its streams. */
export interface Reaching {
  /** Whether the cache of a namespace follows the API server: what is not in it is not there. */
  reaches(namespace: string): boolean;
  /** Whether it follows any. */
  readonly reachesAny: boolean;
  /** The namespaces that are out of reach. */
  readonly outOfReach: readonly string[];
  /** How many objects of a namespace were seen last; undefined where none was ever listed. */
  lastSeen(namespace: string): number | undefined;
}

type Caches = Readonly<Record<string, Reaching>>;

/** Whether every one of the caches follows a namespace. Where one does not, a Secret that is there would be missed. */
export function allReach(caches: Caches, namespace: string): boolean {
  return Object.values(caches).every((cache) => cache.reaches(namespace));
}

/** Whether there is anything that every one of the caches may follow: without it a right is missing, not a namespace. */
export function anyReached(caches: Caches): boolean {
  return Object.values(caches).every((cache) => cache.reachesAny);
}

/** Those of some objects that are followed. Of namespaces that are out of reach nobody knows what is still there. */
export function reached<T extends { readonly metadata: { readonly namespace?: string } }>(
  caches: Caches,
  objects: readonly T[] = [],
): T[] {
  return objects.filter(({ metadata }) => allReach(caches, metadata.namespace ?? ''));
}

/** What the last look at the credentials of a namespace that is out of reach has shown; `unknown`: there was none. */
export type LeftBehind = 'none' | 'some' | 'unknown';

/** How many namespaces some of the caches cannot follow. */
export function countOutOfReach(caches: Caches, credentials: Reaching | undefined): Record<LeftBehind, number> {
  const counts = { none: 0, some: 0, unknown: 0 };
  for (const namespace of new Set(Object.values(caches).flatMap(({ outOfReach }) => outOfReach))) {
    const seen = credentials?.lastSeen(namespace);
    counts[seen === undefined ? 'unknown' : seen > 0 ? 'some' : 'none'] += 1;
  }
  return counts;
}
