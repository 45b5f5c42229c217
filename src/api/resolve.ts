// Promises: turns a WorkloadCredential as the API server holds it into values that the rest of the program can trust
// (parse, don't validate): defaults filled in, every rule of the CRD checked again, since an older CRD may have let more
// through. What is wrong is told by field, value and fix. Pure. May import api only.
import { GROUP } from './names.ts';
import type { AWSSpec, SecretSpec, WorkloadCredential } from './types.gen.ts';

/** spec.aws, resolved. */
export interface ResolvedAWS {
  readonly cloud: 'AWS';
  readonly roleARN: string;
  readonly region: string;
  readonly audience: string;
  /** Absent: the cloud's own endpoint for region and type. */
  readonly endpoint?: string;
  readonly endpointType: 'Regional' | 'FIPS' | 'DualStack' | 'FIPSDualStack';
  readonly policyARNs: readonly string[];
  readonly sessionPolicy?: string;
}

/** The exchange's inputs: what the request-hash covers. The other clouds join this union with their providers. */
export type ResolvedExchange = ResolvedAWS;

/** What the Secret is rendered in. */
export type Format = 'Files' | 'Environment' | 'StaticFile';

/** spec.secret, resolved. */
export interface ResolvedSecret {
  readonly name: string;
  readonly formats: readonly Format[];
  readonly mountPath: string;
  /** Further keys; values are templates of the closed list of placeholders. */
  readonly data: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly deletionPolicy: 'Delete' | 'Retain';
}

/** spec, resolved. */
export interface ResolvedCredential {
  readonly serviceAccountName: string;
  readonly exchange: ResolvedExchange;
  readonly durationSeconds: number;
  readonly refreshBeforeSeconds: number | undefined;
  readonly suspend: boolean;
  readonly secret: ResolvedSecret;
}

/** A field that cannot work; the message names field, value and fix. */
export interface Violation {
  readonly code: 'InvalidSpec' | 'NotSupported';
  readonly message: string;
}

/** Either all is well, or the first thing that is not. */
export type Resolution =
  | { readonly resolved: ResolvedCredential; readonly violation?: undefined }
  | { readonly resolved?: undefined; readonly violation: Violation };

/** Placeholders that spec.secret.data may use. */
export const PLACEHOLDERS = [
  'accessKeyId',
  'secretAccessKey',
  'sessionToken',
  'expiration',
  'region',
  'roleArn',
] as const;
export type Placeholder = (typeof PLACEHOLDERS)[number];
/** One placeholder in a template, written as the CRD takes it. */
export const PLACEHOLDER = new RegExp(`\\{\\{ (${PLACEHOLDERS.join('|')}) \\}\\}`, 'g');

/** The keys that each format writes into an AWS Secret. */
export const AWS_FORMAT_KEYS: Readonly<Record<Format, readonly string[]>> = {
  Files: ['config', 'credentials.json'],
  StaticFile: ['credentials'],
  Environment: ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_REGION'],
};

const NAME = /^[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?$/;
const DNS_SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const REGION = /^[a-z]{2,}(-[a-z0-9]+)+$/;
/** https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html */
const AWS_ROLE_ARN = /^arn:aws(-[a-z]+)*:iam::[0-9]{12}:role\/([A-Za-z0-9_+=,.@-]+\/)*[A-Za-z0-9_+=,.@-]{1,64}$/;
const AWS_POLICY_ARN =
  /^arn:aws(-[a-z]+)*:iam::(aws|[0-9]{12}):policy\/([A-Za-z0-9_+=,.@-]+\/)*[A-Za-z0-9_+=,.@-]{1,128}$/;
const MAX_ROLE_ARN_LENGTH = 2048;
const MAX_POLICY_ARN_LENGTH = 512;
const MAX_REGION_LENGTH = 64;
const AUDIENCE = /^[A-Za-z0-9][A-Za-z0-9._:/~@=-]{0,254}$/;
const ENDPOINT_TYPES: readonly string[] = ['Regional', 'FIPS', 'DualStack', 'FIPSDualStack'];
const DELETION_POLICIES: readonly string[] = ['Delete', 'Retain'];
const MOUNT_PATH = /^(\/[A-Za-z0-9._-]+)+$/;
const DATA_KEY = /^[-._a-zA-Z0-9]{1,253}$/;
const LABEL_VALUE = /^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/;
/** Longest name of a Kubernetes object. */
const MAX_NAME_LENGTH = 253;
/** Longest value of spec.secret.data and spec.secret.annotations, and most entries of each map, as in the CRD. */
const MAX_VALUE_LENGTH = 4096;
const MAX_ENTRIES = 32;
const ENVIRONMENT_KEY = /^(AWS|ALIBABA_CLOUD|VOLC|VOLCENGINE|VOLCSTACK)_/;
const METADATA_NAME = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const MAX_SESSION_POLICY = 2048;
/** AWS takes the printable range and whitespace; a smaller set is enough for JSON. */
const SESSION_POLICY = /^[\t\n\r\x20-\x7e]+$/;

/** As much of a foreign text is shown in a message, in characters. */
const MAX_SHOWN_LENGTH = 200;

/** A thrown violation: resolve() catches it, nobody else sees it. */
class Refusal extends Error {
  readonly violation: Violation;

  constructor(code: Violation['code'], message: string) {
    super(message);
    this.violation = { code, message };
  }
}

function invalid(field: string, value: unknown, fix: string): never {
  throw new Refusal('InvalidSpec', `${field} is ${cut(JSON.stringify(value) ?? 'nothing')}: ${fix}`);
}

function need(good: boolean, field: string, value: unknown, fix: string): void {
  if (!good) {
    invalid(field, value, fix);
  }
}

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

function resolveSpec(credential: WorkloadCredential, domains: readonly string[]): ResolvedCredential {
  const { spec, metadata } = credential;
  need(NAME.test(metadata.name), 'metadata.name', metadata.name, 'use a DNS label of at most 53 characters.');
  need(
    isObjectName(spec.serviceAccountName),
    'spec.serviceAccountName',
    spec.serviceAccountName,
    'name a ServiceAccount of this namespace.',
  );
  const exchange = resolveExchange(credential);
  const durationSeconds = spec.durationSeconds ?? 3600;
  need(
    Number.isInteger(durationSeconds) && durationSeconds >= 900 && durationSeconds <= 43_200,
    'spec.durationSeconds',
    durationSeconds,
    'use 900 (15 minutes) to 43200 (12 hours).',
  );
  const before = spec.refreshBeforeSeconds;
  need(
    before === undefined || (Number.isInteger(before) && before >= 300 && before < durationSeconds),
    'spec.refreshBeforeSeconds',
    before,
    `use at least 300 and less than spec.durationSeconds (${durationSeconds}).`,
  );
  return {
    serviceAccountName: spec.serviceAccountName,
    exchange,
    durationSeconds,
    refreshBeforeSeconds: before,
    suspend: spec.suspend ?? false,
    secret: resolveSecret(spec.secret ?? {}, metadata.name, domains),
  };
}

function resolveExchange(credential: WorkloadCredential): ResolvedExchange {
  const { aws, alibabaCloud, volcengine } = credential.spec;
  const named = Object.entries({ aws, alibabaCloud, volcengine }).filter(([, block]) => block !== undefined);
  need(
    named.length === 1,
    'spec',
    named.map(([name]) => name),
    'set exactly one of aws, alibabaCloud and volcengine.',
  );
  if (aws === undefined) {
    throw new Refusal(
      'NotSupported',
      `spec.${named[0]?.[0] ?? ''} is not supported by this version of the operator yet: use spec.aws, or upgrade when a release that supports it is out.`,
    );
  }
  return resolveAWS(aws);
}

function resolveAWS(aws: AWSSpec): ResolvedAWS {
  if (aws.roleChain !== undefined && aws.roleChain.length > 0) {
    throw new Refusal(
      'NotSupported',
      'spec.aws.roleChain is not supported by this version of the operator yet: remove it and name the role itself, or upgrade when a release that supports it is out.',
    );
  }
  need(
    AWS_ROLE_ARN.test(aws.roleARN) && aws.roleARN.length <= MAX_ROLE_ARN_LENGTH,
    'spec.aws.roleARN',
    aws.roleARN,
    'use the ARN of an AWS role, such as arn:aws:iam::123456789012:role/orders.',
  );
  need(
    REGION.test(aws.region) && aws.region.length <= MAX_REGION_LENGTH,
    'spec.aws.region',
    aws.region,
    'use an AWS region, such as eu-west-1.',
  );
  const audience = aws.audience ?? 'sts.amazonaws.com';
  need(
    AUDIENCE.test(audience),
    'spec.aws.audience',
    audience,
    'use an audience of the operator, such as sts.amazonaws.com.',
  );
  const endpointType = aws.endpointType ?? 'Regional';
  need(
    ENDPOINT_TYPES.includes(endpointType),
    'spec.aws.endpointType',
    endpointType,
    `use ${ENDPOINT_TYPES.join(', ')}.`,
  );
  need(
    aws.endpoint === undefined || endpointType === 'Regional',
    'spec.aws.endpointType',
    endpointType,
    'remove it or spec.aws.endpoint: it chooses among the own endpoints of AWS.',
  );
  const policyARNs = aws.policyARNs ?? [];
  needPolicyARNs(policyARNs);
  needSessionPolicy('spec.aws.sessionPolicy', aws.sessionPolicy);
  return {
    cloud: 'AWS',
    roleARN: aws.roleARN,
    region: aws.region,
    audience,
    endpointType,
    policyARNs,
    ...(aws.endpoint === undefined ? {} : { endpoint: aws.endpoint }),
    ...(aws.sessionPolicy === undefined ? {} : { sessionPolicy: aws.sessionPolicy }),
  };
}

function needPolicyARNs(policyARNs: readonly string[]): void {
  need(policyARNs.length <= 10, 'spec.aws.policyARNs', policyARNs.length, 'list at most 10 policies.');
  for (const [index, policyARN] of policyARNs.entries()) {
    need(
      AWS_POLICY_ARN.test(policyARN) && policyARN.length <= MAX_POLICY_ARN_LENGTH,
      `spec.aws.policyARNs[${index}]`,
      policyARN,
      'use the ARN of a managed policy, such as arn:aws:iam::aws:policy/ReadOnlyAccess.',
    );
  }
}

function needSessionPolicy(field: string, policy: string | undefined): void {
  if (policy === undefined) {
    return;
  }
  need(
    policy.length <= MAX_SESSION_POLICY,
    field,
    `${policy.length} characters`,
    `use at most ${MAX_SESSION_POLICY} characters.`,
  );
  need(SESSION_POLICY.test(policy), field, policy, 'use printable ASCII characters only.');
  let parsed: unknown;
  try {
    parsed = JSON.parse(policy);
  } catch {
    invalid(field, policy, 'use one JSON object, as the cloud documents its policies.');
  }
  need(
    typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed),
    field,
    policy,
    'use one JSON object, as the cloud documents its policies.',
  );
}

function resolveSecret(secret: SecretSpec, credentialName: string, domains: readonly string[]): ResolvedSecret {
  const name = secret.name ?? credentialName;
  need(isObjectName(name), 'spec.secret.name', name, 'use a legal Secret name.');
  const formats: readonly Format[] = secret.formats ?? ['Files'];
  needFormats(formats);
  const mountPath = secret.mountPath ?? `/var/run/secrets/workloadcredentials.io/${credentialName}`;
  const steps = mountPath.split('/');
  need(
    MOUNT_PATH.test(mountPath) && mountPath.length <= 255 && !steps.includes('.') && !steps.includes('..'),
    'spec.secret.mountPath',
    mountPath,
    'use an absolute path of letters, digits, ".", "_" and "-", without "." or ".." as a component, of at most 255 characters.',
  );
  const data = secret.data ?? {};
  needData(data, formats);
  needMetadata('labels', secret.labels, domains, (value) => LABEL_VALUE.test(value));
  needMetadata('annotations', secret.annotations, domains, (value) => value.length <= MAX_VALUE_LENGTH);
  const deletionPolicy = secret.deletionPolicy ?? 'Delete';
  need(
    DELETION_POLICIES.includes(deletionPolicy),
    'spec.secret.deletionPolicy',
    deletionPolicy,
    'use Delete or Retain.',
  );
  return {
    name,
    formats: [...new Set(formats)],
    mountPath,
    data,
    labels: secret.labels ?? {},
    annotations: secret.annotations ?? {},
    deletionPolicy,
  };
}

function isObjectName(name: unknown): boolean {
  return typeof name === 'string' && DNS_SUBDOMAIN.test(name) && name.length <= MAX_NAME_LENGTH;
}

/** Variables by which a program loads code, or sends its requests elsewhere: a Secret may be a whole environment. */
const ACTING_KEY =
  /^((LD|DYLD|NODE|JAVA|JDK|_JAVA|BASH|GIT|GCONV|SSL|OPENSSL|DOTNET|CORECLR|COR|ERL|ELIXIR|LUA|PHP|GEM|NPM|npm)_|PYTHON|RUBY|PERL)/;
const PROXY_KEY = /(_PROXY|_proxy)$/;
const ACTING_NAMES = ['PATH', 'HOME', 'ENV', 'IFS', 'PS4', 'SHELLOPTS', 'PROMPT_COMMAND', 'CLASSPATH'];
/** What of the clouds' own variables says who somebody is, and not where requests go. */
const CREDENTIAL_KEY =
  /_(ACCESS_?KEY|ACCESS_KEY_ID|ACCESS_KEY_SECRET|SECRET_?KEY|SECRET_ACCESS_KEY|SESSION_TOKEN|SECURITY_TOKEN|REGION|REGION_ID|DEFAULT_REGION|CREDENTIAL_EXPIRATION)$/;

/** Never empty: a Secret of templates only could not be rendered anew without an exchange. */
function needFormats(formats: readonly Format[]): void {
  const known = Object.keys(AWS_FORMAT_KEYS);
  need(
    formats.length > 0 && formats.every((format) => known.includes(format)),
    'spec.secret.formats',
    formats,
    `name one or more of ${known.join(', ')}, or leave it out for Files.`,
  );
}

/** The files that formats write are theirs even where the format is not used: a `config` runs commands in a consumer. */
const FORMAT_FILES: readonly string[] = [...AWS_FORMAT_KEYS.Files, ...AWS_FORMAT_KEYS.StaticFile, 'config.json'];

function needData(data: Readonly<Record<string, string>>, formats: readonly Format[]): void {
  const entries = Object.entries(data);
  need(entries.length <= MAX_ENTRIES, 'spec.secret.data', `${entries.length} keys`, `use at most ${MAX_ENTRIES}.`);
  for (const [key, template] of entries) {
    const field = `spec.secret.data[${cut(key)}]`;
    need(
      DATA_KEY.test(key) && key !== '.' && !key.startsWith('..'),
      field,
      key,
      'use a key of letters, digits, "-", "_" and ".", which does not begin with "..".',
    );
    need(!FORMAT_FILES.includes(key), field, key, 'choose another key: the formats write this one.');
    need(
      !ACTING_KEY.test(key) && !PROXY_KEY.test(key) && !ACTING_NAMES.includes(key),
      field,
      key,
      'choose another key: this one acts in a program that takes the Secret as its environment.',
    );
    need(
      !ENVIRONMENT_KEY.test(key) || CREDENTIAL_KEY.test(key),
      field,
      key,
      "choose another key: of the clouds' own variables only those of keys, tokens, regions and expirations may be set.",
    );
    need(
      !formats.includes('Environment') || !ENVIRONMENT_KEY.test(key),
      field,
      key,
      'choose another key: the format Environment writes those of this prefix.',
    );
    need(
      template.length <= MAX_VALUE_LENGTH,
      field,
      `${template.length} characters`,
      `use at most ${MAX_VALUE_LENGTH}.`,
    );
    const known = PLACEHOLDERS.map((word) => `{{ ${word} }}`).join(', ');
    need(!template.replaceAll(PLACEHOLDER, '').includes('{{'), field, template, `use only the placeholders ${known}.`);
  }
}

/** Keys that are ours, or that make another controller act, are refused: a label can turn a Secret into its input. */
function needMetadata(
  kind: 'labels' | 'annotations',
  map: Readonly<Record<string, string>> | undefined,
  domains: readonly string[],
  legalValue: (value: string) => boolean,
): void {
  const entries = Object.entries(map ?? {});
  need(entries.length <= MAX_ENTRIES, `spec.secret.${kind}`, `${entries.length} keys`, `use at most ${MAX_ENTRIES}.`);
  for (const [key, value] of entries) {
    const field = `spec.secret.${kind}[${cut(key)}]`;
    const slash = key.indexOf('/');
    const domain = slash < 0 ? undefined : key.slice(0, slash);
    need(
      METADATA_NAME.test(key.slice(slash + 1)),
      field,
      key,
      'use a legal key: letters, digits, "-", "_" and ".", at most 63.',
    );
    need(
      domain === undefined || !isOurDomain(domain),
      field,
      key,
      `use another key: the operator writes those of ${GROUP}.`,
    );
    need(
      domain === undefined || domains.includes(domain),
      field,
      key,
      `use a key without a domain, or one of the domains that the operator allows (${domains.join(', ')}): ask its administrator to add it.`,
    );
    need(
      !(kind === 'labels' && /^owner$/i.test(key) && /^(helm|tiller)$/i.test(value)),
      field,
      value,
      "use another value: Helm takes Secrets with this label for its releases and runs what is in them with its user's rights.",
    );
    need(legalValue(value), field, value, `use a legal value for a Kubernetes ${kind.slice(0, -1)}.`);
  }
}

/** Also where the administrator lists it: the record of a credential is nobody else's to write. */
function isOurDomain(domain: string): boolean {
  return domain === GROUP || domain.endsWith(`.${GROUP}`);
}

/** Half a character would come back from the API server as another one, and the status would differ for ever. */
function cut(text: string): string {
  return text.length > MAX_SHOWN_LENGTH ? `${text.slice(0, MAX_SHOWN_LENGTH).toWellFormed()}...` : text;
}
