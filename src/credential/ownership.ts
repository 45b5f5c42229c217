// Promises: decides whose a Secret is. A label proves nothing: a Secret is ours by a controller ownerReference or the
// owner-uid annotation with the resource's UID, and handed over by what its owner wrote on it. Pure.
import {
  ANNOTATION_ADOPT,
  ANNOTATION_ADOPTER_UID,
  ANNOTATION_OWNER_UID,
  GROUP,
  KIND,
  LABEL_NAME,
} from '../api/names.ts';
import type { ObjectMeta, OwnerReference } from '../api/meta.ts';

/**
 * Whose a Secret of our name is:
 * - ours: whole, by this resource's UID.
 * - abandoned: written for a former resource of the same name, without an ownerReference (Retain): may be taken whole.
 * - offered: somebody else's, who hands it over by label and annotation: our keys may be written into it.
 * - adopted: offered, and this resource has taken it: some of its keys are ours, the Secret is not.
 * - withdrawn: this resource has taken it, and its owner's consent does not stand any more.
 * - collecting: written for a former resource of the same name, or being deleted: Kubernetes removes it soon.
 * - foreign: anybody else's.
 */
export type Ownership = 'ours' | 'abandoned' | 'offered' | 'adopted' | 'withdrawn' | 'collecting' | 'foreign';

/** The WorkloadCredential that a Secret is judged for. */
export interface Claimant {
  readonly name: string;
  readonly uid: string;
}

/** Whether the Secret may be written, whole or in part. */
export function mayBeTaken(whose: Ownership): boolean {
  return whose === 'ours' || whose === 'abandoned' || isShared(whose);
}

/** Whether only some keys of the Secret are ours, or will be. */
export function isShared(whose: Ownership): boolean {
  return whose === 'offered' || whose === 'adopted';
}

/** Whether the Secret's data may be read: ours, and what its owner handed over. */
export function mayBeRead(whose: Ownership): boolean {
  return whose === 'ours' || isShared(whose);
}

/** The controller reference, if there is one. */
export function controllerOf(metadata: ObjectMeta): OwnerReference | undefined {
  return metadata.ownerReferences?.find((reference) => reference.controller === true);
}

/** Judges a Secret's metadata for the WorkloadCredential of that name and UID. */
export function ownership(metadata: ObjectMeta, credential: Claimant): Ownership {
  const controller = controllerOf(metadata);
  const { [ANNOTATION_OWNER_UID]: recordedUID, [ANNOTATION_ADOPTER_UID]: adopterUID } = metadata.annotations ?? {};
  if (controller === undefined && adopterUID === credential.uid) {
    // Before owner-uid: whoever adds that to a Secret that was handed over does not make the whole of it ours.
    return stillConsents(metadata, credential.name) ? unlessGoing('adopted', metadata) : 'withdrawn';
  }
  // Nor where a former resource took it: the other keys in it are somebody's still.
  const ownerUID = controller?.uid ?? (adopterUID === undefined ? recordedUID : undefined);
  if (ownerUID === credential.uid) {
    return unlessGoing('ours', metadata);
  }
  if (controller === undefined && isHandedOver(metadata, credential.name)) {
    return unlessGoing('offered', metadata);
  }
  return ownershipOfOthers(metadata, controller, credential.name);
}

/** Whether label and annotation both name the WorkloadCredential: its owner's consent. */
export function isHandedOver({ labels, annotations }: ObjectMeta, name: string): boolean {
  return labels?.[LABEL_NAME] === name && annotations?.[ANNOTATION_ADOPT] === name;
}

/** Once it is taken, the annotation is the consent; a label that got lost is put back, one that names another counts. */
function stillConsents({ labels, annotations }: ObjectMeta, name: string): boolean {
  return annotations?.[ANNOTATION_ADOPT] === name && (labels?.[LABEL_NAME] ?? name) === name;
}

function ownershipOfOthers(metadata: ObjectMeta, controller: OwnerReference | undefined, name: string): Ownership {
  const { annotations = {}, labels } = metadata;
  const recordedUID = annotations[ANNOTATION_OWNER_UID];
  if (recordedUID === undefined) {
    return 'foreign';
  }
  if (controller !== undefined) {
    return isOfFormer(controller, name) && recordedUID === controller.uid ? 'collecting' : 'foreign';
  }
  // What was ever handed over has keys of others in it, and is never taken whole.
  const wasHandedOver =
    annotations[ANNOTATION_ADOPT] !== undefined || annotations[ANNOTATION_ADOPTER_UID] !== undefined;
  return labels?.[LABEL_NAME] === name && !wasHandedOver ? unlessGoing('abandoned', metadata) : 'foreign';
}

function isOfFormer(controller: OwnerReference, name: string): boolean {
  return controller.kind === KIND && controller.apiVersion.startsWith(`${GROUP}/`) && controller.name === name;
}

function unlessGoing(whose: Ownership, metadata: ObjectMeta): Ownership {
  return metadata.deletionTimestamp === undefined ? whose : 'collecting';
}
