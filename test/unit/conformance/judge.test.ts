// Shows that the rules of another version of Kubernetes turn the sandbox's answers into that version's, and that a rule which
// changes nothing is named.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OTHER_VERSIONS } from '../../conformance/differences.ts';
import { Version } from '../../conformance/judge.ts';
import type { Step } from '../../conformance/normalise.ts';
import { TYPES_FOR_VALUES } from '../../conformance/version-rules.ts';

const invalid = (kind: string, causes: readonly object[], sentence: string): Step => ({
  request: kind === 'Secret' ? 'PATCH /api/v1/namespaces/x/secrets/a' : 'PATCH /apis/workloadcredentials.io/v1alpha1/x',
  status: 422,
  body: { kind: 'Status', reason: 'Invalid', message: `${kind} "a" is invalid: ${sentence}`, details: { causes } },
});
const empty = {
  field: 'metadata.ownerReferences.uid',
  message: 'Invalid value: "": must not be empty',
  reason: 'FieldValueInvalid',
};
const other = { field: 'metadata.labels', message: 'Invalid value: "x y"', reason: 'FieldValueInvalid' };

test('1.37 tells a cause once, and of an empty owner that it is missing', () => {
  const version = new Version(OTHER_VERSIONS['1.37']?.rules ?? []);
  const sentence = 'metadata.ownerReferences.uid: Invalid value: "": must not be empty';
  const required = {
    field: 'metadata.ownerReferences[0].uid',
    message: 'Required value: must not be empty',
    reason: 'FieldValueRequired',
  };
  const said = 'metadata.ownerReferences[0].uid: Required value: must not be empty';
  const [first] = version.of([invalid('Secret', [empty, other, empty], sentence)]);
  assert.deepEqual(first, invalid('Secret', [required, other], said));
  const [ours] = version.of([invalid('WorkloadCredential.workloadcredentials.io', [empty, empty], sentence)]);
  assert.match(
    ours?.body.message,
    /is invalid: \[metadata\.ownerReferences\[0\]\.uid: Required value: must not be empty, <nil>: /,
  );
  assert.equal(ours?.body.details.causes.length, 3, 'of a custom resource as often as before');
});

test('an answer that no rule is about stays, and rules that changed nothing are named', () => {
  const version = new Version(OTHER_VERSIONS['1.37']?.rules ?? []);
  const step: Step = { request: 'GET /version', status: 200, body: { minor: '36' } };
  const same: Step = { request: 'GET /x', status: 200, body: { kind: 'List' } };
  assert.deepEqual(version.of([step, same]), [{ ...step, body: { minor: '37' } }, same]);
  assert.equal(version.unused().length, (OTHER_VERSIONS['1.37']?.rules ?? []).length - 1);
});

test('1.34 tells the type of a value that a rule of our CRD refuses, of each kind of field', () => {
  const version = new Version([TYPES_FOR_VALUES]);
  const told = (field: string, message: string): unknown => {
    const cause = { field, message, reason: 'FieldValueInvalid' };
    const [step] = version.of([invalid('WorkloadCredential.workloadcredentials.io', [cause], `${field}: ${message}`)]);
    assert.ok(String(step?.body.message).endsWith(`: ${field}: ${step?.body.details.causes[0].message}`));
    return step?.body.details.causes[0].message;
  };
  const name =
    "spec.serviceAccountName must be the name of a ServiceAccount in this namespace: lower case letters, digits, '-' and '.'";
  assert.equal(
    told('spec.serviceAccountName', `Invalid value: "a\\"b: c": ${name}`),
    `Invalid value: "string": ${name}`,
  );
  const formats = 'spec.secret.formats must not be empty: leave it out for Files';
  assert.equal(told('spec.secret.formats', `Invalid value: ${formats}`), `Invalid value: "array": ${formats}`);
  const clouds = 'spec must name exactly one cloud: set one of aws, alibabaCloud and volcengine, and remove the others';
  assert.equal(told('spec', `Invalid value: ${clouds}`), `Invalid value: "object": ${clouds}`);
  const other = 'Invalid value: "x": a sentence that is not ours';
  assert.equal(told('spec.serviceAccountName', other), other);
});
