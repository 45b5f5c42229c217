// Promises: ServiceAccount tokens as the real API server makes them (RS256, the same claims), the keys that verify them,
// and the answer to who a bearer is. A token ends with its ServiceAccount.
import { createHash, generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { exportJWK, jwtVerify, SignJWT } from 'jose';
import type { JWK, JWTPayload } from 'jose';
import type { ServerEnvironment } from '../http.ts';
import { fieldError, invalid, StatusError } from './status.ts';
import type { KubeObject, Store } from './store.ts';
import { boundObject } from './token-requests.ts';
import type { TokenRequestSpec } from './token-requests.ts';

/** Who sent a request. */
export interface User {
  readonly name: string;
  readonly groups: readonly string[];
  readonly uid?: string;
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

interface SigningKey {
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/** kid as Kubernetes computes it: the SHA-256 of the public key's DER form (pkg/serviceaccount/jwt.go). */
function makeKey(): SigningKey {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const der = publicKey.export({ type: 'spki', format: 'der' });
  return { kid: createHash('sha256').update(der).digest('base64url'), privateKey, publicKey };
}

interface Named {
  readonly name: string;
  readonly uid: string;
}

/** The private claims of Kubernetes' tokens. */
interface BoundClaims {
  readonly namespace?: string;
  readonly serviceaccount?: Named;
  readonly pod?: Named;
  readonly secret?: Named;
}

const TOKEN_REQUEST = { group: 'authentication.k8s.io', plural: 'tokenrequests', kind: 'TokenRequest' };
/** pkg/apis/authentication/validation: spec.expirationSeconds */
const MIN_EXPIRATION_SECONDS = 600;
const MAX_EXPIRATION_SECONDS = 2 ** 32;

/** Of a token for the API server that is bound to a pod: about an hour is asked by kubelet, a year is given, and it warns. */
const EXTENDED_SECONDS = 365 * 24 * 3600;
const WARN_AFTER_SECONDS = 3607;

export class TokenAuthority {
  readonly issuer: string;
  readonly #env: ServerEnvironment;
  readonly #store: Store;
  #keys: SigningKey[] = [makeKey()];

  constructor(issuer: string, store: Store, env: ServerEnvironment) {
    this.issuer = issuer;
    this.#store = store;
    this.#env = env;
  }

  /** Signs with a new key from now on. The old ones stay published unless `forgetOld`. */
  rotateKey(options: { readonly forgetOld?: boolean } = {}): void {
    this.#keys = [makeKey(), ...(options.forgetOld === true ? [] : this.#keys)];
  }

  async jwks(): Promise<{ keys: JWK[] }> {
    const keys = this.#keys.map(async ({ kid, publicKey }) => {
      const { n = '', e = '' } = await exportJWK(publicKey);
      return { use: 'sig', kty: 'RSA', kid, alg: 'RS256', n, e };
    });
    return { keys: await Promise.all(keys) };
  }

  openIDConfiguration(): object {
    return {
      issuer: this.issuer,
      jwks_uri: `${this.issuer}/openid/v1/jwks`,
      response_types_supported: ['id_token'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'],
    };
  }

  #nowSeconds(): number {
    return Math.floor(this.#env.clock.now() / 1000);
  }

  /** Answers a TokenRequest. @throws StatusError 400, 404, 409 or 422 */
  async request(account: KubeObject, spec: TokenRequestSpec): Promise<object> {
    const expirationSeconds = spec.expirationSeconds ?? 3600;
    const wrong = (why: string): StatusError => {
      const message = `Invalid value: ${expirationSeconds}: may not specify a duration ${why}`;
      return invalid(TOKEN_REQUEST, '', [fieldError('spec.expirationSeconds', 'FieldValueInvalid', message)]);
    };
    if (expirationSeconds < MIN_EXPIRATION_SECONDS) throw wrong('less than 10 minutes');
    if (expirationSeconds > MAX_EXPIRATION_SECONDS) throw wrong('larger than 2^32 seconds');
    const audiences = spec.audiences?.length ? spec.audiences : [this.issuer];
    const reference = spec.boundObjectRef ?? null;
    const bound = boundObject(this.#store, account, reference);
    const { name, namespace, uid } = account.metadata;
    const nowSeconds = this.#nowSeconds();
    const time = (seconds: number): string => new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
    const isLong = bound?.claim === 'pod' && expirationSeconds === WARN_AFTER_SECONDS && !spec.audiences?.length;
    const claims = {
      'kubernetes.io': {
        namespace,
        ...(bound === undefined
          ? {}
          : { [bound.claim]: { name: bound.object.metadata.name, uid: bound.object.metadata.uid } }),
        serviceaccount: { name, uid },
        ...(isLong ? { warnafter: nowSeconds + WARN_AFTER_SECONDS } : {}),
      },
    };
    const life = isLong ? EXTENDED_SECONDS : expirationSeconds;
    return {
      kind: 'TokenRequest',
      apiVersion: 'authentication.k8s.io/v1',
      metadata: { name, namespace, uid, creationTimestamp: time(nowSeconds) },
      spec: { audiences, expirationSeconds, boundObjectRef: reference },
      status: {
        token: await this.mint(account, { audiences, expirationSeconds: life, claims, nowSeconds }),
        expirationTimestamp: time(nowSeconds + expirationSeconds),
      },
    };
  }

  /** A signed token, of any life: tests also need tokens that the real server would not issue. */
  async mint(
    account: KubeObject,
    options: {
      readonly audiences: readonly string[];
      readonly expirationSeconds: number;
      readonly claims?: JWTPayload;
      /** When it is issued, where other times of the answer count from the same moment; else now. */
      readonly nowSeconds?: number;
    },
  ): Promise<string> {
    const [key] = this.#keys;
    if (key === undefined) throw new Error('there is no signing key');
    const { nowSeconds = this.#nowSeconds() } = options;
    const { name, namespace, uid } = account.metadata;
    const claims = {
      aud: [...options.audiences],
      exp: nowSeconds + options.expirationSeconds,
      iat: nowSeconds,
      iss: this.issuer,
      jti: this.#env.random.uuid(),
      'kubernetes.io': { namespace, serviceaccount: { name, uid } },
      nbf: nowSeconds,
      sub: `system:serviceaccount:${namespace}:${name}`,
      ...options.claims,
    };
    return await new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: key.kid }).sign(key.privateKey);
  }

  /** The ServiceAccount that a token stands for, or undefined when it is not (or no longer) good here. */
  async authenticate(token: string): Promise<User | undefined> {
    let claims: JWTPayload;
    try {
      const keyOf = (header: { kid?: string }): KeyObject => {
        const key = this.#keys.find(({ kid }) => kid === header.kid);
        if (key === undefined) throw new Error('unknown kid');
        return key.publicKey;
      };
      const options = { issuer: this.issuer, audience: this.issuer, currentDate: new Date(this.#env.clock.now()) };
      claims = (await jwtVerify(token, keyOf, options)).payload;
    } catch {
      return undefined;
    }
    const bound = (claims['kubernetes.io'] ?? {}) as BoundClaims;
    const uid = bound.serviceaccount?.uid ?? '';
    const uids = [uid, bound.pod?.uid, bound.secret?.uid].filter((each) => each !== undefined);
    // A token ends with its ServiceAccount, and with what else it is bound to.
    if (claims.sub === undefined || uids.some((each) => this.#store.findByUID(each) === undefined)) return undefined;
    const groups = ['system:serviceaccounts', `system:serviceaccounts:${bound.namespace}`, 'system:authenticated'];
    const ofPod =
      bound.pod === undefined
        ? {}
        : {
            'authentication.kubernetes.io/pod-name': [bound.pod.name],
            'authentication.kubernetes.io/pod-uid': [bound.pod.uid],
          };
    const extra = { 'authentication.kubernetes.io/credential-id': [`JTI=${claims.jti}`], ...ofPod };
    return { name: claims.sub, groups, uid, extra };
  }
}
