// Promises: decides whose a Secret is. A label proves nothing: only a controller ownerReference or the owner-uid
// annotation with the resource's UID does. Pure.
import { ANNOTATION_OWNER_UID, GROUP, KIND, LABEL_NAME } from '../api/names.ts';
import type { ObjectMeta, OwnerReference } from '../api/meta.ts';

/**
 * Whose a Secret of our name is:
 * - ours: by this resource's UID.
 * - abandoned: written for a former resource of the same name, without an ownerReference (Retain): may be taken.
 * - collecting: written for a former resource of the same name, or being deleted: Kubernetes removes it soon.
 * - foreign: anybody else's.
 */
export type Ownership = 'ours' | 'abandoned' | 'collecting' | 'foreign';

/** The controller reference, if there is one. */
export function controllerOf(metadata: ObjectMeta): OwnerReference | undefined {
  return metadata.ownerReferences?.find((reference) => reference.controller === true);
}

/** Judges a Secret's metadata for the WorkloadCredential of that name and UID. */
export function ownership(
  metadata: ObjectMeta,
  credential: { readonly name: string; readonly uid: string },
): Ownership {
  const controller = controllerOf(metadata);
  const recordedUID = metadata.annotations?.[ANNOTATION_OWNER_UID];
  if ((controller?.uid ?? recordedUID) === credential.uid) {
    return metadata.deletionTimestamp === undefined ? 'ours' : 'collecting';
  }
  if (recordedUID === undefined) {
    return 'foreign';
  }
  if (controller !== undefined) {
    return isOfFormer(controller, credential.name) && recordedUID === controller.uid ? 'collecting' : 'foreign';
  }
  return metadata.labels?.[LABEL_NAME] === credential.name ? abandonedUnlessGoing(metadata) : 'foreign';
}

function isOfFormer(controller: OwnerReference, name: string): boolean {
  return controller.kind === KIND && controller.apiVersion.startsWith(`${GROUP}/`) && controller.name === name;
}

function abandonedUnlessGoing(metadata: ObjectMeta): Ownership {
  return metadata.deletionTimestamp === undefined ? 'abandoned' : 'collecting';
}
