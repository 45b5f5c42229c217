// What of the API server's errors becomes which code of the register.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  isConflict,
  isInvalid,
  isKubeFailure,
  isNotFound,
  toCredentialError,
} from '../../../src/controller/failures.ts';
import { CredentialError, type ErrorCode } from '../../../src/credential/errors.ts';
import { KubeError } from '../../../src/kube/errors.ts';

function kubeError(status: number, operation = 'patch secrets', causes: string[] = [], retryAfterSeconds?: number) {
  return new KubeError({
    kind: status === 0 ? 'network' : 'status',
    status,
    reason: 'Reason',
    causes: causes.map((reason) => ({ reason, field: '', message: '' })),
    operation,
    detail: 'as the server says.',
    retryAfterSeconds,
  });
}

const TOKEN = 'create serviceaccounts/token';
const TABLE: readonly [what: string, error: KubeError, code: ErrorCode][] = [
  ['no answer', kubeError(0), 'KubernetesUnavailable'],
  ['a server error', kubeError(500), 'KubernetesUnavailable'],
  ['503', kubeError(503), 'KubernetesUnavailable'],
  ['408', kubeError(408), 'KubernetesUnavailable'],
  ['429', kubeError(429), 'KubernetesThrottled'],
  ['409', kubeError(409), 'KubernetesConflict'],
  ['403 on a Secret', kubeError(403), 'SecretWriteDenied'],
  ['422 on a Secret', kubeError(422, 'create secrets'), 'SecretWriteDenied'],
  ['403 on the deletion of a Secret', kubeError(403, 'delete secrets'), 'SecretWriteDenied'],
  ['403 on reading a Secret', kubeError(403, 'get secrets'), 'KubernetesDenied'],
  ['403 on a status', kubeError(403, 'patch workloadcredentials/status'), 'KubernetesDenied'],
  ['403 on a token', kubeError(403, TOKEN), 'TokenRequestDenied'],
  ['404 on a token', kubeError(404, TOKEN), 'ServiceAccountNotFound'],
  ['500 on a token', kubeError(500, TOKEN), 'KubernetesUnavailable'],
  ['403 of a namespace that goes', kubeError(403, 'create secrets', ['NamespaceTerminating']), 'NamespaceTerminating'],
];

describe('an error of the API server', () => {
  for (const [what, error, code] of TABLE) {
    test(`${what} is ${code}`, () => {
      const known = toCredentialError(error);
      assert.equal(known?.code, code);
      assert.match(known?.message ?? '', /^The API server did not .*as the server says\.( [A-Z].*\.)?$/);
      assert.doesNotMatch(known?.message ?? '', /\.\./);
    });
  }

  test('keeps the Retry-After', () => {
    assert.equal(toCredentialError(kubeError(429, TOKEN, [], 7))?.retryAfterSeconds, 7);
  });

  test('is told by its status', () => {
    assert.deepEqual(
      [404, 409, 422].map((status) => isNotFound(kubeError(status))),
      [true, false, false],
    );
    assert.deepEqual(
      [404, 409, 422].map((status) => isConflict(kubeError(status))),
      [false, true, false],
    );
    assert.deepEqual(
      [404, 409, 422].map((status) => isInvalid(kubeError(status))),
      [false, false, true],
    );
  });
});

describe('another error', () => {
  test('of the register stays as it is', () => {
    const error = new CredentialError('AccessDenied', 'no');
    assert.equal(toCredentialError(error), error);
  });

  test('that nobody foresaw is none of the register', () => {
    for (const error of [new Error('x'), 'text', undefined, { name: 'KubeError' }]) {
      assert.equal(toCredentialError(error), undefined);
      assert.equal(isKubeFailure(error), false);
      assert.equal(isNotFound(error), false);
    }
  });
});
