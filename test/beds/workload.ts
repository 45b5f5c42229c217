// Promises: a workload as a user writes it, for the image of that name (image.ts): it puts and gets an object in a bucket again
// and again, with credentials from the AWS SDK's own chain, and prints one JSON line a use: whose key, and how it went. It
// knows nothing of the operator. Told by its environment: S3_ENDPOINT, S3_BUCKET, AWS_CONFIG_FILE, AWS_REGION.
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';

const { S3_ENDPOINT: endpoint = '', S3_BUCKET: bucket = '', AWS_CONFIG_FILE: configFile = '' } = process.env;
const PAUSE_MS = 250;

function say(fields: object): void {
  process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), ...fields })}\n`);
}

/** What the container really has, in the kernel's own words. */
function surroundings(): object {
  const status = readFileSync('/proc/self/status', 'utf8');
  const line = (name: string): string => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? '';
  const modes = ['config', 'credentials.json'].map((name) => {
    const { mode, uid, gid } = statSync(`${dirname(configFile)}/${name}`);
    return [name, { mode: (mode & 0o777).toString(8), uid, gid }] as const;
  });
  let root = 'writable';
  try {
    writeFileSync('/written', '');
  } catch (error) {
    root = (error as NodeJS.ErrnoException).code ?? 'unknown';
  }
  return {
    uid: process.getuid?.(),
    groups: process.getgroups?.(),
    seccomp: line('Seccomp'),
    root,
    files: Object.fromEntries(modes),
  };
}

/** No answer is no refusal: on a machine that stalls, a kept connection may end just when it is used again. */
function howItEnded(error: unknown): 'failed' | 'disconnected' {
  const { name, $metadata } = error as { name?: string; $metadata?: { httpStatusCode?: number } };
  const isAnswered = $metadata?.httpStatusCode !== undefined;
  return !isAnswered && (name === 'TimeoutError' || String(error).includes('ECONNRESET')) ? 'disconnected' : 'failed';
}

say({ message: 'started', ...surroundings() });
process.once('SIGTERM', () => process.exit(0));
const client = new S3Client({ endpoint, forcePathStyle: true, maxAttempts: 1 });
for (let use = 1; ; use++) {
  let keyID = 'none';
  try {
    keyID = (await client.config.credentials()).accessKeyId;
    const body = `use ${use}`;
    await client.send(new PutObjectCommand({ Bucket: bucket, Key: 'of-the-pod', Body: body }));
    const got = await client.send(new GetObjectCommand({ Bucket: bucket, Key: 'of-the-pod' }));
    const read = await got.Body?.transformToString();
    say({
      message: read === body ? 'used' : 'failed',
      keyID,
      use,
      ...(read === body ? {} : { error: 'read another body' }),
    });
  } catch (error) {
    say({ message: howItEnded(error), keyID, use, error: String(error) });
  }
  await sleep(PAUSE_MS);
}
