// Promises: the credential as renderers take it and as they find it again: its parts in the clear, which live as long as a
// render takes, and the two times of its Secret. Types, and the reading of JSON that may be anything. Pure.

/** What is in a Secret's files and variables. */
export interface FoundParts {
  readonly accessKeyID: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

/** The times on the Secret, RFC 3339 in UTC without a fraction: the one form that every SDK parses. */
export interface CredentialTimes {
  readonly issueTime: string;
  /** The true end, as STS granted it. */
  readonly expiration: string;
}

/** What a Secret is rendered from. */
export interface CredentialParts extends FoundParts, CredentialTimes {}

/** Keys and plain values. */
export type PlainData = Readonly<Record<string, string>>;

/** The renderers of one cloud, and the ways back. */
export interface CloudFormats<Exchange> {
  /**
   * @param mountPath where consumers mount the Secret.
   * @param fileExpirationMs the end that is written into files: whole seconds, never after the true one.
   */
  readonly files: (
    exchange: Exchange,
    parts: CredentialParts,
    { mountPath, fileExpirationMs }: FileSettings,
  ) => PlainData;
  readonly staticFile: (exchange: Exchange, parts: CredentialParts) => PlainData;
  readonly environment: (exchange: Exchange, parts: CredentialParts) => PlainData;
  /** The parts in whichever format is there: files first, whose keys spec.secret.data can never have. */
  readonly read: (data: PlainData) => Partial<FoundParts> | undefined;
}

/** What files say beside the credential. */
export interface FileSettings {
  readonly mountPath: string;
  readonly fileExpirationMs: number;
}

/** A JSON object, or undefined where the text is absent or no object. */
export function readJSON(text: string | undefined): Readonly<Record<string, unknown>> | undefined {
  if (text === undefined) {
    return undefined;
  }
  try {
    return asObject(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** The value as an object whose members can be asked for; undefined where it is none. */
export function asObject(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined;
}

/**
 * The parts under the names that a format has for them.
 * @param names of access key id, secret access key and session token, in this order.
 * @returns undefined where not even the first is there: the format is not.
 */
export function pick(
  holder: Readonly<Record<string, unknown>> | undefined,
  [accessKeyID, secretAccessKey, sessionToken]: readonly [string, string, string],
): Partial<FoundParts> | undefined {
  const text = (name: string): string | undefined => {
    const value = holder !== undefined && Object.hasOwn(holder, name) ? holder[name] : undefined;
    return typeof value === 'string' ? value : undefined;
  };
  const first = text(accessKeyID);
  if (first === undefined) {
    return undefined;
  }
  const found = { secretAccessKey: text(secretAccessKey), sessionToken: text(sessionToken) };
  return {
    accessKeyID: first,
    ...(found.secretAccessKey === undefined ? {} : { secretAccessKey: found.secretAccessKey }),
    ...(found.sessionToken === undefined ? {} : { sessionToken: found.sessionToken }),
  };
}
