// Events: what is sent, what becomes a series, what is dropped, and what a failing API server cannot do to us.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { KubeEvent, ObjectReference } from '../../../src/api/meta.ts';
import { EventBuckets } from '../../../src/kube/event-buckets.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import { type EventNews, Recorder, toMicroTime } from '../../../src/kube/recorder.ts';
import { FAKE_EPOCH_MS, FakeClock, settle } from '../../support/fake-clock.ts';
import { SeededRandom } from '../../support/fake-random.ts';
import { captureLog } from '../../support/scripted-server.ts';

const orders: ObjectReference = {
  apiVersion: 'workloadcredentials.io/v1alpha1',
  kind: 'WorkloadCredential',
  namespace: 'shop',
  name: 'orders',
  uid: 'uid-1',
};
const denied: EventNews = { type: 'Warning', reason: 'AccessDenied', action: 'Exchange', note: 'STS refused the role' };
const MINUTE = 60_000;

function kubeError(status: number, reason = '', retryAfterSeconds?: number): KubeError {
  const kind = status === 0 ? 'network' : 'status';
  return new KubeError({ kind, status, reason, retryAfterSeconds, operation: 'create events', detail: '' });
}

function setup() {
  const clock = new FakeClock();
  const log = captureLog();
  const calls: { verb: 'create' | 'patch'; name: string; body: Partial<KubeEvent> }[] = [];
  const failures: (Error | undefined)[] = [];
  const results: string[] = [];
  const state = { hold: undefined as Promise<void> | undefined };
  const take = async (
    verb: 'create' | 'patch',
    name: string,
    body: object,
    signal: AbortSignal,
  ): Promise<KubeEvent> => {
    signal.throwIfAborted();
    calls.push({ verb, name, body });
    const failure = failures.shift();
    if (state.hold !== undefined) await state.hold;
    if (failure !== undefined) throw failure;
    return body as KubeEvent;
  };
  const recorder = new Recorder({
    events: {
      createEvent: (_namespace, event, { signal }) => take('create', event.metadata.name, event, signal),
      patchEvent: (key, patch, { signal }) => take('patch', key.name, patch, signal),
    },
    clock,
    random: new SeededRandom(1),
    log,
    reportingController: 'workloadcredentials.io/operator',
    reportingInstance: 'pod-1',
    onResult: (result) => void results.push(result),
  });
  const counts = () => calls.map(({ verb, body }) => `${verb} ${body.series?.count ?? 1}`);
  return { clock, log, calls, failures, results, state, recorder, counts };
}

const forever = new AbortController().signal;

describe('Recorder', () => {
  it('creates a whole event, named after its object', async () => {
    const { recorder, calls, results } = setup();
    recorder.record(orders, denied);
    await settle();
    const body = calls[0]?.body;
    assert.match(body?.metadata?.name ?? '', /^orders\.[0-9a-f]{16}$/);
    assert.deepEqual(body, {
      metadata: { name: body?.metadata?.name, namespace: 'shop' },
      eventTime: '2026-01-01T00:00:00.000000Z',
      reportingController: 'workloadcredentials.io/operator',
      reportingInstance: 'pod-1',
      action: 'Exchange',
      reason: 'AccessDenied',
      regarding: orders,
      note: 'STS refused the role',
      type: 'Warning',
    });
    assert.deepEqual(results, ['sent']);
  });

  it('makes a series of what repeats: told at the second time, counted from then on, told again at the end', async () => {
    const { recorder, clock, calls, counts } = setup();
    for (let time = 0; time < 5; time += 1) {
      recorder.record(orders, denied);
      await clock.advance(1_000);
    }
    assert.deepEqual(counts(), ['create 1', 'patch 2']);
    await clock.advance(7 * MINUTE);
    assert.deepEqual(counts(), ['create 1', 'patch 2', 'patch 5']);
    assert.equal(new Set(calls.map(({ name }) => name)).size, 1);
    assert.deepEqual(calls[2]?.body, { series: { count: 5, lastObservedTime: toMicroTime(FAKE_EPOCH_MS + 4_000) } });
    assert.equal(clock.waiters(), 0, 'no timer is left when no series is');
  });

  it('begins a new event when the last one was six minutes ago', async () => {
    const { recorder, clock, calls, counts } = setup();
    recorder.record(orders, denied);
    await clock.advance(6 * MINUTE);
    recorder.record(orders, denied);
    await settle();
    assert.deepEqual(counts(), ['create 1', 'create 1']);
    assert.notEqual(calls[0]?.name, calls[1]?.name);
  });

  it('keeps apart what differs in object, type, reason, action or note', async () => {
    const { recorder, counts } = setup();
    recorder.record(orders, denied);
    recorder.record({ ...orders, uid: 'uid-2' }, denied);
    recorder.record(orders, { ...denied, type: 'Normal' });
    recorder.record(orders, { ...denied, reason: 'Other' });
    recorder.record(orders, { ...denied, action: 'Write' });
    recorder.record(orders, { ...denied, note: 'other' });
    await settle();
    assert.deepEqual(counts(), Array(6).fill('create 1'));
  });

  it('writes a series that goes on every 30 minutes, so that it does not expire', async () => {
    const { recorder, clock, counts } = setup();
    for (let minute = 0; minute <= 70; minute += 1) {
      recorder.record(orders, denied);
      await clock.advance(MINUTE);
    }
    assert.deepEqual(counts(), ['create 1', 'patch 2', 'patch 32', 'patch 62']);
  });

  it('creates an event anew when the API server has forgotten it', async () => {
    const { recorder, failures, counts } = setup();
    recorder.record(orders, denied);
    await settle();
    failures.push(kubeError(404, 'NotFound'));
    recorder.record(orders, denied);
    await settle();
    assert.deepEqual(counts(), ['create 1', 'patch 2', 'create 2']);
  });

  it('drops what one object has too much of, and lets it say one more every five minutes', async () => {
    const { recorder, clock, calls, results } = setup();
    for (let time = 0; time < 40; time += 1) recorder.record(orders, { ...denied, note: `note ${time}` });
    recorder.record({ ...orders, uid: 'uid-2' }, denied);
    await settle();
    assert.equal(calls.length, 26);
    assert.equal(results.filter((result) => result === 'dropped').length, 15);
    await clock.advance(5 * MINUTE);
    recorder.record(orders, { ...denied, note: 'one' });
    recorder.record(orders, { ...denied, note: 'two' });
    await settle();
    assert.equal(calls.length, 27);
  });

  it('tries again after failures that pass, three times at most, with the pause that the server asks for', async () => {
    const { recorder, clock, failures, counts, results } = setup();
    failures.push(kubeError(0, 'ECONNRESET'), kubeError(429, 'TooManyRequests', 5));
    recorder.record(orders, denied);
    await settle();
    await clock.advance(2_000);
    assert.equal(counts().length, 2);
    await clock.advance(4_999);
    assert.equal(counts().length, 2);
    await clock.advance(1);
    assert.deepEqual(results, ['sent']);
    failures.push(kubeError(500), kubeError(500), kubeError(500));
    recorder.record(orders, { ...denied, note: 'other' });
    await clock.advance(60_000);
    assert.deepEqual(results, ['sent', 'dropped']);
    assert.equal(counts().length, 6);
  });

  it('does not try again what was refused, and goes on with the next', async () => {
    const { recorder, failures, results, log } = setup();
    failures.push(kubeError(403, 'Forbidden'), new TypeError('odd'));
    for (const note of ['one', 'two', 'three']) recorder.record(orders, { ...denied, note });
    await settle();
    assert.deepEqual(results, ['dropped', 'dropped', 'sent']);
    assert.deepEqual(
      log.lines.map(({ fields }) => fields['problem']),
      ['create events: 403 Forbidden', 'TypeError'],
    );
  });

  it('takes AlreadyExists for its own create whose answer was lost', async () => {
    const { recorder, failures, results } = setup();
    failures.push(kubeError(0, 'ECONNRESET'), kubeError(409, 'AlreadyExists'));
    recorder.record(orders, denied);
    await recorder.flush(AbortSignal.abort(new Error('x'))).catch(() => assert.fail('flush rejected'));
    assert.deepEqual(results, ['dropped'], 'an aborted flush gives up');
    const again = setup();
    again.failures.push(kubeError(0, 'ECONNRESET'), kubeError(409, 'AlreadyExists'));
    again.recorder.record(orders, denied);
    await settle();
    await again.clock.advance(2_000);
    assert.deepEqual(again.results, ['sent']);
  });

  it('bounds what waits while the API server hangs', async () => {
    const { recorder, state, calls, results } = setup();
    let release = (): void => {};
    state.hold = new Promise((resolve) => {
      release = resolve;
    });
    for (let time = 0; time < 1_100; time += 1) recorder.record({ ...orders, uid: `uid-${time}` }, denied);
    assert.equal(results.filter((result) => result === 'dropped').length, 75, '1 is being sent, 1,024 wait');
    release();
    state.hold = undefined;
    await recorder.flush(forever);
    assert.equal(calls.length, 1_025);
  });

  it('gives up the oldest series when there are too many, with its last count', async () => {
    const { recorder, counts } = setup();
    for (let time = 0; time < 3; time += 1) {
      recorder.record(orders, denied);
      await settle();
    }
    for (let other = 0; other < 4_096; other += 1) {
      recorder.record({ ...orders, uid: `uid-other-${other}` }, denied);
      if (other % 500 === 0) await settle();
    }
    await settle();
    assert.equal(counts().filter((count) => count === 'patch 3').length, 1);
  });

  it('cuts names and notes to what the API server takes, without half characters', async () => {
    const { recorder, calls } = setup();
    recorder.record(
      { ...orders, name: `${'a'.repeat(235)}.${'b'.repeat(17)}` },
      { ...denied, note: `x${'€'.repeat(400)}` },
    );
    recorder.record(orders, { ...denied, note: 'y'.repeat(1_024) });
    await settle();
    const name = calls[0]?.name ?? '';
    assert.match(name, /^a{235}\.[0-9a-f]{16}$/);
    assert.ok(name.length <= 253);
    assert.equal(calls[0]?.body.note, `x${'€'.repeat(341)}`);
    assert.equal(Buffer.byteLength(calls[0]?.body.note ?? ''), 1_024);
    assert.equal(calls[1]?.body.note?.length, 1_024);
  });

  it('flushes what waits and what was only counted, and then takes nothing more', async () => {
    const { recorder, counts, clock } = setup();
    for (let time = 0; time < 4; time += 1) {
      recorder.record(orders, denied);
      await settle();
    }
    recorder.record(orders, { ...denied, note: 'last' });
    await recorder.flush(forever);
    assert.deepEqual(counts(), ['create 1', 'patch 2', 'create 1', 'patch 4']);
    recorder.record(orders, { ...denied, note: 'too late' });
    await settle();
    assert.equal(counts().length, 4);
    assert.equal(clock.waiters(), 0);
  });

  it('stops flushing when aborted in a pause', async () => {
    const { recorder, failures, results, clock } = setup();
    failures.push(kubeError(500));
    recorder.record(orders, denied);
    await settle();
    const controller = new AbortController();
    const flushed = recorder.flush(controller.signal);
    controller.abort(new Error('no time left'));
    await flushed;
    assert.deepEqual(results, ['dropped']);
    assert.equal(clock.waiters(), 0);
  });
});

describe('EventBuckets', () => {
  it('forgets the object that was quiet for longest', () => {
    const buckets = new EventBuckets(new FakeClock(), 2);
    for (let time = 0; time < 25; time += 1) assert.equal(buckets.take('a'), true);
    assert.equal(buckets.take('a'), false);
    buckets.take('b');
    buckets.take('c');
    assert.equal(buckets.size, 2);
    assert.equal(buckets.take('a'), true, 'a was forgotten and begins with a full bucket');
  });
});
