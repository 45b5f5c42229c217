// Promises: the patch types of the real API server, except server-side apply, which is refused with a sentence that says
// so. A strategic merge patch is taken for built-in resources and read as a merge patch whose `$` directives are dropped:
// enough for kubectl apply, label, annotate and patch on maps; lists are replaced.
import fastJSONPatch from 'fast-json-patch';
import type { Operation } from 'fast-json-patch';
import { jsonProblem } from './body.ts';
import { badRequest, StatusError, unsupportedMediaType } from './status.ts';
import type { ResourceType } from './resources.ts';

/** RFC 7396. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const isMap = typeof target === 'object' && target !== null && !Array.isArray(target);
  const result: Record<string, unknown> = isMap ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = mergePatch(result[name], value);
  }
  return result;
}

function withoutDirectives(patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const kept = Object.entries(patch).filter(([name]) => !name.startsWith('$'));
  return Object.fromEntries(kept.map(([name, value]) => [name, withoutDirectives(value)]));
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch {
    throw badRequest(`error decoding patch: ${jsonProblem(body)}`);
  }
}

/** The real server tells nothing of what failed: neither which operation, nor which path. */
function patchRefused(): StatusError {
  return new StatusError(422, 'Invalid', 'the server rejected our request due to an error in our request', {});
}

function undecodable(patch: unknown, goType: string): string {
  const kind = Array.isArray(patch) ? 'array' : typeof patch === 'boolean' ? 'bool' : typeof patch;
  return `error decoding patch: json: cannot unmarshal ${kind} into Go value of type ${goType}`;
}

/** The real server's library (evanphx/json-patch) lets `replace` add a member that is missing. */
function lenient(operation: unknown): Operation {
  const { op, path } = operation as Operation;
  const isMember = op === 'replace' && path !== '' && !/\/\d+$/.test(path);
  return (isMember ? { ...(operation as object), op: 'add' } : operation) as Operation;
}

function mergePatchBody(body: string): object {
  const patch = parse(body);
  if (typeof patch === 'object' && patch !== null && !Array.isArray(patch)) return patch;
  throw badRequest(undecodable(patch, 'map[string]interface {}'));
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * The lists of metadata merge: finalizers as a set, owners by uid. Other lists of built-in kinds are replaced.
 * https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/
 */
function strategicPatch(document: unknown, patch: Fields): unknown {
  const merged = mergePatch(document, withoutDirectives(patch)) as Fields;
  const wanted = patch['metadata'] as Fields | null | undefined;
  const before = (document as { readonly metadata?: Fields }).metadata;
  if (wanted === undefined || wanted === null) return merged;
  const metadata: Record<string, unknown> = { ...(merged['metadata'] as Fields) };
  const finalizers = mergedSet(
    before?.['finalizers'],
    wanted['finalizers'],
    wanted['$deleteFromPrimitiveList/finalizers'],
  );
  if (finalizers !== undefined) metadata['finalizers'] = finalizers;
  const owners = mergedOwners(before?.['ownerReferences'], wanted['ownerReferences']);
  if (owners !== undefined) metadata['ownerReferences'] = owners;
  return { ...merged, metadata };
}

function mergedSet(before: unknown, added: unknown, removed: unknown): unknown[] | undefined {
  if (!Array.isArray(added) && !Array.isArray(removed)) return undefined;
  // What the patch names comes first.
  const all = new Set<unknown>([
    ...((added as unknown[] | undefined) ?? []),
    ...((before as unknown[] | undefined) ?? []),
  ]);
  for (const each of (removed as unknown[] | undefined) ?? []) all.delete(each);
  return [...all];
}

function mergedOwners(before: unknown, patch: unknown): unknown[] | undefined {
  if (!Array.isArray(patch)) return undefined;
  const all = new Map(((before as Fields[] | undefined) ?? []).map((owner) => [owner['uid'], owner]));
  for (const owner of patch as Fields[]) {
    const uid = owner['uid'];
    if (owner['$patch'] === 'delete') all.delete(uid);
    else if (uid !== undefined) all.set(uid, mergePatch(all.get(uid), withoutDirectives(owner)) as Fields);
  }
  return [...all.values()];
}

/** RFC 6902. The document is not changed. */
function jsonPatch(document: unknown, operations: unknown): unknown {
  if (!Array.isArray(operations)) throw badRequest(undecodable(operations, '[]handlers.jsonPatchOp'));
  try {
    return fastJSONPatch.applyPatch(structuredClone(document), operations.map(lenient), true).newDocument;
  } catch {
    throw patchRefused();
  }
}

/** Makes of the document, as the client sees it, what the patch wants. */
export type Patcher = (body: string, document: unknown) => unknown;

/**
 * The patcher for a media type. It is chosen before the object is looked up: a patch of a form that is not served is
 * refused whether or not its object exists.
 * @throws StatusError 415; the patcher itself throws 400 or 422
 */
export function patcherFor(type: ResourceType, mediaType: string): Patcher {
  switch (mediaType) {
    case 'application/json-patch+json':
      return (body, document) => jsonPatch(document, parse(body));
    case 'application/merge-patch+json':
      return (body, document) => mergePatch(document, mergePatchBody(body));
    case 'application/strategic-merge-patch+json':
      if (!type.custom) return (body, document) => strategicPatch(document, parse(body) as Fields);
      break;
    case 'application/apply-patch+yaml':
      throw unsupportedMediaType(
        'server-side apply (application/apply-patch+yaml) is not served by this sandbox; ' +
          'use application/json-patch+json or application/merge-patch+json',
      );
    default:
  }
  if (!type.custom) throw new StatusError(415, 'UnsupportedMediaType', '415: Unsupported Media Type', {});
  const builtIn = type.custom ? '' : ', application/strategic-merge-patch+json';
  throw unsupportedMediaType(
    'the body of the request was in an unknown format - accepted media types include: ' +
      `application/json-patch+json, application/merge-patch+json${builtIn}, application/apply-patch+yaml`,
  );
}
