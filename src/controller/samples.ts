// Promises: a cached WorkloadCredential as metrics and the work queue see it. Pure.
import { ERRORS, type ErrorCode } from '../credential/errors.ts';
import type { Cloud } from '../api/names.ts';
import type { WorkloadCredential } from '../api/types.gen.ts';
import { parseTime } from '../credential/record.ts';
import { type Urgency, urgency } from '../credential/schedule.ts';

/** What metrics tell of one credential; the shape is telemetry's CredentialSample. */
export interface Sample {
  readonly namespace: string;
  readonly name: string;
  readonly cloud: Cloud;
  readonly state: 'Ready' | 'RefreshFailing' | 'Pending' | 'Stalled' | 'Expired' | 'Suspended';
  readonly expirationTimeMs: number | undefined;
  readonly refreshTimeMs: number | undefined;
}

/** A credential's sample; the state is what its conditions say, but an end that has passed counts at once. */
export function sampleOf({ metadata, spec, status }: WorkloadCredential, nowMs: number): Sample {
  const expirationTimeMs = parseTime(status?.expirationTime);
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    cloud: spec.aws !== undefined ? 'AWS' : spec.alibabaCloud !== undefined ? 'AlibabaCloud' : 'Volcengine',
    state: stateOf(status, expirationTimeMs !== undefined && expirationTimeMs <= nowMs),
    expirationTimeMs,
    refreshTimeMs: parseTime(status?.refreshTime),
  };
}

function stateOf(status: WorkloadCredential['status'], hasEnded: boolean): Sample['state'] {
  const isTrue = (type: string): boolean =>
    status?.conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false;
  const reason = status?.conditions?.find((condition) => condition.type === 'Ready')?.reason;
  if (hasEnded || reason === 'Expired') {
    return 'Expired';
  }
  if (reason === 'Suspended') {
    return 'Suspended';
  }
  if (isTrue('Ready')) {
    return reason === 'RefreshFailing' ? 'RefreshFailing' : 'Ready';
  }
  return isTrue('Stalled') ? 'Stalled' : 'Pending';
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
  const isFree = Object.hasOwn(ERRORS, reason) && ERRORS[reason as ErrorCode].disposition === 'invalid';
  return isFree ? 0 : (status?.consecutiveFailures ?? 0);
}
