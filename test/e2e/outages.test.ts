// Shows on a real API server that its outages cost no exchange and expire no Secret: restarted, frozen, restored from an
// older etcd, with another authority and after the operator's own token was taken away; and that its memory, sockets and
// timers are what they were before. The operator reads a kubeconfig that names files, through a TLS front whose certificate
// can be changed.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AddressInfo } from 'node:net';
import { after, afterEach, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, createServer, type Server, type TLSSocket } from 'node:tls';
import { createAuthority } from '../../sandbox/certificates.ts';
import { type OperatorProcess, startOperator } from '../beds/operator.ts';
import { type SeaweedFSBed, startSeaweedFS } from '../beds/seaweedfs.ts';
import { STS_FAULTS } from '../beds/intercepting-proxy.ts';
import { waitFor } from '../beds/wait.ts';
import { tellFault } from '../support/fault-report.ts';
import { type Installation, manifest, startCluster, SYSTEM_NAMESPACE } from '../support/installation.ts';
import { scopeArguments, scopeFor } from '../support/scope.ts';
import { latenessOf } from '../support/secret-reader.ts';
import { assertBackTo, describeVitals, INSPECTED, type Vitals, vitalsOf } from '../support/vitals.ts';

const AUDIENCE = 'sts.seaweedfs.test';
const ACCOUNT = 'wc';
const KEYS = ['app-0', 'app-1', 'app-2', 'app-3'].map((name) => ({ namespace: 'shop', name }));
const LATER = { namespace: 'shop', name: 'later' };
const ALL = [...KEYS, LATER];
type Key = (typeof ALL)[number];

let bed: Installation;
let seaweedFS: SeaweedFSBed;
let front: Front;
let operator: OperatorProcess;
let args: readonly string[];
const operators: OperatorProcess[] = [];

/** Ends TLS and passes bytes on, so that certificates can be changed in front of a server that keeps its own. */
class Front {
  readonly #server: Server;
  readonly #sockets = new Set<TLSSocket>();

  constructor(target: { server: string; caPEM: string }) {
    this.#server = createServer((socket) => {
      const up = connect({ host: '127.0.0.1', port: Number(new URL(target.server).port), ca: target.caPEM });
      for (const [one, other] of [
        [socket, up],
        [up, socket],
      ] as const) {
        this.#sockets.add(one);
        one.on('error', () => other.destroy());
        one.once('close', () => {
          this.#sockets.delete(one);
          other.destroy();
        });
        one.pipe(other);
      }
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** From now on it shows a certificate of a new authority; who is connected is cut off. Gives the authority. */
  async renew(): Promise<string> {
    const authority = await createAuthority(`front-ca-${Math.random()}`);
    const names = { ips: ['127.0.0.1'], dns: ['localhost'] };
    const { certificatePEM, privateKeyPEM } = await authority.issueServer({ commonName: 'front' }, names);
    this.#server.setSecureContext({ cert: certificatePEM, key: privateKeyPEM });
    this.cut();
    return authority.certificatePEM;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.cut();
    await closed;
  }
}

function file(name: string): string {
  return join(bed.kubernetes.directory, name);
}

async function apply(key: Key): Promise<void> {
  const [proxy] = bed.proxies;
  const aws = { roleARN: seaweedFS.roleARN('app'), region: 'us-east-1', audience: AUDIENCE, endpoint: proxy?.url };
  await bed.apply(manifest({ ...key, aws }));
}

async function accessKeyID({ namespace, name }: Key): Promise<string> {
  const secret = await bed.client.secret(namespace, name);
  assert.ok(secret !== undefined);
  const pair = JSON.parse(secret.data['credentials.json'] ?? '{}') as { AccessKeyId: string; Expiration: string };
  assert.ok(Date.parse(pair.Expiration) > Date.now(), 'no Secret holds an expired credential');
  return pair.AccessKeyId;
}

async function requestRefresh(keys: readonly Key[], value: string): Promise<void> {
  const names = keys.map(({ name }) => name);
  const request = `workloadcredentials.io/refresh-requested=${value}`;
  await bed.kubectl('annotate', 'wcred', ...names, '-n', 'shop', '--overwrite', request);
}

/** Waits until the refresh has been made and told. */
async function untilRefreshed(keys: readonly Key[], value: string, timeoutMs = 60_000): Promise<void> {
  for (const key of keys) {
    await bed.until(
      key,
      `refresh ${value}`,
      ({ status }) => status.lastHandledRefreshRequest === value && status.consecutiveFailures === 0,
      timeoutMs,
    );
  }
}

/** Makes a refresh due that cannot be made yet: STS is out, as long as `heal` is not called. */
async function makeDue(value: string): Promise<() => void> {
  const [proxy] = bed.proxies;
  assert.ok(proxy !== undefined);
  const calls = proxy.calls.length;
  proxy.fail(STS_FAULTS.unavailable);
  await requestRefresh(KEYS, value);
  await waitFor('the calls to STS', () => proxy.calls.length >= calls + KEYS.length, {
    timeoutMs: 10_000,
    everyMs: 20,
  });
  return () => proxy.heal();
}

/** With nothing under way, and without the connections that pools keep for some seconds. */
async function atRest(): Promise<Vitals> {
  await sleep(5_000);
  return await vitalsOf(operator);
}

function exchanges(): number[] {
  return ALL.map((key) => bed.exchanges(key));
}

/** A token that ends when its Secret is deleted: the only way to end one early. */
async function mintToken(name: string): Promise<string> {
  await bed.kubectl('create', 'secret', 'generic', name, '-n', SYSTEM_NAMESPACE);
  const bound = ['--bound-object-kind=Secret', `--bound-object-name=${name}`];
  return (await bed.kubectl('create', 'token', ACCOUNT, '-n', SYSTEM_NAMESPACE, ...bound)).trim();
}

async function start(further: readonly string[]): Promise<OperatorProcess> {
  operator = await startOperator({ kubeconfig: file('kubeconfig'), args: [...args, ...further], nodeArgs: INSPECTED });
  operators.push(operator);
  await operator.waitUntilReady(60_000);
  return operator;
}

before(async () => {
  bed = await startCluster();
  const subjects = ALL.map(({ namespace, name }) => `system:serviceaccount:${namespace}:${name}`);
  seaweedFS = await startSeaweedFS({
    issuer: bed.kubernetes.issuer,
    caPEM: bed.kubernetes.caPEM,
    audience: AUDIENCE,
    roles: [{ name: 'app', subjects, bucket: 'app' }],
  });
  const proxy = await bed.addProxy(seaweedFS.url);
  await bed.createWorkloads(ALL);
  const scope = scopeFor('namespaces', [LATER.namespace]);
  await bed.install({ scope, endpoints: [{ url: proxy.url, audiences: [AUDIENCE] }] });
  bed.operator.signal('SIGTERM');
  await bed.operator.exited;
  front = new Front(bed.kubernetes);
  writeFileSync(file('ca.crt'), await front.renew());
  writeFileSync(file('token'), await mintToken('bound-1'));
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'bed', cluster: { server: await front.listen(), 'certificate-authority': 'ca.crt' } }],
    users: [{ name: 'bed', user: { tokenFile: 'token' } }],
    contexts: [{ name: 'bed', context: { cluster: 'bed', user: 'bed', namespace: SYSTEM_NAMESPACE } }],
    'current-context': 'bed',
  };
  writeFileSync(file('kubeconfig'), JSON.stringify(kubeconfig));
  const endpoint = `--sts-endpoint=AWS=${proxy.url}=${AUDIENCE}`;
  const often = '--min-refresh-interval-seconds=1';
  args = [...scopeArguments(scope), `--lease-namespace=${SYSTEM_NAMESPACE}`, endpoint, often, '--log-level=debug'];
  await start(['--leader-elect=false']);
  for (const key of KEYS) await apply(key);
  for (const key of KEYS) await bed.untilIssued(key, 30_000);
});

after(async () => {
  await Promise.all(operators.map(async (each) => await each.kill()));
  await front?.stop();
  await bed?.stop();
  await seaweedFS?.stop();
});

afterEach((context) => {
  if (!('error' in context) || context.error === null) return;
  const lines = operator.lines.slice(-60).map(({ text }) => text);
  process.stderr.write(`${lines.join('\n')}\n${bed.kubernetes.logs()}\n`);
});

describe('an API server', { timeout: 400_000 }, () => {
  let vitals: Vitals;

  test('that works is refreshed through, and the operator at rest is measured', async (context) => {
    await requestRefresh(KEYS, 'warm-up');
    await untilRefreshed(KEYS, 'warm-up');
    vitals = await atRest();
    context.diagnostic(`before the outages: ${describeVitals(vitals)}`);
  });

  test('that is killed and started again costs no exchange, and the next refresh is made', async (context) => {
    const readers = KEYS.map((key) => bed.reader(key));
    await Promise.all(readers.map(async (reader) => await reader.look()));
    const heal = await makeDue('restarted');
    await bed.kubernetes.killAPIServer();
    const before = exchanges();
    heal();
    await sleep(3_000);
    // Counted from its start, which takes it some seconds itself.
    const startedAtMs = Date.now();
    await bed.kubernetes.restartAPIServer();
    const readyMs = Date.now() - startedAtMs;
    await untilRefreshed(KEYS, 'restarted');
    assert.deepEqual(
      exchanges(),
      before.map((count, index) => count + (index < KEYS.length ? 1 : 0)),
    );
    tellFault(context, {
      fault: 'API server killed and started again',
      bed: 'real',
      did: `${KEYS.length} refreshes that were due all the time: 1 exchange each (late: from the start of its process, which was ready after ${(readyMs / 1_000).toFixed(1)} s)`,
      lateMs: await latenessOf(readers, startedAtMs),
      seen: readers[0]?.describe() ?? '',
    });
  });

  test('that shows a certificate of another authority is trusted again when the file has it', async (context) => {
    const readers = KEYS.map((key) => bed.reader(key));
    const before = exchanges();
    const authority = await front.renew();
    await requestRefresh(KEYS, 'distrusted');
    await sleep(3_000);
    assert.deepEqual(exchanges(), before, 'nothing is done with a server that is not trusted');
    writeFileSync(file('ca.crt'), authority);
    const changedAtMs = Date.now();
    await untilRefreshed(KEYS, 'distrusted');
    tellFault(context, {
      fault: 'serving certificate and its authority replaced',
      bed: 'real',
      did: '0 exchanges while the server was not trusted; the file with the new authority was read without a restart',
      lateMs: await latenessOf(readers, changedAtMs),
      seen: readers[0]?.describe() ?? '',
    });
  });

  test("that refuses the operator's token is shown the one that the file has by then", async (context) => {
    writeFileSync(file('token'), await mintToken('bound-2'));
    await bed.kubectl('delete', 'secret', 'bound-1', '-n', SYSTEM_NAMESPACE);
    // The API server remembers good tokens for 10 s.
    await sleep(11_000);
    const readers = KEYS.map((key) => bed.reader(key));
    const before = exchanges();
    const askedAtMs = Date.now();
    await requestRefresh(KEYS, 'rotated');
    await untilRefreshed(KEYS, 'rotated');
    assert.deepEqual(
      exchanges(),
      before.map((count, index) => count + (index < KEYS.length ? 1 : 0)),
    );
    // No call was left refused: a 401 is answered by one call with the token read anew.
    const refused = operator.lines.filter(({ text }) => text.includes(': 401 Unauthorized'));
    assert.ok(refused.length <= 3, refused.map(({ text }) => text).join('\n'));
    tellFault(context, {
      fault: "operator's token revoked and replaced",
      bed: 'real',
      did: `a refused call is made once more with the token that the file has; ${refused.length} told in the log; ${KEYS.length} refreshes: 1 exchange each`,
      lateMs: await latenessOf(readers, askedAtMs),
      seen: readers[0]?.describe() ?? '',
    });
  });

  test('that was restored from an older etcd is believed, and nothing is exchanged more than once for it', async (context) => {
    const copy = await bed.kubernetes.saveEtcd();
    await waitFor('the API server', async () => (await bed.kubernetes.kubectl(['get', '--raw=/readyz'])).code === 0, {
      timeoutMs: 30_000,
    });
    const old = await Promise.all(KEYS.map(accessKeyID));
    const versionOf = async (): Promise<number> =>
      Number(
        (await bed.client.get<{ metadata: { resourceVersion: string } }>('/api/v1/namespaces'))?.metadata
          .resourceVersion,
      );
    const saved = await versionOf();
    await requestRefresh(KEYS, 'to-be-lost');
    await untilRefreshed(KEYS, 'to-be-lost');
    await apply(LATER);
    await bed.untilIssued(LATER);
    const latest = await versionOf();
    const before = exchanges();
    const pid = operator.pid;
    await bed.kubernetes.restoreEtcd(copy);
    context.diagnostic(`resourceVersion ${latest} was followed by ${await versionOf()}, saved at ${saved}`);
    assert.deepEqual(await Promise.all(KEYS.map(accessKeyID)), old, 'the old Secrets are back');
    const asked = KEYS.slice(0, 2);
    const readers = asked.map((key) => bed.reader(key));
    await Promise.all(readers.map(async (reader) => await reader.look()));
    const askedAtMs = Date.now();
    await requestRefresh(asked, 'after-restore');
    await untilRefreshed(asked, 'after-restore');
    const lateMs = await latenessOf(readers, askedAtMs);
    await apply(LATER);
    await bed.untilIssued(LATER);
    await sleep(3_000);
    const more = exchanges().map((count, index) => count - (before[index] ?? 0));
    assert.deepEqual(more, [1, 1, 0, 0, 1], 'the two that were asked for, and the one that is new again');
    assert.equal(operator.pid, pid);
    const metrics = await operator.metrics();
    assert.match(metrics, /^workloadcredential_/m);
    tellFault(context, {
      fault: 'etcd restored from an older snapshot',
      bed: 'real',
      did: `went on without a restart though revisions went from ${latest} back to ${saved}; exchanges for 2 that were asked for, 2 that were not, 1 that was new again: ${more.join(', ')}`,
      lateMs,
      seen: `the older credential again, live; then ${readers[0]?.describe() ?? ''}`,
    });
  });

  test('that did all that has left the operator no heavier', async (context) => {
    const now = await atRest();
    context.diagnostic(`after four outages: ${describeVitals(now)}`);
    // The pools keep what they have opened for 45 s, more or less of it; a watch left open by each outage would be twelve.
    assertBackTo(vitals, now, { heapBytes: 4 << 20, sockets: 8, timers: 2 });
  });

  test('that is frozen for 20 s ends the leader, and its successor goes on without an exchange for what is not due', async (context) => {
    operator.signal('SIGTERM');
    assert.equal((await operator.exited).code, 0);
    const leader = await start([]);
    await leader.waitForLog('this replica works', 60_000);
    const readers = KEYS.map((key) => bed.reader(key));
    await Promise.all(readers.map(async (reader) => await reader.look()));
    const heal = await makeDue('thawed');
    bed.kubernetes.pauseAPIServer();
    const before = exchanges();
    heal();
    await sleep(20_000);
    bed.kubernetes.resumeAPIServer();
    const backAtMs = Date.now();
    assert.equal((await leader.exited).code, 1);
    // As the kubelet does.
    await start([]);
    await operator.waitForLog('this replica works', 60_000);
    const workedAtMs = Date.now();
    await untilRefreshed(KEYS, 'thawed');
    const more = exchanges().map((count, index) => count - (before[index] ?? 0));
    assert.deepEqual(more, [1, 1, 1, 1, 0]);
    tellFault(context, {
      fault: 'API server stopped by SIGSTOP for 20 s',
      bed: 'real',
      did: `the leader gave up its Lease and ended; started again, it worked ${((workedAtMs - backAtMs) / 1_000).toFixed(1)} s after the API server was back; ${KEYS.length} refreshes that were due all the time: 1 exchange each`,
      lateMs: await latenessOf(readers, backAtMs),
      seen: readers[0]?.describe() ?? '',
    });
  });

  test('did all that without one expired Secret, and without an unforeseen error', async () => {
    await Promise.all(KEYS.map(accessKeyID));
    const errors = operators.flatMap(({ lines }) => lines).filter(({ fields }) => fields?.['level'] === 'error');
    assert.deepEqual(
      errors.map(({ fields }) => fields?.['message']),
      ['this replica lost the Lease', 'the Lease was lost, another replica may work: this one ends'],
    );
  });
});
