// Promises: what of deploy/ is rendered from the chart for people without Helm: operator.yaml, for the namespace
// workload-credentials, with every namespace served and the CRD left to deploy/crd.yaml; and what the chart has on demand only,
// a kustomize component each. Needs helm (HELM names it, else PATH), so `npm run generate` leaves these files alone; the
// end-to-end run, where helm is there, compares. `node tools/render-deploy.ts` writes them.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = new URL('../', import.meta.url);
const NAME = 'workload-credentials';
const NOTE = '# Rendered from helm/ by `node tools/render-deploy.ts`. Do not edit: change the chart';

const HEAD = `${NOTE} or render it with your own values.
# The namespace and the ServiceAccount are written into the fences, too: to change them render the chart, do not patch this.
apiVersion: v1
kind: Namespace
metadata:
  name: ${NAME}
  labels:
    pod-security.kubernetes.io/enforce: restricted
`;

/** What is off by default: the component's folder, the template, and the value that switches it on. */
const COMPONENTS: readonly (readonly [folder: string, template: string, value: string])[] = [
  ['network-policy', 'networkpolicy', 'networkPolicy.enabled'],
  ['service-monitor', 'monitors', 'metrics.serviceMonitor.enabled'],
  ['pod-monitor', 'monitors', 'metrics.podMonitor.enabled'],
  ['prometheus-rule', 'prometheusrule', 'prometheusRule.enabled'],
  ['dashboard', 'dashboard', 'dashboard.enabled'],
];

/** What only Helm reads has no place in a plain manifest. */
const HELM_LINES = /^\s*(app\.kubernetes\.io\/managed-by|helm\.sh\/chart|# Source): ?.*\n/gm;

function template(helm: string, ...args: readonly string[]): string {
  const values = ['--set', 'clusterWide=true,crd.install=false'];
  const command = ['template', NAME, 'helm', '--namespace', NAME, '--skip-tests', ...values, ...args];
  const rendered = execFileSync(helm, command, { cwd: fileURLToPath(ROOT), encoding: 'utf8' });
  return rendered.replace(HELM_LINES, '').replace(/\n+---/g, '\n---');
}

/** Path and text of each rendered file of deploy/. `helm` is the program. Throws when helm fails. */
export function renderDeploy(helm: string): Map<string, string> {
  const components = COMPONENTS.map(([folder, name, value]): [string, string] => {
    const only = ['--show-only', `templates/${name}.yaml`, '--set', `${value}=true`];
    const text = template(helm, ...only)
      .replace(/^---\n/, '')
      .trimEnd();
    return [`deploy/components/${folder}/${folder}.yaml`, `${NOTE}.\n${text}\n`];
  });
  return new Map([['deploy/operator.yaml', HEAD + template(helm)], ...components]);
}

if (import.meta.main) {
  for (const [path, text] of renderDeploy(process.env['HELM'] ?? 'helm')) writeFileSync(new URL(path, ROOT), text);
}
