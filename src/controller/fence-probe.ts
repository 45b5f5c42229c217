// Promises: tells again and again whether the chart's fences (docs/adr/0014-fences.md) hold this operator's own user, by asking
// for two things that they refuse and that come to nothing where they do not: what counts is what the API server does, not
// which policies somebody may see. Writes nothing, mints nothing, stops no work.
import type { ObjectKey, PartialObjectMetadata } from '../api/meta.ts';
import type { WorkloadCredential } from '../api/types.gen.ts';
import type { CallOptions, FenceApi } from '../kube/api.ts';
import { type Clock, sleep } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import { isKubeFailure } from './failures.ts';

/** The fences that are looked at; those on Leases and Events guard nothing of others' worth. */
export const FENCES = ['tokens', 'secrets'] as const;
/** One of them. */
export type Fence = (typeof FENCES)[number];

/** `unknown`: something else was in the way, such as another policy, a quota, or no answer at all. */
export type FenceFinding = 'inForce' | 'missing' | 'unknown';

/** The sentences of the chart's policies by which a fence is known; a test compares them with the chart. */
export const FENCE_SENTENCES: Readonly<Record<Fence, readonly string[]>> = {
  tokens: [
    'The operator mints tokens that are bound to no object',
    "The operator mints no token in this namespace; it is protected by the chart's fences.protectedNamespaces, or it is the operator's own",
  ],
  secrets: [
    'The operator creates Secrets of WorkloadCredentials only, with the label and the owner that say so',
    "The operator writes no Secret in this namespace; it is protected by the chart's fences.protectedNamespaces, or it is the operator's own",
  ],
};

/** Policies are in force some two seconds after they were applied; an installation is not to begin with an alarm. */
const FIRST_LOOK_MS = 10_000;
const LOOK_EVERY_MS = 300_000;
/** What is missing may be on its way: the alert wants to see it come back. */
const LOOK_AGAIN_MS = 30_000;

/** An audience that the fences always let through, so that nothing but the binding is refused. */
const AUDIENCE = 'sts.amazonaws.com';

/** What is known of the namespaces that are served. */
export interface ProbeCaches {
  readonly credentials: { list(): Iterable<WorkloadCredential> };
  readonly serviceAccounts: {
    get(key: string): PartialObjectMetadata | undefined;
    list(): Iterable<PartialObjectMetadata>;
  };
}

/** What a probe is made of. */
export interface FenceProbeOptions {
  readonly api: FenceApi;
  readonly clock: Clock;
  readonly log: Log;
  readonly caches: ProbeCaches;
  /** Undefined: it is not known. */
  readonly metrics: { fence(fence: Fence, inForce: boolean | undefined): void };
}

/**
 * The ServiceAccount to try with: one that a credential uses, for the operator may mint tokens for it also where the chart names
 * single ones; else any. Undefined while there is none.
 */
export function probedServiceAccount({ credentials, serviceAccounts }: ProbeCaches): ObjectKey | undefined {
  for (const { metadata, spec } of credentials.list()) {
    const { namespace = '' } = metadata;
    const name = spec.serviceAccountName;
    if (serviceAccounts.get(`${namespace}/${name}`) !== undefined) return { namespace, name };
  }
  for (const { metadata } of serviceAccounts.list())
    return { namespace: metadata.namespace ?? '', name: metadata.name };
  return undefined;
}

/** What an answer to a probe says. `error` is undefined where the API server said yes. */
export function findingOf(fence: Fence, error: unknown): FenceFinding {
  if (error === undefined) return 'missing';
  if (!isKubeFailure(error)) return 'unknown';
  // Past admission, the API server itself finds that no token can be bound to this.
  if (fence === 'tokens' && error.status === 400 && error.reason === 'BadRequest') return 'missing';
  const isOurs = error.causes.some(({ message }) => FENCE_SENTENCES[fence].some((known) => isRefusal(message, known)));
  return error.status === 403 && isOurs ? 'inForce' : 'unknown';
}

/** The words of k8s.io/apiserver pkg/admission/plugin/policy/validating/dispatcher.go, around those of a policy. */
function isRefusal(message: string, sentence: string): boolean {
  return message.startsWith('ValidatingAdmissionPolicy ') && message.endsWith(` denied request: ${sentence}`);
}

/** Looks, and waits, and looks. */
export class FenceProbe {
  readonly #options: FenceProbeOptions;
  readonly #last = new Map<Fence, FenceFinding>();

  constructor(options: FenceProbeOptions) {
    this.#options = options;
  }

  /** Until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    let delayMs = FIRST_LOOK_MS;
    while (!signal.aborted) {
      await sleep(this.#options.clock, delayMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      delayMs = (await this.#look({ signal })) ? LOOK_EVERY_MS : LOOK_AGAIN_MS;
    }
  }

  /** @returns whether all fences are in force. */
  async #look(options: CallOptions): Promise<boolean> {
    const { api, caches } = this.#options;
    const account = probedServiceAccount(caches);
    if (account === undefined) return false;
    const tries: Readonly<Record<Fence, () => Promise<void>>> = {
      tokens: async () => api.tryBoundToken(account, AUDIENCE, options),
      secrets: async () => api.tryForeignSecret(account.namespace, options),
    };
    const findings = [];
    for (const fence of FENCES) {
      const error = await tries[fence]().then(
        () => undefined,
        (reason: unknown) => reason ?? new Error('no reason'),
      );
      if (options.signal.aborted) return false;
      findings.push(this.#tell(fence, findingOf(fence, error), error));
    }
    return findings.every((finding) => finding === 'inForce');
  }

  #tell(fence: Fence, finding: FenceFinding, error: unknown): FenceFinding {
    const { log, metrics } = this.#options;
    const before = this.#last.get(fence);
    this.#last.set(fence, finding);
    metrics.fence(fence, finding === 'unknown' ? undefined : finding === 'inForce');
    if (finding === before) return finding;
    if (finding === 'missing') {
      log.warn('the API server lets this operator do what the fences of the chart refuse', { fence });
    } else if (finding === 'unknown') {
      const answer = error instanceof Error ? error.message : String(error);
      log.info('whether the fences of the chart are in force could not be seen', { fence, answer });
    } else if (before !== undefined) {
      log.info('the fences of the chart are in force', { fence });
    }
    return finding;
  }
}
