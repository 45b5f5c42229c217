// Promises: whose Secret it is: what others delete, edit or own, what two resources share, and what stays when the resource
// goes. Nothing foreign is touched, and repairs cost no exchange unless the credential itself is lost.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type OperatorBed, type RunningOperator, type Scene, startOperatorBed } from '../support/operator-bed.ts';

const LABEL = 'workloadcredentials.io/name';
const STATUS = 'PATCH workloadcredentials/orders/status 200';

describe('ownership', { timeout: 60_000 }, () => {
  let bed: OperatorBed;
  let running: RunningOperator;
  before(async () => {
    bed = await startOperatorBed({ maxSessionSeconds: 3600 });
    running = await bed.start();
  });
  after(async () => {
    await bed.stop();
  });

  async function issued(spec = {}): Promise<Scene> {
    const scene = await bed.scene();
    await scene.issued(spec);
    return scene;
  }

  test('a deleted Secret comes back with a new credential', async () => {
    const scene = await issued();
    const uid = scene.secret()?.metadata.uid;
    await scene.deleteSecret();
    await bed.until('another Secret', () => scene.accessKeyID() !== undefined && scene.secret()?.metadata.uid !== uid);
    await scene.quiet();
    assert.equal(scene.seen().sts.length, 1);
    assert.equal(scene.condition('Ready')?.reason, 'Issued');
    assert.equal(scene.credential()?.status?.secret?.uid, scene.secret()?.metadata.uid);
  });

  test('a foreign Secret of that name is left alone without any exchange, and the credential is issued when it goes', async () => {
    const scene = await bed.scene();
    await scene.createSecret({ data: { theirs: 'dmFsdWU=' } });
    const foreign = scene.secret();
    scene.forget();
    await scene.apply();
    const { message } = await scene.until('Stalled', 'SecretConflict');
    assert.match(message, /Secret "orders" exists and does not belong/);
    await scene.quiet();
    await bed.clock.skip(200_000);
    assert.deepEqual(scene.secret(), foreign);
    assert.equal(scene.seen().sts.length, 0);
    const { calls } = scene.seen();
    assert.ok(!calls.some((call) => /token|^(POST|PATCH|DELETE) secrets/.test(call)), calls.join('\n'));
    await scene.deleteSecret();
    await bed.clock.skip(600_000, 5_000);
    await scene.ready();
    assert.equal(scene.seen().sts.length, 1);
    assert.notEqual(scene.accessKeyID(), undefined);
  });

  test('a foreign Secret that only bears our label is foreign all the same', async () => {
    const scene = await bed.scene();
    await scene.createSecret({ metadata: { name: 'orders', labels: { [LABEL]: 'orders' } }, data: { a: 'YQ==' } });
    const foreign = scene.secret();
    await scene.apply();
    await scene.until('Stalled', 'SecretConflict');
    await scene.quiet();
    assert.deepEqual(scene.secret(), foreign);
    assert.equal(scene.seen().sts.length, 0);
    await scene.deleteSecret();
    await scene.ready();
    assert.equal(scene.seen().sts.length, 1);
  });

  test('a removed label is put back without an exchange', async () => {
    const scene = await issued();
    const accessKeyID = scene.accessKeyID();
    await scene.patchSecret({ metadata: { labels: { [LABEL]: null, 'example.com/theirs': 'stays' } } });
    await bed.until('the label', () => scene.secret()?.metadata.labels?.[LABEL] === 'orders');
    await scene.quiet();
    assert.equal(scene.accessKeyID(), accessKeyID);
    assert.equal(scene.secret()?.metadata.labels?.['example.com/theirs'], 'stays');
    assert.equal(scene.seen().sts.length, 0);
  });

  test('a removed owner reference is put back without an exchange', async () => {
    const scene = await issued();
    await scene.patchSecret({ metadata: { ownerReferences: null } });
    await bed.until('the reference', () => scene.secret()?.metadata.ownerReferences?.length === 1);
    await scene.quiet();
    assert.deepEqual(scene.seen(), {
      calls: ['GET secrets/orders 200', 'PATCH secrets/orders 200', STATUS],
      sts: [],
    });
  });

  test('an annotation of ours that was edited is put back without an exchange', async () => {
    const scene = await issued();
    const name = 'workloadcredentials.io/render-hash';
    const before = scene.secret()?.metadata.annotations?.[name];
    await scene.patchSecret({ metadata: { annotations: { [name]: 'edited' } } });
    await bed.until('the annotation', () => scene.secret()?.metadata.annotations?.[name] === before);
    await scene.quiet();
    assert.equal(scene.seen().sts.length, 0);
  });

  test('an annotation of somebody else costs one read and no exchange', async () => {
    const scene = await issued();
    await scene.patchSecret({ metadata: { annotations: { 'example.com/theirs': 'stays' } } });
    await bed.until('the read', () => scene.seen().calls.length > 0);
    await scene.quiet();
    assert.deepEqual(scene.seen(), { calls: ['GET secrets/orders 200', STATUS], sts: [] });
    assert.equal(scene.secret()?.metadata.annotations?.['example.com/theirs'], 'stays');
  });

  test('edited data get a new credential, and an editor who persists gets one a minute', async () => {
    const scene = await issued();
    const before = scene.accessKeyID();
    await scene.patchSecret({ data: { 'credentials.json': 'e30=' } });
    await bed.until('a new credential', () => ![before, undefined].includes(scene.accessKeyID()));
    await scene.quiet();
    assert.equal(scene.seen().sts.length, 1);
    await scene.patchSecret({ data: { 'credentials.json': 'e30=' } });
    await scene.until('Stalled', 'SecretContested');
    await scene.quiet();
    assert.equal(scene.seen().sts.length, 1);
    await bed.clock.skip(125_000);
    await scene.ready();
    assert.equal(scene.seen().sts.length, 2);
  });

  test('an immutable Secret of ours is replaced when the refresh is due, with one exchange', async () => {
    const scene = await issued();
    const uid = scene.secret()?.metadata.uid;
    await scene.patchSecret({ immutable: true });
    await scene.quiet();
    scene.forget();
    await scene.refreshed();
    await bed.until('another Secret', () => ![uid, undefined].includes(scene.secret()?.metadata.uid));
    await scene.quiet();
    assert.equal(scene.secret()?.immutable, undefined);
    assert.equal(scene.seen().sts.length, 1);
    assert.ok(scene.seen().calls.includes('DELETE secrets/orders 200'), scene.seen().calls.join('\n'));
    assert.equal(scene.condition('Ready')?.reason, 'Issued');
  });

  test('the resource takes its Secret with it', async () => {
    const scene = await issued();
    await scene.delete();
    await bed.until('the end of the Secret', () => scene.secret() === undefined);
    await scene.quiet();
    assert.deepEqual(scene.seen(), { calls: [], sts: [] });
  });

  test('in the foreground, too, nothing is left and nothing is written on the way', async () => {
    const scene = await issued();
    await scene.delete('orders', 'Foreground');
    await bed.until('the end of both', () => scene.secret() === undefined && scene.credential() === undefined);
    await scene.quiet();
    assert.deepEqual(scene.seen(), { calls: [], sts: [] });
  });

  test('with Retain the Secret stays, and a new resource of that name takes it over', async () => {
    const scene = await issued({ secret: { deletionPolicy: 'Retain' } });
    assert.equal(scene.secret()?.metadata.ownerReferences, undefined);
    const uid = scene.secret()?.metadata.uid;
    await scene.delete();
    await bed.until('the end of the resource', () => scene.credential() === undefined);
    await scene.quiet();
    await bed.clock.skip(1_000);
    assert.equal(scene.secret()?.metadata.uid, uid);
    await scene.apply();
    await scene.ready();
    assert.equal(scene.secret()?.metadata.uid, uid);
    assert.equal(scene.secret()?.metadata.ownerReferences?.[0]?.uid, scene.credential()?.metadata.uid);
  });

  test('of two resources with one Secret the younger is Stalled and wakes when the older goes', async () => {
    const scene = await bed.scene();
    await scene.issued({ secret: { name: 'shared' } }, 'older');
    await bed.clock.skip(2_000);
    await scene.apply({ secret: { name: 'shared' } }, 'younger');
    const { message } = await scene.until('Stalled', 'SecretInUse', 'younger');
    assert.match(message, /"older"/);
    await scene.quiet();
    assert.equal(scene.seen().sts.length, 0);
    await scene.delete('older');
    await bed.until('the hand-over', () => scene.condition('Stalled', 'younger')?.reason !== 'SecretInUse');
    await bed.clock.skip(60_000);
    await scene.until('Ready', 'Issued', 'younger');
    assert.equal(scene.secret('shared')?.metadata.ownerReferences?.[0]?.name, 'younger');
  });

  test('a resource that is created anew under its old name does not believe the old Secret', async () => {
    const scene = await issued();
    const before = scene.accessKeyID();
    await scene.delete();
    await scene.apply();
    await bed.until('the new owner', () => {
      const owner = scene.secret()?.metadata.ownerReferences?.[0]?.uid;
      return owner !== undefined && owner === scene.credential()?.metadata.uid;
    });
    await scene.ready();
    assert.notEqual(scene.accessKeyID(), before);
  });

  test('a namespace that goes leaves nothing behind and logs no error', async () => {
    const scene = await issued();
    await scene.deleteNamespace();
    await bed.until('the end', () => scene.credential() === undefined && scene.secret() === undefined);
    await scene.quiet();
    assert.equal(scene.seen().sts.length, 0);
  });

  test('all this logs no error, and the operator remembers nothing of what is gone', async () => {
    const errors = running.lines.filter(({ level }) => level === 'error');
    assert.deepEqual(errors, []);
    await running.said('this replica works');
  });
});
