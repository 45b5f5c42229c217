// Promises: a cached WorkloadCredential as metrics and the work queue see it. Pure.
import { ERRORS, isErrorCode } from '../credential/errors.ts';
import type { Cloud, ConditionType } from '../api/names.ts';
import { cloudOf } from '../api/resolve.ts';
import type { WorkloadCredential } from '../api/types.gen.ts';
import { parseTime } from '../credential/record.ts';
import { type Urgency, urgency } from '../credential/schedule.ts';

/** What metrics tell of one credential; the shape is telemetry's CredentialSample. */
export interface Sample {
  readonly namespace: string;
  readonly name: string;
  readonly cloud: Cloud;
  readonly state: 'Ready' | 'RefreshFailing' | 'Pending' | 'Stalled' | 'Expired' | 'Suspended';
  readonly suspended: boolean;
  /** The reason of the condition Refreshed when that is False; `Other` for one that this version does not know. */
  readonly failure: string | undefined;
  readonly expirationTimeMs: number | undefined;
  readonly refreshTimeMs: number | undefined;
  readonly unissuedSinceMs: number | undefined;
}

/**
 * A credential's sample. The state is what its conditions say, but an end that has passed counts at once, and what is
 * suspended is told as that alone: nobody is late with it.
 */
export function sampleOf(credential: WorkloadCredential, nowMs: number): Sample {
  const { metadata, spec, status } = credential;
  const expirationTimeMs = parseTime(status?.expirationTime);
  const suspended = spec.suspend === true;
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    cloud: cloudOf(credential) ?? 'Volcengine',
    state: suspended ? 'Suspended' : stateOf(status, expirationTimeMs !== undefined && expirationTimeMs <= nowMs),
    suspended,
    failure: failureOf(status),
    expirationTimeMs,
    refreshTimeMs: parseTime(status?.refreshTime),
    unissuedSinceMs: expirationTimeMs === undefined ? unissuedSince(metadata.creationTimestamp, status) : undefined,
  };
}

function conditionOf(status: WorkloadCredential['status'], type: ConditionType) {
  return status?.conditions?.find((condition) => condition.type === type);
}

function stateOf(status: WorkloadCredential['status'], hasEnded: boolean): Sample['state'] {
  const ready = conditionOf(status, 'Ready');
  if (hasEnded || ready?.reason === 'Expired') {
    return 'Expired';
  }
  if (ready?.reason === 'Suspended') {
    return 'Suspended';
  }
  if (ready?.status === 'True') {
    return ready.reason === 'RefreshFailing' ? 'RefreshFailing' : 'Ready';
  }
  return conditionOf(status, 'Stalled')?.status === 'True' ? 'Stalled' : 'Pending';
}

function failureOf(status: WorkloadCredential['status']): string | undefined {
  const refreshed = conditionOf(status, 'Refreshed');
  if (refreshed?.status !== 'False') {
    return undefined;
  }
  // Only what is in the register becomes a label.
  return isErrorCode(refreshed.reason) ? refreshed.reason : 'Other';
}

/** A Secret that was lost: since Ready turned; one that never was: since the resource exists. */
function unissuedSince(
  creationTimestamp: string | undefined,
  status: WorkloadCredential['status'],
): number | undefined {
  const ready = conditionOf(status, 'Ready');
  const turned = ready?.status === 'False' ? parseTime(ready.lastTransitionTime) : undefined;
  return turned ?? parseTime(creationTimestamp);
}

/** The class of a key in the work queue, by what status says. */
export function urgencyOf(credential: WorkloadCredential | undefined, nowMs: number): Urgency {
  const status = credential?.status;
  const issueTimeMs = parseTime(status?.issueTime);
  const expirationTimeMs = parseTime(status?.expirationTime);
  const record =
    issueTimeMs === undefined || expirationTimeMs === undefined ? undefined : { issueTimeMs, expirationTimeMs };
  return urgency(record, failuresOf(status), nowMs);
}

/** A refusal that costs no call does not make a credential wait behind the others. */
function failuresOf(status: WorkloadCredential['status']): number {
  const reason = status?.lastFailure?.reason ?? '';
  const isFree = isErrorCode(reason) && ERRORS[reason].disposition === 'invalid';
  return isFree ? 0 : (status?.consecutiveFailures ?? 0);
}
