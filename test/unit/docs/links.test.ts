// Promises: no link of the documentation leads nowhere, and no page is an orphan.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  anchorOf,
  codeSpans,
  exists,
  headings,
  isHandWritten,
  linkTargets,
  type Page,
  pages,
  textOf,
} from './markdown.ts';

const all = pages();

/** The path that a relative link names, from the page it stands on. */
function targetPath(page: Page, target: string): string {
  const base = new URL(page.path, 'file:///');
  return decodeURIComponent(new URL(target.split('#')[0] ?? '', base).pathname.slice(1));
}

function problems(page: Page): string[] {
  return linkTargets(page)
    .filter((target) => !/^[a-z]+:/.test(target))
    .flatMap((target) => {
      const [file = '', anchor] = target.split('#');
      const path = file === '' ? page.path : targetPath(page, target);
      if (file !== '' && !exists(path)) return [`${page.path}: ${target} names no file`];
      if (anchor === undefined) return [];
      const there = file === '' ? page : { path, text: textOf(path) };
      const anchors = headings(there).map(({ title }) => anchorOf(title));
      return anchors.includes(anchor) ? [] : [`${page.path}: ${target} names no heading`];
    });
}

describe('links', () => {
  test('lead to files and headings that exist', () => {
    assert.deepEqual(all.flatMap(problems), []);
  });

  test('that lead nowhere are found, and so are headings that do not exist', () => {
    const page = {
      path: 'docs/page.md',
      text: '# Page\n\n[a](none.md) [b](#none) [c](../README.md#none) [d](#page)\n',
    };
    assert.equal(problems(page).length, 3);
  });

  test('to other sites are https', () => {
    const others = all.flatMap((page) => linkTargets(page)).filter((target) => /^[a-z]+:/.test(target));
    assert.deepEqual(
      others.filter((target) => !target.startsWith('https://')),
      [],
    );
  });

  test('lead to every page of docs', () => {
    const linked = new Set(all.flatMap((page) => linkTargets(page).map((target) => targetPath(page, target))));
    // docs/adr/ is shown by its README.
    const orphans = all.filter(
      ({ path }) => path.startsWith('docs/') && path !== 'docs/adr/README.md' && !linked.has(path),
    );
    assert.deepEqual(
      orphans.map(({ path }) => path),
      [],
    );
  });
});

describe('paths in code spans', () => {
  const PATH = /^(?:src|test|sandbox|docs|tools|helm|deploy|crds|bench)\/[A-Za-z0-9._/-]*$/;

  test('exist in the repository', () => {
    const missing = all.filter(isHandWritten).flatMap((page) =>
      codeSpans(page)
        .filter((span) => PATH.test(span) && !exists(span))
        .map((span) => `${page.path}: ${span}`),
    );
    assert.deepEqual(missing, []);
  });
});

test('anchors are those of GitHub', () => {
  assert.equal(anchorOf("The cluster's issuer"), 'the-clusters-issuer');
  assert.equal(anchorOf('What it promises, and what not'), 'what-it-promises-and-what-not');
});
