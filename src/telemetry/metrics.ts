// Promises: typed methods for every metric of the register, and the Prometheus text of them. What changes by itself
// (credentials, queue, process) is read at scrape. Series are bounded: foreign label values beyond 100 become `other`.
// No default metrics of prom-client: they read the process and set timers. May not label anything by a secret or a host
// that tenants choose.
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Cloud } from '../api/names.ts';
import type { Clock } from '../runtime/clock.ts';
import { CLOUD_GAUGES, type CredentialSample, CredentialSummary } from './credential-gauges.ts';
import { LimiterDemand } from './limiter-demand.ts';
import { METRICS, type MetricEntry, type MetricName, type MetricNameOf } from './metric-register.ts';

/** One endpoint of the STS limiter; `key` begins with `<cloud>/`. */
export interface LimiterSample {
  readonly key: string;
  readonly ratePerSecond: number;
  readonly inFlight: number;
  readonly granted: number;
  readonly refused: number;
}

/** What only the entry point may read from the process. */
export interface ProcessStats {
  readonly userCPUSeconds: number;
  readonly systemCPUSeconds: number;
  readonly startTimeSeconds: number;
  readonly residentMemoryBytes: number;
  readonly heapTotalBytes: number;
  readonly heapUsedBytes: number;
  readonly externalBytes: number;
  readonly eventLoopLagSeconds: number;
}

/** What is read at scrape. */
export interface ScrapeSources {
  /** Empty on a replica that does not lead: two replicas must not double a credential. */
  readonly credentials: () => Iterable<CredentialSample>;
  readonly limiter: () => Iterable<LimiterSample>;
  readonly workQueue: { unfinishedWorkSeconds(): number; longestRunningProcessorSeconds(): number };
  readonly clockOffsetSeconds: () => number;
  /** By what was seen there last. */
  readonly namespacesOutOfReach: () => Readonly<Record<string, number>>;
  readonly processStats: () => ProcessStats;
}

/** What the metrics are made of. */
export interface MetricsOptions {
  /** The corrected clock. */
  readonly clock: Clock;
  readonly version: string;
  /** The API server, `host:port`. */
  readonly apiServerHost: string;
  /** The Lease's name. */
  readonly leaseName: string;
  /** --sts-requests-per-second: what the demand is told as a part of. */
  readonly stsRequestsPerSecond: number;
  /** Whether each credential has series of its own; 10,000 of them cost some 50 ms and 2 MB a scrape. */
  readonly perCredential: boolean;
}

/** The work queue's and the controller's name in labels. */
const NAME = 'workloadcredential';
/** Distinct values that one foreign label of a metric may have. */
const MAX_LABEL_VALUES = 100;

type Labels = Readonly<Record<string, string>>;

/** The operator's metrics. */
export class Metrics {
  readonly #options: MetricsOptions;
  readonly #registry = new Registry();
  readonly #counters = new Map<MetricName, Counter>();
  readonly #gauges = new Map<MetricName, Gauge>();
  readonly #histograms = new Map<MetricName, Histogram>();
  readonly #seen = new Map<string, Set<string>>();
  readonly #demand: LimiterDemand;
  #scrape: Promise<string> | undefined;

  constructor(options: MetricsOptions) {
    this.#options = options;
    this.#demand = new LimiterDemand(options.clock, options.stsRequestsPerSecond);
    for (const name of Object.keys(METRICS) as MetricName[]) {
      this.#register(name, METRICS[name]);
    }
    this.#set('workloadcredential_build_info', { version: options.version }, 1);
    this.leading(false);
  }

  /** For the work queue. */
  readonly workQueue = {
    depth: (urgency: number, keys: number): void =>
      this.#set('workqueue_depth', { name: NAME, priority: String(urgency) }, keys),
    add: (): void => this.#inc('workqueue_adds_total', { name: NAME }),
    queueDuration: (seconds: number): void =>
      this.#observe('workqueue_queue_duration_seconds', { name: NAME }, seconds),
    workDuration: (seconds: number): void => this.#observe('workqueue_work_duration_seconds', { name: NAME }, seconds),
    retry: (): void => this.#inc('workqueue_retries_total', { name: NAME }),
  };

  /** For the controller. */
  readonly controller = {
    reconciled: (result: string, durationSeconds: number): void => {
      this.#inc('controller_runtime_reconcile_total', { controller: NAME, result });
      this.#observe('controller_runtime_reconcile_time_seconds', { controller: NAME }, durationSeconds);
    },
    activeWorkers: (count: number): void => this.#set('controller_runtime_active_workers', { controller: NAME }, count),
  };

  /** For the connection to the API server. */
  readonly apiServer = {
    observeRequest: (method: string, code: string, durationSeconds: number): void => {
      const host = this.#options.apiServerHost;
      const bounded = this.#bounded('rest_client_requests_total', code);
      this.#inc('rest_client_requests_total', { code: bounded, method, host });
      this.#observe('rest_client_request_duration_seconds', { verb: method, host }, durationSeconds);
    },
  };

  /** For the informers. */
  readonly informer = {
    observeList: (resource: string, result: string, durationSeconds: number): void => {
      this.#inc('workloadcredential_informer_lists_total', { resource, result });
      this.#observe('workloadcredential_informer_list_duration_seconds', { resource }, durationSeconds);
    },
    countWatch: (resource: string, result: string): void =>
      this.#inc('workloadcredential_informer_watches_total', { resource, result }),
    countEvent: (resource: string, type: string): void => {
      const bounded = this.#bounded('workloadcredential_informer_events_total', type);
      this.#inc('workloadcredential_informer_events_total', { resource, type: bounded });
    },
  };

  /** One attempt to obtain a credential was over: `issued`, or the code of its failure. */
  refreshed(cloud: Cloud, result: string): void {
    const bounded = this.#bounded('workloadcredential_refreshes_total', result);
    this.#inc('workloadcredential_refreshes_total', { cloud, result: bounded });
  }

  /** One call to STS was over. */
  stsCall(outcome: { readonly cloud: Cloud; readonly code: string; readonly durationSeconds: number }): void {
    const { cloud, code, durationSeconds } = outcome;
    const bounded = this.#bounded('workloadcredential_sts_requests_total', code);
    this.#inc('workloadcredential_sts_requests_total', { cloud, code: bounded });
    this.#observe('workloadcredential_sts_request_duration_seconds', { cloud }, durationSeconds);
  }

  /** A Kubernetes event was sent or dropped. */
  event(result: 'sent' | 'dropped'): void {
    this.#inc('workloadcredential_events_total', { result });
  }

  /** What a look at a fence found; what is not known has no value. */
  fence(fence: string, finding: 'inForce' | 'missing' | 'unknown'): void {
    this.#inc('workloadcredential_fence_probes_total', { fence, result: finding });
    if (finding === 'unknown') {
      this.#gauges.get('workloadcredential_fence_in_force')?.remove({ fence });
    } else {
      this.#set('workloadcredential_fence_in_force', { fence }, finding === 'inForce' ? 1 : 0);
    }
  }

  /** Whether this replica holds the Lease. */
  leading(isLeading: boolean): void {
    this.#set('leader_election_master_status', { name: this.#options.leaseName }, isLeading ? 1 : 0);
  }

  /** The Prometheus text. Scrapes that overlap share one answer, since the series are filled anew for each. */
  async text(sources: ScrapeSources): Promise<string> {
    this.#scrape ??= this.#render(sources).finally(() => {
      this.#scrape = undefined;
    });
    return await this.#scrape;
  }

  async #render(sources: ScrapeSources): Promise<string> {
    this.#readCredentials(sources.credentials());
    this.#readLimiter(sources.limiter());
    this.#readProcess(sources.processStats());
    const { workQueue } = sources;
    this.#set('workqueue_unfinished_work_seconds', { name: NAME }, workQueue.unfinishedWorkSeconds());
    this.#set(
      'workqueue_longest_running_processor_seconds',
      { name: NAME },
      workQueue.longestRunningProcessorSeconds(),
    );
    this.#set('workloadcredential_clock_offset_seconds', {}, sources.clockOffsetSeconds());
    for (const [credentials, count] of Object.entries(sources.namespacesOutOfReach())) {
      this.#set('workloadcredential_namespaces_out_of_reach', { credentials }, count);
    }
    return await this.#registry.metrics();
  }

  #readCredentials(samples: Iterable<CredentialSample>): void {
    this.#reset('workloadcredential_expiration_timestamp_seconds', 'workloadcredential_refresh_timestamp_seconds');
    const summary = new CredentialSummary(this.#options.clock.now());
    for (const sample of samples) {
      summary.add(sample);
      if (this.#options.perCredential) {
        this.#setTimes(sample);
      }
    }
    this.#setCounts('workloadcredential_credentials', 'state', summary.states);
    this.#setCounts('workloadcredential_failing_credentials', 'reason', summary.failures);
    for (const name of CLOUD_GAUGES) {
      this.#setByCloud(name, summary.gauge(name));
    }
  }

  #setCounts(
    name: MetricNameOf<'gauge'>,
    label: string,
    counts: ReadonlyMap<string, ReadonlyMap<string, number>>,
  ): void {
    this.#reset(name);
    for (const [cloud, byLabel] of counts) {
      for (const [value, count] of byLabel) {
        this.#set(name, { cloud, [label]: value }, count);
      }
    }
  }

  #setTimes({ namespace, name, cloud, expirationTimeMs, refreshTimeMs }: CredentialSample): void {
    const labels = { namespace, name, cloud };
    if (expirationTimeMs !== undefined) {
      this.#set('workloadcredential_expiration_timestamp_seconds', labels, expirationTimeMs / 1_000);
    }
    if (refreshTimeMs !== undefined) {
      this.#set('workloadcredential_refresh_timestamp_seconds', labels, refreshTimeMs / 1_000);
    }
  }

  #readLimiter(endpoints: Iterable<LimiterSample>): void {
    const samples = [...endpoints];
    const parts = this.#demand.look(samples);
    const demand = new Map<string, number>();
    const rate = new Least();
    const inFlight = new Map<string, number>();
    this.#counters.get('workloadcredential_sts_limiter_requests_total')?.reset();
    for (const sample of samples) {
      const cloud = this.#bounded('workloadcredential_sts_limiter_rate', sample.key.split('/', 1)[0] ?? '');
      rate.add(cloud, sample.ratePerSecond);
      inFlight.set(cloud, (inFlight.get(cloud) ?? 0) + sample.inFlight);
      demand.set(cloud, Math.max(demand.get(cloud) ?? 0, parts.get(sample.key) ?? 0));
      this.#inc('workloadcredential_sts_limiter_requests_total', { cloud, result: 'granted' }, sample.granted);
      this.#inc('workloadcredential_sts_limiter_requests_total', { cloud, result: 'refused' }, sample.refused);
    }
    this.#setByCloud('workloadcredential_sts_limiter_rate', rate.byCloud);
    this.#setByCloud('workloadcredential_sts_limiter_in_flight', inFlight);
    this.#setByCloud('workloadcredential_sts_limiter_demand_ratio', demand);
  }

  #readProcess(stats: ProcessStats): void {
    this.#total('process_cpu_user_seconds_total', stats.userCPUSeconds);
    this.#total('process_cpu_system_seconds_total', stats.systemCPUSeconds);
    this.#total('process_cpu_seconds_total', stats.userCPUSeconds + stats.systemCPUSeconds);
    this.#set('process_start_time_seconds', {}, stats.startTimeSeconds);
    this.#set('process_resident_memory_bytes', {}, stats.residentMemoryBytes);
    this.#set('nodejs_heap_size_total_bytes', {}, stats.heapTotalBytes);
    this.#set('nodejs_heap_size_used_bytes', {}, stats.heapUsedBytes);
    this.#set('nodejs_external_memory_bytes', {}, stats.externalBytes);
    this.#set('nodejs_eventloop_lag_seconds', {}, stats.eventLoopLagSeconds);
  }

  #register(name: MetricName, entry: MetricEntry): void {
    const common = { name, help: entry.help, labelNames: [...entry.labels], registers: [this.#registry] };
    switch (entry.type) {
      case 'counter':
        this.#counters.set(name, new Counter(common));
        break;
      case 'gauge':
        this.#gauges.set(name, new Gauge(common));
        break;
      case 'histogram':
        this.#histograms.set(name, new Histogram({ ...common, buckets: [...(entry.buckets ?? [])] }));
        break;
    }
  }

  #inc(name: MetricNameOf<'counter'>, labels: Labels, by = 1): void {
    this.#counters.get(name)?.inc(labels, by);
  }

  /** A counter that somebody else counts. */
  #total(name: MetricNameOf<'counter'>, value: number): void {
    this.#counters.get(name)?.reset();
    this.#inc(name, {}, value);
  }

  #set(name: MetricNameOf<'gauge'>, labels: Labels, value: number): void {
    this.#gauges.get(name)?.set(labels, value);
  }

  #setByCloud(name: MetricNameOf<'gauge'>, values: ReadonlyMap<string, number>): void {
    this.#reset(name);
    for (const [cloud, value] of values) {
      this.#set(name, { cloud }, value);
    }
  }

  #observe(name: MetricNameOf<'histogram'>, labels: Labels, seconds: number): void {
    this.#histograms.get(name)?.observe(labels, seconds);
  }

  #reset(...names: MetricNameOf<'gauge'>[]): void {
    for (const name of names) {
      this.#gauges.get(name)?.reset();
    }
  }

  /** The value itself for the first 100 different ones of a metric, then `other`. */
  #bounded(name: MetricName, value: string): string {
    const seen = this.#seen.get(name) ?? new Set();
    this.#seen.set(name, seen);
    if (!seen.has(value) && seen.size >= MAX_LABEL_VALUES) {
      return 'other';
    }
    seen.add(value);
    return value;
  }
}

/** The smallest value by cloud. */
class Least {
  readonly byCloud = new Map<string, number>();

  add(cloud: string, value: number): void {
    this.byCloud.set(cloud, Math.min(value, this.byCloud.get(cloud) ?? Number.POSITIVE_INFINITY));
  }
}
