// Promises: verifies Alibaba Cloud's signature version 3 (ACS3-HMAC-SHA256), from its own description:
// https://help.aliyun.com/zh/sdk/product-overview/v3-request-structure-and-signature . The older RPC signature in the query is
// not read. Tells nothing of the expected signature.
import type { ServerRequest } from '../http.ts';
import { canonicalRequest, hmac, isSignature, sha256 } from './signature.ts';

/** What an Authorization header claims. */
export interface ACS3Claim {
  readonly accessKeyID: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
}

const ALGORITHM = 'ACS3-HMAC-SHA256';
const CLAIM = /^ACS3-HMAC-SHA256 Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})$/;
/** Public headers that the description calls mandatory. */
const MANDATORY = [
  'host',
  'x-acs-action',
  'x-acs-content-sha256',
  'x-acs-date',
  'x-acs-signature-nonce',
  'x-acs-version',
];

/** Reads the header; undefined when it is not an ACS3 one. */
export function parseACS3(header: string | undefined): ACS3Claim | undefined {
  const match = CLAIM.exec(header ?? '');
  if (match === null) return undefined;
  const [, accessKeyID = '', names = '', signature = ''] = match;
  return { accessKeyID, signedHeaders: names.split(';'), signature };
}

/** The headers that must be signed and are not: the mandatory ones, every x-acs- header and content-type that came. */
export function unsignedHeaders(request: ServerRequest, claim: ACS3Claim): readonly string[] {
  const present = Object.keys(request.headers).filter((name) => name.startsWith('x-acs-') || name === 'content-type');
  return [...new Set([...MANDATORY, ...present])].filter((name) => !claim.signedHeaders.includes(name));
}

/** Whether the request was signed with this secret key, and the body is the one whose hash it names. */
export function isACS3SignedWith(request: ServerRequest, claim: ACS3Claim, accessKeySecret: string): boolean {
  if (request.headers['x-acs-content-sha256'] !== sha256(request.body)) return false;
  const text = `${ALGORITHM}\n${sha256(canonicalRequest(request, claim.signedHeaders))}`;
  return isSignature(hmac(accessKeySecret, text), claim.signature);
}
