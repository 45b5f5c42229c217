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

/** A block between fences. */
export interface CodeBlock {
  readonly language: string;
  readonly text: string;
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

/** The blocks between fences. */
export function codeBlocks({ text }: Page): CodeBlock[] {
  return [...text.matchAll(FENCE)].map(([, language = '', block = '']) => ({ language, text: block }));
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
