// Promises: the port through which every byte leaves the process: the Kubernetes client, the informers, the elector, the
// recorder and the clouds' SDKs. One HTTP exchange per call: no redirect is followed, nothing is retried, and nothing is
// taken from the environment. Implementations: undici.ts (real sockets) and, in tests, a sandbox handler.

/** One HTTP request. */
export interface TransportRequest {
  readonly method: string;
  /** Absolute; `https:`, or `http:` for loopback test beds. */
  readonly url: URL;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Ends the exchange, also while the body is being read; the rejection is the signal's reason. */
  readonly signal: AbortSignal;
  /**
   * A long-lived stream (a watch): gets a connection of its own, and `idleTimeoutMs` is the longest silence between two
   * chunks before the body fails with a TransportError of kind `timeout`.
   */
  readonly stream?: { readonly idleTimeoutMs: number };
}

/** The head of the answer; the body is read once, to its end, or cancelled by the request's signal. */
export interface TransportResponse {
  readonly status: number;
  /** Lower-case names; several values of one name are joined with ", ". */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: AsyncIterable<Uint8Array>;
}

/** Sends requests. */
export interface Transport {
  /**
   * Resolves when the answer's head is there.
   * @throws TransportError when no answer came; the signal's reason when it was aborted.
   */
  send(request: TransportRequest): Promise<TransportResponse>;
  /** Ends all connections, after what is in flight. */
  close(): Promise<void>;
}

/** What went wrong below HTTP. */
export type TransportErrorKind = 'connect' | 'reset' | 'timeout' | 'tls' | 'protocol' | 'too-large';

/** No answer, or half of one. The message names the host and never carries a header, a body or a query. */
export class TransportError extends Error {
  override readonly name = 'TransportError';
  readonly kind: TransportErrorKind;
  /** The system's or undici's error code, such as ECONNREFUSED or UND_ERR_BODY_TIMEOUT. */
  readonly code: string;

  constructor(kind: TransportErrorKind, code: string, message: string) {
    super(message);
    this.kind = kind;
    this.code = code;
  }
}

/**
 * Reads a whole body.
 * @param maxBytes a longer body ends the read with a TransportError of kind `too-large`; nothing of it is kept.
 */
export async function readBody(response: TransportResponse, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body) {
    length += chunk.byteLength;
    if (length > maxBytes) {
      throw new TransportError('too-large', 'BODY_TOO_LARGE', `the answer is longer than ${maxBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}
