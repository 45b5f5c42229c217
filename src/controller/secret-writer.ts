// Promises: brings a wanted Secret into the API server: POST where there is none, else one JSON Patch with the
// resourceVersion that it was computed from. After a lost answer or a conflict it looks before it writes again. Never
// touches a Secret that is not ours, and never asks STS.
import { ANNOTATION_CONTENT_HASH } from '../api/names.ts';
import type { ObjectMeta, PartialObjectMetadata, Secret } from '../api/meta.ts';
import { CredentialError } from '../credential/errors.ts';
import { ownership } from '../credential/ownership.ts';
import { verifyRecord } from '../credential/record.ts';
import type { CallOptions, KubeApi } from '../kube/api.ts';
import { newSecret, patchOperations, type WantedSecret } from '../render/secret.ts';
import { isConflict, isInvalid, isNotFound, orUndefined } from './failures.ts';

/** A Secret as it was written. */
export interface WrittenSecret {
  readonly uid: string;
  readonly resourceVersion: string;
}

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
   * @param existing the Secret's metadata as last seen; undefined: there is none.
   * @param data `keep` leaves data that are as wanted.
   * @throws CredentialError SecretConflict or SecretTerminating when the Secret turns out not to be ours; KubeError.
   */
  async write(
    wanted: WantedSecret,
    existing: ObjectMeta | undefined,
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
    existing: ObjectMeta | undefined,
    data: 'replace' | 'keep',
    options: CallOptions,
  ): Promise<PartialObjectMetadata> {
    const { api } = this.#options;
    if (existing === undefined) {
      return await api.createSecret(wanted.namespace, newSecret(wanted), options);
    }
    const operations = patchOperations(existing, wanted, data);
    return operations.length === 0
      ? { metadata: existing }
      : await api.patchSecret({ namespace: wanted.namespace, name: wanted.name }, operations, options);
  }

  /** Somebody was faster, or it was we ourselves and the answer was lost, or the Secret cannot be changed at all. */
  async #afterRace(
    wanted: WantedSecret,
    error: unknown,
    options: CallOptions,
  ): Promise<{ readonly done?: WrittenSecret; readonly existing?: ObjectMeta; readonly isIntact?: boolean }> {
    const key = { namespace: wanted.namespace, name: wanted.name };
    const metadata = await orUndefined(this.#options.api.getSecretMetadata(key, options));
    if (metadata === undefined) {
      return isInvalid(error) ? rethrow(error) : {};
    }
    assertOurs(metadata.metadata, wanted);
    const secret = await orUndefined(this.#options.api.getSecret(key, options));
    if (secret === undefined) {
      return {};
    }
    const isIntact = this.#isIntact(secret, wanted);
    if (isIntact && patchOperations(secret.metadata, wanted, 'keep').length === 0) {
      return { done: identityOf(secret) };
    }
    if (isInvalid(error)) {
      await this.#removeImmutable(secret, error, options);
      return {};
    }
    return { existing: secret.metadata, isIntact };
  }

  /** The same content-hash, and data that it covers: what we want to be in it, is. */
  #isIntact(secret: Secret, wanted: WantedSecret): boolean {
    const record = verifyRecord(secret, wanted.owner.uid, this.#options.now());
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

function assertOurs(metadata: ObjectMeta, wanted: WantedSecret): void {
  const whose = ownership(metadata, { name: wanted.owner.name, uid: wanted.owner.uid });
  if (whose === 'foreign') {
    throw new CredentialError(
      'SecretConflict',
      `Secret "${wanted.name}" was created by somebody else meanwhile; it was left alone. Delete or rename it, or create this WorkloadCredential anew with another spec.secret.name.`,
    );
  }
  if (whose === 'collecting') {
    throw new CredentialError(
      'SecretTerminating',
      `Secret "${wanted.name}" is being deleted; the credential is written as soon as it is gone.`,
    );
  }
}

function identityOf({ metadata }: { readonly metadata: ObjectMeta }): WrittenSecret {
  return { uid: metadata.uid ?? '', resourceVersion: metadata.resourceVersion ?? '' };
}

function rethrow(error: unknown): never {
  throw error;
}
