// Promises: one exchange: the endpoint's limiter, a ten-minute token for the workload's own ServiceAccount, its claims read
// back, one call to STS, the answer judged. The token lives in this function's memory only. Writes nothing.
import { accountOf, callsOf, type ResolvedCredential } from '../api/resolved.ts';
import { acceptAnswer, type Credential } from '../credential/credentials.ts';
import { CredentialError, ERRORS, type ErrorCode } from '../credential/errors.ts';
import { sessionName } from '../credential/session-name.ts';
import { describeClaims, readClaims, subjectOf, type TokenClaims } from '../credential/token-claims.ts';
import type { CallOptions, KubeApi } from '../kube/api.ts';
import type { AnyCloud } from '../providers/provider.ts';
import type { CallOutcome, EndpointLimiter } from '../runtime/limiter.ts';

/** The shortest life that TokenRequest grants, k8s.io/kubernetes pkg/apis/authentication/validation: 10 minutes. */
const TOKEN_LIFETIME_SECONDS = 600;

/** What an exchanger is made of. */
export interface ExchangerOptions {
  readonly api: KubeApi;
  readonly provider: AnyCloud;
  readonly limiter: EndpointLimiter;
  readonly clusterName: string | undefined;
  readonly now: () => number;
  /** Asked before the token is sent anywhere: a replica that has lost the Lease does not. Throws if so. */
  readonly assertLeading: () => void;
}

/** For whom. */
export interface ExchangeSubject {
  readonly namespace: string;
  readonly name: string;
  readonly resolved: ResolvedCredential;
}

/** What an exchange came to. */
export type Exchange =
  | { readonly granted: true; readonly credential: Credential; readonly claims: TokenClaims }
  /** The limiter wants it later. */
  | { readonly granted: false; readonly retryAfterMs: number };

/** Exchanges tokens. */
export class Exchanger {
  readonly #options: ExchangerOptions;

  constructor(options: ExchangerOptions) {
    this.#options = options;
  }

  /**
   * Exchanges.
   * @throws CredentialError, KubeError, or the signal's reason.
   */
  async exchange(subject: ExchangeSubject, options: CallOptions): Promise<Exchange> {
    const admission = this.#options.limiter.tryAcquire(...this.#work(subject));
    if (!admission.granted) {
      return admission;
    }
    let outcome: CallOutcome = 'aborted';
    try {
      const claimed = await this.#token(subject, options);
      const credential = await this.#callSTS(subject, claimed, options).catch((error: unknown) => {
        outcome = outcomeOf(error, options.signal);
        throw withClaims(error, claimed.claims);
      });
      outcome = 'success';
      return { granted: true, credential, claims: claimed.claims };
    } finally {
      admission.release(outcome);
    }
  }

  /**
   * Whether the limiter has no room for an exchange now: it is asked before the API server is asked whether one is wanted.
   * @returns how long to wait, in milliseconds; undefined: there is room.
   * @throws CredentialError EndpointNotAllowed, AudienceNotAllowed.
   */
  refusedForMs(subject: ExchangeSubject): number | undefined {
    return this.#options.limiter.refusedForMs(...this.#work(subject));
  }

  /** What the limiter is asked for. */
  #work({ namespace, name, resolved: { exchange } }: ExchangeSubject): Parameters<EndpointLimiter['tryAcquire']> {
    const key = `${exchange.cloud}/${accountOf(exchange)}/${this.#options.provider.endpoint(exchange).host}`;
    return [key, callsOf(exchange), { tenant: namespace, key: `${namespace}/${name}` }];
  }

  async #token({ namespace, resolved }: ExchangeSubject, options: CallOptions): Promise<ClaimedToken> {
    const key = { namespace, name: resolved.serviceAccountName };
    const { audience } = resolved.exchange;
    const request = { audience, expirationSeconds: TOKEN_LIFETIME_SECONDS };
    this.#options.assertLeading();
    const { token } = await this.#options.api.createServiceAccountToken(key, request, options);
    const subject = subjectOf(namespace, resolved.serviceAccountName);
    return { token, claims: readClaims(token, { audience, subject }) };
  }

  async #callSTS(subject: ExchangeSubject, { token }: ClaimedToken, { signal }: CallOptions): Promise<Credential> {
    const { namespace, name, resolved } = subject;
    const { provider, clusterName, now } = this.#options;
    this.#options.assertLeading();
    // The life counts from before the call: what the call takes is not added to it.
    const sentAtMs = now();
    const answer = await provider.exchange(
      {
        exchange: resolved.exchange,
        durationSeconds: resolved.durationSeconds,
        sessionName: sessionName({ clusterName, namespace, serviceAccountName: resolved.serviceAccountName, name }),
        token,
      },
      signal,
    );
    return acceptAnswer(answer, resolved.durationSeconds, sentAtMs);
  }
}

interface ClaimedToken {
  readonly token: string;
  readonly claims: TokenClaims;
}

/** What the limiter learns from a failed call. */
function outcomeOf(error: unknown, signal: AbortSignal): CallOutcome {
  if (signal.aborted || !(error instanceof CredentialError)) {
    return 'aborted';
  }
  const outcomes: Readonly<Record<(typeof ERRORS)[ErrorCode]['disposition'], CallOutcome>> = {
    invalid: 'aborted',
    denied: 'refused',
    // No word of STS.
    forbidden: 'aborted',
    token: 'refused',
    throttled: 'throttled',
    transient: 'outage',
  };
  return outcomes[error.disposition];
}

/** Refusals that a claim of the token may be the cause of; RequestRejected is how SeaweedFS refuses an audience. */
const CLAIMS_EXPLAIN: ReadonlySet<ErrorCode> = new Set(['AccessDenied', 'TokenRejected', 'RequestRejected']);

/**
 * A refusal is told with what the token said, so that a person can hold it against the trust policy. Later hops of a chain
 * never saw the token: there it would lead astray.
 */
function withClaims(error: unknown, claims: TokenClaims): unknown {
  if (!(error instanceof CredentialError) || !CLAIMS_EXPLAIN.has(error.code) || (error.hop ?? 1) > 1) {
    return error;
  }
  const { code, message, cloudCode, requestID, retryAfterSeconds, hop } = error;
  const details = { cloudCode, requestID, retryAfterSeconds, hop };
  return new CredentialError(code, `${message} ${describeClaims(claims)}`, details);
}
