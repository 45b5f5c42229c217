// Promises: the reference pages in docs/reference, as Markdown text, each from the one place where its facts are kept.
// Same input, same text. May not write files.
import { STATE_REASONS, CONDITION_TYPES } from '../src/api/names.ts';
import { type Disposition, ERRORS } from '../src/credential/errors.ts';
import { PACES } from '../src/credential/schedule.ts';
import type { CRDSchema, CustomResourceDefinition } from './crd-file.ts';
import { servedVersion } from './crd-file.ts';
import { RBAC_RULES, USER_ROLES } from './rbac-rules.ts';

/** The first line of every generated page. `source` is a path in the repository. */
function heading(title: string, source: string): string {
  return `<!-- Generated from ${source} by \`npm run generate\`. Do not edit. -->\n\n# ${title}`;
}

/** One cell: no pipe may end it, no line break may end the row, and `<` outside of code is no HTML. */
function cell(text: string): string {
  const escaped = text.replaceAll('\\', '\\\\').replaceAll('|', '\\|').replaceAll(/\s+/g, ' ').trim();
  return escaped
    .split('`')
    .map((part, index) => (index % 2 === 0 ? part.replaceAll('<', '\\<') : part))
    .join('`');
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;
  return [line(header), `|${header.map(() => ' --- |').join('')}`, ...rows.map(line)].join('\n');
}

function anchor(title: string): string {
  return `[${title}](#${title.toLowerCase()})`;
}

/** What a field takes, in the words of the schema. */
function typeOf(schema: CRDSchema): string {
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${value}\``).join(', ');
  if (schema.items !== undefined) return `list of ${typeOf(schema.items)}`;
  if (schema.additionalProperties !== undefined) return `map of ${typeOf(schema.additionalProperties)}`;
  if (schema.type === 'object' && schema.title !== undefined) return anchor(schema.title);
  return schema.format === 'date-time' ? 'time (RFC 3339)' : (schema.type ?? 'any');
}

/** Bounds of the schema, in short. */
function boundsOf(schema: CRDSchema): string[] {
  const bounds: [string, unknown][] = [
    ['at most', schema.maxItems === undefined ? undefined : `${schema.maxItems} items`],
    ['at most', schema.maxLength === undefined ? undefined : `${schema.maxLength} characters`],
    ['at most', schema.maxProperties === undefined ? undefined : `${schema.maxProperties} keys`],
  ];
  return bounds.filter(([, value]) => value !== undefined).map(([word, value]) => `${word} ${String(value)}`);
}

function rulesOf(schema: CRDSchema): readonly string[] {
  const own = (schema['x-kubernetes-validations'] ?? []).map((rule) => rule.message);
  const inner = [schema.items, schema.additionalProperties].flatMap((item) =>
    item === undefined || item.type === 'object' ? [] : rulesOf(item),
  );
  return [...own, ...inner];
}

function objectSection(path: string, schema: CRDSchema): string {
  const properties = Object.entries(schema.properties ?? {});
  const rows = properties.map(([name, property]) => [
    `\`${name}\`${schema.required?.includes(name) === true ? ' (required)' : ''}`,
    typeOf(property),
    [property.description ?? 'Standard metadata.', ...boundsOf(property).map((bound) => `(${bound})`)].join(' '),
  ]);
  const rules = [
    ...(schema['x-kubernetes-validations'] ?? []).map((rule) => rule.message),
    ...properties.flatMap(([, property]) =>
      property.type === 'object' && property.properties ? [] : rulesOf(property),
    ),
  ];
  const parts = [
    `## ${schema.title ?? path}`,
    path === '' ? '' : `\`${path}\``,
    schema.description ?? '',
    table(['field', 'takes', 'meaning'], rows),
    rules.length === 0
      ? ''
      : `What the API server refuses, in its words:\n\n${rules.map((rule) => `- ${rule}.`).join('\n')}`,
  ];
  return parts.filter((part) => part !== '').join('\n\n');
}

/** Every object of the schema, outer ones first, in the schema's order. */
function objectsOf(path: string, schema: CRDSchema): { path: string; schema: CRDSchema }[] {
  const here = schema.type === 'object' && schema.properties !== undefined ? [{ path, schema }] : [];
  const properties = Object.entries(schema.properties ?? {}).flatMap(([name, property]) =>
    objectsOf(path === '' ? name : `${path}.${name}`, property),
  );
  const items = schema.items === undefined ? [] : objectsOf(`${path}[]`, schema.items);
  return [...here, ...properties, ...items];
}

/** docs/reference/crd.md */
export function crdPage(crd: CustomResourceDefinition): string {
  const version = servedVersion(crd);
  const { group, names } = crd.spec;
  const columns = version.additionalPrinterColumns.map((column) => [
    column.name,
    column.priority === undefined ? 'always' : '`-o wide`',
    `\`${column.jsonPath}\``,
  ]);
  return [
    heading(names.kind, 'crds/'),
    `\`apiVersion: ${group}/${version.name}\`, \`kind: ${names.kind}\`, namespaced, short name \`${names.shortNames.join('`, `')}\`.`,
    `Field selectors: ${version.selectableFields.map((field) => `\`${field.jsonPath.slice(1)}\``).join(', ')}.`,
    `Columns of \`kubectl get ${names.shortNames[0] ?? names.plural}\`:\n\n${table(['column', 'shown', 'from'], columns)}`,
    ...objectsOf('', version.schema.openAPIV3Schema).map((object) => objectSection(object.path, object.schema)),
  ]
    .join('\n\n')
    .concat('\n');
}

const DISPOSITIONS = {
  invalid:
    'refused by the operator without a call; waits for a change of the resource, the ServiceAccount or the Secret',
  denied: 'refused by STS, or by what stands in the cluster; tried again slowly, 1 to 10 minutes',
  forbidden:
    'refused by the API server; tried again after 5 seconds at most, then more and more slowly, up to 10 minutes',
  throttled: 'asked to wait; tried again when the other side said, else as transient',
  transient: 'goes away by itself; tried again after 5 seconds at most, then more slowly, up to 60 seconds',
  token: 'STS did not take the token; once more with a fresh one, then as denied',
} as const satisfies Readonly<Record<Disposition, string>>;

/** docs/reference/errors.md: conditions, reasons and what to do. */
export function errorsPage(): string {
  const classes = Object.entries(DISPOSITIONS).map(([name, what]) => [name, what, PACES[name as Disposition] ?? '-']);
  return [
    heading('Conditions and reasons', 'src/credential/errors.ts and src/api/names.ts'),
    `## Conditions\n\n${table(['condition', 'meaning'], Object.entries(CONDITION_TYPES))}`,
    `## Reasons that are no failures\n\n${table(
      ['reason', 'meaning'],
      Object.entries(STATE_REASONS).map(([reason, meaning]) => [`\`${reason}\``, meaning]),
    )}`,
    `## Failures\n\n${table(
      ['reason', 'class', 'meaning', 'remedy'],
      Object.entries(ERRORS).map(([code, entry]) => [`\`${code}\``, entry.disposition, entry.meaning, entry.remedy]),
    )}`,
    `## Classes\n\n${table(['class', 'what the operator does', 'counted in `status.failuresByClass` as'], classes)}`,
    'Exactly, and while a credential lives: [after a failure](../how-it-works.md#after-a-failure).',
  ]
    .join('\n\n')
    .concat('\n');
}

/** docs/reference/rbac.md */
export function rbacPage(): string {
  const rows = (where: 'watched' | 'own'): string[][] =>
    RBAC_RULES.filter((rule) => rule.where === where).map((rule) => [
      `\`${rule.resource}\``,
      rule.apiGroup === '' ? 'core' : `\`${rule.apiGroup}\``,
      rule.verbs.map((verb) => `\`${verb}\``).join(', '),
      [
        rule.why,
        ...(rule.leaseNameOnly === true ? ['Limited to the name of the Lease.'] : []),
        ...(rule.namedServiceAccountsOnly === true
          ? ['Limited to the names in `serviceAccounts`, where it names any for the namespace.']
          : []),
      ].join(' '),
    ]);
  const header = ['resource', 'API group', 'verbs', 'why'];
  return [
    heading('RBAC', 'tools/rbac-rules.ts'),
    'What the operator may do, all of it. The chart grants exactly this, and its [fences](../security-model.md#the-fences) narrow what RBAC cannot.',
    `## In the namespaces it serves\n\nBy a Role in each of \`namespaces\`, or by a ClusterRole with \`clusterWide: true\`.\n\n${table(header, rows('watched'))}`,
    `## In its own namespace\n\n${table(header, rows('own'))}`,
    `## For people\n\nClusterRoles that the chart makes and binds to nobody. They are part of Kubernetes' own roles view, edit and admin only with \`userRoles.aggregate\`. None of them reads Secrets, and none writes status.\n\n${table(
      ['ClusterRole', 'verbs on `workloadcredentials`', 'why'],
      Object.entries(USER_ROLES).map(([role, { verbs, why }]) => [
        `\`<release>-${role}\``,
        verbs.map((verb) => `\`${verb}\``).join(', '),
        why,
      ]),
    )}`,
  ]
    .join('\n\n')
    .concat('\n');
}

/** One metric, as docs/reference/metrics.md shows it. */
export interface MetricEntry {
  readonly type: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly bound: string;
}

/** docs/reference/metrics.md. `source` is the register's path. */
export function metricsPage(metrics: Readonly<Record<string, MetricEntry>>, source: string): string {
  const rows = Object.entries(metrics).map(([name, metric]) => [
    `\`${name}\``,
    metric.type,
    metric.labels.map((label) => `\`${label}\``).join(', '),
    metric.help,
    metric.bound,
  ]);
  return [
    heading('Metrics', source),
    'Served at `/metrics` by every replica. Series about credentials come from the leader only, so that two replicas do not double them: take the largest over replicas, not the sum. While the Lease is handed over there are none for up to 20 seconds.',
    'Names, types and labels are a contract: what is released is not renamed. With `--per-credential-metrics=false` no series grows with the number of credentials, and alerts and dashboard still work, but for the table of those that expire next. What the alerts mean is in the [runbook](../runbook.md). Scrape with `honorLabels: true`, or the label `namespace` of a credential becomes `exported_namespace`.',
    table(['metric', 'type', 'labels', 'meaning', 'series, at most'], rows),
    'A histogram has as many series as it has buckets, and three more, for each series that is named here.',
  ]
    .join('\n\n')
    .concat('\n');
}

/** One flag, as docs/reference/options.md shows it. */
export interface FlagEntry {
  readonly value: string;
  readonly default: string;
  readonly help: string;
}

/** docs/reference/options.md. `source` is the register's path. */
export function optionsPage(flags: Readonly<Record<string, FlagEntry>>, source: string): string {
  const rows = Object.entries(flags).map(([name, flag]) => [
    `\`--${name}=${flag.value}\``,
    flag.default === '' ? '' : `\`${flag.default}\``,
    flag.help,
  ]);
  return [
    heading('Options', source),
    'The command line is the whole configuration. Beside it the operator reads what every pod has, `KUBERNETES_SERVICE_HOST`, `KUBERNETES_SERVICE_PORT` and the files of its ServiceAccount; and, where the flags of the proxy are not given, `HTTPS_PROXY` and `NO_PROXY` ([ADR 0013](../adr/0013-proxies-and-authorities.md)).',
    'A wrong command line, or a Node that is too old, ends with status 2 and a sentence for each mistake; a start that fails, or a lost Lease, with status 1.',
    table(['flag', 'default', 'meaning'], rows),
    'And alone: `--help`, `--version`.',
  ]
    .join('\n\n')
    .concat('\n');
}
