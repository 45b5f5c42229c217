// Promises: for each value of the chart two or more settings that differ in what is rendered, so that every pair of them can be
// tried. A value that is missing here fails a test. Knows nothing of Helm.
import type { Choices } from './pairwise.ts';

/** What is set: values by path. The release's name is one of them, as `release`. */
export type Setting = Readonly<Record<string, unknown>>;

const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`;
const taint = { key: 'dedicated', operator: 'Equal', value: 'platform', effect: 'NoSchedule' };
const peers = [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'shop' } } }];
const relabelings = [{ action: 'drop', sourceLabels: ['__name__'], regex: 'workqueue_.*' }];
const spread = [
  {
    maxSkew: 1,
    topologyKey: 'kubernetes.io/hostname',
    whenUnsatisfiable: 'DoNotSchedule',
    labelSelector: { matchLabels: { 'app.kubernetes.io/name': 'workload-credentials' } },
  },
];
const affinity = {
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [{ matchExpressions: [{ key: 'kubernetes.io/os', operator: 'In', values: ['linux'] }] }],
    },
  },
};

const each = (path: string, ...values: readonly unknown[]): Readonly<Record<string, readonly Setting[]>> => ({
  [path]: values.map((value) => ({ [path]: value })),
});

/** One after the other. @throws Error for a value that is there twice: the later would silently take the place of the earlier. */
function together(...parts: readonly Choices<Setting>[]): Choices<Setting> {
  const paths = parts.flatMap((part) =>
    Object.values(part).flatMap((settings) => [...new Set(settings.flatMap((setting) => Object.keys(setting)))]),
  );
  const twice = paths.filter((path, index) => paths.indexOf(path) !== index);
  if (twice.length > 0) throw new Error(`${twice.join()}: set by two questions`);
  return Object.assign({}, ...parts) as Choices<Setting>;
}

/** Each for itself, so that a monitor is also tried with its defaults. */
const monitor = (kind: string): Readonly<Record<string, readonly Setting[]>> => ({
  ...each(`metrics.${kind}.interval`, '30s', '15s', '500ms'),
  ...each(`metrics.${kind}.labels`, {}, { release: 'prometheus' }),
  ...each(`metrics.${kind}.metricRelabelings`, [], relabelings),
});

/** Settings that exclude each other are one question. */
export const CHART_CHOICES: Choices<Setting> = together(
  each('release', 'wc', 'a-name-of-a-release-that-is-as-long-as-helm-lets-it-b'),
  {
    scope: [
      { clusterWide: true },
      { namespaces: ['shop'] },
      { namespaces: ['shop', 'billing'], serviceAccounts: { shop: ['orders', 'stock.v2'] } },
    ],
  },
  each('image.repository', 'workload-credentials', 'registry.example.com:5000/platform/workload-credentials'),
  each('image.tag', '', '1.2.3'),
  each('image.digest', '', DIGEST),
  each('image.pullPolicy', 'IfNotPresent', 'Always'),
  each('imagePullSecrets', [], [{ name: 'registry' }]),
  each('replicas', 2, 0, 1),
  each('clusterName', '', 'prod.eu-1'),
  each('logLevel', 'info', 'debug'),
  each('crd.install', true, false),
  each('userRoles.create', true, false),
  each('userRoles.aggregate', false, true),
  each('serviceAccount.name', '', 'custom'),
  each('serviceAccount.annotations', {}, { 'example.com/team': 'platform' }),
  each('requireConsent', true, false),
  each('fences.enabled', true, false),
  each('fences.protectedNamespaces', [], ['kube-system'], ['kube-public', 'vault']),
  each('workers', 16, 256),
  each('minRefreshIntervalSeconds', 60, 3_600),
  each(
    'sts.endpoints',
    [],
    [
      { cloud: 'AWS', url: 'https://vpce-0a1b.sts.eu-west-1.vpce.amazonaws.com', audiences: ['shop-vpce'] },
      { cloud: 'Volcengine', url: 'https://sts.example.com:8443', audiences: ['a', 'https://b.example.com/x=y'] },
      { cloud: 'AlibabaCloud', url: 'http://127.0.0.1:8080', audiences: ['a'] },
    ],
  ),
  each('sts.caConfigMap.name', '', 'private-ca'),
  each('sts.caConfigMap.key', 'ca.crt', 'bundle.pem'),
  each('sts.caConfigMap.extra', false, true),
  {
    proxy: [
      { 'proxy.httpsProxy': '' },
      { 'proxy.httpsProxy': 'http://proxy.example:3128' },
      { 'proxy.httpsProxySecret.name': 'proxy' },
    ],
  },
  each('proxy.httpsProxySecret.key', 'url', 'https-proxy'),
  each('proxy.noProxy', [], ['.example.com', '10.0.0.0/8']),
  each('proxy.inCluster', false, true),
  each('sts.requestsPerSecond', 10, 0.5),
  each('sts.burst', 20, 1),
  each('apiServerAudiences', [], ['https://api.example.com', 'api']),
  each('allowedMetadataDomains', ['app.kubernetes.io'], [], ['app.kubernetes.io', 'example.com']),
  each('metrics.perCredential', true, false),
  { monitors: [{}, { 'metrics.serviceMonitor.enabled': true }, { 'metrics.podMonitor.enabled': true }] },
  monitor('serviceMonitor'),
  monitor('podMonitor'),
  each('prometheusRule.enabled', false, true),
  each('prometheusRule.labels', {}, { release: 'prometheus' }),
  each('prometheusRule.runbookURL', '', 'https://wiki.example.com/runbook'),
  each('dashboard.enabled', false, true),
  each('dashboard.labels', { grafana_dashboard: '1' }, { 'example.com/folder': 'platform' }),
  each('leaderElection.leaseName', 'workload-credentials', 'other.lease'),
  each('port', 8080, 9090),
  each('networkPolicy.enabled', true, false),
  each('networkPolicy.egressPorts', [443, 6443], [443, 3128]),
  each('networkPolicy.exceptIPv4', ['169.254.0.0/16', '100.100.100.200/32'], []),
  each('networkPolicy.exceptIPv6', ['fe80::/10', 'fd00:ec2::254/128'], []),
  each('networkPolicy.dnsTo', [], peers),
  each('networkPolicy.ingressFrom', [], peers),
  each('networkPolicy.furtherEgress', [], [{ to: peers, ports: [{ port: 8200, protocol: 'TCP' }] }]),
  each('podDisruptionBudget.enabled', true, false),
  each('podDisruptionBudget.maxUnavailable', 1, '50%'),
  each('resources', { requests: { cpu: '50m', memory: '256Mi' }, limits: { memory: '512Mi' } }, { limits: { cpu: 2 } }),
  each('podAnnotations', {}, { 'example.com/scrape': 'true' }),
  each('podLabels', {}, { 'example.com/team': 'platform' }),
  each('nodeSelector', {}, { 'kubernetes.io/os': 'linux' }),
  each('tolerations', [], [taint]),
  each('affinity', {}, affinity),
  each('topologySpreadConstraints', [], spread),
  each('priorityClassName', '', 'system-cluster-critical'),
);

/** Every path that some setting sets. */
export function chosenPaths(): Set<string> {
  return new Set(
    Object.values(CHART_CHOICES).flatMap((settings) => settings.flatMap((setting) => Object.keys(setting))),
  );
}
