// Shows that nothing a bed starts outlives the process that started it, and that the lock lets one in at a time.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { withLock } from '../../beds/lock.ts';
import { waitFor } from '../../beds/wait.ts';

const PROCESSES = new URL('../../beds/processes.ts', import.meta.url).href;

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test('a process that is killed takes its children, its directories and its cgroups with it', async () => {
  const parent = mkdtempSync(join(tmpdir(), 'wc-cgroup-'));
  const cgroup = join(parent, 'cgroup');
  const program = `
    const { mkdirSync } = await import('node:fs');
    const { reapCgroups, startChild, scratchDirectory } = await import(${JSON.stringify(PROCESSES)});
    const directory = scratchDirectory('reaper-test');
    // Directories in one another, without a file that could be removed: as cgroups are.
    mkdirSync(${JSON.stringify(cgroup)} + '/pods/pod', { recursive: true });
    reapCgroups(${JSON.stringify(cgroup)});
    const child = await startChild({
      name: 'idle', command: process.execPath, args: ['-e', 'setInterval(() => {}, 1000)'],
      env: {}, cwd: directory, logFile: directory + '/log',
    });
    console.log(JSON.stringify({ pid: child.pid, directory }));
    setInterval(() => {}, 1000);`;
  const owner = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface({ input: owner.stdout }), 'line')) as [string];
  const { pid, directory } = JSON.parse(line) as { pid: number; directory: string };
  assert.equal(isRunning(pid), true);
  assert.equal(existsSync(directory), true);
  assert.equal(existsSync(cgroup), true);
  owner.kill('SIGKILL');
  await waitFor('the child to be killed', () => !isRunning(pid), { timeoutMs: 20_000 });
  await waitFor('the directory to be removed', () => !existsSync(directory), { timeoutMs: 20_000 });
  assert.equal(existsSync(cgroup), false, 'it goes before the directories');
  rmSync(parent, { recursive: true });
});

test('two that want the lock have it one after the other', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'wc-lock-'));
  try {
    const lock = join(directory, 'lock');
    const order: string[] = [];
    let release = (): void => {};
    const first = withLock(lock, async () => {
      order.push('first in');
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      order.push('first out');
    });
    const second = withLock(
      lock,
      async () => {
        order.push('second in');
        return await Promise.resolve();
      },
      () => {
        order.push('second waits');
        release();
      },
    );
    await Promise.all([first, second]);
    assert.deepEqual(order, ['first in', 'second waits', 'first out', 'second in']);
    assert.equal(existsSync(lock), false);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('the lock of a process that has died is taken over', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'wc-lock-'));
  try {
    const lock = join(directory, 'lock');
    const dead = spawn(process.execPath, ['-e', '']);
    await once(dead, 'exit');
    writeFileSync(lock, String(dead.pid));
    assert.equal(await withLock(lock, async () => await Promise.resolve('mine')), 'mine');
  } finally {
    rmSync(directory, { recursive: true });
  }
});
