// Promises: the decision for one WorkloadCredential, one row for each rule: what is observed, and the plan that follows.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lastKnown } from '../../../src/credential/assessment.ts';
import { CredentialError } from '../../../src/credential/errors.ts';
import type { KeyMemory } from '../../../src/credential/observed.ts';
import { plan, type Plan } from '../../../src/credential/plan.ts';
import { formatTime } from '../../../src/credential/record.ts';
import { contestedDelayMs } from '../../../src/credential/schedule.ts';
import {
  aFailedStatus,
  anAdopted,
  anIssued,
  anObserved,
  anOffered,
  aSecret,
  aServiceAccount,
  aStatus,
  cached,
  FORMER_UID,
  HOUR,
  live,
  MINUTE,
  type ObservedChange,
  SECOND,
  SETTINGS,
  T0,
  unowned,
  withAnnotations,
  withMetadata,
} from '../../support/builders.ts';

const ABSENT = { kind: 'absent', confirmed: false } as const;
const GONE = { kind: 'absent', confirmed: true } as const;
const SUSPENDED = { spec: { suspend: true } };
const REQUEST = { annotations: { 'workloadcredentials.io/refresh-requested': 'one' } };
const CHANGED = { spec: { durationSeconds: 900 } };
const NO_CONSENT = { serviceAccount: aServiceAccount('') };
const DAMAGED = { ...aSecret(), data: { config: '' } };
const DRIFTED = withMetadata(aSecret(), { labels: {}, resourceVersion: '201' });
const FOREIGN = withMetadata(aSecret(), {
  ownerReferences: [{ apiVersion: 'v1', kind: 'Other', name: 'x', uid: 'x', controller: true }],
});
const COLLECTING = aSecret({ ownerUID: FORMER_UID });
const ABANDONED = unowned(COLLECTING);
const NEW = { status: undefined, secret: GONE };
const LATER = T0 + 10 * MINUTE;
const DUE = T0 + 41 * MINUTE;
const ENDED = T0 + HOUR;

const decide = (change: ObservedChange, nowMs = LATER): Plan => plan(anObserved(change), SETTINGS, nowMs);
/** A plan in a word or three. */
const said = (decided: Plan): string => {
  switch (decided.kind) {
    case 'look':
      return `look at ${decided.at}`;
    case 'issue':
      return `issue: ${decided.cause}`;
    case 'wait':
      return decided.waitsFor === undefined ? 'wait' : `wait: ${decided.waitsFor}`;
    case 'repair':
      return `repair${decided.refusal === undefined ? '' : `, then refuse: ${decided.refusal.code}`}${decided.waitsFor === undefined ? '' : `, then wait: ${decided.waitsFor}`}`;
    case 'refuse':
      return `refuse: ${decided.error.code}`;
    case 'write':
      return 'write';
  }
};
const held = (change: Partial<Parameters<typeof anIssued>[0]> = {}, refreshHandled?: string): KeyMemory => ({
  held: { credential: anIssued(change), requestHash: anObserved().requestHash, refreshHandled },
});
const failing = (count: number, timeMs: number, reason = 'AccessDenied'): ObservedChange => ({
  status: aStatus(aFailedStatus(reason, { count, timeMs })),
});

/** What status says of an edit that was not tried yet. */
const PENDING = (['Ready', 'Reconciling'] as const).map((type) => ({
  type,
  status: type === 'Ready' ? ('False' as const) : ('True' as const),
  reason: 'Pending',
  message: 'A credential is being obtained.',
  lastTransitionTime: formatTime(T0),
}));

/** What is remembered of a Retry-After. */
const askedFor = (timeMs: number): KeyMemory => ({ retryNotBefore: { timeMs, isAskedFor: true } });
/** What is remembered of a forced exchange. */
const forced = (lastTimeMs: number, waits = false): { memory: KeyMemory } => ({
  memory: { forced: { lastTimeMs, waits } },
});
/** A credential of the request that CHANGED makes, which could not be written. */
const heldOfChanged = (): KeyMemory => {
  const credential = anIssued({ issueTimeMs: LATER, expirationTimeMs: LATER + HOUR });
  return { held: { credential, requestHash: anObserved(CHANGED).requestHash, refreshHandled: undefined } };
};

const table: readonly (readonly [string, ObservedChange, number, string])[] = [
  // Nothing due.
  ['a live credential that is not due waits, without any call', {}, LATER, 'wait'],
  ['a second plan right after the issue waits', {}, T0, 'wait'],
  // Each cause of an exchange.
  ['a new resource whose Secret is confirmed absent is issued', NEW, T0, 'issue: Absent'],
  [
    'a Secret that is not in the cache is looked for before an exchange',
    { ...NEW, secret: ABSENT },
    T0,
    'look at absence',
  ],
  ['a credential that is due is issued at once, from the cache', {}, DUE, 'issue: Due'],
  ['an ended credential is issued', {}, ENDED, 'issue: Expired'],
  ['a changed request is issued', CHANGED, LATER, 'issue: Changed'],
  ['a changed request comes before an end', CHANGED, ENDED, 'issue: Changed'],
  ['a requested refresh is issued', REQUEST, LATER, 'issue: Requested'],
  [
    'a request that the Secret has answered is not issued again, whatever status says',
    { ...REQUEST, secret: cached(aSecret({ refreshHandled: 'one' })) },
    LATER,
    'wait',
  ],
  [
    'another request is issued',
    { ...REQUEST, secret: cached(aSecret({ refreshHandled: 'two' })) },
    LATER,
    'issue: Requested',
  ],
  ['damaged data are issued anew', { secret: live(DAMAGED) }, LATER, 'issue: Damaged'],
  [
    'a record without an owner UID is not believed',
    { secret: live(withAnnotations(aSecret(), { 'workloadcredentials.io/owner-uid': undefined })) },
    LATER,
    'issue: Damaged',
  ],
  ['what only schedules issues nothing', { spec: { refreshBeforeSeconds: 300 } }, LATER, 'wait'],
  // What the cache can tell.
  [
    'a Secret at another resourceVersion is looked at once',
    { secret: cached(withMetadata(aSecret(), { resourceVersion: '201' })) },
    LATER,
    'look at content',
  ],
  [
    'another Secret of the same version is looked at',
    { secret: cached(withMetadata(aSecret(), { uid: 'x' })) },
    LATER,
    'look at content',
  ],
  ['a Secret of which status knows nothing is looked at', { status: undefined }, LATER, 'look at content'],
  [
    'a Secret that is to be rendered otherwise is looked at',
    { spec: { secret: { formats: ['Environment'] } } },
    LATER,
    'look at content',
  ],
  [
    'a render-hash of another version counts as equal',
    { secret: cached(aSecret({ renderHash: 'v0.x' })) },
    LATER,
    'wait',
  ],
  [
    'a request-hash of another version issues nothing: an upgrade is no stampede',
    { secret: cached(aSecret({ requestHash: 'v0.x' })) },
    LATER,
    'wait',
  ],
  // Repair.
  ['a drifted Secret with intact data is repaired without an exchange', { secret: live(DRIFTED) }, LATER, 'repair'],
  [
    'a Secret to be rendered otherwise is repaired without an exchange',
    { spec: { secret: { formats: ['Environment'] } }, secret: live(aSecret()) },
    LATER,
    'repair',
  ],
  ['a drifted Secret that is due is issued: that repairs it too', { secret: live(DRIFTED) }, DUE, 'issue: Due'],
  ['a Secret of ours without label or reference is taken back', { secret: live(unowned(DRIFTED)) }, LATER, 'repair'],
  [
    'a Secret without our label has left the cache: while status says that it lives, it is looked for',
    { secret: ABSENT },
    LATER,
    'look at absence',
  ],
  // Ownership.
  ["somebody else's Secret is left alone", { ...NEW, secret: live(FOREIGN) }, LATER, 'refuse: SecretConflict'],
  [
    'a Secret of a former resource is waited for',
    { ...NEW, secret: live(COLLECTING) },
    LATER,
    'refuse: SecretTerminating',
  ],
  [
    'our Secret that is being deleted is waited for',
    { secret: live(withMetadata(aSecret(), { deletionTimestamp: 'x' })) },
    LATER,
    'refuse: SecretTerminating',
  ],
  ['a retained Secret of a former resource is taken', { ...NEW, secret: live(ABANDONED) }, LATER, 'issue: Damaged'],
  ["somebody else's Secret with our label is looked at", { ...NEW, secret: cached(FOREIGN) }, LATER, 'look at content'],
  [
    "somebody else's Secret with our label is not looked at again before its time",
    { status: aFailedStatus('SecretConflict', { timeMs: LATER - 59 * SECOND }), secret: cached(FOREIGN) },
    LATER,
    'wait: Failure',
  ],
  [
    "somebody else's Secret with our label is looked at again in its time",
    { status: aFailedStatus('SecretConflict', { timeMs: LATER - 61 * SECOND }), secret: cached(FOREIGN) },
    LATER,
    'look at content',
  ],
  [
    "somebody else's Secret without our label is not looked for again before its time",
    { status: aFailedStatus('SecretConflict', { timeMs: LATER - 59 * SECOND }), secret: ABSENT },
    LATER,
    'wait: Failure',
  ],
  [
    "somebody else's Secret that was in the cache and has gone does not wait",
    {
      status: aFailedStatus('SecretConflict', { timeMs: LATER }),
      secret: ABSENT,
      memory: { conflictVersion: '200' },
    },
    LATER,
    'look at absence',
  ],
  [
    "somebody else's Secret that is still in the cache waits",
    {
      status: aFailedStatus('SecretConflict', { timeMs: LATER }),
      secret: cached(FOREIGN),
      memory: { conflictVersion: '200' },
    },
    LATER,
    'wait: Failure',
  ],
  // Handed over.
  ['a Secret that is handed over is looked at', { ...NEW, secret: cached(anOffered()) }, LATER, 'look at content'],
  [
    'a Secret that is handed over is taken with an exchange',
    { ...NEW, secret: live(anOffered()) },
    LATER,
    'issue: Damaged',
  ],
  [
    'a consent is not kept waiting by the conflict that it ends',
    { status: aFailedStatus('SecretConflict', { count: 5, timeMs: LATER }), secret: live(anOffered()) },
    LATER,
    'issue: Damaged',
  ],
  [
    'a consent in the cache is looked at at once after a conflict',
    {
      status: aFailedStatus('SecretConflict', { timeMs: LATER }),
      secret: cached(anOffered()),
      memory: { conflictVersion: '149' },
    },
    LATER,
    'look at content',
  ],
  [
    'a Secret that is handed over, but cannot be written, waits until it changes',
    {
      status: aFailedStatus('SecretConflict', { timeMs: LATER }),
      secret: cached(anOffered()),
      memory: { conflictVersion: '150' },
    },
    LATER,
    'wait: Failure',
  ],
  [
    'and as a failure, too, where another wait holds as well: nothing else was looked at',
    {
      status: aFailedStatus('SecretConflict', { timeMs: LATER }),
      secret: cached(anOffered()),
      memory: { conflictVersion: '150', ...askedFor(LATER + 10 * MINUTE) },
    },
    LATER,
    'wait: Failure',
  ],
  [
    'a Secret that is handed over and immutable is refused',
    { ...NEW, secret: live({ ...anOffered(), immutable: true }) },
    LATER,
    'refuse: SecretConflict',
  ],
  [
    'a Secret that is handed over waits for the back-off of what STS refused',
    { status: aFailedStatus('AccessDenied', { timeMs: LATER }), secret: live(anOffered()) },
    LATER,
    'wait: Failure',
  ],
  ['an adopted Secret that is known costs no look', { secret: cached(anAdopted()) }, LATER, 'wait'],
  ['an adopted Secret that is due is issued from the cache', { secret: cached(anAdopted()) }, DUE, 'issue: Due'],
  [
    'an adopted Secret in which others changed their keys needs no exchange',
    { secret: live({ ...anAdopted(), data: { ...anAdopted().data, theirs: 'eA==', more: 'eA==' } }) },
    LATER,
    'repair',
  ],
  [
    'an adopted Secret in which somebody changed ours is issued',
    { secret: live({ ...anAdopted(), data: { ...anAdopted().data, config: 'eA==' } }) },
    LATER,
    'issue: Damaged',
  ],
  [
    'an adopted Secret whose consent was taken back is refused, however live',
    { secret: live(withAnnotations(anAdopted(), { 'workloadcredentials.io/adopt': undefined })) },
    LATER,
    'refuse: SecretConflict',
  ],
  // The gates.
  [
    'a wrong spec is refused, whatever is in the Secret',
    { spec: { durationSeconds: 1 } },
    LATER,
    'refuse: InvalidSpec',
  ],
  ['the later of two writers of one Secret is refused', { contender: 'first' }, LATER, 'refuse: SecretInUse'],
  ['a suspended resource that is not due waits', SUSPENDED, LATER, 'wait'],
  ['a suspended resource that is due makes no exchange', SUSPENDED, DUE, 'wait: Suspended'],
  ['a suspended resource whose credential has ended makes no exchange', SUSPENDED, ENDED, 'wait: Suspended'],
  ['a suspended new resource costs no look', { ...SUSPENDED, ...NEW, secret: ABSENT }, T0, 'wait: Suspended'],
  ['a suspended resource is still repaired', { ...SUSPENDED, secret: live(DRIFTED) }, LATER, 'repair'],
  [
    'a suspended resource that is due is still repaired, and still wants',
    { ...SUSPENDED, secret: live(DRIFTED) },
    DUE,
    'repair, then wait: Suspended',
  ],
  [
    'a suspended resource whose Secret lost its label is looked for',
    { ...SUSPENDED, secret: ABSENT },
    LATER,
    'look at absence',
  ],
  ['a suspended resource needs no consent', { ...SUSPENDED, ...NO_CONSENT }, LATER, 'wait'],
  ['without consent nothing is issued', { ...NEW, ...NO_CONSENT }, T0, 'refuse: ServiceAccountNotAllowed'],
  [
    'without consent not even a look is made',
    { ...NEW, ...NO_CONSENT, secret: ABSENT },
    T0,
    'refuse: ServiceAccountNotAllowed',
  ],
  [
    'a consent that was taken back is told before the credential is due',
    NO_CONSENT,
    LATER,
    'refuse: ServiceAccountNotAllowed',
  ],
  [
    'without consent a drifted Secret is still repaired',
    { ...NO_CONSENT, secret: live(DRIFTED) },
    LATER,
    'repair, then refuse: ServiceAccountNotAllowed',
  ],
  ['without a ServiceAccount nothing is issued', { serviceAccount: undefined }, DUE, 'refuse: ServiceAccountNotFound'],
  [
    'an endpoint that may not be used stops the exchange',
    { endpointRefusal: new CredentialError('EndpointNotAllowed', 'm') },
    DUE,
    'refuse: EndpointNotAllowed',
  ],
  // Back-off, from status only.
  [
    'a failure of a moment ago is waited for, also by a process that has just started',
    failing(1, DUE - 59 * SECOND),
    DUE,
    'wait: Failure',
  ],
  ['a failure is repeated in its time', failing(1, DUE - 60 * SECOND), DUE, 'issue: Due'],
  ['many failures wait longer, at most a fifth of what is left', failing(9, DUE - 3 * MINUTE), DUE, 'wait: Failure'],
  [
    'a refusal by the API server waits for seconds, whatever failed otherwise before it',
    {
      status: aStatus(
        aFailedStatus('TokenRequestDenied', {
          count: 9,
          failuresByClass: { transient: 8, forbidden: 1 },
          timeMs: DUE - 5 * SECOND,
        }),
      ),
    },
    DUE,
    'issue: Due',
  ],
  [
    'of many refusals by the API server the wait is longer',
    { status: aStatus(aFailedStatus('TokenRequestDenied', { count: 9, timeMs: DUE - 3 * MINUTE })) },
    DUE,
    'wait: Failure',
  ],
  ['a new generation does not wait', { ...failing(1, LATER), ...CHANGED, generation: 2 }, LATER, 'issue: Changed'],
  ['a new request does not wait', { ...failing(1, LATER), ...REQUEST }, LATER, 'issue: Requested'],
  [
    'a request that was tried waits as any other',
    { ...REQUEST, status: aStatus(aFailedStatus('AccessDenied', { timeMs: LATER, lastHandledRefreshRequest: 'one' })) },
    LATER,
    'wait: Failure',
  ],
  ['a refusal that is gone does not wait', failing(3, DUE, 'ServiceAccountNotAllowed'), DUE, 'issue: Due'],
  ['a reason of another version does not wait', failing(3, DUE, 'SomethingNew'), DUE, 'issue: Due'],
  [
    'a failure whose time cannot be read does not wait',
    { status: aStatus({ consecutiveFailures: 1, lastFailure: { time: 'x', reason: 'AccessDenied', message: '' } }) },
    DUE,
    'issue: Due',
  ],
  [
    'a failure that was followed by a success does not wait',
    { status: aStatus(aFailedStatus('AccessDenied', { count: 0, timeMs: DUE })) },
    DUE,
    'issue: Due',
  ],
  ['a wait that was asked for holds without a failure', { memory: askedFor(DUE + 1) }, DUE, 'wait: RetryAfter'],
  [
    'a wait that was asked for holds for a new generation too',
    { ...CHANGED, generation: 2, memory: askedFor(LATER + 1) },
    LATER,
    'wait: RetryAfter',
  ],
  [
    'a wait that was asked for holds beside a back-off that is over',
    { ...failing(1, DUE - 2 * MINUTE, 'STSThrottled'), memory: askedFor(DUE + 1) },
    DUE,
    'wait: RetryAfter',
  ],
  [
    'a failure that status could not be told is waited for as one',
    { memory: { retryNotBefore: { timeMs: DUE + 1, isAskedFor: false } } },
    DUE,
    'wait: Failure',
  ],
  ['a wait that was asked for ends', { memory: askedFor(DUE) }, DUE, 'issue: Due'],
  [
    'a drifted Secret is repaired while a failure is waited for, and the failure stands',
    { ...failing(1, DUE), secret: live(DRIFTED) },
    DUE,
    'repair, then wait: Failure',
  ],
  // What somebody asks for keeps a distance from what was asked for before.
  ['a first forced refresh does not wait', REQUEST, T0 + SECOND, 'issue: Requested'],
  ['a second one waits for its distance', { ...REQUEST, ...forced(LATER - 59 * SECOND) }, LATER, 'wait: Distance'],
  ['and is made then', { ...REQUEST, ...forced(LATER - 60 * SECOND) }, LATER, 'issue: Requested'],
  ['a second edit waits', { ...CHANGED, ...forced(LATER - SECOND) }, LATER, 'wait: Distance'],
  [
    'an edit that was observed and waits, waits on',
    { ...CHANGED, ...forced(LATER - SECOND, true) },
    LATER,
    'wait: Distance',
  ],
  [
    'a second edit after a refusal waits, though it overrides the back-off',
    { ...failing(9, LATER - SECOND), ...CHANGED, generation: 2, ...forced(LATER - SECOND) },
    LATER,
    'wait: Distance',
  ],
  [
    'an edit that waited does not fall back into the back-off, once status has observed it',
    { ...failing(9, LATER - 60 * SECOND), ...CHANGED, ...forced(LATER - 60 * SECOND, true) },
    LATER,
    'issue: Changed',
  ],
  [
    'an edit that waited for its turn neither, and not after a restart',
    {
      ...NEW,
      generation: 2,
      status: aFailedStatus('AccessDenied', { count: 9, timeMs: LATER, observedGeneration: 2, conditions: PENDING }),
    },
    LATER,
    'issue: Absent',
  ],
  [
    'an edit that waited waits after a restart for an endpoint that is out, or throttles',
    {
      ...NEW,
      generation: 2,
      status: aFailedStatus('STSThrottled', { count: 9, timeMs: LATER, observedGeneration: 2, conditions: PENDING }),
    },
    LATER,
    'wait: Failure',
  ],
  [
    'an edit that waited for its turn keeps the distance, too',
    {
      ...NEW,
      generation: 2,
      status: aFailedStatus('AccessDenied', { count: 9, timeMs: LATER, observedGeneration: 2, conditions: PENDING }),
      ...forced(LATER - SECOND),
    },
    LATER,
    'wait: Distance',
  ],
  [
    'a new resource whose spec is edited again and again waits',
    { ...NEW, ...failing(1, LATER - 2 * SECOND), generation: 2, ...forced(LATER - SECOND) },
    LATER,
    'wait: Distance',
  ],
  [
    'consent that is taken and given again and again waits',
    { ...NEW, ...failing(1, LATER - SECOND, 'ServiceAccountNotAllowed'), ...forced(LATER - SECOND) },
    LATER,
    'wait: Distance',
  ],
  ['a credential that is due does not wait for it', { ...REQUEST, ...forced(DUE - SECOND) }, DUE, 'issue: Requested'],
  ['a routine refresh does not wait for it', forced(DUE - SECOND), DUE, 'issue: Due'],
  [
    'a failure of an edit is repeated in its own time, which may be sooner',
    { ...failing(1, LATER - 5 * SECOND, 'STSUnavailable'), ...CHANGED, ...forced(LATER - 5 * SECOND) },
    LATER,
    'issue: Changed',
  ],
  [
    'a credential in hand is written at once',
    { ...CHANGED, memory: { ...forced(LATER).memory, ...heldOfChanged() } },
    LATER,
    'write',
  ],
  // A clock that was set back: what was written before lies in the future, and no wait is that long.
  ['a failure of the far future does not hold up a credential', failing(1, DUE + HOUR), DUE, 'issue: Due'],
  ['a wait of the far future neither', { memory: askedFor(DUE + HOUR) }, DUE, 'issue: Due'],
  ['the longest wait that can be asked for holds', { memory: askedFor(DUE + 11 * MINUTE) }, DUE, 'wait: RetryAfter'],
  ['a forced exchange of the future neither', { ...REQUEST, ...forced(LATER + SECOND) }, LATER, 'issue: Requested'],
  [
    'a contest of the far future neither',
    { secret: live(DAMAGED), memory: { contest: { repairs: 1, lastTimeMs: LATER + HOUR } } },
    LATER,
    'issue: Damaged',
  ],
  // A credential in hand.
  [
    'a credential that could not be written is written, without another exchange',
    { ...NEW, memory: held() },
    LATER,
    'write',
  ],
  ['a credential in hand does not skip the look', { ...NEW, secret: ABSENT, memory: held() }, LATER, 'look at absence'],
  ['a credential of another request is not written', { ...NEW, ...CHANGED, memory: held() }, LATER, 'issue: Absent'],
  ['a credential past half of its life is not written', { ...NEW, memory: held() }, T0 + 30 * MINUTE, 'issue: Absent'],
  [
    'a credential that answers no request is not written for one',
    { ...REQUEST, memory: held({ issueTimeMs: LATER }) },
    LATER,
    'issue: Requested',
  ],
  [
    'a credential that answers the request is written',
    { ...REQUEST, memory: held({ issueTimeMs: LATER }, 'one') },
    LATER,
    'write',
  ],
  [
    'a credential that ends before the one in the Secret is not written',
    { memory: held({ issueTimeMs: DUE, expirationTimeMs: T0 + HOUR - SECOND }) },
    DUE,
    'issue: Due',
  ],
  [
    'a credential that ends later is written',
    { memory: held({ issueTimeMs: DUE, expirationTimeMs: T0 + HOUR }) },
    DUE,
    'write',
  ],
  // Contested.
  [
    'a Secret that was damaged for the first time is issued at once',
    { secret: live(DAMAGED) },
    LATER,
    'issue: Damaged',
  ],
  [
    'a Secret that is damaged again is contested',
    { secret: live(DAMAGED), memory: { contest: { repairs: 1, lastTimeMs: LATER - 59 * SECOND } } },
    LATER,
    'refuse: SecretContested',
  ],
  [
    'a contested Secret gets its credential after a minute',
    { secret: live(DAMAGED), memory: { contest: { repairs: 1, lastTimeMs: LATER - 60 * SECOND } } },
    LATER,
    'issue: Damaged',
  ],
  [
    'a Secret that is deleted again is contested',
    { secret: GONE, memory: { contest: { repairs: 1, lastTimeMs: LATER } } },
    LATER,
    'refuse: SecretContested',
  ],
  [
    'a Secret that was never written is not contested',
    { ...NEW, memory: { contest: { repairs: 1, lastTimeMs: LATER } } },
    LATER,
    'issue: Absent',
  ],
  [
    'a contest does not hold up a credential that is due',
    { memory: { contest: { repairs: 9, lastTimeMs: DUE } } },
    DUE,
    'issue: Due',
  ],
  [
    'a contest keeps its own pace, not that of the failures before',
    {
      status: aStatus(aFailedStatus('SecretContested', { count: 9, timeMs: LATER })),
      secret: live(DAMAGED),
      memory: { contest: { repairs: 1, lastTimeMs: LATER - MINUTE } },
    },
    LATER,
    'issue: Damaged',
  ],
  [
    'a contest that a restart forgot still waits as a denial',
    { ...failing(1, LATER, 'SecretContested'), secret: live(DAMAGED) },
    LATER,
    'wait: Failure',
  ],
];
for (const [sentence, change, nowMs, wanted] of table) {
  test(sentence, () => {
    assert.equal(said(decide(change, nowMs)), wanted);
  });
}

test('the same input has the same plan', () => {
  for (const [sentence, change, nowMs] of table) {
    assert.deepEqual(decide(change, nowMs), decide(change, nowMs), sentence);
  }
});

const wakeOf = (decided: Plan): number | undefined => ('wakeAtMs' in decided ? decided.wakeAtMs : undefined);
const refreshAt = (): number => {
  const decided = decide({});
  assert.ok(decided.kind === 'wait' && decided.assessment.refreshTimeMs !== undefined);
  return decided.assessment.refreshTimeMs;
};

test('a live credential waits for its refresh time, which lies in the spread before two thirds of its life', () => {
  const wakeAtMs = wakeOf(decide({}));
  assert.equal(wakeAtMs, refreshAt());
  assert.ok(wakeAtMs > T0 + 34 * MINUTE && wakeAtMs <= T0 + 40 * MINUTE);
  assert.equal(said(decide({}, wakeAtMs - 1)), 'wait');
  assert.equal(said(decide({}, wakeAtMs)), 'issue: Due');
});

for (const [sentence, change, nowMs, wanted] of [
  ['a suspended resource wakes when its credential ends, for the condition', SUSPENDED, DUE, ENDED],
  ['a suspended resource whose credential has ended needs no timer', SUSPENDED, ENDED, undefined],
  ['a refusal before the credential is due wakes when it ends', NO_CONSENT, LATER, ENDED],
  ['a refusal after it was due wakes when it ends', NO_CONSENT, DUE, ENDED],
  ['a refusal without a credential needs no timer: an event wakes it', { ...NEW, ...NO_CONSENT }, T0, undefined],
  ['a wrong spec needs no timer', { spec: { durationSeconds: 1 } }, LATER, undefined],
  ['a failure wakes at its retry', failing(1, DUE), DUE, DUE + MINUTE],
  [
    'a failure wakes when the credential ends, if that is sooner',
    failing(1, ENDED - 30 * SECOND),
    ENDED - 10 * SECOND,
    ENDED,
  ],
  ['a wait that was asked for wakes when it is over', { memory: askedFor(DUE + 7) }, DUE, DUE + 7],
  ['a forced refresh that waits wakes at its distance', { ...REQUEST, ...forced(LATER) }, LATER, LATER + MINUTE],
  [
    'a forced refresh that waits wakes when the credential is due, if that is sooner',
    { ...REQUEST, ...forced(refreshAt() - SECOND) },
    refreshAt() - SECOND,
    refreshAt(),
  ],
  ['a repair wakes as what it stands before: the refresh', { secret: live(DRIFTED) }, LATER, refreshAt()],
  [
    'a repair wakes as what it stands before: the retry',
    { ...failing(1, DUE), secret: live(DRIFTED) },
    DUE,
    DUE + MINUTE,
  ],
  ['a conflict wakes after a minute', { ...NEW, secret: live(FOREIGN) }, LATER, LATER + MINUTE],
  [
    'a contested Secret wakes when it gets its credential',
    { secret: live(DAMAGED), memory: { contest: { repairs: 2, lastTimeMs: LATER } } },
    LATER,
    LATER + contestedDelayMs(2),
  ],
] as const) {
  test(sentence, () => {
    assert.equal(wakeOf(decide(change, nowMs)), wanted);
  });
}

test('a conflict is looked at when the plan said, since status tells the same time', () => {
  const first = decide(
    { status: aFailedStatus('SecretConflict', { count: 3, timeMs: T0 }), secret: live(FOREIGN) },
    LATER + 1,
  );
  const status = aFailedStatus('SecretConflict', { count: 4, timeMs: LATER + SECOND });
  const wakeAtMs = wakeOf(first) ?? 0;
  assert.equal(said(decide({ status, secret: ABSENT }, wakeAtMs - 1)), 'wait: Failure');
  assert.equal(said(decide({ status, secret: ABSENT }, wakeAtMs)), 'look at absence');
});

test('where status has the same credential, the earlier end counts', () => {
  const status = aStatus({ expirationTime: formatTime(T0 + 30 * MINUTE) });
  assert.equal(said(decide({ status }, T0 + 30 * MINUTE)), 'issue: Expired');
  const decided = decide({ status: aStatus({ expirationTime: formatTime(T0 + 12 * HOUR) }) });
  assert.ok(decided.kind === 'wait');
  assert.equal(decided.assessment.record?.expirationTimeMs, ENDED);
});

test('the end of another credential in status does not count', () => {
  const status = aStatus({ issueTime: formatTime(T0 - HOUR), expirationTime: formatTime(T0) });
  assert.equal(said(decide({ status })), 'wait');
});

test('a credential of another request is in the Secret, but not live', () => {
  const decided = decide(CHANGED);
  assert.ok(decided.kind === 'issue');
  assert.equal(decided.assessment.live, false);
  assert.notEqual(decided.assessment.record, undefined);
});

test('of a Secret that was not looked at nothing is said', () => {
  for (const change of [{ contender: 'first' }, { ...NEW, ...NO_CONSENT, secret: ABSENT }]) {
    const decided = decide(change);
    assert.ok(decided.kind === 'refuse');
    assert.equal(decided.assessment.established, false);
  }
  const gone = decide(NEW);
  assert.ok(gone.kind === 'issue');
  assert.equal(gone.assessment.established, true);
});

test('refusals name the Secret and say what to do', () => {
  const words: readonly (readonly [ObservedChange, RegExp])[] = [
    [{ ...NEW, secret: live(FOREIGN) }, /^Secret "orders" exists and does not belong .* Delete or rename it/],
    [
      { ...NEW, secret: live(COLLECTING) },
      /^Secret "orders" is being deleted, or belongs to a former WorkloadCredential/,
    ],
    [
      { secret: live(DAMAGED), memory: { contest: { repairs: 1, lastTimeMs: LATER } } },
      /Secret "orders".*kubectl get secret orders -n shop --show-managed-fields/,
    ],
  ];
  for (const [change, wanted] of words) {
    const decided = decide(change);
    assert.ok(decided.kind === 'refuse');
    assert.match(decided.error.message, wanted);
  }
});

test('when a look fails, the annotations in the cache are the last word, and not an established one', () => {
  const known = lastKnown(anObserved({ secret: cached(DRIFTED) }), SETTINGS, LATER);
  assert.deepEqual([known.established, known.live, known.record?.expirationTimeMs], [false, true, ENDED]);
  assert.equal(lastKnown(anObserved(CHANGED), SETTINGS, LATER).live, false);
  assert.equal(lastKnown(anObserved({ secret: GONE }), SETTINGS, LATER).record, undefined);
});

test('an adopted Secret that became immutable keeps its credential: it is refused for what comes next', () => {
  const frozen = withMetadata({ ...anAdopted(), immutable: true }, { resourceVersion: '201' });
  const refused = decide({ secret: live(frozen) });
  assert.ok(refused.kind === 'refuse' && refused.assessment.live);
  const waiting = decide({
    status: { ...aStatus(), ...aFailedStatus('SecretConflict', { timeMs: LATER }) },
    secret: cached(frozen),
    memory: { conflictVersion: '201' },
  });
  assert.ok(waiting.kind === 'wait' && waiting.assessment.live, 'it does not turn Ready off and on');
});
