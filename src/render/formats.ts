// Promises: all keys of a Secret, in the formats of its cloud, and the way back from them. No value can end its line, its
// quote or its argument: resolve() bounds what comes from the resource, acceptAnswer() what comes from STS, and property
// tests hold both against these renderers. Pure.
import { PLACEHOLDER, type Placeholder } from '../api/resolve.ts';
import { deliveredRole, type Format, type ResolvedExchange, type ResolvedSecret } from '../api/resolved.ts';
import { parseTime } from '../credential/record.ts';
import { fileExpirationMs } from '../credential/schedule.ts';
import { ALIBABA_CLOUD_FORMATS } from './alibaba-cloud.ts';
import { AWS_FORMATS } from './aws.ts';
import type { CloudFormats, CredentialParts, CredentialTimes, FileSettings, PlainData } from './parts.ts';
import { VOLCENGINE_FORMATS } from './volcengine.ts';

export type { CredentialParts, PlainData } from './parts.ts';

type Cloud = ResolvedExchange['cloud'];

const CLOUDS: { readonly [C in Cloud]: CloudFormats<Extract<ResolvedExchange, { cloud: C }>> } = {
  AWS: AWS_FORMATS,
  AlibabaCloud: ALIBABA_CLOUD_FORMATS,
  Volcengine: VOLCENGINE_FORMATS,
};

function formatsOf(exchange: ResolvedExchange): CloudFormats<ResolvedExchange> {
  // Each cloud's renderers take that cloud's exchange, which is what the table's key says.
  return CLOUDS[exchange.cloud] as CloudFormats<ResolvedExchange>;
}

/** @throws TypeError for times that the operator did not write. */
function fileSettings(secret: ResolvedSecret, { issueTime, expiration }: CredentialTimes): FileSettings {
  const issueTimeMs = parseTime(issueTime);
  const expirationTimeMs = parseTime(expiration);
  if (issueTimeMs === undefined || expirationTimeMs === undefined) {
    throw new TypeError('a credential is rendered with the times of its Secret, in RFC 3339');
  }
  return { mountPath: secret.mountPath, fileExpirationMs: fileExpirationMs({ issueTimeMs, expirationTimeMs }) };
}

function templated(exchange: ResolvedExchange, secret: ResolvedSecret, parts: CredentialParts): PlainData {
  const values: Readonly<Record<Placeholder, string>> = {
    accessKeyId: parts.accessKeyID,
    secretAccessKey: parts.secretAccessKey,
    sessionToken: parts.sessionToken,
    expiration: parts.expiration,
    region: exchange.region,
    roleArn: deliveredRole(exchange),
  };
  const fill = (template: string): string =>
    // The pattern knows the placeholders only; what is put in is not looked at again.
    template.replaceAll(PLACEHOLDER, (_whole, word: Placeholder) => values[word]);
  return Object.fromEntries(Object.entries(secret.data).map(([key, template]) => [key, fill(template)]));
}

/**
 * All keys of the Secret, in plain text. Files say an end a little before the true one (see fileExpirationMs); a template's
 * `{{ expiration }}` is the true one, since the program that reads it knows its own margins.
 */
export function renderData(exchange: ResolvedExchange, secret: ResolvedSecret, parts: CredentialParts): PlainData {
  const formats = formatsOf(exchange);
  const renderers: Readonly<Record<Format, () => PlainData>> = {
    Files: () => formats.files(exchange, parts, fileSettings(secret, parts)),
    StaticFile: () => formats.staticFile(exchange, parts),
    Environment: () => formats.environment(exchange, parts),
  };
  const rendered: Record<string, string> = {};
  for (const format of secret.formats) {
    Object.assign(rendered, renderers[format]());
  }
  return { ...rendered, ...templated(exchange, secret, parts) };
}

/**
 * The credential in a Secret's plain data, read from whichever format of its cloud is there: files first, whose keys
 * spec.secret.data can never have, then the variables, whose keys it can have where the format Environment is not used.
 * @param times those of the Secret's annotations, which alone are true: files may say an earlier end.
 * @returns undefined where no format of ours is, so that a new exchange is needed.
 */
export function readParts(
  exchange: ResolvedExchange,
  data: PlainData,
  { issueTime, expiration }: CredentialTimes,
): CredentialParts | undefined {
  const { accessKeyID, secretAccessKey, sessionToken } = formatsOf(exchange).read(data) ?? {};
  return accessKeyID === undefined || secretAccessKey === undefined || sessionToken === undefined
    ? undefined
    : { accessKeyID, secretAccessKey, sessionToken, issueTime, expiration };
}
