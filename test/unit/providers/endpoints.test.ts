// Promises: no text of a tenant leads to a host outside the clouds' forms and the operator's list, and the error says
// which field, what was seen and what to do.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { STSClient } from '@aws-sdk/client-sts';
import fc from 'fast-check';
import type { ResolvedAWS } from '../../../src/api/resolve.ts';
import { CredentialError } from '../../../src/credential/errors.ts';
import {
  assertAllowed,
  assertAudience,
  awsEndpoint,
  awsHost,
  type EndpointPolicy,
  parseEndpointOption,
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
