// Promises: AWS STS behind the provider port: one AssumeRoleWithWebIdentity per call through the AWS SDK, whose bytes go
// through our Transport only and whose settings all come from here. May not retry, sign, follow a redirect, or let an
// environment variable or a file of the machine decide anything.
import {
  AssumeRoleWithWebIdentityCommand,
  type AssumeRoleWithWebIdentityCommandOutput,
  STSClient,
  type STSClientConfig,
} from '@aws-sdk/client-sts';
import { FIELD_MANAGER } from '../api/names.ts';
import type { ResolvedAWS } from '../api/resolve.ts';
import type { ExchangeAnswer } from '../credential/credentials.ts';
import { CredentialError, type ErrorCode } from '../credential/errors.ts';
import { type Clock, deadline } from '../runtime/clock.ts';
import { readBody, type Transport, TransportError, type TransportResponse } from '../transport/transport.ts';
import { type AnswerHead, type AWSCall, readRequestID, readRetryAfter } from './aws-errors.ts';
import { redirect, refusal, unreachable, unusable } from './aws-errors.ts';
import { cloudName, hasPieceOf } from './cloud-message.ts';
import { assertAllowed, awsEndpoint, type EndpointPolicy } from './endpoints.ts';
import type { ExchangeRequest, Provider } from './provider.ts';

/** One call to STS, told when it is over. */
export interface STSCallOutcome {
  readonly cloud: 'AWS';
  /** `host` or `host:port`. */
  readonly host: string;
  /** `OK`, a code of the register, or `Aborted` when the caller gave up. */
  readonly code: ErrorCode | 'OK' | 'Aborted';
  readonly durationSeconds: number;
}

/** What the AWS provider is made of. */
export interface AWSProviderOptions {
  readonly transport: Transport;
  readonly policy: EndpointPolicy;
  readonly clock: Clock;
  readonly onCall?: (outcome: STSCallOutcome) => void;
}

/** One attempt per call, and the queue retries: longer than this a worker does not wait. */
const DEADLINE_MS = 10_000;
/** Answers of STS have 1 to 20 KB; an answer that is longer is none of STS's. */
const MAX_BODY_BYTES = 64 * 1024;
/** SDK clients kept, least recently made goes first: 25 KB each, and regions come from tenants. */
const MAX_CLIENTS = 64;

/** Thrown inside the SDK, which adds to what passes through it; the real error waits in the attempt. */
const INSIDE_SDK = 'the request was not completed';

/** What one call leaves behind on its way through the SDK. */
interface Attempt {
  readonly call: AWSCall;
  head?: AnswerHead & { readonly dateMs: number | undefined };
  /** What went wrong below the SDK. */
  failure?: unknown;
}

/** The options that client.send() hands to the request handler. */
interface SendOptions {
  readonly abortSignal: AbortSignal;
  readonly attempt: Attempt;
}

/** The part of the SDK's HttpRequest that is used. */
interface SDKRequest {
  readonly method: string;
  readonly protocol: string;
  readonly username?: string | undefined;
  readonly hostname: string;
  readonly port?: number | undefined;
  readonly path: string;
  readonly query?: object | undefined;
  readonly fragment?: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

class AWSProvider implements Provider<ResolvedAWS> {
  readonly cloud = 'AWS';
  readonly #options: AWSProviderOptions;
  readonly #clients = new Map<string, STSClient>();

  constructor(options: AWSProviderOptions) {
    this.#options = options;
  }

  endpoint(exchange: ResolvedAWS): URL {
    return awsEndpoint(exchange, this.#options.policy);
  }

  async exchange(request: ExchangeRequest<ResolvedAWS>, signal: AbortSignal): Promise<ExchangeAnswer> {
    const { clock } = this.#options;
    const call: AWSCall = { exchange: request.exchange, url: this.endpoint(request.exchange), token: request.token };
    signal.throwIfAborted();
    const attempt: Attempt = { call };
    const limit = deadline(clock, DEADLINE_MS, signal, () =>
      unreachable(call, `it took longer than ${DEADLINE_MS / 1_000} s`),
    );
    const startMs = clock.monotonicMs();
    const report = (code: STSCallOutcome['code']): void => {
      const durationSeconds = (clock.monotonicMs() - startMs) / 1_000;
      this.#options.onCall?.({ cloud: 'AWS', host: call.url.host, code, durationSeconds });
    };
    try {
      const sendOptions: SendOptions = { abortSignal: limit.signal, attempt };
      const output = await this.#client(call).send(commandFor(request), sendOptions);
      const answer = toAnswer(output, attempt);
      report('OK');
      return answer;
    } catch (error) {
      const failure: unknown = limit.signal.aborted ? limit.signal.reason : toCredentialError(error, attempt);
      report(signal.aborted || !(failure instanceof CredentialError) ? 'Aborted' : failure.code);
      throw failure;
    } finally {
      limit.dispose();
    }
  }

  #client(call: AWSCall): STSClient {
    const { region } = call.exchange;
    const key = `${region} ${call.url.href}`;
    const known = this.#clients.get(key);
    if (known !== undefined) {
      return known;
    }
    const [oldest] = this.#clients.keys();
    if (oldest !== undefined && this.#clients.size >= MAX_CLIENTS) {
      this.#clients.delete(oldest);
    }
    const client = new STSClient(clientConfig(region, call.url, this.#handler()));
    // It builds a header, at a tenth of the SDK's cost, that #send does not take over.
    client.middlewareStack.remove('getUserAgentMiddleware');
    this.#clients.set(key, client);
    return client;
  }

  #handler(): NonNullable<STSClientConfig['requestHandler']> {
    return {
      handle: async (request: SDKRequest, { abortSignal, attempt }: SendOptions) => {
        try {
          return { response: await this.#send(request, abortSignal, attempt) };
        } catch (error) {
          attempt.failure = error;
          throw new Error(INSIDE_SDK);
        }
      },
    };
  }

  /** The SDK's request through the Transport: its host is judged once more, and only two headers are taken over. */
  async #send(request: SDKRequest, signal: AbortSignal, attempt: Attempt) {
    const { transport, policy, clock } = this.#options;
    const url = requestURL(request);
    assertAllowed(url, 'AWS', policy);
    const response = await transport.send({
      method: request.method,
      url,
      headers: { 'content-type': request.headers['content-type'] ?? '', 'user-agent': FIELD_MANAGER },
      body: typeof request.body === 'string' ? request.body : '',
      signal,
    });
    const head = readHead(response, attempt.call.token, clock.now());
    attempt.head = head;
    if (head.status >= 300 && head.status < 400) {
      await discard(response);
      throw redirect(attempt.call, head, response.headers['location']);
    }
    return { statusCode: head.status, headers: {}, body: await bodyOf(response) };
  }
}

/** AWS STS as a Provider. */
export function awsProvider(options: AWSProviderOptions): Provider<ResolvedAWS> {
  return new AWSProvider(options);
}

/**
 * Every setting that the SDK would otherwise look for in the environment, in ~/.aws or in the metadata service.
 * (@aws-sdk/client-sts runtimeConfig.js has the list.)
 */
function clientConfig(
  region: string,
  endpoint: URL,
  requestHandler: NonNullable<STSClientConfig['requestHandler']>,
): STSClientConfig {
  return {
    region,
    endpoint: endpoint.href,
    requestHandler,
    credentials: () => Promise.reject(new Error('web identity is not signed: no key may be looked for')),
    maxAttempts: 1,
    retryMode: 'standard',
    defaultsMode: 'standard',
    useFipsEndpoint: false,
    useDualstackEndpoint: false,
    authSchemePreference: [],
    userAgentAppId: () => Promise.resolve(undefined),
    logger: SILENT,
  };
}

const nothing = (): void => undefined;
const SILENT = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing };

function commandFor(request: ExchangeRequest<ResolvedAWS>): AssumeRoleWithWebIdentityCommand {
  const { exchange } = request;
  return new AssumeRoleWithWebIdentityCommand({
    RoleArn: exchange.roleARN,
    RoleSessionName: request.sessionName,
    WebIdentityToken: request.token,
    DurationSeconds: request.durationSeconds,
    ...(exchange.policyARNs.length > 0 ? { PolicyArns: exchange.policyARNs.map((arn) => ({ arn })) } : {}),
    ...(exchange.sessionPolicy === undefined ? {} : { Policy: exchange.sessionPolicy }),
  });
}

/** The URL of the SDK's request, with everything in it that assertAllowed refuses. */
function requestURL(request: SDKRequest): URL {
  const port = request.port === undefined ? '' : `:${request.port}`;
  const userinfo = request.username === undefined ? '' : `${encodeURIComponent(request.username)}@`;
  const query = Object.keys(request.query ?? {}).length > 0 ? '?query' : '';
  const fragment = request.fragment === undefined ? '' : '#fragment';
  return new URL(`${request.protocol}//${userinfo}${request.hostname}${port}${request.path}${query}${fragment}`);
}

function readHead(response: TransportResponse, token: string, nowMs: number): NonNullable<Attempt['head']> {
  const dateMs = Date.parse(response.headers['date'] ?? '');
  const answerDateMs = Number.isFinite(dateMs) ? dateMs : undefined;
  return {
    status: response.status,
    dateMs: answerDateMs,
    requestID: readRequestID(response.headers, token),
    retryAfterSeconds: readRetryAfter(response.headers['retry-after'], answerDateMs ?? nowMs),
  };
}

/** The body, at most 64 KiB of it. An error page that is longer is not read: its status says enough. */
async function bodyOf(response: TransportResponse): Promise<Uint8Array> {
  try {
    return await readBody(response, MAX_BODY_BYTES);
  } catch (error) {
    if (response.status >= 300 && error instanceof TransportError && error.kind === 'too-large') {
      return new Uint8Array();
    }
    throw error;
  }
}

/** Reads a body that nobody wants, so that its connection can be used again; a long or broken one is cut off. */
async function discard(response: TransportResponse): Promise<void> {
  try {
    await readBody(response, MAX_BODY_BYTES);
  } catch {
    // The status has already decided; what the body would have said does not matter.
  }
}

function toAnswer(output: AssumeRoleWithWebIdentityCommandOutput, attempt: Attempt): ExchangeAnswer {
  const { call, head } = attempt;
  const credentials = output.Credentials;
  if (credentials === undefined || head === undefined) {
    throw unusable(call, head ?? NO_HEAD, 'there are no credentials in it');
  }
  if (hasPieceOf(call.token, credentials.AccessKeyId ?? '')) {
    throw unusable(call, head, 'its access key id repeats the token');
  }
  return {
    accessKeyID: credentials.AccessKeyId,
    secretAccessKey: credentials.SecretAccessKey,
    sessionToken: credentials.SessionToken,
    expiration: credentials.Expiration,
    answerDateMs: head.dateMs,
    identity: cloudName(output.AssumedRoleUser?.Arn, call.token),
    requestID: head.requestID,
  };
}

const NO_HEAD: AnswerHead = { status: 0, requestID: undefined, retryAfterSeconds: undefined };

/** Whatever came out of the SDK, as an error of ours; nothing of the SDK's error object is kept. */
function toCredentialError(error: unknown, attempt: Attempt): CredentialError {
  const { call, head, failure } = attempt;
  if (error instanceof CredentialError) {
    return error;
  }
  if (failure instanceof CredentialError) {
    return failure;
  }
  if (failure instanceof TransportError && failure.kind === 'too-large' && head !== undefined) {
    return unusable(call, head, `the answer is longer than ${MAX_BODY_BYTES / 1024} KiB`);
  }
  if (failure instanceof TransportError) {
    return unreachable(call, failure.message);
  }
  if (head !== undefined && failure === undefined) {
    return head.status < 300 ? unusable(call, head, 'it cannot be read') : refusal(call, head, wordsOf(error));
  }
  const seen = failure ?? error;
  const kind = seen instanceof Error ? seen.name : typeof seen;
  return new CredentialError(
    'InternalError',
    `The exchange for ${call.exchange.roleARN.slice(0, 300)} at ${call.url.host} failed inside the operator (${kind}); report it with the log line.`,
  );
}

/** The cloud's own code and message in an SDK error; a body that could not be parsed has neither. */
function wordsOf(error: unknown): { code: unknown; message: unknown } {
  if (!(error instanceof Error) || !('$fault' in error)) {
    return { code: undefined, message: '' };
  }
  return { code: 'Code' in error && error.Code !== undefined ? error.Code : error.name, message: error.message };
}
