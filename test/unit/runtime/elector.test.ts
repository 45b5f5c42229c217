import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Lease } from '../../../src/api/meta.ts';
import { sleep } from '../../../src/runtime/clock.ts';
import { type ElectionEnd, Elector, type ElectorTiming, type LeaseClient } from '../../../src/runtime/elector.ts';
import type { Log } from '../../../src/runtime/log.ts';
import { FakeClock, settle } from '../../support/fake-clock.ts';
import { FixedRandom, SeededRandom } from '../../support/fake-random.ts';

/** The Lease as an API server keeps it: a PUT with another resourceVersion than the last is a conflict. */
class FakeLeases implements LeaseClient {
  readonly clock: FakeClock;
  stored: Lease | undefined;
  readonly calls: string[] = [];
  /** What happens to a call before it reaches the server; a rejection is its answer. */
  before: (verb: string, signal: AbortSignal) => Promise<void> = async () => undefined;
  /** What happens to the answer on its way back. */
  after: (verb: string) => Promise<void> = async () => undefined;
  #version = 0;

  constructor(clock: FakeClock) {
    this.clock = clock;
  }

  store(lease: Lease): Lease {
    this.#version += 1;
    this.stored = { ...lease, metadata: { ...lease.metadata, resourceVersion: String(this.#version) } };
    return this.stored;
  }

  async get(signal: AbortSignal): Promise<Lease | undefined> {
    return await this.#call('get', signal, () => this.stored);
  }

  async create(lease: Lease, signal: AbortSignal): Promise<Lease> {
    return await this.#call('create', signal, () => {
      if (this.stored !== undefined) throw new Error('create leases: 409 AlreadyExists');
      return this.store(lease);
    });
  }

  async replace(lease: Lease, signal: AbortSignal): Promise<Lease> {
    return await this.#call('replace', signal, () => {
      if (this.stored?.metadata.resourceVersion !== lease.metadata.resourceVersion) {
        throw new Error('replace leases: 409 Conflict');
      }
      return this.store(lease);
    });
  }

  async #call<T>(verb: string, signal: AbortSignal, answer: () => T): Promise<T> {
    this.calls.push(verb);
    await this.before(verb, signal);
    const value = answer();
    await this.after(verb);
    return value;
  }
}

interface Candidate {
  readonly elector: Elector;
  readonly stop: AbortController;
  readonly events: string[];
  readonly warnings: string[];
  readonly term: () => AbortSignal | undefined;
  end: ElectionEnd | undefined;
  running: Promise<ElectionEnd>;
}

function setUp() {
  const clock = new FakeClock();
  const leases = new FakeLeases(clock);
  let count = 0;
  const candidate = (
    options: { onStartedLeading?: (signal: AbortSignal) => void | Promise<void>; timing?: ElectorTiming } = {},
  ): Candidate => {
    count += 1;
    const stop = new AbortController();
    const events: string[] = [];
    const warnings: string[] = [];
    let term: AbortSignal | undefined;
    const keep = (message: string, fields = {}): void => void warnings.push(`${message} ${JSON.stringify(fields)}`);
    const log: Log = { debug: () => undefined, info: () => undefined, warn: keep, error: keep };
    const elector = new Elector({
      leases,
      name: 'workload-credentials',
      namespace: 'system',
      identityPrefix: `pod${count}`,
      clock,
      random: count === 1 ? new FixedRandom(0) : new SeededRandom(count),
      log,
      onStartedLeading: (signal) => {
        term = signal;
        events.push('started');
        return options.onStartedLeading?.(signal);
      },
      onNewLeader: (identity) => events.push(`leader ${identity.split('_')[0]}`),
      ...(options.timing === undefined ? {} : { timing: options.timing }),
    });
    const running = elector.run(stop.signal);
    const self: Candidate = { elector, stop, events, warnings, term: () => term, end: undefined, running };
    running.then(
      (end) => {
        self.end = end;
      },
      () => undefined,
    );
    return self;
  };
  return { clock, leases, candidate };
}

const OTHER = {
  holderIdentity: 'other_1',
  leaseDurationSeconds: 15,
  acquireTime: '2001-01-01T00:00:00.000000Z',
  renewTime: '2001-01-01T00:00:00.000000Z',
  leaseTransitions: 4,
};
const META = { name: 'workload-credentials', namespace: 'system' };

test('without a Lease the first candidate makes one and leads', async () => {
  const { clock, leases, candidate } = setUp();
  const one = candidate();
  assert.equal(one.elector.isValid(), false);
  await clock.advance(0);
  assert.match(one.elector.identity, /^pod1_[0-9a-f-]{36}$/);
  assert.deepEqual(leases.stored?.spec, {
    holderIdentity: one.elector.identity,
    leaseDurationSeconds: 15,
    acquireTime: '2026-01-01T00:00:00.000000Z',
    renewTime: '2026-01-01T00:00:00.000000Z',
    leaseTransitions: 0,
  });
  assert.equal(leases.stored?.metadata.namespace, 'system');
  assert.deepEqual(one.events, ['leader pod1', 'started']);
  assert.equal(one.elector.isValid(), true);
  assert.equal(one.elector.leader, one.elector.identity);
  one.stop.abort();
  await one.running;
});

test('a leader renews every two seconds with one call, and keeps acquireTime and leaseTransitions', async () => {
  const { clock, leases, candidate } = setUp();
  const one = candidate();
  await clock.advance(7_123);
  assert.deepEqual(leases.calls, ['get', 'create', 'replace', 'replace', 'replace']);
  assert.equal(leases.stored?.spec?.renewTime, '2026-01-01T00:00:06.000000Z');
  assert.equal(leases.stored?.spec?.acquireTime, '2026-01-01T00:00:00.000000Z');
  assert.equal(leases.stored?.spec?.leaseTransitions, 0);
  one.stop.abort();
  await one.running;
});

test('a Lease that another holds is waited for from when it was SEEN, whatever the times in it', async () => {
  for (const renewTime of ['2001-01-01T00:00:00.000000Z', '2099-01-01T00:00:00.000000Z']) {
    const { clock, leases, candidate } = setUp();
    leases.store({ metadata: META, spec: { ...OTHER, renewTime } });
    const one = candidate();
    await clock.advance(14_900);
    assert.deepEqual(one.events, ['leader other']);
    await clock.advance(100);
    assert.deepEqual(one.events, ['leader other', 'leader pod1', 'started']);
    assert.equal(leases.stored?.spec?.leaseTransitions, 5);
    assert.equal(leases.stored?.spec?.acquireTime, '2026-01-01T00:00:15.000000Z');
    one.stop.abort();
    await one.running;
  }
});

test('a Lease that goes on changing is never taken, and a jump of the wall clock does not help', async () => {
  const { clock, leases, candidate } = setUp();
  leases.store({ metadata: META, spec: OTHER });
  const one = candidate();
  for (let i = 0; i < 20; i += 1) {
    await clock.advance(10_000);
    clock.jump(3_600_000);
    leases.store({ metadata: META, spec: { ...OTHER, renewTime: `2026-01-01T00:00:00.0000${10 + i}Z` } });
  }
  assert.deepEqual(one.events, ['leader other']);
  one.stop.abort();
  assert.equal(await one.running, 'stopped');
});

test('the duration in the Lease is the one of its holder', async () => {
  const { clock, leases, candidate } = setUp();
  leases.store({ metadata: META, spec: { ...OTHER, leaseDurationSeconds: 60 } });
  const one = candidate();
  await clock.advance(59_000);
  assert.equal(one.elector.isValid(), false);
  await clock.advance(3_000);
  assert.equal(one.elector.isValid(), true);
  one.stop.abort();
  await one.running;
});

test('a Lease without a duration, or without a spec, is understood', async () => {
  const { clock, leases, candidate } = setUp();
  leases.store({ metadata: META, spec: { holderIdentity: 'other_1' } });
  const one = candidate();
  await clock.advance(14_900);
  assert.equal(one.elector.isValid(), false);
  leases.store({ metadata: META });
  await clock.advance(2_000);
  assert.equal(one.elector.isValid(), true);
  assert.equal(leases.stored?.spec?.leaseTransitions, 1);
  one.stop.abort();
  await one.running;
});

test('a stop gives the Lease up, and the next candidate takes it at once', async () => {
  const { clock, leases, candidate } = setUp();
  const one = candidate();
  await clock.advance(5_000);
  const two = candidate();
  await clock.advance(1_000);
  one.stop.abort();
  assert.equal(await one.running, 'stopped');
  assert.equal(one.term()?.aborted, true);
  assert.equal(one.elector.isValid(), false);
  assert.equal(leases.stored?.spec?.holderIdentity, '');
  assert.equal(leases.stored?.spec?.leaseDurationSeconds, 1);
  assert.match(leases.stored?.spec?.renewTime ?? '', /\.\d{6}Z$/);
  await clock.advance(4_500);
  assert.deepEqual(two.events, ['leader pod1', 'leader pod2', 'started']);
  assert.equal(leases.stored?.spec?.leaseTransitions, 1);
  two.stop.abort();
  await two.running;
});

test('the Lease is given up only when the work of the leader has ended', async () => {
  const { clock, leases, candidate } = setUp();
  const one = candidate({
    onStartedLeading: async (signal) => {
      await sleep(clock, 3_600_000, signal).catch(() => undefined);
      await sleep(clock, 3_000, new AbortController().signal);
    },
  });
  await clock.advance(100);
  one.stop.abort();
  await clock.advance(2_900);
  assert.equal(leases.stored?.spec?.holderIdentity, one.elector.identity);
  await clock.advance(100);
  assert.equal(leases.stored?.spec?.holderIdentity, '');
  assert.equal(one.end, 'stopped');
});

test('work that does not end keeps the Lease, and run ends all the same', async () => {
  const { clock, leases, candidate } = setUp();
  const one = candidate({ onStartedLeading: () => new Promise(() => undefined) });
  await clock.advance(100);
  one.stop.abort();
  await clock.advance(10_000);
  assert.equal(one.end, 'stopped');
  assert.equal(leases.stored?.spec?.holderIdentity, one.elector.identity);
});

test('work that fails gives the Lease up and ends run with its error', async () => {
  const { clock, leases, candidate } = setUp();
  const failure = new Error('no caches');
  const one = candidate({
    onStartedLeading: async () => {
      throw failure;
    },
  });
  const ended = assert.rejects(one.running, (error) => error === failure);
  await clock.advance(0);
  await ended;
  assert.equal(leases.stored?.spec?.holderIdentity, '');
});

test('a leader that cannot renew for ten seconds has lost, and is not valid from that moment on', async () => {
  const { clock, leases, candidate } = setUp();
  const one = candidate();
  await clock.advance(4_000);
  leases.before = async () => {
    throw new Error('connect ECONNREFUSED');
  };
  await clock.advance(9_999);
  assert.equal(one.elector.isValid(), true);
  assert.equal(one.term()?.aborted, false);
  await clock.advance(1);
  assert.equal(one.elector.isValid(), false);
  assert.equal(one.end, 'lost');
  assert.match(String(one.term()?.reason), /the Lease was lost/);
  assert.equal(leases.stored?.spec?.holderIdentity, one.elector.identity, 'a lost Lease is left to expire');
  assert.match(one.warnings.join('\n'), /could not be taken or renewed.*ECONNREFUSED/);
});

test('calls that hang, and ignore their signal, cost the term at the same moment', async () => {
  const { clock, leases, candidate } = setUp();
  const one = candidate();
  await clock.advance(3_000);
  const hanging = Promise.withResolvers<void>();
  leases.before = () => hanging.promise;
  await clock.advance(8_999);
  assert.equal(one.end, undefined);
  await clock.advance(1);
  assert.equal(one.end, 'lost');
  hanging.resolve();
  await settle();
  assert.equal(leases.calls.filter((verb) => verb === 'get').length, 0 + 1, 'nothing is tried after the signal');
});

test('validity counts from the start of a renewal, not from its answer', async () => {
  const { clock, leases, candidate } = setUp();
  leases.after = async () => await sleep(clock, 1_500, new AbortController().signal);
  const one = candidate();
  await clock.advance(3_000);
  assert.equal(one.elector.isValid(), true);
  leases.before = async () => {
    throw new Error('reset');
  };
  await clock.advance(6_999);
  assert.equal(one.elector.isValid(), true);
  await clock.advance(1);
  assert.equal(one.elector.isValid(), false);
  await one.running;
});

test('a leader that sees another holder has lost at once', async () => {
  const { clock, leases, candidate } = setUp();
  const one = candidate();
  await clock.advance(1_000);
  leases.store({ metadata: META, spec: OTHER });
  await clock.advance(1_000);
  assert.equal(one.end, 'lost');
  assert.deepEqual(leases.stored?.spec, OTHER);
  assert.deepEqual(one.events, ['leader pod1', 'started', 'leader other']);
});

test('a renewal whose answer was lost is found out, and leading goes on', async () => {
  const { clock, leases, candidate } = setUp();
  const one = candidate();
  await clock.advance(1_000);
  leases.after = async (verb) => {
    if (verb === 'replace') throw new Error('socket hang up');
  };
  await clock.advance(1_500);
  leases.after = async () => undefined;
  await clock.advance(60_000);
  assert.equal(one.end, undefined);
  assert.equal(one.elector.isValid(), true);
  assert.equal(leases.stored?.spec?.leaseTransitions, 0);
  one.stop.abort();
  await one.running;
});

test('a Lease that somebody deleted is made again by its leader', async () => {
  const { clock, leases, candidate } = setUp();
  const one = candidate();
  await clock.advance(1_000);
  leases.stored = undefined;
  await clock.advance(1_000);
  assert.equal(one.elector.isValid(), true);
  assert.equal(leases.stored === undefined, false);
  one.stop.abort();
  await one.running;
});

test('of two candidates that see the same free Lease one wins', async () => {
  const { clock, leases, candidate } = setUp();
  leases.store({ metadata: META, spec: { ...OTHER, holderIdentity: '' } });
  const candidates = [candidate(), candidate()];
  await clock.advance(30_000);
  assert.equal(candidates.filter(({ elector }) => elector.isValid()).length, 1);
  assert.equal(candidates.filter(({ events }) => events.includes('started')).length, 1);
  for (const { stop, running } of candidates) {
    stop.abort();
    await running;
  }
});

test('with a network that fails at random there are never two valid leaders', async () => {
  const { clock, leases, candidate } = setUp();
  const random = new SeededRandom(42);
  leases.before = async (_verb, signal) => {
    if (random.next() < 0.3) await sleep(clock, random.next() * 9_000, signal);
    if (random.next() < 0.4) throw new Error('reset');
  };
  leases.after = async () => {
    if (random.next() < 0.2) await sleep(clock, random.next() * 4_000, new AbortController().signal);
    if (random.next() < 0.2) throw new Error('reset');
  };
  let candidates = [candidate(), candidate(), candidate()];
  let terms = 0;
  for (let i = 0; i < 1_200; i += 1) {
    await clock.advance(500);
    assert.ok(candidates.filter(({ elector }) => elector.isValid()).length <= 1);
    terms += candidates.filter(({ end }) => end !== undefined).length;
    candidates = candidates.map((one) => (one.end === undefined ? one : candidate()));
  }
  assert.ok(terms > 3, `${terms} terms ended: the faults must bite`);
  for (const { stop } of candidates) stop.abort();
  await clock.advance(20_000);
});

test('candidates wait between 1 and 1.2 retry periods', async () => {
  const { clock, leases, candidate } = setUp();
  leases.store({ metadata: META, spec: { ...OTHER, leaseDurationSeconds: 3_600 } });
  const first = candidate();
  await settle();
  assert.equal(clock.nextTimerMs(), 2_000);
  first.stop.abort();
  await first.running;
  for (let count = 0; count < 10; count += 1) {
    const next = candidate();
    await settle();
    const waitMs = clock.nextTimerMs() ?? 0;
    assert.ok(waitMs >= 2_000 && waitMs <= 2_400, `${waitMs} ms`);
    next.stop.abort();
    await next.running;
  }
});

test('a dead leader is followed at the moment at which its Lease ends, not a retry period later', async () => {
  const { clock, leases, candidate } = setUp();
  leases.store({ metadata: META, spec: { ...OTHER, leaseDurationSeconds: 15 } });
  candidate();
  const second = candidate();
  await clock.advance(14_999);
  assert.equal(second.elector.isValid(), false);
  await clock.advance(2);
  assert.ok(leases.stored?.spec?.holderIdentity?.startsWith('pod'), leases.stored?.spec?.holderIdentity);
});

test('a stop before the Lease was taken writes nothing', async () => {
  const { clock, leases, candidate } = setUp();
  leases.store({ metadata: META, spec: OTHER });
  const one = candidate();
  await clock.advance(3_000);
  one.stop.abort();
  assert.equal(await one.running, 'stopped');
  assert.deepEqual(leases.stored?.spec, OTHER);
  assert.deepEqual(one.warnings, []);
});

test('a Lease that cannot be given up does not hold up the stop for more than two seconds', async () => {
  const { clock, leases, candidate } = setUp();
  const one = candidate();
  await clock.advance(1_000);
  leases.before = () => new Promise(() => undefined);
  one.stop.abort();
  await clock.advance(2_000);
  assert.equal(one.end, 'stopped');
  assert.match(one.warnings.join('\n'), /could not be given up/);
});

test('what another took in the meantime is not given up', async () => {
  const { clock, leases, candidate } = setUp();
  const one = candidate();
  await clock.advance(1_000);
  leases.store({ metadata: META, spec: OTHER });
  one.stop.abort();
  await one.running;
  assert.deepEqual(leases.stored?.spec, OTHER);
});

test('an error that is no Error is logged by its type', async () => {
  const { clock, leases, candidate } = setUp();
  leases.before = () => Promise.reject('text') as Promise<void>;
  const one = candidate();
  await clock.advance(0);
  assert.match(one.warnings[0] ?? '', /"error":"string"/);
  one.stop.abort();
  await one.running;
});

test('times that do not fit together are refused by name', () => {
  const { candidate } = setUp();
  const timing = { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 };
  assert.throws(() => candidate({ timing: { ...timing, leaseDurationMs: 10_000 } }), /leaseDurationMs \(10000\)/);
  assert.throws(() => candidate({ timing: { ...timing, retryPeriodMs: 9_000 } }), /retryPeriodMs \(9000\)/);
  assert.throws(() => candidate({ timing: { ...timing, retryPeriodMs: 0 } }), RangeError);
});
