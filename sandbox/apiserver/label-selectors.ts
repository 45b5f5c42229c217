// Promises: label selectors read as Kubernetes reads them, down to the words of a complaint
// (k8s.io/apimachinery/pkg/labels/selector.go): `a=b`, `a!=b`, `a in (b,c)`, `a notin (b)`, `a`, `!a`, `a>1`, `a<1`.
import { labelValueErrors, qualifiedNameErrors } from './object-meta.ts';
import { badRequest } from './status.ts';
import type { StatusError } from './status.ts';
import type { KubeObject } from './store.ts';

type Selector = (object: KubeObject) => boolean;

const SYMBOLS = ['==', '!=', '=', '!', '(', ')', ',', '>', '<'];
const SPACE = /[ \t\r\n]/;
const OPERATORS = ['in', 'notin', '=', '==', '!=', '>', '<'];
const OPERATOR_NAMES = 'in, notin, =, ==, !=, gt, lt';
const NOT_A_NUMBER = "for 'Gt', 'Lt' operators, the value must be an integer";
const END = '';

interface Token {
  readonly text: string;
  readonly isSymbol: boolean;
}

function tokens(text: string): Token[] {
  const found: Token[] = [];
  let at = 0;
  while (at < text.length) {
    if (SPACE.test(text.charAt(at))) {
      at += 1;
      continue;
    }
    const symbol = SYMBOLS.find((each) => text.startsWith(each, at));
    const word = symbol ?? /^[^ \t\r\n=!(),<>]+/.exec(text.slice(at))?.[0] ?? text.charAt(at);
    found.push({ text: word, isSymbol: symbol !== undefined });
    at += word.length;
  }
  return found;
}

/** What keeps a requirement from being read: the caller says of what. */
class Unreadable extends Error {}

function found(text: string, expected: string): Unreadable {
  return new Unreadable(`found '${text}', expected: ${expected}`);
}

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(text: string) {
    this.#tokens = tokens(text);
  }

  /** The next word or symbol; empty at the end. */
  peek(): string {
    return this.#tokens[this.#at]?.text ?? END;
  }

  isWord(): boolean {
    return this.#tokens[this.#at]?.isSymbol === false;
  }

  next(): string {
    const text = this.peek();
    this.#at += 1;
    return text;
  }

  #word(): string {
    if (!this.isWord()) throw found(this.peek(), 'identifier');
    return this.next();
  }

  requirement(): Selector {
    const isAbsent = this.peek() === '!';
    if (isAbsent) this.next();
    const key = this.#word();
    checkKey(key);
    if (isAbsent) return (object) => labelOf(object, key) === undefined;
    if (this.peek() === END || this.peek() === ',') return (object) => labelOf(object, key) !== undefined;
    const operator = this.next();
    if (!OPERATORS.includes(operator)) throw found(operator, OPERATOR_NAMES);
    const values = operator === 'in' || operator === 'notin' ? this.#set() : [this.#value()];
    checkValues(key, operator, values);
    return matcher(key, operator, values);
  }

  #value(): string {
    return this.peek() === END || this.peek() === ',' ? '' : this.#word();
  }

  #set(): string[] {
    const open = this.next();
    if (open !== '(') throw new Unreadable(`found '${open}' expected: '('`);
    const first = this.peek();
    if (!this.isWord() && first !== ',' && first !== ')') throw found(first, "',', ')' or identifier");
    const values = new Set<string>();
    let wantsValue = true;
    for (;;) {
      const text = this.peek();
      if (this.isWord() && wantsValue) {
        values.add(this.next());
        wantsValue = false;
      } else if (text === ',') {
        if (wantsValue) values.add('');
        this.next();
        wantsValue = true;
      } else if (text === ')') {
        this.next();
        if (wantsValue) values.add('');
        return [...values].toSorted();
      } else {
        throw found(text, wantsValue ? "',', or identifier" : "',' or ')'");
      }
    }
  }
}

function checkKey(key: string): void {
  const why = qualifiedNameErrors(key);
  if (why.length > 0) throw new Unreadable(`<nil>: Invalid value: ${JSON.stringify(key)}: ${why.join('; ')}`);
}

function checkValues(key: string, operator: string, values: readonly string[]): void {
  const isNumeric = operator === '>' || operator === '<';
  const causes = values.flatMap((value, index) => {
    const shown = JSON.stringify(value);
    const why = labelValueErrors(value);
    return [
      ...(isNumeric && !/^[+-]?\d+$/.test(value) ? [`values[${index}]: Invalid value: ${shown}: ${NOT_A_NUMBER}`] : []),
      ...(why.length > 0 ? [`values[${index}][${key}]: Invalid value: ${shown}: ${why.join('; ')}`] : []),
    ];
  });
  if (causes.length === 0) return;
  throw new Unreadable(causes.length === 1 ? causes.join('') : `[${causes.join(', ')}]`);
}

function labelOf(object: KubeObject, key: string): string | undefined {
  return object.metadata.labels?.[key];
}

/** A label that is missing satisfies notin, as it does !=. */
function matcher(key: string, operator: string, values: readonly string[]): Selector {
  if (operator === '>' || operator === '<') {
    const limit = Number(values[0]);
    return (object) => {
      const label = labelOf(object, key);
      if (label === undefined || !/^[+-]?\d+$/.test(label)) return false;
      return operator === '>' ? Number(label) > limit : Number(label) < limit;
    };
  }
  const isNegative = operator === 'notin' || operator === '!=';
  return (object) => {
    const label = labelOf(object, key);
    return (label !== undefined && values.includes(label)) !== isNegative;
  };
}

function unable(error: unknown): StatusError {
  if (error instanceof Unreadable) return badRequest(`unable to parse requirement: ${error.message}`);
  throw error;
}

function expect(text: string, wanted: string): StatusError {
  return badRequest(`found '${text}', expected: ${wanted}`);
}

/** @throws StatusError 400 */
export function labelSelector(text: string): Selector {
  const parser = new Parser(text);
  const requirements: Selector[] = [];
  const begins = (): boolean => parser.isWord() || parser.peek() === '!';
  if (parser.peek() === END) return () => true;
  if (!begins()) throw expect(parser.peek(), "!, identifier, or 'end of string'");
  for (;;) {
    try {
      requirements.push(parser.requirement());
    } catch (error) {
      throw unable(error);
    }
    const then = parser.next();
    if (then === END) return (object) => requirements.every((matches) => matches(object));
    if (then !== ',') throw expect(then, "',' or 'end of string'");
    if (!begins()) throw expect(parser.peek(), "identifier after ','");
  }
}
