import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sleep } from '../../../src/runtime/clock.ts';
import { Controller, type ReconcileResult } from '../../../src/runtime/controller.ts';
import type { Log, LogFields } from '../../../src/runtime/log.ts';
import { WorkQueue } from '../../../src/runtime/workqueue.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { FixedRandom } from '../../support/fake-random.ts';

interface Line {
  readonly level: string;
  readonly message: string;
  readonly fields: LogFields;
}

function recordingLog(): { log: Log; lines: Line[] } {
  const lines: Line[] = [];
  const at =
    (level: string) =>
    (message: string, fields: LogFields = {}): void => {
      lines.push({ level, message, fields });
    };
  return { lines, log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') } };
}

type Reconcile = (key: string, signal: AbortSignal, clock: FakeClock) => Promise<ReconcileResult>;

function setUp(reconcile: Reconcile, options: { workers?: number; reconcileTimeoutMs?: number } = {}) {
  const clock = new FakeClock();
  const queue = new WorkQueue({ clock, classOf: () => 0, tenantOf: () => '' });
  const { log, lines } = recordingLog();
  const calls: [string, number][] = [];
  const ends: string[] = [];
  let mostActive = 0;
  const startMs = clock.monotonicMs();
  const controller = new Controller({
    queue,
    workers: 2,
    clock,
    log,
    random: new FixedRandom(0),
    reconcile: (key, signal) => {
      calls.push([key, clock.monotonicMs() - startMs]);
      return reconcile(key, signal, clock);
    },
    metrics: {
      reconciled: (end, durationSeconds) => ends.push(`${end} ${durationSeconds}`),
      activeWorkers: (count) => {
        mostActive = Math.max(mostActive, count);
      },
    },
    ...options,
  });
  return { clock, queue, controller, lines, calls, ends, mostActive: () => mostActive };
}

test('a key is reconciled, and comes again when the result asks for it', async () => {
  const results: ReconcileResult[] = [{ requeueAfterMs: 300 }, {}];
  const { clock, queue, controller, calls, ends } = setUp(async () => results.shift() ?? {});
  const running = controller.run(new AbortController().signal);
  queue.add('shop/orders');
  await clock.advance(10_000);
  assert.deepEqual(calls, [
    ['shop/orders', 0],
    ['shop/orders', 300],
  ]);
  assert.deepEqual(ends, ['requeue_after 0', 'success 0']);
  assert.equal(await controller.drain(1_000), true);
  await running;
});

test('no more keys are worked on at once than there are workers', async () => {
  const { clock, queue, controller, calls, mostActive } = setUp(async (_key, signal, fake) => {
    await sleep(fake, 100, signal);
    return {};
  });
  const running = controller.run(new AbortController().signal);
  for (const key of ['a', 'b', 'c', 'd', 'e']) queue.add(key);
  await clock.advance(1_000);
  assert.equal(mostActive(), 2);
  assert.deepEqual(
    calls.map(([, atMs]) => atMs),
    [0, 0, 100, 100, 200],
  );
  await controller.drain(0);
  await running;
});

test('a reconcile that throws comes back after 5 s doubling to 60 s, and after a success begins anew', async () => {
  let failing = true;
  const { clock, queue, controller, calls } = setUp(async () => {
    if (failing) throw new TypeError('broken');
    return {};
  });
  const running = controller.run(new AbortController().signal);
  queue.add('a');
  await clock.advance(200_000);
  assert.deepEqual(
    calls.map(([, atMs]) => atMs / 1_000),
    [0, 5, 15, 35, 75, 135, 195],
  );
  failing = false;
  await clock.advance(60_000);
  failing = true;
  calls.length = 0;
  queue.add('a');
  await clock.advance(6_000);
  assert.deepEqual(
    calls.map(([, atMs]) => atMs / 1_000),
    [260, 265],
  );
  await controller.drain(0);
  await running;
});

test('a failing key does not stop its worker', async () => {
  const { clock, queue, controller, calls } = setUp(
    async (key) => {
      if (key === 'bad') throw new Error('broken');
      return {};
    },
    { workers: 1 },
  );
  const running = controller.run(new AbortController().signal);
  queue.add('bad');
  queue.add('good');
  await clock.advance(0);
  assert.deepEqual(
    calls.map(([key]) => key),
    ['bad', 'good'],
  );
  await controller.drain(0);
  await running;
});

test('what is logged of an unforeseen error is its class and place, never its message', async () => {
  const thrown: unknown[] = [
    new SyntaxError('Unexpected token in "s3cr3t"\nand s3cr3t'),
    's3cr3t',
    new Error('s3cr3t'),
  ];
  delete (thrown[2] as Error).stack;
  const { clock, queue, controller, lines } = setUp(async () => {
    throw thrown.shift();
  });
  const running = controller.run(new AbortController().signal);
  for (const key of ['a', 'b', 'c']) queue.add(key);
  await clock.advance(0);
  assert.deepEqual(
    lines.map(({ level, message }) => [level, message]),
    Array.from({ length: 3 }, () => ['error', 'a reconcile failed unexpectedly']),
  );
  assert.deepEqual(
    lines.map(({ fields }) => [fields['key'], fields['errorName'], fields['failures'], fields['retryAfterMs']]),
    [
      ['a', 'SyntaxError', 1, 5_000],
      ['b', 'string', 1, 5_000],
      ['c', 'Error', 1, 5_000],
    ],
  );
  assert.match(String(lines[0]?.fields['stack']), /controller\.test\.ts/);
  assert.doesNotMatch(JSON.stringify(lines), /s3cr3t/);
  await controller.drain(0);
  await running;
});

test('a reconcile that takes too long is aborted and counts as an error', async () => {
  const { clock, queue, controller, ends, lines } = setUp(
    async (_key, signal, fake) => {
      await sleep(fake, 3_600_000, signal);
      return {};
    },
    { reconcileTimeoutMs: 20_000 },
  );
  const running = controller.run(new AbortController().signal);
  queue.add('a');
  await clock.advance(20_000);
  assert.deepEqual(ends, ['error 20']);
  assert.equal(lines[0]?.fields['timedOut'], true);
  await controller.drain(0);
  await running;
});

test('a drain lets what is in flight finish, begins nothing new, and says that all went well', async () => {
  const { clock, queue, controller, calls, ends, lines } = setUp(async (_key, signal, fake) => {
    await sleep(fake, 500, signal);
    return { requeueAfterMs: 1 };
  });
  const running = controller.run(new AbortController().signal);
  for (const key of ['a', 'b', 'c', 'd']) queue.add(key);
  await settle();
  const drained = controller.drain(1_000);
  await clock.advance(500);
  assert.equal(await drained, true);
  await running;
  assert.equal(calls.length, 2);
  assert.deepEqual(ends, ['requeue_after 0.5', 'requeue_after 0.5']);
  assert.deepEqual(lines, []);
  assert.equal(clock.waiters(), 0);
});

test('what is left when the time of a drain is up is aborted, without an error in the log', async () => {
  const { clock, queue, controller, lines } = setUp(async (_key, signal, fake) => {
    await sleep(fake, 30_000, signal);
    return {};
  });
  const running = controller.run(new AbortController().signal);
  queue.add('a');
  await settle();
  const drained = controller.drain(1_000);
  await clock.advance(1_000);
  assert.equal(await drained, false);
  await running;
  assert.deepEqual(
    lines.map(({ level, fields }) => [level, fields['inFlight']]),
    [['warn', 1]],
  );
  assert.equal(clock.waiters(), 0);
});

test('a drain does not wait for ever for a reconcile that ignores its signal', async () => {
  const stuck = Promise.withResolvers<ReconcileResult>();
  const { clock, queue, controller } = setUp(() => stuck.promise);
  const running = controller.run(new AbortController().signal);
  queue.add('a');
  await settle();
  const drained = controller.drain(1_000);
  await clock.advance(2_000);
  assert.equal(await drained, false);
  stuck.resolve({});
  await running;
});

test('the signal of run aborts what is in flight at once, with its reason', async () => {
  const reasons: unknown[] = [];
  const { queue, controller, lines } = setUp(async (_key, signal, fake) => {
    await sleep(fake, 30_000, signal).catch((error: unknown) => {
      reasons.push(error);
      throw error;
    });
    return {};
  });
  const stop = new AbortController();
  const running = controller.run(stop.signal);
  queue.add('a');
  await settle();
  const reason = new Error('the Lease was lost');
  stop.abort(reason);
  await running;
  assert.deepEqual(reasons, [reason]);
  assert.deepEqual(lines, []);
});

test('under an aborted signal nothing is begun', async () => {
  const { queue, controller, calls } = setUp(async () => ({}));
  queue.add('a');
  await controller.run(AbortSignal.abort(new Error('stopped')));
  assert.deepEqual(calls, []);
});

test('a drain before the start is over at once', async () => {
  const { controller } = setUp(async () => ({}));
  assert.equal(await controller.drain(1_000), true);
});
