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

/**
 * The sentences of the chart's policies by which a fence is known; a test compares them with the chart. In a namespace that is
 * protected the second comes first, and is as good a sign.
 */
export const FENCE_SENTENCES: Readonly<Record<Fence, readonly string[]>> = {
  tokens: [
    'The operator mints tokens that are bound to no object',
    "The operator mints no token in this namespace; it is kube-system, the operator's own, or one of the chart's fences.protectedNamespaces",
  ],
  secrets: [
    'The operator creates Secrets of WorkloadCredentials only, with the label and the owner that say so',
    "The operator writes no Secret in this namespace; it is kube-system, the operator's own, or one of the chart's fences.protectedNamespaces",
  ],
};

/** Policies are in force some two seconds after they were applied; an installation is not to begin with an alarm. */
const FIRST_LOOK_MS = 10_000;
const LOOK_EVERY_MS = 300_000;
/** What is missing may be on its way, and the alert wants to see it come back; for ten minutes, then as always. */
const LOOK_AGAIN_MS = 30_000;
const MOST_QUICK_LOOKS = 20;
/** At one look: an account or namespace at which something else refuses must not hide what others would show. */
const MOST_TRIES = 3;

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
  /** Where nothing can be followed nothing is tried either: RBAC would refuse, which says nothing of a fence. */
  readonly isReached: (namespace: string) => boolean;
  readonly metrics: { fence(fence: Fence, finding: FenceFinding): void };
}

/** As `namespace/name`. */
function keyOf({ metadata, spec }: WorkloadCredential): string {
  return `${metadata.namespace ?? ''}/${spec.serviceAccountName}`;
}

/**
 * The ServiceAccounts to try with, the best first: those for which tokens were minted, so that nothing but a fence refuses;
 * those that other credentials name; any. Tenants decide who is among them, so one alone proves little.
 */
export function probedServiceAccounts(
  { credentials, serviceAccounts }: ProbeCaches,
  isReached: (namespace: string) => boolean,
): ObjectKey[] {
  const isThere = ({ metadata: { namespace = '' } }: { readonly metadata: { readonly namespace?: string } }): boolean =>
    isReached(namespace);
  const all = [...credentials.list()].filter(isThere);
  const isServed = ({ status }: WorkloadCredential): boolean => status?.accessKeyID !== undefined;
  const served = new Set(all.filter(isServed).map(keyOf));
  const named = new Set(all.map(keyOf));
  const known = (key: string): boolean => serviceAccounts.get(key) !== undefined;
  const best = [...served].filter(known);
  const others = best.length > 0 ? [] : [...named].filter(known);
  const any = [...serviceAccounts.list()]
    .filter(isThere)
    .map(({ metadata }) => `${metadata.namespace ?? ''}/${metadata.name}`);
  const keys = best.length > 0 ? best : others.length > 0 ? others : any;
  return keys.map((key) => {
    const [namespace = '', name = ''] = key.split('/');
    return { namespace, name };
  });
}

/** What an answer to a probe says. `error` is undefined where the API server said yes. */
export function findingOf(fence: Fence, error: unknown): FenceFinding {
  if (error === undefined) return 'missing';
  if (!isKubeFailure(error)) return 'unknown';
  const { status, reason, causes, message } = error;
  const isFence = (message: string): boolean => FENCE_SENTENCES[fence].some((sentence) => isRefusal(message, sentence));
  if (status === 403 && causes.some((cause) => isFence(cause.message))) return 'inForce';
  // Both come from behind admission: the fence has let it pass.
  const isBound = fence === 'tokens' && status === 400 && message.includes('cannot bind token to object of type');
  const isTaken = fence === 'secrets' && status === 409 && reason === 'AlreadyExists';
  return isBound || isTaken ? 'missing' : 'unknown';
}

/** The words of k8s.io/apiserver pkg/admission/plugin/policy/validating/dispatcher.go, around those of a policy. */
function isRefusal(message: string, sentence: string): boolean {
  return message.startsWith('ValidatingAdmissionPolicy ') && message.endsWith(` denied request: ${sentence}`);
}

/** Looks, and waits, and looks. */
export class FenceProbe {
  readonly #options: FenceProbeOptions;
  readonly #last = new Map<Fence, FenceFinding>();
  #looks = 0;

  constructor(options: FenceProbeOptions) {
    this.#options = options;
  }

  /** Until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    let delayMs = FIRST_LOOK_MS;
    let quickLooks = 0;
    while (!signal.aborted) {
      await sleep(this.#options.clock, delayMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      quickLooks = (await this.#look({ signal })) ? 0 : quickLooks + 1;
      delayMs = quickLooks === 0 || quickLooks > MOST_QUICK_LOOKS ? LOOK_EVERY_MS : LOOK_AGAIN_MS;
    }
  }

  /** @returns whether all fences are in force. */
  async #look(options: CallOptions): Promise<boolean> {
    const accounts = this.#accounts();
    let isWhole = true;
    for (const fence of FENCES) {
      const { finding, answer } = await this.#tryAt(fence, accounts, options);
      if (options.signal.aborted) return false;
      this.#tell(fence, finding, answer);
      isWhole &&= finding === 'inForce';
    }
    return isWhole;
  }

  /** Each look begins at another one, so that in time every account and namespace is tried. */
  #accounts(): ObjectKey[] {
    const { caches, isReached } = this.#options;
    const all = probedServiceAccounts(caches, isReached);
    const first = this.#looks % Math.max(1, all.length);
    this.#looks += 1;
    return [...all.slice(first), ...all.slice(0, first)].slice(0, MOST_TRIES);
  }

  /** Goes on to the next account where the answer is not clear. */
  async #tryAt(
    fence: Fence,
    accounts: readonly ObjectKey[],
    options: CallOptions,
  ): Promise<{ readonly finding: FenceFinding; readonly answer: string }> {
    const { api } = this.#options;
    let answer = 'there is no ServiceAccount to try with';
    for (const account of accounts) {
      const trial =
        fence === 'tokens'
          ? api.tryBoundToken(account, AUDIENCE, options)
          : api.tryForeignSecret(account.namespace, options);
      const error = await trial.then(
        () => undefined,
        (reason: unknown) => reason ?? new Error('no reason'),
      );
      const finding = findingOf(fence, error);
      answer = error instanceof Error ? error.message : '';
      if (finding !== 'unknown' || options.signal.aborted) return { finding, answer };
    }
    return { finding: 'unknown', answer };
  }

  #tell(fence: Fence, finding: FenceFinding, answer: string): void {
    const { log, metrics } = this.#options;
    const before = this.#last.get(fence);
    this.#last.set(fence, finding);
    metrics.fence(fence, finding);
    if (finding === before) return;
    if (finding === 'missing') {
      log.warn('the API server lets this operator do what the fences of the chart refuse', { fence });
    } else if (finding === 'unknown') {
      log.info('whether the fences of the chart are in force could not be seen', { fence, answer });
    } else if (before !== undefined) {
      log.info('the fences of the chart are in force', { fence });
    }
  }
}
