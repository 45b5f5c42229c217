// Promises: the tokens that lead from one page of a list to the next, in the real server's form and with its words for
// what is no token (k8s.io/apiserver/pkg/storage/continue.go). Knows no list.
import { jsonProblem } from './body.ts';
import { badRequest } from './status.ts';
import type { StatusError } from './status.ts';

/** Where the next page begins. */
export interface ContinueToken {
  readonly v: string;
  /** -1: at whatever is there now. */
  readonly rv: number;
  /** The last key shown and a zero byte. */
  readonly start: string;
}

export function encodeContinue(token: ContinueToken): string {
  return Buffer.from(JSON.stringify(token)).toString('base64url');
}

function refused(why: string): StatusError {
  return badRequest(`invalid continue token: continue key is not valid: ${why}`);
}

function textOf(encoded: string): string {
  const wrong = /[^A-Za-z0-9_-]/.exec(encoded)?.index;
  // A single character of a group of four holds no byte.
  const at = wrong ?? (encoded.length % 4 === 1 ? encoded.length - 1 : undefined);
  if (at !== undefined) throw refused(`illegal base64 data at input byte ${at}`);
  return Buffer.from(encoded, 'base64url').toString('latin1');
}

function jsonType(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}

/** `a/../b` and the like, which would lead out of the collection. */
function isClean(path: string): boolean {
  const rooted = path.startsWith('/') ? path.slice(1) : path;
  return rooted.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

/** @throws StatusError 400 */
export function decodeContinue(encoded: string): ContinueToken {
  const text = textOf(encoded);
  let token: unknown;
  try {
    token = JSON.parse(Buffer.from(text, 'latin1').toString()) as unknown;
  } catch {
    throw refused(jsonProblem(text));
  }
  if (typeof token !== 'object' || token === null || Array.isArray(token)) {
    throw refused(`json: cannot unmarshal ${jsonType(token)} into Go value of type storage.continueToken`);
  }
  const { v = '', rv = 0, start = '' } = token as Partial<Record<keyof ContinueToken, unknown>>;
  const typed = { v: 'string', rv: 'int64', start: 'string' } as const;
  for (const [name, value] of Object.entries({ v, rv, start })) {
    const goType = typed[name as keyof typeof typed];
    if (jsonType(value) === (goType === 'int64' ? 'number' : goType)) continue;
    const where = `Go struct field continueToken.${name} of type ${goType}`;
    throw refused(`json: cannot unmarshal ${jsonType(value)} into ${where}`);
  }
  if (v !== 'meta.k8s.io/v1') throw refused(`server does not recognize this encoded version ${String(v)}`);
  if (rv === 0) throw refused('incorrect encoded start resourceVersion (version meta.k8s.io/v1)');
  if (start === '') throw refused('encoded start key empty (version meta.k8s.io/v1)');
  if (!isClean(String(start))) throw refused(String(start));
  return { v, rv: Number(rv), start: String(start) };
}
