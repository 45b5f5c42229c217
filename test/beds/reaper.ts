// Promises: when the process that started it ends, however it ends (SIGKILL included), the processes that it registered
// are killed and the directories that it registered are removed. Reads lines `+pid N`, `-pid N`, `+dir PATH`, `-dir PATH` and
// `+cgr PATH` (a cgroup) from standard input; end of input means that the owner is gone. It touches nothing that was not
// registered.
import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

const pids = new Set<number>();
const directories = new Set<string>();
const cgroups = new Set<string>();

function take(line: string): void {
  const operation = line.slice(0, 4);
  const value = line.slice(5);
  if (operation === '+pid') pids.add(Number(value));
  else if (operation === '-pid') pids.delete(Number(value));
  else if (operation === '+dir') directories.add(value);
  else if (operation === '-dir') directories.delete(value);
  else if (operation === '+cgr') cgroups.add(value);
}

/** The files of a cgroup cannot be removed; the directory goes with them, once no process and no directory is in it. */
function removeCgroup(directory: string): void {
  try {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      if (entry.isDirectory()) removeCgroup(join(directory, entry.name));
    }
    rmdirSync(directory);
  } catch {
    // It has gone by itself, or a process is still in it.
  }
}

for await (const line of createInterface({ input: process.stdin })) take(line);
for (const pid of pids) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
if (pids.size > 0) await sleep(300);
// The kernel takes a moment to end a whole namespace.
for (let attempt = 0; attempt < 50 && [...cgroups].some((directory) => existsSync(directory)); attempt++) {
  if (attempt > 0) await sleep(100);
  for (const directory of cgroups) removeCgroup(directory);
}
for (const directory of directories)
  rmSync(directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
