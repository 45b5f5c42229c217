// Promises: spec.volcengine with its defaults, every rule of Volcengine's block checked: names of roles, session policy,
// chain. Pure. May import api only.
import { need } from './refusal.ts';
import { resolveRoleChain } from './resolve-role-chain.ts';
import { type Block, needRegion, resolveAudience } from './resolve-sts.ts';
import type { ResolvedVolcengine, RoleHop } from './resolved.ts';
import { needSessionPolicy, VOLCENGINE_POLICY } from './session-policy.ts';
import type { VolcengineSpec } from './types.gen.ts';

const BLOCK: Block = { field: 'spec.volcengine', cloud: 'Volcengine' };
/** Not the name of the API's host: https://www.volcengine.com/docs/6460/1324613 */
const AUDIENCE = 'sts.volcengine.com';
/** https://www.volcengine.com/docs/6257/1494877 : trn:iam::<account>:role/<name>. */
const ROLE_TRN = /^trn:iam::[0-9]{1,32}:role\/[A-Za-z0-9._@-]{1,64}$/;
const MAX_TRN_LENGTH = 512;
const ROLE_FIX = 'use the TRN of an IAM role, such as trn:iam::2100000001:role/orders.';
/** Volcengine's own resource tags: https://www.volcengine.com/docs/6649/1314322 ; no page gives a limit of session tags. */
const MAX_TAGS = 20;
const RESERVED_PREFIXES: readonly string[] = ['volc:', 'sys:'];

/**
 * Resolves spec.volcengine.
 * @throws Refusal.
 */
export function resolveVolcengine(spec: VolcengineSpec): ResolvedVolcengine {
  need(isRole(spec.roleTRN), 'spec.volcengine.roleTRN', spec.roleTRN, ROLE_FIX);
  needRegion(BLOCK, spec.region, 'cn-beijing');
  const audience = resolveAudience(BLOCK, spec.audience, AUDIENCE);
  const roleChain = resolveChain(spec);
  needSessionPolicy(BLOCK, spec.sessionPolicy, VOLCENGINE_POLICY);
  return {
    cloud: 'Volcengine',
    roleTRN: spec.roleTRN,
    region: spec.region,
    audience,
    roleChain,
    ...(spec.endpoint === undefined ? {} : { endpoint: spec.endpoint }),
    ...(spec.sessionPolicy === undefined ? {} : { sessionPolicy: spec.sessionPolicy }),
  };
}

function isRole(role: string): boolean {
  return ROLE_TRN.test(role) && role.length <= MAX_TRN_LENGTH;
}

/** AssumeRole of Volcengine takes tags, but no external id, and passes no tag on. */
function resolveChain({ roleChain = [] }: VolcengineSpec): readonly RoleHop[] {
  const hops = roleChain.map(({ roleTRN: role, tags }) => ({
    role,
    tags: tags?.map(({ key, value }) => ({ key, value })),
  }));
  return resolveRoleChain(BLOCK, hops, {
    roleField: 'roleTRN',
    isRole,
    roleFix: ROLE_FIX,
    maxTags: MAX_TAGS,
    reservedPrefixes: RESERVED_PREFIXES,
  });
}
