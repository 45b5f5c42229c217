// Promises: what an Accept header gets: the shape of objects, or a 406 in the words of the part of the real server that
// serves the path (go-restful for documents and built-in kinds, the negotiator for custom resources). Answers are JSON only.
import type { ResourceType } from './resources.ts';
import { StatusError } from './status.ts';

/** How the client wants to see objects. */
export type Shape = 'Object' | 'PartialObjectMetadata' | 'Table';

const SERIALIZED = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf'];
const STREAMED = ['application/json;stream=watch', 'application/vnd.kubernetes.protobuf;stream=watch'];

/** Media types without their parameters. */
function ranges(accept: string): string[] {
  return accept.split(',').map((range) => range.split(';')[0]?.trim() ?? '');
}

function notAcceptable(served: readonly string[]): StatusError {
  const message = `406: Not Acceptable\n\nAvailable representations: ${served.join(', ')}`;
  return new StatusError(406, 'NotAcceptable', message, {});
}

/** Of a document of one media type. @throws StatusError 406 */
export function checkAccepted(accept: string | undefined, mediaType: string): void {
  if (accept === undefined || ranges(accept).some((range) => range === '*/*' || range === mediaType)) return;
  throw notAcceptable([mediaType]);
}

function shapeOf(parameters: readonly string[]): Shape | undefined {
  const as = parameters.find((parameter) => parameter.startsWith('as='))?.slice(3);
  if (as === undefined) return 'Object';
  if (!parameters.includes('g=meta.k8s.io')) return undefined;
  if (!parameters.includes('v=v1') && !parameters.includes('v=v1beta1')) return undefined;
  if (as === 'Table') return 'Table';
  return as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList' ? 'PartialObjectMetadata' : undefined;
}

/**
 * The shape that an Accept header asks for; the first media range that can be served wins.
 * @throws StatusError 406
 */
export function acceptedShape(
  accept: string | undefined,
  type: ResourceType,
  { isCollection }: { readonly isCollection: boolean },
): Shape {
  const header = accept ?? '*/*';
  // The router of built-in kinds looks first, and takes what the sandbox then does not serve.
  if (!type.custom && !ranges(header).some((range) => range === '*/*' || SERIALIZED.includes(range))) {
    throw notAcceptable(isCollection ? [...SERIALIZED, ...STREAMED] : SERIALIZED);
  }
  for (const range of header.split(',')) {
    const [mediaType = '', ...parameters] = range.split(';').map((part) => part.trim());
    if (!['application/json', 'application/*', '*/*'].includes(mediaType)) continue;
    const shape = shapeOf(parameters);
    if (shape !== undefined) return shape;
  }
  const served = SERIALIZED.join(', ');
  throw new StatusError(406, 'NotAcceptable', `only the following media types are accepted: ${served}`);
}
