// Promises: Volcengine's signature (HMAC-SHA256, its key derived from date, region and service) of one request, with the keys
// and the time that are given. Pure. The host is signed too, so that a signature is good for one host only.
// https://www.volcengine.com/docs/6369/67269
import type { SigningKeys } from '../credential/credentials.ts';
import { formatTime } from '../credential/record.ts';
import {
  encodeParameters,
  hashCanonicalRequest,
  hmacSHA256,
  type Parameters,
  sha256Hex,
  type SignableRequest,
  signedHeaders,
} from './canonical-request.ts';

/** What is signed. */
export interface VolcengineInput {
  readonly host: string;
  readonly region: string;
  /** With Action and Version. */
  readonly query: Parameters;
  /** Milliseconds since the epoch. */
  readonly timeMs: number;
}

const ALGORITHM = 'HMAC-SHA256';
const SERVICE = 'sts';
const TERMINATOR = 'request';

/** A GET: its path with the query, and its headers with the signature. `host` is the transport's. */
export function signVolcengine(
  input: VolcengineInput,
  keys: SigningKeys,
): { path: string; headers: Record<string, string> } {
  const time = formatTime(input.timeMs).replaceAll(/[-:]/g, '');
  const date = time.slice(0, 8);
  const headers = {
    'x-content-sha256': sha256Hex(''),
    'x-date': time,
    'x-security-token': keys.sessionToken.reveal(),
  };
  const request: SignableRequest = {
    method: 'GET',
    query: input.query,
    headers: { ...headers, host: input.host },
    body: '',
  };
  const scope = [date, input.region, SERVICE, TERMINATOR];
  const text = [ALGORITHM, time, scope.join('/'), hashCanonicalRequest(request)].join('\n');
  const key = scope.reduce<string | Uint8Array>(hmacSHA256, keys.secretAccessKey.reveal());
  const claim = [
    `Credential=${keys.accessKeyID}/${scope.join('/')}`,
    `SignedHeaders=${signedHeaders(request)}`,
    `Signature=${hmacSHA256(key, text).toString('hex')}`,
  ];
  return {
    path: `/?${encodeParameters(input.query)}`,
    headers: { ...headers, authorization: `${ALGORITHM} ${claim.join(', ')}` },
  };
}
