// Promises: the sample that we ship, deploy/samples/aws.yaml, made to run on the bed: its own role, STS and S3, and the bed's
// workload image in the place of the AWS CLI; all else is as it is in the file. And what that workload has printed.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { loadAll } from 'js-yaml';
import type { Corpus } from '../beds/canary.ts';

/** Where the sample is to go for its credentials, and what for. */
export interface SampleTarget {
  readonly image: string;
  readonly aws: Readonly<Record<string, string>>;
  readonly s3URL: string;
  readonly bucket: string;
  /** A ConfigMap of the namespace that has the authority of the S3's certificate, as `ca.crt`. */
  readonly authorityConfigMap: string;
}

/** One use that the workload has made of its credentials. */
export interface Use {
  readonly time: string;
  /** `disconnected`: there was no answer to the use, and so no refusal either. */
  readonly message: 'started' | 'used' | 'failed' | 'disconnected';
  readonly keyID?: string;
  readonly error?: string;
}

/** What the workload has found in its container. */
export interface Surroundings {
  readonly uid: number;
  readonly groups: readonly number[];
  readonly seccomp: string;
  readonly root: string;
  readonly files: Readonly<Record<string, { readonly mode: string; readonly uid: number; readonly gid: number }>>;
}

interface SampleObject {
  readonly kind: string;
  readonly spec?: {
    aws?: object;
    readonly template?: {
      readonly spec: {
        readonly containers: [
          {
            image: string;
            command?: unknown;
            readonly env: object[];
            readonly volumeMounts: object[];
            imagePullPolicy?: string;
          },
        ];
        readonly volumes: object[];
      };
    };
  };
}

const SAMPLE = new URL('../../deploy/samples/aws.yaml', import.meta.url);
const AUTHORITY_DIRECTORY = '/etc/s3-ca';

/** The objects of the sample, to be applied. */
export function sampleFor({ image, aws, s3URL, bucket, authorityConfigMap }: SampleTarget): object[] {
  const objects = loadAll(readFileSync(SAMPLE, 'utf8')) as SampleObject[];
  const credential = objects.find(({ kind }) => kind === 'WorkloadCredential');
  const template = objects.find(({ kind }) => kind === 'Deployment')?.spec?.template;
  assert.ok(credential?.spec !== undefined && template !== undefined, 'the sample has both');
  credential.spec.aws = aws;
  const [container] = template.spec.containers;
  container.image = image;
  delete container.command;
  container.imagePullPolicy = 'Never';
  container.env.push(
    { name: 'S3_ENDPOINT', value: s3URL },
    { name: 'S3_BUCKET', value: bucket },
    { name: 'NODE_EXTRA_CA_CERTS', value: `${AUTHORITY_DIRECTORY}/ca.crt` },
  );
  container.volumeMounts.push({ name: 's3-ca', mountPath: AUTHORITY_DIRECTORY, readOnly: true });
  template.spec.volumes.push({ name: 's3-ca', configMap: { name: authorityConfigMap } });
  return objects;
}

/** The lines of the CRI's log format that are whole JSON objects. */
function linesOf(logs: readonly Corpus[], pod: string): unknown[] {
  const own = logs.filter(({ name }) => name.includes(pod)).flatMap(({ text }) => text.split('\n'));
  return own
    .map((line) => line.slice(line.indexOf('{')))
    .filter((line) => line.endsWith('}'))
    .map((line) => JSON.parse(line));
}

/** Every use so far, in order. */
export function usesIn(logs: readonly Corpus[], pod: string): Use[] {
  return (linesOf(logs, pod) as Use[]).filter(({ keyID }) => keyID !== undefined);
}

/** What it said when it started; once, or it was restarted. */
export function startsIn(logs: readonly Corpus[], pod: string): Surroundings[] {
  return (linesOf(logs, pod) as (Use & Surroundings)[]).filter(({ message }) => message === 'started');
}
