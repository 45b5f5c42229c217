// Promises: which way connections leave the process: to STS and to the API server, directly or through an HTTP proxy, from
// the command line and an environment that is given by argument. Pure. May not read the environment itself, or repeat
// a proxy's URL in a message: it may hold a password.
import { type HTTPProxy, NoProxy, parseProxy, type Route, routeThrough } from './proxy.ts';

/** What the command line says; it wins over the environment. */
export interface EgressFlags {
  readonly httpsProxy: HTTPProxy | undefined;
  readonly noProxy: NoProxy | undefined;
  readonly inClusterProxy: boolean;
}

/** What is known of the API server. */
export interface APIServerPlace {
  readonly server: URL;
  /** Whether it is the one of the pod that we run in. */
  readonly isInCluster: boolean;
  /** Of the kubeconfig's proxy-url. */
  readonly proxy: HTTPProxy | undefined;
}

/** The ways out. */
export interface Egress {
  readonly sts: Route;
  readonly apiServer: Route;
  /** For the log, without anything secret; undefined where nothing goes through a proxy. */
  readonly summary: { readonly sts: string; readonly apiServer: string } | undefined;
  /** Items of the environment's NO_PROXY that mean nothing to us, and so except nothing. */
  readonly ignored: readonly string[];
}

/** The environment names a proxy that cannot be used. The message is one sentence with the fix. */
export class EgressError extends Error {
  override readonly name = 'EgressError';
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Go's order: the upper-case name first, and an empty value counts as none (golang.org/x/net/http/httpproxy, getEnvAny). */
function read(environment: Environment, name: string): { readonly name: string; readonly value: string } | undefined {
  for (const each of [name, name.toLowerCase()]) {
    const value = environment[each];
    if (value !== undefined && value.trim() !== '') return { name: each, value };
  }
  return undefined;
}

function proxyOf(environment: Environment): HTTPProxy | undefined {
  const found = read(environment, 'HTTPS_PROXY');
  if (found === undefined) return undefined;
  const parsed = parseProxy(found.value);
  if ('proxy' in parsed) return parsed.proxy;
  throw new EgressError(
    `${found.name} in the environment: ${parsed.problem}; or name the proxy by --https-proxy, which wins over it.`,
  );
}

/**
 * Decides the ways out.
 *
 * - STS: through the proxy, but for what the list excepts and for this machine itself.
 * - The API server of a kubeconfig: as kubectl goes there. Its proxy-url wins and knows no exceptions (client-go,
 *   clientcmd/client_config.go); without one, as for STS.
 * - The API server of our own pod: directly, unless inClusterProxy is set. client-go would ask NO_PROXY alone, and then
 *   a proxy that is meant for the internet, or one line missing in NO_PROXY, stops the operator.
 *
 * @throws EgressError when HTTPS_PROXY cannot be used.
 */
export function planEgress(flags: EgressFlags, environment: Environment, apiServer: APIServerPlace): Egress {
  const proxy = flags.httpsProxy ?? proxyOf(environment);
  const noProxy = flags.noProxy ?? new NoProxy(read(environment, 'NO_PROXY')?.value ?? '');
  const sts = routeThrough(proxy, noProxy);
  const toAPIServer = apiServerRoute(flags, apiServer, sts);
  return {
    sts,
    apiServer: toAPIServer,
    summary: summaryOf(proxy, apiServer, toAPIServer),
    ignored: proxy === undefined || flags.noProxy !== undefined ? [] : noProxy.unreadable,
  };
}

function apiServerRoute(flags: EgressFlags, { isInCluster, proxy }: APIServerPlace, sts: Route): Route {
  if (proxy !== undefined) return () => proxy;
  return isInCluster && !flags.inClusterProxy ? () => undefined : sts;
}

function summaryOf(
  proxy: HTTPProxy | undefined,
  { server, proxy: own }: APIServerPlace,
  route: Route,
): Egress['summary'] {
  if (proxy === undefined && own === undefined) return undefined;
  const exceptions = proxy === undefined ? '' : ', but for what is excepted';
  return { sts: `${describe(proxy)}${exceptions}`, apiServer: describe(route(server)) };
}

function describe(proxy: HTTPProxy | undefined): string {
  return proxy === undefined ? 'directly' : `through the proxy ${proxy.hostAndPort}`;
}
