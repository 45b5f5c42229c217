// Promises: the files and variables that an Alibaba Cloud credential becomes, and the way back from them. Pure. Takes
// values that resolve() and acceptAnswer() have bounded; it escapes nothing but what JSON escapes.
import type { ResolvedAlibabaCloud } from '../api/resolved.ts';
import { formatTime } from '../credential/record.ts';
import { type CloudFormats, pick, readJSON } from './parts.ts';

const JSON_NAMES = ['access_key_id', 'access_key_secret', 'sts_token'] as const;
const VARIABLE_NAMES = [
  'ALIBABA_CLOUD_ACCESS_KEY_ID',
  'ALIBABA_CLOUD_ACCESS_KEY_SECRET',
  'ALIBABA_CLOUD_SECURITY_TOKEN',
] as const;

/** Alibaba Cloud's formats. */
export const ALIBABA_CLOUD_FORMATS: CloudFormats<ResolvedAlibabaCloud> = {
  /**
   * ~/.aliyun/config.json, for the CLI and the credential tools of every language but Java, whose published versions know no
   * mode External (1.0.3 is the newest). That mode runs the command, without a shell, from 3 minutes before `expiration` on;
   * that time must have no fraction (Go takes it for none then, and Python refuses it), and `mode` is what the CLI takes the
   * answer for.
   * https://github.com/aliyun/credentials-go (credentials/providers/external.go), external.py, external.js
   */
  files: (exchange, parts, { mountPath, fileExpirationMs }) => ({
    'config.json': `${JSON.stringify({
      current: 'default',
      profiles: [
        {
          name: 'default',
          mode: 'External',
          process_command: `cat ${mountPath}/credentials.json`,
          region_id: exchange.region,
        },
      ],
    })}\n`,
    'credentials.json': `${JSON.stringify({
      mode: 'StsToken',
      access_key_id: parts.accessKeyID,
      access_key_secret: parts.secretAccessKey,
      sts_token: parts.sessionToken,
      expiration: formatTime(fileExpirationMs),
    })}\n`,
  }),

  // No StaticFile: the ini file of the SDKs knows no session token, and the other file that could hold one is config.json.
  staticFile: () => ({}),

  /** https://www.alibabacloud.com/help/en/sdk/developer-reference/v2-manage-node-js-access-credentials ; never updates in a pod. */
  environment: (exchange, parts) => ({
    ALIBABA_CLOUD_ACCESS_KEY_ID: parts.accessKeyID,
    ALIBABA_CLOUD_ACCESS_KEY_SECRET: parts.secretAccessKey,
    ALIBABA_CLOUD_SECURITY_TOKEN: parts.sessionToken,
    ALIBABA_CLOUD_REGION_ID: exchange.region,
  }),

  read: (data) => pick(readJSON(data['credentials.json']), JSON_NAMES) ?? pick(data, VARIABLE_NAMES),
};
