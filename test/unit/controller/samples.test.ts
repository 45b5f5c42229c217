// A cached resource as metrics and the work queue see it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Sample, sampleOf, urgencyOf } from '../../../src/controller/samples.ts';
import type { WorkloadCredentialStatus } from '../../../src/api/types.gen.ts';
import { URGENCY } from '../../../src/credential/schedule.ts';
import { aCredential, aFailedStatus, aStatus, HOUR, MINUTE, T0 } from '../../support/builders.ts';

function condition(type: string, status: 'True' | 'False', reason: string) {
  return { type, status, reason, message: '.', lastTransitionTime: '2026-11-22T12:00:00Z' };
}

const STATES: readonly [what: string, status: WorkloadCredentialStatus | undefined, atMs: number, Sample['state']][] = [
  ['no status yet', undefined, T0, 'Pending'],
  ['issued', aStatus(), T0, 'Ready'],
  ['failing', aStatus({ conditions: [condition('Ready', 'True', 'RefreshFailing')] }), T0, 'RefreshFailing'],
  ['an end that has passed, whatever the condition says', aStatus(), T0 + HOUR, 'Expired'],
  ['expired', aStatus({ conditions: [condition('Ready', 'False', 'Expired')] }), T0, 'Expired'],
  ['suspended', aStatus({ conditions: [condition('Ready', 'True', 'Suspended')] }), T0, 'Suspended'],
  [
    'stalled',
    { conditions: [condition('Ready', 'False', 'AccessDenied'), condition('Stalled', 'True', 'AccessDenied')] },
    T0,
    'Stalled',
  ],
  [
    'reconciling',
    { conditions: [condition('Ready', 'False', 'Pending'), condition('Reconciling', 'True', 'Pending')] },
    T0,
    'Pending',
  ],
];

describe('a sample', () => {
  for (const [what, status, atMs, state] of STATES) {
    test(`${what}: ${state}`, () => {
      assert.equal(sampleOf(aCredential({ status }), atMs).state, state);
    });
  }

  test('has names, cloud and times', () => {
    assert.deepEqual(sampleOf(aCredential({ status: aStatus() }), T0), {
      namespace: 'shop',
      name: 'orders',
      cloud: 'AWS',
      state: 'Ready',
      suspended: false,
      failure: undefined,
      expirationTimeMs: T0 + HOUR,
      refreshTimeMs: T0 + 40 * MINUTE,
      unissuedSinceMs: undefined,
    });
  });

  test('of what is suspended is Suspended, before its end and after', () => {
    const suspended = aCredential({ spec: { suspend: true }, status: aStatus() });
    assert.deepEqual(
      [T0, T0 + 2 * HOUR].map((atMs) => sampleOf(suspended, atMs)).map(({ state, suspended: is }) => [state, is]),
      [
        ['Suspended', true],
        ['Suspended', true],
      ],
    );
  });

  const failing = (reason: string, status: 'True' | 'False' = 'False') =>
    sampleOf(aCredential({ status: aStatus({ conditions: [condition('Refreshed', status, reason)] }) }), T0).failure;

  test('has the reason of the last failure', () => {
    assert.equal(failing('STSThrottled'), 'STSThrottled');
    assert.equal(failing('Issued', 'True'), undefined);
  });

  test('has no reason that somebody wrote into status', () => {
    assert.equal(failing('x'.repeat(1_000)), 'Other');
    assert.equal(failing('toString'), 'Other');
  });

  test('without a credential tells since when: since it exists, or since Ready turned', () => {
    assert.equal(sampleOf(aCredential(), T0).unissuedSinceMs, T0 - MINUTE);
    const lost = { conditions: [condition('Ready', 'False', 'Pending')] };
    assert.equal(sampleOf(aCredential({ status: lost }), T0).unissuedSinceMs, T0);
  });

  test('tells the cloud by the field that is set', () => {
    const base = aCredential();
    const region = 'cn-beijing';
    const { serviceAccountName } = base.spec;
    const volcengine = { ...base, spec: { serviceAccountName, volcengine: { roleTRN: 'trn', region } } };
    const alibabaCloud = { roleARN: 'acs', oidcProviderARN: 'acs', region };
    assert.equal(sampleOf(volcengine, T0).cloud, 'Volcengine');
    assert.equal(sampleOf({ ...base, spec: { serviceAccountName, alibabaCloud } }, T0).cloud, 'AlibabaCloud');
  });
});

describe('the class in the work queue', () => {
  const TABLE: readonly [string, WorkloadCredentialStatus | undefined, number, number][] = [
    ['a new resource is first', undefined, T0, URGENCY.first],
    ['one that is due is due', aStatus(), T0 + 41 * MINUTE, URGENCY.due],
    ['one with little life left is endangered', aStatus(), T0 + 55 * MINUTE, URGENCY.endangered],
    ['one that has ended is expired', aStatus(), T0 + HOUR, URGENCY.expired],
    ['one that failed waits behind the others', aFailedStatus('STSUnavailable'), T0, URGENCY.retry],
    ['one that was refused without a call does not', aFailedStatus('ServiceAccountNotAllowed'), T0, URGENCY.first],
    ['a reason of another version counts as a failure', aFailedStatus('FromTheFuture'), T0, URGENCY.retry],
  ];
  for (const [what, status, atMs, urgency] of TABLE) {
    test(what, () => {
      assert.equal(urgencyOf(aCredential({ status }), atMs), urgency);
    });
  }

  test('a key that is not in the cache is as urgent as a new one', () => {
    assert.equal(urgencyOf(undefined, T0), URGENCY.first);
  });
});
