// Promises: verifies AWS Signature Version 4 in the Authorization header, from AWS's own description:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html . Presigned URLs and chunked
// bodies are not read. Tells nothing of the expected signature.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { ServerRequest } from '../http.ts';

/** What an Authorization header claims. */
export interface SignatureClaim {
  readonly accessKeyID: string;
  readonly date: string;
  readonly region: string;
  readonly service: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
}

const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([^/,\s]+)\/(\d{8})\/([^/,\s]+)\/([^/,\s]+)\/aws4_request,\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})$/;

/** Reads the header; undefined when it is not a SigV4 one. */
export function parseAuthorization(header: string | undefined): SignatureClaim | undefined {
  const match = AUTHORIZATION.exec(header ?? '');
  if (match === null) return undefined;
  const [, accessKeyID = '', date = '', region = '', service = '', names = '', signature = ''] = match;
  return { accessKeyID, date, region, service, signedHeaders: names.split(';'), signature };
}

/** RFC 3986 as SigV4 wants it: encodeURIComponent leaves five characters too many. */
function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

function canonicalRequest(request: ServerRequest, claim: SignatureClaim): string {
  const url = new URL(request.target, 'https://sandbox.invalid');
  const query = [...url.searchParams]
    .map(([name, value]) => [encode(name), encode(value)] as const)
    .toSorted((a, b) => compare(a[0], b[0]) || compare(a[1], b[1]));
  const header = (name: string): string => (request.headers[name] ?? '').trim().replaceAll(/\s+/g, ' ');
  return [
    request.method,
    url.pathname.split('/').map(encode).join('/'),
    query.map(([name, value]) => `${name}=${value}`).join('&'),
    ...claim.signedHeaders.map((name) => `${name}:${header(name)}`),
    '',
    claim.signedHeaders.join(';'),
    sha256(request.body),
  ].join('\n');
}

/** Whether the request was signed with this secret key, for the date and region that the header claims. */
export function isSignedWith(request: ServerRequest, claim: SignatureClaim, secretAccessKey: string): boolean {
  const time = request.headers['x-amz-date'] ?? '';
  // Host and date must be signed: otherwise a signature could be moved to another host or time.
  if (!time.startsWith(claim.date) || !['host', 'x-amz-date'].every((name) => claim.signedHeaders.includes(name))) {
    return false;
  }
  const scope = `${claim.date}/${claim.region}/${claim.service}/aws4_request`;
  const text = ['AWS4-HMAC-SHA256', time, scope, sha256(canonicalRequest(request, claim))].join('\n');
  const hmac = (key: string | Uint8Array, data: string): Buffer => createHmac('sha256', key).update(data).digest();
  const steps = [claim.date, claim.region, claim.service, 'aws4_request'];
  const key = steps.reduce<string | Uint8Array>((last, step) => hmac(last, step), `AWS4${secretAccessKey}`);
  return timingSafeEqual(hmac(key, text), Buffer.from(claim.signature, 'hex'));
}

/** `20260101T000000Z` in milliseconds since the epoch; NaN when it is not that form. */
export function amzDateMs(text: string | undefined): number {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text ?? '');
  if (parts === null) return Number.NaN;
  const [, year, month, day, hour, minute, second] = parts;
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}
