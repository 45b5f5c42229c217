// Promises: what the API server makes of a custom resource before it looks at it: fields that the structural schema does
// not know go away (and are named), nulls and missing fields get their defaults. Judges nothing: schema-validation.ts does.

/** One x-kubernetes-validations rule. */
export interface ValidationRule {
  readonly rule: string;
  readonly message?: string;
  readonly messageExpression?: string;
  readonly fieldPath?: string;
  readonly reason?: string;
  readonly optionalOldSelf?: boolean;
}

/** A structural schema (apiextensions.k8s.io/v1 JSONSchemaProps), as far as the sandbox reads it. */
export interface Schema {
  readonly type?: string;
  readonly format?: string;
  readonly nullable?: boolean;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: boolean;
  readonly exclusiveMaximum?: boolean;
  readonly multipleOf?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly allOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly not?: Schema;
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
  readonly 'x-kubernetes-embedded-resource'?: boolean;
  readonly 'x-kubernetes-int-or-string'?: boolean;
  readonly 'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map';
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-validations'?: readonly ValidationRule[];
}

/** A JSON object. */
export type Fields = Readonly<Record<string, unknown>>;

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The schema of a map's values, when it has one. */
export function valueSchema(schema: Schema | undefined): Schema | undefined {
  return typeof schema?.additionalProperties === 'object' ? schema.additionalProperties : undefined;
}

/** metav1.ObjectMeta */
const OBJECT_META: ReadonlySet<string> = new Set(
  (
    'name generateName namespace selfLink uid resourceVersion generation creationTimestamp deletionTimestamp ' +
    'deletionGracePeriodSeconds labels annotations ownerReferences finalizers managedFields'
  ).split(' '),
);

/** Metadata is typed Go, not schema: it drops what it does not know, too. */
function pruneMeta(value: unknown, path: string, unknown: string[]): unknown {
  if (!isFields(value)) return value;
  return Object.fromEntries(
    Object.entries(value).filter(([name]) => {
      if (OBJECT_META.has(name)) return true;
      unknown.push(`${path}.${name}`);
      return false;
    }),
  );
}

class Pruner {
  readonly ofMeta: string[] = [];
  readonly ofFields: string[] = [];

  value(value: unknown, schema: Schema | undefined, path: string): unknown {
    if (Array.isArray(value)) return value.map((item, index) => this.value(item, schema?.items, `${path}[${index}]`));
    if (!isFields(value)) return value;
    return this.#object(value, schema, path);
  }

  root(object: Fields, schema: Schema): Fields {
    return this.#object(object, { ...schema, 'x-kubernetes-embedded-resource': true }, '');
  }

  #object(object: Fields, schema: Schema | undefined, path: string): Fields {
    const result: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(object)) {
      const at = path === '' ? name : `${path}.${name}`;
      const embedded = schema?.['x-kubernetes-embedded-resource'] === true;
      const property = schema?.properties?.[name];
      if (embedded && (name === 'apiVersion' || name === 'kind')) result[name] = value;
      else if (embedded && name === 'metadata') result[name] = pruneMeta(value, at, this.ofMeta);
      else if (property !== undefined) result[name] = this.value(value, property, at);
      else this.#further({ name, value, at, schema }, result);
    }
    return result;
  }

  #further(
    { name, value, at, schema }: { name: string; value: unknown; at: string; schema: Schema | undefined },
    result: Record<string, unknown>,
  ): void {
    const values = valueSchema(schema);
    if (values !== undefined) result[name] = this.value(value, values, at);
    else if (schema === undefined || schema['x-kubernetes-preserve-unknown-fields'] === true) result[name] = value;
    else if (schema.additionalProperties === true) result[name] = value;
    else this.ofFields.push(at);
  }
}

/** The object without the fields that the schema does not know, and their paths in the order in which they are reported. */
export function prune(
  object: Fields,
  schema: Schema,
): { readonly object: Fields; readonly unknown: readonly string[] } {
  const pruner = new Pruner();
  const kept = pruner.root(object, schema);
  return { object: kept, unknown: [...pruner.ofMeta.toSorted(), ...pruner.ofFields.toSorted()] };
}

/** Null where it may not be counts as absent: it gets the default, or goes. */
function isAbsent(value: unknown, schema: Schema): boolean {
  return (
    value === undefined ||
    (value === null && schema.nullable !== true && schema['x-kubernetes-preserve-unknown-fields'] !== true)
  );
}

/** A copy of the value with the schema's defaults filled in and forbidden nulls taken out. */
export function withDefaults(value: unknown, schema: Schema | undefined): unknown {
  if (schema === undefined) return value;
  if (Array.isArray(value)) return value.map((item) => withDefaults(item, schema.items));
  if (!isFields(value)) return value;
  const result: Record<string, unknown> = { ...value };
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    if (isAbsent(result[name], property)) {
      delete result[name];
      if (property.default !== undefined) result[name] = structuredClone(property.default);
    }
    if (result[name] !== undefined) result[name] = withDefaults(result[name], property);
  }
  const values = valueSchema(schema);
  if (values === undefined) return result;
  for (const name of Object.keys(result)) {
    if (schema.properties?.[name] !== undefined) continue;
    if (isAbsent(result[name], values)) delete result[name];
    else result[name] = withDefaults(result[name], values);
  }
  return result;
}
