// Promises: the process's edge: arguments, environment, files, signals and the exit code; with main.ts, which starts it, the
// only reader of `process`. Whatever goes wrong ends in one sentence on standard error and status 1 (2 for a wrong command
// line); what nobody foresaw, in one line of the log. May not decide anything else.
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { audiencesOf } from './credential/token-claims.ts';
import { type ServerIdentity } from './kube/connection.ts';
import { inClusterIdentity, readInClusterNamespace } from './kube/in-cluster.ts';
import { kubeconfigIdentity } from './kube/kubeconfig.ts';
import { Operator } from './operator.ts';
import { helpText, type Options, parseOptions } from './options.ts';
import { systemClock } from './runtime/clock.ts';
import type { Log } from './runtime/log.ts';
import { systemRandom } from './runtime/random.ts';
import { jsonLog } from './telemetry/logger.ts';
import type { ProcessStats } from './telemetry/metrics.ts';
import { followAuthorities } from './transport/authorities.ts';
import { type Egress, planEgress } from './transport/egress.ts';
import { type TLSMaterial, undiciTransport } from './transport/undici.ts';
import { VERSION } from './version.ts';

/** Connections to the API server: as many as workers can use, and bounded (nothing to it, 16 or 32). */
const KUBE_CONNECTIONS = 16;
const STS_CONNECTIONS = 32;
const CONNECT_TIMEOUT_MS = 5_000;
/** After the second signal, or a stop that hangs. */
const HARD_STOP_MS = 9_500;
/** V8's form of a line of a stack that names a place, https://v8.dev/docs/stack-trace-api */
const FRAME = /^ {4}at .*(:\d+:\d+\)?|\(<anonymous>\)|\(native\))$/;
const MOST_FRAMES = 10;

function fail(sentence: string, status = 1): never {
  process.stderr.write(`workload-credentials: ${sentence}\n`);
  process.exit(status);
}

function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : 'an unknown error';
}

async function identityFor(options: Options): Promise<ServerIdentity> {
  if (options.kubeconfig !== undefined) {
    return await kubeconfigIdentity({ path: options.kubeconfig });
  }
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env;
  if (host === undefined || port === undefined) {
    fail('KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set, so this is no pod: pass --kubeconfig=FILE.');
  }
  return inClusterIdentity({ host, port });
}

/** The audiences of the token that the operator itself shows to the API server: no STS may be given one of them. */
async function ownAudiences(identity: ServerIdentity): Promise<readonly string[]> {
  const { authorization } = await identity.read(false);
  return authorization === undefined ? [] : audiencesOf(authorization.replace(/^Bearer /, ''));
}

/** What STS is verified with, which has nothing to do with the authority of the API server. */
async function stsTLS({ stsCAFile, stsExtraCAFile }: Options): Promise<TLSMaterial> {
  if (stsCAFile !== undefined) {
    return { ca: await certificatesIn(stsCAFile, '--sts-ca-file') };
  }
  return stsExtraCAFile === undefined ? {} : { extraCA: await certificatesIn(stsExtraCAFile, '--sts-extra-ca-file') };
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/**
 * Each certificate is read here once: OpenSSL leaves out one that it cannot read, and says nothing.
 * @throws Error with one sentence.
 */
async function certificatesIn(path: string, flag: string): Promise<string> {
  const pem = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new Error(`${flag} ${path} cannot be read (${error.code ?? 'unreadable'}): give a file of PEM certificates.`);
  });
  const certificates = pem.match(PEM_CERTIFICATE) ?? [];
  if (certificates.length === 0) {
    throw new Error(`${flag} ${path} holds no PEM certificate: give a file of PEM certificates.`);
  }
  const broken = certificates.findIndex((certificate) => !isCertificate(certificate));
  if (broken >= 0) {
    const which = `certificate ${broken + 1} of ${certificates.length}`;
    throw new Error(`${flag} ${path}: ${which} cannot be read: repair or remove it.`);
  }
  return certificates.join('\n');
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}

/** The ways out of the process. The only place that reads HTTPS_PROXY and NO_PROXY. */
function egressFor(options: Options, identity: ServerIdentity, log: Log): Egress {
  const isInCluster = options.kubeconfig === undefined;
  const egress = planEgress(options, process.env, { server: identity.server, isInCluster, proxy: identity.proxy });
  if (egress.summary !== undefined) {
    log.info('a proxy is in use', egress.summary);
  }
  if (egress.ignored.length > 0) {
    log.warn('items of NO_PROXY mean nothing here and except nothing; give --no-proxy to be rid of this', {
      items: egress.ignored,
    });
  }
  return egress;
}

/** How often the event loop's lag is sampled. Node's default of 10 ms wakes an idle process 100 times a second. */
const LAG_RESOLUTION_MS = 100;

/**
 * The lag of the event loop. What Node measures is the time between two ticks of its sampler, whose own period is in it.
 * @param meanNs the mean of those times in nanoseconds; NaN where there was none.
 */
export function lagSeconds(meanNs: number): number {
  return Number.isNaN(meanNs) ? 0 : Math.max(0, meanNs / 1e9 - LAG_RESOLUTION_MS / 1000);
}

function processStats(): () => ProcessStats {
  const delay = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
  delay.enable();
  const startTimeSeconds = Date.now() / 1000 - process.uptime();
  return () => {
    const cpu = process.cpuUsage();
    const memory = process.memoryUsage();
    const eventLoopLagSeconds = lagSeconds(delay.mean);
    delay.reset();
    return {
      userCPUSeconds: cpu.user / 1e6,
      systemCPUSeconds: cpu.system / 1e6,
      startTimeSeconds,
      residentMemoryBytes: memory.rss,
      heapTotalBytes: memory.heapTotal,
      heapUsedBytes: memory.heapUsed,
      externalBytes: memory.external,
      eventLoopLagSeconds,
    };
  };
}

/** SIGTERM and SIGINT stop in order; a second one, or an order that takes too long, at once. */
function stopOnSignals(): AbortSignal {
  const stop = new AbortController();
  const onSignal = (name: NodeJS.Signals): void => {
    if (stop.signal.aborted) {
      process.exit(1);
    }
    stop.abort(new Error(name));
    setTimeout(() => fail('it did not stop in time and was ended.'), HARD_STOP_MS).unref();
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    // In the place of main.ts's, which ends at once. Added first: with its last listener Node drops a signal that is on its way.
    const former = process.listeners(signal);
    process.on(signal, onSignal);
    for (const listener of former) process.removeListener(signal, listener);
  }
  return stop.signal;
}

async function run(options: Options): Promise<number> {
  const log = jsonLog({
    stream: process.stdout,
    level: options.logLevel,
    clock: systemClock,
    onWriteFailure: (sentence) => fail(sentence),
  });
  const crash = crashHandler(log, (status) => process.exit(status));
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);
  const stop = stopOnSignals();
  const identity = await identityFor(options);
  const egress = egressFor(options, identity, log);
  const connectTimeoutMs = CONNECT_TIMEOUT_MS;
  const stsTransport = await followAuthorities({
    read: async () => stsTLS(options),
    open: (tls) => undiciTransport({ connections: STS_CONNECTIONS, tls, connectTimeoutMs, route: egress.sts }),
    clock: systemClock,
    log,
  });
  const operator = new Operator({
    options,
    identity,
    leaseNamespace: options.leaseNamespace ?? (options.leaderElect ? await readInClusterNamespace() : ''),
    hostName: hostname(),
    version: VERSION,
    apiServerAudiences: [...options.apiServerAudiences, ...(await ownAudiences(identity))],
    openTransport: (material) =>
      undiciTransport({ connections: KUBE_CONNECTIONS, tls: material, connectTimeoutMs, route: egress.apiServer }),
    stsTransport,
    clock: systemClock,
    random: systemRandom,
    log,
    processStats: processStats(),
  });
  const end = await operator.run(stop);
  if (end === 'lost') {
    log.error('the Lease was lost, another replica may work: this one ends');
    return 1;
  }
  return 0;
}

/**
 * What to do with an error that nobody caught: one line of the log, and status 1. As after a Go panic, nothing is finished:
 * what the process holds in memory is not to be trusted any more. The Lease is not given back but runs out (15 s), since
 * a process in an unknown state may still be writing. The error's message is left out: it may quote what was parsed.
 * @param exit ends the process.
 */
export function crashHandler(log: Log, exit: (status: number) => void): (error: unknown) => void {
  return (error) => {
    try {
      log.error('an unforeseen error ended the process', {
        errorName: error instanceof Error ? error.name : typeof error,
        errorCode: codeOf(error),
        at: error instanceof Error ? framesOf(error) : [],
      });
    } finally {
      exit(1);
    }
  };
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** Where it happened: the lines of the stack that name a place. What stands before them repeats the message. */
function framesOf({ message, stack = '' }: Error): string[] {
  return stack
    .replace(message, '')
    .split('\n')
    .filter((line) => FRAME.test(line))
    .slice(0, MOST_FRAMES)
    .map((line) => line.trim());
}

/** Runs the program with a command line, without Node and the file; sets the exit code. */
export async function main(args: readonly string[]): Promise<void> {
  const parsed = parseOptions(args);
  switch (parsed.kind) {
    case 'help':
      process.stdout.write(helpText());
      break;
    case 'version':
      process.stdout.write(`${VERSION}\n`);
      break;
    case 'wrong':
      fail(`the command line is wrong.\n  ${parsed.problems.join('\n  ')}`, 2);
      break;
    case 'run':
      process.exitCode = await run(parsed.options).catch((error: unknown) => fail(sentenceOf(error)));
      break;
  }
}
