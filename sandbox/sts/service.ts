// Promises: what the three STS of the sandbox share: roles, sessions, switches, the call log, and the way of a request through
// them. Actions, codes and wording are each cloud's own, in its file. A function of a request and of the server's own clock and
// chance; no socket. The log has no secrets: names of parameters, never a token.
import { waitForAbort, wait } from '../http.ts';
import type { ServerEnvironment, ServerOutcome, ServerRequest, ServerResponse } from '../http.ts';
import { Sessions } from './sessions.ts';
import type { IssuedCredential, KeyShape, SessionRequest } from './sessions.ts';
import { newSwitches, nextMode } from './switches.ts';
import type { SwitchMode, Switches } from './switches.ts';
import { isTrusted } from './trust-policy.ts';
import type { TrustPolicy, TrustRequest } from './trust-policy.ts';
import { verifyToken } from './web-identity.ts';
import type { OIDCProvider } from './web-identity.ts';

/** A role that can be assumed. */
export interface Role {
  /** The ARN, or TRN. */
  readonly arn: string;
  readonly trustPolicy: TrustPolicy;
  /** The longest session, in seconds; default 3600. */
  readonly maxSessionDurationSeconds?: number;
}

/** One line of the call log: nothing secret. */
export interface CallLogEntry {
  readonly timeMs: number;
  readonly action: string;
  /** `Issued`, `OK`, the cloud's error code, or the switch that hit it. */
  readonly outcome: string;
  /** The role's ARN or TRN, empty when none is named. */
  readonly roleARN: string;
  readonly sessionName: string;
  readonly requestID: string;
  readonly method: string;
  /** Where the web identity token was: it belongs into the body. */
  readonly webIdentityTokenIn: 'none' | 'body' | 'query';
  /** Names, not values: what a proxy's access log would show. */
  readonly queryParameters: readonly string[];
  readonly bodyParameters: readonly string[];
  /** The key that the request claims to be signed with; empty when it is not signed. */
  readonly signedBy: string;
}

/** How a service is set up. */
export interface ServiceOptions {
  /** The issuer registered as OIDC provider in every account, and its client ids. */
  readonly issuer: string;
  readonly clientIDs?: readonly string[];
  /** Fetches a JSON document of the issuer; rejects when it cannot be reached. */
  readonly fetchJSON: (url: string) => Promise<unknown>;
  /** Caps every session, so that a demo rotates in seconds; the answer's expiry tells it. */
  readonly maxSessionSeconds?: number;
}

/** A request, read. */
export interface Call {
  readonly request: ServerRequest;
  readonly requestID: string;
  readonly action: string;
  /** Query and form, in this order. */
  readonly parameters: URLSearchParams;
  readonly mode: SwitchMode;
}

/** What a cloud answers instead of a result. */
export class Refusal extends Error {
  readonly code: string;
  readonly httpStatus: number;

  constructor(code: string, httpStatus: number, message: string) {
    super(message);
    this.code = code;
    this.httpStatus = httpStatus;
  }
}

/** Signed requests may be this old or early, on all three clouds. */
export const MAX_SKEW_MS = 15 * 60_000;

const HTML = '<html><h1>Bad Gateway</h1></html>';
const TOKEN_PARAMETERS = ['WebIdentityToken', 'OIDCToken'];

function form(text: string): URLSearchParams {
  return new URLSearchParams(text);
}

/** 50 MB that no client should take in. */
async function* hugeBody(): AsyncGenerator<string> {
  const block = 'x'.repeat(1 << 16);
  for (let sent = 0; sent < 50_000_000; sent += block.length) yield block;
}

/** The answer up to its middle; the failure makes the listener cut the connection. */
async function* truncated(body: string): AsyncGenerator<string> {
  yield body.slice(0, Math.floor(body.length / 2));
  throw new Error('cut by a switch');
}

/** An STS; each cloud derives its own. */
export abstract class SecurityTokenService {
  readonly switches: Switches = newSwitches();
  readonly calls: CallLogEntry[] = [];
  readonly provider: OIDCProvider;
  protected readonly sessions: Sessions;
  readonly #roles = new Map<string, Role>();
  readonly #options: ServiceOptions;
  readonly #env: ServerEnvironment;

  constructor(options: ServiceOptions, env: ServerEnvironment, cloud: { audience: string; keys: KeyShape }) {
    this.#options = options;
    this.#env = env;
    this.provider = { issuer: options.issuer, clientIDs: options.clientIDs ?? [cloud.audience] };
    this.sessions = new Sessions(cloud.keys, env.random);
  }

  /** What the service answers when it is out, and when it is called too often. */
  protected abstract readonly outage: Refusal;
  protected abstract readonly throttled: Refusal;
  /** The header that says when to come again. */
  protected abstract retryAfter(seconds: number): Readonly<Record<string, string>>;
  /** The action that a request names where it is not the parameter `Action`. */
  protected abstract actionOf(request: ServerRequest, parameters: URLSearchParams): string;
  /** Does what is asked. @throws Refusal */
  protected abstract act(call: Call): Promise<object>;
  protected abstract success(call: Call, result: object): ServerResponse;
  protected abstract failure(call: Call, refusal: Refusal): ServerResponse;

  /** Every session that was given out. */
  get issued(): readonly IssuedCredential[] {
    return this.sessions.issued;
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
    const query = form(new URL(request.target, 'https://sandbox.invalid').search);
    const body = form(Buffer.from(request.body).toString('utf8'));
    const parameters = new URLSearchParams([...query, ...body]);
    const action = this.actionOf(request, parameters);
    const mode = nextMode(this.switches, action);
    const call: Call = { request, requestID: this.newRequestID(this.#env.random.uuid()), action, parameters, mode };
    const log = (outcome: string): void => void this.calls.push(this.#logEntry(call, { query, body }, outcome));
    const broken = await this.#broken(call);
    if (broken !== undefined) {
      log(mode === 'refuse' ? (this.switches.refusal?.code ?? mode) : mode);
      return broken;
    }
    try {
      const result = await this.act(call);
      log(action === 'GetCallerIdentity' ? 'OK' : 'Issued');
      return this.#spoiled(call, this.success(call, result));
    } catch (error) {
      if (!(error instanceof Refusal)) {
        // The listener only cuts the connection: the log is where a defect of the sandbox shows.
        log(`SandboxDefect: ${String(error)}`);
        throw error;
      }
      log(error.code);
      return this.#spoiled(call, this.failure(call, error));
    }
  };

  protected newRequestID(uuid: string): string {
    return uuid;
  }

  /** The server's time, which a switch may have moved. */
  protected nowMs(): number {
    return this.#env.clock.now() + this.switches.clockSkewMs;
  }

  /** Headers of every answer. */
  protected head(contentType: string): Record<string, string> {
    const date = new Date(this.nowMs() + this.switches.dateSkewMs).toUTCString();
    return { 'content-type': contentType, date };
  }

  /** @throws TokenError */
  protected verify(token: string): ReturnType<typeof verifyToken> {
    return verifyToken(token, this.provider, this.#options.fetchJSON, this.nowMs());
  }

  /** Whether the role exists and its policy lets the caller in. */
  protected trusts(arn: string, request: TrustRequest): boolean {
    const role = this.#roles.get(arn);
    return role !== undefined && isTrusted(role.trustPolicy, request);
  }

  /** The longest session of a role, in seconds. */
  protected maxSessionSeconds(arn: string): number {
    return this.#roles.get(arn)?.maxSessionDurationSeconds ?? 3600;
  }

  /** Gives out a session; its end is what was asked, the configured cap, or what a switch says. */
  protected issue(call: Call, seconds: number, request: Omit<SessionRequest, 'expirationMs'>): IssuedCredential {
    const most = this.switches.maxSessionSeconds ?? this.#options.maxSessionSeconds ?? seconds;
    const shifts: Partial<Record<SwitchMode, number>> = { pastExpiry: -60, farExpiry: seconds + 3600 };
    const lifetimeSeconds = shifts[call.mode] ?? Math.min(seconds, most);
    const expirationMs = (Math.floor(this.nowMs() / 1000) + lifetimeSeconds) * 1000;
    return this.sessions.issue({ ...request, expirationMs });
  }

  /** The three parts as the answer tells them. */
  protected shown({ mode }: Call, session: IssuedCredential): readonly [string, string, string] {
    if (mode === 'emptyCredentials') return ['', '', ''];
    return [session.accessKeyID, session.secretAccessKey, session.sessionToken];
  }

  #logEntry(
    { request, requestID, action, parameters }: Call,
    parts: { query: URLSearchParams; body: URLSearchParams },
    outcome: string,
  ): CallLogEntry {
    const has = (part: URLSearchParams): boolean => TOKEN_PARAMETERS.some((name) => part.has(name));
    const tokenPlace = has(parts.body) ? 'body' : 'none';
    return {
      timeMs: this.#env.clock.now(),
      action,
      outcome,
      roleARN: parameters.get('RoleArn') ?? parameters.get('RoleTrn') ?? '',
      sessionName: parameters.get('RoleSessionName') ?? '',
      requestID,
      method: request.method,
      webIdentityTokenIn: has(parts.query) ? 'query' : tokenPlace,
      queryParameters: [...parts.query.keys()],
      bodyParameters: [...parts.body.keys()],
      signedBy: /Credential=([^/,\s]+)/.exec(request.headers['authorization'] ?? '')?.[1] ?? '',
    };
  }

  /** The answer that a switch forces; undefined lets the call through. */
  async #broken(call: Call): Promise<ServerOutcome | undefined> {
    const { mode, request } = call;
    const { slowMs, retryAfterSeconds, refusal } = this.switches;
    switch (mode) {
      case 'slow':
        await wait(this.#env.clock, slowMs, request.signal);
        return undefined;
      case 'hang':
        await waitForAbort(request.signal);
        return { reset: true };
      case 'reset':
        return { reset: true };
      case 'outage':
        return this.failure(call, this.outage);
      case 'errorBody200':
        return { ...this.failure(call, this.outage), status: 200 };
      case 'refuse':
        return this.failure(
          call,
          new Refusal(
            refusal?.code ?? 'Refused',
            refusal?.httpStatus ?? 400,
            refusal?.message ?? 'refused by a switch',
          ),
        );
      case 'throttle': {
        const answer = this.failure(call, this.throttled);
        const later = retryAfterSeconds === undefined ? {} : this.retryAfter(retryAfterSeconds);
        return { ...answer, headers: { ...answer.headers, ...later } };
      }
      case 'html':
        return { status: 502, headers: this.head('text/html'), body: HTML };
      case 'html200':
        return { status: 200, headers: this.head('text/html'), body: HTML };
      case 'empty200':
        return { status: 200, headers: this.success(call, {}).headers, body: '' };
      case 'hugeBody':
        return { status: 200, headers: this.success(call, {}).headers, body: hugeBody() };
      case 'none':
      case 'emptyCredentials':
      case 'pastExpiry':
      case 'farExpiry':
      case 'truncated':
      case 'slowDrip':
        return undefined;
    }
  }

  /** The true answer, spoiled on its way where a switch says so. */
  #spoiled({ mode, request }: Call, answer: ServerResponse): ServerResponse {
    if (typeof answer.body !== 'string') return answer;
    if (mode === 'truncated') return { ...answer, body: truncated(answer.body) };
    if (mode !== 'slowDrip') return answer;
    const { clock } = this.#env;
    const { slowMs } = this.switches;
    async function* drip(body: string): AsyncGenerator<string> {
      for (const character of body) {
        yield character;
        await wait(clock, slowMs, request.signal);
      }
    }
    return { ...answer, body: drip(answer.body) };
  }
}
