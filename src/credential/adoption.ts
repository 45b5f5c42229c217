// Promises: what of a Secret that its owner handed over is ours: the keys that a note on it names, believed for removing
// and for reading only if the content-hash covers exactly them. May not touch a key that is not proved ours. Pure.
import {
  ANNOTATION_CONTENT_HASH,
  ANNOTATION_DATA_KEYS,
  ANNOTATION_EXPIRATION_TIME,
  ANNOTATION_ISSUE_TIME,
  ANNOTATION_REQUEST_HASH,
} from '../api/names.ts';
import type { ObjectMeta, Secret } from '../api/meta.ts';
import { contentHash } from './hashes.ts';

/** Values by key, base64 as in the Secret. */
type Data = Readonly<Record<string, string>>;

/** The part of a Secret's data that is ours, when the Secret is not. */
export interface SharedData {
  /** The keys that we wrote, as far as that is proved: only they may be removed. */
  readonly keys: readonly string[];
  /** Whether the Secret has data at all: a key can be added only to what is there. */
  readonly exists: boolean;
}

/** As the API server checks keys of a Secret, k8s.io/apimachinery pkg/util/validation IsConfigMapKey. */
const DATA_KEY = /^[-._a-zA-Z0-9]{1,253}$/;

/** The note of which keys are ours. */
export function noteOfKeys(data: Data): string {
  return Object.keys(data).sort().join(',');
}

/** The keys that the note names. Anybody may have written it. */
export function notedKeys({ annotations }: ObjectMeta): readonly string[] {
  const note = annotations?.[ANNOTATION_DATA_KEYS] ?? '';
  return [...new Set(note.split(',').filter((key) => DATA_KEY.test(key)))];
}

/** The noted part of a Secret's data; a noted key that is missing there is missing here. */
export function notedData({ metadata, data = {} }: Secret): Data {
  const noted = new Set(notedKeys(metadata));
  return Object.fromEntries(Object.entries(data).filter(([key]) => noted.has(key)));
}

/** Whether the Secret's content-hash covers these data and the Secret's own times and request-hash. */
export function isCovered({ metadata }: Secret, data: Data): boolean {
  const annotations = metadata.annotations ?? {};
  const found = contentHash({
    data,
    issueTime: annotations[ANNOTATION_ISSUE_TIME] ?? '',
    expirationTime: annotations[ANNOTATION_EXPIRATION_TIME] ?? '',
    requestHash: annotations[ANNOTATION_REQUEST_HASH] ?? '',
  });
  return found === annotations[ANNOTATION_CONTENT_HASH];
}

/**
 * What is ours of a Secret that was read whole. For whichever resource the keys were written: a former one of this name
 * leaves a credential that nobody refreshes, and its keys go when the next one does not write them.
 */
export function sharedInLive(secret: Secret): SharedData {
  const noted = notedData(secret);
  return { keys: isCovered(secret, noted) ? Object.keys(noted) : [], exists: secret.data !== undefined };
}

/** What is ours of a Secret whose data were verified at this same resourceVersion before. */
export function sharedInCached(metadata: ObjectMeta): SharedData {
  return { keys: notedKeys(metadata), exists: true };
}
