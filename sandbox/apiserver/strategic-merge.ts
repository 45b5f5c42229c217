// Promises: strategic merge patches of built-in kinds as the real server applies them
// (k8s.io/apimachinery/pkg/util/strategicpatch): lists of objects merge by the key that their field has in Kubernetes' API,
// sets of texts as sets, with the directives $patch, $deleteFromPrimitiveList, $setElementOrder and $retainKeys.
import { badRequest } from './status.ts';
import type { Fields } from './structural-schema.ts';
import { isFields } from './structural-schema.ts';

/** The merge key of a list of objects, by the field's name (`patchMergeKey` in k8s.io/api). Other lists are replaced. */
const MERGE_KEYS: Readonly<Record<string, readonly string[]>> = {
  ownerReferences: ['uid'],
  conditions: ['type'],
  containers: ['name'],
  initContainers: ['name'],
  ephemeralContainers: ['name'],
  volumes: ['name'],
  env: ['name'],
  volumeMounts: ['mountPath'],
  volumeDevices: ['devicePath'],
  // A container's, then a Service's.
  ports: ['containerPort', 'port'],
  imagePullSecrets: ['name'],
  secrets: ['name'],
  hostAliases: ['ip'],
  topologySpreadConstraints: ['topologyKey'],
};
/** A ServiceAccount's own list, which is replaced where a Pod's merges. */
const REPLACED_AT_ROOT: ReadonlySet<string> = new Set(['imagePullSecrets']);
/** Lists of texts that merge as sets. */
const SETS: ReadonlySet<string> = new Set(['finalizers']);

const ORDER = '$setElementOrder/';
const DELETE_FROM = '$deleteFromPrimitiveList/';

function mergeKey(field: string, items: readonly unknown[]): string | undefined {
  const keys = MERGE_KEYS[field];
  return keys?.find((key) => items.some((item) => isFields(item) && item[key] !== undefined)) ?? keys?.[0];
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function mergedSet(before: unknown, patch: Fields, field: string): unknown[] {
  // What the patch names comes first.
  const all = new Set<unknown>([...list(patch[field]), ...list(before)]);
  for (const each of list(patch[`${DELETE_FROM}${field}`])) all.delete(each);
  return ordered([...all], { patch: orderOf(patch, field), live: list(before) }, (item) => item);
}

/**
 * What the patch names comes in the patch's order; the rest is put between it where the live order allows
 * (mergeSortedSlice).
 */
function ordered(
  items: readonly unknown[],
  lists: { readonly patch: readonly unknown[]; readonly live: readonly unknown[] },
  identity: (item: unknown) => unknown,
): unknown[] {
  const rank = new Map(lists.patch.map((each, index) => [identity(each), index]));
  const position = new Map(lists.live.map((each, index) => [identity(each), index]));
  const named = items
    .filter((item) => rank.has(identity(item)))
    .toSorted((a, b) => (rank.get(identity(a)) ?? 0) - (rank.get(identity(b)) ?? 0));
  const others = items.filter((item) => !rank.has(identity(item)));
  const result: unknown[] = [];
  while (named.length > 0 && others.length > 0) {
    const [left, right] = [position.get(identity(others[0])), position.get(identity(named[0]))];
    const isLess = left !== undefined && right !== undefined && left < right;
    result.push(isLess ? others.shift() : named.shift());
  }
  return [...result, ...others, ...named];
}

function orderOf(patch: Fields, field: string): readonly unknown[] {
  const order = list(patch[`${ORDER}${field}`]);
  return order.length > 0 ? order : list(patch[field]);
}

function mergedList(before: unknown, patch: Fields, field: string): unknown[] {
  const wanted = list(patch[field]);
  if (wanted.some((item) => isFields(item) && item['$patch'] === 'replace')) {
    return wanted.filter((item) => isFields(item) && item['$patch'] === undefined);
  }
  const key = mergeKey(field, [...wanted, ...list(before)]) ?? 'name';
  const identity = (item: unknown): unknown => (isFields(item) ? item[key] : undefined);
  const result: unknown[] = [...list(before)];
  for (const item of wanted) {
    if (!isFields(item) || item[key] === undefined) {
      throw badRequest(`map: ${JSON.stringify(item)} does not contain declared merge key: ${key}`);
    }
    const at = result.findIndex((old) => identity(old) === item[key]);
    if (item['$patch'] === 'delete') {
      if (at >= 0) result.splice(at, 1);
    } else if (at >= 0) {
      result[at] = merge(result[at], item);
    } else {
      result.push(merge({}, item));
    }
  }
  return ordered(result, { patch: orderOf(patch, field), live: list(before) }, identity);
}

function mergesAsList(field: string, value: unknown): boolean {
  return MERGE_KEYS[field] !== undefined && (value === undefined || (Array.isArray(value) && value.every(isFields)));
}

/**
 * The document with the patch applied; neither is changed.
 * @throws StatusError 400
 */
export function strategicMerge(document: unknown, patch: Fields): Fields {
  return merge(document, patch, REPLACED_AT_ROOT);
}

function merge(document: unknown, patch: Fields, replaced: ReadonlySet<string> = new Set()): Fields {
  const isReplaced = patch['$patch'] === 'replace';
  if (patch['$patch'] === 'delete') return {};
  const before: Fields = isFields(document) && !isReplaced ? document : {};
  const retained = patch['$retainKeys'];
  const result: Record<string, unknown> = Array.isArray(retained)
    ? Object.fromEntries(Object.entries(before).filter(([name]) => retained.includes(name)))
    : { ...before };
  const named = Object.keys(patch).map((name) => name.replace(/^\$(setElementOrder|deleteFromPrimitiveList)\//, ''));
  for (const field of new Set(named)) {
    if (field.startsWith('$')) continue;
    const value = patch[field];
    if (value === null) delete result[field];
    else if (SETS.has(field) && typeof value !== 'string') result[field] = mergedSet(before[field], patch, field);
    else if (!replaced.has(field) && mergesAsList(field, value))
      result[field] = mergedList(before[field], patch, field);
    else if (isFields(value) && value['$patch'] !== undefined && before[field] === undefined) continue;
    else if (isFields(value)) result[field] = merge(before[field], value);
    else if (value !== undefined) result[field] = value;
  }
  return result;
}
