// Shows what docs/gitops.md says: what Argo CD, Flux and kpt make of a WorkloadCredential, told by their own libraries, in
// every situation of the conditions table and of resources on a real API server; that the patch of argocd-cm and the commands
// of the page work; and that nothing the operator does is a difference to what was applied.
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { load } from 'js-yaml';
import type { ConditionType } from '../../src/api/names.ts';
import type { SeaweedFSBed } from '../beds/seaweedfs.ts';
import { startSeaweedFS } from '../beds/seaweedfs.ts';
import { STS_FAULTS } from '../beds/intercepting-proxy.ts';
import { judge, type Verdicts } from '../gitops/judge.ts';
import { oddObjects } from '../gitops/odd-objects.ts';
import { EXPRESSIONS, type Expected, situations } from '../gitops/situations.ts';
import { askVerdicts, CUSTOMIZATION, healthScript, readVerdicts } from '../gitops/verdicts.ts';
import { T0 } from '../support/builders.ts';
import { conditionOf, credentialsPath, type CredentialSeen } from '../support/cluster-client.ts';
import { type Installation, manifest, startCluster } from '../support/installation.ts';
import { scopeFor } from '../support/scope.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const SCRIPT_KEY = 'resource.customizations.health.workloadcredentials.io_WorkloadCredential';

async function verdictsOf(object: object, script = healthScript()): Promise<Verdicts> {
  const [verdicts] = await judge({ script, objects: [object], expressions: EXPRESSIONS });
  assert.ok(verdicts !== undefined);
  return verdicts;
}

describe('in each situation of the conditions table', () => {
  test('Argo CD, Flux and kpt say what is expected, and what the page says', async () => {
    const shown = situations(T0);
    const table = await askVerdicts();
    assert.deepEqual(
      table.rows.map(({ situation, argo, message, kstatus, flux }) => ({ situation, argo, message, kstatus, flux })),
      shown.map(({ name, argo, message, kstatus, flux }) => ({ situation: name, argo, message, kstatus, flux })),
    );
    assert.deepEqual(table, readVerdicts(), 'run `node test/gitops/verdicts.ts` and `npm run generate`');
  });

  test('the script says the same among those that Argo CD brings along, where more libraries are open', async () => {
    const objects = situations(T0).map(({ object }) => object);
    for (const { pasted, shipped } of await judge({ script: healthScript(), objects, nowMs: T0 })) {
      assert.deepEqual(shipped, pasted);
    }
  });

  test("its test in the form of Argo CD's repository passes, by the clock of today", async () => {
    interface HealthTest {
      readonly tests: readonly { readonly inputPath: string; readonly healthStatus: object }[];
    }
    const { tests } = load(readFileSync(join(CUSTOMIZATION, 'health_test.yaml'), 'utf8')) as HealthTest;
    const objects = tests.map(({ inputPath }) => load(readFileSync(join(CUSTOMIZATION, inputPath), 'utf8')) as object);
    const verdicts = await judge({ script: healthScript(), objects });
    assert.ok(tests.length >= 10);
    assert.deepEqual(
      verdicts.map(({ shipped }) => shipped),
      tests.map(({ healthStatus }) => healthStatus),
    );
  });

  test('without the default of status.observedGeneration, kstatus would take an untouched resource for done', async () => {
    const { metadata, spec, ...type } = manifest({ namespace: 'shop', name: 'orders', aws: {} }) as {
      metadata: object;
      spec: object;
    };
    const untouched = { ...type, metadata: { ...metadata, generation: 1 }, spec };
    const { kstatus, pasted } = await verdictsOf(untouched);
    assert.deepEqual([kstatus.status, pasted.status], ['Current', 'Progressing']);
  });
});

describe('the health script', () => {
  test('never fails, whatever is missing or of another type', async () => {
    const objects = fc.sample(oddObjects, 2_000);
    const verdicts = await judge({ script: healthScript(), objects });
    const failed = verdicts.flatMap(({ pasted, shipped }, index) =>
      pasted.error === undefined && shipped.error === undefined ? [] : [{ pasted, shipped, object: objects[index] }],
    );
    assert.deepEqual(failed, []);
    assert.equal(new Set(verdicts.map(({ pasted }) => pasted.status)).size, 4, 'all four verdicts were among them');
  });

  test('is run as Argo CD runs one of argocd-cm: a script that needs the library of strings fails', async () => {
    const script = 'return { status = "Healthy", message = string.upper("x") }';
    const { pasted, shipped } = await verdictsOf(situations(T0)[0]?.object ?? {}, script);
    assert.match(pasted.error ?? '', /attempt to index a non-table object\(nil\) with key 'upper'/);
    assert.deepEqual(shipped, { status: 'Healthy', message: 'X' });
  });
});

interface Key {
  readonly namespace: string;
  readonly name: string;
}

const key = (name: string): Key => ({ namespace: 'gitops', name });
const untouched = key('untouched');
const pending = key('pending');
const failing = key('failing');
const denied = key('denied');
const suspended = key('suspended');
const changed = key('changed');
const tracked = key('tracked');
const handed = key('handed');
const all = [untouched, pending, failing, denied, suspended, changed, tracked, handed];
/** Without a ServiceAccount: nothing that is applied there is to reach the cloud that it names. */
const drift = { client: 'drift-client', server: 'drift-server' };

const AUDIENCE = 'sts.seaweedfs.test';
const SHORT_LIFE_SECONDS = 20;
/** A replica that was stopped has left its Lease, and the next one looks every 2 s. */
const START_MS = 40_000;
/** The test gives the operator its time, too. */
const END_MS = SHORT_LIFE_SECONDS * 1000 + 30_000;

describe('on a real API server', () => {
  let bed: Installation;
  let seaweedFS: SeaweedFSBed;
  let shortLived: SeaweedFSBed;
  /** Proxies in front of the STS, by what they are for. */
  const endpoints = new Map<Key | undefined, Awaited<ReturnType<Installation['addProxy']>>>();

  const endpointOf = (one: Key): Awaited<ReturnType<Installation['addProxy']>> => {
    const proxy = endpoints.get(one) ?? endpoints.get(undefined);
    assert.ok(proxy !== undefined);
    return proxy;
  };
  const wanted = (one: Key, spec: Readonly<Record<string, unknown>> = {}, role = 'app'): object => {
    const aws = { roleARN: seaweedFS.roleARN(role), region: 'us-east-1', audience: AUDIENCE };
    return manifest({ ...one, aws: { ...aws, endpoint: endpointOf(one).url }, spec });
  };
  const seen = async ({ namespace, name }: Key): Promise<CredentialSeen & object> => {
    const object = await bed.client.get<CredentialSeen>(credentialsPath(namespace, name));
    assert.ok(object !== undefined);
    return object;
  };
  /** All verdicts of a resource as it is now; Argo CD's message is that of the condition, or the text. */
  const expect = async (one: Key, expected: Expected, says: ConditionType | RegExp): Promise<void> => {
    const object = await seen(one);
    const { pasted, shipped, kstatus, flux } = await verdictsOf(object);
    assert.deepEqual({ argo: pasted.status, kstatus: kstatus.status, flux: flux?.status }, expected);
    assert.deepEqual(shipped, pasted);
    if (says instanceof RegExp) {
      assert.match(pasted.message ?? '', says);
    } else {
      const { reason, message } = conditionOf(object, says) ?? {};
      assert.equal(pasted.message, `${reason}: ${message}`);
    }
  };
  const stopOperator = async (): Promise<void> => {
    bed.operator.signal('SIGTERM');
    assert.equal((await bed.operator.exited).code, 0);
  };
  const HEALTHY = { argo: 'Healthy', kstatus: 'Current', flux: 'Current' } as const;
  const PROGRESSING = { argo: 'Progressing', kstatus: 'InProgress', flux: 'InProgress' } as const;
  const FAILED = { argo: 'Degraded', kstatus: 'Failed', flux: 'Failed' } as const;

  before(async () => {
    bed = await startCluster();
    const subjects = all.map(({ namespace, name }) => `system:serviceaccount:${namespace}:${name}`);
    const options = { issuer: bed.kubernetes.issuer, caPEM: bed.kubernetes.caPEM, audience: AUDIENCE };
    const roles = [{ name: 'app', subjects, bucket: 'app' }];
    seaweedFS = await startSeaweedFS({ ...options, roles });
    shortLived = await startSeaweedFS({ ...options, roles, maxSessionLength: `${SHORT_LIFE_SECONDS}s` });
    endpoints.set(undefined, await bed.addProxy(seaweedFS.url));
    endpoints.set(pending, await bed.addProxy(seaweedFS.url));
    endpoints.set(failing, await bed.addProxy(shortLived.url));
    const urls = [...endpoints.values()].map(({ url }) => ({ url, audiences: [AUDIENCE] }));
    await bed.createWorkloads(all);
    for (const namespace of Object.values(drift)) await bed.kubectl('create', 'namespace', namespace);
    const scope = scopeFor('clusterWide', ['gitops', ...Object.values(drift)]);
    await bed.install({ scope, endpoints: urls });
  });

  after(async () => {
    await bed?.stop();
    await seaweedFS?.stop();
    await shortLived?.stop();
  });

  afterEach((context) => {
    if ('error' in context && context.error !== null) process.stderr.write(`${bed.lastLogs()}\n`);
  });

  test('one that STS cannot serve yet is in progress, and healthy when it was issued', async () => {
    endpointOf(pending).fail(STS_FAULTS.unavailable);
    await bed.apply(wanted(pending));
    await bed.untilReason(pending, ['Reconciling', 'STSUnavailable']);
    await expect(pending, PROGRESSING, 'Reconciling');
    endpointOf(pending).heal();
    await bed.untilIssued(pending);
    await expect(pending, HEALTHY, 'Ready');
  });

  test('one that STS refuses has failed', async () => {
    await bed.apply(wanted(denied, {}, 'nobody'));
    await bed.untilReason(denied, ['Stalled', 'AccessDenied']);
    await expect(denied, FAILED, 'Stalled');
  });

  test('one whose refresh fails is healthy and says so, until the credential ends', async () => {
    await bed.apply(wanted(failing));
    await bed.untilIssued(failing);
    endpointOf(failing).fail(STS_FAULTS.unavailable);
    await bed.untilReason(failing, ['Ready', 'RefreshFailing'], END_MS);
    await expect(failing, HEALTHY, 'Ready');
    await bed.untilReason(failing, ['Ready', 'Expired'], END_MS);
    await expect(failing, { argo: 'Degraded', kstatus: 'InProgress', flux: 'Failed' }, 'Ready');
    endpointOf(failing).heal();
    await bed.untilIssued(failing);
    await expect(failing, HEALTHY, 'Ready');
  });

  test('a suspended one is told as such', async () => {
    await bed.apply(wanted(suspended));
    await bed.untilIssued(suspended);
    await bed.apply(wanted(suspended, { suspend: true }));
    await bed.untilReason(suspended, ['Ready', 'Suspended']);
    await expect(suspended, { argo: 'Suspended', kstatus: 'Current', flux: 'Current' }, 'Ready');
  });

  test('a new one, and one with a new spec, are in progress until an operator has looked', async () => {
    await bed.apply(wanted(changed));
    await bed.untilIssued(changed);
    await stopOperator();
    await bed.apply(wanted(untouched), wanted(changed, { durationSeconds: 1800 }));
    const { status, metadata } = await seen(untouched);
    assert.deepEqual([status, metadata.generation], [{ observedGeneration: -1 }, 1]);
    await expect(untouched, PROGRESSING, /^Waiting for the operator/);
    await expect(changed, PROGRESSING, /^Waiting for the operator/);
    await bed.start();
    for (const one of [untouched, changed]) {
      await bed.untilIssued(one, START_MS);
      await expect(one, HEALTHY, 'Ready');
    }
  });

  test('where no operator runs, Argo CD sees the end of the credential by its clock', async () => {
    const { status } = await bed.untilIssued(failing);
    await stopOperator();
    const object = await seen(failing);
    const endMs = Date.parse(status.expirationTime ?? '');
    const told = async (nowMs: number): Promise<string | undefined> =>
      (await judge({ script: healthScript(), objects: [object], nowMs }))[0]?.pasted.status;
    assert.deepEqual([await told(endMs - 1000), await told(endMs)], ['Healthy', 'Degraded']);
    await bed.start();
  });

  describe('what was applied', () => {
    /** The status of `kubectl diff`: 0 for none, 1 for a difference. */
    const differs = async (objects: readonly object[], ...args: string[]): Promise<number | string> => {
      const stdin = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
      const { code, stdout, stderr } = await bed.kubernetes.kubectl(['diff', ...args, '-f', '-'], { stdin });
      assert.ok(code === 0 || code === 1, stderr);
      return code === 0 ? 0 : stdout;
    };
    /** Every good spec there is, each as a resource of its own. */
    const goodOnes = (namespace: string): readonly object[] => {
      const text = readFileSync(new URL('../fixtures/good-specs.yaml', import.meta.url), 'utf8');
      const specs = load(text) as readonly { readonly object: { readonly spec: object } }[];
      return specs.map(({ object }, index) => ({ ...object, metadata: { namespace, name: `good-${index}` } }));
    };
    const untilSeen = async (namespace: string): Promise<readonly CredentialSeen[]> => {
      const list = await bed.client.get<{ items: CredentialSeen[] }>(credentialsPath(namespace));
      const items = list?.items ?? [];
      for (const { metadata } of items) {
        await bed.until({ namespace, name: metadata.name ?? '' }, 'the operator to have looked', (credential) => {
          return credential.status.observedGeneration === credential.metadata.generation;
        });
      }
      return items;
    };

    for (const [how, namespace, args] of [
      ['by kubectl apply', drift.client, []],
      ['on the server', drift.server, ['--server-side', '--field-manager=gitops']],
    ] as const) {
      test(`${how} shows no difference after the operator has worked on it`, async () => {
        const objects = goodOnes(namespace);
        const stdin = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects });
        const { code, stderr } = await bed.kubernetes.kubectl(['apply', ...args, '-f', '-'], { stdin });
        assert.equal(code, 0, stderr);
        assert.equal((await untilSeen(namespace)).length, objects.length);
        assert.equal(await differs(objects, ...args), 0);
        const [first] = objects as readonly { readonly spec: object }[];
        const other = { ...first, spec: { ...first?.spec, durationSeconds: 900 } };
        assert.match(String(await differs([other], ...args)), /durationSeconds/, 'a difference would be seen');
      });
    }

    test('keeps its spec, and the operator owns no field but those of status', async () => {
      const applied = wanted(tracked) as { readonly spec: object };
      await bed.apply(applied);
      const { metadata, ...object } = await bed.untilIssued(tracked);
      assert.deepEqual((object as { spec?: object }).spec, { ...applied.spec, durationSeconds: 3600 });
      const managers = (metadata as { managedFields?: readonly { subresource?: string; fieldsV1: object }[] })
        .managedFields;
      const touched = managers?.filter(({ subresource }) => subresource === 'status') ?? [];
      assert.ok(touched.length > 0, 'the operator has written');
      for (const { fieldsV1 } of touched) assert.deepEqual(Object.keys(fieldsV1), ['f:status']);
      assert.equal((managers?.length ?? 0) - touched.length, 1, 'the rest is of who applied it');
      assert.equal(await differs([applied]), 0);
    });

    test('marks no Secret as applied, and the Secret has an owner', async () => {
      const marks = {
        labels: {
          'app.kubernetes.io/instance': 'shop',
          'kustomize.toolkit.fluxcd.io/name': 'shop',
        },
        annotations: {
          'argocd.argoproj.io/tracking-id': 'shop:workloadcredentials.io/WorkloadCredential:gitops/tracked',
        },
      };
      const applied = wanted(tracked, { durationSeconds: 1800 }) as { readonly metadata: object };
      await bed.apply({ ...applied, metadata: { ...applied.metadata, ...marks } });
      const { metadata } = await bed.untilIssued(tracked);
      const secret = await bed.client.secret(tracked.namespace, tracked.name);
      const names = Object.keys({ ...secret?.metadata.labels, ...secret?.metadata.annotations });
      const foreign = names.filter((name) => /argocd|fluxcd|app\.kubernetes\.io/.test(name));
      assert.deepEqual(foreign, []);
      const owners = secret?.metadata.ownerReferences?.map(({ uid, controller }) => ({ uid, controller }));
      assert.deepEqual(owners, [{ uid: metadata.uid, controller: true }]);
    });

    test('a Secret in Git that was handed over shows no difference by our keys', async () => {
      const secret = {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: {
          ...handed,
          labels: { 'workloadcredentials.io/name': handed.name },
          annotations: { 'workloadcredentials.io/adopt': handed.name },
        },
        data: { theirs: 'dGhlaXJz' },
      };
      await bed.apply(secret, wanted(handed));
      await bed.untilIssued(handed);
      assert.ok('config' in ((await bed.client.secret(handed.namespace, handed.name))?.data ?? {}));
      assert.equal(await differs([secret]), 0);
    });
  });

  describe("Argo CD's ConfigMap", () => {
    const others = { url: 'https://argocd.example.com' };
    const configMap = (): object => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'argocd-cm' },
      data: others,
    });

    test("gets the script by the page's command, and keeps its other keys", async () => {
      await bed.kubectl('create', 'namespace', 'argocd');
      await bed.kubectl('create', 'configmap', 'argocd-cm', '-n', 'argocd', `--from-literal=url=${others.url}`);
      const page = readFileSync(join(ROOT, 'docs/gitops.md'), 'utf8');
      const [, command = ''] = /^kubectl (patch configmap argocd-cm .*)$/m.exec(page) ?? [];
      await bed.kubectl(...command.replace('deploy/', `${ROOT}deploy/`).split(' '));
      const patched = JSON.parse(await bed.kubectl('get', 'configmap', 'argocd-cm', '-n', 'argocd', '-o', 'json')) as {
        data: object;
      };
      assert.deepEqual(patched.data, { ...others, [SCRIPT_KEY]: healthScript() });
    });

    test('gets it by the component of kustomize, too', async () => {
      const directory = mkdtempSync(join(bed.kubernetes.directory, 'kustomize-'));
      cpSync(join(ROOT, 'deploy/argocd'), join(directory, 'component'), { recursive: true });
      mkdirSync(join(directory, 'argocd'));
      writeFileSync(join(directory, 'argocd/cm.json'), JSON.stringify(configMap()));
      const kustomization = { namespace: 'argocd', resources: ['cm.json'], components: ['../component'] };
      writeFileSync(join(directory, 'argocd/kustomization.yaml'), JSON.stringify(kustomization));
      const built = load(await bed.kubectl('kustomize', join(directory, 'argocd'))) as { data: object };
      assert.deepEqual(built.data, { ...others, [SCRIPT_KEY]: healthScript() });
    });
  });
});
