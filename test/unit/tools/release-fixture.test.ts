// Fixtures of releases: which versions there are, and that a released one is not written again.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { describe, test } from 'node:test';
import { isReleased, presentVersion, releaseDirectory, releases } from '../../../tools/release-fixture.ts';

describe('a fixture of a release', () => {
  test('is there for the present version, with its CRD, chart and manifests', () => {
    const version = presentVersion();
    assert.equal(releases().at(-1), version);
    for (const part of ['crd.yaml', 'chart/Chart.yaml', 'chart/files/crd.yaml', 'operator.yaml']) {
      assert.ok(existsSync(new URL(part, releaseDirectory(version))), part);
    }
  });

  test('belongs to a release once the changelog dates it', () => {
    assert.equal(isReleased('0.1.0', '## [0.1.0] - 2026-01-31\n'), true);
    assert.equal(isReleased('0.1.0', '## [0.1.0] (release candidate)\n'), false);
    assert.equal(isReleased('0.1.0', '## [0.1.00] - 2026-01-31\n## [01110] - 2026-01-31\n'), false);
  });
});
