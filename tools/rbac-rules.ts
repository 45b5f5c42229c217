// Promises: each RBAC rule that the operator needs, once, with the reason. The chart's rules and docs/reference/rbac.md are
// generated from it; the end-to-end tests compare it with the verbs in the API server's audit log. May not import anything.

/** One rule. `where`: `watched` = the namespaces that the operator serves, `own` = the operator's own namespace. */
export interface RBACRule {
  readonly where: 'watched' | 'own';
  readonly apiGroup: string;
  readonly resource: string;
  readonly verbs: readonly string[];
  /** The chart limits the rule to the Lease's name. */
  readonly leaseNameOnly?: true;
  readonly why: string;
}

export const RBAC_RULES: readonly RBACRule[] = [
  {
    where: 'watched',
    apiGroup: 'workloadcredentials.io',
    resource: 'workloadcredentials',
    verbs: ['get', 'list', 'watch'],
    why: 'Reads what is asked for; `get` looks once more before an exchange that an absent Secret caused.',
  },
  {
    where: 'watched',
    apiGroup: 'workloadcredentials.io',
    resource: 'workloadcredentials/status',
    verbs: ['patch'],
    why: 'Tells what was delivered. The operator never writes spec or metadata of the resource.',
  },
  {
    where: 'watched',
    apiGroup: '',
    resource: 'serviceaccounts',
    verbs: ['get', 'list', 'watch'],
    why: 'Reads whether the ServiceAccount exists and consents. Only its metadata is asked for.',
  },
  {
    where: 'watched',
    apiGroup: '',
    resource: 'serviceaccounts/token',
    verbs: ['create'],
    why: "Mints the ten-minute token that is exchanged. This is the operator's most powerful right: limit its namespaces.",
  },
  {
    where: 'watched',
    apiGroup: '',
    resource: 'secrets',
    verbs: ['get', 'list', 'watch', 'create', 'patch', 'delete'],
    why:
      'Writes the credential. Lists and watches ask for metadata by label only, but RBAC cannot express that. ' +
      '`delete` takes away an immutable Secret of ours, with uid and resourceVersion as preconditions.',
  },
  {
    where: 'watched',
    apiGroup: 'events.k8s.io',
    resource: 'events',
    verbs: ['create', 'patch'],
    why: 'Events for first issue, failure and recovery; `patch` counts repetitions.',
  },
  {
    where: 'own',
    apiGroup: 'coordination.k8s.io',
    resource: 'leases',
    verbs: ['create'],
    why: 'Makes the leader election Lease. RBAC cannot limit `create` by name.',
  },
  {
    where: 'own',
    apiGroup: 'coordination.k8s.io',
    resource: 'leases',
    verbs: ['get', 'update'],
    leaseNameOnly: true,
    why: 'Leader election: one replica works, the others stand by.',
  },
];

/** `rules:` entries in YAML for the rules of one place; two spaces of indentation are the caller's to add. */
export function rulesYAML(where: RBACRule['where']): string {
  return RBAC_RULES.filter((rule) => rule.where === where)
    .map((rule) =>
      [
        `- apiGroups: ["${rule.apiGroup}"]`,
        `  resources: ["${rule.resource}"]`,
        ...(rule.leaseNameOnly === true ? ['  resourceNames: [{{ .Values.leaderElection.leaseName | quote }}]'] : []),
        `  verbs: [${rule.verbs.map((verb) => `"${verb}"`).join(', ')}]`,
      ].join('\n'),
    )
    .join('\n');
}
