// Promises: the verdict on what a whole end-to-end run has left (rights.ts), per scope of the chart: what the operator used
// without a grant, what it was granted and never used, and where it ran otherwise than the chart makes it. Of a run that was
// not whole it says so, and does not judge what nobody used. Pure.
import type { RightsRecord, ScopeName } from './rights.ts';
import type { RunScope } from './scope.ts';

/** Every scope that the chart has. */
export const SCOPES: readonly ScopeName[] = ['namespaces', 'serviceAccounts', 'clusterWide'];

/**
 * Files of test/e2e that install no operator in the way that is watched: they try the beds and the providers, or what the
 * documentation says, by its own commands.
 */
export const WITHOUT_OPERATOR: readonly string[] = [
  'bed.test.ts',
  'docs-issuer.test.ts',
  'docs.test.ts',
  'providers.test.ts',
];

/** Files whose stories are about one scope: a run that asks for another leaves them theirs. */
export const OF_ONE_SCOPE: readonly string[] = ['chart.test.ts'];

/**
 * Where the chart names ServiceAccounts, tokens of all others are refused, and a test wants to see that. Everything else
 * that RBAC refuses is a right that is missing.
 */
const NARROWED = 'refused: create serviceaccounts/token ';

/** What was found. */
export interface Verdict {
  /** A sentence each; the run has failed when there are any. */
  readonly problems: readonly string[];
  /** Why it was not a whole run; none when it was. */
  readonly missing: readonly string[];
  /** A line for each scope, for people. */
  readonly summary: readonly string[];
}

/** What a file did wrong, whatever the others did. */
function problemsOf({ file, scope, ungranted, asOthers, irregular }: RightsRecord): string[] {
  const told = (text: string): string => `${file} (${scope}): ${text}`;
  const isNarrowed = (call: string): boolean => scope === 'serviceAccounts' && call.startsWith(NARROWED);
  return [
    ...ungranted.filter((call) => !isNarrowed(call)).map((call) => told(`used and not granted: ${call}`)),
    ...asOthers.map((call) => told(`the operator ran as somebody else: ${call}`)),
    ...irregular.map((text) => told(`not the chart as it is: ${text}`)),
  ];
}

/** What the run lacks to be a whole one. */
function missingFrom(records: readonly RightsRecord[], files: readonly string[], all: readonly string[]): string[] {
  const left = new Set(records.map(({ file }) => file));
  const present = records.filter(({ isPresentChart }) => isPresentChart);
  return [
    ...all.filter((file) => !files.includes(file)).map((file) => `${file} was not run`),
    ...files
      .filter((file) => !left.has(file) && !WITHOUT_OPERATOR.includes(file))
      .map((file) => `${file} left nothing`),
    ...records.flatMap(({ file, failure }) => (failure === undefined ? [] : [`${file} was cut short: ${failure}`])),
    ...SCOPES.filter((scope) => !present.some((each) => each.scope === scope)).map(
      (scope) => `nothing ran as ${scope}`,
    ),
  ];
}

/** Files that took another scope than the one that the run asked for. */
function stubborn(records: readonly RightsRecord[], asked: RunScope | undefined): string[] {
  if (asked === undefined) return [];
  const obedient = new Set(records.filter(({ scope }) => scope === asked).map(({ file }) => file));
  const others = records.filter(({ file }) => !obedient.has(file) && !OF_ONE_SCOPE.includes(file));
  return others.map(({ file, scope }) => `${file} ran in ${scope}, and the run asked for ${asked}`);
}

/** What a run consisted of; files are named without their folder. */
export interface Run {
  /** The files that were run. */
  readonly files: readonly string[];
  /** Those that there are. */
  readonly all: readonly string[];
  /** The scope that every file was asked to take; undefined when each took its usual one. */
  readonly asked?: RunScope | undefined;
}

/** Judges what a run has left. */
export function judge(records: readonly RightsRecord[], { files, all, asked }: Run): Verdict {
  const missing = missingFrom(records, files, all);
  const problems = [...records.flatMap(problemsOf), ...stubborn(records, asked)];
  const summary: string[] = [];
  for (const scope of SCOPES) {
    // Another release's chart is another contract: only what it does not grant counts, and that is told above.
    const own = records.filter((each) => each.scope === scope && each.isPresentChart);
    if (own.length === 0) continue;
    const granted = new Set(own.flatMap((each) => each.granted));
    const used = new Set(own.flatMap((each) => each.used));
    const unused = [...granted].filter((right) => !used.has(right)).toSorted();
    const count = own.reduce((sum, { calls }) => sum + calls, 0);
    const fileCount = new Set(own.map(({ file }) => file)).size;
    summary.push(
      `${scope}: ${granted.size} rights granted, ${used.size} used in ${count} calls of ${own.length} installations in ${fileCount} files`,
    );
    if (missing.length === 0) problems.push(...unused.map((right) => `${scope}: granted and never used: ${right}`));
  }
  const hasty = records.filter(({ early }) => early.length > 0);
  summary.push(...hasty.map(({ file, early }) => `${file}: refused for a moment though granted: ${early.join(', ')}`));
  const strays = records.filter(({ file }) => WITHOUT_OPERATOR.includes(file));
  problems.push(
    ...strays.map(({ file }) => `${file} installs an operator: take it from the list of those that do not`),
  );
  return { problems: [...new Set(problems)], missing, summary };
}
