// Promises: reads an STS answer that should be a JSON object: what is none gives undefined, never a throw of JSON's own. Pure.
// May not know a cloud's fields.
import { cloudRequestID } from './cloud-message.ts';
import type { AnswerHead } from './sts-failures.ts';

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
