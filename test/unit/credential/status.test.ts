// Promises: the conditions table of the design, row by row; that a status which would not change is not written; and that
// a person and an alert are told once, not at every try.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CONDITION_TYPES, type ConditionType, STATE_REASONS } from '../../../src/api/names.ts';
import type { WorkloadCredentialStatus } from '../../../src/api/types.gen.ts';
import { CredentialError, ERRORS, type ErrorCode } from '../../../src/credential/errors.ts';
import type { Assessment } from '../../../src/credential/assessment.ts';
import type { WaitCause } from '../../../src/credential/plan.ts';
import { formatTime } from '../../../src/credential/record.ts';
import { nextStatus, type Outcome, statusDifference, type StatusInput } from '../../../src/credential/status.ts';
import { aFailedStatus, aStatus, HOUR, MINUTE, PARTS, ROLE_ARN, SECOND, T0 } from '../../support/builders.ts';

const record = {
  issueTimeMs: T0,
  expirationTimeMs: T0 + HOUR,
  requestHash: 'v1.r',
  renderHash: 'v1.s',
  contentHash: 'v1.c',
  refreshHandled: undefined,
};
const LIVE: Assessment = { established: true, record, live: true, refreshTimeMs: T0 + 40 * MINUTE };
const STALE: Assessment = { ...LIVE, live: false };
const NOTHING: Assessment = { established: true, record: undefined, live: false, refreshTimeMs: undefined };
const UNKNOWN: Assessment = { ...NOTHING, established: false };
/** What lastKnown() of the plan gives. */
const LAST_KNOWN: Assessment = { ...LIVE, established: false };

const ISSUED: Outcome = { kind: 'issued' };
const SETTLED: Outcome = { kind: 'settled' };
const waiting = (waitsFor: WaitCause): Outcome => ({ kind: 'waiting', waitsFor });
const WAITING = waiting('Failure');
const IN_TURN = waiting('Turn');
const CURED: readonly Outcome[] = [IN_TURN, waiting('Distance'), waiting('RetryAfter')];
const failed = (code: ErrorCode, message = `${code}.`): Outcome => ({
  kind: 'failed',
  error: new CredentialError(code, message),
});

const NOW = T0 + 10 * MINUTE;
const input = (change: Partial<StatusInput> = {}): StatusInput => ({
  previous: aStatus(),
  generation: 1,
  cloud: 'AWS',
  secretName: 'orders',
  suspended: false,
  nowMs: NOW,
  assessment: LIVE,
  outcome: SETTLED,
  refreshRequested: undefined,
  isForEnvironment: false,
  ...change,
});
/** The conditions as "Ready=True Issued, Refreshed=True Issued". */
const conditionsOf = (change: Partial<StatusInput>): string =>
  (nextStatus(input(change)).status.conditions ?? [])
    .map(({ type, status, reason }) => `${type}=${status} ${reason}`)
    .join(', ');

/** What status says of a spec that was not tried yet. */
const PENDING =
  nextStatus(input({ previous: undefined, assessment: NOTHING, outcome: IN_TURN })).status.conditions ?? [];

const ENDED = { nowMs: T0 + HOUR, assessment: STALE };
const FIRST = { previous: undefined, assessment: NOTHING };

// Design section 2, "Conditions".
const table: readonly (readonly [string, Partial<StatusInput>, string])[] = [
  ['C, issued', { outcome: ISSUED }, 'Ready=True Issued, Refreshed=True Issued'],
  ['C, not due', {}, 'Ready=True Issued, Refreshed=True Issued'],
  [
    'C, refresh failing transiently',
    { outcome: failed('STSUnavailable') },
    'Ready=True RefreshFailing, Refreshed=False STSUnavailable',
  ],
  ['C, refresh denied', { outcome: failed('AccessDenied') }, 'Ready=True RefreshFailing, Refreshed=False AccessDenied'],
  [
    'C, consent taken back',
    { outcome: failed('ServiceAccountNotAllowed') },
    'Ready=True RefreshFailing, Refreshed=False ServiceAccountNotAllowed',
  ],
  [
    'C, waiting after a failure',
    { previous: aStatus(aFailedStatus('AccessDenied')), outcome: WAITING },
    'Ready=True RefreshFailing, Refreshed=False AccessDenied',
  ],
  ['C, waiting for its turn', { outcome: IN_TURN }, 'Ready=True Issued, Refreshed=True Issued'],
  ['no C, not tried yet', { ...FIRST, outcome: IN_TURN }, 'Ready=False Pending, Reconciling=True Pending'],
  [
    'no C, transient',
    { ...FIRST, outcome: failed('STSUnavailable') },
    'Ready=False STSUnavailable, Reconciling=True STSUnavailable, Refreshed=False STSUnavailable',
  ],
  [
    'no C, throttled',
    { ...FIRST, outcome: failed('STSThrottled') },
    'Ready=False STSThrottled, Reconciling=True STSThrottled, Refreshed=False STSThrottled',
  ],
  [
    'no C, waiting after a transient failure',
    { ...FIRST, previous: aFailedStatus('STSUnavailable'), outcome: WAITING },
    'Ready=False STSUnavailable, Reconciling=True STSUnavailable, Refreshed=False STSUnavailable',
  ],
  [
    'no C, invalid',
    { ...FIRST, outcome: failed('InvalidSpec') },
    'Ready=False InvalidSpec, Stalled=True InvalidSpec, Refreshed=False InvalidSpec',
  ],
  [
    'no C, denied',
    { ...FIRST, outcome: failed('AccessDenied') },
    'Ready=False AccessDenied, Stalled=True AccessDenied, Refreshed=False AccessDenied',
  ],
  [
    'no C, token rejected',
    { ...FIRST, outcome: failed('TokenRejected') },
    'Ready=False TokenRejected, Stalled=True TokenRejected, Refreshed=False TokenRejected',
  ],
  [
    'no C, conflict',
    { ...FIRST, outcome: failed('SecretConflict') },
    'Ready=False SecretConflict, Stalled=True SecretConflict, Refreshed=False SecretConflict',
  ],
  [
    'no C, waiting after a denial',
    { ...FIRST, previous: aFailedStatus('AccessDenied'), outcome: WAITING },
    'Ready=False AccessDenied, Stalled=True AccessDenied, Refreshed=False AccessDenied',
  ],
  [
    'no C, waiting after a failure of another version',
    { ...FIRST, previous: aFailedStatus('New'), outcome: WAITING },
    'Ready=False New, Reconciling=True New, Refreshed=False New',
  ],
  [
    'a credential of another request is no C',
    { assessment: STALE, outcome: failed('AccessDenied') },
    'Ready=False AccessDenied, Stalled=True AccessDenied, Refreshed=False AccessDenied',
  ],
  [
    'expired, transient',
    { ...ENDED, outcome: failed('STSUnavailable') },
    'Ready=False Expired, Reconciling=True STSUnavailable, Refreshed=False STSUnavailable',
  ],
  [
    'expired, denied',
    { ...ENDED, outcome: failed('AccessDenied') },
    'Ready=False Expired, Stalled=True AccessDenied, Refreshed=False AccessDenied',
  ],
  [
    'expired, invalid',
    { ...ENDED, outcome: failed('ServiceAccountNotFound') },
    'Ready=False Expired, Stalled=True ServiceAccountNotFound, Refreshed=False ServiceAccountNotFound',
  ],
  [
    'expired while the attempt went on',
    { nowMs: T0 + HOUR, outcome: failed('STSUnavailable') },
    'Ready=False Expired, Reconciling=True STSUnavailable, Refreshed=False STSUnavailable',
  ],
  ['suspended with C', { suspended: true }, 'Ready=True Suspended'],
  ['suspended with C, due', { suspended: true, outcome: WAITING }, 'Ready=True Suspended'],
  ['suspended without C', { ...FIRST, suspended: true, outcome: WAITING }, 'Ready=False Suspended'],
  ['suspended and expired', { ...ENDED, suspended: true, outcome: WAITING }, 'Ready=False Suspended'],
  // Nothing stands in the way any more, and an exchange waits.
  [
    'no C, consent was given and the exchange waits',
    { ...FIRST, previous: aFailedStatus('ServiceAccountNotAllowed'), outcome: waiting('Distance') },
    'Ready=False Pending, Reconciling=True Pending',
  ],
  [
    'C, consent was given again and the exchange waits',
    { previous: aStatus(aFailedStatus('ServiceAccountNotAllowed')), outcome: IN_TURN },
    'Ready=True Issued, Refreshed=True Issued',
  ],
  [
    'C, refreshes had failed before consent was taken and given again',
    {
      previous: aStatus(aFailedStatus('ServiceAccountNotAllowed', { count: 5, failuresByClass: { transient: 4 } })),
      outcome: IN_TURN,
    },
    'Ready=True RefreshFailing, Refreshed=False ServiceAccountNotAllowed',
  ],
  [
    'no C, exchanges had failed before consent was taken and given again',
    {
      ...FIRST,
      previous: aFailedStatus('ServiceAccountNotAllowed', { count: 5, failuresByClass: { transient: 4 } }),
      outcome: IN_TURN,
    },
    'Ready=False Pending, Reconciling=True Pending',
  ],
  [
    'no C, another spec waits for its turn, and the Secret in the way has not been looked at',
    { ...FIRST, generation: 2, previous: aFailedStatus('SecretConflict'), outcome: IN_TURN },
    'Ready=False SecretConflict, Stalled=True SecretConflict, Refreshed=False SecretConflict',
  ],
  [
    'no C, another spec waits for its turn, and the Secret that goes may still be there',
    { ...FIRST, generation: 2, previous: aFailedStatus('SecretTerminating'), outcome: IN_TURN },
    'Ready=False SecretTerminating, Reconciling=True SecretTerminating, Refreshed=False SecretTerminating',
  ],
  [
    'no C, another spec waits for its turn, and somebody may still change the Secret',
    { ...FIRST, generation: 2, previous: aFailedStatus('SecretContested'), outcome: IN_TURN },
    'Ready=False SecretContested, Stalled=True SecretContested, Refreshed=False SecretContested',
  ],
  [
    'C again since an edit that waited was taken back: its refresh is still failing',
    {
      generation: 3,
      previous: { ...aStatus(aFailedStatus('STSUnavailable', { observedGeneration: 2 })), conditions: PENDING },
      outcome: IN_TURN,
    },
    'Ready=True RefreshFailing, Refreshed=False STSUnavailable',
  ],
  [
    'expired, consent was given and the exchange waits',
    { ...ENDED, previous: aStatus(aFailedStatus('ServiceAccountNotAllowed')), outcome: waiting('RetryAfter') },
    'Ready=False Expired, Reconciling=True Pending',
  ],
  [
    'no C, another spec waits: what the former one was refused says nothing of it',
    { ...FIRST, generation: 2, previous: aFailedStatus('AccessDenied'), outcome: waiting('Distance') },
    'Ready=False Pending, Reconciling=True Pending',
  ],
  [
    'no C, the same spec waits for its turn: what it was refused stands',
    { ...FIRST, previous: aFailedStatus('AccessDenied'), outcome: IN_TURN },
    'Ready=False AccessDenied, Stalled=True AccessDenied, Refreshed=False AccessDenied',
  ],
  [
    'C, another spec waits that asks for the same: its refresh is still failing',
    { generation: 2, previous: aStatus(aFailedStatus('STSUnavailable')), outcome: IN_TURN },
    'Ready=True RefreshFailing, Refreshed=False STSUnavailable',
  ],
  // The Secret could not be looked at.
  [
    'unreachable API server, C as status knows it',
    { assessment: UNKNOWN, outcome: failed('KubernetesUnavailable') },
    'Ready=True RefreshFailing, Refreshed=False KubernetesUnavailable',
  ],
  [
    'unreachable API server, C has ended by status',
    { ...ENDED, assessment: UNKNOWN, outcome: failed('KubernetesUnavailable') },
    'Ready=False Expired, Reconciling=True KubernetesUnavailable, Refreshed=False KubernetesUnavailable',
  ],
  [
    'unreachable API server, C of an older spec',
    { generation: 2, assessment: UNKNOWN, outcome: failed('KubernetesUnavailable') },
    'Ready=False KubernetesUnavailable, Reconciling=True KubernetesUnavailable, Refreshed=False KubernetesUnavailable',
  ],
  [
    'unreachable API server, no C before',
    { previous: undefined, assessment: UNKNOWN, outcome: failed('KubernetesUnavailable') },
    'Ready=False KubernetesUnavailable, Reconciling=True KubernetesUnavailable, Refreshed=False KubernetesUnavailable',
  ],
  [
    'unreachable API server, C as the cache knows it',
    { previous: undefined, assessment: LAST_KNOWN, outcome: failed('KubernetesUnavailable') },
    'Ready=True RefreshFailing, Refreshed=False KubernetesUnavailable',
  ],
  [
    'unreachable API server, the cache knows a credential of another request',
    { assessment: { ...LAST_KNOWN, live: false }, outcome: failed('KubernetesUnavailable') },
    'Ready=False KubernetesUnavailable, Reconciling=True KubernetesUnavailable, Refreshed=False KubernetesUnavailable',
  ],
  [
    'a wrong spec makes no C of what status knows',
    { assessment: UNKNOWN, outcome: failed('InvalidSpec') },
    'Ready=False InvalidSpec, Stalled=True InvalidSpec, Refreshed=False InvalidSpec',
  ],
];
for (const [situation, change, wanted] of table) {
  test(`${situation}: ${wanted}`, () => {
    assert.equal(conditionsOf(change), wanted);
  });
}

const codes = Object.keys(ERRORS) as ErrorCode[];
const outcomes = fc.oneof(
  fc.constantFrom(ISSUED, SETTLED, WAITING, ...CURED),
  fc.constantFrom(...codes).map((code) => failed(code)),
);
const previous = fc.oneof(
  fc.constantFrom(undefined, aStatus(), { observedGeneration: -1 }),
  fc
    .constantFrom(...codes, 'New')
    .chain((code) => fc.constantFrom(aFailedStatus(code), aStatus(aFailedStatus(code, { count: 3 })))),
);
const situations = fc.record({
  previous,
  outcome: outcomes,
  assessment: fc.constantFrom(LIVE, STALE, NOTHING, UNKNOWN, LAST_KNOWN),
  suspended: fc.boolean(),
  nowMs: fc.constantFrom(T0, NOW, T0 + HOUR, T0 + 2 * HOUR),
  generation: fc.constantFrom(1, 2),
  refreshRequested: fc.constantFrom(undefined, 'one'),
});

test('never Reconciling and Stalled together, always Ready, every reason in the register', () => {
  fc.assert(
    fc.property(situations, (change) => {
      const found = nextStatus(input(change)).status.conditions ?? [];
      const trueOnes = found.filter(({ status }) => status === 'True').map(({ type }) => type);
      assert.ok(!(trueOnes.includes('Reconciling') && trueOnes.includes('Stalled')));
      const ready = found.find(({ type }) => type === 'Ready');
      assert.ok(ready);
      const stuck = trueOnes.includes('Reconciling') || trueOnes.includes('Stalled');
      assert.equal(stuck, ready.status === 'False' && ready.reason !== 'Suspended', 'unready says why, ready is done');
      for (const { type, reason, message } of found) {
        assert.ok(Object.hasOwn(CONDITION_TYPES, type as ConditionType));
        assert.ok(Object.hasOwn(ERRORS, reason) || Object.hasOwn(STATE_REASONS, reason) || reason === 'New', reason);
        assert.ok(message.length > 0);
      }
    }),
    { numRuns: 1000 },
  );
});

test('Ready is never True after the end of the credential', () => {
  fc.assert(
    fc.property(situations, (change) => {
      const ready = nextStatus(input({ ...change, nowMs: T0 + HOUR })).status.conditions?.[0];
      assert.equal(ready?.status, 'False');
    }),
  );
});

test('a second status right after the first makes no patch and no event, unless an attempt was made again', () => {
  fc.assert(
    fc.property(situations, (change) => {
      const first = nextStatus(input(change));
      const isAttempt = change.outcome.kind === 'failed';
      // What was issued was written, and so it is established.
      fc.pre(change.outcome.kind !== 'issued' || change.assessment.established);
      const outcome = isAttempt ? WAITING : change.outcome;
      const second = nextStatus(input({ ...change, previous: first.status, nowMs: change.nowMs, outcome }));
      // What status says of a Secret that was not looked at depends on the failure: an invalid spec has no credential.
      if (!isAttempt || change.assessment.established) {
        assert.equal(statusDifference(first.status, second.status), undefined);
        assert.deepEqual(second.events, []);
      }
    }),
  );
});

for (const code of ['InvalidSpec', 'ServiceAccountNotAllowed', 'SecretInUse', 'SecretContested'] as const) {
  test(`${code} again, in the same words, changes nothing: it was no attempt`, () => {
    const first = nextStatus(input({ ...FIRST, outcome: failed(code) }));
    const again = nextStatus(input({ ...FIRST, previous: first.status, outcome: failed(code), nowMs: NOW + HOUR }));
    assert.equal(statusDifference(first.status, again.status), undefined);
    assert.deepEqual(again.events, []);
  });
}

test('InvalidSpec in other words is told', () => {
  const first = nextStatus(input({ ...FIRST, outcome: failed('InvalidSpec') }));
  const again = nextStatus(input({ ...FIRST, previous: first.status, outcome: failed('InvalidSpec', 'other') }));
  assert.equal(again.status.lastFailure?.message, 'other');
  assert.equal(again.status.consecutiveFailures, 2);
});

test('what a spec was refused does not come back while another one waits, however often status is written', () => {
  const change = { ...FIRST, generation: 2, outcome: IN_TURN };
  const first = nextStatus(input({ ...change, previous: aFailedStatus('AccessDenied', { count: 3 }) })).status;
  for (const outcome of [...CURED, WAITING]) {
    const { status, events } = nextStatus(input({ ...change, outcome, previous: first }));
    assert.equal(status.conditions?.[0]?.reason, 'Pending');
    assert.equal(status.consecutiveFailures, 3);
    assert.equal(status.lastFailure?.reason, 'AccessDenied');
    assert.deepEqual(events, []);
  }
});

test('a failure of before is told with its own time, and not again where its status was written all the same', () => {
  const outcome: Outcome = { kind: 'failed', error: new CredentialError('AccessDenied', 'no.'), timeMs: NOW - 1 };
  const told = nextStatus(input({ outcome }));
  assert.deepEqual(
    [told.status.consecutiveFailures, told.isCounted, told.status.lastFailure?.time],
    [1, true, formatTime(NOW)],
  );
  const again = nextStatus(input({ outcome, previous: told.status, nowMs: NOW + MINUTE }));
  assert.deepEqual([again.isCounted, again.events], [false, []]);
  assert.equal(statusDifference(told.status, again.status), undefined);
  for (const other of [
    { ...outcome, timeMs: NOW + SECOND },
    { ...outcome, error: new CredentialError('TokenMismatch', 'no.') },
    failed('AccessDenied'),
  ]) {
    const next = nextStatus(input({ outcome: other, previous: told.status }));
    assert.deepEqual([next.status.consecutiveFailures, next.isCounted], [2, true]);
  }
});

test('what is waited for is told, without a time', () => {
  const messageOf = (waitsFor: WaitCause): string =>
    nextStatus(input({ ...FIRST, outcome: waiting(waitsFor) })).status.conditions?.[0]?.message ?? '';
  assert.match(messageOf('Turn'), /its turn.*--sts-requests-per-second/);
  assert.match(messageOf('Distance'), /a moment ago.*--min-refresh-interval-seconds/);
  assert.match(messageOf('RetryAfter'), /as long as STS, or the API server, has asked for/);
  assert.match(messageOf('Failure'), /^A credential is being obtained: it waits, since an attempt has failed\.$/);
  for (const waitsFor of ['Turn', 'Distance', 'RetryAfter', 'Failure'] as const)
    assert.doesNotMatch(messageOf(waitsFor), /\d/);
});

test('which containers cannot have the credential as environment variables is told: those started before its issue', () => {
  const messageOf = (change: Partial<StatusInput>): string =>
    nextStatus(input({ isForEnvironment: true, ...change })).status.conditions?.[0]?.message ?? '';
  const note = ` (as environment variables, no container that was started before ${formatTime(T0)} has it)`;
  const until = `Secret "orders" holds a live credential until ${formatTime(T0 + HOUR)}`;
  assert.equal(messageOf({}), `${until}${note}.`);
  assert.equal(messageOf({ isForEnvironment: false }), `${until}.`);
  const unreachable = { assessment: UNKNOWN, outcome: failed('STSUnavailable') };
  for (const change of [{ outcome: failed('STSUnavailable') }, unreachable]) {
    assert.equal(messageOf(change), `${until}${note}, but replacing it fails: STSUnavailable.`);
  }
  assert.ok(messageOf({ suspended: true }).includes(`until ${formatTime(T0 + HOUR)}${note}, and no other`));
  assert.doesNotMatch(messageOf({ ...FIRST, outcome: failed('STSUnavailable') }), /environment/);
});

test('a transition time moves with the status only', () => {
  const failing = nextStatus(input({ outcome: failed('AccessDenied') })).status.conditions ?? [];
  assert.equal(failing.find(({ type }) => type === 'Ready')?.lastTransitionTime, formatTime(T0));
  assert.equal(failing.find(({ type }) => type === 'Refreshed')?.lastTransitionTime, formatTime(NOW));
});

test('failures are counted up, kept while waiting, and end with a success', () => {
  const count = (outcome: Outcome): number | undefined =>
    nextStatus(input({ previous: aStatus(aFailedStatus('AccessDenied', { count: 3 })), outcome })).status
      .consecutiveFailures;
  assert.equal(count(failed('AccessDenied')), 4);
  assert.equal(count(WAITING), 3);
  assert.equal(count(ISSUED), 0);
  assert.equal(count(SETTLED), 0);
});

test('failures are counted by class too, kept while waiting, and forgotten with a success', () => {
  const previous = aStatus(aFailedStatus('STSUnavailable', { count: 8 }));
  const counts = (outcome: Outcome): unknown => nextStatus(input({ previous, outcome })).status.failuresByClass;
  assert.deepEqual(counts(failed('STSUnavailable')), { transient: 9 });
  assert.deepEqual(counts(failed('TokenRequestDenied')), { transient: 8, forbidden: 1 });
  assert.deepEqual(counts(failed('InvalidSpec')), { transient: 8 });
  assert.deepEqual(counts(WAITING), { transient: 8 });
  assert.equal(counts(ISSUED), undefined);
  assert.equal(counts(SETTLED), undefined);
});

test('the last failure has the time rounded up, the request id and at most 1024 characters, and stays after a success', () => {
  const error = new CredentialError('AccessDenied', 'x'.repeat(2000), { requestID: 'r-1' });
  const { status } = nextStatus(input({ nowMs: NOW + 1, outcome: { kind: 'failed', error } }));
  assert.deepEqual(status.lastFailure, {
    time: formatTime(NOW + SECOND),
    reason: 'AccessDenied',
    message: 'x'.repeat(1024),
    requestID: 'r-1',
  });
  assert.deepEqual(nextStatus(input({ previous: status, outcome: ISSUED })).status.lastFailure, status.lastFailure);
});

test('a message that is cut within a character is told as the API server will hold it, so that it is written once', () => {
  const error = new CredentialError('InvalidSpec', `x${'\u{1f600}'.repeat(2000)}`);
  const { status } = nextStatus(input({ outcome: { kind: 'failed', error } }));
  assert.ok(status.lastFailure?.message.isWellFormed());
  const again = nextStatus(input({ previous: status, outcome: { kind: 'failed', error } }));
  assert.equal(again.status.consecutiveFailures, status.consecutiveFailures);
});

for (const [sentence, outcome, wanted] of [
  ['an issue answers the request', ISSUED, 'two'],
  ['a failed attempt answers the request: its back-off counts from now on', failed('AccessDenied'), 'two'],
  ['a refusal of ours does not answer the request', failed('ServiceAccountNotAllowed'), 'one'],
  ['waiting does not answer the request', WAITING, 'one'],
  ['nothing to do leaves what was answered', SETTLED, 'one'],
] as const) {
  test(sentence, () => {
    const before = aStatus({ lastHandledRefreshRequest: 'one' });
    const { status } = nextStatus(input({ previous: before, outcome, refreshRequested: 'two' }));
    assert.equal(status.lastHandledRefreshRequest, wanted);
  });
}

test('after a crash between the two writes the Secret tells which request was answered', () => {
  const assessment = { ...LIVE, record: { ...record, refreshHandled: 'two' } };
  assert.equal(nextStatus(input({ assessment })).status.lastHandledRefreshRequest, 'two');
});

test('an issue tells the whole credential', () => {
  const identity = { role: ROLE_ARN, identity: 'arn:x', accessKeyID: PARTS.accessKeyID, requestID: undefined };
  const secretRef = { uid: 'u', resourceVersion: '7' };
  const { status } = nextStatus(input({ ...FIRST, assessment: LIVE, outcome: ISSUED, identity, secretRef }));
  const { conditions: _conditions, ...rest } = status;
  assert.deepEqual(rest, {
    observedGeneration: 1,
    secret: { name: 'orders', uid: 'u', resourceVersion: '7' },
    cloud: 'AWS',
    role: ROLE_ARN,
    identity: 'arn:x',
    accessKeyID: PARTS.accessKeyID,
    issueTime: formatTime(T0),
    expirationTime: formatTime(T0 + HOUR),
    refreshTime: formatTime(T0 + 40 * MINUTE),
    consecutiveFailures: 0,
  });
});

const keys = (status: WorkloadCredentialStatus): string[] =>
  ['role', 'accessKeyID', 'issueTime', 'expirationTime', 'refreshTime'].filter((key) => Object.hasOwn(status, key));
for (const [sentence, change, wanted] of [
  [
    'who is in the Secret stays while the credential does',
    {},
    ['role', 'accessKeyID', 'issueTime', 'expirationTime', 'refreshTime'],
  ],
  [
    'another credential of which nobody is known drops the name of the last one',
    { previous: aStatus({ issueTime: formatTime(T0 - HOUR) }) },
    ['issueTime', 'expirationTime', 'refreshTime'],
  ],
  ['a Secret that is gone has no credential', { assessment: NOTHING, outcome: WAITING }, []],
  [
    'a Secret that was not looked at keeps what status says',
    { assessment: UNKNOWN, outcome: failed('InvalidSpec') },
    ['role', 'accessKeyID', 'issueTime', 'expirationTime', 'refreshTime'],
  ],
] as const) {
  test(sentence, () => {
    assert.deepEqual(keys(nextStatus(input(change)).status), wanted);
  });
}

test('a cloud or Secret that is not known is left out', () => {
  const { status } = nextStatus(input({ ...FIRST, cloud: undefined, outcome: WAITING }));
  assert.ok(!Object.hasOwn(status, 'cloud') && !Object.hasOwn(status, 'secret'));
});

/** The events as "Warning AccessDenied". */
const eventsOf = (change: Partial<StatusInput>): string[] =>
  nextStatus(input(change)).events.map(({ type, reason, note }) => {
    assert.ok(note.length > 0);
    return `${type} ${reason}`;
  });
const EXPIRED_BEFORE = nextStatus(input({ ...ENDED, outcome: failed('STSUnavailable') })).status;
for (const [sentence, change, wanted] of [
  ['a first issue is an event', { ...FIRST, assessment: LIVE, outcome: ISSUED }, ['Normal Issued']],
  ['a routine refresh is none', { outcome: ISSUED }, []],
  [
    'an issue after failures is a recovery',
    { previous: aStatus(aFailedStatus('AccessDenied')), outcome: ISSUED },
    ['Normal Recovered'],
  ],
  ['nothing due is none', {}, []],
  ['waiting is none', { previous: aStatus(aFailedStatus('AccessDenied')), outcome: WAITING }, []],
  ['a first failure is an event', { outcome: failed('AccessDenied') }, ['Warning AccessDenied']],
  [
    'a second failure is an event',
    { previous: aStatus(aFailedStatus('AccessDenied')), outcome: failed('AccessDenied') },
    ['Warning AccessDenied'],
  ],
  [
    'a third failure of a kind is none',
    { previous: aStatus(aFailedStatus('AccessDenied', { count: 2 })), outcome: failed('AccessDenied') },
    [],
  ],
  [
    'a third failure of a new kind is an event',
    { previous: aStatus(aFailedStatus('AccessDenied', { count: 2 })), outcome: failed('STSUnavailable') },
    ['Warning STSUnavailable'],
  ],
  [
    'the fourth failure is an event',
    { previous: aStatus(aFailedStatus('AccessDenied', { count: 3 })), outcome: failed('AccessDenied') },
    ['Warning AccessDenied'],
  ],
  ['an end is an event', { ...ENDED, outcome: WAITING }, ['Warning Expired']],
  ['an end is told once', { ...ENDED, previous: EXPIRED_BEFORE, outcome: WAITING }, []],
  [
    'an end by a failure tells both',
    { ...ENDED, outcome: failed('STSUnavailable') },
    ['Warning STSUnavailable', 'Warning Expired'],
  ],
] as const) {
  test(sentence, () => {
    assert.deepEqual(eventsOf(change), wanted);
  });
}

/** RFC 7396, as the API server applies it. */
function mergePatch(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) {
    return patch;
  }
  const result: Record<string, unknown> =
    typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) {
      delete result[key];
    } else {
      result[key] = mergePatch(result[key], value);
    }
  }
  return result;
}

test('the difference, applied as a merge patch, gives the new status, whatever was there', () => {
  fc.assert(
    fc.property(situations, previous, (change, before) => {
      const after = nextStatus(input(change)).status;
      const difference = statusDifference(before, after);
      assert.deepEqual(difference === undefined ? before : mergePatch(before ?? {}, difference), after);
    }),
  );
});

test('a member that is gone is null, also inside an object', () => {
  const before = { role: 'r', lastFailure: { time: 't', reason: 'r', message: 'm', requestID: 'x' } };
  const after = { lastFailure: { time: 't', reason: 'r', message: 'm' } };
  assert.deepEqual(statusDifference(before, after), {
    role: null,
    lastFailure: { ...after.lastFailure, requestID: null },
  });
});

test('the order of members is no difference', () => {
  const status = aStatus();
  assert.equal(statusDifference(status, Object.fromEntries(Object.entries(status).reverse())), undefined);
});
