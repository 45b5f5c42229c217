// Promises: which code of the register is what Volcengine STS, or the gateway in front of it, answers. Pure.
import type { ErrorCode } from '../credential/errors.ts';
import type { CloudWords } from './sts-failures.ts';

/**
 * Codes as they are written, without what follows a dot.
 * The gateway: https://www.volcengine.com/docs/6369/68677 and https://www.volcengine.com/docs/6720/108305 ;
 * STS: https://www.volcengine.com/docs/6257/64992 ; transient and throttling names as the vendor's Go SDK retries them
 * (volcengine/credentials sts_request.go). No page lists the codes for a bad OIDC token: see classifyVolcengine.
 */
const BY_CODE: Readonly<Record<string, ErrorCode>> = {
  AccessDenied: 'AccessDenied',
  LackPolicy: 'AccessDenied',
  LackProjectPolicy: 'AccessDenied',
  InvalidAccessKey: 'TokenRejected',
  InvalidSecretToken: 'TokenRejected',
  MissingAuthenticationToken: 'TokenRejected',
  MissingSignature: 'TokenRejected',
  SignatureDoesNotMatch: 'TokenRejected',
  InvalidJsonStruct: 'PolicyRejected',
  InvalidParameter: 'RequestRejected',
  MissingParameter: 'RequestRejected',
  InvalidTRN: 'RequestRejected',
  InvalidTimestamp: 'RequestRejected',
  InvalidActionOrVersion: 'RequestRejected',
  FlowLimitExceeded: 'STSThrottled',
  RequestLimitExceeded: 'STSThrottled',
  FailToConnect: 'STSUnavailable',
  InternalError: 'STSUnavailable',
  InternalServiceError: 'STSUnavailable',
  InternalServiceTimeout: 'STSUnavailable',
  ServiceUnavailable: 'STSUnavailable',
  ServiceUnavailableTemp: 'STSUnavailable',
};
/** Names with an end that differs. */
const THROTTLED = /^(?:Throttling|TooManyRequests)/;
const TIMED_OUT = /^RequestTimeout/;
/** Ours: a code that names the token is about the token, also where the status says nothing (200). */
const ABOUT_THE_TOKEN = /Token/;

/**
 * The register's code for what Volcengine said. Without a code it was not STS that answered: something in between, which
 * comes and goes. Any other 401 is about the token, or about the keys that it gave.
 */
export function classifyVolcengine({ status, code }: CloudWords): ErrorCode {
  const known = code === undefined ? undefined : lookUp(code);
  if (known === 'STSThrottled' || status === 429) {
    return 'STSThrottled';
  }
  if (status >= 500 || status === 408 || code === undefined) {
    return 'STSUnavailable';
  }
  if (known !== undefined) {
    return known;
  }
  return status === 401 || ABOUT_THE_TOKEN.test(code) ? 'TokenRejected' : 'RequestRejected';
}

function lookUp(code: string): ErrorCode | undefined {
  if (THROTTLED.test(code)) {
    return 'STSThrottled';
  }
  if (TIMED_OUT.test(code)) {
    return 'STSUnavailable';
  }
  const [name = ''] = code.split('.');
  return Object.hasOwn(BY_CODE, name) ? BY_CODE[name] : undefined;
}
