// Promises: the identity that a kubeconfig describes, as kubectl reads it: server, certificate authority, client
// certificate, token, tokenFile, exec plugin; reading is client-node's. May not repeat the file's content in an error:
// YAML parsers quote lines, and lines hold tokens. Unverified TLS, SOCKS and TLS to the proxy are refused.
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { RequestOptions } from 'node:https';
import { type Cluster, KubeConfig } from '@kubernetes/client-node';
import { type HTTPProxy, parseProxy } from '../transport/proxy.ts';
import { parseServer, type ServerCredentials, ServerConfigError, type ServerIdentity } from './connection.ts';

/** What kubeconfigIdentity needs. */
export interface KubeconfigOptions {
  /** Value of --kubeconfig. */
  readonly path: string;
  /** Value of --context; default: the file's current-context. */
  readonly context?: string;
}

/** Errors of client-node that name a place in the file and no value. */
const SAFE_PROBLEM = /^(clusters|users|contexts)\[\d+\]\.[a-z.]+ is missing$/;

/**
 * kubectl's field is `tokenFile`, relative to the kubeconfig; client-node knows it as `token-file`, relative to the
 * working directory.
 */
const TOKEN_FILE = /(["']?)\btokenFile\1\s*:\s*(?:"([^"\n]*)"|'([^'\n]*)'|([^\s,}#]+))/g;

interface Loaded {
  readonly config: KubeConfig;
  readonly cluster: Cluster;
  readonly proxy: HTTPProxy | undefined;
  /** The content that it was made from; the token of a tokenFile is read while loading, so such a file has none. */
  readonly content: string | undefined;
}

function fail(path: string, problem: string, fix: string): never {
  throw new ServerConfigError(`kubeconfig ${path}: ${problem}; ${fix}`);
}

async function readKubeconfig(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    return fail(path, `cannot be read (${code})`, 'pass the path of a readable file to --kubeconfig');
  }
}

function parse(path: string, content: string): { config: KubeConfig; hasTokenFile: boolean } {
  let hasTokenFile = false;
  const text = content.replace(TOKEN_FILE, (_all, ...groups: (string | undefined)[]) => {
    const [, double, single, plain] = groups;
    hasTokenFile = true;
    return `token-file: ${JSON.stringify(resolve(dirname(path), double ?? single ?? plain ?? ''))}`;
  });
  const config = new KubeConfig();
  try {
    config.loadFromString(text);
  } catch (error) {
    const message = error instanceof Error ? error.message : '';
    if (SAFE_PROBLEM.test(message)) fail(path, message, 'add it');
    if (hasTokenFile && error instanceof Error && 'code' in error) {
      fail(path, `its tokenFile cannot be read (${String(error.code)})`, 'correct tokenFile or create the file');
    }
    fail(path, 'is not a valid kubeconfig', 'check it with `kubectl config view --kubeconfig <file>`');
  }
  config.makePathsAbsolute(dirname(path));
  return { config, hasTokenFile };
}

function checkCluster(path: string, cluster: Cluster): void {
  if (cluster.skipTLSVerify) {
    fail(path, 'insecure-skip-tls-verify is set, so tokens could go to anybody', 'set certificate-authority instead');
  }
}

/** The cluster's proxy-url; of its text nothing is told, since it may hold a password. */
function proxyOf(path: string, { proxyUrl, server }: Cluster): HTTPProxy | undefined {
  if (proxyUrl === undefined || proxyUrl === '') return undefined;
  const parsed = parseProxy(proxyUrl);
  if ('problem' in parsed) throw new ServerConfigError(`kubeconfig ${path}: proxy-url: ${parsed.problem}`);
  if (server.startsWith('http:')) {
    fail(path, 'a server of http:// stands behind a proxy-url, which would read all that passes', 'remove one of them');
  }
  return parsed.proxy;
}

function load(options: KubeconfigOptions, content: string): Loaded {
  const { path } = options;
  const { config, hasTokenFile } = parse(path, content);
  if (options.context !== undefined) config.setCurrentContext(options.context);
  const name = config.getCurrentContext();
  const context = typeof name === 'string' ? config.getContextObject(name) : null;
  if (context === null) {
    fail(path, `has no context ${JSON.stringify(name ?? '')}`, 'set current-context to one that the file has');
  }
  const cluster = config.getCluster(context.cluster);
  if (cluster === null) {
    fail(path, `context ${JSON.stringify(name)} names a cluster that is not in the file`, 'add it under clusters');
  }
  if (config.getUser(context.user) === null) {
    fail(path, `context ${JSON.stringify(name)} names a user that is not in the file`, 'add it under users');
  }
  checkCluster(path, cluster);
  return { config, cluster, proxy: proxyOf(path, cluster), content: hasTokenFile ? undefined : content };
}

function pem(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return Buffer.isBuffer(value) ? value.toString('utf8') : undefined;
}

/** Certificates and headers as client-node would send them; runs the exec plugin when there is one. */
async function applyTo(loaded: Loaded, path: string): Promise<ServerCredentials> {
  const options: RequestOptions = {};
  try {
    await loaded.config.applyToHTTPSOptions(options);
  } catch (error) {
    const exec = loaded.config.getCurrentUser()?.exec as { command?: unknown } | null | undefined;
    if (exec !== null && exec !== undefined) {
      // A plugin's output may hold what it was to deliver.
      fail(path, `its exec plugin ${JSON.stringify(exec.command ?? '')} failed`, 'run the command by hand to see why');
    }
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    fail(path, `a certificate, key or token file that it names cannot be read${code}`, 'correct the paths in it');
  }
  return toCredentials(options, loaded.cluster.tlsServerName);
}

function toCredentials(options: RequestOptions, servername: string | undefined): ServerCredentials {
  const headers = (options.headers ?? {}) as Readonly<Record<string, unknown>>;
  const authorization = headers['Authorization'];
  return {
    ...(typeof authorization === 'string' ? { authorization: authorization.trim() } : {}),
    tls: {
      ...given('ca', pem(options.ca)),
      ...given('cert', pem(options.cert)),
      ...given('key', pem(options.key)),
      ...given('servername', servername === '' ? undefined : servername),
    },
  };
}

/** The property, or none where there is no value: an undefined one would count as a change of TLS material. */
function given<K extends string>(name: K, value: string | undefined): { [P in K]?: string } {
  const property: { [P in K]?: string } = {};
  if (value !== undefined) property[name] = value;
  return property;
}

/**
 * The identity of a kubeconfig's context.
 * @throws ServerConfigError with one sentence that names the file and the fix.
 */
export async function kubeconfigIdentity(options: KubeconfigOptions): Promise<ServerIdentity> {
  const { path } = options;
  let loaded = load(options, await readKubeconfig(path));
  const { proxy } = loaded;
  return {
    server: parseServer(loaded.cluster.server, `kubeconfig ${path}: cluster.server`),
    ...(proxy === undefined ? {} : { proxy }),
    async read(fresh: boolean): Promise<ServerCredentials> {
      const content = await readKubeconfig(path);
      // An unchanged file keeps client-node's cache of the exec plugin's token, which lives until that expires.
      if (fresh || content !== loaded.content) loaded = load(options, content);
      return applyTo(loaded, path);
    },
  };
}
