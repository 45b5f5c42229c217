// Promises: AWS STS (Query protocol, XML, API 2011-06-15) for AssumeRoleWithWebIdentity, AssumeRole and GetCallerIdentity: tokens
// are really verified against their issuer's published keys, trust policies really evaluated, signatures really checked, and
// errors have AWS's codes, statuses and, where AWS publishes them, its words. It is our own, and is itself checked by the AWS SDK.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html . Session policies and tags are kept, not enforced.
import type { JWTPayload } from 'jose';
import type { ServerEnvironment, ServerRequest, ServerResponse } from '../http.ts';
import {
  ASSUME_ROLE_LIMITS,
  checkConstraints,
  elements,
  MAX_POLICY_CHARACTERS,
  members,
  WEB_IDENTITY_LIMITS,
} from './aws-query.ts';
import type { Elements, Form } from './aws-query.ts';
import { MAX_SKEW_MS, Refusal, SecurityTokenService } from './service.ts';
import type { Call, ServiceOptions } from './service.ts';
import type { IssuedCredential, SessionTag } from './sessions.ts';
import { AWS4, basicTimeMs, isSignedWith, parseAuthorization } from './signature.ts';
import { audiences, TokenError } from './web-identity.ts';

export type { CallLogEntry, Role } from './service.ts';
export type { IssuedCredential } from './sessions.ts';
export type { SwitchMode, Switches } from './switches.ts';

/** How the service is set up. */
export type AWSOptions = ServiceOptions;

/** The audience that AWS documents for web identity. */
export const AWS_AUDIENCE = 'sts.amazonaws.com';
const NAMESPACE = 'https://sts.amazonaws.com/doc/2011-06-15/';
/** A session made by a role session: "role chaining limits your session to a maximum of one hour". */
const MAX_CHAINED_SECONDS = 3600;
const MAX_TAGS = 50;
const DENIED = 'Not authorized to perform sts:AssumeRoleWithWebIdentity';

/** `aws`, `aws-cn` and so on. */
function partitionOf(arn: string): string {
  return arn.split(':')[1] ?? '';
}

/** The account of a role. @throws Refusal when it is no role's ARN. */
function accountOf(arn: string): string {
  const account = /^arn:[\w-]+:iam::(\d{12}):role\/.+$/.exec(arn)?.[1];
  if (account === undefined) throw new Refusal('ValidationError', 400, `${arn} is invalid`);
  return account;
}

function policyARNs(form: Form): string[] {
  return members(form, 'PolicyArns', '.arn');
}

/** The share of the session policy quota in percent. */
function packedPolicySize(form: Form, tags: readonly SessionTag[]): number | undefined {
  const policy = form.get('Policy');
  const arns = policyARNs(form);
  if (arns.length > 10) throw new Refusal('ValidationError', 400, 'The number of policyArns exceeds the limit of 10.');
  if (policy !== null) {
    try {
      JSON.parse(policy);
    } catch {
      throw new Refusal('MalformedPolicyDocument', 400, 'This policy contains invalid Json');
    }
  }
  const tagCharacters = tags.map(({ key, value }) => key.length + value.length).reduce((a, b) => a + b, 0);
  const characters = (policy?.length ?? 0) + arns.join('').length + tagCharacters;
  if (characters === 0) return undefined;
  const percent = Math.ceil((characters * 100) / MAX_POLICY_CHARACTERS);
  if (percent > 100) {
    throw new Refusal(
      'PackedPolicyTooLarge',
      400,
      `Packed policy consumes ${percent}% of allotted space, please use smaller policy.`,
    );
  }
  return percent;
}

/**
 * The tags of a new session: what is asked, and what the caller's session carries on.
 * Rules: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html ; keys are not case sensitive.
 */
function sessionTags(form: Form, caller: IssuedCredential): { asked: SessionTag[]; carried: SessionTag[] } {
  const [keys, values] = [members(form, 'Tags', '.Key'), members(form, 'Tags', '.Value')];
  const transitive = members(form, 'TransitiveTagKeys').map((key) => key.toLowerCase());
  const asked = keys.map((key, at) => ({
    key,
    value: values[at] ?? '',
    transitive: transitive.includes(key.toLowerCase()),
  }));
  const carried = caller.tags.filter((tag) => tag.transitive);
  const lower = new Set(keys.map((key) => key.toLowerCase()));
  const refuse = (message: string): never => {
    throw new Refusal('InvalidParameterValue', 400, message);
  };
  if (keys.length > MAX_TAGS) throw new Refusal('ValidationError', 400, `The number of tags exceeds ${MAX_TAGS}.`);
  if (lower.size < keys.length) refuse('Duplicate tag keys found. Please note that Tag keys are case insensitive.');
  if (transitive.some((key) => !lower.has(key))) {
    refuse('The specified transitive tag key must be included in the requested tags.');
  }
  if (carried.some(({ key }) => lower.has(key.toLowerCase()))) {
    refuse(
      "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.",
    );
  }
  return { asked, carried };
}

export class AWSSecurityTokenService extends SecurityTokenService {
  protected readonly outage = new Refusal('ServiceUnavailable', 503, 'Service Unavailable');
  protected readonly throttled = new Refusal('Throttling', 400, 'Rate exceeded');

  constructor(options: AWSOptions, env: ServerEnvironment) {
    const keys = { prefix: 'ASIA', idLength: 16, secretLength: 40, tokenPrefix: 'IQoJ', tokenLength: 308 };
    super(options, env, { audience: AWS_AUDIENCE, keys });
  }

  protected retryAfter(seconds: number): Readonly<Record<string, string>> {
    return { 'retry-after': String(seconds) };
  }

  protected actionOf(_request: ServerRequest, parameters: URLSearchParams): string {
    return parameters.get('Action') ?? '';
  }

  protected success(call: Call, result: object): ServerResponse {
    const body = { [`${call.action}Result`]: result as Elements, ResponseMetadata: { RequestId: call.requestID } };
    const response = `<${call.action}Response xmlns="${NAMESPACE}">${elements(body)}</${call.action}Response>`;
    return this.#xml(200, call, response);
  }

  protected failure(call: Call, { code, message, httpStatus }: Refusal): ServerResponse {
    const type = httpStatus >= 500 ? 'Receiver' : 'Sender';
    const body = elements({ Error: { Type: type, Code: code, Message: message }, RequestId: call.requestID });
    return this.#xml(httpStatus, call, `<ErrorResponse xmlns="${NAMESPACE}">${body}</ErrorResponse>`);
  }

  #xml(status: number, { requestID }: Call, body: string): ServerResponse {
    return { status, headers: { ...this.head('text/xml'), 'x-amzn-requestid': requestID }, body };
  }

  protected async act(call: Call): Promise<Elements> {
    const { request, action, parameters } = call;
    if (request.method === 'POST') {
      if (action === 'AssumeRoleWithWebIdentity') return await this.#assumeRoleWithWebIdentity(call);
      if (action === 'AssumeRole') return this.#assumeRole(call);
      if (action === 'GetCallerIdentity') return this.#callerIdentity(this.#caller(request));
    }
    const [named, version] = [parameters.get('Action'), parameters.get('Version')];
    const message = `Could not find operation ${named ?? 'unspecified'} for version ${version ?? 'NO_VERSION_SPECIFIED'}`;
    throw new Refusal('InvalidAction', 400, message);
  }

  async #assumeRoleWithWebIdentity(call: Call): Promise<Elements> {
    const { request, parameters: form } = call;
    // Stricter than AWS on purpose: this call is unsigned, and a signature here means that a client found some other key.
    if (request.headers['authorization'] !== undefined) {
      throw new Refusal('SandboxSignedRequest', 400, 'AssumeRoleWithWebIdentity must not be signed');
    }
    checkConstraints(form, WEB_IDENTITY_LIMITS);
    const { arn, sessionName } = named(form);
    const account = accountOf(arn);
    const packed = packedPolicySize(form, []);
    const token = form.get('WebIdentityToken') ?? '';
    const claims = await this.#verified(token);
    const provider = this.provider.issuer.replace(/^https:\/\//, '');
    const audience = audiences(claims)[0] ?? '';
    const providerARN = `arn:${partitionOf(arn)}:iam::${account}:oidc-provider/${provider}`;
    const subject = claims.sub ?? '';
    const values = new Map([
      [`${provider}:sub`, subject],
      [`${provider}:aud`, audience],
    ]);
    const asked = { action: 'sts:AssumeRoleWithWebIdentity', principalKind: 'Federated', principals: [providerARN] };
    if (!this.trusts(arn, { ...asked, values })) throw new Refusal('AccessDenied', 403, DENIED);
    const seconds = this.#duration(form, arn);
    const rest = { webIdentityToken: token, hop: 1, tags: [], policyARNs: policyARNs(form), ...options(form) };
    const session = this.issue(call, seconds, { roleARN: arn, sessionName, ...rest });
    return {
      Audience: audience,
      Provider: providerARN,
      SubjectFromWebIdentityToken: subject,
      ...this.#answer(call, session, packed),
    };
  }

  #assumeRole(call: Call): Elements {
    const { parameters: form } = call;
    const caller = this.#caller(call.request);
    checkConstraints(form, ASSUME_ROLE_LIMITS);
    const { arn, sessionName } = named(form);
    accountOf(arn);
    const { asked, carried } = sessionTags(form, caller);
    const packed = packedPolicySize(form, asked);
    const sourceIdentity = form.get('SourceIdentity') ?? caller.sourceIdentity;
    if (caller.sourceIdentity !== undefined && sourceIdentity !== caller.sourceIdentity) {
      throw new Refusal('ValidationError', 400, 'The source identity is already set for this assume role session');
    }
    const actions = ['sts:AssumeRole'];
    if (asked.length > 0) actions.push('sts:TagSession');
    if (form.has('SourceIdentity')) actions.push('sts:SetSourceIdentity');
    this.#mustAllow(actions, arn, caller, trustValues(form, caller, asked));
    if (Number(form.get('DurationSeconds') ?? 0) > MAX_CHAINED_SECONDS) {
      const message =
        'The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.';
      throw new Refusal('ValidationError', 400, message);
    }
    const session = this.issue(call, this.#duration(form, arn), {
      roleARN: arn,
      sessionName,
      webIdentityToken: '',
      hop: caller.hop + 1,
      parentAccessKeyID: caller.accessKeyID,
      policyARNs: policyARNs(form),
      tags: [...carried, ...asked],
      ...options(form),
      ...(sourceIdentity === undefined ? {} : { sourceIdentity }),
    });
    const answer = this.#answer(call, session, packed);
    return sourceIdentity === undefined ? answer : { ...answer, SourceIdentity: sourceIdentity };
  }

  /** Each action must be allowed by the role's trust policy; the refusal names the first that is not. */
  #mustAllow(
    actions: readonly string[],
    arn: string,
    caller: IssuedCredential,
    values: ReadonlyMap<string, string | readonly string[]>,
  ): void {
    const account = accountOf(caller.roleARN);
    const session = assumedRoleARN(caller);
    const root = `arn:${partitionOf(caller.roleARN)}:iam::${account}:root`;
    const principals = [caller.roleARN, session, root, account, '*'];
    const refused = actions.find((action) => !this.trusts(arn, { action, principalKind: 'AWS', principals, values }));
    if (refused === undefined) return;
    const message = `User: ${session} is not authorized to perform: ${refused} on resource: ${arn}`;
    throw new Refusal('AccessDenied', 403, message);
  }

  #duration(form: Form, arn: string): number {
    const asked = Number(form.get('DurationSeconds') ?? 3600);
    if (asked <= this.maxSessionSeconds(arn)) return asked;
    const message = 'The requested DurationSeconds exceeds the MaxSessionDuration set for this role.';
    throw new Refusal('ValidationError', 400, message);
  }

  #answer(call: Call, session: IssuedCredential, packed: number | undefined): Elements {
    const [AccessKeyId, SecretAccessKey, SessionToken] = this.shown(call, session);
    const Expiration = new Date(session.expirationMs).toISOString().replace('.000Z', 'Z');
    return {
      AssumedRoleUser: {
        AssumedRoleId: `${roleID(session.roleARN)}:${session.sessionName}`,
        Arn: assumedRoleARN(session),
      },
      Credentials: { AccessKeyId, SecretAccessKey, SessionToken, Expiration },
      PackedPolicySize: packed === undefined ? undefined : String(packed),
    };
  }

  async #verified(token: string): Promise<JWTPayload> {
    try {
      return await this.verify(token);
    } catch (error) {
      throw error instanceof TokenError ? tokenRefusal(error, this.nowMs()) : error;
    }
  }

  /** The session whose key signed the request. */
  #caller(request: ServerRequest): IssuedCredential {
    const claim = parseAuthorization(request.headers['authorization'], AWS4);
    if (claim === undefined) {
      throw new Refusal('MissingAuthenticationToken', 403, 'Request is missing Authentication Token');
    }
    const session = this.sessions.find(claim.accessKeyID);
    if (session === undefined || request.headers['x-amz-security-token'] !== session.sessionToken) {
      throw new Refusal('InvalidClientTokenId', 403, 'The security token included in the request is invalid.');
    }
    if (claim.service !== 'sts' || !isSignedWith(request, claim, session.secretAccessKey, AWS4)) {
      const message =
        'The request signature we calculated does not match the signature you provided. ' +
        'Check your AWS Secret Access Key and signing method. Consult the service documentation for details.';
      throw new Refusal('SignatureDoesNotMatch', 403, message);
    }
    const nowMs = this.nowMs();
    const sentMs = basicTimeMs(request.headers['x-amz-date']);
    if (!(Math.abs(nowMs - sentMs) <= MAX_SKEW_MS)) {
      throw new Refusal('SignatureDoesNotMatch', 403, 'Signature expired: the request is more than 15 minutes off');
    }
    if (session.expirationMs <= nowMs) {
      throw new Refusal('ExpiredToken', 403, 'The security token included in the request is expired');
    }
    return session;
  }

  #callerIdentity(session: IssuedCredential): Elements {
    return {
      Arn: assumedRoleARN(session),
      UserId: `${roleID(session.roleARN)}:${session.sessionName}`,
      Account: accountOf(session.roleARN),
    };
  }
}

function named(form: Form): { arn: string; sessionName: string } {
  return { arn: form.get('RoleArn') ?? '', sessionName: form.get('RoleSessionName') ?? '' };
}

/** What a session remembers of its request. */
function options(form: Form): Pick<IssuedCredential, 'durationSeconds' | 'policy' | 'externalID'> {
  const [duration, policy, externalID] = ['DurationSeconds', 'Policy', 'ExternalId'].map((name) => form.get(name));
  return {
    ...(typeof duration === 'string' ? { durationSeconds: Number(duration) } : {}),
    ...(typeof policy === 'string' ? { policy } : {}),
    ...(typeof externalID === 'string' ? { externalID } : {}),
  };
}

/** Condition keys of a trust policy: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html */
function trustValues(
  form: Form,
  caller: IssuedCredential,
  asked: readonly SessionTag[],
): ReadonlyMap<string, string | readonly string[]> {
  const values = new Map<string, string | readonly string[]>([
    ['aws:PrincipalArn', caller.roleARN],
    ['aws:PrincipalAccount', accountOf(caller.roleARN)],
    ['aws:TagKeys', asked.map(({ key }) => key)],
    ['sts:TransitiveTagKeys', members(form, 'TransitiveTagKeys')],
  ]);
  for (const name of ['ExternalId', 'RoleSessionName', 'SourceIdentity']) {
    const value = form.get(name);
    if (value !== null) values.set(`sts:${name}`, value);
  }
  for (const { key, value } of asked) values.set(`aws:RequestTag/${key}`, value);
  for (const { key, value } of caller.tags) values.set(`aws:PrincipalTag/${key}`, value);
  return values;
}

function tokenRefusal({ problem, claims }: TokenError, nowMs: number): Refusal {
  const nowSeconds = Math.floor(nowMs / 1000);
  const invalid = (message: string): Refusal => new Refusal('InvalidIdentityToken', 400, message);
  switch (problem) {
    case 'malformed':
      return invalid('The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)');
    case 'issuer':
      return invalid(`No OpenIDConnect provider found in your account for ${claims.iss}`);
    case 'unreachable': {
      const message = 'Error encountered when contacting the identity provider to validate the token';
      return new Refusal('IDPCommunicationError', 400, message);
    }
    case 'expired': {
      const message = `Token expired: current date/time ${nowSeconds} must be before the expiration date/time ${claims.exp}`;
      return new Refusal('ExpiredTokenException', 400, message);
    }
    case 'early':
      return invalid(`Token must not be used before ${claims.nbf}: current date/time ${nowSeconds}`);
    case 'noKey':
      return invalid(
        "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity " +
          'documentation for requirements',
      );
    case 'signature':
      return invalid('The ID Token provided has an invalid signature');
    case 'audience':
      return invalid('Incorrect token audience');
  }
}

/** AWS gives each role an opaque id; ours is drawn from its ARN, so that it stays the same. */
function roleID(arn: string): string {
  const letters = Buffer.from(arn)
    .toString('hex')
    .toUpperCase()
    .replaceAll(/[018-9]/g, 'Q');
  return `AROA${letters.slice(-17)}`;
}

/** The path of a role is not part of its sessions' ARNs. */
function assumedRoleARN({ roleARN, sessionName }: IssuedCredential): string {
  return `arn:${partitionOf(roleARN)}:sts::${accountOf(roleARN)}:assumed-role/${roleARN.split('/').at(-1)}/${sessionName}`;
}
