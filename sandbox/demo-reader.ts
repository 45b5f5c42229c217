// Promises: a pod's application: the AWS SDK as it is shipped, configured by nothing but AWS_CONFIG_FILE in the mounted
// Secret, asks STS who it is, over and over. Knows no Kubernetes. Prints one JSON line for each call, never a secret.
// Ends when its standard input does, so that it cannot outlive who started it.
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';

/** One use of the credential. */
export interface Reading {
  /** Of the file that the SDK was about to read. */
  readonly accessKeyID?: string | undefined;
  /** What was left of the credential's life, in milliseconds. */
  readonly leftMs?: number | undefined;
  /** Who STS says that we are. */
  readonly arn?: string | undefined;
  /** STS's code, or the SDK's, when it did not work. */
  readonly error?: string | undefined;
}

const PAUSE_MS = 250;

async function read(client: STSClient, file: string): Promise<Reading> {
  let seen: { readonly AccessKeyId?: string; readonly Expiration?: string } = {};
  try {
    seen = JSON.parse(await readFile(file, 'utf8')) as typeof seen;
    const leftMs = Date.parse(seen.Expiration ?? '') - Date.now();
    const { Arn } = await client.send(new GetCallerIdentityCommand());
    return { accessKeyID: seen.AccessKeyId, leftMs, arn: Arn };
  } catch (error) {
    const { name, message } = error as Error;
    return { accessKeyID: seen.AccessKeyId, error: `${name}: ${message}` };
  }
}

process.stdin.on('end', () => process.exit(0)).resume();
const file = join(dirname(process.env['AWS_CONFIG_FILE'] ?? ''), 'credentials.json');
const client = new STSClient();
for (;;) {
  process.stdout.write(`${JSON.stringify(await read(client, file))}\n`);
  await sleep(PAUSE_MS);
}
