// Shows that calls are counted from an audit log as they happened: once each, by user, writes apart from reads.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { callsOf, countCalls, describeCall, isWrite, parseAuditLog } from '../../support/audit.ts';
import type { AuditEvent } from '../../support/audit.ts';

const OPERATOR = 'system:serviceaccount:wc-system:workload-credentials';

function event(fields: Partial<AuditEvent> & { auditID: string; verb: string }): AuditEvent {
  return {
    stage: 'ResponseComplete',
    requestURI: '/',
    user: { username: OPERATOR },
    responseStatus: { code: 200 },
    requestReceivedTimestamp: '2026-01-01T00:00:00.000000Z',
    stageTimestamp: '2026-01-01T00:00:00.000000Z',
    ...fields,
  };
}

const secrets = { resource: 'secrets', namespace: 'shop', name: 'orders' };
const status = { resource: 'workloadcredentials', namespace: 'shop', name: 'orders', subresource: 'status' };
const token = { resource: 'serviceaccounts', namespace: 'shop', name: 'orders', subresource: 'token' };
const events = [
  event({ auditID: 'a', verb: 'watch', stage: 'ResponseStarted', objectRef: { resource: 'secrets' } }),
  event({ auditID: 'b', verb: 'patch', objectRef: secrets }),
  event({ auditID: 'c', verb: 'patch', objectRef: status }),
  event({ auditID: 'd', verb: 'create', objectRef: token, responseStatus: { code: 201 } }),
  event({ auditID: 'e', verb: 'get', requestURI: '/readyz', user: { username: 'system:anonymous' } }),
  event({ auditID: 'a', verb: 'watch', objectRef: { resource: 'secrets' } }),
];

test('a line that is still being written is left out', () => {
  const text = `${JSON.stringify(events[0])}\n${JSON.stringify(events[1])}\n{"auditID":"half`;
  assert.deepEqual(parseAuditLog(text), events.slice(0, 2));
});

test('a watch is one call, however many stages it has, and other users are not counted', () => {
  assert.deepEqual(
    callsOf(events, OPERATOR).map(({ auditID }) => auditID),
    ['a', 'b', 'c', 'd'],
  );
});

test('calls are told in a few words', () => {
  assert.deepEqual(events.slice(0, 5).map(describeCall), [
    'watch secrets 200',
    'patch secrets shop/orders 200',
    'patch workloadcredentials/status shop/orders 200',
    'create serviceaccounts/token shop/orders 201',
    'get /readyz 200',
  ]);
});

test('a token is not a write, a status patch is', () => {
  assert.deepEqual(events.slice(0, 5).map(isWrite), [false, true, true, false, false]);
  assert.equal(
    isWrite(event({ auditID: 'f', verb: 'create', objectRef: { resource: 'subjectaccessreviews' } })),
    false,
  );
});

test('equal calls are counted together', () => {
  const twice = [...events.slice(1, 2), event({ auditID: 'g', verb: 'patch', objectRef: secrets })];
  assert.deepEqual(countCalls(twice), { 'patch secrets shop/orders 200': 2 });
});
