// Promises: spec.secret with its defaults, every rule checked: nothing that a tenant writes here can end its line, quote or
// argument in a file, act in a consumer that takes the Secret as its environment, or make another controller act. Pure.
// May import api only.
import { GROUP, type Cloud } from './names.ts';
import { cut, need } from './refusal.ts';
import type { Format, ResolvedSecret } from './resolved.ts';
import { isRegionName } from './resolve-sts.ts';
import { FORMAT_KEYS, PLACEHOLDER, PLACEHOLDERS } from './secret-keys.ts';
import type { SecretSpec } from './types.gen.ts';

const DNS_SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const DELETION_POLICIES: readonly string[] = ['Delete', 'Retain'];
const MOUNT_PATH = /^(\/[A-Za-z0-9._-]+)+$/;
const DATA_KEY = /^[-._a-zA-Z0-9]{1,253}$/;
const LABEL_VALUE = /^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/;
/** Longest name of a Kubernetes object. */
const MAX_NAME_LENGTH = 253;
/** Longest value of spec.secret.data and spec.secret.annotations, and most entries of each map, as in the CRD. */
const MAX_VALUE_LENGTH = 4096;
const MAX_ENTRIES = 32;
const MAX_PATH_LENGTH = 255;
/** What the clouds' SDKs and tools read from the environment. */
const ENVIRONMENT_KEY = /^(AWS|ALIBABA_CLOUD|ALIBABACLOUD|ALICLOUD|VOLC|VOLCENGINE|VOLCSTACK)_/;
const METADATA_NAME = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;

/** Whose Secret it is. */
export interface SecretContext {
  /** The WorkloadCredential's name. */
  readonly credentialName: string;
  readonly cloud: Cloud;
  /** Domains whose label and annotation keys may be set. */
  readonly domains: readonly string[];
}

/**
 * Resolves spec.secret.
 * @throws Refusal.
 */
export function resolveSecret(secret: SecretSpec, { credentialName, cloud, domains }: SecretContext): ResolvedSecret {
  const name = secret.name ?? credentialName;
  need(isObjectName(name), 'spec.secret.name', name, 'use a legal Secret name.');
  const formats: readonly Format[] = secret.formats ?? ['Files'];
  needFormats(formats, cloud);
  const mountPath = secret.mountPath ?? `/var/run/secrets/${GROUP}/${credentialName}`;
  needMountPath(mountPath);
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

/** It becomes an argument of `cat` in the files of every cloud, which some SDKs hand to a shell. */
function needMountPath(mountPath: string): void {
  const steps = mountPath.split('/');
  need(
    mountPath.length <= MAX_PATH_LENGTH && MOUNT_PATH.test(mountPath) && !steps.includes('.') && !steps.includes('..'),
    'spec.secret.mountPath',
    mountPath,
    `use an absolute path of letters, digits, ".", "_" and "-", without "." or ".." as a component, of at most ${MAX_PATH_LENGTH} characters.`,
  );
}

/** Whether a text is the name of a Kubernetes object such as a Secret or a ServiceAccount. */
export function isObjectName(name: unknown): boolean {
  return typeof name === 'string' && DNS_SUBDOMAIN.test(name) && name.length <= MAX_NAME_LENGTH;
}

/** Variables by which a program loads code, or sends its requests elsewhere: a Secret may be a whole environment. */
const ACTING_KEY =
  /^((LD|DYLD|NODE|JAVA|JDK|_JAVA|BASH|GIT|GCONV|SSL|OPENSSL|DOTNET|CORECLR|COR|ERL|ELIXIR|LUA|PHP|GEM|NPM|npm)_|PYTHON|RUBY|PERL)/;
const PROXY_KEY = /(_PROXY|_proxy)$/;
/** What start scripts put unquoted onto a command line (CATALINA_OPTS, GUNICORN_CMD_ARGS), or run before it. */
const ACTING_END = /_(OPTS?|OPTIONS|ARGS|A?FLAGS|CMD|COMMAND|PRELOAD|STARTUP|HOOKS?|WRAPPER|PAGER|EDITOR|SHELL)$/;
/** The last two are where the C library looks names up: resolv.conf(5), hostname(7). */
const ACTING_NAMES: readonly string[] =
  'PATH HOME ENV IFS PS4 SHELL SHELLOPTS PROMPT_COMMAND CLASSPATH PHPRC KUBECONFIG PAGER EDITOR VISUAL BROWSER LESSOPEN LESSCLOSE MAKEFLAGS MAKEFILES GOFLAGS LOCALDOMAIN HOSTALIASES'.split(
    ' ',
  );
/** Settings of servers and installers of which nearly each can name code. */
const ACTING_TOOL = /^(UWSGI|PIP)_/;
/** What of the clouds' own variables says who somebody is, and not where requests go. */
const CREDENTIAL_KEY =
  /_(ACCESS_?KEY|ACCESS_KEY_ID|ACCESS_KEY_SECRET|SECRET_?KEY|SECRET_ACCESS_KEY|SESSION_TOKEN|SECURITY_TOKEN|REGION|REGION_ID|DEFAULT_REGION|CREDENTIAL_EXPIRATION)$/;

/** SDKs build their hosts with the region: a text that is none sends the session token elsewhere. */
const REGION_KEY = /_REGION(_ID)?$/;

function actsInConsumer(key: string): boolean {
  return (
    [ACTING_KEY, ACTING_END, ACTING_TOOL, PROXY_KEY].some((pattern) => pattern.test(key)) || ACTING_NAMES.includes(key)
  );
}

/** Never empty: a Secret of templates only could not be rendered anew without an exchange. */
function needFormats(formats: readonly Format[], cloud: Cloud): void {
  const known = Object.entries(FORMAT_KEYS[cloud])
    .filter(([, keys]) => keys.length > 0)
    .map(([format]) => format);
  need(
    formats.length > 0 && formats.every((format) => known.includes(format)),
    'spec.secret.formats',
    formats,
    `name one or more of ${known.join(', ')}, which the formats of ${cloud} are, or leave it out for Files.`,
  );
}

/**
 * The files that formats write are theirs on every cloud and where the format is not used: a `config` or a `config.json`
 * runs commands in a consumer.
 */
const FORMAT_FILES: readonly string[] = Object.values(FORMAT_KEYS).flatMap(({ Files, StaticFile }) => [
  ...Files,
  ...StaticFile,
]);

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
      !actsInConsumer(key),
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
      !(ENVIRONMENT_KEY.test(key) && REGION_KEY.test(key)) || template === '{{ region }}' || isRegionName(template),
      field,
      template,
      'write {{ region }} or the name of a region: hosts are built with it.',
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
