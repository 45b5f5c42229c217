// Promises: the Log port as JSON lines on one stream, by winston. The last step before a line is written removes what
// looks like a token or a key and bounds every value: the last net, since nothing secret may be passed at all. A stream
// that takes no more lines is reported once and never crashes the process or makes it loop. May not read the time or
// the process by itself.
import type { Writable } from 'node:stream';
import { createLogger, format, type Logger, transports } from 'winston';
import type { Clock } from '../runtime/clock.ts';
import type { Log, LogFields, LogValue } from '../runtime/log.ts';

/** From the most to the least important; a line is written when its level is the option or more important. */
export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** What the log is made of. */
export interface LogOptions {
  /** Standard output, in the operator. */
  readonly stream: Writable;
  readonly level: LogLevel;
  readonly clock: Clock;
  /**
   * Called once, with a sentence, when the stream fails (closed pipe, full disk). Later lines are dropped. The operator
   * exits then: without its audit log it must not go on.
   */
  readonly onWriteFailure: (sentence: string) => void;
}

/** Longest value of a field, in characters. */
const MAX_VALUE_LENGTH = 2_048;
/** As much of a value is searched for secrets; the rest is dropped first. */
const MAX_READ_LENGTH = 16_384;
/** Longest list, and most fields of one line. */
const MAX_ITEMS = 64;
const REMOVED = '[removed]';

/** JWTs and beginnings of them (RFC 7519: every one begins with base64url of `{"`). */
const JWT = /eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,2}/g;
/** Credentials of an Authorization header, RFC 6750 and RFC 7617. */
const AUTHORIZATION = /\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi;
/** A run of base64 or base64url. */
const RUN = /[A-Za-z0-9+/=_-]{40,}/g;
/** An AWS secret access key: 40 characters of base64, which is no SHA-1 (hexadecimal) and no word. */
const SECRET_KEY = /^[A-Za-z0-9/+]{40}$/;
/** Session tokens of the clouds have hundreds of characters; resource names with so long a run have none. */
const SESSION_TOKEN_LENGTH = 100;

/** A text without what looks like a token or key, at most 2,048 characters of it. */
export function redact(text: string): string {
  const clean = text
    .slice(0, MAX_READ_LENGTH)
    .replace(AUTHORIZATION, `$1 ${REMOVED}`)
    .replace(JWT, REMOVED)
    .replace(RUN, (run) => (isSecretLike(run) ? REMOVED : run));
  return clean.length > MAX_VALUE_LENGTH ? `${clean.slice(0, MAX_VALUE_LENGTH)}...` : clean;
}

function isSecretLike(run: string): boolean {
  const mixed = /[a-z]/.test(run) && /[A-Z]/.test(run) && /[0-9]/.test(run);
  return mixed && (run.length >= SESSION_TOKEN_LENGTH || SECRET_KEY.test(run));
}

function redactValue(value: LogValue): LogValue {
  if (typeof value === 'string') {
    return redact(value);
  }
  // Not an object by type; but a caller's mistake must not print one, since that is how Secrets get into logs.
  if (typeof value === 'object' && value !== null) {
    return Array.isArray(value) ? value.slice(0, MAX_ITEMS).map((item: unknown) => redact(String(item))) : '[object]';
  }
  return value;
}

/** The key under which winston's streams look for the finished line (its package triple-beam). */
const MESSAGE = Symbol.for('message');

/** The last format of the chain: redacts, then prints. The line's own keys win over fields of the same name. */
const redactedJSON = format((info) => {
  const fields = (info['fields'] ?? {}) as LogFields;
  const line: Record<string, LogValue> = {};
  for (const name of Object.keys(fields).slice(0, MAX_ITEMS)) {
    line[name] = redactValue(fields[name]);
  }
  line['time'] = String(info['time']);
  line['level'] = info.level;
  line['message'] = redact(String(info.message));
  info[MESSAGE] = JSON.stringify({ time: '', level: '', message: '', ...line });
  return info;
});

class JSONLog implements Log {
  readonly #winston: Logger;
  readonly #options: LogOptions;
  #failed = false;

  constructor(options: LogOptions) {
    this.#options = options;
    const timestamp = format((info) => ({ ...info, time: new Date(options.clock.now()).toISOString() }));
    this.#winston = createLogger({
      level: options.level,
      format: format.combine(timestamp(), redactedJSON()),
      transports: [new transports.Stream({ stream: options.stream, eol: '\n' })],
    });
    const onError = (error: unknown): void => this.#fail(error);
    options.stream.on('error', onError);
    this.#winston.on('error', onError);
  }

  debug(message: string, fields?: LogFields): void {
    this.#write('debug', message, fields);
  }

  info(message: string, fields?: LogFields): void {
    this.#write('info', message, fields);
  }

  warn(message: string, fields?: LogFields): void {
    this.#write('warn', message, fields);
  }

  error(message: string, fields?: LogFields): void {
    this.#write('error', message, fields);
  }

  #write(level: LogLevel, message: string, fields?: LogFields): void {
    if (this.#failed) {
      return;
    }
    try {
      this.#winston.log({ level, message, fields });
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (this.#failed) {
      return;
    }
    this.#failed = true;
    const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown';
    this.#options.onWriteFailure(
      `the log cannot be written to standard output (${redact(code)}): check what reads it and the space that it has`,
    );
  }
}

/** The operator's log. One line is `{"time":..., "level":..., "message":..., <fields>}`. */
export function jsonLog(options: LogOptions): Log {
  return new JSONLog(options);
}
