// Promises: the floor: a refresh with nothing around it. The operator's four calls with the same bodies, by undici and
// template strings: no cache, no watch, no queue, no checks, no log, no metrics. Only what the next call needs is read.
import { Pool } from 'undici';
import { API_ROOT, AUDIENCE, ROLE_ARN, SCRIPT_NAMESPACE, SERVICE_ACCOUNT } from './constants.ts';
import type { RefreshTarget, ScriptCommand, ScriptResult, ServersReady } from './messages.ts';

interface Target {
  readonly name: string;
  secretVersion: string;
  credentialVersion: string;
}

interface Answer {
  readonly status?: { readonly token?: string };
  readonly metadata: { readonly resourceVersion: string };
}

/** As many connections as the operator has. */
const CONNECTIONS = 16;

let api: Pool;
let sts: Pool;
let authorization = '';
let targets: Target[] = [];
let next = 0;

async function callAPI(
  method: 'POST' | 'PATCH',
  path: string,
  content: { readonly type: string; readonly body: unknown; readonly accept?: string },
): Promise<Answer> {
  const answer = await api.request({
    method,
    path: `${path}?fieldManager=script`,
    headers: { authorization, accept: content.accept ?? 'application/json', 'content-type': content.type },
    body: JSON.stringify(content.body),
  });
  const text = await answer.body.text();
  if (answer.statusCode >= 300) throw new Error(`${method} ${path}: ${answer.statusCode}`);
  return JSON.parse(text) as Answer;
}

async function exchange(name: string, token: string): Promise<(element: string) => string> {
  const form = new URLSearchParams({
    Action: 'AssumeRoleWithWebIdentity',
    Version: '2011-06-15',
    RoleArn: ROLE_ARN,
    RoleSessionName: `${SCRIPT_NAMESPACE}.${SERVICE_ACCOUNT}.${name}`,
    WebIdentityToken: token,
    DurationSeconds: '3600',
  });
  const answer = await sts.request({
    method: 'POST',
    path: '/',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: form.toString(),
  });
  const text = await answer.body.text();
  if (answer.statusCode !== 200) throw new Error(`STS: ${answer.statusCode}`);
  return (element) => new RegExp(`<${element}>([^<]*)</${element}>`).exec(text)?.[1] ?? '';
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

async function refresh(target: Target): Promise<void> {
  const { name } = target;
  const core = `/api/v1/namespaces/${SCRIPT_NAMESPACE}`;
  const { status } = await callAPI('POST', `${core}/serviceaccounts/${SERVICE_ACCOUNT}/token`, {
    type: 'application/json',
    body: { spec: { audiences: [AUDIENCE], expirationSeconds: 600 } },
  });
  const read = await exchange(name, status?.token ?? '');
  const expirationTime = read('Expiration');
  const issueTime = `${new Date().toISOString().slice(0, 19)}Z`;
  const credentials = {
    Version: 1,
    AccessKeyId: read('AccessKeyId'),
    SecretAccessKey: read('SecretAccessKey'),
    SessionToken: read('SessionToken'),
    Expiration: expirationTime,
  };
  const config = '[default]\nregion = eu-west-1\ncredential_process = cat /var/run/secrets/x/credentials.json\n';
  const annotation = (key: string, value: string): object => ({
    op: 'replace',
    path: `/metadata/annotations/workloadcredentials.io~1${key}`,
    value,
  });
  const secret = await callAPI('PATCH', `${core}/secrets/${name}`, {
    type: 'application/json-patch+json',
    accept: 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1',
    body: [
      { op: 'replace', path: '/metadata/resourceVersion', value: target.secretVersion },
      {
        op: 'add',
        path: '/data',
        value: { config: base64(config), 'credentials.json': base64(JSON.stringify(credentials)) },
      },
      annotation('issue-time', issueTime),
      annotation('expiration-time', expirationTime),
      annotation('content-hash', credentials.AccessKeyId),
    ],
  });
  target.secretVersion = secret.metadata.resourceVersion;
  const written = await callAPI(
    'PATCH',
    `${API_ROOT}/namespaces/${SCRIPT_NAMESPACE}/workloadcredentials/${name}/status`,
    {
      type: 'application/merge-patch+json',
      body: {
        metadata: { resourceVersion: target.credentialVersion },
        status: {
          secret: { name, resourceVersion: target.secretVersion },
          accessKeyID: credentials.AccessKeyId,
          requestID: read('RequestId'),
          issueTime,
          expirationTime,
          refreshTime: expirationTime,
        },
      },
    },
  );
  target.credentialVersion = written.metadata.resourceVersion;
}

function start(ready: ServersReady): void {
  api = new Pool(ready.server, { connections: CONNECTIONS, connect: { ca: ready.caPEM } });
  sts = new Pool(ready.stsURL, { connections: CONNECTIONS });
  authorization = `Bearer ${ready.scriptToken}`;
  targets = ready.targets.map((target: RefreshTarget) => ({ ...target }));
}

async function refreshNext(): Promise<void> {
  const target = targets[next % targets.length];
  next += 1;
  if (target !== undefined) await refresh(target);
}

/** As fast as it goes. */
async function runFlatOut(durationMs: number, inFlight: number): Promise<number> {
  const endMs = performance.now() + durationMs;
  let refreshes = 0;
  const worker = async (): Promise<void> => {
    while (performance.now() < endMs) {
      await refreshNext();
      refreshes += 1;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  return refreshes;
}

/** One after the other at an even pace, each when its time comes. */
async function runPaced(durationMs: number, perSecond: number): Promise<number> {
  const startMs = performance.now();
  const running: Promise<void>[] = [];
  for (let index = 0; index < (durationMs / 1000) * perSecond; index += 1) {
    const delayMs = startMs + (index * 1000) / perSecond - performance.now();
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
    running.push(refreshNext());
  }
  await Promise.all(running);
  return running.length;
}

async function answer(command: ScriptCommand): Promise<ScriptResult> {
  if (command.ask === 'start') {
    start(command.ready);
    return { refreshes: 0 };
  }
  const { durationMs, inFlight, perSecond } = command;
  return {
    refreshes: perSecond === undefined ? await runFlatOut(durationMs, inFlight) : await runPaced(durationMs, perSecond),
  };
}

process.on('message', (command: ScriptCommand) => void answer(command).then((result) => process.send?.(result)));
process.on('disconnect', () => process.exit(0));
