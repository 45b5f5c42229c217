// Lines out of chunks that know nothing of lines.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { readLines } from '../../../src/kube/json-lines.ts';

async function* chunked(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let start = 0;
  for (let turn = 0; start < bytes.byteLength; turn += 1) {
    const size = Math.max(1, sizes[turn % Math.max(1, sizes.length)] ?? bytes.byteLength);
    yield bytes.subarray(start, start + size);
    start += size;
  }
}

async function lines(text: string, sizes: readonly number[] = [], maxLineBytes = 1_000): Promise<string[]> {
  const found: string[] = [];
  for await (const some of readLines(chunked(Buffer.from(text), sizes), maxLineBytes)) found.push(...some);
  return found;
}

describe('readLines', () => {
  it('gives the same lines however they are cut into chunks, multi-byte characters included', async () => {
    const line = fc.string({ unit: 'binary' }).map((value) => JSON.stringify(value));
    const sizes = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 });
    await fc.assert(
      fc.asyncProperty(fc.array(line), sizes, async (all, chunkSizes) => {
        assert.deepEqual(await lines(all.map((one) => `${one}\n`).join(''), chunkSizes, 100_000), all);
      }),
    );
  });

  it('leaves out blank lines and what follows the last newline', async () => {
    assert.deepEqual(await lines('one\n\n \r\ntwo\nhal'), ['one', 'two']);
  });

  it('refuses a line that is too long, complete or not, and takes one that just fits', async () => {
    assert.deepEqual(await lines('12345\n1\n', [3], 5), ['12345', '1']);
    const tooLong = { name: 'TransportError', kind: 'too-large', code: 'LINE_TOO_LARGE' };
    await assert.rejects(lines('123456\n', [], 5), tooLong);
    await assert.rejects(lines('123456', [2], 5), tooLong);
    await assert.rejects(lines('1\n123456789', [4], 5), tooLong);
  });
});
