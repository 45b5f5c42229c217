// Promises: a raw HTTPS client of an API server: what was sent is what the test says, what came back is shown whole.
// One kept pool per server, no retry. A status of 400 or more is an answer.
import { Agent, request } from 'node:https';
import type { ClientRequest, IncomingMessage } from 'node:http';

/** Whatever JSON.parse gives. */
export type JSONValue = ReturnType<typeof JSON.parse>;

/** How the administrator proves who he is. */
export type Administrator =
  | { readonly token: string }
  | { readonly certificatePEM: string; readonly privateKeyPEM: string };

/** Where a server is, and how it is trusted. */
export interface Server {
  readonly origin: string;
  readonly caPEM: string;
  readonly administrator: Administrator;
}

/** One request. */
export interface RawRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** A bearer token instead of the administrator's rights; `anonymous` sends none. */
  readonly bearer?: string;
}

/** One answer; the body is parsed when it is JSON. */
export interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: JSONValue;
}

/** An open watch. */
export interface RawWatch {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Everything that came so far, line by line. */
  readonly lines: readonly JSONValue[];
  readonly ended: boolean;
  /** Resolves when there are this many lines or the stream has ended. @throws Error after `timeoutMs` */
  reach(count: number, timeoutMs: number): Promise<void>;
  close(): void;
}

/** Real servers on a loaded machine are slow to start work, never this slow. */
const TIMEOUT_MS = 20_000;

function flat(message: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(message.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return headers;
}

function parsed(text: string, headers: Readonly<Record<string, string>>): JSONValue {
  if (!(headers['content-type'] ?? '').includes('json')) return text;
  return text === '' ? null : JSON.parse(text);
}

async function readText(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

export class RawClient {
  readonly origin: string;
  readonly #server: Server;
  /** A connection with a client certificate is the administrator's, whatever its requests say: bearers use another pool. */
  readonly #asAdministrator: Agent;
  readonly #asBearer: Agent;

  constructor(server: Server) {
    this.origin = server.origin;
    this.#server = server;
    const { administrator, caPEM: ca } = server;
    const certificate =
      'token' in administrator ? {} : { cert: administrator.certificatePEM, key: administrator.privateKeyPEM };
    this.#asAdministrator = new Agent({ ca, keepAlive: true, ...certificate });
    this.#asBearer = new Agent({ ca, keepAlive: true });
  }

  #open({ method, path, headers = {}, body, bearer }: RawRequest): ClientRequest {
    const { administrator, origin } = this.#server;
    const token = bearer ?? ('token' in administrator ? administrator.token : 'anonymous');
    const all = {
      accept: 'application/json',
      ...(token === 'anonymous' ? {} : { authorization: `Bearer ${token}` }),
      // Node sends no length of a DELETE's body by itself.
      ...(body === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }),
      ...headers,
    };
    const agent = bearer === undefined ? this.#asAdministrator : this.#asBearer;
    const call = request(new URL(path, origin), { agent, method, headers: all });
    call.end(body);
    return call;
  }

  /** @throws Error when no whole answer comes within 20 s */
  async send(sent: RawRequest): Promise<RawAnswer> {
    const call = this.#open(sent);
    call.setTimeout(TIMEOUT_MS, () => call.destroy(new Error(`no answer to ${sent.method} ${sent.path}`)));
    const message = await new Promise<IncomingMessage>((resolve, reject) => {
      call.once('response', resolve).once('error', reject);
    });
    const headers = flat(message);
    return { status: message.statusCode ?? 0, headers, body: parsed(await readText(message), headers) };
  }

  /** Opens a watch; an answer other than 200 is one line, the Status. */
  async watch(sent: Omit<RawRequest, 'method' | 'body'>): Promise<RawWatch> {
    const call = this.#open({ ...sent, method: 'GET' });
    call.setTimeout(TIMEOUT_MS, () => call.destroy(new Error(`silence on ${sent.path}`)));
    const message = await new Promise<IncomingMessage>((resolve, reject) => {
      call.once('response', resolve).once('error', reject);
    });
    return new LineReader(message, () => call.destroy());
  }

  close(): void {
    this.#asAdministrator.destroy();
    this.#asBearer.destroy();
  }
}

class LineReader implements RawWatch {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly lines: JSONValue[] = [];
  readonly close: () => void;
  ended = false;
  #wake: (() => void) | undefined;

  constructor(message: IncomingMessage, close: () => void) {
    this.status = message.statusCode ?? 0;
    this.headers = flat(message);
    this.close = close;
    let rest = '';
    message.setEncoding('utf8');
    message.on('data', (chunk: string) => {
      const parts = (rest + chunk).split('\n');
      rest = parts.pop() ?? '';
      for (const part of parts) if (part !== '') this.lines.push(JSON.parse(part));
      this.#wake?.();
    });
    const end = (): void => {
      if (rest !== '' && !this.ended && message.complete) this.lines.push(parsed(rest, this.headers));
      this.ended = true;
      this.#wake?.();
    };
    message.on('end', end).on('close', end).on('error', end);
  }

  async reach(count: number, timeoutMs: number): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (this.lines.length < count && !this.ended) {
      const leftMs = deadline - Date.now();
      if (leftMs <= 0) {
        throw new Error(`${this.lines.length} of ${count} watch lines came: ${JSON.stringify(this.lines)}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}
