// Promises: a Transport whose certificate authorities may change under it, as a mounted ConfigMap does: while there are requests
// they are read again once a minute, and every five seconds while they cannot be read or handshakes fail. No request waits
// for that. What cannot be read leaves the last ones in use. May not read files itself, retry a request, or say what is in a
// certificate.
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Transport, TransportRequest, TransportResponse } from './transport.ts';
import { TransportError } from './transport.ts';
import type { TLSMaterial } from './undici.ts';

/** As often as a token file is read again (src/kube/connection.ts). kubelet takes as long to bring a change into a volume. */
const REREAD_AFTER_MS = 60_000;
/** After a read that failed, or a handshake that failed: while a new file is on its way every request fails. */
const REREAD_SOON_MS = 5_000;

/** What such a transport is made of. */
export interface FollowingOptions {
  /**
   * Reads the authorities.
   * @throws Error with one sentence that names the flag, the file and the fix.
   */
  readonly read: () => Promise<TLSMaterial>;
  /** Opens connections that trust them; called again when they change. */
  readonly open: (tls: TLSMaterial) => Transport;
  readonly clock: Clock;
  readonly log: Log;
}

class FollowingTransport implements Transport {
  readonly #options: FollowingOptions;
  #tls: TLSMaterial;
  #transport: Transport;
  #rereadAtMs: number;
  #isReading = false;
  #isClosed = false;
  /** What was last told to be wrong with the file. */
  #problem: string | undefined;

  constructor(options: FollowingOptions, first: TLSMaterial) {
    this.#options = options;
    this.#tls = first;
    this.#transport = options.open(first);
    this.#rereadAtMs = options.clock.monotonicMs() + REREAD_AFTER_MS;
  }

  async send(request: TransportRequest): Promise<TransportResponse> {
    const { clock } = this.#options;
    // However many requests ask, one read is under way. A disk that hangs must not take STS along.
    if (clock.monotonicMs() >= this.#rereadAtMs && !this.#isReading) void this.#readAgain();
    try {
      return await this.#transport.send(request);
    } catch (error) {
      if (error instanceof TransportError && error.kind === 'tls') {
        this.#rereadAtMs = Math.min(this.#rereadAtMs, clock.monotonicMs() + REREAD_SOON_MS);
      }
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#transport.close();
  }

  /** Never rejects. */
  async #readAgain(): Promise<void> {
    const { clock, log, open, read } = this.#options;
    this.#isReading = true;
    try {
      const tls = await read();
      this.#rereadAtMs = clock.monotonicMs() + REREAD_AFTER_MS;
      this.#problem = undefined;
      const isSame = tls.ca === this.#tls.ca && tls.extraCA === this.#tls.extraCA;
      if (isSame || this.#isClosed) return;
      const old = this.#transport;
      this.#transport = open(tls);
      this.#tls = tls;
      log.info('the authorities for STS changed; new connections are verified with them');
      // Graceful: what is in flight ends by itself, and nobody waits for that.
      old.close().catch(() => log.debug('old connections to STS did not close cleanly'));
    } catch (error) {
      this.#rereadAtMs = clock.monotonicMs() + REREAD_SOON_MS;
      const problem = error instanceof Error ? error.message : 'unexpected failure';
      if (problem === this.#problem) return;
      this.#problem = problem;
      log.warn('the authorities for STS could not be read again; the last ones stay in use', { problem });
    } finally {
      this.#isReading = false;
    }
  }
}

/**
 * Reads the authorities once and gives the transport that follows them.
 * @throws what `read` throws the first time.
 */
export async function followAuthorities(options: FollowingOptions): Promise<Transport> {
  return new FollowingTransport(options, await options.read());
}
