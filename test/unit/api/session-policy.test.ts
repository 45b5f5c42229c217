// Promises: a session policy is one JSON object of its cloud's dialect, or it is refused with the form to write.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Refusal } from '../../../src/api/refusal.ts';
import {
  ALIBABA_CLOUD_POLICY,
  AWS_POLICY,
  needSessionPolicy,
  type PolicyDialect,
  VOLCENGINE_POLICY,
} from '../../../src/api/session-policy.ts';

const DIALECTS: Readonly<Record<string, PolicyDialect>> = {
  AWS: AWS_POLICY,
  'Alibaba Cloud': ALIBABA_CLOUD_POLICY,
  Volcengine: VOLCENGINE_POLICY,
};
const outcome = (cloud: string, policy: string | undefined): string | undefined => {
  try {
    needSessionPolicy({ field: 'spec.x', cloud }, policy, DIALECTS[cloud] ?? AWS_POLICY);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof Refusal, String(error));
    return error.violation.message;
  }
};
const STATEMENT = '"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]';

test('each cloud takes its own dialect and refuses those of the others', () => {
  const written: Readonly<Record<string, string>> = {
    AWS: `{"Version":"2012-10-17",${STATEMENT}}`,
    'Alibaba Cloud': `{"Version":"1",${STATEMENT}}`,
    Volcengine: `{${STATEMENT}}`,
  };
  for (const cloud of Object.keys(DIALECTS)) {
    for (const [dialect, policy] of Object.entries(written)) {
      const message = outcome(cloud, policy);
      if (dialect === cloud) assert.equal(message, undefined);
      else
        assert.match(message ?? '', /^spec\.x\.sessionPolicy is .*(Version).* (documents its policies|have none)\.$/);
    }
  }
});

test('no policy is no mistake', () => {
  assert.equal(outcome('AWS', undefined), undefined);
});

test('one statement may stand without a list at AWS only', () => {
  const statement = '"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}';
  assert.equal(outcome('AWS', `{"Version":"2012-10-17",${statement}}`), undefined);
  assert.match(outcome('Alibaba Cloud', `{"Version":"1",${statement}}`) ?? '', /with "Version": "1" and Statement/);
  assert.match(
    outcome('Volcengine', `{${statement}}`) ?? '',
    /one JSON object with Statement, as Volcengine documents/,
  );
});

test('2048 characters are taken, 2049 are not', () => {
  const policy = `{"Version":"2012-10-17",${STATEMENT}}`;
  assert.equal(outcome('AWS', policy.padEnd(2048)), undefined);
  assert.equal(
    outcome('AWS', policy.padEnd(2049)),
    'spec.x.sessionPolicy is "2049 characters": use at most 2048 characters.',
  );
});

for (const [what, policy] of [
  ['nothing', ''],
  ['no JSON', '{"Version":"2012-10-17",'],
  ['a list', '[]'],
  ['null', 'null'],
  ['a text', '"Statement"'],
  ['two objects', '{}{}'],
  ['no Statement', '{"Version":"2012-10-17"}'],
  ['a Statement that is a text', '{"Version":"2012-10-17","Statement":"Allow"}'],
  ['a Statement of texts', '{"Version":"2012-10-17","Statement":["Allow"]}'],
  ['a Statement of lists', '{"Version":"2012-10-17","Statement":[[]]}'],
  ['a Statement that is null', '{"Version":"2012-10-17","Statement":null}'],
  ['a Version that is a number', `{"Version":2012,${STATEMENT}}`],
  ['an old Version', `{"Version":"2008-10-17",${STATEMENT}}`],
  ['a Version of the prototype', `{"__proto__":{"Version":"2012-10-17"},${STATEMENT}}`],
  ['letters beyond ASCII', `{"Version":"2012-10-17",${STATEMENT},"Id":"é"}`],
  ['a line separator', `{"Version":"2012-10-17",${STATEMENT},"Id":"\u2028"}`],
  ['a control', `{"Version":"2012-10-17",${STATEMENT}}\u0000`],
] as const) {
  test(`${what} is no session policy of AWS`, () => {
    const message = outcome('AWS', policy) ?? assert.fail('it was accepted');
    assert.match(message, /^spec\.x\.sessionPolicy is /);
    assert.ok(!/[\p{Cc}\p{Zl}]/u.test(message));
  });
}
