// Promises: what a cloud says is told as it is, unless it is secret, long or unprintable.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cloudCode, cloudMessage, cloudName, cloudRequestID } from '../../../src/providers/cloud-message.ts';

const TOKEN = `${Buffer.from('{"alg":"RS256"}').toString('base64url')}.${Buffer.from('{"iss":"x"}').toString('base64url')}.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg`;

for (const message of [
  'Not authorized to perform sts:AssumeRoleWithWebIdentity',
  'The requested DurationSeconds exceeds the MaxSessionDuration set for this role.',
  'User: arn:aws:sts::123456789012:assumed-role/platform/orders-production-eu-west-1-writer-of-everything is not authorized',
  'No OpenIDConnect provider found in your account for https://oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE',
]) {
  test(`"${message.slice(0, 40)}..." is told word for word`, () => {
    assert.equal(cloudMessage(message, TOKEN), message);
  });
}

test('what is no text is an empty message, no code and no name', () => {
  for (const value of [undefined, null, 5, {}, ['a']]) {
    assert.equal(cloudMessage(value, TOKEN), '');
    assert.equal(cloudCode(value, TOKEN), undefined);
    assert.equal(cloudName(value, TOKEN), undefined);
  }
});

test('without a token nothing but what looks like a key is removed', () => {
  assert.equal(cloudMessage('plain words', ''), 'plain words');
  assert.equal(cloudMessage(`a ${TOKEN} b`, ''), 'a [removed] b');
});

test('a code is a short word that begins with a letter', () => {
  assert.equal(cloudCode('AccessDenied', TOKEN), 'AccessDenied');
  assert.equal(cloudCode('Throttling.User', TOKEN), 'Throttling.User');
  for (const code of ['', ' AccessDenied', '<html>', '4xx', `A${'b'.repeat(64)}`, TOKEN]) {
    assert.equal(cloudCode(code, TOKEN), undefined, code);
  }
});

test('property: no 16 characters of the token survive, whatever stands around them', () => {
  const signed = fc.stringMatching(/^[A-Za-z0-9_-]{16,60}$/).map((signature) => `${TOKEN.slice(0, 30)}.${signature}`);
  const around = fc.oneof(fc.string({ maxLength: 20 }), fc.constantFrom('', ' ', '"', '&', '\n', '='));
  fc.assert(
    fc.property(
      signed,
      fc.nat(40),
      fc.integer({ min: 16, max: 60 }),
      fc.tuple(around, around),
      (token, from, length, ends) => {
        const piece = token.slice(from, from + length);
        const told = cloudMessage(`${ends[0]}${piece}${ends[1]}`, token);
        for (let start = 0; start + 16 <= token.length; start += 1) {
          // A dot ends a run, so a piece counts within one part.
          const window = token.slice(start, start + 16);
          assert.ok(window.includes('.') || !told.includes(window), told);
        }
      },
    ),
  );
});

test('a message that repeats a secret in another case, encoding or spacing is not told', () => {
  const key = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
  for (const [secret, disguised] of [
    [TOKEN, TOKEN.toLowerCase()],
    [key, key.toLowerCase().replaceAll('/', '-')],
    [key, encodeURIComponent(key)],
    [key, key.replaceAll('/', '\\/').toUpperCase()],
    [key, key.split('').join(' ')],
    [key, `${key.slice(0, 15)} ${key.slice(15, 30)} ${key.slice(30)}`],
  ] as const) {
    assert.equal(cloudMessage(`seen: ${disguised}`, secret), '[removed]', disguised);
  }
});

test('property: a message is one line of printable characters and at most 300 long', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 6000 }), (text) => {
      assert.match(cloudMessage(text, TOKEN), /^[\x20\x21\x23-\x7e]{0,300}$/);
    }),
  );
});

test("the clouds' request ids are told; a key, a token or a piece of it in their place is not", () => {
  for (const id of [
    'c6104cbe-af31-11e0-8154-cbc7ccf896c7',
    '6894B13B-6D71-4EF5-88FA-F32781734A7F',
    '20260101080000A1B2C3D4E5F60718293A',
    '02176731234567800000000000000000000ffffac1c3f4d8a9b1c',
  ]) {
    assert.equal(cloudRequestID(id, TOKEN), id);
  }
  const key = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
  for (const unfit of [key, TOKEN, TOKEN.slice(4, 30), 'with space', 7, undefined, '']) {
    assert.equal(cloudRequestID(unfit, TOKEN), undefined);
  }
  assert.equal(cloudRequestID('a.'.repeat(100), TOKEN)?.length, 128);
  assert.equal(cloudCode(`A${key.replaceAll('/', 'x')}`, TOKEN), undefined);
});
