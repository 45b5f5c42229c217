// Promises: whatever the API server does, no answer that it lost and no write that it refused costs another exchange, and
// nothing is given up for good.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { type OperatorBed, type RunningOperator, type Scene, startOperatorBed } from '../support/operator-bed.ts';

describe('failures of the API server', { timeout: 60_000 }, () => {
  let bed: OperatorBed;
  let running: RunningOperator;
  before(async () => {
    bed = await startOperatorBed({ maxSessionSeconds: 900 });
    running = await bed.start();
  });
  afterEach(() => {
    bed.sandbox.apiServer.faults.clear();
  });
  after(async () => {
    await bed.stop();
  });

  async function issued(): Promise<Scene> {
    const scene = await bed.scene();
    await scene.issued();
    return scene;
  }

  function inSecrets(scene: Scene): RegExp {
    return new RegExp(`/namespaces/${scene.namespace}/secrets`);
  }

  function inStatus(scene: Scene): RegExp {
    return new RegExp(`/namespaces/${scene.namespace}/workloadcredentials/.*/status`);
  }

  async function refresh(scene: Scene): Promise<void> {
    await scene.annotate({ 'workloadcredentials.io/refresh-requested': `${bed.clock.now()}` });
  }

  test('a lost answer of the POST of a Secret costs no second exchange', async () => {
    const scene = await bed.scene();
    const pathPattern = inSecrets(scene);
    bed.sandbox.apiServer.faults.add({
      match: { method: 'POST', pathPattern },
      times: 1,
      action: { kind: 'loseAnswer' },
    });
    await scene.apply();
    await bed.until('the Secret', () => scene.secret());
    await bed.clock.skip(15_000);
    await scene.ready();
    assert.equal(scene.seen().sts.length, 1);
    assert.equal(scene.seen().calls.filter((call) => call.startsWith('POST secrets')).length, 1);
  });

  test('a lost answer of the PATCH of a Secret costs no second exchange', async () => {
    const scene = await issued();
    const before = scene.accessKeyID();
    const pathPattern = inSecrets(scene);
    bed.sandbox.apiServer.faults.add({
      match: { method: 'PATCH', pathPattern },
      times: 1,
      action: { kind: 'loseAnswer' },
    });
    await refresh(scene);
    await bed.until('the new credential', () => scene.accessKeyID() !== before);
    const written = scene.accessKeyID();
    await bed.clock.skip(20_000);
    await bed.until('status', () => scene.credential()?.status?.accessKeyID === written);
    await scene.until('Refreshed', 'Issued');
    await scene.quiet();
    assert.equal(scene.accessKeyID(), written);
    assert.equal(scene.seen().sts.length, 1);
  });

  test('a conflict on the Secret is looked into and written over, with the credential in hand', async () => {
    const scene = await issued();
    const before = scene.accessKeyID();
    bed.sandbox.apiServer.faults.add({
      match: { method: 'PATCH', pathPattern: inSecrets(scene) },
      times: 1,
      action: { kind: 'status', status: 409 },
    });
    await refresh(scene);
    await bed.until('the new credential', () => scene.accessKeyID() !== before);
    await scene.quiet();
    assert.equal(scene.seen().sts.length, 1);
    assert.equal(scene.condition('Refreshed')?.reason, 'Issued');
    assert.ok(scene.seen().calls.includes('PATCH secrets/orders 409'));
  });

  test('a Secret that cannot be written for minutes costs one exchange, and the credential in hand is written at last', async () => {
    const scene = await issued();
    const before = scene.accessKeyID();
    const stopFault = bed.sandbox.apiServer.faults.add({
      match: { method: 'PATCH', pathPattern: inSecrets(scene) },
      action: { kind: 'status', status: 503 },
    });
    await refresh(scene);
    await scene.until('Refreshed', 'KubernetesUnavailable');
    assert.equal(scene.condition('Ready')?.reason, 'RefreshFailing');
    await bed.clock.skip(120_000);
    await scene.quiet();
    assert.equal(scene.seen().sts.length, 1);
    assert.equal(scene.accessKeyID(), before);
    stopFault();
    await bed.clock.skip(65_000);
    await scene.until('Refreshed', 'Issued');
    assert.equal(scene.seen().sts.length, 1);
    assert.equal(
      scene.accessKeyID(),
      bed.sandbox.aws.issued.findLast(({ roleARN }) => roleARN === scene.roleARN)?.accessKeyID,
    );
  });

  test("a Secret that admission refuses is told in the API server's words", async () => {
    const scene = await bed.scene();
    bed.sandbox.apiServer.faults.add({
      match: { method: 'POST', pathPattern: inSecrets(scene) },
      times: 1,
      action: { kind: 'status', status: 403 },
    });
    await scene.apply();
    const { message } = await scene.until('Stalled', 'SecretWriteDenied');
    assert.match(message, /forbidden by a fault/);
    await bed.clock.skip(65_000);
    await scene.ready();
    assert.equal(scene.seen().sts.length, 1);
  });

  test('a status that cannot be written is written later, without another exchange', async () => {
    const scene = await issued();
    bed.sandbox.apiServer.faults.add({
      match: { method: 'PATCH', pathPattern: inStatus(scene) },
      times: 2,
      action: { kind: 'status', status: 500 },
    });
    await refresh(scene);
    await bed.until('two failures', () => scene.seen().calls.filter((call) => call.endsWith('500')).length > 0);
    await bed.clock.skip(30_000);
    await bed.until('status', () => scene.credential()?.status?.accessKeyID === scene.accessKeyID());
    await scene.quiet();
    assert.equal(scene.seen().sts.length, 1);
    assert.equal(scene.seen().calls.filter((call) => call.startsWith('PATCH secrets')).length, 1);
  });

  test('a lost answer of the status costs nothing but the same status again', async () => {
    const scene = await issued();
    bed.sandbox.apiServer.faults.add({
      match: { method: 'PATCH', pathPattern: inStatus(scene) },
      times: 1,
      action: { kind: 'loseAnswer' },
    });
    await refresh(scene);
    await bed.until('status', () => scene.credential()?.status?.accessKeyID === scene.accessKeyID());
    await bed.clock.skip(30_000);
    await scene.quiet();
    assert.equal(scene.seen().sts.length, 1);
    assert.equal(scene.condition('Ready')?.reason, 'Issued');
  });

  test('a conflict on the status is computed anew on the live object', async () => {
    const scene = await issued();
    bed.sandbox.apiServer.faults.add({
      match: { method: 'PATCH', pathPattern: inStatus(scene) },
      times: 1,
      action: { kind: 'status', status: 409 },
    });
    await refresh(scene);
    await bed.until('status', () => scene.seen().calls.filter((call) => call.includes('/status')).length === 2);
    await scene.quiet();
    assert.equal(scene.credential()?.status?.accessKeyID, scene.accessKeyID());
    assert.equal(scene.seen().sts.length, 1);
  });

  test('Retry-After of a 429 is waited for, and no worker with it', async () => {
    const scene = await bed.scene();
    bed.sandbox.apiServer.faults.add({
      match: { method: 'POST', pathPattern: new RegExp(`${scene.namespace}/serviceaccounts/.*/token`) },
      times: 1,
      action: { kind: 'status', status: 429, retryAfterSeconds: 40 },
    });
    await scene.apply();
    await scene.until('Reconciling', 'KubernetesThrottled');
    const other = await issued();
    assert.equal(other.condition('Ready')?.reason, 'Issued');
    await bed.clock.skip(35_000);
    const tokens = (): number => scene.seen().calls.filter((call) => call.includes('token')).length;
    assert.equal(tokens(), 1);
    assert.equal(scene.seen().sts.length, 0);
    await bed.clock.skip(15_000);
    await scene.ready();
    assert.equal(tokens(), 2);
  });

  test('a namespace that begins to go between the exchange and the write ends the key in silence', async () => {
    const scene = await issued();
    const warnings = (): number => running.lines.filter(({ level }) => level === 'warn' || level === 'error').length;
    const before = warnings();
    bed.sandbox.apiServer.faults.add({
      match: { method: 'POST', pathPattern: new RegExp(`${scene.namespace}/serviceaccounts/.*/token`) },
      times: 1,
      action: { kind: 'delay', ms: 300 },
    });
    await scene.deleteSecret();
    await bed.until('the look', () => scene.seen().calls.length > 0);
    await scene.deleteNamespace();
    await bed.clock.skip(10_000, 250);
    await bed.until('the end', () => scene.credential() === undefined);
    await scene.quiet();
    assert.equal(scene.secret(), undefined);
    assert.equal(warnings(), before, JSON.stringify(running.lines.slice(-3)));
  });

  test('watches that break lose nothing', async () => {
    const scene = await bed.scene();
    bed.sandbox.apiServer.compact();
    bed.sandbox.apiServer.faults.add({
      match: { method: 'GET', pathPattern: /watch=true/ },
      times: 4,
      action: { kind: 'status', status: 410 },
    });
    await bed.clock.skip(620_000, 5_000);
    await scene.apply();
    await scene.ready();
    assert.equal(scene.seen().sts.length, 1);
  });

  test('all this logs no error', () => {
    assert.deepEqual(
      running.lines.filter(({ level }) => level === 'error'),
      [],
    );
  });
});
