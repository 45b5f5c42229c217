// Promises: the environment by which a program that a test starts from its sources keeps what Node has made of them, for the
// next one that starts: half of a start is that. Empty when nobody has named a directory.

/** Where `npm test` names it. Not Node's own name: with that, the coverage of the tests themselves would be inexact. */
export const COMPILE_CACHE_DIRECTORY = 'COMPILE_CACHE_DIRECTORY';

/** For a child's environment. https://nodejs.org/api/module.html#module-compile-cache */
export function compileCache(): Readonly<Record<string, string>> {
  const directory = process.env[COMPILE_CACHE_DIRECTORY] ?? '';
  return directory === '' ? {} : { NODE_COMPILE_CACHE: directory };
}
