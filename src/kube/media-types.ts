// Promises: the media types that we speak with the API server. May not import anything.

export const JSON_MEDIA_TYPE = 'application/json';
/** RFC 6902 */
export const JSON_PATCH_MEDIA_TYPE = 'application/json-patch+json';
/** RFC 7386 */
export const MERGE_PATCH_MEDIA_TYPE = 'application/merge-patch+json';

/**
 * Only the metadata of an object; without a second choice, so that a server which cannot do it answers 406 and never
 * sends data. https://kubernetes.io/docs/reference/using-api/api-concepts/#alternate-representations-of-resources
 */
export const PARTIAL_OBJECT_METADATA = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1';
/** The same for lists. */
export const PARTIAL_OBJECT_METADATA_LIST = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1';
