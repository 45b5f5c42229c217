// Promises: whether a role's trust policy lets a caller in, read as the three clouds read it: an Allow statement for the
// action, the caller as a principal of the right kind, and conditions on what is known of the call. Operators: StringEquals and
// StringLike. What is not understood never opens a door: an Allow with it does not apply, a Deny with it does.

/** A trust policy as written in IAM or RAM. */
export interface TrustPolicy {
  readonly Version?: string;
  readonly Statement: TrustStatement | readonly TrustStatement[];
}

/** One statement of it. */
export interface TrustStatement {
  readonly Effect: string;
  /** AWS and Federated in AWS, RAM and Federated in Alibaba Cloud, IAM and Federated in Volcengine. */
  readonly Principal?: Readonly<Record<string, string | readonly string[]>>;
  readonly Action: string | readonly string[];
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
}

/** One question to a policy. */
export interface TrustRequest {
  /** `sts:AssumeRole` and its like. */
  readonly action: string;
  /** The kind of principal that the caller is: a key of Principal. */
  readonly principalKind: string;
  /** The names under which a statement may name the caller. */
  readonly principals: readonly string[];
  /** Condition keys and what they are in this call; a key that is absent matches nothing. */
  readonly values: ReadonlyMap<string, string | readonly string[]>;
}

function asList<T extends string | object>(value: T | readonly T[] | undefined): readonly T[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? (value as readonly T[]) : [value as T];
}

/** The wildcards of policies: `*` any text, `?` one character. */
function isLike(text: string, pattern: string): boolean {
  const escaped = pattern.replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`);
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`, 's').test(text);
}

const OPERATORS: Readonly<Record<string, (text: string, wanted: string) => boolean>> = {
  StringEquals: (text, wanted) => text === wanted,
  StringLike: isLike,
};

function conditionHolds({ Condition = {}, Effect }: TrustStatement, { values }: TrustRequest): boolean {
  return Object.entries(Condition).every(([name, tests]) => {
    const matches = OPERATORS[name];
    if (matches === undefined) return Effect === 'Deny';
    return Object.entries(tests).every(([key, wanted]) => {
      const seen = asList(values.get(key));
      return seen.some((value) => asList(wanted).some((each) => matches(value, each)));
    });
  });
}

function applies(statement: TrustStatement, request: TrustRequest): boolean {
  const actions = asList(statement.Action).map((action) => action.toLowerCase());
  return (
    actions.some((action) => isLike(request.action.toLowerCase(), action)) &&
    asList(statement.Principal?.[request.principalKind]).some((named) => request.principals.includes(named)) &&
    conditionHolds(statement, request)
  );
}

/** Whether the policy allows the call: some Allow applies and no Deny does. */
export function isTrusted(policy: TrustPolicy, request: TrustRequest): boolean {
  const statements = asList<TrustStatement>(policy.Statement).filter((statement) => applies(statement, request));
  return statements.some(({ Effect }) => Effect === 'Allow') && !statements.some(({ Effect }) => Effect === 'Deny');
}
