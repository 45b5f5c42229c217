// Promises: docs/reference/values.md from the chart's schema and its defaults, and that each value is described: one without a
// description throws. Same input, same text. May not write files.
import { load } from 'js-yaml';

/** The part of JSON Schema (draft 7) that the chart's schema uses. */
export interface ValueSchema {
  readonly description?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly string[];
  readonly properties?: Readonly<Record<string, ValueSchema>>;
  readonly additionalProperties?: boolean | ValueSchema;
  readonly items?: ValueSchema;
  readonly minimum?: number;
  readonly maximum?: number;
}

interface Row {
  readonly path: string;
  readonly takes: string;
  readonly fallback: string;
  readonly meaning: string;
}

function takes(schema: ValueSchema): string {
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${value}\``).join(', ');
  if (schema.items !== undefined)
    return `list of ${schema.items.properties === undefined ? takes(schema.items) : 'objects'}`;
  if (typeof schema.additionalProperties === 'object') return `map of ${takes(schema.additionalProperties)}`;
  const { minimum, maximum, type = 'any' } = schema;
  const bounds = [minimum, maximum].some((bound) => bound !== undefined)
    ? ` (${minimum ?? ''} to ${maximum ?? ''})`.replace(/ to \)$/, ' or more)')
    : '';
  return `${[type].flat().join(' or ')}${bounds}`;
}

/** A default as JSON, which YAML reads too; the empty text is shown as such. */
function fallbackOf(value: unknown): string {
  return value === undefined ? '' : `\`${JSON.stringify(value)}\``;
}

function rowsOf(path: string, schema: ValueSchema, value: unknown): Row[] {
  if (schema.description === undefined) throw new Error(`helm/values.schema.json: ${path} has no description`);
  const meaning = schema.description;
  if (schema.properties !== undefined) {
    const values = (value ?? {}) as Readonly<Record<string, unknown>>;
    const inner = Object.entries(schema.properties).flatMap(([key, child]) =>
      rowsOf(`${path}.${key}`, child, values[key]),
    );
    return [{ path, takes: 'object', fallback: '', meaning }, ...inner];
  }
  const items = Object.entries(schema.items?.properties ?? {}).flatMap(([key, child]) =>
    rowsOf(`${path}[].${key}`, child, undefined),
  );
  return [{ path, takes: takes(schema), fallback: fallbackOf(value), meaning }, ...items];
}

/**
 * docs/reference/values.md
 * @param schemaText helm/values.schema.json
 * @param valuesText helm/values.yaml
 */
export function valuesPage(schemaText: string, valuesText: string): string {
  const schema = JSON.parse(schemaText) as ValueSchema;
  const values = load(valuesText) as Readonly<Record<string, unknown>>;
  const rows = Object.entries(schema.properties ?? {}).flatMap(([key, child]) => rowsOf(key, child, values[key]));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [
    '<!-- Generated from helm/values.schema.json and helm/values.yaml by `npm run generate`. Do not edit. -->',
    '# Values of the chart',
    'Helm refuses a value that is not here. The scope has no default: set `namespaces`, or `clusterWide=true`.',
    [line(['value', 'takes', 'default', 'meaning']), '| --- | --- | --- | --- |']
      .concat(rows.map((row) => line([`\`${row.path}\``, row.takes, row.fallback, row.meaning])))
      .join('\n'),
  ]
    .join('\n\n')
    .concat('\n');
}
