// Promises: what a case works with: a namespace of its own on one server, calls that state the status they expect, and a
// transcript of every answer for the comparison. Knows nothing of the other server.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { GROUP, PLURAL, VERSION } from '../../src/api/names.ts';
import type { JSONValue, RawAnswer, RawClient, RawWatch } from './client.ts';
import { normalise } from './normalise.ts';
import type { Step } from './normalise.ts';

/** How a call differs from the administrator's JSON one. */
export interface CallOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** A bearer token, or `anonymous`. */
  readonly bearer?: string;
  /** The part of the answer's body that is compared. */
  readonly pick?: (body: JSONValue) => JSONValue;
  /** The part of any answer's body that is compared, also of a failure. */
  readonly show?: (body: JSONValue) => JSONValue;
  /** False: the call only sets the scene. */
  readonly record?: boolean;
}

/** One behaviour. */
export interface ConformanceCase {
  /** A sentence; also names the namespace and the recording. */
  readonly name: string;
  /** Asks, and asserts what the real server must answer, so that a mistake common to both cannot pass. */
  readonly run: (scene: Scene) => Promise<void>;
  /** It waits for a controller's timer: it starts first. */
  readonly slow?: boolean;
  /** Why the sandbox answers otherwise for now. The case fails when it no longer does. */
  readonly knownDifference?: string;
}

export const JSON_PATCH = 'application/json-patch+json';
export const MERGE_PATCH = 'application/merge-patch+json';
/** How long controllers may take, and watches. */
const SOON_MS = 20_000;
/** The collector of a real cluster looks for new kinds every 30 s. */
const NEW_KIND_MS = 70_000;

/** A watch that writes what it saw into the transcript. */
export class WatchSeen {
  readonly #raw: RawWatch;
  readonly #record: (events: readonly JSONValue[], answer: RawWatch) => void;
  #taken = 0;

  constructor(raw: RawWatch, record: (events: readonly JSONValue[], answer: RawWatch) => void) {
    this.#raw = raw;
    this.#record = record;
  }

  /** The next `count` events. @throws AssertionError when the stream ends before */
  async take(count: number): Promise<JSONValue[]> {
    await this.#raw.reach(this.#taken + count, SOON_MS);
    const events = this.#raw.lines.slice(this.#taken, this.#taken + count);
    this.#taken += count;
    this.#record(events, this.#raw);
    assert.equal(events.length, count, `the watch ended early: ${JSON.stringify(events)}`);
    return events;
  }

  /** Everything up to the first event that is wanted. */
  async until(wanted: (event: JSONValue) => boolean): Promise<JSONValue[]> {
    const from = this.#taken;
    for (;;) {
      await this.#raw.reach(this.#taken + 1, SOON_MS);
      const event = this.#raw.lines[this.#taken];
      if (event === undefined) break;
      this.#taken += 1;
      if (wanted(event)) break;
    }
    const events = this.#raw.lines.slice(from, this.#taken);
    this.#record(events, this.#raw);
    return events;
  }

  /** Everything until the server ends the stream. */
  async rest(withinMs = SOON_MS): Promise<JSONValue[]> {
    await this.#raw.reach(Number.MAX_SAFE_INTEGER, withinMs);
    const events = this.#raw.lines.slice(this.#taken);
    this.#taken = this.#raw.lines.length;
    this.#record(events, this.#raw);
    return events;
  }

  close(): void {
    this.#raw.close();
  }
}

export class Scene {
  readonly namespace: string;
  readonly client: RawClient;
  readonly steps: Step[] = [];
  readonly #watches: WatchSeen[] = [];

  constructor(client: RawClient, namespace: string) {
    this.client = client;
    this.namespace = namespace;
  }

  /** The transcript so far, comparable with another server's. */
  transcript(): Step[] {
    return normalise(this.steps, this.client.origin, Date.now());
  }

  close(): void {
    for (const watch of this.#watches) watch.close();
  }

  in(groupVersion: string, plural: string, name?: string): string {
    const root = groupVersion.includes('/') ? 'apis' : 'api';
    return `/${root}/${groupVersion}/namespaces/${this.namespace}/${plural}${name === undefined ? '' : `/${name}`}`;
  }

  secrets(name?: string): string {
    return this.in('v1', 'secrets', name);
  }

  configMaps(name?: string): string {
    return this.in('v1', 'configmaps', name);
  }

  accounts(name?: string): string {
    return this.in('v1', 'serviceaccounts', name);
  }

  leases(name?: string): string {
    return this.in('coordination.k8s.io/v1', 'leases', name);
  }

  roles(name?: string): string {
    return this.in('rbac.authorization.k8s.io/v1', 'roles', name);
  }

  coreEvents(name?: string): string {
    return this.in('v1', 'events', name);
  }

  newEvents(name?: string): string {
    return this.in('events.k8s.io/v1', 'events', name);
  }

  credentials(name?: string): string {
    return this.in(`${GROUP}/${VERSION}`, PLURAL, name);
  }

  /** Sends, records, and asserts the status. A body that is a text is sent as it is. */
  async send(
    method: string,
    path: string,
    status: number,
    options: CallOptions & { readonly body?: unknown } = {},
  ): Promise<RawAnswer> {
    const { body, headers, bearer, record = true } = options;
    const answer = await this.client.send({
      method,
      path,
      ...(headers === undefined ? {} : { headers }),
      ...(bearer === undefined ? {} : { bearer }),
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    if (record) this.#record(method, path, answer, options);
    assert.equal(answer.status, status, `${method} ${path}: ${JSON.stringify(answer.body)}`);
    return answer;
  }

  #record(method: string, path: string, answer: RawAnswer, { pick, show }: CallOptions): void {
    const wanted = show ?? (answer.status < 300 ? pick : undefined);
    const picked = wanted === undefined ? answer.body : wanted(answer.body);
    this.steps.push({ request: `${method} ${path}`, status: answer.status, headers: answer.headers, body: picked });
  }

  /** Sends and records, whatever the status: a table of requests that is compared as a whole. */
  async any(method: string, path: string, options: CallOptions & { readonly body?: unknown } = {}): Promise<RawAnswer> {
    const { body, headers, bearer } = options;
    const answer = await this.client.send({
      method,
      path,
      ...(headers === undefined ? {} : { headers }),
      ...(bearer === undefined ? {} : { bearer }),
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const shown = body === undefined ? '' : ` ${typeof body === 'string' ? body : JSON.stringify(body)}`;
    this.#record(method, `${path}${shown.slice(0, 200)}`, answer, options);
    return answer;
  }

  async get(path: string, status = 200, options: CallOptions = {}): Promise<JSONValue> {
    return (await this.send('GET', path, status, options)).body;
  }

  async post(path: string, body: unknown, status = 201, options: CallOptions = {}): Promise<JSONValue> {
    return (await this.send('POST', path, status, { ...options, body })).body;
  }

  async put(path: string, body: unknown, status = 200, options: CallOptions = {}): Promise<JSONValue> {
    return (await this.send('PUT', path, status, { ...options, body })).body;
  }

  async delete(path: string, body?: unknown, status = 200, options: CallOptions = {}): Promise<JSONValue> {
    return (await this.send('DELETE', path, status, { ...options, ...(body === undefined ? {} : { body }) })).body;
  }

  async patch(path: string, type: string, body: unknown, status = 200): Promise<JSONValue> {
    return (await this.send('PATCH', path, status, { body, headers: { 'content-type': type } })).body;
  }

  async merge(path: string, body: unknown, status = 200): Promise<JSONValue> {
    return await this.patch(path, MERGE_PATCH, body, status);
  }

  async jsonPatch(path: string, operations: unknown, status = 200): Promise<JSONValue> {
    return await this.patch(path, JSON_PATCH, operations, status);
  }

  /** A JSON patch that only sets the scene. */
  async jsonPatchSilently(path: string, operations: unknown): Promise<void> {
    await this.send('PATCH', path, 200, { body: operations, headers: { 'content-type': JSON_PATCH }, record: false });
  }

  /** Asks until the answer is the wanted one; only that one is recorded. @throws AssertionError after 20 s, or `withinMs` */
  async eventually(
    path: string,
    wanted: (answer: RawAnswer) => boolean,
    options: CallOptions & { readonly withinMs?: number } = {},
  ): Promise<JSONValue> {
    const deadline = Date.now() + (options.withinMs ?? SOON_MS);
    for (;;) {
      const { headers, bearer } = options;
      const more = { ...(headers === undefined ? {} : { headers }), ...(bearer === undefined ? {} : { bearer }) };
      const answer = await this.client.send({ method: 'GET', path, ...more });
      if (wanted(answer)) {
        if (options.record !== false) this.#record('GET', path, answer, options);
        return answer.body;
      }
      if (Date.now() > deadline) assert.fail(`GET ${path} never became what it should: ${JSON.stringify(answer.body)}`);
      await sleep(50);
    }
  }

  /** Waits for the collector, also for one that has yet to notice a new kind. */
  async gone(path: string): Promise<void> {
    await this.eventually(path, ({ status }) => status === 404, { withinMs: NEW_KIND_MS });
  }

  async watch(path: string, options: Pick<CallOptions, 'headers' | 'bearer'> = {}): Promise<WatchSeen> {
    const raw = await this.client.watch({ path, ...options });
    const watch = new WatchSeen(raw, (events, { status, headers }) => {
      this.steps.push({ request: `WATCH ${path}`, status, headers, events: [...events] });
    });
    this.#watches.push(watch);
    return watch;
  }

  /** A token of a ServiceAccount that is made for it. */
  async bearer(account: string): Promise<string> {
    const made = await this.client.send({
      method: 'POST',
      path: this.accounts(),
      body: JSON.stringify({ metadata: { name: account } }),
    });
    assert.ok([201, 409].includes(made.status), JSON.stringify(made.body));
    const answer = await this.client.send({
      method: 'POST',
      path: `${this.accounts(account)}/token`,
      body: JSON.stringify({ spec: { expirationSeconds: 3600 } }),
    });
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
    return answer.body.status.token as string;
  }
}

/** A case's namespace: its name as a DNS label, whole words as far as they go. */
export function namespaceOf(name: string): string {
  return name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, 60)
    .replaceAll(/^-+|-+$/g, '');
}

/** Runs one case on one server. `failure` is what it expected in vain. */
export async function runCase(
  { name, run }: ConformanceCase,
  client: RawClient,
): Promise<{ readonly transcript: Step[]; readonly failure: Error | undefined }> {
  const scene = new Scene(client, namespaceOf(name));
  const body = JSON.stringify({ metadata: { name: scene.namespace } });
  const made = await client.send({ method: 'POST', path: '/api/v1/namespaces', body });
  assert.equal(made.status, 201, `the namespace of "${name}": ${JSON.stringify(made.body)}`);
  let failure: Error | undefined;
  try {
    await run(scene);
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error));
  } finally {
    scene.close();
  }
  return { transcript: scene.transcript(), failure };
}
