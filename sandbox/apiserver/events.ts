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
    firstTimestamp: null,
    lastTimestamp: null,
    reportingInstance: '',
    reportingComponent: '',
    ...core,
  };
}

/** From what is stored to what a client of this version sees. */
export function eventFromStored(type: ResourceType, event: KubeObject): KubeObject {
  return type.group === '' ? event : (rename(event, 1) as KubeObject);
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

/** @throws StatusError 400 in Go's words when a MicroTime has another form */
export function checkMicroTimes(type: ResourceType, object: unknown): void {
  for (const path of MICRO_TIMES[type.kind] ?? []) {
    const value = path.reduce<unknown>((at, name) => (at as Fields | null | undefined)?.[name], object);
    if (value === undefined || value === null || MICRO_TIME.test(asText(value))) continue;
    // Go names what is left where its layout stops matching; the usual mistake has too few or no fraction digits.
    const rest = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(.*)$/.exec(asText(value))?.[1] ?? asText(value);
    throw badRequest(
      `${type.kind} in version "${type.version}" cannot be handled as a ${type.kind}: parsing time ` +
        `${JSON.stringify(value)} as "${MICRO_TIME_LAYOUT}": cannot parse ${JSON.stringify(rest)} as ".000000"`,
    );
  }
}

const REQUIRED = ['reportingController', 'reportingInstance', 'action', 'reason'];
/** What of a stored event may change: its series. */
const MUTABLE = ['metadata', 'series', 'apiVersion', 'kind', 'count', 'lastTimestamp'];

/** The rules of events.k8s.io/v1; core/v1 Events without eventTime are not checked, as in the real server. */
export function eventErrors(type: ResourceType, stored: KubeObject, before: KubeObject | undefined): StatusCause[] {
  if (type.group === '' && !stored['eventTime']) return [];
  const seen = rename(stored, 1);
  const causes: StatusCause[] = [];
  if (!seen['eventTime']) return [fieldError('eventTime', 'FieldValueRequired', 'Required value')];
  for (const field of REQUIRED) {
    if (!seen[field]) causes.push(fieldError(field, 'FieldValueRequired', 'Required value'));
  }
  if (seen['type'] !== 'Normal' && seen['type'] !== 'Warning') {
    const message = `Invalid value: "": has invalid value: ${asText(seen['type'])}`;
    causes.push(fieldError('type', 'FieldValueInvalid', message));
  }
  if (asText(seen['note']).length > 1024) {
    causes.push(fieldError('message', 'FieldValueTooLong', 'Too long: may not be more than 1024 bytes'));
  }
  for (const [field, value] of Object.entries(before === undefined ? {} : stored)) {
    if (MUTABLE.includes(field) || JSON.stringify(value) === JSON.stringify(before?.[field])) continue;
    causes.push(fieldError(field, 'FieldValueInvalid', `Invalid value: ${JSON.stringify(value)}: field is immutable`));
  }
  return causes;
}
