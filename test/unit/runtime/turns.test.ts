// The turns of an endpoint: what is kept for whom, and that tenants share.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type TurnRequest, Turns } from '../../../src/runtime/turns.ts';

const at = (nowMs: number, calls = 1): TurnRequest => ({
  nowMs,
  earliestMs: nowMs + 100,
  intervalMs: 100,
  horizonMs: 30_000,
  calls,
});
const caller = (tenant: string, index: number): { tenant: string; key: string } => ({
  tenant,
  key: `${tenant}/${index}`,
});

describe('turns', () => {
  test('follow one another, and a tenant has no more than four', () => {
    const turns = new Turns();
    const booked = [0, 1, 2, 3, 4].map((index) => turns.book(caller('a', index), at(0)));
    assert.deepEqual(booked, [100, 200, 300, 400, undefined]);
    assert.equal(turns.book(caller('b', 0), at(0)), 500, "another tenant's is next");
    turns.end('a/0');
    assert.equal(turns.book(caller('a', 4), at(100)), 600);
  });

  test('keep a call for each whose time has come, but not from himself', () => {
    const turns = new Turns();
    turns.book(caller('a', 0), at(0));
    turns.book(caller('a', 1), at(0, 3));
    assert.equal(turns.keptForOthers(undefined, 99), 0);
    assert.equal(turns.keptForOthers(undefined, 100), 1);
    assert.equal(turns.keptForOthers('a/0', 200), 3);
    assert.equal(turns.keptForOthers(undefined, 200), 4);
  });

  test('that nobody takes are forgotten after five seconds', () => {
    const turns = new Turns();
    turns.book(caller('a', 0), at(0));
    assert.equal(turns.keptForOthers(undefined, 5_100), 1);
    assert.equal(turns.keptForOthers(undefined, 5_101), 0);
    assert.equal(turns.timeMs('a/0'), undefined);
  });

  test('are not given for times beyond the horizon', () => {
    const turns = new Turns();
    assert.equal(turns.book(caller('a', 0), { ...at(0), earliestMs: 30_001 }), undefined);
    assert.equal(turns.askAgainMs('a', { ...at(0), earliestMs: 30_001 }), undefined);
  });

  test("run out within the horizon, and the rest of a tenant's callers are asked to come back one after another", () => {
    const turns = new Turns();
    assert.deepEqual([turns.askAgainMs('a', at(0)), turns.askAgainMs('a', at(0))], [100, 200]);
    // Two tenants: half of the rate each.
    assert.deepEqual([turns.askAgainMs('b', at(0)), turns.askAgainMs('b', at(0))], [100, 300]);
  });

  test('end with the rate that they were made for', () => {
    const turns = new Turns();
    turns.book(caller('a', 0), at(0));
    turns.clear();
    assert.equal(turns.timeMs('a/0'), undefined);
    assert.equal(turns.book(caller('a', 1), at(0)), 100);
    turns.end('a/0');
  });

  test('of tenants that want nothing any more take no share', () => {
    const turns = new Turns();
    turns.askAgainMs('a', at(0));
    turns.askAgainMs('b', at(10_000));
    assert.deepEqual([turns.askAgainMs('b', at(10_000)), turns.askAgainMs('b', at(10_000))], [10_200, 10_300]);
  });
});
