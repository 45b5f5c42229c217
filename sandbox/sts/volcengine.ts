// Promises: Volcengine STS (JSON in an envelope, API 2018-01-01) for AssumeRoleWithOIDC, AssumeRole and GetCallerIdentity, so far
// as its pages and SDKs tell: tokens, trust policies and HMAC-SHA256 signatures are really checked. No public fake of it exists:
// this one is our own, and its signature check is itself checked against Volcengine's signer. What no page tells, above all the
// codes for a bad token, is marked "ours". https://www.volcengine.com/docs/6257/1494877 (AssumeRoleWithOIDC),
// https://www.volcengine.com/docs/6257/64992 and https://docs.byteplus.com/byteplus-platform/reference/common-error-codes (codes)
import type { JWTPayload } from 'jose';
import type { ServerEnvironment, ServerRequest, ServerResponse } from '../http.ts';
import { MAX_SKEW_MS, Refusal, SecurityTokenService } from './service.ts';
import type { Call, ServiceOptions } from './service.ts';
import type { IssuedCredential, SessionTag } from './sessions.ts';
import { basicTimeMs, isSignedWith, parseAuthorization, VOLCENGINE } from './signature.ts';
import { audiences, TokenError } from './web-identity.ts';
import type { TokenProblem } from './web-identity.ts';

/** How the service is set up. */
export interface VolcengineOptions extends ServiceOptions {
  /** Last part of the OIDC provider's TRN, in every account; default `vke-sandbox`. */
  readonly providerName?: string;
}

/** Where pages, SDKs and practice differ; each may be switched at any time. */
export interface VolcengineWire {
  /** The field of AssumeRoleWithOIDC that holds the end: the SDKs read the first, AssumeRole's page writes the second. */
  expirationField: 'Expiration' | 'ExpiredTime';
  /** Times as `2026-01-01T08:00:00+08:00` rather than `2026-01-01T00:00:00Z`. */
  offsetTimes: boolean;
  /** Errors come with HTTP 200. */
  errorsWithStatus200: boolean;
}

/** The audience that VKE fixes. */
export const VOLCENGINE_AUDIENCE = 'sts.volcengine.com';
const VERSION = '2018-01-01';
const MAX_POLICY_CHARACTERS = 2048;
const CHINA_OFFSET_MS = 8 * 3_600_000;
const ROLE_TRN = /^trn:iam::(\d+):role\/([\w+=,.@-]+)$/;

/** CodeN of the common codes; the others have no published number and answer 0. */
const NUMBERS: Readonly<Record<string, number>> = {
  MissingParameter: 100_002,
  MissingAuthenticationToken: 100_003,
  InvalidTimestamp: 100_006,
  ServiceNotFound: 100_007,
  InvalidActionOrVersion: 100_008,
  InvalidAccessKey: 100_009,
  SignatureDoesNotMatch: 100_010,
  LackPolicy: 100_012,
  AccessDenied: 100_013,
  InternalError: 100_014,
  FlowLimitExceeded: 100_018,
  ServiceUnavailableTemp: 100_019,
  MethodNotAllowed: 100_020,
  InvalidAuthorization: 100_024,
  InvalidCredential: 100_025,
  InvalidSecretToken: 100_026,
};

/** Ours, codes and words: no page lists them. 401 is what the pages answer to every other bad credential. */
const TOKEN_REFUSALS: Readonly<Record<TokenProblem, readonly [code: string, message: string]>> = {
  malformed: ['InvalidOIDCToken', 'The OIDC token is malformed.'],
  early: ['InvalidOIDCToken', 'The OIDC token is not in effect yet.'],
  issuer: ['InvalidOIDCToken', 'The issuer of the OIDC token has no OIDC provider in this account.'],
  unreachable: ['OIDCProviderUnreachable', 'The keys of the OIDC provider cannot be fetched.'],
  noKey: ['InvalidOIDCToken', 'The OIDC token is signed with an unknown key.'],
  signature: ['InvalidOIDCToken', 'The signature of the OIDC token is invalid.'],
  expired: ['OIDCTokenExpired', 'The OIDC token is expired.'],
  audience: ['InvalidOIDCToken', 'The audience of the OIDC token is not a client id of the OIDC provider.'],
};

function mandatory({ parameters }: Call, name: string, pattern: RegExp): string {
  const value = parameters.get(name);
  if (value === null || value === '') {
    throw new Refusal('ParameterNotFound', 400, `Parameter '${name}' is required, but not found.`);
  }
  if (!pattern.test(value)) throw invalid(name);
  return value;
}

/** Ours, the code. */
function invalid(name: string): Refusal {
  return new Refusal(`InvalidParameter.${name}`, 400, `The parameter ${name} is not valid.`);
}

function checkPolicy(policy: string | null): void {
  if (policy === null) return;
  if (policy.length > MAX_POLICY_CHARACTERS) throw invalid('Policy');
  try {
    if (Array.isArray((JSON.parse(policy) as { Statement?: unknown }).Statement)) return;
  } catch {
    // Told below, like a document without statements.
  }
  throw new Refusal('InvalidJsonStruct', 400, "Policy has invalid json structure, err: 'Statement is required'");
}

/** `Tags.1.Key` and `Tags.1.Value`, as the RPC gateway flattens lists. */
function sessionTags(parameters: URLSearchParams): SessionTag[] {
  const keys = [...parameters].filter(([name]) => /^Tags\.\d+\.Key$/.test(name));
  return keys.map(([name, key]) => ({
    key,
    value: parameters.get(name.replace(/Key$/, 'Value')) ?? '',
    transitive: false,
  }));
}

export class VolcengineSecurityTokenService extends SecurityTokenService {
  readonly wire: VolcengineWire = { expirationField: 'Expiration', offsetTimes: false, errorsWithStatus200: false };
  protected readonly outage = new Refusal('ServiceUnavailableTemp', 503, 'Service is temporarily unavailable.');
  protected readonly throttled = new Refusal(
    'FlowLimitExceeded',
    429,
    'Request was rejected because the request speed of this openAPI is beyond the current flow control limit.',
  );
  readonly #providerName: string;

  constructor(options: VolcengineOptions, env: ServerEnvironment) {
    const keys = { prefix: 'AKTP', idLength: 40, secretLength: 56, tokenPrefix: 'STS2', tokenLength: 300 };
    super(options, env, { audience: VOLCENGINE_AUDIENCE, keys });
    this.#providerName = options.providerName ?? 'vke-sandbox';
  }

  /** The TRN of the OIDC provider in an account. */
  providerTRN(accountID: string): string {
    return `trn:iam::${accountID}:oidc-provider/${this.#providerName}`;
  }

  /** Twenty digits of time are not needed to tell requests apart; the length is the cloud's. */
  protected override newRequestID(uuid: string): string {
    const time = new Date(this.nowMs()).toISOString().replaceAll(/\D/g, '').slice(0, 14);
    return `${time}${uuid.replaceAll('-', '').toUpperCase().slice(0, 20)}`;
  }

  protected retryAfter(seconds: number): Readonly<Record<string, string>> {
    return { 'retry-after': String(seconds) };
  }

  protected actionOf(_request: ServerRequest, parameters: URLSearchParams): string {
    return parameters.get('Action') ?? '';
  }

  protected success(call: Call, result: object): ServerResponse {
    const body = { ResponseMetadata: this.#metadata(call), Result: result };
    return { status: 200, headers: this.head('application/json; charset=utf-8'), body: JSON.stringify(body) };
  }

  protected failure(call: Call, { code, httpStatus, message }: Refusal): ServerResponse {
    const error = { CodeN: NUMBERS[code] ?? 0, Code: code, Message: message };
    const body = { ResponseMetadata: { ...this.#metadata(call), Error: error } };
    const status = this.wire.errorsWithStatus200 ? 200 : httpStatus;
    return { ...this.success(call, {}), status, body: JSON.stringify(body) };
  }

  #metadata({ requestID, action, parameters, request }: Call): object {
    const region = parseAuthorization(request.headers['authorization'], VOLCENGINE)?.region ?? 'cn-north-1';
    return {
      RequestId: requestID,
      Action: action,
      Version: parameters.get('Version') ?? '',
      Service: 'sts',
      Region: region,
    };
  }

  protected async act(call: Call): Promise<object> {
    const { action, parameters, request } = call;
    for (const name of ['Action', 'Version']) {
      if (!parameters.has(name)) {
        throw new Refusal('MissingParameter', 400, `The request is missing ${name} parameter.`);
      }
    }
    if (!['GET', 'POST'].includes(request.method)) {
      throw new Refusal('MethodNotAllowed', 405, 'HTTP Method Not Allowed.');
    }
    if (parameters.get('Version') === VERSION) {
      if (action === 'AssumeRoleWithOIDC') return await this.#assumeRoleWithOIDC(call);
      if (action === 'AssumeRole') return this.#assumeRole(call);
      if (action === 'GetCallerIdentity') return this.#callerIdentity(this.#caller(call));
    }
    const message = `Could not find operation ${action} for version ${parameters.get('Version')}.`;
    throw new Refusal('InvalidActionOrVersion', 404, message);
  }

  async #assumeRoleWithOIDC(call: Call): Promise<object> {
    // Stricter than the cloud on purpose: this call is unsigned, and a signature here means that a client found some other key.
    if (call.request.headers['authorization'] !== undefined) {
      throw new Refusal('SandboxSignedRequest', 400, 'AssumeRoleWithOIDC must not be signed');
    }
    const { trn, sessionName } = this.#sessionParameters(call);
    const token = mandatory(call, 'OIDCToken', /^[\s\S]{4,65536}$/);
    const seconds = Number(call.parameters.get('DurationSeconds') ?? 3600);
    if (!(Number.isInteger(seconds) && seconds >= 900)) throw invalid('DurationSeconds');
    const claims = await this.#verified(token);
    const values = new Map([
      ['oidc:iss', [claims.iss ?? '']],
      ['oidc:sub', [claims.sub ?? '']],
      ['oidc:aud', audiences(claims)],
    ]);
    // The request names no provider: it is the one of the role's account whose issuer the token has.
    const principals = [this.providerTRN(accountOf(trn))];
    const asked = { action: 'sts:AssumeRoleWithOIDC', principalKind: 'Federated', principals, values };
    this.#mustTrust(trn, asked);
    if (seconds > this.maxSessionSeconds(trn)) throw invalid('DurationSeconds');
    const common = this.#common(call, trn, sessionName);
    const session = this.issue(call, seconds, { ...common, webIdentityToken: token, hop: 1, tags: [] });
    return { ...this.#answer(call, session, this.wire.expirationField), OIDCTokenInfo: this.#tokenInfo(claims) };
  }

  async #verified(token: string): Promise<JWTPayload> {
    try {
      return await this.verify(token);
    } catch (error) {
      if (!(error instanceof TokenError)) throw error;
      throw new Refusal(TOKEN_REFUSALS[error.problem][0], 401, TOKEN_REFUSALS[error.problem][1]);
    }
  }

  #assumeRole(call: Call): object {
    const caller = this.#caller(call);
    const { trn, sessionName } = this.#sessionParameters(call);
    const asked = Number(call.parameters.get('DurationSeconds') ?? 3600);
    if (!Number.isInteger(asked)) throw invalid('DurationSeconds');
    // The page: below 900 it is taken as 3600, above 43200 as 43200, and nothing is said.
    const seconds = asked < 900 ? 3600 : Math.min(asked, 43_200);
    const values = new Map([['sts:RoleSessionName', sessionName]]);
    const principals = [caller.roleARN, `trn:iam::${accountOf(caller.roleARN)}:root`];
    this.#mustTrust(trn, { action: 'sts:AssumeRole', principalKind: 'IAM', principals, values });
    if (seconds > this.maxSessionSeconds(trn)) throw invalid('DurationSeconds');
    const session = this.issue(call, seconds, {
      ...this.#common(call, trn, sessionName),
      webIdentityToken: '',
      hop: caller.hop + 1,
      parentAccessKeyID: caller.accessKeyID,
      tags: sessionTags(call.parameters),
    });
    return this.#answer(call, session, 'ExpiredTime');
  }

  #sessionParameters(call: Call): { trn: string; sessionName: string } {
    const trn = mandatory(call, 'RoleTrn', /./);
    if (!ROLE_TRN.test(trn)) throw new Refusal('InvalidTRN', 400, `TRN '${trn}' is not valid.`);
    const sessionName = mandatory(call, 'RoleSessionName', /^[A-Za-z0-9._@-]{2,64}$/);
    checkPolicy(call.parameters.get('Policy'));
    return { trn, sessionName };
  }

  /** An unknown role is refused like a closed one, so that nobody can ask which roles exist; ours. */
  #mustTrust(trn: string, asked: Parameters<SecurityTokenService['trusts']>[1]): void {
    if (!this.trusts(trn, asked)) {
      const message = `User is not authorized to perform: ${asked.action} on resource: ${trn}.`;
      throw new Refusal('AccessDenied', 403, message);
    }
  }

  #common({ parameters }: Call, roleARN: string, sessionName: string) {
    const duration = parameters.get('DurationSeconds');
    const policy = parameters.get('Policy');
    return {
      roleARN,
      sessionName,
      ...(duration === null ? {} : { durationSeconds: Number(duration) }),
      ...(policy === null ? {} : { policy }),
      policyARNs: [],
    };
  }

  #answer(call: Call, session: IssuedCredential, expirationField: VolcengineWire['expirationField']): object {
    const [AccessKeyId, SecretAccessKey, SessionToken] = this.shown(call, session);
    return {
      Credentials: {
        CurrentTime: this.#time(this.nowMs()),
        [expirationField]: this.#time(session.expirationMs),
        AccessKeyId,
        SecretAccessKey,
        SessionToken,
      },
      AssumedRoleUser: { Trn: sessionTRN(session), AssumedRoleId: `${identityID(session)}:${session.sessionName}` },
    };
  }

  #tokenInfo(claims: JWTPayload): object {
    return {
      Subject: claims.sub,
      Issuer: claims.iss,
      ClientIds: audiences(claims),
      ExpirationTime: this.#time((claims.exp ?? 0) * 1000),
      IssuanceTime: this.#time((claims.iat ?? 0) * 1000),
    };
  }

  #time(ms: number): string {
    if (!this.wire.offsetTimes) return new Date(ms).toISOString().replace(/\.\d{3}Z$/, 'Z');
    return new Date(ms + CHINA_OFFSET_MS).toISOString().replace(/\.\d{3}Z$/, '+08:00');
  }

  /** The session whose key signed the request. */
  #caller({ request }: Call): IssuedCredential {
    const authorization = request.headers['authorization'];
    const claim = parseAuthorization(authorization, VOLCENGINE);
    if (claim === undefined) {
      throw authorization === undefined
        ? new Refusal('MissingAuthenticationToken', 401, 'Request is missing Authentication Token.')
        : new Refusal('InvalidAuthorization', 400, 'Invalid Authorization header, Pls check authorization header.');
    }
    if (claim.service !== 'sts')
      throw new Refusal('InvalidCredential', 400, 'Invalid Credential, Pls check the scope.');
    const session = this.sessions.find(claim.accessKeyID);
    if (session === undefined) {
      const message = `The accesskey [${claim.accessKeyID}] included in the request is invalid.`;
      throw new Refusal('InvalidAccessKey', 401, message);
    }
    if (request.headers['x-security-token'] !== session.sessionToken) {
      throw new Refusal('InvalidSecretToken', 401, 'The security token included in the request is invalid.');
    }
    if (!isSignedWith(request, claim, session.secretAccessKey, VOLCENGINE)) {
      const message =
        'The request signature we calculated does not match the signature you provided. ' +
        'Check your Secret Access Key and signing method. Consult the service documentation for details.';
      throw new Refusal('SignatureDoesNotMatch', 401, message);
    }
    const sentMs = basicTimeMs(request.headers['x-date']);
    if (!(Math.abs(this.nowMs() - sentMs) <= MAX_SKEW_MS)) {
      throw new Refusal('InvalidTimestamp', 400, 'The signature of the request is expired.');
    }
    if (session.expirationMs <= this.nowMs()) {
      throw new Refusal('InvalidSecretToken', 401, 'The security token included in the request is expired.');
    }
    return session;
  }

  #callerIdentity(session: IssuedCredential): object {
    return {
      AccountId: Number(accountOf(session.roleARN)),
      Trn: sessionTRN(session),
      IdentityType: 'Role',
      IdentityId: `${identityID(session)}:${session.sessionName}`,
    };
  }
}

function accountOf(trn: string): string {
  return trn.split(':')[3] ?? '';
}

function sessionTRN({ roleARN, sessionName }: IssuedCredential): string {
  return `trn:sts::${accountOf(roleARN)}:assumed-role/${roleARN.split('/').at(-1)}/${sessionName}`;
}

/** A role's opaque number; ours is drawn from its TRN, so that it stays the same. */
function identityID({ roleARN }: IssuedCredential): string {
  return String(BigInt(`0x${Buffer.from(roleARN).toString('hex')}`) % 10n ** 8n).padStart(8, '1');
}
