// Promises: an operator in this process, beside those of an OperatorBed and against its sandbox, whose clock, credentials
// and server a test may give: for clocks that are wrong, tokens that end and certificates that change. A suite's bed ends
// with the suite, and fails it when an operator has left a timer or a socket behind.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { PassThrough } from 'node:stream';
import type { SandboxOptions } from '../../sandbox/sandbox.ts';
import type { ServerCredentials } from '../../src/kube/connection.ts';
import { Operator, type OperatorEnd } from '../../src/operator.ts';
import { parseOptions } from '../../src/options.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import { systemRandom } from '../../src/runtime/random.ts';
import { jsonLog } from '../../src/telemetry/logger.ts';
import { waitFor } from '../beds/wait.ts';
import { type LogLine, type OperatorBed, startOperatorBed } from './operator-bed.ts';
import { openHere } from './vitals.ts';

/** What differs from the bed's own operators. */
export interface FaultOperatorOptions {
  readonly clock?: Clock;
  /** Replaces the sandbox's address. */
  readonly server?: URL;
  /** Asked as often as the operator reads its kubeconfig. */
  readonly read?: (fresh: boolean) => Promise<ServerCredentials>;
  /** Replaces --leader-elect=false and the generous STS rate. */
  readonly flags?: readonly string[];
}

/** A running operator. */
export interface FaultOperator {
  readonly lines: readonly LogLine[];
  readonly ended: Promise<OperatorEnd>;
  stop(): Promise<OperatorEnd>;
  /** Lines with this message. */
  said(message: string): LogLine[];
  metrics(): Promise<string>;
}

const AUDIENCE = 'sts.sandbox.example';
const FAST_STS = ['--sts-requests-per-second=1000', '--sts-burst=1000'];

function readLines(stream: PassThrough, bed: OperatorBed): LogLine[] {
  const lines: LogLine[] = [];
  let rest = '';
  stream.on('data', (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split('\n');
    rest = parts.pop() ?? '';
    bed.logs.push(...parts);
    lines.push(...parts.map((line) => JSON.parse(line) as LogLine));
  });
  return lines;
}

/** A token of the operator's own ServiceAccount. */
export async function operatorToken(bed: OperatorBed, expirationSeconds = 90_000): Promise<string> {
  return await bed.sandbox.mintToken('wc-system', 'operator', { expirationSeconds });
}

/** Starts an operator and waits until it works. */
export async function startFaultOperator(bed: OperatorBed, other: FaultOperatorOptions = {}): Promise<FaultOperator> {
  const { clock = bed.clock, server = bed.sandbox.server, flags = FAST_STS } = other;
  const parsed = parseOptions([
    '--leader-elect=false',
    '--listen-address=127.0.0.1:0',
    '--kubeconfig=unused',
    `--sts-endpoint=AWS=${bed.sandbox.aws.url.origin}=${AUDIENCE}`,
    ...flags,
  ]);
  if (parsed.kind !== 'run') throw new Error(JSON.stringify(parsed));
  const authorization = `Bearer ${await operatorToken(bed)}`;
  const read = other.read ?? (() => Promise.resolve({ authorization, tls: { ca: bed.sandbox.caPEM } }));
  const stream = new PassThrough();
  const lines = readLines(stream, bed);
  const stop = new AbortController();
  const stats = { userCPUSeconds: 0, systemCPUSeconds: 0, startTimeSeconds: 0, residentMemoryBytes: 0 };
  const operator = new Operator({
    options: parsed.options,
    identity: { server, read },
    leaseNamespace: 'wc-system',
    hostName: 'fault-operator',
    version: '0.0.0-test',
    apiServerAudiences: [bed.sandbox.issuer],
    openTransport: (tls) => bed.transport(tls),
    stsTransport: bed.transport({}),
    clock,
    random: systemRandom,
    log: jsonLog({ stream, level: 'debug', clock, onWriteFailure: () => undefined }),
    processStats: () => ({ ...stats, heapTotalBytes: 0, heapUsedBytes: 0, externalBytes: 0, eventLoopLagSeconds: 0 }),
  });
  const ended = operator.run(stop.signal);
  ended.catch(() => undefined);
  const said = (message: string): LogLine[] => lines.filter((line) => line.message === message);
  await waitFor('the operator to work', () => said('this replica works').length > 0, {
    timeoutMs: 10_000,
    everyMs: 10,
  });
  return {
    lines,
    ended,
    stop: async () => {
      stop.abort(new Error('SIGTERM'));
      return await ended;
    },
    said,
    metrics: async () => {
      const { host = '', port = 0 } = operator.listening ?? {};
      return await (await fetch(`http://${host}:${port}/metrics`)).text();
    },
  };
}

/** A suite's bed, with the operators that its tests start. */
export interface FaultBed {
  /** @throws Error before the suite's before() has run. */
  readonly bed: OperatorBed;
  start(other?: FaultOperatorOptions): Promise<FaultOperator>;
}

type Open = ReturnType<typeof openHere>;

/** Pools close their sockets a moment after the last answer, watches their timers with their connection. */
async function assertNothingLeft(bed: OperatorBed, before: Open): Promise<void> {
  const withoutTimers = async (): Promise<boolean> => bed.clock.pendingCount === 0;
  await waitFor('every timer of the shared clock to be given back', withoutTimers, { timeoutMs: 5_000 });
  await bed.stop();
  // The look itself waits with one timer.
  const isBack = ({ sockets, timers } = openHere()): boolean =>
    sockets <= before.sockets && timers <= before.timers + 1;
  await waitFor('sockets', () => isBack(), { timeoutMs: 5_000 }).catch(() => undefined);
  const now = openHere();
  const told = `open in this process before: ${JSON.stringify(before)}, after: ${JSON.stringify(now)}`;
  process.stdout.write(`${told}\n`);
  assert.ok(isBack(now), told);
}

/** Starts a bed before the tests of the suite that calls this, and ends all of it after them. */
export function useFaultBed(options: SandboxOptions): FaultBed {
  const operators: FaultOperator[] = [];
  let bed: OperatorBed | undefined;
  let openBefore: Open | undefined;
  const ready = (): OperatorBed => bed ?? assert.fail('the bed is there while the tests of its suite run');
  before(async () => {
    openBefore = openHere();
    bed = await startOperatorBed(options);
  });
  after(async () => {
    if (bed === undefined || openBefore === undefined) return;
    bed.sandbox.apiServer.faults.clear();
    await Promise.all([...operators, ...bed.running].map(async (operator) => await operator.stop()));
    await assertNothingLeft(bed, openBefore);
  });
  return {
    get bed() {
      return ready();
    },
    start: async (other) => {
      const operator = await startFaultOperator(ready(), other);
      operators.push(operator);
      return operator;
    },
  };
}
