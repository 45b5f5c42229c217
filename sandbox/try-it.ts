// Promises: what the demo and the sandbox print for a terminal of one's own: lines to paste that work as they stand, one
// WorkloadCredential for each cloud, and what kubectl cannot do here. A test pastes them. Starts nothing.
import { CLOUDS } from './demo-clouds.ts';
import type { DemoCloud } from './demo-clouds.ts';
import type { Sandbox } from './sandbox.ts';

/** What the WorkloadCredentials to paste are called, with the cloud's suffix. */
export const TRIED = 'mine';

/** Where to paste. */
export interface Terminal {
  readonly sandbox: Sandbox;
  readonly kubeconfig: string;
  readonly namespace: string;
  /** A ServiceAccount that the roles trust. */
  readonly serviceAccountName: string;
  /** The names that the ServiceAccount consents to already. */
  readonly allowed: readonly string[];
  /** The name of the role, which every cloud has. */
  readonly roleName: string;
}

const triedOn = ({ suffix }: DemoCloud): string => `${TRIED}${suffix}`;

function manifest(cloud: DemoCloud, { sandbox, namespace, serviceAccountName, roleName }: Terminal): string {
  const [key, fields] = cloud.block(sandbox, cloud.role(roleName));
  const lines = Object.entries(fields).map(([name, value]) => `    ${name}: ${value}`);
  return `apiVersion: workloadcredentials.io/v1alpha1
kind: WorkloadCredential
metadata:
  name: ${triedOn(cloud)}
  namespace: ${namespace}
spec:
  serviceAccountName: ${serviceAccountName}
  ${key}:
${lines.join('\n')}`;
}

/** The lines that make WorkloadCredentials of one's own; the annotation is the ServiceAccount's consent. */
export function pasteable(terminal: Terminal): string {
  const { kubeconfig, namespace, serviceAccountName, allowed } = terminal;
  const names = CLOUDS.map(triedOn);
  return `export KUBECONFIG=${kubeconfig}
kubectl annotate serviceaccount ${serviceAccountName} --namespace ${namespace} --overwrite \\
  workloadcredentials.io/allow=${[...allowed, ...names].join(',')}
kubectl apply -f - <<'EOF'
${CLOUDS.map((cloud) => manifest(cloud, terminal)).join('\n---\n')}
EOF
kubectl wait --for=condition=Ready --namespace ${namespace} --timeout=60s \\
  ${names.map((name) => `wcred/${name}`).join(' ')}
kubectl get wcred --namespace ${namespace}`;
}

/** What one might type and does not work; each was tried with kubectl 1.36. */
export const NOT_SERVED = `Not served here: server-side apply (kubectl apply --server-side), and what kubectl sends as protobuf:
kubectl create with anything but -f, kubectl create token, kubectl auth. No pod runs: no logs, exec, port-forward or top;
there are Deployments to store, but no controller for them, and no nodes.`;
