// Promises: what a person reads while the demo runs: calm, narrow, the seconds since the start in front of each fact, no
// colour unless a terminal shows it. Prints what it is given and knows nothing about the demo.
import { styleText } from 'node:util';

const WIDTH = 78;
const INDENT = 10;

/** Prints. */
export class Narrator {
  readonly #stream: NodeJS.WriteStream;
  readonly #startMs = performance.now();

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  /** Text at the left edge. */
  plain(text = ''): void {
    this.#stream.write(`${text}\n`);
  }

  /** What comes now. */
  heading(text: string): void {
    this.plain(`\n${this.#style('bold', text)}`);
  }

  /** Something that was just read from a server; long ones are wrapped. */
  fact(text: string): void {
    const seconds = `${((performance.now() - this.#startMs) / 1000).toFixed(1)} s`.padStart(INDENT - 3);
    const [first = '', ...rest] = wrap(text, WIDTH - INDENT);
    this.plain(`${this.#style('dim', seconds)}   ${first}`);
    for (const line of rest) this.plain(`${' '.repeat(INDENT)}${line}`);
  }

  /** A server's own sentence. */
  quote(text: string): void {
    for (const line of wrap(text, WIDTH - INDENT - 2))
      this.plain(`${' '.repeat(INDENT)}${this.#style('dim', '|')} ${line}`);
  }

  /** Lines as they are, with the command that gives them. */
  block(command: string, text: string): void {
    this.plain(`\n   ${this.#style('dim', '$')} ${command}`);
    for (const line of text.trimEnd().split('\n')) this.plain(`   ${line}`.trimEnd());
    this.plain();
  }

  /** Why it did not work. */
  failure(text: string): void {
    this.plain(`${this.#style('red', 'The demo failed.')}`);
    for (const line of wrap(text, WIDTH)) this.plain(line);
  }

  /** styleText itself leaves colours out where NO_COLOR is set or the stream is no terminal. */
  #style(format: 'bold' | 'dim' | 'red', text: string): string {
    return styleText(format, text, { stream: this.#stream });
  }
}

/** Lines of at most `width` characters; a longer word stays whole. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
