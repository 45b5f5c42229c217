// Promises: what spec.secret may say cannot act in a consumer, another controller or a file, and what it may not is told by
// field, value and fix.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FORMAT_KEYS, resolve } from '../../../src/api/resolve.ts';
import type { SecretSpec, WorkloadCredentialSpec } from '../../../src/api/types.gen.ts';
import { renderData } from '../../../src/render/formats.ts';
import { aCredential, aResolved, DOMAINS, PARTS, ROLE_ARN } from '../../support/builders.ts';
import { refusalOf, testRefusals } from '../../support/refusals.ts';

const secret = (change: SecretSpec): Partial<WorkloadCredentialSpec> => ({ secret: change });
const many = (count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`key-${index}`, 'v']));
const CLOUDS: Readonly<Record<string, Partial<WorkloadCredentialSpec>>> = {
  AWS: {},
  AlibabaCloud: {
    aws: undefined as never,
    alibabaCloud: {
      roleARN: 'acs:ram::1234567890123456:role/orders',
      oidcProviderARN: 'acs:ram::1234567890123456:oidc-provider/ack-rrsa-c123',
      region: 'cn-hangzhou',
    },
  },
  Volcengine: {
    aws: undefined as never,
    volcengine: { roleTRN: 'trn:iam::2100000001:role/orders', region: 'cn-beijing' },
  },
};

testRefusals([
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
]);

for (const [cloud, block] of Object.entries(CLOUDS)) {
  test(`no file of any cloud's formats can be a key of the data: ${cloud}`, () => {
    for (const { Files, StaticFile } of Object.values(FORMAT_KEYS)) {
      for (const key of [...Files, ...StaticFile]) {
        const message = refusalOf({ ...block, ...secret({ formats: ['Environment'], data: { [key]: '' } }) });
        assert.ok(message.startsWith(`spec.secret.data[${key}] is `), message);
      }
    }
  });

  test(`no variable of the format Environment can be a key beside it, and each can without it: ${cloud}`, () => {
    for (const { Environment } of Object.values(FORMAT_KEYS)) {
      for (const key of Environment) {
        const data = { [key]: key.includes('_REGION') ? '{{ region }}' : '{{ accessKeyId }}' };
        assert.match(
          refusalOf({ ...block, ...secret({ formats: ['Environment'], data }) }),
          /format Environment writes/,
        );
        assert.deepEqual(aResolved({ ...block, ...secret({ data }) }).secret.data, data);
      }
    }
  });
}

test('a static file is of AWS and Volcengine only, which the message says', () => {
  for (const [cloud, block] of Object.entries(CLOUDS)) {
    const spec = { ...block, ...secret({ formats: ['StaticFile'] }) };
    if (cloud === 'AlibabaCloud') {
      const start = 'spec.secret.formats is ["StaticFile"]: name one or more of Files, Environment, which ';
      assert.ok(refusalOf(spec).startsWith(start), refusalOf(spec));
      assert.ok(refusalOf(spec).includes('formats of AlibabaCloud'));
    } else assert.deepEqual(aResolved(spec).secret.formats, ['StaticFile']);
  }
});

test("AWS's names of keys, tokens and regions are free where the format Environment does not write them", () => {
  for (const key of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN']) {
    assert.equal(aResolved(secret({ data: { [key]: 'x' } })).secret.data[key], 'x');
  }
});

test('a region variable holds a region, since SDKs build the host with it that gets the session token', () => {
  for (const key of ['AWS_REGION', 'AWS_DEFAULT_REGION', 'ALIBABA_CLOUD_REGION_ID', 'VOLCENGINE_REGION']) {
    for (const region of ['{{ region }}', 'eu-west-1']) {
      assert.equal(aResolved(secret({ data: { [key]: region } })).secret.data[key], region);
    }
    for (const region of ['x@evil.example/#', 'evil.example/', '{{ region }}.evil.example', 'eu-west-1\n', '', 'x']) {
      assert.match(refusalOf(secret({ data: { [key]: region } })), /hosts are built with it/);
    }
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
    'CATALINA_OPTS',
    'GUNICORN_CMD_ARGS',
    'MAVEN_OPTS',
    'UWSGI_EXEC_PRE_APP',
    'PIP_INDEX_URL',
    'LESSOPEN',
    'PAGER',
    'GOFLAGS',
    'HOSTALIASES',
    'RES_OPTIONS',
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

test("variables of the clouds' tools that say where requests go are refused on every cloud", () => {
  for (const block of Object.values(CLOUDS)) {
    for (const key of [
      'ALIBABA_CLOUD_CREDENTIALS_URI',
      'ALIBABA_CLOUD_PROFILE',
      'ALICLOUD_ENDPOINT',
      'ALIBABACLOUD_PROFILE',
      'VOLCENGINE_OIDC_STS_ENDPOINT',
      'VOLCENGINE_CLI_CONFIG_FILE',
      'VOLC_BOOTSTRAP_REGION_LIST_CONF',
    ]) {
      assert.match(refusalOf({ ...block, ...secret({ data: { [key]: 'x' } }) }), /only those of keys, tokens, regions/);
    }
  }
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
const mixed = (legal: string, weight = 2): fc.Arbitrary<string> =>
  fc.oneof(
    { weight, arbitrary: fc.constant(legal) },
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
      const data = renderData(resolved.exchange, resolved.secret, {
        ...PARTS,
        issueTime: '2026-11-22T12:00:00Z',
        expiration: '2026-11-22T13:00:00Z',
      });
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

const TIMES = { issueTime: '2026-11-22T12:00:00Z', expiration: '2026-11-22T13:00:00Z' } as const;

for (const [cloud, block] of Object.entries(CLOUDS)) {
  test(`the formats write the keys of the table and no others: ${cloud}`, () => {
    const table = FORMAT_KEYS[cloud as keyof typeof FORMAT_KEYS];
    for (const format of ['Files', 'StaticFile', 'Environment'] as const) {
      if (table[format].length === 0) continue;
      const { exchange, secret: resolved } = aResolved({ ...block, ...secret({ formats: [format] }) });
      const keys = Object.keys(renderData(exchange, resolved, { ...PARTS, ...TIMES }));
      assert.deepEqual(keys.toSorted(), table[format].toSorted(), format);
    }
  });
}

test('nor can it in the JSON files and variables of the other clouds', () => {
  const accepted = { AlibabaCloud: 0, Volcengine: 0 };
  const values = fc.record({
    mountPath: mixed('/home/app/.aliyun', 6),
    region: mixed('cn-hangzhou', 6),
    account: mixed('1234567890123456', 6),
    role: mixed('orders', 6),
    name: mixed('orders', 6),
  });
  const json = (text: string | undefined): Record<string, never> => JSON.parse(text ?? '') as Record<string, never>;
  fc.assert(
    fc.property(values, fc.boolean(), ({ mountPath, region, account, role, name }, isVolcengine) => {
      const roleARN = `acs:ram::${account}:role/${role}`;
      const roleTRN = `trn:iam::${account}:role/${role}`;
      const oidcProviderARN = `acs:ram::${account}:oidc-provider/${role}`;
      const blocks = isVolcengine
        ? { volcengine: { roleTRN, region } }
        : { alibabaCloud: { roleARN, oidcProviderARN, region } };
      const data = { j: '["{{ roleArn }}","{{ region }}"]' };
      const spec = {
        aws: undefined as never,
        ...blocks,
        ...secret({ mountPath, formats: ['Files', 'Environment'], data }),
      };
      const { resolved } = resolve(aCredential({ spec, name }), DOMAINS);
      if (resolved === undefined) return;
      accepted[isVolcengine ? 'Volcengine' : 'AlibabaCloud'] += 1;
      const written = renderData(resolved.exchange, resolved.secret, { ...PARTS, ...TIMES });
      assert.deepEqual(json(written['j']), [isVolcengine ? roleTRN : roleARN, region]);
      const text = written['config.json'] ?? '';
      assert.equal(text, `${JSON.stringify(JSON.parse(text))}\n`, 'one line of plain JSON');
      assert.ok(!/[^\x20-\x7e\n]/.test(text) && text.indexOf('\n') === text.length - 1, text);
      const commands = [...text.matchAll(/"process_command":"([^"]*)"/g)].map(([, command]) => command);
      assert.deepEqual(commands, isVolcengine ? [] : [`cat ${mountPath}/credentials.json`]);
      for (const command of commands) assert.match(command ?? '', /^cat (\/[A-Za-z0-9._-]+)+\/credentials\.json$/);
      for (const [key, value] of Object.entries(written))
        if (/^[A-Z_]+$/.test(key)) assert.doesNotMatch(value, /[\s"'`$;&|]/);
    }),
    { numRuns: 3000 },
  );
  assert.ok(accepted.AlibabaCloud > 20 && accepted.Volcengine > 20, JSON.stringify(accepted));
});
