// The probe of the chart's fences: what each answer of the API server says, where it is tried, and how often; the sentences
// by which it knows a fence are the chart's.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { ObjectKey, PartialObjectMetadata } from '../../../src/api/meta.ts';
import {
  FENCE_SENTENCES,
  FENCES,
  FenceProbe,
  findingOf,
  probedServiceAccounts,
  type Fence,
  type FenceFinding,
} from '../../../src/controller/fence-probe.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import { aCredential } from '../../support/builders.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { captureLog } from '../../support/scripted-server.ts';

const [TOKENS = '', TOKENS_PROTECTED = ''] = FENCE_SENTENCES.tokens;
const [SECRETS = '', SECRETS_PROTECTED = ''] = FENCE_SENTENCES.secrets;

/** A refusal as the API server sends it: an admission policy's words are the message of a cause without a reason. */
function refusal(status: number, reason: string, ...sentences: readonly string[]): KubeError {
  const policy = "ValidatingAdmissionPolicy 'wc-x.wc-system' with binding 'wc-x.wc-system' denied request: ";
  const causes = sentences.map((sentence) => ({ reason: '', field: '', message: `${policy}${sentence}` }));
  return new KubeError({ kind: 'status', status, reason, causes, operation: 'create', detail: sentences.join(' ') });
}

/** The sentence without the policy's name around it, as any webhook may say it. */
const QUOTED = new KubeError({
  kind: 'status',
  status: 403,
  reason: 'Forbidden',
  causes: [{ reason: '', field: '', message: TOKENS }],
  operation: 'create',
  detail: '',
});

const NO_ANSWER = new KubeError({
  kind: 'network',
  status: 0,
  reason: 'ECONNREFUSED',
  operation: 'create',
  detail: '',
});
const UNBINDABLE = new KubeError({
  kind: 'status',
  status: 400,
  reason: 'BadRequest',
  operation: 'create',
  detail: 'cannot bind token to object of type workloadcredentials.io/v1alpha1, Kind=WorkloadCredential',
});

describe('what an answer says of a fence', () => {
  const CASES: readonly (readonly [name: string, fence: Fence, error: unknown, finding: string])[] = [
    ['the fence on tokens refused', 'tokens', refusal(403, 'Forbidden', TOKENS), 'inForce'],
    ['the fence on Secrets refused', 'secrets', refusal(403, 'Forbidden', SECRETS), 'inForce'],
    ['another sentence of the same policy', 'secrets', refusal(403, 'Forbidden', 'no Secret here'), 'unknown'],
    [
      'a Secret of that name is there, which only who got past the fence can learn',
      'secrets',
      refusal(409, 'AlreadyExists'),
      'missing',
    ],
    ['a webhook refused the token by the same status', 'tokens', refusal(400, 'BadRequest'), 'unknown'],
    ['a dry run was taken', 'secrets', undefined, 'missing'],
    ['a token was minted, which no API server does', 'tokens', undefined, 'missing'],
    ['only the API server itself found that no token is bound to this', 'tokens', UNBINDABLE, 'missing'],
    ['a webhook refused the dry run', 'secrets', refusal(400, 'BadRequest'), 'unknown'],
    ['RBAC refused', 'tokens', refusal(403, 'Forbidden'), 'unknown'],
    ['another policy refused', 'secrets', refusal(403, 'Forbidden', 'no Secrets on Mondays'), 'unknown'],
    [
      'the fence refused it as in a protected namespace',
      'tokens',
      refusal(403, 'Forbidden', TOKENS_PROTECTED),
      'inForce',
    ],
    ['so it did the Secret', 'secrets', refusal(403, 'Forbidden', SECRETS_PROTECTED), 'inForce'],
    ["the other fence's sentence", 'secrets', refusal(403, 'Forbidden', TOKENS), 'unknown'],
    ['somebody else quotes the sentence', 'tokens', QUOTED, 'unknown'],
    ['the sentence with another status', 'tokens', refusal(422, 'Invalid', TOKENS), 'unknown'],
    ['the ServiceAccount is gone', 'tokens', refusal(404, 'NotFound'), 'unknown'],
    ['no answer came', 'secrets', NO_ANSWER, 'unknown'],
    ['something else was thrown', 'secrets', new Error('odd'), 'unknown'],
  ];
  for (const [name, fence, error, finding] of CASES) {
    test(`${name}: ${finding}`, () => {
      assert.equal(findingOf(fence, error), finding);
    });
  }

  test("the chart's policies have the sentences", () => {
    const chart = readFileSync(new URL('../../../helm/templates/_fences.tpl', import.meta.url), 'utf8');
    const messages = [...chart.matchAll(/^ {2}message: (.+)$/gm)].map(([, message]) => message);
    const sentences = FENCES.flatMap((fence) => FENCE_SENTENCES[fence]);
    assert.equal(sentences.length, 4);
    for (const sentence of sentences) assert.ok(messages.includes(sentence), sentence);
  });
});

const account = (namespace: string, name: string): PartialObjectMetadata =>
  ({
    apiVersion: 'meta.k8s.io/v1',
    kind: 'PartialObjectMetadata',
    metadata: { namespace, name },
  }) as PartialObjectMetadata;

function caches(credentials: ReturnType<typeof aCredential>[], accounts: readonly PartialObjectMetadata[]) {
  const byKey = new Map(accounts.map((each) => [`${each.metadata.namespace}/${each.metadata.name}`, each]));
  return {
    credentials: { list: () => credentials },
    serviceAccounts: { get: (key: string) => byKey.get(key), list: () => byKey.values() },
  };
}

const credential = aCredential();
const key: ObjectKey = { namespace: credential.metadata.namespace ?? '', name: credential.spec.serviceAccountName };

const issuedTo = (name: string) => {
  const credential = aCredential();
  const spec = { ...credential.spec, serviceAccountName: name };
  return { ...credential, spec, status: { accessKeyID: 'ASIA' } } as typeof credential;
};

const everywhere = (): boolean => true;

describe('where it is tried', () => {
  const here = (name: string): ObjectKey => ({ namespace: key.namespace, name });

  test('is where tokens were minted, before what tenants only name', () => {
    const accounts = ['a', 'b', key.name].map((name) => account(key.namespace, name));
    const known = caches([credential, issuedTo('b'), issuedTo('a'), issuedTo('b'), issuedTo('gone')], accounts);
    assert.deepEqual(probedServiceAccounts(known, everywhere), [here('b'), here('a')]);
  });

  test('is the ServiceAccount of a credential, before any other', () => {
    const known = caches([credential], [account('a', 'default'), account(key.namespace, key.name)]);
    assert.deepEqual(probedServiceAccounts(known, everywhere), [key]);
  });

  test('is any ServiceAccount when the credential names one that does not exist', () => {
    assert.deepEqual(probedServiceAccounts(caches([credential], [account('a', 'default')]), everywhere), [
      { namespace: 'a', name: 'default' },
    ]);
  });

  test('is nowhere without a ServiceAccount', () => {
    assert.deepEqual(probedServiceAccounts(caches([credential], []), everywhere), []);
  });

  test('is nowhere that RBAC forbids to look', () => {
    const accounts = [account(key.namespace, 'b'), account('a', 'default')];
    const known = caches([credential, issuedTo('b')], accounts);
    assert.deepEqual(
      probedServiceAccounts(known, (namespace) => namespace === 'a'),
      [{ namespace: 'a', name: 'default' }],
    );
  });
});

interface Try {
  readonly what: string;
  readonly atMs: number;
}

/** A probe against answers that the test sets. */
function bench(known = caches([credential], [account(key.namespace, key.name)])) {
  const clock = new FakeClock();
  const log = captureLog();
  const tries: Try[] = [];
  const told: Record<string, FenceFinding> = {};
  const answers: Record<Fence, unknown> = { tokens: UNBINDABLE, secrets: undefined };
  const attempt = async (fence: Fence, what: string): Promise<void> => {
    tries.push({ what, atMs: clock.monotonicMs() - 1_000 });
    await Promise.resolve();
    if (answers[fence] !== undefined) throw answers[fence];
  };
  const api = {
    tryBoundToken: async ({ namespace, name }: ObjectKey, audience: string) =>
      attempt('tokens', `${namespace}/${name} ${audience}`),
    tryForeignSecret: async (namespace: string) => attempt('secrets', namespace),
  };
  const metrics = { fence: (fence: string, finding: FenceFinding) => void (told[fence] = finding) };
  const stop = new AbortController();
  const running = new FenceProbe({ api, caches: known, isReached: () => true, clock, log, metrics }).run(stop.signal);
  return { clock, log, tries, told, answers, stop, running };
}

const inForce = { tokens: refusal(403, 'Forbidden', TOKENS), secrets: refusal(403, 'Forbidden', SECRETS) };

describe('the probe', () => {
  test('looks after 10 s, then every 30 s while a fence is missing, then every 5 minutes', async () => {
    const { clock, tries, told, answers, stop, running } = bench();
    await clock.advance(9_999);
    assert.deepEqual(tries, []);
    await clock.advance(1);
    assert.deepEqual(
      tries.map(({ what }) => what),
      [`${key.namespace}/${key.name} sts.amazonaws.com`, key.namespace],
    );
    assert.deepEqual(told, { tokens: 'missing', secrets: 'missing' });
    Object.assign(answers, { secrets: inForce.secrets });
    await clock.advance(30_000);
    assert.deepEqual(told, { tokens: 'missing', secrets: 'inForce' });
    Object.assign(answers, inForce);
    await clock.advance(30_000);
    assert.deepEqual(told, { tokens: 'inForce', secrets: 'inForce' });
    const seen = tries.length;
    await clock.advance(299_999);
    assert.equal(tries.length, seen);
    await clock.advance(1);
    assert.equal(tries.length, seen + 2);
    stop.abort();
    await running;
  });

  test('tells nothing of what is not known, and asks soon again', async () => {
    const { clock, tries, told, answers, stop, running } = bench();
    Object.assign(answers, { tokens: NO_ANSWER, secrets: NO_ANSWER });
    await clock.advance(10_000);
    assert.deepEqual(told, { tokens: 'unknown', secrets: 'unknown' });
    await clock.advance(30_000);
    assert.equal(tries.length, 4);
    stop.abort();
    await running;
  });

  test('goes on to other ServiceAccounts where the answer is not clear, three at a look, and begins elsewhere the next time', async () => {
    const names = ['a', 'b', 'c', 'd'];
    const accounts = names.map((name) => account(key.namespace, name));
    const { clock, tries, answers, stop, running } = bench(caches(names.map(issuedTo), accounts));
    Object.assign(answers, { tokens: NO_ANSWER, secrets: inForce.secrets });
    await clock.advance(40_000);
    const tried = tries.flatMap(({ what }) => (what.includes(' ') ? [what.split(/[/ ]/)[1]] : []));
    assert.deepEqual(tried, ['a', 'b', 'c', 'b', 'c', 'd']);
    stop.abort();
    await running;
  });

  test('looks as seldom as ever when nothing has become clear for ten minutes', async () => {
    const { clock, tries, answers, stop, running } = bench();
    Object.assign(answers, { tokens: NO_ANSWER, secrets: NO_ANSWER });
    await clock.advance(10_000 + 20 * 30_000);
    const seen = tries.length;
    assert.equal(seen, 2 * 21);
    await clock.advance(299_999);
    assert.equal(tries.length, seen);
    await clock.advance(1);
    assert.equal(tries.length, seen + 2);
    stop.abort();
    await running;
  });

  test('logs what has changed, once, and nothing when all is well from the beginning', async () => {
    const { clock, log, answers, stop, running } = bench();
    Object.assign(answers, inForce);
    await clock.advance(10_000);
    assert.equal(log.lines.length, 0);
    Object.assign(answers, { secrets: undefined });
    await clock.advance(300_000 + 60_000);
    assert.deepEqual(
      log.lines.map(({ level, fields }) => [level, fields?.['fence']]),
      [['warn', 'secrets']],
    );
    Object.assign(answers, inForce);
    await clock.advance(30_000);
    assert.equal(log.lines.at(-1)?.level, 'info');
    stop.abort();
    await running;
  });

  test('asks nobody where there is no ServiceAccount', async () => {
    const { clock, tries, told, stop, running } = bench(caches([], []));
    await clock.advance(100_000);
    assert.deepEqual(tries, []);
    assert.deepEqual(told, { tokens: 'unknown', secrets: 'unknown' });
    stop.abort();
    await running;
  });

  test('ends with its signal, leaves no timer, and tells nothing of a call that was aborted', async () => {
    const { clock, told, stop, running } = bench();
    await clock.advance(5_000);
    stop.abort();
    await running;
    await settle();
    assert.equal(clock.waiters(), 0);
    assert.deepEqual(told, {});
  });
});
