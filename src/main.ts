// Promises: the process's edge: arguments, environment, files, signals and the exit code; the only reader of `process`.
// Whatever goes wrong ends in one sentence on standard error and status 1 (2 for a wrong command line). May not decide
// anything else.
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
import { systemRandom } from './runtime/random.ts';
import { jsonLog } from './telemetry/logger.ts';
import type { ProcessStats } from './telemetry/metrics.ts';
import { undiciTransport } from './transport/undici.ts';
import { VERSION } from './version.ts';

/** Connections to the API server: as many as workers can use, and bounded (nothing to it, 16 or 32). */
const KUBE_CONNECTIONS = 16;
const STS_CONNECTIONS = 32;
const CONNECT_TIMEOUT_MS = 5_000;
/** After the second signal, or a stop that hangs. */
const HARD_STOP_MS = 9_500;

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

async function stsCA(options: Options): Promise<string | undefined> {
  const path = options.stsCAFile;
  if (path === undefined) {
    return undefined;
  }
  const pem = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) =>
    fail(`--sts-ca-file ${path} cannot be read (${error.code ?? 'unreadable'}): give a file of PEM certificates.`),
  );
  return pem.includes('-----BEGIN CERTIFICATE-----')
    ? pem
    : fail(`--sts-ca-file ${path} holds no PEM certificate: give a file of PEM certificates.`);
}

function processStats(): () => ProcessStats {
  const delay = monitorEventLoopDelay();
  delay.enable();
  const startTimeSeconds = Date.now() / 1000 - process.uptime();
  return () => {
    const cpu = process.cpuUsage();
    const memory = process.memoryUsage();
    const lag = delay.mean;
    delay.reset();
    return {
      userCPUSeconds: cpu.user / 1e6,
      systemCPUSeconds: cpu.system / 1e6,
      startTimeSeconds,
      residentMemoryBytes: memory.rss,
      heapTotalBytes: memory.heapTotal,
      heapUsedBytes: memory.heapUsed,
      externalBytes: memory.external,
      eventLoopLagSeconds: Number.isFinite(lag) ? lag / 1e9 : 0,
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
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return stop.signal;
}

async function run(options: Options): Promise<number> {
  const log = jsonLog({
    stream: process.stdout,
    level: options.logLevel,
    clock: systemClock,
    onWriteFailure: (sentence) => fail(sentence),
  });
  const stop = stopOnSignals();
  const identity = await identityFor(options);
  const ca = await stsCA(options);
  const tls = ca === undefined ? {} : { ca };
  const operator = new Operator({
    options,
    identity,
    leaseNamespace: options.leaseNamespace ?? (options.leaderElect ? await readInClusterNamespace() : ''),
    hostName: hostname(),
    version: VERSION,
    apiServerAudiences: [...options.apiServerAudiences, ...(await ownAudiences(identity))],
    openTransport: (material) =>
      undiciTransport({ connections: KUBE_CONNECTIONS, tls: material, connectTimeoutMs: CONNECT_TIMEOUT_MS }),
    stsTransport: undiciTransport({ connections: STS_CONNECTIONS, tls, connectTimeoutMs: CONNECT_TIMEOUT_MS }),
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

const parsed = parseOptions(process.argv.slice(2));
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
    process.on('unhandledRejection', (error) =>
      fail(`an unforeseen error: ${error instanceof Error ? error.name : 'unknown'}.`),
    );
    process.exitCode = await run(parsed.options).catch((error: unknown) => fail(sentenceOf(error)));
    break;
}
