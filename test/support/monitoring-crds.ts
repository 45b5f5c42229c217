// Promises: stand-ins for the CustomResourceDefinitions of the Prometheus operator, with the fields that the chart sets and no
// other, so that strict validation by the API server finds a misspelt one. By the reference of monitoring.coreos.com/v1,
// https://prometheus-operator.dev/docs/api-reference/api/

const text = { type: 'string' };
const texts = { type: 'object', additionalProperties: text };
const object = (properties: object, required: readonly string[] = []): object => ({
  type: 'object',
  properties,
  ...(required.length === 0 ? {} : { required }),
});
const list = (items: object): object => ({ type: 'array', items });

const relabeling = object({
  action: text,
  sourceLabels: list(text),
  regex: text,
  targetLabel: text,
  replacement: text,
});
const endpoint = object({
  port: text,
  path: text,
  interval: {
    type: 'string',
    pattern: '^(0|(([0-9]+)y)?(([0-9]+)w)?(([0-9]+)d)?(([0-9]+)h)?(([0-9]+)m)?(([0-9]+)s)?(([0-9]+)ms)?)$',
  },
  honorLabels: { type: 'boolean' },
  metricRelabelings: list(relabeling),
});

const rule = object(
  {
    record: text,
    alert: text,
    expr: { anyOf: [{ type: 'integer' }, { type: 'string' }], 'x-kubernetes-int-or-string': true },
    for: text,
    keep_firing_for: text,
    labels: texts,
    annotations: texts,
  },
  ['expr'],
);
const group = object({ name: text, interval: text, rules: list(rule) }, ['name']);

function scraping(endpoints: string): object {
  const selector = object({ matchLabels: texts });
  return object({ selector, [endpoints]: list(endpoint) }, ['selector', endpoints]);
}

function definition(kind: string, spec: object): object {
  const plural = `${kind.toLowerCase()}s`;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.monitoring.coreos.com` },
    spec: {
      group: 'monitoring.coreos.com',
      scope: 'Namespaced',
      names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: object({ spec }, ['spec']) } }],
    },
  };
}

/** To be applied. */
export const MONITORING_CRDS: readonly object[] = [
  definition('ServiceMonitor', scraping('endpoints')),
  definition('PodMonitor', scraping('podMetricsEndpoints')),
  definition('PrometheusRule', object({ groups: list(group) })),
];
