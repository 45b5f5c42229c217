// The typed calls over a loopback server: what goes out, what comes back, and what a failure looks like.
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import type { KubeEvent, Lease } from '../../../src/api/meta.ts';
import { CALL_DEADLINE_MS } from '../../../src/kube/call.ts';
import { kubeClient } from '../../../src/kube/client.ts';
import { connectApiServer } from '../../../src/kube/connection.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import { undiciTransport } from '../../../src/transport/undici.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import {
  captureLog,
  type ScriptedHandler,
  type ScriptedStream,
  startScriptedServer,
  until,
} from '../../support/scripted-server.ts';

const closing: (() => Promise<void>)[] = [];
after(async () => {
  await Promise.all(closing.map((close) => close()));
});

const PARTIAL = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1';
const key = { namespace: 'shop', name: 'orders' };
const options = { signal: new AbortController().signal };
const object = {
  metadata: { name: 'orders', namespace: 'shop', resourceVersion: '7', creationTimestamp: '2026-01-01T00:00:00Z' },
};

async function setup(handler: ScriptedHandler, path = '') {
  const http = await startScriptedServer(handler);
  const clock = new FakeClock();
  const server = await connectApiServer({
    identity: {
      server: new URL(path, http.url),
      read: () => Promise.resolve({ authorization: 'Bearer own-token', tls: {} }),
    },
    openTransport: (tls) => undiciTransport({ connections: 4, tls, connectTimeoutMs: 5_000 }),
    clock,
    log: captureLog(),
    userAgent: 'test/1',
  });
  closing.push(async () => {
    await http.close();
    await server.close();
  });
  return { http, clock, api: kubeClient({ server, clock }) };
}

async function failure(call: Promise<unknown>): Promise<KubeError> {
  const error = await call.then(
    () => assert.fail('the call succeeded'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof KubeError, String(error));
  return error;
}

const status = (code: number, reason: string, message: string, details?: object) => ({
  kind: 'Status',
  status: 'Failure',
  code,
  reason,
  message,
  details,
});

describe('kubeClient', () => {
  it('asks for a token with one audience and gives token and end', async () => {
    const answer = { status: { token: 'jwt', expirationTimestamp: '2026-01-01T00:10:00Z' } };
    const { api, http } = await setup((_request, reply) => reply.json(201, answer));
    const token = await api.createServiceAccountToken(key, { audience: 'sts', expirationSeconds: 600 }, options);
    assert.deepEqual(token, answer.status);
    const [request] = http.requests;
    assert.equal(request?.method, 'POST');
    assert.equal(request.path, '/api/v1/namespaces/shop/serviceaccounts/orders/token');
    assert.deepEqual(JSON.parse(request.body).spec, { audiences: ['sts'], expirationSeconds: 600 });
    assert.equal(request.headers['authorization'], 'Bearer own-token');
  });

  it('calls a token answer without a token malformed, and does not repeat it', async () => {
    const { api } = await setup((_request, reply) =>
      reply.json(201, { status: { token: '', expirationTimestamp: 'x' } }),
    );
    const error = await failure(api.createServiceAccountToken(key, { audience: 'a', expirationSeconds: 600 }, options));
    assert.equal(error.kind, 'malformed');
    assert.equal(error.operation, 'create serviceaccounts/token');
  });

  it('sends each call with its verb, path, media types and field manager', async () => {
    const { api, http } = await setup((_request, reply) => reply.json(200, object), '/k8s/clusters/c1');
    const lease: Lease = {
      metadata: { name: 'l', resourceVersion: '4' },
      spec: { renewTime: '2026-01-01T00:00:00.000000Z' },
    };
    const event: KubeEvent = {
      metadata: { name: 'orders.1', namespace: 'shop' },
      eventTime: '2026-01-01T00:00:00.000000Z',
      reportingController: 'c',
      reportingInstance: 'i',
      action: 'A',
      reason: 'R',
      regarding: { apiVersion: 'v1', kind: 'K', namespace: 'shop', name: 'orders', uid: 'u' },
      note: 'n',
      type: 'Normal',
    };
    const base = '/k8s/clusters/c1';
    const wcred = `${base}/apis/workloadcredentials.io/v1alpha1/namespaces/shop/workloadcredentials/orders`;
    const core = `${base}/api/v1/namespaces/shop`;
    const json = 'application/json';
    const merge = 'application/merge-patch+json';
    const secret = { metadata: { name: 'orders' }, data: { a: 'aGVsbG8=' } };
    const calls: [() => Promise<unknown>, string, string, string | undefined, string][] = [
      [() => api.getWorkloadCredential(key, options), 'GET', wcred, undefined, json],
      [
        () => api.patchWorkloadCredentialStatus(key, { status: {} }, options),
        'PATCH',
        `${wcred}/status`,
        merge,
        PARTIAL,
      ],
      [() => api.getServiceAccountMetadata(key, options), 'GET', `${core}/serviceaccounts/orders`, undefined, PARTIAL],
      [() => api.getSecret(key, options), 'GET', `${core}/secrets/orders`, undefined, json],
      [() => api.getSecretMetadata(key, options), 'GET', `${core}/secrets/orders`, undefined, PARTIAL],
      [() => api.createSecret('shop', secret, options), 'POST', `${core}/secrets`, json, PARTIAL],
      [
        () => api.patchSecret(key, [{ op: 'remove', path: '/x' }], options),
        'PATCH',
        `${core}/secrets/orders`,
        'application/json-patch+json',
        PARTIAL,
      ],
      [
        () => api.deleteSecret(key, { uid: 'u', resourceVersion: '9' }, options),
        'DELETE',
        `${core}/secrets/orders`,
        json,
        PARTIAL,
      ],
      [
        () => api.getLease(key, options),
        'GET',
        `${base}/apis/coordination.k8s.io/v1/namespaces/shop/leases/orders`,
        undefined,
        json,
      ],
      [
        () => api.createLease('shop', lease, options),
        'POST',
        `${base}/apis/coordination.k8s.io/v1/namespaces/shop/leases`,
        json,
        json,
      ],
      [
        () => api.replaceLease(key, lease, options),
        'PUT',
        `${base}/apis/coordination.k8s.io/v1/namespaces/shop/leases/orders`,
        json,
        json,
      ],
      [
        () => api.createEvent('shop', event, options),
        'POST',
        `${base}/apis/events.k8s.io/v1/namespaces/shop/events`,
        json,
        json,
      ],
      [
        () => api.patchEvent(key, { series: {} }, options),
        'PATCH',
        `${base}/apis/events.k8s.io/v1/namespaces/shop/events/orders`,
        merge,
        json,
      ],
    ];
    for (const [call, method, path, contentType, accept] of calls) {
      await call();
      const request = http.requests.at(-1);
      assert.equal(request?.method, method, path);
      assert.equal(request.path, path);
      assert.equal(request.headers['content-type'], contentType, path);
      assert.equal(request.headers.accept, accept, path);
      const writes = method !== 'GET' && method !== 'DELETE';
      assert.equal(request.query.get('fieldManager'), writes ? 'workload-credentials' : null, path);
    }
    const body = (index: number): unknown => JSON.parse(http.requests[index]?.body ?? '');
    assert.deepEqual(body(5), { apiVersion: 'v1', kind: 'Secret', ...secret });
    assert.deepEqual(body(6), [{ op: 'remove', path: '/x' }]);
    assert.deepEqual((body(7) as { preconditions: unknown }).preconditions, { uid: 'u', resourceVersion: '9' });
    assert.deepEqual((body(10) as Lease).spec, lease.spec, 'times go out as they were given');
    assert.equal((body(11) as KubeEvent).eventTime, event.eventTime);
  });

  it('asks for what the fences refuse so that nothing comes of it, under a name of its own', async () => {
    const { http, api } = await setup((_request, reply) => reply.json(201, object));
    await api.tryForeignSecret('shop', options);
    await api.tryBoundToken(key, 'sts.amazonaws.com', options);
    const [secret, token] = http.requests;
    assert.equal(`${secret?.method} ${secret?.path}`, 'POST /api/v1/namespaces/shop/secrets');
    assert.equal(secret?.query.get('dryRun'), 'All');
    assert.deepEqual(JSON.parse(secret?.body ?? ''), {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'Opaque',
      metadata: { generateName: 'workload-credentials-fence-probe-' },
    });
    assert.equal(`${token?.method} ${token?.path}`, 'POST /api/v1/namespaces/shop/serviceaccounts/orders/token');
    assert.deepEqual((JSON.parse(token?.body ?? '') as { spec: object }).spec, {
      audiences: ['sts.amazonaws.com'],
      expirationSeconds: 600,
      boundObjectRef: {
        apiVersion: 'workloadcredentials.io/v1alpha1',
        kind: 'WorkloadCredential',
        name: 'workload-credentials-fence-probe',
      },
    });
    for (const request of http.requests) {
      assert.equal(request.query.get('fieldManager'), 'workload-credentials-fence-probe');
    }
  });

  it('gives objects as they are on the wire, times as strings', async () => {
    const lease = { ...object, spec: { renewTime: '2026-01-01T00:00:00.123456Z', leaseDurationSeconds: 15 } };
    const { api } = await setup((_request, reply) => reply.json(200, lease));
    assert.deepEqual(await api.getLease(key, options), lease);
    assert.deepEqual(await api.getWorkloadCredential(key, options), lease);
  });

  it('gives only metadata where only metadata was asked for, whatever the server sends', async () => {
    const { api } = await setup((_request, reply) => reply.json(200, { ...object, data: { a: 'c2VjcmV0' } }));
    const expected = { apiVersion: 'meta.k8s.io/v1', kind: 'PartialObjectMetadata', metadata: object.metadata };
    assert.deepEqual(await api.getSecretMetadata(key, options), expected);
    assert.deepEqual(await api.createSecret('shop', { metadata: { name: 'orders' } }, options), expected);
    assert.deepEqual(await api.patchSecret(key, [], options), expected);
  });

  it('tells a Status with reason, causes and Retry-After', async () => {
    const details = {
      causes: [{ reason: 'NamespaceTerminating', field: 'metadata.namespace', message: 'x' }, 'odd'],
      retryAfterSeconds: 3,
    };
    const { api } = await setup((request, reply) => {
      const headers: Record<string, string> = request.method === 'GET' ? { 'retry-after': '9' } : {};
      reply.json(403, status(403, 'Forbidden', 'it is being terminated', details), headers);
    });
    const error = await failure(api.createSecret('shop', { metadata: { name: 'orders' } }, options));
    assert.equal(error.kind, 'status');
    assert.equal(error.status, 403);
    assert.equal(error.reason, 'Forbidden');
    assert.deepEqual(error.causes, [{ reason: 'NamespaceTerminating', field: 'metadata.namespace', message: 'x' }]);
    assert.equal(error.retryAfterSeconds, 3);
    assert.equal(error.message, 'create secrets: 403 Forbidden it is being terminated');
    assert.equal((await failure(api.getSecret(key, options))).retryAfterSeconds, 9);
  });

  it('tells an error page by its status alone, and cuts a long message', async () => {
    const { api } = await setup((request, reply) => {
      if (request.method === 'GET') return reply.json(422, status(422, 'Invalid', 'x'.repeat(5_000)));
      reply.raw.writeHead(502, { 'content-type': 'text/html', 'x-secret': 'header' });
      reply.raw.end(`<html>${'secret page '.repeat(10_000)}`);
    });
    const page = await failure(api.patchEvent(key, {}, options));
    assert.equal(page.message, 'patch events: 502');
    const long = await failure(api.getSecret(key, options));
    assert.equal(long.message, `get secrets: 422 Invalid ${'x'.repeat(512)}`);
  });

  it('leaves out a message that repeats the data that we sent, encoded or plain', async () => {
    const plain = 'wJalrXUtnFEMI-K7MDENG-bPxRfiCY';
    const encoded = Buffer.from(plain).toString('base64');
    for (const piece of [encoded, encoded.slice(3, 20), plain, plain.slice(5, 20)]) {
      const { api } = await setup((_request, reply) =>
        reply.json(400, status(400, 'BadRequest', `cannot take "${piece}"`)),
      );
      const operations = [{ op: 'replace', path: '/data', value: { key: encoded } }] as const;
      for (const call of [
        api.patchSecret(key, operations, options),
        api.patchSecret(key, [{ op: 'add', path: '/data/key', value: encoded }], options),
        api.createSecret('shop', { metadata: { name: 'orders' }, data: { key: encoded } }, options),
      ]) {
        const error = await failure(call);
        assert.match(error.message, /: 400 BadRequest the message of the API server repeats what was sent/);
        assert.ok(!error.message.includes(piece));
      }
    }
  });

  it('leaves out a message that repeats a short value', async () => {
    const { api } = await setup((_request, reply) => reply.json(400, status(400, 'BadRequest', 'cannot take hunter2')));
    const data = { a: Buffer.from('hunter2').toString('base64') };
    const error = await failure(api.createSecret('shop', { metadata: { name: 'orders' }, data }, options));
    assert.doesNotMatch(error.message, /hunter2/);
  });

  it('keeps a message that names the Secret', async () => {
    const message = 'secrets "orders" already exists';
    const { api } = await setup((_request, reply) => reply.json(409, status(409, 'AlreadyExists', message)));
    const secret = { metadata: { name: 'orders' }, data: { a: 'aGVsbG8taGVsbG8taGVsbG8=' } };
    assert.equal(
      (await failure(api.createSecret('shop', secret, options))).message,
      `create secrets: 409 AlreadyExists ${message}`,
    );
  });

  it('calls an answer that is not JSON, not an object or too long malformed', async () => {
    const answers = ['{"metadata"', '[]', '{"metadata":{}}', JSON.stringify({ pad: 'x'.repeat(5 * 1024 * 1024) })];
    const { api } = await setup((_request, reply) => void reply.raw.end(answers.shift()));
    for (const expected of [/not JSON/, /not an object with/, /not an object with/, /longer than 4194304 bytes/]) {
      const error = await failure(api.getSecret(key, options));
      assert.equal(error.kind, 'malformed');
      assert.match(error.message, expected);
    }
  });

  it('tells a broken connection as network, and a broken body too', async () => {
    const { api } = await setup((request, reply) => {
      if (request.method === 'GET') return reply.reset();
      reply.raw.writeHead(500, { 'content-length': '100' });
      reply.raw.write('{', () => reply.reset());
    });
    const error = await failure(api.getSecret(key, options));
    assert.equal(error.kind, 'network');
    assert.equal(error.status, 0);
    assert.match(error.reason, /^(ECONNRESET|UND_ERR_SOCKET)$/);
    assert.equal((await failure(api.patchEvent(key, {}, options))).status, 500);
  });

  it('ends a call at its deadline, whether the head or the body is late', async () => {
    for (const withHead of [false, true]) {
      let stream: ScriptedStream | undefined;
      const { api, clock, http } = await setup((_request, reply) => {
        if (withHead) stream = reply.stream();
      });
      const call = failure(api.getSecret(key, options));
      await until(() => http.requests.length === 1 && (!withHead || stream !== undefined));
      await clock.advance(CALL_DEADLINE_MS);
      const error = await call;
      assert.equal(error.kind, 'timeout');
      assert.equal(error.message, 'get secrets: timeout DeadlineExceeded no whole answer within 10000 ms');
      await until(() => http.openConnections === 0, 'the connection closing');
      assert.equal(clock.waiters(), 0);
    }
  });

  it('ends a call when the caller aborts, with the reason, and closes the connection', async () => {
    const { api, clock, http } = await setup(() => {});
    const controller = new AbortController();
    const call = api.getSecret(key, { signal: controller.signal });
    await until(() => http.requests.length === 1);
    const reason = new Error('the Lease is lost');
    controller.abort(reason);
    await assert.rejects(call, reason);
    await until(() => http.openConnections === 0, 'the connection closing');
    assert.equal(clock.waiters(), 0);
    await assert.rejects(api.getSecret(key, { signal: controller.signal }), reason);
    assert.equal(http.requests.length, 1);
  });

  it('keeps no timer after an answer', async () => {
    const { api, clock } = await setup((_request, reply) => reply.json(200, object));
    await api.getSecret(key, options);
    assert.equal(clock.waiters(), 0);
  });

  it('refuses a name that would be another path, and sends nothing', async () => {
    const { api, http } = await setup((_request, reply) => reply.json(200, object));
    for (const name of ['', '.', '..']) {
      await assert.rejects(api.getSecret({ namespace: 'shop', name }, options), { kind: 'malformed' });
      await assert.rejects(api.getLease({ namespace: name, name: 'x' }, options), { kind: 'malformed' });
    }
    assert.equal(http.requests.length, 0);
    await api.getSecret({ namespace: 'shop', name: 'a/b?c' }, options);
    assert.equal(http.requests[0]?.path, '/api/v1/namespaces/shop/secrets/a%2Fb%3Fc');
  });
});
