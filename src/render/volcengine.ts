// Promises: the files and variables that a Volcengine credential becomes, and the way back from them. Pure. Takes values
// that resolve() and acceptAnswer() have bounded; it escapes nothing but what JSON escapes.
import type { ResolvedVolcengine } from '../api/resolved.ts';
import { asObject, type CloudFormats, type CredentialParts, pick, readJSON } from './parts.ts';

const PROFILE_NAMES = ['access-key', 'secret-key', 'session-token'] as const;
const VARIABLE_NAMES = ['VOLCENGINE_ACCESS_KEY', 'VOLCENGINE_SECRET_KEY', 'VOLCENGINE_SESSION_TOKEN'] as const;

/** The CLI's configuration with one profile; which modes are read again is told at the formats. */
function configuration(
  exchange: ResolvedVolcengine,
  parts: CredentialParts,
  mode: Readonly<Record<string, string | number>>,
): string {
  const profile = {
    name: 'default',
    ...mode,
    'access-key': parts.accessKeyID,
    'secret-key': parts.secretAccessKey,
    'session-token': parts.sessionToken,
    region: exchange.region,
  };
  return `${JSON.stringify({ current: 'default', profiles: { default: profile } })}\n`;
}

/** Volcengine's formats. */
export const VOLCENGINE_FORMATS: CloudFormats<ResolvedVolcengine> = {
  /**
   * Mode sso with `sts-expiration` (Unix seconds) is the only mode that a running SDK reads again, 60 s before that time:
   * the SDK for Go does, and the core of the one for Node.js from its version 1.0.2; the CLI takes it too. The SDKs for
   * Python and Java want a login session for it and refuse the file: they have StaticFile, and a restart.
   * https://github.com/volcengine/volcengine-go-sdk (volcengine/credentials/clicreds/cli_provider.go, retrieveSSO),
   * https://github.com/volcengine/volcengine-cli (cmd/sso.go, EnsureValidStsToken)
   */
  files: (exchange, parts, { fileExpirationMs }) => ({
    'config.json': configuration(exchange, parts, {
      mode: 'sso',
      'sts-expiration': Math.floor(fileExpirationMs / 1000),
    }),
  }),

  /**
   * Mode ak: every SDK and the CLI read it, nearly all of them once.
   * https://github.com/volcengine/volcengine-python-sdk (volcenginesdkcore/auth/providers/cli_config_provider.py)
   */
  staticFile: (exchange, parts) => ({ 'config-static.json': configuration(exchange, parts, { mode: 'ak' }) }),

  /**
   * Never updates in a running pod. The region is read by the CLI only.
   * https://github.com/volcengine/volcengine-python-sdk (volcenginesdkcore/auth/providers/env_provider.py),
   * https://github.com/volcengine/volcengine-cli (cmd/sdk_client.go)
   */
  environment: (exchange, parts) => ({
    VOLCENGINE_ACCESS_KEY: parts.accessKeyID,
    VOLCENGINE_SECRET_KEY: parts.secretAccessKey,
    VOLCENGINE_SESSION_TOKEN: parts.sessionToken,
    VOLCENGINE_REGION: exchange.region,
  }),

  read: (data) =>
    pick(defaultProfile(data['config.json']), PROFILE_NAMES) ??
    pick(defaultProfile(data['config-static.json']), PROFILE_NAMES) ??
    pick(data, VARIABLE_NAMES),
};

function defaultProfile(text: string | undefined): Readonly<Record<string, unknown>> | undefined {
  return asObject(asObject(readJSON(text)?.['profiles'])?.['default']);
}
