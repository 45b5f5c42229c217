// Promises: the paths that are no resources: version, health, the issuer's documents, discovery and OpenAPI; undefined for
// any other path. May not authorize: whoever asks here has been let in.
import type { ServerResponse } from '../http.ts';
import type { Answers } from './answers.ts';
import { AGGREGATED, aggregatedDiscovery, legacyDiscovery, VERSION } from './discovery.ts';
import { checkAccepted } from './negotiation.ts';
import { emptyOpenAPIV2, openAPI } from './openapi.ts';
import type { ResourceType } from './resources.ts';
import type { TokenAuthority } from './tokens.ts';

/**
 * What anybody may read.
 * @throws StatusError 406
 */
export async function openDocument(
  path: string,
  accept: string | undefined,
  tokens: TokenAuthority,
  answers: Answers,
): Promise<ServerResponse | undefined> {
  switch (path) {
    case '/version':
      checkAccepted(accept, 'application/json');
      return answers.json(VERSION);
    case '/healthz':
    case '/livez':
    case '/readyz':
      return answers.text(200, 'ok');
    case '/.well-known/openid-configuration':
      checkAccepted(accept, 'application/json');
      return answers.json(tokens.openIDConfiguration());
    case '/openid/v1/jwks':
      checkAccepted(accept, 'application/jwk-set+json');
      return answers.json(await tokens.jwks(), 200, 'application/jwk-set+json');
    default:
      return undefined;
  }
}

/** Discovery and OpenAPI. */
export function discoveryDocument(
  path: string,
  accept: string | undefined,
  types: readonly ResourceType[],
  answers: Answers,
): ServerResponse | undefined {
  const wanted = (accept ?? '').replaceAll(' ', '');
  if ((path === '/api' || path === '/apis') && wanted.includes(AGGREGATED)) {
    return answers.json(aggregatedDiscovery(types, path === '/api'), 200, AGGREGATED);
  }
  if (path === '/openapi/v2') {
    const { mediaType, text } = emptyOpenAPIV2(wanted);
    return answers.raw(text, 200, mediaType);
  }
  if (path.startsWith('/openapi/v3')) {
    const document = openAPI(types, path);
    // The real server calls the list of documents text, and each document JSON.
    const mediaType = path === '/openapi/v3' ? 'text/plain; charset=utf-8' : 'application/json';
    return document === undefined ? undefined : answers.json(document, 200, mediaType);
  }
  const found = legacyDiscovery(types, path.replace(/\/$/, ''));
  return found === undefined ? undefined : answers.json(found);
}
