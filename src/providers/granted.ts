// Promises: what an STS granted, by the names that all clouds share: nothing of it is judged but what people are shown. Pure.
// May not know a cloud's fields.
import type { ExchangeAnswer } from '../credential/credentials.ts';
import { cloudName, hasPieceOf } from './cloud-message.ts';
import type { STSAnswer } from './sts-call.ts';
import { type STSCall, unusable } from './sts-failures.ts';

/** The parts of an answer, as they came. */
export type Granted = Readonly<
  Record<'accessKeyID' | 'secretAccessKey' | 'sessionToken' | 'expiration' | 'identity', unknown>
>;

/**
 * What STS granted.
 * @throws CredentialError InvalidResponse when there is nothing of a credential in it, or when the part of it that is shown to
 * people repeats what was sent in secret.
 */
export function grantedBy(call: STSCall, head: Omit<STSAnswer, 'body'>, granted: Granted): ExchangeAnswer {
  const { accessKeyID, secretAccessKey, sessionToken, expiration, identity } = granted;
  if (accessKeyID === undefined && secretAccessKey === undefined && sessionToken === undefined) {
    throw unusable(call, head, 'there are no credentials in it');
  }
  if (typeof accessKeyID === 'string' && hasPieceOf(call.secret, accessKeyID)) {
    throw unusable(call, head, 'its access key id repeats the token or the keys that were sent');
  }
  return {
    accessKeyID,
    secretAccessKey,
    sessionToken,
    expiration,
    answerDateMs: head.dateMs,
    identity: cloudName(identity, call.secret),
    requestID: head.requestID,
  };
}
