// Promises: the clients that are tried: what they are, how they are started, where they look for the files of a mounted
// Secret by default, and what is expected of them. What they do is found out by the tests.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Format, ResolvedExchange } from '../../src/api/resolved.ts';
import { goPrograms, javaClassPath, pinnedVersion, PROGRAMS, pythonPackages } from './tools.ts';

/** A command line. */
export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** A client to try. */
export interface Client {
  readonly name: string;
  readonly version: () => string;
  readonly cloud: ResolvedExchange['cloud'];
  readonly format: Exclude<Format, 'Environment'>;
  /** Where the Secret is mounted, under the home directory: the vendor's own place. */
  readonly directory: string;
  /** What more the environment has to say, given the mount. */
  readonly environment?: (mountPath: string) => Readonly<Record<string, string>>;
  readonly command: () => Promise<Command>;
  /** Runs without anything but Node. */
  readonly isNode: boolean;
  /**
   * `reloads`: new credentials in a running process. `new client`: in a new client of the same process. `restart`: only in a
   * new process. `unreadable`: the client does not read the file at all.
   */
  readonly expected: Behaviour;
  /** Between two calls, where a call is dear. */
  readonly pauseMs?: number;
  /** Seconds before the end that the file says from which on the client looks again; undefined: it looks at each call. */
  readonly window?: number;
}

/** What a client does when the mounted Secret changes. */
export type Behaviour = 'reloads' | 'new client' | 'restart' | 'unreadable';

const require = createRequire(import.meta.url);
const version =
  (name: string, from: NodeJS.Require = require) =>
  (): string =>
    (from(`${name}/package.json`) as { version: string }).version;
const pinned = (name: string) => (): string => pinnedVersion(name);

const node = (program: string) => async (): Promise<Command> =>
  Promise.resolve({ file: process.execPath, args: [join(PROGRAMS, 'node', program)], environment: {} });
const python = (program: string) => async (): Promise<Command> => ({
  file: 'python3',
  args: [join(PROGRAMS, 'python', program)],
  environment: { PYTHONPATH: await pythonPackages() },
});
const go = (program: string) => async (): Promise<Command> => ({
  file: join(await goPrograms(), program),
  args: [],
  environment: {},
});
const java = (program: string) => async (): Promise<Command> => ({
  file: 'java',
  // A small heap and one compiler: it shares its machine with a dozen others.
  args: ['-Xmx128m', '-XX:TieredStopAtLevel=1', '-cp', await javaClassPath(), program],
  environment: {},
});
const awsCLI = async (): Promise<Command> => {
  const packages = await pythonPackages();
  const environment = { PYTHONPATH: packages, CONSUMER_AWS: join(packages, 'bin', 'aws') };
  return { file: process.execPath, args: [join(PROGRAMS, 'node', 'aws-cli.mjs')], environment };
};

const AWS = { cloud: 'AWS', directory: '.aws' } as const;
const ALIBABA_CLOUD = { cloud: 'AlibabaCloud', directory: '.aliyun', format: 'Files' } as const;
const VOLCENGINE = { cloud: 'Volcengine', directory: '.volcengine' } as const;
/** The ini file knows no region. botocore reads another variable than the others. */
const STATIC_AWS = {
  format: 'StaticFile',
  environment: () => ({ AWS_REGION: 'eu-west-1', AWS_DEFAULT_REGION: 'eu-west-1' }),
} as const;
const FILES = { format: 'Files', expected: 'reloads' } as const;

const JS_AWS = {
  ...AWS,
  name: 'AWS SDK for JavaScript v3',
  version: version('@aws-sdk/client-sts'),
  command: node('aws.mjs'),
  isNode: true,
};
const PYTHON_AWS = { ...AWS, name: 'boto3', version: pinned('boto3'), command: python('aws.py'), isNode: false };
const CLI_AWS = { ...AWS, name: 'AWS CLI', version: pinned('awscli'), command: awsCLI, isNode: false, pauseMs: 1500 };
const GO_AWS = {
  ...AWS,
  name: 'AWS SDK for Go v2',
  version: pinned('github.com/aws/aws-sdk-go-v2'),
  command: go('aws'),
  isNode: false,
};
const JAVA_AWS = {
  ...AWS,
  name: 'AWS SDK for Java v2',
  version: pinned('awssdk.version'),
  command: java('AWSConsumer'),
  isNode: false,
};
const PYTHON_VOLCENGINE = {
  ...VOLCENGINE,
  name: 'Volcengine SDK for Python',
  version: pinned('volcenginesdk-core'),
  command: python('volcengine.py'),
  isNode: false,
};

/** All of them, in the order of the table. */
export const CLIENTS: readonly Client[] = [
  { ...JS_AWS, ...FILES, window: 300 },
  { ...JS_AWS, ...STATIC_AWS, expected: 'restart' },
  { ...PYTHON_AWS, ...FILES, window: 900 },
  { ...PYTHON_AWS, ...STATIC_AWS, expected: 'new client' },
  { ...CLI_AWS, ...FILES },
  { ...CLI_AWS, ...STATIC_AWS, expected: 'reloads' },
  { ...GO_AWS, ...FILES, window: 0 },
  { ...GO_AWS, ...STATIC_AWS, expected: 'new client' },
  { ...JAVA_AWS, ...FILES, window: 15 },
  { ...JAVA_AWS, ...STATIC_AWS, expected: 'reloads' },
  {
    ...ALIBABA_CLOUD,
    ...FILES,
    name: 'Alibaba Cloud credentials for Node.js',
    version: version('@alicloud/credentials'),
    command: node('alibaba-cloud.mjs'),
    isNode: true,
    window: 180,
  },
  {
    ...ALIBABA_CLOUD,
    ...FILES,
    name: 'Alibaba Cloud credentials for Python',
    version: pinned('alibabacloud-credentials'),
    command: python('alibaba_cloud.py'),
    isNode: false,
    window: 180,
  },
  {
    ...ALIBABA_CLOUD,
    ...FILES,
    name: 'Alibaba Cloud credentials for Go',
    version: pinned('github.com/aliyun/credentials-go'),
    command: go('alibaba-cloud'),
    isNode: false,
    window: 180,
  },
  { ...PYTHON_VOLCENGINE, format: 'Files', expected: 'unreadable' },
  {
    ...PYTHON_VOLCENGINE,
    format: 'StaticFile',
    expected: 'new client',
    environment: (mountPath) => ({ VOLCENGINE_CLI_CONFIG_FILE: `${mountPath}/config-static.json` }),
  },
];
