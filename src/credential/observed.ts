// Promises: the state of the world for one WorkloadCredential, gathered once and then judged by pure code. Holds a Secret's
// data only while it is being judged (kind `live`), never beyond one reconcile.
import type { PartialObjectMetadata, Secret } from '../api/meta.ts';
import type { ResolvedCredential, Violation } from '../api/resolved.ts';
import type { WorkloadCredential } from '../api/types.gen.ts';
import type { Credential } from './credentials.ts';
import type { CredentialError } from './errors.ts';

/** What is known of the Secret. */
export type SecretView =
  /** Not in the label-selected cache; `confirmed`: a GET of it and of the resource has just said so too. */
  | { readonly kind: 'absent'; readonly confirmed: boolean }
  /** In the cache, as metadata. */
  | { readonly kind: 'cached'; readonly metadata: PartialObjectMetadata['metadata'] }
  /** Read by GET just now: whole if it is ours or handed over, else its metadata only. */
  | { readonly kind: 'live'; readonly secret: Secret };

/** A credential that was issued and could not be written; it waits in memory, so that STS is not asked again. */
export interface HeldCredential {
  readonly credential: Credential;
  readonly requestHash: string;
  readonly refreshHandled: string | undefined;
}

/** A failed attempt that is only remembered. */
export interface UntoldFailure {
  readonly error: CredentialError;
  readonly timeMs: number;
  readonly generation: number;
  readonly refreshRequested: string | undefined;
}

/** What this process remembers of a key beside objects; a restart forgets it at the cost of one exchange. */
export interface KeyMemory {
  readonly held?: HeldCredential | undefined;
  /** Exchanges made because somebody else changed or removed the Secret. */
  readonly contest?: { readonly repairs: number; readonly lastTimeMs: number } | undefined;
  /** When metadata that somebody had changed were last put back. */
  readonly repairedAtMs?: number | undefined;
  /**
   * The last exchange that was made before its time, because somebody asked for it; `waits`: they have asked again since, and
   * that is still to be answered, whatever status says was observed.
   */
  readonly forced?: { readonly lastTimeMs: number; readonly waits: boolean } | undefined;
  /** The wait that STS or the API server asked for, or that follows from a failure which status could not be told. */
  readonly retryNotBefore?: { readonly timeMs: number; readonly isAskedFor: boolean } | undefined;
  /** The last failed attempt, if status could not be told of it yet: when, for which generation and forced refresh. */
  readonly untoldFailure?: UntoldFailure | undefined;
  /** How often the API server has refused a token or a status since one was last written: no status counts it. */
  readonly untoldRefusals?: number | undefined;
  /**
   * The resourceVersion at which a Secret that cannot be written stands in the label-selected cache, which will tell when
   * it changes or goes.
   */
  readonly conflictVersion?: string | undefined;
}

/** All that the plan looks at. */
export interface Observed {
  /** Has no deletionTimestamp, and metadata.uid, namespace and generation. */
  readonly credential: WorkloadCredential;
  readonly uid: string;
  readonly namespace: string;
  readonly resolved: ResolvedCredential | undefined;
  readonly violation: Violation | undefined;
  /** Of the resolved spec; empty strings without one. */
  readonly requestHash: string;
  readonly renderHash: string;
  readonly serviceAccount: PartialObjectMetadata | undefined;
  /** The older WorkloadCredential that writes the same Secret. */
  readonly contender: string | undefined;
  /** The provider's word on endpoint and audience. */
  readonly endpointRefusal: CredentialError | undefined;
  readonly secret: SecretView;
  readonly memory: KeyMemory;
}

/** What the operator's options say about decisions. */
export interface Settings {
  readonly requireConsent: boolean;
  readonly minRefreshIntervalSeconds: number;
}
