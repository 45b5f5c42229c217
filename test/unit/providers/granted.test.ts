// Promises: what was granted is handed on as it came, and what people are shown of it repeats no secret.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CredentialError } from '../../../src/credential/errors.ts';
import { grantedBy } from '../../../src/providers/granted.ts';
import type { STSAnswer } from '../../../src/providers/sts-call.ts';

const SECRET = 'a-secret-of-more-than-sixteen-characters';
const HEAD: Omit<STSAnswer, 'body'> = {
  status: 200,
  requestID: undefined,
  retryAfterSeconds: undefined,
  dateMs: 5,
};

const CALL = {
  cloud: 'Volcengine',
  role: 'trn:iam::1:role/a',
  url: new URL('https://sts.example/'),
  secret: SECRET,
} as const;
const NOTHING = {
  accessKeyID: undefined,
  secretAccessKey: undefined,
  sessionToken: undefined,
  expiration: undefined,
  identity: undefined,
};

test('what was granted is handed on unjudged, with the Date and the request id of its answer', () => {
  const granted = { accessKeyID: 1, secretAccessKey: {}, sessionToken: 't', expiration: 'e', identity: 'who' };
  const answer = grantedBy(CALL, { ...HEAD, requestID: 'r' }, granted);
  assert.deepEqual(answer, { ...granted, answerDateMs: 5, requestID: 'r' });
  assert.equal(grantedBy(CALL, HEAD, { ...granted, identity: SECRET }).identity, undefined);
});

test('nothing granted, or an access key id that repeats the secret, is InvalidResponse', () => {
  for (const granted of [NOTHING, { ...NOTHING, accessKeyID: SECRET.slice(2, 30), secretAccessKey: 's' }]) {
    assert.throws(
      () => grantedBy(CALL, HEAD, granted),
      (error) =>
        error instanceof CredentialError && error.code === 'InvalidResponse' && !error.message.includes(SECRET),
    );
  }
});
