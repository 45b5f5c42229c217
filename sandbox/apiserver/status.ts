// Promises: the API server's error answers, word for word as kube-apiserver 1.36 gives them. May not know the store.

/** metav1.StatusCause */
export interface StatusCause {
  readonly reason: string;
  readonly message: string;
  readonly field?: string;
}

interface StatusDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly StatusCause[];
  readonly retryAfterSeconds?: number;
}

/** metav1.Status of a failure. */
export interface Status {
  readonly kind: 'Status';
  readonly apiVersion: 'v1';
  readonly metadata: { readonly continue?: string };
  readonly status: 'Failure';
  readonly message: string;
  readonly reason?: string;
  readonly details?: StatusDetails;
  readonly code: number;
}

/** An answer that is a failure. */
export class StatusError extends Error {
  status: Status;

  constructor(code: number, reason: string | undefined, message: string, details?: StatusDetails) {
    super(message);
    this.status = {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message,
      ...(reason === undefined ? {} : { reason }),
      ...(details === undefined ? {} : { details }),
      code,
    };
  }

  withContinue(token: string): this {
    this.status = { ...this.status, metadata: { continue: token } };
    return this;
  }
}

/** What the errors need to know of a resource. */
export interface ResourceNames {
  readonly group: string;
  readonly plural: string;
  readonly kind: string;
}

function grouped({ group }: ResourceNames): { group?: string } {
  return group === '' ? {} : { group };
}

function qualified(name: string, { group }: ResourceNames): string {
  return group === '' ? name : `${name}.${group}`;
}

export function notFound(type: ResourceNames, name: string): StatusError {
  return new StatusError(404, 'NotFound', `${qualified(type.plural, type)} "${name}" not found`, {
    name,
    ...grouped(type),
    kind: type.plural,
  });
}

/** The path or the subresource is unknown. */
export function noSuchResource(): StatusError {
  return new StatusError(404, 'NotFound', 'the server could not find the requested resource', {});
}

export function methodNotAllowed(): StatusError {
  const message = 'the server does not allow this method on the requested resource';
  return new StatusError(405, 'MethodNotAllowed', message, {});
}

/** What custom resources say to DELETE and POST of their status. */
export function verbNotSupported(type: ResourceNames, verb: string): StatusError {
  const message = `${verb} is not supported on resources of kind "${qualified(type.plural, type)}"`;
  return new StatusError(405, 'MethodNotAllowed', message, { ...grouped(type), kind: type.plural });
}

export function alreadyExists(type: ResourceNames, name: string, isGoing = false): StatusError {
  const going = isGoing ? 'object is being deleted: ' : '';
  return new StatusError(409, 'AlreadyExists', `${going}${qualified(type.plural, type)} "${name}" already exists`, {
    name,
    ...grouped(type),
    kind: type.plural,
  });
}

const STALE = 'the object has been modified; please apply your changes to the latest version and try again';

export function conflict(type: ResourceNames, name: string, why: string = STALE): StatusError {
  const message = `Operation cannot be fulfilled on ${qualified(type.plural, type)} "${name}": ${why}`;
  return new StatusError(409, 'Conflict', message, { name, ...grouped(type), kind: type.plural });
}

/** DELETE's own conflict: it names the kind where all others name the resource. */
export function preconditionFailed(type: ResourceNames, name: string, why: string): StatusError {
  const message = `Operation cannot be fulfilled on ${qualified(type.kind, type)} "${name}": ${why}`;
  return new StatusError(409, 'Conflict', message, { name, ...grouped(type), kind: type.kind });
}

/** One field that is wrong; `reason` is Kubernetes' FieldValue... word. */
export function fieldError(field: string, reason: string, message: string): StatusCause {
  return { reason, message, field };
}

export function invalid(type: ResourceNames, name: string, causes: readonly StatusCause[]): StatusError {
  // What two validators say is two causes, and told once.
  const texts = [...new Set(causes.map((cause) => `${cause.field}: ${cause.message}`))];
  const list = texts.length === 1 ? texts.join('') : `[${texts.join(', ')}]`;
  return new StatusError(422, 'Invalid', `${qualified(type.kind, type)} "${name}" is invalid: ${list}`, {
    ...(name === '' ? {} : { name }),
    ...grouped(type),
    kind: type.kind,
    causes,
  });
}

/** A patch whose outcome cannot be decoded: the one Invalid answer that names no object. */
export function invalidPatch(message: string): StatusError {
  const cause = fieldError('patch', 'FieldValueInvalid', message);
  return new StatusError(422, 'Invalid', ` "" is invalid: patch: ${message}`, { causes: [cause] });
}

export function badRequest(message: string): StatusError {
  return new StatusError(400, 'BadRequest', message);
}

export function unauthorized(): StatusError {
  return new StatusError(401, 'Unauthorized', 'Unauthorized');
}

export function unsupportedMediaType(message: string): StatusError {
  return new StatusError(415, 'UnsupportedMediaType', message);
}

/** 410: the history that was asked for is gone; `token` goes on with what is there now. */
export function expired(message: string, token?: string): StatusError {
  const error = new StatusError(410, 'Expired', message);
  return token === undefined ? error : error.withContinue(token);
}

export function namespaceTerminating(type: ResourceNames, name: string, namespace: string): StatusError {
  const message =
    `${qualified(type.plural, type)} "${name}" is forbidden: ` +
    `unable to create new content in namespace ${namespace} because it is being terminated`;
  return new StatusError(403, 'Forbidden', message, {
    name,
    ...grouped(type),
    kind: type.plural,
    causes: [
      {
        reason: 'NamespaceTerminating',
        message: `namespace ${namespace} is being terminated`,
        field: 'metadata.namespace',
      },
    ],
  });
}
