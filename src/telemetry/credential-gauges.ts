// Promises: what all WorkloadCredentials together look like at one moment, by cloud: counts, and the worst of each kind, so
// that alerts need no series of single credentials. Pure; the number of its values does not grow with the credentials.
import type { Cloud } from '../api/names.ts';
import type { MetricNameOf } from './metric-register.ts';

/** The states that credentials are counted by; each WorkloadCredential is in exactly one. */
export const CREDENTIAL_STATES = ['Ready', 'RefreshFailing', 'Pending', 'Stalled', 'Expired', 'Suspended'] as const;
export type CredentialState = (typeof CREDENTIAL_STATES)[number];

/** One WorkloadCredential as metrics see it. */
export interface CredentialSample {
  readonly namespace: string;
  readonly name: string;
  readonly cloud: Cloud;
  readonly state: CredentialState;
  /** spec.suspend: nobody refreshes it, so nothing about it is late. */
  readonly suspended: boolean;
  /** Why the last attempt failed, a code of the error register or `Other`; undefined when it did not. */
  readonly failure: string | undefined;
  /** Milliseconds since the epoch; undefined while there is no credential. */
  readonly expirationTimeMs: number | undefined;
  readonly refreshTimeMs: number | undefined;
  /** Since when there has been no credential, in milliseconds since the epoch; undefined when there is one. */
  readonly unissuedSinceMs: number | undefined;
}

/** The gauges that have one series a cloud. */
type CloudGauge = Extract<
  MetricNameOf<'gauge'>,
  | 'workloadcredential_unissued_seconds'
  | 'workloadcredential_overdue_credentials'
  | 'workloadcredential_overdue_seconds'
  | 'workloadcredential_outage_budget_used_ratio'
  | 'workloadcredential_nearest_expiration_seconds'
  | 'workloadcredential_suspended_nearest_expiration_seconds'
  | 'workloadcredential_outage_budget_seconds'
>;

/** A suspended credential that ended longer ago is parked: it may not hide another that is about to end. */
const PARKED_SECONDS = 86_400;

type Fold = (one: number, other: number) => number;
const SUM: Fold = (one, other) => one + other;

const FOLDS: Readonly<Record<CloudGauge, Fold>> = {
  workloadcredential_unissued_seconds: Math.max,
  workloadcredential_overdue_credentials: SUM,
  workloadcredential_overdue_seconds: Math.max,
  workloadcredential_outage_budget_used_ratio: Math.max,
  workloadcredential_nearest_expiration_seconds: Math.min,
  workloadcredential_suspended_nearest_expiration_seconds: Math.min,
  workloadcredential_outage_budget_seconds: Math.min,
};

/** The one-series-a-cloud gauges. */
export const CLOUD_GAUGES = Object.keys(FOLDS) as CloudGauge[];

/** What all samples together come to. */
export class CredentialSummary {
  readonly #nowMs: number;
  /** Each state of each cloud that has a WorkloadCredential. */
  readonly states = new Map<Cloud, Map<CredentialState, number>>();
  /** Reasons that some credential has. */
  readonly failures = new Map<Cloud, Map<string, number>>();
  readonly #gauges = new Map<CloudGauge, Map<Cloud, number>>(CLOUD_GAUGES.map((name) => [name, new Map()]));

  /** @param nowMs by the corrected clock, milliseconds since the epoch. */
  constructor(nowMs: number) {
    this.#nowMs = nowMs;
  }

  /** The value of each cloud that has one. */
  gauge(name: CloudGauge): ReadonlyMap<Cloud, number> {
    return this.#gauges.get(name) ?? new Map();
  }

  /** Counts one more. */
  add(sample: CredentialSample): void {
    const { cloud, state, failure, suspended, unissuedSinceMs } = sample;
    const states = this.states.get(cloud) ?? new Map(CREDENTIAL_STATES.map((each) => [each, 0]));
    this.states.set(cloud, states.set(state, (states.get(state) ?? 0) + 1));
    if (failure !== undefined) {
      const failures = this.failures.get(cloud) ?? new Map<string, number>();
      this.failures.set(cloud, failures.set(failure, (failures.get(failure) ?? 0) + 1));
    }
    if (suspended) {
      this.#addSuspended(sample);
      return;
    }
    const unissuedMs = unissuedSinceMs === undefined ? 0 : Math.max(0, this.#nowMs - unissuedSinceMs);
    this.#fold('workloadcredential_unissued_seconds', cloud, unissuedMs / 1_000);
    this.#addTimes(sample);
  }

  #addSuspended({ cloud, expirationTimeMs }: CredentialSample): void {
    const leftSeconds = expirationTimeMs === undefined ? undefined : (expirationTimeMs - this.#nowMs) / 1_000;
    if (leftSeconds !== undefined && leftSeconds > -PARKED_SECONDS) {
      this.#fold('workloadcredential_suspended_nearest_expiration_seconds', cloud, leftSeconds);
    }
  }

  #addTimes({ cloud, expirationTimeMs, refreshTimeMs = expirationTimeMs }: CredentialSample): void {
    if (expirationTimeMs === undefined || refreshTimeMs === undefined) {
      return;
    }
    const overdueMs = Math.max(0, this.#nowMs - refreshTimeMs);
    const budgetMs = Math.max(0, expirationTimeMs - refreshTimeMs);
    const used = overdueMs === 0 ? 0 : budgetMs === 0 ? 1 : Math.min(1, overdueMs / budgetMs);
    this.#fold('workloadcredential_nearest_expiration_seconds', cloud, (expirationTimeMs - this.#nowMs) / 1_000);
    this.#fold('workloadcredential_outage_budget_seconds', cloud, budgetMs / 1_000);
    this.#fold('workloadcredential_overdue_credentials', cloud, overdueMs > 0 ? 1 : 0);
    this.#fold('workloadcredential_overdue_seconds', cloud, overdueMs / 1_000);
    this.#fold('workloadcredential_outage_budget_used_ratio', cloud, used);
  }

  #fold(name: CloudGauge, cloud: Cloud, value: number): void {
    const values = this.#gauges.get(name) ?? new Map<Cloud, number>();
    const before = values.get(cloud);
    values.set(cloud, before === undefined ? value : FOLDS[name](before, value));
  }
}
