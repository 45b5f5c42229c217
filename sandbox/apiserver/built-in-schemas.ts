// Promises: the fields of the built-in kinds that the operator, its chart and kubectl write, so that unknown ones are told
// and dropped and wrong types are refused as Go's decoder refuses them. Kinds without an entry are taken as they come.
import { badRequest } from './status.ts';
import { isFields, valueSchema } from './structural-schema.ts';
import type { Fields, Schema } from './structural-schema.ts';
import type { ResourceType } from './resources.ts';

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
  if (schema.format === 'byte') return '[]uint8';
  if (schema.type === 'boolean') return 'bool';
  if (schema.type === 'integer') return 'int32';
  return schema.type ?? 'object';
}

function jsonType(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}

function fits(value: unknown, { type }: Schema): boolean {
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return isFields(value);
  return typeof value === (type === 'integer' ? 'number' : type);
}

/** @throws StatusError 400 at the first value of a wrong type */
export function checkTypes(type: ResourceType, value: unknown, schema: Schema, path: string = type.kind): void {
  if (value === null || value === undefined) return;
  if (!fits(value, schema)) {
    const why = `json: cannot unmarshal ${jsonType(value)} into Go struct field ${path} of type ${goType(schema)}`;
    throw badRequest(`${type.kind} in version "${type.version}" cannot be handled as a ${type.kind}: ${why}`);
  }
  if (Array.isArray(value)) {
    for (const item of value) if (schema.items !== undefined) checkTypes(type, item, schema.items, path);
  }
  if (!isFields(value)) return;
  const values = valueSchema(schema);
  for (const [name, item] of Object.entries(value as Fields)) {
    const property = schema.properties?.[name];
    if (property !== undefined) checkTypes(type, item, property, `${path}.${name}`);
    else if (values !== undefined) checkTypes(type, item, values, path);
  }
}
