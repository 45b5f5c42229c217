// Promises: real SDKs, each in a process of its own that goes on while a mounted Secret is rotated ten times, never make a
// call with an expired credential where the table says that they reload; and the table's other columns are what they do.
// Every call is judged by an STS that checks key, signature, session token and end. CONSUMERS=node tries those that need
// nothing but Node. A whole run writes its results as data, from which the docs' table is generated.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import type { ResolvedExchange } from '../../src/api/resolved.ts';
import { CLIENTS } from './clients.ts';
import type { Behaviour, Client } from './clients.ts';
import { startJudge } from './judges.ts';
import type { Judge } from './judges.ts';
import { RESULTS, renderedHash } from './results.ts';
import type { Results } from './results.ts';
import { goPrograms, javaClassPath, pythonPackages } from './tools.ts';
import { findBehaviour, findWindow, rotate, RHYTHM } from './trials.ts';
import type { Rotations } from './trials.ts';

const onlyNode = process.env['CONSUMERS'] === 'node';
const clients = CLIENTS.filter(({ isNode }) => isNode || !onlyNode);
const label = ({ name, format }: Client): string => `${name}, ${format}`;

/** Each trial has an STS of its own: what it has seen is then of one client. */
async function judged<T>(cloud: ResolvedExchange['cloud'], use: (judge: Judge) => Promise<T>): Promise<T> {
  const judge = await startJudge(cloud);
  try {
    return await use(judge);
  } finally {
    await judge.close();
  }
}

const found = new Map<Client, { behaviour?: Behaviour; window?: number | 'always'; rotations?: Rotations }>();
const note = (client: Client, what: Partial<ReturnType<typeof found.get>>): void => {
  found.set(client, { ...found.get(client), ...what });
};

before(async () => {
  if (!onlyNode) {
    await pythonPackages();
    await goPrograms();
    for (const cloud of ['aws', 'alibaba-cloud', 'volcengine']) await javaClassPath(cloud);
  }
});

describe('what it takes that a client has the new credential', { concurrency: 6 }, () => {
  for (const client of clients) {
    test(`${label(client)}: ${client.expected}`, async () => {
      const { behaviour, refusal } = await judged(client.cloud, async (judge) => findBehaviour(client, judge));
      note(client, { behaviour });
      assert.equal(behaviour, client.expected, refusal);
      if (behaviour === 'unreadable') assert.match(refusal ?? '', client.refusal ?? /^$/);
    });
  }
});

describe('how long before the end that the file says a client looks again', { concurrency: 4 }, () => {
  for (const client of clients.filter(({ expected, format }) => expected === 'reloads' && format === 'Files')) {
    test(`${label(client)}: ${client.window ?? 'at each call'}`, async () => {
      const window = await judged(client.cloud, async (judge) => findWindow(client, judge));
      note(client, { window });
      if (client.window === undefined) {
        assert.equal(window, 'always');
      } else {
        // Calls and swaps take their time, in which the window moves on.
        assert.ok(window !== 'always' && Math.abs(window - client.window) <= 5, `${window} s`);
      }
    });
  }
});

/** A client that looks only when the credential has ended. */
const late = CLIENTS.find(({ window }) => window === 0);

describe('ten rotations in one process', { concurrency: clients.length + 2 }, () => {
  for (const client of clients.filter(({ expected }) => expected === 'reloads')) {
    test(`${label(client)}: no call is made with an expired credential`, async () => {
      const rotations = await judged(client.cloud, async (judge) => rotate(client, judge, RHYTHM));
      note(client, { rotations });
      assert.deepEqual(rotations.errors, []);
      // A client that looks only at the end has about every fourth credential, as the rhythm goes.
      assert.ok(rotations.keys >= 3, `${rotations.keys} keys`);
    });
  }

  for (const client of clients.filter(({ expected }) => expected === 'new client' || expected === 'restart')) {
    test(`${label(client)}: its calls fail when the first credential has ended, as the table says`, async () => {
      const rotations = await judged(client.cloud, async (judge) => rotate(client, judge, RHYTHM));
      note(client, { rotations });
      assert.equal(rotations.keys, 1);
      assert.ok(rotations.failed > 0 && !rotations.lastWorked, `${rotations.failed} of ${rotations.calls}`);
    });
  }

  if (late !== undefined && !onlyNode) {
    /** Its clock runs a second behind the cloud's. */
    const behind = async (marginMs: number): Promise<Rotations> =>
      judged(late.cloud, async (judge) => {
        judge.skewClock(1000);
        return rotate(late, judge, { ...RHYTHM, rotations: 5, marginMs });
      });

    test('were the true end in the file, a client that looks at the end, a second behind, would call in vain', async () => {
      const { errors } = await behind(0);
      assert.ok(errors.length > 0);
      for (const error of errors) assert.match(error, /ExpiredToken/);
    });

    test('with an end that is a little earlier it does not', async () => {
      assert.deepEqual((await behind(RHYTHM.marginMs)).errors, []);
    });
  }
});

after(() => {
  const isWhole =
    clients.length === CLIENTS.length &&
    clients.every((client) => found.get(client)?.rotations !== undefined || client.expected === 'unreadable');
  if (!isWhole || process.env['CONSUMER_RESULTS'] === 'keep') return;
  const results: Results = {
    rendered: renderedHash(),
    rows: clients.map((client) => {
      const { behaviour = 'unreadable', window, rotations } = found.get(client) ?? {};
      const isNear = typeof window === 'number' && client.window !== undefined && Math.abs(window - client.window) <= 5;
      return {
        client: client.name,
        version: client.version(),
        cloud: client.cloud,
        format: client.format,
        behaviour,
        ...(window === undefined ? {} : { window: isNear ? client.window : window }),
        ...(rotations === undefined ? {} : { failed: rotations.failed > 0 }),
      };
    }),
  };
  writeFileSync(RESULTS, `${JSON.stringify(results, undefined, 2)}\n`);
});
