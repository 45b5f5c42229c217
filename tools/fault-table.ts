// Promises: the fault table of docs/reliability.md, made of the lines that fault tests print (test/support/fault-report.ts).
// As a reporter of node:test it prints the table of the run. As a command, `node tools/fault-table.ts FILE...`, it reads the
// output of runs and writes the page's table; the worst measurement of a fault on a bed is what counts.
import { readFileSync, writeFileSync } from 'node:fs';
import type { TestEvent } from 'node:test/reporters';
import { FAULT_REGISTER, type FaultName, type FaultReport, readFaultReport } from '../test/support/fault-report.ts';

const PAGE = new URL('../docs/reliability.md', import.meta.url);
const BEGIN = '<!-- fault table: begin -->\n';
const END = '<!-- fault table: end -->\n';
const HEAD = ['Fault', 'Bed', 'What the operator did', 'Late at most', 'What a reader of the Secret saw'];

/** What is not measured is not in the table: this is what a run left out, as `fault (bed)`. */
export function missingFrom(reports: readonly FaultReport[]): string[] {
  const told = new Set(reports.map(({ fault, bed }) => `${fault} (${bed})`));
  return Object.entries(FAULT_REGISTER)
    .flatMap(([fault, beds]) => beds.map((bed) => `${fault} (${bed})`))
    .filter((row) => !told.has(row));
}

/** Of several measurements of one fault on one bed, the one that was latest; in the register's order. */
export function worst(reports: readonly FaultReport[]): FaultReport[] {
  const byRow = new Map<string, FaultReport>();
  for (const report of reports) {
    const row = `${report.fault} (${report.bed})`;
    const known = byRow.get(row);
    if (known === undefined || (report.lateMs ?? -1) > (known.lateMs ?? -1)) byRow.set(row, report);
  }
  const order = Object.keys(FAULT_REGISTER) as FaultName[];
  return [...byRow.values()].sort(
    (a, b) => order.indexOf(a.fault) - order.indexOf(b.fault) || (a.bed < b.bed ? 1 : -1),
  );
}

function formatLate(lateMs: number | undefined): string {
  return lateMs === undefined ? 'none was due' : `${(lateMs / 1_000).toFixed(1)} s`;
}

/** The table in Markdown, with its last newline. */
export function tableOf(reports: readonly FaultReport[]): string {
  const row = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rows = worst(reports).map(({ fault, bed, did, lateMs, seen }) =>
    row([fault, bed, did, formatLate(lateMs), seen]),
  );
  return `${[row(HEAD), row(HEAD.map(() => '---')), ...rows].join('\n')}\n`;
}

/** Every report in the output of a run. */
export function reportsIn(text: string): FaultReport[] {
  return text
    .split('\n')
    .map(readFaultReport)
    .filter((report) => report !== undefined);
}

/** The page with another table. @throws Error when it lacks the two marks. */
export function pageWith(page: string, table: string): string {
  const [from, to] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`docs/reliability.md lacks ${BEGIN.trim()} or ${END.trim()}`);
  return `${page.slice(0, from + BEGIN.length)}\n${table}\n${page.slice(to)}`;
}

/** The reporter: nothing but the table, at the end. */
// oxlint-disable-next-line import/no-default-export -- node:test takes a reporter by its default export
export default async function* faultTable(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const reports: FaultReport[] = [];
  for await (const event of source) {
    if (event.type !== 'test:diagnostic') continue;
    const report = readFaultReport(event.data.message);
    if (report !== undefined) reports.push(report);
  }
  if (reports.length > 0) yield `\n${tableOf(reports)}`;
}

if (import.meta.main) {
  const files = process.argv.slice(2);
  if (files.length === 0)
    throw new Error('name the files that hold the output of npm run test:chaos and npm run test:e2e');
  const reports = files.flatMap((file) => reportsIn(readFileSync(file, 'utf8')));
  writeFileSync(PAGE, pageWith(readFileSync(PAGE, 'utf8'), tableOf(reports)));
  const missing = missingFrom(reports);
  console.log(
    `${worst(reports).length} rows written${missing.length === 0 ? '' : `; not measured: ${missing.join(', ')}`}`,
  );
  if (missing.length > 0) process.exitCode = 1;
}
