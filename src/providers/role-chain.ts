// Promises: a cloud's two calls as a Provider: the way from a token to the delivered role, the same for all clouds. First the
// exchange of the token, then each AssumeRole of the chain, signed only with what the hop before gave. What narrows the session (policies, duration)
// applies to the last hop, which is what is delivered. What the hops in between give lives in this function's memory only.
// May not know a cloud's protocol.
import { SPEC_FIELD } from '../api/names.ts';
import { callsOf, firstRole, type ResolvedExchange, type RoleHop } from '../api/resolved.ts';
import { acceptAnswer, type Credential, type ExchangeAnswer, type SigningKeys } from '../credential/credentials.ts';
import { CredentialError } from '../credential/errors.ts';
import type { ExchangeRequest, Provider } from './provider.ts';

/** What one step asks for. */
export interface Step {
  readonly role: string;
  readonly durationSeconds: number;
  readonly sessionName: string;
  /** The last step: session policy and policy ARNs of the resource apply to it. */
  readonly delivered: boolean;
}

/** A step after the first. */
export interface HopStep extends Step {
  readonly hop: RoleHop;
  /** Who signs. */
  readonly caller: SigningKeys;
}

/** One exchange under way. */
export interface Job<E extends ResolvedExchange> {
  readonly request: ExchangeRequest<E>;
  readonly url: URL;
  readonly signal: AbortSignal;
}

/** What a cloud brings: its endpoint and its two calls, each of which is one call to STS. */
export interface CloudCalls<E extends ResolvedExchange> {
  readonly cloud: E['cloud'];
  /** @throws CredentialError EndpointNotAllowed, AudienceNotAllowed. */
  endpoint(exchange: E): URL;
  /** @throws CredentialError; the signal's reason. */
  exchangeToken(job: Job<E>, step: Step): Promise<ExchangeAnswer>;
  /** @throws CredentialError; the signal's reason. */
  assumeRole(job: Job<E>, step: HopStep): Promise<ExchangeAnswer>;
}

/** The shortest session that the three clouds give, and more than the next hop needs (sts.md of each: 900 s). */
const PASSING_SECONDS = 900;

/** What of a signed call has to be kept out of every sentence. */
export function secretOf({ secretAccessKey, sessionToken }: SigningKeys): string {
  return `${secretAccessKey.reveal()} ${sessionToken.reveal()}`;
}

class ChainProvider<E extends ResolvedExchange> implements Provider<E> {
  readonly #calls: CloudCalls<E>;
  readonly #now: () => number;
  /** A resolved exchange never changes, nor does the policy: what was judged once stays so. */
  readonly #endpoints = new WeakMap<E, URL>();

  constructor(calls: CloudCalls<E>, now: () => number) {
    this.#calls = calls;
    this.#now = now;
  }

  get cloud(): E['cloud'] {
    return this.#calls.cloud;
  }

  endpoint(exchange: E): URL {
    const url = this.#endpoints.get(exchange) ?? this.#calls.endpoint(exchange);
    this.#endpoints.set(exchange, url);
    return url;
  }

  async exchange(request: ExchangeRequest<E>, signal: AbortSignal): Promise<ExchangeAnswer> {
    const { exchange, durationSeconds, sessionName } = request;
    const { roleChain } = exchange;
    const job: Job<E> = { request, url: this.endpoint(exchange), signal };
    const step = (role: string, index: number): Step => {
      const delivered = index === roleChain.length;
      return { role, sessionName, delivered, durationSeconds: delivered ? durationSeconds : PASSING_SECONDS };
    };
    let sentAtMs = this.#now();
    let answer = await named(exchange, 0, () => this.#calls.exchangeToken(job, step(firstRole(exchange), 0)));
    for (const [index, hop] of roleChain.entries()) {
      const caller = acceptPassing(exchange, index, answer, sentAtMs);
      sentAtMs = this.#now();
      // Each hop needs the one before: they cannot run side by side.
      // oxlint-disable-next-line no-await-in-loop
      answer = await named(exchange, index + 1, () =>
        this.#calls.assumeRole(job, { ...step(hop.role, index + 1), hop, caller }),
      );
    }
    return answer;
  }
}

/**
 * A cloud's calls as a Provider. An error in a chain names the hop.
 * @param now the corrected clock: the life of what a hop gives counts by it.
 */
export function chainProvider<E extends ResolvedExchange>(calls: CloudCalls<E>, now: () => number): Provider<E> {
  return new ChainProvider(calls, now);
}

function acceptPassing(
  exchange: ResolvedExchange,
  index: number,
  answer: ExchangeAnswer,
  sentAtMs: number,
): Credential {
  try {
    return acceptAnswer(answer, PASSING_SECONDS, sentAtMs);
  } catch (error) {
    throw atHop(exchange, index, error);
  }
}

async function named<T>(exchange: ResolvedExchange, index: number, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw atHop(exchange, index, error);
  }
}

/** An error of a chain says which hop failed. */
function atHop(exchange: ResolvedExchange, index: number, error: unknown): unknown {
  if (exchange.roleChain.length === 0 || !(error instanceof CredentialError)) {
    return error;
  }
  const field = SPEC_FIELD[exchange.cloud];
  const where =
    index === 0
      ? `${field}.${exchange.cloud === 'Volcengine' ? 'roleTRN' : 'roleARN'}`
      : `${field}.roleChain[${index - 1}]`;
  return new CredentialError(error.code, `Hop ${index + 1} of ${callsOf(exchange)} (${where}): ${error.message}`, {
    cloudCode: error.cloudCode,
    requestID: error.requestID,
    retryAfterSeconds: error.retryAfterSeconds,
    hop: index + 1,
  });
}
