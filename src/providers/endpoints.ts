// Promises: the one judge of where a token may go. A host is either the cloud's own, built from a region by a fixed
// form, or named literally in the operator's configuration; audiences belong to hosts. Every other string is refused
// before any byte leaves. Pure. May not resolve names, read the environment or send anything.
import { type Cloud, SPEC_FIELD } from '../api/names.ts';
import type { ResolvedAlibabaCloud, ResolvedAWS, ResolvedExchange, ResolvedVolcengine } from '../api/resolved.ts';
import { CredentialError } from '../credential/errors.ts';
import { alibabaCloudHost, awsHost, isOwn, volcengineHost } from './endpoints-hosts.ts';
import { parseOrigin, shown } from './endpoints-origin.ts';

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

/**
 * The clouds' own audiences; each goes to that cloud's own hosts and nowhere else.
 * https://docs.aws.amazon.com/eks/latest/userguide/iam-roles-for-service-accounts.html
 * https://github.com/AliyunContainerService/ack-ram-tool/blob/main/pkg/types/ram.go
 * https://www.volcengine.com/docs/6460/1324613
 */
export const OWN_AUDIENCES: Readonly<Record<Cloud, readonly string[]>> = {
  AWS: ['sts.amazonaws.com', 'sts.amazonaws.com.cn'],
  AlibabaCloud: ['sts.aliyuncs.com'],
  Volcengine: ['sts.volcengine.com', 'sts.volcengineapi.com'],
};

/** An audience: printable ASCII without space, quotes, comma (it separates) and backslash. */
const AUDIENCE = /^[\x21\x23-\x26\x28-\x2b\x2d-\x5b\x5d-\x7e]{1,253}$/;

/**
 * Where the exchange of `exchange` goes, and each hop of its chain: `https://<host>/` of spec.aws.endpoint, or of region
 * and endpointType.
 * @throws CredentialError EndpointNotAllowed, AudienceNotAllowed.
 */
export function awsEndpoint(exchange: ResolvedAWS, policy: EndpointPolicy): URL {
  return judged(exchange, policy, () => {
    const host = awsHost(exchange.region, exchange.endpointType);
    return host === undefined ? refuseRegion(exchange, 'AWS region: write one such as eu-west-1') : ownURL(host);
  });
}

/**
 * Where the exchange of `exchange` goes, and each hop of its chain: `https://<host>/` of spec.alibabaCloud.endpoint, or of
 * region and network.
 * @throws CredentialError EndpointNotAllowed, AudienceNotAllowed.
 */
export function alibabaCloudEndpoint(exchange: ResolvedAlibabaCloud, policy: EndpointPolicy): URL {
  return judged(exchange, policy, () => {
    const { region, network } = exchange;
    const host = alibabaCloudHost(region, network);
    if (host !== undefined) {
      return ownURL(host);
    }
    if (alibabaCloudHost(region, 'Public') === undefined) {
      return refuseRegion(exchange, 'Alibaba Cloud region: write one such as cn-hangzhou');
    }
    throw new CredentialError(
      'EndpointNotAllowed',
      `spec.alibabaCloud.network is "VPC", but the region ${shown(region)} is served by the central STS, which is on the internet: remove the field, or name another region.`,
    );
  });
}

/**
 * Where the exchange of `exchange` goes, and each hop of its chain: `https://<host>/` of spec.volcengine.endpoint, or of
 * the region. Volcengine's requests have a query (`/?Action=...&Version=...`): before they are sent, assertAllowed judges
 * `new URL('/', url)`.
 * @throws CredentialError EndpointNotAllowed, AudienceNotAllowed.
 */
export function volcengineEndpoint(exchange: ResolvedVolcengine, policy: EndpointPolicy): URL {
  return judged(exchange, policy, () => {
    const host = volcengineHost(exchange.region);
    return host === undefined
      ? refuseRegion(exchange, 'Volcengine region: write one such as cn-beijing')
      : ownURL(host);
  });
}

function judged(exchange: ResolvedExchange, policy: EndpointPolicy, derive: () => URL): URL {
  const { cloud, endpoint, audience } = exchange;
  const url = endpoint === undefined ? derive() : listedURL(endpoint, cloud);
  assertAllowed(url, cloud, policy);
  assertAudience({ url, cloud, audience }, policy);
  return url;
}

function ownURL(host: string): URL {
  return new URL(`https://${host}/`);
}

function refuseRegion({ cloud, region }: ResolvedExchange, fix: string): never {
  throw new CredentialError(
    'EndpointNotAllowed',
    `${SPEC_FIELD[cloud]}.region is ${shown(region)}, which is no ${fix}.`,
  );
}

function listedURL(endpoint: string, cloud: Cloud): URL {
  const origin = parseOrigin(endpoint);
  if (typeof origin === 'string') {
    throw new CredentialError(
      'EndpointNotAllowed',
      `${SPEC_FIELD[cloud]}.endpoint is ${shown(endpoint)}, but ${origin}: write https://<host>[:port] and nothing else, or remove the field.`,
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
      `The request for ${SPEC_FIELD[cloud]}.endpoint would go to ${shown(url.host)}, but ${why}.`,
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
    throw new CredentialError('AudienceNotAllowed', `${SPEC_FIELD[cloud]}.audience is ${shown(audience)}, but ${why}.`);
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

function listedEntry(url: URL, cloud: Cloud, policy: EndpointPolicy): EndpointEntry | undefined {
  return policy.entries.find(
    (entry) => entry.cloud === cloud && entry.host === url.host && `${entry.scheme}:` === url.protocol,
  );
}

function isOwnAudience(audience: string): boolean {
  return Object.values(OWN_AUDIENCES).some((audiences) => audiences.includes(audience));
}

function isCloud(text: string): text is Cloud {
  return Object.hasOwn(SPEC_FIELD, text);
}
