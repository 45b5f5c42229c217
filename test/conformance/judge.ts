// Promises: the verdict on one case: what the real server said against what the sandbox says. A known difference must be
// one; any other is an error that shows both answers. For another version of Kubernetes than the sandbox imitates its rules
// are applied to the sandbox's answers first, and each has to have been needed.
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import { transcriptDifferences } from './normalise.ts';
import type { Step } from './normalise.ts';
import type { ConformanceCase } from './scene.ts';
import type { VersionRule } from './version-rules.ts';

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

/** Turns the sandbox's answers into those of a version, and keeps which rules have changed something. */
export class Version {
  readonly #rules: readonly VersionRule[];
  readonly #used = new Set<VersionRule>();

  constructor(rules: readonly VersionRule[]) {
    this.#rules = rules;
  }

  /** The transcript as the version would have answered. */
  of(sandbox: readonly Step[]): Step[] {
    return sandbox.map((step) => this.#rules.reduce((before, rule) => this.#apply(rule, before), step));
  }

  /** What kubectl prints of the sandbox, as it would have printed it of the version. */
  printed(output: string): string {
    return this.#rules.reduce((before, rule) => rule.print?.(before) ?? before, output);
  }

  #apply(rule: VersionRule, before: Step): Step {
    const after = rule.apply(before);
    if (!isDeepStrictEqual(after, before)) this.#used.add(rule);
    return after;
  }

  /** The rules that have changed no answer: they are not true of the version, or no case shows them. */
  unused(): string[] {
    return this.#rules.filter((rule) => !this.#used.has(rule)).map(({ why }) => why);
  }
}
