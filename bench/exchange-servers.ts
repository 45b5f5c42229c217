// Promises: the sandbox's three STS, and the issuer of their tokens, as a process of their own, so that their CPU is nobody
// else's; and what their own logs have counted.
import { startSandbox } from '../sandbox/sandbox.ts';
import type { RunningService, Sandbox } from '../sandbox/sandbox.ts';
import { AUDIENCE, CLOUD_NAMES } from './exchange-messages.ts';
import type { CloudName, ServersCommand, STSCounts, Target, Targets } from './exchange-messages.ts';

const NAMESPACE = 'shop';
const SERVICE_ACCOUNT = 'orders';
const ROLES = {
  AWS: 'arn:aws:iam::123456789012:role/orders',
  AlibabaCloud: 'acs:ram::1234567890123456:role/orders',
  Volcengine: 'trn:iam::2100000001:role/orders',
} as const;

const sandbox = await startSandbox({ clientIDs: [AUDIENCE] });

function services({ aws, alibabaCloud, volcengine }: Sandbox): Readonly<Record<CloudName, RunningService>> {
  return { AWS: aws, AlibabaCloud: alibabaCloud, Volcengine: volcengine };
}

async function targets(): Promise<Targets> {
  await sandbox.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
  await sandbox.apply({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: SERVICE_ACCOUNT, namespace: NAMESPACE },
  });
  for (const name of CLOUD_NAMES) services(sandbox)[name].addRole({ arn: ROLES[name] });
  const options = { audiences: [AUDIENCE], expirationSeconds: 86_400 };
  const token = await sandbox.mintToken(NAMESPACE, SERVICE_ACCOUNT, options);
  const { aws, alibabaCloud, volcengine } = sandbox;
  const common = { audience: AUDIENCE, roleChain: [] };
  const target = (exchange: Target['exchange']): Target => {
    return { exchange, endpointOption: services(sandbox)[exchange.cloud].endpointOption, token };
  };
  return {
    AWS: target({
      ...common,
      cloud: 'AWS',
      roleARN: ROLES.AWS,
      region: 'eu-west-1',
      endpoint: aws.url.origin,
      endpointType: 'Regional',
      policyARNs: [],
    }),
    AlibabaCloud: target({
      ...common,
      cloud: 'AlibabaCloud',
      roleARN: ROLES.AlibabaCloud,
      oidcProviderARN: alibabaCloud.service.providerARN(ROLES.AlibabaCloud.split(':')[3] ?? ''),
      region: 'cn-hangzhou',
      network: 'Public',
      endpoint: alibabaCloud.url.origin,
    }),
    Volcengine: target({
      ...common,
      cloud: 'Volcengine',
      roleTRN: ROLES.Volcengine,
      region: 'cn-beijing',
      endpoint: volcengine.url.origin,
    }),
  };
}

function counts(): STSCounts {
  const count = (name: CloudName) => {
    const { calls } = services(sandbox)[name];
    const issued = calls.filter(({ outcome }) => outcome === 'Issued').length;
    return { issued, others: calls.length - issued };
  };
  return { AWS: count('AWS'), AlibabaCloud: count('AlibabaCloud'), Volcengine: count('Volcengine') };
}

async function answer({ ask }: ServersCommand): Promise<object> {
  return ask === 'targets' ? await targets() : counts();
}

process.on('message', (command: ServersCommand) => void answer(command).then((result) => process.send?.(result)));
process.on('disconnect', () => process.exit(0));
