// Promises: the smallest objects that both servers accept, for cases to start from.
import { API_VERSION, KIND } from '../../../src/api/names.ts';

/** base64 of `one`. */
export const ONE = 'b25l';
/** base64 of `two`. */
export const TWO = 'dHdv';

export function secret(name: string, more: object = {}): Record<string, unknown> {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name }, data: { key: ONE }, ...more };
}

export function configMap(name: string, metadata: object = {}): Record<string, unknown> {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...metadata }, data: { key: 'one' } };
}

export function lease(name: string, spec: object = {}): Record<string, unknown> {
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name },
    spec: {
      holderIdentity: 'replica-1',
      leaseDurationSeconds: 15,
      leaseTransitions: 0,
      acquireTime: '2020-01-01T00:00:00.000000Z',
      renewTime: '2020-01-01T00:00:00.000000Z',
      ...spec,
    },
  };
}

export function credential(name: string, spec: object = {}, metadata: object = {}): Record<string, unknown> {
  return {
    apiVersion: API_VERSION,
    kind: KIND,
    metadata: { name, ...metadata },
    spec: {
      serviceAccountName: 'orders',
      aws: { roleARN: 'arn:aws:iam::123456789012:role/orders', region: 'eu-west-1' },
      ...spec,
    },
  };
}

/** An Event as the operator's recorder writes it. */
export function newEvent(namespace: string, name: string, more: object = {}): Record<string, unknown> {
  return {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { name, namespace },
    eventTime: '2020-01-01T00:00:00.000000Z',
    reportingController: 'workloadcredentials.io/operator',
    reportingInstance: 'operator-1',
    action: 'Exchange',
    reason: 'Issued',
    note: 'issued',
    type: 'Normal',
    regarding: {
      apiVersion: API_VERSION,
      kind: KIND,
      namespace,
      name: 'orders',
      uid: '11111111-2222-4333-8444-555555555555',
    },
    ...more,
  };
}

export function coreEvent(namespace: string, name: string, more: object = {}): Record<string, unknown> {
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name, namespace },
    involvedObject: {
      apiVersion: 'v1',
      kind: 'Secret',
      namespace,
      name: 'orders',
      uid: '11111111-2222-4333-8444-555555555555',
    },
    reason: 'Seen',
    message: 'seen',
    type: 'Normal',
    count: 1,
    firstTimestamp: '2020-01-01T00:00:00Z',
    lastTimestamp: '2020-01-01T00:00:00Z',
    source: { component: 'test' },
    ...more,
  };
}
