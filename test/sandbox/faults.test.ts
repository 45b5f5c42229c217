// Promises: each fault that a test can order does what it says, on a fake clock; with it, what lists and watches say of
// versions that are too new, and that roles decide when they are asked to.
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { APIServer } from '../../sandbox/apiserver/handler.ts';
import type { FaultAction } from '../../sandbox/apiserver/faults.ts';
import type { ServerOutcome, ServerResponse } from '../../sandbox/http.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { SeededRandom } from '../support/fake-random.ts';

const CONFIGMAPS = '/api/v1/namespaces/default/configmaps';
const ROLES = '/apis/rbac.authorization.k8s.io/v1/namespaces/default';

let clock: FakeClock;
let server: APIServer;

function send(method: string, target: string, body?: object, token = 'admin'): Promise<ServerOutcome> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const bytes = Buffer.from(body === undefined ? '' : JSON.stringify(body));
  return server.handle({ method, target, headers, body: bytes, signal: new AbortController().signal });
}

async function call(method: string, target: string, body?: object, token?: string) {
  const { status, headers, body: text } = (await send(method, target, body, token)) as ServerResponse;
  return { status, headers, body: JSON.parse(text as string) as ReturnType<typeof JSON.parse> };
}

function order(action: FaultAction, times = 1): void {
  server.faults.add({ match: { method: 'GET', pathPattern: /configmaps/ }, times, action });
}

// In a suite: a hook at the root would run for every test of the process.
describe('each fault', () => {
  beforeEach(async () => {
    clock = new FakeClock();
    const options = { issuer: 'https://127.0.0.1:1', adminToken: 'admin', rbac: true };
    server = new APIServer(options, { clock, random: new SeededRandom(1) });
    await call('POST', CONFIGMAPS, { metadata: { name: 'a' }, data: { key: 'one' } });
  });

  for (const [status, reason] of [
    [409, 'Conflict'],
    [410, 'Expired'],
    [429, 'TooManyRequests'],
    [500, 'InternalError'],
    [503, 'ServiceUnavailable'],
    [504, 'Timeout'],
  ] as const) {
    test(`a status fault answers ${status} ${reason}, once`, async () => {
      order({ kind: 'status', status });
      const refused = await call('GET', CONFIGMAPS);
      assert.deepEqual([refused.status, refused.body.reason], [status, reason]);
      assert.equal((await call('GET', CONFIGMAPS)).status, 200);
    });
  }

  test('a 429 says when to come again', async () => {
    order({ kind: 'status', status: 429, retryAfterSeconds: 7 });
    const { headers, body } = await call('GET', CONFIGMAPS);
    assert.deepEqual([headers['retry-after'], body.details.retryAfterSeconds], ['7', 7]);
  });

  test('latency delays the work and then does it', async () => {
    server.faults.add({ match: { method: 'POST' }, times: 1, action: { kind: 'delay', ms: 5000 } });
    const pending = send('POST', CONFIGMAPS, { metadata: { name: 'late' } });
    await clock.advance(4999);
    assert.equal((await call('GET', `${CONFIGMAPS}/late`)).status, 404);
    await clock.advance(1);
    assert.equal(((await pending) as ServerResponse).status, 201);
  });

  test('a fault hits only what it matches, until it is taken back', async () => {
    const action = { kind: 'status', status: 500 } as const;
    const takeBack = server.faults.add({ match: { method: 'GET', pathPattern: /configmaps\/a$/ }, action });
    assert.equal((await call('GET', CONFIGMAPS)).status, 200);
    for (const _try of [1, 2, 3]) assert.equal((await call('GET', `${CONFIGMAPS}/a`)).status, 500);
    takeBack();
    assert.equal((await call('GET', `${CONFIGMAPS}/a`)).status, 200);
  });

  test('a reset does not do the work, a lost answer does', async () => {
    const lose = (kind: 'reset' | 'loseAnswer'): void => {
      server.faults.add({ match: { method: 'POST' }, times: 1, action: { kind } });
    };
    lose('reset');
    assert.deepEqual(await send('POST', CONFIGMAPS, { metadata: { name: 'b' } }), { reset: true });
    assert.equal((await call('GET', `${CONFIGMAPS}/b`)).status, 404);
    lose('loseAnswer');
    assert.deepEqual(await send('POST', CONFIGMAPS, { metadata: { name: 'b' } }), { reset: true });
    assert.equal((await call('GET', `${CONFIGMAPS}/b`)).status, 200);
  });

  test('silence lasts until the client goes', async () => {
    order({ kind: 'hang' });
    const gone = new AbortController();
    let answered = false;
    const headers = { authorization: 'Bearer admin' };
    const pending = server
      .handle({ method: 'GET', target: CONFIGMAPS, headers, body: new Uint8Array(), signal: gone.signal })
      .then(() => (answered = true));
    await clock.advance(3_600_000);
    assert.equal(answered, false);
    gone.abort();
    await pending;
  });

  test('a drip lets the answer out a few bytes at a time', async () => {
    order({ kind: 'drip', bytes: 100, intervalMs: 1000 });
    const { body } = (await send('GET', CONFIGMAPS)) as ServerResponse;
    let text = '';
    const reading = (async () => {
      for await (const chunk of body) text += chunk;
    })();
    await clock.advance(1000);
    assert.equal(text.length, 100);
    await clock.advance(60_000);
    await reading;
    assert.equal(JSON.parse(text).kind, 'ConfigMapList');
  });

  test('a cut ends a watch in the middle of a line', async () => {
    order({ kind: 'cut', afterBytes: 40 });
    const { body } = (await send('GET', `${CONFIGMAPS}?watch=1`)) as ServerResponse;
    let text = '';
    await assert.rejects(async () => {
      for await (const chunk of body) text += chunk;
    }, /cut, as ordered/);
    assert.equal(text.length, 40);
    assert.ok(!text.includes('\n'));
  });

  test('an ERROR event ends a watch with its status', async () => {
    order({ kind: 'errorEvent', status: 410 });
    const { body } = (await send('GET', `${CONFIGMAPS}?watch=1`)) as ServerResponse;
    let text = '';
    for await (const chunk of body) text += chunk;
    const event = JSON.parse(text);
    assert.deepEqual([event.type, event.object.code, event.object.reason], ['ERROR', 410, 'Expired']);
  });

  test('a stale read shows what was there before', async () => {
    const { resourceVersion } = (await call('GET', CONFIGMAPS)).body.metadata;
    await call('PUT', `${CONFIGMAPS}/a`, { metadata: { name: 'a' }, data: { key: 'two' } });
    order({ kind: 'stale', revisions: 1 }, 2);
    assert.equal((await call('GET', `${CONFIGMAPS}/a`)).body.data.key, 'one');
    const list = await call('GET', CONFIGMAPS);
    assert.deepEqual([list.body.items[0].data.key, list.body.metadata.resourceVersion], ['one', resourceVersion]);
    assert.equal((await call('GET', `${CONFIGMAPS}/a`)).body.data.key, 'two');
  });

  test('a version that does not come is waited for three seconds, then 504 with its cause', async () => {
    const pending = call('GET', `${CONFIGMAPS}?resourceVersion=999`);
    await clock.advance(5000);
    const { status, body, headers } = await pending;
    assert.deepEqual([status, body.reason, headers['retry-after']], [504, 'Timeout', '1']);
    assert.equal(body.details.causes[0].reason, 'ResourceVersionTooLarge');
  });

  test('an exact version is listed as it was, and a token that has expired brings one to go on with', async () => {
    const { resourceVersion } = (await call('GET', CONFIGMAPS)).body.metadata;
    for (const name of ['b', 'c']) await call('POST', CONFIGMAPS, { metadata: { name } });
    const then = await call('GET', `${CONFIGMAPS}?resourceVersion=${resourceVersion}&resourceVersionMatch=Exact`);
    assert.deepEqual([then.body.items.length, then.body.metadata.resourceVersion], [1, resourceVersion]);
    const first = await call('GET', `${CONFIGMAPS}?limit=1`);
    await call('DELETE', `${CONFIGMAPS}/b`);
    server.compact();
    const late = await call('GET', `${CONFIGMAPS}?limit=1&continue=${first.body.metadata.continue}`);
    assert.equal(late.status, 410);
    const rest = await call('GET', `${CONFIGMAPS}?limit=1&continue=${late.body.metadata.continue}`);
    assert.equal(rest.body.items[0].metadata.name, 'c');
  });

  test('with rbac a ServiceAccount may do what its Role says, by name, and nothing else', async () => {
    await call('POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'app' } });
    const path = '/api/v1/namespaces/default/serviceaccounts/app/token';
    const { token } = (await call('POST', path, { spec: {} })).body.status;
    const refused = await call('GET', `${CONFIGMAPS}/a`, undefined, token);
    assert.equal(
      refused.body.message,
      'configmaps "a" is forbidden: User "system:serviceaccount:default:app" cannot get resource "configmaps" in API group "" ' +
        'in the namespace "default"',
    );
    const rules = [{ apiGroups: [''], resources: ['configmaps'], resourceNames: ['a'], verbs: ['get'] }];
    await call('POST', `${ROLES}/roles`, { metadata: { name: 'r' }, rules });
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'r' };
    const subjects = [{ kind: 'ServiceAccount', name: 'app', namespace: 'default' }];
    await call('POST', `${ROLES}/rolebindings`, { metadata: { name: 'b' }, roleRef, subjects });
    const statuses = [];
    for (const target of [
      `${CONFIGMAPS}/a`,
      `${CONFIGMAPS}/b`,
      CONFIGMAPS,
      '/api/v1/configmaps',
      '/apis',
      '/metrics',
    ]) {
      statuses.push((await call('GET', target, undefined, token)).status);
    }
    assert.deepEqual(statuses, [200, 403, 403, 403, 200, 403]);
    const review = {
      spec: { resourceAttributes: { namespace: 'default', verb: 'get', resource: 'configmaps', name: 'a' } },
    };
    const answer = await call('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', review, token);
    const reason = 'RBAC: allowed by RoleBinding "b/default" of Role "r" to ServiceAccount "app/default"';
    assert.deepEqual(answer.body.status, { allowed: true, reason });
  });
});
