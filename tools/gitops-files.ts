// Promises: what is made from Argo CD's health script and from what GitOps tools were seen to say: the patch of argocd-cm, the
// script's test as Argo CD's own repository has them, and the table of docs/gitops.md. Same input, same text; needs Node only.
// May not write files or start anything.
import { dump } from 'js-yaml';
import { type Situation, situations } from '../test/gitops/situations.ts';
import type { VerdictTable } from '../test/gitops/verdicts.ts';

/** Where the script and its test are, below Argo CD's folder of this repository as in Argo CD's own. */
export const CUSTOMIZATION_PATH = 'deploy/argocd/resource_customizations/workloadcredentials.io/WorkloadCredential/';

const NOTE = '# Generated from resource_customizations by `npm run generate`. Do not edit.';
const BEGIN = '<!-- The table is generated from test/gitops/verdicts.json by `npm run generate`. -->';
const END = '<!-- End of the generated table. -->';

/** Those of Argo CD's own tests: by file, each with the situation and whether its times are in the future. */
const UPSTREAM: readonly (readonly [file: string, situation: string, isPast?: true])[] = [
  ['progressing_unseen', 'applied, and no operator has looked'],
  ['progressing_pending', 'not tried yet'],
  ['progressing_unavailable', 'STS is out'],
  ['progressing_changed', 'spec was changed, and no operator has looked'],
  ['healthy_issued', 'issued'],
  ['healthy_refresh_failing', 'the refresh fails: STS refuses the role'],
  ['degraded_consent', 'the ServiceAccount does not consent'],
  ['degraded_denied', 'STS refuses the role'],
  ['degraded_expired', 'ended, and STS is out'],
  // Argo CD's tests cannot move the clock: this one has ended whenever they run, and the others never do.
  ['degraded_no_operator', 'ended, and no operator runs', true],
  ['suspended_live', 'suspended, with a credential'],
  ['suspended_without', 'suspended, without one'],
];
const FUTURE = Date.UTC(2999, 0, 1);
const PAST = Date.UTC(2026, 10, 22, 12);

const yaml = (value: unknown): string => dump(value, { lineWidth: -1, noRefs: true });

function situationOf(name: string, nowMs: number): Situation {
  const found = situations(nowMs).find((situation) => situation.name === name);
  if (found === undefined) throw new Error(`there is no situation "${name}"`);
  return found;
}

/** The script's test and its data, by path below the script's folder. */
export function healthTest(): ReadonlyMap<string, string> {
  const cases = UPSTREAM.map(([file, name, isPast]) => ({
    inputPath: `testdata/${file}.yaml`,
    situation: situationOf(name, isPast === true ? PAST : FUTURE),
  }));
  const tests = cases.map(({ inputPath, situation: { argo, message } }) => ({
    healthStatus: { status: argo, message },
    inputPath,
  }));
  return new Map([
    ['health_test.yaml', yaml({ tests })],
    ...cases.map(({ inputPath, situation }) => [inputPath, yaml(situation.object)] as const),
  ]);
}

/** The patch of Argo CD's ConfigMap that brings the script. */
export function argocdPatch(script: string): string {
  const lines = script.trimEnd().split('\n');
  return [
    NOTE,
    'apiVersion: v1',
    'kind: ConfigMap',
    'metadata:',
    '  name: argocd-cm',
    'data:',
    '  resource.customizations.health.workloadcredentials.io_WorkloadCredential: |',
    ...lines.map((line) => (line === '' ? '' : `    ${line}`)),
    '',
  ].join('\n');
}

/** The page with the table of today. @throws Error where the page has no place for it. */
export function withVerdicts(page: string, { rows }: VerdictTable): string {
  const [before, rest] = page.split(`${BEGIN}\n`);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined) {
    throw new Error(`the page has no "${BEGIN}" with an "${END}" after it`);
  }
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const header = ['situation', 'Ready', 'Argo CD', 'Flux and kpt (kstatus)', 'Flux, with the expressions below'];
  const table = [
    line(header),
    line(header.map(() => '---')),
    ...rows.map(({ situation, ready, argo, kstatus, flux }) => line([situation, ready, argo, kstatus, flux])),
  ];
  return `${before}${BEGIN}\n\n${table.join('\n')}\n\n${END}${after}`;
}
