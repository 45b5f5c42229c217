// Promises: Events under their two names: stored in core's form, shown as core/v1 or events.k8s.io/v1; and the strictness
// with which the real server reads MicroTime in Events and Leases: exactly six fraction digits.
import { asText } from './selectors.ts';
import { badRequest, fieldError } from './status.ts';
import type { StatusCause } from './status.ts';
import type { ResourceType } from './resources.ts';
import type { KubeObject } from './store.ts';

type Fields = Record<string, unknown>;

/** [events.k8s.io/v1, core/v1]; the rest has one name in both. */
const RENAMED: readonly (readonly [string, string])[] = [
  ['regarding', 'involvedObject'],
  ['note', 'message'],
  ['reportingController', 'reportingComponent'],
  ['deprecatedSource', 'source'],
  ['deprecatedFirstTimestamp', 'firstTimestamp'],
  ['deprecatedLastTimestamp', 'lastTimestamp'],
  ['deprecatedCount', 'count'],
];

function rename(event: Fields, from: 0 | 1): Fields {
  const names = new Map(RENAMED.map((pair) => [pair[from], pair[from === 0 ? 1 : 0]]));
  return Object.fromEntries(Object.entries(event).map(([name, value]) => [names.get(name) ?? name, value]));
}

/** From what a client sent to what is stored. */
export function eventToStored(type: ResourceType, event: KubeObject): KubeObject {
  const core = type.group === '' ? event : (rename(event, 0) as KubeObject);
  return {
    source: {},
    eventTime: null,
    firstTimestamp: null,
    lastTimestamp: null,
    reportingInstance: '',
    reportingComponent: '',
    ...core,
  };
}

/** From what is stored to what a client of this version sees. */
export function eventFromStored(type: ResourceType, event: KubeObject): KubeObject {
  if (type.group === '') return event;
  const renamed = rename(event, 1);
  // The newer group leaves out what core writes as an empty text.
  const empty = ['reportingController', 'reportingInstance'].filter((name) => renamed[name] === '');
  return Object.fromEntries(Object.entries(renamed).filter(([name]) => !empty.includes(name))) as KubeObject;
}

const MICRO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)$/;
const MICRO_TIME_LAYOUT = '2006-01-02T15:04:05.000000Z07:00';

/** The fields of type MicroTime, by kind. */
const MICRO_TIMES: Readonly<Record<string, readonly (readonly string[])[]>> = {
  Event: [['eventTime'], ['series', 'lastObservedTime']],
  Lease: [
    ['spec', 'acquireTime'],
    ['spec', 'renewTime'],
  ],
};

/** What is left where Go's layout stops matching, and what it wanted there. */
function unread(text: string): readonly [rest: string, layout: string] {
  const zone = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(.*)$/.exec(text)?.[1];
  if (zone !== undefined) return [zone, 'Z07:00'];
  const fraction = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(.*)$/.exec(text)?.[1];
  return fraction === undefined ? [text, '2006'] : [fraction, '.000000'];
}

/** Times of another zone are kept in UTC. MicroTimes must have been checked. */
export function inUTC(type: ResourceType, object: KubeObject): KubeObject {
  const paths = [...(MICRO_TIMES[type.kind] ?? []), ...(type.kind === 'Event' ? EVENT_TIMES : [])];
  return paths.reduce<KubeObject>((result, path) => withUTC(result, path) as KubeObject, object);
}

const EVENT_TIMES: readonly (readonly string[])[] = [
  'firstTimestamp',
  'lastTimestamp',
  'deprecatedFirstTimestamp',
  'deprecatedLastTimestamp',
].map((name) => [name]);

function withUTC(value: unknown, [name, ...rest]: readonly string[]): unknown {
  if (name === undefined) return typeof value === 'string' ? textInUTC(value) : value;
  const member = (value as Fields | null | undefined)?.[name];
  return member === undefined || member === null ? value : { ...(value as Fields), [name]: withUTC(member, rest) };
}

function textInUTC(text: string): string {
  const [, fraction = ''] = /\d(\.\d+)?[+-]\d\d:\d\d$/.exec(text) ?? [text, undefined];
  if (text.endsWith('Z') || Number.isNaN(Date.parse(text))) return text;
  return `${new Date(text).toISOString().slice(0, 19)}${fraction}Z`;
}

/** @throws StatusError 400 in Go's words when a MicroTime has another form */
export function checkMicroTimes(type: ResourceType, object: unknown): void {
  for (const path of MICRO_TIMES[type.kind] ?? []) {
    const value = path.reduce<unknown>((at, name) => (at as Fields | null | undefined)?.[name], object);
    if (value === undefined || value === null || MICRO_TIME.test(asText(value))) continue;
    // Go names what is left where its layout stops matching; the usual mistake has too few or no fraction digits.
    if (typeof value !== 'string') {
      const struct = path.length === 1 ? type.kind : type.kind === 'Lease' ? 'LeaseSpec.spec' : 'EventSeries.series';
      const why = `json: cannot unmarshal ${typeof value} into Go struct field ${struct}.${path.at(-1)} of type string`;
      throw badRequest(`${type.kind} in version "${type.version}" cannot be handled as a ${type.kind}: ${why}`);
    }
    const [rest, layout] = unread(value);
    throw badRequest(
      `${type.kind} in version "${type.version}" cannot be handled as a ${type.kind}: parsing time ` +
        `${JSON.stringify(value)} as "${MICRO_TIME_LAYOUT}": cannot parse ${JSON.stringify(rest)} as ${JSON.stringify(layout)}`,
    );
  }
}

/** pkg/apis/core/validation/events.go */
const LIMITS: Readonly<Record<string, number>> = { reportingInstance: 128, action: 128, reason: 128, note: 1024 };
const NAME_PART = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const NAME_PART_RULE =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character " +
  "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

function controllerErrors(field: string, name: string): StatusCause[] {
  const part = name.split('/').at(-1) ?? '';
  const rules = [
    ...(part === '' ? ['name part must be non-empty'] : []),
    ...(NAME_PART.test(part) ? [] : [NAME_PART_RULE]),
  ];
  return rules.map((rule) => fieldError(field, 'FieldValueInvalid', `Invalid value: ${JSON.stringify(name)}: ${rule}`));
}

/** An event is where its object is; one with an eventTime must only say where, unless it is in `default`. */
function namespaceErrors(stored: KubeObject): StatusCause[] {
  const { namespace = '' } = (stored['involvedObject'] ?? {}) as { namespace?: string };
  const own = stored.metadata.namespace;
  if (namespace === '' ? own === 'default' : stored['eventTime'] || namespace === own) return [];
  const message = `Invalid value: ${JSON.stringify(namespace)}: does not match event.namespace`;
  return [fieldError('involvedObject.namespace', 'FieldValueInvalid', message)];
}

const REQUIRED = ['reportingController', 'reportingInstance', 'action', 'reason'];

/** What both groups ask of an Event with an eventTime (legacyValidateEvent). */
function contentErrors(type: ResourceType, seen: Fields): StatusCause[] {
  const causes: StatusCause[] = [];
  for (const field of REQUIRED) {
    const isController = field === 'reportingController';
    const name = isController && type.group === '' ? 'reportingComponent' : field;
    if (!seen[field]) causes.push(fieldError(name, 'FieldValueRequired', 'Required value'));
    if (isController) causes.push(...controllerErrors(name, asText(seen[field])));
  }
  return causes;
}

function lengthErrors(seen: Fields): StatusCause[] {
  return Object.entries(LIMITS).flatMap(([field, limit]) => {
    if (asText(seen[field]).length <= limit) return [];
    const name = field === 'note' ? 'message' : field;
    return [fieldError(name, 'FieldValueInvalid', `Invalid value: "": can have at most ${limit} characters`)];
  });
}

/** The rules of events.k8s.io/v1, and the fewer of core/v1, by the group that the client asks. */
export function eventErrors(type: ResourceType, stored: KubeObject): StatusCause[] {
  const isCore = type.group === '';
  const ofPlace = namespaceErrors(stored);
  if (!stored['eventTime']) {
    return isCore ? ofPlace : [fieldError('eventTime', 'FieldValueRequired', 'Required value')];
  }
  const seen = rename(stored, 1);
  const causes = [...ofPlace, ...contentErrors(type, seen)];
  if (isCore) return [...causes, ...lengthErrors(seen)];
  if (seen['type'] !== 'Normal' && seen['type'] !== 'Warning') {
    const message = `Invalid value: "": has invalid value: ${asText(seen['type'])}`;
    causes.push(fieldError('type', 'FieldValueInvalid', message));
  }
  causes.push(...lengthErrors(seen));
  const { count } = (seen['series'] ?? {}) as { count?: number };
  if (count !== undefined && count < 2) {
    causes.push(fieldError('series.count', 'FieldValueInvalid', 'Invalid value: "": should be at least 2'));
  }
  return causes;
}

/** What an update of events.k8s.io/v1 may not change, in the real server's order; it looks at the reason twice. */
const FIXED = (
  'involvedObject reason message source firstTimestamp lastTimestamp count reason type eventTime action related ' +
  'reportingComponent reportingInstance'
).split(' ');

/** Go structs are told with the names of their Go fields, all of them. */
const GO_FIELDS: Readonly<Record<string, readonly string[]>> = {
  involvedObject: ['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'],
  related: ['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'],
  source: ['component', 'host'],
};

function shown(field: string, value: unknown): string {
  const names = GO_FIELDS[field];
  if (names === undefined) return JSON.stringify(value ?? null);
  const fields = (value ?? {}) as Fields;
  const goName = (name: string): string => (name === 'uid' ? 'UID' : name.charAt(0).toUpperCase() + name.slice(1));
  const entries = names.map((name) => [name === 'apiVersion' ? 'APIVersion' : goName(name), fields[name] ?? '']);
  return JSON.stringify(Object.fromEntries(entries));
}

/** core/v1 lets everything change, as it did before there was the other group. */
export function eventUpdateErrors(type: ResourceType, stored: KubeObject, before: KubeObject): StatusCause[] {
  if (type.group === '') return [];
  return FIXED.filter((field) => JSON.stringify(stored[field]) !== JSON.stringify(before[field])).map((field) => {
    const name = field === 'reportingComponent' ? 'reportingController' : field;
    return fieldError(name, 'FieldValueInvalid', `Invalid value: ${shown(field, stored[field])}: field is immutable`);
  });
}
