import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DelayHeap } from '../../../src/runtime/delay-heap.ts';

function takeAll(heap: DelayHeap, nowMs = Infinity): string[] {
  const keys: string[] = [];
  for (let key = heap.takeDue(nowMs); key !== undefined; key = heap.takeDue(nowMs)) keys.push(key);
  return keys;
}

test('keys come out in the order of their times, and none before its time', () => {
  const heap = new DelayHeap();
  heap.add('c', 30);
  heap.add('a', 10);
  heap.add('b', 20);
  assert.equal(heap.nextDueMs, 10);
  assert.deepEqual(takeAll(heap, 9), []);
  assert.deepEqual(takeAll(heap, 20), ['a', 'b']);
  assert.deepEqual(takeAll(heap), ['c']);
  assert.equal(heap.nextDueMs, undefined);
});

test('an earlier time wins, a later one is ignored', () => {
  const heap = new DelayHeap();
  heap.add('a', 50);
  heap.add('b', 40);
  heap.add('a', 60);
  assert.equal(heap.size, 2);
  heap.add('a', 30);
  assert.deepEqual(takeAll(heap), ['a', 'b']);
});

test('a key can be forgotten, wherever it stands', () => {
  const heap = new DelayHeap();
  for (const [index, key] of ['a', 'b', 'c', 'd'].entries()) heap.add(key, index);
  heap.delete('b');
  heap.delete('d');
  heap.delete('unknown');
  assert.deepEqual(takeAll(heap), ['a', 'c']);
  heap.add('e', 1);
  heap.clear();
  assert.equal(heap.size, 0);
  assert.deepEqual(takeAll(heap), []);
});

test('after any sequence of additions and deletions the heap agrees with a sorted list', () => {
  const step = fc.record({
    key: fc.integer({ min: 0, max: 15 }).map((number) => `key${number}`),
    dueMs: fc.nat(50),
    action: fc.constantFrom('add', 'add', 'add', 'delete', 'take'),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const heap = new DelayHeap();
      const model = new Map<string, number>();
      for (const { key, dueMs, action } of steps) {
        if (action === 'add') {
          heap.add(key, dueMs);
          model.set(key, Math.min(dueMs, model.get(key) ?? Infinity));
        } else if (action === 'delete') {
          heap.delete(key);
          model.delete(key);
        } else {
          const taken = heap.takeDue(dueMs);
          const earliest = Math.min(...model.values());
          assert.equal(taken === undefined ? earliest > dueMs : model.get(taken) === earliest, true);
          if (taken !== undefined) model.delete(taken);
        }
        assert.equal(heap.size, model.size);
        assert.equal(heap.nextDueMs ?? Infinity, Math.min(...model.values()));
      }
      const left = takeAll(heap).map((key) => model.get(key) ?? Number.NaN);
      assert.deepEqual(
        left,
        [...model.values()].toSorted((a, b) => a - b),
      );
    }),
  );
});
