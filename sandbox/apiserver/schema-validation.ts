// Promises: a custom resource held against its structural schema, with the causes in kube-apiserver's own words and kinds
// (k8s.io/kube-openapi/pkg/validation, apiextensions' list types). Where an update leaves a value as it was, its old faults
// are let pass, as the real server's ratcheting does. Changes nothing.
import { isDeepStrictEqual } from 'node:util';
import { goMatches } from './go-pattern.ts';
import { fieldError } from './status.ts';
import type { StatusCause } from './status.ts';
import { isFields, valueSchema } from './structural-schema.ts';
import type { Fields, Schema } from './structural-schema.ts';

/** Causes after which CEL rules are not looked at (registry/customresource/strategy.go, hasBlockingErr). */
const BLOCKING: ReadonlySet<string> = new Set([
  'FieldValueRequired',
  'FieldValueNotSupported',
  'FieldValueTooLong',
  'FieldValueTooMany',
  'FieldValueTypeInvalid',
]);

/** What the server adds when it did not look at the CEL rules. */
export const RULES_NOT_CHECKED = fieldError(
  '<nil>',
  'FieldValueInvalid',
  'Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing ' +
    'errors to complete validation',
);

export function isBlocking({ reason }: StatusCause): boolean {
  return BLOCKING.has(reason);
}

/** A value, what it was before the update, and where it is. */
interface Node {
  readonly value: unknown;
  readonly old: unknown;
  readonly path: string;
}

const DATE_TIME = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)$/;
const OCTET = '(25[0-5]|2[0-4]\\d|1?\\d?\\d)';

/** Formats that the API server checks (go-openapi/strfmt); others mean nothing. */
const FORMATS: Readonly<Record<string, (text: string) => boolean>> = {
  'date-time': (text) => DATE_TIME.test(text) && !Number.isNaN(Date.parse(text)),
  datetime: (text) => DATE_TIME.test(text) && !Number.isNaN(Date.parse(text)),
  date: (text) => /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)),
  duration: (text) => /^-?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$|^0$/.test(text),
  uuid: (text) => /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i.test(text),
  byte: (text) => /^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text),
  uri: (text) => text !== '' && !/[\s<>"]/.test(text) && (text.startsWith('/') || URL.canParse(text)),
  ipv4: (text) => new RegExp(`^(${OCTET}\\.){3}${OCTET}$`).test(text),
  ipv6: (text) => text.includes(':') && URL.canParse(`http://[${text}]`),
  email: (text) => /^[^\s@]+@[^\s@]+$/.test(text),
  hostname: (text) => /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/i.test(text),
};

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

function wantedTypes(schema: Schema): readonly string[] {
  if (schema['x-kubernetes-int-or-string'] === true) return ['integer', 'string'];
  return schema.type === undefined ? [] : [schema.type];
}

function typeInvalid(path: string, wanted: string, value: string): StatusCause {
  const message = `Invalid value: ${JSON.stringify(value)}: ${path} in body must be of type ${wanted}: ${JSON.stringify(value)}`;
  return fieldError(path, 'FieldValueTypeInvalid', message);
}

function inBody(path: string, value: unknown, rule: string): StatusCause {
  return fieldError(
    path,
    'FieldValueInvalid',
    `Invalid value: ${JSON.stringify(value)}: ${path} in body should ${rule}`,
  );
}

function pathless(message: string): StatusCause {
  return fieldError('<nil>', 'FieldValueInvalid', `Invalid value: "": ${message}`);
}

function stringErrors(text: string, schema: Schema, path: string): StatusCause[] {
  const causes: StatusCause[] = [];
  const length = Array.from(text).length;
  const { maxLength, minLength, pattern, format } = schema;
  if (maxLength !== undefined && length > maxLength) {
    causes.push(fieldError(path, 'FieldValueTooLong', `Too long: may not be more than ${maxLength} bytes`));
  }
  if (minLength !== undefined && length < minLength) {
    causes.push(inBody(path, text, `be at least ${minLength} chars long`));
  }
  if (pattern !== undefined && !goMatches(pattern, text)) causes.push(inBody(path, text, `match '${pattern}'`));
  if (format !== undefined && FORMATS[format]?.(text) === false) causes.push(typeInvalid(path, format, text));
  return causes;
}

function numberErrors(value: number, schema: Schema, path: string): StatusCause[] {
  const causes: StatusCause[] = [];
  const { minimum, maximum, multipleOf, exclusiveMinimum, exclusiveMaximum } = schema;
  if (schema.type === 'integer') {
    const kind = schema.format === undefined ? 'integer (default format)' : `integer with format ${schema.format}`;
    const tooWide = schema.format === 'int32' && Math.abs(value) > 2 ** 31;
    if (!Number.isInteger(value) || tooWide) causes.push(pathless(`Checked value must be of type ${kind} in ${path}`));
  }
  if (multipleOf !== undefined && value % multipleOf !== 0) {
    causes.push(inBody(path, value, `be a multiple of ${multipleOf}`));
  }
  // The bounds are told as whole numbers, whatever they are.
  if (maximum !== undefined && (exclusiveMaximum === true ? value >= maximum : value > maximum)) {
    const relation = exclusiveMaximum === true ? 'less than' : 'less than or equal to';
    causes.push(inBody(path, value, `be ${relation} ${Math.trunc(maximum)}`));
  }
  if (minimum !== undefined && (exclusiveMinimum === true ? value <= minimum : value < minimum)) {
    const relation = exclusiveMinimum === true ? 'greater than' : 'greater than or equal to';
    causes.push(inBody(path, value, `be ${relation} ${Math.trunc(minimum)}`));
  }
  return causes;
}

function tooMany(path: string, count: number, limit: number): StatusCause {
  return fieldError(path, 'FieldValueTooMany', `Too many: ${count}: must have at most ${limit} items`);
}

/** The old item that an item continues: in a list map the one with its keys; elsewhere lists are compared whole. */
export function correlated(items: unknown, item: unknown, schema: Schema): unknown {
  const keys = schema['x-kubernetes-list-map-keys'];
  if (schema['x-kubernetes-list-type'] !== 'map' || keys === undefined || !Array.isArray(items)) return undefined;
  return items.find((old: unknown) =>
    keys.every((key) => isDeepStrictEqual((old as Fields)[key], (item as Fields)[key])),
  );
}

function arrayErrors(value: readonly unknown[], { old, path }: Node, schema: Schema): StatusCause[] {
  const { items, minItems, maxItems } = schema;
  const causes =
    items === undefined
      ? []
      : value.flatMap((item, index) =>
          schemaErrors({ value: item, old: correlated(old, item, schema), path: `${path}[${index}]` }, items),
        );
  if (minItems !== undefined && value.length < minItems) {
    causes.push(inBody(path, value.length, `have at least ${minItems} items`));
  }
  if (maxItems !== undefined && value.length > maxItems) causes.push(tooMany(path, value.length, maxItems));
  return causes;
}

function objectErrors(value: Fields, { old, path }: Node, schema: Schema): StatusCause[] {
  const causes: StatusCause[] = [];
  const count = Object.keys(value).length;
  const { minProperties, maxProperties } = schema;
  if (minProperties !== undefined && count < minProperties) {
    causes.push(inBody(path, count, `have at least ${minProperties} properties`));
  }
  if (maxProperties !== undefined && count > maxProperties) causes.push(tooMany(path, count, maxProperties));
  const at = (name: string): string => (path === '' ? name : `${path}.${name}`);
  for (const name of [...(schema.required ?? []), ...embeddedRequired(schema)]) {
    if (value[name] === undefined) causes.push(fieldError(at(name), 'FieldValueRequired', 'Required value'));
  }
  const before = isFields(old) ? old : {};
  for (const [name, item] of Object.entries(value)) {
    const property = schema.properties?.[name] ?? valueSchema(schema);
    if (property !== undefined)
      causes.push(...schemaErrors({ value: item, old: before[name], path: at(name) }, property));
  }
  return causes;
}

function embeddedRequired(schema: Schema): readonly string[] {
  return schema['x-kubernetes-embedded-resource'] === true ? ['apiVersion', 'kind'] : [];
}

function logicErrors(node: Node, schema: Schema): StatusCause[] {
  const causes: StatusCause[] = [];
  const tried = (schemas: readonly Schema[]): StatusCause[][] =>
    schemas.map((each) => schemaErrors({ ...node, old: undefined }, each));
  const name = JSON.stringify(node.path);
  if (schema.anyOf !== undefined) {
    const results = tried(schema.anyOf);
    if (results.every((errors) => errors.length > 0)) {
      causes.push(pathless(`${name} must validate at least one schema (anyOf)`), ...(results[0] ?? []));
    }
  }
  if (schema.oneOf !== undefined) {
    const results = tried(schema.oneOf);
    const valid = results.filter((errors) => errors.length === 0).length;
    const found = valid === 0 ? 'none valid' : `${valid} valid alternatives`;
    if (valid !== 1) causes.push(pathless(`${name} must validate one and only one schema (oneOf). Found ${found}`));
    if (valid === 0) causes.push(...(results[0] ?? []));
  }
  causes.push(...tried(schema.allOf ?? []).flat());
  if (schema.not !== undefined && tried([schema.not])[0]?.length === 0) {
    causes.push(pathless(`${name} must not validate the schema (not)`));
  }
  return causes;
}

/** What Go calls a JSON value's format; a number that is whole in the text is an integer. */
const GO_FORMATS: Readonly<Record<string, string>> = { integer: 'int64', number: 'float64' };

/** Where the schema names a format, a value that is neither text nor list is told by formats instead of types. */
function wrongType(path: string, value: unknown, { format }: Schema, wanted: readonly string[]): StatusCause {
  const actual = typeOf(value);
  const byFormat = format !== undefined && actual !== 'string' && actual !== 'array' && value !== null;
  return byFormat ? typeInvalid(path, format, GO_FORMATS[actual] ?? '') : typeInvalid(path, wanted.join(','), actual);
}

/** The causes against one value; `old` undefined: there is nothing to compare with. */
export function schemaErrors(node: Node, schema: Schema): StatusCause[] {
  const { value, old, path } = node;
  if (old !== undefined && isDeepStrictEqual(value, old)) return [];
  const wanted = wantedTypes(schema);
  const actual = typeOf(value);
  if (value === null && (schema.nullable === true || wanted.length === 0)) return [];
  const fits = wanted.length === 0 || wanted.includes(actual) || (actual === 'integer' && wanted.includes('number'));
  const causes = fits ? [] : [wrongType(path, value, schema, wanted)];
  if (value === null) return causes;
  causes.push(...logicErrors(node, schema));
  if (typeof value === 'string' && (fits || schema.format === undefined))
    causes.push(...stringErrors(value, schema, path));
  if (typeof value === 'number') causes.push(...numberErrors(value, schema, path));
  if (Array.isArray(value)) causes.push(...arrayErrors(value, node, schema));
  if (schema.enum !== undefined && !schema.enum.some((each) => isDeepStrictEqual(each, value))) {
    const supported = schema.enum.map((each) => JSON.stringify(each)).join(', ');
    const message = `Unsupported value: ${JSON.stringify(value)}: supported values: ${supported}`;
    causes.push(fieldError(path, 'FieldValueNotSupported', message));
  }
  if (isFields(value)) causes.push(...objectErrors(value, node, schema));
  return causes;
}

function sortedJSON(value: unknown): string {
  if (!isFields(value)) return JSON.stringify(value);
  const names = Object.keys(value).toSorted();
  return `{${names.map((name) => `${JSON.stringify(name)}:${sortedJSON(value[name])}`).join(',')}}`;
}

function duplicates(items: readonly unknown[], path: string, identity: (item: unknown) => unknown): StatusCause[] {
  const seen = new Set<string>();
  return items.flatMap((item, index) => {
    const text = sortedJSON(identity(item));
    if (!seen.has(text)) {
      seen.add(text);
      return [];
    }
    return [fieldError(`${path}[${index}]`, 'FieldValueDuplicate', `Duplicate value: ${text}`)];
  });
}

/** Lists that say they are sets or maps, and are not. */
export function listErrors(node: Node, schema: Schema | undefined): StatusCause[] {
  const { value, old, path } = node;
  if (schema === undefined || (old !== undefined && isDeepStrictEqual(value, old))) return [];
  if (Array.isArray(value)) {
    const kind = schema['x-kubernetes-list-type'];
    const keys = schema['x-kubernetes-list-map-keys'] ?? [];
    const keysOf = (item: unknown): unknown =>
      Object.fromEntries(keys.flatMap((key) => (isFields(item) && key in item ? [[key, item[key]]] : [])));
    const own: StatusCause[] = [];
    if (kind === 'set') own.push(...duplicates(value, path, (item) => item));
    if (kind === 'map') own.push(...duplicates(value, path, keysOf));
    const inner = value.flatMap((item: unknown, index) =>
      listErrors({ value: item, old: undefined, path: `${path}[${index}]` }, schema.items),
    );
    return [...own, ...inner];
  }
  if (!isFields(value)) return [];
  const before = isFields(old) ? old : {};
  return Object.entries(value).flatMap(([name, item]) => {
    const property = schema.properties?.[name];
    const at = property === undefined ? `${path}[${name}]` : path === '' ? name : `${path}.${name}`;
    return listErrors({ value: item, old: before[name], path: at }, property ?? valueSchema(schema));
  });
}
