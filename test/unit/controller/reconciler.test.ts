// The wake-ups that a reconcile asks for: none is lost, whatever the API server answers, and none comes at once for ever.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Condition, PartialObjectMetadata } from '../../../src/api/meta.ts';
import type { WorkloadCredential } from '../../../src/api/types.gen.ts';
import type { Exchanger } from '../../../src/controller/exchanger.ts';
import { CredentialIndex } from '../../../src/controller/mappers.ts';
import { Observer } from '../../../src/controller/observe.ts';
import { Reconciler } from '../../../src/controller/reconciler.ts';
import { SecretWriter } from '../../../src/controller/secret-writer.ts';
import { CredentialError } from '../../../src/credential/errors.ts';
import { WriteMarks } from '../../../src/kube/writes.ts';
import {
  aCredential,
  aFailedStatus,
  anIssued,
  aSecret,
  aServiceAccount,
  aStatus,
  DOMAINS,
  HOUR,
  MINUTE,
  PARTS,
  ROLE_ARN,
  SECOND,
  SETTINGS,
  T0,
} from '../../support/builders.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeKubeApi, kubeError } from '../../support/fake-kube-api.ts';

const KEY = 'shop/orders';
const STATUS = 'patch workloadcredentials/status';
const NEWEST = '999999';

/** A reconciler whose caches always have what the API server has, unless a test gives a cached resource. */
function bench(cachedCredential?: WorkloadCredential) {
  const api = new FakeKubeApi();
  const clock = new FakeClock(T0 + MINUTE);
  let exchanges = 0;
  let limitedForMs: number | undefined;
  let failure: Error | undefined;
  let account: PartialObjectMetadata | undefined = aServiceAccount();
  const warnings: string[] = [];
  const exchanger = {
    refusedForMs: () => limitedForMs,
    exchange: () => {
      if (limitedForMs !== undefined) return Promise.resolve({ granted: false, retryAfterMs: limitedForMs });
      exchanges += 1;
      if (failure !== undefined) return Promise.reject(failure);
      const issueTimeMs = clock.now();
      const credential = anIssued({
        accessKeyID: `${PARTS.accessKeyID}${exchanges}`,
        issueTimeMs,
        expirationTimeMs: issueTimeMs + HOUR,
      });
      const claims = { issuer: '', subject: '', audiences: [], tokenID: undefined, serviceAccountUID: undefined };
      return Promise.resolve({ granted: true, credential, claims });
    },
  } as unknown as Exchanger;
  const warn = (message: string): void => {
    warnings.push(message);
  };
  const log = { debug: () => undefined, info: () => undefined, warn, error: () => undefined };
  const now = (): number => clock.now();
  const assertLeading = (): void => undefined;
  const caches = {
    credentials: { get: () => cachedCredential ?? api.credential, resourceVersion: () => NEWEST },
    secrets: { get: () => api.secret, resourceVersion: () => NEWEST },
    serviceAccounts: { get: () => account, resourceVersion: () => NEWEST },
  };
  const reconciler = new Reconciler({
    api,
    caches,
    observer: new Observer({
      caches,
      index: new CredentialIndex(),
      api,
      allowedMetadataDomains: DOMAINS,
      checkEndpoint: () => undefined,
    }),
    exchanger,
    writer: new SecretWriter({ api, assertLeading, now }),
    marks: new WriteMarks(clock),
    record: () => undefined,
    clock,
    settings: SETTINGS,
    log,
    assertLeading,
  });
  const reconcile = async (): Promise<number | undefined> =>
    (await reconciler.reconcile(KEY, new AbortController().signal)).requeueAfterMs;
  const limit = (forMs: number | undefined): void => {
    limitedForMs = forMs;
  };
  const failExchanges = (error: Error | undefined): void => {
    failure = error;
  };
  const cacheServiceAccount = (cached: PartialObjectMetadata | undefined): void => {
    account = cached;
  };
  return {
    api,
    clock,
    reconciler,
    reconcile,
    limit,
    failExchanges,
    cacheServiceAccount,
    warnings,
    exchanges: () => exchanges,
  };
}

/** The operator's Secret of T0 is in the API server, and status knows it. */
function settled(api: FakeKubeApi): void {
  const { uid = '', resourceVersion = '' } = api.put(aSecret()).metadata;
  api.credential = aCredential({ status: aStatus({ secret: { name: 'orders', uid, resourceVersion } }) });
}

function damage(api: FakeKubeApi): void {
  assert.ok(api.secret !== undefined);
  api.put({ ...api.secret, data: { 'credentials.json': 'e30=' } });
}

describe('a Secret that somebody keeps damaging', () => {
  test('is looked at a few times, and not without a pause, until its next credential', async () => {
    const { api, clock, reconcile, exchanges } = bench();
    settled(api);
    let looks = 0;
    for (let round = 0; round < 4; round += 1) {
      damage(api);
      const before = exchanges();
      for (looks = 0; exchanges() === before; looks += 1) {
        assert.ok(looks < 20, `${looks} looks in round ${round}, ${exchanges()} exchanges`);
        const afterMs = await reconcile();
        if (exchanges() > before) break;
        assert.ok(afterMs !== undefined && afterMs > SECOND, `round ${round}: again after ${afterMs} ms`);
        await clock.advance(afterMs);
      }
    }
    assert.equal(exchanges(), 4);
  });
});

describe('a Secret whose labels another controller keeps taking away', () => {
  test('is repaired at once, then a few times a minute, and in the end it is as it has to be', async () => {
    const { api, clock, reconcile } = bench();
    settled(api);
    const repairs = (): number => api.log.filter((operation) => operation === 'patch secrets').length;
    const strip = (): void => {
      assert.ok(api.secret !== undefined);
      const { labels: _gone, ...metadata } = api.secret.metadata;
      api.put({ ...api.secret, metadata: { ...metadata, labels: { 'workloadcredentials.io/name': 'orders' } } });
    };
    strip();
    await reconcile();
    assert.equal(repairs(), 1);
    for (let second = 0; second < 60; second += 1) {
      strip();
      await reconcile();
      await clock.advance(SECOND);
    }
    assert.ok(repairs() >= 3 && repairs() <= 8, `${repairs()} repairs in a minute`);
    await reconcile();
    strip();
    const afterMs = await reconcile();
    assert.ok(afterMs !== undefined && afterMs <= 15 * SECOND);
    await clock.advance(afterMs);
    await reconcile();
    assert.equal(api.secret?.metadata.labels?.['velero.io/exclude-from-backup'], 'true');
  });
});

describe('the watch tells of our own writes before their answers are there', () => {
  const tellWhile = async (resourceVersion: (api: FakeKubeApi) => string | undefined): Promise<number | undefined> => {
    const { api, reconciler, reconcile } = bench();
    api.credential = aCredential();
    const working = reconcile();
    // The status is written last; by then the Secret's answer is there, and the status' is not.
    let told = false;
    while (!told && !api.log.includes(STATUS)) {
      await Promise.resolve();
      const { secret } = api;
      if (secret !== undefined) {
        const metadata = { ...secret.metadata, resourceVersion: resourceVersion(api) ?? '' };
        assert.equal(reconciler.isEcho('secrets', KEY, { metadata }), true, 'nobody is woken meanwhile');
        told = true;
      }
    }
    assert.ok(told);
    return await working;
  };

  test('and the key is not worked on again for it', async () => {
    const afterMs = await tellWhile(({ secret }) => secret?.metadata.resourceVersion);
    assert.ok(afterMs !== undefined && afterMs > SECOND, `again after ${afterMs} ms`);
  });

  test("and somebody else's change among them is looked at at once", async () => {
    assert.equal(await tellWhile(() => '777777'), 0);
  });
});

describe('a resource without a Secret, while the endpoint has no room', () => {
  test('waits for its turn with one status and no look, and looks when it has come', async () => {
    const { api, clock, reconcile, limit, exchanges } = bench();
    api.credential = aCredential();
    limit(7 * SECOND);
    assert.equal(await reconcile(), 7 * SECOND);
    assert.deepEqual(api.log, [STATUS]);
    await clock.advance(7 * SECOND);
    limit(3 * SECOND);
    assert.equal(await reconcile(), 3 * SECOND);
    assert.deepEqual(api.log, [STATUS]);
    await clock.advance(3 * SECOND);
    limit(undefined);
    await reconcile();
    assert.equal(exchanges(), 1);
    assert.deepEqual(api.log.slice(1, 3), ['get workloadcredentials', 'get secrets metadata']);
  });

  test('has its edit tried in its turn, whatever was refused before it, and says meanwhile that it waits', async () => {
    const { api, clock, reconcile, limit, exchanges } = bench();
    const refused = aFailedStatus('AccessDenied', { count: 9, timeMs: T0 + MINUTE });
    api.credential = aCredential({ generation: 2, status: refused });
    for (const waitMs of [7 * SECOND, 3 * SECOND]) {
      limit(waitMs);
      assert.equal(await reconcile(), waitMs);
      const status: WorkloadCredential['status'] = api.credential.status;
      const conditions: readonly Condition[] = status?.conditions ?? [];
      const [ready, reconciling, ...others] = conditions;
      assert.deepEqual([ready?.reason, reconciling?.reason, others], ['Pending', 'Pending', []]);
      assert.match(ready?.message ?? '', /waits for its turn/);
      assert.equal(status?.consecutiveFailures, 9);
      await clock.advance(waitMs);
    }
    assert.deepEqual(api.log, [STATUS]);
    limit(undefined);
    await reconcile();
    assert.equal(exchanges(), 1);
    assert.equal(api.credential.status?.conditions?.[0]?.reason, 'Issued');
  });
});

describe('a failure that status could not be told', () => {
  const DENIED = new CredentialError('AccessDenied', 'STS refuses the role.');

  /** A credential that is due is refused, and status answers 503 to that. */
  async function untold(error: CredentialError = DENIED) {
    const made = bench();
    settled(made.api);
    await made.clock.advance(45 * MINUTE);
    made.failExchanges(error);
    const outage = (): void => {
      made.api.next(STATUS, 'before', () => {
        throw kubeError(503, STATUS);
      });
    };
    outage();
    const failedAtMs = made.clock.now();
    await made.clock.advance((await made.reconcile()) ?? Infinity);
    assert.equal(made.exchanges(), 1);
    const edit = (change: object): void => {
      made.api.credential = aCredential({ ...change, status: made.api.credential?.status });
    };
    return { ...made, failedAtMs, edit, outage };
  }
  const EDIT = { generation: 2, spec: { aws: { roleARN: `${ROLE_ARN}-2`, region: 'eu-west-1' } } };
  const REQUEST = { annotations: { 'workloadcredentials.io/refresh-requested': 'now' } };

  test('is told as soon as it can be, with its own time, once, and waited for as any other', async () => {
    const { api, clock, reconcile, exchanges, warnings, failedAtMs, outage } = await untold();
    outage();
    await clock.advance((await reconcile()) ?? Infinity);
    const afterMs = (await reconcile()) ?? Infinity;
    const { lastFailure, consecutiveFailures, conditions } = api.credential?.status ?? {};
    assert.deepEqual([lastFailure?.reason, consecutiveFailures], ['AccessDenied', 1]);
    assert.ok(Math.abs(Date.parse(lastFailure?.time ?? '') - failedAtMs) < SECOND, lastFailure?.time);
    assert.equal(conditions?.find(({ type }) => type === 'Refreshed')?.reason, 'AccessDenied');
    const sinceMs = clock.now() + afterMs - failedAtMs;
    assert.ok(sinceMs >= MINUTE && sinceMs <= MINUTE + SECOND, `tried again after ${sinceMs} ms`);
    const patches = api.log.length;
    await reconcile();
    assert.equal(api.log.length, patches);
    assert.equal(warnings.filter((message) => message === 'an attempt failed').length, 1);
    assert.equal(exchanges(), 1);
  });

  test('is not told of another spec, which waits for it all the same, and is then tried', async () => {
    const { api, clock, reconcile, exchanges, failExchanges, edit } = await untold();
    edit(EDIT);
    failExchanges(undefined);
    const afterMs = (await reconcile()) ?? Infinity;
    const { lastFailure, conditions } = api.credential?.status ?? {};
    assert.deepEqual([lastFailure, exchanges()], [undefined, 1]);
    assert.match(conditions?.[0]?.message ?? '', /waits, since an attempt has failed/);
    await clock.advance(afterMs);
    await reconcile();
    assert.equal(exchanges(), 2);
    assert.equal(api.credential?.status?.conditions?.[0]?.reason, 'Issued');
  });

  test('is told once, also where the status was written and only the answer was lost', async () => {
    const made = await untold();
    const lose = (): void => {
      made.api.next(STATUS, 'after', () => {
        throw kubeError(503, STATUS);
      });
    };
    lose();
    await made.clock.advance((await made.reconcile()) ?? Infinity);
    for (let looks = 0; looks < 3; looks += 1) {
      const afterMs = (await made.reconcile()) ?? Infinity;
      assert.ok(made.clock.now() + afterMs - made.failedAtMs <= 2 * MINUTE, `again after ${afterMs} ms`);
      assert.deepEqual([made.api.credential?.status?.consecutiveFailures, made.exchanges()], [1, 1]);
      await made.clock.advance(SECOND);
    }
    assert.equal(made.api.pending, 0);
  });

  test('is told once, also where the first status was written and only its answer was lost', async () => {
    const { api, clock, reconcile, failExchanges, exchanges } = bench();
    settled(api);
    await clock.advance(45 * MINUTE);
    failExchanges(DENIED);
    api.next(STATUS, 'after', () => {
      throw kubeError(503, STATUS);
    });
    for (let looks = 0; looks < 3; looks += 1) {
      await clock.advance(Math.min((await reconcile()) ?? Infinity, 10 * SECOND));
      assert.deepEqual([api.credential?.status?.consecutiveFailures, exchanges()], [1, 1]);
    }
    assert.equal(api.pending, 0);
  });

  test('is not asked for again and again by edits, while status cannot be written', async () => {
    const { api, clock, reconcile, exchanges, edit, outage } = await untold();
    for (let generation = 2; generation <= 11; generation += 1) {
      edit({ ...EDIT, generation, annotations: { 'workloadcredentials.io/refresh-requested': `${generation}` } });
      outage();
      await reconcile();
      await clock.advance(SECOND);
    }
    assert.equal(exchanges(), 1);
    assert.equal(api.pending, 0);
  });

  test('is forgotten with its wait, when a refusal of ours came after it and was put right', async () => {
    const { reconcile, exchanges, failExchanges, cacheServiceAccount, outage } = await untold();
    failExchanges(undefined);
    cacheServiceAccount(aServiceAccount(''));
    outage();
    await reconcile();
    cacheServiceAccount(aServiceAccount());
    await reconcile();
    assert.equal(exchanges(), 2);
  });

  test('is not told of a credential that was issued since', async () => {
    const { api, clock, reconcile, reconciler, exchanges, failExchanges, edit, outage } = await untold();
    failExchanges(undefined);
    await clock.advance(2 * MINUTE);
    outage();
    await reconcile();
    assert.equal(exchanges(), 2);
    edit(REQUEST);
    await reconcile();
    edit({ annotations: { 'workloadcredentials.io/refresh-requested': 'again' } });
    await reconcile();
    assert.deepEqual([api.credential?.status?.lastFailure, exchanges()], [undefined, 3]);
    await clock.advance(MINUTE);
    await reconcile();
    assert.equal(exchanges(), 4);
    await clock.advance(MINUTE);
    await reconcile();
    assert.equal(reconciler.memorySize, 1, 'the time of the last forced exchange');
  });

  test('is not told of a forced refresh that waits for its distance from a successful one', async () => {
    const { api, clock, reconcile, exchanges, failExchanges, edit, outage } = await untold();
    failExchanges(undefined);
    await clock.advance(2 * MINUTE);
    edit(REQUEST);
    outage();
    await reconcile();
    edit({ annotations: { 'workloadcredentials.io/refresh-requested': 'again' } });
    await reconcile();
    assert.deepEqual([api.credential?.status?.lastFailure, exchanges()], [undefined, 2]);
    assert.equal(api.pending, 0);
  });

  test('of a token that was refused again and again does not have it asked sooner, once status can be written', async () => {
    const { api, clock, reconcile, exchanges, failExchanges } = bench();
    settled(api);
    await clock.advance(45 * MINUTE);
    failExchanges(kubeError(403, 'create serviceaccounts/token'));
    for (let afterMs = 0; exchanges() < 12; ) {
      await clock.advance(afterMs);
      if (api.pending === 0) {
        api.next(STATUS, 'before', () => {
          throw kubeError(403, STATUS);
        });
      }
      afterMs = (await reconcile()) ?? MINUTE;
    }
    assert.equal(api.pending, 0);
    const lastMs = clock.now();
    for (let afterMs = 3 * SECOND; exchanges() === 12; afterMs = (await reconcile()) ?? MINUTE) {
      await clock.advance(afterMs);
    }
    const sinceMs = clock.now() - lastMs;
    assert.ok(sinceMs >= 40 * SECOND && sinceMs <= 2 * MINUTE, `asked again after ${sinceMs} ms`);
    assert.equal(api.credential?.status?.lastFailure?.reason, 'TokenRequestDenied');
  });

  test('does not answer a refresh that was asked for since', async () => {
    const { api, reconcile, edit } = await untold();
    edit(REQUEST);
    await reconcile();
    assert.equal(api.credential?.status?.lastFailure?.reason, 'AccessDenied');
    assert.equal(api.credential.status.lastHandledRefreshRequest, undefined);
  });

  test('and came with a wait holds up another spec as well', async () => {
    const { api, reconcile, exchanges, edit } = await untold(
      new CredentialError('STSThrottled', 'STS asks to wait.', { retryAfterSeconds: 120 }),
    );
    edit(EDIT);
    await reconcile();
    assert.equal(exchanges(), 1);
    assert.match(
      api.credential?.status?.conditions?.[0]?.message ?? '',
      /as long as STS, or the API server, has asked/,
    );
  });

  test('leaves a wait that was asked for alone where it was a refusal of ours', async () => {
    const { api, clock, reconcile, exchanges, failExchanges, cacheServiceAccount, outage } = await untold(
      new CredentialError('STSThrottled', 'STS asks to wait.', { retryAfterSeconds: 120 }),
    );
    await reconcile();
    cacheServiceAccount(aServiceAccount(''));
    outage();
    await reconcile();
    cacheServiceAccount(aServiceAccount());
    failExchanges(undefined);
    await clock.advance(10 * SECOND);
    await reconcile();
    assert.equal(exchanges(), 1);
    assert.equal(api.pending, 0);
  });
});

describe('a Secret that drifts while something refuses its exchange', () => {
  const drift = (api: FakeKubeApi): void => {
    assert.ok(api.secret !== undefined);
    api.put({ ...api.secret, metadata: { ...api.secret.metadata, labels: {} } });
  };

  test('is repaired, and what refuses is told at once, and counted and logged once', async () => {
    const { api, clock, reconcile, cacheServiceAccount, warnings, exchanges } = bench();
    settled(api);
    cacheServiceAccount(aServiceAccount(''));
    for (let times = 1; times <= 3; times += 1) {
      drift(api);
      await reconcile();
      assert.notDeepEqual(api.secret?.metadata.labels, {});
      const { conditions, consecutiveFailures } = api.credential?.status ?? {};
      assert.deepEqual([conditions?.[0]?.reason, consecutiveFailures], ['RefreshFailing', 1]);
      await clock.advance(15 * SECOND);
    }
    assert.deepEqual([warnings, exchanges()], [['an attempt failed'], 0]);
  });

  test('has the API server asked before a missing ServiceAccount is told', async () => {
    const { api, reconcile, cacheServiceAccount } = bench();
    settled(api);
    cacheServiceAccount(undefined);
    drift(api);
    await reconcile();
    assert.ok(api.log.includes('get serviceaccounts'), api.log.join(', '));
    assert.notEqual(api.credential?.status?.lastFailure?.reason, 'ServiceAccountNotFound');
  });
});

describe('a key whose resource is in the cache', () => {
  test('is looked at again after a GET of the resource said that there is none', async () => {
    const { api, reconcile } = bench(aCredential());
    assert.ok(((await reconcile()) ?? Infinity) <= 10 * MINUTE);
    assert.ok(api.log.includes('get workloadcredentials'));
  });

  test('is looked at again after its status could not be written because there is no such resource', async () => {
    const { api, reconcile } = bench();
    api.credential = aCredential();
    api.next(STATUS, 'before', () => {
      throw kubeError(404, STATUS);
    });
    assert.ok(((await reconcile()) ?? Infinity) <= 10 * MINUTE);
    assert.equal(api.pending, 0);
  });
});

describe('a status that may not be written', () => {
  const refuse = (api: FakeKubeApi): void => {
    api.next(STATUS, 'before', () => {
      throw kubeError(403, STATUS);
    });
  };

  test('is tried again after 5 s, as an API server that starts refuses for a moment only, then each minute', async () => {
    const { api, clock, reconcile, reconciler, exchanges } = bench();
    api.credential = aCredential();
    const waits: (number | undefined)[] = [];
    for (let refusals = 0; refusals < 6; refusals += 1) {
      refuse(api);
      const afterMs = await reconcile();
      waits.push((afterMs ?? 0) / SECOND);
      await clock.advance(afterMs ?? 0);
    }
    assert.deepEqual(waits, [5, 10, 20, 40, 60, 60]);
    assert.equal(reconciler.memorySize, 1);
    await reconcile();
    assert.equal(reconciler.memorySize, 0);
    assert.equal(api.credential.status?.conditions?.[0]?.reason, 'Issued');
    assert.equal(exchanges(), 1, 'for the sake of a status nothing is exchanged');
  });

  test('neither hurries nor holds up the attempt that failed with it, and tells of it when it may be written', async () => {
    const { api, clock, reconcile, exchanges, failExchanges } = bench();
    settled(api);
    const before = api.credential?.status;
    api.credential = aCredential({ status: { ...before, ...aFailedStatus('STSUnavailable', { count: 7 }) } });
    await clock.advance(45 * MINUTE);
    failExchanges(kubeError(403, 'create serviceaccounts/token'));
    const attemptsAtMs: number[] = [];
    let isRefused = true;
    const startMs = clock.now();
    while (clock.now() < startMs + 10 * MINUTE) {
      const seen = exchanges();
      const calls = api.log.length;
      if (api.pending === 0) {
        api.next(STATUS, 'before', () => {
          if (isRefused) throw kubeError(403, STATUS);
        });
      }
      const afterMs = (await reconcile()) ?? 0;
      if (exchanges() > seen) attemptsAtMs.push(clock.now());
      assert.ok(afterMs > 0, `again after ${afterMs} ms`);
      assert.ok(api.log.length - calls <= 4);
      await clock.advance(afterMs);
    }
    const waits = attemptsAtMs.slice(1).map((atMs, index) => (atMs - (attemptsAtMs[index] ?? 0)) / SECOND);
    for (const [index, seconds] of [5, 10, 20, 40].entries()) {
      const wait = waits[index] ?? 0;
      assert.ok(wait >= seconds / 2 && wait <= seconds + 1, `wait ${index} is ${wait} s`);
    }
    assert.ok(waits.length >= 6 && waits.slice(4).every((wait) => wait >= 29 && wait <= 61), waits.join(', '));
    isRefused = false;
    await reconcile();
    const status = api.credential.status;
    const told = status?.failuresByClass;
    assert.equal(told?.forbidden, 1, 'status tells of the one that it can be told of');
    assert.equal(told?.transient, 7);
    assert.equal(status?.lastFailure?.reason, 'TokenRequestDenied');
    assert.equal(status?.consecutiveFailures, 8);
    const afterMs = (await reconcile()) ?? Infinity;
    assert.ok(afterMs <= 5 * SECOND, `a status that is taken has it asked again after ${afterMs} ms`);
  });

  test('is tried again as after a first refusal, however long the API server was out before it', async () => {
    const { api, clock, reconcile, failExchanges } = bench();
    settled(api);
    await clock.advance(45 * MINUTE);
    for (const status of [0, 403]) {
      failExchanges(kubeError(status, 'create serviceaccounts/token'));
      for (let tries = 0; tries < (status === 0 ? 20 : 1); tries += 1) {
        if (api.pending === 0) {
          api.next(STATUS, 'before', () => {
            throw kubeError(status, STATUS);
          });
        }
        const afterMs = (await reconcile()) ?? Infinity;
        assert.ok(afterMs > 0 && afterMs <= 5 * SECOND, `again after ${afterMs} ms`);
        await clock.advance(afterMs);
      }
    }
  });

  test('has a refused token asked for more and more slowly, also where it is an error of the API server', async () => {
    const { api, clock, reconcile, exchanges, failExchanges } = bench();
    settled(api);
    await clock.advance(45 * MINUTE);
    failExchanges(kubeError(403, 'create serviceaccounts/token'));
    const startMs = clock.now();
    while (clock.now() < startMs + 10 * MINUTE) {
      if (api.pending === 0) {
        api.next(STATUS, 'before', () => {
          throw kubeError(500, STATUS);
        });
      }
      await clock.advance((await reconcile()) ?? MINUTE);
    }
    assert.ok(exchanges() >= 10 && exchanges() <= 22, `${exchanges()} in 10 min`);
  });

  for (const [what, change] of [
    ['a refresh that was asked for', { annotations: { 'workloadcredentials.io/refresh-requested': 'now' } }],
    ['another spec', { generation: 2, spec: { aws: { roleARN: `${ROLE_ARN}-2`, region: 'eu-west-1' } } }],
  ] as const) {
    test(`does not have ${what} wait as if it had been made, when no token was to be had`, async () => {
      const { api, clock, reconcile, exchanges, failExchanges } = bench();
      settled(api);
      api.credential = aCredential({ ...change, status: api.credential?.status });
      failExchanges(kubeError(403, 'create serviceaccounts/token'));
      refuse(api);
      const afterMs = (await reconcile()) ?? Infinity;
      assert.equal(exchanges(), 1);
      assert.ok(afterMs <= 5 * SECOND, `again after ${afterMs} ms`);
      await clock.advance(afterMs);
      failExchanges(undefined);
      await reconcile();
      assert.equal(exchanges(), 2);
      assert.equal(api.credential.status?.conditions?.find(({ type }) => type === 'Refreshed')?.status, 'True');
    });
  }

  test('does not keep the key away for as long as an answer asks for, which may be beyond the credential', async () => {
    const { api, reconcile } = bench();
    api.credential = aCredential();
    api.next(STATUS, 'before', () => {
      throw kubeError(429, STATUS, 24 * 60 * 60);
    });
    assert.equal(await reconcile(), 10 * MINUTE);
  });
});

describe('a credential whose write had no answer, but was made', () => {
  test('does not stay in memory once it is found in the Secret', async () => {
    const { api, reconcile, reconciler, clock, exchanges } = bench();
    api.credential = aCredential();
    api.next('create secrets', 'after', () => {
      throw kubeError(0, 'create secrets');
    });
    await reconcile();
    assert.equal(reconciler.memorySize, 1);
    await clock.advance(MINUTE);
    await reconcile();
    assert.equal(exchanges(), 1);
    assert.equal(reconciler.memorySize, 0);
  });
});

describe('a Secret of somebody else that bears our label', () => {
  test('is not waited for once it goes, also after a restart in the middle of the back-off', async () => {
    const { api, reconcile, exchanges } = bench();
    const { metadata } = api.put({ metadata: { name: 'orders', labels: { 'workloadcredentials.io/name': 'orders' } } });
    assert.ok(metadata.uid !== undefined);
    const failed = aFailedStatus('SecretConflict', { count: 5, timeMs: T0 + MINUTE });
    api.credential = aCredential({ status: failed });
    const afterMs = (await reconcile()) ?? 0;
    assert.ok(afterMs > 5 * MINUTE, `again after ${afterMs} ms`);
    assert.deepEqual(api.log, [STATUS], 'it is not looked at again');
    api.secret = undefined;
    await reconcile();
    assert.equal(exchanges(), 1);
  });
});
