// Promises: keeps one ObjectStore equal to one collection (of one namespace, or of all): paged list, then watch, for
// ever, whatever fails, until aborted. client-go's reflector is the model (client-go/tools/cache/reflector.go); client-
// node's informer stops at the first unexpected answer. A namespace that stays forbidden is out of reach, and holds up nobody
// who waits. May not know what the objects are.
import { Backoff } from '../runtime/backoff.ts';
import { type Clock, sleep } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Random } from '../runtime/random.ts';
import { call } from './call.ts';
import type { ApiServer } from './connection.ts';
import { KubeError } from './errors.ts';
import { deadlineError, fromTransport, fromWatchStatus, isRecord, malformedError, toStatusError } from './failures.ts';
import { readLines } from './json-lines.ts';
import { JSON_MEDIA_TYPE, PARTIAL_OBJECT_METADATA, PARTIAL_OBJECT_METADATA_LIST } from './media-types.ts';
import type { Entry, ObjectStore } from './object-store.ts';
import { Reach } from './reach.ts';
import type { TransportResponse } from '../transport/transport.ts';

/** How lists and watches went, for metrics. */
export interface InformerMetrics {
  observeList(resource: string, result: 'success' | 'error', durationSeconds: number): void;
  /** A watch ended: `closed` by the server, `expired` (410), `error`, or `relist` on our own wish. */
  countWatch(resource: string, result: 'closed' | 'expired' | 'error' | 'relist'): void;
  countEvent(resource: string, type: string): void;
}

/** What a Reflector needs. */
export interface ReflectorOptions<T> {
  readonly server: ApiServer;
  /** The collection, without a query. */
  readonly url: URL;
  /** The resource's plural, for logs, metrics and errors. */
  readonly resource: string;
  readonly namespace: string;
  readonly labelSelector: string | undefined;
  readonly metadataOnly: boolean;
  readonly store: ObjectStore<T>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: InformerMetrics | undefined;
  /** The first list is in the store, or the first after it was out of reach. */
  readonly onReached?: ((namespace: string) => void) | undefined;
}

/** client-go's page size (client-go/tools/pager/pager.go). */
const PAGE_LIMIT = 500;
/** A page of 500 objects; a longer one is asked for again in smaller pages. */
const MAX_PAGE_BYTES = 64 * 1024 * 1024;
const LIST_DEADLINE_MS = 60_000;
/** The head of a watch comes at once; the API server's own limit for it is 30 s (watch cache: 3 s). */
const WATCH_HEAD_DEADLINE_MS = 30_000;
/** The API server sends about one bookmark a minute: two lost ones and a half mean that the stream is dead. */
const WATCH_IDLE_MS = 150_000;
/** client-go asks 5 to 10 minutes (reflector.go, minWatchTimeout). */
const WATCH_TIMEOUT_SECONDS = 300;
const MAX_LINE_BYTES = 16 * 1024 * 1024;
/** A watch that lived this long was a good one, though nothing may have happened. */
const GOOD_WATCH_MS = 30_000;
/** 1 s to 30 s with the jitter taken off; client-go: 800 ms to 30 s, factor 2 (reflector.go, NewReflectorWithOptions). */
const BACKOFF = new Backoff({ initialMs: 1_250, factor: 2, maxMs: 30_000 });
/** After this many failures in a row the place in the stream is in doubt, and the list is made again. */
const FAILURES_UNTIL_RELIST = 3;

interface Page {
  readonly items: readonly unknown[];
  readonly resourceVersion: string;
  readonly continueToken: string;
}

interface RelistWaiter {
  resolve(): void;
  reject(reason: unknown): void;
}

export class Reflector<T> {
  readonly #options: ReflectorOptions<T>;
  readonly #onSettled: () => void;
  #resourceVersion: string | undefined;
  #mustList = true;
  /** Failures in a row, short empty watches included. */
  #failures = 0;
  #synced = false;
  readonly #reach: Reach;
  #stopped: { readonly reason: unknown } | undefined;
  /** undefined: the whole collection at once, after a continue token expired. */
  #pageLimit: number | undefined = PAGE_LIMIT;
  #step = new AbortController();
  #waiters = new Set<RelistWaiter>();

  /** @param onSettled called at the first list, and whenever the collection goes out of reach. */
  constructor(options: ReflectorOptions<T>, onSettled: () => void) {
    this.#options = options;
    this.#onSettled = onSettled;
    this.#reach = new Reach(options.namespace);
  }

  get hasSynced(): boolean {
    return this.#synced;
  }

  /** Whether the collection is of a namespace that the API server has forbidden for a while; the store is what it was. */
  get isOutOfReach(): boolean {
    return this.#reach.isLost;
  }

  /** The newest resourceVersion that the stream has shown, bookmarks included. */
  get resourceVersion(): string | undefined {
    return this.#resourceVersion;
  }

  /** Lists and watches until aborted; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const onAbort = (): void => this.#step.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    while (!signal.aborted) {
      this.#step = new AbortController();
      await this.#iterate(this.#step.signal);
    }
    signal.removeEventListener('abort', onAbort);
    this.#stopped = { reason: signal.reason };
    for (const waiter of this.#waiters) waiter.reject(signal.reason);
    this.#waiters.clear();
  }

  /**
   * Resolves when a list that began after this call is in the store, or once the collection is out of reach, whatever its
   * next list comes to; rejects with the signal's reason.
   */
  relist(signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter = { resolve, reject };
    const onAbort = (): void => {
      this.#waiters.delete(waiter);
      reject(signal.reason);
    };
    if (signal.aborted) reject(signal.reason);
    else if (this.#stopped !== undefined) reject(this.#stopped.reason);
    else {
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiters.add(waiter);
      this.#mustList = true;
      this.#step.abort(new Error('the list is to be made again'));
      if (this.#reach.isLost) this.#resolve([waiter]);
    }
    return promise.finally(() => signal.removeEventListener('abort', onAbort));
  }

  async #iterate(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    let delayMs: number;
    try {
      if (this.#mustList) await this.#list(signal);
      delayMs = await this.#watch(signal);
    } catch (error) {
      if (signal.aborted) return;
      delayMs = this.#afterFailure(error);
    }
    // The only rejection is the abort, which the loop sees by itself.
    if (delayMs > 0) await sleep(clock, delayMs, signal).catch(() => {});
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { clock, log, metrics, resource, namespace, store } = this.#options;
    const startMs = clock.monotonicMs();
    const waiting = [...this.#waiters];
    let result: 'success' | 'error' = 'error';
    let reached = false;
    try {
      const { entries, resourceVersion } = await this.#listPages(signal);
      result = 'success';
      this.#pageLimit = PAGE_LIMIT;
      this.#mustList = false;
      const isBack = this.#reach.noteAnswer();
      if (isBack) log.info('a namespace is within reach again', { resource, namespace });
      store.replace(entries);
      this.#resourceVersion = resourceVersion;
      if (isBack || !this.#synced) reached = true;
    } finally {
      if (!signal.aborted) metrics?.observeList(resource, result, (clock.monotonicMs() - startMs) / 1000);
    }
    if (!this.#synced) {
      this.#synced = true;
      this.#onSettled();
    }
    // What was passed over meanwhile may be unchanged, and then no event wakes it.
    if (reached) this.#options.onReached?.(namespace);
    this.#resolve(waiting);
  }

  #resolve(waiters: readonly RelistWaiter[]): void {
    for (const waiter of waiters) {
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
  }

  /**
   * A namespace is gone, as far as one can see. What is cached stays: of what was deleted the watch, which outlives Roles, has
   * told, so that what is left tells whether there may still be something.
   */
  #lose(problem: string): void {
    const { log, resource, namespace } = this.#options;
    log.warn('a namespace is out of reach, and is left alone until it is back; the others are served', {
      resource,
      namespace,
      problem,
      fix: 'Make the namespace and its Roles anew (helm upgrade), or take it out of --namespaces.',
    });
    this.#onSettled();
  }

  async #listPages(signal: AbortSignal): Promise<{ entries: Entry<T>[]; resourceVersion: string }> {
    const entries: Entry<T>[] = [];
    let continueToken = '';
    for (;;) {
      const page = await this.#listPage(continueToken, signal);
      for (const item of page.items) {
        const entry = this.#options.store.toEntry(item);
        if (entry !== undefined) entries.push(entry);
      }
      if (page.continueToken === '') return { entries, resourceVersion: page.resourceVersion };
      continueToken = page.continueToken;
    }
  }

  /** Without a resourceVersion: the answer comes from etcd, not from a cache that may lag (DESIGN: read your writes). */
  async #listPage(continueToken: string, signal: AbortSignal): Promise<Page> {
    const { server, clock, metadataOnly, resource } = this.#options;
    const query: Record<string, string> = {};
    if (this.#pageLimit !== undefined) query['limit'] = String(this.#pageLimit);
    if (continueToken !== '') query['continue'] = continueToken;
    try {
      const answer = await call(server, clock, {
        operation: `list ${resource}`,
        method: 'GET',
        url: this.#url(query),
        accept: metadataOnly ? PARTIAL_OBJECT_METADATA_LIST : JSON_MEDIA_TYPE,
        signal,
        secrets: () => [],
        deadlineMs: LIST_DEADLINE_MS,
        maxAnswerBytes: MAX_PAGE_BYTES,
      });
      return toPage(answer, resource);
    } catch (error) {
      this.#adaptPages(error, continueToken);
      throw error;
    }
  }

  #adaptPages(error: unknown, continueToken: string): void {
    if (!(error instanceof KubeError)) return;
    if (error.status === 410 && continueToken !== '') this.#pageLimit = undefined;
    if (error.kind === 'malformed' && error.reason === 'BODY_TOO_LARGE') {
      this.#pageLimit = Math.max(1, Math.floor((this.#pageLimit ?? PAGE_LIMIT) / 5));
    }
  }

  /** @returns how long to wait before the next watch. */
  async #watch(signal: AbortSignal): Promise<number> {
    const startMs = this.#options.clock.monotonicMs();
    const startVersion = this.#resourceVersion;
    const controller = new AbortController();
    const onAbort = (): void => controller.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    let good = false;
    try {
      signal.throwIfAborted();
      await this.#readEvents(await this.#openWatch(controller));
    } finally {
      signal.removeEventListener('abort', onAbort);
      if (signal.aborted) this.#count('relist');
      const livedMs = this.#options.clock.monotonicMs() - startMs;
      good = this.#resourceVersion !== startVersion || livedMs >= GOOD_WATCH_MS;
      if (good) this.#failures = 0;
      // Whatever ended the watch: its connection goes too.
      controller.abort(new Error('the watch has ended'));
    }
    this.#count('closed');
    // Closed at once with nothing new: a server that does this again and again must not be asked in a tight loop.
    return good ? 0 : this.#nextDelayMs();
  }

  async #openWatch(controller: AbortController): Promise<TransportResponse> {
    const { clock, server, metadataOnly, resource } = this.#options;
    const operation = `watch ${resource}`;
    const headTimer = clock.setTimer(WATCH_HEAD_DEADLINE_MS, () =>
      controller.abort(deadlineError(operation, WATCH_HEAD_DEADLINE_MS)),
    );
    try {
      const response = await server.send({
        method: 'GET',
        url: this.#url(this.#watchQuery()),
        headers: { accept: metadataOnly ? PARTIAL_OBJECT_METADATA : JSON_MEDIA_TYPE },
        signal: controller.signal,
        stream: { idleTimeoutMs: WATCH_IDLE_MS },
      });
      if (response.status !== 200) throw await toStatusError(response, operation, []);
      return response;
    } finally {
      headTimer.cancel();
    }
  }

  #watchQuery(): Record<string, string> {
    const timeoutSeconds = WATCH_TIMEOUT_SECONDS + Math.floor(this.#options.random.next() * WATCH_TIMEOUT_SECONDS);
    return {
      watch: 'true',
      allowWatchBookmarks: 'true',
      timeoutSeconds: String(timeoutSeconds),
      resourceVersion: this.#resourceVersion ?? '',
    };
  }

  async #readEvents(response: TransportResponse): Promise<void> {
    for await (const lines of readLines(response.body, MAX_LINE_BYTES)) {
      for (const line of lines) this.#takeEvent(line);
    }
  }

  #takeEvent(line: string): void {
    const { metrics, resource, store } = this.#options;
    const { type, object } = parseEvent(line, resource);
    metrics?.countEvent(resource, type);
    if (type === 'ERROR') throw fromWatchStatus(object, `watch ${resource}`);
    const resourceVersion = readVersion(object, resource);
    if (type !== 'BOOKMARK') {
      const entry = store.toEntry(object);
      if (entry !== undefined && type === 'DELETED') store.remove(entry);
      else if (entry !== undefined) store.upsert(entry);
    }
    this.#resourceVersion = resourceVersion;
  }

  /** @returns how long to wait before the next try. */
  #afterFailure(error: unknown): number {
    const { log, resource, namespace } = this.#options;
    const failure = fromTransport(error, `list or watch ${resource}`);
    const expired = isExpired(failure);
    this.#count(expired ? 'expired' : 'error');
    const first = this.#failures === 0;
    const usualMs = Math.max(this.#nextDelayMs(), serverWishMs(failure));
    if (expired || isBrokenOff(failure) || this.#failures % FAILURES_UNTIL_RELIST === 0) this.#mustList = true;
    if (this.#isLostBy(failure)) return usualMs;
    // Nothing is left to wait for unless this was a refusal, so that the wish of a server is kept.
    const delayMs = Math.min(usualMs, this.#reach.leftMs(this.#options.clock.monotonicMs()));
    if (expired && first) {
      log.info('a watch is too old to go on; the list is made again', { resource, namespace });
      return 0;
    }
    const problem =
      failure instanceof KubeError ? failure.message : failure instanceof Error ? failure.name : 'unknown';
    log.warn('list or watch failed and is tried again', { resource, namespace, problem, delayMs: Math.round(delayMs) });
    return delayMs;
  }

  /** Whether the collection is out of reach now; whoever waits for a list is told when it becomes so. */
  #isLostBy(failure: unknown): boolean {
    if (!this.#reach.concerns(failure)) {
      this.#reach.noteOther();
      return false;
    }
    // Of a watch, too: the list decides.
    this.#mustList = true;
    if (this.#reach.noteForbidden(this.#options.clock.monotonicMs())) {
      this.#lose(failure.message);
      this.#resolve([...this.#waiters]);
    }
    return this.#reach.isLost;
  }

  #nextDelayMs(): number {
    this.#failures += 1;
    return BACKOFF.jitteredMs(this.#failures, this.#options.random);
  }

  #count(result: 'closed' | 'expired' | 'error' | 'relist'): void {
    this.#options.metrics?.countWatch(this.#options.resource, result);
  }

  #url(query: Readonly<Record<string, string>>): URL {
    const url = new URL(this.#options.url);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    if (this.#options.labelSelector !== undefined) url.searchParams.set('labelSelector', this.#options.labelSelector);
    return url;
  }
}

function toPage(answer: unknown, resource: string): Page {
  const list = isRecord(answer) ? answer : {};
  const metadata = isRecord(list['metadata']) ? list['metadata'] : {};
  const { resourceVersion, continue: continueToken } = metadata;
  // Go writes an empty list as null.
  const items = list['items'] ?? [];
  if (typeof resourceVersion !== 'string' || resourceVersion === '' || !Array.isArray(items)) {
    throw malformedError(`list ${resource}`, 'the answer is not a list with metadata.resourceVersion');
  }
  return { items, resourceVersion, continueToken: typeof continueToken === 'string' ? continueToken : '' };
}

function parseEvent(line: string, resource: string): { type: string; object: unknown } {
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch {
    throw malformedError(`watch ${resource}`, 'a line is not JSON');
  }
  const type = isRecord(event) ? event['type'] : undefined;
  if (!isRecord(event) || typeof type !== 'string' || !/^(ADDED|MODIFIED|DELETED|BOOKMARK|ERROR)$/.test(type)) {
    throw malformedError(`watch ${resource}`, 'a line is not a watch event');
  }
  return { type, object: event['object'] };
}

function readVersion(object: unknown, resource: string): string {
  const metadata = isRecord(object) ? object['metadata'] : undefined;
  const resourceVersion = isRecord(metadata) ? metadata['resourceVersion'] : undefined;
  if (typeof resourceVersion !== 'string' || resourceVersion === '') {
    throw malformedError(`watch ${resource}`, 'an event has no metadata.resourceVersion');
  }
  return resourceVersion;
}

/** The place in the stream is gone: compacted (410), or in the future of a restored etcd (504 with its own cause). */
function isExpired(error: unknown): boolean {
  if (!(error instanceof KubeError)) return false;
  if (error.status === 410 || error.reason === 'Expired' || error.reason === 'Gone') return true;
  return error.causes.some((cause) => cause.reason === 'ResourceVersionTooLarge');
}

/**
 * The connection broke or fell silent, so the API server may have been restarted on an older etcd: a watch from a place in
 * its future is taken by kube-apiserver without an error, and then shows nothing, not even bookmarks. client-go goes on
 * from there to spare the server lists of many controllers; we are one, with three lists.
 */
function isBrokenOff(error: unknown): boolean {
  return error instanceof KubeError && (error.kind === 'network' || error.kind === 'timeout');
}

/** Retry-After of 429 and 5xx, believed up to two minutes. */
function serverWishMs(error: unknown): number {
  if (!(error instanceof KubeError) || (error.status !== 429 && error.status < 500)) return 0;
  return Math.min(error.retryAfterSeconds ?? 0, 120) * 1000;
}
