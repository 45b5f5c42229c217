// Promises: for every cloud and format the files are what the SDKs read, byte by byte, the credential comes back out of
// each of them, and nothing that is accepted ends its line, quote or argument.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FORMAT_KEYS } from '../../../src/api/resolve.ts';
import type { Format, ResolvedExchange, ResolvedSecret } from '../../../src/api/resolved.ts';
import { acceptAnswer } from '../../../src/credential/credentials.ts';
import { type CredentialParts, type PlainData, readParts, renderData } from '../../../src/render/formats.ts';
import { aResolved, HOUR, MINUTE, PARTS, ROLE_ARN, T0 } from '../../support/builders.ts';

const ISSUE_TIME = '2026-11-22T12:00:00Z';
const EXPIRATION = '2026-11-22T13:00:00Z';
/** Two minutes earlier, which is what files say of a life of an hour. */
const FILE_EXPIRATION = '2026-11-22T12:58:00Z';
const FILE_EXPIRATION_UNIX = Date.parse(FILE_EXPIRATION) / 1000;
const ALL_FORMATS = ['Files', 'StaticFile', 'Environment'] as const;

const parts: CredentialParts = { ...PARTS, issueTime: ISSUE_TIME, expiration: EXPIRATION };

const EXCHANGES: { readonly [C in ResolvedExchange['cloud']]: Extract<ResolvedExchange, { cloud: C }> } = {
  AWS: {
    cloud: 'AWS',
    roleARN: ROLE_ARN,
    region: 'eu-west-1',
    audience: 'sts.amazonaws.com',
    endpointType: 'Regional',
    policyARNs: [],
    roleChain: [],
  },
  AlibabaCloud: {
    cloud: 'AlibabaCloud',
    roleARN: 'acs:ram::1234567890123456:role/orders',
    oidcProviderARN: 'acs:ram::1234567890123456:oidc-provider/ack-rrsa-c1',
    region: 'cn-hangzhou',
    audience: 'sts.aliyuncs.com',
    network: 'Public',
    roleChain: [],
  },
  Volcengine: {
    cloud: 'Volcengine',
    roleTRN: 'trn:iam::2100000000:role/orders',
    region: 'cn-beijing',
    audience: 'sts.volcengine.com',
    roleChain: [],
  },
};
const CLOUDS = Object.keys(EXCHANGES) as ResolvedExchange['cloud'][];

const secretOf = (change: Partial<ResolvedSecret>): ResolvedSecret => ({ ...aResolved().secret, ...change });
const render = (
  cloud: ResolvedExchange['cloud'],
  formats: readonly Format[],
  data: Readonly<Record<string, string>> = {},
  of = parts,
): PlainData => renderData(EXCHANGES[cloud], secretOf({ formats, data }), of);

/** Golden: what is mounted in running pods. */
const GOLDEN: Readonly<Record<ResolvedExchange['cloud'], Readonly<Record<Format, PlainData>>>> = {
  AWS: {
    Files: {
      config:
        '[default]\nregion = eu-west-1\ncredential_process = cat /var/run/secrets/workloadcredentials.io/orders/credentials.json\n',
      'credentials.json':
        '{"Version":1,"AccessKeyId":"ASIAQWERTYUIOP123456","SecretAccessKey":"secretaccesskey/of+the=test0123456789abc",' +
        '"SessionToken":"FwoGZXIvYXdzE_session.token-of-the/test+0123456789==","Expiration":"2026-11-22T12:58:00Z"}\n',
    },
    StaticFile: {
      credentials:
        '[default]\naws_access_key_id = ASIAQWERTYUIOP123456\naws_secret_access_key = secretaccesskey/of+the=test0123456789abc\n' +
        'aws_session_token = FwoGZXIvYXdzE_session.token-of-the/test+0123456789==\n',
    },
    Environment: {
      AWS_ACCESS_KEY_ID: PARTS.accessKeyID,
      AWS_SECRET_ACCESS_KEY: PARTS.secretAccessKey,
      AWS_SESSION_TOKEN: PARTS.sessionToken,
      AWS_REGION: 'eu-west-1',
    },
  },
  AlibabaCloud: {
    Files: {
      'config.json':
        '{"current":"default","profiles":[{"name":"default","mode":"External","process_command":' +
        '"cat /var/run/secrets/workloadcredentials.io/orders/credentials.json","region_id":"cn-hangzhou"}]}\n',
      'credentials.json':
        '{"mode":"StsToken","access_key_id":"ASIAQWERTYUIOP123456","access_key_secret":"secretaccesskey/of+the=test0123456789abc",' +
        '"sts_token":"FwoGZXIvYXdzE_session.token-of-the/test+0123456789==","expiration":"2026-11-22T12:58:00Z"}\n',
    },
    // The cloud has none.
    StaticFile: {},
    Environment: {
      ALIBABA_CLOUD_ACCESS_KEY_ID: PARTS.accessKeyID,
      ALIBABA_CLOUD_ACCESS_KEY_SECRET: PARTS.secretAccessKey,
      ALIBABA_CLOUD_SECURITY_TOKEN: PARTS.sessionToken,
      ALIBABA_CLOUD_REGION_ID: 'cn-hangzhou',
    },
  },
  Volcengine: {
    Files: {
      'config.json':
        `{"current":"default","profiles":{"default":{"name":"default","mode":"sso","sts-expiration":${FILE_EXPIRATION_UNIX},` +
        '"access-key":"ASIAQWERTYUIOP123456","secret-key":"secretaccesskey/of+the=test0123456789abc",' +
        '"session-token":"FwoGZXIvYXdzE_session.token-of-the/test+0123456789==","region":"cn-beijing"}}}\n',
    },
    StaticFile: {
      'config-static.json':
        '{"current":"default","profiles":{"default":{"name":"default","mode":"ak",' +
        '"access-key":"ASIAQWERTYUIOP123456","secret-key":"secretaccesskey/of+the=test0123456789abc",' +
        '"session-token":"FwoGZXIvYXdzE_session.token-of-the/test+0123456789==","region":"cn-beijing"}}}\n',
    },
    Environment: {
      VOLCENGINE_ACCESS_KEY: PARTS.accessKeyID,
      VOLCENGINE_SECRET_KEY: PARTS.secretAccessKey,
      VOLCENGINE_SESSION_TOKEN: PARTS.sessionToken,
      VOLCENGINE_REGION: 'cn-beijing',
    },
  },
};

const formatsOf = (cloud: ResolvedExchange['cloud']): readonly Format[] =>
  ALL_FORMATS.filter((format) => Object.keys(GOLDEN[cloud][format]).length > 0);

for (const cloud of CLOUDS) {
  for (const format of ALL_FORMATS) {
    test(`${cloud}: ${format} is what it was at the last release`, () => {
      assert.deepEqual(render(cloud, [format]), GOLDEN[cloud][format]);
    });

    test(`${cloud}: ${format} writes the keys that are kept free for it, and no other`, () => {
      assert.deepEqual(Object.keys(render(cloud, [format])).sort(), [...FORMAT_KEYS[cloud][format]].sort());
    });
  }

  test(`${cloud}: the formats stand beside each other`, () => {
    assert.deepEqual(render(cloud, ['Environment', 'StaticFile', 'Files']), {
      ...GOLDEN[cloud].Files,
      ...GOLDEN[cloud].StaticFile,
      ...GOLDEN[cloud].Environment,
    });
  });

  test(`${cloud}: another mountPath stands where the files name it`, () => {
    const at = (mountPath: string): string =>
      JSON.stringify(renderData(EXCHANGES[cloud], secretOf({ mountPath }), parts));
    const named = at('/home/app/.cloud').match(/cat \/home\/app\/\.cloud\/credentials\.json/g) ?? [];
    assert.equal(named.length, cloud === 'Volcengine' ? 0 : 1);
  });
}

describe('templates', () => {
  const roles: Readonly<Record<ResolvedExchange['cloud'], string>> = {
    AWS: ROLE_ARN,
    AlibabaCloud: 'acs:ram::1234567890123456:role/orders',
    Volcengine: 'trn:iam::2100000000:role/orders',
  };
  for (const cloud of CLOUDS) {
    test(`${cloud}: every placeholder, as often as it stands there, and nothing else`, () => {
      const data = {
        all: '{{ accessKeyId }} {{ secretAccessKey }} {{ sessionToken }} {{ expiration }} {{ region }} {{ roleArn }}',
        twice: '{{ region }}{{ region }}',
        none: 'plain { } $& $1 text',
      };
      const rendered = render(cloud, ['Files'], data);
      const { region } = EXCHANGES[cloud];
      assert.equal(
        rendered['all'],
        `${PARTS.accessKeyID} ${PARTS.secretAccessKey} ${PARTS.sessionToken} ${EXPIRATION} ${region} ${roles[cloud]}`,
      );
      assert.equal(rendered['twice'], region + region);
      assert.equal(rendered['none'], data.none);
    });
  }

  test('a key named like a member of every object is a key like any other', () => {
    const data = JSON.parse('{"__proto__": "{{ region }}", "constructor": "c"}') as Record<string, string>;
    const rendered = render('AWS', ['Files'], data);
    assert.deepEqual(Object.keys(rendered).sort(), ['__proto__', 'config', 'constructor', 'credentials.json']);
    assert.equal(Object.getOwnPropertyDescriptor(rendered, '__proto__')?.value, 'eu-west-1');
  });
});

/** What acceptAnswer() lets through, out of hostile texts; lives of any length that a cloud gives. */
const accepted = fc
  .record({
    accessKeyID: hostile(),
    secretAccessKey: hostile(),
    sessionToken: hostile(),
    lifeMs: fc.integer({ min: 1000, max: 12 * HOUR }),
  })
  .map(({ lifeMs, ...texts }): CredentialParts | undefined => {
    try {
      const answer = { ...texts, expiration: new Date(T0 + lifeMs), answerDateMs: T0 };
      const credential = acceptAnswer(answer, 43_200, T0);
      return {
        accessKeyID: credential.accessKeyID,
        secretAccessKey: credential.secretAccessKey.reveal(),
        sessionToken: credential.sessionToken.reveal(),
        issueTime: ISSUE_TIME,
        expiration: `${new Date(credential.expirationTimeMs).toISOString().slice(0, 19)}Z`,
      };
    } catch {
      return undefined;
    }
  })
  .filter((found) => found !== undefined);

function hostile(): fc.Arbitrary<string> {
  const odd = fc.constantFrom(
    '\n',
    '\r',
    '"',
    "'",
    '\\',
    '$(id)',
    '`',
    '#',
    ';',
    ' ',
    '%',
    '=',
    '+',
    '/',
    '@',
    ':',
    '~',
    '.',
    '{{ region }}',
  );
  return fc
    .tuple(
      fc.stringMatching(/^[A-Za-z0-9._-]{1,30}$/),
      fc.option(fc.oneof(fc.constantFrom('=', '+/', '@:~'), odd), { nil: '' }),
    )
    .map(([text, end]) => text + end);
}

for (const cloud of CLOUDS) {
  for (const formats of [...formatsOf(cloud).map((format) => [format]), formatsOf(cloud)]) {
    test(`${cloud}: the credential comes back out of ${formats.join(', ')}, whatever STS may give`, () => {
      fc.assert(
        fc.property(accepted, (of) => {
          assert.deepEqual(readParts(EXCHANGES[cloud], render(cloud, formats, {}, of), of), of);
        }),
      );
    });
  }

  test(`${cloud}: what was read back renders the same bytes`, () => {
    fc.assert(
      fc.property(accepted, (of) => {
        const once = render(cloud, ALL_FORMATS, {}, of);
        const back = readParts(EXCHANGES[cloud], once, of);
        assert.ok(back !== undefined);
        assert.deepEqual(render(cloud, ALL_FORMATS, {}, back), once);
      }),
    );
  });

  test(`${cloud}: no part that is accepted ends a line, a quote or an argument, in our files or in a user's template`, () => {
    const templates = {
      json: '{"token":"{{ sessionToken }}","key":"{{ secretAccessKey }}"}',
      shell: 'export A=\'{{ secretAccessKey }}\' B={{ sessionToken }} C="{{ accessKeyId }}"',
    };
    fc.assert(
      fc.property(accepted, (of) => {
        const rendered = render(cloud, ALL_FORMATS, templates, of);
        for (const key of FORMAT_KEYS[cloud].Environment) {
          assert.match(rendered[key] ?? '', /^[A-Za-z0-9+/=._~:@-]+$/);
        }
        for (const key of [...FORMAT_KEYS[cloud].Files, ...FORMAT_KEYS[cloud].StaticFile]) {
          const lines = (rendered[key] ?? '').split('\n').length;
          assert.equal(lines, (GOLDEN[cloud].Files[key] ?? GOLDEN[cloud].StaticFile[key] ?? '').split('\n').length);
          if (key.endsWith('.json')) {
            assert.deepEqual(shape(JSON.parse(rendered[key] ?? '')), shape(JSON.parse(golden(cloud, key))));
          }
        }
        assert.deepEqual(JSON.parse(rendered['json'] ?? ''), { token: of.sessionToken, key: of.secretAccessKey });
        assert.match(rendered['shell'] ?? '', /^export A='[^'\n]+' B=[A-Za-z0-9+/=._~:@-]+ C="[A-Za-z0-9._-]+"$/);
      }),
    );
  });

  test(`${cloud}: variables that a user wrote under the cloud's names are not taken for the credential`, () => {
    const data = Object.fromEntries(FORMAT_KEYS[cloud].Environment.map((key) => [key, 'no']));
    for (const format of formatsOf(cloud).filter((name) => name !== 'Environment')) {
      assert.deepEqual(readParts(EXCHANGES[cloud], render(cloud, [format], data), parts), parts);
    }
  });

  for (const other of CLOUDS.filter((name) => name !== cloud)) {
    test(`${cloud}: a Secret of ${other} holds no credential of it`, () => {
      assert.equal(readParts(EXCHANGES[cloud], render(other, ALL_FORMATS), parts), undefined);
    });
  }

  for (const [what, data] of Object.entries({
    'no format of ours': { MY_KEY: 'x' },
    'files that are no JSON': { 'credentials.json': '{', 'config.json': '[', 'config-static.json': '' },
    'files that are another JSON': { 'credentials.json': '[1]', 'config.json': '"x"', 'config-static.json': 'null' },
    'files without the parts': {
      'credentials.json': '{"Version":1,"AccessKeyId":7}',
      'config.json': '{"profiles":{"default":{"access-key":"x"}}}',
      'config-static.json': '{"profiles":[]}',
    },
    'a variable alone': { AWS_ACCESS_KEY_ID: 'x', ALIBABA_CLOUD_ACCESS_KEY_ID: 'x', VOLCENGINE_ACCESS_KEY: 'x' },
    'an ini without the parts': { credentials: '[default]\n' },
  })) {
    test(`${cloud}: data with ${what} hold no credential`, () => {
      assert.equal(readParts(EXCHANGES[cloud], data, parts), undefined);
    });
  }
}

function golden(cloud: ResolvedExchange['cloud'], key: string): string {
  return GOLDEN[cloud].Files[key] ?? GOLDEN[cloud].StaticFile[key] ?? '';
}

/** The names and types of a JSON value, without its values. */
function shape(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) {
    return typeof value;
  }
  return Array.isArray(value)
    ? value.map(shape)
    : Object.fromEntries(Object.entries(value).map(([key, member]) => [key, shape(member)]));
}

test('the true end stays where it is asked for: files say an earlier one, the parts that are read back do not', () => {
  const rendered = render('AWS', ['Files'], { until: '{{ expiration }}' });
  assert.match(rendered['credentials.json'] ?? '', new RegExp(`"Expiration":"${FILE_EXPIRATION}"`));
  assert.equal(rendered['until'], EXPIRATION);
  assert.equal(readParts(EXCHANGES.AWS, rendered, parts)?.expiration, EXPIRATION);
});

test('a life too short for a margin is written as it is', () => {
  const short = { ...parts, expiration: `${new Date(T0 + 2 * MINUTE).toISOString().slice(0, 19)}Z` };
  assert.match(render('AWS', ['Files'], {}, short)['credentials.json'] ?? '', /"Expiration":"2026-11-22T12:02:00Z"/);
});

test('times that no Secret of ours has are a defect, not a file', () => {
  assert.throws(() => render('AWS', ['Files'], {}, { ...parts, issueTime: '' }), TypeError);
});
