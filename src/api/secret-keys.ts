// Promises: the names that a Secret's data speak with: the keys that each format writes for each cloud, and the placeholders
// of templates. Both are a contract with consumers and stay for ever. May not import anything but types of api.
import type { Cloud } from './names.ts';
import type { Format } from './resolved.ts';

/** Placeholders that spec.secret.data may use. `roleArn` is the delivered role's name on every cloud: Volcengine's TRN too. */
export const PLACEHOLDERS = [
  'accessKeyId',
  'secretAccessKey',
  'sessionToken',
  'expiration',
  'region',
  'roleArn',
] as const;
export type Placeholder = (typeof PLACEHOLDERS)[number];
/** One placeholder in a template, written as the CRD takes it. */
export const PLACEHOLDER = new RegExp(`\\{\\{ (${PLACEHOLDERS.join('|')}) \\}\\}`, 'g');

/**
 * The keys that each format writes. A format without keys is one that the cloud does not have.
 * https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html
 * https://www.alibabacloud.com/help/en/sdk/developer-reference/v2-manage-node-js-access-credentials
 * https://github.com/volcengine/volcengine-go-sdk/blob/master/SDK_Integration.md
 */
export const FORMAT_KEYS: Readonly<Record<Cloud, Readonly<Record<Format, readonly string[]>>>> = {
  AWS: {
    Files: ['config', 'credentials.json'],
    StaticFile: ['credentials'],
    Environment: ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_REGION'],
  },
  AlibabaCloud: {
    Files: ['config.json', 'credentials.json'],
    StaticFile: [],
    Environment: [
      'ALIBABA_CLOUD_ACCESS_KEY_ID',
      'ALIBABA_CLOUD_ACCESS_KEY_SECRET',
      'ALIBABA_CLOUD_SECURITY_TOKEN',
      'ALIBABA_CLOUD_REGION_ID',
    ],
  },
  Volcengine: {
    Files: ['config.json'],
    StaticFile: ['config-static.json'],
    Environment: ['VOLCENGINE_ACCESS_KEY', 'VOLCENGINE_SECRET_KEY', 'VOLCENGINE_SESSION_TOKEN', 'VOLCENGINE_REGION'],
  },
};
