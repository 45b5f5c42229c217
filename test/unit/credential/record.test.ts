// Promises: a Secret's word on its credential is believed only if it holds together; whatever was tampered with is not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Secret } from '../../../src/api/meta.ts';
import { failureTimeMs, formatTime, parseTime, readRecord, verifyRecord } from '../../../src/credential/record.ts';
import { contentHash } from '../../../src/credential/hashes.ts';
import {
  anAdopted,
  aSecret,
  FORMER_UID,
  HOUR,
  MINUTE,
  SECOND,
  T0,
  UID,
  withAnnotations,
  withMetadata,
} from '../../support/builders.ts';

const OWNER = { uid: UID, shares: false };
const annotation = (name: string): string => `workloadcredentials.io/${name}`;
const changed = (name: string, value: string | undefined): Secret =>
  withAnnotations(aSecret(), { [annotation(name)]: value });

test('an untouched Secret is believed, with its times and hashes', () => {
  const secret = aSecret({ refreshHandled: 'one' });
  const record = verifyRecord(secret, OWNER, T0);
  assert.equal(record?.issueTimeMs, T0);
  assert.equal(record.expirationTimeMs, T0 + HOUR);
  assert.equal(record.refreshHandled, 'one');
  assert.deepEqual(readRecord(secret.metadata, OWNER, T0), record);
});

// [sentence, Secret, whether its metadata alone give it away]
const tampered: readonly (readonly [string, Secret, boolean])[] = [
  ['a changed value', { ...aSecret(), data: { ...aSecret().data, config: 'eA==' } }, false],
  ['a further key', { ...aSecret(), data: { ...aSecret().data, extra: 'eA==' } }, false],
  ['a key less', { ...aSecret(), data: { config: aSecret().data?.['config'] ?? '' } }, false],
  ['no data', { metadata: aSecret().metadata }, false],
  ['a later expiration', changed('expiration-time', formatTime(T0 + 2 * HOUR)), false],
  ['the same expiration, written otherwise', changed('expiration-time', '2026-11-22T14:00:00+01:00'), false],
  ['an earlier issue', changed('issue-time', formatTime(T0 - 1)), false],
  ['another request-hash', changed('request-hash', 'v1.0'), false],
  ['another content-hash', changed('content-hash', 'v1.0'), false],
  ['no content-hash', changed('content-hash', undefined), true],
  ['no request-hash', changed('request-hash', undefined), true],
  ['no issue time', changed('issue-time', undefined), true],
  ['no expiration time', changed('expiration-time', undefined), true],
  ['a time that is none', changed('expiration-time', 'soon'), true],
  ['the owner UID of a former resource', changed('owner-uid', FORMER_UID), true],
  ['no owner UID', changed('owner-uid', undefined), true],
  ['an end before the issue', aSecret({ lifeMs: -SECOND }), true],
  ['an end at the issue', aSecret({ lifeMs: 0 }), true],
  ['a life that no cloud gives', aSecret({ lifeMs: 43_501 * SECOND }), true],
  ['an issue more than 5 minutes ahead', aSecret({ issueTimeMs: T0 + 5 * MINUTE + SECOND }), true],
];
for (const [what, secret, isPlain] of tampered) {
  test(`a Secret with ${what} is not believed`, () => {
    assert.equal(verifyRecord(secret, OWNER, T0), undefined);
    assert.equal(readRecord(secret.metadata, OWNER, T0) === undefined, isPlain);
  });
}

test('an issue 5 minutes ahead and a life of 43,500 seconds are still believed', () => {
  const secret = aSecret({ issueTimeMs: T0 + 5 * MINUTE, lifeMs: 43_500 * SECOND });
  assert.notEqual(verifyRecord(secret, OWNER, T0), undefined);
});

test('an ended credential is still a record: it tells when it ended', () => {
  assert.equal(verifyRecord(aSecret(), OWNER, T0 + 2 * HOUR)?.expirationTimeMs, T0 + HOUR);
});

test('what is not covered does not matter: render-hash, the answered request, labels', () => {
  const secret = withMetadata(withAnnotations(aSecret(), { [annotation('render-hash')]: undefined }), { labels: {} });
  assert.equal(verifyRecord(secret, OWNER, T0)?.renderHash, '');
});

test('a Secret without annotations has no record', () => {
  assert.equal(readRecord({ name: 'orders' }, OWNER, T0), undefined);
});

test('a time is written in whole seconds, rounded down, and reads back', () => {
  assert.equal(formatTime(T0 + 999), '2026-11-22T12:00:00Z');
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4e12 }), (timeMs) => {
      const text = formatTime(timeMs);
      assert.match(text, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      assert.equal(parseTime(text), timeMs - (timeMs % 1000));
    }),
  );
});

for (const [text, wanted] of [
  ['2026-11-22T12:00:00Z', T0],
  ['2026-11-22T12:00:00.5Z', T0 + 500],
  ['2026-11-22T20:00:00+08:00', T0],
  ['2026-11-22T12:00:00', undefined],
  ['2026-11-22', undefined],
  ['1', undefined],
  ['2026-13-22T12:00:00Z', undefined],
  ['+012026-11-22T12:00:00Z', undefined],
  [' 2026-11-22T12:00:00Z', undefined],
  ['', undefined],
  [undefined, undefined],
] as const) {
  test(`the time ${JSON.stringify(text)} is ${wanted === undefined ? 'none: it is not RFC 3339 with an offset' : 'read'}`, () => {
    assert.equal(parseTime(text), wanted);
  });
}

test("a failure's time is rounded up to what status can hold", () => {
  assert.equal(failureTimeMs(T0), T0);
  assert.equal(failureTimeMs(T0 + 1), T0 + SECOND);
});

const SHARER = { uid: UID, shares: true };
const adopted = (name: string, value: string | undefined): Secret =>
  withAnnotations(anAdopted(), { [annotation(name)]: value });

test('of a Secret that was handed over our part is believed, whatever becomes of the rest', () => {
  const record = verifyRecord(anAdopted(), SHARER, T0);
  assert.equal(record?.expirationTimeMs, T0 + HOUR);
  assert.deepEqual(readRecord(anAdopted().metadata, SHARER, T0), record);
  const theirs = { ...anAdopted(), data: { ...anAdopted().data, theirs: 'bmV3', more: 'eA==' } };
  assert.deepEqual(verifyRecord(theirs, SHARER, T0), record);
});

for (const [what, secret] of [
  ['a changed value of ours', { ...anAdopted(), data: { ...anAdopted().data, config: 'eA==' } }],
  [
    'a damaged value that the note leaves out',
    { ...adopted('data-keys', 'credentials.json'), data: { ...anAdopted().data, config: 'eA==' } },
  ],
  ['a key of others in the note', adopted('data-keys', 'config,credentials.json,theirs')],
  ['no note', adopted('data-keys', undefined)],
  ['the UID of another in the place of ours', adopted('adopter-uid', FORMER_UID)],
  [
    'owner-uid in the place of adopter-uid',
    withAnnotations(adopted('adopter-uid', undefined), { [annotation('owner-uid')]: UID }),
  ],
] as const) {
  test(`a Secret that was handed over, with ${what}, is not believed`, () => {
    assert.equal(verifyRecord(secret, SHARER, T0), undefined);
  });
}

test('a note of no key with a hash over nothing is not believed', () => {
  const { requestHash = '' } = verifyRecord(anAdopted(), SHARER, T0) ?? {};
  const times = { issueTime: formatTime(T0), expirationTime: formatTime(T0 + HOUR) };
  const forged = withAnnotations(anAdopted(), {
    [annotation('data-keys')]: '',
    [annotation('content-hash')]: contentHash({ data: {}, ...times, requestHash }),
  });
  assert.equal(verifyRecord(forged, SHARER, T0), undefined);
});

test('a Secret of ours whole is not believed in part, whatever notes somebody adds to it', () => {
  const { data, ...secret } = aSecret();
  const forged = withAnnotations(
    { ...secret, data: { ...data, extra: 'eA==' } },
    { [annotation('adopter-uid')]: UID, [annotation('data-keys')]: 'config,credentials.json' },
  );
  assert.equal(verifyRecord(forged, OWNER, T0), undefined);
});
