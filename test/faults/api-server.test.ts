// Shows that no way in which an API server or a watch breaks loses an event, costs an exchange or outlasts the fault: how
// late a due refresh was, counted from the fault's end, is told for each. A silent watch is cut by its idle limit: that is
// the informer's own test, since it takes 150 s.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import type { FaultAction } from '../../sandbox/apiserver/faults.ts';
import type { APIServer } from '../../sandbox/apiserver/handler.ts';
import { type OperatorBed, type RunningOperator, type Scene, startOperatorBed } from '../support/operator-bed.ts';

/** What a watch says last; `cut` ends the connection in the middle of the answer. */
interface LastWords {
  readonly text?: string;
  readonly cut?: true;
}

/** Holds every open watch, to end it in ways that the sandbox itself would not. */
class OpenWatches {
  readonly #open = new Set<(words: LastWords) => void>();

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

  /** Ends them all; the result is how many there were. */
  end(words: LastWords): number {
    const ending = [...this.#open];
    for (const end of ending) end(words);
    return ending.length;
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

const ENDS: Readonly<Record<string, LastWords>> = {
  'is cut': { cut: true },
  'ends in half a JSON line': { text: '{"type":"MODIFIED","object":{"metadata":{"na', cut: true },
  'says half a JSON line and then nothing more': { text: '{"type":"MODIFIED","object":{"metadata":{"na' },
  'says a line that is no JSON': { text: '<html>Bad Gateway</html>\n' },
  'says an ERROR event 410': { text: errorEvent(410, 'Expired') },
  'says an ERROR event 500': { text: errorEvent(500, 'InternalError') },
  'says an ERROR event 429': { text: errorEvent(429, 'TooManyRequests') },
};

/** Everything that the API server does for two minutes around a refresh. */
const OUTAGES: Readonly<Record<string, FaultAction>> = {
  'answers 500 to everything': { kind: 'status', status: 500 },
  'answers 503 to everything, and wants 10 s of patience': { kind: 'status', status: 503, retryAfterSeconds: 10 },
  'answers 429 to everything, and wants 10 s of patience': { kind: 'status', status: 429, retryAfterSeconds: 10 },
  'cuts every connection': { kind: 'reset' },
  'answers nothing': { kind: 'hang' },
  'does what it is told and loses every answer': { kind: 'loseAnswer' },
};
const OUTAGE_MS = 120_000;
/** The longest back-off of anything, by design, is 60 s; credentials of 15 min have over 5 min of budget. */
const MOST_LATE_MS = 65_000;

let bed: OperatorBed;
let running: RunningOperator;
let watches: OpenWatches;

before(async () => {
  bed = await startOperatorBed({ maxSessionSeconds: 900 });
  watches = new OpenWatches(bed.sandbox.apiServer);
  running = await bed.start();
});
afterEach(() => {
  bed.sandbox.apiServer.faults.clear();
});
after(async () => {
  await bed.stop();
});

/** The expirations that the Secret has shown may not have passed. */
function assertNotExpired(scene: Scene): void {
  const { Expiration = '' } = JSON.parse(scene.value('credentials.json')) as { Expiration?: string };
  assert.ok(Date.parse(Expiration) > bed.clock.now(), `it ended at ${Expiration}`);
}

async function skipUntil(what: string, limitMs: number, look: () => boolean): Promise<number> {
  const fromMs = bed.clock.now();
  while (!look()) {
    assert.ok(bed.clock.now() - fromMs < limitMs, `${what} within ${limitMs} ms`);
    await bed.clock.skip(250, 250);
  }
  return Math.round(bed.clock.now() - fromMs);
}

describe('a watch that', { timeout: 60_000 }, () => {
  for (const [title, words] of Object.entries(ENDS)) {
    for (const compacted of [false, true]) {
      test(`${title}${compacted ? ' while history is forgotten' : ''} loses nothing and costs no exchange`, async () => {
        const [old, fresh] = [await bed.scene(), await bed.scene()];
        await old.issued();
        await bed.until('the watches', () => watches.size >= 3);
        const from = bed.sandbox.apiServer.requestLog.length;
        if (compacted) bed.sandbox.apiServer.compact();
        assert.ok(watches.end(words) >= 3);
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
        await Promise.all([old.delete(), fresh.delete()]);
      });
    }
  }
});

describe('an API server that', { timeout: 60_000 }, () => {
  for (const [title, action] of Object.entries(OUTAGES)) {
    test(`${title} for two minutes delays a refresh by no more than its back-off, and expires nothing`, async (context) => {
      // After the last fault the informers wait for up to 30 s.
      const watchingMs = await skipUntil('the watches', 35_000, () => watches.size >= 3);
      context.diagnostic(`all watches were open again ${watchingMs} ms after the last fault's refresh`);
      const scene = await bed.scene();
      await scene.issued();
      const before = scene.accessKeyID();
      const dueMs = scene.refreshTimeMs();
      await bed.skipTo(dueMs - 1_000);
      const heal = bed.sandbox.apiServer.faults.add({ match: { pathPattern: /^\/apis?\// }, action });
      watches.end({ cut: true });
      await bed.clock.skip(OUTAGE_MS, 500);
      heal();
      assertNotExpired(scene);
      const isTold = (): boolean =>
        scene.accessKeyID() !== before && scene.credential()?.status?.accessKeyID === scene.accessKeyID();
      const lateMs = await skipUntil('a refresh', MOST_LATE_MS, isTold);
      const sts = scene.seen().sts.length;
      context.diagnostic(`refreshed ${lateMs} ms after the fault ended, ${sts} exchanges`);
      assert.equal(sts, 1);
      assertNotExpired(scene);
      assert.equal(scene.credential()?.status?.consecutiveFailures ?? 0, 0);
      await scene.delete();
    });
  }

  test('throttles one namespace does not hold up another', async () => {
    await skipUntil('the watches', 35_000, () => watches.size >= 3);
    const [slow, good] = [await bed.scene(), await bed.scene()];
    // More keys than there are workers: a worker that slept would be missed.
    const names = Array.from({ length: 40 }, (_, index) => `orders-${index}`);
    for (const name of names) await slow.apply({}, name);
    bed.sandbox.apiServer.faults.add({
      match: { pathPattern: new RegExp(`/namespaces/${slow.namespace}/(secrets|serviceaccounts)`) },
      action: { kind: 'status', status: 429, retryAfterSeconds: 60 },
    });
    await good.apply();
    await good.ready();
    bed.sandbox.apiServer.faults.clear();
    await skipUntil('the others', 80_000, () =>
      names.every((name) => slow.condition('Ready', name)?.reason === 'Issued'),
    );
    const perName = names.map(
      (name) => slow.seen().sts.filter(({ sessionName }) => sessionName.endsWith(`.${name}`)).length,
    );
    assert.deepEqual(perName, Array(40).fill(1));
  });

  test('did all this logs no error', () => {
    assert.deepEqual(
      running.lines.filter(({ level }) => level === 'error'),
      [],
    );
  });
});
