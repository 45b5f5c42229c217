// Promises: the one register of what can go wrong: for each code its disposition, its meaning and its remedy. What is done
// about a failure is decided here, by code, and nowhere by message text. docs/reference/errors.md is generated from it.
// May not read the time or import an SDK.
import type { StateReason } from '../api/names.ts';

/**
 * What to do about a failure:
 * - invalid: refused by us, without a call; waits for a change of the resource, ServiceAccount or Secret.
 * - denied: refused by STS, or by what stands in the cluster; somebody has to change something that sends no event: slow
 *   retries.
 * - forbidden: refused by the API server, which also refuses for a moment, after its start, what it allows later: fast
 *   retries that become slow ones.
 * - throttled: asked to wait: Retry-After, else as transient.
 * - transient: goes away by itself: fast retries.
 * - token: STS did not take the token: once more with a fresh token, then as denied.
 */
export type Disposition = 'invalid' | 'denied' | 'forbidden' | 'throttled' | 'transient' | 'token';

interface ErrorEntry {
  readonly disposition: Disposition;
  /** One line: what happened. */
  readonly meaning: string;
  /** One line: what to change. */
  readonly remedy: string;
}

const entry = (disposition: Disposition, meaning: string, remedy: string): ErrorEntry => ({
  disposition,
  meaning,
  remedy,
});

/** Every failure, by code; the code is also the condition's and the event's reason. */
export const ERRORS = {
  InvalidSpec: entry('invalid', 'A field of the resource has a value that cannot work.', 'Change the named field.'),
  ServiceAccountNotFound: entry(
    'invalid',
    'spec.serviceAccountName names a ServiceAccount that does not exist in this namespace.',
    'Create the ServiceAccount or change spec.serviceAccountName.',
  ),
  ServiceAccountNotAllowed: entry(
    'invalid',
    'The ServiceAccount does not consent to this WorkloadCredential.',
    'Run the kubectl line in the message as somebody who may change the ServiceAccount.',
  ),
  AudienceNotAllowed: entry(
    'invalid',
    'The operator is not configured to mint tokens with this audience for this endpoint.',
    "Use an audience of the operator's configuration, or ask its administrator to add one.",
  ),
  EndpointNotAllowed: entry(
    'invalid',
    "The endpoint is neither the cloud's own nor on the operator's list.",
    "Remove the endpoint field, or ask the operator's administrator to list it.",
  ),
  SecretInUse: entry(
    'invalid',
    'Another WorkloadCredential writes this Secret.',
    'Create this one anew with another spec.secret.name, or delete the older one.',
  ),
  SecretConflict: entry(
    'denied',
    'A Secret of this name exists and is not ours; it is left alone.',
    'Delete or rename that Secret, have its owner hand it over by the lines in the message, or create this WorkloadCredential anew with another spec.secret.name.',
  ),
  SecretTerminating: entry(
    'transient',
    'A Secret of the former resource of this name is still being deleted.',
    'Nothing, if it does not last: look for finalizers on the Secret.',
  ),
  SecretContested: entry(
    'denied',
    'Something else keeps changing the data of our Secret.',
    'Find the other writer (kubectl get secret --show-managed-fields) and stop it.',
  ),
  TokenRequestDenied: entry(
    'forbidden',
    'The API server refused to mint a token for the ServiceAccount.',
    "Check the operator's RBAC for create on serviceaccounts/token and the admission policies.",
  ),
  TokenMismatch: entry(
    'denied',
    'The minted token does not say what the cloud has to see (issuer, audience or subject).',
    "Compare both values in the message; change the API server's issuer or the operator's audience.",
  ),
  SecretWriteDenied: entry(
    'forbidden',
    'The API server refused to write the Secret (RBAC, quota or admission).',
    'Change what the message names; the credential is kept in memory meanwhile.',
  ),
  KubernetesDenied: entry(
    'forbidden',
    'The API server refused a read or a status write.',
    "Check the operator's RBAC and the admission policies.",
  ),
  NamespaceTerminating: entry('invalid', 'The namespace is being deleted.', 'Nothing: the resource goes with it.'),
  KubernetesThrottled: entry('throttled', 'The API server asked to wait.', 'Nothing, if it does not last.'),
  KubernetesUnavailable: entry(
    'transient',
    'The API server could not be reached or answered with a server error.',
    'Nothing, if it does not last.',
  ),
  KubernetesConflict: entry('transient', 'An object changed while it was being written.', 'Nothing.'),
  AccessDenied: entry(
    'denied',
    'STS refused the role.',
    "Compare the role's trust policy with the issuer, audience and subject in the message.",
  ),
  TokenRejected: entry(
    'token',
    'STS did not accept the token.',
    "Check that the cloud's identity provider has the cluster's issuer URL, audience and current keys.",
  ),
  RequestRejected: entry(
    'denied',
    'STS refused the request.',
    "Change what STS's message names, such as durationSeconds beyond the role's maximum.",
  ),
  PolicyRejected: entry(
    'denied',
    'STS refused the session policy.',
    'Correct or shorten sessionPolicy, policyARNs or the tags.',
  ),
  RegionDisabled: entry(
    'denied',
    'STS is not activated in the region.',
    'Activate it for the account or use another region.',
  ),
  RedirectRefused: entry(
    'denied',
    'The STS endpoint answered with a redirect; tokens are sent to the configured host only.',
    'Correct the endpoint.',
  ),
  STSThrottled: entry('throttled', 'STS asked to slow down.', "Lower the demand or raise the account's quota."),
  STSUnavailable: entry(
    'transient',
    'STS could not be reached, timed out or answered with a server error.',
    'Nothing, if it does not last: check egress and DNS to the endpoint.',
  ),
  InvalidResponse: entry(
    'transient',
    'STS answered 200 with something that is no usable credential.',
    'Check what answers at the endpoint (a proxy?).',
  ),
  InternalError: entry(
    'transient',
    'The operator failed in a way that it does not know.',
    'Report it with the log line.',
  ),
} as const satisfies Record<string, ErrorEntry>;

/** A code of the register. */
export type ErrorCode = keyof typeof ERRORS;

/** Whether a reason is in the register: a status may hold what another version, or anybody, wrote. */
export function isErrorCode(reason: string): reason is ErrorCode {
  return Object.hasOwn(ERRORS, reason);
}

/** Whatever can stand as a condition's reason. */
export type Reason = ErrorCode | StateReason;

/** What is known about a failure beside its code. */
export interface CredentialErrorDetails {
  /** The cloud's own error code, such as `AccessDenied`. */
  readonly cloudCode?: string | undefined;
  /** The cloud's request id. */
  readonly requestID?: string | undefined;
  /** The wait that the other side asked for, in seconds. */
  readonly retryAfterSeconds?: number | undefined;
  /** In a role chain: which call failed, counted from 1; only the first was made with the token. */
  readonly hop?: number | undefined;
  readonly cause?: unknown;
}

/**
 * A failure with a code of the register.
 * The message is one sentence for a person: what field or thing, what was seen, what to do; nothing secret.
 */
export class CredentialError extends Error {
  override readonly name = 'CredentialError';
  readonly code: ErrorCode;
  readonly cloudCode: string | undefined;
  readonly requestID: string | undefined;
  readonly retryAfterSeconds: number | undefined;
  readonly hop: number | undefined;

  constructor(code: ErrorCode, message: string, details: CredentialErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.cloudCode = details.cloudCode;
    this.requestID = details.requestID;
    this.retryAfterSeconds = details.retryAfterSeconds;
    this.hop = details.hop;
  }

  get disposition(): Disposition {
    return ERRORS[this.code].disposition;
  }
}
