// Promises: the shapes of a resolved resource: what resolve.ts makes of a spec, with defaults filled in and every rule
// checked. Types, and what reads off them directly. May import nothing.

/** A session tag of a hop. */
export interface SessionTag {
  readonly key: string;
  readonly value: string;
  /** AWS only: the tag goes on to the next hop. Absent where the resource does not say true. */
  readonly transitive?: true;
}

/** One further AssumeRole after the exchange of the token. */
export interface RoleHop {
  /** ARN, or TRN at Volcengine. */
  readonly role: string;
  /** AWS and Alibaba Cloud. */
  readonly externalID?: string;
  /** AWS and Volcengine; empty where there is none. */
  readonly tags: readonly SessionTag[];
}

/** spec.aws, resolved. */
export interface ResolvedAWS {
  readonly cloud: 'AWS';
  readonly roleARN: string;
  readonly region: string;
  readonly audience: string;
  /** Absent: the cloud's own endpoint for region and type. */
  readonly endpoint?: string;
  readonly endpointType: 'Regional' | 'FIPS' | 'DualStack' | 'FIPSDualStack';
  readonly policyARNs: readonly string[];
  readonly sessionPolicy?: string;
  readonly roleChain: readonly RoleHop[];
}

/** spec.alibabaCloud, resolved. */
export interface ResolvedAlibabaCloud {
  readonly cloud: 'AlibabaCloud';
  readonly roleARN: string;
  readonly oidcProviderARN: string;
  readonly region: string;
  readonly audience: string;
  /** Absent: the cloud's own endpoint for region and network. */
  readonly endpoint?: string;
  readonly network: 'Public' | 'VPC';
  readonly sessionPolicy?: string;
  readonly roleChain: readonly RoleHop[];
}

/** spec.volcengine, resolved. */
export interface ResolvedVolcengine {
  readonly cloud: 'Volcengine';
  readonly roleTRN: string;
  readonly region: string;
  readonly audience: string;
  /** Absent: the cloud's own endpoint for the region. */
  readonly endpoint?: string;
  readonly sessionPolicy?: string;
  readonly roleChain: readonly RoleHop[];
}

/** The exchange's inputs: what the request-hash covers. */
export type ResolvedExchange = ResolvedAWS | ResolvedAlibabaCloud | ResolvedVolcengine;

/** The role that the token is exchanged for: the first of a chain. */
export function firstRole(exchange: ResolvedExchange): string {
  return exchange.cloud === 'Volcengine' ? exchange.roleTRN : exchange.roleARN;
}

/** The role whose credentials are delivered: the last of a chain. */
export function deliveredRole(exchange: ResolvedExchange): string {
  return exchange.roleChain.at(-1)?.role ?? firstRole(exchange);
}

/** How many calls to STS an exchange is: each hop of a chain is one more. */
export function callsOf(exchange: ResolvedExchange): number {
  return 1 + exchange.roleChain.length;
}

/** The account of the first role, by which STS counts its quotas; '' for an ARN or TRN of a form that no cloud has. */
export function accountOf(exchange: ResolvedExchange): string {
  return /^(?:arn:[a-z-]+:iam|acs:ram|trn:iam)::([0-9]+):/.exec(firstRole(exchange))?.[1] ?? '';
}

/** What the Secret is rendered in. */
export type Format = 'Files' | 'Environment' | 'StaticFile';

/** spec.secret, resolved. */
export interface ResolvedSecret {
  readonly name: string;
  readonly formats: readonly Format[];
  readonly mountPath: string;
  /** Further keys; values are templates of the closed list of placeholders. */
  readonly data: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly deletionPolicy: 'Delete' | 'Retain';
}

/** spec, resolved. */
export interface ResolvedCredential {
  readonly serviceAccountName: string;
  readonly exchange: ResolvedExchange;
  readonly durationSeconds: number;
  readonly refreshBeforeSeconds: number | undefined;
  readonly suspend: boolean;
  readonly secret: ResolvedSecret;
}

/** A field that cannot work; the message names field, value and fix. */
export interface Violation {
  readonly code: 'InvalidSpec';
  readonly message: string;
}

/** Either all is well, or the first thing that is not. */
export type Resolution =
  | { readonly resolved: ResolvedCredential; readonly violation?: undefined }
  | { readonly resolved?: undefined; readonly violation: Violation };
