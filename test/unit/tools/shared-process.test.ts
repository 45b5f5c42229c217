// What tests that share a process with thousands of others (tools/test.ts) may not do: a hook around each test that is not in
// a suite is run around each test of every file, and `npm test` takes minutes more without a word.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const HOOK_OF_ALL = /^(?:test\.)?(?:beforeEach|afterEach)\(/m;

test('hooks around each test are in a suite', () => {
  assert.match('\nbeforeEach(() => {', HOOK_OF_ALL);
  const files = globSync('test/{unit,contract,sandbox}/**/*.test.ts', { cwd: ROOT });
  assert.ok(files.length > 100);
  assert.deepEqual(
    files.filter((file) => HOOK_OF_ALL.test(readFileSync(`${ROOT}${file}`, 'utf8'))),
    [],
  );
});
