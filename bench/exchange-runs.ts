// Promises: a client process of the exchange benchmark: it does what it is told to, as often and as many at a time, and says what
// its process spent on that. What one exchange is, it does not know.
import type { ClientCommand, ClientResult, Target } from './exchange-messages.ts';

/** As many connections as the operator has to an STS. */
const CONNECTIONS = 16;

/** Makes an exchange for a target. */
export type MakeExchange = (given: { readonly target: Target; readonly connections: number }) => () => Promise<void>;

/** Serves the parent's commands until it goes. */
export function serveRuns(make: MakeExchange): void {
  let exchange: (() => Promise<void>) | undefined;
  const run = async (total: number, inFlight: number): Promise<ClientResult> => {
    if (exchange === undefined) throw new Error('not started');
    const [cpu, startMs] = [process.cpuUsage(), performance.now()];
    let begun = 0;
    const worker = async (): Promise<void> => {
      while (begun < total) {
        begun += 1;
        await exchange?.();
      }
    };
    await Promise.all(Array.from({ length: inFlight }, worker));
    const { user, system } = process.cpuUsage(cpu);
    return { exchanges: begun, cpuMs: (user + system) / 1000, wallMs: performance.now() - startMs };
  };
  const answer = async (command: ClientCommand): Promise<object> => {
    if (command.ask === 'run') return await run(command.exchanges, command.inFlight);
    exchange = make({ target: command.target, connections: CONNECTIONS });
    return {};
  };
  // A failure ends the process, which the parent notices.
  process.on('message', (command: ClientCommand) => void answer(command).then((result) => process.send?.(result)));
  process.on('disconnect', () => process.exit(0));
}
