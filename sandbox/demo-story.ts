// Promises: the demo's steps in order. Each does something and prints what the API server or STS then says; what does not
// happen as told is a DemoFailure. Decides nothing for the operator: no test hook, the product's own schedule.
import { readFile } from 'node:fs/promises';
import { load } from 'js-yaml';
import type { WorkloadCredential } from '../src/api/types.gen.ts';
import type { Narrator } from './demo-narrator.ts';
import { AUDIENCE, DemoFailure, SESSION_SECONDS } from './demo-stage.ts';
import type { DemoStage } from './demo-stage.ts';

/** Where the demo's objects are. */
export const NAMESPACE = 'shop';
const SUBJECT = `system:serviceaccount:${NAMESPACE}:orders`;
const NOBODY = `system:serviceaccount:${NAMESPACE}:nobody`;
const SECRET = 'orders-cloud';
const CRD = new URL('../crds/workloadcredentials.io_workloadcredentials.yaml', import.meta.url);
const CRD_PATH = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const WCRED_PATH = `/apis/workloadcredentials.io/v1alpha1/namespaces/${NAMESPACE}/workloadcredentials`;
const REFRESH_REQUESTED = 'workloadcredentials.io/refresh-requested';
/** The second failure in a row would be retried 5 to 10 s later; the first one after at most 5 s. */
const REFRESH_WAIT_MS = (SESSION_SECONDS + 2) * 1000;

/** What STS refuses although it must not, so that one sees how a failing demo ends. */
export type Refusal = 'none' | 'all' | 'refreshes';

interface Scene {
  readonly stage: DemoStage;
  readonly narrator: Narrator;
}

/** Tells it. @throws DemoFailure, DemoInterrupted */
export async function tell(stage: DemoStage, narrator: Narrator, refusal: Refusal): Promise<void> {
  const scene = { stage, narrator };
  await showServers(scene);
  await setUp(scene, refusal === 'all');
  await startOperator(scene);
  const issued = await showIssue(scene);
  await startPod(scene, issued);
  if (refusal === 'refreshes') stage.sandbox.aws.addRole({ arn: roleARN('orders'), subject: NOBODY });
  const refreshed = await showRefresh(scene, await showRefresh(scene, issued));
  await showOutage(scene, refreshed);
  await showLostTrust(scene);
  await sumUp(scene);
}

async function showServers({ stage, narrator }: Scene): Promise<void> {
  narrator.heading('1. A sandbox: a Kubernetes API server and an AWS STS');
  const { gitVersion } = await stage.api.get<{ gitVersion: string }>('/version');
  const { issuer } = await stage.api.get<{ issuer: string }>('/.well-known/openid-configuration');
  narrator.fact(`API server ${gitVersion} at ${stage.sandbox.server.origin}`);
  narrator.fact(`it signs ServiceAccount tokens as ${issuer}`);
  narrator.fact(`STS at ${stage.sandbox.aws.url.origin}, which checks those tokens against that issuer's keys`);
  narrator.fact(`its sessions end after ${SESSION_SECONDS} s (AWS: 15 minutes to 12 hours), so that you see some`);
}

async function setUp({ stage, narrator }: Scene, refuse: boolean): Promise<void> {
  const { api } = stage;
  narrator.heading('2. What a platform team prepares');
  await api.create(CRD_PATH, load(await readFile(CRD, 'utf8')) as object);
  const served = await stage.until('the CRD to be established', 5_000, async () => {
    const crd = await api.get<{ status?: { conditions: { type: string; status: string }[] } }>(
      `${CRD_PATH}/workloadcredentials.workloadcredentials.io`,
    );
    return crd.status?.conditions.some(({ type, status }) => type === 'Established' && status === 'True');
  });
  narrator.fact(`CRD workloadcredentials.workloadcredentials.io: Established ${served ? 'True' : 'False'}`);
  await api.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  const account = await api.create<{ metadata: { name: string; annotations: Record<string, string> } }>(
    `/api/v1/namespaces/${NAMESPACE}/serviceaccounts`,
    {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'orders', annotations: { 'workloadcredentials.io/allow': 'orders,reports' } },
    },
  );
  const consent = account.metadata.annotations['workloadcredentials.io/allow'];
  narrator.fact(`ServiceAccount ${NAMESPACE}/${account.metadata.name}, which consents to: ${consent}`);
  stage.sandbox.aws.addRole({ arn: roleARN('orders'), subject: refuse ? NOBODY : SUBJECT });
  stage.sandbox.aws.addRole({ arn: roleARN('reports'), subject: SUBJECT });
  narrator.fact(`IAM role ${roleARN('orders')}, which trusts ${trusted(stage, roleARN('orders'))}`);
}

/** Whom the role's trust policy names, as STS has it. */
function trusted({ sandbox }: DemoStage, arn: string): string {
  const policy = sandbox.aws.service.role(arn)?.trustPolicy;
  const conditions = Object.entries([policy?.Statement].flat()[0]?.Condition?.['StringLike'] ?? {});
  return String(conditions.find(([key]) => key.endsWith(':sub'))?.[1]);
}

async function startOperator({ stage, narrator }: Scene): Promise<void> {
  narrator.heading('3. The operator, as a process of its own');
  const { pid, url } = await stage.startOperator();
  const ready = await fetch(`${url}/readyz`);
  narrator.fact(`process ${pid} works; ${url}/readyz says ${ready.status}`);
}

function roleARN(name: string): string {
  return `arn:aws:iam::123456789012:role/${name}`;
}

function manifest(stage: DemoStage, name: string) {
  return {
    apiVersion: 'workloadcredentials.io/v1alpha1',
    kind: 'WorkloadCredential',
    metadata: { name, namespace: NAMESPACE },
    spec: {
      serviceAccountName: 'orders',
      aws: {
        roleARN: roleARN(name),
        region: 'eu-west-1',
        endpoint: stage.sandbox.aws.url.origin,
        audience: AUDIENCE,
      },
      secret: { name: `${name}-cloud`, mountPath: stage.mountPath },
    },
  };
}

/** Applies a WorkloadCredential and waits for its first credential. */
async function issue({ stage }: Scene, name: string): Promise<WorkloadCredential> {
  await stage.api.create(WCRED_PATH, manifest(stage, name));
  return await stage.until(`${name} to be Ready`, 15_000, async () => {
    const credential = await stage.api.wcred(NAMESPACE, name);
    const stalled = condition(credential, 'Stalled');
    if (stalled?.status === 'True') {
      throw new DemoFailure(`${name} was not issued: ${stalled.reason}. ${stalled.message}`);
    }
    return condition(credential, 'Ready')?.status === 'True' ? credential : undefined;
  });
}

async function showIssue(scene: Scene): Promise<WorkloadCredential> {
  const { stage, narrator } = scene;
  narrator.heading('4. A team applies a WorkloadCredential');
  const { spec } = manifest(stage, 'orders');
  narrator.plain(`   kind: WorkloadCredential
   metadata: {name: orders, namespace: ${NAMESPACE}}
   spec:
     serviceAccountName: ${spec.serviceAccountName}
     aws: {roleARN: '${spec.aws.roleARN}', region: ${spec.aws.region}, ...}
     secret: {name: ${spec.secret.name}, ...}`);
  const startMs = performance.now();
  const issued = await issue(scene, 'orders').catch(async (error: unknown) => {
    if (error instanceof DemoFailure) await showTable(scene);
    throw error;
  });
  narrator.fact(`Ready after ${((performance.now() - startMs) / 1000).toFixed(1)} s`);
  await showTable(scene);
  const { data = {} } = await stage.api.secret(NAMESPACE, SECRET);
  narrator.fact(`Secret ${SECRET} has the files ${Object.keys(data).join(' and ')}`);
  const call = stage.sandbox.aws.calls.find(({ requestID }) => requestID === issued.status?.requestID);
  if (call?.outcome !== 'Issued') throw new DemoFailure('STS does not know the request that status names.');
  narrator.fact(`STS: ${call.action} by session ${call.sessionName}: ${call.outcome} (request ${call.requestID})`);
  return issued;
}

async function showTable({ stage, narrator }: Scene): Promise<void> {
  const { text, byKubectl } = await stage.api.kubectlGet(NAMESPACE);
  const where = `kubectl get wcred --namespace ${NAMESPACE}`;
  narrator.block(byKubectl ? where : `${where}   # no kubectl here: the API server's own table`, text);
}

async function startPod({ stage, narrator }: Scene, issued: WorkloadCredential): Promise<void> {
  narrator.heading('5. A pod mounts the Secret; its AWS SDK uses it four times a second');
  await stage.startPod(NAMESPACE, SECRET);
  const reading = await stage.until('the application to be accepted', 15_000, () => stage.readings.at(0));
  stage.check();
  narrator.fact(`STS says that it is ${reading.arn}`);
  narrator.fact(`with key ${reading.accessKeyID}; status names ${issued.status?.accessKeyID}`);
  narrator.fact(`refresh is due at ${issued.status?.refreshTime}, the end at ${issued.status?.expirationTime}`);
}

/** Waits for the next credential and for the application to use it. */
async function showRefresh({ stage, narrator }: Scene, before: WorkloadCredential): Promise<WorkloadCredential> {
  if (stage.readings.every(({ accessKeyID }) => accessKeyID === before.status?.accessKeyID)) {
    narrator.heading('6. Refreshes, long before the end');
  }
  const after = await refreshed(stage, before);
  const leftMs = Date.parse(before.status?.expirationTime ?? '') - Date.now();
  const { accessKeyID } = after.status ?? {};
  narrator.fact(`a new key ${accessKeyID}, ${seconds(leftMs)} before the old one's end`);
  await usedByPod(stage, accessKeyID);
  narrator.fact(`the application uses it, without a restart`);
  return after;
}

async function refreshed(stage: DemoStage, before: WorkloadCredential): Promise<WorkloadCredential> {
  const after = await stage.until('a refresh', REFRESH_WAIT_MS, async () => {
    const now = await stage.api.wcred(NAMESPACE, before.metadata.name ?? '');
    const failed =
      condition(now, 'Refreshed')?.status === 'False' && condition(before, 'Refreshed')?.status !== 'False';
    if (failed) throw new DemoFailure(`The refresh failed: ${condition(now, 'Refreshed')?.message}`);
    return now.status?.accessKeyID === before.status?.accessKeyID ? undefined : now;
  });
  const leftMs = Date.parse(before.status?.expirationTime ?? '') - Date.parse(after.status?.issueTime ?? '');
  if (!(leftMs > 0)) throw new DemoFailure('The refresh came after the end of the credential before it.');
  return after;
}

async function usedByPod(stage: DemoStage, accessKeyID: string | undefined): Promise<void> {
  await stage.until('the application to use the new key', 5_000, () =>
    stage.readings.some((reading) => reading.accessKeyID === accessKeyID),
  );
}

async function showOutage({ stage, narrator }: Scene, before: WorkloadCredential): Promise<void> {
  const { switches } = stage.sandbox.aws;
  narrator.heading('7. STS goes down');
  switches.only = 'AssumeRoleWithWebIdentity';
  switches.mode = 'outage';
  narrator.fact('every exchange is now answered 503');
  const failing = await stage.until('the refresh to fail', REFRESH_WAIT_MS, async () => {
    const now = await stage.api.wcred(NAMESPACE, 'orders');
    return condition(now, 'Refreshed')?.status === 'False' ? now : undefined;
  });
  const [ready, last] = [condition(failing, 'Ready'), condition(failing, 'Refreshed')];
  narrator.fact(`Ready ${ready?.status} ${ready?.reason}; Refreshed ${last?.status} ${last?.reason}:`);
  narrator.quote(last?.message ?? '');
  if (ready?.status !== 'True' || failing.status?.accessKeyID !== before.status?.accessKeyID) {
    throw new DemoFailure('The last good credential did not stay.');
  }
  const uses = stage.readings.length;
  await stage.until('the application to go on', 5_000, () => stage.readings.length >= uses + 3);
  narrator.fact(`the Secret keeps key ${stage.readings.at(-1)?.accessKeyID}, and the application goes on`);
  switches.mode = 'none';
  switches.only = undefined;
  narrator.fact('STS is back');
  const after = await refreshed(stage, failing);
  const leftMs = Date.parse(before.status?.expirationTime ?? '') - Date.now();
  narrator.fact(`a new key ${after.status?.accessKeyID}, ${seconds(leftMs)} before the old one's end`);
  await usedByPod(stage, after.status?.accessKeyID);
}

async function showLostTrust(scene: Scene): Promise<void> {
  const { stage, narrator } = scene;
  const { aws } = stage.sandbox;
  narrator.heading('8. Somebody edits the trust policy of a second role');
  const before = await issue(scene, 'reports');
  narrator.fact(`reports has key ${before.status?.accessKeyID}`);
  aws.addRole({ arn: roleARN('reports'), subject: NOBODY });
  await requestRefresh(stage, 'after-the-edit');
  const refused = await stage.until('the refusal', 10_000, async () => {
    const now = await stage.api.wcred(NAMESPACE, 'reports');
    return condition(now, 'Refreshed')?.status === 'False' ? now : undefined;
  });
  const [ready, last] = [condition(refused, 'Ready'), condition(refused, 'Refreshed')];
  narrator.fact(`Ready ${ready?.status} ${ready?.reason}; Refreshed ${last?.status} ${last?.reason}:`);
  narrator.quote(last?.message ?? '');
  if (refused.status?.accessKeyID !== before.status?.accessKeyID) throw new DemoFailure('The credential did not stay.');
  aws.addRole({ arn: roleARN('reports'), subject: SUBJECT });
  await requestRefresh(stage, 'after-the-repair');
  const after = await refreshed(stage, refused);
  narrator.fact(
    `the policy is put back and a refresh requested (annotation ${REFRESH_REQUESTED}): a new key ${after.status?.accessKeyID}`,
  );
}

async function requestRefresh({ api }: DemoStage, value: string): Promise<void> {
  await api.annotate('wcred', { namespace: NAMESPACE, name: 'reports' }, { [REFRESH_REQUESTED]: value });
}

async function sumUp(scene: Scene): Promise<void> {
  const { stage, narrator } = scene;
  narrator.heading('9. What the servers counted');
  stage.check();
  await showTable(scene);
  const { calls, issued } = stage.sandbox.aws;
  const exchanges = calls.filter(({ action }) => action === 'AssumeRoleWithWebIdentity');
  const count = (outcome: string): number => exchanges.filter((call) => call.outcome === outcome).length;
  const expected = count('Issued') + count('outage') + count('AccessDenied');
  if (exchanges.length !== expected || count('AccessDenied') !== 1 || count('outage') === 0) {
    throw new DemoFailure(
      `STS refused where it must not: ${[...new Set(exchanges.map((call) => call.outcome))].join()}`,
    );
  }
  narrator.fact(
    `STS: ${exchanges.length} exchanges, ${count('Issued')} issued, ${count('outage')} in the outage, ` +
      `${count('AccessDenied')} refused for the edited role`,
  );
  const uses = calls.filter(({ action }) => action === 'GetCallerIdentity');
  const accepted = uses.filter(({ outcome }) => outcome === 'OK').length;
  if (accepted !== uses.length) throw new DemoFailure(`STS refused ${uses.length - accepted} uses of the credential.`);
  const leastMs = Math.min(...stage.readings.map(({ leftMs = 0 }) => leftMs));
  narrator.fact(`the application: ${uses.length} uses, ${accepted} accepted; never less than ${seconds(leastMs)} left`);
  const output = stage.operatorLines().join('\n');
  const leaked = issued.filter(({ secretAccessKey, sessionToken, webIdentityToken }) =>
    [secretAccessKey, sessionToken, webIdentityToken].some((secret) => output.includes(secret)),
  );
  if (leaked.length > 0) throw new DemoFailure(`The operator printed ${leaked.length} secrets.`);
  narrator.fact(
    `none of the ${issued.length} issued secrets and tokens is in the operator's ${stage.operatorLines().length} log lines`,
  );
}

function condition(credential: WorkloadCredential, type: string) {
  return credential.status?.conditions?.find((each) => each.type === type);
}

function seconds(durationMs: number): string {
  return `${(durationMs / 1000).toFixed(1)} s`;
}
