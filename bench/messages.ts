// Promises: what the benchmark's processes say to each other. The measuring process asks, the others answer, in order.

/** Where the servers are and who may call them. */
export interface ServersReady {
  readonly server: string;
  readonly caPEM: string;
  readonly operatorToken: string;
  readonly scriptToken: string;
  readonly stsURL: string;
  readonly targets: readonly RefreshTarget[];
}

/** A credential of the raw script: its objects as they are at the start. */
export interface RefreshTarget {
  readonly name: string;
  readonly secretVersion: string;
  readonly credentialVersion: string;
}

/** What the servers have seen of one caller since the start. */
export interface Counts {
  /** Credentials that STS has issued, by namespace of the session. */
  readonly issued: Readonly<Record<string, number>>;
  /** Requests at the API server by user, then by `METHOD resource status`; watches and leases too. */
  readonly requests: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** What the servers can be told. */
export type ServersCommand =
  | { readonly ask: 'start'; readonly credentials: number }
  /** Sessions from now on end after so many seconds. */
  | { readonly ask: 'sessionSeconds'; readonly seconds: number }
  /** Requests a refresh of every credential of the operator, one after the other over this time. */
  | { readonly ask: 'requestRefresh'; readonly overMs: number }
  | { readonly ask: 'counts' };

/** What the raw script can be told. */
export type ScriptCommand =
  | { readonly ask: 'start'; readonly ready: ServersReady }
  /** Refreshes for so long; without a rate as fast as it can, `inFlight` at a time. */
  | { readonly ask: 'run'; readonly durationMs: number; readonly inFlight: number; readonly perSecond?: number };

/** The raw script's answer to `run`. */
export interface ScriptResult {
  readonly refreshes: number;
}
