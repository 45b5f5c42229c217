// Promises: watches: the state or the history first, then every change in order, bookmarks, an end at timeoutSeconds, 410
// for a start that is no longer known. A slow reader costs memory, never an event.
import type { ServerEnvironment } from '../http.ts';
import { parseRevision, waitForRevision } from './lists.ts';
import type { Shape } from './negotiation.ts';
import { showObject } from './representation.ts';
import { eventFromStored, eventToStored } from './events.ts';
import { EVENTS, groupVersion } from './resources.ts';
import type { ResourceType } from './resources.ts';
import type { Selector } from './selectors.ts';
import { expired, StatusError } from './status.ts';
import type { Change, KubeObject, Store } from './store.ts';

/** What to watch. */
export interface WatchRequest {
  readonly type: ResourceType;
  readonly shape: Shape;
  readonly namespace: string | undefined;
  readonly selector: Selector;
  readonly query: URLSearchParams;
  readonly signal: AbortSignal;
}

/** Lines that come as they come. */
class LineStream implements AsyncIterable<string> {
  readonly #lines: string[] = [];
  #wake: (() => void) | undefined;
  #ended = false;

  push(value: object): void {
    this.#lines.push(`${JSON.stringify(value)}\n`);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string> {
    for (;;) {
      if (this.#lines.length > 0) yield this.#lines.splice(0).join('');
      else if (this.#ended) return;
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}

/** What Go writes of an object of a kind in which nothing is set. */
const EMPTY_OBJECTS: Readonly<Record<string, object>> = {
  Role: { rules: null },
  ClusterRole: { rules: null },
  Lease: { spec: {} },
  Namespace: { spec: {}, status: {} },
  RoleBinding: { roleRef: { apiGroup: '', kind: '', name: '' } },
  ClusterRoleBinding: { roleRef: { apiGroup: '', kind: '', name: '' } },
  Pod: { spec: { containers: null }, status: {} },
  Deployment: {
    spec: { replicas: 0, selector: null, strategy: {}, template: { metadata: {}, spec: { containers: null } } },
    status: {},
  },
};

function emptyObject(type: ResourceType): object {
  if (type.collection !== EVENTS) return EMPTY_OBJECTS[type.kind] ?? {};
  const fields = { apiVersion: '', kind: '', metadata: {} } as KubeObject;
  const {
    apiVersion: _apiVersion,
    kind: _kind,
    metadata: _metadata,
    ...rest
  } = eventFromStored(
    type,
    eventToStored(type, { ...fields, [type.group === '' ? 'involvedObject' : 'regarding']: {} }),
  );
  return rest;
}

/** One open watch. */
class Watch {
  readonly stream = new LineStream();
  readonly #request: WatchRequest;
  readonly #store: Store;
  readonly #env: ServerEnvironment;
  #columnsSent = false;
  /** Changes up to this revision are not shown: a client may start in the future. */
  #after = 0;

  constructor(request: WatchRequest, store: Store, env: ServerEnvironment) {
    this.#request = request;
    this.#store = store;
    this.#env = env;
  }

  /** Sends what the client asked to start from; false when there is nothing to follow. */
  begin(): boolean {
    const { type, namespace, selector, query } = this.#request;
    const version = query.get('resourceVersion') ?? '';
    const wish = query.get('sendInitialEvents');
    const initial = wish === 'true';
    if ((version === '' || version === '0') && wish === 'false') return true;
    if (version === '' || version === '0' || initial) {
      for (const object of this.#store.list(type.collection, namespace)) {
        if (selector(object)) this.#send('ADDED', object);
      }
      // The real server marks the end also for watches from "0" or from nothing, once bookmarks are allowed.
      if (query.get('allowWatchBookmarks') === 'true') this.bookmark(true);
      return true;
    }
    const from = parseRevision(version);
    this.#after = from;
    const changes = this.#store.since(type.collection, from);
    if (changes === undefined) {
      const oldest = this.#store.oldest(type.collection);
      this.stream.push({ type: 'ERROR', object: expired(`too old resource version: ${from} (${oldest})`).status });
      return false;
    }
    for (const change of changes) this.follow(change);
    return true;
  }

  /** What selected before counts: an object whose labels no longer match is DELETED for this client. */
  follow(change: Change): void {
    const { type, namespace, selector } = this.#request;
    if (change.collection !== type.collection || change.revision <= this.#after) return;
    if (namespace !== undefined && change.object.metadata.namespace !== namespace) return;
    const before = change.previous !== undefined && selector(change.previous);
    const after = change.type !== 'DELETED' && selector(change.object);
    if (after) this.#send(before ? 'MODIFIED' : 'ADDED', change.object);
    else if (before) this.#send('DELETED', lastSeen(change));
  }

  bookmark(initialEventsEnd: boolean): void {
    const { type, shape } = this.#request;
    const metadata = {
      resourceVersion: String(this.#store.revision),
      ...(initialEventsEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
    };
    const isPartial = shape === 'PartialObjectMetadata';
    const [kind, apiVersion] = isPartial ? [shape, 'meta.k8s.io/v1'] : [type.kind, groupVersion(type)];
    const empty = isPartial ? {} : emptyObject(type);
    this.stream.push({ type: 'BOOKMARK', object: { kind, apiVersion, metadata, ...empty } });
  }

  #send(eventType: Change['type'], object: KubeObject): void {
    const { type, shape, query } = this.#request;
    const includeObject = query.get('includeObject') ?? undefined;
    const shown = showObject(type, { shape, nowMs: this.#env.clock.now(), includeObject }, object);
    const plain = shape !== 'Table' || !this.#columnsSent;
    this.#columnsSent = true;
    this.stream.push({ type: eventType, object: plain ? shown : { ...shown, columnDefinitions: null } });
  }
}

function lastSeen(change: Change): KubeObject {
  if (change.type === 'DELETED' || change.previous === undefined) return change.object;
  const { previous } = change;
  return { ...previous, metadata: { ...previous.metadata, resourceVersion: String(change.revision) } };
}

/** @throws StatusError 500: a watch that cannot be begun is the real server's own failure */
function watchRevision(text: string): number {
  try {
    return parseRevision(text);
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    throw new StatusError(500, undefined, error.status.message.replace(/^invalid resource version: /, ''));
  }
}

/** Initial events "not older than" a version that never comes: an ERROR event after the server's patience. */
async function beginLater(
  watch: Watch,
  wanted: { version: number; request: WatchRequest; store: Store; env: ServerEnvironment },
): Promise<void> {
  const { version, request, store, env } = wanted;
  try {
    await waitForRevision(version, store, env, request.signal);
    watch.begin();
  } catch (error) {
    if (error instanceof StatusError) watch.stream.push({ type: 'ERROR', object: error.status });
  }
  // Even when the version has come: the client watches again from there.
  watch.stream.end();
}

/**
 * Opens a watch; its body ends with the client, or after timeoutSeconds (the real default: 30 to 60 minutes).
 * @throws StatusError 422 or 500
 */
export function openWatch(
  request: WatchRequest,
  store: Store,
  env: ServerEnvironment,
  bookmarkIntervalMs: number,
): AsyncIterable<string> {
  const version = watchRevision(request.query.get('resourceVersion') || '0');
  const watch = new Watch(request, store, env);
  if (request.query.get('sendInitialEvents') === 'true' && version > store.revision) {
    void beginLater(watch, { version, request, store, env });
    return watch.stream;
  }
  if (!watch.begin()) {
    watch.stream.end();
    return watch.stream;
  }
  const unsubscribe = store.subscribe((change) => watch.follow(change));
  const timeoutSeconds = Number(request.query.get('timeoutSeconds')) || 1800 * (1 + env.random.next());
  const end = (): void => {
    unsubscribe();
    timeout.cancel();
    nextBookmark.cancel();
    request.signal.removeEventListener('abort', end);
    watch.stream.end();
  };
  const timeout = env.clock.setTimer(timeoutSeconds * 1000, end);
  const beat = (): void => {
    if (request.query.get('allowWatchBookmarks') === 'true') watch.bookmark(false);
    nextBookmark = env.clock.setTimer(bookmarkIntervalMs, beat);
  };
  let nextBookmark = env.clock.setTimer(bookmarkIntervalMs, beat);
  request.signal.addEventListener('abort', end, { once: true });
  // A client that was gone before this began tells nothing any more, and the timers would outlive the server.
  if (request.signal.aborted) end();
  return watch.stream;
}
