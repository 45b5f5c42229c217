// Promises: brings a wanted Secret into the API server: POST where there is none, else one JSON Patch with the
// resourceVersion that it was computed from. After a lost answer or a conflict it looks before it writes again. Never
// touches a Secret that is neither ours nor handed over, never deletes one that is not ours, and never asks STS.
import { ANNOTATION_CONTENT_HASH } from '../api/names.ts';
import type { ObjectMeta, PartialObjectMetadata, Secret } from '../api/meta.ts';
import { sharedInLive } from '../credential/adoption.ts';
import { metadataRefusal, secretRefusal } from '../credential/conflicts.ts';
import { CredentialError } from '../credential/errors.ts';
import { isShared, ownership } from '../credential/ownership.ts';
import { verifyRecord } from '../credential/record.ts';
import type { CallOptions, KubeApi } from '../kube/api.ts';
import { newSecret, patchOperations, type WantedSecret } from '../render/secret.ts';
import type { ExistingSecret } from './existing-secret.ts';
import { isConflict, isInvalid, isNotFound, orUndefined } from './failures.ts';

/** A Secret as it was written. */
export interface WrittenSecret {
  readonly uid: string;
  readonly resourceVersion: string;
}

/** The most bytes of all values together, k8s.io/api core/v1 MaxSecretSize. */
const MAX_SECRET_BYTES = 1_048_576;
/** How often one reconcile tries to get around other writers; after that the queue does. */
const MAX_TRIES = 3;

/** What a writer is made of. */
export interface SecretWriterOptions {
  readonly api: KubeApi;
  /** Asked before each write: a replica that has lost the Lease does not write. Throws if so. */
  readonly assertLeading: () => void;
  readonly now: () => number;
}

/** Writes Secrets. */
export class SecretWriter {
  readonly #options: SecretWriterOptions;

  constructor(options: SecretWriterOptions) {
    this.#options = options;
  }

  /**
   * Writes.
   * @param existing the Secret as last seen; undefined: there is none.
   * @param data `keep` leaves data that are as wanted.
   * @throws CredentialError SecretConflict or SecretTerminating when the Secret turns out not to be ours, SecretWriteDenied
   * when others' keys leave no room, KubernetesConflict when it was handed over or replaced meanwhile; KubeError.
   */
  async write(
    wanted: WantedSecret,
    existing: ExistingSecret | undefined,
    data: 'replace' | 'keep',
    options: CallOptions,
  ): Promise<WrittenSecret> {
    let seen = existing;
    let scope = data;
    for (let attempt = 1; ; attempt += 1) {
      try {
        this.#options.assertLeading();
        return identityOf(await this.#once(wanted, seen, scope, options));
      } catch (error) {
        const isRace = isConflict(error) || isNotFound(error) || isInvalid(error);
        if (!isRace || attempt === MAX_TRIES) {
          throw error;
        }
        const found = await this.#afterRace(wanted, error, options);
        if (found.done !== undefined) {
          return found.done;
        }
        seen = found.existing;
        scope = found.isIntact === true ? scope : 'replace';
      }
    }
  }

  async #once(
    wanted: WantedSecret,
    existing: ExistingSecret | undefined,
    data: 'replace' | 'keep',
    options: CallOptions,
  ): Promise<PartialObjectMetadata> {
    const { api } = this.#options;
    if (existing === undefined) {
      // What was meant for somebody else's Secret makes none of ours: the next look decides anew.
      assertSameKind(false, wanted);
      return await api.createSecret(wanted.namespace, newSecret(wanted), options);
    }
    const operations = patchOperations(existing.metadata, wanted, data, existing.shared);
    return operations.length === 0
      ? { metadata: existing.metadata }
      : await api.patchSecret({ namespace: wanted.namespace, name: wanted.name }, operations, options);
  }

  /** Somebody was faster, or it was we ourselves and the answer was lost, or the Secret cannot be changed at all. */
  async #afterRace(
    wanted: WantedSecret,
    error: unknown,
    options: CallOptions,
  ): Promise<{ readonly done?: WrittenSecret; readonly existing?: ExistingSecret; readonly isIntact?: boolean }> {
    const key = { namespace: wanted.namespace, name: wanted.name };
    const metadata = await orUndefined(this.#options.api.getSecretMetadata(key, options));
    if (metadata === undefined) {
      return isInvalid(error) ? rethrow(error) : {};
    }
    assertWritable(metadata.metadata, wanted);
    const secret = await orUndefined(this.#options.api.getSecret(key, options));
    if (secret === undefined) {
      return {};
    }
    const isIntact = this.#isIntact(secret, wanted);
    if (isIntact && patchOperations(secret.metadata, wanted, 'keep').length === 0) {
      return { done: identityOf(secret) };
    }
    assertWritable(secret.metadata, wanted);
    if (isInvalid(error)) {
      assertNotShared(secret, wanted);
      await this.#removeImmutable(secret, error, options);
      return {};
    }
    return {
      existing: { metadata: secret.metadata, shared: wanted.shares ? sharedInLive(secret) : undefined },
      isIntact,
    };
  }

  /** The same content-hash, and data that it covers: what we want to be in it, is. */
  #isIntact(secret: Secret, wanted: WantedSecret): boolean {
    const owner = { uid: wanted.owner.uid, shares: wanted.shares };
    const record = verifyRecord(secret, owner, this.#options.now());
    return record?.contentHash === wanted.annotations[ANNOTATION_CONTENT_HASH];
  }

  /** An immutable Secret of ours is replaced, since it cannot be changed; any other refusal is passed on. */
  async #removeImmutable(secret: Secret, error: unknown, options: CallOptions): Promise<void> {
    const { uid, resourceVersion } = secret.metadata;
    if (secret.immutable !== true || uid === undefined || resourceVersion === undefined) {
      rethrow(error);
    }
    this.#options.assertLeading();
    const key = { namespace: secret.metadata.namespace ?? '', name: secret.metadata.name };
    await this.#options.api.deleteSecret(key, { uid, resourceVersion }, options);
  }
}

/** The Secret may still be written, and as what it was when the write was computed. */
function assertWritable(metadata: ObjectMeta, wanted: WantedSecret): void {
  const refusal = metadataRefusal(metadata, wanted.owner, wanted);
  if (refusal !== undefined) {
    throw refusal;
  }
  assertSameKind(isShared(ownership(metadata, wanted.owner)), wanted);
}

function assertSameKind(isSharedNow: boolean, wanted: WantedSecret): void {
  if (isSharedNow !== wanted.shares) {
    throw new CredentialError(
      'KubernetesConflict',
      `Secret "${wanted.name}" was handed over, taken back or replaced while it was being written; the credential is kept in memory for the next try.`,
    );
  }
}

/** Why the API server found a Secret wrong that is somebody else's, as far as it can be told: that is never deleted. */
function assertNotShared(secret: Secret, wanted: WantedSecret): void {
  if (!wanted.shares) {
    return;
  }
  const refusal = secretRefusal(secret, wanted.owner, wanted);
  if (refusal !== undefined) {
    throw refusal;
  }
  const sizeOf = (values: readonly string[]): number =>
    values.reduce((bytes, value) => bytes + Buffer.byteLength(value, 'base64'), 0);
  const theirs = Object.entries(secret.data ?? {}).filter(([key]) => !Object.hasOwn(wanted.data, key));
  const theirBytes = sizeOf(theirs.map(([, value]) => value));
  const ourBytes = sizeOf(Object.values(wanted.data));
  if (theirBytes + ourBytes > MAX_SECRET_BYTES) {
    throw new CredentialError(
      'SecretWriteDenied',
      `Secret "${wanted.name}" has ${theirBytes} bytes in keys of others, which leaves no room for the ${ourBytes} bytes of this WorkloadCredential: a Secret holds at most ${MAX_SECRET_BYTES}. Move keys of others elsewhere; the credential is kept in memory for the next try.`,
    );
  }
}

function identityOf({ metadata }: { readonly metadata: ObjectMeta }): WrittenSecret {
  return { uid: metadata.uid ?? '', resourceVersion: metadata.resourceVersion ?? '' };
}

function rethrow(error: unknown): never {
  throw error;
}
