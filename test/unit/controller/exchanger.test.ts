// One exchange: who is asked in which order, what the limiter learns, and when the token goes nowhere.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Exchanger, type Exchange } from '../../../src/controller/exchanger.ts';
import type { ResolvedCredential, ResolvedExchange } from '../../../src/api/resolved.ts';
import type { ExchangeAnswer } from '../../../src/credential/credentials.ts';
import { CredentialError, type ErrorCode } from '../../../src/credential/errors.ts';
import type { ExchangeRequest, Provider } from '../../../src/providers/provider.ts';
import type { CallOutcome, EndpointLimiter } from '../../../src/runtime/limiter.ts';
import { aResolved, HOUR, NAME, NAMESPACE, PARTS, T0 } from '../../support/builders.ts';
import { FakeKubeApi, kubeError } from '../../support/fake-kube-api.ts';

function token(claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'none' })}.${part(claims)}.c2lnbmF0dXJl`;
}

const CLAIMS = {
  iss: 'https://issuer.example',
  sub: `system:serviceaccount:${NAMESPACE}:${NAME}`,
  aud: ['sts.amazonaws.com'],
  jti: 'a-token',
  'kubernetes.io': { serviceaccount: { uid: 'service-account' } },
};

const ANSWER: ExchangeAnswer = {
  ...PARTS,
  expiration: new Date(T0 + HOUR),
  answerDateMs: T0,
  identity: 'arn:aws:sts::123456789012:assumed-role/orders/x',
  requestID: 'a-request',
};

interface BenchOptions {
  readonly claims?: object;
  readonly refuses?: number;
  readonly answer?: () => ExchangeAnswer;
  /** How many times this replica still leads when asked. */
  readonly leads?: number;
  readonly clusterName?: string;
  readonly resolved?: ResolvedCredential;
}

function bench(options: BenchOptions = {}) {
  const { claims = CLAIMS, refuses, answer = () => ANSWER, clusterName } = options;
  const api = new FakeKubeApi();
  api.token = token(claims);
  const requests: ExchangeRequest[] = [];
  const keys: string[] = [];
  const outcomes: CallOutcome[] = [];
  let leads = options.leads ?? Infinity;
  const limiter: Pick<EndpointLimiter, 'tryAcquire'> = {
    tryAcquire(key, calls = 1) {
      keys.push(calls === 1 ? key : `${key} x${calls}`);
      return refuses === undefined
        ? { granted: true, release: (outcome) => void outcomes.push(outcome) }
        : { granted: false, retryAfterMs: refuses };
    },
  };
  const provider: Provider = {
    cloud: 'AWS',
    endpoint: () => new URL('https://sts.eu-west-1.amazonaws.com'),
    exchange: (request) => {
      requests.push(request);
      return Promise.resolve().then(answer);
    },
  };
  const exchanger = new Exchanger({
    api,
    provider,
    limiter: limiter as EndpointLimiter,
    clusterName,
    now: () => T0,
    assertLeading: () => {
      leads -= 1;
      if (leads < 0) throw new Error('not leading');
    },
  });
  const stop = new AbortController();
  const exchange = (): Promise<Exchange> =>
    exchanger.exchange(
      { namespace: NAMESPACE, name: NAME, resolved: options.resolved ?? aResolved() },
      { signal: stop.signal },
    );
  return { api, requests, keys, outcomes, exchange, stop };
}

function hasCode(code: ErrorCode, message: RegExp) {
  return (error: unknown): boolean =>
    error instanceof CredentialError && error.code === code && message.test(error.message);
}

describe('an exchange', () => {
  test('mints one token, makes one call, and gives the judged credential with the claims', async () => {
    const { api, requests, keys, outcomes, exchange } = bench();
    const exchanged = await exchange();
    assert.ok(exchanged.granted);
    assert.equal(exchanged.credential.accessKeyID, PARTS.accessKeyID);
    assert.equal(exchanged.credential.expirationTimeMs, T0 + HOUR);
    assert.equal(exchanged.claims.tokenID, 'a-token');
    assert.deepEqual(api.log, ['create serviceaccounts/token']);
    assert.deepEqual(
      requests.map(({ sessionName, durationSeconds }) => ({ sessionName, durationSeconds })),
      [{ sessionName: 'shop.orders.orders', durationSeconds: 3600 }],
    );
    assert.deepEqual(keys, ['AWS/123456789012/sts.eu-west-1.amazonaws.com']);
    assert.deepEqual(outcomes, ['success']);
  });

  test("has the cluster's name first in its session's", async () => {
    const { requests, exchange } = bench({ clusterName: 'prod' });
    await exchange();
    assert.match(requests[0]?.sessionName ?? '', /^prod\./);
  });

  test('that the limiter refuses costs no token', async () => {
    const { api, requests, exchange } = bench({ refuses: 1_234 });
    assert.deepEqual(await exchange(), { granted: false, retryAfterMs: 1_234 });
    assert.deepEqual(api.log, []);
    assert.deepEqual(requests, []);
  });

  for (const [role, account] of [
    ['arn:aws-us-gov:iam::123456789012:role/a', '123456789012'],
    ['acs:ram::1234567890123456:role/a', '1234567890123456'],
    ['trn:iam::2100000001:role/a', '2100000001'],
    ['something else', ''],
  ] as const) {
    test(`of ${role} asks the limiter of account "${account}" for every call of the chain`, async () => {
      const { exchange } = aResolved();
      const cloud = role.startsWith('trn') ? 'Volcengine' : role.startsWith('acs') ? 'AlibabaCloud' : 'AWS';
      const hop = { role, tags: [] };
      const over = { cloud, roleARN: role, roleTRN: role, roleChain: [hop, hop] };
      const resolved = { ...aResolved(), exchange: { ...exchange, ...over } as ResolvedExchange };
      const run = bench({ resolved });
      await run.exchange();
      assert.deepEqual(run.keys, [`${cloud}/${account}/sts.eu-west-1.amazonaws.com x3`]);
    });
  }

  for (const [hop, explained] of [
    [undefined, true],
    [1, true],
    [2, false],
  ] as const) {
    test(`refused at hop ${hop} is ${explained ? '' : 'not '}told with what the token said`, async () => {
      const refused = new CredentialError('AccessDenied', 'STS said no.', { hop, cloudCode: 'Denied', requestID: 'r' });
      const { exchange } = bench({
        answer: () => {
          throw refused;
        },
      });
      await assert.rejects(exchange(), (error) => {
        assert.ok(error instanceof CredentialError);
        assert.equal(error.message.includes(CLAIMS.iss), explained);
        assert.deepEqual([error.cloudCode, error.requestID, error.hop], ['Denied', 'r', hop]);
        return true;
      });
    });
  }

  test('does not send a token that says something else than was asked', async () => {
    const { requests, outcomes, exchange } = bench({ claims: { ...CLAIMS, aud: ['another'] } });
    await assert.rejects(exchange(), hasCode('TokenMismatch', /"another"/));
    assert.deepEqual(requests, []);
    assert.deepEqual(outcomes, ['aborted']);
  });

  test('does not send the token when the Lease is lost meanwhile', async () => {
    const { api, requests, exchange } = bench({ leads: 1 });
    await assert.rejects(exchange(), /not leading/);
    assert.deepEqual(api.log, ['create serviceaccounts/token']);
    assert.deepEqual(requests, []);
  });

  test('does not even mint one without the Lease', async () => {
    const { api, exchange } = bench({ leads: 0 });
    await assert.rejects(exchange(), /not leading/);
    assert.deepEqual(api.log, []);
  });

  test('teaches the limiter nothing when the API server fails', async () => {
    const { api, outcomes, exchange } = bench();
    api.next('create serviceaccounts/token', 'before', () => {
      throw kubeError(503, 'create serviceaccounts/token');
    });
    await assert.rejects(exchange(), /503/);
    assert.deepEqual(outcomes, ['aborted']);
  });

  const OUTCOMES: readonly (readonly [ErrorCode, CallOutcome])[] = [
    ['STSUnavailable', 'outage'],
    ['InvalidResponse', 'outage'],
    ['STSThrottled', 'throttled'],
    ['AccessDenied', 'refused'],
    ['TokenRejected', 'refused'],
    ['EndpointNotAllowed', 'aborted'],
  ];
  for (const [code, outcome] of OUTCOMES) {
    test(`that ends with ${code} is "${outcome}" to the limiter`, async () => {
      const { outcomes, exchange } = bench({
        answer: () => {
          throw new CredentialError(code, 'STS said so.', { requestID: 'r', retryAfterSeconds: 3 });
        },
      });
      await assert.rejects(exchange(), (error: unknown) => {
        assert.ok(error instanceof CredentialError);
        assert.equal(error.requestID, 'r');
        assert.equal(error.retryAfterSeconds, 3);
        return error.code === code;
      });
      assert.deepEqual(outcomes, [outcome]);
    });
  }

  test('whose answer is no credential is an outage, not a success', async () => {
    const { outcomes, exchange } = bench({ answer: () => ({ ...ANSWER, sessionToken: undefined }) });
    await assert.rejects(exchange(), hasCode('InvalidResponse', /./));
    assert.deepEqual(outcomes, ['outage']);
  });

  test('that fails as nobody foresaw teaches the limiter nothing', async () => {
    const { outcomes, exchange } = bench({
      answer: () => {
        throw new TypeError('unforeseen');
      },
    });
    await assert.rejects(exchange(), TypeError);
    assert.deepEqual(outcomes, ['aborted']);
  });

  test('that we abort ourselves is not held against the endpoint', async () => {
    const { outcomes, exchange, stop } = bench({
      answer: () => {
        stop.abort(new Error('stopped'));
        throw new CredentialError('STSUnavailable', 'cut off.');
      },
    });
    await assert.rejects(exchange());
    assert.deepEqual(outcomes, ['aborted']);
  });

  for (const code of ['AccessDenied', 'TokenRejected'] as const) {
    test(`that is refused with ${code} is told with what the token said, and without the token`, async () => {
      const { api, exchange } = bench({
        answer: () => {
          throw new CredentialError(code, 'No.');
        },
      });
      await assert.rejects(exchange(), (error: unknown) => {
        assert.ok(error instanceof CredentialError);
        assert.match(
          error.message,
          /^No\. .*https:\/\/issuer\.example.*system:serviceaccount:shop:orders.*sts\.amazon/,
        );
        assert.ok(!error.message.includes(api.token));
        return true;
      });
    });
  }
});
