// Promises: what differs between the three clouds for whoever tries the sandbox: names, the block of a WorkloadCredential, which
// STS answers, and where a program of that cloud looks for its files. No behaviour: the demo, its reader and what is printed to
// be pasted all take it from here.
import { dirname, join } from 'node:path';
import type { RunningService, Sandbox } from './sandbox.ts';

/** A private endpoint has an audience of its own: the operator gives a cloud's own audience to that cloud only. */
export const AUDIENCE = 'sts.sandbox.example';

/** As the operator names it. */
export type CloudName = 'AWS' | 'AlibabaCloud' | 'Volcengine';

/** One of the three. */
export interface DemoCloud {
  readonly name: CloudName;
  /** For people. */
  readonly title: string;
  /** Of names that say which cloud; AWS, the first, has none. */
  readonly suffix: string;
  /** The call that takes a token. */
  readonly exchange: 'AssumeRoleWithWebIdentity' | 'AssumeRoleWithOIDC';
  readonly service: (sandbox: Sandbox) => RunningService;
  /** ARN or TRN of a role of the sandbox's account. */
  readonly role: (name: string) => string;
  /** Whom the role's trust policy names as subject, as STS has it. */
  readonly subjectKey: string;
  /** The cloud's block in a spec, its key first. */
  readonly block: (sandbox: Sandbox, role: string) => readonly [string, Readonly<Record<string, string>>];
  /** Where a pod mounts the Secret, below a directory of its own. */
  readonly mountPath: (directory: string) => string;
  /** What the pod's manifest would set. */
  readonly environment: (mountPath: string) => Readonly<Record<string, string>>;
  /** What in the pod reads the files and signs. */
  readonly reader: string;
}

const AWS_ACCOUNT = '123456789012';
const ALIBABA_CLOUD_ACCOUNT = '1234567890123456';
const VOLCENGINE_ACCOUNT = '2100000001';

/** All of them; AWS first. */
export const CLOUDS: readonly [DemoCloud, DemoCloud, DemoCloud] = [
  {
    name: 'AWS',
    title: 'AWS',
    suffix: '',
    exchange: 'AssumeRoleWithWebIdentity',
    service: ({ aws }) => aws,
    role: (name) => `arn:aws:iam::${AWS_ACCOUNT}:role/${name}`,
    subjectKey: ':sub',
    block: ({ aws }, roleARN) => [
      'aws',
      { roleARN, region: 'eu-west-1', endpoint: aws.url.origin, audience: AUDIENCE },
    ],
    mountPath: (directory) => directory,
    environment: (mountPath) => ({ AWS_CONFIG_FILE: join(mountPath, 'config'), AWS_EC2_METADATA_DISABLED: 'true' }),
    reader: "AWS's SDK for JavaScript, by its config and credential_process",
  },
  {
    name: 'AlibabaCloud',
    title: 'Alibaba Cloud',
    suffix: '-alibaba',
    exchange: 'AssumeRoleWithOIDC',
    service: ({ alibabaCloud }) => alibabaCloud,
    role: (name) => `acs:ram::${ALIBABA_CLOUD_ACCOUNT}:role/${name}`,
    subjectKey: 'oidc:sub',
    block: ({ alibabaCloud }, roleARN) => [
      'alibabaCloud',
      {
        roleARN,
        oidcProviderARN: alibabaCloud.service.providerARN(ALIBABA_CLOUD_ACCOUNT),
        region: 'cn-hangzhou',
        endpoint: alibabaCloud.url.origin,
        audience: AUDIENCE,
      },
    ],
    // The SDK for Node.js looks in the home directory and nowhere else.
    mountPath: (directory) => join(directory, '.aliyun'),
    environment: (mountPath) => ({ HOME: dirname(mountPath) }),
    reader: "Alibaba Cloud's SDK for Node.js, by ~/.aliyun/config.json",
  },
  {
    name: 'Volcengine',
    title: 'Volcengine',
    suffix: '-volcengine',
    exchange: 'AssumeRoleWithOIDC',
    service: ({ volcengine }) => volcengine,
    role: (name) => `trn:iam::${VOLCENGINE_ACCOUNT}:role/${name}`,
    subjectKey: 'oidc:sub',
    block: ({ volcengine }, roleTRN) => [
      'volcengine',
      { roleTRN, region: 'cn-beijing', endpoint: volcengine.url.origin, audience: AUDIENCE },
    ],
    mountPath: (directory) => directory,
    environment: (mountPath) => ({ VOLCENGINE_CLI_CONFIG_FILE: join(mountPath, 'config.json') }),
    // None of Volcengine's packages on npm takes a session token from a file.
    reader: 'a program that reads config.json and signs by itself',
  },
];

/** The operator's flags for the three STS. */
export function endpointFlags(sandbox: Sandbox): readonly string[] {
  return CLOUDS.map(({ service }) => `--sts-endpoint=${service(sandbox).endpointOption}`);
}

/** The subject that the role's trust policy names, as that cloud's STS has it. */
export function trustedSubject(cloud: DemoCloud, sandbox: Sandbox, role: string): string {
  const policy = cloud.service(sandbox).service.role(role)?.trustPolicy;
  const conditions = Object.entries([policy?.Statement].flat()[0]?.Condition?.['StringLike'] ?? {});
  return String(conditions.find(([key]) => key.endsWith(cloud.subjectKey))?.[1]);
}
