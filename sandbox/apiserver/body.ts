// Promises: request bodies read as kube-apiserver's decoder reads them: what is no object is refused in its words, fields
// that are named twice are told, YAML is taken where JSON is.
import { load } from 'js-yaml';
import { badRequest } from './status.ts';
import type { StatusError } from './status.ts';

const PROTOBUF = 'application/vnd.kubernetes.protobuf';

/**
 * What is said of a body of another type, in the real server's words; of protobuf, which the real server reads and this one
 * does not, in our own.
 */
export function unknownFormat(mediaType: string): string {
  return mediaType === PROTOBUF
    ? 'this sandbox reads no protobuf, only application/json and application/yaml: put the object in a file and use kubectl apply -f'
    : `the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, ${PROTOBUF}`;
}

const GO_TYPE_META =
  String.raw`Go value of type struct { APIVersion string "json:\"apiVersion,omitempty\""; ` +
  String.raw`Kind string "json:\"kind,omitempty\"" }`;

function unrecognized(kind: string, why: string): StatusError {
  return badRequest(
    `the object provided is unrecognized (must be of type ${kind}): couldn't get version/kind; json parse error: ${why}`,
  );
}

function jsonType(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}

/** Go's words for what is wrong, as far as its parser's states are easy to tell. */
export function jsonProblem(text: string): string {
  try {
    JSON.parse(text);
  } catch (error) {
    const position = /at position (\d+)/.exec(String(error))?.[1];
    const at = position === undefined ? text.length - text.trimStart().length : Number(position);
    const character = text.charAt(at);
    const isCut = /end of JSON|Unterminated/.test(String(error)) || at >= text.length;
    if (!isCut) {
      const isKey = /property name/.test(String(error));
      return `invalid character '${character}' looking for beginning of ${isKey ? 'object key string' : 'value'}`;
    }
  }
  return 'unexpected end of JSON input';
}

/** @throws StatusError 400 */
export function parseBody(text: string, mediaType: string, kind: string): unknown {
  if (text === '') throw unrecognized(kind, 'unexpected end of JSON input (<empty>)');
  let value: unknown;
  try {
    value = mediaType === 'application/yaml' ? load(text) : (JSON.parse(text) as unknown);
  } catch {
    const shown = text.trimStart().startsWith('{') ? text : Buffer.from(text).toString('hex');
    throw unrecognized(kind, `${jsonProblem(text)} (${shown})`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const bytes = Buffer.from(text).toString('hex');
    throw unrecognized(kind, `json: cannot unmarshal ${jsonType(value)} into ${GO_TYPE_META} (${bytes})`);
  }
  return value;
}

const TOKEN = /"((?:[^"\\]|\\.)*)"\s*(:?)|[{}[\],]/g;

interface Level {
  readonly names: Set<string> | undefined;
  readonly path: string;
  index: number;
  name: string;
}

/** The paths of fields that well-formed JSON names twice, in order. JSON.parse silently takes the last. */
export function duplicateFields(text: string): string[] {
  const found: string[] = [];
  const levels: Level[] = [];
  const here = (): string => {
    const level = levels.at(-1);
    if (level === undefined) return '';
    if (level.names === undefined) return `${level.path}[${level.index}]`;
    return level.path === '' ? level.name : `${level.path}.${level.name}`;
  };
  for (const [token, quoted, colon] of text.matchAll(TOKEN)) {
    const level = levels.at(-1);
    if (token === '{') levels.push({ names: new Set(), path: here(), index: 0, name: '' });
    else if (token === '[') levels.push({ names: undefined, path: here(), index: 0, name: '' });
    else if (token === '}' || token === ']') levels.pop();
    else if (token === ',' && level !== undefined) level.index += 1;
    else if (colon === ':' && level?.names !== undefined) {
      level.name = JSON.parse(`"${quoted}"`) as string;
      if (level.names.has(level.name)) found.push(here());
      level.names.add(level.name);
    }
  }
  return found;
}

/** JSON.parse's third argument to a reviver, which TypeScript's library does not know yet. */
interface Source {
  readonly source?: string;
}

/**
 * Numbers that are whole and are written with a fraction or an exponent, by path, as they are written: `1800.0` is a float64
 * to Go, and one number with 1800 to JavaScript.
 */
export function wholeFloats(text: string): Map<string, string> {
  const paths = new Map<string, string>();
  if (!/[:[,]\s*-?\d+[.eE]/.test(text)) return paths;
  const found = new Map<object, Map<string, string>>();
  const revive = function (this: object, key: string, value: unknown, context?: Source): unknown {
    if (typeof value === 'number' && Number.isInteger(value) && /[.eE]/.test(context?.source ?? '')) {
      found.set(this, (found.get(this) ?? new Map<string, string>()).set(key, context?.source ?? ''));
    }
    return value;
  };
  const walk = (value: unknown, path: string): void => {
    if (typeof value !== 'object' || value === null) return;
    for (const [name, member] of Object.entries(value)) {
      const at = Array.isArray(value) ? `${path}[${name}]` : path === '' ? name : `${path}.${name}`;
      const written = found.get(value)?.get(name);
      if (written !== undefined) paths.set(at, written);
      walk(member, at);
    }
  };
  try {
    walk(JSON.parse(text, revive), '');
  } catch {
    // What is no JSON is told by whoever reads the body.
  }
  return paths;
}
