// Promises: puts the program together and runs it: connection -> caches synced -> Lease -> caches listed anew -> workers;
// stops in reverse. The only file that constructs the rooms' classes. Reads neither the environment nor the process: main
// does, and tests give their own clock, chance and transports.
import { GROUP, LABEL_NAME, PLURAL, VERSION as API_VERSION_NAME } from './api/names.ts';
import type { PartialObjectMetadata } from './api/meta.ts';
import type { WorkloadCredential } from './api/types.gen.ts';
import { Exchanger } from './controller/exchanger.ts';
import { FenceProbe } from './controller/fence-probe.ts';
import { afterLoss, NotLeadingError } from './controller/not-leading.ts';
import {
  CredentialIndex,
  credentialHandler,
  type IsEcho,
  keyOf,
  secretHandler,
  serviceAccountHandler,
  splitKey,
} from './controller/mappers.ts';
import { Observer } from './controller/observe.ts';
import { projectCredential, projectSecret, projectServiceAccount } from './controller/projections.ts';
import { Reconciler } from './controller/reconciler.ts';
import { sampleOf, urgencyOf } from './controller/samples.ts';
import { SecretWriter } from './controller/secret-writer.ts';
import type { EventApi, FenceApi, KubeApi, LeaseApi } from './kube/api.ts';
import { kubeClient } from './kube/client.ts';
import { type ApiServer, connectApiServer, type ServerIdentity } from './kube/connection.ts';
import { Informer, type InformerResource, type WireObject } from './kube/informer.ts';
import { leaseClient } from './kube/lease-client.ts';
import { allReach, anyReached, countOutOfReach, OUT_OF_REACH_LOOK_MS, reached } from './kube/reach.ts';
import { Recorder } from './kube/recorder.ts';
import { WriteMarks } from './kube/writes.ts';
import type { Options } from './options.ts';
import { cloudProvider } from './providers/clouds.ts';
import type { AnyCloud } from './providers/provider.ts';
import { aborted, type Clock, deadline, sleep } from './runtime/clock.ts';
import { ServerClock } from './runtime/clock-offset.ts';
import { Controller } from './runtime/controller.ts';
import { Elector } from './runtime/elector.ts';
import { EndpointLimiter } from './runtime/limiter.ts';
import type { Log } from './runtime/log.ts';
import type { Random } from './runtime/random.ts';
import { WorkQueue } from './runtime/workqueue.ts';
import { Metrics, type ProcessStats } from './telemetry/metrics.ts';
import { TelemetryServer } from './telemetry/server.ts';
import type { Transport } from './transport/transport.ts';
import type { TLSMaterial } from './transport/undici.ts';

/** What the outside gives. */
export interface OperatorOptions {
  readonly options: Options;
  readonly identity: ServerIdentity;
  readonly leaseNamespace: string;
  /** The pod's name, or the machine's. */
  readonly hostName: string;
  readonly version: string;
  readonly apiServerAudiences: readonly string[];
  readonly openTransport: (tls: TLSMaterial) => Transport;
  readonly stsTransport: Transport;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly processStats: () => ProcessStats;
}

/** How a run ended. */
export type OperatorEnd = 'stopped' | 'lost';

/** In-flight work may take this long after SIGTERM; with the Lease's release it stays under 10 s. */
const DRAIN_MS = 7_000;
const FLUSH_MS = 1_000;
/** On taking the Lease; longer means that the API server is not well, and the Lease is given up. */
const RELIST_MS = 60_000;

/** The informers, and which resources they follow. */
type Informers = {
  readonly credentials: Informer<WorkloadCredential>;
  readonly secrets: Informer<PartialObjectMetadata>;
  readonly serviceAccounts: Informer<PartialObjectMetadata>;
};

/** The program. It runs once. */
export class Operator {
  readonly #outside: OperatorOptions;
  readonly #clock: ServerClock;
  readonly #metrics: Metrics;
  readonly #limiter: EndpointLimiter;
  readonly #index = new CredentialIndex();
  readonly #queue: WorkQueue;
  #informers: Informers | undefined;
  #reconciler: Reconciler | undefined;
  #isLeading: () => boolean = () => false;
  #listening: { readonly host: string; readonly port: number } | undefined;

  constructor(outside: OperatorOptions) {
    const { options, clock, random, log } = outside;
    this.#outside = outside;
    this.#clock = new ServerClock(clock, (offsetMs) =>
      log.warn("this machine's clock is far from the API server's", { offsetSeconds: Math.round(offsetMs / 1000) }),
    );
    this.#metrics = new Metrics({
      clock: this.#clock,
      version: outside.version,
      apiServerHost: outside.identity.server.host,
      leaseName: options.leaseName,
      stsRequestsPerSecond: options.stsRequestsPerSecond,
      perCredential: options.perCredentialMetrics,
    });
    const rate = { perSecond: options.stsRequestsPerSecond, burst: options.stsBurst };
    this.#limiter = new EndpointLimiter({ clock: this.#clock, random, rate });
    this.#queue = new WorkQueue({
      clock: this.#clock,
      classOf: (key) => urgencyOf(this.#informers?.credentials.get(key), this.#clock.now()),
      tenantOf: (key) => splitKey(key).namespace,
      metrics: this.#metrics.workQueue,
    });
  }

  /** Where /metrics is; undefined before run() listens. */
  get listening(): { readonly host: string; readonly port: number } | undefined {
    return this.#listening;
  }

  /**
   * Runs until `stop` aborts (`stopped`) or the Lease is lost (`lost`).
   * @throws ServerConfigError and other errors with one sentence, when it cannot start.
   */
  async run(stop: AbortSignal): Promise<OperatorEnd> {
    const { log, options, version } = this.#outside;
    const server = new TelemetryServer({
      address: options.listenAddress,
      livez: () => undefined,
      readyz: () => (this.#hasSynced() ? undefined : 'the caches are not synced yet'),
      metrics: () => this.#metricsText(),
    });
    const apiServer = await this.#connect();
    this.#listening = await server.listen();
    log.info('operator started', { version, listenAddress: `${this.#listening.host}:${this.#listening.port}` });
    const caches = new AbortController();
    try {
      return await this.#follow(apiServer, caches, stop);
    } finally {
      caches.abort(new Error('the operator stops'));
      await Promise.allSettled([server.close(), apiServer.close(), this.#outside.stsTransport.close()]);
      log.info('operator stopped');
    }
  }

  async #connect(): Promise<ApiServer> {
    const { identity, openTransport, clock, log, version } = this.#outside;
    return await connectApiServer({
      identity,
      openTransport,
      // Uncorrected: the correction is learned from what it says. By the corrected one the offset would be found to be
      // none, forgotten, and found again.
      clock,
      log,
      metrics: this.#metrics.apiServer,
      onServerDate: (dateMs, sentAtMs, receivedAtMs) => this.#clock.observe(dateMs, sentAtMs, receivedAtMs),
      userAgent: `workload-credentials/${version}`,
    });
  }

  async #follow(apiServer: ApiServer, caches: AbortController, stop: AbortSignal): Promise<OperatorEnd> {
    const client = kubeClient({ server: apiServer, clock: this.#clock });
    const informers = this.#startInformers(apiServer, caches.signal);
    const stopped = aborted(stop);
    await Promise.race([
      Promise.all([informers.credentials.synced, informers.secrets.synced, informers.serviceAccounts.synced]),
      stopped,
    ]);
    if (stop.aborted) {
      return 'stopped';
    }
    this.#outside.log.info('caches synced', {
      credentials: informers.credentials.size,
      secrets: informers.secrets.size,
      serviceAccounts: informers.serviceAccounts.size,
    });
    const recorder = this.#recorder(client);
    let end: OperatorEnd | undefined;
    try {
      end = await this.#elect(client, recorder, informers, stop);
      return end;
    } finally {
      const flush = deadline(this.#clock, FLUSH_MS, new AbortController().signal, () => new Error('no time left'));
      // Another replica may lead by now: whoever has lost the Lease writes nothing more, not even Events.
      await recorder.flush(end === 'lost' ? AbortSignal.abort() : flush.signal);
      flush.dispose();
    }
  }

  #startInformers(server: ApiServer, signal: AbortSignal): Informers {
    const { options, random, log } = this.#outside;
    const common = {
      onReached: (namespace: string): void => this.#wake(namespace),
      server,
      namespaces: options.namespaces,
      clock: this.#clock,
      random,
      log,
      metrics: this.#metrics.informer,
    };
    const core = (plural: string): InformerResource => ({ group: '', version: 'v1', plural });
    const informers: Informers = {
      credentials: new Informer({
        ...common,
        resource: { group: GROUP, version: API_VERSION_NAME, plural: PLURAL },
        metadataOnly: false,
        project: (object: WireObject) => projectCredential(object),
      }),
      secrets: new Informer({
        ...common,
        resource: core('secrets'),
        labelSelector: LABEL_NAME,
        metadataOnly: true,
        project: (object: WireObject) => projectSecret(object),
      }),
      serviceAccounts: new Informer({
        ...common,
        resource: core('serviceaccounts'),
        metadataOnly: true,
        project: (object: WireObject) => projectServiceAccount(object),
      }),
    };
    this.#informers = informers;
    const enqueue = (key: string): void => {
      // A standby takes nothing: nobody would ever take it out, and who begins to lead adds all there is.
      if (this.#reconciler !== undefined) this.#queue.add(key);
    };
    const isCredentialEcho: IsEcho = (object) => this.#reconciler?.isEcho(PLURAL, keyOf(object), object) ?? false;
    const isSecretEcho: IsEcho = (object) => {
      const { namespace = '', labels } = object.metadata;
      return this.#reconciler?.isEcho('secrets', `${namespace}/${labels?.[LABEL_NAME] ?? ''}`, object) ?? false;
    };
    informers.credentials.addHandler(credentialHandler(this.#index, enqueue, isCredentialEcho));
    informers.secrets.addHandler(secretHandler(this.#index, enqueue, isSecretEcho));
    informers.serviceAccounts.addHandler(serviceAccountHandler(this.#index, enqueue));
    for (const informer of Object.values(informers)) {
      void informer.run(signal);
    }
    return informers;
  }

  /** All that a namespace has, which was passed over until its caches were whole. */
  #wake(namespace: string): void {
    if (this.#reconciler === undefined || namespace === '') return;
    for (const credential of this.#informers?.credentials.list() ?? []) {
      if (credential.metadata.namespace === namespace) this.#queue.add(keyOf(credential));
    }
  }

  #recorder(events: EventApi): Recorder {
    const { random, log, hostName } = this.#outside;
    return new Recorder({
      events,
      clock: this.#clock,
      random,
      log,
      reportingController: `${GROUP}/operator`,
      reportingInstance: hostName,
      onResult: (result) => this.#metrics.event(result),
    });
  }

  async #elect(
    client: KubeApi & LeaseApi & FenceApi,
    recorder: Recorder,
    informers: Informers,
    stop: AbortSignal,
  ): Promise<OperatorEnd> {
    const { options, random, log, hostName, leaseNamespace } = this.#outside;
    const lead = (signal: AbortSignal): Promise<void> => this.#lead({ client, recorder, informers, stop }, signal);
    if (!options.leaderElect) {
      this.#isLeading = () => true;
      await lead(new AbortController().signal);
      return 'stopped';
    }
    // Stopping means: drain first, while the Lease is still held, and only then give it up.
    const election = new AbortController();
    let isLeader = false;
    const elector = new Elector({
      leases: leaseClient(client, { namespace: leaseNamespace, name: options.leaseName }),
      name: options.leaseName,
      namespace: leaseNamespace,
      identityPrefix: hostName,
      clock: this.#clock,
      random,
      log,
      onStartedLeading: async (signal) => {
        isLeader = true;
        await lead(signal);
        election.abort(new Error('the operator stops'));
      },
      onNewLeader: (identity) => log.info('a leader was elected', { identity }),
    });
    this.#isLeading = () => elector.isValid();
    const onStop = (): void => {
      if (!isLeader) {
        election.abort(stop.reason);
      }
    };
    stop.addEventListener('abort', onStop, { once: true });
    if (stop.aborted) onStop();
    try {
      return await elector.run(election.signal);
    } finally {
      stop.removeEventListener('abort', onStop);
      this.#metrics.leading(false);
    }
  }

  /** The leader's work, until told to stop (then it drains) or until the Lease is lost (then it aborts). */
  async #lead(
    parts: {
      readonly client: KubeApi & FenceApi;
      readonly recorder: Recorder;
      readonly informers: Informers;
      readonly stop: AbortSignal;
    },
    lease: AbortSignal,
  ): Promise<void> {
    const { client, recorder, informers, stop } = parts;
    const { log, random, options } = this.#outside;
    const limited = deadline(
      this.#clock,
      RELIST_MS,
      AbortSignal.any([lease, stop]),
      () => new Error('the lists took too long'),
    );
    try {
      await Promise.all(Object.values(informers).map((informer) => informer.relist(limited.signal)));
    } catch (error) {
      if (stop.aborted || lease.aborted) return;
      throw error;
    } finally {
      limited.dispose();
    }
    if (!anyReached(informers)) throw new Error('the API server forbids every namespace that is to be served');
    this.#metrics.leading(true);
    log.info('this replica works', { credentials: informers.credentials.size });
    const reconciler = this.#makeReconciler(client, recorder, informers);
    this.#reconciler = reconciler;
    const controller = new Controller({
      queue: this.#queue,
      workers: options.workers,
      reconcile: async (key, signal) =>
        // One that is not there (any more) is for the reconciler, which forgets it; it makes no call for that.
        allReach(informers, splitKey(key).namespace) || informers.credentials.get(key) === undefined
          ? await reconciler.reconcile(key, signal).catch(afterLoss)
          : { requeueAfterMs: OUT_OF_REACH_LOOK_MS },
      log,
      clock: this.#clock,
      random,
      metrics: this.#metrics.controller,
    });
    for (const credential of informers.credentials.list()) this.#queue.add(keyOf(credential));
    if (options.expectFences) {
      const isReached = (namespace: string): boolean => allReach(informers, namespace);
      const parts = { api: client, caches: informers, isReached, clock: this.#clock, log, metrics: this.#metrics };
      void new FenceProbe(parts).run(AbortSignal.any([lease, stop]));
    }
    const running = controller.run(lease);
    await Promise.race([running, aborted(stop)]);
    if (!lease.aborted) {
      await controller.drain(DRAIN_MS);
    }
    await Promise.race([running, sleep(this.#clock, FLUSH_MS, new AbortController().signal)]);
  }

  #makeReconciler(api: KubeApi, recorder: Recorder, informers: Informers): Reconciler {
    const { options, log } = this.#outside;
    const assertLeading = (): void => {
      if (!this.#isLeading()) throw new NotLeadingError('this replica does not hold the Lease any more');
    };
    const provider = this.#provider();
    const now = (): number => this.#clock.now();
    return new Reconciler({
      api,
      caches: informers,
      observer: new Observer({
        caches: informers,
        index: this.#index,
        api,
        allowedMetadataDomains: options.allowedMetadataDomains,
        checkEndpoint: (exchange) => void provider.endpoint(exchange),
      }),
      exchanger: new Exchanger({
        api,
        provider,
        limiter: this.#limiter,
        clusterName: options.clusterName,
        now,
        assertLeading,
      }),
      writer: new SecretWriter({ api, assertLeading, now }),
      marks: new WriteMarks(this.#clock),
      record: (regarding, { type, reason, action, note }) => recorder.record(regarding, { type, reason, action, note }),
      clock: this.#clock,
      settings: {
        requireConsent: options.requireConsent,
        minRefreshIntervalSeconds: options.minRefreshIntervalSeconds,
      },
      log,
      metrics: this.#metrics,
      assertLeading,
    });
  }

  #provider(): AnyCloud {
    const { options, random, stsTransport, apiServerAudiences } = this.#outside;
    return cloudProvider({
      transport: stsTransport,
      policy: { entries: options.stsEndpoints, apiServerAudiences },
      clock: this.#clock,
      clockOffsetMs: () => this.#clock.offsetMs(),
      random,
      onCall: (outcome) => this.#metrics.stsCall(outcome),
    });
  }

  #hasSynced(): boolean {
    const informers = this.#informers;
    return informers !== undefined && Object.values(informers).every((informer) => informer.hasSynced());
  }

  async #metricsText(): Promise<string> {
    const leads = this.#isLeading();
    const informers = this.#informers;
    return await this.#metrics.text({
      credentials: () =>
        leads
          ? reached({ ...informers }, informers?.credentials.list()).map((each) => sampleOf(each, this.#clock.now()))
          : [],
      limiter: () => this.#limiter.demand(),
      workQueue: this.#queue,
      clockOffsetSeconds: () => this.#clock.offsetMs() / 1000,
      namespacesOutOfReach: () => countOutOfReach({ ...informers }, informers?.credentials),
      processStats: this.#outside.processStats,
    });
  }
}
