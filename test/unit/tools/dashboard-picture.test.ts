// A drawing of a dashboard's panels: it says what it is, names its lines, and no text of a label ends an element.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dashboardPicture, inUnit, type PicturePanel } from '../../../tools/dashboard-picture.ts';

const panel = (over: Partial<PicturePanel> = {}): PicturePanel => ({
  title: 'Memory',
  type: 'timeseries',
  unit: 'bytes',
  gridPos: { x: 0, y: 0, w: 12, h: 8 },
  series: [
    {
      name: 'a',
      points: [
        [0, 0],
        [1, 2 ** 20],
      ],
    },
  ],
  ...over,
});

const draw = (...panels: PicturePanel[]): string =>
  dashboardPicture({ title: 'T', captions: ['no screenshot'], startSeconds: 0, endSeconds: 10, panels, marks: [] });

test('has its captions, a title and a line for each series', () => {
  const picture = draw(panel());
  assert.match(picture, /no screenshot/);
  assert.match(picture, />Memory</);
  assert.equal(picture.match(/<path d="M[^"]+"/g)?.length, 1);
  assert.match(picture, />1 MiB</);
});

test('leaves a gap where there are no data, and out what is no number', () => {
  const points = [
    [0, 1],
    [1, 1],
    [2, Number.NaN],
    [8, 1],
  ] as const;
  const [path = ''] = draw(panel({ series: [{ name: 'a', points }] })).match(/<path d="[^"]+"/) ?? [];
  assert.equal(path.match(/M/g)?.length, 2);
  assert.doesNotMatch(path, /NaN/);
});

test('writes markup of a name as text', () => {
  const picture = draw(panel({ title: '<b>"&', series: [{ name: '</svg>', points: [[0, 1]] }] }));
  assert.match(picture, /&lt;b&gt;&quot;&amp;/);
  assert.equal(picture.match(/<\/svg>/g)?.length, 1);
});

test('of a single value is its last, or that there is none', () => {
  const points = [
    [0, 1],
    [1, 0.25],
  ] as const;
  assert.match(draw(panel({ type: 'stat', unit: 'percentunit', series: [{ name: '', points }] })), />25%</);
  assert.match(draw(panel({ type: 'stat', series: [] })), />no data</);
});

test('values are in their units', () => {
  assert.deepEqual(
    [
      inUnit(0.0123, 's'),
      inUnit(90, 's'),
      inUnit(2 ** 20, 'bytes'),
      inUnit(0.5, 'percentunit'),
      inUnit(1_234.56, undefined),
    ],
    ['12.3 ms', '90 s', '1 MiB', '50%', '1234.6'],
  );
});
