// Promises: whoever answers in an STS's place and lies is caught, on all three clouds, at the exchange of the token and at a hop
// of a chain: an error of the register, or a life no longer than was asked. Whatever is thrown below a provider, nothing secret
// is in the error that leaves it, the keys of the hop before included.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CredentialError, type ErrorCode } from '../../src/credential/errors.ts';
import { TransportError, type TransportResponse } from '../../src/transport/transport.ts';
import { FAKE_EPOCH_MS, FakeClock } from '../support/fake-clock.ts';
import { assertNothingSecret, failureOf, SECRETS, TOKEN } from '../support/sts-contract.ts';
import { after, askAt, bodyOf, DIALECTS, type Dialect, GIVEN, PLACES, SIGNING } from '../support/sts-dialects.ts';

type Place = (typeof PLACES)[number];

/** Everything that must not be seen, in one text: a liar repeats what it was sent. */
const EVERYTHING = [TOKEN, ...Object.values(SECRETS)].join(' ');
const SIGNERS = Object.values(SIGNING);
/** At a hop it was sent keys, too. */
const everythingAt = (place: Place): string => (place === 'a hop' ? [...SIGNERS, EVERYTHING].join(' ') : EVERYTHING);
const MINUTE_MS = 60_000;

const ofPlace = (place: Place) => GIVEN[place === 'a hop' ? 'hop' : 'exchange'];
const actionAt = (place: Place) => (place === 'a hop' ? 'hop' : 'exchange');

const date = (offsetMs: number) => ({ date: new Date(FAKE_EPOCH_MS + offsetMs).toUTCString() });

interface Lie {
  readonly what: string;
  readonly body: (dialect: Dialect, place: Place) => string;
  readonly head?: Partial<Pick<TransportResponse, 'status' | 'headers'>>;
  /** By cloud where they differ; the register is asked for what is no error. */
  readonly code: ErrorCode | ((dialect: Dialect) => ErrorCode);
}

const success = (dialect: Dialect, place: Place, over: object = {}): string =>
  dialect.success(actionAt(place), { ...ofPlace(place), expiration: after(3600), ...over });

const REFUSED: readonly Lie[] = [
  {
    what: '200 with empty credentials',
    body: (dialect, place) => success(dialect, place, { accessKeyID: '', secretAccessKey: '', sessionToken: '' }),
    code: 'InvalidResponse',
  },
  ...(['accessKeyID', 'secretAccessKey', 'sessionToken', 'expiration'] as const).map((name) => ({
    what: `200 with an empty ${name}`,
    body: (dialect: Dialect, place: Place) => success(dialect, place, { [name]: '' }),
    code: 'InvalidResponse' as const,
  })),
  {
    what: '200 with an error body',
    body: (dialect, place) => dialect.error('AccessDenied', `no: ${everythingAt(place)}`),
    // Volcengine's envelope says what it is whatever the status: its errors come with 200 too.
    code: ({ exchange }) => (exchange.cloud === 'Volcengine' ? 'AccessDenied' : 'InvalidResponse'),
  },
  {
    what: 'an expiry in the past',
    body: (dialect, place) => success(dialect, place, { expiration: after(-60) }),
    code: 'InvalidResponse',
  },
  {
    what: 'an expiry now',
    body: (dialect, place) => success(dialect, place, { expiration: after(0) }),
    code: 'InvalidResponse',
  },
  {
    what: 'a Date two hours ahead, by which the credential has ended',
    body: (dialect, place) => success(dialect, place),
    head: { headers: date(120 * MINUTE_MS) },
    code: 'InvalidResponse',
  },
  { what: 'HTML with 200', body: () => `<html><p>${EVERYTHING}</p></html>`, code: 'InvalidResponse' },
  { what: 'HTML with 502', body: () => `<html><br>${EVERYTHING}`, head: { status: 502 }, code: 'STSUnavailable' },
  {
    what: 'a body that is cut in the middle',
    body: (dialect, place) =>
      success(dialect, place).slice(0, success(dialect, place).indexOf(ofPlace(place).sessionToken) + 5),
    code: 'InvalidResponse',
  },
  {
    what: 'a body that lacks its last character',
    body: (dialect, place) => success(dialect, place).slice(0, -1),
    code: 'InvalidResponse',
  },
];

for (const dialect of DIALECTS) {
  for (const place of PLACES) {
    describe(`${dialect.exchange.cloud}, ${place}`, () => lies(dialect, place));
  }
}

function lies(dialect: Dialect, place: Place): void {
  /** The life in seconds that comes of an answer. */
  async function lifeOf(body: string, headers = date(0)): Promise<number> {
    const answering = () => Promise.resolve({ headers, body: bodyOf(body) });
    const { credential } = await askAt(dialect, place, answering);
    assert.equal(credential.accessKeyID, ofPlace(place).accessKeyID);
    return (credential.expirationTimeMs - credential.issueTimeMs) / 1000;
  }

  /** What thrown things below a provider, or lies, become; the hop is named. */
  async function failureAt(answering: Parameters<typeof askAt>[2], run?: Parameters<typeof askAt>[3]) {
    const error = await failureOf(askAt(dialect, place, answering, run));
    if (place === 'a hop' && !error.message.startsWith('STS answered 200, but')) {
      assert.match(error.message, /^Hop 2 of 2 /);
      assert.equal(error.hop, 2);
    }
    if (place === 'a hop') assertNothingSecret(error, SIGNERS);
    return error;
  }

  test('the truth is believed: an hour was asked and an hour is given', async () => {
    assert.equal(await lifeOf(success(dialect, place)), 3600);
  });

  for (const { what, body, head = {}, code } of REFUSED) {
    const expected = typeof code === 'string' ? code : code(dialect);
    test(`${what} is ${expected}`, async () => {
      const error = await failureAt(() => Promise.resolve({ ...head, body: bodyOf(body(dialect, place)) }));
      assert.equal(error.code, expected, error.message);
    });
  }

  for (const minutes of [6, 60, 60 * 24 * 365]) {
    test(`an expiry ${minutes} minutes beyond what was asked is cut to a minute beyond`, async () => {
      const expiration = after(3600 + minutes * 60);
      assert.equal(await lifeOf(success(dialect, place, { expiration })), 3660);
    });
  }

  for (const [what, headers] of [
    ['an hour behind', date(-60 * MINUTE_MS)],
    ['6 minutes behind', date(-6 * MINUTE_MS)],
    ['absent', { date: '' }],
    ['no time', { date: 'yesterday' }],
  ] as const) {
    test(`a Date that is ${what} makes no life longer`, async () => {
      assert.equal(await lifeOf(success(dialect, place), headers), 3600);
    });
  }

  test('a Date 6 minutes ahead makes a life shorter, never longer', async () => {
    assert.equal(await lifeOf(success(dialect, place), date(6 * MINUTE_MS)), 3600 - 360);
  });

  test('a body that breaks off is STSUnavailable', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield await Promise.resolve(Buffer.from(success(dialect, place).slice(0, 40)));
      throw new TransportError('reset', 'UND_ERR_SOCKET', 'the other side closed');
    }
    assert.equal((await failureAt(() => Promise.resolve({ body: broken() }))).code, 'STSUnavailable');
  });

  test('a slow drip ends after 10 s', async () => {
    const clock = new FakeClock();
    const dripping = Promise.withResolvers<void>();
    const run = failureAt(
      ({ signal }) => {
        async function* drip(): AsyncGenerator<Uint8Array> {
          for (const character of success(dialect, place)) {
            yield Buffer.from(character);
            const next = Promise.withResolvers<void>();
            signal.addEventListener('abort', () => next.reject(signal.reason as Error), { once: true });
            clock.setTimer(1_000, next.resolve);
            dripping.resolve();
            // One character at a time is what a drip is.
            // oxlint-disable-next-line no-await-in-loop
            await next.promise;
          }
        }
        return Promise.resolve({ body: drip() });
      },
      { clock },
    );
    await dripping.promise;
    for (let second = 0; second < 10; second += 1) await clock.advance(1_000);
    const error = await run;
    assert.equal(error.code, 'STSUnavailable');
    assert.match(error.message, /longer than 10 s/);
  });

  for (const [status, code] of [
    [200, 'InvalidResponse'],
    [503, 'STSUnavailable'],
  ] as const) {
    test(`50 MB with ${status} is ${code}, and not read to the end`, async () => {
      let sent = 0;
      async function* flood(): AsyncGenerator<Uint8Array> {
        const chunk = Buffer.from(`${EVERYTHING} `.repeat(100));
        while (sent < 50 * 1024 * 1024) {
          sent += chunk.length;
          yield await Promise.resolve(chunk);
        }
      }
      const error = await failureAt(() => Promise.resolve({ status, body: flood() }));
      assert.equal(error.code, code);
      assert.ok(sent < 1024 * 1024, `${sent} bytes were read`);
    });
  }

  const everything = everythingAt(place);
  for (const [what, thrown] of [
    ['an error with everything in its message', new Error(everything)],
    ['an error with everything in its cause', new Error('failed', { cause: new Error(everything) })],
    ['an error with the request in it', Object.assign(new Error('failed'), { $request: { body: everything } })],
    ['an error whose name tells everything', Object.assign(new Error('failed'), { name: everything })],
    ['an error whose code tells everything', Object.assign(new Error('failed'), { code: everything })],
    ['an error of several', new AggregateError([new Error(everything)], everything)],
    ['a text', everything],
    ['an object', { toString: () => everything, message: everything }],
    ['nothing', undefined],
  ] as const) {
    test(`${what}, thrown below the provider, is told without it`, async () => {
      const error = await failureAt(() => Promise.reject(thrown as Error));
      assert.equal(error.code, 'InternalError');
      assert.equal(error.cause, undefined);
    });

    test(`${what}, thrown while the answer is read, is told without it`, async () => {
      async function* failing(): AsyncGenerator<Uint8Array> {
        yield await Promise.resolve(Buffer.from('{'));
        throw thrown;
      }
      const error = await failureAt(() => Promise.resolve({ body: failing() }));
      assert.ok(error instanceof CredentialError);
    });
  }

  for (const status of [400, 401, 403, 429, 500]) {
    test(`a ${status} that repeats everything is told without it`, async () => {
      for (const body of [
        dialect.error('AccessDenied', everythingAt(place)),
        dialect.error(SECRETS.hopSecretAccessKey, SECRETS.hopSessionToken),
        dialect.error(SECRETS.secretAccessKey, SECRETS.sessionToken),
        ...(place === 'a hop' ? [dialect.error(SIGNING.secretAccessKey, SIGNING.sessionToken)] : []),
        everythingAt(place),
      ]) {
        // oxlint-disable-next-line no-await-in-loop
        await failureAt(() => Promise.resolve({ status, headers: echoingHeaders(place), body: bodyOf(body) }));
      }
    });
  }

  test('no URL of any request has a secret, and session tokens are in headers alone', async () => {
    const answering = () => Promise.resolve({ body: bodyOf(success(dialect, place)) });
    const { requests } = await askAt(dialect, place, answering);
    assert.equal(requests.length, place === 'a hop' ? 2 : 1);
    for (const [index, { url, headers, body }] of requests.entries()) {
      assertNothingSecret({ url: url.href }, SIGNERS);
      const text = Buffer.from(body ?? '').toString();
      assert.equal(text.includes(TOKEN), index === 0, 'the token is in the body of the exchange alone');
      for (const secret of SIGNERS) assert.ok(!text.includes(secret));
      const shown = JSON.stringify(headers);
      assert.equal(shown.includes(SIGNING.sessionToken), index === 1, 'the session token is in the header of the hop');
      assert.ok(!shown.includes(SIGNING.secretAccessKey) && !shown.includes(TOKEN));
    }
  });
}

/** Headers of an answer that the providers read, with secrets in them. */
function echoingHeaders(place: Place): Record<string, string> {
  const secret = place === 'a hop' ? SIGNING.sessionToken : TOKEN;
  return {
    'x-amzn-requestid': secret,
    'x-acs-request-id': secret,
    'x-tt-logid': secret,
    'retry-after': everythingAt(place),
  };
}
