// Promises: what a process holds at a moment: memory after a collection, descriptors, sockets and timers; of this process, or
// of an operator's own through Node's inspector, so that nothing in src is there for it. Linux only (/proc).
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { OperatorProcess } from '../beds/operator.ts';

/** What a process holds. */
export interface Vitals {
  readonly heapUsedBytes: number;
  readonly residentBytes: number;
  readonly fileDescriptors: number;
  /** Those of the descriptors that are sockets, listening ones included. */
  readonly sockets: number;
  readonly timers: number;
}

/** How far a process may be from its baseline: what pools and caches may keep, and a leak for each fault may not. */
export interface Margins {
  readonly heapBytes: number;
  readonly sockets: number;
  readonly timers: number;
}

/** For startOperator: an inspector on a port of the system's choice. */
export const INSPECTED = ['--inspect=127.0.0.1:0'];

const LISTENING = /^Debugger listening on (ws:\/\/127\.0\.0\.1:\d+\/\S+)$/;
const LOOK = `JSON.stringify({
  heapUsedBytes: process.memoryUsage().heapUsed,
  timers: process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length,
})`;
const MIB = 1 << 20;

/** What a process holds open. */
export function descriptors(pid: number | 'self'): { fileDescriptors: number; sockets: number } {
  const all = readdirSync(`/proc/${pid}/fd`).map((descriptor) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${descriptor}`);
    } catch {
      // The one that lists the directory is gone by now.
      return undefined;
    }
  });
  const open = all.filter((target) => target !== undefined);
  return { fileDescriptors: open.length, sockets: open.filter((target) => target.startsWith('socket:')).length };
}

function residentBytes(pid: number | 'self'): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kibibytes) * 1_024;
}

/** This process's descriptors, sockets and timers. */
export function openHere(): Pick<Vitals, 'fileDescriptors' | 'sockets' | 'timers'> {
  const timers = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  return { ...descriptors('self'), timers };
}

interface Answer {
  readonly id?: number;
  readonly result?: { readonly result?: { readonly value?: string } };
}

/** Asks the inspector and leaves: an attached one would be a socket more. https://chromedevtools.github.io/devtools-protocol */
async function askInspector(url: string): Promise<{ heapUsedBytes: number; timers: number }> {
  const socket = new WebSocket(url);
  const opened = Promise.withResolvers<void>();
  const waiting = new Map<number, (answer: Answer) => void>();
  socket.addEventListener('open', () => opened.resolve());
  socket.addEventListener('error', () => opened.reject(new Error(`no inspector at ${url}`)));
  socket.addEventListener('message', ({ data }) => {
    const answer = JSON.parse(String(data)) as Answer;
    if (answer.id !== undefined) waiting.get(answer.id)?.(answer);
  });
  await opened.promise;
  const call = async (method: string, params: object = {}): Promise<Answer> =>
    await new Promise((resolve) => {
      const id = waiting.size + 1;
      waiting.set(id, resolve);
      socket.send(JSON.stringify({ id, method, params }));
    });
  // The second one takes what finalizers of the first let go.
  await call('HeapProfiler.collectGarbage');
  await call('HeapProfiler.collectGarbage');
  const { result } = await call('Runtime.evaluate', { expression: LOOK, returnByValue: true });
  const closed = new Promise((resolve) => socket.addEventListener('close', resolve));
  socket.close();
  await closed;
  return JSON.parse(result?.result?.value ?? '{}') as { heapUsedBytes: number; timers: number };
}

/** What an operator holds. It was started with INSPECTED among its nodeArgs. */
export async function vitalsOf(operator: OperatorProcess): Promise<Vitals> {
  const { text } = await operator.waitForLog(({ text: line }) => LISTENING.test(line));
  const inside = await askInspector(LISTENING.exec(text)?.[1] ?? '');
  return { ...inside, ...descriptors(operator.pid), residentBytes: residentBytes(operator.pid) };
}

/** In words. */
export function describeVitals(vitals: Vitals): string {
  const memory = `${(vitals.heapUsedBytes / MIB).toFixed(1)} MiB of heap, ${Math.round(vitals.residentBytes / MIB)} MiB resident`;
  return `${memory}, ${vitals.fileDescriptors} descriptors of which ${vitals.sockets} sockets, ${vitals.timers} timers`;
}

/** @throws AssertionError with both when `after` is beyond `before` by more than the margins. Less is never wrong. */
export function assertBackTo(before: Vitals, after: Vitals, margins: Margins): void {
  const told = `before: ${describeVitals(before)}; after: ${describeVitals(after)}`;
  const files = (vitals: Vitals): number => vitals.fileDescriptors - vitals.sockets;
  assert.ok(after.heapUsedBytes <= before.heapUsedBytes + margins.heapBytes, `memory: ${told}`);
  assert.ok(after.sockets <= before.sockets + margins.sockets, `sockets: ${told}`);
  assert.ok(after.timers <= before.timers + margins.timers, `timers: ${told}`);
  assert.ok(files(after) <= files(before), `files: ${told}`);
}
