// The average of what an endpoint was granted: it fades with time, however often somebody looks.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LimiterDemand } from '../../../src/telemetry/limiter-demand.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const KEY = 'AWS/1/sts';

/** Grants at a steady pace for so long, looking every so often; the last answer. */
async function steady(minutes: number, perSecond: number, everySeconds: number): Promise<number> {
  const clock = new FakeClock();
  const demand = new LimiterDemand(clock, 10);
  demand.look([{ key: KEY, granted: 0 }]);
  let seconds = 0;
  let part = 0;
  while (seconds < minutes * 60) {
    seconds += everySeconds;
    await clock.advance(everySeconds * 1_000);
    part = demand.look([{ key: KEY, granted: seconds * perSecond }]).get(KEY) ?? Number.NaN;
  }
  return part;
}

test('a steady pace is told as its part of the rate', async () => {
  assert.equal((await steady(60, 7, 30)).toFixed(2), '0.70');
});

test('how often one looks changes nothing', async () => {
  assert.ok(Math.abs((await steady(10, 5, 1)) - (await steady(10, 5, 60))) < 0.001);
});

test('a rush of a minute is not taken for a pace', async () => {
  assert.ok((await steady(1, 10, 10)) < 0.2);
});

test('an endpoint is at nothing when it is first seen, whatever it was granted before', () => {
  const demand = new LimiterDemand(new FakeClock(), 10);
  assert.deepEqual([...demand.look([{ key: KEY, granted: 5_000 }])], [[KEY, 0]]);
});

test('two looks at one moment agree', async () => {
  const clock = new FakeClock();
  const demand = new LimiterDemand(clock, 10);
  demand.look([{ key: KEY, granted: 0 }]);
  await clock.advance(60_000);
  const first = demand.look([{ key: KEY, granted: 300 }]).get(KEY);
  assert.equal(demand.look([{ key: KEY, granted: 300 }]).get(KEY), first);
});

test('an endpoint that the limiter forgot is forgotten, and counts from anew when it comes back', async () => {
  const clock = new FakeClock();
  const demand = new LimiterDemand(clock, 10);
  demand.look([{ key: KEY, granted: 500 }]);
  assert.deepEqual([...demand.look([])], []);
  await clock.advance(60_000);
  assert.deepEqual([...demand.look([{ key: KEY, granted: 1_000 }])], [[KEY, 0]]);
  await clock.advance(60_000);
  assert.deepEqual([...demand.look([{ key: KEY, granted: 3 }])], [[KEY, 0]]);
});
