// Promises: restarts, standbys and stops cost no exchange for what is not due; and nothing secret gets out, whatever of the
// above has happened. Counts come from what the servers saw.
import assert from 'node:assert/strict';
import { afterEach, before, after, describe, test } from 'node:test';
import { scanForSecrets } from '../beds/canary.ts';
import { type OperatorBed, type RunningOperator, type Scene, startOperatorBed } from '../support/operator-bed.ts';

const ELECTION = ['--leader-elect=true', '--lease-namespace=wc-system'];
const COUNT = 12;

describe('replicas', { timeout: 60_000 }, () => {
  let bed: OperatorBed;
  const texts: { name: string; text: string }[] = [];
  before(async () => {
    bed = await startOperatorBed({ maxSessionSeconds: 3600 });
  });
  afterEach(() => {
    bed.sandbox.apiServer.faults.clear();
  });
  after(async () => {
    await bed.stop();
  });

  /** What an operator tells the outside, kept for the canary. */
  async function keepMetrics(running: RunningOperator): Promise<void> {
    texts.push({ name: 'metrics', text: (await running.get('/metrics')).body });
  }

  function inStatus(scene: Scene): RegExp {
    return new RegExp(`/namespaces/${scene.namespace}/workloadcredentials/.*/status`);
  }

  test('a restart with credentials that are not due makes no exchange, no write and no read of an object', async () => {
    const scene = await bed.scene();
    const names = Array.from({ length: COUNT }, (_, index) => `orders-${index}`);
    const first = await bed.start();
    for (const name of names) await scene.apply({}, name);
    for (const name of names) await scene.ready(name);
    await keepMetrics(first);
    assert.equal(await first.stop(), 'stopped');
    scene.forget();
    const from = bed.sandbox.apiServer.requestLog.length;
    const second = await bed.start();
    await bed.until('all reconciles', async () => {
      const { body } = await second.get('/metrics');
      const counts = [...body.matchAll(/^controller_runtime_reconcile_total\{.*\} (\d+)$/gm)];
      return counts.reduce((sum, [, count]) => sum + Number(count), 0) >= COUNT;
    });
    await scene.quiet();
    assert.deepEqual(scene.seen(), { calls: [], sts: [] });
    const others = bed
      .operatorCalls(from)
      .filter(({ target }) => !target.includes('watch=true'))
      .map(({ method, target }) => `${method} ${target.split('?')[0]}`);
    assert.ok(
      others.every((call) => /^GET .*\/(workloadcredentials|secrets|serviceaccounts)$/.test(call)),
      others.join('\n'),
    );
    await keepMetrics(second);
    await second.stop();
  });

  test('an end between the Secret and its status costs no second exchange', async () => {
    const scene = await bed.scene();
    const first = await bed.start();
    bed.sandbox.apiServer.faults.add({
      match: { method: 'PATCH', pathPattern: inStatus(scene) },
      action: { kind: 'hang' },
    });
    await scene.apply();
    await bed.until('the Secret', () => scene.secret());
    const accessKeyID = scene.accessKeyID();
    const stopping = first.stop();
    await bed.clock.skip(20_000);
    await stopping;
    assert.equal(scene.credential()?.status?.accessKeyID, undefined);
    bed.sandbox.apiServer.faults.clear();
    const second = await bed.start();
    await scene.ready();
    assert.equal(scene.credential()?.status?.accessKeyID, accessKeyID);
    assert.equal(scene.seen().sts.length, 1);
    await second.stop();
  });

  test('a back-off survives a restart', async () => {
    const scene = await bed.scene();
    bed.trust(scene.roleARN, 'system:serviceaccount:elsewhere:orders');
    const first = await bed.start();
    await scene.apply();
    await scene.until('Stalled', 'AccessDenied');
    await scene.quiet();
    await first.stop();
    const second = await bed.start();
    await scene.quiet();
    await bed.clock.skip(30_000);
    assert.equal(scene.seen().sts.length, 1);
    await bed.clock.skip(40_000);
    await bed.until('the second try', () => scene.seen().sts.length === 2);
    await second.stop();
  });

  test('a standby does nothing but watch, and works as soon as the leader stops', async () => {
    const leader = await bed.start({ election: ELECTION, hostName: 'leader' });
    await leader.said('this replica works');
    const standby = await bed.start({ election: ELECTION, hostName: 'standby' });
    const scene = await bed.scene();
    await scene.issued();
    assert.equal((await standby.get('/readyz')).status, 200);
    assert.ok(!standby.lines.some(({ message }) => message === 'this replica works'));
    const ours = (page: string): boolean => page.includes(`namespace="${scene.namespace}"`);
    assert.ok(ours((await leader.get('/metrics')).body));
    const idle = (await standby.get('/metrics')).body;
    assert.ok(!ours(idle), 'two replicas must not double a credential');
    // Keys of what came and went would pile up for as long as it stands by.
    assert.doesNotMatch(idle, /^workqueue_adds_total\{.*\} [1-9]/m);
    assert.equal(await leader.stop(), 'stopped');
    await bed.clock.skip(6_000, 500);
    await standby.said('this replica works');
    await scene.quiet();
    assert.deepEqual(scene.seen(), { calls: [], sts: [] });
    // By request: to skip half an hour, a busy machine may let the Lease run out on the way.
    await scene.annotate({ 'workloadcredentials.io/refresh-requested': 'by the standby' });
    await bed.until('the refresh', () => scene.credential()?.status?.lastHandledRefreshRequest === 'by the standby');
    assert.equal(scene.seen().sts.length, 1);
    await standby.stop();
  });

  test('who cannot renew the Lease aborts what is in flight, writes nothing more and ends as lost', async () => {
    const leader = await bed.start({ election: ELECTION, hostName: 'leader' });
    await leader.said('this replica works');
    const scene = await bed.scene();
    await scene.issued();
    bed.sandbox.apiServer.faults.add({
      match: { method: 'PUT', pathPattern: /\/leases\// },
      action: { kind: 'status', status: 503 },
    });
    bed.sandbox.aws.switches.mode = 'hang';
    await scene.annotate({ 'workloadcredentials.io/refresh-requested': 'now' });
    await scene.quiet();
    await bed.clock.skip(9_000, 500);
    bed.sandbox.aws.switches.mode = 'none';
    await bed.clock.skip(6_000, 500);
    assert.equal(await leader.ended, 'lost');
    const writes = scene.seen().calls.filter((call) => /^(PATCH|POST) (secrets|workload)/.test(call));
    assert.deepEqual(writes, []);
  });

  test('a stop lets what is in flight finish, and gives the Lease up', async () => {
    // The Lease that was lost above is left to expire.
    const starting = bed.start({ election: ELECTION, hostName: 'stopping' });
    await bed.clock.skip(25_000, 500);
    const running = await starting;
    await running.said('this replica works');
    const scene = await bed.scene();
    bed.sandbox.aws.switches.slowMs = 3_000;
    bed.sandbox.aws.switches.mode = 'slow';
    await scene.apply();
    await bed.until('the exchange', () => scene.seen().calls.some((call) => call.includes('token')));
    await new Promise((resolve) => setImmediate(resolve));
    const stopping = running.stop();
    await bed.clock.skip(5_000, 500);
    assert.equal(await stopping, 'stopped');
    bed.sandbox.aws.switches.mode = 'none';
    assert.equal(scene.condition('Ready')?.reason, 'Issued');
    assert.equal(scene.seen().sts.length, 1);
    const lease = bed.sandbox.apiServer.registry.store.get(
      'coordination.k8s.io/leases',
      'wc-system',
      'workload-credentials',
    );
    const spec = lease?.['spec'] as { holderIdentity?: string } | undefined;
    assert.ok(spec !== undefined);
    assert.equal(spec.holderIdentity ?? '', '');
  });

  test('a stop before anything has synced ends at once', async () => {
    bed.sandbox.apiServer.faults.add({ match: { pathPattern: /secrets/ }, action: { kind: 'hang' } });
    const running = await bed.start({ waitFor: 'operator started' });
    assert.equal((await running.get('/readyz')).status, 503);
    assert.equal((await running.get('/livez')).status, 200);
    assert.equal(await running.stop(), 'stopped');
  });

  test('nothing secret is in any log, event, status, metric or URL', () => {
    const { apiServer, aws } = bed.sandbox;
    const secrets = aws.issued.flatMap(({ secretAccessKey, sessionToken, webIdentityToken }) => [
      secretAccessKey,
      sessionToken,
      webIdentityToken,
    ]);
    assert.ok(secrets.length > 3 * COUNT);
    const objects = (collection: string): string => JSON.stringify(apiServer.registry.store.list(collection));
    texts.push(...bed.emitted(), { name: 'leases', text: objects('coordination.k8s.io/leases') });
    for (const { name, text } of texts) assert.ok(text.length > 100, `${name} is not empty`);
    assert.deepEqual(scanForSecrets(texts, secrets), []);
    // The scan can fire: in the Secrets they are.
    assert.ok(scanForSecrets([{ name: 'Secrets', text: objects('/secrets') }], secrets).length > 0);
  });
});
