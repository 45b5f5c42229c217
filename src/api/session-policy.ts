// Promises: a session policy is one JSON object of the dialect of its cloud before anybody sends it: what STS would refuse
// for its form is told by field, value and fix. What the policy allows is not judged. Pure. May import api only.
import { invalid, need } from './refusal.ts';
import type { Block } from './resolve-sts.ts';

/** Longest inline session policy, in characters, on all three clouds (AssumeRole of each cloud's API reference). */
const MAX_LENGTH = 2048;
/** The clouds take more; printable ASCII and whitespace are enough for JSON, which can escape the rest. */
const PRINTABLE = /^[\t\n\r\x20-\x7e]+$/;

/** How a cloud writes its policies. */
export interface PolicyDialect {
  /** The one Version that a policy has; undefined where policies have none. */
  readonly version: string | undefined;
  /** Statement may also be one object instead of a list. */
  readonly singleStatement: boolean;
}

/** https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html and ..._statement.html */
export const AWS_POLICY: PolicyDialect = { version: '2012-10-17', singleStatement: true };
/** https://www.alibabacloud.com/help/en/ram/user-guide/policy-structure-and-syntax */
export const ALIBABA_CLOUD_POLICY: PolicyDialect = { version: '1', singleStatement: false };
/** https://www.volcengine.com/docs/6257/65059 */
export const VOLCENGINE_POLICY: PolicyDialect = { version: undefined, singleStatement: false };

/**
 * Refuses a session policy that the cloud could not read.
 * @throws Refusal.
 */
export function needSessionPolicy(block: Block, policy: string | undefined, dialect: PolicyDialect): void {
  if (policy === undefined) {
    return;
  }
  const field = `${block.field}.sessionPolicy`;
  need(policy.length <= MAX_LENGTH, field, `${policy.length} characters`, `use at most ${MAX_LENGTH} characters.`);
  need(
    PRINTABLE.test(policy),
    field,
    policy,
    'use printable ASCII characters only; JSON can escape others as \\u00e9.',
  );
  const fix = `use one JSON object ${form(dialect)}, as ${block.cloud} documents its policies.`;
  const document = parseObject(policy) ?? invalid(field, policy, fix);
  need(isVersion(document, dialect), field, policy, versionFix(block, dialect));
  need(isStatement(document.get('Statement'), dialect), field, policy, fix);
}

function form({ version }: PolicyDialect): string {
  return version === undefined ? 'with Statement' : `with "Version": "${version}" and Statement`;
}

function versionFix({ cloud }: Block, { version }: PolicyDialect): string {
  return version === undefined
    ? `remove Version: policies of ${cloud} have none.`
    : `write "Version": "${version}", as ${cloud} documents its policies.`;
}

function parseObject(text: string): ReadonlyMap<string, unknown> | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  return isObject(parsed) ? new Map(Object.entries(parsed)) : undefined;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isVersion(document: ReadonlyMap<string, unknown>, { version }: PolicyDialect): boolean {
  return version === undefined ? !document.has('Version') : document.get('Version') === version;
}

function isStatement(statement: unknown, { singleStatement }: PolicyDialect): boolean {
  return Array.isArray(statement) ? statement.every(isObject) : singleStatement && isObject(statement);
}
