// Promises: what docs/gitops.md says of Argo CD, Flux and kpt was said of today's health script, expressions and statuses; its
// situations are all that the operator's status can be; and the expressions of the page are those that were tried.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from 'js-yaml';
import type { WorkloadCredentialStatus } from '../../../src/api/types.gen.ts';
import { CredentialError, ERRORS, type ErrorCode } from '../../../src/credential/errors.ts';
import { nextStatus, type Outcome } from '../../../src/credential/status.ts';
import { EXPRESSIONS, situations } from '../../gitops/situations.ts';
import { readVerdicts, saidOf } from '../../gitops/verdicts.ts';
import { HOUR, T0 } from '../../support/builders.ts';
import { codeBlocks, textOf } from './markdown.ts';

const AGAIN = 'run `node test/gitops/verdicts.ts`, which needs Go, and `npm run generate`';

test("the verdicts are of today's script, expressions and statuses", () => {
  assert.equal(readVerdicts().of, saidOf(), AGAIN);
});

test('the verdicts are as expected', () => {
  const expected = situations(T0).map(({ name, argo, message, kstatus, flux }) => [name, argo, message, kstatus, flux]);
  const rows = readVerdicts().rows;
  assert.deepEqual(
    rows.map(({ situation, argo, message, kstatus, flux }) => [situation, argo, message, kstatus, flux]),
    expected,
    AGAIN,
  );
});

/** What decides: the reasons of Ready that are states, and which of the others are True. */
function kindOf({ conditions = [] }: WorkloadCredentialStatus): string {
  const ready = conditions.find(({ type }) => type === 'Ready');
  const isState = ['Issued', 'RefreshFailing', 'Expired', 'Suspended'].includes(ready?.reason ?? '');
  const others = conditions.filter(({ type, status }) => type !== 'Ready' && status === 'True').map(({ type }) => type);
  return [`Ready=${ready?.status} ${isState ? ready?.reason : ''}`, ...others].join(', ');
}

test('every kind of status that the operator writes is among the situations', () => {
  const shown = new Set(situations(T0).map(({ object }) => kindOf(object.status ?? {})));
  const outcomes: readonly Outcome[] = [
    { kind: 'issued' },
    { kind: 'settled' },
    { kind: 'waiting', waitsFor: 'Turn' },
    ...Object.keys(ERRORS).map((code) => ({
      kind: 'failed' as const,
      error: new CredentialError(code as ErrorCode, code),
    })),
  ];
  const hashes = { requestHash: 'v1.r', renderHash: 'v1.s', contentHash: 'v1.c', refreshHandled: undefined };
  const record = { ...hashes, issueTimeMs: T0, expirationTimeMs: T0 + HOUR };
  for (const outcome of outcomes) {
    for (const [live, nowMs] of [
      [undefined, T0],
      [true, T0],
      [false, T0 + HOUR],
    ] as const) {
      for (const suspended of [false, true]) {
        const found = live === undefined ? undefined : record;
        const { status } = nextStatus({
          previous: undefined,
          generation: 1,
          cloud: 'AWS',
          secretName: 'orders',
          suspended,
          nowMs,
          assessment: { established: true, record: found, live: live === true, refreshTimeMs: T0 },
          outcome,
          refreshRequested: undefined,
          isForEnvironment: false,
        });
        assert.ok(shown.has(kindOf(status)), `${outcome.kind}, ${live}, ${suspended}: ${kindOf(status)}`);
      }
    }
  }
});

test('the expressions of the page are those that were tried', () => {
  interface Page {
    readonly spec?: { readonly healthCheckExprs?: readonly Record<string, string>[] };
  }
  const blocks = codeBlocks({ path: 'docs/gitops.md', text: textOf('docs/gitops.md') });
  const [found] = blocks.flatMap(({ language, text }) =>
    language === 'yaml' ? ((load(text) as Page).spec?.healthCheckExprs ?? []) : [],
  );
  const { apiVersion, kind, ...expressions } = found ?? {};
  assert.deepEqual([apiVersion, kind], ['workloadcredentials.io/v1alpha1', 'WorkloadCredential']);
  assert.deepEqual(expressions, EXPRESSIONS);
});
