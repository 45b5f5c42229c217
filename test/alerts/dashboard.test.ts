// What can be told of the dashboard and of the faster rule file without a Prometheus.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { load } from 'js-yaml';
import { METRICS } from '../../src/telemetry/metric-register.ts';
import { readDashboard, variableQueries } from './dashboard.ts';
import { rulesText } from './promtool.ts';
import { faster } from './time-scale.ts';

describe('the dashboard', () => {
  const { panels, templating, uid, schemaVersion } = readDashboard();
  const targets = panels.flatMap(({ title, targets: own = [] }) => own.map((target) => ({ title, ...target })));

  test('has an identity that stays, so that it is replaced and not doubled', () => {
    assert.equal(uid, 'workload-credentials');
    assert.ok(schemaVersion >= 36);
  });

  test('asks only for metrics of the register, and for none that only the recording rules make', () => {
    for (const { title, expr } of targets) {
      const names = [
        ...expr.matchAll(/\b(?:workloadcredential|workqueue|rest_client|leader|controller|process|nodejs)_\w+/g),
      ].map(([name]) => name.replace(/_bucket$/, ''));
      assert.ok(names.length > 0, title);
      assert.deepEqual(
        names.filter((name) => !Object.hasOwn(METRICS, name)),
        [],
        title,
      );
      assert.ok(!expr.includes('workloadcredential:'), title);
    }
  });

  test('names only variables that it has', () => {
    const known = new Set([...templating.list.map(({ name }) => name), '__rate_interval']);
    const used = [...JSON.stringify(panels).matchAll(/\$\{?(\w+)/g)].map(([, name = '']) => name);
    assert.deepEqual(
      [...new Set(used)].filter((name) => !known.has(name)),
      [],
    );
    assert.deepEqual(
      templating.list.map(({ name }) => name).filter((name) => !used.includes(name)),
      [],
    );
  });

  test('asks in each query for the chosen installations', () => {
    for (const { title, refId, expr } of targets) {
      assert.ok(expr.includes('{namespace=~"$namespace", job=~"$job"'), `${title} ${refId}`);
    }
  });

  test('takes all for All, and tells Grafana of each variable twice the same', () => {
    const asking = templating.list.filter(({ type }) => type === 'query');
    assert.deepEqual(
      asking.map(({ name }) => name),
      variableQueries(readDashboard()).map(({ name }) => name),
    );
    for (const { name, allValue, definition, query } of asking) {
      assert.equal(allValue, '.*', name);
      assert.equal(typeof query === 'string' ? query : query.query, definition, name);
    }
  });

  test('has panels with a number, a place and an explanation of their own', () => {
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, index) => `${x + (index % w)},${y + Math.floor(index / w)}`),
    );
    assert.equal(new Set(cells).size, cells.length, 'two panels overlap');
    assert.ok(panels.every(({ gridPos: { x, w } }) => x + w <= 24));
    for (const { type, title, description } of panels) assert.ok(type === 'row' || (description ?? '') !== '', title);
  });
});

describe('a rule file in which time runs faster', () => {
  test('differs in durations only', () => {
    const rules = rulesText();
    const without = (text: string): string => text.replaceAll(/\b\d+(ms|[smh])(?=\]|$)/gm, '');
    assert.notEqual(faster(rules, 20), rules);
    assert.equal(without(faster(rules, 20)), without(rules));
    assert.match(faster(rules, 20), /unissued_seconds:max > 900$/m);
  });

  test('has every duration divided', () => {
    const text = '      - expr: max_over_time(a[15m]) > 900\n        for: 30s\n        # for: a while of 5m\n';
    assert.equal(
      faster(text, 20),
      '      - expr: max_over_time(a[45000ms]) > 900\n        for: 1500ms\n        # for: a while of 5m\n',
    );
    interface File {
      readonly groups: readonly { readonly rules: readonly { readonly for?: string; readonly expr: string }[] }[];
    }
    const rules = (load(faster(rulesText(), 20)) as File).groups.flatMap((group) => group.rules);
    const durations = rules.flatMap((rule) => [rule.for ?? [], ...(rule.expr.match(/\[\w+\]/g) ?? [])].flat());
    assert.ok(durations.length > 15);
    assert.deepEqual(
      durations.filter((duration) => !/^\[?\d+ms\]?$/.test(duration)),
      [],
    );
  });
});
