// Promises: a real Prometheus with promtool, from Debian's package, unpacked into the cache outside of the checkout (nothing
// is installed into the system), or those on PATH where there is no apt-get; started on a loopback port with what a test gives
// it, and its query API. What is missing is told in one sentence with the cure.
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { cacheDirectory, MissingToolError } from './binaries.ts';
import { unpackDebianPackages } from './debian.ts';
import { withLock } from './lock.ts';
import { type Child, freePorts, removeScratchDirectory, scratchDirectory, startChild } from './processes.ts';
import { AbortedWait, waitFor } from './wait.ts';

/** Where the two programs are. */
export interface PrometheusTools {
  readonly prometheus: string;
  readonly promtool: string;
}

const PROGRAMS = ['prometheus', 'promtool'] as const;
const CURE =
  'install the package prometheus (Debian, Ubuntu: apt-get install prometheus), or have prometheus and promtool 2.42 or newer on PATH';
const PACKAGES = {
  name: 'prometheus',
  packages: ['prometheus'],
  purpose: 'Prometheus to evaluate the alerts with',
  cure: CURE,
};

function toolsIn(directory: string): PrometheusTools | undefined {
  const [prometheus, promtool] = PROGRAMS.map((name) => join(directory, name));
  return prometheus !== undefined && promtool !== undefined && existsSync(prometheus) && existsSync(promtool)
    ? { prometheus, promtool }
    : undefined;
}

function toolsOnPath(): PrometheusTools | undefined {
  const directories = (process.env['PATH'] ?? '').split(delimiter);
  return directories.map(toolsIn).find((tools) => tools !== undefined);
}

/**
 * Makes sure that both programs are there.
 * @throws MissingToolError when they are not and cannot be had.
 */
export async function ensurePrometheus(): Promise<PrometheusTools> {
  const parent = join(cacheDirectory(), 'bin');
  const directory = join(parent, 'prometheus-debian');
  const programs = join(directory, 'usr/bin');
  const known = toolsIn(programs);
  if (known !== undefined) return known;
  await mkdir(parent, { recursive: true });
  const made = await withLock(join(parent, '.prometheus.lock'), async () => {
    const before = toolsIn(programs);
    if (before !== undefined) return before;
    await unpackDebianPackages(directory, PACKAGES).catch((error: unknown) => {
      if (toolsOnPath() === undefined) throw error;
    });
    return toolsIn(programs) ?? toolsOnPath();
  });
  if (made === undefined) throw new MissingToolError(`The package prometheus has no prometheus or promtool: ${CURE}.`);
  return made;
}

/** One series of an answer. */
export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  /** Seconds since the epoch, and the value as text; one for an instant query. */
  readonly values: readonly (readonly [number, string])[];
}

/** One alert that is pending or firing. */
export interface ActiveAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly state: 'pending' | 'firing';
}

/** One replica as a ServiceMonitor or PodMonitor finds it. */
export interface ScrapeTarget {
  /** `host:port`, which becomes the label `instance`. */
  readonly address: string;
  /** What it is known by beside that: `namespace` and `pod`, in a cluster. */
  readonly labels: Readonly<Record<string, string>>;
}

/** What to scrape and to evaluate. */
export interface PrometheusOptions {
  readonly tools: PrometheusTools;
  /** All of one job. */
  readonly targets: readonly ScrapeTarget[];
  readonly job: string;
  /** As in the chart's monitors: a label of a series is kept where a target has one of the same name. Default: true. */
  readonly honorLabels?: boolean;
  /** Text of a rule file. */
  readonly rules: string;
  /** Of scrapes and of evaluations; a second or more. */
  readonly intervalMs: number;
}

/** A running Prometheus. */
export interface RunningPrometheus {
  /** What the expression has now. @throws Error with Prometheus' own words when it is wrong. */
  query(expression: string): Promise<readonly Series[]>;
  /** What it had between two times, in seconds since the epoch. */
  queryRange(
    expression: string,
    range: { readonly startSeconds: number; readonly endSeconds: number; readonly stepSeconds: number },
  ): Promise<readonly Series[]>;
  /** What `label` has been in the series of a selector, as Grafana's label_values() asks. */
  labelValues(selector: string, label: string): Promise<readonly string[]>;
  alerts(): Promise<readonly ActiveAlert[]>;
  stop(): Promise<void>;
}

interface Answer<Data> {
  readonly status: string;
  readonly error?: string;
  readonly data?: Data;
}

interface WireSeries {
  readonly metric: Readonly<Record<string, string>>;
  readonly value?: readonly [number, string];
  readonly values?: readonly (readonly [number, string])[];
}

function configuration({ targets, job, honorLabels = true, intervalMs }: PrometheusOptions): string {
  // JSON is YAML.
  return JSON.stringify({
    global: {
      scrape_interval: `${intervalMs}ms`,
      evaluation_interval: `${intervalMs}ms`,
      scrape_timeout: '1s',
    },
    rule_files: ['rules.yaml'],
    scrape_configs: [
      {
        job_name: job,
        honor_labels: honorLabels,
        static_configs: targets.map(({ address, labels }) => ({ targets: [address], labels })),
      },
    ],
  });
}

async function get<Data>(url: string, parameters: Readonly<Record<string, string>> = {}): Promise<Data> {
  const answer = await fetch(`${url}?${new URLSearchParams(parameters).toString()}`, {
    signal: AbortSignal.timeout(10_000),
  });
  const { status, error, data } = (await answer.json()) as Answer<Data>;
  if (status !== 'success' || data === undefined) throw new Error(`Prometheus: ${error ?? status}`);
  return data;
}

async function begin(options: PrometheusOptions, directory: string): Promise<{ child: Child; api: string }> {
  const [port = 0] = await freePorts(1);
  const child = await startChild({
    name: 'prometheus',
    command: options.tools.prometheus,
    args: [
      `--config.file=${join(directory, 'prometheus.yaml')}`,
      `--storage.tsdb.path=${join(directory, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
    env: { PATH: '/usr/bin:/bin' },
    logFile: join(directory, 'log'),
    cwd: directory,
  });
  const url = `http://127.0.0.1:${port}`;
  await waitFor(
    'Prometheus',
    async () => {
      if (child.exit() !== undefined) throw new AbortedWait(`Prometheus has ended:\n${child.logTail()}`);
      return (await fetch(`${url}/-/ready`)).ok;
    },
    { timeoutMs: 20_000 },
  );
  return { child, api: `${url}/api/v1` };
}

/** Starts it; resolves when it answers. */
export async function startPrometheus(options: PrometheusOptions): Promise<RunningPrometheus> {
  const directory = scratchDirectory('prometheus');
  await writeFile(join(directory, 'prometheus.yaml'), configuration(options));
  await writeFile(join(directory, 'rules.yaml'), options.rules);
  const { child, api } = await begin(options, directory);
  const series = async (path: string, parameters: Readonly<Record<string, string>>): Promise<Series[]> => {
    const { result } = await get<{ readonly result: readonly WireSeries[] }>(`${api}/${path}`, parameters);
    return result.map(({ metric, value, values }) => ({
      metric,
      values: values ?? (value === undefined ? [] : [value]),
    }));
  };
  return {
    query: async (expression) => await series('query', { query: expression }),
    queryRange: async (expression, { startSeconds, endSeconds, stepSeconds }) =>
      await series('query_range', {
        query: expression,
        start: String(startSeconds),
        end: String(endSeconds),
        step: String(stepSeconds),
      }),
    labelValues: async (selector, label) =>
      await get<string[]>(`${api}/label/${label}/values`, { 'match[]': selector }),
    alerts: async () => (await get<{ readonly alerts: readonly ActiveAlert[] }>(`${api}/alerts`)).alerts,
    stop: async () => {
      await child.kill();
      await removeScratchDirectory(directory);
    },
  };
}
