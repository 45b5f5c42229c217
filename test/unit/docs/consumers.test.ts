// Promises: the results of the consumers, from which a page of the docs is generated, are of the clients, versions and files
// of today, and came out as the clients' table expects.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { CLIENTS } from '../../consumers/clients.ts';
import { readResults, renderedHash } from '../../consumers/results.ts';

const AGAIN = 'run `npm run test:consumers`, which writes the results anew';

test('the results are of the files that are rendered today', () => {
  assert.equal(readResults().rendered, renderedHash(), AGAIN);
});

test('the results are of the clients and versions of today, each as expected', () => {
  const expected = CLIENTS.map((client) => ({
    client: client.name,
    version: client.version(),
    format: client.format,
    behaviour: client.expected,
  }));
  const rows = readResults().rows.map(({ client, version, format, behaviour }) => ({
    client,
    version,
    format,
    behaviour,
  }));
  assert.deepEqual(rows, expected, AGAIN);
});

test('no call failed of a client that reloads', () => {
  const failed = readResults().rows.filter((row) => row.behaviour === 'reloads' && row.failed !== false);
  assert.deepEqual(failed, []);
});

test('the profile without a command that the docs show is the one that the clients were tried with', () => {
  const page = readFileSync(new URL('../../../docs/consuming.md', import.meta.url), 'utf8');
  const [own] = CLIENTS.flatMap((client) => (client.own === undefined ? [] : [client.own]));
  assert.ok(own !== undefined);
  assert.ok(page.includes(`${own.key}: '${own.template}'`));
});
