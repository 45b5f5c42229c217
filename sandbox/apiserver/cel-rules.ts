// Promises: x-kubernetes-validations evaluated as kube-apiserver does: which rules apply to a create and which to an update,
// on which values, and the words of the cause. The language is @marcbachmann/cel-js; there is no cost budget. Rules
// without types: what Go's compiler would refuse at the CRD's installation fails here when it is evaluated.
import { isDeepStrictEqual } from 'node:util';
import { Environment, Optional } from '@marcbachmann/cel-js';
import type { ParseResult } from '@marcbachmann/cel-js';
import { goMatches } from './go-pattern.ts';
import { correlated } from './schema-validation.ts';
import { fieldError } from './status.ts';
import type { StatusCause } from './status.ts';
import { isFields, valueSchema } from './structural-schema.ts';
import type { Fields, Schema, ValidationRule } from './structural-schema.ts';

const NAMES: Readonly<Record<string, string>> = {
  FieldValueInvalid: 'Invalid value',
  FieldValueForbidden: 'Forbidden',
  FieldValueRequired: 'Required value',
  FieldValueDuplicate: 'Duplicate value',
};

function makeEnvironment(): Environment {
  return new Environment({ enableOptionalTypes: true, homogeneousAggregateLiterals: false })
    .registerVariable('self', 'dyn')
    .registerVariable('oldSelf', 'dyn')
    .registerFunction('string.matchesGo(string): bool', (text: string, pattern: string) => goMatches(pattern, text))
    .registerFunction(
      'string.find(string): string',
      (text: string, pattern: string) => new RegExp(pattern, 'u').exec(text)?.[0] ?? '',
    )
    .registerFunction('string.replace(string, string): string', (text: string, from: string, to: string) =>
      text.replaceAll(from, to),
    )
    .registerFunction('isURL(string): bool', (text: string) => URL.canParse(text));
}

let environment: Environment | undefined;

/** The library's own `matches` is JavaScript's, which reads some patterns otherwise than Go. */
function compile(expression: string): ParseResult {
  environment ??= makeEnvironment();
  return environment.parse(expression.replaceAll('.matches(', '.matchesGo('));
}

interface Compiled {
  readonly rule: ValidationRule;
  readonly program: ParseResult;
  readonly message?: ParseResult;
  readonly usesOldSelf: boolean;
}

const cache = new WeakMap<ValidationRule, Compiled>();

function compiledRule(rule: ValidationRule): Compiled {
  let found = cache.get(rule);
  if (found === undefined) {
    found = {
      rule,
      program: compile(rule.rule),
      usesOldSelf: /\boldSelf\b/.test(rule.rule),
      ...(rule.messageExpression === undefined ? {} : { message: compile(rule.messageExpression) }),
    };
    cache.set(rule, found);
  }
  return found;
}

/** Why a rule cannot be read, or undefined. */
export function ruleSyntaxError(expression: string): string | undefined {
  try {
    compile(expression);
    return undefined;
  } catch (error) {
    return summary(error);
  }
}

function summary(error: unknown): string {
  const { summary: text, message } = error as { readonly summary?: string; readonly message: string };
  const line = text ?? message.split('\n')[0] ?? '';
  return line.charAt(0).toLowerCase() + line.slice(1);
}

/** Words that CEL keeps for itself get underscores around them in rules. */
const RESERVED = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return var void while'.split(
    ' ',
  ),
);

/** A field's name as rules write it (k8s.io/apiserver/pkg/cel/escaping.go). */
function celName(name: string): string {
  if (RESERVED.has(name)) return `__${name}__`;
  return name
    .replaceAll('__', '__underscores__')
    .replaceAll('.', '__dot__')
    .replaceAll('-', '__dash__')
    .replaceAll('/', '__slash__');
}

/** JSON as CEL sees it: integers, times and durations have types of their own. */
function toCEL(value: unknown, schema: Schema | undefined): unknown {
  if (Array.isArray(value)) return value.map((item) => toCEL(item, schema?.items));
  if (isFields(value)) {
    const entries = Object.entries(value).map(([name, item]) => {
      const property = schema?.properties?.[name];
      return property === undefined ? [name, toCEL(item, valueSchema(schema))] : [celName(name), toCEL(item, property)];
    });
    return Object.fromEntries(entries) as Fields;
  }
  if (typeof value === 'number') return schema?.type !== 'number' && Number.isInteger(value) ? BigInt(value) : value;
  if (typeof value !== 'string' || schema?.type !== 'string') return value;
  if (schema.format === 'date-time' || schema.format === 'date') return new Date(value);
  return schema.format === 'duration' ? (compile('duration(self)')({ self: value }) as unknown) : value;
}

/** Rules at the root see the type and two fields of the metadata, whatever the schema says. */
function rootSchema(schema: Schema): Schema {
  const text: Schema = { type: 'string' };
  const metadata: Schema = { type: 'object', properties: { name: text, generateName: text } };
  return { ...schema, properties: { ...schema.properties, apiVersion: text, kind: text, metadata } };
}

function rootValue(value: unknown): unknown {
  if (!isFields(value)) return value;
  const { name, generateName } = (value['metadata'] ?? {}) as Fields;
  const kept = Object.entries({ name, generateName }).filter(([, text]) => text !== undefined);
  return { ...value, metadata: Object.fromEntries(kept) };
}

interface Node {
  readonly value: unknown;
  readonly old: unknown;
  readonly path: string;
}

export interface RuleResult {
  /** Paths of whole numbers that were written as floats, which are no integers to a rule. */
  readonly floats?: ReadonlyMap<string, string>;
  readonly causes: StatusCause[];
  /** What an update did not touch is warned of, not refused. */
  readonly warnings: string[];
}

function failed({ rule, message }: Compiled, node: Node, schema: Schema, self: unknown): StatusCause {
  let detail = rule.message === undefined ? `failed rule: ${rule.rule.trim()}` : rule.message.trim();
  if (message !== undefined) {
    try {
      detail = String(message({ self }));
    } catch {
      // The real server falls back to the message, too.
    }
  }
  const path = `${node.path}${rule.fieldPath ?? ''}`.replace(/^\./, '') || '<nil>';
  const reason = rule.reason ?? 'FieldValueInvalid';
  const composite = schema.type === 'object' || schema.type === 'array';
  const shown = reason === 'FieldValueInvalid' && !composite ? `${JSON.stringify(node.value)}: ` : '';
  const duplicate = reason === 'FieldValueDuplicate';
  return fieldError(path, reason, `${NAMES[reason] ?? 'Invalid value'}: ${shown}${duplicate ? '' : detail}`);
}

function evaluate(compiled: Compiled, node: Node, schema: Schema, self: unknown): StatusCause | undefined {
  const { rule, program } = compiled;
  const old = node.old === undefined ? undefined : toCEL(node.old, schema);
  const optional = (): unknown => (old === undefined ? Optional.none() : Optional.of(old));
  const oldSelf = rule.optionalOldSelf === true ? optional() : old;
  try {
    const result = program(oldSelf === undefined ? { self } : { self, oldSelf }) as unknown;
    return result === true ? undefined : failed(compiled, node, schema, self);
  } catch (error) {
    return notEvaluated(compiled, node, schema, summary(error));
  }
}

function notEvaluated({ rule }: Compiled, { path }: Node, { type = '' }: Schema, why: string): StatusCause {
  const message = `Invalid value: ${JSON.stringify(type)}: ${why} evaluating rule: ${rule.message?.trim() ?? rule.rule.trim()}`;
  return fieldError(path || '<nil>', 'FieldValueInvalid', message);
}

function ownRules(node: Node, schema: Schema, result: RuleResult): void {
  const rules = schema['x-kubernetes-validations'];
  if (rules === undefined || rules.length === 0) return;
  const self = toCEL(node.value, schema);
  for (const rule of rules) {
    const compiled = compiledRule(rule);
    if (compiled.usesOldSelf && node.old === undefined && rule.optionalOldSelf !== true) continue;
    const isFloat = schema.type === 'integer' && result.floats?.has(node.path) === true;
    const cause = isFloat
      ? notEvaluated(compiled, node, schema, 'invalid data, expected int, got float64')
      : evaluate(compiled, node, schema, self);
    if (cause === undefined) continue;
    const untouched = node.old !== undefined && !compiled.usesOldSelf && isDeepStrictEqual(node.value, node.old);
    if (untouched) result.warnings.push(`${cause.field}: ${cause.message}`);
    else result.causes.push(cause);
  }
}

const ruled = new WeakMap<Schema, boolean>();

/** Whether there is a rule in the schema: most parts have none, and are not walked. */
function hasRules(schema: Schema): boolean {
  let found = ruled.get(schema);
  if (found === undefined) {
    const inner = [...Object.values(schema.properties ?? {}), valueSchema(schema), schema.items];
    found =
      (schema['x-kubernetes-validations'] ?? []).length > 0 ||
      inner.some((each) => each !== undefined && hasRules(each));
    ruled.set(schema, found);
  }
  return found;
}

function walk(node: Node, schema: Schema | undefined, result: RuleResult): void {
  const { value, old, path } = node;
  if (schema === undefined || value === null || value === undefined || !hasRules(schema)) return;
  ownRules(node, schema, result);
  inside({ value, old, path }, schema, result);
}

function inside({ value, old, path }: Node, schema: Schema, result: RuleResult): void {
  if (Array.isArray(value)) {
    value.forEach((item: unknown, index) => {
      walk({ value: item, old: correlated(old, item, schema), path: `${path}[${index}]` }, schema.items, result);
    });
  } else if (isFields(value)) {
    const before = isFields(old) ? old : {};
    for (const [name, item] of Object.entries(value)) {
      const property = schema.properties?.[name];
      const at = property === undefined ? `${path}[${name}]` : path === '' ? name : `${path}.${name}`;
      walk({ value: item, old: before[name] ?? undefined, path: at }, property ?? valueSchema(schema), result);
    }
  }
}

/** Evaluates every rule of the schema on the object; `old` undefined: a create. */
export function celErrors(
  object: Fields,
  old: Fields | undefined,
  schema: Schema,
  floats: ReadonlyMap<string, string> = new Map(),
): RuleResult {
  const result: RuleResult = { causes: [], warnings: [], floats };
  if (!hasRules(schema)) return result;
  const root = { value: rootValue(object), old: old === undefined ? undefined : rootValue(old), path: '' };
  ownRules(root, rootSchema(schema), result);
  inside({ value: object, old, path: '' }, schema, result);
  return result;
}
