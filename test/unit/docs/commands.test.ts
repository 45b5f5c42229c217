// Promises: every command that the documentation tells the reader to type is run by a test, or says what of ours it lacks; it
// is a script that a shell can read, and what it names that is ours exists. JSON and YAML that pages show can be read.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { loadAll } from 'js-yaml';
import { commandLines, isPartOf, isTopLevelValue, isValue, typedLines, unknownIn, unknownSpan } from './commands.ts';
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
import { prose, textOf } from './markdown.ts';

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
  'an Argo CD installation',
  'a checkout of Argo CD',
  'a machine with nothing else to do',
];

const all = pages().filter(({ path }) => path === 'README.md' || path.startsWith('docs/'));
const blocks = shellBlocks();
const place = ({ page, block }: (typeof blocks)[number]): string => `${page.path}:${block.line}`;

const PACKAGE = JSON.parse(textOf('package.json')) as { readonly scripts: Readonly<Record<string, string>> };
/** What runs npm scripts as they stand, and names no page. */
const WHOLE_RUN = '.ci/run';

/** What is wrong with a mark of a block. */
function problem({ path }: Page, mark: Mark | undefined, text = ''): string | undefined {
  if (mark === undefined) return 'has no mark: <!-- run: FILE -->, <!-- tested by: FILE --> or <!-- needs: WHAT -->';
  if (mark.kind === 'needs') return LACKING.includes(mark.value) ? undefined : `needs "${mark.value}"`;
  for (const file of filesOf(mark)) {
    if (!exists(file)) return `names ${file}, which does not exist`;
    const missing = commandLines(text).find((line) => !textOf(file).includes(line));
    if (file === WHOLE_RUN && missing !== undefined) return `names ${file}, which does not run "${missing}"`;
    if (file !== WHOLE_RUN && !textOf(file).includes(path)) return `names ${file}, which does not name the page`;
  }
  return undefined;
}

describe('commands', () => {
  test('are marked with the test that runs them or with what they need', () => {
    assert.ok(blocks.length > 40);
    const problems = blocks.map((each) => ({
      at: place(each),
      what: problem(each.page, each.block.mark, each.block.text),
    }));
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
    const inWholeRun = (text: string): string | undefined =>
      problem(page, { kind: 'tested by', value: WHOLE_RUN }, text);
    assert.equal(inWholeRun('npm run test:e2e\n'), undefined);
    assert.match(inWholeRun('npm run bench\n') ?? '', /does not run "npm run bench"/);
  });

  test('need nothing that no block needs any more', () => {
    const needed = new Set(blocks.map(({ block: { mark } }) => (mark?.kind === 'needs' ? mark.value : '')));
    assert.deepEqual(
      LACKING.filter((what) => !needed.has(what)),
      [],
    );
  });

  test('stand in blocks of the language sh, at the beginning of the line', () => {
    const others = all.flatMap(({ path, text }) =>
      [...text.matchAll(/^(?:[ \t]+```(?:sh|bash|shell|console)|```(?:bash|shell|console))$/gm)].map(
        ([fence]) => `${path}: ${fence}`,
      ),
    );
    assert.deepEqual(others, []);
    const programs = new Set(
      blocks.flatMap(({ block }) => commandLines(block.text).map((line) => line.split(' ')[0] ?? '')),
    );
    const indented = all.flatMap((page) => indentedCommands(page, programs).map((line) => `${page.path}: ${line}`));
    assert.deepEqual(indented, []);
    const page = { path: '', text: 'Type\n\n    kubectl get wcred\n\n1. a step\n\n   that goes on\n' };
    assert.deepEqual(indentedCommands(page, programs), ['kubectl get wcred'], 'an indented block is found');
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

/** Lines of indented blocks that begin with a program. */
function indentedCommands(page: Page, programs: ReadonlySet<string>): string[] {
  return [...prose(page).matchAll(/^(?: {4}|\t)\s*(?:\$ )?((\S+)(?: .*)?)$/gm)]
    .filter(([, , program = '']) => programs.has(program))
    .map(([, line = '']) => line);
}

/** What is wrong with an npm command: a script that there is not, or an argument that its program does not read. */
function unknownScript(command: string): string | undefined {
  if (/^npm (ci|test)$/.test(command)) return undefined;
  const [, name = '', further = ''] = /^npm run (\S+)(?: -- (.+))?$/.exec(command) ?? [];
  const script = PACKAGE.scripts[name];
  if (script === undefined) return `no script: ${command}`;
  const programs = [...script.matchAll(/\bnode (\S+\.ts)/g)].map(([, file = '']) => textOf(file)).join('\n');
  const flags = [...further.matchAll(/(?:^| )--([a-z-]+)/g)].map(([, flag = '']) => flag);
  const unknown = flags.find((flag) => !programs.includes(flag));
  return unknown === undefined ? undefined : `its program knows no --${unknown}: ${command}`;
}

describe('command lines within a sentence', () => {
  const lines = blocks.flatMap(({ block }) => commandLines(block.text));
  const wrong = (span: string): string[] =>
    typedLines(span).flatMap((command) =>
      command.startsWith('npm ')
        ? (unknownScript(command) ?? [])
        : lines.some((line) => isPartOf(command, line))
          ? []
          : `no block has it: ${command}`,
    );

  test('are part of a block, or scripts of ours', () => {
    const found = all
      .filter(isHandWritten)
      .flatMap((page) => codeSpans(page).flatMap((span) => wrong(span).map((what) => `${page.path}: ${what}`)));
    assert.deepEqual(found, []);
  });

  test('that no block has are found, and those that only speak of a command are let alone', () => {
    for (const mention of [
      'kubectl apply',
      'kubectl rollout restart',
      'helm upgrade --reuse-values',
      'kubectl apply -f',
      'aws sts get-caller-identity',
      'a kubectl plugin',
    ])
      assert.deepEqual(wrong(mention), [], mention);
    const unknown = [
      'kubectl get pods -n other',
      'helm list --namespace nowhere',
      'aws iam get-role --role-name x',
      'npm run tset',
      'npm ci && npm run bench -- --colour',
      'X=1 npm run none',
    ];
    for (const span of unknown) assert.equal(wrong(span).length, 1, span);
    assert.deepEqual(wrong('kubectl get wcred NAME -n NAMESPACE'), [], 'words in capitals stand for any');
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
