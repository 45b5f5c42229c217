// Promises: a Secret that its owner hands over keeps everything that is its owner's, whatever happens: other keys, labels,
// annotations, and its life. Consent is acted on at once, and so is its end. Nothing of what others keep in it gets out.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { scanForSecrets } from '../beds/canary.ts';
import { type OperatorBed, type RunningOperator, type Scene, startOperatorBed } from '../support/operator-bed.ts';

const DOMAIN = 'workloadcredentials.io';
const STATUS = 'PATCH workloadcredentials/orders/status 200';
const CONSENT = {
  metadata: { labels: { [`${DOMAIN}/name`]: 'orders' }, annotations: { [`${DOMAIN}/adopt`]: 'orders' } },
};
const WITHDRAWAL = { metadata: { annotations: { [`${DOMAIN}/adopt`]: null } } };
/** What an application keeps in its Secret, and must not be found anywhere else. */
const THEIRS = 'correct-horse-battery-staple';
const base64 = (text: string): string => Buffer.from(text).toString('base64');

describe('a Secret that its owner hands over', { timeout: 60_000 }, () => {
  let bed: OperatorBed;
  let running: RunningOperator;
  before(async () => {
    bed = await startOperatorBed({ maxSessionSeconds: 3600 });
    running = await bed.start();
  });
  after(async () => {
    await bed.stop();
  });

  /** An application's Secret `orders`, with the resource's consent or without. */
  async function foreign(change: object = CONSENT, data: Record<string, string> = {}): Promise<Scene> {
    const scene = await bed.scene();
    await scene.createSecret({ metadata: { name: 'orders' }, data: { password: base64(THEIRS), ...data } });
    await scene.patchSecret({ metadata: { labels: { app: 'orders' }, annotations: { 'example.com/note': 'stays' } } });
    await scene.patchSecret(change);
    return scene;
  }

  async function adopted(spec = {}, data: Record<string, string> = {}): Promise<Scene> {
    const scene = await foreign(CONSENT, data);
    await scene.issued(spec);
    return scene;
  }

  function assertTheirs(scene: Scene): void {
    const { data, metadata } = scene.secret() ?? {};
    assert.equal(data?.['password'], base64(THEIRS));
    assert.equal(metadata?.labels?.['app'], 'orders');
    assert.equal(metadata.annotations?.['example.com/note'], 'stays');
    assert.equal(metadata.ownerReferences, undefined);
    assert.equal(metadata.annotations[`${DOMAIN}/owner-uid`], undefined);
  }

  const annotation = (scene: Scene, name: string): string | undefined =>
    scene.secret()?.metadata.annotations?.[`${DOMAIN}/${name}`];

  test('is taken at once, in the middle of the back-off of the conflict: our keys come, theirs stay', async () => {
    const scene = await foreign({}, { config: base64('theirs') });
    const uid = scene.secret()?.metadata.uid;
    await scene.apply();
    const { message } = await scene.until('Stalled', 'SecretConflict');
    await scene.quiet();
    assert.equal(scene.seen().sts.length, 0);
    const [, label = '', annotate = ''] = /: (kubectl label .*) && (kubectl annotate .*)$/.exec(message) ?? [];
    const namespace = scene.namespace;
    assert.equal(label, `kubectl label secret orders -n ${namespace} --overwrite ${DOMAIN}/name=orders`);
    assert.equal(annotate, `kubectl annotate secret orders -n ${namespace} --overwrite ${DOMAIN}/adopt=orders`);
    const atMs = bed.clock.now();
    await scene.patchSecret({ metadata: { labels: CONSENT.metadata.labels } });
    await scene.quiet();
    assert.equal(scene.seen().sts.length, 0, 'the label alone is no consent');
    await scene.patchSecret({ metadata: { annotations: CONSENT.metadata.annotations } });
    await scene.ready();
    assert.ok(bed.clock.now() - atMs < 30_000, `after ${bed.clock.now() - atMs} ms`);
    assert.equal(scene.seen().sts.length, 1);
    assert.deepEqual(Object.keys(scene.secret()?.data ?? {}).toSorted(), ['config', 'credentials.json', 'password']);
    assert.match(scene.value('config'), /credential_process/, 'a key of ours that was there is ours now');
    assert.equal(scene.secret()?.metadata.uid, uid);
    assert.equal(annotation(scene, 'adopt'), 'orders');
    assert.equal(annotation(scene, 'data-keys'), 'config,credentials.json');
    assertTheirs(scene);
    const line = await running.said('Secret adopted');
    assert.deepEqual([line['keys'], line['replacedKeys']], [['config', 'credentials.json'], ['config']]);
  });

  test('is refreshed as cheaply as one of ours', async () => {
    const scene = await adopted();
    await scene.refreshed();
    assert.deepEqual(scene.seen().calls, ['POST serviceaccounts/orders/token 201', 'PATCH secrets/orders 200', STATUS]);
    assert.equal(scene.seen().sts.length, 1);
    assertTheirs(scene);
  });

  test('whose owner changes its own keys costs one read, no write and no exchange', async () => {
    const scene = await adopted();
    const accessKeyID = scene.accessKeyID();
    for (const round of ['1', '2', '3']) {
      scene.forget();
      await scene.patchSecret({ data: { theirs: base64(round) } });
      await bed.until('the read', () => scene.seen().calls.includes(STATUS));
      await scene.quiet();
      assert.deepEqual(scene.seen(), { calls: ['GET secrets/orders 200', STATUS], sts: [] });
    }
    assert.equal(scene.accessKeyID(), accessKeyID);
    assert.equal(scene.condition('Ready')?.reason, 'Issued');
  });

  test('whose keys of ours somebody changes gets a new credential, and keeps the rest', async () => {
    const scene = await adopted();
    const before = scene.accessKeyID();
    await bed.clock.skip(61_000);
    await scene.patchSecret({ data: { 'credentials.json': 'e30=' } });
    await bed.until('a new credential', () => ![before, undefined].includes(scene.accessKeyID()));
    await scene.quiet();
    assert.equal(scene.seen().sts.length, 1);
    assertTheirs(scene);
  });

  test('whose note of our keys somebody edits is put right, and nothing of its owner is removed by it', async () => {
    const scene = await adopted();
    await bed.clock.skip(61_000);
    await scene.patchSecret({
      metadata: { annotations: { [`${DOMAIN}/data-keys`]: 'config,credentials.json,password' } },
    });
    await bed.until('the note', () => annotation(scene, 'data-keys') === 'config,credentials.json');
    await scene.quiet();
    assertTheirs(scene);
  });

  test('is rendered anew without an exchange: keys that we drop go, those of others stay', async () => {
    const scene = await adopted();
    const accessKeyID = scene.accessKeyID();
    await scene.apply({ secret: { formats: ['Environment'] } });
    await bed.until('the variables', () => scene.value('AWS_ACCESS_KEY_ID') === accessKeyID);
    await scene.quiet();
    assert.equal(scene.seen().sts.length, 0);
    const keys = ['AWS_ACCESS_KEY_ID', 'AWS_REGION', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'password'];
    assert.deepEqual(Object.keys(scene.secret()?.data ?? {}).toSorted(), keys);
    assertTheirs(scene);
  });

  test('gets its label back without an exchange', async () => {
    const scene = await adopted();
    await scene.patchSecret({ metadata: { labels: { [`${DOMAIN}/name`]: null } } });
    await bed.until('the label', () => scene.secret()?.metadata.labels?.[`${DOMAIN}/name`] === 'orders');
    await scene.quiet();
    assert.equal(scene.seen().sts.length, 0);
  });

  test('stays when the resource goes, and a new resource of that name takes it again', async () => {
    const scene = await adopted({ secret: { deletionPolicy: 'Delete' } });
    const before = scene.accessKeyID();
    await scene.delete('orders', 'Foreground');
    await bed.until('the end of the resource', () => scene.credential() === undefined);
    await scene.quiet();
    await bed.clock.skip(1_000);
    assert.equal(scene.accessKeyID(), before);
    assertTheirs(scene);
    await scene.apply({ secret: { formats: ['StaticFile'] } });
    await scene.ready();
    assert.equal(annotation(scene, 'adopter-uid'), scene.credential()?.metadata.uid);
    assert.deepEqual(
      Object.keys(scene.secret()?.data ?? {}).toSorted(),
      ['credentials', 'password'],
      'the former keys go',
    );
    assertTheirs(scene);
  });

  test('is left as it is when its consent is taken back, and goes on without an exchange when that is given again', async () => {
    const scene = await adopted();
    await scene.patchSecret(WITHDRAWAL);
    const { message } = await scene.until('Stalled', 'SecretConflict');
    assert.match(message, /not any more/);
    const left = scene.secret();
    await scene.annotate({ [`${DOMAIN}/refresh-requested`]: 'now' });
    await scene.quiet();
    await bed.clock.skip(200_000);
    assert.deepEqual(scene.secret(), left);
    assert.ok(!scene.seen().calls.some((call) => /token|^(POST|PATCH|DELETE) secrets/.test(call)));
    await scene.annotate({ [`${DOMAIN}/refresh-requested`]: '' });
    await scene.patchSecret(CONSENT);
    await bed.until('Ready', () => scene.condition('Ready')?.status === 'True');
    await scene.quiet();
    assertTheirs(scene);
  });

  test('and is immutable, of another type or of a controller is refused in words, and never deleted', async () => {
    for (const [change, what] of [
      [{ immutable: true }, /is immutable/],
      [{ type: 'example.com/password' }, /is of type "example.com\/password"/],
      ['controller', /has a controller/],
    ] as const) {
      const scene = await bed.scene();
      const metadata = { name: 'orders', ...CONSENT.metadata };
      // The collector takes what an owner leaves behind that is not there.
      const { uid } =
        bed.sandbox.apiServer.registry.store.get('/serviceaccounts', scene.namespace, 'orders')?.metadata ?? {};
      const owner = { apiVersion: 'v1', kind: 'ServiceAccount', name: 'orders', uid, controller: true };
      const made =
        change === 'controller' ? { metadata: { ...metadata, ownerReferences: [owner] } } : { metadata, ...change };
      await scene.createSecret({ data: { password: base64(THEIRS) }, ...made });
      const before = scene.secret();
      await scene.apply();
      const { message } = await scene.until('Stalled', 'SecretConflict');
      assert.match(message, what);
      await bed.clock.skip(120_000);
      assert.deepEqual(scene.secret(), before);
      const { calls, sts } = scene.seen();
      assert.equal(sts.length, 0);
      assert.ok(!calls.some((call) => /token|^(POST|PATCH|DELETE) secrets/.test(call)), calls.join('\n'));
    }
  });

  test('and becomes immutable keeps its credential until that ends, and is never deleted', async () => {
    const scene = await adopted();
    const before = scene.accessKeyID();
    await scene.patchSecret({ immutable: true });
    const { status } = await scene.until('Ready', 'RefreshFailing');
    assert.equal(status, 'True');
    assert.equal(scene.condition('Refreshed')?.reason, 'SecretConflict');
    await bed.clock.skip(3_700_000, 5_000);
    await scene.until('Ready', 'Expired');
    assert.equal(scene.accessKeyID(), before);
    assert.ok(!scene.seen().calls.includes('DELETE secrets/orders 200'));
    assert.equal(scene.seen().sts.length, 0);
  });

  test('and deleted by its owner is replaced by one of ours', async () => {
    const scene = await adopted();
    await bed.clock.skip(61_000);
    await scene.deleteSecret();
    await bed.until('one of ours', () => scene.secret()?.metadata.ownerReferences?.length === 1);
    await scene.ready();
    assert.deepEqual(Object.keys(scene.secret()?.data ?? {}).toSorted(), ['config', 'credentials.json']);
    assert.equal(annotation(scene, 'adopter-uid'), undefined);
  });

  test('goes to the older of two resources that name it, and to nobody without its consent', async () => {
    const scene = await foreign();
    await scene.issued();
    await bed.clock.skip(2_000);
    await scene.apply({ secret: { name: 'orders' } }, 'younger');
    await scene.until('Stalled', 'SecretInUse', 'younger');
    await scene.delete('orders');
    await scene.until('Stalled', 'SecretConflict', 'younger');
    await scene.quiet();
    assertTheirs(scene);
    assert.equal(annotation(scene, 'adopt'), 'orders');
  });

  test('and rewritten by its owner again and again costs an exchange a minute at most', async () => {
    const scene = await adopted();
    const { metadata } = scene.secret() ?? {};
    const restored = Object.fromEntries(
      Object.keys(metadata?.annotations ?? {})
        .filter((key) => key.startsWith(DOMAIN) && key !== `${DOMAIN}/adopt`)
        .map((key) => [key, null]),
    );
    for (let round = 0; round < 5; round += 1) {
      await scene.patchSecret({
        metadata: { annotations: restored },
        data: { config: null, 'credentials.json': null },
      });
      await scene.quiet();
      await bed.clock.skip(2_000);
    }
    await scene.until('Stalled', 'SecretContested');
    assert.ok(scene.seen().sts.length <= 1, `${scene.seen().sts.length} exchanges`);
    await bed.clock.skip(200_000);
    await scene.ready();
    assertTheirs(scene);
  });

  test('tells nobody what else is in it', async () => {
    const { apiServer } = bed.sandbox;
    const { body: metrics } = await running.get('/metrics');
    assert.ok(metrics.length > 100, 'metrics are not empty');
    const corpora = [...bed.emitted(), { name: 'metrics', text: metrics }];
    const held = apiServer.registry.store.list('/secrets');
    const issued = held
      .map(({ data }) => (data as Record<string, string> | undefined)?.['credentials.json'])
      .filter((text) => text !== undefined)
      .map((text) => JSON.parse(Buffer.from(text, 'base64').toString()) as Record<string, string>)
      .flatMap(({ SecretAccessKey = '', SessionToken = '' }) => [SecretAccessKey, SessionToken])
      .filter((text) => text !== '');
    assert.ok(issued.length > 4);
    assert.deepEqual(scanForSecrets(corpora, [THEIRS, ...issued]), []);
    assert.ok(scanForSecrets([{ name: 'Secrets', text: JSON.stringify(held) }], [THEIRS]).length > 0, 'it can fire');
    const errors = running.lines.filter(({ level }) => level === 'error');
    assert.deepEqual(errors, []);
  });
});
