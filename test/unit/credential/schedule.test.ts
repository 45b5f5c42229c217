// Promises: a refresh is never late, the same input has the same answer, and no herd forms; a failure is repeated neither
// too soon for the other side nor too late for the credential.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ERRORS, type ErrorCode } from '../../../src/credential/errors.ts';
import {
  contestedDelayMs,
  fileExpirationMs,
  forcedUntilMs,
  type RetryInput,
  refreshTimeMs,
  retryTimeMs,
  type ScheduleInput,
  URGENCY,
  urgency,
} from '../../../src/credential/schedule.ts';
import { HOUR, MINUTE, SECOND, T0, UID } from '../../support/builders.ts';

const hour = (change: Partial<ScheduleInput> = {}): ScheduleInput => ({
  uid: UID,
  issueTimeMs: T0,
  expirationTimeMs: T0 + HOUR,
  minRefreshIntervalSeconds: 60,
  ...change,
});

const inputs = fc.record({
  uid: fc.uuid(),
  issueTimeMs: fc.integer({ min: T0, max: T0 + 10_000 * HOUR }),
  lifeMs: fc.integer({ min: SECOND, max: 43_260 * SECOND }),
  refreshBeforeSeconds: fc.option(fc.integer({ min: 300, max: 43_200 }), { nil: undefined }),
  minRefreshIntervalSeconds: fc.integer({ min: 0, max: 3600 }),
});
const scheduled = fc
  .tuple(inputs)
  .map(([{ lifeMs, ...rest }]): ScheduleInput => ({ ...rest, expirationTimeMs: rest.issueTimeMs + lifeMs }));

test('a refresh lies after the issue and before the end, for every life of a second to twelve hours', () => {
  fc.assert(
    fc.property(scheduled, (input) => {
      const timeMs = refreshTimeMs(input);
      assert.ok(timeMs > input.issueTimeMs && timeMs < input.expirationTimeMs);
      assert.ok(Number.isInteger(timeMs));
    }),
  );
});

test('at least a third of the life lies between refreshes, or the floor where that is shorter', () => {
  fc.assert(
    fc.property(scheduled, (input) => {
      const floorMs = Math.min(
        input.minRefreshIntervalSeconds * SECOND,
        Math.floor((input.expirationTimeMs - input.issueTimeMs) / 3),
      );
      assert.ok(refreshTimeMs(input) >= input.issueTimeMs + floorMs);
    }),
  );
});

test('a refresh leaves at most 60 % and, but for the floor, at least a third of the life as the outage budget', () => {
  fc.assert(
    fc.property(scheduled, (input) => {
      const lifeMs = input.expirationTimeMs - input.issueTimeMs;
      const leftMs = input.expirationTimeMs - refreshTimeMs(input);
      assert.ok(leftMs <= 0.6 * lifeMs + 1, `${leftMs} of ${lifeMs}`);
      const wantedMs = Math.min((input.refreshBeforeSeconds ?? lifeMs / 3000) * SECOND, lifeMs / 3);
      assert.ok(leftMs >= Math.min(wantedMs, lifeMs / 3) - 1, `${leftMs} of ${lifeMs}`);
    }),
  );
});

test('the same input has the same answer, and another UID or issue time another one', () => {
  fc.assert(
    fc.property(scheduled, (input) => {
      assert.equal(refreshTimeMs(input), refreshTimeMs({ ...input }));
    }),
  );
  assert.notEqual(refreshTimeMs(hour()), refreshTimeMs(hour({ uid: 'another' })));
});

test('a thousand credentials that were issued together are spread evenly over a tenth of their life', () => {
  const times = Array.from({ length: 1000 }, (_, index) => refreshTimeMs(hour({ uid: `uid-${index}` })));
  const latest = T0 + 40 * MINUTE;
  const earliest = latest - 6 * MINUTE;
  assert.ok(times.every((timeMs) => timeMs >= earliest && timeMs <= latest));
  const perMinute = [0, 1, 2, 3, 4, 5].map(
    (minute) => times.filter((timeMs) => Math.min(5, Math.floor((timeMs - earliest) / MINUTE)) === minute).length,
  );
  // An even spread has 167 in each; six standard deviations are 71.
  assert.ok(Math.max(...perMinute) < 240 && Math.min(...perMinute) > 96, perMinute.join(' '));
});

// [sentence, life in ms, refreshBeforeSeconds, latest part of the life that may pass]
const latest: readonly (readonly [string, number, number | undefined, number])[] = [
  ['a life of an hour is refreshed at two thirds at the latest', HOUR, undefined, 2 / 3],
  ['a life of 45 minutes is long', 45 * MINUTE, undefined, 2 / 3],
  ['a life under 45 minutes is refreshed at half of it at the latest', 45 * MINUTE - SECOND, undefined, 1 / 2],
  ['a life of 15 seconds is refreshed at half of it at the latest', 15 * SECOND, undefined, 1 / 2],
  ['refreshBeforeSeconds makes it later', HOUR, 300, 55 / 60],
  ['refreshBeforeSeconds makes it earlier', 12 * HOUR, 5 * 3600, 7 / 12],
  ['refreshBeforeSeconds counts within half of the life', HOUR, 3500, 1 / 2],
  [
    'refreshBeforeSeconds counts within half of the actual life, when STS gave less than was asked',
    600 * SECOND,
    500,
    1 / 2,
  ],
];
for (const [sentence, lifeMs, refreshBeforeSeconds, part] of latest) {
  test(sentence, () => {
    const timeMs = refreshTimeMs(hour({ expirationTimeMs: T0 + lifeMs, refreshBeforeSeconds }));
    assert.ok(timeMs <= T0 + lifeMs * part, `${(timeMs - T0) / lifeMs}`);
    assert.ok(timeMs >= T0 + lifeMs * (part - 0.1) - 1, `${(timeMs - T0) / lifeMs}`);
  });
}

const failure = (code: ErrorCode, change: Partial<RetryInput> = {}): RetryInput => ({
  uid: UID,
  code,
  failures: 1,
  failureTimeMs: T0,
  ...change,
});
const delayOf = (input: RetryInput): number => (retryTimeMs(input) ?? Number.NaN) - input.failureTimeMs;
const codesOf = (disposition: string): ErrorCode[] =>
  (Object.keys(ERRORS) as ErrorCode[]).filter((code) => ERRORS[code].disposition === disposition);

const retries = (code: ErrorCode): fc.Arbitrary<RetryInput> =>
  fc
    .record({
      uid: fc.uuid(),
      failures: fc.integer({ min: 1, max: 2_000_000_000 }),
      failureTimeMs: fc.integer({ min: T0, max: T0 + 1000 * HOUR }),
      leftMs: fc.option(fc.integer({ min: -HOUR, max: 12 * HOUR }), { nil: undefined }),
    })
    .map(({ leftMs, ...rest }) => ({
      ...rest,
      code,
      expirationTimeMs: leftMs === undefined ? undefined : rest.failureTimeMs + leftMs,
    }));

test('a refusal of ours is not repeated: only a change makes it worth trying', () => {
  for (const code of codesOf('invalid')) {
    assert.equal(retryTimeMs(failure(code)), undefined, code);
  }
});

test('a denial is repeated after 1 minute, doubling to 10, up to a tenth earlier', () => {
  const delays = [1, 2, 3, 4, 5, 6, 40].map((failures) => delayOf(failure('AccessDenied', { failures })) / MINUTE);
  for (const [index, minutes] of [1, 2, 4, 8, 10, 10, 10].entries()) {
    const delay = delays[index] ?? 0;
    assert.ok(delay <= minutes && delay >= Math.max(1, minutes * 0.9), `${index}: ${delay}`);
  }
});

test('a denial waits at most a fifth of the remaining life, and never under 60 seconds', () => {
  fc.assert(
    fc.property(retries('AccessDenied'), (input) => {
      const delayMs = delayOf(input);
      assert.ok(delayMs >= MINUTE && delayMs <= 10 * MINUTE);
      const leftMs = (input.expirationTimeMs ?? 0) - input.failureTimeMs;
      assert.ok(leftMs <= 0 || delayMs <= Math.max(MINUTE, Math.ceil(leftMs / 5)));
    }),
  );
});

test('what the API server refuses is repeated after 5 seconds, doubling to 10 minutes, up to half of it earlier', () => {
  const wanted = [5, 10, 20, 40, 80, 160, 320, 600, 600];
  for (const code of codesOf('forbidden')) {
    for (const [index, seconds] of wanted.entries()) {
      const delayMs = delayOf(failure(code, { failures: index + 1 }));
      assert.ok(delayMs <= seconds * SECOND && delayMs >= (seconds * SECOND) / 2, `${code} ${index}: ${delayMs}`);
    }
  }
});

test('what the API server refuses waits at most a fifth of the remaining life, or 60 seconds', () => {
  fc.assert(
    fc.property(retries('TokenRequestDenied'), (input) => {
      const delayMs = delayOf(input);
      assert.ok(delayMs >= 2.5 * SECOND && delayMs <= 10 * MINUTE);
      const leftMs = (input.expirationTimeMs ?? 0) - input.failureTimeMs;
      assert.ok(leftMs <= 0 || delayMs <= Math.max(MINUTE, Math.ceil(leftMs / 5)));
    }),
  );
});

test('a transient failure is repeated within 2.5 to 60 seconds, and within 20 when under 10 minutes are left', () => {
  fc.assert(
    fc.property(retries('STSUnavailable'), (input) => {
      const delayMs = delayOf(input);
      const leftMs = (input.expirationTimeMs ?? Number.POSITIVE_INFINITY) - input.failureTimeMs;
      assert.ok(delayMs >= 2.5 * SECOND && delayMs <= (leftMs < 10 * MINUTE ? 20 : 60) * SECOND);
    }),
  );
});

test('transient failures double from 5 seconds', () => {
  for (const [index, seconds] of [5, 10, 20, 40, 60, 60].entries()) {
    const delayMs = delayOf(failure('STSUnavailable', { failures: index + 1 }));
    assert.ok(delayMs <= seconds * SECOND && delayMs >= (seconds * SECOND) / 2, `${index}: ${delayMs}`);
  }
});

test('a rejected token is tried again with a fresh one after a second, then as a denial', () => {
  assert.equal(delayOf(failure('TokenRejected')), SECOND);
  assert.equal(delayOf(failure('TokenRejected', { failures: 2 })), MINUTE);
});

test('Retry-After is waited for, spread up to a tenth later, and for 11 minutes at most', () => {
  for (const code of codesOf('throttled')) {
    for (const [asked, least, most] of [
      [30, 30, 33],
      [600, 600, 660],
      [1e9, 600, 660],
    ] as const) {
      const delay = delayOf(failure(code, { retryAfterSeconds: asked })) / SECOND;
      assert.ok(delay >= least && delay <= most + 0.001, `${code} ${asked}: ${delay}`);
    }
  }
});

test('while a credential lives, Retry-After is followed for a fifth of what is left at most, or 60 seconds', () => {
  for (const [asked, leftMinutes, least, most] of [
    [600, 20, 216, 240],
    [600, 120, 600, 660],
    [240, 20, 216, 240],
    [120, 20, 120, 132],
    [600, 4, 60, 60],
    [600, 0.1, 60, 60],
    [50, 4, 50, 55],
    [58, 1, 58, 60],
    [600, 0, 600, 660],
    [600, -1, 600, 660],
  ] as const) {
    for (const uid of ['a', 'b', 'c', 'd', 'e', 'f']) {
      const expirationTimeMs = T0 + leftMinutes * MINUTE;
      const delay = delayOf(failure('STSThrottled', { uid, retryAfterSeconds: asked, expirationTimeMs })) / SECOND;
      assert.ok(delay >= least && delay <= most + 0.001, `${asked} s with ${leftMinutes} min left: ${delay}`);
    }
  }
});

test('an STS that always asks for ten minutes is asked at least eight times in the last 20 minutes of a credential', () => {
  fc.assert(
    fc.property(fc.uuid(), (uid) => {
      const expirationTimeMs = T0 + 20 * MINUTE;
      let [nowMs, tries] = [T0, 0];
      while (nowMs < expirationTimeMs) {
        tries += 1;
        nowMs += delayOf(
          failure('STSThrottled', {
            uid,
            failures: tries,
            failureTimeMs: nowMs,
            retryAfterSeconds: 600,
            expirationTimeMs,
          }),
        );
      }
      assert.ok(tries >= 8, `${tries}`);
    }),
  );
});

test('throttling without Retry-After, or with one of 0, backs off as a transient failure', () => {
  for (const retryAfterSeconds of [undefined, 0]) {
    const input = failure('STSThrottled', { failures: 4, retryAfterSeconds });
    assert.equal(delayOf(input), delayOf({ ...input, code: 'STSUnavailable', retryAfterSeconds: undefined }));
  }
});

test('retries of one failure are the same after a restart, and those of many resources are spread', () => {
  fc.assert(
    fc.property(retries('STSUnavailable'), (input) => {
      assert.equal(retryTimeMs(input), retryTimeMs({ ...input }));
      assert.ok(Number.isInteger(retryTimeMs(input)));
    }),
  );
  const times = Array.from({ length: 100 }, (_, index) => delayOf(failure('STSUnavailable', { uid: `uid-${index}` })));
  assert.ok(new Set(times.map((timeMs) => Math.floor(timeMs / 250))).size >= 8);
});

test('a contested Secret gets a credential a minute, doubling to ten minutes', () => {
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 100].map((repairs) => contestedDelayMs(repairs) / MINUTE),
    [1, 1, 2, 4, 8, 10, 10],
  );
});

const record = (lifeMs: number) => ({ issueTimeMs: T0, expirationTimeMs: T0 + lifeMs });
for (const [sentence, lastTimeMs, lifeMs, seconds, nowMs, until] of [
  ['a forced exchange after none is made at once', undefined, HOUR, 60, T0, undefined],
  ['a second one waits for the interval', T0, HOUR, 60, T0 + 1, T0 + MINUTE],
  ['a second one within the same millisecond waits too', T0, HOUR, 60, T0, T0 + MINUTE],
  ['after the interval it is made', T0, HOUR, 60, T0 + MINUTE, undefined],
  ['the interval is never more than a third of the life', T0, 90 * SECOND, 60, T0 + 1, T0 + 30 * SECOND],
  ['without a credential the whole interval counts', T0, undefined, 600, T0 + 1, T0 + 10 * MINUTE],
  ['a time that is still to come is not waited for', T0 + 1, HOUR, 60, T0, undefined],
] as const) {
  test(sentence, () => {
    const input = {
      lastTimeMs,
      record: lifeMs === undefined ? undefined : record(lifeMs),
      minRefreshIntervalSeconds: seconds,
    };
    assert.equal(forcedUntilMs(input, nowMs), until);
  });
}

const hourly = { issueTimeMs: T0, expirationTimeMs: T0 + HOUR };
const classes: readonly (readonly [string, Parameters<typeof urgency>, keyof typeof URGENCY])[] = [
  ['no credential and no failure is the first attempt of a new resource', [undefined, 0, T0], 'first'],
  ['no credential after a failure is a retry', [undefined, 1, T0], 'retry'],
  ['an expired credential without a failure is expired', [hourly, 0, T0 + HOUR], 'expired'],
  ['an expired credential after a failure is a retry', [hourly, 1, T0 + HOUR], 'retry'],
  [
    'a live credential with under 10 minutes left is the most urgent',
    [hourly, 7, T0 + HOUR - 10 * MINUTE + 1],
    'endangered',
  ],
  ['a live credential with 10 minutes left is due', [hourly, 0, T0 + HOUR - 10 * MINUTE], 'due'],
  [
    'a live credential with under a sixth of its life left is the most urgent',
    [{ issueTimeMs: T0, expirationTimeMs: T0 + 12 * HOUR }, 0, T0 + 10 * HOUR + 1],
    'endangered',
  ],
  ['a live credential whose refresh failed is a retry while there is time', [hourly, 1, T0 + 41 * MINUTE], 'retry'],
];
for (const [sentence, input, wanted] of classes) {
  test(sentence, () => {
    assert.equal(urgency(...input), URGENCY[wanted]);
  });
}

test('the classes are in the order of urgency', () => {
  assert.deepEqual(Object.keys(URGENCY), ['endangered', 'first', 'expired', 'due', 'retry']);
  assert.deepEqual(Object.values(URGENCY), [0, 1, 2, 3, 4]);
});

/** How long kubelet takes at most, by its defaults and as measured. */
const PROPAGATION = 90 * SECOND;

test('files never say a later end than the true one, and never one before the next refresh has reached the pods', () => {
  fc.assert(
    fc.property(scheduled, (input) => {
      const fileEnd = fileExpirationMs(input);
      assert.ok(fileEnd <= input.expirationTimeMs);
      assert.ok(fileEnd > input.issueTimeMs);
      assert.ok(fileEnd >= Math.min(input.expirationTimeMs, refreshTimeMs(input) + PROPAGATION));
    }),
    { numRuns: 2000 },
  );
});

test('whatever only schedules changes no file: the end that files say depends on the life alone', () => {
  fc.assert(
    fc.property(scheduled, fc.integer({ min: 300, max: 43_200 }), fc.uuid(), (input, refreshBeforeSeconds, uid) => {
      const other = { ...input, uid, refreshBeforeSeconds, minRefreshIntervalSeconds: 600 };
      assert.equal(fileExpirationMs(other), fileExpirationMs(input));
    }),
  );
});

for (const [what, lifeMs, marginMs] of [
  ['twelve hours', 12 * HOUR, 2 * MINUTE],
  ['an hour', HOUR, 2 * MINUTE],
  ['15 minutes', 15 * MINUTE, 2 * MINUTE],
  ['7 minutes', 7 * MINUTE, 2 * MINUTE],
  ['5 minutes', 5 * MINUTE, MINUTE],
  ['3 minutes', 3 * MINUTE, 0],
  ['10 seconds', 10 * SECOND, 0],
] as const) {
  test(`of a life of ${what} files leave out ${marginMs / SECOND} seconds`, () => {
    const end = T0 + lifeMs;
    assert.equal(fileExpirationMs({ issueTimeMs: T0, expirationTimeMs: end }), end - marginMs);
  });
}

test('a file has whole seconds: an end between two is rounded up, but not past the true one', () => {
  const between = { issueTimeMs: T0, expirationTimeMs: T0 + 5 * MINUTE + 1 };
  assert.equal(fileExpirationMs(between), T0 + 4 * MINUTE + SECOND);
  assert.equal(fileExpirationMs({ issueTimeMs: T0, expirationTimeMs: T0 + 1500 }), T0 + 1500);
});
