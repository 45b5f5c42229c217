// Promises: request bodies read as kube-apiserver's decoder reads them: what is no object is refused in its words, fields
// that are named twice are told, YAML is taken where JSON is.
import { load } from 'js-yaml';
import { badRequest } from './status.ts';
import type { StatusError } from './status.ts';

/** What the real server says of a body of another type. */
export const UNKNOWN_FORMAT =
  'the body of the request was in an unknown format - accepted media types include: application/json, application/yaml, ' +
  'application/vnd.kubernetes.protobuf';

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
