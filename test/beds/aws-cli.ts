// Promises: `aws sts get-caller-identity` as the AWS CLI answers it, in the workload's image (image.ts), where that is what the
// samples run: whose credentials these are, by the SDK's own chain and the region's own STS. Any other command is refused with
// the CLI's status for a wrong one. It knows nothing of the operator.
import { GetCallerIdentityCommand, STSClient } from '@aws-sdk/client-sts';

const WRONG_COMMAND = 252;

const command = process.argv.slice(2).join(' ');
if (command === 'sts get-caller-identity') {
  const client = new STSClient({ maxAttempts: 1 });
  const { UserId, Account, Arn } = await client.send(new GetCallerIdentityCommand());
  process.stdout.write(`${JSON.stringify({ UserId, Account, Arn }, undefined, 4)}\n`);
} else {
  process.stderr.write(`aws: this one knows "aws sts get-caller-identity" only, not "aws ${command}"\n`);
  process.exitCode = WRONG_COMMAND;
}
