// Promises: reads the API server's audit log (audit.k8s.io/v1, JSON lines) and counts calls in it, so that tests count what
// the server saw and not what the client says it did. Knows nothing of beds.
import { FENCE_PROBE } from '../../src/api/names.ts';

/** The part of an audit event that tests look at. https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/ */
export interface AuditEvent {
  readonly auditID: string;
  readonly stage: 'ResponseStarted' | 'ResponseComplete' | 'Panic';
  readonly verb: string;
  readonly requestURI: string;
  readonly userAgent?: string;
  readonly user: { readonly username: string; readonly groups?: readonly string[] };
  readonly objectRef?: {
    readonly resource: string;
    readonly namespace?: string;
    readonly name?: string;
    readonly subresource?: string;
    readonly apiGroup?: string;
    readonly resourceVersion?: string;
  };
  /** https://kubernetes.io/docs/reference/labels-annotations-taints/audit-annotations/ */
  readonly annotations?: Readonly<Record<string, string>>;
  readonly responseStatus?: { readonly code: number; readonly reason?: string; readonly message?: string };
  /** RFC 3339 with microseconds. */
  readonly requestReceivedTimestamp: string;
  readonly stageTimestamp: string;
}

/** Parses the log. A last line without its end is one that is being written, and is left out. */
export function parseAuditLog(text: string): AuditEvent[] {
  const lines = text.split('\n');
  lines.pop();
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as AuditEvent);
}

/** One event for each call: a watch has two stages, and only the first is wanted to see it before it ends. */
export function calls(events: readonly AuditEvent[]): AuditEvent[] {
  const byID = new Map<string, AuditEvent>();
  for (const event of events) if (!byID.has(event.auditID)) byID.set(event.auditID, event);
  return [...byID.values()];
}

/** The calls of one user, for example `system:serviceaccount:wc-system:workload-credentials`. */
export function callsOf(events: readonly AuditEvent[], username: string): AuditEvent[] {
  return calls(events).filter((event) => event.user.username === username);
}

/** A call in a few words: `create serviceaccounts/token shop/orders 201`. */
export function describeCall({ verb, objectRef, requestURI, responseStatus }: AuditEvent): string {
  const code = responseStatus === undefined ? '' : ` ${responseStatus.code}`;
  if (objectRef === undefined) return `${verb} ${requestURI}${code}`;
  const { resource, subresource, namespace, name } = objectRef;
  const kind = subresource === undefined ? resource : `${resource}/${subresource}`;
  const object = [namespace, name].filter((part) => part !== undefined).join('/');
  return `${verb} ${kind}${object === '' ? '' : ` ${object}`}${code}`;
}

/** Whether the operator asked only to be refused. https://kubernetes.io/docs/reference/using-api/api-concepts/ (fieldManager) */
export function isFenceProbe({ requestURI }: AuditEvent): boolean {
  return requestURI.includes(`fieldManager=${FENCE_PROBE}`);
}

const WRITING_VERBS: ReadonlySet<string> = new Set(['create', 'update', 'patch', 'delete', 'deletecollection']);

/** Whether a call changes an object. TokenRequests and reviews are `create`, but they store nothing. */
export function isWrite({ verb, objectRef }: AuditEvent): boolean {
  if (objectRef === undefined || !WRITING_VERBS.has(verb)) return false;
  return objectRef.subresource !== 'token' && !objectRef.resource.endsWith('reviews');
}

/** How often each call (in the words of describeCall) was made. */
export function countCalls(events: readonly AuditEvent[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const event of calls(events)) {
    const words = describeCall(event);
    counts[words] = (counts[words] ?? 0) + 1;
  }
  return counts;
}
