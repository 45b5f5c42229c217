// A real Prometheus scrapes two replicas of the built operator on the sandbox with the chart's own rule file, each target with
// the labels that a ServiceMonitor gives it. A hand-over of the Lease alarms nobody. STS is killed (its port refuses):
// RefreshFailing fires, then RefreshLate, although the leader tells no series of single credentials. STS is back: both end by
// the operator's own back-off, and nothing has expired. When all replicas are gone, OperatorDown fires. What the dashboard's
// variables offer is there, and every query of it has data, for all and for what is chosen. Needs dist/.
//
// The time scale is one: what clouds, chart and Prometheus decide runs FASTER (20) times as fast as in an installation, and the
// credentials are those that spec.durationSeconds asks to live for half an hour.
//
//                                                    there               here
//   a life                                           30 minutes          90 seconds
//   the outage budget: half of it, as for all lives
//   under 45 minutes, and the spread                 15 to 18 minutes    45 to 54 seconds
//   a scrape, and an evaluation                      30 seconds          1.5 seconds
//   RefreshFailing, after the first failure: `for`   2 minutes           6 seconds
//   RefreshLate: a quarter of the budget, and `for`  4:15 to 5 minutes   13 to 15 seconds
//   and then until the end                           11 to 13 minutes    32 to 39 seconds
//
// Of the rule file every duration is divided, each `for` and each range in brackets, and not a letter beside them is touched.
// Thresholds that are ratios mean the same on every scale. Those in seconds (NeverIssued, SuspendedNearExpiry, ClockSkew) would
// not: these alerts are left to rules.test.ts, where time is made up. The operator's own times stay as they are: its back-off
// (5 seconds doubling to 60, and to 20 with under ten minutes left, as all here have), a call to an STS that is out every 5
// seconds, the Lease. So recovery has less room here than there: a wait of up to 20 seconds in the 32 that are left, there one
// of up to 60 in 11 minutes.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { load } from 'js-yaml';
import { type Sandbox, startSandbox } from '../../sandbox/sandbox.ts';
import type { WorkloadCredential } from '../../src/api/types.gen.ts';
import { METRICS, type MetricName } from '../../src/telemetry/metric-register.ts';
import { dashboardPicture, type PicturePanel } from '../../tools/dashboard-picture.ts';
import { type OperatorProcess, startOperator } from '../beds/operator.ts';
import { freePorts } from '../beds/processes.ts';
import { type ActiveAlert, type RunningPrometheus, type Series, startPrometheus } from '../beds/prometheus.ts';
import { waitFor } from '../beds/wait.ts';
import { filledIn, type Panel, readDashboard, variableQueries } from './dashboard.ts';
import { type Gate, openGate } from './gate.ts';
import { promtoolSays, rulesText } from './promtool.ts';
import { faster } from './time-scale.ts';
import { prometheusOrSkip } from './tools.ts';

/** What every duration is divided by: of lives, of the rule file and of Prometheus. */
const FASTER = 20;
/** spec.durationSeconds: a life that is replaced at half, as are all under 45 minutes, and so also those of this test. */
const ASKED_SECONDS = 1_800;
const LIFE_SECONDS = ASKED_SECONDS / FASTER;
const INTERVAL_MS = 30_000 / FASTER;
/** Grafana's $__rate_interval: four scrapes. */
const RATE_INTERVAL = `${(4 * INTERVAL_MS) / 1_000}s`;
const CRD = new URL('../../crds/workloadcredentials.io_workloadcredentials.yaml', import.meta.url);
const AUDIENCE = 'sts.sandbox.example';
const ROLE = 'arn:aws:iam::123456789012:role/orders';
const NAMES = ['orders-0', 'orders-1', 'orders-2'];
/** What the Prometheus operator makes of the chart's ServiceMonitor, for each replica. */
const NAMESPACE = 'wc-system';
const JOB = 'wc';
const PODS = ['wc-6d5f7c9b8-8kq2x', 'wc-6d5f7c9b8-vz7mp'];
const PREFIX = 'WorkloadCredential';
const WORKS = 'this replica works';

const { skip, tools } = await prometheusOrSkip();

let sandbox: Sandbox;
let gate: Gate;
let directory: string;
let prometheus: RunningPrometheus;
let startSeconds: number;
let killedSeconds: number;
let backSeconds: number;
/** When the credentials of the outage end, in the order of NAMES. */
const ends: number[] = [];
const replicas: OperatorProcess[] = [];
const addresses: string[] = [];

const nowSeconds = (): number => Date.now() / 1_000;

async function startReplica(index: number): Promise<OperatorProcess> {
  const replica = await startOperator({
    kubeconfig: join(directory, 'kubeconfig'),
    args: [
      `--listen-address=${addresses[index]}`,
      `--lease-namespace=${NAMESPACE}`,
      `--sts-endpoint=AWS=${gate.origin}=${AUDIENCE}`,
      '--min-refresh-interval-seconds=1',
      `--per-credential-metrics=${index === 0}`,
    ],
  });
  replicas[index] = replica;
  await replica.waitUntilReady();
  return replica;
}

async function applyCredential(name: string): Promise<void> {
  await sandbox.apply({
    apiVersion: 'workloadcredentials.io/v1alpha1',
    kind: 'WorkloadCredential',
    metadata: { name, namespace: 'shop' },
    spec: {
      durationSeconds: ASKED_SECONDS,
      serviceAccountName: 'orders',
      aws: { roleARN: ROLE, region: 'eu-west-1', endpoint: gate.origin, audience: AUDIENCE },
    },
  });
}

function credential(name: string): WorkloadCredential | undefined {
  const { store } = sandbox.apiServer.registry;
  return store.get('workloadcredentials.io/workloadcredentials', 'shop', name) as WorkloadCredential | undefined;
}

/** When the present credential of a name was issued and when it ends, in seconds since the epoch. */
function timesOf(name: string): { readonly issued: number; readonly ends: number } {
  const { issueTime = '', expirationTime = '' } = credential(name)?.status ?? {};
  return { issued: Date.parse(issueTime) / 1_000, ends: Date.parse(expirationTime) / 1_000 };
}

function targetLabels(index: number): Record<string, string> {
  return { namespace: NAMESPACE, pod: PODS[index] ?? '', service: JOB, container: 'operator', endpoint: 'http' };
}

async function alert(name: string): Promise<ActiveAlert | undefined> {
  return (await prometheus.alerts()).find(
    ({ labels, state }) => labels['alertname'] === PREFIX + name && state === 'firing',
  );
}

async function untilFiring(name: string, timeoutMs: number): Promise<ActiveAlert> {
  return await waitFor(`${name} to fire`, () => alert(name), { timeoutMs, everyMs: 200 });
}

/** The first and last second at which each alert fired so far, by name. */
async function fired(): Promise<Map<string, readonly [first: number, last: number]>> {
  const range = { startSeconds, endSeconds: nowSeconds(), stepSeconds: 1 };
  const series = await prometheus.queryRange('ALERTS{alertstate="firing"}', range);
  return new Map(
    series.map(({ metric, values }) => [
      (metric['alertname'] ?? '').slice(PREFIX.length),
      [values[0]?.[0] ?? 0, values.at(-1)?.[0] ?? 0] as const,
    ]),
  );
}

/** What Grafana puts in for All of each variable. */
const EVERYTHING = { namespace: '.*', job: '.*', rateInterval: RATE_INTERVAL };

function legendOf(format: string, { metric }: Series): string {
  return format.replaceAll(/\{\{(\w+)\}\}/g, (_, label: string) => metric[label] ?? '');
}

async function pictured({ title, type, gridPos, fieldConfig, targets = [] }: Panel): Promise<PicturePanel> {
  const range = { startSeconds, endSeconds: nowSeconds(), stepSeconds: 1 };
  const series: PicturePanel['series'][number][] = [];
  for (const { expr, legendFormat } of targets) {
    for (const each of await prometheus.queryRange(filledIn(expr, EVERYTHING), range)) {
      const points = each.values.map(([seconds, value]) => [seconds, Number(value)] as const);
      series.push({ name: legendOf(legendFormat, each), points });
    }
  }
  return { title, type: type === 'stat' ? 'stat' : 'timeseries', unit: fieldConfig?.defaults.unit, gridPos, series };
}

/** Draws the first screen of the dashboard, for the docs. */
async function drawPicture(file: string): Promise<void> {
  const panels = readDashboard().panels.filter(
    ({ type, gridPos }) => (type === 'stat' || type === 'timeseries') && gridPos.y < 38,
  );
  const drawn: PicturePanel[] = [];
  for (const panel of panels) {
    const { gridPos } = panel;
    // Without Grafana's rows of titles.
    const y = gridPos.y - (gridPos.y > 21 ? 2 : 1);
    drawn.push({ ...(await pictured(panel)), gridPos: { ...gridPos, y } });
  }
  const picture = dashboardPicture({
    title: readDashboard().title,
    captions: [
      'Drawn by tools/dashboard-picture.ts from what the queries of helm/files/dashboard.json gave in a run of npm run test:alerts. This is no screenshot of Grafana.',
      `Three credentials that live for ${LIFE_SECONDS} seconds, on the sandbox. STS was down while the ground is red.`,
    ],
    startSeconds,
    endSeconds: nowSeconds(),
    panels: drawn,
    marks: [{ title: 'STS is down', fromSeconds: killedSeconds, toSeconds: backSeconds }],
  });
  await writeFile(file, picture);
}

describe('alerts in a real Prometheus', { skip, timeout: 240_000 }, () => {
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'wc-alerts-'));
    sandbox = await startSandbox({ clientIDs: [AUDIENCE], bookmarkIntervalMs: 1_000, maxSessionSeconds: LIFE_SECONDS });
    gate = await openGate(sandbox.aws.url);
    await sandbox.apply(load(await readFile(CRD, 'utf8')) as object);
    for (const name of [NAMESPACE, 'shop']) {
      await sandbox.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    }
    const annotations = { 'workloadcredentials.io/allow': '*' };
    const metadata = { name: 'orders', namespace: 'shop', annotations };
    await sandbox.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata });
    sandbox.aws.addRole({ arn: ROLE });
    await sandbox.writeKubeconfig(join(directory, 'kubeconfig'));
    addresses.push(...(await freePorts(2)).map((port) => `127.0.0.1:${port}`));
    await (await startReplica(0)).waitForLog(WORKS);
    await startReplica(1);
    // As late as can be: the hand-over is to be over before they are due, however slow this machine is.
    for (const name of NAMES) await applyCredential(name);
    prometheus = await startPrometheus({
      tools: tools(),
      targets: addresses.map((address, index) => ({ address, labels: targetLabels(index) })),
      job: JOB,
      rules: faster(rulesText(), FASTER),
      intervalMs: INTERVAL_MS,
    });
    startSeconds = nowSeconds();
  });

  after(async () => {
    await prometheus?.stop();
    await Promise.all(replicas.map(async (replica) => await replica.kill()));
    await gate?.close();
    await sandbox?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  test('are silent while all is well', async () => {
    await waitFor('all to be issued', () => NAMES.every((name) => timesOf(name).ends > 0), { timeoutMs: 20_000 });
    await waitFor(
      'Prometheus to know both replicas and the credentials',
      async () => {
        const [replicasNow] = await prometheus.query('workloadcredential:replicas:count');
        const [ready] = await prometheus.query('workloadcredential:credentials:max{state="Ready"}');
        return replicasNow?.values[0]?.[1] === '2' && ready?.values[0]?.[1] === String(NAMES.length);
      },
      { timeoutMs: 20_000 },
    );
    assert.deepEqual(await prometheus.alerts(), []);
  });

  test('tell of the namespace of the operator, and the series of a single credential of its own', async () => {
    const own = await prometheus.query('workloadcredential_expiration_timestamp_seconds');
    const leader = { ...targetLabels(0), instance: addresses[0], job: JOB };
    assert.deepEqual(
      own.map(({ metric }) => metric).toSorted((a, b) => (a['name'] ?? '').localeCompare(b['name'] ?? '')),
      NAMES.map((name) => ({
        ...leader,
        __name__: 'workloadcredential_expiration_timestamp_seconds',
        cloud: 'AWS',
        name,
        namespace: 'shop',
      })),
    );
    const [ready] = await prometheus.query('workloadcredential_credentials{state="Ready"}');
    assert.deepEqual(ready?.metric, {
      ...leader,
      __name__: 'workloadcredential_credentials',
      cloud: 'AWS',
      state: 'Ready',
    });
    const recorded = await prometheus.query('{__name__=~"workloadcredential:.+"}');
    assert.ok(recorded.length > 10);
    for (const { metric } of recorded) assert.deepEqual([metric['namespace'], metric['job']], [NAMESPACE, JOB]);
  });

  test('alarm nobody when the leader is told to stop and the other replica takes over', async () => {
    const [leader, standby] = replicas;
    assert.ok(leader !== undefined && standby !== undefined);
    leader.signal('SIGTERM');
    await standby.waitForLog(WORKS);
    await leader.exited;
    await startReplica(0);
    const other = `leader_election_master_status{instance="${addresses[1]}"} == 1`;
    const both = 'on (job) workloadcredential:leaders:sum == 1 and on (job) workloadcredential:replicas:count == 2';
    const handedOver = `${other} and ${both}`;
    await waitFor('the other to lead', async () => (await prometheus.query(handedOver)).length === 1, {
      timeoutMs: 20_000,
    });
    assert.deepEqual([...(await fired()).keys()], []);
  });

  test('know the cloud that is failing two minutes after it began, and that it is late after a quarter of the budget', async () => {
    await gate.close();
    killedSeconds = nowSeconds();
    const failing = await untilFiring('RefreshFailing', 75_000);
    const late = await untilFiring('RefreshLate', 40_000);
    // STS is back as soon as somebody was woken, and nobody touches anything.
    backSeconds = nowSeconds();
    ends.push(...NAMES.map((name) => timesOf(name).ends));
    await gate.open();
    const installation = { cloud: 'AWS', job: JOB, namespace: NAMESPACE };
    assert.deepEqual(failing.labels, {
      ...installation,
      alertname: `${PREFIX}RefreshFailing`,
      severity: 'warning',
      state: 'RefreshFailing',
    });
    assert.deepEqual(late.labels, { ...installation, alertname: `${PREFIX}RefreshLate`, severity: 'critical' });
    for (const { annotations } of [failing, late]) {
      assert.match(annotations['summary'] ?? '', /AWS/);
      assert.match(annotations['runbook_url'] ?? '', /runbook\.md#refresh/);
      assert.doesNotMatch(Object.values(annotations).join(), /no value|error|%!/);
    }
    assert.deepEqual(await prometheus.query('workloadcredential_expiration_timestamp_seconds'), []);
  });

  test('end when STS is back, by the back-off of the operator alone, before anything has expired', async () => {
    await waitFor('all to be silent', async () => (await prometheus.alerts()).length === 0, {
      timeoutMs: 45_000,
      everyMs: 200,
    });
    for (const [index, name] of NAMES.entries()) {
      const { issued } = timesOf(name);
      const end = ends[index] ?? 0;
      // Times in status are whole seconds.
      assert.ok(
        issued >= Math.floor(backSeconds) && issued < end,
        `${name}: ${issued}, back ${backSeconds}, end ${end}`,
      );
      assert.equal(credential(name)?.metadata.annotations, undefined, 'nobody has asked for a refresh');
    }
    const whole = `${Math.ceil(nowSeconds() - startSeconds)}s`;
    const [nearest] = await prometheus.query(`min_over_time(workloadcredential_nearest_expiration_seconds[${whole}])`);
    assert.ok(Number(nearest?.values[0]?.[1]) > 0, 'a credential has expired');
    const when = await fired();
    assert.deepEqual([...when.keys()].toSorted(), ['RefreshFailing', 'RefreshLate']);
    const [failingAt = 0] = when.get('RefreshFailing') ?? [];
    const [lateAt = 0] = when.get('RefreshLate') ?? [];
    assert.ok(failingAt < lateAt, `RefreshFailing at ${failingAt}, RefreshLate at ${lateAt}`);
  });

  test('are told of credentials by the leader alone', async () => {
    const told = async (index: number): Promise<string[]> => {
      const text = (await replicas[index]?.metrics()) ?? '';
      const names = [...text.matchAll(/^(workloadcredential_\w+)\{[^}]*cloud="/gm)].map(([, name = '']) => name);
      return [...new Set(names)].filter((name) => METRICS[name as MetricName]?.help.includes('From the leader only'));
    };
    assert.deepEqual(await told(0), []);
    assert.ok((await told(1)).length >= 7);
  });

  test('are made of metrics that promtool finds nothing wrong with', async () => {
    for (const replica of replicas) {
      const { code, stdout, stderr } = await promtoolSays(
        tools().promtool,
        ['check', 'metrics'],
        await replica.metrics(),
      );
      assert.equal(`${stdout}${stderr}`, '');
      assert.equal(code, 0);
    }
  });

  const CHOSEN = { namespace: NAMESPACE, job: JOB, rateInterval: RATE_INTERVAL };

  for (const { name, selector, label } of variableQueries(readDashboard())) {
    test(`the dashboard offers for ${name} what there is`, async () => {
      for (const values of [EVERYTHING, CHOSEN]) {
        const query = filledIn(selector, values);
        assert.deepEqual(await prometheus.labelValues(query, label), [CHOSEN[name]]);
      }
      const none = { namespace: 'another', job: 'another', rateInterval: RATE_INTERVAL };
      const isNarrowed = selector.includes('$');
      assert.equal((await prometheus.labelValues(filledIn(selector, none), label)).length, isNarrowed ? 0 : 1);
    });
  }

  const { panels } = readDashboard();
  for (const { title, targets = [] } of panels) {
    for (const { refId, expr } of targets) {
      test(`the dashboard has data: ${title}, query ${refId}`, async () => {
        const range = { startSeconds, endSeconds: nowSeconds(), stepSeconds: 1 };
        for (const values of [EVERYTHING, CHOSEN]) {
          const query = filledIn(expr, values);
          const series = await prometheus.queryRange(query, range);
          const numbers = series.flatMap((each) => each.values.map(([, value]) => Number(value)));
          assert.ok(numbers.some(Number.isFinite), `${query}: ${series.length} series, no finite value`);
        }
      });
    }
  }

  test('are drawn for the docs where DASHBOARD_PICTURE names a file', async () => {
    const file = process.env['DASHBOARD_PICTURE'];
    await drawPicture(file ?? join(directory, 'dashboard.svg'));
    const text = await readFile(file ?? join(directory, 'dashboard.svg'), 'utf8');
    assert.match(text, /no screenshot of Grafana/);
    assert.doesNotMatch(text, /NaN|undefined|no data/);
  });

  test('tell that no replica is left, and nothing else, as nothing else is known', async () => {
    await Promise.all(replicas.map(async (replica) => await replica.kill()));
    const { labels: told, annotations } = await untilFiring('OperatorDown', 40_000);
    const alertname = `${PREFIX}OperatorDown`;
    assert.deepEqual(told, { alertname, job: JOB, namespace: NAMESPACE, severity: 'critical' });
    assert.match(annotations['summary'] ?? '', /^No replica of the operator answers/);
    const now = (await prometheus.alerts())
      .filter(({ state }) => state === 'firing')
      .map(({ labels }) => labels['alertname']);
    assert.deepEqual(now, [alertname]);
  });
});
