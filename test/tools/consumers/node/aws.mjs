// Promises: a program with the AWS SDK for JavaScript v3 in its default set-up. "new" makes a client, "call" calls
// GetCallerIdentity with it; each is answered by a line of JSON. It prints no credential.
import { createInterface } from 'node:readline';
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';

const newClient = () => new STSClient({ endpoint: process.env['CONSUMER_ENDPOINT'], maxAttempts: 1 });
let client = newClient();

for await (const line of createInterface({ input: process.stdin })) {
  let answer = { ok: true };
  try {
    if (line === 'new') {
      client = newClient();
    } else {
      await client.send(new GetCallerIdentityCommand({}));
    }
  } catch (error) {
    answer = { ok: false, error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
