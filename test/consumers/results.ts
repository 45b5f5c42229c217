// Promises: the results of the last whole run of the consumers, as committed data, and what they are results of: a hash over
// what is rendered, so that a change of a file asks for a new run. May not start anything.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ResolvedExchange } from '../../src/api/resolved.ts';
import { renderData } from '../../src/render/formats.ts';
import type { Behaviour } from './clients.ts';

/** Where the results are kept. */
export const RESULTS = fileURLToPath(new URL('results.json', import.meta.url));

/** What a client did. */
export interface ResultRow {
  readonly client: string;
  readonly version: string;
  readonly cloud: string;
  readonly format: string;
  readonly behaviour: Behaviour;
  /** Seconds before the end that the file says, from which on it looks again; `always`: at each call. */
  readonly window?: number | 'always';
  /** Whether a call failed over ten rotations. */
  readonly failed?: boolean;
}

/** A whole run. */
export interface Results {
  /** See renderedHash. */
  readonly rendered: string;
  readonly rows: readonly ResultRow[];
}

/** The committed results. */
export function readResults(): Results {
  return JSON.parse(readFileSync(RESULTS, 'utf8')) as Results;
}

const EXCHANGES: readonly ResolvedExchange[] = [
  {
    cloud: 'AWS',
    roleARN: 'arn:aws:iam::123456789012:role/orders',
    region: 'eu-west-1',
    audience: 'sts.amazonaws.com',
    endpointType: 'Regional',
    policyARNs: [],
    roleChain: [],
  },
  {
    cloud: 'AlibabaCloud',
    roleARN: 'acs:ram::1234567890123456:role/orders',
    oidcProviderARN: 'acs:ram::1234567890123456:oidc-provider/ack-rrsa-c1',
    region: 'cn-hangzhou',
    audience: 'sts.aliyuncs.com',
    network: 'Public',
    roleChain: [],
  },
  {
    cloud: 'Volcengine',
    roleTRN: 'trn:iam::2100000000:role/orders',
    region: 'cn-beijing',
    audience: 'sts.volcengine.com',
    roleChain: [],
  },
];

/** Hash over the files of every cloud for one credential. */
export function renderedHash(): string {
  const secret = {
    name: 'orders',
    formats: ['Files', 'StaticFile'],
    mountPath: '/mnt',
    data: {},
    labels: {},
    annotations: {},
    deletionPolicy: 'Delete',
  } as const;
  const parts = {
    accessKeyID: 'A',
    secretAccessKey: 'B',
    sessionToken: 'C',
    issueTime: '2026-11-22T12:00:00Z',
    expiration: '2026-11-22T13:00:00Z',
  };
  const files = EXCHANGES.map((exchange) => renderData(exchange, secret, parts));
  return createHash('sha256').update(JSON.stringify(files)).digest('hex').slice(0, 16);
}
