// Promises: what is kept of each cached object: what decisions need, and nothing else. Thousands of objects are kept, and
// managedFields alone would double them. Secrets come as metadata; no data could be kept even by mistake.
import { ANNOTATION_ALLOW } from '../api/names.ts';
import type { ObjectMeta, PartialObjectMetadata } from '../api/meta.ts';
import type { WorkloadCredential } from '../api/types.gen.ts';

/** An object from the wire. */
interface Wire {
  readonly metadata: ObjectMeta;
}

function meta(metadata: ObjectMeta): ObjectMeta {
  const { name, namespace, uid, resourceVersion, generation, creationTimestamp, deletionTimestamp } = metadata;
  const { labels, annotations, ownerReferences } = metadata;
  return {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
    ...(generation === undefined ? {} : { generation }),
    ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    ...(labels === undefined ? {} : { labels }),
    ...(annotations === undefined ? {} : { annotations }),
    ...(ownerReferences === undefined ? {} : { ownerReferences }),
  };
}

/** kubectl apply keeps the whole object in this annotation. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/** spec and status whole, of the metadata what is named here. */
export function projectCredential(object: Wire): WorkloadCredential {
  const { spec, status } = object as WorkloadCredential;
  const { [LAST_APPLIED]: _applied, ...annotations } = object.metadata.annotations ?? {};
  return {
    metadata: { ...meta(object.metadata), annotations },
    spec,
    ...(status === undefined ? {} : { status }),
  };
}

/** Metadata only, and of it not what holds the data once more: a Secret that was applied has them in LAST_APPLIED. */
export function projectSecret(object: Wire): PartialObjectMetadata {
  const { annotations, ...rest } = meta(object.metadata);
  const { [LAST_APPLIED]: _applied, ...kept } = annotations ?? {};
  return { metadata: { ...rest, ...(annotations === undefined ? {} : { annotations: kept }) } };
}

/** Name, UID and consent. */
export function projectServiceAccount(object: Wire): PartialObjectMetadata {
  const { name, namespace, uid, resourceVersion, annotations } = object.metadata;
  const consent = annotations?.[ANNOTATION_ALLOW];
  return {
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      ...(consent === undefined ? {} : { annotations: { [ANNOTATION_ALLOW]: consent } }),
    },
  };
}
