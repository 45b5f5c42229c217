// Promises: metadata held against the rules that all resources share, in kube-apiserver's words
// (k8s.io/apimachinery/pkg/api/validation/objectmeta.go). Knows no kind.
import { badRequest, fieldError, invalid } from './status.ts';
import type { ResourceNames, StatusCause, StatusError } from './status.ts';
import { CRD_COLLECTION, LEASES } from './resources.ts';
import type { ResourceType } from './resources.ts';
import type { KubeObject } from './store.ts';

const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const SUBDOMAIN_RULE =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end " +
  "with an alphanumeric character (e.g. 'example.com', regex used for validation is " +
  "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const LABEL_RULE =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an " +
  "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const NAME_PART = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const NAME_PART_RULE =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character " +
  "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;
const LABEL_VALUE_RULE =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with " +
  "an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is " +
  "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
/** Of all annotations together. */
const MAX_ANNOTATION_BYTES = 256 << 10;

function goType(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'boolean') return 'bool';
  return typeof value === 'object' ? 'object' : typeof value;
}

/** What a patch may leave where the decoder wants a text: the real server's 400, in Go's words. */
function checkType(type: ResourceType, value: unknown, field: string, wanted: 'string' | 'map' | 'list'): void {
  if (value === undefined || value === null) return;
  const refuse = (what: unknown, goName: string): StatusError => {
    const place = type.custom ? field : `metadata.${field}`;
    const unmarshal = `json: cannot unmarshal ${goType(what)} into Go struct field ObjectMeta.${place} of type ${goName}`;
    return badRequest(`${type.kind} in version "${type.version}" cannot be handled as a ${type.kind}: ${unmarshal}`);
  };
  if (wanted === 'string') {
    if (typeof value !== 'string') throw refuse(value, 'string');
  } else if (wanted === 'map') {
    if (typeof value !== 'object' || Array.isArray(value)) throw refuse(value, 'map[string]string');
    for (const item of Object.values(value))
      if (item !== null && typeof item !== 'string') throw refuse(item, 'string');
  } else {
    if (!Array.isArray(value)) throw refuse(value, field === 'finalizers' ? '[]string' : '[]v1.OwnerReference');
    for (const item of value as unknown[]) {
      if (field === 'finalizers' && typeof item !== 'string') throw refuse(item, 'string');
    }
  }
}

/** @throws StatusError 400 when a field of metadata has another JSON type */
export function checkMetaTypes(type: ResourceType, metadata: unknown): void {
  if (metadata === undefined || metadata === null) return;
  if (typeof metadata !== 'object' || Array.isArray(metadata)) {
    const unmarshal = type.custom
      ? `json: cannot unmarshal ${goType(metadata)} into Go value of type v1.ObjectMeta`
      : `json: cannot unmarshal ${goType(metadata)} into Go struct field ${type.kind}.metadata of type v1.ObjectMeta`;
    throw badRequest(`${type.kind} in version "${type.version}" cannot be handled as a ${type.kind}: ${unmarshal}`);
  }
  const fields = metadata as Readonly<Record<string, unknown>>;
  for (const field of ['name', 'generateName', 'namespace', 'uid', 'resourceVersion']) {
    checkType(type, fields[field], field, 'string');
  }
  for (const field of ['labels', 'annotations']) checkType(type, fields[field], field, 'map');
  for (const field of ['finalizers', 'ownerReferences']) checkType(type, fields[field], field, 'list');
}

function invalidValue(field: string, value: unknown, why: string): StatusCause {
  return fieldError(field, 'FieldValueInvalid', `Invalid value: ${JSON.stringify(value)}: ${why}`);
}

/** What is wrong with a qualified name, `[prefix/]name` (IsQualifiedName). */
export function qualifiedNameErrors(key: string): string[] {
  const parts = key.split('/');
  const [prefix, name = ''] = parts.length === 2 ? parts : [undefined, parts[0]];
  if (parts.length > 2) {
    return [
      "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric " +
        "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is " +
        "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
    ];
  }
  const errors: string[] = [];
  if (prefix === '') errors.push('prefix part must be non-empty');
  else if (prefix !== undefined && !SUBDOMAIN.test(prefix)) errors.push(`prefix part ${SUBDOMAIN_RULE}`);
  if (name === '') errors.push('name part must be non-empty');
  else if (name.length > 63) errors.push('name part must be no more than 63 bytes');
  if (!NAME_PART.test(name)) errors.push(NAME_PART_RULE);
  return errors;
}

/** What is wrong with a label's value (IsValidLabelValue). */
export function labelValueErrors(value: string): string[] {
  const isLong = value.length > 63;
  return [...(isLong ? ['must be no more than 63 bytes'] : []), ...(LABEL_VALUE.test(value) ? [] : [LABEL_VALUE_RULE])];
}

function labelErrors(labels: Readonly<Record<string, string>>): StatusCause[] {
  return Object.entries(labels).flatMap(([key, value]) => {
    const causes = qualifiedNameErrors(key).map((why) => invalidValue('metadata.labels', key, why));
    return [...causes, ...labelValueErrors(value).map((why) => invalidValue('metadata.labels', value, why))];
  });
}

function annotationErrors(annotations: Readonly<Record<string, string>>): StatusCause[] {
  const causes = Object.keys(annotations).flatMap((key) =>
    qualifiedNameErrors(key.toLowerCase()).map((why) => invalidValue('metadata.annotations', key, why)),
  );
  const bytes = Object.entries(annotations).reduce((sum, [key, value]) => sum + Buffer.byteLength(key + value), 0);
  if (bytes > MAX_ANNOTATION_BYTES) {
    const message = `Too long: may not be more than ${MAX_ANNOTATION_BYTES} bytes`;
    causes.push(fieldError('metadata.annotations', 'FieldValueTooLong', message));
  }
  return causes;
}

function ownerErrors({ ownerReferences = [] }: KubeObject['metadata']): StatusCause[] {
  const causes: StatusCause[] = [];
  for (const reference of ownerReferences) {
    for (const field of ['apiVersion', 'kind', 'name', 'uid'] as const) {
      if (reference[field]) continue;
      const what = field === 'apiVersion' ? 'version must' : 'must';
      causes.push(invalidValue(`metadata.ownerReferences.${field}`, '', `${what} not be empty`));
    }
    if (reference.kind === 'Event' && ['v1', 'events.k8s.io/v1'].includes(reference.apiVersion)) {
      const [version = '', group = ''] = reference.apiVersion.split('/').toReversed();
      const why = `${group}/${version}, Kind=Event is disallowed from being an owner`;
      causes.push(invalidValue('metadata.ownerReferences', reference, why));
    }
  }
  const [first, second] = ownerReferences.filter(({ controller }) => controller === true);
  if (first !== undefined && second !== undefined) {
    const found = `Found "true" in references for ${first.kind}/${first.name} and ${second.kind}/${second.name}`;
    const why = `Only one reference can have Controller set to true. ${found}`;
    causes.push(invalidValue('metadata.ownerReferences', ownerReferences, why));
  }
  return causes;
}

/** Kinds whose names are DNS labels, not subdomains. */
const LABEL_NAMES: ReadonlySet<string> = new Set(['/namespaces']);

function namePatternErrors(type: ResourceType, name: string, field: string, shown: string): StatusCause[] {
  const isLabel = LABEL_NAMES.has(type.collection);
  // What would be a subdomain is told what it has too much.
  if (isLabel && name.includes('.') && SUBDOMAIN.test(name)) {
    return [invalidValue(field, shown, 'must not contain dots')];
  }
  const [pattern, rule, limit] = isLabel ? [LABEL, LABEL_RULE, 63] : [SUBDOMAIN, SUBDOMAIN_RULE, 253];
  const causes: StatusCause[] = [];
  if (name.length > limit) causes.push(invalidValue(field, shown, `must be no more than ${limit} characters`));
  if (!pattern.test(name)) causes.push(invalidValue(field, shown, rule));
  return causes;
}

function nameErrors(type: ResourceType, { name, generateName = '' }: KubeObject['metadata']): StatusCause[] {
  if (name === '') {
    return [fieldError('metadata.name', 'FieldValueRequired', 'Required value: name or generateName is required')];
  }
  // A dash at the end is fine where more follows (maskTrailingDash).
  const masked = generateName.length > 1 && generateName.endsWith('-') ? `${generateName.slice(0, -2)}a` : generateName;
  const ofPrefix = generateName === '' ? [] : namePatternErrors(type, masked, 'metadata.generateName', generateName);
  return [...ofPrefix, ...namePatternErrors(type, name, 'metadata.name', name)];
}

/** Finalizers that Kubernetes itself uses, without a domain. */
const STANDARD_FINALIZERS = ['foregroundDeletion', 'orphan', 'kubernetes'];

/** Built-in kinds that take any qualified name for a finalizer. */
const PLAIN_FINALIZERS: ReadonlySet<string> = new Set([LEASES, CRD_COLLECTION]);

function finalizerErrors(type: ResourceType, finalizer: string, index: number): StatusCause[] {
  const causes = qualifiedNameErrors(finalizer).map((why) => invalidValue('metadata.finalizers', finalizer, why));
  const isPlain = !finalizer.includes('/') && !STANDARD_FINALIZERS.includes(finalizer);
  if (causes.length > 0 || !isPlain || type.custom || PLAIN_FINALIZERS.has(type.collection)) return causes;
  const why = 'name is neither a standard finalizer name nor is it fully qualified';
  return [invalidValue(`metadata.finalizers[${index}]`, finalizer, why)];
}

/** Every cause against the object's metadata. */
export function metadataErrors(type: ResourceType, { metadata }: KubeObject): StatusCause[] {
  return [
    ...nameErrors(type, metadata),
    ...labelErrors(metadata.labels ?? {}),
    ...annotationErrors(metadata.annotations ?? {}),
    ...ownerErrors(metadata),
    ...(metadata.finalizers ?? []).flatMap((finalizer, index) => finalizerErrors(type, finalizer, index)),
  ];
}

/** The warnings that custom resources get for finalizers without a domain or a path. */
export function finalizerWarnings(object: KubeObject, before: KubeObject | undefined): string[] {
  const old = new Set(before?.metadata.finalizers);
  return (object.metadata.finalizers ?? []).flatMap((finalizer) => {
    if (old.has(finalizer) || finalizer.includes('/') || ['foregroundDeletion', 'orphan'].includes(finalizer))
      return [];
    const path = finalizer.includes('.') ? ' including a path (/)' : '';
    const advice = `prefer a domain-qualified finalizer name${path} to avoid accidental conflicts with other finalizer writers`;
    return [`metadata.finalizers: ${JSON.stringify(finalizer)}: ${advice}`];
  });
}

/** @throws StatusError 422 when a client changes what only the server sets; two validators of the real server say it */
export function checkSystemMeta(type: ResourceNames, sent: KubeObject, existing: KubeObject): void {
  const causes = (['uid', 'deletionTimestamp', 'deletionGracePeriodSeconds'] as const).flatMap((field) => {
    const value = sent.metadata[field];
    if (value === undefined || value === null || value === '' || value === existing.metadata[field]) return [];
    return [invalidValue(`metadata.${field}`, value, 'field is immutable')];
  });
  if (causes.length > 0) throw invalid(type, existing.metadata.name, [...causes, ...causes]);
}

function newFinalizerErrors({ metadata }: KubeObject, before: KubeObject): StatusCause[] {
  if (metadata.deletionTimestamp === undefined) return [];
  const old = new Set(before.metadata.finalizers);
  const added = (metadata.finalizers ?? []).filter((finalizer) => !old.has(finalizer)).toSorted();
  if (added.length === 0 || before.metadata.deletionTimestamp === undefined) return [];
  const list = `[]string{${added.map((finalizer) => JSON.stringify(finalizer)).join(', ')}}`;
  const why = `no new finalizers can be added if the object is being deleted, found new finalizers ${list}`;
  return [fieldError('metadata.finalizers', 'FieldValueForbidden', `Forbidden: ${why}`)];
}

/** What every update is held against (ValidateObjectMetaAccessorUpdate). */
export function commonUpdateErrors(object: KubeObject, before: KubeObject): StatusCause[] {
  const { metadata } = object;
  return [
    ...newFinalizerErrors(object, before),
    ...labelErrors(metadata.labels ?? {}),
    ...annotationErrors(metadata.annotations ?? {}),
    ...ownerErrors(metadata),
  ];
}
