// Promises: Alibaba Cloud STS behind the provider port: AssumeRoleWithOIDC, and AssumeRole for the hops of a chain, with the
// request models of Alibaba Cloud's SDK and without its client, which would put the token into a URL: bytes go through our
// Transport only, the token in the body of a form. May not retry, follow a redirect, sign with anything but the hop before,
// or let the environment decide anything.
import { AssumeRoleRequest, AssumeRoleWithOIDCRequest } from '@alicloud/sts20150401';
import type { ResolvedAlibabaCloud } from '../api/resolved.ts';
import type { ExchangeAnswer } from '../credential/credentials.ts';
import { formatTime } from '../credential/record.ts';
import type { Random } from '../runtime/random.ts';
import { classifyAlibabaCloud, readAlibabaCloudWait } from './alibaba-cloud-errors.ts';
import { signACS3 } from './alibaba-cloud-signature.ts';
import { encodeParameters, type Parameters } from './canonical-request.ts';
import { alibabaCloudEndpoint } from './endpoints.ts';
import { fieldsOf, readJSONObject, withRequestID } from './json-answer.ts';
import { grantedBy } from './granted.ts';
import type { Provider } from './provider.ts';
import { chainProvider, type CloudCalls, type HopStep, type Job, secretOf, type Step } from './role-chain.ts';
import { type ProviderOptions, runCall, sendRequest, type STSAnswer, type STSRequest } from './sts-call.ts';
import { refusal, type STSCall, unusable } from './sts-failures.ts';

/** What Alibaba Cloud's provider is made of; its requests carry nonces. */
export interface AlibabaCloudOptions extends ProviderOptions {
  readonly random: Pick<Random, 'uuid'>;
}

/** As the SDK's client names it (client.js). */
const VERSION = '2015-04-01';
const FORM = 'application/x-www-form-urlencoded';
/** The body has the request id too. */
const REQUEST_ID_HEADERS = ['x-acs-request-id'];

class AlibabaCloudCalls implements CloudCalls<ResolvedAlibabaCloud> {
  readonly cloud = 'AlibabaCloud';
  readonly #options: AlibabaCloudOptions;

  constructor(options: AlibabaCloudOptions) {
    this.#options = options;
  }

  endpoint(exchange: ResolvedAlibabaCloud): URL {
    return alibabaCloudEndpoint(exchange, this.#options.policy);
  }

  /**
   * Unsigned. The parameters are in the body of a form, where the token belongs; what is in the URL says nothing. So do
   * Alibaba Cloud's own credential tools (credentials-go providers/oidc.go); the SDK's client does not.
   */
  exchangeToken({ request, url, signal }: Job<ResolvedAlibabaCloud>, step: Step): Promise<ExchangeAnswer> {
    const { exchange, token } = request;
    const call: STSCall = { cloud: this.cloud, role: step.role, url, secret: token };
    const input = new AssumeRoleWithOIDCRequest({
      ...sessionInput(exchange, step),
      OIDCProviderArn: exchange.oidcProviderARN,
      OIDCToken: token,
    });
    const action = 'AssumeRoleWithOIDC';
    return this.#run(call, signal, () => {
      const query = {
        Action: action,
        Format: 'json',
        Version: VERSION,
        Timestamp: formatTime(this.#options.clock.now()),
        SignatureNonce: this.#options.random.uuid(),
      };
      return {
        path: `/?${encodeParameters(query)}`,
        headers: { 'content-type': FORM, 'x-acs-action': action, 'x-acs-version': VERSION },
        body: encodeParameters(wireParameters(input)),
      };
    });
  }

  /** Signed by the hop before. The parameters are in the query, as the SDK's client has them; none of them is secret. */
  assumeRole({ request, url, signal }: Job<ResolvedAlibabaCloud>, step: HopStep): Promise<ExchangeAnswer> {
    const { caller, hop } = step;
    const { clock, random } = this.#options;
    const call: STSCall = { cloud: this.cloud, role: step.role, url, secret: secretOf(caller) };
    const input = new AssumeRoleRequest({
      ...sessionInput(request.exchange, step),
      ...(hop.externalID === undefined ? {} : { externalId: hop.externalID }),
    });
    return this.#run(call, signal, () => {
      const signed = signACS3(
        {
          host: url.host,
          action: 'AssumeRole',
          version: VERSION,
          query: wireParameters(input),
          timeMs: clock.now(),
          nonce: random.uuid(),
        },
        caller,
      );
      return { ...signed, body: '' };
    });
  }

  #run(call: STSCall, signal: AbortSignal, make: () => WireRequest): Promise<ExchangeAnswer> {
    return runCall(this.#options, call, signal, async (limit) => {
      const { path, headers, body } = make();
      const request: STSRequest = {
        method: 'POST',
        path,
        headers: { ...headers, accept: 'application/json' },
        body,
        requestIDHeaders: REQUEST_ID_HEADERS,
        retryAfterSeconds: readAlibabaCloudWait,
      };
      return toAnswer(call, await sendRequest(this.#options, call, request, limit));
    });
  }
}

type WireRequest = Required<Pick<STSRequest, 'path' | 'headers' | 'body'>>;

/** Alibaba Cloud STS as a Provider. */
export function alibabaCloudProvider(options: AlibabaCloudOptions): Provider<ResolvedAlibabaCloud> {
  return chainProvider(new AlibabaCloudCalls(options), () => options.clock.now());
}

/** What both operations take. A session policy narrows what is delivered, so it goes with the last step. */
function sessionInput({ sessionPolicy }: ResolvedAlibabaCloud, step: Step) {
  return {
    roleArn: step.role,
    roleSessionName: step.sessionName,
    durationSeconds: step.durationSeconds,
    ...(step.delivered && sessionPolicy !== undefined ? { policy: sessionPolicy } : {}),
  };
}

/** What is set in a request of the SDK, by the names of the wire. */
function wireParameters(input: AssumeRoleRequest | AssumeRoleWithOIDCRequest): Parameters {
  const fields: readonly (readonly [string, unknown])[] = Object.entries(input.toMap());
  return Object.fromEntries(
    fields.filter(([, value]) => value !== undefined && value !== null).map(([name, value]) => [name, String(value)]),
  );
}

function toAnswer(call: STSCall, { body, ...answered }: STSAnswer): ExchangeAnswer {
  const answer = readJSONObject(body);
  const head = withRequestID(answered, answer?.['RequestId'], call.secret);
  if (head.status >= 300) {
    throw refusal(call, head, { code: answer?.['Code'], message: answer?.['Message'] }, classifyAlibabaCloud);
  }
  if (answer === undefined) {
    throw unusable(call, head, 'it cannot be read');
  }
  const credentials = fieldsOf(answer['Credentials']);
  return grantedBy(call, head, {
    accessKeyID: credentials['AccessKeyId'],
    secretAccessKey: credentials['AccessKeySecret'],
    sessionToken: credentials['SecurityToken'],
    expiration: credentials['Expiration'],
    identity: fieldsOf(answer['AssumedRoleUser'])['Arn'],
  });
}
