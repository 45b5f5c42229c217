// Promises: a random sequence of operations on a handful of objects, the same for the same seed, run on one server with
// watches open; its transcript is compared with another server's. Versions and uids are named by when they were seen.
import { createHash } from 'node:crypto';
import { SeededRandom } from '../support/fake-random.ts';
import { credential, lease, ONE, secret, TWO } from './cases/samples.ts';
import type { JSONValue, RawClient } from './client.ts';
import { JSON_PATCH, MERGE_PATCH, Scene } from './scene.ts';
import type { WatchSeen } from './scene.ts';
import type { Step } from './normalise.ts';

const KINDS = ['secrets', 'credentials', 'leases'] as const;
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
  return credential(name, { durationSeconds: choose.one(900, 1800, 3600) }, metadata);
}

/** A change of the part that is the kind's own. */
function change(kind: Kind, choose: Chooser): object {
  if (kind === 'secrets') {
    return choose.one<object>(
      { data: { key: choose.one(ONE, TWO) } },
      // Not `more` alone: data that is empty and data that is absent differ to an immutable Secret; that has its own case.
      { data: { key: ONE, more: null } },
      { data: null },
      { stringData: { text: choose.one('one', 'two') } },
      { immutable: true },
      { type: choose.one('Opaque', 'example.com/other') },
    );
  }
  if (kind === 'leases') {
    return choose.one<object>(
      { spec: { holderIdentity: choose.one('one', 'two') } },
      { spec: { leaseTransitions: choose.one(0, 1, -1) } },
      { spec: { renewTime: choose.one('2020-01-01T00:00:09.000000Z', null) } },
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
    { labels: null },
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
  const field = { secrets: '/data', leases: '/spec/holderIdentity', credentials: '/spec/durationSeconds' }[kind];
  const value = {
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
  return (memory) => ({ preconditions: { ...memory.uid(uid), ...memory.version(version) } });
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
    'put',
    'put',
    'merge',
    'merge',
    'merge',
    'json',
    'json',
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
      return {
        ...at,
        method: 'GET',
        path: choose.one(
          '',
          '?labelSelector=in%3Dyes',
          '?labelSelector=in%21%3Dyes',
          '?limit=1',
          '?fieldSelector=metadata.name%3Da',
        ),
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

async function openWatches(scene: Scene): Promise<WatchSeen[]> {
  const version = (await scene.client.send({ method: 'GET', path: scene.secrets() })).body.metadata
    .resourceVersion as string;
  const query = `?watch=true&resourceVersion=${version}`;
  return [
    await scene.watch(`${scene.secrets()}${query}`),
    await scene.watch(`${scene.secrets()}${query}&labelSelector=in%3Dyes`, { headers: PARTIAL }),
    await scene.watch(`${scene.credentials()}${query}`),
    await scene.watch(`${scene.leases()}${query}`),
  ];
}

async function endWatches(scene: Scene, watches: readonly WatchSeen[]): Promise<void> {
  const metadata = { name: END, labels: { in: 'yes' } };
  await scene.post(scene.secrets(), { metadata });
  await scene.post(scene.credentials(), credential(END, {}, { labels: { in: 'yes' } }));
  await scene.post(scene.leases(), { ...lease(END), metadata });
  for (const watch of watches) await watch.until(({ object }) => object?.metadata?.name === END);
}

/** Runs a seed's operations in a new namespace; the watches' events are the last steps. */
export async function runSequence(client: RawClient, seed: number, count: number): Promise<Step[]> {
  const scene = new Scene(client, `sequence-${seed}-${count}`);
  await scene.post('/api/v1/namespaces', { metadata: { name: scene.namespace } }, 201, { record: false });
  const memories = new Map<string, Memory>();
  try {
    const watches = await openWatches(scene);
    for (const { method, kind, name, path, contentType, body } of operations(seed, count)) {
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
    await endWatches(scene, watches);
  } finally {
    scene.close();
  }
  return scene.transcript();
}

/** A recording of a sequence: what was asked, the status, and a digest of the rest; the live suite shows the rest. */
export function digest(steps: readonly Step[]): Step[] {
  return steps.map((step) => {
    const text = JSON.stringify(step);
    const hash = createHash('sha256').update(text).digest('hex').slice(0, 16);
    return {
      request: step.request.split(' ').slice(0, 2).join(' '),
      ...(step.status === undefined ? {} : { status: step.status }),
      body: hash,
    };
  });
}

/** Committed seeds; those that once found something come first. */
export const SEEDS: readonly number[] = [1, 2, 3, 4, 5, 6, 7, 8];
/** Operations of each. */
export const OPERATIONS = 150;
