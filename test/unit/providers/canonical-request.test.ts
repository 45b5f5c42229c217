// Promises: what is signed is what is sent, and no value of a parameter can become another one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  encodeParameters,
  hashCanonicalRequest,
  sha256Hex,
  signedHeaders,
} from '../../../src/providers/canonical-request.ts';

test('any parameters come back from the text as they went in, and the text has nothing that ends a query', () => {
  const parameters = fc.dictionary(fc.string({ unit: 'grapheme', minLength: 1 }), fc.string({ unit: 'grapheme' }), {
    noNullPrototype: true,
  });
  fc.assert(
    fc.property(parameters, (given) => {
      const text = encodeParameters(given);
      assert.match(text, /^[A-Za-z0-9._~%=&-]*$/);
      assert.deepEqual(Object.fromEntries(new URLSearchParams(text)), given);
      // A URL takes it as it is: what the signature covers is what arrives.
      assert.equal(new URL(`/?${text}`, 'https://sts.example').search, text === '' ? '' : `?${text}`);
    }),
  );
});

test('parameters are sorted by name, not by the text of the pair', () => {
  assert.equal(
    encodeParameters({ 'Tags.1': 'x', Tags: 'y', 'Tags.10': 'z', Action: 'a b' }),
    'Action=a%20b&Tags=y&Tags.1=x&Tags.10=z',
  );
});

test('characters that encodeURIComponent leaves are encoded too', () => {
  assert.equal(encodeParameters({ a: "!'()*~-._" }), 'a=%21%27%28%29%2A~-._');
});

test('the hash covers method, query, headers, their names and the body', () => {
  const request = { method: 'GET', query: { a: '1' }, headers: { host: 'h', 'x-date': ' t ' }, body: '' } as const;
  assert.equal(signedHeaders(request), 'host;x-date');
  const empty = sha256Hex('');
  assert.equal(hashCanonicalRequest(request), sha256Hex(`GET\n/\na=1\nhost:h\nx-date:t\n\nhost;x-date\n${empty}`));
  const hashes = [
    request,
    { ...request, method: 'POST' as const },
    { ...request, query: { a: '2' } },
    { ...request, headers: { host: 'h', 'x-date': 'u' } },
    { ...request, headers: { host: 'h' } },
    { ...request, body: 'b' },
  ].map(hashCanonicalRequest);
  assert.equal(new Set(hashes).size, hashes.length);
});
