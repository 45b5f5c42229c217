// Promises: writes every generated file: types and reference pages, and the chart's and the plain manifests' copies of the CRD.
// Same input, same bytes; needs Node only. May not write anything else. Run by `npm run generate`.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { FLAGS } from '../src/options.ts';
import { OWN_AUDIENCES } from '../src/providers/endpoints.ts';
import { METRICS } from '../src/telemetry/metric-register.ts';
import { readResults } from '../test/consumers/results.ts';
import { readVerdicts } from '../test/gitops/verdicts.ts';
import { consumersPage } from './consumers-page.ts';
import { CRD_PATH, readCRD, readCRDText } from './crd-file.ts';
import { crdPage, errorsPage, metricsPage, optionsPage, rbacPage } from './generate-pages.ts';
import { typesOf } from './generate-types.ts';
import { argocdPatch, CUSTOMIZATION_PATH, healthTest, withVerdicts } from './gitops-files.ts';
import { rulesYAML, userRulesYAML } from './rbac-rules.ts';
import { valuesPage } from './values-page.ts';

const ROOT = new URL('../', import.meta.url);

const yamlNote = (source: string): string => `# Generated from ${source} by \`npm run generate\`. Do not edit.\n`;

/** The CRD without the comments that speak to its authors. */
function withoutComments(text: string): string {
  return text
    .split('\n')
    .filter((line) => !/^\s*#/.test(line))
    .join('\n');
}

/** The chart's copy: `helm uninstall` must leave it, since deleting a CRD deletes every resource and with it the Secrets. */
function chartCRD(text: string): string {
  const kept = text.replace(/^metadata:\n/m, 'metadata:\n  annotations:\n    helm.sh/resource-policy: keep\n');
  if (kept === text) throw new Error(`${CRD_PATH} has no metadata line for the chart's annotation`);
  return kept;
}

/** What the chart's templates include: the rules of its roles, and the audiences that its fences let through and never do. */
function chartRules(): string {
  const define = (name: string, text: string): string =>
    `{{- define "workload-credentials.${name}" -}}\n${text}\n{{- end }}\n`;
  return [
    '{{- /* Generated from tools/rbac-rules.ts, src/providers/endpoints.ts and src/options.ts by `npm run generate`. Do not edit. */ -}}\n',
    define('watchedRules', rulesYAML('watched')),
    define('ownRules', rulesYAML('own')),
    define('viewRules', userRulesYAML('view')),
    define('editRules', userRulesYAML('edit')),
    define('adminRules', userRulesYAML('admin')),
    define('ownAudiences', JSON.stringify(Object.values(OWN_AUDIENCES).flat())),
    define('usualAPIServerAudiences', JSON.stringify(FLAGS['api-server-audiences'].default.split(','))),
  ].join('');
}

/** A file of the repository. */
function sourceText(path: string): string {
  return readFileSync(new URL(path, ROOT), 'utf8');
}

/** Every generated file: its path in the repository and its text. */
export async function generatedFiles(): Promise<ReadonlyMap<string, string>> {
  const crd = readCRD(ROOT);
  const plainCRD = withoutComments(readCRDText(ROOT));
  return new Map([
    ['src/api/types.gen.ts', await typesOf(crd)],
    ['docs/reference/consumers.md', consumersPage(readResults())],
    ['docs/reference/crd.md', crdPage(crd)],
    ['docs/reference/errors.md', errorsPage()],
    ['docs/reference/metrics.md', metricsPage(METRICS, 'src/telemetry/metric-register.ts')],
    ['docs/reference/options.md', optionsPage(FLAGS, 'src/options.ts')],
    ['docs/reference/rbac.md', rbacPage()],
    ['docs/reference/values.md', valuesPage(sourceText('helm/values.schema.json'), sourceText('helm/values.yaml'))],
    ['helm/files/crd.yaml', yamlNote(CRD_PATH) + chartCRD(plainCRD)],
    ['helm/templates/_rules.tpl', chartRules()],
    ['deploy/crd.yaml', yamlNote(CRD_PATH) + plainCRD],
    ['deploy/argocd/argocd-cm.yaml', argocdPatch(sourceText(`${CUSTOMIZATION_PATH}health.lua`))],
    ...[...healthTest()].map(([path, text]) => [CUSTOMIZATION_PATH + path, text] as const),
    ['docs/gitops.md', withVerdicts(sourceText('docs/gitops.md'), readVerdicts())],
  ]);
}

/** The paths of generated files whose text on disk is another one, or missing. */
export async function staleFiles(): Promise<string[]> {
  const files = await generatedFiles();
  return [...files].filter(([path, text]) => textOf(path) !== text).map(([path]) => path);
}

function textOf(path: string): string | undefined {
  const url = new URL(path, ROOT);
  return existsSync(url) ? readFileSync(url, 'utf8') : undefined;
}

/** Writes what differs. Returns the paths that were written. */
export async function writeGeneratedFiles(): Promise<string[]> {
  const files = await generatedFiles();
  const stale = [...files].filter(([path, text]) => textOf(path) !== text);
  for (const [path, text] of stale) {
    mkdirSync(new URL('./', new URL(path, ROOT)), { recursive: true });
    writeFileSync(new URL(path, ROOT), text);
  }
  return stale.map(([path]) => path);
}

if (import.meta.main) {
  const written = await writeGeneratedFiles();
  console.log(written.length === 0 ? 'generated files are up to date' : `written:\n  ${written.join('\n  ')}`);
}
