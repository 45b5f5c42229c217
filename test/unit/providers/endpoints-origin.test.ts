// Promises: an origin is read as it is written or not at all; a text in a message is short, printable and without a user.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseOrigin, shown } from '../../../src/providers/endpoints-origin.ts';

for (const [text, href] of [
  ['https://sts.example', 'https://sts.example/'],
  ['https://sts.example/', 'https://sts.example/'],
  ['https://sts.example:443', 'https://sts.example/'],
  ['https://sts.example:8443/', 'https://sts.example:8443/'],
  ['https://[2001:db8::1]', 'https://[2001:db8::1]/'],
  ['http://127.0.0.1:1', 'http://127.0.0.1:1/'],
  ['http://[::1]:65535', 'http://[::1]:65535/'],
] as const) {
  test(`${text} is an origin`, () => {
    const url = parseOrigin(text);
    assert.ok(url instanceof URL, String(url));
    assert.equal(url.href, href);
  });
}

for (const [text, why] of [
  ['', /lower case/],
  ['https://', /lower case/],
  ['https://STS.example', /lower case/],
  ['https://a_b.example', /lower case/],
  ['https://a..b', /malformed label/],
  ['https://a.', /malformed label/],
  ['https://.a', /malformed label/],
  ['https://-a.b', /malformed label/],
  ['https://a-.b', /malformed label/],
  ['https://xn--a.b', /internationalised/],
  [`https://${'a'.repeat(64)}.b`, /too long/],
  [`https://${'a.'.repeat(127)}b`, /too long/],
  ['https://a:65536', /usual form/],
  ['https://1.2.3', /usual form/],
  ['https://0x7f.1', /usual form/],
  ['https://1.2.3.04', /usual form/],
  ['https://[1::2::3]', /usual form/],
  ['https://[0:0:0:0:0:0:0:1]', /usual form/],
  ['https://[::ffff:1.2.3.4]', /lower case/],
  ['http://a.example', /loopback/],
  ['http://127.0.0.1', /loopback/],
  ['http://127.0.0.1:80', /usual form/],
] as const) {
  test(`${JSON.stringify(text).slice(0, 60)} is none`, () => {
    assert.match(String(parseOrigin(text)), why);
  });
}

test('property: what is read is what was written', () => {
  const pieces = 'https:// http:// a sts . - : 443 8443 / 127.0.0.1 [::1] @ # \\ %09'.split(' ');
  const part = fc.constantFrom('\t', ...pieces);
  let read = 0;
  const scheme = fc.constantFrom('https://', 'http://127.0.0.1:', '');
  fc.assert(
    fc.property(scheme, fc.array(part, { maxLength: 5 }), (start, parts) => {
      const text = start + parts.join('');
      const url = parseOrigin(text);
      if (typeof url === 'string') return;
      read += 1;
      const bare = text.replace(/\/$/, '').replace(/^(https:\/\/[^/]*?):443$/, '$1');
      assert.equal(url.href, `${bare}/`);
      assert.deepEqual([url.username, url.password, url.search, url.hash, url.pathname], ['', '', '', '', '/']);
    }),
    { numRuns: 5000 },
  );
  assert.ok(read > 20, `only ${read} were read`);
});

test('a text in a message has no user, no unprintable character, and an end', () => {
  assert.equal(shown('https://user:hunter2@host/'), '"***@host/"');
  assert.equal(shown('a@b@c'), '"***@c"');
  assert.equal(shown('a\n\u001b[31mé'), '"a??[31m?"');
  assert.equal(shown('x'.repeat(121)), `"${'x'.repeat(120)}..."`);
});
