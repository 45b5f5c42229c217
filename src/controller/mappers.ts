// Promises: which keys an event concerns. Keeps the two indexes that answer it: resources by the Secret they write and by
// the ServiceAccount they use. Holds names and times, never objects. Makes no call.
import { ANNOTATION_ALLOW, LABEL_NAME } from '../api/names.ts';
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
    const rank = (candidate: string): string => `${this.#entries.get(candidate)?.creationTimestamp ?? ''} ${candidate}`;
    const [first] = [...this.writersOf(own.secretKey)].sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
    return first === undefined || first === key ? undefined : splitKey(first).name;
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

/** A resource concerns itself, and those that wait for the Secret that it holds. */
export function credentialHandler(
  index: CredentialIndex,
  enqueue: (key: string) => void,
  isEcho: IsEcho = () => false,
): Handler<WorkloadCredential> {
  const withRivals = (credential: WorkloadCredential): void => {
    const namespace = credential.metadata.namespace ?? '';
    enqueue(keyOf(credential));
    for (const key of index.writersOf(`${namespace}/${secretNameOf(credential)}`)) {
      enqueue(key);
    }
  };
  return {
    onAdd(credential) {
      index.set(credential);
      withRivals(credential);
    },
    onUpdate(before, after) {
      if (isEcho(after)) {
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
      index.delete(keyOf(credential));
      withRivals(credential);
    },
  };
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
