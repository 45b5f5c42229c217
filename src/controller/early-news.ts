// Promises: keeps what caches tell of a key while the key is being worked on. The watch may tell of our own write before
// the write's answer is there: only afterwards it can be said whether that was an echo or somebody else's news. Nothing is
// lost: what was kept comes back at the end of the work. Pure.

/** An event of an object that concerns the key. */
export interface News {
  /** The resource's plural. */
  readonly type: string;
  /** The object, as "namespace/name". */
  readonly at: string;
  readonly resourceVersion: string | undefined;
}

/** News by the key that is being worked on. */
export class EarlyNews {
  readonly #kept = new Map<string, News[]>();

  /** The work on a key begins. One key is worked on once at a time: the queue sees to that. */
  begin(key: string): void {
    this.#kept.set(key, []);
  }

  /** Keeps an event; false when the key is not being worked on. */
  keep(key: string, news: News): boolean {
    const kept = this.#kept.get(key);
    kept?.push(news);
    return kept !== undefined;
  }

  /** The work has ended: everything that was kept. */
  end(key: string): readonly News[] {
    const kept = this.#kept.get(key) ?? [];
    this.#kept.delete(key);
    return kept;
  }
}
