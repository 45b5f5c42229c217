// Promises: nothing in the environment or in the home directory decides where a token goes, who signs, or what is printed: the
// providers run in a process of their own whose every known variable and file points at a trap.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { ResolvedExchange } from '../../src/api/resolved.ts';
import type { ChildInput } from '../support/exchange-in-child.ts';
import { openSTSScene, type STSScene, SUBJECT } from './sts-scene.ts';

const CHILD = fileURLToPath(new URL('../support/exchange-in-child.ts', import.meta.url));
const LIMIT_MS = 30_000;

/** Everything that an SDK, a credential tool or Node reads, pointing at the trap or at keys that are not ours. */
function hostileVariables(trap: string, home: string): Record<string, string> {
  const each = (names: string, value: string): [string, string][] => names.split(' ').map((name) => [name, value]);
  return Object.fromEntries([
    ...each('HOME', home),
    ...each('HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy npm_config_proxy', trap),
    ...each('NO_PROXY no_proxy', 'nothing.example'),
    ...each('NODE_USE_ENV_PROXY AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE', '1'),
    ...each('DEBUG', '*'),
    ...each('NODE_OPTIONS', '--use-env-proxy --dns-result-order=ipv6first --trace-warnings'),
    ...each('AWS_ENDPOINT_URL AWS_ENDPOINT_URL_STS AWS_CONTAINER_CREDENTIALS_FULL_URI', trap),
    ...each('AWS_EC2_METADATA_SERVICE_ENDPOINT', trap),
    ...each('AWS_PROFILE AWS_DEFAULT_PROFILE', 'hostile'),
    ...each('AWS_REGION AWS_DEFAULT_REGION', 'us-gov-west-1'),
    ...each('AWS_ACCESS_KEY_ID', 'AKIAHOSTILE'),
    ...each('AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN', 'hostile'),
    ...each('AWS_USE_FIPS_ENDPOINT AWS_USE_DUALSTACK_ENDPOINT', 'true'),
    ...each('AWS_RETRY_MODE AWS_DEFAULTS_MODE AWS_MAX_ATTEMPTS', 'nonsense'),
    ...each('ALIBABA_CLOUD_ACCESS_KEY_ID ALIBABACLOUD_ACCESS_KEY_ID ALICLOUD_ACCESS_KEY_ID', 'LTAIHOSTILE'),
    ...each('ALIBABA_CLOUD_ACCESS_KEY_SECRET ALIBABACLOUD_ACCESS_KEY_SECRET ALIBABA_CLOUD_SECURITY_TOKEN', 'hostile'),
    ...each('ALIBABA_CLOUD_CREDENTIALS_URI ALIBABA_CLOUD_STS_ENDPOINT STS_ENDPOINT', trap),
    ...each(
      'ALIBABA_CLOUD_PROFILE ALIBABA_CLOUD_USER_AGENT ALIBABA_CLOUD_ROLE_ARN ALIBABA_CLOUD_OIDC_TOKEN_FILE',
      'hostile',
    ),
    ...each('ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED', 'true'),
    ...each('ALIBABA_CLOUD_CREDENTIALS_FILE', join(home, '.alibabacloud', 'credentials')),
    ...each('VOLC_ACCESSKEY VOLCENGINE_ACCESS_KEY VOLCSTACK_ACCESS_KEY_ID', 'AKLTHOSTILE'),
    ...each('VOLC_SECRETKEY VOLCENGINE_SECRET_KEY VOLCENGINE_SESSION_TOKEN VOLCSTACK_SECRET_ACCESS_KEY', 'hostile'),
    ...each('VOLCENGINE_STS_ENDPOINT VOLCENGINE_ENDPOINT VOLC_ENDPOINT', trap),
    ...each('VOLC_PROXY_HOST', new URL(trap).hostname),
    ...each('VOLC_PROXY_PORT', new URL(trap).port),
    ...each('VOLC_PROXY_PROTOCOL', 'http'),
    ...each('VOLCENGINE_OIDC_TOKEN_FILE VOLCENGINE_OIDC_ROLE_TRN VOLCENGINE_REGION', 'hostile'),
  ]);
}

/** The files of the same. */
async function writeHostileFiles(home: string, trap: string): Promise<void> {
  const aws = ['[default]', 'region = us-gov-west-1', `endpoint_url = ${trap}`, `credential_process = curl ${trap}`];
  const files: Record<string, string> = {
    '.aws/config': [...aws, ...aws.with(0, '[profile hostile]')].join('\n'),
    '.aws/credentials': '[hostile]\naws_access_key_id = hostile\naws_secret_access_key = hostile\n',
    '.aliyun/config.json': JSON.stringify({
      current: 'default',
      profiles: [{ name: 'default', mode: 'External', process_command: `curl ${trap}` }],
    }),
    '.alibabacloud/credentials': '[default]\ntype = access_key\naccess_key_id = hostile\naccess_key_secret = hostile\n',
    '.volc/config': JSON.stringify({ VOLC_ACCESSKEY: 'hostile', VOLC_SECRETKEY: 'hostile' }),
    '.volcengine/config.json': JSON.stringify({
      current: 'x',
      profiles: { x: { mode: 'ak', 'access-key': 'hostile' } },
    }),
  };
  for (const [name, content] of Object.entries(files)) {
    const path = join(home, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
  }
}

describe('a hostile environment', { timeout: 2 * LIMIT_MS }, () => {
  let scene: STSScene;
  let home: string;
  let caught = 0;
  const trap = createServer((socket) => {
    caught += 1;
    socket.destroy();
  });
  before(async () => {
    scene = await openSTSScene();
    await new Promise<void>((resolve) => trap.listen(0, '127.0.0.1', resolve));
    home = await mkdtemp(join(tmpdir(), 'hostile-'));
    await writeHostileFiles(home, trapURL());
  });
  after(async () => {
    await scene.sandbox.stop();
    await new Promise((resolve) => trap.close(resolve));
    await rm(home, { recursive: true });
  });

  const trapURL = (): string => `http://127.0.0.1:${(trap.address() as AddressInfo).port}`;

  async function runChild(input: ChildInput): Promise<{ stdout: string; stderr: string; code: number | null }> {
    const { PATH = '' } = process.env;
    const child = spawn(process.execPath, [CHILD], { env: { PATH, ...hostileVariables(trapURL(), home) } });
    const timer = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
    child.stdin.end(JSON.stringify(input));
    const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
    clearTimeout(timer);
    return { stdout, stderr, code };
  }

  test('changes no host, no key and no parameter, and makes nothing talk', async () => {
    const { aws, alibabaCloud, volcengine } = scene.sandbox;
    const roles = {
      AWS: ['arn:aws:iam::111122223333:role/first', 'arn:aws:iam::111122224444:role/last'],
      AlibabaCloud: ['acs:ram::1111222233334444:role/first', 'acs:ram::1111222233335555:role/last'],
      Volcengine: ['trn:iam::2100000001:role/first', 'trn:iam::2100000002:role/last'],
    } as const;
    const services = { AWS: aws, AlibabaCloud: alibabaCloud, Volcengine: volcengine };
    const exchanges: ChildInput['exchanges'][number][] = [];
    for (const cloud of ['AWS', 'AlibabaCloud', 'Volcengine'] as const) {
      const [first, last] = roles[cloud];
      const { service, url, ...running } = services[cloud];
      running.addRole({ arn: first, subject: SUBJECT });
      running.addRole({ arn: last, trustedRole: first });
      const exchange = {
        cloud,
        roleARN: first,
        roleTRN: first,
        oidcProviderARN: alibabaCloud.service.providerARN(first.split(':')[3] ?? ''),
        region: cloud === 'AWS' ? 'eu-west-1' : 'cn-beijing',
        audience: 'bed',
        endpoint: url.origin,
        endpointType: 'Regional',
        network: 'Public',
        policyARNs: [],
        roleChain: [{ role: last, tags: [] }],
      } as unknown as ResolvedExchange;
      exchanges.push({ exchange, token: await scene.token(service.provider.clientIDs[0] ?? '') });
    }
    const entries = Object.entries(services).map(([cloud, { url }]) => ({
      cloud: cloud as ResolvedExchange['cloud'],
      host: url.host,
      scheme: 'http' as const,
      audiences: ['bed'],
    }));
    const { stdout, stderr, code } = await runChild({ policy: { entries, apiServerAudiences: [] }, exchanges });
    assert.equal(stderr, '');
    assert.equal(code, 0);
    const delivered = Object.values(services).map(({ issued }) => issued.at(-1)?.accessKeyID);
    assert.equal(stdout, `${JSON.stringify(delivered)}\n`);
    for (const { calls, issued } of Object.values(services)) {
      assert.deepEqual(
        calls.map(({ outcome, signedBy }) => [outcome, signedBy]),
        [
          ['Issued', ''],
          ['Issued', issued[0]?.accessKeyID],
        ],
      );
    }
    assert.equal(caught, 0);
  });
});
