// Promises: what this process remembers of keys beside objects, bound to the resource's UID: a resource that is created
// anew under an old name inherits nothing. Holds credentials that could not be written; never prints them.
import type { KeyMemory } from '../credential/observed.ts';

interface Entry {
  readonly uid: string;
  readonly memory: KeyMemory;
}

/** Memories by key. */
export class KeyMemories {
  readonly #entries = new Map<string, Entry>();

  /** How many keys something is remembered of. */
  get size(): number {
    return this.#entries.size;
  }

  /** What is remembered of the resource with this UID. */
  of(key: string, uid: string): KeyMemory {
    const entry = this.#entries.get(key);
    return entry?.uid === uid ? entry.memory : {};
  }

  /** Changes some of it; members that are undefined are forgotten. */
  remember(key: string, uid: string, change: KeyMemory): void {
    const memory = { ...this.of(key, uid), ...change };
    if (Object.values(memory).every((value) => value === undefined)) {
      this.#entries.delete(key);
    } else {
      this.#entries.set(key, { uid, memory });
    }
  }

  /** Forgets a key. */
  forget(key: string): void {
    this.#entries.delete(key);
  }
}
