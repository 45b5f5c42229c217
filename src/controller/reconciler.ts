// Promises: observe -> plan -> act -> status, for one key. Nothing due costs no call; a routine refresh costs three calls to
// the API server and one to STS. A failure leaves the Secret as it is. Level-based: a lost event costs time, not truth.
import type { ObjectMeta, ObjectReference } from '../api/meta.ts';
import { API_VERSION, type Cloud, KIND, PLURAL } from '../api/names.ts';
import { cloudOf, secretNameOf } from '../api/resolve.ts';
import type { WorkloadCredentialStatus } from '../api/types.gen.ts';
import { type Assessment, lastKnown } from '../credential/assessment.ts';
import { CredentialError } from '../credential/errors.ts';
import { failuresLike } from '../credential/failure-account.ts';
import type { Observed, Settings } from '../credential/observed.ts';
import { mayBeTaken, ownership } from '../credential/ownership.ts';
import { plan, type Plan } from '../credential/plan.ts';
import { parseTime } from '../credential/record.ts';
import { retryTimeMs } from '../credential/schedule.ts';
import { type NextStatus, nextStatus, type StatusEvent } from '../credential/status.ts';
import type { CallOptions, KubeApi } from '../kube/api.ts';
import type { WriteMarks } from '../kube/writes.ts';
import type { Clock } from '../runtime/clock.ts';
import type { ReconcileResult } from '../runtime/controller.ts';
import type { Log } from '../runtime/log.ts';
import { type Acted, Actor } from './actor.ts';
import type { Exchanger } from './exchanger.ts';
import { EarlyNews, type News } from './early-news.ts';
import { toCredentialError } from './failures.ts';
import { splitKey } from './mappers.ts';
import { KeyMemories } from './memories.ts';
import type { Caches, Observer, Sight } from './observe.ts';
import type { SecretWriter } from './secret-writer.ts';
import { writeStatus } from './status-writer.ts';
import { generationOf, memoryOfUntold, MOST_UNTOLD_WAIT_MS, withUntold } from './untold.ts';

/** What the reconciler tells metrics. */
export interface ReconcilerMetrics {
  /** One attempt that was over: `issued`, or the code of its failure. */
  refreshed(cloud: Cloud, result: string): void;
}

/** What a reconciler is made of. */
export interface ReconcilerOptions {
  readonly api: KubeApi;
  readonly caches: Caches;
  readonly observer: Observer;
  readonly exchanger: Exchanger;
  readonly writer: SecretWriter;
  readonly marks: WriteMarks;
  readonly record: (regarding: ObjectReference, event: StatusEvent & { readonly action: string }) => void;
  /** The corrected clock. */
  readonly clock: Clock;
  readonly settings: Settings;
  readonly log: Log;
  readonly metrics?: ReconcilerMetrics;
  /** A replica that has lost the Lease does not write; throws if so. */
  readonly assertLeading: () => void;
}

/** Looks within one reconcile: absence, then content, and once more after a race. */
const MAX_LOOKS = 4;
/** No wake-up is trusted for longer: a clock that was set is noticed within this time. Costs no call. */
const MAX_SLEEP_MS = 10 * 60_000;
/** After a status that could not be written; where it was refused, doubling. */
const STATUS_RETRY_MS = 5_000;
/** After the API server denied what the cache has: it may be wrong (a proxy's 404), and then no event comes. */
const LOOK_AGAIN_MS = 60_000;

/** Reconciles keys. */
export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #memories = new KeyMemories();
  /** Keys with news that wait until the caches have seen our last write. */
  readonly #deferred = new Set<string>();
  readonly #early = new EarlyNews();
  readonly #actor: Actor;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    const { exchanger, writer, marks, clock, settings, log, metrics } = options;
    this.#actor = new Actor({
      exchanger,
      writer,
      marks,
      memories: this.#memories,
      clock,
      settings,
      log,
      onIssued: (cloud) => metrics?.refreshed(cloud, 'issued'),
    });
  }

  /** How many keys something is remembered of beside objects: for leak tests. */
  get memorySize(): number {
    return this.#memories.size;
  }

  /**
   * Reconciles "namespace/name".
   * @throws only what nobody foresaw, the loss of the Lease, or the signal's reason.
   */
  async reconcile(key: string, signal: AbortSignal): Promise<ReconcileResult> {
    this.#early.begin(key);
    let kept: readonly News[] = [];
    let result: ReconcileResult;
    try {
      result = await this.#reconcile(key, signal);
    } finally {
      // After an error the queue comes back to the key anyway.
      kept = this.#early.end(key);
    }
    const { marks } = this.#options;
    const isNews = kept.some(({ type, at, resourceVersion }) => !marks.takeEcho(type, at, resourceVersion));
    return isNews ? { requeueAfterMs: 0 } : result;
  }

  async #reconcile(key: string, signal: AbortSignal): Promise<ReconcileResult> {
    const cached = this.#options.observer.cached(key);
    if (cached === undefined) {
      this.#memories.forget(key);
      this.#deferred.delete(key);
      return {};
    }
    const waitMs = this.#pendingMs(key, cached);
    if (waitMs !== undefined) {
      this.#deferred.add(key);
      return { requeueAfterMs: waitMs };
    }
    this.#deferred.delete(key);
    const decision = await this.#decide(key, cached, { signal });
    if (decision === undefined) {
      this.#memories.forget(key);
      return { requeueAfterMs: LOOK_AGAIN_MS };
    }
    const acted = await this.#act(key, decision, { signal });
    this.#rememberConflict(key, cached, acted);
    return acted === undefined ? {} : await this.#conclude(key, decision.observed, acted, { signal });
  }

  /**
   * Whether `key` need not be woken for an event: it is our own last write come back, from which nothing follows that was
   * not known when it was made; or the key is being worked on, and the end of that will tell.
   */
  isEcho(type: typeof PLURAL | 'secrets', key: string, { metadata }: { readonly metadata: ObjectMeta }): boolean {
    const at = `${metadata.namespace ?? ''}/${metadata.name}`;
    const { resourceVersion } = metadata;
    const isOurs = this.#options.marks.takeEcho(type, at, resourceVersion);
    return isOurs ? !this.#deferred.has(key) : this.#early.keep(key, { type, at, resourceVersion });
  }

  /** Read your writes: until the caches have seen what we wrote last, there is nothing to decide on. */
  #pendingMs(key: string, { credential }: Sight): number | undefined {
    const { marks, caches } = this.#options;
    const { namespace } = splitKey(key);
    const secretKey = `${namespace}/${secretNameOf(credential)}`;
    const states = [
      marks.state(PLURAL, key, {
        resourceVersion: caches.credentials.resourceVersion(namespace),
        uid: credential.metadata.uid,
      }),
      marks.state('secrets', secretKey, {
        resourceVersion: caches.secrets.resourceVersion(namespace),
        uid: caches.secrets.get(secretKey)?.metadata.uid,
      }),
    ];
    return states.includes('pending')
      ? Math.max(marks.staleInMs(PLURAL, key), marks.staleInMs('secrets', secretKey))
      : undefined;
  }

  /** Plans, looking closer as long as the plan asks for it; undefined when the resource is gone or going. */
  async #decide(key: string, cached: Sight, options: CallOptions): Promise<Decision | undefined> {
    const { observer } = this.#options;
    const memory = this.#memories.of(key, cached.credential.metadata.uid ?? '');
    let observed = observer.observe(cached, memory);
    try {
      let sight = await this.#unlessStale(key, cached, options);
      for (let looks = 0; sight !== undefined && looks < MAX_LOOKS; looks += 1) {
        observed = observer.observe(sight, memory);
        const decided = this.#plan(observed);
        if (decided.kind === 'look') {
          sight = await observer.look(sight, decided.at, options);
          continue;
        }
        const found = missesServiceAccount(decided, observed)
          ? await observer.lookForServiceAccount(sight, options)
          : undefined;
        if (found === undefined) {
          return { observed, decided };
        }
        sight = found;
      }
      if (sight === undefined) {
        return undefined;
      }
    } catch (error) {
      return { observed, failure: foreseen(error, options.signal) };
    }
    const message = 'The Secret changes faster than it can be read.';
    return { observed, failure: new CredentialError('KubernetesConflict', message) };
  }

  #plan(observed: Observed): Plan {
    const { settings, clock } = this.#options;
    const decided = plan(observed, settings, clock.now());
    return decided.kind === 'look' ? (this.#waitsForLimiter(observed, decided) ?? decided) : decided;
  }

  /** Who would have to wait for his turn at the STS anyway looks when it has come: a look is two calls. */
  #waitsForLimiter(
    { namespace, credential, resolved }: Observed,
    { beforeExchange }: Extract<Plan, { kind: 'look' }>,
  ): Extract<Plan, { kind: 'wait' }> | undefined {
    if (beforeExchange === undefined || resolved === undefined) {
      return undefined;
    }
    const { exchanger, clock } = this.#options;
    const waitMs = exchanger.refusedForMs({ namespace, name: credential.metadata.name, resolved });
    return waitMs === undefined
      ? undefined
      : { kind: 'wait', assessment: beforeExchange, wakeAtMs: clock.now() + waitMs, waitsFor: 'Turn' };
  }

  /** A cache that has not seen our last write for too long is not believed: the API server decides. */
  async #unlessStale(key: string, cached: Sight, options: CallOptions): Promise<Sight | undefined> {
    const { marks, observer } = this.#options;
    const { namespace } = splitKey(key);
    const secretKey = `${namespace}/${secretNameOf(cached.credential)}`;
    // What is left here is settled (and forgotten) or stale.
    if (!marks.has(PLURAL, key) && !marks.has('secrets', secretKey)) {
      return cached;
    }
    const live = await observer.look(cached, 'absence', options);
    marks.drop('secrets', secretKey);
    marks.drop(PLURAL, key);
    const resourceVersion = live?.credential.metadata.resourceVersion;
    if (resourceVersion !== undefined) {
      // Holds decisions back until the cache has seen what this look saw.
      marks.mark(PLURAL, key, resourceVersion);
    }
    return live;
  }

  /** Carries the decision out; undefined when there is nothing left to say, since the namespace goes. */
  async #act(key: string, decision: Decision, options: CallOptions): Promise<Acted | undefined> {
    const { observed } = decision;
    if (decision.decided === undefined) {
      const { settings, clock } = this.#options;
      return failed(decision.failure, lastKnown(observed, settings, clock.now()));
    }
    try {
      const acted = await this.#actor.act(key, observed, decision.decided, options);
      if (acted.outcome.kind === 'settled') {
        // A write whose answer was lost: what was held for it is in the Secret.
        this.#memories.remember(key, observed.uid, { held: undefined, untoldFailure: undefined });
      }
      return acted;
    } catch (error) {
      return failed(foreseen(error, options.signal), decision.decided.assessment);
    }
  }

  /** A Secret in the way that has our label is in the cache, which tells when it goes or changes: no back-off holds then. */
  #rememberConflict(key: string, { credential, secret }: Sight, acted: Acted | undefined): void {
    const isCached = secret.kind === 'cached';
    const outcome = acted?.outcome;
    const uid = credential.metadata.uid ?? '';
    if (isCached && outcome?.kind === 'waiting') {
      // After a restart the back-off holds before anything was looked at: it must not hold once the Secret goes.
      const mayBe = mayBeTaken(ownership(secret.metadata, { name: credential.metadata.name, uid }));
      this.#memories.remember(key, uid, mayBe ? {} : { conflictVersion: secret.metadata.resourceVersion });
      return;
    }
    const isConflict =
      outcome?.kind === 'failed' &&
      (outcome.error.code === 'SecretConflict' || outcome.error.code === 'SecretTerminating');
    const conflictVersion = isConflict && isCached ? secret.metadata.resourceVersion : undefined;
    this.#memories.remember(key, uid, { conflictVersion });
  }

  /** Writes the status that follows, says what there is to say, and tells when to look again. */
  async #conclude(key: string, observed: Observed, done: Acted, options: CallOptions): Promise<ReconcileResult> {
    const { api, clock, log, marks, assertLeading } = this.#options;
    const nowMs = clock.now();
    const { outcome, requested } = withUntold(observed, done.outcome);
    const acted: Acted = { ...done, outcome };
    assertLeading();
    try {
      const written = await writeStatus(
        api,
        observed.credential,
        (previous) =>
          nextStatus({
            previous,
            generation: generationOf(observed),
            cloud: cloudOf(observed.credential),
            secretName: secretNameOf(observed.credential),
            suspended: observed.resolved?.suspend ?? false,
            nowMs,
            assessment: acted.assessment,
            outcome,
            secretRef: acted.secretRef,
            identity: acted.identity,
            refreshRequested: requested,
            isForEnvironment: observed.resolved?.secret.formats.includes('Environment') ?? false,
          }),
        options,
      );
      this.#memories.remember(key, observed.uid, { untoldRefusals: undefined, untoldFailure: undefined });
      if (written === undefined) {
        return { requeueAfterMs: LOOK_AGAIN_MS };
      }
      if (written.resourceVersion !== undefined) {
        marks.mark(PLURAL, key, written.resourceVersion);
        this.#tell(observed, acted, written.next);
      }
      return this.#wake(key, observed, acted, written.next.status);
    } catch (error) {
      const failure = foreseen(error, options.signal);
      log.warn('the status could not be written', { key, reason: failure.code, detail: failure.message });
      return this.#afterUnwrittenStatus(key, observed, { ...done, failedAtMs: nowMs }, failure);
    }
  }

  /** A failed attempt that status cannot tell of is remembered here: its back-off holds all the same. */
  #afterUnwrittenStatus(
    key: string,
    observed: Observed,
    { outcome, assessment, wakeAtMs, failedAtMs }: Acted & { readonly failedAtMs: number },
    { retryAfterSeconds, disposition }: CredentialError,
  ): ReconcileResult {
    const nowMs = this.#options.clock.now();
    const memory = this.#memories.of(key, observed.uid);
    const { untoldRefusals: before = 0 } = memory;
    const isRefusal =
      disposition === 'forbidden' || (outcome.kind === 'failed' && outcome.error.disposition === 'forbidden');
    if (isRefusal) {
      this.#memories.remember(key, observed.uid, { untoldRefusals: before + 1 });
    }
    if (outcome.kind === 'failed') {
      const untold = { error: outcome.error, assessment, refusals: before, failedAtMs, nowMs };
      this.#memories.remember(key, observed.uid, memoryOfUntold(observed, memory, untold));
    }
    if (retryAfterSeconds !== undefined) {
      // However long the API server wants its peace, no credential expires for the sake of a status.
      return { requeueAfterMs: Math.min(MAX_SLEEP_MS, retryAfterSeconds * 1000) };
    }
    // One that is out is asked again soon; one that refuses may do so for a moment after its start, or for days.
    const doublings = disposition === 'forbidden' ? Math.min(before, 30) : 0;
    const statusMs = Math.min(MOST_UNTOLD_WAIT_MS, STATUS_RETRY_MS * 2 ** doublings);
    const { retryNotBefore } = this.#memories.of(key, observed.uid);
    const wishesMs = [wakeAtMs, retryNotBefore?.timeMs].filter((timeMs) => timeMs !== undefined && timeMs > nowMs);
    return { requeueAfterMs: Math.min(statusMs, ...wishesMs.map((timeMs = Infinity) => timeMs - nowMs)) };
  }

  #tell(observed: Observed, { outcome }: Acted, { isCounted, events }: NextStatus): void {
    const { log, metrics, record } = this.#options;
    const { namespace, uid, resolved } = observed;
    const { name } = observed.credential.metadata;
    // One that status tells of already is no news, though something else of status has changed.
    if (outcome.kind === 'failed' && isCounted) {
      const { code, message, cloudCode, requestID } = outcome.error;
      log.warn('an attempt failed', { namespace, name, reason: code, detail: message, cloudCode, requestID });
      if (resolved !== undefined) {
        metrics?.refreshed(resolved.exchange.cloud, code);
      }
    }
    for (const event of events) {
      record({ apiVersion: API_VERSION, kind: KIND, namespace, name, uid }, { ...event, action: 'Refresh' });
    }
  }

  /** The earliest of: the plan's wish, the next refresh, the end of the credential, the next retry. */
  #wake(key: string, observed: Observed, acted: Acted, status: WorkloadCredentialStatus): ReconcileResult {
    const nowMs = this.#options.clock.now();
    const { outcome, assessment } = acted;
    const isDone = outcome.kind === 'issued' || outcome.kind === 'settled';
    // A contest has a pace of its own, which the plan told; by that of other failures its time may be long past.
    const isRetried = outcome.kind === 'failed' && outcome.error.code !== 'SecretContested';
    const wishes = [
      acted.wakeAtMs,
      assessment.live ? assessment.record?.expirationTimeMs : undefined,
      isDone ? assessment.refreshTimeMs : undefined,
      isRetried ? this.#retryTime(key, observed, acted, { error: outcome.error, status }) : undefined,
    ].filter((timeMs) => timeMs !== undefined);
    return { requeueAfterMs: Math.min(MAX_SLEEP_MS, ...wishes.map((timeMs) => Math.max(0, timeMs - nowMs))) };
  }

  #retryTime(
    key: string,
    observed: Observed,
    { assessment }: Acted,
    { error, status }: { readonly error: CredentialError; readonly status: WorkloadCredentialStatus },
  ): number | undefined {
    const { retryAfterSeconds } = error;
    const retryMs = retryTimeMs({
      uid: observed.uid,
      code: error.code,
      failures: Math.max(1, failuresLike(error.code, status)),
      failureTimeMs: parseTime(status.lastFailure?.time) ?? this.#options.clock.now(),
      expirationTimeMs: assessment.record?.expirationTimeMs,
      retryAfterSeconds,
    });
    if (retryAfterSeconds !== undefined && retryMs !== undefined) {
      this.#memories.remember(key, observed.uid, { retryNotBefore: { timeMs: retryMs, isAskedFor: true } });
    }
    return retryMs;
  }
}

/** A plan to carry out, or why there is none. */
type Decision = { readonly observed: Observed } & (
  | { readonly decided: Exclude<Plan, { readonly kind: 'look' }> }
  | { readonly decided?: undefined; readonly failure: CredentialError }
);

/** Before a missing ServiceAccount is told for the first time, the API server is asked; later, its cache is enough. */
function missesServiceAccount(decided: Plan, { credential }: Observed): boolean {
  const code = 'ServiceAccountNotFound';
  const refusal = decided.kind === 'repair' ? decided.refusal : undefined;
  const error = decided.kind === 'refuse' ? decided.error : refusal;
  return error?.code === code && credential.status?.conditions?.some(({ reason }) => reason === code) !== true;
}

/** A namespace that is being deleted takes the resource with it: nothing is said or tried any more. */
function failed(error: CredentialError, assessment: Assessment): Acted | undefined {
  return error.code === 'NamespaceTerminating' ? undefined : { outcome: { kind: 'failed', error }, assessment };
}

/** Errors of the register pass; our own end passes as the signal's reason; what nobody foresaw is thrown on. */
function foreseen(error: unknown, signal: AbortSignal): CredentialError {
  if (signal.aborted) {
    throw signal.reason;
  }
  const known = toCredentialError(error);
  if (known === undefined) {
    throw error;
  }
  return known;
}
