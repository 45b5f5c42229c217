// Promises: spec.aws with its defaults, every rule of AWS's block checked: names of roles and policies, one partition for
// all of them, endpointType, session policy, chain. Pure. May import api only.
import { need } from './refusal.ts';
import { resolveRoleChain } from './resolve-role-chain.ts';
import { type Block, needRegion, resolveAudience } from './resolve-sts.ts';
import type { ResolvedAWS, RoleHop } from './resolved.ts';
import { AWS_POLICY, needSessionPolicy } from './session-policy.ts';
import type { AWSSpec } from './types.gen.ts';

const BLOCK: Block = { field: 'spec.aws', cloud: 'AWS' };
const AUDIENCE = 'sts.amazonaws.com';
/** https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html */
const ROLE_ARN = /^arn:aws(-[a-z]+)*:iam::[0-9]{12}:role\/([A-Za-z0-9_+=,.@-]+\/)*[A-Za-z0-9_+=,.@-]{1,64}$/;
const POLICY_ARN = /^arn:aws(-[a-z]+)*:iam::(aws|[0-9]{12}):policy\/([A-Za-z0-9_+=,.@-]+\/)*[A-Za-z0-9_+=,.@-]{1,128}$/;
const MAX_ROLE_ARN_LENGTH = 2048;
const MAX_POLICY_ARN_LENGTH = 512;
/** https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html : PolicyArns and Tags. */
const MAX_POLICIES = 10;
const MAX_TAGS = 50;
const ENDPOINT_TYPES: readonly string[] = ['Regional', 'FIPS', 'DualStack', 'FIPSDualStack'];

/**
 * Resolves spec.aws.
 * @throws Refusal.
 */
export function resolveAWS(aws: AWSSpec): ResolvedAWS {
  need(
    isRole(aws.roleARN),
    'spec.aws.roleARN',
    aws.roleARN,
    'use the ARN of an AWS role, such as arn:aws:iam::123456789012:role/orders.',
  );
  needRegion(BLOCK, aws.region, 'eu-west-1');
  const audience = resolveAudience(BLOCK, aws.audience, AUDIENCE);
  const endpointType = resolveEndpointType(aws);
  const roleChain = resolveChain(aws);
  const policyARNs = aws.policyARNs ?? [];
  needPolicyARNs(policyARNs, roleChain.at(-1)?.role ?? aws.roleARN);
  needSessionPolicy(BLOCK, aws.sessionPolicy, AWS_POLICY);
  return {
    cloud: 'AWS',
    roleARN: aws.roleARN,
    region: aws.region,
    audience,
    endpointType,
    policyARNs,
    roleChain,
    ...(aws.endpoint === undefined ? {} : { endpoint: aws.endpoint }),
    ...(aws.sessionPolicy === undefined ? {} : { sessionPolicy: aws.sessionPolicy }),
  };
}

function isRole(role: string): boolean {
  return ROLE_ARN.test(role) && role.length <= MAX_ROLE_ARN_LENGTH;
}

/** Such as aws or aws-cn: https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html */
function partitionOf(arn: string): string {
  return arn.split(':')[1] ?? '';
}

function accountOf(arn: string): string {
  return arn.split(':')[4] ?? '';
}

function resolveEndpointType({ endpoint, endpointType = 'Regional' }: AWSSpec): ResolvedAWS['endpointType'] {
  need(
    ENDPOINT_TYPES.includes(endpointType),
    'spec.aws.endpointType',
    endpointType,
    `use ${ENDPOINT_TYPES.join(', ')}.`,
  );
  need(
    endpoint === undefined || endpointType === 'Regional',
    'spec.aws.endpointType',
    endpointType,
    'remove it or spec.aws.endpoint: it chooses among the own endpoints of AWS.',
  );
  return endpointType;
}

function resolveChain({ roleARN, roleChain = [] }: AWSSpec): readonly RoleHop[] {
  const partition = partitionOf(roleARN);
  const hops = roleChain.map(({ roleARN: role, externalID, tags }) => ({ role, externalID, tags }));
  return resolveRoleChain(BLOCK, hops, {
    roleField: 'roleARN',
    isRole: (role) => isRole(role) && partitionOf(role) === partition,
    roleFix: `use the ARN of an AWS role in the partition ${partition} of spec.aws.roleARN, such as arn:${partition}:iam::123456789012:role/orders.`,
    maxTags: MAX_TAGS,
    reservedPrefixes: ['aws:'],
  });
}

/** "The policies must exist in the same account as the role", which those of AWS itself do in each partition (API_AssumeRole). */
function needPolicyARNs(policyARNs: readonly string[], delivered: string): void {
  need(
    policyARNs.length <= MAX_POLICIES,
    'spec.aws.policyARNs',
    policyARNs.length,
    `list at most ${MAX_POLICIES} policies.`,
  );
  const partition = partitionOf(delivered);
  const accounts = ['aws', accountOf(delivered)];
  for (const [index, policyARN] of policyARNs.entries()) {
    const field = `spec.aws.policyARNs[${index}]`;
    need(
      POLICY_ARN.test(policyARN) && policyARN.length <= MAX_POLICY_ARN_LENGTH,
      field,
      policyARN,
      'use the ARN of a managed policy, such as arn:aws:iam::aws:policy/ReadOnlyAccess.',
    );
    need(
      partitionOf(policyARN) === partition && accounts.includes(accountOf(policyARN)),
      field,
      policyARN,
      `use a managed policy of the delivered role's partition and account (arn:${partition}:iam::${accounts.join(` or arn:${partition}:iam::`)}), as AWS demands.`,
    );
  }
}
