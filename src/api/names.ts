// Promises: every name that users or other programs see: group and kind, labels and annotations, condition types,
// conditions' reasons. Names are for ever; each has one line of meaning. May not import anything.

export const GROUP = 'workloadcredentials.io';
export const VERSION = 'v1alpha1';
export const API_VERSION = `${GROUP}/${VERSION}`;
export const KIND = 'WorkloadCredential';
export const PLURAL = 'workloadcredentials';

/** How the operator names itself in events, leases and managedFields. */
export const FIELD_MANAGER = 'workload-credentials';
/** The same of what the operator asks for only to be refused; also the name of the object that never comes to be. */
export const FENCE_PROBE = 'workload-credentials-fence-probe';

/** On our Secrets: the WorkloadCredential's name; what the Secret watch selects by. Proves nothing about ownership. */
export const LABEL_NAME = `${GROUP}/name`;
/** On our Secrets: Velero must not back up credentials. https://velero.io/docs/main/resource-filtering/ */
export const LABEL_VELERO_EXCLUDE = 'velero.io/exclude-from-backup';

/** On the ServiceAccount: which WorkloadCredentials may use its identity: names separated by commas, or `*`. */
export const ANNOTATION_ALLOW = `${GROUP}/allow`;
/** On the WorkloadCredential: any new value forces one refresh. */
export const ANNOTATION_REFRESH_REQUESTED = `${GROUP}/refresh-requested`;
/** On a Secret that its owner hands over: the WorkloadCredential's name. Never written by the operator. */
export const ANNOTATION_ADOPT = `${GROUP}/adopt`;
/** On a Secret that was handed over: the UID of the WorkloadCredential that took it, in the place of owner-uid. */
export const ANNOTATION_ADOPTER_UID = `${GROUP}/adopter-uid`;
/** On a Secret that was handed over: the keys of its data that are the WorkloadCredential's. */
export const ANNOTATION_DATA_KEYS = `${GROUP}/data-keys`;

/** On our Secrets: the UID of the WorkloadCredential that owns it. */
export const ANNOTATION_OWNER_UID = `${GROUP}/owner-uid`;
/** On our Secrets: when the credential was issued, RFC 3339 UTC. */
export const ANNOTATION_ISSUE_TIME = `${GROUP}/issue-time`;
/** On our Secrets: when the credential ends, RFC 3339 UTC. */
export const ANNOTATION_EXPIRATION_TIME = `${GROUP}/expiration-time`;
/** On our Secrets: hash of the exchange's inputs. */
export const ANNOTATION_REQUEST_HASH = `${GROUP}/request-hash`;
/** On our Secrets: hash of spec.secret. */
export const ANNOTATION_RENDER_HASH = `${GROUP}/render-hash`;
/** On our Secrets: hash over data (of a Secret that was handed over: those of data-keys), times and request-hash. */
export const ANNOTATION_CONTENT_HASH = `${GROUP}/content-hash`;
/** On our Secrets: the refresh request (ANNOTATION_REFRESH_REQUESTED) that this credential answered. */
export const ANNOTATION_REFRESH_HANDLED = `${GROUP}/refresh-handled`;

/** On our Secrets: the keys of spec.secret.labels and .annotations that were set, so that dropped ones can be removed. */
export const ANNOTATION_METADATA_KEYS = `${GROUP}/metadata-keys`;

/** Stakater Reloader must not restart consumers for files that reload. */
export const ANNOTATION_RELOADER_IGNORE = 'reloader.stakater.com/ignore';

/** Condition types, each with its meaning. */
export const CONDITION_TYPES = {
  Ready: 'A live credential of the current request is in the Secret.',
  Reconciling: 'There is no live credential yet, and the operator is trying.',
  Stalled: 'There is no live credential, and somebody has to change something.',
  Refreshed: 'Whether the last attempt to obtain a credential succeeded.',
} as const;
export type ConditionType = keyof typeof CONDITION_TYPES;

/** Reasons of events that are no condition's reason, each with its meaning. */
export const EVENT_REASONS = {
  Recovered: 'A credential was issued after failures.',
} as const;

/** Reasons that are not failures (those are in credential/errors.ts), each with its meaning. */
export const STATE_REASONS = {
  Issued: 'The credential in the Secret is live and the last attempt succeeded.',
  RefreshFailing: 'The credential in the Secret is live, but it could not be replaced when it was due.',
  Pending: 'No attempt has been made yet, or none since the spec was changed or what was refused was put right.',
  Expired: 'The credential in the Secret has ended.',
  Suspended: 'spec.suspend is true: no exchange is made.',
} as const;
export type StateReason = keyof typeof STATE_REASONS;

/** The clouds, as status.cloud and metrics name them. */
export type Cloud = 'AWS' | 'AlibabaCloud' | 'Volcengine';

/** The field of the resource that each cloud is asked for in: what messages point at. */
export const SPEC_FIELD: Readonly<Record<Cloud, string>> = {
  AWS: 'spec.aws',
  AlibabaCloud: 'spec.alibabaCloud',
  Volcengine: 'spec.volcengine',
};
