import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ResolvedExchange } from '../../../src/api/resolved.ts';
import { allClouds, type CloudProviders } from '../../../src/providers/clouds.ts';
import type { ExchangeRequest } from '../../../src/providers/provider.ts';

const CLOUDS = ['AWS', 'AlibabaCloud', 'Volcengine'] as const;

test("each exchange goes to its own cloud's provider, with the same request and signal", async () => {
  const seen: unknown[] = [];
  const fake = (cloud: string) => ({
    cloud,
    endpoint: () => new URL(`https://${cloud}.example`),
    exchange: (...call: unknown[]) => {
      seen.push([cloud, ...call]);
      return Promise.resolve({ accessKeyID: cloud });
    },
  });
  const providers = Object.fromEntries(CLOUDS.map((cloud) => [cloud, fake(cloud)])) as unknown as CloudProviders;
  const all = allClouds(providers);
  const { signal } = new AbortController();
  for (const cloud of CLOUDS) {
    const exchange = { cloud } as unknown as ResolvedExchange;
    const request = { exchange } as unknown as ExchangeRequest;
    assert.equal(all.endpoint(exchange).host, `${cloud.toLowerCase()}.example`);
    assert.equal((await all.exchange(request, signal)).accessKeyID, cloud);
    assert.deepEqual(seen.pop(), [cloud, request, signal]);
  }
});
