// Promises: the programs that the tests of alerts need, or why they cannot run: a failure where CI=true, else a skip that
// says what is missing.
import { MissingToolError } from '../beds/binaries.ts';
import { ensurePrometheus, type PrometheusTools } from '../beds/prometheus.ts';

/** The programs; `skip` is false, or the sentence. */
export interface Availability {
  readonly skip: string | false;
  /** @throws Error when they are missing. */
  readonly tools: () => PrometheusTools;
}

/** Looks, and unpacks them into the cache the first time. @throws MissingToolError with CI=true. */
export async function prometheusOrSkip(): Promise<Availability> {
  try {
    const found = await ensurePrometheus();
    return { skip: false, tools: () => found };
  } catch (error) {
    if (!(error instanceof MissingToolError) || process.env['CI'] === 'true') throw error;
    return {
      skip: error.message,
      tools: () => {
        throw error;
      },
    };
  }
}
