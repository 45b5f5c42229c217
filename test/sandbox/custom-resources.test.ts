// Promises: custom resources are pruned, defaulted and refused as kube-apiserver 1.36.4 does it, word for word: its answers
// to a CRD with every keyword are recorded beside this file (creates with dryRun=All). Our own resource is test/conformance's.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { APIServer } from '../../sandbox/apiserver/handler.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { SeededRandom } from '../support/fake-random.ts';
import { gadgetCRD } from './gadget-crd.ts';

type JSONValue = ReturnType<typeof JSON.parse>;

interface Recorded {
  readonly method: string;
  readonly target: string;
  readonly body: JSONValue;
  readonly headers?: Readonly<Record<string, string>>;
  readonly status: number;
  readonly warning?: string;
  readonly answer: JSONValue;
}

const ROOT = new URL('../../', import.meta.url);
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const GADGETS = '/apis/probe.io/v1/namespaces/default/gadgets';
const MERGE = { 'content-type': 'application/merge-patch+json' };

const read = (path: string): string => readFileSync(new URL(path, ROOT), 'utf8');
const gadgets = JSON.parse(read('test/sandbox/recorded-gadgets.json')) as Recorded[];

let server: APIServer;

async function call(method: string, target: string, body?: JSONValue, headers: Record<string, string> = {}) {
  const outcome = await server.handle({
    method,
    target,
    headers: { authorization: 'Bearer admin', 'content-type': 'application/json', ...headers },
    body: Buffer.from(typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body)),
    signal: new AbortController().signal,
  });
  assert.ok('status' in outcome && typeof outcome.body === 'string');
  return { status: outcome.status, headers: outcome.headers, body: JSON.parse(outcome.body) as JSONValue };
}

before(async () => {
  const options = { issuer: 'https://127.0.0.1:1', adminToken: 'admin' };
  server = new APIServer(options, { clock: new FakeClock(), random: new SeededRandom(1) });
  await call('POST', CRDS, gadgetCRD);
});

/** Go walks maps in any order: causes are compared as a set. */
function sortedCauses(details: JSONValue): JSONValue {
  if (!Array.isArray(details?.causes)) return details;
  const byText = (a: JSONValue, b: JSONValue): number => JSON.stringify(a).localeCompare(JSON.stringify(b));
  return { ...details, causes: details.causes.toSorted(byText) };
}

const words = (message: string): string[] => message.split(/, |\[|\]/).toSorted();

describe('a CRD with every schema keyword', () => {
  for (const [index, recorded] of gadgets.entries()) {
    const { method, target, body, headers, status, warning, answer } = recorded;
    const sent = typeof body === 'string' ? body : JSON.stringify(body?.spec ?? body);
    test(`is answered as by the real server: ${index} ${target.split('?')[1]} ${sent.slice(0, 90)}`, async () => {
      const seen = await call(method, target, body, headers);
      assert.equal(seen.status, status, seen.body.message);
      assert.equal(seen.headers['warning'], warning);
      const { metadata: _metadata, ...shown } = seen.body;
      if (status < 400) assert.deepEqual(shown, answer);
      else {
        assert.deepEqual(words(seen.body.message), words(answer.message));
        assert.deepEqual(sortedCauses(seen.body.details), sortedCauses(answer.details));
      }
    });
  }

  test('is served in discovery and OpenAPI at once, and Established', async () => {
    const { body } = await call('GET', `${CRDS}/gadgets.probe.io`);
    const state = Object.fromEntries(body.status.conditions.map((each: JSONValue) => [each.type, each.status]));
    assert.deepEqual(state, { NamesAccepted: 'True', Established: 'True' });
    const list = await call('GET', '/apis/probe.io/v1');
    assert.ok(list.body.resources.some(({ name }: JSONValue) => name === 'gadgets/status'));
    const document = await call('GET', '/openapi/v3/apis/probe.io/v1');
    const schema = document.body.components.schemas['probe.io.v1.Gadget'];
    assert.equal(schema.properties.spec.properties.s.maxLength, 6);
  });

  test('holds transition rules against updates, and lets old faults pass where nothing changed', async () => {
    const spec = { s: 'abc', frozen: 'a', optold: 1 };
    await call('POST', GADGETS, { apiVersion: 'probe.io/v1', kind: 'Gadget', metadata: { name: 'g' }, spec });
    const changed = await call('PATCH', `${GADGETS}/g`, { spec: { frozen: 'b' } }, MERGE);
    assert.equal(
      changed.body.message,
      'Gadget.probe.io "g" is invalid: spec.frozen: Invalid value: "b": frozen cannot change',
    );
    const removed = await call('PATCH', `${GADGETS}/g`, { spec: { frozen: null } }, MERGE);
    assert.equal(removed.body.message, 'Gadget.probe.io "g" is invalid: spec.frozen: Forbidden: frozen stays');
    // optionalOldSelf: 5 is forbidden at first only.
    assert.equal((await call('PATCH', `${GADGETS}/g`, { spec: { optold: 5 } }, MERGE)).status, 200);
  });

  test('checks the status through the status endpoint only', async () => {
    const object = { apiVersion: 'probe.io/v1', kind: 'Gadget', metadata: { name: 'h' }, spec: { s: 'abc' } };
    await call('POST', GADGETS, object);
    assert.equal((await call('PATCH', `${GADGETS}/h`, { status: { phase: 'C' } }, MERGE)).status, 200);
    const refused = await call('PATCH', `${GADGETS}/h/status`, { status: { phase: 'C' } }, MERGE);
    assert.match(refused.body.message, /status\.phase: Unsupported value: "C": supported values: "A", "B"/);
    const twice = { status: { conditions: [1, 2].map(() => ({ type: 'A', status: 'x' })) } };
    const duplicate = await call('PATCH', `${GADGETS}/h/status`, twice, MERGE);
    assert.match(duplicate.body.message, /status\.conditions\[1\]: Duplicate value: \{"type":"A"\}/);
  });

  test('offers its selectable fields to field selectors, and no others', async () => {
    const names = async (query: string): Promise<string[]> => {
      const { body } = await call('GET', `${GADGETS}?fieldSelector=${encodeURIComponent(query)}`);
      return body.items?.map(({ metadata }: JSONValue) => metadata.name) ?? [body.message];
    };
    assert.deepEqual(await names('spec.s=abc'), ['g', 'h']);
    assert.deepEqual(await names('spec.s!=abc'), []);
    assert.deepEqual(await names('spec.p=x'), ['field label not supported: spec.p']);
  });
});
