// Promises: makes what a cloud said fit for a log, an event and a status: printable, short, and without the token that was
// sent or anything that looks like a key. Pure. Secrets are removed, never shortened: a piece of a token is still one.

/** Longest message of a cloud that is shown, in characters. */
const MAX_MESSAGE_LENGTH = 300;
/** As much of a message is looked at; the rest is thrown away first. */
const MAX_READ_LENGTH = 4_096;
const MAX_CODE_LENGTH = 64;
const MAX_REQUEST_ID_LENGTH = 128;
/** Longest name (request id, assumed-role identity) taken over; an ARN has at most 2,048 characters in IAM's limits. */
const MAX_NAME_LENGTH = 2_048;
/** A piece of the token this long says too much; no ordinary word shares so many characters with a base64 text. */
const PIECE_LENGTH = 16;

const REMOVED = '[removed]';
/** The beginning of every JWT (RFC 7519: base64url of `{"`), with as much of it as is there. */
const JWT = /eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,2}/g;
/** Runs that may be base64 or base64url. An AWS secret access key has 40 characters. */
const RUN = /[A-Za-z0-9+/=_-]{16,}/g;
const LONG_RUN = 40;
const VERY_LONG_RUN = 100;

/** A cloud's message in one line of at most 300 printable ASCII characters, without quotes that would end ours. */
export function cloudMessage(text: unknown, token: string): string {
  if (typeof text !== 'string') {
    return '';
  }
  const clean = withoutSecrets(text.slice(0, MAX_READ_LENGTH), token)
    .replace(/[^\x20-\x7e]+/g, ' ')
    .replace(/"/g, "'")
    .replace(/ {2,}/g, ' ')
    .trim();
  const short = clean.length > MAX_MESSAGE_LENGTH ? `${clean.slice(0, MAX_MESSAGE_LENGTH - 3)}...` : clean;
  return hasPieceOf(bare(token), bare(short)) ? REMOVED : short;
}

/**
 * What is left of a text however it was written: in another case (as a host's name is), percent-encoded, with escapes or spaces
 * in it.
 */
function bare(text: string): string {
  return text
    .replace(/%([0-9A-Fa-f]{2})/g, (_whole, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
    .replace(/[^A-Za-z0-9]/g, '')
    .toLowerCase();
}

/** A cloud's error code; undefined for what is no code, such as a page of HTML. */
export function cloudCode(text: unknown, token: string): string | undefined {
  const code = cloudName(text, token);
  return code !== undefined &&
    code.length <= MAX_CODE_LENGTH &&
    /^[A-Za-z][A-Za-z0-9._:-]*$/.test(code) &&
    !hasSecretLike(code)
    ? code
    : undefined;
}

/** A request id of at most 128 characters; undefined for what is none, such as a key in its place. */
export function cloudRequestID(text: unknown, token: string): string | undefined {
  const id = cloudName(text, token);
  return id === undefined || hasSecretLike(id) ? undefined : id.slice(0, MAX_REQUEST_ID_LENGTH);
}

/** An identity, or another name: printable without spaces, or undefined. */
export function cloudName(text: unknown, token: string): string | undefined {
  const usable = typeof text === 'string' && text.length <= MAX_NAME_LENGTH && /^[\x21-\x7e]+$/.test(text);
  return usable && !hasPieceOf(token, text) && text.search(JWT) < 0 ? text : undefined;
}

function withoutSecrets(text: string, token: string): string {
  const whole = token === '' ? text : text.replaceAll(token, REMOVED);
  return whole
    .replace(JWT, REMOVED)
    .replace(RUN, (run) => (isSecretLike(run) || hasPieceOf(token, run) ? REMOVED : run));
}

function hasSecretLike(text: string): boolean {
  return text.match(RUN)?.some(isSecretLike) ?? false;
}

function isSecretLike(run: string): boolean {
  const mixed = /[a-z]/.test(run) && /[A-Z]/.test(run) && /[0-9]/.test(run);
  return run.length >= VERY_LONG_RUN || (run.length >= LONG_RUN && mixed);
}

/** Whether a text has a piece of the token in it that says too much. */
export function hasPieceOf(token: string, text: string): boolean {
  for (let start = 0; start + PIECE_LENGTH <= text.length; start += 1) {
    if (token.includes(text.slice(start, start + PIECE_LENGTH))) {
      return true;
    }
  }
  return false;
}
