// Promises: nobody's Secret is taken for ours: only a UID proves it, never a name or a label.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ObjectMeta, OwnerReference } from '../../../src/api/meta.ts';
import { LABEL_NAME } from '../../../src/api/names.ts';
import { controllerOf, type Ownership, ownership } from '../../../src/credential/ownership.ts';
import { aSecret, FORMER_UID, NAME, UID, unowned, withAnnotations, withMetadata } from '../../support/builders.ts';

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
];
for (const [what, metadata, wanted] of table) {
  test(`a Secret with ${what} is ${wanted}`, () => {
    assert.equal(ownership(metadata, { name: NAME, uid: UID }), wanted);
  });
}

test('the controller is the reference that says so', () => {
  const others = [{ apiVersion: 'v1', kind: 'Pod', name: 'a', uid: 'a' }, ...foreignController];
  assert.equal(controllerOf({ name: NAME, ownerReferences: others })?.uid, 'x');
});
