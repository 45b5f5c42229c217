// Promises: the hosts are those of the vendors' own resolvers, region by region, and no other host passes for the cloud's.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { $OpenApiUtil } from '@alicloud/openapi-core';
import AlibabaCloudModule from '@alicloud/sts20150401';
import { STSClient } from '@aws-sdk/client-sts';
import type { Cloud } from '../../../src/api/names.ts';
import { alibabaCloudHost, awsHost, isOwn, volcengineHost } from '../../../src/providers/endpoints-hosts.ts';

const hosts: readonly (readonly [string, string, string, string, string])[] = [
  [
    'eu-west-1',
    'sts.eu-west-1.amazonaws.com',
    'sts-fips.eu-west-1.amazonaws.com',
    'sts.eu-west-1.api.aws',
    'sts-fips.eu-west-1.api.aws',
  ],
  [
    'cn-north-1',
    'sts.cn-north-1.amazonaws.com.cn',
    'sts-fips.cn-north-1.amazonaws.com.cn',
    'sts.cn-north-1.api.amazonwebservices.com.cn',
    'sts-fips.cn-north-1.api.amazonwebservices.com.cn',
  ],
  [
    'us-gov-west-1',
    'sts.us-gov-west-1.amazonaws.com',
    'sts.us-gov-west-1.amazonaws.com',
    'sts.us-gov-west-1.api.aws',
    'sts-fips.us-gov-west-1.api.aws',
  ],
  [
    'eusc-de-east-1',
    'sts.eusc-de-east-1.amazonaws.eu',
    'sts-fips.eusc-de-east-1.amazonaws.eu',
    'sts.eusc-de-east-1.api.amazonwebservices.eu',
    'sts-fips.eusc-de-east-1.api.amazonwebservices.eu',
  ],
];
for (const [region, regional, fips, dualStack, both] of hosts) {
  test(`${region} has the hosts that AWS documents for its partition`, () => {
    assert.deepEqual(
      (['Regional', 'FIPS', 'DualStack', 'FIPSDualStack'] as const).map((type) => awsHost(region, type)),
      [regional, fips, dualStack, both],
    );
  });
}

test("every region and type gives the host that the AWS SDK's own resolver gives", () => {
  const regions =
    'us-east-1 us-west-2 eu-central-2 ap-southeast-7 ca-west-1 mx-central-1 il-central-1 af-south-1 me-south-1 sa-east-1 ' +
    'cn-north-1 cn-northwest-1 us-gov-west-1 us-gov-east-1 us-iso-east-1 us-iso-west-1 us-isob-east-1 eu-isoe-west-1 ' +
    'us-isof-south-1 eusc-de-east-1 zz-somewhere-9';
  const provider = new STSClient({ region: 'us-east-1' }).config.endpointProvider;
  for (const Region of regions.split(' ')) {
    for (const type of ['Regional', 'FIPS', 'DualStack', 'FIPSDualStack'] as const) {
      const resolved = provider({
        Region,
        UseFIPS: type.startsWith('FIPS'),
        UseDualStack: type.endsWith('DualStack'),
        UseGlobalEndpoint: false,
      });
      assert.equal(awsHost(Region, type), resolved.url.hostname, `${Region} ${type}`);
    }
  }
});

/** The module is CommonJS without marks that Node reads: the class is its member. */
const { default: AlibabaCloudClient } = AlibabaCloudModule;
const sdk = (regionId: string, network?: string): InstanceType<typeof AlibabaCloudClient> =>
  new AlibabaCloudClient(new $OpenApiUtil.Config({ regionId, ...(network === undefined ? {} : { network }) }));

test("every region that the Alibaba Cloud SDK's table knows, and ordinary ones, have the host of that SDK", () => {
  const table = Object.keys(sdk('cn-hangzhou')._endpointMap);
  assert.ok(table.length > 20);
  const ordinary =
    'cn-hangzhou cn-shanghai cn-beijing cn-shenzhen cn-hongkong cn-hangzhou-finance cn-shanghai-finance-1 cn-wuhan-lr ' +
    'ap-southeast-1 ap-southeast-5 ap-northeast-1 us-east-1 us-west-1 us-southeast-1 eu-central-1 eu-west-1 me-east-1 ' +
    'me-central-1 na-south-1 cn-new-9';
  for (const region of [...table, ...ordinary.split(' ')]) {
    assert.equal(alibabaCloudHost(region, 'Public'), sdk(region)._endpoint, region);
  }
  for (const region of ordinary.split(' ')) {
    assert.equal(alibabaCloudHost(region, 'VPC'), sdk(region, 'vpc')._endpoint, region);
  }
});

test("inside VPCs a region of the SDK's table has no host: the SDK takes the public one there, which we do not", () => {
  for (const region of Object.keys(sdk('cn-hangzhou')._endpointMap)) {
    assert.equal(sdk(region, 'vpc')._endpoint, 'sts.aliyuncs.com', region);
    assert.equal(alibabaCloudHost(region, 'VPC'), undefined, region);
  }
});

test('Volcengine has a host for each region', () => {
  for (const region of ['cn-beijing', 'cn-beijing2', 'cn-shanghai-autodriving', 'ap-southeast-1', 'cn-hongkong']) {
    assert.equal(volcengineHost(region), `sts.${region}.volcengineapi.com`);
  }
});

test('a text that is no region of the cloud gives no host', () => {
  for (const text of ['', 'cn', 'cn-', '-cn-1', 'cn-hangzhou.', 'cn-hangzhou\n', 'oss-cn-hangzhou-1', 'x@y', 'CN-1']) {
    assert.equal(alibabaCloudHost(text, 'Public'), undefined, text);
    assert.equal(alibabaCloudHost(text, 'VPC'), undefined, text);
    assert.equal(volcengineHost(text), undefined, text);
  }
});

const OWN: Readonly<Record<Cloud, readonly string[]>> = {
  AWS: [
    'https://sts.eu-west-1.amazonaws.com',
    'https://sts-fips.us-east-1.api.aws',
    'https://sts.cn-north-1.amazonaws.com.cn',
  ],
  AlibabaCloud: [
    'https://sts.aliyuncs.com',
    'https://sts.cn-hangzhou.aliyuncs.com',
    'https://sts-vpc.cn-hangzhou.aliyuncs.com',
  ],
  Volcengine: ['https://sts.volcengineapi.com', 'https://sts.cn-beijing.volcengineapi.com'],
};
const NOT_OWN = [
  'https://sts.amazonaws.com',
  'https://sts.s3-eu-west-1.amazonaws.com',
  'https://sts.oss-cn-hangzhou.aliyuncs.com',
  'https://sts-vpc.oss-cn-hangzhou.aliyuncs.com',
  'https://sts.cn-hangzhou.oss.aliyuncs.com',
  'https://sts.oss-accelerate.aliyuncs.com',
  'https://sts.cn-wuhan.aliyuncs.com',
  'https://sts-vpc.aliyuncs.com',
  'https://sts-dualstack.cn-hangzhou.aliyuncs.com',
  'https://sts.cn-beijing.volcengine-api.com',
  'https://open.volcengineapi.com',
  'https://iam.cn-beijing.volcengineapi.com',
  'https://sts.tos-cn-beijing.volces.com',
  'https://volcengineapi.com',
  'https://aliyuncs.com',
];

test("a cloud's own hosts are its own, at https and its own port, and nobody else's", () => {
  const clouds = Object.keys(OWN) as Cloud[];
  for (const cloud of clouds) {
    for (const [owner, origins] of Object.entries(OWN)) {
      for (const origin of origins) {
        assert.equal(isOwn(new URL(origin), cloud), owner === cloud, `${origin} ${cloud}`);
        assert.equal(isOwn(new URL(origin.replace('https', 'http')), cloud), false);
        assert.equal(isOwn(new URL(`${origin}:8443`), cloud), false);
        assert.equal(isOwn(new URL(`${origin}.`), cloud), false);
        assert.equal(isOwn(new URL(`${origin}.evil.example`), cloud), false);
      }
    }
    for (const origin of NOT_OWN) assert.equal(isOwn(new URL(origin), cloud), false, `${origin} ${cloud}`);
  }
});
