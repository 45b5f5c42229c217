// Promises: runs promtool's own tests on the chart's rule file, one made-up history at a time, and tells what it found. Which
// alerts fire is read from the series ALERTS that Prometheus writes. Decides nothing itself.
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type CommandResult, runCommand } from '../beds/command.ts';
import { scratchDirectory } from '../beds/processes.ts';

/** The chart's rule file. */
export const RULES_PATH = fileURLToPath(new URL('../../helm/files/alerts.yaml', import.meta.url));

/** Its text. */
export const rulesText = (): string => readFileSync(RULES_PATH, 'utf8');

export type Labels = Readonly<Record<string, string>>;

/** Series by name and labels, each with its values in promtool's notation, one every 30 s from the time 0 on. */
export type History = Readonly<Record<string, string>>;

/** What an expression has at a time. */
export interface Expectation {
  readonly expression: string;
  /** Such as `7m30s`. */
  readonly at: string;
  readonly samples: readonly { readonly labels: string; readonly value: number }[];
}

/** Samples come and rules are evaluated this often, as with the chart's ServiceMonitor and Prometheus' usual settings. */
const INTERVAL = '30s';

/** Labels in the form of an expression. */
export function selector(labels: Labels): string {
  return `{${Object.entries(labels)
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .join(', ')}}`;
}

/** That exactly these alerts of a name fire, each given by its labels beside the name and the severity. */
export function firing(
  alertname: string,
  severity: string,
  { at, alerts }: { readonly at: string; readonly alerts: readonly Labels[] },
): Expectation {
  return {
    expression: `ALERTS{alertname="${alertname}", alertstate="firing"}`,
    at,
    samples: alerts.map((labels) => ({
      labels: `ALERTS${selector({ alertname, alertstate: 'firing', severity, ...labels })}`,
      value: 1,
    })),
  };
}

let directory: string | undefined;
let files = 0;

/** Plays a history and checks what is expected of it. */
export async function playRules(
  promtool: string,
  history: History,
  expectations: readonly Expectation[],
): Promise<CommandResult> {
  directory ??= scratchDirectory('promtool');
  files += 1;
  const file = join(directory, `${files}.yaml`);
  const unit = {
    rule_files: [RULES_PATH],
    evaluation_interval: INTERVAL,
    tests: [
      {
        interval: INTERVAL,
        input_series: Object.entries(history).map(([series, values]) => ({ series, values })),
        promql_expr_test: expectations.map(({ expression, at, samples }) => ({
          expr: expression,
          eval_time: at,
          exp_samples: samples,
        })),
      },
    ],
  };
  await writeFile(file, JSON.stringify(unit, undefined, 1));
  return await runCommand(promtool, ['test', 'rules', file], { env: { PATH: '/usr/bin:/bin' }, cwd: directory });
}

/** Runs another command of promtool. */
export async function promtoolSays(promtool: string, args: readonly string[], stdin = ''): Promise<CommandResult> {
  directory ??= scratchDirectory('promtool');
  return await runCommand(promtool, args, { env: { PATH: '/usr/bin:/bin' }, cwd: directory, stdin });
}
