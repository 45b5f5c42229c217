// Promises: turns a WorkloadCredential as the API server holds it into values that the rest of the program can trust
// (parse, don't validate): defaults filled in, every rule of the CRD checked again, since an older CRD may have let more
// through. What is wrong is told by field, value and fix. Each cloud's block has a file beside. Pure. May import api only.
import type { Cloud } from './names.ts';
import { invalid, need, Refusal } from './refusal.ts';
import { resolveAlibabaCloud } from './resolve-alibaba-cloud.ts';
import { resolveAWS } from './resolve-aws.ts';
import { MAX_CHAINED_SECONDS } from './resolve-role-chain.ts';
import { isObjectName, resolveSecret } from './resolve-secret.ts';
import { resolveVolcengine } from './resolve-volcengine.ts';
import type { Resolution, ResolvedCredential, ResolvedExchange } from './resolved.ts';
import type { WorkloadCredential, WorkloadCredentialSpec } from './types.gen.ts';

export { FORMAT_KEYS, PLACEHOLDER, type Placeholder, PLACEHOLDERS } from './secret-keys.ts';

const NAME = /^[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?$/;
const MIN_DURATION_SECONDS = 900;
const DEFAULT_DURATION_SECONDS = 3600;
const MAX_DURATION_SECONDS = 43_200;
const MIN_REFRESH_BEFORE_SECONDS = 300;
const ONE_CLOUD = 'set exactly one of aws, alibabaCloud and volcengine.';

/**
 * Resolves a resource.
 * @param allowedMetadataDomains domains whose label and annotation keys spec.secret may set (--allowed-metadata-domains).
 */
export function resolve(credential: WorkloadCredential, allowedMetadataDomains: readonly string[]): Resolution {
  try {
    return { resolved: resolveSpec(credential, allowedMetadataDomains) };
  } catch (error) {
    if (error instanceof Refusal) {
      return { violation: error.violation };
    }
    throw error;
  }
}

/** The name of the Secret that a resource writes, also when the rest of its spec is wrong. */
export function secretNameOf(credential: WorkloadCredential): string {
  return credential.spec.secret?.name ?? credential.metadata.name;
}

/** The cloud that a resource asks, also when the rest of its spec is wrong; undefined when it names none. */
export function cloudOf({ spec: { aws, alibabaCloud, volcengine } }: WorkloadCredential): Cloud | undefined {
  if (aws !== undefined) {
    return 'AWS';
  }
  if (alibabaCloud !== undefined) {
    return 'AlibabaCloud';
  }
  return volcengine === undefined ? undefined : 'Volcengine';
}

function resolveSpec({ spec, metadata }: WorkloadCredential, domains: readonly string[]): ResolvedCredential {
  need(NAME.test(metadata.name), 'metadata.name', metadata.name, 'use a DNS label of at most 53 characters.');
  need(
    isObjectName(spec.serviceAccountName),
    'spec.serviceAccountName',
    spec.serviceAccountName,
    'name a ServiceAccount of this namespace.',
  );
  const exchange = resolveExchange(spec);
  const durationSeconds = resolveDuration(spec, exchange);
  const before = spec.refreshBeforeSeconds;
  need(
    before === undefined ||
      (Number.isInteger(before) && before >= MIN_REFRESH_BEFORE_SECONDS && before < durationSeconds),
    'spec.refreshBeforeSeconds',
    before,
    `use at least ${MIN_REFRESH_BEFORE_SECONDS} and less than spec.durationSeconds (${durationSeconds}).`,
  );
  return {
    serviceAccountName: spec.serviceAccountName,
    exchange,
    durationSeconds,
    refreshBeforeSeconds: before,
    suspend: spec.suspend ?? false,
    secret: resolveSecret(spec.secret ?? {}, { credentialName: metadata.name, cloud: exchange.cloud, domains }),
  };
}

function resolveExchange({ aws, alibabaCloud, volcengine }: WorkloadCredentialSpec): ResolvedExchange {
  const named = Object.entries({ aws, alibabaCloud, volcengine }).filter(([, block]) => block !== undefined);
  const names = named.map(([name]) => name);
  need(names.length <= 1, 'spec', names, ONE_CLOUD);
  if (aws !== undefined) {
    return resolveAWS(aws);
  }
  if (alibabaCloud !== undefined) {
    return resolveAlibabaCloud(alibabaCloud);
  }
  if (volcengine !== undefined) {
    return resolveVolcengine(volcengine);
  }
  return invalid('spec', names, ONE_CLOUD);
}

/** Why a chain's credential lives an hour at most. Only AWS documents the limit; none of the others documents a longer one. */
const CHAIN_RULE: Readonly<Record<ResolvedExchange['cloud'], string>> = {
  AWS: 'AWS ends chained sessions after one hour',
  AlibabaCloud: 'Alibaba Cloud promises chained sessions no more than one hour',
  Volcengine: 'Volcengine promises chained sessions no more than one hour',
};

function resolveDuration(spec: WorkloadCredentialSpec, { cloud, roleChain }: ResolvedExchange): number {
  const seconds = spec.durationSeconds ?? DEFAULT_DURATION_SECONDS;
  need(
    Number.isInteger(seconds) && seconds >= MIN_DURATION_SECONDS && seconds <= MAX_DURATION_SECONDS,
    'spec.durationSeconds',
    seconds,
    `use ${MIN_DURATION_SECONDS} (15 minutes) to ${MAX_DURATION_SECONDS} (12 hours).`,
  );
  need(
    roleChain.length === 0 || seconds <= MAX_CHAINED_SECONDS,
    'spec.durationSeconds',
    seconds,
    `use at most ${MAX_CHAINED_SECONDS} with a roleChain (${CHAIN_RULE[cloud]}), or remove the roleChain.`,
  );
  return seconds;
}
