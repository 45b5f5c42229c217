// Promises: Volcengine's own SDK for Python, which knows nothing of us, exchanges a token at the sandbox's STS and reads its
// answers, and what it sends is what the operator sends: the one independent client that Volcengine's AssumeRoleWithOIDC has.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import type { ResolvedVolcengine } from '../../src/api/resolved.ts';
import { volcengineProvider } from '../../src/providers/volcengine.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { undiciTransport } from '../../src/transport/undici.ts';
import { openSTSScene, type STSScene, SUBJECT, withOtherSignature } from '../sandbox/sts-scene.ts';
import { failureOf, RELAXED, type SeenRequest, TOKEN, withSTS } from '../support/sts-contract.ts';
import { PROGRAMS, pythonPackages } from './tools.ts';

const ROLE = 'trn:iam::2100000001:role/orders';
const POLICY = '{"Statement": [{"Effect": "Allow", "Action": ["tos:*"], "Resource": ["*"], "Sid": "a+b c"}]}';

interface Answer {
  readonly ok: boolean;
  readonly error?: string;
  readonly accessKeyID?: string;
  readonly secrets?: readonly string[];
  readonly expirationSeconds?: number;
}

let scene: STSScene;
let directory: string;
const transport = undiciTransport({ connections: 1, tls: {}, connectTimeoutMs: 5_000 });

before(async () => {
  scene = await openSTSScene();
  scene.sandbox.volcengine.addRole({ arn: ROLE, subject: SUBJECT });
  directory = await mkdtemp(join(tmpdir(), 'witness-'));
});

after(async () => {
  await transport.close();
  await rm(directory, { recursive: true });
  await scene.sandbox.stop();
});

/** What the SDK makes of an STS. */
async function exchangeBySDK(host: string, token: string, environment: Record<string, string> = {}): Promise<Answer> {
  const file = join(directory, 'token');
  await writeFile(file, token, { mode: 0o600 });
  const { stdout } = await promisify(execFile)('python3', [join(PROGRAMS, 'python', 'volcengine_oidc.py')], {
    env: {
      PATH: process.env['PATH'] ?? '/usr/bin:/bin',
      HOME: directory,
      PYTHONPATH: await pythonPackages(),
      EXCHANGE_ROLE: ROLE,
      EXCHANGE_TOKEN_FILE: file,
      EXCHANGE_HOST: host,
      ...environment,
    },
    timeout: 60_000,
  });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Answer;
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const token = (name?: string) => scene.token('sts.volcengine.com', name);

describe("Volcengine's SDK for Python", () => {
  test('exchanges a token at our STS and reads the answer', async () => {
    const { service, url } = scene.sandbox.volcengine;
    service.wire.offsetTimes = true;
    try {
      const answer = await exchangeBySDK(url.host, await token());
      const issued = service.issued.at(-1);
      assert.ok(issued !== undefined, answer.error);
      assert.deepEqual(answer, {
        ok: true,
        accessKeyID: issued.accessKeyID,
        secrets: [sha256(issued.secretAccessKey), sha256(issued.sessionToken)],
        expirationSeconds: issued.expirationMs / 1000,
      });
      const call = service.calls.at(-1);
      assert.deepEqual([call?.webIdentityTokenIn, call?.signedBy, call?.method], ['body', '', 'POST']);
    } finally {
      service.wire.offsetTimes = false;
    }
  });

  for (const [what, make] of [
    ['AccessDenied', async () => await token('other')],
    ['InvalidOIDCToken', async () => withOtherSignature(await token())],
  ] as const) {
    test(`reads a refusal: ${what}`, async () => {
      const answer = await exchangeBySDK(scene.sandbox.volcengine.url.host, await make());
      assert.equal(answer.ok, false);
      assert.match(answer.error ?? '', new RegExp(what));
    });
  }

  test('sends what the operator sends: method, path, query, form, and no signature', async () => {
    await withSTS(
      (response) => response.writeHead(500).end('{}'),
      async (bed) => {
        const exchange: ResolvedVolcengine = {
          cloud: 'Volcengine',
          roleTRN: ROLE,
          region: 'cn-beijing',
          audience: 'bed',
          endpoint: `http://${bed.host}`,
          sessionPolicy: POLICY,
          roleChain: [],
        };
        const provider = volcengineProvider({ transport, policy: bed.policy('Volcengine'), clock: systemClock });
        const request = { exchange, durationSeconds: 3600, sessionName: 'shop.orders.orders', token: TOKEN };
        await failureOf(provider.exchange(request, RELAXED));
        await exchangeBySDK(bed.host, TOKEN, { EXCHANGE_POLICY: POLICY });
        const [ours, theirs] = bed.requests;
        assert.equal(bed.requests.length, 2);
        assert.equal(ours?.method, theirs?.method);
        const query = (seen: SeenRequest | undefined): object =>
          Object.fromEntries(new URL(seen?.target ?? '', 'http://bed').searchParams);
        assert.deepEqual(query(ours), query(theirs));
        const form = (seen: SeenRequest | undefined): object => Object.fromEntries(new URLSearchParams(seen?.body));
        assert.deepEqual(form(ours), form(theirs));
        assert.ok('OIDCToken' in form(ours));
        assert.equal(theirs?.headers.authorization, undefined);
        assert.match(theirs?.headers['content-type'] ?? '', /^application\/x-www-form-urlencoded/);
      },
    );
  });
});
