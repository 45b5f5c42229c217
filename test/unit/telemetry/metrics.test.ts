// Promises: every metric of the register is in the text with its type and labels, sources are read at scrape and leave
// nothing behind, and foreign values cannot multiply series.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ERRORS } from '../../../src/credential/errors.ts';
import type { ReconcilerMetrics } from '../../../src/controller/reconciler.ts';
import type { ApiServerMetrics } from '../../../src/kube/connection.ts';
import type { InformerMetrics } from '../../../src/kube/reflector.ts';
import type { STSCallOutcome } from '../../../src/providers/sts-call.ts';
import type { ControllerMetrics } from '../../../src/runtime/controller.ts';
import type { EndpointDemand } from '../../../src/runtime/limiter.ts';
import type { WorkQueueMetrics } from '../../../src/runtime/workqueue.ts';
import { METRICS, type MetricEntry } from '../../../src/telemetry/metric-register.ts';
import { CREDENTIAL_STATES, type CredentialSample } from '../../../src/telemetry/credential-gauges.ts';
import { type LimiterSample, Metrics, type ScrapeSources } from '../../../src/telemetry/metrics.ts';
import { FAKE_EPOCH_MS, FakeClock } from '../../support/fake-clock.ts';

const OPTIONS = {
  clock: new FakeClock(),
  version: '1.2.3',
  apiServerHost: '10.0.0.1:443',
  leaseName: 'workload-credentials',
  stsRequestsPerSecond: 10,
  perCredential: true,
};

const sources = (over: Partial<ScrapeSources> = {}): ScrapeSources => ({
  credentials: () => [],
  limiter: () => [],
  workQueue: { unfinishedWorkSeconds: () => 1.5, longestRunningProcessorSeconds: () => 0.5 },
  clockOffsetSeconds: () => -0.25,
  namespacesOutOfReach: () => ({ none: 1, some: 2, unknown: 0 }),
  processStats: () => ({
    userCPUSeconds: 2,
    systemCPUSeconds: 1,
    startTimeSeconds: 1_000,
    residentMemoryBytes: 100,
    heapTotalBytes: 50,
    heapUsedBytes: 40,
    externalBytes: 10,
    eventLoopLagSeconds: 0.01,
  }),
  ...over,
});

const credential = (over: Partial<CredentialSample>): CredentialSample => ({
  namespace: 'shop',
  name: 'orders',
  cloud: 'AWS',
  state: 'Ready',
  suspended: false,
  failure: undefined,
  expirationTimeMs: FAKE_EPOCH_MS + 3_600_000,
  refreshTimeMs: FAKE_EPOCH_MS + 2_400_000,
  unissuedSinceMs: undefined,
  ...over,
});

/** The samples of a text, by `name{labels}`. */
async function scrape(metrics: Metrics, over: Partial<ScrapeSources> = {}): Promise<Map<string, number>> {
  const text = await metrics.text(sources(over));
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

const named = (samples: Map<string, number>, name: string): string[] =>
  [...samples.keys()].filter((key) => key.split('{', 1)[0] === name);

test('the methods fit the ports of the rooms that report', () => {
  const metrics = new Metrics(OPTIONS);
  metrics.workQueue satisfies WorkQueueMetrics;
  metrics.controller satisfies ControllerMetrics;
  metrics.apiServer satisfies ApiServerMetrics;
  metrics.informer satisfies InformerMetrics;
  metrics satisfies ReconcilerMetrics;
  metrics.stsCall.bind(metrics) satisfies (outcome: STSCallOutcome) => void;
  const demand: EndpointDemand = { key: 'AWS/1/h', ratePerSecond: 1, inFlight: 0, granted: 0, refused: 0 };
  assert.equal((demand satisfies LimiterSample).key, 'AWS/1/h');
});

test('every metric of the register is in the text, with its type and its labels, and none beside them', async () => {
  const metrics = new Metrics(OPTIONS);
  metrics.workQueue.depth(2, 7);
  metrics.workQueue.add();
  metrics.workQueue.queueDuration(0.002);
  metrics.workQueue.workDuration(0.2);
  metrics.workQueue.retry();
  metrics.controller.reconciled('success', 0.3);
  metrics.controller.activeWorkers(3);
  metrics.apiServer.observeRequest('GET', '200', 0.01);
  metrics.informer.observeList('secrets', 'success', 0.1);
  metrics.informer.countWatch('secrets', 'closed');
  metrics.informer.countEvent('secrets', 'ADDED');
  metrics.refreshed('AWS', 'issued');
  metrics.stsCall({ cloud: 'AWS', code: 'OK', durationSeconds: 0.12 });
  metrics.event('sent');
  metrics.fence('tokens', 'inForce');
  metrics.leading(true);
  const all = sources({
    credentials: () => [credential({ failure: 'STSUnavailable' }), credential({ name: 'b', suspended: true })],
    limiter: () => [{ key: 'AWS/123/sts', ratePerSecond: 10, inFlight: 1, granted: 5, refused: 2 }],
  });
  const text = await metrics.text(all);
  const types = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map((match) => [match[1] ?? '', match[2] ?? '']));
  assert.deepEqual([...types.keys()].sort(), Object.keys(METRICS).sort());
  const samples = await scrape(metrics, all);
  for (const [name, entry] of Object.entries<MetricEntry>(METRICS)) {
    assert.equal(types.get(name), entry.type, name);
    assert.ok(entry.help.endsWith('.') && entry.bound.length > 0, name);
    assert.ok(text.includes(`# HELP ${name} ${entry.help}`), name);
    const [first] = named(samples, entry.type === 'histogram' ? `${name}_count` : name);
    assert.ok(first !== undefined, `${name} has no sample`);
    const labels = [...first.matchAll(/[{,](\w+)="/g)].map((match) => match[1] ?? '');
    assert.deepEqual(labels.sort(), [...entry.labels].sort(), name);
  }
});

test('what was counted is what is told', async () => {
  const metrics = new Metrics(OPTIONS);
  metrics.workQueue.depth(2, 7);
  metrics.workQueue.depth(2, 6);
  metrics.refreshed('AWS', 'issued');
  metrics.refreshed('AWS', 'issued');
  metrics.refreshed('AWS', 'AccessDenied');
  metrics.stsCall({ cloud: 'AWS', code: 'OK', durationSeconds: 0.12 });
  metrics.apiServer.observeRequest('PATCH', '<error>', 0.01);
  const samples = await scrape(metrics);
  for (const [key, value] of [
    ['workqueue_depth{name="workloadcredential",priority="2"}', 6],
    ['workloadcredential_refreshes_total{cloud="AWS",result="issued"}', 2],
    ['workloadcredential_refreshes_total{cloud="AWS",result="AccessDenied"}', 1],
    ['workloadcredential_sts_requests_total{cloud="AWS",code="OK"}', 1],
    ['workloadcredential_sts_request_duration_seconds_bucket{le="0.1",cloud="AWS"}', 0],
    ['workloadcredential_sts_request_duration_seconds_bucket{le="0.25",cloud="AWS"}', 1],
    ['rest_client_requests_total{code="<error>",method="PATCH",host="10.0.0.1:443"}', 1],
    ['rest_client_request_duration_seconds_count{verb="PATCH",host="10.0.0.1:443"}', 1],
    ['workqueue_unfinished_work_seconds{name="workloadcredential"}', 1.5],
    ['workqueue_longest_running_processor_seconds{name="workloadcredential"}', 0.5],
    ['workloadcredential_clock_offset_seconds', -0.25],
    ['workloadcredential_build_info{version="1.2.3"}', 1],
    ['leader_election_master_status{name="workload-credentials"}', 0],
    ['process_cpu_seconds_total', 3],
  ] as const) {
    assert.equal(samples.get(key), value, key);
  }
});

test('a fence of which nothing is known has no series', async () => {
  const metrics = new Metrics(OPTIONS);
  const told = async (): Promise<(readonly [string, number])[]> =>
    [...(await scrape(metrics, {}))].filter(([name]) => name.startsWith('workloadcredential_fence_in'));
  assert.deepEqual(await told(), []);
  metrics.fence('tokens', 'missing');
  metrics.fence('secrets', 'inForce');
  assert.deepEqual(await told(), [
    ['workloadcredential_fence_in_force{fence="tokens"}', 0],
    ['workloadcredential_fence_in_force{fence="secrets"}', 1],
  ]);
  metrics.fence('tokens', 'unknown');
  assert.deepEqual(await told(), [['workloadcredential_fence_in_force{fence="secrets"}', 1]]);
});

test('counters that somebody else counts do not add up from scrape to scrape', async () => {
  const metrics = new Metrics(OPTIONS);
  const limiter = (): LimiterSample[] => [
    { key: 'AWS/1/sts.eu-west-1.amazonaws.com', ratePerSecond: 10, inFlight: 1, granted: 5, refused: 2 },
    { key: 'AWS/2/sts.eu-west-1.amazonaws.com', ratePerSecond: 0.2, inFlight: 2, granted: 7, refused: 0 },
    { key: 'Volcengine/1/sts.volcengineapi.com', ratePerSecond: 9, inFlight: 0, granted: 1, refused: 0 },
  ];
  await scrape(metrics, { limiter });
  const samples = await scrape(metrics, { limiter });
  assert.equal(samples.get('process_cpu_seconds_total'), 3);
  assert.equal(samples.get('workloadcredential_sts_limiter_requests_total{cloud="AWS",result="granted"}'), 12);
  assert.equal(samples.get('workloadcredential_sts_limiter_requests_total{cloud="AWS",result="refused"}'), 2);
  assert.equal(samples.get('workloadcredential_sts_limiter_rate{cloud="AWS"}'), 0.2);
  assert.equal(samples.get('workloadcredential_sts_limiter_rate{cloud="Volcengine"}'), 9);
  assert.equal(samples.get('workloadcredential_sts_limiter_in_flight{cloud="AWS"}'), 3);
});

test('credentials are counted by state, with a zero for the states that nobody is in', async () => {
  const metrics = new Metrics(OPTIONS);
  const credentials = (): CredentialSample[] => [
    credential({}),
    credential({ name: 'b' }),
    credential({ name: 'c', state: 'Stalled', expirationTimeMs: undefined, refreshTimeMs: undefined }),
  ];
  const samples = await scrape(metrics, { credentials });
  assert.equal(samples.get('workloadcredential_credentials{cloud="AWS",state="Ready"}'), 2);
  assert.equal(samples.get('workloadcredential_credentials{cloud="AWS",state="Stalled"}'), 1);
  assert.equal(samples.get('workloadcredential_credentials{cloud="AWS",state="Expired"}'), 0);
  assert.equal(named(samples, 'workloadcredential_credentials').length, 6);
});

test('expiry and refresh are told per credential, and the nearest of each cloud', async () => {
  const metrics = new Metrics(OPTIONS);
  const credentials = (): CredentialSample[] => [
    credential({}),
    credential({ name: 'late', state: 'Expired', expirationTimeMs: FAKE_EPOCH_MS - 60_000 }),
    credential({ name: 'v', cloud: 'Volcengine', refreshTimeMs: undefined }),
  ];
  const samples = await scrape(metrics, { credentials });
  const key = '{namespace="shop",name="orders",cloud="AWS"}';
  assert.equal(samples.get(`workloadcredential_expiration_timestamp_seconds${key}`), FAKE_EPOCH_MS / 1_000 + 3_600);
  assert.equal(samples.get(`workloadcredential_refresh_timestamp_seconds${key}`), FAKE_EPOCH_MS / 1_000 + 2_400);
  assert.equal(named(samples, 'workloadcredential_refresh_timestamp_seconds').length, 2);
  assert.equal(samples.get('workloadcredential_nearest_expiration_seconds{cloud="AWS"}'), -60);
  assert.equal(samples.get('workloadcredential_nearest_expiration_seconds{cloud="Volcengine"}'), 3_600);
  const { expirationTimeMs = 0 } = credential({});
  assert.equal(
    (await scrape(metrics, { credentials: () => [credential({ refreshTimeMs: expirationTimeMs - 1_200_000 })] })).get(
      'workloadcredential_outage_budget_seconds{cloud="AWS"}',
    ),
    1_200,
  );
});

test('a replica that no longer leads tells no credential, not even a zero that would alert', async () => {
  const metrics = new Metrics(OPTIONS);
  await scrape(metrics, { credentials: () => [credential({})] });
  const samples = await scrape(metrics);
  for (const name of [
    'workloadcredential_credentials',
    'workloadcredential_failing_credentials',
    'workloadcredential_outage_budget_used_ratio',
    'workloadcredential_nearest_expiration_seconds',
    'workloadcredential_outage_budget_seconds',
    'workloadcredential_expiration_timestamp_seconds',
    'workloadcredential_refresh_timestamp_seconds',
  ]) {
    assert.deepEqual(named(samples, name), [], name);
  }
});

test('the series per credential can be switched off, the others stay', async () => {
  const metrics = new Metrics({ ...OPTIONS, perCredential: false });
  const samples = await scrape(metrics, { credentials: () => [credential({})] });
  assert.deepEqual(named(samples, 'workloadcredential_expiration_timestamp_seconds'), []);
  assert.deepEqual(named(samples, 'workloadcredential_refresh_timestamp_seconds'), []);
  assert.equal(samples.get('workloadcredential_nearest_expiration_seconds{cloud="AWS"}'), 3_600);
});

test('failing credentials are counted by reason, and a reason that nobody has any more is gone', async () => {
  const metrics = new Metrics(OPTIONS);
  const credentials = (): CredentialSample[] => [
    credential({ failure: 'AccessDenied' }),
    credential({ name: 'b', failure: 'AccessDenied' }),
    credential({ name: 'c', cloud: 'Volcengine', failure: 'STSThrottled' }),
  ];
  const name = 'workloadcredential_failing_credentials';
  const samples = await scrape(metrics, { credentials });
  assert.equal(samples.get(`${name}{cloud="AWS",reason="AccessDenied"}`), 2);
  assert.equal(samples.get(`${name}{cloud="Volcengine",reason="STSThrottled"}`), 1);
  assert.deepEqual(named(await scrape(metrics, { credentials: () => [credential({})] }), name), []);
});

test('the demand on the busiest endpoint is told as a part of the configured rate', async () => {
  const clock = new FakeClock();
  const metrics = new Metrics({ ...OPTIONS, clock });
  const busy = { key: 'AWS/1/sts', ratePerSecond: 10, inFlight: 0, refused: 0 };
  const idle = { key: 'AWS/2/sts', ratePerSecond: 10, inFlight: 0, refused: 0, granted: 0 };
  await scrape(metrics, { limiter: () => [{ ...busy, granted: 0 }, idle] });
  await clock.advance(3_600_000);
  const samples = await scrape(metrics, { limiter: () => [{ ...busy, granted: 8 * 3_600 }, idle] });
  assert.equal(samples.get('workloadcredential_sts_limiter_demand_ratio{cloud="AWS"}')?.toFixed(3), '0.800');
});

test('without the series per credential, thousands of credentials make no more series than a few', async () => {
  const clouds = ['AWS', 'AlibabaCloud', 'Volcengine'] as const;
  const reasons = Object.keys(ERRORS);
  const count = async (credentials: number): Promise<number> => {
    const metrics = new Metrics({ ...OPTIONS, perCredential: false });
    const samples = Array.from({ length: credentials }, (_, index) =>
      credential({
        namespace: `n${index}`,
        name: `c${index}`,
        cloud: clouds[index % clouds.length] ?? 'AWS',
        state: CREDENTIAL_STATES[index % CREDENTIAL_STATES.length] ?? 'Ready',
        failure: reasons[index % reasons.length],
        suspended: index % 50 === 0,
      }),
    );
    return (await scrape(metrics, { credentials: () => samples })).size;
  };
  assert.equal(await count(10_000), await count(1_000));
});

test('a metric keeps its name, type and labels', () => {
  const contract = JSON.parse(
    readFileSync(new URL('../../fixtures/metrics-contract.json', import.meta.url), 'utf8'),
  ) as Readonly<Record<string, string>>;
  const now = Object.entries<MetricEntry>(METRICS).map(
    ([name, { type, labels }]) => [name, [type, ...labels].join(' ')] as const,
  );
  // One that is new is added to the file; one that is there stays as it is.
  assert.deepEqual(Object.fromEntries(now), contract);
});

test('a foreign value beyond the hundredth is counted as other', async () => {
  const metrics = new Metrics(OPTIONS);
  for (let index = 0; index < 1_000; index += 1) {
    metrics.refreshed('AWS', `Code${index}`);
    metrics.apiServer.observeRequest('GET', String(index), 0.01);
  }
  metrics.refreshed('AWS', 'Code5');
  const samples = await scrape(metrics);
  assert.equal(named(samples, 'workloadcredential_refreshes_total').length, 101);
  assert.equal(samples.get('workloadcredential_refreshes_total{cloud="AWS",result="other"}'), 900);
  assert.equal(samples.get('workloadcredential_refreshes_total{cloud="AWS",result="Code5"}'), 2);
  assert.equal(named(samples, 'rest_client_requests_total').length, 101);
});

test('a value with quotes, backslashes and line ends stays inside its label', async () => {
  const metrics = new Metrics({ ...OPTIONS, version: 'a"b\\c\nd' });
  const text = await metrics.text(sources());
  assert.ok(text.includes('workloadcredential_build_info{version="a\\"b\\\\c\\nd"} 1\n'), text);
});

test('scrapes that overlap share one answer; a source that fails is asked anew by the next', async () => {
  const metrics = new Metrics(OPTIONS);
  let asked = 0;
  const counting = { credentials: () => [credential({ name: `n${(asked += 1)}` })] };
  const [first, second] = await Promise.all([metrics.text(sources(counting)), metrics.text(sources(counting))]);
  assert.equal(first, second);
  assert.equal(asked, 1);
  const failing = {
    limiter: () => {
      throw new Error('no');
    },
  };
  await assert.rejects(metrics.text(sources(failing)), /no/);
  assert.ok((await metrics.text(sources(counting))).includes('name="n2"'));
});
