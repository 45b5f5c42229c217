// Promises: the clouds as one Provider: each exchange goes to its own cloud's. May not know what a
// cloud does.
import type { ResolvedExchange } from '../api/resolved.ts';
import type { ExchangeAnswer } from '../credential/credentials.ts';
import { type AlibabaCloudOptions, alibabaCloudProvider } from './alibaba-cloud.ts';
import { awsProvider } from './aws.ts';
import type { AnyCloud, ExchangeRequest, Provider } from './provider.ts';
import { volcengineProvider } from './volcengine.ts';

/** A provider for each cloud. */
export type CloudProviders = {
  readonly [C in ResolvedExchange['cloud']]: Provider<Extract<ResolvedExchange, { cloud: C }>>;
};

class Clouds implements AnyCloud {
  readonly #providers: CloudProviders;

  constructor(providers: CloudProviders) {
    this.#providers = providers;
  }

  endpoint(exchange: ResolvedExchange): URL {
    return this.#of(exchange).endpoint(exchange);
  }

  exchange(request: ExchangeRequest, signal: AbortSignal): Promise<ExchangeAnswer> {
    return this.#of(request.exchange).exchange(request, signal);
  }

  /** The types agree by construction, which the compiler cannot see through a key that it does not know. */
  #of(exchange: ResolvedExchange): Provider {
    return this.#providers[exchange.cloud] as Provider;
  }
}

/** Providers as one. */
export function allClouds(providers: CloudProviders): AnyCloud {
  return new Clouds(providers);
}

/** The three clouds as one Provider. */
export function cloudProvider(options: AlibabaCloudOptions): AnyCloud {
  return allClouds({
    AWS: awsProvider(options),
    AlibabaCloud: alibabaCloudProvider(options),
    Volcengine: volcengineProvider(options),
  });
}
