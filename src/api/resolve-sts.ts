// Promises: what all clouds' blocks say about STS in the same words: region and audience. Pure. May import api only.
import { need } from './refusal.ts';

const REGION = /^[a-z]{2,}(-[a-z0-9]+)+$/;
const MAX_REGION_LENGTH = 64;
const AUDIENCE = /^[A-Za-z0-9][A-Za-z0-9._:/~@=-]{0,254}$/;

/** A cloud's block of the spec, and how people know the cloud. */
export interface Block {
  /** Such as spec.aws. */
  readonly field: string;
  /** Such as "AWS". */
  readonly cloud: string;
}

/**
 * Region and audience of a block. Whether the region may become part of a host is judged in providers/endpoints.ts; here
 * it only cannot break out of a file.
 * @param example a region for the message.
 * @throws Refusal.
 */
export function needRegion({ field, cloud }: Block, region: string, example: string): void {
  need(isRegionName(region), `${field}.region`, region, `use a region of ${cloud}, such as ${example}.`);
}

/** Whether a text has the form of a region, so that it cannot break out of a file or a host that is built with it. */
export function isRegionName(text: string): boolean {
  return REGION.test(text) && text.length <= MAX_REGION_LENGTH;
}

/**
 * The audience, with the cloud's own as default. Which of them the operator mints is judged in providers/endpoints.ts.
 * @throws Refusal.
 */
export function resolveAudience({ field }: Block, audience: string | undefined, own: string): string {
  const resolved = audience ?? own;
  need(
    AUDIENCE.test(resolved),
    `${field}.audience`,
    resolved,
    `use an audience of the operator, such as ${own}, or leave it out.`,
  );
  return resolved;
}
