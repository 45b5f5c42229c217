// Promises: from apply to a Secret that stays fresh: which calls that costs, that nothing due costs none, and that a spec
// which cannot work is told in a sentence. Counts come from what the servers saw.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { formatTime } from '../../src/credential/record.ts';
import { type OperatorBed, type RunningOperator, type Scene, startOperatorBed } from '../support/operator-bed.ts';

const REFRESH = [
  'POST serviceaccounts/orders/token 201',
  'PATCH secrets/orders 200',
  'PATCH workloadcredentials/orders/status 200',
];

describe('issuing', { timeout: 60_000 }, () => {
  let bed: OperatorBed;
  let running: RunningOperator;
  let first: Scene;
  before(async () => {
    bed = await startOperatorBed({ maxSessionSeconds: 900 });
    first = await bed.scene();
    running = await bed.start();
  });
  after(async () => {
    await bed.stop();
  });

  /** How many reconciles have ended: only to know that one took place. */
  async function reconciles(): Promise<number> {
    const { body } = await running.get('/metrics');
    const counts = [...body.matchAll(/^controller_runtime_reconcile_total\{.*\} (\d+)$/gm)];
    return counts.reduce((sum, [, count]) => sum + Number(count), 0);
  }

  async function untilReconciled(work: () => Promise<void>): Promise<void> {
    const count = await reconciles();
    await work();
    await bed.until('a reconcile', () => running.operator.listening !== undefined);
    for (let tries = 0; (await reconciles()) === count; tries += 1) assert.ok(tries < 500, 'no reconcile took place');
  }

  test('apply becomes Ready with two reads, a token, a Secret, a status and one call to STS', async () => {
    first.forget();
    await first.apply();
    await first.ready();
    const { calls, sts } = first.seen();
    assert.deepEqual(calls, [
      'GET workloadcredentials/orders 200',
      'GET secrets/orders 404',
      'POST serviceaccounts/orders/token 201',
      'POST secrets 201',
      'PATCH workloadcredentials/orders/status 200',
    ]);
    assert.deepEqual(
      sts.map(({ outcome, sessionName }) => `${outcome} ${sessionName}`),
      [`Issued ${first.namespace}.orders.orders`],
    );
    const issued = bed.sandbox.aws.issued.find(({ roleARN }) => roleARN === first.roleARN);
    assert.deepEqual(JSON.parse(first.value('credentials.json')), {
      Version: 1,
      AccessKeyId: issued?.accessKeyID,
      SecretAccessKey: issued?.secretAccessKey,
      SessionToken: issued?.sessionToken,
      // Files say an end two minutes before the true one.
      Expiration: formatTime(Date.parse(first.credential()?.status?.expirationTime ?? '') - 120_000),
    });
    assert.equal(first.credential()?.status?.accessKeyID, issued?.accessKeyID);
    await bed.until('the event', () => first.events().length > 0);
    assert.deepEqual(first.events(), ['Normal Issued']);
  });

  test('a routine refresh is three calls to the API server, one to STS, and no event', async () => {
    const scene = await bed.scene();
    await scene.issued();
    const events = scene.events();
    for (let refreshes = 0; refreshes < 2; refreshes += 1) {
      scene.forget();
      const endMs = Date.parse(scene.credential()?.status?.expirationTime ?? '');
      await scene.refreshed();
      assert.ok(bed.clock.now() < endMs, 'it was replaced before its end');
      const { calls, sts } = scene.seen();
      assert.deepEqual(calls, REFRESH);
      assert.equal(sts.length, 1);
    }
    assert.deepEqual(scene.events(), events);
  });

  test('a reconcile with nothing due makes no call at all', async () => {
    const scene = await bed.scene();
    await scene.issued();
    await untilReconciled(() => scene.annotate({ 'example.com/note': 'touched' }));
    await scene.quiet();
    assert.deepEqual(scene.seen(), { calls: [], sts: [] });
  });

  test('another role is a new request, and is exchanged for at once', async () => {
    const scene = await bed.scene();
    await scene.issued();
    const roleARN = scene.roleARN.replace('role/orders', 'role/other');
    bed.trust(roleARN, `system:serviceaccount:${scene.namespace}:orders`);
    await scene.apply({ aws: { ...scene.aws(), roleARN } });
    await bed.until('the other role', () => scene.credential()?.status?.role === roleARN);
    assert.equal(scene.seen().sts.length, 1);
    assert.equal(scene.condition('Ready')?.reason, 'Issued');
  });

  test('other formats are rendered from what is in the Secret, without STS', async () => {
    const scene = await bed.scene();
    await scene.issued();
    const accessKeyID = scene.accessKeyID();
    assert.doesNotMatch(scene.condition('Ready')?.message ?? '', /environment variables/);
    await scene.apply({ secret: { formats: ['Files', 'Environment'] } });
    await bed.until('the other form', () => scene.value('AWS_ACCESS_KEY_ID') !== '');
    await scene.quiet();
    assert.equal(scene.value('AWS_ACCESS_KEY_ID'), accessKeyID);
    assert.equal(scene.accessKeyID(), accessKeyID);
    const since = `no container that was started before ${scene.credential()?.status?.issueTime} has it`;
    assert.ok(scene.condition('Ready')?.message.includes(since), scene.condition('Ready')?.message);
    assert.deepEqual(scene.seen(), {
      calls: ['GET secrets/orders 200', 'PATCH secrets/orders 200', 'PATCH workloadcredentials/orders/status 200'],
      sts: [],
    });
  });

  test('a requested refresh is made once, however often the resource is looked at', async () => {
    const scene = await bed.scene();
    await scene.issued();
    const before = scene.accessKeyID();
    await scene.annotate({ 'workloadcredentials.io/refresh-requested': 'now, please' });
    await bed.until('a new credential', () => scene.accessKeyID() !== before);
    await scene.quiet();
    assert.deepEqual(scene.seen().calls, REFRESH);
    assert.equal(scene.credential()?.status?.lastHandledRefreshRequest, 'now, please');
    await untilReconciled(() => scene.annotate({ 'example.com/note': 'touched' }));
    await scene.quiet();
    assert.equal(scene.seen().sts.length, 1);
  });

  test('who asks again and again gets the first at once and one a minute, and the others are not forgotten', async () => {
    const scene = await bed.scene();
    await scene.issued();
    scene.forget();
    for (let count = 1; count <= 5; count += 1) {
      const request = { 'workloadcredentials.io/refresh-requested': `${count}` };
      await untilReconciled(() => scene.annotate(request));
      await untilReconciled(() => scene.apply({ durationSeconds: 3600 + count }));
    }
    await scene.quiet();
    assert.equal(scene.seen().sts.length, 1);
    await bed.clock.skip(50_000);
    await scene.quiet();
    assert.equal(scene.seen().sts.length, 1);
    await bed.clock.skip(11_000);
    await bed.until('the last edit', () => scene.seen().sts.length === 2);
    await scene.until('Ready', 'Issued');
    await scene.quiet();
    assert.equal(scene.credential()?.status?.lastHandledRefreshRequest, '5');
    await bed.clock.skip(120_000);
    await scene.quiet();
    assert.equal(scene.seen().sts.length, 2, 'nothing was left to answer');
  });

  test('edits of a resource that STS refuses do not multiply its calls either', async () => {
    const scene = await bed.scene();
    await scene.apply({ aws: { ...scene.aws(), roleARN: 'arn:aws:iam::123456789012:role/nobodys' } });
    await scene.until('Ready', 'AccessDenied');
    scene.forget();
    for (let count = 1; count <= 5; count += 1) {
      await untilReconciled(() => scene.apply({ durationSeconds: 3600 + count }));
    }
    await scene.quiet();
    assert.equal(scene.seen().sts.length, 1, 'the first fix is tried at once');
    const [waits, stalled] = [scene.condition('Reconciling'), scene.condition('Stalled')];
    assert.match(waits?.message ?? '', /an exchange was asked for a moment ago/);
    assert.equal(stalled, undefined, 'what a former spec was refused says nothing of this one');
    await scene.apply();
    await bed.clock.skip(61_000);
    await scene.until('Ready', 'Issued');
    assert.equal(scene.seen().sts.length, 2);
  });

  test('a consent that comes a moment after a forced refresh waits for a minute, and status says so', async () => {
    const scene = await bed.scene();
    await scene.issued();
    const before = scene.accessKeyID();
    await scene.annotate({ 'workloadcredentials.io/refresh-requested': 'now' });
    await bed.until('a new credential', () => scene.accessKeyID() !== before);
    await scene.serviceAccount('others');
    await scene.apply({ durationSeconds: 3601 });
    await scene.until('Stalled', 'ServiceAccountNotAllowed');
    scene.forget();
    await scene.serviceAccount('orders');
    const { message } = await scene.until('Reconciling', 'Pending');
    assert.match(message, /an exchange was asked for a moment ago, by an edit, a consent or a forced refresh/);
    assert.deepEqual([scene.condition('Stalled'), scene.condition('Refreshed')], [undefined, undefined]);
    await scene.quiet();
    assert.deepEqual(scene.seen(), { calls: ['PATCH workloadcredentials/orders/status 200'], sts: [] });
    await bed.clock.skip(61_000);
    await scene.until('Ready', 'Issued');
    assert.equal(scene.seen().sts.length, 1);
  });

  test('while it is suspended nothing is exchanged, but the Secret is repaired; afterwards it goes on', async () => {
    const scene = await bed.scene();
    await scene.issued();
    await scene.apply({ suspend: true });
    await scene.until('Ready', 'Suspended');
    await scene.quiet();
    scene.forget();
    await bed.skipTo(scene.refreshTimeMs() + 5_000);
    await scene.patchSecret({ metadata: { labels: { 'workloadcredentials.io/name': null } } });
    await bed.until('the label', () => scene.secret()?.metadata.labels?.['workloadcredentials.io/name'] === 'orders');
    await scene.quiet();
    assert.equal(scene.seen().sts.length, 0);
    assert.equal(scene.condition('Ready')?.status, 'True');
    await scene.apply({ suspend: false });
    await scene.until('Ready', 'Issued');
    await bed.until('the refresh', () => scene.seen().sts.length === 1);
  });

  test('what only the operator can see wrong in a block is Stalled InvalidSpec on every cloud, and costs no call', async () => {
    const scene = await bed.scene();
    const otherDialect = '{"Version":"2008-10-17","Statement":[]}';
    const hop = {
      roleARN: 'arn:aws:iam::123456789012:role/next',
      tags: [{ key: 'team', value: 'a', transitive: true }],
    };
    const specs = {
      alibaba: {
        alibabaCloud: {
          roleARN: 'acs:ram::1234567890123456:role/orders',
          oidcProviderARN: 'acs:ram::1234567890123456:oidc-provider/cluster',
          region: 'eu-central-1',
          sessionPolicy: otherDialect,
        },
      },
      volcengine: {
        volcengine: {
          roleTRN: 'trn:iam::2100000000:role/orders',
          region: 'cn-beijing',
          sessionPolicy: otherDialect,
        },
      },
      aws: { aws: { ...scene.aws(), sessionPolicy: otherDialect } },
      chain: { aws: { ...scene.aws(), roleChain: [hop, hop] } },
    };
    for (const [name, spec] of Object.entries(specs)) await scene.apply(spec, name);
    for (const name of Object.keys(specs)) {
      const { message } = await scene.until('Stalled', 'InvalidSpec', name);
      assert.match(message, /^spec\.\w+\.(sessionPolicy|roleChain\[1\]\.tags\[0\]\.key) is /);
      assert.equal(scene.condition('Ready', name)?.status, 'False');
      assert.equal(scene.condition('Reconciling', name), undefined);
    }
    await scene.quiet();
    assert.equal(scene.seen().sts.length, 0);
    assert.deepEqual(
      scene.seen().calls.filter((call) => /secrets|token/.test(call)),
      [],
    );
  });

  test('without consent the condition names the kubectl line, and the consent is acted on at once', async () => {
    const scene = await bed.scene({ consents: false });
    await scene.apply();
    const { message } = await scene.until('Stalled', 'ServiceAccountNotAllowed');
    const line = `kubectl annotate serviceaccount orders -n ${scene.namespace} --overwrite workloadcredentials.io/allow=orders`;
    assert.ok(message.endsWith(line), message);
    assert.equal(scene.seen().sts.length, 0);
    await scene.serviceAccount('orders');
    await scene.ready();
    assert.equal(scene.condition('Stalled'), undefined);
    assert.equal(scene.seen().sts.length, 1);
  });

  test('a missing ServiceAccount is told, and acted on when it comes', async () => {
    const scene = await bed.scene({ hasServiceAccount: false });
    await scene.apply();
    const { message } = await scene.until('Stalled', 'ServiceAccountNotFound');
    assert.match(message, /spec\.serviceAccountName "orders" names no ServiceAccount/);
    assert.equal(scene.seen().sts.length, 0);
    await scene.serviceAccount('*');
    await scene.ready();
    assert.equal(scene.seen().sts.length, 1);
  });

  test('ServiceAccount and resource applied together raise no false alarm', async () => {
    for (let round = 0; round < 3; round += 1) {
      const scene = await bed.scene({ hasServiceAccount: false });
      // The resource is there first, so the ServiceAccount is not in its cache when it is looked for.
      await Promise.all([scene.apply(), scene.serviceAccount('*')]);
      await scene.ready();
      await bed.until('an event', () => scene.events().length > 0);
      assert.deepEqual(scene.events(), ['Normal Issued']);
    }
  });

  test('a role that does not trust the ServiceAccount is told with the claims, and tried again after a minute', async () => {
    const scene = await bed.scene();
    bed.trust(scene.roleARN, 'system:serviceaccount:elsewhere:orders');
    await scene.apply();
    const { message } = await scene.until('Stalled', 'AccessDenied');
    assert.ok(message.includes(`system:serviceaccount:${scene.namespace}:orders`), message);
    assert.ok(message.includes(bed.sandbox.issuer), message);
    await scene.quiet();
    assert.equal(scene.seen().sts.length, 1);
    await bed.clock.skip(50_000);
    assert.equal(scene.seen().sts.length, 1);
    bed.trust(scene.roleARN, `system:serviceaccount:${scene.namespace}:orders`);
    await bed.clock.skip(15_000);
    await scene.ready();
    assert.equal(scene.seen().sts.length, 2);
    await bed.until('the event', () => scene.events().includes('Normal Recovered'));
  });

  test('the metrics page names the credential and when it ends', async () => {
    const { status, body } = await running.get('/metrics');
    assert.equal(status, 200);
    for (const line of body.split('\n').filter((each) => each !== '')) {
      assert.match(line, /^(# (HELP|TYPE) |[a-zA-Z_:][a-zA-Z0-9_:]*(\{[^}]*\})? -?[0-9.e+-]+$|.* NaN$|.* \+?Inf$)/);
    }
    const endSeconds = Date.parse(first.credential()?.status?.expirationTime ?? '') / 1000;
    const line = body
      .split('\n')
      .find((each) => each.includes(`namespace="${first.namespace}"`) && each.includes('expir'));
    assert.ok(line?.includes('name="orders"') === true, body);
    assert.equal(Number(line.split(' ').at(-1)), endSeconds);
    assert.equal((await running.get('/readyz')).status, 200);
    assert.equal((await running.get('/livez')).status, 200);
  });
});
