// Promises: Events (events.k8s.io/v1) about our resources, without ever throwing, blocking or growing without bound.
// What repeats becomes a series, what floods is dropped, as client-go does in tools/events/event_broadcaster.go and
// tools/record/events_cache.go. May not be given a secret: notes are read by everybody in the namespace.
import type { KubeEvent, ObjectReference } from '../api/meta.ts';
import { type Clock, sleep, type Timer } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Random } from '../runtime/random.ts';
import type { EventApi } from './api.ts';
import { KubeError } from './errors.ts';
import { EventBuckets } from './event-buckets.ts';

/** What happened. */
export interface EventNews {
  readonly type: 'Normal' | 'Warning';
  /** CamelCase, at most 128 characters. */
  readonly reason: string;
  /** What the operator did or tried, CamelCase, at most 128 characters. */
  readonly action: string;
  /** A sentence for people; cut to 1,024 bytes. */
  readonly note: string;
}

/** What a Recorder needs. */
export interface RecorderOptions {
  readonly events: EventApi;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Such as `workloadcredentials.io/operator`. */
  readonly reportingController: string;
  /** Such as the pod's name. */
  readonly reportingInstance: string;
  /** Told of each event: sent, or dropped because of its rate, a full queue or the API server. */
  readonly onResult?: (result: 'sent' | 'dropped') => void;
}

/** event_broadcaster.go, finishTime: a series that was not seen for so long has ended. */
const SERIES_MS = 6 * 60_000;
/** event_broadcaster.go, refreshTime: a series that goes on is written this often, so that its Event does not expire. */
const REFRESH_MS = 30 * 60_000;
/** How often ended series are looked for. */
const SWEEP_MS = 60_000;
/** Memory bounds: series, and events that wait to be sent. */
const MAX_SERIES = 4_096;
const MAX_WAITING = 1_024;
/** Tries per event, with this pause; client-go tries 12 times with 10 s, for events that matter to a scheduler. */
const MAX_TRIES = 3;
const RETRY_MS = 2_000;
const MAX_RETRY_MS = 30_000;
/** ValidateEventCreate in pkg/apis/core/validation/events.go: NoteLengthLimit, in bytes. */
const MAX_NOTE_BYTES = 1_024;
/** Events are named like their object; 253 is the longest name, less a point and 16 hex digits. */
const MAX_NAME_CHARS = 253 - 17;

interface Series {
  readonly event: KubeEvent;
  /** How often it was seen, the first time included. */
  count: number;
  lastObservedMs: number;
  /** What the API server was last told. */
  writtenCount: number;
  writtenAtMs: number;
  /** Whether it waits to be sent; it is sent as it is then. */
  waiting: boolean;
  /** Whether the Event exists in the API server. */
  created: boolean;
}

/** RFC 3339 with exactly six fraction digits: the API server refuses any other number of them. */
export function toMicroTime(epochMs: number): string {
  return new Date(epochMs).toISOString().replace('Z', '000Z');
}

function cutNote(note: string): string {
  const bytes = Buffer.from(note, 'utf8');
  if (bytes.byteLength <= MAX_NOTE_BYTES) return note;
  let end = MAX_NOTE_BYTES;
  // Bytes of the form 10xxxxxx continue a character: step back to where one begins.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.subarray(0, end).toString('utf8');
}

function seriesKey(regarding: ObjectReference, news: EventNews): string {
  return JSON.stringify([objectId(regarding), news.type, news.reason, news.action, news.note]);
}

function objectId(regarding: ObjectReference): string {
  return `${regarding.kind} ${regarding.namespace}/${regarding.name} ${regarding.uid}`;
}

/** Whether the same call may succeed a little later. */
function isTransient(error: unknown): boolean {
  if (!(error instanceof KubeError)) return false;
  return error.kind === 'network' || error.kind === 'timeout' || error.status === 429 || error.status >= 500;
}

export class Recorder {
  readonly #options: RecorderOptions;
  readonly #buckets: EventBuckets;
  /** In the order of the last sighting, so that the first is the one to give up when there are too many. */
  readonly #series = new Map<string, Series>();
  readonly #waiting: Series[] = [];
  readonly #stop = new AbortController();
  #sending: Promise<void> | undefined;
  #sweep: Timer | undefined;

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#buckets = new EventBuckets(options.clock);
  }

  /** Records what happened to `regarding`. Returns at once; failures are logged. */
  record(regarding: ObjectReference, news: EventNews): void {
    if (this.#stop.signal.aborted) return;
    const { clock } = this.#options;
    const key = seriesKey(regarding, news);
    const known = this.#series.get(key);
    if (known !== undefined && clock.now() - known.lastObservedMs < SERIES_MS) {
      this.#observeAgain(key, known);
      return;
    }
    if (!this.#buckets.take(objectId(regarding))) {
      this.#drop('an event was dropped: its object has too many', regarding.namespace, regarding.name);
      return;
    }
    if (known !== undefined) this.#finish(known);
    const series = this.#begin(regarding, news);
    this.#series.delete(key);
    this.#series.set(key, series);
    this.#bound();
    this.#enqueue(series);
    this.#armSweep();
  }

  /**
   * Writes what waits and what series have counted, then takes no more events. Never rejects; an abort gives up the rest.
   */
  async flush(signal: AbortSignal): Promise<void> {
    this.#sweep?.cancel();
    for (const series of this.#series.values()) this.#finish(series);
    this.#series.clear();
    const onAbort = (): void => this.#stop.abort(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    await this.#sending;
    signal.removeEventListener('abort', onAbort);
    this.#stop.abort(new Error('the recorder has stopped'));
  }

  /** The second sighting is told at once, so that the Event shows that it repeats; further ones are only counted. */
  #observeAgain(key: string, series: Series): void {
    const nowMs = this.#options.clock.now();
    series.count += 1;
    series.lastObservedMs = nowMs;
    this.#series.delete(key);
    this.#series.set(key, series);
    if (series.writtenCount <= 1 || nowMs - series.writtenAtMs >= REFRESH_MS) this.#enqueue(series);
  }

  #begin(regarding: ObjectReference, news: EventNews): Series {
    const { clock, reportingController, reportingInstance } = this.#options;
    const nowMs = clock.now();
    const event: KubeEvent = {
      metadata: { name: this.#eventName(regarding.name, nowMs), namespace: regarding.namespace },
      eventTime: toMicroTime(nowMs),
      reportingController,
      reportingInstance: reportingInstance.slice(0, 128),
      action: news.action.slice(0, 128),
      reason: news.reason.slice(0, 128),
      regarding,
      note: cutNote(news.note),
      type: news.type,
    };
    const counts = { count: 1, lastObservedMs: nowMs, writtenCount: 0, writtenAtMs: nowMs };
    return { event, ...counts, waiting: false, created: false };
  }

  /** `<object>.<16 hex digits>`: time, so that names sort, and chance, so that two replicas do not collide. */
  #eventName(objectName: string, nowMs: number): string {
    const time = nowMs.toString(16).padStart(11, '0').slice(-11);
    const chance = Math.floor(this.#options.random.next() * 0x100000)
      .toString(16)
      .padStart(5, '0');
    // A name part may not end in a point or hyphen, which the cut can leave.
    return `${objectName.slice(0, MAX_NAME_CHARS).replace(/[.-]+$/, '')}.${time}${chance}`;
  }

  /** The last count of a series that has ended. */
  #finish(series: Series): void {
    if (series.count > Math.max(1, series.writtenCount)) this.#enqueue(series);
  }

  #bound(): void {
    if (this.#series.size <= MAX_SERIES) return;
    const oldest = this.#series.entries().next();
    if (oldest.done === true) return;
    this.#series.delete(oldest.value[0]);
    this.#finish(oldest.value[1]);
  }

  #armSweep(): void {
    this.#sweep ??= this.#options.clock.setTimer(SWEEP_MS, () => {
      this.#sweep = undefined;
      const nowMs = this.#options.clock.now();
      for (const [key, series] of this.#series) {
        if (nowMs - series.lastObservedMs < SERIES_MS) continue;
        this.#series.delete(key);
        this.#finish(series);
      }
      if (this.#series.size > 0) this.#armSweep();
    });
  }

  #enqueue(series: Series): void {
    if (series.waiting) return;
    if (this.#waiting.length >= MAX_WAITING) {
      this.#drop(
        'an event was dropped: too many wait to be sent',
        series.event.regarding.namespace,
        series.event.reason,
      );
      return;
    }
    series.waiting = true;
    this.#waiting.push(series);
    this.#sending ??= this.#sendAll().finally(() => {
      this.#sending = undefined;
    });
  }

  /** One at a time, in order: a series is created before it is patched. */
  async #sendAll(): Promise<void> {
    for (let series = this.#waiting.shift(); series !== undefined; series = this.#waiting.shift()) {
      series.waiting = false;
      if (!this.#stop.signal.aborted) await this.#sendOne(series);
    }
  }

  async #sendOne(series: Series): Promise<void> {
    const { log } = this.#options;
    for (let tries = 1; ; tries += 1) {
      try {
        await this.#write(series);
        this.#options.onResult?.('sent');
        return;
      } catch (error) {
        const { namespace, name } = series.event.regarding;
        const again = isTransient(error) && tries < MAX_TRIES && (await this.#pause(error));
        if (again) continue;
        this.#options.onResult?.('dropped');
        const problem = error instanceof KubeError ? error.message : error instanceof Error ? error.name : 'unknown';
        log.debug('an event could not be written', { namespace, name, reason: series.event.reason, problem });
        return;
      }
    }
  }

  /** @returns false when there is no time left. */
  async #pause(error: unknown): Promise<boolean> {
    const wishMs = error instanceof KubeError ? (error.retryAfterSeconds ?? 0) * 1000 : 0;
    const delayMs = Math.min(MAX_RETRY_MS, Math.max(RETRY_MS, wishMs));
    return sleep(this.#options.clock, delayMs, this.#stop.signal).then(
      () => true,
      () => false,
    );
  }

  async #write(series: Series): Promise<void> {
    const { events, clock } = this.#options;
    const options = { signal: this.#stop.signal };
    const { event, count } = series;
    const { name, namespace = '' } = event.metadata;
    const repeated = { series: { count, lastObservedTime: toMicroTime(series.lastObservedMs) } };
    if (series.created) {
      try {
        await events.patchEvent({ namespace, name }, repeated, options);
      } catch (error) {
        // The Event's time to live (1 h by default) has passed: it begins anew.
        if (!(error instanceof KubeError) || error.status !== 404) throw error;
        await events.createEvent(namespace, { ...event, ...repeated }, options);
      }
    } else {
      await this.#create(count > 1 ? { ...event, ...repeated } : event);
    }
    series.created = true;
    series.writtenCount = count;
    series.writtenAtMs = clock.now();
  }

  async #create(event: KubeEvent): Promise<void> {
    try {
      await this.#options.events.createEvent(event.metadata.namespace ?? '', event, { signal: this.#stop.signal });
    } catch (error) {
      // Our own create whose answer was lost: names are made once per series.
      if (!(error instanceof KubeError) || error.reason !== 'AlreadyExists') throw error;
    }
  }

  #drop(message: string, namespace: string, about: string): void {
    this.#options.onResult?.('dropped');
    this.#options.log.debug(message, { namespace, about });
  }
}
