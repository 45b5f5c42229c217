// Promises: the one judge of where a token may go. A host is either the cloud's own, built from a region by a fixed
// form, or named literally in the operator's configuration; audiences belong to hosts. Every other string is refused
// before any byte leaves. Pure. May not resolve names, read the environment or send anything.
import type { Cloud } from '../api/names.ts';
import type { ResolvedAWS } from '../api/resolve.ts';
import { CredentialError } from '../credential/errors.ts';

/** One STS endpoint that the operator's administrator listed (`--sts-endpoint`). */
export interface EndpointEntry {
  readonly cloud: Cloud;
  /** Lower case, `host` or `host:port`, as URL.host gives it: without the scheme's default port. */
  readonly host: string;
  /** `http` only with a loopback address and a port, both literal: test beds. */
  readonly scheme: 'https' | 'http';
  /** The audiences that tokens for this host may have. */
  readonly audiences: readonly string[];
}

/** Where the operator may send tokens, beside the clouds' own hosts. */
export interface EndpointPolicy {
  readonly entries: readonly EndpointEntry[];
  /** The API server's own audiences: a token with one of them works against the cluster, so no STS may ever see it. */
  readonly apiServerAudiences: readonly string[];
}

interface Partition {
  /** The regions of the partition. */
  readonly regions: RegExp;
  readonly dnsSuffix: string;
  readonly dualStackSuffix: string;
  /** The prefix of its FIPS hosts: GovCloud's ordinary hosts are its FIPS hosts. */
  readonly fipsPrefix: 'sts-fips' | 'sts';
}

const partition = (
  regions: RegExp,
  dnsSuffix: string,
  dualStackSuffix: string,
  fipsPrefix: Partition['fipsPrefix'] = 'sts-fips',
): Partition => ({ regions, dnsSuffix, dualStackSuffix, fipsPrefix });

/** The commercial partition: also for regions that no pattern below knows, as AWS's own resolver does. */
const AWS_PARTITION = partition(/^/, 'amazonaws.com', 'api.aws');

/**
 * AWS partitions, from the data of the AWS SDK's own endpoint resolver (@aws-sdk/core partitions.js, client-sts
 * endpoint/bdd.js). The comparison with that resolver is a test. The order counts: the first match wins.
 * https://docs.aws.amazon.com/general/latest/gr/sts.html
 */
const AWS_PARTITIONS: readonly Partition[] = [
  partition(/^cn-/, 'amazonaws.com.cn', 'api.amazonwebservices.com.cn'),
  partition(/^eusc-/, 'amazonaws.eu', 'api.amazonwebservices.eu'),
  partition(/^us-iso-/, 'c2s.ic.gov', 'api.aws.ic.gov'),
  partition(/^us-isob-/, 'sc2s.sgov.gov', 'api.aws.scloud'),
  partition(/^eu-isoe-/, 'cloud.adc-e.uk', 'api.cloud-aws.adc-e.uk'),
  partition(/^us-isof-/, 'csp.hci.ic.gov', 'api.aws.hci.ic.gov'),
  partition(/^us-gov-/, 'amazonaws.com', 'api.aws', 'sts'),
  AWS_PARTITION,
];

/** The audiences that AWS documents for web identity; they go to AWS's own hosts and nowhere else. */
const OWN_AUDIENCES: Readonly<Record<Cloud, readonly string[]>> = {
  AWS: ['sts.amazonaws.com', 'sts.amazonaws.com.cn'],
  AlibabaCloud: ['sts.aliyuncs.com'],
  Volcengine: ['sts.volcengine.com', 'sts.volcengineapi.com'],
};

/** Under spec: the cloud's field. */
const FIELD: Readonly<Record<Cloud, string>> = {
  AWS: 'aws',
  AlibabaCloud: 'alibabaCloud',
  Volcengine: 'volcengine',
};

/**
 * spec.aws.region as every AWS region is written: it ends in a number. Narrower than the CRD, because under AWS's
 * suffixes there are names that customers own (`<bucket>.s3-<region>.amazonaws.com`). At most a DNS label (RFC 1035).
 */
const REGION = /^[a-z]{2,}(?:-[a-z0-9]+)+-[0-9]+$/;
const MAX_LABEL_LENGTH = 63;
/** RFC 1035: a name has at most 253 characters. */
const MAX_HOST_LENGTH = 253;
/** scheme, host (name, IPv4 or bracketed IPv6 without zone), port, at most one slash; and nothing else. */
const ORIGIN = /^(https?):\/\/([a-z0-9.-]+|\[[0-9a-f:]+\])(?::([1-9][0-9]{0,4}))?\/?$/;
const DNS_LABEL = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;
/** `127.0.0.0/8` and `::1` with a port, literally: the only places where plain http is a test bed and not a leak. */
const LOOPBACK_WITH_PORT = /^(?:127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\]):\d+$/;
/** An audience: printable ASCII without space, quotes, comma (it separates) and backslash. */
const AUDIENCE = /^[\x21\x23-\x26\x28-\x2b\x2d-\x5b\x5d-\x7e]{1,253}$/;
const MAX_SHOWN_LENGTH = 120;

/**
 * AWS's own STS host for a region.
 * @returns undefined when the text is no region: nothing else may ever become part of a host.
 */
export function awsHost(region: string, type: ResolvedAWS['endpointType']): string | undefined {
  if (!REGION.test(region) || region.length > MAX_LABEL_LENGTH) {
    return undefined;
  }
  const found = AWS_PARTITIONS.find((candidate) => candidate.regions.test(region)) ?? AWS_PARTITION;
  switch (type) {
    case 'Regional':
      return `sts.${region}.${found.dnsSuffix}`;
    case 'FIPS':
      return `${found.fipsPrefix}.${region}.${found.dnsSuffix}`;
    case 'DualStack':
      return `sts.${region}.${found.dualStackSuffix}`;
    case 'FIPSDualStack':
      return `sts-fips.${region}.${found.dualStackSuffix}`;
  }
}

/**
 * Where the exchange of `exchange` goes: `https://<host>/` of spec.aws.endpoint, or of region and endpointType.
 * @throws CredentialError EndpointNotAllowed, AudienceNotAllowed.
 */
export function awsEndpoint(exchange: ResolvedAWS, policy: EndpointPolicy): URL {
  const url = exchange.endpoint === undefined ? derivedURL(exchange) : listedURL(exchange.endpoint, 'AWS');
  assertAllowed(url, 'AWS', policy);
  assertAudience({ url, cloud: 'AWS', audience: exchange.audience }, policy);
  return url;
}

function derivedURL(exchange: ResolvedAWS): URL {
  const host = awsHost(exchange.region, exchange.endpointType);
  if (host === undefined) {
    throw new CredentialError(
      'EndpointNotAllowed',
      `spec.aws.region is ${shown(exchange.region)}, which is no AWS region: write one such as eu-west-1.`,
    );
  }
  return new URL(`https://${host}/`);
}

function listedURL(endpoint: string, cloud: Cloud): URL {
  const origin = parseOrigin(endpoint);
  if (typeof origin === 'string') {
    throw new CredentialError(
      'EndpointNotAllowed',
      `spec.${FIELD[cloud]}.endpoint is ${shown(endpoint)}, but ${origin}: write https://<host>[:port] and nothing else, or remove the field.`,
    );
  }
  return origin;
}

/**
 * Refuses a request to a host that is neither the cloud's own nor listed. Called with the URL of the very request that
 * is about to be made. The path is `/`; there is no userinfo, query or fragment.
 * @throws CredentialError EndpointNotAllowed.
 */
export function assertAllowed(url: URL, cloud: Cloud, policy: EndpointPolicy): void {
  const refuse = (why: string): never => {
    throw new CredentialError(
      'EndpointNotAllowed',
      `The request for spec.${FIELD[cloud]}.endpoint would go to ${shown(url.host)}, but ${why}.`,
    );
  };
  const parsed = parseOrigin(`${url.protocol}//${url.host}`);
  if (typeof parsed === 'string') {
    return refuse(`${parsed}: correct or remove the field`);
  }
  if (url.href !== parsed.href) {
    return refuse('its URL has more than scheme, host and port: remove userinfo, path, query and fragment');
  }
  if (!isOwn(url, cloud) && listedEntry(url, cloud, policy) === undefined) {
    return refuse(
      `that is neither ${cloud}'s own STS nor listed in the operator's --sts-endpoint: remove the field, or ask the operator's administrator to list it`,
    );
  }
}

/** What a token would be minted for, and where it would be sent. */
export interface AudienceUse {
  readonly url: URL;
  readonly cloud: Cloud;
  readonly audience: string;
}

/**
 * Refuses an audience that does not belong to the endpoint: whoever receives the token could use it wherever else that
 * audience is accepted.
 * @throws CredentialError AudienceNotAllowed.
 */
export function assertAudience(use: AudienceUse, policy: EndpointPolicy): void {
  const { url, cloud, audience } = use;
  const refuse = (why: string): never => {
    throw new CredentialError('AudienceNotAllowed', `spec.${FIELD[cloud]}.audience is ${shown(audience)}, but ${why}.`);
  };
  if (policy.apiServerAudiences.includes(audience)) {
    return refuse('that is an audience of the API server itself, whose tokens no STS may see: use another audience');
  }
  const own = isOwn(url, cloud);
  const allowed = [
    ...(own ? OWN_AUDIENCES[cloud] : []),
    ...(listedEntry(url, cloud, policy)?.audiences.filter((listed) => own || !isOwnAudience(listed)) ?? []),
  ];
  if (!allowed.includes(audience)) {
    const choice =
      allowed.length > 0
        ? `use ${allowed.map(shown).join(' or ')}`
        : "ask the operator's administrator to list one for it";
    return refuse(`the operator does not mint it for ${shown(url.host)}: ${choice} (--sts-endpoint)`);
  }
}

/** A parsed `--sts-endpoint`, or a sentence for the administrator. */
export type EndpointOption =
  | { readonly entry: EndpointEntry; readonly error?: undefined }
  | { readonly entry?: undefined; readonly error: string };

/**
 * Parses one value of `--sts-endpoint`: `<cloud>=<URL>=<audience>[,<audience>...]`, for example
 * `AWS=https://sts.example.internal=aud1,aud2`. A host of the cloud's own may be listed to add audiences to it.
 */
export function parseEndpointOption(text: string): EndpointOption {
  const [cloud = '', address = '', ...rest] = text.split('=');
  const fail = (why: string): EndpointOption => ({
    error: `--sts-endpoint ${shown(text)}: ${why}. The form is <cloud>=<URL>=<audience>[,<audience>...], such as AWS=https://sts.example.internal=sts.example.internal.`,
  });
  if (!isCloud(cloud)) {
    return fail(`${shown(cloud)} is no cloud: write AWS, AlibabaCloud or Volcengine`);
  }
  const url = parseOrigin(address);
  if (typeof url === 'string') {
    return fail(`${shown(address)} cannot be used, since ${url}`);
  }
  const audiences = rest.join('=').split(',');
  const bad = audiences.find((audience) => !AUDIENCE.test(audience));
  if (bad !== undefined) {
    return fail(`${shown(bad)} is no audience`);
  }
  const foreign = isOwn(url, cloud) ? undefined : audiences.find(isOwnAudience);
  if (foreign !== undefined) {
    return fail(
      `the audience ${shown(foreign)} is a cloud's own and goes to that cloud's own hosts only: choose another`,
    );
  }
  return { entry: { cloud, host: url.host, scheme: url.protocol === 'http:' ? 'http' : 'https', audiences } };
}

/** The URL of an origin as text, or why it is none. Nothing is repaired: what a parser would rewrite is refused. */
function parseOrigin(text: string): URL | string {
  const match = ORIGIN.exec(text);
  if (match === null) {
    return 'it is not https://<host>[:port] in lower case';
  }
  const [, scheme = '', host = '', port] = match;
  const refused = host.startsWith('[') ? undefined : hostProblem(host);
  if (refused !== undefined) {
    return refused;
  }
  if (scheme === 'http' && !LOOPBACK_WITH_PORT.test(`${host}:${port}`)) {
    return 'plain http is for a loopback address with a port only, such as http://127.0.0.1:8333';
  }
  return canonicalURL(scheme, host, port) ?? 'its host or port is not written in the usual form';
}

/** The URL if the parser reads it exactly as it is written; https may name its own port. */
function canonicalURL(scheme: string, host: string, port: string | undefined): URL | undefined {
  const bare = port === undefined || (scheme === 'https' && port === '443');
  const origin = `${scheme}://${bare ? host : `${host}:${port}`}/`;
  return URL.canParse(origin) && new URL(origin).href === origin ? new URL(origin) : undefined;
}

function hostProblem(host: string): string | undefined {
  const labels = host.split('.');
  if (host.length > MAX_HOST_LENGTH || labels.some((label) => label.length > MAX_LABEL_LENGTH)) {
    return 'its host is too long';
  }
  if (!labels.every((label) => DNS_LABEL.test(label))) {
    return 'its host has an empty or malformed label';
  }
  return labels.some((label) => label.startsWith('xn--')) ? 'its host is an internationalised name' : undefined;
}

/** The cloud's own form: default port, https, and a host that one of its regions really gives. */
function isOwn(url: URL, cloud: Cloud): boolean {
  if (cloud !== 'AWS' || url.protocol !== 'https:') {
    return false;
  }
  const region = url.host.split('.')[1] ?? '';
  return ENDPOINT_TYPES.some((type) => awsHost(region, type) === url.host);
}

const ENDPOINT_TYPES = ['Regional', 'FIPS', 'DualStack', 'FIPSDualStack'] as const;

function listedEntry(url: URL, cloud: Cloud, policy: EndpointPolicy): EndpointEntry | undefined {
  return policy.entries.find(
    (entry) => entry.cloud === cloud && entry.host === url.host && `${entry.scheme}:` === url.protocol,
  );
}

function isOwnAudience(audience: string): boolean {
  return Object.values(OWN_AUDIENCES).some((audiences) => audiences.includes(audience));
}

function isCloud(text: string): text is Cloud {
  return Object.hasOwn(FIELD, text);
}

/** A foreign text for a message: printable, short, quoted, and without the userinfo that may be in front of a host. */
function shown(text: string): string {
  const at = text.lastIndexOf('@');
  const clean = (at < 0 ? text : `***${text.slice(at)}`).replace(/[^\x20-\x7e]/g, '?');
  return `"${clean.length > MAX_SHOWN_LENGTH ? `${clean.slice(0, MAX_SHOWN_LENGTH)}...` : clean}"`;
}
