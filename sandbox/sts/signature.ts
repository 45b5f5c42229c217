// Promises: the canonical request that the signatures of all three clouds hash, and the verification of the two that derive a
// key from date, region and service: AWS Signature Version 4 and Volcengine's HMAC-SHA256, from the vendors' own descriptions.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
// https://www.volcengine.com/docs/6369/67269 . No presigned URLs, no chunked bodies. Tells nothing of the expected signature.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { ServerRequest } from '../http.ts';

/** What a derived-key signature looks like in one cloud. */
export interface SignatureDialect {
  /** First word of the Authorization header and first line of the string to sign. */
  readonly algorithm: string;
  /** Put before the secret key. */
  readonly keyPrefix: string;
  /** Last part of the scope. */
  readonly terminator: string;
  readonly dateHeader: string;
  /** Must be among the signed headers. */
  readonly signed: readonly string[];
  /** Must be among the signed headers when the request has them. */
  readonly signedIfPresent: readonly string[];
}

/** AWS Signature Version 4. Host and date must be signed: otherwise a signature could be moved to another host or time. */
export const AWS4: SignatureDialect = {
  algorithm: 'AWS4-HMAC-SHA256',
  keyPrefix: 'AWS4',
  terminator: 'aws4_request',
  dateHeader: 'x-amz-date',
  signed: ['host', 'x-amz-date'],
  signedIfPresent: ['x-amz-security-token', 'x-amz-content-sha256'],
};

/** Volcengine's; its own Node SDK does not sign the host, so it cannot be asked for. */
export const VOLCENGINE: SignatureDialect = {
  algorithm: 'HMAC-SHA256',
  keyPrefix: '',
  terminator: 'request',
  dateHeader: 'x-date',
  signed: ['x-date'],
  signedIfPresent: ['x-security-token', 'x-content-sha256'],
};

/** What an Authorization header claims. */
export interface SignatureClaim {
  readonly accessKeyID: string;
  readonly date: string;
  readonly region: string;
  readonly service: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
}

const CLAIM =
  /^Credential=([^/,\s]+)\/(\d{8})\/([^/,\s]+)\/([^/,\s]+)\/([^/,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})$/;

/** Reads the header; undefined when it is not one of this dialect. */
export function parseAuthorization(header: string | undefined, dialect: SignatureDialect): SignatureClaim | undefined {
  const [algorithm, ...rest] = (header ?? '').split(' ');
  const match = CLAIM.exec(rest.join(' '));
  if (algorithm !== dialect.algorithm || match === null || match[5] !== dialect.terminator) return undefined;
  const [, accessKeyID = '', date = '', region = '', service = '', , names = '', signature = ''] = match;
  return { accessKeyID, date, region, service, signedHeaders: names.split(';'), signature };
}

/** RFC 3986 as signatures want it: encodeURIComponent leaves five characters too many. */
function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** In lower-case hex. */
export function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

/** HMAC-SHA256. */
export function hmac(key: string | Uint8Array, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest();
}

/** Compares a signature with 64 hex digits in constant time. */
export function isSignature(expected: Uint8Array, claimed: string): boolean {
  return timingSafeEqual(expected, Buffer.from(claimed, 'hex'));
}

/** Method, path, sorted query, signed headers, their names and the hash of the body that came: the same in all three clouds. */
export function canonicalRequest(request: ServerRequest, signedHeaders: readonly string[]): string {
  const url = new URL(request.target, 'https://sandbox.invalid');
  const query = [...url.searchParams]
    .map(([name, value]) => [encode(name), encode(value)] as const)
    .toSorted((a, b) => compare(a[0], b[0]) || compare(a[1], b[1]));
  const header = (name: string): string => (request.headers[name] ?? '').trim().replaceAll(/\s+/g, ' ');
  return [
    request.method,
    url.pathname.split('/').map(encode).join('/'),
    query.map(([name, value]) => `${name}=${value}`).join('&'),
    ...signedHeaders.map((name) => `${name}:${header(name)}`),
    '',
    signedHeaders.join(';'),
    sha256(request.body),
  ].join('\n');
}

/** Whether the request was signed with this secret key, for the date, region and service that the header claims. */
export function isSignedWith(
  request: ServerRequest,
  claim: SignatureClaim,
  secretAccessKey: string,
  dialect: SignatureDialect,
): boolean {
  const { algorithm, keyPrefix, terminator, dateHeader, signed, signedIfPresent } = dialect;
  const time = request.headers[dateHeader] ?? '';
  const present = signedIfPresent.filter((name) => request.headers[name] !== undefined);
  const missing = [...signed, ...present].filter((name) => !claim.signedHeaders.includes(name));
  if (!time.startsWith(claim.date) || missing.length > 0) return false;
  const scope = [claim.date, claim.region, claim.service, terminator];
  const text = [algorithm, time, scope.join('/'), sha256(canonicalRequest(request, claim.signedHeaders))].join('\n');
  const key = scope.reduce<string | Uint8Array>((last, step) => hmac(last, step), `${keyPrefix}${secretAccessKey}`);
  return isSignature(hmac(key, text), claim.signature);
}

/** `20260101T000000Z` in milliseconds since the epoch; NaN when it is not that form. */
export function basicTimeMs(text: string | undefined): number {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text ?? '');
  if (parts === null) return Number.NaN;
  const [, year, month, day, hour, minute, second] = parts;
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}
