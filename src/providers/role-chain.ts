// Promises: the way from a token to the delivered role, the same for all clouds: the exchange of the token, then each
// AssumeRole of the chain, signed only with what the hop before gave. What narrows the session (policies, duration)
// applies to the last hop, which is what is delivered. What the hops in between give lives in this function's memory only.
// May not know a cloud's protocol.
import { callsOf, firstRole, type ResolvedExchange, type RoleHop } from '../api/resolved.ts';
import { acceptAnswer, type Credential, type ExchangeAnswer } from '../credential/credentials.ts';
import { CredentialError } from '../credential/errors.ts';
import type { ExchangeRequest } from './provider.ts';

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
  readonly caller: Pick<Credential, 'accessKeyID' | 'secretAccessKey' | 'sessionToken'>;
}

/** A cloud's two calls. Each is one call to STS. */
export interface ChainCalls {
  /** @throws CredentialError; the signal's reason. */
  exchangeToken(step: Step): Promise<ExchangeAnswer>;
  /** @throws CredentialError; the signal's reason. */
  assumeRole(step: HopStep): Promise<ExchangeAnswer>;
}

/** The shortest session that the three clouds give, and more than the next hop needs (sts.md of each: 900 s). */
const PASSING_SECONDS = 900;

/**
 * Walks the chain.
 * @returns the answer of the last step, not yet judged.
 * @throws CredentialError, which in a chain names the hop; the signal's reason.
 */
export async function walkChain(
  request: ExchangeRequest,
  calls: ChainCalls,
  now: () => number,
): Promise<ExchangeAnswer> {
  const { exchange, durationSeconds, sessionName } = request;
  const { roleChain } = exchange;
  const step = (role: string, index: number): Step => {
    const delivered = index === roleChain.length;
    return { role, sessionName, delivered, durationSeconds: delivered ? durationSeconds : PASSING_SECONDS };
  };
  let sentAtMs = now();
  let answer = await named(exchange, 0, () => calls.exchangeToken(step(firstRole(exchange), 0)));
  for (const [index, hop] of roleChain.entries()) {
    const caller = acceptPassing(exchange, index, answer, sentAtMs);
    sentAtMs = now();
    // Each hop needs the one before: they cannot run side by side.
    // oxlint-disable-next-line no-await-in-loop
    answer = await named(exchange, index + 1, () => calls.assumeRole({ ...step(hop.role, index + 1), hop, caller }));
  }
  return answer;
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

const FIELD = { AWS: 'spec.aws', AlibabaCloud: 'spec.alibabaCloud', Volcengine: 'spec.volcengine' } as const;

/** An error of a chain says which hop failed. */
function atHop(exchange: ResolvedExchange, index: number, error: unknown): unknown {
  if (exchange.roleChain.length === 0 || !(error instanceof CredentialError)) {
    return error;
  }
  const field = FIELD[exchange.cloud];
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
