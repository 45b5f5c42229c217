// Promises: what a fault test measured, told as one line of its output, in one form for all of them: the table in
// docs/reliability.md is made of these lines (tools/fault-table.ts) and of nothing else. The register below is the list of
// faults that the suites meet. May not measure anything itself.
import type { TestContext } from 'node:test';

/** Where it was measured: against the sandbox's servers, or against kube-apiserver, etcd and SeaweedFS. */
export type FaultBedName = 'sandbox' | 'real';

/** Every fault that a suite reports, with the beds on which it does. Its order is the table's. */
export const FAULT_REGISTER = {
  'watch cut': ['sandbox'],
  'watch ends in half a JSON line': ['sandbox'],
  'watch says half a JSON line and nothing more': ['sandbox'],
  'watch says what is no JSON': ['sandbox'],
  'watch says ERROR 410 Expired': ['sandbox'],
  'watch says ERROR 500': ['sandbox'],
  'watch says ERROR 429': ['sandbox'],
  'watch open but silent': ['sandbox'],
  'API server: 500 to everything, 2 min': ['sandbox'],
  'API server: 503 with Retry-After, 2 min': ['sandbox'],
  'API server: 429 with Retry-After, 2 min': ['sandbox'],
  'API server: 429 for one namespace of two': ['sandbox'],
  'API server: every connection reset, 2 min': ['sandbox'],
  'API server: takes connections, answers nothing, 2 min': ['sandbox'],
  'API server: acts and loses every answer, 2 min': ['sandbox'],
  'API server: 403 to all writes for 15 s, after 2 min without STS': ['sandbox'],
  'API server killed and started again': ['real'],
  'API server stopped by SIGSTOP for 20 s': ['real'],
  'etcd restored from an older snapshot': ['real'],
  'serving certificate and its authority replaced': ['real'],
  "operator's token expired": ['sandbox'],
  "operator's token revoked and replaced": ['real'],
  "issuer's signing key rotated": ['sandbox'],
  'STS down (503), 2 min': ['sandbox'],
  'STS down (connections reset), 2 min': ['sandbox'],
  'STS silent, 2 min': ['sandbox'],
  'STS throttling, 2 min': ['sandbox'],
  'STS slow: 8 s of a 10 s deadline': ['sandbox', 'real'],
  'STS lying, 2 min': ['sandbox'],
  'STS refusing, failing or lying, once': ['real'],
  'clock half an hour ahead': ['sandbox', 'real'],
  'clock half an hour behind': ['sandbox', 'real'],
  '2,000 refused credentials of another tenant': ['sandbox'],
  'leader ended by SIGTERM': ['sandbox', 'real'],
  'leader ended by SIGKILL': ['sandbox', 'real'],
  'leader stopped by SIGSTOP beyond its Lease': ['sandbox', 'real'],
  'operator killed between Secret and status': ['real'],
  'restart with 1,000 credentials not due': ['sandbox', 'real'],
  'upgrade from the last release, 1,000 not due': ['real'],
  'upgrade from Secrets of an older hash version, 1,000 not due': ['sandbox', 'real'],
} as const satisfies Readonly<Record<string, readonly FaultBedName[]>>;

/** A fault of the register. */
export type FaultName = keyof typeof FAULT_REGISTER;

/** One measurement. */
export interface FaultReport {
  readonly fault: FaultName;
  readonly bed: FaultBedName;
  /** What the operator did, with the figures as counted at the servers. */
  readonly did: string;
  /** The longest time that a due refresh reached its Secret after the fault had ended; undefined where none was due. */
  readonly lateMs?: number | undefined;
  /** What the reader of the Secret saw. */
  readonly seen: string;
}

/** What a line with a report begins with, wherever a test reporter puts it. */
export const REPORT_MARK = 'fault-report ';

/** Tells a report in the test's output. */
export function tellFault(context: Pick<TestContext, 'diagnostic'>, report: FaultReport): void {
  context.diagnostic(`${REPORT_MARK}${JSON.stringify(report)}`);
}

/** Reads a report; undefined for any other text. */
export function readFaultReport(text: string): FaultReport | undefined {
  const at = text.indexOf(REPORT_MARK);
  return at < 0 ? undefined : (JSON.parse(text.slice(at + REPORT_MARK.length)) as FaultReport);
}

/** A number of things in English: `1 exchange`, `3 exchanges`. */
export function countOf(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? '' : 's'}`;
}
