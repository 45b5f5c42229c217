// What acting on a plan may never do: replace a credential by a shorter one, lose one that was issued, or exchange again
// for what is in hand.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Secret } from '../../../src/api/meta.ts';
import { type Acted, Actor } from '../../../src/controller/actor.ts';
import type { Exchanger } from '../../../src/controller/exchanger.ts';
import { KeyMemories } from '../../../src/controller/memories.ts';
import { SecretWriter } from '../../../src/controller/secret-writer.ts';
import type { Credential } from '../../../src/credential/credentials.ts';
import { notedData } from '../../../src/credential/adoption.ts';
import { CredentialError } from '../../../src/credential/errors.ts';
import { contentHash } from '../../../src/credential/hashes.ts';
import type { KeyMemory, Observed } from '../../../src/credential/observed.ts';
import { type IssueCause, plan, type Plan } from '../../../src/credential/plan.ts';
import { WriteMarks } from '../../../src/kube/writes.ts';
import {
  anAdopted,
  anIssued,
  anObserved,
  anOffered,
  aSecret,
  aServiceAccount,
  cached,
  HOUR,
  live,
  MINUTE,
  SECOND,
  SETTINGS,
  T0,
  UID,
  withAnnotations,
  withMetadata,
} from '../../support/builders.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeKubeApi, kubeError } from '../../support/fake-kube-api.ts';

const KEY = 'shop/orders';
const NOW = T0 + 40 * MINUTE;

function bench(issued: Credential = anIssued({ issueTimeMs: NOW, expirationTimeMs: NOW + HOUR })) {
  const api = new FakeKubeApi();
  const clock = new FakeClock(NOW);
  const memories = new KeyMemories();
  let exchanges = 0;
  let isLimited = false;
  const exchanger = {
    exchange: () => {
      if (isLimited) return Promise.resolve({ granted: false, retryAfterMs: SECOND });
      exchanges += 1;
      const claims = { issuer: '', subject: '', audiences: [], tokenID: undefined, serviceAccountUID: undefined };
      return Promise.resolve({ granted: true, credential: issued, claims });
    },
  } as unknown as Exchanger;
  const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
  const actor = new Actor({
    exchanger,
    writer: new SecretWriter({ api, assertLeading: () => undefined, now: () => NOW }),
    marks: new WriteMarks(clock),
    memories,
    clock,
    settings: SETTINGS,
    log,
    onIssued: () => undefined,
  });
  const act = (observed: Observed, decided: Plan): Promise<Acted> => {
    assert.ok(decided.kind !== 'look');
    return actor.act(KEY, observed, decided, { signal: new AbortController().signal });
  };
  const limit = (): void => {
    isLimited = true;
  };
  return { api, memories, act, limit, exchanges: () => exchanges };
}

/** A resource whose credential of T0 is in the API server and in the cache, and the plan to replace it. */
function due(api: FakeKubeApi, cause: IssueCause): { observed: Observed; decided: Plan } {
  const secret = api.put(aSecret());
  const { assessment } = plan(anObserved({ secret: live(secret) }), SETTINGS, T0) as Extract<Plan, { kind: 'repair' }>;
  assert.ok(assessment.live);
  return { observed: anObserved({ secret: cached(secret) }), decided: { kind: 'issue', cause, assessment } };
}

describe('an exchange that gave a credential which ends earlier', () => {
  const shorter = anIssued({ issueTimeMs: NOW, expirationTimeMs: NOW + 15 * MINUTE });

  test('is a failure, and the longer one stays', async () => {
    const { api, act, memories } = bench(shorter);
    const { observed, decided } = due(api, 'Due');
    const before = api.secret;
    await assert.rejects(act(observed, decided), (error: unknown) => {
      assert.ok(error instanceof CredentialError);
      assert.match(error.message, /ends at 2026-11-22T12:55:00Z, before .* \(2026-11-22T13:00:00Z\)/);
      return error.code === 'InvalidResponse';
    });
    assert.equal(api.secret, before);
    assert.deepEqual(api.log, []);
    assert.deepEqual(memories.of(KEY, UID), {});
  });

  test('is written all the same when a refresh was asked for', async () => {
    const { api, act } = bench(shorter);
    const { observed, decided } = due(api, 'Requested');
    assert.equal((await act(observed, decided)).outcome.kind, 'issued');
    const annotation = 'workloadcredentials.io/expiration-time';
    assert.equal(api.secret?.metadata.annotations?.[annotation], '2026-11-22T12:55:00Z');
  });
});

test('an exchange for which the limiter has no room waits for its turn', async () => {
  const { api, act, limit } = bench();
  const { observed, decided } = due(api, 'Due');
  limit();
  const { outcome, wakeAtMs } = await act(observed, decided);
  assert.deepEqual([outcome, wakeAtMs], [{ kind: 'waiting', waitsFor: 'Turn' }, NOW + SECOND]);
  assert.deepEqual(api.log, []);
});

test('what refuses an exchange is told at once, though the Secret is repaired', async () => {
  const { api, act, exchanges } = bench();
  const secret = api.put(withMetadata(aSecret(), { labels: {} }));
  const observed = anObserved({ secret: live(secret), serviceAccount: aServiceAccount('') });
  const { outcome, secretRef } = await act(observed, plan(observed, SETTINGS, NOW));
  assert.ok(outcome.kind === 'failed' && outcome.error.code === 'ServiceAccountNotAllowed', JSON.stringify(outcome));
  assert.deepEqual([api.log, exchanges()], [['patch secrets'], 0]);
  assert.equal(secretRef?.uid, secret.metadata.uid);
  assert.equal(api.secret?.metadata.labels?.['workloadcredentials.io/name'], 'orders');
});

describe('a credential that could not be written', () => {
  test('is held, and written by the next try without an exchange', async () => {
    const { api, act, memories, exchanges } = bench();
    const { observed, decided } = due(api, 'Due');
    api.next('patch secrets', 'before', () => {
      throw kubeError(503, 'patch secrets');
    });
    await assert.rejects(act(observed, decided), /503/);
    const memory = memories.of(KEY, UID);
    assert.ok(memory.held !== undefined);
    assert.ok(decided.kind === 'issue');
    const acted = await act({ ...observed, memory }, { kind: 'write', assessment: decided.assessment });
    assert.equal(acted.outcome.kind, 'issued');
    assert.equal(exchanges(), 1);
    assert.equal(memories.of(KEY, UID).held, undefined);
    assert.equal(memories.size, 0);
  });

  test('is not remembered for another resource of that name', async () => {
    const { memories } = bench();
    memories.remember(KEY, UID, { retryNotBefore: { timeMs: 1, isAskedFor: true } });
    assert.deepEqual(memories.of(KEY, 'another'), {});
    memories.forget(KEY);
    assert.equal(memories.size, 0);
  });
});

describe('a repair of a Secret that was handed over', () => {
  /** What happens to an adopted Secret at its next look; its notes are forged where a test says so. */
  async function repaired(
    forge: (secret: Secret) => Secret,
    memory: KeyMemory = {},
    serviceAccount = aServiceAccount(),
  ) {
    const { api, act, memories, exchanges } = bench();
    memories.remember(KEY, UID, memory);
    const secret = forge(api.put(anAdopted({ issueTimeMs: NOW - MINUTE })));
    const observed = anObserved({ secret: live(secret), memory, serviceAccount });
    api.secret = secret;
    const decided = plan(observed, SETTINGS, NOW);
    assert.equal(decided.kind, 'repair');
    return { api, acted: await act(observed, decided), exchanges: exchanges() };
  }

  /** A note of some keys, with a hash that covers them: whoever can read the Secret and annotate it can write it. */
  const noting =
    (...keys: string[]) =>
    (secret: Secret): Secret => {
      const noted = withAnnotations(secret, { 'workloadcredentials.io/data-keys': keys.join(',') });
      const annotations = secret.metadata.annotations ?? {};
      const hash = contentHash({
        data: notedData(noted),
        issueTime: annotations['workloadcredentials.io/issue-time'] ?? '',
        expirationTime: annotations['workloadcredentials.io/expiration-time'] ?? '',
        requestHash: annotations['workloadcredentials.io/request-hash'] ?? '',
      });
      return withAnnotations(noted, { 'workloadcredentials.io/content-hash': hash });
    };

  test('writes nothing where nothing of ours differs', async () => {
    const { api, acted, exchanges } = await repaired((secret) => ({
      ...secret,
      data: { ...secret.data, more: 'eA==' },
    }));
    assert.equal(acted.outcome.kind, 'settled');
    assert.deepEqual([api.log, exchanges], [[], 0]);
  });

  test('writes every key of ours again where the note leaves one out, without an exchange', async () => {
    const damage = (secret: Secret): Secret => ({ ...secret, data: { ...secret.data, config: 'eA==' } });
    const { api, exchanges } = await repaired((secret) => noting('credentials.json')(damage(secret)));
    assert.deepEqual([api.log, exchanges], [['patch secrets'], 0]);
    assert.match(Buffer.from(api.secret?.data?.['config'] ?? '', 'base64').toString(), /credential_process/);
    assert.equal(api.secret?.data?.['theirs'], anOffered().data?.['theirs']);
  });

  test('makes an exchange where the note names only what is no credential, and not another at once', async () => {
    const first = await repaired(noting('theirs'));
    assert.deepEqual([first.acted.outcome.kind, first.exchanges], ['issued', 1]);
    const second = await repaired(noting('theirs'), { forced: { lastTimeMs: NOW - SECOND, waits: false } });
    assert.deepEqual([second.acted.outcome, second.exchanges], [{ kind: 'waiting', waitsFor: 'Distance' }, 0]);
    const { acted, exchanges } = await repaired(noting('theirs'), {}, aServiceAccount(''));
    assert.ok(acted.outcome.kind === 'failed' && acted.outcome.error.code === 'ServiceAccountNotAllowed');
    assert.equal(exchanges, 0);
  });
});

test('a plan that asks for what was not observed is a mistake of ours, and is thrown as one', async () => {
  const { api, act } = bench();
  const { observed, decided } = due(api, 'Due');
  await assert.rejects(act({ ...observed, resolved: undefined }, decided), TypeError);
});
