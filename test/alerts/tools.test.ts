// Without Prometheus the tests of alerts fail and say how to get it; they are skipped only for a person who asks for that.
import assert from 'node:assert/strict';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { MissingToolError } from '../beds/binaries.ts';
import { runCommand } from '../beds/command.ts';
import { prometheusOrSkip } from './tools.ts';

const there = { prometheus: '/opt/prometheus', promtool: '/opt/promtool' };
const has = async (): Promise<typeof there> => await Promise.resolve(there);
const lacks = async (): Promise<never> => await Promise.reject(new MissingToolError('Install it.'));

describe('Prometheus for the tests of alerts', () => {
  test('is used where it is, in CI as elsewhere', async () => {
    for (const env of [{}, { CI: 'true' }, { CI: 'true', SKIP_PROMETHEUS_TESTS: 'true' }]) {
      const { skip, tools } = await prometheusOrSkip({ ensure: has, env });
      assert.equal(skip, false);
      assert.equal(tools(), there);
    }
  });

  test('fails the tests where it is missing, whether CI is set or not', async () => {
    for (const env of [{}, { CI: 'true' }, { CI: 'true', SKIP_PROMETHEUS_TESTS: 'true' }]) {
      await assert.rejects(
        prometheusOrSkip({ ensure: lacks, env }),
        /prometheus and promtool are missing\. Install it\./,
      );
    }
  });

  test('is done without where a person says so, and is not even looked for', async () => {
    const never = async (): Promise<never> => await Promise.reject(new Error('it was looked for'));
    const { skip, tools } = await prometheusOrSkip({ ensure: never, env: { SKIP_PROMETHEUS_TESTS: 'true' } });
    assert.equal(skip, 'SKIP_PROMETHEUS_TESTS is true');
    assert.throws(tools, /SKIP_PROMETHEUS_TESTS is true/);
  });

  test('does not hide what else goes wrong', async () => {
    const breaks = async (): Promise<never> => await Promise.reject(new Error('the disk is full'));
    await assert.rejects(prometheusOrSkip({ ensure: breaks, env: {} }), /^Error: the disk is full$/);
  });

  test('ends a whole run with a failure that names the package, on a machine that has no way to get it', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'wc-no-prometheus-'));
    try {
      const bin = join(directory, 'bin');
      await mkdir(bin);
      await writeFile(join(bin, 'apt-get'), '#!/bin/sh\necho "E: Unable to locate package prometheus" >&2\nexit 100\n');
      await chmod(join(bin, 'apt-get'), 0o755);
      const file = fileURLToPath(new URL('rules.test.ts', import.meta.url));
      const env = { PATH: `${bin}:/nowhere`, XDG_CACHE_HOME: directory };
      const { code, stdout, stderr } = await runCommand(process.execPath, ['--test', file], { env, cwd: directory });
      const said = stdout + stderr;
      assert.equal(code, 1, said);
      assert.match(said, /apt-get download prometheus ended with 100 \(E: Unable to locate package prometheus\)/);
      assert.match(said, /apt-get install prometheus/);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});
