// Promises: no lie of an STS gets into a Secret, and no secret out of the values that hold it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { acceptAnswer, type Credential, type ExchangeAnswer, SecretText } from '../../../src/credential/credentials.ts';
import { CredentialError } from '../../../src/credential/errors.ts';
import { HOUR, MINUTE, PARTS, SECOND, T0 } from '../../support/builders.ts';

const answer = (change: Partial<ExchangeAnswer> = {}): ExchangeAnswer => ({
  ...PARTS,
  expiration: new Date(T0 + HOUR),
  answerDateMs: T0,
  identity: 'arn:aws:sts::123456789012:assumed-role/orders/shop.orders.orders',
  requestID: 'request-1',
  ...change,
});
const accept = (change: Partial<ExchangeAnswer> = {}, requestedSeconds = 3600, nowMs = T0): Credential =>
  acceptAnswer(answer(change), requestedSeconds, nowMs);

test('a good answer becomes a credential', () => {
  const { secretAccessKey, sessionToken, ...rest } = accept();
  assert.equal(secretAccessKey.reveal(), PARTS.secretAccessKey);
  assert.equal(sessionToken.reveal(), PARTS.sessionToken);
  assert.deepEqual(rest, {
    accessKeyID: PARTS.accessKeyID,
    issueTimeMs: T0,
    expirationTimeMs: T0 + HOUR,
    identity: 'arn:aws:sts::123456789012:assumed-role/orders/shop.orders.orders',
    requestID: 'request-1',
  });
});

for (const [cloud, accessKeyID, secretAccessKey, sessionToken] of [
  [
    'AWS',
    'ASIAIOSFODNN7EXAMPLE',
    'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
    'IQoJb3JpZ2luX2VjEJr//////////wEaCXVz+a==',
  ],
  [
    'Alibaba Cloud',
    'STS.NUgYrLnoC37mZZCNnAbez',
    'CVwjCkNzTMupZ8NbTCxCBRq3K16jtcWFTJAyBEv2',
    'CAIS/wF1q6Ft5B2yfSjIr5bkDtTn+g==',
  ],
  [
    'Volcengine',
    'AKTPYmI1Zjk2YjYxNDQ4NDM4NzhkNjZjYzk',
    'TldZNE5UVXhPRGMwTVRnMU5EZzBPVGc=',
    'STS2eyJMVEFjY2Vzc0tleUlkIjoiQUtMVCJ9/+=',
  ],
] as const) {
  test(`a credential in the form of ${cloud} is accepted as it is`, () => {
    const accepted = accept({ accessKeyID, secretAccessKey, sessionToken });
    assert.equal(accepted.accessKeyID, accessKeyID);
    assert.equal(accepted.secretAccessKey.reveal(), secretAccessKey);
    assert.equal(accepted.sessionToken.reveal(), sessionToken);
  });
}

// [sentence, what is otherwise, life in ms]
const lives: readonly (readonly [string, Partial<ExchangeAnswer>, number])[] = [
  [
    'the life is what is between the expiration and the Date of the answer',
    { expiration: new Date(T0 + 40 * MINUTE), answerDateMs: T0 + 2 * MINUTE },
    38 * MINUTE,
  ],
  ['our clock does not count while the Date is within 5 minutes', { answerDateMs: T0 + 5 * MINUTE }, 55 * MINUTE],
  [
    'a Date up to 5 minutes behind is believed, within what was asked',
    { answerDateMs: T0 - 5 * MINUTE },
    HOUR + MINUTE,
  ],
  ['without a Date our clock counts', { expiration: new Date(T0 + 30 * MINUTE), answerDateMs: undefined }, 30 * MINUTE],
  [
    'a Date 6 minutes ahead: the shorter reading counts, which is its own',
    { answerDateMs: T0 + 6 * MINUTE },
    54 * MINUTE,
  ],
  ['a Date 6 minutes behind: the shorter reading counts, which is ours', { answerDateMs: T0 - 6 * MINUTE }, HOUR],
  [
    'longer than asked counts as what was asked and 60 seconds',
    { expiration: new Date(T0 + 12 * HOUR) },
    HOUR + MINUTE,
  ],
  ['shorter than asked counts', { expiration: new Date(T0 + 15 * SECOND) }, 15 * SECOND],
  ['the expiration may be RFC 3339 text', { expiration: '2026-11-22T13:00:00Z' }, HOUR],
  ['the expiration may have an offset', { expiration: '2026-11-22T21:00:00+08:00' }, HOUR],
];
for (const [sentence, change, lifeMs] of lives) {
  test(sentence, () => {
    assert.equal(accept(change).expirationTimeMs - T0, lifeMs);
  });
}

const SECRETS = ['x-secret-of-the-test', PARTS.secretAccessKey, PARTS.sessionToken];
// [what STS answers, what is wrong with it, words of the message]
const lies: readonly (readonly [string, Partial<ExchangeAnswer>, RegExp])[] = [
  ['no access key id', { accessKeyID: undefined }, /access key id is missing/],
  ['an empty secret access key', { secretAccessKey: '' }, /secret access key is missing/],
  ['a session token that is no text', { sessionToken: { token: 1 } }, /session token is missing/],
  [
    'a line break',
    { secretAccessKey: 'x-secret-of-the-test\naws_access_key_id = x' },
    /secret access key has characters that no credential has/,
  ],
  ['a carriage return', { sessionToken: 'x-secret-of-the-test\r' }, /session token has characters/],
  ['a NUL', { sessionToken: 'x-secret-of-the-test\0' }, /session token has characters/],
  ['a space', { sessionToken: 'x-secret-of-the-test x' }, /session token has characters/],
  ['a quote that ends a quote', { sessionToken: 'x-secret-of-the-test"' }, /session token has characters/],
  ['an apostrophe', { sessionToken: "x-secret-of-the-test'" }, /session token has characters/],
  ['a backslash', { sessionToken: 'x-secret-of-the-test\\' }, /session token has characters/],
  ['a shell expansion', { sessionToken: 'x-secret-of-the-test$(id)' }, /session token has characters/],
  ['a comment sign', { secretAccessKey: '#x-secret-of-the-test' }, /secret access key has characters/],
  ['a letter that is no ASCII', { secretAccessKey: 'x-secret-of-the-testé' }, /secret access key has characters/],
  [
    'a session token of 16,385 characters',
    { sessionToken: 'x-secret-of-the-test'.padEnd(16_385, 'x') },
    /session token is longer than 16384/,
  ],
  [
    'a token in place of the access key id',
    { accessKeyID: 'x-secret-of-the-test'.padEnd(129, 'x') },
    /access key id has not the form/,
  ],
  [
    'the secret access key as the access key id',
    { accessKeyID: 'x-secret-of-the-test', secretAccessKey: 'x-secret-of-the-test' },
    /access key id repeats/,
  ],
  [
    'the session token as the access key id',
    { accessKeyID: 'x-secret-of-the-test', sessionToken: 'x-secret-of-the-test' },
    /access key id repeats/,
  ],
  ['no expiration', { expiration: undefined }, /expiration is missing or is no time/],
  ['an expiration that is no time', { expiration: 'soon' }, /expiration is missing or is no time/],
  ['an invalid Date', { expiration: new Date(Number.NaN) }, /expiration is missing or is no time/],
  ['an expiration without offset', { expiration: '2026-11-22T13:00:00' }, /expiration is missing or is no time/],
  ['an expiration that is a number', { expiration: T0 + HOUR }, /expiration is missing or is no time/],
  ['an expiration in the past', { expiration: new Date(T0 - SECOND) }, /expiration is in the past/],
  ['an expiration in less than a second', { expiration: new Date(T0 + 999) }, /expiration is in the past/],
  [
    'an expiration that is past by its own Date',
    { expiration: new Date(T0 + MINUTE), answerDateMs: T0 + MINUTE },
    /expiration is in the past/,
  ],
];
for (const [what, change, words] of lies) {
  test(`200 with ${what} is InvalidResponse, with the request id and nothing secret`, () => {
    assert.throws(
      () => accept(change),
      (error) => {
        assert.ok(error instanceof CredentialError);
        assert.equal(error.code, 'InvalidResponse');
        assert.equal(error.requestID, 'request-1');
        assert.match(error.message, words);
        const all = inspect(error, { showHidden: true, depth: 9 });
        assert.ok(
          SECRETS.every((secret) => !all.includes(secret)),
          all,
        );
        return true;
      },
    );
  });
}

test('whatever STS answers, an accepted credential lives, within what was asked and a minute', () => {
  const offset = fc.integer({ min: -20 * MINUTE, max: 20 * HOUR });
  fc.assert(
    fc.property(
      offset,
      fc.option(offset, { nil: undefined }),
      fc.integer({ min: 900, max: 43_200 }),
      (end, date, asked) => {
        try {
          const change = { expiration: new Date(T0 + end), answerDateMs: date === undefined ? undefined : T0 + date };
          const lifeMs = accept(change, asked).expirationTimeMs - T0;
          assert.ok(lifeMs >= SECOND && lifeMs <= asked * SECOND + MINUTE);
          const believed = date !== undefined && Math.abs(date) <= 5 * MINUTE;
          assert.ok(believed || lifeMs <= end, 'a Date that is not believed never lengthens');
        } catch (error) {
          assert.ok(error instanceof CredentialError, String(error));
        }
      },
    ),
  );
});

test('an identity or request id that repeats a secret part is left out', () => {
  assert.equal(accept({ identity: `arn:${PARTS.secretAccessKey}` }).identity, undefined);
  assert.equal(accept({ requestID: PARTS.sessionToken }).requestID, undefined);
  assert.equal(accept({ identity: undefined }).identity, undefined);
});

const SECRET = 'x-secret-of-the-test';
const secret = new SecretText(SECRET);
const prints: Readonly<Record<string, () => string>> = {
  // oxlint-disable-next-line typescript/restrict-template-expressions -- what must not happen is what is tested
  'a template literal': () => `${secret}`,
  concatenation: () => '' + String(secret),
  'JSON.stringify': () => JSON.stringify({ secret }),
  'util.inspect': () => inspect(secret),
  'util.inspect of hidden things': () => inspect({ deep: [secret] }, { showHidden: true, depth: null, getters: true }),
  'util.inspect without the custom one': () => inspect(secret, { customInspect: false, showHidden: true }),
  // oxlint-disable-next-line typescript/no-misused-spread -- as above
  'Object.entries': () => JSON.stringify([Object.entries(secret), Object.getOwnPropertyNames(secret), { ...secret }]),
  structuredClone: () => inspect(structuredClone(secret), { showHidden: true }),
  // oxlint-disable-next-line typescript/restrict-template-expressions -- as above
  'an error': () => inspect(new Error(`failed with ${secret}`, { cause: secret })),
};
for (const [how, print] of Object.entries(prints)) {
  test(`a secret text is not printed by ${how}`, () => {
    assert.ok(!print().includes(SECRET));
  });
}
test('a secret text is revealed when it is asked for', () => {
  assert.equal(secret.reveal(), SECRET);
});
