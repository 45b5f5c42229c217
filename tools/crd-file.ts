// Promises: reads the CRD file, the contract that types, pages and copies are generated from.
// May not change it.
import { readFileSync } from 'node:fs';
import { load } from 'js-yaml';

export const CRD_PATH = 'crds/workloadcredentials.io_workloadcredentials.yaml';

/** The parts of an OpenAPI v3 structural schema that our CRD uses. */
export interface CRDSchema {
  readonly type?: string;
  readonly title?: string;
  readonly description?: string;
  readonly format?: string;
  readonly enum?: readonly string[];
  readonly default?: unknown;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, CRDSchema>>;
  readonly items?: CRDSchema;
  readonly additionalProperties?: CRDSchema;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
  readonly 'x-kubernetes-validations'?: readonly CELRule[];
  readonly 'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map';
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
}

/** One entry of x-kubernetes-validations. */
export interface CELRule {
  readonly rule: string;
  readonly message: string;
  readonly fieldPath?: string;
}

/** One entry of spec.versions. */
export interface CRDVersion {
  readonly name: string;
  readonly served: boolean;
  readonly storage: boolean;
  readonly schema: { readonly openAPIV3Schema: CRDSchema };
  readonly additionalPrinterColumns: readonly {
    readonly name: string;
    readonly type: string;
    readonly jsonPath: string;
    readonly priority?: number;
    readonly description?: string;
  }[];
  readonly selectableFields: readonly { readonly jsonPath: string }[];
}

/** apiextensions.k8s.io/v1 CustomResourceDefinition, as far as we write it. */
export interface CustomResourceDefinition {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string; readonly plural: string; readonly shortNames: readonly string[] };
    readonly versions: readonly CRDVersion[];
  };
}

/** The file's text, comments included. `root` is the repository's folder. */
export function readCRDText(root: URL): string {
  return readFileSync(new URL(CRD_PATH, root), 'utf8');
}

/** The file, parsed. */
export function readCRD(root: URL): CustomResourceDefinition {
  return load(readCRDText(root)) as CustomResourceDefinition;
}

/** The one version. Throws when there is another number of them: the generators know one only. */
export function servedVersion(crd: CustomResourceDefinition): CRDVersion {
  const [version, ...others] = crd.spec.versions;
  if (version === undefined || others.length > 0) {
    throw new Error(`${CRD_PATH} has ${crd.spec.versions.length} versions; the generators know one only`);
  }
  return version;
}
