// Promises: the programs that the tests of alerts need, or a failure that names the package and how to get it. Without them
// nothing is tested, so that only a person who says so may skip: SKIP_PROMETHEUS_TESTS=true, which counts for nothing with CI=true.
import { MissingToolError } from '../beds/binaries.ts';
import { ensurePrometheus, type PrometheusTools } from '../beds/prometheus.ts';

/** By which a person skips what needs Prometheus. */
export const SKIP_VARIABLE = 'SKIP_PROMETHEUS_TESTS';

/** The programs; `skip` is false, or the sentence. */
export interface Availability {
  readonly skip: string | false;
  /** @throws Error when they are skipped. */
  readonly tools: () => PrometheusTools;
}

/** Where to look, for a test of this file. */
export interface Surroundings {
  readonly ensure?: () => Promise<PrometheusTools>;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

function skipped(sentence: string): Availability {
  return {
    skip: sentence,
    tools: () => {
      throw new Error(sentence);
    },
  };
}

/** Looks, and unpacks them into the cache the first time. @throws MissingToolError where they are not and cannot be had. */
export async function prometheusOrSkip({
  ensure = ensurePrometheus,
  env = process.env,
}: Surroundings = {}): Promise<Availability> {
  const maySkip = env['CI'] !== 'true';
  if (maySkip && env[SKIP_VARIABLE] === 'true') return skipped(`${SKIP_VARIABLE} is true`);
  try {
    const found = await ensure();
    return { skip: false, tools: () => found };
  } catch (error) {
    if (!(error instanceof MissingToolError)) throw error;
    const orSkip = maySkip ? ` ${SKIP_VARIABLE}=true skips what needs them.` : '';
    throw new MissingToolError(
      `The alerts cannot be tested: prometheus and promtool are missing. ${error.message}${orSkip}`,
      {
        cause: error,
      },
    );
  }
}
