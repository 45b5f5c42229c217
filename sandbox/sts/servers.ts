// Promises: the three STS on loopback ports that the system chooses, all of which accept the tokens of one issuer, each with
// what a test needs: its address, its roles with the usual trust policies, its switches and its log. Decides nothing itself.
import type { ServerEnvironment, ServerOutcome, ServerRequest } from '../http.ts';
import { listen } from '../listener.ts';
import type { ListenOptions, Listener } from '../listener.ts';
import { ALIBABA_CLOUD_AUDIENCE, AlibabaCloudSecurityTokenService } from './alibaba-cloud.ts';
import { AWS_AUDIENCE, AWSSecurityTokenService } from './aws.ts';
import type { CallLogEntry, SecurityTokenService, ServiceOptions } from './service.ts';
import type { IssuedCredential } from './sessions.ts';
import type { Switches } from './switches.ts';
import type { TrustPolicy, TrustStatement } from './trust-policy.ts';
import { VOLCENGINE_AUDIENCE, VolcengineSecurityTokenService } from './volcengine.ts';

/** A role for addRole: who may assume it is said by a policy, by the role of the hop before, or by subjects. */
export interface SandboxRole {
  /** The ARN, or TRN. */
  readonly arn: string;
  /** `system:serviceaccount:NAMESPACE:NAME`, with wildcards; makes the usual trust policy. Without it, every ServiceAccount. */
  readonly subject?: string;
  /** The role whose sessions may assume this one; then no token may. On AWS also with tags and source identity. */
  readonly trustedRole?: string;
  /** What a hop must name; AWS and Alibaba Cloud. */
  readonly externalID?: string;
  readonly trustPolicy?: TrustPolicy;
  readonly maxSessionDurationSeconds?: number;
}

/** One STS that listens. */
export interface RunningService<Service extends SecurityTokenService = SecurityTokenService> {
  readonly url: URL;
  /**
   * The value of the operator's `--sts-endpoint` for it, with the first of the client ids. The operator takes it only when
   * client ids were given: a cloud's own audience goes to that cloud's own hosts.
   */
  readonly endpointOption: string;
  readonly service: Service;
  addRole(role: SandboxRole): void;
  readonly switches: Switches;
  readonly calls: readonly CallLogEntry[];
  readonly issued: readonly IssuedCredential[];
}

/** All three. */
export interface SecurityTokenServices {
  readonly aws: RunningService<AWSSecurityTokenService>;
  readonly alibabaCloud: RunningService<AlibabaCloudSecurityTokenService>;
  readonly volcengine: RunningService<VolcengineSecurityTokenService>;
  close(): Promise<void>;
}

/** How to start them. */
export interface ServersOptions extends ServiceOptions {
  /** Serve TLS; default plain http. */
  readonly tls?: ListenOptions['tls'];
}

/** The usual trust policy of IAM roles for ServiceAccounts; the audience is a client id of the OIDC provider. */
export function trustPolicy(
  issuer: string,
  roleARN: string,
  subject: string,
  audience: string = AWS_AUDIENCE,
): TrustPolicy {
  const provider = issuer.replace(/^https:\/\//, '');
  const [, partition = '', , , account = ''] = roleARN.split(':');
  return {
    Version: '2012-10-17',
    Statement: {
      Effect: 'Allow',
      Principal: { Federated: `arn:${partition}:iam::${account}:oidc-provider/${provider}` },
      Action: 'sts:AssumeRoleWithWebIdentity',
      Condition: { StringLike: { [`${provider}:sub`]: subject, [`${provider}:aud`]: audience } },
    },
  };
}

interface Hop {
  readonly trustedRole?: string;
  readonly externalID?: string | undefined;
}

/** The statement for a hop; `sts:ExternalId` is the condition key of AWS and of Alibaba Cloud. */
function hopStatement(kind: string, actions: readonly string[], hop: Hop) {
  const { trustedRole = '', externalID } = hop;
  const condition = externalID === undefined ? {} : { Condition: { StringEquals: { 'sts:ExternalId': externalID } } };
  const statement: TrustStatement = { Effect: 'Allow', Principal: { [kind]: [trustedRole] }, Action: actions };
  return { ...statement, ...condition };
}

/** The conditions that Alibaba Cloud and Volcengine both write. */
function oidcCondition(issuer: string, audience: string, subject: string) {
  const equals = { 'oidc:aud': audience, 'oidc:iss': issuer };
  return { Condition: { StringEquals: equals, StringLike: { 'oidc:sub': subject } } };
}

interface Cloud<Service extends SecurityTokenService> {
  /** As the operator's option spells it. */
  readonly name: string;
  readonly audience: string;
  readonly service: Service;
  /** The trust policy of a role that tokens of this subject may assume. */
  federated(arn: string, subject: string, audience: string): TrustPolicy;
  hop(role: SandboxRole): TrustPolicy;
}

const EVERY_SERVICE_ACCOUNT = 'system:serviceaccount:*';

function running<Service extends SecurityTokenService>(
  cloud: Cloud<Service>,
  listener: Listener,
  clientIDs: readonly string[] | undefined,
): RunningService<Service> {
  const { service } = cloud;
  const audience = clientIDs?.[0] ?? cloud.audience;
  const usual = (role: SandboxRole): TrustPolicy =>
    role.trustedRole === undefined
      ? cloud.federated(role.arn, role.subject ?? EVERY_SERVICE_ACCOUNT, audience)
      : cloud.hop(role);
  return {
    url: listener.url,
    endpointOption: `${cloud.name}=${listener.url.origin}=${audience}`,
    service,
    switches: service.switches,
    calls: service.calls,
    issued: service.issued,
    addRole: (role) => {
      const { arn, maxSessionDurationSeconds: most } = role;
      const limit = most === undefined ? {} : { maxSessionDurationSeconds: most };
      service.addRole({ arn, trustPolicy: role.trustPolicy ?? usual(role), ...limit });
    },
  };
}

function awsCloud(options: ServiceOptions, env: ServerEnvironment): Cloud<AWSSecurityTokenService> {
  return {
    name: 'AWS',
    audience: AWS_AUDIENCE,
    service: new AWSSecurityTokenService(options, env),
    federated: (arn, subject, audience) => trustPolicy(options.issuer, arn, subject, audience),
    hop: (role) => ({
      Version: '2012-10-17',
      Statement: [
        hopStatement('AWS', ['sts:AssumeRole'], role),
        hopStatement('AWS', ['sts:TagSession', 'sts:SetSourceIdentity'], { ...role, externalID: undefined }),
      ],
    }),
  };
}

function alibabaCloud(options: ServiceOptions, env: ServerEnvironment): Cloud<AlibabaCloudSecurityTokenService> {
  const service = new AlibabaCloudSecurityTokenService(options, env);
  return {
    name: 'AlibabaCloud',
    audience: ALIBABA_CLOUD_AUDIENCE,
    service,
    federated: (arn, subject, audience) => {
      const principal = { Federated: [service.providerARN(arn.split(':')[3] ?? '')] };
      const rest = oidcCondition(options.issuer, audience, subject);
      return {
        Version: '1',
        Statement: [{ Effect: 'Allow', Action: 'sts:AssumeRole', Principal: principal, ...rest }],
      };
    },
    hop: (role) => ({ Version: '1', Statement: [hopStatement('RAM', ['sts:AssumeRole'], role)] }),
  };
}

function volcengineCloud(options: ServiceOptions, env: ServerEnvironment): Cloud<VolcengineSecurityTokenService> {
  const service = new VolcengineSecurityTokenService(options, env);
  return {
    name: 'Volcengine',
    audience: VOLCENGINE_AUDIENCE,
    service,
    federated: (arn, subject, audience) => {
      const principal = { Federated: [service.providerTRN(arn.split(':')[3] ?? '')] };
      const rest = oidcCondition(options.issuer, audience, subject);
      return { Statement: [{ Effect: 'Allow', Action: ['sts:AssumeRoleWithOIDC'], Principal: principal, ...rest }] };
    },
    hop: (role) => ({ Statement: [hopStatement('IAM', ['sts:AssumeRole'], role)] }),
  };
}

/** Starts them. */
export async function startSecurityTokenServices(
  options: ServersOptions,
  env: ServerEnvironment,
): Promise<SecurityTokenServices> {
  const { tls, clientIDs } = options;
  const listeners: Listener[] = [];
  const start = async <Service extends SecurityTokenService>(
    cloud: Cloud<Service>,
  ): Promise<RunningService<Service>> => {
    const handler = (request: ServerRequest): Promise<ServerOutcome> => cloud.service.handle(request);
    const listener = await listen({ handler, ...(tls === undefined ? {} : { tls }) });
    listeners.push(listener);
    return running(cloud, listener, clientIDs);
  };
  return {
    aws: await start(awsCloud(options, env)),
    alibabaCloud: await start(alibabaCloud(options, env)),
    volcengine: await start(volcengineCloud(options, env)),
    close: async () => {
      await Promise.all(listeners.map((listener) => listener.close()));
    },
  };
}
