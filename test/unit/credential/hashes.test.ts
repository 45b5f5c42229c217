// Promises: the hashes in the Secrets of a fleet mean the same after an upgrade. The golden values below were released:
// a change of one of them issues every credential of every cluster anew at the upgrade. Give the hash a new version instead.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  canonicalJSON,
  contentHash,
  hashedFraction,
  type JSONValue,
  renderHash,
  requestHash,
  sameInput,
  shortHash,
} from '../../../src/credential/hashes.ts';
import { renderInputs, requestInputs } from '../../../src/credential/inputs.ts';
import { aResolved, ROLE_ARN } from '../../support/builders.ts';

const FULL = aResolved({
  durationSeconds: 900,
  refreshBeforeSeconds: 300,
  aws: {
    roleARN: ROLE_ARN,
    region: 'eu-west-1',
    audience: 'internal',
    endpoint: 'https://sts.example.internal',
    policyARNs: ['arn:aws:iam::aws:policy/ReadOnlyAccess'],
    sessionPolicy: '{"Version":"2012-10-17","Statement":[]}',
  },
  secret: {
    name: 'orders-cloud',
    formats: ['Files', 'Environment', 'StaticFile'],
    mountPath: '/home/app/.aws',
    data: { MY_KEY: '{{ accessKeyId }}' },
    labels: { team: 'a' },
    annotations: { note: 'b' },
    deletionPolicy: 'Retain',
  },
});

test('the request-hash of the smallest resource is the released one', () => {
  assert.equal(requestHash(requestInputs(aResolved())), 'v1.de143949f21563b34990848a3875667d');
});
test('the request-hash of a full resource is the released one', () => {
  assert.equal(requestHash(requestInputs(FULL)), 'v1.f7c5553d30ecc1d17810fe34b77c6933');
});
test('the render-hash of the smallest resource is the released one', () => {
  assert.equal(renderHash(renderInputs(aResolved())), 'v1.cf48b5f2a4fc1938ab964e26f119b22f');
});
test('the render-hash of a full resource is the released one', () => {
  assert.equal(renderHash(renderInputs(FULL)), 'v1.a9b6e785704f0a91d904ca4a5d219757');
});

const CONTENT = {
  data: { a: 'YQ==' },
  issueTime: '2026-11-22T12:00:00Z',
  expirationTime: '2026-11-22T13:00:00Z',
  requestHash: 'v1.x',
};
test('the content-hash is the released one', () => {
  assert.equal(contentHash(CONTENT), 'v1.ee62bd7e5a02efeebda8e1d143593a2b9f14660135a821f752ac044402f9de01');
});

for (const [what, change] of Object.entries({
  'a value': { data: { a: 'YR==' } },
  'a key': { data: { b: 'YQ==' } },
  'one key more': { data: { a: 'YQ==', b: '' } },
  'the issue time': { issueTime: '2026-11-22T12:00:01Z' },
  'the expiration time': { expirationTime: '2026-11-22T13:00:01Z' },
  'the request-hash': { requestHash: 'v1.y' },
})) {
  test(`the content-hash covers ${what}`, () => {
    assert.notEqual(contentHash({ ...CONTENT, ...change }), contentHash(CONTENT));
  });
}

test('what only schedules is in neither input hash', () => {
  const other = aResolved({ refreshBeforeSeconds: 600, suspend: true });
  assert.equal(requestHash(requestInputs(other)), requestHash(requestInputs(aResolved())));
  assert.equal(renderHash(renderInputs(other)), renderHash(renderInputs(aResolved())));
});

for (const [what, spec] of Object.entries({
  'the ServiceAccount': { serviceAccountName: 'other' },
  'the duration': { durationSeconds: 900 },
  'the role': { aws: { roleARN: `${ROLE_ARN}2`, region: 'eu-west-1' } },
  'the region': { aws: { roleARN: ROLE_ARN, region: 'eu-west-2' } },
  'the audience': { aws: { roleARN: ROLE_ARN, region: 'eu-west-1', audience: 'x' } },
  'the endpoint type': { aws: { roleARN: ROLE_ARN, region: 'eu-west-1', endpointType: 'FIPS' as const } },
  'the session policy': {
    aws: { roleARN: ROLE_ARN, region: 'eu-west-1', sessionPolicy: '{"Version":"2012-10-17","Statement":[]}' },
  },
})) {
  test(`${what} is in the request-hash and not in the render-hash`, () => {
    assert.notEqual(requestHash(requestInputs(aResolved(spec))), requestHash(requestInputs(aResolved())));
    assert.equal(renderHash(renderInputs(aResolved(spec))), renderHash(renderInputs(aResolved())));
  });
}

test('spec.secret is in the render-hash and not in the request-hash', () => {
  const other = aResolved({ secret: { mountPath: '/elsewhere' } });
  assert.equal(requestHash(requestInputs(other)), requestHash(requestInputs(aResolved())));
  assert.notEqual(renderHash(renderInputs(other)), renderHash(renderInputs(aResolved())));
});

const shuffled = (value: JSONValue): JSONValue =>
  Array.isArray(value)
    ? value.map(shuffled)
    : value !== null && typeof value === 'object'
      ? Object.fromEntries(
          Object.entries(value)
            .reverse()
            .map(([key, item]) => [key, item === undefined ? undefined : shuffled(item)]),
        )
      : value;

test('canonical JSON does not depend on the order of members', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      assert.equal(canonicalJSON(shuffled(value as JSONValue)), canonicalJSON(value as JSONValue));
    }),
  );
});

test('canonical JSON is JSON, and canonical JSON of what it says is the same', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = canonicalJSON(value as JSONValue);
      assert.equal(canonicalJSON(JSON.parse(text) as JSONValue), text);
    }),
  );
});

test('canonical JSON tells values apart: text, numbers, order of lists', () => {
  const texts = [{ a: '1' }, { a: 1 }, { a: [1, 2] }, { a: [2, 1] }, { a: null }, { a: '' }, { a: true }, {}];
  assert.equal(new Set(texts.map((value) => canonicalJSON(value))).size, texts.length);
});

test('members that are undefined or empty, however deep, mean the same as absent ones', () => {
  for (const value of [{ b: undefined }, { b: {} }, { b: [] }, { b: { c: undefined } }, { b: { c: { d: [] } } }]) {
    assert.equal(canonicalJSON({ a: 1, ...value }), '{"a":1}');
  }
});

for (const [sentence, recorded, wanted] of [
  ['the same hash is the same input', 'v1.a', true],
  ['another hash of this version is another input', 'v1.b', false],
  ['a hash of an older version counts as the same until the next refresh', 'v0.b', true],
  ['a hash of a newer version counts as the same, so that a rollback re-issues nothing', 'v12.b', true],
  ['no hash is another input', undefined, false],
  ['an empty hash is another input', '', false],
  ['what is no hash is another input', 'vx.a', false],
] as const) {
  test(sentence, () => {
    assert.equal(sameInput(recorded, 'v1.a'), wanted);
  });
}

test('a hashed fraction is in [0, 1), the same for the same words, and knows where words end', () => {
  fc.assert(
    fc.property(fc.array(fc.string()), (words) => {
      const fraction = hashedFraction(...words);
      assert.ok(fraction >= 0 && fraction < 1);
      assert.equal(fraction, hashedFraction(...words));
    }),
  );
  assert.notEqual(hashedFraction('ab', 'c'), hashedFraction('a', 'bc'));
});

test('a short hash is the beginning of the SHA-256', () => {
  assert.equal(shortHash('abc', 8), 'ba7816bf');
});
