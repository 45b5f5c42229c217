// Promises: the sandbox's Volcengine STS: every code that it knows, and signed calls as Volcengine's own SDKs sent them (recorded
// in test/fixtures/sts-signatures.json), so that nothing here is signed by our own code but what a test must sign afresh.
import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, afterEach, before, describe, test } from 'node:test';
import { SeededRandom } from '../support/fake-random.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { VolcengineSecurityTokenService } from '../../sandbox/sts/volcengine.ts';
import type { IssuedCredential } from '../../sandbox/sts/sessions.ts';
import { openSTSScene, SUBJECT, withClaims, withOtherSignature } from './sts-scene.ts';
import type { STSScene } from './sts-scene.ts';

const ROLE = 'trn:iam::2100000001:role/orders';
const SECOND = 'trn:iam::2100000002:role/second';
const AUDIENCE = 'sts.volcengine.com';

interface Envelope {
  readonly ResponseMetadata: {
    readonly RequestId: string;
    readonly Action: string;
    readonly Service: string;
    readonly Region: string;
    readonly Error?: { readonly CodeN: number; readonly Code: string; readonly Message: string };
  };
  readonly Result?: {
    readonly Credentials?: Readonly<Record<string, string>>;
    readonly OIDCTokenInfo?: { readonly Subject: string; readonly ClientIds: readonly string[] };
    readonly [name: string]: unknown;
  };
}

interface Answer {
  readonly status: number;
  readonly envelope: Envelope;
  /** `code status`, or `none`. */
  readonly refusal: string;
}

let scene: STSScene;

function answerOf(status: number, text: string): Answer {
  const envelope = JSON.parse(text) as Envelope;
  const { Error: error } = envelope.ResponseMetadata;
  return { status, envelope, refusal: error === undefined ? 'none' : `${error.Code} ${status}` };
}

interface SignOptions {
  readonly service?: string;
  readonly nowMs?: number;
  readonly authorization?: string | undefined;
}

/** A GET as https://www.volcengine.com/docs/6369/67269 says, with the headers that are signed. */
function signed(
  query: string,
  keys: Pick<IssuedCredential, 'accessKeyID' | 'secretAccessKey' | 'sessionToken'>,
  options: SignOptions = {},
) {
  const date = new Date(options.nowMs ?? Date.now()).toISOString().replaceAll(/[-:]|\.\d{3}/g, '');
  const scope = [date.slice(0, 8), 'cn-beijing', options.service ?? 'sts', 'request'];
  const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
  const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
  const headers = { 'x-date': date, 'x-security-token': keys.sessionToken };
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`);
  const canonical = ['GET', '/', query, lines.join(''), 'x-date;x-security-token', sha256('')].join('\n');
  const key = scope.reduce<string | Buffer>((last, step) => hmac(last, step), keys.secretAccessKey);
  const signature = hmac(key, ['HMAC-SHA256', date, scope.join('/'), sha256(canonical)].join('\n')).toString('hex');
  const credential = `${keys.accessKeyID}/${scope.join('/')}`;
  return {
    ...headers,
    authorization: `HMAC-SHA256 Credential=${credential}, SignedHeaders=x-date;x-security-token, Signature=${signature}`,
  };
}

describe('Volcengine STS', () => {
  before(async () => {
    scene = await openSTSScene();
    scene.sandbox.volcengine.addRole({ arn: ROLE, subject: SUBJECT, maxSessionDurationSeconds: 7200 });
    scene.sandbox.volcengine.addRole({ arn: SECOND, trustedRole: ROLE, maxSessionDurationSeconds: 43_200 });
  });
  after(() => scene.sandbox.stop());
  afterEach(() => {
    scene.time.offsetMs = 0;
    const { switches, service } = scene.sandbox.volcengine;
    Object.assign(switches, { mode: 'none', times: undefined, clockSkewMs: 0 });
    Object.assign(service.wire, { expirationField: 'Expiration', offsetTimes: false, errorsWithStatus200: false });
  });

  async function exchange(
    change: Record<string, string | undefined> = {},
    query = 'Action=AssumeRoleWithOIDC&Version=2018-01-01',
  ): Promise<Answer> {
    const fields = { RoleTrn: ROLE, OIDCToken: await scene.token(AUDIENCE), RoleSessionName: 'session', ...change };
    const form = new URLSearchParams();
    for (const [name, value] of Object.entries(fields)) if (value !== undefined) form.set(name, value);
    const response = await fetch(new URL(`/?${query}`, scene.sandbox.volcengine.url), { method: 'POST', body: form });
    return answerOf(response.status, await response.text());
  }

  async function session(): Promise<IssuedCredential> {
    assert.equal((await exchange({ DurationSeconds: '900' })).refusal, 'none');
    const issued = scene.sandbox.volcengine.issued.at(-1);
    assert.ok(issued);
    return issued;
  }

  async function call(query: string, headers: Record<string, string>): Promise<Answer> {
    const response = await fetch(new URL(`/?${query}`, scene.sandbox.volcengine.url), { headers });
    return answerOf(response.status, await response.text());
  }

  const IDENTITY = 'Action=GetCallerIdentity&Version=2018-01-01';

  test('a token becomes a session, in the envelope', async () => {
    const { status, envelope } = await exchange({ DurationSeconds: '900' });
    const { Credentials: credentials, OIDCTokenInfo: info, AssumedRoleUser: user } = envelope.Result ?? {};
    const issued = scene.sandbox.volcengine.issued.at(-1);
    assert.equal(status, 200);
    assert.deepEqual(Object.keys(credentials ?? {}), [
      'CurrentTime',
      'Expiration',
      'AccessKeyId',
      'SecretAccessKey',
      'SessionToken',
    ]);
    assert.equal(Date.parse(credentials?.['Expiration'] ?? ''), issued?.expirationMs);
    assert.deepEqual([info?.Subject, info?.ClientIds], [SUBJECT, [AUDIENCE]]);
    assert.deepEqual((user as { Trn: string }).Trn, 'trn:sts::2100000001:assumed-role/orders/session');
    assert.match(envelope.ResponseMetadata.RequestId, /^\d{14}[0-9A-F]{20}$/);
    assert.equal(scene.sandbox.volcengine.calls.at(-1)?.webIdentityTokenIn, 'body');
    assert.doesNotMatch(JSON.stringify(scene.sandbox.volcengine.calls), /eyJ/);
  });

  test('the end may have its other name, times an offset, and errors the status 200', async () => {
    const { wire } = scene.sandbox.volcengine.service;
    Object.assign(wire, { expirationField: 'ExpiredTime', offsetTimes: true, errorsWithStatus200: true });
    const { Credentials: credentials = {} } = (await exchange()).envelope.Result ?? {};
    assert.equal(credentials['Expiration'], undefined);
    assert.match(credentials['ExpiredTime'] ?? '', /\+08:00$/);
    assert.equal(Date.parse(credentials['ExpiredTime'] ?? ''), scene.sandbox.volcengine.issued.at(-1)?.expirationMs);
    assert.equal((await exchange({ RoleTrn: 'trn:iam::2100000001:role/none' })).refusal, 'AccessDenied 200');
  });

  test('each fault of a token is a 401 with a code', async () => {
    const good = await scene.token(AUDIENCE);
    const refusals = async (OIDCToken: string): Promise<string> => (await exchange({ OIDCToken })).refusal;
    assert.equal(await refusals('no token'), 'InvalidOIDCToken 401');
    assert.equal(await refusals(withClaims(good, { iss: 'https://other' })), 'InvalidOIDCToken 401');
    assert.equal(await refusals(withOtherSignature(good)), 'InvalidOIDCToken 401');
    assert.equal(await refusals(withClaims(good, { sub: 'system:admin' })), 'InvalidOIDCToken 401');
    assert.equal(await refusals(await scene.token('sts.amazonaws.com')), 'InvalidOIDCToken 401');
    scene.sandbox.volcengine.switches.clockSkewMs = -3_600_000;
    assert.equal(await refusals(good), 'InvalidOIDCToken 401');
    scene.sandbox.volcengine.switches.clockSkewMs = 0;
    const action = { kind: 'status', status: 503 } as const;
    const remove = scene.sandbox.apiServer.faults.add({ match: { pathPattern: /openid/ }, action });
    assert.equal(await refusals(good), 'OIDCProviderUnreachable 401');
    remove();
    assert.equal(await refusals(good), 'none');
    scene.time.offsetMs = 2 * 3_600_000;
    assert.equal(await refusals(good), 'OIDCTokenExpired 401');
  });

  test('each wrong parameter, subject and role has its code', async () => {
    const cases: readonly [Record<string, string | undefined>, string][] = [
      [{ RoleTrn: undefined }, 'ParameterNotFound 400'],
      [{ OIDCToken: undefined }, 'ParameterNotFound 400'],
      [{ RoleSessionName: undefined }, 'ParameterNotFound 400'],
      [{ RoleTrn: 'acs:ram::1:role/x' }, 'InvalidTRN 400'],
      [{ RoleTrn: 'trn:iam::2100000001:role/none' }, 'AccessDenied 403'],
      [{ RoleTrn: SECOND }, 'AccessDenied 403'],
      [{ OIDCToken: await scene.token(AUDIENCE, 'other') }, 'AccessDenied 403'],
      [{ OIDCToken: 'x'.repeat(65_537) }, 'InvalidParameter.OIDCToken 400'],
      [{ RoleSessionName: 'a+b' }, 'InvalidParameter.RoleSessionName 400'],
      [{ DurationSeconds: '899' }, 'InvalidParameter.DurationSeconds 400'],
      [{ DurationSeconds: '7201' }, 'InvalidParameter.DurationSeconds 400'],
      [{ Policy: '{' }, 'InvalidJsonStruct 400'],
      [{ Policy: '{"Version":"1"}' }, 'InvalidJsonStruct 400'],
      [{ Policy: `{"Statement":[${' '.repeat(2048)}]}` }, 'InvalidParameter.Policy 400'],
    ];
    for (const [change, expected] of cases) {
      const answer = await exchange(change);
      assert.equal(answer.refusal, expected, JSON.stringify(change).slice(0, 80));
      assert.equal(answer.envelope.Result, undefined);
      assert.doesNotMatch(JSON.stringify(answer.envelope), /eyJ/);
    }
    assert.equal((await exchange({}, 'Action=AssumeRoleWithOIDC')).refusal, 'MissingParameter 400');
    assert.equal((await exchange({}, 'Action=Other&Version=2018-01-01')).refusal, 'InvalidActionOrVersion 404');
    assert.equal(
      (await exchange({}, 'Action=AssumeRoleWithOIDC&Version=2015-04-01')).refusal,
      'InvalidActionOrVersion 404',
    );
    const put = await fetch(new URL(`/?${IDENTITY}`, scene.sandbox.volcengine.url), { method: 'PUT' });
    assert.equal(put.status, 405);
    const denied = (await exchange({ RoleTrn: SECOND })).envelope.ResponseMetadata.Error;
    assert.equal(denied?.CodeN, 100_013);
    const key = await session();
    const query = 'Action=AssumeRoleWithOIDC&Version=2018-01-01';
    assert.equal((await call(query, signed(query, key))).refusal, 'SandboxSignedRequest 400');
  });

  test('a session makes the next one; a duration out of bounds is changed in silence, as the page says', async () => {
    const first = await session();
    const assume = async (seconds: number, role = SECOND): Promise<Answer> => {
      const fields = {
        DurationSeconds: String(seconds),
        RoleSessionName: 'hop',
        RoleTrn: role,
        'Tags.1.Key': 'team',
        'Tags.1.Value': 'a',
      };
      const query = `Action=AssumeRole&${new URLSearchParams(fields).toString()}&Version=2018-01-01`;
      return await call(query, signed(query, first));
    };
    const lifeSeconds = async (seconds: number): Promise<number> => {
      const { Credentials: times = {} } = (await assume(seconds)).envelope.Result ?? {};
      return (Date.parse(times['ExpiredTime'] ?? '') - Date.parse(times['CurrentTime'] ?? '')) / 1000;
    };
    assert.equal(await lifeSeconds(60), 3600);
    assert.equal(await lifeSeconds(900), 900);
    assert.equal(await lifeSeconds(100_000), 43_200);
    const second = scene.sandbox.volcengine.issued.at(-1);
    assert.ok(second);
    assert.deepEqual([second.hop, second.parentAccessKeyID], [2, first.accessKeyID]);
    assert.deepEqual(second.tags, [{ key: 'team', value: 'a', transitive: false }]);
    const identity = (await call(IDENTITY, signed(IDENTITY, second))).envelope.Result;
    assert.deepEqual(
      [identity?.['AccountId'], identity?.['Trn']],
      [2_100_000_002, 'trn:sts::2100000002:assumed-role/second/hop'],
    );
    assert.equal((await assume(900, ROLE)).refusal, 'AccessDenied 403');
  });

  test('each fault of a signed call has its code', async () => {
    const key = await session();
    const identify = async (change: Partial<IssuedCredential>, options: SignOptions = {}): Promise<string> =>
      (await call(IDENTITY, signed(IDENTITY, { ...key, ...change }, options))).refusal;
    assert.equal(await identify({}), 'none');
    assert.equal(await identify({ accessKeyID: 'AKTPUNKNOWN' }), 'InvalidAccessKey 401');
    assert.equal(await identify({ secretAccessKey: 'x' }), 'SignatureDoesNotMatch 401');
    assert.equal(await identify({ sessionToken: 'x' }), 'InvalidSecretToken 401');
    assert.equal(await identify({}, { service: 'iam' }), 'InvalidCredential 400');
    assert.equal(await identify({}, { nowMs: Date.now() - 16 * 60_000 }), 'InvalidTimestamp 400');
    assert.equal(await identify({}, { nowMs: Date.now() + 16 * 60_000 }), 'InvalidTimestamp 400');
    assert.equal((await call(IDENTITY, {})).refusal, 'MissingAuthenticationToken 401');
    assert.equal((await call(IDENTITY, { authorization: 'HMAC-SHA256 x' })).refusal, 'InvalidAuthorization 400');
    (key as { expirationMs: number }).expirationMs = Date.now() - 1;
    assert.equal(await identify({}), 'InvalidSecretToken 401');
  });

  test('it throttles with the public code, and any other can be forced', async () => {
    const { switches } = scene.sandbox.volcengine;
    Object.assign(switches, { mode: 'throttle', times: 1, retryAfterSeconds: 3 });
    const url = new URL('/?Action=AssumeRoleWithOIDC&Version=2018-01-01', scene.sandbox.volcengine.url);
    const response = await fetch(url, { method: 'POST' });
    assert.equal(response.headers.get('retry-after'), '3');
    assert.equal(answerOf(response.status, await response.text()).refusal, 'FlowLimitExceeded 429');
    for (const [code, httpStatus, number] of [
      ['LackPolicy', 403, 100_012],
      ['InternalError', 500, 100_014],
    ] as const) {
      Object.assign(switches, { mode: 'refuse', times: 1, refusal: { code, httpStatus, message: 'forced' } });
      const answer = await exchange();
      assert.equal(answer.refusal, `${code} ${httpStatus}`);
      assert.equal(answer.envelope.ResponseMetadata.Error?.CodeN, number);
    }
  });

  describe("as Volcengine's own SDKs sent it", () => {
    const FIXTURE = new URL('../fixtures/sts-signatures.json', import.meta.url);
    interface Vector {
      readonly name: string;
      readonly cloud: string;
      readonly accessKeyID: string;
      readonly secretAccessKey: string;
      readonly sessionToken: string;
      readonly request: { method: string; target: string; headers: Record<string, string>; body: string };
    }
    const { vectors } = JSON.parse(readFileSync(FIXTURE, 'utf8')) as { vectors: Vector[] };

    for (const vector of vectors.filter(({ cloud }) => cloud === 'Volcengine')) {
      test(`${vector.name} is done, and refused once its session token is another`, async () => {
        const date = vector.request.headers['x-date'] ?? '';
        const sentMs = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)/, '$1-$2-$3T$4:$5:'));
        const clock = new FakeClock(sentMs);
        const service = new VolcengineSecurityTokenService(
          { issuer: 'https://issuer.example', fetchJSON: () => Promise.reject(new Error('not asked')) },
          { clock, random: new SeededRandom(1) },
        );
        const first = 'trn:iam::2100000000:role/first';
        const statement = { Effect: 'Allow', Principal: { IAM: [first] }, Action: ['sts:AssumeRole'] };
        service.addRole({ arn: 'trn:iam::2100000000:role/second', trustPolicy: { Statement: [statement] } });
        const { accessKeyID, secretAccessKey, sessionToken } = vector;
        const common = {
          roleARN: first,
          sessionName: 'session',
          webIdentityToken: '',
          hop: 1,
          policyARNs: [],
          tags: [],
        };
        const given = { accessKeyID, secretAccessKey, sessionToken, expirationMs: sentMs + 60_000, ...common };
        (service.issued as IssuedCredential[]).push(given);
        const send = async (headers: Record<string, string>): Promise<string> => {
          const body = Buffer.from(vector.request.body);
          const outcome = await service.handle({
            ...vector.request,
            headers,
            body,
            signal: new AbortController().signal,
          });
          assert.ok('status' in outcome && typeof outcome.body === 'string');
          return answerOf(outcome.status, outcome.body).refusal;
        };
        const { headers } = vector.request;
        assert.equal(await send(headers), 'none');
        assert.equal(await send({ ...headers, 'x-security-token': 'other' }), 'InvalidSecretToken 401');
        clock.jump(16 * 60_000);
        assert.equal(await send(headers), 'InvalidTimestamp 400');
        clock.jump(-15 * 60_000);
        assert.equal(await send(headers), 'InvalidSecretToken 401');
      });
    }
  });
});
