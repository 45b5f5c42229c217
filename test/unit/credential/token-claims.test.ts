// Promises: a token that does not say what the cloud has to see is told in our words, with both values, and no token.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CredentialError } from '../../../src/credential/errors.ts';
import { audiencesOf, describeClaims, readClaims, subjectOf } from '../../../src/credential/token-claims.ts';

const SIGNATURE = 'signature-that-is-secret';
const token = (payload: unknown): string =>
  `e30.${Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload)).toString('base64url')}.${SIGNATURE}`;
const GOOD = {
  iss: 'https://issuer.example',
  sub: 'system:serviceaccount:shop:orders',
  aud: ['sts.amazonaws.com'],
  jti: 'token-1',
  'kubernetes.io': { serviceaccount: { name: 'orders', uid: 'uid-1' } },
};
const WANTED = { audience: 'sts.amazonaws.com', subject: subjectOf('shop', 'orders') };

test('a good token tells issuer, subject, audience, its id and the UID of the ServiceAccount', () => {
  assert.deepEqual(readClaims(token(GOOD), WANTED), {
    issuer: 'https://issuer.example',
    subject: 'system:serviceaccount:shop:orders',
    audiences: ['sts.amazonaws.com'],
    tokenID: 'token-1',
    serviceAccountUID: 'uid-1',
  });
});

test('an audience may be one text, and what is not there is undefined', () => {
  const claims = readClaims(token({ ...GOOD, aud: 'sts.amazonaws.com', jti: 5, 'kubernetes.io': null }), WANTED);
  assert.equal(claims.tokenID, undefined);
  assert.equal(claims.serviceAccountUID, undefined);
});

for (const [what, bad, words] of [
  ['no issuer', { ...GOOD, iss: '' }, /names no issuer; set --service-account-issuer/],
  ['an issuer that is no text', { ...GOOD, iss: 5 }, /names no issuer/],
  [
    'another subject',
    { ...GOOD, sub: 'system:serviceaccount:shop:other' },
    /"system:serviceaccount:shop:other", not "system:serviceaccount:shop:orders"/,
  ],
  ['no subject', { ...GOOD, sub: undefined }, /subject "", not/],
  ['another audience', { ...GOOD, aud: ['other'] }, /audience "other", not only "sts\.amazonaws\.com"/],
  [
    'a further audience',
    { ...GOOD, aud: ['sts.amazonaws.com', 'api'] },
    /audience "sts\.amazonaws\.com", "api", not only/,
  ],
  ['no audience', { ...GOOD, aud: [] }, /audience none, not only/],
  ['a payload that is no JSON', 'not json', /names no issuer/],
  ['a payload that is no object', '"text"', /names no issuer/],
] as const) {
  test(`a token with ${what} is TokenMismatch, and is not shown`, () => {
    assert.throws(
      () => readClaims(token(bad), WANTED),
      (error) =>
        error instanceof CredentialError &&
        error.code === 'TokenMismatch' &&
        words.test(error.message) &&
        !error.message.includes(SIGNATURE),
    );
  });
}

test('what is no token is TokenMismatch and names no audience', () => {
  assert.throws(() => readClaims('', WANTED), { code: 'TokenMismatch' });
  assert.deepEqual(audiencesOf('nonsense'), []);
});

test('a claim can neither end its line nor flood a message', () => {
  const sub = `a"\n${'x'.repeat(10_000)}`;
  assert.throws(
    () => readClaims(token({ ...GOOD, sub }), WANTED),
    (error) => error instanceof Error && !error.message.includes('\n') && error.message.length < 700,
  );
});

test('a person reads what to hold against the trust policy', () => {
  assert.equal(
    describeClaims(readClaims(token(GOOD), WANTED)),
    'The token said issuer "https://issuer.example", subject "system:serviceaccount:shop:orders", audience "sts.amazonaws.com".',
  );
});
