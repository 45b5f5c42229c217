// Promises: the sandbox answers as kube-apiserver was recorded to answer (test/conformance), where no real one is at hand.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startSandboxBed } from '../conformance/beds.ts';
import type { ConformanceBed } from '../conformance/beds.ts';
import { CASES } from '../conformance/cases.ts';
import { judge } from '../conformance/judge.ts';
import { transcriptDifferences } from '../conformance/normalise.ts';
import { readRecording } from '../conformance/recording.ts';
import { runCase } from '../conformance/scene.ts';
import { digest, OPERATIONS, runSequence, SEEDS } from '../conformance/sequences.ts';

describe('the sandbox against the recorded answers of the real API server', { concurrency: 8 }, () => {
  let sandbox: ConformanceBed;
  before(async () => {
    sandbox = await startSandboxBed();
  });
  after(async () => {
    await sandbox?.stop();
  });

  for (const [group, cases] of Object.entries(CASES)) {
    const recording = readRecording(group);
    for (const each of cases) {
      test(`${group}: ${each.name}`, async () => {
        const wanted = recording[each.name];
        assert.ok(wanted !== undefined, 'it was never recorded: npm run test:conformance with CONFORMANCE_RECORD=1');
        judge(each, wanted, await runCase(each, sandbox.client));
      });
    }
  }

  const sequences = readRecording('sequences');
  for (const seed of SEEDS) {
    test(`the sequence of seed ${seed}`, async () => {
      const found = transcriptDifferences(
        sequences[String(seed)] ?? [],
        digest(await runSequence(sandbox.client, seed, OPERATIONS)),
      );
      assert.equal(found.length, 0, `npm run test:conformance shows why:\n  ${found.slice(0, 3).join('\n  ')}`);
    });
  }
});
