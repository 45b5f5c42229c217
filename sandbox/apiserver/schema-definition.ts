// Promises: whether a schema is structural, as far as kube-apiserver's own complaints about types, items, list types,
// patterns, defaults and the syntax of rules go (apiextensions-apiserver/pkg/apiserver/schema and apiextensions/validation).
import { goMatches } from './go-pattern.ts';
import { schemaErrors } from './schema-validation.ts';
import { fieldError } from './status.ts';
import type { StatusCause } from './status.ts';
import { valueSchema } from './structural-schema.ts';
import type { Schema, ValidationRule } from './structural-schema.ts';

const TYPES = ['array', 'boolean', 'integer', 'number', 'object', 'string'];
const REASONS = ['FieldValueDuplicate', 'FieldValueForbidden', 'FieldValueInvalid', 'FieldValueRequired'];

export function required(field: string, why?: string): StatusCause {
  return fieldError(field, 'FieldValueRequired', why === undefined ? 'Required value' : `Required value: ${why}`);
}

export function invalidValue(field: string, value: unknown, why: string): StatusCause {
  return fieldError(field, 'FieldValueInvalid', `Invalid value: ${JSON.stringify(value)}: ${why}`);
}

export function unsupportedValue(field: string, value: unknown, supported: readonly string[]): StatusCause {
  const list = supported.map((each) => JSON.stringify(each)).join(', ');
  const message = `Unsupported value: ${JSON.stringify(value)}: supported values: ${list}`;
  return fieldError(field, 'FieldValueNotSupported', message);
}

/** Why a rule cannot be read, or undefined. */
export type SyntaxCheck = (expression: string) => string | undefined;

/** Go escapes what could end a script in HTML. */
function goJSON(value: unknown): string {
  return JSON.stringify(value)
    .replaceAll('<', String.raw`\u003c`)
    .replaceAll('>', String.raw`\u003e`)
    .replaceAll('&', String.raw`\u0026`);
}

function goRule(rule: ValidationRule): string {
  return goJSON({
    Rule: rule.rule,
    Message: rule.message ?? '',
    MessageExpression: rule.messageExpression ?? '',
    Reason: rule.reason ?? null,
    FieldPath: rule.fieldPath ?? '',
    OptionalOldSelf: rule.optionalOldSelf ?? null,
  });
}

function ruleErrors(schema: Schema, path: string, syntaxError: SyntaxCheck): StatusCause[] {
  return (schema['x-kubernetes-validations'] ?? []).flatMap((rule, index) => {
    const at = `${path}.x-kubernetes-validations[${index}]`;
    if (rule.rule.trim() === '') return [required(`${at}.rule`, 'rule is not specified')];
    const causes: StatusCause[] = [];
    if (rule.message?.includes('\n') === true) {
      causes.push(invalidValue(`${at}.message`, rule.message, 'must not contain line breaks'));
    }
    if (rule.reason !== undefined && !REASONS.includes(rule.reason)) {
      causes.push(unsupportedValue(`${at}.reason`, rule.reason, REASONS));
    }
    const why = syntaxError(rule.rule);
    if (why !== undefined) {
      const message = `Invalid value: ${goRule(rule)}: compilation failed: ERROR: <input>:1:1: Syntax error: ${why}`;
      causes.push(fieldError(`${at}.rule`, 'FieldValueInvalid', message));
    }
    return causes;
  });
}

function typeErrors(schema: Schema, path: string, isRoot: boolean): StatusCause[] {
  const { type } = schema;
  const isOpen =
    schema['x-kubernetes-int-or-string'] === true || schema['x-kubernetes-preserve-unknown-fields'] === true;
  if (type === undefined || type === '') {
    if (isRoot) return [required(`${path}.type`, 'must not be empty at the root')];
    if (isOpen) return [];
    const owner =
      /\]$|\.items$/.test(path) && path.endsWith('.items') ? 'specified array items' : 'specified object fields';
    return [required(`${path}.type`, `must not be empty for ${owner}`)];
  }
  if (isRoot && type !== 'object') return [invalidValue(`${path}.type`, type, 'must be object at the root')];
  return TYPES.includes(type) ? [] : [unsupportedValue(`${path}.type`, type, TYPES)];
}

function listErrors(schema: Schema, path: string): StatusCause[] {
  if (schema.type !== 'array') return [];
  if (schema.items === undefined) return [required(`${path}.items`, 'must be specified')];
  if (schema['x-kubernetes-list-type'] !== 'map') return [];
  const causes: StatusCause[] = [];
  if ((schema['x-kubernetes-list-map-keys'] ?? []).length === 0) {
    const why = 'must not be empty if x-kubernetes-list-type is map';
    causes.push(required(`${path}.x-kubernetes-list-map-keys`, why));
  }
  if (schema.items.type !== 'object') {
    const why = "must be object if parent array's x-kubernetes-list-type is map";
    causes.push(invalidValue(`${path}.items.type`, schema.items.type ?? '', why));
  }
  return causes;
}

function patternErrors({ pattern }: Schema, path: string): StatusCause[] {
  if (pattern === undefined) return [];
  try {
    goMatches(pattern, '');
    return [];
  } catch {
    const why = `must be a valid regular expression, but isn't: error parsing regexp: ${patternProblem(pattern)}`;
    return [invalidValue(`${path}.pattern`, pattern, why)];
  }
}

/** Go's words for the commonest mistake. */
function patternProblem(pattern: string): string {
  const opened = pattern.replaceAll(/\\./g, '').split('(').length;
  const closed = pattern.replaceAll(/\\./g, '').split(')').length;
  if (opened > closed) return `missing closing ): \`${pattern}\``;
  return opened < closed ? `unexpected ): \`${pattern}\`` : `invalid syntax: \`${pattern}\``;
}

function defaultErrors(schema: Schema, path: string): StatusCause[] {
  if (schema.default === undefined) return [];
  return schemaErrors({ value: schema.default, old: undefined, path: '' }, schema).map((cause) => ({
    ...cause,
    field: `${path}.default${cause.field === undefined || cause.field === '' || cause.field === '<nil>' ? '' : `.${cause.field}`}`,
  }));
}

function children(schema: Schema, path: string): (readonly [Schema, string])[] {
  const values = valueSchema(schema);
  return [
    ...Object.entries(schema.properties ?? {}).map(([name, each]) => [each, `${path}.properties[${name}]`] as const),
    ...(values === undefined ? [] : [[values, `${path}.additionalProperties`] as const]),
    ...(schema.items === undefined ? [] : [[schema.items, `${path}.items`] as const]),
  ];
}

function nodeErrors(schema: Schema, path: string, syntaxError: SyntaxCheck): StatusCause[] {
  return [
    ...listErrors(schema, path),
    ...patternErrors(schema, path),
    ...ruleErrors(schema, path, syntaxError),
    ...defaultErrors(schema, path),
    ...children(schema, path).flatMap(([child, at]) => [
      ...typeErrors(child, at, false),
      ...nodeErrors(child, at, syntaxError),
    ]),
  ];
}

/** Every cause against a schema of a CustomResourceDefinition. */
export function schemaDefinitionErrors(schema: Schema, path: string, syntaxError: SyntaxCheck): StatusCause[] {
  const ofRoot = typeErrors(schema, path, true);
  const metadata = Object.keys(schema.properties?.['metadata']?.properties ?? {});
  if (metadata.some((name) => name !== 'name' && name !== 'generateName')) {
    const why =
      'Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified';
    ofRoot.push(fieldError(`${path}.properties[metadata]`, 'FieldValueForbidden', why));
  }
  return [...ofRoot, ...nodeErrors(schema, path, syntaxError)];
}
