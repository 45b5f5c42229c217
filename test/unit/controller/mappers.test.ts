// Which keys an event wakes, and who of two writers of one Secret keeps it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { PartialObjectMetadata } from '../../../src/api/meta.ts';
import type { WorkloadCredential } from '../../../src/api/types.gen.ts';
import {
  CredentialIndex,
  credentialHandler,
  type IsEcho,
  keyOf,
  secretHandler,
  serviceAccountHandler,
  splitKey,
} from '../../../src/controller/mappers.ts';
import { aCredential } from '../../support/builders.ts';

function credential(name: string, secret = name, change: Partial<WorkloadCredential['metadata']> = {}) {
  const base = aCredential({ name, spec: { secret: { name: secret } } });
  return { ...base, metadata: { ...base.metadata, uid: `uid-${name}`, ...change } };
}

function object(name: string, metadata: Partial<PartialObjectMetadata['metadata']> = {}): PartialObjectMetadata {
  return { metadata: { name, namespace: 'shop', ...metadata } };
}

function bench(isEcho?: IsEcho) {
  const index = new CredentialIndex();
  const woken: string[] = [];
  const enqueue = (key: string): void => void woken.push(key);
  const taken = (): string[] => [...new Set(woken.splice(0))].sort();
  return {
    index,
    taken,
    credentials: credentialHandler(index, enqueue, isEcho),
    secrets: secretHandler(index, enqueue, isEcho),
    serviceAccounts: serviceAccountHandler(index, enqueue),
  };
}

describe('keys', () => {
  test('a key is namespace and name, and splits into them', () => {
    assert.equal(keyOf(aCredential()), 'shop/orders');
    assert.deepEqual(splitKey('shop/orders'), { namespace: 'shop', name: 'orders' });
  });
});

describe('our own write, come back', () => {
  test('wakes nobody, and every other news does', () => {
    const { credentials, secrets, taken } = bench(({ metadata }) => metadata.resourceVersion === '7');
    credentials.onAdd(credential('orders'));
    taken();
    credentials.onUpdate(credential('orders'), credential('orders', undefined, { resourceVersion: '7' }));
    secrets.onAdd(object('orders', { resourceVersion: '7' }));
    secrets.onUpdate(object('orders'), object('orders', { resourceVersion: '7' }));
    assert.deepEqual(taken(), []);
    credentials.onUpdate(credential('orders'), credential('orders', undefined, { resourceVersion: '8' }));
    assert.deepEqual(taken(), ['shop/orders']);
    secrets.onUpdate(object('orders'), object('orders', { resourceVersion: '8' }));
    assert.deepEqual(taken(), ['shop/orders']);
    secrets.onDelete(object('orders', { resourceVersion: '7' }));
    assert.deepEqual(taken(), ['shop/orders']);
  });
});

describe("our own write that came back together with somebody else's, as a list tells them", () => {
  const isEcho: IsEcho = ({ metadata }) => metadata.resourceVersion === '7';

  test('wakes its key, and the index learns of the change', () => {
    const { credentials, taken, index } = bench(isEcho);
    const before = credential('orders');
    credentials.onAdd(before);
    taken();
    const after = credential('orders', undefined, { resourceVersion: '7', generation: 2 });
    credentials.onUpdate(before, { ...after, spec: { ...after.spec, serviceAccountName: 'another' } });
    assert.deepEqual(taken(), ['shop/orders']);
    assert.deepEqual(index.usersOf('shop/another'), ['shop/orders']);
  });

  test('wakes its key also when it was a refresh that was asked for', () => {
    const { credentials, taken } = bench(isEcho);
    const annotations = { 'workloadcredentials.io/refresh-requested': 'now' };
    credentials.onUpdate(credential('orders'), credential('orders', undefined, { resourceVersion: '7', annotations }));
    assert.deepEqual(taken(), ['shop/orders']);
  });
});

describe('many resources that name one Secret', () => {
  test('cost one look each as they come and go, as long as its holder stays', () => {
    const { credentials, taken } = bench();
    const names = Array.from({ length: 50 }, (_, index) => `rival-${index}`);
    const young = { creationTimestamp: '2026-12-01T00:00:00Z' };
    credentials.onAdd(credential('holder', 'shared'));
    taken();
    for (const name of names) {
      credentials.onAdd(credential(name, 'shared', young));
      assert.deepEqual(taken(), [`shop/${name}`]);
    }
    for (const name of names.slice(1)) {
      credentials.onDelete(credential(name, 'shared', young));
      assert.deepEqual(taken(), [`shop/${name}`]);
    }
    credentials.onDelete(credential('holder', 'shared'));
    assert.deepEqual(taken(), ['shop/holder', 'shop/rival-0']);
  });

  test('are told of an older one that comes late, as in the order of a list', () => {
    const { credentials, taken } = bench();
    credentials.onAdd(credential('a', 'shared', { creationTimestamp: '2026-01-02T00:00:00Z' }));
    taken();
    credentials.onAdd(credential('b', 'shared', { creationTimestamp: '2026-01-01T00:00:00Z' }));
    assert.deepEqual(taken(), ['shop/a', 'shop/b']);
  });
});

describe('a WorkloadCredential', () => {
  test('wakes itself when it comes and changes', () => {
    const { credentials, taken } = bench();
    credentials.onAdd(credential('orders'));
    assert.deepEqual(taken(), ['shop/orders']);
    credentials.onUpdate(credential('orders'), credential('orders'));
    assert.deepEqual(taken(), ['shop/orders']);
  });

  test('wakes those who wait for its Secret when it goes', () => {
    const { credentials, taken, index } = bench();
    credentials.onAdd(credential('a', 'shared'));
    credentials.onAdd(credential('b', 'shared'));
    taken();
    credentials.onDelete(credential('a', 'shared'));
    assert.deepEqual(taken(), ['shop/a', 'shop/b']);
    assert.equal(index.contenderOf('shop/b'), undefined);
  });

  test('that was created anew with another Secret while nobody watched wakes those who waited for the old one', () => {
    const { credentials, taken } = bench();
    credentials.onAdd(credential('a', 'shared'));
    credentials.onAdd(credential('b', 'shared'));
    credentials.onAdd(credential('c', 'other'));
    taken();
    credentials.onUpdate(credential('a', 'shared'), credential('a', 'other', { uid: 'uid-anew' }));
    assert.deepEqual(taken(), ['shop/a', 'shop/b', 'shop/c']);
  });

  test('leaves nothing in the index when it goes', () => {
    const { credentials, index } = bench();
    credentials.onAdd(credential('a', 'shared'));
    credentials.onDelete(credential('a', 'shared'));
    assert.deepEqual(index.writersOf('shop/shared'), []);
    assert.deepEqual(index.usersOf('shop/orders'), []);
  });
});

describe('two writers of one Secret', () => {
  test('the older one keeps it', () => {
    const { index } = bench();
    index.set(credential('b', 'shared', { creationTimestamp: '2026-01-01T00:00:00Z' }));
    index.set(credential('a', 'shared', { creationTimestamp: '2026-01-02T00:00:00Z' }));
    assert.equal(index.contenderOf('shop/a'), 'b');
    assert.equal(index.contenderOf('shop/b'), undefined);
  });

  test('of the same second the first by name keeps it, for every replica alike', () => {
    const { index } = bench();
    index.set(credential('b', 'shared'));
    index.set(credential('a', 'shared'));
    assert.equal(index.contenderOf('shop/b'), 'a');
    assert.equal(index.contenderOf('shop/a'), undefined);
  });

  test('a resource that is not known has no contender', () => {
    assert.equal(bench().index.contenderOf('shop/none'), undefined);
  });
});

describe('a Secret', () => {
  test('wakes its writers and the one that its label names', () => {
    const { credentials, secrets, taken } = bench();
    credentials.onAdd(credential('a', 'cloud'));
    taken();
    secrets.onAdd(object('cloud', { labels: { 'workloadcredentials.io/name': 'former' } }));
    assert.deepEqual(taken(), ['shop/a', 'shop/former']);
    secrets.onUpdate(object('cloud'), object('cloud'));
    assert.deepEqual(taken(), ['shop/a']);
    secrets.onDelete(object('cloud'));
    assert.deepEqual(taken(), ['shop/a']);
    secrets.onAdd(object('nobodys'));
    assert.deepEqual(taken(), []);
  });
});

describe('a ServiceAccount', () => {
  const consent = (allow: string, uid = 'u'): PartialObjectMetadata =>
    object('orders', { uid, annotations: { 'workloadcredentials.io/allow': allow } });

  test('wakes its users when it comes and goes', () => {
    const { credentials, serviceAccounts, taken } = bench();
    credentials.onAdd(credential('a'));
    credentials.onAdd(credential('b'));
    taken();
    serviceAccounts.onAdd(object('orders'));
    assert.deepEqual(taken(), ['shop/a', 'shop/b']);
    serviceAccounts.onDelete(object('orders'));
    assert.deepEqual(taken(), ['shop/a', 'shop/b']);
    serviceAccounts.onAdd(object('another'));
    assert.deepEqual(taken(), []);
  });

  test('wakes nobody by a change that is neither its consent nor its identity', () => {
    const { credentials, serviceAccounts, taken } = bench();
    credentials.onAdd(credential('a'));
    taken();
    serviceAccounts.onUpdate(consent('a'), consent('a'));
    assert.deepEqual(taken(), []);
    serviceAccounts.onUpdate(consent('a'), consent('a,b'));
    assert.deepEqual(taken(), ['shop/a']);
    serviceAccounts.onUpdate(consent('a'), consent('a', 'another'));
    assert.deepEqual(taken(), ['shop/a']);
  });
});
