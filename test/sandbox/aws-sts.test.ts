// Promises: the sandbox's STS verifies tokens, trust policies and signatures for real: seen through the AWS SDK, with
// tokens that the sandbox's API server made.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import {
  AssumeRoleCommand,
  AssumeRoleWithWebIdentityCommand,
  GetCallerIdentityCommand,
  STSClient,
} from '@aws-sdk/client-sts';
import type { AssumeRoleCommandInput, AssumeRoleWithWebIdentityCommandInput, Credentials } from '@aws-sdk/client-sts';
import { startSandbox } from '../../sandbox/sandbox.ts';
import type { Sandbox } from '../../sandbox/sandbox.ts';
import { isTrusted } from '../../sandbox/sts/trust-policy.ts';

const ROLE = 'arn:aws:iam::123456789012:role/team/orders';
const SECOND = 'arn:aws:iam::210987654321:role/second';
const THIRD = 'arn:aws:iam::210987654321:role/third';
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
    sandbox.aws.addRole({ arn: SECOND, trustedRole: ROLE, externalID: 'partner-1', maxSessionDurationSeconds: 43_200 });
    sandbox.aws.addRole({ arn: THIRD, trustedRole: SECOND });
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

  describe('a role chain', () => {
    const hop = (input: Partial<AssumeRoleCommandInput> = {}): AssumeRoleCommand =>
      new AssumeRoleCommand({ RoleArn: SECOND, RoleSessionName: 'hop', ExternalId: 'partner-1', ...input });

    /** Code and message of a refused hop, from a fresh session of the first role. */
    async function refusedHop(input: Partial<AssumeRoleCommandInput>): Promise<[string, number, string]> {
      const { Credentials: credentials } = await assume();
      try {
        await client(credentials).send(hop(input));
      } catch (error) {
        const { name, message, $metadata } = error as Error & { $metadata: { httpStatusCode: number } };
        return [name, $metadata.httpStatusCode, message];
      }
      assert.fail('it was not refused');
    }

    test('each session signs for the next, and transitive tags and the source identity go along', async () => {
      const { Credentials: first } = await assume({ DurationSeconds: 900 });
      const tags = [
        { Key: 'Team', Value: 'orders' },
        { Key: 'step', Value: '1' },
      ];
      const policy = '{"Version":"2012-10-17","Statement":[]}';
      const second = await client(first).send(
        hop({ Tags: tags, TransitiveTagKeys: ['Team'], SourceIdentity: 'operator', Policy: policy }),
      );
      assert.equal(second.AssumedRoleUser?.Arn, 'arn:aws:sts::210987654321:assumed-role/second/hop');
      assert.equal(second.SourceIdentity, 'operator');
      const third = await client(second.Credentials).send(
        hop({ RoleArn: THIRD, ExternalId: undefined, Tags: [{ Key: 'step', Value: '2' }] }),
      );
      const [one, two, three] = sandbox.aws.issued.slice(-3);
      assert.deepEqual([one?.hop, two?.hop, three?.hop], [1, 2, 3]);
      assert.deepEqual([two?.externalID, two?.policy], ['partner-1', policy]);
      assert.deepEqual([two?.parentAccessKeyID, three?.parentAccessKeyID], [one?.accessKeyID, two?.accessKeyID]);
      assert.deepEqual(three?.tags, [
        { key: 'Team', value: 'orders', transitive: true },
        { key: 'step', value: '2', transitive: false },
      ]);
      assert.equal(three?.sourceIdentity, 'operator');
      const identity = await client(third.Credentials).send(new GetCallerIdentityCommand({}));
      assert.equal(identity.Arn, 'arn:aws:sts::210987654321:assumed-role/third/hop');
      const call = sandbox.aws.calls.at(-2);
      assert.deepEqual([call?.action, call?.signedBy], ['AssumeRole', two?.accessKeyID]);
    });

    test('managed policies are recorded', async () => {
      const { Credentials: credentials } = await assume();
      const arns = ['arn:aws:iam::aws:policy/ReadOnlyAccess', 'arn:aws:iam::aws:policy/job-function/ViewOnlyAccess'];
      await client(credentials).send(hop({ PolicyArns: arns.map((arn) => ({ arn })) }));
      assert.deepEqual(sandbox.aws.issued.at(-1)?.policyARNs, arns);
    });

    test('a hop is refused without its external id and from a role that is not trusted', async () => {
      const user = 'arn:aws:sts::123456789012:assumed-role/orders/session';
      for (const ExternalId of [undefined, 'partner-2']) {
        assert.deepEqual(await refusedHop({ ExternalId }), [
          'AccessDenied',
          403,
          `User: ${user} is not authorized to perform: sts:AssumeRole on resource: ${SECOND}`,
        ]);
      }
      for (const RoleArn of [THIRD, ROLE, 'arn:aws:iam::210987654321:role/none']) {
        assert.equal((await refusedHop({ RoleArn }))[0], 'AccessDenied');
      }
    });

    test('tags and the source identity need their own actions in the trust policy', async () => {
      const arn = 'arn:aws:iam::210987654321:role/plain';
      const statement = { Effect: 'Allow', Principal: { AWS: ROLE }, Action: 'sts:AssumeRole' };
      sandbox.aws.addRole({ arn, trustPolicy: { Version: '2012-10-17', Statement: statement } });
      const tagged = await refusedHop({ RoleArn: arn, Tags: [{ Key: 'a', Value: 'b' }] });
      assert.match(tagged[2], /not authorized to perform: sts:TagSession on resource/);
      const named = await refusedHop({ RoleArn: arn, SourceIdentity: 'operator' });
      assert.match(named[2], /not authorized to perform: sts:SetSourceIdentity on resource/);
    });

    test('an hour is the most, whatever the role allows', async () => {
      assert.deepEqual(await refusedHop({ DurationSeconds: 3601 }), [
        'ValidationError',
        400,
        'The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.',
      ]);
    });

    test('wrong tags, a wrong external id and a changed source identity are refused', async () => {
      const tag = (Key: string) => ({ Key, Value: 'x' });
      assert.match((await refusedHop({ Tags: [tag('a'), tag('A')] }))[2], /^Duplicate tag keys found/);
      assert.match((await refusedHop({ TransitiveTagKeys: ['a'] }))[2], /must be included in the requested tags/);
      const many = Array.from({ length: 51 }, (_, at) => tag(`k${at}`));
      assert.deepEqual((await refusedHop({ Tags: many })).slice(0, 2), ['ValidationError', 400]);
      assert.match((await refusedHop({ ExternalId: 'a b' }))[2], /at 'externalId'/);
      const { Credentials: first } = await assume();
      const second = await client(first).send(
        hop({ Tags: [tag('team')], TransitiveTagKeys: ['team'], SourceIdentity: 'one' }),
      );
      const next = { RoleArn: THIRD, ExternalId: undefined };
      const again = client(second.Credentials).send(hop({ ...next, Tags: [tag('TEAM')] }));
      await assert.rejects(again, { name: 'InvalidParameterValue', message: /conflicts with a transitive tag key/ });
      const renamed = client(second.Credentials).send(hop({ ...next, SourceIdentity: 'two' }));
      await assert.rejects(renamed, { name: 'ValidationError', message: /source identity is already set/ });
    });

    test('only keys of a live session sign a hop', async () => {
      await assert.rejects(client().send(hop()), { name: 'InvalidClientTokenId' });
      const { Credentials: credentials } = await assume();
      assert.ok(credentials);
      const forged = client({ ...credentials, SecretAccessKey: 'x' }).send(hop());
      await assert.rejects(forged, { name: 'SignatureDoesNotMatch' });
      (sandbox.aws.issued.at(-1) as { expirationMs: number }).expirationMs = Date.now() - 1;
      await assert.rejects(client(credentials).send(hop()), { name: 'ExpiredToken' });
    });

    test('an unsigned call has no identity', async () => {
      const body = new URLSearchParams({ Action: 'GetCallerIdentity', Version: '2011-06-15' });
      const answer = await fetch(sandbox.aws.url, { method: 'POST', body });
      assert.equal(answer.status, 403);
      assert.match(await answer.text(), /<Code>MissingAuthenticationToken<\/Code>/);
    });
  });

  test('an unknown operation, a signed exchange and a signature of another time have their own errors', async () => {
    const post = async (fields: Record<string, string>, headers: Record<string, string> = {}): Promise<string> => {
      const answer = await fetch(sandbox.aws.url, { method: 'POST', body: new URLSearchParams(fields), headers });
      return `${answer.status} ${/<Code>(\w+)</.exec(await answer.text())?.[1]}`;
    };
    assert.equal(await post({ Action: 'Other', Version: '2011-06-15' }), '400 InvalidAction');
    const exchange = { Action: 'AssumeRoleWithWebIdentity', Version: '2011-06-15' };
    const authorization = 'AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu-west-1/sts/aws4_request';
    assert.equal(await post(exchange, { authorization }), '400 SandboxSignedRequest');
    const { Credentials: credentials } = await assume();
    const { switches } = sandbox.aws;
    for (const minutes of [-16, 16]) {
      switches.clockSkewMs = minutes * 60_000;
      const call = client(credentials).send(new GetCallerIdentityCommand({}));
      await assert.rejects(call, { name: 'SignatureDoesNotMatch', message: /15 minutes off/ });
    }
    switches.clockSkewMs = 14 * 60_000;
    await client(credentials).send(new GetCallerIdentityCommand({}));
    switches.clockSkewMs = 0;
  });

  test('a role of another partition has its provider and its sessions there', async () => {
    const arn = 'arn:aws-cn:iam::123456789012:role/orders';
    sandbox.aws.addRole({ arn, subject: 'system:serviceaccount:default:orders' });
    const answer = await assume({ RoleArn: arn });
    assert.equal(answer.Provider, `arn:aws-cn:iam::123456789012:oidc-provider/${sandbox.server.host}`);
    const identity = await client(answer.Credentials).send(new GetCallerIdentityCommand({}));
    assert.equal(identity.Arn, 'arn:aws-cn:sts::123456789012:assumed-role/orders/session');
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
    const subject = 'system:serviceaccount:a:b';
    const identity = {
      action: 'sts:AssumeRoleWithWebIdentity',
      principalKind: 'Federated',
      principals: [providerARN],
      values: new Map<string, string | readonly string[]>([
        ['issuer:sub', subject],
        ['issuer:aud', ['aud', 'other']],
      ]),
    };
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
    assert.equal(isTrusted(policy({ StringEquals: { 'issuer:sub': subject } }), identity), true);
    assert.equal(isTrusted(policy({ StringEquals: { 'issuer:sub': ['x', subject] } }), identity), true);
    assert.equal(isTrusted(policy({ StringEquals: { 'issuer:sub': 'system:serviceaccount:a:*' } }), identity), false);
    assert.equal(isTrusted(policy({ StringLike: { 'issuer:sub': 'system:serviceaccount:a:*' } }), identity), true);
    assert.equal(isTrusted(policy({ StringLike: { 'issuer:sub': 'system.serviceaccount:a:*' } }), identity), false);
    assert.equal(isTrusted(policy({ StringEquals: { 'other:sub': subject } }), identity), false);
    assert.equal(isTrusted(policy({ StringEquals: { 'issuer:aud': 'x' } }), identity), false);
    assert.equal(isTrusted(policy({ StringEqualsIgnoreCase: { 'issuer:sub': subject } }), identity), false);
    assert.equal(isTrusted(policy({}, { Action: 'sts:AssumeRole' }), identity), false);
    assert.equal(isTrusted(policy({}, { Principal: { Federated: 'other' } }), identity), false);
    assert.equal(isTrusted(policy({}, { Effect: 'Deny' }), identity), false);
    const allowed = policy({}).Statement;
    const denied = (Condition: Record<string, Record<string, string>>) => ({
      Statement: [allowed, { ...allowed, Effect: 'Deny', Condition }],
    });
    assert.equal(isTrusted(denied({ StringEquals: { 'issuer:sub': 'other' } }), identity), true);
    assert.equal(isTrusted(denied({ StringEquals: { 'issuer:sub': subject } }), identity), false);
    assert.equal(isTrusted(denied({ StringNotLike: { 'issuer:sub': subject } }), identity), false);
    assert.equal(isTrusted(policy({ StringEquals: { 'issuer:aud': 'other' } }), identity), true);
  });
});
