// Promises: every case, every sequence and every kubectl command answered alike by the sandbox and by a real
// kube-apiserver, and the recording of the real answers kept true. CONFORMANCE_RECORD=1 writes the recording anew; CONFORMANCE_SEED=n tries one more seed.
// With BED_KUBERNETES the real server is of another version than the sandbox imitates: differences.ts says what it answers then.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ensureBinaries } from '../beds/binaries.ts';
import { startRealBed, startSandboxBed } from './beds.ts';
import type { ConformanceBed } from './beds.ts';
import { CASES } from './cases.ts';
import { OTHER_VERSIONS } from './differences.ts';
import { judge, Version } from './judge.ts';
import { kubectlCases } from './kubectl-cases.ts';
import { runKubectl } from './kubectl.ts';
import { transcriptDifferences } from './normalise.ts';
import type { Step } from './normalise.ts';
import { readRecording, writeRecording } from './recording.ts';
import { runCase } from './scene.ts';
import { digest, OPERATIONS, runSequence, SEEDS } from './sequences.ts';

const OTHER_VERSION = process.env['BED_KUBERNETES'] ?? '';
const { rules, unfit } = OTHER_VERSIONS[OTHER_VERSION] ?? { rules: [], unfit: {} };
const version = new Version(rules);
const RECORDING = process.env['CONFORMANCE_RECORD'] === '1';
if (RECORDING && OTHER_VERSION !== '')
  throw new Error('the recording is of the version that the sandbox imitates: unset BED_KUBERNETES');
const STALE = 'the recording is old: run this suite with CONFORMANCE_RECORD=1 and look at what changed';

let real: ConformanceBed;
let sandbox: ConformanceBed;
const recorded = new Map<string, Record<string, readonly Step[]>>();

function remember(group: string, name: string, steps: readonly Step[]): void {
  if (OTHER_VERSION !== '') return;
  const all = recorded.get(group) ?? {};
  recorded.set(group, { ...all, [name]: steps });
  if (!RECORDING) assert.deepEqual(steps, readRecording(group)[name], STALE);
}

before(async () => {
  [real, sandbox] = await Promise.all([startRealBed(), startSandboxBed()]);
});

after(async () => {
  await Promise.all([real?.stop(), sandbox?.stop()]);
  if (!RECORDING) return;
  for (const [group, all] of recorded) {
    const order = group === 'sequences' ? SEEDS.map(String) : (CASES[group] ?? []).map(({ name }) => name);
    writeRecording(group, Object.fromEntries(order.map((name) => [name, all[name] ?? []])));
  }
});

const flat = Object.entries(CASES).flatMap(([group, cases]) => cases.map((each) => ({ group, each })));
// What waits for a controller's timer starts first.
const ordered = flat.toSorted((a, b) => Number(b.each.slow === true) - Number(a.each.slow === true));

describe(`${flat.length} cases on both servers`, { concurrency: 6 }, () => {
  for (const { group, each } of ordered) {
    test(`${group}: ${each.name}`, async (context) => {
      const [wanted, seen] = await Promise.all([runCase(each, real.client), runCase(each, sandbox.client)]);
      const why = unfit[each.name];
      if (why !== undefined) {
        assert.notEqual(wanted.failure, undefined, `it passes, take its mark away: ${why}`);
        const end = wanted.transcript.length;
        context.diagnostic(`compared as far as its ${end} steps: ${why}`);
        judge(each, wanted.transcript, { transcript: version.of(seen.transcript).slice(0, end), failure: undefined });
        return;
      }
      assert.ifError(wanted.failure);
      remember(group, each.name, wanted.transcript);
      judge(each, wanted.transcript, { ...seen, transcript: version.of(seen.transcript) });
    });
  }
});

async function inLockStep(seed: number, know: (steps: readonly Step[]) => void = () => {}): Promise<void> {
  const [wanted, seen] = await Promise.all([
    runSequence(real.client, seed, OPERATIONS),
    runSequence(sandbox.client, seed, OPERATIONS),
  ]);
  know(digest(wanted));
  const found = transcriptDifferences(wanted, version.of(seen));
  assert.equal(found.length, 0, `seed ${seed}:\n  ${found.slice(0, 20).join('\n  ')}`);
}

const fresh = Number(process.env['CONFORMANCE_SEED'] ?? Date.now() % 1_000_000) + 1000;

describe(`${(SEEDS.length + 1) * OPERATIONS} random operations on both servers`, { concurrency: 3 }, () => {
  for (const seed of SEEDS) {
    test(`the sequence of seed ${seed}`, async () => {
      await inLockStep(seed, (steps) => {
        remember('sequences', String(seed), steps);
      });
    });
  }
  test(`a new sequence: CONFORMANCE_SEED=${fresh - 1000}`, async () => {
    await inLockStep(fresh);
  });
});

describe(`kubectl: ${kubectlCases.length} stories on both servers`, { concurrency: 2 }, () => {
  for (const each of kubectlCases) {
    test(each.name, { timeout: 120_000 }, async () => {
      const file = (await ensureBinaries(['kubectl'])).path('kubectl');
      const [wanted, seen] = await Promise.all([runKubectl(file, real, each), runKubectl(file, sandbox, each)]);
      assert.ifError(wanted.failure);
      for (const [index, command] of wanted.commands.entries()) {
        const other = seen.commands[index];
        assert.deepEqual(other && { ...other, output: version.printed(other.output) }, command);
      }
      assert.ifError(seen.failure);
      assert.equal(seen.commands.length, wanted.commands.length);
    });
  }
});

test('each rule of the version was needed', () => {
  assert.deepEqual(version.unused(), []);
});
