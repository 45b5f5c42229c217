// The operator as a process behind an HTTP proxy: the three STS, and an API server, that can be reached by CONNECT only,
// since their names resolve nowhere; an authority for STS that the API server's verifies nothing of; and the proxy's
// password, which appears nowhere.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { load } from 'js-yaml';
import { type Authority, createAuthority } from '../../sandbox/certificates.ts';
import { listen, type Listener } from '../../sandbox/listener.ts';
import { type Sandbox, startSandbox } from '../../sandbox/sandbox.ts';
import type { ServerOutcome, ServerRequest } from '../../sandbox/http.ts';
import { waitFor } from '../beds/wait.ts';
import { compileCache } from '../support/compile-cache.ts';
import { type ConnectProxy, type ConnectProxyOptions, startConnectProxy } from '../support/connect-proxy.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const CRD = new URL('../../crds/workloadcredentials.io_workloadcredentials.yaml', import.meta.url);
/** On a loaded machine a process takes seconds to start, and a failure that was told before it is waited for. */
const LIMIT_MS = 60_000;
const PASSWORD = 'the-password-of-the-proxy';
/** What the sandbox's own certificate names, and no resolver knows. */
const API_SERVER = 'kubernetes.default.svc';
/** A private endpoint has an audience of its own. */
const AUDIENCE = 'sts.sandbox.example';
const CLOUDS = ['aws', 'alibabaCloud', 'volcengine'] as const;
type CloudName = (typeof CLOUDS)[number];
const OPTION: Readonly<Record<CloudName, string>> = {
  aws: 'AWS',
  alibabaCloud: 'AlibabaCloud',
  volcengine: 'Volcengine',
};
const HOST: Readonly<Record<CloudName, string>> = {
  aws: 'sts.aws.invalid',
  alibabaCloud: 'sts.alibaba-cloud.invalid',
  volcengine: 'sts.volcengine.invalid',
};
const ROLE: Readonly<Record<CloudName, string>> = {
  aws: 'arn:aws:iam::123456789012:role/orders',
  alibabaCloud: 'acs:ram::1234567890123456:role/orders',
  volcengine: 'trn:iam::2100000001:role/orders',
};

interface Status {
  readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message: string }[];
}

/** The operator's process; its output is kept. */
class Process {
  readonly #child;
  readonly #ended: Promise<number | null>;
  output = '';

  constructor(args: readonly string[], env: Readonly<Record<string, string>>) {
    this.#child = spawn(process.execPath, [MAIN, ...args], {
      env: { ...compileCache(), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 60_000,
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
    }
    this.#ended = new Promise((resolve) => this.#child.once('close', resolve));
  }

  get arguments(): string {
    return this.#child.spawnargs.join(' ');
  }

  get ended(): Promise<number | null> {
    return this.#ended;
  }

  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    return await this.#ended;
  }
}

describe('behind a proxy', { timeout: 180_000, concurrency: false }, () => {
  let directory: string;
  let sandbox: Sandbox;
  let authority: Authority;
  let caFile: string;
  let ports: Record<string, number>;
  const listeners: Listener[] = [];
  const proxies: ConnectProxy[] = [];
  const processes: Process[] = [];

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'proxy-'));
    sandbox = await startSandbox({ clientIDs: [AUDIENCE] });
    await sandbox.apply(load(await readFile(CRD, 'utf8')) as object);
    // Not the authority of the API server: whoever mixes them up fails.
    authority = await createAuthority('sts-authority');
    caFile = join(directory, 'sts-ca.pem');
    await writeFile(caFile, authority.certificatePEM);
    const tls = await authority.issueServer({ commonName: 'sts' }, { ips: [], dns: Object.values(HOST) });
    ports = { [`${API_SERVER}:443`]: Number(sandbox.server.port) };
    for (const cloud of CLOUDS) {
      const handler = (request: ServerRequest): Promise<ServerOutcome> => sandbox[cloud].service.handle(request);
      const listener = await listen({ handler, tls });
      listeners.push(listener);
      ports[`${HOST[cloud]}:443`] = Number(listener.url.port);
      sandbox[cloud].addRole({ arn: ROLE[cloud] });
    }
  });
  after(async () => {
    await Promise.allSettled(processes.map((each) => each.stop()));
    await Promise.allSettled([...proxies, ...listeners].map((each) => each.close()));
    await sandbox.stop();
    await rm(directory, { recursive: true });
  });

  async function proxy(more: Partial<ConnectProxyOptions> = {}): Promise<ConnectProxy> {
    const started = await startConnectProxy({ ports, credentials: `operator:${PASSWORD}`, ...more });
    proxies.push(started);
    return started;
  }

  const withPassword = ({ host }: ConnectProxy): string => `http://operator:${PASSWORD}@${host}`;

  interface Start {
    readonly env?: Readonly<Record<string, string>>;
    readonly flags?: readonly string[];
    /** The API server under the name that only the proxy knows. */
    readonly isAPIServerBehind?: boolean;
    readonly proxyURL?: string;
  }

  async function start(namespace: string, options: Start = {}): Promise<Process> {
    const { env = {}, flags = [`--sts-extra-ca-file=${caFile}`], isAPIServerBehind = false, proxyURL } = options;
    const path = join(directory, `kubeconfig-${namespace}`);
    const config = JSON.parse(sandbox.kubeconfig()) as { clusters: { cluster: Record<string, string> }[] };
    const cluster = config.clusters[0]?.cluster ?? {};
    if (isAPIServerBehind) cluster['server'] = `https://${API_SERVER}`;
    if (proxyURL !== undefined) cluster['proxy-url'] = proxyURL;
    await writeFile(path, JSON.stringify(config));
    const args = [
      `--kubeconfig=${path}`,
      '--leader-elect=false',
      '--listen-address=127.0.0.1:0',
      `--namespaces=${namespace}`,
      '--log-level=debug',
      ...CLOUDS.map((cloud) => `--sts-endpoint=${OPTION[cloud]}=https://${HOST[cloud]}=${AUDIENCE}`),
      ...flags,
    ];
    const running = new Process(args, env);
    processes.push(running);
    return running;
  }

  async function scene(namespace: string, clouds: readonly CloudName[] = CLOUDS): Promise<void> {
    await sandbox.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    const annotations = { 'workloadcredentials.io/allow': '*' };
    const metadata = { name: 'orders', namespace, annotations };
    await sandbox.apply({ apiVersion: 'v1', kind: 'ServiceAccount', metadata });
    for (const cloud of clouds) await apply(namespace, cloud);
  }

  async function apply(namespace: string, cloud: CloudName): Promise<void> {
    const place = { endpoint: `https://${HOST[cloud]}`, audience: AUDIENCE };
    const spec = {
      aws: { roleARN: ROLE.aws, region: 'eu-west-1' },
      alibabaCloud: {
        roleARN: ROLE.alibabaCloud,
        oidcProviderARN: sandbox.alibabaCloud.service.providerARN('1234567890123456'),
        region: 'cn-hangzhou',
      },
      volcengine: { roleTRN: ROLE.volcengine, region: 'cn-beijing' },
    }[cloud];
    await sandbox.apply({
      apiVersion: 'workloadcredentials.io/v1alpha1',
      kind: 'WorkloadCredential',
      metadata: { name: OPTION[cloud].toLowerCase(), namespace },
      spec: { serviceAccountName: 'orders', [cloud]: { ...spec, ...place } },
    });
  }

  function condition(
    namespace: string,
    cloud: CloudName,
    type: string,
  ): { status: string; message: string } | undefined {
    const { store } = sandbox.apiServer.registry;
    const name = OPTION[cloud].toLowerCase();
    const object = store.get('workloadcredentials.io/workloadcredentials', namespace, name);
    return (object?.['status'] as Status | undefined)?.conditions?.find((each) => each.type === type);
  }

  async function ready(namespace: string, cloud: CloudName, running: Process): Promise<void> {
    await waitFor(`${cloud} ready in ${namespace}`, () => condition(namespace, cloud, 'Ready')?.status === 'True', {
      timeoutMs: LIMIT_MS,
    }).catch((error: unknown) => {
      throw new Error(`${JSON.stringify(condition(namespace, cloud, 'Refreshed'))}\n${running.output}`, {
        cause: error,
      });
    });
    const secret = sandbox.apiServer.registry.store.get('/secrets', namespace, OPTION[cloud].toLowerCase());
    assert.ok(secret !== undefined, 'there is no Secret');
  }

  async function refused(namespace: string, cloud: CloudName, says: RegExp): Promise<void> {
    const found = await waitFor(
      'a refusal',
      () => {
        const seen = condition(namespace, cloud, 'Refreshed');
        return seen?.status === 'False' && seen;
      },
      { timeoutMs: LIMIT_MS },
    );
    assert.match(found.message, says);
  }

  async function scrape(running: Process): Promise<string> {
    const [, address = ''] = /"listenAddress":"([^"]+)"/.exec(running.output) ?? [];
    return await (await fetch(`http://${address}/metrics`)).text();
  }

  const targets = ({ connects }: ConnectProxy): string[] => [...new Set(connects.map(({ target }) => target))].sort();
  const stsTargets = Object.values(HOST).map((host) => `${host}:443`);

  /** Neither the password nor its encoding is in what the process says, in its arguments, or in the cluster. */
  function assertNoPassword(namespace: string, running: Process): void {
    const encoded = Buffer.from(`operator:${PASSWORD}`).toString('base64');
    const { store } = sandbox.apiServer.registry;
    const objects = ['/events', '/secrets', 'workloadcredentials.io/workloadcredentials'].map((collection) =>
      JSON.stringify(store.list(collection, namespace)),
    );
    for (const text of [running.output, running.arguments, ...objects]) {
      assert.ok(!text.includes(PASSWORD) && !text.includes(encoded), text);
    }
  }

  test('HTTPS_PROXY leads to all three STS and NO_PROXY excepts the API server', async () => {
    const between = await proxy();
    await scene('by-environment');
    const running = await start('by-environment', {
      env: { HTTPS_PROXY: withPassword(between), NO_PROXY: '127.0.0.1,.svc', HTTP_PROXY: 'http://127.0.0.1:1' },
    });
    for (const cloud of CLOUDS) await ready('by-environment', cloud, running);
    assert.deepEqual(targets(between), [...stsTargets].sort());
    assert.deepEqual(between.strays, []);
    assert.match(running.output, new RegExp(`"a proxy is in use".*through the proxy ${between.host}`));
    const metrics = await scrape(running);
    assert.match(metrics, /^workloadcredential_sts_requests_total/m);
    assert.ok(!metrics.includes(PASSWORD));
    assert.equal(await running.stop(), 0);
    assert.match(running.output, /"apiServer":"directly"/);
    assertNoPassword('by-environment', running);
    // No token and no key can be read on the way: TLS from end to end.
    assert.doesNotMatch(between.sent().toString('latin1'), /eyJ[A-Za-z0-9_-]{20}|WebIdentityToken|OIDCToken/);
  });

  test('the API server is reached through the proxy as kubectl does it, watches too', async () => {
    const between = await proxy();
    await scene('api-server', []);
    const env = { https_proxy: withPassword(between) };
    const running = await start('api-server', { env, isAPIServerBehind: true });
    await waitFor('the start', () => running.output.includes('this replica works'), { timeoutMs: LIMIT_MS });
    // Applied only now: that it is seen is a watch's doing.
    for (const cloud of CLOUDS) await apply('api-server', cloud);
    for (const cloud of CLOUDS) await ready('api-server', cloud, running);
    assert.deepEqual(targets(between), [`${API_SERVER}:443`, ...stsTargets].sort());
    assert.equal(await running.stop(), 0);
    assertNoPassword('api-server', running);
  });

  test("a kubeconfig's proxy-url leads to the API server alone, and the flag to STS", async () => {
    const forAPIServer = await proxy();
    const forSTS = await startConnectProxy({ ports });
    proxies.push(forSTS);
    await scene('two-proxies');
    const running = await start('two-proxies', {
      isAPIServerBehind: true,
      proxyURL: withPassword(forAPIServer),
      flags: [`--https-proxy=http://${forSTS.host}`, `--sts-ca-file=${caFile}`],
      env: { HTTPS_PROXY: 'http://127.0.0.1:1', NO_PROXY: '*' },
    });
    // NO_PROXY=* of the environment excepts all, so that STS is not found: the list has a flag of its own.
    await refused('two-proxies', 'aws', /sts\.aws\.invalid:443: no connection could be made/);
    assert.deepEqual([targets(forAPIServer), targets(forSTS)], [[`${API_SERVER}:443`], []]);
    assert.equal(await running.stop(), 0);
    const again = await start('two-proxies', {
      isAPIServerBehind: true,
      proxyURL: withPassword(forAPIServer),
      flags: [`--https-proxy=http://${forSTS.host}`, '--no-proxy=.svc', `--sts-ca-file=${caFile}`],
      env: { HTTPS_PROXY: 'http://127.0.0.1:1', NO_PROXY: '*' },
    });
    for (const cloud of CLOUDS) await ready('two-proxies', cloud, again);
    assert.deepEqual([targets(forAPIServer), targets(forSTS)], [[`${API_SERVER}:443`], [...stsTargets].sort()]);
    assert.equal(await again.stop(), 0);
    for (const each of [running, again]) assertNoPassword('two-proxies', each);
  });

  test('wrong credentials for the proxy are told in the condition, by host and status, and no token leaves', async () => {
    const between = await proxy({ credentials: 'operator:another' });
    await scene('wrong-password', ['aws']);
    const calls = sandbox.aws.calls.length;
    const env = { HTTPS_PROXY: withPassword(between) };
    const running = await start('wrong-password', { env });
    const says = new RegExp(`the proxy ${between.host} refused the tunnel with status 407; it wants other credentials`);
    await refused('wrong-password', 'aws', says);
    assert.equal(sandbox.aws.calls.length, calls);
    assert.equal(between.sent().length, 0);
    await running.stop();
    assertNoPassword('wrong-password', running);
  });

  test('without the authority of STS the tunnel is useless, and that is told', async () => {
    const between = await proxy();
    await scene('no-authority', ['aws']);
    const calls = sandbox.aws.calls.length;
    const running = await start('no-authority', { env: { HTTPS_PROXY: withPassword(between) }, flags: [] });
    await refused(
      'no-authority',
      'aws',
      /TLS handshake through the proxy .* its certificate authority has to be trusted/,
    );
    assert.equal(sandbox.aws.calls.length, calls);
    await running.stop();
    assertNoPassword('no-authority', running);
  });

  const REFUSALS: readonly (readonly [value: string, says: RegExp])[] = [
    [`socks5://operator:${PASSWORD}@127.0.0.1:1`, /HTTPS_PROXY in the environment: .*SOCKS is not supported/],
    [`https://operator:${PASSWORD}@127.0.0.1:1`, /HTTPS_PROXY in the environment: .*TLS to the proxy itself/],
    [`http://operator:${PASSWORD}@`, /HTTPS_PROXY in the environment: it is no URL of a proxy/],
  ];
  for (const [value, says] of REFUSALS) {
    test(`HTTPS_PROXY=${value.replace(PASSWORD, '***')} ends the start with one sentence`, async () => {
      const running = await start('refused', { env: { HTTPS_PROXY: value } });
      assert.equal(await running.ended, 1);
      assert.match(running.output, says);
      assert.match(running.output, /^workload-credentials: [^\n]+\n$/);
      assertNoPassword('refused', running);
    });
  }

  test('items of NO_PROXY that mean nothing are told and do not stop it', async () => {
    const env = { HTTPS_PROXY: 'http://proxy.invalid:3128', NO_PROXY: '127.0.0.1,10.*' };
    await scene('odd-list', []);
    const running = await start('odd-list', { env });
    await waitFor('the start', () => running.output.includes('this replica works'), { timeoutMs: LIMIT_MS });
    assert.match(running.output, /"level":"warn".*items of NO_PROXY mean nothing here.*"10\.\*"/);
    await running.stop();
  });
});
