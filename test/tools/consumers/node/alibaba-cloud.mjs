// Promises: a program with Alibaba Cloud's credentials for Node.js in their default set-up, and the STS client. "new" makes a
// client, "call" calls GetCallerIdentity with it; each is answered by a line of JSON. It prints no credential.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(import.meta.url);
// The STS client brings the two others, as its users have them.
const fromSTS = createRequire(require.resolve('@alicloud/sts20150401'));
const { default: STSClient } = require('@alicloud/sts20150401');
const { $OpenApiUtil } = fromSTS('@alicloud/openapi-core');
const { default: Credential } = createRequire(fromSTS.resolve('@alicloud/openapi-core'))('@alicloud/credentials');

const endpoint = (process.env['CONSUMER_ENDPOINT'] ?? '').replace('http://', '');
const newClient = () =>
  new STSClient(new $OpenApiUtil.Config({ credential: new Credential(), endpoint, protocol: 'HTTP' }));
let client;

for await (const line of createInterface({ input: process.stdin })) {
  let answer = { ok: true };
  try {
    if (line === 'new') {
      client = newClient();
    } else {
      await client.getCallerIdentity();
    }
  } catch (error) {
    answer = { ok: false, error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
