// Promises: how resolve() says no: a thrown violation that names field, value and fix, in text that the API server gives
// back as it was written. Only resolve() may catch it. May not import anything but types of api.
import type { Violation } from './resolved.ts';

/** As much of a foreign text is shown in a message, in characters. */
const MAX_SHOWN_LENGTH = 200;

/** A thrown violation: resolve() catches it, nobody else sees it. */
export class Refusal extends Error {
  readonly violation: Violation;

  constructor(message: string) {
    super(message);
    this.violation = { code: 'InvalidSpec', message };
  }
}

/**
 * Refuses a value.
 * @throws Refusal, always.
 */
export function invalid(field: string, value: unknown, fix: string): never {
  throw new Refusal(`${field} is ${cut(JSON.stringify(value) ?? 'nothing')}: ${fix}`);
}

/**
 * Refuses a value unless it is good.
 * @throws Refusal.
 */
export function need(good: boolean, field: string, value: unknown, fix: string): void {
  if (!good) {
    invalid(field, value, fix);
  }
}

/** What ends a line, is invisible or turns the direction of a line on a terminal: controls, formats, separators of lines. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/**
 * A foreign text for a message: short, of one line, without anything that a reader cannot see.
 * Half a character would come back from the API server as another one, and the status would differ for ever.
 */
export function cut(text: string): string {
  const short = text.length > MAX_SHOWN_LENGTH ? `${text.slice(0, MAX_SHOWN_LENGTH).toWellFormed()}...` : text;
  return short.replace(UNSEEN, (found) => `\\u{${found.codePointAt(0)?.toString(16) ?? ''}}`);
}
