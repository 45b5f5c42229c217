// Promises: the three clouds are equals: the same cases, by outcome, through each provider against the sandbox's STS of that
// cloud, which verifies tokens, trust policies and signatures. What differs between clouds is in the table below, and nowhere
// else.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import type {
  ResolvedAlibabaCloud,
  ResolvedAWS,
  ResolvedExchange,
  ResolvedVolcengine,
  RoleHop,
} from '../../src/api/resolved.ts';
import { acceptAnswer, type Credential } from '../../src/credential/credentials.ts';
import { CredentialError, type ErrorCode } from '../../src/credential/errors.ts';
import { cloudProvider } from '../../src/providers/clouds.ts';
import type { AnyCloud } from '../../src/providers/provider.ts';
import type { ProviderOptions } from '../../src/providers/sts-call.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { systemRandom } from '../../src/runtime/random.ts';
import type { Transport } from '../../src/transport/transport.ts';
import { undiciTransport } from '../../src/transport/undici.ts';
import { newSwitches } from '../../sandbox/sts/switches.ts';
import type { SwitchMode } from '../../sandbox/sts/switches.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { assertNothingSecret, RELAXED } from '../support/sts-contract.ts';
import { outcomeCases, type OutcomeMistake } from '../support/sts-outcomes.ts';
import { openSTSScene, type STSScene, SUBJECT, withClaims, withOtherSignature } from './sts-scene.ts';

const AUDIENCE = { AWS: 'sts.amazonaws.com', AlibabaCloud: 'sts.aliyuncs.com', Volcengine: 'sts.volcengine.com' };
const MINUTE_MS = 60_000;

interface CloudCase {
  readonly cloud: ResolvedExchange['cloud'];
  role(account: number, name: string): string;
  exchange(role: string, endpoint: URL, over: Partial<ResolvedAWS>): ResolvedExchange;
  readonly policy: string;
  readonly firstAction: string;
  readonly takesExternalID: boolean;
  readonly takesTags: boolean;
  /** What the cases that STS words differently become. */
  readonly codes: Readonly<Record<Mistake, ErrorCode>>;
}

type Mistake = OutcomeMistake | 'late signature';

const SCENE: { current?: STSScene } = {};
function scene(): STSScene {
  assert.ok(SCENE.current !== undefined);
  return SCENE.current;
}

const CLOUDS: readonly CloudCase[] = [
  {
    cloud: 'AWS',
    role: (account, name) => `arn:aws:iam::11112222333${account}:role/${name}`,
    exchange: (roleARN, endpoint, over): ResolvedAWS => ({
      cloud: 'AWS',
      roleARN,
      region: 'eu-west-1',
      audience: AUDIENCE.AWS,
      endpoint: endpoint.origin,
      endpointType: 'Regional',
      policyARNs: [],
      roleChain: [],
      ...over,
    }),
    policy: '{"Version":"2012-10-17","Statement":[]}',
    firstAction: 'AssumeRoleWithWebIdentity',
    takesExternalID: true,
    takesTags: true,
    codes: {
      'wrong subject': 'AccessDenied',
      'wrong audience': 'TokenRejected',
      'wrong issuer': 'TokenRejected',
      'wrong signature': 'TokenRejected',
      expired: 'TokenRejected',
      'unknown role': 'AccessDenied',
      'late signature': 'RequestRejected',
    },
  },
  {
    cloud: 'AlibabaCloud',
    role: (account, name) => `acs:ram::111122223333444${account}:role/${name}`,
    exchange: (roleARN, endpoint, { sessionPolicy, roleChain = [] }): ResolvedAlibabaCloud => ({
      cloud: 'AlibabaCloud',
      roleARN,
      oidcProviderARN: scene().sandbox.alibabaCloud.service.providerARN(roleARN.split(':')[3] ?? ''),
      region: 'cn-hangzhou',
      audience: AUDIENCE.AlibabaCloud,
      endpoint: endpoint.origin,
      network: 'Public',
      ...(sessionPolicy === undefined ? {} : { sessionPolicy }),
      roleChain,
    }),
    policy: '{"Version":"1","Statement":[]}',
    firstAction: 'AssumeRoleWithOIDC',
    takesExternalID: true,
    takesTags: false,
    codes: {
      'wrong subject': 'AccessDenied',
      'wrong audience': 'AccessDenied',
      'wrong issuer': 'AccessDenied',
      'wrong signature': 'AccessDenied',
      expired: 'TokenRejected',
      'unknown role': 'RequestRejected',
      'late signature': 'RequestRejected',
    },
  },
  {
    cloud: 'Volcengine',
    role: (account, name) => `trn:iam::210000000${account}:role/${name}`,
    exchange: (roleTRN, endpoint, { sessionPolicy, roleChain = [] }): ResolvedVolcengine => ({
      cloud: 'Volcengine',
      roleTRN,
      region: 'cn-beijing',
      audience: AUDIENCE.Volcengine,
      endpoint: endpoint.origin,
      ...(sessionPolicy === undefined ? {} : { sessionPolicy }),
      roleChain,
    }),
    policy: '{"Statement":[]}',
    firstAction: 'AssumeRoleWithOIDC',
    takesExternalID: false,
    takesTags: true,
    codes: {
      'wrong subject': 'AccessDenied',
      'wrong audience': 'TokenRejected',
      'wrong issuer': 'TokenRejected',
      'wrong signature': 'TokenRejected',
      expired: 'TokenRejected',
      'unknown role': 'AccessDenied',
      'late signature': 'RequestRejected',
    },
  },
];

describe('providers', () => {
  const transport = undiciTransport({ connections: 4, tls: {}, connectTimeoutMs: 5_000 });
  before(async () => {
    SCENE.current = await openSTSScene();
  });
  after(async () => {
    await transport.close();
    await scene().sandbox.stop();
  });

  for (const cloud of CLOUDS) {
    describe(cloud.cloud, () => conformance(cloud, transport));
  }
});

function conformance(cloud: CloudCase, transport: Transport): void {
  const service = () =>
    ({
      AWS: scene().sandbox.aws,
      AlibabaCloud: scene().sandbox.alibabaCloud,
      Volcengine: scene().sandbox.volcengine,
    })[cloud.cloud];
  const FIRST = cloud.role(1, 'first');

  before(() => service().addRole({ arn: FIRST, subject: SUBJECT }));
  afterEach(() => {
    scene().time.offsetMs = 0;
    const { switches } = service();
    for (const name of ['times', 'only', 'refusal', 'maxSessionSeconds', 'retryAfterSeconds'] as const) {
      switches[name] = undefined;
    }
    Object.assign(switches, newSwitches());
  });

  function provider(over: Partial<ProviderOptions> = {}): AnyCloud {
    const { host } = service().url;
    const entry = { cloud: cloud.cloud, host, scheme: 'http', audiences: ['sts.sandbox.example'] } as const;
    return cloudProvider({
      transport,
      policy: { entries: [entry], apiServerAudiences: [scene().sandbox.issuer] },
      clock: systemClock,
      random: systemRandom,
      ...over,
    });
  }

  interface Asked {
    readonly role?: string;
    readonly token?: string;
    readonly durationSeconds?: number;
    readonly over?: Partial<ResolvedAWS>;
    readonly options?: Partial<ProviderOptions>;
  }

  async function exchange(asked: Asked = {}): Promise<Credential> {
    const { role = FIRST, durationSeconds = 3600, over = {}, options = {} } = asked;
    const token = asked.token ?? (await scene().token(AUDIENCE[cloud.cloud]));
    const made = cloud.exchange(role, service().url, over);
    // A cloud's own audience goes to its own hosts only: the endpoint is listed with another one.
    const request = {
      exchange: { ...made, audience: 'sts.sandbox.example' },
      durationSeconds,
      sessionName: 'shop.orders.orders',
      token,
    };
    const now = (): number => options.clock?.now() ?? systemClock.now();
    const sentAtMs = now();
    return acceptAnswer(await provider(options).exchange(request, RELAXED), durationSeconds, sentAtMs);
  }

  /** Of every session so far, the hops' included. */
  const issuedSecrets = (): string[] =>
    service().issued.flatMap(({ secretAccessKey, sessionToken }) => [secretAccessKey, sessionToken]);

  /** What it fails with; nothing that was sent or given out is in it. */
  async function failure(asked: Asked = {}): Promise<CredentialError> {
    const token = asked.token ?? (await scene().token(AUDIENCE[cloud.cloud]));
    try {
      await exchange({ ...asked, token });
    } catch (error) {
      assert.ok(error instanceof CredentialError, String(error));
      assertNothingSecret(error, [token, ...token.split('.').slice(1), ...issuedSecrets()]);
      // What is wrong with a credential is judged where no host is known.
      const where = error.message.includes('STS answered 200') ? 'STS' : service().url.host;
      assert.ok(error.message.includes(where), error.message);
      return error;
    }
    return assert.fail('the exchange succeeded');
  }

  const lastCalls = (count: number) => service().calls.slice(-count);

  test('a trusted token becomes the credential that was given out, with one call', async () => {
    const before = service().calls.length;
    const credential = await exchange({ over: { sessionPolicy: cloud.policy }, durationSeconds: 1800 });
    const issued = service().issued.at(-1);
    assert.equal(credential.accessKeyID, issued?.accessKeyID);
    assert.equal(credential.secretAccessKey.reveal(), issued?.secretAccessKey);
    assert.equal(credential.sessionToken.reveal(), issued?.sessionToken);
    assert.ok(Math.abs(credential.expirationTimeMs - (issued?.expirationMs ?? 0)) < 5_000);
    assert.deepEqual(
      [issued?.roleARN, issued?.sessionName, issued?.durationSeconds, issued?.policy, issued?.hop],
      [FIRST, 'shop.orders.orders', 1800, cloud.policy, 1],
    );
    assert.ok(credential.identity?.endsWith('/shop.orders.orders'), credential.identity);
    const [call, ...more] = service().calls.slice(before);
    assert.deepEqual(more, []);
    assert.equal(call?.outcome, 'Issued');
    assert.equal(call?.action, cloud.firstAction);
    assert.equal(call?.webIdentityTokenIn, 'body');
    assert.equal(call?.signedBy, '');
    assert.equal(credential.requestID, call?.requestID);
  });

  outcomeCases({
    present: async (mistake) => {
      const audience = AUDIENCE[cloud.cloud];
      // Minted while the sandbox's clock stood 61 minutes back: its hour is over.
      if (mistake === 'expired') scene().time.offsetMs = -61 * MINUTE_MS;
      const token =
        mistake === 'wrong audience'
          ? await scene().token('somebody.else')
          : await scene().token(audience, mistake === 'wrong subject' ? 'other' : 'orders');
      scene().time.offsetMs = 0;
      const role = mistake === 'unknown role' ? cloud.role(1, 'nobody') : FIRST;
      if (mistake === 'wrong issuer') return { token: withClaims(token, { iss: 'https://other.example' }), role };
      return { token: mistake === 'wrong signature' ? withOtherSignature(token) : token, role };
    },
    exchange: ({ role, token }, durationSeconds = 3600) => exchange({ role, token, durationSeconds }),
    issuedSecrets,
    codes: cloud.codes,
  });

  test('a refusal carries the request id that the STS logged', async () => {
    const error = await failure({ token: await scene().token(AUDIENCE[cloud.cloud], 'other') });
    assert.equal(error.requestID, lastCalls(1)[0]?.requestID);
  });

  test('a session policy that is none is PolicyRejected', async () => {
    assert.equal((await failure({ over: { sessionPolicy: '{"Statement":' } })).code, 'PolicyRejected');
  });

  test('throttled is STSThrottled, with the wait that the cloud tells in its own way', async () => {
    Object.assign(service().switches, { mode: 'throttle', retryAfterSeconds: 7 });
    const error = await failure();
    assert.equal(error.code, 'STSThrottled');
    assert.equal(error.retryAfterSeconds, 7);
  });

  for (const [mode, code] of [
    ['outage', 'STSUnavailable'],
    ['reset', 'STSUnavailable'],
    ['html', 'STSUnavailable'],
    ['truncated', 'STSUnavailable'],
    ['html200', 'InvalidResponse'],
    ['empty200', 'InvalidResponse'],
    ['emptyCredentials', 'InvalidResponse'],
    ['hugeBody', 'InvalidResponse'],
    ['pastExpiry', 'InvalidResponse'],
    // An envelope that says so is believed whatever its status: Volcengine's errors may come with 200.
    ['errorBody200', cloud.cloud === 'Volcengine' ? 'STSUnavailable' : 'InvalidResponse'],
  ] as const satisfies readonly (readonly [SwitchMode, ErrorCode])[]) {
    test(`${mode} is ${code} after one call, and transient`, async () => {
      service().switches.mode = mode;
      const before = service().calls.length;
      const error = await failure();
      assert.equal(error.code, code);
      assert.equal(error.disposition, 'transient');
      assert.equal(service().calls.length, before + 1);
    });
  }

  for (const mode of ['hang', 'slowDrip'] as const) {
    test(`${mode} is given up after 10 s`, async () => {
      Object.assign(service().switches, { mode, slowMs: 1_000 });
      const clock = new FakeClock();
      const arrived = Promise.withResolvers<void>();
      const watched: Transport = {
        send: async (request) => {
          const answer = transport.send(request);
          // A hanging server never gives a head.
          if (mode === 'slowDrip') await answer;
          arrived.resolve();
          return await answer;
        },
        close: () => Promise.resolve(),
      };
      const running = failure({ options: { clock, transport: watched } });
      await arrived.promise;
      await clock.advance(10_000);
      const error = await running;
      assert.equal(error.code, 'STSUnavailable');
      assert.match(error.message, /longer than 10 s/);
    });
  }

  test('an end an hour beyond what was asked is not believed', async () => {
    service().switches.mode = 'farExpiry';
    const { issueTimeMs, expirationTimeMs } = await exchange();
    assert.ok(expirationTimeMs - issueTimeMs <= 3_660_000);
  });

  for (const dateSkewMs of [-60 * MINUTE_MS, 60 * MINUTE_MS]) {
    test(`a Date that is ${dateSkewMs / MINUTE_MS} minutes off makes no life longer`, async () => {
      service().switches.dateSkewMs = dateSkewMs;
      const run = exchange();
      if (dateSkewMs > 0) {
        // By that Date the credential has ended as it begins.
        await assert.rejects(run, (error) => error instanceof CredentialError && error.code === 'InvalidResponse');
        return;
      }
      const { issueTimeMs, expirationTimeMs } = await run;
      assert.ok(expirationTimeMs - issueTimeMs <= 3_601_000);
    });
  }

  test("a server whose clock is 3 minutes ahead gives a life, not its own clock's end", async () => {
    service().switches.clockSkewMs = 3 * MINUTE_MS;
    const { issueTimeMs, expirationTimeMs } = await exchange();
    assert.ok(Math.abs(expirationTimeMs - issueTimeMs - 3_600_000) <= 2_000);
  });

  /** Roles for a chain through accounts 2 and 3; what a hop must name, where the cloud takes it. */
  function addChain(): readonly RoleHop[] {
    const roles = [FIRST, cloud.role(2, 'middle'), cloud.role(3, 'last')] as const;
    const externalID = cloud.takesExternalID ? 'partner:42/a+b=c,@d' : undefined;
    service().addRole({
      arn: roles[1],
      trustedRole: roles[0],
      ...(externalID === undefined ? {} : { externalID }),
    });
    service().addRole({ arn: roles[2], trustedRole: roles[1] });
    const tags = cloud.takesTags
      ? [
          { key: 'team', value: 'a b+c', ...(cloud.cloud === 'AWS' ? { transitive: true as const } : {}) },
          { key: 'cost', value: '7' },
        ]
      : [];
    return [
      { role: roles[1], tags, ...(externalID === undefined ? {} : { externalID }) },
      { role: roles[2], tags: [] },
    ];
  }

  for (const hops of [1, 2]) {
    test(`a chain of ${hops + 1} calls: each signed by the one before, policy and duration on the last only`, async () => {
      const roleChain = addChain().slice(0, hops);
      const before = service().issued.length;
      const over = {
        roleChain,
        sessionPolicy: cloud.policy,
        ...(cloud.cloud === 'AWS' ? { policyARNs: ['arn:aws:iam::aws:policy/ReadOnlyAccess'] } : {}),
      };
      const credential = await exchange({ over, durationSeconds: 1800 });
      const sessions = service().issued.slice(before);
      assert.deepEqual(
        sessions.map(({ roleARN }) => roleARN),
        [FIRST, ...roleChain.map(({ role }) => role)],
      );
      assert.equal(credential.accessKeyID, sessions.at(-1)?.accessKeyID);
      for (const [index, session] of sessions.entries()) {
        const isLast = index === hops;
        assert.equal(session.durationSeconds, isLast ? 1800 : 900);
        assert.equal(session.policy, isLast ? cloud.policy : undefined);
        assert.deepEqual(session.policyARNs, isLast ? (over.policyARNs ?? []) : []);
        assert.equal(session.parentAccessKeyID, sessions[index - 1]?.accessKeyID);
        assert.equal(session.sessionName, 'shop.orders.orders');
      }
      const middle = sessions[1];
      assert.equal(middle?.externalID, roleChain[0]?.externalID);
      assert.deepEqual(
        middle?.tags.map(({ key, value, transitive }) => [key, value, transitive]),
        cloud.takesTags
          ? [
              ['team', 'a b+c', cloud.cloud === 'AWS'],
              ['cost', '7', false],
            ]
          : [],
      );
      const calls = lastCalls(hops + 1);
      assert.deepEqual(
        calls.map(({ action, signedBy }) => [action, signedBy]),
        sessions.map((_, index) => [
          index === 0 ? cloud.firstAction : 'AssumeRole',
          sessions[index - 1]?.accessKeyID ?? '',
        ]),
      );
    });
  }

  test('a hop that the role does not trust is AccessDenied and named', async () => {
    addChain();
    const [, last] = addChain();
    assert.ok(last !== undefined);
    // The first role may not skip the middle one.
    const error = await failure({ over: { roleChain: [last] } });
    assert.equal(error.code, 'AccessDenied');
    assert.match(error.message, /^Hop 2 of 2 \(spec\.\w+\.roleChain\[0\]\): /);
    assert.ok(error.message.includes(last.role));
  });

  test('a wrong external id is AccessDenied', { skip: !cloud.takesExternalID && 'the cloud has none' }, async () => {
    const [middle] = addChain();
    assert.ok(middle !== undefined);
    const error = await failure({ over: { roleChain: [{ ...middle, externalID: 'somebody-else' }] } });
    assert.equal(error.code, 'AccessDenied');
  });

  for (const mode of ['throttle', 'reset', 'html200', 'emptyCredentials', 'pastExpiry'] as const) {
    test(`${mode} at the second hop is told of that hop, and ends the chain`, async () => {
      const roleChain = addChain();
      Object.assign(service().switches, { mode, only: 'AssumeRole', times: 1 });
      const before = service().calls.length;
      const error = await failure({ over: { roleChain } });
      assert.match(error.message, /Hop 2 of 3/);
      assert.equal(service().calls.length, before + 2);
    });
  }

  for (const [ours, works] of [
    ['this machine', false],
    ['the corrected clock', true],
  ] as const) {
    test(`a server 20 minutes ahead ${works ? 'takes' : 'refuses'} signatures by ${ours}`, async () => {
      const [middle] = addChain();
      assert.ok(middle !== undefined);
      const aheadMs = 20 * MINUTE_MS;
      scene().time.offsetMs = aheadMs;
      const token = await scene().token(AUDIENCE[cloud.cloud]);
      const corrected = { ...systemClock, now: () => systemClock.now() + aheadMs };
      const options = works ? { clock: corrected, clockOffsetMs: () => aheadMs } : {};
      const run = { token, options, over: { roleChain: [middle] } };
      if (works) {
        assert.equal((await exchange(run)).accessKeyID, service().issued.at(-1)?.accessKeyID);
      } else {
        assert.equal((await failure(run)).code, cloud.codes['late signature']);
      }
    });
  }
}
