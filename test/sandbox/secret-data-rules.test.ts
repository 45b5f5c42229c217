// What spec.secret.data may hold is said twice, in CEL for whoever applies a resource and in code for what an older CRD let
// through. Both have to give the same answer for the same key and value: here by tables and by chance. The sandbox evaluates
// the rules; the conformance suite holds it against a real API server.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { load } from 'js-yaml';
import { celErrors } from '../../sandbox/apiserver/cel-rules.ts';
import type { Schema } from '../../sandbox/apiserver/structural-schema.ts';
import { resolve } from '../../src/api/resolve.ts';
import type { WorkloadCredential } from '../../src/api/types.gen.ts';

interface Definition {
  readonly spec: { readonly versions: readonly { readonly schema: { readonly openAPIV3Schema: Schema } }[] };
}

const CRD = new URL('../../crds/workloadcredentials.io_workloadcredentials.yaml', import.meta.url);
const schema = (load(readFileSync(CRD, 'utf8')) as Definition).spec.versions[0]?.schema.openAPIV3Schema;
assert.ok(schema !== undefined);

type Formats = NonNullable<NonNullable<WorkloadCredential['spec']['secret']>['formats']>;

function credential(data: Readonly<Record<string, string>>, formats: Formats): WorkloadCredential {
  return {
    apiVersion: 'workloadcredentials.io/v1alpha1',
    kind: 'WorkloadCredential',
    metadata: { name: 'orders', namespace: 'shop' },
    spec: {
      serviceAccountName: 'orders',
      aws: { roleARN: 'arn:aws:iam::123456789012:role/orders', region: 'eu-west-1' },
      secret: { data: { ...data }, formats },
    },
  } as WorkloadCredential;
}

/** Whether each of the two refuses, with what it says. */
function verdicts(
  key: string,
  value: string,
  formats: Formats = ['Files'],
): { readonly crd: string[]; readonly code: string[] } {
  const object = credential({ [key]: value }, formats);
  const { causes } = celErrors(object as never, undefined, schema as Schema);
  const { violation } = resolve(object, []);
  return { crd: causes.map(({ message }) => message), code: violation === undefined ? [] : [violation.message] };
}

function assertSame(key: string, value: string, formats?: Formats): void {
  const { crd, code } = verdicts(key, value, formats);
  const told = `${JSON.stringify({ [key]: value })} with ${formats?.join() ?? 'Files'}: CRD ${crd.join()}; code ${code.join()}`;
  assert.equal(crd.length > 0, code.length > 0, told);
}

const CLOUDS = ['AWS', 'ALIBABA_CLOUD', 'ALIBABACLOUD', 'ALICLOUD', 'VOLC', 'VOLCENGINE', 'VOLCSTACK'];
const ACTING_STARTS =
  'LD DYLD NODE JAVA JDK _JAVA BASH GIT GCONV SSL OPENSSL DOTNET CORECLR COR ERL ELIXIR LUA PHP GEM NPM npm UWSGI PIP'.split(
    ' ',
  );
const ACTING_ENDS =
  'OPT OPTS OPTIONS ARGS FLAGS AFLAGS CMD COMMAND PRELOAD STARTUP HOOK HOOKS WRAPPER PAGER EDITOR SHELL PROXY proxy'.split(
    ' ',
  );
const ACTING_NAMES =
  'PATH HOME ENV IFS PS4 SHELL SHELLOPTS PROMPT_COMMAND CLASSPATH PHPRC KUBECONFIG PAGER EDITOR VISUAL BROWSER LESSOPEN LESSCLOSE MAKEFLAGS MAKEFILES GOFLAGS LOCALDOMAIN HOSTALIASES PYTHONPATH RUBYLIB PERL5LIB'.split(
    ' ',
  );
const CREDENTIAL_ENDS =
  'ACCESSKEY ACCESS_KEY ACCESS_KEY_ID ACCESS_KEY_SECRET SECRETKEY SECRET_KEY SECRET_ACCESS_KEY SESSION_TOKEN SECURITY_TOKEN REGION REGION_ID DEFAULT_REGION CREDENTIAL_EXPIRATION'.split(
    ' ',
  );
const KEYS = [
  ...ACTING_STARTS.flatMap((start) => [`${start}_X`, start, `X_${start}_X`, `${start}X`]),
  ...ACTING_ENDS.flatMap((end) => [`X_${end}`, end, `X_${end}_X`, `X${end}`]),
  ...ACTING_NAMES.flatMap((name) => [name, `X${name}`, `${name}X`, name.toLowerCase()]),
  ...CLOUDS.flatMap((cloud) => [
    cloud,
    `${cloud}_PROFILE`,
    `${cloud}_XREGION`,
    `${cloud}_REGION_X`,
    `X_${cloud}_REGION`,
    ...CREDENTIAL_ENDS.map((end) => `${cloud}_${end}`),
  ]),
  ...'config credentials credentials.json config.json config-static.json a .a ..a . .. a/b MY_KEY REGION MY_REGION'.split(
    ' ',
  ),
];
const VALUES = [
  '{{ region }}',
  'eu-west-1',
  'x@evil.example/#',
  '{{ region }}.evil.example',
  '',
  'x',
  '{{ accessKeyId }}',
];

test('the CRD and the code refuse the same keys and values', () => {
  for (const key of KEYS) for (const value of VALUES) assertSame(key, value);
});

test('they do so together with the format Environment, too', () => {
  for (const key of KEYS) assertSame(key, '{{ region }}', ['Environment']);
});

test('both refuse some and take some, or the comparison would show nothing', () => {
  const refused = KEYS.filter((key) => verdicts(key, '{{ region }}').crd.length > 0);
  assert.ok(refused.length > 60 && refused.length < KEYS.length - 60, `${refused.length} of ${KEYS.length}`);
});

test('keys put together by chance have the same answer', () => {
  const word = fc.constantFrom(
    ...CLOUDS,
    ...ACTING_STARTS,
    ...ACTING_ENDS,
    ...ACTING_NAMES,
    ...CREDENTIAL_ENDS,
    'X',
    '.',
    '-',
  );
  const key = fc.array(word, { minLength: 1, maxLength: 4 }).map((words) => words.join('_'));
  const value = fc.oneof(fc.constantFrom(...VALUES), fc.stringMatching(/^[a-z]{1,4}(-[a-z0-9]{0,3}){0,3}$/));
  fc.assert(
    fc.property(key, value, (some, text) => assertSame(some, text)),
    { numRuns: 1_000 },
  );
});
