// One version: of the program, the package and the chart.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { load } from 'js-yaml';
import { VERSION } from '../../src/version.ts';

async function read(path: string): Promise<string> {
  return await readFile(new URL(`../../${path}`, import.meta.url), 'utf8');
}

test("src/version.ts, package.json and the chart's appVersion are the same", async () => {
  const { version } = JSON.parse(await read('package.json')) as { version: string };
  const { appVersion } = load(await read('helm/Chart.yaml')) as { appVersion: unknown };
  assert.equal(VERSION, version);
  assert.equal(appVersion, version);
});
