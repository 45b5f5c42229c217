// Promises: a pod's application: given the cloud, it asks that cloud's STS who it is, over and over, with what is in the mounted
// Secret and nothing else: AWS's and Alibaba Cloud's own SDKs, in their default set-up; for Volcengine, which has none on npm that
// takes a session token, a request that is signed here. Knows no Kubernetes. Prints one JSON line for each call, never a secret.
// Ends when its standard input does, so that it cannot outlive who started it.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CloudName } from './demo-clouds.ts';

/** One use of the credential. */
export interface Reading {
  /** Of the file that was about to be read. */
  readonly accessKeyID?: string | undefined;
  /** What was left of the credential's life, in milliseconds. */
  readonly leftMs?: number | undefined;
  /** Who STS says that we are. */
  readonly identity?: string | undefined;
  /** STS's code, or the SDK's, when it did not work. */
  readonly error?: string | undefined;
}

/** What the files say. */
interface Seen {
  readonly accessKeyID?: string | undefined;
  readonly expirationMs: number;
}

interface Program {
  readonly look: () => Promise<Seen>;
  /** GetCallerIdentity. */
  readonly identity: () => Promise<string | undefined>;
}

const PAUSE_MS = 400;
const environment = (name: string): string => process.env[name] ?? '';
const stsURL = new URL(environment('STS_URL'));

async function readJSON<T>(file: string): Promise<T> {
  return JSON.parse(await readFile(file, 'utf8')) as T;
}

async function awsProgram(): Promise<Program> {
  const { GetCallerIdentityCommand, STSClient } = await import('@aws-sdk/client-sts');
  const client = new STSClient({ endpoint: stsURL.origin });
  const file = join(dirname(environment('AWS_CONFIG_FILE')), 'credentials.json');
  return {
    look: async () => {
      const seen = await readJSON<{ AccessKeyId?: string; Expiration?: string }>(file);
      return { accessKeyID: seen.AccessKeyId, expirationMs: Date.parse(seen.Expiration ?? '') };
    },
    identity: async () => (await client.send(new GetCallerIdentityCommand())).Arn,
  };
}

/** The packages of Alibaba Cloud's SDK, as the STS client brings them. */
interface AlibabaCloudPackages {
  readonly STSClient: new (
    config: unknown,
  ) => { getCallerIdentity(): Promise<{ readonly body?: { readonly arn?: string } }> };
  readonly Config: new (settings: object) => unknown;
  readonly Credential: new () => unknown;
}

function alibabaCloudPackages(): AlibabaCloudPackages {
  const require = createRequire(import.meta.url);
  const fromSTS = createRequire(require.resolve('@alicloud/sts20150401'));
  const fromCore = createRequire(fromSTS.resolve('@alicloud/openapi-core'));
  const { default: STSClient } = require('@alicloud/sts20150401') as { default: AlibabaCloudPackages['STSClient'] };
  const { $OpenApiUtil } = fromSTS('@alicloud/openapi-core') as { $OpenApiUtil: Pick<AlibabaCloudPackages, 'Config'> };
  const { default: Credential } = fromCore('@alicloud/credentials') as { default: AlibabaCloudPackages['Credential'] };
  return { STSClient, Config: $OpenApiUtil.Config, Credential };
}

function alibabaCloudProgram(): Program {
  const { STSClient, Config, Credential } = alibabaCloudPackages();
  const settings = { credential: new Credential(), endpoint: stsURL.host, protocol: 'HTTP' };
  const client = new STSClient(new Config(settings));
  const file = join(environment('HOME'), '.aliyun', 'credentials.json');
  return {
    look: async () => {
      const seen = await readJSON<{ access_key_id?: string; expiration?: string }>(file);
      return { accessKeyID: seen.access_key_id, expirationMs: Date.parse(seen.expiration ?? '') };
    },
    identity: async () => (await client.getCallerIdentity()).body?.arn,
  };
}

interface VolcengineProfile {
  readonly 'access-key': string;
  readonly 'secret-key': string;
  readonly 'session-token': string;
  readonly 'sts-expiration': number;
  readonly region: string;
}

async function volcengineProgram(): Promise<Program> {
  const { SecretText } = await import('../src/credential/credentials.ts');
  const { signVolcengine } = await import('../src/providers/volcengine-signature.ts');
  const profile = async (): Promise<VolcengineProfile> => {
    const file = environment('VOLCENGINE_CLI_CONFIG_FILE');
    return (await readJSON<{ profiles: { default: VolcengineProfile } }>(file)).profiles.default;
  };
  return {
    look: async () => {
      const { 'access-key': accessKeyID, 'sts-expiration': seconds } = await profile();
      return { accessKeyID, expirationMs: seconds * 1000 };
    },
    identity: async () => {
      const { region, ...keys } = await profile();
      const query = { Action: 'GetCallerIdentity', Version: '2018-01-01' };
      const { path, headers } = signVolcengine(
        { host: stsURL.host, region, query, timeMs: Date.now() },
        {
          accessKeyID: keys['access-key'],
          secretAccessKey: new SecretText(keys['secret-key']),
          sessionToken: new SecretText(keys['session-token']),
        },
      );
      const answer = (await (await fetch(new URL(path, stsURL), { headers })).json()) as {
        readonly ResponseMetadata: { readonly Error?: { readonly Code: string; readonly Message: string } };
        readonly Result?: { readonly Trn?: string };
      };
      const { Error: refused } = answer.ResponseMetadata;
      if (refused !== undefined) throw new Error(`${refused.Code}: ${refused.Message}`);
      return answer.Result?.Trn;
    },
  };
}

const PROGRAMS: Readonly<Record<CloudName, () => Program | Promise<Program>>> = {
  AWS: awsProgram,
  AlibabaCloud: alibabaCloudProgram,
  Volcengine: volcengineProgram,
};

async function use(program: Program): Promise<Reading> {
  let accessKeyID: string | undefined;
  try {
    const seen = await program.look();
    ({ accessKeyID } = seen);
    const leftMs = seen.expirationMs - Date.now();
    const identity = await program.identity();
    return identity === undefined ? { accessKeyID, error: 'STS named nobody' } : { accessKeyID, leftMs, identity };
  } catch (error) {
    const { name, message } = error as Error;
    return { accessKeyID, error: `${name}: ${message}` };
  }
}

process.stdin.on('end', () => process.exit(0)).resume();
const program = await PROGRAMS[process.argv[2] as CloudName]();
for (;;) {
  process.stdout.write(`${JSON.stringify(await use(program))}\n`);
  await sleep(PAUSE_MS);
}
