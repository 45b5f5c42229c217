// Promises: a WorkloadCredential in each situation of the conditions table, with the status that the operator's own code
// gives it, and what Argo CD, Flux and kpt are to make of it. Pure: the same objects for the same time.
import type { ConditionType } from '../../src/api/names.ts';
import type { WorkloadCredential, WorkloadCredentialSpec, WorkloadCredentialStatus } from '../../src/api/types.gen.ts';
import type { Assessment } from '../../src/credential/assessment.ts';
import { CredentialError, type ErrorCode } from '../../src/credential/errors.ts';
import { formatTime } from '../../src/credential/record.ts';
import { nextStatus, type Outcome, type StatusInput } from '../../src/credential/status.ts';
import { aCredential, HOUR, MINUTE } from '../support/builders.ts';
import type { Expressions } from './judge.ts';

/** What is expected of the tools. */
export interface Expected {
  readonly argo: 'Healthy' | 'Progressing' | 'Degraded' | 'Suspended';
  readonly kstatus: 'Current' | 'InProgress' | 'Failed';
  /** Flux's, with EXPRESSIONS. */
  readonly flux: 'Current' | 'InProgress' | 'Failed';
}

/** A WorkloadCredential and what is expected. */
export interface Situation extends Expected {
  readonly name: string;
  readonly object: WorkloadCredential;
  /** Argo CD's message. */
  readonly message: string;
}

/** What Argo CD says where no condition speaks of the spec as it is. */
const UNSEEN = 'Waiting for the operator to look at it';

/** The healthCheckExprs of docs/gitops.md: what is Failed and Current for Flux is then Degraded and done for Argo CD. */
export const EXPRESSIONS: Expressions = {
  failed:
    "status.conditions.exists(c, (c.type == 'Stalled' && c.status == 'True') || (c.type == 'Ready' && c.reason == 'Expired'))",
  current: "status.conditions.exists(c, c.type == 'Ready' && (c.status == 'True' || c.reason == 'Suspended'))",
};

const HEALTHY: Expected = { argo: 'Healthy', kstatus: 'Current', flux: 'Current' };
const PROGRESSING: Expected = { argo: 'Progressing', kstatus: 'InProgress', flux: 'InProgress' };
const FAILED: Expected = { argo: 'Degraded', kstatus: 'Failed', flux: 'Failed' };

const SETTLED: Outcome = { kind: 'settled' };
const WAITING: Outcome = { kind: 'waiting', waitsFor: 'Turn' };
const MESSAGES = {
  STSUnavailable: 'sts.eu-west-1.amazonaws.com answered 503.',
  STSThrottled: 'sts.eu-west-1.amazonaws.com asks to wait.',
  AccessDenied: 'sts.eu-west-1.amazonaws.com refuses the role: AccessDenied.',
  ServiceAccountNotAllowed: 'ServiceAccount "orders" does not consent to WorkloadCredential "orders".',
  SecretConflict: 'Secret "orders" exists and is not ours.',
} satisfies Partial<Record<ErrorCode, string>>;
const failed = (code: keyof typeof MESSAGES): Outcome => ({
  kind: 'failed',
  error: new CredentialError(code, MESSAGES[code]),
});

const NOTHING: Assessment = { established: true, record: undefined, live: false, refreshTimeMs: undefined };

/** An hour's credential, as it is in the Secret. */
function inSecret(issueTimeMs: number, live: boolean): Assessment {
  const hashes = { requestHash: 'v1.r', renderHash: 'v1.s', contentHash: 'v1.c', refreshHandled: undefined };
  const record = { ...hashes, issueTimeMs, expirationTimeMs: issueTimeMs + HOUR };
  return { established: true, record, live, refreshTimeMs: issueTimeMs + 40 * MINUTE };
}

/** A row, before its object is made. */
interface Row extends Expected {
  readonly name: string;
  /** The condition whose reason and message are Argo CD's message, or the script's own message. */
  readonly says: ConditionType | { readonly message: string };
  readonly generation?: number;
  readonly spec?: Partial<WorkloadCredentialSpec>;
  readonly status: WorkloadCredentialStatus;
}

/** Every situation, at a time. */
export function situations(nowMs: number): readonly Situation[] {
  const seen = (change: Partial<StatusInput>): WorkloadCredentialStatus =>
    nextStatus({
      previous: undefined,
      generation: 1,
      cloud: 'AWS',
      secretName: 'orders',
      suspended: false,
      nowMs,
      assessment: inSecret(nowMs - 10 * MINUTE, true),
      outcome: SETTLED,
      refreshRequested: undefined,
      isForEnvironment: false,
      ...change,
    }).status;
  const rows = [...withoutCredential(seen), ...withCredential(seen, nowMs), ...suspended(seen, nowMs)];
  return rows.map(({ generation = 1, spec = {}, status, says, ...row }) => ({
    ...row,
    message: typeof says === 'object' ? says.message : messageOf(status, says),
    object: aCredential({ generation, spec, status }),
  }));
}

function messageOf({ conditions = [] }: WorkloadCredentialStatus, type: ConditionType): string {
  const condition = conditions.find((one) => one.type === type);
  if (condition === undefined) throw new Error(`there is no condition ${type} to be told`);
  return `${condition.reason}: ${condition.message}`;
}

type Seen = (change: Partial<StatusInput>) => WorkloadCredentialStatus;

function withoutCredential(seen: Seen): readonly Row[] {
  const first = (outcome: Outcome): WorkloadCredentialStatus => seen({ assessment: NOTHING, outcome });
  const refused = first(failed('AccessDenied'));
  return [
    {
      ...PROGRESSING,
      name: 'applied, and no operator has looked',
      says: { message: UNSEEN },
      status: { observedGeneration: -1 },
    },
    { ...PROGRESSING, name: 'not tried yet', says: 'Reconciling', status: first(WAITING) },
    { ...PROGRESSING, name: 'STS is out', says: 'Reconciling', status: first(failed('STSUnavailable')) },
    { ...PROGRESSING, name: 'STS asks to wait', says: 'Reconciling', status: first(failed('STSThrottled')) },
    {
      ...FAILED,
      name: 'the ServiceAccount does not consent',
      says: 'Stalled',
      status: first(failed('ServiceAccountNotAllowed')),
    },
    { ...FAILED, name: 'STS refuses the role', says: 'Stalled', status: refused },
    {
      ...PROGRESSING,
      name: 'STS refused the role, the spec was changed since, and its exchange waits',
      says: 'Reconciling',
      generation: 2,
      status: seen({ assessment: NOTHING, previous: refused, generation: 2, outcome: WAITING }),
    },
    {
      ...FAILED,
      name: "the Secret is somebody else's",
      says: 'Stalled',
      status: first(failed('SecretConflict')),
    },
  ];
}

function withCredential(seen: Seen, nowMs: number): readonly Row[] {
  const issued = seen({});
  const other = inSecret(nowMs - 10 * MINUTE, false);
  const ended = inSecret(nowMs - 2 * HOUR, false);
  const past = nowMs - 90 * MINUTE;
  return [
    { ...HEALTHY, name: 'issued', says: 'Ready', status: issued },
    {
      ...HEALTHY,
      name: 'the refresh fails: STS is out',
      says: 'Ready',
      status: seen({ previous: issued, outcome: failed('STSUnavailable') }),
    },
    {
      ...HEALTHY,
      name: 'the refresh fails: STS refuses the role',
      says: 'Ready',
      status: seen({ previous: issued, outcome: failed('AccessDenied') }),
    },
    {
      ...PROGRESSING,
      name: 'spec was changed, and no operator has looked',
      says: { message: UNSEEN },
      generation: 2,
      status: issued,
    },
    {
      ...FAILED,
      name: 'spec was changed, and STS refuses the new role',
      says: 'Stalled',
      generation: 2,
      status: seen({ previous: issued, generation: 2, assessment: other, outcome: failed('AccessDenied') }),
    },
    {
      argo: 'Degraded',
      kstatus: 'InProgress',
      flux: 'Failed',
      name: 'ended, and STS is out',
      says: 'Ready',
      status: seen({ previous: issued, assessment: ended, outcome: failed('STSUnavailable') }),
    },
    {
      ...FAILED,
      name: 'ended, and STS refuses the role',
      says: 'Ready',
      status: seen({ previous: issued, assessment: ended, outcome: failed('AccessDenied') }),
    },
    {
      argo: 'Degraded',
      kstatus: 'Current',
      flux: 'Current',
      name: 'ended, and no operator runs',
      says: {
        message: `Expired: the credential ended at ${formatTime(past + 50 * MINUTE)}, and no operator has told so`,
      },
      status: seen({ nowMs: past, assessment: inSecret(past - 10 * MINUTE, true) }),
    },
  ];
}

function suspended(seen: Seen, nowMs: number): readonly Row[] {
  const row = { says: 'Ready', spec: { suspend: true }, argo: 'Suspended', flux: 'Current' } as const;
  const suspend = (assessment: Assessment): WorkloadCredentialStatus =>
    seen({ suspended: true, outcome: WAITING, assessment });
  return [
    {
      ...row,
      kstatus: 'Current',
      name: 'suspended, with a credential',
      status: suspend(inSecret(nowMs - 10 * MINUTE, true)),
    },
    { ...row, kstatus: 'InProgress', name: 'suspended, without one', status: suspend(NOTHING) },
    {
      ...row,
      kstatus: 'InProgress',
      name: 'suspended, and the credential has ended',
      status: suspend(inSecret(nowMs - 2 * HOUR, false)),
    },
  ];
}
