// Promises: the review resources by which clients ask who they are and what they may do: answered, never stored.
import type { Attributes, PolicyRule } from './rbac.ts';
import type { User } from './tokens.ts';

interface ReviewSpec {
  readonly resourceAttributes?: {
    readonly namespace?: string;
    readonly verb?: string;
    readonly group?: string;
    readonly resource?: string;
    readonly subresource?: string;
    readonly name?: string;
  };
  readonly nonResourceAttributes?: { readonly path?: string; readonly verb?: string };
  readonly user?: string;
  readonly groups?: readonly string[];
  readonly namespace?: string;
}

function attributesOf({ resourceAttributes, nonResourceAttributes }: ReviewSpec): Attributes {
  if (resourceAttributes === undefined) {
    return { verb: nonResourceAttributes?.verb ?? '', path: nonResourceAttributes?.path ?? '' };
  }
  const { verb = '', namespace, subresource, name, ...rest } = resourceAttributes;
  const optional = (text: string | undefined): string | undefined => (text === '' ? undefined : text);
  return { ...rest, verb, namespace: optional(namespace), subresource: optional(subresource), name: optional(name) };
}

/** Resources that are only asked, never stored: `group/plural`, and the kind. */
export const REVIEWS: Readonly<Record<string, string>> = {
  'authentication.k8s.io/selfsubjectreviews': 'SelfSubjectReview',
  'authorization.k8s.io/selfsubjectaccessreviews': 'SelfSubjectAccessReview',
  'authorization.k8s.io/selfsubjectrulesreviews': 'SelfSubjectRulesReview',
  'authorization.k8s.io/subjectaccessreviews': 'SubjectAccessReview',
};

/** Answers one of REVIEWS. `reason` is the server's own answer, which may be wider than the roles. */
export function answerReview(
  kind: string,
  review: { readonly apiVersion: string; readonly now: string; readonly spec?: ReviewSpec },
  user: User,
  access: {
    reason(user: User, what: Attributes): string | undefined;
    rules(user: User, namespace: string): readonly PolicyRule[];
  },
): object {
  const { apiVersion, spec = {} } = review;
  const shown = { kind, apiVersion, metadata: {} };
  if (kind === 'SelfSubjectReview') {
    const { name: username, uid, groups, extra } = user;
    const metadata = { creationTimestamp: review.now };
    const userInfo = {
      username,
      ...(uid === undefined ? {} : { uid }),
      groups,
      ...(extra === undefined ? {} : { extra }),
    };
    return { ...shown, metadata, status: { userInfo } };
  }
  if (kind === 'SelfSubjectRulesReview') {
    const rules = access.rules(user, spec.namespace ?? '');
    const resourceRules = rules.filter((rule) => rule.resources !== undefined);
    const nonResourceRules = rules.filter((rule) => rule.nonResourceURLs !== undefined);
    return { ...shown, spec: {}, status: { resourceRules, nonResourceRules, incomplete: false } };
  }
  const subject = kind === 'SubjectAccessReview' ? { name: spec.user ?? '', groups: spec.groups ?? [] } : user;
  const reason = access.reason(subject, attributesOf(spec));
  const status = { allowed: reason !== undefined, ...(reason ? { reason } : {}) };
  return { ...shown, spec, status };
}
