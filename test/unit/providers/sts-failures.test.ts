// A region that looks like one and does not exist cannot be known without asking for its host: when that has no address, the
// condition names the field, the value and what to do.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ResolvedExchange } from '../../../src/api/resolved.ts';
import { CredentialError } from '../../../src/credential/errors.ts';
import { cloudProvider } from '../../../src/providers/clouds.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { systemRandom } from '../../../src/runtime/random.ts';
import { toTransportError } from '../../../src/transport/failures.ts';
import type { Transport } from '../../../src/transport/transport.ts';

/** A network on which every look-up or connection ends with the code. */
function network(code: string): Transport {
  return {
    send: ({ url }) => Promise.reject(toTransportError(Object.assign(new Error('no'), { code }), url)),
    close: () => Promise.resolve(),
  };
}

const EXCHANGES: readonly (readonly [field: string, host: string, exchange: ResolvedExchange])[] = [
  [
    'spec.aws',
    'sts.eu-west-99.amazonaws.com',
    {
      cloud: 'AWS',
      roleARN: 'arn:aws:iam::123456789012:role/orders',
      region: 'eu-west-99',
      audience: 'sts.amazonaws.com',
      endpointType: 'Regional',
      policyARNs: [],
      roleChain: [],
    },
  ],
  [
    'spec.alibabaCloud',
    'sts.cn-atlantis.aliyuncs.com',
    {
      cloud: 'AlibabaCloud',
      roleARN: 'acs:ram::1234567890123456:role/orders',
      oidcProviderARN: 'acs:ram::1234567890123456:oidc-provider/cluster',
      region: 'cn-atlantis',
      audience: 'sts.aliyuncs.com',
      network: 'Public',
      roleChain: [],
    },
  ],
  [
    'spec.volcengine',
    'sts.cn-atlantis.volcengineapi.com',
    {
      cloud: 'Volcengine',
      roleTRN: 'trn:iam::2100000001:role/orders',
      region: 'cn-atlantis',
      audience: 'sts.volcengine.com',
      roleChain: [],
    },
  ],
];

async function failure(exchange: ResolvedExchange, code: string): Promise<CredentialError> {
  const policy = { entries: [], apiServerAudiences: [] };
  const provider = cloudProvider({ transport: network(code), policy, clock: systemClock, random: systemRandom });
  const request = { exchange, durationSeconds: 3600, sessionName: 'shop.orders.orders', token: 'a.b.c' };
  const error: unknown = await provider
    .exchange(request, new AbortController().signal)
    .catch((thrown: unknown) => thrown);
  assert.ok(error instanceof CredentialError, String(error));
  return error;
}

for (const [field, host, exchange] of EXCHANGES) {
  test(`${exchange.cloud}: a region whose host has no address is told as a region to correct`, async () => {
    const { code, message } = await failure(exchange, 'ENOTFOUND');
    assert.equal(code, 'STSUnavailable');
    assert.ok(message.startsWith(`STS at ${host} gave no answer for `), message);
    assert.ok(message.includes(`correct ${field}.region, or ${field}.endpoint where it is set`), message);
  });

  test(`${exchange.cloud}: a host that refuses connections says nothing about the region`, async () => {
    const { code, message } = await failure(exchange, 'ECONNREFUSED');
    assert.equal(code, 'STSUnavailable');
    assert.doesNotMatch(message, /region/);
  });
}
