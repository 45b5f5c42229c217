// Promises: turns whatever a call threw into an error of the register, by type and code. An error that nobody foresaw is
// passed on as it is: the controller logs it by its class and tries again later.
import { CredentialError, type ErrorCode } from '../credential/errors.ts';
import type { KubeError } from '../kube/errors.ts';

/** What structurally is a KubeError; the class lives in a room that only types may be imported from. */
type KubeFailure = Pick<
  KubeError,
  'name' | 'kind' | 'status' | 'reason' | 'causes' | 'retryAfterSeconds' | 'operation' | 'message'
>;

/** Whether an error is a failed call to the API server. */
export function isKubeFailure(error: unknown): error is KubeFailure {
  return error instanceof Error && error.name === 'KubeError';
}

/** Whether the API server said that there is no such object. */
export function isNotFound(error: unknown): boolean {
  return isKubeFailure(error) && error.status === 404;
}

/** What a call answered; undefined where the API server said that there is no such object. */
export async function orUndefined<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (isNotFound(error)) {
      return undefined;
    }
    throw error;
  }
}

/** Whether the object changed since it was read, or exists already (both are 409). */
export function isConflict(error: unknown): boolean {
  return isKubeFailure(error) && error.status === 409;
}

/** Whether the API server found the object itself wrong, as it does with a change of an immutable Secret. */
export function isInvalid(error: unknown): boolean {
  return isKubeFailure(error) && error.status === 422;
}

function codeOf(failure: KubeFailure): ErrorCode {
  if (failure.causes.some((cause) => cause.reason === 'NamespaceTerminating')) {
    return 'NamespaceTerminating';
  }
  if (failure.status === 429) {
    return 'KubernetesThrottled';
  }
  if (failure.status === 409) {
    return 'KubernetesConflict';
  }
  // 408 and everything without an answer or with a server error goes away by itself.
  if (failure.status < 400 || failure.status >= 500 || failure.status === 408) {
    return 'KubernetesUnavailable';
  }
  if (failure.operation.endsWith('serviceaccounts/token')) {
    return failure.status === 404 ? 'ServiceAccountNotFound' : 'TokenRequestDenied';
  }
  return /^(create|patch|delete) secrets$/.test(failure.operation) ? 'SecretWriteDenied' : 'KubernetesDenied';
}

const ADVICE: Readonly<Partial<Record<ErrorCode, string>>> = {
  SecretWriteDenied:
    'Change what it names (RBAC, quota or admission); the credential is kept in memory for the next try.',
  TokenRequestDenied: "Check the operator's RBAC for create on serviceaccounts/token and the admission policies.",
  KubernetesDenied: "Check the operator's RBAC and the admission policies.",
};

/** The error of the register; undefined for one that nobody foresaw. */
export function toCredentialError(error: unknown): CredentialError | undefined {
  if (error instanceof CredentialError) {
    return error;
  }
  if (!isKubeFailure(error)) {
    return undefined;
  }
  const code = codeOf(error);
  const advice = ADVICE[code];
  return new CredentialError(
    code,
    `The API server did not ${error.message.replace(/[.\s]+$/, '')}.${advice === undefined ? '' : ` ${advice}`}`,
    { retryAfterSeconds: error.retryAfterSeconds },
  );
}
