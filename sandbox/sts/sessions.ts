// Promises: the sessions that one STS gave out, however they were asked for, so that a hop can be signed with the one before.
// It draws keys from the server's own chance: none is real, and none is told to anybody but the caller and the test.
import type { Random } from '../../src/runtime/random.ts';

/** A session tag. */
export interface SessionTag {
  readonly key: string;
  readonly value: string;
  /** Carried on to the sessions that are made from this one. */
  readonly transitive: boolean;
}

/** Credentials that were given out, kept for tests that look for leaks and for what was asked. */
export interface IssuedCredential {
  readonly accessKeyID: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  readonly expirationMs: number;
  /** The role's ARN or TRN. */
  readonly roleARN: string;
  readonly sessionName: string;
  /** Empty for a session that was made from another one. */
  readonly webIdentityToken: string;
  /** The key of the session before; undefined for one that a token bought. */
  readonly parentAccessKeyID?: string;
  /** 1 for a session that a token bought, 2 for one made from it, and so on. */
  readonly hop: number;
  /** As asked; undefined when the request named none. */
  readonly durationSeconds?: number;
  readonly policy?: string;
  readonly policyARNs: readonly string[];
  readonly externalID?: string;
  readonly sourceIdentity?: string;
  readonly tags: readonly SessionTag[];
}

/** What is asked; the rest is drawn. */
export type SessionRequest = Omit<IssuedCredential, 'accessKeyID' | 'secretAccessKey' | 'sessionToken'>;

/** What a cloud's credentials look like. */
export interface KeyShape {
  readonly prefix: string;
  /** Letters after the prefix. */
  readonly idLength: number;
  readonly secretLength: number;
  readonly tokenPrefix: string;
  readonly tokenLength: number;
}

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const BASE62 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const BASE64 = `${BASE62}+/`;

/** The store of one STS. */
export class Sessions {
  readonly issued: IssuedCredential[] = [];
  readonly #shape: KeyShape;
  readonly #random: Random;

  constructor(shape: KeyShape, random: Random) {
    this.#shape = shape;
    this.#random = random;
  }

  /** Draws three parts and remembers them. */
  issue(request: SessionRequest): IssuedCredential {
    const { prefix, idLength, secretLength, tokenPrefix, tokenLength } = this.#shape;
    const credential = {
      accessKeyID: `${prefix}${this.#pick(BASE32, idLength)}`,
      secretAccessKey: this.#pick(BASE64, secretLength),
      sessionToken: `${tokenPrefix}${this.#pick(BASE64, tokenLength)}`,
      ...request,
    };
    this.issued.push(credential);
    return credential;
  }

  /** The session of a key; undefined when this STS never gave it out. */
  find(accessKeyID: string): IssuedCredential | undefined {
    return this.issued.findLast((session) => session.accessKeyID === accessKeyID);
  }

  #pick(letters: string, count: number): string {
    return Array.from({ length: count }, () => letters.charAt(Math.floor(this.#random.next() * letters.length))).join(
      '',
    );
  }
}
