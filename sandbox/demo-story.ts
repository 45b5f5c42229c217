// Promises: the demo's steps in order. Each does something and prints what the API server or STS then says; what does not
// happen as told is a DemoFailure. Decides nothing for the operator: no test hook, the product's own schedule.
import { readFile } from 'node:fs/promises';
import { load } from 'js-yaml';
import type { WorkloadCredential } from '../src/api/types.gen.ts';
import { CLOUDS, trustedSubject } from './demo-clouds.ts';
import type { DemoCloud } from './demo-clouds.ts';
import type { Narrator } from './demo-narrator.ts';
import { DemoFailure, NAMESPACE, SESSION_SECONDS } from './demo-stage.ts';
import type { DemoStage } from './demo-stage.ts';
import { pasteable } from './try-it.ts';

const SUBJECT = `system:serviceaccount:${NAMESPACE}:orders`;
const NOBODY = `system:serviceaccount:${NAMESPACE}:nobody`;
const [AWS, ...OTHERS] = CLOUDS;
/** The workload, and the WorkloadCredential on AWS; the others have a suffix. */
const WORKLOAD = 'orders';
/** A second WorkloadCredential on AWS. */
const SECOND = 'reports';
const NAMES = [...CLOUDS.map(nameOn), SECOND];
const CRD = new URL('../crds/workloadcredentials.io_workloadcredentials.yaml', import.meta.url);
const CRD_PATH = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const WCRED_PATH = `/apis/workloadcredentials.io/v1alpha1/namespaces/${NAMESPACE}/workloadcredentials`;
const REFRESH_REQUESTED = 'workloadcredentials.io/refresh-requested';
/** From one credential to the next, with a failure in between; the end of a life is noticed by the applications, not by this. */
const REFRESH_WAIT_MS = (SESSION_SECONDS + 16) * 1000;
/** For what takes a moment on an idle machine. */
const MOMENT_MS = 30_000;

/** What STS refuses although it must not, so that one sees how a failing demo ends. */
export interface Refusal {
  readonly cloud: DemoCloud;
  readonly from: 'the start' | 'the first refresh';
}

interface Scene {
  readonly stage: DemoStage;
  readonly narrator: Narrator;
}

/** Tells it. @throws DemoFailure, DemoInterrupted */
export async function tell(stage: DemoStage, narrator: Narrator, refusal?: Refusal): Promise<void> {
  const scene = { stage, narrator };
  await showServers(scene);
  await setUp(scene);
  if (refusal?.from === 'the start') trust(stage, refusal.cloud, WORKLOAD, NOBODY);
  await startOperator(scene);
  const issued = await showIssue(scene);
  await startPods(scene, issued);
  if (refusal?.from === 'the first refresh') trust(stage, refusal.cloud, WORKLOAD, NOBODY);
  await showRefreshes(scene, issued);
  await showOutage(scene);
  await showLostTrust(scene);
  await sumUp(scene);
}

/** What to paste for WorkloadCredentials beside the demo's. */
export function pasteableOf({ kubeconfig, sandbox }: DemoStage): string {
  const role = { serviceAccountName: WORKLOAD, allowed: NAMES, roleName: WORKLOAD };
  return pasteable({ sandbox, kubeconfig, namespace: NAMESPACE, ...role });
}

function nameOn({ suffix }: DemoCloud): string {
  return `${WORKLOAD}${suffix}`;
}

/** Lets a subject, and nobody else, assume the role of that name. */
function trust({ sandbox }: DemoStage, { service, role }: DemoCloud, name: string, subject: string): void {
  service(sandbox).addRole({ arn: role(name), subject });
}

async function showServers({ stage, narrator }: Scene): Promise<void> {
  narrator.heading('1. A sandbox: a Kubernetes API server and the STS of three clouds');
  const { gitVersion } = await stage.api.get<{ gitVersion: string }>('/version');
  const { issuer } = await stage.api.get<{ issuer: string }>('/.well-known/openid-configuration');
  narrator.fact(`API server ${gitVersion} at ${stage.sandbox.server.origin}`);
  narrator.fact(`it signs ServiceAccount tokens as ${issuer}`);
  for (const { title, service } of CLOUDS) narrator.fact(`STS of ${title} at ${service(stage.sandbox).url.origin}`);
  narrator.fact("each checks those tokens against that issuer's keys");
  narrator.fact(
    `sessions end after ${SESSION_SECONDS} s (on the clouds: 15 minutes to 12 hours), so that you see some`,
  );
}

async function setUp({ stage, narrator }: Scene): Promise<void> {
  const { api } = stage;
  narrator.heading('2. What a platform team prepares');
  await api.create(CRD_PATH, load(await readFile(CRD, 'utf8')) as object);
  const served = await stage.until('the CRD to be established', MOMENT_MS, async () => {
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
      metadata: { name: WORKLOAD, annotations: { 'workloadcredentials.io/allow': NAMES.join(', ') } },
    },
  );
  const consent = account.metadata.annotations['workloadcredentials.io/allow'];
  narrator.fact(`ServiceAccount ${NAMESPACE}/${account.metadata.name}, which consents to: ${consent}`);
  for (const cloud of CLOUDS) {
    trust(stage, cloud, WORKLOAD, SUBJECT);
    const role = cloud.role(WORKLOAD);
    narrator.fact(`${cloud.title} role ${role}, which trusts ${trustedSubject(cloud, stage.sandbox, role)}`);
  }
  trust(stage, AWS, SECOND, SUBJECT);
}

async function startOperator({ stage, narrator }: Scene): Promise<void> {
  narrator.heading('3. The operator, as a process of its own');
  const { pid, url } = await stage.startOperator();
  const ready = await fetch(`${url}/readyz`);
  narrator.fact(`process ${pid} works; ${url}/readyz says ${ready.status}`);
}

function manifest(stage: DemoStage, cloud: DemoCloud, { name, role }: { name: string; role: string }) {
  const [key, block] = cloud.block(stage.sandbox, cloud.role(role));
  return {
    apiVersion: 'workloadcredentials.io/v1alpha1',
    kind: 'WorkloadCredential',
    metadata: { name, namespace: NAMESPACE },
    spec: {
      serviceAccountName: WORKLOAD,
      [key]: block,
      secret: { name: `${name}-cloud`, mountPath: stage.mountPath(cloud) },
    },
  };
}

async function apply({ stage }: Scene, cloud: DemoCloud, names: { name: string; role: string }): Promise<void> {
  await stage.api.create(WCRED_PATH, manifest(stage, cloud, names));
}

/** Waits for the first credential. */
async function ready({ stage }: Scene, name: string): Promise<WorkloadCredential> {
  return await stage.until(`${name} to be Ready`, MOMENT_MS, async () => {
    const credential = await stage.api.wcred(NAMESPACE, name);
    const stalled = condition(credential, 'Stalled');
    if (stalled?.status === 'True') {
      throw new DemoFailure(`${name} was not issued: ${stalled.reason}. ${stalled.message}`);
    }
    return condition(credential, 'Ready')?.status === 'True' ? credential : undefined;
  });
}

/** What a team writes for a cloud, shortened. */
function shownSpec(stage: DemoStage, cloud: DemoCloud): string {
  const [key, { endpoint: _endpoint, audience: _audience, ...own }] = cloud.block(stage.sandbox, cloud.role(WORKLOAD));
  const lines = Object.entries(own).map(([name, value]) => `       ${name}: ${value}`);
  return [`     ${key}:`, ...lines].join('\n');
}

type Issued = ReadonlyMap<DemoCloud, WorkloadCredential>;

async function showIssue(scene: Scene): Promise<Issued> {
  const { stage, narrator } = scene;
  narrator.heading('4. A team applies a WorkloadCredential for each cloud');
  narrator.plain(`   kind: WorkloadCredential
   metadata: {name: ${nameOn(AWS)}, namespace: ${NAMESPACE}}
   spec:
     serviceAccountName: ${WORKLOAD}
     secret: {name: ${nameOn(AWS)}-cloud, ...}
${shownSpec(stage, AWS)}
   and instead of aws in the two others:
${OTHERS.map((cloud) => shownSpec(stage, cloud)).join('\n')}`);
  const startMs = performance.now();
  for (const cloud of CLOUDS) await apply(scene, cloud, { name: nameOn(cloud), role: WORKLOAD });
  const issued = new Map<DemoCloud, WorkloadCredential>();
  try {
    for (const cloud of CLOUDS) issued.set(cloud, await ready(scene, nameOn(cloud)));
  } catch (error) {
    if (error instanceof DemoFailure) await showTable(scene);
    throw error;
  }
  narrator.fact(`all three Ready after ${((performance.now() - startMs) / 1000).toFixed(1)} s`);
  await showTable(scene);
  for (const [cloud, credential] of issued) await showExchange(scene, cloud, credential);
  return issued;
}

/** What the Secret holds, and what STS says of the request that status names. */
async function showExchange(
  { stage, narrator }: Scene,
  cloud: DemoCloud,
  { metadata, status }: WorkloadCredential,
): Promise<void> {
  const secretName = `${metadata.name}-cloud`;
  const { data = {} } = await stage.api.secret(NAMESPACE, secretName);
  narrator.fact(`Secret ${secretName} has ${Object.keys(data).join(' and ')}`);
  const { calls } = cloud.service(stage.sandbox);
  const call = calls.find(({ requestID }) => requestID === status?.requestID);
  if (call?.outcome !== 'Issued' || call.action !== cloud.exchange) {
    throw new DemoFailure(`The STS of ${cloud.title} does not know the request that status names.`);
  }
  if (call.webIdentityTokenIn !== 'body') throw new DemoFailure(`The token was in the ${call.webIdentityTokenIn}.`);
  narrator.fact(`STS: ${call.action} by session ${call.sessionName}: ${call.outcome} (request ${call.requestID})`);
}

async function showTable({ stage, narrator }: Scene): Promise<void> {
  const { text, byKubectl } = await stage.api.kubectlGet(NAMESPACE);
  const where = `kubectl get wcred --namespace ${NAMESPACE}`;
  narrator.block(byKubectl ? where : `${where}   # no kubectl here: the API server's own table`, text);
}

async function startPods({ stage, narrator }: Scene, issued: Issued): Promise<void> {
  narrator.heading('5. A pod mounts each Secret, and asks its STS twice a second who it is');
  for (const [cloud, { metadata }] of issued) {
    await stage.startPod(cloud, { namespace: NAMESPACE, name: `${metadata.name}-cloud` });
  }
  for (const [cloud, { status }] of issued) {
    const reading = await stage.firstReading(cloud);
    stage.check();
    narrator.fact(`${cloud.title}: ${cloud.reader}`);
    narrator.fact(`STS says that it is ${reading.identity}`);
    narrator.fact(`with key ${keysInUse(stage, cloud).at(0)}; status names ${status?.accessKeyID}`);
  }
  const { status } = issued.get(AWS) ?? {};
  narrator.fact(`on AWS refresh is due at ${status?.refreshTime}, the end at ${status?.expirationTime}`);
}

/** Waits for the next credential of each cloud and for the application to use it. */
async function showRefreshes({ stage, narrator }: Scene, issued: Issued): Promise<void> {
  narrator.heading('6. Refreshes, long before the end');
  const refreshes = [...issued].map(async ([cloud, before]) => {
    const after = await refreshed(stage, before);
    const { accessKeyID, issueTime } = after.status ?? {};
    const leftMs = Date.parse(before.status?.expirationTime ?? '') - Date.parse(issueTime ?? '');
    narrator.fact(`${cloud.title}: a new key ${accessKeyID}, ${seconds(leftMs)} before the old one's end`);
    await usedByPod(stage, cloud, accessKeyID);
    narrator.fact(`${cloud.title}: the application uses it, without a restart`);
  });
  // All have ended before a failure is told: none prints after it.
  const failed = (await Promise.allSettled(refreshes)).find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

async function refreshed(stage: DemoStage, before: WorkloadCredential): Promise<WorkloadCredential> {
  const name = before.metadata.name ?? '';
  const after = await stage.until(`a refresh of ${name}`, REFRESH_WAIT_MS, async () => {
    const now = await stage.api.wcred(NAMESPACE, name);
    const failed =
      condition(now, 'Refreshed')?.status === 'False' && condition(before, 'Refreshed')?.status !== 'False';
    if (failed) throw new DemoFailure(`The refresh of ${name} failed: ${condition(now, 'Refreshed')?.message}`);
    return now.status?.accessKeyID === before.status?.accessKeyID ? undefined : now;
  });
  const leftMs = Date.parse(before.status?.expirationTime ?? '') - Date.parse(after.status?.issueTime ?? '');
  if (!(leftMs > 0)) throw new DemoFailure(`The refresh of ${name} came after the end of the credential before it.`);
  return after;
}

/** What the application has signed so far, by the log of STS: the key of each use that was accepted. */
function keysInUse({ sandbox }: DemoStage, { service }: DemoCloud): string[] {
  return service(sandbox)
    .calls.filter(({ action, outcome }) => action === 'GetCallerIdentity' && outcome === 'OK')
    .map(({ signedBy }) => signedBy);
}

/** The application signs with that key or, on a machine that is slow just now, with a newer one. */
async function usedByPod(stage: DemoStage, cloud: DemoCloud, accessKeyID: string | undefined): Promise<void> {
  const { issued } = cloud.service(stage.sandbox);
  const from = issued.findIndex((session) => session.accessKeyID === accessKeyID);
  if (from < 0) throw new DemoFailure(`The STS of ${cloud.title} has not issued ${accessKeyID}.`);
  const good = new Set(issued.slice(from).map((session) => session.accessKeyID));
  await stage.until('the application to use the new key', MOMENT_MS, () =>
    keysInUse(stage, cloud).some((key) => good.has(key)),
  );
}

async function showOutage({ stage, narrator }: Scene): Promise<void> {
  const { switches, issued } = stage.sandbox.aws;
  narrator.heading('7. The STS of AWS goes down');
  switches.only = AWS.exchange;
  switches.mode = 'outage';
  narrator.fact('every exchange there is now answered 503');
  const failing = await stage.until('the refresh to fail', REFRESH_WAIT_MS, async () => {
    const now = await stage.api.wcred(NAMESPACE, nameOn(AWS));
    return condition(now, 'Refreshed')?.status === 'False' ? now : undefined;
  });
  tellFailure(narrator, failing);
  const kept = issued.at(-1)?.accessKeyID;
  if (condition(failing, 'Ready')?.status !== 'True' || failing.status?.accessKeyID !== kept) {
    throw new DemoFailure('The last good credential did not stay.');
  }
  const uses = stage.readings(AWS).length;
  const going = await stage.until('the application to go on', MOMENT_MS, () => stage.readings(AWS).at(uses + 2));
  narrator.fact(`the files keep key ${going.accessKeyID}, and the application goes on`);
  switches.mode = 'none';
  switches.only = undefined;
  narrator.fact('that STS is back');
  const after = await refreshed(stage, failing);
  const leftMs = Date.parse(failing.status?.expirationTime ?? '') - Date.parse(after.status?.issueTime ?? '');
  narrator.fact(`a new key ${after.status?.accessKeyID}, ${seconds(leftMs)} before the old one's end`);
  await usedByPod(stage, AWS, after.status?.accessKeyID);
  for (const cloud of OTHERS) {
    const other = await stage.api.wcred(NAMESPACE, nameOn(cloud));
    const state = condition(other, 'Ready');
    if (state?.status !== 'True' || condition(other, 'Refreshed')?.status !== 'True') {
      throw new DemoFailure(`The outage of AWS reached ${cloud.title}: ${state?.status} ${state?.reason}.`);
    }
    narrator.fact(`${cloud.title} meanwhile: Ready ${state.status} ${state.reason}`);
  }
}

/** The two conditions of a refresh that fails, and what they say. */
function tellFailure(narrator: Narrator, credential: WorkloadCredential): void {
  const [state, last] = [condition(credential, 'Ready'), condition(credential, 'Refreshed')];
  narrator.fact(`Ready ${state?.status} ${state?.reason}; Refreshed ${last?.status} ${last?.reason}:`);
  narrator.quote(last?.message ?? '');
}

async function showLostTrust(scene: Scene): Promise<void> {
  const { stage, narrator } = scene;
  narrator.heading('8. Somebody edits the trust policy of a second role on AWS');
  await apply(scene, AWS, { name: SECOND, role: SECOND });
  const before = await ready(scene, SECOND);
  narrator.fact(`${SECOND} has key ${before.status?.accessKeyID}`);
  trust(stage, AWS, SECOND, NOBODY);
  await requestRefresh(stage, 'after-the-edit');
  const refused = await stage.until('the refusal', MOMENT_MS, async () => {
    const now = await stage.api.wcred(NAMESPACE, SECOND);
    return condition(now, 'Refreshed')?.status === 'False' ? now : undefined;
  });
  tellFailure(narrator, refused);
  if (refused.status?.accessKeyID !== before.status?.accessKeyID) throw new DemoFailure('The credential did not stay.');
  trust(stage, AWS, SECOND, SUBJECT);
  await requestRefresh(stage, 'after-the-repair');
  const after = await refreshed(stage, refused);
  narrator.fact(
    `the policy is put back and a refresh requested (annotation ${REFRESH_REQUESTED}): a new key ${after.status?.accessKeyID}`,
  );
}

async function requestRefresh({ api }: DemoStage, value: string): Promise<void> {
  await api.annotate('wcred', { namespace: NAMESPACE, name: SECOND }, { [REFRESH_REQUESTED]: value });
}

async function sumUp(scene: Scene): Promise<void> {
  const { stage, narrator } = scene;
  narrator.heading('9. What the servers counted');
  stage.check();
  await showTable(scene);
  for (const cloud of CLOUDS) {
    countExchanges(scene, cloud);
    countUses(scene, cloud);
  }
  const issued = CLOUDS.flatMap(({ service }) => service(stage.sandbox).issued);
  const output = stage.operatorLines().join('\n');
  const leaked = issued.filter(({ secretAccessKey, sessionToken, webIdentityToken }) =>
    [secretAccessKey, sessionToken, webIdentityToken].some((secret) => output.includes(secret)),
  );
  if (leaked.length > 0) throw new DemoFailure(`The operator printed ${leaked.length} secrets.`);
  narrator.fact(
    `none of the ${issued.length} issued secrets and tokens is in the operator's ${stage.operatorLines().length} log lines`,
  );
}

function countExchanges({ stage, narrator }: Scene, cloud: DemoCloud): void {
  const exchanges = cloud.service(stage.sandbox).calls.filter(({ action }) => action === cloud.exchange);
  const outcomes = new Map<string, number>();
  for (const { outcome } of exchanges) outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  const { Issued: issued = 0, outage = 0, AccessDenied: denied = 0, ...others } = Object.fromEntries(outcomes);
  const isTold = cloud === AWS ? outage > 0 && denied === 1 : outage + denied === 0;
  if (issued < 2 || !isTold || Object.keys(others).length > 0) {
    throw new DemoFailure(`The STS of ${cloud.title} refused where it must not: ${[...outcomes.keys()].join()}`);
  }
  const failed = cloud === AWS ? `, ${outage} in the outage, ${denied} refused for the edited role` : '';
  narrator.fact(`STS of ${cloud.title}: ${exchanges.length} exchanges, ${issued} issued${failed}`);
}

function countUses({ stage, narrator }: Scene, cloud: DemoCloud): void {
  const uses = cloud.service(stage.sandbox).calls.filter(({ action }) => action === 'GetCallerIdentity');
  const accepted = uses.filter(({ outcome }) => outcome === 'OK').length;
  if (accepted !== uses.length) {
    throw new DemoFailure(`The STS of ${cloud.title} refused ${uses.length - accepted} uses of the credential.`);
  }
  const leastMs = Math.min(...stage.readings(cloud).map(({ leftMs = 0 }) => leftMs));
  narrator.fact(
    `the ${cloud.title} application: ${uses.length} uses, ${accepted} accepted; never less than ${seconds(leastMs)} left`,
  );
}

function condition(credential: WorkloadCredential, type: string) {
  return credential.status?.conditions?.find((each) => each.type === type);
}

function seconds(durationMs: number): string {
  return `${(durationMs / 1000).toFixed(1)} s`;
}
