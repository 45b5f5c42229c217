// Promises: writes a status only when it differs, as a merge patch with the resourceVersion it was computed from; after a
// conflict it is computed anew on the live object. A resource that is gone or going gets none.
import type { ObjectKey } from '../api/meta.ts';
import type { WorkloadCredential, WorkloadCredentialStatus } from '../api/types.gen.ts';
import { type NextStatus, statusDifference } from '../credential/status.ts';
import type { CallOptions, KubeApi } from '../kube/api.ts';
import { isConflict, isNotFound, orUndefined } from './failures.ts';

/** How often a conflict is answered by a new look within one reconcile. */
const MAX_TRIES = 3;

/** A status that was written, or did not have to be. */
export interface WrittenStatus {
  readonly next: NextStatus;
  /** Of the resource after the write; undefined when nothing was written. */
  readonly resourceVersion: string | undefined;
}

/**
 * Brings a resource's status to what `compute` makes of the previous one.
 * @returns undefined when the resource is gone or going.
 * @throws KubeError
 */
export async function writeStatus(
  api: KubeApi,
  credential: WorkloadCredential,
  compute: (previous: WorkloadCredentialStatus | undefined) => NextStatus,
  options: CallOptions,
): Promise<WrittenStatus | undefined> {
  const key: ObjectKey = { namespace: credential.metadata.namespace ?? '', name: credential.metadata.name };
  let current = credential;
  for (let attempt = 1; ; attempt += 1) {
    const next = compute(current.status);
    const difference = statusDifference(current.status, next.status);
    if (difference === undefined) {
      return { next, resourceVersion: undefined };
    }
    const { resourceVersion } = current.metadata;
    try {
      const written = await api.patchWorkloadCredentialStatus(
        key,
        { metadata: { resourceVersion }, status: difference },
        options,
      );
      return { next, resourceVersion: written.metadata.resourceVersion };
    } catch (error) {
      if (isNotFound(error)) {
        return undefined;
      }
      if (!isConflict(error) || attempt === MAX_TRIES) {
        throw error;
      }
    }
    const live = await orUndefined(api.getWorkloadCredential(key, options));
    if (
      live === undefined ||
      live.metadata.uid !== credential.metadata.uid ||
      live.metadata.deletionTimestamp !== undefined
    ) {
      return undefined;
    }
    current = live;
  }
}
