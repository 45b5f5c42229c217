// What a release has to keep: a version that the changelog dates is built from bases by digest.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { loosePins, presentProblems, releaseProblems } from '../../../tools/release-check.ts';

const DATED = '## [1.2.3] - 2026-01-31\n';
const CANDIDATE = '## [1.2.3] (release candidate)\n';
const DIGEST = `@sha256:${'0123456789abcdef'.repeat(4)}`;
const present = readFileSync(new URL('../../../Dockerfile', import.meta.url), 'utf8');
const pinned = present.replaceAll(/^(ARG \w+_IMAGE=[^\s@]+)\S*$/gm, `$1${DIGEST}`);

describe('a version that the changelog dates', () => {
  test('has no base by tag, and the sentence names the argument and the fix', () => {
    const loose = pinned.replace(DIGEST, '');
    const [problem = '', ...others] = releaseProblems('1.2.3', DATED, loose);
    assert.deepEqual(others, []);
    assert.match(problem, /dates 1\.2\.3, .* ARG BUILD_IMAGE=node:24-slim without a digest: append the @sha256/);
  });

  test('may have both bases by digest', () => {
    assert.notEqual(pinned, present);
    assert.deepEqual(releaseProblems('1.2.3', DATED, pinned), []);
  });

  test('has every base from an argument', () => {
    const [problem = ''] = releaseProblems('1.2.3', DATED, `${pinned}\nFROM node:24-slim\n`);
    assert.match(problem, /FROM node:24-slim: take it from an ARG/);
  });

  test('takes no digest that is cut short', () => {
    assert.deepEqual(loosePins('ARG A_IMAGE=a@sha256:0123\n'), ['A_IMAGE=a@sha256:0123']);
  });
});

test('a candidate may have its bases by tag', () => {
  assert.deepEqual(releaseProblems('1.2.3', CANDIDATE, present), []);
  assert.deepEqual(releaseProblems('1.2.3', '## [1.2.2] - 2026-01-31\n', present), []);
});

test('this checkout keeps it', () => {
  assert.deepEqual(presentProblems(), []);
});
