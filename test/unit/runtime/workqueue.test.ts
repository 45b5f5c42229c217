// The cases of client-go's queue_test.go and delaying_queue_test.go, and what this queue adds to them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WorkQueue, type WorkQueueMetrics } from '../../../src/runtime/workqueue.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { SeededRandom } from '../../support/fake-random.ts';

function setUp(classOf: (key: string) => number = () => 0) {
  const clock = new FakeClock();
  const reports: string[] = [];
  const metrics: WorkQueueMetrics = {
    depth: (urgency, keys) => reports.push(`depth ${urgency} ${keys}`),
    add: () => reports.push('add'),
    queueDuration: (seconds) => reports.push(`queued ${seconds}`),
    workDuration: (seconds) => reports.push(`worked ${seconds}`),
    retry: () => reports.push('retry'),
  };
  const tenantOf = (key: string): string => key.split('/')[0] ?? '';
  return { clock, reports, queue: new WorkQueue({ clock, classOf, tenantOf, metrics }) };
}

/** Takes what is ready without waiting for more. */
async function takeReady(queue: WorkQueue): Promise<string[]> {
  const keys: string[] = [];
  while (queue.length > 0) keys.push((await queue.get()) ?? '');
  return keys;
}

test('fifty producers and ten consumers: each change is worked on after it was made, no key by two at once', async () => {
  const { clock, queue } = setUp((key) => key.length % 3);
  const random = new SeededRandom(20260101);
  const version = new Map<string, number>();
  const worked = new Map<string, number>();
  const atWork = new Set<string>();
  const pause = (maxMs: number): Promise<void> =>
    new Promise((resolve) => clock.setTimer(random.next() * maxMs, () => resolve()));

  const produce = async (producer: number): Promise<void> => {
    for (let i = 0; i < 20; i += 1) {
      const key = `tenant${producer % 7}/key${Math.floor(random.next() * 40)}`;
      version.set(key, (version.get(key) ?? 0) + 1);
      if (random.next() < 0.5) queue.add(key);
      else queue.addAfter(key, random.next() * 20);
      await pause(10);
    }
  };
  const consume = async (): Promise<void> => {
    for (let key = await queue.get(); key !== undefined; key = await queue.get()) {
      assert.equal(atWork.has(key), false, `${key} is with two workers`);
      atWork.add(key);
      const seen = version.get(key) ?? 0;
      await pause(5);
      worked.set(key, seen);
      atWork.delete(key);
      queue.done(key);
    }
  };
  const consumers = Array.from({ length: 10 }, consume);
  const producers = Promise.all(Array.from({ length: 50 }, (_, producer) => produce(producer)));
  await clock.advance(1_000);
  await producers;
  queue.shutDown();
  await Promise.all(consumers);
  assert.ok(version.size > 100);
  assert.deepEqual(worked, new Map([...worked.keys()].map((key) => [key, version.get(key) ?? 0])));
  assert.equal(worked.size, version.size);
});

test('a key that is added while a worker has it comes again when the worker is done', async () => {
  const { queue } = setUp();
  queue.add('a');
  assert.equal(await queue.get(), 'a');
  queue.add('a');
  queue.add('a');
  assert.equal(queue.length, 0);
  queue.done('a');
  assert.equal(queue.length, 1);
  assert.equal(await queue.get(), 'a');
  queue.done('a');
  assert.equal(queue.length, 0);
});

test('a key that is added many times before a worker comes is one key', async () => {
  const { queue, reports } = setUp();
  for (let i = 0; i < 5; i += 1) queue.add('a');
  assert.deepEqual(await takeReady(queue), ['a']);
  assert.equal(reports.filter((report) => report === 'add').length, 1);
});

test('length counts what is ready only', async () => {
  const { queue } = setUp();
  queue.add('a');
  queue.add('b');
  queue.addAfter('c', 10);
  assert.equal(queue.length, 2);
  await queue.get();
  assert.equal(queue.length, 1);
  assert.equal(queue.delayedLength, 1);
});

test('workers that wait are served in the order in which they came', async () => {
  const { queue } = setUp();
  const first = queue.get();
  const second = queue.get();
  queue.add('a');
  queue.add('b');
  assert.deepEqual(await Promise.all([first, second]), ['a', 'b']);
});

test('done without a hand-out does nothing', () => {
  const { queue, reports } = setUp();
  queue.done('a');
  assert.deepEqual(reports, []);
});

test('after a shutdown waiting workers get nothing, ready keys are still handed out, new ones are not taken', async () => {
  const { clock, queue } = setUp();
  const idle = setUp().queue;
  const waiting = idle.get();
  idle.shutDown();
  assert.equal(await waiting, undefined);

  queue.add('a');
  queue.addAfter('later', 5);
  queue.shutDown();
  queue.add('b');
  queue.addAfter('c', 0);
  queue.addAfter('d', 1);
  assert.equal(clock.waiters(), 0);
  assert.equal(await queue.get(), 'a');
  assert.equal(await queue.get(), undefined);
});

test('a change that came before the shutdown, while a worker had the key, is still handed out', async () => {
  const { queue } = setUp();
  queue.add('a');
  await queue.get();
  queue.add('a');
  queue.shutDown();
  queue.done('a');
  assert.equal(await queue.get(), 'a');
  queue.done('a');
  assert.equal(await queue.get(), undefined);
});

test('a delayed key becomes ready at its time and not before', async () => {
  const { clock, queue } = setUp();
  queue.addAfter('a', 50);
  await clock.advance(49);
  assert.equal(queue.length, 0);
  await clock.advance(1);
  assert.deepEqual(await takeReady(queue), ['a']);
  assert.equal(clock.waiters(), 0);
});

test('a delay of nothing, of less, or that is no number means at once', async () => {
  const { clock, queue } = setUp();
  queue.addAfter('a', 0);
  queue.addAfter('b', -1);
  queue.addAfter('c', Number.NaN);
  assert.deepEqual(await takeReady(queue), ['a', 'b', 'c']);
  assert.equal(clock.waiters(), 0);
});

test('of two delays of one key the earlier wins, whichever came first', async () => {
  const { clock, queue } = setUp();
  queue.addAfter('a', 50);
  queue.addAfter('a', 1_000);
  queue.addAfter('b', 1_000);
  queue.addAfter('b', 50);
  await clock.advance(50);
  assert.deepEqual((await takeReady(queue)).toSorted(), ['a', 'b']);
  queue.done('a');
  queue.done('b');
  await clock.advance(2_000);
  assert.equal(queue.length, 0);
});

test('delayed keys come in the order of their times, with one timer for all', async () => {
  const { clock, queue } = setUp();
  for (const [key, delayMs] of [
    ['c', 30],
    ['a', 10],
    ['b', 20],
  ] as const) {
    queue.addAfter(key, delayMs);
    assert.equal(clock.waiters(), 1);
  }
  await clock.advance(15);
  assert.deepEqual(await takeReady(queue), ['a']);
  assert.equal(clock.waiters(), 1);
  await clock.advance(15);
  assert.deepEqual(await takeReady(queue), ['b', 'c']);
});

test('an add makes the delay of the same key void', async () => {
  const { clock, queue } = setUp();
  queue.addAfter('a', 50);
  queue.add('a');
  assert.equal(clock.waiters(), 0);
  assert.deepEqual(await takeReady(queue), ['a']);
  queue.done('a');
  await clock.advance(100);
  assert.equal(queue.length, 0);
});

test('a delay that ends while a worker has the key lets the key come again', async () => {
  const { clock, queue } = setUp();
  queue.add('a');
  await queue.get();
  queue.addAfter('a', 10);
  await clock.advance(10);
  assert.equal(queue.length, 0);
  queue.done('a');
  assert.equal(queue.length, 1);
});

test('urgent keys come first, tenants take turns inside a class', async () => {
  const { queue } = setUp((key) => (key.endsWith('!') ? 0 : 3));
  for (const key of ['x/1', 'x/2', 'x/3', 'y/1', 'y/2!']) queue.add(key);
  assert.deepEqual(await takeReady(queue), ['y/2!', 'x/1', 'y/1', 'x/2', 'x/3']);
});

test('a waiting key that is added again moves to a more urgent class, never to a less urgent one', async () => {
  const classes = new Map([
    ['x/a', 3],
    ['x/b', 3],
    ['x/c', 1],
  ]);
  const { queue, reports } = setUp((key) => classes.get(key) ?? 0);
  for (const key of classes.keys()) queue.add(key);
  reports.length = 0;
  classes.set('x/b', 0);
  classes.set('x/c', 4);
  queue.add('x/b');
  queue.add('x/c');
  assert.deepEqual(reports, ['depth 3 1', 'depth 0 1']);
  assert.deepEqual(await takeReady(queue), ['x/b', 'x/c', 'x/a']);
});

test('the class is asked when a key becomes ready, not when its delay begins', async () => {
  let urgency = 5;
  const { clock, queue, reports } = setUp(() => urgency);
  queue.addAfter('a', 10);
  urgency = 2;
  await clock.advance(10);
  assert.ok(reports.includes('depth 2 1'));
});

test('metrics are reported as client-go reports them', async () => {
  const { clock, queue, reports } = setUp();
  queue.add('a');
  await clock.advance(50);
  await queue.get();
  await clock.advance(25);
  queue.add('a');
  await clock.advance(25);
  queue.addAfter('b', 10);
  queue.done('a');
  assert.deepEqual(reports, [
    'add',
    'depth 0 1',
    'depth 0 0',
    'queued 0.05',
    'add',
    'retry',
    'worked 0.05',
    'depth 0 1',
  ]);
});

test('work that does not end shows while it goes on', async () => {
  const { clock, queue } = setUp();
  assert.equal(queue.longestRunningProcessorSeconds(), 0);
  queue.add('a');
  queue.add('b');
  await queue.get();
  await clock.advance(2_000);
  await queue.get();
  await clock.advance(1_000);
  assert.equal(queue.unfinishedWorkSeconds(), 4);
  assert.equal(queue.longestRunningProcessorSeconds(), 3);
  queue.done('a');
  assert.equal(queue.longestRunningProcessorSeconds(), 1);
});

test('a queue without metrics works', async () => {
  const queue = new WorkQueue({ clock: new FakeClock(), classOf: () => 0, tenantOf: () => '' });
  queue.addAfter('a', 0);
  assert.equal(await queue.get(), 'a');
  queue.done('a');
});

test('whatever the steps, no key is with two workers and none is lost', async () => {
  const step = fc.record({
    action: fc.constantFrom('add', 'addAfter', 'get', 'done', 'advance'),
    key: fc.constantFrom('x/1', 'x/2', 'y/1', 'y/2', 'z/1'),
    ms: fc.nat(30),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { clock, queue } = setUp((key) => key.length % 2);
      // What is owed: at once, and from some moment on.
      const owed = new Set<string>();
      const owedFrom = new Map<string, number>();
      const atWork = new Set<string>();
      const fell = (key: string): boolean =>
        (owedFrom.get(key) ?? Infinity) <= clock.monotonicMs() && owedFrom.delete(key);
      const take = async (): Promise<void> => {
        const key = (await queue.get()) ?? 'nothing';
        assert.equal(atWork.has(key), false, `${key} is with two workers`);
        const isDue = fell(key);
        assert.ok(owed.delete(key) || isDue, `${key} was handed out for nothing`);
        atWork.add(key);
      };
      for (const { action, key, ms } of steps) {
        if (action === 'add' || (action === 'addAfter' && ms === 0)) {
          owed.add(key);
          owedFrom.delete(key);
          queue.addAfter(key, 0);
        } else if (action === 'addAfter') {
          if (fell(key)) owed.add(key);
          owedFrom.set(key, Math.min(clock.monotonicMs() + ms, owedFrom.get(key) ?? Infinity));
          queue.addAfter(key, ms);
        } else if (action === 'get' && queue.length > 0) {
          await take();
        } else if (action === 'done' && atWork.delete(key)) {
          queue.done(key);
        } else if (action === 'advance') {
          await clock.advance(ms);
        }
        assert.ok(clock.waiters() <= 1);
      }
      for (const key of atWork) queue.done(key);
      atWork.clear();
      await clock.advance(60);
      while (queue.length > 0) await take();
      assert.deepEqual([...owed, ...owedFrom.keys()], []);
    }),
    { numRuns: 60 },
  );
});

test('waiting for a key holds nobody up', async () => {
  const { queue } = setUp();
  let got: string | undefined;
  const waiting = queue.get().then((key) => {
    got = key;
  });
  await settle();
  assert.equal(got, undefined);
  queue.add('a');
  await waiting;
  assert.equal(got, 'a');
});
