// Promises: the Secret that a write changes, as it was last seen: its metadata and, where it was handed over, what of its
// data is ours. Makes no call; never tells a value.
import { ANNOTATION_ADOPTER_UID } from '../api/names.ts';
import type { ObjectMeta, Secret } from '../api/meta.ts';
import { type SharedData, sharedInCached, sharedInLive } from '../credential/adoption.ts';
import { claimant } from '../credential/assessment.ts';
import type { Observed } from '../credential/observed.ts';
import { isShared, ownership } from '../credential/ownership.ts';
import type { WantedSecret } from '../render/secret.ts';
import type { LogFields } from '../runtime/log.ts';

/** A Secret as it was last seen. */
export interface ExistingSecret {
  readonly metadata: ObjectMeta;
  /** What is ours of its data, where it was handed over. */
  readonly shared?: SharedData | undefined;
}

/** The Secret that is there; undefined if there is none. */
export function existingSecret(observed: Observed): ExistingSecret | undefined {
  const { secret } = observed;
  if (secret.kind === 'absent') {
    return undefined;
  }
  if (secret.kind === 'live') {
    return existingLive(observed, secret.secret);
  }
  const { metadata } = secret;
  return { metadata, shared: isSharedWith(observed, metadata) ? sharedInCached(metadata) : undefined };
}

/** The Secret that was read whole. */
export function existingLive(observed: Observed, secret: Secret): ExistingSecret {
  const { metadata } = secret;
  return { metadata, shared: isSharedWith(observed, metadata) ? sharedInLive(secret) : undefined };
}

function isSharedWith(observed: Observed, metadata: ObjectMeta): boolean {
  return isShared(ownership(metadata, claimant(observed)));
}

/**
 * What the log says when a Secret that was handed over is taken: the keys that are ours now, and which of them it had.
 * @returns undefined where it was taken before.
 */
export function adoptionOf({ secret, uid }: Observed, wanted: WantedSecret): LogFields | undefined {
  if (
    !wanted.shares ||
    secret.kind !== 'live' ||
    secret.secret.metadata.annotations?.[ANNOTATION_ADOPTER_UID] === uid
  ) {
    return undefined;
  }
  const { namespace, name, owner, data } = wanted;
  const before = secret.secret.data ?? {};
  const proven = sharedInLive(secret.secret).keys;
  const keys = Object.keys(data).sort();
  const replacedKeys = keys.filter((key) => Object.hasOwn(before, key) && !proven.includes(key));
  return { namespace, name: owner.name, secret: name, keys, replacedKeys };
}
