// Promises: what a failed call to the API server looks like to the rest of the program: a status and a reason to decide
// by, and a message that is safe to log. client-node's ApiException carries the whole body and all headers in its
// message and must not get past client.ts.

/** Which way a call failed. */
export type KubeErrorKind = 'status' | 'network' | 'timeout' | 'malformed';

/** One entry of Status.details.causes. */
export interface KubeErrorCause {
  readonly reason: string;
  readonly field: string;
  /** The server's own words, to be compared with words that are known; an admission policy has no other sign. */
  readonly message: string;
}

/** A failed call. */
export class KubeError extends Error {
  override readonly name = 'KubeError';
  readonly kind: KubeErrorKind;
  /** HTTP status; 0 where no answer came. */
  readonly status: number;
  /** Status.reason of the API server, such as NotFound, AlreadyExists, Conflict, Forbidden, Expired; empty if none. */
  readonly reason: string;
  readonly causes: readonly KubeErrorCause[];
  /** Retry-After, in seconds, when the server sent one. */
  readonly retryAfterSeconds: number | undefined;
  /** Such as "patch secrets". */
  readonly operation: string;

  constructor(init: {
    readonly kind: KubeErrorKind;
    readonly status: number;
    readonly reason: string;
    readonly causes?: readonly KubeErrorCause[];
    readonly retryAfterSeconds?: number | undefined;
    readonly operation: string;
    /** The API server's own sentence, cut to 512 characters and with nothing that we sent as a body in it. */
    readonly detail: string;
  }) {
    super(`${init.operation}: ${init.status === 0 ? init.kind : init.status} ${init.reason} ${init.detail}`.trim());
    this.kind = init.kind;
    this.status = init.status;
    this.reason = init.reason;
    this.causes = init.causes ?? [];
    this.retryAfterSeconds = init.retryAfterSeconds;
    this.operation = init.operation;
  }
}
