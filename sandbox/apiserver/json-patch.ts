// Promises: RFC 6902 as the real server applies it, with the habits of its library (evanphx/json-patch v4): `replace` adds
// a member that is missing, `test` for null holds where nothing is, `copy` of nothing copies null, -1 is an array's end.
import { isDeepStrictEqual } from 'node:util';
import { badRequest, StatusError } from './status.ts';

type Container = Record<string, unknown> | unknown[];

interface Operation {
  readonly op?: string;
  readonly path?: string;
  readonly from?: string;
  readonly value?: unknown;
}

/** The real server tells nothing of what failed: neither which operation, nor which path. */
function refused(): StatusError {
  return new StatusError(422, 'Invalid', 'the server rejected our request due to an error in our request', {});
}

function jsonType(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}

/** In Go's words. */
export function undecodable(patch: unknown, goType: string): StatusError {
  const into = `Go ${goType.startsWith('struct field') ? goType : `value of type ${goType}`}`;
  return badRequest(`error decoding patch: json: cannot unmarshal ${jsonType(patch)} into ${into}`);
}

function isContainer(value: unknown): value is Container {
  return typeof value === 'object' && value !== null;
}

/** The parts of a JSON pointer. What stands before the first slash is not looked at. */
function parts(pointer: string | undefined): string[] {
  if (pointer === undefined) throw refused();
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** An array's index; -1 counts from `length`, the one past the end for `add`. */
function indexOf(key: string, length: number): number {
  if (!/^[+-]?\d+$/.test(key)) throw refused();
  const index = Number(key);
  const counted = index < 0 ? index + length : index;
  if (counted < 0 || counted >= length) throw refused();
  return counted;
}

function memberOf(container: Container, key: string): unknown {
  if (Array.isArray(container)) return container[indexOf(key, container.length)];
  return Object.hasOwn(container, key) ? container[key] : undefined;
}

class Patch {
  readonly #root: Container;

  constructor(document: unknown) {
    if (!isContainer(document)) throw refused();
    this.#root = structuredClone(document);
  }

  get document(): unknown {
    return this.#root;
  }

  #find(pointer: string | undefined): { readonly parent: Container; readonly key: string } {
    const path = parts(pointer);
    const key = path.pop();
    if (key === undefined) throw refused();
    let parent: Container = this.#root;
    for (const part of path) {
      const next = memberOf(parent, part);
      if (!isContainer(next)) throw refused();
      parent = next;
    }
    return { parent, key };
  }

  #add(pointer: string | undefined, value: unknown): void {
    const { parent, key } = this.#find(pointer);
    if (!Array.isArray(parent)) parent[key] = value;
    else if (key === '-') parent.push(value);
    else parent.splice(indexOf(key, parent.length + 1), 0, value);
  }

  #remove(pointer: string | undefined): void {
    const { parent, key } = this.#find(pointer);
    if (Array.isArray(parent)) parent.splice(indexOf(key, parent.length), 1);
    else if (Object.hasOwn(parent, key)) Reflect.deleteProperty(parent, key);
    else throw refused();
  }

  #get(pointer: string | undefined): unknown {
    const { parent, key } = this.#find(pointer);
    return memberOf(parent, key);
  }

  apply({ op, path, from, value = null }: Operation): void {
    switch (op) {
      case 'add':
        this.#add(path, value);
        break;
      case 'remove':
        this.#remove(path);
        break;
      case 'replace': {
        const { parent, key } = this.#find(path);
        if (Array.isArray(parent)) parent[indexOf(key, parent.length)] = value;
        else parent[key] = value;
        break;
      }
      case 'move': {
        const moved = this.#get(from);
        this.#remove(from);
        this.#add(path, moved);
        break;
      }
      case 'copy':
        this.#add(path, structuredClone(this.#get(from) ?? null));
        break;
      case 'test':
        if (!isDeepStrictEqual(this.#get(path) ?? null, value)) throw refused();
        break;
      case undefined:
      default:
        throw refused();
    }
  }
}

function checkShape(operation: unknown): Operation {
  if (!isContainer(operation) || Array.isArray(operation)) throw undecodable(operation, 'handlers.jsonPatchOp');
  for (const field of ['op', 'path', 'from']) {
    const value = operation[field];
    if (value === undefined || value === null || typeof value === 'string') continue;
    throw undecodable(value, `struct field jsonPatchOp.${field} of type string`);
  }
  return operation;
}

/**
 * The document with the operations applied; it is not changed itself.
 * @throws StatusError 400 or 422
 */
export function jsonPatch(document: unknown, operations: unknown): unknown {
  if (!Array.isArray(operations)) throw undecodable(operations, '[]handlers.jsonPatchOp');
  const checked = operations.map(checkShape);
  const patch = new Patch(document);
  for (const operation of checked) patch.apply(operation);
  return patch.document;
}
