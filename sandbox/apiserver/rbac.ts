// Promises: who may do what, from the Role, ClusterRole and binding objects in the store, with kube-apiserver's answers: the
// 403 in its words and the review resources by which clients ask. Escalation, aggregation and webhooks are not played.
import { StatusError } from './status.ts';
import type { KubeObject, Store } from './store.ts';
import type { User } from './tokens.ts';

const GROUP = 'rbac.authorization.k8s.io';

/** What somebody wants to do. */
export interface Attributes {
  readonly verb: string;
  /** Of a request for a resource. */
  readonly group?: string;
  /** The plural. */
  readonly resource?: string;
  readonly subresource?: string | undefined;
  readonly name?: string | undefined;
  readonly namespace?: string | undefined;
  /** Of any other request. */
  readonly path?: string;
}

/** rbac.authorization.k8s.io/v1 PolicyRule */
export interface PolicyRule {
  readonly verbs: readonly string[];
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly nonResourceURLs?: readonly string[];
}

interface Subject {
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
}

interface RoleRef {
  readonly kind: string;
  readonly name: string;
}

/** Nobody that is known. */
export const ANONYMOUS: User = { name: 'system:anonymous', groups: ['system:unauthenticated'] };

/** What every real server allows (plugin/pkg/auth/authorizer/rbac/bootstrappolicy): system:public-info-viewer. */
const EVERYBODY: readonly PolicyRule[] = [
  { verbs: ['get'], nonResourceURLs: ['/healthz', '/livez', '/readyz', '/version', '/version/'] },
];
/** system:discovery, system:service-account-issuer-discovery and system:basic-user. */
const AUTHENTICATED: readonly PolicyRule[] = [
  {
    verbs: ['get'],
    nonResourceURLs: ['/api', '/api/*', '/apis', '/apis/*', '/openapi', '/openapi/*', '/.well-known/*', '/openid/*'],
  },
  {
    verbs: ['create'],
    apiGroups: ['authorization.k8s.io'],
    resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'],
  },
  { verbs: ['create'], apiGroups: ['authentication.k8s.io'], resources: ['selfsubjectreviews'] },
];

/** system:masters. */
const EVERYTHING: readonly PolicyRule[] = [
  { verbs: ['*'], apiGroups: ['*'], resources: ['*'] },
  { verbs: ['*'], nonResourceURLs: ['*'] },
];

function holds(list: readonly string[] | undefined, wanted: string): boolean {
  return list !== undefined && (list.includes('*') || list.includes(wanted));
}

function pathMatches(pattern: string, path: string): boolean {
  return pattern === '*' || pattern === path || (pattern.endsWith('*') && path.startsWith(pattern.slice(0, -1)));
}

/** Whether a rule allows it (pkg/registry/rbac/validation RuleAllows). */
export function ruleAllows(rule: PolicyRule, { verb, path, ...what }: Attributes): boolean {
  if (!holds(rule.verbs, verb)) return false;
  if (path !== undefined) return (rule.nonResourceURLs ?? []).some((pattern) => pathMatches(pattern, path));
  const { group = '', resource = '', subresource, name } = what;
  if (!holds(rule.apiGroups, group)) return false;
  const combined = subresource === undefined ? resource : `${resource}/${subresource}`;
  const isNamed =
    holds(rule.resources, combined) ||
    (subresource !== undefined && rule.resources?.includes(`*/${subresource}`) === true);
  if (!isNamed) return false;
  const names = rule.resourceNames ?? [];
  return names.length === 0 || (name !== undefined && names.includes(name));
}

export class RoleBasedAccess {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Why it is allowed, or undefined when it is not. The reason is empty for what every server allows. */
  reason(user: User, what: Attributes): string | undefined {
    return this.#grants(user, what.namespace).find(({ rule }) => ruleAllows(rule, what))?.reason;
  }

  /** Every rule that a user has in a namespace, or for what has none. */
  rules(user: User, namespace: string | undefined): PolicyRule[] {
    return this.#grants(user, namespace).map(({ rule }) => rule);
  }

  #grants(user: User, namespace: string | undefined): Grant[] {
    const isKnown = user.groups.includes('system:authenticated');
    const own = [
      ...EVERYBODY,
      ...(isKnown ? AUTHENTICATED : []),
      ...(user.groups.includes('system:masters') ? EVERYTHING : []),
    ];
    const clusterBindings = this.#store.list(`${GROUP}/clusterrolebindings`);
    const bindings = namespace === undefined ? [] : this.#store.list(`${GROUP}/rolebindings`, namespace);
    return [
      ...own.map((rule) => ({ rule, reason: '' })),
      ...[...clusterBindings, ...bindings].flatMap((binding) => this.#granted(binding, user)),
    ];
  }

  #granted(binding: KubeObject, user: User): Grant[] {
    const subject = boundSubject(binding, user);
    if (subject === undefined) return [];
    const { kind, name } = binding['roleRef'] as RoleRef;
    const { namespace } = binding.metadata;
    const role =
      kind === 'Role'
        ? this.#store.get(`${GROUP}/roles`, namespace, name)
        : this.#store.get(`${GROUP}/clusterroles`, undefined, name);
    const rules = (role?.['rules'] as readonly PolicyRule[] | null | undefined) ?? [];
    const bound = namespace === undefined ? binding.metadata.name : `${binding.metadata.name}/${namespace}`;
    const to = subject.kind === 'ServiceAccount' ? `${subject.name}/${subject.namespace ?? namespace}` : subject.name;
    const by = `${binding.kind} ${JSON.stringify(bound)} of ${kind} ${JSON.stringify(name)}`;
    const reason = `RBAC: allowed by ${by} to ${subject.kind} ${JSON.stringify(to)}`;
    return rules.map((rule) => ({ rule, reason }));
  }
}

interface Grant {
  readonly rule: PolicyRule;
  readonly reason: string;
}

function boundSubject(binding: KubeObject, user: User): Subject | undefined {
  const subjects = (binding['subjects'] as readonly Subject[] | null | undefined) ?? [];
  return subjects.find(({ kind, name, namespace }) => {
    if (kind === 'User') return name === user.name;
    if (kind === 'Group') return user.groups.includes(name);
    const account = namespace ?? binding.metadata.namespace;
    return kind === 'ServiceAccount' && user.name === `system:serviceaccount:${account}:${name}`;
  });
}

/** The 403 that says who cannot do what where. */
export function forbidden(user: User, what: Attributes): StatusError {
  const { verb, path, group = '', resource = '', subresource, name, namespace } = what;
  const who = `User ${JSON.stringify(user.name)} cannot ${verb}`;
  if (path !== undefined)
    return new StatusError(403, 'Forbidden', `forbidden: ${who} path ${JSON.stringify(path)}`, {});
  const combined = subresource === undefined ? resource : `${resource}/${subresource}`;
  const where = namespace === undefined ? 'at the cluster scope' : `in the namespace ${JSON.stringify(namespace)}`;
  const why = `${who} resource ${JSON.stringify(combined)} in API group ${JSON.stringify(group)} ${where}`;
  const qualified = group === '' ? resource : `${resource}.${group}`;
  const named = name === undefined ? qualified : `${qualified} ${JSON.stringify(name)}`;
  return new StatusError(403, 'Forbidden', `${named} is forbidden: ${why}`, {
    ...(name === undefined ? {} : { name }),
    ...(group === '' ? {} : { group }),
    kind: resource,
  });
}
