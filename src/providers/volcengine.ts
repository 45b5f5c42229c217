// Promises: Volcengine STS behind the provider port: AssumeRoleWithOIDC, and AssumeRole for the hops of a chain. No package can
// do the first, and the second is one signature more: both are written here, on our Transport. May not retry, follow a
// redirect, sign with anything but the hop before, or let the environment decide anything.
// https://www.volcengine.com/docs/6257/1494877 (AssumeRoleWithOIDC), https://www.volcengine.com/docs/6257/86374 (AssumeRole)
import type { ResolvedVolcengine, SessionTag } from '../api/resolved.ts';
import type { ExchangeAnswer } from '../credential/credentials.ts';
import { encodeParameters, type Parameters } from './canonical-request.ts';
import { volcengineEndpoint } from './endpoints.ts';
import { asObject, fieldsOf, readJSONObject, withRequestID } from './json-answer.ts';
import { grantedBy } from './granted.ts';
import type { Provider } from './provider.ts';
import { chainProvider, type CloudCalls, type HopStep, type Job, secretOf, type Step } from './role-chain.ts';
import { type ProviderOptions, runCall, sendRequest, type STSAnswer, type STSRequest } from './sts-call.ts';
import { refusal, type STSCall, unusable } from './sts-failures.ts';
import { classifyVolcengine } from './volcengine-errors.ts';
import { signVolcengine } from './volcengine-signature.ts';

const VERSION = '2018-01-01';
const FORM = 'application/x-www-form-urlencoded';
/** The gateway's; the envelope has the request id too. */
const REQUEST_ID_HEADERS = ['x-tt-logid'];

class VolcengineCalls implements CloudCalls<ResolvedVolcengine> {
  readonly cloud = 'Volcengine';
  readonly #options: ProviderOptions;

  constructor(options: ProviderOptions) {
    this.#options = options;
  }

  endpoint(exchange: ResolvedVolcengine): URL {
    return volcengineEndpoint(exchange, this.#options.policy);
  }

  /** Unsigned; the token is in the body of a form. */
  exchangeToken({ request, url, signal }: Job<ResolvedVolcengine>, step: Step): Promise<ExchangeAnswer> {
    const { exchange, token } = request;
    const call: STSCall = { cloud: this.cloud, role: step.role, url, secret: token };
    return this.#run(call, signal, () => ({
      method: 'POST',
      path: `/?${encodeParameters({ Action: 'AssumeRoleWithOIDC', Version: VERSION })}`,
      headers: { 'content-type': FORM, accept: 'application/json' },
      body: encodeParameters({ ...sessionInput(exchange, step), OIDCToken: token }),
      requestIDHeaders: REQUEST_ID_HEADERS,
    }));
  }

  /** Signed by the hop before; nothing in the query is secret. */
  assumeRole({ request, url, signal }: Job<ResolvedVolcengine>, step: HopStep): Promise<ExchangeAnswer> {
    const { exchange } = request;
    const { caller, hop } = step;
    const call: STSCall = { cloud: this.cloud, role: step.role, url, secret: secretOf(caller) };
    const query = { Action: 'AssumeRole', Version: VERSION, ...sessionInput(exchange, step), ...tagInput(hop.tags) };
    return this.#run(call, signal, () => {
      const timeMs = this.#options.clock.now();
      const { path, headers } = signVolcengine({ host: url.host, region: exchange.region, query, timeMs }, caller);
      return {
        method: 'GET',
        path,
        headers: { ...headers, accept: 'application/json' },
        requestIDHeaders: REQUEST_ID_HEADERS,
      };
    });
  }

  #run(call: STSCall, signal: AbortSignal, request: () => STSRequest): Promise<ExchangeAnswer> {
    return runCall(this.#options, call, signal, async (limit) =>
      toAnswer(call, await sendRequest(this.#options, call, request(), limit)),
    );
  }
}

/** Volcengine STS as a Provider. */
export function volcengineProvider(options: ProviderOptions): Provider<ResolvedVolcengine> {
  return chainProvider(new VolcengineCalls(options), () => options.clock.now());
}

/** What both operations take. A session policy narrows what is delivered, so it goes with the last step. */
function sessionInput({ sessionPolicy }: ResolvedVolcengine, step: Step): Parameters {
  return {
    RoleTrn: step.role,
    RoleSessionName: step.sessionName,
    DurationSeconds: String(step.durationSeconds),
    ...(step.delivered && sessionPolicy !== undefined ? { Policy: sessionPolicy } : {}),
  };
}

/** Lists as the gateway flattens them, counted from 1. */
function tagInput(tags: readonly SessionTag[]): Parameters {
  return Object.fromEntries(
    tags.flatMap(({ key, value }, index) => [
      [`Tags.${index + 1}.Key`, key],
      [`Tags.${index + 1}.Value`, value],
    ]),
  );
}

/**
 * Reads the envelope. An error may come with any status, 200 too; without an envelope it is not STS that has answered.
 * The end is `Expiration` for AssumeRoleWithOIDC and `ExpiredTime` for AssumeRole; the vendor's SDKs know both names for the
 * first. A missing one is never guessed.
 */
function toAnswer(call: STSCall, { body, ...answered }: STSAnswer): ExchangeAnswer {
  const envelope = readJSONObject(body);
  const metadata = fieldsOf(envelope?.['ResponseMetadata']);
  const head = withRequestID(answered, metadata['RequestId'], call.secret);
  const error = asObject(metadata['Error']);
  if (error !== undefined || head.status >= 300) {
    throw refusal(call, head, { code: error?.['Code'], message: error?.['Message'] }, classifyVolcengine);
  }
  if (envelope === undefined) {
    throw unusable(call, head, 'it cannot be read');
  }
  const result = fieldsOf(envelope['Result']);
  const credentials = fieldsOf(result['Credentials']);
  return grantedBy(call, head, {
    accessKeyID: credentials['AccessKeyId'],
    secretAccessKey: credentials['SecretAccessKey'],
    sessionToken: credentials['SessionToken'],
    expiration: credentials['Expiration'] ?? credentials['ExpiredTime'],
    identity: fieldsOf(result['AssumedRoleUser'])['Trn'],
  });
}
