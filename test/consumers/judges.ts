// Promises: an STS of each cloud on a loopback port, out of the sandbox, which gives out sessions for a token of an issuer of
// ours and judges every signed call that a consumer makes: key, signature, session token and the end of the session.
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import type { CryptoKey, JWK } from 'jose';
import { listen } from '../../sandbox/listener.ts';
import type { ServerRequest } from '../../sandbox/http.ts';
import { AlibabaCloudSecurityTokenService, ALIBABA_CLOUD_AUDIENCE } from '../../sandbox/sts/alibaba-cloud.ts';
import { AWS_AUDIENCE, AWSSecurityTokenService } from '../../sandbox/sts/aws.ts';
import type { CallLogEntry, SecurityTokenService, ServiceOptions } from '../../sandbox/sts/service.ts';
import { VOLCENGINE_AUDIENCE, VolcengineSecurityTokenService } from '../../sandbox/sts/volcengine.ts';
import type { ResolvedExchange } from '../../src/api/resolved.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { systemRandom } from '../../src/runtime/random.ts';

const ISSUER = 'https://issuer.example.com';
const SUBJECT = 'system:serviceaccount:shop:orders';
const ENVIRONMENT = { clock: systemClock, random: systemRandom };

/** What is asked of each cloud, and how. */
interface Dialect {
  readonly exchange: ResolvedExchange;
  readonly audience: string;
  readonly service: (options: ServiceOptions) => SecurityTokenService;
  readonly trustPolicy: object;
  readonly target: string;
  readonly form: (token: string) => Readonly<Record<string, string>>;
}

const SESSION = { RoleSessionName: 'orders', DurationSeconds: '3600' };
const AWS_ROLE = 'arn:aws:iam::123456789012:role/orders';
const ALIBABA_CLOUD_ROLE = 'acs:ram::1234567890123456:role/orders';
const ALIBABA_CLOUD_PROVIDER = 'acs:ram::1234567890123456:oidc-provider/ack-rrsa-sandbox';
const VOLCENGINE_ROLE = 'trn:iam::2100000000:role/orders';

const DIALECTS: Readonly<Record<ResolvedExchange['cloud'], Dialect>> = {
  AWS: {
    exchange: {
      cloud: 'AWS',
      roleARN: AWS_ROLE,
      region: 'eu-west-1',
      audience: AWS_AUDIENCE,
      endpointType: 'Regional',
      policyARNs: [],
      roleChain: [],
    },
    audience: AWS_AUDIENCE,
    service: (options) => new AWSSecurityTokenService(options, ENVIRONMENT),
    trustPolicy: {
      Version: '2012-10-17',
      Statement: {
        Effect: 'Allow',
        Action: 'sts:AssumeRoleWithWebIdentity',
        Principal: { Federated: 'arn:aws:iam::123456789012:oidc-provider/issuer.example.com' },
        Condition: { StringEquals: { 'issuer.example.com:sub': SUBJECT, 'issuer.example.com:aud': AWS_AUDIENCE } },
      },
    },
    target: '/',
    form: (token) => ({
      Action: 'AssumeRoleWithWebIdentity',
      Version: '2011-06-15',
      RoleArn: AWS_ROLE,
      WebIdentityToken: token,
      ...SESSION,
    }),
  },
  AlibabaCloud: {
    exchange: {
      cloud: 'AlibabaCloud',
      roleARN: ALIBABA_CLOUD_ROLE,
      oidcProviderARN: ALIBABA_CLOUD_PROVIDER,
      region: 'cn-hangzhou',
      audience: ALIBABA_CLOUD_AUDIENCE,
      network: 'Public',
      roleChain: [],
    },
    audience: ALIBABA_CLOUD_AUDIENCE,
    service: (options) => new AlibabaCloudSecurityTokenService(options, ENVIRONMENT),
    trustPolicy: {
      Version: '1',
      Statement: [
        {
          Effect: 'Allow',
          Action: 'sts:AssumeRole',
          Principal: { Federated: [ALIBABA_CLOUD_PROVIDER] },
          Condition: { StringEquals: { 'oidc:sub': SUBJECT, 'oidc:aud': ALIBABA_CLOUD_AUDIENCE, 'oidc:iss': ISSUER } },
        },
      ],
    },
    target: '/',
    form: (token) => ({
      Action: 'AssumeRoleWithOIDC',
      Version: '2015-04-01',
      Format: 'JSON',
      RoleArn: ALIBABA_CLOUD_ROLE,
      OIDCProviderArn: ALIBABA_CLOUD_PROVIDER,
      OIDCToken: token,
      Timestamp: new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
      SignatureNonce: systemRandom.uuid(),
      ...SESSION,
    }),
  },
  Volcengine: {
    exchange: {
      cloud: 'Volcengine',
      roleTRN: VOLCENGINE_ROLE,
      region: 'cn-beijing',
      audience: VOLCENGINE_AUDIENCE,
      roleChain: [],
    },
    audience: VOLCENGINE_AUDIENCE,
    service: (options) => new VolcengineSecurityTokenService(options, ENVIRONMENT),
    trustPolicy: {
      Statement: [
        {
          Effect: 'Allow',
          Action: ['sts:AssumeRoleWithOIDC'],
          Principal: { Federated: ['trn:iam::2100000000:oidc-provider/vke-sandbox'] },
          Condition: { StringEquals: { 'oidc:sub': SUBJECT, 'oidc:aud': VOLCENGINE_AUDIENCE, 'oidc:iss': ISSUER } },
        },
      ],
    },
    target: '/?Action=AssumeRoleWithOIDC&Version=2018-01-01',
    form: (token) => ({ RoleTrn: VOLCENGINE_ROLE, OIDCToken: token, ...SESSION }),
  },
};

/** A session that an STS gave out. */
export interface IssuedSession {
  readonly accessKeyID: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  readonly expirationMs: number;
}

/** One STS, for as many consumers of its cloud as wanted. */
export interface Judge {
  readonly url: string;
  readonly exchange: ResolvedExchange;
  /** Signed calls, in their order. */
  readonly calls: () => readonly CallLogEntry[];
  /** A session that ends so many seconds from now, in whole seconds. */
  issue(lifeSeconds: number): Promise<IssuedSession>;
  /** Moves the clock of the STS against the consumers'. */
  skewClock(skewMs: number): void;
  close(): Promise<void>;
}

/** Starts the STS of a cloud. */
export async function startJudge(cloud: ResolvedExchange['cloud']): Promise<Judge> {
  const { exchange, audience, service: make, trustPolicy, target, form } = DIALECTS[cloud];
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  const key: JWK = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256', use: 'sig' };
  const service = make({
    issuer: ISSUER,
    fetchJSON: async (url) => Promise.resolve(url.endsWith('/jwks') ? { keys: [key] } : { jwks_uri: `${ISSUER}/jwks` }),
  });
  const arn = exchange.cloud === 'Volcengine' ? exchange.roleTRN : exchange.roleARN;
  service.addRole({ arn, trustPolicy: trustPolicy as never, maxSessionDurationSeconds: 43_200 });
  const listener = await listen({ handler: service.handle });
  const issue = async (lifeSeconds: number): Promise<IssuedSession> => {
    service.switches.maxSessionSeconds = lifeSeconds;
    const body = new URLSearchParams(form(await newToken(privateKey, audience))).toString();
    const outcome = await service.handle(unsignedForm(target, body));
    const issued = service.issued.at(-1);
    if ('reset' in outcome || outcome.status !== 200 || issued === undefined) {
      throw new Error(`the STS of ${cloud} gave no session: ${JSON.stringify(outcome)}`);
    }
    return issued;
  };
  return {
    url: listener.url.origin,
    exchange,
    calls: () => service.calls.filter(({ action }) => action === 'GetCallerIdentity'),
    issue,
    skewClock: (skewMs) => {
      service.switches.clockSkewMs = skewMs;
    },
    close: async () => listener.close(),
  };
}

function unsignedForm(target: string, body: string): ServerRequest {
  return {
    method: 'POST',
    target,
    headers: { host: 'sts.example.com', 'content-type': 'application/x-www-form-urlencoded' },
    body: Buffer.from(body),
    signal: new AbortController().signal,
  };
}

async function newToken(privateKey: CryptoKey, audience: string): Promise<string> {
  return new SignJWT({})
    .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
    .setIssuer(ISSUER)
    .setSubject(SUBJECT)
    .setAudience(audience)
    .setIssuedAt()
    .setExpirationTime('10m')
    .sign(privateKey);
}
