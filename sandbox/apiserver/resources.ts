// Promises: which resources are served, and the rules of each: built-in ones from a table, the rest from the
// CustomResourceDefinitions in the store. Adding a built-in resource is a line here.
import type { ResourceNames } from './status.ts';
import type { Schema } from './structural-schema.ts';
import type { KubeObject } from './store.ts';

/** One column of `kubectl get`. */
export interface PrinterColumn {
  readonly name: string;
  readonly type: string;
  readonly jsonPath: string;
  readonly description?: string;
  readonly format?: string;
  readonly priority?: number;
}

/** One resource in one version. */
export interface ResourceType extends ResourceNames {
  readonly version: string;
  readonly singular: string;
  readonly namespaced: boolean;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly custom: boolean;
  /** The main endpoint ignores status, and the status endpoint everything else. */
  readonly statusSubresource: boolean;
  /** metadata.generation counts changes of the spec. */
  readonly generation: boolean;
  /** PUT without resourceVersion overwrites. */
  readonly unconditionalUpdate: boolean;
  /** PUT of what does not exist creates it. */
  readonly createOnUpdate: boolean;
  /** Where it is stored: `group/plural`. */
  readonly collection: string;
  readonly fields: readonly string[];
  readonly columns?: readonly PrinterColumn[];
  readonly schema?: Schema;
}

export const CRD_COLLECTION = 'apiextensions.k8s.io/customresourcedefinitions';
export const NAMESPACES = '/namespaces';
export const EVENTS = '/events';
export const LEASES = 'coordination.k8s.io/leases';

interface BuiltIn {
  readonly gvk: readonly [group: string, version: string, kind: string];
  readonly names: readonly [plural: string, singular: string, ...shortNames: string[]];
  readonly flags?: Partial<ResourceType>;
}

const EVENT_FIELDS = [
  ...['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'].map(
    (f) => `involvedObject.${f}`,
  ),
  'reason',
  'reportingComponent',
  'type',
];
const EVENT_FLAGS = { createOnUpdate: true, collection: EVENTS, fields: EVENT_FIELDS };

const RBAC_FLAGS = { createOnUpdate: true };

const BUILT_IN: readonly BuiltIn[] = [
  {
    gvk: ['', 'v1', 'Namespace'],
    names: ['namespaces', 'namespace', 'ns'],
    flags: { namespaced: false, statusSubresource: true, fields: ['status.phase'] },
  },
  { gvk: ['', 'v1', 'Secret'], names: ['secrets', 'secret'], flags: { fields: ['type'] } },
  { gvk: ['', 'v1', 'ServiceAccount'], names: ['serviceaccounts', 'serviceaccount', 'sa'] },
  { gvk: ['', 'v1', 'ConfigMap'], names: ['configmaps', 'configmap', 'cm'] },
  {
    gvk: ['', 'v1', 'Pod'],
    names: ['pods', 'pod', 'po'],
    flags: {
      statusSubresource: true,
      generation: true,
      fields: ['spec.nodeName', 'status.phase'],
      categories: ['all'],
    },
  },
  { gvk: ['', 'v1', 'Event'], names: ['events', 'event', 'ev'], flags: EVENT_FLAGS },
  { gvk: ['events.k8s.io', 'v1', 'Event'], names: ['events', 'event', 'ev'], flags: EVENT_FLAGS },
  {
    gvk: ['coordination.k8s.io', 'v1', 'Lease'],
    names: ['leases', 'lease'],
    flags: { createOnUpdate: true, unconditionalUpdate: false },
  },
  { gvk: ['rbac.authorization.k8s.io', 'v1', 'Role'], names: ['roles', 'role'], flags: RBAC_FLAGS },
  {
    gvk: ['rbac.authorization.k8s.io', 'v1', 'RoleBinding'],
    names: ['rolebindings', 'rolebinding'],
    flags: RBAC_FLAGS,
  },
  {
    gvk: ['rbac.authorization.k8s.io', 'v1', 'ClusterRole'],
    names: ['clusterroles', 'clusterrole'],
    flags: { ...RBAC_FLAGS, namespaced: false },
  },
  {
    gvk: ['rbac.authorization.k8s.io', 'v1', 'ClusterRoleBinding'],
    names: ['clusterrolebindings', 'clusterrolebinding'],
    flags: { ...RBAC_FLAGS, namespaced: false },
  },
  // Stored and shown only, so that the chart and the manifests can be applied: nothing runs.
  {
    gvk: ['apps', 'v1', 'Deployment'],
    names: ['deployments', 'deployment', 'deploy'],
    flags: { statusSubresource: true, generation: true, categories: ['all'] },
  },
  { gvk: ['', 'v1', 'Service'], names: ['services', 'service', 'svc'], flags: { categories: ['all'] } },
  {
    gvk: ['apiextensions.k8s.io', 'v1', 'CustomResourceDefinition'],
    names: ['customresourcedefinitions', 'customresourcedefinition', 'crd', 'crds'],
    flags: { namespaced: false, statusSubresource: true, generation: true, unconditionalUpdate: false },
  },
];

const BUILT_IN_TYPES: readonly ResourceType[] = BUILT_IN.map(({ gvk: [group, version, kind], names, flags }) => {
  const [plural, singular, ...shortNames] = names;
  return {
    group,
    version,
    kind,
    plural,
    singular,
    shortNames,
    categories: [],
    custom: false,
    namespaced: true,
    statusSubresource: false,
    generation: false,
    unconditionalUpdate: true,
    createOnUpdate: false,
    collection: `${group}/${plural}`,
    fields: [],
    ...flags,
  };
});

interface CRDSpec {
  readonly group: string;
  readonly scope: string;
  readonly names: {
    readonly plural: string;
    readonly kind: string;
    readonly singular?: string;
    readonly shortNames?: readonly string[];
    readonly categories?: readonly string[];
  };
  readonly versions: readonly {
    readonly name: string;
    readonly served: boolean;
    readonly subresources?: { readonly status?: object };
    readonly additionalPrinterColumns?: readonly PrinterColumn[];
    readonly selectableFields?: readonly { readonly jsonPath: string }[];
    readonly schema?: { readonly openAPIV3Schema?: Schema };
  }[];
}

/** What a CustomResourceDefinition without columns of its own shows. */
const AGE_COLUMN: PrinterColumn = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };

function fromCRD(crd: KubeObject): ResourceType[] {
  const { group, scope, names, versions } = crd['spec'] as CRDSpec;
  return versions
    .filter((version) => version.served)
    .map((version) => ({
      group,
      version: version.name,
      kind: names.kind,
      plural: names.plural,
      custom: true,
      singular: names.singular ?? names.kind.toLowerCase(),
      namespaced: scope === 'Namespaced',
      shortNames: names.shortNames ?? [],
      categories: names.categories ?? [],
      statusSubresource: version.subresources?.status !== undefined,
      generation: true,
      unconditionalUpdate: false,
      createOnUpdate: false,
      collection: `${group}/${names.plural}`,
      fields: (version.selectableFields ?? []).map((field) => field.jsonPath.replace(/^\./, '')),
      columns: version.additionalPrinterColumns ?? [AGE_COLUMN],
      ...(version.schema?.openAPIV3Schema === undefined ? {} : { schema: version.schema.openAPIV3Schema }),
    }));
}

/** Whether a definition's names were accepted: only then its resources are served. */
export function isEstablished(crd: KubeObject): boolean {
  const { conditions } = (crd['status'] ?? {}) as { conditions?: readonly Record<string, unknown>[] | null };
  return (conditions ?? []).some(({ type, status }) => type === 'Established' && status === 'True');
}

/** Everything that is served, given the CustomResourceDefinitions in the store. */
export function servedTypes(crds: readonly KubeObject[]): ResourceType[] {
  return [...BUILT_IN_TYPES, ...crds.filter(isEstablished).flatMap(fromCRD)];
}

/** `v1` or `group/version`. */
export function groupVersion(type: { readonly group: string; readonly version: string }): string {
  return type.group === '' ? type.version : `${type.group}/${type.version}`;
}
