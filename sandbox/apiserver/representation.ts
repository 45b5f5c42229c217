// Promises: the three shapes in which an object is shown, chosen by the Accept header: as it is, metadata only, or as a
// row of a Table for kubectl, with the printer columns of the CRD.
import { eventFromStored } from './events.ts';
import { EVENTS, groupVersion } from './resources.ts';
import type { PrinterColumn, ResourceType } from './resources.ts';
import { fieldAt } from './selectors.ts';
import type { Shape } from './negotiation.ts';
import type { KubeObject } from './store.ts';

const META = 'meta.k8s.io/v1';

/** A duration as kubectl shows it (k8s.io/apimachinery/pkg/util/duration HumanDuration). */
export function humanDuration(ms: number): string {
  const seconds = Math.trunc(ms / 1000);
  if (seconds < -1) return '<invalid>';
  if (seconds < 0) return '0s';
  const pair = (big: number, bigUnit: string, small: number, smallUnit: string): string =>
    small === 0 ? `${big}${bigUnit}` : `${big}${bigUnit}${small}${smallUnit}`;
  const [minutes, hours] = [Math.trunc(seconds / 60), Math.trunc(seconds / 3600)];
  const days = Math.trunc(hours / 24);
  if (seconds < 120) return `${seconds}s`;
  if (minutes < 10) return pair(minutes, 'm', seconds % 60, 's');
  if (minutes < 180) return `${minutes}m`;
  if (hours < 8) return pair(hours, 'h', minutes % 60, 'm');
  if (hours < 48) return `${hours}h`;
  if (days < 8) return pair(days, 'd', hours % 24, 'h');
  if (days < 730) return `${days}d`;
  return days < 2920 ? pair(Math.trunc(days / 365), 'y', days % 365, 'd') : `${Math.trunc(days / 365)}y`;
}

/** The parts of JSONPath that printer columns use: names, indices and one equality filter. */
export function jsonPathValue(object: unknown, path: string): unknown {
  const steps = path.matchAll(
    /\.((?:\\.|[^.[\\])+)|\['([^']+)'\]|\[(\d+)\]|\[\?\(@\.([\w.]+)\s*==\s*["']([^"']*)["']\)\]/g,
  );
  let value: unknown = object;
  for (const [, name, quoted, index, field, wanted] of steps) {
    if (field !== undefined) {
      value = Array.isArray(value) ? value.find((item) => String(fieldAt(item, field)) === wanted) : undefined;
    } else {
      const key = quoted ?? index ?? (name ?? '').replaceAll(/\\(.)/g, '$1');
      value = (value as Record<string, unknown> | null | undefined)?.[key];
    }
  }
  return value;
}

type Row = readonly unknown[];
interface TableLayout {
  readonly columns: readonly PrinterColumn[];
  row(object: KubeObject, nowMs: number): Row;
}

function column(name: string, type = 'string', priority = 0): PrinterColumn {
  return { name, type, priority, jsonPath: '' };
}

function age(timestamp: unknown, nowMs: number): string {
  return typeof timestamp === 'string' ? humanDuration(nowMs - Date.parse(timestamp)) : '<unknown>';
}

const NAME: PrinterColumn = {
  ...column('Name'),
  format: 'name',
  // The text of ObjectMeta in Kubernetes' own API documentation; clients show it nowhere.
  description:
    'Name must be unique within a namespace. Is required when creating resources, although some resources may allow a ' +
    'client to request the generation of an appropriate name automatically. Name is primarily intended for creation ' +
    'idempotence and configuration definition. Cannot be updated. More info: ' +
    'https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names',
};
const AGE = column('Age');

function layout(columns: readonly PrinterColumn[], cells: (object: KubeObject) => Row): TableLayout {
  return {
    columns: [NAME, ...columns, AGE],
    row: (object, now) => [object.metadata.name, ...cells(object), age(object.metadata.creationTimestamp, now)],
  };
}

function eventRow(event: KubeObject, nowMs: number): Row {
  const regarding = event['involvedObject'] as Record<string, string> | undefined;
  const series = event['series'] as { count?: number; lastObservedTime?: string } | undefined;
  const from = event['source'] as { component?: string; host?: string } | undefined;
  const component = from?.component || event['reportingComponent'];
  const instance = from?.host || event['reportingInstance'];
  const source = [component, instance].filter(Boolean).join(', ');
  const first = event['firstTimestamp'] ?? event['eventTime'];
  const last = series?.lastObservedTime ?? event['lastTimestamp'] ?? first;
  return [
    age(last, nowMs),
    event['type'],
    event['reason'],
    `${regarding?.['kind']?.toLowerCase()}/${regarding?.['name']}`,
    regarding?.['fieldPath'] ?? '',
    source,
    event['message'],
    age(first, nowMs),
    series?.count ?? event['count'] ?? 1,
    event.metadata.name,
  ];
}

const size = (value: unknown): number => Object.keys((value as object | undefined) ?? {}).length;

const LAYOUTS: Readonly<Record<string, TableLayout>> = {
  '/secrets': layout([column('Type'), column('Data')], (secret) => [secret['type'], size(secret['data'])]),
  '/configmaps': layout([column('Data')], (map) => [size(map['data'])]),
  '/namespaces': layout([column('Status')], (namespace) => [fieldAt(namespace, 'status.phase')]),
  '/pods': layout([column('Status')], (pod) => [fieldAt(pod, 'status.phase') ?? 'Pending']),
  'coordination.k8s.io/leases': layout([column('Holder')], (lease) => [fieldAt(lease, 'spec.holderIdentity') ?? '']),
  'apiextensions.k8s.io/customresourcedefinitions': {
    columns: [NAME, column('Created At', 'date')],
    row: (crd) => [crd.metadata.name, crd.metadata.creationTimestamp],
  },
  [EVENTS]: {
    columns: [
      ...['Last Seen', 'Type', 'Reason', 'Object'].map((name) => column(name)),
      ...['Subobject', 'Source'].map((name) => column(name, 'string', 1)),
      column('Message'),
      ...['First Seen', 'Count'].map((name) => column(name, 'string', 1)),
      { ...column('Name', 'string', 1), format: 'name' },
    ],
    row: eventRow,
  },
};

function customCell(object: KubeObject, { jsonPath, type }: PrinterColumn, nowMs: number): unknown {
  const value = jsonPathValue(object, jsonPath) ?? null;
  if (value === null) return null;
  if (type === 'date') return age(value, nowMs);
  return type === 'string' && typeof value !== 'string' ? JSON.stringify(value) : value;
}

function tableLayout(type: ResourceType): TableLayout {
  const columns = type.columns;
  if (columns === undefined) return LAYOUTS[type.collection] ?? layout([], () => []);
  return {
    columns: [NAME, ...columns],
    row: (object, now) => [object.metadata.name, ...columns.map((each) => customCell(object, each, now))],
  };
}

function partial(object: KubeObject): object {
  return { kind: 'PartialObjectMetadata', apiVersion: META, metadata: object.metadata };
}

/** How objects are shown. */
export interface View {
  readonly shape: Shape;
  readonly nowMs: number;
  /** Of Tables; default Metadata. */
  readonly includeObject?: string | undefined;
}

function table(
  type: ResourceType,
  objects: readonly KubeObject[],
  metadata: object,
  { nowMs, includeObject = 'Metadata' }: View,
): object {
  const layoutOfType = tableLayout(type);
  const describe = ({ description, jsonPath, name }: PrinterColumn): string => {
    if (description !== undefined) return description;
    return jsonPath === '' ? name : `Custom resource definition column (in JSONPath format): ${jsonPath}`;
  };
  const definition = (each: PrinterColumn): object => definitionOf(each, describe(each));
  const shown: Readonly<Record<string, (object: KubeObject) => unknown>> = {
    None: () => null,
    Object: (object) => versioned(type, object),
  };
  const show = shown[includeObject] ?? partial;
  return {
    kind: 'Table',
    apiVersion: META,
    metadata,
    columnDefinitions: layoutOfType.columns.map(definition),
    rows: objects.map((object) => ({ cells: layoutOfType.row(object, nowMs), object: show(object) })),
  };
}

function definitionOf({ name, type, format = '', priority = 0 }: PrinterColumn, description: string): object {
  return { name, type, format, description, priority };
}

/** The object in this version's form. */
export function versioned(type: ResourceType, object: KubeObject): KubeObject {
  const {
    apiVersion: _apiVersion,
    kind: _kind,
    ...rest
  } = type.collection === EVENTS ? eventFromStored(type, object) : object;
  return { kind: type.kind, apiVersion: groupVersion(type), ...rest } as KubeObject;
}

/** One object in the shape that was asked for. */
export function showObject(type: ResourceType, view: View, object: KubeObject): object {
  const { shape } = view;
  if (shape === 'PartialObjectMetadata') return partial(object);
  if (shape === 'Table') {
    return table(type, [object], { resourceVersion: object.metadata.resourceVersion }, view);
  }
  return versioned(type, object);
}

/** A list in the shape that was asked for. */
export function showList(
  type: ResourceType,
  view: View,
  list: { readonly metadata: object; readonly items: readonly KubeObject[] },
): object {
  const { shape } = view;
  if (shape === 'Table') return table(type, list.items, list.metadata, view);
  if (shape === 'PartialObjectMetadata') {
    return {
      kind: 'PartialObjectMetadataList',
      apiVersion: META,
      metadata: list.metadata,
      items: list.items.map(partial),
    };
  }
  const items = list.items.map((object) => versioned(type, object));
  return {
    kind: `${type.kind}List`,
    apiVersion: groupVersion(type),
    metadata: list.metadata,
    // Items of built-in lists carry no kind of their own; those of custom resources do.
    items: type.custom ? items : items.map(({ kind: _kind, apiVersion: _apiVersion, ...rest }) => rest),
  };
}
