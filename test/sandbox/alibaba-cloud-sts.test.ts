// Promises: the sandbox's Alibaba Cloud STS, seen through Alibaba Cloud's own SDK with its own transport, which signs and reads
// answers by itself; and every code that it knows.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import StsModule, { AssumeRoleRequest, AssumeRoleWithOIDCRequest } from '@alicloud/sts20150401';
import type { AssumeRoleWithOIDCResponseBodyCredentials } from '@alicloud/sts20150401';
import { $OpenApiUtil } from '@alicloud/openapi-core';
import * as $dara from '@darabonba/typescript';
import { openSTSScene, SUBJECT, withClaims, withOtherSignature } from './sts-scene.ts';
import type { STSScene } from './sts-scene.ts';

const ROLE = 'acs:ram::1000000000000001:role/orders';
const SECOND = 'acs:ram::1000000000000002:role/second';
const LONG = 'acs:ram::1000000000000001:role/long';
const AUDIENCE = 'sts.aliyuncs.com';

let scene: STSScene;

type Keys = Pick<AssumeRoleWithOIDCResponseBodyCredentials, 'accessKeyId' | 'accessKeySecret' | 'securityToken'>;

/** Code, HTTP status and message of a refusal. */
async function refusal(call: Promise<unknown>): Promise<readonly [code: string, status: number, message: string]> {
  try {
    await call;
  } catch (error) {
    const { code = '', statusCode = 0, message } = error as Error & { code?: string; statusCode?: number };
    return [code, statusCode, message];
  }
  assert.fail('it was not refused');
}

describe('Alibaba Cloud STS', () => {
  before(async () => {
    scene = await openSTSScene();
    const { alibabaCloud } = scene.sandbox;
    alibabaCloud.addRole({ arn: ROLE, subject: SUBJECT });
    alibabaCloud.addRole({ arn: LONG, subject: SUBJECT, maxSessionDurationSeconds: 43_200 });
    alibabaCloud.addRole({
      arn: SECOND,
      trustedRole: ROLE,
      externalID: 'partner-1',
      maxSessionDurationSeconds: 43_200,
    });
  });
  after(() => scene.sandbox.stop());
  afterEach(() => {
    scene.time.offsetMs = 0;
    Object.assign(scene.sandbox.alibabaCloud.switches, { mode: 'none', times: undefined, clockSkewMs: 0 });
  });

  function client(keys: Keys = {}) {
    const { host } = scene.sandbox.alibabaCloud.url;
    const { accessKeyId, accessKeySecret, securityToken } = keys;
    const signing =
      accessKeyId === undefined
        ? {}
        : { accessKeyId, accessKeySecret, ...(securityToken === undefined ? {} : { securityToken }) };
    return new StsModule.default(new $OpenApiUtil.Config({ endpoint: host, protocol: 'HTTP', ...signing }));
  }

  async function assumeWithToken(input: Record<string, unknown> = {}) {
    const fixed = {
      roleArn: ROLE,
      OIDCProviderArn: scene.sandbox.alibabaCloud.service.providerARN('1000000000000001'),
      OIDCToken: await scene.token(AUDIENCE),
      roleSessionName: 'session',
      ...input,
    };
    const { body } = await client().assumeRoleWithOIDC(new AssumeRoleWithOIDCRequest(fixed));
    assert.ok(body?.credentials);
    const { assumedRoleUser, credentials, OIDCTokenInfo } = body;
    return { assumedRoleUser, credentials, OIDCTokenInfo };
  }

  async function keys(): Promise<Keys> {
    const { accessKeyId, accessKeySecret, securityToken } = (await assumeWithToken({ durationSeconds: 900 }))
      .credentials;
    assert.ok(accessKeyId !== undefined && accessKeySecret !== undefined && securityToken !== undefined);
    return { accessKeyId, accessKeySecret, securityToken };
  }

  /** The exchange as a form, with nothing in the URL but the action. */
  async function post(
    change: Record<string, string | undefined> = {},
    query = '',
  ): Promise<{ status: number; body: Record<string, unknown> }> {
    const fields = {
      RoleArn: ROLE,
      OIDCProviderArn: scene.sandbox.alibabaCloud.service.providerARN('1000000000000001'),
      OIDCToken: await scene.token(AUDIENCE),
      RoleSessionName: 'session',
      ...change,
    };
    const form = new URLSearchParams();
    for (const [name, value] of Object.entries(fields)) if (value !== undefined) form.set(name, value);
    const url = new URL(
      `/?Action=AssumeRoleWithOIDC&Format=json&Version=2015-04-01${query}`,
      scene.sandbox.alibabaCloud.url,
    );
    const response = await fetch(url, { method: 'POST', body: form });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }

  test('the SDK exchanges a token, and the key signs GetCallerIdentity', async () => {
    const { assumedRoleUser, credentials, OIDCTokenInfo } = await assumeWithToken({ durationSeconds: 900 });
    assert.equal(assumedRoleUser?.arn, `${ROLE}/session`);
    assert.equal(OIDCTokenInfo?.subject, SUBJECT);
    assert.equal(OIDCTokenInfo?.issuer, scene.sandbox.issuer);
    assert.match(credentials.accessKeyId ?? '', /^STS\./);
    assert.match(credentials.expiration ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.equal(Date.parse(credentials.expiration ?? ''), scene.sandbox.alibabaCloud.issued.at(-1)?.expirationMs);
    const { body } = await client(credentials).getCallerIdentity();
    assert.equal(body?.arn, 'acs:ram::1000000000000001:assumed-role/orders/session');
    assert.deepEqual([body?.identityType, body?.accountId], ['AssumedRoleUser', '1000000000000001']);
  });

  test('the log tells where the token came, and never the token', async () => {
    await assumeWithToken();
    const fromSDK = scene.sandbox.alibabaCloud.calls.at(-1);
    assert.equal(fromSDK?.webIdentityTokenIn, 'query');
    await post();
    const fromForm = scene.sandbox.alibabaCloud.calls.at(-1);
    assert.equal(fromForm?.webIdentityTokenIn, 'body');
    assert.deepEqual(fromForm?.queryParameters, ['Action', 'Format', 'Version']);
    assert.doesNotMatch(JSON.stringify(scene.sandbox.alibabaCloud.calls), /eyJ/);
  });

  test('the SDK may send everything in the form body, and its answer is the same', async () => {
    const body = {
      RoleArn: ROLE,
      OIDCProviderArn: scene.sandbox.alibabaCloud.service.providerARN('1000000000000001'),
      OIDCToken: await scene.token(AUDIENCE),
      RoleSessionName: 'session',
      DurationSeconds: 900,
    };
    const answer = (await client().doRPCRequest(
      ...(['AssumeRoleWithOIDC', '2015-04-01', 'HTTP', 'POST', 'Anonymous', 'json'] as const),
      new $OpenApiUtil.OpenApiRequest({ body }),
      new $dara.RuntimeOptions({ connectTimeout: 10_000, readTimeout: 10_000 }),
    )) as { body: { Credentials: { AccessKeyId: string } } };
    assert.equal(answer.body.Credentials.AccessKeyId, scene.sandbox.alibabaCloud.issued.at(-1)?.accessKeyID);
    assert.equal(scene.sandbox.alibabaCloud.calls.at(-1)?.webIdentityTokenIn, 'body');
  });

  test('a session makes the next one with the external id, and that one signs too', async () => {
    const request = {
      roleArn: SECOND,
      roleSessionName: 'hop',
      externalId: 'partner-1',
      policy: '{"Version":"1","Statement":[]}',
    };
    const { body } = await client(await keys()).assumeRole(new AssumeRoleRequest(request));
    const second = await client(body?.credentials ?? {}).getCallerIdentity();
    assert.equal(second.body?.arn, 'acs:ram::1000000000000002:assumed-role/second/hop');
    const issued = scene.sandbox.alibabaCloud.issued.at(-1);
    assert.deepEqual(
      [issued?.hop, issued?.externalID, issued?.policy],
      [2, 'partner-1', '{"Version":"1","Statement":[]}'],
    );
    assert.equal(issued?.parentAccessKeyID, scene.sandbox.alibabaCloud.issued.at(-2)?.accessKeyID);
    assert.equal(scene.sandbox.alibabaCloud.calls.at(-2)?.signedBy, issued?.parentAccessKeyID);
  });

  test('a hop is refused without its external id, from another role, and over an hour', async () => {
    const first = client(await keys());
    const ask = (change: object) =>
      refusal(first.assumeRole(new AssumeRoleRequest({ roleArn: SECOND, roleSessionName: 'hop', ...change })));
    for (const change of [{}, { externalId: 'other' }, { roleArn: ROLE }]) {
      assert.deepEqual((await ask(change)).slice(0, 2), ['NoPermission', 403]);
    }
    assert.deepEqual((await ask({ externalId: 'partner-1', durationSeconds: 3601 })).slice(0, 2), [
      'InvalidParameter.DurationSeconds',
      400,
    ]);
    assert.deepEqual((await ask({ externalId: '?' })).slice(0, 2), ['InvalidParameter.ExternalId', 400]);
    const { credentials } = await assumeWithToken({ roleArn: LONG, durationSeconds: 43_200 });
    const other = client(credentials).assumeRole(
      new AssumeRoleRequest({ roleArn: SECOND, roleSessionName: 'hop', externalId: 'partner-1' }),
    );
    assert.equal((await refusal(other))[0], 'NoPermission');
  });

  describe('each fault of a token has its code', () => {
    const unauthorized = async (change: Record<string, unknown>): Promise<string> => {
      const [code, status, message] = await refusal(assumeWithToken(change));
      assert.equal(status, 401);
      assert.doesNotMatch(message, /eyJ/);
      return code.replace(/^AuthenticationFail\./, '');
    };

    test('its form, issuer, signature and audience', async () => {
      const good = await scene.token(AUDIENCE);
      assert.equal(await unauthorized({ OIDCToken: 'no token' }), 'OIDCToken.Invalid');
      assert.equal(
        await unauthorized({ OIDCToken: withClaims(good, { iss: 'https://other' }) }),
        'OIDCToken.IssuerNotMatch',
      );
      assert.equal(await unauthorized({ OIDCToken: withOtherSignature(good) }), 'OIDCToken.InvalidSignature');
      assert.equal(
        await unauthorized({ OIDCToken: withClaims(good, { sub: 'system:admin' }) }),
        'OIDCToken.InvalidSignature',
      );
      assert.equal(
        await unauthorized({ OIDCToken: await scene.token('sts.amazonaws.com') }),
        'OIDCToken.AudienceNotMatch',
      );
    });

    test('its time, before and after', async () => {
      const good = await scene.token(AUDIENCE);
      scene.time.offsetMs = 2 * 3_600_000;
      assert.equal(await unauthorized({ OIDCToken: good }), 'OIDCToken.Expired');
      scene.time.offsetMs = 0;
      scene.sandbox.alibabaCloud.switches.clockSkewMs = -3_600_000;
      assert.equal(await unauthorized({ OIDCToken: good }), 'OIDCToken.Invalid');
    });

    test('an issuer that cannot be read', async () => {
      const action = { kind: 'status', status: 503 } as const;
      const remove = scene.sandbox.apiServer.faults.add({ match: { pathPattern: /openid/ }, action });
      assert.equal(await unauthorized({}), 'OIDCToken.IssuerConfigurationBroken');
      remove();
      assert.ok(await assumeWithToken());
    });

    test('its subject, and a provider that is unknown or of another account', async () => {
      const { service } = scene.sandbox.alibabaCloud;
      const cases: readonly [Record<string, unknown>, RegExp][] = [
        [{ OIDCToken: await scene.token(AUDIENCE, 'other') }, /There is no permission/],
        [{ OIDCProviderArn: service.providerARN('1000000000000002') }, /There is no permission/],
        [{ OIDCProviderArn: 'acs:ram::1000000000000001:oidc-provider/other' }, /No such OIDC Provider registered/],
        [{ OIDCProviderArn: 'other' }, /Parameter OIDCProviderArn is not valid/],
      ];
      for (const [change, pattern] of cases) {
        const [code, status, message] = await refusal(assumeWithToken(change));
        assert.deepEqual([code, status], ['AuthenticationFail.NoPermission', 401]);
        assert.match(message, pattern);
      }
    });
  });

  test('each wrong parameter has its code, in the form body too', async () => {
    const cases: readonly [Record<string, string | undefined>, string, number][] = [
      [{ RoleArn: undefined }, 'MissingRoleArn', 400],
      [{ RoleArn: 'arn:aws:iam::1:role/x' }, 'InvalidParameter.RoleArn', 400],
      [{ RoleArn: 'acs:ram::1000000000000001:role/none' }, 'EntityNotExist.Role', 404],
      [{ RoleSessionName: 'a b' }, 'InvalidParameter.RoleSessionName', 400],
      [{ RoleSessionName: 'x' }, 'InvalidParameter.RoleSessionName', 400],
      [{ RoleSessionName: undefined }, 'MissingRoleSessionName', 400],
      [{ OIDCToken: undefined }, 'MissingOIDCToken', 400],
      [{ OIDCToken: 'x'.repeat(20_001) }, 'InvalidParameter.OIDCToken', 400],
      [{ OIDCProviderArn: undefined }, 'MissingOIDCProviderArn', 400],
      [{ DurationSeconds: '899' }, 'InvalidParameter.DurationSeconds', 400],
      [{ DurationSeconds: '3601' }, 'InvalidParameter.DurationSeconds', 400],
      [{ DurationSeconds: 'x' }, 'InvalidParameter.DurationSeconds', 400],
      [{ Policy: '{' }, 'InvalidParameter.PolicyGrammar', 400],
      [{ Policy: '{"Version":"2012-10-17","Statement":[]}' }, 'InvalidParameter.PolicyGrammar', 400],
      [{ Policy: `{"Version":"1","Statement":[${' '.repeat(2048)}]}` }, 'InvalidParameter.PolicySize', 400],
    ];
    for (const [change, code, status] of cases) {
      const { status: seen, body } = await post(change);
      assert.deepEqual([body['Code'], seen], [code, status], JSON.stringify(change).slice(0, 80));
      assert.deepEqual(Object.keys(body), ['RequestId', 'HostId', 'Code', 'Message', 'Recommend']);
    }
    const unknown = await fetch(new URL('/?Action=Other&Version=2015-04-01', scene.sandbox.alibabaCloud.url), {
      method: 'POST',
    });
    assert.deepEqual(
      [unknown.status, ((await unknown.json()) as { Code: string }).Code],
      [404, 'InvalidAction.NotFound'],
    );
    assert.equal((await post({}, '&Signature=x')).body['Code'], 'SandboxSignedRequest');
  });

  test('each fault of a signed call has its code', async () => {
    const good = await keys();
    const other = await keys();
    const identify = (change: Partial<Keys>) => refusal(client({ ...good, ...change }).getCallerIdentity());
    assert.deepEqual((await identify({ accessKeyId: 'STS.UNKNOWN' })).slice(0, 2), [
      'InvalidAccessKeyId.NotFound',
      404,
    ]);
    assert.deepEqual((await identify({ accessKeySecret: 'x' })).slice(0, 2), ['SignatureDoesNotMatch', 400]);
    assert.deepEqual((await identify({ securityToken: 'x' })).slice(0, 2), ['InvalidSecurityToken.Malformed', 400]);
    const { securityToken } = other;
    assert.ok(securityToken !== undefined);
    assert.deepEqual((await identify({ securityToken })).slice(0, 2), [
      'InvalidSecurityToken.MismatchWithAccessKey',
      400,
    ]);
    const { accessKeyId, accessKeySecret } = good;
    assert.ok(accessKeyId !== undefined && accessKeySecret !== undefined);
    const tokenless = client({ accessKeyId, accessKeySecret }).getCallerIdentity();
    assert.deepEqual((await refusal(tokenless)).slice(0, 2), ['MissingSecurityToken', 400]);
    // The server's time goes on for a quarter of an hour and a minute: the session is over, and the request is too old.
    scene.sandbox.alibabaCloud.switches.clockSkewMs = 16 * 60_000;
    assert.deepEqual((await identify({})).slice(0, 2), ['InvalidTimeStamp.Expired', 400]);
    scene.sandbox.alibabaCloud.switches.clockSkewMs = 14 * 60_000 + 59_000;
    (scene.sandbox.alibabaCloud.issued.at(-2) as { expirationMs: number }).expirationMs = Date.now();
    assert.deepEqual((await identify({})).slice(0, 2), ['InvalidSecurityToken.Expired', 400]);
    scene.sandbox.alibabaCloud.switches.clockSkewMs = 0;

    const raw = async (headers: Record<string, string>): Promise<unknown> => {
      const url = new URL('/?Action=GetCallerIdentity&Version=2015-04-01', scene.sandbox.alibabaCloud.url);
      return ((await (await fetch(url, { method: 'POST', headers })).json()) as { Code: unknown }).Code;
    };
    assert.equal(await raw({}), 'MissingAuthorization');
    assert.equal(await raw({ authorization: 'acs x:y' }), 'IncompleteSignature');
  });

  test('a signed request is good once', async () => {
    const { service } = scene.sandbox.alibabaCloud;
    const seen: Parameters<typeof service.handle>[0][] = [];
    const handle = service.handle.bind(service);
    service.handle = (request) => {
      seen.push(request);
      return handle(request);
    };
    await client(await keys()).getCallerIdentity();
    service.handle = handle;
    const request = seen.at(-1);
    assert.ok(request);
    const again = await handle(request);
    assert.ok('body' in again && typeof again.body === 'string');
    assert.equal((JSON.parse(again.body) as { Code: string }).Code, 'SignatureNonceUsed');
  });

  test('any other code of the pages can be forced, and Throttling says when to come again', async () => {
    const { switches } = scene.sandbox.alibabaCloud;
    const message = 'The CA of the issuer is not trusted.';
    const code = 'AuthenticationFail.OIDCToken.HttpsUrlInvalid';
    Object.assign(switches, { mode: 'refuse', times: 1, refusal: { code, httpStatus: 401, message } });
    assert.deepEqual((await refusal(assumeWithToken())).slice(0, 2), [code, 401]);
    Object.assign(switches, { mode: 'throttle', times: 1, retryAfterSeconds: 7 });
    try {
      await assumeWithToken();
      assert.fail('it was not throttled');
    } catch (error) {
      const { code: seen, retryAfter } = error as { code: string; retryAfter: number };
      assert.deepEqual([seen, retryAfter], ['Throttling.User', 7000]);
    }
    assert.ok(await assumeWithToken());
  });
});
