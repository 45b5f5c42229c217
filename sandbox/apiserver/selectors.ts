// Promises: label and field selectors with Kubernetes' meaning: `a=b`, `a!=b`, `a in (b,c)`, `a notin (b)`, `a`, `!a`.
import { badRequest } from './status.ts';
import { EVENTS } from './resources.ts';
import type { ResourceType } from './resources.ts';
import type { KubeObject } from './store.ts';

/** Whether an object is selected. */
export type Selector = (object: KubeObject) => boolean;

const REQUIREMENT =
  /^\s*(?:(?<absent>!)\s*(?<absentKey>[\w./-]+)|(?<key>[\w./-]+)\s*(?:(?<operator>==?|!=)\s*(?<value>[\w.-]*)|\s(?<set>in|notin)\s*\((?<values>[^()]*)\))?)\s*$/;

function labelRequirement(text: string): Selector {
  const groups = REQUIREMENT.exec(text)?.groups;
  if (groups === undefined) throw badRequest(`unable to parse requirement: ${JSON.stringify(text)}`);
  const { absentKey, key = '', operator, value = '', set, values = '' } = groups;
  const label = (object: KubeObject, name: string): string | undefined => object.metadata.labels?.[name];
  if (absentKey !== undefined) return (object) => label(object, absentKey) === undefined;
  if (set !== undefined) {
    const wanted = new Set(values.split(',').map((item) => item.trim()));
    // A label that is missing satisfies notin, as it does !=.
    return (object) => wanted.has(label(object, key) ?? '\0') === (set === 'in');
  }
  if (operator === undefined) return (object) => label(object, key) !== undefined;
  return (object) => (label(object, key) === value) === (operator !== '!=');
}

/** @throws StatusError 400 */
export function labelSelector(text: string): Selector {
  if (text.trim() === '') return () => true;
  // Commas inside parentheses belong to a set.
  const requirements = text.split(/,(?![^(]*\))/).map(labelRequirement);
  return (object) => requirements.every((matches) => matches(object));
}

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

/** @throws StatusError 400 for a field that the resource does not offer */
export function fieldSelector(type: ResourceType, text: string): Selector {
  const requirements = text
    .split(',')
    .filter((part) => part !== '')
    .map((part): Selector => {
      const [, field = '', operator, value] = /^([^=!]+)(==?|!=)(.*)$/.exec(part) ?? [];
      if (operator === undefined) throw badRequest(`invalid selector: '${part}'; can't understand '${part}'`);
      const name = storedField(type, field);
      if (!['metadata.name', 'metadata.namespace', ...type.fields].includes(name)) {
        // Kinds with fields of their own say it otherwise than those without.
        if (type.custom || type.fields.length > 0) throw badRequest(`field label not supported: ${field}`);
        const known = 'only "metadata.name", "metadata.namespace"';
        throw badRequest(`${JSON.stringify(field)} is not a known field selector: ${known}`);
      }
      return (object) => (asText(fieldAt(object, name)) === value) === (operator !== '!=');
    });
  return (object) => requirements.every((matches) => matches(object));
}
