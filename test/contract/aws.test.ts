// Promises: what AWS STS is sent, byte for byte, and what becomes of everything that it, or whoever sits at its address,
// may answer. Unary calls against nock; time-outs, resets and hostile bodies against a loopback server.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import nock from 'nock';
import type { ResolvedAWS } from '../../src/api/resolved.ts';
import { acceptAnswer, type ExchangeAnswer } from '../../src/credential/credentials.ts';
import { CredentialError, type ErrorCode } from '../../src/credential/errors.ts';
import { awsProvider } from '../../src/providers/aws.ts';
import type { STSCallOutcome } from '../../src/providers/sts-call.ts';
import type { EndpointPolicy } from '../../src/providers/endpoints.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import type { Transport, TransportRequest } from '../../src/transport/transport.ts';
import { undiciTransport } from '../../src/transport/undici.ts';
import { FakeClock } from '../support/fake-clock.ts';

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const TOKEN = [
  part({ alg: 'RS256', kid: 'key-1' }),
  part({ iss: 'https://issuer.example', sub: 'system:serviceaccount:shop:orders', aud: ['sts.amazonaws.com'], exp: 1 }),
  'Sg9naTuRe0fTheT0kenThatMustNotBeSeenAnywhereAtAll_-AbCdEfGh123',
].join('.');
const ROLE = 'arn:aws:iam::123456789012:role/orders';
const EXCHANGE: ResolvedAWS = {
  cloud: 'AWS',
  roleARN: ROLE,
  region: 'eu-west-1',
  audience: 'sts.amazonaws.com',
  endpointType: 'Regional',
  policyARNs: [],
  roleChain: [],
};
const REQUEST = { exchange: EXCHANGE, durationSeconds: 3600, sessionName: 'shop.orders.orders', token: TOKEN };
const NO_ENTRIES: EndpointPolicy = { entries: [], apiServerAudiences: [] };
const HOST = 'https://sts.eu-west-1.amazonaws.com';
const RELAXED = new AbortController().signal;

const success = (over: { credentials?: string; rest?: string } = {}): string =>
  `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>${
    over.rest ??
    '<SubjectFromWebIdentityToken>system:serviceaccount:shop:orders</SubjectFromWebIdentityToken><AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/orders/shop.orders.orders</Arn><AssumedRoleId>AROA:shop.orders.orders</AssumedRoleId></AssumedRoleUser>'
  }<Credentials>${
    over.credentials ??
    '<AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY</SecretAccessKey><SessionToken>session-token-of-the-test</SessionToken><Expiration>2026-11-22T19:00:00Z</Expiration>'
  }</Credentials></AssumeRoleWithWebIdentityResult><ResponseMetadata><RequestId>in-the-body</RequestId></ResponseMetadata></AssumeRoleWithWebIdentityResponse>`;

const errorXML = (code: string, message: string): string =>
  `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error><RequestId>in-the-body</RequestId></ErrorResponse>`;

// Importing nock switches it on for the whole process; here it is on while its own suite runs.
nock.restore();
const transport = undiciTransport({ connections: 4, tls: {}, connectTimeoutMs: 5_000 });

const provider = (over: Partial<Parameters<typeof awsProvider>[0]> = {}) =>
  awsProvider({ transport, policy: NO_ENTRIES, clock: systemClock, ...over });

async function failureOf(run: Promise<unknown>): Promise<CredentialError> {
  try {
    await run;
  } catch (error) {
    assert.ok(error instanceof CredentialError, String(error));
    assertNothingSecret(error);
    return error;
  }
  return assert.fail('the exchange succeeded');
}

/** Walks everything that can be reached from an error, hidden fields, symbols, prototypes' getters and causes included. */
function assertNothingSecret(root: unknown): void {
  const seen = new Set<unknown>();
  const pieces = [TOKEN, ...TOKEN.split('.'), TOKEN.slice(100, 130), 'session-token-of-the-test', 'wJalrXUtnFEMI'];
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

const answerWith = (status: number, body: string, headers: Record<string, string> = {}): nock.Scope =>
  nock(HOST).post('/').reply(status, body, headers);

test('the walk over an error finds a secret wherever it hides', () => {
  const hidden = new Error('clean');
  Object.defineProperty(hidden, '$response', { value: { body: Buffer.from(`x${TOKEN}x`) }, enumerable: false });
  assert.throws(() => assertNothingSecret(new Error('clean', { cause: hidden })), /a secret is in/);
});

async function* bytes(text: string): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(Buffer.from(text));
}

describe('against canned answers', () => {
  before(() => {
    nock.activate();
    nock.disableNetConnect();
  });
  after(() => {
    nock.cleanAll();
    nock.enableNetConnect();
    nock.restore();
  });

  test('the request is exactly what AWS documents, unsigned', async () => {
    let sent = '';
    const scope = nock(HOST, {
      reqheaders: {
        'content-type': 'application/x-www-form-urlencoded',
        'user-agent': 'workload-credentials',
        host: 'sts.eu-west-1.amazonaws.com',
      },
      badheaders: ['authorization', 'x-amz-security-token', 'amz-sdk-invocation-id'],
    })
      .post('/', (body: unknown) => {
        sent = new URLSearchParams(body as Record<string, string>).toString();
        return true;
      })
      .reply(200, success(), { date: 'Sun, 22 Nov 2026 18:00:01 GMT', 'x-amzn-requestid': 'request-1' });
    const answer = await provider().exchange(REQUEST, RELAXED);
    assert.equal(
      sent,
      `Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Forders&RoleSessionName=shop.orders.orders&WebIdentityToken=${TOKEN}&DurationSeconds=3600`,
    );
    assert.ok(scope.isDone());
    assert.deepEqual(answer, {
      accessKeyID: 'ASIAEXAMPLE',
      secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
      sessionToken: 'session-token-of-the-test',
      expiration: new Date('2026-11-22T19:00:00Z'),
      answerDateMs: Date.UTC(2026, 10, 22, 18, 0, 1),
      identity: 'arn:aws:sts::123456789012:assumed-role/orders/shop.orders.orders',
      requestID: 'request-1',
    } satisfies ExchangeAnswer);
  });

  test('the form body is exactly this text, with session policy and policy ARNs', async () => {
    const sent: TransportRequest[] = [];
    const recording: Transport = {
      send: (request) => {
        sent.push(request);
        return Promise.resolve({ status: 200, headers: {}, body: bytes(success()) });
      },
      close: () => Promise.resolve(),
    };
    const exchange: ResolvedAWS = {
      ...EXCHANGE,
      policyARNs: ['arn:aws:iam::aws:policy/ReadOnlyAccess', 'arn:aws:iam::123456789012:policy/a+b'],
      sessionPolicy: '{"Version": "2012-10-17", "Statement": []}',
    };
    const answer = await provider({ transport: recording }).exchange(
      { ...REQUEST, exchange, durationSeconds: 900 },
      RELAXED,
    );
    assert.equal(answer.answerDateMs, undefined);
    const [request] = sent;
    assert.equal(sent.length, 1);
    assert.equal(request?.method, 'POST');
    assert.equal(request?.url.href, `${HOST}/`);
    assert.deepEqual(request?.headers, {
      'content-type': 'application/x-www-form-urlencoded',
      'user-agent': 'workload-credentials',
    });
    assert.equal(
      request?.body,
      'Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Forders' +
        `&RoleSessionName=shop.orders.orders&WebIdentityToken=${TOKEN}` +
        '&PolicyArns.member.1.arn=arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2FReadOnlyAccess' +
        '&PolicyArns.member.2.arn=arn%3Aaws%3Aiam%3A%3A123456789012%3Apolicy%2Fa%2Bb' +
        '&Policy=%7B%22Version%22%3A%20%222012-10-17%22%2C%20%22Statement%22%3A%20%5B%5D%7D&DurationSeconds=900',
    );
  });

  type Row = readonly [status: number, code: string, message: string, register: ErrorCode];
  const ERROR_TABLE: readonly Row[] = [
    [403, 'AccessDenied', 'Not authorized to perform sts:AssumeRoleWithWebIdentity', 'AccessDenied'],
    [403, 'IDPRejectedClaim', 'The identity provider rejected the claim', 'AccessDenied'],
    [400, 'ExpiredTokenException', 'Token expired: current date/time 1 must be before 2', 'TokenRejected'],
    [400, 'InvalidIdentityToken', 'Incorrect token audience', 'TokenRejected'],
    [400, 'InvalidIdentityToken', "Couldn't retrieve verification key from your identity provider", 'STSUnavailable'],
    [400, 'IDPCommunicationError', 'Could not reach the provider', 'STSUnavailable'],
    [400, 'MalformedPolicyDocument', 'Syntax errors in policy.', 'PolicyRejected'],
    [400, 'PackedPolicyTooLarge', 'Packed size 107% exceeds', 'PolicyRejected'],
    [403, 'RegionDisabledException', 'STS is not activated in this region', 'RegionDisabled'],
    [400, 'ValidationError', 'The requested DurationSeconds exceeds the MaxSessionDuration', 'RequestRejected'],
    [400, 'InvalidParameterValue', 'DurationSeconds is out of range', 'RequestRejected'],
    [400, 'SomethingNew', 'Never seen before', 'RequestRejected'],
    [404, 'NotFound', 'no such page', 'RequestRejected'],
    [400, 'Throttling', 'Rate exceeded', 'STSThrottled'],
    [429, 'ThrottlingException', 'Rate exceeded', 'STSThrottled'],
    [429, 'WhoKnows', 'Too many', 'STSThrottled'],
    [503, 'RequestLimitExceeded', 'Request limit exceeded', 'STSThrottled'],
    [500, 'InternalFailure', 'An internal error occurred', 'STSUnavailable'],
    [503, 'ServiceUnavailable', 'Try again', 'STSUnavailable'],
    [500, 'AccessDenied', 'a server error is no verdict', 'STSUnavailable'],
    [408, 'RequestTimeout', 'Too slow', 'STSUnavailable'],
  ];
  for (const [status, code, message, register] of ERROR_TABLE) {
    test(`${status} ${code} "${message}" becomes ${register}`, async () => {
      answerWith(status, errorXML(code, message), { 'x-amzn-requestid': 'request-7' });
      const outcomes: STSCallOutcome[] = [];
      const error = await failureOf(
        provider({ onCall: (outcome) => outcomes.push(outcome) }).exchange(REQUEST, RELAXED),
      );
      assert.equal(error.code, register);
      assert.equal(error.cloudCode, code);
      assert.equal(error.requestID, 'request-7');
      for (const shown of [ROLE, 'sts.eu-west-1.amazonaws.com', code, message]) {
        assert.ok(error.message.includes(shown), `${shown} is not in: ${error.message}`);
      }
      assert.match(error.message, /; [a-z].+\.$/);
      assert.deepEqual(
        outcomes.map(({ cloud, host, code: counted }) => [cloud, host, counted]),
        [['AWS', 'sts.eu-west-1.amazonaws.com', register]],
      );
      assert.equal(nock.pendingMocks().length, 0);
    });
  }

  for (const [what, headers, seconds] of [
    ['seconds', { 'retry-after': '17' }, 17],
    ['zero', { 'retry-after': '0' }, 0],
    ['a day', { 'retry-after': '86400' }, 600],
    [
      "a date, against the answer's own",
      { 'retry-after': 'Sun, 22 Nov 2026 18:00:30 GMT', date: 'Sun, 22 Nov 2026 18:00:10 GMT' },
      20,
    ],
    [
      'a date in the past',
      { 'retry-after': 'Sun, 22 Nov 2026 18:00:00 GMT', date: 'Sun, 22 Nov 2026 18:00:10 GMT' },
      0,
    ],
    ['nonsense', { 'retry-after': 'soon' }, undefined],
    ['a negative number', { 'retry-after': '-5', date: 'Sun, 22 Nov 2026 18:00:10 GMT' }, 0],
    ['nothing', {}, undefined],
  ] as const) {
    test(`throttled with Retry-After ${what} waits ${seconds} seconds`, async () => {
      answerWith(429, errorXML('Throttling', 'Rate exceeded'), headers as Record<string, string>);
      const error = await failureOf(provider().exchange(REQUEST, RELAXED));
      assert.equal(error.retryAfterSeconds, seconds);
    });
  }

  const PAYLOAD = TOKEN.split('.')[1] ?? '';
  for (const [what, body] of [
    ['the whole token', errorXML('InvalidIdentityToken', `the token ${TOKEN} is bad`)],
    ['the token as its code', errorXML(TOKEN, 'bad')],
    ['a piece of the token as its code', errorXML(`A${PAYLOAD.slice(3, 43)}`, 'bad')],
    ['a piece of the token', errorXML('InvalidIdentityToken', `near ${TOKEN.slice(100, 130)} here`)],
    ['the payload alone', errorXML('InvalidIdentityToken', `claims ${PAYLOAD}`)],
    ['the signature alone', errorXML('InvalidIdentityToken', `signature=${TOKEN.split('.')[2]};`)],
    ['the token encoded once more', errorXML('InvalidIdentityToken', Buffer.from(TOKEN).toString('base64'))],
    ['a secret key', errorXML('InvalidIdentityToken', 'key wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY !')],
    ['the token at the place where it is cut', errorXML('InvalidIdentityToken', `${'word '.repeat(816)}${TOKEN}`)],
  ] as const) {
    test(`an error that repeats ${what} is told without it`, async () => {
      answerWith(400, body, { 'x-amzn-requestid': TOKEN.slice(60, 90) });
      const error = await failureOf(provider().exchange(REQUEST, RELAXED));
      assert.match(error.message, /^STS at sts\.eu-west-1/);
      assert.equal(error.requestID, undefined);
      assert.ok(error.message.length < 1024);
      assert.ok(!error.message.includes(Buffer.from(TOKEN).toString('base64').slice(0, 60)));
    });
  }

  test('a hostile message ends neither our line nor our quotes, and is cut to 300 characters', async () => {
    answerWith(400, errorXML('ValidationError', `a&#10;b\u001b[31m "c" ${'long words '.repeat(200)}`));
    const error = await failureOf(provider().exchange(REQUEST, RELAXED));
    assert.ok(!/[^\x20-\x7e]/.test(error.message));
    assert.equal(error.message.split('"').length, 3);
    assert.equal(error.message.split('"')[1]?.length, 300);
  });

  for (const [status, body, register] of [
    [403, '<html><body>Forbidden by proxy</body></html>', 'RequestRejected'],
    [403, '', 'RequestRejected'],
    [400, '{"error":"not XML"}', 'RequestRejected'],
    [400, '<ErrorResponse><Error><Code>AccessDenied</Co', 'RequestRejected'],
    [502, '<html><br>Bad Gateway', 'STSUnavailable'],
    [503, '', 'STSUnavailable'],
  ] as const) {
    test(`${status} with ${JSON.stringify(body.slice(0, 24))} is told by its status`, async () => {
      answerWith(status, body);
      const error = await failureOf(provider().exchange(REQUEST, RELAXED));
      assert.equal(error.code, register);
      assert.match(error.message, new RegExp(`HTTP ${status}|NotFound`));
    });
  }

  for (const [what, body] of [
    ['an empty body', ''],
    ['{}', '{}'],
    ['HTML', '<html><head><title>Sign in</title></head><body>proxy</body></html>'],
    ['HTML that is no XML', '<!DOCTYPE html><html><br>'],
    ['truncated XML', success().slice(0, 600)],
    ['XML cut inside the session token', success().slice(0, success().indexOf('of-the-test'))],
    ['bytes', '\u0000\u0001\u0002'],
    ['another answer', '<GetCallerIdentityResponse><GetCallerIdentityResult/></GetCallerIdentityResponse>'],
    ['a result without credentials', success().replace(/<Credentials>.*<\/Credentials>/, '')],
    ['an expiration that is no time', success().replace('2026-11-22T19:00:00Z', 'soon')],
  ] as const) {
    test(`200 with ${what} is InvalidResponse`, async () => {
      answerWith(200, body, { 'x-amzn-requestid': 'request-9' });
      const error = await failureOf(provider().exchange(REQUEST, RELAXED));
      assert.equal(error.code, 'InvalidResponse');
      assert.equal(error.requestID, 'request-9');
      assert.match(error.message, /HTTP 200/);
    });
  }

  for (const credentials of [
    '',
    '&b;',
    '<AccessKeyId>ASIA</AccessKeyId>',
    '<AccessKeyId></AccessKeyId><SessionToken/>',
  ]) {
    test(`200 with the credentials ${JSON.stringify(credentials)} is not accepted`, async () => {
      const entities = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>';
      answerWith(200, `${credentials === '&b;' ? entities : ''}${success({ credentials })}`);
      const run = async (): Promise<unknown> => {
        const answer = await provider().exchange(REQUEST, RELAXED);
        return acceptAnswer(answer, 3600, Date.UTC(2026, 10, 22, 18));
      };
      assert.equal((await failureOf(run())).code, 'InvalidResponse');
    });
  }

  test('an access key id that is a piece of the token is not accepted: it would be shown in status and log', async () => {
    const credentials = success().replace('ASIAEXAMPLE', TOKEN.slice(60, 100).replaceAll('.', ''));
    answerWith(200, credentials);
    const error = await failureOf(provider().exchange(REQUEST, RELAXED));
    assert.equal(error.code, 'InvalidResponse');
    assert.match(error.message, /access key id repeats the token/);
  });

  test('an identity that repeats the token or is no text is left out', async () => {
    for (const arn of [TOKEN, 'has spaces in it', '']) {
      answerWith(200, success({ rest: `<AssumedRoleUser><Arn>${arn}</Arn></AssumedRoleUser>` }));
      assert.equal((await provider().exchange(REQUEST, RELAXED)).identity, undefined);
    }
  });

  test('a refused endpoint or audience costs no call', async () => {
    const sent: TransportRequest[] = [];
    const counting: Transport = {
      send: (request) => {
        sent.push(request);
        return Promise.reject(new Error('must not be reached'));
      },
      close: () => Promise.resolve(),
    };
    const aws = provider({ transport: counting });
    for (const [over, code] of [
      [{ region: 'x@evil.example/#' }, 'EndpointNotAllowed'],
      [{ endpoint: 'https://evil.example' }, 'EndpointNotAllowed'],
      [{ audience: 'https://kubernetes.default.svc' }, 'AudienceNotAllowed'],
    ] as const) {
      const error = await failureOf(aws.exchange({ ...REQUEST, exchange: { ...EXCHANGE, ...over } }, RELAXED));
      assert.equal(error.code, code);
    }
    assert.equal(sent.length, 0);
  });

  test('the host is judged once more when the request is about to be made', async () => {
    const entry = { cloud: 'AWS', host: 'sts.example.internal', scheme: 'https', audiences: ['a'] } as const;
    let asked = 0;
    const policy: EndpointPolicy = {
      get entries() {
        asked += 1;
        // Twice for the endpoint (host, audience); the third time it is the request.
        return asked <= 2 ? [entry] : [];
      },
      apiServerAudiences: [],
    };
    const exchange = { ...EXCHANGE, endpoint: 'https://sts.example.internal', audience: 'a' };
    const error = await failureOf(provider({ policy }).exchange({ ...REQUEST, exchange }, RELAXED));
    assert.equal(error.code, 'EndpointNotAllowed');
    assert.equal(asked, 3);
  });

  test('a failure that nobody foresaw is InternalError, without the text of what was thrown', async () => {
    for (const thrown of [new TypeError(`leak ${TOKEN}`), `leak ${TOKEN}`]) {
      const broken: Transport = { send: () => Promise.reject(thrown), close: () => Promise.resolve() };
      const error = await failureOf(provider({ transport: broken }).exchange(REQUEST, RELAXED));
      assert.equal(error.code, 'InternalError');
      assert.match(error.message, /TypeError|string/);
    }
  });

  test('one client serves a region again, and many regions do not pile up', async () => {
    const hosts = new Set<string>();
    const answering: Transport = {
      send: (request) => {
        hosts.add(request.url.host);
        return Promise.resolve({ status: 200, headers: {}, body: bytes(success()) });
      },
      close: () => Promise.resolve(),
    };
    const aws = provider({ transport: answering });
    for (let index = 1; index <= 70; index += 1) {
      const exchange = { ...EXCHANGE, region: `eu-west-${index}` };
      await aws.exchange({ ...REQUEST, exchange }, RELAXED);
      await aws.exchange({ ...REQUEST, exchange }, RELAXED);
    }
    assert.equal(hosts.size, 70);
  });
});

describe('against a server at a loopback address', () => {
  after(() => transport.close());

  interface Bed {
    readonly requests: IncomingMessage[];
    readonly bodies: string[];
    readonly exchange: ResolvedAWS;
    readonly policy: EndpointPolicy;
  }

  async function withServer(
    handler: (request: IncomingMessage, response: ServerResponse) => void,
    run: (bed: Bed) => Promise<void>,
  ): Promise<void> {
    const requests: IncomingMessage[] = [];
    const bodies: string[] = [];
    const server = createServer((request, response) => {
      requests.push(request);
      let body = '';
      request.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      request.on('end', () => {
        bodies.push(body);
        handler(request, response);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const entry = { cloud: 'AWS', host, scheme: 'http', audiences: ['bed'] } as const;
    try {
      await run({
        requests,
        bodies,
        exchange: { ...EXCHANGE, endpoint: `http://${host}`, audience: 'bed' },
        policy: { entries: [entry], apiServerAudiences: [] },
      });
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  for (const status of [301, 302, 303, 307, 308]) {
    test(`a ${status} redirect is refused and its target gets no byte`, async () => {
      await withServer(
        (_request, response) => response.end('elsewhere'),
        async (elsewhere) => {
          const target = elsewhere.exchange.endpoint ?? '';
          await withServer(
            (_request, response) => response.writeHead(status, { location: `${target}/?t=${TOKEN}` }).end(),
            async (bed) => {
              const error = await failureOf(
                provider({ policy: bed.policy }).exchange({ ...REQUEST, exchange: bed.exchange }, RELAXED),
              );
              assert.equal(error.code, 'RedirectRefused');
              assert.ok(error.message.includes(new URL(target).host), error.message);
              assert.equal(bed.requests.length, 1);
            },
          );
          assert.equal(elsewhere.requests.length, 0);
        },
      );
    });
  }

  test('a redirect without a target, or with an endless body, is refused too', async () => {
    await withServer(
      (_request, response) => {
        response.writeHead(302);
        const pour = (): void => {
          while (!response.destroyed && response.write(Buffer.alloc(65_536)));
        };
        response.on('drain', pour);
        pour();
      },
      async (bed) => {
        const error = await failureOf(
          provider({ policy: bed.policy }).exchange({ ...REQUEST, exchange: bed.exchange }, RELAXED),
        );
        assert.equal(error.code, 'RedirectRefused');
        assert.match(error.message, /"nowhere"/);
      },
    );
  });

  for (const [status, register] of [
    [200, 'InvalidResponse'],
    [400, 'RequestRejected'],
    [500, 'STSUnavailable'],
  ] as const) {
    test(`${status} with 50 MB ends early and is ${register}`, async () => {
      const total = 50 * 1024 * 1024;
      let written = 0;
      const gone = Promise.withResolvers<void>();
      await withServer(
        (_request, response) => {
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
          const error = await failureOf(
            provider({ policy: bed.policy }).exchange({ ...REQUEST, exchange: bed.exchange }, RELAXED),
          );
          assert.equal(error.code, register);
          await gone.promise;
          assert.ok(written < total, 'the whole body was taken');
        },
      );
    });
  }

  for (const [what, handler] of [
    ['a connection closed before the answer', (_: IncomingMessage, response: ServerResponse) => response.destroy()],
    [
      'a connection closed inside the answer',
      (_: IncomingMessage, response: ServerResponse) => {
        response.writeHead(200, { 'content-length': '5000' });
        response.write(success().slice(0, 300), () => response.destroy());
      },
    ],
  ] as const) {
    test(`${what} is STSUnavailable`, async () => {
      await withServer(handler, async (bed) => {
        const error = await failureOf(
          provider({ policy: bed.policy }).exchange({ ...REQUEST, exchange: bed.exchange }, RELAXED),
        );
        assert.equal(error.code, 'STSUnavailable');
        assert.match(error.message, /gave no answer/);
        assert.equal(bed.requests.length, 1);
      });
    });
  }

  test('a port where nobody listens is STSUnavailable', async () => {
    let closed: Bed | undefined;
    await withServer(
      () => undefined,
      async (bed) => {
        closed = await Promise.resolve(bed);
      },
    );
    assert.ok(closed !== undefined);
    const error = await failureOf(
      provider({ policy: closed.policy }).exchange({ ...REQUEST, exchange: closed.exchange }, RELAXED),
    );
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
      await withServer(
        (_request, response) => {
          response.on('close', gone.resolve);
          if (drip) {
            response.writeHead(200);
            response.write('<');
          }
          arrived.resolve();
        },
        async (bed) => {
          const outcomes: STSCallOutcome[] = [];
          const aws = provider({ policy: bed.policy, clock, onCall: (outcome) => outcomes.push(outcome) });
          const running = failureOf(aws.exchange({ ...REQUEST, exchange: bed.exchange }, RELAXED));
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
    await withServer(
      () => controller.abort(reason),
      async (bed) => {
        const outcomes: STSCallOutcome[] = [];
        const aws = provider({ policy: bed.policy, onCall: (outcome) => outcomes.push(outcome) });
        await assert.rejects(
          aws.exchange({ ...REQUEST, exchange: bed.exchange }, controller.signal),
          (error) => error === reason,
        );
        assert.equal(outcomes[0]?.code, 'Aborted');
        await assert.rejects(
          aws.exchange({ ...REQUEST, exchange: bed.exchange }, controller.signal),
          (error) => error === reason,
        );
        assert.equal(bed.requests.length, 1);
      },
    );
  });

  test('nothing in the environment or in ~/.aws changes where a request goes, or what is in it', async () => {
    await withServer(
      (_request, response) => response.end('elsewhere'),
      async (elsewhere) => {
        const other = elsewhere.exchange.endpoint ?? '';
        const home = await mkdtemp(join(tmpdir(), 'aws-'));
        // Whatever the SDK took from here would end the call or send it elsewhere.
        const section = [
          'region = us-gov-west-1',
          `endpoint_url = ${other}`,
          'defaults_mode = nonsense',
          'retry_mode = nonsense',
          'max_attempts = nonsense',
          'use_fips_endpoint = nonsense',
          'use_dualstack_endpoint = nonsense',
          `credential_process = curl ${other}`,
        ].join('\n');
        await writeFile(join(home, 'config'), `[default]\n${section}\n[profile hostile]\n${section}\n`);
        await writeFile(
          join(home, 'credentials'),
          '[hostile]\naws_access_key_id = hostile\naws_secret_access_key = hostile\n',
        );
        const hostile: Readonly<Record<string, string>> = {
          AWS_ENDPOINT_URL_STS: other,
          AWS_ENDPOINT_URL: other,
          AWS_PROFILE: 'hostile',
          AWS_USE_FIPS_ENDPOINT: 'true',
          AWS_USE_DUALSTACK_ENDPOINT: 'true',
          AWS_REGION: 'us-gov-west-1',
          AWS_DEFAULTS_MODE: 'auto',
          AWS_RETRY_MODE: 'adaptive',
          AWS_MAX_ATTEMPTS: '5',
          AWS_STS_REGIONAL_ENDPOINTS: 'legacy',
          AWS_ACCESS_KEY_ID: 'AKIAHOSTILE',
          AWS_SECRET_ACCESS_KEY: 'hostile',
          AWS_SESSION_TOKEN: 'hostile',
          AWS_SDK_UA_APP_ID: 'hostile',
          AWS_EXECUTION_ENV: 'hostile',
          AWS_LAMBDA_FUNCTION_NAME: 'hostile',
          _X_AMZN_TRACE_ID: 'hostile',
          AWS_EC2_METADATA_SERVICE_ENDPOINT: other,
          AWS_CONTAINER_CREDENTIALS_FULL_URI: other,
          AWS_CONFIG_FILE: join(home, 'config'),
          AWS_SHARED_CREDENTIALS_FILE: join(home, 'credentials'),
          HTTP_PROXY: other,
          HTTPS_PROXY: other,
          http_proxy: other,
        };
        const saved = { ...process.env };
        Object.assign(process.env, hostile);
        try {
          await withServer(
            (_request, response) => response.writeHead(200, { 'content-type': 'text/xml' }).end(success()),
            async (bed) => {
              await provider({ policy: bed.policy }).exchange({ ...REQUEST, exchange: bed.exchange }, RELAXED);
              const [request] = bed.requests;
              assert.equal(bed.requests.length, 1);
              assert.deepEqual(Object.keys(request?.headers ?? {}).sort(), [
                'connection',
                'content-length',
                'content-type',
                'host',
                'user-agent',
              ]);
              assert.ok(!JSON.stringify([request?.headers, bed.bodies]).includes('hostile'));
            },
          );
          await withServer(
            (_request, response) => response.writeHead(503).end(errorXML('ServiceUnavailable', 'once only')),
            async (bed) => {
              const aws = provider({ policy: bed.policy });
              const error = await failureOf(aws.exchange({ ...REQUEST, exchange: bed.exchange }, RELAXED));
              assert.equal(error.code, 'STSUnavailable');
              assert.equal(bed.requests.length, 1);
            },
          );
        } finally {
          for (const name of Object.keys(hostile)) delete process.env[name];
          Object.assign(process.env, saved);
          await rm(home, { recursive: true });
        }
        assert.equal(elsewhere.requests.length, 0);
      },
    );
  });
});
