// Shows what becomes of the Secret when somebody else has a hand in it, with credentials of an hour, so that each call to
// STS is there for a reason: drift is repaired, what is foreign is left alone, what is deleted goes, and nothing due costs
// nothing. In the end the chart's RBAC rules are held against the verbs in the API server's audit log.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startSeaweedFS } from '../beds/seaweedfs.ts';
import type { SeaweedFSBed } from '../beds/seaweedfs.ts';
import type { STSProxy } from '../beds/intercepting-proxy.ts';
import { waitFor } from '../beds/wait.ts';
import type { LogLine } from '../beds/operator.ts';
import { describeCall } from '../support/audit.ts';
import type { AuditEvent } from '../support/audit.ts';
import type { SecretSeen } from '../support/cluster-client.ts';
import { manifest, startCluster, SYSTEM_NAMESPACE } from '../support/installation.ts';
import type { Installation } from '../support/installation.ts';
import { scopeFor } from '../support/scope.ts';

const AUDIENCE = 'sts.seaweedfs.test';
const CHART = fileURLToPath(new URL('../../helm', import.meta.url));
const SOON = { timeoutMs: 20_000, everyMs: 100 };

interface Key {
  readonly namespace: string;
  readonly name: string;
}

const app = (namespace: string): Key => ({ namespace, name: 'app' });
const deleted = app('deleted');
const foreign = app('foreign');
const labelled = app('labelled');
const handedOver = app('handed-over');
const full = app('full');
const older = app('shared');
const younger = { namespace: 'shared', name: 'younger' };
const collected = app('collected');
const retained = { namespace: 'collected', name: 'retained' };
const foreground = app('foreground');
const endingNamespace = app('ending');
const dataEdit = app('data-edit');
const labelEdit = app('label-edit');
const formats = app('formats');
const immutable = app('immutable');
const refused = app('refused');
/** Has no ServiceAccount. */
const accountless = { namespace: 'refused', name: 'accountless' };
const steady = app('steady');
const deletions = [deleted, foreign, handedOver, full, collected, retained, foreground, endingNamespace];
const all = [...deletions, labelled, older, younger, dataEdit, labelEdit, formats, immutable, refused, steady];

const scope = scopeFor(
  'namespaces',
  all.map(({ namespace }) => namespace),
);

let bed: Installation;
let seaweedFS: SeaweedFSBed;
let sts: STSProxy;

async function apply(key: Key, spec: Record<string, unknown> = {}, role = 'app'): Promise<void> {
  const aws = { roleARN: seaweedFS.roleARN(role), region: 'us-east-1', audience: AUDIENCE, endpoint: sts.url };
  await bed.apply(manifest({ ...key, aws, spec }));
}

async function issue(key: Key, spec: Record<string, unknown> = {}): Promise<SecretSeen> {
  await apply(key, spec);
  await bed.untilIssued(key);
  return await secretOf(key);
}

async function secretOf({ namespace, name }: Key): Promise<SecretSeen> {
  const secret = await bed.client.secret(namespace, name);
  assert.ok(secret !== undefined, `Secret ${namespace}/${name} is there`);
  return secret;
}

async function untilSecret(
  { namespace, name }: Key,
  what: string,
  look: (secret: SecretSeen) => boolean,
  bounds = SOON,
): Promise<SecretSeen> {
  return await waitFor(
    what,
    async () => {
      const secret = await bed.client.secret(namespace, name);
      return secret !== undefined && look(secret) ? secret : undefined;
    },
    bounds,
  );
}

/** Kubernetes' collector reads the list of kinds anew every 30 s, and only then knows ours. */
const COLLECTED = { timeoutMs: 90_000 };

async function untilGone({ namespace, name }: Key): Promise<void> {
  const what = `Secret ${namespace}/${name} to be collected`;
  await waitFor(what, async () => (await bed.client.secret(namespace, name)) === undefined, COLLECTED);
}

function accessKeyID({ data }: SecretSeen): unknown {
  return (JSON.parse(data['credentials.json'] ?? '{}') as Record<string, unknown>)['AccessKeyId'];
}

/**
 * Whether a line only tells that a namespace's end has reached the ServiceAccount before the resource, as it may: an
 * operator that may not read namespaces cannot know it from a ServiceAccount that somebody deleted.
 */
function isOfNamespaceEnd({ fields = {} }: LogLine): boolean {
  const { namespace, name } = endingNamespace;
  const { level, message, reason, key } = fields;
  if (level !== 'warn') return false;
  if (fields['namespace'] === namespace && reason === 'ServiceAccountNotFound') return true;
  if (scope === 'clusterWide') return false;
  // Its Roles go with it, in whatever order.
  const isOfStream =
    message === 'list or watch failed and is tried again' ||
    (typeof message === 'string' && message.startsWith('a namespace is out of reach'));
  return (
    (fields['namespace'] === namespace && isOfStream) ||
    (key === `${namespace}/${name}` && reason === 'KubernetesDenied')
  );
}

/** Lines at warn or error about a namespace: what a deletion must not cause. */
function complaintsAbout(namespace: string): string[] {
  return bed
    .logged('warn', 'error')
    .filter((line) => !isOfNamespaceEnd(line))
    .map(({ text }) => text)
    .filter((text) => text.includes(`"${namespace}"`) || text.includes(`"${namespace}/`));
}

/** Calls that are neither part of keeping the caches nor of holding the Lease. */
function isWork({ verb, objectRef }: AuditEvent): boolean {
  return verb !== 'list' && verb !== 'watch' && objectRef?.resource !== 'leases';
}

before(async () => {
  bed = await startCluster();
  seaweedFS = await startSeaweedFS({
    issuer: bed.kubernetes.issuer,
    caPEM: bed.kubernetes.caPEM,
    audience: AUDIENCE,
    roles: [
      {
        name: 'app',
        subjects: all.map(({ namespace, name }) => `system:serviceaccount:${namespace}:${name}`),
        bucket: 'app',
      },
    ],
  });
  sts = await bed.addProxy(seaweedFS.url);
  await bed.createWorkloads(all);
  await bed.install({ scope, endpoints: [{ url: sts.url, audiences: [AUDIENCE] }] });
});

after(async () => {
  await bed?.stop();
  await seaweedFS?.stop();
});

afterEach((context) => {
  if ('error' in context && context.error !== null) process.stderr.write(`${bed.lastLogs()}${seaweedFS.logs()}\n`);
});

describe('the Secret', { concurrency: 16 }, () => {
  test('comes back when it is deleted, for one STS call', async (context) => {
    const first = await issue(deleted);
    const atMs = Date.now();
    await bed.kubectl('delete', 'secret', deleted.name, '-n', deleted.namespace);
    const second = await untilSecret(deleted, 'the Secret to come back', () => true);
    context.diagnostic(`back after ${Date.now() - atMs} ms`);
    assert.notEqual(second.metadata.uid, first.metadata.uid);
    assert.notEqual(accessKeyID(second), accessKeyID(first));
    await bed.until(
      deleted,
      'status to name the new Secret',
      ({ status }) => status.secret?.uid === second.metadata.uid,
    );
    assert.equal(bed.exchanges(deleted), 2);
  });

  test('of somebody else is left alone, costs no STS call and is explained; when it goes, the credential comes', async (context) => {
    await bed.kubectl(
      'create',
      'secret',
      'generic',
      foreign.name,
      '-n',
      foreign.namespace,
      '--from-literal=theirs=kept',
    );
    const theirs = await secretOf(foreign);
    await apply(foreign);
    const { message } = await bed.untilReason(foreign, ['Stalled', 'SecretConflict']);
    assert.equal(
      message,
      'Secret "app" exists and does not belong to this WorkloadCredential; it was left alone. Delete or rename it, or create this WorkloadCredential anew with another spec.secret.name. Or, if this WorkloadCredential may write its keys into it and the others stay (it has to be Opaque, mutable and without a controller): kubectl label secret app -n foreign --overwrite workloadcredentials.io/name=app && kubectl annotate secret app -n foreign --overwrite workloadcredentials.io/adopt=app',
    );
    assert.deepEqual(await secretOf(foreign), theirs);
    assert.equal(bed.exchanges(foreign), 0);
    assert.ok(!(await bed.callsOn(foreign)).some((call) => call.includes('token')), 'no token is made either');
    await bed.kubectl('delete', 'secret', foreign.name, '-n', foreign.namespace);
    const atMs = Date.now();
    await bed.untilIssued(foreign, 80_000);
    context.diagnostic(`issued ${Math.round((Date.now() - atMs) / 1_000)} s after it went`);
    assert.equal(bed.exchanges(foreign), 1);
  });

  test('of somebody else that bears our label is left alone too, and its end is noticed at once', async (context) => {
    const { namespace, name } = labelled;
    await bed.kubectl('create', 'secret', 'generic', name, '-n', namespace, '--from-literal=theirs=kept');
    await bed.kubectl('label', 'secret', name, '-n', namespace, `workloadcredentials.io/name=${name}`);
    const theirs = await secretOf(labelled);
    await apply(labelled);
    await bed.untilReason(labelled, ['Stalled', 'SecretConflict']);
    assert.deepEqual(await secretOf(labelled), theirs);
    await bed.kubectl('delete', 'secret', name, '-n', namespace);
    const atMs = Date.now();
    await bed.untilIssued(labelled);
    context.diagnostic(`issued ${Date.now() - atMs} ms after it went`);
    assert.equal(bed.exchanges(labelled), 1);
  });

  test('of somebody else that is handed over gets our keys at once and keeps the rest, and outlives the resource', async (context) => {
    const { namespace, name } = handedOver;
    const literals = ['--from-literal=theirs=kept', '--from-literal=config=old'];
    await bed.kubectl('create', 'secret', 'generic', name, '-n', namespace, ...literals);
    await apply(handedOver);
    const { message } = await bed.untilReason(handedOver, ['Stalled', 'SecretConflict']);
    const lines = message.split(': ').at(-1)?.split(' && ') ?? [];
    assert.equal(lines.length, 2, message);
    const atMs = Date.now();
    for (const line of lines) await bed.kubectl(...line.split(' ').slice(1));
    await bed.untilIssued(handedOver);
    context.diagnostic(`issued ${Date.now() - atMs} ms after the consent`);
    assert.equal(bed.exchanges(handedOver), 1);
    const first = await secretOf(handedOver);
    assert.deepEqual(Object.keys(first.data).toSorted(), ['config', 'credentials.json', 'theirs']);
    assert.equal(first.data['theirs'], 'kept');
    assert.match(first.data['config'] ?? '', /credential_process/);
    assert.deepEqual(first.metadata.ownerReferences ?? [], []);

    const before = (await bed.callsOn(handedOver)).length;
    const theirs = { stringData: { theirs: 'changed' } };
    await bed.kubectl('patch', 'secret', name, '-n', namespace, '--type=merge', '-p', JSON.stringify(theirs));
    await waitFor('the change to be seen', async () => (await bed.callsOn(handedOver)).length > before, SOON);
    await bed.kubectl('annotate', 'wcred', name, '-n', namespace, 'workloadcredentials.io/refresh-requested=1');
    await bed.until(handedOver, 'the request to be handled', ({ status }) => status.lastHandledRefreshRequest === '1');
    assert.equal(bed.exchanges(handedOver), 2);
    const second = await secretOf(handedOver);
    assert.notEqual(accessKeyID(second), accessKeyID(first));
    assert.equal(second.data['theirs'], 'changed');
    assert.equal(second.metadata.uid, first.metadata.uid);

    const spec = { secret: { formats: ['Environment'] } };
    await bed.kubectl('patch', 'wcred', name, '-n', namespace, '--type=merge', '-p', JSON.stringify({ spec }));
    const third = await untilSecret(handedOver, 'the variables', ({ data }) => data['AWS_REGION'] !== undefined);
    assert.equal(third.data['AWS_ACCESS_KEY_ID'], accessKeyID(second));
    assert.deepEqual([third.data['theirs'], third.data['config']], ['changed', undefined]);

    await bed.kubectl('delete', 'wcred', name, '-n', namespace);
    await sleep(2_000);
    assert.equal((await secretOf(handedOver)).data['theirs'], 'changed');
    assert.equal(bed.exchanges(handedOver), 2);
  });

  test('that is handed over and full stays as it is, and the failure tells both sizes', async (context) => {
    const { namespace, name } = full;
    const directory = await mkdtemp(join(tmpdir(), 'full-'));
    context.after(async () => await rm(directory, { recursive: true }));
    await writeFile(join(directory, 'theirs'), Buffer.alloc(1_048_000, 'x'));
    await bed.kubectl('create', 'secret', 'generic', name, '-n', namespace, `--from-file=${directory}`);
    for (const [verb, key] of [
      ['label', 'name'],
      ['annotate', 'adopt'],
    ] as const) {
      await bed.kubectl(verb, 'secret', name, '-n', namespace, `workloadcredentials.io/${key}=${name}`);
    }
    const theirs = await secretOf(full);
    await apply(full);
    const { message } = await bed.untilReason(full, ['Stalled', 'SecretWriteDenied']);
    assert.match(message, /has 1048000 bytes in keys of others, .* a Secret holds at most 1048576/);
    assert.deepEqual(await secretOf(full), theirs);
    assert.equal(bed.exchanges(full), 1);
    await bed.kubectl('delete', 'wcred', name, '-n', namespace);
  });

  test('that two resources name belongs to the older one, and to the younger when that goes', async () => {
    const secret = { name: older.name };
    const first = await issue(older);
    await apply(younger, { secret });
    const { message } = await bed.untilReason(younger, ['Stalled', 'SecretInUse']);
    assert.equal(
      message,
      'spec.secret.name "app" is already written by the older WorkloadCredential "app"; create this one anew with another spec.secret.name, which cannot be changed later, or delete the older one.',
    );
    assert.deepEqual(await secretOf(older), first);
    assert.equal(bed.exchanges(younger), 0);
    await bed.kubectl('delete', 'wcred', older.name, '-n', older.namespace);
    await bed.untilIssued(younger, 60_000);
    const second = await secretOf(older);
    assert.equal(second.metadata.ownerReferences?.[0]?.name, younger.name);
    assert.notEqual(accessKeyID(second), accessKeyID(first));
    assert.equal(bed.exchanges(younger), 1);
  });

  test('goes with its resource, unless it is to be retained', async () => {
    await Promise.all([issue(collected), issue(retained, { secret: { deletionPolicy: 'Retain' } })]);
    await bed.kubectl('delete', 'wcred', collected.name, retained.name, '-n', collected.namespace);
    await untilGone(collected);
    // The collector sees both resources' end in one stream of events: what it has not taken by now, it will not take.
    await sleep(2_000);
    const kept = await secretOf(retained);
    assert.deepEqual(kept.metadata.ownerReferences ?? [], []);
    assert.ok(accessKeyID(kept) !== undefined);
    assert.equal(await bed.client.secret(collected.namespace, collected.name), undefined);
    assert.deepEqual(complaintsAbout(collected.namespace), []);
    assert.equal(bed.exchanges(collected), 1);
  });

  test('goes in a foreground deletion, which nothing delays', async () => {
    await issue(foreground);
    const { namespace, name } = foreground;
    await bed.kubectl('delete', 'wcred', name, '-n', namespace, '--cascade=foreground', '--wait', '--timeout=90s');
    assert.equal(await bed.client.credential(namespace, name), undefined);
    await untilGone(foreground);
    await sleep(1_000);
    assert.equal(await bed.client.secret(namespace, name), undefined, 'it does not come back');
    assert.equal(bed.exchanges(foreground), 1);
    assert.deepEqual(complaintsAbout(namespace), []);
  });

  test('goes with its namespace, which nothing delays, nor the other namespaces', async (context) => {
    await issue(endingNamespace);
    const { namespace } = endingNamespace;
    const atMs = Date.now();
    await bed.kubectl('delete', 'namespace', namespace, '--wait', '--timeout=60s');
    context.diagnostic(`the namespace was gone after ${Date.now() - atMs} ms`);
    assert.equal(await bed.client.get(`/api/v1/namespaces/${namespace}`), undefined);
    assert.equal(bed.exchanges(endingNamespace), 1);
    assert.deepEqual(complaintsAbout(namespace), []);
  });

  test('whose data somebody edits gets a new credential, for one STS call', async () => {
    const first = await issue(dataEdit);
    const { namespace, name } = dataEdit;
    const data = { 'credentials.json': Buffer.from('{"Version":1}').toString('base64') };
    await bed.kubectl('patch', 'secret', name, '-n', namespace, '--type=merge', '-p', JSON.stringify({ data }));
    const isWhole = (secret: SecretSeen): boolean => typeof accessKeyID(secret) === 'string';
    const second = await untilSecret(dataEdit, 'the data to be whole again', isWhole);
    assert.notEqual(accessKeyID(second), accessKeyID(first));
    assert.equal(second.metadata.uid, first.metadata.uid);
    const { status } = await bed.until(dataEdit, 'status to tell of it', (seen) => {
      return seen.status.secret?.resourceVersion === second.metadata.resourceVersion;
    });
    assert.equal(status.accessKeyID, accessKeyID(second));
    assert.equal(bed.exchanges(dataEdit), 2);
  });

  test('whose labels and annotations somebody edits is repaired without an STS call, and keeps theirs', async () => {
    const { namespace, name } = labelEdit;
    const first = await issue(labelEdit, { secret: { labels: { team: 'a' } } });
    const edit = ['workloadcredentials.io/name-', 'team=b', 'theirs=kept', 'velero.io/exclude-from-backup-'];
    await bed.kubectl('label', 'secret', name, '-n', namespace, '--overwrite', ...edit);
    const second = await untilSecret(labelEdit, 'the labels to be put back', ({ metadata }) => {
      return metadata.labels?.['workloadcredentials.io/name'] === name;
    });
    assert.deepEqual(second.metadata.labels, { ...first.metadata.labels, theirs: 'kept' });
    assert.deepEqual(second.data, first.data);
    await bed.kubectl('annotate', 'secret', name, '-n', namespace, 'reloader.stakater.com/ignore-');
    const third = await untilSecret(labelEdit, 'the annotation to be put back', ({ metadata }) => {
      return metadata.annotations?.['reloader.stakater.com/ignore'] === 'true';
    });
    assert.deepEqual(third.metadata.annotations, first.metadata.annotations);
    assert.deepEqual(third.metadata.ownerReferences, first.metadata.ownerReferences);
    assert.equal(bed.exchanges(labelEdit), 1);
  });

  test('is rendered anew without an STS call when other formats are wanted', async () => {
    const first = await issue(formats);
    const { namespace, name } = formats;
    const secret = { formats: ['StaticFile', 'Environment'], data: { 'key.txt': 'id={{ accessKeyId }}' } };
    await bed.kubectl(
      'patch',
      'wcred',
      name,
      '-n',
      namespace,
      '--type=merge',
      '-p',
      JSON.stringify({ spec: { secret } }),
    );
    const second = await untilSecret(formats, 'the other formats', ({ data }) => data['credentials'] !== undefined);
    const keys = ['AWS_ACCESS_KEY_ID', 'AWS_REGION', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'];
    assert.deepEqual(Object.keys(second.data).toSorted(), [...keys, 'credentials', 'key.txt']);
    assert.equal(second.data['AWS_ACCESS_KEY_ID'], accessKeyID(first));
    assert.equal(second.data['key.txt'], `id=${String(accessKeyID(first))}`);
    await bed.untilIssued(formats);
    assert.equal(bed.exchanges(formats), 1);
  });

  test('that somebody made immutable is replaced at the next refresh', async () => {
    const first = await issue(immutable);
    const { namespace, name } = immutable;
    await bed.kubectl('patch', 'secret', name, '-n', namespace, '--type=merge', '-p', '{"immutable":true}');
    await bed.kubectl('annotate', 'wcred', name, '-n', namespace, 'workloadcredentials.io/refresh-requested=1');
    const second = await untilSecret(
      immutable,
      'another Secret',
      ({ metadata }) => metadata.uid !== first.metadata.uid,
    );
    assert.equal(second.immutable, undefined);
    await bed.until(immutable, 'the request to be handled', ({ status }) => status.lastHandledRefreshRequest === '1');
    assert.equal(bed.exchanges(immutable), 2);
  });

  test('is not made where STS refuses, and the second refusal in a row counts up the Event of the first', async () => {
    await apply(refused, {}, 'unknown');
    await bed.untilReason(refused, ['Stalled', 'AccessDenied']);
    await bed.kubectl(
      'annotate',
      'wcred',
      refused.name,
      '-n',
      refused.namespace,
      'workloadcredentials.io/refresh-requested=1',
    );
    await bed.until(refused, 'a second failure', ({ status }) => status.consecutiveFailures === 2);
    const series = await waitFor(
      'the Event to count',
      async () => {
        const events = await bed.events(refused);
        return events.length === 1 && events[0]?.reason === 'AccessDenied' ? events[0].series : undefined;
      },
      SOON,
    );
    assert.equal(series.count, 2);
    assert.equal(await bed.client.secret(refused.namespace, refused.name), undefined);
  });

  test('is not made for a ServiceAccount that does not exist, which is looked for once more before it is said', async () => {
    await apply(accountless);
    await bed.untilReason(accountless, ['Stalled', 'ServiceAccountNotFound']);
    assert.ok((await bed.callsOn(accountless)).includes('get serviceaccounts refused/accountless 404'));
    assert.equal(bed.exchanges(accountless), 0);
  });

  test('is not touched by reconciles with nothing due', async () => {
    await issue(steady);
    const { namespace, name } = steady;
    await waitFor('the first Event', async () => (await bed.events(steady)).length === 1, SOON);
    const before = (await bed.callsOn(steady)).length;
    for (const value of ['1', '2', '3']) {
      await bed.kubectl('label', 'wcred', name, '-n', namespace, '--overwrite', `touched=${value}`);
    }
    await sleep(1_000);
    assert.deepEqual((await bed.callsOn(steady)).slice(before), []);
    assert.equal(bed.exchanges(steady), 1);
  });
});

describe('afterwards', () => {
  test('an operator that takes over reconciles everything without a write and without an STS call', async (context) => {
    const old = bed.operator;
    const atMs = Date.now();
    old.signal('SIGTERM');
    assert.deepEqual(await old.exited, { code: 0, signal: null });
    context.diagnostic(`stopped in ${Date.now() - atMs} ms`);
    assert.ok(Date.now() - atMs < 10_000);
    const before = { calls: (await bed.calls()).length, exchanges: bed.exchangeTotals().calls };
    const next = await bed.start();
    const works = await next.waitForLog('this replica works');
    const credentials = Number(works.fields?.['credentials']);
    assert.ok(credentials >= 7, `it works on ${credentials} resources`);
    // Not a count of calls, only a sign that the reconciles have happened.
    await waitFor(
      'every resource to have been reconciled',
      async () => {
        const done = /^workqueue_work_duration_seconds_count\S* (\d+)$/m.exec(await next.metrics())?.[1];
        return Number(done) >= credentials;
      },
      SOON,
    );
    await sleep(500);
    const since = (await bed.calls()).slice(before.calls);
    assert.deepEqual(since.filter(isWork).map(describeCall), []);
    assert.equal(bed.exchangeTotals().calls, before.exchanges);
  });

  test('the rights that the chart gives are the rights that were used', async () => {
    assert.deepEqual(await bed.rightsThatDiffer(), { onlyUsed: [], onlyGranted: [] });
    const refusals = (await bed.calls()).filter(({ responseStatus }) => responseStatus?.code === 403);
    assert.deepEqual(
      refusals.map(describeCall).filter((call) => !call.includes(endingNamespace.namespace)),
      [],
    );
  });

  test('no error was logged, and warnings only where a test wanted them', () => {
    assert.deepEqual(
      bed.logged('error').map(({ text }) => text),
      [],
    );
    const namespaces = new Set(
      bed
        .logged('warn')
        .filter((line) => !isOfNamespaceEnd(line))
        .map(({ fields }) => fields?.['namespace']),
    );
    const wanted = [foreign, labelled, handedOver, full, older, refused];
    assert.deepEqual(namespaces, new Set(wanted.map(({ namespace }) => namespace)));
  });

  const named = { skip: scope === 'clusterWide' ? 'the chart names no namespaces' : false };
  test(
    'Helm upgrades only when the namespace that is gone is out of the list, as the runbook says',
    named,
    async () => {
      const upgrade = ['upgrade', 'wc', CHART, '--namespace', SYSTEM_NAMESPACE, '--reset-then-reuse-values'];
      const served = scope === 'clusterWide' ? [] : scope;
      const kept = served.filter((namespace) => namespace !== endingNamespace.namespace);
      for (const operator of bed.operators) {
        operator.signal('SIGTERM');
        await operator.exited;
      }
      await bed.changeBy(async () => {
        const refused = await bed.kubernetes.helm(upgrade);
        assert.notEqual(refused.code, 0);
        assert.match(refused.stderr, new RegExp(`namespaces "${endingNamespace.namespace}" not found`));
        const taken = await bed.kubernetes.helm([...upgrade, '--set-json', `namespaces=${JSON.stringify(kept)}`]);
        assert.equal(taken.code, 0, taken.stderr);
      });
      await bed.start();
    },
  );

  test('each exchange had a token of its own, and nothing secret was emitted', async (context) => {
    const totals = bed.exchangeTotals();
    assert.equal(totals.calls, totals.tokens);
    context.diagnostic(`${totals.calls} exchanges, ${bed.secrets().length} secrets looked for`);
    assert.deepEqual(await bed.scan(), []);
  });
});
