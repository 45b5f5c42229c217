// Promises: gathers what is known of one WorkloadCredential into an Observed: from the caches without any call, or by GET
// where the plan asks for a closer look. The only reader; writes nothing.
import { requestInputs, renderInputs } from '../credential/inputs.ts';
import type { PartialObjectMetadata, Secret } from '../api/meta.ts';
import { ANNOTATION_REFRESH_HANDLED, ANNOTATION_REFRESH_REQUESTED, ANNOTATION_REQUEST_HASH } from '../api/names.ts';
import { resolve, secretNameOf } from '../api/resolve.ts';
import type { Resolution, ResolvedExchange } from '../api/resolved.ts';
import type { WorkloadCredential } from '../api/types.gen.ts';
import { CredentialError } from '../credential/errors.ts';
import { renderHash, requestHash, sameInput } from '../credential/hashes.ts';
import type { KeyMemory, Observed, SecretView } from '../credential/observed.ts';
import { mayBeRead, ownership } from '../credential/ownership.ts';
import type { CallOptions, KubeApi } from '../kube/api.ts';
import { orUndefined } from './failures.ts';
import type { CredentialIndex } from './mappers.ts';

/** What the reconciler needs of an informer. */
export interface Cache<T> {
  get(key: string): T | undefined;
  /** The newest resourceVersion that the namespace's watch has seen. */
  resourceVersion(namespace: string): string | undefined;
}

/** The three caches. */
export interface Caches {
  readonly credentials: Cache<WorkloadCredential>;
  /** Our Secrets, by label, as metadata. */
  readonly secrets: Cache<PartialObjectMetadata>;
  /** As metadata. */
  readonly serviceAccounts: Cache<PartialObjectMetadata>;
}

/** What an observer is made of. */
export interface ObserverOptions {
  readonly caches: Caches;
  readonly index: CredentialIndex;
  readonly api: KubeApi;
  readonly allowedMetadataDomains: readonly string[];
  /** The provider's check of endpoint and audience; throws a CredentialError. */
  readonly checkEndpoint: (exchange: ResolvedExchange) => void;
}

/** A resource and what is known of its Secret. */
export interface Sight {
  readonly credential: WorkloadCredential;
  readonly secret: SecretView;
  /** Read by GET just now; undefined: what the cache says counts. */
  readonly serviceAccount?: PartialObjectMetadata;
}

/** What follows from a resource's name and spec alone. */
interface SpecReading {
  /** The spec that was read, as JSON: compared by value, since after a restored etcd a generation may come twice. */
  readonly specText: string;
  readonly resolution: Resolution;
  readonly requestHash: string;
  readonly renderHash: string;
  readonly endpointRefusal: CredentialError | undefined;
}

/** Reads the world. */
export class Observer {
  readonly #options: ObserverOptions;
  /** By key: a refresh wakes its key several times, and reading a spec costs more than all else of a look at the caches. */
  readonly #readings = new Map<string, SpecReading>();

  constructor(options: ObserverOptions) {
    this.#options = options;
  }

  /** What the caches know; undefined when there is nothing to do for the key: it is gone or going. */
  cached(key: string): Sight | undefined {
    const credential = this.#options.caches.credentials.get(key);
    if (credential === undefined || isGoing(credential)) {
      this.#readings.delete(key);
      return undefined;
    }
    const namespace = credential.metadata.namespace ?? '';
    const metadata = this.#options.caches.secrets.get(`${namespace}/${secretNameOf(credential)}`)?.metadata;
    return {
      credential,
      secret: metadata === undefined ? { kind: 'absent', confirmed: false } : { kind: 'cached', metadata },
    };
  }

  /**
   * What the API server knows, by a GET of the Secret and, unless it was only the Secret's content that was in doubt, of
   * the resource.
   * @returns undefined when the resource is gone, going, or another one by now.
   * @throws KubeError
   */
  async look(sight: Sight, at: 'absence' | 'content', options: CallOptions): Promise<Sight | undefined> {
    const credential = at === 'absence' ? await this.#liveCredential(sight.credential, options) : sight.credential;
    if (credential === undefined) {
      return undefined;
    }
    const secret = await this.#liveSecret(credential, at, options);
    return at === 'content' && this.#asksForMore(credential, secret)
      ? await this.look(sight, 'absence', options)
      : { ...sight, credential, secret };
  }

  /**
   * A ServiceAccount that was applied together with the resource may reach its cache later: absent from the cache is not
   * absent.
   * @returns undefined when the API server has none either.
   * @throws KubeError
   */
  async lookForServiceAccount(sight: Sight, options: CallOptions): Promise<Sight | undefined> {
    const { metadata, spec } = sight.credential;
    const key = { namespace: metadata.namespace ?? '', name: spec.serviceAccountName };
    const serviceAccount = await orUndefined(this.#options.api.getServiceAccountMetadata(key, options));
    return serviceAccount === undefined ? undefined : { ...sight, serviceAccount };
  }

  /** The whole picture that the plan judges. */
  observe({ credential, secret, serviceAccount: seen }: Sight, memory: KeyMemory): Observed {
    const namespace = credential.metadata.namespace ?? '';
    const uid = credential.metadata.uid ?? '';
    const reading = this.#read(credential);
    const { resolved, violation } = reading.resolution;
    const serviceAccount =
      seen ?? (resolved && this.#options.caches.serviceAccounts.get(`${namespace}/${resolved.serviceAccountName}`));
    return {
      credential,
      uid,
      namespace,
      resolved,
      violation,
      requestHash: reading.requestHash,
      renderHash: reading.renderHash,
      serviceAccount,
      contender: this.#options.index.contenderOf(`${namespace}/${credential.metadata.name}`),
      endpointRefusal: reading.endpointRefusal,
      secret,
      memory,
    };
  }

  #read(credential: WorkloadCredential): SpecReading {
    const key = `${credential.metadata.namespace ?? ''}/${credential.metadata.name}`;
    const specText = JSON.stringify(credential.spec);
    const known = this.#readings.get(key);
    if (known?.specText === specText) {
      return known;
    }
    const resolution = resolve(credential, this.#options.allowedMetadataDomains);
    const { resolved } = resolution;
    const reading: SpecReading = {
      specText,
      resolution,
      requestHash: resolved === undefined ? '' : requestHash(requestInputs(resolved)),
      renderHash: resolved === undefined ? '' : renderHash(renderInputs(resolved)),
      endpointRefusal: resolved === undefined ? undefined : this.#endpointRefusal(resolved.exchange),
    };
    this.#readings.set(key, reading);
    return reading;
  }

  /**
   * Whether the cached resource asks for an exchange that the live Secret knows nothing of. After etcd was restored the
   * cache may still hold what was lost: a request that was lost must not be honoured, or the restored resource would ask
   * for another exchange. Revisions cannot tell, since the new ones overlap with the lost ones.
   */
  #asksForMore(credential: WorkloadCredential, secret: SecretView): boolean {
    if (secret.kind !== 'live') {
      return false;
    }
    const requested = credential.metadata.annotations?.[ANNOTATION_REFRESH_REQUESTED];
    const told = secret.secret.metadata.annotations ?? {};
    return (
      (requested !== undefined && requested !== told[ANNOTATION_REFRESH_HANDLED]) ||
      !sameInput(told[ANNOTATION_REQUEST_HASH], this.#read(credential).requestHash)
    );
  }

  #endpointRefusal(exchange: ResolvedExchange): CredentialError | undefined {
    try {
      this.#options.checkEndpoint(exchange);
      return undefined;
    } catch (error) {
      if (error instanceof CredentialError) {
        return error;
      }
      throw error;
    }
  }

  async #liveCredential(
    { metadata }: WorkloadCredential,
    options: CallOptions,
  ): Promise<WorkloadCredential | undefined> {
    const key = { namespace: metadata.namespace ?? '', name: metadata.name };
    const live = await orUndefined(this.#options.api.getWorkloadCredential(key, options));
    return live === undefined || live.metadata.uid !== metadata.uid || isGoing(live) ? undefined : live;
  }

  /** A Secret that is neither ours nor handed over is never read whole: its data are nobody's business but its owner's. */
  async #liveSecret(
    credential: WorkloadCredential,
    at: 'absence' | 'content',
    options: CallOptions,
  ): Promise<SecretView> {
    const { api } = this.#options;
    const key = { namespace: credential.metadata.namespace ?? '', name: secretNameOf(credential) };
    const isOpen = (metadata: PartialObjectMetadata['metadata']): boolean =>
      mayBeRead(ownership(metadata, { name: credential.metadata.name, uid: credential.metadata.uid ?? '' }));
    const whole = async (): Promise<SecretView> => {
      const secret = await orUndefined(api.getSecret(key, options));
      if (secret === undefined) {
        return { kind: 'absent', confirmed: false };
      }
      // It may have been taken back, or another one may stand there, since its metadata were read.
      const bare: Secret = { metadata: secret.metadata };
      return { kind: 'live', secret: isOpen(secret.metadata) ? secret : bare };
    };
    const known = this.#options.caches.secrets.get(`${key.namespace}/${key.name}`)?.metadata;
    if (at === 'content' && known !== undefined && isOpen(known)) {
      return await whole();
    }
    const partial = await orUndefined(api.getSecretMetadata(key, options));
    if (partial === undefined) {
      return { kind: 'absent', confirmed: at === 'absence' };
    }
    const bare: Secret = { metadata: partial.metadata };
    return isOpen(partial.metadata) ? await whole() : { kind: 'live', secret: bare };
  }
}

/** Somebody deletes it: nothing is issued, written or said any more. */
function isGoing(credential: WorkloadCredential): boolean {
  return credential.metadata.deletionTimestamp !== undefined;
}
