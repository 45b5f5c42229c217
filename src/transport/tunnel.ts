// Promises: a TLS connection to an origin through an HTTP proxy: CONNECT, and TLS from end to end inside the tunnel, so that
// a proxy changes who carries the bytes and not who can read them. Nothing is sent to the proxy but the origin's name
// and port and the proxy's own credentials. Whatever fails is told with the proxy's host. May not retry.
import type { Duplex } from 'node:stream';
import { type buildConnector, Client } from 'undici';
import { codeOf, hostAndPort, kindOf } from './failures.ts';
import type { HTTPProxy } from './proxy.ts';
import { TransportError } from './transport.ts';

/** What a tunnel is made of. */
export interface TunnelOptions {
  readonly proxy: HTTPProxy;
  /** Its host and port are what CONNECT names; https. */
  readonly target: URL;
  /** Makes TLS of a connection that stands, and verifies the server's certificate. */
  readonly secure: buildConnector.connector;
  /** The longest time for each step: TCP to the proxy, its answer to CONNECT, TLS. */
  readonly stepTimeoutMs: number;
}

/** The head of an answer to CONNECT: a status and a few headers. */
const MAX_HEAD_BYTES = 16_384;

/** Nobody listens to a connection that is given up. */
function ignore(): void {}

/** For undici's option `connect`. */
export function tunnelConnector(options: TunnelOptions): buildConnector.connector {
  return (connection, callback) => {
    void hand(options, connection, callback);
  };
}

async function hand(
  options: TunnelOptions,
  connection: buildConnector.Options,
  callback: buildConnector.Callback,
): Promise<void> {
  let socket: SecureSocket;
  try {
    socket = await open(options, connection);
  } catch (error) {
    callback(error as TransportError, null);
    return;
  }
  callback(null, socket);
}

type SecureSocket = NonNullable<Parameters<buildConnector.Callback>[1]>;

async function open(options: TunnelOptions, connection: buildConnector.Options): Promise<SecureSocket> {
  const tunnel = await connect(options);
  try {
    return await new Promise<SecureSocket>((resolve, reject) => {
      // undici's type asks for a net.Socket; what it got from its own CONNECT over TCP is one.
      const httpSocket = tunnel as NonNullable<buildConnector.Options['httpSocket']>;
      options.secure({ ...connection, httpSocket }, (error, socket) => {
        if (error === null) resolve(socket);
        else reject(error);
      });
    });
  } catch (error) {
    tunnel.destroy();
    throw tlsFailure(error, options);
  }
}

/** Asks the proxy for a tunnel. The client is used once: after CONNECT the connection is the tunnel's. */
async function connect(options: TunnelOptions): Promise<Duplex> {
  const { proxy, target, stepTimeoutMs } = options;
  const authority = hostAndPort(target);
  const client = new Client(proxy.origin, {
    allowH2: false,
    connect: { timeout: stepTimeoutMs },
    headersTimeout: stepTimeoutMs,
    maxHeaderSize: MAX_HEAD_BYTES,
  });
  try {
    const { statusCode, socket } = await client.connect({
      path: authority,
      headers: { host: authority, ...proxy.authorizationHeaders() },
    });
    socket.on('error', ignore);
    if (statusCode < 200 || statusCode > 299) {
      socket.destroy();
      throw refusal(statusCode, options);
    }
    return socket;
  } catch (error) {
    throw error instanceof TransportError ? error : noTunnel(error, options);
  } finally {
    client.destroy().catch(ignore);
  }
}

const STATUS_FIXES: Readonly<Record<number, string>> = {
  403: 'allow this destination there, or except it by NO_PROXY',
  407: "it wants other credentials: give user and password in the proxy's URL, by HTTPS_PROXY from a Secret",
};

/** No tunnel, so nothing was sent to the target. */
function refusal(status: number, { proxy, target }: TunnelOptions): TransportError {
  const fix = STATUS_FIXES[status] ?? 'see its log for why';
  const sentence = `${hostAndPort(target)}: the proxy ${proxy.hostAndPort} refused the tunnel with status ${status}; ${fix}`;
  return new TransportError('connect', `PROXY_STATUS_${status}`, sentence);
}

function noTunnel(error: unknown, { proxy, target }: TunnelOptions): TransportError {
  const code = ownCode(error);
  const what = {
    connect: code === 'ENOTFOUND' ? 'has a name that no host has' : 'could not be reached',
    timeout: 'did not answer in time',
    reset: 'closed the connection before it answered',
    tls: 'could not be reached',
    protocol: 'gave no answer that is valid HTTP/1.1',
    'too-large': 'answered too much',
  }[kindOf(code)];
  // By its bare code, a proxy without an address would be told as a region that does not exist.
  const told = code === 'ENOTFOUND' ? 'PROXY_ENOTFOUND' : code;
  return new TransportError(
    'connect',
    told,
    `${hostAndPort(target)}: the proxy ${proxy.hostAndPort} ${what} (${code})`,
  );
}

/** Through the tunnel came something else than the server's side of a handshake, or another server's. */
function tlsFailure(error: unknown, { proxy, target }: TunnelOptions): TransportError {
  const code = ownCode(error);
  const kind = kindOf(code);
  const via = `through the proxy ${proxy.hostAndPort}`;
  const what =
    kind === 'tls'
      ? `the TLS handshake ${via} failed; if the proxy reads what passes, its certificate authority has to be trusted for this server, else compare the authority and the host name with the server certificate`
      : `the connection ${via} ended before TLS was complete`;
  return new TransportError(kind, code, `${hostAndPort(target)}: ${what} (${code})`);
}

/** undici takes these two for an accident of an idle connection and connects again, without an end or a pause. */
function ownCode(error: unknown): string {
  const code = codeOf(error);
  return code === 'UND_ERR_SOCKET' || code === 'UND_ERR_INFO' ? 'ECONNRESET' : code;
}
