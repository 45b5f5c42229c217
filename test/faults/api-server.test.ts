// Shows that no way in which an API server or a watch breaks loses an event, costs an exchange or outlasts the fault: how
// late a due refresh was, counted from the fault's end, is told for each. A silent watch is cut by its idle limit: that is
// the informer's own test, since it takes 150 s.
import assert from 'node:assert/strict';
import { afterEach, before, describe, test } from 'node:test';
import type { FaultAction } from '../../sandbox/apiserver/faults.ts';
import type { APIServer } from '../../sandbox/apiserver/handler.ts';
import { useFaultBed } from '../support/fault-operator.ts';
import { countOf, type FaultName, tellFault } from '../support/fault-report.ts';
import type { OperatorBed, RunningOperator } from '../support/operator-bed.ts';
import { lateness } from '../support/secret-reader.ts';

/** What a watch says last; `cut` ends the connection in the middle of the answer. */
interface LastWords {
  readonly text?: string;
  readonly cut?: true;
  /** It stays open and says nothing more, until it is ended again. */
  readonly silent?: true;
}

/** Holds every open watch, to end it in ways that the sandbox itself would not. */
class OpenWatches {
  readonly #open = new Set<(words: LastWords) => void>();
  readonly #silent = new Set<(words: LastWords) => void>();

  constructor(server: APIServer) {
    const { handle } = server;
    server.handle = async (request) => {
      const outcome = await handle(request);
      if ('reset' in outcome || typeof outcome.body === 'string') return outcome;
      return { ...outcome, body: this.#follow(outcome.body) };
    };
  }

  get size(): number {
    return this.#open.size;
  }

  /** Cuts those that are open and silent. */
  cutSilent(): void {
    for (const end of this.#silent) end({ cut: true });
  }

  /** Ends them all; the result is how many there were. */
  end(words: LastWords): number {
    const ending = [...this.#open];
    for (const end of ending) end(words);
    return ending.length;
  }

  /** Ends like a cut when it ends at all. */
  async #hold(ended: (words: LastWords) => void): Promise<void> {
    this.#open.delete(ended);
    const { promise, resolve } = Promise.withResolvers<LastWords>();
    this.#silent.add(resolve);
    await promise;
    this.#silent.delete(resolve);
    throw new Error('cut');
  }

  async *#follow(body: AsyncIterable<string>): AsyncGenerator<string> {
    const { promise, resolve } = Promise.withResolvers<LastWords>();
    this.#open.add(resolve);
    const words = promise.then((last) => ({ last }));
    const chunks = body[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await Promise.race([words, chunks.next()]);
        if ('last' in next) {
          if (next.last.silent === true) await this.#hold(resolve);
          if (next.last.text !== undefined) yield next.last.text;
          if (next.last.cut === true) throw new Error('cut');
          return;
        }
        if (next.done === true) return;
        yield next.value;
      }
    } finally {
      this.#open.delete(resolve);
    }
  }
}

function errorEvent(code: number, reason: string): string {
  const object = {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'a fault',
    reason,
    code,
  };
  return `${JSON.stringify({ type: 'ERROR', object })}\n`;
}

const ENDS: Readonly<Record<string, readonly [FaultName, LastWords]>> = {
  'is cut': ['watch cut', { cut: true }],
  'ends in half a JSON line': [
    'watch ends in half a JSON line',
    { text: '{"type":"MODIFIED","object":{"metadata":{"na', cut: true },
  ],
  'says half a JSON line and then nothing more': [
    'watch says half a JSON line and nothing more',
    { text: '{"type":"MODIFIED","object":{"metadata":{"na' },
  ],
  'says a line that is no JSON': ['watch says what is no JSON', { text: '<html>Bad Gateway</html>\n' }],
  'says an ERROR event 410': ['watch says ERROR 410 Expired', { text: errorEvent(410, 'Expired') }],
  'says an ERROR event 500': ['watch says ERROR 500', { text: errorEvent(500, 'InternalError') }],
  'says an ERROR event 429': ['watch says ERROR 429', { text: errorEvent(429, 'TooManyRequests') }],
};

/** Everything that the API server does for two minutes around a refresh. */
const OUTAGES: Readonly<Record<string, readonly [FaultName, FaultAction]>> = {
  'answers 500 to everything': ['API server: 500 to everything, 2 min', { kind: 'status', status: 500 }],
  'answers 503 to everything, and wants 10 s of patience': [
    'API server: 503 with Retry-After, 2 min',
    { kind: 'status', status: 503, retryAfterSeconds: 10 },
  ],
  'answers 429 to everything, and wants 10 s of patience': [
    'API server: 429 with Retry-After, 2 min',
    { kind: 'status', status: 429, retryAfterSeconds: 10 },
  ],
  'cuts every connection': ['API server: every connection reset, 2 min', { kind: 'reset' }],
  'answers nothing': ['API server: takes connections, answers nothing, 2 min', { kind: 'hang' }],
  'does what it is told and loses every answer': [
    'API server: acts and loses every answer, 2 min',
    { kind: 'loseAnswer' },
  ],
};
const OUTAGE_MS = 120_000;
/** The longest back-off of anything, by design, is 60 s; credentials of 15 min have over 5 min of budget. */
const MOST_LATE_MS = 65_000;

let bed: OperatorBed;
let running: RunningOperator;
let watches: OpenWatches;

async function skipUntil(what: string, limitMs: number, look: () => boolean): Promise<number> {
  const fromMs = bed.clock.now();
  while (!look()) {
    assert.ok(bed.clock.now() - fromMs < limitMs, `${what} within ${limitMs} ms`);
    await bed.clock.skip(250, 250);
  }
  return Math.round(bed.clock.now() - fromMs);
}

/** After a fault the informers wait for up to 30 s. */
async function untilWatching(): Promise<void> {
  await skipUntil('the watches', 35_000, () => watches.size >= 3);
}

describe('with faults,', () => {
  const suite = useFaultBed({ maxSessionSeconds: 900 });
  before(async () => {
    ({ bed } = suite);
    watches = new OpenWatches(bed.sandbox.apiServer);
    running = await bed.start();
  });
  afterEach(() => {
    bed.sandbox.apiServer.faults.clear();
  });

  describe('a watch that', { timeout: 90_000 }, () => {
    for (const [title, [fault, words]] of Object.entries(ENDS)) {
      for (const compacted of [false, true]) {
        test(`${title}${compacted ? ' while history is forgotten' : ''} loses nothing and costs no exchange`, async (context) => {
          const [old, fresh] = [await bed.scene(), await bed.scene()];
          await untilWatching();
          await old.issued();
          const reader = old.reader();
          await untilWatching();
          const from = bed.sandbox.apiServer.requestLog.length;
          if (compacted) bed.sandbox.apiServer.compact();
          const ended = watches.end(words);
          const endedMs = bed.clock.now();
          assert.ok(ended >= 3);
          await fresh.apply();
          await old.annotate({ 'workloadcredentials.io/refresh-requested': 'now' });
          const isRefreshed = (): boolean => old.credential()?.status?.lastHandledRefreshRequest === 'now';
          await skipUntil('both', 10_000, () => isRefreshed() && fresh.condition('Ready')?.reason === 'Issued');
          await Promise.all([old.quiet(), fresh.quiet()]);
          assert.equal(old.seen().sts.length, 1);
          assert.equal(fresh.seen().sts.length, 1);
          const lists = bed.operatorCalls(from).filter(({ method, target }) => {
            return method === 'GET' && /limit=/.test(target) && !target.includes('watch=true');
          });
          assert.ok(lists.length <= 6, `${lists.length} lists of three types`);
          await reader.look();
          await reader.assertNeverExpired();
          const did = `${ended} watches ended at once, ${countOf(lists.length, 'list')}; a refresh and a new resource meanwhile: 1 exchange each`;
          tellFault(context, {
            fault,
            bed: 'sandbox',
            did,
            lateMs: lateness(reader.replacedAtMs, endedMs),
            seen: reader.describe(),
          });
          await Promise.all([old.delete(), fresh.delete()]);
        });
      }
    }

    test('stays open and says nothing more holds up no refresh that is due', async (context) => {
      await untilWatching();
      const scene = await bed.scene();
      await scene.issued();
      const reader = scene.reader();
      const dueMs = scene.refreshTimeMs();
      const silent = watches.end({ silent: true });
      await scene.refreshed();
      assert.equal(scene.seen().sts.length, 1);
      await reader.assertNeverExpired();
      tellFault(context, {
        fault: 'watch open but silent',
        bed: 'sandbox',
        did: `${silent} watches silent: a refresh that falls due is no matter of watches, 1 exchange; after 150 s without a byte a watch is opened anew (a unit test of the informer)`,
        lateMs: lateness(reader.replacedAtMs, dueMs),
        seen: reader.describe(),
      });
      watches.cutSilent();
      await untilWatching();
      await scene.delete();
    });
  });

  describe('an API server that', { timeout: 90_000 }, () => {
    for (const [title, [fault, action]] of Object.entries(OUTAGES)) {
      test(`${title} for two minutes delays a refresh by no more than its back-off, and expires nothing`, async (context) => {
        await untilWatching();
        const scene = await bed.scene();
        await scene.issued();
        const reader = scene.reader();
        const before = scene.accessKeyID();
        await bed.skipTo(scene.refreshTimeMs() - 1_000);
        const from = bed.sandbox.apiServer.requestLog.length;
        const heal = bed.sandbox.apiServer.faults.add({ match: { pathPattern: /^\/apis?\// }, action });
        watches.end({ cut: true });
        await bed.clock.skip(OUTAGE_MS, 500);
        heal();
        const endedMs = bed.clock.now();
        const during = bed.operatorCalls(from).length;
        const isTold = (): boolean =>
          scene.accessKeyID() !== before && scene.credential()?.status?.accessKeyID === scene.accessKeyID();
        await skipUntil('a refresh', MOST_LATE_MS, isTold);
        const sts = scene.seen().sts.length;
        assert.equal(sts, 1);
        assert.equal(scene.credential()?.status?.consecutiveFailures ?? 0, 0);
        await reader.look();
        await reader.assertNeverExpired();
        tellFault(context, {
          fault,
          bed: 'sandbox',
          did: `${countOf(during, 'call')} during the outage, a refresh due all the time; ${countOf(sts, 'exchange')} in all`,
          lateMs: lateness(reader.replacedAtMs, endedMs),
          seen: reader.describe(),
        });
        await scene.delete();
      });
    }

    test('throttles one namespace does not hold up another', async (context) => {
      await untilWatching();
      const [slow, good] = [await bed.scene(), await bed.scene()];
      // More keys than there are workers: a worker that slept would be missed.
      const names = Array.from({ length: 40 }, (_, index) => `orders-${index}`);
      for (const name of names) await slow.apply({}, name);
      bed.sandbox.apiServer.faults.add({
        match: { pathPattern: new RegExp(`/namespaces/${slow.namespace}/(secrets|serviceaccounts)`) },
        action: { kind: 'status', status: 429, retryAfterSeconds: 60 },
      });
      const appliedMs = bed.clock.now();
      await good.apply();
      const reader = good.reader();
      await good.ready();
      await reader.look();
      const goodMs = lateness(reader.replacedAtMs, appliedMs);
      bed.sandbox.apiServer.faults.clear();
      const endedMs = bed.clock.now();
      await skipUntil('the others', 80_000, () =>
        names.every((name) => slow.condition('Ready', name)?.reason === 'Issued'),
      );
      const perName = names.map(
        (name) => slow.seen().sts.filter(({ sessionName }) => sessionName.endsWith(`.${name}`)).length,
      );
      assert.deepEqual(perName, Array(40).fill(1));
      await reader.assertNeverExpired();
      tellFault(context, {
        fault: 'API server: 429 for one namespace of two',
        bed: 'sandbox',
        did: `40 resources waited for the 60 s that they were told to, then 1 exchange each; one of the other namespace was issued ${goodMs} ms after it was applied`,
        lateMs: bed.clock.now() - endedMs,
        seen: reader.describe(),
      });
    });

    test('did all this logs no error', () => {
      assert.deepEqual(
        running.lines.filter(({ level }) => level === 'error'),
        [],
      );
    });
  });
});
