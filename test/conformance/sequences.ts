// Promises: a random sequence of operations on a handful of objects, the same for the same seed, run on one server with
// watches open; its transcript is compared with another server's. Versions and uids are named by when they were seen.
import { createHash } from 'node:crypto';
import { SeededRandom } from '../support/fake-random.ts';
import { credential, lease, ONE, secret, TWO } from './cases/samples.ts';
import type { JSONValue, RawClient } from './client.ts';
import { JSON_PATCH, MERGE_PATCH, Scene } from './scene.ts';
import type { WatchSeen } from './scene.ts';
import type { Step } from './normalise.ts';

const KINDS = ['secrets', 'credentials', 'leases', 'roles'] as const;
type Kind = (typeof KINDS)[number];
const NAMES = ['a', 'b', 'c'];
/** Selects the marker that ends the watches. */
const PARTIAL = { accept: 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io' };
const END = 'zz-end';

/** One call, with versions still open. */
interface Operation {
  readonly method: string;
  readonly kind: Kind;
  readonly name: string;
  readonly path: string;
  readonly contentType?: string;
  /** Made when the versions that this server gave are known. */
  readonly body?: (memory: Memory) => unknown;
}

interface Identity {
  readonly uid: string;
  readonly resourceVersion: string;
}

/** What a server has told of one object. */
class Memory {
  readonly #seen: readonly Identity[];

  constructor(seen: readonly Identity[] = []) {
    this.#seen = seen;
  }

  /** With what an answer tells. */
  after(body: JSONValue): Memory {
    const { uid, resourceVersion } = body?.metadata ?? {};
    const known = typeof uid === 'string' && typeof resourceVersion === 'string';
    return known ? new Memory([...this.#seen, { uid, resourceVersion }]) : this;
  }

  /** The same with words for what is each server's own. */
  inWords(): Memory {
    const words = (which: string): Identity => ({ uid: `<${which} uid>`, resourceVersion: `<${which} version>` });
    if (this.#seen.length === 0) return this;
    return this.#seen.length === 1 ? new Memory([words('only')]) : new Memory([words('stale'), words('current')]);
  }

  /** `current`, `stale` (the first one seen), or nothing. */
  version(which: string): { resourceVersion?: string } {
    const found = which === 'current' ? this.#seen.at(-1) : which === 'stale' ? this.#seen[0] : undefined;
    return found === undefined ? {} : { resourceVersion: found.resourceVersion };
  }

  uid(which: string): { uid?: string } {
    const found = which === 'current' ? this.#seen.at(-1) : which === 'stale' ? this.#seen[0] : undefined;
    return found === undefined ? {} : { uid: found.uid };
  }
}

/** Chooses. */
class Chooser {
  readonly #random: SeededRandom;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  one<T>(...values: readonly T[]): T {
    return values[Math.floor(this.#random.next() * values.length)] as T;
  }

  chance(probability: number): boolean {
    return this.#random.next() < probability;
  }
}

function rule(verb: string): object {
  return { apiGroups: [''], resources: ['secrets'], verbs: [verb] };
}

function fresh(kind: Kind, name: string, choose: Chooser): Record<string, unknown> {
  const labels = choose.one<object | undefined>(undefined, { in: 'yes' }, { in: 'no', other: 'x' });
  const finalizers = choose.chance(0.15) ? ['example.com/hold'] : undefined;
  const metadata = {
    name,
    ...(labels === undefined ? {} : { labels }),
    ...(finalizers === undefined ? {} : { finalizers }),
  };
  if (kind === 'secrets') {
    const more = choose.chance(0.1) ? { immutable: true } : {};
    return secret(name, {
      metadata,
      data: choose.one<object | undefined>({ key: ONE }, { key: TWO, more: ONE }, undefined),
      ...more,
    });
  }
  if (kind === 'leases') return { ...lease(name, { holderIdentity: choose.one('one', 'two') }), metadata };
  if (kind === 'roles') return { metadata, rules: choose.one<object[]>([], [rule('get')]) };
  return credential(name, { durationSeconds: choose.one(900, 1800, 3600) }, metadata);
}

/** A change of the part that is the kind's own. */
function change(kind: Kind, choose: Chooser): object {
  if (kind === 'secrets') {
    return choose.one<object>(
      { data: { key: choose.one(ONE, TWO) } },
      { data: { key: ONE, more: null } },
      { data: { more: null } },
      { data: {} },
      { data: null },
      { data: { 'a b': ONE } },
      { stringData: { text: choose.one('one', 'two') } },
      { immutable: true },
      { type: choose.one('Opaque', 'example.com/other') },
    );
  }
  if (kind === 'roles') {
    return choose.one<object>(
      { rules: [rule(choose.one('get', 'list'))] },
      { rules: choose.one<unknown>(null, []) },
      { rules: [rule('get'), rule('watch')] },
    );
  }
  if (kind === 'leases') {
    return choose.one<object>(
      { spec: { holderIdentity: choose.one('one', 'two') } },
      { spec: { leaseTransitions: choose.one(0, 1, -1) } },
      { spec: { renewTime: choose.one('2020-01-01T00:00:09.000000Z', '2020-01-01T02:00:00.000000+02:00', null) } },
      { spec: { leaseDurationSeconds: choose.one(15, 0) } },
    );
  }
  return choose.one<object>(
    { spec: { durationSeconds: choose.one(900, 1800, null) } },
    { spec: { suspend: choose.one(true, false, null) } },
    { spec: { refreshBeforeSeconds: choose.one(300, 600) } },
    { status: { cloud: 'AWS' } },
  );
}

function metadataChange(choose: Chooser): object {
  return choose.one<object>(
    { labels: { in: choose.one('yes', 'no', null) } },
    { labels: choose.one({ in: 'x y' }, null, null) },
    { annotations: { note: choose.one('x', 'y') } },
    { finalizers: choose.one(null, ['example.com/hold']) },
  );
}

function mergeBody(kind: Kind, choose: Chooser): NonNullable<Operation['body']> {
  const which = choose.one('none', 'none', 'current', 'stale');
  const metadata = choose.chance(0.5) ? metadataChange(choose) : {};
  const rest = choose.chance(0.7) ? change(kind, choose) : {};
  return (memory) => ({ ...rest, metadata: { ...metadata, ...memory.version(which) } });
}

function jsonPatchBody(kind: Kind, choose: Chooser): NonNullable<Operation['body']> {
  const which = choose.one('none', 'current', 'stale');
  const field = {
    secrets: '/data',
    roles: '/rules',
    leases: '/spec/holderIdentity',
    credentials: '/spec/durationSeconds',
  }[kind];
  const value = {
    roles: [rule(choose.one('get', 'list'))],
    secrets: { key: choose.one(ONE, TWO) },
    leases: choose.one('one', 'two'),
    credentials: choose.one(900, 1800),
  }[kind];
  const operation = choose.one<object>(
    { op: 'add', path: field, value },
    { op: 'replace', path: field, value },
    { op: 'remove', path: field },
    { op: 'test', path: field, value },
    { op: 'add', path: '/metadata/labels', value: { in: choose.one('yes', 'no') } },
    { op: 'remove', path: '/metadata/labels/in' },
    { op: 'add', path: '/metadata/finalizers/-', value: 'example.com/more' },
    { op: 'remove', path: '/metadata/finalizers/0' },
    { op: 'copy', from: '/metadata/name', path: '/metadata/labels/in' },
  );
  return (memory) => {
    const { resourceVersion } = memory.version(which);
    const guard = { op: 'replace', path: '/metadata/resourceVersion', value: resourceVersion };
    return resourceVersion === undefined ? [operation] : [guard, operation];
  };
}

function deleteBody(choose: Chooser): NonNullable<Operation['body']> {
  const [uid, version] = [
    choose.one('none', 'none', 'current', 'stale'),
    choose.one('none', 'none', 'current', 'stale'),
  ];
  const propagation = choose.one<object>(
    {},
    {},
    { propagationPolicy: 'Background' },
    { propagationPolicy: 'Sideways' },
  );
  return (memory) => ({ ...propagation, preconditions: { ...memory.uid(uid), ...memory.version(version) } });
}

/** Lists in all their shapes; what a list of nothing says is also compared. */
const LISTS = [
  '',
  '?labelSelector=in%3Dyes',
  '?labelSelector=in%21%3Dyes',
  '?labelSelector=in+in+%28yes%2Cno%29',
  '?labelSelector=%21in',
  '?labelSelector=in+notin+%28no%29&limit=2',
  '?labelSelector=other%3E1',
  '?labelSelector=x+y',
  '?limit=1',
  '?fieldSelector=metadata.name%3Da',
  '?fieldSelector=metadata.name%21%3Da',
  '?fieldSelector=spec.odd%3Da',
];

/** A strategic merge patch, which our own resource does not take. */
function strategicBody(kind: Kind, choose: Chooser): NonNullable<Operation['body']> {
  const metadata = choose.one<object>(
    { finalizers: ['example.com/more'] },
    { '$deleteFromPrimitiveList/finalizers': ['example.com/hold', 'example.com/more'] },
    { labels: { in: choose.one('yes', 'no', null) } },
    { labels: { $patch: 'replace', in: 'no' } },
  );
  const rest = choose.chance(0.4) ? change(kind, choose) : {};
  const which = choose.one('none', 'none', 'current', 'stale');
  return (memory) => ({ ...rest, metadata: { ...metadata, ...memory.version(which) } });
}

function putBody(kind: Kind, name: string, choose: Chooser): NonNullable<Operation['body']> {
  const which = choose.one('none', 'current', 'current', 'stale');
  const object = fresh(kind, choose.chance(0.05) ? 'other' : name, choose);
  return (memory) => ({ ...object, metadata: { ...(object['metadata'] as object), ...memory.version(which) } });
}

/** One operation on one of the objects. */
function operation(choose: Chooser): Operation {
  const kind = choose.one(...KINDS);
  const name = choose.one(...NAMES);
  const dry = choose.chance(0.08) ? '?dryRun=All' : '';
  const at = { kind, name };
  const what = choose.one(
    'create',
    'create',
    'create',
    'get',
    'list',
    'list',
    'put',
    'put',
    'merge',
    'merge',
    'merge',
    'json',
    'json',
    'strategic',
    'sweep',
    'status',
    'delete',
    'release',
  );
  switch (what) {
    case 'create': {
      const object = fresh(kind, name, choose);
      return { ...at, method: 'POST', path: dry, body: () => object };
    }
    case 'get':
      return { ...at, method: 'GET', path: `/${name}` };
    case 'list':
      return { ...at, method: 'GET', path: choose.one(...LISTS) };
    case 'sweep':
      return { ...at, method: 'DELETE', path: '?labelSelector=in%3Dyes%2Cother' };
    case 'strategic':
      return {
        ...at,
        method: 'PATCH',
        path: `/${name}${dry}`,
        contentType: 'application/strategic-merge-patch+json',
        body: strategicBody(kind, choose),
      };
    case 'put':
      return { ...at, method: 'PUT', path: `/${name}${dry}`, body: putBody(kind, name, choose) };
    case 'merge':
      return {
        ...at,
        method: 'PATCH',
        path: `/${name}${dry}`,
        contentType: MERGE_PATCH,
        body: mergeBody(kind, choose),
      };
    case 'json':
      return {
        ...at,
        method: 'PATCH',
        path: `/${name}${dry}`,
        contentType: JSON_PATCH,
        body: jsonPatchBody(kind, choose),
      };
    case 'status': {
      const body = {
        status: { observedGeneration: choose.one(1, 2, 3), cloud: choose.one('AWS', 'Volcengine', null) },
      };
      return {
        kind: 'credentials',
        name,
        method: 'PATCH',
        path: `/${name}/status`,
        contentType: MERGE_PATCH,
        body: () => body,
      };
    }
    case 'release': {
      const body = { metadata: { finalizers: null } };
      return { ...at, method: 'PATCH', path: `/${name}`, contentType: MERGE_PATCH, body: () => body };
    }
    case 'delete':
      return { ...at, method: 'DELETE', path: `/${name}${dry}`, body: deleteBody(choose) };
  }
}

/** The operations of a seed. */
function operations(seed: number, count: number): Operation[] {
  const choose = new Chooser(seed);
  return Array.from({ length: count }, () => operation(choose));
}

/** A watch that is still to be opened: later it replays what came before. */
interface Replay {
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
}

async function versionNow(scene: Scene): Promise<string> {
  const { body } = await scene.client.send({ method: 'GET', path: scene.secrets() });
  return body.metadata.resourceVersion as string;
}

/** One watch of each kind from here, and some that see only what is selected. */
function watchesFrom(scene: Scene, version: string): Replay[] {
  const query = `?watch=true&resourceVersion=${version}`;
  return [
    { path: `${scene.secrets()}${query}` },
    { path: `${scene.secrets()}${query}&labelSelector=in%3Dyes`, headers: PARTIAL },
    { path: `${scene.credentials()}${query}` },
    { path: `${scene.leases()}${query}` },
    { path: `${scene.roles()}${query}&labelSelector=in+notin+%28no%29` },
    { path: `${scene.credentials()}${query}&fieldSelector=metadata.name+%21%3D+a`.replaceAll('+', '') },
  ];
}

async function open(scene: Scene, replays: readonly Replay[]): Promise<WatchSeen[]> {
  const watches: WatchSeen[] = [];
  for (const { path, headers } of replays) {
    watches.push(await scene.watch(path, headers === undefined ? {} : { headers }));
  }
  return watches;
}

/** Ends every watch with an object of each kind that all of them see. */
async function endWatches(scene: Scene, watches: readonly WatchSeen[], later: readonly Replay[]): Promise<void> {
  const metadata = { name: END, labels: { in: 'yes' } };
  await scene.post(scene.secrets(), { metadata });
  await scene.post(scene.credentials(), credential(END, {}, { labels: { in: 'yes' } }));
  await scene.post(scene.leases(), { ...lease(END), metadata });
  await scene.post(scene.roles(), { metadata });
  const initial = 'watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
  const lists = await open(scene, [{ path: `${scene.roles()}?${initial}` }, { path: `${scene.leases()}?${initial}` }]);
  for (const watch of [...watches, ...(await open(scene, later))]) {
    await watch.until(({ object }) => object?.metadata?.name === END);
  }
  for (const list of lists) await list.until(({ type }) => type === 'BOOKMARK');
}

/** Runs a seed's operations in a new namespace; the watches' events are the last steps. */
export async function runSequence(client: RawClient, seed: number, count: number): Promise<Step[]> {
  const scene = new Scene(client, `sequence-${seed}-${count}`);
  await scene.post('/api/v1/namespaces', { metadata: { name: scene.namespace } }, 201, { record: false });
  const memories = new Map<string, Memory>();
  try {
    const start = await versionNow(scene);
    const watches = await open(scene, watchesFrom(scene, start));
    const later: Replay[] = watchesFrom(scene, start);
    for (const [index, each] of operations(seed, count).entries()) {
      const { method, kind, name, path, contentType, body } = each;
      // From the middle: one set of watches at once, and one at the end that replays.
      if (index === Math.trunc(count / 2)) {
        const middle = watchesFrom(scene, await versionNow(scene));
        watches.push(...(await open(scene, middle)));
        later.push(...middle);
      }
      const key = `${kind}/${name}`;
      const memory = memories.get(key) ?? new Memory();
      const whole = `${scene[kind]()}${path}`;
      const sent = body?.(memory);
      const answer = await client.send({
        method,
        path: whole,
        ...(sent === undefined ? {} : { body: JSON.stringify(sent) }),
        ...(contentType === undefined ? {} : { headers: { 'content-type': contentType } }),
      });
      const { status, headers, body: seen } = answer;
      const shown = sent === undefined ? '' : ` ${JSON.stringify(body?.(memory.inWords()))}`;
      scene.steps.push({ request: `${method} ${whole}${shown}`, status, headers, body: seen });
      const isDry = whole.includes('dryRun');
      if (status < 300 && !isDry) memories.set(key, memory.after(seen));
    }
    await endWatches(scene, watches, later);
  } finally {
    scene.close();
  }
  return scene.transcript();
}

/** Steps that share a line of the recording. */
const STEPS_OF_A_LINE = 10;

/** A recording of a sequence: a digest of every ten steps; the live suite shows what is in them. */
export function digest(steps: readonly Step[]): Step[] {
  const lines = Math.ceil(steps.length / STEPS_OF_A_LINE);
  return Array.from({ length: lines }, (_none, line) => {
    const from = line * STEPS_OF_A_LINE;
    const part = steps.slice(from, from + STEPS_OF_A_LINE);
    const hash = createHash('sha256').update(JSON.stringify(part)).digest('hex').slice(0, 16);
    return { request: `steps ${from + 1} to ${from + part.length}`, body: hash };
  });
}

/** Committed seeds; those that once found something come first. */
export const SEEDS: readonly number[] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
/** Operations of each. */
export const OPERATIONS = 250;
