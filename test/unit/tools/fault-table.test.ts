// The fault table: what tests tell becomes its rows, and the page has all of them.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import faultTable, { missingFrom, pageWith, reportsIn, tableOf, worst } from '../../../tools/fault-table.ts';
import { FAULT_REGISTER, type FaultReport, readFaultReport, tellFault } from '../../support/fault-report.ts';

const SLOW = { fault: 'watch cut', bed: 'sandbox', did: '1 exchange', lateMs: 1_550, seen: '2 looks | live' } as const;
const QUICK = { ...SLOW, lateMs: 20 };
const NONE: FaultReport = { fault: 'leader ended by SIGTERM', bed: 'real', did: '0 exchanges', seen: 'live' };

function told(report: FaultReport): string {
  const lines: string[] = [];
  tellFault({ diagnostic: (line) => lines.push(line) }, report);
  return lines.join('\n');
}

describe('the fault table', () => {
  test('reads what a test has told, with whatever a reporter puts before it', () => {
    assert.deepEqual(readFaultReport(`  ℹ ${told(SLOW)}`), SLOW);
    assert.equal(readFaultReport('ℹ pass 3'), undefined);
    assert.deepEqual(reportsIn(`▶ a suite\n  # ${told(SLOW)}\nℹ ${told(NONE)}\n`), [SLOW, NONE]);
  });

  test('keeps the latest of several measurements, in the order of the register', () => {
    assert.deepEqual(worst([NONE, QUICK, SLOW, QUICK]), [SLOW, NONE]);
  });

  test('tells seconds, says where nothing was due, and breaks no row', () => {
    const rows = tableOf([SLOW, NONE]).split('\n');
    assert.equal(rows[2], '| watch cut | sandbox | 1 exchange | 1.6 s | 2 looks \\| live |');
    assert.equal(rows[3], '| leader ended by SIGTERM | real | 0 exchanges | none was due | live |');
  });

  test('knows what was not measured', () => {
    const missing = missingFrom([SLOW]);
    assert.ok(!missing.includes('watch cut (sandbox)'));
    assert.ok(missing.includes('leader ended by SIGTERM (real)'));
  });

  test('takes the place of the one that the page had', () => {
    const page = 'a\n<!-- fault table: begin -->\nold\n<!-- fault table: end -->\nb\n';
    assert.equal(pageWith(page, 'new\n'), 'a\n<!-- fault table: begin -->\n\nnew\n\n<!-- fault table: end -->\nb\n');
    assert.throws(() => pageWith('a\n', 'new\n'), /docs\/reliability\.md lacks/);
  });

  test('is printed at the end of a run, and only where there is something to print', async () => {
    const run = async (messages: readonly string[]): Promise<string> => {
      async function* events(): AsyncGenerator<never> {
        for (const message of messages) yield { type: 'test:diagnostic', data: { message } } as never;
      }
      let printed = '';
      for await (const text of faultTable(events())) printed += text;
      return printed;
    };
    assert.equal(await run(['pass 3']), '');
    assert.equal(await run([told(QUICK), 'pass 3', told(SLOW)]), `\n${tableOf([SLOW])}`);
  });

  test('on the page has a row for every fault of the register on each of its beds, and no other', () => {
    const page = readFileSync(new URL('../../../docs/reliability.md', import.meta.url), 'utf8');
    const rows = [...page.matchAll(/^\| (.+?) \| (sandbox|real) \|/gm)].map(([, fault, bed]) => `${fault} (${bed})`);
    const registered = Object.entries(FAULT_REGISTER).flatMap(([fault, beds]) =>
      beds.map((bed) => `${fault} (${bed})`),
    );
    assert.deepEqual(rows.toSorted(), registered.toSorted());
  });
});
