// Promises: one sandbox serves the STS of three clouds, with addresses that the operator's own option takes, and one audience
// for all where that is asked.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startSandbox } from '../../sandbox/sandbox.ts';
import type { Sandbox } from '../../sandbox/sandbox.ts';
import { parseOptions } from '../../src/options.ts';

async function withSandbox(
  options: Parameters<typeof startSandbox>[0],
  use: (sandbox: Sandbox) => Promise<void>,
): Promise<void> {
  const sandbox = await startSandbox(options);
  try {
    await use(sandbox);
  } finally {
    await sandbox.stop();
  }
}

function endpointsOf({ aws, alibabaCloud, volcengine }: Sandbox) {
  const flags = [aws, alibabaCloud, volcengine].map(({ endpointOption }) => `--sts-endpoint=${endpointOption}`);
  const parsed = parseOptions(['--kubeconfig=unused', '--leader-elect=false', ...flags]);
  assert.ok(parsed.kind === 'run', JSON.stringify(parsed));
  return parsed.options.stsEndpoints;
}

describe('the STS servers of one sandbox', () => {
  test('the operator takes their addresses, with the audience that the sandbox was given', async () => {
    await withSandbox({ clientIDs: ['sts.sandbox.example'] }, async (sandbox) => {
      const { aws, alibabaCloud, volcengine } = sandbox;
      assert.deepEqual(
        endpointsOf(sandbox).map(({ cloud, host, audiences }) => [cloud, host, ...audiences]),
        [
          ['AWS', aws.url.host, 'sts.sandbox.example'],
          ['AlibabaCloud', alibabaCloud.url.host, 'sts.sandbox.example'],
          ['Volcengine', volcengine.url.host, 'sts.sandbox.example'],
        ],
      );
      assert.equal(new Set([aws.url.port, alibabaCloud.url.port, volcengine.url.port]).size, 3);
    });
  });

  test('one audience may be for all, and TLS too; a token is accepted by each', async () => {
    await withSandbox({ clientIDs: ['bed'], stsTLS: true }, async (sandbox) => {
      await sandbox.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'a', namespace: 'default' } });
      const token = await sandbox.mintToken('default', 'a', { audiences: ['bed'] });
      const { aws, alibabaCloud, volcengine } = sandbox;
      for (const { url, endpointOption } of [aws, alibabaCloud, volcengine]) {
        assert.equal(url.protocol, 'https:');
        assert.match(endpointOption, /=bed$/);
      }
      aws.addRole({ arn: 'arn:aws:iam::123456789012:role/orders' });
      alibabaCloud.addRole({ arn: 'acs:ram::1000000000000001:role/orders' });
      volcengine.addRole({ arn: 'trn:iam::2100000001:role/orders' });
      const exchanges = [
        [
          aws,
          '',
          {
            Action: 'AssumeRoleWithWebIdentity',
            RoleArn: 'arn:aws:iam::123456789012:role/orders',
            WebIdentityToken: token,
          },
        ],
        [
          alibabaCloud,
          '?Action=AssumeRoleWithOIDC&Version=2015-04-01',
          {
            RoleArn: 'acs:ram::1000000000000001:role/orders',
            OIDCProviderArn: alibabaCloud.service.providerARN('1000000000000001'),
            OIDCToken: token,
          },
        ],
        [
          volcengine,
          '?Action=AssumeRoleWithOIDC&Version=2018-01-01',
          { RoleTrn: 'trn:iam::2100000001:role/orders', OIDCToken: token },
        ],
      ] as const;
      for (const [{ service, calls }, query, fields] of exchanges) {
        const body = Buffer.from(new URLSearchParams({ ...fields, RoleSessionName: 'session' }).toString());
        const { signal } = new AbortController();
        await service.handle({ method: 'POST', target: `/${query}`, headers: {}, body, signal });
        assert.equal(calls.at(-1)?.outcome, 'Issued');
      }
    });
  });
});
