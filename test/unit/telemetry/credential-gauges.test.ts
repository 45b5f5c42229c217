// What all credentials together come to: the worst of each kind, by cloud, and nothing of what is suspended that is late.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CLOUD_GAUGES, type CredentialSample, CredentialSummary } from '../../../src/telemetry/credential-gauges.ts';

const MINUTE = 60_000;
const NOW = Date.UTC(2026, 10, 22, 12);

/** Issued 30 minutes ago for an hour, due in 10. */
const sample = (over: Partial<CredentialSample> = {}): CredentialSample => ({
  namespace: 'shop',
  name: 'orders',
  cloud: 'AWS',
  state: 'Ready',
  suspended: false,
  failure: undefined,
  expirationTimeMs: NOW + 30 * MINUTE,
  refreshTimeMs: NOW + 10 * MINUTE,
  unissuedSinceMs: undefined,
  ...over,
});

/** Its refresh time was `minutes` ago, and the outage budget is 20 minutes. */
const overdue = (minutes: number, over: Partial<CredentialSample> = {}): CredentialSample =>
  sample({ refreshTimeMs: NOW - minutes * MINUTE, expirationTimeMs: NOW + (20 - minutes) * MINUTE, ...over });

const unissued = (minutes: number, over: Partial<CredentialSample> = {}): CredentialSample =>
  sample({
    state: 'Pending',
    expirationTimeMs: undefined,
    refreshTimeMs: undefined,
    unissuedSinceMs: NOW - minutes * MINUTE,
    ...over,
  });

function of(...samples: CredentialSample[]): Record<string, number> {
  const summary = new CredentialSummary(NOW);
  for (const each of samples) summary.add(each);
  const values = CLOUD_GAUGES.flatMap((name) =>
    [...summary.gauge(name)].map(([cloud, value]) => [`${name.replace('workloadcredential_', '')} ${cloud}`, value]),
  );
  return Object.fromEntries(values) as Record<string, number>;
}

describe('a summary', () => {
  test('of nothing has no value, not even a zero', () => {
    assert.deepEqual(of(), {});
  });

  test('of a credential that is not due has zeros for what is late', () => {
    assert.deepEqual(of(sample()), {
      'unissued_seconds AWS': 0,
      'overdue_credentials AWS': 0,
      'overdue_seconds AWS': 0,
      'outage_budget_used_ratio AWS': 0,
      'nearest_expiration_seconds AWS': 1_800,
      'outage_budget_seconds AWS': 1_200,
    });
  });

  test('tells the worst of several, cloud by cloud', () => {
    const seen = of(overdue(2), overdue(5), sample(), overdue(10, { cloud: 'Volcengine' }));
    assert.equal(seen['outage_budget_used_ratio AWS'], 0.25);
    assert.equal(seen['overdue_seconds AWS'], 300);
    assert.equal(seen['overdue_credentials AWS'], 2);
    assert.equal(seen['nearest_expiration_seconds AWS'], 900);
    assert.equal(seen['outage_budget_used_ratio Volcengine'], 0.5);
  });

  test('has used up all of the budget when a credential has ended, and no more than that', () => {
    assert.equal(of(overdue(20))['outage_budget_used_ratio AWS'], 1);
    assert.equal(of(overdue(2_000))['outage_budget_used_ratio AWS'], 1);
    assert.equal(of(overdue(2_000))['overdue_seconds AWS'], 120_000);
  });

  test('takes a credential without a refresh time to be due when it ends', () => {
    const seen = of(sample({ refreshTimeMs: undefined }), sample({ name: 'b', refreshTimeMs: NOW + 30 * MINUTE }));
    assert.equal(seen['outage_budget_used_ratio AWS'], 0);
    assert.equal(
      of(sample({ refreshTimeMs: undefined, expirationTimeMs: NOW - 1 }))['outage_budget_used_ratio AWS'],
      1,
    );
  });

  test('counts nothing late of what is suspended, only when it ends', () => {
    assert.deepEqual(of(overdue(10, { suspended: true }), unissued(60, { suspended: true })), {
      'suspended_nearest_expiration_seconds AWS': 600,
    });
  });

  test('forgets a suspended credential a day after its end, so that it hides no other', () => {
    const parked = sample({ suspended: true, expirationTimeMs: NOW - 24 * 60 * MINUTE });
    assert.deepEqual(of(parked), {});
    const ended = sample({ suspended: true, expirationTimeMs: NOW - 23 * 60 * MINUTE });
    assert.deepEqual(of(parked, ended), { 'suspended_nearest_expiration_seconds AWS': -82_800 });
  });

  test('tells how long the oldest without a credential has waited', () => {
    const seen = of(unissued(3), unissued(20), unissued(-1, { cloud: 'AlibabaCloud' }));
    assert.deepEqual(seen, { 'unissued_seconds AWS': 1_200, 'unissued_seconds AlibabaCloud': 0 });
  });

  test('has each state of a cloud that has resources, and only reasons that somebody has', () => {
    const summary = new CredentialSummary(NOW);
    summary.add(sample({ failure: 'STSThrottled', state: 'RefreshFailing' }));
    assert.deepEqual(Object.fromEntries(summary.states.get('AWS') ?? []), {
      Ready: 0,
      RefreshFailing: 1,
      Pending: 0,
      Stalled: 0,
      Expired: 0,
      Suspended: 0,
    });
    assert.deepEqual([...summary.failures], [['AWS', new Map([['STSThrottled', 1]])]]);
  });
});
