// Promises: CPU time and memory of another process as Linux tells them in /proc. Reading costs that process nothing.
import { existsSync, globSync, readFileSync } from 'node:fs';

/** USER_HZ, which Linux fixes at 100 for programs (proc_pid_stat(5)). */
const TICKS_PER_SECOND = 100;

/** User and system time in milliseconds, from /proc/PID/stat. The name, field 2, may hold spaces and brackets itself. */
export function cpuMsIn(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(') ') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND;
}

/** Resident memory in MiB, now and at its highest, from /proc/PID/status. */
export function memoryIn(status: string): { readonly residentMiB: number; readonly peakMiB: number } {
  const read = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 1024;
  return { residentMiB: read('VmRSS'), peakMiB: read('VmHWM') };
}

/** Time on a CPU in milliseconds, from a thread's /proc/PID/task/TID/schedstat, which counts nanoseconds. */
export function threadMsIn(schedstat: string): number {
  return Number(schedstat.split(' ')[0]) / 1e6;
}

/** User and system time of all threads of a process so far, in steps of 10 ms. */
export function cpuMs(pid: number): number {
  return cpuMsIn(readFileSync(`/proc/${pid}/stat`, 'utf8'));
}

/** Resident memory of a process. */
export function memoryOf(pid: number): ReturnType<typeof memoryIn> {
  return memoryIn(readFileSync(`/proc/${pid}/status`, 'utf8'));
}

/** Time of the threads that live, without the steps of `cpuMs`, where the kernel counts it. For a process at rest: no thread ends. */
export function fineCPUMs(pid: number): number {
  const files = globSync(`/proc/${pid}/task/*/schedstat`);
  if (files.length === 0) return cpuMs(pid);
  return files.reduce((so, file) => so + threadMsIn(readFileSync(file, 'utf8')), 0);
}

/** @throws Error where there is no /proc */
export function needProc(): void {
  if (!existsSync('/proc/self/stat')) throw new Error('the benchmark reads CPU times from /proc: run it on Linux');
}
