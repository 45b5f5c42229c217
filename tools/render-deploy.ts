// Promises: deploy/operator.yaml, the chart rendered for people without Helm: namespace workload-credentials, every namespace
// served, the CRD left to deploy/crd.yaml. Needs helm (HELM names it, else PATH), so `npm run generate` leaves this file alone;
// the end-to-end run, where helm is there, compares. `node tools/render-deploy.ts` writes it.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = new URL('../', import.meta.url);
export const OPERATOR_PATH = 'deploy/operator.yaml';
const NAME = 'workload-credentials';

const HEAD = `# Rendered from helm/ by \`node tools/render-deploy.ts\`. Do not edit: change the chart or render it with your own values.
# The namespace and the ServiceAccount are written into the fences, too: to change them render the chart, do not patch this.
apiVersion: v1
kind: Namespace
metadata:
  name: ${NAME}
  labels:
    pod-security.kubernetes.io/enforce: restricted
`;

/** What only Helm reads has no place in a plain manifest. */
const HELM_LINES = /^\s*(app\.kubernetes\.io\/managed-by|helm\.sh\/chart|# Source): ?.*\n/gm;

/** The text of deploy/operator.yaml. `helm` is the program. Throws when helm fails. */
export function renderOperator(helm: string): string {
  const values = ['--set', 'clusterWide=true,crd.install=false'];
  const rendered = execFileSync(helm, ['template', NAME, 'helm', '--namespace', NAME, '--skip-tests', ...values], {
    cwd: fileURLToPath(ROOT),
    encoding: 'utf8',
  });
  return HEAD + rendered.replace(HELM_LINES, '').replace(/\n+---/g, '\n---');
}

if (import.meta.main) {
  writeFileSync(new URL(OPERATOR_PATH, ROOT), renderOperator(process.env['HELM'] ?? 'helm'));
}
