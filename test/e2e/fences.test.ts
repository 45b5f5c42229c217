// Shows what a thief of the operator's token can do under the chart's admission policies: every escape is tried over the plain
// API, first with the chart's own RBAC, then with cluster-admin bound to the operator on top, and each is refused in the fence's
// words. The operator itself works under them, and nobody else is held up. Counts come from the API server's audit log.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { startSeaweedFS } from '../beds/seaweedfs.ts';
import type { SeaweedFSBed } from '../beds/seaweedfs.ts';
import { waitFor } from '../beds/wait.ts';
import { describeCall } from '../support/audit.ts';
import type { AuditEvent } from '../support/audit.ts';
import type { ClusterAnswer, ClusterClient } from '../support/cluster-client.ts';
import { manifest, startCluster, SYSTEM_NAMESPACE } from '../support/installation.ts';
import type { Installation } from '../support/installation.ts';
import { scopeFor } from '../support/scope.ts';

const AUDIENCE = 'sts.seaweedfs.test';
const GROUP = 'workloadcredentials.io';
const SOON = { timeoutMs: 20_000, everyMs: 100 };
const MERGE = 'application/merge-patch+json';
const JSON_PATCH = 'application/json-patch+json';
const STRATEGIC = 'application/strategic-merge-patch+json';
const APPLY = 'application/apply-patch+yaml';

const orders = { namespace: 'shop', name: 'orders' };
const shared = { namespace: 'shop', name: 'shared' };

const scope = scopeFor('clusterWide', [orders.namespace]);

let bed: Installation;
let seaweedFS: SeaweedFSBed;
let thief: ClusterClient;
let ordersUID = '';
/** Every sentence of a fence that has refused something. */
const heard = new Set<string>();

const secrets = (namespace: string, name = ''): string =>
  `/api/v1/namespaces/${namespace}/secrets${name === '' ? '' : `/${name}`}`;
const leases = (namespace: string, name = ''): string =>
  `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases${name === '' ? '' : `/${name}`}`;
const events = (namespace: string, name = ''): string =>
  `/apis/events.k8s.io/v1/namespaces/${namespace}/events${name === '' ? '' : `/${name}`}`;

type Spec = Readonly<Record<string, unknown>>;
type Attempt = readonly [title: string, said: RegExp, method: string, path: string, body?: unknown, type?: string];

/** A TokenRequest for a ServiceAccount. */
function token(title: string, said: RegExp, spec: Spec, account = 'shop/orders'): Attempt {
  const [namespace = '', name = ''] = account.split('/');
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
  return [title, said, 'POST', path, { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec }];
}

const good = { audiences: [AUDIENCE], expirationSeconds: 600 };
const owner = (): object => ({
  apiVersion: `${GROUP}/v1alpha1`,
  kind: 'WorkloadCredential',
  name: 'orders',
  uid: ordersUID,
  controller: true,
});
/** What makes a Secret the resource's, in one go. */
const marks = (): { labels: Spec; annotations: Spec; ownerReferences: object[] } => ({
  labels: { [`${GROUP}/name`]: 'orders' },
  annotations: { [`${GROUP}/owner-uid`]: ordersUID },
  ownerReferences: [owner()],
});
const data = { 'credentials.json': Buffer.from('{}').toString('base64') };

/** A Secret that looks like the operator's own, but for what is given. */
function secret(name: string, metadata: Spec = {}, rest: Spec = {}): object {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'Opaque',
    data,
    metadata: { name, ...marks(), ...metadata },
    ...rest,
  };
}

const AUDIENCES = /one audience only/;
const API_SERVER = /no token for an audience of the API server's own/;
const PROTECTED_TOKEN = /mints no token in this namespace/;
const PROTECTED_SECRET = /writes no Secret in this namespace/;
const FOREIGN = /belongs to no WorkloadCredential and its owner has not handed it over/;
const CREATES = /creates Secrets of WorkloadCredentials only/;
const STAYS = /A Secret of a WorkloadCredential has to stay one/;
const STAYS_THEIRS = /stays its owner's/;
const UNCHANGED = /neither a Secret's type, nor whether it is immutable/;
const LABELS = /sets labels of its own/;
const DELETES = /deletes only a Secret of a WorkloadCredential that somebody has made immutable/;
const LEASE = /writes one Lease only/;
const EVENTS = /writes Events about WorkloadCredentials/;

const tokenEscapes = (): Attempt[] => [
  token("for the API server's audience", API_SERVER, { ...good, audiences: [bed.kubernetes.issuer] }),
  token('for the usual one', API_SERVER, { ...good, audiences: ['https://kubernetes.default.svc'] }),
  token('for the other usual one', API_SERVER, {
    ...good,
    audiences: ['https://kubernetes.default.svc.cluster.local'],
  }),
  token('without an audience', API_SERVER, { expirationSeconds: 600 }),
  token('with an empty list of audiences', API_SERVER, { ...good, audiences: [] }),
  token("for STS and the API server's audience", API_SERVER, { ...good, audiences: [AUDIENCE, bed.kubernetes.issuer] }),
  token('for two audiences of the list', AUDIENCES, { ...good, audiences: [AUDIENCE, 'sts.amazonaws.com'] }),
  token('for the same audience twice', AUDIENCES, { ...good, audiences: [AUDIENCE, AUDIENCE] }),
  token('for an audience that nobody listed', AUDIENCES, { ...good, audiences: ['vault.example.com'] }),
  token('of an hour', /at most 600 seconds/, { ...good, expirationSeconds: 3_600 }),
  token('of 601 seconds', /at most 600 seconds/, { ...good, expirationSeconds: 601 }),
  token('of the default life', /at most 600 seconds/, { audiences: [AUDIENCE] }),
  token('bound to a Secret', /bound to no object/, {
    ...good,
    boundObjectRef: { kind: 'Secret', apiVersion: 'v1', name: 'orders' },
  }),
  token('in kube-system', PROTECTED_TOKEN, good, 'kube-system/tester'),
  token("of the operator's own ServiceAccount", PROTECTED_TOKEN, good, `${SYSTEM_NAMESPACE}/wc`),
];

const foreignPatch = (path: string, metadata: object, rest: object = {}): [string, string, unknown, string] => [
  'PATCH',
  secrets('shop', path),
  { metadata, ...rest },
  MERGE,
];

const foreignEscapes = (): Attempt[] => [
  ['overwrite by merge patch', FOREIGN, ...foreignPatch('foreign', {}, { data })],
  [
    'overwrite by JSON patch',
    FOREIGN,
    'PATCH',
    secrets('shop', 'foreign'),
    [{ op: 'add', path: '/data', value: data }],
    JSON_PATCH,
  ],
  ['overwrite by strategic merge patch', FOREIGN, 'PATCH', secrets('shop', 'foreign'), { data }, STRATEGIC],
  [
    'overwrite by server-side apply',
    FOREIGN,
    'PATCH',
    `${secrets('shop', 'foreign')}?fieldManager=thief&force=true`,
    secret('foreign'),
    APPLY,
  ],
  ['take over with all our marks and data in one patch', FOREIGN, ...foreignPatch('foreign', marks(), { data })],
  ['relabel, before a delete', FOREIGN, ...foreignPatch('foreign', { labels: marks().labels })],
  ['delete, after a relabel', DELETES, 'DELETE', secrets('shop', 'foreign')],
  ['delete an immutable one', DELETES, 'DELETE', secrets('shop', 'foreign-immutable')],
  ['make an owner whose end takes it along', FOREIGN, ...foreignPatch('foreign', { ownerReferences: [owner()] })],
  [
    "forge its owner's consent",
    FOREIGN,
    ...foreignPatch(
      'foreign',
      {
        labels: marks().labels,
        annotations: { [`${GROUP}/adopt`]: 'orders', [`${GROUP}/adopter-uid`]: ordersUID },
      },
      { data },
    ),
  ],
  ['take the label of one that is labelled only', FOREIGN, ...foreignPatch('labelled', marks(), { data })],
  ['write into one of another controller', FOREIGN, ...foreignPatch('controlled', marks(), { data })],
];

const createEscapes = (): Attempt[] => {
  const create = (title: string, said: RegExp, body: object, namespace = 'shop'): Attempt => [
    title,
    said,
    'POST',
    secrets(namespace),
    body,
  ];
  const accountToken = { annotations: { ...marks().annotations, 'kubernetes.io/service-account.name': 'orders' } };
  return [
    create(
      "a ServiceAccount's token",
      /type Opaque only/,
      secret('stolen', accountToken, { type: 'kubernetes.io/service-account-token', data: {} }),
    ),
    create('another type', /type Opaque only/, secret('stolen', {}, { type: 'example.com/other' })),
    create('without our label', CREATES, secret('stolen', { labels: {} })),
    create('without an owner', CREATES, secret('stolen', { annotations: {}, ownerReferences: [] })),
    create(
      'as if it had been handed over',
      CREATES,
      secret('stolen', {
        annotations: { [`${GROUP}/adopt`]: 'orders', [`${GROUP}/adopter-uid`]: ordersUID },
        ownerReferences: [],
      }),
    ),
    create(
      'of another controller',
      CREATES,
      secret('stolen', {
        ownerReferences: [
          { apiVersion: 'apps/v1', kind: 'Deployment', name: 'orders', uid: ordersUID, controller: true },
        ],
      }),
    ),
    create(
      'that goes with somebody else',
      CREATES,
      secret('stolen', {
        ownerReferences: [
          owner(),
          { apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: '00000000-0000-0000-0000-000000000000' },
        ],
      }),
    ),
    create(
      'under the name of another WorkloadCredential',
      CREATES,
      secret('stolen', {
        labels: { [`${GROUP}/name`]: 'other' },
      }),
    ),
    create('that cannot be deleted', /sets no finalizers/, secret('stolen', { finalizers: ['example.com/stay'] })),
    create(
      "that is Argo CD's input",
      LABELS,
      secret('stolen', {
        labels: { ...marks().labels, 'argocd.argoproj.io/secret-type': 'repository' },
      }),
    ),
    create("that is Helm's input", LABELS, secret('stolen', { labels: { ...marks().labels, owner: 'helm' } })),
    create(
      "with somebody else's annotation",
      /sets annotations of its own/,
      secret('stolen', {
        annotations: { ...marks().annotations, 'replicator.v1.mittwald.de/replicate-to': '*' },
      }),
    ),
    create('in kube-system', PROTECTED_SECRET, secret('bootstrap-token-abcdef'), 'kube-system'),
    create("in the operator's namespace", PROTECTED_SECRET, secret('stolen'), SYSTEM_NAMESPACE),
    [
      'by server-side apply',
      CREATES,
      'PATCH',
      `${secrets('shop', 'stolen')}?fieldManager=thief`,
      secret('stolen', { labels: {} }),
      APPLY,
    ],
  ];
};

const ownEscapes = (): Attempt[] => {
  const own = (title: string, said: RegExp, metadata: object, rest: object = {}): Attempt => [
    title,
    said,
    ...foreignPatch('orders', metadata, rest),
  ];
  return [
    own('lose its label', STAYS, { labels: { [`${GROUP}/name`]: null } }),
    own('lose its owner-uid', STAYS, { annotations: { [`${GROUP}/owner-uid`]: null } }),
    own('pose as handed over', STAYS, { annotations: { [`${GROUP}/adopter-uid`]: ordersUID } }),
    own('go with somebody else', STAYS, {
      ownerReferences: [
        owner(),
        { apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: '00000000-0000-0000-0000-000000000000' },
      ],
    }),
    own('become immutable, before a delete', UNCHANGED, {}, { immutable: true }),
    own('be given consent', UNCHANGED, { annotations: { [`${GROUP}/adopt`]: 'orders' } }),
    own("become Argo CD's input", LABELS, { labels: { 'argocd.argoproj.io/secret-type': 'cluster' } }),
    own('be kept for ever', /sets no finalizers/, { finalizers: ['example.com/stay'] }),
    ['be deleted', DELETES, 'DELETE', secrets('shop', 'orders')],
  ];
};

const sharedEscapes = (): Attempt[] => {
  const one = (title: string, said: RegExp, name: string, metadata: object): Attempt => [
    title,
    said,
    ...foreignPatch(name, metadata),
  ];
  return [
    one('become ours whole', STAYS_THEIRS, 'shared', { annotations: { [`${GROUP}/owner-uid`]: ordersUID } }),
    one('become ours whole, without consent', STAYS_THEIRS, 'shared', {
      annotations: {
        [`${GROUP}/owner-uid`]: ordersUID,
        [`${GROUP}/adopt`]: null,
        [`${GROUP}/adopter-uid`]: null,
      },
    }),
    one('get an owner whose end takes it along', STAYS_THEIRS, 'shared', { ownerReferences: [owner()] }),
    one('lose the consent', STAYS_THEIRS, 'shared', { annotations: { [`${GROUP}/adopt`]: null } }),
    one('be consented to another', STAYS_THEIRS, 'shared', { annotations: { [`${GROUP}/adopt`]: 'other' } }),
    one('become ours whole as soon as it is offered', STAYS_THEIRS, 'offered', {
      annotations: { [`${GROUP}/owner-uid`]: ordersUID },
      ownerReferences: [owner()],
    }),
    ['be deleted', DELETES, 'DELETE', secrets('shop', 'shared')],
  ];
};

const lease = (name: string): object => ({
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata: { name },
  spec: { holderIdentity: 'thief', leaseDurationSeconds: 3_600 },
});

const event = (regarding: Spec, rest: Spec = {}): object => ({
  apiVersion: 'events.k8s.io/v1',
  kind: 'Event',
  metadata: { name: 'told.by.a.thief', namespace: 'shop' },
  eventTime: '2026-01-01T00:00:00.000000Z',
  reportingController: `${GROUP}/operator`,
  reportingInstance: 'thief',
  action: 'Refresh',
  reason: 'Issued',
  type: 'Normal',
  note: 'all is well',
  regarding: {
    apiVersion: `${GROUP}/v1alpha1`,
    kind: 'WorkloadCredential',
    namespace: 'shop',
    name: 'orders',
    ...regarding,
  },
  ...rest,
});

const otherEscapes = (): Attempt[] => [
  ['a Lease of another name', LEASE, 'POST', leases(SYSTEM_NAMESPACE), lease('kube-scheduler')],
  ['an Event about a Pod', EVENTS, 'POST', events('shop'), event({ apiVersion: 'v1', kind: 'Pod' })],
  ["an Event in another's name", EVENTS, 'POST', events('shop'), event({}, { reportingController: 'kubelet' })],
  ['an Event of somebody else, changed', EVENTS, 'PATCH', events('shop', 'foreign'), { note: 'all is well' }, MERGE],
];

/** What only more rights than the chart gives would make possible: the fences hold then, too. */
const escapesOfAnAdmin = (): Attempt[] => [
  ['a foreign Secret replaced', FOREIGN, 'PUT', secrets('shop', 'foreign'), secret('foreign', {}, { data })],
  ['all Secrets of a namespace deleted', DELETES, 'DELETE', secrets('shop')],
  ['all our Secrets deleted', DELETES, 'DELETE', `${secrets('shop')}?labelSelector=${GROUP}/name`],
  ["a Secret of kube-system's written", PROTECTED_SECRET, ...toKubeSystem()],
  [
    "a node's Lease taken",
    LEASE,
    'PATCH',
    leases('kube-node-lease', 'node-1'),
    { spec: { holderIdentity: 'thief' } },
    MERGE,
  ],
  ["the scheduler's Lease taken", LEASE, 'POST', leases('kube-system'), lease('kube-scheduler')],
  ['its own Lease deleted', LEASE, 'DELETE', leases(SYSTEM_NAMESPACE, 'workload-credentials')],
  ['an Event deleted', EVENTS, 'DELETE', events('shop', 'foreign')],
  [
    'an Event about a Pod, by the core API',
    EVENTS,
    'POST',
    '/api/v1/namespaces/shop/events',
    {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: 'told.by.a.thief', namespace: 'shop' },
      involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace: 'shop', name: 'orders' },
      reason: 'Killing',
      message: 'all is well',
      source: { component: 'kubelet' },
    },
  ],
];

function toKubeSystem(): [string, string, unknown, string] {
  return ['PATCH', secrets('kube-system', 'theirs'), { data }, MERGE];
}

function messageOf({ body }: ClusterAnswer): string {
  return String((body as { message?: unknown } | undefined)?.message ?? body);
}

/** Tries it with the operator's token. */
async function isRefused([title, said, method, path, body, type]: Attempt): Promise<void> {
  const answer = await thief.send(method, path, body, type);
  const message = messageOf(answer);
  assert.equal(answer.status, 403, `${title}: ${answer.status} ${message}`);
  assert.match(message, /ValidatingAdmissionPolicy 'wc-[a-z]+\.wc-system'/, title);
  assert.match(message, said, title);
  heard.add(/denied request: (.*)$/s.exec(message)?.[1] ?? '');
}

async function admin(method: string, path: string, body?: unknown, type?: string): Promise<ClusterAnswer> {
  const answer = await bed.client.send(method, path, body, type);
  assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${messageOf(answer)}`);
  return answer;
}

async function plainSecret(name: string, metadata: Spec = {}, rest: Spec = {}, namespace = 'shop'): Promise<void> {
  const values = { theirs: Buffer.from('precious').toString('base64') };
  const body = {
    apiVersion: 'v1',
    kind: 'Secret',
    type: 'Opaque',
    data: values,
    metadata: { name, ...metadata },
    ...rest,
  };
  await admin('POST', secrets(namespace), body);
}

/** What the thief is after, as the API server has it: nothing of it may change. */
async function snapshot(): Promise<string> {
  const kinds = 'secrets,leases,events.events.k8s.io,serviceaccounts';
  const paths =
    '{range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name} {.metadata.resourceVersion}{"\\n"}{end}';
  const lines = await bed.kubectl('get', kinds, '--all-namespaces', '-o', `jsonpath=${paths}`);
  // Kubernetes itself goes on with its own Leases and Events.
  const isKubernetes = (line: string): boolean =>
    ['Event wc-system/', 'Lease kube-system/apiserver-'].some((begin) => line.startsWith(begin));
  return lines
    .split('\n')
    .filter((line) => / (shop|kube-system|wc-system)\//.test(line) && !isKubernetes(line))
    .join('\n');
}

before(async () => {
  bed = await startCluster();
  seaweedFS = await startSeaweedFS({
    issuer: bed.kubernetes.issuer,
    caPEM: bed.kubernetes.caPEM,
    audience: AUDIENCE,
    roles: [
      {
        name: 'app',
        subjects: [orders, shared].map((key) => `system:serviceaccount:${key.namespace}:${key.name}`),
        bucket: 'app',
      },
    ],
  });
  const { url } = await bed.addProxy(seaweedFS.url);
  await bed.createWorkloads([orders, shared]);
  await bed.install({
    scope,
    endpoints: [{ url, audiences: [AUDIENCE] }],
    values: { apiServerAudiences: [bed.kubernetes.issuer], 'fences.protectedNamespaces': [] },
  });
  await plainSecret('shared', {
    labels: { [`${GROUP}/name`]: 'shared' },
    annotations: { [`${GROUP}/adopt`]: 'shared' },
  });
  const aws = { roleARN: seaweedFS.roleARN('app'), region: 'us-east-1', audience: AUDIENCE, endpoint: url };
  await bed.apply(manifest({ ...orders, aws }), manifest({ ...shared, aws }));
  await bed.untilIssued(orders);
  await bed.untilIssued(shared);
  ordersUID = (await bed.client.credential('shop', 'orders'))?.metadata.uid ?? '';

  await plainSecret('foreign');
  await plainSecret('foreign-immutable', {}, { immutable: true });
  await plainSecret('labelled', { labels: { [`${GROUP}/name`]: 'orders' } });
  const { metadata } = (await admin('GET', '/api/v1/namespaces/shop/serviceaccounts/orders')).body as {
    metadata: { uid: string };
  };
  const controller = { apiVersion: 'v1', kind: 'ServiceAccount', name: 'orders', uid: metadata.uid, controller: true };
  await plainSecret('controlled', { ownerReferences: [controller] });
  await plainSecret('offered', {
    labels: { [`${GROUP}/name`]: 'offered' },
    annotations: { [`${GROUP}/adopt`]: 'offered' },
  });
  await plainSecret('theirs', {}, {}, 'kube-system');
  await admin('POST', events('shop'), {
    ...event({ apiVersion: 'v1', kind: 'Pod' }, { reportingController: 'kubelet' }),
    metadata: { name: 'foreign', namespace: 'shop' },
  });
  await admin('POST', leases('kube-node-lease'), lease('node-1'));

  bed.operator.signal('SIGTERM');
  assert.equal((await bed.operator.exited).code, 0);
  thief = bed.thief();
});

after(async () => {
  thief?.close();
  await bed?.stop();
  await seaweedFS?.stop();
});

afterEach((context) => {
  if ('error' in context && context.error !== null) process.stderr.write(`${bed.lastLogs().slice(-8_000)}\n`);
});

/** https://kubernetes.io/docs/reference/labels-annotations-taints/audit-annotations/ */
const AUDIT_ANNOTATION = 'validation.policy.admission.k8s.io/validation_failure';
type Annotated = AuditEvent & { readonly annotations?: Readonly<Record<string, string>> };

/** Every attempt is refused, changes nothing, and is one call in the audit log that a fence has answered. */
async function allRefused(attempts: readonly Attempt[]): Promise<void> {
  const before = await snapshot();
  const earlier = (await bed.calls()).length;
  for (const attempt of attempts) await isRefused(attempt);
  assert.equal(await snapshot(), before, 'nothing has changed');
  const since = (await bed.calls()).slice(earlier);
  assert.equal(since.length, attempts.length);
  const isFenced = ({ responseStatus, annotations }: Annotated): boolean =>
    responseStatus?.code === 403 &&
    responseStatus.message?.includes('ValidatingAdmissionPolicy') === true &&
    annotations?.[AUDIT_ANNOTATION]?.includes('"validationActions":["Deny","Audit"]') === true;
  assert.deepEqual(since.filter((call) => !isFenced(call)).map(describeCall), []);
}

/** Where the chart gives Roles in named namespaces only, RBAC stands before the fences of all others. */
async function allRefusedUnderTheChart(attempts: readonly Attempt[]): Promise<void> {
  const isServed = ([, , , path]: Attempt): boolean => scope === 'clusterWide' || path.includes('/namespaces/shop/');
  await allRefused(attempts.filter(isServed));
  for (const [title, , method, path, body, type] of attempts.filter((attempt) => !isServed(attempt))) {
    const answer = await thief.send(method, path, body, type);
    assert.equal(answer.status, 403, title);
    assert.doesNotMatch(messageOf(answer), /ValidatingAdmissionPolicy/, title);
  }
}

describe("with the operator's stolen token, under the chart's RBAC, nobody gets", { timeout: 120_000 }, () => {
  test('a token that works anywhere but at STS', async () => allRefusedUnderTheChart(tokenEscapes()));
  test('to write or delete a foreign Secret, in one step or in two', async () => allRefused(foreignEscapes()));
  test("a Secret that is not a WorkloadCredential's own", async () => allRefusedUnderTheChart(createEscapes()));
  test('to turn one of our Secrets into something else', async () => allRefused(ownEscapes()));
  test('more of a Secret that was handed over than its keys', async () => allRefused(sharedEscapes()));
  test("others' Leases and Events", async () => allRefused(otherEscapes()));

  test('a Secret of the name that a foreign one has', async () => {
    const { status, body } = await thief.send('POST', secrets('shop'), secret('foreign'));
    assert.deepEqual([status, (body as { reason?: string }).reason], [409, 'AlreadyExists']);
  });

  test('any other verb, which RBAC refuses by itself', async () => {
    const attempts: [string, string, unknown?, string?][] = [
      ['PUT', secrets('shop', 'foreign'), secret('foreign')],
      ['DELETE', secrets('shop')],
      ['DELETE', leases(SYSTEM_NAMESPACE, 'workload-credentials')],
      ['PATCH', '/api/v1/namespaces/shop/serviceaccounts/orders', { metadata: { annotations: { x: 'y' } } }, MERGE],
      [
        'PATCH',
        `/apis/${GROUP}/v1alpha1/namespaces/shop/workloadcredentials/orders`,
        { spec: { suspend: true } },
        MERGE,
      ],
      ['DELETE', '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/wc-secrets.wc-system'],
      ['PATCH', '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/wc-tokens.wc-system', {}, MERGE],
      ['POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {}],
      ['POST', leases('kube-system'), lease('kube-scheduler')],
    ];
    for (const [method, path, body, type] of attempts) {
      const answer = await thief.send(method, path, body, type);
      assert.equal(answer.status, 403, `${method} ${path}: ${answer.status}`);
      assert.doesNotMatch(messageOf(answer), /ValidatingAdmissionPolicy/);
    }
  });

  test('more than what docs/security-model.md says remains', async () => {
    const [, , method, path, body] = token('', /x/, good);
    assert.equal((await thief.send(method, path, body)).status, 201, 'a token for STS');
    assert.equal((await thief.send('GET', secrets('shop'))).status, 200, 'what Secrets hold');
    const made = await thief.send('POST', secrets('shop'), secret('made-by-the-thief'));
    assert.equal(made.status, 201, 'a Secret that looks like ours');
    const patch = await thief.send('PATCH', secrets('shop', 'made-by-the-thief'), { data: { x: 'eA==' } }, MERGE);
    assert.equal(patch.status, 200, 'and its data');
    const status = `/apis/${GROUP}/v1alpha1/namespaces/shop/workloadcredentials/orders/status`;
    const told = await thief.send('PATCH', status, { status: { identity: 'thief' } }, MERGE);
    assert.equal(told.status, 200, "a WorkloadCredential's status");
    await admin('DELETE', secrets('shop', 'made-by-the-thief'));
  });
});

describe('with cluster-admin bound to the operator by mistake', { timeout: 120_000 }, () => {
  before(async () => {
    const account = bed.username.split(':').slice(2).join(':');
    await bed.kubectl(
      'create',
      'clusterrolebinding',
      'mistake',
      '--clusterrole=cluster-admin',
      `--serviceaccount=${account}`,
    );
    const isBound = async (): Promise<boolean> =>
      (await thief.send('GET', '/apis/rbac.authorization.k8s.io/v1/clusterroles')).status === 200;
    await waitFor('the binding to be in force', isBound, SOON);
  });
  after(async () => {
    await bed.kubectl('delete', 'clusterrolebinding', 'mistake');
  });

  test('the fences hold as before', async () =>
    allRefused([
      ...tokenEscapes(),
      ...foreignEscapes(),
      ...createEscapes(),
      ...ownEscapes(),
      ...sharedEscapes(),
      ...otherEscapes(),
    ]));

  test('and where RBAC alone stood before', async () => allRefused(escapesOfAnAdmin()));
});

describe('the fences', () => {
  test('have each refused something in every sentence that they have', async () => {
    interface Policy {
      readonly spec: { readonly validations: readonly { readonly message: string; readonly reason: string }[] };
    }
    const path = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies';
    const policies = (await bed.client.get<{ items: Policy[] }>(path))?.items ?? [];
    const sentences = policies.flatMap(({ spec }) => spec.validations.map(({ message }) => message));
    assert.equal(policies.length, 4);
    assert.deepEqual(
      sentences.filter((sentence) => !heard.has(sentence)),
      [],
    );
    // 422 would read as a Secret that is itself wrong, which the operator replaces.
    assert.deepEqual(
      new Set(policies.flatMap(({ spec }) => spec.validations.map(({ reason }) => reason))),
      new Set(['Forbidden']),
    );
  });

  test("refuse the API server's audience even where somebody has written it into their list", async () => {
    const collection = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies';
    const name = `wc-tokens.${SYSTEM_NAMESPACE}`;
    interface Policy {
      readonly metadata: { readonly labels: object };
      readonly spec: { readonly validations: readonly { readonly expression: string }[] };
    }
    const { metadata, spec, ...kind } = (await admin('GET', `${collection}/${name}`)).body as Policy;
    // The second is a sign that the changed list is in force.
    const further = [bed.kubernetes.issuer, 'vault.example.com'];
    const widened = spec.validations.map((validation) => ({
      ...validation,
      expression: validation.expression.replace(
        'audiences[0] in [',
        `$&${further.map((one) => `"${one}", `).join('')}`,
      ),
    }));
    assert.notDeepEqual(widened, spec.validations);
    const statuses = async (): Promise<string> => {
      const answers: number[] = [];
      for (const audience of further) {
        const [, , method, path, body] = token('', /x/, { ...good, audiences: [audience] });
        answers.push((await thief.send(method, path, body)).status);
      }
      return answers.join();
    };
    // Not changed in place: its generation would tell the run's judge that a fence was not the chart's.
    const put = async (validations: readonly object[], wanted: string): Promise<void> => {
      await admin('DELETE', `${collection}/${name}`);
      const policy = { ...kind, metadata: { name, labels: metadata.labels }, spec: { ...spec, validations } };
      await admin('POST', collection, policy);
      await waitFor(`both audiences to be answered ${wanted}`, async () => (await statuses()) === wanted, SOON);
    };
    await put(widened, '403,201');
    await isRefused(token("the API server's audience, listed", API_SERVER, { ...good, audiences: [further[0]] }));
    await put(spec.validations, '403,403');
  });

  test('hold up nobody else', async () => {
    const [, , method, path] = token('', /x/, good);
    const spec = { audiences: [bed.kubernetes.issuer], expirationSeconds: 3_600 };
    await admin(method, path, { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec });
    await admin('PATCH', secrets('shop', 'foreign'), { metadata: { labels: { x: 'y' } } }, MERGE);
    await admin('DELETE', secrets('shop', 'foreign'));
    await admin('POST', leases('kube-system'), lease('theirs'));
    await admin('DELETE', events('shop', 'foreign'));
  });

  test('let the operator refresh what is its own and what was handed over, and replace what was made immutable', async () => {
    await bed.kubectl('patch', 'secret', 'orders', '-n', 'shop', '--type=merge', '-p', '{"immutable":true}');
    await bed.start();
    for (const { namespace, name } of [orders, shared]) {
      await bed.kubectl('annotate', 'wcred', name, '-n', namespace, `${GROUP}/refresh-requested=now`);
      await bed.until({ namespace, name }, 'the refresh', ({ status }) => status.lastHandledRefreshRequest === 'now');
    }
    assert.equal((await bed.client.secret('shop', 'orders'))?.immutable, undefined);
    assert.equal((await bed.client.secret('shop', 'shared'))?.data['theirs'], 'precious');
  });

  test('are seen to be in force, softened and gone, and back, by an operator that may not look at them', async () => {
    const fences = async (): Promise<Record<string, number>> => {
      const lines = (await bed.operator.metrics()).matchAll(
        /^workloadcredential_fence_in_force\{fence="(\w+)"\} (\d)$/gm,
      );
      return Object.fromEntries([...lines].map(([, fence = '', value]) => [fence, Number(value)]));
    };
    const until = async (tokens: number, secretsFence: number): Promise<void> => {
      const wanted = JSON.stringify({ tokens, secrets: secretsFence });
      const told = async (): Promise<boolean> => JSON.stringify(await fences()) === wanted;
      await waitFor(`the metric to say ${wanted}`, told, { timeoutMs: 60_000, everyMs: 200 });
    };
    await until(1, 1);
    const seen = (await bed.fenceProbes()).length;
    const bindings = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings';
    const tokens = (await admin('GET', `${bindings}/wc-tokens.${SYSTEM_NAMESPACE}`)).body as {
      metadata: { labels: object };
      spec: object;
    };
    await admin('DELETE', `${bindings}/wc-tokens.${SYSTEM_NAMESPACE}`);
    const actions = (...validationActions: string[]): unknown => ({ spec: { validationActions } });
    await admin('PATCH', `${bindings}/wc-secrets.${SYSTEM_NAMESPACE}`, actions('Warn', 'Audit'), MERGE);
    const names = async (): Promise<string> => await bed.kubectl('get', 'secrets', '-n', 'shop', '-o', 'name');
    const before = await names();
    bed.operator.signal('SIGTERM');
    assert.equal((await bed.operator.exited).code, 0);
    await bed.start();
    await until(0, 0);
    const [token = '', secretMade = ''] = (await bed.fenceProbes()).slice(seen).map(describeCall);
    assert.match(token, /^create serviceaccounts\/token shop\/(orders|shared) 400$/);
    assert.match(secretMade, /^create secrets shop.* 201$/);
    assert.equal(await names(), before, 'a dry run makes nothing');
    const [line] = bed.logged('warn').filter(({ text }) => text.includes('what the fences of the chart refuse'));
    assert.ok(line !== undefined);
    const { labels } = tokens.metadata;
    await admin('POST', bindings, { ...tokens, metadata: { name: `wc-tokens.${SYSTEM_NAMESPACE}`, labels } });
    await admin('PATCH', `${bindings}/wc-secrets.${SYSTEM_NAMESPACE}`, actions('Deny', 'Audit'), MERGE);
    await until(1, 1);
  });

  // With named namespaces the chart takes none that the fences protect: there is nothing to be told.
  const servesAll = { skip: scope === 'clusterWide' ? false : 'the chart serves no namespace that the fences protect' };
  test('are told in the status of a WorkloadCredential that they refuse', servesAll, async () => {
    const key = { namespace: 'kube-system', name: 'tester' };
    await bed.kubectl('annotate', 'serviceaccount', 'tester', '-n', 'kube-system', `${GROUP}/allow=*`);
    const aws = {
      roleARN: seaweedFS.roleARN('app'),
      region: 'us-east-1',
      audience: AUDIENCE,
      endpoint: bed.proxies[0]?.url,
    };
    await bed.apply(manifest({ ...key, aws }));
    const { message } = await bed.untilReason(key, ['Stalled', 'TokenRequestDenied']);
    assert.match(message, /The operator mints no token in this namespace/);
    assert.equal(bed.exchanges(key), 0);
  });
});
