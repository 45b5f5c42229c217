// Promises: runs the AWS CLI as a user would, a process for each command: "new" does nothing, "call" is one
// `aws sts get-caller-identity`; each is answered by a line of JSON. It prints no credential.
import { spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';

for await (const line of createInterface({ input: process.stdin })) {
  let answer = { ok: true };
  if (line !== 'new') {
    const endpoint = process.env['CONSUMER_ENDPOINT'] ?? '';
    const arguments_ = ['sts', 'get-caller-identity', '--endpoint-url', endpoint];
    const { status, stderr } = spawnSync(process.env['CONSUMER_AWS'] ?? 'aws', arguments_, { encoding: 'utf8' });
    answer = status === 0 ? { ok: true } : { ok: false, error: stderr };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
