// Promises: the one place of src that asks for chance. May not be used for a decision that has to be the same twice:
// those hash their input instead (credential/hashes.ts).

/** A source of chance. */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** An RFC 4122 version 4 UUID. */
  uuid(): string;
}

/** The machine's chance. */
export const systemRandom: Random = {
  next: () => Math.random(),
  uuid: () => crypto.randomUUID(),
};
