// Promises: which code of the register is what AWS STS, or a server that speaks its protocol, answers. Pure.
import type { ErrorCode } from '../credential/errors.ts';
import type { CloudWords } from './sts-failures.ts';

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

/** The register's code for what AWS said. */
export function classifyAWS({ status, code, message }: CloudWords): ErrorCode {
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
