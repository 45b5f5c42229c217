// Promises: what spec.volcengine may say, with its defaults, and what is told where it says something else.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveVolcengine } from '../../../src/api/resolve-volcengine.ts';
import type { VolcengineSpec, WorkloadCredentialSpec } from '../../../src/api/types.gen.ts';
import { testRefusals } from '../../support/refusals.ts';

const ROLE = 'trn:iam::2100000001:role/orders';
const OTHER = 'trn:iam::2100000002:role/orders';
const BLOCK: VolcengineSpec = { roleTRN: ROLE, region: 'cn-beijing' };
const block = (change: Partial<VolcengineSpec>): Partial<WorkloadCredentialSpec> => ({
  aws: undefined as never,
  volcengine: { ...BLOCK, ...change },
});
const hop = (tags: readonly { key: string; value: string }[]): Partial<WorkloadCredentialSpec> =>
  block({ roleChain: [{ roleTRN: OTHER, tags }] });

test('the smallest block gets its defaults; the audience is not the name of the API', () => {
  assert.deepEqual(resolveVolcengine(BLOCK), {
    cloud: 'Volcengine',
    ...BLOCK,
    audience: 'sts.volcengine.com',
    roleChain: [],
  });
});

test('a full block keeps what it says', () => {
  const said = {
    audience: 'internal',
    endpoint: 'https://sts.volcengineapi.com',
    sessionPolicy: '{"Statement":[{"Effect":"Allow","Action":["tos:GetObject"],"Resource":["*"]}]}',
  };
  const roleChain = [{ roleTRN: OTHER, tags: [{ key: 'team', value: 'a' }] }, { roleTRN: ROLE }];
  assert.deepEqual(resolveVolcengine({ ...BLOCK, ...said, roleChain }), {
    cloud: 'Volcengine',
    ...BLOCK,
    ...said,
    roleChain: [
      { role: OTHER, tags: [{ key: 'team', value: 'a' }] },
      { role: ROLE, tags: [] },
    ],
  });
});

test('a tag is never transitive and a hop has no external id: Volcengine takes neither, the schema has neither', () => {
  const said = { roleTRN: OTHER, externalID: 'ab', tags: [{ key: 'a', value: 'b', transitive: true }] };
  assert.deepEqual(resolveVolcengine({ ...BLOCK, roleChain: [said] }).roleChain, [
    { role: OTHER, tags: [{ key: 'a', value: 'b' }] },
  ]);
});

const FIX = 'TRN of an IAM role';
testRefusals([
  ['spec.volcengine.roleTRN', block({ roleTRN: 'orders' }), '"orders"', FIX],
  ['spec.volcengine.roleTRN', block({ roleTRN: 'arn:aws:iam::123456789012:role/orders' }), 'arn:aws', FIX],
  ['spec.volcengine.roleTRN', block({ roleTRN: 'acs:ram::1234567890123456:role/orders' }), 'acs:', FIX],
  ['spec.volcengine.roleTRN', block({ roleTRN: 'trn:iam::2100000001:user/orders' }), 'user', FIX],
  ['spec.volcengine.roleTRN', block({ roleTRN: 'trn:sts::2100000001:role/orders' }), 'sts', FIX],
  ['spec.volcengine.roleTRN', block({ roleTRN: `${ROLE}&Action=x` }), '&Action', FIX],
  ['spec.volcengine.roleTRN', block({ roleTRN: `${ROLE}\r\nx: y` }), '\\r\\n', FIX],
  ['spec.volcengine.region', block({ region: 'cn-beijing/..' }), '/..', 'such as cn-beijing'],
  ['spec.volcengine.region', block({ region: 'CN-BEIJING' }), 'CN', 'such as cn-beijing'],
  ['spec.volcengine.audience', block({ audience: "a'b" }), "a'b", 'such as sts.volcengine.com'],
  ['spec.volcengine.sessionPolicy', block({ sessionPolicy: 'AllowAll' }), 'AllowAll', 'one JSON object with Statement'],
  [
    'spec.volcengine.sessionPolicy',
    block({ sessionPolicy: '{"Version":"2012-10-17","Statement":[]}' }),
    '2012',
    'remove Version: policies of Volcengine have none',
  ],
  ['spec.volcengine.roleChain[0].roleTRN', block({ roleChain: [{ roleTRN: 'x' }] }), '"x"', FIX],
  ['spec.volcengine.roleChain[0].tags[0].key', hop([{ key: 'volc:x', value: '' }]), 'volc:x', 'begin with volc:, sys:'],
  ['spec.volcengine.roleChain[0].tags[0].key', hop([{ key: 'SYS:x', value: '' }]), 'SYS:x', 'begin with volc:, sys:'],
  [
    'spec.volcengine.roleChain[0].tags',
    hop(Array.from({ length: 21 }, (_, index) => ({ key: `k${index}`, value: '' }))),
    '21 tags',
    'at most 20',
  ],
]);
