// Promises: finds issued secrets in what a bed has emitted, in every form that a program may have written them: as they
// are, JSON-escaped, URL-encoded, base64 and base64url at any alignment, hexadecimal. A finding never holds the secret.

/** A text to look through: a log, a metrics page, events, process arguments. */
export interface Corpus {
  readonly name: string;
  readonly text: string;
}

/** Where a secret was seen. */
export interface Finding {
  readonly corpus: string;
  /** Index in the list of secrets that was given. */
  readonly secret: number;
  readonly form: string;
  /** Offset in characters. */
  readonly offset: number;
}

/** Shorter ones appear by accident. */
const SHORTEST_SECRET = 12;

/** The base64 characters that only `value` decides when it starts at byte `alignment` of a group of three. */
function base64Core(value: Buffer, alignment: number): string {
  const encoded = Buffer.concat([Buffer.alloc(alignment), value]).toString('base64');
  const first = Math.ceil((alignment * 8) / 6);
  const end = Math.floor(((alignment + value.length) * 8) / 6);
  return encoded.slice(first, end);
}

function toBase64URL(text: string): string {
  return text.replaceAll('+', '-').replaceAll('/', '_');
}

function base64Forms(value: string): [string, string][] {
  const bytes = Buffer.from(value);
  return [0, 1, 2].flatMap((alignment): [string, string][] => {
    const core = base64Core(bytes, alignment);
    return [
      [`base64, alignment ${alignment}`, core],
      [`base64url, alignment ${alignment}`, toBase64URL(core)],
    ];
  });
}

function urlForms(value: string): [string, string][] {
  const component = encodeURIComponent(value);
  // RFC 3986 lets encoders choose the case of hexadecimal digits, and form encoders encode five characters more.
  const strict = component.replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  const forms = [component, strict];
  return forms.flatMap((form): [string, string][] => [
    ['URL-encoded', form],
    ['URL-encoded', form.replaceAll(/%[0-9A-F]{2}/g, (escape) => escape.toLowerCase())],
    ['URL-encoded twice', encodeURIComponent(form)],
  ]);
}

function jsonForms(value: string): [string, string][] {
  const escaped = JSON.stringify(value).slice(1, -1);
  return [
    ['JSON', escaped],
    ['JSON, escaped solidus', escaped.replaceAll('/', String.raw`\/`)],
  ];
}

/** All forms of one value, without repetitions. */
function formsOf(value: string): Map<string, string> {
  const hexadecimal = Buffer.from(value).toString('hex');
  const forms: [string, string][] = [
    ['raw', value],
    ...jsonForms(value),
    ...urlForms(value),
    ...base64Forms(value),
    ['hexadecimal', hexadecimal],
    ['hexadecimal', hexadecimal.toUpperCase()],
  ];
  const byText = new Map<string, string>();
  for (const [form, text] of forms) if (!byText.has(text)) byText.set(text, form);
  return byText;
}

/** Part of a JWT is enough for a finding: its signature makes it usable with what a log already tells. */
function partsOf(secret: string): string[] {
  const [, , signature] = /^eyJ[\w-]*\.[\w-]+\.[\w-]+$/.test(secret) ? secret.split('.') : [];
  return signature === undefined || signature.length < SHORTEST_SECRET ? [secret] : [secret, signature];
}

function findingsIn({ name, text }: Corpus, forms: ReadonlyMap<string, string>, secret: number): Finding[] {
  const findings: Finding[] = [];
  for (const [needle, form] of forms) {
    const offset = text.indexOf(needle);
    if (offset >= 0) findings.push({ corpus: name, secret, form, offset });
  }
  return findings;
}

/**
 * Looks for each secret in each corpus; the first place of each form is told.
 * @throws Error when there is nothing to look for or a secret is too short: a scan that cannot fire proves nothing.
 */
export function scanForSecrets(corpora: readonly Corpus[], secrets: readonly string[]): Finding[] {
  if (secrets.length === 0) throw new Error('no secrets to look for: the scan would prove nothing');
  if (corpora.length === 0) throw new Error('no text to look through: the scan would prove nothing');
  return secrets.flatMap((secret, index) => {
    if (secret.length < SHORTEST_SECRET) {
      throw new Error(
        `secret ${index} has ${secret.length} characters: under ${SHORTEST_SECRET} it is found by accident`,
      );
    }
    const forms = new Map(partsOf(secret).flatMap((part) => [...formsOf(part)]));
    return corpora.flatMap((corpus) => findingsIn(corpus, forms, index));
  });
}
