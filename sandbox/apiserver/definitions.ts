// Promises: CustomResourceDefinitions as the real server completes, judges and accepts them
// (k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation): names, versions, conversion, structural schemas, the
// syntax of their rules, printer columns and selectable fields. Costs and types of CEL are not computed; webhooks are not
// called.
import { isDeepStrictEqual } from 'node:util';
import { ruleSyntaxError } from './cel-rules.ts';
import { isEstablished } from './resources.ts';
import { schemaDefinitionErrors, invalidValue, required, unsupportedValue } from './schema-definition.ts';
import { fieldError } from './status.ts';
import type { StatusCause } from './status.ts';
import type { Schema } from './structural-schema.ts';
import type { KubeObject } from './store.ts';

interface Names {
  readonly plural?: string;
  readonly singular?: string;
  readonly kind?: string;
  readonly listKind?: string;
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
}

interface Version {
  readonly name?: string;
  readonly served?: boolean;
  readonly storage?: boolean;
  readonly deprecated?: boolean;
  readonly deprecationWarning?: string;
  readonly schema?: { readonly openAPIV3Schema?: Schema };
  readonly subresources?: object;
  readonly additionalPrinterColumns?: readonly { readonly type?: string; readonly jsonPath?: string }[];
  readonly selectableFields?: readonly { readonly jsonPath?: string }[];
}

interface Spec {
  readonly group?: string;
  readonly scope?: string;
  readonly names?: Names;
  readonly versions?: readonly Version[];
  readonly preserveUnknownFields?: boolean;
  readonly conversion?: { readonly strategy?: string; readonly webhook?: unknown };
}

function specOf(object: KubeObject): Spec {
  return (object['spec'] ?? {}) as Spec;
}

/** With what a client may leave out; a new definition is not yet accepted. */
export function withDefinitionDefaults(object: KubeObject): KubeObject {
  const spec = specOf(object);
  const { kind = '', singular, listKind, ...names } = spec.names ?? {};
  const whole = {
    ...names,
    singular: singular ?? kind.toLowerCase(),
    kind,
    listKind: listKind ?? (kind === '' ? '' : `${kind}List`),
  };
  const stored = (spec.versions ?? []).filter(({ storage }) => storage === true).map(({ name }) => name);
  const fresh = {
    conditions: null,
    acceptedNames: { plural: '', kind: '' },
    storedVersions: stored.length === 0 ? null : stored.slice(0, 1),
  };
  const { preserveUnknownFields: _default, ...rest } = spec;
  const preserves = spec.preserveUnknownFields === true ? { preserveUnknownFields: true } : {};
  return {
    ...object,
    spec: { ...rest, ...preserves, names: whole, conversion: spec.conversion ?? { strategy: 'None' } },
    status: object['status'] ?? fresh,
  };
}

/** The first name that another definition of the group has, and the condition's reason. */
function conflictOf(object: KubeObject, others: readonly KubeObject[]): readonly [string, string] | undefined {
  const { names = {}, group } = specOf(object);
  const taken = others.filter((other) => specOf(other).group === group).map((other) => specOf(other).names ?? {});
  const resources = new Set(
    taken.flatMap(({ plural, singular, shortNames = [] }) => [plural, singular, ...shortNames]),
  );
  const kinds = new Set(taken.flatMap(({ kind, listKind }) => [kind, listKind]));
  const tried: readonly (readonly [string | undefined, string, ReadonlySet<unknown>])[] = [
    [names.plural, 'PluralConflict', resources],
    [names.singular, 'SingularConflict', resources],
    ...(names.shortNames ?? []).map((name) => [name, 'ShortNamesConflict', resources] as const),
    [names.kind, 'KindConflict', kinds],
    [names.listKind, 'ListKindConflict', kinds],
  ];
  const conflicts = tried.filter(([name, , among]) => name !== undefined && among.has(name));
  const last = conflicts.at(-1);
  return last?.[0] === undefined ? undefined : [last[0], last[1]];
}

/** The definition as the naming and the establishing controller leave it. */
export function accepted(object: KubeObject, others: readonly KubeObject[], now: string): KubeObject {
  const conflict = conflictOf(object, others);
  const isGood = conflict === undefined;
  const condition = (type: string, reason: string, message: string): object => ({
    type,
    status: isGood ? 'True' : 'False',
    lastTransitionTime: now,
    reason,
    message,
  });
  const conditions = isGood
    ? [
        condition('NamesAccepted', 'NoConflicts', 'no conflicts found'),
        condition('Established', 'InitialNamesAccepted', 'the initial names have been accepted'),
      ]
    : [
        condition('NamesAccepted', conflict[1], `${JSON.stringify(conflict[0])} is already in use`),
        condition('Established', 'NotAccepted', 'not all names are accepted'),
      ];
  const { names = {} } = specOf(object);
  const acceptedNames = isGood ? names : { plural: names.plural ?? '', kind: '' };
  return { ...object, status: { ...(object['status'] as object), conditions, acceptedNames } };
}

const DNS_LABEL = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const DNS_LABEL_RULE =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end " +
  "with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const COLUMN_TYPES = ['boolean', 'date', 'integer', 'number', 'string'];
const JSON_PATH = /^(\.[^.[\]{}]+|\['[^']*'\]|\[[^\]]*\])+$/;

function labelErrors(field: string, text: string): StatusCause[] {
  return DNS_LABEL.test(text) ? [] : [invalidValue(field, text, DNS_LABEL_RULE)];
}

function nameErrors({ names = {}, group = '' }: Spec, name: string): StatusCause[] {
  const { plural = '', singular = '', kind = '', listKind = '', shortNames = [] } = names;
  const causes: StatusCause[] = [];
  if (name !== `${plural}.${group}`) {
    causes.push(invalidValue('metadata.name', name, 'must be spec.names.plural+"."+spec.group'));
  }
  if (group === '') causes.push(required('spec.group'));
  return [
    ...causes,
    ...(plural === '' ? [required('spec.names.plural')] : labelErrors('spec.names.plural', plural)),
    ...(singular === '' ? [] : labelErrors('spec.names.singular', singular)),
    ...(kind === '' ? [required('spec.names.kind')] : labelErrors('spec.names.kind', kind.toLowerCase())),
    ...shortNames.flatMap((each, index) => labelErrors(`spec.names.shortNames[${index}]`, each)),
    ...(kind !== '' && kind === listKind
      ? [invalidValue('spec.names.listKind', listKind, 'kind and listKind may not be the same')]
      : []),
  ];
}

/** As Go shows them: what all versions have in common stands elsewhere, and is null here. */
function goVersions(versions: readonly Version[] | undefined): unknown {
  if (versions === undefined) return null;
  return versions.map((version) => ({
    Name: version.name ?? '',
    Served: version.served ?? false,
    Storage: version.storage ?? false,
    Deprecated: version.deprecated ?? false,
    DeprecationWarning: version.deprecationWarning ?? null,
    Schema: null,
    Subresources: null,
    AdditionalPrinterColumns: null,
    SelectableFields: null,
  }));
}

/** Each stored version belongs to one that the definition names. */
function storedErrors(list: readonly Version[], storedVersions: readonly string[]): StatusCause[] {
  const causes: StatusCause[] = [];
  const left = new Map(storedVersions.map((name, index) => [name, index]));
  for (const { name = '', storage } of list) {
    if (storage === true && !left.has(name)) {
      causes.push(invalidValue('status.storedVersions', storedVersions, `must have the storage version ${name}`));
    }
    left.delete(name);
  }
  for (const [name, index] of left) {
    causes.push(invalidValue(`status.storedVersions[${index}]`, name, 'must appear in spec.versions'));
  }
  return causes;
}

function versionErrors({ versions }: Spec, object: KubeObject): StatusCause[] {
  const list = versions ?? [];
  const names = list.map(({ name = '' }) => name);
  const causes = names.flatMap((name, index) => labelErrors(`spec.versions[${index}].name`, name));
  const shown = goVersions(versions);
  const storing = list.filter(({ storage }) => storage === true);
  if (new Set(names).size < names.length) {
    causes.push(invalidValue('spec.versions', shown, 'must contain unique version names'));
  }
  if (storing.length !== 1) {
    causes.push(invalidValue('spec.versions', shown, 'must have exactly one version marked as storage version'));
  }
  const first = names[0];
  if (first !== undefined) causes.push(...labelErrors('spec.version', first));
  const { storedVersions = null } = (object['status'] ?? {}) as { storedVersions?: readonly string[] | null };
  if (storedVersions === null || storedVersions.length === 0) {
    causes.push(invalidValue('status.storedVersions', null, 'must have at least one stored version'));
    return causes;
  }
  return [...causes, ...storedErrors(list, storedVersions)];
}

function conversionErrors({ conversion = {} }: Spec): StatusCause[] {
  const { strategy = 'None', webhook } = conversion;
  if (strategy === 'None') return [];
  if (strategy !== 'Webhook') return [unsupportedValue('spec.conversion.strategy', strategy, ['None', 'Webhook'])];
  if (webhook !== undefined) return [];
  return [
    fieldError(
      'spec.conversion.webhookClientConfig',
      'FieldValueRequired',
      'Required value: required when strategy is set to Webhook',
    ),
    required('spec.conversion.conversionReviewVersions'),
  ];
}

function columnErrors(version: Version, path: string): StatusCause[] {
  return (version.additionalPrinterColumns ?? []).flatMap(({ type = '', jsonPath = '' }, index) => {
    const at = `${path}.additionalPrinterColumns[${index}]`;
    const causes: StatusCause[] = [];
    if (type === '') causes.push(required(`${at}.type`));
    else if (!COLUMN_TYPES.includes(type)) {
      causes.push(invalidValue(`${at}.type`, type, `must be one of ${COLUMN_TYPES.join(',')}`));
    }
    if (jsonPath === '') causes.push(required(`${at}.JSONPath`));
    else if (!jsonPath.startsWith('.') || !JSON_PATH.test(jsonPath)) {
      causes.push(invalidValue(`${at}.JSONPath`, jsonPath, 'must be a simple json path starting with .'));
    }
    return causes;
  });
}

function selectableErrors(version: Version, path: string): StatusCause[] {
  return (version.selectableFields ?? []).flatMap(({ jsonPath = '' }, index) => {
    const field = `${path}.selectableFields[${index}].jsonPath`;
    const names = jsonPath.replace(/^\./, '').split('.');
    const found = names.reduce<Schema | undefined>(
      (schema, name) => schema?.properties?.[name],
      version.schema?.openAPIV3Schema,
    );
    const isScalar = ['string', 'boolean', 'integer'].includes(found?.type ?? '');
    if (found === undefined)
      return [invalidValue(field, jsonPath, 'is an invalid path: does not refer to a valid field')];
    return isScalar
      ? []
      : [
          invalidValue(
            field,
            jsonPath,
            'must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.',
          ),
        ];
  });
}

function parts({ schema, additionalPrinterColumns, selectableFields, subresources }: Version): object {
  return { schema, additionalPrinterColumns, selectableFields, subresources };
}

/** What all versions have in common is judged once, in the place where the older API had it. */
function contentErrors({ versions = [] }: Spec): StatusCause[] {
  const lacking = versions.flatMap(({ schema }, index) =>
    schema?.openAPIV3Schema === undefined ? [required(`spec.versions[${index}].schema.openAPIV3Schema`)] : [],
  );
  if (lacking.length > 0) return lacking;
  const [first] = versions;
  const isUniform = versions.every((version) => isDeepStrictEqual(parts(version), parts(first ?? {})));
  const judged = isUniform ? versions.slice(0, 1) : versions;
  return judged.flatMap((version, index) => {
    const path = isUniform ? 'spec' : `spec.versions[${index}]`;
    const schemaPath = isUniform ? 'spec.validation.openAPIV3Schema' : `${path}.schema.openAPIV3Schema`;
    const schema = version.schema?.openAPIV3Schema ?? {};
    return [
      ...schemaDefinitionErrors(schema, schemaPath, ruleSyntaxError),
      ...columnErrors(version, path),
      ...selectableErrors(version, path),
    ];
  });
}

/** Every cause against a definition beside its metadata; an update does not look at its name again. */
export function definitionErrors(object: KubeObject, isUpdate: boolean): StatusCause[] {
  const spec = specOf(object);
  const { scope } = spec;
  const ofScope =
    scope === undefined
      ? [required('spec.scope')]
      : ['Cluster', 'Namespaced'].includes(scope)
        ? []
        : [unsupportedValue('spec.scope', scope, ['Cluster', 'Namespaced'])];
  const ofVersions = versionErrors(spec, object);
  const preserving =
    spec.preserveUnknownFields === true
      ? [
          invalidValue(
            'spec.preserveUnknownFields',
            true,
            'cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead',
          ),
        ]
      : [];
  return [
    ...nameErrors(spec, object.metadata.name).filter(({ field }) => !isUpdate || field !== 'metadata.name'),
    ...ofScope,
    ...ofVersions.filter(({ field }) => field?.startsWith('spec.')),
    ...contentErrors(spec),
    ...conversionErrors(spec),
    ...preserving,
    ...ofVersions.filter(({ field }) => field?.startsWith('status.')),
  ];
}

/** What does not change once its resources are served. */
export function definitionUpdateErrors(object: KubeObject, before: KubeObject): StatusCause[] {
  if (!isEstablished(before)) return [];
  const [next, old] = [specOf(object), specOf(before)];
  const fixed: readonly (readonly [string, unknown, unknown])[] = [
    ['spec.group', next.group, old.group],
    ['spec.scope', next.scope, old.scope],
    ['spec.names.kind', next.names?.kind, old.names?.kind],
    ['spec.names.plural', next.names?.plural, old.names?.plural],
  ];
  return fixed
    .filter(([, now, then]) => now !== then)
    .map(([field, now]) => invalidValue(field, now ?? '', 'field is immutable'));
}
