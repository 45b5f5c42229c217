// Promises: runs one command to its end with an explicit environment, bounded in time and output.
import { spawn } from 'node:child_process';
import { forgetProcess, reapProcess } from './processes.ts';

/** How a command ended. */
export interface CommandResult {
  readonly stdout: string;
  readonly stderr: string;
  /** null when it was ended by a signal (a time-out, say). */
  readonly code: number | null;
}

/** How to run it. */
export interface CommandOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly stdin?: string;
  /** Default 60 s; then it is killed. */
  readonly timeoutMs?: number;
}

/** Runs a command; a status other than 0 is an answer and not an error. @throws Error when it cannot be started. */
export async function runCommand(
  file: string,
  args: readonly string[],
  { env, cwd, stdin = '', timeoutMs = 60_000 }: CommandOptions,
): Promise<CommandResult> {
  return await new Promise((resolve, reject) => {
    const child = spawn(file, args, { env, cwd, stdio: 'pipe', timeout: timeoutMs, killSignal: 'SIGKILL' });
    const { pid } = child;
    if (pid !== undefined) reapProcess(pid);
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
    });
    child.once('error', reject);
    child.once('close', (code) => {
      if (pid !== undefined) forgetProcess(pid);
      resolve({ stdout, stderr, code });
    });
    child.stdin.on('error', () => {
      // It did not read all of its input, which is its business.
    });
    child.stdin.end(stdin);
  });
}
