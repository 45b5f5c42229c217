// Promises: a KubeApi in memory with the rules that races are made of: revisions, UIDs, 404, 409 for stale and for existing,
// 422 for immutable. A test may answer a call itself, before the work or instead of its answer. Keeps a log of operations.
import fastJSONPatch, { type Operation } from 'fast-json-patch';
import type { JSONPatchOperation, ObjectKey, PartialObjectMetadata, Secret } from '../../src/api/meta.ts';
import type { WorkloadCredential } from '../../src/api/types.gen.ts';
import type { KubeApi, ServiceAccountToken } from '../../src/kube/api.ts';
import { KubeError } from '../../src/kube/errors.ts';

/** A failed call, as client.ts would make it. */
export function kubeError(status: number, operation: string, retryAfterSeconds?: number): KubeError {
  const kind = status === 0 ? 'network' : 'status';
  return new KubeError({ kind, status, reason: 'Made up', operation, detail: 'by a test', retryAfterSeconds });
}

/** A step of a race: runs before the work of the next call of this operation, or after it in place of its answer. */
export interface Step {
  readonly operation: string;
  readonly when: 'before' | 'after';
  readonly what: () => void;
}

export class FakeKubeApi implements KubeApi {
  readonly log: string[] = [];
  secret: Secret | undefined;
  credential: WorkloadCredential | undefined;
  token = '';
  #steps: Step[] = [];
  #revision = 1_000;

  /** Orders a step; each happens once, in order. A step that throws fails the call. */
  next(operation: string, when: Step['when'], what: () => void): void {
    this.#steps.push({ operation, when, what });
  }

  /** Steps that have not happened. */
  get pending(): number {
    return this.#steps.length;
  }

  /** Stores a Secret under a new revision, as anybody may. */
  put(secret: Secret): Secret {
    this.#revision += 1;
    const resourceVersion = String(this.#revision);
    this.secret = { ...secret, metadata: { uid: 'a-secret', ...secret.metadata, resourceVersion } };
    return this.secret;
  }

  #run<T>(operation: string, work: () => T): Promise<T> {
    this.log.push(operation);
    const take = (when: Step['when']): void => {
      const [step] = this.#steps;
      if (step?.operation === operation && step.when === when) {
        this.#steps.shift();
        step.what();
      }
    };
    return Promise.resolve().then(() => {
      take('before');
      const answer = work();
      take('after');
      return answer;
    });
  }

  #existing(operation: string): Secret {
    if (this.secret === undefined) throw kubeError(404, operation);
    return this.secret;
  }

  createServiceAccountToken(): Promise<ServiceAccountToken> {
    return this.#run('create serviceaccounts/token', () => ({ token: this.token, expirationTimestamp: '' }));
  }

  getServiceAccountMetadata(key: ObjectKey): Promise<PartialObjectMetadata> {
    return this.#run('get serviceaccounts', () => ({ metadata: { name: key.name } }));
  }

  getWorkloadCredential(): Promise<WorkloadCredential> {
    return this.#run('get workloadcredentials', () => {
      if (this.credential === undefined) throw kubeError(404, 'get workloadcredentials');
      return this.credential;
    });
  }

  patchWorkloadCredentialStatus(_key: ObjectKey, patch: object): Promise<WorkloadCredential> {
    const operation = 'patch workloadcredentials/status';
    return this.#run(operation, () => {
      const { metadata, status } = patch as Pick<WorkloadCredential, 'metadata' | 'status'>;
      const { credential } = this;
      if (credential === undefined) throw kubeError(404, operation);
      if (metadata.resourceVersion !== credential.metadata.resourceVersion) throw kubeError(409, operation);
      this.#revision += 1;
      const next = { ...credential.metadata, resourceVersion: String(this.#revision) };
      const merged = Object.entries({ ...credential.status, ...status });
      // A merge patch takes away what it names as null (RFC 7396).
      const kept = Object.fromEntries(merged.filter(([, value]) => value !== null));
      this.credential = { ...credential, metadata: next, status: kept };
      return this.credential;
    });
  }

  getSecret(): Promise<Secret> {
    return this.#run('get secrets', () => this.#existing('get secrets'));
  }

  getSecretMetadata(): Promise<PartialObjectMetadata> {
    return this.#run('get secrets metadata', () => ({ metadata: this.#existing('get secrets').metadata }));
  }

  createSecret(_namespace: string, secret: Secret): Promise<PartialObjectMetadata> {
    return this.#run('create secrets', () => {
      if (this.secret !== undefined) throw kubeError(409, 'create secrets');
      return { metadata: this.put(secret).metadata };
    });
  }

  patchSecret(_key: ObjectKey, operations: readonly JSONPatchOperation[]): Promise<PartialObjectMetadata> {
    return this.#run('patch secrets', () => {
      const existing = this.#existing('patch secrets');
      const copy = structuredClone(existing);
      const patched = fastJSONPatch.applyPatch(copy, structuredClone(operations) as Operation[]).newDocument;
      if (patched.metadata.resourceVersion !== existing.metadata.resourceVersion) throw kubeError(409, 'patch secrets');
      if (existing.immutable === true) throw kubeError(422, 'patch secrets');
      return { metadata: this.put(patched).metadata };
    });
  }

  deleteSecret(
    _key: ObjectKey,
    preconditions: { readonly uid: string; readonly resourceVersion: string },
  ): Promise<void> {
    return this.#run('delete secrets', () => {
      const { metadata } = this.#existing('delete secrets');
      const { uid, resourceVersion } = preconditions;
      if (metadata.uid !== uid || metadata.resourceVersion !== resourceVersion) throw kubeError(409, 'delete secrets');
      this.secret = undefined;
    });
  }
}
