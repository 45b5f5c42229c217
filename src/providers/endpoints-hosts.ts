// Promises: the clouds' own STS hosts, each from a region by a fixed form: fixed prefix, one label, fixed suffix. A text that
// is no region of the cloud gives no host at all. Pure. May not resolve names, read the environment or send anything.
import type { Cloud } from '../api/names.ts';
import type { ResolvedAlibabaCloud, ResolvedAWS } from '../api/resolved.ts';
import { MAX_LABEL_LENGTH } from './endpoints-origin.ts';

interface Partition {
  /** The regions of the partition. */
  readonly regions: RegExp;
  readonly dnsSuffix: string;
  readonly dualStackSuffix: string;
  /** The prefix of its FIPS hosts: GovCloud's ordinary hosts are its FIPS hosts. */
  readonly fipsPrefix: 'sts-fips' | 'sts';
}

const partition = (
  regions: RegExp,
  dnsSuffix: string,
  dualStackSuffix: string,
  fipsPrefix: Partition['fipsPrefix'] = 'sts-fips',
): Partition => ({ regions, dnsSuffix, dualStackSuffix, fipsPrefix });

/** The commercial partition: also for regions that no pattern below knows, as AWS's own resolver does. */
const AWS_PARTITION = partition(/^/, 'amazonaws.com', 'api.aws');

/**
 * AWS partitions, from the data of the AWS SDK's own endpoint resolver (@aws-sdk/core partitions.js, client-sts
 * endpoint/bdd.js). The comparison with that resolver is a test. The order counts: the first match wins.
 * https://docs.aws.amazon.com/general/latest/gr/sts.html
 */
const AWS_PARTITIONS: readonly Partition[] = [
  partition(/^cn-/, 'amazonaws.com.cn', 'api.amazonwebservices.com.cn'),
  partition(/^eusc-/, 'amazonaws.eu', 'api.amazonwebservices.eu'),
  partition(/^us-iso-/, 'c2s.ic.gov', 'api.aws.ic.gov'),
  partition(/^us-isob-/, 'sc2s.sgov.gov', 'api.aws.scloud'),
  partition(/^eu-isoe-/, 'cloud.adc-e.uk', 'api.cloud-aws.adc-e.uk'),
  partition(/^us-isof-/, 'csp.hci.ic.gov', 'api.aws.hci.ic.gov'),
  partition(/^us-gov-/, 'amazonaws.com', 'api.aws', 'sts'),
  AWS_PARTITION,
];

/**
 * Regions as each cloud writes them, narrower than the CRD: under the clouds' suffixes there are names that customers own.
 * - AWS: a region ends in a number; `<bucket>.s3-<region>.amazonaws.com` is a customer's.
 * - Alibaba Cloud: a region begins with a part of the world; `<bucket>.oss-<region>.aliyuncs.com` is a customer's, and a
 *   bucket may be called sts. https://www.alibabacloud.com/help/en/oss/user-guide/regions-and-endpoints
 * - Volcengine: as Alibaba Cloud, since no page says which names under volcengineapi.com are whose.
 */
const REGIONS: Readonly<Record<Cloud, RegExp>> = {
  AWS: /^[a-z]{2,}(?:-[a-z0-9]+)+-[0-9]+$/,
  AlibabaCloud: /^(?:cn|ap|us|eu|me|na|sa|af|rus)(?:-[a-z0-9]+)+$/,
  Volcengine: /^(?:cn|ap|us|eu|me|na|sa|af)(?:-[a-z0-9]+)+$/,
};

function isRegion(cloud: Cloud, region: string): boolean {
  return region.length <= MAX_LABEL_LENGTH && REGIONS[cloud].test(region);
}

/**
 * AWS's own STS host for a region.
 * @returns undefined when the text is no region: nothing else may ever become part of a host.
 */
export function awsHost(region: string, type: ResolvedAWS['endpointType']): string | undefined {
  if (!isRegion('AWS', region)) {
    return undefined;
  }
  const found = AWS_PARTITIONS.find((candidate) => candidate.regions.test(region)) ?? AWS_PARTITION;
  switch (type) {
    case 'Regional':
      return `sts.${region}.${found.dnsSuffix}`;
    case 'FIPS':
      return `${found.fipsPrefix}.${region}.${found.dnsSuffix}`;
    case 'DualStack':
      return `sts.${region}.${found.dualStackSuffix}`;
    case 'FIPSDualStack':
      return `sts-fips.${region}.${found.dualStackSuffix}`;
  }
}

/** The host that serves Alibaba Cloud's regions without one of their own. */
const ALIBABA_CLOUD_CENTRAL = 'sts.aliyuncs.com';

/**
 * Alibaba Cloud's regions without an STS host of their own, from the data of the vendor's SDK (@alicloud/sts20150401
 * client.js _endpointMap). The comparison with that SDK is a test.
 */
const ALIBABA_CLOUD_CENTRAL_REGIONS: ReadonlySet<string> = new Set([
  'ap-northeast-2-pop',
  'ap-south-1',
  'ap-southeast-2',
  'cn-beijing-finance-pop',
  'cn-beijing-gov-1',
  'cn-beijing-nu16-b01',
  'cn-edge-1',
  'cn-fujian',
  'cn-haidian-cm12-c01',
  'cn-hangzhou-bj-b01',
  'cn-hangzhou-internal-prod-1',
  'cn-hangzhou-internal-test-1',
  'cn-hangzhou-internal-test-2',
  'cn-hangzhou-internal-test-3',
  'cn-hangzhou-test-306',
  'cn-hongkong-finance-pop',
  'cn-huhehaote-nebula-1',
  'cn-shanghai-et15-b01',
  'cn-shanghai-et2-b01',
  'cn-shanghai-inner',
  'cn-shanghai-internal-test-1',
  'cn-shenzhen-inner',
  'cn-shenzhen-st4-d01',
  'cn-shenzhen-su18-b01',
  'cn-wuhan',
  'cn-yushanfang',
  'cn-zhangbei',
  'cn-zhangbei-na61-b01',
  'cn-zhangjiakou-na62-a01',
  'cn-zhengzhou-nebula-1',
  'eu-west-1-oxs',
  'rus-west-1-pop',
]);

/**
 * Alibaba Cloud's own STS host for a region: of the region, inside its VPCs, or the central one.
 * https://www.alibabacloud.com/help/en/ram/developer-reference/api-sts-2015-04-01-endpoint
 * @returns undefined when the text is no region, and for the VPCs of a region without a host of its own: the SDK takes the
 * central host there, which is a public one; whoever asks for VPC asks for the opposite.
 */
export function alibabaCloudHost(region: string, network: ResolvedAlibabaCloud['network']): string | undefined {
  if (!isRegion('AlibabaCloud', region)) {
    return undefined;
  }
  if (ALIBABA_CLOUD_CENTRAL_REGIONS.has(region)) {
    return network === 'Public' ? ALIBABA_CLOUD_CENTRAL : undefined;
  }
  return network === 'Public' ? `sts.${region}.aliyuncs.com` : `sts-vpc.${region}.aliyuncs.com`;
}

/** The host for all regions, which the vendor's SDKs exchange tokens at unless they are told another one. */
const VOLCENGINE_GLOBAL = 'sts.volcengineapi.com';

/**
 * Volcengine's own STS host for a region. The vendor's page of AssumeRoleWithOIDC and the endpoint table of its Go SDK
 * (volcengineutil/url.go: sts is not global) have this form.
 * https://www.volcengine.com/docs/6257/1494877
 * @returns undefined when the text is no region.
 */
export function volcengineHost(region: string): string | undefined {
  return isRegion('Volcengine', region) ? `sts.${region}.volcengineapi.com` : undefined;
}

const ENDPOINT_TYPES = ['Regional', 'FIPS', 'DualStack', 'FIPSDualStack'] as const;
const NETWORKS = ['Public', 'VPC'] as const;

/** The hosts that one region gives, in all its variants. */
const OWN_HOSTS: Readonly<Record<Cloud, (region: string) => readonly (string | undefined)[]>> = {
  AWS: (region) => ENDPOINT_TYPES.map((type) => awsHost(region, type)),
  AlibabaCloud: (region) => [ALIBABA_CLOUD_CENTRAL, ...NETWORKS.map((network) => alibabaCloudHost(region, network))],
  Volcengine: (region) => [VOLCENGINE_GLOBAL, volcengineHost(region)],
};

/** The cloud's own form: https, its default port, and a host that one of its regions really gives. */
export function isOwn(url: URL, cloud: Cloud): boolean {
  const region = url.host.split('.')[1] ?? '';
  return url.protocol === 'https:' && OWN_HOSTS[cloud](region).includes(url.host);
}
