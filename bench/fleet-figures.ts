// Promises: what a fleet of one size cost, as rows of a Markdown table with a column for each size, and which of the expectations it
// did not meet. Pure: the measuring is bench/fleet.ts.
import type { Asked } from './fleet-bed.ts';

/** A process that has settled: what it holds, and what it held at most until then. */
export interface Held {
  readonly residentMiB: number;
  readonly peakMiB: number;
}

/** A stretch of an operator's life. */
export interface Stretch {
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly asked: Asked;
}

/** An answer of /metrics. */
export interface Page {
  readonly bytes: number;
  /** Until all of it had come; the median of some. */
  readonly answerMs: number;
  /** Series that name a credential. */
  readonly series: number;
}

/** All that is measured of one size. */
export interface FleetFigures {
  readonly count: number;
  /** From the start of the process to the last call. */
  readonly firstIssue: Stretch & { readonly ready: number; readonly held: Held };
  /** From the start of the process to the moment at which it leads and has all lists. */
  readonly restart: Stretch & { readonly held: Held; readonly looks: number };
  /** CPU in a second in which nothing is due. */
  readonly restCPUMs: number;
  readonly standby: Held;
  /** What the standby asked for since it was told to take over. */
  readonly takeover: Asked;
  readonly pages: { readonly each: Page; readonly without: Page };
  /** The most that any process of this size held, scrapes included. */
  readonly peakMiB: number;
}

type Cell = (figures: FleetFigures) => string;

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
const whole = (value: number): string => Math.round(value).toLocaleString('en-US');
const mib = (value: number): string => `${value.toFixed(0)} MiB`;
const page = ({ bytes, answerMs }: Page): string => `${whole(bytes / 1000)} kB, ${whole(answerMs)} ms`;
const eventsIn = ({ calls }: Asked): number => calls.get('POST events') ?? 0;

/** The first cells of the rows, and what stands in them. */
const ROWS: Readonly<Record<string, Cell>> = {
  'first issue of all: from the start to the last call': ({ firstIssue }) => seconds(firstIssue.wallMs),
  'its CPU': ({ firstIssue }) => seconds(firstIssue.cpuMs),
  exchanges: ({ firstIssue }) => whole(firstIssue.asked.issued + firstIssue.asked.refused),
  'calls to the API server, Events among them': ({ firstIssue: { asked } }) =>
    `${whole(asked.total)}, ${whole(eventsIn(asked))}`,
  '`VmRSS` after it': ({ firstIssue }) => mib(firstIssue.held.residentMiB),
  'restart, none due: from the start to working': ({ restart }) => seconds(restart.wallMs),
  'CPU of the restart': ({ restart }) => seconds(restart.cpuMs),
  'exchanges; writes; lists': ({ restart: { asked } }) =>
    `${asked.issued + asked.refused}; ${asked.writes}; ${asked.total - asked.writes}`,
  '`VmRSS` after the restart': ({ restart }) => mib(restart.held.residentMiB),
  '`VmRSS` of a standby': ({ standby }) => mib(standby.residentMiB),
  'take-over by the standby: exchanges; writes': ({ takeover }) =>
    `${takeover.issued + takeover.refused}; ${takeover.writes}`,
  'CPU at rest, a second': ({ restCPUMs }) => `${restCPUMs.toFixed(1)} ms`,
  '`/metrics` with the series of each credential': ({ pages }) => page(pages.each),
  '`/metrics` without': ({ pages }) => page(pages.without),
  'the most that any of these held (`VmHWM`)': ({ peakMiB }) => mib(peakMiB),
};

/** The table. */
export function tableOf(all: readonly FleetFigures[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    line(['credentials', ...all.map(({ count }) => whole(count))]),
    line(['---', ...all.map(() => '---')]),
    ...Object.entries(ROWS).map(([name, cell]) => line([name, ...all.map(cell)])),
  ].join('\n');
}

/** What has to hold of a size, each as a sentence about what was seen instead; empty when all does. */
export function broken(figures: FleetFigures, memoryLimitMiB: number): string[] {
  const { count, firstIssue, restart, takeover, pages, peakMiB } = figures;
  const { issued, refused, calls } = firstIssue.asked;
  const tokens = calls.get('POST serviceaccounts/token') ?? 0;
  const expectations: readonly (readonly [boolean, string])[] = [
    [firstIssue.ready === count, `${firstIssue.ready} are Ready after the first issue`],
    [issued === count && refused === 0, `the first issue was ${issued} exchanges, and ${refused} that gave nothing`],
    [tokens === count, `the first issue took ${tokens} tokens`],
    ...[['the restart', restart.asked] as const, ['the take-over', takeover] as const].map(
      ([what, asked]): readonly [boolean, string] => [
        asked.issued + asked.refused === 0 && asked.writes === 0,
        `${what} cost ${asked.issued + asked.refused} exchanges and ${asked.writes} writes: ${kinds(asked)}`,
      ],
    ),
    [restart.looks >= count, `the restarted operator has looked at ${restart.looks}`],
    [pages.each.series === 2 * count, `/metrics has ${pages.each.series} series of single credentials`],
    [pages.without.series === 0, `/metrics without them has ${pages.without.series} series of single credentials`],
    [peakMiB < memoryLimitMiB, `${peakMiB.toFixed(0)} MiB were held, and the limit is ${memoryLimitMiB} MiB`],
  ];
  return expectations.filter(([holds]) => !holds).map(([, seen]) => `${count} credentials: ${seen}`);
}

function kinds({ calls }: Asked): string {
  return [...calls].map(([kind, seen]) => `${seen} x ${kind}`).join(', ');
}

/** Series of single credentials in a page of metrics, and how often the operator has looked at a credential. */
export function readPage(text: string): { readonly series: number; readonly looks: number } {
  const counts = text.matchAll(/^controller_runtime_reconcile_time_seconds_count\S* (\d+)/gm);
  return {
    series: [...text.matchAll(/^workloadcredential_(?:expiration|refresh)_timestamp_seconds\{/gm)].length,
    looks: [...counts].reduce((so, [, count]) => so + Number(count), 0),
  };
}

/** The one in the middle. */
export function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN;
}
