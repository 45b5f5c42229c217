// Promises: the files are what the SDKs read, byte by byte, and the credential comes back out of each of them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Format } from '../../../src/api/resolve.ts';
import { acceptAnswer } from '../../../src/credential/credentials.ts';
import { type CredentialParts, type PlainData, readParts, renderData } from '../../../src/render/formats.ts';
import { aResolved, HOUR, PARTS, ROLE_ARN, T0 } from '../../support/builders.ts';

const EXPIRATION = '2026-11-22T13:00:00Z';
const parts: CredentialParts = { ...PARTS, expiration: EXPIRATION };
const render = (formats: readonly Format[], data: Readonly<Record<string, string>> = {}, of = parts): PlainData => {
  const { exchange, secret } = aResolved({ secret: { formats, data } });
  return renderData(exchange, secret, of);
};

test('Files: a config that runs cat, and the JSON that credential_process has to print', () => {
  assert.deepEqual(render(['Files']), {
    config:
      '[default]\nregion = eu-west-1\ncredential_process = cat /var/run/secrets/workloadcredentials.io/orders/credentials.json\n',
    'credentials.json':
      '{"Version":1,"AccessKeyId":"ASIAQWERTYUIOP123456","SecretAccessKey":"secretaccesskey/of+the=test0123456789abc",' +
      '"SessionToken":"FwoGZXIvYXdzE_session.token-of-the/test+0123456789==","Expiration":"2026-11-22T13:00:00Z"}\n',
  });
});

test('StaticFile: an ini with the three keys', () => {
  assert.deepEqual(render(['StaticFile']), {
    credentials:
      '[default]\naws_access_key_id = ASIAQWERTYUIOP123456\naws_secret_access_key = secretaccesskey/of+the=test0123456789abc\n' +
      'aws_session_token = FwoGZXIvYXdzE_session.token-of-the/test+0123456789==\n',
  });
});

test('Environment: the four variables', () => {
  assert.deepEqual(render(['Environment']), {
    AWS_ACCESS_KEY_ID: PARTS.accessKeyID,
    AWS_SECRET_ACCESS_KEY: PARTS.secretAccessKey,
    AWS_SESSION_TOKEN: PARTS.sessionToken,
    AWS_REGION: 'eu-west-1',
  });
});

test('the formats stand beside each other', () => {
  const together = render(['Environment', 'StaticFile', 'Files']);
  assert.deepEqual(together, { ...render(['Files']), ...render(['StaticFile']), ...render(['Environment']) });
});

test('templates: every placeholder, as often as it stands there, and nothing else', () => {
  const data = {
    all: '{{ accessKeyId }} {{ secretAccessKey }} {{ sessionToken }} {{ expiration }} {{ region }} {{ roleArn }}',
    twice: '{{ region }}{{ region }}',
    none: 'plain { } $& $1 text',
  };
  const rendered = render(['Files'], data);
  assert.equal(
    rendered['all'],
    `${PARTS.accessKeyID} ${PARTS.secretAccessKey} ${PARTS.sessionToken} ${EXPIRATION} eu-west-1 ${ROLE_ARN}`,
  );
  assert.equal(rendered['twice'], 'eu-west-1eu-west-1');
  assert.equal(rendered['none'], data.none);
});

test('a key named like a member of every object is a key like any other', () => {
  const data = JSON.parse('{"__proto__": "{{ region }}", "constructor": "c"}') as Record<string, string>;
  const rendered = render(['Files'], data);
  assert.deepEqual(Object.keys(rendered).sort(), ['__proto__', 'config', 'constructor', 'credentials.json']);
  assert.equal(Object.getOwnPropertyDescriptor(rendered, '__proto__')?.value, 'eu-west-1');
});

/** What acceptAnswer() lets through, out of hostile texts. */
const accepted = fc
  .record({ accessKeyID: hostile(), secretAccessKey: hostile(), sessionToken: hostile() })
  .map((texts): CredentialParts | undefined => {
    try {
      const answer = { ...texts, expiration: new Date(T0 + HOUR), answerDateMs: T0 };
      const { accessKeyID, secretAccessKey, sessionToken } = acceptAnswer(answer, 3600, T0);
      return {
        accessKeyID,
        secretAccessKey: secretAccessKey.reveal(),
        sessionToken: sessionToken.reveal(),
        expiration: EXPIRATION,
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

for (const formats of [['Files'], ['StaticFile'], ['Environment'], ['Files', 'StaticFile', 'Environment']] as const) {
  test(`the credential comes back out of ${formats.join(', ')}, whatever STS may give`, () => {
    fc.assert(
      fc.property(accepted, (of) => {
        assert.deepEqual(readParts(render(formats, {}, of), EXPIRATION), of);
      }),
    );
  });
}

test('no part that is accepted ends a line, a quote or an argument, in our files or in a template of a user', () => {
  const templates = {
    json: '{"token":"{{ sessionToken }}","key":"{{ secretAccessKey }}"}',
    shell: 'export A=\'{{ secretAccessKey }}\' B={{ sessionToken }} C="{{ accessKeyId }}"',
  };
  fc.assert(
    fc.property(accepted, (of) => {
      const rendered = render(['Files', 'StaticFile', 'Environment'], templates, of);
      assert.equal(rendered['credentials']?.split('\n').length, 5);
      assert.deepEqual(JSON.parse(rendered['json'] ?? ''), { token: of.sessionToken, key: of.secretAccessKey });
      assert.match(rendered['shell'] ?? '', /^export A='[^'\n]+' B=[A-Za-z0-9+/=._~:@-]+ C="[A-Za-z0-9._-]+"$/);
    }),
  );
});

test('variables that a user wrote under AWS names are not taken for the credential', () => {
  const data = { AWS_ACCESS_KEY_ID: 'no', AWS_SECRET_ACCESS_KEY: 'no', AWS_SESSION_TOKEN: 'no' };
  assert.deepEqual(readParts(render(['StaticFile'], data), EXPIRATION), parts);
  assert.deepEqual(readParts(render(['Files'], data), EXPIRATION), parts);
});

for (const [what, data] of Object.entries({
  'no format of ours': { MY_KEY: 'x' },
  'a file that is no JSON': { 'credentials.json': '{' },
  'a JSON without the parts': { 'credentials.json': '{"Version":1}' },
  'a variable alone': { AWS_ACCESS_KEY_ID: 'x' },
  'an ini without the parts': { credentials: '[default]\n' },
})) {
  test(`data with ${what} hold no credential`, () => {
    assert.equal(readParts(data, EXPIRATION), undefined);
  });
}
