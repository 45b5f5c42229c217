// Promises: reads what a Secret says of the credential in it, and believes it only if it holds together. Pure; sees only
// hashes of the data, never keeps it.
import {
  ANNOTATION_ADOPTER_UID,
  ANNOTATION_CONTENT_HASH,
  ANNOTATION_EXPIRATION_TIME,
  ANNOTATION_ISSUE_TIME,
  ANNOTATION_OWNER_UID,
  ANNOTATION_REFRESH_HANDLED,
  ANNOTATION_RENDER_HASH,
  ANNOTATION_REQUEST_HASH,
} from '../api/names.ts';
import type { ObjectMeta, Secret } from '../api/meta.ts';
import { isCovered, notedData } from './adoption.ts';

/** What a Secret's annotations say of its credential. Times are milliseconds since the epoch. */
export interface CredentialRecord {
  readonly issueTimeMs: number;
  readonly expirationTimeMs: number;
  readonly requestHash: string;
  readonly renderHash: string;
  readonly contentHash: string;
  /** The refresh request that it answered. */
  readonly refreshHandled: string | undefined;
}

/** A record's issue time may lie ahead of our clock by this much. */
const MAX_AHEAD_MS = 5 * 60_000;
/** No cloud gives a longer life: 12 hours, and five minutes for rounding. */
const MAX_LIFE_MS = 43_500 * 1000;

/** RFC 3339 UTC with seconds, the form that every SDK reads (no fraction): rounded down, so that it never says more. */
export function formatTime(timeMs: number): string {
  return `${new Date(Math.floor(timeMs / 1000) * 1000).toISOString().slice(0, 19)}Z`;
}

/** A failure's time as status holds it: rounded up to a second, so that a retry computed from it is never early. */
export function failureTimeMs(nowMs: number): number {
  return Math.ceil(nowMs / 1000) * 1000;
}

/** RFC 3339 with its offset: without one, Date.parse would read the time in the zone of this machine. */
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;

/** Reads a time of RFC 3339, with or without a fraction; undefined if it is none. */
export function parseTime(text: string | undefined): number | undefined {
  const timeMs = text !== undefined && RFC3339.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isFinite(timeMs) ? timeMs : undefined;
}

/** Whose record it has to be. */
export interface RecordOwner {
  readonly uid: string;
  /** The Secret was handed over (isShared in ownership.ts): only the keys that a note names are ours. */
  readonly shares: boolean;
}

/**
 * The record that a Secret's metadata holds: for a Secret whose data were verified at this same resourceVersion before.
 * @returns undefined where it is incomplete, of another owner, or impossible in its times.
 */
export function readRecord(metadata: ObjectMeta, owner: RecordOwner, nowMs: number): CredentialRecord | undefined {
  const annotations = metadata.annotations ?? {};
  const issueTimeMs = parseTime(annotations[ANNOTATION_ISSUE_TIME]);
  const expirationTimeMs = parseTime(annotations[ANNOTATION_EXPIRATION_TIME]);
  const requestHash = annotations[ANNOTATION_REQUEST_HASH];
  const contentHashRecorded = annotations[ANNOTATION_CONTENT_HASH];
  if (
    annotations[owner.shares ? ANNOTATION_ADOPTER_UID : ANNOTATION_OWNER_UID] !== owner.uid ||
    issueTimeMs === undefined ||
    expirationTimeMs === undefined ||
    requestHash === undefined ||
    contentHashRecorded === undefined
  ) {
    return undefined;
  }
  const possible =
    issueTimeMs <= nowMs + MAX_AHEAD_MS &&
    expirationTimeMs > issueTimeMs &&
    expirationTimeMs <= issueTimeMs + MAX_LIFE_MS;
  if (!possible) {
    return undefined;
  }
  return {
    issueTimeMs,
    expirationTimeMs,
    requestHash,
    renderHash: annotations[ANNOTATION_RENDER_HASH] ?? '',
    contentHash: contentHashRecorded,
    refreshHandled: annotations[ANNOTATION_REFRESH_HANDLED],
  };
}

/** The record of a Secret that was read whole, if the content-hash covers what is in it, or our part of it. */
export function verifyRecord(secret: Secret, owner: RecordOwner, nowMs: number): CredentialRecord | undefined {
  const record = readRecord(secret.metadata, owner, nowMs);
  const data = owner.shares ? notedData(secret) : (secret.data ?? {});
  // A note of no key would be covered by a hash over nothing.
  const isOfSomething = !owner.shares || Object.keys(data).length > 0;
  return record !== undefined && isOfSomething && isCovered(secret, data) ? record : undefined;
}
