// Promises: the hashes by which a Secret tells what it was made from. Golden values in the tests hold them across
// releases: a changed hash would re-issue a whole fleet at an upgrade. Pure.
import { hash } from 'node:crypto';

/** Anything JSON can hold; `undefined` members are left out. */
export type JSONValue =
  | string
  | number
  | boolean
  | null
  | readonly JSONValue[]
  | { readonly [key: string]: JSONValue | undefined };

/** What the two input hashes start with; a hash of an older version counts as equal until the next refresh. */
const REQUEST_HASH_VERSION = 'v1';
const RENDER_HASH_VERSION = 'v1';
const CONTENT_HASH_VERSION = 'v1';
/** 128 bits: enough against chance; nobody gains by a collision with his own spec. */
const INPUT_HASH_LENGTH = 32;

/** JSON with sorted keys, without members that are undefined or empty: the same for the same meaning. */
export function canonicalJSON(value: JSONValue): string {
  if (Array.isArray(value)) {
    return `[${value.map((item: JSONValue) => canonicalJSON(item)).join(',')}]`;
  }
  if (value !== null && typeof value === 'object') {
    const members = Object.entries(value as { readonly [key: string]: JSONValue | undefined })
      .filter((member): member is [string, JSONValue] => member[1] !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => [JSON.stringify(key), canonicalJSON(item)] as const)
      .filter(([, text]) => text !== '{}' && text !== '[]')
      .map(([key, text]) => `${key}:${text}`);
    return `{${members.join(',')}}`;
  }
  return JSON.stringify(value);
}

function sha256Hex(text: string): string {
  return hash('sha256', text, 'hex');
}

/** Hash of the exchange's inputs: what STS is asked. */
export function requestHash(inputs: JSONValue): string {
  return `${REQUEST_HASH_VERSION}.${sha256Hex(canonicalJSON(inputs)).slice(0, INPUT_HASH_LENGTH)}`;
}

/** Hash of what the Secret is rendered from, beside the credential. */
export function renderHash(inputs: JSONValue): string {
  return `${RENDER_HASH_VERSION}.${sha256Hex(canonicalJSON(inputs)).slice(0, INPUT_HASH_LENGTH)}`;
}

/**
 * Whether a hash read from a Secret stands for the same input as the one computed now: equal, or of another version, of
 * which nothing can be said and which therefore counts as equal until the next refresh.
 */
export function sameInput(recorded: string | undefined, computed: string): boolean {
  if (recorded === undefined) {
    return false;
  }
  const version = (hash: string): string => hash.slice(0, hash.indexOf('.'));
  return recorded === computed || (/^v\d+\./.test(recorded) && version(recorded) !== version(computed));
}

/** What the content-hash covers. */
export interface SecretContent {
  /** Base64 values, as in the Secret. */
  readonly data: Readonly<Record<string, string>>;
  readonly issueTime: string;
  readonly expirationTime: string;
  readonly requestHash: string;
}

/** Hash over a Secret's data, times and request-hash: nobody changes one of them unseen. */
export function contentHash(content: SecretContent): string {
  const covered: JSONValue = {
    data: { ...content.data },
    expirationTime: content.expirationTime,
    issueTime: content.issueTime,
    requestHash: content.requestHash,
  };
  return `${CONTENT_HASH_VERSION}.${sha256Hex(canonicalJSON(covered))}`;
}

/** A number in [0, 1) that is the same for the same words: chance that can be asked twice. */
export function hashedFraction(...words: readonly string[]): number {
  const digest = hash('sha256', JSON.stringify(words), 'buffer');
  return digest.readUIntBE(0, 6) / 2 ** 48;
}

/** The first `length` hex digits of a text's SHA-256. */
export function shortHash(text: string, length: number): string {
  return sha256Hex(text).slice(0, length);
}
