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
  /** The chart limits the rule to the ServiceAccounts that its values name for the namespace, if they name any. */
  readonly namedServiceAccountsOnly?: true;
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
    namedServiceAccountsOnly: true,
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

/** Who uses the resource, and what for. The chart makes a ClusterRole of each; none is bound, and none is the operator's. */
export const USER_ROLES = {
  view: { verbs: ['get', 'list', 'watch'], why: 'Sees what is asked for and how it stands. Not the Secret.' },
  edit: {
    verbs: ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'],
    why: 'Asks for credentials of ServiceAccounts that consent, in its namespace.',
  },
  admin: {
    verbs: ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'],
    why: 'As edit, and may delete all of a namespace at once.',
  },
} as const satisfies Readonly<Record<string, { readonly verbs: readonly string[]; readonly why: string }>>;

/** The template line that narrows a rule to names; none for most rules. */
function resourceNamesYAML(rule: RBACRule): string[] {
  if (rule.leaseNameOnly === true) return ['  resourceNames: [{{ .Values.leaderElection.leaseName | quote }}]'];
  return rule.namedServiceAccountsOnly === true
    ? ['  {{- with .serviceAccounts }}', '  resourceNames: {{ toJson . }}', '  {{- end }}']
    : [];
}

const verbsYAML = (verbs: readonly string[]): string => `  verbs: [${verbs.map((verb) => `"${verb}"`).join(', ')}]`;

/**
 * `rules:` entries of a chart's template for the rules of one place; two spaces of indentation are the caller's to add. It is
 * included with `.serviceAccounts` (`watched`) or with the chart's own context (`own`).
 */
export function rulesYAML(where: RBACRule['where']): string {
  return RBAC_RULES.filter((rule) => rule.where === where)
    .map((rule) =>
      [
        `- apiGroups: ["${rule.apiGroup}"]`,
        `  resources: ["${rule.resource}"]`,
        ...resourceNamesYAML(rule),
        verbsYAML(rule.verbs),
      ].join('\n'),
    )
    .join('\n');
}

/** The same for one of USER_ROLES. Status is the operator's to write: nobody else's role has it. */
export function userRulesYAML(role: keyof typeof USER_ROLES): string {
  return [
    '- apiGroups: ["workloadcredentials.io"]',
    '  resources: ["workloadcredentials"]',
    verbsYAML(USER_ROLES[role].verbs),
    '- apiGroups: ["workloadcredentials.io"]',
    '  resources: ["workloadcredentials/status"]',
    verbsYAML(['get']),
  ].join('\n');
}
