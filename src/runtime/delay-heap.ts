// Promises: keys in the order of the times at which they are due; one entry a key, and an earlier time wins. No clock
// and no timer in here: the queue owns the one timer.

interface Entry {
  readonly key: string;
  dueMs: number;
}

/** A binary heap with an index by key, so that an entry can be moved or taken out in logarithmic time. */
export class DelayHeap {
  readonly #heap: Entry[] = [];
  readonly #indexOf = new Map<string, number>();

  get size(): number {
    return this.#heap.length;
  }

  /** The earliest time; undefined when empty. */
  get nextDueMs(): number | undefined {
    return this.#heap[0]?.dueMs;
  }

  /** Notes that `key` is due at `dueMs`, unless it is due earlier already. */
  add(key: string, dueMs: number): void {
    const index = this.#indexOf.get(key);
    const entry = index === undefined ? undefined : this.#heap[index];
    if (index === undefined || entry === undefined) {
      this.#place({ key, dueMs }, this.#heap.length);
      this.#up(this.#heap.length - 1);
    } else if (dueMs < entry.dueMs) {
      entry.dueMs = dueMs;
      this.#up(index);
    }
  }

  /** Forgets `key`, if it is there. */
  delete(key: string): void {
    const index = this.#indexOf.get(key);
    if (index === undefined) return;
    this.#indexOf.delete(key);
    const last = this.#heap.pop();
    if (last === undefined || last.key === key) return;
    this.#place(last, index);
    this.#up(index);
    this.#down(index);
  }

  /** Takes out the earliest key that is due at `nowMs`; undefined when none is. */
  takeDue(nowMs: number): string | undefined {
    const first = this.#heap[0];
    if (first === undefined || first.dueMs > nowMs) return undefined;
    this.delete(first.key);
    return first.key;
  }

  /** Forgets everything. */
  clear(): void {
    this.#heap.length = 0;
    this.#indexOf.clear();
  }

  #place(entry: Entry, index: number): void {
    this.#heap[index] = entry;
    this.#indexOf.set(entry.key, index);
  }

  /** Puts the entry at `index` in the place of `other` if it is due earlier; tells whether it did. */
  #swapIfEarlier(index: number, other: number): boolean {
    const entry = this.#heap[index];
    const above = this.#heap[other];
    if (entry === undefined || above === undefined || entry.dueMs >= above.dueMs) return false;
    this.#place(entry, other);
    this.#place(above, index);
    return true;
  }

  #up(start: number): void {
    let index = start;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!this.#swapIfEarlier(index, parent)) return;
      index = parent;
    }
  }

  #down(start: number): void {
    let index = start;
    for (;;) {
      const left = 2 * index + 1;
      const leftDueMs = this.#heap[left]?.dueMs;
      if (leftDueMs === undefined) return;
      const earlier = (this.#heap[left + 1]?.dueMs ?? Infinity) < leftDueMs ? left + 1 : left;
      if (!this.#swapIfEarlier(earlier, index)) return;
      index = earlier;
    }
  }
}
