// Promises: tables of requests beside plain writes, sent one after the other and compared answer by answer: tokens,
// deletions, media types and paths. What each must say stands nowhere here: the real server says it.
import type { JSONValue } from '../client.ts';
import type { ConformanceCase } from '../scene.ts';
import { credential, secret } from './samples.ts';

const REQUESTS: readonly unknown[] = [
  { kind: 'Secret', apiVersion: 'v1' },
  { apiVersion: 'v1', kind: 'TokenRequest' },
  { apiVersion: 'authentication.k8s.io/v1beta1', kind: 'TokenRequest' },
  { spec: { audiences: 'x' } },
  { spec: { audiences: [5] } },
  { spec: { audiences: [] } },
  { spec: { expirationSeconds: '600' } },
  { spec: { expirationSeconds: 600.5 } },
  { spec: 5 },
  { spec: null },
  {},
  { spec: { odd: 1, boundObjectRef: { kind: 'Secret', apiVersion: 'v1', name: 'a', odd: 2 } } },
  { spec: { boundObjectRef: { kind: 'ConfigMap', apiVersion: 'v1', name: 'a' } } },
  { spec: { boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: 'a' } } },
  { spec: { boundObjectRef: { kind: 'Node', apiVersion: 'v1', name: 'a' } } },
  { spec: { boundObjectRef: { kind: 'Secret', apiVersion: 'v1' } } },
  { spec: { boundObjectRef: { kind: 'Deployment', apiVersion: 'apps/v1', name: 'a' } } },
  { metadata: { name: 'other' } },
  { metadata: { namespace: 'elsewhere' } },
  'x',
  '',
];

const DELETIONS: readonly unknown[] = [
  { kind: 'DeleteOptions', apiVersion: 'v1', gracePeriodSeconds: 'x' },
  { kind: 'X' },
  { kind: 'Secret', apiVersion: 'v1' },
  { dryRun: ['x'] },
  { propagationPolicy: 'Sideways' },
  { propagationPolicy: 5 },
  { orphanDependents: true, propagationPolicy: 'Orphan' },
  { preconditions: { uid: 5 } },
  { preconditions: 'x' },
  [],
  '"x"',
  'x',
  { dryRun: ['All'], odd: 1 },
  { dryRun: ['All'], apiVersion: 'foo/v1', kind: 'DeleteOptions' },
];

const ACCEPTS = [
  'application/json',
  '*/*',
  'application/*',
  'application/json, */*;q=0.1',
  'text/html',
  'application/jwk-set+json',
  'application/json;as=Table;v=v1;g=meta.k8s.io',
  'application/json;as=Odd;v=v1;g=meta.k8s.io',
  'application/json;as=PartialObjectMetadata;v=v1',
  'application/json;charset=utf-8',
  'application/json;stream=watch',
];

const code = ({ kind, message, reason, details }: JSONValue): JSONValue => ({ kind, message, reason, details });

export const requestCases: readonly ConformanceCase[] = [
  {
    name: 'TokenRequests in other shapes',
    run: async (s) => {
      await s.post(s.accounts(), { metadata: { name: 'orders' } }, 201, { record: false });
      await s.post(s.secrets(), secret('a'), 201, { record: false });
      const path = `${s.accounts('orders')}/token`;
      for (const body of REQUESTS) await s.any('POST', path, { body });
      await s.any('POST', `${path}?fieldValidation=Strict`, { body: { spec: { odd: 1 } } });
      await s.any('POST', `${path}?dryRun=x`, { body: {} });
      await s.any('POST', path, { body: '{}', headers: { 'content-type': 'text/plain' } });
      await s.any('GET', path);
    },
  },
  {
    name: 'a token is bound to a pod',
    run: async (s) => {
      await s.post(s.accounts(), { metadata: { name: 'orders' } }, 201, { record: false });
      const pods = s.in('v1', 'pods');
      const containers = [{ name: 'a', image: 'a:1' }];
      const pod = (name: string, spec: object): object => ({ metadata: { name }, spec: { containers, ...spec } });
      await s.post(pods, pod('p', { serviceAccountName: 'orders' }), 201, { record: false });
      // A pod without an account has the default one, which a controller makes.
      await s.eventually(s.accounts('default'), ({ status }) => status === 200, { record: false });
      await s.post(pods, pod('other', {}), 201, { record: false });
      const path = `${s.accounts('orders')}/token`;
      const bound = (name: string, more: object = {}): object => ({
        spec: { boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name }, ...more },
      });
      const made = await s.any('POST', path, { body: bound('p') });
      await s.any('POST', path, { body: bound('other') });
      await s.any('POST', path, { body: bound('p', { expirationSeconds: 3607 }) });
      await s.any('POST', path, { body: bound('p', { expirationSeconds: 3607, audiences: ['x'] }) });
      await s.any('POST', path, { body: { spec: { expirationSeconds: 3607 } } });
      const bearer = made.body.status.token as string;
      const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' };
      await s.any('POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {
        body: review,
        bearer,
        pick: ({ status }) => [status.userInfo.username, Object.keys(status.userInfo.extra).toSorted()],
      });
    },
  },
  {
    name: 'deletions with other options',
    run: async (s) => {
      await s.post(s.secrets(), secret('a'), 201, { record: false });
      await s.post(s.credentials(), credential('a'), 201, { record: false });
      for (const body of DELETIONS) {
        await s.any('DELETE', s.secrets('a'), { body });
        await s.any('DELETE', s.credentials('a'), { body });
      }
      await s.any('DELETE', s.secrets('a'), { body: { orphanDependents: true } });
    },
  },
  {
    name: 'media types of answers',
    run: async (s) => {
      await s.post(s.secrets(), secret('a'), 201, { record: false });
      await s.post(s.credentials(), credential('a'), 201, { record: false });
      const documents = ['/openid/v1/jwks', '/.well-known/openid-configuration', '/version'];
      for (const accept of ACCEPTS) {
        for (const path of [...documents, s.secrets('a'), s.secrets(), s.credentials('a'), s.credentials()]) {
          await s.any('GET', path, { headers: { accept }, show: code });
        }
      }
    },
  },
  {
    name: 'paths that are not served, group by group',
    run: async (s) => {
      const here = `namespaces/${s.namespace}`;
      const paths = [
        '/api/v1/nothing',
        '/api/v1/secrets/a',
        `/api/v1/${here}/nothing`,
        '/api/v9/secrets',
        '/apis/nothing.example.com/v1',
        ...['workloadcredentials/a', 'nothing', `${here}/nothing`, `${here}/workloadcredentials/a/scale`].map(
          (rest) => `/apis/workloadcredentials.io/v1alpha1/${rest}`,
        ),
        ...[`${here}/workloadcredentials/a/b/c`, `${here}/workloadcredentials/a/status`].map(
          (rest) => `/apis/workloadcredentials.io/v1alpha1/${rest}`,
        ),
        ...['nothing', 'leases/a', `${here}/nothing`].map((rest) => `/apis/coordination.k8s.io/v1/${rest}`),
        '/apis/coordination.k8s.io/v9/leases',
        '/apis/workloadcredentials.io/v9/x',
        `/apis/apiextensions.k8s.io/v1/${here}/customresourcedefinitions`,
        `/apis/rbac.authorization.k8s.io/v1/${here}/clusterroles`,
      ];
      for (const path of paths) for (const method of ['GET', 'DELETE']) await s.any(method, path);
    },
  },
];
