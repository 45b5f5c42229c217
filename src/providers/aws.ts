// Promises: AWS STS behind the provider port: AssumeRoleWithWebIdentity, and AssumeRole for the hops of a chain, through
// the AWS SDK, whose bytes go through our Transport only and whose settings all come from here. May not retry, follow a
// redirect, sign with anything but the hop before, or let an environment variable or a file of the machine decide
// anything.
import {
  AssumeRoleCommand,
  type AssumeRoleWithWebIdentityCommandOutput,
  STSClient,
  type STSClientConfig,
} from '@aws-sdk/client-sts';
import type { ResolvedAWS, SessionTag } from '../api/resolved.ts';
import type { ExchangeAnswer, SigningKeys } from '../credential/credentials.ts';
import { CredentialError } from '../credential/errors.ts';
import { TransportError } from '../transport/transport.ts';
import { classifyAWS } from './aws-errors.ts';
import { WebIdentityProtocol } from './aws-web-identity.ts';
import { awsEndpoint } from './endpoints.ts';
import { grantedBy } from './granted.ts';
import type { Provider } from './provider.ts';
import { chainProvider, type CloudCalls, type HopStep, type Job, secretOf, type Step } from './role-chain.ts';
import { type ProviderOptions, runCall, sendRequest, type STSAnswer, type STSRequest } from './sts-call.ts';
import { internalFailure, refusal, type STSCall, unusable } from './sts-failures.ts';

/** https://docs.aws.amazon.com/AmazonS3/latest/API/RESTCommonResponseHeaders.html names the second, which S3-like servers send. */
const REQUEST_ID_HEADERS = ['x-amzn-requestid', 'x-amz-request-id'];
/** What of the SDK's own headers is taken over: the form, and what a signature consists of. */
const TAKEN_HEADERS = ['content-type', 'authorization', 'x-amz-date', 'x-amz-security-token', 'x-amz-content-sha256'];
/** Of the SDK's middleware, what this provider does itself or does not want: nothing is retried, no header of it is sent. */
const UNWANTED_MIDDLEWARE = [
  'loggerMiddleware',
  'contentLengthMiddleware',
  'getUserAgentMiddleware',
  'recursionDetectionMiddleware',
  'retryMiddleware',
];

/** Thrown inside the SDK, which adds to what passes through it; the real error waits in the attempt. */
const INSIDE_SDK = 'the request was not completed';

/** What one call leaves behind on its way through the SDK. */
interface Attempt {
  readonly call: STSCall;
  readonly signal: AbortSignal;
  head?: Omit<STSAnswer, 'body'>;
  /** What went wrong below the SDK. */
  failure?: unknown;
}

/** The part of the SDK's HttpRequest that is used. Where it goes is not asked: that was judged before. */
interface SDKRequest {
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** The fields of an answer that both operations have. */
type Granted = Pick<AssumeRoleWithWebIdentityCommandOutput, 'Credentials' | 'AssumedRoleUser'>;

class AWSCalls implements CloudCalls<ResolvedAWS> {
  readonly cloud = 'AWS';
  readonly #options: ProviderOptions;
  readonly #protocol = new WebIdentityProtocol();

  constructor(options: ProviderOptions) {
    this.#options = options;
  }

  endpoint(exchange: ResolvedAWS): URL {
    return awsEndpoint(exchange, this.#options.policy);
  }

  exchangeToken({ request, url, signal }: Job<ResolvedAWS>, step: Step): Promise<ExchangeAnswer> {
    const { exchange, token } = request;
    const call: STSCall = { cloud: 'AWS', role: step.role, url, secret: token };
    const input = { ...sessionInput(exchange, step), WebIdentityToken: token };
    return runCall(this.#options, call, signal, async (limit) => {
      const attempt: Attempt = { call, signal: limit };
      try {
        const form = await this.#protocol.serialize(input);
        const { body, ...head } = await sendRequest(this.#options, call, formRequest(form), limit);
        attempt.head = head;
        return toAnswer(await this.#protocol.deserialize(head.status, body), attempt);
      } catch (error) {
        throw toFailure(error, attempt);
      }
    });
  }

  /** An SDK client of its own: it holds this hop's keys, and goes with the call. */
  assumeRole({ request, url, signal }: Job<ResolvedAWS>, step: HopStep): Promise<ExchangeAnswer> {
    const { exchange } = request;
    const call: STSCall = { cloud: 'AWS', role: step.role, url, secret: secretOf(step.caller) };
    return runCall(this.#options, call, signal, async (limit) => {
      const attempt: Attempt = { call, signal: limit };
      const client = this.#signingClient(exchange.region, step.caller, attempt);
      try {
        const input = { ...sessionInput(exchange, step), ...hopInput(step) };
        return toAnswer(await client.send(new AssumeRoleCommand(input)), attempt);
      } catch (error) {
        throw toFailure(error, attempt);
      }
    });
  }

  #signingClient(region: string, caller: SigningKeys, attempt: Attempt): STSClient {
    const client = new STSClient({
      ...clientConfig(region, attempt.call.url),
      credentials: {
        accessKeyId: caller.accessKeyID,
        secretAccessKey: caller.secretAccessKey.reveal(),
        sessionToken: caller.sessionToken.reveal(),
      },
      systemClockOffset: this.#options.clockOffsetMs?.() ?? 0,
    });
    for (const name of UNWANTED_MIDDLEWARE) {
      client.middlewareStack.remove(name);
    }
    // The signature's place is told by this name; nothing is retried here.
    client.middlewareStack.add((next) => next, { step: 'finalizeRequest', priority: 'high', name: 'retryMiddleware' });
    // Innermost: nothing of the SDK comes between it and the wire.
    client.middlewareStack.add(
      () => async (args) => ({ response: await this.#send(args.request as SDKRequest, attempt) }) as never,
      { step: 'deserialize', priority: 'low', name: 'transportMiddleware' },
    );
    return client;
  }

  /** The SDK's request through the Transport, to the call's own URL, with no other headers than those named above. */
  async #send(request: SDKRequest, attempt: Attempt) {
    try {
      const { body, ...head } = await sendRequest(this.#options, attempt.call, wireRequest(request), attempt.signal);
      attempt.head = head;
      return { statusCode: head.status, headers: {}, body };
    } catch (error) {
      attempt.failure = error;
      throw new Error(INSIDE_SDK);
    }
  }
}

/** AWS STS as a Provider. */
export function awsProvider(options: ProviderOptions): Provider<ResolvedAWS> {
  return chainProvider(new AWSCalls(options), () => options.clock.now());
}

/**
 * Every setting that the SDK would otherwise look for in the environment, in ~/.aws or in the metadata service.
 * (@aws-sdk/client-sts runtimeConfig.js has the list.)
 */
function clientConfig(region: string, endpoint: URL): STSClientConfig {
  return {
    region,
    endpoint: endpoint.href,
    // Never asked: the innermost middleware answers before it.
    requestHandler: { handle: () => Promise.reject(new Error(INSIDE_SDK)) },
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

/** What both operations take. Policies narrow what is delivered, so they go with the last step. */
function sessionInput(exchange: ResolvedAWS, step: Step) {
  const { policyARNs, sessionPolicy } = exchange;
  return {
    RoleArn: step.role,
    RoleSessionName: step.sessionName,
    DurationSeconds: step.durationSeconds,
    ...(step.delivered && policyARNs.length > 0 ? { PolicyArns: policyARNs.map((arn) => ({ arn })) } : {}),
    ...(step.delivered && sessionPolicy !== undefined ? { Policy: sessionPolicy } : {}),
  };
}

function hopInput({ hop }: HopStep) {
  const transitive = hop.tags.filter((tag) => tag.transitive === true);
  return {
    ...(hop.externalID === undefined ? {} : { ExternalId: hop.externalID }),
    ...(hop.tags.length > 0
      ? { Tags: hop.tags.map(({ key, value }: SessionTag) => ({ Key: key, Value: value })) }
      : {}),
    ...(transitive.length > 0 ? { TransitiveTagKeys: transitive.map(({ key }) => key) } : {}),
  };
}

/** The unsigned request: what the SDK would send, without the headers that it adds for itself. */
function formRequest(body: string): STSRequest {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  return { method: 'POST', headers, body, requestIDHeaders: REQUEST_ID_HEADERS };
}

function wireRequest(request: SDKRequest): STSRequest {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (TAKEN_HEADERS.includes(name.toLowerCase())) {
      headers[name.toLowerCase()] = value;
    }
  }
  const body = typeof request.body === 'string' ? request.body : '';
  return { method: 'POST', headers, body, requestIDHeaders: REQUEST_ID_HEADERS };
}

function toAnswer({ Credentials, AssumedRoleUser }: Granted, { call, head }: Attempt): ExchangeAnswer {
  if (head === undefined) {
    throw new Error(INSIDE_SDK);
  }
  return grantedBy(call, head, {
    accessKeyID: Credentials?.AccessKeyId,
    secretAccessKey: Credentials?.SecretAccessKey,
    sessionToken: Credentials?.SessionToken,
    expiration: Credentials?.Expiration,
    identity: AssumedRoleUser?.Arn,
  });
}

/** Whatever came out of the SDK, as an error of ours; nothing of the SDK's error object is kept. */
function toFailure(error: unknown, { call, head, failure }: Attempt): unknown {
  if (error instanceof CredentialError || error instanceof TransportError) {
    return error;
  }
  if (failure !== undefined) {
    return failure;
  }
  if (head === undefined) {
    return internalFailure(call, error);
  }
  return head.status < 300
    ? unusable(call, head, 'it cannot be read')
    : refusal(call, head, wordsOf(error), classifyAWS);
}

/** The cloud's own code and message in an SDK error; a body that could not be parsed has neither. */
function wordsOf(error: unknown): { code: unknown; message: unknown } {
  if (!(error instanceof Error) || !('$fault' in error)) {
    return { code: undefined, message: '' };
  }
  return { code: 'Code' in error && error.Code !== undefined ? error.Code : error.name, message: error.message };
}
