// Promises: hops within the clouds' limits; no tag that policies trust to come from the platform, whatever its case or dress.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ChainRules, resolveRoleChain, type SaidHop } from '../../../src/api/resolve-role-chain.ts';
import { Refusal } from '../../../src/api/refusal.ts';

const BLOCK = { field: 'spec.aws', cloud: 'AWS' };
const RULES: ChainRules = {
  roleField: 'roleARN',
  isRole: (role) => role.startsWith('role-'),
  roleFix: 'use a role.',
  maxTags: 3,
  reservedPrefixes: ['aws:'],
};
const chain = (...hops: SaidHop[]): ReturnType<typeof resolveRoleChain> => resolveRoleChain(BLOCK, hops, RULES);
const tagged = (...tags: { key: string; value?: string; transitive?: boolean }[]): SaidHop => ({
  role: 'role-a',
  tags: tags.map((tag) => ({ value: '', ...tag })),
});
const refusal = (...hops: SaidHop[]): string => {
  try {
    chain(...hops);
  } catch (error) {
    assert.ok(error instanceof Refusal, String(error));
    return error.violation.message;
  }
  return assert.fail('it was accepted');
};

test('four hops are taken, five are not', () => {
  const hop = { role: 'role-a' };
  assert.equal(chain(hop, hop, hop, hop).length, 4);
  assert.equal(refusal(hop, hop, hop, hop, hop), 'spec.aws.roleChain is "5 hops": use at most 4.');
});

test('the message names the hop, the tag and the field', () => {
  const good = { role: 'role-a' };
  assert.match(refusal(good, { role: 'x' }), /^spec\.aws\.roleChain\[1\]\.roleARN is "x": use a role\.$/);
  assert.match(refusal(good, good, { ...good, externalID: 'ä' }), /^spec\.aws\.roleChain\[2\]\.externalID is "ä"/);
  assert.match(refusal(good, tagged({ key: 'a' }, { key: '' })), /^spec\.aws\.roleChain\[1\]\.tags\[1\]\.key is ""/);
  assert.match(refusal(tagged({ key: 'a', value: '\n' })), /^spec\.aws\.roleChain\[0\]\.tags\[0\]\.value is "\\n"/);
});

test('an external id has 2 to 1224 characters of the documented set', () => {
  const hop = (externalID: string): SaidHop => ({ role: 'role-a', externalID });
  for (const good of ['ab', 'a_+=,.@:/-Z9', 'x'.repeat(1224)]) assert.equal(chain(hop(good))[0]?.externalID, good);
  for (const bad of ['', 'a', 'x'.repeat(1225), 'a b', 'a\nb', 'a&b', 'a"b', 'aé', 'ab\n']) {
    assert.match(refusal(hop(bad)), /externalID is .*: use 2 to 1224/);
  }
});

test('a tag has a key of 1 to 128 and a value of 0 to 256 characters', () => {
  chain(
    tagged({ key: 'k'.repeat(128), value: 'v'.repeat(256) }, { key: 'a b', value: ' a ' }, { key: 'ключ:/=+-@_.1' }),
  );
  assert.match(refusal(tagged({ key: 'k'.repeat(129) })), /key is .*: use 1 to 128/);
  assert.match(refusal(tagged({ key: 'k', value: 'v'.repeat(257) })), /value is .*: use at most 256/);
  assert.match(
    refusal(tagged({ key: 'a' }, { key: 'b' }, { key: 'c' }, { key: 'd' })),
    /tags is "4 tags": use at most 3/,
  );
});

for (const key of [
  'kubernetes-namespace',
  'Kubernetes-namespace',
  'KUBERNETES-',
  '\u212aubernetes-namespace',
  'kubernete\u017f-service-account',
  'workloadcredent\u0131als-name',
  'eks-cluster-arn',
  'workloadcredentials-x',
  'aws:PrincipalArn',
  ' kubernetes-namespace',
  '\u00a0kubernetes-namespace',
  '\u200bkubernetes-namespace',
  '\tkubernetes-namespace',
  'kubernetes-namespace\n',
  'team ',
]) {
  test(`the tag key ${JSON.stringify(key)} is refused`, () => {
    assert.match(refusal(tagged({ key })), /^spec\.aws\.roleChain\[0\]\.tags\[0\]\.key is "/);
  });
}

test('keys that differ in case only are one key', () => {
  assert.match(
    refusal(tagged({ key: 'team' }, { key: 'Team' })),
    /tags\[1\]\.key is "Team": use keys that differ in more/,
  );
});

test('a transitive tag reaches the later hops by itself, and must not be set there again', () => {
  const first = tagged({ key: 'team', value: 'a', transitive: true }, { key: 'own', value: 'b' });
  const own = chain(first, tagged({ key: 'own', value: 'c' }))[1]?.tags;
  assert.deepEqual(own, [{ key: 'own', value: 'c' }]);
  const message = refusal(first, { role: 'role-a' }, tagged({ key: 'TEAM', value: 'a' }));
  assert.match(message, /^spec\.aws\.roleChain\[2\]\.tags\[0\]\.key is "TEAM": use another key, or none: /);
  assert.match(message, /spec\.aws\.roleChain\[0\]\.tags\[0\] is transitive/);
});

test('property: no accepted text has a control, a quote, an ampersand or a line end in it', () => {
  const text = fc.oneof(
    fc.stringMatching(/^[a-z]{2,9}$/),
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.constantFrom('a\nb', 'a&b=c', 'a"b', 'a\u2028b', 'a\u0000', 'a\u202eb', '%0a', 'a;b', 'aws:x', 'eks-x'),
  );
  let accepted = 0;
  fc.assert(
    fc.property(text, text, text, (externalID, key, value) => {
      let hops: ReturnType<typeof chain>;
      try {
        hops = chain({ role: 'role-a', externalID, tags: [{ key, value }] });
      } catch (error) {
        assert.ok(error instanceof Refusal, String(error));
        return;
      }
      accepted += 1;
      const said = JSON.stringify(hops.map((hop) => [hop.externalID, hop.tags]));
      assert.ok(!/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}&;%\\'<>`$]/u.test(said), said);
      assert.ok(!/^(aws:|eks-|kubernetes-|workloadcredentials-)/i.test(key), key);
      assert.equal(key.trim(), key);
    }),
    { numRuns: 2000 },
  );
  assert.ok(accepted > 20, `only ${accepted} were accepted`);
});
