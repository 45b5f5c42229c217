// Promises: a program that makes the exchanges on its standard input through the providers, over real sockets, and writes what
// came of each to its standard output: one line of JSON, nothing else. For tests that start it in a hostile environment.
import { text } from 'node:stream/consumers';
import type { ResolvedExchange } from '../../src/api/resolved.ts';
import { acceptAnswer } from '../../src/credential/credentials.ts';
import type { EndpointPolicy } from '../../src/providers/endpoints.ts';
import { cloudProvider } from '../../src/providers/clouds.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { systemRandom } from '../../src/runtime/random.ts';
import { undiciTransport } from '../../src/transport/undici.ts';

/** What to do. */
export interface ChildInput {
  readonly policy: EndpointPolicy;
  readonly exchanges: readonly { readonly exchange: ResolvedExchange; readonly token: string }[];
}

const { policy, exchanges } = JSON.parse(await text(process.stdin)) as ChildInput;
const transport = undiciTransport({ connections: 2, tls: {}, connectTimeoutMs: 5_000 });
const provider = cloudProvider({ transport, policy, clock: systemClock, random: systemRandom });
const results: string[] = [];
for (const { exchange, token } of exchanges) {
  const request = { exchange, durationSeconds: 3600, sessionName: 'shop.orders.orders', token };
  try {
    const answer = await provider.exchange(request, new AbortController().signal);
    results.push(acceptAnswer(answer, 3600, systemClock.now()).accessKeyID);
  } catch (error) {
    results.push(String(error));
  }
}
await transport.close();
process.stdout.write(`${JSON.stringify(results)}\n`);
