// Promises: an SVG of a dashboard's panels from the answers of its queries: a drawing, not what Grafana shows, and it says so
// in itself. Same input, same text. Reads and writes nothing.

/** One line of a panel. */
export interface PictureSeries {
  readonly name: string;
  /** Seconds since the epoch, and the value. */
  readonly points: readonly (readonly [number, number])[];
}

/** One panel. */
export interface PicturePanel {
  readonly title: string;
  readonly type: 'stat' | 'timeseries';
  /** Grafana's unit, such as `s` or `percentunit`. */
  readonly unit: string | undefined;
  /** In Grafana's grid of 24 columns. */
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly series: readonly PictureSeries[];
}

/** A span of the time that is marked across the graphs. */
export interface PictureMark {
  readonly title: string;
  readonly fromSeconds: number;
  readonly toSeconds: number;
}

/** The whole picture. */
export interface Picture {
  readonly title: string;
  /** What it is and is not, one line each. */
  readonly captions: readonly string[];
  readonly startSeconds: number;
  readonly endSeconds: number;
  readonly panels: readonly PicturePanel[];
  readonly marks: readonly PictureMark[];
}

const COLUMN = 50;
const ROW = 26;
const GAP = 8;
const TOP = 74;
const COLOURS = ['#2f6fb7', '#c2571a', '#3b8a3e', '#8a4fb0', '#b58900', '#00838f', '#b03060', '#5d6d7e'];

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

const round = (value: number): string => String(Math.round(value * 10) / 10);

const UNITS: Readonly<Record<string, (value: number) => string>> = {
  percentunit: (value) => `${round(value * 100)}%`,
  s: (value) => (Math.abs(value) < 1 ? `${round(value * 1_000)} ms` : `${round(value)} s`),
  bytes: (value) => `${round(value / 2 ** 20)} MiB`,
};

/** A value in a unit of Grafana's, short. */
export function inUnit(value: number, unit = ''): string {
  const plain = Math.abs(value) < 10 ? String(Math.round(value * 100) / 100) : round(value);
  return UNITS[unit]?.(value) ?? plain;
}

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

function text(x: number, y: number, content: string, more = ''): string {
  return `<text x="${round(x)}" y="${round(y)}" ${more}>${escaped(content)}</text>`;
}

function boxOf({ gridPos: { x, y, w, h } }: PicturePanel): Box {
  return { x: x * COLUMN + GAP, y: TOP + y * ROW, width: w * COLUMN - GAP, height: h * ROW - GAP };
}

function stat(panel: PicturePanel, box: Box): string[] {
  const value = panel.series[0]?.points.at(-1)?.[1];
  const shown = value === undefined ? 'no data' : inUnit(value, panel.unit);
  return [text(box.x + box.width / 2, box.y + box.height / 2 + 16, shown, 'class="value" text-anchor="middle"')];
}

function graph(panel: PicturePanel, box: Box, picture: Picture): string[] {
  const plot = { x: box.x + 52, y: box.y + 26, width: box.width - 62, height: box.height - 64 };
  const values = panel.series.flatMap(({ points }) => points.map(([, value]) => value)).filter(Number.isFinite);
  const top = Math.max(0, ...values) || 1;
  const bottom = Math.min(0, ...values);
  const { startSeconds, endSeconds } = picture;
  const xOf = (seconds: number): number =>
    plot.x + (plot.width * (seconds - startSeconds)) / (endSeconds - startSeconds);
  const yOf = (value: number): number => plot.y + plot.height * (1 - (value - bottom) / (top - bottom));
  const marks = picture.marks.map(({ fromSeconds, toSeconds }) => {
    const width = round(xOf(toSeconds) - xOf(fromSeconds));
    return `<rect class="mark" x="${round(xOf(fromSeconds))}" y="${round(plot.y)}" width="${width}" height="${round(plot.height)}"/>`;
  });
  const grid = [top, (top + bottom) / 2, bottom].flatMap((value) => [
    `<line class="grid" x1="${round(plot.x)}" x2="${round(plot.x + plot.width)}" y1="${round(yOf(value))}" y2="${round(yOf(value))}"/>`,
    text(plot.x - 6, yOf(value) + 4, inUnit(value, panel.unit), 'class="axis" text-anchor="end"'),
  ]);
  const lines = panel.series.map(({ points }, index) => {
    const colour = COLOURS[index % COLOURS.length] ?? '#000';
    return `<path d="${pathOf(points, xOf, yOf)}" stroke="${colour}"/>`;
  });
  const base = plot.y + plot.height + 14;
  const axis = [
    text(plot.x, base, '0 s', 'class="axis"'),
    text(plot.x + plot.width, base, `${round(endSeconds - startSeconds)} s`, 'class="axis" text-anchor="end"'),
  ];
  return [...marks, ...grid, ...lines, ...axis, ...legend(panel, box)];
}

/** A gap in the data, such as a hand-over, is a gap in the line. */
function pathOf(
  points: PictureSeries['points'],
  xOf: (seconds: number) => number,
  yOf: (value: number) => number,
): string {
  const MOST_SECONDS = 2.5;
  let before = Number.NEGATIVE_INFINITY;
  return points
    .filter(([, value]) => Number.isFinite(value))
    .map(([seconds, value]) => {
      const move = seconds - before > MOST_SECONDS ? 'M' : 'L';
      before = seconds;
      return `${move}${round(xOf(seconds))} ${round(yOf(value))}`;
    })
    .join('');
}

/** Lines that are never more than nothing are drawn, but not named. */
function legend({ series }: PicturePanel, box: Box): string[] {
  const CHARACTER = 6;
  const named = series.filter(({ points }) => points.some(([, value]) => value !== 0));
  let x = box.x + 10;
  const y = box.y + box.height - 10;
  const parts: string[] = [];
  for (const [place, each] of named.entries()) {
    const { name } = each;
    const index = series.indexOf(each);
    const width = 18 + name.length * CHARACTER;
    if (x + width > box.x + box.width - (place < named.length - 1 ? 60 : 0)) {
      parts.push(text(x, y, `and ${named.length - place} more`, 'class="axis"'));
      break;
    }
    parts.push(
      `<rect x="${round(x)}" y="${round(y - 7)}" width="8" height="8" fill="${COLOURS[index % COLOURS.length] ?? ''}"/>`,
    );
    parts.push(text(x + 11, y, name, 'class="axis"'));
    x += width;
  }
  return parts;
}

function drawn(panel: PicturePanel, picture: Picture): string {
  const box = boxOf(panel);
  const inside = panel.type === 'stat' ? stat(panel, box) : graph(panel, box, picture);
  return [
    `<rect class="panel" x="${box.x}" y="${box.y}" width="${box.width}" height="${box.height}" rx="3"/>`,
    text(box.x + 10, box.y + 17, panel.title, 'class="title"'),
    ...inside,
  ].join('\n');
}

/** Draws it. */
export function dashboardPicture(picture: Picture): string {
  const boxes = picture.panels.map(boxOf);
  const width = 24 * COLUMN + GAP;
  const height = Math.max(0, ...boxes.map(({ y, height: own }) => y + own)) + GAP;
  const captions = picture.captions.map((line, index) => text(GAP, 38 + index * 16, line, 'class="caption"'));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="Helvetica, Arial, sans-serif">`,
    `<style>.panel{fill:#fff;stroke:#d5d9de}.title{font-size:12px;font-weight:bold;fill:#222}.axis{font-size:10px;fill:#555}.caption{font-size:12px;fill:#444}.value{font-size:26px;fill:#2f6fb7}.grid{stroke:#e6e9ec}.mark{fill:#f6d7cf;opacity:.6}path{fill:none;stroke-width:1.5}</style>`,
    `<rect width="${width}" height="${height}" fill="#f4f5f7"/>`,
    text(GAP, 20, picture.title, 'font-size="16" font-weight="bold" fill="#222"'),
    ...captions,
    ...picture.panels.map((panel) => drawn(panel, picture)),
    '</svg>\n',
  ].join('\n');
}
