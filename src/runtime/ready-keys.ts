// Promises: the order in which ready keys are handed out: the most urgent class first, inside a class one key of each
// tenant in turn, inside a tenant first come first served. Ten thousand keys of one tenant delay every other tenant by
// one turn. Every operation takes constant time, but for the number of classes.

/** First in, first out; a value can be taken out of the middle. JavaScript's iterators over a Set see what is added. */
class Fifo<T> {
  readonly #values = new Set<T>();
  #walk: Iterator<T> | undefined;

  get size(): number {
    return this.#values.size;
  }

  push(value: T): void {
    this.#values.add(value);
  }

  delete(value: T): void {
    this.#values.delete(value);
    // A walk that came to its end stays there, whatever is added later.
    if (this.#values.size === 0) this.#walk = undefined;
  }

  shift(): T | undefined {
    if (this.#values.size === 0) return undefined;
    this.#walk ??= this.#values.values();
    const next = this.#walk.next();
    if (next.done === true) return undefined;
    this.delete(next.value);
    return next.value;
  }
}

/** The keys of one tenant in one class. */
interface Tenant {
  readonly name: string;
  readonly keys: Fifo<string>;
}

class UrgencyClass {
  readonly #tenants = new Map<string, Tenant>();
  readonly #turns = new Fifo<Tenant>();
  size = 0;

  push(key: string, tenantName: string): void {
    let tenant = this.#tenants.get(tenantName);
    if (tenant === undefined) {
      tenant = { name: tenantName, keys: new Fifo() };
      this.#tenants.set(tenantName, tenant);
      this.#turns.push(tenant);
    }
    tenant.keys.push(key);
    this.size += 1;
  }

  delete(key: string, tenantName: string): void {
    const tenant = this.#tenants.get(tenantName);
    if (tenant === undefined) return;
    tenant.keys.delete(key);
    this.size -= 1;
    if (tenant.keys.size > 0) return;
    this.#tenants.delete(tenantName);
    this.#turns.delete(tenant);
  }

  shift(): string | undefined {
    const tenant = this.#turns.shift();
    const key = tenant?.keys.shift();
    if (tenant === undefined || key === undefined) return undefined;
    this.size -= 1;
    if (tenant.keys.size > 0) this.#turns.push(tenant);
    else this.#tenants.delete(tenant.name);
    return key;
  }
}

/** Where a ready key waits. */
interface Place {
  readonly urgency: number;
  readonly tenant: string;
}

/** Ready keys; each at most once. */
export class ReadyKeys {
  readonly #classes = new Map<number, UrgencyClass>();
  readonly #places = new Map<string, Place>();
  #urgencies: readonly number[] = [];

  get size(): number {
    return this.#places.size;
  }

  /** How many keys wait in a class. */
  sizeOf(urgency: number): number {
    return this.#classes.get(urgency)?.size ?? 0;
  }

  /** The class in which a key waits; undefined when it does not. */
  urgencyOf(key: string): number | undefined {
    return this.#places.get(key)?.urgency;
  }

  /** Lets `key` wait in class `urgency` (0 is the most urgent), at the end of its tenant's keys. It must not wait yet. */
  push(key: string, urgency: number, tenant: string): void {
    this.#classOf(urgency).push(key, tenant);
    this.#places.set(key, { urgency, tenant });
  }

  /** Takes a key out, if it waits. */
  delete(key: string): void {
    const place = this.#places.get(key);
    if (place === undefined) return;
    this.#places.delete(key);
    this.#classOf(place.urgency).delete(key, place.tenant);
  }

  /** Takes out the key whose turn it is, with the class in which it waited; undefined when none waits. */
  shift(): { readonly key: string; readonly urgency: number } | undefined {
    for (const urgency of this.#urgencies) {
      const key = this.#classOf(urgency).shift();
      if (key === undefined) continue;
      this.#places.delete(key);
      return { key, urgency };
    }
    return undefined;
  }

  #classOf(urgency: number): UrgencyClass {
    let found = this.#classes.get(urgency);
    if (found === undefined) {
      found = new UrgencyClass();
      this.#classes.set(urgency, found);
      this.#urgencies = [...this.#classes.keys()].toSorted((a, b) => a - b);
    }
    return found;
  }
}
