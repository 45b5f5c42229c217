// Promises: the sample that we ship, deploy/samples/aws.yaml, made to run on the bed: by default only what the bed's images and
// its private authority need; on demand with its own role, STS and S3, and the bed's workload in the place of the AWS CLI. All
// else is as it is in the file. And what that workload has printed.
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

interface Container {
  image: string;
  command?: unknown;
  readonly env: object[];
  readonly volumeMounts: object[];
  imagePullPolicy?: string;
}

interface SampleObject {
  readonly kind: string;
  readonly spec?: {
    aws?: object;
    readonly template?: {
      readonly spec: { readonly containers: [Container]; readonly volumes: object[] };
    };
  };
}

const SAMPLE = new URL('../../deploy/samples/aws.yaml', import.meta.url);
const AUTHORITY_DIRECTORY = '/etc/private-ca';

/** The sample's objects, and the parts that a test may change. */
function readSample(authorityConfigMap: string): {
  readonly objects: object[];
  readonly spec: NonNullable<SampleObject['spec']>;
  readonly container: Container;
} {
  const objects = loadAll(readFileSync(SAMPLE, 'utf8')) as SampleObject[];
  const spec = objects.find(({ kind }) => kind === 'WorkloadCredential')?.spec;
  const template = objects.find(({ kind }) => kind === 'Deployment')?.spec?.template;
  assert.ok(spec !== undefined && template !== undefined, 'the sample has both');
  const [container] = template.spec.containers;
  container.imagePullPolicy = 'Never';
  container.env.push({ name: 'NODE_EXTRA_CA_CERTS', value: `${AUTHORITY_DIRECTORY}/ca.crt` });
  container.volumeMounts.push({ name: 'private-ca', mountPath: AUTHORITY_DIRECTORY, readOnly: true });
  template.spec.volumes.push({ name: 'private-ca', configMap: { name: authorityConfigMap } });
  return { objects, spec, container };
}

/**
 * The sample with what a bed needs that has no registry and no public authority: its image is not pulled, and it believes the
 * authority of a ConfigMap, as `ca.crt`. Names, role, region and command are the file's own.
 */
export function sampleAsShipped(authorityConfigMap: string): string {
  const { objects } = readSample(authorityConfigMap);
  return objects.map((object) => JSON.stringify(object, undefined, 2)).join('\n---\n');
}

/** The objects of the sample, to be applied. */
export function sampleFor({ image, aws, s3URL, bucket, authorityConfigMap }: SampleTarget): object[] {
  const { objects, spec, container } = readSample(authorityConfigMap);
  spec.aws = aws;
  container.image = image;
  delete container.command;
  container.env.push({ name: 'S3_ENDPOINT', value: s3URL }, { name: 'S3_BUCKET', value: bucket });
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
