// Promises: the port through which every room logs. A message is a constant sentence; what varies goes into fields, so
// that logs can be counted by message. Nothing secret may be passed: redaction in telemetry/logger.ts is the last net,
// not the first.

/** Values a log field may have. Objects are not allowed: a whole Kubernetes object in a log line is how Secrets leak. */
export type LogValue = string | number | boolean | null | undefined | readonly string[];

/** Fields of one log line; keys are camelCase and carry units (`durationSeconds`). */
export type LogFields = Readonly<Record<string, LogValue>>;

/** Where lines go. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}
