// Promises: what stands before an exchange is told in one sentence with the fix, and no text of a tenant gets into a
// command that an administrator is told to run.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  BEFORE_EXCHANGE,
  BEFORE_SECRET,
  consents,
  firstFinding,
  serviceAccountDoesNotAllow,
} from '../../../src/credential/checks.ts';
import { CredentialError } from '../../../src/credential/errors.ts';
import { anObserved, aServiceAccount, type ObservedChange, SETTINGS } from '../../support/builders.ts';

const ALL = [...BEFORE_SECRET, ...BEFORE_EXCHANGE];
const refused = new CredentialError('EndpointNotAllowed', 'not there');
const invalid = { spec: { durationSeconds: 1 } };

// [sentence, what is observed, the finding's code and words]
const table: readonly (readonly [string, ObservedChange, string | undefined, RegExp])[] = [
  ['nothing stands in the way of a good resource', {}, undefined, /^$/],
  ['a wrong spec is told by its field', invalid, 'InvalidSpec', /^spec\.durationSeconds is 1:/],
  [
    'a wrong field of another cloud is told by its field',
    { spec: { aws: undefined as never, volcengine: { roleTRN: 'x', region: 'x' } } },
    'InvalidSpec',
    /^spec\.volcengine\.roleTRN is "x":/,
  ],
  [
    'an older resource of the same Secret keeps it',
    { contender: 'first' },
    'SecretInUse',
    /"orders" is already written by the older WorkloadCredential "first"/,
  ],
  [
    'an endpoint or audience that may not be used is told in the words of the provider',
    { endpointRefusal: refused },
    'EndpointNotAllowed',
    /^not there$/,
  ],
  [
    'a missing ServiceAccount is told with the command that creates it',
    { serviceAccount: undefined },
    'ServiceAccountNotFound',
    /kubectl create serviceaccount orders -n shop/,
  ],
  [
    'a missing consent is told with the command that gives it',
    { serviceAccount: aServiceAccount('') },
    'ServiceAccountNotAllowed',
    /kubectl annotate serviceaccount orders -n shop --overwrite workloadcredentials\.io\/allow=orders$/,
  ],
  [
    'a consent to others is kept by that command',
    { serviceAccount: aServiceAccount('a, b') },
    'ServiceAccountNotAllowed',
    /allow=a,b,orders$/,
  ],
  ['consent to one of several is consent', { serviceAccount: aServiceAccount('a, orders ,b') }, undefined, /^$/],
  ['consent to all is consent', { serviceAccount: aServiceAccount('*') }, undefined, /^$/],
  [
    'consent to a longer name is none',
    { serviceAccount: aServiceAccount('orders-2') },
    'ServiceAccountNotAllowed',
    /allow=orders-2,orders$/,
  ],
  ['a pattern is no consent', { serviceAccount: aServiceAccount('ord*') }, 'ServiceAccountNotAllowed', /allow=orders$/],
  ['a wrong spec comes before a rival', { ...invalid, contender: 'first' }, 'InvalidSpec', /^spec/],
  [
    'an endpoint comes before the ServiceAccount',
    { endpointRefusal: refused, serviceAccount: undefined },
    'EndpointNotAllowed',
    /^not there$/,
  ],
];
for (const [sentence, change, code, words] of table) {
  test(sentence, () => {
    const finding = firstFinding(ALL, anObserved(change), SETTINGS);
    assert.equal(finding?.code, code);
    assert.match(finding?.message ?? '', words);
  });
}

test('without --require-consent no consent is asked for, but the ServiceAccount has to be there', () => {
  const settings = { ...SETTINGS, requireConsent: false };
  assert.equal(firstFinding(ALL, anObserved({ serviceAccount: aServiceAccount('') }), settings), undefined);
  assert.equal(firstFinding(ALL, anObserved({ serviceAccount: undefined }), settings)?.code, 'ServiceAccountNotFound');
});

test('the command holds names only, whatever the annotation says', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string().map((text) => `a,${text}; touch P,$(id),\`id\`,b`),
      ),
      (annotation) => {
        const observed = anObserved({ serviceAccount: aServiceAccount(annotation) });
        const message = serviceAccountDoesNotAllow(observed, SETTINGS)?.message;
        if (message !== undefined) {
          assert.match(message, /workloadcredentials\.io\/allow=[a-z0-9,-]+$/);
        }
      },
    ),
  );
});

test('an absent annotation names nobody', () => {
  assert.deepEqual(consents(undefined), []);
  assert.deepEqual(consents(' , ,'), []);
});
