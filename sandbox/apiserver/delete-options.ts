// Promises: the options of a deletion, from the body or the query, read and judged as the real server does, and what they
// ask of the object (apimachinery/pkg/apis/meta/v1 DeleteOptions and its validation).
import { jsonProblem } from './body.ts';
import * as errors from './status.ts';
import type { StatusCause } from './status.ts';
import { isFields } from './structural-schema.ts';
import type { KubeObject } from './store.ts';
import type { ResourceType } from './resources.ts';

/** DELETE's body. */
export interface DeleteOptions {
  readonly propagationPolicy?: string;
  readonly orphanDependents?: boolean;
  readonly dryRun?: readonly string[];
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
}

const POLICY_FINALIZERS: Readonly<Record<string, string | undefined>> = {
  Foreground: 'foregroundDeletion',
  Orphan: 'orphan',
  Background: undefined,
};
const DELETE_OPTIONS = { group: 'meta.k8s.io', plural: 'deleteoptions', kind: 'DeleteOptions' };

/** The finalizer that a deletion leaves for the garbage collector, if any. */
export function finalizerOf({ propagationPolicy, orphanDependents }: DeleteOptions): string | undefined {
  if (propagationPolicy !== undefined) return POLICY_FINALIZERS[propagationPolicy];
  return orphanDependents === true ? 'orphan' : undefined;
}

/** @throws StatusError 422 */
export function checkDeleteOptions({ propagationPolicy, orphanDependents, dryRun = [] }: DeleteOptions): void {
  const causes: StatusCause[] = [];
  const shown = JSON.stringify(propagationPolicy);
  if (propagationPolicy !== undefined && orphanDependents !== undefined) {
    const why = `Invalid value: ${shown}: orphanDependents and deletionPropagation cannot be both set`;
    causes.push(errors.fieldError('propagationPolicy', 'FieldValueInvalid', why));
  }
  if (propagationPolicy !== undefined && !(propagationPolicy in POLICY_FINALIZERS)) {
    const why = `Unsupported value: ${shown}: supported values: "Foreground", "Background", "Orphan", "nil"`;
    causes.push(errors.fieldError('propagationPolicy', 'FieldValueNotSupported', why));
  }
  if (dryRun.some((value) => value !== 'All')) {
    const why = `Unsupported value: ${JSON.stringify(dryRun)}: supported values: "All"`;
    causes.push(errors.fieldError('dryRun', 'FieldValueNotSupported', why));
  }
  if (causes.length > 0) throw errors.invalid(DELETE_OPTIONS, '', causes);
}

/** Field, its JSON type, and Go's names of the struct and the type. */
const FIELDS: readonly (readonly [path: readonly string[], type: string, struct: string, goType: string])[] = [
  [['gracePeriodSeconds'], 'number', 'DeleteOptions', 'int64'],
  [['propagationPolicy'], 'string', 'DeleteOptions', 'v1.DeletionPropagation'],
  [['orphanDependents'], 'boolean', 'DeleteOptions', 'bool'],
  [['preconditions'], 'object', 'DeleteOptions', 'v1.Preconditions'],
  [['preconditions', 'uid'], 'string', 'Preconditions', 'types.UID'],
  [['preconditions', 'resourceVersion'], 'string', 'Preconditions', 'string'],
];

function jsonType(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}

function unread(why: string): errors.StatusError {
  return errors.badRequest(`couldn't get version/kind; json parse error: ${why}`);
}

/** @throws StatusError 400 */
export function parseDeleteOptions(text: string): DeleteOptions {
  let body: unknown;
  try {
    body = JSON.parse(text) as unknown;
  } catch {
    throw unread(jsonProblem(text));
  }
  if (!isFields(body)) {
    const meta =
      String.raw`struct { APIVersion string "json:\"apiVersion,omitempty\""; ` +
      String.raw`Kind string "json:\"kind,omitempty\"" }`;
    throw unread(`json: cannot unmarshal ${jsonType(body)} into Go value of type ${meta}`);
  }
  const { kind = 'DeleteOptions', apiVersion = 'meta.k8s.io/v1' } = body;
  if (kind !== 'DeleteOptions') {
    throw errors.badRequest(
      `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)} in scheme "pkg/runtime/scheme.go:111"`,
    );
  }
  for (const [path, type, struct, goType] of FIELDS) {
    const value = path.reduce<unknown>((at, name) => (isFields(at) ? at[name] : undefined), body);
    if (value === undefined || value === null || typeof value === type) continue;
    const where = `Go struct field ${struct}.${path.join('.')} of type ${goType}`;
    throw errors.badRequest(`json: cannot unmarshal ${jsonType(value)} into ${where}`);
  }
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null)) as DeleteOptions;
}

/** @throws StatusError 409 when the object is not the one that is meant */
export function checkPreconditions(type: ResourceType, { metadata }: KubeObject, options: DeleteOptions): void {
  const { uid, resourceVersion } = options.preconditions ?? {};
  if (uid !== undefined && uid !== metadata.uid) {
    const mismatch = `the UID in the precondition (${uid}) does not match the UID in record (${metadata.uid})`;
    const why = `${mismatch}. The object might have been deleted and then recreated`;
    throw errors.preconditionFailed(type, metadata.name, why);
  }
  if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion) {
    const versions = `(${resourceVersion}) does not match the ResourceVersion in record (${metadata.resourceVersion})`;
    const why = `the ResourceVersion in the precondition ${versions}. The object might have been modified`;
    throw errors.preconditionFailed(type, metadata.name, why);
  }
}
