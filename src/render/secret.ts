// Promises: the Secret that a credential is to be, and the smallest JSON Patch that makes an existing Secret so: foreign
// labels, annotations and owner references stay, what we set and no longer want goes; in a Secret that was handed over
// foreign keys of the data stay too. Pure; every patch carries the resourceVersion that it was computed from.
import {
  ANNOTATION_ADOPTER_UID,
  ANNOTATION_CONTENT_HASH,
  ANNOTATION_DATA_KEYS,
  ANNOTATION_EXPIRATION_TIME,
  ANNOTATION_ISSUE_TIME,
  ANNOTATION_METADATA_KEYS,
  ANNOTATION_OWNER_UID,
  ANNOTATION_REFRESH_HANDLED,
  ANNOTATION_RELOADER_IGNORE,
  ANNOTATION_RENDER_HASH,
  ANNOTATION_REQUEST_HASH,
  API_VERSION,
  KIND,
  LABEL_NAME,
  LABEL_VELERO_EXCLUDE,
} from '../api/names.ts';
import type { JSONPatchOperation, ObjectMeta, OwnerReference, Secret } from '../api/meta.ts';
import type { ResolvedCredential } from '../api/resolved.ts';
import { noteOfKeys, type SharedData } from '../credential/adoption.ts';
import { contentHash } from '../credential/hashes.ts';

/** What a Secret is made from. */
export interface SecretInput {
  readonly namespace: string;
  /** The WorkloadCredential's. */
  readonly name: string;
  readonly uid: string;
  readonly resolved: ResolvedCredential;
  /** The Secret is its owner's, who handed it over (isShared in ownership.ts): only keys are written into it. */
  readonly shares: boolean;
  /** Plain values, or those that the Secret has already (base64) when only metadata is repaired. */
  readonly data:
    | { readonly plain: Readonly<Record<string, string>> }
    | { readonly base64: Readonly<Record<string, string>> };
  readonly issueTime: string;
  readonly expirationTime: string;
  readonly requestHash: string;
  readonly renderHash: string;
  readonly refreshHandled: string | undefined;
}

/** The Secret as it is to be: only what is ours of it. An annotation that is undefined is to be absent. */
export interface WantedSecret {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string | undefined>>;
  readonly owner: OwnerReference;
  /** Retain, or somebody else's: our reference is to be absent. */
  readonly owned: boolean;
  /** The Secret is its owner's, who handed it over: it has to exist, and what is not ours in it stays. */
  readonly shares: boolean;
  readonly data: Readonly<Record<string, string>>;
}

/** Computes the wanted Secret. */
export function wantSecret(input: SecretInput): WantedSecret {
  const { resolved, shares } = input;
  const data = 'base64' in input.data ? input.data.base64 : encode(input.data.plain);
  return {
    namespace: input.namespace,
    name: resolved.secret.name,
    labels: {
      ...resolved.secret.labels,
      [LABEL_NAME]: input.name,
      // Whoever owns the Secret decides about its backup.
      ...(shares ? {} : { [LABEL_VELERO_EXCLUDE]: 'true' }),
    },
    annotations: {
      ...resolved.secret.annotations,
      ...(shares ? {} : { [ANNOTATION_RELOADER_IGNORE]: reloaderIgnore(resolved) }),
      [ANNOTATION_METADATA_KEYS]: metadataKeys(resolved),
      ...ownershipNotes(input, data),
      [ANNOTATION_ISSUE_TIME]: input.issueTime,
      [ANNOTATION_EXPIRATION_TIME]: input.expirationTime,
      [ANNOTATION_REQUEST_HASH]: input.requestHash,
      [ANNOTATION_RENDER_HASH]: input.renderHash,
      [ANNOTATION_REFRESH_HANDLED]: input.refreshHandled,
      [ANNOTATION_CONTENT_HASH]: contentHash({
        data,
        issueTime: input.issueTime,
        expirationTime: input.expirationTime,
        requestHash: input.requestHash,
      }),
    },
    owner: {
      apiVersion: API_VERSION,
      kind: KIND,
      name: input.name,
      uid: input.uid,
      controller: true,
      blockOwnerDeletion: false,
    },
    owned: !shares && resolved.secret.deletionPolicy === 'Delete',
    shares,
    data,
  };
}

/** Consumers of variables have to be restarted, those of files must not be. */
function reloaderIgnore({ secret }: ResolvedCredential): 'true' | undefined {
  return secret.formats.includes('Environment') ? undefined : 'true';
}

/** What says that the Secret is ours, or that keys of it are; never both. */
function ownershipNotes(
  { uid, shares }: SecretInput,
  data: Readonly<Record<string, string>>,
): WantedSecret['annotations'] {
  return {
    [ANNOTATION_OWNER_UID]: shares ? undefined : uid,
    [ANNOTATION_ADOPTER_UID]: shares ? uid : undefined,
    [ANNOTATION_DATA_KEYS]: shares ? noteOfKeys(data) : undefined,
  };
}

function encode(plain: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(plain).map(([key, value]) => [key, Buffer.from(value, 'utf8').toString('base64')]),
  );
}

const LABEL_MARK = 'label:';
const ANNOTATION_MARK = 'annotation:';

function metadataKeys(resolved: ResolvedCredential): string | undefined {
  const keys = [
    ...Object.keys(resolved.secret.labels).map((key) => LABEL_MARK + key),
    ...Object.keys(resolved.secret.annotations).map((key) => ANNOTATION_MARK + key),
  ];
  return keys.length === 0 ? undefined : keys.sort().join(',');
}

/** The Secret for a POST. */
export function newSecret(wanted: WantedSecret): Secret {
  const annotations = Object.entries(wanted.annotations).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: wanted.name,
      namespace: wanted.namespace,
      labels: wanted.labels,
      annotations: Object.fromEntries(annotations),
      ...(wanted.owned ? { ownerReferences: [wanted.owner] } : {}),
    },
    type: 'Opaque',
    data: wanted.data,
  };
}

/**
 * The operations that make an existing Secret the wanted one, with its resourceVersion as precondition: 409 when stale.
 * @param existing the Secret's metadata as last seen.
 * @param data `replace` writes the data, whole or our keys of them; `keep` leaves them, because they are as wanted.
 * @param shared what is ours of the data of a Secret that was handed over.
 * @returns nothing to do: an empty list.
 */
export function patchOperations(
  existing: ObjectMeta,
  wanted: WantedSecret,
  data: 'replace' | 'keep',
  shared?: SharedData,
): JSONPatchOperation[] {
  const { labels, annotations } = wanted.shares ? besideTheOwners(existing, wanted) : wanted;
  const dropped = droppedKeys(existing, wanted);
  const changes: JSONPatchOperation[] = [
    ...mapOperations('/metadata/labels', existing.labels, labels, dropped.labels),
    ...mapOperations('/metadata/annotations', existing.annotations, annotations, dropped.annotations),
    ...ownerOperations(existing.ownerReferences ?? [], wanted),
    ...(data === 'replace' ? dataOperations(wanted, shared) : []),
  ];
  return changes.length === 0
    ? []
    : [{ op: 'replace', path: '/metadata/resourceVersion', value: existing.resourceVersion ?? '' }, ...changes];
}

/** A Secret that was handed over, of which nothing further is known. */
const NOTHING_PROVED: SharedData = { keys: [], exists: true };

function dataOperations({ data, shares }: WantedSecret, shared?: SharedData): JSONPatchOperation[] {
  // `add` also replaces, and works where the Secret has no data at all.
  if (!shares) {
    return [{ op: 'add', path: '/data', value: data }];
  }
  const { keys, exists } = shared ?? NOTHING_PROVED;
  const dropped = keys.filter((key) => !Object.hasOwn(data, key));
  return [
    ...(!exists ? [{ op: 'add', path: '/data', value: {} } as const] : []),
    ...dropped.map((key) => ({ op: 'remove', path: `/data/${escapePointer(key)}` }) as const),
    ...Object.entries(data).map(([key, value]) => ({ op: 'add', path: `/data/${escapePointer(key)}`, value }) as const),
  ];
}

/** In a Secret that was handed over, a label or annotation that its owner has set is not overwritten, nor noted as ours. */
function besideTheOwners(existing: ObjectMeta, wanted: WantedSecret): Pick<WantedSecret, 'labels' | 'annotations'> {
  const { labels = {}, annotations = {} } = existing;
  const noted = annotations[ANNOTATION_METADATA_KEYS]?.split(',') ?? [];
  const wishes = wanted.annotations[ANNOTATION_METADATA_KEYS]?.split(',') ?? [];
  const isTheirs = (mark: string): boolean =>
    !noted.includes(mark) &&
    (mark.startsWith(LABEL_MARK)
      ? Object.hasOwn(labels, mark.slice(LABEL_MARK.length))
      : Object.hasOwn(annotations, mark.slice(ANNOTATION_MARK.length)));
  const theirs = wishes.filter(isTheirs);
  const ours = wishes.filter((mark) => !theirs.includes(mark));
  const without = <T>(map: Readonly<Record<string, T>>, mark: string): Record<string, T> =>
    Object.fromEntries(Object.entries(map).filter(([key]) => !theirs.includes(mark + key)));
  return {
    labels: without(wanted.labels, LABEL_MARK),
    annotations: {
      ...without(wanted.annotations, ANNOTATION_MARK),
      [ANNOTATION_METADATA_KEYS]: ours.length === 0 ? undefined : ours.join(','),
    },
  };
}

/** Keys that spec.secret once set, by our own note on the Secret, and does not set any more. */
function droppedKeys(existing: ObjectMeta, wanted: WantedSecret): { labels: string[]; annotations: string[] } {
  const noted = existing.annotations?.[ANNOTATION_METADATA_KEYS]?.split(',') ?? [];
  const noteOf = (mark: string): string[] =>
    noted.filter((key) => key.startsWith(mark)).map((key) => key.slice(mark.length));
  return {
    labels: noteOf(LABEL_MARK).filter((key) => !Object.hasOwn(wanted.labels, key)),
    annotations: noteOf(ANNOTATION_MARK).filter((key) => !Object.hasOwn(wanted.annotations, key)),
  };
}

function mapOperations(
  path: string,
  existing: Readonly<Record<string, string>> | undefined,
  wanted: Readonly<Record<string, string | undefined>>,
  dropped: readonly string[],
): JSONPatchOperation[] {
  const operations: JSONPatchOperation[] = [];
  const target = { ...wanted, ...Object.fromEntries(dropped.map((key) => [key, undefined])) };
  for (const [key, value] of Object.entries(target)) {
    const before = existing !== undefined && Object.hasOwn(existing, key) ? existing[key] : undefined;
    if (value === undefined && before !== undefined) {
      operations.push({ op: 'remove', path: `${path}/${escapePointer(key)}` });
    } else if (value !== undefined && value !== before) {
      operations.push({ op: 'add', path: `${path}/${escapePointer(key)}`, value });
    }
  }
  return existing === undefined && operations.length > 0 ? [{ op: 'add', path, value: {} }, ...operations] : operations;
}

/** RFC 6901 section 3. */
function escapePointer(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

function ownerOperations(existing: readonly OwnerReference[], wanted: WantedSecret): JSONPatchOperation[] {
  const ours = existing.filter((reference) => reference.uid === wanted.owner.uid);
  const others = existing.filter((reference) => reference.uid !== wanted.owner.uid);
  const isRight = wanted.owned
    ? ours.length === 1 && ours[0]?.controller === true && ours[0].blockOwnerDeletion === false
    : ours.length === 0;
  if (isRight) {
    return [];
  }
  const references = wanted.owned ? [...others, wanted.owner] : others;
  return references.length === 0
    ? [{ op: 'remove', path: '/metadata/ownerReferences' }]
    : [{ op: 'add', path: '/metadata/ownerReferences', value: references }];
}
