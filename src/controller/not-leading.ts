// Promises: what a reconcile throws that finds the Lease gone, and what becomes of its key: the elector is about to end the run.
import type { ReconcileResult } from '../runtime/controller.ts';

/** How long a key waits for the elector to notice what its reconcile has noticed first. */
const LOSS_NOTICED_MS = 1_000;

/** A replica that does not hold the Lease (any more) must not call STS or write. */
export class NotLeadingError extends Error {
  override readonly name = 'NotLeadingError';
}

/** That the Lease is lost is no mistake of a reconcile. @throws every other error. */
export function afterLoss(error: unknown): ReconcileResult {
  if (error instanceof NotLeadingError) return { requeueAfterMs: LOSS_NOTICED_MS };
  throw error;
}
