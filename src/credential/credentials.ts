// Promises: the credential as a value whose secret parts cannot be printed, JSON-ed or inspected, and the one judge of
// what an STS answered. Pure: takes the time. May not import an SDK.
import { CredentialError } from './errors.ts';
import { parseTime } from './record.ts';

/** A secret string: prints as a placeholder; only `reveal()` gives it, and only renderers and providers may call that. */
export class SecretText {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return '[secret]';
  }
}

/** What STS answered, as the cloud's SDK read it; nothing in it is trusted yet. */
export interface ExchangeAnswer {
  readonly accessKeyID: unknown;
  readonly secretAccessKey: unknown;
  readonly sessionToken: unknown;
  /** A Date, or RFC 3339 text with its offset. */
  readonly expiration: unknown;
  /** The Date header of the answer, milliseconds since the epoch; undefined if absent or unreadable. */
  readonly answerDateMs: number | undefined;
  /** The assumed-role identity where STS tells it. */
  readonly identity?: string | undefined;
  readonly requestID?: string | undefined;
}

/** A credential that was accepted. Times are milliseconds since the epoch, on the operator's corrected clock. */
export interface Credential {
  readonly accessKeyID: string;
  readonly secretAccessKey: SecretText;
  readonly sessionToken: SecretText;
  readonly issueTimeMs: number;
  readonly expirationTimeMs: number;
  readonly identity: string | undefined;
  readonly requestID: string | undefined;
}

/** Of a credential, what signs a request. */
export type SigningKeys = Pick<Credential, 'accessKeyID' | 'secretAccessKey' | 'sessionToken'>;

/** Longest part accepted, in characters: STS tokens are a few kilobytes, and a Secret holds 1 MiB in all. */
const MAX_PART_LENGTH = 16_384;
/** An answer's Date further than this from our clock is not believed (the shorter reading counts). */
const MAX_DATE_DISTANCE_MS = 5 * 60_000;
/** How much longer than asked a life may be, for rounding and latency. */
const LIFE_GRACE_MS = 60_000;
/** The characters of base64, base64url, JWTs and their like: none of them ends a line, a quote or an argument anywhere. */
const PART = /^[A-Za-z0-9+/=._~:@-]+$/;
/**
 * An access key id is public, and is shown: AWS's have at most 128 word characters, the others' also dots and dashes. A
 * token or session token that stands in its place is too long for it.
 * https://docs.aws.amazon.com/STS/latest/APIReference/API_Credentials.html
 */
const ACCESS_KEY_ID = /^[A-Za-z0-9._-]{1,128}$/;
/** Times in a Secret are whole seconds: a shorter life would end as it begins. */
const MIN_LIFE_MS = 1000;

/**
 * Judges an STS answer.
 * The life is `min(expiration - answer's Date, requested + 60 s)`; with no Date, or one more than 5 minutes off, the
 * shorter of the two readings (against the Date, against our clock).
 * @param nowMs the corrected clock just before the call: the time in flight then shortens the recorded life; of a clock
 * read after it, it would lengthen it beyond the real one.
 * @throws CredentialError InvalidResponse, which names the part and never its value.
 */
export function acceptAnswer(answer: ExchangeAnswer, requestedSeconds: number, nowMs: number): Credential {
  const refuse = (what: string): never => {
    throw new CredentialError(
      'InvalidResponse',
      `STS answered 200, but ${what}; the answer was thrown away and the Secret keeps what it has. Check what answers at the endpoint.`,
      { requestID: answer.requestID },
    );
  };
  const part = (name: string, value: unknown): string => {
    if (typeof value !== 'string' || value === '') {
      return refuse(`its ${name} is missing`);
    }
    if (value.length > MAX_PART_LENGTH) {
      return refuse(`its ${name} is longer than ${MAX_PART_LENGTH} characters`);
    }
    return PART.test(value) ? value : refuse(`its ${name} has characters that no credential has`);
  };
  const accessKeyID = part('access key id', answer.accessKeyID);
  if (!ACCESS_KEY_ID.test(accessKeyID)) {
    return refuse('its access key id has not the form of one');
  }
  const secretAccessKey = part('secret access key', answer.secretAccessKey);
  const sessionToken = part('session token', answer.sessionToken);
  if (accessKeyID === secretAccessKey || accessKeyID === sessionToken) {
    return refuse('its access key id repeats a secret part');
  }
  const expirationMs = readTime(answer.expiration);
  if (expirationMs === undefined) {
    return refuse('its expiration is missing or is no time');
  }
  const lifeMs = Math.min(
    readableLife(expirationMs, answer.answerDateMs, nowMs),
    requestedSeconds * 1000 + LIFE_GRACE_MS,
  );
  if (lifeMs < MIN_LIFE_MS) {
    return refuse('its expiration is in the past');
  }
  return {
    accessKeyID,
    secretAccessKey: new SecretText(secretAccessKey),
    sessionToken: new SecretText(sessionToken),
    issueTimeMs: nowMs,
    expirationTimeMs: nowMs + lifeMs,
    identity: shownName(answer.identity, [secretAccessKey, sessionToken]),
    requestID: shownName(answer.requestID, [secretAccessKey, sessionToken]),
  };
}

/** What status and logs will show must not repeat what is secret. */
function shownName(name: string | undefined, secrets: readonly string[]): string | undefined {
  return name !== undefined && secrets.some((secret) => name.includes(secret)) ? undefined : name;
}

function readableLife(expirationMs: number, answerDateMs: number | undefined, nowMs: number): number {
  const ownReading = expirationMs - nowMs;
  if (answerDateMs === undefined) {
    return ownReading;
  }
  const answerReading = expirationMs - answerDateMs;
  const believed = Math.abs(answerDateMs - nowMs) <= MAX_DATE_DISTANCE_MS;
  return believed ? answerReading : Math.min(ownReading, answerReading);
}

function readTime(value: unknown): number | undefined {
  if (typeof value === 'string') {
    return parseTime(value);
  }
  return value instanceof Date && Number.isFinite(value.getTime()) ? value.getTime() : undefined;
}
