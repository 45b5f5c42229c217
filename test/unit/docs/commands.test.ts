// Promises: every command that the documentation tells the reader to type is run by a test, or says what of ours it lacks; it
// is a script that a shell can read, and what it names that is ours exists. JSON and YAML that pages show can be read.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { loadAll } from 'js-yaml';
import { isTopLevelValue, isValue, unknownIn, unknownSpan } from './commands.ts';
import {
  codeBlocks,
  codeSpans,
  exists,
  filesOf,
  isHandWritten,
  type Mark,
  type Page,
  pages,
  shellBlocks,
} from './markdown.ts';
import { textOf } from './markdown.ts';

/** What no test has, and a block may be marked to need. Closed, so that "needs" stays an exception with a reason. */
const LACKING = [
  'an AWS account',
  'an Alibaba Cloud account',
  'a Volcengine account',
  'an EKS cluster',
  'an ACK cluster',
  'a VKE cluster',
  'Docker and a registry',
  'Docker and kind',
  'a bucket that the clouds can read',
  'Velero',
  'the former operator',
  'an Argo CD installation',
  'a checkout of Argo CD',
];

const all = pages().filter(({ path }) => path === 'README.md' || path.startsWith('docs/'));
const blocks = shellBlocks();
const place = ({ page, block }: (typeof blocks)[number]): string => `${page.path}:${block.line}`;

/** What is wrong with a mark. */
function problem({ path }: Page, mark: Mark | undefined): string | undefined {
  if (mark === undefined) return 'has no mark: <!-- run: FILE -->, <!-- tested by: FILE --> or <!-- needs: WHAT -->';
  if (mark.kind === 'needs') return LACKING.includes(mark.value) ? undefined : `needs "${mark.value}"`;
  for (const file of filesOf(mark)) {
    if (!exists(file)) return `names ${file}, which does not exist`;
    if (!textOf(file).includes(path)) return `names ${file}, which does not name the page`;
  }
  return undefined;
}

describe('commands', () => {
  test('are marked with the test that runs them or with what they need', () => {
    assert.ok(blocks.length > 40);
    const problems = blocks.map((each) => ({ at: place(each), what: problem(each.page, each.block.mark) }));
    assert.deepEqual(
      problems.filter(({ what }) => what !== undefined),
      [],
    );
  });

  test('that are not marked, or marked with what is not there, are found', () => {
    const page = { path: 'docs/page.md', text: '' };
    const isWrong = (mark: Mark | undefined): boolean => problem(page, mark) !== undefined;
    assert.ok(isWrong(undefined));
    assert.ok(isWrong({ kind: 'run', value: 'test/e2e/none.test.ts' }));
    assert.ok(isWrong({ kind: 'tested by', value: 'test/unit/docs/markdown.ts' }));
    assert.ok(isWrong({ kind: 'run', value: 'test/e2e/docs.test.ts, test/e2e/none.test.ts' }));
    assert.ok(isWrong({ kind: 'needs', value: 'patience' }));
    assert.ok(!isWrong({ kind: 'needs', value: 'an AWS account' }));
  });

  test('stand in blocks of the language sh, at the beginning of the line', () => {
    const others = all.flatMap(({ path, text }) =>
      [...text.matchAll(/^(?:[ \t]+```(?:sh|bash|shell|console)|```(?:bash|shell|console))$/gm)].map(
        ([fence]) => `${path}: ${fence}`,
      ),
    );
    assert.deepEqual(others, []);
  });

  test('can be read by a shell', () => {
    for (const each of blocks) {
      const { status, stderr } = spawnSync('bash', ['-n'], { input: each.block.text, encoding: 'utf8' });
      assert.equal(status, 0, `${place(each)}: ${stderr}`);
    }
  });

  test('name values, fields, conditions and flags that exist', () => {
    const unknown = blocks.flatMap((each) => unknownIn(each.block.text).map((what) => `${place(each)}: ${what}`));
    assert.deepEqual(unknown, []);
  });

  test('with a misspelt value, field, condition or flag are found', () => {
    const script = [
      "helm install wc ./helm --set 'sts.endpoints[0].uri=x' --set metrics.serviceMonitor.enabled=true \\",
      '  --set-json proxy.noProxies=[]',
      "kubectl get wcred -o jsonpath='{.status.expiration}{.status.conditions[*].reason}'",
      'kubectl wait --for=condition=Issued wcred/orders',
      'node dist/main.js --lease=x --workers=1',
    ].join('\n');
    assert.deepEqual(unknownIn(script), [
      'value sts.endpoints[0].uri',
      'value proxy.noProxies',
      'status.expiration',
      'condition Issued',
      'flag --lease',
    ]);
  });
});

describe('code spans', () => {
  test('name fields, reasons and values that exist', () => {
    const unknown = all
      .filter(isHandWritten)
      .flatMap((page) => codeSpans(page).map((span) => ({ path: page.path, what: unknownSpan(span) })));
    assert.deepEqual(
      unknown.filter(({ what }) => what !== undefined),
      [],
    );
  });

  test('with a misspelt one are found', () => {
    assert.equal(unknownSpan('spec.aws.roleArn'), 'field spec.aws.roleArn');
    assert.equal(unknownSpan('status.secret.uid'), undefined);
    assert.equal(unknownSpan('Ready=False Denied'), 'reason Denied');
    assert.equal(unknownSpan('sts.burts=5'), 'value sts.burts');
    assert.equal(unknownSpan('networkPolicy.enabled=true'), undefined);
  });
});

describe('JSON and YAML that pages show', () => {
  const shown = all.flatMap((page) => codeBlocks(page).map((block) => ({ page, block })));

  test('can be read', () => {
    for (const { page, block } of shown) {
      const at = `${page.path}:${block.line}`;
      if (block.language === 'json') assert.doesNotThrow(() => JSON.parse(block.text), at);
      if (block.language === 'yaml') assert.doesNotThrow(() => loadAll(block.text), at);
    }
  });

  test('is a Kubernetes object, a part of one, or values of the chart', () => {
    for (const { page, block } of shown.filter(({ block }) => block.language === 'yaml')) {
      for (const document of loadAll(block.text) as Record<string, unknown>[]) {
        if ('kind' in document || 'spec' in document || 'metadata' in document) continue;
        const unknown = leaves(document).filter((path) => !isTopLevelValue(path.split('.')[0] ?? '') || !isValue(path));
        assert.deepEqual(unknown, [], `${page.path}:${block.line}`);
      }
    }
  });
});

/** The paths of everything in it that is no object. */
function leaves(value: unknown, path = ''): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [path];
  return Object.entries(value).flatMap(([name, member]) => leaves(member, path === '' ? name : `${path}.${name}`));
}
