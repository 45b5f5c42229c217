// Promises: the sandbox's API server answers as kube-apiserver 1.36 was seen to answer. Runs in process on a fake clock;
// client-node and kubectl are the independent clients in the files beside this one.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { APIServer } from '../../sandbox/apiserver/handler.ts';
import { humanDuration, jsonPathValue } from '../../sandbox/apiserver/representation.ts';
import type { ServerResponse } from '../../sandbox/http.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';
import { SeededRandom } from '../support/fake-random.ts';
import { widgetCRD } from './widget-crd.ts';

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: ReturnType<typeof JSON.parse>;
}

let clock: FakeClock;
let server: APIServer;

function send(method: string, target: string, body?: unknown, headers: Record<string, string> = {}) {
  return server.handle({
    method,
    target,
    headers: { authorization: 'Bearer admin', 'content-type': 'application/json', ...headers },
    body: body === undefined ? new Uint8Array() : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
    signal: new AbortController().signal,
  });
}

async function call(method: string, target: string, body?: unknown, headers?: Record<string, string>): Promise<Answer> {
  const outcome = await send(method, target, body, headers);
  assert.ok('status' in outcome && typeof outcome.body === 'string');
  return { status: outcome.status, headers: outcome.headers, body: JSON.parse(outcome.body) };
}

/** Opens a watch; `seen` grows as events come. */
async function watch(target: string, headers: Record<string, string> = {}) {
  const outcome = (await send('GET', target, undefined, headers)) as ServerResponse;
  assert.ok(typeof outcome.body !== 'string');
  const seen: { type: string; object: ReturnType<typeof JSON.parse> }[] = [];
  const state = { seen, ended: false };
  void (async () => {
    for await (const chunk of outcome.body as AsyncIterable<string>) {
      for (const line of chunk.trim().split('\n')) seen.push(JSON.parse(line));
    }
    state.ended = true;
  })();
  await settle();
  return state;
}

const SECRETS = '/api/v1/namespaces/default/secrets';
const CONFIGMAPS = '/api/v1/namespaces/default/configmaps';
const WIDGETS = '/apis/probe.io/v1alpha1/namespaces/default/widgets';
const LEASES = '/apis/coordination.k8s.io/v1/namespaces/default/leases';
const MERGE = { 'content-type': 'application/merge-patch+json' };
const JSON_PATCH = { 'content-type': 'application/json-patch+json' };

const secret = (name: string, more: object = {}): object => ({ metadata: { name }, data: { a: 'eA==' }, ...more });
const widget = (name: string, more: object = {}): object => ({
  apiVersion: 'probe.io/v1alpha1',
  kind: 'Widget',
  metadata: { name },
  spec: { role: 'r' },
  ...more,
});

// In a suite: a hook at the root would run for every test of the process.
describe('the API server', () => {
  beforeEach(async () => {
    clock = new FakeClock();
    const options = { issuer: 'https://127.0.0.1:1', adminToken: 'admin', historyLimit: 20, bookmarkIntervalMs: 5000 };
    server = new APIServer(options, { clock, random: new SeededRandom(1) });
    await call('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', widgetCRD);
  });

  test('a foreign token is 401, and without a token one is system:anonymous, who may look at the health only', async () => {
    const foreign = await call('GET', SECRETS, undefined, { authorization: 'Bearer abc' });
    assert.deepEqual([foreign.status, foreign.body.reason], [401, 'Unauthorized']);
    const request = (target: string) =>
      server.handle({
        method: 'GET',
        target,
        headers: {},
        body: new Uint8Array(),
        signal: new AbortController().signal,
      });
    const anonymous = (await request(SECRETS)) as ServerResponse;
    assert.equal(anonymous.status, 403);
    assert.equal(
      JSON.parse(anonymous.body as string).message,
      'secrets is forbidden: User "system:anonymous" cannot list resource "secrets" in API group "" in the namespace "default"',
    );
    assert.equal(((await request('/livez')) as ServerResponse).status, 200);
  });

  test('create sets what belongs to the server, and a second create is AlreadyExists', async () => {
    const first = await call('POST', SECRETS, { metadata: { name: 's' }, stringData: { a: 'x' } });
    assert.equal(first.status, 201);
    assert.deepEqual(first.body.data, { a: 'eA==' });
    assert.equal(first.body.type, 'Opaque');
    assert.equal(first.body.metadata.creationTimestamp, '2026-01-01T00:00:00Z');
    assert.match(first.body.metadata.uid, /^[0-9a-f-]{36}$/);
    const second = await call('POST', SECRETS, secret('s'));
    assert.deepEqual(second.body, {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: 'secrets "s" already exists',
      reason: 'AlreadyExists',
      details: { name: 's', kind: 'secrets' },
      code: 409,
    });
  });

  test('defaults of the schema are set, nested ones too, and status is not taken from the main endpoint', async () => {
    const created = await call('POST', WIDGETS, widget('w', { status: { refresh: 'x' } }));
    assert.deepEqual(created.body.spec, { role: 'r', dur: 3600 });
    assert.deepEqual(created.body.status, { observedGeneration: -1 });
    assert.equal(created.body.metadata.generation, 1);
  });

  test('the status endpoint changes status only, and generation counts changes of the spec only', async () => {
    await call('POST', WIDGETS, widget('w'));
    const main = await call('PATCH', `${WIDGETS}/w`, { spec: { role: 'q' }, status: { refresh: 'x' } }, MERGE);
    assert.deepEqual([main.body.metadata.generation, main.body.status.refresh], [2, undefined]);
    const patch = { metadata: { labels: { a: 'b' } }, spec: { role: 'z' }, status: { refresh: 'y' } };
    const status = await call('PATCH', `${WIDGETS}/w/status`, patch, MERGE);
    assert.deepEqual([status.body.metadata.generation, status.body.metadata.labels], [2, undefined]);
    assert.deepEqual([status.body.spec.role, status.body.status.refresh], ['q', 'y']);
  });

  test('a write without effect leaves the resourceVersion alone', async () => {
    const before = await call('POST', SECRETS, secret('s', { metadata: { name: 's', labels: { a: 'b' } } }));
    const after = await call('PATCH', `${SECRETS}/s`, { metadata: { labels: { a: 'b' } } }, MERGE);
    assert.equal(after.body.metadata.resourceVersion, before.body.metadata.resourceVersion);
  });

  test('a stale resourceVersion is a Conflict for PUT, merge patch and JSON patch', async () => {
    await call('POST', SECRETS, secret('s'));
    await call('POST', WIDGETS, widget('w'));
    const operations = [
      { op: 'replace', path: '/metadata/resourceVersion', value: '1' },
      { op: 'replace', path: '/data', value: { b: 'eA==' } },
    ];
    const answers = [
      await call('PUT', `${SECRETS}/s`, secret('s', { metadata: { name: 's', resourceVersion: '1' } })),
      await call('PATCH', `${SECRETS}/s`, operations, JSON_PATCH),
      await call(
        'PATCH',
        `${WIDGETS}/w/status`,
        { metadata: { resourceVersion: '1' }, status: { refresh: 'x' } },
        MERGE,
      ),
    ];
    assert.deepEqual(
      answers.map(({ status, body }) => [status, body.reason]),
      [
        [409, 'Conflict'],
        [409, 'Conflict'],
        [409, 'Conflict'],
      ],
    );
    assert.match(
      answers[2]?.body.message,
      /^Operation cannot be fulfilled on widgets\.probe\.io "w": the object has been/,
    );
  });

  test('a JSON patch that fails is 422 without saying where, and one of a missing object is 404', async () => {
    await call('POST', SECRETS, secret('s'));
    const bad = [
      [{ op: 'test', path: '/metadata/resourceVersion', value: '1' }],
      [{ op: 'replace', path: '/nope/x', value: 1 }],
      [{ op: 'remove', path: '/nope' }],
      [{ op: 'add', path: '/metadata/annotations/a', value: '1' }],
    ];
    for (const operations of bad) {
      const { status, body } = await call('PATCH', `${SECRETS}/s`, operations, JSON_PATCH);
      assert.deepEqual([status, body.reason, body.details], [422, 'Invalid', {}], JSON.stringify(operations));
    }
    assert.equal((await call('PATCH', `${SECRETS}/none`, bad[0], JSON_PATCH)).status, 404);
  });

  test('server-side apply and unknown patch types are 415, before the object is looked for', async () => {
    const apply = await call('PATCH', `${WIDGETS}/none`, 'a: b', { 'content-type': 'application/apply-patch+yaml' });
    assert.equal(apply.status, 415);
    assert.match(apply.body.message, /server-side apply .* is not served/);
    const plain = await call('PATCH', `${WIDGETS}/none`, {}, { 'content-type': 'application/json' });
    assert.equal(plain.status, 415);
  });

  test('PUT without resourceVersion overwrites a Secret, is 422 for a custom resource, and creates a Lease', async () => {
    await call('POST', SECRETS, secret('s'));
    await call('POST', WIDGETS, widget('w'));
    assert.equal((await call('PUT', `${SECRETS}/s`, secret('s', { data: { b: 'eA==' } }))).status, 200);
    const refused = await call('PUT', `${WIDGETS}/w`, widget('w'));
    assert.equal(
      refused.body.message,
      'widgets.probe.io "w" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update',
    );
    assert.equal((await call('PUT', `${LEASES}/l`, { metadata: { name: 'l' }, spec: {} })).status, 201);
  });

  test('a MicroTime without exactly six fraction digits is a 400 in a Lease and in an Event', async () => {
    const lease = (renewTime: string): object => ({ metadata: { name: 'l' }, spec: { renewTime } });
    const wrong = await call('POST', LEASES, lease('2026-01-01T00:00:00Z'));
    assert.equal(
      wrong.body.message,
      'Lease in version "v1" cannot be handled as a Lease: parsing time "2026-01-01T00:00:00Z" as ' +
        '"2006-01-02T15:04:05.000000Z07:00": cannot parse "Z" as ".000000"',
    );
    assert.equal((await call('POST', LEASES, lease('2026-01-01T00:00:00.000Z'))).status, 400);
    assert.equal((await call('POST', LEASES, lease('2026-01-01T00:00:00.000000Z'))).status, 201);
    const event = { metadata: { name: 'e' }, eventTime: '2026-01-01T00:00:00Z' };
    assert.equal((await call('POST', '/apis/events.k8s.io/v1/namespaces/default/events', event)).status, 400);
  });

  test('an event written as events.k8s.io/v1 is read as core/v1, and only its series may change', async () => {
    const events = '/apis/events.k8s.io/v1/namespaces/default/events';
    const event = {
      metadata: { name: 'e' },
      eventTime: '2026-01-01T00:00:00.123456Z',
      reportingController: 'x.io/y',
      reportingInstance: 'i',
      action: 'A',
      reason: 'R',
      regarding: { kind: 'Widget', namespace: 'default', name: 'w', uid: 'u' },
      note: 'n',
      type: 'Normal',
    };
    assert.equal((await call('POST', events, event)).status, 201);
    const found = await call('GET', '/api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3Dw');
    assert.deepEqual([found.body.items[0].message, found.body.items[0].reportingComponent], ['n', 'x.io/y']);
    const series = { series: { count: 2, lastObservedTime: '2026-01-01T00:00:00.123456Z' } };
    const counted = await call('PATCH', `${events}/e`, series, MERGE);
    assert.deepEqual([counted.status, counted.body.series.count, counted.body.note], [200, 2, 'n']);
    const refused = await call('PATCH', `${events}/e`, { note: 'other' }, MERGE);
    assert.equal(refused.body.message, 'Event "e" is invalid: message: Invalid value: "other": field is immutable');
    const incomplete = await call('POST', events, { ...event, metadata: { name: 'f' }, action: '' });
    assert.match(incomplete.body.message, /action: Required value/);
  });

  test('an immutable Secret keeps its data, and labels may still change', async () => {
    await call('POST', SECRETS, secret('s', { immutable: true }));
    const refused = await call('PATCH', `${SECRETS}/s`, { data: { a: 'eQ==' } }, MERGE);
    assert.equal(
      refused.body.message,
      'Secret "s" is invalid: data: Forbidden: field is immutable when `immutable` is set',
    );
    assert.equal((await call('PATCH', `${SECRETS}/s`, { metadata: { labels: { a: 'b' } } }, MERGE)).status, 200);
  });

  test('DELETE keeps an object whose uid or resourceVersion is another one', async () => {
    const { uid, resourceVersion } = (await call('POST', SECRETS, secret('s'))).body.metadata;
    const wrong = await call('DELETE', `${SECRETS}/s`, { preconditions: { uid: 'zzz' } });
    assert.match(
      wrong.body.message,
      /on Secret "s": the UID in the precondition \(zzz\) does not match the UID in record/,
    );
    assert.equal((await call('DELETE', `${SECRETS}/s`, { preconditions: { uid, resourceVersion: '1' } })).status, 409);
    const gone = await call('DELETE', `${SECRETS}/s`, { preconditions: { uid, resourceVersion } });
    assert.deepEqual(gone.body.details, { name: 's', kind: 'secrets', uid });
    assert.equal((await call('GET', `${SECRETS}/s`)).status, 404);
  });

  async function owned(ownerUID: string, blockOwnerDeletion: boolean, finalizers: string[] = []): Promise<void> {
    const reference = { apiVersion: 'probe.io/v1alpha1', kind: 'Widget', name: 'w', uid: ownerUID, blockOwnerDeletion };
    await call('POST', SECRETS, secret('s', { metadata: { name: 's', finalizers, ownerReferences: [reference] } }));
  }

  test('the collector deletes what has lost its owner, a moment later', async () => {
    await owned((await call('POST', WIDGETS, widget('w'))).body.metadata.uid, false);
    await clock.advance(1000);
    assert.equal((await call('GET', `${SECRETS}/s`)).status, 200);
    await call('DELETE', `${WIDGETS}/w`);
    assert.equal((await call('GET', `${SECRETS}/s`)).status, 200);
    await clock.advance(1000);
    assert.equal((await call('GET', `${SECRETS}/s`)).status, 404);
  });

  test('foreground deletion keeps the owner until a dependent that blocks has gone', async () => {
    await owned((await call('POST', WIDGETS, widget('w'))).body.metadata.uid, true, ['x.io/f']);
    const deleted = await call('DELETE', `${WIDGETS}/w`, { propagationPolicy: 'Foreground' });
    assert.deepEqual(deleted.body.metadata.finalizers, ['foregroundDeletion']);
    await clock.advance(1000);
    assert.equal((await call('GET', `${WIDGETS}/w`)).status, 200);
    assert.ok((await call('GET', `${SECRETS}/s`)).body.metadata.deletionTimestamp);
    await call('PATCH', `${SECRETS}/s`, { metadata: { finalizers: null } }, MERGE);
    await clock.advance(1000);
    assert.deepEqual(
      [(await call('GET', `${WIDGETS}/w`)).status, (await call('GET', `${SECRETS}/s`)).status],
      [404, 404],
    );
  });

  test('orphaning keeps the dependent and takes its reference away', async () => {
    await owned((await call('POST', WIDGETS, widget('w'))).body.metadata.uid, true);
    await call('DELETE', `${WIDGETS}/w`, { propagationPolicy: 'Orphan' });
    await clock.advance(1000);
    assert.equal((await call('GET', `${WIDGETS}/w`)).status, 404);
    assert.equal((await call('GET', `${SECRETS}/s`)).body.metadata.ownerReferences, undefined);
  });

  test('a namespace ends with its content, and creating in it meanwhile is 403 with cause NamespaceTerminating', async () => {
    await call('POST', '/api/v1/namespaces', { metadata: { name: 'team' } });
    await clock.advance(1000);
    assert.equal((await call('GET', '/api/v1/namespaces/team/serviceaccounts/default')).status, 200);
    await call(
      'POST',
      '/api/v1/namespaces/team/secrets',
      secret('s', { metadata: { name: 's', finalizers: ['x.io/f'] } }),
    );
    assert.equal((await call('DELETE', '/api/v1/namespaces/team')).body.status.phase, 'Terminating');
    const refused = await call('POST', '/api/v1/namespaces/team/secrets', secret('t'));
    assert.deepEqual([refused.status, refused.body.details.causes[0].reason], [403, 'NamespaceTerminating']);
    await clock.advance(1000);
    assert.equal((await call('GET', '/api/v1/namespaces/team')).status, 200);
    await call('PATCH', '/api/v1/namespaces/team/secrets/s', { metadata: { finalizers: [] } }, MERGE);
    await clock.advance(1000);
    assert.equal((await call('GET', '/api/v1/namespaces/team')).status, 404);
  });

  test('a list is paged at one revision, and a page from before a compaction is 410', async () => {
    for (const name of ['a', 'b', 'c']) await call('POST', SECRETS, secret(name));
    const first = await call('GET', `${SECRETS}?limit=2`);
    assert.deepEqual([first.body.items.length, first.body.metadata.remainingItemCount], [2, 1]);
    await call('DELETE', `${SECRETS}/c`);
    const token = first.body.metadata.continue;
    const second = await call('GET', `${SECRETS}?limit=2&continue=${token}`);
    assert.deepEqual([second.body.items[0].metadata.name, second.body.metadata.continue], ['c', undefined]);
    assert.equal(second.body.metadata.resourceVersion, first.body.metadata.resourceVersion);
    server.compact();
    const late = await call('GET', `${SECRETS}?limit=2&continue=${token}`);
    assert.deepEqual([late.status, late.body.reason], [410, 'Expired']);
  });

  test('selectors choose by label and field, and a field that is not offered is 400', async () => {
    for (const [name, app] of [
      ['a', 'x'],
      ['b', 'y'],
      ['c', ''],
    ] as const) {
      await call('POST', SECRETS, secret(name, { metadata: { name, ...(app === '' ? {} : { labels: { app } }) } }));
    }
    const names = async (query: string): Promise<string[]> =>
      (await call('GET', `${SECRETS}?${query}`)).body.items.map(
        (item: { metadata: { name: string } }) => item.metadata.name,
      );
    assert.deepEqual(await names('labelSelector=app'), ['a', 'b']);
    assert.deepEqual(await names('labelSelector=!app'), ['c']);
    assert.deepEqual(await names('labelSelector=app!%3Dx'), ['b', 'c']);
    assert.deepEqual(await names('labelSelector=app%20in%20(x,y),app!%3Dy'), ['a']);
    assert.deepEqual(await names('labelSelector=app%20notin%20(x)'), ['b', 'c']);
    assert.deepEqual(await names('fieldSelector=metadata.name%3Db'), ['b']);
    assert.equal((await call('GET', `${SECRETS}?fieldSelector=spec.x%3D1`)).status, 400);
  });

  test('a watch replays from a resourceVersion, then follows; losing the label looks like a deletion', async () => {
    const start = (await call('GET', SECRETS)).body.metadata.resourceVersion;
    await call('POST', SECRETS, secret('s', { metadata: { name: 's', labels: { app: 'x' } } }));
    const opened = await watch(`${SECRETS}?watch=1&resourceVersion=${start}&labelSelector=app%3Dx`);
    await call('PATCH', `${SECRETS}/s`, { data: { b: 'eA==' } }, MERGE);
    await call('PATCH', `${SECRETS}/s`, { metadata: { labels: null } }, MERGE);
    await call('POST', SECRETS, secret('other'));
    await settle();
    assert.deepEqual(
      opened.seen.map(({ type, object }) => [type, object.metadata.labels?.app]),
      [
        ['ADDED', 'x'],
        ['MODIFIED', 'x'],
        ['DELETED', 'x'],
      ],
    );
  });

  test('a watch whose client was gone before it began sets no timer', async () => {
    const gone = new AbortController();
    gone.abort();
    const before = clock.waiters();
    const headers = { authorization: 'Bearer admin' };
    const target = `${SECRETS}?watch=1&timeoutSeconds=600`;
    await server.handle({ method: 'GET', target, headers, body: new Uint8Array(), signal: gone.signal });
    assert.equal(clock.waiters(), before);
  });

  test('a watch from before the kept history gets one ERROR event 410 and ends', async () => {
    await call('POST', CONFIGMAPS, { metadata: { name: 'c' } });
    for (let i = 0; i < 60; i += 1) await call('PATCH', `${CONFIGMAPS}/c`, { data: { i: String(i) } }, MERGE);
    const opened = await watch(`${CONFIGMAPS}?watch=1&resourceVersion=3`);
    assert.equal(opened.seen.length, 1);
    assert.equal(opened.seen[0]?.type, 'ERROR');
    assert.deepEqual([opened.seen[0]?.object.code, opened.seen[0]?.object.reason], [410, 'Expired']);
    assert.match(opened.seen[0]?.object.message, /^too old resource version: 3 \(\d+\)$/);
    assert.equal(opened.ended, true);
  });

  test('initial events end with an annotated bookmark, more bookmarks follow, and timeoutSeconds ends the watch', async () => {
    await call('POST', SECRETS, secret('s'));
    const query = 'watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';
    const opened = await watch(`${SECRETS}?${query}&timeoutSeconds=12`);
    assert.deepEqual(
      opened.seen.map(({ type }) => type),
      ['ADDED', 'BOOKMARK'],
    );
    assert.equal(opened.seen[1]?.object.metadata.annotations['k8s.io/initial-events-end'], 'true');
    await call('POST', CONFIGMAPS, { metadata: { name: 'c' } });
    await clock.advance(5000);
    assert.equal(
      opened.seen[2]?.object.metadata.resourceVersion,
      (await call('GET', SECRETS)).body.metadata.resourceVersion,
    );
    assert.equal(opened.ended, false);
    await clock.advance(7000);
    assert.equal(opened.ended, true);
    const refused = await call('GET', `${SECRETS}?watch=1&sendInitialEvents=true`);
    assert.equal(refused.status, 422);
  });

  test('metadata-only answers carry no data, in get, list and watch', async () => {
    await call('POST', SECRETS, secret('s'));
    const accept = { accept: 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io' };
    const one = await call('GET', `${SECRETS}/s`, undefined, accept);
    assert.deepEqual([one.body.kind, one.body.data], ['PartialObjectMetadata', undefined]);
    const list = await call('GET', SECRETS, undefined, {
      accept: 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io',
    });
    assert.deepEqual([list.body.kind, list.body.items[0].data], ['PartialObjectMetadataList', undefined]);
    const opened = await watch(`${SECRETS}?watch=1`, accept);
    assert.deepEqual([opened.seen[0]?.object.kind, opened.seen[0]?.object.data], ['PartialObjectMetadata', undefined]);
  });

  test('a Table has the printer columns of the CRD, and a date in the future reads <invalid>', async () => {
    await call('POST', WIDGETS, widget('w'));
    const status = { conditions: [{ type: 'Ready', status: 'True' }], refresh: '2031-01-01T00:00:00Z' };
    await call('PATCH', `${WIDGETS}/w/status`, { status }, MERGE);
    await clock.advance(150_000);
    const table = await call('GET', WIDGETS, undefined, { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' });
    const names = table.body.columnDefinitions.map((column: { name: string }) => column.name);
    assert.deepEqual(names, ['Name', 'Ready', 'Role', 'Refresh', 'Age']);
    assert.deepEqual(table.body.rows[0].cells, ['w', 'True', 'r', '<invalid>', '2m30s']);
  });

  test('durations read as kubectl writes them', () => {
    const cases: readonly [number, string][] = [
      [-5, '<invalid>'],
      [119, '119s'],
      [120, '2m'],
      [601, '10m'],
      [3 * 3600 + 60, '3h1m'],
      [47 * 3600, '47h'],
      [9 * 86_400, '9d'],
      [800 * 86_400, '2y70d'],
    ];
    for (const [seconds, text] of cases) assert.equal(humanDuration(seconds * 1000), text);
  });

  test('printer columns understand names with dots, indices and filters', () => {
    const object = {
      metadata: { labels: { 'a.b/c': 'x' } },
      list: [
        { type: 'A', n: 1 },
        { type: 'B', n: 2 },
      ],
    };
    assert.equal(jsonPathValue(object, String.raw`.metadata.labels.a\.b/c`), 'x');
    assert.equal(jsonPathValue(object, ".metadata.labels['a.b/c']"), 'x');
    assert.equal(jsonPathValue(object, '.list[0].n'), 1);
    assert.equal(jsonPathValue(object, '.list[?(@.type=="B")].n'), 2);
  });

  test('TokenRequest has a floor of ten minutes and the real claims, and the token opens the server', async () => {
    await clock.advance(1000);
    await call('POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'app' } });
    const path = '/api/v1/namespaces/default/serviceaccounts/app/token';
    const short = await call('POST', path, { spec: { audiences: ['x'], expirationSeconds: 599 } });
    assert.equal(
      short.body.message,
      'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 599: ' +
        'may not specify a duration less than 10 minutes',
    );
    const { status, body } = await call('POST', path, { spec: { audiences: ['x'], expirationSeconds: 600 } });
    assert.equal(status, 201);
    const claims = JSON.parse(Buffer.from(body.status.token.split('.')[1], 'base64url').toString());
    assert.deepEqual([claims.aud, claims.sub], [['x'], 'system:serviceaccount:default:app']);
    assert.equal(claims.exp - claims.iat, 600);
    assert.equal(claims['kubernetes.io'].serviceaccount.name, 'app');
    const own = await call('POST', path, {});
    const authorization = `Bearer ${own.body.status.token}`;
    assert.equal((await call('GET', SECRETS, undefined, { authorization })).status, 200);
    assert.equal(server.requestLog.at(-1)?.user, 'system:serviceaccount:default:app');
    // Another audience, the end of its life, and the end of its ServiceAccount each shut it out.
    const foreign = { authorization: `Bearer ${body.status.token}` };
    assert.equal((await call('GET', SECRETS, undefined, foreign)).status, 401);
    await call('DELETE', '/api/v1/namespaces/default/serviceaccounts/app');
    assert.equal((await call('GET', SECRETS, undefined, { authorization })).status, 401);
  });

  test('faults answer, cut and lose what they match, as often as they were ordered', async () => {
    server.faults.add({
      match: { method: 'POST', pathPattern: /secrets/ },
      times: 1,
      action: { kind: 'status', status: 429, retryAfterSeconds: 7 },
    });
    const refused = await call('POST', SECRETS, secret('s'));
    assert.deepEqual([refused.status, refused.headers['retry-after']], [429, '7']);
    server.faults.add({ match: { method: 'POST' }, times: 1, action: { kind: 'loseAnswer' } });
    assert.deepEqual(await send('POST', SECRETS, secret('s')), { reset: true });
    assert.equal((await call('GET', `${SECRETS}/s`)).status, 200);
    server.faults.add({ match: {}, times: 1, action: { kind: 'delay', ms: 5000 } });
    let answered = false;
    const pending = call('GET', SECRETS).then(() => (answered = true));
    await clock.advance(4000);
    assert.equal(answered, false);
    await clock.advance(1000);
    await pending;
    assert.deepEqual(
      server.requestLog.slice(-4).map(({ method, status }) => `${method} ${status}`),
      ['POST 429', 'POST 0', 'GET 200', 'GET 200'],
    );
  });

  test('what the server did not foresee is a 500 with a Status, not a cut connection', async () => {
    server.registry.create = () => {
      throw new TypeError('a mistake of ours');
    };
    const { status, body } = await call('POST', SECRETS, secret('broken'));
    assert.deepEqual([status, body.reason], [500, 'InternalError']);
  });

  test('a definition without a spec is refused field by field', async () => {
    const crds = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
    const { status, body } = await call('POST', crds, { metadata: { name: 'broken' } });
    const fields = body.details.causes.map(({ field }: { field: string }) => field);
    assert.deepEqual([status, fields.slice(0, 3)], [422, ['metadata.name', 'spec.group', 'spec.names.plural']]);
  });
});
