// Shows that an operator whose machine's clock is half an hour off, either way, refreshes before the true end of what it
// issued, writes true times into status, and says once that the clock is wrong.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Clock } from '../../src/runtime/clock.ts';
import { useFaultBed } from '../support/fault-operator.ts';
import { tellFault } from '../support/fault-report.ts';
import { lateness } from '../support/secret-reader.ts';

const WARNING = "this machine's clock is far from the API server's";
const HALF_AN_HOUR_MS = 30 * 60_000;
const REFRESHES = 3;
/** status holds whole seconds, and a skip ends within one. */
const MOST_LATE_MS = 5_000;

function skewed(clock: Clock, byMs: number): Clock {
  return {
    now: () => clock.now() + byMs,
    monotonicMs: () => clock.monotonicMs(),
    setTimer: (delayMs, callback) => clock.setTimer(delayMs, callback),
  };
}

describe('a clock that is half an hour', { timeout: 60_000 }, () => {
  const suite = useFaultBed({ maxSessionSeconds: 900 });

  for (const [title, byMs] of [
    ['ahead', HALF_AN_HOUR_MS],
    ['behind', -HALF_AN_HOUR_MS],
  ] as const) {
    test(`${title} delays no refresh, and is told by a metric and one warning`, async (context) => {
      const { bed } = suite;
      const operator = await suite.start({ clock: skewed(bed.clock, byMs) });
      const scene = await bed.scene();
      await scene.issued();
      const reader = scene.reader();
      let lateMs = 0;
      let leastLeftMs = Number.POSITIVE_INFINITY;
      for (let refresh = 0; refresh < REFRESHES; refresh += 1) {
        const { issueTime = '', expirationTime = '', refreshTime = '' } = scene.credential()?.status ?? {};
        const { expirationMs } = bed.sandbox.aws.issued.findLast(({ roleARN }) => roleARN === scene.roleARN) ?? {};
        assert.ok(Math.abs(Date.parse(issueTime) - bed.clock.now()) < 5_000, `issued at ${issueTime}`);
        assert.ok(Math.abs(Date.parse(expirationTime) - (expirationMs ?? 0)) < 2_000, `ends at ${expirationTime}`);
        assert.ok(Date.parse(refreshTime) < (expirationMs ?? 0) - 5 * 60_000, `due at ${refreshTime}`);
        await scene.refreshed();
        lateMs = Math.max(lateMs, lateness(reader.replacedAtMs, Date.parse(refreshTime)));
        const leftMs = (expirationMs ?? 0) - bed.clock.now();
        leastLeftMs = Math.min(leastLeftMs, leftMs);
        assert.ok(leftMs > 60_000, `${leftMs} ms were left`);
      }
      assert.equal(scene.seen().sts.length, REFRESHES);
      const warnings = operator.said(WARNING);
      assert.equal(warnings.length, 1, JSON.stringify(warnings));
      assert.equal(warnings[0]?.level, 'warn');
      assert.ok(Math.abs(Number(warnings[0]?.['offsetSeconds']) + byMs / 1000) <= 2);
      const metric = /^workloadcredential_clock_offset_seconds (\S+)$/m.exec(await operator.metrics())?.[1];
      assert.ok(Math.abs(Number(metric) + byMs / 1000) <= 2, `the metric says ${metric}`);
      await reader.assertNeverExpired();
      assert.ok(lateMs < MOST_LATE_MS, `${lateMs} ms late by the true clock`);
      const end = `true end, the earliest ${Math.round(leastLeftMs / 1_000)} s before it`;
      tellFault(context, {
        fault: `clock half an hour ${title}`,
        bed: 'sandbox',
        did: `${REFRESHES} refreshes of 15 min sessions by the API server's time, none after its ${end}; one warning, one metric`,
        lateMs,
        seen: reader.describe(),
      });
      await scene.delete();
      await operator.stop();
    });
  }
});
