// Shows that nothing is lost when something breaks: the operator dies between its two writes, STS lies or is away, users and
// administrators give it nonsense. Through a proxy in front of the API server; usually for named namespaces only.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { load } from 'js-yaml';
import { renderDeploy } from '../../tools/render-deploy.ts';
import { ensureBinaries } from '../beds/binaries.ts';
import { STS_FAULTS, startAPIProxy } from '../beds/intercepting-proxy.ts';
import type { Action, APIProxy, STSProxy } from '../beds/intercepting-proxy.ts';
import { startOperator } from '../beds/operator.ts';
import type { OperatorOptions, OperatorProcess } from '../beds/operator.ts';
import { startSeaweedFS } from '../beds/seaweedfs.ts';
import type { SeaweedFSBed } from '../beds/seaweedfs.ts';
import { waitFor } from '../beds/wait.ts';
import { describeCall } from '../support/audit.ts';
import type { AuditEvent } from '../support/audit.ts';
import { tellFault } from '../support/fault-report.ts';
import { conditionOf, credentialsPath } from '../support/cluster-client.ts';
import type { CredentialSeen, SecretSeen } from '../support/cluster-client.ts';
import { manifest, startCluster, SYSTEM_NAMESPACE } from '../support/installation.ts';
import type { Installation } from '../support/installation.ts';
import { scopeFor } from '../support/scope.ts';
import { lateness } from '../support/secret-reader.ts';

const ROOT = new URL('../../', import.meta.url);
const AUDIENCE = 'sts.seaweedfs.test';
const JSON_PATCH = 'application/json-patch+json';
/** A killed leader's Lease lasts 15 s, and its successor looks every 2 s. */
const LEASE_MS = 40_000;

interface Key {
  readonly namespace: string;
  readonly name: string;
}

interface Fault {
  readonly action: Action;
  readonly reason: string;
  readonly says: RegExp;
  /** Refused, not away: only a person makes the operator try again soon. */
  readonly denied?: true;
}

/** Rewrites an answer and remembers nothing of it: the secrets in it are kept for the scan. */
const rewrittenSecrets: string[] = [];
const pastExpiration: Action = {
  rewrite: (body) => {
    const secrets = body.matchAll(/<(?:SecretAccessKey|SessionToken)>([^<]+)</g);
    rewrittenSecrets.push(...[...secrets].map(([, secret = '']) => secret));
    return STS_FAULTS.pastExpiration.rewrite(body);
  },
};

const redirectHeaders: Record<string, string> = {};

const FAULTS: Readonly<Record<string, Fault>> = {
  'a 200 without a body': {
    action: STS_FAULTS.emptyAnswer,
    reason: 'InvalidResponse',
    says: /answered HTTP 200 for \S+, but (it cannot be read|there are no credentials in it); check what answers/,
  },
  'a page of HTML': {
    action: STS_FAULTS.html,
    reason: 'InvalidResponse',
    says: /answered HTTP 200 for \S+, but (it cannot be read|there are no credentials in it); check what answers/,
  },
  'a credential that has expired': {
    action: pastExpiration,
    reason: 'InvalidResponse',
    says: /STS answered 200, but its expiration is in the past; .* Check what answers at the endpoint/,
  },
  'fifty megabytes': {
    action: STS_FAULTS.fiftyMegabytes,
    reason: 'InvalidResponse',
    says: /answered HTTP 200 for \S+, but the answer is longer than 64 KiB/,
  },
  'a redirect': {
    // Where to is known when the trap listens.
    action: { answer: { status: 307, headers: redirectHeaders } },
    reason: 'RedirectRefused',
    says: /answered HTTP 307 for \S+, a redirect to "127\.0\.0\.1:\d+"; tokens are sent to the configured host only/,
    denied: true,
  },
  silence: {
    action: STS_FAULTS.hang,
    reason: 'STSUnavailable',
    says: /gave no answer for \S+: .*10 s.*check egress and DNS/,
  },
  'a broken connection': {
    action: STS_FAULTS.reset,
    reason: 'STSUnavailable',
    says: /gave no answer for \S+: .*check egress and DNS/,
  },
  'an answer that is lost on its way': {
    action: STS_FAULTS.lostAnswer,
    reason: 'STSUnavailable',
    says: /gave no answer for \S+: .*check egress and DNS/,
  },
  'a 503': {
    action: STS_FAULTS.unavailable,
    reason: 'STSUnavailable',
    says: /could not serve \S+: HTTP 503; the operator tries again/,
  },
  'a request to slow down': {
    action: STS_FAULTS.throttled,
    reason: 'STSThrottled',
    says: /could not serve \S+: Throttling, "Rate exceeded"; the operator waits and tries again/,
  },
  'a rejected token': {
    action: STS_FAULTS.expiredToken,
    reason: 'TokenRejected',
    says: /refused \S+: ExpiredToken.*issuer URL.*The token said issuer "https:.*", subject /,
    denied: true,
  },
};

const faulty = (title: string): Key => ({ namespace: 'faults', name: title.replaceAll(' ', '-').toLowerCase() });
const fresh = { namespace: 'crash', name: 'fresh' };
const renewed = { namespace: 'crash', name: 'renewed' };
const unreachable = { namespace: 'faults', name: 'unreachable' };
const never = { namespace: 'faults', name: 'never' };
const slow = { namespace: 'faults', name: 'slow' };
const unserved = { namespace: 'unserved', name: 'app' };
const all = [...Object.keys(FAULTS).map(faulty), fresh, renewed, unreachable, never, slow, unserved];
const scope = scopeFor('namespaces', [fresh.namespace, never.namespace]);

let bed: Installation;
let seaweedFS: SeaweedFSBed;
let apiProxy: APIProxy;
const proxies = new Map<string, STSProxy>();
const shortLived: OperatorProcess[] = [];
let trapConnections = 0;
/** Where redirects point to: nobody is to come. */
const trap = createServer((socket) => {
  trapConnections++;
  socket.destroy();
});

function proxyOf(key: Key): STSProxy {
  const proxy = proxies.get(key.name);
  assert.ok(proxy !== undefined);
  return proxy;
}

async function apply(key: Key): Promise<void> {
  const aws = { roleARN: seaweedFS.roleARN('app'), region: 'us-east-1', audience: AUDIENCE };
  await bed.apply(manifest({ ...key, aws: { ...aws, endpoint: proxyOf(key).url } }));
}

async function secretOf({ namespace, name }: Key): Promise<SecretSeen> {
  const secret = await bed.client.secret(namespace, name);
  assert.ok(secret !== undefined, `Secret ${namespace}/${name} is there`);
  return secret;
}

function accessKeyID({ data }: SecretSeen): unknown {
  return (JSON.parse(data['credentials.json'] ?? '{}') as Record<string, unknown>)['AccessKeyId'];
}

async function requestRefresh({ namespace, name }: Key, value: string): Promise<void> {
  const request = `workloadcredentials.io/refresh-requested=${value}`;
  await bed.kubectl('annotate', 'wcred', name, '-n', namespace, '--overwrite', request);
}

/** Runs an operator that is to end by itself, and gives what it said on standard error. */
async function endOf(options: OperatorOptions): Promise<{ code: number | null; said: string }> {
  const operator = await startOperator(options);
  shortLived.push(operator);
  const killer = setTimeout(() => operator.signal('SIGKILL'), 20_000);
  const { code } = await operator.exited;
  clearTimeout(killer);
  const said = operator.lines.filter(({ stream }) => stream === 'stderr').map(({ text }) => text);
  return { code, said: said.join('\n') };
}

before(async () => {
  await new Promise<void>((resolve) => trap.listen(0, '127.0.0.1', resolve));
  redirectHeaders['location'] = `http://127.0.0.1:${(trap.address() as AddressInfo).port}/stolen`;
  bed = await startCluster();
  apiProxy = await startAPIProxy(bed.kubernetes);
  const subjects = all.map(({ namespace, name }) => `system:serviceaccount:${namespace}:${name}`);
  seaweedFS = await startSeaweedFS({
    issuer: bed.kubernetes.issuer,
    caPEM: bed.kubernetes.caPEM,
    audience: AUDIENCE,
    roles: [{ name: 'app', subjects, bucket: 'app' }],
  });
  for (const { name } of all) proxies.set(name, await bed.addProxy(seaweedFS.url));
  await bed.createWorkloads(all);
  // Without a ServiceAccount: what is stored there names a cloud's own STS, and no call is to reach it.
  await bed.kubectl('create', 'namespace', 'updates');
  await bed.install({
    scope,
    endpoints: [...proxies.values()].map(({ url }) => ({ url, audiences: [AUDIENCE] })),
    apiProxy,
  });
});

after(async () => {
  trap.close();
  await Promise.all(shortLived.map(async (operator) => await operator.kill()));
  await bed?.stop();
  await apiProxy?.stop();
  await seaweedFS?.stop();
});

afterEach((context) => {
  if ('error' in context && context.error !== null) process.stderr.write(`${bed.lastLogs()}${seaweedFS.logs()}\n`);
});

describe('the operator', { concurrency: 16 }, () => {
  test('killed between Secret and status, at a first issue and at a refresh, asks STS for nothing again', async (context) => {
    await apply(renewed);
    const before = accessKeyID(await bed.untilIssued(renewed).then(async () => await secretOf(renewed)));
    const operator = bed.operator;
    const arrived = new Set<string>();
    const { promise: killed, resolve } = Promise.withResolvers<void>();
    const forget = apiProxy.onRequest(
      { method: 'PATCH', path: /\/namespaces\/crash\/workloadcredentials\/[^/]+\/status/ },
      async ({ path }): Promise<Action> => {
        arrived.add(path.split('?')[0] ?? '');
        if (arrived.size === 2) {
          await operator.kill();
          resolve();
        }
        await killed;
        return 'loseRequest';
      },
    );
    await Promise.all([apply(fresh), requestRefresh(renewed, '1')]);
    await killed;
    forget();
    const written = await Promise.all([fresh, renewed].map(secretOf));
    assert.notEqual(accessKeyID(written[1] ?? assert.fail()), before, 'the refreshed Secret was written');
    assert.deepEqual((await bed.client.credential('crash', 'fresh'))?.status.secret, undefined, 'the status was not');
    assert.deepEqual([bed.exchanges(fresh), bed.exchanges(renewed)], [1, 2]);
    const callsBefore = (await bed.calls()).length;
    const reader = bed.reader(renewed);
    const atMs = Date.now();
    await bed.start();
    const isTold = (key: Key, secret: SecretSeen | undefined) =>
      bed.until(
        key,
        'status to tell of it',
        ({ status }) => {
          return secret !== undefined && status.accessKeyID === accessKeyID(secret);
        },
        LEASE_MS,
      );
    const statuses = await Promise.all([isTold(fresh, written[0]), isTold(renewed, written[1])]);
    const tookMs = Date.now() - atMs;
    assert.equal(statuses[1]?.status.lastHandledRefreshRequest, '1');
    assert.deepEqual(await Promise.all([fresh, renewed].map(secretOf)), written);
    assert.deepEqual([bed.exchanges(fresh), bed.exchanges(renewed)], [1, 2]);
    const work = (await bed.calls())
      .slice(callsBefore)
      .filter(({ objectRef, verb }) => objectRef?.namespace === 'crash' && verb !== 'list' && verb !== 'watch')
      .filter(({ objectRef }) => objectRef?.resource !== 'events');
    assert.deepEqual(work.map(describeCall).toSorted(), [
      'get secrets crash/fresh 200',
      'get secrets crash/renewed 200',
      'patch workloadcredentials/status crash/fresh 200',
      'patch workloadcredentials/status crash/renewed 200',
    ]);
    await reader.assertNeverExpired();
    tellFault(context, {
      fault: 'operator killed between Secret and status',
      bed: 'real',
      did: `0 exchanges at the restart, 1 GET and 1 status write for each of 2 keys; told ${(tookMs / 1_000).toFixed(1)} s after the restart, of which the old Lease takes up to 17 s`,
      seen: reader.describe(),
    });
  });

  test('without a place for its log ends with a sentence', async () => {
    const { code, said } = await endOf({
      kubeconfig: bed.kubernetes.admin.file,
      args: ['--leader-elect=false', '--namespaces=nowhere'],
      stdoutFile: '/dev/full',
    });
    assert.equal(code, 1);
    assert.equal(
      said,
      'workload-credentials: the log cannot be written to standard output (ENOSPC): check what reads it and the space that it has',
    );
  });

  test('with a kubeconfig that cannot be used ends with a sentence that names the file', async () => {
    const { directory } = bed.kubernetes;
    const file = (name: string, text: string): string => {
      writeFileSync(join(directory, name), text);
      return join(directory, name);
    };
    const noContext = bed.kubernetes.admin.text.replace('"current-context": "bed"', '"current-context": "gone"');
    mkdirSync(join(directory, 'a-directory'));
    const bad = [
      join(directory, 'no-such-file'),
      join(directory, 'a-directory'),
      file('empty.kubeconfig', ''),
      file('broken.kubeconfig', 'clusters: [}'),
      file('no-context.kubeconfig', noContext),
    ];
    for (const kubeconfig of bad) {
      const { code, said } = await endOf({ kubeconfig, args: ['--leader-elect=false', '--namespaces=nowhere'] });
      assert.equal(code, 1, said);
      assert.ok(said.startsWith(`workload-credentials: kubeconfig ${kubeconfig}: `), said);
      assert.doesNotMatch(said, /\n|Error:/);
    }
  });

  test('without a kubeconfig and outside of a cluster says which flag to give', async () => {
    const { code, said } = await endOf({ args: ['--leader-elect=false'] });
    assert.equal(code, 1);
    assert.match(said, /^workload-credentials: KUBERNETES_SERVICE_HOST .* pass --kubeconfig=FILE\.$/);
  });

  test('with a wrong command line names every mistake at once', async () => {
    const args = [
      '--namespace=shop',
      '--workers=0',
      '--log-level=loud',
      'shop',
      '--sts-endpoint=AWS=http://example.com=a',
    ];
    const { code, said } = await endOf({ kubeconfig: bed.kubernetes.admin.file, args });
    assert.equal(code, 2);
    for (const mistake of [
      /--namespace is no flag of this version/,
      /--workers is "0": it has to be a whole number from 1 to 256/,
      /--log-level is "loud": it has to be one of error, warn, info, debug/,
      /"shop" is no flag/,
      /--sts-endpoint .*http:\/\/example\.com/,
      /--lease-namespace is missing/,
    ]) {
      assert.match(said, mistake);
    }
  });

  test('whose port is taken says so', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const args = ['--leader-elect=false', '--namespaces=nowhere', `--listen-address=127.0.0.1:${port}`];
    const { code, said } = await endOf({ kubeconfig: bed.kubernetes.admin.file, args });
    server.close();
    assert.equal(code, 1);
    assert.match(said, new RegExp(`^workload-credentials: .*127\\.0\\.0\\.1:${port}`));
  });

  const reach = scope === 'clusterWide' ? 'every namespace' : 'the namespaces that the chart names, and none else';
  test(`serves and has rights in ${reach}`, async () => {
    await apply(unserved);
    if (scope === 'clusterWide') await bed.untilIssued(unserved);
    const asOperator = { as: 'system:serviceaccount:wc-system:wc' };
    const rights = ['create serviceaccounts/token', 'get secrets', 'create secrets', 'list workloadcredentials'];
    const may = async (right: string, namespace: string): Promise<string> => {
      const [verb = '', resource = ''] = right.split(' ');
      const [kind = '', subresource] = resource.split('/');
      const about = subresource === undefined ? [kind] : [kind, `--subresource=${subresource}`];
      return (
        await bed.kubernetes.kubectl(['auth', 'can-i', verb, ...about, '-n', namespace], asOperator)
      ).stdout.trim();
    };
    for (const right of rights) {
      assert.equal(await may(right, 'faults'), 'yes', right);
      assert.equal(await may(right, unserved.namespace), scope === 'clusterWide' ? 'yes' : 'no', right);
    }
  });
});

describe('the chart', () => {
  test('rendered for people without Helm is what is in deploy/', async () => {
    const helm = (await ensureBinaries(['helm'])).path('helm');
    for (const [path, rendered] of renderDeploy(helm)) {
      assert.equal(rendered, readFileSync(new URL(path, ROOT), 'utf8'), `${path}: node tools/render-deploy.ts`);
    }
  });

  test('without a scope, or with two, is refused with the choice to make', async () => {
    const chart = new URL('helm', ROOT).pathname;
    const neither = await bed.kubernetes.helm(['template', 'x', chart]);
    assert.match(neither.stderr, /choose what the operator may reach: namespaces=\{a,b\}/);
    const both = await bed.kubernetes.helm(['template', 'x', chart, '--set', 'clusterWide=true,namespaces={a}']);
    assert.match(both.stderr, /namespaces and clusterWide are both set/);
    assert.deepEqual([neither.code, both.code], [1, 1]);
  });
});

interface SpecCase {
  readonly name: string;
  readonly wantMessage?: string;
  readonly object: { readonly metadata: { readonly name: string } };
}

interface UpdateCase {
  readonly name: string;
  readonly wantMessage?: string;
  readonly before?: object;
  readonly after?: object;
}

function fixture<T>(name: string): T[] {
  return load(readFileSync(new URL(`test/fixtures/${name}.yaml`, ROOT), 'utf8')) as T[];
}

describe('the API server', () => {
  const path = credentialsPath('updates');
  const dryRun = 'dryRun=All&fieldValidation=Strict';

  test('refuses every bad spec with our sentence', async (context) => {
    const cases = fixture<SpecCase>('bad-specs');
    for (const { name, wantMessage = assert.fail('a message'), object } of cases) {
      const { status, body } = await bed.client.send('POST', `${path}?${dryRun}`, object);
      const { message } = body as { message?: string };
      assert.ok(status === 422 || status === 400, `${name}: it was answered with ${status}`);
      assert.ok(message?.includes(wantMessage), `${name}: ${message}`);
    }
    context.diagnostic(`${cases.length} bad specs`);
  });

  test('tells kubectl what is wrong with a malformed ARN', async () => {
    const aws = { roleARN: 'arn:aws:iam::1234:role/orders', region: 'us-east-1' };
    const object = manifest({ namespace: 'updates', name: 'orders', aws });
    const { code, stderr } = await bed.kubernetes.kubectl(['apply', '-f', '-'], { stdin: JSON.stringify(object) });
    assert.equal(code, 1);
    assert.match(stderr, /spec\.aws\.roleARN must be .*arn:aws:iam::123456789012:role\//);
  });

  test('takes every good spec', async (context) => {
    const cases = fixture<SpecCase>('good-specs');
    for (const { name, object } of cases) {
      const { status, body } = await bed.client.send('POST', `${path}?${dryRun}`, object);
      assert.equal(status, 201, `${name}: ${JSON.stringify(body)}`);
    }
    context.diagnostic(`${cases.length} good specs`);
  });

  test('judges updates as the table says', async () => {
    const aws = { roleARN: seaweedFS.roleARN('app'), region: 'us-east-1' };
    for (const { name, before: was, after: becomes, wantMessage } of fixture<UpdateCase>('updates')) {
      const withSecret = (secret: object | undefined): Record<string, unknown> =>
        secret === undefined ? {} : { secret };
      const object = manifest({ namespace: 'updates', name: 'orders', aws, spec: withSecret(was) });
      const created = await bed.client.send('POST', path, object);
      assert.equal(created.status, 201, `${name}: ${JSON.stringify(created.body)}`);
      const { spec } = manifest({ namespace: 'updates', name: 'orders', aws, spec: withSecret(becomes) }) as {
        spec: object;
      };
      // A PUT would name a version, and an operator that serves this namespace, too, writes the next one.
      const change = [{ op: 'replace', path: '/spec', value: spec }];
      const { status, body } = await bed.client.send('PATCH', `${path}/orders?${dryRun}`, change, JSON_PATCH);
      await bed.client.send('DELETE', `${path}/orders`);
      const { message = '' } = body as { message?: string };
      assert.equal(status, wantMessage === undefined ? 200 : 422, `${name}: ${message}`);
      assert.ok(message.includes(wantMessage ?? ''), `${name}: ${message}`);
    }
  });
});

describe('an STS that', { concurrency: 16 }, () => {
  for (const [title, { action, reason, says, denied }] of Object.entries(FAULTS)) {
    test(`answers with ${title} is explained, the last good Secret stays, and it recovers`, async (context) => {
      const key = faulty(title);
      const proxy = proxyOf(key);
      await apply(key);
      await bed.untilIssued(key);
      const good = await secretOf(key);
      const reader = bed.reader(key);
      await reader.look();
      proxy.fail(action);
      await requestRefresh(key, '1');
      const { message, status } = await bed.untilReason(key, ['Refreshed', reason], 30_000);
      assert.equal(status, 'False');
      assert.match(message, says);
      assert.ok(!message.includes('\n') && message.length <= 1_024 && message.endsWith('.'), message);
      const ready = conditionOf(await bed.client.credential(key.namespace, key.name), 'Ready');
      assert.deepEqual([ready?.status, ready?.reason], ['True', 'RefreshFailing']);
      assert.ok(ready?.message.startsWith(`Secret "${key.name}" holds a live credential until `), ready?.message);
      assert.ok(ready?.message.endsWith(`but replacing it fails: ${message}`), ready?.message);
      assert.deepEqual(await secretOf(key), good);

      const failed = proxy.calls.length - 1;
      proxy.heal();
      const healedAtMs = Date.now();
      if (denied === true) {
        await requestRefresh(key, '2');
        // A rejected token is tried once more by itself, too: which of the two comes first is a matter of milliseconds.
        const isAnswered = ({ status: seen }: CredentialSeen): boolean => seen.lastHandledRefreshRequest === '2';
        await bed.until(key, 'the second request to be answered', isAnswered, 40_000);
      }
      const recovered = await bed.untilIssued(key, 40_000);
      const next = await secretOf(key);
      assert.notEqual(accessKeyID(next), accessKeyID(good));
      assert.equal(recovered.status.consecutiveFailures, 0);
      assert.equal(recovered.status.accessKeyID, accessKeyID(next));
      const told = async (): Promise<boolean> => {
        const reasons = new Set((await bed.events(key)).map((event) => event.reason));
        return reasons.has('Issued') && reasons.has(reason) && reasons.has('Recovered');
      };
      await waitFor(`the Events Issued, ${reason} and Recovered of ${key.name}`, told, { timeoutMs: 10_000 });
      await reader.look();
      await reader.assertNeverExpired();
      const by = denied === true ? 'when asked again' : 'by itself';
      tellFault(context, {
        fault: 'STS refusing, failing or lying, once',
        bed: 'real',
        did: `${title}: ${failed} failed call${failed === 1 ? '' : 's'}, Refreshed=False ${reason}, the Secret untouched; recovered ${by} with 1 exchange`,
        lateMs: lateness(reader.replacedAtMs, healedAtMs),
        seen: reader.describe(),
      });
    });
  }

  test('answers 2 s before its deadline is waited for, and called once', async (context) => {
    await apply(slow);
    await bed.untilIssued(slow);
    const good = accessKeyID(await secretOf(slow));
    const reader = bed.reader(slow);
    await reader.look();
    const proxy = proxyOf(slow);
    proxy.fail(STS_FAULTS.slow);
    const calls = proxy.calls.length;
    const askedAtMs = Date.now();
    await requestRefresh(slow, '1');
    const isDone = (credential: CredentialSeen): boolean => credential.status.lastHandledRefreshRequest === '1';
    const { status } = await bed.until(slow, 'the refresh', isDone, 30_000);
    proxy.heal();
    assert.notEqual(accessKeyID(await secretOf(slow)), good);
    assert.equal(proxy.calls.length, calls + 1);
    assert.equal(status.consecutiveFailures, 0);
    assert.equal(status.lastFailure, undefined);
    await reader.look();
    await reader.assertNeverExpired();
    const lateMs = lateness(reader.replacedAtMs, askedAtMs);
    assert.ok(lateMs > STS_FAULTS.slow.delayMs - 500 && lateMs < 20_000, `${lateMs} ms`);
    assert.deepEqual(
      (await bed.events(slow)).map((event) => event.reason),
      ['Issued'],
    );
    tellFault(context, {
      fault: 'STS slow: 8 s of a 10 s deadline',
      bed: 'real',
      did: '1 exchange, no failure, no Warning (late: while it is slow)',
      lateMs,
      seen: reader.describe(),
    });
  });

  test('cannot be reached is explained, and no Secret is made', async () => {
    const { host } = new URL(proxyOf(unreachable).url);
    await proxyOf(unreachable).stop();
    await apply(unreachable);
    const { message } = await bed.untilReason(unreachable, ['Reconciling', 'STSUnavailable']);
    assert.match(
      message,
      new RegExp(`^STS at ${host} gave no answer for \\S+: .*check egress and DNS to the endpoint\\.$`),
    );
    assert.equal(await bed.client.secret(unreachable.namespace, unreachable.name), undefined);
  });

  test('has only ever lied gets no Secret made, until it tells the truth', async () => {
    proxyOf(never).fail(STS_FAULTS.emptyAnswer);
    await apply(never);
    await bed.untilReason(never, ['Reconciling', 'InvalidResponse']);
    assert.equal(await bed.client.secret(never.namespace, never.name), undefined);
    proxyOf(never).heal();
    await bed.untilIssued(never, 40_000);
  });
});

describe('afterwards', () => {
  test('a namespace that is not served was not touched, and nothing was forbidden', async () => {
    const calls = await bed.calls();
    if (scope !== 'clusterWide') {
      assert.deepEqual((await bed.client.credential(unserved.namespace, unserved.name))?.status.conditions, undefined);
      const isOutside = ({ objectRef }: AuditEvent): boolean =>
        ![...scope, SYSTEM_NAMESPACE].includes(objectRef?.namespace ?? '');
      assert.deepEqual(calls.filter(isOutside).map(describeCall), []);
    }
    const refusals = calls.filter(({ responseStatus }) => responseStatus?.code === 403);
    assert.deepEqual(refusals.map(describeCall), []);
  });

  test('no redirect was followed', () => {
    assert.equal(trapConnections, 0);
  });

  test('no error was logged', () => {
    assert.deepEqual(
      bed.logged('error').map(({ text }) => text),
      [],
    );
  });

  test('nothing secret was emitted, by those that failed neither', async (context) => {
    const ended = shortLived.map((operator, index) => ({
      name: `operator that ended ${index}`,
      text: `${operator.output()}${operator.commandLine}`,
    }));
    assert.ok(rewrittenSecrets.length >= 2);
    const secrets = [...bed.secrets(), ...rewrittenSecrets];
    context.diagnostic(`${secrets.length} secrets looked for`);
    assert.deepEqual(await bed.scan(ended, rewrittenSecrets), []);
  });
});
