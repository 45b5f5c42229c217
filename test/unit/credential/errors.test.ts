// Promises: the register is whole: whatever can go wrong has a meaning, a remedy and a disposition, and a word of its own.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EVENT_REASONS, STATE_REASONS } from '../../../src/api/names.ts';
import { CredentialError, ERRORS, type ErrorCode } from '../../../src/credential/errors.ts';

const codes = Object.keys(ERRORS) as ErrorCode[];

for (const code of codes) {
  test(`${code} has a meaning, a remedy and a disposition`, () => {
    const { meaning, remedy, disposition } = ERRORS[code];
    assert.match(code, /^[A-Z][A-Za-z]+$/, 'a condition reason is one CamelCase word');
    assert.match(meaning, /^\S.*\.$/);
    assert.match(remedy, /^[A-Z].*[.)]$/);
    assert.ok(['invalid', 'denied', 'forbidden', 'throttled', 'transient', 'token'].includes(disposition));
    assert.equal(new CredentialError(code, 'm').disposition, disposition);
  });
}

test('no failure shares its word with a state or an event', () => {
  const words = [...codes, ...Object.keys(STATE_REASONS), ...Object.keys(EVENT_REASONS)];
  assert.equal(new Set(words).size, words.length);
});

// DESIGN: refused by us without a call is invalid; by STS is denied; asked to wait is throttled. ADR 0005: by the API server is
// forbidden.
const dispositions: Readonly<Record<string, readonly ErrorCode[]>> = {
  invalid: [
    'InvalidSpec',
    'ServiceAccountNotFound',
    'ServiceAccountNotAllowed',
    'AudienceNotAllowed',
    'EndpointNotAllowed',
    'SecretInUse',
    'NamespaceTerminating',
  ],
  throttled: ['KubernetesThrottled', 'STSThrottled'],
  transient: [
    'SecretTerminating',
    'KubernetesUnavailable',
    'KubernetesConflict',
    'STSUnavailable',
    'InvalidResponse',
    'InternalError',
  ],
  token: ['TokenRejected'],
  forbidden: ['TokenRequestDenied', 'SecretWriteDenied', 'KubernetesDenied'],
  denied: [
    'SecretConflict',
    'SecretContested',
    'TokenMismatch',
    'AccessDenied',
    'RequestRejected',
    'PolicyRejected',
    'RegionDisabled',
    'RedirectRefused',
  ],
};
for (const [disposition, wanted] of Object.entries(dispositions)) {
  test(`exactly these are ${disposition}: ${wanted.join(', ')}`, () => {
    const found = codes.filter((code) => ERRORS[code].disposition === disposition);
    assert.deepEqual(found.sort(), [...wanted].sort());
  });
}

test('an error carries what the other side said, and its cause only when there is one', () => {
  const cause = new Error('below');
  const error = new CredentialError('STSThrottled', 'm', {
    cloudCode: 'Throttling',
    requestID: 'r',
    retryAfterSeconds: 5,
    cause,
  });
  assert.deepEqual(
    [error.cloudCode, error.requestID, error.retryAfterSeconds, error.cause],
    ['Throttling', 'r', 5, cause],
  );
  assert.equal(Object.hasOwn(new CredentialError('STSThrottled', 'm'), 'cause'), false);
  assert.equal(error.name, 'CredentialError');
});
