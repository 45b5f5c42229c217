// Promises: what a chain of roles asks of a cloud's two calls, and what becomes of every way in which a hop can fail: the same
// for all clouds. How each cloud writes and signs its hops is in the contract test of that cloud.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ResolvedExchange, RoleHop } from '../../src/api/resolved.ts';
import type { ExchangeAnswer } from '../../src/credential/credentials.ts';
import { CredentialError, ERRORS, type ErrorCode } from '../../src/credential/errors.ts';
import { chainProvider, type CloudCalls, type HopStep, type Step } from '../../src/providers/role-chain.ts';
import { FAKE_EPOCH_MS } from '../support/fake-clock.ts';
import { assertNothingSecret, SECRETS, TOKEN } from '../support/sts-contract.ts';

const ROLES = {
  AWS: 'arn:aws:iam::123456789012:role/',
  AlibabaCloud: 'acs:ram::1234567890123456:role/',
  Volcengine: 'trn:iam::2100000001:role/',
} as const;
const FIELDS = {
  AWS: 'spec.aws.roleARN',
  AlibabaCloud: 'spec.alibabaCloud.roleARN',
  Volcengine: 'spec.volcengine.roleTRN',
} as const;

const answer = (over: Partial<ExchangeAnswer> = {}): ExchangeAnswer => ({
  accessKeyID: 'AKID',
  secretAccessKey: SECRETS.secretAccessKey,
  sessionToken: SECRETS.sessionToken,
  expiration: new Date(FAKE_EPOCH_MS + 900_000),
  answerDateMs: FAKE_EPOCH_MS,
  ...over,
});

function exchangeOf(cloud: ResolvedExchange['cloud'], hops: number): ResolvedExchange {
  const roleChain: RoleHop[] = Array.from({ length: hops }, (_, index) => ({
    role: `${ROLES[cloud]}hop-${index + 1}`,
    externalID: `external-${index + 1}`,
    tags: [{ key: 'team', value: String(index) }],
  }));
  const first = `${ROLES[cloud]}first`;
  return { cloud, roleARN: first, roleTRN: first, roleChain } as unknown as ResolvedExchange;
}

/** A provider of these two calls. */
function providerOf(calls: Pick<CloudCalls<ResolvedExchange>, 'exchangeToken' | 'assumeRole'>) {
  const endpoint = (): URL => new URL('https://sts.example/');
  return chainProvider<ResolvedExchange>({ cloud: 'AWS', endpoint, ...calls }, () => FAKE_EPOCH_MS);
}

/** Walks a chain; each step answers with the next of `answers`, and is kept. */
async function walk(exchange: ResolvedExchange, answers: readonly (ExchangeAnswer | CredentialError)[]) {
  const steps: (Step | HopStep)[] = [];
  const next = (_job: unknown, step: Step): Promise<ExchangeAnswer> => {
    steps.push(step);
    const given = answers[steps.length - 1] ?? answer();
    return given instanceof CredentialError ? Promise.reject(given) : Promise.resolve(given);
  };
  const provider = providerOf({ exchangeToken: next, assumeRole: next });
  const request = { exchange, durationSeconds: 3600, sessionName: 'shop.orders.orders', token: TOKEN };
  const result = provider.exchange(request, new AbortController().signal);
  return {
    steps,
    result: await result.then(
      (value) => value,
      (error: unknown) => error,
    ),
  };
}

for (const cloud of ['AWS', 'AlibabaCloud', 'Volcengine'] as const) {
  describe(cloud, () => {
    test('no chain is one call that asks for everything, and its errors name no hop', async () => {
      const { steps, result } = await walk(exchangeOf(cloud, 0), [answer({ requestID: 'r1' })]);
      assert.deepEqual(steps, [
        { role: `${ROLES[cloud]}first`, sessionName: 'shop.orders.orders', delivered: true, durationSeconds: 3600 },
      ]);
      assert.equal((result as ExchangeAnswer).requestID, 'r1');
      const refused = await walk(exchangeOf(cloud, 0), [new CredentialError('AccessDenied', 'no')]);
      assert.equal((refused.result as Error).message, 'no');
    });

    for (const hops of [1, 2, 4]) {
      test(`${hops} hops: 900 s until the last, each with the keys of the one before`, async () => {
        const answers = Array.from({ length: hops + 1 }, (_, index) => answer({ accessKeyID: `AKID${index}` }));
        const { steps, result } = await walk(exchangeOf(cloud, hops), answers);
        assert.equal((result as ExchangeAnswer).accessKeyID, `AKID${hops}`);
        assert.equal(steps.length, hops + 1);
        for (const [index, step] of steps.entries()) {
          const isLast = index === hops;
          assert.equal(step.durationSeconds, isLast ? 3600 : 900);
          assert.equal(step.delivered, isLast);
          assert.equal(step.sessionName, 'shop.orders.orders');
          if (index === 0) {
            assert.ok(!('caller' in step));
            continue;
          }
          assert.ok('caller' in step);
          assert.equal(step.caller.accessKeyID, `AKID${index - 1}`);
          assert.equal(step.caller.secretAccessKey.reveal(), SECRETS.secretAccessKey);
          assert.equal(step.hop.externalID, `external-${index}`);
          assert.equal(step.role, step.hop.role);
        }
      });
    }

    for (const code of Object.keys(ERRORS) as ErrorCode[]) {
      test(`${code} at the second hop keeps its code, the cloud's words and the wait`, async () => {
        const details = { cloudCode: 'Cloud.Code', requestID: 'r2', retryAfterSeconds: 17 };
        const { steps, result } = await walk(exchangeOf(cloud, 2), [
          answer(),
          new CredentialError(code, 'STS said no.', details),
        ]);
        assert.equal(steps.length, 2);
        assert.ok(result instanceof CredentialError);
        assert.deepEqual(
          [result.code, result.cloudCode, result.requestID, result.retryAfterSeconds, result.hop],
          [code, 'Cloud.Code', 'r2', 17, 2],
        );
        const field = FIELDS[cloud].replace(/\.role(ARN|TRN)$/, '');
        assert.equal(result.message, `Hop 2 of 3 (${field}.roleChain[0]): STS said no.`);
        assertNothingSecret(result);
      });
    }

    test('the first hop is named by its own field', async () => {
      const { result } = await walk(exchangeOf(cloud, 1), [new CredentialError('TokenRejected', 'no.')]);
      assert.equal((result as Error).message, `Hop 1 of 2 (${FIELDS[cloud]}): no.`);
    });

    for (const [what, over] of [
      ['no session token', { sessionToken: '' }],
      ['a key that ends a line', { secretAccessKey: 'a\nb' }],
      ['an end in the past', { expiration: new Date(FAKE_EPOCH_MS - 1_000) }],
      ['no end', { expiration: undefined }],
    ] as const) {
      test(`a hop on the way that gives ${what} signs nothing`, async () => {
        const { steps, result } = await walk(exchangeOf(cloud, 2), [answer(), answer(over)]);
        assert.equal(steps.length, 2);
        assert.ok(result instanceof CredentialError);
        assert.equal(result.code, 'InvalidResponse');
        assert.match(result.message, /^Hop 2 of 3/);
        assertNothingSecret(result);
      });
    }

    test("an abort is the caller's own reason, not an error of a hop", async () => {
      const reason = new Error('the lease is lost');
      const provider = providerOf({
        exchangeToken: () => Promise.resolve(answer()),
        assumeRole: () => Promise.reject(reason),
      });
      const request = { exchange: exchangeOf(cloud, 1), durationSeconds: 3600, sessionName: 's', token: TOKEN };
      await assert.rejects(provider.exchange(request, new AbortController().signal), (error) => error === reason);
    });
  });
}
