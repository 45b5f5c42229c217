// Promises: whatever a resource says, of what resolve() lets through nothing ends its line, its quote or its argument in any
// file, variable or template of any cloud: the files are parsed by readers of their own and hold what was meant, no more.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { resolve } from '../../../src/api/resolve.ts';
import { deliveredRole, type ResolvedExchange } from '../../../src/api/resolved.ts';
import { FORMAT_KEYS } from '../../../src/api/secret-keys.ts';
import type { WorkloadCredentialSpec } from '../../../src/api/types.gen.ts';
import { type PlainData, renderData } from '../../../src/render/formats.ts';
import { aCredential, DOMAINS, PARTS, ROLE_ARN } from '../../support/builders.ts';

type Cloud = ResolvedExchange['cloud'];

const ALIBABA_CLOUD_ROLE = 'acs:ram::1234567890123456:role/orders';
const VOLCENGINE_ROLE = 'trn:iam::2100000000:role/orders';
const LEGAL: Readonly<Record<Cloud, { readonly role: string; readonly region: string; readonly mountPath: string }>> = {
  AWS: { role: ROLE_ARN, region: 'eu-west-1', mountPath: '/home/app/.aws' },
  AlibabaCloud: { role: ALIBABA_CLOUD_ROLE, region: 'cn-hangzhou', mountPath: '/home/app/.aliyun' },
  Volcengine: { role: VOLCENGINE_ROLE, region: 'cn-beijing', mountPath: '/home/app/.volcengine' },
};
const CLOUDS = Object.keys(LEGAL) as Cloud[];

interface Values {
  readonly role: string;
  readonly region: string;
  readonly mountPath: string;
  readonly name: string;
}

const block = (cloud: Cloud, { role, region }: Values): Partial<WorkloadCredentialSpec> => {
  switch (cloud) {
    case 'AWS':
      return { aws: { roleARN: role, region } };
    case 'AlibabaCloud': {
      const oidcProviderARN = 'acs:ram::1234567890123456:oidc-provider/ack-rrsa-c1';
      return { alibabaCloud: { roleARN: role, oidcProviderARN, region } };
    }
    case 'Volcengine':
      return { volcengine: { roleTRN: role, region } };
  }
};

const TEMPLATES = { j: '["{{ roleArn }}","{{ region }}"]', s: "'{{ roleArn }}' {{ region }}" };

/** The Secret's data, or undefined where the resource is refused. */
function rendered(cloud: Cloud, values: Values): PlainData | undefined {
  const formats = (['Files', 'StaticFile', 'Environment'] as const).filter(
    (format) => FORMAT_KEYS[cloud][format].length > 0,
  );
  const { aws: _none, ...rest } = aCredential().spec;
  const credential = aCredential({ name: values.name });
  const secret = { mountPath: values.mountPath, formats, data: TEMPLATES };
  const spec = { ...rest, ...block(cloud, values), secret };
  const { resolved } = resolve({ ...credential, spec }, DOMAINS);
  if (resolved === undefined) {
    return undefined;
  }
  assert.equal(deliveredRole(resolved.exchange), values.role);
  const times = { issueTime: '2026-11-22T12:00:00Z', expiration: '2026-11-22T13:00:00Z' };
  return renderData(resolved.exchange, resolved.secret, { ...PARTS, ...times });
}

const object = (text: string | undefined): unknown => JSON.parse(text ?? '');

/** Each cloud's files, held against what they have to be, by other means than the renderer's. */
const HOLDS: Readonly<Record<Cloud, (data: PlainData, values: Values) => void>> = {
  AWS: (data, { region, mountPath }) => {
    assert.deepEqual(data['config']?.split('\n'), [
      '[default]',
      `region = ${region}`,
      `credential_process = cat ${mountPath}/credentials.json`,
      '',
    ]);
    assert.equal(data['credentials']?.split('\n').length, 5);
    assert.equal(data['AWS_REGION'], region);
  },
  AlibabaCloud: (data, { region, mountPath }) => {
    const profile = {
      name: 'default',
      mode: 'External',
      process_command: `cat ${mountPath}/credentials.json`,
      region_id: region,
    };
    assert.deepEqual(object(data['config.json']), { current: 'default', profiles: [profile] });
    assert.equal(data['ALIBABA_CLOUD_REGION_ID'], region);
  },
  Volcengine: (data, { region }) => {
    for (const [key, mode] of [
      ['config.json', 'sso'],
      ['config-static.json', 'ak'],
    ] as const) {
      const { current, profiles } = object(data[key]) as {
        readonly current: string;
        readonly profiles: Readonly<Record<string, { readonly mode: string; readonly region: string }>>;
      };
      assert.deepEqual([current, Object.keys(profiles)], ['default', ['default']]);
      assert.deepEqual([profiles['default']?.mode, profiles['default']?.region], [mode, region]);
    }
    assert.equal(data['VOLCENGINE_REGION'], region);
  },
};

/** Words that a shell, an SDK's splitter of commands, an ini file, JSON or a URL would take for something else. */
function holds(cloud: Cloud, values: Values, data: PlainData): void {
  HOLDS[cloud](data, values);
  assert.match(values.mountPath, /^[A-Za-z0-9._/-]+$/);
  assert.match(values.region, /^[a-z0-9-]+$/);
  assert.deepEqual(object(data['j']), [values.role, values.region]);
  assert.match(data['s'] ?? '', /^'[^'\s\\$`"]+' [a-z0-9-]+$/);
}

const ODD = [
  '\n',
  '\r',
  '\0',
  '"',
  "'",
  '\\',
  '$(id)',
  '`id`',
  '#',
  ';',
  ' ',
  '\t',
  '%0a',
  '@host/#',
  '..',
  '/../',
  '{{ region }}',
  '\u2028',
];

function mixed(legal: string): fc.Arbitrary<string> {
  const odd = fc.oneof(fc.constantFrom(...ODD), fc.string({ maxLength: 4 }));
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant(legal) },
    { weight: 1, arbitrary: fc.constantFrom('a', '1', '-x', '/x').map((end) => legal + end) },
    {
      weight: 2,
      arbitrary: fc
        .tuple(odd, fc.nat({ max: legal.length }))
        .map(([text, at]) => legal.slice(0, at) + text + legal.slice(at)),
    },
  );
}

for (const cloud of CLOUDS) {
  test(`${cloud}: no value that is accepted ends its line, its quote or its argument`, () => {
    const { role, region, mountPath } = LEGAL[cloud];
    let accepted = 0;
    const values = fc.record({
      role: mixed(role),
      region: mixed(region),
      mountPath: mixed(mountPath),
      name: mixed('orders'),
    });
    fc.assert(
      fc.property(values, (of) => {
        const data = rendered(cloud, of);
        if (data !== undefined) {
          accepted += 1;
          holds(cloud, of, data);
        }
      }),
      { numRuns: 2000 },
    );
    assert.ok(accepted > 100, `only ${accepted} were accepted`);
  });

  for (const [what, change] of Object.entries({
    'a mountPath that runs a command': { mountPath: '/x; touch P' },
    'a region that is another host': { region: 'x@host/#' },
    'a region with a line of its own': { region: 'eu-west-1\ncredential_process = id' },
    'a role that ends its quote': { role: `${LEGAL[cloud].role}"` },
  })) {
    test(`${cloud}: ${what} is refused`, () => {
      assert.equal(rendered(cloud, { ...LEGAL[cloud], name: 'orders', ...change }), undefined);
    });
  }

  test(`${cloud}: what is legal is rendered`, () => {
    const values = { ...LEGAL[cloud], name: 'orders' };
    const data = rendered(cloud, values);
    assert.ok(data !== undefined);
    holds(cloud, values, data);
  });
}
