// Promises: the names that a Secret's data speak with are the contract that the CRD and the pages show.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFileSync } from 'node:fs';
import { FORMAT_KEYS, PLACEHOLDER, PLACEHOLDERS } from '../../../src/api/secret-keys.ts';

const crd = readFileSync(
  new URL('../../../crds/workloadcredentials.io_workloadcredentials.yaml', import.meta.url),
  'utf8',
);

test('the placeholders are the six that the CRD names', () => {
  assert.deepEqual(PLACEHOLDERS, ['accessKeyId', 'secretAccessKey', 'sessionToken', 'expiration', 'region', 'roleArn']);
});

test('a placeholder is found only as it is documented', () => {
  const found = (text: string): string[] => [...text.matchAll(PLACEHOLDER)].map(([, word = '']) => word);
  assert.deepEqual(found('{{ region }}{{ roleArn }}'), ['region', 'roleArn']);
  assert.deepEqual(found('{{region}} {{  region }} {{ Region }} { { region } } {{ region}}'), []);
});

test('the CRD refuses the files that the formats of any cloud write', () => {
  const files = new Set(Object.values(FORMAT_KEYS).flatMap(({ Files, StaticFile }) => [...Files, ...StaticFile]));
  const [, listed = ''] = /!\(key in \[('config'[^\]]*)\]\)/.exec(crd) ?? [];
  assert.deepEqual([...files].sort(), listed.replaceAll("'", '').split(', ').sort());
});

test('each format of each cloud writes keys of its own, and legal ones', () => {
  for (const formats of Object.values(FORMAT_KEYS)) {
    const keys = Object.values(formats).flat();
    assert.equal(new Set(keys).size, keys.length);
    for (const key of keys) assert.match(key, /^[-._a-zA-Z0-9]+$/);
    assert.ok(formats.Files.length > 0 && formats.Environment.length === 4);
  }
});
