// Promises: whatever an STS answers, each provider ends with a credential that holds together or with an error of the register
// that tells nothing secret: found by chance, in the shapes that come near to good answers.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { ResolvedExchange } from '../../src/api/resolved.ts';
import { acceptAnswer } from '../../src/credential/credentials.ts';
import { CredentialError } from '../../src/credential/errors.ts';
import { cloudProvider } from '../../src/providers/clouds.ts';
import { FAKE_EPOCH_MS, FakeClock } from '../support/fake-clock.ts';
import { FixedRandom } from '../support/fake-random.ts';
import { assertNothingSecret, RELAXED, SECRETS, TOKEN } from '../support/sts-contract.ts';

const COMMON = { audience: 'bed', endpoint: 'https://sts.example.internal', roleChain: [] };
const EXCHANGES = [
  {
    cloud: 'AWS',
    roleARN: 'arn:aws:iam::123456789012:role/a',
    region: 'eu-west-1',
    endpointType: 'Regional',
    policyARNs: [],
    ...COMMON,
  },
  {
    cloud: 'AlibabaCloud',
    roleARN: 'acs:ram::1:role/a',
    oidcProviderARN: 'acs:ram::1:oidc-provider/a',
    region: 'cn-hangzhou',
    network: 'Public',
    ...COMMON,
  },
  { cloud: 'Volcengine', roleTRN: 'trn:iam::1:role/a', region: 'cn-beijing', ...COMMON },
] as const satisfies readonly ResolvedExchange[];

const word = fc.oneof(
  fc.constantFrom(
    TOKEN,
    TOKEN.slice(60, 100),
    SECRETS.secretAccessKey,
    SECRETS.sessionToken,
    'STS.Nxyz',
    'AccessDenied',
  ),
  fc.constantFrom(
    '2026-01-01T01:00:00Z',
    '2026-01-01T09:00:00+08:00',
    '2025-01-01T00:00:00Z',
    'soon',
    'Throttling',
    '',
  ),
  fc.string({ maxLength: 40 }),
  fc.jsonValue({ maxDepth: 1 }),
);
/** An object with some of these fields. */
const some = (...names: string[]) =>
  fc.record(Object.fromEntries(names.map((name) => [name, word])), { requiredKeys: [] });
const credentials = some(
  'AccessKeyId',
  'SecretAccessKey',
  'AccessKeySecret',
  'SessionToken',
  'SecurityToken',
  'Expiration',
  'ExpiredTime',
);
const orWord = (object: fc.Arbitrary<unknown>) => fc.oneof({ weight: 4, arbitrary: object }, word);
const json = fc
  .record(
    {
      RequestId: word,
      Code: word,
      Message: word,
      Credentials: orWord(credentials),
      AssumedRoleUser: orWord(some('Arn', 'Trn')),
      ResponseMetadata: orWord(
        fc.record({ RequestId: word, Error: orWord(some('Code', 'Message')) }, { requiredKeys: [] }),
      ),
      Result: orWord(
        fc.record(
          { Credentials: orWord(credentials), AssumedRoleUser: orWord(some('Arn', 'Trn')) },
          { requiredKeys: [] },
        ),
      ),
    },
    { requiredKeys: [] },
  )
  .map((value) => JSON.stringify(value));
const tag = (name: string) =>
  word.map((text) => `<${name}>${typeof text === 'string' ? text : JSON.stringify(text)}</${name}>`);
const xml = fc
  .tuple(tag('AccessKeyId'), tag('SecretAccessKey'), tag('SessionToken'), tag('Expiration'), tag('Arn'))
  .map(
    ([id, secret, token, end, arn]) =>
      `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><AssumedRoleUser>${arn}</AssumedRoleUser><Credentials>${id}${secret}${token}${end}</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
  );
const body = fc
  .tuple(fc.oneof(json, xml, fc.string()), fc.option(fc.nat(400), { nil: undefined }))
  .map(([text, cut]) => text.slice(0, cut));
const status = fc.constantFrom(200, 200, 200, 200, 201, 204, 302, 400, 401, 403, 404, 408, 418, 429, 500, 503);
const headers = fc.record(
  {
    date: fc.constantFrom('Thu, 01 Jan 2026 00:00:00 GMT', 'Thu, 01 Jan 2026 02:00:00 GMT', 'now'),
    location: fc.constantFrom(`https://evil.example/?t=${TOKEN}`, 'not a url', ''),
    'retry-after': fc.constantFrom('5', 'soon', '99999999999'),
    'x-acs-retry-after': fc.constantFrom('5000', '-1'),
    'x-acs-request-id': fc.constantFrom('r', TOKEN),
    'x-amzn-requestid': fc.constantFrom('r', TOKEN),
    'x-tt-logid': fc.constantFrom('r', TOKEN),
  },
  { requiredKeys: [] },
);

async function* stream(text: string): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(Buffer.from(text));
}

for (const exchange of EXCHANGES) {
  describe(exchange.cloud, () => {
    test('any answer is a credential within what was asked, or an error of the register without a secret', async () => {
      const seen = { accepted: 0, refused: 0 };
      await fc.assert(
        fc.asyncProperty(status, headers, body, async (code, head, text) => {
          const provider = cloudProvider({
            transport: {
              send: () => Promise.resolve({ status: code, headers: { ...head }, body: stream(text) }),
              close: () => Promise.resolve(),
            },
            policy: {
              entries: [{ cloud: exchange.cloud, host: 'sts.example.internal', scheme: 'https', audiences: ['bed'] }],
              apiServerAudiences: [],
            },
            clock: new FakeClock(),
            random: new FixedRandom(),
          });
          const request = { exchange, durationSeconds: 3600, sessionName: 'shop.orders.orders', token: TOKEN };
          try {
            const answer = await provider.exchange(request, RELAXED);
            const { accessKeyID, identity, requestID, expirationTimeMs } = acceptAnswer(answer, 3600, FAKE_EPOCH_MS);
            assertNothingSecret({ accessKeyID, identity, requestID }, []);
            assert.ok(expirationTimeMs > FAKE_EPOCH_MS && expirationTimeMs <= FAKE_EPOCH_MS + 3_660_000);
            seen.accepted += 1;
          } catch (error) {
            assert.ok(error instanceof CredentialError, String(error));
            // Secrets of the answer are in no message; where the answer has them as its code, they have no form of one.
            assertNothingSecret(error);
            assert.notEqual(error.code, 'InternalError');
            assert.ok((error.retryAfterSeconds ?? 0) <= 600);
            seen.refused += 1;
          }
        }),
        { numRuns: 500 },
      );
      assert.ok(seen.refused > 0);
    });
  });
}
