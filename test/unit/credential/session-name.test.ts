// Promises: every session name is legal in every cloud, tells who asked, and is nobody else's.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sessionName } from '../../../src/credential/session-name.ts';

const parts = { clusterName: undefined, namespace: 'shop', serviceAccountName: 'orders', name: 'orders-s3' };

test('a short name says namespace, ServiceAccount and resource', () => {
  assert.equal(sessionName(parts), 'shop.orders.orders-s3');
});
test('a cluster name stands in front, an empty one does not', () => {
  assert.equal(sessionName({ ...parts, clusterName: 'prod-1' }), 'prod-1.shop.orders.orders-s3');
  assert.equal(sessionName({ ...parts, clusterName: '' }), 'shop.orders.orders-s3');
});
test('64 characters are left alone, 65 end with a hash of the whole', () => {
  const name = (length: number): string => sessionName({ ...parts, name: 'n'.repeat(length - 'shop.orders.'.length) });
  assert.equal(name(64), `shop.orders.${'n'.repeat(52)}`);
  assert.match(name(65), /^shop\.orders\.n{43}-[0-9a-f]{8}$/);
});
test('a cluster name with other characters is made legal, and told apart from the one that it looks like then', () => {
  const odd = sessionName({ ...parts, clusterName: 'prod/1 é' });
  assert.match(odd, /^prod-1--\.shop\.orders\.orders-s3-[0-9a-f]{8}$/);
  assert.notEqual(odd, sessionName({ ...parts, clusterName: 'prod-1--' }));
});

const label = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/);
const names = fc.record({
  clusterName: fc.option(fc.string(), { nil: undefined }),
  namespace: label,
  serviceAccountName: fc.stringMatching(/^[a-z0-9]([-a-z0-9.]{0,200}[a-z0-9])?$/),
  name: label,
});
test('every name has 2 to 64 characters of the legal set', () => {
  fc.assert(
    fc.property(names, (input) => {
      assert.match(sessionName(input), /^[A-Za-z0-9.@_-]{2,64}$/);
    }),
  );
});
test('two long names that differ in their end only are not one', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), (a, b) => {
      fc.pre(a !== b);
      const long = (end: string): string => sessionName({ ...parts, serviceAccountName: 'x'.repeat(100), name: end });
      assert.notEqual(long(a), long(b));
    }),
  );
});
