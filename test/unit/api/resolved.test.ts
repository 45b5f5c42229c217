// Promises: what is read off a resolved exchange is the same for all clouds: first and delivered role, account, calls.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountOf, callsOf, deliveredRole, firstRole, type ResolvedExchange } from '../../../src/api/resolved.ts';
import type { WorkloadCredentialSpec } from '../../../src/api/types.gen.ts';
import { aResolved } from '../../support/builders.ts';

// [account of the first role, first role, last role, how the spec says it]
const table: readonly (readonly [string, string, string, (first: string, last: string) => object])[] = [
  [
    '123456789012',
    'arn:aws-us-gov:iam::123456789012:role/a',
    'arn:aws-us-gov:iam::210987654321:role/b',
    (roleARN, last) => ({ aws: { roleARN, region: 'us-gov-west-1', roleChain: [{ roleARN: last }] } }),
  ],
  [
    '1234567890123456',
    'acs:ram::1234567890123456:role/a',
    'acs:ram::6543210987654321:role/b',
    (roleARN, last) => ({
      alibabaCloud: {
        roleARN,
        oidcProviderARN: 'acs:ram::1234567890123456:oidc-provider/c',
        region: 'cn-hangzhou',
        roleChain: [{ roleARN: last }],
      },
    }),
  ],
  [
    '2100000001',
    'trn:iam::2100000001:role/a',
    'trn:iam::2100000002:role/b',
    (roleTRN, last) => ({ volcengine: { roleTRN, region: 'cn-beijing', roleChain: [{ roleTRN: last }] } }),
  ],
];

for (const [account, first, last, block] of table) {
  const spec = { aws: undefined as never, ...block(first, last) } as Partial<WorkloadCredentialSpec>;

  test(`the token is exchanged for ${first}, and ${last} is delivered`, () => {
    const { exchange } = aResolved(spec);
    assert.deepEqual([firstRole(exchange), deliveredRole(exchange)], [first, last]);
    assert.equal(accountOf(exchange), account);
    assert.equal(callsOf(exchange), 2);
  });

  test(`without a chain ${first} is both, by one call`, () => {
    const exchange: ResolvedExchange = { ...aResolved(spec).exchange, roleChain: [] };
    assert.deepEqual([firstRole(exchange), deliveredRole(exchange), callsOf(exchange)], [first, first, 1]);
  });
}
