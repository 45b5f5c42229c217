// Promises: a text is shown short and as the API server will hold it; a value that is not there is told as nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolve } from '../../../src/api/resolve.ts';
import { cut, invalid, need, Refusal } from '../../../src/api/refusal.ts';
import { aCredential } from '../../support/builders.ts';

test('a refusal names field, value and fix', () => {
  assert.throws(
    () => invalid('spec.x', 'a"\nb', 'use c.'),
    (error) => {
      assert.ok(error instanceof Refusal);
      assert.deepEqual(error.violation, { code: 'InvalidSpec', message: 'spec.x is "a\\"\\nb": use c.' });
      return true;
    },
  );
  assert.throws(() => invalid('spec.x', undefined, 'use c.'), /^Error: spec\.x is nothing: use c\.$/);
});

test('what is good is let through', () => {
  need(true, 'spec.x', 'a', 'use c.');
  assert.throws(() => need(false, 'spec.x', 'a', 'use c.'), Refusal);
});

test('200 characters are shown whole, and of more only as many', () => {
  assert.equal(cut('x'.repeat(200)), 'x'.repeat(200));
  assert.equal(cut('x'.repeat(201)), `${'x'.repeat(200)}...`);
});

test('a text that is cut within a character is told as the API server will hold it', () => {
  const sessionPolicy = `{"a":"${'\u{1f600}'.repeat(150)}"}`;
  for (const policy of [sessionPolicy, ` ${sessionPolicy}`]) {
    const aws = { roleARN: 'arn:aws:iam::123456789012:role/orders', region: 'eu-west-1', sessionPolicy: policy };
    const { violation } = resolve(aCredential({ spec: { aws } }), []);
    assert.ok(violation?.message.isWellFormed());
  }
});
