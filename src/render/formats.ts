// Promises: the files and variables that an AWS credential becomes, and the way back from them. No value can end its line,
// its quote or its argument: resolve() bounds what comes from the resource, acceptAnswer() what comes from STS, and a
// property test holds both against these renderers. Pure.
import { PLACEHOLDER, type Format, type Placeholder, type ResolvedAWS, type ResolvedSecret } from '../api/resolve.ts';

/** The credential's parts in the clear: they live as long as a render takes. */
export interface CredentialParts {
  readonly accessKeyID: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  /** RFC 3339 UTC without a fraction: the one form that every SDK parses. */
  readonly expiration: string;
}

/** Keys and plain values. */
export type PlainData = Readonly<Record<string, string>>;

/**
 * `credential_process` re-reads the file whenever the credential nears its end, in every AWS SDK.
 * https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
 */
function awsFiles(exchange: ResolvedAWS, secret: ResolvedSecret, parts: CredentialParts): PlainData {
  return {
    config: `[default]\nregion = ${exchange.region}\ncredential_process = cat ${secret.mountPath}/credentials.json\n`,
    'credentials.json': `${JSON.stringify({
      Version: 1,
      AccessKeyId: parts.accessKeyID,
      SecretAccessKey: parts.secretAccessKey,
      SessionToken: parts.sessionToken,
      Expiration: parts.expiration,
    })}\n`,
  };
}

/** https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html ; read once by most SDKs, hence opt-in. */
function awsStaticFile(parts: CredentialParts): PlainData {
  return {
    credentials:
      `[default]\naws_access_key_id = ${parts.accessKeyID}\naws_secret_access_key = ${parts.secretAccessKey}\n` +
      `aws_session_token = ${parts.sessionToken}\n`,
  };
}

/** https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html ; never updates in a running pod. */
function awsEnvironment(exchange: ResolvedAWS, parts: CredentialParts): PlainData {
  return {
    AWS_ACCESS_KEY_ID: parts.accessKeyID,
    AWS_SECRET_ACCESS_KEY: parts.secretAccessKey,
    AWS_SESSION_TOKEN: parts.sessionToken,
    AWS_REGION: exchange.region,
  };
}

function templated(exchange: ResolvedAWS, secret: ResolvedSecret, parts: CredentialParts): PlainData {
  const values: Readonly<Record<Placeholder, string>> = {
    accessKeyId: parts.accessKeyID,
    secretAccessKey: parts.secretAccessKey,
    sessionToken: parts.sessionToken,
    expiration: parts.expiration,
    region: exchange.region,
    roleArn: exchange.roleARN,
  };
  const fill = (template: string): string =>
    // The pattern knows the placeholders only; what is put in is not looked at again.
    template.replaceAll(PLACEHOLDER, (_whole, word: Placeholder) => values[word]);
  return Object.fromEntries(Object.entries(secret.data).map(([key, template]) => [key, fill(template)]));
}

/** All keys of the Secret, in plain text. */
export function renderData(exchange: ResolvedAWS, secret: ResolvedSecret, parts: CredentialParts): PlainData {
  const renderers: Readonly<Record<Format, () => PlainData>> = {
    Files: () => awsFiles(exchange, secret, parts),
    StaticFile: () => awsStaticFile(parts),
    Environment: () => awsEnvironment(exchange, parts),
  };
  const rendered: Record<string, string> = {};
  for (const format of secret.formats) {
    Object.assign(rendered, renderers[format]());
  }
  return { ...rendered, ...templated(exchange, secret, parts) };
}

/**
 * The credential in a Secret's plain data, read from whichever format is there: files first, whose keys spec.secret.data
 * can never have, then the variables, whose keys it can have where the format Environment is not used.
 * @returns undefined where no format of ours is, so that a new exchange is needed.
 */
export function readParts(data: PlainData, expiration: string): CredentialParts | undefined {
  const fields =
    readProcessJSON(data['credentials.json']) ?? readStaticFile(data['credentials']) ?? readEnvironment(data);
  const { accessKeyID, secretAccessKey, sessionToken } = fields ?? {};
  return accessKeyID === undefined || secretAccessKey === undefined || sessionToken === undefined
    ? undefined
    : { accessKeyID, secretAccessKey, sessionToken, expiration };
}

interface FoundParts {
  readonly accessKeyID: string | undefined;
  readonly secretAccessKey: string | undefined;
  readonly sessionToken: string | undefined;
}

function readProcessJSON(text: string | undefined): FoundParts | undefined {
  if (text === undefined) {
    return undefined;
  }
  let parsed: Readonly<Record<string, string | undefined>>;
  try {
    parsed = JSON.parse(text) as typeof parsed;
  } catch {
    return undefined;
  }
  return {
    accessKeyID: parsed['AccessKeyId'],
    secretAccessKey: parsed['SecretAccessKey'],
    sessionToken: parsed['SessionToken'],
  };
}

function readEnvironment(data: PlainData): FoundParts | undefined {
  return data['AWS_ACCESS_KEY_ID'] === undefined
    ? undefined
    : {
        accessKeyID: data['AWS_ACCESS_KEY_ID'],
        secretAccessKey: data['AWS_SECRET_ACCESS_KEY'],
        sessionToken: data['AWS_SESSION_TOKEN'],
      };
}

function readStaticFile(text: string | undefined): FoundParts | undefined {
  if (text === undefined) {
    return undefined;
  }
  const value = (key: string): string | undefined => new RegExp(`^${key} = (.*)$`, 'm').exec(text)?.[1];
  return {
    accessKeyID: value('aws_access_key_id'),
    secretAccessKey: value('aws_secret_access_key'),
    sessionToken: value('aws_session_token'),
  };
}
