// Promises: what the documentation's commands and code spans name that is ours: values of the chart, fields of the resource,
// flags of the operator, conditions, reasons; and what of it does not exist. The chart's schema, the CRD and the registers in
// the code are the truth. May not run anything.
import { CONDITION_TYPES, EVENT_REASONS, STATE_REASONS } from '../../../src/api/names.ts';
import { ERRORS } from '../../../src/credential/errors.ts';
import { FLAGS } from '../../../src/options.ts';
import { type CRDSchema, readCRD, servedVersion } from '../../../tools/crd-file.ts';
import { ROOT, textOf } from './markdown.ts';

/** The parts of a JSON schema that lead to a value. */
interface ValuesSchema {
  readonly properties?: Readonly<Record<string, ValuesSchema>>;
  readonly items?: ValuesSchema;
  readonly additionalProperties?: ValuesSchema | boolean;
}

const values = JSON.parse(textOf('helm/values.schema.json')) as ValuesSchema;
const resource = servedVersion(readCRD(ROOT)).schema.openAPIV3Schema;

/** `sts.endpoints[0].url` as `sts`, `endpoints`, `0`, `url`. */
function steps(path: string): string[] {
  return path.replaceAll(/\[([^\]]*)\]/g, '.$1').split('.');
}

/** Whether the chart has a value of this path, such as `sts.endpoints[0].url` or `podLabels.team`. */
export function isValue(path: string): boolean {
  let node: ValuesSchema | undefined = values;
  for (const step of steps(path)) {
    if (node === undefined) return false;
    const { additionalProperties: more }: ValuesSchema = node;
    const other: ValuesSchema | undefined = typeof more === 'object' ? more : more === true ? {} : undefined;
    node = node.properties?.[step] ?? (node.items !== undefined && /^(\d+|)$/.test(step) ? node.items : other);
    // An object of Kubernetes' own, such as an affinity: the API server judges it.
    if (node !== undefined && isOpen(node)) return true;
  }
  return node !== undefined;
}

function isOpen({ properties, items, additionalProperties }: ValuesSchema): boolean {
  return properties === undefined && items === undefined && additionalProperties === true;
}

/** Whether the chart has a value of this name at the top. */
export function isTopLevelValue(name: string): boolean {
  return Object.hasOwn(values.properties ?? {}, name);
}

/** Whether the resource has a field of this path, such as `spec.aws.roleChain[0].tags`; maps end it. */
export function isField(path: string): boolean {
  let node: CRDSchema | undefined = resource;
  for (const step of steps(path)) {
    if (node === undefined) return false;
    node = node.properties?.[step] ?? (/^(\d+|\*|\?.*|)$/.test(step) ? node.items : node.additionalProperties);
  }
  return node !== undefined;
}

/** Commands as they are run: lines that go on are joined, comments and here-documents left out. */
export function commandLines(script: string): string[] {
  const joined = script.replaceAll(/\\\n\s*/g, ' ');
  const lines: string[] = [];
  let end: string | undefined;
  for (const line of joined.split('\n')) {
    if (end !== undefined) {
      if (line.trim() === end) end = undefined;
      continue;
    }
    end = /<<-?\s*'?(\w+)'?/.exec(line)?.[1];
    if (line.trim() !== '' && !line.trim().startsWith('#')) lines.push(line.trim());
  }
  return lines;
}

const SET = /--set(?:-string|-json|-file)?[= ]'?([A-Za-z][\w.[\]-]*)=/g;
/** A field behind `.status` or `.spec`, in a jsonpath or custom columns. */
const PATH = /\.((?:spec|status)(?:\.[A-Za-z]+|\[[0-9*]+\])*)/g;
const WATCHED = /\b(?:wcred|workloadcredentials?)\b/;
const CONDITION = /--for=condition=(\w+)/g;
const LISTED_CONDITION = /@\.type=="(\w+)"/g;
/** Whose conditions are Kubernetes' own. */
const OTHER_KINDS = /\b(?:pods?|deployments?|deploy|nodes?|crd|customresourcedefinitions?|namespaces?)\b/;

/** What a shell block names that is ours and does not exist. */
export function unknownIn(script: string): string[] {
  return commandLines(script).flatMap((line) => [
    ...[...line.matchAll(SET)].filter(([, path = '']) => !isValue(path)).map(([, path]) => `value ${path}`),
    ...(WATCHED.test(line) ? unknownFields(line) : []),
    ...unknownConditions(line),
    ...(/dist\/main\.js/.test(line) ? unknownFlags(line) : []),
  ]);
}

function unknownFields(line: string): string[] {
  return [...line.matchAll(PATH)].map(([, path = '']) => path).filter((path) => !isField(path));
}

function unknownConditions(line: string): string[] {
  if (OTHER_KINDS.test(line) && !WATCHED.test(line)) return [];
  const named = [...line.matchAll(CONDITION), ...line.matchAll(LISTED_CONDITION)].map(([, name = '']) => name);
  return named.filter((name) => !Object.hasOwn(CONDITION_TYPES, name)).map((name) => `condition ${name}`);
}

function unknownFlags(line: string): string[] {
  return [...line.matchAll(/ --([a-z][a-z-]*)/g)]
    .map(([, name = '']) => name)
    .filter((name) => !Object.hasOwn(FLAGS, name) && name !== 'help' && name !== 'version')
    .map((name) => `flag --${name}`);
}

const QUOTES = /['"]/g;
/** Whose command lines are for blocks, perhaps with a variable in front. */
const TYPED = /^(?:[A-Z_]+=\S+ )*((?:kubectl|helm|aws|npm) .+)$/;
/** A program with its verb, an object of the verb's kind, and flags that have no value: it speaks of a command. */
const MENTION = /^\S+(?: [a-z]+(?:-[a-z]+)*){1,2}(?: --?[a-z-]+)*$/;

/** The command lines of kubectl, helm, aws and npm that a code span has; those that only mention a command are none. */
export function typedLines(span: string): string[] {
  return span
    .split(' && ')
    .map((part) => TYPED.exec(part)?.[1])
    .filter((line) => line !== undefined)
    .filter((line) => line.startsWith('npm ') || !MENTION.test(line));
}

/** Whether all words of a command are in the other one, in their order; words in capitals stand for any. */
export function isPartOf(command: string, other: string): boolean {
  const words = command.replaceAll(QUOTES, '').split(' ');
  let next = 0;
  for (const word of other.replaceAll(QUOTES, '').split(/\s+/)) {
    const wanted = words[next];
    if (wanted === word || (wanted !== undefined && /^[A-Z_]+$/.test(wanted))) next++;
    else if (next === 0) return false;
  }
  return next === words.length;
}

/** Hosts and files, which may begin like a value: `sts.amazonaws.com`, `proxy.ts`. */
const OTHER_NAME = /\.(?:com|cn|eu|ts)$/;
const reasons = { ...ERRORS, ...STATE_REASONS, ...EVENT_REASONS };

/** What a code span names that is ours and does not exist; undefined when it is fine, or names nothing of ours. */
export function unknownSpan(span: string): string | undefined {
  const field = /^((?:spec|status)\.[A-Za-z][\w.[\]]*)$/.exec(span)?.[1];
  if (field !== undefined) return isField(field) ? undefined : `field ${field}`;
  const [, condition, reason] = /^(Ready|Reconciling|Stalled|Refreshed)=(?:True|False) (\w+)$/.exec(span) ?? [];
  if (condition !== undefined) return Object.hasOwn(reasons, reason ?? '') ? undefined : `reason ${reason}`;
  const [, value, top = ''] = /^(([a-z][A-Za-z]*)\.[A-Za-z][\w.[\]]*)(?:=.*)?$/.exec(span) ?? [];
  if (value !== undefined && isTopLevelValue(top) && !OTHER_NAME.test(value))
    return isValue(value) ? undefined : `value ${value}`;
  return undefined;
}
