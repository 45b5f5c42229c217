// Promises: where the sandbox is known to answer otherwise than the real server, case by case, with what it does instead.
// A line whose difference has gone makes its case fail, so this list can only be true. It should become empty.

const TWICE = 'two validators of the real server say the same, so causes come twice; the sandbox says it once';
const DELETED_VERSION =
  'the real server shows a deleted ServiceAccount with the version of its deletion, the sandbox with its last';
const BOUND = 'the sandbox does not know tokens that are bound to an object';
const NO_CRD_VALIDATION = 'the sandbox does not validate CustomResourceDefinitions this far';

/** The name of a case -> the reason. */
export const KNOWN_DIFFERENCES: Readonly<Record<string, string>> = {
  'an immutable Secret without data takes not even empty data':
    'the real server tells empty data from absent data, the sandbox does not',
  ServiceAccounts: DELETED_VERSION,
  'each namespace has a default ServiceAccount': DELETED_VERSION,
  'a Lease and a ServiceAccount are deleted': DELETED_VERSION,
  'a Lease counts in positive numbers': 'the sandbox takes 1.5 where Go wants an integer',
  'a Lease takes times with six digits': 'the sandbox keeps the zone of a time that the real server turns to UTC',
  'answers that are not served': 'the list of media types in the sentence of a 406, which here lacks those of streams',
  'a JSON patch replaces data whole and a label': TWICE,
  'a JSON patch tests': 'a test for null at an absent path holds on the real server',
  'JSON patches that copy, move and remove': 'the real server copies an absent value as an empty one',
  'a patch that makes the object invalid': TWICE,
  'a patch with another uid': TWICE,
  'a deletion whose options are wrong': 'the sandbox does not look at the kind of a body of DELETE',
  'an object that is being deleted takes no new finalizer': TWICE,
  'a label selector that cannot be read': 'the words: the real server names what it found and expected',
  'a label selector whose words are not labels': 'the sandbox does not check the values of a label selector',
  'a limit or a continue token that cannot be read': 'the words for a continue token that is not base64',
  'a table of Events': 'the columns Source and Name',
  'a watch from before history ends with 410': 'the history of a custom resource begins with its definition; here at 0',
  'a watch at a version that cannot be read': 'the real server calls it an internal error (500), the sandbox a 400',
  'no initial events by wish': 'the sandbox sends the initial events all the same',
  'status is read and replaced through its own path': 'details of a 405 on a subresource',
  'fields of the wrong type': 'the words for a fraction where an integer is wanted (float64, int32)',
  'a number with an empty fraction is no integer to a rule': '1800.0 and 1800 are one number to JSON.parse',
  'an Event does not change otherwise': TWICE,
  'an Event does not change its note, type or what it regards': "Go's names of the fields in the sentence",
  'Events with generated names': 'the sandbox does not check generateName',
  'a token is bound to a Secret': BOUND,
  'a token is bound to nothing that is not there': BOUND,
  'a token is bound to the uid that is meant': BOUND,
  'a token request of another kind or shape': 'the sandbox does not check kind and types of a TokenRequest',
  'the keys of the issuer have a media type of their own':
    'the sandbox gives the keys also to who does not accept their type',
  'OpenAPI lists our group version': 'the real server calls this JSON text/plain',
  'a definition is installed, served and removed with its objects': 'no spec.conversion, and established at once',
  'a definition as it is stored and shown': 'no spec.conversion',
  'a resource of the whole cluster': 'a 404 as a Status where the real server answers in plain text',
  'definitions are checked: one version is stored': NO_CRD_VALIDATION,
  'definitions are checked: a schema there must be': NO_CRD_VALIDATION,
};
