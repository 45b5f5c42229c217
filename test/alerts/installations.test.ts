// Two installations of one cluster in the same Prometheus, and another component whose metrics have the same names: the
// dashboard adds the installations up for All, shows one of them where it is chosen, and nothing of the other component. At the
// time that is looked at a Lease is being handed over: two replicas tell of the same credentials, which count once.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Choice, filledIn, readDashboard } from './dashboard.ts';
import { type History, type Labels, playRules, selector } from './promtool.ts';
import { prometheusOrSkip } from './tools.ts';

const SHOP: Labels = { namespace: 'wc-shop', job: 'wc' };
/** Of the same name, as two releases in two namespaces are. */
const BANK: Labels = { namespace: 'wc-bank', job: 'wc' };
const OTHER: Labels = { namespace: 'wc-shop', job: 'other' };

const at = (installation: Labels, pod: string, more: Labels = {}): string =>
  selector({ ...installation, instance: `${pod}:8080`, pod, ...more });

function replica(installation: Labels, pod: string, leads: 0 | 1): History {
  return {
    [`workloadcredential_build_info${at(installation, pod, { version: '0.1.0' })}`]: '1x60',
    [`leader_election_master_status${at(installation, pod, { name: 'workload-credentials' })}`]: `${leads}x60`,
    [`process_resident_memory_bytes${at(installation, pod)}`]: '100x60',
    [`rest_client_requests_total${at(installation, pod, { method: 'GET', code: '200', host: 'h' })}`]: '0+30x60',
  };
}

/** What a leader tells of credentials. */
function leader(
  installation: Labels,
  pod: string,
  counts: { readonly ready: number; readonly failing: number },
): History {
  const told = (name: string, value: number, more: Labels): History => ({
    [`workloadcredential_${name}${at(installation, pod, { cloud: 'AWS', ...more })}`]: `${value}x60`,
  });
  return {
    ...told('credentials', counts.ready, { state: 'Ready' }),
    ...told('credentials', counts.failing, { state: 'RefreshFailing' }),
    ...told('credentials', 1, { state: 'Expired' }),
    ...told('credentials', 9, { state: 'Suspended' }),
    ...told('failing_credentials', counts.failing, { reason: 'STSUnavailable' }),
    ...told('overdue_credentials', counts.failing, {}),
  };
}

/** The series of a single credential, whose namespace is its own. */
function single(
  installation: Labels,
  pod: string,
  { namespace, name, ends }: Record<'namespace' | 'name' | 'ends', string>,
): History {
  const labels = { ...installation, instance: `${pod}:8080`, pod, namespace, name, cloud: 'AWS' };
  return { [`workloadcredential_expiration_timestamp_seconds${selector(labels)}`]: `${ends}x60` };
}

const TWO: History = {
  ...replica(SHOP, 'a', 1),
  ...replica(SHOP, 'b', 0),
  ...replica(BANK, 'c', 1),
  ...leader(SHOP, 'a', { ready: 40, failing: 3 }),
  ...leader(SHOP, 'b', { ready: 40, failing: 3 }),
  ...leader(BANK, 'c', { ready: 5, failing: 2 }),
  ...single(SHOP, 'a', { namespace: 'orders', name: 'x', ends: '4000' }),
  ...single(BANK, 'c', { namespace: 'ledger', name: 'y', ends: '5000' }),
  [`leader_election_master_status${at(OTHER, 'd', { name: 'other' })}`]: '1x60',
  [`process_resident_memory_bytes${at(OTHER, 'd')}`]: '7x60',
  [`rest_client_requests_total${at(OTHER, 'd', { method: 'GET', code: '200', host: 'h' })}`]: '0+3000x60',
};

/** Of all, and of the installation whose namespace is wc-shop. */
interface Shown {
  readonly all: Readonly<Record<string, number>>;
  readonly chosen: Readonly<Record<string, number>>;
}

const AWS = (label: string, value: string): string => `{cloud="AWS", ${label}="${value}"}`;
/** A series as it is, by its replica. */
const memoryOf = (pod: string, installation: Labels): string => `process_resident_memory_bytes${at(installation, pod)}`;

/** By title and query, ten minutes after the beginning. */
const EXPECTED: Readonly<Record<string, Shown>> = {
  'Replicas A': {
    all: { [selector(SHOP)]: 2, [selector(BANK)]: 1 },
    chosen: { [selector(SHOP)]: 2 },
  },
  'Leaders A': { all: { [selector(SHOP)]: 1, [selector(BANK)]: 1 }, chosen: { [selector(SHOP)]: 1 } },
  'Ready A': { all: { '{}': 45 }, chosen: { '{}': 40 } },
  // Failing and expired.
  'Failing or without a credential A': { all: { '{}': 7 }, chosen: { '{}': 4 } },
  'Credentials by state A': {
    all: {
      [AWS('state', 'Ready')]: 45,
      [AWS('state', 'RefreshFailing')]: 5,
      [AWS('state', 'Expired')]: 2,
      [AWS('state', 'Suspended')]: 18,
    },
    chosen: {
      [AWS('state', 'Ready')]: 40,
      [AWS('state', 'RefreshFailing')]: 3,
      [AWS('state', 'Expired')]: 1,
      [AWS('state', 'Suspended')]: 9,
    },
  },
  'Failing credentials by reason A': {
    all: { [AWS('reason', 'STSUnavailable')]: 5 },
    chosen: { [AWS('reason', 'STSUnavailable')]: 3 },
  },
  'Overdue A': { all: { '{cloud="AWS"}': 5 }, chosen: { '{cloud="AWS"}': 3 } },
  'Next to expire A': {
    all: {
      [selector({ cloud: 'AWS', instance: 'a:8080', job: 'wc', name: 'x', namespace: 'orders', pod: 'a' })]: 3_400,
      [selector({ cloud: 'AWS', instance: 'c:8080', job: 'wc', name: 'y', namespace: 'ledger', pod: 'c' })]: 4_400,
    },
    chosen: {
      [selector({ cloud: 'AWS', instance: 'a:8080', job: 'wc', name: 'x', namespace: 'orders', pod: 'a' })]: 3_400,
    },
  },
  // One a second for each replica.
  'Calls to the API server A': {
    all: { '{code="200", method="GET"}': 3 },
    chosen: { '{code="200", method="GET"}': 2 },
  },
  'Memory A': {
    all: { [memoryOf('a', SHOP)]: 100, [memoryOf('b', SHOP)]: 100, [memoryOf('c', BANK)]: 100 },
    chosen: { [memoryOf('a', SHOP)]: 100, [memoryOf('b', SHOP)]: 100 },
  },
};

const { skip, tools } = await prometheusOrSkip();

describe('of two installations the dashboard', { skip, concurrency: 2 }, () => {
  const queries = readDashboard().panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ refId, expr }) => [`${title} ${refId}`, expr] as const),
  );
  const exprOf = new Map<string, string>(queries);

  const expected = (choice: Omit<Choice, 'rateInterval'>, which: keyof Shown): Parameters<typeof playRules>[2] =>
    Object.entries(EXPECTED).map(([query, shown]) => ({
      expression: filledIn(exprOf.get(query) ?? '', { ...choice, rateInterval: '2m' }),
      at: '10m',
      samples: Object.entries(shown[which]).map(([labels, value]) => ({ labels, value })),
    }));

  test('shows the sum, or each, for All', async () => {
    const { code, stdout, stderr } = await playRules(
      tools().promtool,
      TWO,
      expected({ namespace: '.*', job: '.*' }, 'all'),
    );
    assert.equal(code, 0, stdout + stderr);
  });

  test('shows the one that is chosen, and not what another component of its namespace tells', async () => {
    const choice = { namespace: 'wc-shop', job: '.*' };
    const { code, stdout, stderr } = await playRules(tools().promtool, TWO, expected(choice, 'chosen'));
    assert.equal(code, 0, stdout + stderr);
  });

  test('adds up wherever it counts credentials', () => {
    const counting = /workloadcredential_(?:\w+_)?credentials\{/;
    const counts = queries.filter(([, expr]) => counting.test(expr)).map(([query]) => query);
    assert.ok(counts.length > 4);
    assert.deepEqual(
      counts.filter((query) => !Object.hasOwn(EXPECTED, query)),
      [],
    );
  });
});
