// Promises: a body held against the kind, the version and the name that its path says, in the words of Go's decoder for
// built-in kinds and of the unstructured one for custom resources.
import { groupVersion } from './resources.ts';
import type { ResourceType } from './resources.ts';
import * as errors from './status.ts';
import type { KubeObject } from './store.ts';

function kindMissing(type: ResourceType, input: unknown): errors.StatusError {
  const text = JSON.stringify(input);
  const start = text.length > 30 ? `${text.slice(0, 30)} ...` : text;
  const missing = `Object 'Kind' is missing in '${text}' (${start})`;
  return errors.badRequest(`the object provided is unrecognized (must be of type ${type.kind}): ${missing}`);
}

function wrongKind(type: ResourceType, kind: string, sent: Partial<KubeObject>): errors.StatusError {
  const message = `Invalid value: ${JSON.stringify(kind)}: must be ${type.kind}`;
  return errors.invalid({ ...type, kind }, sent.metadata?.name ?? '', [
    errors.fieldError('kind', 'FieldValueInvalid', message),
  ]);
}

/** The body of one object names another. */
export function nameMismatch(sent: string | undefined, name: string): errors.StatusError {
  return errors.badRequest(`the name of the object (${sent ?? ''}) does not match the name on the URL (${name})`);
}

/**
 * Go's decoder knows every built-in kind, and says of the wrong one what it cannot do.
 * @throws StatusError 400
 */
function checkBuiltInKind(type: ResourceType, sent: Partial<KubeObject>, served: readonly ResourceType[]): void {
  const { kind = type.kind, apiVersion = groupVersion(type) } = sent;
  if (kind === type.kind && apiVersion === groupVersion(type)) return;
  const [version = ''] = apiVersion.split('/').toReversed();
  const isKnown = served.some((each) => each.kind === kind && groupVersion(each) === apiVersion);
  const internal = `${type.group === '' ? 'core' : type.group.split('.')[0]}.${type.kind}`;
  const why = isKnown
    ? `converting (${version}.${kind}) to (${internal}): unknown conversion`
    : `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)} in scheme "pkg/runtime/scheme.go:111"`;
  throw errors.badRequest(`${kind} in version ${JSON.stringify(version)} cannot be handled as a ${type.kind}: ${why}`);
}

/**
 * The kind and version of a body; built-in ones may be left out.
 * @throws StatusError 400 or 422 when they are another's
 */
export function checkKind(
  type: ResourceType,
  sent: Partial<KubeObject>,
  served: readonly ResourceType[],
): { readonly apiVersion: string; readonly kind: string } {
  if (!type.custom) checkBuiltInKind(type, sent, served);
  const apiVersion = sent.apiVersion ?? (type.custom ? '' : groupVersion(type));
  const kind = sent.kind ?? (type.custom ? '' : type.kind);
  if (kind === '') throw kindMissing(type, sent);
  if (apiVersion !== groupVersion(type)) {
    const expected = `does not match the expected API version (${groupVersion(type)})`;
    throw errors.badRequest(`the API version in the data (${apiVersion}) ${expected}`);
  }
  if (kind !== type.kind) throw wrongKind(type, kind, sent);
  return { apiVersion, kind };
}
