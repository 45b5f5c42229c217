// Coverage counts only files that were loaded: this loads every file of src but main.ts, which would start the operator.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';

const ROOT = new URL('../../src/', import.meta.url);

test('every file of src can be imported, and nothing happens by it', { timeout: 30_000 }, async () => {
  const files = readdirSync(ROOT, { recursive: true, encoding: 'utf8' }).filter(
    (path) => path.endsWith('.ts') && path !== 'main.ts',
  );
  assert.ok(files.length > 50);
  for (const file of files) {
    const module = (await import(new URL(file.replaceAll('\\', '/'), ROOT).href)) as object;
    assert.ok(!('default' in module), file);
  }
});
