// Promises: the patch types of the real API server, except server-side apply, which is refused with a sentence that says
// so. A strategic merge patch is taken for built-in resources and read as a merge patch whose `$` directives are dropped:
// enough for kubectl apply, label, annotate and patch on maps; lists are replaced.
import fastJSONPatch from 'fast-json-patch';
import type { Operation } from 'fast-json-patch';
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
    throw badRequest('error decoding patch: unexpected end of JSON input');
  }
}

/** The real server tells nothing of what failed: neither which operation, nor which path. */
function patchRefused(): StatusError {
  return new StatusError(422, 'Invalid', 'the server rejected our request due to an error in our request', {});
}

/** RFC 6902. The document is not changed. */
function jsonPatch(document: unknown, operations: unknown): unknown {
  if (!Array.isArray(operations)) throw badRequest('error decoding patch: json: cannot unmarshal object into Go value');
  try {
    return fastJSONPatch.applyPatch(structuredClone(document), operations as Operation[], true).newDocument;
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
      return (body, document) => mergePatch(document, parse(body));
    case 'application/strategic-merge-patch+json':
      if (!type.custom) return (body, document) => mergePatch(document, withoutDirectives(parse(body)));
      break;
    case 'application/apply-patch+yaml':
      throw unsupportedMediaType(
        'server-side apply (application/apply-patch+yaml) is not served by this sandbox; ' +
          'use application/json-patch+json or application/merge-patch+json',
      );
    default:
  }
  const builtIn = type.custom ? '' : ', application/strategic-merge-patch+json';
  throw unsupportedMediaType(
    'the body of the request was in an unknown format - accepted media types include: ' +
      `application/json-patch+json, application/merge-patch+json${builtIn}`,
  );
}
