// Promises: says in one sentence why a call to an STS failed: where, which role, the cloud's own words, the fix. The same
// for all clouds; which code of the register a cloud's code is, each cloud's own table says. Pure. The errors made here
// carry neither a cause nor anything of an SDK's, whose errors hold the whole answer.
import { type Cloud, SPEC_FIELD } from '../api/names.ts';
import { CredentialError, type CredentialErrorDetails, type ErrorCode } from '../credential/errors.ts';
import { cloudCode, cloudMessage } from './cloud-message.ts';
import type { TransportError } from '../transport/transport.ts';

/** What is known about the call, for the sentence. */
export interface STSCall {
  readonly cloud: Cloud;
  /** The role's ARN or TRN. */
  readonly role: string;
  /** Where to; of it only the host is shown. */
  readonly url: URL;
  /** Secret: the token that is sent, or the keys that sign. It is what has to be kept out of every sentence. */
  readonly secret: string;
}

/** The head of an answer. */
export interface AnswerHead {
  readonly status: number;
  readonly requestID: string | undefined;
  readonly retryAfterSeconds: number | undefined;
}

/** A cloud's code and message, cleaned: undefined and '' where there is none. */
export interface CloudWords {
  readonly status: number;
  readonly code: string | undefined;
  readonly message: string;
}

const FIXES: Readonly<Partial<Record<ErrorCode, (field: string) => string>>> = {
  AccessDenied: () => "compare the role's trust policy with the token's issuer, subject and audience",
  TokenRejected: () =>
    "check that the cloud's OIDC provider has the cluster's issuer URL, the audience and the current keys",
  RequestRejected: () =>
    "change what it names, such as spec.durationSeconds beyond the role's maximum session duration",
  PolicyRejected: (field) =>
    field === SPEC_FIELD.AWS
      ? 'correct or shorten spec.aws.sessionPolicy or spec.aws.policyARNs'
      : `correct or shorten ${field}.sessionPolicy`,
  RegionDisabled: (field) =>
    `activate STS for the region in the account's IAM settings, or use another ${field}.region`,
  STSThrottled: () => "the operator waits and tries again; if it lasts, lower the demand or raise the account's quota",
  STSUnavailable: () => 'the operator tries again; if it lasts, check egress and DNS to the endpoint',
  InvalidResponse: () => 'check what answers at the endpoint (a proxy?)',
  RedirectRefused: (field) => `tokens are sent to the configured host only; correct ${field}.endpoint`,
};

/**
 * STS said no.
 * @param said the cloud's own code and message, not yet cleaned.
 * @param classify the cloud's table: which code of the register this is.
 */
export function refusal(
  call: STSCall,
  head: AnswerHead,
  said: { readonly code: unknown; readonly message: unknown },
  classify: (words: CloudWords) => ErrorCode,
): CredentialError {
  const seenCode = cloudCode(said.code, call.secret);
  const message = cloudMessage(said.message, call.secret);
  const code = classify({ status: head.status, code: seenCode, message });
  const verb = code === 'STSUnavailable' || code === 'STSThrottled' ? 'could not serve' : 'refused';
  const named = seenCode === undefined || seenCode === 'Unknown' ? `HTTP ${head.status}` : seenCode;
  const quoted = message === '' || message === 'Unknown' ? named : `${named}, "${message}"`;
  return failure(call, code, `${verb} ${role(call)}: ${quoted}`, { ...details(head), cloudCode: seenCode });
}

/** STS answered with a redirect. */
export function redirect(call: STSCall, head: AnswerHead, location: string | undefined): CredentialError {
  const base = call.url.href;
  const target =
    location !== undefined && URL.canParse(location, base)
      ? cloudMessage(new URL(location, base).host.slice(0, 100), call.secret)
      : 'nowhere';
  const what = `answered HTTP ${head.status} for ${role(call)}, a redirect to "${target}"`;
  return failure(call, 'RedirectRefused', what, details(head));
}

/** STS answered 200 with something that is no credential. */
export function unusable(call: STSCall, head: AnswerHead, what: string): CredentialError {
  const sentence = `answered HTTP ${head.status} for ${role(call)}, but ${what}`;
  return failure(call, 'InvalidResponse', sentence, details(head));
}

/** No answer. `what` is a sentence without a secret: a TransportError's, or our own. */
export function unreachable(call: STSCall, what: string): CredentialError {
  return failure(call, 'STSUnavailable', `gave no answer for ${role(call)}: ${cloudMessage(what, call.secret)}`, {});
}

/**
 * No answer, for a reason below HTTP. A region that does not exist shows itself as a host that has no address; so does a
 * cluster whose DNS knows no hosts outside, which is looked for first: the pattern of regions keeps most mistakes out.
 */
export function noAnswer(call: STSCall, { code, message }: Pick<TransportError, 'code' | 'message'>): CredentialError {
  const field = SPEC_FIELD[call.cloud];
  const hint = `; if the cluster's DNS answers for other hosts outside, correct ${field}.region, or ${field}.endpoint where it is set`;
  return unreachable(call, code === 'ENOTFOUND' ? `${message}${hint}` : message);
}

/** Names of errors' classes. An SDK takes some names from the answer: what has another form is not told. */
const CLASS_NAME = /^[A-Za-z]{0,32}(?:Error|Exception)$/;

/** Something inside the operator failed that has no name; of the error only its class is told. */
export function internalFailure(call: STSCall, seen: unknown): CredentialError {
  const name = seen instanceof Error ? seen.name : typeof seen;
  const kind = seen instanceof Error && !CLASS_NAME.test(name) ? 'Error' : name;
  return new CredentialError(
    'InternalError',
    `The exchange for ${role(call)} at ${call.url.host} failed inside the operator (${kind}); report it with the log line.`,
  );
}

function details(head: AnswerHead): CredentialErrorDetails {
  return { requestID: head.requestID, retryAfterSeconds: head.retryAfterSeconds };
}

function role(call: STSCall): string {
  return cloudMessage(call.role, call.secret);
}

function failure(call: STSCall, code: ErrorCode, what: string, more: CredentialErrorDetails): CredentialError {
  const fix = FIXES[code]?.(SPEC_FIELD[call.cloud]) ?? 'report it with the log line';
  return new CredentialError(code, `STS at ${call.url.host} ${what}; ${fix}.`, more);
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
