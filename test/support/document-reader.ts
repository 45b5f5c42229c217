// Promises: a person who types what the documentation says: takes blocks of commands from a page, replaces the words in
// capitals that the page leaves to the reader and nothing else, and runs them in a checkout of their own with bash, kubectl
// and helm. What a bed needs in the place of the real clouds is given to `helm install` as further values. Knows which blocks
// it has run.
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureBinaries } from '../beds/binaries.ts';
import { runCommand } from '../beds/command.ts';
import { type CodeBlock, codeBlocks, isRunBy, textOf } from '../unit/docs/markdown.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** What a reader has of the repository, as far as commands name it. */
const CHECKOUT = ['helm', 'deploy', 'crds'];
const BLOCK_TIMEOUT_MS = 180_000;

/** Words that the page leaves to the reader, and what this one takes for them. */
export type Words = Readonly<Record<string, string>>;

/** Which blocks. */
export interface Passage {
  readonly page: string;
  /** The heading that they stand under. */
  readonly section: string;
  /** The one that begins so; without it all of the section that the test runs. */
  readonly begins?: string;
  readonly words?: Words;
  /** Values of the chart that a bed needs and the page's reader does not, as `helm install --set` takes them. */
  readonly values?: readonly string[];
}

/** One block that was run. */
export interface Outcome {
  readonly block: CodeBlock;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a block is known. */
export function blockID(page: string, { line }: CodeBlock): string {
  return `${page}:${line}`;
}

/** Replaces whole words in capitals; one that a colon follows is a column's heading. */
export function replaceWords(text: string, words: Words): string {
  return Object.entries(words).reduce(
    (replaced, [word, value]) => replaced.replaceAll(new RegExp(`\\b${word}\\b(?!:)`, 'g'), () => value),
    text,
  );
}

/** Puts further values behind the chart's name wherever a release is installed. */
export function withValues(text: string, values: readonly string[]): string {
  const further = values.map((value) => ` --set '${value}'`).join('');
  return text.replaceAll(/^helm install \S+ \S+/gm, (command) => `${command}${further}`);
}

/** Reads pages and types. */
export class DocumentReader {
  /** Where it types; files that commands write are here. */
  readonly directory: string;
  /** Blocks that it has run. */
  readonly done = new Set<string>();
  readonly #testFile: string;
  readonly #env: Readonly<Record<string, string>>;

  private constructor(directory: string, testFile: string, env: Readonly<Record<string, string>>) {
    this.directory = directory;
    this.#testFile = testFile;
    this.#env = env;
  }

  /**
   * @param at a directory that does not exist yet. @param testFile the file of marks: only what names it is run.
   * @param env further variables, KUBECONFIG for one. @param programs directories of what pages use beside kubectl and helm.
   */
  static async at(
    at: string,
    testFile: string,
    env: Readonly<Record<string, string>>,
    programs: readonly string[] = [],
  ): Promise<DocumentReader> {
    const binaries = await ensureBinaries(['kubectl', 'helm']);
    const directory = join(at, 'checkout');
    mkdirSync(directory, { recursive: true });
    for (const name of CHECKOUT) cpSync(join(ROOT, name), join(directory, name), { recursive: true });
    const own = [dirname(binaries.path('kubectl')), dirname(binaries.path('helm'))];
    const path = [...own, '/usr/bin', '/bin', ...programs].join(':');
    return new DocumentReader(directory, testFile, { HOME: at, PATH: path, ...env });
  }

  /** The blocks of a passage. @throws Error when there is none. */
  blocks({ page, section, begins = '' }: Passage): CodeBlock[] {
    const found = codeBlocks({ path: page, text: textOf(page) }).filter(
      (block) =>
        block.language === 'sh' &&
        isRunBy(this.#testFile, block.mark) &&
        block.section === section &&
        block.text.startsWith(begins),
    );
    if (found.length === 0) throw new Error(`${page}, "${section}": no block that ${this.#testFile} runs begins so`);
    return found;
  }

  /** Runs a passage, block by block. @throws Error with what bash said when one fails. */
  async run(passage: Passage): Promise<Outcome[]> {
    const outcomes: Outcome[] = [];
    for (const block of this.blocks(passage)) {
      const id = blockID(passage.page, block);
      const text = withValues(replaceWords(block.text, passage.words ?? {}), passage.values ?? []);
      const { stdout, stderr, code } = await this.type(text);
      if (code !== 0) throw new Error(`${id} ended with ${code}:\n${block.text}\n${stdout}\n${stderr}`);
      this.done.add(id);
      outcomes.push({ block, stdout, stderr });
    }
    return outcomes;
  }

  /** Runs a script; a status other than 0 is an answer. */
  async type(script: string): Promise<{ stdout: string; stderr: string; code: number | null }> {
    const file = join(this.directory, '.block.sh');
    writeFileSync(file, script);
    return await runCommand('/bin/bash', ['-euo', 'pipefail', file], {
      env: this.#env,
      cwd: this.directory,
      timeoutMs: BLOCK_TIMEOUT_MS,
    });
  }
}
