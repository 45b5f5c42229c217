// Promises: what Volcengine STS is sent, byte for byte, and what becomes of everything that it, or whoever sits at its address,
// may answer. The signature is held against one that another program made from the vendor's page.
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { ResolvedVolcengine } from '../../src/api/resolved.ts';
import { acceptAnswer, type ExchangeAnswer, SecretText } from '../../src/credential/credentials.ts';
import { volcengineProvider } from '../../src/providers/volcengine.ts';
import { signVolcengine } from '../../src/providers/volcengine-signature.ts';
import { FAKE_EPOCH_MS, FakeClock } from '../support/fake-clock.ts';
import {
  type CloudContract,
  contractOf,
  errorTable,
  type ErrorRow,
  hostileAnswers,
  RELAXED,
  SECRETS,
  type SeenRequest,
  TOKEN,
  withSTS,
} from '../support/sts-contract.ts';

const ROLE = 'trn:iam::2100000001:role/orders';
const EXCHANGE: ResolvedVolcengine = {
  cloud: 'Volcengine',
  roleTRN: ROLE,
  region: 'cn-beijing',
  audience: 'bed',
  roleChain: [],
};
const CREDENTIALS = {
  CurrentTime: '2026-01-01T08:00:00+08:00',
  Expiration: '2099-01-01T08:00:00+08:00',
  AccessKeyId: 'AKTPExampleKeyOfTheTest',
  SecretAccessKey: SECRETS.secretAccessKey,
  SessionToken: SECRETS.sessionToken,
};
const METADATA = {
  RequestId: 'request-in-the-body',
  Action: 'AssumeRoleWithOIDC',
  Version: '2018-01-01',
  Service: 'sts',
  Region: 'cn-beijing',
};

const granted = (credentials: unknown, trn = 'trn:sts::2100000001:assumed-role/orders/shop.orders.orders'): string =>
  JSON.stringify({
    ResponseMetadata: METADATA,
    Result: { Credentials: credentials, AssumedRoleUser: { Trn: trn, AssumedRoleId: '1:shop.orders.orders' } },
  });

const contract: CloudContract<ResolvedVolcengine> = {
  exchange: EXCHANGE,
  make: volcengineProvider,
  success: (credentials = {}) =>
    granted(
      Array.isArray(credentials) || typeof credentials === 'string' ? credentials : { ...CREDENTIALS, ...credentials },
    ),
  error: (code, message) =>
    JSON.stringify({ ResponseMetadata: { ...METADATA, Error: { CodeN: 1, Code: code, Message: message } } }),
  empty: JSON.stringify({ ResponseMetadata: METADATA }),
};

const ROWS: readonly ErrorRow[] = [
  [403, 'AccessDenied', 'User is not authorized to perform: sts:AssumeRoleWithOIDC', 'AccessDenied'],
  [403, 'LackPolicy', 'The role lacks a policy', 'AccessDenied'],
  [403, 'LackProjectPolicy', 'Request was rejected because of lack of project policy.', 'AccessDenied'],
  [403, 'InvalidTimestamp', 'The Signature of the request is expired.', 'RequestRejected'],
  [401, 'MissingSignature', 'The request is missing signature.', 'TokenRejected'],
  [502, 'FailToConnect', 'Top Fail to Connect to Internal Service', 'STSUnavailable'],
  [401, 'InvalidOIDCToken', 'The signature of the OIDC token is invalid.', 'TokenRejected'],
  [401, 'NobodyKnowsThisOne', 'Any other 401', 'TokenRejected'],
  [400, 'OIDCTokenExpired', 'The OIDC token is expired.', 'TokenRejected'],
  [401, 'InvalidAccessKey', 'The accesskey is invalid.', 'TokenRejected'],
  [401, 'InvalidSecretToken', 'The security token is expired.', 'TokenRejected'],
  [401, 'SignatureDoesNotMatch', 'The signature does not match', 'TokenRejected'],
  [401, 'MissingAuthenticationToken', 'Request is missing Authentication Token.', 'TokenRejected'],
  [400, 'MissingParameter', 'The request is missing Action parameter.', 'RequestRejected'],
  [400, 'InvalidParameter', 'DurationSeconds is not valid', 'RequestRejected'],
  [400, 'InvalidParameter.DurationSeconds', 'DurationSeconds is not valid', 'RequestRejected'],
  [400, 'InvalidTRN', "TRN 'x' is not valid.", 'RequestRejected'],
  [400, 'InvalidTimestamp', 'The signature of the request is expired.', 'RequestRejected'],
  [404, 'InvalidActionOrVersion', 'Could not find operation', 'RequestRejected'],
  [400, 'InvalidJsonStruct', 'Policy has invalid json structure', 'PolicyRejected'],
  [400, 'constructor', 'a name of every object', 'RequestRejected'],
  [404, 'SomethingNew', 'Never seen before', 'RequestRejected'],
  [429, 'FlowLimitExceeded', 'beyond the current flow control limit.', 'STSThrottled'],
  [400, 'FlowLimitExceeded', 'beyond the current flow control limit.', 'STSThrottled'],
  [429, 'WhoKnows', 'Too many', 'STSThrottled'],
  [400, 'Throttling.User', 'Too many', 'STSThrottled'],
  [400, 'ThrottlingException', 'Too many', 'STSThrottled'],
  [400, 'RequestLimitExceeded', 'Too many', 'STSThrottled'],
  [400, 'TooManyRequestsException', 'Too many', 'STSThrottled'],
  [400, 'RequestTimeoutException', 'Too slow', 'STSUnavailable'],
  [408, 'WhoKnows', 'Too slow', 'STSUnavailable'],
  [500, 'InternalError', 'An internal error', 'STSUnavailable'],
  [503, 'ServiceUnavailableTemp', 'Service is temporarily unavailable.', 'STSUnavailable'],
  [504, 'InternalServiceTimeout', 'Too slow', 'STSUnavailable'],
  [500, 'AccessDenied', 'a server error is no verdict', 'STSUnavailable'],
];
/** With status 200 the code alone decides; these say something only through their status. */
const BY_STATUS_ALONE = ['WhoKnows', 'NobodyKnowsThisOne'];
errorTable(contract, ROWS);
errorTable(
  contract,
  ROWS.filter(([status, code]) => !BY_STATUS_ALONE.includes(code) && !(status === 500 && code === 'AccessDenied')).map(
    ([, ...rest]) => [200, ...rest],
  ),
);
hostileAnswers(contract);

const query = (request: SeenRequest | undefined): Record<string, string> =>
  Object.fromEntries(new URL(request?.target ?? '', 'http://bed').searchParams);

describe('requests', () => {
  const bed = contractOf(contract);
  after(bed.close);

  test('AssumeRoleWithOIDC is exactly this: unsigned, the token in the body alone', async () => {
    await withSTS(
      (response) =>
        response
          .writeHead(200, { date: 'Thu, 01 Jan 2026 00:00:01 GMT', 'x-tt-logid': 'log-1' })
          .end(contract.success()),
      async (sts) => {
        const provider = bed.provider(sts, { clock: new FakeClock() });
        const exchange = { sessionPolicy: '{"Statement": []}' };
        const answer = await provider.exchange(bed.request(sts.host, exchange), RELAXED);
        const [request] = sts.requests;
        assert.equal(sts.requests.length, 1);
        assert.equal(request?.method, 'POST');
        assert.equal(request?.target, '/?Action=AssumeRoleWithOIDC&Version=2018-01-01');
        const { 'content-length': length, connection, ...headers } = request?.headers ?? {};
        assert.equal(Number(length), request?.body.length);
        assert.equal(connection, 'keep-alive');
        assert.deepEqual(headers, {
          host: sts.host,
          accept: 'application/json',
          'content-type': 'application/x-www-form-urlencoded',
          'user-agent': 'workload-credentials',
        });
        assert.equal(
          request?.body,
          `DurationSeconds=3600&OIDCToken=${TOKEN}&Policy=%7B%22Statement%22%3A%20%5B%5D%7D` +
            '&RoleSessionName=shop.orders.orders&RoleTrn=trn%3Aiam%3A%3A2100000001%3Arole%2Forders',
        );
        assert.deepEqual(answer, {
          accessKeyID: 'AKTPExampleKeyOfTheTest',
          secretAccessKey: SECRETS.secretAccessKey,
          sessionToken: SECRETS.sessionToken,
          expiration: '2099-01-01T08:00:00+08:00',
          answerDateMs: FAKE_EPOCH_MS + 1_000,
          identity: 'trn:sts::2100000001:assumed-role/orders/shop.orders.orders',
          requestID: 'log-1',
        } satisfies ExchangeAnswer);
        const accepted = acceptAnswer(answer, 3600, FAKE_EPOCH_MS);
        assert.equal(accepted.expirationTimeMs, FAKE_EPOCH_MS + 3_660_000);
      },
    );
  });

  const HOPS: ResolvedVolcengine = {
    ...EXCHANGE,
    sessionPolicy: '{"Statement":[{"Effect":"Allow","Action":["tos:*"],"Resource":["*"]}]}',
    roleChain: [
      {
        role: 'trn:iam::2100000002:role/middle',
        tags: [
          { key: 'team', value: 'a b+c' },
          { key: 'cost', value: '' },
        ],
      },
      { role: 'trn:iam::2100000003:role/last', tags: [] },
    ],
  };
  const { Expiration, ...hop } = CREDENTIALS;
  const HOP_ANSWER = granted({
    ...hop,
    ExpiredTime: Expiration,
    AccessKeyId: 'AKTPTheKeyOfTheHop',
    SecretAccessKey: SECRETS.hopSecretAccessKey,
    SessionToken: SECRETS.hopSessionToken,
  });

  test('a chain: 900 s and no policy on the way, each hop signed by the one before, the policy on the last', async () => {
    await withSTS(
      (response, _request, index) => response.end(index === 0 ? contract.success() : HOP_ANSWER),
      async (sts) => {
        const clock = new FakeClock();
        const answer = await bed.provider(sts, { clock }).exchange(bed.request(sts.host, HOPS), RELAXED);
        assert.equal(answer.accessKeyID, 'AKTPTheKeyOfTheHop');
        assert.equal(answer.expiration, Expiration);
        const [first, middle, last] = sts.requests;
        assert.equal(sts.requests.length, 3);
        const form = new URLSearchParams(first?.body);
        assert.equal(form.get('DurationSeconds'), '900');
        assert.equal(form.get('Policy'), null);
        const common = { Action: 'AssumeRole', Version: '2018-01-01', RoleSessionName: 'shop.orders.orders' };
        assert.deepEqual(query(middle), {
          ...common,
          RoleTrn: 'trn:iam::2100000002:role/middle',
          DurationSeconds: '900',
          'Tags.1.Key': 'team',
          'Tags.1.Value': 'a b+c',
          'Tags.2.Key': 'cost',
          'Tags.2.Value': '',
        });
        assert.deepEqual(query(last), {
          ...common,
          RoleTrn: 'trn:iam::2100000003:role/last',
          DurationSeconds: '3600',
          Policy: HOPS.sessionPolicy ?? '',
        });
        const signers = [
          ['AKTPExampleKeyOfTheTest', SECRETS.sessionToken],
          ['AKTPTheKeyOfTheHop', SECRETS.hopSessionToken],
        ] as const;
        for (const [index, [accessKeyID, sessionToken]] of signers.entries()) {
          const request = sts.requests[index + 1];
          assert.equal(request?.method, 'GET');
          assert.equal(request?.body, '');
          const { authorization, connection, ...headers } = request?.headers ?? {};
          assert.equal(connection, 'keep-alive');
          assert.deepEqual(headers, {
            host: sts.host,
            accept: 'application/json',
            'user-agent': 'workload-credentials',
            'x-content-sha256': 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
            'x-date': '20260101T000000Z',
            'x-security-token': sessionToken,
          });
          assert.match(
            authorization ?? '',
            new RegExp(
              `^HMAC-SHA256 Credential=${accessKeyID}/20260101/cn-beijing/sts/request, SignedHeaders=host;x-content-sha256;x-date;x-security-token, Signature=[0-9a-f]{64}$`,
            ),
          );
        }
        for (const { target } of sts.requests) {
          for (const secret of [TOKEN, ...Object.values(SECRETS)]) assert.ok(!target.includes(secret));
        }
      },
    );
  });

  test('the signature is the one that a program written from the page makes', () => {
    const keys = {
      accessKeyID: 'AKTPExample',
      secretAccessKey: new SecretText('c2VjcmV0LWtleS1vZi10aGUtdGVzdA=='),
      sessionToken: new SecretText('STS2token/of+the=test'),
    };
    const signed = {
      Action: 'AssumeRole',
      Version: '2018-01-01',
      RoleTrn: 'trn:iam::2100000002:role/middle',
      Policy: `{"a b": "c+d*!'()~é"}`,
      'Tags.10.Key': 'x',
      'Tags.1.Key': 'y',
    };
    const { path, headers } = signVolcengine(
      { host: 'sts.cn-beijing.volcengineapi.com', region: 'cn-beijing', query: signed, timeMs: FAKE_EPOCH_MS },
      keys,
    );
    assert.equal(
      headers['authorization'],
      'HMAC-SHA256 Credential=AKTPExample/20260101/cn-beijing/sts/request, SignedHeaders=host;x-content-sha256;x-date;x-security-token, Signature=3bf497cfdc3abe4e58d77cf5fe33e7a19ca5d7adffaed7246ad0827af775bc18',
    );
    assert.deepEqual(query({ method: '', target: path, headers: {}, body: '' }), signed);
  });
});

describe('answers', () => {
  const bed = contractOf(contract);
  after(bed.close);
  const LATER = '2026-01-01T09:00:00+08:00';

  for (const [what, over] of [
    ['Expiration with an offset', { Expiration: LATER }],
    ['Expiration in UTC', { Expiration: '2026-01-01T01:00:00Z' }],
    ['ExpiredTime with an offset', { Expiration: undefined, ExpiredTime: LATER }],
    ['ExpiredTime beside an empty Expiration', { Expiration: null, ExpiredTime: LATER }],
  ] as const) {
    test(`${what} is read`, async () => {
      await withSTS(
        (response) => response.writeHead(200, { date: 'Thu, 01 Jan 2026 00:00:00 GMT' }).end(contract.success(over)),
        async (sts) => {
          const answer = await bed.provider(sts).exchange(bed.request(sts.host), RELAXED);
          assert.equal(acceptAnswer(answer, 3600, FAKE_EPOCH_MS).expirationTimeMs, FAKE_EPOCH_MS + 3_600_000);
          assert.equal(answer.requestID, 'request-in-the-body');
        },
      );
    });
  }

  test('a silently shorter life is what counts, and a silently longer one is not believed', async () => {
    for (const [end, lifeSeconds] of [
      ['2026-01-01T08:20:00+08:00', 1_200],
      ['2026-01-01T20:00:00+08:00', 3_660],
    ] as const) {
      await withSTS(
        (response) =>
          response.writeHead(200, { date: 'Thu, 01 Jan 2026 00:00:00 GMT' }).end(contract.success({ Expiration: end })),
        async (sts) => {
          const answer = await bed.provider(sts).exchange(bed.request(sts.host), RELAXED);
          const { expirationTimeMs } = acceptAnswer(answer, 3600, FAKE_EPOCH_MS);
          assert.equal(expirationTimeMs, FAKE_EPOCH_MS + lifeSeconds * 1_000);
        },
      );
    }
  });

  test('throttled with Retry-After waits that long', async () => {
    const error = await bed.failure(429, contract.error('FlowLimitExceeded', 'slow down'), { 'retry-after': '17' });
    assert.equal(error.retryAfterSeconds, 17);
  });

  test('an error beside a result is an error', async () => {
    const both = JSON.stringify({
      ...JSON.parse(contract.success()),
      ...JSON.parse(contract.error('AccessDenied', 'no')),
    });
    assert.equal((await bed.failure(200, both)).code, 'AccessDenied');
  });
});
