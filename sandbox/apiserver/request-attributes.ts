// Promises: what a request wants, told by its method, path and query alone, as authorizers see it: whether the resource
// exists is not asked (apiserver/pkg/endpoints/request/requestinfo.go).
import type { Attributes } from './rbac.ts';

const VERBS: Readonly<Record<string, readonly [one: string, all: string]>> = {
  GET: ['get', 'list'],
  POST: ['create', 'create'],
  PUT: ['update', 'update'],
  PATCH: ['patch', 'patch'],
  DELETE: ['delete', 'deletecollection'],
};

/** Subresources of a Namespace, which are no resources in it. */
const OF_NAMESPACES = ['status', 'finalize'];

/** Go reads a flag that is there and is not false as true. */
export function isWatch(query: URLSearchParams): boolean {
  const value = query.get('watch');
  return value !== null && !['false', '0', ''].includes(value.toLowerCase());
}

/** The attributes of a request. */
export function requestAttributes(path: string, method: string, query: URLSearchParams): Attributes {
  const parts = path.split('/').slice(1).map(decodeURIComponent);
  const isCore = parts[0] === 'api';
  const rest = parts.slice(isCore ? 2 : 3);
  if ((!isCore && parts[0] !== 'apis') || rest.length === 0) return { verb: method.toLowerCase(), path };
  const inside = rest[0] === 'namespaces' && rest.length > 2 && !OF_NAMESPACES.includes(rest[2] ?? '');
  const [resource = '', name, subresource] = inside ? rest.slice(2) : rest;
  // A namespace's own name is its namespace, too.
  const namespace = rest[0] === 'namespaces' ? rest[1] : undefined;
  const [one, all] = VERBS[method] ?? [method.toLowerCase(), method.toLowerCase()];
  const isWatching = method === 'GET' && name === undefined && isWatch(query);
  // A list or watch of one name counts as one of that object.
  const chosen = name ?? /^metadata\.name==?([^,]+)$/.exec(query.get('fieldSelector') ?? '')?.[1];
  const verb = isWatching ? 'watch' : name === undefined ? all : one;
  return { verb, group: isCore ? '' : (parts[1] ?? ''), resource, subresource, name: chosen, namespace };
}
