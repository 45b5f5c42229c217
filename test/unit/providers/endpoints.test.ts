// Promises: no text of a tenant leads to a host outside the clouds' forms and the operator's list, and the error says
// which field, what was seen and what to do.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Cloud } from '../../../src/api/names.ts';
import type { ResolvedAlibabaCloud, ResolvedAWS, ResolvedVolcengine } from '../../../src/api/resolved.ts';
import { CredentialError } from '../../../src/credential/errors.ts';
import {
  alibabaCloudEndpoint,
  assertAllowed,
  assertAudience,
  awsEndpoint,
  type EndpointPolicy,
  parseEndpointOption,
  volcengineEndpoint,
} from '../../../src/providers/endpoints.ts';

const EMPTY: EndpointPolicy = { entries: [], apiServerAudiences: [] };
const POLICY: EndpointPolicy = {
  entries: [
    { cloud: 'AWS', host: 'sts.example.internal', scheme: 'https', audiences: ['internal', 'second'] },
    { cloud: 'AWS', host: 'sts.example.internal:8443', scheme: 'https', audiences: ['internal'] },
    { cloud: 'AWS', host: '127.0.0.1:8333', scheme: 'http', audiences: ['bed'] },
    { cloud: 'AWS', host: '[::1]:8333', scheme: 'http', audiences: ['bed'] },
    { cloud: 'AWS', host: '10.1.2.3', scheme: 'https', audiences: ['ip'] },
    { cloud: 'AWS', host: 'sts.eu-west-1.amazonaws.com', scheme: 'https', audiences: ['extra'] },
    { cloud: 'AlibabaCloud', host: 'sts.alibaba.internal', scheme: 'https', audiences: ['internal'] },
    { cloud: 'AWS', host: 'careless.internal', scheme: 'https', audiences: ['sts.amazonaws.com'] },
  ],
  apiServerAudiences: ['https://kubernetes.default.svc', 'second'],
};

const exchange = (over: Partial<ResolvedAWS>): ResolvedAWS => ({
  cloud: 'AWS',
  roleARN: 'arn:aws:iam::123456789012:role/orders',
  region: 'eu-west-1',
  audience: 'sts.amazonaws.com',
  endpointType: 'Regional',
  policyARNs: [],
  roleChain: [],
  ...over,
});

const refusal = (act: () => unknown): CredentialError => {
  try {
    act();
  } catch (error) {
    assert.ok(error instanceof CredentialError, String(error));
    return error;
  }
  return assert.fail('it was accepted');
};

test('without an endpoint the request goes to the host of region and type', () => {
  assert.equal(awsEndpoint(exchange({}), EMPTY).href, 'https://sts.eu-west-1.amazonaws.com/');
  assert.equal(
    awsEndpoint(exchange({ endpointType: 'FIPSDualStack' }), EMPTY).href,
    'https://sts-fips.eu-west-1.api.aws/',
  );
});

for (const region of [
  'x@evil.example/#',
  'eu-west-1.evil.example',
  'eu-west-1/',
  'eu-west-1#',
  'eu-west-1?',
  'eu-west-1\n',
  'EU-WEST-1',
  'eu west 1',
  '',
  '-',
  'eu-west-1:8443',
  'aws-global',
  's3-eu-west-1',
  `eu-${'a'.repeat(60)}-1`,
  'eu-wést-1',
]) {
  test(`region ${JSON.stringify(region)} is refused, and the message names the field`, () => {
    const error = refusal(() => awsEndpoint(exchange({ region }), POLICY));
    assert.equal(error.code, 'EndpointNotAllowed');
    assert.match(error.message, /^spec\.aws\.region is "/);
  });
}

for (const [endpoint, audience, href] of [
  ['https://sts.example.internal', 'internal', 'https://sts.example.internal/'],
  ['https://sts.example.internal/', 'internal', 'https://sts.example.internal/'],
  ['https://sts.example.internal:443', 'internal', 'https://sts.example.internal/'],
  ['https://sts.example.internal:8443', 'internal', 'https://sts.example.internal:8443/'],
  ['http://127.0.0.1:8333', 'bed', 'http://127.0.0.1:8333/'],
  ['http://[::1]:8333', 'bed', 'http://[::1]:8333/'],
  ['https://10.1.2.3', 'ip', 'https://10.1.2.3/'],
  ['https://sts.us-east-1.amazonaws.com', 'sts.amazonaws.com', 'https://sts.us-east-1.amazonaws.com/'],
  ['https://sts.cn-north-1.amazonaws.com.cn', 'sts.amazonaws.com.cn', 'https://sts.cn-north-1.amazonaws.com.cn/'],
  ['https://sts.eu-west-1.amazonaws.com', 'extra', 'https://sts.eu-west-1.amazonaws.com/'],
] as const) {
  test(`endpoint ${endpoint} with audience ${audience} is allowed`, () => {
    assert.equal(awsEndpoint(exchange({ endpoint, audience }), POLICY).href, href);
  });
}

for (const endpoint of [
  'https://evil.example',
  'https://sts.example.internal:9443',
  'https://sts.example.internal.evil.example',
  'https://evil.example/sts.example.internal',
  'https://sts.example.internal@evil.example',
  'https://user:hunter2@sts.example.internal',
  'https://sts.example.internal#x',
  'https://sts.example.internal?x',
  'https://sts.example.internal/path',
  'https://sts.example.internal//',
  'https://sts.example.internal.',
  'https://sts..example.internal',
  'https://-sts.example.internal',
  'https://STS.example.internal',
  'https:\\\\sts.example.internal',
  'https://sts.example.internal\\@evil.example',
  'https://sts.exam\tple.internal',
  'https://sts.example.internal\n',
  ' https://sts.example.internal',
  'https:sts.example.internal',
  '//sts.example.internal',
  'sts.example.internal',
  'http://sts.example.internal',
  'http://127.0.0.1',
  'http://127.0.0.1:8334',
  'http://127.1:8333',
  'http://0x7f000001:8333',
  'http://2130706433:8333',
  'http://localhost:8333',
  'http://10.1.2.3:80',
  'http://[::ffff:127.0.0.1]:8333',
  'http://[0:0:0:0:0:0:0:1]:8333',
  'http://[::1%25lo]:8333',
  'https://[::1]:8333',
  'https://127.0.0.1:8333',
  'https://10.1.2.003',
  'https://xn--sts-abc.example.internal',
  'https://sts。example.internal',
  'https://sts.example.internal:0',
  'https://sts.example.internal:99999',
  'https://sts.example.internal:',
  'https://sts.eu-west-1.amazonaws.com.evil.example',
  'https://sts.eu-west-1.amazonaws.com:8443',
  'https://sts.eu-west-1.x.amazonaws.com',
  'https://sts.cn-north-1.amazonaws.com',
  'https://sts.s3-eu-west-1.amazonaws.com',
  'https://s3.eu-west-1.amazonaws.com',
  'https://sts.amazonaws.com',
  'https://sts.alibaba.internal',
  'ftp://sts.example.internal',
  `https://${'a'.repeat(64)}.internal`,
  `https://${'a.'.repeat(140)}internal`,
  '',
]) {
  test(`endpoint ${JSON.stringify(endpoint)} is refused, and the message names the field`, () => {
    const error = refusal(() => awsEndpoint(exchange({ endpoint, audience: 'internal' }), POLICY));
    assert.equal(error.code, 'EndpointNotAllowed');
    assert.match(error.message, /spec\.aws\.endpoint/);
    assert.match(error.message, /remove/);
    assert.ok(!error.message.includes('hunter2'));
    assert.ok(!/[^\x20-\x7e]/.test(error.message));
  });
}

test('property: no region or endpoint leads to a host outside the forms and the list', () => {
  const hostile = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.webUrl({ withFragments: true, withQueryParameters: true }),
    fc
      .array(
        fc.constantFrom(
          'https://',
          'http://',
          'sts',
          'sts-fips',
          '.',
          'eu-west-1',
          'amazonaws.com',
          '@',
          '#',
          '?',
          '/',
          '\\',
          ':',
          '443',
          '8333',
          'evil.example',
          'sts.example.internal',
          '127.0.0.1',
          '[::1]',
          '\t',
          '%2f',
          'xn--',
          '。',
        ),
        { maxLength: 8 },
      )
      .map((parts) => parts.join('')),
  );
  const listed = new Set(POLICY.entries.filter((entry) => entry.cloud === 'AWS').map((entry) => entry.host));
  const own =
    /^(sts|sts-fips)\.[a-z][a-z0-9-]*\.(amazonaws\.com|api\.aws|amazonaws\.com\.cn|api\.amazonwebservices\.com\.cn|amazonaws\.eu|api\.amazonwebservices\.eu|c2s\.ic\.gov|api\.aws\.ic\.gov|sc2s\.sgov\.gov|api\.aws\.scloud|cloud\.adc-e\.uk|api\.cloud-aws\.adc-e\.uk|csp\.hci\.ic\.gov|api\.aws\.hci\.ic\.gov)$/;
  let accepted = 0;
  const check = (over: Partial<ResolvedAWS>): void => {
    let url: URL;
    try {
      url = awsEndpoint(exchange(over), POLICY);
    } catch (error) {
      assert.ok(error instanceof CredentialError, String(error));
      return;
    }
    accepted += 1;
    assert.ok(listed.has(url.host) || own.test(url.host), url.href);
    assert.ok(url.protocol === 'https:' || ['127.0.0.1:8333', '[::1]:8333'].includes(url.host), url.href);
    assert.equal(url.href, `${url.protocol}//${url.host}/`);
  };
  const region = fc.oneof(hostile, fc.stringMatching(/^[a-z]{2}-[a-z]{1,9}-[0-9]$/));
  const type = fc.constantFrom('Regional' as const, 'FIPS' as const, 'DualStack' as const, 'FIPSDualStack' as const);
  fc.assert(
    fc.property(region, hostile, type, fc.constantFrom('internal', 'bed', 'sts.amazonaws.com'), (...drawn) => {
      const [drawnRegion, endpoint, endpointType, audience] = drawn;
      check({ region: drawnRegion, endpointType, audience });
      check({ endpoint, endpointType, audience });
    }),
    { numRuns: 3000 },
  );
  assert.ok(accepted > 50, `only ${accepted} were accepted: the property says nothing`);
});

test('the request about to be made is judged by its whole URL, not by its host alone', () => {
  for (const href of [
    'https://user@sts.eu-west-1.amazonaws.com/',
    'https://sts.eu-west-1.amazonaws.com/?Action=x',
    'https://sts.eu-west-1.amazonaws.com/#x',
    'https://sts.eu-west-1.amazonaws.com/latest',
    'https://sts.eu-west-1.amazonaws.com./',
    'http://sts.eu-west-1.amazonaws.com/',
    'http://sts.eu-west-1.amazonaws.com:443/',
    'http://127.0.0.1:9999/',
    'https://localhost/',
    'file:///etc/passwd',
  ]) {
    const error = refusal(() => assertAllowed(new URL(href), 'AWS', POLICY));
    assert.equal(error.code, 'EndpointNotAllowed', href);
  }
  assertAllowed(new URL('https://sts.eu-west-1.amazonaws.com/'), 'AWS', EMPTY);
});

test("a cloud's own form is not another cloud's", () => {
  const error = refusal(() => assertAllowed(new URL('https://sts.eu-west-1.amazonaws.com/'), 'Volcengine', POLICY));
  assert.match(error.message, /spec\.volcengine\.endpoint/);
  assertAllowed(new URL('https://sts.alibaba.internal/'), 'AlibabaCloud', POLICY);
});

for (const [what, endpoint, audience, says] of [
  ["AWS's own audience at a private endpoint", 'https://sts.example.internal', 'sts.amazonaws.com', /use "internal"/],
  ["another endpoint's audience", 'http://127.0.0.1:8333', 'internal', /use "bed"/],
  ["a private audience at AWS's own host", undefined, 'internal', /use "sts\.amazonaws\.com"/],
  ["the API server's audience", undefined, 'https://kubernetes.default.svc', /API server/],
  ["the API server's audience although it is listed", 'https://sts.example.internal', 'second', /API server/],
  ["AWS's own audience at a private endpoint that lists it", 'https://careless.internal', 'sts.amazonaws.com', /ask/],
  ['no audience', undefined, '', /does not mint/],
] as const) {
  test(`${what} is refused, and the message names the field and the choice`, () => {
    const error = refusal(() =>
      awsEndpoint(exchange({ audience, ...(endpoint === undefined ? {} : { endpoint }) }), POLICY),
    );
    assert.equal(error.code, 'AudienceNotAllowed');
    assert.ok(error.message.startsWith(`spec.aws.audience is "${audience}"`), error.message);
    assert.match(error.message, says);
  });
}

test('a long or hostile audience is shown cut and printable', () => {
  const url = new URL('https://sts.eu-west-1.amazonaws.com/');
  const error = refusal(() => assertAudience({ url, cloud: 'AWS', audience: `\u001b[31m${'x'.repeat(5000)}` }, EMPTY));
  assert.ok(error.message.length < 500);
  assert.ok(!/[^\x20-\x7e]/.test(error.message));
});

for (const [text, entry] of [
  [
    'AWS=https://sts.example.internal=aud1,aud2',
    { cloud: 'AWS', host: 'sts.example.internal', scheme: 'https', audiences: ['aud1', 'aud2'] },
  ],
  [
    'AWS=https://sts.example.internal:443/=aud',
    { cloud: 'AWS', host: 'sts.example.internal', scheme: 'https', audiences: ['aud'] },
  ],
  ['AWS=http://127.0.0.1:8333=aud', { cloud: 'AWS', host: '127.0.0.1:8333', scheme: 'http', audiences: ['aud'] }],
  [
    'Volcengine=https://sts.volc.internal=https://aud?a=b',
    { cloud: 'Volcengine', host: 'sts.volc.internal', scheme: 'https', audiences: ['https://aud?a=b'] },
  ],
  [
    'AlibabaCloud=https://sts-vpc.cn-hangzhou.aliyuncs.com=sts.aliyuncs.com,mine',
    {
      cloud: 'AlibabaCloud',
      host: 'sts-vpc.cn-hangzhou.aliyuncs.com',
      scheme: 'https',
      audiences: ['sts.aliyuncs.com', 'mine'],
    },
  ],
  [
    'AWS=https://sts.eu-west-1.amazonaws.com=sts.amazonaws.com,mine',
    {
      cloud: 'AWS',
      host: 'sts.eu-west-1.amazonaws.com',
      scheme: 'https',
      audiences: ['sts.amazonaws.com', 'mine'],
    },
  ],
] as const) {
  test(`--sts-endpoint ${text} is understood`, () => {
    assert.deepEqual(parseEndpointOption(text), { entry });
  });
}

for (const [text, says] of [
  ['', /no cloud/],
  ['aws=https://sts.example.internal=aud', /"aws" is no cloud/],
  ['toString=https://sts.example.internal=aud', /no cloud/],
  ['AWS', /cannot be used/],
  ['AWS=sts.example.internal=aud', /https:\/\//],
  ['AWS=http://sts.example.internal=aud', /loopback/],
  ['AWS=http://localhost:8333=aud', /loopback/],
  ['AWS=http://127.0.0.1=aud', /loopback/],
  ['AWS=http://127.0.0.1:80=aud', /usual form/],
  ['AWS=https://user:hunter2@sts.example.internal=aud', /cannot be used/],
  ['AWS=https://sts.example.internal', /no audience/],
  ['AWS=https://sts.example.internal=', /no audience/],
  ['AWS=https://sts.example.internal=a,,b', /no audience/],
  ['AWS=https://sts.example.internal=a b', /no audience/],
  ['AWS=https://sts.example.internal=sts.amazonaws.com', /own hosts only/],
  ['AWS=https://sts.example.internal=sts.aliyuncs.com', /own hosts only/],
  ['AlibabaCloud=https://sts.eu-west-1.amazonaws.com=sts.amazonaws.com', /own hosts only/],
  ['AlibabaCloud=https://sts.oss-cn-hangzhou.aliyuncs.com=sts.aliyuncs.com', /own hosts only/],
  ['Volcengine=https://sts.example.internal=sts.volcengine.com', /own hosts only/],
  ['Volcengine=https://sts.cn-beijing.volcengineapi.com:8443=sts.volcengine.com', /own hosts only/],
] as const) {
  test(`--sts-endpoint ${JSON.stringify(text)} is refused with one sentence that names the flag`, () => {
    const { error = '' } = parseEndpointOption(text);
    assert.match(error, /^--sts-endpoint "/);
    assert.match(error, says);
    assert.match(error, /The form is/);
    assert.ok(!error.includes('hunter2'));
  });
}

test('an entry that was parsed allows exactly what it says', () => {
  const { entry } = parseEndpointOption('AWS=http://127.0.0.1:8080=aud');
  assert.ok(entry !== undefined);
  const policy = { entries: [entry], apiServerAudiences: [] };
  assert.equal(
    awsEndpoint(exchange({ endpoint: 'http://127.0.0.1:8080', audience: 'aud' }), policy).href,
    'http://127.0.0.1:8080/',
  );
});

interface Drawn {
  readonly region?: string;
  readonly endpoint?: string;
  readonly audience?: string;
}

/** A cloud as the one judge sees it, so that each hostile text is tried on all three. */
interface JudgedCloud {
  readonly cloud: Cloud;
  readonly field: string;
  readonly audience: string;
  /** What stands before the region in the names of its buckets, which customers own. */
  readonly bucketOf: string;
  /** Its own origin for `region`. */
  readonly own: string;
  readonly region: string;
  readonly form: RegExp;
  readonly endpointOf: (drawn: Drawn, policy: EndpointPolicy) => URL;
}

const alibabaCloud = (over: Partial<ResolvedAlibabaCloud>): ResolvedAlibabaCloud => ({
  cloud: 'AlibabaCloud',
  roleARN: 'acs:ram::1234567890123456:role/orders',
  oidcProviderARN: 'acs:ram::1234567890123456:oidc-provider/ack-rrsa-c123',
  region: 'cn-hangzhou',
  audience: 'sts.aliyuncs.com',
  network: 'Public',
  roleChain: [],
  ...over,
});
const volcengine = (over: Partial<ResolvedVolcengine>): ResolvedVolcengine => ({
  cloud: 'Volcengine',
  roleTRN: 'trn:iam::2100000001:role/orders',
  region: 'cn-beijing',
  audience: 'sts.volcengine.com',
  roleChain: [],
  ...over,
});

const CLOUDS: readonly JudgedCloud[] = [
  {
    cloud: 'AWS',
    field: 'spec.aws',
    audience: 'sts.amazonaws.com',
    bucketOf: 's3',
    own: 'https://sts.eu-west-1.amazonaws.com',
    region: 'eu-west-1',
    form: /^sts\.[a-z]{2,}(-[a-z0-9]+)+-[0-9]+\.(amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu|c2s\.ic\.gov|sc2s\.sgov\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)$/,
    endpointOf: (drawn, policy) => awsEndpoint(exchange(drawn), policy),
  },
  {
    cloud: 'AlibabaCloud',
    field: 'spec.alibabaCloud',
    audience: 'sts.aliyuncs.com',
    bucketOf: 'oss',
    own: 'https://sts.cn-hangzhou.aliyuncs.com',
    region: 'cn-hangzhou',
    form: /^sts(\.(cn|ap|us|eu|me|na|sa|af|rus)(-[a-z0-9]+)+)?\.aliyuncs\.com$/,
    endpointOf: (drawn, policy) => alibabaCloudEndpoint(alibabaCloud(drawn), policy),
  },
  {
    cloud: 'Volcengine',
    field: 'spec.volcengine',
    audience: 'sts.volcengine.com',
    bucketOf: 'tos',
    own: 'https://sts.cn-beijing.volcengineapi.com',
    region: 'cn-beijing',
    form: /^sts(\.(cn|ap|us|eu|me|na|sa|af)(-[a-z0-9]+)+)?\.volcengineapi\.com$/,
    endpointOf: (drawn, policy) => volcengineEndpoint(volcengine(drawn), policy),
  },
];

/** The same list for each cloud, so that only the cloud makes the difference. */
const listFor = (cloud: Cloud): EndpointPolicy => ({
  ...POLICY,
  entries: POLICY.entries.filter((entry) => entry.cloud === 'AWS').map((entry) => ({ ...entry, cloud })),
});

for (const { cloud, field, audience, bucketOf, own, region, form, endpointOf } of CLOUDS) {
  const suffix = own.replace(/^https:\/\/[^.]+\.[^.]+/, '');

  test(`${cloud}: without an endpoint the request goes to the region's own host`, () => {
    assert.equal(endpointOf({}, EMPTY).href, `${own}/`);
    assert.match(new URL(own).host, form);
  });

  test(`${cloud}: its own host may be written out, in the usual form only`, () => {
    for (const endpoint of [own, `${own}/`, `${own}:443`])
      assert.equal(endpointOf({ endpoint }, EMPTY).href, `${own}/`);
    for (const endpoint of [
      own.replace('https', 'http'),
      own.toUpperCase(),
      own.replace('sts', 'STS'),
      `${own}.`,
      `${own}:8443`,
      `${own}:080`,
      `${own}/path`,
      `${own}//`,
      `${own}?Action=AssumeRole`,
      `${own}#x`,
      `${own}#@evil.example`,
      `${own}@evil.example`,
      `${own}\\@evil.example`,
      `${own}.evil.example`,
      `${own}\n`,
      `${own}\t`,
      ` ${own}`,
      own.replace('sts.', 'user@sts.'),
      own.replace('sts.', 'user:hunter2@sts.'),
      own.replace('sts.', 'xn--sts.'),
      own.replace('sts.', 'ѕts.'),
      own.replace('sts.', 'sts。'),
      own.replace('sts.', 'sts%2e'),
      own.replace('sts.', 'x.sts.'),
      own.replace('sts.', 'sts..'),
      own.replace('sts.', 'iam.'),
      own.replace(region, `${region}.x`),
      own.replace(region, `${bucketOf}-${region}`),
      own.replace(region, `s3-${region}`),
      own.replace('https://', 'https:'),
      own.replace('https://', '//'),
      own.replace('https://', 'https:\\\\'),
      `https://[::1]${suffix}`,
      `https://evil.example/${own}`,
      'https://[::1]',
      'https://[::ffff:7f00:1]',
      'https://127.0.0.1',
      'https://169.254.169.254',
      'http://169.254.169.254:80',
      'http://100.100.100.200:80',
      'https://localhost',
    ]) {
      const error = refusal(() => endpointOf({ endpoint, audience }, EMPTY));
      assert.equal(error.code, 'EndpointNotAllowed', endpoint);
      assert.ok(error.message.includes(`${field}.endpoint`), error.message);
      assert.ok(!error.message.includes('hunter2') && !/[^\x20-\x7e]/.test(error.message), error.message);
    }
  });

  test(`${cloud}: the own host of another cloud is refused`, () => {
    for (const other of CLOUDS.filter((each) => each.cloud !== cloud)) {
      const error = refusal(() => endpointOf({ endpoint: other.own, audience: other.audience }, EMPTY));
      assert.equal(error.code, 'EndpointNotAllowed');
      assert.equal(refusal(() => endpointOf({ audience: other.audience }, EMPTY)).code, 'AudienceNotAllowed');
    }
  });

  test(`${cloud}: a listed endpoint is that cloud's only, with its own audience`, () => {
    const policy = listFor(cloud);
    const endpoint = 'https://sts.example.internal';
    assert.equal(endpointOf({ endpoint, audience: 'internal' }, policy).href, `${endpoint}/`);
    assert.equal(refusal(() => endpointOf({ endpoint, audience }, policy)).code, 'AudienceNotAllowed');
    for (const other of CLOUDS.filter((each) => each.cloud !== cloud)) {
      const error = refusal(() => other.endpointOf({ endpoint, audience: 'internal' }, policy));
      assert.equal(error.code, 'EndpointNotAllowed');
    }
  });

  test(`${cloud}: an audience of the API server is refused`, () => {
    const error = refusal(() => endpointOf({ audience: 'https://kubernetes.default.svc' }, POLICY));
    assert.equal(error.code, 'AudienceNotAllowed');
    assert.ok(error.message.startsWith(`${field}.audience is `));
  });

  for (const hostile of [
    'x@evil.example/#',
    `${region}.evil.example`,
    `${region}/`,
    `${region}#`,
    `${region}?x`,
    `${region}\n`,
    `${region}\t`,
    `${region}.`,
    `${region}:8443`,
    `${region}\\`,
    `${region}%2e`,
    `${region}。x`,
    `${region}\u0000`,
    region.toUpperCase(),
    `${bucketOf}-${region}`,
    `vpc100-${bucketOf}-${region}`,
    `s3-oss-${region}`,
    `x.${region}`,
    '-',
    '',
    'central',
    'xn--cn-1',
    `cn-${'a'.repeat(61)}`,
    'cn-hàngzhou-1',
    'сn-hangzhou-1',
  ]) {
    test(`${cloud}: region ${JSON.stringify(hostile)} is refused, and the message names the field`, () => {
      const error = refusal(() => endpointOf({ region: hostile }, POLICY));
      assert.equal(error.code, 'EndpointNotAllowed');
      assert.ok(error.message.startsWith(`${field}.region is "`), error.message);
      assert.ok(error.message.includes(`write one such as ${region}`), error.message);
      assert.ok(!/[^\x20-\x7e]/.test(error.message));
    });
  }

  test(`${cloud}: property: no region changes the suffix of the host, and no endpoint leaves the list`, () => {
    const pieces =
      'cn eu us oss - -1 . @ # ? / \\ : 443 %2f 。 xn-- evil.example sts https:// sts.example.internal [::1]'.split(
        ' ',
      );
    const part = fc.constantFrom('\n', '\t', '\u0000', '\u202e', region, suffix, own, ...pieces);
    const text = fc.oneof(
      fc.array(part, { maxLength: 7 }).map((parts) => parts.join('')),
      fc.string({ unit: 'binary' }),
      fc.stringMatching(/^(cn|ap|us)-[a-z]{1,9}-[0-9]$/),
    );
    const listed = new Set(listFor(cloud).entries.map(({ host }) => host));
    let accepted = 0;
    const check = (drawn: Drawn, isRight: (url: URL) => boolean): void => {
      let url: URL;
      try {
        url = endpointOf(drawn, listFor(cloud));
      } catch (error) {
        assert.ok(error instanceof CredentialError, String(error));
        return;
      }
      accepted += 1;
      assert.equal(url.href, `${url.protocol}//${url.host}/`);
      assert.ok(isRight(url), `${JSON.stringify(drawn)} -> ${url.href}`);
    };
    fc.assert(
      fc.property(text, fc.constantFrom('internal', 'bed', audience), (drawn, drawnAudience) => {
        check({ region: drawn }, (url) => url.protocol === 'https:' && form.test(url.host));
        check({ endpoint: drawn, audience: drawnAudience }, (url) => form.test(url.host) || listed.has(url.host));
      }),
      { numRuns: 2000 },
    );
    assert.ok(accepted > 50, `only ${accepted} were accepted: the property says nothing`);
  });
}

test('Alibaba Cloud inside VPCs has hosts of its own, where the region has one', () => {
  assert.equal(
    alibabaCloudEndpoint(alibabaCloud({ network: 'VPC' }), EMPTY).href,
    'https://sts-vpc.cn-hangzhou.aliyuncs.com/',
  );
  assert.equal(alibabaCloudEndpoint(alibabaCloud({ region: 'cn-wuhan' }), EMPTY).href, 'https://sts.aliyuncs.com/');
  const error = refusal(() => alibabaCloudEndpoint(alibabaCloud({ region: 'cn-wuhan', network: 'VPC' }), EMPTY));
  assert.equal(error.code, 'EndpointNotAllowed');
  assert.match(
    error.message,
    /^spec\.alibabaCloud\.network is "VPC", but the region "cn-wuhan" .*: remove the field, or/,
  );
});

test("the hosts for all regions are the clouds' own, where a resource names them", () => {
  const central = alibabaCloud({ endpoint: 'https://sts.aliyuncs.com' });
  assert.equal(alibabaCloudEndpoint(central, EMPTY).host, 'sts.aliyuncs.com');
  const global = volcengine({ endpoint: 'https://sts.volcengineapi.com', audience: 'sts.volcengineapi.com' });
  assert.equal(volcengineEndpoint(global, EMPTY).host, 'sts.volcengineapi.com');
});

test('a request with a query is not judged by its host alone: the caller takes the query off, and only that', () => {
  const url = new URL('/?Action=AssumeRole&Version=2018-01-01', volcengineEndpoint(volcengine({}), EMPTY));
  assert.equal(refusal(() => assertAllowed(url, 'Volcengine', EMPTY)).code, 'EndpointNotAllowed');
  assertAllowed(new URL('/', url), 'Volcengine', EMPTY);
  const withUser = new URL('/', 'https://user@sts.cn-beijing.volcengineapi.com/?Action=x');
  assert.equal(refusal(() => assertAllowed(withUser, 'Volcengine', EMPTY)).code, 'EndpointNotAllowed');
});
