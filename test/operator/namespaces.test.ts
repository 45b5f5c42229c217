// Promises: with named namespaces, one that is deleted, or whose Roles are, holds up nobody: the others are served also by a
// replica that starts only then, nothing in it costs a call but the look whether it is back, and when it is, it is served.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type OperatorBed, type RunningOperator, type Scene, startOperatorBed } from '../support/operator-bed.ts';

const OUT_OF_REACH = 'a namespace is out of reach, and is left alone until it is back; the others are served';
const WORKS = 'this replica works';
const ASKED = 'workloadcredentials.io/refresh-requested';

describe('a namespace of several that is forbidden', { timeout: 60_000 }, () => {
  let bed: OperatorBed;
  let kept: Scene;
  let lost: Scene;
  let flags: readonly string[];
  before(async () => {
    bed = await startOperatorBed({ maxSessionSeconds: 3600 });
    kept = await bed.scene();
    lost = await bed.scene();
    flags = [`--namespaces=${kept.namespace},${lost.namespace}`];
  });
  after(async () => {
    await bed.stop();
  });

  async function refresh(scene: Scene): Promise<void> {
    await scene.annotate({ 'workloadcredentials.io/refresh-requested': `${bed.clock.now()}` });
  }

  /** Nothing but lists that were refused. */
  function assertOnlyLooks(scene: Scene, resources: readonly string[]): void {
    const { calls, sts } = scene.seen();
    assert.deepEqual(
      [...new Set(calls)].toSorted(),
      resources.map((resource) => `GET ${resource} 403`),
    );
    assert.deepEqual(sts, []);
  }

  async function works(running: RunningOperator): Promise<void> {
    await bed.until('the replica to work', async () => {
      await bed.clock.skip(1_000);
      return running.lines.some(({ message }) => message === WORKS);
    });
  }

  /** As `none some unknown`: by the credentials that were seen there last. */
  async function outOfReach(running: RunningOperator): Promise<string> {
    const { body } = await running.get('/metrics');
    const of = (credentials: string): string | undefined =>
      new RegExp(`^workloadcredential_namespaces_out_of_reach\\{credentials="${credentials}"\\} (\\d+)$`, 'm').exec(
        body,
      )?.[1];
    return ['none', 'some', 'unknown'].map(of).join(' ');
  }

  test('is left alone by a replica that starts then, and served again when it is back', async () => {
    const first = await bed.start({ flags });
    for (const scene of [kept, lost]) {
      await scene.apply();
      await scene.ready();
    }
    assert.equal(await outOfReach(first), '0 0 0');
    await first.stop();

    const giveBack = bed.sandbox.apiServer.faults.add({
      match: { pathPattern: new RegExp(`/namespaces/${lost.namespace}/`) },
      action: { kind: 'status', status: 403 },
    });
    const second = await bed.start({ flags, waitFor: 'operator started' });
    assert.equal((await second.get('/readyz')).status, 503, 'not before it is sure');
    await works(second);
    assert.equal((await second.get('/readyz')).status, 200);
    assert.equal(await outOfReach(second), '0 0 1');
    const warnings = second.lines.filter(({ message }) => message === OUT_OF_REACH);
    assert.deepEqual(
      warnings.map(({ level, namespace, resource }) => `${level} ${String(namespace)} ${String(resource)}`).toSorted(),
      ['secrets', 'serviceaccounts', 'workloadcredentials'].map((resource) => `warn ${lost.namespace} ${resource}`),
    );

    kept.forget();
    const before = kept.accessKeyID();
    await refresh(kept);
    await bed.until('the refresh of the other', () => kept.accessKeyID() !== before);
    assert.equal(kept.seen().sts.length, 1);
    lost.forget();
    await bed.clock.skip(300_000);
    assertOnlyLooks(lost, ['secrets', 'serviceaccounts', 'workloadcredentials']);

    giveBack();
    const old = lost.accessKeyID();
    await refresh(lost);
    await bed.until('the namespace to be served', async () => {
      await bed.clock.skip(1_000);
      return lost.accessKeyID() !== old;
    });
    assert.equal(await outOfReach(second), '0 0 0');
    assert.equal(lost.seen().sts.length, 1);
    await second.stop();
  });

  test('is left alone also when only its Secrets are forbidden: each would be taken for missing', async () => {
    const giveBack = bed.sandbox.apiServer.faults.add({
      match: { method: 'GET', pathPattern: new RegExp(`/namespaces/${lost.namespace}/secrets`) },
      action: { kind: 'status', status: 403 },
    });
    const running = await bed.start({ flags, waitFor: 'operator started' });
    await works(running);
    const before = kept.accessKeyID();
    lost.forget();
    await refresh(lost);
    await refresh(kept);
    await bed.until('the refresh of the other', () => kept.accessKeyID() !== before);
    await bed.clock.skip(120_000);
    assertOnlyLooks(lost, ['secrets']);
    const { body } = await running.get('/metrics');
    assert.equal(await outOfReach(running), '0 1 0');
    assert.ok(body.includes(`namespace="${kept.namespace}"`) && !body.includes(`namespace="${lost.namespace}"`));
    // A key of what is not there (any more) is not kept: whoever may write there could make them without end.
    for (let index = 0; index < 20; index += 1) {
      await lost.apply({}, `gone-${index}`);
      await lost.delete(`gone-${index}`);
    }
    await bed.clock.skip(61_000);
    const looks = async (): Promise<number> => {
      const counts = (await running.get('/metrics')).body.matchAll(
        /^controller_runtime_reconcile_total\{.*\} (\d+)$/gm,
      );
      return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
    };
    const before20 = await looks();
    await bed.clock.skip(300_000);
    const further = (await looks()) - before20;
    assert.ok(further < 20, `${further} looks in five minutes at one key that waits`);
    giveBack();
    await bed.until('the refresh that was asked for', async () => {
      await bed.clock.skip(1_000);
      return lost.credential()?.status?.lastHandledRefreshRequest === lost.credential()?.metadata.annotations?.[ASKED];
    });
    assert.equal(lost.seen().sts.length, 1);
    await running.stop();
  });
});
