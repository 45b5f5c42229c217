// Promises: `npm run bench:exchange`: CPU time of one exchange of a token, by each cloud's provider and by a bare form POST, against
// the same STS, in one run, in turns, each side in a process of its own. Status 1 when STS did not issue exactly what was asked
// for, by its own log; the ratios are for people to judge.
import type { ChildProcess } from 'node:child_process';
import { cpus, loadavg, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { ask, children, endWithUs, forkChild } from './children.ts';
import { CLOUD_NAMES } from './exchange-messages.ts';
import type { ClientResult, CloudName, STSCounts, Targets } from './exchange-messages.ts';

/** As the operator's limiter allows for one endpoint. */
const IN_FLIGHT = 8;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    exchanges: { type: 'string', default: '1500' },
    'warm-up': { type: 'string', default: '8000' },
  },
});

/** Which code makes the exchange. */
type Side = 'provider' | 'raw';
const SIDES: readonly Side[] = ['provider', 'raw'];

interface Measured {
  readonly cloud: CloudName;
  readonly side: Side;
  readonly child: ChildProcess;
  readonly results: ClientResult[];
}

async function startClients(targets: Targets): Promise<Measured[]> {
  const clients: Measured[] = [];
  for (const cloud of CLOUD_NAMES) {
    for (const side of SIDES) {
      const child = forkChild(`./exchange-${side}.ts`);
      await ask(child, { ask: 'start', target: targets[cloud] });
      clients.push({ cloud, side, child, results: [] });
    }
  }
  return clients;
}

const perExchange = ({ cpuMs, exchanges }: ClientResult): number => cpuMs / exchanges;

function mean(results: readonly ClientResult[]): number {
  const total = (pick: (result: ClientResult) => number): number => results.reduce((so, each) => so + pick(each), 0);
  return total(({ cpuMs }) => cpuMs) / total(({ exchanges }) => exchanges);
}

function printTable(clients: readonly Measured[]): void {
  console.log('CPU of the client per exchange (by round)');
  for (const { cloud, side, results } of clients) {
    const each = results.map((result) => perExchange(result).toFixed(3)).join(' ');
    console.log(`${cloud.padEnd(14)}${side.padEnd(10)}${mean(results).toFixed(3)} ms  (${each})`);
  }
  console.log();
  for (const cloud of CLOUD_NAMES) {
    const of = (side: Side) => clients.find((each) => each.cloud === cloud && each.side === side)?.results ?? [];
    const [mine, raw] = [of('provider'), of('raw')];
    const rounds = mine.map((result, index) => perExchange(result) / perExchange(raw[index] ?? result));
    const ratio = (mean(mine) / mean(raw)).toFixed(2);
    console.log(`ratio ${cloud.padEnd(14)}${ratio}  (${rounds.map((round) => round.toFixed(2)).join(' ')})`);
  }
}

async function measure(): Promise<number> {
  const [rounds, exchanges, warmUp] = [values.rounds, values.exchanges, values['warm-up']].map(Number);
  if (!rounds || !exchanges || !warmUp) throw new Error('--rounds, --exchanges and --warm-up are numbers');
  const [busy = 0] = loadavg();
  const servers = forkChild('./exchange-servers.ts');
  const clients = await startClients(await ask<Targets>(servers, { ask: 'targets' }));
  for (const { child } of clients) {
    await ask<ClientResult>(child, { ask: 'run', exchanges: warmUp, inFlight: IN_FLIGHT });
  }
  for (let round = 0; round < rounds; round += 1) {
    for (const { child, results } of clients) {
      results.push(await ask<ClientResult>(child, { ask: 'run', exchanges, inFlight: IN_FLIGHT }));
    }
  }
  const [cpu] = cpus();
  const memoryGB = Math.round(totalmem() / 2 ** 30);
  console.log(`machine: ${cpus().length} x ${cpu?.model.trim()}, ${memoryGB} GB, Node ${process.version}`);
  console.log(`load before the run, by other things: ${busy.toFixed(1)}; warm-up ${warmUp} exchanges each\n`);
  printTable(clients);
  const counts = await ask<STSCounts>(servers, { ask: 'counts' });
  const asked = SIDES.length * (warmUp + rounds * exchanges);
  const exact = CLOUD_NAMES.every((cloud) => counts[cloud].issued === asked && counts[cloud].others === 0);
  console.log(`\nEach STS issued ${asked} credentials, and was asked for nothing else: ${exact ? 'yes' : 'NO'}`);
  return exact ? 0 : 1;
}

endWithUs();
try {
  process.exitCode = await measure();
} finally {
  for (const child of children) child.disconnect();
}
