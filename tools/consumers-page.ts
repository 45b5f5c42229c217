// Promises: docs/reference/consumers.md, from the results of the last whole run of the consumers. Same input, same text. May
// not write files or start a client.
import type { ResultRow, Results } from '../test/consumers/results.ts';

const CLOUDS: Readonly<Record<string, string>> = {
  AWS: 'AWS',
  AlibabaCloud: 'Alibaba Cloud',
  Volcengine: 'Volcengine',
};

const BEHAVIOURS: Readonly<Record<ResultRow['behaviour'], string>> = {
  reloads: 'yes',
  'new client': 'no: a new client in the same process',
  restart: 'no: a restart',
  unreadable: 'does not read the file',
};

function windowOf({ behaviour, window }: ResultRow): string {
  if (behaviour !== 'reloads') return '';
  if (window === undefined) return 'when the file has changed';
  if (window === 'always') return 'at each command';
  if (window === 0) return 'at the end, not before';
  return window % 60 === 0 ? `${window / 60} min before` : `${window} s before`;
}

function failures({ failed }: ResultRow): string {
  if (failed === undefined) return '';
  return failed ? 'failed after the first end' : 'none failed';
}

/** The page. */
export function consumersPage({ rows }: Results): string {
  const header = [
    'client',
    'version',
    'format',
    'a running process takes the new credential',
    'looks again',
    'calls over ten rotations',
  ];
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const table = [
    line(header),
    line(header.map(() => '---')),
    ...rows.map((row) =>
      line([row.client, row.version, `\`${row.format}\``, BEHAVIOURS[row.behaviour], windowOf(row), failures(row)]),
    ),
  ];
  const clouds = [...new Set(rows.map(({ cloud }) => CLOUDS[cloud] ?? cloud))].join(', ');
  return [
    '<!-- Generated from test/consumers/results.json by `npm run generate`. Do not edit. -->',
    '',
    '# Consumers, as tested',
    '',
    `Clients of ${clouds}, in their default set-up, with the Secret mounted where they look by default and swapped as kubelet swaps it. Each`,
    'call is judged by an STS that checks key, signature, session token and the end of the session. `npm run test:consumers` repeats it all.',
    '',
    ...table,
    '',
    '`spec.secret.data` is a file of your own: [the profile that needs no command](../consuming.md#without-cat).',
    '',
    '"Looks again" is counted from the end that the file says, which is two minutes before the true one: see',
    '[the end that files say](secret.md#the-end-that-files-say). It was found by writing other ends, not by waiting.',
    '',
    'What to make of it, and what is known of other clients: [consuming credentials](../consuming.md).',
    '',
  ].join('\n');
}
