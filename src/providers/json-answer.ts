// Promises: reads an STS answer that should be a JSON object: what is none gives undefined, never a throw of JSON's own. Pure.
// May not know a cloud's fields.
import type { ExchangeAnswer } from '../credential/credentials.ts';
import { cloudName, cloudRequestID, hasPieceOf } from './cloud-message.ts';
import type { STSAnswer } from './sts-call.ts';
import { type AnswerHead, type STSCall, unusable } from './sts-failures.ts';

/** A JSON object whose fields are not yet trusted. */
export type JSONObject = Readonly<Record<string, unknown>>;

/** The body as a JSON object; undefined for everything else. */
export function readJSONObject(body: Uint8Array): JSONObject | undefined {
  try {
    return asObject(JSON.parse(Buffer.from(body).toString('utf8')));
  } catch {
    return undefined;
  }
}

/** A value that is a JSON object. */
export function asObject(value: unknown): JSONObject | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
}

/** The fields of a value that is a JSON object; none of anything else. */
export function fieldsOf(value: unknown): JSONObject {
  return asObject(value) ?? {};
}

/** The head with the request id of the body, where no header had one. */
export function withRequestID<H extends AnswerHead>(head: H, requestID: unknown, secret: string): H {
  return head.requestID === undefined ? { ...head, requestID: cloudRequestID(requestID, secret) } : head;
}

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
    throw unusable(call, head, 'its access key id repeats what was sent in secret');
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
