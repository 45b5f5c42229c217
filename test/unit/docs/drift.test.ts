// Promises: what the documentation says by name exists under that name: reasons, flags, metrics, annotations, npm scripts,
// packages, RBAC. The registers in the code are the truth.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as names from '../../../src/api/names.ts';
import { ERRORS } from '../../../src/credential/errors.ts';
import { FLAGS } from '../../../src/options.ts';
import { METRICS } from '../../../src/telemetry/metric-register.ts';
import { codeBlocks, codeSpans, headings, isHandWritten, type Page, pages, prose, textOf } from './markdown.ts';

const all = pages();
const handWritten = all.filter(isHandWritten);
const pageOf = (path: string) => ({ path, text: textOf(path) });

interface PackageJSON {
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}
const packageJSON = JSON.parse(textOf('package.json')) as PackageJSON;

describe('docs/troubleshooting.md', () => {
  const reasons = [
    ...Object.keys(ERRORS),
    ...Object.keys(names.STATE_REASONS),
    ...Object.keys(names.EVENT_REASONS),
  ].sort();
  const titles = headings(pageOf('docs/troubleshooting.md')).map(({ title }) => title);

  test('has an entry for every reason', () => {
    assert.deepEqual(
      reasons.filter((reason) => !titles.includes(reason)),
      [],
    );
  });

  test('has no entry for a reason that does not exist', () => {
    const reasonLike = titles.filter((title) => /^([A-Z]+[a-z]+){1,}[A-Za-z]*$/.test(title) && title !== 'Kubernetes');
    const sections = headings(pageOf('docs/troubleshooting.md'))
      .filter(({ level }) => level < 3)
      .map(({ title }) => title);
    assert.deepEqual(
      reasonLike.filter((title) => !reasons.includes(title) && !sections.includes(title)),
      [],
    );
  });

  test('says something under every reason', () => {
    const entries = textOf('docs/troubleshooting.md')
      .split(/^###? /m)
      .slice(1);
    const empty = entries.filter(
      (entry) => reasons.includes(entry.split('\n')[0] ?? '') && entry.split('\n').length < 4,
    );
    assert.deepEqual(empty, []);
  });
});

/** Flags of kube-apiserver, which pages about clusters name bare too. */
const KUBE_APISERVER_FLAGS = [
  'api-audiences',
  'audit-log-path',
  'audit-policy-file',
  'encryption-provider-config',
  'service-account-extend-token-expiration',
  'service-account-issuer',
  'service-account-jwks-uri',
  'service-account-key-file',
  'service-account-signing-key-file',
];

describe('flags', () => {
  // A code span that begins with -- is a flag of the operator or of kube-apiserver; other programs' flags stand behind the
  // program's name.
  const named = handWritten.flatMap((page) =>
    codeSpans(page).flatMap((span) => {
      const name = /^--([a-z][a-z0-9-]*)/.exec(span)?.[1];
      return name === undefined ? [] : [{ path: page.path, name }];
    }),
  );

  test('of the operator that a page names exist', () => {
    assert.ok(named.length > 5);
    const isOther = (name: string): boolean => name === 'build-arg' || KUBE_APISERVER_FLAGS.includes(name);
    const unknown = named.filter(({ name }) => !Object.hasOwn(FLAGS, name) && !isOther(name));
    assert.deepEqual(unknown, []);
  });

  test('are all in the reference', () => {
    const spans = codeSpans(pageOf('docs/reference/options.md'));
    for (const [name, flag] of Object.entries(FLAGS)) {
      assert.ok(spans.includes(`--${name}=${flag.value}`), name);
    }
  });
});

describe('metrics', () => {
  const METRIC = /\b(?:workloadcredential|workqueue|rest_client|leader_election|controller_runtime)_[a-z_]+\b/g;

  test('that a page names exist', () => {
    const unknown = handWritten.flatMap(({ path, text }) =>
      [...text.matchAll(METRIC)]
        .map(([name]) => name)
        .filter((name) => !Object.hasOwn(METRICS, name.replace(/_(bucket|sum|count)$/, '')))
        .map((name) => `${path}: ${name}`),
    );
    assert.deepEqual(unknown, []);
  });

  test('are all in the reference', () => {
    const spans = codeSpans(pageOf('docs/reference/metrics.md'));
    assert.deepEqual(
      Object.keys(METRICS).filter((name) => !spans.includes(name)),
      [],
    );
  });
});

test('labels and annotations that a page names are those of the code', () => {
  const known: readonly string[] = Object.values(names).filter((name) => typeof name === 'string');
  const unknown = handWritten.flatMap(({ path, text }) =>
    [...text.matchAll(/(?<![\w./])workloadcredentials\.io\/[a-z0-9-]+/g)]
      .map(([name]) => name)
      .filter((name) => !known.includes(name))
      .map((name) => `${path}: ${name}`),
  );
  assert.deepEqual(unknown, []);
});

/** Variables of the environment that the flags' help names, which is plain text: it is printed by --help, too. */
const VARIABLES_OF_HELP = ['HTTPS_PROXY', 'NO_PROXY'];

describe('words in capitals with an underscore', () => {
  /** Those in the rows of a page's tables that stand outside code and links: placeholders that nobody filled in. */
  function leftOver(page: Page): string[] {
    return prose(page)
      .split('\n')
      .filter((line) => /^\s*\|/.test(line))
      .map((line) => line.replaceAll(/`[^`]*`/g, '').replaceAll(/\]\([^)]*\)/g, ']'))
      .flatMap((line) => [...line.matchAll(/\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b/g)].map(([word]) => word))
      .filter((word) => !VARIABLES_OF_HELP.includes(word));
  }

  test('are in no table of a page, except in code: a placeholder was filled in', () => {
    assert.deepEqual(
      all.flatMap((page) => leftOver(page).map((word) => `${page.path}: ${word}`)),
      [],
    );
  });

  test('that are left over are found, in generated pages too; variables in code and links are not', () => {
    const text = [
      'MEMORY_ROWS in a sentence',
      '| `AWS_REGION` | [a](A_B.md) | `one \\| TWO_WORDS` |',
      '| MEMORY_ROWS | x |',
      '  | a | ROWS_2 of it |',
      '```sh',
      '| IN_A_BLOCK |',
      '```',
    ].join('\n');
    assert.deepEqual(leftOver({ path: 'docs/page.md', text }), ['MEMORY_ROWS', 'ROWS_2']);
  });
});

describe('npm scripts', () => {
  const commands = handWritten.flatMap((page) => {
    const text = [prose(page), ...codeBlocks(page).map((block) => block.text)].join('\n');
    return [...text.matchAll(/\bnpm (?:run ([a-z0-9:]+)|(test)\b)/g)].map(([, run, bare]) => run ?? bare ?? '');
  });

  test('that a page tells to run exist', () => {
    assert.ok(commands.includes('demo') && commands.includes('test'));
    assert.deepEqual(
      commands.filter((name) => !Object.hasOwn(packageJSON.scripts, name)),
      [],
    );
  });
});

describe('docs/adr/0006-dependencies.md', () => {
  const [, runtime = '', development = ''] = textOf('docs/adr/0006-dependencies.md').split(
    /^At run time:|^For development:/m,
  );
  const firstCells = (text: string): string[] =>
    text
      .split('\n')
      .filter((line) => line.startsWith('| `'))
      .flatMap((line) => [...(line.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, name = '']) => name))
      .sort();

  test('gives a reason for each runtime dependency and for no other', () => {
    assert.deepEqual(firstCells(runtime), Object.keys(packageJSON.dependencies).sort());
  });

  test('gives a reason for each development dependency and for no other', () => {
    assert.deepEqual(firstCells(development), Object.keys(packageJSON.devDependencies).sort());
  });
});

describe('decisions', () => {
  const decisions = all.filter(({ path }) => /^docs\/adr\/\d/.test(path));

  test('are numbered without a gap and named by their title', () => {
    assert.deepEqual(
      decisions.map(({ path }) => path.slice('docs/adr/'.length).slice(0, 4)),
      decisions.map((_, index) => String(index + 1).padStart(4, '0')),
    );
    for (const { path, text } of decisions) {
      assert.match(path, /^docs\/adr\/\d{4}(-[a-z0-9]+)+\.md$/);
      assert.ok(text.startsWith(`# ${path.slice('docs/adr/'.length).slice(0, 4)} `), path);
    }
  });

  test('have context, decision, consequences and non-goals, in this order', () => {
    for (const page of decisions) {
      const sections = headings(page).filter(({ level }) => level === 2);
      assert.deepEqual(
        sections.map(({ title }) => title),
        ['Context', 'Decision', 'Consequences', 'Non-goals'],
        page.path,
      );
    }
  });
});

test('the changelog has an Unreleased section first', () => {
  const [, first] = headings(pageOf('CHANGELOG.md'));
  assert.deepEqual(first, { level: 2, title: '[Unreleased]' });
});
