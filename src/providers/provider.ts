// Promises: the port to a cloud's STS: one exchange of a token for credentials, nothing about Kubernetes. A cloud is one
// file behind this port: it shapes the request, checks the host, reads the answer, and sorts errors into the register.
// May not write anywhere, retry, or read the environment.
import type { Cloud } from '../api/names.ts';
import type { ResolvedExchange } from '../api/resolved.ts';
import type { ExchangeAnswer } from '../credential/credentials.ts';

/** What one exchange needs. `token` is secret. */
export interface ExchangeRequest<E extends ResolvedExchange = ResolvedExchange> {
  readonly exchange: E;
  readonly durationSeconds: number;
  readonly sessionName: string;
  readonly token: string;
}

/** One cloud. */
export interface Provider<E extends ResolvedExchange = ResolvedExchange> {
  readonly cloud: Cloud;
  /**
   * Where the exchange would go: "host" or "host:port", which also keys the limiter together with cloud and account.
   * @throws CredentialError EndpointNotAllowed, AudienceNotAllowed before any byte leaves.
   */
  endpoint(exchange: E): URL;
  /**
   * Makes one call to STS, and one more for each hop of the role chain.
   * @returns what STS answered, not yet judged: credential/credentials.ts `acceptAnswer` does that for all clouds.
   * @throws CredentialError with a code of the register; the signal's reason when aborted.
   */
  exchange(request: ExchangeRequest<E>, signal: AbortSignal): Promise<ExchangeAnswer>;
}

/** All clouds behind one port: what the operator asks. */
export type AnyCloud = Pick<Provider, 'endpoint' | 'exchange'>;
