// Promises: the canonical request that Alibaba Cloud's and Volcengine's signatures hash, written as the vendors' pages say,
// and the query text that is sent: one function for both, so that what is signed is what goes out. Pure. May not know a key.
// https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature
// https://www.volcengine.com/docs/6369/67269
import { createHash, createHmac } from 'node:crypto';

/** Query parameters or form fields, by name. */
export type Parameters = Readonly<Record<string, string>>;

/** A request to the path `/`. */
export interface SignableRequest {
  readonly method: 'GET' | 'POST';
  readonly query: Parameters;
  /** Lower-case names; all of them are signed. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** RFC 3986 section 2.3: all but unreserved characters; encodeURIComponent leaves five more as they are. */
function percentEncode(text: string): string {
  const hexadecimal = (character: string): string => `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, hexadecimal);
}

/** `a=b&c=d`, percent-encoded and sorted by name: a query, or the body of a form. */
export function encodeParameters(parameters: Parameters): string {
  const names = Object.keys(parameters).toSorted();
  return names.map((name) => `${percentEncode(name)}=${percentEncode(parameters[name] ?? '')}`).join('&');
}

/** The names of the signed headers, as the signature lists them. */
export function signedHeaders({ headers }: SignableRequest): string {
  return Object.keys(headers).toSorted().join(';');
}

/** SHA-256 of the canonical request, in lower-case hexadecimal. */
export function hashCanonicalRequest(request: SignableRequest): string {
  const { method, query, headers, body } = request;
  const names = Object.keys(headers).toSorted();
  const lines = names.map((name) => `${name}:${(headers[name] ?? '').trim()}\n`);
  return sha256Hex(
    [method, '/', encodeParameters(query), lines.join(''), signedHeaders(request), sha256Hex(body)].join('\n'),
  );
}

/** In lower-case hexadecimal. */
export function sha256Hex(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** HMAC-SHA256. */
export function hmacSHA256(key: string | Uint8Array, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
