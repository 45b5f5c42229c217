// Promises: AWS STS for AssumeRoleWithWebIdentity and GetCallerIdentity: tokens are really verified against their issuer's
// published keys, trust policies really evaluated, signatures really checked, and errors have AWS's codes, statuses and,
// where AWS publishes them, its words. One account's roles may be trusted by one issuer; no AssumeRole yet.
import { createLocalJWKSet, decodeJwt, errors as joseErrors, jwtVerify } from 'jose';
import type { JSONWebKeySet, JWTPayload } from 'jose';
import { httpDate, wait, waitForAbort } from '../http.ts';
import type { ServerEnvironment, ServerOutcome, ServerRequest, ServerResponse } from '../http.ts';
import { amzDateMs, isSignedWith, parseAuthorization } from './signature.ts';
import { isTrusted } from './trust-policy.ts';
import type { TrustPolicy } from './trust-policy.ts';

/** A role that can be assumed. */
export interface Role {
  readonly arn: string;
  readonly trustPolicy: TrustPolicy;
  /** AWS's MaxSessionDuration, in seconds; default 3600. */
  readonly maxSessionDurationSeconds?: number;
}

/** What everybody gets instead of an answer, until it is switched back to `none`. */
export type SwitchMode =
  | 'none'
  | 'outage'
  | 'throttle'
  | 'hang'
  | 'reset'
  | 'html'
  | 'empty200'
  | 'hugeBody'
  | 'pastExpiry'
  | 'slow';

/** The switches; `times` left without end when undefined. */
export interface Switches {
  mode: SwitchMode;
  /** How many more calls it hits; then the mode is `none` again. */
  times?: number | undefined;
  /** The one action that it hits; every one when undefined. */
  only?: string | undefined;
  /** Caps sessions from now on, in place of AWSOptions.maxSessionSeconds. */
  maxSessionSeconds?: number | undefined;
  slowMs: number;
}

/** One line of the call log: nothing secret. */
export interface CallLogEntry {
  readonly timeMs: number;
  readonly action: string;
  /** `Issued`, `OK`, an AWS error code, or the switch that hit it. */
  readonly outcome: string;
  readonly roleARN: string;
  readonly sessionName: string;
  readonly requestID: string;
}

/** Credentials that were given out, kept for tests that look for leaks. */
export interface IssuedCredential {
  readonly accessKeyID: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  readonly expirationMs: number;
  readonly roleARN: string;
  readonly sessionName: string;
  readonly webIdentityToken: string;
}

/** How the service is set up. */
export interface AWSOptions {
  /** The issuer registered as OIDC provider in every account, and its client ids. */
  readonly issuer: string;
  readonly clientIDs?: readonly string[];
  /** Fetches a JSON document of the issuer; rejects when it cannot be reached. */
  readonly fetchJSON: (url: string) => Promise<unknown>;
  /** Caps every session, so that a demo rotates in seconds; the answer's Expiration tells it. */
  readonly maxSessionSeconds?: number;
}

type Form = URLSearchParams;

class AWSError extends Error {
  readonly code: string;
  readonly httpStatus: number;

  constructor(code: string, httpStatus: number, message: string) {
    super(message);
    this.code = code;
    this.httpStatus = httpStatus;
  }
}

const NAMESPACE = 'https://sts.amazonaws.com/doc/2011-06-15/';
/** Plaintext of session policies, inline and managed (IAM and STS quotas). */
const MAX_POLICY_CHARACTERS = 2048;
/** SigV4 requests may be this old or early. */
const MAX_SKEW_MS = 15 * 60_000;
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

function xml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** Nested elements; undefined ones are left out. */
type Elements = { readonly [name: string]: string | Elements | undefined };

function elements(tree: Elements): string {
  return Object.entries(tree)
    .map(([name, value]) => {
      if (value === undefined) return '';
      return `<${name}>${typeof value === 'string' ? xml(value) : elements(value)}</${name}>`;
    })
    .join('');
}

/** The constraint sentences of the Query protocol; `secret` values are not repeated. */
function constraintErrors(form: Form): string[] {
  const found: string[] = [];
  const fail = (field: string, value: string | null, constraint: string): void => {
    const shown = value === null ? 'null' : `'${value}'`;
    found.push(`Value ${shown} at '${field}' failed to satisfy constraint: Member must ${constraint}`);
  };
  const text = (name: string, limits: { min: number; max: number; pattern?: RegExp; secret?: boolean }): void => {
    const field = `${name.charAt(0).toLowerCase()}${name.slice(1)}`;
    const value = form.get(name);
    if (value === null) return fail(field, null, 'not be null');
    const shown = limits.secret === true ? '***' : value;
    if (value.length < limits.min) fail(field, shown, `have length greater than or equal to ${limits.min}`);
    if (value.length > limits.max) fail(field, shown, `have length less than or equal to ${limits.max}`);
    if (limits.pattern?.test(value) === false) {
      fail(field, shown, `satisfy regular expression pattern: ${limits.pattern.source.slice(1, -1)}`);
    }
  };
  text('RoleArn', { min: 20, max: 2048 });
  text('RoleSessionName', { min: 2, max: 64, pattern: /^[\w+=,.@-]*$/ });
  text('WebIdentityToken', { min: 4, max: 20_000, secret: true });
  if (form.has('Policy')) text('Policy', { min: 1, max: MAX_POLICY_CHARACTERS });
  const duration = form.get('DurationSeconds');
  if (duration !== null) {
    if (!(Number(duration) >= 900)) fail('durationSeconds', duration, 'have value greater than or equal to 900');
    if (Number(duration) > 43_200) fail('durationSeconds', duration, 'have value less than or equal to 43200');
  }
  return found;
}

function validationError(found: readonly string[]): AWSError {
  const count = found.length === 1 ? '1 validation error' : `${found.length} validation errors`;
  return new AWSError('ValidationError', 400, `${count} detected: ${found.join('; ')}`);
}

/** The share of the session policy quota in percent. */
function packedPolicySize(form: Form): number | undefined {
  const policy = form.get('Policy');
  const arns = [...form].filter(([name]) => /^PolicyArns\.member\.\d+\.arn$/.test(name)).map(([, value]) => value);
  if (arns.length > 10) throw new AWSError('ValidationError', 400, 'The number of policyArns exceeds the limit of 10.');
  if (policy !== null) {
    try {
      JSON.parse(policy);
    } catch {
      throw new AWSError('MalformedPolicyDocument', 400, 'This policy contains invalid Json');
    }
  }
  const characters = (policy?.length ?? 0) + arns.join('').length;
  if (characters === 0) return undefined;
  const percent = Math.ceil((characters * 100) / MAX_POLICY_CHARACTERS);
  if (percent > 100) {
    throw new AWSError(
      'PackedPolicyTooLarge',
      400,
      `Packed policy consumes ${percent}% of allotted space, please use smaller policy.`,
    );
  }
  return percent;
}

const DENIED = 'Not authorized to perform sts:AssumeRoleWithWebIdentity';

export class AWSSecurityTokenService {
  readonly switches: Switches = { mode: 'none', slowMs: 2000 };
  readonly calls: CallLogEntry[] = [];
  readonly issued: IssuedCredential[] = [];
  readonly #roles = new Map<string, Role>();
  readonly #options: AWSOptions;
  readonly #env: ServerEnvironment;

  constructor(options: AWSOptions, env: ServerEnvironment) {
    this.#options = options;
    this.#env = env;
  }

  /** Adds or replaces a role. */
  addRole(role: Role): void {
    this.#roles.set(role.arn, role);
  }

  /** The role, as it is now. */
  role(arn: string): Role | undefined {
    return this.#roles.get(arn);
  }

  removeRole(arn: string): void {
    this.#roles.delete(arn);
  }

  handle = async (request: ServerRequest): Promise<ServerOutcome> => {
    const requestID = this.#env.random.uuid();
    const form = new URLSearchParams(Buffer.from(request.body).toString('utf8'));
    let outcome = '';
    const log = (): void => {
      const [action, roleARN, sessionName] = ['Action', 'RoleArn', 'RoleSessionName'].map(
        (name) => form.get(name) ?? '',
      );
      const fields = { action: action ?? '', roleARN: roleARN ?? '', sessionName: sessionName ?? '' };
      this.calls.push({ timeMs: this.#env.clock.now(), ...fields, outcome, requestID });
    };
    const mode = this.#nextMode(form.get('Action'));
    const broken = await this.#broken(mode, request, requestID);
    if (broken !== undefined) {
      outcome = mode;
      log();
      return broken;
    }
    try {
      const { element, result } = await this.#act(request, form, mode);
      outcome = element === 'AssumeRoleWithWebIdentity' ? 'Issued' : 'OK';
      const body = { [`${element}Result`]: result, ResponseMetadata: { RequestId: requestID } };
      const text = elements(body);
      log();
      return this.#xml(200, requestID, `<${element}Response xmlns="${NAMESPACE}">${text}</${element}Response>`);
    } catch (error) {
      if (!(error instanceof AWSError)) throw error;
      outcome = error.code;
      log();
      return this.#error(error, requestID);
    }
  };

  #nextMode(action: string | null): SwitchMode {
    const { mode, times, only } = this.switches;
    if (only !== undefined && only !== action) return 'none';
    if (times === undefined) return mode;
    this.switches.times = times > 1 ? times - 1 : undefined;
    if (times <= 1) this.switches.mode = 'none';
    return times > 0 ? mode : 'none';
  }

  #xml(status: number, requestID: string, body: string): ServerResponse {
    const headers = { 'content-type': 'text/xml', date: httpDate(this.#env.clock), 'x-amzn-requestid': requestID };
    return { status, headers, body };
  }

  #error({ code, message, httpStatus }: AWSError, requestID: string): ServerResponse {
    const type = httpStatus >= 500 ? 'Receiver' : 'Sender';
    const body = elements({ Error: { Type: type, Code: code, Message: message }, RequestId: requestID });
    return this.#xml(httpStatus, requestID, `<ErrorResponse xmlns="${NAMESPACE}">${body}</ErrorResponse>`);
  }

  /** The answer that a switch forces; undefined lets the call through. */
  async #broken(mode: SwitchMode, request: ServerRequest, requestID: string): Promise<ServerOutcome | undefined> {
    const head = { date: httpDate(this.#env.clock) };
    switch (mode) {
      case 'none':
      case 'pastExpiry':
        return undefined;
      case 'slow':
        await wait(this.#env.clock, this.switches.slowMs, request.signal);
        return undefined;
      case 'hang':
        await waitForAbort(request.signal);
        return { reset: true };
      case 'reset':
        return { reset: true };
      case 'outage':
        return this.#error(new AWSError('ServiceUnavailable', 503, 'Service Unavailable'), requestID);
      case 'throttle':
        return this.#error(new AWSError('Throttling', 400, 'Rate exceeded'), requestID);
      case 'html':
        return {
          status: 502,
          headers: { ...head, 'content-type': 'text/html' },
          body: '<html><h1>Bad Gateway</h1></html>',
        };
      case 'empty200':
        return { status: 200, headers: { ...head, 'content-type': 'text/xml' }, body: '' };
      case 'hugeBody':
        return { status: 200, headers: { ...head, 'content-type': 'text/xml' }, body: hugeBody() };
    }
  }

  async #act(
    request: ServerRequest,
    form: Form,
    mode: SwitchMode,
  ): Promise<{ readonly element: string; readonly result: Elements }> {
    const action = form.get('Action');
    if (request.method === 'POST' && action === 'AssumeRoleWithWebIdentity') {
      return { element: action, result: await this.#assumeRole(request, form, mode) };
    }
    if (request.method === 'POST' && action === 'GetCallerIdentity') {
      return { element: action, result: this.#callerIdentity(request) };
    }
    const message = `Could not find operation ${action ?? 'unspecified'} for version ${form.get('Version') ?? 'NO_VERSION_SPECIFIED'}`;
    throw new AWSError('InvalidAction', 400, message);
  }

  async #assumeRole(request: ServerRequest, form: Form, mode: SwitchMode): Promise<Elements> {
    // Stricter than AWS on purpose: this call is unsigned, and a signature here means that a client found some other key.
    if (request.headers['authorization'] !== undefined) {
      throw new AWSError('SandboxSignedRequest', 400, 'AssumeRoleWithWebIdentity must not be signed');
    }
    const found = constraintErrors(form);
    if (found.length > 0) throw validationError(found);
    const [arn, token, sessionName] = ['RoleArn', 'WebIdentityToken', 'RoleSessionName'].map(
      (name) => form.get(name) ?? '',
    );
    const account = /^arn:[\w-]+:iam::(\d{12}):role\/.+$/.exec(arn ?? '')?.[1];
    if (account === undefined) throw new AWSError('ValidationError', 400, `${arn} is invalid`);
    const packed = packedPolicySize(form);
    const claims = await this.#verify(token ?? '', arn ?? '');
    const role = this.#roles.get(arn ?? '');
    const provider = this.#options.issuer.replace(/^https:\/\//, '');
    const audience = audiences(claims)[0] ?? '';
    const providerARN = `arn:aws:iam::${account}:oidc-provider/${provider}`;
    const subject = claims.sub ?? '';
    if (role === undefined || !isTrusted(role.trustPolicy, { providerARN, provider, subject, audience })) {
      throw new AWSError('AccessDenied', 403, DENIED);
    }
    const asked = Number(form.get('DurationSeconds') ?? 3600);
    if (asked > (role.maxSessionDurationSeconds ?? 3600)) {
      const message = 'The requested DurationSeconds exceeds the MaxSessionDuration set for this role.';
      throw new AWSError('ValidationError', 400, message);
    }
    const session = this.#issue(role, sessionName ?? '', token ?? '', mode === 'pastExpiry' ? -60 : asked);
    return {
      Audience: audience,
      AssumedRoleUser: { AssumedRoleId: `${roleID(role.arn)}:${sessionName}`, Arn: assumedRoleARN(session) },
      Provider: providerARN,
      Credentials: {
        AccessKeyId: session.accessKeyID,
        SecretAccessKey: session.secretAccessKey,
        SessionToken: session.sessionToken,
        Expiration: new Date(session.expirationMs).toISOString().replace('.000Z', 'Z'),
      },
      SubjectFromWebIdentityToken: subject,
      PackedPolicySize: packed === undefined ? undefined : String(packed),
    };
  }

  async #verify(token: string, roleARN: string): Promise<JWTPayload> {
    const { issuer, clientIDs = ['sts.amazonaws.com'] } = this.#options;
    let claims: JWTPayload;
    try {
      claims = decodeJwt(token);
    } catch {
      const message = 'The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)';
      throw new AWSError('InvalidIdentityToken', 400, message);
    }
    if (claims.iss !== issuer || roleARN === '') {
      const message = `No OpenIDConnect provider found in your account for ${claims.iss}`;
      throw new AWSError('InvalidIdentityToken', 400, message);
    }
    const keys = await this.#keys();
    const nowMs = this.#env.clock.now();
    try {
      await jwtVerify(token, createLocalJWKSet(keys), { issuer, currentDate: new Date(nowMs) });
    } catch (error) {
      throw tokenError(error, claims, nowMs);
    }
    if (!audiences(claims).some((audience) => clientIDs.includes(audience))) {
      throw new AWSError('InvalidIdentityToken', 400, 'Incorrect token audience');
    }
    return claims;
  }

  /** Fetched for each call: a rotated key is seen at once, a broken issuer too. */
  async #keys(): Promise<JSONWebKeySet> {
    const { issuer, fetchJSON } = this.#options;
    try {
      const configuration = (await fetchJSON(`${issuer}/.well-known/openid-configuration`)) as { jwks_uri: string };
      return (await fetchJSON(configuration.jwks_uri)) as JSONWebKeySet;
    } catch {
      const message = 'Error encountered when contacting the identity provider to validate the token';
      throw new AWSError('IDPCommunicationError', 400, message);
    }
  }

  #issue(role: Role, sessionName: string, webIdentityToken: string, seconds: number): IssuedCredential {
    const pick = (letters: string, count: number): string =>
      Array.from({ length: count }, () => letters.charAt(Math.floor(this.#env.random.next() * letters.length))).join(
        '',
      );
    const most = this.switches.maxSessionSeconds ?? this.#options.maxSessionSeconds ?? seconds;
    const lifetimeSeconds = Math.min(seconds, most);
    const credential = {
      accessKeyID: `ASIA${pick(BASE32, 16)}`,
      secretAccessKey: pick(BASE64, 40),
      sessionToken: `IQoJ${pick(BASE64, 308)}`,
      expirationMs: (Math.floor(this.#env.clock.now() / 1000) + lifetimeSeconds) * 1000,
      roleARN: role.arn,
      sessionName,
      webIdentityToken,
    };
    this.issued.push(credential);
    return credential;
  }

  #callerIdentity(request: ServerRequest): Elements {
    const claim = parseAuthorization(request.headers['authorization']);
    if (claim === undefined) {
      throw new AWSError('MissingAuthenticationToken', 403, 'Request is missing Authentication Token');
    }
    const session = this.issued.findLast(({ accessKeyID }) => accessKeyID === claim.accessKeyID);
    if (session === undefined || request.headers['x-amz-security-token'] !== session.sessionToken) {
      throw new AWSError('InvalidClientTokenId', 403, 'The security token included in the request is invalid.');
    }
    if (claim.service !== 'sts' || !isSignedWith(request, claim, session.secretAccessKey)) {
      const message =
        'The request signature we calculated does not match the signature you provided. ' +
        'Check your AWS Secret Access Key and signing method. Consult the service documentation for details.';
      throw new AWSError('SignatureDoesNotMatch', 403, message);
    }
    const nowMs = this.#env.clock.now();
    const sentMs = amzDateMs(request.headers['x-amz-date']);
    if (!(Math.abs(nowMs - sentMs) <= MAX_SKEW_MS)) {
      throw new AWSError('SignatureDoesNotMatch', 403, 'Signature expired: the request is more than 15 minutes off');
    }
    if (session.expirationMs <= nowMs) {
      throw new AWSError('ExpiredToken', 403, 'The security token included in the request is expired');
    }
    return {
      Arn: assumedRoleARN(session),
      UserId: `${roleID(session.roleARN)}:${session.sessionName}`,
      Account: session.roleARN.split(':')[4] ?? '',
    };
  }
}

function audiences({ aud }: JWTPayload): readonly string[] {
  if (aud === undefined) return [];
  return Array.isArray(aud) ? aud : [aud];
}

function tokenError(error: unknown, claims: JWTPayload, nowMs: number): AWSError {
  const nowSeconds = Math.floor(nowMs / 1000);
  if (error instanceof joseErrors.JWTExpired) {
    const message = `Token expired: current date/time ${nowSeconds} must be before the expiration date/time ${claims.exp}`;
    return new AWSError('ExpiredTokenException', 400, message);
  }
  if (error instanceof joseErrors.JWTClaimValidationFailed) {
    const message = `Token must not be used before ${claims.nbf}: current date/time ${nowSeconds}`;
    return new AWSError('InvalidIdentityToken', 400, message);
  }
  const message =
    "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity " +
    'documentation for requirements';
  const unverified = 'The ID Token provided has an invalid signature';
  const noKey = error instanceof joseErrors.JWKSNoMatchingKey;
  return new AWSError('InvalidIdentityToken', 400, noKey ? message : unverified);
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
  const account = roleARN.split(':')[4] ?? '';
  return `arn:aws:sts::${account}:assumed-role/${roleARN.split('/').at(-1)}/${sessionName}`;
}

/** 50 MB that no client should take in. */
async function* hugeBody(): AsyncGenerator<string> {
  const block = 'x'.repeat(1 << 16);
  for (let sent = 0; sent < 50_000_000; sent += block.length) yield block;
}
