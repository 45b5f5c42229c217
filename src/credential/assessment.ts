// Promises: what is in the Secret, as far as it was looked at, and when that is due. Believes a Secret only as far as
// record.ts does. Pure; decides nothing.
import { type CredentialRecord, parseTime, readRecord, verifyRecord } from './record.ts';
import { sameInput } from './hashes.ts';
import type { Observed, SecretView, Settings } from './observed.ts';
import { type Claimant, isShared, ownership } from './ownership.ts';
import { refreshTimeMs } from './schedule.ts';

/** What is in the Secret, as far as it was established. */
export interface Assessment {
  /** Whether the Secret was looked at: without that, nothing is said about what is in it. */
  readonly established: boolean;
  /** The credential in the Secret, of whatever request; undefined if there is none to believe. */
  readonly record: CredentialRecord | undefined;
  /** The record is of the current request and has not ended. */
  readonly live: boolean;
  /** When it is due; undefined without a record. */
  readonly refreshTimeMs: number | undefined;
}

/** The Secret was not looked at. */
export const UNKNOWN: Assessment = { established: false, record: undefined, live: false, refreshTimeMs: undefined };
/** There is nothing to believe in it. */
export const NOTHING: Assessment = { ...UNKNOWN, established: true };

/** For whom a Secret is judged. */
export function claimant({ credential, uid }: Observed): Claimant {
  return { name: credential.metadata.name, uid };
}

/** Establishes what is in the Secret. */
export function assess(observed: Observed, settings: Settings, nowMs: number): Assessment {
  const { secret, credential, uid } = observed;
  const read = secret.kind === 'absent' ? undefined : readSecret(observed, secret, nowMs);
  const record = read === undefined ? undefined : withEarlierExpiry(read, credential.status);
  if (record === undefined) {
    return secret.kind === 'absent' && !secret.confirmed ? UNKNOWN : NOTHING;
  }
  return {
    established: true,
    record,
    live: record.expirationTimeMs > nowMs && sameInput(record.requestHash, observed.requestHash),
    refreshTimeMs: refreshTimeMs({
      uid,
      issueTimeMs: record.issueTimeMs,
      expirationTimeMs: record.expirationTimeMs,
      refreshBeforeSeconds: observed.resolved?.refreshBeforeSeconds,
      minRefreshIntervalSeconds: settings.minRefreshIntervalSeconds,
    }),
  };
}

function readSecret(
  observed: Observed,
  secret: Exclude<SecretView, { kind: 'absent' }>,
  nowMs: number,
): CredentialRecord | undefined {
  const metadata = secret.kind === 'cached' ? secret.metadata : secret.secret.metadata;
  const owner = { uid: observed.uid, shares: isShared(ownership(metadata, claimant(observed))) };
  return secret.kind === 'cached' ? readRecord(metadata, owner, nowMs) : verifyRecord(secret.secret, owner, nowMs);
}

/**
 * What can be said when a look failed: the annotations in the cache, unverified. Status keeps its fields by it, and a
 * credential that was live is not called dead because the API server could not be asked.
 */
export function lastKnown(observed: Observed, settings: Settings, nowMs: number): Assessment {
  return { ...assess(observed, settings, nowMs), established: false };
}

/** Where status has the same credential, the earlier of the two ends counts. */
function withEarlierExpiry(record: CredentialRecord, status: Observed['credential']['status']): CredentialRecord {
  const sameCredential = parseTime(status?.issueTime) === record.issueTimeMs;
  const statusExpiryMs = sameCredential ? parseTime(status?.expirationTime) : undefined;
  return statusExpiryMs === undefined || statusExpiryMs >= record.expirationTimeMs
    ? record
    : { ...record, expirationTimeMs: statusExpiryMs };
}
