// Reading our own writes: when a mark is settled, pending or stale.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { compareResourceVersions } from '../../../src/kube/resource-version.ts';
import { STALE_AFTER_MS, WriteMarks } from '../../../src/kube/writes.ts';
import { FakeClock } from '../../support/fake-clock.ts';

describe('compareResourceVersions', () => {
  it('orders as unsigned integers of any length', () => {
    const whole = fc.bigInt({ min: 0n, max: 2n ** 128n });
    fc.assert(
      fc.property(whole, whole, (left, right) => {
        const order = compareResourceVersions(String(left), String(right));
        assert.equal(Math.sign(order ?? Number.NaN), left < right ? -1 : left > right ? 1 : 0);
      }),
    );
  });

  it('does not compare what is not an unsigned integer', () => {
    for (const odd of ['', '01', '-1', '1.5', 'abc', '1e3', undefined]) {
      assert.equal(compareResourceVersions(odd, '1'), undefined);
      assert.equal(compareResourceVersions('1', odd), undefined);
    }
  });
});

describe('WriteMarks', () => {
  it('has a key without a write settled', () => {
    assert.equal(new WriteMarks(new FakeClock()).state('secrets', 'a/b', { resourceVersion: undefined }), 'settled');
  });

  it('knows the echo of the last write by its resourceVersion, once, and settles the mark by it', () => {
    const marks = new WriteMarks(new FakeClock());
    marks.mark('secrets', 'a/b', '100');
    assert.equal(marks.takeEcho('secrets', 'a/b', '99'), false);
    assert.equal(marks.takeEcho('secrets', 'a/b', undefined), false);
    assert.equal(marks.takeEcho('other', 'a/b', '100'), false);
    assert.equal(marks.has('secrets', 'a/b'), true);
    assert.equal(marks.takeEcho('secrets', 'a/b', '100'), true);
    assert.equal(marks.takeEcho('secrets', 'a/b', '100'), false);
    assert.equal(marks.size, 0);
  });

  it('takes no event for the echo of a delete', () => {
    const marks = new WriteMarks(new FakeClock());
    marks.markDeleted('secrets', 'a/b', 'uid-1');
    assert.equal(marks.takeEcho('secrets', 'a/b', undefined), false);
    assert.equal(marks.has('secrets', 'a/b'), true);
  });

  it('waits until the cache of the type has seen the write', () => {
    const marks = new WriteMarks(new FakeClock());
    marks.mark('secrets', 'a/b', '100');
    assert.equal(marks.settled('secrets', 'a/b', { resourceVersion: undefined }), false);
    assert.equal(marks.settled('secrets', 'a/b', { resourceVersion: '99' }), false);
    assert.equal(marks.settled('secrets', 'a/b', { resourceVersion: '100' }), true);
    assert.equal(marks.size, 0);
  });

  it('compares by number and not by text', () => {
    const marks = new WriteMarks(new FakeClock());
    marks.mark('secrets', 'a/b', '1000');
    assert.equal(marks.settled('secrets', 'a/b', { resourceVersion: '999' }), false);
  });

  it('keeps types and keys apart', () => {
    const marks = new WriteMarks(new FakeClock());
    marks.mark('secrets', 'a/b', '100');
    assert.equal(marks.settled('workloadcredentials', 'a/b', { resourceVersion: '1' }), true);
    assert.equal(marks.settled('secrets', 'a/c', { resourceVersion: '1' }), true);
    assert.equal(marks.settled('secrets', 'a/b', { resourceVersion: '1' }), false);
  });

  it('waits for the last of several writes', () => {
    const marks = new WriteMarks(new FakeClock());
    marks.mark('secrets', 'a/b', '100');
    marks.mark('secrets', 'a/b', '105');
    assert.equal(marks.settled('secrets', 'a/b', { resourceVersion: '104' }), false);
    assert.equal(marks.settled('secrets', 'a/b', { resourceVersion: '105' }), true);
  });

  it('says stale after five seconds, also when revisions went backwards, until it is dropped', async () => {
    const clock = new FakeClock();
    const marks = new WriteMarks(clock);
    marks.mark('secrets', 'a/b', '5000');
    assert.equal(marks.staleInMs('secrets', 'a/b'), STALE_AFTER_MS);
    await clock.advance(STALE_AFTER_MS - 1);
    assert.equal(marks.state('secrets', 'a/b', { resourceVersion: '12' }), 'pending');
    await clock.advance(1);
    assert.equal(marks.state('secrets', 'a/b', { resourceVersion: '12' }), 'stale');
    assert.equal(marks.staleInMs('secrets', 'a/b'), 0);
    marks.drop('secrets', 'a/b');
    assert.equal(marks.state('secrets', 'a/b', { resourceVersion: '12' }), 'settled');
  });

  it('is not moved by a jump of the wall clock', () => {
    const clock = new FakeClock();
    const marks = new WriteMarks(clock);
    marks.mark('secrets', 'a/b', '5');
    clock.jump(3_600_000);
    assert.equal(marks.state('secrets', 'a/b', { resourceVersion: '1' }), 'pending');
  });

  it('settles a delete when the UID has left the cache', () => {
    const marks = new WriteMarks(new FakeClock());
    marks.markDeleted('secrets', 'a/b', 'uid-1');
    assert.equal(marks.settled('secrets', 'a/b', { resourceVersion: '900', uid: 'uid-1' }), false);
    assert.equal(marks.settled('secrets', 'a/b', { resourceVersion: '900', uid: 'uid-2' }), true);
  });

  it('waits for both where a delete is followed by a create', () => {
    const marks = new WriteMarks(new FakeClock());
    marks.markDeleted('secrets', 'a/b', 'uid-1');
    marks.mark('secrets', 'a/b', '200');
    assert.equal(marks.settled('secrets', 'a/b', { resourceVersion: '200', uid: 'uid-1' }), false);
    assert.equal(marks.settled('secrets', 'a/b', { resourceVersion: '199' }), false);
    assert.equal(marks.settled('secrets', 'a/b', { resourceVersion: '200', uid: 'uid-2' }), true);
  });

  it('forgets the oldest mark when there are too many', () => {
    const marks = new WriteMarks(new FakeClock(), 2);
    for (const key of ['a/1', 'a/2', 'a/1', 'a/3']) marks.mark('secrets', key, '9');
    assert.equal(marks.size, 2);
    assert.equal(marks.state('secrets', 'a/2', { resourceVersion: '1' }), 'settled');
    assert.equal(marks.state('secrets', 'a/1', { resourceVersion: '1' }), 'pending');
  });
});
