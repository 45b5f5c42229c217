// Promises: what spec.alibabaCloud may say, with its defaults, and what is told where it says something else.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveAlibabaCloud } from '../../../src/api/resolve-alibaba-cloud.ts';
import type { AlibabaCloudSpec, WorkloadCredentialSpec } from '../../../src/api/types.gen.ts';
import { testRefusals } from '../../support/refusals.ts';

const ROLE = 'acs:ram::1234567890123456:role/orders';
const OTHER = 'acs:ram::6543210987654321:role/orders';
const PROVIDER = 'acs:ram::1234567890123456:oidc-provider/ack-rrsa-c123';
const BLOCK: AlibabaCloudSpec = { roleARN: ROLE, oidcProviderARN: PROVIDER, region: 'cn-hangzhou' };
const block = (change: Partial<AlibabaCloudSpec>): Partial<WorkloadCredentialSpec> => ({
  aws: undefined as never,
  alibabaCloud: { ...BLOCK, ...change },
});

test('the smallest block gets its defaults', () => {
  assert.deepEqual(resolveAlibabaCloud(BLOCK), {
    cloud: 'AlibabaCloud',
    ...BLOCK,
    audience: 'sts.aliyuncs.com',
    network: 'Public',
    roleChain: [],
  });
});

test('a full block keeps what it says', () => {
  const sessionPolicy = '{"Version":"1","Statement":[{"Effect":"Allow","Action":"oss:GetObject","Resource":"*"}]}';
  const said = { audience: 'internal', sessionPolicy, roleChain: [{ roleARN: OTHER, externalID: 'ab' }] };
  assert.deepEqual(resolveAlibabaCloud({ ...BLOCK, ...said, network: 'VPC' }), {
    cloud: 'AlibabaCloud',
    ...BLOCK,
    ...said,
    network: 'VPC',
    roleChain: [{ role: OTHER, externalID: 'ab', tags: [] }],
  });
  const { endpoint, network } = resolveAlibabaCloud({ ...BLOCK, endpoint: 'https://sts.internal', network: 'Public' });
  assert.deepEqual([endpoint, network], ['https://sts.internal', 'Public']);
});

const FIX = 'ARN of a RAM role';
testRefusals([
  ['spec.alibabaCloud.roleARN', block({ roleARN: 'orders' }), '"orders"', FIX],
  ['spec.alibabaCloud.roleARN', block({ roleARN: 'arn:aws:iam::123456789012:role/orders' }), 'arn:aws', FIX],
  ['spec.alibabaCloud.roleARN', block({ roleARN: 'trn:iam::2100000001:role/orders' }), 'trn:', FIX],
  ['spec.alibabaCloud.roleARN', block({ roleARN: 'acs:ram::1234567890123456:user/orders' }), 'user', FIX],
  ['spec.alibabaCloud.roleARN', block({ roleARN: 'acs:ram::me:role/orders' }), '::me:', FIX],
  ['spec.alibabaCloud.roleARN', block({ roleARN: `${ROLE}\n` }), 'orders\\n"', FIX],
  ['spec.alibabaCloud.roleARN', block({ roleARN: `${ROLE}/x` }), 'orders/x', FIX],
  ['spec.alibabaCloud.roleARN', block({ roleARN: `${ROLE}${'x'.repeat(64)}` }), 'xxx', FIX],
  ['spec.alibabaCloud.roleARN', block({ roleARN: `${ROLE}&OIDCToken=x` }), '&OIDCToken', FIX],
  ['spec.alibabaCloud.oidcProviderARN', block({ oidcProviderARN: ROLE }), ':role/', 'ARN of a RAM OIDC provider'],
  ['spec.alibabaCloud.oidcProviderARN', block({ oidcProviderARN: `${PROVIDER} ` }), 'c123 "', 'RAM OIDC provider'],
  [
    'spec.alibabaCloud.oidcProviderARN',
    block({ oidcProviderARN: 'acs:ram::6543210987654321:oidc-provider/ack-rrsa-c123' }),
    '6543210987654321',
    'of account 1234567890123456',
  ],
  ['spec.alibabaCloud.region', block({ region: 'cn-hangzhou.evil.example' }), 'evil', 'such as cn-hangzhou'],
  ['spec.alibabaCloud.region', block({ region: 'cn-hangzhou"' }), '\\""', 'such as cn-hangzhou'],
  ['spec.alibabaCloud.region', block({ region: '' }), '""', 'such as cn-hangzhou'],
  ['spec.alibabaCloud.audience', block({ audience: 'a b' }), '"a b"', 'sts.aliyuncs.com'],
  ['spec.alibabaCloud.network', block({ network: 'Intranet' as never }), '"Intranet"', 'use Public or VPC'],
  [
    'spec.alibabaCloud.network',
    block({ network: 'VPC', endpoint: 'https://sts.internal' }),
    '"VPC"',
    'remove it or spec.alibabaCloud.endpoint',
  ],
  ['spec.alibabaCloud.sessionPolicy', block({ sessionPolicy: '{"Statement":[]}' }), 'Statement', '"Version": "1"'],
  [
    'spec.alibabaCloud.sessionPolicy',
    block({ sessionPolicy: '{"Version":"2012-10-17","Statement":[]}' }),
    '2012-10-17',
    'write "Version": "1", as Alibaba Cloud documents',
  ],
  [
    'spec.alibabaCloud.roleChain[0].roleARN',
    block({ roleChain: [{ roleARN: 'arn:aws:iam::123456789012:role/orders' }] }),
    'arn:aws',
    FIX,
  ],
  [
    'spec.alibabaCloud.roleChain[1].externalID',
    block({ roleChain: [{ roleARN: OTHER }, { roleARN: ROLE, externalID: 'a' }] }),
    '"a"',
    '2 to 1224',
  ],
]);
