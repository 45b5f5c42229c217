// Promises: one side of the exchange benchmark: `exchange()` of a cloud's provider as the operator has it, with the operator's
// transport, the judgement of the host and the reading of the answer. What the operator does around it is not here.
import { cloudProvider } from '../src/providers/clouds.ts';
import { parseEndpointOption } from '../src/providers/endpoints.ts';
import { systemClock } from '../src/runtime/clock.ts';
import { systemRandom } from '../src/runtime/random.ts';
import { undiciTransport } from '../src/transport/undici.ts';
import { serveRuns } from './exchange-runs.ts';
import { DURATION_SECONDS, SESSION_NAME } from './exchange-messages.ts';

/** As the operator's. */
const CONNECT_TIMEOUT_MS = 5_000;

serveRuns(({ target, connections }) => {
  const { entry, error } = parseEndpointOption(target.endpointOption);
  if (entry === undefined) throw new Error(error);
  const provider = cloudProvider({
    transport: undiciTransport({ connections, tls: {}, connectTimeoutMs: CONNECT_TIMEOUT_MS }),
    policy: { entries: [entry], apiServerAudiences: [] },
    clock: systemClock,
    random: systemRandom,
  });
  const { exchange, token } = target;
  const request = { exchange, durationSeconds: DURATION_SECONDS, sessionName: SESSION_NAME, token };
  return async () => {
    const { accessKeyID } = await provider.exchange(request, new AbortController().signal);
    if (typeof accessKeyID !== 'string') throw new Error('no access key id');
  };
});
