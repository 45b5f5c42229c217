// Promises: tables of writes that are sent one after the other and compared answer by answer: patches, metadata, names and
// fields, good and bad. What each must say stands nowhere here: the real server says it.
import type { JSONValue } from '../client.ts';
import type { ConformanceCase, Scene } from '../scene.ts';
import { JSON_PATCH, MERGE_PATCH } from '../scene.ts';
import { configMap, coreEvent, credential, lease, newEvent, ONE, secret } from './samples.ts';

const STRATEGIC = 'application/strategic-merge-patch+json';

const content = ({ data, metadata }: JSONValue): JSONValue => ({
  data,
  labels: metadata.labels,
  annotations: metadata.annotations,
  finalizers: metadata.finalizers,
});

const OPERATIONS: readonly unknown[] = [
  [{ op: 'test', path: '/data/none', value: null }],
  [{ op: 'test', path: '/data/none' }],
  [{ op: 'test', path: '/none/none', value: null }],
  [{ op: 'test', path: '/data', value: { a: '1' } }],
  [{ op: 'test', path: '/data/a', value: '2' }],
  [{ op: 'test', path: '/metadata/finalizers/9', value: null }],
  [{ op: 'test', path: '/metadata/finalizers/-', value: null }],
  [{ op: 'test', path: '', value: null }],
  [{ op: 'copy', from: '/data/none', path: '/data/b' }],
  [{ op: 'copy', from: '/data/a', path: '/data/b' }],
  [{ op: 'copy', path: '/data/b' }],
  [{ op: 'copy', from: '/metadata/finalizers/0', path: '/metadata/finalizers/0' }],
  [{ op: 'move', from: '/data/none', path: '/data/b' }],
  [{ op: 'move', from: '/data/a', path: '/metadata/labels/b' }],
  [{ op: 'replace', path: '/data/none', value: 'x' }],
  [{ op: 'replace', path: '/metadata/finalizers/2', value: 'a.b/e' }],
  [{ op: 'replace', path: '/metadata/annotations/a', value: 'x' }],
  [{ op: 'remove', path: '/data/none' }],
  [{ op: 'remove', path: '/data/a/b' }],
  [{ op: 'remove', path: '' }],
  [{ op: 'remove', path: '/metadata/annotations/a' }],
  [{ op: 'remove', path: '/metadata/finalizers/-1' }],
  [{ op: 'add', path: '/metadata/finalizers/-', value: 'a.b/e' }],
  [{ op: 'add', path: '/metadata/finalizers/-1', value: 'a.b/e' }],
  [{ op: 'add', path: '/metadata/finalizers/0', value: 'a.b/e' }],
  [{ op: 'add', path: '/metadata/finalizers/2', value: 'a.b/e' }],
  [{ op: 'add', path: '/metadata/finalizers/5', value: 'a.b/e' }],
  [{ op: 'add', path: '/metadata/finalizers/01', value: 'a.b/e' }],
  [{ op: 'add', path: '/metadata/finalizers/x', value: 'a.b/e' }],
  [{ op: 'add', path: '/metadata/annotations/a', value: 'x' }],
  [{ op: 'add', path: '/metadata/annotations', value: { a: 'x' } }],
  [{ op: 'add', path: '/data/n' }],
  [{ op: 'add', path: 'data/q', value: 'x' }],
  [{ op: 'add', path: '/data/a~1b', value: 'x' }],
  [{ op: 'add', path: '/data/a~0b', value: 'x' }],
  [{ op: 'add', value: 'x' }],
  [{ path: '/data/n', value: 'x' }],
  [{ op: 'odd', path: '/data/n', value: 'x' }],
  ['x'],
  [{ op: 5 }],
  [{ op: 'add', path: 5 }],
];

const MERGES: readonly unknown[] = [
  { data: { b: '2' } },
  { data: null },
  { data: { a: null } },
  { data: { $patch: 'replace', z: '9' } },
  { metadata: { finalizers: ['a.b/e'] } },
  { metadata: { '$deleteFromPrimitiveList/finalizers': ['a.b/c'] } },
  { metadata: { finalizers: ['a.b/e'], '$setElementOrder/finalizers': ['a.b/d', 'a.b/e', 'a.b/c'] } },
  { metadata: { labels: { a: null, c: 'd' } } },
  { metadata: { labels: { $patch: 'replace', q: 'r' } } },
];

/** What an update may get wrong in metadata. */
const METADATA: readonly object[] = [
  { labels: { a: 'x y' } },
  { annotations: { 'a b': 'x' } },
  { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'o', uid: '' }] },
  { finalizers: ['plain'] },
  { finalizers: ['a b/c d'] },
  { uid: '11111111-2222-4333-8444-555555555555' },
  { deletionTimestamp: '2020-01-01T00:00:00Z' },
  { deletionGracePeriodSeconds: 5 },
  { creationTimestamp: '2020-01-01T00:00:00Z' },
  { generation: 7 },
  { namespace: 'elsewhere' },
];

async function updateMetadata(s: Scene, path: string, object: Record<string, unknown>): Promise<void> {
  const collection = path.slice(0, path.lastIndexOf('/'));
  await s.post(collection, object, 201, { record: false });
  for (const metadata of METADATA) {
    await s.any('PATCH', `${path}?dryRun=All`, { body: { metadata }, headers: { 'content-type': MERGE_PATCH } });
    const name = path.slice(path.lastIndexOf('/') + 1);
    await s.any('POST', `${collection}?dryRun=All`, {
      body: { ...object, metadata: { name: `${name}2`, ...metadata } },
    });
  }
}

export const tableCases: readonly ConformanceCase[] = [
  {
    name: 'JSON patches of every kind',
    run: async (s) => {
      const metadata = { labels: { a: 'b' }, finalizers: ['a.b/c', 'a.b/d'] };
      await s.post(s.configMaps(), { ...configMap('a', metadata), data: { a: '1' } }, 201, { record: false });
      for (const body of OPERATIONS) {
        const options = { body, headers: { 'content-type': JSON_PATCH }, pick: content };
        await s.any('PATCH', `${s.configMaps('a')}?dryRun=All`, options);
      }
    },
  },
  {
    name: 'strategic merge patches of every kind',
    run: async (s) => {
      const metadata = { labels: { a: 'b' }, finalizers: ['a.b/c', 'a.b/d'] };
      await s.post(s.configMaps(), { ...configMap('a', metadata), data: { a: '1' } }, 201, { record: false });
      for (const body of MERGES) {
        const options = { body, headers: { 'content-type': STRATEGIC }, pick: content };
        await s.any('PATCH', `${s.configMaps('a')}?dryRun=All`, options);
      }
    },
  },
  {
    name: 'a strategic merge patch of a pod merges containers, their variables and ports',
    run: async (s) => {
      const containers = [
        {
          name: 'main',
          image: 'main:1',
          env: [{ name: 'A', value: '1' }],
          ports: [{ containerPort: 80, name: 'web' }],
        },
        { name: 'side', image: 'side:1' },
      ];
      const template = {
        metadata: { labels: { app: 'a' } },
        spec: { containers, volumes: [{ name: 'v', emptyDir: {} }] },
      };
      const spec = { replicas: 0, selector: { matchLabels: { app: 'a' } }, template };
      const deployments = s.in('apps/v1', 'deployments');
      const object = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'app' }, spec };
      await s.post(deployments, object, 201, { record: false });
      // The real server fills in defaults.
      const pick = ({ spec: seen }: JSONValue): JSONValue => ({
        volumes: seen.template.spec.volumes?.map(({ name }: JSONValue) => name),
        secrets: seen.template.spec.imagePullSecrets,
        containers: seen.template.spec.containers.map(({ name, image, env, ports }: JSONValue) => ({
          name,
          image,
          env,
          ports: ports?.map(({ containerPort, name: port }: JSONValue) => [containerPort, port]),
        })),
      });
      const pods: readonly object[] = [
        { containers: [{ name: 'main', image: 'main:2', env: [{ name: 'B', value: '2' }] }] },
        { containers: [{ name: 'side', $patch: 'delete' }] },
        { containers: [{ name: 'new', image: 'new:1' }] },
        {
          $setElementOrder: undefined,
          '$setElementOrder/containers': [{ name: 'side' }, { name: 'main' }],
          containers: [{ name: 'side', image: 'side:2' }],
        },
        { containers: [{ name: 'main', ports: [{ containerPort: 81, name: 'more' }] }] },
        { containers: [{ $patch: 'replace' }, { name: 'only', image: 'only:1' }] },
        { imagePullSecrets: [{ name: 'one' }] },
        { volumes: [{ name: 'w', emptyDir: {} }] },
        { volumes: [{ name: 'v', $patch: 'delete' }] },
      ];
      for (const pod of pods) {
        const body = { spec: { template: { spec: pod } } };
        await s.any('PATCH', `${deployments}/app?dryRun=All`, { body, headers: { 'content-type': STRATEGIC }, pick });
      }
      await s.delete(`${deployments}/app`, undefined, 200, { record: false });
    },
  },
  {
    name: 'metadata of Secrets and ConfigMaps in updates',
    run: async (s) => {
      await updateMetadata(s, s.secrets('a'), secret('a'));
      await updateMetadata(s, s.configMaps('a'), configMap('a'));
    },
  },
  {
    name: 'metadata of Leases and ServiceAccounts in updates',
    run: async (s) => {
      await updateMetadata(s, s.leases('a'), lease('a'));
      await updateMetadata(s, s.accounts('a'), { metadata: { name: 'a' } });
    },
  },
  {
    name: 'metadata of Roles and Events in updates',
    run: async (s) => {
      const roles = s.in('rbac.authorization.k8s.io/v1', 'roles', 'a');
      await updateMetadata(s, roles, { metadata: { name: 'a' }, rules: [] });
      await updateMetadata(s, s.newEvents('a'), newEvent(s.namespace, 'a'));
    },
  },
  {
    name: 'metadata of our resource in updates',
    run: async (s) => {
      await updateMetadata(s, s.credentials('a'), credential('a'));
    },
  },
  {
    name: 'several faults in one patch come in the order of the real server',
    run: async (s) => {
      const merge = async (path: string, body: object): Promise<void> => {
        await s.any('PATCH', path, { body, headers: { 'content-type': MERGE_PATCH } });
      };
      const labels = { a: 'x y' };
      await s.post(s.secrets(), { ...secret('a'), immutable: true }, 201, { record: false });
      await merge(s.secrets('a'), { metadata: { labels }, data: { 'a b': ONE }, type: 'other', immutable: false });
      await s.post(s.configMaps(), { ...configMap('a'), immutable: true }, 201, { record: false });
      await merge(s.configMaps('a'), {
        metadata: { labels },
        data: { 'a b': 'x' },
        binaryData: { q: ONE },
        immutable: false,
      });
      await s.post(s.leases(), lease('a'), 201, { record: false });
      await merge(s.leases('a'), { metadata: { labels }, spec: { leaseTransitions: -1, leaseDurationSeconds: 0 } });
      await s.post(s.credentials(), credential('a'), 201, { record: false });
      await merge(s.credentials('a'), { metadata: { labels }, spec: { durationSeconds: 1 } });
      await merge(`${s.credentials('a')}/status`, { metadata: { labels }, status: { cloud: 'x' } });
      await s.post(s.newEvents(), newEvent(s.namespace, 'a'), 201, { record: false });
      await merge(s.newEvents('a'), {
        metadata: { labels },
        reason: 'B',
        note: 'm',
        type: 'Warning',
        action: 'C',
        reportingController: 'q',
        reportingInstance: 'z',
        related: { kind: 'X' },
        deprecatedSource: { component: 'q' },
        deprecatedCount: 4,
        regarding: { name: 'other' },
        eventTime: '2020-01-01T00:00:01.000000Z',
      });
    },
  },
  {
    name: 'data that is empty, absent or null in an immutable Secret',
    run: async (s) => {
      await s.post(s.secrets(), { ...secret('a'), data: undefined, immutable: true }, 201, { record: false });
      const bodies = [
        { data: {} },
        { data: null },
        { data: { q: null } },
        { stringData: {} },
        { stringData: { a: 'b' } },
      ];
      for (const body of [...bodies, { metadata: { labels: { a: 'b' } } }]) {
        await s.any('PATCH', `${s.secrets('a')}?dryRun=All`, { body, headers: { 'content-type': MERGE_PATCH } });
      }
    },
  },
  {
    name: 'Leases whose fields have other types, zones or nulls',
    run: async (s) => {
      const specs: readonly object[] = [
        { leaseDurationSeconds: 1.5 },
        { leaseDurationSeconds: 2 ** 31 },
        { leaseDurationSeconds: '15' },
        { holderIdentity: 5 },
        { holderIdentity: null, acquireTime: null },
        { holderIdentity: '' },
        { renewTime: '2020-01-01T02:00:00.000000+02:00' },
        { renewTime: '2020-01-01T02:00:00.5Z' },
        { leaseTransitions: null },
      ];
      for (const spec of specs) await s.any('POST', `${s.leases()}?dryRun=All`, { body: lease('a', spec) });
      const text = '{"metadata":{"name":"a"},"spec":{"leaseDurationSeconds":15.0}}';
      await s.any('POST', `${s.leases()}?dryRun=All`, { body: text });
    },
  },
  {
    name: 'Events of the core group with and without a time, in other zones',
    run: async (s) => {
      const times = { eventTime: '2020-01-01T02:00:00.000000+02:00', firstTimestamp: '2020-01-01T02:00:00+02:00' };
      const whole = { reportingComponent: 'a.b/c', reportingInstance: 'i', action: 'A', reason: 'R' };
      const events: readonly object[] = [
        { ...times, ...whole, type: 'Odd', series: { count: 1, lastObservedTime: times.eventTime } },
        { ...times },
        { ...times, ...whole, involvedObject: {} },
        { ...times, ...whole, involvedObject: { namespace: 'elsewhere' } },
        { involvedObject: {} },
      ];
      for (const event of events)
        await s.any('POST', `${s.coreEvents()}?dryRun=All`, { body: coreEvent(s.namespace, 'a', event) });
      await s.post(s.newEvents(), newEvent(s.namespace, 'b'), 201, { record: false });
      await s.merge(s.coreEvents('b'), { message: 'other', reason: 'Other' });
    },
  },
  {
    name: 'names that are generated',
    run: async (s) => {
      const prefixes = ['a-', 'a--', 'A-', 'a.', 'a', '-', `${'a'.repeat(80)}-`, 'a.b-', 'a_'];
      const show = ({ message, details, kind }: JSONValue): JSONValue => ({
        kind,
        message: message?.replaceAll(/[a-z0-9]{5}"/g, '<suffix>"'),
        causes: details?.causes?.map(({ field }: JSONValue) => field),
      });
      for (const generateName of prefixes) {
        await s.any('POST', `${s.configMaps()}?dryRun=All`, { body: { metadata: { generateName } }, show });
        await s.any('POST', '/api/v1/namespaces?dryRun=All', { body: { metadata: { generateName } }, show });
      }
    },
  },
];
