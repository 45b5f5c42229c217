// Promises: the session name by which the cloud's audit log tells who asked. A caller's claim: never a policy condition.
import { shortHash } from './hashes.ts';

/** All three clouds take 2 to 64 characters of this set (AWS also `+=,`). */
const MAX_LENGTH = 64;
const FOREIGN = /[^A-Za-z0-9.@_-]/g;
const HASH_LENGTH = 8;

/**
 * `<cluster>.<namespace>.<serviceaccount>.<name>`; the cluster only where the operator has a name for it. A longer one is
 * cut, and ends with a hash of the whole, so that two of them never become one.
 */
export function sessionName(parts: {
  readonly clusterName: string | undefined;
  readonly namespace: string;
  readonly serviceAccountName: string;
  readonly name: string;
}): string {
  const words = [parts.clusterName, parts.namespace, parts.serviceAccountName, parts.name];
  const whole = words.filter((word) => word !== undefined && word !== '').join('.');
  const legal = whole.replaceAll(FOREIGN, '-');
  if (legal === whole && legal.length <= MAX_LENGTH) {
    return legal;
  }
  return `${legal.slice(0, MAX_LENGTH - HASH_LENGTH - 1)}-${shortHash(whole, HASH_LENGTH)}`;
}
