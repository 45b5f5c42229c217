// Promises: what clients ask before they work: legacy and aggregated discovery, and the version.
import { NAMESPACES } from './resources.ts';
import type { ResourceType } from './resources.ts';

const VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
/** The real server's own order for custom resources. */
const CUSTOM_VERBS = ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch'];
const STATUS_VERBS = ['get', 'patch', 'update'];

/** Media type of aggregated discovery (KEP-3352); kubectl believes the answer only under exactly this content type. */
export const AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';

/** Kubernetes 1.36's own answer, as far as clients read it. */
export const VERSION = { major: '1', minor: '36', gitVersion: 'v1.36.4-sandbox', platform: 'linux/amd64' };

interface Subresource {
  readonly name: string;
  readonly kind: readonly [group: string, version: string, kind: string];
  readonly verbs: readonly string[];
}

function verbs({ custom, collection }: ResourceType): readonly string[] {
  if (custom) return CUSTOM_VERBS;
  // Namespaces are deleted one by one.
  return collection === NAMESPACES ? VERBS.filter((verb) => verb !== 'deletecollection') : VERBS;
}

/** Empty lists are left out. */
function lists(type: ResourceType): object {
  const present = Object.entries({ shortNames: type.shortNames, categories: type.categories });
  return Object.fromEntries(present.filter(([, list]) => list.length > 0)) as object;
}

function byPlural(a: ResourceType, b: ResourceType): number {
  return a.plural < b.plural ? -1 : 1;
}

function subresources(type: ResourceType): Subresource[] {
  const own = [type.group, type.version, type.kind] as const;
  return [
    ...(type.statusSubresource ? [{ name: 'status', kind: own, verbs: STATUS_VERBS }] : []),
    ...(type.collection === '/serviceaccounts'
      ? [{ name: 'token', kind: ['authentication.k8s.io', 'v1', 'TokenRequest'] as const, verbs: ['create'] }]
      : []),
  ];
}

function byGroup(types: readonly ResourceType[]): Map<string, Map<string, ResourceType[]>> {
  const groups = new Map<string, Map<string, ResourceType[]>>();
  for (const type of types) {
    const versions = groups.get(type.group) ?? new Map<string, ResourceType[]>();
    groups.set(type.group, versions.set(type.version, [...(versions.get(type.version) ?? []), type]));
  }
  return groups;
}

function aggregatedResource(type: ResourceType): object {
  // Of its own group and version the real server names only the kind in core, and all three elsewhere.
  const responseKind = (group: string, version: string, kind: string): object =>
    group === '' ? { group: '', version: '', kind } : { group, version, kind };
  const below = subresources(type).map(({ name, kind, verbs: allowed }) => ({
    subresource: name,
    responseKind: responseKind(...kind),
    verbs: allowed,
  }));
  return {
    resource: type.plural,
    responseKind: responseKind(type.group, type.version, type.kind),
    scope: type.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: type.singular,
    verbs: verbs(type),
    ...lists(type),
    ...(below.length === 0 ? {} : { subresources: below }),
  };
}

/** `/api` (core: true) or `/apis`, aggregated. */
export function aggregatedDiscovery(types: readonly ResourceType[], core: boolean): object {
  const groups = [...byGroup(types)].filter(([group]) => (group === '') === core);
  const items = groups.map(([group, versions]) => ({
    metadata: group === '' ? {} : { name: group },
    versions: [...versions].map(([version, members]) => ({
      version,
      resources: members.toSorted(byPlural).map(aggregatedResource),
      freshness: 'Current',
    })),
  }));
  return { kind: 'APIGroupDiscoveryList', apiVersion: 'apidiscovery.k8s.io/v2', metadata: {}, items };
}

function apiGroup(group: string, versions: Iterable<string>): object {
  const list = [...versions].map((version) => ({ groupVersion: `${group}/${version}`, version }));
  return { name: group, versions: list, preferredVersion: list[0] };
}

function resourceList(types: readonly ResourceType[], groupAndVersion: string): object {
  const resources = types.toSorted(byPlural).flatMap((type) => [
    {
      name: type.plural,
      singularName: type.singular,
      namespaced: type.namespaced,
      kind: type.kind,
      verbs: verbs(type),
      ...lists(type),
    },
    ...subresources(type).map(({ name, kind: [group, version, kind], verbs: allowed }) => ({
      name: `${type.plural}/${name}`,
      singularName: '',
      namespaced: type.namespaced,
      kind,
      verbs: allowed,
      ...(group === type.group ? {} : { group, version }),
    })),
  ]);
  // The document of the core group carries no apiVersion.
  const apiVersion = groupAndVersion === 'v1' ? {} : { apiVersion: 'v1' };
  return { kind: 'APIResourceList', ...apiVersion, groupVersion: groupAndVersion, resources };
}

/** The legacy documents: /api, /api/v1, /apis, /apis/G, /apis/G/V; undefined for any other path. */
export function legacyDiscovery(types: readonly ResourceType[], path: string): object | undefined {
  const groups = byGroup(types);
  const [root, group = '', version, ...rest] = path.split('/').slice(1);
  if (rest.length > 0) return undefined;
  if (path === '/api') return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] };
  if (path === '/api/v1') return resourceList(groups.get('')?.get('v1') ?? [], 'v1');
  if (root !== 'apis') return undefined;
  if (group === '') {
    const named = [...groups].filter(([name]) => name !== '');
    const list = named.map(([name, versions]) => apiGroup(name, versions.keys()));
    return { kind: 'APIGroupList', apiVersion: 'v1', groups: list };
  }
  const versions = groups.get(group);
  if (versions === undefined) return undefined;
  if (version === undefined) return { kind: 'APIGroup', apiVersion: 'v1', ...apiGroup(group, versions.keys()) };
  const members = versions.get(version);
  return members === undefined ? undefined : resourceList(members, `${group}/${version}`);
}
