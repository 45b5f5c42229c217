// Promises: WorkloadCredentials, their Secrets and what is observed of them, as valid as the API server would hold them,
// so that a test names only what it is about. Pure: no time but T0, no chance.
import type { PartialObjectMetadata, Secret } from '../../src/api/meta.ts';
import { ANNOTATION_ADOPT, ANNOTATION_ALLOW, LABEL_NAME } from '../../src/api/names.ts';
import { resolve } from '../../src/api/resolve.ts';
import type { ResolvedCredential } from '../../src/api/resolved.ts';
import type { WorkloadCredential, WorkloadCredentialSpec, WorkloadCredentialStatus } from '../../src/api/types.gen.ts';
import { type Credential, SecretText } from '../../src/credential/credentials.ts';
import { isErrorCode } from '../../src/credential/errors.ts';
import { renderHash, requestHash } from '../../src/credential/hashes.ts';
import { renderInputs, requestInputs } from '../../src/credential/inputs.ts';
import type { KeyMemory, Observed, SecretView, Settings } from '../../src/credential/observed.ts';
import { formatTime } from '../../src/credential/record.ts';
import { paceOf } from '../../src/credential/schedule.ts';
import { readParts, renderData } from '../../src/render/formats.ts';
import { newSecret, wantSecret } from '../../src/render/secret.ts';

/** 2026-11-22T12:00:00Z, in milliseconds since the epoch: when credentials of builders are issued. */
export const T0 = Date.UTC(2026, 10, 22, 12);
export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;

export const NAMESPACE = 'shop';
export const NAME = 'orders';
export const UID = '5b0c3a5e-0001-4000-8000-000000000001';
export const FORMER_UID = '5b0c3a5e-0001-4000-8000-00000000dead';
export const SECRET_UID = '5b0c3a5e-0002-4000-8000-000000000002';
export const ROLE_ARN = 'arn:aws:iam::123456789012:role/orders';

/** Parts as AWS makes them. None is real. */
export const PARTS = {
  accessKeyID: 'ASIAQWERTYUIOP123456',
  secretAccessKey: 'secretaccesskey/of+the=test0123456789abc',
  sessionToken: 'FwoGZXIvYXdzE_session.token-of-the/test+0123456789==',
} as const;

export const SETTINGS: Settings = { requireConsent: true, minRefreshIntervalSeconds: 60 };
export const DOMAINS = ['app.kubernetes.io'] as const;

/** What may be different in a WorkloadCredential. */
export interface CredentialChange {
  readonly spec?: Partial<WorkloadCredentialSpec>;
  readonly status?: WorkloadCredentialStatus | undefined;
  readonly generation?: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly name?: string;
}

/** A WorkloadCredential for AWS. */
export function aCredential(change: CredentialChange = {}): WorkloadCredential {
  return {
    apiVersion: 'workloadcredentials.io/v1alpha1',
    kind: 'WorkloadCredential',
    metadata: {
      name: change.name ?? NAME,
      namespace: NAMESPACE,
      uid: UID,
      resourceVersion: '100',
      generation: change.generation ?? 1,
      creationTimestamp: formatTime(T0 - MINUTE),
      ...(change.annotations === undefined ? {} : { annotations: change.annotations }),
    },
    spec: {
      serviceAccountName: NAME,
      aws: { roleARN: ROLE_ARN, region: 'eu-west-1' },
      ...change.spec,
    },
    ...(change.status === undefined ? {} : { status: change.status }),
  };
}

/** Its spec, resolved; fails where it does not resolve. */
export function aResolved(spec: Partial<WorkloadCredentialSpec> = {}): ResolvedCredential {
  const { resolved, violation } = resolve(aCredential({ spec }), DOMAINS);
  if (resolved === undefined) {
    throw new Error(violation.message);
  }
  return resolved;
}

/** What may be different in the Secret of a WorkloadCredential. */
export interface SecretChange {
  readonly spec?: Partial<WorkloadCredentialSpec>;
  readonly issueTimeMs?: number;
  readonly lifeMs?: number;
  readonly ownerUID?: string;
  readonly refreshHandled?: string;
  readonly requestHash?: string;
  readonly renderHash?: string;
  /** It was handed over; what its owner has in it is for the test to add. */
  readonly shares?: boolean;
}

/** The Secret that the operator writes for it, as the API server then holds it. */
export function aSecret(change: SecretChange = {}): Secret {
  const resolved = aResolved(change.spec);
  const issueTimeMs = change.issueTimeMs ?? T0;
  const issueTime = formatTime(issueTimeMs);
  const expirationTime = formatTime(issueTimeMs + (change.lifeMs ?? HOUR));
  const parts = { ...PARTS, issueTime, expiration: expirationTime };
  const wanted = wantSecret({
    namespace: NAMESPACE,
    name: NAME,
    uid: change.ownerUID ?? UID,
    resolved,
    shares: change.shares ?? false,
    data: { plain: renderData(resolved.exchange, resolved.secret, parts) },
    issueTime,
    expirationTime,
    requestHash: change.requestHash ?? requestHash(requestInputs(resolved)),
    renderHash: change.renderHash ?? renderHash(renderInputs(resolved)),
    refreshHandled: change.refreshHandled,
  });
  return withMetadata(newSecret(wanted), { uid: SECRET_UID, resourceVersion: '200' });
}

/** A Secret that its owner hands over, with a key of its own. */
export function anOffered(change: Partial<Secret> = {}): Secret {
  return {
    type: 'Opaque',
    metadata: {
      name: NAME,
      namespace: NAMESPACE,
      uid: SECRET_UID,
      resourceVersion: '150',
      labels: { [LABEL_NAME]: NAME, 'example.com/theirs': 'stays' },
      annotations: { [ANNOTATION_ADOPT]: NAME },
    },
    data: { theirs: 'dGhlaXJz' },
    ...change,
  };
}

/** A Secret that was handed over and taken, as the API server then holds it. */
export function anAdopted(change: SecretChange = {}): Secret {
  const offered = anOffered();
  const written = unowned(aSecret({ ...change, shares: true }));
  const { labels, annotations } = written.metadata;
  return {
    ...withMetadata(written, {
      labels: { ...offered.metadata.labels, ...labels },
      annotations: { ...offered.metadata.annotations, ...annotations },
    }),
    data: { ...offered.data, ...written.data },
  };
}

/** A Secret with other metadata. */
export function withMetadata(secret: Secret, metadata: Partial<Secret['metadata']>): Secret {
  return { ...secret, metadata: { ...secret.metadata, ...metadata } };
}

/** A Secret with other annotations; an undefined one is left out. */
export function withAnnotations(secret: Secret, change: Readonly<Record<string, string | undefined>>): Secret {
  const annotations = Object.entries({ ...secret.metadata.annotations, ...change });
  const kept = annotations.filter((entry): entry is [string, string] => entry[1] !== undefined);
  return withMetadata(secret, { annotations: Object.fromEntries(kept) });
}

/** A Secret without the owner reference, as Retain writes it. */
export function unowned(secret: Secret): Secret {
  const { ownerReferences: _gone, ...metadata } = secret.metadata;
  return { ...secret, metadata };
}

/** The status that follows a good issue at T0 for an hour. */
export function aStatus(change: Partial<WorkloadCredentialStatus> = {}): WorkloadCredentialStatus {
  const issued = {
    status: 'True' as const,
    reason: 'Issued',
    lastTransitionTime: formatTime(T0),
    observedGeneration: 1,
  };
  return {
    observedGeneration: 1,
    conditions: [
      { type: 'Ready', message: 'Ready.', ...issued },
      { type: 'Refreshed', message: 'Refreshed.', ...issued },
    ],
    secret: { name: NAME, uid: SECRET_UID, resourceVersion: '200' },
    cloud: 'AWS',
    role: ROLE_ARN,
    accessKeyID: PARTS.accessKeyID,
    issueTime: formatTime(T0),
    expirationTime: formatTime(T0 + HOUR),
    refreshTime: formatTime(T0 + 40 * MINUTE),
    consecutiveFailures: 0,
    ...change,
  };
}

/** A status after failures: the last of `count` at `timeMs`. */
export function aFailedStatus(
  reason: string,
  change: Partial<WorkloadCredentialStatus> & { readonly count?: number; readonly timeMs?: number } = {},
): WorkloadCredentialStatus {
  const { count = 1, timeMs = T0, ...status } = change;
  const pace = isErrorCode(reason) ? paceOf(reason) : undefined;
  return {
    observedGeneration: 1,
    consecutiveFailures: count,
    ...(pace === undefined ? {} : { failuresByClass: { [pace]: count } }),
    lastFailure: { time: formatTime(timeMs), reason, message: `${reason}.` },
    ...status,
  };
}

/** The ServiceAccount, which consents unless told otherwise. */
export function aServiceAccount(allow: string | undefined = NAME): PartialObjectMetadata {
  const annotations = allow === '' ? {} : { [ANNOTATION_ALLOW]: allow };
  return { metadata: { name: NAME, namespace: NAMESPACE, uid: 'service-account', annotations } };
}

/** A credential that was accepted from STS. */
export function anIssued(change: Partial<Credential> = {}): Credential {
  return {
    accessKeyID: PARTS.accessKeyID,
    secretAccessKey: new SecretText(PARTS.secretAccessKey),
    sessionToken: new SecretText(PARTS.sessionToken),
    issueTimeMs: T0,
    expirationTimeMs: T0 + HOUR,
    identity: undefined,
    requestID: undefined,
    ...change,
  };
}

/** A Secret as it stands in the cache. */
export function cached(secret: Secret): SecretView {
  return { kind: 'cached', metadata: secret.metadata };
}

/** A Secret as a GET has just told it. */
export function live(secret: Secret): SecretView {
  return { kind: 'live', secret };
}

/** What may be different in what is observed. */
export interface ObservedChange extends CredentialChange {
  readonly secret?: SecretView;
  readonly serviceAccount?: PartialObjectMetadata | undefined;
  readonly contender?: string;
  readonly endpointRefusal?: Observed['endpointRefusal'];
  readonly memory?: KeyMemory;
}

/** What is observed of a WorkloadCredential whose Secret is in the cache as it was last written. */
export function anObserved(change: ObservedChange = {}): Observed {
  const credential = aCredential({ ...change, status: 'status' in change ? change.status : aStatus() });
  const { resolved, violation } = resolve(credential, DOMAINS);
  return {
    credential,
    uid: UID,
    namespace: NAMESPACE,
    resolved,
    violation,
    requestHash: resolved === undefined ? '' : requestHash(requestInputs(resolved)),
    renderHash: resolved === undefined ? '' : renderHash(renderInputs(resolved)),
    serviceAccount: 'serviceAccount' in change ? change.serviceAccount : aServiceAccount(),
    contender: change.contender,
    endpointRefusal: change.endpointRefusal,
    secret: change.secret ?? cached(aSecret()),
    memory: change.memory ?? {},
  };
}

/** The credential's parts in a Secret, read the way a re-render does. */
export function partsIn(secret: Secret): ReturnType<typeof readParts> {
  const plain = Object.entries(secret.data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]);
  return readParts(aResolved().exchange, Object.fromEntries(plain), { issueTime: '', expiration: '' });
}
