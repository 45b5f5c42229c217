// Promises: whether a web identity token is what it says: signed by a key that its issuer publishes now, in time, for one of
// the provider's audiences. Says what is wrong in neutral words; each cloud has its own codes. Never repeats a token.
import { createLocalJWKSet, decodeJwt, errors as joseErrors, jwtVerify } from 'jose';
import type { JSONWebKeySet, JWTPayload } from 'jose';

/** An OIDC provider as a cloud account registers it. */
export interface OIDCProvider {
  readonly issuer: string;
  readonly clientIDs: readonly string[];
}

/** What can be wrong with a token. */
export type TokenProblem =
  | 'malformed'
  | 'issuer'
  /** The issuer's documents could not be fetched. */
  | 'unreachable'
  | 'noKey'
  | 'signature'
  | 'expired'
  /** nbf is in the future. */
  | 'early'
  | 'audience';

/** A token that is not accepted; `claims` are unverified and only for messages. */
export class TokenError extends Error {
  readonly problem: TokenProblem;
  readonly claims: JWTPayload;

  constructor(problem: TokenProblem, claims: JWTPayload = {}) {
    super(`the web identity token is not accepted: ${problem}`);
    this.problem = problem;
    this.claims = claims;
  }
}

/** The audiences of a token, as a list. */
export function audiences({ aud }: JWTPayload): readonly string[] {
  if (aud === undefined) return [];
  return Array.isArray(aud) ? aud : [aud];
}

function problemOf(error: unknown): TokenProblem {
  if (error instanceof joseErrors.JWTExpired) return 'expired';
  if (error instanceof joseErrors.JWTClaimValidationFailed) return 'early';
  return error instanceof joseErrors.JWKSNoMatchingKey ? 'noKey' : 'signature';
}

/**
 * Verifies a token for a provider.
 * @param fetchJSON fetches a JSON document of the issuer. It is asked for each token: a rotated key is seen at once, a broken
 *   issuer too.
 * @throws TokenError
 */
export async function verifyToken(
  token: string,
  { issuer, clientIDs }: OIDCProvider,
  fetchJSON: (url: string) => Promise<unknown>,
  nowMs: number,
): Promise<JWTPayload> {
  let claims: JWTPayload;
  try {
    claims = decodeJwt(token);
  } catch {
    throw new TokenError('malformed');
  }
  if (claims.iss !== issuer) throw new TokenError('issuer', claims);
  let keys: JSONWebKeySet;
  try {
    const configuration = (await fetchJSON(`${issuer}/.well-known/openid-configuration`)) as { jwks_uri: string };
    keys = (await fetchJSON(configuration.jwks_uri)) as JSONWebKeySet;
  } catch {
    throw new TokenError('unreachable', claims);
  }
  try {
    await jwtVerify(token, createLocalJWKSet(keys), { issuer, currentDate: new Date(nowMs) });
  } catch (error) {
    throw new TokenError(problemOf(error), claims);
  }
  if (!audiences(claims).some((audience) => clientIDs.includes(audience))) throw new TokenError('audience', claims);
  return claims;
}
