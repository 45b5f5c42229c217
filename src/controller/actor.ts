// Promises: carries out a plan: issues, writes or repairs, and tells what came of it. After an exchange the credential is in
// memory until its Secret is written, so that a failing API server costs no further exchange. Decides nothing.
import type { Cloud } from '../api/names.ts';
import {
  ANNOTATION_CONTENT_HASH,
  ANNOTATION_EXPIRATION_TIME,
  ANNOTATION_ISSUE_TIME,
  ANNOTATION_REFRESH_HANDLED,
  ANNOTATION_RENDER_HASH,
  ANNOTATION_REQUEST_HASH,
} from '../api/names.ts';
import { deliveredRole, type ResolvedCredential, type ResolvedExchange } from '../api/resolved.ts';
import { notedData, noteOfKeys } from '../credential/adoption.ts';
import type { Assessment } from '../credential/assessment.ts';
import type { Credential } from '../credential/credentials.ts';
import { CredentialError } from '../credential/errors.ts';
import type { HeldCredential, KeyMemory, Observed, Settings } from '../credential/observed.ts';
import { type IssueCause, type Plan, refreshRequested } from '../credential/plan.ts';
import { type CredentialRecord, formatTime, parseTime } from '../credential/record.ts';
import { contestedDelayMs, forcedUntilMs, refreshTimeMs } from '../credential/schedule.ts';
import type { Identity, Outcome } from '../credential/status.ts';
import type { TokenClaims } from '../credential/token-claims.ts';
import type { CallOptions } from '../kube/api.ts';
import type { WriteMarks } from '../kube/writes.ts';
import { readParts, renderData } from '../render/formats.ts';
import { patchOperations, type SecretInput, wantSecret, type WantedSecret } from '../render/secret.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import { adoptionOf, existingLive, existingSecret, type ExistingSecret } from './existing-secret.ts';
import type { Exchanger } from './exchanger.ts';
import { isKubeFailure } from './failures.ts';
import type { KeyMemories } from './memories.ts';
import type { SecretWriter, WrittenSecret } from './secret-writer.ts';

/** Between two repairs of a Secret's metadata: another controller may undo each of them as soon as it is made. */
const REPAIR_INTERVAL_MS = 10_000;

/** What acting on a plan came to. */
export interface Acted {
  readonly outcome: Outcome;
  readonly assessment: Assessment;
  /** The Secret, where it was written or verified. */
  readonly secretRef?: WrittenSecret | undefined;
  readonly identity?: Identity | undefined;
  readonly wakeAtMs?: number | undefined;
}

/** What an actor is made of. */
export interface ActorOptions {
  readonly exchanger: Exchanger;
  readonly writer: SecretWriter;
  readonly marks: WriteMarks;
  readonly memories: KeyMemories;
  /** The corrected clock. */
  readonly clock: Clock;
  readonly settings: Settings;
  readonly log: Log;
  readonly onIssued: (cloud: Cloud) => void;
}

/** A key and what was observed of it, with the spec resolved: without that no plan acts. */
interface Job {
  readonly key: string;
  readonly observed: Observed;
  readonly resolved: ResolvedCredential;
}

/** Why an exchange is made, and what it replaces. */
type Issue = Omit<Extract<Plan, { readonly kind: 'issue' }>, 'kind'>;

/** What a repair makes of the Secret, and the public half of the key in it. */
interface Repair {
  readonly existing: ExistingSecret;
  readonly wanted: WantedSecret;
  readonly scope: 'keep' | 'replace';
  readonly accessKeyID: string | undefined;
}

/** Carries out plans. */
export class Actor {
  readonly #options: ActorOptions;

  constructor(options: ActorOptions) {
    this.#options = options;
  }

  /**
   * Carries out a plan.
   * @throws CredentialError, KubeError, or the signal's reason.
   */
  async act(
    key: string,
    observed: Observed,
    plan: Exclude<Plan, { readonly kind: 'look' }>,
    options: CallOptions,
  ): Promise<Acted> {
    const { assessment } = plan;
    if (plan.kind === 'wait') {
      this.#rememberAsked(key, observed, plan.waitsFor === 'Distance');
      return { outcome: outcomeOf(plan), assessment, wakeAtMs: plan.wakeAtMs };
    }
    if (plan.kind === 'refuse') {
      return { outcome: { kind: 'failed', error: plan.error }, assessment, wakeAtMs: plan.wakeAtMs };
    }
    const job: Job = { key, observed, resolved: found(observed.resolved) };
    switch (plan.kind) {
      case 'repair':
        return await this.#repair(job, plan, options);
      case 'write':
        return await this.#write(job, found(observed.memory.held), assessment, options);
      case 'issue':
        return await this.#issue(job, plan, options);
    }
  }

  /** Status will tell that what was asked for has been observed; that it is not answered yet is remembered here. */
  #rememberAsked(key: string, { uid }: Observed, waits: boolean): void {
    const { forced } = this.#options.memories.of(key, uid);
    if (waits && forced !== undefined) {
      this.#options.memories.remember(key, uid, { forced: { ...forced, waits } });
    }
  }

  async #issue(job: Job, issue: Issue, options: CallOptions): Promise<Acted> {
    const { exchanger, memories, clock } = this.#options;
    const { key, observed, resolved } = job;
    const { cause, assessment, forced = false } = issue;
    const before = memories.of(key, observed.uid).forced;
    const last = forced ? clock.now() : before?.lastTimeMs;
    memories.remember(key, observed.uid, {
      forced: last === undefined ? undefined : { lastTimeMs: last, waits: false },
    });
    const subject = { namespace: observed.namespace, name: observed.credential.metadata.name, resolved };
    const exchanged = await exchanger.exchange(subject, options).catch((error: unknown) => {
      if (isKubeFailure(error)) {
        // No token, no call to STS: what was asked for keeps no distance from this.
        memories.remember(key, observed.uid, { forced: before });
      }
      throw error;
    });
    if (!exchanged.granted) {
      memories.remember(key, observed.uid, { forced: before });
      return {
        outcome: { kind: 'waiting', waitsFor: 'Turn' },
        assessment,
        wakeAtMs: clock.now() + exchanged.retryAfterMs,
      };
    }
    const { credential, claims } = exchanged;
    this.#audit(job, credential, claims);
    assertNotShorter(job, credential, cause, assessment);
    const { requestHash } = observed;
    const held = { credential, requestHash, refreshHandled: refreshRequested(observed) };
    const contest = this.#contest(job, cause);
    memories.remember(key, observed.uid, { held, contest, retryNotBefore: undefined, untoldFailure: undefined });
    return await this.#write(job, held, assessment, options);
  }

  /** One line for each exchange, by which a cloud's audit log can be joined with ours. */
  #audit({ observed, resolved }: Job, credential: Credential, claims: TokenClaims): void {
    this.#options.log.info('credential issued', {
      namespace: observed.namespace,
      name: observed.credential.metadata.name,
      uid: observed.uid,
      cloud: resolved.exchange.cloud,
      role: deliveredRole(resolved.exchange),
      identity: credential.identity,
      accessKeyID: credential.accessKeyID,
      requestID: credential.requestID,
      serviceAccount: resolved.serviceAccountName,
      serviceAccountUID: claims.serviceAccountUID,
      tokenID: claims.tokenID,
      expirationTime: formatTime(credential.expirationTimeMs),
    });
  }

  /** Counts exchanges that were made because somebody changed or removed what we had written. */
  #contest({ key, observed }: Job, cause: IssueCause): KeyMemory['contest'] {
    const before = this.#options.memories.of(key, observed.uid).contest;
    const wasWritten = observed.credential.status?.secret?.uid !== undefined;
    if (!(cause === 'Damaged' || (cause === 'Absent' && wasWritten))) {
      return before;
    }
    const nowMs = this.#options.clock.now();
    const goesOn = before !== undefined && nowMs < before.lastTimeMs + 2 * contestedDelayMs(before.repairs);
    return { repairs: goesOn ? before.repairs + 1 : 1, lastTimeMs: nowMs };
  }

  /** Writes a credential that is in memory. */
  async #write(job: Job, held: HeldCredential, before: Assessment, options: CallOptions): Promise<Acted> {
    const { key, observed, resolved } = job;
    const { credential, refreshHandled } = held;
    const issueTime = formatTime(credential.issueTimeMs);
    const expirationTime = formatTime(credential.expirationTimeMs);
    const plain = renderData(resolved.exchange, resolved.secret, {
      accessKeyID: credential.accessKeyID,
      secretAccessKey: credential.secretAccessKey.reveal(),
      sessionToken: credential.sessionToken.reveal(),
      issueTime,
      expiration: expirationTime,
    });
    const existing = existingSecret(observed);
    const shares = existing?.shared !== undefined;
    const wanted = wantedSecret(job, { shares, data: { plain }, issueTime, expirationTime, refreshHandled });
    const secretRef = await this.#options.writer.write(wanted, existing, 'replace', options);
    this.#mark(wanted, secretRef);
    const adoption = adoptionOf(observed, wanted);
    if (adoption !== undefined) {
      this.#options.log.info('Secret adopted', adoption);
    }
    this.#options.memories.remember(key, observed.uid, { held: undefined });
    this.#options.onIssued(resolved.exchange.cloud);
    return {
      outcome: { kind: 'issued' },
      assessment: this.#assessment(job, recordOf(wanted), before),
      secretRef,
      identity: identityOf(resolved.exchange, credential),
    };
  }

  /** The credential in the Secret is good: its metadata is put back, or it is rendered as spec.secret wants it now. */
  async #repair(job: Job, plan: Extract<Plan, { kind: 'repair' }>, options: CallOptions): Promise<Acted> {
    const { observed, resolved } = job;
    const { secret, assessment } = plan;
    const record = found(assessment.record);
    const existing = existingLive(observed, secret);
    const shares = existing.shared !== undefined;
    const base64 = shares ? notedData(secret) : (secret.data ?? {});
    const issueTime = formatTime(record.issueTimeMs);
    const expirationTime = formatTime(record.expirationTimeMs);
    const parts = readParts(resolved.exchange, decode(base64), { issueTime, expiration: expirationTime });
    const isRenderedSo =
      record.renderHash === observed.renderHash && (!shares || isWholeNote(job, base64, { issueTime, expirationTime }));
    if (parts === undefined && !isRenderedSo) {
      // Only templates were rendered, from which nothing can be read back, or the notes on the Secret were forged.
      return await this.#issueAnew(job, plan, options);
    }
    const data =
      parts === undefined || isRenderedSo
        ? { base64 }
        : { plain: renderData(resolved.exchange, resolved.secret, parts) };
    const { refreshHandled } = record;
    const wanted = wantedSecret(job, { shares, data, issueTime, expirationTime, refreshHandled });
    return await this.#putBack(
      job,
      plan,
      { existing, wanted, scope: isRenderedSo ? 'keep' : 'replace', accessKeyID: parts?.accessKeyID },
      options,
    );
  }

  /** An exchange for the sake of spec.secret alone keeps the distance that the plan keeps for one of another request. */
  async #issueAnew(job: Job, plan: Extract<Plan, { kind: 'repair' }>, options: CallOptions): Promise<Acted> {
    const { assessment, wakeAtMs } = plan;
    const otherwise = outcomeOf(plan);
    if (otherwise.kind !== 'settled' || job.resolved.suspend) {
      const outcome: Outcome = otherwise.kind === 'settled' ? { kind: 'waiting', waitsFor: 'Suspended' } : otherwise;
      return { outcome, assessment, wakeAtMs };
    }
    const { clock, memories, settings } = this.#options;
    const lastTimeMs = memories.of(job.key, job.observed.uid).forced?.lastTimeMs;
    const { minRefreshIntervalSeconds } = settings;
    const { record } = assessment;
    const untilMs = forcedUntilMs({ lastTimeMs, record, minRefreshIntervalSeconds }, clock.now());
    return untilMs === undefined
      ? await this.#issue(job, { cause: 'Changed', assessment, forced: true }, options)
      : { outcome: { kind: 'waiting', waitsFor: 'Distance' }, assessment, wakeAtMs: untilMs };
  }

  /** Writes what differs, unless the same was put back a moment ago. */
  async #putBack(
    job: Job,
    plan: Extract<Plan, { kind: 'repair' }>,
    { existing, wanted, scope, accessKeyID }: Repair,
    options: CallOptions,
  ): Promise<Acted> {
    const { key, observed } = job;
    const { assessment, wakeAtMs } = plan;
    const outcome = outcomeOf(plan);
    const isDrifted = patchOperations(existing.metadata, wanted, scope, existing.shared).length > 0;
    const repairAtMs = isDrifted && scope === 'keep' ? this.#repairAtMs(job) : undefined;
    if (repairAtMs !== undefined) {
      return { outcome, assessment, wakeAtMs: Math.min(repairAtMs, wakeAtMs ?? repairAtMs) };
    }
    const secretRef = await this.#options.writer.write(wanted, existing, scope, options);
    if (isDrifted) {
      this.#mark(wanted, secretRef);
      const { namespace, name } = wanted;
      this.#options.memories.remember(key, observed.uid, { repairedAtMs: this.#options.clock.now() });
      this.#options.log.info('Secret repaired', { namespace, name, rendered: scope === 'replace' });
    }
    return { outcome, assessment, secretRef, identity: learnedIdentity(job, accessKeyID), wakeAtMs };
  }

  /** When the next repair may be made; undefined: now. */
  #repairAtMs({ key, observed }: Job): number | undefined {
    const { memories, clock } = this.#options;
    const waitMs = (memories.of(key, observed.uid).repairedAtMs ?? -Infinity) + REPAIR_INTERVAL_MS - clock.now();
    return waitMs > 0 && waitMs <= REPAIR_INTERVAL_MS ? clock.now() + waitMs : undefined;
  }

  #mark(wanted: WantedSecret, { resourceVersion }: WrittenSecret): void {
    this.#options.marks.mark('secrets', `${wanted.namespace}/${wanted.name}`, resourceVersion);
  }

  #assessment({ observed, resolved }: Job, record: CredentialRecord, before: Assessment): Assessment {
    const { issueTimeMs, expirationTimeMs } = record;
    const { minRefreshIntervalSeconds } = this.#options.settings;
    const { refreshBeforeSeconds } = resolved;
    const schedule = {
      uid: observed.uid,
      issueTimeMs,
      expirationTimeMs,
      refreshBeforeSeconds,
      minRefreshIntervalSeconds,
    };
    return { ...before, established: true, record, live: true, refreshTimeMs: refreshTimeMs(schedule) };
  }
}

/** What a plan comes to that makes no exchange. */
function outcomeOf(plan: Extract<Plan, { kind: 'wait' | 'repair' }>): Outcome {
  if (plan.kind === 'repair' && plan.refusal !== undefined) {
    return { kind: 'failed', error: plan.refusal };
  }
  return plan.waitsFor === undefined ? { kind: 'settled' } : { kind: 'waiting', waitsFor: plan.waitsFor };
}

/** What the plan has made sure of. */
function found<T>(value: T | undefined): T {
  if (value === undefined) {
    throw new TypeError('the plan asked for something that was not observed');
  }
  return value;
}

/** For one request a credential is never replaced by one that ends earlier, unless a refresh was asked for. */
function assertNotShorter(
  { resolved }: Job,
  credential: Credential,
  cause: IssueCause,
  { record, live }: Assessment,
): void {
  if (live && cause !== 'Requested' && record !== undefined && credential.expirationTimeMs < record.expirationTimeMs) {
    throw new CredentialError(
      'InvalidResponse',
      `STS granted a credential that ends at ${formatTime(credential.expirationTimeMs)}, before the one that Secret "${resolved.secret.name}" holds (${formatTime(record.expirationTimeMs)}); the longer one was kept. Check the role's maximum session and what answers at the endpoint.`,
      { requestID: credential.requestID },
    );
  }
}

function wantedSecret(
  { observed, resolved }: Job,
  what: Pick<SecretInput, 'shares' | 'data' | 'issueTime' | 'expirationTime' | 'refreshHandled'>,
): WantedSecret {
  const { namespace, uid, requestHash, renderHash } = observed;
  const { name } = observed.credential.metadata;
  return wantSecret({ ...what, namespace, name, uid, resolved, requestHash, renderHash });
}

/** Whether the noted keys are those that are rendered. A note is only a note: where one is missing, all are written. */
function isWholeNote(
  { resolved }: Job,
  noted: Readonly<Record<string, string>>,
  { issueTime, expirationTime }: { readonly issueTime: string; readonly expirationTime: string },
): boolean {
  const blank = { accessKeyID: '', secretAccessKey: '', sessionToken: '', issueTime, expiration: expirationTime };
  return noteOfKeys(noted) === noteOfKeys(renderData(resolved.exchange, resolved.secret, blank));
}

function decode(base64: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(base64).map(([key, value]) => [key, Buffer.from(value, 'base64').toString('utf8')]),
  );
}

function recordOf({ annotations }: WantedSecret): CredentialRecord {
  return {
    issueTimeMs: parseTime(annotations[ANNOTATION_ISSUE_TIME]) ?? 0,
    expirationTimeMs: parseTime(annotations[ANNOTATION_EXPIRATION_TIME]) ?? 0,
    requestHash: annotations[ANNOTATION_REQUEST_HASH] ?? '',
    renderHash: annotations[ANNOTATION_RENDER_HASH] ?? '',
    contentHash: annotations[ANNOTATION_CONTENT_HASH] ?? '',
    refreshHandled: annotations[ANNOTATION_REFRESH_HANDLED],
  };
}

function identityOf(exchange: ResolvedExchange, { identity, accessKeyID, requestID }: Credential): Identity {
  return { role: deliveredRole(exchange), identity, accessKeyID, requestID };
}

/** After a restart between the two writes, status does not know who is in the Secret: the Secret does. */
function learnedIdentity({ observed, resolved }: Job, accessKeyID: string | undefined): Identity | undefined {
  return accessKeyID === undefined || observed.credential.status?.accessKeyID === accessKeyID
    ? undefined
    : { role: deliveredRole(resolved.exchange), identity: undefined, accessKeyID, requestID: undefined };
}
