// The chart's rules, evaluated by promtool over made-up histories: each alert fires when it should and at no other time, with
// one replica and with two, through a hand-over, with the operator down, and without the series of single credentials; and
// each leads to a section of the runbook.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { load } from 'js-yaml';
import { METRICS, type MetricEntry } from '../../src/telemetry/metric-register.ts';
import { anchorOf, headings, textOf } from '../unit/docs/markdown.ts';
import { DOUBLED, HEALTHY, STORIES } from './histories.ts';
import { firing, type Labels, playRules, promtoolSays, RULES_PATH, rulesText } from './promtool.ts';
import { prometheusOrSkip } from './tools.ts';

interface Rule {
  readonly alert?: string;
  readonly record?: string;
  readonly expr: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

const { groups } = load(rulesText()) as { readonly groups: readonly { readonly rules: readonly Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);
const alerts = rules.filter(({ alert }) => alert !== undefined);
/** An alert may be two rules that differ in a label. */
const names = [...new Set(alerts.map(({ alert = '' }) => alert))];
const severityOf = (name: string): string => alerts.find(({ alert }) => alert === name)?.labels?.['severity'] ?? '';

const { skip, tools } = await prometheusOrSkip();

describe('promtool', { skip, concurrency: 2 }, () => {
  test('takes the rule file', async () => {
    const { code, stdout, stderr } = await promtoolSays(tools().promtool, ['check', 'rules', RULES_PATH]);
    assert.equal(code, 0, stdout + stderr);
    assert.equal(stderr, '');
  });

  for (const [name, stories] of Object.entries(STORIES)) {
    for (const { tells, history, moments } of stories) {
      test(`${name} ${tells}`, async () => {
        const expected = moments.map(({ at, fires }) => firing(name, severityOf(name), { at, alerts: fires }));
        const { code, stdout, stderr } = await playRules(tools().promtool, history, expected);
        assert.equal(code, 0, stdout + stderr);
      });
    }
  }

  test('finds nothing to tell, not even pending, of an hour in which nothing is wrong', async () => {
    const moments = Array.from({ length: 60 }, (_, minute) => ({
      expression: 'ALERTS',
      at: `${minute}m`,
      samples: [],
    }));
    const { code, stdout, stderr } = await playRules(tools().promtool, HEALTHY, moments);
    assert.equal(code, 0, stdout + stderr);
  });

  test('counts a credential once when two replicas tell of it', async () => {
    const record = 'workloadcredential:credentials:max';
    const labels = `${record}{namespace="wc-system", job="wc", cloud="AWS", state="RefreshFailing"}`;
    const expected = [{ expression: record, at: '10m', samples: [{ labels, value: 3 }] }];
    const { code, stdout, stderr } = await playRules(tools().promtool, DOUBLED, expected);
    assert.equal(code, 0, stdout + stderr);
  });

  test('says so when an alert is expected that does not fire', async () => {
    const [name = ''] = names;
    const wrong = firing(name, severityOf(name), { at: '10m', alerts: [{ cloud: 'AWS' }] });
    assert.equal((await playRules(tools().promtool, HEALTHY, [wrong])).code, 1);
  });
});

describe('every alert', () => {
  test('has stories, of which one lets it fire and one does not', () => {
    assert.deepEqual(Object.keys(STORIES), names);
    for (const [name, stories] of Object.entries(STORIES)) {
      const moments = stories.flatMap((story) => story.moments);
      assert.ok(
        moments.some(({ fires }) => fires.length > 0),
        name,
      );
      assert.ok(
        stories.some((story) => story.moments.every(({ fires }) => fires.length === 0)),
        name,
      );
    }
  });

  test('has the same severity in each of its rules, and a story that lets each of them fire', () => {
    for (const { alert = '', labels: { severity, ...own } = {} } of alerts) {
      assert.equal(severity, severityOf(alert), alert);
      const fired = (STORIES[alert] ?? []).flatMap(({ moments }) => moments.flatMap(({ fires }) => fires));
      const isOfRule = (labels: Labels): boolean =>
        Object.entries(own).every(([name, value]) => labels[name] === value);
      assert.ok(fired.some(isOfRule), `${alert} ${JSON.stringify(own)}`);
    }
  });

  test('has a severity, a summary, a description and a section of the runbook', () => {
    const anchors = headings({ path: 'docs/runbook.md', text: textOf('docs/runbook.md') }).map(({ title }) =>
      anchorOf(title),
    );
    for (const { alert = '', labels = {}, annotations = {} } of alerts) {
      assert.ok(['critical', 'warning'].includes(labels['severity'] ?? ''), alert);
      assert.deepEqual(Object.keys(annotations).sort(), ['description', 'runbook_url', 'summary'], alert);
      const [page, anchor = ''] = (annotations['runbook_url'] ?? '').split('#');
      assert.equal(page, 'docs/runbook.md', alert);
      assert.ok(anchors.includes(anchor), `${alert}: docs/runbook.md has no heading for #${anchor}`);
    }
  });

  test('names in its texts only labels that it has when it fires', () => {
    for (const { alert = '', annotations = {} } of alerts) {
      const fired = (STORIES[alert] ?? []).flatMap(({ moments }) => moments.flatMap(({ fires }) => fires));
      const texts = Object.values(annotations).join(' ');
      // What stands in a `with` may be missing.
      const named = [...texts.matchAll(/(?<!with )\$labels\.(\w+)/g)].map(([, label = '']) => label);
      for (const label of named)
        assert.ok(
          fired.every((labels) => label in labels),
          `${alert}: ${label}`,
        );
    }
  });

  test('can do without the series of single credentials', () => {
    const single = Object.entries<MetricEntry>(METRICS).filter(
      ([, { labels }]) => labels.includes('name') && labels.includes('namespace'),
    );
    assert.ok(single.length > 0);
    for (const { alert, record, expr } of rules) {
      for (const [name] of single) assert.ok(!expr.includes(name), `${alert ?? record}: ${name}`);
    }
  });

  test('is made of metrics of the register, and of recording rules of the file', () => {
    const known = new Set([...Object.keys(METRICS), ...rules.map(({ record }) => record)]);
    for (const { alert, record, expr } of rules) {
      const used = [...expr.matchAll(/\b(?:workloadcredential[_:]|leader_election_)[a-z0-9_:]+/g)].map(([name]) =>
        name.replace(/_(bucket|sum|count)$/, ''),
      );
      assert.ok(used.length > 0, alert ?? record);
      assert.deepEqual(
        used.filter((name) => !known.has(name)),
        [],
        alert ?? record,
      );
    }
  });
});
