// What the fleet benchmark reads and what it judges: /proc, the image's and the chart's files, the request log, the table, and the
// expectations that end it with status 1.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Asked } from '../../../bench/fleet-bed.ts';
import { broken, median, readPage, tableOf } from '../../../bench/fleet-figures.ts';
import type { FleetFigures } from '../../../bench/fleet-figures.ts';
import {
  CHART_MEMORY_LIMIT_MIB,
  heapOption,
  IMAGE_OPTIONS,
  memoryLimitIn,
  nodeOptionsIn,
} from '../../../bench/image.ts';
import { cpuMsIn, memoryIn, threadMsIn } from '../../../bench/proc.ts';
import { isBackground, isWrite, kindOfRequest } from '../../../bench/request-kinds.ts';

describe('/proc', () => {
  test('user and system time are told in ticks, behind a name that may look like the rest of the line', () => {
    const stat = '4711 (node) S (x) R 1 4711 4711 0 -1 4194560 9 0 0 0 150 25 7 8 20 0 11 0 100 1000 200\n';
    assert.equal(cpuMsIn(stat), 1_750);
  });

  test('memory is told in kB, and 1,024 of them are one MiB', () => {
    const status = 'Name:\tnode\nVmPeak:\t9999999 kB\nVmHWM:\t  204800 kB\nVmRSS:\t  153600 kB\nRssAnon:\t  1 kB\n';
    assert.deepEqual(memoryIn(status), { residentMiB: 150, peakMiB: 200 });
  });

  test('the time of a thread is the first of three numbers, in nanoseconds', () => {
    assert.equal(threadMsIn('2500000 34947061 99\n'), 2.5);
  });
});

describe('how image and chart run the operator', () => {
  test("Node's options are those of ENTRYPOINT, without the program", () => {
    const file = '# ENTRYPOINT ["node", "--old"]\nENTRYPOINT ["node", "--one", "--two=3", "/app/main.mjs"]\n';
    assert.deepEqual(nodeOptionsIn(file), ['--one', '--two=3']);
    assert.ok(IMAGE_OPTIONS.length > 0, 'the Dockerfile of this checkout has some');
  });

  test('the limit of memory is that of the chart, and a chart without one is an error', () => {
    assert.equal(memoryLimitIn('resources:\n  requests: {memory: 1Mi}\n  limits: {memory: 512Mi}\n'), 512);
    assert.throws(() => memoryLimitIn('resources:\n  limits: {memory: 1Gi}\n'), /in Mi/);
    assert.throws(() => memoryLimitIn('replicas: 2\n'), /in Mi/);
    assert.ok(CHART_MEMORY_LIMIT_MIB > 0);
  });

  test('half of it is for the old generation, and never less than V8 plans with', () => {
    assert.deepEqual([256, 512, 1_024].map(heapOption), [
      '--max-old-space-size=256',
      '--max-old-space-size=256',
      '--max-old-space-size=512',
    ]);
  });
});

describe('a request', () => {
  const core = '/api/v1/namespaces/tenant-1';
  const ours = '/apis/workloadcredentials.io/v1alpha1';
  const lease = '/apis/coordination.k8s.io/v1/namespaces/system/leases/x';
  for (const [method, target, status, kind, does] of [
    ['POST', `${core}/serviceaccounts/orders-1/token`, 201, 'POST serviceaccounts/token', 'write'],
    [
      'PATCH',
      `${ours}/namespaces/tenant-1/workloadcredentials/a/status?x=1`,
      200,
      'PATCH workloadcredentials/status',
      'write',
    ],
    ['POST', `${core}/secrets`, 409, 'POST secrets 409', 'write'],
    ['GET', `${ours}/workloadcredentials?limit=500`, 200, 'GET workloadcredentials', 'read'],
    ['GET', '/api/v1/secrets?watch=true', 200, 'WATCH secrets', 'background'],
    ['PUT', lease, 200, 'PUT leases', 'background'],
    ['PUT', lease, 409, 'PUT leases 409', 'background'],
  ] as const) {
    test(`is told as "${kind}" and is a ${does}`, () => {
      assert.equal(kindOfRequest(method, target, status), kind);
      assert.equal(isBackground(kind) ? 'background' : isWrite(kind) ? 'write' : 'read', does);
    });
  }
});

function asked(issued: number, calls: Readonly<Record<string, number>>, refused = 0): Asked {
  const all = Object.entries(calls);
  const sum = (some: readonly (readonly [string, number])[]): number => some.reduce((so, [, seen]) => so + seen, 0);
  const writes = sum(all.filter(([kind]) => isWrite(kind)));
  return { issued, refused, calls: new Map(all), total: sum(all), writes, lastMs: 0 };
}

const HELD = { residentMiB: 151.6, peakMiB: 170 };
const NOTHING = asked(0, { 'GET secrets': 2 });
const GOOD: FleetFigures = {
  count: 1_000,
  firstIssue: {
    wallMs: 9_870,
    cpuMs: 4_210,
    asked: asked(1_000, { 'POST serviceaccounts/token': 1_000, 'POST events': 999, 'GET secrets': 4 }),
    ready: 1_000,
    held: HELD,
  },
  restart: { wallMs: 1_234, cpuMs: 900, asked: NOTHING, held: HELD, looks: 1_000 },
  restCPUMs: 1.06,
  standby: HELD,
  takeover: NOTHING,
  pages: {
    each: { bytes: 231_400, answerMs: 12.4, series: 2_000 },
    without: { bytes: 23_900, answerMs: 3, series: 0 },
  },
  peakMiB: 180,
};

describe('the table of the fleet', () => {
  test('has a column for each size, and as many cells in every row', () => {
    const rows = tableOf([{ ...GOOD, count: 100 }, GOOD]).split('\n');
    assert.equal(rows[0], '| credentials | 100 | 1,000 |');
    assert.ok(rows.every((row) => row.split('|').length === 5));
    assert.ok(rows.includes('| exchanges; writes; lists | 0; 0; 2 | 0; 0; 2 |'));
    assert.ok(rows.includes('| calls to the API server, Events among them | 2,003, 999 | 2,003, 999 |'));
    assert.ok(rows.includes('| `/metrics` with the series of each credential | 231 kB, 12 ms | 231 kB, 12 ms |'));
  });
});

describe('the expectations of the fleet', () => {
  const seen = (change: Partial<FleetFigures>): string => broken({ ...GOOD, ...change }, 512).join('\n');

  test('are met by what should be', () => {
    assert.equal(seen({}), '');
  });

  for (const [what, change, says] of [
    ['an exchange at the restart', { restart: { ...GOOD.restart, asked: asked(1, {}) } }, /restart cost 1 exchanges/],
    ['a refused one', { restart: { ...GOOD.restart, asked: asked(0, {}, 1) } }, /restart cost 1 exchanges/],
    [
      'a write at the restart',
      { restart: { ...GOOD.restart, asked: asked(0, { 'PATCH secrets': 3 }) } },
      /restart cost 0 exchanges and 3 writes: 3 x PATCH secrets/,
    ],
    ['an exchange at the take-over', { takeover: asked(2, {}) }, /take-over cost 2 exchanges/],
    ['a credential that nobody looked at', { restart: { ...GOOD.restart, looks: 999 } }, /looked at 999/],
    ['one that is not Ready', { firstIssue: { ...GOOD.firstIssue, ready: 999 } }, /999 are Ready/],
    [
      'one that was issued twice',
      { firstIssue: { ...GOOD.firstIssue, asked: asked(1_001, { 'POST serviceaccounts/token': 1_001 }) } },
      /1001 exchanges.*\n.*1001 tokens/,
    ],
    [
      'series that are switched off',
      { pages: { ...GOOD.pages, without: { ...GOOD.pages.without, series: 2 } } },
      /without them has 2/,
    ],
    ['more memory than the limit', { peakMiB: 512 }, /512 MiB were held/],
  ] as const) {
    test(`are not met by ${what}`, () => {
      assert.match(seen(change), says);
    });
  }
});

test('a page of metrics is read for series of single credentials and for looks', () => {
  const page = [
    '# TYPE workloadcredential_expiration_timestamp_seconds gauge',
    'workloadcredential_expiration_timestamp_seconds{namespace="a",name="b",cloud="AWS"} 1',
    'workloadcredential_refresh_timestamp_seconds{namespace="a",name="b",cloud="AWS"} 1',
    'workloadcredential_nearest_expiration_seconds{cloud="AWS"} 1',
    'controller_runtime_reconcile_time_seconds_bucket{controller="workloadcredential",le="1"} 6',
    'controller_runtime_reconcile_time_seconds_count{controller="workloadcredential"} 7',
  ].join('\n');
  assert.deepEqual(readPage(page), { series: 2, looks: 7 });
});

test('the median is the one in the middle', () => {
  assert.equal(median([9, 1, 5]), 5);
});
