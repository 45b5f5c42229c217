// Promises: what Argo CD, Flux and kpt say of each situation, as committed data, from which the table of docs/gitops.md is
// generated, and what it was said of: a hash over script, expressions and objects, so that a change of one asks for a new
// run. `node test/gitops/verdicts.ts` writes it, which needs Go; reading it needs nothing.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { T0 } from '../support/builders.ts';
import { judge, type Verdict } from './judge.ts';
import { EXPRESSIONS, situations } from './situations.ts';

/** Where the script is: the path that it has in Argo CD's repository, too. */
export const CUSTOMIZATION = fileURLToPath(
  new URL('../../deploy/argocd/resource_customizations/workloadcredentials.io/WorkloadCredential/', import.meta.url),
);
const VERDICTS = fileURLToPath(new URL('verdicts.json', import.meta.url));
const NOW = T0;

/** What the tools say of a situation. */
export interface VerdictRow {
  readonly situation: string;
  readonly ready: string;
  readonly argo: string;
  readonly message: string;
  readonly kstatus: string;
  readonly flux: string;
}

/** A whole run. */
export interface VerdictTable {
  /** See saidOf. */
  readonly of: string;
  readonly rows: readonly VerdictRow[];
}

/** Argo CD's script. */
export function healthScript(): string {
  return readFileSync(`${CUSTOMIZATION}health.lua`, 'utf8');
}

/** Hash over what the tools were shown. */
export function saidOf(): string {
  const shown = JSON.stringify([healthScript(), EXPRESSIONS, situations(NOW)]);
  return createHash('sha256').update(shown).digest('hex').slice(0, 16);
}

/** The committed table. */
export function readVerdicts(): VerdictTable {
  return JSON.parse(readFileSync(VERDICTS, 'utf8')) as VerdictTable;
}

const told = ({ status, error }: Verdict): string => status ?? `error: ${error ?? 'none'}`;

/** Asks the tools. */
export async function askVerdicts(): Promise<VerdictTable> {
  const shown = situations(NOW);
  const question = { script: healthScript(), objects: shown.map(({ object }) => object), nowMs: NOW };
  const answers = await judge({ ...question, expressions: EXPRESSIONS });
  const rows = shown.map(({ name, object }, index): VerdictRow => {
    const { pasted = {}, kstatus = {}, flux = {} } = answers[index] ?? {};
    const ready = object.status?.conditions?.find(({ type }) => type === 'Ready');
    return {
      situation: name,
      ready: ready === undefined ? '' : `${ready.status} \`${ready.reason}\``,
      argo: told(pasted),
      message: pasted.message ?? '',
      kstatus: told(kstatus),
      flux: told(flux),
    };
  });
  return { of: saidOf(), rows };
}

if (import.meta.main) {
  writeFileSync(VERDICTS, `${JSON.stringify(await askVerdicts(), undefined, 2)}\n`);
}
