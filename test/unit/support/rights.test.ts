// Shows that a call is put down to the narrowest grant that allows it, and that the verdict on a run names what was used and not
// granted, granted and never used, and run otherwise than the chart makes it; and says when the run was not whole.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { AuditEvent } from '../../support/audit.ts';
import { judge, SCOPES } from '../../support/rights-judge.ts';
import { describeGrant, type Grant, grantFor, type RightsRecord, type ScopeName } from '../../support/rights.ts';

function call(verb: string, objectRef: AuditEvent['objectRef']): AuditEvent {
  return {
    auditID: 'a',
    stage: 'ResponseComplete',
    verb,
    requestURI: '/',
    user: { username: 'system:serviceaccount:wc-system:wc' },
    requestReceivedTimestamp: '2026-01-01T00:00:00.000000Z',
    stageTimestamp: '2026-01-01T00:00:00.000000Z',
    ...(objectRef === undefined ? {} : { objectRef }),
  };
}

const grant = (fields: Partial<Grant>): Grant => ({
  where: 'watched',
  namespace: 'shop',
  verb: 'get',
  resource: '/secrets',
  names: undefined,
  ...fields,
});

describe('the grant for a call', () => {
  const secret = call('get', { resource: 'secrets', namespace: 'shop', name: 'orders' });

  test('is of its verb, its resource with the subresource, its group and its namespace', () => {
    assert.equal(grantFor(secret, [grant({ verb: 'list' })]), undefined);
    assert.equal(grantFor(secret, [grant({ resource: '/serviceaccounts' })]), undefined);
    assert.equal(grantFor(secret, [grant({ resource: 'apps/secrets' })]), undefined);
    assert.equal(grantFor(secret, [grant({ namespace: 'elsewhere' })]), undefined);
    const wide = grant({ namespace: undefined });
    assert.equal(grantFor(secret, [wide]), wide);
    const token = call('create', {
      resource: 'serviceaccounts',
      subresource: 'token',
      namespace: 'shop',
      name: 'orders',
    });
    assert.equal(grantFor(token, [grant({ verb: 'create', resource: '/serviceaccounts' })]), undefined);
    const right = grant({ verb: 'create', resource: '/serviceaccounts/token' });
    assert.equal(grantFor(token, [right]), right);
  });

  test('is the one for its name where there is one, so that a wider one beside it counts as unused', () => {
    const [wide, narrow] = [grant({}), grant({ names: ['orders'] })];
    assert.equal(grantFor(secret, [wide, narrow]), narrow);
    assert.equal(grantFor(secret, [grant({ names: ['other'] }), wide]), wide);
    assert.deepEqual(
      [describeGrant(wide), describeGrant(narrow)],
      ['watched: get /secrets', 'watched by name: get /secrets'],
    );
  });
});

describe('the verdict on a run', () => {
  const record = (scope: ScopeName, fields: Partial<RightsRecord> = {}): RightsRecord => ({
    file: `${scope}.test.ts`,
    scope,
    isPresentChart: true,
    granted: ['watched: get /secrets', 'watched: patch /secrets'],
    used: ['watched: get /secrets', 'watched: patch /secrets'],
    ungranted: [],
    early: [],
    asOthers: [],
    irregular: [],
    calls: 2,
    failure: undefined,
    ...fields,
  });
  const whole = SCOPES.map((scope) => record(scope));
  const files = [...SCOPES.map((scope) => `${scope}.test.ts`), 'bed.test.ts', 'providers.test.ts'];
  const of = (
    records: readonly RightsRecord[],
    run = files,
  ): { problems: readonly string[]; missing: readonly string[] } => {
    const { problems, missing } = judge(records, { files: run, all: files });
    return { problems, missing };
  };

  test('is good when what was granted is what was used', () => {
    assert.deepEqual(of(whole), { problems: [], missing: [] });
  });

  test('names what nobody used, by scope; another scope and another file of the same make no difference', () => {
    const [first, ...rest] = whole;
    const unused = { ...first, granted: [...(first?.granted ?? []), 'watched: update /secrets'] } as RightsRecord;
    const said = ['namespaces: granted and never used: watched: update /secrets'];
    assert.deepEqual(of([unused, ...rest]).problems, said);
    const elsewhere = record('clusterWide', { used: ['watched: update /secrets'] });
    assert.deepEqual(of([unused, ...rest, elsewhere]).problems, said);
    const here = record('namespaces', { used: ['watched: update /secrets'] });
    assert.deepEqual(of([unused, ...rest, here]).problems, []);
  });

  test("holds nothing against a former release's chart but what it did not grant", () => {
    const former = record('clusterWide', { isPresentChart: false, granted: ['watched: delete /pods'], used: [] });
    assert.deepEqual(of([...whole, former]).problems, []);
    const refused = { ...former, ungranted: ['refused: get pods shop/x 403'] };
    assert.match(of([...whole, refused]).problems.join(), /used and not granted: refused: get pods shop\/x 403/);
  });

  test('lets a token be refused only where the chart names ServiceAccounts', () => {
    const ungranted = ['refused: create serviceaccounts/token team/billing 403'];
    assert.deepEqual(of([...whole, record('serviceAccounts', { ungranted })]).problems, []);
    assert.equal(of([...whole, record('namespaces', { ungranted })]).problems.length, 1);
    const other = ['refused: get leases team/billing 403'];
    assert.equal(of([...whole, record('serviceAccounts', { ungranted: other })]).problems.length, 1);
  });

  test('tells of a refusal by an API server that did not know its Roles yet, and holds it against nobody', () => {
    const early = ['list secrets 403'];
    const { problems, summary } = judge([...whole, record('clusterWide', { early })], { files, all: files });
    assert.deepEqual(problems, []);
    assert.ok(summary.some((line) => line.includes('refused for a moment though granted: list secrets 403')));
  });

  test('tells of another user, of fences that were off and of a file that is not to install anything', () => {
    const odd = record('clusterWide', { asOthers: ['admin: get secrets'], irregular: ['0 of 4 fences in force'] });
    assert.deepEqual(of([...whole, odd, record('clusterWide', { file: 'bed.test.ts' })]).problems, [
      'clusterWide.test.ts (clusterWide): the operator ran as somebody else: admin: get secrets',
      'clusterWide.test.ts (clusterWide): not the chart as it is: 0 of 4 fences in force',
      'bed.test.ts installs an operator: take it from the list of those that do not',
    ]);
  });

  test('names the files that did not take the scope that the run asked for, but for those that are about one', () => {
    const of = (...records: readonly RightsRecord[]): readonly string[] =>
      judge(records, { files, all: files, asked: 'namespaces' }).problems;
    const both = ['namespaces', 'clusterWide'].map((scope) => record(scope as ScopeName, { file: 'a.test.ts' }));
    const about = record('serviceAccounts', { file: 'chart.test.ts' });
    assert.deepEqual(of(...both, about), []);
    assert.deepEqual(of(...both, about, record('clusterWide', { file: 'b.test.ts' })), [
      'b.test.ts ran in clusterWide, and the run asked for namespaces',
    ]);
  });

  test('says what was missing, and judges nothing unused then', () => {
    const [first, second] = whole;
    assert.ok(first !== undefined && second !== undefined);
    const cut = { ...second, failure: 'no answer', used: [] };
    assert.deepEqual(of([first, cut], ['namespaces.test.ts', 'serviceAccounts.test.ts', 'bed.test.ts']), {
      problems: [],
      missing: [
        'clusterWide.test.ts was not run',
        'providers.test.ts was not run',
        'serviceAccounts.test.ts was cut short: no answer',
        'nothing ran as clusterWide',
      ],
    });
    assert.ok(of([first, second]).missing.includes('clusterWide.test.ts left nothing'));
  });
});
