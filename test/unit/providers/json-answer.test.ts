import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { STSAnswer } from '../../../src/providers/sts-call.ts';
import { asObject, fieldsOf, readJSONObject, withRequestID } from '../../../src/providers/json-answer.ts';

const read = (text: string): unknown => readJSONObject(Buffer.from(text));

test('a JSON object is read; everything else is nothing', () => {
  assert.deepEqual(read('{"a": [1]}'), { a: [1] });
  for (const text of ['', 'null', '1', '"a"', '[]', '{"a":', '<html>', '['.repeat(60_000), '\u0000']) {
    assert.equal(read(text), undefined, text.slice(0, 10));
  }
  assert.equal(readJSONObject(Uint8Array.of(0xff, 0xfe, 0x7b)), undefined);
});

test('a field called __proto__ is a field', () => {
  const object = read('{"__proto__": {"Credentials": 1}}') as { Credentials?: unknown };
  assert.equal(object.Credentials, undefined);
});

test('the fields of what is no object are none', () => {
  for (const value of [undefined, null, 1, 'text', [1]]) {
    assert.equal(asObject(value), undefined);
    assert.deepEqual(fieldsOf(value), {});
  }
  assert.deepEqual(fieldsOf({ a: 1 }), { a: 1 });
});

const HEAD: Omit<STSAnswer, 'body'> = {
  status: 200,
  requestID: undefined,
  retryAfterSeconds: undefined,
  dateMs: 5,
};
const SECRET = 'a-secret-of-more-than-sixteen-characters';

test("the body's request id stands in for the header's, if it is fit to be shown", () => {
  assert.equal(withRequestID({ ...HEAD, requestID: 'header' }, 'body', SECRET).requestID, 'header');
  assert.equal(withRequestID(HEAD, 'body', SECRET).requestID, 'body');
  for (const unfit of [
    undefined,
    7,
    '',
    'with space',
    SECRET,
    'line\nbreak',
    'wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY012345',
  ]) {
    assert.equal(withRequestID(HEAD, unfit, SECRET).requestID, undefined);
  }
  assert.equal(withRequestID(HEAD, 'x.'.repeat(250), SECRET).requestID?.length, 128);
});
