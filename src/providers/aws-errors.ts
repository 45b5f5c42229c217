// Promises: sorts what AWS STS, or a server that speaks its protocol, answers into the register of failures, and says it
// in one sentence: where, which role, the cloud's own words, the fix. Pure. The errors it makes carry neither a cause nor
// anything of the SDK's, whose errors hold the whole answer.
import type { ResolvedAWS } from '../api/resolve.ts';
import { CredentialError, type CredentialErrorDetails, type ErrorCode } from '../credential/errors.ts';
import { cloudCode, cloudMessage, cloudName } from './cloud-message.ts';

/** What is known about the call, for the sentence. `token` is secret: it is what has to be kept out. */
export interface AWSCall {
  readonly exchange: ResolvedAWS;
  readonly url: URL;
  readonly token: string;
}

/** The head of an answer. */
export interface AnswerHead {
  readonly status: number;
  readonly requestID: string | undefined;
  readonly retryAfterSeconds: number | undefined;
}

/**
 * Codes of the Query protocol, with and without the SDK's suffix `Exception`.
 * https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html#API_AssumeRoleWithWebIdentity_Errors
 * https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html ; throttling names as the SDK's retry package has
 * them; InvalidParameterValue is what SeaweedFS and other servers with this protocol say.
 */
const BY_CODE: Readonly<Record<string, ErrorCode>> = {
  AccessDenied: 'AccessDenied',
  IDPRejectedClaim: 'AccessDenied',
  ExpiredToken: 'TokenRejected',
  InvalidIdentityToken: 'TokenRejected',
  IDPCommunicationError: 'STSUnavailable',
  MalformedPolicyDocument: 'PolicyRejected',
  PackedPolicyTooLarge: 'PolicyRejected',
  RegionDisabled: 'RegionDisabled',
  ValidationError: 'RequestRejected',
  InvalidParameterValue: 'RequestRejected',
  Throttling: 'STSThrottled',
  Throttled: 'STSThrottled',
  RequestThrottled: 'STSThrottled',
  RequestLimitExceeded: 'STSThrottled',
  TooManyRequests: 'STSThrottled',
  SlowDown: 'STSThrottled',
};

/** AWS's message when it could not fetch the issuer's keys: the token is good, and the next call mostly works. */
const KEYS_NOT_FETCHED = /retrieve verification key/i;

const FIXES: Readonly<Partial<Record<ErrorCode, string>>> = {
  AccessDenied: "compare the role's trust policy with the token's issuer, subject and audience",
  TokenRejected: "check that the cloud's OIDC provider has the cluster's issuer URL, the audience and the current keys",
  RequestRejected: "change what it names, such as spec.durationSeconds beyond the role's maximum session duration",
  PolicyRejected: 'correct or shorten spec.aws.sessionPolicy or spec.aws.policyARNs',
  RegionDisabled: "activate STS for the region in the account's IAM settings, or use another spec.aws.region",
  STSThrottled: "the operator waits and tries again; if it lasts, lower the demand or raise the account's quota",
  STSUnavailable: 'the operator tries again; if it lasts, check egress and DNS to the endpoint',
  InvalidResponse: 'check what answers at the endpoint (a proxy?)',
  RedirectRefused: 'tokens are sent to the configured host only; correct spec.aws.endpoint',
};

/** What STS said with a status of 300 or more. `code` and `message` are the cloud's, not yet cleaned. */
export function refusal(call: AWSCall, head: AnswerHead, said: { code: unknown; message: unknown }): CredentialError {
  const seenCode = cloudCode(said.code, call.token);
  const message = cloudMessage(said.message, call.token);
  const code = classify(head.status, seenCode, message);
  const verb = code === 'STSUnavailable' || code === 'STSThrottled' ? 'could not serve' : 'refused';
  const named = seenCode === undefined || seenCode === 'Unknown' ? `HTTP ${head.status}` : seenCode;
  const quoted = message === '' || message === 'Unknown' ? named : `${named}, "${message}"`;
  return failure(call, code, `${verb} ${role(call)}: ${quoted}`, { ...details(head), cloudCode: seenCode });
}

/** STS answered with a redirect. */
export function redirect(call: AWSCall, head: AnswerHead, location: string | undefined): CredentialError {
  const base = call.url.href;
  const target =
    location !== undefined && URL.canParse(location, base)
      ? cloudMessage(new URL(location, base).host.slice(0, 100), call.token)
      : 'nowhere';
  const what = `answered HTTP ${head.status} for ${role(call)}, a redirect to "${target}"`;
  return failure(call, 'RedirectRefused', what, details(head));
}

/** STS answered 200 with something that is no credential. */
export function unusable(call: AWSCall, head: AnswerHead, what: string): CredentialError {
  const sentence = `answered HTTP ${head.status} for ${role(call)}, but ${what}`;
  return failure(call, 'InvalidResponse', sentence, details(head));
}

/** No answer. `what` is a sentence without a secret: a TransportError's, or our own. */
export function unreachable(call: AWSCall, what: string): CredentialError {
  return failure(call, 'STSUnavailable', `gave no answer for ${role(call)}: ${cloudMessage(what, call.token)}`, {});
}

function classify(status: number, code: string | undefined, message: string): ErrorCode {
  const known = code === undefined ? undefined : lookUp(code.replace(/Exception$/, ''));
  if (known === 'STSThrottled' || status === 429) {
    return 'STSThrottled';
  }
  if (status >= 500 || status === 408) {
    return 'STSUnavailable';
  }
  if (known === 'TokenRejected' && KEYS_NOT_FETCHED.test(message)) {
    return 'STSUnavailable';
  }
  return known ?? 'RequestRejected';
}

function lookUp(code: string): ErrorCode | undefined {
  return Object.hasOwn(BY_CODE, code) ? BY_CODE[code] : undefined;
}

function details(head: AnswerHead): CredentialErrorDetails {
  return { requestID: head.requestID, retryAfterSeconds: head.retryAfterSeconds };
}

function role(call: AWSCall): string {
  return cloudMessage(call.exchange.roleARN, call.token);
}

function failure(call: AWSCall, code: ErrorCode, what: string, more: CredentialErrorDetails): CredentialError {
  return new CredentialError(code, `STS at ${call.url.host} ${what}; ${FIXES[code]}.`, more);
}

/** Reads a request id header. */
export function readRequestID(headers: Readonly<Record<string, string>>, token: string): string | undefined {
  return cloudName(headers['x-amzn-requestid'] ?? headers['x-amz-request-id'], token)?.slice(0, 128);
}

/** The longest wait that another side may impose on us. */
const MAX_RETRY_AFTER_SECONDS = 600;

/**
 * Reads Retry-After: seconds or an HTTP date, RFC 9110 section 10.2.3.
 * @param nowMs the answer's own Date where there is one: the wait is a difference on one clock.
 */
export function readRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) {
    return undefined;
  }
  const seconds = /^\d{1,9}$/.test(value) ? Number(value) : Math.ceil((Date.parse(value) - nowMs) / 1_000);
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 0), MAX_RETRY_AFTER_SECONDS) : undefined;
}
