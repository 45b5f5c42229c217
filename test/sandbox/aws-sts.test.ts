// Promises: the sandbox's STS verifies tokens, trust policies and signatures for real: seen through the AWS SDK, with
// tokens that the sandbox's API server made.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { AssumeRoleWithWebIdentityCommand, GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';
import type { AssumeRoleWithWebIdentityCommandInput, Credentials } from '@aws-sdk/client-sts';
import { startSandbox } from '../../sandbox/sandbox.ts';
import type { Sandbox } from '../../sandbox/sandbox.ts';
import { isTrusted } from '../../sandbox/sts/trust-policy.ts';

const ROLE = 'arn:aws:iam::123456789012:role/team/orders';
const AUDIENCES = ['sts.amazonaws.com'];

let sandbox: Sandbox;
/** The sandbox's clock is the machine's, moved by this much. */
let offsetMs = 0;

// In a suite: a hook at the root would run for every test of the process.
describe('AWS STS', () => {
  before(async () => {
    const { systemClock } = await import('../../src/runtime/clock.ts');
    const clock = { ...systemClock, now: () => systemClock.now() + offsetMs };
    sandbox = await startSandbox({ clock });
    await sandbox.apply({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'orders', namespace: 'default' },
    });
    sandbox.aws.addRole({ arn: ROLE, subject: 'system:serviceaccount:default:orders' });
  });
  after(() => sandbox.stop());
  afterEach(() => {
    offsetMs = 0;
    sandbox.aws.switches.mode = 'none';
  });

  function client(credentials?: Credentials): STSClient {
    return new STSClient({
      endpoint: sandbox.aws.url.href,
      region: 'eu-west-1',
      maxAttempts: 1,
      credentials: {
        accessKeyId: credentials?.AccessKeyId ?? 'none',
        secretAccessKey: credentials?.SecretAccessKey ?? 'none',
        sessionToken: credentials?.SessionToken ?? 'none',
      },
    });
  }

  async function assume(input: Partial<AssumeRoleWithWebIdentityCommandInput> = {}) {
    const token = input.WebIdentityToken ?? (await sandbox.mintToken('default', 'orders', { audiences: AUDIENCES }));
    const fixed = { RoleArn: ROLE, RoleSessionName: 'session', WebIdentityToken: token };
    return await client().send(new AssumeRoleWithWebIdentityCommand({ ...fixed, ...input }));
  }

  /** What an exchange is refused with: code, HTTP status, message. */
  async function refusal(input: Partial<AssumeRoleWithWebIdentityCommandInput>): Promise<[string, number, string]> {
    try {
      await assume(input);
    } catch (error) {
      const { name, message, $metadata } = error as Error & { $metadata: { httpStatusCode: number } };
      return [name, $metadata.httpStatusCode, message];
    }
    assert.fail('it was not refused');
  }

  test('a trusted token becomes credentials that sign GetCallerIdentity', async () => {
    const answer = await assume({ DurationSeconds: 900, Policy: '{"Version":"2012-10-17"}' });
    assert.equal(answer.SubjectFromWebIdentityToken, 'system:serviceaccount:default:orders');
    assert.equal(answer.Audience, 'sts.amazonaws.com');
    assert.equal(answer.AssumedRoleUser?.Arn, 'arn:aws:sts::123456789012:assumed-role/orders/session');
    assert.equal(answer.Provider, `arn:aws:iam::123456789012:oidc-provider/${sandbox.server.host}`);
    assert.equal(answer.PackedPolicySize, 2);
    const issued = sandbox.aws.issued.at(-1);
    assert.equal(answer.Credentials?.Expiration?.getTime(), issued?.expirationMs);
    const identity = await client(answer.Credentials).send(new GetCallerIdentityCommand({}));
    assert.deepEqual([identity.Arn, identity.Account], [answer.AssumedRoleUser?.Arn, '123456789012']);
    assert.deepEqual(
      sandbox.aws.calls
        .slice(-2)
        .map(({ action, outcome, roleARN, sessionName }) => [action, outcome, roleARN, sessionName]),
      [
        ['AssumeRoleWithWebIdentity', 'Issued', ROLE, 'session'],
        ['GetCallerIdentity', 'OK', '', ''],
      ],
    );
  });

  test('an expired session, a wrong secret key and an unknown key each have their own error', async () => {
    const { Credentials: credentials } = await assume({ DurationSeconds: 900 });
    assert.ok(credentials);
    const identify = (change: Partial<Credentials>): Promise<unknown> =>
      client({ ...credentials, ...change }).send(new GetCallerIdentityCommand({}));
    await assert.rejects(identify({ SecretAccessKey: 'x' }), { name: 'SignatureDoesNotMatch' });
    await assert.rejects(identify({ AccessKeyId: 'ASIAUNKNOWN' }), { name: 'InvalidClientTokenId' });
    await assert.rejects(identify({ SessionToken: 'other' }), { name: 'InvalidClientTokenId' });
    // The session ends by the sandbox's record, so that the request itself stays in time.
    const record = sandbox.aws.issued.at(-1) as { expirationMs: number };
    record.expirationMs = Date.now() - 1;
    await assert.rejects(identify({}), { name: 'ExpiredToken' });
  });

  test('the token must be for STS, in time, from this issuer, signed by it, and name a subject that the role trusts', async () => {
    const mint = (audiences: string[], name = 'orders'): Promise<string> =>
      sandbox.mintToken('default', name, { audiences });
    const good = await mint(AUDIENCES);
    const [head, payload = '', signature = ''] = good.split('.');
    const foreign = Buffer.from(
      JSON.stringify({ ...JSON.parse(Buffer.from(payload, 'base64url').toString()), iss: 'https://other' }),
    ).toString('base64url');
    const flipped = `${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`;

    assert.deepEqual(await refusal({ WebIdentityToken: await mint(['other']) }), [
      'InvalidIdentityTokenException',
      400,
      'Incorrect token audience',
    ]);
    assert.deepEqual(await refusal({ WebIdentityToken: `${head}.${foreign}.${signature}` }), [
      'InvalidIdentityTokenException',
      400,
      'No OpenIDConnect provider found in your account for https://other',
    ]);
    assert.match((await refusal({ WebIdentityToken: `${head}.${payload}.${flipped}` }))[2], /invalid signature/);
    assert.match((await refusal({ WebIdentityToken: 'not a token' }))[2], /not a valid JWT/);
    await sandbox.apply({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'other', namespace: 'default' },
    });
    assert.deepEqual(await refusal({ WebIdentityToken: await mint(AUDIENCES, 'other') }), [
      'AccessDenied',
      403,
      'Not authorized to perform sts:AssumeRoleWithWebIdentity',
    ]);
    assert.equal((await refusal({ RoleArn: 'arn:aws:iam::123456789012:role/unknown' }))[0], 'AccessDenied');
    offsetMs = 2 * 3_600_000;
    const [name, status, message] = await refusal({ WebIdentityToken: good });
    assert.deepEqual([name, status], ['ExpiredTokenException', 400]);
    assert.match(message, /^Token expired: current date\/time \d+ must be before the expiration date\/time \d+$/);
  });

  test('a rotated signing key works at once, and a token of a forgotten key does not', async () => {
    const old = await sandbox.mintToken('default', 'orders', { audiences: AUDIENCES });
    sandbox.apiServer.tokens.rotateKey();
    assert.ok((await assume()).Credentials);
    assert.ok((await assume({ WebIdentityToken: old })).Credentials);
    sandbox.apiServer.tokens.rotateKey({ forgetOld: true });
    assert.match((await refusal({ WebIdentityToken: old }))[2], /^Couldn't retrieve verification key/);
  });

  test('an issuer that cannot be reached is IDPCommunicationError', async () => {
    const remove = sandbox.apiServer.faults.add({
      match: { pathPattern: /openid/ },
      action: { kind: 'status', status: 503 },
    });
    assert.equal((await refusal({}))[0], 'IDPCommunicationErrorException');
    remove();
    assert.ok((await assume()).Credentials);
  });

  test('bounds are checked with the constraint text, and nothing of the token is repeated', async () => {
    const cases: readonly [Partial<AssumeRoleWithWebIdentityCommandInput>, string, RegExp][] = [
      [{ DurationSeconds: 60 }, 'ValidationError', /Value '60' at 'durationSeconds' .* greater than or equal to 900$/],
      [{ DurationSeconds: 7200 }, 'ValidationError', /exceeds the MaxSessionDuration set for this role\.$/],
      [{ RoleSessionName: 'a b' }, 'ValidationError', /at 'roleSessionName' .* pattern: \[\\w\+=,\.@-\]\*$/],
      [{ RoleArn: 'x', RoleSessionName: 'y' }, 'ValidationError', /^2 validation errors detected: /],
      [{ Policy: '{' }, 'MalformedPolicyDocumentException', /invalid Json/],
      [
        { PolicyArns: Array.from({ length: 10 }, () => ({ arn: `arn:aws:iam::aws:policy/${'x'.repeat(230)}` })) },
        'PackedPolicyTooLargeException',
        /% of allotted space/,
      ],
    ];
    for (const [input, code, pattern] of cases) {
      const [name, status, message] = await refusal(input);
      assert.deepEqual([name, status], [code, 400]);
      assert.match(message, pattern);
    }
    const long = `secret-${'x'.repeat(20_001)}`;
    assert.equal((await refusal({ WebIdentityToken: long }))[2].includes('secret-'), false);
  });

  test('each switch breaks the call in its own way, for as many calls as asked', async () => {
    const { switches } = sandbox.aws;
    const outcome = async (mode: typeof switches.mode): Promise<string> => {
      Object.assign(switches, { mode, times: 1 });
      return await refusal({}).then(
        ([name, status]) => `${name} ${status}`,
        () => 'no error',
      );
    };
    assert.equal(await outcome('outage'), 'ServiceUnavailable 503');
    assert.equal(await outcome('throttle'), 'Throttling 400');
    assert.match(await outcome('html'), / 502$/);
    assert.match(await outcome('reset'), / undefined$/);
    Object.assign(switches, { mode: 'empty200', times: 1 });
    const empty = await fetch(sandbox.aws.url, { method: 'POST', body: 'Action=AssumeRoleWithWebIdentity' });
    assert.deepEqual([empty.status, await empty.text()], [200, '']);
    Object.assign(switches, { mode: 'pastExpiry', times: 1 });
    const past = await assume();
    assert.ok((past.Credentials?.Expiration?.getTime() ?? 0) < Date.now());
    assert.equal(switches.mode, 'none');
    assert.ok((await assume()).Credentials);
  });

  test('a sandbox with short sessions tells so in Expiration', async () => {
    const short = await startSandbox({ maxSessionSeconds: 15, stsTLS: true });
    try {
      assert.equal(short.aws.url.protocol, 'https:');
      await short.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'a', namespace: 'default' } });
      short.aws.addRole({ arn: ROLE });
      const form = new URLSearchParams({
        Action: 'AssumeRoleWithWebIdentity',
        RoleArn: ROLE,
        RoleSessionName: 'session',
        WebIdentityToken: await short.mintToken('default', 'a', { audiences: AUDIENCES }),
      });
      const outcome = await short.aws.service.handle({
        method: 'POST',
        target: '/',
        headers: {},
        body: Buffer.from(form.toString()),
        signal: new AbortController().signal,
      });
      assert.ok('status' in outcome && outcome.status === 200);
      const lifeMs = (short.aws.issued[0]?.expirationMs ?? 0) - Date.parse(outcome.headers['date'] ?? '');
      assert.ok(lifeMs >= 14_000 && lifeMs <= 16_000, `${lifeMs}`);
    } finally {
      await short.stop();
    }
  });

  test('a trust policy opens only for what it names, and never on an operator that is not understood', () => {
    const providerARN = 'arn:aws:iam::1:oidc-provider/issuer';
    const identity = { providerARN, provider: 'issuer', subject: 'system:serviceaccount:a:b', audience: 'aud' };
    const policy = (Condition: Record<string, Record<string, string | string[]>>, more: object = {}) => ({
      Statement: {
        Effect: 'Allow',
        Principal: { Federated: providerARN },
        Action: 'sts:AssumeRoleWithWebIdentity',
        Condition,
        ...more,
      },
    });
    assert.equal(isTrusted(policy({}), identity), true);
    assert.equal(isTrusted(policy({ StringEquals: { 'issuer:sub': identity.subject } }), identity), true);
    assert.equal(isTrusted(policy({ StringEquals: { 'issuer:sub': ['x', identity.subject] } }), identity), true);
    assert.equal(isTrusted(policy({ StringEquals: { 'issuer:sub': 'system:serviceaccount:a:*' } }), identity), false);
    assert.equal(isTrusted(policy({ StringLike: { 'issuer:sub': 'system:serviceaccount:a:*' } }), identity), true);
    assert.equal(isTrusted(policy({ StringLike: { 'issuer:sub': 'system.serviceaccount:a:*' } }), identity), false);
    assert.equal(isTrusted(policy({ StringEquals: { 'other:sub': identity.subject } }), identity), false);
    assert.equal(isTrusted(policy({ StringEquals: { 'issuer:aud': 'x' } }), identity), false);
    assert.equal(isTrusted(policy({ StringEqualsIgnoreCase: { 'issuer:sub': identity.subject } }), identity), false);
    assert.equal(isTrusted(policy({}, { Action: 'sts:AssumeRole' }), identity), false);
    assert.equal(isTrusted(policy({}, { Principal: { Federated: 'other' } }), identity), false);
    assert.equal(isTrusted(policy({}, { Effect: 'Deny' }), identity), false);
  });
});
