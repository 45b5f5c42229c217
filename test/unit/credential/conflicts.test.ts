// Promises: a Secret that may not be written is explained with what its owner can do, and nothing is told of one that was
// not handed over.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Secret } from '../../../src/api/meta.ts';
import { contested, secretRefusal } from '../../../src/credential/conflicts.ts';
import {
  anAdopted,
  anOffered,
  aSecret,
  NAME,
  NAMESPACE,
  UID,
  withAnnotations,
  withMetadata,
} from '../../support/builders.ts';

const CONSENT =
  'kubectl label secret orders -n shop --overwrite workloadcredentials.io/name=orders && kubectl annotate secret orders -n shop --overwrite workloadcredentials.io/adopt=orders';
const CONTROLLER = [{ apiVersion: 'apps/v1', kind: 'Other', name: 'x', uid: 'x', controller: true }];

function refusal(secret: Secret): string {
  const error = secretRefusal(secret, { name: NAME, uid: UID }, { namespace: NAMESPACE, name: NAME });
  return error === undefined ? 'none' : `${error.code}: ${error.message}`;
}

for (const [what, secret] of [
  ['ours', aSecret()],
  ['ours and immutable', { ...aSecret(), immutable: true }],
  ['handed over', anOffered()],
  ['handed over and taken', anAdopted()],
] as const) {
  test(`a Secret that is ${what} may be written`, () => {
    assert.equal(refusal(secret), 'none');
  });
}

test("a foreign Secret's message ends with the lines that hand it over, and is the same whatever is in it", () => {
  const bare = { name: NAME, namespace: NAMESPACE };
  const message = refusal({ metadata: bare });
  assert.match(
    message,
    /^SecretConflict: Secret "orders" exists and does not belong to this WorkloadCredential; it was left alone/,
  );
  assert.ok(message.endsWith(`: ${CONSENT}`), message);
  assert.ok(message.length < 1024, 'status keeps it whole');
  assert.equal(refusal({ metadata: { ...bare, ownerReferences: CONTROLLER }, type: 'kubernetes.io/tls' }), message);
});

test('one that was taken back says that its keys are not refreshed, and how to hand it over again', () => {
  const message = refusal(withAnnotations(anAdopted(), { 'workloadcredentials.io/adopt': undefined }));
  assert.match(
    message,
    /^SecretConflict: .* was handed over to this WorkloadCredential, and is not any more; .* not refreshed/,
  );
  assert.ok(message.endsWith(`: ${CONSENT}`), message);
});

for (const [what, secret, wanted] of [
  ['immutable', { ...anOffered(), immutable: true }, /is immutable, so that nothing can be written; it was left alone/],
  ['immutable after it was taken', { ...anAdopted(), immutable: true }, /is immutable/],
  [
    'of another type',
    anOffered({ type: 'kubernetes.io/tls' }),
    /is of type "kubernetes.io\/tls", and only an Opaque one/,
  ],
  ['of a type that is a text', anOffered({ type: 'x"; rm' }), /it is of another type, and only/],
  ['without a type', { metadata: anOffered().metadata }, /it is of another type, and only/],
  [
    'of a controller',
    withMetadata(anOffered(), { ownerReferences: CONTROLLER }),
    /it has a controller \(metadata.ownerReferences\)/,
  ],
] as const) {
  test(`a Secret that is handed over and ${what} is refused with what is wrong and how to take the consent back`, () => {
    const message = refusal(secret);
    assert.match(message, /^SecretConflict: Secret "orders" is handed over to this WorkloadCredential, but it /);
    assert.match(message, wanted);
    assert.match(message, /kubectl annotate secret orders -n shop workloadcredentials.io\/adopt-$/);
  });
}

test('one that is being deleted is waited for, handed over or not', () => {
  for (const secret of [anOffered(), anAdopted(), aSecret()]) {
    const going = withMetadata(secret, { deletionTimestamp: '2026-11-22T12:00:00Z' });
    assert.match(refusal(going), /^SecretTerminating: Secret "orders" is being deleted/);
  }
});

test('a contested Secret comes with the command that lists the writers', () => {
  assert.match(contested(NAMESPACE, NAME).message, /kubectl get secret orders -n shop --show-managed-fields/);
});
