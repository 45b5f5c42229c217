// Promises: one holder at a time of a lock file, for work that would be wasted if two processes did it at once. A holder
// that died is noticed. In a rare race two may hold it: what it guards must be harmless when done twice (build, then rename).
import { readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** A holder touches its file this often, and is taken for dead after missing four touches. */
const HEARTBEAT_MS = 15_000;

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function isStale(file: string): Promise<boolean> {
  try {
    const pid = Number(await readFile(file, 'utf8'));
    const { mtimeMs } = await stat(file);
    const silentMs = Date.now() - mtimeMs;
    if (silentMs > 4 * HEARTBEAT_MS) return true;
    // An empty file is one whose owner is about to write its number. A process of another container has no number here.
    return pid > 0 && !isRunning(pid) && silentMs > 1_000;
  } catch {
    return false;
  }
}

/**
 * Runs `work` while holding the lock file; waits as long as another process holds it.
 * @param onWait called once when somebody else holds it.
 */
export async function withLock<T>(file: string, work: () => Promise<T>, onWait: () => void = () => {}): Promise<T> {
  let waited = false;
  for (;;) {
    try {
      await writeFile(file, String(process.pid), { flag: 'wx' });
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    if (await isStale(file)) {
      await rm(file, { force: true });
      continue;
    }
    if (!waited) onWait();
    waited = true;
    await sleep(200);
  }
  const heartbeat = setInterval(() => {
    const now = new Date();
    void utimes(file, now, now).catch(() => {});
  }, HEARTBEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    await rm(file, { force: true });
  }
}
