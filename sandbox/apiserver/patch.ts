// Promises: the patch types of the real API server, except server-side apply, which is refused with a sentence that says
// so: JSON patch, merge patch, and for built-in kinds strategic merge patch.
import { jsonProblem } from './body.ts';
import { jsonPatch, undecodable } from './json-patch.ts';
import { badRequest, StatusError, unsupportedMediaType } from './status.ts';
import { strategicMerge } from './strategic-merge.ts';
import { isFields } from './structural-schema.ts';
import type { Fields } from './structural-schema.ts';
import type { ResourceType } from './resources.ts';

/** RFC 7396. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isFields(patch)) return patch;
  const result: Record<string, unknown> = isFields(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = mergePatch(result[name], value);
  }
  return result;
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch {
    throw badRequest(`error decoding patch: ${jsonProblem(body)}`);
  }
}

/** @throws StatusError 400 */
function mergePatchBody(body: string): Fields {
  const patch = parse(body);
  if (isFields(patch)) return patch;
  throw undecodable(patch, 'map[string]interface {}');
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
      if (!type.custom) return (body, document) => strategicMerge(document, mergePatchBody(body));
      break;
    case 'application/apply-patch+yaml':
      throw unsupportedMediaType(
        'server-side apply (application/apply-patch+yaml) is not served by this sandbox; ' +
          'use application/json-patch+json or application/merge-patch+json',
      );
    default:
  }
  if (!type.custom) throw new StatusError(415, 'UnsupportedMediaType', '415: Unsupported Media Type', {});
  throw unsupportedMediaType(
    'the body of the request was in an unknown format - accepted media types include: ' +
      'application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml',
  );
}
