// Shows on a real API server what a wrong clock does to an operator: nothing. Two replicas run under libfaketime, one half an
// hour ahead, one half an hour behind, each as a whole process: Date, OpenSSL and the C library see the wrong time, durations
// do not. First the one leads, then, an hour apart, the other.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { ensureBinaries } from '../beds/binaries.ts';
import type { OperatorProcess } from '../beds/operator.ts';
import { type SeaweedFSBed, startSeaweedFS } from '../beds/seaweedfs.ts';
import { waitFor } from '../beds/wait.ts';
import { tellFault } from '../support/fault-report.ts';
import { type Installation, manifest, startCluster } from '../support/installation.ts';
import { scopeFor } from '../support/scope.ts';
import { lateness } from '../support/secret-reader.ts';

const AUDIENCE = 'sts.seaweedfs.test';
const KEY = { namespace: 'shop', name: 'orders' };
/** Sessions are cut to this, so that a refresh is due every six or seven seconds. */
const LIFETIME_SECONDS = 15;
const REFRESHES = 2;
const WORKS = 'this replica works';
const WARNING = "this machine's clock is far from the API server's";
const HALF_AN_HOUR_SECONDS = 1_800;
/** Of 15 s; what is asked here leaves a loaded machine its time. */
const LEAST_LEFT_MS = 3_000;
/** status holds whole seconds. */
const MOST_LATE_MS = 3_000;

let bed: Installation;
let seaweedFS: SeaweedFSBed;
let ahead: OperatorProcess;
let behind: OperatorProcess;

/** The environment of a process whose wall clock is off; https://github.com/wolfcw/libfaketime. */
function wrongClock(library: string, seconds: number): Record<string, string> {
  const offset = `${seconds > 0 ? '+' : ''}${seconds}s`;
  return { LD_PRELOAD: library, FAKETIME: offset, DONT_FAKE_MONOTONIC: '1' };
}

before(async () => {
  const library = (await ensureBinaries(['libfaketime.so.1'])).path('libfaketime.so.1');
  bed = await startCluster();
  seaweedFS = await startSeaweedFS({
    issuer: bed.kubernetes.issuer,
    caPEM: bed.kubernetes.caPEM,
    audience: AUDIENCE,
    maxSessionLength: `${LIFETIME_SECONDS}s`,
    roles: [{ name: 'orders', subjects: [`system:serviceaccount:${KEY.namespace}:${KEY.name}`], bucket: 'orders' }],
  });
  const sts = await bed.addProxy(seaweedFS.url);
  await bed.createWorkloads([KEY]);
  ahead = await bed.install({
    scope: scopeFor('namespaces', [KEY.namespace]),
    endpoints: [{ url: sts.url, audiences: [AUDIENCE] }],
    env: wrongClock(library, HALF_AN_HOUR_SECONDS),
  });
  await ahead.waitForLog(WORKS);
  behind = await bed.start({ env: wrongClock(library, -HALF_AN_HOUR_SECONDS) });
  await bed.apply(
    manifest({
      ...KEY,
      aws: { roleARN: seaweedFS.roleARN('orders'), region: 'us-east-1', audience: AUDIENCE, endpoint: sts.url },
    }),
  );
  await bed.untilIssued(KEY);
});

after(async () => {
  await bed?.stop();
  await seaweedFS?.stop();
});

afterEach((context) => {
  if ('error' in context && context.error !== null) process.stderr.write(`${bed.lastLogs()}${seaweedFS.logs()}\n`);
});

/** How far a time is from the true one, in milliseconds. */
function offMs(time: string | undefined): number {
  return Math.abs(Date.parse(time ?? '') - Date.now());
}

describe('an operator whose clock is half an hour', { timeout: 120_000 }, () => {
  for (const [title, seconds] of [
    ['ahead', HALF_AN_HOUR_SECONDS],
    ['behind', -HALF_AN_HOUR_SECONDS],
  ] as const) {
    test(`${title} refreshes in time, tells true times, and warns once`, async (context) => {
      const operator = title === 'ahead' ? ahead : behind;
      const wrongMs = Date.parse(String(operator.lines[0]?.fields?.['time']));
      assert.ok(Math.abs(wrongMs - Date.now() - seconds * 1_000) < 60_000, 'its own log has the wrong time');
      const reader = bed.reader(KEY);
      let lateMs = 0;
      for (let refresh = 0; refresh < REFRESHES; refresh += 1) {
        const { status } = await bed.untilIssued(KEY);
        const { issueTime, expirationTime = '', refreshTime = '', accessKeyID } = status;
        await waitFor('the reader', () => reader.replacedAtMs, { timeoutMs: 5_000 });
        assert.ok(offMs(issueTime) < (LIFETIME_SECONDS + 2) * 1_000, `issued at ${issueTime}`);
        assert.ok(Date.parse(refreshTime) < Date.parse(expirationTime) - LEAST_LEFT_MS, `due at ${refreshTime}`);
        const isNext = (seen: typeof status): boolean =>
          seen.accessKeyID !== undefined && seen.accessKeyID !== accessKeyID;
        await bed.until(KEY, 'a refresh', (seen) => isNext(seen.status));
        const count = reader.count;
        await waitFor('the reader to see it', () => reader.count >= Math.max(2, count), { timeoutMs: 5_000 });
        lateMs = Math.max(lateMs, lateness(reader.replacedAtMs, Date.parse(refreshTime)));
      }
      await reader.assertNeverExpired();
      assert.ok(reader.leastLeftMs > LEAST_LEFT_MS, `${reader.leastLeftMs} ms were left`);
      assert.ok(lateMs < MOST_LATE_MS, `${lateMs} ms late`);

      const warnings = operator.lines.filter(({ fields }) => fields?.['message'] === WARNING);
      assert.equal(warnings.length, 1, warnings.map(({ text }) => text).join('\n'));
      assert.ok(Math.abs(Number(warnings[0]?.fields?.['offsetSeconds']) + seconds) <= 2, warnings[0]?.text);
      const metric = /^workloadcredential_clock_offset_seconds (\S+)$/m.exec(await operator.metrics())?.[1];
      assert.ok(Math.abs(Number(metric) + seconds) <= 2, `the metric says ${metric}`);
      const { conditions = [] } = (await bed.untilIssued(KEY)).status;
      for (const { lastTransitionTime, type } of conditions) {
        assert.ok(offMs(lastTransitionTime) < 120_000, `${type} since ${lastTransitionTime}`);
      }
      const errors = operator.lines.filter(
        ({ fields, stream }) => stream === 'stderr' || fields?.['level'] === 'error',
      );
      assert.deepEqual(
        errors.map(({ text }) => text),
        [],
      );
      tellFault(context, {
        fault: `clock half an hour ${title}`,
        bed: 'real',
        did: `${REFRESHES} refreshes of ${LIFETIME_SECONDS} s sessions by the API server's time; one warning, one metric${title === 'ahead' ? '' : '; it took the Lease over from a replica an hour ahead of it'}`,
        lateMs,
        seen: reader.describe(),
      });
      if (title === 'ahead') {
        const sinceMs = performance.now();
        ahead.signal('SIGTERM');
        await behind.waitForLog(WORKS, 40_000);
        const tookMs = Math.round(performance.now() - sinceMs);
        context.diagnostic(`SIGTERM: the replica that is an hour behind it works after ${tookMs} ms`);
        assert.ok(tookMs <= 3_000, `${tookMs} ms`);
      }
    });
  }

  test('shows times of Events that are true', async () => {
    const list = await bed.client.get<{ items: { eventTime: string; reason: string; regarding: { name: string } }[] }>(
      `/apis/events.k8s.io/v1/namespaces/${KEY.namespace}/events`,
    );
    const times = (list?.items ?? []).filter(({ regarding }) => regarding.name === KEY.name);
    assert.ok(times.length > 0);
    for (const { eventTime, reason } of times) assert.ok(offMs(eventTime) < 120_000, `${reason} at ${eventTime}`);
  });
});
