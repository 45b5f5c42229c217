// Promises: a TCP port of loopback in front of another, which a test closes (connections are refused, those that are open are
// cut, as when the process behind it is killed) and opens again. It reads nothing of what passes.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** The port in front. */
export interface Gate {
  /** `http://127.0.0.1:PORT` */
  readonly origin: string;
  close(): Promise<void>;
  /** At the same port. */
  open(): Promise<void>;
}

function serve(target: URL, sockets: Set<Socket>): Server {
  return createServer((near) => {
    const far = connect(Number(target.port), target.hostname);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far).pipe(near);
  });
}

/** Opens a port in front of `target`. */
export async function openGate(target: URL): Promise<Gate> {
  const sockets = new Set<Socket>();
  let server: Server | undefined;
  let port = 0;
  const open = async (): Promise<void> => {
    server = serve(target, sockets).listen(port, '127.0.0.1');
    await once(server, 'listening');
    ({ port } = server.address() as AddressInfo);
  };
  await open();
  return {
    origin: `http://127.0.0.1:${port}`,
    open,
    close: async () => {
      const closing = server;
      server = undefined;
      for (const socket of sockets) socket.destroy();
      if (closing !== undefined) await new Promise((resolve) => closing.close(resolve));
    },
  };
}
