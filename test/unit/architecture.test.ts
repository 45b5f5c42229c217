// The house rules of src: who may import whom, where time, chance and the process come from, and what a file looks like.
// Each rule is also shown a made-up source that breaks it, since a rule that cannot fire holds nothing.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../src/', import.meta.url));

/** Room -> what it may import: a room, a file of one, or (after "type ") only types of that. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  api: [],
  runtime: ['type api/meta.ts'],
  transport: ['type runtime/clock.ts', 'type runtime/log.ts'],
  credential: ['api'],
  render: ['credential', 'api'],
  providers: ['credential', 'api', 'transport', 'runtime/clock.ts', 'type runtime/random.ts'],
  kube: ['api', 'runtime', 'transport'],
  telemetry: ['runtime', 'api', 'credential'],
  controller: [
    'credential',
    'render',
    'api',
    'runtime',
    'type kube/api.ts',
    'type kube/writes.ts',
    'type kube/errors.ts',
    'type providers/provider.ts',
  ],
  'options.ts': ['api', 'providers/endpoints.ts', 'telemetry/logger.ts', 'transport/proxy.ts'],
  'version.ts': [],
};
/** The files that put everything together, and what not even they may import. */
const EDGES: Readonly<Record<string, readonly string[]>> = {
  'main.ts': [],
  'program.ts': ['main.ts'],
  'operator.ts': ['main.ts', 'program.ts'],
};

/** Package -> the only places that may import it. */
const PACKAGES: readonly (readonly [name: RegExp, places: RegExp])[] = [
  [/^@(aws-sdk|smithy)\//, /^providers\/aws/],
  [/^@alicloud\//, /^providers\/alibaba/],
  [/^@kubernetes\/client-node$/, /^kube\//],
  [/^(winston|prom-client)$/, /^telemetry\//],
  [/^undici$/, /^transport\//],
  [/^node:(timers|process|child_process|worker_threads|cluster)(\/|$)/, /^program\.ts$/],
  [/^node:(os|perf_hooks)$/, /^program\.ts$/],
  [/^node:fs(\/|$)/, /^(program\.ts|kube\/)/],
];
/** Every package that src may know at all, beside Node's own. */
const KNOWN_PACKAGE =
  /^(node:|@aws-sdk\/client-sts$|@alicloud\/sts20150401$|@kubernetes\/client-node$|winston$|prom-client$|undici$)/;

const AMBIENT: readonly (readonly [what: string, pattern: RegExp, places: RegExp])[] = [
  ['Date.now', /\bDate\.now\b/, /^(program|runtime\/clock)\.ts$/],
  ['new Date() without argument', /\bnew Date\(\s*\)/, /^runtime\/clock\.ts$/],
  ['Date() as a function', /(?<!new )(?<![.\w])Date\(/, /^runtime\/clock\.ts$/],
  ['performance.now', /\bperformance\.now\b/, /^runtime\/clock\.ts$/],
  ['timers', /(?<![.\w])set(Timeout|Interval|Immediate)\b/, /^(program|runtime\/clock)\.ts$/],
  ['nextTick', /\bnextTick\b/, /^$/],
  ['AbortSignal.timeout', /\bAbortSignal\.timeout\b/, /^$/],
  ['Math.random', /\bMath\.random\b/, /^runtime\/random\.ts$/],
  ['random of crypto', /\b(randomUUID|randomBytes|getRandomValues|randomInt)\b/, /^runtime\/random\.ts$/],
  ['process', /(?<![.#\w])process\s*[.[]/, /^(main|program)\.ts$/],
  ['console', /(?<![.#\w])console\s*[.[]/, /^$/],
];

interface Import {
  readonly from: string;
  readonly typesOnly: boolean;
}

/** Code without comments; strings stay. */
function withoutComments(source: string): string {
  return source.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|[\s;{}(,])\/\/[^\n]*/g, '$1');
}

function imports(code: string): Import[] {
  const found: Import[] = [];
  for (const [, names = '', from = ''] of code.matchAll(/^(?:import|export)\s+([^'";]*?)\s*from\s*'([^']+)'/gm)) {
    const members = /^\{([^}]*)\}$/
      .exec(names)?.[1]
      ?.split(',')
      .map((name) => name.trim());
    const allTypes = members?.filter((name) => name !== '').every((name) => name.startsWith('type ')) ?? false;
    found.push({ from, typesOnly: names.startsWith('type ') || allTypes });
  }
  for (const [, from = ''] of code.matchAll(/\bimport\s*\(?\s*'([^']+)'/g)) found.push({ from, typesOnly: false });
  return found;
}

function roomOf(path: string): string {
  return path.includes('/') ? (path.split('/')[0] ?? '') : path;
}

function importProblem(path: string, { from, typesOnly }: Import): string | undefined {
  if (!from.startsWith('.')) {
    const isMisplaced = PACKAGES.some(([name, places]) => name.test(from) && !places.test(path));
    return isMisplaced || !KNOWN_PACKAGE.test(from) ? `may not import ${from}` : undefined;
  }
  const target = posix.join(posix.dirname(path), from);
  if (target.startsWith('..')) return `imports ${target}, which is outside src`;
  const room = roomOf(path);
  if (EDGES[room] !== undefined) return EDGES[room].includes(target) ? `may not import ${target}` : undefined;
  if (path.includes('/') && roomOf(target) === room) return undefined;
  const isAllowed = (MAY_IMPORT[room] ?? []).some((allowed) => {
    const place = allowed.replace(/^type /, '');
    const matches = target === place || roomOf(target) === place;
    return matches && (typesOnly || place === allowed);
  });
  return isAllowed ? undefined : `may not import ${target}${typesOnly ? ' (types)' : ''}`;
}

/** What of the rules a source breaks; `path` is relative to src. */
function violations(path: string, source: string): string[] {
  const code = withoutComments(source);
  const found = imports(code).map((each) => importProblem(path, each));
  for (const [what, pattern, places] of AMBIENT) {
    if (pattern.test(code) && !places.test(path)) found.push(`takes ${what} from the surroundings`);
  }
  if (/^export default\b/m.test(code)) found.push('has a default export');
  if (/^export \*/m.test(code)) found.push('exports everything of another file');
  if (/\bimport\s*\(/.test(code) && path !== 'main.ts') found.push('imports while it runs');
  if (path === 'main.ts' && /^(import|export)\b/m.test(code))
    found.push('imports before it looks at the version of Node');
  if (/(^|\/)(utils?|helpers?|common|misc)\.ts$/.test(path)) found.push('has a name that says nothing');
  if (!source.startsWith('// Promises: ') && !path.endsWith('.gen.ts')) found.push('does not begin with its promise');
  return found.filter((problem) => problem !== undefined);
}

const FILES = readdirSync(ROOT, { recursive: true, encoding: 'utf8' })
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => path.endsWith('.ts'))
  .sort();

describe('every file of src', () => {
  test('is looked at', () => {
    assert.ok(FILES.length > 50);
    for (const file of FILES) {
      const room = roomOf(file);
      assert.ok(room in MAY_IMPORT || room in EDGES, `${file}: a room without a rule`);
    }
  });

  for (const file of FILES) {
    test(`${file} keeps the house rules`, () => {
      assert.deepEqual(violations(file, readFileSync(`${ROOT}${file}`, 'utf8')), []);
    });
  }

  test('pure rooms import nothing of Node but hashing', () => {
    const pure = FILES.filter((file) => ['api', 'credential', 'render'].includes(roomOf(file)));
    for (const file of pure) {
      const outside = imports(withoutComments(readFileSync(`${ROOT}${file}`, 'utf8')))
        .map(({ from }) => from)
        .filter((from) => !from.startsWith('.') && from !== 'node:crypto');
      assert.deepEqual(outside, [], file);
    }
  });
});

describe('the rules fire on', () => {
  const PROMISE = '// Promises: nothing.\n';
  const BROKEN: readonly (readonly [path: string, code: string, says: RegExp])[] = [
    ['api/x.ts', "import { y } from '../credential/plan.ts';", /may not import credential\/plan\.ts/],
    ['api/x.ts', "import type { Y } from '../runtime/clock.ts';", /may not import runtime\/clock\.ts \(types\)/],
    ['credential/x.ts', "import { y } from '../render/secret.ts';", /may not import render/],
    ['credential/x.ts', "import { y } from '../../test/support/builders.ts';", /outside src/],
    ['render/x.ts', "import { y } from '../controller/observe.ts';", /may not import controller/],
    ['runtime/x.ts', "import { y } from '../api/meta.ts';", /may not import api\/meta/],
    ['runtime/x.ts', "import type { Y } from '../api/names.ts';", /may not import api\/names/],
    ['controller/x.ts', "import { KubeError } from '../kube/errors.ts';", /may not import kube\/errors/],
    ['controller/x.ts', "import type { Y } from '../kube/client.ts';", /may not import kube\/client/],
    ['controller/x.ts', "import { type A, b } from '../providers/provider.ts';", /may not import providers/],
    ['controller/x.ts', "import type { Y } from '../telemetry/metrics.ts';", /may not import telemetry/],
    ['providers/x.ts', "import { y } from '../runtime/limiter.ts';", /may not import runtime\/limiter/],
    ['providers/x.ts', "import { y } from '../kube/api.ts';", /may not import kube/],
    ['kube/x.ts', "import {\n  y,\n} from '../credential/errors.ts';", /may not import credential/],
    ['kube/x.ts', "export { y } from '../telemetry/logger.ts';", /may not import telemetry/],
    ['telemetry/x.ts', "import { y } from '../controller/samples.ts';", /may not import controller/],
    ['operator.ts', "import './main.ts';", /may not import main/],
    ['operator.ts', "import './program.ts';", /may not import program/],
    ['program.ts', "import './main.ts';", /may not import main/],
    ['main.ts', "import { main } from './program.ts';", /before it looks at the version/],
    ['main.ts', 'setTimeout(y, 1);', /takes timers/],
    ['options.ts', "import { y } from './kube/client.ts';", /may not import kube/],
    ['controller/x.ts', "import { y } from '../operator.ts';", /may not import operator/],
    ['providers/alibaba.ts', "import { y } from '@aws-sdk/client-sts';", /may not import @aws-sdk/],
    ['controller/x.ts', "import { y } from '@kubernetes/client-node';", /may not import @kubernetes/],
    ['kube/x.ts', "import { y } from 'winston';", /may not import winston/],
    ['runtime/x.ts', "import { y } from 'prom-client';", /may not import prom-client/],
    ['kube/x.ts', "import { y } from 'undici';", /may not import undici/],
    ['kube/x.ts', "import { y } from 'left-pad';", /may not import left-pad/],
    ['runtime/x.ts', "import { setTimeout as wait } from 'node:timers/promises';", /may not import node:timers/],
    ['telemetry/x.ts', "import process from 'node:process';", /may not import node:process/],
    ['credential/x.ts', "const y = await import('./plan.ts');", /imports while it runs/],
    ['runtime/x.ts', 'const y = Date.now();', /takes Date\.now/],
    ['render/x.ts', 'const y = new Date();', /takes new Date\(\) without argument/],
    ['render/x.ts', 'const y = Date();', /takes Date\(\) as a function/],
    ['kube/x.ts', 'const y = performance.now();', /takes performance\.now/],
    ['kube/x.ts', 'setTimeout(y, 1);', /takes timers/],
    ['kube/x.ts', 'const y = setImmediate;', /takes timers/],
    ['kube/x.ts', 'queue.nextTick(y);', /takes nextTick/],
    ['kube/x.ts', 'const y = AbortSignal.timeout(1);', /takes AbortSignal\.timeout/],
    ['runtime/x.ts', 'const y = Math.random();', /takes Math\.random/],
    ['runtime/x.ts', "import { randomUUID } from 'node:crypto';", /takes random of crypto/],
    ['operator.ts', "const y = process.env['X'];", /takes process/],
    ['operator.ts', 'console.log(1);', /takes console/],
    ['api/x.ts', 'export default 1;', /default export/],
    ['api/x.ts', "export * from './names.ts';", /exports everything/],
    ['api/utils.ts', '', /a name that says nothing/],
    ['kube/helpers.ts', '', /a name that says nothing/],
  ];
  for (const [path, code, says] of BROKEN) {
    test(`${path}: ${code.replaceAll('\n', ' ') || 'its name'}`, () => {
      const found = violations(path, PROMISE + code);
      assert.ok(
        found.some((problem) => says.test(problem)),
        JSON.stringify(found),
      );
    });
  }

  test('a file that does not begin with its promise', () => {
    assert.deepEqual(violations('api/x.ts', 'export const y = 1;'), ['does not begin with its promise']);
  });

  test('nothing that only a comment says, nor what is allowed', () => {
    const allowed = `${PROMISE}// Date.now() and process.env
/* setTimeout(1) */
import type { KubeApi } from '../kube/api.ts';
import { type WriteMarks } from '../kube/writes.ts';
import { plan } from '../credential/plan.ts';
const y = new Date(0);
this.#process(key);
`;
    assert.deepEqual(violations('controller/x.ts', allowed), []);
  });
});
