// What is kept of cached objects: nothing of a Secret's data, in whatever form they come.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { projectCredential, projectSecret } from '../../../src/controller/projections.ts';

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
const annotations = { [LAST_APPLIED]: '{"data":{"password":"aHVudGVyMg=="}}', 'shop/owner': 'team-a' };

test('the data that kubectl apply writes into an annotation of a Secret are not kept', () => {
  const secret = projectSecret({ metadata: { name: 'orders', namespace: 'shop', annotations } });
  assert.deepEqual(secret.metadata.annotations, { 'shop/owner': 'team-a' });
  assert.ok(!JSON.stringify(secret).includes('aHVudGVyMg'));
});

test('data that come in spite of all are not kept either', () => {
  const wire = { metadata: { name: 'orders' }, data: { password: 'aHVudGVyMg==' } };
  assert.deepEqual(projectSecret(wire), { metadata: { name: 'orders' } });
});

test('of a resource the annotation of kubectl apply is not kept', () => {
  const credential = projectCredential({ metadata: { name: 'orders', annotations } });
  assert.deepEqual(credential.metadata.annotations, { 'shop/owner': 'team-a' });
});
