// Promises: AssumeRoleWithWebIdentity in AWS's Query protocol, by the SDK's own schema, serializer and parser, without the
// middleware around them: that call is neither signed nor retried, its endpoint is judged by us, and its middleware costs
// three times what the protocol does. The same bytes as the SDK's command: test/contract/aws-requests.test.ts compares them. May not
// send anything.
import {
  AssumeRoleWithWebIdentity$,
  type AssumeRoleWithWebIdentityCommandInput,
  type AssumeRoleWithWebIdentityCommandOutput,
  STSClient,
} from '@aws-sdk/client-sts';

/**
 * What is used of the SDK's protocol object. Its own type is a union over generations of schemas, which no call fits.
 * (@smithy/types ClientProtocol)
 */
interface Protocol {
  serializeRequest(operation: object, request: object, context: object): Promise<{ readonly body?: unknown }>;
  deserializeResponse(operation: object, context: object, response: object): Promise<unknown>;
}

const [, namespace, name, traits, input, output] = AssumeRoleWithWebIdentity$;
const OPERATION = { namespace, name, traits, input, output };
/** The serializer wants a place; the caller's own URL is what is sent to. */
const NOWHERE = { protocol: 'https:', hostname: 'nowhere.invalid', path: '/' };

/** Writes requests and reads answers. */
export class WebIdentityProtocol {
  readonly #protocol: Protocol;
  readonly #context: object;

  constructor() {
    // A client is the public way to the protocol with its codecs. Nothing is ever sent by it.
    const { config } = new STSClient({
      region: 'none',
      // Said, or the SDK reads AWS_DEFAULTS_MODE for its own HTTP handler; nonsense in it would end the process.
      defaultsMode: 'standard',
      requestHandler: { handle: () => Promise.reject(new Error('nothing is sent from here')) },
      credentials: () => Promise.reject(new Error('web identity is not signed: no key may be looked for')),
    });
    this.#protocol = config.protocol as unknown as Protocol;
    this.#context = { ...config, endpoint: () => Promise.resolve(NOWHERE) };
  }

  /** The form that is posted. It holds the token. */
  async serialize(request: AssumeRoleWithWebIdentityCommandInput): Promise<string> {
    const { body } = await this.#protocol.serializeRequest(OPERATION, request, this.#context);
    if (typeof body !== 'string') {
      throw new Error('the form is no text');
    }
    return body;
  }

  /**
   * Reads an answer.
   * @throws the SDK's error: with `$fault`, code and message for an error answer; any other for what cannot be read.
   */
  async deserialize(statusCode: number, body: Uint8Array): Promise<AssumeRoleWithWebIdentityCommandOutput> {
    const answer = await this.#protocol.deserializeResponse(OPERATION, this.#context, {
      statusCode,
      headers: {},
      body,
    });
    return answer as AssumeRoleWithWebIdentityCommandOutput;
  }
}
