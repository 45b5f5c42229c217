// Promises: the requests to AWS STS are what the AWS SDK's own commands send for the same input, byte for byte in body and path,
// and its answers are read as those commands read them. That is what holds the short way of src/providers/aws-web-identity.ts
// (docs/adr/0006) to the SDK. Beside it, the golden request of a hop.
import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { after, describe, test } from 'node:test';
import {
  AssumeRoleWithWebIdentityCommand,
  type AssumeRoleWithWebIdentityCommandInput,
  STSClient,
  STSServiceException,
} from '@aws-sdk/client-sts';
import type { ResolvedAWS } from '../../src/api/resolved.ts';
import { awsProvider } from '../../src/providers/aws.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { undiciTransport } from '../../src/transport/undici.ts';
import { failureOf, RELAXED, SECRETS, type SeenRequest, type STSBed, TOKEN, withSTS } from '../support/sts-contract.ts';
import { askAt, bodyOf, DIALECTS } from '../support/sts-dialects.ts';

const ROLE = 'arn:aws:iam::123456789012:role/orders';
const EXCHANGE: ResolvedAWS = {
  cloud: 'AWS',
  roleARN: ROLE,
  region: 'eu-west-1',
  audience: 'bed',
  endpointType: 'Regional',
  policyARNs: [],
  roleChain: [],
};
/** The SDK's own headers for its own ends; of no meaning to STS, and not sent by us. */
const SDK_HEADERS = ['amz-sdk-invocation-id', 'amz-sdk-request', 'x-amz-user-agent'];

const transport = undiciTransport({ connections: 2, tls: {}, connectTimeoutMs: 5_000 });
after(() => transport.close());

const [AWS] = DIALECTS;
assert.ok(AWS !== undefined);
const ANSWER = AWS.success('exchange', {
  accessKeyID: 'ASIAEXAMPLE',
  secretAccessKey: SECRETS.secretAccessKey,
  sessionToken: SECRETS.sessionToken,
  expiration: '2099-01-01T00:00:00Z',
});

const ours = (bed: STSBed, over: Partial<ResolvedAWS> = {}, durationSeconds = 3600) =>
  awsProvider({ transport, policy: bed.policy('AWS'), clock: systemClock }).exchange(
    {
      exchange: { ...EXCHANGE, endpoint: `http://${bed.host}`, ...over },
      durationSeconds,
      sessionName: 'shop.orders.orders',
      token: TOKEN,
    },
    RELAXED,
  );

async function theirs(bed: STSBed, over: Partial<AssumeRoleWithWebIdentityCommandInput> = {}) {
  const client = new STSClient({
    endpoint: `http://${bed.host}`,
    region: 'eu-west-1',
    maxAttempts: 1,
    credentials: { accessKeyId: 'unused', secretAccessKey: 'unused' },
  });
  try {
    return await client.send(
      new AssumeRoleWithWebIdentityCommand({
        RoleArn: ROLE,
        RoleSessionName: 'shop.orders.orders',
        WebIdentityToken: TOKEN,
        DurationSeconds: 3600,
        ...over,
      }),
    );
  } finally {
    client.destroy();
  }
}

const POLICY = '{"Version": "2012-10-17", "Statement": [{"Sid": "a b+c*!\'()~/&=%é水"}]}';

describe('AssumeRoleWithWebIdentity', () => {
  for (const [what, over, input] of [
    ['nothing but what is needed', {}, {}],
    ['a session policy with every kind of character', { sessionPolicy: POLICY }, { Policy: POLICY }],
    [
      'policy ARNs',
      { policyARNs: ['arn:aws:iam::aws:policy/ReadOnlyAccess', 'arn:aws:iam::123456789012:policy/a+b=c,d@e'] },
      {
        PolicyArns: [
          { arn: 'arn:aws:iam::aws:policy/ReadOnlyAccess' },
          { arn: 'arn:aws:iam::123456789012:policy/a+b=c,d@e' },
        ],
      },
    ],
    [
      'a role with a path, and both policies',
      { roleARN: 'arn:aws:iam::123456789012:role/a/b+c=,.@-_d', sessionPolicy: POLICY, policyARNs: ['arn:x'] },
      { RoleArn: 'arn:aws:iam::123456789012:role/a/b+c=,.@-_d', Policy: POLICY, PolicyArns: [{ arn: 'arn:x' }] },
    ],
  ] as const) {
    test(`with ${what} it has the bytes that the SDK's own command sends`, async () => {
      await withSTS(
        (response) => response.writeHead(200, { 'content-type': 'text/xml' }).end(ANSWER),
        async (bed) => {
          await ours(bed, over);
          await theirs(bed, { ...input } as Partial<AssumeRoleWithWebIdentityCommandInput>);
          const [own, sdk] = bed.requests;
          assert.equal(bed.requests.length, 2);
          assert.equal(own?.method, sdk?.method);
          assert.equal(own?.target, sdk?.target);
          assert.equal(own?.body, sdk?.body);
          for (const name of ['host', 'content-type', 'content-length', 'authorization', 'x-amz-security-token']) {
            assert.equal(own?.headers[name], sdk?.headers[name], name);
          }
          const extra = Object.keys(sdk?.headers ?? {}).filter((name) => !(name in (own?.headers ?? {})));
          assert.deepEqual(
            extra.filter((name) => !SDK_HEADERS.includes(name)),
            [],
          );
          const own_only = Object.keys(own?.headers ?? {}).filter((name) => !(name in (sdk?.headers ?? {})));
          assert.deepEqual(own_only, []);
        },
      );
    });
  }

  for (const [what, answer] of [
    ['a plain one', ANSWER],
    ['with entities and white space', ANSWER.replace('ASIAEXAMPLE', 'ASIA&#69;XAMPLE').replaceAll('><', '>\n  <')],
    ['with fractions of a second', ANSWER.replace('00:00:00Z', '00:00:00.500Z')],
    ['with fields that nobody knows', ANSWER.replace('<Credentials>', '<New>1</New><Credentials><Other/>')],
    ['without a part', ANSWER.replace(/<SessionToken>.*<\/SessionToken>/, '')],
  ] as const) {
    test(`an answer is read as the SDK's own command reads it: ${what}`, async () => {
      await withSTS(
        (response) => response.writeHead(200, { 'content-type': 'text/xml' }).end(answer),
        async (bed) => {
          const { accessKeyID, secretAccessKey, sessionToken, expiration } = await ours(bed);
          const { Credentials: sdk } = await theirs(bed);
          assert.ok(sdk !== undefined);
          assert.deepEqual(
            [accessKeyID, secretAccessKey, sessionToken, expiration],
            [sdk.AccessKeyId, sdk.SecretAccessKey, sdk.SessionToken, sdk.Expiration],
          );
        },
      );
    });
  }

  for (const [status, code] of [
    [403, 'AccessDenied'],
    [400, 'ExpiredTokenException'],
    [400, 'InvalidIdentityToken'],
    [400, 'Throttling'],
    [400, 'NeverSeenBefore'],
    [500, 'InternalFailure'],
  ] as const) {
    test(`${status} ${code} is told with the code and the words that the SDK's own error has`, async () => {
      await withSTS(
        (response) => response.writeHead(status).end(AWS.error(code, 'as the cloud says it')),
        async (bed) => {
          const own = await failureOf(ours(bed));
          const sdk = await theirs(bed).catch((error: unknown) => error);
          assert.ok(sdk instanceof STSServiceException);
          assert.equal(own.cloudCode, 'Code' in sdk ? sdk.Code : sdk.name);
          assert.ok(own.message.includes(sdk.message));
        },
      );
    });
  }
});

/** Signature Version 4 from its description, for one header-signed request. */
function signature(request: SeenRequest, names: readonly string[], secret: string): string {
  const sha = (text: string): string => createHash('sha256').update(text).digest('hex');
  const mac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
  const time = String(request.headers['x-amz-date']);
  const headers = names.map((name) => `${name}:${String(request.headers[name]).trim()}\n`).join('');
  const canonical = `${request.method}\n/\n\n${headers}\n${names.join(';')}\n${sha(request.body)}`;
  const scope = `${time.slice(0, 8)}/eu-west-1/sts/aws4_request`;
  const key = scope.split('/').reduce<string | Buffer>((last, part) => mac(last, part), `AWS4${secret}`);
  return mac(key, `AWS4-HMAC-SHA256\n${time}\n${scope}\n${sha(canonical)}`).toString('hex');
}

describe('AssumeRole of a hop', () => {
  test('is exactly this, signed with the keys of the call before', async () => {
    await withSTS(
      (response, _request, index) =>
        response.end(index === 0 ? ANSWER : ANSWER.replaceAll('AssumeRoleWithWebIdentity', 'AssumeRole')),
      async (bed) => {
        await ours(bed, {
          sessionPolicy: '{"Version":"2012-10-17"}',
          policyARNs: ['arn:aws:iam::aws:policy/ReadOnlyAccess'],
          roleChain: [
            {
              role: 'arn:aws:iam::210987654321:role/last',
              externalID: 'partner:42/a+b=c,@d',
              tags: [
                { key: 'team', value: 'a b', transitive: true },
                { key: 'cost', value: '7' },
              ],
            },
          ],
        });
        const [first, hop] = bed.requests;
        assert.ok(first !== undefined && hop !== undefined);
        assert.equal(bed.requests.length, 2);
        assert.ok(!first.body.includes('Policy'), 'what narrows the session goes with the last hop');
        assert.match(first.body, /&DurationSeconds=900$/);
        assert.deepEqual([hop.method, hop.target], ['POST', '/']);
        assert.equal(
          hop.body,
          'Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A210987654321%3Arole%2Flast' +
            '&RoleSessionName=shop.orders.orders' +
            '&PolicyArns.member.1.arn=arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2FReadOnlyAccess' +
            '&Policy=%7B%22Version%22%3A%222012-10-17%22%7D&DurationSeconds=3600' +
            '&Tags.member.1.Key=team&Tags.member.1.Value=a%20b&Tags.member.2.Key=cost&Tags.member.2.Value=7' +
            '&TransitiveTagKeys.member.1=team&ExternalId=partner%3A42%2Fa%2Bb%3Dc%2C%40d',
        );
        const { authorization = '', 'x-amz-date': time, ...headers } = hop.headers;
        assert.match(String(time), /^\d{8}T\d{6}Z$/);
        assert.deepEqual(headers, {
          host: bed.host,
          connection: 'keep-alive',
          'content-length': String(hop.body.length),
          'content-type': 'application/x-www-form-urlencoded',
          'user-agent': 'workload-credentials',
          'x-amz-content-sha256': createHash('sha256').update(hop.body).digest('hex'),
          'x-amz-security-token': SECRETS.sessionToken,
        });
        const [, names = '', signed] =
          /^AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE\/\d{8}\/eu-west-1\/sts\/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$/.exec(
            authorization,
          ) ?? [];
        for (const name of ['host', 'x-amz-date', 'x-amz-security-token']) {
          assert.ok(names.split(';').includes(name), `${name} is not signed: ${names}`);
        }
        assert.equal(signed, signature(hop, names.split(';'), SECRETS.secretAccessKey));
      },
    );
  });

  test('a time that cannot be signed is an error without the keys', async () => {
    const answering = () => Promise.resolve({ body: bodyOf('') });
    const error = await failureOf(askAt(AWS, 'a hop', answering, { clockOffsetMs: () => Number.NaN }));
    assert.equal(error.code, 'InternalError');
  });
});
