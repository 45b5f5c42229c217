// Promises: the hops of a role chain as the clouds' AssumeRole takes them: roles, external ids and session tags within the
// documented limits, and no tag that policies trust to come from the platform. Messages name the hop by its index. Pure.
// May import api only.
import { need } from './refusal.ts';
import type { RoleHop, SessionTag } from './resolved.ts';
import type { Block } from './resolve-sts.ts';

const MAX_HOPS = 4;
/**
 * The life of a chained session, in seconds.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining
 */
export const MAX_CHAINED_SECONDS = 3600;
/** https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html ; Alibaba Cloud's AssumeRole says the same. */
const EXTERNAL_ID = /^[A-Za-z0-9_+=,.@:/-]{2,1224}$/;
/**
 * https://docs.aws.amazon.com/STS/latest/APIReference/API_Tag.html , of its separators only the space, and not at an end:
 * what somebody trims or breaks a line at is no part of a key that is compared by its beginning.
 */
const TAG_KEY = /^[\p{L}\p{N}_.:/=+@-]([\p{L}\p{N} _.:/=+@-]*[\p{L}\p{N}_.:/=+@-])?$/u;
const TAG_VALUE = /^[\p{L}\p{N} _.:/=+@-]*$/u;
const MAX_TAG_KEY_LENGTH = 128;
const MAX_TAG_VALUE_LENGTH = 256;
/** Policies trust these to come from the platform: EKS Pod Identity sets eks-* and kubernetes-* itself. */
const PLATFORM_PREFIXES: readonly string[] = ['kubernetes-', 'eks-', 'workloadcredentials-'];

/** What a cloud's chain may say. */
export interface ChainRules {
  /** The name of a hop's field for its role: roleARN, or roleTRN. */
  readonly roleField: string;
  /** Whether a text names a role of this cloud that a chain from the first role may lead to. */
  readonly isRole: (role: string) => boolean;
  /** What to write instead of a wrong role. */
  readonly roleFix: string;
  /** Most session tags of a hop. */
  readonly maxTags: number;
  /** Prefixes of keys that the cloud keeps for itself. */
  readonly reservedPrefixes: readonly string[];
}

/** A hop as the resource says it, the role under one name for all clouds. */
export interface SaidHop {
  readonly role: string;
  readonly externalID?: string | undefined;
  readonly tags?: readonly SaidTag[] | undefined;
}

interface SaidTag {
  readonly key: string;
  readonly value: string;
  readonly transitive?: boolean;
}

/**
 * The hops after the first role, in order.
 * @throws Refusal.
 */
export function resolveRoleChain({ field }: Block, hops: readonly SaidHop[], rules: ChainRules): readonly RoleHop[] {
  const chain = `${field}.roleChain`;
  need(hops.length <= MAX_HOPS, chain, `${hops.length} hops`, `use at most ${MAX_HOPS}.`);
  const inherited = new Map<string, string>();
  return hops.map((hop, index) => {
    const at = `${chain}[${index}]`;
    need(rules.isRole(hop.role), `${at}.${rules.roleField}`, hop.role, rules.roleFix);
    needExternalID(`${at}.externalID`, hop.externalID);
    const tags = resolveTags(`${at}.tags`, hop.tags ?? [], rules);
    needNotInherited(`${at}.tags`, tags, inherited);
    return { role: hop.role, tags, ...(hop.externalID === undefined ? {} : { externalID: hop.externalID }) };
  });
}

function needExternalID(field: string, externalID: string | undefined): void {
  need(
    externalID === undefined || EXTERNAL_ID.test(externalID),
    field,
    externalID,
    'use 2 to 1224 letters, digits and _+=,.@:/-, or remove it.',
  );
}

function resolveTags(field: string, tags: readonly SaidTag[], rules: ChainRules): readonly SessionTag[] {
  need(tags.length <= rules.maxTags, field, `${tags.length} tags`, `use at most ${rules.maxTags}.`);
  const seen = new Set<string>();
  return tags.map(({ key, value, transitive }, index) => {
    needTag(`${field}[${index}]`, { key, value }, rules);
    need(!seen.has(key.toLowerCase()), `${field}[${index}].key`, key, 'use keys that differ in more than case.');
    seen.add(key.toLowerCase());
    return { key, value, ...(transitive === true ? { transitive } : {}) };
  });
}

function needTag(field: string, { key, value }: SaidTag, { reservedPrefixes }: ChainRules): void {
  need(
    TAG_KEY.test(key) && key.length <= MAX_TAG_KEY_LENGTH,
    `${field}.key`,
    key,
    `use 1 to ${MAX_TAG_KEY_LENGTH} letters, digits, spaces within and _.:/=+-@.`,
  );
  const refused = [...reservedPrefixes, ...PLATFORM_PREFIXES];
  // Who compares without case may do so by upper case, where a long s is an S and a dotless i an I.
  const folded = key.toUpperCase().toLowerCase();
  need(
    !refused.some((prefix) => folded.startsWith(prefix)),
    `${field}.key`,
    key,
    `use a key that does not begin with ${refused.join(', ')}: policies trust those to come from the platform.`,
  );
  need(
    value.length <= MAX_TAG_VALUE_LENGTH && TAG_VALUE.test(value),
    `${field}.value`,
    value,
    `use at most ${MAX_TAG_VALUE_LENGTH} letters, digits, spaces and _.:/=+-@.`,
  );
}

/**
 * "If you pass a session tag with the same key as an inherited tag, the operation fails."
 * https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
 * @param inherited the transitive keys of the hops before, lower case, each with its field; this hop's are added.
 */
function needNotInherited(field: string, tags: readonly SessionTag[], inherited: Map<string, string>): void {
  for (const [index, { key }] of tags.entries()) {
    const from = inherited.get(key.toLowerCase());
    need(
      from === undefined,
      `${field}[${index}].key`,
      key,
      `use another key, or none: ${from ?? ''} is transitive and reaches this hop by itself.`,
    );
  }
  for (const [index, { key, transitive }] of tags.entries()) {
    if (transitive === true) {
      inherited.set(key.toLowerCase(), `${field}[${index}]`);
    }
  }
}
