// Promises: what resolve() accepts can be trusted by everything behind it, and what it refuses is told by field, value and
// fix. The CRD says the same; this is for resources that an older CRD let through.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { load } from 'js-yaml';
import { PLACEHOLDERS, resolve, secretNameOf } from '../../../src/api/resolve.ts';
import type { AWSSpec, SecretSpec, WorkloadCredential, WorkloadCredentialSpec } from '../../../src/api/types.gen.ts';
import { renderData } from '../../../src/render/formats.ts';
import { aCredential, aResolved, DOMAINS, PARTS, ROLE_ARN } from '../../support/builders.ts';

const AWS: AWSSpec = { roleARN: ROLE_ARN, region: 'eu-west-1' };
const aws = (change: Partial<AWSSpec>): Partial<WorkloadCredentialSpec> => ({ aws: { ...AWS, ...change } });
const secret = (change: SecretSpec): Partial<WorkloadCredentialSpec> => ({ secret: change });
const many = (count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`key-${index}`, 'v']));

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
    policyARNs: ['arn:aws-cn:iam::aws:policy/service-role/A'],
    sessionPolicy: '\n{"Statement":[]}\n',
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
  assert.deepEqual({ ...exchange }, { cloud: 'AWS', endpointType: 'Regional', ...AWS, ...wanted });
  assert.equal(rest.durationSeconds, 43_200);
  assert.equal(rest.refreshBeforeSeconds, 300);
  assert.equal(rest.suspend, true);
  assert.deepEqual(rest.secret.formats, ['Files', 'Environment']);
  assert.equal(rest.secret.name, 'orders.cloud');
  assert.equal(rest.secret.deletionPolicy, 'Retain');
});

// [field, what is wrong, a piece of the shown value, a piece of the fix]
const violations: readonly (readonly [string, Partial<WorkloadCredentialSpec>, string, string])[] = [
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
  ['spec.aws.region', aws({ region: 'x@host/#' }), '"x@host/#"', 'AWS region'],
  ['spec.aws.region', aws({ region: 'eu-west-1\ncredential_process = x' }), '\\n', 'AWS region'],
  ['spec.aws.region', aws({ region: `eu-${'x'.repeat(62)}` }), '"eu-', 'AWS region'],
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
  ['spec.secret.name', secret({ name: 'A' }), '"A"', 'legal Secret name'],
  ['spec.secret.name', secret({ name: 'a'.repeat(254) }), '"aaa', 'legal Secret name'],
  ['spec.secret.formats', secret({ formats: [] }), '[]', 'leave it out for Files'],
  [
    'spec.secret.formats',
    secret({ formats: ['Files', 'constructor' as never] }),
    '"constructor"',
    'name one or more of Files',
  ],
  ['spec.secret.mountPath', secret({ mountPath: '/x; touch P' }), '/x; touch P', 'absolute path'],
  ['spec.secret.mountPath', secret({ mountPath: 'x' }), '"x"', 'absolute path'],
  ['spec.secret.mountPath', secret({ mountPath: '/x/' }), '"/x/"', 'absolute path'],
  ['spec.secret.mountPath', secret({ mountPath: '/x/../y' }), '..', 'absolute path'],
  ['spec.secret.mountPath', secret({ mountPath: '/./x' }), '/./x', 'absolute path'],
  ['spec.secret.mountPath', secret({ mountPath: '/x\n' }), '\\n', 'absolute path'],
  ['spec.secret.mountPath', secret({ mountPath: `/${'x'.repeat(255)}` }), '/xxx', '255 characters'],
  ['spec.secret.data', secret({ data: many(33) }), '33 keys', 'at most 32'],
  ['spec.secret.data[a/b]', secret({ data: { 'a/b': '' } }), '"a/b"', 'use a key of letters'],
  ['spec.secret.data[..x]', secret({ data: { '..x': '' } }), '"..x"', 'use a key of letters'],
  ['spec.secret.data[.]', secret({ data: { '.': '' } }), '"."', 'use a key of letters'],
  [
    'spec.secret.data[config]',
    secret({ formats: ['Environment'], data: { config: '' } }),
    'config',
    'the formats write this one',
  ],
  ['spec.secret.data[credentials]', secret({ data: { credentials: '' } }), 'credentials', 'the formats write this one'],
  [
    'spec.secret.data[credentials.json]',
    secret({ formats: ['StaticFile'], data: { 'credentials.json': '' } }),
    'json',
    'the formats write this one',
  ],
  ['spec.secret.data[config.json]', secret({ data: { 'config.json': '' } }), 'json', 'the formats write this one'],
  [
    'spec.secret.data[AWS_REGION]',
    secret({ formats: ['Environment'], data: { AWS_REGION: '' } }),
    'AWS_REGION',
    'Environment writes those of this prefix',
  ],
  ['spec.secret.data[a]', secret({ data: { a: 'x'.repeat(4097) } }), '4097 characters', 'at most 4096'],
  ['spec.secret.data[a]', secret({ data: { a: '{{ password }}' } }), '{{ password }}', '{{ accessKeyId }}'],
  ['spec.secret.data[a]', secret({ data: { a: '{{accessKeyId}}' } }), '{{accessKeyId}}', 'only the placeholders'],
  ['spec.secret.data[a]', secret({ data: { a: '{{ accessKeyId | base64 }}' } }), 'base64', 'only the placeholders'],
  ['spec.secret.labels', secret({ labels: many(33) }), '33 keys', 'at most 32'],
  ['spec.secret.labels[a b]', secret({ labels: { 'a b': '' } }), '"a b"', 'legal key'],
  [
    'spec.secret.labels[argocd.argoproj.io/secret-type]',
    secret({ labels: { 'argocd.argoproj.io/secret-type': 'cluster' } }),
    'argocd',
    '(app.kubernetes.io)',
  ],
  [
    'spec.secret.labels[workloadcredentials.io/name]',
    secret({ labels: { 'workloadcredentials.io/name': 'x' } }),
    'name',
    'the operator writes those',
  ],
  ['spec.secret.labels[/x]', secret({ labels: { '/x': '' } }), '"/x"', 'without a domain'],
  [
    'spec.secret.labels[app.kubernetes.io/a/b]',
    secret({ labels: { 'app.kubernetes.io/a/b': '' } }),
    'a/b',
    'legal key',
  ],
  ['spec.secret.labels[team]', secret({ labels: { team: 'a b' } }), '"a b"', 'Kubernetes label'],
  ['spec.secret.annotations[x.io/a]', secret({ annotations: { 'x.io/a': '' } }), 'x.io', 'ask its administrator'],
  ['spec.secret.annotations[a]', secret({ annotations: { a: 'x'.repeat(4097) } }), 'xxx', 'Kubernetes annotation'],
  ['spec.secret.deletionPolicy', secret({ deletionPolicy: 'Orphan' as never }), '"Orphan"', 'Delete or Retain'],
];
for (const [field, spec, shown, fix] of violations) {
  test(`${field} with ${JSON.stringify(spec).slice(0, 100)} is refused, by field, value and fix`, () => {
    const { violation } = resolve(aCredential({ spec }), DOMAINS);
    assert.equal(violation?.code, 'InvalidSpec');
    const { message } = violation;
    assert.ok(message.startsWith(`${field} is `), message);
    assert.ok(message.includes(shown), message);
    assert.ok(message.includes(fix), message);
    assert.ok(message.length < 800, `${message.length}`);
  });
}

for (const name of ['Orders', 'a.b', '-a', 'a'.repeat(54)]) {
  test(`the resource name ${name} is refused: labels, volumes and sessions are named after it`, () => {
    const { violation } = resolve(aCredential({ name }), DOMAINS);
    assert.match(violation?.message ?? '', /^metadata\.name is .* at most 53 characters/);
  });
}

for (const [what, spec] of Object.entries({
  'spec.alibabaCloud': { aws: undefined as never, alibabaCloud: { roleARN: 'x', oidcProviderARN: 'x', region: 'x' } },
  'spec.volcengine': { aws: undefined as never, volcengine: { roleTRN: 'x', region: 'x' } },
  'spec.aws.roleChain': aws({ roleChain: [{ roleARN: ROLE_ARN }] }),
})) {
  test(`${what} is NotSupported, in one clear sentence`, () => {
    const { violation } = resolve(aCredential({ spec }), DOMAINS);
    assert.equal(violation?.code, 'NotSupported');
    assert.ok(violation.message.startsWith(`${what} is not supported by this version of the operator yet: `));
  });
}

test('an empty role chain is none', () => {
  assert.equal(aResolved(aws({ roleChain: [] })).exchange.roleARN, ROLE_ARN);
});

test("AWS's names of keys, tokens and regions are free where the format Environment does not write them", () => {
  for (const key of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_DEFAULT_REGION']) {
    assert.equal(aResolved(secret({ data: { [key]: 'x' } })).secret.data[key], 'x');
  }
});

test('a key that acts in a program, or sends it elsewhere, is refused whatever the formats are', () => {
  const keys = [
    'LD_PRELOAD',
    'NODE_OPTIONS',
    'DOTNET_STARTUP_HOOKS',
    'CORECLR_PROFILER_PATH',
    'ERL_AFLAGS',
    'LUA_INIT',
    'OPENSSL_CONF',
    'PYTHONPATH',
    'PATH',
    'https_proxy',
    'AWS_PROFILE',
    'AWS_ENDPOINT_URL_STS',
  ];
  for (const key of keys) {
    const { violation } = resolve(aCredential({ spec: secret({ data: { [key]: '{{ accessKeyId }}' } }) }), []);
    assert.equal(violation?.code, 'InvalidSpec', key);
    assert.match(violation.message, new RegExp(`spec.secret.data\\[${key}\\]`));
  }
});

test('keys of our own domain are refused even where the administrator lists it', () => {
  for (const key of ['workloadcredentials.io/owner-uid', 'a.workloadcredentials.io/x']) {
    const domains = ['workloadcredentials.io', 'a.workloadcredentials.io'];
    const { violation } = resolve(aCredential({ spec: secret({ annotations: { [key]: 'x' } }) }), domains);
    assert.equal(violation?.code, 'InvalidSpec');
  }
});

test('a text that is cut within a character is told as the API server will hold it', () => {
  const sessionPolicy = `{"a":"${'\u{1f600}'.repeat(150)}"}`;
  for (const policy of [sessionPolicy, ` ${sessionPolicy}`]) {
    const aws = { roleARN: 'arn:aws:iam::123456789012:role/orders', region: 'eu-west-1', sessionPolicy: policy };
    const { violation } = resolve(aCredential({ spec: { aws } }), []);
    assert.ok(violation?.message.isWellFormed());
  }
});

test("a Secret cannot be labelled as one of Helm's releases, whose hooks run as whoever uses Helm", () => {
  for (const [key, value] of [
    ['owner', 'helm'],
    ['OWNER', 'TILLER'],
  ] as const) {
    const { violation } = resolve(aCredential({ spec: { secret: { labels: { [key]: value } } } }), []);
    assert.match(violation?.message ?? '', /Helm/);
  }
  const { resolved } = resolve(aCredential({ spec: { secret: { labels: { owner: 'team-a' } } } }), []);
  assert.deepEqual(resolved?.secret.labels, { owner: 'team-a' });
});

test('the name of the Secret is known also when the rest of the spec is wrong', () => {
  assert.equal(secretNameOf(aCredential({ spec: { durationSeconds: 1 } })), 'orders');
  assert.equal(secretNameOf(aCredential({ spec: secret({ name: 'other' }) })), 'other');
});

test('a failure that is no violation is not swallowed', () => {
  assert.throws(() => resolve({ metadata: { name: 'orders' } } as never, DOMAINS), TypeError);
});

/** Texts that try to break out, mixed with legal ones. */
const hostile = fc.oneof(
  fc.constantFrom(
    '\n',
    '\r',
    '"',
    "'",
    '; touch P',
    '$(id)',
    '`id`',
    '\\',
    '#',
    '%',
    '\u2028',
    '\0',
    ' ',
    '//',
    '..',
    '{{ x }}',
  ),
  fc.string({ unit: 'binary' }),
);
const mixed = (legal: string): fc.Arbitrary<string> =>
  fc.oneof(
    { weight: 2, arbitrary: fc.constant(legal) },
    hostile,
    hostile.map((text) => legal + text),
    hostile.map((text) => text + legal),
  );

test('no value that is accepted can end its line, its quote or its argument in a file of the Secret', () => {
  let accepted = 0;
  const values = fc.record({
    mountPath: mixed('/home/app/.aws'),
    region: mixed('eu-west-1'),
    roleARN: mixed(ROLE_ARN),
    name: mixed('orders'),
  });
  fc.assert(
    fc.property(values, ({ mountPath, region, roleARN, name }) => {
      const spec = {
        aws: { roleARN, region },
        secret: {
          mountPath,
          formats: ['Files', 'StaticFile', 'Environment'],
          data: { j: '["{{ roleArn }}","{{ region }}"]' },
        } as const,
      };
      const { resolved } = resolve(aCredential({ spec, name }), DOMAINS);
      if (resolved === undefined) {
        return;
      }
      accepted += 1;
      const data = renderData(resolved.exchange, resolved.secret, { ...PARTS, expiration: '2026-11-22T13:00:00Z' });
      assert.match(
        data['config'] ?? '',
        /^\[default\]\nregion = [a-z0-9-]+\ncredential_process = cat [A-Za-z0-9._/-]+\/credentials\.json\n$/,
      );
      assert.match(data['AWS_REGION'] ?? '', /^[a-z0-9-]+$/);
      assert.deepEqual(JSON.parse(data['j'] ?? ''), [roleARN, region]);
      assert.deepEqual(Object.keys(JSON.parse(data['credentials.json'] ?? '') as object), [
        'Version',
        'AccessKeyId',
        'SecretAccessKey',
        'SessionToken',
        'Expiration',
      ]);
    }),
    { numRuns: 2000 },
  );
  assert.ok(accepted > 20, `only ${accepted} were accepted`);
});

test('the placeholders are the six that the CRD names', () => {
  assert.deepEqual(PLACEHOLDERS, ['accessKeyId', 'secretAccessKey', 'sessionToken', 'expiration', 'region', 'roleArn']);
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
