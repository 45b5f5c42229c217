// Promises: what the real server answered, kept as JSON lines: one file a group, one line a step, so that a change is a
// small diff. The sandbox is compared with it where no real server is at hand; the suite on both beds keeps it true.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { Step } from './normalise.ts';

/** Steps by the name of their case. */
export type Recording = Readonly<Record<string, readonly Step[]>>;

const DIRECTORY = new URL('../fixtures/conformance/', import.meta.url);
const read = new Map<string, Recording>();

interface Line extends Step {
  readonly case: string;
}

/** Empty when there is no file. */
export function readRecording(group: string): Recording {
  const known = read.get(group);
  if (known !== undefined) return known;
  const recording: Record<string, Step[]> = {};
  for (const line of textOf(group).split('\n')) {
    if (line === '') continue;
    const { case: name, ...step } = JSON.parse(line) as Line;
    (recording[name] ??= []).push(step);
  }
  read.set(group, recording);
  return recording;
}

function textOf(group: string): string {
  try {
    return readFileSync(new URL(`${group}.jsonl`, DIRECTORY), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

export function writeRecording(group: string, recording: Recording): void {
  mkdirSync(DIRECTORY, { recursive: true });
  const lines = Object.entries(recording).flatMap(([name, steps]) =>
    steps.map((step) => `${JSON.stringify({ case: name, ...step })}\n`),
  );
  writeFileSync(new URL(`${group}.jsonl`, DIRECTORY), lines.join(''));
}
