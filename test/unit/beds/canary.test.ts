// Shows that the secret scan fires on every form it promises, and stays quiet otherwise.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { scanForSecrets } from '../../beds/canary.ts';

const SECRET = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCY=EXAMPLE"KEY';
const clean = { name: 'log', text: 'credential issued accessKeyID=AKIAIOSFODNN7EXAMPLE' };

const FORMS: Record<string, string> = {
  raw: SECRET,
  JSON: JSON.stringify({ key: SECRET }),
  'JSON, escaped solidus': JSON.stringify(SECRET).replaceAll('/', String.raw`\/`),
  'URL-encoded': encodeURIComponent(SECRET),
  'URL-encoded, lower case': encodeURIComponent(SECRET).replaceAll(/%[0-9A-F]{2}/g, (escape) => escape.toLowerCase()),
  'URL-encoded twice': encodeURIComponent(encodeURIComponent(SECRET)),
  base64: Buffer.from(SECRET).toString('base64'),
  base64url: Buffer.from(SECRET).toString('base64url'),
  hexadecimal: Buffer.from(SECRET).toString('hex'),
};

for (const [form, text] of Object.entries(FORMS)) {
  test(`a secret written as ${form} is found`, () => {
    const findings = scanForSecrets(
      [clean, { name: 'events', text: `before ${text} after` }],
      ['x'.repeat(20), SECRET],
    );
    assert.notEqual(findings.length, 0);
    for (const finding of findings) {
      assert.equal(finding.corpus, 'events');
      assert.equal(finding.secret, 1);
    }
  });
}

test('a clean text gives no finding', () => {
  assert.deepEqual(scanForSecrets([clean], [SECRET, 'another-secret-value']), []);
});

test('the mutant: a log line that leaks by one base64 of a whole file is found, and without the leak it is not', () => {
  const file = (secret: string): string =>
    JSON.stringify({ Version: 1, SecretAccessKey: secret, SessionToken: 'none' });
  const log = (secret: string): string => `{"data":"${Buffer.from(file(secret)).toString('base64')}"}`;
  assert.notEqual(
    scanForSecrets([{ name: 'log', text: log('MUTANTsecretVALUE/+=') }], ['MUTANTsecretVALUE/+=']).length,
    0,
  );
  assert.deepEqual(scanForSecrets([{ name: 'log', text: log('[redacted]') }], ['MUTANTsecretVALUE/+=']), []);
});

test('the signature of a token alone is found', () => {
  const token = 'eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg';
  const findings = scanForSecrets([{ name: 'log', text: 'sig=c2lnbmF0dXJlLW9mLXRoZS10b2tlbg' }], [token]);
  assert.deepEqual(findings, [{ corpus: 'log', secret: 0, form: 'raw', offset: 4 }]);
});

test('a finding does not hold the secret', () => {
  const findings = scanForSecrets([{ name: 'log', text: SECRET }], [SECRET]);
  assert.equal(JSON.stringify(findings).includes('wJalrXUtnFEMI'), false);
});

test('in base64 a secret is found at every alignment, whatever stands around it', () => {
  const value = fc.string({ unit: 'grapheme', minLength: 16, maxLength: 60 });
  fc.assert(
    fc.property(value, fc.uint8Array({ maxLength: 9 }), fc.uint8Array({ maxLength: 9 }), (secret, before, after) => {
      const bytes = Buffer.concat([before, Buffer.from(secret), after]);
      for (const encoding of ['base64', 'base64url'] as const) {
        assert.notEqual(scanForSecrets([{ name: 'log', text: bytes.toString(encoding) }], [secret]).length, 0);
      }
    }),
  );
});

test('a scan that could not fire is an error', () => {
  assert.throws(() => scanForSecrets([clean], []), /no secrets/);
  assert.throws(() => scanForSecrets([], [SECRET]), /no text/);
  assert.throws(() => scanForSecrets([clean], ['short']), /5 characters/);
});
