// Promises: a real STS that verifies a cluster's tokens and a real S3 that takes the credentials it issues: SeaweedFS, on
// 127.0.0.1, in a directory of its own and, when root starts it, as an unprivileged user. It calls nobody but the issuer.
// Its error codes are not AWS's: wrong audience or signature 400 InvalidParameterValue; issuer, subject, unknown role 403.
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, copyFileSync, linkSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { STSClient } from '@aws-sdk/client-sts';
import { ensureBinaries } from './binaries.ts';
import { freePorts, removeScratchDirectory, scratchDirectory, startChild } from './processes.ts';
import type { Child } from './processes.ts';
import { AbortedWait, waitFor } from './wait.ts';

/** A role that tokens of some subjects may assume, and that may do everything in one bucket. */
export interface SeaweedFSRole {
  readonly name: string;
  /** Trusted `sub` claims: `system:serviceaccount:NAMESPACE:NAME`. */
  readonly subjects: readonly string[];
  readonly bucket: string;
}

/** What to start. */
export interface SeaweedFSOptions {
  readonly issuer: string;
  /** The authority that the issuer's certificate is signed by. */
  readonly caPEM: string;
  readonly roles: readonly SeaweedFSRole[];
  /** The one audience that it accepts; default `sts.amazonaws.com`. */
  readonly audience?: string;
  /** A Go duration; what is asked for above it is cut to it. Default `12h`. */
  readonly maxSessionLength?: string;
}

/** Credentials as the AWS SDK takes them. */
export interface AccessKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** A running STS and S3. */
export interface SeaweedFSBed {
  /** `http://127.0.0.1:PORT`: both STS and S3. */
  readonly url: string;
  readonly admin: AccessKey;
  roleARN(name: string): string;
  /** An S3 client without retries; the caller destroys it. */
  s3(credentials: AccessKey): S3Client;
  /** An STS client without retries, of this server or of a proxy in front of it; the caller destroys it. */
  sts(proxyURL?: string): STSClient;
  /** The last lines of its log. */
  logs(): string;
  stop(): Promise<void>;
}

/** Debian's and most others' `nobody`; SeaweedFS is a third party's binary and needs no rights. */
const NOBODY = 65_534;
/** The account that a role's ARN may name is free here; this is the one of AWS's examples. */
const ACCOUNT = '123456789012';
const REGION = 'us-east-1';
const PROVIDER = 'cluster';

function roleARN(name: string): string {
  return `arn:aws:iam::${ACCOUNT}:role/${name}`;
}

function roleConfig({ name, subjects }: SeaweedFSRole): object {
  const statements = subjects.map((subject) => ({
    Effect: 'Allow',
    Principal: { Federated: PROVIDER },
    Action: ['sts:AssumeRoleWithWebIdentity'],
    Condition: { StringEquals: { 'oidc:sub': subject } },
  }));
  return {
    roleName: name,
    roleArn: roleARN(name),
    attachedPolicies: [name],
    trustPolicy: { Version: '2012-10-17', Statement: statements },
  };
}

function policyConfig({ name, bucket }: SeaweedFSRole): object {
  const resources = [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`];
  const statement = { Effect: 'Allow', Action: ['s3:*'], Resource: resources };
  return { name, document: { Version: '2012-10-17', Statement: [statement] } };
}

function iamConfig(options: SeaweedFSOptions, authorityFile: string): object {
  const oidc = {
    issuer: options.issuer,
    clientId: options.audience ?? 'sts.amazonaws.com',
    tlsCaCert: authorityFile,
  };
  return {
    sts: {
      tokenDuration: '1h',
      maxSessionLength: options.maxSessionLength ?? '12h',
      issuer: 'seaweedfs-sts',
      signingKey: randomBytes(32).toString('base64'),
    },
    providers: [{ name: PROVIDER, type: 'oidc', enabled: true, config: oidc }],
    policy: { defaultEffect: 'Deny', storeType: 'memory' },
    policies: options.roles.map(policyConfig),
    roles: options.roles.map(roleConfig),
  };
}

function adminConfig({ accessKeyId, secretAccessKey }: AccessKey): object {
  const credentials = [{ accessKey: accessKeyId, secretKey: secretAccessKey }];
  return { identities: [{ name: 'admin', credentials, actions: ['Admin', 'Read', 'Write', 'List', 'Tagging'] }] };
}

function serverArguments(data: string, ports: readonly number[], files: { s3: string; iam: string }): string[] {
  const names = ['master', 'volume', 'filer', 's3'];
  const http = names.map((name, index) => `-${name}.port=${ports[index] ?? 0}`);
  // Left alone, each gRPC port is its HTTP port + 10000, which may not exist or be taken.
  const grpc = names.map((name, index) => `-${name}.port.grpc=${ports[names.length + index] ?? 0}`);
  return [
    '-logtostderr=true',
    'server',
    `-dir=${data}`,
    '-ip=127.0.0.1',
    '-ip.bind=127.0.0.1',
    ...http,
    ...grpc,
    '-master.telemetry=false',
    '-master.volumeSizeLimitMB=64',
    // A bucket's first object makes seven volumes at once: with eight in all, the second bucket may find none.
    '-volume.max=64',
    '-filer',
    '-s3',
    `-s3.config=${files.s3}`,
    `-s3.iam.config=${files.iam}`,
    '-s3.port.iceberg=0',
    '-s3.port.lance=0',
    '-metricsPort=0',
  ];
}

/** The cache is below a home directory that nobody may not enter: the command gets a second name in the bed's directory. */
function placeCommand(source: string, target: string): void {
  try {
    linkSync(source, target);
  } catch {
    copyFileSync(source, target);
  }
}

interface Layout {
  readonly directory: string;
  readonly command: string;
  readonly data: string;
  readonly files: { readonly s3: string; readonly iam: string };
  readonly unprivileged: { readonly uid: number; readonly gid: number } | Record<string, never>;
}

function layOut(options: SeaweedFSOptions, admin: AccessKey, source: string): Layout {
  const directory = scratchDirectory('seaweedfs');
  const unprivileged = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
  const own = (path: string): string => {
    if (unprivileged.uid !== undefined) chownSync(path, NOBODY, NOBODY);
    return path;
  };
  const write = (name: string, text: string): string => {
    const path = join(directory, name);
    writeFileSync(path, text, { mode: 0o600 });
    return own(path);
  };
  const data = join(directory, 'data');
  mkdirSync(data, { mode: 0o700 });
  own(data);
  own(directory);
  chmodSync(directory, 0o700);
  const command = join(directory, 'weed');
  placeCommand(source, command);
  const iam = iamConfig(options, write('issuer-ca.crt', options.caPEM));
  const files = {
    s3: write('s3.json', JSON.stringify(adminConfig(admin))),
    iam: write('iam.json', JSON.stringify(iam)),
  };
  return { directory, command, data, files, unprivileged };
}

async function isHealthy(url: string): Promise<boolean> {
  const answer = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(2_000) });
  await answer.body?.cancel();
  return answer.status === 200;
}

async function start(layout: Layout): Promise<{ child: Child; url: string }> {
  const ports = await freePorts(8);
  const child = await startChild({
    name: 'weed',
    command: layout.command,
    args: serverArguments(layout.data, ports, layout.files),
    env: { HOME: layout.directory, PATH: '/usr/bin:/bin' },
    cwd: layout.data,
    logFile: join(layout.directory, 'weed.log'),
    ...layout.unprivileged,
  });
  const url = `http://127.0.0.1:${ports[3] ?? 0}`;
  const healthy = async (): Promise<boolean> => {
    if (child.exit() !== undefined) throw new AbortedWait(`weed has ended:\n${child.logTail()}`);
    return await isHealthy(url);
  };
  try {
    await waitFor('SeaweedFS to be healthy', healthy, { timeoutMs: 60_000 });
  } catch (error) {
    await child.kill();
    throw error;
  }
  return { child, url };
}

function s3Client(endpoint: string, credentials: AccessKey): S3Client {
  return new S3Client({ endpoint, region: REGION, forcePathStyle: true, maxAttempts: 1, credentials });
}

/** The filer that keeps the buckets is up a moment after the S3 port: creating is tried until it works. */
async function createBuckets(url: string, admin: AccessKey, names: ReadonlySet<string>): Promise<void> {
  const client = s3Client(url, admin);
  try {
    for (const name of names) {
      const create = async (): Promise<boolean> => {
        await client.send(new CreateBucketCommand({ Bucket: name }));
        return true;
      };
      await waitFor(`bucket ${name} to be created`, create, { timeoutMs: 30_000, everyMs: 200 });
    }
  } finally {
    client.destroy();
  }
}

/**
 * Starts SeaweedFS with these roles and their buckets.
 * @throws Error with its last log lines when it ends; MissingToolError (binaries.ts).
 */
export async function startSeaweedFS(options: SeaweedFSOptions): Promise<SeaweedFSBed> {
  const binaries = await ensureBinaries(['weed']);
  const admin: AccessKey = {
    accessKeyId: `BEDADMIN${randomBytes(6).toString('hex').toUpperCase()}`,
    secretAccessKey: randomBytes(24).toString('base64url'),
  };
  for (let attempt = 1; ; attempt++) {
    const layout = layOut(options, admin, binaries.path('weed'));
    let running: { child: Child; url: string } | undefined;
    try {
      running = await start(layout);
      const { child, url } = running;
      await createBuckets(url, admin, new Set(options.roles.map(({ bucket }) => bucket)));
      return {
        url,
        admin,
        roleARN,
        s3: (credentials) => s3Client(url, credentials),
        // AssumeRoleWithWebIdentity is not signed: the credentials only keep the SDK from looking for some.
        sts: (proxyURL = url) =>
          new STSClient({ endpoint: proxyURL, region: REGION, maxAttempts: 1, credentials: admin }),
        logs: () => child.logTail(40),
        stop: async () => {
          await child.kill();
          await removeScratchDirectory(layout.directory);
        },
      };
    } catch (error) {
      await running?.child.kill();
      await removeScratchDirectory(layout.directory);
      // Somebody else may have taken a port between looking and using it.
      if (!(error instanceof AbortedWait) || attempt === 3) throw error;
    }
  }
}
