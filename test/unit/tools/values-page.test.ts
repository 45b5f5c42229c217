// Shows that the page of values says what each takes, and that a value without a description stops the generator.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { valuesPage } from '../../../tools/values-page.ts';

const schema = (properties: object): string => JSON.stringify({ type: 'object', properties });

test('a value is a row with what it takes, its default and its meaning', () => {
  const page = valuesPage(
    schema({
      level: { description: 'How much | little.', enum: ['info', 'debug'] },
      sts: {
        description: 'STS.',
        type: 'object',
        properties: {
          burst: { description: 'At once.', type: 'integer', minimum: 1 },
          endpoints: {
            description: 'More.',
            type: 'array',
            items: { type: 'object', properties: { url: { description: 'Where.', type: 'string' } } },
          },
        },
      },
    }),
    'level: info\nsts:\n  burst: 20\n  endpoints: []\n',
  );
  const rows = page.split('\n').filter((line) => line.startsWith('| `'));
  assert.deepEqual(rows, [
    '| `level` | `info`, `debug` | `"info"` | How much \\| little. |',
    '| `sts` | object |  | STS. |',
    '| `sts.burst` | integer (1 or more) | `20` | At once. |',
    '| `sts.endpoints` | list of objects | `[]` | More. |',
    '| `sts.endpoints[].url` | string |  | Where. |',
  ]);
});

test('a value without a description is refused', () => {
  assert.throws(() => valuesPage(schema({ a: { type: 'string' } }), 'a: b'), /a has no description/);
});
