// Promises: the ordered checks that stand before an exchange. Each is a named pure function from what was observed to a
// finding or none; the first finding counts. They cost no call, so they are made at every reconcile.
import { ANNOTATION_ALLOW } from '../api/names.ts';
import { CredentialError } from './errors.ts';
import type { Observed, Settings } from './observed.ts';

/** A check: an error of the register, or undefined when there is nothing to say. */
export type Check = (observed: Observed, settings: Settings) => CredentialError | undefined;

/** The spec cannot work. */
export const specIsInvalid: Check = ({ violation }) =>
  violation === undefined ? undefined : new CredentialError(violation.code, violation.message);

/** Two resources name one Secret: the older one keeps it. */
export const secretIsInUse: Check = ({ contender, resolved }) =>
  contender === undefined
    ? undefined
    : new CredentialError(
        'SecretInUse',
        `spec.secret.name "${resolved?.secret.name ?? ''}" is already written by the older WorkloadCredential "${contender}"; create this one anew with another spec.secret.name, which cannot be changed later, or delete the older one.`,
      );

/** The endpoint or the audience is not one that the operator may use. */
export const endpointIsRefused: Check = ({ endpointRefusal }) => endpointRefusal;

/** The workload's identity does not exist. */
export const serviceAccountIsMissing: Check = ({ serviceAccount, resolved, namespace }) =>
  serviceAccount !== undefined || resolved === undefined
    ? undefined
    : new CredentialError(
        'ServiceAccountNotFound',
        `spec.serviceAccountName "${resolved.serviceAccountName}" names no ServiceAccount in namespace "${namespace}"; create it (kubectl create serviceaccount ${resolved.serviceAccountName} -n ${namespace}) or change the field.`,
      );

/** The workload's identity has not consented to this resource. */
export const serviceAccountDoesNotAllow: Check = (observed, settings) => {
  const { serviceAccount, credential, namespace } = observed;
  if (!settings.requireConsent || serviceAccount === undefined) {
    return undefined;
  }
  const allowed = consents(serviceAccount.metadata.annotations?.[ANNOTATION_ALLOW]);
  const name = credential.metadata.name;
  if (allowed.includes('*') || allowed.includes(name)) {
    return undefined;
  }
  const wanted = [...allowed, name].join(',');
  return new CredentialError(
    'ServiceAccountNotAllowed',
    `ServiceAccount "${serviceAccount.metadata.name}" does not allow this WorkloadCredential to use its identity; if it should, run: kubectl annotate serviceaccount ${serviceAccount.metadata.name} -n ${namespace} --overwrite ${ANNOTATION_ALLOW}=${wanted}`,
  );
};

/** A WorkloadCredential's name. Whatever else stands there must not get into the command that an administrator copies. */
const CONSENT = /^[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?$/;

/** Names in the consent annotation: separated by commas, spaces around them do not count, and what is no name neither. */
export function consents(annotation: string | undefined): readonly string[] {
  return (annotation ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name === '*' || CONSENT.test(name));
}

/** Checks whose finding means that the resource has no Secret to speak of. */
export const BEFORE_SECRET: readonly Check[] = [specIsInvalid, secretIsInUse];

/** Checks that stop an exchange, while what is in the Secret stays. */
export const BEFORE_EXCHANGE: readonly Check[] = [
  endpointIsRefused,
  serviceAccountIsMissing,
  serviceAccountDoesNotAllow,
];

/** The first finding of a list of checks. */
export function firstFinding(
  checks: readonly Check[],
  observed: Observed,
  settings: Settings,
): CredentialError | undefined {
  for (const check of checks) {
    const finding = check(observed, settings);
    if (finding !== undefined) {
      return finding;
    }
  }
  return undefined;
}
