// Promises: the processes of a benchmark: started with a channel, asked one question after the other, and ended with it.
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ClientCommand, ServersCommand as ExchangeServersCommand } from './exchange-messages.ts';
import type { ScriptCommand, ServersCommand } from './messages.ts';

type Command = ServersCommand | ScriptCommand | ExchangeServersCommand | ClientCommand;

/** All that were started, and what else is to end with them. */
export const children: ChildProcess[] = [];

/** Starts a file beside this one. */
export function forkChild(file: string, execArgv: readonly string[] = []): ChildProcess {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    execArgv: [...execArgv],
  });
  children.push(child);
  return child;
}

/** Asks a child; it answers one question after the other. */
export async function ask<T>(child: ChildProcess, command: Command): Promise<T> {
  return await new Promise<T>((resolve, reject) => {
    const onExit = (): void => reject(new Error(`a process of the benchmark ended at "${command.ask}"`));
    child.once('exit', onExit);
    child.once('message', (message) => {
      child.off('exit', onExit);
      resolve(message as T);
    });
    child.send(command);
  });
}

/** A signal to the benchmark ends them all. */
export function endWithUs(): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      for (const child of children) child.kill('SIGTERM');
    });
  }
}
