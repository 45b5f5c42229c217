// Promises: the CRD keeps the rules that a structural schema, the CEL cost budget and its readers ask of it. What the API
// server makes of it is tested on a real one, by the tables in test/fixtures.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { load } from 'js-yaml';
import { GROUP, KIND, PLURAL, VERSION, CONDITION_TYPES } from '../../../src/api/names.ts';
import type { CRDSchema } from '../../../tools/crd-file.ts';
import { readCRD, servedVersion } from '../../../tools/crd-file.ts';
import { staleFiles } from '../../../tools/generate.ts';

const ROOT = new URL('../../../', import.meta.url);
const crd = readCRD(ROOT);
const version = servedVersion(crd);
const root = version.schema.openAPIV3Schema;

interface Node {
  readonly path: string;
  readonly schema: CRDSchema;
}

function nodes(path: string, schema: CRDSchema): Node[] {
  const properties = Object.entries(schema.properties ?? {}).flatMap(([name, property]) =>
    nodes(path === '' ? name : `${path}.${name}`, property),
  );
  const items = schema.items === undefined ? [] : nodes(`${path}[]`, schema.items);
  const values = schema.additionalProperties === undefined ? [] : nodes(`${path}.*`, schema.additionalProperties);
  return [{ path, schema }, ...properties, ...items, ...values];
}

const all = nodes('', root);
const spec = all.filter(({ path }) => path.startsWith('spec'));
const rules = all.flatMap(({ path, schema }) =>
  (schema['x-kubernetes-validations'] ?? []).map((rule) => ({ path, ...rule })),
);

interface Case {
  readonly name: string;
  readonly wantMessage?: string;
}

const fixture = (name: string): Case[] =>
  load(readFileSync(new URL(`test/fixtures/${name}.yaml`, ROOT), 'utf8')) as Case[];

/** The field names of a path, from the outermost: what a user finds in the message. */
function messageNamesField(message: string, path: string, fieldPath: string | undefined): boolean {
  const full = `${path}${fieldPath ?? ''}`
    .replace(/^\./, '')
    .replace(/\.\*$/, '')
    .replace(/policyARNs\[\]$/, 'policyARNs');
  return path === '' ? /^(metadata|spec)\.\w+/.test(message) : message.startsWith(full);
}

describe('the CRD', () => {
  test('is of the group, version, kind and plural that the code names', () => {
    assert.deepEqual(
      [crd.spec.group, version.name, crd.spec.names.kind, crd.spec.names.plural, crd.metadata.name],
      [GROUP, VERSION, KIND, PLURAL, `${PLURAL}.${GROUP}`],
    );
  });

  test('describes every field but metadata, where the API server forbids it', () => {
    const silent = all.filter(({ schema }) => schema.description === undefined).map(({ path }) => path);
    assert.deepEqual(silent, ['metadata']);
  });

  test('names every object, so that the generated types have names', () => {
    const unnamed = all.filter(({ schema }) => schema.properties !== undefined && schema.title === undefined);
    assert.deepEqual(unnamed, []);
  });

  test('uses only keywords that a structural schema may have', () => {
    const allowed = new Set(
      [
        'type title description format enum default required properties items additionalProperties minimum maximum',
        'minLength maxLength maxItems maxProperties x-kubernetes-validations x-kubernetes-list-type',
        'x-kubernetes-list-map-keys',
      ].flatMap((words) => words.split(' ')),
    );
    const banned = all.flatMap(({ path, schema }) =>
      Object.keys(schema)
        .filter((key) => !allowed.has(key))
        .map((key) => `${path}: ${key}`),
    );
    assert.deepEqual(banned, []);
    assert.deepEqual(
      all.filter(({ schema }) => schema.type === undefined),
      [],
    );
  });

  test('bounds every string, list and map of spec, so that the rules fit the cost budget', () => {
    const unbounded = spec.filter(
      ({ schema }) =>
        (schema.type === 'string' && schema.enum === undefined && schema.maxLength === undefined) ||
        (schema.type === 'array' && schema.maxItems === undefined) ||
        (schema.additionalProperties !== undefined && schema.maxProperties === undefined),
    );
    assert.deepEqual(
      unbounded.map(({ path }) => path),
      [],
    );
  });

  test('says how lists merge', () => {
    const silent = all.filter(
      ({ schema }) => schema.type === 'array' && schema['x-kubernetes-list-type'] === undefined,
    );
    assert.deepEqual(
      silent.map(({ path }) => path),
      [],
    );
  });

  test('sets defaults only for durationSeconds and the observed generation', () => {
    const defaults = all
      .filter(({ schema }) => schema.default !== undefined)
      .map(({ path, schema }) => [path, schema.default]);
    assert.deepEqual(defaults, [
      ['spec.durationSeconds', 3600],
      ['status', { observedGeneration: -1 }],
      ['status.observedGeneration', -1],
    ]);
  });

  test('shows times that may lie in the future as strings', () => {
    const dates = version.additionalPrinterColumns.filter(({ type }) => type === 'date').map(({ name }) => name);
    assert.deepEqual(dates, ['Age']);
    assert.deepEqual(
      version.additionalPrinterColumns.filter(({ priority }) => priority === undefined).map(({ name }) => name),
      ['Ready', 'Cloud', 'Role', 'Expires', 'Refresh', 'Age'],
    );
  });

  test('describes each condition type', () => {
    const description = all.find(({ path }) => path === 'status.conditions')?.schema.description ?? '';
    for (const type of Object.keys(CONDITION_TYPES)) assert.match(description, new RegExp(`\\b${type}:`));
  });

  test('takes no more than the hundred rules that people can keep in step with the code', () => {
    assert.ok(rules.length > 30 && rules.length < 100, `${rules.length} rules`);
  });
});

describe('each CEL rule', () => {
  for (const { path, rule, message, fieldPath } of rules) {
    test(`names its field first, in one line: ${message.slice(0, 60)}`, () => {
      assert.ok(messageNamesField(message, path, fieldPath), `${path}${fieldPath ?? ''}: ${message}`);
      assert.doesNotMatch(message, /[\n\r]|\.$/);
      assert.ok(message.length <= 400);
    });

    test(`has a pattern that RE2 can run: ${path} ${rule.slice(0, 40)}`, () => {
      assert.doesNotMatch(rule, /\(\?|\\\\[1-9]/);
    });
  }

  const wanted = [...fixture('bad-specs'), ...fixture('updates')].flatMap(({ wantMessage }) => wantMessage ?? []);
  const tried = ({ message }: { readonly message: string }): boolean => wanted.some((part) => message.startsWith(part));

  test('of AWS and of the parts that all clouds share is tried by a case of the tables', () => {
    const untried = rules.filter((rule) => !tried(rule)).map(({ message }) => message);
    const shared = untried.filter((message) => !/^spec\.(alibabaCloud|volcengine)\./.test(message));
    assert.deepEqual(shared, []);
  });

  test('of another cloud is tried itself, or is the same rule as one of AWS that is tried', () => {
    const aws = new Set(
      rules.filter((rule) => rule.path.startsWith('spec.aws') && tried(rule)).map(({ rule }) => rule),
    );
    const untried = rules.filter((rule) => !tried(rule) && !aws.has(rule.rule) && /volcengine|alibaba/.test(rule.path));
    assert.deepEqual(
      untried.map(({ message }) => message),
      [],
    );
  });
});

describe('the tables of specs', () => {
  for (const name of ['bad-specs', 'good-specs', 'updates']) {
    test(`${name} has a name of its own for each case`, () => {
      const names = fixture(name).map((row) => row.name);
      assert.ok(names.length > 5);
      assert.equal(new Set(names).size, names.length);
    });
  }
});

test('the generated files are what the generators make of their sources', async () => {
  assert.deepEqual(await staleFiles(), [], 'run: npm run generate');
});
