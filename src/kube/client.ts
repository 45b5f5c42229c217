// Promises: KubeApi, LeaseApi, EventApi and FenceApi over client-node's typed APIs. They build paths and bodies; sending is ours
// (their `httpApi` seam), and answers stay as they are on the wire: their deserializer would make Dates of times. Every
// failure is a KubeError. May not retry, and may not keep or log what is in a Secret.
import {
  CoordinationV1Api,
  CoreV1Api,
  createConfiguration,
  CustomObjectsApi,
  EventsV1Api,
  type EventsV1Event,
  type HttpLibrary,
  type RequestContext,
  ResponseContext,
  ServerConfiguration,
  type V1Lease,
  type V1Secret,
  wrapHttpLibrary,
} from '@kubernetes/client-node';
import type { JSONPatchOperation, KubeEvent, Lease, ObjectKey, PartialObjectMetadata, Secret } from '../api/meta.ts';
import { FENCE_PROBE, FIELD_MANAGER, GROUP, KIND, PLURAL, VERSION } from '../api/names.ts';
import type { WorkloadCredential } from '../api/types.gen.ts';
import type { Clock } from '../runtime/clock.ts';
import type { CallOptions, EventApi, FenceApi, KubeApi, LeaseApi, ServiceAccountToken } from './api.ts';
import { type Call, call } from './call.ts';
import type { ApiServer } from './connection.ts';
import { isRecord, malformedError } from './failures.ts';
import {
  JSON_MEDIA_TYPE,
  JSON_PATCH_MEDIA_TYPE,
  MERGE_PATCH_MEDIA_TYPE,
  PARTIAL_OBJECT_METADATA,
} from './media-types.ts';

/** What kubeClient needs. */
export interface ClientOptions {
  readonly server: ApiServer;
  readonly clock: Clock;
}

/** What differs from call to call besides path and body. */
interface CallShape {
  /** Such as "patch secrets". */
  readonly operation: string;
  readonly accept?: string;
  readonly contentType?: string;
  /** What an error may not repeat. */
  readonly secrets?: () => readonly string[];
}

/** client-node's per-call options, as far as they are ours. */
interface TypedCallOptions {
  readonly httpApi: HttpLibrary;
}

/** What client-node gets back: it must find a body to parse, and finds an empty one. */
const EMPTY_ANSWER = new ResponseContext(
  200,
  { 'content-type': JSON_MEDIA_TYPE },
  { text: () => Promise.resolve('{}'), binary: () => Promise.resolve(Buffer.alloc(0)), stream: () => null },
);

/** No Kubernetes name can be these; in a path they would name another resource. */
function checkNames(key: ObjectKey, operation: string): void {
  for (const name of [key.namespace, key.name]) {
    if (name === '' || name === '.' || name === '..') {
      throw malformedError(operation, `${JSON.stringify(name)} cannot be a name or namespace`);
    }
  }
}

/** The data of a Secret as we send it and as it reads, for finding either in an error message. */
function secretTexts(value: unknown): string[] {
  if (typeof value === 'string') return [value, Buffer.from(value, 'base64').toString('utf8')];
  if (isRecord(value)) return Object.values(value).flatMap(secretTexts);
  return [];
}

function patchedData(operations: readonly JSONPatchOperation[]): readonly string[] {
  return operations.flatMap((operation) =>
    'value' in operation && /^\/(data|stringData)(\/|$)/.test(operation.path) ? secretTexts(operation.value) : [],
  );
}

class KubeClient implements KubeApi, LeaseApi, EventApi, FenceApi {
  readonly #options: ClientOptions;
  readonly #core: CoreV1Api;
  readonly #custom: CustomObjectsApi;
  readonly #coordination: CoordinationV1Api;
  readonly #events: EventsV1Api;

  constructor(options: ClientOptions) {
    this.#options = options;
    // Without a per-call library nothing can be sent, so no call can go past #call.
    const configuration = createConfiguration({
      baseServer: new ServerConfiguration(options.server.server.href.replace(/\/$/, ''), {}),
      httpApi: wrapHttpLibrary({ send: () => Promise.reject(new Error('a call without its library')) }),
    });
    this.#core = new CoreV1Api(configuration);
    this.#custom = new CustomObjectsApi(configuration);
    this.#coordination = new CoordinationV1Api(configuration);
    this.#events = new EventsV1Api(configuration);
  }

  async createServiceAccountToken(
    key: ObjectKey,
    request: { readonly audience: string; readonly expirationSeconds: number },
    options: CallOptions,
  ): Promise<ServiceAccountToken> {
    const shape = { operation: 'create serviceaccounts/token' };
    checkNames(key, shape.operation);
    const spec = { audiences: [request.audience], expirationSeconds: request.expirationSeconds };
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec };
    const answer = await this.#call(shape, options, (typed) =>
      this.#core.createNamespacedServiceAccountToken({ ...key, body, fieldManager: FIELD_MANAGER }, typed),
    );
    const status = isRecord(answer) && isRecord(answer['status']) ? answer['status'] : {};
    const { token, expirationTimestamp } = status;
    if (typeof token !== 'string' || token === '' || typeof expirationTimestamp !== 'string') {
      throw malformedError(shape.operation, 'the answer has no status.token or status.expirationTimestamp');
    }
    return { token, expirationTimestamp };
  }

  async getWorkloadCredential(key: ObjectKey, options: CallOptions): Promise<WorkloadCredential> {
    const shape = { operation: 'get workloadcredentials' };
    checkNames(key, shape.operation);
    return this.#object<WorkloadCredential>(shape, options, (typed) =>
      this.#custom.getNamespacedCustomObject({ ...key, group: GROUP, version: VERSION, plural: PLURAL }, typed),
    );
  }

  async patchWorkloadCredentialStatus(
    key: ObjectKey,
    patch: object,
    options: CallOptions,
  ): Promise<PartialObjectMetadata> {
    const operation = 'patch workloadcredentials/status';
    const shape = { operation, accept: PARTIAL_OBJECT_METADATA, contentType: MERGE_PATCH_MEDIA_TYPE };
    checkNames(key, shape.operation);
    const where = { ...key, group: GROUP, version: VERSION, plural: PLURAL };
    return this.#metadata(shape, options, (typed) =>
      this.#custom.patchNamespacedCustomObjectStatus({ ...where, body: patch, fieldManager: FIELD_MANAGER }, typed),
    );
  }

  async getServiceAccountMetadata(key: ObjectKey, options: CallOptions): Promise<PartialObjectMetadata> {
    const shape = { operation: 'get serviceaccounts', accept: PARTIAL_OBJECT_METADATA };
    checkNames(key, shape.operation);
    return this.#metadata(shape, options, (typed) => this.#core.readNamespacedServiceAccount(key, typed));
  }

  async getSecret(key: ObjectKey, options: CallOptions): Promise<Secret> {
    const shape = { operation: 'get secrets' };
    checkNames(key, shape.operation);
    return this.#object<Secret>(shape, options, (typed) => this.#core.readNamespacedSecret(key, typed));
  }

  async getSecretMetadata(key: ObjectKey, options: CallOptions): Promise<PartialObjectMetadata> {
    const shape = { operation: 'get secrets', accept: PARTIAL_OBJECT_METADATA };
    checkNames(key, shape.operation);
    return this.#metadata(shape, options, (typed) => this.#core.readNamespacedSecret(key, typed));
  }

  async createSecret(namespace: string, secret: Secret, options: CallOptions): Promise<PartialObjectMetadata> {
    const secrets = (): readonly string[] => secretTexts(secret.data);
    const shape = { operation: 'create secrets', accept: PARTIAL_OBJECT_METADATA, secrets };
    checkNames({ namespace, name: secret.metadata.name }, shape.operation);
    // client-node's models say Date where the wire, and our types, say string; its serializer passes strings on.
    const body = { apiVersion: 'v1', kind: 'Secret', ...secret } as unknown as V1Secret;
    return this.#metadata(shape, options, (typed) =>
      this.#core.createNamespacedSecret({ namespace, body, fieldManager: FIELD_MANAGER }, typed),
    );
  }

  async patchSecret(
    key: ObjectKey,
    operations: readonly JSONPatchOperation[],
    options: CallOptions,
  ): Promise<PartialObjectMetadata> {
    const secrets = (): readonly string[] => patchedData(operations);
    const contentType = JSON_PATCH_MEDIA_TYPE;
    const shape = { operation: 'patch secrets', accept: PARTIAL_OBJECT_METADATA, contentType, secrets };
    checkNames(key, shape.operation);
    return this.#metadata(shape, options, (typed) =>
      this.#core.patchNamespacedSecret({ ...key, body: operations, fieldManager: FIELD_MANAGER }, typed),
    );
  }

  async deleteSecret(
    key: ObjectKey,
    preconditions: { readonly uid: string; readonly resourceVersion: string },
    options: CallOptions,
  ): Promise<void> {
    const shape = { operation: 'delete secrets', accept: PARTIAL_OBJECT_METADATA };
    checkNames(key, shape.operation);
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { ...preconditions } };
    await this.#call(shape, options, (typed) => this.#core.deleteNamespacedSecret({ ...key, body }, typed));
  }

  async getLease(key: ObjectKey, options: CallOptions): Promise<Lease> {
    const shape = { operation: 'get leases' };
    checkNames(key, shape.operation);
    return this.#object<Lease>(shape, options, (typed) => this.#coordination.readNamespacedLease(key, typed));
  }

  async createLease(namespace: string, lease: Lease, options: CallOptions): Promise<Lease> {
    const shape = { operation: 'create leases' };
    checkNames({ namespace, name: lease.metadata.name }, shape.operation);
    const body = toWireLease(lease);
    return this.#object<Lease>(shape, options, (typed) =>
      this.#coordination.createNamespacedLease({ namespace, body, fieldManager: FIELD_MANAGER }, typed),
    );
  }

  async replaceLease(key: ObjectKey, lease: Lease, options: CallOptions): Promise<Lease> {
    const shape = { operation: 'update leases' };
    checkNames(key, shape.operation);
    const body = toWireLease(lease);
    return this.#object<Lease>(shape, options, (typed) =>
      this.#coordination.replaceNamespacedLease({ ...key, body, fieldManager: FIELD_MANAGER }, typed),
    );
  }

  async createEvent(namespace: string, event: KubeEvent, options: CallOptions): Promise<KubeEvent> {
    const shape = { operation: 'create events' };
    checkNames({ namespace, name: event.metadata.name }, shape.operation);
    const body = { apiVersion: 'events.k8s.io/v1', kind: 'Event', ...event } as unknown as EventsV1Event;
    return this.#object<KubeEvent>(shape, options, (typed) =>
      this.#events.createNamespacedEvent({ namespace, body, fieldManager: FIELD_MANAGER }, typed),
    );
  }

  async patchEvent(key: ObjectKey, patch: object, options: CallOptions): Promise<KubeEvent> {
    const shape = { operation: 'patch events', contentType: MERGE_PATCH_MEDIA_TYPE };
    checkNames(key, shape.operation);
    return this.#object<KubeEvent>(shape, options, (typed) =>
      this.#events.patchNamespacedEvent({ ...key, body: patch, fieldManager: FIELD_MANAGER }, typed),
    );
  }

  async tryForeignSecret(namespace: string, options: CallOptions): Promise<void> {
    const shape = { operation: 'create secrets (dry run)', accept: PARTIAL_OBJECT_METADATA };
    checkNames({ namespace, name: FENCE_PROBE }, shape.operation);
    // A fixed name could be taken by somebody, and the answer would be about that.
    const metadata = { generateName: `${FENCE_PROBE}-` };
    const body: V1Secret = { apiVersion: 'v1', kind: 'Secret', type: 'Opaque', metadata };
    const how = { namespace, body, dryRun: 'All', fieldManager: FENCE_PROBE };
    await this.#call(shape, options, (typed) => this.#core.createNamespacedSecret(how, typed));
  }

  async tryBoundToken(key: ObjectKey, audience: string, options: CallOptions): Promise<void> {
    const shape = { operation: 'create serviceaccounts/token (probe)' };
    checkNames(key, shape.operation);
    const boundObjectRef = { apiVersion: `${GROUP}/${VERSION}`, kind: KIND, name: FENCE_PROBE };
    const spec = { audiences: [audience], expirationSeconds: 600, boundObjectRef };
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec };
    const how = { ...key, body, fieldManager: FENCE_PROBE };
    await this.#call(shape, options, (typed) => this.#core.createNamespacedServiceAccountToken(how, typed));
  }

  /** client-node makes the request; its library, made for this one call, sends it and keeps the answer. */
  async #call(
    shape: CallShape,
    options: CallOptions,
    typedCall: (typed: TypedCallOptions) => Promise<unknown>,
  ): Promise<unknown> {
    let answer: unknown;
    const send = async (context: RequestContext): Promise<ResponseContext> => {
      answer = await call(this.#options.server, this.#options.clock, toCall(shape, options, context));
      return EMPTY_ANSWER;
    };
    await typedCall({ httpApi: wrapHttpLibrary({ send }) });
    return answer;
  }

  /** T is what the API promises for the path; that the answer is an object with a name is checked. */
  async #object<T>(
    shape: CallShape,
    options: CallOptions,
    typedCall: (typed: TypedCallOptions) => Promise<unknown>,
  ): Promise<T> {
    const answer = await this.#call(shape, options, typedCall);
    const metadata = isRecord(answer) ? answer['metadata'] : undefined;
    if (!isRecord(metadata) || typeof metadata['name'] !== 'string') {
      throw malformedError(shape.operation, 'the answer is not an object with metadata.name');
    }
    return answer as T;
  }

  /** Only the metadata gets past here, also when a server ignored what was asked for. */
  async #metadata(
    shape: CallShape,
    options: CallOptions,
    typedCall: (typed: TypedCallOptions) => Promise<unknown>,
  ): Promise<PartialObjectMetadata> {
    const answer = await this.#object<PartialObjectMetadata>(shape, options, typedCall);
    return { apiVersion: 'meta.k8s.io/v1', kind: 'PartialObjectMetadata', metadata: answer.metadata };
  }
}

function toWireLease(lease: Lease): V1Lease {
  return { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', ...lease } as unknown as V1Lease;
}

function toCall(shape: CallShape, options: CallOptions, context: RequestContext): Call {
  const body = context.getBody();
  return {
    operation: shape.operation,
    method: context.getHttpMethod(),
    url: context.getUrl(),
    accept: shape.accept ?? JSON_MEDIA_TYPE,
    signal: options.signal,
    secrets: shape.secrets ?? noSecrets,
    ...(typeof body === 'string' ? { body, contentType: shape.contentType ?? JSON_MEDIA_TYPE } : {}),
  };
}

function noSecrets(): readonly string[] {
  return [];
}

/** The calls of the operator. Each has a deadline of its own (call.ts), besides the caller's signal. */
export function kubeClient(options: ClientOptions): KubeApi & LeaseApi & EventApi & FenceApi {
  return new KubeClient(options);
}
