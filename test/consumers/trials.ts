// Promises: what is tried with a client: ten rotations while it calls, what makes it look again, and how long before the end
// that a file says. Ends are written so that a client is where it is to be in its life: nobody waits for an hour.
import type { Behaviour, Client } from './clients.ts';
import { Consumer } from './consumer.ts';
import type { IssuedSession, Judge } from './judges.ts';

const SECOND_MS = 1000;
const HOUR_MS = 3600 * SECOND_MS;

async function withConsumer<T>(client: Client, judge: Judge, use: (consumer: Consumer) => Promise<T>): Promise<T> {
  const consumer = await Consumer.create(client, judge);
  try {
    return await use(consumer);
  } finally {
    await consumer.close();
  }
}

async function sleepUntil(timeMs: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, timeMs - Date.now())));
}

/** What ten rotations came to. */
export interface Rotations {
  readonly calls: number;
  readonly failed: number;
  /** Different keys that calls were signed with. */
  readonly keys: number;
  /** Calls that the STS refused, or that the client did not make. */
  readonly errors: readonly string[];
  readonly lastWorked: boolean;
}

/** How a life is cut down: all in milliseconds. */
export interface Rhythm {
  readonly rotations: number;
  /** Between two rotations. */
  readonly everyMs: number;
  /** From the issue to the end that the file says; in whole seconds. */
  readonly fileLifeMs: number;
  /** The session lives on for so long after that; in whole seconds. */
  readonly marginMs: number;
  /** Between two calls. */
  readonly pauseMs: number;
}

/**
 * An hour, its refresh and the margin of files, cut down to seconds. The file lives for four rotations, so that a machine
 * that is busy with other things does not fail the test.
 */
export const RHYTHM: Rhythm = { rotations: 10, everyMs: 2000, fileLifeMs: 8000, marginMs: 2000, pauseMs: 200 };

/** Calls all the time, while the Secret is rotated as told. */
export async function rotate(client: Client, judge: Judge, rhythm: Rhythm): Promise<Rotations> {
  return withConsumer(client, judge, async (consumer) => {
    await showNext(consumer, judge, rhythm);
    await consumer.start();
    await consumer.renew();
    // The process took its time to start.
    await showNext(consumer, judge, rhythm);
    const startMs = Date.now();
    const endMs = startMs + rhythm.rotations * rhythm.everyMs;
    const rotating = (async () => {
      for (let count = 1; count <= rhythm.rotations; count += 1) {
        await sleepUntil(startMs + count * rhythm.everyMs);
        await showNext(consumer, judge, rhythm);
      }
    })();
    const keys = new Set<string>();
    const errors: string[] = [];
    let calls = 0;
    let lastWorked = false;
    // Past the last rotation the client has to come to the last credential too.
    while (Date.now() < endMs + rhythm.fileLifeMs - rhythm.everyMs) {
      const { ok, error, signedBy } = await consumer.call();
      calls += 1;
      lastWorked = ok;
      if (signedBy !== undefined) keys.add(signedBy);
      if (!ok) errors.push(`after ${((Date.now() - startMs) / SECOND_MS).toFixed(1)} s: ${error ?? ''}`);
      await sleepUntil(Date.now() + (client.pauseMs ?? rhythm.pauseMs));
    }
    await rotating;
    return { calls, failed: errors.length, keys: keys.size, errors, lastWorked };
  });
}

/** The life is under three minutes: the renderer takes no margin of its own off it, and writes the end that it is told. */
async function showNext(consumer: Consumer, judge: Judge, { fileLifeMs, marginMs }: Rhythm): Promise<void> {
  // Ends are whole seconds; begin at one, so that both are what is meant.
  const session = await judge.issue((fileLifeMs + marginMs) / SECOND_MS);
  const fileEndMs = session.expirationMs - marginMs;
  await consumer.show(session, { issueTimeMs: fileEndMs - fileLifeMs, expirationTimeMs: fileEndMs });
}

/** Shows a session whose file says that it ends at a time, with the margin that the operator takes off. */
async function showUntil(consumer: Consumer, session: IssuedSession, fileEndMs: number): Promise<void> {
  const expirationTimeMs = fileEndMs + 120 * SECOND_MS;
  await consumer.show(session, { issueTimeMs: expirationTimeMs - HOUR_MS, expirationTimeMs });
}

/** Whether a client that holds a credential, which by its file ends in so many seconds, looks again at one of three calls. */
async function looksAgain(consumer: Consumer, judge: Judge, leftSeconds: number): Promise<boolean> {
  await showUntil(consumer, await judge.issue(HOUR_MS / SECOND_MS), Date.now() + leftSeconds * SECOND_MS);
  await consumer.renew();
  await consumer.call();
  const fresh = await judge.issue(HOUR_MS / SECOND_MS);
  await showUntil(consumer, fresh, Date.now() + HOUR_MS);
  for (let count = 0; count < 3; count += 1) {
    // One of the SDKs refreshes in the background: the call after the next has it.
    if ((await consumer.call()).signedBy === fresh.accessKeyID) return true;
    await sleepUntil(Date.now() + 30);
  }
  return false;
}

/**
 * From how many seconds before the end that a file says a client looks again, found by halving.
 * @returns `always` for one that looks at each call; 0 for one that looks at the end and not before.
 */
export async function findWindow(client: Client, judge: Judge): Promise<number | 'always'> {
  return withConsumer(client, judge, async (consumer) => {
    await showUntil(consumer, await judge.issue(HOUR_MS / SECOND_MS), Date.now() + HOUR_MS);
    await consumer.start();
    if (await looksAgain(consumer, judge, 3000)) return 'always';
    let [looks, doesNot] = [0, 3000];
    while (doesNot - looks > 2) {
      const middle = Math.floor((looks + doesNot) / 2);
      if (await looksAgain(consumer, judge, middle)) {
        looks = middle;
      } else {
        doesNot = middle;
      }
    }
    return looks;
  });
}

/**
 * What it takes that a client has the credential that is in the volume, when the one before says no end soon.
 * @returns with `unreadable` also what the client says.
 */
export async function findBehaviour(
  client: Client,
  judge: Judge,
): Promise<{ readonly behaviour: Behaviour; readonly refusal?: string }> {
  return withConsumer(client, judge, async (consumer) => {
    const first = await judge.issue(HOUR_MS / SECOND_MS);
    await consumer.start();
    await showUntil(consumer, first, Date.now() + HOUR_MS);
    await consumer.renew();
    // Long enough for one call of the slowest.
    const endMs = Date.now() + (client.pauseMs === undefined ? 5 : 10) * SECOND_MS;
    await showUntil(consumer, first, endMs);
    await consumer.renew();
    const { signedBy, error = 'nothing' } = await consumer.call();
    if (signedBy !== first.accessKeyID) return { behaviour: 'unreadable', refusal: error };
    const second = await judge.issue(HOUR_MS / SECOND_MS);
    await showUntil(consumer, second, Date.now() + HOUR_MS);
    await sleepUntil(endMs + SECOND_MS);
    for (let count = 0; count < 3; count += 1) {
      if ((await consumer.call()).signedBy === second.accessKeyID) return { behaviour: 'reloads' };
    }
    await consumer.renew();
    return { behaviour: (await consumer.call()).signedBy === second.accessKeyID ? 'new client' : 'restart' };
  });
}
