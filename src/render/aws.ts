// Promises: the files and variables that an AWS credential becomes, and the way back from them. Pure. Takes values that
// resolve() and acceptAnswer() have bounded; it escapes nothing but what JSON escapes.
import type { ResolvedAWS } from '../api/resolved.ts';
import { formatTime } from '../credential/record.ts';
import { type CloudFormats, pick, readJSON } from './parts.ts';

const PROCESS_NAMES = ['AccessKeyId', 'SecretAccessKey', 'SessionToken'] as const;
const VARIABLE_NAMES = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'] as const;
const INI_NAMES = ['aws_access_key_id', 'aws_secret_access_key', 'aws_session_token'] as const;

/** AWS's formats. */
export const AWS_FORMATS: CloudFormats<ResolvedAWS> = {
  /**
   * `credential_process` re-reads the file whenever the credential nears its end, in every AWS SDK; Version must be a number.
   * https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html
   */
  files: (exchange, parts, { mountPath, fileExpirationMs }) => ({
    config: `[default]\nregion = ${exchange.region}\ncredential_process = cat ${mountPath}/credentials.json\n`,
    'credentials.json': `${JSON.stringify({
      Version: 1,
      AccessKeyId: parts.accessKeyID,
      SecretAccessKey: parts.secretAccessKey,
      SessionToken: parts.sessionToken,
      Expiration: formatTime(fileExpirationMs),
    })}\n`,
  }),

  /** https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html ; read once by most SDKs, hence opt-in. */
  staticFile: (_exchange, parts) => ({
    credentials:
      `[default]\naws_access_key_id = ${parts.accessKeyID}\naws_secret_access_key = ${parts.secretAccessKey}\n` +
      `aws_session_token = ${parts.sessionToken}\n`,
  }),

  /** https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html ; never updates in a running pod. */
  environment: (exchange, parts) => ({
    AWS_ACCESS_KEY_ID: parts.accessKeyID,
    AWS_SECRET_ACCESS_KEY: parts.secretAccessKey,
    AWS_SESSION_TOKEN: parts.sessionToken,
    AWS_REGION: exchange.region,
  }),

  read: (data) =>
    pick(readJSON(data['credentials.json']), PROCESS_NAMES) ??
    pick(readINI(data['credentials']), INI_NAMES) ??
    pick(data, VARIABLE_NAMES),
};

/** The lines `name = value` of the ini that we write, and of no other. */
function readINI(text: string | undefined): Record<string, string> {
  const lines = (text ?? '').matchAll(/^([a-z_]+) = (.*)$/gm);
  return Object.fromEntries([...lines].map(([, name = '', value = '']) => [name, value]));
}
