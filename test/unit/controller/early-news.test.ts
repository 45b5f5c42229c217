// Promises: news of a key that is being worked on are kept and come back once; of any other key nothing is kept.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EarlyNews } from '../../../src/controller/early-news.ts';

const news = (resourceVersion: string) => ({ type: 'secrets', at: 'shop/orders', resourceVersion });

test('news of a key that is being worked on come back at its end, in order, once', () => {
  const early = new EarlyNews();
  early.begin('shop/orders');
  assert.equal(early.keep('shop/orders', news('1')), true);
  assert.equal(early.keep('shop/orders', news('2')), true);
  assert.deepEqual(early.end('shop/orders'), [news('1'), news('2')]);
  assert.deepEqual(early.end('shop/orders'), []);
});

test('news of a key that nobody works on are not kept', () => {
  const early = new EarlyNews();
  early.begin('shop/other');
  assert.equal(early.keep('shop/orders', news('1')), false);
  early.end('shop/other');
  assert.equal(early.keep('shop/other', news('1')), false);
  assert.deepEqual(early.end('shop/other'), []);
});
