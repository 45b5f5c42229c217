// Promises: the elector's one Lease on the API server's port: a Lease that is not there is `undefined`, every other failure
// rejects. Decides nothing.
import type { ObjectKey } from '../api/meta.ts';
import type { LeaseClient } from '../runtime/elector.ts';
import type { LeaseApi } from './api.ts';
import { KubeError } from './errors.ts';

/** The calls on the Lease `key`. */
export function leaseClient(leases: LeaseApi, key: ObjectKey): LeaseClient {
  return {
    async get(signal) {
      try {
        return await leases.getLease(key, { signal });
      } catch (error) {
        if (error instanceof KubeError && error.status === 404) return undefined;
        throw error;
      }
    },
    create: (lease, signal) => leases.createLease(key.namespace, lease, { signal }),
    replace: (lease, signal) => leases.replaceLease(key, lease, { signal }),
  };
}
