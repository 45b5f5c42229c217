// Promises: cuts a stream of bytes into lines, whatever the chunks: lines and multi-byte characters may be split
// anywhere. A line has a bound, so that a broken server cannot fill the memory. May not parse what is in a line.
import { TransportError } from '../transport/transport.ts';

const NEWLINE = 0x0a;

function decode(parts: readonly Uint8Array[]): string {
  const [first] = parts;
  if (first === undefined) return '';
  const whole = parts.length === 1 ? first : Buffer.concat(parts);
  return Buffer.from(whole.buffer, whole.byteOffset, whole.byteLength).toString('utf8');
}

/**
 * The lines that each chunk completes, without blank ones. What follows the last newline when the stream ends is left
 * out: it is half of something that the server will send again.
 * @throws TransportError of kind `too-large` when a line is longer than `maxLineBytes`.
 */
export async function* readLines(chunks: AsyncIterable<Uint8Array>, maxLineBytes: number): AsyncGenerator<string[]> {
  let parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      checkLength(length + end - start, maxLineBytes);
      parts.push(chunk.subarray(start, end));
      const line = decode(parts);
      if (line.trim() !== '') lines.push(line);
      parts = [];
      length = 0;
      start = end + 1;
    }
    length += chunk.byteLength - start;
    checkLength(length, maxLineBytes);
    if (start < chunk.byteLength) parts.push(chunk.subarray(start));
    if (lines.length > 0) yield lines;
  }
}

function checkLength(length: number, maxLineBytes: number): void {
  if (length > maxLineBytes) {
    throw new TransportError('too-large', 'LINE_TOO_LARGE', `a line of the watch is longer than ${maxLineBytes} bytes`);
  }
}
