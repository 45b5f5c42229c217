// Promises: what AWS's Query protocol has of its own: XML out of nested elements, the limits of STS's parameters with the
// sentences that AWS writes about them, and flattened lists. Knows no role and no session.
import { Refusal } from './service.ts';

/** The parameters of a request. */
export type Form = URLSearchParams;

/** Plaintext of session policies, inline and managed (IAM and STS quotas). */
export const MAX_POLICY_CHARACTERS = 2048;

function xml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** Nested elements; undefined ones are left out. */
export type Elements = { readonly [name: string]: string | Elements | undefined };

/** The elements as XML. */
export function elements(tree: Elements): string {
  return Object.entries(tree)
    .map(([name, value]) => {
      if (value === undefined) return '';
      return `<${name}>${typeof value === 'string' ? xml(value) : elements(value)}</${name}>`;
    })
    .join('');
}

interface TextLimits {
  readonly min: number;
  readonly max: number;
  readonly pattern?: RegExp;
  /** Not repeated in the sentence. */
  readonly secret?: boolean;
  readonly optional?: boolean;
}

/** Limits of botocore's model of STS. */
const COMMON_LIMITS: Readonly<Record<string, TextLimits>> = {
  RoleArn: { min: 20, max: 2048 },
  RoleSessionName: { min: 2, max: 64, pattern: /^[\w+=,.@-]*$/ },
  Policy: { min: 1, max: MAX_POLICY_CHARACTERS, optional: true },
};
/** Of AssumeRoleWithWebIdentity. */
export const WEB_IDENTITY_LIMITS = { ...COMMON_LIMITS, WebIdentityToken: { min: 4, max: 20_000, secret: true } };
/** Of AssumeRole. */
export const ASSUME_ROLE_LIMITS = {
  ...COMMON_LIMITS,
  ExternalId: { min: 2, max: 1224, pattern: /^[\w+=,.@:/-]*$/, optional: true },
  SourceIdentity: { min: 2, max: 64, pattern: /^[\w+=,.@-]*$/, optional: true },
};

/** The constraint sentences of the Query protocol. */
function constraintErrors(form: Form, limits: Readonly<Record<string, TextLimits>>): string[] {
  const found: string[] = [];
  const fail = (field: string, value: string | null, constraint: string): void => {
    const shown = value === null ? 'null' : `'${value}'`;
    found.push(`Value ${shown} at '${field}' failed to satisfy constraint: Member must ${constraint}`);
  };
  for (const [name, { min, max, pattern, secret = false, optional = false }] of Object.entries(limits)) {
    const field = `${name.charAt(0).toLowerCase()}${name.slice(1)}`;
    const value = form.get(name);
    if (value === null) {
      if (!optional) fail(field, null, 'not be null');
      continue;
    }
    const shown = secret ? '***' : value;
    if (value.length < min) fail(field, shown, `have length greater than or equal to ${min}`);
    if (value.length > max) fail(field, shown, `have length less than or equal to ${max}`);
    if (pattern?.test(value) === false) {
      fail(field, shown, `satisfy regular expression pattern: ${pattern.source.slice(1, -1)}`);
    }
  }
  const duration = form.get('DurationSeconds');
  if (duration !== null) {
    if (!(Number(duration) >= 900)) fail('durationSeconds', duration, 'have value greater than or equal to 900');
    if (Number(duration) > 43_200) fail('durationSeconds', duration, 'have value less than or equal to 43200');
  }
  return found;
}

/** @throws Refusal with one sentence for each limit that is not kept. */
export function checkConstraints(form: Form, limits: Readonly<Record<string, TextLimits>>): void {
  const found = constraintErrors(form, limits);
  if (found.length === 0) return;
  const count = found.length === 1 ? '1 validation error' : `${found.length} validation errors`;
  throw new Refusal('ValidationError', 400, `${count} detected: ${found.join('; ')}`);
}

/** `Name.member.1`, `Name.member.2` and so on, in the order sent; `suffix` as in `.Key`. */
export function members(form: Form, name: string, suffix = ''): string[] {
  const pattern = new RegExp(`^${name}\\.member\\.\\d+${suffix.replace('.', String.raw`\.`)}$`);
  return [...form].filter(([each]) => pattern.test(each)).map(([, value]) => value);
}
