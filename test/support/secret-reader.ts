// Promises: what a pod sees of a Secret while things break: it looks all the time and keeps its copy while the API server is
// away, as a volume does. It tells the least life that its copy ever had left, and when each credential came. It asserts
// only when asked to.
import assert from 'node:assert/strict';
import { countOf } from './fault-report.ts';

/** The part of a credential that a reader looks at. */
export interface Pair {
  readonly accessKeyID: string;
  readonly expirationMs: number;
}

/** How to look. */
export interface ReaderOptions {
  /** Undefined when there is no such Secret; rejects when the API server is away. */
  readonly read: () => Promise<Pair | undefined> | Pair | undefined;
  /** The true time, in milliseconds since the epoch. */
  readonly now: () => number;
  readonly everyMs: number;
}

/** The pair in a Secret's `credentials.json`, in the form of `credential_process`. */
export function pairIn(credentialsJSON: string): Pair | undefined {
  if (credentialsJSON === '') return undefined;
  const file = JSON.parse(credentialsJSON) as { readonly AccessKeyId: string; readonly Expiration: string };
  return { accessKeyID: file.AccessKeyId, expirationMs: Date.parse(file.Expiration) };
}

/** Looks from its making until stop(). */
export class SecretReader {
  readonly #options: ReaderOptions;
  /** When each access key was first seen. */
  readonly #firstSeenMs = new Map<string, number>();
  #copy: Pair | undefined;
  #looks = 0;
  #failedLooks = 0;
  #absences = 0;
  #leastLeftMs = Number.POSITIVE_INFINITY;
  #stopped = false;
  readonly #ended: Promise<void>;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#ended = this.#run();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      await this.look();
      // It keeps no process alive: a test that has failed does not stop its readers.
      await new Promise((resolve) => setTimeout(resolve, this.#options.everyMs).unref());
    }
  }

  /** One look more. */
  async look(): Promise<void> {
    const { read, now } = this.#options;
    this.#looks += 1;
    try {
      const pair = await read();
      if (pair === undefined && this.#copy !== undefined) this.#absences += 1;
      if (pair !== undefined && !this.#firstSeenMs.has(pair.accessKeyID))
        this.#firstSeenMs.set(pair.accessKeyID, now());
      this.#copy = pair ?? this.#copy;
    } catch {
      this.#failedLooks += 1;
    }
    if (this.#copy !== undefined) this.#leastLeftMs = Math.min(this.#leastLeftMs, this.#copy.expirationMs - now());
  }

  /** When the credential that is there now was first seen; undefined before the first. */
  get replacedAtMs(): number | undefined {
    return this.#copy === undefined ? undefined : this.#firstSeenMs.get(this.#copy.accessKeyID);
  }

  /** How many different credentials it has seen. */
  get count(): number {
    return this.#firstSeenMs.size;
  }

  get leastLeftMs(): number {
    return this.#leastLeftMs;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#ended;
  }

  /** Ends the reader. @throws AssertionError if it ever had an expired credential, or none after the first, or never looked. */
  async assertNeverExpired(): Promise<void> {
    await this.stop();
    assert.ok(this.count > 0, 'the reader has seen a credential');
    assert.ok(this.#leastLeftMs > 0, `a reader had a credential that ended ${-this.#leastLeftMs} ms ago`);
    assert.equal(this.#absences, 0, 'the Secret was never away');
  }

  /** In words, for the fault table. */
  describe(): string {
    const left = formatSeconds(this.#leastLeftMs);
    const away = this.#failedLooks === 0 ? '' : `, ${this.#failedLooks} of them unanswered`;
    return `${countOf(this.#looks, 'look')}${away}: always a live credential, ${left} left at least`;
  }
}

function formatSeconds(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  return seconds < 120 ? `${seconds} s` : `${Math.floor(seconds / 60)} min`;
}

/** How late a refresh was: from the fault's end (or from when it was due, if that was later) until a reader had it. */
export function lateness(replacedAtMs: number | undefined, ...fromMs: readonly number[]): number {
  assert.ok(replacedAtMs !== undefined, 'the reader has seen a credential');
  return Math.max(0, Math.round(replacedAtMs - Math.max(...fromMs)));
}

/**
 * How late the last of several readers had its refresh, counted from `fromMs`; stops them.
 * @throws AssertionError as assertNeverExpired does, for any of them.
 */
export async function latenessOf(readers: readonly SecretReader[], fromMs: number): Promise<number> {
  for (const reader of readers) {
    await reader.look();
    await reader.assertNeverExpired();
  }
  return Math.max(...readers.map((reader) => lateness(reader.replacedAtMs, fromMs)));
}
