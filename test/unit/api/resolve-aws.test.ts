// Promises: what spec.aws may say, with its defaults, and what is told where it says something else.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveAWS } from '../../../src/api/resolve-aws.ts';
import type { AWSSpec, WorkloadCredentialSpec } from '../../../src/api/types.gen.ts';
import { ROLE_ARN } from '../../support/builders.ts';
import { refusalOf, testRefusals } from '../../support/refusals.ts';

const AWS: AWSSpec = { roleARN: ROLE_ARN, region: 'eu-west-1' };
const aws = (change: Partial<AWSSpec>): Partial<WorkloadCredentialSpec> => ({ aws: { ...AWS, ...change } });
const OTHER = 'arn:aws:iam::210987654321:role/team/orders';

test('the smallest block gets its defaults', () => {
  assert.deepEqual(resolveAWS(AWS), {
    cloud: 'AWS',
    roleARN: ROLE_ARN,
    region: 'eu-west-1',
    audience: 'sts.amazonaws.com',
    endpointType: 'Regional',
    policyARNs: [],
    roleChain: [],
  });
});

test('a chain is kept hop by hop, with what each says and no more', () => {
  const { roleChain } = resolveAWS({
    ...AWS,
    roleChain: [
      {
        roleARN: OTHER,
        externalID: 'a:b/c+d=e,f.g@h_i-j',
        tags: [
          { key: 'team', value: 'Größe 1', transitive: true },
          { key: 'x', value: '', transitive: false },
        ],
      },
      { roleARN: ROLE_ARN },
    ],
  });
  assert.deepEqual(roleChain, [
    {
      role: OTHER,
      externalID: 'a:b/c+d=e,f.g@h_i-j',
      tags: [
        { key: 'team', value: 'Größe 1', transitive: true },
        { key: 'x', value: '' },
      ],
    },
    { role: ROLE_ARN, tags: [] },
  ]);
});

test('managed policies are those of the delivered role: of the last hop, not of the first', () => {
  const roleChain = [{ roleARN: OTHER }];
  const own = ['arn:aws:iam::aws:policy/ReadOnlyAccess', 'arn:aws:iam::210987654321:policy/a/B'];
  assert.deepEqual(resolveAWS({ ...AWS, roleChain, policyARNs: own }).policyARNs, own);
  const ofTheFirst = 'arn:aws:iam::123456789012:policy/B';
  assert.deepEqual(resolveAWS({ ...AWS, policyARNs: [ofTheFirst] }).policyARNs, [ofTheFirst]);
  assert.match(
    refusalOf(aws({ roleChain, policyARNs: [ofTheFirst] })),
    /^spec\.aws\.policyARNs\[0\] is .*arn:aws:iam::aws or arn:aws:iam::210987654321\), as AWS demands\.$/,
  );
});

test('every partition keeps to itself', () => {
  for (const partition of ['aws', 'aws-cn', 'aws-us-gov', 'aws-iso-b', 'aws-eusc']) {
    const of = (rest: string): string => `arn:${partition}:iam::${rest}`;
    const block: AWSSpec = { roleARN: of('123456789012:role/a'), region: 'eu-west-1' };
    const roleChain = [{ roleARN: of('210987654321:role/b') }];
    const policyARNs = [of('aws:policy/A'), of('210987654321:policy/B')];
    assert.deepEqual(resolveAWS({ ...block, roleChain, policyARNs }).policyARNs, policyARNs);
    const foreign = partition === 'aws' ? 'aws-cn' : 'aws';
    const foreignHop = [{ roleARN: `arn:${foreign}:iam::210987654321:role/b` }];
    assert.match(
      refusalOf({ aws: { ...block, roleChain: foreignHop } }),
      new RegExp(`in the partition ${partition} of`),
    );
    const foreignPolicy = [`arn:${foreign}:iam::aws:policy/A`];
    assert.match(refusalOf({ aws: { ...block, policyARNs: foreignPolicy } }), /^spec\.aws\.policyARNs\[0\] is /);
  }
});

testRefusals([
  ['spec.aws.roleARN', aws({ roleARN: 'orders' }), '"orders"', 'ARN of an AWS role'],
  ['spec.aws.roleARN', aws({ roleARN: `${ROLE_ARN}\n` }), 'orders\\n"', 'ARN of an AWS role'],
  ['spec.aws.roleARN', aws({ roleARN: 'arn:aws:iam::1234:role/orders' }), '1234', 'ARN of an AWS role'],
  ['spec.aws.roleARN', aws({ roleARN: 'arn:aws:iam::123456789012:user/orders' }), 'user', 'ARN of an AWS role'],
  ['spec.aws.roleARN', aws({ roleARN: 'arn:aws:iam::123456789012:role/a/' }), 'role/a/', 'ARN of an AWS role'],
  [
    'spec.aws.roleARN',
    aws({ roleARN: `arn:aws:iam::123456789012:role/${'a'.repeat(65)}` }),
    'aaa',
    'ARN of an AWS role',
  ],
  [
    'spec.aws.roleARN',
    aws({ roleARN: `arn:aws:iam::123456789012:role/${'a/'.repeat(1020)}a` }),
    'a/a',
    'ARN of an AWS role',
  ],
  ['spec.aws.region', aws({ region: 'x@host/#' }), '"x@host/#"', 'use a region of AWS'],
  ['spec.aws.region', aws({ region: 'eu-west-1\ncredential_process = x' }), '\\n', 'use a region of AWS'],
  ['spec.aws.region', aws({ region: `eu-${'x'.repeat(62)}` }), '"eu-', 'use a region of AWS'],
  ['spec.aws.audience', aws({ audience: 'a b' }), '"a b"', 'audience'],
  ['spec.aws.audience', aws({ audience: '' }), '""', 'audience'],
  ['spec.aws.endpointType', aws({ endpointType: 'Global' as never }), '"Global"', 'use Regional, FIPS'],
  [
    'spec.aws.endpointType',
    aws({ endpointType: 'FIPS', endpoint: 'https://x' }),
    '"FIPS"',
    'remove it or spec.aws.endpoint',
  ],
  ['spec.aws.policyARNs', aws({ policyARNs: Array.from({ length: 11 }, () => 'x') }), '11', 'at most 10'],
  ['spec.aws.policyARNs[1]', aws({ policyARNs: ['arn:aws:iam::aws:policy/A', 'A'] }), '"A"', 'managed policy'],
  [
    'spec.aws.policyARNs[0]',
    aws({ policyARNs: [`arn:aws:iam::aws:policy/${'a/'.repeat(260)}a`] }),
    'a/a',
    'managed policy',
  ],
  ['spec.aws.sessionPolicy', aws({ sessionPolicy: 'x'.repeat(2049) }), '2049 characters', 'at most 2048'],
  ['spec.aws.sessionPolicy', aws({ sessionPolicy: '{"a":"é"}' }), 'é', 'printable ASCII'],
  ['spec.aws.sessionPolicy', aws({ sessionPolicy: '{"a":' }), '{', 'one JSON object'],
  ['spec.aws.sessionPolicy', aws({ sessionPolicy: '[]' }), '[]', 'one JSON object'],
  ['spec.aws.sessionPolicy', aws({ sessionPolicy: 'null' }), 'null', 'one JSON object'],
  ['spec.aws.roleARN', aws({ roleARN: 'acs:ram::1234567890123456:role/orders' }), 'acs:ram', 'ARN of an AWS role'],
  ['spec.aws.roleARN', aws({ roleARN: 'arn:aws:sts::123456789012:assumed-role/a/b' }), 'assumed', 'ARN of an AWS role'],
  ['spec.aws.roleARN', aws({ roleARN: `${ROLE_ARN}\u2028x` }), 'orders\\u{2028}x', 'ARN of an AWS role'],
  ['spec.aws.roleARN', aws({ roleARN: `${ROLE_ARN}"}` }), '\\"}', 'ARN of an AWS role'],
  ['spec.aws.roleChain', aws({ roleChain: Array.from({ length: 5 }, () => ({ roleARN: OTHER })) }), '5 hops', 'most 4'],
  [
    'spec.aws.roleChain[1].roleARN',
    aws({ roleChain: [{ roleARN: OTHER }, { roleARN: 'orders' }] }),
    '"orders"',
    'ARN of an AWS role in the partition aws',
  ],
  [
    'spec.aws.roleChain[0].tags[0].key',
    aws({ roleChain: [{ roleARN: OTHER, tags: [{ key: 'AWS:x', value: '' }] }] }),
    '"AWS:x"',
    'does not begin with aws:, kubernetes-',
  ],
  [
    'spec.aws.roleChain[0].tags',
    aws({ roleChain: [{ roleARN: OTHER, tags: Array.from({ length: 51 }, (_, i) => ({ key: `k${i}`, value: '' })) }] }),
    '51 tags',
    'at most 50',
  ],
]);
