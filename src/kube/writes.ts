// Promises: reading our own writes, as KEP-5647 does it in Kubernetes' own controllers: after a write the key is not
// decided on again until the cache of that type has seen the write. Pure except for the Clock; no call is made here.
// May not be trusted for longer than STALE_AFTER_MS: an etcd restore sends revisions backwards, a watch may hang.
import type { Clock } from '../runtime/clock.ts';
import { compareResourceVersions } from './resource-version.ts';

/** How long a mark is waited for; afterwards a live GET decides. */
export const STALE_AFTER_MS = 5_000;

/** The most marks that are kept: each is one write whose watch event is still on its way. */
const MAX_MARKS = 65_536;

/** How a key stands: `settled`: decide. `pending`: wait for the cache. `stale`: ask the API server, then drop(). */
export type WriteState = 'settled' | 'pending' | 'stale';

/** What the cache of one type knows. */
export interface CacheView {
  /** The newest resourceVersion that the cache's watch has seen (Informer.resourceVersion), bookmarks included. */
  readonly resourceVersion: string | undefined;
  /** The UID of the object that the cache holds under the key. */
  readonly uid?: string | undefined;
}

interface Mark {
  readonly resourceVersion: string | undefined;
  readonly deletedUID: string | undefined;
  readonly markedAtMs: number;
}

/** The writes whose echo has not come back yet, by resource type and key. */
export class WriteMarks {
  readonly #clock: Clock;
  readonly #maxMarks: number;
  /** In the order of the last write, so that the first entry is the oldest. */
  readonly #marks = new Map<string, Mark>();

  constructor(clock: Clock, maxMarks: number = MAX_MARKS) {
    this.#clock = clock;
    this.#maxMarks = maxMarks;
  }

  /** How many marks are kept. */
  get size(): number {
    return this.#marks.size;
  }

  /**
   * Remembers that `key` of `type` was written.
   * @param resourceVersion as the API server answered it. A later write replaces an earlier one.
   */
  mark(type: string, key: string, resourceVersion: string): void {
    this.#set(type, key, { resourceVersion, deletedUID: this.#marks.get(id(type, key))?.deletedUID });
  }

  /** Remembers that the object with `uid` was deleted: settled when the cache no longer holds this UID. */
  markDeleted(type: string, key: string, uid: string): void {
    this.#set(type, key, { resourceVersion: undefined, deletedUID: uid });
  }

  /** How `key` stands against what the cache of the SAME type has seen. A settled mark is forgotten. */
  state(type: string, key: string, cache: CacheView): WriteState {
    const mark = this.#marks.get(id(type, key));
    if (mark === undefined) return 'settled';
    if (isSettled(mark, cache)) {
      this.#marks.delete(id(type, key));
      return 'settled';
    }
    return this.#clock.monotonicMs() - mark.markedAtMs >= STALE_AFTER_MS ? 'stale' : 'pending';
  }

  /** Whether the cache has seen the last write of `key`. */
  settled(type: string, key: string, cache: CacheView): boolean {
    return this.state(type, key, cache) === 'settled';
  }

  /** Milliseconds until a pending mark becomes stale; 0 when it is stale or there is none. */
  staleInMs(type: string, key: string): number {
    const mark = this.#marks.get(id(type, key));
    return mark === undefined ? 0 : Math.max(0, mark.markedAtMs + STALE_AFTER_MS - this.#clock.monotonicMs());
  }

  /**
   * Whether the cache's news of `key` is the last write that was marked, come back: nothing that the writer did not know.
   * Such a mark is settled, and forgotten.
   */
  takeEcho(type: string, key: string, resourceVersion: string | undefined): boolean {
    const mark = this.#marks.get(id(type, key));
    const isEcho = mark !== undefined && mark.deletedUID === undefined && mark.resourceVersion === resourceVersion;
    if (isEcho) this.#marks.delete(id(type, key));
    return isEcho;
  }

  /** Whether a mark is kept: after state() said anything but `pending`, one that is left is stale. */
  has(type: string, key: string): boolean {
    return this.#marks.has(id(type, key));
  }

  /** Forgets a mark: after a live GET has decided, or when the object is gone. */
  drop(type: string, key: string): void {
    this.#marks.delete(id(type, key));
  }

  #set(type: string, key: string, what: Pick<Mark, 'resourceVersion' | 'deletedUID'>): void {
    // Deleted first, so that the entry moves to the end of the map's order.
    this.#marks.delete(id(type, key));
    this.#marks.set(id(type, key), { ...what, markedAtMs: this.#clock.monotonicMs() });
    if (this.#marks.size <= this.#maxMarks) return;
    const oldest = this.#marks.keys().next();
    if (oldest.done !== true) this.#marks.delete(oldest.value);
  }
}

/** A blank is in neither a resource's plural nor a key. */
function id(type: string, key: string): string {
  return `${type} ${key}`;
}

function isSettled(mark: Mark, cache: CacheView): boolean {
  if (mark.deletedUID !== undefined && mark.deletedUID === cache.uid) return false;
  if (mark.resourceVersion === undefined) return true;
  const order = compareResourceVersions(cache.resourceVersion, mark.resourceVersion);
  return order !== undefined && order >= 0;
}
