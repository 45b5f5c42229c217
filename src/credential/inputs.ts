// Promises: which fields of a resolved resource go into which hash. What only schedules is in neither, so that changing it
// neither issues nor renders anything. Pure.
import type { ResolvedCredential, ResolvedExchange } from '../api/resolved.ts';
import type { JSONValue } from './hashes.ts';

/** What STS is asked: a change of it makes another credential. */
export function requestInputs({ serviceAccountName, exchange, durationSeconds }: ResolvedCredential): JSONValue {
  return { serviceAccountName, durationSeconds, exchange: asJSON(exchange) };
}

/** What the Secret is rendered from, beside the credential: a change of it renders the credential in hand anew. */
export function renderInputs({ secret }: ResolvedCredential): JSONValue {
  return { ...secret };
}

/** The same members, a chain's hops included, in a type that JSONValue takes. */
function asJSON(exchange: ResolvedExchange): JSONValue {
  const roleChain = exchange.roleChain.map((hop) => ({ ...hop, tags: hop.tags.map((tag) => ({ ...tag })) }));
  return { ...exchange, roleChain };
}
