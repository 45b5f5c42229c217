// A real Prometheus scrapes two replicas of the built operator on the sandbox with the chart's own rule file. STS is killed
// (its port refuses): RefreshFailing fires, then RefreshLate, although the leader tells no series of single credentials. STS is
// back and a refresh requested, as the runbook says: both end, and nothing has expired. A hand-over of the Lease alarms nobody;
// when all replicas are gone, OperatorDown fires. Every query of the dashboard has data. Needs dist/.
//
// The time scale: lives are 90 seconds in place of an hour, and every duration of the rule file (each `for` and each range in
// brackets) is divided by FASTER, and nothing else of it is touched: thresholds stay. Scrapes come every second in place of 30.
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
import { filledIn, type Panel, readDashboard } from './dashboard.ts';
import { type Gate, openGate } from './gate.ts';
import { promtoolSays, rulesText } from './promtool.ts';
import { faster } from './time-scale.ts';
import { prometheusOrSkip } from './tools.ts';

const LIFE_SECONDS = 90;
const CRD = new URL('../../crds/workloadcredentials.io_workloadcredentials.yaml', import.meta.url);
const AUDIENCE = 'sts.sandbox.example';
const ROLE = 'arn:aws:iam::123456789012:role/orders';
const NAMES = ['orders-0', 'orders-1', 'orders-2'];
/** A rate over fewer scrapes than four is often empty. */
const RATE_INTERVAL = '6s';
/** What every duration of the rule file is divided by. */
const FASTER = 20;
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
const replicas: OperatorProcess[] = [];
const addresses: string[] = [];

const nowSeconds = (): number => Date.now() / 1_000;

async function startReplica(index: number): Promise<OperatorProcess> {
  const replica = await startOperator({
    kubeconfig: join(directory, 'kubeconfig'),
    args: [
      `--listen-address=${addresses[index]}`,
      '--lease-namespace=wc-system',
      `--sts-endpoint=AWS=${gate.origin}=${AUDIENCE}`,
      '--min-refresh-interval-seconds=1',
      `--per-credential-metrics=${index === 1}`,
    ],
  });
  replicas[index] = replica;
  await replica.waitUntilReady();
  return replica;
}

async function applyCredential(name: string, more: object = {}): Promise<void> {
  await sandbox.apply({
    apiVersion: 'workloadcredentials.io/v1alpha1',
    kind: 'WorkloadCredential',
    metadata: { name, namespace: 'shop', ...more },
    spec: {
      serviceAccountName: 'orders',
      aws: { roleARN: ROLE, region: 'eu-west-1', endpoint: gate.origin, audience: AUDIENCE },
    },
  });
}

function statusOf(name: string): WorkloadCredential['status'] {
  const { store } = sandbox.apiServer.registry;
  const found = store.get('workloadcredentials.io/workloadcredentials', 'shop', name) as WorkloadCredential | undefined;
  return found?.status;
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

function legendOf(format: string, { metric }: Series): string {
  return format.replaceAll(/\{\{(\w+)\}\}/g, (_, label: string) => metric[label] ?? '');
}

async function pictured({ title, type, gridPos, fieldConfig, targets = [] }: Panel): Promise<PicturePanel> {
  const range = { startSeconds, endSeconds: nowSeconds(), stepSeconds: 1 };
  const series: PicturePanel['series'][number][] = [];
  for (const { expr, legendFormat } of targets) {
    for (const each of await prometheus.queryRange(filledIn(expr, RATE_INTERVAL), range)) {
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
    for (const name of ['wc-system', 'shop']) {
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
    const rules = faster(rulesText(), FASTER);
    prometheus = await startPrometheus({ tools: tools(), targets: addresses, job: 'wc', rules, intervalSeconds: 1 });
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
    for (const name of NAMES) await applyCredential(name);
    await waitFor('all to be issued', () => NAMES.every((name) => statusOf(name)?.expirationTime !== undefined), {
      timeoutMs: 20_000,
    });
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

  test('know the cloud that is failing two minutes after it began, and that it is late after a quarter of the budget', async () => {
    await gate.close();
    killedSeconds = nowSeconds();
    const failing = await untilFiring('RefreshFailing', 75_000);
    const late = await untilFiring('RefreshLate', 40_000);
    for (const { labels, annotations } of [failing, late]) {
      assert.equal(labels['cloud'], 'AWS');
      assert.match(annotations['summary'] ?? '', /AWS/);
      assert.match(annotations['runbook_url'] ?? '', /runbook\.md#refresh/);
      assert.doesNotMatch(Object.values(annotations).join(), /no value|error|%!/);
    }
    // The moments are read at whole steps, of which the last may be a second away.
    const when = await waitFor(
      'both in the history',
      async () => {
        const seen = await fired();
        return seen.size > 1 && seen;
      },
      { timeoutMs: 5_000 },
    );
    const [failingAt = 0] = when.get('RefreshFailing') ?? [];
    const [lateAt = 0] = when.get('RefreshLate') ?? [];
    assert.ok(failingAt > 0 && failingAt < lateAt, `RefreshFailing at ${failingAt}, RefreshLate at ${lateAt}`);
    assert.deepEqual([...when.keys()].sort(), ['RefreshFailing', 'RefreshLate']);
    assert.deepEqual(await prometheus.query('workloadcredential_expiration_timestamp_seconds'), []);
  });

  test('end when STS is back, before anything has expired', async () => {
    await gate.open();
    backSeconds = nowSeconds();
    for (const name of NAMES) {
      await applyCredential(name, { annotations: { 'workloadcredentials.io/refresh-requested': 'now' } });
    }
    await waitFor('all to be silent', async () => (await prometheus.alerts()).length === 0, {
      timeoutMs: 30_000,
      everyMs: 200,
    });
    const whole = `${Math.ceil(nowSeconds() - startSeconds)}s`;
    const [nearest] = await prometheus.query(`min_over_time(workloadcredential_nearest_expiration_seconds[${whole}])`);
    assert.ok(Number(nearest?.values[0]?.[1]) > 0, 'a credential has expired');
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
    assert.deepEqual([...(await fired()).keys()].sort(), ['RefreshFailing', 'RefreshLate']);
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

  const { panels } = readDashboard();
  for (const { title, targets = [] } of panels) {
    for (const { refId, expr } of targets) {
      test(`the dashboard has data: ${title}, query ${refId}`, async () => {
        const range = { startSeconds, endSeconds: nowSeconds(), stepSeconds: 1 };
        const series = await prometheus.queryRange(filledIn(expr, RATE_INTERVAL), range);
        const values = series.flatMap((each) => each.values.map(([, value]) => Number(value)));
        assert.ok(values.some(Number.isFinite), `${expr}: ${series.length} series, no finite value`);
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
    const { annotations } = await untilFiring('OperatorDown', 40_000);
    assert.match(annotations['summary'] ?? '', /^No replica of the operator answers/);
    const now = (await prometheus.alerts())
      .filter(({ state }) => state === 'firing')
      .map(({ labels }) => labels['alertname']);
    assert.deepEqual(now, [`${PREFIX}OperatorDown`]);
  });
});
