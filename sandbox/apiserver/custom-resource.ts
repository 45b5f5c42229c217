// Promises: the life of a custom resource's body in the API server: pruned and defaulted when it is decoded, validated
// against schema, list types and CEL rules when it is written. Knows nothing of how it is stored.
import { builtInSchema, checkTypes, withoutNullTexts } from './built-in-schemas.ts';
import { celErrors } from './cel-rules.ts';
import { finalizerWarnings } from './object-meta.ts';
import { isBlocking, listErrors, RULES_NOT_CHECKED, schemaErrors } from './schema-validation.ts';
import { badRequest } from './status.ts';
import type { StatusCause } from './status.ts';
import { isFields, prune, withDefaults } from './structural-schema.ts';
import type { Fields, Schema } from './structural-schema.ts';
import type { KubeObject } from './store.ts';
import type { ResourceType } from './resources.ts';

/** What happens to fields that the schema does not know. https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation */
export type FieldValidation = 'Ignore' | 'Warn' | 'Strict';

/** How a body is read. */
export interface DecodeOptions {
  readonly fieldValidation?: FieldValidation | undefined;
  /** Takes the Warning headers. */
  readonly warnings?: string[] | undefined;
  /** Fields that the body names twice. */
  readonly duplicates?: readonly string[] | undefined;
  /** Whole numbers that the body writes as floats, by path. */
  readonly floats?: ReadonlyMap<string, string> | undefined;
}

/**
 * Drops what the schema does not know and fills in defaults.
 * @throws StatusError 400 under `Strict`
 */
export function decodeBody(type: ResourceType, body: KubeObject, options: DecodeOptions): KubeObject {
  const schema = type.custom ? type.schema : builtInSchema(type.collection);
  const { object, unknown } = schema === undefined ? { object: body, unknown: [] } : prune(body, schema);
  const complaints = [
    ...(options.duplicates ?? []).map((path) => `duplicate field ${JSON.stringify(path)}`),
    ...unknown.map((path) => `unknown field ${JSON.stringify(path)}`),
  ];
  if (complaints.length > 0 && options.fieldValidation === 'Strict') {
    const cannot = `${type.kind} in version "${type.version}" cannot be handled as a ${type.kind}`;
    throw badRequest(`${cannot}: strict decoding error: ${complaints.join(', ')}`);
  }
  if (options.fieldValidation !== 'Ignore') options.warnings?.push(...complaints);
  if (type.custom) return withDefaults(object, type.schema) as KubeObject;
  if (schema === undefined) return object as KubeObject;
  checkTypes(type, object, schema, options.floats);
  return withoutNullTexts(object, schema) as KubeObject;
}

interface Validation {
  readonly causes: readonly StatusCause[];
  readonly warnings: readonly string[];
}

/** Through the status endpoint only the status is held against the schema. */
function structuralErrors(
  schema: Schema,
  object: Fields,
  before: Fields | undefined,
  statusOnly: boolean,
): StatusCause[] {
  if (!statusOnly)
    return schemaErrors({ value: withoutMeta(object), old: withoutMeta(before), path: '' }, withoutMetaRule(schema));
  const status = schema.properties?.['status'];
  if (status === undefined || object['status'] === undefined) return [];
  const node = { value: object['status'], old: before?.['status'], path: '' };
  return schemaErrors(node, status).map((cause) => ({ ...cause, field: statusField(cause.field ?? '') }));
}

/** The status has a validator of its own: its messages name fields from there, its causes from the root. */
function statusField(field: string): string {
  return field === '' || field === '<nil>' ? 'status' : `status.${field}`;
}

/** metadata has rules of its own. */
function withoutMeta(object: Fields | undefined): Fields | undefined {
  if (object === undefined) return undefined;
  const { metadata: _metadata, ...rest } = object;
  return rest;
}

const bare = new WeakMap<Schema, Schema>();

function withoutMetaRule(schema: Schema): Schema {
  let found = bare.get(schema);
  if (found === undefined) {
    const { metadata: _metadata, ...properties } = schema.properties ?? {};
    const required = (schema.required ?? []).filter((name) => name !== 'metadata');
    found = { ...schema, properties, required };
    bare.set(schema, found);
  }
  return found;
}

/** Everything against a custom resource beside its metadata; `earlier` are the causes found so far. */
export function validateCustomResource(
  type: ResourceType,
  object: KubeObject,
  before: KubeObject | undefined,
  context: {
    readonly earlier: readonly StatusCause[];
    readonly statusOnly: boolean;
    readonly floats?: ReadonlyMap<string, string> | undefined;
  },
): Validation {
  const { schema } = type;
  const warnings = finalizerWarnings(object, before);
  if (schema === undefined) return { causes: context.earlier, warnings };
  const causes = [
    ...context.earlier,
    ...structuralErrors(schema, object, before, context.statusOnly),
    ...listErrors({ value: object, old: before, path: '' }, schema),
  ];
  if (!hasCELRules(schema)) return { causes, warnings };
  if (causes.some(isBlocking)) return { causes: [...causes, RULES_NOT_CHECKED], warnings };
  const rules = celErrors(object, before, schema, context.floats);
  return { causes: [...causes, ...rules.causes], warnings: [...warnings, ...rules.warnings] };
}

const withRules = new WeakMap<Schema, boolean>();

function hasCELRules(schema: Schema): boolean {
  let found = withRules.get(schema);
  if (found === undefined) {
    found = JSON.stringify(schema).includes('"x-kubernetes-validations"');
    withRules.set(schema, found);
  }
  return found;
}

/** Whether it looks like an object at all. */
export function isObjectBody(input: unknown): input is Partial<KubeObject> {
  return isFields(input);
}
