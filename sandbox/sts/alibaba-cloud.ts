// Promises: Alibaba Cloud STS (RPC style, JSON, API 2015-04-01) for AssumeRoleWithOIDC, AssumeRole and GetCallerIdentity, so far
// as its pages tell: tokens, trust policies and ACS3 signatures are really checked. No public fake of it exists: this one is our
// own, written from the pages, and is itself checked by Alibaba Cloud's SDK. What no page tells is marked "ours".
// https://help.aliyun.com/zh/ram/developer-reference/api-sts-2015-04-01-errorcodes and
// https://help.aliyun.com/zh/ack/ack-managed-and-ack-dedicated/user-guide/use-rrsa-to-authorize-pods-to-access-different-cloud-services
import type { JWTPayload } from 'jose';
import type { ServerEnvironment, ServerRequest, ServerResponse } from '../http.ts';
import { isACS3SignedWith, parseACS3, unsignedHeaders } from './acs3-signature.ts';
import { MAX_SKEW_MS, Refusal, SecurityTokenService } from './service.ts';
import type { Call, ServiceOptions } from './service.ts';
import type { IssuedCredential } from './sessions.ts';
import { audiences, TokenError } from './web-identity.ts';
import type { TokenProblem } from './web-identity.ts';

/** How the service is set up. */
export interface AlibabaCloudOptions extends ServiceOptions {
  /** Last part of the OIDC provider's ARN, in every account; default `ack-rrsa-sandbox`. */
  readonly providerName?: string;
}

/** The audience that RRSA uses. */
export const ALIBABA_CLOUD_AUDIENCE = 'sts.aliyuncs.com';
const VERSION = '2015-04-01';
const MAX_POLICY_CHARACTERS = 2048;
/** A role session may not make longer ones; the limit is ours by analogy, no page tells it. */
const MAX_CHAINED_SECONDS = 3600;
const ROLE_ARN = /^acs:ram::(\d+):role\/([A-Za-z0-9.-]+)$/;

/** Codes and messages of the pages above; `early` and `malformed` share the page's Invalid. */
const TOKEN_REFUSALS: Readonly<Record<TokenProblem, readonly [code: string, message: string]>> = {
  malformed: ['AuthenticationFail.OIDCToken.Invalid', 'The JsonWebToken is invalid.'],
  early: ['AuthenticationFail.OIDCToken.Invalid', 'The JsonWebToken is not in effect yet.'],
  issuer: [
    'AuthenticationFail.OIDCToken.IssuerNotMatch',
    "The issuer in the OIDC Token doesn't match the OIDC Provider registered.",
  ],
  unreachable: ['AuthenticationFail.OIDCToken.IssuerConfigurationBroken', 'Get public keys from OIDC Provider failed'],
  noKey: ['AuthenticationFail.OIDCToken.InvalidSignature', 'The signature of the JsonWebToken is invalid.'],
  signature: ['AuthenticationFail.OIDCToken.InvalidSignature', 'The signature of the JsonWebToken is invalid.'],
  expired: ['AuthenticationFail.OIDCToken.Expired', 'This JsonWebToken is expired.'],
  audience: ['AuthenticationFail.OIDCToken.AudienceNotMatch', 'Invalid audience.'],
};

function tokenRefusal({ problem, claims }: TokenError): Refusal {
  const [code, message] = TOKEN_REFUSALS[problem];
  return new Refusal(code, 401, problem === 'unreachable' ? `${message}, the issuer is ${claims.iss}.` : message);
}

function wronglyFormed(parameter: string): Refusal {
  return new Refusal(`InvalidParameter.${parameter}`, 400, `The parameter ${parameter} is wrongly formed.`);
}

/** A parameter that must be there, and have a form. */
function mandatory({ parameters }: Call, name: string, pattern: RegExp): string {
  const value = parameters.get(name);
  if (value === null || value === '') throw new Refusal(`Missing${name}`, 400, `${name} is mandatory for this action.`);
  if (!pattern.test(value)) throw wronglyFormed(name);
  return value;
}

function optional({ parameters }: Call, name: string, pattern: RegExp): string | undefined {
  const value = parameters.get(name) ?? undefined;
  if (value !== undefined && !pattern.test(value)) throw wronglyFormed(name);
  return value;
}

/** A session policy in RAM's form: version "1" and statements. */
function checkPolicy(policy: string | null): void {
  if (policy === null) return;
  if (policy.length > MAX_POLICY_CHARACTERS) {
    const message = `The size of Policy must be smaller than ${MAX_POLICY_CHARACTERS} bytes.`;
    throw new Refusal('InvalidParameter.PolicySize', 400, message);
  }
  const refusal = new Refusal(
    'InvalidParameter.PolicyGrammar',
    400,
    'The parameter Policy has not passed grammar check.',
  );
  let document: { Version?: unknown; Statement?: unknown };
  try {
    document = JSON.parse(policy) as typeof document;
  } catch {
    throw refusal;
  }
  if (document.Version !== '1' || !Array.isArray(document.Statement)) throw refusal;
}

/** `2026-01-01T00:00:00Z` */
function utc(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d{3}Z$/, 'Z');
}

export class AlibabaCloudSecurityTokenService extends SecurityTokenService {
  protected readonly outage = new Refusal(
    'ServiceUnavailable',
    503,
    'The request has failed due to a temporary failure of the server.',
  );
  protected readonly throttled = new Refusal('Throttling.User', 400, 'Request was denied due to user flow control.');
  readonly #providerName: string;
  /** Nonces of signed requests and when they came: one is good once. */
  readonly #nonces = new Map<string, number>();

  constructor(options: AlibabaCloudOptions, env: ServerEnvironment) {
    const keys = { prefix: 'STS.N', idLength: 24, secretLength: 44, tokenPrefix: 'CAIS', tokenLength: 300 };
    super(options, env, { audience: ALIBABA_CLOUD_AUDIENCE, keys });
    this.#providerName = options.providerName ?? 'ack-rrsa-sandbox';
  }

  /** The ARN of the OIDC provider in an account. */
  providerARN(accountID: string): string {
    return `acs:ram::${accountID}:oidc-provider/${this.#providerName}`;
  }

  protected override newRequestID(uuid: string): string {
    return uuid.toUpperCase();
  }

  /** The header that Alibaba Cloud's SDK reads; its retry takes the number for milliseconds. */
  protected retryAfter(seconds: number): Readonly<Record<string, string>> {
    return { 'x-acs-retry-after': String(seconds * 1000) };
  }

  protected actionOf({ headers }: ServerRequest, parameters: URLSearchParams): string {
    return headers['x-acs-action'] ?? parameters.get('Action') ?? '';
  }

  protected success(call: Call, result: object): ServerResponse {
    const headers = { ...this.head('application/json;charset=utf-8'), 'x-acs-request-id': call.requestID };
    return { status: 200, headers, body: JSON.stringify({ RequestId: call.requestID, ...result }) };
  }

  protected failure(call: Call, { code, httpStatus, message }: Refusal): ServerResponse {
    const recommend = `https://api.aliyun.com/troubleshoot?q=${code}&product=Sts&requestId=${call.requestID}`;
    const hostID = call.request.headers['host'] ?? ALIBABA_CLOUD_AUDIENCE;
    const body = { RequestId: call.requestID, HostId: hostID, Code: code, Message: message, Recommend: recommend };
    return { ...this.success(call, {}), status: httpStatus, body: JSON.stringify(body) };
  }

  protected async act(call: Call): Promise<object> {
    const { action, parameters, request } = call;
    const version = request.headers['x-acs-version'] ?? parameters.get('Version');
    if (version === VERSION && ['POST', 'GET'].includes(request.method)) {
      if (action === 'AssumeRoleWithOIDC') return await this.#assumeRoleWithOIDC(call);
      if (action === 'AssumeRole') return this.#assumeRole(call);
      if (action === 'GetCallerIdentity') return this.#callerIdentity(this.#caller(call));
    }
    const message = 'Specified api is not found, please check your url and method.';
    throw new Refusal('InvalidAction.NotFound', 404, message);
  }

  async #assumeRoleWithOIDC(call: Call): Promise<object> {
    const { request, parameters } = call;
    // Stricter than the cloud on purpose: this call is unsigned, and a signature here means that a client found some other key.
    if (request.headers['authorization'] !== undefined || parameters.has('Signature')) {
      throw new Refusal('SandboxSignedRequest', 400, 'AssumeRoleWithOIDC must not be signed');
    }
    const { arn, sessionName, seconds } = this.#sessionParameters(call, (role) => this.maxSessionSeconds(role));
    const providerARN = mandatory(call, 'OIDCProviderArn', /./);
    const token = mandatory(call, 'OIDCToken', /^[\s\S]{4,20000}$/);
    const accountID = /^acs:ram::(\d+):oidc-provider\/./.exec(providerARN)?.[1];
    if (accountID === undefined) {
      throw new Refusal('AuthenticationFail.NoPermission', 401, 'Parameter OIDCProviderArn is not valid');
    }
    if (providerARN !== this.providerARN(accountID)) {
      throw new Refusal('AuthenticationFail.NoPermission', 401, 'No such OIDC Provider registered.');
    }
    const claims = await this.#verified(token);
    this.#mustExist(arn);
    const values = new Map([
      ['oidc:iss', [claims.iss ?? '']],
      ['oidc:sub', [claims.sub ?? '']],
      ['oidc:aud', audiences(claims)],
    ]);
    const asked = { action: 'sts:AssumeRole', principalKind: 'Federated', principals: [providerARN], values };
    if (!this.trusts(arn, asked)) {
      throw new Refusal('AuthenticationFail.NoPermission', 401, 'There is no permission');
    }
    const common = this.#common(call, arn, sessionName);
    const session = this.issue(call, seconds, { ...common, webIdentityToken: token, hop: 1 });
    return { ...this.#answer(call, session), OIDCTokenInfo: tokenInfo(claims) };
  }

  async #verified(token: string): Promise<JWTPayload> {
    try {
      return await this.verify(token);
    } catch (error) {
      throw error instanceof TokenError ? tokenRefusal(error) : error;
    }
  }

  #assumeRole(call: Call): object {
    const caller = this.#caller(call);
    const { arn, sessionName, seconds } = this.#sessionParameters(call, (role) =>
      Math.min(MAX_CHAINED_SECONDS, this.maxSessionSeconds(role)),
    );
    const externalID = optional(call, 'ExternalId', /^[\w+=,.@:/-]{2,1224}$/);
    this.#mustExist(arn);
    const accountID = accountOf(caller.roleARN);
    const values = new Map([
      ...(externalID === undefined ? [] : [['sts:ExternalId', externalID] as const]),
      ['acs:PrincipalARN', caller.roleARN],
      ['sts:RoleSessionName', sessionName],
    ]);
    const principals = [caller.roleARN, `acs:ram::${accountID}:root`];
    if (!this.trusts(arn, { action: 'sts:AssumeRole', principalKind: 'RAM', principals, values })) {
      const message = 'You are not authorized to do this action. You should be authorized by RAM.';
      throw new Refusal('NoPermission', 403, message);
    }
    const common = this.#common(call, arn, sessionName);
    const session = this.issue(call, seconds, {
      ...common,
      ...(externalID === undefined ? {} : { externalID }),
      webIdentityToken: '',
      hop: caller.hop + 1,
      parentAccessKeyID: caller.accessKeyID,
    });
    return this.#answer(call, session);
  }

  /** What both kinds of AssumeRole take, checked. */
  #sessionParameters(call: Call, most: (arn: string) => number): { arn: string; sessionName: string; seconds: number } {
    const arn = mandatory(call, 'RoleArn', ROLE_ARN);
    const sessionName = mandatory(call, 'RoleSessionName', /^[A-Za-z0-9.@_-]{2,64}$/);
    checkPolicy(call.parameters.get('Policy'));
    const seconds = Number(call.parameters.get('DurationSeconds') ?? 3600);
    const maximum = most(arn);
    if (!(Number.isInteger(seconds) && seconds >= 900 && seconds <= maximum)) {
      const message = `The Min/Max value of DurationSeconds is 15min/${maximum / 3600}hr.`;
      throw new Refusal('InvalidParameter.DurationSeconds', 400, message);
    }
    return { arn, sessionName, seconds };
  }

  #mustExist(arn: string): void {
    if (this.role(arn) === undefined) {
      throw new Refusal('EntityNotExist.Role', 404, `The role not exists: ${arn}. `);
    }
  }

  #common({ parameters }: Call, roleARN: string, sessionName: string) {
    const duration = parameters.get('DurationSeconds');
    const policy = parameters.get('Policy');
    const sourceIdentity = parameters.get('SourceIdentity');
    return {
      roleARN,
      sessionName,
      ...(duration === null ? {} : { durationSeconds: Number(duration) }),
      ...(policy === null ? {} : { policy }),
      ...(sourceIdentity === null ? {} : { sourceIdentity }),
      policyARNs: [],
      tags: [],
    };
  }

  #answer(call: Call, session: IssuedCredential): object {
    const [AccessKeyId, AccessKeySecret, SecurityToken] = this.shown(call, session);
    return {
      Credentials: { AccessKeyId, AccessKeySecret, SecurityToken, Expiration: utc(session.expirationMs) },
      AssumedRoleUser: {
        Arn: `${session.roleARN}/${session.sessionName}`,
        AssumedRoleId: `${roleID(session.roleARN)}:${session.sessionName}`,
      },
      ...(session.sourceIdentity === undefined ? {} : { SourceIdentity: session.sourceIdentity }),
    };
  }

  /** The session whose key signed the request. Statuses and the order of the checks are ours. */
  #caller(call: Call): IssuedCredential {
    const { request } = call;
    const claim = parseACS3(request.headers['authorization']);
    if (claim === undefined) {
      const isAbsent = request.headers['authorization'] === undefined;
      throw isAbsent
        ? new Refusal('MissingAuthorization', 400, 'Authorization is mandatory for this action.')
        : new Refusal('IncompleteSignature', 400, 'The request signature does not conform to Aliyun standards.');
    }
    const session = this.sessions.find(claim.accessKeyID);
    if (session === undefined) {
      throw new Refusal('InvalidAccessKeyId.NotFound', 404, 'Specified access key is not found.');
    }
    const token = request.headers['x-acs-security-token'];
    if (token === undefined) {
      throw new Refusal('MissingSecurityToken', 400, 'SecurityToken is mandatory for this action.');
    }
    if (token !== session.sessionToken) {
      const isForeign = this.issued.some(({ sessionToken }) => sessionToken === token);
      throw isForeign
        ? new Refusal(
            'InvalidSecurityToken.MismatchWithAccessKey',
            400,
            'Specified SecurityToken mismatch with the AccessKey.',
          )
        : new Refusal('InvalidSecurityToken.Malformed', 400, 'Specified SecurityToken is malformed.');
    }
    const unsigned = unsignedHeaders(request, claim);
    if (unsigned.length > 0 || !isACS3SignedWith(request, claim, session.secretAccessKey)) {
      const message = 'Specified signature is not matched with our calculation.';
      throw new Refusal('SignatureDoesNotMatch', 400, message);
    }
    this.#checkFreshness(request);
    if (session.expirationMs <= this.nowMs()) {
      throw new Refusal('InvalidSecurityToken.Expired', 400, 'Specified SecurityToken is expired.');
    }
    return session;
  }

  /** The date is near, and the nonce is new. */
  #checkFreshness({ headers }: ServerRequest): void {
    const nowMs = this.nowMs();
    const date = headers['x-acs-date'] ?? '';
    const sentMs = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(date) ? Date.parse(date) : Number.NaN;
    if (!(Math.abs(nowMs - sentMs) <= MAX_SKEW_MS)) {
      throw new Refusal('InvalidTimeStamp.Expired', 400, 'Specified time stamp or date value is expired.');
    }
    // The oldest come first; what is older than any date that is taken cannot come again.
    for (const [nonce, ms] of this.#nonces) {
      if (nowMs - ms <= 2 * MAX_SKEW_MS) break;
      this.#nonces.delete(nonce);
    }
    const nonce = headers['x-acs-signature-nonce'] ?? '';
    if (this.#nonces.has(nonce)) {
      throw new Refusal('SignatureNonceUsed', 400, 'Specified signature nonce was used already.');
    }
    this.#nonces.set(nonce, nowMs);
  }

  #callerIdentity(session: IssuedCredential): object {
    const accountID = accountOf(session.roleARN);
    const id = roleID(session.roleARN);
    return {
      IdentityType: 'AssumedRoleUser',
      AccountId: accountID,
      RoleId: id,
      PrincipalId: `${id}:${session.sessionName}`,
      Arn: `acs:ram::${accountID}:assumed-role/${session.roleARN.split('/').at(-1)}/${session.sessionName}`,
    };
  }
}

function tokenInfo(claims: JWTPayload): object {
  return {
    Subject: claims.sub,
    Issuer: claims.iss,
    ClientIds: audiences(claims).join(','),
    ExpirationTime: utc((claims.exp ?? 0) * 1000),
    IssuanceTime: utc((claims.iat ?? 0) * 1000),
    VerificationInfo: 'Success',
  };
}

function accountOf(arn: string): string {
  return arn.split(':')[3] ?? '';
}

/** A role's opaque number; ours is drawn from its ARN, so that it stays the same. */
function roleID(arn: string): string {
  const number = BigInt(`0x${Buffer.from(arn).toString('hex')}`) % 10n ** 17n;
  return `3${number.toString().padStart(17, '0')}`;
}
