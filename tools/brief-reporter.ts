// Promises: a test reporter that prints the failures whole, what tests print, and the counts, and nothing of the two
// thousand tests that pass. https://nodejs.org/api/test.html#custom-reporters
import type { TestEvent } from 'node:test/reporters';
import { inspect } from 'node:util';

/** node:test's counts, in the words of its own reporters. */
const COUNTS = ['tests', 'suites', 'pass', 'fail', 'cancelled', 'skipped', 'todo', 'duration_ms'];

function failure(event: Extract<TestEvent, { type: 'test:fail' }>): string {
  const { name, file, line, details } = event.data;
  const { cause, message } = details.error;
  const isSuite = details.type === 'suite';
  return isSuite ? '' : `✖ ${name} (${file ?? ''}:${line ?? 0})\n${inspect(cause ?? message, { depth: 4 })}\n\n`;
}

/** Yields what is worth reading. */
// oxlint-disable-next-line import/no-default-export -- node:test takes a reporter by its default export
export default async function* briefReporter(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of source) {
    if (event.type === 'test:fail') {
      yield failure(event);
    } else if (event.type === 'test:stdout' || event.type === 'test:stderr') {
      yield event.data.message;
    } else if (event.type === 'test:diagnostic' && COUNTS.includes(event.data.message.split(' ')[0] ?? '')) {
      // Each file of a run of its own has counts too; only the last ones, of the whole run, are nested in nothing.
      if (event.data.nesting === 0) yield `# ${event.data.message}\n`;
    }
  }
}
