// Promises: chance that is the same on every run: seeded, or held at one value.
import type { Random } from '../../src/runtime/random.ts';

/** A source of chance that gives the same numbers for the same seed (an xorshift generator of 32 bits). */
export class SeededRandom implements Random {
  #state: number;

  constructor(seed: number) {
    // The scrambling keeps neighbouring seeds apart; xorshift never leaves 0, so 0 is replaced.
    this.#state = Math.imul(seed ^ 0x5bd1e995, 0x2c1b3c6d) | 0 || 1;
    for (let i = 0; i < 4; i += 1) this.next();
  }

  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return (x >>> 0) / 2 ** 32;
  }

  uuid(): string {
    const digits = (count: number): string =>
      Array.from({ length: count }, () => Math.floor(this.next() * 16).toString(16)).join('');
    const variant = '89ab'.charAt(Math.floor(this.next() * 4));
    return `${digits(8)}-${digits(4)}-4${digits(3)}-${variant}${digits(3)}-${digits(12)}`;
  }
}

/** Always the same number; UUIDs count up. */
export class FixedRandom implements Random {
  readonly #value: number;
  #count = 0;

  constructor(value = 0.5) {
    this.#value = value;
  }

  next(): number {
    return this.#value;
  }

  uuid(): string {
    this.#count += 1;
    return `00000000-0000-4000-8000-${String(this.#count).padStart(12, '0')}`;
  }
}
