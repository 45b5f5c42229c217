// Promises: Events of both groups: one store, two forms, and the strictness of events.k8s.io.
import assert from 'node:assert/strict';
import type { ConformanceCase } from '../scene.ts';
import { coreEvent, newEvent } from './samples.ts';

export const eventCases: readonly ConformanceCase[] = [
  {
    name: 'an Event of events.k8s.io is read in both groups',
    run: async (s) => {
      const made = await s.post(s.newEvents(), newEvent(s.namespace, 'a'));
      assert.equal(made.note, 'issued');
      const core = await s.get(s.coreEvents('a'));
      assert.equal(core.message, 'issued');
      assert.equal(core.involvedObject.name, 'orders');
      await s.get(s.newEvents('a'));
      await s.delete(s.coreEvents('a'));
      await s.get(s.newEvents('a'), 404);
    },
  },
  {
    name: 'an Event of the core group is read in both groups',
    run: async (s) => {
      await s.post(s.coreEvents(), coreEvent(s.namespace, 'a'));
      const seen = await s.get(s.newEvents('a'));
      assert.equal(seen.note, 'seen');
      assert.equal(seen.deprecatedCount, 1);
    },
  },
  {
    name: 'an Event gets a series by a patch',
    run: async (s) => {
      await s.post(s.newEvents(), newEvent(s.namespace, 'a'));
      const series = { count: 2, lastObservedTime: '2020-01-01T00:00:05.000000Z' };
      const patched = await s.merge(s.newEvents('a'), { series });
      assert.deepEqual(patched.series, series);
      await s.merge(s.newEvents('a'), { series: { count: 3 } });
      await s.get(s.coreEvents('a'));
    },
  },
  {
    name: 'an Event does not change otherwise',
    run: async (s) => {
      await s.post(s.newEvents(), newEvent(s.namespace, 'a'));
      await s.merge(s.newEvents('a'), { reason: 'Other' }, 422);
    },
  },
  {
    name: 'an Event does not change its note, type or what it regards',
    run: async (s) => {
      await s.post(s.newEvents(), newEvent(s.namespace, 'a'));
      await s.merge(s.newEvents('a'), { note: 'other' }, 422);
      await s.merge(s.newEvents('a'), { type: 'Warning' }, 422);
      await s.merge(s.newEvents('a'), { regarding: { name: 'other' } }, 422);
      await s.merge(s.newEvents('a'), { eventTime: '2020-01-01T00:00:01.000000Z' }, 422);
    },
  },
  {
    name: 'an Event that lacks something',
    run: async (s) => {
      for (const field of ['eventTime', 'reportingController', 'reportingInstance', 'action', 'reason', 'type']) {
        const { [field]: _left, ...rest } = newEvent(s.namespace, 'a');
        await s.post(s.newEvents(), rest, 422);
      }
    },
  },
  {
    name: 'an Event without a note, and without what it regards',
    run: async (s) => {
      const { note: _note, ...silent } = newEvent(s.namespace, 'a');
      await s.post(s.newEvents(), silent);
      const { regarding: _regarding, ...lost } = newEvent(s.namespace, 'b');
      await s.post(s.newEvents(), lost, 422);
    },
  },
  {
    name: 'an Event is Normal or a Warning',
    run: async (s) => {
      await s.post(s.newEvents(), newEvent(s.namespace, 'a', { type: 'Odd' }), 422);
    },
  },
  {
    name: 'texts of an Event have limits',
    run: async (s) => {
      await s.post(s.newEvents(), newEvent(s.namespace, 'a', { note: 'x'.repeat(1025) }), 422);
      await s.post(s.newEvents(), newEvent(s.namespace, 'a', { note: 'x'.repeat(1024) }));
      await s.post(s.newEvents(), newEvent(s.namespace, 'b', { reason: 'x'.repeat(129) }), 422);
      await s.post(s.newEvents(), newEvent(s.namespace, 'b', { action: 'x'.repeat(129) }), 422);
      await s.post(s.newEvents(), newEvent(s.namespace, 'b', { reportingInstance: 'x'.repeat(129) }), 422);
      await s.post(s.newEvents(), newEvent(s.namespace, 'b', { reportingController: 'not a name' }), 422);
    },
  },
  {
    name: 'the time of an Event has six digits',
    run: async (s) => {
      for (const eventTime of ['2020-01-01T00:00:00Z', '2020-01-01T00:00:00.123Z', '2020-01-01T00:00:00.1234567Z']) {
        await s.post(s.newEvents(), newEvent(s.namespace, 'a', { eventTime }), 400);
      }
    },
  },
  {
    name: 'an Event is in the namespace of what it regards',
    run: async (s) => {
      const regarding = { kind: 'Secret', namespace: 'default', name: 'x', uid: 'y' };
      await s.post(s.newEvents(), newEvent(s.namespace, 'a', { regarding }));
      await s.post(s.coreEvents(), coreEvent(s.namespace, 'b', { involvedObject: regarding }), 422);
    },
  },
  {
    name: 'a series of one is none',
    run: async (s) => {
      const series = { count: 1, lastObservedTime: '2020-01-01T00:00:05.000000Z' };
      await s.post(s.newEvents(), newEvent(s.namespace, 'a', { series }), 422);
    },
  },
  {
    name: 'Events with generated names',
    run: async (s) => {
      const event = newEvent(s.namespace, '', { metadata: { generateName: 'orders.', namespace: s.namespace } });
      await s.post(s.newEvents(), event, 422);
      await s.post(s.newEvents(), { ...event, metadata: { generateName: 'orders-', namespace: s.namespace } });
    },
  },
  {
    name: 'an Event of the core group is counted up by a patch',
    run: async (s) => {
      await s.post(s.coreEvents(), coreEvent(s.namespace, 'a'));
      const patched = await s.merge(s.coreEvents('a'), { count: 2, lastTimestamp: '2020-01-01T00:01:00Z' });
      assert.equal(patched.count, 2);
    },
  },
];
