// Promises: the ways in which other versions of Kubernetes answer otherwise than 1.36, each as a change of the sandbox's answer
// into the version's. Exact: what a rule does not change has to be the same. Pure, but for the reading of our CRD.
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { load } from 'js-yaml';
import type { JSONValue } from './client.ts';
import type { Step } from './normalise.ts';

/** One way in which a version answers otherwise. */
export interface VersionRule {
  /** What the version does, and why it is no matter for the operator. */
  readonly why: string;
  /** The sandbox's step as this version would have answered it; the same step where the rule is not about it. */
  readonly apply: (step: Step) => Step;
  /** The same for what kubectl prints. */
  readonly print?: (output: string) => string;
}

interface Cause {
  readonly field: string;
  readonly message: string;
  readonly reason: string;
}

function withBody(step: Step, change: (body: JSONValue) => JSONValue): Step {
  return typeof step.body === 'object' && step.body !== null ? { ...step, body: change(step.body) } : step;
}

/** Changes the causes and the sentence of a Status that tells what is invalid. */
function ofInvalid(
  step: Step,
  change: (causes: readonly Cause[], message: string) => [readonly Cause[], string],
): Step {
  const { body } = step;
  if (body?.kind !== 'Status' || body.reason !== 'Invalid' || !Array.isArray(body.details?.causes)) return step;
  const [causes, message] = change(body.details.causes, body.message);
  return { ...step, body: { ...body, message, details: { ...body.details, causes } } };
}

/** Changes every sentence of a Status. */
function ofSentences(step: Step, change: (sentence: string) => string): Step {
  if (step.body?.kind !== 'Status' || typeof step.body.message !== 'string') return step;
  const changed = withBody(step, (body) => ({ ...body, message: change(body.message) }));
  return ofInvalid(changed, (causes, message) => [
    causes.map((cause) => ({ ...cause, message: change(cause.message) })),
    message,
  ]);
}

function distinct(causes: readonly Cause[]): readonly Cause[] {
  return causes.filter((cause, index) => causes.findIndex((other) => isDeepStrictEqual(other, cause)) === index);
}

/** It says which version it is. */
export const itsMinor = (minor: string): VersionRule => ({
  why: 'It is another version, and says so.',
  apply: (step) =>
    step.request.startsWith('GET /version') && typeof step.body?.minor === 'string'
      ? withBody(step, (body) => ({ ...body, minor }))
      : step,
});

/** Built-in kinds; custom resources and their definitions are validated elsewhere. */
const BUILT_IN = /^\w+ \/(api\/v1|apis\/(apps|(?!apiextensions\.)[a-z.]+\.k8s\.io))\//;

/** From 1.37 on. */
export const CAUSES_ONCE: VersionRule = {
  why: 'A cause of an invalid update of a built-in kind is told once; 1.36 tells it as often as its validators overlap. The operator reads no causes.',
  apply: (step) =>
    BUILT_IN.test(step.request) ? ofInvalid(step, (causes, message) => [distinct(causes), message]) : step,
};

const OWNER_FIELD = /^metadata\.ownerReferences\.(apiVersion|kind|name|uid)$/;
const OWNER_SENTENCE =
  /metadata\.ownerReferences\.(apiVersion|kind|name|uid): Invalid value: "": (version )?must not be empty/g;
const NOT_CHECKED =
  'Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation';
const OURS = /^WorkloadCredential\.workloadcredentials\.io /;

/** The references of all cases that are refused are the first of their object. */
function requiredOwner(causes: readonly Cause[], message: string): [readonly Cause[], string] {
  if (!causes.some(({ field }) => OWNER_FIELD.test(field))) return [causes, message];
  const required = causes.map((cause): Cause => {
    const name = OWNER_FIELD.exec(cause.field)?.[1];
    if (name === undefined) return cause;
    const field = `metadata.ownerReferences[0].${name}`;
    return { field, message: 'Required value: must not be empty', reason: 'FieldValueRequired' };
  });
  const said = message.replaceAll(OWNER_SENTENCE, 'metadata.ownerReferences[0].$1: Required value: must not be empty');
  if (!OURS.test(message)) return [required, said];
  const unchecked = { field: '<nil>', message: NOT_CHECKED, reason: 'FieldValueInvalid' };
  return [[...required, unchecked], said.replace(/ is invalid: (.*)$/, ` is invalid: [$1, <nil>: ${NOT_CHECKED}]`)];
}

/** From 1.37 on. */
export const OWNERS_REQUIRED: VersionRule = {
  why: 'An empty field of an owner reference is a missing one, told with its index, and keeps CEL rules from being evaluated. The operator writes whole references.',
  apply: (step) => ofInvalid(step, requiredOwner),
};

const NO_JSON = /^error decoding patch: (unexpected end of JSON input|invalid character )/;

/** From 1.37 on. */
export const PATCH_NO_JSON: VersionRule = {
  why: 'Of a patch that is no JSON it says only that. The operator sends JSON.',
  apply: (step) =>
    withBody(step, (body) => (NO_JSON.test(body.message) ? { ...body, message: 'invalid JSON patch' } : body)),
};

interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema;
  readonly items?: Schema;
  readonly 'x-kubernetes-validations'?: readonly { readonly message?: string }[];
}

const CRD = load(
  readFileSync(new URL('../../crds/workloadcredentials.io_workloadcredentials.yaml', import.meta.url), 'utf8'),
) as { readonly spec: { readonly versions: readonly { readonly schema: { readonly openAPIV3Schema: Schema } }[] } };
const ROOT: Schema = CRD.spec.versions[0]?.schema.openAPIV3Schema ?? {};

function childrenOf(schema: Schema): Schema[] {
  const { properties = {}, additionalProperties, items } = schema;
  return [...Object.values(properties), additionalProperties, items].filter((child) => child !== undefined);
}

/** Sentence of a CEL rule -> the types of the values that the rules which say it are about. */
const CEL_TYPES = new Map<string, Set<string>>();

function collectRules(schema: Schema): void {
  for (const { message } of schema['x-kubernetes-validations'] ?? []) {
    if (message === undefined) continue;
    const types = CEL_TYPES.get(message) ?? new Set();
    CEL_TYPES.set(message, types.add(schema.type ?? 'object'));
  }
  childrenOf(schema).forEach(collectRules);
}
collectRules(ROOT);

const FIELD = String.raw`(<nil>|spec(?:\.[A-Za-z]+|\[[^\]]*\])*)`;
const escape = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
/** What 1.36 shows of the value: a string as Go quotes it, a number, `<object>` (as the comparison writes it), or nothing. */
const VALUE = String.raw`(?:(?:"(?:[^"\\]|\\.)*"|<object>|-?\d+|true|false): )?`;
/** The longest sentence first: one may begin like another. */
const CEL_TOLD = [...CEL_TYPES]
  .toSorted(([a], [b]) => b.length - a.length)
  .map(([sentence, types]) => {
    const [type = 'object', ...others] = types;
    if (others.length > 0) throw new Error(`rules of two types say the same: ${sentence}`);
    return { type, pattern: new RegExp(`${FIELD}: Invalid value: ${VALUE}(${escape(sentence)})`, 'g') };
  });

/** With the type of what the rule is about in the place of the value; the field may be another than the rule's. */
function typesInText(text: string): string {
  return CEL_TOLD.reduce(
    (told, { type, pattern }) => told.replaceAll(pattern, `$1: Invalid value: "${type}": $2`),
    text,
  );
}

/** Until 1.34. */
export const TYPES_FOR_VALUES: VersionRule = {
  why: 'Where a CEL rule refuses, the type of the value is told and not the value. Our sentences name the field and the fix without it.',
  apply: (step) =>
    ofInvalid(step, (causes, message) => [
      causes.map((cause) => {
        const prefix = `${cause.field}: `;
        const told = typesInText(`${prefix}${cause.message}`);
        return { ...cause, message: told.slice(prefix.length) };
      }),
      typesInText(message),
    ]),
  print: typesInText,
};

/** Until 1.34. */
export const DELETE_OPTIONS_500: VersionRule = {
  why: 'Options of a deletion that cannot be read are its own failure, 500. The operator sends options that can.',
  apply: (step) => {
    if (!step.request.startsWith('DELETE ') || step.status !== 400 || step.body?.reason !== 'BadRequest') return step;
    const { reason: _none, ...body } = step.body;
    return { ...step, status: 500, body: { ...body, code: 500 } };
  },
};

const OTHER_WORDS: readonly (readonly [from: string, to: string])[] = [
  ['pkg/runtime/scheme.go:111', 'pkg/runtime/scheme.go:110'],
  ['must be no more than 63 bytes', 'must be no more than 63 characters'],
  ['a valid label key must consist of', 'a qualified name must consist of'],
];

/** Until 1.34. */
export const LABELS_IN_CHARACTERS: VersionRule = {
  why: 'Words: labels are counted in characters and their keys are called qualified names; the scheme is a line further up. The operator reads no sentences.',
  apply: (step) =>
    ofSentences(step, (text) => OTHER_WORDS.reduce((told, [from, to]) => told.replaceAll(from, to), text)),
};

/** What does not change is compared apart, and once. */
function isOfMetadata({ field, message }: Cause): boolean {
  return field.startsWith('metadata.') && !message.endsWith('field is immutable');
}

/** Until 1.34. */
export const ROLES_ONCE_MORE: VersionRule = {
  why: 'The metadata of a Role that is updated is looked at once more, and told once more. The operator has no Roles to write.',
  apply: (step) =>
    /^(PATCH|PUT) \/apis\/rbac\.authorization\.k8s\.io\//.test(step.request)
      ? ofInvalid(step, (causes, message) => [[...causes, ...distinct(causes.filter(isOfMetadata))], message])
      : step,
};

/** Until 1.34. */
export const NUMBERS_BY_THEIR_OLD_NAMES: VersionRule = {
  why: 'A number that is not whole is told as such, and once. What the operator reads has passed the schema.',
  apply: (step) =>
    ofInvalid(step, (causes, message) => {
      const words = (text: string): string =>
        text
          .replaceAll(
            /Invalid value: "float64": (\S+) in body must be of type int32: "float64"/g,
            'Invalid value: "number": $1 in body must be of type integer: "number"',
          )
          .replaceAll(
            /, <nil>: Invalid value: "": Checked value must be of type integer with format int32 in [\w.]+/g,
            '',
          );
      const kept = causes.filter(
        (cause) => !cause.message.includes('Checked value must be of type integer with format int32'),
      );
      return [kept.map((cause) => ({ ...cause, message: words(cause.message) })), words(message)];
    }),
};

/** Until 1.34. */
export const SERVICE_ACCOUNTS_WITH_SECRETS: VersionRule = {
  why: 'The table of ServiceAccounts counts their Secrets. Only people read tables.',
  apply: (step) => {
    if (step.body?.kind !== 'Table' || !/\/serviceaccounts\b/.test(step.request)) return step;
    return withBody(step, (body) => {
      const [name, age] = body.columnDefinitions;
      const rows = body.rows.map((row: JSONValue) => ({ ...row, cells: [row.cells[0], 0, ...row.cells.slice(1)] }));
      return { ...body, columnDefinitions: [name, { ...age, name: 'Secrets' }, age], rows };
    });
  },
};
