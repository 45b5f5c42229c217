// Promises: what people and GitOps tools do with kubectl, command by command, on one server. Each case has a namespace of
// its own; what it asserts holds on the real server.
import assert from 'node:assert/strict';
import { coreEvent, credential, newEvent, secret } from './cases/samples.ts';
import type { KubectlCase } from './kubectl.ts';

const READY = {
  observedGeneration: 1,
  cloud: 'AWS',
  conditions: [
    { type: 'Ready', status: 'True', reason: 'Issued', message: 'issued', lastTransitionTime: '2020-01-01T00:00:00Z' },
  ],
};

const deployment = (image: string, more: object = {}): object => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'app', labels: { app: 'a' } },
  spec: {
    replicas: 0,
    selector: { matchLabels: { app: 'a' } },
    template: {
      metadata: { labels: { app: 'a' } },
      spec: {
        containers: [
          { name: 'main', image, env: [{ name: 'A', value: '1' }], ports: [{ containerPort: 80 }], ...more },
          { name: 'side', image: 'side:1' },
        ],
      },
    },
  },
});

const CONTAINERS =
  "-o jsonpath='{range .spec.template.spec.containers[*]}{.name}={.image} {.env} {.ports[*].containerPort};{end}'";

export const kubectlCases: readonly KubectlCase[] = [
  {
    name: 'apply, get, patch and delete our resource',
    run: async (k) => {
      k.manifest('orders.json', credential('orders', { durationSeconds: 1800 }));
      await k.run('apply -f @orders.json');
      assert.match(await k.run('apply -f @orders.json'), /unchanged/);
      k.manifest('orders.json', credential('orders', { durationSeconds: 3600 }, { labels: { team: 'shop' } }));
      assert.match(await k.run('apply -f @orders.json'), /configured/);
      await k.run('get wcred');
      await k.run('get wcred orders -o wide');
      await k.run('get workloadcredentials.workloadcredentials.io -o name');
      await k.run('get wcred -l team=shop --show-labels');
      await k.run('get wcred --field-selector spec.serviceAccountName=orders -o name');
      await k.run('get wcred --field-selector spec.serviceAccountName=other');
      await k.run('get wcred --field-selector spec.odd=other', { code: 1 });
      await k.run("get wcred orders -o jsonpath='{.spec}'");
      await k.run('get wcred orders -o custom-columns=NAME:.metadata.name,SA:.spec.serviceAccountName');
      await k.run(`patch wcred orders --type=merge -p '{"spec":{"suspend":true}}'`);
      await k.run(`patch wcred orders --type=json -p '[{"op":"remove","path":"/spec/suspend"}]'`);
      await k.run(`patch wcred orders --type=merge -p '{"spec":{"durationSeconds":1}}'`, { code: 1 });
      await k.run(`patch wcred orders -p '{"spec":{"suspend":true}}'`, { code: 1 });
      await k.run('label wcred orders team-');
      await k.run('annotate wcred orders workloadcredentials.io/refresh-requested=now');
      await k.run('annotate wcred orders workloadcredentials.io/refresh-requested=now', { code: 0 });
      await k.run('delete wcred orders');
      await k.run('get wcred orders', { code: 1 });
      await k.run('delete wcred orders', { code: 1 });
      await k.run('delete wcred orders --ignore-not-found');
    },
  },
  {
    name: 'what is wrong is told',
    run: async (k) => {
      k.manifest('odd.json', credential('orders', { odd: 1 }));
      await k.run('apply -f @odd.json', { code: 1 });
      await k.run('apply --validate=warn -f @odd.json');
      k.manifest('bad.json', credential('bad', { durationSeconds: 1 }));
      await k.run('apply -f @bad.json', { code: 1 });
      k.manifest('none.json', { apiVersion: 'workloadcredentials.io/v9', kind: 'Odd', metadata: { name: 'x' } });
      await k.run('apply -f @none.json', { code: 1 });
      await k.run('get odd', { code: 1 });
    },
  },
  {
    name: 'diff shows what apply would do and does nothing',
    run: async (k) => {
      k.manifest('orders.json', credential('orders'));
      assert.match(await k.run('diff -f @orders.json', { code: 1, record: false }), /\+kind: WorkloadCredential/);
      await k.run('apply -f @orders.json');
      assert.equal(await k.run('diff -f @orders.json'), '');
      k.manifest('orders.json', credential('orders', { durationSeconds: 900 }));
      const shown = await k.run('diff -f @orders.json', { code: 1, record: false });
      assert.match(shown, /\+ {2}durationSeconds: 900/);
      assert.match(shown, /- {2}durationSeconds: 3600/);
      assert.match(await k.run("get wcred orders -o jsonpath='{.spec.durationSeconds}'"), /3600/);
      k.manifest('map.json', { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'm' }, data: { a: '1' } });
      await k.run('apply -f @map.json');
      k.manifest('map.json', { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'm' }, data: { a: '2' } });
      assert.match(await k.run('diff -f @map.json', { code: 1, record: false }), /\+ {2}a: "2"/);
    },
  },
  {
    name: 'wait for conditions, fields and ends',
    run: async (k) => {
      k.manifest('orders.json', credential('orders'));
      await k.run('apply -f @orders.json');
      await k.run('wait --for=condition=Ready --timeout=1s wcred/orders', { code: 1 });
      const waiting = k.run('wait --for=condition=Ready --timeout=20s wcred/orders');
      await k.run(`patch wcred orders --subresource=status --type=merge -p '${JSON.stringify({ status: READY })}'`, {
        record: false,
      });
      await waiting;
      await k.run("wait --for=jsonpath='{.status.cloud}'=AWS --timeout=20s wcred/orders");
      await k.run('get wcred orders --subresource=status');
      // Whether it says so depends on who came first.
      const gone = k.run('wait --for=delete --timeout=20s wcred/orders', { record: false });
      await k.run('delete wcred orders --wait=false', { record: false });
      await gone;
    },
  },
  {
    name: 'describe shows a resource and its events',
    run: async (k, namespace) => {
      k.manifest('orders.json', credential('orders'));
      await k.run('apply -f @orders.json');
      const uid = await k.run("get wcred orders -o jsonpath='{.metadata.uid}'");
      const regarding = (newEvent(namespace, 'x')['regarding'] ?? {}) as object;
      const more = { regarding: { ...regarding, uid }, eventTime: '2020-01-01T00:00:00.000000Z' };
      k.manifest(
        'events.json',
        newEvent(namespace, 'orders.1', more),
        newEvent(namespace, 'orders.2', {
          ...more,
          type: 'Warning',
          reason: 'RoleDenied',
          series: { count: 3, lastObservedTime: '2020-01-01T00:00:05.000000Z' },
        }),
      );
      await k.run('apply -f @events.json');
      assert.match(await k.run('describe wcred orders'), /RoleDenied/);
      await k.run('events --for wcred/orders');
      await k.run('get events');
      await k.run('get events.events.k8s.io');
      await k.run('get events --field-selector reason=RoleDenied,type=Warning -o name');
      k.manifest('core.json', coreEvent(namespace, 'orders.3'));
      await k.run('apply -f @core.json');
      await k.run('get events --sort-by=.metadata.name -o wide');
    },
  },
  {
    name: 'explain and discovery',
    run: async (k) => {
      assert.match(await k.run('explain wcred'), /KIND: +WorkloadCredential/);
      await k.run('explain wcred.spec');
      await k.run('explain wcred.spec.aws --recursive');
      await k.run('explain wcred.spec.aws.roleChain');
      await k.run('explain wcred.status.conditions');
      await k.run('explain wcred.spec.odd', { code: 1 });
      await k.run('api-resources --api-group=workloadcredentials.io');
      await k.run('api-resources --api-group=coordination.k8s.io --no-headers -o name', { record: false });
    },
  },
  {
    name: 'get with -w follows',
    run: async (k) => {
      k.manifest('orders.json', credential('orders'));
      await k.run('apply -f @orders.json');
      const lines = await k.follow('get wcred -w', 4, async () => {
        await k.run(`patch wcred orders --subresource=status --type=merge -p '${JSON.stringify({ status: READY })}'`, {
          record: false,
        });
        await k.run('delete wcred orders', { record: false });
      });
      assert.match(lines[2] ?? '', /orders +True +AWS/);
      k.manifest('s.json', secret('first'));
      await k.run('apply -f @s.json', { record: false });
      const names = await k.follow('get secrets -w -o name', 2, async () => {
        k.manifest('s.json', secret('later'));
        await k.run('apply -f @s.json', { record: false });
      });
      assert.deepEqual(names, ['secret/first', 'secret/later']);
    },
  },
  {
    name: 'built-in kinds are applied, patched and merged',
    run: async (k) => {
      k.manifest('secret.json', { ...secret('s'), data: undefined, stringData: { a: 'x', b: 'y' } });
      await k.run('apply -f @secret.json');
      k.manifest('secret.json', { ...secret('s'), data: undefined, stringData: { a: 'z' } });
      await k.run('apply -f @secret.json');
      await k.run("get secret s -o jsonpath='{.data}{.type}'");
      await k.run('get secrets');
      await k.run(`patch secret s -p '{"metadata":{"finalizers":["example.com/hold"]}}'`);
      await k.run(`patch secret s -p '{"metadata":{"finalizers":["example.com/more"]}}'`);
      await k.run("get secret s -o jsonpath='{.metadata.finalizers}'");
      await k.run(`patch secret s -p '{"metadata":{"$deleteFromPrimitiveList/finalizers":["example.com/hold"]}}'`);
      await k.run("get secret s -o jsonpath='{.metadata.finalizers}'");
      await k.run(`patch secret s --type=merge -p '{"metadata":{"finalizers":null}}'`);
      k.manifest('account.json', { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'orders' } });
      await k.run('apply -f @account.json');
      await k.run("annotate sa orders workloadcredentials.io/allow='*'");
      await k.run(`patch sa orders -p '{"imagePullSecrets":[{"name":"one"}]}'`);
      await k.run(`patch sa orders -p '{"imagePullSecrets":[{"name":"two"}]}'`);
      await k.run("get sa orders -o jsonpath='{.imagePullSecrets}'");
      await k.run('delete secret,sa -l nothing=here');
      await k.run('get secret s -o name');
    },
  },
  {
    name: 'a Deployment is applied and its containers merge by name',
    run: async (k) => {
      k.manifest('app.json', deployment('app:1'));
      await k.run('apply -f @app.json');
      k.manifest('app.json', deployment('app:2', { env: [{ name: 'B', value: '2' }] }));
      await k.run('apply -f @app.json');
      await k.run(`get deployment app ${CONTAINERS}`);
      const image = { containers: [{ name: 'side', image: 'side:2' }] };
      await k.run(`patch deployment app -p '${JSON.stringify({ spec: { template: { spec: image } } })}'`);
      await k.run(`get deployment app ${CONTAINERS}`);
      const removal = { containers: [{ name: 'side', $patch: 'delete' }] };
      await k.run(`patch deployment app -p '${JSON.stringify({ spec: { template: { spec: removal } } })}'`);
      await k.run('set image deployment/app main=app:3');
      await k.run(`get deployment app ${CONTAINERS}`);
      await k.run('set env deployment/app C=3');
      await k.run(`get deployment app ${CONTAINERS}`);
      await k.run('delete deployment app');
    },
  },
  {
    name: 'what ServiceAccounts may do is asked of roles',
    run: async (k, namespace) => {
      const group = 'rbac.authorization.k8s.io';
      const metadata = { name: 'reader' };
      k.manifest(
        'rbac.json',
        {
          apiVersion: `${group}/v1`,
          kind: 'Role',
          metadata,
          rules: [{ apiGroups: [''], resources: ['secrets'], resourceNames: ['one'], verbs: ['get'] }],
        },
        {
          apiVersion: `${group}/v1`,
          kind: 'RoleBinding',
          metadata,
          roleRef: { apiGroup: group, kind: 'Role', name: 'reader' },
          subjects: [{ kind: 'ServiceAccount', name: 'orders', namespace }],
        },
      );
      await k.run('apply -f @rbac.json');
      await k.run('get roles,rolebindings -o name');
    },
  },
];
