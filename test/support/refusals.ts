// Promises: one way to hold a table of wrong specs against resolve(): each is refused by field, value and fix, in a message
// that a condition can hold.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolve } from '../../src/api/resolve.ts';
import type { WorkloadCredentialSpec } from '../../src/api/types.gen.ts';
import { aCredential, DOMAINS } from './builders.ts';

/** The message with which a spec is refused; fails where it is taken. */
export function refusalOf(spec: Partial<WorkloadCredentialSpec>): string {
  const { violation } = resolve(aCredential({ spec }), DOMAINS);
  assert.equal(violation?.code, 'InvalidSpec', JSON.stringify(spec).slice(0, 300));
  return violation.message;
}

/** A wrong spec: the field that is told, a piece of the shown value, a piece of the fix. */
export type WrongSpec = readonly [
  field: string,
  spec: Partial<WorkloadCredentialSpec>,
  shown: string,
  fix: string | RegExp,
];

/** A test for each row. */
export function testRefusals(rows: readonly WrongSpec[]): void {
  for (const [field, spec, shown, fix] of rows) {
    test(`${field} with ${JSON.stringify(spec).slice(0, 140)} is refused, by field, value and fix`, () => {
      const message = refusalOf(spec);
      assert.ok(message.startsWith(`${field} is `), message);
      assert.ok(message.includes(shown), message);
      if (typeof fix === 'string') assert.ok(message.includes(fix), message);
      else assert.match(message, fix);
      assert.ok(message.length < 800, `${message.length}`);
      assert.ok(!/[\n\r\u2028\u2029]/.test(message));
    });
  }
}
