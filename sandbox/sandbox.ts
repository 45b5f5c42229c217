// Promises: the whole sandbox in one call: a Kubernetes API server over TLS and the STS of three clouds that verify its tokens, on
// loopback ports that the system chooses, and everything that a test or the demo needs to set a scene and to look behind it.
// No process is started and nothing outside memory is written, except a kubeconfig where one is asked for.
import { writeFile } from 'node:fs/promises';
import { systemClock } from '../src/runtime/clock.ts';
import type { Clock } from '../src/runtime/clock.ts';
import { systemRandom } from '../src/runtime/random.ts';
import type { Random } from '../src/runtime/random.ts';
import { createAuthority } from './certificates.ts';
import { APIServer } from './apiserver/handler.ts';
import type { KubeObject } from './apiserver/store.ts';
import type { ServerOutcome, ServerRequest } from './http.ts';
import { listen } from './listener.ts';
import { startSecurityTokenServices } from './sts/servers.ts';
import type { SecurityTokenServices } from './sts/servers.ts';

export { trustPolicy } from './sts/servers.ts';
export type { RunningService, SandboxRole } from './sts/servers.ts';

/** How to start. */
export interface SandboxOptions {
  readonly clock?: Clock;
  readonly random?: Random;
  /** Caps the life of issued credentials, in seconds, so that they rotate while one watches. */
  readonly maxSessionSeconds?: number;
  /** Serve STS over TLS with the sandbox's own authority; default plain http. */
  readonly stsTLS?: boolean;
  readonly historyLimit?: number;
  readonly bookmarkIntervalMs?: number;
  /** Whether Roles and bindings decide what ServiceAccounts may do; default false. */
  readonly rbac?: boolean;
  /** The API server's port; by default the system chooses. */
  readonly port?: number;
  /** What the OIDC providers of all three clouds accept; by default each the audience that its cloud documents. */
  readonly clientIDs?: readonly string[];
  /** The namespace that kubectl takes where none is named; default `default`. */
  readonly namespace?: string;
}

/** A running sandbox. */
export interface Sandbox {
  /** The API server. It is its own tokens' issuer: `server.origin`. */
  readonly server: URL;
  readonly issuer: string;
  readonly caPEM: string;
  readonly adminToken: string;
  /** A kubeconfig (JSON, which is YAML) for the administrator, or for the bearer of another token. */
  kubeconfig(token?: string): string;
  writeKubeconfig(path: string, token?: string): Promise<void>;
  readonly apiServer: APIServer;
  /** Creates the object, or merge-patches the one that exists, as the administrator. */
  apply(object: object): Promise<KubeObject>;
  /** A token for a ServiceAccount, for the API server unless audiences are named. */
  mintToken(
    namespace: string,
    name: string,
    options?: { audiences?: string[]; expirationSeconds?: number },
  ): Promise<string>;
  /** Each STS: `addRole`, `switches`, `calls`, `issued`, `url`, and `endpointOption` for the operator's --sts-endpoint. */
  readonly aws: SecurityTokenServices['aws'];
  readonly alibabaCloud: SecurityTokenServices['alibabaCloud'];
  readonly volcengine: SecurityTokenServices['volcengine'];
  stop(): Promise<void>;
}

/** A request from within the process, as the administrator. */
function insideRequest(method: string, target: string, adminToken: string, body?: object): ServerRequest {
  const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
  const headers = { authorization: `Bearer ${adminToken}`, 'content-type': type, accept: 'application/json, */*' };
  const bytes = body === undefined ? new Uint8Array() : Buffer.from(JSON.stringify(body));
  return { method, target, headers, body: bytes, signal: new AbortController().signal };
}

async function readJSON(outcome: ServerOutcome): Promise<object> {
  if ('reset' in outcome || typeof outcome.body !== 'string') throw new Error('the sandbox API server gave no answer');
  const body = JSON.parse(outcome.body) as { readonly message?: string };
  if (outcome.status >= 400) throw new Error(`the sandbox API server answered ${outcome.status}: ${body.message}`);
  return body;
}

function pathOf(apiServer: APIServer, object: KubeObject): string {
  const type = apiServer.typeOf(object.apiVersion, object.kind);
  const root = type.group === '' ? '/api' : '/apis';
  const namespace = type.namespaced ? `/namespaces/${object.metadata.namespace ?? 'default'}` : '';
  return `${root}/${object.apiVersion}${namespace}/${type.plural}`;
}

function kubeconfigOf(
  server: URL,
  caPEM: string,
  { token, namespace }: Readonly<Record<'token' | 'namespace', string>>,
) {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'sandbox',
        cluster: { server: server.origin, 'certificate-authority-data': Buffer.from(caPEM).toString('base64') },
      },
    ],
    users: [{ name: 'sandbox', user: { token } }],
    contexts: [{ name: 'sandbox', context: { cluster: 'sandbox', user: 'sandbox', namespace } }],
    'current-context': 'sandbox',
  };
  return `${JSON.stringify(config, undefined, 2)}\n`;
}

/** Starts all four servers. The result's stop() ends them and every connection. */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const { clock = systemClock, random = systemRandom, stsTLS = false, maxSessionSeconds, clientIDs } = options;
  const env = { clock, random };
  // Named unlike the leaf: OpenSSL takes a certificate whose issuer is its subject for self-signed.
  const authority = await createAuthority('sandbox-ca');
  const names = { ips: ['127.0.0.1'], dns: ['localhost', 'kubernetes.default.svc'] };
  const tls = await authority.issueServer({ commonName: 'sandbox' }, names);
  const adminToken = random.uuid();

  // The issuer is the server's URL, so the port must be known before the server is made.
  const running: { apiServer?: APIServer } = {};
  const starting: ServerOutcome = { reset: true };
  const apiListener = await listen({
    tls,
    ...(options.port === undefined ? {} : { port: options.port }),
    handler: async (request) => (await running.apiServer?.handle(request)) ?? starting,
  });
  const issuer = apiListener.url.origin;
  const { historyLimit, bookmarkIntervalMs } = options;
  const server = new APIServer(
    {
      issuer,
      adminToken,
      rbac: options.rbac ?? false,
      ...(historyLimit === undefined ? {} : { historyLimit }),
      ...(bookmarkIntervalMs === undefined ? {} : { bookmarkIntervalMs }),
    },
    env,
  );
  running.apiServer = server;
  const call = async (method: string, target: string, body?: object): Promise<object> =>
    await readJSON(await server.handle(insideRequest(method, target, adminToken, body)));
  const { aws, alibabaCloud, volcengine, ...services } = await startSecurityTokenServices(
    {
      issuer,
      fetchJSON: (url) => call('GET', new URL(url).pathname),
      ...(maxSessionSeconds === undefined ? {} : { maxSessionSeconds }),
      ...(clientIDs === undefined ? {} : { clientIDs }),
      ...(stsTLS ? { tls } : {}),
    },
    env,
  );
  const { namespace: ownNamespace = 'default' } = options;
  const kubeconfig = (token = adminToken): string =>
    kubeconfigOf(apiListener.url, authority.certificatePEM, { token, namespace: ownNamespace });
  return {
    server: apiListener.url,
    issuer,
    caPEM: authority.certificatePEM,
    adminToken,
    apiServer: server,
    kubeconfig,
    writeKubeconfig: (path, token) => writeFile(path, kubeconfig(token), { mode: 0o600 }),
    apply: (object) => apply(server, call, object as KubeObject),
    mintToken: (namespace, name, { audiences = [issuer], expirationSeconds = 3600 } = {}) => {
      const type = server.typeOf('v1', 'ServiceAccount');
      return server.tokens.mint(server.registry.get({ type, namespace, name }), { audiences, expirationSeconds });
    },
    aws,
    alibabaCloud,
    volcengine,
    stop: async () => {
      server.stop();
      await Promise.all([apiListener.close(), services.close()]);
    },
  };
}

async function apply(
  apiServer: APIServer,
  call: (method: string, target: string, body?: object) => Promise<object>,
  object: KubeObject,
): Promise<KubeObject> {
  const path = pathOf(apiServer, object);
  const { namespace, name } = object.metadata;
  const type = apiServer.typeOf(object.apiVersion, object.kind);
  const stored = apiServer.registry.store.get(
    type.collection,
    type.namespaced ? (namespace ?? 'default') : undefined,
    name,
  );
  const answer =
    stored === undefined ? await call('POST', path, object) : await call('PATCH', `${path}/${name}`, object);
  return answer as KubeObject;
}
