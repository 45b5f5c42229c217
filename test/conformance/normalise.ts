// Promises: a transcript in which only what may differ between two servers is replaced: UIDs and generated names by their
// order of appearance, resourceVersions by their order, times near now, tokens by their claims, the server's address,
// continue tokens, ages, and managedFields (the sandbox keeps none). Everything else stays as it came.
import type { JSONValue } from './client.ts';

/** One step of a case: what was asked, and what came. */
export interface Step {
  readonly request: string;
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: JSONValue;
  readonly events?: readonly JSONValue[];
}

/** Headers that are part of the contract; date, audit-id and flow control's are each server's own. */
const COMPARED_HEADERS = ['content-type', 'warning', 'retry-after', 'www-authenticate', 'allow', 'location'];

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
const TIME = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g;
const TOKEN = /^[\w-]+\.[\w-]+\.[\w-]+$/;
const AGE = /^(\d+s|\d+m(\d+s)?)$/;
/** A refused patch is answered with the whole object as text, managedFields and all. */
const ECHO = /Invalid value: "\{(?:[^"\\]|\\.)*"/g;
/** A name that was generated and then refused is only in the sentence that refuses it (letters: k8s.io/apimachinery util/rand). */
const REFUSED_NAME = /\b(orders[.-])[bcdfghjklmnpqrstvwxz2456789]{5}\b/g;
/** Numbers in sentences about versions, and in requests. */
const VERSION_TEXTS = [
  /(ResourceVersion in (?:the precondition|record) \()(\d+)/g,
  /(too old resource version: )(\d+)/g,
  /(too old resource version: \S+ \()(\d+)/g,
  /(Too large resource version: )(\d+)/g,
  /(, current: )(\d+)/g,
  /([?&]resourceVersion=)(\d{1,15})(?!\d)/g,
];
/** Times that the test itself sent are in other years, and stay. */
const NEAR_MS = 3 * 86_400_000;

/** Visits every value, keys in alphabetical order: the order of keys on the wire means nothing. */
function walk(value: JSONValue, visit: (value: JSONValue) => void): void {
  visit(value);
  if (Array.isArray(value)) for (const item of value) walk(item, visit);
  else if (typeof value === 'object' && value !== null) {
    for (const key of Object.keys(value as object).toSorted()) walk((value as Record<string, JSONValue>)[key], visit);
  }
}

class Normaliser {
  readonly #uids = new Map<string, string>();
  /** resourceVersions of objects, sorted. */
  readonly #versions: number[];
  readonly #generated = new Map<string, string>();
  readonly #origin: string;
  readonly #nowMs: number;

  constructor(origin: string, steps: readonly Step[], nowMs: number) {
    this.#origin = origin;
    this.#nowMs = nowMs;
    const versions = new Set<number>();
    walk(steps as JSONValue, (value) => {
      const { uid, resourceVersion, generateName, name } = value?.metadata ?? {};
      if (uid !== undefined && resourceVersion !== undefined) versions.add(Number(resourceVersion));
      if (typeof generateName === 'string' && typeof name === 'string' && name.startsWith(generateName)) {
        if (!this.#generated.has(name)) this.#generated.set(name, `${generateName}<generated ${this.#generated.size}>`);
      }
    });
    this.#versions = [...versions].toSorted((a, b) => a - b);
  }

  /** Of an object: its place among all objects' versions that were seen. */
  #version(text: string): string {
    const index = this.#versions.indexOf(Number(text));
    return index === -1 ? '<version>' : `<version ${index}>`;
  }

  /** Of a list or bookmark: the newest object version that it covers; what others wrote in between does not count. */
  #covering(text: string): string {
    const known = this.#versions.filter((version) => version <= Number(text)).length;
    return `<at or after version ${known - 1}>`;
  }

  text(text: string): string {
    let result = text.replaceAll(this.#origin, '<server>').replaceAll(ECHO, 'Invalid value: <object>');
    for (const [name, label] of this.#generated) result = result.replaceAll(name, label);
    result = result.replaceAll(REFUSED_NAME, '$1<generated>');
    for (const pattern of VERSION_TEXTS)
      result = result.replaceAll(pattern, (_all, before: string) => `${before}<version>`);
    result = result.replaceAll(UUID, (uid) => {
      if (!this.#uids.has(uid)) this.#uids.set(uid, `<uid ${this.#uids.size}>`);
      return this.#uids.get(uid) ?? uid;
    });
    return result.replaceAll(TIME, (time, fraction?: string) => {
      if (Math.abs(Date.parse(time) - this.#nowMs) > NEAR_MS) return time;
      return fraction === undefined ? '<time>' : `<time with ${fraction.length - 1} digits>`;
    });
  }

  #token(token: string): JSONValue {
    const part = (index: number): JSONValue =>
      JSON.parse(Buffer.from(token.split('.')[index] ?? '', 'base64url').toString());
    const { kid, ...header } = part(0);
    const { iat, exp, nbf, ...claims } = part(1);
    const own = claims['kubernetes.io'];
    if (own?.warnafter !== undefined) own.warnafter -= iat;
    return {
      header: { ...header, kid: typeof kid },
      claims: this.value(claims),
      life: exp - iat,
      notBefore: nbf - iat,
    };
  }

  #metadata(metadata: JSONValue): JSONValue {
    const { managedFields: _dropped, resourceVersion, continue: token, ...rest } = metadata;
    const result = this.value(rest);
    if (typeof token === 'string') result.continue = token === '' ? '' : '<continue>';
    if (typeof resourceVersion === 'string') {
      const isNumber = /^\d+$/.test(resourceVersion);
      if (!isNumber) result.resourceVersion = resourceVersion;
      else
        result.resourceVersion =
          metadata.uid === undefined ? this.#covering(resourceVersion) : this.#version(resourceVersion);
    }
    return result;
  }

  #member(key: string, value: JSONValue): JSONValue {
    if (key === 'metadata' && typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return this.#metadata(value);
    }
    if (key === 'token' && typeof value === 'string' && TOKEN.test(value)) return this.#token(value);
    if (key === 'cells' && Array.isArray(value)) {
      return value.map((cell) => (typeof cell === 'string' && AGE.test(cell) ? '<age>' : this.value(cell)));
    }
    return this.value(value);
  }

  value(value: JSONValue): JSONValue {
    if (typeof value === 'string') return this.text(value);
    // What a case picks may be absent: a recording is JSON.
    if (Array.isArray(value)) return value.map((item) => this.value(item) ?? null);
    if (typeof value !== 'object' || value === null) return value;
    const present = Object.entries(value as Record<string, JSONValue>).filter(([, member]) => member !== undefined);
    const entries = present.toSorted(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(entries.map(([key, member]) => [this.text(key), this.#member(key, member)]));
  }
}

/** A bookmark says how far the server is: how many of them come is its own affair. */
function withoutRepeatedBookmarks(events: readonly JSONValue[]): JSONValue[] {
  return events.filter(
    (event, index) => !(event.type === 'BOOKMARK' && JSON.stringify(event) === JSON.stringify(events[index - 1])),
  );
}

/** Replaces what may differ. `origin` is the server's address; `nowMs` when it ran. */
export function normalise(steps: readonly Step[], origin: string, nowMs: number): Step[] {
  const normaliser = new Normaliser(origin, steps, nowMs);
  return steps.map(({ request, status, headers, body, events }) => {
    const kept = Object.entries(headers ?? {}).filter(([name]) => COMPARED_HEADERS.includes(name));
    return {
      request: normaliser.text(request),
      ...(status === undefined ? {} : { status }),
      ...(headers === undefined ? {} : { headers: normaliser.value(Object.fromEntries(kept)) }),
      ...(body === undefined ? {} : { body: normaliser.value(body) }),
      ...(events === undefined
        ? {}
        : { events: withoutRepeatedBookmarks(events.map((event) => normaliser.value(event))) }),
    };
  });
}

/** Where two values differ, as `path: real ... sandbox ...`; at most `limit` lines. */
export function differences(real: JSONValue, other: JSONValue, path = '', limit = 12): string[] {
  if (JSON.stringify(real) === JSON.stringify(other)) return [];
  const isTree = (value: JSONValue): boolean => typeof value === 'object' && value !== null;
  if (!isTree(real) || !isTree(other) || Array.isArray(real) !== Array.isArray(other)) {
    const show = (value: JSONValue): string => (JSON.stringify(value) ?? 'nothing').slice(0, 700);
    return [`${path || '(all)'}\n      real:    ${show(real)}\n      sandbox: ${show(other)}`];
  }
  const keys = [...new Set([...Object.keys(real as object), ...Object.keys(other as object)])];
  return keys.flatMap((key) => differences(real[key], other[key], `${path}.${key}`, limit)).slice(0, limit);
}

/** The same for transcripts: step by step, each named by its request. */
export function transcriptDifferences(real: readonly Step[], sandbox: readonly Step[]): string[] {
  const length = Math.max(real.length, sandbox.length);
  return Array.from({ length }, (_none, index) => index).flatMap((index) => {
    const name = `step ${index + 1}, ${real[index]?.request ?? sandbox[index]?.request}`;
    return differences(real[index], sandbox[index]).map((line) => `${name}: ${line}`);
  });
}
