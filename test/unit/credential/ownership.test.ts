// Promises: nobody's Secret is taken for ours: only a UID proves it, never a name or a label.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ObjectMeta, OwnerReference } from '../../../src/api/meta.ts';
import { LABEL_NAME } from '../../../src/api/names.ts';
import {
  controllerOf,
  isShared,
  mayBeRead,
  mayBeTaken,
  type Ownership,
  ownership,
} from '../../../src/credential/ownership.ts';
import {
  anOffered,
  aSecret,
  FORMER_UID,
  NAME,
  UID,
  unowned,
  withAnnotations,
  withMetadata,
} from '../../support/builders.ts';

const OWNER_UID = 'workloadcredentials.io/owner-uid';
const ours = aSecret();
const former = aSecret({ ownerUID: FORMER_UID });
const reference = (change: Partial<OwnerReference>): ObjectMeta => {
  const [own] = former.metadata.ownerReferences ?? [];
  assert.ok(own);
  return withMetadata(former, { ownerReferences: [{ ...own, ...change }] }).metadata;
};
const going = { deletionTimestamp: '2026-11-22T12:00:00Z' };
const foreignController = [{ apiVersion: 'apps/v1', kind: 'Deployment', name: NAME, uid: 'x', controller: true }];

/** A Secret that its owner hands over, with other notes under our domain. */
function note(notes: Readonly<Record<string, string | undefined>>): ObjectMeta {
  const named = Object.entries(notes).map(([name, value]) => [`workloadcredentials.io/${name}`, value]);
  return withAnnotations(anOffered(), Object.fromEntries(named) as Record<string, string | undefined>).metadata;
}
const OFFERED = anOffered().metadata;
const ADOPTED = note({ 'adopter-uid': UID });

// One row for each way a Secret of our name can stand there.
const table: readonly (readonly [string, ObjectMeta, Ownership])[] = [
  ['our reference and our UID', ours.metadata, 'ours'],
  ['our reference alone', withAnnotations(ours, { [OWNER_UID]: undefined }).metadata, 'ours'],
  ['our UID alone, as Retain writes it', unowned(ours).metadata, 'ours'],
  ['our UID, without the label', withMetadata(unowned(ours), { labels: {} }).metadata, 'ours'],
  ['our reference, being deleted', withMetadata(ours, going).metadata, 'collecting'],
  [
    'our UID, but a controller of somebody else',
    withMetadata(ours, { ownerReferences: foreignController }).metadata,
    'foreign',
  ],
  ['a former resource of our name', former.metadata, 'collecting'],
  [
    'a former resource, whose own UID note was changed',
    withAnnotations(former, { [OWNER_UID]: 'x' }).metadata,
    'foreign',
  ],
  ['a former resource, without its UID note', withAnnotations(former, { [OWNER_UID]: undefined }).metadata, 'foreign'],
  ['another resource of our kind', reference({ name: 'other' }), 'foreign'],
  ['another kind of our group', reference({ kind: 'Other' }), 'foreign'],
  ['our kind of another group', reference({ apiVersion: 'workloadcredentials.io.example/v1' }), 'foreign'],
  ['a later version of our group', reference({ apiVersion: 'workloadcredentials.io/v1' }), 'collecting'],
  ['a former resource, retained', unowned(former).metadata, 'abandoned'],
  ['a former resource, retained and being deleted', withMetadata(unowned(former), going).metadata, 'collecting'],
  [
    'a retained Secret of another resource',
    withMetadata(unowned(former), { labels: { [LABEL_NAME]: 'x' } }).metadata,
    'foreign',
  ],
  ['a retained Secret without a label', withMetadata(unowned(former), { labels: {} }).metadata, 'foreign'],
  ['the label alone', { name: NAME, labels: { [LABEL_NAME]: NAME } }, 'foreign'],
  ['nothing', { name: NAME }, 'foreign'],
  [
    'a reference that is no controller',
    { name: NAME, ownerReferences: [{ ...foreignController[0], uid: UID, controller: false } as OwnerReference] },
    'foreign',
  ],
  // Handed over by its owner.
  ['the consent of its owner', OFFERED, 'offered'],
  ['the label, and consent for another name', note({ adopt: 'other' }), 'foreign'],
  ['consent, and the label of another name', { ...OFFERED, labels: { [LABEL_NAME]: 'other' } }, 'foreign'],
  ['consent without the label', { ...OFFERED, labels: {} }, 'foreign'],
  ['consent, and a controller', { ...OFFERED, ownerReferences: foreignController }, 'foreign'],
  ['consent, being deleted', { ...OFFERED, ...going }, 'collecting'],
  ['consent, after it was taken by a former resource', note({ 'adopter-uid': FORMER_UID }), 'offered'],
  ['consent, after it was retained by a former resource', note({ 'owner-uid': FORMER_UID }), 'offered'],
  ['consent, though it is ours whole', note({ 'owner-uid': UID }), 'ours'],
  ['consent, taken by us', ADOPTED, 'adopted'],
  ['consent, taken by us, the label lost', { ...ADOPTED, labels: {} }, 'adopted'],
  ['consent, taken by us, the label of another name', { ...ADOPTED, labels: { [LABEL_NAME]: 'other' } }, 'withdrawn'],
  ['consent, taken by us, being deleted', { ...ADOPTED, ...going }, 'collecting'],
  ['consent, taken by us, and a controller', { ...ADOPTED, ownerReferences: foreignController }, 'foreign'],
  ['consent, taken by us, and a forged owner-uid', note({ 'adopter-uid': UID, 'owner-uid': UID }), 'adopted'],
  [
    'consent, taken by a former resource, and a forged owner-uid',
    note({ 'adopter-uid': FORMER_UID, 'owner-uid': UID }),
    'offered',
  ],
  [
    'consent taken back from a former resource, and a forged owner-uid',
    note({ 'adopter-uid': FORMER_UID, 'owner-uid': UID, adopt: undefined }),
    'foreign',
  ],
  ['consent taken back', note({ 'adopter-uid': UID, adopt: undefined }), 'withdrawn'],
  ['consent given to another', note({ 'adopter-uid': UID, adopt: 'other' }), 'withdrawn'],
  [
    'consent taken back and a forged owner-uid',
    note({ 'adopter-uid': UID, 'owner-uid': UID, adopt: undefined }),
    'withdrawn',
  ],
  [
    'consent taken back after a former resource took it, which had retained it',
    note({ 'adopter-uid': FORMER_UID, 'owner-uid': FORMER_UID, adopt: undefined }),
    'foreign',
  ],
  ['consent for another, retained by a former resource', note({ 'owner-uid': FORMER_UID, adopt: 'other' }), 'foreign'],
];
for (const [what, metadata, wanted] of table) {
  test(`a Secret with ${what} is ${wanted}`, () => {
    assert.equal(ownership(metadata, { name: NAME, uid: UID }), wanted);
  });
}

test('what may be written and what may be read follows from whose it is', () => {
  const kinds = ['ours', 'abandoned', 'offered', 'adopted', 'withdrawn', 'collecting', 'foreign'] as const;
  assert.deepEqual(kinds.filter(mayBeTaken), ['ours', 'abandoned', 'offered', 'adopted']);
  assert.deepEqual(kinds.filter(isShared), ['offered', 'adopted']);
  assert.deepEqual(kinds.filter(mayBeRead), ['ours', 'offered', 'adopted']);
});

test('the controller is the reference that says so', () => {
  const others = [{ apiVersion: 'v1', kind: 'Pod', name: 'a', uid: 'a' }, ...foreignController];
  assert.equal(controllerOf({ name: NAME, ownerReferences: others })?.uid, 'x');
});
