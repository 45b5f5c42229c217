// Promises: whether a role's trust policy lets a web identity in, read as AWS reads it: an Allow statement for
// sts:AssumeRoleWithWebIdentity, a Federated principal, and conditions on `<issuer host and path>:aud` and `:sub`.
// Operators: StringEquals and StringLike. Everything else refuses: a policy that is not understood must not open a door.

/** A trust policy as written in IAM. */
export interface TrustPolicy {
  readonly Version?: string;
  readonly Statement: TrustStatement | readonly TrustStatement[];
}

interface TrustStatement {
  readonly Effect: string;
  readonly Principal?: { readonly Federated?: string | readonly string[] };
  readonly Action: string | readonly string[];
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
}

/** Who asks. */
export interface WebIdentity {
  /** arn:aws:iam::ACCOUNT:oidc-provider/HOST/PATH */
  readonly providerARN: string;
  /** The issuer without https://, the prefix of condition keys. */
  readonly provider: string;
  readonly subject: string;
  readonly audience: string;
}

const ACTION = 'sts:AssumeRoleWithWebIdentity';

function asList<T extends string | object>(value: T | readonly T[] | undefined): readonly T[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? (value as readonly T[]) : [value as T];
}

/** IAM's wildcards: `*` any text, `?` one character. */
function isLike(text: string, pattern: string): boolean {
  const escaped = pattern.replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`);
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`, 's').test(text);
}

const OPERATORS: Readonly<Record<string, (text: string, wanted: string) => boolean>> = {
  StringEquals: (text, wanted) => text === wanted,
  StringLike: isLike,
};

function conditionHolds(condition: TrustStatement['Condition'], identity: WebIdentity): boolean {
  const values = new Map([
    [`${identity.provider}:sub`, identity.subject],
    [`${identity.provider}:aud`, identity.audience],
  ]);
  return Object.entries(condition ?? {}).every(([name, tests]) => {
    const matches = OPERATORS[name];
    if (matches === undefined) return false;
    return Object.entries(tests).every(([key, wanted]) => {
      const value = values.get(key);
      return value !== undefined && asList(wanted).some((each) => matches(value, each));
    });
  });
}

/** Whether the policy allows this identity to assume the role. */
export function isTrusted(policy: TrustPolicy, identity: WebIdentity): boolean {
  const applies = (statement: TrustStatement): boolean =>
    asList(statement.Action).some((action) => isLike(ACTION.toLowerCase(), action.toLowerCase())) &&
    asList(statement.Principal?.Federated).includes(identity.providerARN) &&
    conditionHolds(statement.Condition, identity);
  const statements = asList<TrustStatement>(policy.Statement).filter(applies);
  return statements.some(({ Effect }) => Effect === 'Allow') && !statements.some(({ Effect }) => Effect === 'Deny');
}
