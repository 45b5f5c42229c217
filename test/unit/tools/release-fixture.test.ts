// Fixtures of releases: which versions there are, and that a released one is not written again.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { describe, test } from 'node:test';
import {
  formerRelease,
  isPresent,
  isReleased,
  presentVersion,
  PROGRAM_FILE,
  releaseDirectory,
  releases,
} from '../../../tools/release-fixture.ts';

describe('a fixture of a release', () => {
  test('is there for the present version, with its CRD, chart, manifests and program', () => {
    const version = presentVersion();
    assert.equal(releases().at(-1), version);
    for (const part of ['crd.yaml', 'chart/Chart.yaml', 'chart/files/crd.yaml', 'operator.yaml', PROGRAM_FILE]) {
      assert.ok(existsSync(new URL(part, releaseDirectory(version))), part);
    }
  });

  test('is upgraded from only when it differs from this checkout, or the upgrade would show nothing', () => {
    assert.equal(isPresent(formerRelease()), false);
  });

  test('belongs to a release once the changelog dates it', () => {
    assert.equal(isReleased('0.1.0', '## [0.1.0] - 2026-01-31\n'), true);
    assert.equal(isReleased('0.1.0', '## [0.1.0] (release candidate)\n'), false);
    assert.equal(isReleased('0.1.0', '## [0.1.00] - 2026-01-31\n## [01110] - 2026-01-31\n'), false);
  });
});
