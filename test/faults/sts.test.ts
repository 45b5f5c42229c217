// Shows that an STS that is down, silent, slow, throttling or lying costs a due refresh no more than its back-off, changes
// nothing in the Secret as long as it lasts, and is not asked more than it can bear. The lies are told by a proxy in front
// of the sandbox's STS, in the forms that gateways, captive portals and broken servers know.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { scanForSecrets } from '../beds/canary.ts';
import { type Action, startSTSProxy, STS_FAULTS, type STSProxy } from '../beds/intercepting-proxy.ts';
import { useFaultBed } from '../support/fault-operator.ts';
import { countOf, type FaultName, tellFault } from '../support/fault-report.ts';
import type { OperatorBed, RunningOperator, Scene } from '../support/operator-bed.ts';
import { lateness } from '../support/secret-reader.ts';

const FAULT_MS = 120_000;
/** The longest back-off of a transient error by design, 60 s, and the call. A throttled or refused call may wait longer. */
const MOST_LATE_MS = 65_000;
/** What STS refuses waits up to a fifth of the remaining life. */
const DENIED_MOST_LATE_MS = 125_000;
/** What the API server refuses is tried again after 5, 10 and 20 s at most, and then more slowly. */
const FORBIDDEN_MS = 15_000;
const FORBIDDEN_MOST_LATE_MS = 22_000;
/** Token, Secret and status. */
const WRITES = /\/serviceaccounts\/[^/]+\/token\b|\/secrets\/[^?]+\?fieldManager|\/status\?/;
const TOKEN_REQUEST = /\/serviceaccounts\/[^/]+\/token\b/;
/** A minute of an STS that is out holds no more calls for one credential: 5, 10, 20, 40 s, and the jitter. */
const MOST_CALLS = 20;
const SLOW_MS = 8_000;
const SLOW_KEYS = Array.from({ length: 12 }, (_, index) => `orders-${index}`);
/** At most so many calls are in flight for an endpoint. */
const IN_FLIGHT = 8;

interface STSFault {
  readonly fault: FaultName;
  readonly action: Action;
  readonly reason: string;
  readonly mostLateMs?: number;
}

const rewriting = (pattern: RegExp, by: string): Action => ({ rewrite: (body) => body.replace(pattern, by) });
const lie = (action: Action, reason = 'InvalidResponse'): STSFault => ({ fault: 'STS lying, 2 min', action, reason });

const FAULTS: Readonly<Record<string, STSFault>> = {
  'answers 503': { fault: 'STS down (503), 2 min', action: STS_FAULTS.unavailable, reason: 'STSUnavailable' },
  'resets every connection': {
    fault: 'STS down (connections reset), 2 min',
    action: STS_FAULTS.reset,
    reason: 'STSUnavailable',
  },
  'takes connections and answers nothing': {
    fault: 'STS silent, 2 min',
    action: STS_FAULTS.hang,
    reason: 'STSUnavailable',
  },
  throttles: { fault: 'STS throttling, 2 min', action: STS_FAULTS.throttled, reason: 'STSThrottled' },
  'issues and loses the answer': lie(STS_FAULTS.lostAnswer, 'STSUnavailable'),
  'answers 200 and nothing': lie(STS_FAULTS.emptyAnswer),
  'answers 200 and a page to sign in': lie(STS_FAULTS.html),
  'answers fifty megabytes': lie(STS_FAULTS.fiftyMegabytes),
  'answers with a credential that has ended': lie(STS_FAULTS.pastExpiration),
  'leaves out the secret key': lie(rewriting(/<SecretAccessKey>[^<]*<\/SecretAccessKey>/, '')),
  'leaves out the session token': lie(rewriting(/<SessionToken>[^<]*<\/SessionToken>/, '')),
  'leaves out the expiration': lie(rewriting(/<Expiration>[^<]*<\/Expiration>/, '')),
  'says an expiration that is no time': lie(rewriting(/<Expiration>[^<]*</, '<Expiration>tomorrow<')),
  'puts a line break into the secret key': lie(rewriting(/<SecretAccessKey>/, '<SecretAccessKey>a&#10;[default]&#10;')),
  'breaks off in the middle': lie({ rewrite: (body) => body.slice(0, body.indexOf('<SessionToken>') + 40) }),
  'sends the token elsewhere': { ...lie(STS_FAULTS.redirect, 'RedirectRefused'), mostLateMs: DENIED_MOST_LATE_MS },
};

describe('an STS that', { timeout: 120_000 }, () => {
  let bed: OperatorBed;
  let proxy: STSProxy;
  let running: RunningOperator;
  // Before the bed's own: what is open afterwards is counted.
  after(async () => {
    await proxy.stop();
  });
  const suite = useFaultBed({ maxSessionSeconds: 900 });
  before(async () => {
    ({ bed } = suite);
    proxy = await startSTSProxy(bed.sandbox.aws.url.origin);
    running = await bed.start({ flags: [`--sts-endpoint=AWS=${proxy.url}=sts.sandbox.example`] });
  });

  async function issuedThroughProxy(): Promise<Scene> {
    const scene = await bed.scene();
    await scene.issued({ aws: { ...scene.aws(), endpoint: proxy.url } });
    return scene;
  }

  async function skipUntil(what: string, limitMs: number, look: () => boolean): Promise<void> {
    const fromMs = bed.clock.now();
    while (!look()) {
      assert.ok(bed.clock.now() - fromMs < limitMs, `${what} within ${limitMs} ms`);
      await bed.clock.skip(250, 250);
    }
  }

  for (const [title, { fault, action, reason, mostLateMs = MOST_LATE_MS }] of Object.entries(FAULTS)) {
    test(`${title} for two minutes delays a refresh by no more than its back-off`, async (context) => {
      const scene = await issuedThroughProxy();
      const reader = scene.reader();
      const good = scene.secret();
      await bed.skipTo(scene.refreshTimeMs() - 500);
      proxy.fail(action);
      const from = proxy.calls.length;
      await bed.clock.skip(FAULT_MS, 500);
      const calls = proxy.calls.length - from;
      assert.deepEqual(scene.secret(), good, 'the Secret is as it was');
      assert.equal(scene.condition('Refreshed')?.reason, reason);
      assert.equal(scene.condition('Ready')?.reason, 'RefreshFailing');
      assert.ok(calls >= 1 && calls <= MOST_CALLS, `${calls} calls`);
      proxy.heal();
      const endedMs = bed.clock.now();
      await skipUntil('a refresh', mostLateMs, () => scene.condition('Refreshed')?.reason === 'Issued');
      await reader.look();
      await reader.assertNeverExpired();
      assert.equal(reader.count, 2);
      assert.equal(proxy.calls.length - from, calls + 1, 'one good call is enough');
      tellFault(context, {
        fault,
        bed: 'sandbox',
        did: `${title}: ${countOf(calls, 'call')} in 2 min, Refreshed=False ${reason}, the Secret untouched; 1 exchange after it`,
        lateMs: lateness(reader.replacedAtMs, endedMs),
        seen: reader.describe(),
      });
      await scene.delete();
    });
  }

  test('is back while the API server still refuses what it grants is asked again seconds after that, and not minutes', async (context) => {
    const scene = await issuedThroughProxy();
    const reader = scene.reader();
    await bed.skipTo(scene.refreshTimeMs() - 500);
    proxy.fail(STS_FAULTS.unavailable);
    await bed.clock.skip(FAULT_MS, 500);
    proxy.heal();
    const from = proxy.calls.length;
    // So does an API server that has just been started, until it has read the Roles.
    const heal = bed.sandbox.apiServer.faults.add({
      match: { pathPattern: WRITES },
      action: { kind: 'status', status: 403 },
    });
    const refusedFrom = bed.sandbox.apiServer.requestLog.length;
    const refusals = (): number =>
      bed.operatorCalls(refusedFrom).filter(({ target }) => TOKEN_REQUEST.test(target)).length;
    await skipUntil('a refusal', MOST_LATE_MS, () => refusals() > 0);
    await bed.clock.skip(FORBIDDEN_MS, 500);
    const refused = refusals();
    heal();
    const endedMs = bed.clock.now();
    await skipUntil('a refresh', FORBIDDEN_MOST_LATE_MS, () => scene.condition('Refreshed')?.reason === 'Issued');
    await reader.look();
    await reader.assertNeverExpired();
    assert.ok(refused >= 2 && refused <= 4, `${refused} refused`);
    assert.equal(proxy.calls.length - from, 1, 'a refused token costs no call to STS');
    const secrets = bed.sandbox.aws.issued.flatMap(({ secretAccessKey, sessionToken, webIdentityToken }) => [
      secretAccessKey,
      sessionToken,
      webIdentityToken,
    ]);
    const texts = [...bed.emitted(), { name: 'metrics', text: (await running.get('/metrics')).body }];
    assert.deepEqual(scanForSecrets(texts, secrets), []);
    assert.ok(scanForSecrets([{ name: 'Secret', text: JSON.stringify(scene.secret()) }], secrets).length > 0);
    tellFault(context, {
      fault: 'API server: 403 to all writes for 15 s, after 2 min without STS',
      bed: 'sandbox',
      did: `${countOf(refused, 'token request')} refused; 1 exchange after it`,
      lateMs: lateness(reader.replacedAtMs, endedMs),
      seen: reader.describe(),
    });
    await scene.delete();
  });

  test('answers just before its deadline is waited for, and not called twice', async (context) => {
    const scene = await bed.scene();
    for (const name of SLOW_KEYS) await scene.issued({}, name);
    const readers = SLOW_KEYS.map((name) => scene.reader(name));
    const from = bed.sandbox.aws.calls.length;
    bed.sandbox.aws.switches.slowMs = SLOW_MS;
    bed.sandbox.aws.switches.mode = 'slow';
    for (const name of SLOW_KEYS) {
      await scene.annotate({ 'workloadcredentials.io/refresh-requested': 'slow' }, name);
    }
    const dueMs = bed.clock.now();
    const isDone = (name: string): boolean => scene.credential(name)?.status?.lastHandledRefreshRequest === 'slow';
    await skipUntil('all', 60_000, () => SLOW_KEYS.every(isDone));
    bed.sandbox.aws.switches.mode = 'none';
    await scene.quiet();
    for (const reader of readers) {
      await reader.look();
      await reader.assertNeverExpired();
    }
    const calls = bed.sandbox.aws.calls.slice(from);
    assert.deepEqual(
      calls.map(({ outcome }) => outcome),
      Array(SLOW_KEYS.length).fill('Issued'),
    );
    for (const name of SLOW_KEYS) {
      assert.equal(scene.credential(name)?.status?.consecutiveFailures, 0);
      assert.equal(scene.condition('Ready', name)?.reason, 'Issued');
    }
    assert.ok(!scene.events().some((event) => event.startsWith('Warning')), scene.events().join(', '));
    const lateMs = Math.max(...readers.map((reader) => lateness(reader.replacedAtMs, dueMs)));
    assert.ok(lateMs >= SLOW_MS, 'it was slow');
    const turns = Math.ceil(SLOW_KEYS.length / IN_FLIGHT);
    assert.ok(lateMs < (turns + 1) * SLOW_MS, `${lateMs} ms for ${turns} turns`);
    const [first] = readers;
    tellFault(context, {
      fault: 'STS slow: 8 s of a 10 s deadline',
      bed: 'sandbox',
      did: `${SLOW_KEYS.length} refreshes at once, ${IN_FLIGHT} in flight: ${calls.length} exchanges, no failure, no Warning (late: while it is slow)`,
      lateMs,
      seen: first?.describe() ?? '',
    });
  });

  test('says an end that nobody asked for is believed no further than what was asked', async () => {
    const scene = await bed.scene();
    proxy.fail(rewriting(/<Expiration>[^<]*</, '<Expiration>2099-01-01T00:00:00Z<'));
    await scene.issued({ aws: { ...scene.aws(), endpoint: proxy.url } });
    proxy.heal();
    const { expirationTime = '' } = scene.credential()?.status ?? {};
    const lifeMs = Date.parse(expirationTime) - bed.clock.now();
    assert.ok(lifeMs <= 3_660_000 && lifeMs > 3_500_000, `it is said to live ${lifeMs} ms`);
    await scene.delete();
  });

  test('did all this is logged without an error', () => {
    assert.deepEqual(
      running.lines.filter(({ level }) => level === 'error'),
      [],
    );
  });
});
