// Promises: Secrets as a former release would have left them: the same credential, hashes of an older version. For tests of
// upgrades; a release that changes what a hash covers raises its version, and a fleet must not be issued anew for that.
import { ANNOTATION_CONTENT_HASH, ANNOTATION_RENDER_HASH, ANNOTATION_REQUEST_HASH } from '../../src/api/names.ts';
import { ANNOTATION_EXPIRATION_TIME, ANNOTATION_ISSUE_TIME } from '../../src/api/names.ts';
import { contentHash } from '../../src/credential/hashes.ts';

/** A Secret on the wire. */
export interface SecretOnWire {
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> };
  /** Base64. */
  readonly data?: Readonly<Record<string, string>>;
}

/** What no release has ever written, and what stands for a hash over other things. */
const OLDER = 'v0.0123456789abcdef0123456789abcdef';

/** The hash of the present version for a request that is not the resource's: what a changed spec would look like. */
export const OTHER_REQUEST = 'v1.0123456789abcdef0123456789abcdef';

/** The annotations by which a former release would have described this Secret; its content-hash holds. */
export function formerAnnotations({ metadata, data = {} }: SecretOnWire, requestHash = OLDER): Record<string, string> {
  const annotations = metadata.annotations ?? {};
  const content = contentHash({
    data,
    issueTime: annotations[ANNOTATION_ISSUE_TIME] ?? '',
    expirationTime: annotations[ANNOTATION_EXPIRATION_TIME] ?? '',
    requestHash,
  });
  return {
    [ANNOTATION_REQUEST_HASH]: requestHash,
    [ANNOTATION_RENDER_HASH]: OLDER,
    [ANNOTATION_CONTENT_HASH]: content,
  };
}
