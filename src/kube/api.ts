// Promises: the port to the API server: exactly the calls that the operator makes, and no other. The chart's RBAC and
// docs/reference/rbac.md are compared with this list by a test. Implementation: client.ts.
import type { JSONPatchOperation, KubeEvent, Lease, ObjectKey, PartialObjectMetadata, Secret } from '../api/meta.ts';
import type { WorkloadCredential } from '../api/types.gen.ts';

/** Options of each call. */
export interface CallOptions {
  readonly signal: AbortSignal;
}

/** A token that TokenRequest made. Secret: it lives in memory, for one exchange. */
export interface ServiceAccountToken {
  readonly token: string;
  /** RFC 3339. */
  readonly expirationTimestamp: string;
}

/** The Lease calls, apart because only the elector may make them. */
export interface LeaseApi {
  getLease(key: ObjectKey, options: CallOptions): Promise<Lease>;
  createLease(namespace: string, lease: Lease, options: CallOptions): Promise<Lease>;
  /** PUT with the resourceVersion in `lease.metadata`: 409 when another replica was first. */
  replaceLease(key: ObjectKey, lease: Lease, options: CallOptions): Promise<Lease>;
}

/** The Event calls, apart because only the recorder may make them (events.k8s.io/v1). */
export interface EventApi {
  createEvent(namespace: string, event: KubeEvent, options: CallOptions): Promise<KubeEvent>;
  /** JSON merge patch. */
  patchEvent(key: ObjectKey, patch: object, options: CallOptions): Promise<KubeEvent>;
}

/**
 * Two calls that the chart's fences refuse and that come to nothing without them, apart because only the probe may make
 * them. They carry a fieldManager of their own, so that the API server's audit log tells them from all others.
 */
export interface FenceApi {
  /** Dry run of a new Secret that belongs to no WorkloadCredential. Resolves where the API server would have made it. */
  tryForeignSecret(namespace: string, options: CallOptions): Promise<void>;
  /**
   * TokenRequest bound to a kind that no token can be bound to: where no policy refuses it, the API server answers 400 after
   * admission and mints nothing (k8s.io/kubernetes pkg/registry/core/serviceaccount/storage/token.go).
   */
  tryBoundToken(key: ObjectKey, audience: string, options: CallOptions): Promise<void>;
}

/**
 * What the controller may do.
 * Every method rejects with a KubeError (errors.ts), or with the signal's reason when it was aborted.
 */
export interface KubeApi {
  /** TokenRequest with one audience; the API server may answer a longer life than asked, never a shorter one. */
  createServiceAccountToken(
    key: ObjectKey,
    request: { readonly audience: string; readonly expirationSeconds: number },
    options: CallOptions,
  ): Promise<ServiceAccountToken>;
  getWorkloadCredential(key: ObjectKey, options: CallOptions): Promise<WorkloadCredential>;
  /** JSON merge patch of the status subresource; `patch` carries metadata.resourceVersion: 409 when stale. */
  patchWorkloadCredentialStatus(key: ObjectKey, patch: object, options: CallOptions): Promise<PartialObjectMetadata>;
  getServiceAccountMetadata(key: ObjectKey, options: CallOptions): Promise<PartialObjectMetadata>;
  getSecret(key: ObjectKey, options: CallOptions): Promise<Secret>;
  getSecretMetadata(key: ObjectKey, options: CallOptions): Promise<PartialObjectMetadata>;
  createSecret(namespace: string, secret: Secret, options: CallOptions): Promise<PartialObjectMetadata>;
  /** JSON Patch; the operations carry `test` or `replace` of /metadata/resourceVersion: 409 when stale, 404 when gone. */
  patchSecret(
    key: ObjectKey,
    operations: readonly JSONPatchOperation[],
    options: CallOptions,
  ): Promise<PartialObjectMetadata>;
  /** DELETE with preconditions: 409 when the object is another one by now. */
  deleteSecret(
    key: ObjectKey,
    preconditions: { readonly uid: string; readonly resourceVersion: string },
    options: CallOptions,
  ): Promise<void>;
}
