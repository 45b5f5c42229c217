// Promises: why a Secret of our name may not be written, in a sentence that says what its owner can do about it: the lines
// that hand it over included. Says nothing of a Secret that was not handed over but that it is there. Pure.
import { ANNOTATION_ADOPT, LABEL_NAME } from '../api/names.ts';
import type { ObjectMeta, Secret } from '../api/meta.ts';
import { CredentialError } from './errors.ts';
import { type Claimant, controllerOf, isHandedOver, isShared, mayBeTaken, ownership } from './ownership.ts';

/** The Secret's place: what the lines to copy need. */
export interface Place {
  readonly namespace: string;
  /** Of the Secret. */
  readonly name: string;
}

/** What names a type of a Secret; anything else is not repeated. */
const SECRET_TYPE = /^[A-Za-z0-9./_-]{1,100}$/;

/**
 * Why the Secret is not written; undefined if it may be, as far as its metadata tell.
 * @param place where it is, for the lines to copy.
 */
export function metadataRefusal(metadata: ObjectMeta, credential: Claimant, place: Place): CredentialError | undefined {
  const whose = ownership(metadata, credential);
  if (mayBeTaken(whose)) {
    return undefined;
  }
  const { name } = place;
  if (whose === 'collecting') {
    return new CredentialError(
      'SecretTerminating',
      `Secret "${name}" is being deleted, or belongs to a former WorkloadCredential of this name; another is made as soon as it is gone.`,
    );
  }
  if (whose === 'withdrawn') {
    return conflict(
      `Secret "${name}" was handed over to this WorkloadCredential, and is not any more; it is left as it is, and the keys that were written into it are not refreshed. Remove them, or hand it over again: ${consentLines(credential.name, place)}`,
    );
  }
  return isHandedOver(metadata, credential.name) && controllerOf(metadata) !== undefined
    ? unusable(place, 'has a controller (metadata.ownerReferences), which would undo what others write', credential)
    : conflict(
        `Secret "${name}" exists and does not belong to this WorkloadCredential; it was left alone. Delete or rename it, or create this WorkloadCredential anew with another spec.secret.name. Or, if this WorkloadCredential may write its keys into it and the others stay (it has to be Opaque, mutable and without a controller): ${consentLines(credential.name, place)}`,
      );
}

/** Why a Secret that was read is not written: as its metadata tell, and what it is when it was handed over. */
export function secretRefusal(secret: Secret, credential: Claimant, place: Place): CredentialError | undefined {
  const refusal = metadataRefusal(secret.metadata, credential, place);
  if (refusal !== undefined || !isShared(ownership(secret.metadata, credential))) {
    return refusal;
  }
  if (secret.type !== 'Opaque') {
    const type = SECRET_TYPE.test(secret.type ?? '') ? `of type "${secret.type ?? ''}"` : 'of another type';
    return unusable(place, `is ${type}, and only an Opaque one can be taken`, credential);
  }
  return secret.immutable === true
    ? unusable(place, 'is immutable, so that nothing can be written', credential)
    : undefined;
}

/** Somebody undoes what we write. */
export function contested(namespace: string, name: string): CredentialError {
  return new CredentialError(
    'SecretContested',
    `Something else keeps changing or deleting Secret "${name}"; a new credential is issued for it at most once a minute. Find the other writer (kubectl get secret ${name} -n ${namespace} --show-managed-fields -o jsonpath='{.metadata.managedFields[*].manager}') and stop it.`,
  );
}

function conflict(message: string): CredentialError {
  return new CredentialError('SecretConflict', message);
}

function unusable({ namespace, name }: Place, why: string, credential: Claimant): CredentialError {
  return conflict(
    `Secret "${name}" is handed over to this WorkloadCredential, but it ${why}; it was left alone. Replace it by an Opaque, mutable Secret without a controller, with label ${LABEL_NAME}=${credential.name} and annotation ${ANNOTATION_ADOPT}=${credential.name}; or take the consent back: kubectl annotate secret ${name} -n ${namespace} ${ANNOTATION_ADOPT}-`,
  );
}

/** What the Secret's owner runs to hand it over. */
function consentLines(credentialName: string, { namespace, name }: Place): string {
  const set = (verb: string, key: string): string =>
    `kubectl ${verb} secret ${name} -n ${namespace} --overwrite ${key}=${credentialName}`;
  return `${set('label', LABEL_NAME)} && ${set('annotate', ANNOTATION_ADOPT)}`;
}
