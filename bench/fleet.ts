// Promises: `npm run bench:fleet`: what an installation of 0, 100, 1,000 and 5,000 credentials takes of memory, CPU, calls and
// `/metrics`, by the image's bundle as a process of its own, with the image's options and the heap that Node has under the chart's
// limit, on the sandbox in this process. Prints the table of docs/sizing.md. Status 1 when a restart or a take-over costs an
// exchange or a write, when not each credential was issued exactly once, or when the chart's limit of memory would not do.
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startOperator } from '../test/beds/operator.ts';
import type { OperatorProcess } from '../test/beds/operator.ts';
import { waitFor } from '../test/beds/wait.ts';
import { startFleet, SYSTEM_NAMESPACE } from './fleet-bed.ts';
import type { Asked, FleetBed } from './fleet-bed.ts';
import { broken, median, readPage, tableOf } from './fleet-figures.ts';
import type { FleetFigures, Page, Stretch } from './fleet-figures.ts';
import { CHART_MEMORY_LIMIT_MIB, heapOption, IMAGE_OPTIONS } from './image.ts';
import { cpuMs, fineCPUMs, memoryOf, needProc } from './proc.ts';

const { values } = parseArgs({
  options: {
    counts: { type: 'string', default: '0,100,1000,5000' },
    /** How long a process that has nothing to do is left alone before its memory is read. */
    'settle-seconds': { type: 'string', default: '20' },
    'memory-limit': { type: 'string', default: String(CHART_MEMORY_LIMIT_MIB) },
    /** What the image runs. `dist/main.js`, which reads every module from node_modules, holds 40 MiB more. */
    main: { type: 'string', default: fileURLToPath(new URL('../dist/bundle/main.mjs', import.meta.url)) },
  },
});

const SCRAPES = 5;
/** Of what operators have printed, when a measurement fails. */
const LAST_CHARACTERS = 2_000;
/** Asleep: a tick or two of CPU in a second. */
const QUIET_CPU_MS = 30;
/** Bounds of waits, several times what they take on an idle machine; the second is for each credential at first issue. */
const START_MS = 120_000;
const ISSUE_MS = 80;

const running: OperatorProcess[] = [];

async function start(bed: FleetBed, args: readonly string[] = []): Promise<OperatorProcess> {
  const operator = await startOperator({
    kubeconfig: bed.kubeconfig,
    nodeArgs: [...IMAGE_OPTIONS, heapOption(Number(values['memory-limit']))],
    env: { NODE_ENV: 'production' },
    main: values.main,
    args: [
      `--lease-namespace=${SYSTEM_NAMESPACE}`,
      `--sts-endpoint=${bed.endpointOption}`,
      // Out of the way: at the default of 10 a second the time of a first issue is the limiter's alone.
      '--sts-requests-per-second=1000',
      '--sts-burst=10000',
      ...args,
    ],
  });
  running.push(operator);
  return operator;
}

/** Until a process has done nothing for a second, by its CPU and by the calls that it makes. */
async function untilQuiet(pid: number, asked: () => Asked): Promise<void> {
  let [cpu, calls] = [Number.NEGATIVE_INFINITY, -1];
  const look = (): boolean => {
    const [cpuNow, callsNow] = [cpuMs(pid), asked().total];
    const quiet = cpuNow - cpu < QUIET_CPU_MS && callsNow === calls;
    [cpu, calls] = [cpuNow, callsNow];
    return quiet;
  };
  await waitFor('the operator to have nothing to do', look, { timeoutMs: START_MS, everyMs: 1_000 });
}

/** As SIGTERM ends it: it gives the Lease up. */
async function end(operator: OperatorProcess): Promise<void> {
  operator.signal('SIGTERM');
  const { code } = await operator.exited;
  if (code !== 0) throw new Error(`the operator ended with ${code}:\n${operator.output().slice(-LAST_CHARACTERS)}`);
}

async function untilWorking(operator: OperatorProcess): Promise<number> {
  const { fields } = await operator.waitForLog('this replica works', START_MS);
  return Date.parse(String(fields?.['time']));
}

async function scrape(operator: OperatorProcess): Promise<Page & { readonly looks: number }> {
  const times: number[] = [];
  let text = '';
  for (let round = 0; round < SCRAPES; round += 1) {
    const startedMs = performance.now();
    text = await operator.metrics();
    times.push(performance.now() - startedMs);
  }
  return { bytes: Buffer.byteLength(text), answerMs: median(times), ...readPage(text) };
}

async function settle(): Promise<void> {
  await sleep(Number(values['settle-seconds']) * 1000);
}

/** All of them are due when it starts. */
async function firstIssue(
  bed: FleetBed,
  count: number,
): Promise<FleetFigures['firstIssue'] & { readonly peakMiB: number }> {
  const asked = bed.watchCalls();
  const startedMs = Date.now();
  const operator = await start(bed);
  const workingMs = await untilWorking(operator);
  await waitFor(`${count} credentials to be issued`, () => bed.ready() === count, {
    timeoutMs: START_MS + count * ISSUE_MS,
    everyMs: 500,
  });
  await untilQuiet(operator.pid, asked);
  const seen = asked();
  const stretch: Stretch = {
    wallMs: (count === 0 ? workingMs : seen.lastMs) - startedMs,
    cpuMs: cpuMs(operator.pid),
    asked: seen,
  };
  await settle();
  const held = memoryOf(operator.pid);
  await end(operator);
  return { ...stretch, ready: bed.ready(), held, peakMiB: held.peakMiB };
}

async function measure(count: number, directory: string): Promise<FleetFigures> {
  const bed = await startFleet(count, directory);
  try {
    const first = await firstIssue(bed, count);
    const asked = bed.watchCalls();
    const startedMs = Date.now();
    const leader = await start(bed);
    const wallMs = (await untilWorking(leader)) - startedMs;
    await untilQuiet(leader.pid, asked);
    const restart = { wallMs, cpuMs: cpuMs(leader.pid), asked: asked() };
    const ofStandby = bed.watchCalls();
    const standby = await start(bed, ['--per-credential-metrics=false']);
    await standby.waitUntilReady(START_MS);
    await untilQuiet(standby.pid, ofStandby);
    const [restMs, restCPUMs] = [performance.now(), fineCPUMs(leader.pid)];
    await settle();
    const rest = (fineCPUMs(leader.pid) - restCPUMs) / ((performance.now() - restMs) / 1000);
    const [held, heldByStandby] = [memoryOf(leader.pid), memoryOf(standby.pid)];
    const { looks, ...each } = await scrape(leader);
    const leaderPeak = memoryOf(leader.pid).peakMiB;
    const takeover = bed.watchCalls();
    await end(leader);
    await untilWorking(standby);
    await untilQuiet(standby.pid, takeover);
    const { looks: _, ...without } = await scrape(standby);
    const standbyPeak = memoryOf(standby.pid).peakMiB;
    const takenOver = takeover();
    await end(standby);
    return {
      count,
      firstIssue: first,
      restart: { ...restart, held, looks },
      restCPUMs: rest,
      standby: heldByStandby,
      takeover: takenOver,
      pages: { each, without },
      peakMiB: Math.max(first.peakMiB, leaderPeak, standbyPeak),
    };
  } catch (error) {
    const last = running.map((operator) => operator.output().slice(-LAST_CHARACTERS)).join('\n---\n');
    throw new Error(`${error instanceof Error ? error.message : String(error)}; the operators said last:\n${last}`);
  } finally {
    await Promise.all(running.splice(0).map((operator) => operator.kill()));
    await bed.stop();
  }
}

function counts(): number[] {
  const given = values.counts.split(',').map(Number);
  const isGood = given.every((count) => Number.isInteger(count) && count >= 0);
  const [settleSeconds, limit] = [Number(values['settle-seconds']), Number(values['memory-limit'])];
  if (!isGood || !(settleSeconds > 0) || !(limit > 0)) {
    throw new Error('--counts is a list such as 100,1000; --settle-seconds and --memory-limit (MiB) are numbers');
  }
  return given;
}

async function main(directory: string): Promise<number> {
  const [busy = 0] = loadavg();
  const startedMs = performance.now();
  const limit = Number(values['memory-limit']);
  const all: FleetFigures[] = [];
  const problems: string[] = [];
  for (const count of counts()) {
    try {
      const figures = await measure(count, directory);
      const { calls } = figures.firstIssue.asked;
      console.log(`first issue of ${count}: ${[...calls].map(([kind, seen]) => `${seen} x ${kind}`).join(', ')}`);
      all.push(figures);
      problems.push(...broken(figures, limit));
    } catch (error) {
      // The other sizes' figures are told all the same.
      problems.push(`${count} credentials: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  const [cpu] = cpus();
  const options = [...IMAGE_OPTIONS, heapOption(limit)].join(' ');
  console.log(
    `\nmachine: ${cpus().length} x ${cpu?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GB, Node ${process.version}`,
  );
  console.log(`load before the run, by other things: ${busy.toFixed(1)}; the operator with ${options}`);
  console.log(`the run took ${Math.round((performance.now() - startedMs) / 1000)} s\n`);
  console.log(tableOf(all));
  for (const problem of problems) console.log(`\nNOT as expected: ${problem}`);
  if (problems.length === 0)
    console.log('\nAll is as expected: a restart and a take-over cost 0 exchanges and 0 writes.');
  return problems.length === 0 ? 0 : 1;
}

needProc();
const directory = await mkdtemp(join(tmpdir(), 'workload-credentials-bench-'));
try {
  process.exitCode = await main(directory);
} finally {
  await rm(directory, { recursive: true, force: true });
}
