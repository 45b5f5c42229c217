// Promises: `npm run bench`: CPU time of the operator for one routine refresh beside a script that makes the same four
// calls and nothing else, against the same servers, in one run, in turns. Also how many requests a refresh is, counted by
// the servers. Status 1 when that is not 3 + 1, or when anything else failed; the ratio is for people to judge.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, totalmem, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ask, children, endWithUs, forkChild } from './children.ts';
import { AUDIENCE, OPERATOR_NAMESPACE, SCRIPT_NAMESPACE } from './constants.ts';
import { IMAGE_OPTIONS } from './image.ts';
import type { Counts, ScriptResult, ServersReady } from './messages.ts';
import { cpuMs, memoryOf, needProc } from './proc.ts';

/** Refreshed at 40 to 50 % of it. */
const SESSION_SECONDS = 8;
const LONG_SESSION_SECONDS = 3600;
/** The pause between two refreshes of a credential, more or less: so they come evenly. */
const SPREAD_MS = 0.45 * SESSION_SECONDS * 1000;
/** As the operator's limiter allows for one endpoint. */
const IN_FLIGHT = 8;
const REFRESH_CALLS = ['POST serviceaccounts/token', 'PATCH secrets', 'PATCH workloadcredentials/status'];
/** The Lease's renewal, and watches that begin anew. */
const BACKGROUND = /^(PUT leases|WATCH .*)$/;

const { values } = parseArgs({
  options: {
    credentials: { type: 'string', default: '400' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '6' },
    main: { type: 'string', default: fileURLToPath(new URL('../dist/main.js', import.meta.url)) },
    'node-option': { type: 'string', multiple: true, default: [] },
  },
});

interface Window {
  readonly refreshes: number;
  readonly cpuMs: number;
  readonly wallMs: number;
}

async function startOperator(directory: string, ready: ServersReady): Promise<ChildProcess> {
  const kubeconfig = join(directory, 'kubeconfig');
  const cluster = { server: ready.server, 'certificate-authority-data': Buffer.from(ready.caPEM).toString('base64') };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'bench', cluster }],
    users: [{ name: 'bench', user: { token: ready.operatorToken } }],
    contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'bench' } }],
    'current-context': 'bench',
  };
  await writeFile(kubeconfig, JSON.stringify(config), { mode: 0o600 });
  const args = [
    ...IMAGE_OPTIONS,
    ...values['node-option'],
    values.main,
    `--kubeconfig=${kubeconfig}`,
    `--namespaces=${OPERATOR_NAMESPACE}`,
    `--lease-namespace=${OPERATOR_NAMESPACE}`,
    '--listen-address=127.0.0.1:0',
    `--sts-endpoint=AWS=${ready.stsURL}=${AUDIENCE}`,
    '--sts-requests-per-second=250',
    '--sts-burst=50',
    // The benchmark asks for refreshes round after round; the usual distance between those is a minute.
    '--min-refresh-interval-seconds=1',
  ];
  const log = openSync(join(directory, 'operator.log'), 'a');
  const child = spawn(process.execPath, args, { stdio: ['ignore', log, 'inherit'], env: {} });
  closeSync(log);
  children.push(child);
  return child;
}

async function issuedTo(servers: ChildProcess, namespace: string): Promise<number> {
  return (await ask<Counts>(servers, { ask: 'counts' })).issued[namespace] ?? 0;
}

/** How often the operator looked at a credential, from its metrics. */
async function reconciles(directory: string): Promise<number> {
  const log = readFileSync(join(directory, 'operator.log'), 'utf8');
  const address = /"listenAddress":"([^"]+)"/.exec(log)?.[1];
  const page = await (await fetch(`http://${address}/metrics`)).text();
  const counts = page.matchAll(/^controller_runtime_reconcile_time_seconds_count\S* (\d+)/gm);
  return [...counts].reduce((so, [, count]) => so + Number(count), 0);
}

/** Until nothing was issued to the operator for a second. */
async function untilQuiet(servers: ChildProcess, least = 0): Promise<void> {
  let before = -1;
  for (let looks = 0; looks < 60; looks += 1) {
    const now = await issuedTo(servers, OPERATOR_NAMESPACE);
    if (now === before && now >= least) return;
    before = now;
    await sleep(1000);
  }
  throw new Error('the operator did not become quiet within a minute');
}

/** The operator refreshes by its own schedule; the CPU is counted while it is in its stride. */
async function operatorWindow(servers: ChildProcess, pid: number, durationMs: number): Promise<Window> {
  await ask(servers, { ask: 'sessionSeconds', seconds: SESSION_SECONDS });
  await ask(servers, { ask: 'requestRefresh', overMs: SPREAD_MS });
  const issued = await issuedTo(servers, OPERATOR_NAMESPACE);
  const [cpu, wall] = [cpuMs(pid), performance.now()];
  await sleep(durationMs);
  const spent = { cpuMs: cpuMs(pid) - cpu, wallMs: performance.now() - wall };
  const refreshes = (await issuedTo(servers, OPERATOR_NAMESPACE)) - issued;
  await ask(servers, { ask: 'sessionSeconds', seconds: LONG_SESSION_SECONDS });
  await untilQuiet(servers);
  return { refreshes, ...spent };
}

async function scriptWindow(script: ChildProcess, durationMs: number, perSecond?: number): Promise<Window> {
  const pid = script.pid ?? 0;
  const [cpu, wall] = [cpuMs(pid), performance.now()];
  const pace = perSecond === undefined ? {} : { perSecond };
  const { refreshes } = await ask<ScriptResult>(script, { ask: 'run', durationMs, inFlight: IN_FLIGHT, ...pace });
  return { refreshes, cpuMs: cpuMs(pid) - cpu, wallMs: performance.now() - wall };
}

function perRefresh({ cpuMs: cpu, refreshes }: Window): number {
  return cpu / refreshes;
}

function sum(windows: readonly Window[]): Window {
  const total = (pick: (window: Window) => number): number => windows.reduce((so, window) => so + pick(window), 0);
  return {
    refreshes: total(({ refreshes }) => refreshes),
    cpuMs: total((window) => window.cpuMs),
    wallMs: total(({ wallMs }) => wallMs),
  };
}

function line(name: string, windows: readonly Window[]): string {
  const all = sum(windows);
  const each = windows.map((window) => perRefresh(window).toFixed(2)).join(' ');
  const rate = (all.refreshes * 1000) / all.wallMs;
  return `${name.padEnd(26)}${perRefresh(all).toFixed(2)} ms  (${each})  ${all.refreshes} refreshes, ${rate.toFixed(0)} a second`;
}

type Tally = Readonly<Record<string, number>>;

function growth(before: Tally, after: Tally): [string, number][] {
  return Object.entries(after)
    .map(([kind, seen]): [string, number] => [kind, seen - (before[kind] ?? 0)])
    .filter(([, seen]) => seen > 0);
}

/**
 * What was called between two quiet moments.
 * @returns whether a refresh was exactly 3 calls to the API server and 1 to STS
 */
function printRequests(before: Counts, after: Counts): boolean {
  const issued = new Map(growth(before.issued, after.issued));
  const requests = new Map(growth(before.requests['operator'] ?? {}, after.requests['operator'] ?? {}));
  const count = issued.get(OPERATOR_NAMESPACE) ?? 0;
  console.log(`\nRequests of the operator in the measured rounds, for ${count} credentials by the log of STS:`);
  for (const [kind, seen] of requests) console.log(`${String(seen).padStart(8)}  ${kind}`);
  const others = [...requests.keys()].filter((kind) => !REFRESH_CALLS.includes(kind) && !BACKGROUND.test(kind));
  const refused = [...issued.keys()].filter((who) => who !== OPERATOR_NAMESPACE && who !== SCRIPT_NAMESPACE);
  const exact =
    REFRESH_CALLS.every((kind) => requests.get(kind) === count) && others.length === 0 && refused.length === 0;
  console.log(`A refresh is exactly 3 calls to the API server and 1 to STS: ${exact ? 'yes' : 'NO'}`);
  return exact;
}

const WARM_UP_SECONDS = 40;

async function measure(directory: string): Promise<number> {
  const [credentials, rounds, durationMs] = [values.credentials, values.rounds, values.seconds].map(Number);
  if (!credentials || !rounds || !durationMs) throw new Error('--credentials, --rounds and --seconds are numbers');
  const servers = forkChild('./servers.ts');
  const ready = await ask<ServersReady>(servers, { ask: 'start', credentials });
  const script = forkChild('./script.ts', IMAGE_OPTIONS);
  await ask(script, { ask: 'start', ready });
  const operator = await startOperator(directory, ready);
  const pid = operator.pid ?? 0;
  await untilQuiet(servers, credentials);
  const issuedMiB = memoryOf(pid).residentMiB;
  // An operator runs for weeks: what its compiler does in the first minute is not the cost of a refresh.
  const warmUp = await operatorWindow(servers, pid, WARM_UP_SECONDS * 1000);
  await scriptWindow(script, durationMs * 1000);
  const before = await ask<Counts>(servers, { ask: 'counts' });
  const looksBefore = await reconciles(directory);
  const windows: Record<'operator' | 'paced' | 'flatOut', Window[]> = { operator: [], paced: [], flatOut: [] };
  let [idleCPUMs, idleWallMs] = [0, 0];
  for (let round = 0; round < rounds; round += 1) {
    const mine = await operatorWindow(servers, pid, durationMs * 1000);
    windows.operator.push(mine);
    const [cpu, wall] = [cpuMs(pid), performance.now()];
    windows.paced.push(await scriptWindow(script, durationMs * 1000, (mine.refreshes * 1000) / mine.wallMs));
    windows.flatOut.push(await scriptWindow(script, durationMs * 500));
    idleCPUMs += cpuMs(pid) - cpu;
    idleWallMs += performance.now() - wall;
  }
  const [cpu] = cpus();
  const memoryGB = Math.round(totalmem() / 2 ** 30);
  console.log(`machine: ${cpus().length} x ${cpu?.model.trim()}, ${memoryGB} GB, Node ${process.version}`);
  console.log(`operator and script with ${IMAGE_OPTIONS.join(' ') || 'no options'}`);
  console.log(`${credentials} credentials, sessions of ${SESSION_SECONDS} s; warm-up ${warmUp.refreshes} refreshes\n`);
  console.log('CPU of the client per refresh (by round)');
  console.log(line('operator', windows.operator));
  console.log(line('script, at that rate', windows.paced));
  console.log(line('script, flat out', windows.flatOut));
  const mine = perRefresh(sum(windows.operator));
  console.log(
    `\nratio: ${(mine / perRefresh(sum(windows.paced))).toFixed(2)} at the same rate, ${(mine / perRefresh(sum(windows.flatOut))).toFixed(2)} against the script flat out`,
  );
  console.log(
    `operator: RSS ${issuedMiB.toFixed(0)} MiB after the first issues, ${memoryOf(pid).residentMiB.toFixed(0)} MiB at the end; CPU when nothing is due ${((idleCPUMs / idleWallMs) * 1000).toFixed(1)} ms a second`,
  );
  const after = await ask<Counts>(servers, { ask: 'counts' });
  const issued = (after.issued[OPERATOR_NAMESPACE] ?? 0) - (before.issued[OPERATOR_NAMESPACE] ?? 0);
  const looks = (await reconciles(directory)) - looksBefore;
  console.log(`reconciles per refresh: ${(looks / issued).toFixed(2)}`);
  const good = printRequests(before, after);
  await stop(operator);
  return good ? 0 : 1;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
}

needProc();
const directory = await mkdtemp(join(tmpdir(), 'workload-credentials-bench-'));
endWithUs();
try {
  process.exitCode = await measure(directory);
} finally {
  await Promise.all(children.map(stop));
  await rm(directory, { recursive: true, force: true });
}
