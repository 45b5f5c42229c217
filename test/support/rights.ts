// Promises: what an operator's user was granted and what it used of that, both as the API server knows them: grants from the
// Roles that are bound to it, uses from the audit log, where each call says which binding allowed it. A record for each chart
// that was installed is left in the directory of the run. It judges nothing: that is rights-judge.ts.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type AuditEvent, calls, describeCall } from './audit.ts';
import type { ClusterClient } from './cluster-client.ts';

/** The variable that names the directory of an end-to-end run; where it is not set nothing is left. */
export const RUN_DIRECTORY = 'E2E_RUN_DIRECTORY';

/** What the chart lets the operator reach. `serviceAccounts` are `namespaces` in which only named ServiceAccounts count. */
export type ScopeName = 'namespaces' | 'serviceAccounts' | 'clusterWide';

/** One verb on one resource. */
export interface Grant {
  /** The operator's own namespace, or those that it serves. */
  readonly where: 'own' | 'watched';
  /** The binding's namespace; undefined for a ClusterRoleBinding. */
  readonly namespace: string | undefined;
  readonly verb: string;
  /** `group/resource` or `group/resource/subresource`; the core group has no name. */
  readonly resource: string;
  /** The only names that it is for; undefined when it is for all. */
  readonly names: readonly string[] | undefined;
}

/** What one installation of a chart had and did, from one `helm` to the next. */
export interface RightsRecord {
  /** The test's file, without its folder. */
  readonly file: string;
  readonly scope: ScopeName;
  /** Whether it was this checkout's chart, and not that of a former release. */
  readonly isPresentChart: boolean;
  /** Each grant in words. */
  readonly granted: readonly string[];
  /** Those that some call needed. */
  readonly used: readonly string[];
  /** Calls that the API server refused for want of a right, or allowed by something else than the chart's bindings. */
  readonly ungranted: readonly string[];
  /**
   * Calls that were refused though a Role that is bound allows them: an API server that has just been started knows no Roles
   * for a moment. That is no matter of what is granted.
   */
  readonly early: readonly string[];
  /** Calls of the program with another user's rights. */
  readonly asOthers: readonly string[];
  /** What was otherwise than the chart makes it at either end: bindings, roles, fences. */
  readonly irregular: readonly string[];
  /** How many calls of the program were looked at. */
  readonly calls: number;
  /** Why the record is not whole; undefined when it is. */
  readonly failure: string | undefined;
}

interface Metadata {
  readonly name: string;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
}
interface Binding {
  readonly metadata: Metadata;
  readonly roleRef: { readonly kind: string; readonly name: string };
  readonly subjects?: readonly { readonly kind: string; readonly namespace?: string; readonly name: string }[];
}
interface Role {
  readonly metadata: Metadata;
  readonly rules?: readonly {
    readonly apiGroups?: readonly string[];
    readonly resources?: readonly string[];
    readonly resourceNames?: readonly string[];
    readonly nonResourceURLs?: readonly string[];
    readonly verbs: readonly string[];
  }[];
}
interface Fence {
  readonly metadata: Metadata & { readonly generation?: number };
  readonly spec: { readonly policyName?: string; readonly validationActions?: readonly string[] };
}

/** Where the operator is, and under which account. */
export interface Place {
  readonly namespace: string;
  readonly account: string;
  readonly release: string;
}

const RBAC = '/apis/rbac.authorization.k8s.io/v1';
const ADMISSION = '/apis/admissionregistration.k8s.io/v1';
const INSTANCE = 'app.kubernetes.io/instance';
/** What the program calls itself; a thief's client in a test has no such name. */
const USER_AGENT = 'workload-credentials/';
/** https://kubernetes.io/docs/reference/labels-annotations-taints/audit-annotations/ */
const DECISION = 'authorization.k8s.io/decision';
const REASON = 'authorization.k8s.io/reason';

/** A grant in words: `own by name: update coordination.k8s.io/leases`. */
export function describeGrant({ where, names, verb, resource }: Grant): string {
  return `${where}${names === undefined ? '' : ' by name'}: ${verb} ${resource}`;
}

/** One namespace's objects, or everybody's. */
async function list<T>(client: ClusterClient, path: string): Promise<readonly T[]> {
  return (await client.get<{ readonly items: readonly T[] }>(path))?.items ?? [];
}

/** The bindings of an account with the roles that they name. */
async function boundRoles(
  client: ClusterClient,
  { namespace, account }: Place,
): Promise<{ readonly binding: Binding; readonly role: Role | undefined }[]> {
  const isOurs = ({ subjects = [] }: Binding): boolean =>
    subjects.some((each) => each.kind === 'ServiceAccount' && each.namespace === namespace && each.name === account);
  const bindings = [
    ...(await list<Binding>(client, `${RBAC}/clusterrolebindings`)),
    ...(await list<Binding>(client, `${RBAC}/rolebindings`)),
  ].filter(isOurs);
  const roles = await list<Role>(client, `${RBAC}/roles`);
  const clusterRoles = await list<Role>(client, `${RBAC}/clusterroles`);
  return bindings.map((binding) => {
    const { kind, name } = binding.roleRef;
    const isNamed = ({ metadata }: Role): boolean =>
      metadata.name === name && (kind === 'ClusterRole' || metadata.namespace === binding.metadata.namespace);
    return { binding, role: (kind === 'ClusterRole' ? clusterRoles : roles).find(isNamed) };
  });
}

function grantsOf(binding: Binding, role: Role | undefined, place: Place): Grant[] {
  const { namespace } = binding.metadata;
  const where = namespace === place.namespace ? 'own' : 'watched';
  return (role?.rules ?? []).flatMap(
    ({ apiGroups = [], resources = [], resourceNames, nonResourceURLs = [], verbs }) => {
      const whats = [...apiGroups.flatMap((group) => resources.map((what) => `${group}/${what}`)), ...nonResourceURLs];
      return whats.flatMap((resource) =>
        verbs.map((verb) => ({ where, namespace, verb, resource, names: resourceNames })),
      );
    },
  );
}

/** Everything that the account may do. */
export async function grants(client: ClusterClient, place: Place): Promise<Grant[]> {
  return (await boundRoles(client, place)).flatMap(({ binding, role }) => grantsOf(binding, role, place));
}

/** `group/resource/subresource` of a call. */
export function resourceOf({ objectRef }: AuditEvent): string | undefined {
  if (objectRef === undefined) return undefined;
  const { apiGroup = '', resource, subresource } = objectRef;
  return `${apiGroup}/${resource}${subresource === undefined ? '' : `/${subresource}`}`;
}

/** The narrowest of the grants that a call needed. */
export function grantFor(event: AuditEvent, all: readonly Grant[]): Grant | undefined {
  const { namespace, name } = event.objectRef ?? {};
  const isEnough = (grant: Grant): boolean =>
    grant.verb === event.verb &&
    grant.resource === resourceOf(event) &&
    (grant.namespace === undefined || grant.namespace === namespace) &&
    (grant.names === undefined || (name !== undefined && grant.names.includes(name)));
  const enough = all.filter(isEnough);
  return enough.find(({ names }) => names !== undefined) ?? enough[0];
}

/** The chart's bindings as the authorizer names them: `RoleBinding "wc/shop"`, `ClusterRoleBinding "wc"`. */
function nameOfBinding({ metadata: { name, namespace } }: Binding): string {
  return namespace === undefined ? `ClusterRoleBinding "${name}"` : `RoleBinding "${name}/${namespace}"`;
}

/** What an installation is made of, for a look at both ends of its time. */
interface Snapshot {
  readonly grants: readonly Grant[];
  readonly bindings: readonly string[];
  /** The fences that deny, as `name@generation`. */
  readonly fences: readonly string[];
  readonly foreign: readonly string[];
}

async function snapshot(client: ClusterClient, place: Place): Promise<Snapshot> {
  const bound = await boundRoles(client, place);
  const isOurs = ({ labels = {} }: Metadata): boolean => labels[INSTANCE] === place.release;
  const policies = await list<Fence>(client, `${ADMISSION}/validatingadmissionpolicies`);
  const inForce = (await list<Fence>(client, `${ADMISSION}/validatingadmissionpolicybindings`)).flatMap(
    ({ metadata, spec: { policyName, validationActions = [] } }) => {
      const policy = policies.find((each) => each.metadata.name === policyName);
      const counts = policy !== undefined && isOurs(metadata) && validationActions.includes('Deny');
      return counts ? [`${policy.metadata.name}@${policy.metadata.generation}`] : [];
    },
  );
  return {
    grants: bound.flatMap(({ binding, role }) => grantsOf(binding, role, place)),
    bindings: bound.map(({ binding }) => nameOfBinding(binding)),
    fences: inForce.toSorted(),
    foreign: bound.filter(({ binding }) => !isOurs(binding.metadata)).map(({ binding }) => nameOfBinding(binding)),
  };
}

/** How many policies the chart has. */
const FENCES = 4;

function irregularities(first: Snapshot, last: Snapshot): string[] {
  // A namespace that was deleted has taken its Roles along; what the others grant is the same.
  const words = ({ grants: all }: Snapshot): string => [...new Set(all.map(describeGrant))].toSorted().join('\n');
  const foreign = new Set([...first.foreign, ...last.foreign]);
  return [
    ...[...foreign].map((name) => `${name} is bound to the operator and is not the chart's`),
    ...(first.fences.length === FENCES ? [] : [`${first.fences.length} of ${FENCES} fences in force`]),
    ...(first.fences.join() === last.fences.join() ? [] : ['the fences were changed by somebody else than Helm']),
    ...(words(first) === words(last) ? [] : ['the Roles were changed by somebody else than Helm']),
  ];
}

/** Sorts the program's calls into uses of grants and others. */
function sortCalls(
  events: readonly AuditEvent[],
  username: string,
  { grants: all, bindings }: Snapshot,
): Pick<RightsRecord, 'used' | 'ungranted' | 'early' | 'asOthers' | 'calls'> {
  const used = new Set<string>();
  const ungranted = new Set<string>();
  const early = new Set<string>();
  const asOthers = new Set<string>();
  const own = calls(events).filter(({ userAgent = '' }) => userAgent.startsWith(USER_AGENT));
  for (const event of own) {
    const { [DECISION]: decision, [REASON]: reason = '' } = event.annotations ?? {};
    // Without a decision it was not let in at all: a token that is no longer good, say.
    if (decision === undefined) continue;
    const grant = grantFor(event, all);
    if (event.user.username !== username) asOthers.add(`${event.user.username}: ${describeCall(event)}`);
    else if (decision !== 'allow' && grant !== undefined) early.add(describeCall(event));
    else if (decision !== 'allow') ungranted.add(`refused: ${describeCall(event)}`);
    else if (grant === undefined) ungranted.add(`allowed by no rule of the chart: ${describeCall(event)} (${reason})`);
    else if (!bindings.some((name) => reason.includes(name))) ungranted.add(`${describeCall(event)}: ${reason}`);
    else used.add(describeGrant(grant));
  }
  const sorted = (set: ReadonlySet<string>): string[] => [...set].toSorted();
  return {
    used: sorted(used),
    ungranted: sorted(ungranted),
    early: sorted(early),
    asOthers: sorted(asOthers),
    calls: own.length,
  };
}

/** What is watched of one installation. */
export interface Period {
  readonly scope: ScopeName;
  readonly isPresentChart: boolean;
  readonly place: Place;
}

/** Keeps the records of one control plane, if the run asks for them. */
export class RightsKeeper {
  readonly #client: ClusterClient;
  readonly #audit: () => Promise<AuditEvent[]>;
  readonly #directory = process.env[RUN_DIRECTORY] ?? '';
  readonly #records: RightsRecord[] = [];
  #period: (Period & { readonly first: Snapshot; readonly sinceMs: number }) | undefined;

  constructor(client: ClusterClient, audit: () => Promise<AuditEvent[]>) {
    this.#client = client;
    this.#audit = audit;
  }

  /** A chart has been installed. */
  async begin(period: Period): Promise<void> {
    if (this.#directory === '') return;
    const first = await snapshot(this.#client, period.place);
    this.#period = { ...period, first, sinceMs: Date.now() };
  }

  /** Something else is about to be installed: what the program asks for while that happens is nobody's. */
  async end(): Promise<void> {
    const period = this.#period;
    if (period === undefined) return;
    this.#period = undefined;
    const { scope, isPresentChart, place, first, sinceMs } = period;
    const head = { file: basename(process.argv[1] ?? ''), scope, isPresentChart };
    const granted = [...new Set(first.grants.map(describeGrant))].toSorted();
    try {
      const irregular = irregularities(first, await snapshot(this.#client, place));
      // A watch of the time before is told a second time when it ends.
      const isSince = (event: AuditEvent): boolean => Date.parse(event.requestReceivedTimestamp) >= sinceMs;
      const events = (await this.#audit()).filter(isSince);
      const username = `system:serviceaccount:${place.namespace}:${place.account}`;
      this.#records.push({ ...head, granted, irregular, failure: undefined, ...sortCalls(events, username, first) });
    } catch (error) {
      const nothing = { used: [], ungranted: [], early: [], asOthers: [], irregular: [], calls: 0 };
      this.#records.push({ ...head, granted, ...nothing, failure: (error as Error).message });
    }
  }

  /** Ends what has not ended, and leaves the records in the directory of the run. */
  async leave(): Promise<void> {
    await this.end();
    if (this.#directory === '' || this.#records.length === 0) return;
    mkdirSync(this.#directory, { recursive: true });
    const name = `${basename(process.argv[1] ?? '')}.${process.pid}.${Math.trunc(performance.now())}.json`;
    writeFileSync(join(this.#directory, name), JSON.stringify(this.#records));
  }
}

/** Every record that a run has left. */
export function recordsIn(directory: string): RightsRecord[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.json'))
    .toSorted()
    .flatMap((name) => JSON.parse(readFileSync(join(directory, name), 'utf8')) as RightsRecord[]);
}
