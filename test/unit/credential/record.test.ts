// Promises: a Secret's word on its credential is believed only if it holds together; whatever was tampered with is not.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Secret } from '../../../src/api/meta.ts';
import { failureTimeMs, formatTime, parseTime, readRecord, verifyRecord } from '../../../src/credential/record.ts';
import {
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

const annotation = (name: string): string => `workloadcredentials.io/${name}`;
const changed = (name: string, value: string | undefined): Secret =>
  withAnnotations(aSecret(), { [annotation(name)]: value });

test('an untouched Secret is believed, with its times and hashes', () => {
  const secret = aSecret({ refreshHandled: 'one' });
  const record = verifyRecord(secret, UID, T0);
  assert.equal(record?.issueTimeMs, T0);
  assert.equal(record.expirationTimeMs, T0 + HOUR);
  assert.equal(record.refreshHandled, 'one');
  assert.deepEqual(readRecord(secret.metadata, UID, T0), record);
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
    assert.equal(verifyRecord(secret, UID, T0), undefined);
    assert.equal(readRecord(secret.metadata, UID, T0) === undefined, isPlain);
  });
}

test('an issue 5 minutes ahead and a life of 43,500 seconds are still believed', () => {
  const secret = aSecret({ issueTimeMs: T0 + 5 * MINUTE, lifeMs: 43_500 * SECOND });
  assert.notEqual(verifyRecord(secret, UID, T0), undefined);
});

test('an ended credential is still a record: it tells when it ended', () => {
  assert.equal(verifyRecord(aSecret(), UID, T0 + 2 * HOUR)?.expirationTimeMs, T0 + HOUR);
});

test('what is not covered does not matter: render-hash, the answered request, labels', () => {
  const secret = withMetadata(withAnnotations(aSecret(), { [annotation('render-hash')]: undefined }), { labels: {} });
  assert.equal(verifyRecord(secret, UID, T0)?.renderHash, '');
});

test('a Secret without annotations has no record', () => {
  assert.equal(readRecord({ name: 'orders' }, UID, T0), undefined);
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
