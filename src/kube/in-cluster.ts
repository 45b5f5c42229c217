// Promises: the identity that the kubelet mounts into a pod: token, certificate authority, namespace. Host and port come
// from main, the only place that reads the environment. May not cache: connection.ts decides when to read.
import { readFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import { parseServer, type ServerCredentials, ServerConfigError, type ServerIdentity } from './connection.ts';

/** https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/#directly-accessing-the-rest-api */
export const SERVICE_ACCOUNT_DIRECTORY = '/var/run/secrets/kubernetes.io/serviceaccount';

/** What inClusterIdentity needs. */
export interface InClusterOptions {
  /** The environment's KUBERNETES_SERVICE_HOST. */
  readonly host: string;
  /** The environment's KUBERNETES_SERVICE_PORT. */
  readonly port: string;
  /** Default SERVICE_ACCOUNT_DIRECTORY. */
  readonly directory?: string;
}

async function readMounted(directory: string, file: string): Promise<string> {
  const path = join(directory, file);
  let content: string;
  try {
    content = await readFile(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    throw new ServerConfigError(
      `cannot read ${path} (${code}): mount the ServiceAccount's token, ca.crt and namespace there, as the chart does, or pass --kubeconfig`,
    );
  }
  if (content.trim() === '') {
    throw new ServerConfigError(`${path} is empty: check the pod's projected ServiceAccount volume`);
  }
  return content;
}

/** A token is one line of visible ASCII; anything else would break the header that carries it. */
function toAuthorization(token: string, path: string): string {
  const trimmed = token.trim();
  if (!/^[\x21-\x7e]+$/.test(trimmed)) {
    throw new ServerConfigError(`${path} does not hold a token: check the pod's projected ServiceAccount volume`);
  }
  return `Bearer ${trimmed}`;
}

/**
 * The identity of the pod that we run in.
 * @throws ServerConfigError when host and port do not make a URL.
 */
export function inClusterIdentity(options: InClusterOptions): ServerIdentity {
  const { host, port, directory = SERVICE_ACCOUNT_DIRECTORY } = options;
  if (host === '' || !/^\d{1,5}$/.test(port)) {
    throw new ServerConfigError(
      'KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: run inside a pod, or pass --kubeconfig',
    );
  }
  const server = parseServer(`https://${isIPv6(host) ? `[${host}]` : host}:${port}`, 'KUBERNETES_SERVICE_HOST');
  return {
    server,
    async read(): Promise<ServerCredentials> {
      const [token, ca] = await Promise.all([readMounted(directory, 'token'), readMounted(directory, 'ca.crt')]);
      return { authorization: toAuthorization(token, join(directory, 'token')), tls: { ca } };
    },
  };
}

/**
 * The namespace that we run in.
 * @throws ServerConfigError when the file cannot be read.
 */
export async function readInClusterNamespace(directory: string = SERVICE_ACCOUNT_DIRECTORY): Promise<string> {
  return (await readMounted(directory, 'namespace')).trim();
}
