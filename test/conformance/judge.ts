// Promises: the verdict on one case: what the real server said against what the sandbox says. A known difference must be
// one; any other is an error that shows both answers.
import assert from 'node:assert/strict';
import { transcriptDifferences } from './normalise.ts';
import type { Step } from './normalise.ts';
import type { ConformanceCase } from './scene.ts';

/** What the sandbox made of a case. */
export interface Outcome {
  readonly transcript: readonly Step[];
  readonly failure: Error | undefined;
}

/** @throws AssertionError with every difference, or because there is none where one is known */
export function judge({ knownDifference }: ConformanceCase, real: readonly Step[], sandbox: Outcome): void {
  const found = transcriptDifferences(real, sandbox.transcript);
  if (sandbox.failure !== undefined) found.push(`the sandbox: ${sandbox.failure.message.slice(0, 600)}`);
  if (knownDifference === undefined) {
    assert.equal(found.length, 0, `the sandbox answers otherwise than the real server:\n  ${found.join('\n  ')}`);
    return;
  }
  assert.notEqual(found.length, 0, `the known difference has gone, take its mark away: ${knownDifference}`);
}
