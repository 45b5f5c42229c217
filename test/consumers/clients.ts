// Promises: the clients that are tried: what they are, how they are started, where they look for the files of a mounted
// Secret by default, and what is expected of them. What they do is found out by the tests.
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
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
  /** `spec.secret.data`: a file of the user's own, beside those of the default format. */
  readonly format: Exclude<Format, 'Environment'> | 'spec.secret.data';
  /** That file: its key, its template, and the name under which the volume's `items` mount it. */
  readonly own?: { readonly key: string; readonly template: string; readonly path: string };
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
  /** What a client says of a file that it does not read: it is that, and not something else that is wrong. */
  readonly refusal?: RegExp;
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
const java = (cloud: string, program: string) => async (): Promise<Command> => ({
  file: 'java',
  // A small heap and one compiler: it shares its machine with a dozen others.
  args: ['-Xmx128m', '-XX:TieredStopAtLevel=1', '-cp', await javaClassPath(cloud), program],
  environment: {},
});
const awsCLI = async (): Promise<Command> => {
  const packages = await pythonPackages();
  const environment = { PYTHONPATH: packages, CONSUMER_AWS: join(packages, 'bin', 'aws') };
  return { file: process.execPath, args: [join(PROGRAMS, 'node', 'aws-cli.mjs')], environment };
};

const AWS = { cloud: 'AWS', directory: '.aws' } as const;
const ALIBABA_CLOUD = { cloud: 'AlibabaCloud', directory: '.aliyun' } as const;
const VOLCENGINE = { cloud: 'Volcengine', directory: '.volcengine' } as const;
/** The ini file knows no region. botocore reads another variable than the others. */
const STATIC_AWS = {
  format: 'StaticFile',
  environment: () => ({ AWS_REGION: 'eu-west-1', AWS_DEFAULT_REGION: 'eu-west-1' }),
} as const;
/** Java takes the home directory from the system's list of users, where this one is not, as in many a pod. */
const javaHome = (mountPath: string): Readonly<Record<string, string>> => ({
  JAVA_TOOL_OPTIONS: `-Duser.home=${dirname(mountPath)}`,
});
const FILES = { format: 'Files', expected: 'reloads' } as const;

/** The profile of docs/consuming.md that needs no command; a test compares the two. */
const OWN_PROFILE = {
  format: 'spec.secret.data',
  own: {
    key: 'aliyun.json',
    template:
      '{"current":"default","profiles":[{"name":"default","mode":"StsToken","access_key_id":"{{ accessKeyId }}","access_key_secret":"{{ secretAccessKey }}","sts_token":"{{ sessionToken }}","region_id":"{{ region }}"}]}',
    path: 'config.json',
  },
} as const;

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
  command: java('aws', 'AWSConsumer'),
  isNode: false,
};
const JS_ALIBABA_CLOUD = {
  ...ALIBABA_CLOUD,
  name: 'Alibaba Cloud credentials for Node.js',
  version: version('@alicloud/credentials'),
  command: node('alibaba-cloud.mjs'),
  isNode: true,
};
const PYTHON_ALIBABA_CLOUD = {
  ...ALIBABA_CLOUD,
  name: 'Alibaba Cloud credentials for Python',
  version: pinned('alibabacloud-credentials'),
  command: python('alibaba_cloud.py'),
  isNode: false,
};
const GO_ALIBABA_CLOUD = {
  ...ALIBABA_CLOUD,
  name: 'Alibaba Cloud credentials for Go',
  version: pinned('github.com/aliyun/credentials-go'),
  command: go('alibaba-cloud'),
  isNode: false,
};
const JAVA_ALIBABA_CLOUD = {
  ...ALIBABA_CLOUD,
  name: 'Alibaba Cloud credentials for Java',
  version: pinned('alibaba-cloud-credentials.version'),
  command: java('alibaba-cloud', 'AlibabaCloudConsumer'),
  environment: javaHome,
  isNode: false,
};
const PYTHON_VOLCENGINE = {
  ...VOLCENGINE,
  name: 'Volcengine SDK for Python',
  version: pinned('volcenginesdk-core'),
  command: python('volcengine.py'),
  isNode: false,
};
const GO_VOLCENGINE = {
  ...VOLCENGINE,
  name: 'Volcengine SDK for Go',
  version: pinned('github.com/volcengine/volcengine-go-sdk'),
  command: go('volcengine'),
  isNode: false,
};
const JAVA_VOLCENGINE = {
  ...VOLCENGINE,
  name: 'Volcengine SDK for Java',
  version: pinned('volcengine.version'),
  command: java('volcengine', 'VolcengineConsumer'),
  isNode: false,
};
/** The variable that names the file with the static form: the default place is that of the other one. */
const STATIC_VOLCENGINE = {
  format: 'StaticFile',
  environment: (mountPath: string) => ({ VOLCENGINE_CLI_CONFIG_FILE: `${mountPath}/config-static.json` }),
} as const;

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
  { ...JS_ALIBABA_CLOUD, ...FILES, window: 180 },
  { ...JS_ALIBABA_CLOUD, ...OWN_PROFILE, expected: 'new client' },
  { ...PYTHON_ALIBABA_CLOUD, ...FILES, window: 180 },
  { ...PYTHON_ALIBABA_CLOUD, ...OWN_PROFILE, expected: 'new client' },
  { ...GO_ALIBABA_CLOUD, ...FILES, window: 180 },
  { ...GO_ALIBABA_CLOUD, ...OWN_PROFILE, expected: 'new client' },
  {
    ...JAVA_ALIBABA_CLOUD,
    format: 'Files',
    expected: 'unreadable',
    refusal: /Unsupported profile mode 'External'/,
  },
  { ...JAVA_ALIBABA_CLOUD, ...OWN_PROFILE, expected: 'new client' },
  { ...PYTHON_VOLCENGINE, format: 'Files', expected: 'unreadable', refusal: /sso-session-name is not set/ },
  { ...PYTHON_VOLCENGINE, ...STATIC_VOLCENGINE, expected: 'new client' },
  { ...GO_VOLCENGINE, ...FILES, window: 60 },
  { ...GO_VOLCENGINE, ...STATIC_VOLCENGINE, expected: 'new client' },
  {
    ...JAVA_VOLCENGINE,
    format: 'Files',
    environment: javaHome,
    expected: 'unreadable',
    refusal: /sso-session-name not found/,
  },
  { ...JAVA_VOLCENGINE, ...STATIC_VOLCENGINE, expected: 'new client' },
];
