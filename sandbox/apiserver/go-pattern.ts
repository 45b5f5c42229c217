// Promises: Go's regular expressions (RE2, as CRD patterns and CEL rules use them) for JavaScript's engine. Only the parts
// of the syntax that differ and that CRDs use; a pattern that cannot be read throws SyntaxError.

/** POSIX classes, which exist inside brackets only. */
const POSIX: Readonly<Record<string, string>> = {
  alnum: '0-9A-Za-z',
  alpha: 'A-Za-z',
  digit: '0-9',
  lower: 'a-z',
  upper: 'A-Z',
  space: String.raw`\t\n\v\f\r `,
  word: '0-9A-Za-z_',
  xdigit: '0-9A-Fa-f',
};

/** In Go a `]` that stands first is a member of its class; in JavaScript it ends an empty one. */
function translate(pattern: string): string {
  return pattern
    .replaceAll(/(?<!\\)\[(\^?)\]/g, String.raw`[$1\]`)
    .replaceAll(/\[:(\w+):\]/g, (whole, name: string) => POSIX[name] ?? whole)
    .replaceAll(/\\p([A-Z])/g, String.raw`\p{$1}`)
    .replaceAll(String.raw`\z`, '$')
    .replaceAll(String.raw`\A`, '^');
}

const compiled = new Map<string, RegExp>();

/** Whether the pattern matches somewhere in the text. @throws SyntaxError */
export function goMatches(pattern: string, text: string): boolean {
  let found = compiled.get(pattern);
  if (found === undefined) {
    const flags = /^\(\?([ims]+)\)/.exec(pattern);
    const source = translate(flags === null ? pattern : pattern.slice(flags[0].length));
    const own = flags?.[1] ?? '';
    try {
      found = new RegExp(source, `${own}u`);
    } catch {
      // The u flag forbids escapes that mean nothing, which Go allows.
      found = new RegExp(source, own);
    }
    compiled.set(pattern, found);
  }
  return found.test(text);
}
