// Promises: what the STS of every cloud can be told to do wrong, it does, for as many calls and for the action that was asked;
// and afterwards it works again. The servers run on a clock that only the test moves.
import assert from 'node:assert/strict';
import { before, beforeEach, describe, test } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import type { CryptoKey, JWK } from 'jose';
import type { ServerOutcome, ServerRequest, ServerResponse } from '../../sandbox/http.ts';
import { AlibabaCloudSecurityTokenService } from '../../sandbox/sts/alibaba-cloud.ts';
import { AWSSecurityTokenService } from '../../sandbox/sts/aws.ts';
import type { SecurityTokenService } from '../../sandbox/sts/service.ts';
import type { SwitchMode } from '../../sandbox/sts/switches.ts';
import { VolcengineSecurityTokenService } from '../../sandbox/sts/volcengine.ts';
import { FakeClock, settle } from '../support/fake-clock.ts';
import { SeededRandom } from '../support/fake-random.ts';

const ISSUER = 'https://issuer.example';

interface Exchange {
  readonly action: string;
  readonly query: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** One cloud under test: a fresh server, and how to ask it for a session. */
interface Bed {
  readonly clock: FakeClock;
  readonly service: SecurityTokenService;
  ask(signal?: AbortSignal): Promise<ServerOutcome>;
}

interface Cloud {
  readonly name: string;
  readonly outage: string;
  readonly throttle: string;
  open(clock: FakeClock): { service: SecurityTokenService; audience: string; exchange: (token: string) => Exchange };
}

const keys: { privateKey?: CryptoKey; jwk?: JWK } = {};

function options() {
  const fetchJSON = (url: string): Promise<unknown> =>
    Promise.resolve(url.endsWith('/jwks') ? { keys: [keys.jwk] } : { jwks_uri: `${ISSUER}/jwks` });
  return { issuer: ISSUER, fetchJSON };
}

const CLOUDS: readonly Cloud[] = [
  {
    name: 'AWS',
    outage: 'ServiceUnavailable',
    throttle: 'Throttling',
    open: (clock) => {
      const arn = 'arn:aws:iam::123456789012:role/orders';
      const service = new AWSSecurityTokenService(options(), { clock, random: new SeededRandom(1) });
      const principal = { Federated: 'arn:aws:iam::123456789012:oidc-provider/issuer.example' };
      const Action = 'sts:AssumeRoleWithWebIdentity';
      service.addRole({ arn, trustPolicy: { Statement: { Effect: 'Allow', Principal: principal, Action } } });
      const action = 'AssumeRoleWithWebIdentity';
      const exchange = (token: string): Exchange => {
        const fields = { Action: action, RoleArn: arn, RoleSessionName: 'session', WebIdentityToken: token };
        return { action, query: '', fields };
      };
      return { service, audience: 'sts.amazonaws.com', exchange };
    },
  },
  {
    name: 'Alibaba Cloud',
    outage: 'ServiceUnavailable',
    throttle: 'Throttling.User',
    open: (clock) => {
      const arn = 'acs:ram::1000000000000001:role/orders';
      const service = new AlibabaCloudSecurityTokenService(options(), { clock, random: new SeededRandom(1) });
      const provider = service.providerARN('1000000000000001');
      const statement = { Effect: 'Allow', Principal: { Federated: [provider] }, Action: 'sts:AssumeRole' };
      service.addRole({ arn, trustPolicy: { Version: '1', Statement: [statement] } });
      const action = 'AssumeRoleWithOIDC';
      const exchange = (token: string): Exchange => {
        const fields = { RoleArn: arn, OIDCProviderArn: provider, RoleSessionName: 'session', OIDCToken: token };
        return { action, query: `?Action=${action}&Version=2015-04-01`, fields };
      };
      return { service, audience: 'sts.aliyuncs.com', exchange };
    },
  },
  {
    name: 'Volcengine',
    outage: 'ServiceUnavailableTemp',
    throttle: 'FlowLimitExceeded',
    open: (clock) => {
      const arn = 'trn:iam::2100000001:role/orders';
      const service = new VolcengineSecurityTokenService(options(), { clock, random: new SeededRandom(1) });
      const principal = { Federated: [service.providerTRN('2100000001')] };
      const statement = { Effect: 'Allow', Principal: principal, Action: ['sts:AssumeRoleWithOIDC'] };
      service.addRole({ arn, trustPolicy: { Statement: [statement] } });
      const action = 'AssumeRoleWithOIDC';
      const exchange = (token: string): Exchange => {
        const fields = { RoleTrn: arn, RoleSessionName: 'session', OIDCToken: token };
        return { action, query: `?Action=${action}&Version=2018-01-01`, fields };
      };
      return { service, audience: 'sts.volcengine.com', exchange };
    },
  },
];

function answered(outcome: ServerOutcome): ServerResponse {
  assert.ok('status' in outcome, 'the connection was cut');
  return outcome;
}

async function text(outcome: ServerOutcome): Promise<string> {
  const { body } = answered(outcome);
  if (typeof body === 'string') return body;
  const chunks: string[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return chunks.join('');
}

for (const cloud of CLOUDS) {
  describe(`the switches of ${cloud.name}`, () => {
    let bed: Bed;

    before(async () => {
      const pair = await generateKeyPair('RS256', { extractable: true });
      keys.privateKey = pair.privateKey;
      keys.jwk = { ...(await exportJWK(pair.publicKey)), kid: 'one', alg: 'RS256' };
    });
    beforeEach(() => {
      const clock = new FakeClock();
      const { service, audience, exchange } = cloud.open(clock);
      const ask = async (signal = new AbortController().signal): Promise<ServerOutcome> => {
        const seconds = Math.floor(clock.now() / 1000);
        assert.ok(keys.privateKey);
        const token = await new SignJWT({ sub: 'system:serviceaccount:default:orders' })
          .setProtectedHeader({ alg: 'RS256', kid: 'one' })
          .setIssuer(ISSUER)
          .setAudience(audience)
          .setIssuedAt(seconds)
          .setExpirationTime(seconds + 600)
          .sign(keys.privateKey);
        const { query, fields } = exchange(token);
        const request: ServerRequest = {
          method: 'POST',
          target: `/${query}`,
          headers: {},
          body: Buffer.from(new URLSearchParams(fields).toString()),
          signal,
        };
        return await service.handle(request);
      };
      bed = { clock, service, ask };
    });

    /** The one session of the bed. */
    const lifeSeconds = (): number => ((bed.service.issued.at(-1)?.expirationMs ?? 0) - bed.clock.now()) / 1000;

    const set = (mode: SwitchMode, times = 1): void => void Object.assign(bed.service.switches, { mode, times });

    test('off, it gives a session of an hour, and the log says so', async () => {
      const good = await bed.ask();
      assert.equal(answered(good).status, 200);
      const [session] = bed.service.issued;
      assert.ok(session);
      for (const part of [session.accessKeyID, session.sessionToken]) assert.ok((await text(good)).includes(part));
      assert.equal(lifeSeconds(), 3600);
      assert.equal(answered(good).headers['date'], new Date(bed.clock.now()).toUTCString());
      assert.deepEqual(
        bed.service.calls.map(({ outcome, webIdentityTokenIn }) => [outcome, webIdentityTokenIn]),
        [['Issued', 'body']],
      );
    });

    test('an outage, throttling and a forced refusal are in its own words, as often as asked', async () => {
      set('outage', 2);
      for (const _ of [1, 2]) {
        const outcome = await bed.ask();
        assert.equal(answered(outcome).status, 503);
        assert.match(await text(outcome), new RegExp(`\\b${cloud.outage}\\b`));
      }
      set('throttle');
      assert.match(await text(await bed.ask()), new RegExp(`\\b${cloud.throttle}\\b`));
      bed.service.switches.refusal = { code: 'Some.Code', httpStatus: 418, message: 'forced' };
      set('refuse');
      const refused = await bed.ask();
      assert.deepEqual([answered(refused).status, /\bSome\.Code\b/.test(await text(refused))], [418, true]);
      assert.equal(bed.service.calls.at(-1)?.outcome, 'Some.Code');
      assert.equal(answered(await bed.ask()).status, 200);
    });

    test('it hits only the action that was named', async () => {
      set('outage');
      bed.service.switches.only = 'GetCallerIdentity';
      assert.equal(answered(await bed.ask()).status, 200);
      bed.service.switches.only = bed.service.calls.at(-1)?.action;
      assert.equal(answered(await bed.ask()).status, 503);
    });

    test('a reset and a hang give no answer', async () => {
      set('reset');
      assert.deepEqual(await bed.ask(), { reset: true });
      set('hang');
      const client = new AbortController();
      const seen: ServerOutcome[] = [];
      const waiting = bed.ask(client.signal).then((outcome) => seen.push(outcome));
      await bed.clock.advance(3_600_000);
      assert.deepEqual(seen, []);
      client.abort();
      await waiting;
      assert.deepEqual(seen, [{ reset: true }]);
      assert.equal(bed.service.issued.length, 0);
    });

    test('it lies: HTML, nothing, an error with 200, 50 MB', async () => {
      for (const [mode, status, pattern] of [
        ['html', 502, /^<html>/],
        ['html200', 200, /^<html>/],
        ['empty200', 200, /^$/],
        ['errorBody200', 200, new RegExp(`\\b${cloud.outage}\\b`)],
      ] as const) {
        set(mode);
        const outcome = await bed.ask();
        assert.equal(answered(outcome).status, status, mode);
        assert.match(await text(outcome), pattern, mode);
      }
      set('hugeBody');
      assert.ok((await text(await bed.ask())).length >= 50_000_000);
      assert.equal(bed.service.issued.length, 0);
    });

    test('it lies about the credential: empty parts, an end in the past, an end too far', async () => {
      set('emptyCredentials');
      const empty = await text(await bed.ask());
      const session = bed.service.issued.at(-1);
      assert.ok(session);
      for (const part of [session.accessKeyID, session.secretAccessKey]) assert.equal(empty.includes(part), false);
      set('pastExpiry');
      assert.match(
        await text(await bed.ask()),
        new RegExp(new Date(bed.clock.now() - 60_000).toISOString().slice(0, 19)),
      );
      set('farExpiry');
      assert.match(
        await text(await bed.ask()),
        new RegExp(new Date(bed.clock.now() + 7_200_000).toISOString().slice(0, 19)),
      );
    });

    test('it cuts an answer in the middle', async () => {
      set('truncated');
      const { body } = answered(await bed.ask());
      assert.ok(typeof body !== 'string');
      const seen: string[] = [];
      await assert.rejects(async () => {
        for await (const chunk of body) seen.push(chunk);
      });
      assert.ok(seen.join('').length > 10);
      assert.equal(seen.join('').includes(bed.service.issued.at(-1)?.sessionToken ?? 'none'), false);
    });

    test('it is late, and it drips', async () => {
      bed.service.switches.slowMs = 5_000;
      set('slow');
      const seen: ServerOutcome[] = [];
      const waiting = bed.ask().then((outcome) => seen.push(outcome));
      while (bed.clock.waiters() === 0) await settle();
      await bed.clock.advance(4_999);
      assert.equal(seen.length, 0);
      await bed.clock.advance(1);
      await waiting;
      assert.equal(seen.length, 1);
      set('slowDrip');
      const { body } = answered(await bed.ask());
      assert.ok(typeof body !== 'string');
      const drops = body[Symbol.asyncIterator]();
      assert.equal(((await drops.next()).value as string).length, 1);
      const second = drops.next();
      await bed.clock.advance(5_000);
      assert.equal(((await second).value as string).length, 1);
    });

    test('its clock may be wrong, and its Date alone too', async () => {
      bed.service.switches.dateSkewMs = 3_600_000;
      assert.equal(answered(await bed.ask()).headers['date'], new Date(bed.clock.now() + 3_600_000).toUTCString());
      assert.equal(lifeSeconds(), 3600);
      bed.service.switches.dateSkewMs = 0;
      bed.service.switches.clockSkewMs = 300_000;
      assert.equal(answered(await bed.ask()).headers['date'], new Date(bed.clock.now() + 300_000).toUTCString());
      assert.equal(lifeSeconds(), 3900);
      bed.service.switches.clockSkewMs = 601_000;
      assert.ok(answered(await bed.ask()).status >= 400);
      assert.match(bed.service.calls.at(-1)?.outcome ?? '', /Expired/);
    });

    test('sessions can be short', async () => {
      bed.service.switches.maxSessionSeconds = 15;
      await bed.ask();
      assert.equal(lifeSeconds(), 15);
    });
  });
}
