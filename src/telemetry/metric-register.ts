// Promises: the one list of every metric: name, type, labels, help, and why its series are bounded. The reference page is
// generated from it. Names that dashboards for Kubernetes know are kept as they are there. Pure data.
import { ERRORS } from '../credential/errors.ts';

/** One metric. */
export interface MetricEntry {
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** One sentence, with the unit. */
  readonly help: string;
  readonly labels: readonly string[];
  /** What bounds the number of its series. */
  readonly bound: string;
  /** Upper bounds of a histogram's buckets, in seconds. */
  readonly buckets?: readonly number[];
}

const ONE = 'one series';
const BY_CLOUD = 'clouds (3)';

const counter = (help: string, labels: readonly string[], bound: string) =>
  ({ type: 'counter', help, labels, bound }) as const;
const gauge = (help: string, labels: readonly string[], bound: string) =>
  ({ type: 'gauge', help, labels, bound }) as const;
const histogram = (help: string, labels: readonly string[], more: { bound: string; buckets: readonly number[] }) =>
  ({ type: 'histogram', help, labels, ...more }) as const;

/** k8s.io/component-base/metrics/prometheus/workqueue: ExponentialBuckets(10e-9, 10, 12). */
const WORKQUEUE_BUCKETS = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10, 100, 1_000];
/** k8s.io/component-base/metrics/prometheus/restclient. */
const REST_CLIENT_BUCKETS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60];
/** An exchange ends after 10 s at the latest. */
const STS_BUCKETS = [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** A reconcile is four calls at most of 10 s each. */
const RECONCILE_BUCKETS = [0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Every metric, by name. */
export const METRICS = {
  workloadcredential_refreshes_total: counter(
    'Attempts to obtain a credential that were over, by cloud and result: issued, or the code of the failure.',
    ['cloud', 'result'],
    'clouds (3) x codes of the error register (100 at most, then other)',
  ),
  workloadcredential_sts_requests_total: counter(
    'Calls to STS, by cloud and result: OK, Aborted, or the code of the failure.',
    ['cloud', 'code'],
    'clouds (3) x codes of the error register (100 at most, then other)',
  ),
  workloadcredential_sts_request_duration_seconds: histogram('Seconds that a call to STS took, by cloud.', ['cloud'], {
    bound: BY_CLOUD,
    buckets: STS_BUCKETS,
  }),
  workloadcredential_sts_limiter_requests_total: counter(
    'Exchanges that asked the STS limiter for their turn, by cloud and result (granted, refused); one that waits asks again.',
    ['cloud', 'result'],
    'clouds (3) x 2',
  ),
  workloadcredential_sts_limiter_rate: gauge(
    'Calls per second that the STS limiter allows now, by cloud: the lowest of its endpoints. Falls on throttling and outages.',
    ['cloud'],
    BY_CLOUD,
  ),
  workloadcredential_sts_limiter_in_flight: gauge('Calls to STS that are in flight, by cloud.', ['cloud'], BY_CLOUD),
  workloadcredential_sts_limiter_demand_ratio: gauge(
    'Part of --sts-requests-per-second that calls to STS took, by cloud: the busiest of its endpoints, averaged over some 5 minutes. At 1 work waits.',
    ['cloud'],
    BY_CLOUD,
  ),
  workloadcredential_credentials: gauge(
    'WorkloadCredentials by cloud and state; suspended ones are Suspended, whether or not they have ended. From the leader only.',
    ['cloud', 'state'],
    'clouds (3) x states (6)',
  ),
  workloadcredential_failing_credentials: gauge(
    'WorkloadCredentials whose last attempt failed, by cloud and reason of the condition Refreshed. From the leader only.',
    ['cloud', 'reason'],
    `clouds (3) x codes of the error register (${Object.keys(ERRORS).length}) and Other`,
  ),
  workloadcredential_unissued_seconds: gauge(
    'The longest time that a WorkloadCredential of the cloud that is not suspended has been without any credential, not even one that has ended; 0 if none is. From the leader only.',
    ['cloud'],
    BY_CLOUD,
  ),
  workloadcredential_overdue_credentials: gauge(
    'WorkloadCredentials of the cloud that are past their refresh time and not suspended. From the leader only.',
    ['cloud'],
    BY_CLOUD,
  ),
  workloadcredential_overdue_seconds: gauge(
    'How long ago the refresh time of the latest of them was, in seconds; 0 if none is overdue. From the leader only.',
    ['cloud'],
    BY_CLOUD,
  ),
  workloadcredential_outage_budget_used_ratio: gauge(
    'The largest part of the time between refresh time and expiration time that any credential of the cloud has used up: 0 if none is overdue, 1 when one has ended. From the leader only.',
    ['cloud'],
    BY_CLOUD,
  ),
  workloadcredential_nearest_expiration_seconds: gauge(
    'Seconds until the first credential of the cloud that is not suspended expires; negative once it has. From the leader only.',
    ['cloud'],
    BY_CLOUD,
  ),
  workloadcredential_suspended_nearest_expiration_seconds: gauge(
    'Seconds until the first suspended credential of the cloud expires; negative for the day after. From the leader only.',
    ['cloud'],
    BY_CLOUD,
  ),
  workloadcredential_outage_budget_seconds: gauge(
    'The shortest time between refresh time and expiration time of any credential of the cloud: the STS outage that every Secret survives. From the leader only.',
    ['cloud'],
    BY_CLOUD,
  ),
  workloadcredential_expiration_timestamp_seconds: gauge(
    'When the credential in the Secret expires, in seconds since the epoch. From the leader only; can be switched off.',
    ['namespace', 'name', 'cloud'],
    'one per WorkloadCredential',
  ),
  workloadcredential_refresh_timestamp_seconds: gauge(
    'When the credential is due to be replaced, in seconds since the epoch. From the leader only; can be switched off.',
    ['namespace', 'name', 'cloud'],
    'one per WorkloadCredential',
  ),
  workloadcredential_clock_offset_seconds: gauge(
    "Seconds that the API server's clock is ahead of this machine's.",
    [],
    ONE,
  ),
  workloadcredential_namespaces_out_of_reach: gauge(
    'Namespaces of --namespaces that the API server forbids this replica to follow, since they were deleted or their Roles were: nothing in them is refreshed. By whether they had WorkloadCredentials when they could last be seen: none, some, or unknown where this process never saw them. The log names them.',
    ['credentials'],
    'answers (3)',
  ),
  workloadcredential_events_total: counter('Kubernetes events, by result: sent or dropped.', ['result'], 'results (2)'),
  workloadcredential_informer_lists_total: counter(
    'Lists of a resource, by result.',
    ['resource', 'result'],
    'watched resources (3) x 2',
  ),
  workloadcredential_informer_list_duration_seconds: histogram('Seconds that a list took.', ['resource'], {
    bound: 'watched resources (3)',
    buckets: REST_CLIENT_BUCKETS,
  }),
  workloadcredential_informer_watches_total: counter(
    'Watches that ended, by result: closed by the server, expired, error, or relist.',
    ['resource', 'result'],
    'watched resources (3) x 4',
  ),
  workloadcredential_informer_events_total: counter(
    'Watch events, by type.',
    ['resource', 'type'],
    'watched resources (3) x types (5)',
  ),
  workloadcredential_fence_in_force: gauge(
    "Whether an admission policy of the chart holds the operator's own user, by fence (tokens, secrets): 1, or 0 where the API server lets it do what the policy refuses. From the leader only, and only where --expect-fences is true and the answer is clear.",
    ['fence'],
    'fences (2)',
  ),
  workloadcredential_fence_probes_total: counter(
    'Looks at whether a fence is in force, by fence and result: inForce, missing, or unknown where something else was in the way. From the leader only, and only where --expect-fences is true.',
    ['fence', 'result'],
    'fences (2) x 3',
  ),
  workloadcredential_build_info: gauge('Always 1; the label tells the version.', ['version'], ONE),
  workqueue_depth: gauge(
    'Keys that are ready to be worked on, by class of urgency; 0 is the most urgent.',
    ['name', 'priority'],
    'classes (5)',
  ),
  workqueue_adds_total: counter('Keys that were added.', ['name'], ONE),
  workqueue_queue_duration_seconds: histogram('Seconds that a key was ready before a worker took it.', ['name'], {
    bound: ONE,
    buckets: WORKQUEUE_BUCKETS,
  }),
  workqueue_work_duration_seconds: histogram('Seconds that a worker had a key.', ['name'], {
    bound: ONE,
    buckets: WORKQUEUE_BUCKETS,
  }),
  workqueue_retries_total: counter('Keys that were added with a delay.', ['name'], ONE),
  workqueue_unfinished_work_seconds: gauge('Seconds of work in progress, in sum.', ['name'], ONE),
  workqueue_longest_running_processor_seconds: gauge('Seconds that the slowest worker has had its key.', ['name'], ONE),
  controller_runtime_reconcile_total: counter('Reconciles, by result.', ['controller', 'result'], 'results (3)'),
  controller_runtime_reconcile_time_seconds: histogram('Seconds that a reconcile took.', ['controller'], {
    bound: ONE,
    buckets: RECONCILE_BUCKETS,
  }),
  controller_runtime_active_workers: gauge('Workers that are at work.', ['controller'], ONE),
  rest_client_requests_total: counter(
    'Calls to the API server, by status, method and host; <error> when no answer came.',
    ['code', 'method', 'host'],
    'HTTP statuses (100 at most, then other) x methods (5)',
  ),
  rest_client_request_duration_seconds: histogram(
    "Seconds until the head of the API server's answer, by method and host.",
    ['verb', 'host'],
    { bound: 'methods (5)', buckets: REST_CLIENT_BUCKETS },
  ),
  leader_election_master_status: gauge('1 while this replica holds the Lease, else 0.', ['name'], ONE),
  process_cpu_user_seconds_total: counter('User CPU seconds.', [], ONE),
  process_cpu_system_seconds_total: counter('System CPU seconds.', [], ONE),
  process_cpu_seconds_total: counter('User and system CPU seconds.', [], ONE),
  process_start_time_seconds: gauge('When the process started, in seconds since the epoch.', [], ONE),
  process_resident_memory_bytes: gauge('Resident memory in bytes.', [], ONE),
  nodejs_heap_size_total_bytes: gauge("Size of V8's heap in bytes.", [], ONE),
  nodejs_heap_size_used_bytes: gauge("Bytes of V8's heap that are used.", [], ONE),
  nodejs_external_memory_bytes: gauge('Bytes outside of the heap that objects of the heap hold.', [], ONE),
  nodejs_eventloop_lag_seconds: gauge('Mean delay of the event loop since the last scrape, in seconds.', [], ONE),
} as const satisfies Record<string, MetricEntry>;

/** A metric's name. */
export type MetricName = keyof typeof METRICS;
/** The names of the metrics of one type. */
export type MetricNameOf<T extends MetricEntry['type']> = {
  [N in MetricName]: (typeof METRICS)[N]['type'] extends T ? N : never;
}[MetricName];
