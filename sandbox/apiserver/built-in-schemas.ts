// Promises: the fields of the built-in kinds that the operator, its chart and kubectl write, so that unknown ones are told
// and dropped and wrong types are refused as Go's decoder refuses them. Kinds without an entry are taken as they come.
import { badRequest } from './status.ts';
import { isFields, valueSchema } from './structural-schema.ts';
import type { Fields, Schema } from './structural-schema.ts';

const text: Schema = { type: 'string' };
const flag: Schema = { type: 'boolean' };
const number: Schema = { type: 'integer' };
const open: Schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
const object = (properties: Readonly<Record<string, Schema>>): Schema => ({ type: 'object', properties });
const map = (values: Schema): Schema => ({ type: 'object', additionalProperties: values });
const list = (items: Schema): Schema => ({ type: 'array', items });
const bytes: Schema = { type: 'string', format: 'byte' };

/** By collection. */
const SCHEMAS: Readonly<Record<string, Schema>> = {
  '/secrets': object({ data: map(bytes), stringData: map(text), type: text, immutable: flag }),
  '/configmaps': object({ data: map(text), binaryData: map(bytes), immutable: flag }),
  '/serviceaccounts': object({
    automountServiceAccountToken: flag,
    imagePullSecrets: list(object({ name: text })),
    secrets: list(open),
  }),
  'coordination.k8s.io/leases': object({
    spec: object({
      holderIdentity: text,
      leaseDurationSeconds: number,
      acquireTime: text,
      renewTime: text,
      leaseTransitions: number,
      preferredHolder: text,
      strategy: text,
    }),
  }),
};

export function builtInSchema(collection: string): Schema | undefined {
  return SCHEMAS[collection];
}

function goType(schema: Schema): string {
  const values = valueSchema(schema);
  if (values !== undefined) return `map[string]${goType(values)}`;
  if (schema.type === 'array') return `[]${goType(schema.items ?? {})}`;
  if (schema.format === 'byte') return '[]uint8';
  if (schema.type === 'boolean') return 'bool';
  if (schema.type === 'integer') return schema.format ?? 'int32';
  return schema.type ?? 'object';
}

function jsonType(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}

const MAX_INT32 = 2 ** 31;

function fits(value: unknown, { type, format }: Schema): boolean {
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return isFields(value);
  if (type !== 'integer') return typeof value === type;
  return Number.isInteger(value) && (format === 'int64' || Math.abs(value as number) < MAX_INT32);
}

/** Where a value is, as Go's decoder tells it: the struct whose field it is, and the path from the root. */
interface Place {
  readonly struct: string;
  readonly path: string;
  /** The struct that has the field. */
  readonly owner: string;
}

/** Structs whose names do not follow from the kind's and the field's. */
const STRUCTS: Readonly<Record<string, string>> = {
  imagePullSecrets: 'LocalObjectReference',
  secrets: 'ObjectReference',
  boundObjectRef: 'BoundObjectReference',
};

function inside({ struct, path }: Place, name: string, property: Schema): Place {
  const isStruct = property.properties !== undefined || property.items?.properties !== undefined;
  const own = STRUCTS[name] ?? `${struct}${name.charAt(0).toUpperCase()}${name.slice(1)}`;
  return { struct: isStruct ? own : struct, path: path === '' ? name : `${path}.${name}`, owner: struct };
}

/** What the decoder needs to know of a kind. */
interface Kind {
  readonly kind: string;
  readonly version: string;
}

/**
 * @param floats whole numbers that are written as floats, by path
 * @throws StatusError 400 at the first value of a wrong type
 */
export function checkTypes(
  type: Kind,
  value: unknown,
  schema: Schema,
  floats: ReadonlyMap<string, string> = new Map(),
): void {
  check({ ...type, floats }, value, schema, { struct: type.kind, path: '', owner: type.kind });
}

function check(
  type: Kind & { readonly floats: ReadonlyMap<string, string> },
  value: unknown,
  schema: Schema,
  place: Place,
): void {
  if (value === null || value === undefined) return;
  const { owner } = place;
  const written = schema.type === 'integer' ? type.floats.get(place.path) : undefined;
  if (!fits(value, schema) || written !== undefined) {
    const isWide = typeof value === 'number' && schema.type === 'integer';
    const what = isWide ? `number ${written ?? value}` : jsonType(value);
    const wanted = schema.properties === undefined ? goType(schema) : `${type.version}.${place.struct}`;
    const why = `json: cannot unmarshal ${what} into Go struct field ${owner}.${place.path} of type ${wanted}`;
    throw badRequest(`${type.kind} in version "${type.version}" cannot be handled as a ${type.kind}: ${why}`);
  }
  if (Array.isArray(value)) {
    for (const item of value) if (schema.items !== undefined) check(type, item, schema.items, place);
  }
  if (!isFields(value)) return;
  const values = valueSchema(schema);
  for (const [name, item] of Object.entries(value as Fields)) {
    const property = schema.properties?.[name];
    if (property !== undefined) check(type, item, property, inside(place, name, property));
    else if (values !== undefined) check(type, item, values, place);
  }
}

/** Go's zero values: a text that is null in a map is the empty one. */
export function withoutNullTexts(object: Fields, schema: Schema): Fields {
  const entries = Object.entries(object).map(([name, value]) => {
    const values = valueSchema(schema.properties?.[name]);
    if (values?.type !== 'string' || !isFields(value)) return [name, value];
    return [name, Object.fromEntries(Object.entries(value).map(([key, item]) => [key, item ?? '']))];
  });
  return Object.fromEntries(entries) as Fields;
}
