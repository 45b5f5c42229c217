// Promises: made-up histories of an installation, as its replicas' metrics would be scraped, and for each what fires and when.
// No series of a single credential is in any of them: alerts work where --per-credential-metrics=false.
import type { History, Labels } from './promtool.ts';
import { selector } from './promtool.ts';

const JOB: Labels = { namespace: 'wc-system', job: 'wc' };
const CLOUD: Labels = { ...JOB, cloud: 'AWS' };

/** A moment, and the labels of what fires then. */
export interface Moment {
  readonly at: string;
  readonly fires: readonly Labels[];
}

/** A history, and what is expected of one alert. */
export interface Story {
  /** A sentence that goes on from the alert's name. */
  readonly tells: string;
  readonly history: History;
  readonly moments: readonly Moment[];
}

const at = (pod: string, more: Labels = {}): string => selector({ ...JOB, instance: `${pod}:8080`, pod, ...more });

/** Credentials are told by one replica; each argument is a series' values. */
function gauge(pod: string, name: string, values: string, more: Labels = { cloud: 'AWS' }): History {
  return { [`workloadcredential_${name}${at(pod, more)}`]: values };
}

/** A replica that answers, and whether it leads. */
function replica(pod: string, answers: string, leads: string, job: Labels = JOB): History {
  const labels = { ...job, instance: `${pod}:8080`, pod };
  return {
    [`workloadcredential_build_info${selector({ ...labels, version: '0.1.0' })}`]: answers,
    [`leader_election_master_status${selector({ ...labels, name: 'workload-credentials' })}`]: leads,
  };
}

/** Two replicas for two hours, the first leads. */
const PAIR: History = { ...replica('a', '1x240', '1x240'), ...replica('b', '1x240', '0x240') };
/** The first leads for 10 minutes and is gone; half a minute later the second leads. */
const HANDED_OVER: History = { ...replica('a', '1x20 stale', '1x20 stale'), ...replica('b', '1x240', '0x21 1x218') };
/** Both are gone after 10 minutes. */
const DOWN: History = { ...replica('a', '1x20 stale', '1x20 stale'), ...replica('b', '1x20 stale', '0x20 stale') };

const state = (pod: string, name: string, values: string): History =>
  gauge(pod, 'credentials', values, { cloud: 'AWS', state: name });
const reason = (pod: string, name: string, values: string): History =>
  gauge(pod, 'failing_credentials', values, { cloud: 'AWS', reason: name });

/** Namespaces that may not be looked into, by the credentials that were seen there last. */
const unreached = (pod: string, credentials: string, values: string): History =>
  gauge(pod, 'namespaces_out_of_reach', values, { credentials });
const fence = (pod: string, name: string, values: string): History =>
  gauge(pod, 'fence_in_force', values, { fence: name });
/** Looks by what they found; the gauge has no value while it is `unknown`. */
const looks = (pod: string, name: string, values: string, result = 'unknown'): History =>
  gauge(pod, 'fence_probes_total', values, { fence: name, result });

const never = (...times: readonly string[]): Moment[] => times.map((time) => ({ at: time, fires: [] }));
const always = (labels: Labels, ...times: readonly string[]): Moment[] =>
  times.map((time) => ({ at: time, fires: [labels] }));

const FAILING: Labels = { ...CLOUD, state: 'RefreshFailing' };
const SECRETS_MISSING: Labels = { ...JOB, fence: 'secrets', result: 'missing' };
const SECRETS_UNKNOWN: Labels = { ...JOB, fence: 'secrets', result: 'unknown' };
const EXPIRED: Labels = { ...CLOUD, state: 'Expired' };

/** An hour in which nothing is wrong. */
export const HEALTHY: History = {
  ...PAIR,
  ...state('a', 'Ready', '40x120'),
  ...state('a', 'RefreshFailing', '0x120'),
  ...state('a', 'Expired', '0x120'),
  ...state('a', 'Suspended', '1x120'),
  ...gauge('a', 'outage_budget_used_ratio', '0x30 0.01 0x60'),
  ...gauge('a', 'unissued_seconds', '0x10 20 0x100'),
  ...gauge('a', 'suspended_nearest_expiration_seconds', '7200-30x120'),
  ...gauge('a', 'sts_limiter_demand_ratio', '0.1x120'),
  ...gauge('a', 'clock_offset_seconds', '0.2x120', {}),
  ...gauge('b', 'clock_offset_seconds', '-0.4x120', {}),
  ...fence('a', 'tokens', '1x120'),
  ...fence('a', 'secrets', '1x120'),
  ...looks('a', 'tokens', '1+0.1x120', 'inForce'),
  ...looks('a', 'secrets', '1+0.1x120', 'inForce'),
};

/** By alert, in the order of the rule file. */
export const STORIES: Readonly<Record<string, readonly Story[]>> = {
  WorkloadCredentialRefreshFailing: [
    {
      tells: 'fires after two minutes of failures, and ends with them',
      history: { ...PAIR, ...state('a', 'RefreshFailing', '0x9 3x19 0x100') },
      moments: [...never('5m', '6m30s'), ...always(FAILING, '7m', '14m30s'), ...never('15m')],
    },
    {
      tells: 'does not fire for failures of 90 seconds',
      history: { ...PAIR, ...state('a', 'RefreshFailing', '0x9 3x2 0x100') },
      moments: never('6m', '7m', '8m'),
    },
    {
      tells: 'goes on through a hand-over of the Lease',
      history: {
        ...HANDED_OVER,
        ...state('a', 'RefreshFailing', '3x20 stale'),
        ...state('b', 'RefreshFailing', '_x22 3x100'),
      },
      moments: always(FAILING, '10m', '10m30s', '11m', '14m'),
    },
    {
      tells: 'ends when nobody answers, since then nothing is known',
      history: { ...DOWN, ...state('a', 'RefreshFailing', '3x20 stale') },
      moments: [...always(FAILING, '10m'), ...never('13m', '30m')],
    },
  ],
  WorkloadCredentialRefreshLate: [
    {
      tells: 'fires when a quarter of the outage budget is gone, and ends with the refresh',
      // Half a minute of a budget of 20 minutes each time: a quarter is gone after 10 of them.
      history: { ...PAIR, ...gauge('a', 'outage_budget_used_ratio', '0x9 0.025+0.025x20 0x100') },
      moments: [...never('5m', '9m30s'), ...always(CLOUD, '10m30s', '15m'), ...never('15m30s')],
    },
    {
      tells: 'does not fire for a quarter that is reached and not passed, nor for a single scrape',
      history: { ...PAIR, ...gauge('a', 'outage_budget_used_ratio', '0.25x20 0.9 0.2x20') },
      moments: never('5m', '10m', '10m30s', '11m'),
    },
    {
      tells: 'names the cloud that is late and no other',
      history: {
        ...PAIR,
        ...gauge('a', 'outage_budget_used_ratio', '0.5x20', { cloud: 'Volcengine' }),
        ...gauge('a', 'outage_budget_used_ratio', '0x20'),
      },
      moments: always({ ...CLOUD, cloud: 'Volcengine' }, '5m'),
    },
    {
      tells: 'goes on through a hand-over of the Lease',
      history: {
        ...HANDED_OVER,
        ...gauge('a', 'outage_budget_used_ratio', '0.4x20 stale'),
        ...gauge('b', 'outage_budget_used_ratio', '_x22 0.4x100'),
      },
      moments: always(CLOUD, '10m', '10m30s', '11m', '14m'),
    },
    {
      tells: 'ends when nobody answers',
      history: { ...DOWN, ...gauge('a', 'outage_budget_used_ratio', '0.4x20 stale') },
      moments: [...always(CLOUD, '10m'), ...never('13m')],
    },
  ],
  WorkloadCredentialExpired: [
    {
      tells: 'fires after a minute',
      history: { ...PAIR, ...state('a', 'Expired', '0x9 1x20 0x20') },
      moments: [...never('5m30s'), ...always(EXPIRED, '6m', '15m'), ...never('15m30s')],
    },
    {
      tells: 'does not fire for the first moments of an operator that was down for long',
      history: { ...PAIR, ...state('a', 'Expired', '_x10 500 0x40') },
      moments: never('5m', '5m30s', '6m', '6m30s'),
    },
    {
      tells: 'does not fire for what is suspended',
      history: { ...PAIR, ...state('a', 'Expired', '0x60'), ...state('a', 'Suspended', '4x60') },
      moments: never('10m', '30m'),
    },
    {
      tells: 'goes on through a hand-over of the Lease',
      history: { ...HANDED_OVER, ...state('a', 'Expired', '1x20 stale'), ...state('b', 'Expired', '_x22 1x60') },
      moments: always(EXPIRED, '10m', '10m30s', '11m', '14m'),
    },
    {
      tells: 'ends when nobody answers',
      history: { ...DOWN, ...state('a', 'Expired', '1x20 stale') },
      moments: [...always(EXPIRED, '10m'), ...never('13m')],
    },
  ],
  WorkloadCredentialNeverIssued: [
    {
      tells: 'fires for a resource that has waited for 15 minutes',
      history: { ...PAIR, ...gauge('a', 'unissued_seconds', '0+30x40 0x20') },
      moments: [...never('15m'), ...always(CLOUD, '15m30s', '20m'), ...never('20m30s')],
    },
    {
      tells: 'does not fire for resources that come and are served, one after another',
      history: { ...PAIR, ...gauge('a', 'unissued_seconds', '0+30x20 0+30x20 0+30x20') },
      moments: never('10m', '20m', '30m'),
    },
    {
      tells: 'goes on through a hand-over of the Lease',
      history: {
        ...HANDED_OVER,
        ...gauge('a', 'unissued_seconds', '1000+30x20 stale'),
        ...gauge('b', 'unissued_seconds', '_x22 1660+30x40'),
      },
      moments: always(CLOUD, '10m', '10m30s', '11m'),
    },
    {
      tells: 'ends when nobody answers',
      history: { ...DOWN, ...gauge('a', 'unissued_seconds', '1000+30x20 stale') },
      moments: [...always(CLOUD, '10m'), ...never('13m')],
    },
  ],
  WorkloadCredentialSuspendedNearExpiry: [
    {
      tells: 'fires 20 minutes before the end, and stays after it',
      history: { ...PAIR, ...gauge('a', 'suspended_nearest_expiration_seconds', '1800-30x100') },
      moments: [...never('10m', '11m'), ...always(CLOUD, '11m30s', '30m', '40m')],
    },
    {
      tells: 'does not fire for what is resumed within a minute, nor for an hour that is left',
      history: { ...PAIR, ...gauge('a', 'suspended_nearest_expiration_seconds', '3600x10 900 _x20') },
      moments: never('5m', '5m30s', '6m'),
    },
    {
      tells: 'goes on through a hand-over of the Lease',
      history: {
        ...HANDED_OVER,
        ...gauge('a', 'suspended_nearest_expiration_seconds', '1100-30x20 stale'),
        ...gauge('b', 'suspended_nearest_expiration_seconds', '_x22 440-30x40'),
      },
      moments: always(CLOUD, '10m', '10m30s', '11m'),
    },
    {
      tells: 'ends when nobody answers',
      history: { ...DOWN, ...gauge('a', 'suspended_nearest_expiration_seconds', '600-30x20 stale') },
      moments: [...always(CLOUD, '10m'), ...never('13m')],
    },
  ],
  WorkloadCredentialSecretContested: [
    {
      tells: 'fires when the reason comes back again and again',
      // Half a minute in every ten.
      history: {
        ...PAIR,
        ...reason('a', 'SecretContested', '_x9 1 stale _x18 1 stale _x18 1 stale _x18 1 stale _x60'),
      },
      moments: [...never('5m', '24m'), ...always(CLOUD, '25m', '40m'), ...never('55m')],
    },
    {
      tells: 'does not fire for one contest that is soon over',
      history: { ...PAIR, ...reason('a', 'SecretContested', '_x9 2x4 stale _x100') },
      moments: never('6m', '15m', '22m', '25m', '30m'),
    },
    {
      tells: 'does not fire for other reasons',
      history: { ...PAIR, ...reason('a', 'AccessDenied', '9x120') },
      moments: never('30m', '60m'),
    },
    {
      tells: 'goes on through a hand-over of the Lease',
      history: {
        ...replica('a', '1x60 stale', '1x60 stale'),
        ...replica('b', '1x240', '0x61 1x100'),
        ...reason('a', 'SecretContested', '1x60 stale'),
        ...reason('b', 'SecretContested', '_x62 1x60'),
      },
      moments: always(CLOUD, '30m', '30m30s', '31m', '50m'),
    },
    {
      tells: 'ends a quarter of an hour after the last answer',
      history: {
        ...replica('a', '1x60 stale', '1x60 stale'),
        ...reason('a', 'SecretContested', '1x60 stale'),
      },
      moments: [...always(CLOUD, '30m'), ...never('46m')],
    },
  ],
  WorkloadCredentialThrottledByCloud: [
    {
      tells: 'fires when demand is over 0.7 of the limit for a quarter of an hour',
      history: { ...PAIR, ...gauge('a', 'sts_limiter_demand_ratio', '0.5x9 0.75x60 0.6x20') },
      moments: [...never('5m', '19m30s'), ...always(CLOUD, '20m', '30m'), ...never('36m')],
    },
    {
      tells: 'fires when STS itself throttles, whatever the demand is',
      history: {
        ...PAIR,
        ...gauge('a', 'sts_limiter_demand_ratio', '0.3x60'),
        ...reason('a', 'STSThrottled', '2x60'),
      },
      moments: [...never('14m30s'), ...always({ ...CLOUD, reason: 'STSThrottled' }, '15m', '30m')],
    },
    {
      tells: 'does not fire at 0.7, nor for a rush of ten minutes, nor for an STS that is down',
      history: {
        ...PAIR,
        ...gauge('a', 'sts_limiter_demand_ratio', '0.7x20 1x20 0.02x60'),
        ...reason('a', 'STSUnavailable', '_x40 100x60'),
      },
      moments: never('10m', '20m', '30m', '45m'),
    },
    {
      tells: 'goes on through a hand-over of the Lease while STS throttles',
      history: {
        ...replica('a', '1x60 stale', '1x60 stale'),
        ...replica('b', '1x240', '0x61 1x100'),
        ...reason('a', 'STSThrottled', '2x60 stale'),
        ...reason('b', 'STSThrottled', '_x62 2x60'),
      },
      moments: always({ ...CLOUD, reason: 'STSThrottled' }, '30m', '30m30s', '31m', '50m'),
    },
    {
      tells: 'ends when nobody answers',
      history: {
        ...replica('a', '1x60 stale', '1x60 stale'),
        ...gauge('a', 'sts_limiter_demand_ratio', '1x60 stale'),
      },
      moments: [...always(CLOUD, '30m'), ...never('33m')],
    },
  ],
  WorkloadCredentialClockSkew: [
    {
      tells: 'fires for the machine whose clock is behind or ahead, leader or not',
      history: {
        ...PAIR,
        ...gauge('a', 'clock_offset_seconds', '0x40', {}),
        ...gauge('b', 'clock_offset_seconds', '0x9 -45x30', {}),
      },
      moments: [...never('9m30s'), ...always({ ...JOB, instance: 'b:8080', pod: 'b' }, '10m', '19m')],
    },
    {
      tells: 'does not fire at 30 seconds, nor for a clock that is set right within 5 minutes',
      history: {
        ...PAIR,
        ...gauge('a', 'clock_offset_seconds', '30x40', {}),
        ...gauge('b', 'clock_offset_seconds', '90x8 0x30', {}),
      },
      moments: never('5m', '10m', '20m'),
    },
    {
      tells: 'ends when nobody answers',
      history: { ...DOWN, ...gauge('a', 'clock_offset_seconds', '90x20 stale', {}) },
      moments: [...always({ ...JOB, instance: 'a:8080', pod: 'a' }, '10m'), ...never('11m')],
    },
  ],
  WorkloadCredentialNamespaceOutOfReach: [
    {
      tells: 'fires once for both replicas, after 3 minutes, by what is known of it, and ends when it is back',
      history: {
        ...PAIR,
        ...unreached('a', 'some', '0x9 2x40 0x60'),
        ...unreached('b', 'some', '0x10 2x40 0x60'),
        ...unreached('b', 'unknown', '0x59 1x20 0x20'),
      },
      moments: [
        ...never('5m', '7m30s'),
        ...always({ ...JOB, credentials: 'some' }, '8m', '20m'),
        ...never('26m', '32m30s'),
        ...always({ ...JOB, credentials: 'unknown' }, '33m', '39m'),
      ],
    },
    {
      tells: 'does not fire for an upgrade that makes the Roles anew, nor for a namespace without credentials',
      history: {
        ...PAIR,
        ...unreached('a', 'some', '0x9 1x4 0x100'),
        ...unreached('a', 'none', '0x9 1x100'),
        ...unreached('b', 'unknown', '0x120'),
      },
      moments: never('6m', '8m', '9m', '15m', '20m', '40m'),
    },
    {
      tells: 'ends when nobody answers: that is OperatorDown',
      history: { ...DOWN, ...unreached('a', 'some', '1x20 stale') },
      moments: [...always({ ...JOB, credentials: 'some' }, '5m'), ...never('11m', '15m', '20m')],
    },
  ],
  WorkloadCredentialNamespaceGone: [
    {
      tells: 'fires after 10 minutes, once for both replicas, and ends when the list is right',
      history: {
        ...PAIR,
        ...unreached('a', 'none', '0x9 1x40 0x30'),
        ...unreached('b', 'none', '0x10 1x40 0x30'),
      },
      moments: [...never('5m', '14m30s'), ...always(JOB, '15m', '20m'), ...never('26m', '30m')],
    },
    {
      tells: 'does not fire where there were credentials, nor where all can be seen',
      history: { ...PAIR, ...unreached('a', 'some', '2x120'), ...unreached('b', 'none', '0x120') },
      moments: never('11m', '20m', '40m'),
    },
  ],
  WorkloadCredentialOperatorDown: [
    {
      tells: 'fires when no replica has answered for 5 minutes, and names the installation',
      history: DOWN,
      moments: [...never('10m', '15m'), ...always(JOB, '16m', '60m')],
    },
    {
      tells: 'does not fire while one of two answers',
      history: { ...replica('a', '1x20 stale', '1x20 stale'), ...replica('b', '1x240', '0x21 1x200') },
      moments: never('11m', '30m', '60m'),
    },
    {
      tells: 'does not fire for a pod that is back within 2 minutes',
      history: replica('a', '1x20 stale _x3 1x60', '1x20 stale _x3 1x60'),
      moments: never('11m', '12m', '16m', '20m'),
    },
    {
      tells: 'fires where there never was one',
      history: { 'up{job="another"}': '1x60' },
      moments: [...never('4m30s'), ...always({}, '5m30s', '25m')],
    },
    {
      tells: 'names the installation of two that is down',
      history: { ...DOWN, ...replica('c', '1x240', '1x240', { ...JOB, namespace: 'other' }) },
      moments: [...never('10m'), ...always(JOB, '20m')],
    },
  ],
  WorkloadCredentialNoLeader: [
    {
      tells: 'fires when replicas answer and none leads for 2 minutes',
      history: { ...replica('a', '1x60', '1x9 0x50'), ...replica('b', '1x60', '0x60') },
      moments: [...never('6m30s'), ...always(JOB, '7m', '20m')],
    },
    {
      tells: 'does not fire while the other one leads, nor during a hand-over',
      history: HANDED_OVER,
      moments: never('5m', '10m30s', '11m', '13m', '20m'),
    },
    {
      tells: "does not fire for other components' Leases",
      history: {
        ...PAIR,
        [`leader_election_master_status${selector({ job: 'kube-scheduler', instance: 'c:1', name: 'x' })}`]: '0x60',
      },
      moments: never('5m', '20m'),
    },
    {
      tells: 'does not fire when nobody answers: that is OperatorDown',
      history: DOWN,
      moments: never('13m', '20m', '60m'),
    },
    {
      tells: 'names the installation of two that has none',
      history: {
        ...PAIR,
        ...replica('c', '1x60', '0x60', { ...JOB, namespace: 'other' }),
      },
      moments: always({ ...JOB, namespace: 'other' }, '10m'),
    },
  ],
  WorkloadCredentialFencesMissing: [
    {
      tells: 'fires for the fence that is let through for 3 minutes, and ends when it is back',
      history: { ...PAIR, ...fence('a', 'tokens', '1x60'), ...fence('a', 'secrets', '1x9 0x20 1x30') },
      moments: [...never('5m', '7m30s'), ...always(SECRETS_MISSING, '8m', '15m'), ...never('15m30s', '20m')],
    },
    {
      tells: 'does not fire for an upgrade that makes them anew within 2 minutes',
      history: { ...PAIR, ...fence('a', 'tokens', '1x9 0x4 1x30'), ...fence('a', 'secrets', '1x9 0x4 1x30') },
      moments: never('6m', '7m', '8m', '9m', '15m'),
    },
    {
      tells: 'does not fire where no fences are expected, nor while the answer is not clear',
      history: { ...PAIR, ...fence('a', 'tokens', '1x9 stale _x30'), ...looks('a', 'tokens', '_x10 1x20 stale') },
      moments: never('5m', '10m', '20m'),
    },
    {
      tells: 'goes on through a hand-over of the Lease',
      history: { ...HANDED_OVER, ...fence('a', 'secrets', '0x20 stale'), ...fence('b', 'secrets', '_x22 0x100') },
      moments: always(SECRETS_MISSING, '10m', '10m30s', '11m', '14m'),
    },
    {
      tells: 'does not fire for what a former leader saw, once the present one has seen otherwise for 2 minutes',
      history: { ...HANDED_OVER, ...fence('a', 'secrets', '1x18 0 0 stale'), ...fence('b', 'secrets', '_x22 1x100') },
      moments: never('10m', '11m30s', '13m', '20m'),
    },
    {
      tells: 'ends when nobody answers',
      history: { ...DOWN, ...fence('a', 'secrets', '0x20 stale') },
      moments: [...always(SECRETS_MISSING, '10m'), ...never('13m')],
    },
    {
      tells:
        'fires, as one that cannot be seen, after half an hour without a clear answer, and ends with the first one',
      history: {
        ...PAIR,
        ...fence('a', 'tokens', '1x200'),
        ...looks('a', 'tokens', '1+0.1x200', 'inForce'),
        // A look every half minute for ten minutes, then every five.
        ...looks('a', 'secrets', '1+1x20 21x9 22x9 23x9 24x9 25x9 26x9 27x9 28x60'),
        ...fence('a', 'secrets', '_x90 1x60'),
        ...looks('a', 'secrets', '_x90 1x60', 'inForce'),
      },
      moments: [...never('3m', '10m', '29m30s'), ...always(SECRETS_UNKNOWN, '30m', '44m30s'), ...never('45m', '60m')],
    },
    {
      tells: 'does not fire where a clear answer comes now and then, nor for what a leader could not tell once',
      history: {
        ...PAIR,
        ...fence('a', 'tokens', '_x50 1 stale _x50 1 stale _x50'),
        ...looks('a', 'tokens', '1+1x160'),
        ...fence('a', 'secrets', '_ 1x160'),
        ...looks('a', 'secrets', '1x161'),
      },
      moments: never('24m', '31m', '49m', '56m', '75m'),
    },
    {
      tells: 'is about what cannot be seen or about what is missing, and not about both',
      history: { ...PAIR, ...looks('a', 'secrets', '1+1x70 70x60'), ...fence('a', 'secrets', '_x71 0x60') },
      moments: [...always(SECRETS_UNKNOWN, '30m', '35m'), ...never('36m', '38m'), ...always(SECRETS_MISSING, '39m')],
    },
    {
      tells: 'waits on through a hand-over of the Lease while nothing can be seen',
      history: {
        ...replica('a', '1x60 stale', '1x60 stale'),
        ...replica('b', '1x240', '0x61 1x100'),
        ...looks('a', 'secrets', '1+1x60 stale'),
        // Half a minute to the Lease, ten seconds to the first look, and the scrape after it.
        ...looks('b', 'secrets', '_x63 1+1x100'),
      },
      moments: [...never('29m30s'), ...always(SECRETS_UNKNOWN, '30m', '30m30s', '31m', '31m30s', '32m', '50m')],
    },
    {
      tells: 'counts one thing that cannot be seen once when two replicas tell of it',
      history: { ...PAIR, ...looks('a', 'secrets', '9x120'), ...looks('b', 'secrets', '1+1x120') },
      moments: always(SECRETS_UNKNOWN, '30m', '50m'),
    },
    {
      tells: 'ends when nobody answers, also about what cannot be seen, and begins anew',
      history: {
        ...replica('a', '1x70 stale _x20 1x60', '1x70 stale _x20 1x60'),
        ...looks('a', 'secrets', '1+1x70 stale _x20 1+1x60'),
      },
      moments: [...always(SECRETS_UNKNOWN, '35m'), ...never('38m', '47m', '60m')],
    },
  ],
};

/** Two replicas that both tell of credentials, as for a moment at a hand-over. */
export const DOUBLED: History = {
  ...PAIR,
  ...state('a', 'RefreshFailing', '3x60'),
  ...state('b', 'RefreshFailing', '3x60'),
};
