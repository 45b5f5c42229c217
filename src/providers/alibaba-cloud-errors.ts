// Promises: which code of the register is what Alibaba Cloud STS, or the gateway in front of it, answers, and how long it asks
// to wait. Pure.
import type { ErrorCode } from '../credential/errors.ts';
import { readRetryAfter, type CloudWords } from './sts-failures.ts';

/**
 * Codes as they are written, and the first words of those that name a parameter.
 * STS: https://help.aliyun.com/zh/ram/developer-reference/api-sts-2015-04-01-errorcodes ;
 * the issuer that does not match or whose keys cannot be had:
 * https://help.aliyun.com/zh/ack/ack-managed-and-ack-dedicated/user-guide/use-rrsa-to-authorize-pods-to-access-different-cloud-services ;
 * AssumeRole: https://www.alibabacloud.com/help/doc-detail/42775.htm ; throttling and what may be
 * tried again as the vendor's SDK sorts it (@alicloud/openapi-core client.js: every code with `Throttling`).
 * The audience, the issuer and the signature are facts of the OIDC provider and the cluster: a fresh token has the same.
 * An answer about the keys of the hop before begins anew, with a fresh token: it is of the class of the token.
 */
const BY_CODE: Readonly<Record<string, ErrorCode>> = {
  'AuthenticationFail.NoPermission': 'AccessDenied',
  'AuthenticationFail.OIDCToken.AudienceNotMatch': 'AccessDenied',
  'AuthenticationFail.OIDCToken.IssuerNotMatch': 'AccessDenied',
  'AuthenticationFail.OIDCToken.InvalidSignature': 'AccessDenied',
  'AuthenticationFail.OIDCToken.Expired': 'TokenRejected',
  'AuthenticationFail.OIDCToken.Invalid': 'TokenRejected',
  'AuthenticationFail.OIDCToken.HttpsUrlInvalid': 'STSUnavailable',
  'AuthenticationFail.OIDCToken.IssuerConfigurationBroken': 'STSUnavailable',
  NoPermission: 'AccessDenied',
  'InvalidParameter.PolicyGrammar': 'PolicyRejected',
  'InvalidParameter.PolicySize': 'PolicyRejected',
  InvalidParameter: 'RequestRejected',
  InvalidAccessKeyId: 'TokenRejected',
  InvalidSecurityToken: 'TokenRejected',
  SignatureNonceUsed: 'STSUnavailable',
  ServiceUnavailable: 'STSUnavailable',
  InternalError: 'STSUnavailable',
  RequestTimeout: 'STSUnavailable',
};
const THROTTLED = /Throttling/;

/**
 * The register's code for what Alibaba Cloud said. Without a code it was not STS that answered: something in between, which
 * comes and goes.
 */
export function classifyAlibabaCloud({ status, code }: CloudWords): ErrorCode {
  const known = code === undefined ? undefined : lookUp(code);
  if (known === 'STSThrottled' || status === 429) {
    return 'STSThrottled';
  }
  if (status >= 500 || status === 408 || code === undefined) {
    return 'STSUnavailable';
  }
  return known ?? 'RequestRejected';
}

/** `a.b.c` is looked for whole, then as `a.b`, then as `a`. */
function lookUp(code: string): ErrorCode | undefined {
  if (THROTTLED.test(code)) {
    return 'STSThrottled';
  }
  if (Object.hasOwn(BY_CODE, code)) {
    return BY_CODE[code];
  }
  const end = code.lastIndexOf('.');
  return end > 0 ? lookUp(code.slice(0, end)) : undefined;
}

/**
 * The wait that a throttled call is told, in seconds: `x-acs-retry-after`, in milliseconds as the vendor's SDK takes it
 * (@alicloud/openapi-core utils.js getThrottlingTimeLeft, @darabonba/typescript retry.js getBackoffDelay).
 */
export function readAlibabaCloudWait(headers: Readonly<Record<string, string>>): number | undefined {
  const milliseconds = /^\d{1,9}$/.exec(headers['x-acs-retry-after'] ?? '')?.[0];
  return milliseconds === undefined
    ? undefined
    : readRetryAfter(String(Math.ceil(Number(milliseconds) / 1_000)), Number.NaN);
}
