// Promises: what the contract tests of a cloud's STS share: a loopback STS whose every answer the test writes, a walk that
// finds secrets in an error, and the hostile servers that no provider may fall for. Knows no cloud's protocol.
import assert from 'node:assert/strict';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, describe, test } from 'node:test';
import type { Cloud } from '../../src/api/names.ts';
import type { ResolvedExchange } from '../../src/api/resolved.ts';
import { acceptAnswer } from '../../src/credential/credentials.ts';
import { CredentialError, type ErrorCode } from '../../src/credential/errors.ts';
import type { EndpointPolicy } from '../../src/providers/endpoints.ts';
import type { ExchangeRequest, Provider } from '../../src/providers/provider.ts';
import type { ProviderOptions, STSCallOutcome } from '../../src/providers/sts-call.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import type { Transport } from '../../src/transport/transport.ts';
import { undiciTransport } from '../../src/transport/undici.ts';
import { FakeClock } from './fake-clock.ts';

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** The token that the contract tests exchange. */
export const TOKEN = [
  part({ alg: 'RS256', kid: 'key-1' }),
  part({ iss: 'https://issuer.example', sub: 'system:serviceaccount:shop:orders', aud: ['bed'], exp: 1 }),
  'Sg9naTuRe0fTheT0kenThatMustNotBeSeenAnywhereAtAll_-AbCdEfGh123',
].join('.');

/** The secret parts that the loopback STS gives out: of the token's exchange, and of a hop. */
export const SECRETS = {
  secretAccessKey: 'wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY012345',
  sessionToken: 'SESSIONtokenOfTheTestWithManyCharacters0123456789',
  hopSecretAccessKey: 'hOpSecretKeyEXAMPLE0123456789abcdefABCDEF',
  hopSessionToken: 'HOPsessionTokenOfTheTestWithManyCharacters012345',
} as const;

/** Never aborted. */
export const RELAXED = new AbortController().signal;

/** Walks everything that can be reached from an error, hidden fields, symbols, prototypes' getters and causes included. */
export function assertNothingSecret(root: unknown, secrets: readonly string[] = Object.values(SECRETS)): void {
  const seen = new Set<unknown>();
  const pieces = [TOKEN, ...TOKEN.split('.'), TOKEN.slice(100, 130), ...secrets];
  const visit = (value: unknown): void => {
    if (typeof value === 'string') {
      for (const piece of pieces) assert.ok(!value.includes(piece), `a secret is in: ${value.slice(0, 200)}`);
      return;
    }
    if (typeof value !== 'object' || value === null || seen.has(value)) return;
    seen.add(value);
    if (value instanceof Uint8Array) visit(Buffer.from(value).toString('latin1'));
    for (const key of Reflect.ownKeys(value)) {
      visit(key);
      visit(Reflect.get(value, key));
    }
  };
  visit(root);
  assert.ok(seen.size > 0);
}

/** The CredentialError that a run ends with; nothing secret is in it. */
export async function failureOf(run: Promise<unknown>): Promise<CredentialError> {
  try {
    await run;
  } catch (error) {
    assert.ok(error instanceof CredentialError, String(error));
    assertNothingSecret(error);
    return error;
  }
  return assert.fail('the exchange succeeded');
}

/** One request as the loopback STS saw it. */
export interface SeenRequest {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A running loopback STS. */
export interface STSBed {
  readonly requests: readonly SeenRequest[];
  readonly host: string;
  policy(cloud: Cloud): EndpointPolicy;
}

/** Runs with an STS on a loopback address; `answer` gets the request and how many came before it. */
export async function withSTS(
  answer: (response: ServerResponse, request: SeenRequest, index: number) => void,
  run: (bed: STSBed) => Promise<void>,
): Promise<void> {
  const requests: SeenRequest[] = [];
  const server = createServer((message, response) => {
    let body = '';
    message.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    message.on('end', () => {
      const request = { method: message.method ?? '', target: message.url ?? '', headers: message.headers, body };
      requests.push(request);
      answer(response, request, requests.length - 1);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const policy = (cloud: Cloud): EndpointPolicy => ({
    entries: [{ cloud, host, scheme: 'http', audiences: ['bed'] }],
    apiServerAudiences: [],
  });
  try {
    await run({ requests, host, policy });
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** A cloud, as its contract test describes it. */
export interface CloudContract<E extends ResolvedExchange> {
  /** With the audience `bed`. */
  readonly exchange: E;
  make(options: ProviderOptions): Provider<E>;
  /** The body of a good answer to the exchange of the token, or the given credentials in its place. */
  success(credentials?: object): string;
  error(code: string, message: string): string;
  /** An answer in the cloud's own form without a result. */
  readonly empty: string;
}

/** A provider on real sockets, and what it takes to call it; `close` when the suite is over. */
export function contractOf<E extends ResolvedExchange>(contract: CloudContract<E>) {
  const transport: Transport = undiciTransport({ connections: 4, tls: {}, connectTimeoutMs: 5_000 });
  const { exchange } = contract;
  const request = (host: string, over: Partial<E> = {}): ExchangeRequest<E> => ({
    exchange: { ...exchange, endpoint: `http://${host}`, ...over },
    durationSeconds: 3600,
    sessionName: 'shop.orders.orders',
    token: TOKEN,
  });
  const provider = (bed: STSBed, over: Partial<ProviderOptions> = {}): Provider<E> =>
    contract.make({ transport, policy: bed.policy(exchange.cloud), clock: systemClock, ...over });
  return {
    request,
    provider,
    close: () => transport.close(),
    /** What one exchange fails with when the STS answers so. */
    failure: async (
      status: number,
      body: string,
      headers: Record<string, string> = {},
      over: Partial<ProviderOptions> = {},
    ): Promise<CredentialError> => {
      let error: CredentialError | undefined;
      await withSTS(
        (response) => response.writeHead(status, headers).end(body),
        async (bed) => {
          error = await failureOf(provider(bed, over).exchange(request(bed.host), RELAXED));
          assert.equal(bed.requests.length, 1);
        },
      );
      assert.ok(error !== undefined);
      return error;
    },
  };
}

/** One row of an error table. */
export type ErrorRow = readonly [status: number, code: string, message: string, register: ErrorCode];

/** Every code lands where the register says, told with the cloud's own words, and counted once. */
export function errorTable<E extends ResolvedExchange>(contract: CloudContract<E>, rows: readonly ErrorRow[]): void {
  const bed = contractOf(contract);
  describe('errors', () => {
    after(bed.close);
    for (const [status, code, message, register] of rows) {
      test(`${status} ${code} "${message}" becomes ${register}`, async () => {
        const outcomes: STSCallOutcome[] = [];
        const onCall = (outcome: STSCallOutcome): void => void outcomes.push(outcome);
        const error = await bed.failure(status, contract.error(code, message), {}, { onCall });
        assert.equal(error.code, register);
        assert.equal(error.cloudCode, code);
        assert.equal(error.requestID, 'request-in-the-body');
        for (const shown of [code, message, '127.0.0.1:']) {
          assert.ok(error.message.includes(shown), `${shown} is not in: ${error.message}`);
        }
        assert.match(error.message, /; [a-z].+\.$/);
        assert.deepEqual(
          outcomes.map((outcome) => [outcome.cloud, outcome.code]),
          [[contract.exchange.cloud, register]],
        );
      });
    }
  });
}

/** What whoever sits at the address of an STS may do, and what becomes of it: the same for every cloud. */
export function hostileAnswers<E extends ResolvedExchange>(contract: CloudContract<E>): void {
  const { request, provider, failure, close } = contractOf(contract);
  const { cloud } = contract.exchange;

  describe('hostile answers', () => {
    after(close);

    test('the walk over an error finds a secret wherever it hides', () => {
      const hidden = new Error('clean');
      Object.defineProperty(hidden, '$response', { value: { body: Buffer.from(`x${TOKEN}x`) }, enumerable: false });
      assert.throws(() => assertNothingSecret(new Error('clean', { cause: hidden })), /a secret is in/);
    });

    for (const status of [301, 302, 303, 307, 308]) {
      test(`a ${status} redirect is refused and its target gets no byte`, async () => {
        await withSTS(
          (response) => response.end('elsewhere'),
          async (elsewhere) => {
            const location = `http://${elsewhere.host}/?t=${TOKEN}`;
            const error = await failure(status, '', { location });
            assert.equal(error.code, 'RedirectRefused');
            assert.ok(error.message.includes(elsewhere.host), error.message);
            assert.equal(elsewhere.requests.length, 0);
          },
        );
      });
    }

    for (const [status, register] of [
      [200, 'InvalidResponse'],
      [400, 'STSUnavailable'],
      [500, 'STSUnavailable'],
    ] as const) {
      test(`${status} with 50 MB ends early and is ${register}`, async () => {
        const total = 50 * 1024 * 1024;
        let written = 0;
        const gone = Promise.withResolvers<void>();
        await withSTS(
          (response) => {
            response.on('close', gone.resolve);
            const chunk = Buffer.alloc(65_536, 'x');
            const pour = (): void => {
              while (written < total && !response.destroyed) {
                written += chunk.length;
                if (!response.write(chunk)) return;
              }
              response.end();
            };
            response.writeHead(status, { 'content-length': String(total) });
            response.on('drain', pour);
            pour();
          },
          async (bed) => {
            const error = await failureOf(provider(bed).exchange(request(bed.host), RELAXED));
            assert.equal(error.code, register);
            await gone.promise;
            assert.ok(written < total, 'the whole body was taken');
          },
        );
      });
    }

    for (const [what, answer] of [
      ['before the answer', (response: ServerResponse) => void response.destroy()],
      ['by a reset', (response: ServerResponse) => void response.socket?.resetAndDestroy()],
      [
        'inside the answer',
        (response: ServerResponse) => {
          response.writeHead(200, { 'content-length': '5000' });
          response.write(contract.success().slice(0, 200), () => response.destroy());
        },
      ],
    ] as const) {
      test(`a connection closed ${what} is STSUnavailable, after one attempt`, async () => {
        await withSTS(answer, async (bed) => {
          const error = await failureOf(provider(bed).exchange(request(bed.host), RELAXED));
          assert.equal(error.code, 'STSUnavailable');
          assert.match(error.message, /gave no answer/);
          assert.equal(bed.requests.length, 1);
        });
      });
    }

    test('a port where nobody listens is STSUnavailable', async () => {
      let closed: STSBed | undefined;
      await withSTS(
        () => undefined,
        async (bed) => {
          closed = await Promise.resolve(bed);
        },
      );
      assert.ok(closed !== undefined);
      const error = await failureOf(provider(closed).exchange(request(closed.host), RELAXED));
      assert.equal(error.code, 'STSUnavailable');
      assert.match(error.message, /ECONNREFUSED/);
    });

    for (const [what, drip] of [
      ['says nothing', false],
      ['drips its answer', true],
    ] as const) {
      test(`a server that ${what} is given up after 10 seconds`, async () => {
        const clock = new FakeClock();
        const arrived = Promise.withResolvers<void>();
        const gone = Promise.withResolvers<void>();
        await withSTS(
          (response) => {
            response.on('close', gone.resolve);
            if (drip) {
              response.writeHead(200);
              response.write('{');
            }
            arrived.resolve();
          },
          async (bed) => {
            const outcomes: STSCallOutcome[] = [];
            const onCall = (outcome: STSCallOutcome): void => void outcomes.push(outcome);
            const running = failureOf(provider(bed, { clock, onCall }).exchange(request(bed.host), RELAXED));
            await arrived.promise;
            await clock.advance(9_999);
            assert.equal(outcomes.length, 0);
            await clock.advance(1);
            const error = await running;
            assert.equal(error.code, 'STSUnavailable');
            assert.match(error.message, /longer than 10 s/);
            assert.equal(outcomes[0]?.durationSeconds, 10);
            await gone.promise;
            assert.equal(clock.waiters(), 0);
          },
        );
      });
    }

    test("an abort ends the exchange with the caller's own reason", async () => {
      const controller = new AbortController();
      const reason = new Error('the lease is lost');
      await withSTS(
        () => controller.abort(reason),
        async (bed) => {
          const outcomes: STSCallOutcome[] = [];
          const aborting = provider(bed, { onCall: (outcome) => outcomes.push(outcome) });
          for (let run = 0; run < 2; run += 1) {
            await assert.rejects(aborting.exchange(request(bed.host), controller.signal), (error) => error === reason);
          }
          assert.equal(outcomes[0]?.code, 'Aborted');
          assert.equal(bed.requests.length, 1);
        },
      );
    });

    const PAYLOAD = TOKEN.split('.')[1] ?? '';
    for (const [what, body] of [
      ['the whole token', contract.error('Some.Code', `the token ${TOKEN} is bad`)],
      ['the token as its code', contract.error(TOKEN, 'bad')],
      ['a piece of the token as its code', contract.error(`A${PAYLOAD.slice(3, 43)}`, 'bad')],
      ['a piece of the token', contract.error('Some.Code', `near ${TOKEN.slice(100, 130)} here`)],
      ['the payload alone', contract.error('Some.Code', `claims ${PAYLOAD}`)],
      ['the token encoded once more', contract.error('Some.Code', Buffer.from(TOKEN).toString('base64'))],
      ['a secret key', contract.error('Some.Code', `key ${SECRETS.secretAccessKey} !`)],
      ['the token at the place where it is cut', contract.error('Some.Code', `${'word '.repeat(816)}${TOKEN}`)],
      ['a hostile line', contract.error('Some.Code', `a\nb\u001b[31m "c" ${'long words '.repeat(200)}`)],
    ] as const) {
      test(`an error that repeats ${what} is told without it, in one line`, async () => {
        const error = await failure(400, body);
        assert.match(error.message, /^STS at 127\.0\.0\.1/);
        assert.ok(error.message.length < 1024);
        assert.ok(!/[^\x20-\x7e]/.test(error.message));
        assert.ok(!error.message.includes(Buffer.from(TOKEN).toString('base64').slice(0, 60)));
      });
    }

    for (const [status, body, register] of [
      [403, '<html><body>Forbidden by proxy</body></html>', 'STSUnavailable'],
      [400, '', 'STSUnavailable'],
      [400, '[]', 'STSUnavailable'],
      [400, contract.error('Some.Code', 'cut').slice(0, 30), 'STSUnavailable'],
      [502, '<html><br>Bad Gateway', 'STSUnavailable'],
      [429, '', 'STSThrottled'],
    ] as const) {
      test(`${status} with ${JSON.stringify(body.slice(0, 24))}, which no STS says, is ${register}`, async () => {
        const error = await failure(status, body);
        assert.equal(error.code, register);
        assert.match(error.message, new RegExp(`HTTP ${status}`));
      });
    }

    for (const [what, body] of [
      ['an empty body', ''],
      ['{}', '{}'],
      ['null', 'null'],
      ['a list', '[1]'],
      ['a text', '"credentials"'],
      ['HTML', '<html><head><title>Sign in</title></head><body>proxy</body></html>'],
      ['truncated JSON', contract.success().slice(0, -20)],
      ['brackets without end', '['.repeat(60_000)],
      ['bytes', '\u0000\u0001\u0002'],
      ['an answer without a result', contract.empty],
      ['credentials that are a text', contract.success('text' as never)],
      ['credentials that are a list', contract.success([1, 2])],
      ['a prototype', '{"__proto__": {"Credentials": {}, "Result": {}}}'],
    ] as const) {
      test(`200 with ${what} is InvalidResponse`, async () => {
        const error = await failure(200, body);
        assert.equal(error.code, 'InvalidResponse');
        assert.match(error.message, /HTTP 200/);
      });
    }

    test('an access key id that is a piece of the token is not accepted: it would be shown in status and log', async () => {
      const error = await failure(200, contract.success({ AccessKeyId: TOKEN.slice(60, 100).replaceAll('.', '') }));
      assert.equal(error.code, 'InvalidResponse');
      assert.match(error.message, /access key id repeats/);
    });

    for (const [what, over] of [
      ['no access key id', { AccessKeyId: undefined }],
      ['an empty access key id', { AccessKeyId: '' }],
      ['an access key id that is a number', { AccessKeyId: 12 }],
      ['an access key id that is an object', { AccessKeyId: {} }],
      ['no expiry', { Expiration: undefined }],
      ['an expiry that is no time', { Expiration: 'soon' }],
      ['an expiry that is a number', { Expiration: 1_800_000_000 }],
      ['an expiry without an offset', { Expiration: '2027-01-01T00:00:00' }],
      ['an expiry in the past', { Expiration: '2020-01-01T00:00:00Z' }],
    ] as const) {
      test(`200 with ${what} is no credential`, async () => {
        await withSTS(
          (response) => response.end(contract.success(over)),
          async (bed) => {
            const run = async (): Promise<unknown> =>
              acceptAnswer(await provider(bed).exchange(request(bed.host), RELAXED), 3600, systemClock.now());
            assert.equal((await failureOf(run())).code, 'InvalidResponse');
          },
        );
      });
    }

    test('a refused endpoint or audience costs no call', async () => {
      await withSTS(
        (response) => response.end(contract.success()),
        async (bed) => {
          for (const [over, code] of [
            [{ endpoint: undefined, region: 'x@evil.example/#' }, 'EndpointNotAllowed'],
            [{ endpoint: 'https://evil.example' }, 'EndpointNotAllowed'],
            [{ endpoint: `http://user@${bed.host}` }, 'EndpointNotAllowed'],
            [{ audience: 'https://kubernetes.default.svc' }, 'AudienceNotAllowed'],
          ] as const) {
            const { endpoint, ...rest } = request(bed.host, over as object as Partial<E>).exchange;
            const exchange = { ...rest, ...(endpoint === undefined ? {} : { endpoint }) } as E;
            const error = await failureOf(provider(bed).exchange({ ...request(bed.host), exchange }, RELAXED));
            assert.equal(error.code, code);
          }
          assert.equal(bed.requests.length, 0);
        },
      );
    });

    test('the host is judged once more when the request is about to be made', async () => {
      const entry = { cloud, host: 'sts.example.internal', scheme: 'https', audiences: ['bed'] } as const;
      let asked = 0;
      const policy: EndpointPolicy = {
        get entries() {
          asked += 1;
          // Twice for the endpoint (host, audience); the third time it is the request.
          return asked <= 2 ? [entry] : [];
        },
        apiServerAudiences: [],
      };
      const run = contract
        .make({ transport: silent(), policy, clock: systemClock })
        .exchange(
          { ...request('x'), exchange: { ...contract.exchange, endpoint: 'https://sts.example.internal' } },
          RELAXED,
        );
      assert.equal((await failureOf(run)).code, 'EndpointNotAllowed');
      assert.equal(asked, 3);
    });

    test('a failure that nobody foresaw is InternalError, without the text of what was thrown', async () => {
      for (const thrown of [new TypeError(`leak ${TOKEN}`), `leak ${TOKEN}`]) {
        await withSTS(
          () => undefined,
          async (bed) => {
            const run = provider(bed, { transport: silent(thrown) }).exchange(request(bed.host), RELAXED);
            const error = await failureOf(run);
            assert.equal(error.code, 'InternalError');
            assert.match(error.message, /TypeError|string/);
          },
        );
      }
    });
  });
}

/** A transport that never sends. */
function silent(thrown: unknown = new Error('must not be reached')): Transport {
  return { send: () => Promise.reject(thrown as Error), close: () => Promise.resolve() };
}
