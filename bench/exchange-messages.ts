// Promises: what the processes of the exchange benchmark say to each other, and the names that they share.
import type { ResolvedExchange } from '../src/api/resolved.ts';

export type CloudName = ResolvedExchange['cloud'];
export const CLOUD_NAMES: readonly CloudName[] = ['AWS', 'AlibabaCloud', 'Volcengine'];

export const AUDIENCE = 'sts.sandbox.example';
export const SESSION_NAME = 'shop.orders.orders';
export const DURATION_SECONDS = 3600;

/** What a client needs for one cloud. The token is good for longer than the benchmark. */
export interface Target {
  readonly exchange: ResolvedExchange;
  /** The value of the operator's --sts-endpoint. */
  readonly endpointOption: string;
  readonly token: string;
}

export type Targets = Readonly<Record<CloudName, Target>>;

/** By cloud: how many credentials its STS has issued, and whether it did anything else. */
export type STSCounts = Readonly<Record<CloudName, { readonly issued: number; readonly others: number }>>;

/** What the servers can be told. */
export type ServersCommand = { readonly ask: 'targets' } | { readonly ask: 'counts' };

/** What a client can be told. */
export type ClientCommand =
  | { readonly ask: 'start'; readonly target: Target }
  /** As many exchanges, so many at a time, as fast as it goes. */
  | { readonly ask: 'run'; readonly exchanges: number; readonly inFlight: number };

/** The answer to `run`: what the whole process spent on it. */
export interface ClientResult {
  readonly exchanges: number;
  /** User and system time of all threads. */
  readonly cpuMs: number;
  readonly wallMs: number;
}
