// Promises: where an endpoint's rate is too low for all who ask, tenants share it: a caller that is refused is told a moment
// at which a call is kept for it, and no tenant has more than a few of these, so that another's caller waits for a few calls
// of each tenant and not for all that one of them wants. Bounded; only counts: nothing in here waits.

/** Who asks for a call. */
export interface Caller {
  /** Who shares: the namespace. */
  readonly tenant: string;
  /** What comes back at its turn. */
  readonly key: string;
}

/** What a turn depends on. Milliseconds of one monotonic clock. */
export interface TurnRequest {
  readonly nowMs: number;
  /** No turn is before this. */
  readonly earliestMs: number;
  /** From one turn to the next: what the rate allows. */
  readonly intervalMs: number;
  /** No turn is later than this from now: the rate may be another by then. */
  readonly horizonMs: number;
  /** How many calls the work makes. */
  readonly calls: number;
}

interface Turn {
  readonly tenant: string;
  readonly atMs: number;
  readonly calls: number;
}

interface Tenant {
  turns: number;
  /** Where the next caller without a turn is asked to come back. */
  nextMs: number;
}

/** Enough to keep an endpoint busy from one tenant's queue; each is a call that others wait for. */
const TURNS_PER_TENANT = 4;
/** A caller that is so late does not come: its key was deleted, say, or waits for something else. */
const GRACE_MS = 5_000;

/** The turns of one endpoint. */
export class Turns {
  /** By the caller's key, in the order of their times. */
  readonly #turns = new Map<string, Turn>();
  readonly #tenants = new Map<string, Tenant>();
  #lastMs = -Infinity;

  /** The calls that are kept at this moment for others than the caller; forgets turns that nobody took. */
  keptForOthers(key: string | undefined, nowMs: number): number {
    let kept = 0;
    for (const [holder, { atMs, calls }] of this.#turns) {
      if (atMs > nowMs) break;
      if (atMs + GRACE_MS < nowMs) this.end(holder);
      else if (holder !== key) kept += calls;
    }
    return kept;
  }

  /** When the caller's turn is; undefined when it has none. */
  timeMs(key: string): number | undefined {
    return this.#turns.get(key)?.atMs;
  }

  /** The caller has had its turn, or does without. */
  end(key: string): void {
    const turn = this.#turns.get(key);
    if (turn === undefined) return;
    this.#turns.delete(key);
    const tenant = this.#tenants.get(turn.tenant);
    if (tenant !== undefined) tenant.turns -= 1;
  }

  /** Gives the caller a turn; undefined where its tenant has all that it may have, or the next one is too far away. */
  book({ tenant: name, key }: Caller, request: TurnRequest): number | undefined {
    const { nowMs, earliestMs, intervalMs, horizonMs, calls } = request;
    const tenant = this.#tenant(name, nowMs);
    const atMs = Math.max(earliestMs, this.#lastMs + intervalMs);
    if (tenant.turns >= TURNS_PER_TENANT || atMs > nowMs + horizonMs) return undefined;
    tenant.turns += 1;
    this.#lastMs = atMs;
    this.#turns.set(key, { tenant: name, atMs, calls });
    return atMs;
  }

  /** When a caller without a turn may ask again: each of a tenant at a time of its own, at the tenant's share of the rate. */
  askAgainMs(name: string, { nowMs, earliestMs, intervalMs, horizonMs }: TurnRequest): number | undefined {
    const tenant = this.#tenant(name, nowMs);
    const atMs = Math.max(tenant.nextMs, earliestMs);
    if (atMs > nowMs + horizonMs) return undefined;
    tenant.nextMs = atMs + intervalMs * this.#tenants.size;
    return atMs;
  }

  /** The rate is another: whoever comes back asks anew. */
  clear(): void {
    this.#turns.clear();
    this.#tenants.clear();
    this.#lastMs = -Infinity;
  }

  #tenant(name: string, nowMs: number): Tenant {
    const known = this.#tenants.get(name);
    if (known !== undefined) return known;
    // Those who want nothing any more do not share.
    for (const [other, { turns, nextMs }] of this.#tenants) {
      if (turns === 0 && nextMs < nowMs) this.#tenants.delete(other);
    }
    const made = { turns: 0, nextMs: -Infinity };
    this.#tenants.set(name, made);
    return made;
  }
}
