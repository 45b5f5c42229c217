// Promises: reads back what a freshly minted ServiceAccount token says of itself, so that a mismatch is told in our words
// before STS tells it in its own. Verifies no signature: the token came from the API server over TLS. Keeps no token.
import { CredentialError } from './errors.ts';

/** The claims that a cloud looks at, https://www.rfc-editor.org/rfc/rfc7519#section-4.1 . None of them is secret. */
export interface TokenClaims {
  readonly issuer: string;
  readonly subject: string;
  readonly audiences: readonly string[];
  readonly tokenID: string | undefined;
  /** kubernetes.io.serviceaccount.uid */
  readonly serviceAccountUID: string | undefined;
}

/** "system:serviceaccount:", a namespace of at most 63 characters, a name of at most 253, and quotes. */
const MAX_SHOWN_LENGTH = 342;

function member(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>)[key] : undefined;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function payload(token: string): unknown {
  try {
    return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}

/**
 * Reads a token's claims and holds them against what was asked.
 * @throws CredentialError TokenMismatch, with both values and where to change them.
 */
export function readClaims(
  token: string,
  wanted: { readonly audience: string; readonly subject: string },
): TokenClaims {
  const body = payload(token);
  const audiences = audiencesOf(token);
  const serviceAccount = member(member(body, 'kubernetes.io'), 'serviceaccount');
  const claims: TokenClaims = {
    issuer: text(member(body, 'iss')) ?? '',
    subject: text(member(body, 'sub')) ?? '',
    audiences,
    tokenID: text(member(body, 'jti')),
    serviceAccountUID: text(member(serviceAccount, 'uid')),
  };
  if (claims.issuer === '') {
    throw new CredentialError(
      'TokenMismatch',
      'The token that the API server minted names no issuer; set --service-account-issuer on the kube-apiserver to the URL that the cloud has registered.',
    );
  }
  if (claims.subject !== wanted.subject) {
    throw new CredentialError(
      'TokenMismatch',
      `The token that the API server minted is for subject ${quoted(claims.subject)}, not "${wanted.subject}"; check what stands between the operator and the kube-apiserver.`,
    );
  }
  if (audiences.length !== 1 || audiences[0] !== wanted.audience) {
    throw new CredentialError(
      'TokenMismatch',
      `The token that the API server minted has audience ${audiences.map(quoted).join(', ') || 'none'}, not only "${wanted.audience}"; check the admission policies and webhooks on serviceaccounts/token.`,
    );
  }
  return claims;
}

/** The audiences that a token names; empty for what is no token. */
export function audiencesOf(token: string): readonly string[] {
  const audience = member(payload(token), 'aud');
  return (Array.isArray(audience) ? audience : [audience]).filter((item) => typeof item === 'string');
}

/** The subject of a ServiceAccount's tokens, https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/ */
export function subjectOf(namespace: string, serviceAccountName: string): string {
  return `system:serviceaccount:${namespace}:${serviceAccountName}`;
}

/** What a person needs to compare with the role's trust policy. */
export function describeClaims(claims: TokenClaims): string {
  return `The token said issuer ${quoted(claims.issuer)}, subject ${quoted(claims.subject)}, audience ${claims.audiences.map(quoted).join(', ')}.`;
}

/** A claim for a message: one line, and no longer than a subject can be. */
function quoted(claim: string): string {
  const line = JSON.stringify(claim);
  return line.length > MAX_SHOWN_LENGTH ? `${line.slice(0, MAX_SHOWN_LENGTH)}..."` : line;
}
