// Promises: what resolve() accepts can be trusted by everything behind it, and what it refuses is told by field, value and
// fix. The CRD says the same; this is for resources that an older CRD let through.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { load } from 'js-yaml';
import { cloudOf, resolve, secretNameOf } from '../../../src/api/resolve.ts';
import { deliveredRole } from '../../../src/api/resolved.ts';
import type { AWSSpec, WorkloadCredential, WorkloadCredentialSpec } from '../../../src/api/types.gen.ts';
import { aCredential, aResolved, DOMAINS, ROLE_ARN } from '../../support/builders.ts';
import { refusalOf, testRefusals } from '../../support/refusals.ts';

const AWS: AWSSpec = { roleARN: ROLE_ARN, region: 'eu-west-1' };
const aws = (change: Partial<AWSSpec>): Partial<WorkloadCredentialSpec> => ({ aws: { ...AWS, ...change } });
const alibabaCloud: Partial<WorkloadCredentialSpec> = {
  aws: undefined as never,
  alibabaCloud: {
    roleARN: 'acs:ram::1234567890123456:role/orders',
    oidcProviderARN: 'acs:ram::1234567890123456:oidc-provider/ack-rrsa-c123',
    region: 'cn-hangzhou',
    roleChain: [{ roleARN: 'acs:ram::6543210987654321:role/orders' }],
  },
};
const volcengine: Partial<WorkloadCredentialSpec> = {
  aws: undefined as never,
  volcengine: {
    roleTRN: 'trn:iam::2100000001:role/orders',
    region: 'cn-beijing',
    roleChain: [{ roleTRN: 'trn:iam::2100000002:role/orders' }],
  },
};
const CHAINED = /use at most 3600 with a roleChain \(.* one hour\), or remove the roleChain/;

test('the smallest resource gets its defaults', () => {
  assert.deepEqual(aResolved(), {
    serviceAccountName: 'orders',
    exchange: {
      cloud: 'AWS',
      roleARN: ROLE_ARN,
      region: 'eu-west-1',
      audience: 'sts.amazonaws.com',
      endpointType: 'Regional',
      policyARNs: [],
      roleChain: [],
    },
    durationSeconds: 3600,
    refreshBeforeSeconds: undefined,
    suspend: false,
    secret: {
      name: 'orders',
      formats: ['Files'],
      mountPath: '/var/run/secrets/workloadcredentials.io/orders',
      data: {},
      labels: {},
      annotations: {},
      deletionPolicy: 'Delete',
    },
  });
});

test('a full resource keeps what it says', () => {
  const wanted = {
    endpoint: 'https://sts.example.internal',
    audience: 'internal@host~1=2',
    policyARNs: ['arn:aws:iam::aws:policy/service-role/A', 'arn:aws:iam::123456789012:policy/B'],
    sessionPolicy: '\n{"Version":"2012-10-17","Statement":[]}\n',
  };
  const { exchange, ...rest } = aResolved({
    ...aws(wanted),
    durationSeconds: 43_200,
    refreshBeforeSeconds: 300,
    suspend: true,
    secret: {
      name: 'orders.cloud',
      formats: ['Files', 'Files', 'Environment'],
      mountPath: '/home/app/.aws',
      data: { MY_KEY: '{{ accessKeyId }}{', plain: '' },
      labels: { 'app.kubernetes.io/part-of': 'shop', team: '' },
      annotations: { note: 'any "text"' },
      deletionPolicy: 'Retain',
    },
  });
  assert.deepEqual({ ...exchange }, { cloud: 'AWS', endpointType: 'Regional', roleChain: [], ...AWS, ...wanted });
  assert.equal(rest.durationSeconds, 43_200);
  assert.equal(rest.refreshBeforeSeconds, 300);
  assert.equal(rest.suspend, true);
  assert.deepEqual(rest.secret.formats, ['Files', 'Environment']);
  assert.equal(rest.secret.name, 'orders.cloud');
  assert.equal(rest.secret.deletionPolicy, 'Retain');
});

testRefusals([
  ['spec', { aws: undefined as never }, '[]', 'exactly one of aws'],
  ['spec', { volcengine: { roleTRN: 'x', region: 'x' } }, '["aws","volcengine"]', 'exactly one of aws'],
  ['spec.serviceAccountName', { serviceAccountName: 'Orders' }, '"Orders"', 'name a ServiceAccount'],
  ['spec.serviceAccountName', { serviceAccountName: 'x; touch P' }, '"x; touch P"', 'name a ServiceAccount'],
  ['spec.serviceAccountName', { serviceAccountName: 'x'.repeat(254) }, '"xxx', 'name a ServiceAccount'],
  ['spec.durationSeconds', { durationSeconds: 899 }, '899', '900 (15 minutes)'],
  ['spec.durationSeconds', { durationSeconds: 43_201 }, '43201', '43200'],
  ['spec.durationSeconds', { durationSeconds: 1000.5 }, '1000.5', '900'],
  ['spec.refreshBeforeSeconds', { refreshBeforeSeconds: 299 }, '299', 'at least 300'],
  ['spec.refreshBeforeSeconds', { refreshBeforeSeconds: 3600 }, '3600', 'less than spec.durationSeconds (3600)'],
  ['spec.refreshBeforeSeconds', { refreshBeforeSeconds: 300.5 }, '300.5', 'at least 300'],
  ['spec.durationSeconds', { ...aws({ roleChain: [{ roleARN: ROLE_ARN }] }), durationSeconds: 3601 }, '3601', CHAINED],
  ['spec.durationSeconds', { ...alibabaCloud, durationSeconds: 43_200 }, '43200', CHAINED],
  ['spec.durationSeconds', { ...volcengine, durationSeconds: 7200 }, '7200', CHAINED],
]);

test('the message about an hour names the rule of the cloud', () => {
  for (const [spec, cloud] of [
    [aws({ roleChain: [{ roleARN: ROLE_ARN }] }), 'AWS ends chained sessions after one hour'],
    [alibabaCloud, 'Alibaba Cloud promises chained sessions no more than one hour'],
    [volcengine, 'Volcengine promises chained sessions no more than one hour'],
  ] as const) {
    assert.ok(refusalOf({ ...spec, durationSeconds: 7200 }).includes(cloud));
    assert.equal(aResolved({ ...spec, durationSeconds: 3600 }).exchange.roleChain.length, 1);
  }
  assert.equal(aResolved({ ...aws({ roleChain: [] }), durationSeconds: 43_200 }).durationSeconds, 43_200);
});

for (const name of ['Orders', 'a.b', '-a', 'a'.repeat(54)]) {
  test(`the resource name ${name} is refused: labels, volumes and sessions are named after it`, () => {
    const { violation } = resolve(aCredential({ name }), DOMAINS);
    assert.match(violation?.message ?? '', /^metadata\.name is .* at most 53 characters/);
  });
}

test('an empty role chain is none', () => {
  assert.equal(deliveredRole(aResolved(aws({ roleChain: [] })).exchange), ROLE_ARN);
});

test('the name of the Secret is known also when the rest of the spec is wrong', () => {
  assert.equal(secretNameOf(aCredential({ spec: { durationSeconds: 1 } })), 'orders');
  assert.equal(secretNameOf(aCredential({ spec: { secret: { name: 'other' } } })), 'other');
});

test('a failure that is no violation is not swallowed', () => {
  assert.throws(() => resolve({ metadata: { name: 'orders' } } as never, DOMAINS), TypeError);
});

interface Case {
  readonly name: string;
  readonly object: WorkloadCredential;
}
const cases = (file: string): readonly Case[] =>
  load(readFileSync(new URL(`../../fixtures/${file}.yaml`, import.meta.url), 'utf8')) as Case[];

test('what the CRD accepts is never InvalidSpec', () => {
  for (const { name, object } of cases('good-specs')) {
    assert.notEqual(resolve(object, DOMAINS).violation?.code, 'InvalidSpec', name);
  }
});

/** The provider judges endpoints, each for its cloud; a set that names something twice means the same as once. */
const JUDGED_ELSEWHERE = /^(an endpoint (without scheme|over plain http|with a (user|fragment))|the same .* twice)$/;

test('what the CRD refuses is refused here too, should an older CRD have let it through', () => {
  for (const { name, object } of cases('bad-specs').filter((bad) => !JUDGED_ELSEWHERE.test(bad.name))) {
    assert.notEqual(resolve(object, DOMAINS).violation, undefined, name);
  }
});

test('the cloud is told by the block that is there, also in a spec that cannot work, and by none there is none', () => {
  const block = { roleARN: 'x', oidcProviderARN: 'x', region: 'x' };
  const without = { aws: undefined as never };
  assert.equal(cloudOf(aCredential({ spec: aws({ roleARN: 'x' }) })), 'AWS');
  assert.equal(cloudOf(aCredential({ spec: { ...without, alibabaCloud: block } })), 'AlibabaCloud');
  assert.equal(cloudOf(aCredential({ spec: { ...without, volcengine: { roleTRN: 'x', region: 'x' } } })), 'Volcengine');
  assert.equal(cloudOf(aCredential({ spec: without })), undefined);
});
