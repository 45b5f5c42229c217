// Shows that the operator does its work in every scope that the chart has: one control plane, and for each scope the chart
// upgraded to it, the everyday life of a credential (issue, refresh, repairs, replacement, deletion), what is refused and what
// recovers. Each right that the chart gives is needed by it, and none is missing: `npm run test:e2e` holds all files' together.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Action, type APIProxy, startAPIProxy, STS_FAULTS, type STSProxy } from '../beds/intercepting-proxy.ts';
import { type SeaweedFSBed, startSeaweedFS } from '../beds/seaweedfs.ts';
import { waitFor } from '../beds/wait.ts';
import { describeCall } from '../support/audit.ts';
import type { CredentialSeen, SecretSeen } from '../support/cluster-client.ts';
import {
  type Installation,
  type InstallOptions,
  manifest,
  startCluster,
  SYSTEM_NAMESPACE,
} from '../support/installation.ts';
import type { ScopeName } from '../support/rights.ts';

const AUDIENCE = 'sts.seaweedfs.test';
const SOON = { timeoutMs: 20_000, everyMs: 100 };
/** Kubernetes' collector reads the list of kinds anew every 30 s, and only then knows ours. */
const COLLECTED = { timeoutMs: 90_000, everyMs: 200 };
/** A killed leader's Lease lasts 15 s, and its successor looks every 2 s. */
const LEASE_MS = 40_000;
const WORKS = 'this replica works';

interface Key {
  readonly namespace: string;
  readonly name: string;
}

/** The workloads of a scope, each for a story of its own. */
interface Cast {
  readonly life: Key;
  readonly edited: Key;
  readonly lost: Key;
  readonly outage: Key;
  readonly refused: Key;
  readonly crash: Key;
  /** Has no ServiceAccount. */
  readonly accountless: Key;
}

function castOf(scope: ScopeName): Cast {
  const key = (name: string): Key => ({ namespace: `in-${scope.toLowerCase()}`, name });
  return {
    life: key('life'),
    edited: key('edited'),
    lost: key('lost'),
    outage: key('outage'),
    refused: key('refused'),
    crash: key('crash'),
    accountless: key('accountless'),
  };
}

const SCOPES = ['namespaces', 'serviceAccounts', 'clusterWide'] as const;
const casts = Object.fromEntries(SCOPES.map((scope) => [scope, castOf(scope)])) as Record<ScopeName, Cast>;
const accounts = SCOPES.flatMap((scope) => {
  const { accountless: _none, ...others } = casts[scope];
  return Object.values(others) as Key[];
});

let bed: Installation;
let seaweedFS: SeaweedFSBed;
let sts: STSProxy;
/** In front of the same STS, for the story of its outage. */
let failing: STSProxy;
let apiProxy: APIProxy;

/** What the chart is told for a scope. */
function optionsOf(scope: ScopeName): InstallOptions {
  const { namespace } = casts[scope].life;
  const endpoints = [sts, failing].map(({ url }) => ({ url, audiences: [AUDIENCE] }));
  const names = Object.values(casts[scope]).map(({ name }: Key) => name);
  return {
    scope: scope === 'clusterWide' ? 'clusterWide' : [namespace],
    endpoints,
    apiProxy,
    values: scope === 'serviceAccounts' ? { serviceAccounts: { [namespace]: names } } : {},
  };
}

async function apply(key: Key, role = 'app', { url } = sts): Promise<void> {
  const aws = { roleARN: seaweedFS.roleARN(role), region: 'us-east-1', audience: AUDIENCE, endpoint: url };
  await bed.apply(manifest({ ...key, aws }));
}

async function secretOf({ namespace, name }: Key): Promise<SecretSeen> {
  const secret = await bed.client.secret(namespace, name);
  assert.ok(secret !== undefined, `Secret ${namespace}/${name} is there`);
  return secret;
}

async function untilSecret(key: Key, what: string, look: (secret: SecretSeen) => boolean): Promise<SecretSeen> {
  const seen = async (): Promise<SecretSeen | undefined> => {
    const secret = await bed.client.secret(key.namespace, key.name);
    return secret !== undefined && look(secret) ? secret : undefined;
  };
  return await waitFor(what, seen, SOON);
}

function accessKeyID({ data }: SecretSeen): unknown {
  return (JSON.parse(data['credentials.json'] ?? '{}') as Record<string, unknown>)['AccessKeyId'];
}

async function requestRefresh({ namespace, name }: Key, value: string): Promise<void> {
  const request = `workloadcredentials.io/refresh-requested=${value}`;
  await bed.kubectl('annotate', 'wcred', name, '-n', namespace, '--overwrite', request);
}

async function untilRefreshed(key: Key, value: string): Promise<void> {
  const isDone = ({ status }: CredentialSeen): boolean => status.lastHandledRefreshRequest === value;
  await bed.until(key, `refresh ${value}`, isDone, 30_000);
}

async function patchSecret({ namespace, name }: Key, patch: object): Promise<void> {
  await bed.kubectl('patch', 'secret', name, '-n', namespace, '--type=merge', '-p', JSON.stringify(patch));
}

before(async () => {
  bed = await startCluster();
  apiProxy = await startAPIProxy(bed.kubernetes);
  const subjects = accounts.map(({ namespace, name }) => `system:serviceaccount:${namespace}:${name}`);
  seaweedFS = await startSeaweedFS({
    issuer: bed.kubernetes.issuer,
    caPEM: bed.kubernetes.caPEM,
    audience: AUDIENCE,
    roles: [{ name: 'app', subjects, bucket: 'app' }],
  });
  sts = await bed.addProxy(seaweedFS.url);
  failing = await bed.addProxy(seaweedFS.url);
  await bed.createWorkloads(accounts);
  await bed.install(optionsOf('namespaces'));
});

after(async () => {
  await bed?.stop();
  await apiProxy?.stop();
  await seaweedFS?.stop();
});

afterEach((context) => {
  if ('error' in context && context.error !== null) process.stderr.write(`${bed.lastLogs()}${seaweedFS.logs()}\n`);
});

/** The whole life of a credential; the count of exchanges after each step is what STS has seen. */
async function live(key: Key): Promise<void> {
  await apply(key);
  await bed.untilIssued(key);
  const issued = await secretOf(key);
  assert.equal(bed.exchanges(key), 1);

  await requestRefresh(key, '1');
  await untilRefreshed(key, '1');
  const refreshed = await secretOf(key);
  assert.notEqual(accessKeyID(refreshed), accessKeyID(issued));
  assert.equal(bed.exchanges(key), 2);

  await patchSecret(key, { metadata: { labels: { 'workloadcredentials.io/name': null } } });
  const isLabelled = ({ metadata }: SecretSeen): boolean =>
    metadata.labels?.['workloadcredentials.io/name'] === key.name;
  assert.deepEqual((await untilSecret(key, 'the label to be put back', isLabelled)).data, refreshed.data);
  assert.equal(bed.exchanges(key), 2, 'metadata is repaired without STS');

  const before = (await secretOf(key)).metadata.uid;
  await patchSecret(key, { immutable: true });
  await requestRefresh(key, '2');
  await untilSecret(key, 'another Secret', ({ metadata }) => metadata.uid !== before);
  await untilRefreshed(key, '2');
  assert.equal(bed.exchanges(key), 3);

  await bed.kubectl('delete', 'wcred', key.name, '-n', key.namespace);
  const isGone = async (): Promise<boolean> => (await bed.client.secret(key.namespace, key.name)) === undefined;
  await waitFor('the Secret to be collected', isGone, COLLECTED);
  await sleep(1_000);
  assert.ok(await isGone(), 'it does not come back');
  assert.equal(bed.exchanges(key), 3);
}

/** Each has a credential of its own: what is contested again and again is issued once a minute only. */
async function comeBack({ edited, lost }: Cast): Promise<void> {
  for (const key of [edited, lost]) await apply(key);
  for (const key of [edited, lost]) await bed.untilIssued(key);
  await patchSecret(edited, { data: { 'credentials.json': Buffer.from('{}').toString('base64') } });
  const before = (await secretOf(lost)).metadata.uid;
  await bed.kubectl('delete', 'secret', lost.name, '-n', lost.namespace);
  await untilSecret(edited, 'the data to be whole again', (secret) => typeof accessKeyID(secret) === 'string');
  const back = await untilSecret(lost, 'the Secret to come back', ({ metadata }) => metadata.uid !== before);
  const isTold = ({ status }: CredentialSeen): boolean => status.secret?.uid === back.metadata.uid;
  await bed.until(lost, 'status to name the new Secret', isTold);
  assert.deepEqual(
    [edited, lost].map((key) => bed.exchanges(key)),
    [2, 2],
  );
}

async function surviveOutage(key: Key): Promise<void> {
  await apply(key, 'app', failing);
  await bed.untilIssued(key);
  const good = await secretOf(key);
  failing.fail(STS_FAULTS.unavailable);
  await requestRefresh(key, '1');
  await bed.untilReason(key, ['Refreshed', 'STSUnavailable'], 30_000);
  assert.deepEqual(await secretOf(key), good, 'the last good Secret stays');
  failing.heal();
  await bed.untilIssued(key, 40_000);
  assert.notEqual(accessKeyID(await secretOf(key)), accessKeyID(good));
}

async function beRefusedTwice(key: Key): Promise<void> {
  await apply(key, 'unknown');
  await bed.untilReason(key, ['Stalled', 'AccessDenied']);
  await requestRefresh(key, '1');
  await bed.until(key, 'a second failure', ({ status }) => status.consecutiveFailures === 2);
  const isCounted = async (): Promise<boolean> => {
    const events = await bed.events(key);
    return events.length === 1 && events[0]?.series?.count === 2;
  };
  await waitFor('the Event to count', isCounted, SOON);
  assert.equal(await bed.client.secret(key.namespace, key.name), undefined);
}

async function haveNoAccount(key: Key): Promise<void> {
  await apply(key);
  await bed.untilReason(key, ['Stalled', 'ServiceAccountNotFound']);
  assert.equal(bed.exchanges(key), 0);
}

/** Killed between the Secret and the status of a first issue. */
async function crash(key: Key): Promise<void> {
  const operator = bed.operator;
  const { promise: killed, resolve } = Promise.withResolvers<void>();
  const path = new RegExp(`/namespaces/${key.namespace}/workloadcredentials/${key.name}/status`);
  const forget = apiProxy.onRequest({ method: 'PATCH', path }, async (): Promise<Action> => {
    await operator.kill();
    resolve();
    return 'loseRequest';
  });
  await apply(key);
  await killed;
  forget();
  const written = await secretOf(key);
  assert.equal((await bed.client.credential(key.namespace, key.name))?.status.secret, undefined);
  await bed.start();
  const isTold = ({ status }: CredentialSeen): boolean => status.accessKeyID === accessKeyID(written);
  await bed.until(key, 'status to tell of it', isTold, LEASE_MS);
  assert.deepEqual(await secretOf(key), written);
  assert.equal(bed.exchanges(key), 1);
}

for (const scope of SCOPES) {
  const cast = casts[scope];

  describe(`an operator that the chart lets reach ${scope}`, { timeout: 240_000 }, () => {
    let earlier = 0;

    before(async () => {
      if (scope !== 'namespaces') {
        bed.operator.signal('SIGTERM');
        assert.equal((await bed.operator.exited).code, 0);
        earlier = (await bed.calls()).length;
        // As in a cluster of its own: the first replica makes it.
        await bed.kubectl('delete', 'lease', 'workload-credentials', '-n', SYSTEM_NAMESPACE);
        await bed.upgrade(optionsOf(scope));
        await bed.start();
      }
      await bed.operator.waitForLog(WORKS, LEASE_MS);
    });

    describe('in everyday life', { concurrency: 4 }, () => {
      test('issues, refreshes, repairs, replaces and lets go', async () => await live(cast.life));
      test('makes whole what somebody else edits or deletes', async () => await comeBack(cast));
      test('keeps the last good Secret while STS is away, and recovers', async () => await surviveOutage(cast.outage));
      test('counts refusals up in one Event', async () => await beRefusedTwice(cast.refused));
      test('looks once more for a ServiceAccount that is not there', async () => await haveNoAccount(cast.accountless));
    });

    // In `namespaces` faults.test.ts does it, and `serviceAccounts` differ from them by tokens alone.
    if (scope === 'clusterWide') {
      test('asks STS for nothing again when it was killed between Secret and status', async () =>
        await crash(cast.crash));
    }

    test('calls nothing that it has no right to, and nothing elsewhere unless it serves all', async () => {
      const calls = (await bed.calls()).slice(earlier);
      const refused = calls.filter(({ responseStatus }) => responseStatus?.code === 403);
      assert.deepEqual(refused.map(describeCall), []);
      const elsewhere = calls.filter(
        ({ objectRef }) => ![cast.life.namespace, SYSTEM_NAMESPACE].includes(objectRef?.namespace ?? ''),
      );
      if (scope !== 'clusterWide') assert.deepEqual(elsewhere.map(describeCall), []);
      assert.deepEqual(await bed.rightsThatDiffer(earlier), { onlyUsed: [], onlyGranted: [] });
    });

    test('logs no error', () => {
      assert.deepEqual(
        bed.logged('error').map(({ text }) => text),
        [],
      );
    });
  });
}
