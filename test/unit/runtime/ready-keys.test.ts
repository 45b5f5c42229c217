import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ReadyKeys } from '../../../src/runtime/ready-keys.ts';

function takeAll(ready: ReadyKeys): string[] {
  const keys: string[] = [];
  for (let next = ready.shift(); next !== undefined; next = ready.shift()) keys.push(next.key);
  return keys;
}

test('the most urgent class comes first, whatever came first', () => {
  const ready = new ReadyKeys();
  ready.push('retry', 4, 'x');
  ready.push('due', 3, 'x');
  ready.push('dying', 0, 'x');
  assert.equal(ready.urgencyOf('due'), 3);
  assert.deepEqual(takeAll(ready), ['dying', 'due', 'retry']);
  assert.equal(ready.urgencyOf('due'), undefined);
});

test('tenants take turns, and inside a tenant the first comes first', () => {
  const ready = new ReadyKeys();
  for (const key of ['a1', 'a2', 'a3', 'a4', 'b1', 'b2', 'c1']) ready.push(key, 1, key.charAt(0));
  assert.deepEqual(takeAll(ready), ['a1', 'b1', 'c1', 'a2', 'b2', 'a3', 'a4']);
});

test('ten thousand keys of one tenant delay a key of another by one turn', () => {
  const ready = new ReadyKeys();
  for (let i = 0; i < 10_000; i += 1) ready.push(`big${i}`, 1, 'big');
  for (let i = 0; i < 5; i += 1) ready.shift();
  ready.push('small', 1, 'small');
  assert.equal(ready.shift()?.key, 'big5');
  assert.equal(ready.shift()?.key, 'small');
  assert.equal(ready.shift()?.key, 'big6');
});

test('a key that is taken out of the middle leaves no trace', () => {
  const ready = new ReadyKeys();
  for (const key of ['a1', 'a2', 'a3', 'b1']) ready.push(key, 1, key.charAt(0));
  ready.delete('a2');
  ready.delete('b1');
  ready.delete('unknown');
  assert.equal(ready.size, 2);
  assert.equal(ready.sizeOf(1), 2);
  assert.equal(ready.sizeOf(7), 0);
  assert.deepEqual(takeAll(ready), ['a1', 'a3']);
});

test('after it was empty it works as before', () => {
  const ready = new ReadyKeys();
  assert.equal(ready.shift(), undefined);
  for (const round of ['1', '2', '3']) {
    ready.push(`a${round}`, 0, 'a');
    assert.deepEqual(takeAll(ready), [`a${round}`]);
    assert.equal(ready.shift(), undefined);
  }
});

test('after any sequence of steps the order agrees with a plain list', () => {
  const step = fc.record({
    key: fc.nat(30),
    urgency: fc.nat(2),
    action: fc.constantFrom('push', 'push', 'delete', 'shift'),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const ready = new ReadyKeys();
      // The model: by class the turns of the tenants, each a list of keys.
      const model = [0, 1, 2].map(() => [] as { tenant: string; keys: string[] }[]);
      const without = (key: string): void => {
        for (const turns of model) {
          for (const turn of turns) turn.keys = turn.keys.filter((other) => other !== key);
          const left = turns.filter((turn) => turn.keys.length > 0);
          turns.splice(0, turns.length, ...left);
        }
      };
      for (const { key: number, urgency, action } of steps) {
        const key = `k${number}`;
        const tenant = `t${number % 4}`;
        if (action === 'push' && ready.urgencyOf(key) === undefined) {
          ready.push(key, urgency, tenant);
          const turn = model[urgency]?.find((other) => other.tenant === tenant);
          if (turn === undefined) model[urgency]?.push({ tenant, keys: [key] });
          else turn.keys.push(key);
        } else if (action === 'delete') {
          ready.delete(key);
          without(key);
        } else if (action === 'shift') {
          const turns = model.find((other) => other.length > 0);
          const turn = turns?.shift();
          assert.equal(ready.shift()?.key, turn?.keys.shift());
          if (turn !== undefined && turn.keys.length > 0) turns?.push(turn);
        }
        const sizes = model.map((turns) => turns.reduce((sum, turn) => sum + turn.keys.length, 0));
        assert.deepEqual(
          [0, 1, 2].map((each) => ready.sizeOf(each)),
          sizes,
        );
        assert.equal(
          ready.size,
          sizes.reduce((sum, size) => sum + size, 0),
        );
      }
    }),
  );
});
