// Promises: what is done about each thing that an STS may say, on the three clouds, at the exchange of the token and at a hop:
// throttled, transient, once more with a fresh token, or denied. The classes are written down here a second time, from the
// vendors' pages and SDKs (the sources are beside each table in src/providers), not taken from the register.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Disposition } from '../../src/credential/errors.ts';
import { TransportError, type TransportErrorKind } from '../../src/transport/transport.ts';
import { failureOf } from '../support/sts-contract.ts';
import { askAt, bodyOf, DIALECTS, PLACES } from '../support/sts-dialects.ts';

type Class = Exclude<Disposition, 'invalid' | 'forbidden'>;
/** Status, code, message. */
type Said = readonly [status: number, code: string, message?: string];

const AWS: Readonly<Record<Class, readonly Said[]>> = {
  throttled: [
    [400, 'Throttling'],
    [400, 'ThrottlingException'],
    [400, 'RequestLimitExceeded'],
    [503, 'RequestLimitExceeded'],
    [429, 'AnyCode'],
  ],
  transient: [
    [500, 'InternalFailure'],
    [503, 'ServiceUnavailable'],
    [504, 'AnyCode'],
    [400, 'IDPCommunicationError'],
    [400, 'IDPCommunicationErrorException'],
    [400, 'InvalidIdentityToken', "Couldn't retrieve verification key from your identity provider"],
  ],
  token: [
    [400, 'ExpiredTokenException'],
    [400, 'ExpiredToken'],
    [400, 'InvalidIdentityToken', 'Incorrect token audience'],
    [400, 'InvalidIdentityTokenException', 'No OpenIDConnect provider found in your account'],
  ],
  denied: [
    [403, 'AccessDenied'],
    [403, 'IDPRejectedClaim'],
    [400, 'ValidationError'],
    [400, 'MalformedPolicyDocument'],
    [400, 'PackedPolicyTooLarge'],
    [403, 'RegionDisabledException'],
    [400, 'NeverSeenBefore'],
    [404, 'NeverSeenBefore'],
  ],
};

const ALIBABA_CLOUD: typeof AWS = {
  throttled: [
    [400, 'Throttling'],
    [400, 'Throttling.Api'],
    [400, 'Throttling.User'],
    [503, 'Throttling.Api'],
    [429, 'AnyCode'],
  ],
  transient: [
    [500, 'InternalError'],
    [503, 'ServiceUnavailable'],
    [504, 'AnyCode'],
    [408, 'RequestTimeout'],
    [401, 'AuthenticationFail.OIDCToken.HttpsUrlInvalid'],
  ],
  token: [
    [401, 'AuthenticationFail.OIDCToken.Expired'],
    [401, 'AuthenticationFail.OIDCToken.Invalid'],
  ],
  denied: [
    [401, 'AuthenticationFail.NoPermission'],
    [403, 'NoPermission'],
    [401, 'AuthenticationFail.OIDCToken.AudienceNotMatch'],
    [401, 'AuthenticationFail.OIDCToken.InvalidSignature'],
    [400, 'InvalidParameter.DurationSeconds'],
    [400, 'InvalidParameter.RoleArn'],
    [400, 'InvalidParameter.PolicyGrammar'],
    [404, 'EntityNotExist.Role'],
    [400, 'NeverSeenBefore'],
  ],
};

const VOLCENGINE: typeof AWS = {
  throttled: [
    [429, 'AnyCode'],
    [429, 'FlowLimitExceeded'],
    [200, 'FlowLimitExceeded'],
    [400, 'Throttling'],
    [400, 'ThrottlingException'],
    [400, 'RequestLimitExceeded'],
  ],
  transient: [
    [500, 'InternalError'],
    [200, 'InternalError'],
    [502, 'FailToConnect'],
    [503, 'ServiceUnavailable'],
    [504, 'AnyCode'],
    [400, 'RequestTimeoutException'],
  ],
  token: [
    [401, 'AnyCode'],
    [401, 'SignatureDoesNotMatch'],
    [401, 'InvalidAccessKey'],
  ],
  denied: [
    [403, 'AccessDenied'],
    [200, 'AccessDenied'],
    [403, 'LackPolicy'],
    [400, 'MissingParameter'],
    [400, 'InvalidParameter'],
    [400, 'InvalidParameter.DurationSeconds'],
    [400, 'NeverSeenBefore'],
  ],
};

const TABLES = { AWS, AlibabaCloud: ALIBABA_CLOUD, Volcengine: VOLCENGINE };

/** What happens below HTTP. */
const NETWORK: readonly (readonly [kind: TransportErrorKind, code: string])[] = [
  ['connect', 'ECONNREFUSED'],
  ['connect', 'ENOTFOUND'],
  ['reset', 'ECONNRESET'],
  ['timeout', 'UND_ERR_HEADERS_TIMEOUT'],
  ['tls', 'CERT_HAS_EXPIRED'],
  ['protocol', 'HPE_INVALID_CONSTANT'],
];

/** What no STS says: something in between answers, which comes and goes. */
const NO_STS: readonly (readonly [status: number, body: string])[] = [
  [502, '<html><br>Bad Gateway'],
  [503, ''],
  [504, 'upstream timed out'],
  [200, '<html>Sign in</html>'],
];

for (const dialect of DIALECTS) {
  const { cloud } = dialect.exchange;
  for (const place of PLACES) {
    describe(`${cloud}, ${place}`, () => {
      const dispositionOf = async (status: number, body: string): Promise<Disposition> => {
        const answering = () => Promise.resolve({ status, body: bodyOf(body) });
        return (await failureOf(askAt(dialect, place, answering))).disposition;
      };

      for (const [expected, rows] of Object.entries(TABLES[cloud])) {
        for (const [status, code, message = 'told in words'] of rows) {
          test(`${status} ${code} "${message}" is ${expected}`, async () => {
            assert.equal(await dispositionOf(status, dialect.error(code, message)), expected);
          });
        }
      }

      for (const [kind, code] of NETWORK) {
        test(`${code} is transient`, async () => {
          const answering = () => Promise.reject(new TransportError(kind, code, `sts.example.internal: ${code}`));
          assert.equal((await failureOf(askAt(dialect, place, answering))).disposition, 'transient');
        });
      }

      for (const [status, body] of NO_STS) {
        test(`${status} with ${JSON.stringify(body)} is transient`, async () => {
          assert.equal(await dispositionOf(status, body), 'transient');
        });
      }

      test('a throttled call is told how long to wait', async () => {
        const answering = () =>
          Promise.resolve({
            status: 429,
            headers: { 'retry-after': '7' },
            body: bodyOf(dialect.error('Slow', 'down')),
          });
        const error = await failureOf(askAt(dialect, place, answering));
        assert.equal(error.retryAfterSeconds, 7);
      });
    });
  }
}
