// Promises: field selectors with Kubernetes' meaning (k8s.io/apimachinery/pkg/fields): `a=b`, `a==b`, `a!=b`, with
// backslashes before what would end a value; and the values at dotted paths that they compare.
import { badRequest } from './status.ts';
import type { StatusError } from './status.ts';
import { EVENTS } from './resources.ts';
import type { ResourceType } from './resources.ts';
import type { KubeObject } from './store.ts';

/** Whether an object is selected. */
export type Selector = (object: KubeObject) => boolean;

/** The value at a dotted path, or undefined. */
export function fieldAt(object: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((value, name) => (value as Record<string, unknown> | null | undefined)?.[name], object);
}

/** A scalar as field selectors compare it; what is absent is the empty text. */
export function asText(value: unknown): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Events are stored in core's form; events.k8s.io names three fields differently. */
function storedField(type: ResourceType, field: string): string {
  if (type.collection !== EVENTS) return field;
  return field.replace(/^regarding\./, 'involvedObject.').replace(/^reportingController$/, 'reportingComponent');
}

function unsupported(type: ResourceType, field: string): StatusError {
  // Kinds with fields of their own say it otherwise than those without.
  if (type.custom || type.fields.length > 0) return badRequest(`field label not supported: ${field}`);
  const known = 'only "metadata.name", "metadata.namespace"';
  return badRequest(`${JSON.stringify(field)} is not a known field selector: ${known}`);
}

/** @throws StatusError 400 */
function unescaped(value: string): string {
  return value.replaceAll(/\\(.?)|[,=]/gs, (whole, escaped: string | undefined) => {
    if (escaped === undefined) {
      throw badRequest(`invalid field selector: unescaped character in value: ${whole.charCodeAt(0)}`);
    }
    if (escaped !== '' && '\\,='.includes(escaped)) return escaped;
    throw badRequest(`invalid field selector: invalid escape sequence: ${whole}`);
  });
}

/** @throws StatusError 400 also for a field that the resource does not offer */
export function fieldSelector(type: ResourceType, text: string): Selector {
  const requirements = [...text.matchAll(/(?:\\.|[^,\\]|\\$)+/gs)].map(([part]): Selector => {
    const [, field = '', operator, value = ''] = /^((?:\\.|[^=!\\]|!(?!=))*?)(!=|==|=)(.*)$/s.exec(part) ?? [];
    if (operator === undefined) throw badRequest(`invalid selector: '${text}'; can't understand '${part}'`);
    const wanted = unescaped(value);
    const name = storedField(type, field);
    if (!['metadata.name', 'metadata.namespace', ...type.fields].includes(name)) throw unsupported(type, field);
    return (object) => (asText(fieldAt(object, name)) === wanted) === (operator !== '!=');
  });
  return (object) => requirements.every((matches) => matches(object));
}
