// Promises: which keys an event concerns. Keeps the two indexes that answer it: resources by the Secret they write and by
// the ServiceAccount they use. Holds names and times, never objects. Makes no call.
import { ANNOTATION_ALLOW, ANNOTATION_REFRESH_REQUESTED, LABEL_NAME } from '../api/names.ts';
import type { ObjectMeta, PartialObjectMetadata } from '../api/meta.ts';
import { secretNameOf } from '../api/resolve.ts';
import type { WorkloadCredential } from '../api/types.gen.ts';

/** "namespace/name" */
export function keyOf(object: { readonly metadata: { readonly namespace?: string; readonly name: string } }): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
}

/** The two halves of a key. */
export function splitKey(key: string): { readonly namespace: string; readonly name: string } {
  const slash = key.indexOf('/');
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

interface Entry {
  readonly secretKey: string;
  readonly serviceAccountKey: string;
  readonly creationTimestamp: string;
}

/** Resources by what they name. */
export class CredentialIndex {
  readonly #entries = new Map<string, Entry>();
  readonly #bySecret = new Map<string, Set<string>>();
  readonly #byServiceAccount = new Map<string, Set<string>>();

  /** Takes in a new or changed resource. */
  set(credential: WorkloadCredential): void {
    const key = keyOf(credential);
    this.delete(key);
    const namespace = credential.metadata.namespace ?? '';
    const entry: Entry = {
      secretKey: `${namespace}/${secretNameOf(credential)}`,
      serviceAccountKey: `${namespace}/${credential.spec.serviceAccountName}`,
      creationTimestamp: credential.metadata.creationTimestamp ?? '',
    };
    this.#entries.set(key, entry);
    insert(this.#bySecret, entry.secretKey, key);
    insert(this.#byServiceAccount, entry.serviceAccountKey, key);
  }

  /** Forgets a resource. */
  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (entry !== undefined) {
      this.#entries.delete(key);
      remove(this.#bySecret, entry.secretKey, key);
      remove(this.#byServiceAccount, entry.serviceAccountKey, key);
    }
  }

  /** Keys of the resources that write the Secret "namespace/name". */
  writersOf(secretKey: string): readonly string[] {
    return [...(this.#bySecret.get(secretKey) ?? [])];
  }

  /** Keys of the resources that use the ServiceAccount "namespace/name". */
  usersOf(serviceAccountKey: string): readonly string[] {
    return [...(this.#byServiceAccount.get(serviceAccountKey) ?? [])];
  }

  /** The name of the oldest other resource that writes the same Secret, if it is older than `key` is. */
  contenderOf(key: string): string | undefined {
    const own = this.#entries.get(key);
    if (own === undefined) {
      return undefined;
    }
    const holder = this.holderOf(own.secretKey);
    return holder === undefined || holder === key ? undefined : splitKey(holder).name;
  }

  /** The key of the oldest resource that writes the Secret "namespace/name"; of one second the first by name. */
  holderOf(secretKey: string): string | undefined {
    let holder: string | undefined;
    for (const key of this.#bySecret.get(secretKey) ?? []) {
      if (holder === undefined || this.#isOlder(key, holder)) {
        holder = key;
      }
    }
    return holder;
  }

  #isOlder(key: string, than: string): boolean {
    const time = this.#entries.get(key)?.creationTimestamp ?? '';
    const thanTime = this.#entries.get(than)?.creationTimestamp ?? '';
    return time === thanTime ? key < than : time < thanTime;
  }
}

function insert(index: Map<string, Set<string>>, at: string, key: string): void {
  const keys = index.get(at);
  if (keys === undefined) {
    index.set(at, new Set([key]));
  } else {
    keys.add(key);
  }
}

function remove(index: Map<string, Set<string>>, at: string, key: string): void {
  const keys = index.get(at);
  keys?.delete(key);
  if (keys?.size === 0) {
    index.delete(at);
  }
}

/** What an informer tells its handlers; informers tell each object once per change. */
export interface Handler<T> {
  onAdd(object: T): void;
  onUpdate(before: T, after: T): void;
  onDelete(object: T): void;
}

/** Whether news of an object tells nothing new: it is our own last write, come back. */
export type IsEcho = (object: { readonly metadata: ObjectMeta }) => boolean;

/** A resource concerns itself, and those that wait for the Secret that it holds: whoever waits too concerns nobody else. */
export function credentialHandler(
  index: CredentialIndex,
  enqueue: (key: string) => void,
  isEcho: IsEcho = () => false,
): Handler<WorkloadCredential> {
  const secretKeyOf = (credential: WorkloadCredential): string =>
    `${credential.metadata.namespace ?? ''}/${secretNameOf(credential)}`;
  const withRivals = (credential: WorkloadCredential): void => {
    enqueue(keyOf(credential));
    for (const key of index.writersOf(secretKeyOf(credential))) {
      enqueue(key);
    }
  };
  const holds = (credential: WorkloadCredential): boolean =>
    index.holderOf(secretKeyOf(credential)) === keyOf(credential);
  return {
    onAdd(credential) {
      index.set(credential);
      if (holds(credential)) {
        withRivals(credential);
      } else {
        enqueue(keyOf(credential));
      }
    },
    onUpdate(before, after) {
      const isKnown = isEcho(after) && sameWish(before, after);
      if (isKnown) {
        return;
      }
      index.set(after);
      enqueue(keyOf(after));
      // Deleted and created anew while nobody watched: its Secret may be another one now.
      if (before.metadata.uid !== after.metadata.uid) {
        withRivals(before);
        withRivals(after);
      }
    },
    onDelete(credential) {
      const held = holds(credential);
      index.delete(keyOf(credential));
      if (held) {
        withRivals(credential);
      } else {
        enqueue(keyOf(credential));
      }
    },
  };
}

/** A list may tell our own write together with somebody else's before it, which the writer did not know of. */
function sameWish(before: WorkloadCredential, after: WorkloadCredential): boolean {
  const request = ({ metadata }: WorkloadCredential): string | undefined =>
    metadata.annotations?.[ANNOTATION_REFRESH_REQUESTED];
  return (
    before.metadata.uid === after.metadata.uid &&
    before.metadata.generation === after.metadata.generation &&
    before.metadata.deletionTimestamp === after.metadata.deletionTimestamp &&
    request(before) === request(after)
  );
}

/** A Secret concerns the resources that write it, and the one that its label names. */
export function secretHandler(
  index: CredentialIndex,
  enqueue: (key: string) => void,
  isEcho: IsEcho = () => false,
): Handler<PartialObjectMetadata> {
  const tell = (secret: PartialObjectMetadata): void => {
    const labelled = secret.metadata.labels?.[LABEL_NAME];
    const keys = new Set(index.writersOf(keyOf(secret)));
    if (labelled !== undefined) {
      keys.add(`${secret.metadata.namespace ?? ''}/${labelled}`);
    }
    for (const key of keys) {
      enqueue(key);
    }
  };
  const tellNews = (secret: PartialObjectMetadata): void => {
    if (!isEcho(secret)) {
      tell(secret);
    }
  };
  return { onAdd: tellNews, onUpdate: (_before, after) => tellNews(after), onDelete: tell };
}

/** A ServiceAccount concerns its users when it comes, goes, or changes its consent. */
export function serviceAccountHandler(
  index: CredentialIndex,
  enqueue: (key: string) => void,
): Handler<PartialObjectMetadata> {
  const tell = (serviceAccount: PartialObjectMetadata): void => {
    for (const key of index.usersOf(keyOf(serviceAccount))) {
      enqueue(key);
    }
  };
  const consent = (serviceAccount: PartialObjectMetadata): string | undefined =>
    serviceAccount.metadata.annotations?.[ANNOTATION_ALLOW];
  return {
    onAdd: tell,
    onUpdate(before, after) {
      if (consent(before) !== consent(after) || before.metadata.uid !== after.metadata.uid) {
        tell(after);
      }
    },
    onDelete: tell,
  };
}
