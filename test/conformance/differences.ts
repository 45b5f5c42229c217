// Promises: where the sandbox is known to answer otherwise than the real server, case by case, with what it does instead.
// A line whose difference has gone makes its case fail, so this list can only be true. It is empty: keep it so.
// And what other versions of Kubernetes answer otherwise than the one that the sandbox imitates: rules that turn the sandbox's
// answer into the version's, so that all is compared, random operations too, and nothing is left out.
import {
  CAUSES_ONCE,
  DELETE_OPTIONS_500,
  itsMinor,
  LABELS_IN_CHARACTERS,
  NUMBERS_BY_THEIR_OLD_NAMES,
  OWNERS_REQUIRED,
  PATCH_NO_JSON,
  ROLES_ONCE_MORE,
  SERVICE_ACCOUNTS_WITH_SECRETS,
  TYPES_FOR_VALUES,
  type VersionRule,
} from './version-rules.ts';

/** The name of a case -> the reason. */
export const KNOWN_DIFFERENCES: Readonly<Record<string, string>> = {};

/** What is known of a version. */
export interface OtherVersion {
  /** Applied in this order. One that changes nothing fails the suite. */
  readonly rules: readonly VersionRule[];
  /** Cases that the version does not end -> why. They are compared as far as it goes; one that passes fails the suite. */
  readonly unfit: Readonly<Record<string, string>>;
}

const UNTIL_1_34: readonly VersionRule[] = [
  TYPES_FOR_VALUES,
  DELETE_OPTIONS_500,
  LABELS_IN_CHARACTERS,
  ROLES_ONCE_MORE,
  NUMBERS_BY_THEIR_OLD_NAMES,
  SERVICE_ACCOUNTS_WITH_SECRETS,
];
const NOT_ENDED_UNTIL_1_34 = {
  'a deletion whose options are wrong':
    'It asserts a 400. The table of deletions with other options compares the same.',
  'JSON patches of every kind': 'At the second, a test without a value, the server closes the connection.',
};

/** By what BED_KUBERNETES says. `npm run test:matrix` holds it true. */
export const OTHER_VERSIONS: Readonly<Record<string, OtherVersion>> = {
  '1.34': { rules: [itsMinor('34'), ...UNTIL_1_34], unfit: NOT_ENDED_UNTIL_1_34 },
  '1.37': { rules: [itsMinor('37'), CAUSES_ONCE, OWNERS_REQUIRED, PATCH_NO_JSON], unfit: {} },
};
