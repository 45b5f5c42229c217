// Promises: the project's hand-written and generated Markdown, and what tests ask of it: headings as GitHub anchors them,
// links, code spans, code blocks. Knows only the Markdown that these pages use. May not write anything.
import { existsSync, readdirSync, readFileSync } from 'node:fs';

export const ROOT = new URL('../../../', import.meta.url);

/** One page. */
export interface Page {
  /** In the repository, such as `docs/runbook.md`. */
  readonly path: string;
  readonly text: string;
}

/** What the comment on the line before a block says of it. */
export interface Mark {
  /** `run`: each test executes the block's text; `tested by`: the same is done there; `needs`: what we do not have. */
  readonly kind: 'run' | 'tested by' | 'needs';
  /** The test files, behind commas, or what is needed. */
  readonly value: string;
}

/** The test files of a mark; none where it says what is needed. */
export function filesOf({ kind, value }: Mark): readonly string[] {
  return kind === 'needs' ? [] : value.split(', ');
}

/** Whether a test executes the block's text. */
export function isRunBy(file: string, mark: Mark | undefined): boolean {
  return mark?.kind === 'run' && filesOf(mark).includes(file);
}

/** A block between fences. */
export interface CodeBlock {
  readonly language: string;
  readonly text: string;
  /** The page's line of the opening fence, from 1. */
  readonly line: number;
  /** The heading that it stands under. */
  readonly section: string;
  readonly mark: Mark | undefined;
}

/** The text of a file of the repository. */
export function textOf(path: string): string {
  return readFileSync(new URL(path, ROOT), 'utf8');
}

/** Whether the repository has the file or directory. */
export function exists(path: string): boolean {
  return existsSync(new URL(path, ROOT));
}

/** Every page: of the root directory, and of docs with all that is below. */
export function pages(): Page[] {
  const inRoot = readdirSync(ROOT).filter((name) => name.endsWith('.md'));
  const inDocs = readdirSync(new URL('docs/', ROOT), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name.replaceAll('\\', '/')}`);
  return [...inRoot, ...inDocs].sort().map((path) => ({ path, text: textOf(path) }));
}

/** Whether a page is written by hand: generated ones say so in their first line. */
export function isHandWritten({ text }: Page): boolean {
  return !text.startsWith('<!-- Generated');
}

const FENCE = /^```(\w*)\n([\s\S]*?)^```$/gm;

const MARK = /^<!-- (run|tested by|needs): (\S(?:.*\S)?) -->$/;

function markOf(line: string): Mark | undefined {
  const [, kind, value = ''] = MARK.exec(line) ?? [];
  return kind === undefined ? undefined : { kind: kind as Mark['kind'], value };
}

/** The blocks between fences. */
export function codeBlocks({ text }: Page): CodeBlock[] {
  return [...text.matchAll(FENCE)].map((match) => {
    const [, language = '', block = ''] = match;
    const before = prose({ path: '', text: text.slice(0, match.index) });
    return {
      language,
      text: block,
      line: text.slice(0, match.index).split('\n').length,
      section: /^#{1,6} (.+)$/.exec(before.split('\n').findLast((line) => /^#{1,6} /.test(line)) ?? '')?.[1] ?? '',
      mark: markOf(before.split('\n').at(-2) ?? ''),
    };
  });
}

/** Every block that tells the reader to type something: of the README and of docs. */
export function shellBlocks(): { readonly page: Page; readonly block: CodeBlock }[] {
  return pages()
    .filter(({ path }) => path === 'README.md' || path.startsWith('docs/'))
    .flatMap((page) =>
      codeBlocks(page)
        .filter(({ language }) => language === 'sh')
        .map((block) => ({ page, block })),
    );
}

/** The text without the blocks between fences. */
export function prose({ text }: Page): string {
  return text.replaceAll(FENCE, '');
}

/** What stands between single backticks; in tables a pipe is escaped. */
export function codeSpans(page: Page): string[] {
  return [...prose(page).matchAll(/`([^`\n]+)`/g)].map(([, span = '']) => span.replaceAll('\\|', '|'));
}

/** Headings as plain text, with their level. */
export function headings(page: Page): { readonly level: number; readonly title: string }[] {
  return [...prose(page).matchAll(/^(#{1,6}) (.+)$/gm)].map(([, marks = '', title = '']) => ({
    level: marks.length,
    title: title.replaceAll('`', ''),
  }));
}

/** The anchor that GitHub gives a heading: lower case, blanks to hyphens, and nothing else but letters, digits, - and _. */
export function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(/\s/g, '-');
}

/** The targets of `[text](target)`. */
export function linkTargets(page: Page): string[] {
  const withoutSpans = prose(page).replaceAll(/`[^`\n]*`/g, 'code');
  return [...withoutSpans.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
}
