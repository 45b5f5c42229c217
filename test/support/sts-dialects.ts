// Promises: how the STS of each cloud answers, written by hand from its page, and a provider whose answers a test gives call by
// call, without a socket: the exchange of the token first, then a hop. For tests that hold the same of three clouds.
import type { ResolvedExchange, RoleHop } from '../../src/api/resolved.ts';
import { acceptAnswer, type Credential } from '../../src/credential/credentials.ts';
import { cloudProvider } from '../../src/providers/clouds.ts';
import type { AnyCloud } from '../../src/providers/provider.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import type { TransportRequest, TransportResponse } from '../../src/transport/transport.ts';
import { FAKE_EPOCH_MS, FakeClock } from './fake-clock.ts';
import { FixedRandom } from './fake-random.ts';
import { RELAXED, SECRETS, TOKEN } from './sts-contract.ts';

/** The parts of a credential as an STS writes them. */
export interface WrittenCredential {
  readonly accessKeyID: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  readonly expiration: string;
}

/** A cloud's form of requests and answers. */
export interface Dialect {
  readonly exchange: ResolvedExchange;
  readonly hop: RoleHop;
  success(action: 'exchange' | 'hop', credential: WrittenCredential): string;
  error(code: string, message: string): string;
}

const COMMON = { audience: 'bed', endpoint: 'https://sts.example.internal', roleChain: [] } as const;
const hop = (role: string): RoleHop => ({ role, tags: [] });

const AWS: Dialect = {
  exchange: {
    cloud: 'AWS',
    roleARN: 'arn:aws:iam::123456789012:role/orders',
    region: 'eu-west-1',
    endpointType: 'Regional',
    policyARNs: [],
    ...COMMON,
  },
  hop: hop('arn:aws:iam::210987654321:role/last'),
  success: (action, { accessKeyID, secretAccessKey, sessionToken, expiration }) => {
    const name = action === 'exchange' ? 'AssumeRoleWithWebIdentity' : 'AssumeRole';
    return (
      `<${name}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><${name}Result><Credentials>` +
      `<AccessKeyId>${accessKeyID}</AccessKeyId><SecretAccessKey>${secretAccessKey}</SecretAccessKey>` +
      `<SessionToken>${sessionToken}</SessionToken><Expiration>${expiration}</Expiration>` +
      `</Credentials></${name}Result></${name}Response>`
    );
  },
  error: (code, message) =>
    `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error><RequestId>r</RequestId></ErrorResponse>`,
};

const ALIBABA_CLOUD: Dialect = {
  exchange: {
    cloud: 'AlibabaCloud',
    roleARN: 'acs:ram::1234567890123456:role/orders',
    oidcProviderARN: 'acs:ram::1234567890123456:oidc-provider/ack-rrsa-c1',
    region: 'cn-hangzhou',
    network: 'Public',
    ...COMMON,
  },
  hop: hop('acs:ram::6543210987654321:role/last'),
  success: (_action, { accessKeyID, secretAccessKey, sessionToken, expiration }) =>
    JSON.stringify({
      RequestId: 'r',
      Credentials: {
        AccessKeyId: accessKeyID,
        AccessKeySecret: secretAccessKey,
        SecurityToken: sessionToken,
        Expiration: expiration,
      },
    }),
  error: (code, message) => JSON.stringify({ RequestId: 'r', HostId: 'h', Code: code, Message: message }),
};

const VOLCENGINE: Dialect = {
  exchange: { cloud: 'Volcengine', roleTRN: 'trn:iam::2100000001:role/orders', region: 'cn-beijing', ...COMMON },
  hop: hop('trn:iam::2100000002:role/last'),
  success: (action, { accessKeyID, secretAccessKey, sessionToken, expiration }) =>
    JSON.stringify({
      ResponseMetadata: { RequestId: 'r' },
      Result: {
        Credentials: {
          AccessKeyId: accessKeyID,
          SecretAccessKey: secretAccessKey,
          SessionToken: sessionToken,
          // The two operations name it differently.
          [action === 'exchange' ? 'Expiration' : 'ExpiredTime']: expiration,
        },
      },
    }),
  error: (code, message) =>
    JSON.stringify({ ResponseMetadata: { RequestId: 'r', Error: { CodeN: 1, Code: code, Message: message } } }),
};

/** The three. */
export const DIALECTS: readonly Dialect[] = [AWS, ALIBABA_CLOUD, VOLCENGINE];

/** Who is asked: the STS for the token's exchange alone, or once more for a hop after it. */
export const PLACES = ['the exchange of the token', 'a hop'] as const;

/** What signs the hop: keys whose form betrays nothing, so that only who knows them can keep them out of a sentence. */
export const SIGNING = {
  secretAccessKey: 'lettersofakeythatlooklikeaword',
  sessionToken: 'sessiontokenwithoutanydigitinit',
} as const;

/** What the STS gives at each call. */
export const GIVEN: Readonly<Record<'exchange' | 'hop', Omit<WrittenCredential, 'expiration'>>> = {
  exchange: {
    accessKeyID: 'AKIDOfTheExchange',
    ...SIGNING,
  },
  hop: {
    accessKeyID: 'AKIDOfTheHop',
    secretAccessKey: SECRETS.hopSecretAccessKey,
    sessionToken: SECRETS.hopSessionToken,
  },
};

/** An answer, or the failure of a transport. */
export type Answering = (request: TransportRequest) => Promise<Partial<TransportResponse> | undefined>;

/** A body in one piece. */
export async function* bodyOf(text: string): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(Buffer.from(text));
}

/** An RFC 3339 time so many seconds after the fake clock's beginning, as all three clouds write it. */
export function after(seconds: number): string {
  return new Date(FAKE_EPOCH_MS + seconds * 1000).toISOString().replace('.000Z', 'Z');
}

/** What the run of one exchange may set. */
export interface Run {
  readonly clock?: Clock;
  readonly clockOffsetMs?: () => number;
}

/**
 * One hour asked for at a place of a cloud, where the STS answers so; what comes before it is answered well.
 * Judged as the operator judges it.
 */
export async function askAt(
  dialect: Dialect,
  place: (typeof PLACES)[number],
  answering: Answering,
  run: Run = {},
): Promise<{ readonly credential: Credential; readonly requests: readonly TransportRequest[] }> {
  const { clock = new FakeClock(), clockOffsetMs } = run;
  const requests: TransportRequest[] = [];
  const isHop = place === 'a hop';
  const send = async (request: TransportRequest): Promise<TransportResponse> => {
    requests.push(request);
    const good = { status: 200, headers: { date: new Date(FAKE_EPOCH_MS).toUTCString() } };
    if (isHop && requests.length === 1) {
      const passing = { ...GIVEN.exchange, expiration: after(900) };
      return { ...good, body: bodyOf(dialect.success('exchange', passing)) };
    }
    return { ...good, body: bodyOf(''), ...(await answering(request)) };
  };
  const provider: AnyCloud = cloudProvider({
    transport: { send, close: () => Promise.resolve() },
    policy: {
      entries: [{ cloud: dialect.exchange.cloud, host: 'sts.example.internal', scheme: 'https', audiences: ['bed'] }],
      apiServerAudiences: [],
    },
    clock,
    random: new FixedRandom(),
    ...(clockOffsetMs === undefined ? {} : { clockOffsetMs }),
  });
  const exchange = isHop ? { ...dialect.exchange, roleChain: [dialect.hop] } : dialect.exchange;
  const request = { exchange, durationSeconds: 3600, sessionName: 'shop.orders.orders', token: TOKEN };
  const answer = await provider.exchange(request, RELAXED);
  return { credential: acceptAnswer(answer, 3600, FAKE_EPOCH_MS), requests };
}
