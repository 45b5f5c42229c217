// Promises: spec.alibabaCloud with its defaults, every rule of Alibaba Cloud's block checked: names of role and provider,
// both of one account, network, session policy, chain. Pure. May import api only.
import { need } from './refusal.ts';
import { resolveRoleChain } from './resolve-role-chain.ts';
import { type Block, needRegion, resolveAudience } from './resolve-sts.ts';
import type { ResolvedAlibabaCloud, RoleHop } from './resolved.ts';
import { ALIBABA_CLOUD_POLICY, needSessionPolicy } from './session-policy.ts';
import type { AlibabaCloudSpec } from './types.gen.ts';

const BLOCK: Block = { field: 'spec.alibabaCloud', cloud: 'Alibaba Cloud' };
/** https://github.com/AliyunContainerService/ack-ram-tool/blob/main/pkg/types/ram.go */
const AUDIENCE = 'sts.aliyuncs.com';
/** https://www.alibabacloud.com/help/en/ram/user-guide/ram-role-overview : acs:ram::<account>:role/<name>. */
const ROLE_ARN = /^acs:ram::[0-9]{1,32}:role\/[A-Za-z0-9._@-]{1,64}$/;
/** https://www.alibabacloud.com/help/en/ram/developer-reference/api-ims-2019-08-15-createoidcprovider */
const PROVIDER_ARN = /^acs:ram::[0-9]{1,32}:oidc-provider\/[A-Za-z0-9._@-]{1,128}$/;
const MAX_ARN_LENGTH = 512;
const ROLE_FIX = 'use the ARN of a RAM role, such as acs:ram::1234567890123456:role/orders.';
const NETWORKS: readonly string[] = ['Public', 'VPC'];

/**
 * Resolves spec.alibabaCloud.
 * @throws Refusal.
 */
export function resolveAlibabaCloud(spec: AlibabaCloudSpec): ResolvedAlibabaCloud {
  need(isRole(spec.roleARN), 'spec.alibabaCloud.roleARN', spec.roleARN, ROLE_FIX);
  needProvider(spec);
  needRegion(BLOCK, spec.region, 'cn-hangzhou');
  const audience = resolveAudience(BLOCK, spec.audience, AUDIENCE);
  const network = resolveNetwork(spec);
  const roleChain = resolveChain(spec);
  needSessionPolicy(BLOCK, spec.sessionPolicy, ALIBABA_CLOUD_POLICY);
  return {
    cloud: 'AlibabaCloud',
    roleARN: spec.roleARN,
    oidcProviderARN: spec.oidcProviderARN,
    region: spec.region,
    audience,
    network,
    roleChain,
    ...(spec.endpoint === undefined ? {} : { endpoint: spec.endpoint }),
    ...(spec.sessionPolicy === undefined ? {} : { sessionPolicy: spec.sessionPolicy }),
  };
}

function isRole(role: string): boolean {
  return ROLE_ARN.test(role) && role.length <= MAX_ARN_LENGTH;
}

function accountOf(arn: string): string {
  return arn.split(':')[3] ?? '';
}

/** The provider that a role trusts is one of its own account: roles and providers are both RAM's, which is per account. */
function needProvider({ roleARN, oidcProviderARN }: AlibabaCloudSpec): void {
  const field = 'spec.alibabaCloud.oidcProviderARN';
  need(
    PROVIDER_ARN.test(oidcProviderARN) && oidcProviderARN.length <= MAX_ARN_LENGTH,
    field,
    oidcProviderARN,
    'use the ARN of a RAM OIDC provider, such as acs:ram::1234567890123456:oidc-provider/ack-rrsa-c123.',
  );
  need(
    accountOf(oidcProviderARN) === accountOf(roleARN),
    field,
    oidcProviderARN,
    `use a provider of account ${accountOf(roleARN)}, which has the role of spec.alibabaCloud.roleARN; a role of another account goes into roleChain.`,
  );
}

function resolveNetwork({ endpoint, network = 'Public' }: AlibabaCloudSpec): ResolvedAlibabaCloud['network'] {
  need(NETWORKS.includes(network), 'spec.alibabaCloud.network', network, `use ${NETWORKS.join(' or ')}.`);
  need(
    endpoint === undefined || network === 'Public',
    'spec.alibabaCloud.network',
    network,
    'remove it or spec.alibabaCloud.endpoint: it chooses among the own endpoints of Alibaba Cloud.',
  );
  return network;
}

/** AssumeRole of Alibaba Cloud takes no session tags. */
function resolveChain({ roleChain = [] }: AlibabaCloudSpec): readonly RoleHop[] {
  const hops = roleChain.map(({ roleARN: role, externalID }) => ({ role, externalID }));
  return resolveRoleChain(BLOCK, hops, {
    roleField: 'roleARN',
    isRole,
    roleFix: ROLE_FIX,
    maxTags: 0,
    reservedPrefixes: [],
  });
}
